//! `--lock`: one run of a task at a time, for each user.
//!
//! The lock is an flock(2) on a file in a folder into which only that user can write, so that no other user can hold it and
//! keep the job from running. The kernel releases it however `exec` dies. The file holds the start of the run that has the
//! lock, for the message of the one that has to stay away; it is never removed, because a second file of that name would be a second lock.
//!
//! Root has [`Places::root`]. Another user has a folder of its own (0700) in the first of [`Places::shared`] that takes one. Its first
//! name is known beforehand, so another user may have taken it: a folder that is not ours is passed over, and a random name is used.
//! `$XDG_RUNTIME_DIR` is not used: it comes and goes with the user's logins, and a job of cron would have two locks.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use olog_proto::{TaskName, Timestamp, identity::KeyPrint};
use rustix::fs::FlockOperation;

use crate::{identity::RandomSource, kept};

/// Where lock files may be.
#[derive(Debug)]
pub struct Places {
    /// For root; its parent is writable by root only.
    pub root: PathBuf,
    /// Sticky folders in which every user can make one, best first.
    pub shared: Vec<PathBuf>,
}

impl Places {
    /// On this machine.
    pub fn of_machine(folders: &[PathBuf]) -> Places {
        let shared = folders.iter().cloned().chain(["/tmp".into(), "/var/tmp".into()]).collect();
        Places { root: "/run/olog-exec".into(), shared }
    }
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

#[derive(Debug)]
pub(super) enum LockError {
    /// Another run has it.
    Held {
        /// Since when, if the file says so.
        since: Option<Timestamp>,
    },
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> LockError {
        LockError::Io(error)
    }
}

/// Takes the lock of a task, or says since when another run has it.
pub(super) fn take(
    task: &TaskName,
    now: Timestamp,
    places: &Places,
    chance: &mut dyn RandomSource,
) -> Result<Lock, LockError> {
    let folder = folder(places, chance)?;
    let name = format!("{}.lock", KeyPrint::of(task.as_str().as_bytes()));
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(folder.join(name))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(LockError::Held { since: since(&mut file) }),
        Err(error) => return Err(io::Error::from(error).into()),
    }
    // The lock holds without it; only the other's message would not say since when.
    if let Err(error) = file.set_len(0).and_then(|()| writeln!(file, "{}", now.0)) {
        tracing::debug!(%error, "the lock file does not say since when");
    }
    Ok(Lock(file))
}

fn since(file: &mut File) -> Option<Timestamp> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(64).read_to_string(&mut text).ok()?;
    text.trim().parse().ok().map(Timestamp)
}

/// A folder into which only this user can write.
fn folder(places: &Places, chance: &mut dyn RandomSource) -> io::Result<PathBuf> {
    let me = rustix::process::geteuid();
    if me.is_root() && (kept::is_own(&places.root, 0) || make(&places.root)) {
        return Ok(places.root.clone());
    }
    let mut random = [0; 8];
    chance.fill(&mut random)?;
    let random: String = random.iter().map(|b| format!("{b:02x}")).collect();
    kept::own_folder(&places.shared, "lock", 0o700, &random)
}

/// Makes root's folder; another run may be making it too.
fn make(root: &Path) -> bool {
    DirBuilder::new().mode(0o700).create(root).is_ok() || kept::is_own(root, 0)
}

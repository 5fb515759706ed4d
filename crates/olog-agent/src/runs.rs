//! The files by which `exec` reports a run: one file per run, in a folder that the agent reads.
//!
//! `exec` writes the start before it starts the command, and the end after it. So nothing is lost while the agent is down,
//! restarts, or is being upgraded: the agent reads the file when it is back (`reader`), and the event carries the time that the
//! file has. Ringing the agent's socket (`POST /runs`) only makes it read at once.
//!
//! | on disk | written by | means |
//! |---|---|---|
//! | `new-ID` | `exec` | not finished; ignored, and removed after a day |
//! | `run-ID`, locked with flock(2) | `exec`, from before the rename to its exit | the command runs |
//! | `run-ID`, not locked, with an end | `exec` | the run ended, or was not started |
//! | `run-ID`, not locked, without an end | nobody any more | `exec` was killed or the machine restarted: how the run ended is unknown |
//!
//! A file is two lines of JSON: [`Start`], then [`End`]. The kernel releases the lock however `exec` dies, so a lock never outlives
//! its run. The file has mode 0600 and the folder is sticky: no other user can lock, change or remove it.
//!
//! The folder is [`SHARED`] beside the default `state_dir`, and `state_dir/exec` for every agent. `/var/lib` and not `/run`: a
//! restart of the machine must not hide that a run was interrupted.

mod reader;
mod shares;

use std::{
    fs::{DirBuilder, File},
    io::{self, Write as _},
    os::{fd::OwnedFd, linux::fs::MetadataExt as _, unix::fs::DirBuilderExt as _},
    path::{Path, PathBuf},
};

use olog_daemon::socket::owner_of;
use olog_proto::{BootId, TaskName, Timestamp};
use rustix::{
    fs::{AtFlags, FallocateFlags, FlockOperation, Gid, Mode, OFlags, Uid},
    io::Errno,
};
use serde::{Deserialize, Serialize};

pub use reader::{Look, Reader, RunningRun, RunsError, run};
pub(crate) use reader::{is_bounded, log};
pub use shares::{NoShare, Shares};

/// Where every user of the machine may report a run, if the agent's `state_dir` is the default one. Sticky, owned by the agent.
pub const SHARED: &str = "/var/lib/olog-exec";
/// The `state_dir` to which [`SHARED`] belongs.
const DEFAULT_STATE_DIR: &str = "/var/lib/olog-agent";
/// The folder below every `state_dir`, for runs by the agent's own user and by root.
const OWN: &str = "exec";

/// Version of the file's content.
pub const FORMAT: u32 = 1;
/// A file that is longer is not ours. The end's output has at most 16 KiB, a third more in base64.
const FILE_MAX: u64 = 64 * 1024;
/// Reserved on the disk at the start, so that the end can be written when the disk has filled meanwhile.
const RESERVED: u64 = 32 * 1024;
/// Entries of a folder that are looked at; a user could make millions.
const ENTRIES_MAX: usize = 100_000;
/// Ended runs of one user that are kept for an agent that does not come.
const KEPT_MAX: usize = 1_000;
/// How many of the oldest go when there are more.
const DROPPED: usize = 100;

/// The folders in which runs are reported to the agent with this `state_dir`, best first.
pub fn folders(state_dir: &Path) -> Vec<PathBuf> {
    let shared = (state_dir == Path::new(DEFAULT_STATE_DIR)).then(|| PathBuf::from(SHARED));
    shared.into_iter().chain([state_dir.join(OWN)]).collect()
}

/// Makes a folder of run files that is not there, as a start of the agent does: an agent that was never started may be started later. It
/// belongs to the owner of the `state_dir`, under whom the agent runs.
fn make_folder(path: &Path) -> io::Result<()> {
    let is_shared = path == Path::new(SHARED);
    let state_dir = if is_shared { Path::new(DEFAULT_STATE_DIR) } else { path.parent().unwrap_or(Path::new("/")) };
    let (uid, gid) = owner_of(state_dir)?;
    let mode = if is_shared { 0o1777 } else { 0o700 };
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(error),
    }
    // By descriptor: the owner of the `state_dir` could put a link in its place, and root would change what that leads to.
    let folder = open_folder(path)?;
    // The umask must not take anybody's right to report.
    rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode))?;
    if rustix::process::geteuid().is_root() {
        rustix::fs::fchown(&folder, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    Ok(())
}

/// The first line: what was started, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// [`FORMAT`] of both lines.
    pub format: u32,
    /// The task.
    pub task: TaskName,
    /// The run's own id: 16 hexadecimal digits, also in the file's name.
    pub run: String,
    /// The user that started it. Believed only of files that belong to root or to the folder's owner.
    pub uid: u32,
    /// When, by the device's clock.
    pub at: Timestamp,
    /// The boot during which it was started.
    pub boot: BootId,
    /// Milliseconds since that boot.
    pub up: u64,
}

/// The second line: how it ended, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When, by the device's clock.
    pub at: Timestamp,
    /// Milliseconds since the boot of [`Start::boot`].
    pub up: u64,
    /// How.
    pub how: How,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The command ended.
    RunEnd(RunEnd),
    /// With `--lock`: an earlier run of the task was still going on, so the command was not started.
    NotStarted {
        /// When the earlier run started, if its lock file says so.
        running_since: Option<Timestamp>,
    },
}

/// How the command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// Its exit code, if it exited.
    pub exit: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Milliseconds.
    pub duration: u64,
    /// The end of what it wrote on both outputs, in base64: any bytes.
    pub output: String,
}

/// An end that is reported over the socket, because no folder takes a run file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The task.
    pub task: TaskName,
    /// The run's own id.
    pub run: String,
    /// How it ended.
    #[serde(flatten)]
    pub ended: RunEnd,
}

/// The file of a run that `exec` is following. Dropped without [`RunFile::end`], it says that the end is unknown.
#[derive(Debug)]
pub struct RunFile {
    file: File,
    folder: OwnedFd,
    /// How many runs of this user were forgotten to make room: the agent has not read them for long.
    pub n_forgotten: usize,
}

impl RunFile {
    /// Writes the start, in the first folder that takes it.
    pub fn begin(folders: &[PathBuf], start: &Start) -> io::Result<RunFile> {
        let mut first_error = None;
        for folder in folders {
            match RunFile::begin_in(folder, start) {
                Ok(file) => return Ok(file),
                Err(error) => {
                    let error = io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn begin_in(path: &Path, start: &Start) -> io::Result<RunFile> {
        let folder = match open_folder(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make_folder(path)?;
                open_folder(path)?
            }
            opened => opened?,
        };
        let n_forgotten = make_room(&folder)?;
        let (new, name) = (format!("new-{}", start.run), format!("run-{}", start.run));
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, new.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
        let begun = (|| {
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            // Where the file system cannot reserve, the end is written all the same, unless the disk is full.
            if let Err(error) = rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, RESERVED) {
                tracing::debug!(%error, "no space is reserved for the run's end");
            }
            let mut file = File::from(file);
            write_line(&mut file, start)?;
            give_to_owner(&folder, &file)?;
            rustix::fs::renameat(&folder, new.as_str(), &folder, name.as_str())?;
            Ok(file)
        })();
        match begun {
            Ok(file) => Ok(RunFile { file, folder, n_forgotten }),
            Err(error) => {
                remove(&folder, &new);
                Err(error)
            }
        }
    }

    /// Waits until the disk has the start.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()?;
        rustix::fs::fsync(&self.folder)?;
        Ok(())
    }

    /// Writes the end and lets the lock go: from here on the agent may read it.
    pub fn end(mut self, end: &End) -> io::Result<EndedFile> {
        write_line(&mut self.file, end)?;
        // What was reserved and is not needed.
        let length = self.file.metadata()?.len();
        self.file.set_len(length)?;
        rustix::fs::flock(&self.file, FlockOperation::Unlock)?;
        Ok(EndedFile(self.file))
    }
}

/// A file whose end is written.
#[derive(Debug)]
pub struct EndedFile(File);

impl EndedFile {
    /// Waits until the disk has it: for when the agent did not say that it has read it.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn write_line(file: &mut File, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    file.write_all(&text)
}

/// What root writes is given to the folder's owner, who otherwise may not be able to read it.
fn give_to_owner(folder: &OwnedFd, file: &File) -> io::Result<()> {
    let owner = rustix::fs::fstat(folder)?;
    if rustix::process::geteuid().is_root() && owner.st_uid != 0 {
        rustix::fs::fchown(file, Some(Uid::from_raw(owner.st_uid)), Some(Gid::from_raw(owner.st_gid)))?;
    }
    Ok(())
}

fn remove(folder: &OwnedFd, name: &str) {
    if let Err(error) = rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        tracing::debug!(%error, name, "the file of a run stays");
    }
}

/// The names in a folder that begin like this, at most [`ENTRIES_MAX`] entries of it.
fn names(folder: &OwnedFd, start: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)?.take(ENTRIES_MAX) {
        let entry = entry?;
        if let Ok(name) = entry.file_name().to_str()
            && name.starts_with(start)
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

/// An agent that never comes back must not fill the disk: of more than [`KEPT_MAX`] ended runs of this user the oldest go.
fn make_room(folder: &OwnedFd) -> io::Result<usize> {
    let names = names(folder, "run-")?;
    if names.len() < KEPT_MAX {
        return Ok(0);
    }
    let owner = rustix::fs::fstat(folder)?.st_uid;
    let me = rustix::process::geteuid();
    let mut own = Vec::new();
    for name in names {
        let Ok(Some(file)) = open_file(folder, &name) else { continue };
        let found = file.metadata()?;
        let is_own = found.st_uid() == me.as_raw() || me.is_root() && found.st_uid() == owner;
        if is_own && !is_locked(&file) {
            own.push((found.st_mtime(), found.st_mtime_nsec(), name));
        }
    }
    if own.len() < KEPT_MAX {
        return Ok(0);
    }
    own.sort_unstable();
    own.truncate(DROPPED);
    for (_, _, name) in &own {
        remove(folder, name);
    }
    Ok(own.len())
}

/// A file to read; `None` if it is not a regular one with one name and of a bounded size: anybody may put anything into the folder.
fn open_file(folder: &OwnedFd, name: &str) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        // A link, or a socket.
        Err(Errno::LOOP | Errno::NXIO) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let found = file.metadata()?;
    Ok((found.is_file() && found.st_nlink() == 1 && found.len() <= FILE_MAX).then_some(file))
}

/// Does its `exec` still live?
fn is_locked(file: &File) -> bool {
    let locked = rustix::fs::flock(file, FlockOperation::NonBlockingLockShared);
    if locked.is_ok() && rustix::fs::flock(file, FlockOperation::Unlock).is_err() {
        tracing::debug!("a lock stays until the file is closed");
    }
    locked.is_err()
}

#[cfg(test)]
mod tests;

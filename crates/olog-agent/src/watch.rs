//! Watches the log dirs: what the kernel (inotify) and the scans say becomes "look at this path".
//!
//! [`Inbox`] is the one place where everything arrives that may wake the files thread: changes from the kernel, listings of a scan,
//! commands. It is bounded. Beyond 16,384 changes the list is cleared and a full scan is asked for, as after an overflow of the
//! kernel's own queue; a scan waits until its last listings are taken. So nothing is missed, whatever is discarded.
//!
//! [`Watch`] puts one inotify watch on each folder that a scan meets, **before** it lists the folder: what comes later is told, what
//! came earlier is listed. Links are not followed. File systems that tell no events (NFS, CIFS, FUSE, 9p: by statfs(2)) get no watch
//! and are scanned every 10 s. `notify` also asks the kernel for opens; they are dropped here and wake nobody.
//!
//! It must not open log files.

mod quota;

use std::collections::{HashMap, VecDeque};
use std::mem::MaybeUninit;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, Flag, ModifyKind, RemoveKind, RenameMode};
use notify::{EventKind, RecursiveMode, Watcher as _};
use olog_daemon::pulse::Pulse;
use olog_proto::LogKind;
use rustix::fs::{FileType, RawDir};

use crate::read::{self, LogPath, ReadError, Stat};
use quota::FolderQuota;

/// Changes that wait to be taken; beyond it, everything is scanned instead. The kernel's own queue holds as many.
const CHANGES_MAX: usize = 16_384;
/// A walk that waits for its listings to be taken shows that it does, this often.
const BEAT_EVERY: Duration = Duration::from_secs(10);
/// Listings that wait to be taken.
const LISTINGS_MAX: usize = 2;
/// Folders of one log dir.
pub const FOLDERS_MAX: usize = 10_000;
/// Names of log files in one folder that are listed although they are none: a link or a FIFO is easily made.
const OTHERS_MAX: usize = 64;
/// How deep they may lie in each other.
pub const DEPTH_MAX: usize = 32;

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A file was made or written.
    Written,
    /// A file's writer closed it.
    Closed,
    /// Metadata changed.
    Metadata,
    /// A file or folder is gone.
    Removed,
    /// A file or folder has another name now.
    MovedFrom,
    /// A file or folder got this name.
    MovedTo,
    /// A folder was made.
    FolderMade,
    /// A watched folder itself is gone.
    FolderGone,
}

/// A folder's files, as the walk found them.
#[derive(Debug)]
pub struct Listing {
    /// Which log dir.
    pub root: usize,
    /// The way from there.
    pub path: PathBuf,
    /// Its device and inode.
    pub identity: (u64, u64),
    /// Whose folder it is.
    pub owner: u32,
    /// Its file system tells no events.
    pub silent: bool,
    /// The files that may be log files, by name.
    pub files: Vec<(Box<[u8]>, Stat)>,
    /// Names of log files that are none, and what they are: nobody reads them. At most 64.
    pub others: Vec<(Box<[u8]>, &'static str)>,
}

/// What a walk of one folder and those below it came to.
#[derive(Debug)]
pub struct Walked {
    /// Which log dir.
    pub root: usize,
    /// Where it began.
    pub path: PathBuf,
    /// Folders that could not be listed, and why.
    pub unreadable: Vec<(PathBuf, String)>,
    /// The kernel gives no more watches.
    pub watch_limit: bool,
    /// Folders beyond the bounds were left out.
    pub too_many: bool,
    /// Some file system in it tells no events.
    pub silent: bool,
    /// It was told to stop before its end.
    pub stopped: bool,
    /// The disk of the log dir, if the walk began there.
    pub disk: Option<Disk>,
}

/// How full a file system is, as df(1) counts: of what users may fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// Percent that are used.
    pub used: u64,
    /// Bytes that are left.
    pub left: u64,
}

/// What wakes the files thread.
#[derive(Debug)]
pub enum InboxItem<C> {
    /// A change of a path.
    Change(PathBuf, Change),
    /// A folder's files.
    Listing(Listing),
    /// A walk's end.
    Walked(Walked),
    /// From outside.
    Command(C),
}

struct Waiting<C> {
    changes: Vec<(PathBuf, Change)>,
    overflow: bool,
    listings: VecDeque<Listing>,
    walked: Vec<Walked>,
    commands: Vec<C>,
    nudged: bool,
    closed: bool,
    /// The thread that hears the kernel is no more.
    watcher_gone: bool,
}

/// Where everything arrives for the files thread.
pub struct Inbox<C> {
    waiting: Mutex<Waiting<C>>,
    arrived: Condvar,
    taken: Condvar,
}

/// What [`Inbox::take`] took.
#[derive(Debug)]
pub struct Taken<C> {
    /// In the order of their arrival; listings only if they were asked for.
    pub arrivals: Vec<InboxItem<C>>,
    /// Changes were lost: scan everything.
    pub overflow: bool,
    /// Nobody hears the kernel any more.
    pub watcher_gone: bool,
}

impl<C> Default for Inbox<C> {
    fn default() -> Self {
        let waiting = Waiting {
            changes: Vec::new(),
            overflow: false,
            listings: VecDeque::new(),
            walked: Vec::new(),
            commands: Vec::new(),
            nudged: false,
            closed: false,
            watcher_gone: false,
        };
        Inbox { waiting: Mutex::new(waiting), arrived: Condvar::new(), taken: Condvar::new() }
    }
}

impl<C> std::fmt::Debug for Inbox<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").finish_non_exhaustive()
    }
}

impl<C> Inbox<C> {
    /// Takes what has arrived, waiting at most `wait` (none: until something does). `listings`: those may be taken too.
    pub fn take(&self, wait: Option<Duration>, listings: bool) -> Taken<C> {
        let idle = |w: &mut Waiting<C>| {
            w.changes.is_empty()
                && !w.overflow
                && w.commands.is_empty()
                && !w.nudged
                && !w.watcher_gone
                && (!listings || (w.listings.is_empty() && w.walked.is_empty()))
        };
        let waiting = self.lock();
        let mut waiting = match wait {
            None => self.arrived.wait_while(waiting, idle).unwrap_or_else(PoisonError::into_inner),
            Some(span) => {
                self.arrived.wait_timeout_while(waiting, span, idle).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        waiting.nudged = false;
        let mut arrivals: Vec<InboxItem<C>> =
            std::mem::take(&mut waiting.commands).into_iter().map(InboxItem::Command).collect();
        arrivals.extend(std::mem::take(&mut waiting.changes).into_iter().map(|(path, c)| InboxItem::Change(path, c)));
        if listings {
            if let Some(listing) = waiting.listings.pop_front() {
                arrivals.push(InboxItem::Listing(listing));
                self.taken.notify_all();
            } else {
                arrivals.extend(std::mem::take(&mut waiting.walked).into_iter().map(InboxItem::Walked));
            }
        }
        Taken { arrivals, overflow: std::mem::take(&mut waiting.overflow), watcher_gone: waiting.watcher_gone }
    }

    /// Does nothing of a scan wait to be taken?
    pub fn is_scanned(&self) -> bool {
        let waiting = self.lock();
        waiting.listings.is_empty() && waiting.walked.is_empty()
    }

    /// A command, taken before everything else.
    pub fn command(&self, command: C) {
        self.lock().commands.push(command);
        self.arrived.notify_one();
    }

    /// Wakes the thread without saying anything.
    pub fn nudge(&self) {
        self.lock().nudged = true;
        self.arrived.notify_one();
    }

    /// No more listings are taken: a walk that waits gives up.
    pub fn close(&self) {
        self.lock().closed = true;
        self.taken.notify_all();
        self.arrived.notify_one();
    }

    fn change(&self, path: PathBuf, change: Change) {
        let mut waiting = self.lock();
        if waiting.changes.last().is_some_and(|(last, c)| *c == change && *last == path) {
            return;
        }
        if waiting.changes.len() >= CHANGES_MAX {
            waiting.changes = Vec::new();
            waiting.overflow = true;
        }
        // After an overflow the scan finds what is missed here; what comes now is told as usual.
        waiting.changes.push((path, change));
        drop(waiting);
        self.arrived.notify_one();
    }

    fn overflow(&self) {
        self.lock().overflow = true;
        self.arrived.notify_one();
    }

    fn watcher_gone(&self) {
        self.lock().watcher_gone = true;
        self.arrived.notify_one();
    }

    /// False: nobody takes listings any more. Waiting for room is no trouble of the folder.
    fn listing(&self, listing: Listing, pulse: &Pulse) -> bool {
        let full = |w: &mut Waiting<C>| w.listings.len() >= LISTINGS_MAX && !w.closed;
        let mut waiting = self.lock();
        while full(&mut waiting) {
            pulse.beat();
            let woken = self.taken.wait_timeout_while(waiting, BEAT_EVERY, full);
            waiting = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        if waiting.closed {
            return false;
        }
        waiting.listings.push_back(listing);
        drop(waiting);
        self.arrived.notify_one();
        true
    }

    fn walked(&self, walked: Walked) {
        self.lock().walked.push(walked);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<C>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the kernel's changes come in.
struct EventSink<C>(Arc<Inbox<C>>);

impl<C> EventSink<C> {
    fn receive(&self, event: notify::Result<notify::Event>) {
        match event {
            Ok(event) if event.attrs.flag() == Some(Flag::Rescan) => self.0.overflow(),
            Ok(event) => {
                for (path, change) in changes(event) {
                    self.0.change(path, change);
                }
            }
            // Whatever it could not read, a scan finds.
            Err(_) => self.0.overflow(),
        }
    }
}

impl<C> Drop for EventSink<C> {
    fn drop(&mut self) {
        self.0.watcher_gone();
    }
}

/// Watches folders; shared with the walk.
pub struct Watch(Arc<Mutex<notify::INotifyWatcher>>);

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").finish_non_exhaustive()
    }
}

/// What a walk has to do.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    /// Which log dir.
    pub root: usize,
    /// Its path.
    pub log_dir: PathBuf,
    /// Where to begin beneath it.
    pub path: PathBuf,
    /// Folders that are watched beside those that it meets, by their owner.
    pub watched: HashMap<u32, usize>,
    /// Never entered.
    pub own: PathBuf,
    /// Beats at each entry that it meets: a file server that is away answers nothing at all.
    pub pulse: Pulse,
}

impl Watch {
    /// Asks the kernel for an inotify instance, whose changes go to `inbox`.
    pub fn new<C: Send + 'static>(inbox: &Arc<Inbox<C>>) -> Result<Watch, std::io::Error> {
        // Goes with the thread that owns the handler, also when that panics.
        let sink = EventSink(Arc::clone(inbox));
        let handler = move |event: notify::Result<notify::Event>| sink.receive(event);
        let watcher = notify::INotifyWatcher::new(handler, notify::Config::default().with_follow_symlinks(false));
        watcher.map(|watcher| Watch(Arc::new(Mutex::new(watcher)))).map_err(|e| match e.kind {
            notify::ErrorKind::Io(error) => error,
            _ => std::io::Error::other(e),
        })
    }

    /// Walks a folder and those below it, in a thread of its own: sets a watch on each, then lists it into `inbox`.
    pub fn walk<C: Send + 'static>(
        &self,
        walk: Walk,
        inbox: &Arc<Inbox<C>>,
    ) -> std::io::Result<std::thread::JoinHandle<()>> {
        let (watcher, inbox) = (Arc::clone(&self.0), Arc::clone(inbox));
        let watch = move |path: &Path| -> notify::Result<()> {
            let mut watcher = watcher.lock().unwrap_or_else(PoisonError::into_inner);
            watcher.watch(path, RecursiveMode::NonRecursive)
        };
        std::thread::Builder::new().name("olog-walk".to_owned()).spawn(move || {
            let walked = run(&walk, &watch, &mut |listing| inbox.listing(listing, &walk.pulse));
            inbox.walked(walked);
        })
    }
}

/// The same walk without watches, for a look that changes nothing.
pub fn list(walk: &Walk, tell: &mut dyn FnMut(Listing)) -> Walked {
    run(walk, &|_| Ok(()), &mut |listing| {
        tell(listing);
        true
    })
}

/// What an event of `notify` says of paths that may matter.
fn changes(event: notify::Event) -> Vec<(PathBuf, Change)> {
    let change = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Change::Closed,
        EventKind::Create(CreateKind::Folder) => Change::FolderMade,
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => Change::Written,
        EventKind::Modify(ModifyKind::Metadata(_)) => Change::Metadata,
        EventKind::Modify(ModifyKind::Name(RenameMode::From)) => Change::MovedFrom,
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Change::MovedTo,
        EventKind::Remove(RemoveKind::Folder) => Change::FolderGone,
        EventKind::Remove(_) => Change::Removed,
        // Opens and reads change nothing; `Both` repeats its two halves.
        _ => return Vec::new(),
    };
    let wanted = |path: &PathBuf| match change {
        Change::Written | Change::Closed | Change::Metadata | Change::Removed => {
            path.file_name().is_some_and(|name| may_matter(name.as_bytes()))
        }
        _ => true,
    };
    event.paths.into_iter().filter(wanted).map(|path| (path, change)).collect()
}

/// A log file, or one that rotation renamed: `svc.err.1`, `svc.log-20261122`.
pub fn may_matter(name: &[u8]) -> bool {
    LogKind::of(name).is_some() || may_be_rotated(name)
}

fn may_be_rotated(name: &[u8]) -> bool {
    name.iter().enumerate().any(|(i, &b)| {
        let rest = name.get(i + 1..).unwrap_or_default();
        b == b'.'
            && LogKind::ALL.iter().any(|suffix| {
                let suffix = suffix.as_str().as_bytes();
                let same = rest.get(..suffix.len()).is_some_and(|start| start.eq_ignore_ascii_case(suffix));
                same && matches!(rest.get(suffix.len()), Some(b'.' | b'-' | b'_'))
            })
    })
}

/// Magic numbers of file systems that tell inotify nothing of what others write (statfs(2), linux/magic.h).
const SILENT: &[u64] = &[
    0x6969,      // NFS
    0xff53_4d42, // CIFS
    0xfe53_4d42, // SMB2
    0x517b,      // SMB
    0x6573_5546, // FUSE
    0x0102_1997, // 9p
    0x00c3_6400, // Ceph
    0x5346_414f, // AFS
    0x786f_4256, // VirtualBox
];

fn is_silent(found: &rustix::fs::StatFs) -> bool {
    #[expect(
        clippy::cast_sign_loss,
        reason = "the kernel's magic numbers fill 32 bits, of which some platforms make a sign"
    )]
    SILENT.contains(&((found.f_type as u64) & 0xffff_ffff))
}

/// `None` where the file system does not count.
fn disk(found: &rustix::fs::StatFs) -> Option<Disk> {
    let used = found.f_blocks.checked_sub(found.f_bfree)?;
    let percent = used.saturating_mul(100).checked_div(used.saturating_add(found.f_bavail))?;
    let block = u64::try_from(found.f_bsize).ok()?;
    Some(Disk { used: percent, left: found.f_bavail.saturating_mul(block) })
}

fn run(walk: &Walk, watch: &dyn Fn(&Path) -> notify::Result<()>, tell: &mut dyn FnMut(Listing) -> bool) -> Walked {
    let mut walked = Walked {
        root: walk.root,
        path: walk.path.clone(),
        unreadable: Vec::new(),
        watch_limit: false,
        too_many: false,
        silent: false,
        stopped: false,
        disk: None,
    };
    let mut quota = FolderQuota::of(walk);
    let mut stack = vec![walk.path.clone()];
    while let Some(path) = stack.pop() {
        walk.pulse.beat();
        if quota.is_spent() || path.components().count() > DEPTH_MAX {
            walked.too_many = true;
            continue;
        }
        if walk.log_dir.join(&path) == walk.own {
            continue;
        }
        match folder(walk, path.clone(), watch, &mut quota, &mut walked) {
            Ok(None) => walked.too_many = true,
            Ok(Some((listing, mut below))) => {
                // In the order of their names: which folders are watched is the same at each start.
                below.sort_unstable_by(|a, b| b.cmp(a));
                stack.extend(below);
                if !tell(listing) {
                    walked.stopped = true;
                    return walked;
                }
            }
            // Gone again, or a link now: whoever did it is told of by its own change.
            Err(ReadError::Gone | ReadError::NotAFile) if !path.as_os_str().is_empty() => {}
            Err(error) if walked.unreadable.len() < 64 => {
                let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
                walked.unreadable.push((path, why));
            }
            Err(_) => {}
        }
    }
    walked
}

fn folder(
    walk: &Walk,
    path: PathBuf,
    watch: &dyn Fn(&Path) -> notify::Result<()>,
    quota: &mut FolderQuota,
    walked: &mut Walked,
) -> Result<Option<(Listing, Vec<PathBuf>)>, ReadError> {
    let fd = read::open_folder(LogPath { log_dir: &walk.log_dir, path: &path })?;
    let identity = read::identity(&fd)?;
    let owner = rustix::fs::fstat(&fd)?.st_uid;
    if !quota.take(owner) {
        return Ok(None);
    }
    let found = rustix::fs::fstatfs(&fd).ok();
    let silent = found.as_ref().is_some_and(is_silent);
    walked.silent |= silent;
    if path.as_os_str().is_empty() {
        walked.disk = found.as_ref().and_then(disk);
    }
    if !silent {
        let whole = if path.as_os_str().is_empty() { walk.log_dir.clone() } else { walk.log_dir.join(&path) };
        match watch(&whole) {
            Ok(()) => {}
            Err(e) if matches!(e.kind, notify::ErrorKind::MaxFilesWatch) => walked.watch_limit = true,
            Err(e) => match e.kind {
                notify::ErrorKind::PathNotFound => return Err(ReadError::Gone),
                notify::ErrorKind::Io(error) => return Err(error.into()),
                _ => return Err(ReadError::Io(std::io::Error::other(e))),
            },
        }
    }
    let (mut files, mut below, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let mut buffer = vec![MaybeUninit::uninit(); 32 * 1024];
    let mut entries = RawDir::new(&fd, &mut buffer);
    while let Some(entry) = entries.next() {
        walk.pulse.beat();
        let entry = entry?;
        let name = entry.file_name();
        let bytes = name.to_bytes();
        let kind = match entry.file_type() {
            _ if bytes == b"." || bytes == b".." => continue,
            FileType::Unknown => rustix::fs::statat(&fd, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |found| FileType::from_raw_mode(found.st_mode)),
            kind => kind,
        };
        if let Some(other) = what(kind).filter(|_| LogKind::of(bytes).is_some() && others.len() < OTHERS_MAX) {
            others.push((Box::from(bytes), other));
        }
        match kind {
            FileType::Directory => below.push(path.join(std::ffi::OsString::from_vec(bytes.to_owned()))),
            FileType::RegularFile if may_matter(bytes) => {
                if let Ok(Some(stat)) = read::stat_in(&fd, name) {
                    files.push((Box::from(bytes), stat));
                }
            }
            _ => {}
        }
    }
    files.sort_unstable_by(|a: &(Box<[u8]>, Stat), b| a.0.cmp(&b.0));
    Ok(Some((Listing { root: walk.root, path, identity, owner, silent, files, others }, below)))
}

/// What is no regular file.
fn what(kind: FileType) -> Option<&'static str> {
    match kind {
        FileType::RegularFile => None,
        FileType::Directory => Some("a folder"),
        FileType::Symlink => Some("a symbolic link"),
        FileType::Fifo => Some("a FIFO"),
        FileType::Socket => Some("a socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Some("a device"),
        FileType::Unknown => Some("of an unknown kind"),
    }
}

#[cfg(test)]
mod tests;

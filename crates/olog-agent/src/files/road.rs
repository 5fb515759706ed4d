//! The thread's loop: takes what arrives, lets files settle, looks at those that are ready, commits, rings.

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use olog_daemon::clock::Clock;
use olog_proto::At;
use olog_proto::name::path_text;
use rustix::io::Errno;
use tokio::sync::Notify;

use super::look::{FolderPlace, Looked, Looker};
use super::scan::Comparison;
use super::troubles::Troubles;
use super::{FilesConfig, FilesStatus};
use crate::read::{self, as_path};
use crate::settle::{Settle, Touch};
use crate::spool::{Batch, FileKey, FolderId, Spool, SpoolError};
use crate::sweep::Sweep;
use crate::text::Redactor;
use crate::watch::{Arrival, Change, FOLDERS_MAX, Inbox, Listing, Walk, Walked, Watch};
use crate::{boot, watch};

/// What is told to the thread from outside.
#[derive(Debug)]
pub(super) enum Command {
    Reload(Box<FilesConfig>),
    ClockConfirmed(bool),
    Stop,
}

/// Files that one transaction takes: a storm is written in few, a single file at once.
const BATCH: usize = 128;
/// Files under settling at which scans wait.
const PENDING_MAX: usize = 32_768;
/// File systems that tell no events are walked this often.
const SILENT_EVERY: Duration = Duration::from_secs(10);
/// The log dirs themselves are looked at this often: an unmount is told by nobody.
const ROOTS_EVERY: Duration = Duration::from_secs(30);
/// One that is not there, this often.
const MISSING_EVERY: Duration = Duration::from_secs(5);
/// A spool that does not take an event is tried again after this.
const RETRY: Duration = Duration::from_secs(1);

struct Root {
    path: PathBuf,
    /// Files older than this were there before the agent was.
    first_at: At,
    /// Scanned to its end at least once, ever.
    scanned: bool,
    identity: Option<(u64, u64)>,
    silent: bool,
    next_walk: Duration,
    seen: HashSet<FolderId>,
}

pub(super) struct Road {
    config: FilesConfig,
    redactor: Redactor,
    spool: Spool,
    bell: Arc<Notify>,
    clock: Clock,
    inbox: Arc<Inbox<Command>>,
    watch: Watch,
    settle: Settle,
    roots: Vec<Root>,
    folders: HashMap<FolderId, FolderPlace>,
    by_path: HashMap<PathBuf, FolderId>,
    /// Folders that were renamed away: what was in them was not cleared.
    moved_away: HashSet<PathBuf>,
    walks: VecDeque<(usize, PathBuf)>,
    walker: Option<std::thread::JoinHandle<()>>,
    comparison: Option<Comparison>,
    paced: HashMap<FileKey, Duration>,
    troubles: Troubles,
    status: Arc<Mutex<FilesStatus>>,
    sweep: Sweep,
    next_roots: Duration,
    retry_at: Option<Duration>,
    full: bool,
    /// Changes were passed over: everything is to be looked at again.
    missed: bool,
    stopping: bool,
}

impl Road {
    pub(super) fn new(
        config: FilesConfig,
        spool: Spool,
        bell: Arc<Notify>,
        clock: Clock,
        inbox: Arc<Inbox<Command>>,
        status: Arc<Mutex<FilesStatus>>,
    ) -> Result<Road, super::FilesError> {
        let watch = Watch::new(&inbox).map_err(super::FilesError::Watch)?;
        let mut troubles = Troubles::new(spool.clone(), clock.clone())?;
        if let Some(aside) = spool.meta("recovered_aside")?.filter(|aside| !aside.is_empty()) {
            let text = format!("the spool was damaged; it lies in {aside}, what could be read of it was carried over");
            troubles.once("spool_damaged", &aside, text);
            spool.set_meta("recovered_aside", "")?;
        }
        let mut road = Road {
            redactor: Redactor::new(config.redact.clone()),
            settle: Settle::new(config.settle, config.settle_max),
            sweep: Sweep::new(now()),
            roots: Vec::new(),
            folders: HashMap::new(),
            by_path: HashMap::new(),
            moved_away: HashSet::new(),
            walks: VecDeque::new(),
            walker: None,
            comparison: None,
            paced: HashMap::new(),
            next_roots: now() + ROOTS_EVERY,
            retry_at: None,
            full: false,
            missed: false,
            stopping: false,
            config,
            spool,
            bell,
            clock,
            inbox,
            watch,
            troubles,
            status,
        };
        road.take_roots()?;
        Ok(road)
    }

    /// Until it is told to stop. An error is the end of the thread, and so of the process.
    pub(super) fn run(mut self) -> Result<(), SpoolError> {
        while !self.stopping {
            let wait = self.next_due().map(|due| due.saturating_sub(now()));
            let room = self.comparison.is_none() && self.settle.len() < PENDING_MAX;
            let taken = self.inbox.take(wait, room);
            if taken.overflow || (self.missed && self.settle.len() < PENDING_MAX) {
                self.missed = false;
                tracing::warn!("more changes than the kernel's queue holds: looking at everything");
                (0..self.roots.len()).for_each(|root| self.queue_walk(root, PathBuf::new()));
            }
            for arrival in taken.arrivals {
                self.arrive(arrival)?;
            }
            self.timers()?;
            self.start_walk();
            self.compare()?;
            self.look_at_ready(now())?;
            self.publish();
        }
        // What is ready now is told before the end; what still settles is found by the next start.
        self.look_at_ready(now())?;
        self.inbox.close();
        if let Some(walker) = self.walker.take() {
            let _panicked = walker.join().is_err();
        }
        Ok(())
    }

    fn next_due(&self) -> Option<Duration> {
        let now = now();
        if self.comparison.is_some() && self.settle.len() < PENDING_MAX {
            return Some(now);
        }
        let settle = match (self.full, self.retry_at) {
            (true, _) => None,
            (false, Some(at)) => Some(at),
            (false, None) => self.settle.next_due(),
        };
        let roots = self.roots.iter().map(|root| root.next_walk);
        let sweep = self.config.keep.and_then(|_| self.sweep.next_due());
        roots.chain(settle).chain(self.retry_at).chain(sweep).chain([self.next_roots]).min()
    }

    fn arrive(&mut self, arrival: Arrival<Command>) -> Result<(), SpoolError> {
        match arrival {
            Arrival::Change(path, change) => self.change(&path, change),
            Arrival::Listing(listing) => self.listing(listing)?,
            Arrival::Walked(walked) => self.walked(&walked)?,
            Arrival::Command(Command::ClockConfirmed(confirmed)) => self.sweep.clock_confirmed(confirmed, now()),
            Arrival::Command(Command::Stop) => self.stopping = true,
            Arrival::Command(Command::Reload(config)) => {
                self.redactor = Redactor::new(config.redact.clone());
                self.settle.set(config.settle, config.settle_max);
                let other_dirs = config.log_dirs != self.config.log_dirs || config.own != self.config.own;
                self.config = *config;
                if other_dirs {
                    self.take_roots()?;
                }
            }
        }
        Ok(())
    }

    /// Starts anew with the configured log dirs; one inside another is watched with it.
    fn take_roots(&mut self) -> Result<(), SpoolError> {
        self.folders.clear();
        self.by_path.clear();
        self.comparison = None;
        self.walks.clear();
        self.roots.clear();
        let dirs = self.config.log_dirs.clone();
        for (i, dir) in dirs.iter().enumerate() {
            let inside =
                dirs.iter().enumerate().any(|(j, other)| j != i && dir.starts_with(other) && (dir != other || j < i));
            if inside {
                continue;
            }
            let text = path_text(dir.as_os_str().as_bytes());
            let first = self.spool.meta(&format!("first:{text}"))?.and_then(|at| at.parse().ok());
            let first_at = first.map_or_else(|| self.clock.now(), At);
            if first.is_none() {
                self.spool.set_meta(&format!("first:{text}"), &first_at.0.to_string())?;
            }
            let scanned = self.spool.meta(&format!("scanned:{text}"))?.is_some();
            self.roots.push(Root {
                path: dir.clone(),
                first_at,
                scanned,
                identity: None,
                silent: false,
                next_walk: now(),
                seen: HashSet::new(),
            });
        }
        self.troubles.only("log_dir_missing", |path| dirs.iter().any(|dir| text_of(dir) == path));
        Ok(())
    }

    fn change(&mut self, path: &Path, change: Change) {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        if matches!(change, Change::MovedFrom | Change::FolderGone) && self.by_path.contains_key(path) {
            if change == Change::MovedFrom && self.moved_away.len() < FOLDERS_MAX {
                self.moved_away.insert(path.to_owned());
            }
            self.drop_folders(path);
            return;
        }
        let Some((&id, place)) =
            self.by_path.get(parent).and_then(|id| self.folders.get(id).map(|place| (id, place.clone())))
        else {
            return;
        };
        let is_folder = change == Change::FolderMade
            || (change == Change::MovedTo && std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir()));
        if is_folder {
            self.queue_walk(place.root, place.path.join(name));
            return;
        }
        let touch = match change {
            Change::Written => Touch::Written,
            Change::Closed => Touch::Closed,
            Change::Metadata | Change::MovedTo => Touch::Moved,
            Change::MovedFrom => Touch::Renamed,
            Change::Removed => Touch::Removed,
            Change::FolderMade | Change::FolderGone => return,
        };
        if watch::may_matter(name.as_bytes()) {
            if self.settle.len() >= 2 * PENDING_MAX {
                // The walks that make up for it wait until these are read.
                self.missed = true;
                return;
            }
            let key = FileKey { folder: id, name: name.as_bytes().to_owned() };
            self.settle.touch(&key, touch, now(), self.clock.now());
        }
    }

    fn drop_folders(&mut self, path: &Path) {
        self.by_path.retain(|known, _| !known.starts_with(path));
        let left: HashSet<FolderId> = self.by_path.values().copied().collect();
        // The files in it still settle, and are found to be gone.
        if self.settle.is_empty() {
            self.folders.retain(|id, _| left.contains(id));
        }
        if self.roots.iter().any(|root| root.path == path) {
            self.next_roots = now();
        }
    }

    fn queue_walk(&mut self, root: usize, path: PathBuf) {
        if !self.walks.iter().any(|(r, p)| *r == root && path.starts_with(p)) {
            self.walks.push_back((root, path));
        }
    }

    fn start_walk(&mut self) {
        if self.walker.is_some() {
            return;
        }
        let Some((root, path)) = self.walks.pop_front() else { return };
        let Some(of) = self.roots.get_mut(root) else { return };
        let whole = path.as_os_str().is_empty();
        if whole {
            of.seen.clear();
            of.next_walk = now() + if of.silent { SILENT_EVERY } else { self.config.rescan_every };
        }
        let others =
            self.folders.values().filter(|place| !whole && place.root == root && !place.path.starts_with(&path));
        let walk = Walk {
            root,
            log_dir: of.path.clone(),
            folders_left: FOLDERS_MAX.saturating_sub(others.count()),
            own: self.config.own.clone(),
            path: path.clone(),
        };
        match self.watch.walk(walk, &self.inbox) {
            Ok(walker) => self.walker = Some(walker),
            Err(error) => {
                tracing::error!(%error, "cannot start a thread; trying again");
                of.next_walk = now() + RETRY;
                self.walks.push_front((root, path));
            }
        }
    }

    fn listing(&mut self, listing: Listing) -> Result<(), SpoolError> {
        let Some(root) = self.roots.get_mut(listing.root) else { return Ok(()) };
        let whole = joined(&root.path, &listing.path);
        let bytes = whole.as_os_str().as_bytes();
        let (device, inode) = listing.identity;
        let moved = |old: &[u8]| std::fs::symlink_metadata(as_path(old)).is_err();
        let folder = self.spool.folder(bytes, device, inode, moved)?;
        root.seen.insert(folder.id);
        if listing.path.as_os_str().is_empty() {
            root.identity = Some(listing.identity);
        }
        self.moved_away.remove(&whole);
        self.by_path.retain(|path, id| *id != folder.id || *path == whole);
        self.by_path.insert(whole, folder.id);
        self.folders.insert(folder.id, FolderPlace { root: listing.root, path: listing.path.clone() });
        let history_before = (!root.scanned).then_some(root.first_at);
        self.comparison = Some(Comparison::new(folder.id, listing, folder.known, history_before, folder.other_device));
        Ok(())
    }

    fn compare(&mut self) -> Result<(), SpoolError> {
        let Some(comparison) = &mut self.comparison else { return Ok(()) };
        if self.settle.len() >= PENDING_MAX {
            return Ok(());
        }
        let mut batch = Batch::default();
        let done = comparison.step(&self.spool, &mut self.settle, &mut batch, now(), self.clock.now())?;
        let folder = comparison.folder;
        if let Err(error) = self.spool.put(&batch) {
            // Nothing is lost: what is not remembered is met again by the next walk.
            self.spool_failed(&error)?;
        }
        // Metadata of a first scan: those that count for states are read after it.
        for key in batch.history() {
            self.settle.look_at(key, now(), self.clock.now());
        }
        if done {
            self.comparison = None;
            tracing::trace!(?folder, "compared");
        }
        Ok(())
    }

    fn walked(&mut self, walked: &Walked) -> Result<(), SpoolError> {
        if let Some(walker) = self.walker.take() {
            let _panicked = walker.join().is_err();
        }
        let Some(root) = self.roots.get_mut(walked.root) else { return Ok(()) };
        root.silent |= walked.silent;
        let dir = text_of(&root.path);
        for (path, why) in &walked.unreadable {
            let text = text_of(&joined(&root.path, path));
            if path.as_os_str().is_empty() && read::identity_of(&root.path) == Err(Errno::NOENT) {
                let why = format!("the log dir {text} is not there: create it, or mount what holds it");
                self.troubles.begin("log_dir_missing", &text, why);
                root.next_walk = now() + MISSING_EVERY;
            } else {
                let why = format!("cannot read the folder {text}: {why}; the agent's user needs r and x on it");
                self.troubles.begin("log_dir_unreadable", &text, why);
                if path.as_os_str().is_empty() {
                    root.next_walk = now() + MISSING_EVERY;
                }
            }
        }
        let whole = walked.path.as_os_str().is_empty();
        if walked.watch_limit {
            let text = "no more inotify watches: raise fs.inotify.max_user_watches (sysctl); until then changes under \
                        this folder are found by a walk every 10 s";
            self.troubles.begin("watch_limit", &dir, text.to_owned());
            root.silent = true;
        }
        if walked.too_many {
            let text =
                format!("{dir} holds more than {FOLDERS_MAX} folders, or deeper than 32: the rest is not watched");
            self.troubles.begin("too_many_folders", &dir, text);
        }
        if !whole || walked.stopped {
            return Ok(());
        }
        if root.silent && !walked.watch_limit && !walked.silent {
            root.silent = false;
        }
        if root.silent {
            root.next_walk = root.next_walk.min(now() + SILENT_EVERY);
        }
        let (path, failed) = (root.path.clone(), !walked.unreadable.is_empty());
        let root_failed = walked.unreadable.iter().any(|(path, _)| path.as_os_str().is_empty());
        let unreadable: HashSet<String> = walked.unreadable.iter().map(|(p, _)| text_of(&joined(&path, p))).collect();
        self.troubles.only("log_dir_unreadable", |text| {
            unreadable.contains(text) || !as_path(text.as_bytes()).starts_with(&path)
        });
        if !root_failed {
            self.troubles.over("log_dir_missing", &dir);
        }
        if !walked.watch_limit {
            self.troubles.over("watch_limit", &dir);
        }
        if !walked.too_many {
            self.troubles.over("too_many_folders", &dir);
        }
        if root_failed {
            return Ok(());
        }
        if !failed && !walked.too_many {
            self.forget_unseen(walked.root)?;
        }
        if let Some(root) = self.roots.get_mut(walked.root).filter(|root| !root.scanned) {
            root.scanned = true;
            self.spool.set_meta(&format!("scanned:{dir}"), "yes")?;
        }
        Ok(())
    }

    /// Folders that a whole walk did not meet: what was in them was removed with them, unless they were renamed away.
    fn forget_unseen(&mut self, root: usize) -> Result<(), SpoolError> {
        let Some(of) = self.roots.get(root) else { return Ok(()) };
        for folder in self.spool.folders()? {
            let path = as_path(&folder.path);
            let Ok(beneath) = path.strip_prefix(&of.path) else { continue };
            if of.seen.contains(&folder.id) {
                continue;
            }
            let moved = self.moved_away.iter().any(|away| path.starts_with(away));
            let rows = if moved { Vec::new() } else { self.spool.rows(folder.id, None, 1024)? };
            self.by_path.remove(path);
            if rows.is_empty() {
                self.folders.remove(&folder.id);
                self.spool.forget_folder(folder.id)?;
                continue;
            }
            self.folders.insert(folder.id, FolderPlace { root, path: beneath.to_owned() });
            for row in rows {
                let key = FileKey { folder: folder.id, name: row.name };
                self.settle.touch(&key, Touch::Found(Duration::MAX), now(), self.clock.now());
            }
        }
        self.moved_away.clear();
        Ok(())
    }

    fn timers(&mut self) -> Result<(), SpoolError> {
        let now = now();
        for i in 0..self.roots.len() {
            if self.roots.get(i).is_some_and(|root| root.next_walk <= now) {
                self.queue_walk(i, PathBuf::new());
                if let Some(root) = self.roots.get_mut(i) {
                    root.next_walk = now + self.config.rescan_every.min(SILENT_EVERY);
                }
            }
        }
        if self.next_roots <= now {
            self.next_roots = now + ROOTS_EVERY;
            for i in 0..self.roots.len() {
                self.check_root(i);
            }
        }
        if let Some(keep) = self.config.keep.filter(|_| self.sweep.next_due().is_some_and(|due| due <= now)) {
            let roots: Vec<&Path> = self.roots.iter().map(|root| root.path.as_path()).collect();
            let swept = self.sweep.run(&self.spool, &roots, keep, now, self.clock.now())?;
            let failed: HashSet<String> = swept.failed.iter().map(|(path, _)| path.clone()).collect();
            self.troubles.only("not_cleanable", |path| failed.contains(path));
            for (path, why) in swept.failed {
                let text = format!("cannot delete old log files in {path}: {why}; the agent's user needs w on it");
                self.troubles.begin("not_cleanable", &path, text);
            }
        }
        Ok(())
    }

    /// Is what is mounted there still what was scanned?
    fn check_root(&mut self, i: usize) {
        let Some(root) = self.roots.get(i) else { return };
        if root.identity.is_some() && read::identity_of(&root.path).ok() != root.identity {
            self.queue_walk(i, PathBuf::new());
        }
    }

    fn look_at_ready(&mut self, now: Duration) -> Result<(), SpoolError> {
        if self.retry_at.is_some_and(|at| at > now) {
            return Ok(());
        }
        if self.retry_at.take().is_some() {
            self.troubles.retry();
        }
        if self.is_full() {
            return Ok(());
        }
        let ready = self.settle.ready(now, BATCH);
        if ready.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        let mut again = Vec::new();
        for (key, pending) in &ready {
            let Some(folder) = self.folders.get(&key.folder) else { continue };
            let Some(root) = self.roots.get(folder.root) else { continue };
            let mut looker = Looker {
                config: &self.config,
                redactor: &self.redactor,
                spool: &self.spool,
                clock: &self.clock,
                boot: boot::id(),
                now,
                log_dir: &root.path,
                folder,
                paced: &mut self.paced,
                batch: &mut batch,
            };
            let path = joined(&root.path, &folder.path).join(as_path(&key.name));
            match looker.look(key, pending)? {
                Looked::Done => self.troubles.over("file_unreadable", &text_of(&path)),
                Looked::Again(at) => again.push((key.clone(), *pending, at)),
                Looked::Unreadable(why) => {
                    let text = format!("cannot read {}: {why}; the agent's user needs r on it", text_of(&path));
                    self.troubles.begin("file_unreadable", &text_of(&path), text);
                }
            }
        }
        match self.spool.put(&batch) {
            Ok(_) => {
                self.troubles.over("disk_full", "");
                if batch.has_events() {
                    self.bell.notify_one();
                }
                for (key, pending, at) in again {
                    self.settle.again(key, pending, at);
                }
            }
            Err(error) => {
                for (key, pending) in ready {
                    self.settle.again(key, pending, now + RETRY);
                }
                self.spool_failed(&error)?;
            }
        }
        if self.paced.len() > 1024 {
            self.paced.retain(|_, until| *until > now);
        }
        Ok(())
    }

    /// At its bound the spool takes no more text; the files hold it.
    fn is_full(&mut self) -> bool {
        let held = self.spool.held().bytes;
        let bound = if self.full { self.config.spool_max / 10 * 9 } else { self.config.spool_max };
        let full = held >= bound.max(1);
        if full && !self.full {
            let text =
                format!("{held} bytes of events wait for the hub (spool_max): reading pauses, the files keep the rest");
            self.troubles.begin("spool_full", "", text);
            self.bell.notify_one();
        } else if !full && self.troubles.is_open("spool_full") {
            self.troubles.over("spool_full", "");
        }
        self.full = full;
        full
    }

    /// A full disk is waited for; everything else ends the thread.
    fn spool_failed(&mut self, error: &SpoolError) -> Result<(), SpoolError> {
        let io = matches!(error, SpoolError::Full { .. } | SpoolError::Busy { .. }) || error.is_io();
        tracing::error!(%error, "the spool did not take what was read; it is read again");
        self.retry_at = Some(now() + RETRY);
        if !io {
            return Err(error.again());
        }
        self.troubles.begin("disk_full", "", error.to_string());
        Ok(())
    }

    fn publish(&mut self) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.watched_folders = self.by_path.len() as u64;
        status.notes = self.troubles.notes();
        status.alive_at = self.clock.now();
    }
}

fn joined(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) }
}

fn text_of(path: &Path) -> String {
    path_text(path.as_os_str().as_bytes())
}

/// Time since boot.
pub(super) fn now() -> Duration {
    Duration::from_millis(boot::up())
}

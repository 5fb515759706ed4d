//! The thread's loop: takes what arrives, lets files settle, looks at those that are ready, commits, rings.

use std::collections::{HashMap, HashSet, VecDeque};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use olog_daemon::{clock::Clock, pulse::Pulse};
use olog_proto::name::path_text;
use tokio::sync::Notify;

use super::look::{FolderPlace, Looked, Looker};
use super::roots::{Root, Walker};
use super::scan::Comparison;
use super::troubles::Troubles;
use super::{FilesConfig, FilesStatus, told};
use crate::read::as_path;
use crate::settle::{Settle, Touch};
use crate::spool::{Batch, FileKey, FolderId, Spool, SpoolError};
use crate::sweep::Sweep;
use crate::text::Redactor;
use crate::watch::{Arrival, Change, FOLDERS_MAX, Inbox, Watch};
use crate::{boot, watch};

/// What is told to the thread from outside.
#[derive(Debug)]
pub(super) enum Command {
    Reload(Box<FilesConfig>),
    HubClock(Option<i64>),
    Stop,
}

/// Files that one transaction takes: a storm is written in few, a single file at once.
const BATCH: usize = 128;
/// Files under settling at which scans wait.
const PENDING_MAX: usize = 32_768;
/// File systems that tell no events are walked this often.
pub(super) const SILENT_EVERY: Duration = Duration::from_secs(10);
/// The log dirs themselves are looked at this often: an unmount is told by nobody.
const ROOTS_EVERY: Duration = Duration::from_secs(30);
/// One that is not there, this often.
pub(super) const MISSING_EVERY: Duration = Duration::from_secs(5);
/// A spool that does not take an event is tried again after this.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// A walk in hand is waited for this often and so long.
const STOP_LOOKS: u32 = 200;
const STOP_LOOK: Duration = Duration::from_millis(10);

/// What ends the thread before it is told to.
#[derive(Debug, thiserror::Error)]
pub(super) enum RoadError {
    /// The spool cannot go on.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The thread that hears the kernel ended.
    #[error("nobody hears the kernel's changes any more")]
    Deaf,
}

pub(super) struct Road {
    pub(super) config: FilesConfig,
    pub(super) redactor: Redactor,
    pub(super) spool: Spool,
    pub(super) bell: Arc<Notify>,
    pub(super) clock: Clock,
    pub(super) inbox: Arc<Inbox<Command>>,
    pub(super) watch: Watch,
    pub(super) settle: Settle,
    pub(super) roots: Vec<Root>,
    pub(super) folders: HashMap<FolderId, FolderPlace>,
    pub(super) by_path: HashMap<PathBuf, FolderId>,
    /// Folders that were renamed away: what was in them was not cleared.
    pub(super) moved_away: HashSet<PathBuf>,
    pub(super) walks: VecDeque<(usize, PathBuf)>,
    pub(super) walkers: Vec<Walker>,
    /// The next log dir's number.
    pub(super) next_root: usize,
    pub(super) comparison: Option<Comparison>,
    pub(super) paced: HashMap<FileKey, Duration>,
    pub(super) troubles: Troubles,
    pub(super) status: Arc<Mutex<FilesStatus>>,
    pub(super) pulse: Pulse,
    pub(super) sweep: Sweep,
    /// Log dirs in which nothing can be deleted, by what can be seen of them.
    pub(super) kept: HashSet<String>,
    pub(super) next_roots: Duration,
    pub(super) retry_at: Option<Duration>,
    pub(super) full: bool,
    /// Changes were passed over: everything is to be looked at again.
    pub(super) missed: bool,
    pub(super) stopping: bool,
}

impl Road {
    pub(super) fn new(
        config: FilesConfig,
        spool: Spool,
        bell: Arc<Notify>,
        clock: Clock,
        inbox: Arc<Inbox<Command>>,
        status: Arc<Mutex<FilesStatus>>,
        pulse: Pulse,
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
            kept: config
                .log_dirs
                .iter()
                .map(|dir| text_of(dir))
                .filter(|dir| troubles.is_open_at("not_cleanable", dir))
                .collect(),
            roots: Vec::new(),
            folders: HashMap::new(),
            by_path: HashMap::new(),
            moved_away: HashSet::new(),
            walks: VecDeque::new(),
            walkers: Vec::new(),
            next_root: 0,
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
            pulse,
        };
        road.take_roots()?;
        Ok(road)
    }

    /// Until it is told to stop. An error is the end of the thread, and so of the process.
    pub(super) fn run(mut self) -> Result<(), RoadError> {
        while !self.stopping {
            let wait = self.next_due().map(|due| due.saturating_sub(now()));
            let room = self.comparison.is_none() && self.settle.len() < PENDING_MAX;
            let taken = self.inbox.take(wait, room);
            if taken.deaf {
                return Err(RoadError::Deaf);
            }
            if taken.overflow || (self.missed && self.settle.len() < PENDING_MAX) {
                self.missed = false;
                tracing::warn!("more changes than the kernel's queue holds: looking at everything");
                (0..self.roots.len()).for_each(|root| self.queue_walk(root, PathBuf::new()));
            }
            for arrival in taken.arrivals {
                self.arrive(arrival)?;
                self.pulse.beat();
            }
            self.feel_walkers();
            self.timers()?;
            self.start_walk();
            self.compare()?;
            self.look_at_ready(now())?;
            self.publish();
            self.pulse.beat();
        }
        // What is ready now is told before the end; what still settles is found by the next start.
        self.look_at_ready(now())?;
        self.inbox.close();
        // One that hangs in a file server that is away ends with the process.
        for _ in 0..STOP_LOOKS {
            if self.walkers.iter().all(|walker| walker.stuck || walker.thread.is_finished()) {
                break;
            }
            std::thread::sleep(STOP_LOOK);
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
        let sweep = self.sweep.next_due();
        let walkers = self.walkers.iter().filter_map(|walker| walker.looked_at_by(self.config.stuck_after));
        roots.chain(walkers).chain(settle).chain(self.retry_at).chain(sweep).chain([self.next_roots]).min()
    }

    fn arrive(&mut self, arrival: Arrival<Command>) -> Result<(), SpoolError> {
        match arrival {
            Arrival::Change(path, change) => self.change(&path, change),
            Arrival::Listing(listing) => self.listing(listing)?,
            Arrival::Walked(walked) => self.walked(&walked)?,
            Arrival::Command(Command::HubClock(skew)) => self.sweep.hub_clock(skew, now(), self.clock.now()),
            Arrival::Command(Command::Stop) => self.stopping = true,
            Arrival::Command(Command::Reload(config)) => {
                self.redactor = Redactor::new(config.redact.clone());
                self.settle.set(config.settle, config.settle_max);
                let other_dirs = config.log_dirs != self.config.log_dirs || config.own != self.config.own;
                self.config = *config;
                if other_dirs {
                    self.take_roots()?;
                }
                self.look_at_obstacles();
            }
        }
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
            self.look_at_obstacles();
        }
        if self.sweep.next_due().is_some_and(|due| due <= now) {
            let roots: Vec<&Path> = self.roots.iter().map(|root| root.path.as_path()).collect();
            let swept = self.sweep.run(&self.spool, &roots, self.config.keep, (now, self.clock.now()), &self.pulse)?;
            if swept.ran {
                let failed: HashSet<&String> = swept.failed.iter().map(|(path, _)| path).collect();
                self.troubles
                    .only("not_cleanable", |path| failed.contains(&path.to_owned()) || self.kept.contains(path));
            }
            for (path, why) in swept.failed {
                let text =
                    format!("cannot delete old log files in {path}: {why}; the agent's user needs w and x on it");
                self.troubles.begin("not_cleanable", &path, text);
            }
        }
        Ok(())
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
            // A read from a slow file server is work; one that never returns is not.
            self.pulse.beat();
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
                Looked::Done if !self.troubles.is_open("file_unreadable") => {}
                Looked::Done => self.troubles.over("file_unreadable", &text_of(&path)),
                Looked::Again(at) => again.push((key.clone(), *pending, at)),
                Looked::Unreadable(why) => {
                    let text = format!("cannot read {}: {why}; the agent's user needs r on it", text_of(&path));
                    self.troubles.begin("file_unreadable", &text_of(&path), text);
                }
            }
        }
        match self.spool.put(&batch) {
            Ok(last) => {
                told::log(batch.events(), last);
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
    }
}

pub(super) fn joined(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) }
}

pub(super) fn text_of(path: &Path) -> String {
    path_text(path.as_os_str().as_bytes())
}

/// Time since boot.
pub(super) fn now() -> Duration {
    Duration::from_millis(boot::up())
}

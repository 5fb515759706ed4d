//! The loop of the files thread: takes changes, lets files settle, inspects the ready ones, commits, and wakes the uplink.
//!
//! ```text
//! inbox ─▶ settle ─▶ inspect ─▶ batch ─▶ spool (one transaction) ─▶ bell
//!   ▲         ▲
//! roots ─▶ scan (what a walk listed against what is known)
//! ```
//!
//! All of it is blocking and in one order, so that the changes of a file are handled in sequence. A file whose batch the spool
//! did not take goes back into `settle` and is read again: an offset moves only together with its events.
//!
//! A failure that may pass ([`super::health`]) costs one duty, never the others: on a full disk folders are still scanned, old files
//! still deleted, and what was passed over is scanned again.

use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use olog_daemon::{clock::Clock, workers::Worker};
use tokio::sync::Notify;

use super::event_log;
use super::health::{Duties, FilesError, FilesStatus, Task};
use super::inspect::InspectResult;
use super::inspector::{FolderNames, Inspector};
use super::notes::Notes;
use super::roots::{Roots, joined, text_of};
use super::scan::Comparison;
use super::settings::{Command, FilesConfig};
use crate::boot::{self, now};
use crate::read::as_path;
use crate::settle::{FileSignal, Left, Settle};
use crate::spool::{Batch, FileKey, Spool, SpoolError};
use crate::sweep::Sweep;
use crate::text::Redactor;
use crate::watch::{Change, Inbox, InboxItem, Watch, may_matter};

/// Files that one transaction takes: a storm is written in few, a single file at once.
const BATCH: usize = 128;
/// Files under settling at which scans wait.
const PENDING_MAX: usize = 32_768;
/// Names that are missing and wait for the end of the scan; beyond it another scan finds the rest.
const MISSING_MAX: usize = PENDING_MAX;
/// A spool that does not take an event is tried again after this.
const RETRY: Duration = Duration::from_secs(1);

/// What ends the thread before it is told to.
#[derive(Debug, thiserror::Error)]
pub(super) enum PipelineError {
    /// The spool cannot go on.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The thread that hears the kernel ended.
    #[error("nobody hears the kernel's changes any more")]
    WatcherGone,
}

pub(super) struct Pipeline {
    config: FilesConfig,
    redactor: Redactor,
    spool: Spool,
    bell: Arc<Notify>,
    clock: Clock,
    inbox: Arc<Inbox<Command>>,
    roots: Roots,
    settle: Settle,
    comparison: Option<Comparison>,
    /// Names that the scan did not meet; judged after what it met.
    missing: Vec<FileKey>,
    /// Files whose next event is rate-limited, until when.
    rate_limited_until: HashMap<FileKey, Duration>,
    sweep: Sweep,
    notes: Notes,
    duties: Duties,
    status: Arc<Mutex<FilesStatus>>,
    worker: Worker,
    /// The spool did not take a batch: not before this.
    retry_at: Option<Duration>,
    /// The spool holds `spool_max`.
    full: bool,
    /// Changes were passed over: everything is to be scanned.
    missed: bool,
    folders_listed: u64,
    stopping: bool,
}

impl Pipeline {
    pub(super) fn new(
        config: FilesConfig,
        spool: Spool,
        bell: Arc<Notify>,
        clock: Clock,
        inbox: Arc<Inbox<Command>>,
        status: Arc<Mutex<FilesStatus>>,
        worker: Worker,
    ) -> Result<Pipeline, FilesError> {
        let watch = Watch::new(&inbox).map_err(FilesError::Watch)?;
        let notes = Notes::new(spool.clone(), clock.clone())?;
        let roots = Roots::new(spool.clone(), clock.clone(), Arc::clone(&inbox), watch, &config, &notes);
        let mut pipeline = Pipeline {
            redactor: Redactor::new(config.redact.clone()),
            settle: Settle::new(config.settle, config.settle_max),
            sweep: Sweep::new(now()),
            roots,
            comparison: None,
            missing: Vec::new(),
            rate_limited_until: HashMap::new(),
            retry_at: None,
            full: false,
            missed: false,
            folders_listed: 0,
            stopping: false,
            duties: Duties::of(&worker),
            config,
            spool,
            bell,
            clock,
            inbox,
            notes,
            status,
            worker,
        };
        let begun = pipeline.begin();
        pipeline.outcome(Task::Scan, begun)?;
        Ok(pipeline)
    }

    fn begin(&mut self) -> Result<(), SpoolError> {
        let watched = self.roots.set_log_dirs(&self.config, &mut self.notes);
        if let Some(aside) = self.spool.meta("recovered_aside")?.filter(|aside| !aside.is_empty()) {
            let text = format!("the spool was damaged; it lies in {aside}, what could be read of it was carried over");
            self.notes.once("spool_damaged", &aside, text);
            self.spool.set_meta("recovered_aside", "")?;
        }
        watched
    }

    /// Until it is told to stop. An error is the end of the thread, and so of the process.
    pub(super) fn run(mut self) -> Result<(), PipelineError> {
        while !self.stopping {
            let wait = self.next_due().map(|due| due.saturating_sub(now()));
            let room = self.comparison.is_none() && self.settle.len() < PENDING_MAX;
            let taken = self.inbox.take(wait, room);
            if taken.watcher_gone {
                return Err(PipelineError::WatcherGone);
            }
            if taken.overflow || (self.missed && self.settle.len() < PENDING_MAX) {
                self.missed = false;
                tracing::warn!("more changes than the kernel's queue holds: scanning everything");
                self.roots.scan_all();
            }
            for arrival in taken.arrivals {
                self.arrive(arrival)?;
                self.worker.beat();
            }
            self.roots.check_walkers(&self.config, &mut self.notes);
            self.roots.timers(&self.config, &mut self.notes);
            self.clean_up()?;
            self.roots.start_walk(&self.config);
            self.compare()?;
            self.judge_missing();
            self.inspect_ready(now())?;
            self.store_notes()?;
            self.publish();
            self.worker.beat();
        }
        // What is ready now is told before the end; what still settles is found by the next start.
        self.inspect_ready(now())?;
        self.inbox.close();
        self.roots.stop();
        Ok(())
    }

    /// Writes down how a task went. One that failed in a way that may pass is tried again; any other failure is handed back.
    fn outcome(&mut self, task: Task, result: Result<(), SpoolError>) -> Result<(), SpoolError> {
        let why = result.as_ref().err().map(ToString::to_string);
        self.duties.record(task, result, self.clock.now())?;
        match why {
            Some(why) => self.notes.begin("disk_full", "", why),
            None if self.duties.are_done() => self.notes.over("disk_full", ""),
            None => {}
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
        let untold = self.notes.has_untold().then_some(now + RETRY);
        let due = [self.roots.next_due(&self.config), settle, self.retry_at, self.sweep.next_due(), untold];
        due.into_iter().flatten().min()
    }

    fn arrive(&mut self, arrival: InboxItem<Command>) -> Result<(), SpoolError> {
        match arrival {
            InboxItem::Change(path, change) => self.change(&path, change),
            InboxItem::Listing(listing) => match self.roots.listed(listing) {
                Ok(comparison) => {
                    self.comparison = comparison;
                    Ok(())
                }
                // The folder is scanned again: not being known, it has nothing to lose.
                Err(error) => {
                    self.roots.scan_again(&self.config);
                    self.outcome(Task::Scan, Err(error))
                }
            },
            InboxItem::Walked(walked) => {
                let done =
                    self.roots.walked(&walked, &self.config, &mut self.notes, &mut self.settle, self.worker.pulse());
                if done.is_err() {
                    self.roots.scan_again(&self.config);
                }
                if done.is_ok() && self.roots.is_incomplete() {
                    return Ok(());
                }
                self.outcome(Task::Scan, done)
            }
            InboxItem::Command(Command::HubClock(skew)) => {
                self.sweep.hub_clock(skew, now(), self.clock.now());
                Ok(())
            }
            InboxItem::Command(Command::Stop) => {
                self.stopping = true;
                Ok(())
            }
            InboxItem::Command(Command::Reload(config)) => self.reload(*config),
        }
    }

    fn reload(&mut self, config: FilesConfig) -> Result<(), SpoolError> {
        self.redactor = Redactor::new(config.redact.clone());
        self.settle.set(config.settle, config.settle_max);
        let other_dirs = config.log_dirs != self.config.log_dirs || config.own != self.config.own;
        self.config = config;
        let mut done = Ok(());
        if other_dirs {
            self.comparison = None;
            self.missing.clear();
            done = self.roots.set_log_dirs(&self.config, &mut self.notes);
        }
        self.roots.check_obstacles(&self.config, &mut self.notes);
        self.outcome(Task::Scan, done)
    }

    fn change(&mut self, path: &Path, change: Change) -> Result<(), SpoolError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
        if matches!(change, Change::MovedFrom | Change::FolderGone) && self.roots.folder_at(path).is_some() {
            self.roots.folder_left(path, change == Change::MovedFrom, !self.settle.is_empty());
            return Ok(());
        }
        let Some((id, place)) = self.roots.folder_at(parent) else { return Ok(()) };
        let arrived = match change {
            Change::MovedTo => std::fs::symlink_metadata(path).ok(),
            _ => None,
        };
        if change == Change::FolderMade || arrived.as_ref().is_some_and(std::fs::Metadata::is_dir) {
            let (root, beneath) = (place.root, place.path.join(name));
            self.roots.queue_walk(root, beneath);
            return Ok(());
        }
        let touch = match change {
            Change::Written => FileSignal::Written,
            Change::Closed => FileSignal::Closed,
            Change::Metadata | Change::MovedTo => FileSignal::Moved,
            Change::MovedFrom => FileSignal::Renamed,
            Change::Removed => FileSignal::Removed,
            Change::FolderMade | Change::FolderGone => return Ok(()),
        };
        // Rotation may give any name to a file.
        let is_known = || match &arrived {
            Some(found) => {
                let device =
                    (u64::from(rustix::fs::major(found.dev())) << 32) | u64::from(rustix::fs::minor(found.dev()));
                self.spool.known_by_inode(device, found.ino()).map(|known| !known.is_empty())
            }
            None => Ok(false),
        };
        if may_matter(name.as_bytes()) || is_known()? {
            if self.settle.len() >= 2 * PENDING_MAX {
                // The walks that make up for it wait until these are read.
                self.missed = true;
                return Ok(());
            }
            let key = FileKey { folder: id, name: name.as_bytes().to_owned() };
            self.settle.touch(&key, touch, now(), self.clock.now());
        }
        Ok(())
    }

    fn compare(&mut self) -> Result<(), SpoolError> {
        let Some(comparison) = &mut self.comparison else { return Ok(()) };
        if self.settle.len() >= PENDING_MAX {
            return Ok(());
        }
        let mut batch = Batch::default();
        let times = (now(), self.clock.now());
        let done = comparison.step(&self.spool, &mut self.settle, &mut batch, &mut self.missing, times);
        let folder = comparison.folder;
        let stored = done.and_then(|done| self.spool.put(&batch).map(|_| done));
        // Metadata of a first scan: those that count for states are read after it.
        for key in batch.history() {
            self.settle.look_at(key, now(), self.clock.now());
        }
        let done = match stored {
            Ok(done) => done,
            Err(error) => {
                // Nothing is lost: what is not remembered is met again by the next walk.
                self.roots.scan_again(&self.config);
                self.outcome(Task::Scan, Err(error))?;
                true
            }
        };
        if done {
            self.comparison = None;
            tracing::trace!(?folder, "compared");
        }
        Ok(())
    }

    /// When the scan has met everything, what it did not meet can be judged: it is inspected after what it met.
    fn judge_missing(&mut self) {
        if self.missing.is_empty() || self.comparison.is_some() || !self.roots.is_idle() || !self.inbox.is_scanned() {
            return;
        }
        let mut missing = std::mem::take(&mut self.missing);
        if missing.len() > MISSING_MAX {
            missing.truncate(MISSING_MAX);
            self.missed = true;
        }
        for key in missing {
            self.settle.touch(&key, FileSignal::Missing, now(), self.clock.now());
        }
    }

    fn clean_up(&mut self) -> Result<(), SpoolError> {
        let now = now();
        if self.sweep.next_due().is_none_or(|due| due > now) {
            return Ok(());
        }
        let log_dirs = self.roots.log_dirs();
        let swept =
            self.sweep.run(&self.spool, &log_dirs, self.config.keep, (now, self.clock.now()), self.worker.pulse());
        let mut swept = match swept {
            Ok(swept) => swept,
            Err(error) => return self.outcome(Task::CleanUp, Err(error)),
        };
        if swept.ran {
            let failed: HashSet<&String> = swept.failed.iter().map(|(path, _)| path).collect();
            let roots = &self.roots;
            self.notes.only("not_cleanable", |path| failed.contains(&path.to_owned()) || roots.is_not_cleanable(path));
        }
        for (path, why) in swept.failed {
            let text = format!("cannot delete old log files in {path}: {why}; the agent's user needs w and x on it");
            self.notes.begin("not_cleanable", &path, text);
        }
        self.outcome(Task::CleanUp, swept.unnoted.take().map_or(Ok(()), Err))
    }

    fn inspect_ready(&mut self, now: Duration) -> Result<(), SpoolError> {
        if self.retry_at.is_some_and(|at| at > now) {
            return Ok(());
        }
        self.retry_at = None;
        if self.is_full() {
            return Ok(());
        }
        let mut ready = self.settle.ready(now, BATCH);
        if ready.is_empty() {
            return Ok(());
        }
        // A new file may have been given the inode of a deleted one: that one is forgotten first.
        ready.sort_by_key(|(_, pending)| pending.left != Some(Left::Removed));
        let mut batch = Batch::default();
        let mut names = FolderNames::default();
        let mut again = Vec::new();
        let inspected = self.inspect(&ready, &mut batch, &mut names, &mut again, now);
        self.folders_listed += names.n_listed;
        match inspected.and_then(|()| self.spool.put(&batch)) {
            Ok(last) => {
                event_log::log(batch.events(), last);
                self.sweep.noted(ready.iter().map(|(key, _)| key));
                if batch.has_events() {
                    self.bell.notify_one();
                }
                for (key, pending, at) in again {
                    self.settle.later(key, pending, at);
                }
                if !batch.is_empty() {
                    self.outcome(Task::Store, Ok(()))?;
                }
            }
            Err(error) => {
                for (key, pending) in ready {
                    self.settle.again(key, pending, now + RETRY);
                }
                self.retry_at = Some(now + RETRY);
                self.outcome(Task::Store, Err(error))?;
            }
        }
        if self.rate_limited_until.len() > 1024 {
            self.rate_limited_until.retain(|_, until| *until > now);
        }
        Ok(())
    }

    fn inspect(
        &mut self,
        ready: &[(FileKey, crate::settle::Debounced)],
        batch: &mut Batch,
        names: &mut FolderNames,
        again: &mut Vec<(FileKey, crate::settle::Debounced, Duration)>,
        now: Duration,
    ) -> Result<(), SpoolError> {
        let log_dirs = self.roots.log_dirs();
        for (key, pending) in ready {
            // A read from a slow file server is work; one that never returns is not.
            self.worker.beat();
            let Some(folder) = self.roots.folders().get(&key.folder) else { continue };
            let Some(log_dir) = log_dirs.get(folder.root).copied() else { continue };
            let mut inspector = Inspector {
                config: &self.config,
                redactor: &self.redactor,
                spool: &self.spool,
                clock: &self.clock,
                boot: boot::id(),
                now,
                log_dir,
                folder,
                folders: self.roots.folders(),
                log_dirs: &log_dirs,
                rate_limited_until: &mut self.rate_limited_until,
                settle: &self.settle,
                ready,
                swept: self.sweep.swept(),
                names,
                batch,
            };
            let result = inspector.inspect(key, pending)?;
            let whole = || joined(log_dir, &folder.path).join(as_path(&key.name));
            let path = || self.redactor.redact_line(&text_of(&whole()));
            match result {
                InspectResult::Done if !self.notes.is_open("file_unreadable") => {}
                InspectResult::Done => self.notes.over("file_unreadable", &path()),
                InspectResult::Again(at) => again.push((key.clone(), *pending, at)),
                InspectResult::Unreadable(why) => {
                    let text = format!("cannot read {}: {why}", path());
                    self.notes.begin("file_unreadable", &path(), text);
                }
            }
        }
        Ok(())
    }

    fn store_notes(&mut self) -> Result<(), SpoolError> {
        if !self.notes.has_untold() && !self.duties.fails(Task::Notes) {
            return Ok(());
        }
        let done = self.notes.retry();
        self.outcome(Task::Notes, done)
    }

    /// At its bound the spool takes no more text; the files hold it.
    fn is_full(&mut self) -> bool {
        let held = self.spool.held().bytes;
        let bound = if self.full { self.config.spool_max / 10 * 9 } else { self.config.spool_max };
        let full = held >= bound.max(1);
        if full && !self.full {
            let text =
                format!("{held} bytes of events wait for the hub (spool_max): reading pauses, the files keep the rest");
            self.notes.begin("spool_full", "", text);
            self.bell.notify_one();
        } else if !full && self.notes.is_open("spool_full") {
            self.notes.over("spool_full", "");
        }
        self.full = full;
        full
    }

    fn publish(&mut self) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.watched_folders = self.roots.n_folders() as u64;
        status.scans = self.roots.n_walks();
        status.folders_listed = self.folders_listed;
        status.notes = self.notes.notes();
    }
}

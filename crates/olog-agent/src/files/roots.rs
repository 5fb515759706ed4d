//! The log dirs: when they are scanned, what a scan found, and what is wrong with them.
//!
//! A scan ("walk") runs in a thread of its own, because a file server that is away hangs whoever asks it; one walk runs at a time,
//! those that hang do not count. It sets a watch on each folder and lists it; what a list says is compared by the pipeline.
//! Scans run at the start, every `rescan_every`, every 10 s where the file system tells no events, after an overflow, and below each
//! mount that appears or vanishes: the kernel tells nobody of those, so the mount table is read every 30 s.
//!
//! Must not read log files, and must not ask a file system for anything from the calling thread unless it has answered a walk.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use olog_daemon::clock::Clock;
use olog_daemon::pulse::Pulse;
use olog_proto::Timestamp;
use olog_proto::name::path_text;
use rustix::io::Errno;

use super::inspector::FolderPlace;
use super::notes::Notes;
use super::scan::{Comparison, Missing};
use super::settings::{Command, FilesConfig};
use crate::boot::now;
use crate::read::{self, as_path};
use crate::sandbox::OwnMounts;
use crate::settle::{FileSignal, Settle};
use crate::spool::{FileKey, FolderId, Spool, SpoolError};
use crate::watch::{Disk, FOLDERS_MAX, Inbox, Listing, Walk, Walked, Watch};

/// A disk that was told as full is so no more this much (percent) below what made it full.
const FULL_NO_MORE: u64 = 5;
/// File systems that tell no events are walked this often.
const SILENT_EVERY: Duration = Duration::from_secs(10);
/// A log dir that is not there is looked for this often.
const MISSING_EVERY: Duration = Duration::from_secs(5);
/// A thread that cannot be started is tried again after this.
const RETRY: Duration = Duration::from_secs(1);
/// At the end a walk in hand is waited for this often and so long.
const STOP_LOOKS: u32 = 200;
const STOP_LOOK: Duration = Duration::from_millis(10);

/// A walk in hand. One at a time; those that hang do not count.
struct Walker {
    root: usize,
    log_dir: PathBuf,
    thread: std::thread::JoinHandle<()>,
    pulse: Pulse,
    count: u64,
    moved_at: Duration,
    stuck: bool,
}

impl Walker {
    /// When it must have moved; never, for one that is known to hang.
    fn looked_at_by(&self, limit: Duration) -> Option<Duration> {
        (!self.stuck).then(|| self.moved_at + limit)
    }
}

struct Root {
    /// Not its place in the list: a walk may outlive that.
    id: usize,
    path: PathBuf,
    /// Files older than this were there before the agent was.
    first_at: Timestamp,
    /// Scanned to its end at least once, ever.
    scanned: bool,
    identity: Option<(u64, u64)>,
    silent: bool,
    /// Empty, and on another file system than what is known of it: what was mounted there is gone.
    unmounted: bool,
    next_walk: Duration,
    seen: HashSet<FolderId>,
    /// The spool did not take a folder of this walk: what it did not meet may be there.
    incomplete: bool,
    /// The mounts below it, as the mount table names them.
    mounts: BTreeMap<PathBuf, u64>,
}

/// The log dirs and their folders.
pub(super) struct Roots {
    spool: Spool,
    clock: Clock,
    inbox: Arc<Inbox<Command>>,
    watch: Watch,
    list: Vec<Root>,
    folders: HashMap<FolderId, FolderPlace>,
    by_path: HashMap<PathBuf, FolderId>,
    /// Folders that were renamed away: what was in them was not cleared.
    moved_away: HashSet<PathBuf>,
    /// Folders at which something was mounted or unmounted, until they are walked.
    remounted: HashSet<PathBuf>,
    walks: VecDeque<(usize, PathBuf)>,
    walkers: Vec<Walker>,
    /// The next log dir's number.
    next_root: usize,
    /// Log dirs in which nothing can be deleted, by what can be seen of them.
    not_cleanable: HashSet<String>,
    next_check: Duration,
    n_walks: u64,
}

impl Roots {
    pub(super) fn new(
        spool: Spool,
        clock: Clock,
        inbox: Arc<Inbox<Command>>,
        watch: Watch,
        config: &FilesConfig,
        notes: &Notes,
    ) -> Roots {
        let not_cleanable = config.log_dirs.iter().map(|dir| text_of(dir));
        Roots {
            not_cleanable: not_cleanable.filter(|dir| notes.is_open_at("not_cleanable", dir)).collect(),
            spool,
            clock,
            inbox,
            watch,
            list: Vec::new(),
            folders: HashMap::new(),
            by_path: HashMap::new(),
            moved_away: HashSet::new(),
            remounted: HashSet::new(),
            walks: VecDeque::new(),
            walkers: Vec::new(),
            next_root: 0,
            next_check: now() + config.check_every,
            n_walks: 0,
        }
    }

    /// Begins with the configured log dirs; one inside another is watched with it.
    pub(super) fn set_log_dirs(&mut self, config: &FilesConfig, notes: &mut Notes) -> Result<(), SpoolError> {
        self.folders.clear();
        self.by_path.clear();
        self.walks.clear();
        self.list.clear();
        let dirs = config.log_dirs.clone();
        let mount_table = OwnMounts::read();
        // Whatever else fails, the log dirs are watched.
        let mut stored = Ok(());
        for (i, dir) in dirs.iter().enumerate() {
            let inside =
                dirs.iter().enumerate().any(|(j, other)| j != i && dir.starts_with(other) && (dir != other || j < i));
            if inside {
                continue;
            }
            let text = path_text(dir.as_os_str().as_bytes());
            let first = self.spool.meta(&format!("first:{text}"))?.and_then(|at| at.parse().ok());
            let first_at = first.map_or_else(|| self.clock.now(), Timestamp);
            if first.is_none() {
                stored = stored.and(self.spool.set_meta(&format!("first:{text}"), &first_at.0.to_string()));
            }
            let scanned = self.spool.meta(&format!("scanned:{text}"))?.is_some();
            self.next_root += 1;
            self.list.push(Root {
                id: self.next_root,
                mounts: mount_table.mounts_below(dir),
                incomplete: false,
                path: dir.clone(),
                first_at,
                scanned,
                identity: None,
                silent: false,
                unmounted: false,
                next_walk: now(),
                seen: HashSet::new(),
            });
        }
        for code in ["log_dir_missing", "log_dir_hidden", "log_dir_full"] {
            notes.only(code, |path| dirs.iter().any(|dir| text_of(dir) == path));
        }
        notes.only("not_cleanable", |path| dirs.iter().any(|dir| as_path(path.as_bytes()).starts_with(dir)));
        self.check_obstacles(config, notes);
        stored
    }

    /// What hides a log dir from this process, or keeps it from cleaning up there.
    pub(super) fn check_obstacles(&mut self, config: &FilesConfig, notes: &mut Notes) {
        let (inside, cleans) = (OwnMounts::read(), config.keep.is_some());
        if !cleans {
            self.not_cleanable.clear();
            notes.only("not_cleanable", |_| false);
        }
        for root in &self.list {
            let dir = text_of(&root.path);
            match inside.hides(&root.path, cleans) {
                Some(text) => notes.begin("log_dir_hidden", &dir, text),
                None => notes.over("log_dir_hidden", &dir),
            }
            // Not before it has answered a walk: to ask a file server that is away would hang this thread.
            if root.silent {
                self.not_cleanable.remove(&dir);
            }
            if !cleans || root.identity.is_none() || root.silent {
                continue;
            }
            match inside.keeps(&root.path) {
                Some(text) => {
                    notes.begin("not_cleanable", &dir, text);
                    self.not_cleanable.insert(dir);
                }
                None if self.not_cleanable.remove(&dir) => notes.over("not_cleanable", &dir),
                None => {}
            }
        }
    }

    /// A disk that fills up is told while there is time; log dirs that share one tell it once.
    fn check_disk(&mut self, place: usize, disk: Option<Disk>, full_above: u64, notes: &mut Notes) {
        let Some(root) = self.list.get(place) else { return };
        let device = |root: &Root| root.identity.map(|(device, _)| device);
        let is_told = self.list.iter().take(place).any(|other| device(other) == device(root));
        let dir = text_of(&root.path);
        match disk.filter(|_| !is_told) {
            Some(Disk { used, left }) if used > full_above => {
                let text = format!("the disk of {dir} is {used} % full: {} MiB left", left / (1 << 20));
                notes.begin("log_dir_full", &dir, text);
            }
            // Not at every file that comes and goes.
            Some(Disk { used, .. }) if used + FULL_NO_MORE >= full_above => {}
            _ => notes.over("log_dir_full", &dir),
        }
    }

    pub(super) fn queue_walk(&mut self, root: usize, path: PathBuf) {
        if !self.walks.iter().any(|(r, p)| *r == root && path.starts_with(p)) {
            self.walks.push_back((root, path));
        }
    }

    pub(super) fn start_walk(&mut self, config: &FilesConfig) {
        if self.walkers.iter().any(|walker| !walker.stuck) {
            return;
        }
        // A folder that does not answer is not walked a second time; the others are.
        let Some(place) = self.walks.iter().position(|(root, _)| !self.hangs(*root)) else { return };
        let Some((root, path)) = self.walks.remove(place) else { return };
        let Some(of) = self.list.get_mut(root) else { return };
        let whole = path.as_os_str().is_empty();
        if whole {
            of.seen.clear();
            of.incomplete = false;
            of.next_walk = now() + if of.silent { SILENT_EVERY } else { config.rescan_every };
        }
        let others =
            self.folders.values().filter(|place| !whole && place.root == root && !place.path.starts_with(&path));
        let pulse = Pulse::default();
        let walk = Walk {
            root: of.id,
            log_dir: of.path.clone(),
            pulse: pulse.clone(),
            watched: FolderPlace::by_owner(others),
            own: config.own.clone(),
            path: path.clone(),
        };
        match self.watch.walk(walk, &self.inbox) {
            Ok(thread) => {
                let (id, log_dir, count) = (of.id, of.path.clone(), pulse.count());
                self.walkers.push(Walker { root: id, log_dir, thread, pulse, count, moved_at: now(), stuck: false });
            }
            Err(error) => {
                tracing::error!(%error, "cannot start a thread; trying again");
                of.next_walk = now() + RETRY;
                self.walks.push_front((root, path));
            }
        }
    }

    /// Does every walk still move?
    pub(super) fn check_walkers(&mut self, config: &FilesConfig, notes: &mut Notes) {
        let now = now();
        for walker in &mut self.walkers {
            let count = walker.pulse.count();
            if count != walker.count {
                (walker.count, walker.moved_at, walker.stuck) = (count, now, false);
            } else if !walker.stuck && now.saturating_sub(walker.moved_at) >= config.stuck_after {
                walker.stuck = true;
                let dir = text_of(&walker.log_dir);
                let text = format!("{dir} does not respond: is the file server down?");
                notes.begin("log_dir_unreadable", &dir, text);
            }
        }
    }

    /// Where it is in the list now; a reload may have taken it out.
    fn place_of(&self, id: usize) -> Option<usize> {
        self.list.iter().position(|root| root.id == id)
    }

    /// A folder's list arrived: the comparison that it asks for.
    pub(super) fn listed(&mut self, listing: Listing) -> Result<Option<Comparison>, SpoolError> {
        let Some(place) = self.place_of(listing.root) else { return Ok(None) };
        let Some(root) = self.list.get_mut(place) else { return Ok(None) };
        let whole = joined(&root.path, &listing.path);
        let bytes = whole.as_os_str().as_bytes();
        let (device, inode) = listing.identity;
        let moved = |old: &[u8]| std::fs::symlink_metadata(as_path(old)).is_err();
        let known = self.spool.folder(bytes, device, inode, moved);
        let unmounted = known.as_ref().is_ok_and(|folder| folder.other_device && listing.files.is_empty());
        let folder = known.and_then(|folder| match folder.other_device && !unmounted {
            true => self.spool.moved_device(folder.id, device, inode).map(|()| folder),
            false => Ok(folder),
        });
        let folder = folder.inspect_err(|_| root.incomplete = true)?;
        root.seen.insert(folder.id);
        if listing.path.as_os_str().is_empty() {
            root.identity = Some(listing.identity);
            root.unmounted = unmounted;
        }
        self.moved_away.remove(&whole);
        self.by_path.retain(|path, id| *id != folder.id || *path == whole);
        let missing = if unmounted {
            Missing::Kept
        } else if folder.other_device || self.remounted.iter().any(|mount| whole.starts_with(mount)) {
            Missing::SetAside { device: folder.device, folder: whole.clone() }
        } else {
            Missing::Gone
        };
        self.by_path.insert(whole, folder.id);
        self.folders
            .insert(folder.id, FolderPlace { root: place, path: listing.path.clone(), device, owner: listing.owner });
        let history_before = (!root.scanned).then_some(root.first_at);
        Ok(Some(Comparison::new(folder.id, listing, folder.known, history_before, missing)))
    }

    /// A walk has come to its end.
    pub(super) fn walked(
        &mut self,
        walked: &Walked,
        config: &FilesConfig,
        notes: &mut Notes,
        settle: &mut Settle,
        pulse: &Pulse,
    ) -> Result<(), SpoolError> {
        self.walkers.retain(|walker| walker.root != walked.root);
        let Some(place) = self.place_of(walked.root) else { return Ok(()) };
        let Some(root) = self.list.get_mut(place) else { return Ok(()) };
        root.silent |= walked.silent;
        let dir = text_of(&root.path);
        let began = joined(&root.path, &walked.path);
        self.remounted.retain(|mount| !mount.starts_with(&began));
        for (path, why) in &walked.unreadable {
            let text = text_of(&joined(&root.path, path));
            if path.as_os_str().is_empty() && read::identity_of(&root.path) == Err(Errno::NOENT) {
                let why = format!("the log dir {text} is not there: create it, or mount what holds it");
                if !notes.is_open_at("log_dir_hidden", &text) {
                    notes.begin("log_dir_missing", &text, why);
                }
                root.next_walk = now() + MISSING_EVERY;
            } else {
                let why = format!("cannot read the folder {text}: {why}; the agent's user needs r and x on it");
                notes.begin("log_dir_unreadable", &text, why);
                if path.as_os_str().is_empty() {
                    root.next_walk = now() + MISSING_EVERY;
                }
            }
        }
        let whole = walked.path.as_os_str().is_empty();
        if walked.watch_limit {
            let text = "no more inotify watches: raise fs.inotify.max_user_watches (sysctl); until then changes under \
                        this folder are found by a walk every 10 s";
            notes.begin("watch_limit", &dir, text.to_owned());
            root.silent = true;
        }
        if walked.too_many {
            let text = format!(
                "{dir} holds more than {FOLDERS_MAX} folders, too many of one user, or deeper than 32: the rest is not watched"
            );
            notes.begin("too_many_folders", &dir, text);
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
        notes.only("log_dir_unreadable", |text| {
            unreadable.contains(text) || !as_path(text.as_bytes()).starts_with(&path)
        });
        let unmounted = self.list.get(place).is_some_and(|root| root.unmounted);
        if unmounted {
            let text = format!("what was mounted at {dir} is gone: mount it again");
            notes.begin("log_dir_missing", &dir, text);
        } else if !root_failed {
            notes.over("log_dir_missing", &dir);
        }
        if !walked.watch_limit {
            notes.over("watch_limit", &dir);
        }
        if !walked.too_many {
            notes.over("too_many_folders", &dir);
        }
        if root_failed {
            return Ok(());
        }
        self.check_obstacles(config, notes);
        self.check_disk(place, walked.disk, config.full_above, notes);
        self.n_walks += 1;
        let incomplete = self.list.get(place).is_some_and(|root| root.incomplete);
        if !failed && !walked.too_many && !unmounted && !incomplete {
            self.forget_unseen(place, settle, pulse)?;
        }
        if let Some(root) = self.list.get_mut(place).filter(|root| !root.scanned && !incomplete) {
            self.spool.set_meta(&format!("first:{dir}"), &root.first_at.0.to_string())?;
            self.spool.set_meta(&format!("scanned:{dir}"), "yes")?;
            root.scanned = true;
        }
        self.spool.prune_away(self.clock.now())
    }

    /// Folders that a whole walk did not meet: what was in them was removed with them, unless they were renamed away.
    fn forget_unseen(&mut self, root: usize, settle: &mut Settle, pulse: &Pulse) -> Result<(), SpoolError> {
        let Some(of) = self.list.get(root) else { return Ok(()) };
        for folder in self.spool.folders()? {
            pulse.beat();
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
            self.folders
                .insert(folder.id, FolderPlace { root, path: beneath.to_owned(), device: folder.device, owner: 0 });
            for row in rows {
                let key = FileKey { folder: folder.id, name: row.name };
                settle.touch(&key, FileSignal::Missing, now(), self.clock.now());
            }
        }
        self.moved_away.clear();
        Ok(())
    }

    /// What is due by the clock: walks, and a look at the mounts.
    pub(super) fn timers(&mut self, config: &FilesConfig, notes: &mut Notes) {
        let now = now();
        for i in 0..self.list.len() {
            if self.list.get(i).is_some_and(|root| root.next_walk <= now) {
                self.queue_walk(i, PathBuf::new());
                if let Some(root) = self.list.get_mut(i) {
                    root.next_walk = now + config.rescan_every.min(SILENT_EVERY);
                }
            }
        }
        if self.next_check <= now {
            self.next_check = now + config.check_every;
            self.check_mounts();
            self.check_obstacles(config, notes);
        }
    }

    /// Is what is mounted at the log dirs, and below them, still what was scanned?
    fn check_mounts(&mut self) {
        let inside = OwnMounts::read();
        for i in 0..self.list.len() {
            let Some(root) = self.list.get_mut(i) else { return };
            // The mount table has no links in its paths. Not asked of a file server that may be away.
            let real = if root.silent { None } else { std::fs::canonicalize(&root.path).ok() };
            let real = real.unwrap_or_else(|| root.path.clone());
            let mounts = inside.mounts_below(&real);
            let before = std::mem::replace(&mut root.mounts, mounts.clone());
            let changed: Vec<PathBuf> = before
                .iter()
                .filter(|(point, id)| mounts.get(*point) != Some(id))
                .chain(mounts.iter().filter(|(point, _)| !before.contains_key(*point)))
                .filter_map(|(point, _)| point.strip_prefix(&real).ok().map(Path::to_owned))
                .collect();
            let (path, silent) = (root.path.clone(), root.silent);
            // What is walked all the time anyway; and to ask a file server that is away would hang this thread.
            let swapped = !silent && root.identity.is_some() && read::identity_of(&path).ok() != root.identity;
            for beneath in changed {
                tracing::info!(
                    path = text_of(&path.join(&beneath)),
                    "something was mounted or unmounted here: scanning it"
                );
                self.remounted.insert(path.join(&beneath));
                self.queue_walk(i, beneath);
            }
            if swapped {
                self.queue_walk(i, PathBuf::new());
            }
        }
    }

    /// All log dirs are scanned: changes were lost.
    pub(super) fn scan_all(&mut self) {
        (0..self.list.len()).for_each(|root| self.queue_walk(root, PathBuf::new()));
    }

    /// All log dirs are scanned again soon: the spool did not take what a scan found.
    pub(super) fn scan_again(&mut self, config: &FilesConfig) {
        let soon = now() + SILENT_EVERY.min(config.check_every);
        for root in &mut self.list {
            root.next_walk = root.next_walk.min(soon);
        }
    }

    /// When something is due here.
    pub(super) fn next_due(&self, config: &FilesConfig) -> Option<Duration> {
        let walks = self.list.iter().map(|root| root.next_walk);
        let walkers = self.walkers.iter().filter_map(|walker| walker.looked_at_by(config.stuck_after));
        walks.chain(walkers).chain([self.next_check]).min()
    }

    /// No scan runs or waits, but those that hang.
    pub(super) fn is_idle(&self) -> bool {
        self.walkers.iter().all(|walker| walker.stuck) && self.walks.iter().all(|(root, _)| self.hangs(*root))
    }

    /// The spool did not take a folder of the last walk.
    pub(super) fn is_incomplete(&self) -> bool {
        self.list.iter().any(|root| root.incomplete)
    }

    fn hangs(&self, root: usize) -> bool {
        let path = self.list.get(root).map(|root| &root.path);
        self.walkers.iter().any(|walker| Some(&walker.log_dir) == path)
    }

    /// The folder with this path.
    pub(super) fn folder_at(&self, path: &Path) -> Option<(FolderId, &FolderPlace)> {
        let id = self.by_path.get(path)?;
        Some((*id, self.folders.get(id)?))
    }

    /// All folders by their number.
    pub(super) fn folders(&self) -> &HashMap<FolderId, FolderPlace> {
        &self.folders
    }

    /// The log dirs in the order of their places.
    pub(super) fn log_dirs(&self) -> Vec<&Path> {
        self.list.iter().map(|root| root.path.as_path()).collect()
    }

    /// Folders that are watched.
    pub(super) fn n_folders(&self) -> usize {
        self.by_path.len()
    }

    /// Whole walks that came to their end.
    pub(super) fn n_walks(&self) -> u64 {
        self.n_walks
    }

    /// Can nothing be deleted in this log dir, by what can be seen of it?
    pub(super) fn is_not_cleanable(&self, dir: &str) -> bool {
        self.not_cleanable.contains(dir)
    }

    /// A folder is no longer there; `renamed`: what is in it was not deleted.
    pub(super) fn folder_left(&mut self, path: &Path, renamed: bool, keep_files: bool) {
        if renamed && self.moved_away.len() < FOLDERS_MAX {
            self.moved_away.insert(path.to_owned());
        }
        self.by_path.retain(|known, _| !known.starts_with(path));
        // The files in it still settle, and are found to be gone.
        if !keep_files {
            let left: HashSet<FolderId> = self.by_path.values().copied().collect();
            self.folders.retain(|id, _| left.contains(id));
        }
        if self.list.iter().any(|root| root.path == path) {
            self.next_check = now();
        }
    }

    /// Waits for the walk in hand. One that hangs in a file server that is away ends with the process.
    pub(super) fn stop(&self) {
        for _ in 0..STOP_LOOKS {
            if self.walkers.iter().all(|walker| walker.stuck || walker.thread.is_finished()) {
                return;
            }
            std::thread::sleep(STOP_LOOK);
        }
    }
}

pub(super) fn joined(root: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) }
}

pub(super) fn text_of(path: &Path) -> String {
    path_text(path.as_os_str().as_bytes())
}

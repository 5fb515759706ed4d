//! The log dirs: when they are walked, what a walk came to, and what is wrong with them.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use olog_daemon::pulse::Pulse;
use olog_proto::At;
use olog_proto::name::path_text;
use rustix::io::Errno;

use super::look::FolderPlace;
use super::road::{MISSING_EVERY, RETRY, Road, SILENT_EVERY, joined, now, text_of};
use super::scan::Comparison;
use crate::read::{self, as_path};
use crate::sandbox::Inside;
use crate::settle::Touch;
use crate::spool::{FileKey, FolderId, SpoolError};
use crate::watch::{Disk, FOLDERS_MAX, Listing, Walk, Walked};

/// A disk that was told as full is so no more this much (percent) below what made it full.
const FULL_NO_MORE: u64 = 5;

/// A walk in hand. One at a time; those that hang do not count.
pub(super) struct Walker {
    root: usize,
    log_dir: PathBuf,
    pub(super) thread: std::thread::JoinHandle<()>,
    pulse: Pulse,
    count: u64,
    moved_at: Duration,
    pub(super) stuck: bool,
}

impl Walker {
    /// When it must have moved; never, for one that is known to hang.
    pub(super) fn looked_at_by(&self, limit: Duration) -> Option<Duration> {
        (!self.stuck).then(|| self.moved_at + limit)
    }
}

pub(super) struct Root {
    /// Not its place in the list: a walk may outlive that.
    id: usize,
    pub(super) path: PathBuf,
    /// Files older than this were there before the agent was.
    pub(super) first_at: At,
    /// Scanned to its end at least once, ever.
    pub(super) scanned: bool,
    pub(super) identity: Option<(u64, u64)>,
    pub(super) silent: bool,
    /// Empty, and on another file system than what is known of it: what was mounted there is gone.
    pub(super) unmounted: bool,
    pub(super) next_walk: Duration,
    pub(super) seen: HashSet<FolderId>,
}

impl Road {
    /// Starts anew with the configured log dirs; one inside another is watched with it.
    pub(super) fn take_roots(&mut self) -> Result<(), SpoolError> {
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
            self.next_root += 1;
            self.roots.push(Root {
                id: self.next_root,
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
            self.troubles.only(code, |path| dirs.iter().any(|dir| text_of(dir) == path));
        }
        self.troubles.only("not_cleanable", |path| dirs.iter().any(|dir| as_path(path.as_bytes()).starts_with(dir)));
        self.look_at_obstacles();
        Ok(())
    }

    /// What hides a log dir from this process, or keeps it from cleaning up there.
    pub(super) fn look_at_obstacles(&mut self) {
        let (inside, cleans) = (Inside::look(), self.config.keep.is_some());
        if !cleans {
            self.kept.clear();
            self.troubles.only("not_cleanable", |_| false);
        }
        for root in &self.roots {
            let dir = text_of(&root.path);
            match inside.hides(&root.path, cleans) {
                Some(text) => self.troubles.begin("log_dir_hidden", &dir, text),
                None => self.troubles.over("log_dir_hidden", &dir),
            }
            // Not before it has answered a walk: to ask a file server that is away would hang this thread.
            if root.silent {
                self.kept.remove(&dir);
            }
            if !cleans || root.identity.is_none() || root.silent {
                continue;
            }
            match inside.keeps(&root.path) {
                Some(text) => {
                    self.troubles.begin("not_cleanable", &dir, text);
                    self.kept.insert(dir);
                }
                None if self.kept.remove(&dir) => self.troubles.over("not_cleanable", &dir),
                None => {}
            }
        }
    }

    /// A disk that fills up is told while there is time; log dirs that share one tell it once.
    fn look_at_disk(&mut self, place: usize, disk: Option<Disk>) {
        let Some(root) = self.roots.get(place) else { return };
        let device = |root: &Root| root.identity.map(|(device, _)| device);
        let is_told = self.roots.iter().take(place).any(|other| device(other) == device(root));
        let dir = text_of(&root.path);
        match disk.filter(|_| !is_told) {
            Some(Disk { used, left }) if used > self.config.full_above => {
                let text = format!("the disk of {dir} is {used} % full: {} MiB left", left / (1 << 20));
                self.troubles.begin("log_dir_full", &dir, text);
            }
            // Not at every file that comes and goes.
            Some(Disk { used, .. }) if used + FULL_NO_MORE >= self.config.full_above => {}
            _ => self.troubles.over("log_dir_full", &dir),
        }
    }

    pub(super) fn queue_walk(&mut self, root: usize, path: PathBuf) {
        if !self.walks.iter().any(|(r, p)| *r == root && path.starts_with(p)) {
            self.walks.push_back((root, path));
        }
    }

    pub(super) fn start_walk(&mut self) {
        if self.walkers.iter().any(|walker| !walker.stuck) {
            return;
        }
        // A folder that does not answer is not walked a second time; the others are.
        let hangs = |root: usize| {
            let path = self.roots.get(root).map(|root| &root.path);
            self.walkers.iter().any(|walker| Some(&walker.log_dir) == path)
        };
        let Some(place) = self.walks.iter().position(|(root, _)| !hangs(*root)) else { return };
        let Some((root, path)) = self.walks.remove(place) else { return };
        let Some(of) = self.roots.get_mut(root) else { return };
        let whole = path.as_os_str().is_empty();
        if whole {
            of.seen.clear();
            of.next_walk = now() + if of.silent { SILENT_EVERY } else { self.config.rescan_every };
        }
        let others =
            self.folders.values().filter(|place| !whole && place.root == root && !place.path.starts_with(&path));
        let pulse = Pulse::default();
        let walk = Walk {
            root: of.id,
            log_dir: of.path.clone(),
            pulse: pulse.clone(),
            folders_left: FOLDERS_MAX.saturating_sub(others.count()),
            own: self.config.own.clone(),
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
    pub(super) fn feel_walkers(&mut self) {
        let now = now();
        for walker in &mut self.walkers {
            let count = walker.pulse.count();
            if count != walker.count {
                (walker.count, walker.moved_at, walker.stuck) = (count, now, false);
            } else if !walker.stuck && now.saturating_sub(walker.moved_at) >= self.config.stuck_after {
                walker.stuck = true;
                let dir = text_of(&walker.log_dir);
                let text = format!("{dir} does not answer: is the file server behind it away?");
                self.troubles.begin("log_dir_unreadable", &dir, text);
            }
        }
    }

    /// Where it is in the list now; a reload may have taken it out.
    fn place_of(&self, id: usize) -> Option<usize> {
        self.roots.iter().position(|root| root.id == id)
    }

    pub(super) fn listing(&mut self, listing: Listing) -> Result<(), SpoolError> {
        let Some(place) = self.place_of(listing.root) else { return Ok(()) };
        let Some(root) = self.roots.get_mut(place) else { return Ok(()) };
        let whole = joined(&root.path, &listing.path);
        let bytes = whole.as_os_str().as_bytes();
        let (device, inode) = listing.identity;
        let moved = |old: &[u8]| std::fs::symlink_metadata(as_path(old)).is_err();
        let folder = self.spool.folder(bytes, device, inode, moved)?;
        root.seen.insert(folder.id);
        let unmounted = folder.other_device && listing.files.is_empty();
        if folder.other_device && !unmounted {
            self.spool.moved_device(folder.id, device, inode)?;
        }
        if listing.path.as_os_str().is_empty() {
            root.identity = Some(listing.identity);
            root.unmounted = unmounted;
        }
        self.moved_away.remove(&whole);
        self.by_path.retain(|path, id| *id != folder.id || *path == whole);
        self.by_path.insert(whole, folder.id);
        self.folders.insert(folder.id, FolderPlace { root: place, path: listing.path.clone() });
        let history_before = (!root.scanned).then_some(root.first_at);
        self.comparison = Some(Comparison::new(folder.id, listing, folder.known, history_before, folder.other_device));
        Ok(())
    }

    pub(super) fn walked(&mut self, walked: &Walked) -> Result<(), SpoolError> {
        self.walkers.retain(|walker| walker.root != walked.root);
        let Some(place) = self.place_of(walked.root) else { return Ok(()) };
        let Some(root) = self.roots.get_mut(place) else { return Ok(()) };
        root.silent |= walked.silent;
        let dir = text_of(&root.path);
        for (path, why) in &walked.unreadable {
            let text = text_of(&joined(&root.path, path));
            if path.as_os_str().is_empty() && read::identity_of(&root.path) == Err(Errno::NOENT) {
                let why = format!("the log dir {text} is not there: create it, or mount what holds it");
                if !self.troubles.is_open_at("log_dir_hidden", &text) {
                    self.troubles.begin("log_dir_missing", &text, why);
                }
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
        let unmounted = self.roots.get(place).is_some_and(|root| root.unmounted);
        if unmounted {
            let text = format!("what was mounted at {dir} is gone: mount it again");
            self.troubles.begin("log_dir_missing", &dir, text);
        } else if !root_failed {
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
        self.look_at_obstacles();
        self.look_at_disk(place, walked.disk);
        self.status.lock().unwrap_or_else(PoisonError::into_inner).scans += 1;
        if !failed && !walked.too_many && !unmounted {
            self.forget_unseen(place)?;
        }
        if let Some(root) = self.roots.get_mut(place).filter(|root| !root.scanned) {
            root.scanned = true;
            self.spool.set_meta(&format!("scanned:{dir}"), "yes")?;
        }
        Ok(())
    }

    /// Folders that a whole walk did not meet: what was in them was removed with them, unless they were renamed away.
    pub(super) fn forget_unseen(&mut self, root: usize) -> Result<(), SpoolError> {
        let Some(of) = self.roots.get(root) else { return Ok(()) };
        for folder in self.spool.folders()? {
            self.pulse.beat();
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

    /// Is what is mounted there still what was scanned?
    pub(super) fn check_root(&mut self, i: usize) {
        let Some(root) = self.roots.get(i) else { return };
        // What is walked all the time anyway; and to ask a file server that is away would hang this thread.
        if !root.silent && root.identity.is_some() && read::identity_of(&root.path).ok() != root.identity {
            self.queue_walk(i, PathBuf::new());
        }
    }
}

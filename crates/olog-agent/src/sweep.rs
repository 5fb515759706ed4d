//! Deletes log files that are older than `log_keep_days` (retention). The only code of Olog that deletes users' files.
//!
//! | may go | stays |
//! |---|---|
//! | a regular file with a watched suffix, really inside a log dir (resolved without links) | everything else |
//! | unchanged since it was known, and old by the later of its mtime and when the agent first saw it | changed, or not dated yet |
//! | | a file of which events still wait for the hub |
//! | | the newest error of a task: its incident may be open |
//!
//! It runs once an hour, only while the hub has confirmed the clock, and deletes at most a tenth of the known files. The clock is
//! confirmed if it agreed with the hub's at the session's start (± 1 h) and has not jumped since. Files are dated by such a clock
//! only: what a device without a clock of its own met in 1970 was met when its clock came right.
//!
//! A full disk does not stop it, since it is what frees the disk: what the spool could not note is remembered until it can.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use olog_daemon::pulse::Pulse;
use olog_proto::{TaskName, Timestamp, name::path_text};
use rustix::fs::AtFlags;

use crate::read::{self, LogPath, ReadError, as_path};
use crate::spool::{Batch, FileKey, Folder, Spool, SpoolError};

const EVERY: Duration = Duration::from_secs(3600);

/// A clock that differs from the hub's by more than this is not confirmed, in milliseconds.
pub(crate) const SKEW_MAX: i64 = 3_600_000;

/// The clean-up, between its runs.
#[derive(Debug)]
pub struct Sweep {
    hub: Option<HubClock>,
    next: Duration,
    /// Files that are deleted while the spool, on a full disk, still knows them.
    swept: HashSet<FileKey>,
}

/// What the hub's clock said: how far this one is behind it, and when that was.
#[derive(Debug, Clone, Copy)]
struct HubClock {
    skew: i64,
    up: Duration,
    at: Timestamp,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Swept {
    /// It ran: the clock was confirmed, and something is to be deleted.
    pub ran: bool,
    /// Files that are gone.
    pub deleted: u64,
    /// Folders in which nothing can be deleted, and why.
    pub failed: Vec<(String, String)>,
    /// The spool could not note something: the files are deleted all the same, which may be what gives it room again.
    pub unnoted: Option<SpoolError>,
}

impl Sweep {
    /// The first run comes soon after the clock is confirmed.
    pub fn new(now: Duration) -> Sweep {
        Sweep { hub: None, next: now, swept: HashSet::new() }
    }

    /// The hub's clock less this device's, in milliseconds; none: the hub is away.
    pub fn hub_clock(&mut self, skew: Option<i64>, now: Duration, now_at: Timestamp) {
        if skew.is_some() && self.hub.is_none() {
            self.next = self.next.max(now);
        }
        self.hub = skew.map(|skew| HubClock { skew, up: now, at: now_at });
    }

    /// Files that were deleted by a run and that the spool still knows: their end is no news.
    pub fn swept(&self) -> &HashSet<FileKey> {
        &self.swept
    }

    /// The spool has noted what became of these.
    pub fn noted<'a>(&mut self, keys: impl Iterator<Item = &'a FileKey>) {
        if !self.swept.is_empty() {
            let noted: HashSet<&FileKey> = keys.collect();
            self.swept.retain(|key| !noted.contains(key));
        }
    }

    /// When it wants to run; never while nobody can confirm the clock.
    pub fn next_due(&self) -> Option<Duration> {
        self.hub.map(|_| self.next)
    }

    /// Is the clock right to an hour? It may have been set since the hub was asked.
    fn is_confirmed(&self, now: Duration, now_at: Timestamp) -> bool {
        self.hub.is_some_and(|hub| {
            let passed = i64::try_from(now.saturating_sub(hub.up).as_millis()).unwrap_or(i64::MAX);
            let jumped = now_at.since(hub.at).saturating_sub(passed);
            hub.skew.saturating_sub(jumped).saturating_abs() <= SKEW_MAX
        })
    }

    /// Dates what is new, and deletes what may go: nothing without `keep`.
    pub fn run(
        &mut self,
        spool: &Spool,
        log_dirs: &[&Path],
        keep: Option<Duration>,
        (now, now_at): (Duration, Timestamp),
        pulse: &Pulse,
    ) -> Result<Swept, SpoolError> {
        self.next = now + EVERY;
        let mut swept = Swept::default();
        if !self.is_confirmed(now, now_at) {
            return Ok(swept);
        }
        if let Err(error) = spool.date_files(now_at) {
            swept.unnoted = Some(error);
        }
        let Some(keep) = keep else { return Ok(swept) };
        swept.ran = true;
        let before = now_at.plus(-i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        let mut left = spool.n_files()?.div_ceil(10);
        let unsent = spool.files_with_events()?;
        for folder in spool.folders()? {
            let path = as_path(&folder.path);
            let inside = log_dirs.iter().find_map(|dir| Some((*dir, path.strip_prefix(dir).ok()?)));
            let Some((log_dir, beneath)) = inside else { continue };
            let place = LogPath { log_dir, path: beneath };
            for name in old_files(spool, &folder, before)? {
                let key = FileKey { folder: folder.id, name };
                if left == 0 {
                    return Ok(swept);
                }
                pulse.beat();
                if unsent.contains(&key) {
                    continue;
                }
                match delete(spool, place, &key)? {
                    Ok(true) => {
                        left -= 1;
                        swept.deleted += 1;
                        let whole = path_text(path.join(as_path(&key.name)).as_os_str().as_encoded_bytes());
                        tracing::info!(path = whole, "deleted: older than log_keep_days");
                        let mut batch = Batch::default();
                        batch.forget(key.clone());
                        if let Err(error) = spool.put(&batch) {
                            self.swept.insert(key);
                            swept.unnoted = Some(error);
                        }
                    }
                    Ok(false) => {}
                    Err(why) => {
                        swept.failed.push((path_text(&folder.path), why));
                        break;
                    }
                }
            }
        }
        Ok(swept)
    }
}

/// Names in a folder that are old enough, without the newest error of each task.
fn old_files(spool: &Spool, folder: &Folder, before: Timestamp) -> Result<Vec<Vec<u8>>, SpoolError> {
    let mut newest: HashMap<TaskName, (i64, Vec<u8>)> = HashMap::new();
    let mut old = Vec::new();
    let mut behind: Option<Vec<u8>> = None;
    loop {
        let rows = spool.rows(folder.id, behind.as_deref(), 1024)?;
        let Some(last) = rows.last() else { break };
        behind = Some(last.name.clone());
        for row in rows {
            // `x.err.1` has no watched suffix and stays; `x-2026.err` has one and is old in its turn.
            if TaskName::of_file(&row.name).is_none() {
                continue;
            }
            let first = row.memory.origin.as_deref().unwrap_or(&row.name).rsplit(|&b| b == b'/').next();
            let Some((task, suffix)) = first.and_then(TaskName::of_file) else { continue };
            let changed = Timestamp(row.memory.mtime.div_euclid(1_000_000));
            let is_old = row.memory.seen.is_some_and(|seen| changed.max(seen) <= before);
            if suffix.is_error() && row.memory.size > 0 && (is_old || newest.contains_key(&task)) {
                let entry = newest.entry(task).or_insert((i64::MIN, Vec::new()));
                if row.memory.mtime > entry.0 {
                    *entry = (row.memory.mtime, row.name.clone());
                }
            }
            if is_old {
                old.push(row.name);
            }
        }
    }
    old.retain(|name| !newest.values().any(|(_, kept)| kept == name));
    Ok(old)
}

/// Removes one file if it is still what is known of it. An inner error: the folder does not allow it.
fn delete(spool: &Spool, folder: LogPath<'_>, key: &FileKey) -> Result<Result<bool, String>, SpoolError> {
    let Some(memory) = spool.memory(key)? else { return Ok(Ok(false)) };
    let opened = match read::open_folder(folder) {
        Ok(opened) => opened,
        Err(ReadError::Gone | ReadError::NotAFile) => return Ok(Ok(false)),
        Err(error) => return Ok(Err(error.to_string())),
    };
    // By the descriptor of the folder that was resolved without links: no path is walked a second time, neither to look nor to delete.
    let Ok(name) = std::ffi::CString::new(key.name.as_slice()) else { return Ok(Ok(false)) };
    match read::stat_in(&opened, &name) {
        Ok(Some(stat)) if stat.is(&memory) => {}
        _ => return Ok(Ok(false)),
    }
    Ok(match rustix::fs::unlinkat(&opened, as_path(&key.name), AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(errno) => Err(std::io::Error::from(errno).to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_clean_up_deletes_nothing_outside_while_its_folder_is_swapped_for_a_link() {
        use std::os::unix::fs::symlink;
        use std::sync::atomic::{AtomicBool, Ordering};

        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let (logs, outside) = (dir.path().join("logs"), dir.path().join("outside"));
        std::fs::create_dir_all(logs.join("job")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(logs.join("job/x.log"), "old").unwrap();
        let spool = Spool::open(&dir.path().join("spool.db"), olog_proto::event::Id128([1; 16])).unwrap().0;
        let path = logs.join("job");
        let folder = spool.folder(path.as_os_str().as_encoded_bytes(), 1, 1, |_| false).unwrap();
        let key = FileKey { folder: folder.id, name: b"x.log".to_vec() };
        let place = LogPath { log_dir: &logs, path: Path::new("job") };
        let file = LogPath { log_dir: &logs, path: Path::new("job/x.log") };
        let stop = AtomicBool::new(false);
        // The same file by another name: only the folder's descriptor tells them apart.
        std::fs::hard_link(logs.join("job/x.log"), outside.join("x.log")).unwrap();
        let n_deleted = std::thread::scope(|threads| {
            threads.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    symlink(&outside, logs.join("link")).unwrap();
                    std::fs::rename(logs.join("job"), logs.join("kept")).unwrap();
                    std::fs::rename(logs.join("link"), logs.join("job")).unwrap();
                    std::fs::remove_file(logs.join("job")).unwrap();
                    std::fs::rename(logs.join("kept"), logs.join("job")).unwrap();
                }
            });
            // Also when an assertion fails.
            let stopping = Stop(&stop);
            let mut n_deleted = 0;
            for _ in 0..500 {
                let Ok(stat) = read::stat(file) else { continue };
                let mut batch = Batch::default();
                let (inode, size, mtime) = (stat.inode, stat.size, stat.mtime);
                batch.remember(key.clone(), crate::spool::FileState { inode, size, mtime, ..Default::default() });
                spool.put(&batch).unwrap();
                if let Ok(true) = delete(&spool, place, &key).unwrap() {
                    n_deleted += 1;
                    assert!(outside.join("x.log").exists(), "deleted outside");
                    // In whichever of its two places the folder is now.
                    let again =
                        |folder: &str| std::fs::hard_link(outside.join("x.log"), logs.join(folder).join("x.log"));
                    while !["kept", "job"].into_iter().any(|folder| again(folder).is_ok()) {
                        std::thread::yield_now();
                    }
                }
            }
            drop(stopping);
            n_deleted
        });
        assert!(n_deleted > 0 && outside.join("x.log").exists(), "{n_deleted} deleted inside, none outside");
    }

    #[test]
    fn a_clock_is_confirmed_until_it_jumps_and_again_when_it_comes_right() {
        let mut sweep = Sweep::new(HOUR);
        assert!(!sweep.is_confirmed(HOUR, Timestamp(0)));
        sweep.hub_clock(Some(1000), HOUR, Timestamp(5_000_000));
        let later = |ms: i64| Timestamp(5_000_000 + 3_600_000 + ms);
        assert!(sweep.is_confirmed(2 * HOUR, later(0)));
        assert!(!sweep.is_confirmed(2 * HOUR, later(3 * 3_600_000)), "set by hand");
        assert!(!sweep.is_confirmed(2 * HOUR, later(-3 * 3_600_000)));
        // As a Raspberry Pi begins: half a century behind, until the network's time comes.
        let behind = 50 * 365 * 24 * 3_600_000;
        sweep.hub_clock(Some(behind), HOUR, Timestamp(0));
        assert!(!sweep.is_confirmed(2 * HOUR, Timestamp(3_600_000)));
        assert!(sweep.is_confirmed(2 * HOUR, Timestamp(3_600_000 + behind)));
        sweep.hub_clock(None, HOUR, Timestamp(0));
        assert_eq!(sweep.next_due(), None);
    }
}

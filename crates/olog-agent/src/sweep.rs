//! Deletes log files that are older than `log_keep_days`. The only code of Olog that deletes users' files.
//!
//! What may go: a file with a watched suffix that the agent knows, really inside a log dir (resolved without links), a
//! regular file, unchanged since it was known, and old by the later of its mtime and when the agent first saw
//! it. What stays: a file of which events still wait, and the newest error of a task (an incident may be open).
//! When: once an hour, while the hub has confirmed the clock; at most a tenth of the known files an hour.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use olog_proto::{At, TaskName};
use rustix::fs::AtFlags;

use crate::read::{self, Place, ReadError, as_path};
use crate::spool::{Batch, FileKey, Folder, Spool, SpoolError};

const EVERY: Duration = Duration::from_secs(3600);

/// The clean-up, between its runs.
#[derive(Debug)]
pub struct Sweep {
    confirmed: bool,
    next: Duration,
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Files that are gone.
    pub deleted: u64,
    /// Folders in which nothing can be deleted, and why.
    pub failed: Vec<(String, String)>,
}

impl Sweep {
    /// The first run comes soon after the clock is confirmed.
    pub fn new(now: Duration) -> Sweep {
        Sweep { confirmed: false, next: now }
    }

    /// The hub has, or has not, confirmed that the device's clock is right to an hour.
    pub fn clock_confirmed(&mut self, confirmed: bool, now: Duration) {
        if confirmed && !self.confirmed {
            self.next = self.next.max(now);
        }
        self.confirmed = confirmed;
    }

    /// When it wants to run; never while the clock is not confirmed.
    pub fn next_due(&self) -> Option<Duration> {
        self.confirmed.then_some(self.next)
    }

    /// Deletes what may go.
    pub fn run(
        &mut self,
        spool: &Spool,
        log_dirs: &[&Path],
        keep: Duration,
        now: Duration,
        now_at: At,
    ) -> Result<Swept, SpoolError> {
        self.next = now + EVERY;
        let mut swept = Swept::default();
        let before = now_at.plus(-i64::try_from(keep.as_millis()).unwrap_or(i64::MAX));
        let mut left = spool.n_files()?.div_ceil(10);
        let unsent = spool.files_with_events()?;
        for folder in spool.folders()? {
            let path = as_path(&folder.path);
            let inside = log_dirs.iter().find_map(|dir| Some((*dir, path.strip_prefix(dir).ok()?)));
            let Some((log_dir, beneath)) = inside else { continue };
            let place = Place { log_dir, path: beneath };
            for name in old_files(spool, &folder, before)? {
                let key = FileKey { folder: folder.id, name };
                if left == 0 {
                    return Ok(swept);
                }
                if unsent.contains(&key) {
                    continue;
                }
                match delete(spool, place, &key)? {
                    Ok(true) => {
                        left -= 1;
                        swept.deleted += 1;
                        let mut batch = Batch::default();
                        batch.forget(key);
                        spool.put(&batch)?;
                    }
                    Ok(false) => {}
                    Err(why) => {
                        swept.failed.push((olog_proto::name::path_text(&folder.path), why));
                        break;
                    }
                }
            }
        }
        Ok(swept)
    }
}

/// Names in a folder that are old enough, without the newest error of each task.
fn old_files(spool: &Spool, folder: &Folder, before: At) -> Result<Vec<Vec<u8>>, SpoolError> {
    let mut newest: HashMap<TaskName, (i64, Vec<u8>)> = HashMap::new();
    let mut old = Vec::new();
    let mut behind: Option<Vec<u8>> = None;
    loop {
        let rows = spool.rows(folder.id, behind.as_deref(), 1024)?;
        let Some(last) = rows.last() else { break };
        behind = Some(last.name.clone());
        for row in rows {
            let Some((task, suffix)) = TaskName::of_file(&row.name).filter(|_| row.memory.origin.is_none()) else {
                continue;
            };
            let changed = At(row.memory.mtime.div_euclid(1_000_000));
            let is_old = changed.max(row.memory.seen) < before;
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
fn delete(spool: &Spool, folder: Place<'_>, key: &FileKey) -> Result<Result<bool, String>, SpoolError> {
    let Some(memory) = spool.memory(key)? else { return Ok(Ok(false)) };
    let opened = match read::open_folder(folder) {
        Ok(opened) => opened,
        Err(ReadError::Gone | ReadError::NotAFile) => return Ok(Ok(false)),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let path = folder.path.join(as_path(&key.name));
    match read::stat(Place { log_dir: folder.log_dir, path: &path }) {
        Ok(stat) if stat.is(&memory) => {}
        _ => return Ok(Ok(false)),
    }
    // Relative to the folder that was resolved without links: no path is walked a second time.
    Ok(match rustix::fs::unlinkat(&opened, as_path(&key.name), AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(errno) => Err(std::io::Error::from(errno).to_string()),
    })
}

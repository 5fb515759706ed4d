//! Compares a folder as it is with the folder as it is known: two lists in the order of names, merged slice by slice.
//!
//! What differs is handed to `settle` to be inspected. A name that is missing is handed back: it is judged only when the scan has
//! met all other files, because one of them may be the missing file under another name. Files that were there at the first
//! start ever are written down as history.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use olog_proto::{LogKind, Timestamp};

use crate::read::{Stat, as_path};
use crate::settle::{FileSignal, Settle};
use crate::spool::{Batch, FileKey, FileState, FolderId, Row, Spool, SpoolError};
use crate::watch::Listing;

/// Files that one slice compares, so that a file that changes just now need not wait for a folder of a million.
const SLICE: usize = 4096;
/// Found at the first start ever, a file counts for states if it changed within this time.
const HISTORY: i64 = 24 * 3600 * 1000;

/// A comparison in hand.
pub(super) struct Comparison {
    pub(super) folder: FolderId,
    files: std::vec::IntoIter<(Box<[u8]>, Stat)>,
    next: Option<(Box<[u8]>, Stat)>,
    rows: VecDeque<Row>,
    behind: Option<Vec<u8>>,
    rows_done: bool,
    /// Older files were there before the agent was: history, not news.
    history_before: Option<Timestamp>,
    missing: Missing,
}

/// What a name means that is known and was not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// The file was deleted or renamed.
    Gone,
    /// What was mounted there is not there now, and will be back: nothing.
    Kept,
    /// Something else is mounted there: the file is known again when it is back, by its file system and inode.
    SetAside {
        /// The file system.
        device: u64,
        /// The folder.
        folder: PathBuf,
    },
}

impl Comparison {
    pub(super) fn new(
        folder: FolderId,
        listing: Listing,
        known: bool,
        history_before: Option<Timestamp>,
        missing: Missing,
    ) -> Comparison {
        let mut files = listing.files.into_iter();
        let next = files.next();
        Comparison {
            folder,
            files,
            next,
            rows: VecDeque::new(),
            behind: None,
            rows_done: !known,
            history_before,
            missing,
        }
    }

    /// Compares the next slice. True: done. New knowledge goes into `batch`, what is to be inspected into `settle`, names that are
    /// missing into `missing`.
    pub(super) fn step(
        &mut self,
        spool: &Spool,
        settle: &mut Settle,
        batch: &mut Batch,
        missing: &mut Vec<FileKey>,
        (now, now_at): (Duration, Timestamp),
    ) -> Result<bool, SpoolError> {
        for _ in 0..SLICE {
            if self.rows.is_empty() && !self.rows_done {
                self.rows = spool.rows(self.folder, self.behind.as_deref(), 1024)?.into();
                self.behind = self.rows.back().map(|row| row.name.clone());
                self.rows_done = self.rows.is_empty();
            }
            let order = match (&self.next, self.rows.front()) {
                (None, None) => return Ok(true),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((name, _)), Some(row)) => name.as_ref().cmp(row.name.as_slice()),
            };
            let row = if order == Ordering::Less { None } else { self.rows.pop_front() };
            let file =
                if order == Ordering::Greater { None } else { std::mem::replace(&mut self.next, self.files.next()) };
            let (stat, touch) = match (file, row) {
                (Some((name, stat)), None) => {
                    if LogKind::of(&name).is_none() && spool.known_by_inode(stat.device, stat.inode)?.is_empty() {
                        continue;
                    }
                    let key = FileKey { folder: self.folder, name: name.into_vec() };
                    match self.history_before.filter(|before| stat.changed_at() < *before) {
                        Some(before) => {
                            batch.remember(key, history(stat, before));
                            continue;
                        }
                        None => (stat, key),
                    }
                }
                (None, Some(row)) => {
                    let key = FileKey { folder: self.folder, name: row.name };
                    match &self.missing {
                        Missing::Gone => missing.push(key),
                        Missing::Kept => {}
                        Missing::SetAside { device, folder } => {
                            let first = row.memory.origin.as_deref().unwrap_or(&key.name);
                            let first = folder.join(as_path(first)).as_os_str().as_encoded_bytes().to_owned();
                            let away = FileKey::away(now_at, *device, row.memory.inode);
                            batch.remember(away, FileState { origin: Some(first), ..row.memory });
                            batch.forget(key);
                        }
                    }
                    continue;
                }
                (Some((_, stat)), Some(row)) => {
                    let same = stat.is(&row.memory) && row.memory.held == 0 && !row.memory.history;
                    if same && row.memory.offset >= stat.size {
                        continue;
                    }
                    (stat, FileKey { folder: self.folder, name: row.name })
                }
                (None, None) => continue,
            };
            let ago = now_at.since(stat.changed_at());
            // A time in the future says nothing about quiet; it is taken for long past.
            let ago = u64::try_from(ago).map_or(Duration::MAX, Duration::from_millis);
            settle.touch(&touch, FileSignal::Found(ago), now, now_at);
        }
        Ok(false)
    }
}

fn history(stat: Stat, before: Timestamp) -> FileState {
    FileState {
        inode: stat.inode,
        size: stat.size,
        mtime: stat.mtime,
        seen: None,
        offset: stat.size,
        head: None,
        tail: None,
        content: None,
        began: None,
        encoding: None,
        has_text: false,
        open: false,
        history: before.since(stat.changed_at()) < HISTORY,
        held: 0,
        origin: None,
        born: stat.born,
    }
}

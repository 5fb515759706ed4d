//! A folder as it is against the folder as it is known: two lists in the order of names, compared in slices.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::time::Duration;

use olog_proto::{At, Suffix};

use crate::read::Stat;
use crate::settle::{Settle, Touch};
use crate::spool::{Batch, FileKey, FolderId, Memory, Row, Spool, SpoolError};
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
    history_before: Option<At>,
    /// Another file system is mounted there: what is missing is not gone.
    keep_missing: bool,
}

impl Comparison {
    pub(super) fn new(
        folder: FolderId,
        listing: Listing,
        known: bool,
        history_before: Option<At>,
        keep_missing: bool,
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
            keep_missing,
        }
    }

    /// Compares the next slice. True: done. New knowledge goes into `batch`, what needs a look into `settle`.
    pub(super) fn step(
        &mut self,
        spool: &Spool,
        settle: &mut Settle,
        batch: &mut Batch,
        now: Duration,
        now_at: At,
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
                    if Suffix::of(&name).is_none() {
                        continue;
                    }
                    let key = FileKey { folder: self.folder, name: name.into_vec() };
                    match self.history_before.filter(|before| stat.changed_at() < *before) {
                        Some(before) => {
                            batch.remember(key, history(stat, before));
                            continue;
                        }
                        None => (Some(stat), key),
                    }
                }
                (None, Some(row)) if !self.keep_missing => (None, FileKey { folder: self.folder, name: row.name }),
                (Some((_, stat)), Some(row)) => {
                    let same = stat.is(&row.memory) && row.memory.held == 0 && !row.memory.history;
                    if same && row.memory.offset >= stat.size {
                        continue;
                    }
                    (Some(stat), FileKey { folder: self.folder, name: row.name })
                }
                _ => continue,
            };
            let ago = stat.map_or(i64::MAX, |stat| now_at.since(stat.changed_at()));
            // A time in the future says nothing about quiet; it is taken for long past.
            let ago = u64::try_from(ago).map_or(Duration::MAX, Duration::from_millis);
            settle.touch(&touch, Touch::Found(ago), now, now_at);
        }
        Ok(false)
    }
}

fn history(stat: Stat, before: At) -> Memory {
    Memory {
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
    }
}

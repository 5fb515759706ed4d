//! Debounces the changes of a file: when is it quiet enough to be read? Pure: changes and `now` in, ready files out.
//!
//! | what happened | ready |
//! |---|---|
//! | its writer closed it, it was moved in, or its metadata changed | after `settle` |
//! | it is gone from its name | after `settle`, at least 50 ms: it may be written again in the same breath |
//! | it was written and is still open | 1 s after the last write |
//! | a scan found it changed | when its bytes have been quiet for 1 s |
//! | a scan did not find it | after everything that the scan found |
//! | it is busy all the time | `settle_max` after the first change |
//!
//! What happens to a file in between is one change: `rm x.err; echo … > x.err` never was a removal. A file that has used its event
//! rate (one a minute for a growing `.log`) waits until it may speak again.
//!
//! Time is the time since boot, so that no clock change moves anything.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use olog_proto::Timestamp;

use crate::spool::FileKey;

/// Quiet this long, a file that is still open is read.
const QUIET: Duration = Duration::from_secs(1);
/// What is gone or emptied may be written again in the same breath, however short `settle` is.
pub const GONE: Duration = Duration::from_millis(50);

/// What is known of a file's writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterState {
    /// It writes.
    Open,
    /// It has closed the file.
    Closed,
    /// Nobody told: found by a scan, or its metadata changed.
    Unknown,
}

/// What the kernel or a scan said of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSignal {
    /// Created or written.
    Written,
    /// Closed by its writer.
    Closed,
    /// Removed.
    Removed,
    /// Renamed away.
    Renamed,
    /// Metadata changed, or moved in: complete as it is, unless its writer is known to have it open.
    Moved,
    /// A scan found it otherwise than it was known; its bytes last changed this long ago.
    Found(Duration),
    /// A scan did not find it. It is judged after the files that the same scan found: one of them may be this one, renamed.
    Missing,
}

/// How a file left its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It was deleted.
    Removed,
    /// It was renamed.
    Renamed,
}

/// A file that waits, or is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debounced {
    /// When its first change came, since boot.
    pub first: Duration,
    /// The same, by the device's clock.
    pub first_at: Timestamp,
    /// The kernel told of it.
    pub live: bool,
    /// What is known of its writer.
    pub writer: WriterState,
    /// How the file that was known under this name left it, if the kernel told: the first departure counts, since what comes and
    /// goes after it is another file.
    pub left: Option<Left>,
    /// A scan found it otherwise than it was known: what happened before that was not seen.
    pub unseen: bool,
    last: Duration,
    due: Duration,
}

/// The files under settling.
#[derive(Debug)]
pub struct Settle {
    after_close: Duration,
    at_most: Duration,
    files: HashMap<FileKey, Debounced>,
    order: BTreeSet<(Duration, FileKey)>,
}

impl Settle {
    /// With `settle` and `settle_max`.
    pub fn new(after_close: Duration, at_most: Duration) -> Settle {
        Settle { after_close, at_most: at_most.max(after_close), files: HashMap::new(), order: BTreeSet::new() }
    }

    /// Other spans from now on.
    pub fn set(&mut self, after_close: Duration, at_most: Duration) {
        (self.after_close, self.at_most) = (after_close, at_most.max(after_close));
    }

    /// Something happened to a file.
    pub fn touch(&mut self, file: &FileKey, touch: FileSignal, now: Duration, now_at: Timestamp) {
        let known = self.files.get(file).copied();
        let mut pending = known.unwrap_or(Debounced {
            first: now,
            first_at: now_at,
            live: false,
            writer: WriterState::Unknown,
            left: None,
            unseen: false,
            last: now,
            due: now,
        });
        pending.last = now;
        pending.unseen |= known.is_none() && matches!(touch, FileSignal::Found(_) | FileSignal::Missing);
        pending.live |= !matches!(touch, FileSignal::Found(_) | FileSignal::Missing);
        let wait = match touch {
            FileSignal::Written => {
                pending.writer = WriterState::Open;
                QUIET
            }
            FileSignal::Closed => {
                pending.writer = WriterState::Closed;
                self.after_close
            }
            FileSignal::Removed | FileSignal::Renamed => {
                let how = if touch == FileSignal::Renamed { Left::Renamed } else { Left::Removed };
                pending.left.get_or_insert(how);
                pending.writer = WriterState::Closed;
                self.after_close.max(GONE)
            }
            FileSignal::Moved if pending.writer == WriterState::Open => QUIET,
            FileSignal::Moved => self.after_close,
            // The kernel tells more of a file that it has told of already.
            FileSignal::Found(_) | FileSignal::Missing if known.is_some() => return,
            FileSignal::Found(ago) if ago >= self.at_most => Duration::ZERO,
            FileSignal::Found(ago) => QUIET.saturating_sub(ago),
            FileSignal::Missing => QUIET + GONE,
        };
        let due = (now + wait).min(pending.first + self.at_most);
        self.schedule(file.clone(), Debounced { due, ..pending });
    }

    /// Puts a file back, to be inspected again at `due`. What comes until then settles anew.
    pub fn again(&mut self, file: FileKey, pending: Debounced, due: Duration) {
        if !self.files.contains_key(&file) {
            self.schedule(file, Debounced { first: due, due, ..pending });
        }
    }

    /// As [`Settle::again`], of a file whose inspection was written down: how it came to be so is told.
    pub fn later(&mut self, file: FileKey, pending: Debounced, due: Duration) {
        self.again(file, Debounced { left: None, unseen: false, ..pending }, due);
    }

    /// A look at `due` that no change asked for.
    pub fn look_at(&mut self, file: FileKey, due: Duration, now_at: Timestamp) {
        let pending = Debounced {
            first: due,
            first_at: now_at,
            live: false,
            writer: WriterState::Unknown,
            left: None,
            unseen: false,
            last: due,
            due,
        };
        self.again(file, pending, due);
    }

    /// Does this file wait, and has it been deleted meanwhile?
    pub fn is_removed(&self, file: &FileKey) -> bool {
        self.files.get(file).is_some_and(|pending| pending.left == Some(Left::Removed))
    }

    /// The next files that are ready, at most `limit`.
    pub fn ready(&mut self, now: Duration, limit: usize) -> Vec<(FileKey, Debounced)> {
        let mut ready = Vec::new();
        while ready.len() < limit && self.order.first().is_some_and(|(due, _)| *due <= now) {
            let Some((_, file)) = self.order.pop_first() else { break };
            if let Some(pending) = self.files.remove(&file) {
                ready.push((file, pending));
            }
        }
        ready
    }

    /// When the next file is ready.
    pub fn next_due(&self) -> Option<Duration> {
        self.order.first().map(|(due, _)| *due)
    }

    /// How many files wait.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Does none wait?
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    fn schedule(&mut self, file: FileKey, pending: Debounced) {
        if let Some(old) = self.files.insert(file.clone(), pending) {
            self.order.remove(&(old.due, file.clone()));
        }
        self.order.insert((pending.due, file));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::FolderId;

    const MS: Duration = Duration::from_millis(1);

    /// Touches at their milliseconds; then when it is ready, and what its writer is thought to do.
    #[track_caller]
    fn check(touches: &[(u32, FileSignal)], ready_at: u32, writer: WriterState) {
        let mut settle = Settle::new(100 * MS, 10_000 * MS);
        let file = FileKey { folder: FolderId(1), name: b"x.err".to_vec() };
        for (at, touch) in touches {
            settle.touch(&file, *touch, *at * MS, Timestamp(0));
        }
        assert_eq!(settle.next_due(), Some(ready_at * MS));
        assert!(settle.ready((ready_at - 1) * MS, 9).is_empty());
        let ready = settle.ready(ready_at * MS, 9);
        assert_eq!((ready[0].1.writer, ready.len()), (writer, 1));
        assert!(settle.is_empty() && settle.next_due().is_none());
    }

    #[test]
    fn a_file_is_ready_when_its_writer_is_done_or_pauses() {
        use FileSignal::{Closed, Found, Moved, Removed, Written};
        check(&[(10, Written), (20, Closed)], 120, WriterState::Closed);
        check(&[(10, Written), (500, Written)], 1500, WriterState::Open);
        check(&[(10, Closed), (50, Closed)], 150, WriterState::Closed);
        check(&[(10, Closed), (50, Written)], 1050, WriterState::Open);
        check(&[(10, Removed), (15, Written), (16, Closed)], 116, WriterState::Closed);
        check(&[(10, Moved)], 110, WriterState::Unknown);
        check(&[(10, Written), (20, Moved)], 1020, WriterState::Open);
        check(&[(10, Found(300 * MS))], 710, WriterState::Unknown);
        check(&[(10, Found(20_000 * MS))], 10, WriterState::Unknown);
        check(&[(10, Closed), (20, Found(MS))], 110, WriterState::Closed);
    }

    #[test]
    fn a_file_that_was_put_back_is_not_ready_at_each_write() {
        let mut settle = Settle::new(100 * MS, 10_000 * MS);
        let file = FileKey { folder: FolderId(1), name: b"x.log".to_vec() };
        settle.touch(&file, FileSignal::Written, MS, Timestamp(0));
        let (file, pending) = settle.ready(1001 * MS, 1).remove(0);
        settle.again(file.clone(), pending, 60_000 * MS);
        settle.touch(&file, FileSignal::Written, 30_000 * MS, Timestamp(0));
        assert_eq!(settle.next_due(), Some(31_000 * MS));
    }

    #[test]
    fn a_busy_file_is_ready_at_settle_max() {
        let busy: Vec<_> = (0..30).map(|i| (i * 500 + 10, FileSignal::Written)).collect();
        check(&busy, 10_010, WriterState::Open);
    }
}

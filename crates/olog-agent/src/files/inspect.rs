//! Inspects one log file: decides which event it makes, and what is remembered of it.
//!
//! | the file | the event |
//! |---|---|
//! | was never met | `text`, created |
//! | holds more behind the offset, the bytes before it are as they were | `text`, grown |
//! | holds something else | `text`, rewritten; the same text again: `seen` |
//! | is deleted, or closed empty by its writer | `cleared` |
//! | holds the output of a run that `exec` reports by itself ([`crate::kept`]) | nothing |
//! | is renamed, inside the log dirs or away from them | nothing; its later text belongs to its first task ([`super::rotation`]) |
//!
//! Events and memory go into a [`crate::spool::Batch`], which becomes one transaction. Nothing is written here, and no file is read beyond the
//! bounds of [`crate::read`].

use std::time::Duration;

use olog_proto::{EventContent, Excerpt, Growth, LogKind, Timestamp};

use super::inspector::{Inspector, LogFile};
use crate::boot::author;
use crate::kept;
use crate::read::{self, ReadError, ReadResult, Stat, as_path};
use crate::settle::{Debounced, GONE, Left, WriterState};
use crate::spool::{FileKey, FileState, SpoolError};
use crate::text::{self, CleanText};

/// After the last change of a file that stays open, its unfinished line is told all the same.
const UNFINISHED: Duration = Duration::from_secs(60);

/// The result of an inspection, beside what it put into the batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InspectResult {
    /// Nothing more to do until something changes.
    Done,
    /// To be inspected again at this time since boot.
    Again(Duration),
    /// Cannot be read, and why.
    Unreadable(String),
}

impl Inspector<'_> {
    /// Inspects a file.
    pub(super) fn inspect(&mut self, key: &FileKey, pending: &Debounced) -> Result<InspectResult, SpoolError> {
        let path = self.folder.path.join(as_path(&key.name));
        let found = match read::stat(self.place(&path)) {
            Ok(stat) => Ok(Some(stat)),
            Err(ReadError::Gone | ReadError::NotAFile) => Ok(None),
            Err(error) => Err(error),
        };
        let memory = self.memory(key)?;
        let memory = match &found {
            Ok(Some(stat)) => self.identify(key, pending, memory, &path, *stat)?,
            _ => memory,
        };
        let Some(log_file) = self.log_file(key, memory.as_ref(), path) else { return Ok(InspectResult::Done) };
        match found {
            Ok(Some(stat)) => {
                let n = self.batch.n_events();
                let result = self.present(key, pending, memory, &log_file, stat);
                self.batch.attribute(n, &author(stat.uid));
                result
            }
            Ok(None) => self.gone(key, pending, memory, &log_file),
            Err(error) => Ok(unreadable(&error)),
        }
    }

    /// The file is there.
    fn present(
        &mut self,
        key: &FileKey,
        pending: &Debounced,
        memory: Option<FileState>,
        log_file: &LogFile<'_>,
        stat: Stat,
    ) -> Result<InspectResult, SpoolError> {
        let (closed, again_at) = self.closed(pending, memory.as_ref(), stat);
        let all = closed || self.is_stuck(pending, memory.as_ref(), stat);
        if let Some(memory) = memory.as_ref().filter(|memory| stat.is(memory) && !memory.history) {
            let rest = all && memory.offset < stat.size;
            let paced = self.rate_limited_until.get(key).copied().filter(|&until| memory.held > 0 && until > self.now);
            match paced {
                Some(until) if !rest => return Ok(InspectResult::Again(until)),
                _ if rest || memory.held > 0 => {}
                _ => return Ok(self.unchanged(key, pending, memory, log_file, closed)),
            }
        }
        let breath = self.config.settle.max(GONE);
        if stat.size == 0 && memory.as_ref().is_some_and(|m| m.has_text) && self.quiet(stat) < breath {
            // Cut a moment ago: perhaps somebody is just writing it anew.
            return Ok(InspectResult::Again(self.now + breath));
        }
        let memory = memory.filter(|known| !self.was_copied(key, known, log_file, stat));
        let reading = match read::read(self.place(&log_file.path), memory.as_ref(), all) {
            Ok(reading) => reading,
            // Between two looks: the change that did it is told of.
            Err(ReadError::Gone | ReadError::NotAFile) => {
                return Ok(InspectResult::Again(self.now + self.config.settle));
            }
            Err(error) => return Ok(unreadable(&error)),
        };
        let grows = reading.change == Growth::Grown && log_file.suffix == LogKind::Log;
        if let Some(until) = self.rate_limited_until.get(key).copied().filter(|&until| grows && until > self.now) {
            return Ok(InspectResult::Again(until));
        }
        let unfinished = reading.is_unfinished();
        let is_held = self.emit_text(key, pending, memory, log_file, reading, closed)?;
        Ok(match again_at {
            _ if is_held => InspectResult::Again(self.rate_limited_until.get(key).copied().unwrap_or(self.now)),
            Some(at) if unfinished || log_file.suffix == LogKind::Log => InspectResult::Again(at),
            _ if unfinished => InspectResult::Again(self.now + UNFINISHED),
            _ => InspectResult::Done,
        })
    }

    /// Is its writer done with it? If that is a guess by its quiet, when will the guess be safe?
    fn closed(&self, pending: &Debounced, memory: Option<&FileState>, stat: Stat) -> (bool, Option<Duration>) {
        let quiet =
            u64::try_from(self.clock.now().since(stat.changed_at())).map_or(Duration::MAX, Duration::from_millis);
        match pending.writer {
            WriterState::Closed => (true, None),
            WriterState::Open => (false, None),
            WriterState::Unknown if pending.live => (memory.is_none_or(|m| !m.open), None),
            WriterState::Unknown if quiet >= self.config.settle_max => (true, None),
            WriterState::Unknown => (false, Some(self.now + self.config.settle_max.saturating_sub(quiet))),
        }
    }

    /// Open, but its last line has not been finished for long: it is told as it is, lest it never be.
    fn is_stuck(&self, pending: &Debounced, memory: Option<&FileState>, stat: Stat) -> bool {
        let open = pending.writer == WriterState::Open || (pending.live && pending.writer == WriterState::Unknown);
        open && self.quiet(stat) >= UNFINISHED && memory.is_some_and(|m| stat.is(m))
    }

    fn quiet(&self, stat: Stat) -> Duration {
        // A time in the future says nothing about quiet; it is taken for long past.
        u64::try_from(self.clock.now().since(stat.changed_at())).map_or(Duration::MAX, Duration::from_millis)
    }

    /// Its bytes are as they were; but the end of a run, or of a text, may not be told yet.
    fn unchanged(
        &mut self,
        key: &FileKey,
        pending: &Debounced,
        memory: &FileState,
        log_file: &LogFile<'_>,
        closed: bool,
    ) -> InspectResult {
        let ends = memory.open && closed && (pending.writer == WriterState::Closed || !pending.live);
        if !ends {
            return InspectResult::Done;
        }
        let known = FileState { open: false, ..memory.clone() };
        if log_file.suffix == LogKind::Log && memory.head.is_some() {
            if let Some(until) =
                self.rate_limited_until.get(key).copied().filter(|&until| until > self.now && memory.size > 0)
            {
                return InspectResult::Again(until);
            }
            let change = if memory.size == 0 { Growth::Rewritten } else { Growth::Grown };
            let file = self.file(log_file, change, memory.began, true, false, Vec::new());
            let at = self.clock.now();
            self.emit(key, at, EventContent::Text { file, excerpt: Excerpt::default() });
        } else if memory.size == 0 && memory.has_text {
            self.repeats(key, log_file, self.clock.now(), memory.held);
            self.cleared(key, log_file, self.clock.now(), false);
            self.batch.remember(key.clone(), FileState { has_text: false, ..known });
            return InspectResult::Done;
        }
        self.batch.remember(key.clone(), known);
        InspectResult::Done
    }

    /// Says what a reading says, and remembers it. True: it was seen before, and may not be told yet.
    fn emit_text(
        &mut self,
        key: &FileKey,
        pending: &Debounced,
        memory: Option<FileState>,
        log_file: &LogFile<'_>,
        reading: ReadResult,
        closed: bool,
    ) -> Result<bool, SpoolError> {
        let history = memory.as_ref().is_some_and(|m| m.history);
        let known_encoding = memory.as_ref().filter(|_| reading.change == Growth::Grown).and_then(|m| m.encoding);
        let stat = reading.stat;
        // Its run is reported by itself: nothing here is news.
        let is_reported = reading.from == 0 && kept::is_reported(&reading.head);
        let said = match is_reported {
            true => CleanText::default(),
            false => text::clean_text(reading.bytes(), known_encoding, self.manner(log_file)),
        };
        let at = self.happened_at(pending, reading.stat);
        let began = began(pending, memory.as_ref(), &reading, at);
        let had_text = memory.as_ref().is_some_and(|m| m.has_text && !m.history);
        let grown = reading.change == Growth::Grown;
        let blank = said.is_blank();
        let mut held = memory.as_ref().map_or(0, |m| m.held);
        if reading.same {
            // The look that a held-back writing asked for is not one more writing.
            let written_again = !memory.as_ref().is_some_and(|m| reading.stat.is(m));
            held = held.saturating_add(u32::from(written_again));
        }
        let mut known = FileState {
            inode: reading.stat.inode,
            size: reading.stat.size,
            mtime: reading.stat.mtime,
            seen: memory.as_ref().and_then(|m| m.seen),
            offset: reading.to,
            head: Some(reading.head_hash),
            tail: Some(reading.tail_hash),
            content: Some(reading.content),
            began,
            encoding: said.encoding,
            // An open file that is empty for the moment may yet be closed empty.
            has_text: !blank || (had_text && (grown || !closed) && !is_reported),
            open: !closed,
            history: false,
            held: 0,
            origin: memory.as_ref().and_then(|m| m.origin.clone()),
            born: reading.stat.born,
        };
        let run = log_file.suffix == LogKind::Log && closed && !grown;
        if is_reported {
            known.held = 0;
        } else if blank && !run {
            // Another file took its place while nobody looked: the one that had text may have been renamed away.
            let unseen_swap = pending.unseen && memory.as_ref().is_some_and(|m| !reading.stat.may_be(m));
            if had_text && !grown && closed && !unseen_swap {
                self.repeats(key, log_file, at, held);
                self.cleared(key, log_file, at, false);
            }
        } else if reading.same && !blank && !history {
            if self.rate_limited_until.get(key).is_some_and(|&until| until > self.now) {
                known.held = held;
            } else {
                let file = self.file(log_file, reading.change, began, closed, false, said.fingerprints);
                self.emit(key, at, EventContent::Seen { file, times: held.max(1) });
            }
        } else {
            self.repeats(key, log_file, at, held);
            let file = self.file(log_file, reading.change, began, closed, history, said.fingerprints);
            self.emit(key, at, EventContent::Text { file, excerpt: said.excerpt });
        }
        let is_held = known.held > 0;
        self.remember_all_names(key, stat, known)?;
        Ok(is_held)
    }

    /// No file lies under this name any more.
    fn gone(
        &mut self,
        key: &FileKey,
        pending: &Debounced,
        memory: Option<FileState>,
        log_file: &LogFile<'_>,
    ) -> Result<InspectResult, SpoolError> {
        let Some(memory) = memory else { return Ok(InspectResult::Done) };
        // Deleted by the clean-up, which the spool could not note then.
        if self.swept.contains(key) {
            self.batch.forget(key.clone());
            return Ok(InspectResult::Done);
        }
        let lives_on = match pending.left {
            Some(Left::Renamed) => {
                if !self.has_other_name(key, &memory)? {
                    self.set_aside(key, &memory);
                }
                true
            }
            // It may have another name: a link was made before this one was deleted.
            Some(Left::Removed) => self.has_other_name(key, &memory)?,
            None => self.has_other_name(key, &memory)? || self.follow_in_folder(key, &memory, log_file)?,
        };
        let had_text = memory.has_text || (memory.head.is_none() && memory.size > 0);
        if !lives_on && had_text && memory.origin.is_none() && log_file.suffix != LogKind::Log {
            self.repeats(key, log_file, self.clock.now(), memory.held);
            self.cleared(key, log_file, self.clock.now(), true);
        }
        self.batch.forget(key.clone());
        Ok(InspectResult::Done)
    }

    fn cleared(&mut self, key: &FileKey, log_file: &LogFile<'_>, at: Timestamp, deleted: bool) {
        if log_file.suffix == LogKind::Log {
            return;
        }
        let (task, suffix, path) = (log_file.task.clone(), log_file.suffix, self.path_text(log_file));
        self.emit(key, at, EventContent::Cleared { task, suffix, path, deleted });
    }

    /// What was written again and is not told yet counts before the file says something else, or nothing any more. Which text it
    /// was, the hub knows by the path.
    fn repeats(&mut self, key: &FileKey, log_file: &LogFile<'_>, at: Timestamp, held: u32) {
        if held > 0 && log_file.suffix != LogKind::Log {
            let file = self.file(log_file, Growth::Rewritten, None, true, false, Vec::new());
            self.emit(key, at, EventContent::Seen { file, times: held });
        }
    }

    /// The time of the change: the file's own, unless the kernel has just told of a file that carries an old one (moved in,
    /// copied with its times), or its clock is ahead.
    fn happened_at(&self, pending: &Debounced, stat: Stat) -> Timestamp {
        let now = self.clock.now();
        let own = stat.changed_at();
        if own > now || (pending.live && pending.first_at.since(own) > 2000) { pending.first_at.min(now) } else { own }
    }
}

/// When this writing of the file began: known to be so late, or not said. Too early is safe, too late would call an error over.
fn began(pending: &Debounced, memory: Option<&FileState>, reading: &ReadResult, at: Timestamp) -> Option<Timestamp> {
    let first = pending.live.then_some(pending.first_at);
    let other_inode = memory.is_none_or(|m| m.inode != reading.stat.inode);
    match reading.change {
        Growth::Grown => memory.and_then(|m| m.began),
        _ if other_inode => reading.stat.born_at().or(first).map(|born| born.min(at)),
        _ if memory.is_some_and(|m| m.history) => reading.stat.born_at(),
        _ => first.or_else(|| memory.map(|m| Timestamp(m.mtime.div_euclid(1_000_000)))),
    }
}

fn unreadable(error: &ReadError) -> InspectResult {
    InspectResult::Unreadable(match std::error::Error::source(error) {
        Some(source) => format!("{source}; the agent's user needs r on it"),
        None => error.to_string(),
    })
}

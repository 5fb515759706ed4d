//! The files thread's own troubles: a note when one begins and a note when it is over, once each, also across a restart.
//!
//! A note that the spool does not take waits here and is stored later ([`Notes::retry`]); at most [`MAX`] troubles are open at a time,
//! because further ones say nothing new.

use std::collections::BTreeMap;

use olog_daemon::clock::Clock;
use olog_proto::Note;

use crate::boot;
use crate::spool::{Spool, SpoolError};

/// The codes of this module's notes; others open notes of their own in the same spool.
const CODES: &[&str] = &[
    "log_dir_missing",
    "log_dir_unreadable",
    "log_dir_hidden",
    "log_dir_full",
    "file_unreadable",
    "watch_limit",
    "too_many_folders",
    "spool_full",
    "disk_full",
    "not_cleanable",
];
/// Notes at one time; more of the same say nothing new.
const MAX: usize = 200;

pub(super) struct Notes {
    spool: Spool,
    clock: Clock,
    open: BTreeMap<(&'static str, String), String>,
    /// Open, but the spool did not take them yet.
    untold: Vec<Note>,
}

impl Notes {
    pub(super) fn new(spool: Spool, clock: Clock) -> Result<Notes, SpoolError> {
        let notes = spool.open_notes()?;
        let open = notes.into_iter().filter_map(|note| {
            let code = CODES.iter().find(|code| **code == note.code)?;
            Some(((*code, note.path.unwrap_or_default()), note.text))
        });
        Ok(Notes { open: open.collect(), spool, clock, untold: Vec::new() })
    }

    pub(super) fn begin(&mut self, code: &'static str, path: &str, text: String) {
        let key = (code, path.to_owned());
        if self.open.contains_key(&key) || self.open.len() >= MAX {
            return;
        }
        tracing::warn!(code, path, "{text}");
        self.open.insert(key, text.clone());
        self.emit(note(code, path, text, false));
    }

    pub(super) fn over(&mut self, code: &'static str, path: &str) {
        if let Some(text) = self.open.remove(&(code, path.to_owned())) {
            tracing::info!(code, path, "over: {text}");
            self.emit(note(code, path, text, true));
        }
    }

    pub(super) fn once(&mut self, code: &'static str, path: &str, text: String) {
        self.emit(Note { once: true, ..note(code, path, text, false) });
    }

    /// All open troubles of a code whose path is not among these are over.
    pub(super) fn only(&mut self, code: &'static str, still: impl Fn(&str) -> bool) {
        let done: Vec<_> = self.open.keys().filter(|(c, path)| *c == code && !still(path)).cloned().collect();
        done.iter().for_each(|(_, path)| self.over(code, path));
    }

    pub(super) fn is_open(&self, code: &str) -> bool {
        self.open.keys().any(|(c, _)| *c == code)
    }

    pub(super) fn is_open_at(&self, code: &'static str, path: &str) -> bool {
        self.open.contains_key(&(code, path.to_owned()))
    }

    /// Stores what the spool did not take before. The first failure ends the attempt: the spool is the same for all.
    pub(super) fn retry(&mut self) -> Result<(), SpoolError> {
        while let Some(note) = self.untold.first() {
            self.spool.put_note(note.clone(), boot::stamp(self.clock.now()))?;
            self.untold.remove(0);
        }
        Ok(())
    }

    /// Does a note wait for the spool?
    pub(super) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    pub(super) fn notes(&self) -> Vec<Note> {
        self.open.iter().map(|((code, path), text)| note(code, path, text.clone(), false)).collect()
    }

    fn emit(&mut self, note: Note) {
        // In the order in which they came: a begin before its end.
        let stored = match self.untold.is_empty() {
            true => self.spool.put_note(note.clone(), boot::stamp(self.clock.now())).map(drop),
            false => {
                self.retry().and_then(|()| self.spool.put_note(note.clone(), boot::stamp(self.clock.now())).map(drop))
            }
        };
        if let Err(error) = stored {
            tracing::error!(code = note.code, %error, "a note waits for the spool");
            if self.untold.len() < 2 * MAX {
                self.untold.push(note);
            }
        }
    }
}

fn note(code: &str, path: &str, text: String, over: bool) -> Note {
    let path = Some(path.to_owned()).filter(|path| !path.is_empty());
    Note { code: code.to_owned(), path, text, over, once: false }
}

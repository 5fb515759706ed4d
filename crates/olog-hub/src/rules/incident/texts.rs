//! The latest texts of a task's files. A `seen` event has no text, so the text of the file's last event is used. The same message of a
//! `.msg` file within 10 min is notified once, with its count.

use olog_proto::{Excerpt, Fingerprint, Timestamp};
use serde::{Deserialize, Serialize};

use super::{MINUTE, push_bounded};

/// The same text of a `.msg` within this time is told once.
const ONCE_WITHIN: i64 = 10 * MINUTE;
const TEXTS_MAX: usize = 4;

/// What the files of one task said last.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Texts {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorText>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<MessageText>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct ErrorText {
    /// Hash of the path.
    file: u64,
    excerpt: Excerpt,
    fingerprints: Vec<Fingerprint>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct MessageText {
    /// Hash of the path that had it last.
    file: u64,
    excerpt: Excerpt,
    told_at: Timestamp,
    /// How often it came since then.
    n_since: u64,
}

impl Texts {
    /// An error file says this now.
    pub(super) fn remember(&mut self, file: u64, excerpt: &Excerpt, fingerprints: &[Fingerprint]) {
        if excerpt.is_blank() {
            return;
        }
        self.errors.retain(|text| text.file != file);
        let text = ErrorText { file, excerpt: excerpt.clone(), fingerprints: fingerprints.to_vec() };
        push_bounded(&mut self.errors, text, TEXTS_MAX);
    }

    /// What an error file said last; nothing if that is forgotten.
    pub(super) fn recall(&self, file: u64) -> (Excerpt, Vec<Fingerprint>) {
        let text = self.errors.iter().find(|text| text.file == file);
        text.map_or_else(Default::default, |text| (text.excerpt.clone(), text.fingerprints.clone()))
    }

    /// A message came, its text or the same again (`None`). If it has to be told: the text, and how often it came since it
    /// was last told.
    pub(super) fn message(
        &mut self,
        file: u64,
        text: Option<&Excerpt>,
        times: u64,
        at: Timestamp,
    ) -> Option<(Excerpt, u64)> {
        // The same text in another file of the task is the same message; the latest text of a file is its last in the list.
        let known = self.messages.iter().rposition(|known| match text {
            Some(text) => known.excerpt == *text,
            None => known.file == file,
        });
        let known = known.map(|i| self.messages.remove(i));
        let is_due = known.as_ref().is_none_or(|known| at.since(known.told_at).saturating_abs() >= ONCE_WITHIN);
        let mut message = known.unwrap_or_else(|| MessageText {
            file,
            excerpt: text.cloned().unwrap_or_default(),
            told_at: at,
            n_since: 0,
        });
        message.file = file;
        message.n_since = message.n_since.saturating_add(times.max(1));
        let told = is_due.then(|| (message.excerpt.clone(), message.n_since));
        if is_due {
            (message.told_at, message.n_since) = (at, 0);
        }
        push_bounded(&mut self.messages, message, TEXTS_MAX);
        told
    }
}

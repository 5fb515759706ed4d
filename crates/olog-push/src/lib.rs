//! Notification channels: notices in, the service's own answer out.
//!
//! A [`Notice`] is what there is to tell, as facts. [`words`] puts those that go together into a [`Message`], in the
//! channel's language. A [`Channel`] makes the call that its service documents and reads the answer to the last field:
//! [`Answer`] says for each receiver whether it was accepted, should be tried later, or never will be. Used by the hub's
//! outbox and by the agent's own push. This crate keeps no state but the pace of each channel, and retries nothing:
//! whoever owns the notices decides that.

pub mod channel;
mod http;
pub mod look;
pub mod notice;
pub mod pace;
pub mod words;
mod wxpusher;

pub use channel::{Channel, Only};
pub use notice::{Cadence, Came, Expected, Ground, Kind, Notice, ReportFacts, Saying, SystemCode, Why};

/// A message ready for a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `STATE device/task`, at most 20 characters.
    pub title: String,
    /// Title and telling line, at most 100 characters.
    pub summary: String,
    /// The body as an HTML fragment, every text escaped. Empty: the message goes as plain text.
    pub html: String,
    /// The same as plain text.
    pub text: String,
    /// What it tells of, worst first.
    pub about: Vec<About>,
}

/// One matter of a message, for services and programs that sort by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Its kind.
    pub kind: Kind,
    /// The device, if it is about one.
    pub device: Option<String>,
    /// The task, if it is about one.
    pub task: Option<String>,
    /// The incident's number, if it is one's.
    pub incident: Option<u64>,
    /// When it happened.
    pub at: olog_proto::At,
}

impl Message {
    /// The same as plain text, cut to `chars`: for a service that refused length or format.
    pub fn plain(mut self, chars: usize) -> Message {
        self.html.clear();
        if let Some((end, _)) = self.text.char_indices().nth(chars) {
            self.text.truncate(end);
        }
        self
    }
}

/// What fits into one message of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Characters of the body.
    pub chars: usize,
    /// Characters of the summary.
    pub summary_chars: usize,
}

/// Somebody a channel reaches. Its `id` is safe to store and to show (a secret one is masked).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Receiver {
    /// E.g. `UID_abc`, `topic:123`, `SPT_ab…yz`.
    pub id: String,
}

/// What the service said about one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It took the message: not more than that is known.
    Accepted {
        /// Its own words.
        words: String,
    },
    /// Not now.
    Later {
        /// Not before, if it named a time.
        after: Option<std::time::Duration>,
        /// Its own words, or what happened to the call.
        why: String,
    },
    /// Never like this.
    Refused {
        /// What would have to change.
        class: Refusal,
        /// Its own words.
        why: String,
    },
}

/// What would have to change before a refused call could be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The credential: pauses the channel.
    Credential,
    /// The receiver: set aside and told; the others go on.
    Receiver,
    /// Length or format: shortened or sent as plain text once.
    Format,
    /// Something else.
    Other,
}

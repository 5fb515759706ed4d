//! Notification channels: notices in, the service's own answer out.
//!
//! A [`Notice`] is what there is to tell, as facts. [`words`] puts those that go together into a [`Message`], in the
//! channel's language. A [`Channel`] makes the call that its service documents and reads the answer to the last field:
//! [`Answer`] says for each receiver whether it was accepted, should be tried later, or never will be. Used by the hub's
//! outbox and by the agent's own push. This crate keeps no state but the pace of each channel, and retries nothing:
//! whoever owns the notices decides that.

pub mod channel;
mod described;
mod exec;
pub mod fetch;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod http;
mod keys;
mod mail;
mod message;
pub mod notice;
pub mod rate_limit;
pub mod words;
mod wxpusher;

pub use channel::{Channel, ChannelFilter};
pub use described::known::ChannelCatalog;
pub use message::{About, Acknowledge, Form, Limits, Message, MessageLink, Unit};
pub use notice::{
    Cadence, Content, ErrorFacts, Expected, FailedRun, Kind, MISSED_RUNS_MAX, MissedRun, Notice, Reason, Recovery,
    Reopened, ReportFacts, ResolvedBy, SaidBy, SystemCode,
};

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

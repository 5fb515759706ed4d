//! Log lines about devices, incidents and notifications: the audit trail that `journalctl -u olog-hub` shows.
//!
//! A transaction notes a [`LogEntry`] beside what it writes ([`crate::store::Tx::note`]); the store logs it only if the transaction
//! commits, so that a step that is rolled back or repeated logs nothing. The fields are for searching:
//! `journalctl OLOG_DEVICE=pi`, `OLOG_INCIDENT=17`. The text of log files stays in the database.
//!
//! Rate-limited: of each `WINDOW` the first `LINES` are logged and the rest is counted, so that a storm (a thousand devices
//! reconnect) does not push other lines out of the journal. `incident list` and `device list` still have everything.
//!
//! Must not: decide anything, or hold up a commit.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Lines within a window; the journal of a default system takes 10,000 in 30 s of one unit.
const LINES: u64 = 500;
/// The window.
const WINDOW: Duration = Duration::from_secs(10);

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogEntry {
    what: &'static str,
    incident: Option<u64>,
    about: Option<&'static str>,
    device: Option<String>,
    task: Option<String>,
    channel: Option<String>,
    n_devices: Option<usize>,
    from: Option<String>,
    version: Option<String>,
    why: Option<String>,
}

impl LogEntry {
    /// What, in a few words.
    pub fn new(what: &'static str) -> LogEntry {
        LogEntry { what, ..LogEntry::default() }
    }

    /// To this incident.
    pub fn incident(self, number: u64) -> LogEntry {
        LogEntry { incident: Some(number), ..self }
    }

    /// Which is about a `task`, a `channel`, …: one of the store's subjects.
    pub fn about(self, subject: &'static str) -> LogEntry {
        LogEntry { about: Some(subject), ..self }
    }

    /// To this device.
    pub fn device(self, name: impl ToString) -> LogEntry {
        LogEntry { device: Some(name.to_string()), ..self }
    }

    /// To several devices, named as far as there is room.
    pub fn devices(self, names: &str, n: usize) -> LogEntry {
        LogEntry { device: Some(names.to_owned()), n_devices: (n > 1).then_some(n), ..self }
    }

    /// To this task.
    pub fn task(self, name: impl ToString) -> LogEntry {
        LogEntry { task: Some(name.to_string()), ..self }
    }

    /// To this channel.
    pub fn channel(self, name: &str) -> LogEntry {
        LogEntry { channel: Some(name.to_owned()), ..self }
    }

    /// From this address, by this version.
    pub fn from(self, address: impl ToString, version: &str) -> LogEntry {
        LogEntry { from: Some(address.to_string()), version: Some(version.to_owned()), ..self }
    }

    /// For this reason, on this ground.
    pub fn why(self, why: impl Into<String>) -> LogEntry {
        LogEntry { why: Some(why.into()), ..self }
    }

    fn log(&self) {
        tracing::info!(
            incident = self.incident,
            about = self.about,
            device = self.device.as_deref(),
            n_devices = self.n_devices,
            task = self.task.as_deref(),
            channel = self.channel.as_deref(),
            from = self.from.as_deref(),
            version = self.version.as_deref(),
            why = self.why.as_deref(),
            "{}",
            self.what
        );
    }
}

/// Tells lines, within the bound; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<RateWindow>>);

#[derive(Debug, Default)]
struct RateWindow {
    began_at: Option<Instant>,
    n: u64,
}

impl Journal {
    /// Tells what was committed. Called after every commit, so that the count of a storm is told soon after it.
    pub fn log(&self, lines: &[LogEntry]) {
        let (more, told) = self.allow(lines.len(), Instant::now());
        if more > 0 {
            tracing::info!(
                n = more,
                "more happened than is told here: see `olog-hub incident list` and `olog-hub device list`"
            );
        }
        lines.iter().take(told).for_each(LogEntry::log);
    }

    /// How many of the windows before are still to be counted, and how many of these may be told.
    fn allow(&self, lines: usize, now: Instant) -> (u64, usize) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut more = 0;
        if window.began_at.is_none_or(|began_at| now.saturating_duration_since(began_at) >= WINDOW) {
            more = window.n.saturating_sub(LINES);
            *window = RateWindow { began_at: Some(now), n: 0 };
        }
        let left = LINES.saturating_sub(window.n);
        window.n = window.n.saturating_add(lines as u64);
        (more, usize::try_from(left).unwrap_or(usize::MAX).min(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_storm_the_beginning_is_told_and_then_how_much_more_there_was() {
        let journal = Journal::default();
        let began = Instant::now();
        assert_eq!(journal.allow(3, began), (0, 3));
        assert_eq!(journal.allow(100_000, began), (0, LINES as usize - 3));
        assert_eq!(journal.allow(1, began + WINDOW / 2), (0, 0));
        assert_eq!(journal.allow(0, began + WINDOW), (100_004 - LINES, 0));
        assert_eq!(journal.allow(2, began + WINDOW), (0, 2));
    }
}

//! Whether the workers still go round: what the service manager's watchdog is fed by.
//!
//! A worker says when a round begins and when it rests, and again while it waits for something that it knows of (a full disk, a
//! slow service). A round that lasts [`STUCK_AFTER`] without another sign is stuck: a lock that is never given back, a
//! database that never answers. A worker that rests is well, however long. Instants are monotonic: a clock that
//! jumps makes nobody stuck. Holds nothing else and decides nothing.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;

/// The longest between two signs of a worker that works.
pub const STUCK_AFTER: Duration = Duration::from_secs(60);

/// All workers that are looked at.
#[derive(Debug, Clone, Default)]
pub struct Pulses(Arc<Mutex<Vec<Looked>>>);

#[derive(Debug)]
struct Looked {
    name: String,
    busy_since: Weak<Mutex<Option<Instant>>>,
}

/// One worker's; when it is dropped, nobody looks at it any more.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Mutex<Option<Instant>>>);

impl Pulses {
    /// Another worker.
    pub fn of(&self, name: impl Into<String>) -> Pulse {
        let pulse = Pulse::default();
        let mut looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looked.retain(|other| other.busy_since.strong_count() > 0);
        looked.push(Looked { name: name.into(), busy_since: Arc::downgrade(&pulse.0) });
        pulse
    }

    /// The names of those who are stuck by now.
    pub fn stuck(&self, now: Instant) -> Vec<String> {
        let is_stuck = |worker: &&Looked| {
            let busy_since = worker.busy_since.upgrade();
            let since = busy_since.and_then(|since| *since.lock().unwrap_or_else(PoisonError::into_inner));
            since.is_some_and(|since| now.saturating_duration_since(since) >= STUCK_AFTER)
        };
        let looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looked.iter().filter(is_stuck).map(|worker| worker.name.clone()).collect()
    }
}

#[cfg(test)]
impl Pulses {
    /// As if this worker's last sign were so old.
    pub(crate) fn set_back(&self, by: Duration, pulse: &Pulse) {
        pulse.set(Instant::now().checked_sub(by));
    }
}

impl Pulse {
    /// A round begins or goes on.
    pub fn beat(&self) {
        self.set(Some(Instant::now()));
    }

    /// There is nothing to do.
    pub fn rest(&self) {
        self.set(None);
    }

    fn set(&self, busy_since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = busy_since;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_round_that_gives_no_sign_for_a_minute_is_stuck() {
        let pulses = Pulses::default();
        let (ingest, outbox) = (pulses.of("ingest"), pulses.of("outbox"));
        ingest.beat();
        let soon = Instant::now() + Duration::from_secs(59);
        assert!(pulses.stuck(soon).is_empty());
        let late = Instant::now() + STUCK_AFTER;
        assert_eq!(pulses.stuck(late), ["ingest"]);
        ingest.rest();
        assert!(pulses.stuck(late + Duration::from_secs(3600)).is_empty());
        outbox.beat();
        assert_eq!(pulses.stuck(Instant::now() + STUCK_AFTER), ["outbox"]);
        drop(outbox);
        assert!(pulses.stuck(late + STUCK_AFTER).is_empty());
    }
}

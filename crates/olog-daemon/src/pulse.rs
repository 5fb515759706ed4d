//! Who still works: each worker beats its [`Pulse`] as it goes on, and [`Vitals`] notices the one that stopped.
//!
//! A worker beats at each step of its work and at least every so often while it waits, so a long piece of work is not
//! taken for a stop, and a wait for a full disk neither; a call that never returns is. What is done about it is not decided
//! here: the daemons stop feeding the service manager's watchdog, which then starts them anew.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// A worker's sign of life.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// One step done.
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The pulses of all workers, as they are looked at from time to time.
#[derive(Debug)]
pub struct Vitals {
    workers: Vec<Worker>,
    looked_at: Instant,
}

#[derive(Debug)]
struct Worker {
    name: &'static str,
    pulse: Pulse,
    limit: Duration,
    count: u64,
    quiet: Duration,
}

impl Vitals {
    /// Of nobody yet.
    pub fn new(now: Instant) -> Vitals {
        Vitals { workers: Vec::new(), looked_at: now }
    }

    /// From now on this worker too: it is stuck when it has not moved for `limit`.
    pub fn watch(&mut self, name: &'static str, pulse: Pulse, limit: Duration) {
        let count = pulse.count();
        self.workers.push(Worker { name, pulse, limit, count, quiet: Duration::ZERO });
    }

    /// Looks at all of them: the first that is stuck, and for how long.
    pub fn stuck(&mut self, now: Instant) -> Option<(&'static str, Duration)> {
        let passed = now - self.looked_at;
        self.looked_at = now;
        for worker in &mut self.workers {
            let count = worker.pulse.count();
            if count == worker.count {
                // A process that was stopped as a whole comes back to a long gap in which nobody could have moved.
                worker.quiet += passed.min(worker.limit / 4);
            } else {
                (worker.count, worker.quiet) = (count, Duration::ZERO);
            }
        }
        self.workers.iter().find(|worker| worker.quiet >= worker.limit).map(|worker| (worker.name, worker.quiet))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_worker_that_stops_moving_is_found_and_one_that_moves_again_is_well() {
        let (good, bad) = (Pulse::default(), Pulse::default());
        let mut now = Instant::now();
        let mut vitals = Vitals::new(now);
        vitals.watch("good", good.clone(), LIMIT);
        vitals.watch("bad", bad.clone(), LIMIT);
        let mut found = None;
        for _ in 0..12 {
            assert_eq!(found, None);
            now += Duration::from_secs(5);
            good.beat();
            found = vitals.stuck(now);
        }
        assert_eq!(found, Some(("bad", LIMIT)));
        bad.beat();
        assert_eq!(vitals.stuck(now), None);
    }

    #[tokio::test]
    async fn a_process_that_was_stopped_as_a_whole_is_not_stuck_when_it_goes_on() {
        let pulse = Pulse::default();
        let mut now = Instant::now();
        let mut vitals = Vitals::new(now);
        vitals.watch("one", pulse.clone(), LIMIT);
        now += 100 * LIMIT;
        assert_eq!(vitals.stuck(now), None);
        pulse.beat();
        assert_eq!(vitals.stuck(now + Duration::from_secs(5)), None);
    }
}

//! The clock of a daemon: the only module that reads the system's wall clock.
//!
//! A worker has a [`Clock`], asks it for the time, and passes `now` as a parameter to pure functions, which never have a clock. In a test,
//! [`Clock::manual`] gives a clock together with its [`ClockHandle`]: moving the handle changes the time at once and wakes every worker that
//! sleeps until an earlier time.
//!
//! Must not: measure durations (that is `Instant`, which no change of the wall clock moves).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use olog_proto::Timestamp;
use tokio::sync::watch;

/// A source of wall time.
#[derive(Debug, Clone)]
pub struct Clock(TimeSource);

#[derive(Debug, Clone)]
enum TimeSource {
    System,
    Manual(watch::Receiver<Timestamp>),
}

/// Moves a manual clock.
#[derive(Debug)]
pub struct ClockHandle(watch::Sender<Timestamp>);

impl Clock {
    /// The system's clock.
    pub fn system() -> Clock {
        Clock(TimeSource::System)
    }

    /// A clock that stands still until its hand is moved.
    pub fn manual(start: Timestamp) -> (Clock, ClockHandle) {
        let (sender, receiver) = watch::channel(start);
        (Clock(TimeSource::Manual(receiver)), ClockHandle(sender))
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the clock that all others ask")]
            TimeSource::System => Timestamp(match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(after) => i64::try_from(after.as_millis()).unwrap_or(i64::MAX),
                Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
            }),
            TimeSource::Manual(at) => *at.borrow(),
        }
    }

    /// Returns when this clock shows `due` or later. The system's clock may jump, so it is looked at again at least every minute.
    pub async fn sleep_until(&self, due: Timestamp) {
        match &self.0 {
            TimeSource::System => loop {
                let left = due.since(self.now());
                let Ok(left @ 1..) = u64::try_from(left) else { return };
                tokio::time::sleep(Duration::from_millis(left.min(60_000))).await;
            },
            TimeSource::Manual(at) => {
                // The hand is gone: the test is over, and nobody waits for this any more.
                if at.clone().wait_for(|now| *now >= due).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

impl ClockHandle {
    /// Moves the clock on by this many milliseconds.
    pub fn advance(&self, ms: i64) {
        self.0.send_modify(|now| *now = now.plus(ms));
    }

    /// Sets the clock, forwards or back.
    pub fn set(&self, now: Timestamp) {
        self.0.send_replace(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_hand_moves_past_its_instant() {
        let (clock, hand) = Clock::manual(Timestamp(1000));
        let sleep = clock.sleep_until(Timestamp(2000));
        tokio::pin!(sleep);
        assert!(tokio::time::timeout(Duration::from_millis(5), &mut sleep).await.is_err());
        hand.advance(1000);
        sleep.await;
    }
}

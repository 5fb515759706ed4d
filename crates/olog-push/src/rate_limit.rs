//! Rate limit of a channel: calls per period, and how many may follow each other at once (burst). A token bucket.
//!
//! [`RateLimiter`] answers one question: may a call be made now, and if not, in how long. It never sleeps, and the time comes in
//! with each question. [`RateLimiters`] keeps the limiter of each channel when the configuration is read again, so that a
//! reload right after a burst does not allow a second burst: services count calls, not configurations.
//!
//! The daily budget of a channel (quota) is not here; the hub keeps it in its store, because it has to survive a restart.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, clock, middleware::NoOpMiddleware};
use tokio::time::Instant;

/// Calls that a limiter remembers: as many as the largest burst of a built-in channel type.
const CALLS_KEPT: usize = 1000;

/// Calls per period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The period of one call.
    pub every: Duration,
    /// How many calls may follow each other at once after a pause.
    pub burst: NonZeroU32,
}

impl Rate {
    /// Reads `N/s`, `N/min` or `N/h`, as a configuration has it.
    pub fn parse(text: &str, burst: NonZeroU32) -> Option<Rate> {
        let (n, unit) = text.split_once('/')?;
        let n: u32 = n.trim().parse().ok().filter(|n| (1..=10_000).contains(n))?;
        let period = match unit.trim() {
            "s" => Duration::from_secs(1),
            "min" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return None,
        };
        Some(Rate { every: period / n, burst })
    }

    /// Like [`Rate::parse`]; the error says what was expected.
    pub(crate) fn parse_or_say(text: &str, burst: NonZeroU32) -> Result<Rate, String> {
        Rate::parse(text, burst)
            .ok_or_else(|| format!("expected calls per period like \"1/s\" or \"20/min\", found {text:?}"))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.every.as_secs_f64();
        let (n, unit) = match each {
            ..=1.0 => (1.0 / each, "s"),
            ..=60.0 => (60.0 / each, "min"),
            _ => (3600.0 / each, "h"),
        };
        write!(f, "{n:.0}/{unit}")
    }
}

/// Keeps a channel within its rate.
#[derive(Debug)]
pub struct RateLimiter {
    rate: Rate,
    bucket: governor::RateLimiter<NotKeyed, InMemoryState, ManualClock, NoOpMiddleware<MonotonicNanos>>,
    clock: ManualClock,
    start: Instant,
    /// The latest calls that were allowed, oldest first: what a limiter of another rate starts with.
    calls: Mutex<VecDeque<Instant>>,
}

impl RateLimiter {
    /// A limiter without calls so far.
    pub fn new(rate: Rate, now: Instant) -> RateLimiter {
        let clock = ManualClock(Arc::default());
        let every = rate.every.max(Duration::from_nanos(1));
        let quota = Quota::with_period(every).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(rate.burst);
        let bucket = governor::RateLimiter::direct_with_clock(quota, clock.clone());
        RateLimiter { rate, bucket, clock, start: now, calls: Mutex::default() }
    }

    /// Counts one call, or says how long to wait until there is room for one.
    pub fn try_acquire(&self, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.start).as_nanos();
        self.clock.0.fetch_max(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.bucket.check().map_err(|not_until| {
            not_until.wait_time_from(clock::Clock::now(&self.clock)).max(Duration::from_millis(1))
        })?;
        let mut calls = self.calls();
        if calls.len() == CALLS_KEPT {
            calls.pop_front();
        }
        calls.push_back(now);
        Ok(())
    }

    /// A limiter with another rate that counts the calls of this one.
    fn with_rate(&self, rate: Rate, now: Instant) -> RateLimiter {
        let calls = self.calls().clone();
        let next = RateLimiter::new(rate, calls.front().copied().unwrap_or(now));
        for call in calls {
            // A slower rate would not have allowed all of them: those that it allows fill its bucket.
            next.try_acquire(call).unwrap_or_default();
        }
        next
    }

    fn calls(&self) -> MutexGuard<'_, VecDeque<Instant>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The limiters of all channels, by the channel's name. The owner keeps it as long as the process runs, across reloads.
#[derive(Debug, Default)]
pub struct RateLimiters(HashMap<String, Arc<RateLimiter>>);

impl RateLimiters {
    /// The limiter of this channel: the same as before, or, when its rate has changed, one that counts the calls made so far.
    pub fn of(&mut self, channel: &str, rate: Rate, now: Instant) -> Arc<RateLimiter> {
        let limiter = match self.0.get(channel) {
            Some(limiter) if limiter.rate == rate => return limiter.clone(),
            Some(limiter) => limiter.with_rate(rate, now),
            None => RateLimiter::new(rate, now),
        };
        let limiter = Arc::new(limiter);
        self.0.insert(channel.to_owned(), limiter.clone());
        limiter
    }
}

/// The clock of the bucket: shows the time of the latest question.
#[derive(Debug, Clone)]
struct ManualClock(Arc<AtomicU64>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct MonotonicNanos(u64);

impl Add<Nanos> for MonotonicNanos {
    type Output = MonotonicNanos;
    fn add(self, span: Nanos) -> MonotonicNanos {
        MonotonicNanos(self.0.saturating_add(span.as_u64()))
    }
}

impl clock::Reference for MonotonicNanos {
    fn duration_since(&self, earlier: MonotonicNanos) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }
    fn saturating_sub(&self, span: Nanos) -> MonotonicNanos {
        MonotonicNanos(self.0.saturating_sub(span.as_u64()))
    }
}

impl clock::Clock for ManualClock {
    type Instant = MonotonicNanos;
    fn now(&self) -> MonotonicNanos {
        MonotonicNanos(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: NonZeroU32 = NonZeroU32::new(10).unwrap();

    fn rate(text: &str) -> Rate {
        Rate::parse(text, TEN).unwrap()
    }

    #[tokio::test]
    async fn a_burst_goes_at_once_and_then_one_by_one() {
        let start = Instant::now();
        let limiter = RateLimiter::new(rate("1/s"), start);
        for _ in 0..10 {
            assert_eq!(limiter.try_acquire(start), Ok(()));
        }
        let wait = limiter.try_acquire(start).unwrap_err();
        assert!(wait > Duration::from_millis(900) && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(limiter.try_acquire(start + wait), Ok(()));
        assert!(limiter.try_acquire(start + wait).is_err());
        assert_eq!(limiter.try_acquire(start + Duration::from_secs(60)), Ok(()));
    }

    #[tokio::test]
    async fn a_reload_after_a_burst_allows_no_second_burst() {
        let start = Instant::now();
        let mut limiters = RateLimiters::default();
        let burst = |limiter: &RateLimiter, now| (0..20).filter(|_| limiter.try_acquire(now).is_ok()).count();
        assert_eq!(burst(&limiters.of("me", rate("1/s"), start), start), 10);
        let later = start + Duration::from_secs(2);
        assert_eq!(burst(&limiters.of("me", rate("1/s"), later), later), 2, "what two seconds give back");
        assert_eq!(burst(&limiters.of("other", rate("1/s"), later), later), 10, "another channel has its own");
    }

    #[tokio::test]
    async fn a_changed_rate_counts_the_calls_before_it() {
        let start = Instant::now();
        let mut limiters = RateLimiters::default();
        let acquire = |limiter: &RateLimiter, now| limiter.try_acquire(now).is_ok();
        let before = limiters.of("me", rate("1/s"), start);
        assert!((0..10).all(|_| acquire(&before, start)));
        assert!(!acquire(&limiters.of("me", rate("2/s"), start), start));
        assert!(acquire(&limiters.of("me", rate("4/s"), start), start + Duration::from_millis(250)));
        let rested = limiters.of("rested", rate("1/s"), start);
        assert!(acquire(&rested, start));
        let hour = start + Duration::from_secs(3600);
        assert!(acquire(&limiters.of("rested", rate("1/h"), hour), hour), "a slower rate makes no idle channel wait");
    }

    #[test]
    fn a_rate_is_read_as_it_is_spoken() {
        assert_eq!(rate("20/min").every, Duration::from_secs(3));
        assert_eq!(rate("2 / s").every, Duration::from_millis(500));
        for wrong in ["", "1", "0/s", "1/d", "-1/s", "x/s", "99999/s"] {
            assert_eq!(Rate::parse(wrong, TEN), None, "{wrong}");
        }
    }
}

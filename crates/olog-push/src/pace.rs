//! How fast a channel may call, as data: so many calls a span, so many at once.
//!
//! Time comes in with each question; nothing in here sleeps. A channel's budget of a day will stand beside its rate here.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter, clock, middleware::NoOpMiddleware};
use tokio::time::Instant;

/// So many calls a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// One call each …
    pub every: Duration,
    /// This many at once after a rest.
    pub burst: NonZeroU32,
}

impl Rate {
    /// `N/s`, `N/min` or `N/h`, as a configuration says it.
    pub fn parse(text: &str, burst: NonZeroU32) -> Option<Rate> {
        let (n, unit) = text.split_once('/')?;
        let n: u32 = n.trim().parse().ok().filter(|n| (1..=10_000).contains(n))?;
        let span = match unit.trim() {
            "s" => Duration::from_secs(1),
            "min" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return None,
        };
        Some(Rate { every: span / n, burst })
    }

    /// As [`Rate::parse`], and in words what was expected.
    pub(crate) fn parse_or_say(text: &str, burst: NonZeroU32) -> Result<Rate, String> {
        Rate::parse(text, burst)
            .ok_or_else(|| format!("expected calls a span like \"1/s\" or \"20/min\", found {text:?}"))
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

/// Keeps a channel to its rate.
#[derive(Debug)]
pub struct Pace {
    limiter: RateLimiter<NotKeyed, InMemoryState, Told, NoOpMiddleware<Moment>>,
    told: Told,
    start: Instant,
}

impl Pace {
    /// Full at `now`.
    pub fn new(rate: Rate, now: Instant) -> Pace {
        let told = Told(Arc::default());
        let every = rate.every.max(Duration::from_nanos(1));
        let quota = Quota::with_period(every).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(rate.burst);
        Pace { limiter: RateLimiter::direct_with_clock(quota, told.clone()), told, start: now }
    }

    /// Takes the place of one call, or says how long until there is one.
    pub fn take(&self, now: Instant) -> Result<(), Duration> {
        let since = now.saturating_duration_since(self.start).as_nanos();
        self.told.0.fetch_max(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.limiter
            .check()
            .map_err(|not_until| not_until.wait_time_from(clock::Clock::now(&self.told)).max(Duration::from_millis(1)))
    }
}

/// The limiter's clock: shows what it was told.
#[derive(Debug, Clone)]
struct Told(Arc<AtomicU64>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(u64);

impl Add<Nanos> for Moment {
    type Output = Moment;
    fn add(self, span: Nanos) -> Moment {
        Moment(self.0.saturating_add(span.as_u64()))
    }
}

impl clock::Reference for Moment {
    fn duration_since(&self, earlier: Moment) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }
    fn saturating_sub(&self, span: Nanos) -> Moment {
        Moment(self.0.saturating_sub(span.as_u64()))
    }
}

impl clock::Clock for Told {
    type Instant = Moment;
    fn now(&self) -> Moment {
        Moment(self.0.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_goes_at_once_and_then_one_by_one() {
        let start = Instant::now();
        let ten = NonZeroU32::new(10).unwrap();
        let pace = Pace::new(Rate::parse("1/s", ten).unwrap(), start);
        for _ in 0..10 {
            assert_eq!(pace.take(start), Ok(()));
        }
        let wait = pace.take(start).unwrap_err();
        assert!(wait > Duration::from_millis(900) && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(pace.take(start + wait), Ok(()));
        assert!(pace.take(start + wait).is_err());
        assert_eq!(pace.take(start + Duration::from_secs(60)), Ok(()));
    }

    #[test]
    fn a_rate_is_read_as_it_is_spoken() {
        let ten = NonZeroU32::new(10).unwrap();
        assert_eq!(Rate::parse("20/min", ten).unwrap().every, Duration::from_secs(3));
        assert_eq!(Rate::parse("2 / s", ten).unwrap().every, Duration::from_millis(500));
        for wrong in ["", "1", "0/s", "1/d", "-1/s", "x/s", "99999/s"] {
            assert_eq!(Rate::parse(wrong, ten), None, "{wrong}");
        }
    }
}

//! Learns a task's schedule from its past runs.
//!
//! Only runs teach: a `.log` created or rewritten; a `.log` appended to and closed after at least 3 min of quiet; a run by `exec`. An open
//! log that grows teaches nothing, nor does an error. A schedule needs at least 4 runs over at least 24 h and 3 periods, with gaps
//! within 20 % of their mean, or three weeks with the same weekdays and times ([`Runs::habit`]).
//!
//! Stored are the last [`RECENT`] runs. Of even gaps before them only the sum and the extremes are stored, so a task that runs
//! each minute needs no more room than one that runs each month.

use chrono::{DateTime, Datelike as _, NaiveTime, Timelike as _};
use chrono_tz::Tz;
use olog_proto::{Event, EventContent, Growth, LogKind, Timestamp, schedule::Schedule};
use olog_push::Cadence;
use serde::{Deserialize, Serialize};

use super::{HOUR, MINUTE};
use crate::rules::ping::NO_BOOT;

const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;
/// Runs that are kept: nine weeks of what runs on workdays.
const RECENT: usize = 48;
/// Signs within this time are of one run.
const SAME_RUN: i64 = 30_000;
/// A log that is appended to has to rest for this long before more of it is another run.
const PAUSE: i64 = 3 * MINUTE;
/// As that, for a log of which only the time of its last writing is known, and that every few minutes.
const PAUSE_OF_LEGACY: i64 = 60 * MINUTE;
/// A habit is learnt from so many runs …
const RUNS: u32 = 4;
/// … over so long.
const OVER: i64 = DAY;
/// … what comes about every day, so long: on every day of the week.
const ALL_DAYS: i64 = 6 * DAY - HOUR;
/// With fewer gaps they have to be within a tenth, and none may have been uneven before.
const GAPS_ENOUGH: u32 = 7;
/// Gaps may differ from their mean by a fifth, and by this much in any case.
const UNEVEN: i64 = 30_000;
/// Weeks that have to be alike.
const WEEKS: i64 = 3;
/// What comes every day does so within this time.
const DAILY_WITHIN: i64 = 30 * MINUTE;
const WEEKLY_WITHIN: i64 = 2 * HOUR;
/// After so many runs against it a habit is none any more.
const AGAINST: u32 = 4;

/// The runs of a task, as far as they teach.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Runs {
    /// The last ones, the latest at the end.
    recent: Vec<Timestamp>,
    even: Even,
}

/// Runs whose gaps are alike, until the last one.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
struct Even {
    first: Timestamp,
    n_gaps: u32,
    min: i64,
    max: i64,
    /// Uneven gaps came before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    was_uneven: bool,
}

/// A habit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct LearntSchedule {
    /// As a person reads it.
    pub(super) cadence: Cadence,
    /// From one run to the next, the shortest of a week.
    pub(super) period: i64,
    /// From how many runs it was learnt …
    pub(super) n_runs: u64,
    /// … over how long.
    pub(super) span: i64,
}

/// A habit that is watched, or will be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Watched {
    pub(super) habit: LearntSchedule,
    /// From then on.
    pub(super) from: Timestamp,
    /// Runs in a row that do not fit.
    against: u32,
}

/// When the event's run began, if it is of a run and teaches. `seen_at`: when a sign of the task was last seen.
pub(super) fn run_of(event: &Event, at: Timestamp, seen_at: Option<Timestamp>) -> Option<Timestamp> {
    match &event.what {
        EventContent::Text { file, .. } | EventContent::Seen { file, .. }
            if file.suffix == LogKind::Log && !file.history =>
        {
            if file.change == Growth::Grown {
                // An old client names no path and tells every few minutes when a log was last written: one that grows all day
                // has no runs.
                let pause = if file.path.is_empty() { PAUSE_OF_LEGACY } else { PAUSE };
                return (file.closed && seen_at.is_some_and(|seen| at.since(seen) >= pause)).then_some(at);
            }
            // The beginning is by the same clock as the event.
            Some(file.began_at.map_or(at, |began| at.plus(began.since(event.at)).min(at)))
        }
        EventContent::Cleared { suffix: LogKind::Log, deleted: false, .. } | EventContent::RunStarted { .. } => {
            Some(at)
        }
        // A ping that says only that a run is over: nobody told its start.
        EventContent::RunEnded { duration: 0, .. } if event.boot == NO_BOOT => Some(at),
        _ => None,
    }
}

impl Runs {
    /// A run began. False: it is one that is known.
    pub(super) fn add(&mut self, at: Timestamp) -> bool {
        let Some(last) = self.recent.last().copied() else {
            self.recent.push(at);
            self.even.first = at;
            return true;
        };
        let gap = at.since(last);
        if gap < SAME_RUN {
            return false;
        }
        if self.recent.len() >= RECENT {
            self.recent.remove(0);
        }
        self.recent.push(at);
        let longer = Even {
            n_gaps: self.even.n_gaps.saturating_add(1),
            min: if self.even.n_gaps == 0 { gap } else { self.even.min.min(gap) },
            max: self.even.max.max(gap),
            ..self.even
        };
        let is_even = longer.is_even(at);
        self.even =
            if is_even { longer } else { Even { first: last, n_gaps: 1, min: gap, max: gap, was_uneven: true } };
        true
    }

    /// What they teach, in the reader's time zone.
    pub(super) fn habit(&self, zone: Tz) -> Option<LearntSchedule> {
        let last = *self.recent.last()?;
        self.even.habit(&self.recent, last, zone).or_else(|| weekly(&self.recent, last, zone))
    }

    /// The latest.
    pub(super) fn last(&self) -> Option<Timestamp> {
        self.recent.last().copied()
    }

    /// How many runs were seen, as far as they are kept.
    pub(super) fn n(&self) -> usize {
        self.recent.len().max(self.even.n_gaps as usize + usize::from(!self.recent.is_empty()))
    }
}

impl Even {
    fn mean(&self, last: Timestamp) -> i64 {
        last.since(self.first) / i64::from(self.n_gaps.max(1))
    }

    fn is_even(&self, last: Timestamp) -> bool {
        let mean = self.mean(last);
        let uneven = (mean / 5).max(UNEVEN);
        self.max - mean <= uneven && mean - self.min <= uneven
    }

    fn habit(&self, recent: &[Timestamp], last: Timestamp, zone: Tz) -> Option<LearntSchedule> {
        let (span, period) = (last.since(self.first), self.mean(last));
        // The fewer runs, the more alike they have to be; and among uneven gaps some are always alike.
        let is_close = (self.max - period).max(period - self.min) <= (period / 10).max(UNEVEN);
        let is_sure = self.n_gaps >= GAPS_ENOUGH || is_close && !self.was_uneven;
        // What comes on workdays only is even, too, for five days.
        let over = if (DAY / 2..=2 * DAY).contains(&period) { ALL_DAYS } else { OVER };
        if self.n_gaps < RUNS - 1 || span < over || !is_sure {
            return None;
        }
        let own: Vec<Timestamp> = recent.iter().copied().filter(|at| *at >= self.first).collect();
        let cadence = if (period - DAY).abs() <= DAILY_WITHIN {
            let (minute, jitter) = minute_of_day(&own, zone);
            Cadence::Daily { minute, jitter }
        } else if (period - WEEK).abs() <= WEEKLY_WITHIN {
            let (minute, jitter) = minute_of_day(&own, zone);
            Cadence::Weekly { slots: vec![(weekday(last, zone), minute)], jitter }
        } else {
            Cadence::Every { period: rounded(period) }
        };
        Some(LearntSchedule { cadence, period, n_runs: u64::from(self.n_gaps) + 1, span })
    }
}

/// Three weeks that are alike, counted back from the last run.
fn weekly(recent: &[Timestamp], last: Timestamp, zone: Tz) -> Option<LearntSchedule> {
    // Weeks of the reader's clock: summer time moves no run.
    let local = |at: Timestamp| {
        let utc = DateTime::from_timestamp_millis(at.0)?;
        Some(utc.with_timezone(&zone).naive_local().and_utc().timestamp_millis())
    };
    let end = local(last)?;
    // A run that is a little earlier than three weeks ago is still of these three weeks.
    let slack = HOUR;
    let mut weeks: Vec<Vec<i64>> = vec![Vec::new(); usize::try_from(WEEKS).ok()?];
    for at in recent {
        let back = end - local(*at)?;
        let week = back.saturating_add(slack) / WEEK;
        if let Some(runs) = usize::try_from(week).ok().and_then(|week| weeks.get_mut(week)) {
            runs.push(week * WEEK - back);
        }
    }
    let [newest, others @ ..] = weeks.as_slice() else { return None };
    let gaps = newest.iter().zip(newest.iter().skip(1)).map(|(a, b)| b - a);
    let period = gaps.chain([WEEK - (newest.last()? - newest.first()?)]).min()?;
    let within = (period / 5).clamp(UNEVEN, HOUR);
    let is_alike =
        |week: &Vec<i64>| week.len() == newest.len() && week.iter().zip(newest).all(|(a, b)| (a - b).abs() <= within);
    if newest.len() < 2 || !others.iter().all(is_alike) {
        return None;
    }
    let newest_runs = recent.get(recent.len() - newest.len()..)?;
    let jitter = others.iter().flat_map(|week| week.iter().zip(newest).map(|(a, b)| (a - b).abs())).max()?;
    let mut slots: Vec<(u32, u32)> =
        newest_runs.iter().map(|at| (weekday(*at, zone), minute_of_day(&[*at], zone).0)).collect();
    slots.sort_unstable();
    let n_runs = (newest.len() * weeks.len()) as u64;
    let jitter = u32::try_from(jitter.div_euclid(MINUTE) + i64::from(jitter % MINUTE > 0)).ok()?;
    Some(LearntSchedule { cadence: Cadence::Weekly { slots, jitter }, period, n_runs, span: WEEKS * WEEK })
}

impl LearntSchedule {
    /// When it comes again, last seen at `seen`: when it has to, and from when it is late.
    pub(super) fn next(&self, seen: Timestamp, zone: Tz) -> (Timestamp, Timestamp) {
        let grace = grace_of(self.period);
        if self.period < HOUR {
            return (seen.plus(self.period), seen.plus(self.period + grace));
        }
        let at = match &self.cadence {
            // A run that comes a little early is the one that was due.
            Cadence::Weekly { slots, .. } if slots.len() > 1 => {
                self.schedule(slots).and_then(|weekly| weekly.next_after(seen.plus(grace.min(self.period / 2)), zone))
            }
            _ => None,
        };
        let at = at.unwrap_or_else(|| seen.plus(self.period));
        (at, at.plus(grace))
    }

    fn schedule(&self, slots: &[(u32, u32)]) -> Option<Schedule> {
        let slots: Option<Vec<(u32, NaiveTime)>> = slots
            .iter()
            .map(|(weekday, minute)| Some((*weekday, NaiveTime::from_hms_opt(minute / 60, minute % 60, 0)?)))
            .collect();
        Schedule::weekly(&slots?)
    }

    fn fits(&self, gap: i64, at: Timestamp, zone: Tz) -> bool {
        match &self.cadence {
            Cadence::Weekly { slots, .. } if slots.len() > 1 => {
                let (weekday, minute) = (weekday(at, zone), minute_of_day(&[at], zone).0);
                slots.iter().any(|(day, slot)| *day == weekday && slot.abs_diff(minute) <= 60)
            }
            _ => (gap - self.period).abs() <= (self.period / 5).max(2 * UNEVEN),
        }
    }
}

/// How late a run may be if nobody says it: of what runs often, two more runs are waited for.
pub(super) fn grace_of(period: i64) -> i64 {
    if period < HOUR { (2 * period).max(15 * MINUTE - period) } else { (period / 4).max(HOUR) }
}

impl Watched {
    pub(super) fn new(habit: LearntSchedule, from: Timestamp) -> Watched {
        Watched { habit, from, against: 0 }
    }

    /// A run came, this long after the one before. False: it is a habit no more.
    pub(super) fn ran(&mut self, gap: i64, at: Timestamp, zone: Tz) -> bool {
        self.against = if self.habit.fits(gap, at, zone) { 0 } else { self.against.saturating_add(1) };
        self.against < AGAINST
    }
}

fn local(at: Timestamp, zone: Tz) -> DateTime<Tz> {
    DateTime::from_timestamp_millis(at.0).unwrap_or_default().with_timezone(&zone)
}

fn weekday(at: Timestamp, zone: Tz) -> u32 {
    local(at, zone).weekday().num_days_from_monday()
}

/// The middle of their minutes of the day, and how far they are from it, in minutes; around midnight too.
fn minute_of_day(runs: &[Timestamp], zone: Tz) -> (u32, u32) {
    let seconds = |at: &Timestamp| i64::from(local(*at, zone).num_seconds_from_midnight());
    let Some(last) = runs.last().map(seconds) else { return (0, 0) };
    // Half a day to both sides of the last one.
    let from_last = |at: &Timestamp| (seconds(at) - last + 43_200).rem_euclid(86_400) - 43_200;
    let mut away: Vec<i64> = runs.iter().map(from_last).collect();
    away.sort_unstable();
    let middle = away.get(away.len() / 2).copied().unwrap_or(0);
    let jitter = away.iter().map(|away| (away - middle).abs()).max().unwrap_or(0);
    let minute = (last + middle).rem_euclid(86_400) / 60;
    (u32::try_from(minute).unwrap_or(0), u32::try_from((jitter + 59) / 60).unwrap_or(0))
}

/// A period as one says it.
fn rounded(period: i64) -> i64 {
    let unit = if period >= 10 * MINUTE { MINUTE } else { 1000 };
    (period + unit / 2) / unit * unit
}

//! Schedules: when something has to run, as crontab(5) says it, in a time zone.
//!
//! A text becomes fields, each the set of its values, checked here against what Debian's cron takes. The `cron` crate only
//! searches them, on *floating* local time that knows no zone. Three of its rules differ from crontab(5) and are translated:
//! it counts Sunday as 1; it joins day of month and day of week by *and*, so where crontab(5) means *or* two schedules are
//! searched; its years end in 2100, so a later year is searched in an earlier one with the same calendar.
//!
//! What it finds is localised afterwards:
//!
//! - A time that does not exist (clocks go forward) runs at the first instant that does. Where the minute or the hour begins
//!   with `*`, it does not run at all: it runs so often that nothing was missed. cron(8) does the same.
//! - A time that comes twice (clocks go back) runs once, the first time.
//!
//! Owns: the words of a schedule, and the next instant. Must not: know a clock, or what is expected to run.
//!
//! Invariant: a [`Schedule`] runs again within five years, from any instant.

use std::collections::BTreeSet;

use crate::Timestamp;
use chrono::{
    DateTime, Datelike as _, Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, Offset as _, TimeZone as _,
    Timelike as _, Utc,
};
use chrono_tz::Tz;

#[cfg(test)]
mod tests;

/// A text that is longer is no schedule.
const TEXT_MAX: usize = 500;
/// What must run within [`RUNS_WITHIN`] days after 2000-01-01: that day is followed by each month, weekday and leap day.
const PROBE: (i32, u32, u32) = (2000, 1, 1);
const RUNS_WITHIN: i64 = 5 * 366;
/// Years that are searched as they are: those of the `cron` crate, less a margin at both ends.
const YEARS: std::ops::Range<i32> = 1971..2095;
/// Years that are searched for a run where each is looked at by itself.
const YEARS_TRIED: i32 = 9;
/// No local time is further than this from UTC.
const OFFSET_MAX: i64 = 26;

/// Why a text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Neither five or six fields nor a name.
    #[error("expected five fields as in crontab(5), like \"30 3 * * *\", or a name like \"@daily\", found {0:?}")]
    Shape(String),
    /// A field.
    #[error("{field}: expected {expected}, found {found:?}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A good schedule of no day.
    #[error("{0:?} does not run within 5 years: no such day comes")]
    Never(String),
}

/// When something has to run.
#[derive(Debug, Clone)]
pub struct Schedule {
    text: String,
    /// It runs when one of them does.
    parts: Vec<Part>,
}

/// What one search of the `cron` crate finds: a line of a crontab, or half of one with two fields of days.
#[derive(Debug, Clone)]
struct Part {
    cron: cron::Schedule,
    /// Neither minute nor hour begins with `*`: a run that falls into no time is made up for.
    is_fixed: bool,
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Schedule) -> bool {
        self.text == other.text
    }
}

impl Eq for Schedule {}

impl std::fmt::Display for Schedule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Schedule {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Schedule, ScheduleError> {
        let schedule = Schedule { text: text.trim().to_owned(), parts: line(text.trim())? };
        if schedule.runs() { Ok(schedule) } else { Err(ScheduleError::Never(schedule.text)) }
    }
}

impl Schedule {
    /// Every day at these times; `None` if there is none.
    pub fn daily(times: &[NaiveTime]) -> Option<Schedule> {
        let words = |time: &NaiveTime| format!("{} {} {} * * *", time.second(), time.minute(), time.hour());
        let parts = times.iter().map(|time| line(&words(time))).collect::<Result<Vec<_>, _>>().ok()?.concat();
        let text = times.iter().map(|time| time.format("%H:%M").to_string()).collect::<Vec<_>>().join(", ");
        (!parts.is_empty()).then_some(Schedule { text, parts })
    }

    /// Each week at these times; weekday 0 is Monday. `None` if there is none.
    pub fn weekly(slots: &[(u32, NaiveTime)]) -> Option<Schedule> {
        let words = |(day, time): &(u32, NaiveTime)| format!("{} {} * * {}", time.minute(), time.hour(), (day + 1) % 7);
        let parts = slots.iter().map(|slot| line(&words(slot))).collect::<Result<Vec<_>, _>>().ok()?.concat();
        let text = slots.iter().map(words).collect::<Vec<_>>().join("; ");
        (!parts.is_empty()).then_some(Schedule { text, parts })
    }

    /// The first instant after `after` at which it runs. `None` only where the calendar ends.
    pub fn next_after(&self, after: Timestamp, zone: Tz) -> Option<Timestamp> {
        self.parts.iter().filter_map(|part| part.next_after(after, zone)).min()
    }

    /// The instants at which it runs after `after`, without end.
    pub fn runs_after(&self, after: Timestamp, zone: Tz) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next_after(after, zone), move |at| self.next_after(*at, zone))
    }

    fn runs(&self) -> bool {
        let (year, month, day) = PROBE;
        let Some(start) = Utc.with_ymd_and_hms(year, month, day, 0, 0, 0).single() else { return false };
        let end = start.checked_add_signed(Duration::days(RUNS_WITHIN));
        self.parts.iter().any(|part| part.find(start).is_some_and(|run| Some(run) <= end))
    }
}

impl Part {
    fn next_after(&self, after: Timestamp, zone: Tz) -> Option<Timestamp> {
        let after = DateTime::from_timestamp_millis(after.0)?;
        let mut floating = after.with_timezone(&zone).naive_local();
        loop {
            floating = self.find(floating.and_utc())?.naive_utc();
            let at = match zone.from_local_datetime(&floating) {
                LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc(),
                LocalResult::None => {
                    let resumes = first_instant_from(floating, zone)?;
                    if !self.is_fixed {
                        // What the clocks jump over is passed over; what comes first after it may be the very next second.
                        floating = resumes.with_timezone(&zone).naive_local() - Duration::seconds(1);
                        continue;
                    }
                    resumes
                }
            };
            // The second time of what comes twice is not run again.
            if at > after {
                return Some(Timestamp(at.timestamp_millis()));
            }
        }
    }

    /// The next run of floating time, which is dressed as UTC.
    fn find(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if YEARS.contains(&after.year()) {
            return self.cron.after(&after).next();
        }
        // The last second of the year before has the runs of a whole year after it.
        let first = after.year();
        let starts = std::iter::once(Some(after)).chain((1..YEARS_TRIED).map(|n| {
            NaiveDate::from_ymd_opt(first + n, 1, 1)?
                .and_hms_opt(0, 0, 0)?
                .and_utc()
                .checked_sub_signed(Duration::seconds(1))
        }));
        starts.zip(first..).find_map(|(start, year)| self.find_in_year(start?, year))
    }

    /// The next run in `year`, searched in a year of the same calendar.
    fn find_in_year(&self, after: DateTime<Utc>, year: i32) -> Option<DateTime<Utc>> {
        let january = |year| NaiveDate::from_ymd_opt(year, 1, 1);
        let (own, alike) = (january(year)?, january(2000 + (0..28).find(|n| is_alike(2000 + n, year))?)?);
        let shift = own.signed_duration_since(alike);
        let run = self.cron.after(&(after.checked_sub_signed(shift)?)).next()?;
        (run.year() == alike.year()).then(|| run.checked_add_signed(shift)).flatten()
    }
}

/// Has each date of the one year the weekday that it has in the other?
fn is_alike(year: i32, other: i32) -> bool {
    let shape = |year| NaiveDate::from_ymd_opt(year, 1, 1).map(|first| (first.weekday(), first.leap_year()));
    shape(year) == shape(other)
}

/// The first instant whose local time is `floating` or later, where `floating` itself does not exist.
fn first_instant_from(floating: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let local = |seconds: i64| {
        let utc = DateTime::from_timestamp(seconds, 0)?;
        let offset = zone.offset_from_utc_datetime(&utc.naive_utc()).fix();
        Some(utc.naive_utc() + offset)
    };
    let middle = floating.and_utc().timestamp();
    let (mut before, mut from) = (middle - OFFSET_MAX * 3600, middle + OFFSET_MAX * 3600);
    while from - before > 1 {
        let half = before + (from - before) / 2;
        if local(half)? >= floating { from = half } else { before = half }
    }
    DateTime::from_timestamp(from, 0)
}

/// A field of a crontab.
struct Field {
    name: &'static str,
    low: u8,
    high: u8,
    names: &'static [&'static str],
}

const SECOND: Field = Field { name: "second", low: 0, high: 59, names: &[] };
const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of month", low: 1, high: 31, names: &[] },
    Field {
        name: "month",
        low: 1,
        high: 12,
        names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    },
    // 7 is Sunday as well as 0.
    Field { name: "day of week", low: 0, high: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// The values of a field.
struct Values {
    set: BTreeSet<u8>,
    /// It begins with `*`: crontab(5) asks for nothing else when it joins the two fields of days.
    is_star: bool,
}

/// One line: `30 3 * * *`, with seconds before it, or a name.
fn line(text: &str) -> Result<Vec<Part>, ScheduleError> {
    let shape = || ScheduleError::Shape(text.chars().take(100).collect());
    if text.len() > TEXT_MAX {
        return Err(shape());
    }
    let line = match text {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        line if line.starts_with('@') => return Err(shape()),
        line => line,
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let (second, words) = match words.as_slice() {
        [second, rest @ ..] if rest.len() == FIELDS.len() => (SECOND.values(second)?, rest),
        rest if rest.len() == FIELDS.len() => (SECOND.values("0")?, rest),
        _ => return Err(shape()),
    };
    let values: Vec<Values> =
        FIELDS.iter().zip(words).map(|(field, word)| field.values(word)).collect::<Result<_, _>>()?;
    let [minute, hour, day, month, weekday] = values.as_slice() else { return Err(shape()) };
    // The crate's week begins with Sunday as 1.
    let weekdays: BTreeSet<u8> = weekday.set.iter().map(|day| day % 7 + 1).collect();
    let weekdays = if weekday.is_whole(&FIELDS[4]) { "*".to_owned() } else { list(&weekdays) };
    let times = [&second, minute, hour].map(|values| list(&values.set)).join(" ");
    let (days, months) = (list(&day.set), list(&month.set));
    let both = |days: &str, weekdays: &str| format!("{times} {days} {months} {weekdays}");
    // One of the two fields begins with `*`: both must fit. Else a day that fits one of them is enough.
    let lines = if day.is_star || weekday.is_star {
        vec![both(&days, &weekdays)]
    } else {
        vec![both(&days, "*"), both("*", &weekdays)]
    };
    let is_fixed = !(second.is_star || minute.is_star || hour.is_star);
    lines.iter().map(|line| Ok(Part { cron: line.parse().map_err(|_| shape())?, is_fixed })).collect()
}

fn list(values: &BTreeSet<u8>) -> String {
    values.iter().map(u8::to_string).collect::<Vec<_>>().join(",")
}

impl Values {
    fn is_whole(&self, field: &Field) -> bool {
        (field.low..=field.high).all(|value| self.set.contains(&value) || value == 7)
    }
}

impl Field {
    /// A list of `*`, `5`, `1-5`, each but a single number with `/STEP`.
    fn values(&self, word: &str) -> Result<Values, ScheduleError> {
        let mut set = BTreeSet::new();
        for item in word.split(',') {
            let (range, step) = match item.split_once('/') {
                Some((range, step)) => (range, Some(step)),
                None => (item, None),
            };
            let (first, last) = match range.split_once('-') {
                _ if range == "*" => (self.low, self.high),
                Some((first, last)) => (self.number(first, word)?, self.number(last, word)?),
                None if step.is_none() => (self.number(range, word)?, self.number(range, word)?),
                None => return Err(self.wrong(word, "a step behind a range or *, like 0-30/10".to_owned())),
            };
            if first > last {
                return Err(self.wrong(word, self.forwards(first, last)));
            }
            let step = match step.map(digits) {
                None => 1,
                Some(Some(step @ 1..)) => step,
                Some(_) => return Err(self.wrong(word, "a step of 1 or more".to_owned())),
            };
            set.extend((first..=last).step_by(usize::from(step)));
        }
        Ok(Values { set, is_star: word.starts_with('*') })
    }

    fn number(&self, text: &str, word: &str) -> Result<u8, ScheduleError> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let named = named.and_then(|i| u8::try_from(i).ok()).map(|i| self.low + i);
        let number = named.or_else(|| digits(text)).filter(|n| (self.low..=self.high).contains(n));
        number.ok_or_else(|| {
            let names = match (self.names.first(), self.names.last()) {
                (Some(first), Some(last)) => format!(" or {first} to {last}"),
                _ => String::new(),
            };
            self.wrong(word, format!("{} to {}{names}, lists and ranges of them, or *", self.low, self.high))
        })
    }

    /// How to write a range that goes round.
    fn forwards(&self, first: u8, last: u8) -> String {
        // On Sunday, which is 7 too, a week may end.
        if self.high == 7 && last == 0 {
            return format!("a range that goes forwards, like {first}-7");
        }
        let high = if self.high == 7 { 6 } else { self.high };
        format!("a range that goes forwards, like {first}-{high},{}-{last}", self.low)
    }

    fn wrong(&self, word: &str, expected: String) -> ScheduleError {
        ScheduleError::Field { field: self.name, expected, found: word.chars().take(100).collect() }
    }
}

fn digits(text: &str) -> Option<u8> {
    // `parse` would take a sign.
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

//! The state of each of the last days, in a few bytes beside the facts: what a report shows after the events have been deleted.
//!
//! A day is a day of the reader's time zone. An event counts for the day on which it happened, so a late event changes that day. A
//! state that lasts is carried over the days without events.

use chrono::{DateTime, Datelike as _};
use chrono_tz::Tz;
use olog_proto::Timestamp;
use serde::{Deserialize, Serialize};

use super::State;

/// Days of a strip.
pub const DAYS: usize = 30;
/// Days of the strip of a page of its own.
pub const DAYS_LONG: usize = 90;
/// Days that are remembered.
const KEPT: i32 = 128;

/// The day of an instant in a zone: days since 0001-01-01.
pub fn day_of(at: Timestamp, zone: Tz) -> i32 {
    DateTime::from_timestamp_millis(at.0).unwrap_or_default().with_timezone(&zone).num_days_from_ce()
}

/// What is known of the last 128 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "StoredDays", into = "StoredDays")]
pub struct Days {
    /// The first day of all.
    first: i32,
    /// The latest day; bit 0 of the others.
    last: i32,
    good: u128,
    failed: u128,
    lost: u128,
}

/// As they stand in the store: an older version knows 64 days, and reads these fields of a later one.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredDays {
    first: i32,
    last: i32,
    good: u64,
    failed: u64,
    lost: u64,
    /// The 64 days before those.
    #[serde(skip_serializing_if = "is_none")]
    good_before: u64,
    #[serde(skip_serializing_if = "is_none")]
    failed_before: u64,
    #[serde(skip_serializing_if = "is_none")]
    lost_before: u64,
}

fn is_none(bits: &u64) -> bool {
    *bits == 0
}

impl From<StoredDays> for Days {
    fn from(stored: StoredDays) -> Days {
        let bits = |before: u64, late: u64| (u128::from(before) << 64) | u128::from(late);
        Days {
            first: stored.first,
            last: stored.last,
            good: bits(stored.good_before, stored.good),
            failed: bits(stored.failed_before, stored.failed),
            lost: bits(stored.lost_before, stored.lost),
        }
    }
}

impl From<Days> for StoredDays {
    fn from(days: Days) -> StoredDays {
        let late = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
        let before = |bits: u128| late(bits >> 64);
        StoredDays {
            first: days.first,
            last: days.last,
            good: late(days.good),
            failed: late(days.failed),
            lost: late(days.lost),
            good_before: before(days.good),
            failed_before: before(days.failed),
            lost_before: before(days.lost),
        }
    }
}

/// One day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum DayState {
    /// Nothing came, and nothing is known to have been wrong.
    #[default]
    Nothing,
    /// It was well.
    Ok,
    /// There was an error.
    Err,
    /// It did not come.
    Lost,
}

/// The last days, the latest at the end.
pub type Strip = [DayState; DAYS];

impl Days {
    /// Something was said on that day: `State::Ok`, it ran or was heard.
    pub fn mark(&mut self, day: i32, state: State) {
        self.reach(day);
        let Some(bit) = self.bit(day) else { return };
        let bits = match state {
            State::Ok => &mut self.good,
            State::Err => &mut self.failed,
            State::Lost => &mut self.lost,
        };
        *bits |= bit;
        self.first = self.first.min(day);
    }

    /// Whatever this was since the latest day, it was until `day`.
    pub fn carry(&mut self, day: i32, state: State) {
        if self.last == 0 {
            return;
        }
        let before = self.last;
        self.reach(day);
        if state != State::Ok {
            self.fill(before, day, state);
        }
    }

    /// It was this from the one day to the other.
    pub fn fill(&mut self, from: i32, to: i32, state: State) {
        let from = from.max(to.saturating_sub(KEPT));
        (from..=to).for_each(|day| self.mark(day, state));
    }

    /// The strip that ends with `today`. `is_well_when_silent`: of a device or an alarm, a day without a mark was a good one.
    pub fn strip(self, today: i32, state: State, is_well_when_silent: bool) -> Strip {
        self.cells(today, state, is_well_when_silent)
    }

    /// As [`Days::strip`], of any length.
    pub fn cells<const N: usize>(mut self, today: i32, state: State, is_well_when_silent: bool) -> [DayState; N] {
        self.carry(today, state);
        let mut strip = [DayState::Nothing; N];
        if self.last == 0 {
            return strip;
        }
        for (day, cell) in (0..=today).rev().zip(strip.iter_mut().rev()) {
            let Some(bit) = self.bit(day) else { continue };
            let is = |bits: u128| bits & bit != 0;
            *cell = match () {
                () if is(self.lost) => DayState::Lost,
                () if is(self.failed) => DayState::Err,
                () if is(self.good) || is_well_when_silent && day >= self.first => DayState::Ok,
                () => DayState::Nothing,
            };
        }
        strip
    }

    /// Nothing was ever marked.
    pub fn is_empty(&self) -> bool {
        self.last == 0
    }

    fn bit(&self, day: i32) -> Option<u128> {
        u32::try_from(self.last.saturating_sub(day)).ok().and_then(|back| 1_u128.checked_shl(back))
    }

    fn reach(&mut self, day: i32) {
        if self.last == 0 {
            (self.first, self.last) = (day, day);
        }
        let Ok(on @ 1..) = u32::try_from(day.saturating_sub(self.last)) else { return };
        for bits in [&mut self.good, &mut self.failed, &mut self.lost] {
            *bits = bits.checked_shl(on).unwrap_or(0);
        }
        self.last = day;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(strip: Strip) -> String {
        let letter = |cell: &DayState| match cell {
            DayState::Nothing => '.',
            DayState::Ok => 'o',
            DayState::Err => 'E',
            DayState::Lost => 'L',
        };
        strip.iter().rev().take(8).map(letter).rev().collect()
    }

    #[test]
    fn a_day_is_the_readers() {
        let at = Timestamp(1_795_288_264_000); // 2026-11-21 19:11:04 UTC
        assert_eq!(day_of(at, chrono_tz::Asia::Shanghai), day_of(at, Tz::UTC) + 1);
        // Clocks that jump: no panic, whatever they say.
        for ms in [i64::MIN, -1, 0, i64::MAX] {
            day_of(Timestamp(ms), chrono_tz::Australia::Lord_Howe);
        }
    }

    #[test]
    fn runs_errors_and_what_lasts_are_seen_day_by_day() {
        let mut days = Days::default();
        days.mark(100, State::Ok);
        days.mark(102, State::Ok);
        assert_eq!(word(days.strip(104, State::Ok, false)), "...o.o..");
        assert_eq!(word(days.strip(104, State::Ok, true)), "...ooooo");
        days.mark(103, State::Err);
        assert_eq!(word(days.strip(105, State::Err, false)), "..o.oEEE");
        days.carry(105, State::Err);
        assert_eq!(word(days.strip(106, State::Ok, false)), ".o.oEEE.");
        assert_eq!(word(days.strip(106, State::Lost, false)), ".o.oEELL");
    }

    #[test]
    fn what_is_told_late_colours_its_own_day() {
        let mut days = Days::default();
        days.mark(200, State::Ok);
        days.mark(197, State::Err);
        assert_eq!(word(days.strip(200, State::Ok, true)), "....Eooo");
        days.mark(100, State::Err);
        assert_eq!(word(days.strip(200, State::Ok, false)), "....E..o");
    }

    #[test]
    fn a_clock_that_jumps_breaks_nothing() {
        let mut days = Days::default();
        for day in [200, i32::MAX, 1, i32::MIN, 719_163, 200] {
            days.mark(day, State::Err);
            days.carry(day, State::Lost);
            days.strip(day, State::Err, true);
        }
        assert!(Days::default().is_empty());
        assert_eq!(word(Days::default().strip(200, State::Lost, true)), "........");
    }

    #[test]
    fn ninety_days_are_kept_in_the_form_that_an_older_version_reads_and_its_form_is_read() {
        let mut days = Days::default();
        days.mark(911, State::Err);
        days.mark(1_000, State::Ok);
        let stored = serde_json::to_string(&days).unwrap();
        assert_eq!(serde_json::from_str::<Days>(&stored).unwrap(), days);
        let cells: [DayState; DAYS_LONG] = days.cells(1_000, State::Ok, false);
        assert_eq!((cells[0], cells[DAYS_LONG - 1]), (DayState::Err, DayState::Ok));
        assert!(stored.contains("\"good\":1,") && stored.contains("\"failed\":0,"), "64 bits each: {stored}");
        let older = r#"{"first": 960, "last": 1000, "good": 1, "failed": 18446744073709551615, "lost": 0}"#;
        let cells: [DayState; DAYS_LONG] = serde_json::from_str::<Days>(older).unwrap().cells(1_000, State::Ok, false);
        assert_eq!(cells.iter().filter(|cell| **cell == DayState::Err).count(), 64);
        assert!(!serde_json::to_string(&Days::default()).unwrap().contains("before"));
    }
}

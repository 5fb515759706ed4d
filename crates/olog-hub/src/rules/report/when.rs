//! When a report is due, and which window it covers: always from the end of the last window, however long the hub was down.
//!
//! A day of 23 or 25 hours is one window. A clock that was wrong when the last report was made holds no report back.

use chrono_tz::Tz;
use olog_proto::Timestamp;

use super::Window;
use olog_proto::schedule::Schedule;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// The latest run before now is looked for within ever longer times, so that no schedule takes more than some hundred steps.
const LOOK_BACK: [i64; 5] = [MINUTE, 60 * MINUTE, DAY, 32 * DAY, 5 * 366 * DAY];

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextReport {
    /// Make the report of this window: it ends with the latest time that has passed, so that what was missed is one report.
    Make(Window),
    /// Nothing before that.
    Wait(Timestamp),
}

/// `last`: the end of the last window; `since`: when this hub first ran.
pub fn next_report(
    schedule: &Schedule,
    zone: Tz,
    last: Option<Timestamp>,
    since: Timestamp,
    now: Timestamp,
) -> Option<NextReport> {
    // A clock that was a day or more ahead when it made a report must not keep the next ones back.
    let last = last.filter(|last| last.since(now) < DAY);
    let anchor = last.unwrap_or(since).min(now.plus(DAY));
    let next = schedule.next_after(anchor, zone)?;
    if next > now {
        return Some(NextReport::Wait(next));
    }
    let latest = LOOK_BACK.iter().find_map(|back| {
        let from = anchor.max(now.plus(-back));
        schedule.runs_after(from, zone).take_while(|run| *run <= now).last()
    });
    let to = latest.unwrap_or(next);
    let from = last.unwrap_or_else(|| since.max(to.plus(-DAY)));
    Some(NextReport::Make(Window { from: if from < to { from } else { to.plus(-DAY) }, to }))
}

#[cfg(test)]
mod tests {
    use chrono::NaiveTime;

    use super::*;

    const SHANGHAI: Tz = chrono_tz::Asia::Shanghai;
    const HOUR: i64 = 60 * MINUTE;
    /// 2026-11-22 11:00 there.
    const ELEVEN: Timestamp = Timestamp(1_795_316_400_000);

    fn at(times: &[(u32, u32)]) -> Schedule {
        let times: Vec<NaiveTime> = times.iter().map(|(h, m)| NaiveTime::from_hms_opt(*h, *m, 0).unwrap()).collect();
        Schedule::daily(&times).unwrap()
    }

    fn make(from: Timestamp, to: Timestamp) -> Option<NextReport> {
        Some(NextReport::Make(Window { from, to }))
    }

    #[test]
    fn a_report_is_due_at_its_time_and_not_before() {
        let schedule = at(&[(11, 0)]);
        let last = Some(ELEVEN.plus(-DAY));
        assert_eq!(
            next_report(&schedule, SHANGHAI, last, Timestamp(0), ELEVEN.plus(-1)),
            Some(NextReport::Wait(ELEVEN))
        );
        assert_eq!(next_report(&schedule, SHANGHAI, last, Timestamp(0), ELEVEN), make(ELEVEN.plus(-DAY), ELEVEN));
        assert_eq!(
            next_report(&schedule, SHANGHAI, Some(ELEVEN), Timestamp(0), ELEVEN),
            Some(NextReport::Wait(ELEVEN.plus(DAY)))
        );
    }

    #[test]
    fn a_hub_that_was_down_makes_one_over_the_whole_window() {
        let last = ELEVEN.plus(-3 * DAY);
        let now = ELEVEN.plus(2 * HOUR);
        assert_eq!(next_report(&at(&[(11, 0)]), SHANGHAI, Some(last), Timestamp(0), now), make(last, ELEVEN));
        let minutely: Schedule = "* * * * *".parse().unwrap();
        assert_eq!(
            next_report(&minutely, SHANGHAI, Some(ELEVEN.plus(-900 * DAY)), Timestamp(0), ELEVEN),
            make(ELEVEN.plus(-900 * DAY), ELEVEN)
        );
        let yearly: Schedule = "0 11 22 11 *".parse().unwrap();
        assert_eq!(
            next_report(&yearly, SHANGHAI, Some(ELEVEN.plus(-DAY)), Timestamp(0), ELEVEN.plus(100 * DAY)),
            make(ELEVEN.plus(-DAY), ELEVEN)
        );
    }

    #[test]
    fn a_first_report_begins_with_the_hub() {
        let since = ELEVEN.plus(-13 * HOUR);
        assert_eq!(next_report(&at(&[(11, 0)]), SHANGHAI, None, since, ELEVEN), make(since, ELEVEN));
        // It was set up after eleven: nothing is due today.
        let late = ELEVEN.plus(HOUR);
        assert_eq!(next_report(&at(&[(11, 0)]), SHANGHAI, None, late, late), Some(NextReport::Wait(ELEVEN.plus(DAY))));
    }

    #[test]
    fn two_times_are_two_windows() {
        let schedule = at(&[(11, 0), (18, 0)]);
        let six = ELEVEN.plus(7 * HOUR);
        assert_eq!(next_report(&schedule, SHANGHAI, Some(ELEVEN), Timestamp(0), six), make(ELEVEN, six));
        assert_eq!(
            next_report(&schedule, SHANGHAI, Some(six), Timestamp(0), six),
            Some(NextReport::Wait(ELEVEN.plus(DAY)))
        );
    }

    #[test]
    fn a_day_of_twenty_three_or_twenty_five_hours_is_one_window() {
        let instant = |text: &str| Timestamp(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis());
        let (zone, schedule) = (chrono_tz::Europe::Berlin, at(&[(11, 0)]));
        for (last, now, hours) in [
            ("2026-03-28T11:00:00+01:00", "2026-03-29T11:00:00+02:00", 23),
            ("2026-10-24T11:00:00+02:00", "2026-10-25T11:00:00+01:00", 25),
        ] {
            let (last, now) = (instant(last), instant(now));
            assert_eq!(now.since(last), hours * HOUR);
            assert_eq!(
                next_report(&schedule, zone, Some(last), Timestamp(0), now.plus(-1)),
                Some(NextReport::Wait(now))
            );
            assert_eq!(next_report(&schedule, zone, Some(last), Timestamp(0), now), make(last, now));
        }
        // At 02:30, which is twice in autumn and never in spring: one report a day.
        let night = at(&[(2, 30)]);
        let (mut last, mut n) = (instant("2026-10-23T02:30:00+02:00"), 0);
        let (mut now, end) = (last, instant("2026-10-28T00:00:00+01:00"));
        while now < end {
            now = now.plus(10 * MINUTE);
            if let Some(NextReport::Make(window)) = next_report(&night, zone, Some(last), Timestamp(0), now) {
                (last, n) = (window.to, n + 1);
            }
        }
        assert_eq!(n, 4);
    }

    #[test]
    fn a_clock_that_jumps_keeps_no_report_back() {
        let schedule = at(&[(11, 0)]);
        let far = ELEVEN.plus(365 * DAY);
        assert_eq!(next_report(&schedule, SHANGHAI, Some(far), Timestamp(0), ELEVEN), make(ELEVEN.plus(-DAY), ELEVEN));
        for now in [Timestamp(0), Timestamp(i64::MAX / 4), ELEVEN] {
            for last in [None, Some(Timestamp(0)), Some(far), Some(Timestamp(i64::MAX))] {
                next_report(&schedule, SHANGHAI, last, Timestamp(i64::MAX), now);
            }
        }
        // An hour back: the same eleven o'clock comes again and makes no second report.
        assert_eq!(
            next_report(&schedule, SHANGHAI, Some(ELEVEN), Timestamp(0), ELEVEN.plus(-HOUR)),
            Some(NextReport::Wait(ELEVEN.plus(DAY)))
        );
    }
}

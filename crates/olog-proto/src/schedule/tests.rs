//! Cases against Debian's cron, and the days on which clocks change.

use chrono::{Datelike as _, SecondsFormat};
use proptest::prelude::*;

use super::*;

fn schedule(text: &str) -> Schedule {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn at(text: &str) -> Timestamp {
    Timestamp(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
}

/// The first runs after an instant, as local times with their offset.
fn runs(text: &str, zone: Tz, after: &str, n: usize) -> Vec<String> {
    let local = |at: Timestamp| {
        let at = DateTime::from_timestamp_millis(at.0).unwrap().with_timezone(&zone);
        at.to_rfc3339_opts(SecondsFormat::Secs, false)
    };
    schedule(text).runs_after(at(after), zone).take(n).map(local).collect()
}

#[test]
fn it_runs_when_debians_cron_does() {
    for line in include_str!("debian-cron.txt").lines().filter(|line| !line.starts_with('#')) {
        let (text, expected) = line.split_once(" |").unwrap();
        let expected: Vec<String> = expected.split_whitespace().map(str::to_owned).collect();
        if expected == ["refused"] || expected == ["never"] {
            assert!(text.parse::<Schedule>().is_err(), "{text:?} was taken");
            continue;
        }
        let n = expected.len();
        let got: Vec<String> = runs(text, Tz::UTC, "2026-01-01T00:00:00Z", n)
            .into_iter()
            .map(|run| run.strip_suffix(":00+00:00").unwrap().to_owned())
            .collect();
        assert_eq!(got, expected, "{text:?}");
    }
}

#[test]
fn a_sixth_field_stands_before_the_others_and_means_seconds() {
    let got = runs("*/30 59 23 31 12 *", Tz::UTC, "2026-06-01T00:00:00Z", 3);
    assert_eq!(got, ["2026-12-31T23:59:00+00:00", "2026-12-31T23:59:30+00:00", "2027-12-31T23:59:00+00:00"]);
    assert_eq!(runs("15 0 0 * * *", Tz::UTC, "2026-06-01T00:00:15Z", 1), ["2026-06-02T00:00:15+00:00"]);
}

#[test]
fn a_clock_at_1970_or_2106_changes_nothing_about_the_calendar() {
    let days = |text, after| {
        runs(text, Tz::UTC, after, 2)
            .into_iter()
            .map(|run| run.chars().take(10).collect::<String>())
            .collect::<Vec<_>>()
    };
    let table = [
        ("0 3 * * 1", "1970-01-01T00:00:00Z", ["1970-01-05", "1970-01-12"]),
        ("0 3 29 2 *", "1970-01-01T00:00:00Z", ["1972-02-29", "1976-02-29"]),
        ("0 3 * * 1", "2106-02-07T06:28:15Z", ["2106-02-08", "2106-02-15"]),
        ("0 3 1 1 *", "2106-02-07T06:28:15Z", ["2107-01-01", "2108-01-01"]),
        ("0 3 29 2 *", "2096-03-01T00:00:00Z", ["2104-02-29", "2108-02-29"]),
        ("0 3 31 12 *", "2099-12-31T12:00:00Z", ["2100-12-31", "2101-12-31"]),
    ];
    for (text, after, expected) in table {
        assert_eq!(days(text, after), expected, "{text} after {after}");
    }
}

#[test]
fn daily_times_are_a_union() {
    let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
    let schedule = Schedule::daily(&[time("18:30"), time("11:00")]).unwrap();
    let hours: Vec<_> = schedule.runs_after(at("2026-11-22T10:00:00Z"), Tz::UTC).take(3).collect();
    assert_eq!(hours, [at("2026-11-22T11:00:00Z"), at("2026-11-22T18:30:00Z"), at("2026-11-23T11:00:00Z")]);
    assert_eq!(Schedule::daily(&[]), None);
}

#[test]
fn what_is_wrong_is_said_with_its_field() {
    let check = |text: &str, words: &str| {
        let error = text.parse::<Schedule>().expect_err(text).to_string();
        assert!(error.contains(words), "{text:?}: {error}");
    };
    check("* * *", "expected five fields");
    check("@reboot", "expected five fields");
    check("0 3 * * * * 2027", "expected five fields");
    check("60 * * * *", "minute: expected 0 to 59, lists and ranges of them, or *, found \"60\"");
    check("0 3 * foo *", "month: expected 1 to 12 or jan to dec");
    check("0 22-2 * * *", "hour: expected a range that goes forwards, like 22-23,0-2");
    check("0 4 * * fri-sun", "day of week: expected a range that goes forwards, like 5-7");
    check("0 4 * * 6-1", "like 6-6,0-1");
    check("5/10 * * * *", "minute: expected a step behind a range or *");
    check("*/0 * * * *", "minute: expected a step of 1 or more");
    // Debian's cron takes the 1 and passes over the rest.
    check("0 0 * * 1#2", "day of week: expected 0 to 7 or sun to sat");
    check("0 0 30 2 *", "does not run within 5 years");
    check(&"1,".repeat(1000), "expected five fields");
}

/// `[zone, schedule, after, runs…]`
#[track_caller]
fn clocks(zone: Tz, text: &str, after: &str, expected: &[&str]) {
    assert_eq!(runs(text, zone, after, expected.len()), expected, "{zone} {text}");
}

#[test]
fn clocks_that_go_forward_skip_no_fixed_run() {
    use chrono_tz::{America::New_York, Asia::Shanghai, Australia::Lord_Howe, Europe::Berlin};
    let (daily, before) = ("30 2 * * *", "2026-03-28T12:00:00Z");
    clocks(
        Berlin,
        daily,
        before,
        &["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00", "2026-03-31T02:30:00+02:00"],
    );
    clocks(New_York, daily, "2026-03-07T12:00:00Z", &["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"]);
    // Half an hour: 02:00 becomes 02:30.
    clocks(
        Lord_Howe,
        "10 2 * * *",
        "2026-10-03T06:00:00Z",
        &["2026-10-04T02:30:00+11:00", "2026-10-05T02:10:00+11:00"],
    );
    clocks(Lord_Howe, daily, "2026-10-03T06:00:00Z", &["2026-10-04T02:30:00+11:00", "2026-10-05T02:30:00+11:00"]);
    // Two that fall into the same hole run once, at its end.
    clocks(Berlin, "10,50 2 * * *", before, &["2026-03-29T03:00:00+02:00", "2026-03-30T02:10:00+02:00"]);
    clocks(Shanghai, daily, before, &["2026-03-29T02:30:00+08:00", "2026-03-30T02:30:00+08:00"]);
    // China had summer time until 1991.
    clocks(Shanghai, "30 2 * * *", "1991-04-13T12:00:00Z", &["1991-04-14T03:00:00+09:00"]);
}

#[test]
fn what_runs_every_hour_makes_up_for_nothing() {
    use chrono_tz::{Australia::Lord_Howe, Europe::Berlin};
    let before = "2026-03-29T00:30:00Z";
    clocks(Berlin, "5 * * * *", before, &["2026-03-29T03:05:00+02:00", "2026-03-29T04:05:00+02:00"]);
    clocks(Berlin, "0 * * * *", before, &["2026-03-29T03:00:00+02:00"]);
    clocks(
        Berlin,
        "*/30 * * * *",
        before,
        &["2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00", "2026-03-29T04:00:00+02:00"],
    );
    clocks(Lord_Howe, "*/20 * * * *", "2026-10-03T15:25:00Z", &["2026-10-04T02:40:00+11:00"]);
}

#[test]
fn clocks_that_go_back_run_nothing_twice() {
    use chrono_tz::{America::New_York, Australia::Lord_Howe, Europe::Berlin};
    let daily = "30 2 * * *";
    clocks(Berlin, daily, "2026-10-24T12:00:00Z", &["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]);
    clocks(New_York, "30 1 * * *", "2026-10-31T12:00:00Z", &["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"]);
    clocks(
        Lord_Howe,
        "45 1 * * *",
        "2026-04-04T06:00:00Z",
        &["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
    );
    clocks(Berlin, "0,30 * * * *", "2026-10-25T00:00:00Z", &["2026-10-25T02:30:00+02:00", "2026-10-25T03:00:00+01:00"]);
    // Asked within the second pass.
    clocks(Berlin, "*/10 * * * *", "2026-10-25T01:15:00Z", &["2026-10-25T03:00:00+01:00"]);
}

#[test]
fn a_day_that_a_country_left_out_runs_on_the_next() {
    clocks(
        chrono_tz::Pacific::Apia,
        "0 12 * * *",
        "2011-12-30T00:00:00Z",
        &["2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"],
    );
}

const ZONES: [Tz; 6] = [
    Tz::UTC,
    chrono_tz::Asia::Shanghai,
    chrono_tz::Europe::Berlin,
    chrono_tz::America::New_York,
    chrono_tz::Australia::Lord_Howe,
    chrono_tz::Africa::Casablanca,
];

proptest! {
    /// Whatever the schedule, zone and instant: the next run lies ahead, shows a time that the schedule means unless clocks
    /// changed there, and asking in between changes nothing.
    #[test]
    fn the_next_run_lies_ahead_and_does_not_depend_on_when_it_was_asked(
        minute in 0_u32..60, hour in 0_u32..24, weekday in proptest::option::of(0_u32..8),
        zone in 0..ZONES.len(), after in 1_700_000_000_000_i64..2_000_000_000_000, part in 0_i64..1000,
    ) {
        let weekday_word = weekday.map_or("*".to_owned(), |day| day.to_string());
        let schedule = schedule(&format!("{minute} {hour} * * {weekday_word}"));
        let zone = ZONES[zone];
        let next = schedule.next_after(Timestamp(after), zone).unwrap();
        prop_assert!(next.0 > after && next.0 <= after + 8 * 86_400_000 + 2 * 3_600_000);
        let between = Timestamp(after + (next.0 - 1 - after) * part / 1000);
        prop_assert_eq!(schedule.next_after(between, zone), Some(next));
        let local = DateTime::from_timestamp_millis(next.0).unwrap().with_timezone(&zone);
        let is_meant = (local.hour(), local.minute()) == (hour, minute)
            && weekday.is_none_or(|day| local.weekday().num_days_from_sunday() == day % 7);
        let clocks_changed = (local - Duration::hours(25)).offset().fix() != local.offset().fix();
        prop_assert!(is_meant || clocks_changed, "{local}");
    }

    /// Nothing that somebody may type panics or takes long.
    #[test]
    fn any_text_is_taken_or_refused(text in "[-*/, 0-9a-zA-Z@#?LW]{0,40}") {
        drop(text.parse::<Schedule>());
    }
}

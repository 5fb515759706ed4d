//! What a systemd timer says of its runs, in the form that the hub takes ([`JobSchedule`]).
//!
//! systemd prints each `OnCalendar=` in one normalised form, such as `Mon..Fri *-*-* 09:00/15:00 Europe/Berlin`, and each span such as
//! `OnUnitActiveUSec=1h 30min`. What has no equal there is named by a [`NoSchedule`]: a guess would be LOST one day.
//!
//! Pure: it reads texts.

use std::time::Duration;

use olog_proto::{
    job::{JobSchedule, SPAN_MAX},
    schedule::Schedule,
};
use serde::Serialize;

/// Why nothing can be expected of a job by its own schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoSchedule {
    /// It runs once after each boot, or after the timer was started.
    Once,
    /// It has several calendars, or a calendar and a period.
    Several,
    /// Its calendar says what a line of a crontab cannot: a year, the last days of a month, a weekday and a day of the month together.
    Calendar,
    /// anacron decides when the scripts of the folder run.
    Anacron,
    /// The time zone in which it is meant is not known.
    Zone,
}

/// When a timer starts its service. Both texts are properties as `systemctl show` prints them; `zone` is the machine's.
pub(super) fn schedule(calendars: &str, spans: &str, zone: &str) -> Result<JobSchedule, NoSchedule> {
    let calendars: Vec<&str> = settings(calendars).map(|(_, value)| value).collect();
    let repeats = settings(spans).filter(|(key, _)| matches!(*key, "OnUnitActiveUSec" | "OnUnitInactiveUSec"));
    let periods: Vec<u64> = repeats.filter_map(|(_, value)| span(value)).filter(|period| *period > 0).collect();
    match (calendars.as_slice(), periods.iter().min()) {
        ([], None) => Err(NoSchedule::Once),
        ([], Some(period)) => Ok(JobSchedule::Every { period: (*period).min(SPAN_MAX) }),
        ([calendar], None) => by_calendar(calendar, zone).ok_or(NoSchedule::Calendar),
        _ => Err(NoSchedule::Several),
    }
}

/// `1h 30min` in milliseconds.
pub(super) fn span(text: &str) -> Option<u64> {
    let span = if text == "0" { Duration::ZERO } else { humantime::parse_duration(text).ok()? };
    u64::try_from(span.as_millis()).ok()
}

/// The settings of `{ OnCalendar=daily ; next_elapse=… }{ OnBootUSec=15min ; … }`.
pub(super) fn settings(properties: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = properties.split('{').filter_map(|part| part.split(" ; ").next());
    parts.filter_map(|part| part.trim().trim_end_matches('}').trim().split_once('='))
}

fn by_calendar(calendar: &str, machine: &str) -> Option<JobSchedule> {
    let mut words = calendar.split_whitespace().peekable();
    let days = words.next_if(|word| !word.contains('-')).map_or(Some("*".to_owned()), weekdays)?;
    let (date, time) = (words.next()?, words.next()?);
    let zone = words.next().unwrap_or(machine).to_owned();
    let [year, month, day] = date.split('-').collect::<Vec<_>>().try_into().ok()?;
    let [hour, minute, second] = time.split(':').collect::<Vec<_>>().try_into().ok()?;
    // systemd asks for both days to fit, a crontab for one of them.
    if year != "*" || words.next().is_some() || (days != "*" && day != "*") {
        return None;
    }
    let fields = [field(minute, 0, 59)?, field(hour, 0, 23)?, field(day, 1, 31)?, field(month, 1, 12)?, days];
    let seconds = match field(second, 0, 59)? {
        zero if zero == "0" => String::new(),
        seconds => format!("{seconds} "),
    };
    let schedule = format!("{seconds}{}", fields.join(" "));
    schedule.parse::<Schedule>().ok()?;
    Some(JobSchedule::Calendar { schedule, zone })
}

/// `00/15`, `1..5`, `06,18`: each becomes what a crontab has for it.
fn field(text: &str, min: u8, max: u8) -> Option<String> {
    let item = |item: &str| {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        let number = |text: &str| text.parse::<u8>().ok();
        let step = match step {
            None => String::new(),
            Some(step) => format!("/{}", number(step)?),
        };
        if range == "*" {
            return Some(format!("*{step}"));
        }
        Some(match range.split_once("..") {
            Some((from, to)) => format!("{}-{}{step}", number(from)?, number(to)?),
            None if step.is_empty() => number(range)?.to_string(),
            None if number(range)? == min => format!("*{step}"),
            None => format!("{}-{max}{step}", number(range)?),
        })
    };
    text.split(',').map(item).collect::<Option<Vec<String>>>().map(|items| items.join(","))
}

/// `Mon..Wed,Sun`.
fn weekdays(text: &str) -> Option<String> {
    const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let number = |day: &str| DAYS.iter().position(|name| *name == day).map(|n| n + 1);
    let item = |item: &str| {
        Some(match item.split_once("..") {
            Some((from, to)) => format!("{}-{}", number(from)?, number(to)?),
            None => number(item)?.to_string(),
        })
    };
    text.split(',').map(item).collect::<Option<Vec<String>>>().map(|items| items.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(text: &str) -> Result<(String, String), NoSchedule> {
        match schedule(&format!("{{ OnCalendar={text} ; next_elapse=n/a }}"), "", "Asia/Shanghai")? {
            JobSchedule::Calendar { schedule, zone } => Ok((schedule, zone)),
            other => panic!("{text}: {other:?}"),
        }
    }

    /// The left column is what `systemd-analyze calendar` calls the normalised form.
    #[test]
    fn a_calendar_becomes_the_line_of_a_crontab_that_means_the_same() {
        for (text, expected) in [
            ("*-*-* *:00:00", "0 * * * *"),
            ("Mon *-*-* 00:00:00", "0 0 * * 1"),
            ("Mon..Fri *-*-* 09:00/15:00", "*/15 9 * * 1-5"),
            ("Sat,Sun *-*-* 10:00:00", "0 10 * * 6,7"),
            ("*-*-* *:05/10:00", "5-59/10 * * * *"),
            ("*-*-* *:*:00/30", "*/30 * * * * *"),
            ("*-*-* 06,18:30:15", "15 30 6,18 * * *"),
            ("*-*-01/2 04:00:00", "0 4 */2 * *"),
            ("*-02..04-01 01:00:00", "0 1 1 2-4 *"),
        ] {
            assert_eq!(calendar(text), Ok((expected.to_owned(), "Asia/Shanghai".to_owned())), "{text}");
        }
        let elsewhere = calendar("Mon,Wed..Fri *-01,04-* 06:00:00 Europe/Berlin").unwrap();
        assert_eq!(elsewhere, ("0 6 * 1,4 1,3-5".to_owned(), "Europe/Berlin".to_owned()));
    }

    #[test]
    fn what_a_crontab_cannot_say_is_not_guessed() {
        for text in [
            "Mon *-*-01..07 03:00:00",
            "*-*~01 00:00:00",
            "2027-01-01 00:00:00",
            "*-*-* 06:00:30.500000",
            "*-02-30 00:00:00",
            "",
            "x y z",
        ] {
            assert_eq!(calendar(text), Err(NoSchedule::Calendar), "{text}");
        }
    }

    #[test]
    fn a_period_is_expected_and_a_start_after_boot_is_not() {
        let calendar = "{ OnCalendar=*-*-* 04:00:00 ; next_elapse=n/a }";
        let boot = "{ OnBootUSec=15min ; next_elapse=1min }";
        let active = "{ OnUnitActiveUSec=1h 30min ; next_elapse=n/a }";
        let every = |period| Ok(JobSchedule::Every { period });
        for (calendars, spans, expected) in [
            ("", [boot, active].concat(), every(90 * 60_000)),
            ("", "{ OnUnitInactiveUSec=1d ; next_elapse=n/a }".to_owned(), every(86_400_000)),
            ("", boot.to_owned(), Err(NoSchedule::Once)),
            ("", String::new(), Err(NoSchedule::Once)),
            (calendar, active.to_owned(), Err(NoSchedule::Several)),
        ] {
            assert_eq!(schedule(calendars, &spans, "UTC"), expected, "{calendars} {spans}");
        }
        // A start after boot besides the calendar is one run more.
        assert!(schedule(calendar, boot, "UTC").is_ok());
        assert_eq!(schedule(&calendar.repeat(2), "", "UTC"), Err(NoSchedule::Several));
        assert_eq!(
            ["0", "1min", "1h 30min", "500ms", "infinity"].map(span),
            [Some(0), Some(60_000), Some(5_400_000), Some(500), None]
        );
    }
}

//! The verbs of silences, and of errors that are none.

use chrono::{DateTime, Days, LocalResult, NaiveDateTime, NaiveTime, TimeZone as _};
use chrono_tz::Tz;
use clap::{Args, Subcommand};
use olog_daemon::{
    clock::Clock,
    config::parse_span,
    socket::{AskError, Client},
};
use olog_proto::At;
use serde_json::Value;

use super::{number, show};
use crate::{
    admin::socket::{AddSilence, NotAnError},
    apply::operator::Wide,
};

#[derive(Debug, Subcommand)]
pub(super) enum SilenceVerb {
    /// Hold notifications back for a while, or again and again. What is still wrong when it ends is told then.
    Add(Box<Add>),
    /// Print the silences: what each holds now, and until when, or when next.
    List {
        /// Those that are over too.
        #[arg(long)]
        all: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// End a silence now. What it held and is still wrong is told.
    #[command(alias = "remove")]
    End {
        /// Its number, as in the list.
        #[arg(value_parser = number)]
        n: u64,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Of these devices: a name, or a pattern like 'web-*' ('*': all of them).
    #[arg(long, value_name = "GLOB")]
    device: Option<String>,
    /// Of these tasks only, not of the devices themselves: a name, or a pattern.
    #[arg(long, value_name = "GLOB")]
    task: Option<String>,
    /// Of this error only, as `incident show` prints it. It needs no end.
    #[arg(long, value_name = "F")]
    fingerprint: Option<String>,
    /// From then on, like "02:00" or "2026-11-24 02:00" (default: from now on).
    #[arg(long, value_name = "T", conflicts_with = "every")]
    from: Option<String>,
    /// For so long, like "2h" or "3d"; of windows: each.
    #[arg(long = "for", value_name = "D", value_parser = span)]
    lasts: Option<i64>,
    /// Until then, like "06:00" or "2026-11-24 06:00".
    #[arg(long, value_name = "T", conflicts_with_all = ["lasts", "every"])]
    until: Option<String>,
    /// Again and again, when a crontab(5) line like "0 2 * * 0" says so.
    #[arg(long, value_name = "SCHEDULE", requires = "lasts")]
    every: Option<String>,
    /// Of which time zone the schedule is (default: the hub's).
    #[arg(long, value_name = "ZONE", requires = "every")]
    zone: Option<String>,
    /// What for.
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
}

#[derive(Debug, Args)]
pub(super) struct NotAnErrorOf {
    /// Its number.
    #[arg(value_parser = number)]
    n: u64,
    /// Only this one of its errors.
    #[arg(long, value_name = "F")]
    fingerprint: Option<String>,
    /// For every task of the device.
    #[arg(long, conflicts_with = "for_fleet")]
    for_device: bool,
    /// For every device.
    #[arg(long)]
    for_fleet: bool,
}

fn span(text: &str) -> Result<i64, String> {
    let span = parse_span(text)?;
    i64::try_from(span.as_millis()).map_err(|_| "that is too long".to_owned())
}

/// What a verb prints.
pub(super) async fn silence(client: &Client, verb: SilenceVerb, show: show::Show) -> Result<String, AskError> {
    match verb {
        SilenceVerb::Add(add) => {
            let made: Value = client.post("/silence", &request(*add, show.zone)?).await?;
            Ok(show.fields(&made))
        }
        SilenceVerb::List { all, json } => {
            let rows: Value = client.get(&format!("/silences?all={all}")).await?;
            Ok(if json { show::json(&rows) } else { show.table(&rows, show::SILENCES) })
        }
        SilenceVerb::End { n } => {
            let ended: Value = client.post(&format!("/silence/{n}/end"), &()).await?;
            Ok(show.fields(&ended))
        }
    }
}

/// What is to be no error, and the silences that see to it.
pub(super) async fn not_an_error(client: &Client, of: NotAnErrorOf, show: show::Show) -> Result<String, AskError> {
    let wide = match (of.for_device, of.for_fleet) {
        (_, true) => Wide::Fleet,
        (true, false) => Wide::Device,
        (false, false) => Wide::Task,
    };
    let request = NotAnError { fingerprint: of.fingerprint, wide };
    let made: Value = client.post(&format!("/incident/{}/not-an-error", of.n), &request).await?;
    Ok(show.table(&made, show::SILENCES))
}

fn request(add: Add, zone: Tz) -> Result<AddSilence, AskError> {
    let now = Clock::system().now();
    let wrong = |words| AskError::Refused { status: hyper::StatusCode::UNPROCESSABLE_ENTITY, words };
    let time = |text: Option<String>| text.map(|text| instant(&text, zone, now)).transpose().map_err(wrong);
    let from_at = time(add.from)?;
    let until_at = time(add.until)?;
    Ok(AddSilence {
        device: add.device,
        task: add.task,
        fingerprint: add.fingerprint,
        from_at,
        lasts: add.lasts,
        until_at,
        every: add.every,
        zone: add.zone,
        comment: add.comment,
    })
}

/// A time of day, which is the next one; a day and a time; or RFC 3339.
fn instant(text: &str, zone: Tz, now: At) -> Result<At, String> {
    let wrong = || format!("expected a time like \"06:00\" or \"2026-11-24 06:00\", found {text:?}");
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(At(at.timestamp_millis()));
    }
    let local = |at: NaiveDateTime| match zone.from_local_datetime(&at) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Ok(At(at.timestamp_millis())),
        LocalResult::None => Err(format!("{at} does not exist in {zone}: clocks go forward")),
    };
    let formats = ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
    if let Some(at) = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()) {
        return local(at);
    }
    let time = NaiveTime::parse_from_str(text, "%H:%M").map_err(|_| wrong())?;
    let today = DateTime::from_timestamp_millis(now.0).ok_or_else(wrong)?.with_timezone(&zone).date_naive();
    match local(today.and_time(time))? {
        at if at > now => Ok(at),
        _ => local(today.checked_add_days(Days::new(1)).ok_or_else(wrong)?.and_time(time)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_the_next_one() {
        let zone = chrono_tz::Asia::Shanghai;
        let at = |text: &str| At(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis());
        let now = at("2026-11-23T22:00:00+08:00");
        for (text, expected) in [
            ("06:00", "2026-11-24T06:00:00+08:00"),
            ("23:30", "2026-11-23T23:30:00+08:00"),
            ("22:00", "2026-11-24T22:00:00+08:00"),
            ("2026-12-01 06:00", "2026-12-01T06:00:00+08:00"),
            ("2026-12-01T06:00:30", "2026-12-01T06:00:30+08:00"),
            ("2026-12-01T06:00:00Z", "2026-12-01T14:00:00+08:00"),
        ] {
            assert_eq!(instant(text, zone, now), Ok(at(expected)), "{text}");
        }
        for text in ["", "6", "25:00", "tomorrow", "2026-02-30 06:00"] {
            assert!(instant(text, zone, now).is_err(), "{text}");
        }
        assert!(instant("2026-03-29 02:30", chrono_tz::Europe::Berlin, now).is_err());
    }
}

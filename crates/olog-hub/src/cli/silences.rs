//! The verbs of silences, and of errors that are none.

use chrono::{DateTime, Days, LocalResult, NaiveDateTime, NaiveTime, TimeZone as _};
use chrono_tz::Tz;
use clap::{Args, Subcommand};
use olog_daemon::{clock::Clock, config::parse_span, socket::AskError};
use olog_proto::Timestamp;

use super::{
    show,
    words::{Context, VerbOutput, VerbResult, number as count, text},
};
use crate::{
    admin::socket::{NotAnError, SilencesMade},
    apply::operator::{AddSilence, SuppressScope},
    store::silences::ListedSilence,
};

#[derive(Debug, Subcommand)]
pub(super) enum SilenceVerb {
    /// Hold notifications back for a time, or in recurring windows. What is still wrong at the end is notified then.
    Add(Box<Add>),
    /// List the silences: what each holds back now, until when, or when it starts next.
    List {
        /// Include those that are over.
        #[arg(long)]
        all: bool,
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// End a silence now. Held notifications whose problem still exists are sent.
    #[command(alias = "remove")]
    End {
        /// Its number, as in the list.
        #[arg(value_parser = super::number)]
        n: u64,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// Devices: a name or a pattern such as 'web-*' ('*' for all). Before `*`, `?` or `\` a `\` makes it literal.
    #[arg(long, value_name = "GLOB")]
    device: Option<String>,
    /// Only these tasks (not the devices themselves): a name or a pattern, as above. A name that begins with `-`: --task=-rf.
    #[arg(long, value_name = "GLOB")]
    task: Option<String>,
    /// Only this error (fingerprint as printed by `incident show`). Such a silence needs no end.
    #[arg(long, value_name = "F")]
    fingerprint: Option<String>,
    /// Start, e.g. "02:00" or "2026-11-24 02:00" (default: now).
    #[arg(long, value_name = "T", conflicts_with = "every")]
    from: Option<String>,
    /// Duration, e.g. "2h" or "3d"; with --every: of each window.
    #[arg(long = "for", value_name = "D", value_parser = span)]
    lasts: Option<i64>,
    /// End, e.g. "06:00" or "2026-11-24 06:00".
    #[arg(long, value_name = "T", conflicts_with_all = ["lasts", "every"])]
    until: Option<String>,
    /// Recurring: start of each window as a crontab(5) schedule, e.g. "0 2 * * 0".
    #[arg(long, value_name = "SCHEDULE", requires = "lasts")]
    every: Option<String>,
    /// Time zone of the schedule (default: the hub's).
    #[arg(long, value_name = "ZONE", requires = "every")]
    zone: Option<String>,
    /// Reason, shown in the list.
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
}

#[derive(Debug, Args)]
pub(super) struct NotAnErrorOf {
    /// The number of the incident.
    #[arg(value_parser = super::number)]
    n: u64,
    /// Only this one of its errors; the incident stays open.
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

pub(super) async fn answer(hub: &Context<'_>, verb: SilenceVerb) -> VerbResult {
    match verb {
        SilenceVerb::Add(add) => {
            let made: SilencesMade = hub.client.post("/silence", &request(*add, hub.say.timezone)?).await?;
            let out = made.silences.iter().map(|silence| sentence(hub, silence) + "\n").collect();
            let remarks = made.remarks.iter().map(|remark| hub.remark(remark)).collect();
            Ok(VerbOutput { out, remarks, is_failed: false })
        }
        SilenceVerb::List { all, json } => hub.list(&format!("/silences?all={all}"), json, show::SILENCES).await,
        SilenceVerb::End { n } => {
            let ended: ListedSilence = hub.client.post(&format!("/silence/{n}/end"), &()).await?;
            let held = usize::try_from(ended.n_held).unwrap_or(usize::MAX);
            Ok(VerbOutput::sentence(hub.t("cli-silence-ended", &[text("n", n), count("held", held)])))
        }
    }
}

/// What is to be no error from now on, and how to undo that.
pub(super) async fn not_an_error(hub: &Context<'_>, of: NotAnErrorOf) -> VerbResult {
    let wide = match (of.for_device, of.for_fleet) {
        (_, true) => SuppressScope::Fleet,
        (true, false) => SuppressScope::Device,
        (false, false) => SuppressScope::Task,
    };
    let request = NotAnError { fingerprint: of.fingerprint, wide };
    let made: SilencesMade = hub.client.post(&format!("/incident/{}/not-an-error", of.n), &request).await?;
    let lines = made.silences.iter().map(|silence| {
        let args = [text("n", silence.id), text("scope", scope(silence)), text("comment", &silence.comment)];
        hub.t("cli-not-an-error", &args) + "\n"
    });
    let mut out: String = lines.collect();
    if made.is_closed {
        out.push_str(&(hub.t("cli-not-an-error-closed", &[text("n", of.n)]) + "\n"));
    }
    Ok(out.into())
}

fn scope(silence: &ListedSilence) -> String {
    match &silence.task {
        Some(task) => format!("{}/{task}", silence.device),
        None => silence.device.clone(),
    }
}

fn sentence(hub: &Context<'_>, silence: &ListedSilence) -> String {
    let mut args = vec![text("n", silence.id), text("scope", scope(silence)), text("from", hub.time(silence.from_at))];
    args.extend(silence.until_at.map(|until| text("until", hub.time(until))));
    let key = match (&silence.every, silence.is_now, silence.until_at) {
        (Some(every), ..) => {
            args.extend([text("every", every), text("lasts", silence.lasts.as_deref().unwrap_or_default())]);
            "cli-silence-every"
        }
        (None, _, None) => "cli-silence-endless",
        (None, true, _) => "cli-silence-now",
        (None, false, _) => "cli-silence-later",
    };
    hub.t(key, &args)
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
fn instant(text: &str, zone: Tz, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = || format!("expected a time like \"06:00\" or \"2026-11-24 06:00\", found {text:?}");
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Timestamp(at.timestamp_millis()));
    }
    let local = |at: NaiveDateTime| match zone.from_local_datetime(&at) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Ok(Timestamp(at.timestamp_millis())),
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
        let at = |text: &str| Timestamp(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis());
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

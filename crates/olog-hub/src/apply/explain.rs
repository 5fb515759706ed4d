//! The story of an incident: what it is, which notifications were sent and why, and why one was not sent, or not yet. For `incident show` and the
//! incident's page.
//!
//! Everything is read in one snapshot: the incident, its task's facts, its notifications, the calls that carried them and the answer of the
//! service for each receiver. Sentences are in the reader's language; titles are as the phone has them. Changes nothing.

use chrono_tz::Tz;
use olog_proto::{Author, Excerpt, FingerprintText, Timestamp, fingerprint};
use olog_push::Notice;
use olog_push::words::{self, Localizer};
use serde::{Deserialize, Serialize};

use super::{GROUNDS, LivePolicy};
use crate::store::incidents::{self, Incident};
use crate::store::ledger::{self, LedgerRow, Sent};
use crate::store::outbox::{self, Attempt, WaitReason};
use crate::store::tasks::{self, Task};
use crate::store::{StoreError, Tx};

/// Lines of a text whose fingerprints are shown.
const LINES_MAX: usize = 20;
/// Notifications that are read.
const NOTICES_MAX: u32 = 1_000;

/// The answer.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Explained {
    /// What it is now, and what showed that.
    pub state: String,
    /// When it is told again, unless it is over or read before.
    pub next_reminder_at: Option<Timestamp>,
    /// What does not come before that: why.
    pub no_reminder: Option<String>,
    /// The user of the device that caused its latest error, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_by: Option<Author>,
    /// The user that reported its end, if that is another one and not root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_by: Option<Author>,
    /// By what its latest text is known: each line of it that says what.
    pub known_by: Vec<KnownBy>,
    /// What was told of it, or will be, or was held back.
    pub told: Vec<SentNotice>,
}

/// A line of an error, and its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct KnownBy {
    /// The line; what is no part of the fingerprint stands between ‹ and ›.
    pub line: String,
    /// What stays of it.
    pub stays: String,
    /// The hash of that.
    pub fingerprint: String,
}

/// One notice.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SentNotice {
    /// When it was decided.
    pub made_at: Timestamp,
    /// Its kind, as a channel's `only.kinds` has it.
    pub kind: olog_push::Kind,
    /// Its title, as it would stand alone.
    pub title: String,
    /// Why it is told, as the message says it.
    pub why: String,
    /// Through each channel.
    pub channels: Vec<Through>,
}

/// What became of a notice on one channel.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Through {
    /// Its name.
    pub channel: String,
    /// `accepted`, `refused`, `expired`, `silenced` or `waiting`.
    pub outcome: String,
    /// That, in words.
    pub words: String,
    /// The call that it went with last.
    pub message: Option<Sent>,
    /// What the service said then, of each receiver.
    pub answers: Vec<Attempt>,
}

/// All that is known of an incident; `None`: there is no such incident.
pub fn explain(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    say: Localizer,
    id: u64,
) -> Result<Option<(Incident, Explained)>, StoreError> {
    let Some(incident) = incidents::get(tx, id)? else { return Ok(None) };
    let task = tasks::of_incident(tx, id)?;
    let entries = ledger::of_incident(tx, id, NOTICES_MAX)?;
    let mut told: Vec<SentNotice> = Vec::new();
    let mut last: Option<&LedgerRow> = None;
    for entry in &entries {
        let through = through(tx, rules, &say, entry)?;
        let is_same = last.is_some_and(|last| last.made_at == entry.made_at && last.notice == entry.notice);
        match told.last_mut().filter(|_| is_same) {
            Some(told) => told.channels.push(through),
            None => told.push(SentNotice {
                made_at: entry.made_at,
                kind: entry.notice.kind,
                title: rules.compose_whole(&entry.notice, entry.made_at).title,
                why: words::why(&entry.notice, say.language, say.timezone),
                channels: vec![through],
            }),
        }
        last = Some(entry);
    }
    let next_reminder_at = next_reminder(rules, task.as_ref(), id).filter(|_| incident.ended_at.is_none());
    let no_reminder = no_reminder(&say, &incident, next_reminder_at, &entries);
    let text = entries.iter().rev().find_map(|entry| excerpt(&entry.notice)).cloned();
    let latest = task.as_ref().and_then(|task| task.facts.incident()).filter(|i| i.number == Some(id));
    let text = latest.map(|incident| incident.excerpt.clone()).or(text).unwrap_or_default();
    let (error_by, end_by) = users(tx, &incident)?;
    let explained = Explained {
        state: state(&say, &incident),
        next_reminder_at,
        no_reminder,
        error_by,
        end_by,
        known_by: known_by(&text),
        told,
    };
    Ok(Some((incident, explained)))
}

/// Who caused its error, and who said that it is over: the task remembers its latest incident.
fn users(tx: &mut Tx<'_>, incident: &Incident) -> Result<(Option<Author>, Option<Author>), StoreError> {
    let Some(device) = incident.device.as_deref().filter(|_| incident.subject == "task") else {
        return Ok((None, None));
    };
    let task = tasks::get(tx, device, &incident.name)?;
    let latest =
        task.as_ref().and_then(|listed| listed.task.facts.incident()).filter(|i| i.number == Some(incident.id));
    Ok(latest.map_or((None, None), |latest| (latest.error_by.clone(), latest.end_by.clone())))
}

fn next_reminder(rules: &LivePolicy, task: Option<&Task>, id: u64) -> Option<Timestamp> {
    let task = task?;
    match task.expect.missed().filter(|missed| missed.number == Some(id)) {
        Some(_) => task.expect.remind_at(&rules.expect),
        None => task.facts.remind_at(&rules.policy),
    }
}

/// Why nobody is reminded, if nobody is.
fn no_reminder(say: &Localizer, incident: &Incident, next: Option<Timestamp>, entries: &[LedgerRow]) -> Option<String> {
    let words = match (incident.ended_at, incident.subject.as_str(), entries.is_empty()) {
        _ if next.is_some() => return None,
        (Some(_), ..) => return None,
        (None, "task" | "lost", true) => "cli-no-reminder-untold",
        (None, "task" | "lost", false) => "cli-no-reminder-due",
        (None, ..) => "cli-no-reminder-report",
    };
    Some(say.word(words))
}

fn time(at: Timestamp, zone: Tz) -> String {
    let utc = chrono::DateTime::from_timestamp_millis(at.0).unwrap_or_default();
    utc.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string()
}

fn state(say: &Localizer, incident: &Incident) -> String {
    let at = |at: Timestamp| time(at, say.timezone).into();
    let mut words = vec![match incident.ended_at {
        None => say.text("cli-incident-since", &[("began", at(incident.began_at))]),
        Some(ended_at) => {
            let args =
                [("began", at(incident.began_at)), ("ended", at(ended_at)), ("ground", ground(say, incident).into())];
            say.text("cli-incident-ended", &args)
        }
    }];
    words.push(say.text("cli-incident-seen", &[("n", incident.n_seen.into()), ("last", at(incident.last_at))]));
    if incident.n_begun > 1 {
        words.push(say.text("cli-incident-begun", &[("n", incident.n_begun.into())]));
    }
    match incident.acknowledged_at {
        Some(read) => words.push(say.text("cli-incident-acknowledged", &[("time", at(read))])),
        None if incident.ended_at.is_none() => words.push(say.word("cli-incident-not-acknowledged")),
        None => {}
    }
    say.sentences(words)
}

/// What showed that it is over.
fn ground(say: &Localizer, incident: &Incident) -> String {
    let stored = incident.ground.as_deref().unwrap_or_default();
    if let Some((ground, _)) = GROUNDS.iter().find(|(_, text)| *text == stored) {
        return say.ground(*ground, incident.ended_at.unwrap_or(incident.last_at));
    }
    match stored {
        "ran" => say.word("cli-ground-ran"),
        "unexpected" => say.word("cli-ground-unexpected"),
        "back" => say.word("cli-ground-back"),
        "forgotten" => say.word("cli-ground-forgotten"),
        "accepted" => say.word("cli-ground-accepted"),
        "merged" => say.word("cli-ground-merged"),
        other => other.to_owned(),
    }
}

fn excerpt(notice: &Notice) -> Option<&Excerpt> {
    match &notice.content {
        olog_push::Content::Error { excerpt, .. } | olog_push::Content::Remind { excerpt, .. } => Some(excerpt),
        _ => None,
    }
}

/// By which lines the text is known, and what of each stays.
fn known_by(text: &Excerpt) -> Vec<KnownBy> {
    let known: Vec<FingerprintText> =
        [text.head(), text.tail()].into_iter().flat_map(fingerprint::fingerprints).collect();
    let lines = text.head().lines().chain(text.tail().lines());
    let mut shown: Vec<KnownBy> = Vec::new();
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        let stays = FingerprintText::of(line);
        let fingerprint = stays.fingerprint().to_string();
        let is_new = shown.iter().all(|shown| shown.fingerprint != fingerprint);
        if known.contains(&stays) && is_new && shown.len() < LINES_MAX {
            shown.push(KnownBy { line: marked(line), stays: stays.as_str().to_owned(), fingerprint });
        }
    }
    shown
}

/// The line with what is taken out between ‹ and ›.
fn marked(line: &str) -> String {
    let (mut out, mut done) = (String::new(), 0);
    for range in fingerprint::taken_out(line) {
        out.push_str(line.get(done..range.start).unwrap_or_default());
        out.push('‹');
        out.push_str(line.get(range.clone()).unwrap_or_default());
        out.push('›');
        done = range.end;
    }
    out.push_str(line.get(done..).unwrap_or_default());
    out
}

fn through(tx: &mut Tx<'_>, rules: &LivePolicy, say: &Localizer, entry: &LedgerRow) -> Result<Through, StoreError> {
    let message = entry.message.map(|id| ledger::message(tx, id)).transpose()?.flatten();
    let answers = entry.message.map(|id| ledger::answers(tx, id)).transpose()?.unwrap_or_default();
    let with = message.as_ref().map_or_else(String::new, |sent| {
        let others = sent.n_notices.saturating_sub(1);
        let time = time(sent.at, say.timezone);
        say.text("cli-told-with", &[("time", time.into()), ("id", sent.id.into()), ("n", others.into())])
    });
    let with = ("with", with.into());
    let (outcome, words) = match entry.outcome.as_deref() {
        Some("accepted") => ("accepted", say.text("cli-told-accepted", &[with])),
        Some("refused") => ("refused", say.text("cli-told-refused", &[with])),
        Some("expired") => ("expired", say.word("cli-told-expired")),
        Some("silenced") => ("silenced", say.text("cli-told-silenced", &[("n", entry.silence.unwrap_or(0).into())])),
        Some(other) => (other, other.to_owned()),
        None => ("waiting", waits(tx, rules, say, entry)?),
    };
    let words = match entry.n_attempts {
        n @ 2.. if outcome != "silenced" => say.text("cli-told-calls", &[("words", words.into()), ("n", n.into())]),
        _ => words,
    };
    Ok(Through { channel: entry.channel.clone(), outcome: outcome.to_owned(), words, message, answers })
}

fn waits(tx: &mut Tx<'_>, rules: &LivePolicy, say: &Localizer, entry: &LedgerRow) -> Result<String, StoreError> {
    let quiet_until = rules.quiet.as_ref().and_then(|quiet| quiet.ends_at(say.now));
    let waits = outbox::why_waits(tx, entry.id, &rules.channels, quiet_until, say.now)?;
    Ok(waits.map_or_else(String::new, |waits| waits_words(say, &waits)))
}

/// Why a notification has not left, in words.
fn waits_words(say: &Localizer, waits: &WaitReason) -> String {
    let then =
        |until: Option<Timestamp>| ("until", until.map_or_else(|| "-".to_owned(), |at| time(at, say.timezone)).into());
    let said = |why: &Option<String>| ("why", why.clone().unwrap_or_default().into());
    match waits {
        WaitReason::Turn => say.word("cli-waits-turn"),
        WaitReason::Call { until } => say.text("cli-waits-call", &[then(Some(*until))]),
        WaitReason::Pause { until, why } => say.text("cli-waits-pause", &[said(why), then(*until)]),
        WaitReason::BackOff { until, why } => say.text("cli-waits-back-off", &[said(why), then(Some(*until))]),
        WaitReason::Budget { used, per_day, until } => {
            say.text("cli-waits-budget", &[("used", (*used).into()), ("all", (*per_day).into()), then(Some(*until))])
        }
        WaitReason::Quiet { until } => say.text("cli-waits-quiet", &[then(Some(*until))]),
        WaitReason::Receivers { left, until } => {
            say.text("cli-waits-receivers", &[("receivers", say.list(left).into()), then(*until)])
        }
        WaitReason::Refused { until } => say.text("cli-waits-refused", &[then(*until)]),
        WaitReason::Gone => say.word("cli-waits-gone"),
    }
}

#[cfg(test)]
mod tests;

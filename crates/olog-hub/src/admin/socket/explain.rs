//! `incident show`: what an incident is, what was told of it and why, and why something was not, or not yet.
//!
//! Everything is read in one snapshot: the incident, its task's facts, its notices, the calls that carried them and what the
//! services said of each receiver. Sentences are of the terminal, in English; titles are as the phone has them.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::get,
};
use chrono_tz::Tz;
use olog_proto::{At, Excerpt, FingerprintText, fingerprint};
use olog_push::Notice;
use olog_push::words;
use serde::{Deserialize, Serialize};

use super::{Answer, LIST_MAX, Verbs, VerbsState};
use crate::apply::Rules;
use crate::store::incidents::{self, Incident};
use crate::store::ledger::{self, LedgerRow, Sent};
use crate::store::outbox::{self, Attempt};
use crate::store::tasks::{self, Task};
use crate::store::{StoreError, Tx};
use crate::web::Problem;

/// Lines of a text whose fingerprints are shown.
const LINES_MAX: usize = 20;

/// The answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explained {
    /// What it is now, and what showed that.
    pub state: String,
    /// When it is told again, unless it is over or read before.
    pub next_reminder_at: Option<At>,
    /// What does not come before that: why.
    pub no_reminder: Option<String>,
    /// By what its latest text is known: each line of it that says what.
    pub known_by: Vec<KnownBy>,
    /// What was told of it, or will be, or was held back.
    pub told: Vec<SentNotice>,
}

/// A line of an error, and its fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownBy {
    /// The line; what is no part of the fingerprint stands between ‹ and ›.
    pub line: String,
    /// What stays of it.
    pub stays: String,
    /// The hash of that.
    pub fingerprint: String,
}

/// One notice.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SentNotice {
    /// When it was decided.
    pub made_at: At,
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
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Through {
    /// Which.
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

pub(super) fn routes() -> Router<Arc<Verbs>> {
    Router::new().route("/incident/{id}/why", get(why))
}

async fn why(State(verbs): VerbsState, Path(id): Path<u64>) -> Answer<Explained> {
    let (rules, now) = (verbs.rules.borrow().clone(), verbs.clock.now());
    let found = verbs.store.read(move |tx| explain(tx, &rules, id, now)).await?;
    let words =
        || Problem::new(StatusCode::NOT_FOUND, format!("no incident #{id}: see `olog-hub incident list --all`"));
    found.map(Json).ok_or_else(words)
}

/// All that is known of it; `None`: there is no such incident.
fn explain(tx: &mut Tx<'_>, rules: &Rules, id: u64, now: At) -> Result<Option<Explained>, StoreError> {
    let Some(incident) = incidents::get(tx, id)? else { return Ok(None) };
    let task = tasks::of_incident(tx, id)?;
    let entries = ledger::of_incident(tx, id, LIST_MAX)?;
    let mut told: Vec<SentNotice> = Vec::new();
    let mut last: Option<&LedgerRow> = None;
    for entry in &entries {
        let through = through(tx, rules, entry, now)?;
        let is_same = last.is_some_and(|last| last.made_at == entry.made_at && last.notice == entry.notice);
        match told.last_mut().filter(|_| is_same) {
            Some(told) => told.channels.push(through),
            None => told.push(SentNotice {
                made_at: entry.made_at,
                kind: entry.notice.kind,
                title: rules.compose_whole(&entry.notice, entry.made_at).title,
                why: words::why(&entry.notice, rules.language, rules.timezone),
                channels: vec![through],
            }),
        }
        last = Some(entry);
    }
    let next_reminder_at = next_reminder(rules, task.as_ref(), id).filter(|_| incident.ended_at.is_none());
    let no_reminder = no_reminder(&incident, next_reminder_at, &entries);
    let text = entries.iter().rev().find_map(|entry| excerpt(&entry.notice)).cloned();
    let latest = task.as_ref().and_then(|task| task.facts.incident()).filter(|i| i.number == Some(id));
    let text = latest.map(|incident| incident.excerpt.clone()).or(text).unwrap_or_default();
    Ok(Some(Explained {
        state: state(&incident, rules.timezone),
        next_reminder_at,
        no_reminder,
        known_by: known_by(&text),
        told,
    }))
}

fn next_reminder(rules: &Rules, task: Option<&Task>, id: u64) -> Option<At> {
    let task = task?;
    match task.expect.missed().filter(|missed| missed.number == Some(id)) {
        Some(_) => task.expect.remind_at(&rules.expect),
        None => task.facts.remind_at(&rules.policy),
    }
}

/// Why nobody is reminded, if nobody is.
fn no_reminder(incident: &Incident, next: Option<At>, entries: &[LedgerRow]) -> Option<String> {
    let words = match (incident.ended_at, incident.subject.as_str(), entries.is_empty()) {
        _ if next.is_some() => return None,
        (Some(_), ..) => return None,
        (None, "task" | "lost", true) => "nobody was told of it, so nobody is reminded",
        (None, "task" | "lost", false) => "none is due",
        (None, ..) => "only tasks are reminded of; the report lists it until it is over",
    };
    Some(words.to_owned())
}

fn time(at: At, zone: Tz) -> String {
    let utc = chrono::DateTime::from_timestamp_millis(at.0).unwrap_or_default();
    utc.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string()
}

fn state(incident: &Incident, zone: Tz) -> String {
    let counted = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut words = match incident.ended_at {
        None => format!("open since {}", time(incident.began_at, zone)),
        Some(at) => {
            format!("over since {} ({}); it began {}", time(at, zone), ground(incident), time(incident.began_at, zone))
        }
    };
    words.push_str(&format!("; {}, the last at {}", counted(incident.n_seen, "sign"), time(incident.last_at, zone)));
    if incident.n_begun > 1 {
        words.push_str(&format!("; it began {}", counted(incident.n_begun, "time")));
    }
    match incident.acknowledged_at {
        Some(at) => words.push_str(&format!("; acknowledged {}", time(at, zone))),
        None if incident.ended_at.is_none() => words.push_str("; not acknowledged"),
        None => {}
    }
    words
}

/// What showed that it is over.
fn ground(incident: &Incident) -> &str {
    match incident.ground.as_deref().unwrap_or_default() {
        "run_ended" => "a run ended with 0",
        "new_log" => "a new log came, and no error since",
        "cleared" => "the error file was cleared",
        "log_grew" => "the log went on without an error",
        "closed" => "closed by a person",
        "quiet" => "not seen any more; no proof of health",
        "ran" => "the task ran",
        "unexpected" => "nothing is expected of it any more",
        "back" => "the devices are back",
        "forgotten" => "forgotten by a person",
        "accepted" => "the channel takes messages again",
        other => other,
    }
}

fn excerpt(notice: &Notice) -> Option<&Excerpt> {
    match &notice.content {
        olog_push::Content::Error { excerpt, .. } | olog_push::Content::Remind { excerpt, .. } => Some(excerpt),
        _ => None,
    }
}

/// Which lines of a text are known by what.
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

fn through(tx: &mut Tx<'_>, rules: &Rules, entry: &LedgerRow, now: At) -> Result<Through, StoreError> {
    let message = entry.message.map(|id| ledger::message(tx, id)).transpose()?.flatten();
    let answers = entry.message.map(|id| ledger::answers(tx, id)).transpose()?.unwrap_or_default();
    let zone = rules.timezone;
    let with = message.as_ref().map_or_else(String::new, |sent| {
        let others = match sent.n_notices.saturating_sub(1) {
            0 => String::new(),
            1 => " together with 1 other".to_owned(),
            n => format!(" together with {n} others"),
        };
        format!(" {} with message {}{others}", time(sent.at, zone), sent.id)
    });
    let (outcome, words) = match entry.outcome.as_deref() {
        Some("accepted") => ("accepted", format!("sent{with}")),
        Some("refused") => ("refused", format!("refused for good{with}: even short and plain")),
        Some("expired") => ("expired", "given up after 7 days; the list of incidents still has it".to_owned()),
        Some("silenced") => {
            let which = entry.silence.map_or_else(|| "a silence".to_owned(), |n| format!("silence {n}"));
            ("silenced", format!("held back by {which}: see `olog-hub silence list`"))
        }
        Some(other) => (other, other.to_owned()),
        None => ("waiting", waits(tx, rules, entry, now)?),
    };
    let words = match entry.n_attempts {
        n @ 2.. if outcome != "silenced" => format!("{words} ({n} calls carried it)"),
        _ => words,
    };
    Ok(Through { channel: entry.channel.clone(), outcome: outcome.to_owned(), words, message, answers })
}

fn waits(tx: &mut Tx<'_>, rules: &Rules, entry: &LedgerRow, now: At) -> Result<String, StoreError> {
    let waits = {
        let quiet_until = rules.quiet.as_ref().and_then(|quiet| quiet.ends_at(now));
        outbox::why_waits(tx, entry.id, &rules.channels, quiet_until, now)?
    };
    let words = waits.map_or_else(String::new, |waits| waits.words(|at| time(at, rules.timezone)));
    Ok(format!("waits: {words}"))
}

#[cfg(test)]
mod tests;

//! Silences that the user makes and ends, and errors of which the user says that they are none.

use chrono_tz::Tz;
use olog_proto::{
    Fingerprint, FingerprintText, Timestamp, fingerprint,
    schedule::{Schedule, ScheduleError},
};
use olog_push::words::literal;
use serde::{Deserialize, Serialize};

use crate::{
    journal::LogEntry,
    rules::{
        incident,
        silence::{COMMENT_MAX, Period, Recurrence, Refused, SILENCES_MAX, Scope},
    },
    store::{
        StoreError, Tx,
        incidents::{self, Subject},
        silences::{self, ListedSilence, New},
    },
};

/// What a person wants to be silent, and when. As the verb and the API take it.
#[derive(Debug, Default, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct AddSilence {
    /// A pattern of device names.
    pub device: Option<String>,
    /// A pattern of task names; none: the devices themselves too.
    pub task: Option<String>,
    /// Only this error.
    pub fingerprint: Option<String>,
    /// From then on; none: from now on.
    pub from_at: Option<Timestamp>,
    /// For so many ms.
    pub lasts: Option<i64>,
    /// Until then.
    pub until_at: Option<Timestamp>,
    /// Again and again, as crontab(5) has it.
    pub every: Option<String>,
    /// Of which time zone `every` is; none: the hub's.
    pub zone: Option<String>,
    /// What for.
    pub comment: String,
}

/// Why a silence is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SilenceRefused {
    /// Nothing says what it is about.
    #[error("say what the silence is about: a device, a task, or both")]
    NoScope,
    /// Not as it is printed.
    #[error("expected a fingerprint of 16 digits as `incident show` prints it, found {0:?}")]
    Fingerprint(String),
    /// No schedule.
    #[error("{0}")]
    Schedule(ScheduleError),
    /// No time zone.
    #[error("no time zone {0:?}: expected a name like \"Asia/Shanghai\"")]
    Zone(String),
    /// Windows without a length.
    #[error("say how long each window lasts: --for")]
    NoLength,
    /// Windows with a beginning or an end of their own.
    #[error("windows that come again begin by --every and last --for; end them by `silence end`")]
    Bounds,
    /// The rule does not take it.
    #[error(transparent)]
    Rule(#[from] Refused),
}

impl AddSilence {
    /// What was asked for, if it may be. `zone` is the hub's.
    pub fn read(self, made_by: String, zone: Tz, now: Timestamp) -> Result<New, SilenceRefused> {
        let AddSilence { device, task, fingerprint, from_at, lasts, until_at, every, zone: own_zone, comment } = self;
        if device.is_none() && task.is_none() {
            return Err(SilenceRefused::NoScope);
        }
        let fingerprint = fingerprint.as_deref().map(fingerprint_of).transpose()?;
        let scope = Scope { device: device.unwrap_or_else(|| "*".to_owned()), task, fingerprint };
        scope.check()?;
        if comment.chars().count() > COMMENT_MAX || comment.chars().any(char::is_control) {
            return Err(Refused::Comment.into());
        }
        let Some(text) = every else {
            let from = from_at.unwrap_or(now);
            let until = until_at.or(lasts.map(|lasts| from.plus(lasts)));
            let period = Period { from, until };
            period.check(&scope, now)?;
            return Ok(New { scope, period, every: None, comment, made_by });
        };
        let schedule: Schedule = text.parse().map_err(SilenceRefused::Schedule)?;
        let zone = match own_zone {
            Some(name) => name.parse().map_err(|_| SilenceRefused::Zone(name))?,
            None => zone,
        };
        let lasts = lasts.ok_or(SilenceRefused::NoLength)?;
        if from_at.is_some() || until_at.is_some() {
            return Err(SilenceRefused::Bounds);
        }
        let every = Recurrence { schedule, zone, lasts };
        every.check(now)?;
        let period = every.period(now).ok_or(Refused::Over)?;
        Ok(New { scope, period, every: Some(every), comment, made_by })
    }
}

/// As it is printed: 16 digits of base 16.
pub fn fingerprint_of(text: &str) -> Result<Fingerprint, SilenceRefused> {
    let wrong = || SilenceRefused::Fingerprint(text.to_owned());
    let n = u64::from_str_radix(text, 16).map_err(|_| wrong())?;
    if text.len() == 16 { Ok(Fingerprint(n)) } else { Err(wrong()) }
}

/// Makes silences, if there is room for all of them; `None`: there is not.
pub fn make_silences(tx: &mut Tx<'_>, new: &[New], now: Timestamp) -> Result<Option<Vec<ListedSilence>>, StoreError> {
    if silences::count(tx, now)? + new.len() as u64 > SILENCES_MAX {
        return Ok(None);
    }
    new.iter().map(|new| silence(tx, new, now)).collect::<Result<_, _>>().map(Some)
}

/// Makes a silence.
pub fn silence(tx: &mut Tx<'_>, new: &New, now: Timestamp) -> Result<ListedSilence, StoreError> {
    let id = silences::add(tx, new, now)?;
    tx.note(LogEntry::new("silence made").why(format!("silence {id} by {}: {}", new.made_by, new.comment)));
    silences::get(tx, id, now)?.ok_or_else(|| StoreError::Row("no row of a new silence".to_owned()))
}

/// Ends a silence; the watchman tells what it held. False: there is none of that number, or it is over.
pub fn end_silence(tx: &mut Tx<'_>, id: u64, now: Timestamp) -> Result<bool, StoreError> {
    let was_kept = silences::end(tx, id, now)?;
    if was_kept {
        tx.note(LogEntry::new("silence ended").why(format!("silence {id}")));
    }
    Ok(was_kept)
}

/// For whom something is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SuppressScope {
    /// The task of the incident.
    Task,
    /// Every task of its device.
    Device,
    /// Every device.
    Fleet,
}

/// The errors of an incident that are to be none.
#[derive(Debug, PartialEq)]
pub enum NotAnErrorResult {
    /// A silence for each.
    These(Vec<New>),
    /// There is no such incident.
    Unknown,
    /// It is of no task.
    NoTask,
    /// It has these errors, and not the one that was named.
    Others(Vec<Fingerprint>),
}

/// The silences by which errors of an incident, one or all, are never pushed again.
pub fn not_an_error(
    tx: &mut Tx<'_>,
    id: u64,
    only: Option<Fingerprint>,
    wide: SuppressScope,
    made_by: &str,
    now: Timestamp,
) -> Result<NotAnErrorResult, StoreError> {
    let Some(incident) = incidents::get(tx, id)? else { return Ok(NotAnErrorResult::Unknown) };
    let Some(device) = incident.device.filter(|_| incident.subject == Subject::Task.as_str()) else {
        return Ok(NotAnErrorResult::NoTask);
    };
    let facts: incident::TaskIncident = incidents::facts(tx, id)?;
    let known = facts.fingerprints();
    if only.is_some_and(|only| !known.contains(&only)) || known.is_empty() {
        return Ok(NotAnErrorResult::Others(known));
    }
    let texts = fingerprint::fingerprints(facts.excerpt.head());
    let silence = |error: Fingerprint| {
        let text = texts.iter().find(|text| text.fingerprint() == error).map_or("", FingerprintText::as_str);
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        New {
            scope: Scope {
                device: if wide == SuppressScope::Fleet { "*".to_owned() } else { literal(&device) },
                task: Some(if wide == SuppressScope::Task { literal(&incident.name) } else { "*".to_owned() }),
                fingerprint: Some(error),
            },
            period: Period { from: now, until: None },
            every: None,
            comment: format!("not an error, says #{id}: {text}").chars().take(COMMENT_MAX).collect(),
            made_by: made_by.to_owned(),
        }
    };
    Ok(NotAnErrorResult::These(known.into_iter().filter(|f| only.is_none_or(|only| only == *f)).map(silence).collect()))
}

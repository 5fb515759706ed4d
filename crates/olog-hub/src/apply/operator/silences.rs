//! Silences that the user makes and ends, and errors of which the user says that they are none.

use olog_proto::{Fingerprint, FingerprintText, Timestamp, fingerprint};
use olog_push::words::literal;
use serde::{Deserialize, Serialize};

use crate::{
    journal::LogEntry,
    rules::{
        incident,
        silence::{COMMENT_MAX, Period, Scope},
    },
    store::{
        StoreError, Tx,
        incidents::{self, Subject},
        silences::{self, ListedSilence, New},
    },
};

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

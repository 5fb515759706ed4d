//! The verbs of silences: made, listed, ended; and "not an error", which is a silence of one error without an end.
//!
//! A pattern that matches no device or task of today is accepted, because one may join later, and remarked on, because it is
//! probably misspelt.

use std::sync::Arc;

use axum::{
    Extension, Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::{get, post},
};
use olog_daemon::socket::Peer;
use olog_proto::{Fingerprint, Timestamp};
use olog_push::channel::glob;
use serde::{Deserialize, Serialize};

use super::{All, Answer, LIST_MAX, Remark, Verbs, VerbsState, audited::user, incidents};
use crate::apply::operator::{self, SuppressScope};
use crate::rules::silence::{COMMENT_MAX, Period, Recurrence, Refused, SILENCES_MAX, Scope};
use crate::store::silences::{self, ListedSilence, New};
use crate::store::{StoreError, Tx, tasks};
use crate::web::Problem;
use olog_proto::schedule::{Schedule, ScheduleError};

/// The request of `silence add`.
#[derive(Debug, Default, Serialize, Deserialize)]
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

/// The request of `incident not-an-error`.
#[derive(Debug, Serialize, Deserialize)]
pub struct NotAnError {
    /// One of the incident's errors; none: all of them.
    pub fingerprint: Option<String>,
    /// For whom.
    pub wide: SuppressScope,
}

/// The answer to `silence add` and `incident not-an-error`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SilencesMade {
    /// The silences, as `silence list` has them.
    pub silences: Vec<ListedSilence>,
    /// Names that mean nothing to the hub.
    pub remarks: Vec<Remark>,
    /// The incident of which all errors are silenced now is over.
    pub is_closed: bool,
}

pub(super) fn routes() -> Router<Arc<Verbs>> {
    Router::new()
        .route("/silences", get(list))
        .route("/silence", post(add))
        .route("/silence/{id}/end", post(end))
        .route("/incident/{id}/not-an-error", post(not_an_error))
}

fn unfit(words: impl ToString) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, words.to_string())
}

fn refused(why: Refused) -> Problem {
    unfit(why)
}

async fn list(State(verbs): VerbsState, Query(query): Query<All>) -> Answer<Vec<ListedSilence>> {
    let now = verbs.clock.now();
    Ok(Json(verbs.store.read(move |tx| silences::list(tx, query.all, now, LIST_MAX)).await?))
}

async fn add(
    State(verbs): VerbsState,
    Extension(peer): Extension<Peer>,
    Json(request): Json<AddSilence>,
) -> Answer<SilencesMade> {
    let now = verbs.clock.now();
    let new = read(&verbs, request, user(peer.uid), now)?;
    let remarks = remarks(&verbs, &new.scope).await?;
    Ok(Json(SilencesMade { silences: make(&verbs, vec![new], now).await?, remarks, is_closed: false }))
}

/// Patterns that match nothing that is there.
async fn remarks(verbs: &Verbs, scope: &Scope) -> Result<Vec<Remark>, Problem> {
    let devices: Vec<String> = verbs.enrol.list(false).await?.iter().map(|device| device.name.to_string()).collect();
    // A pattern of everything is no misspelt name, whoever has joined.
    let is_all = |pattern: &str| pattern.chars().all(|c| c == '*');
    if !is_all(&scope.device) && !devices.iter().any(|name| glob(&scope.device, name)) {
        return Ok(vec![Remark::of("device", &scope.device, &devices)]);
    }
    let Some(task) = scope.task.as_ref().filter(|task| !is_all(task)) else { return Ok(Vec::new()) };
    let listed = verbs.store.read(|tx| tasks::list(tx, None, ("", ""), LIST_MAX)).await?;
    let of_these = listed.iter().filter(|listed| glob(&scope.device, &listed.device_name));
    let names: Vec<String> = of_these.map(|listed| listed.task.name.to_string()).collect();
    let is_known = names.iter().any(|name| glob(task, name));
    Ok(if is_known { Vec::new() } else { vec![Remark::of("task", task, &names)] })
}

/// What was asked for, if it may be.
fn read(verbs: &Verbs, request: AddSilence, made_by: String, now: Timestamp) -> Result<New, Problem> {
    let AddSilence { device, task, fingerprint, from_at, lasts, until_at, every, zone, comment } = request;
    if device.is_none() && task.is_none() {
        return Err(unfit(verbs.localizer().word("cli-refused-no-scope")));
    }
    let fingerprint = fingerprint.as_deref().map(fingerprint_of).transpose()?;
    let scope = Scope { device: device.unwrap_or_else(|| "*".to_owned()), task, fingerprint };
    scope.check().map_err(refused)?;
    if comment.chars().count() > COMMENT_MAX || comment.chars().any(char::is_control) {
        return Err(refused(Refused::Comment));
    }
    let (period, every) = match every {
        Some(text) => {
            let schedule: Schedule = text.parse().map_err(|error: ScheduleError| unfit(error))?;
            let zone = match zone {
                Some(name) => {
                    let wrong = |_| unfit(format!("no time zone {name:?}: expected a name like \"Asia/Shanghai\""));
                    name.parse().map_err(wrong)?
                }
                None => verbs.live.borrow().timezone,
            };
            let lasts = lasts.ok_or_else(|| unfit("say how long each window lasts: --for"))?;
            if from_at.is_some() || until_at.is_some() {
                return Err(unfit(
                    "windows that come again begin by --every and last --for; end them by `silence end`",
                ));
            }
            let every = Recurrence { schedule, zone, lasts };
            every.check(now).map_err(refused)?;
            let period = every.period(now).ok_or_else(|| refused(Refused::Over))?;
            (period, Some(every))
        }
        None => {
            let from = from_at.unwrap_or(now);
            let until = until_at.or(lasts.map(|lasts| from.plus(lasts)));
            let period = Period { from, until };
            period.check(&scope, now).map_err(refused)?;
            (period, None)
        }
    };
    Ok(New { scope, period, every, comment, made_by })
}

async fn make(verbs: &Verbs, new: Vec<New>, now: Timestamp) -> Result<Vec<ListedSilence>, Problem> {
    let write = move |tx: &mut Tx<'_>| {
        if silences::count(tx, now)? + new.len() as u64 > SILENCES_MAX {
            return Ok(None);
        }
        let made = new.iter().map(|new| operator::silence(tx, new, now)).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Some(made))
    };
    let made = verbs.store.write(write).await?;
    verbs.bells.watchman.ring();
    verbs.bells.outbox.ring();
    made.ok_or_else(|| refused(Refused::TooMany))
}

async fn end(State(verbs): VerbsState, Path(id): Path<u64>) -> Answer<ListedSilence> {
    let now = verbs.clock.now();
    let (was_kept, listed) =
        verbs.store.write(move |tx| Ok((operator::end_silence(tx, id, now)?, silences::get(tx, id, now)?))).await?;
    verbs.bells.watchman.ring();
    match listed {
        Some(listed) if was_kept => Ok(Json(listed)),
        Some(_) => Err(verbs.refusal(StatusCode::CONFLICT, "cli-refused-silence-over", &[("n", id.into())])),
        None => Err(verbs.refusal(StatusCode::NOT_FOUND, "cli-refused-no-silence", &[("n", id.into())])),
    }
}

async fn not_an_error(
    State(verbs): VerbsState,
    Extension(peer): Extension<Peer>,
    Path(id): Path<u64>,
    Json(request): Json<NotAnError>,
) -> Answer<SilencesMade> {
    let now = verbs.clock.now();
    let only = request.fingerprint.as_deref().map(fingerprint_of).transpose()?;
    let (wide, made_by) = (request.wide, user(peer.uid));
    let read = move |tx: &mut Tx<'_>| operator::not_an_error(tx, id, only, wide, &made_by, now);
    match verbs.store.read(read).await? {
        operator::NotAnErrorResult::These(new) => {
            let silences = make(&verbs, new, now).await?;
            let rules = verbs.rules.borrow().clone();
            let is_closed = verbs.store.write(move |tx| operator::end_as_no_error(tx, &rules, id, now)).await?;
            verbs.bells.outbox.ring();
            Ok(Json(SilencesMade { silences, remarks: Vec::new(), is_closed }))
        }
        operator::NotAnErrorResult::Unknown => Err(incidents::unknown(&verbs, id)),
        operator::NotAnErrorResult::NoTask => {
            Err(verbs.refusal(StatusCode::CONFLICT, "cli-refused-no-task-incident", &[("n", id.into())]))
        }
        operator::NotAnErrorResult::Others(known) => {
            let known: Vec<String> = known.iter().map(Fingerprint::to_string).collect();
            let args = [("n", id.into()), ("known", known.join(", ").into())];
            Err(verbs.refusal(StatusCode::UNPROCESSABLE_ENTITY, "cli-refused-no-such-error", &args))
        }
    }
}

/// As it is printed: 16 digits of base 16.
fn fingerprint_of(text: &str) -> Result<Fingerprint, Problem> {
    let wrong = || unfit(format!("expected a fingerprint of 16 digits as `incident show` prints it, found {text:?}"));
    let n = u64::from_str_radix(text, 16).map_err(|_| wrong())?;
    if text.len() == 16 { Ok(Fingerprint(n)) } else { Err(wrong()) }
}

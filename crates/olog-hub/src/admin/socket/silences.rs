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
use crate::apply::operator::{self, AddSilence, SilenceRefused, SuppressScope, fingerprint_of};
use crate::rules::silence::{Refused, Scope};
use crate::store::silences::{self, ListedSilence, New};
use crate::store::{Tx, tasks};
use crate::web::Problem;

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
    let zone = verbs.live.borrow().timezone;
    let new = request.read(user(peer.uid), zone, now).map_err(|why| match why {
        SilenceRefused::NoScope => unfit(verbs.localizer().word("cli-refused-no-scope")),
        why => unfit(why),
    })?;
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

async fn make(verbs: &Verbs, new: Vec<New>, now: Timestamp) -> Result<Vec<ListedSilence>, Problem> {
    let made = verbs.store.write(move |tx| operator::make_silences(tx, &new, now)).await?;
    verbs.bells.watchman.ring();
    verbs.bells.outbox.ring();
    made.ok_or_else(|| unfit(Refused::TooMany))
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
    let only = request.fingerprint.as_deref().map(fingerprint_of).transpose().map_err(unfit)?;
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

//! The verbs of incidents: listed, shown, acknowledged, closed. One call handles many numbers, each in a transaction of its own,
//! so that a storm of incidents that a person closes does not hold up ingestion.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{All, Answer, LIST_MAX, Verbs, VerbsState};
use crate::{
    apply::{
        explain::{Explained, explain},
        operator::{self, ActionResult, OperatorAction},
    },
    store::{
        incidents::{self, Incident},
        outbox,
    },
    web::Problem,
};

/// Incidents by their numbers: `[5, 40]` is 5, 40 and every open one between them.
#[derive(Debug, Serialize, Deserialize)]
pub struct Numbers {
    /// First and last of each range; a single number is a range of one.
    pub ranges: Vec<(u64, u64)>,
}

/// What became of each number.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Handled {
    /// The incidents, as they are now.
    pub done: Vec<Incident>,
    /// Numbers that were given one by one, and are over already.
    pub over: Vec<u64>,
    /// Numbers that were given one by one, and are of no incident.
    pub unknown: Vec<u64>,
}

pub(super) fn routes() -> Router<Arc<Verbs>> {
    Router::new()
        .route("/incidents", get(list))
        .route("/incidents/ack", post(acknowledge))
        .route("/incidents/close", post(close))
        .route("/incident/{id}", get(show))
        .route("/incident/{id}/sent", get(sent))
        .route("/incident/{id}/why", get(why))
}

async fn list(State(verbs): VerbsState, Query(query): Query<All>) -> Answer<Vec<Incident>> {
    Ok(Json(verbs.store.read(move |tx| incidents::list(tx, query.all, u64::MAX, LIST_MAX)).await?))
}

pub(super) fn unknown(verbs: &Verbs, id: u64) -> Problem {
    verbs.refusal(StatusCode::NOT_FOUND, "cli-incident-unknown", &[("n", id.into())])
}

async fn show(State(verbs): VerbsState, Path(id): Path<u64>) -> Answer<Incident> {
    verbs.store.read(move |tx| incidents::get(tx, id)).await?.map(Json).ok_or_else(|| unknown(&verbs, id))
}

async fn why(State(verbs): VerbsState, Path(id): Path<u64>) -> Answer<Explained> {
    let (rules, say) = (verbs.rules.borrow().clone(), verbs.localizer());
    let found = verbs.store.read(move |tx| explain(tx, &rules, say, id)).await?;
    found.map(|(_, explained)| Json(explained)).ok_or_else(|| unknown(&verbs, id))
}

/// What was sent of it, and what the services answered.
async fn sent(State(verbs): VerbsState, Path(id): Path<u64>) -> Answer<Vec<outbox::Attempt>> {
    Ok(Json(verbs.store.read(move |tx| outbox::attempts_of(tx, id, LIST_MAX)).await?))
}

async fn acknowledge(State(verbs): VerbsState, Json(numbers): Json<Numbers>) -> Answer<Handled> {
    each(&verbs, &numbers, operator::acknowledge).await
}

async fn close(State(verbs): VerbsState, Json(numbers): Json<Numbers>) -> Answer<Handled> {
    each(&verbs, &numbers, operator::close).await
}

async fn each(verbs: &Verbs, numbers: &Numbers, verb: OperatorAction) -> Answer<Handled> {
    let open = verbs.store.read(|tx| incidents::list(tx, false, u64::MAX, LIST_MAX)).await?;
    let mut ids: Vec<(u64, bool)> = Vec::new();
    for (first, last) in &numbers.ranges {
        if first == last {
            ids.push((*first, true));
        } else {
            let within = open.iter().map(|incident| incident.id).filter(|id| (first..=last).contains(&id));
            ids.extend(within.map(|id| (id, false)));
        }
    }
    ids.sort_by_key(|(id, is_named)| (*id, !is_named));
    ids.dedup_by_key(|(id, _)| *id);
    let rules = verbs.rules.borrow().clone();
    let mut handled = Handled::default();
    for (id, is_named) in ids {
        let (rules, now) = (rules.clone(), verbs.clock.now());
        match verbs.store.write(move |tx| verb(tx, &rules, id, now)).await? {
            ActionResult::Yes(incident) => handled.done.push(*incident),
            // It ended by itself since the list was read.
            ActionResult::Over | ActionResult::Unknown if !is_named => {}
            ActionResult::Over => handled.over.push(id),
            ActionResult::Unknown => handled.unknown.push(id),
        }
    }
    verbs.bells.outbox.ring();
    verbs.bells.watchman.ring();
    Ok(Json(handled))
}

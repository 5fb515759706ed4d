//! The verbs of channels: listed, tested, rearmed.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{Answer, Verbs, VerbsState, Who, nearest};
use crate::{
    apply::operator,
    config,
    store::outbox,
    web::{Problem, rows::ChannelRow},
};

/// The answer to `channel test`: by which number its result is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Test {
    /// The outbox row.
    pub row: i64,
}

/// The result of a test so far.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tested {
    /// It has left the outbox.
    pub is_done: bool,
    /// What the service said of each receiver.
    pub attempts: Vec<outbox::Attempt>,
}

pub(super) fn routes() -> Router<Arc<Verbs>> {
    Router::new()
        .route("/channels", get(list))
        .route("/channel/test", post(test))
        .route("/channel/rearm", post(rearm))
        .route("/channel/test/{row}", get(tested))
}

async fn list(State(verbs): VerbsState) -> Answer<Vec<ChannelRow>> {
    let (live, now) = (verbs.live.borrow().clone(), verbs.clock.now());
    Ok(Json(verbs.store.read(move |tx| ChannelRow::list(tx, &live, now)).await?))
}

/// The configuration is read first: whoever corrected a token file should not have to wait for the next look at it.
async fn rearm(State(verbs): VerbsState, Json(request): Json<Who>) -> Answer<()> {
    config::read_now(&verbs.reload).await;
    known_channel(&verbs, &request.who)?;
    let now = verbs.clock.now();
    verbs.store.write(move |tx| operator::rearm_channel(tx, &request.who, now)).await?;
    verbs.bells.outbox.ring();
    Ok(Json(()))
}

async fn test(State(verbs): VerbsState, Json(request): Json<Who>) -> Answer<Test> {
    config::read_now(&verbs.reload).await;
    known_channel(&verbs, &request.who)?;
    let now = verbs.clock.now();
    let row = verbs.store.write(move |tx| operator::test_channel(tx, &request.who, now)).await?;
    verbs.bells.outbox.ring();
    Ok(Json(Test { row }))
}

async fn tested(State(verbs): VerbsState, Path(row): Path<i64>) -> Answer<Tested> {
    let (is_done, attempts) = verbs.store.read(move |tx| outbox::sent(tx, row)).await?;
    Ok(Json(Tested { is_done, attempts }))
}

fn known_channel(verbs: &Verbs, name: &str) -> Result<(), Problem> {
    let live = verbs.live.borrow().clone();
    if live.channel(name).is_some() {
        return Ok(());
    }
    let names = || live.channels.iter().map(|channel| channel.name.as_str());
    let words = match nearest(name, names()) {
        Some(near) => format!("no channel {name:?}: did you mean {near:?}?"),
        None if live.channels.is_empty() => format!("no channel {name:?}: hub.toml has none, run `olog-hub setup`"),
        None => format!("no channel {name:?}; there are: {}", names().collect::<Vec<_>>().join(", ")),
    };
    Err(Problem::new(StatusCode::NOT_FOUND, words))
}

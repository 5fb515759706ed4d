//! The verbs of channels: listed, tested, rearmed.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use olog_push::SystemCode;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{Answer, Verbs, VerbsState, Who, nearest};
use crate::{
    apply,
    store::{Tx, outbox},
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

/// Ends a pause and a back-off, retries receivers that were refused, and makes the budget whole. The configuration is read first:
/// whoever corrected a token file should not have to wait for the next look at it.
async fn rearm(State(verbs): VerbsState, Json(request): Json<Who>) -> Answer<()> {
    read_configuration(&verbs).await;
    known_channel(&verbs, &request.who)?;
    let now = verbs.clock.now();
    let rearm = move |tx: &mut Tx<'_>| outbox::rearm(tx, &request.who, now);
    verbs.store.write(rearm).await?;
    verbs.bells.outbox.ring();
    Ok(Json(()))
}

/// Puts a test into the outbox: a row like any other, so that it tests the path of every notification. A pause and a back-off end,
/// because a person waits for the answer.
async fn test(State(verbs): VerbsState, Json(request): Json<Who>) -> Answer<Test> {
    read_configuration(&verbs).await;
    known_channel(&verbs, &request.who)?;
    let now = verbs.clock.now();
    let notice = apply::system_notice(None, SystemCode::ChannelTest, &[("channel", request.who.clone())], now);
    let put = move |tx: &mut Tx<'_>| {
        outbox::try_again(tx, &request.who)?;
        outbox::put(tx, std::slice::from_ref(&request.who), &notice, true, now)?;
        outbox::latest(tx, &request.who)
    };
    let row = verbs.store.write(put).await?;
    verbs.bells.outbox.ring();
    Ok(Json(Test { row }))
}

async fn tested(State(verbs): VerbsState, Path(row): Path<i64>) -> Answer<Tested> {
    let (is_done, attempts) = verbs.store.read(move |tx| outbox::sent(tx, row)).await?;
    Ok(Json(Tested { is_done, attempts }))
}

/// Takes a changed configuration now. If it is refused, the owner of the configuration says so, and the old one holds here too.
async fn read_configuration(verbs: &Verbs) {
    let (reply, answer) = oneshot::channel();
    if verbs.reload.send(reply).await.is_ok()
        && let Ok(Err(why)) = answer.await
    {
        tracing::debug!(why, "the configuration was read for a verb and refused");
    }
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

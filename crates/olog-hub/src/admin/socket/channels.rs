//! The verbs of channels: listed, tested, rearmed.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use olog_proto::Timestamp;
use olog_push::SystemCode;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::{Answer, Verbs, VerbsState, Who, nearest};
use crate::{
    apply,
    config::ReloadableConfig,
    rules::budget::Budget,
    store::{StoreError, Tx, outbox},
    web::Problem,
};

/// A row of `channel list`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ChannelRow {
    /// Its name.
    pub name: String,
    /// Its type; empty of one that is gone.
    pub r#type: String,
    /// What fits into one message and how fast, e.g. `1700 bytes, 14/min`.
    pub limits: String,
    /// Whom it reaches, masked.
    pub receivers: Vec<String>,
    /// `ok`, `budget` (what waits, waits for its budget), `failing`, `paused`, or `gone` from the configuration.
    pub state: String,
    /// Notifications that wait.
    pub waiting: u64,
    /// The service's last answer that was not an acceptance.
    pub why: Option<String>,
    /// Receivers that were refused for good.
    pub refused: Vec<String>,
    /// When the oldest that waits was put there.
    pub oldest_at: Option<Timestamp>,
    /// Messages that it may send in a rolling day, if that is bounded.
    pub per_day: Option<u64>,
    /// Those that it has sent.
    pub used: Option<u64>,
    /// Those that are left.
    pub left: Option<u64>,
    /// When the next one comes back.
    pub next_slot_at: Option<Timestamp>,
}

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
    Ok(Json(verbs.store.read(move |tx| rows(tx, &live, now)).await?))
}

/// Every configured channel, and those that are gone but still have notifications.
pub(super) fn rows(tx: &mut Tx<'_>, live: &ReloadableConfig, now: Timestamp) -> Result<Vec<ChannelRow>, StoreError> {
    let waiting = outbox::waiting(tx)?;
    let row = |channel: &Arc<olog_push::Channel>| {
        let facts = outbox::channel(tx, &channel.name)?;
        let budget = outbox::budget(tx, channel, &facts, None, now)?;
        let waiting = waiting.iter().find(|waiting| waiting.channel == channel.name);
        let state = match (facts.paused_at, facts.failing_at) {
            (Some(_), _) => "paused",
            (None, Some(_)) => "failing",
            (None, None) if waiting.is_some() && facts.held_through.is_some() => "budget",
            (None, None) => "ok",
        };
        Ok(ChannelRow {
            name: channel.name.clone(),
            r#type: channel.type_name().to_owned(),
            limits: channel.limits_shown(),
            receivers: channel.receivers().into_iter().map(|r| r.id).collect(),
            state: state.to_owned(),
            waiting: waiting.map_or(0, |waiting| waiting.n),
            why: facts.why,
            refused: facts.refused,
            oldest_at: waiting.map(|waiting| waiting.since),
            per_day: budget.as_ref().map(Budget::per_day),
            used: budget.as_ref().map(Budget::used),
            left: budget.as_ref().map(Budget::remaining),
            next_slot_at: budget.as_ref().and_then(Budget::next_at),
        })
    };
    let mut rows: Vec<ChannelRow> = live.channels.iter().map(row).collect::<Result<_, StoreError>>()?;
    let gone = waiting.iter().filter(|waiting| live.channel(&waiting.channel).is_none());
    rows.extend(gone.map(|waiting| ChannelRow {
        name: waiting.channel.clone(),
        r#type: String::new(),
        limits: String::new(),
        receivers: Vec::new(),
        state: "gone".to_owned(),
        waiting: waiting.n,
        why: Some("not in the configuration: waits for its return, given up after 7 days".to_owned()),
        refused: Vec::new(),
        oldest_at: Some(waiting.since),
        per_day: None,
        used: None,
        left: None,
        next_slot_at: None,
    }));
    Ok(rows)
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

//! Verbs of the hub's identity.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use olog_proto::{PublicKey, Timestamp, identity::KeyPrint};
use serde::{Deserialize, Serialize};

use super::{Answer, Problem, Verbs, VerbsState};
use crate::net::identity::{self, Rotation};

/// A key of the hub, and when something may happen to it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HubKey {
    /// What a join link carries of it.
    pub(crate) fingerprint: KeyPrint,
    /// From when on the next key may be the present one.
    #[serde(default)]
    pub(crate) from: Option<Timestamp>,
}

/// What `identity rotate` asks for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rotate {
    /// However short the next key was announced.
    pub(crate) now: bool,
}

pub(super) fn routes() -> Router<Arc<Verbs>> {
    Router::new()
        .route("/identity", get(show))
        .route("/identity/next", post(next))
        .route("/identity/rotate", post(rotate))
}

fn of(key: PublicKey, from: Option<Timestamp>) -> HubKey {
    HubKey { fingerprint: key.fingerprint(), from }
}

async fn show(State(verbs): VerbsState) -> Answer<HubKey> {
    Ok(Json(of(identity::identities(&verbs.store).await?.present.public(), None)))
}

async fn next(State(verbs): VerbsState, Json(()): Json<()>) -> Answer<HubKey> {
    let (key, from) = identity::make_next(&verbs.store, verbs.clock.now()).await?;
    tracing::info!(%key, "the hub's next key: announced from the next start on");
    Ok(Json(of(key, Some(from))))
}

async fn rotate(State(verbs): VerbsState, Json(request): Json<Rotate>) -> Answer<HubKey> {
    match identity::rotate(&verbs.store, request.now, verbs.clock.now()).await? {
        Rotation::Done(key) => {
            tracing::info!(%key, "the hub has another key from the next start on");
            Ok(Json(of(key, None)))
        }
        Rotation::NoNext => Err(Problem::new(StatusCode::CONFLICT, "there is no next key: olog-hub identity next")),
        Rotation::TooEarly { from } => {
            let time = chrono::DateTime::from_timestamp_millis(from.0).unwrap_or_default();
            let words = format!(
                "the next key has to be announced until {} UTC, or agents that do not connect before have to join again (--now: all the same)",
                time.format("%Y-%m-%d %H:%M")
            );
            Err(Problem::new(StatusCode::CONFLICT, words))
        }
    }
}

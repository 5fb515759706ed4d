//! The verbs of pings: the key of a device, the address of a task. The text is shown once; the store has only its hash.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use serde::{Deserialize, Serialize};

use super::{Answer, Verbs, VerbsState, link_base};
use crate::access::{PingKeyMade, PingKeyOf};
use crate::web::Problem;

/// The request of `device ping-key` and `task ping-url`.
#[derive(Debug, Serialize, Deserialize)]
pub struct AskPingKey {
    /// The device's name.
    pub device: String,
    /// The task's, for an address of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Another one takes the place of the one that there is.
    #[serde(default)]
    pub is_new: bool,
}

/// The request of `--remove`.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemovePingKey {
    /// The device's name.
    pub device: String,
    /// The task's, for the address of a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

/// A key that was made.
#[derive(Debug, Serialize, Deserialize)]
pub struct MadePingKey {
    /// Its text.
    pub key: String,
    /// The URL by which a task is pinged; `SLUG` stands for the task's name where the key is a device's.
    pub url: String,
}

pub(super) fn routes() -> Router<Arc<Verbs>> {
    Router::new().route("/ping-key/make", post(make)).route("/ping-key/remove", post(remove))
}

async fn make(State(verbs): VerbsState, Json(request): Json<AskPingKey>) -> Answer<MadePingKey> {
    let AskPingKey { device, task, is_new } = request;
    let of = PingKeyOf { device: device.clone(), task: task.clone() };
    match verbs.access.make_ping_key(of, is_new).await? {
        PingKeyMade::Yes(key) => {
            let live = verbs.live.borrow().clone();
            let (base, _) = link_base(live.public_url.as_deref(), verbs.address, verbs.tls);
            let slug = if task.is_some() { "" } else { "/SLUG" };
            Ok(Json(MadePingKey { url: format!("{base}/ping/{key}{slug}"), key }))
        }
        PingKeyMade::Exists(at) => {
            let time = verbs.localizer().day_time(at);
            let key = if task.is_some() { "cli-refused-ping-url" } else { "cli-refused-ping-key" };
            Err(verbs.refusal(StatusCode::CONFLICT, key, &[("time", time.into())]))
        }
        PingKeyMade::NoDevice => Err(no_device(&verbs, &device)),
        PingKeyMade::NoTask => Err(super::tasks::unknown(&verbs, &device, task.as_deref().unwrap_or_default())),
    }
}

async fn remove(State(verbs): VerbsState, Json(request): Json<RemovePingKey>) -> Answer<bool> {
    let RemovePingKey { device, task } = request;
    let of = PingKeyOf { device: device.clone(), task: task.clone() };
    match verbs.access.remove_ping_key(of).await? {
        Some(was_there) => Ok(Json(was_there)),
        None if task.is_none() => Err(no_device(&verbs, &device)),
        None => Err(super::tasks::unknown(&verbs, &device, task.as_deref().unwrap_or_default())),
    }
}

fn no_device(verbs: &Verbs, device: &str) -> Problem {
    verbs.refusal(StatusCode::NOT_FOUND, "cli-refused-no-device", &[("device", device.into())])
}

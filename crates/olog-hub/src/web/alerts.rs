//! `POST /api/v2/alerts`: alerts as a Prometheus sends them to its Alertmanager, so that a Prometheus can name the hub as one.
//!
//! The answer is Alertmanager's: 200 without words when all are committed; 400 with every mistake, as one JSON text, when some are not alerts that
//! the hub can take (the others count all the same); 503 when the store does not take them now, and Prometheus sends them again by itself.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State, rejection::BytesRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::future::join_all;

use super::{Act, Granted, Problem, Web};
use crate::{
    ingest::alerts::{AlertDone, ReceivedAlert},
    rules::alert::{Labels, ReadAlerts},
};

/// The largest request.
const BODY_MAX: usize = 4 << 20;
/// Sets of labels of one name that are compared with each other.
const SIBLINGS_MAX: usize = 50;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/api/v2/alerts", post(alerts).layer(DefaultBodyLimit::max(BODY_MAX)))
}

async fn alerts(caller: Granted<Act>, State(web): State<Arc<Web>>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => return Problem::new(error.status(), error.body_text()).into_response(),
    };
    let ReadAlerts { alerts, mistakes } = ReadAlerts::of(&body, web.desk.clock.now());
    let mut read = ReadAlerts { alerts: Vec::new(), mistakes };
    let mut siblings: HashMap<(String, String), Vec<Labels>> = HashMap::new();
    for (_, alert) in &alerts {
        let of_name = siblings.entry((alert.labels.name().to_owned(), alert.labels.host().to_owned())).or_default();
        if of_name.len() < SIBLINGS_MAX {
            of_name.push(alert.labels.clone());
        }
    }
    let siblings: HashMap<(String, String), Arc<[Labels]>> =
        siblings.into_iter().map(|(name, sets)| (name, sets.into())).collect();
    let sent = alerts.into_iter().map(|(i, alert)| {
        let (name, host) = (alert.labels.name().to_owned(), alert.labels.host().to_owned());
        let (web, sender) = (web.clone(), caller.who.name.clone());
        let others = siblings.get(&(name.clone(), host.clone())).cloned().unwrap_or_default();
        async move {
            let done = web.desk.ingest.alert(ReceivedAlert { alert, others, sender }).await;
            (i, name, host, done)
        }
    });
    let mut is_busy = false;
    let count = |outcome: &'static str| metrics::counter!("olog_alerts_total", "outcome" => outcome).increment(1);
    read.mistakes.iter().for_each(|_| count("refused"));
    for (i, name, host, done) in join_all(sent).await {
        let mistake = match done {
            Ok(AlertDone::Ok) => {
                count("ok");
                continue;
            }
            Err(error) => {
                tracing::warn!(%error, "an alert was not committed");
                is_busy = true;
                count("failed");
                continue;
            }
            Ok(AlertDone::NoDevice) => {
                let sender = &caller.who.name;
                format!("no device that has joined is named like its instance {host:?} or like its sender {sender:?}")
            }
            Ok(AlertDone::NoTask) => "there can be no task of its name, or the device has too many tasks".to_owned(),
        };
        count("refused");
        read.mistake(format!("alert {} ({name}): {mistake}", i + 1));
    }
    if is_busy {
        return (StatusCode::SERVICE_UNAVAILABLE, Json("the hub is busy: send the alerts again")).into_response();
    }
    if read.mistakes.is_empty() {
        return StatusCode::OK.into_response();
    }
    (StatusCode::BAD_REQUEST, Json(read.mistakes.join("; "))).into_response()
}

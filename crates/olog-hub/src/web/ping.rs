//! `/ping/…`: the pinging API of healthchecks.io, so that its clients report to Olog by another base URL.
//!
//! Its answers are plain words, by which clients decide: 200 `OK`, 201 `Created`, 400, 404, 409, 429. The answer follows the commit. `HEAD`, `GET` and
//! `POST` count; `OPTIONS` never does. The address is the secret: it is in no log and in no answer.
//!
//! Of the body the first [`KEPT`] bytes are the run's output. The rest is read and dropped, up to [`READ_MAX`] bytes and for [`READ_FOR`] at most; then
//! the ping counts, is answered, and the connection ends. A body that breaks off is no ping: its sender sends it again.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use futures_util::StreamExt as _;
use hyper::body::Body as _;
use tokio::time::{Instant, timeout_at};

use super::{Web, client_address};
use crate::{
    access::PingAdmission,
    ingest::pings::{PingDone, PingOutput, ReceivedPing},
    net::listener::Connection,
    rules::ping::{Ping, PingRefusal},
};

/// Bytes of a body that are kept. The header `Ping-Body-Limit` says so.
const KEPT: usize = 100_000;
/// Bytes of a body that are read.
const READ_MAX: usize = 16 << 20;
/// For a body.
const READ_FOR: Duration = Duration::from_secs(15);
const PREFIX: &str = "/ping/";

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/ping/{*rest}", any(ping))
}

/// How a ping is answered.
#[derive(Debug, PartialEq, Eq)]
enum PingAnswer {
    Done(PingDone),
    Refused(PingRefusal),
    /// The body broke off.
    BrokenOff,
    /// Again in so many ms.
    Wait(i64),
    /// The store does not take it now.
    Busy,
}

impl IntoResponse for PingAnswer {
    fn into_response(self) -> Response {
        let (status, words, outcome) = match self {
            PingAnswer::Done(PingDone::Ok) => (StatusCode::OK, "OK", "ok"),
            PingAnswer::Done(PingDone::Created) => (StatusCode::CREATED, "Created", "created"),
            PingAnswer::Refused(PingRefusal::Format) => (StatusCode::BAD_REQUEST, "invalid url format", "refused"),
            PingAnswer::Refused(PingRefusal::Run) => (StatusCode::BAD_REQUEST, "invalid uuid format", "refused"),
            PingAnswer::BrokenOff => (StatusCode::BAD_REQUEST, "the body broke off", "refused"),
            PingAnswer::Refused(PingRefusal::NotFound)
            | PingAnswer::Done(PingDone::UnknownKey | PingDone::UnknownTask) => {
                (StatusCode::NOT_FOUND, "not found", "not_found")
            }
            PingAnswer::Done(PingDone::Ambiguous) => (StatusCode::CONFLICT, "ambiguous slug", "refused"),
            PingAnswer::Wait(_) => (StatusCode::TOO_MANY_REQUESTS, "rate limited", "limited"),
            PingAnswer::Busy => (StatusCode::SERVICE_UNAVAILABLE, "the hub is busy: try again", "failed"),
        };
        metrics::counter!("olog_pings_total", "outcome" => outcome).increment(1);
        let mut response = (status, words).into_response();
        let headers = response.headers_mut();
        if status.is_success() {
            headers.insert("ping-body-limit", HeaderValue::from(KEPT));
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            let never = "max-age=0, no-cache, no-store, must-revalidate, private";
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(never));
            headers.insert(header::EXPIRES, HeaderValue::from_static("0"));
        }
        if let PingAnswer::Wait(ms) = self {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.max(1).cast_unsigned().div_ceil(1000)));
        }
        response
    }
}

async fn ping(State(web): State<Arc<Web>>, Extension(connection): Extension<Connection>, request: Request) -> Response {
    let methods = "GET, HEAD, POST";
    match *request.method() {
        Method::GET | Method::HEAD | Method::POST => {}
        Method::OPTIONS => {
            let headers = [
                (header::ALLOW, "GET, HEAD, POST, OPTIONS"),
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
                (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
                (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
            ];
            return (StatusCode::NO_CONTENT, headers).into_response();
        }
        _ => return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, methods)], "method not allowed").into_response(),
    }
    let (answer, is_read) = answer(&web, &connection, request).await;
    let mut response = answer.into_response();
    if !is_read {
        // What is left of the body is not read: the connection cannot go on.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The answer, and whether the body was read to its end.
async fn answer(web: &Web, connection: &Connection, request: Request) -> (PingAnswer, bool) {
    let at = web.desk.clock.now();
    let has_body = !request.body().is_end_stream();
    let path = request.uri().path().strip_prefix(PREFIX).unwrap_or_default();
    let ping = match Ping::read(path, request.uri().query().unwrap_or_default()) {
        Ok(ping) => ping,
        Err(refusal) => return (PingAnswer::Refused(refusal), !has_body),
    };
    let from = client_address(connection.ip(), request.headers(), &web.live.borrow()).address;
    let key = match web.access.admit_ping(&ping.address, from).await {
        Ok(PingAdmission::Known(key)) => key,
        Ok(PingAdmission::Unknown) => return (PingAnswer::Done(PingDone::UnknownKey), !has_body),
        Ok(PingAdmission::Wait(ms)) => return (PingAnswer::Wait(ms), !has_body),
        Err(error) => {
            tracing::error!(error = olog_daemon::failure::chain(&error), "a ping's key cannot be looked up");
            return (PingAnswer::Busy, !has_body);
        }
    };
    let Some((body, is_read)) = read_body(request.into_body()).await else { return (PingAnswer::BrokenOff, false) };
    let slug = ping.address.slug().map(str::to_owned);
    let Ping { kind, run, may_create, .. } = ping;
    let received = ReceivedPing { key: key.clone(), slug, kind, run, may_create, at, output: PingOutput::of(&body) };
    let answer = match web.desk.ingest.ping(received).await {
        Ok(done) => {
            if done == PingDone::UnknownKey {
                web.access.forget_ping_key(&key);
            }
            PingAnswer::Done(done)
        }
        Err(error) => {
            tracing::warn!(%error, "a ping was not committed");
            PingAnswer::Busy
        }
    };
    (answer, is_read)
}

/// The first bytes of a body, and whether it was read to its end. `None`: it broke off.
async fn read_body(body: Body) -> Option<(Vec<u8>, bool)> {
    let until = Instant::now() + READ_FOR;
    let (mut kept, mut n_read) = (Vec::new(), 0_usize);
    let mut pieces = body.into_data_stream();
    loop {
        let piece = match timeout_at(until, pieces.next()).await {
            Ok(Some(piece)) => piece.ok()?,
            Ok(None) => return Some((kept, true)),
            Err(_) => return Some((kept, false)),
        };
        n_read = n_read.saturating_add(piece.len());
        let room = KEPT.saturating_sub(kept.len()).min(piece.len());
        kept.extend_from_slice(piece.get(..room).unwrap_or_default());
        if n_read > READ_MAX {
            return Some((kept, false));
        }
    }
}

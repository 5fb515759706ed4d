//! What the hub serves over HTTP: health, metrics, the agents' websocket endpoint, the join page,
//! the packages of the agent, the pages of reports, pings, alerts.
//!
//! Every response carries a Content-Security-Policy and the other headers that keep a browser from running or caching more
//! than the page itself; every body is bounded; every error is `application/problem+json`. The client's address is the other
//! end of the connection, or what a trusted proxy says in `X-Forwarded-For`. A websocket is handed over to
//! `net::session` here. Must not: know SQL, or change anything but through `net::enrol`.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    extract::{
        DefaultBodyLimit, Path, Request, State, WebSocketUpgrade,
        rejection::{JsonRejection, PathRejection},
        ws::rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use olog_daemon::workers::Workers;
use olog_proto::{FRAME_MAX, Nonce, SUBPROTOCOL, Timestamp, identity::KeyPrint};
use olog_push::words::{Language, Localizer};
use tokio::{sync::watch, time::timeout};

use crate::{
    access::Access,
    apply::LivePolicy,
    config::{Config, Reload, ReloadableConfig},
    ingest::Bells,
    net::{
        enrol::{self, Enrol, EnrolError, JoinAnswer, JoinRequest},
        legacy::{self, LegacyTerms, clients::LegacyClients},
        listener::{Connection, SPEAKS_TLS_WORDS},
        packages::Packages,
        session::{self, SessionContext},
    },
    rules::report,
    store::{Store, reports},
    stream::ChangeStream,
};

mod administration;
mod alerts;
mod api;
mod assets;
mod described;
mod device;
mod etag;
mod figures;
mod guard;
mod history;
mod incident;
mod overview;
mod packages;
mod page;
mod pages;
mod ping;
pub mod rows;
mod sign_in;
mod stream;

use page::{lines, place};

pub use guard::{Act, Admin, Granted, Needs, Read};

pub use figures::{METRICS, Metric, MetricKind, figures};

/// The largest body that any request may have.
const BODY_MAX: usize = 16 * 1024;
/// For an answer, the upgrade of a session included.
const ANSWER_AFTER: Duration = Duration::from_secs(30);
/// For a round trip through the store.
const READY_AFTER: Duration = Duration::from_secs(5);
/// Of a session's socket in each direction: what an idle agent costs.
const SESSION_BUFFER: usize = 4096;

/// What the pages need.
#[derive(Debug)]
pub struct Web {
    /// Who comes in.
    pub access: Arc<Access>,
    /// What changes, for who watches.
    pub stream: Arc<ChangeStream>,
    /// Of all sessions.
    pub desk: Arc<SessionContext>,
    /// Who joins.
    pub enrol: Arc<Enrol>,
    /// For the round trip of `/readyz`.
    pub store: Store,
    /// The configuration in force.
    pub live: watch::Receiver<Arc<ReloadableConfig>>,
    /// All of it, as it stands in files.
    pub config: watch::Receiver<Arc<Config>>,
    /// Why the changed configuration was refused, while that is so.
    pub refused: watch::Receiver<Option<String>>,
    /// Who reads the configuration anew.
    pub reload: Reload,
    /// What of the configuration decides about events.
    pub rules: watch::Receiver<Arc<LivePolicy>>,
    /// Who is woken after a change.
    pub bells: Bells,
    /// How the workers are, for `/metrics`.
    pub workers: Workers,
    /// The old clients that are connected.
    pub legacy: LegacyClients,
    /// Where the hub listens.
    pub address: SocketAddr,
    /// Does the port speak TLS?
    pub tls: bool,
    /// The fingerprint of a self-signed certificate's key.
    pub print: Option<KeyPrint>,
    /// What `/packages` offers.
    pub packages: Arc<Packages>,
    /// The SHA-256 of the key of a self-signed certificate, as curl pins it.
    pub pin: Option<String>,
}

/// An error: `application/problem+json` for programs, a page for who looks at pages.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// What went wrong and what to do, in words.
    pub detail: String,
    /// The same in the catalogue of the pages.
    key: Option<&'static str>,
}

impl Problem {
    /// An error with its words.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), key: None }
    }

    /// An error with a sentence of the pages.
    pub(crate) fn of_pages(status: StatusCode, key: &'static str) -> Problem {
        let english = Localizer { language: Language::En, timezone: chrono_tz::Tz::UTC, now: Timestamp(0) };
        Problem { status, detail: english.word(key), key: Some(key) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let json = HeaderValue::from_static("application/problem+json");
        let mut response = (self.status, [(header::CONTENT_TYPE, json)], body.to_string()).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<EnrolError> for Problem {
    fn from(error: EnrolError) -> Problem {
        let status = match &error {
            EnrolError::BadLink => StatusCode::FORBIDDEN,
            EnrolError::NameTaken(_) | EnrolError::RenameTaken(_) | EnrolError::Several(_) => StatusCode::CONFLICT,
            EnrolError::Unknown(_) => StatusCode::NOT_FOUND,
            EnrolError::TooOften => StatusCode::TOO_MANY_REQUESTS,
            EnrolError::TooLong => StatusCode::BAD_REQUEST,
            EnrolError::Store(source) => {
                tracing::error!(error = %source, "the store did not take an enrolment");
                return Problem::new(StatusCode::SERVICE_UNAVAILABLE, source.to_string());
            }
            EnrolError::Random => StatusCode::SERVICE_UNAVAILABLE,
        };
        Problem::new(status, error.to_string())
    }
}

/// All routes.
pub fn router(web: Arc<Web>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_page))
        .route("/agent", get(agent))
        .route("/reports/{token}", get(report_page))
        .route("/join", get(packages::join_page).post(join))
        .route("/install", get(packages::script))
        .route("/packages", get(packages::list))
        .route("/packages/{name}", get(packages::download))
        .merge(page::routes())
        .merge(sign_in::routes())
        .merge(administration::routes())
        .merge(device::routes())
        .merge(incident::routes())
        .merge(history::routes())
        .merge(api::routes())
        .merge(stream::routes())
        .merge(assets::routes())
        .merge(ping::routes())
        .merge(alerts::routes())
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not found"))
        .method_not_allowed_fallback(async || {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not accept that method")
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn_with_state(web.clone(), within_limits))
        .with_state(web)
}

/// All that a port with TLS serves in clear: the old clients.
pub fn legacy_router(web: Arc<Web>) -> Router {
    Router::new().route("/", get(legacy_only)).fallback(speaks_tls).with_state(web)
}

async fn within_limits(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let is_secure = guard::is_secure(&web, request.extensions(), request.headers());
    let up = place::up(request.uri().path());
    let visit = guard::looking(&web, &request);
    let asked = (request.method() == Method::GET).then(|| request.headers().clone());
    let mut response = timeout(ANSWER_AFTER, next.run(request)).await.unwrap_or_else(|_| {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the hub took too long; try again").into_response()
    });
    if let (Some(visit), Some(problem)) = (visit, response.extensions_mut().remove::<Problem>()) {
        response = page::refused(&web, &visit, &problem, response.headers());
    }
    if let Some(asked) = asked {
        response = etag::conditional(&asked, response).await;
    }
    let headers = response.headers_mut();
    place::make_relative(&up, headers);
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, pages::policy()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.entry(name).or_insert(value);
        }
    }
    if is_secure {
        // A browser heeds it only where the certificate is good.
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    response
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress {
    /// The client's address, or that of the proxy that does not say it.
    pub address: IpAddr,
    /// Was every forwarding header read? If not, the client is somebody else than the one at `address`.
    is_certain: bool,
}

impl ClientAddress {
    /// Does the client run on this machine? Not if a proxy here speaks for a client whose address it does not say.
    pub fn is_local(&self) -> bool {
        self.is_certain && self.address.is_loopback()
    }
}

/// The client's address: the other end's, or, if that is a trusted proxy, the last one in `X-Forwarded-For` that is not one. A hop that
/// is no address (`unknown`, `_hidden`, an empty text) ends the search: then only the proxy is known.
pub fn client_address(other_end: IpAddr, headers: &HeaderMap, live: &ReloadableConfig) -> ClientAddress {
    let mut address = other_end.to_canonical();
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().map(|line| line.to_str().unwrap_or_default()).collect();
    let mut hops = lines.iter().rev().flat_map(|line| line.rsplit(',')).peekable();
    let has_others = ["forwarded", "x-real-ip"].iter().any(|name| headers.contains_key(*name));
    let mut is_certain = hops.peek().is_some() || !has_others;
    while live.trusts(address) {
        let Some(hop) = hops.next() else { break };
        let Some(named) = hop_address(hop.trim()) else {
            is_certain = false;
            break;
        };
        address = named.to_canonical();
    }
    ClientAddress { address, is_certain: is_certain && hops.next().is_none() }
}

/// An address, in brackets or not, with a port or not.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let plain = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    let with_port = || hop.parse::<std::net::SocketAddr>().map(|socket| socket.ip());
    plain.parse().or_else(|_| with_port()).ok()
}

async fn readyz(State(web): State<Arc<Web>>) -> Result<&'static str, Problem> {
    match timeout(READY_AFTER, web.store.is_alive()).await {
        Ok(true) => Ok("ready\n"),
        Ok(false) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer")),
        Err(_) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the store did not answer within 5 s")),
    }
}

async fn metrics_page(
    State(web): State<Arc<Web>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let live = web.live.borrow().clone();
    let client = client_address(connection.ip(), &headers, &live);
    if !client.is_local() && !guard::may_read(&web, &connection, &headers).await? {
        let words = "metrics are for this machine: ask from loopback, or send a token with the scope read (Authorization: Bearer)";
        return Err(Problem::new(StatusCode::FORBIDDEN, words));
    }
    figures::update(&web.workers);
    let figures = figures();
    figures.run_upkeep();
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, text)], figures.render()).into_response())
}

/// The page of a report. Its address is its secret: nobody guesses it, and only who has it comes here.
async fn report_page(
    State(web): State<Arc<Web>>,
    token: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let none = || Problem::new(StatusCode::NOT_FOUND, "there is no such report, or its page is no longer stored");
    // What is no text is no token either.
    let Path(token) = token.map_err(|_| none())?;
    let page = web.store.read(move |tx| reports::page(tx, &token)).await?.ok_or_else(none)?;
    let policy = format!("{}; frame-ancestors 'none'", report::page::policy());
    Ok(([(header::CONTENT_SECURITY_POLICY, policy)], Html(page)).into_response())
}

async fn join(
    State(web): State<Arc<Web>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    body: Result<Json<JoinRequest>, JsonRejection>,
) -> Result<Json<JoinAnswer>, Problem> {
    let Json(request) = body.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let live = web.live.borrow().clone();
    let from = client_address(connection.ip(), &headers, &live).address;
    Ok(Json(web.enrol.join(from, request).await?))
}

type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// The overview, for who is signed in; for an old client its session.
async fn home(
    State(web): State<Arc<Web>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    upgrade: Upgrade,
    visit: guard::Visit,
    caller: Result<Granted<Read>, guard::AccessRefused>,
) -> Response {
    match upgrade {
        Ok(upgrade) if LegacyTerms::of(&web.live.borrow()).is_some() => old_client(web, connection, &headers, upgrade),
        _ => overview::home(&web, caller.map(|caller| (caller, visit))).await,
    }
}

async fn legacy_only(
    State(web): State<Arc<Web>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    match upgrade {
        Ok(upgrade) => old_client(web, connection, &headers, upgrade),
        Err(_) => speaks_tls().await,
    }
}

async fn speaks_tls() -> Response {
    (StatusCode::BAD_REQUEST, [(header::CONNECTION, "close")], SPEAKS_TLS_WORDS).into_response()
}

/// An old client's session.
fn old_client(web: Arc<Web>, connection: Connection, headers: &HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    let peer = client_address(connection.ip(), headers, &web.live.borrow()).address;
    connection.is_websocket();
    upgrade
        .read_buffer_size(SESSION_BUFFER)
        .write_buffer_size(SESSION_BUFFER)
        .max_write_buffer_size(2 * FRAME_MAX)
        .max_message_size(legacy::MESSAGE_MAX)
        .max_frame_size(legacy::MESSAGE_MAX)
        .on_failed_upgrade(|error| tracing::debug!(%error, "an upgrade failed"))
        .on_upgrade(async move |socket| {
            let terms = || LegacyTerms::of(&web.live.borrow());
            let how = (terms, || connection.is_known());
            legacy::run(socket, peer, how, (&web.desk, &web.legacy)).await;
            // The connection's place is free only now.
            drop(connection);
        })
}

/// A device's session.
async fn agent(
    State(web): State<Arc<Web>>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Response {
    if headers.contains_key(header::ORIGIN) {
        let words = "a web page may not connect as an agent: the request has an Origin header";
        return Problem::new(StatusCode::FORBIDDEN, words).into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.protocols([SUBPROTOCOL]),
        Err(_) => {
            let upgrade = [(header::UPGRADE, HeaderValue::from_static("websocket"))];
            let problem = Problem::new(StatusCode::UPGRADE_REQUIRED, pages::NO_UPGRADE);
            return (upgrade, problem).into_response();
        }
    };
    if upgrade.selected_protocol().is_none() {
        let words =
            format!("this hub speaks {SUBPROTOCOL}, and the agent did not offer it: update the older of the two");
        return Problem::new(StatusCode::BAD_REQUEST, words).into_response();
    }
    let nonce = match enrol::random() {
        Ok(bytes) => Nonce(bytes),
        Err(error) => return Problem::from(error).into_response(),
    };
    let live = web.live.clone();
    let peer = client_address(connection.ip(), &headers, &live.borrow()).address;
    let desk = web.desk.clone();
    connection.is_websocket();
    upgrade
        .read_buffer_size(SESSION_BUFFER)
        .write_buffer_size(SESSION_BUFFER)
        .max_write_buffer_size(2 * FRAME_MAX)
        .max_message_size(FRAME_MAX)
        .max_frame_size(FRAME_MAX)
        .on_failed_upgrade(|error| tracing::debug!(%error, "an upgrade failed"))
        .on_upgrade(async move |socket| {
            let how = (|| live.borrow().ping_every(), || connection.is_known());
            session::run(socket, peer, nonce, how, &desk).await;
            // The connection's place is free only now.
            drop(connection);
        })
}

#[cfg(test)]
mod tests;

//! The verbs of a running hub, as HTTP on its Unix socket.
//!
//! The kernel says who asks: root, the daemon's user and the group `olog-admin` may everything, nobody else anything. A verb
//! changes something through the same modules as everybody else, and answers JSON; what it prints is the command line's
//! affair.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Path, Query, Request, State},
    http::{Request as HttpRequest, StatusCode},
    middleware::{Next, from_fn},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use olog_daemon::{clock::Clock, socket::Peer};
use olog_proto::{At, DeviceName, identity::KeyPrint};
use olog_push::SystemCode;
use serde::{Deserialize, Serialize};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::{
    apply::{self, Rules},
    apply::{declared_tasks, operator},
    config::Live,
    ingest::Bells,
    net::{
        enrol::{Enrol, LinkRequest, Seen, link_base, local_base},
        sessions::Roster,
    },
    rules::budget::Budget,
    store::{
        Store, StoreError, devices as devices_store,
        enrolment::Device,
        incidents::{self, Incident},
        outbox,
    },
    timed::reporter::{self, Reporter},
    web::Problem,
};

mod explain;
mod reports;
mod silences;
mod tasks;

pub use explain::Explained;
pub use reports::Shown;
pub use silences::{AddSilence, NotAnError};
pub use tasks::{ExpectTask, RenameTask, TaskRow, Which};

/// Verbs at one time.
const VERBS_MAX: usize = 64;
/// Rows of a list.
const LIST_MAX: u32 = 10_000;

/// What the verbs need.
#[derive(Debug)]
pub struct Verbs {
    /// Who joins.
    pub enrol: Arc<Enrol>,
    /// The store.
    pub store: Store,
    /// Who is connected.
    pub roster: Arc<Roster>,
    /// The configuration in force.
    pub live: watch::Receiver<Arc<Live>>,
    /// What of it decides about events.
    pub rules: watch::Receiver<Arc<Rules>>,
    /// Who is woken after a change.
    pub bells: Bells,
    /// Wall time.
    pub clock: Clock,
    /// Where the hub listens.
    pub address: SocketAddr,
    /// Does the port speak TLS?
    pub tls: bool,
    /// The fingerprint of a self-signed certificate's key.
    pub print: Option<KeyPrint>,
    /// Where the store is, without its password.
    pub store_url: String,
    /// Who makes reports.
    pub reporter: Reporter,
    /// Who reads the configuration anew.
    pub reload: Reload,
}

/// The answer to `join-link`.
#[derive(Debug, Serialize, Deserialize)]
pub struct LinkAnswer {
    /// The link.
    pub link: String,
    /// A word to the person, for stderr.
    pub word: Option<String>,
}

/// Whom a verb is about.
#[derive(Debug, Serialize, Deserialize)]
pub struct Who {
    /// A name or a key.
    pub who: String,
}

/// The request of `device rename`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rename {
    /// The name it has.
    pub old: String,
    /// The name it gets.
    pub new: DeviceName,
}

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
    /// What the service said last that was no yes.
    pub why: Option<String>,
    /// Receivers that were refused for good.
    pub refused: Vec<String>,
    /// When the oldest that waits was put there.
    pub oldest_at: Option<At>,
    /// Messages that it may send in a rolling day, if that is bounded.
    pub per_day: Option<u64>,
    /// Those that it has sent.
    pub used: Option<u64>,
    /// Those that are left.
    pub left: Option<u64>,
    /// When the next one comes back.
    pub next_slot_at: Option<At>,
}

/// The answer to `channel test`: by which number its outcome is asked for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Test {
    /// The outbox row.
    pub row: i64,
}

/// What came of a test so far.
#[derive(Debug, Serialize, Deserialize)]
pub struct Tested {
    /// It has left the outbox.
    pub is_done: bool,
    /// What the service said of each receiver.
    pub attempts: Vec<outbox::Attempt>,
}

/// Asks whoever owns the configuration to read it anew; the answer says why it was refused.
pub type Reload = mpsc::Sender<oneshot::Sender<Result<(), String>>>;

/// The answer to `status`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// Where it listens.
    pub listen: String,
    /// How others reach it.
    pub public_url: Option<String>,
    /// Where the store is.
    pub store: String,
    /// Does the store's writer answer?
    pub store_answers: bool,
    /// Devices that joined.
    pub devices: usize,
    /// Those that are connected.
    pub connected: usize,
    /// Devices that wait to be accepted.
    pub pending: usize,
    /// Open incidents.
    pub open_incidents: usize,
    /// Channels in force.
    pub channels: Vec<String>,
    /// Why the last report came without a link, if it did.
    pub report_without_link: Option<String>,
}

/// Serves the verbs until stopped; then removes the socket.
pub async fn run(listener: UnixListener, path: PathBuf, verbs: Arc<Verbs>, stop: CancellationToken) {
    let app = router(verbs);
    let places = Arc::new(Semaphore::new(VERBS_MAX));
    let mut conversations = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = conversations.join_next(), if !conversations.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let Ok(place) = places.clone().try_acquire_owned() else { continue };
                let app = app.clone();
                conversations.spawn(async move {
                    converse(stream, app).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::error!(%error, "cannot accept on the socket of the verbs; trying again in 1 s");
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }
    drop(listener);
    if let Err(error) = std::fs::remove_file(&path) {
        tracing::debug!(path = %path.display(), %error, "the socket of the verbs is gone already");
    }
    while conversations.join_next().await.is_some() {}
}

async fn converse(stream: UnixStream, app: Router) {
    let peer = match Peer::of(&stream) {
        Ok(peer) => peer,
        Err(error) => return tracing::warn!(%error, "cannot tell who asks on the socket of the verbs"),
    };
    let service = service_fn(move |mut request: HttpRequest<Incoming>| {
        request.extensions_mut().insert(peer);
        app.clone().oneshot(request.map(Body::new))
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a verb's conversation ended early");
    }
}

fn router(verbs: Arc<Verbs>) -> Router {
    Router::new()
        .route("/join-link", post(join_link))
        .route("/devices", get(devices))
        .route("/device/accept", post(accept))
        .route("/device/forget", post(forget))
        .route("/device/rename", post(rename))
        .route("/incidents", get(incident_list))
        .route("/incident/{id}", get(incident_show))
        .route("/incident/{id}/sent", get(incident_sent))
        .route("/incident/{id}/ack", post(incident_ack))
        .route("/incident/{id}/close", post(incident_close))
        .route("/channels", get(channel_list))
        .route("/channel/test", post(channel_test))
        .route("/channel/rearm", post(channel_rearm))
        .route("/channel/test/{row}", get(channel_tested))
        .merge(explain::routes())
        .merge(reports::routes())
        .merge(silences::routes())
        .merge(tasks::routes())
        .route("/reload", post(reload))
        .route("/status", get(status))
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "this hub does not know that verb: it is another version")
        })
        .layer(from_fn(admins_only))
        .with_state(verbs)
}

async fn admins_only(Extension(peer): Extension<Peer>, request: Request, next: Next) -> Response {
    if peer.is_admin {
        return next.run(request).await;
    }
    tracing::warn!(uid = peer.uid, "a verb was refused");
    Problem::new(StatusCode::FORBIDDEN, "become root, or join the group olog-admin").into_response()
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        tracing::error!(%error, "the store did not do what a verb asked");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

type Answer<T> = Result<Json<T>, Problem>;
type Asked = State<Arc<Verbs>>;

async fn join_link(State(verbs): Asked, Json(request): Json<LinkRequest>) -> Answer<LinkAnswer> {
    let live = verbs.live.borrow().clone();
    let public_url = live.public_url.as_deref();
    let (base, word) = if request.local {
        let seen = match (verbs.tls, verbs.print) {
            (false, _) => Seen::InClear,
            (true, Some(_)) => Seen::ByKey,
            (true, None) => Seen::ByName,
        };
        let base = local_base(public_url, verbs.address, seen).ok_or_else(|| {
            let words = "tls.mode = \"files\": that certificate is good for its name only: set public_url to it";
            Problem::new(StatusCode::CONFLICT, words)
        })?;
        (base, None)
    } else {
        link_base(public_url, verbs.address, verbs.tls)
    };
    let link = verbs.enrol.link(request, base, verbs.print).await?;
    Ok(Json(LinkAnswer { link: link.to_string(), word }))
}

#[derive(Deserialize)]
struct Pending {
    #[serde(default)]
    pending: bool,
}

async fn devices(State(verbs): Asked, Query(query): Query<Pending>) -> Answer<Vec<Device>> {
    let mut devices = verbs.enrol.list(query.pending).await?;
    // Who is connected was heard later than the store knows.
    for device in &mut devices {
        if let Some(seat) = verbs.roster.seat(crate::store::devices::DeviceId(device.id)) {
            device.heard_at = Some(seat.heard_at());
            device.connected = true;
        }
    }
    Ok(Json(devices))
}

async fn accept(State(verbs): Asked, Json(request): Json<Who>) -> Answer<()> {
    verbs.enrol.accept(&request.who).await?;
    Ok(Json(()))
}

async fn forget(State(verbs): Asked, Json(request): Json<Who>) -> Answer<()> {
    verbs.enrol.forget(&request.who).await?;
    verbs.bells.watchman.ring();
    Ok(Json(()))
}

async fn rename(State(verbs): Asked, Json(request): Json<Rename>) -> Answer<()> {
    let name = request.new.clone();
    verbs.enrol.rename(&request.old, request.new).await?;
    // What is declared is declared by name.
    let (rules, now) = (verbs.rules.borrow().clone(), verbs.clock.now());
    let renamed = move |tx: &mut crate::store::Tx<'_>| match devices_store::by_name(tx, name.as_str())? {
        Some(device) => declared_tasks::apply(tx, &rules, &device, now),
        None => Ok(()),
    };
    verbs.store.write(renamed).await?;
    verbs.bells.watchman.ring();
    Ok(Json(()))
}

#[derive(Deserialize)]
struct All {
    #[serde(default)]
    all: bool,
}

async fn incident_list(State(verbs): Asked, Query(query): Query<All>) -> Answer<Vec<Incident>> {
    Ok(Json(verbs.store.read(move |tx| incidents::list(tx, query.all, u64::MAX, LIST_MAX)).await?))
}

fn no_incident(id: u64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("no incident #{id}: see `olog-hub incident list --all`"))
}

async fn incident_show(State(verbs): Asked, Path(id): Path<u64>) -> Answer<Incident> {
    verbs.store.read(move |tx| incidents::get(tx, id)).await?.map(Json).ok_or_else(|| no_incident(id))
}

/// What was sent of it, and what the services said.
async fn incident_sent(State(verbs): Asked, Path(id): Path<u64>) -> Answer<Vec<outbox::Attempt>> {
    Ok(Json(verbs.store.read(move |tx| outbox::attempts_of(tx, id, LIST_MAX)).await?))
}

async fn incident_ack(State(verbs): Asked, Path(id): Path<u64>) -> Answer<Incident> {
    by_person(&verbs, id, operator::acknowledge).await
}

async fn incident_close(State(verbs): Asked, Path(id): Path<u64>) -> Answer<Incident> {
    by_person(&verbs, id, operator::close).await
}

type ByPerson = fn(&mut crate::store::Tx<'_>, &Rules, u64, At) -> Result<operator::Done, StoreError>;

async fn by_person(verbs: &Verbs, id: u64, verb: ByPerson) -> Answer<Incident> {
    let (rules, now) = (verbs.rules.borrow().clone(), verbs.clock.now());
    let done = verbs.store.write(move |tx| verb(tx, &rules, id, now)).await?;
    verbs.bells.outbox.ring();
    verbs.bells.watchman.ring();
    match done {
        operator::Done::Yes(incident) => Ok(Json(*incident)),
        operator::Done::Unknown => Err(no_incident(id)),
        operator::Done::Over => Err(Problem::new(StatusCode::CONFLICT, format!("incident #{id} is over already"))),
    }
}

async fn channel_list(State(verbs): Asked) -> Answer<Vec<ChannelRow>> {
    let live = verbs.live.borrow().clone();
    let now = verbs.clock.now();
    let read = move |tx: &mut crate::store::Tx<'_>| {
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
                left: budget.as_ref().map(Budget::left),
                next_slot_at: budget.as_ref().and_then(Budget::next_at),
            })
        };
        let mut rows: Vec<ChannelRow> = live.channels.iter().map(row).collect::<Result<_, StoreError>>()?;
        // What a channel left behind that is not configured any more: it waits for its return, and expires.
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
    };
    Ok(Json(verbs.store.read(read).await?))
}

/// Ends a pause and a back-off, lets receivers that were refused be tried again, and makes the budget whole.
async fn channel_rearm(State(verbs): Asked, Json(request): Json<Who>) -> Answer<()> {
    known_channel(&verbs, &request.who)?;
    let now = verbs.clock.now();
    let rearm = move |tx: &mut crate::store::Tx<'_>| outbox::rearm(tx, &request.who, now);
    verbs.store.write(rearm).await?;
    verbs.bells.outbox.ring();
    Ok(Json(()))
}

/// Puts a test into the outbox: a row like any other, so that it tests the road that matters. Who asks wants to know now: a
/// pause and a back-off end.
async fn channel_test(State(verbs): Asked, Json(request): Json<Who>) -> Answer<Test> {
    known_channel(&verbs, &request.who)?;
    let now = verbs.clock.now();
    let notice = apply::affair(None, SystemCode::ChannelTest, &[("channel", request.who.clone())], now);
    let put = move |tx: &mut crate::store::Tx<'_>| {
        outbox::try_again(tx, &request.who)?;
        outbox::put(tx, std::slice::from_ref(&request.who), &notice, true, now)?;
        outbox::latest(tx, &request.who)
    };
    let row = verbs.store.write(put).await?;
    verbs.bells.outbox.ring();
    Ok(Json(Test { row }))
}

async fn channel_tested(State(verbs): Asked, Path(row): Path<i64>) -> Answer<Tested> {
    let (is_done, attempts) = verbs.store.read(move |tx| outbox::sent(tx, row)).await?;
    Ok(Json(Tested { is_done, attempts }))
}

async fn reload(State(verbs): Asked) -> Answer<()> {
    let gone = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "this hub does not read its configuration anew now");
    let (reply, answer) = oneshot::channel();
    verbs.reload.send(reply).await.map_err(|_| gone())?;
    match answer.await.map_err(|_| gone())? {
        Ok(()) => Ok(Json(())),
        Err(why) => Err(Problem::new(StatusCode::CONFLICT, why)),
    }
}

fn known_channel(verbs: &Verbs, name: &str) -> Result<(), Problem> {
    let live = verbs.live.borrow().clone();
    if live.channel(name).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = live.channels.iter().map(|channel| channel.name.as_str()).collect();
    let words =
        format!("no channel {name:?}; there are: {}", if names.is_empty() { "none".into() } else { names.join(", ") });
    Err(Problem::new(StatusCode::NOT_FOUND, words))
}

async fn status(State(verbs): Asked) -> Answer<Status> {
    let live = verbs.live.borrow().clone();
    let answers = tokio::time::timeout(std::time::Duration::from_secs(5), verbs.store.is_alive()).await;
    let open = verbs.store.read(|tx| incidents::list(tx, false, u64::MAX, LIST_MAX)).await?;
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        listen: verbs.address.to_string(),
        public_url: live.public_url.clone(),
        store: verbs.store_url.clone(),
        store_answers: answers.unwrap_or(false),
        devices: verbs.enrol.list(false).await?.len(),
        connected: verbs.roster.len(),
        pending: verbs.enrol.list(true).await?.len(),
        open_incidents: open.len(),
        channels: live.channels.iter().map(|channel| channel.name.clone()).collect(),
        report_without_link: verbs.store.read(reporter::no_link).await?,
    }))
}

//! The verbs of a running hub, as HTTP on its Unix socket.
//!
//! The kernel says who asks: root, the daemon's user and members of the group `olog-admin` may do everything, nobody else may
//! do anything. A verb changes the hub through `apply` and `net::enrol`, in the store's transactions, and then rings the
//! workers that have something to do. It answers JSON, or `application/problem+json` with a sentence that says what to do
//! instead. Must not: print or compose sentences for a terminal (`cli` does).
//!
//! | file | verbs |
//! |---|---|
//! | here | `join-link`, `device`, reload |
//! | `access`, `audited` | `user`, `token`, `audit`; every change is written to the audit log |
//! | `incidents` | `incident list|show|ack|close`; why an incident is where it is |
//! | `silences` | `silence`, `incident not-an-error` |
//! | `identity` | `identity`: the hub's keys |
//! | `packages` | `packages`, `join-link --install` |
//! | `pings` | `device ping-key`, `task ping-url` |
//! | `tasks` | `task` |
//! | `channels`, `reports`, `status` | `channel`, `report`, `status` |

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{
    Extension, Json, Router,
    body::Body,
    extract::{Query, Request, State},
    http::{Request as HttpRequest, StatusCode},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use olog_daemon::{clock::Clock, socket::Peer, workers::Workers};
use olog_proto::{DeviceName, identity::KeyPrint};
use olog_push::words::{Arg, Localizer};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Semaphore, oneshot, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::{
    access::Access,
    apply::{LivePolicy, declared_tasks},
    config::{Reload, ReloadableConfig},
    ingest::Bells,
    net::{
        enrol::{Enrol, LinkRequest, ServerAuth, link_base, local_base},
        packages::{Packages, newest},
        sessions::Sessions,
    },
    store::{Store, StoreError, devices as devices_store, enrolment::ListedDevice},
    timed::reporter::Reporter,
    web::{Problem, rows::with_sessions},
};

mod access;
mod audited;
mod channels;
pub(crate) mod identity;
mod incidents;
mod packages;
mod pings;
mod reports;
mod silences;
mod status;
mod tasks;

pub use access::{CreatedToken, EndedSessions};
pub use channels::{Test, Tested};
pub use incidents::{Handled, Numbers};
pub use packages::Removed;
pub use pings::{AskPingKey, MadePingKey, RemovePingKey};
pub use reports::{Pushed, Shown};
pub use silences::{NotAnError, SilencesMade};
pub use status::{FailingDuty, Locale, Status};
pub use tasks::{ExpectTask, MergeTasks, RenameTask, TaskRef};

/// Verbs at one time.
const VERBS_MAX: usize = 64;
/// Rows of a list.
const LIST_MAX: u32 = 10_000;

/// What the verbs need.
#[derive(Debug)]
pub struct Verbs {
    /// Who comes in over HTTP, and the audit log.
    pub access: Arc<Access>,
    /// Who joins.
    pub enrol: Arc<Enrol>,
    /// The store.
    pub store: Store,
    /// Who is connected.
    pub sessions: Arc<Sessions>,
    /// The configuration in force.
    pub live: watch::Receiver<Arc<ReloadableConfig>>,
    /// What of it decides about events.
    pub rules: watch::Receiver<Arc<LivePolicy>>,
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
    /// The whole SHA-256 of that key, as curl pins it.
    pub pin: Option<String>,
    /// The packages of the agent that are offered.
    pub packages: Arc<Packages>,
    /// Where the store is, without its password.
    pub store_url: String,
    /// Who makes reports.
    pub reporter: Reporter,
    /// Who reads the configuration anew.
    pub reload: Reload,
    /// Why the changed configuration was refused, while that is so.
    pub refused: watch::Receiver<Option<String>>,
    /// How the workers are.
    pub workers: Workers,
}

/// The answer to `join-link`.
#[derive(Debug, Serialize, Deserialize)]
pub struct LinkAnswer {
    /// The link; with `--install` the line that installs the agent and joins by the link.
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

/// A name that means nothing to the hub: probably a misspelling.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// `device` or `task`.
    pub what: String,
    /// The name or pattern.
    pub name: String,
    /// The name that is nearest to it.
    pub nearest: Option<String>,
}

impl Remark {
    /// About a device.
    fn device(name: &str, known: &[String]) -> Remark {
        Remark::of("device", name, known)
    }

    fn of(what: &str, name: &str, known: &[String]) -> Remark {
        let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
        Remark { what: what.to_owned(), name: name.to_owned(), nearest }
    }
}

/// The known name that this one probably means: a third of its characters may differ.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|known| (strsim::damerau_levenshtein(known, name), known)).min();
    near.filter(|(distance, _)| *distance <= name.chars().count().div_ceil(3)).map(|(_, known)| known)
}

impl Verbs {
    /// What speaks to whoever asks: the hub's language and time zone.
    fn localizer(&self) -> Localizer {
        self.rules.borrow().localizer(self.clock.now())
    }

    /// Why something is not done, in the hub's language.
    fn refusal(&self, status: StatusCode, key: &str, args: &[Arg<'_>]) -> Problem {
        Problem::new(status, self.localizer().text(key, args))
    }
}

/// The request of `device rename`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rename {
    /// The name it has.
    pub old: String,
    /// The name it gets.
    pub new: DeviceName,
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
        .merge(access::routes())
        .merge(channels::routes())
        .merge(identity::routes())
        .merge(incidents::routes())
        .merge(packages::routes())
        .merge(pings::routes())
        .merge(reports::routes())
        .merge(silences::routes())
        .merge(status::routes())
        .merge(tasks::routes())
        .route("/reload", post(reload))
        .fallback(async || {
            Problem::new(StatusCode::NOT_FOUND, "this hub does not know that command: its version differs from yours")
        })
        .layer(from_fn_with_state(verbs.clone(), audited::audited))
        .layer(from_fn(admins_only))
        .with_state(verbs)
}

async fn admins_only(Extension(peer): Extension<Peer>, request: Request, next: Next) -> Response {
    if peer.is_admin {
        return next.run(request).await;
    }
    tracing::warn!(uid = peer.uid, "a verb was refused");
    Problem::new(StatusCode::FORBIDDEN, "permission denied: run as root, or join the group olog-admin").into_response()
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        tracing::error!(%error, "the store did not do what a verb asked");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

type Answer<T> = Result<Json<T>, Problem>;
type VerbsState = State<Arc<Verbs>>;

async fn join_link(
    State(verbs): VerbsState,
    Extension(peer): Extension<Peer>,
    Json(request): Json<LinkRequest>,
) -> Answer<LinkAnswer> {
    let install = request.install.then(|| packages::script(&verbs)).transpose()?;
    let live = verbs.live.borrow().clone();
    let public_url = live.public_url.as_deref();
    let (base, word) = if request.local {
        let seen = match (verbs.tls, verbs.print) {
            (false, _) => ServerAuth::InClear,
            (true, Some(_)) => ServerAuth::ByKey,
            (true, None) => ServerAuth::ByName,
        };
        let base = local_base(public_url, verbs.address, seen).ok_or_else(|| {
            let words = "tls.mode = \"files\": that certificate is good for its name only: set public_url to it";
            Problem::new(StatusCode::CONFLICT, words)
        })?;
        (base, None)
    } else {
        link_base(public_url, verbs.address, verbs.tls)
    };
    let link = verbs.enrol.link(request, base, verbs.print, &audited::user(peer.uid)).await?;
    let printed = match install {
        Some(script) => packages::line(&verbs, &link, &script),
        None => link.to_string(),
    };
    Ok(Json(LinkAnswer { link: printed, word }))
}

#[derive(Deserialize)]
struct PendingOnly {
    #[serde(default)]
    pending: bool,
}

async fn devices(State(verbs): VerbsState, Query(query): Query<PendingOnly>) -> Answer<Vec<ListedDevice>> {
    let mut devices = verbs.enrol.list(query.pending).await?;
    with_sessions(&mut devices, &verbs.sessions, newest(&verbs.packages.list()).as_ref());
    Ok(Json(devices))
}

async fn accept(State(verbs): VerbsState, Json(request): Json<Who>) -> Answer<()> {
    verbs.enrol.accept(&request.who).await?;
    Ok(Json(()))
}

async fn forget(State(verbs): VerbsState, Json(request): Json<Who>) -> Answer<()> {
    verbs.enrol.forget(&request.who).await?;
    verbs.bells.watchman.ring();
    Ok(Json(()))
}

async fn rename(State(verbs): VerbsState, Json(request): Json<Rename>) -> Answer<()> {
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

async fn reload(State(verbs): VerbsState) -> Answer<()> {
    let gone = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "this hub does not read its configuration anew now");
    let (reply, answer) = oneshot::channel();
    verbs.reload.send(reply).await.map_err(|_| gone())?;
    match answer.await.map_err(|_| gone())? {
        Ok(()) => Ok(Json(())),
        Err(why) => Err(Problem::new(StatusCode::CONFLICT, why)),
    }
}

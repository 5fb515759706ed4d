//! The agent's Unix socket: `GET /status`, `GET /identity`, `POST /run` and `POST /runs` for every user of this device; `POST /reload`,
//! `POST /identity/rotate` and `POST /jobs`, which proposes schedules to the hub and waits for its answer, for administrators (root, the
//! daemon's user, the group `olog-admin`).
//!
//! `POST /runs` means "read the run files now" and carries nothing. `POST /run` carries a run, for reporters that cannot write a run file; it
//! is in the spool, synced, before the answer is sent. This module knows HTTP and the peer's user; the work is done by the
//! spool, the files and the wiring.
//!
//! Every user may connect, so none may keep the others out: [`places`] bounds the connections of each, [`Shares`] what each puts
//! into the spool. A connection carries one request: its header must be there after 2 s, its body after 5 s more.

mod places;

use std::{collections::HashMap, convert::Infallible, path::PathBuf, sync::Arc, time::Duration};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes as Body, Incoming},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use olog_daemon::{
    clock::Clock,
    socket::Peer,
    workers::{Worker, WorkerStatus, Workers},
};
use olog_proto::{
    Epoch, EventContent, Note, PublicKey, SecretKey, TaskName,
    identity::KeyPrint,
    job::{JOBS_MAX, JobAnswers, ProposedJob},
};
use serde::{Deserialize, Serialize};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::places::{Guest, SocketPlaces, Turn};
use crate::{
    boot,
    config::ReloadableConfig,
    files::Files,
    runs::{self, Look, NoShare, Reported, RunningRun, Shares},
    spool::{Batch, Spool},
    uplink::{
        ConnectionStatus, KeyStatus, Setup,
        jobs::{self, JobsRequest, NotProposed},
    },
};

/// Whoever gets no place for so long is left.
const PLACE_AFTER: Duration = Duration::from_secs(10);
/// Whoever connects and says nothing is left after this.
const HEADER_AFTER: Duration = Duration::from_secs(2);
/// The rest of a request has come by then.
const BODY_AFTER: Duration = Duration::from_secs(5);
/// A connection is over after this, also if its answer is not read.
const CONNECTION_AFTER: Duration = Duration::from_secs(60);
/// Whoever has too many connections is told so; nothing is read.
const TOO_MANY: &[u8] =
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 37\r\nconnection: close\r\n\r\ntoo many connections of this user now";
/// A reported run carries an excerpt and up to 20 fingerprints.
const REQUEST_MAX: usize = 64 * 1024;

/// How the agent is: what `status --json` prints.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// The name that the device would like to have.
    pub device: String,
    /// It knows its hub.
    pub joined: bool,
    /// Where that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hub: Option<String>,
    /// A session with it is open.
    pub connected: bool,
    /// What is wrong with the link, if something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The hub's clock less this device's, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skew: Option<i64>,
    /// Events that the hub has not acknowledged.
    pub spool: u64,
    /// Bytes of them.
    pub spool_bytes: u64,
    /// Whose numbers these are.
    pub epoch: Epoch,
    /// The last number given.
    pub last: u64,
    /// Acknowledged through this one.
    pub acked: u64,
    /// Files that are known.
    pub watched_files: u64,
    /// Folders that are watched.
    pub watched_folders: u64,
    /// Runs by `exec` that go on.
    #[serde(default)]
    pub runs: Vec<RunningRun>,
    /// Troubles that are open.
    pub notes: Vec<Note>,
    /// The workers and their duties: which of them fail, since when, and why.
    #[serde(default)]
    pub workers: Vec<WorkerStatus>,
}

/// A run by `exec`, as it is reported.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    /// It began.
    Started {
        /// Its task.
        task: TaskName,
        /// Its own id.
        run: String,
    },
    /// It is over.
    Ended(Box<Reported>),
}

/// What became of proposed jobs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proposed {
    /// The hub has answered.
    Answered(JobAnswers),
    /// It does not have them.
    Not(NotProposed),
}

/// A reload that somebody waits for; the answer is what is wrong with the new configuration.
pub type ReloadAsked = oneshot::Sender<Result<(), String>>;

/// A new key of the device that somebody waits for; the answer is the key, or why there is none.
pub type RotationAsked = oneshot::Sender<Result<PublicKey, String>>;

/// By which key the device is known to its hub.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IdentityStatus {
    /// Of the key in use.
    pub fingerprint: KeyPrint,
    /// Of the key that the device will have next, if one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<KeyPrint>,
    /// Why the device does not change to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// A session with the hub is open.
    pub connected: bool,
}

/// What the socket needs of the daemon.
#[derive(Debug, Clone)]
pub struct SocketContext {
    /// For runs, and to count what is held.
    pub spool: Spool,
    /// Rung after a run was put there.
    pub bell: Arc<Notify>,
    /// For what is watched.
    pub files: Arc<Files>,
    /// How the link stands.
    pub link: watch::Receiver<ConnectionStatus>,
    /// Where to, and as whom.
    pub setup: watch::Receiver<Setup>,
    /// What is in force: how a run's output is read.
    pub live: watch::Receiver<Arc<ReloadableConfig>>,
    /// Asks that the run files are read.
    pub look: mpsc::Sender<Look>,
    /// The runs by `exec` that go on.
    pub runs: runs::Reader,
    /// Proposes jobs to the hub.
    pub propose: mpsc::Sender<JobsRequest>,
    /// Asks the wiring for a reload.
    pub reload: mpsc::Sender<ReloadAsked>,
    /// Asks the wiring for the device's next key.
    pub rotate: mpsc::Sender<RotationAsked>,
    /// By which key the device is known.
    pub keys: watch::Receiver<KeyStatus>,
    /// Wall time.
    pub clock: Clock,
    /// How each worker is.
    pub workers: Workers,
    /// What each user may put into the spool.
    pub shares: Shares,
}

/// Why the socket cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the socket of the verbs cannot be made here (key `socket`)", path = path.display())]
pub struct SocketError {
    /// Where.
    pub path: PathBuf,
    /// The system's answer.
    #[source]
    pub source: std::io::Error,
}

/// Answers until `stop`, or until the socket cannot be used any more.
pub async fn run(
    listener: UnixListener,
    context: SocketContext,
    worker: Worker,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let duty = worker.duty("accept");
    let (mut connections, mut guests, mut places) = (JoinSet::new(), HashMap::new(), SocketPlaces::new());
    loop {
        worker.idle();
        let accepted = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Some(ended) = connections.join_next_with_id() => {
                if let Some(guest) = guests.remove(&ended.map_or_else(|e| e.id(), |(id, ())| id)) {
                    places.closed(guest);
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match duty.round(accepted, context.clock.now())? {
            Some((stream, _)) => {
                let peer = match Peer::of(&stream) {
                    Ok(peer) => peer,
                    Err(error) => {
                        tracing::debug!(%error, "somebody on the socket left at once");
                        continue;
                    }
                };
                let guest = if peer.is_admin { Guest::Admin } else { Guest::User(peer.uid) };
                match places.open(guest) {
                    Some(turn) => {
                        let id = connections.spawn(serve(stream, peer, turn, context.clone())).id();
                        guests.insert(id, guest);
                    }
                    None => refuse(&stream, peer),
                }
            }
            // Too many open files, most likely: some must be closed first.
            None => tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(duty.retry_after()) => {}
            },
        }
    }
}

fn refuse(stream: &UnixStream, peer: Peer) {
    let written = stream.try_write(TOO_MANY);
    tracing::debug!(uid = peer.uid, is_told = written.is_ok(), "too many connections of a user");
}

async fn serve(stream: UnixStream, peer: Peer, turn: Turn, context: SocketContext) {
    let Ok(Some(_served)) = timeout(PLACE_AFTER, turn.wait()).await else {
        return refuse(&stream, peer);
    };
    let answer = service_fn(|request| async { Ok::<_, Infallible>(context.answer(request, peer).await) });
    let conversation = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_AFTER)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    if let Ok(Err(error)) = timeout(CONNECTION_AFTER, conversation).await {
        tracing::debug!(%error, "a request on the socket broke off");
    }
}

type Reply = Response<Full<Body>>;

fn reply(status: StatusCode, body: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut reply = Response::new(Full::new(Body::from(body)));
    *reply.status_mut() = status;
    reply
}

fn refusal(status: StatusCode, detail: &str) -> Reply {
    reply(status, &serde_json::json!({ "status": status.as_u16(), "detail": detail }))
}

impl SocketContext {
    async fn answer(&self, request: Request<Incoming>, peer: Peer) -> Reply {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/identity") => reply(StatusCode::OK, &self.identity()),
            (&Method::POST, "/identity/rotate") if peer.is_admin => self.ask_rotation().await,
            (&Method::POST, "/identity/rotate") => refusal(
                StatusCode::FORBIDDEN,
                "only root, the daemon's user and the group olog-admin may change the device's key",
            ),
            (&Method::GET, "/status") => reply(StatusCode::OK, &self.status()),
            (&Method::POST, "/run") => {
                let body = timeout(BODY_AFTER, Limited::new(request.into_body(), REQUEST_MAX).collect()).await;
                let Ok(body) = body else {
                    return refusal(StatusCode::REQUEST_TIMEOUT, "the run did not come within 5 s");
                };
                match body.map(|body| serde_json::from_slice::<Run>(&body.to_bytes())) {
                    Ok(Ok(run)) => self.record(run, peer),
                    Ok(Err(e)) => refusal(StatusCode::BAD_REQUEST, &format!("not a run: {e}")),
                    Err(e) => refusal(StatusCode::PAYLOAD_TOO_LARGE, &e.to_string()),
                }
            }
            (&Method::POST, "/runs") => self.look_at_runs().await,
            (&Method::POST, "/jobs") if peer.is_admin => self.propose(request).await,
            (&Method::POST, "/jobs") => refusal(
                StatusCode::FORBIDDEN,
                "only root, the daemon's user and the group olog-admin may propose schedules",
            ),
            (&Method::POST, "/reload") if peer.is_admin => self.ask_reload().await,
            (&Method::POST, "/reload") => {
                refusal(StatusCode::FORBIDDEN, "only root, the daemon's user and the group olog-admin may reload")
            }
            _ => refusal(StatusCode::NOT_FOUND, "this agent does not know that verb: is it of another version?"),
        }
    }

    /// How the agent is.
    pub fn status(&self) -> Status {
        let (link, setup) = (self.link.borrow().clone(), self.setup.borrow().clone());
        let (held, files) = (self.spool.held(), self.files.status());
        let mut notes = files.notes;
        for note in self.spool.open_notes().unwrap_or_default() {
            if !notes.iter().any(|known| (&known.code, &known.path) == (&note.code, &note.path)) {
                notes.push(note);
            }
        }
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device: setup.name.to_string(),
            joined: setup.hub.is_some() && !link.revoked,
            hub: setup.hub.map(|hub| hub.base),
            connected: link.connected,
            trouble: link.trouble,
            skew: link.skew,
            spool: held.events,
            spool_bytes: held.bytes,
            epoch: self.spool.epoch(),
            last: self.spool.last(),
            acked: self.spool.acked(),
            watched_files: files.watched_files,
            watched_folders: files.watched_folders,
            runs: self.runs.running(),
            notes,
            workers: self.workers.statuses(Instant::now()),
        }
    }

    fn identity(&self) -> IdentityStatus {
        let keys = self.keys.borrow().clone();
        let next = self.setup.borrow().next_key.as_ref().map(SecretKey::public).filter(|next| *next != keys.key);
        IdentityStatus {
            fingerprint: keys.key.fingerprint(),
            next: next.map(|next| next.fingerprint()),
            trouble: keys.trouble.filter(|_| next.is_some()),
            connected: self.link.borrow().connected,
        }
    }

    async fn ask_rotation(&self) -> Reply {
        let (asked, answer) = oneshot::channel();
        if self.rotate.send(asked).await.is_err() {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping");
        }
        match answer.await {
            Ok(Ok(key)) => reply(StatusCode::OK, &key.fingerprint()),
            Ok(Err(words)) => refusal(StatusCode::CONFLICT, &words),
            Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping"),
        }
    }

    /// The run files are read now. `exec` rings when it has written one.
    async fn look_at_runs(&self) -> Reply {
        let (asked, looked) = oneshot::channel();
        if self.look.send(asked).await.is_err() || looked.await.is_err() {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping");
        }
        reply(StatusCode::OK, &serde_json::json!({}))
    }

    fn record(&self, run: Run, peer: Peer) -> Reply {
        let live = self.live.borrow().clone();
        let spool_max = live.files.spool_max;
        if self.spool.held().bytes >= spool_max {
            return refusal(StatusCode::INSUFFICIENT_STORAGE, "the spool is full (spool_max)");
        }
        if let Err(no) = self.share(peer, spool_max) {
            let status = match no {
                NoShare::Rate => StatusCode::TOO_MANY_REQUESTS,
                NoShare::Own | NoShare::All => StatusCode::INSUFFICIENT_STORAGE,
            };
            return refusal(status, &no.to_string());
        }
        let what = match run {
            Run::Started { task, run } => EventContent::RunStarted { task, run },
            Run::Ended(end) => end.ended.into_event(&end.task, &end.run, &live),
        };
        let stamp = boot::stamp(self.clock.now());
        if !runs::is_bounded(stamp, &what) {
            return refusal(StatusCode::BAD_REQUEST, "a text of the run is too long");
        }
        let mut batch = Batch::default();
        batch.emit(stamp, what, None);
        batch.attribute(0, &boot::author(peer.uid));
        match self.spool.put(&batch) {
            Ok(n) => {
                if !peer.is_admin {
                    self.shares.put(peer.uid, n, batch.size(), spool_max);
                }
                runs::log(&batch, n);
                self.bell.notify_one();
                reply(StatusCode::OK, &serde_json::json!({ "n": n }))
            }
            Err(error) => refusal(StatusCode::INSUFFICIENT_STORAGE, &error.to_string()),
        }
    }

    /// May this user put one more run into the spool?
    fn share(&self, peer: Peer, spool_max: u64) -> Result<(), NoShare> {
        if peer.is_admin {
            return Ok(());
        }
        self.shares.take_request(peer.uid, Instant::now())?;
        self.shares.room(peer.uid, self.spool.acked(), spool_max)
    }

    /// Schedules of jobs, for the hub. Administrators only: a task may be of any user.
    async fn propose(&self, request: Request<Incoming>) -> Reply {
        let body = timeout(BODY_AFTER, Limited::new(request.into_body(), REQUEST_MAX).collect()).await;
        let Ok(Ok(body)) = body else {
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, "the jobs did not come within 5 s, or are too many");
        };
        let proposed = match serde_json::from_slice::<Vec<ProposedJob>>(&body.to_bytes()) {
            Ok(proposed) if (1..=JOBS_MAX).contains(&proposed.len()) => proposed,
            Ok(_) => return refusal(StatusCode::BAD_REQUEST, "expected 1 to 100 jobs"),
            Err(error) => return refusal(StatusCode::BAD_REQUEST, &format!("not a list of jobs: {error}")),
        };
        let is_connected = self.link.borrow().connected;
        let became =
            if is_connected { jobs::propose(&self.propose, proposed).await } else { Err(NotProposed::NotConnected) };
        reply(StatusCode::OK, &became.map_or_else(Proposed::Not, Proposed::Answered))
    }

    async fn ask_reload(&self) -> Reply {
        let (asked, answer) = oneshot::channel();
        if self.reload.send(asked).await.is_err() {
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping");
        }
        match answer.await {
            Ok(Ok(())) => reply(StatusCode::OK, &()),
            Ok(Err(words)) => refusal(StatusCode::UNPROCESSABLE_ENTITY, &words),
            Err(_) => refusal(StatusCode::SERVICE_UNAVAILABLE, "the agent is stopping"),
        }
    }
}

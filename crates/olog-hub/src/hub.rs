//! The wiring of the hub: what is started, in which order, and what ends what. It knows every room; nothing knows it.
//!
//! Start: store, identity, certificate and ports first (each may fail, and says why), then the workers, each by name in a
//! `JoinSet`. Stop, in order: no new connection, sessions end and their events are committed; then ingest, outbox and the
//! watchman, which records that this stop was in order. A worker that ends before the stop, or panics, ends the process: the
//! service manager starts it again, and the next start repairs the rest.
//!
//! The configuration has one owner (`owner`): it is validated first, then published as a whole, or refused.

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use olog_daemon::{
    clock::Clock,
    config::ConfigFiles,
    failure::chain,
    socket as unix,
    workers::{STUCK_AFTER, Workers},
};
use olog_proto::Timestamp;
use olog_push::SystemCode;
use rustix::fs::{Access as FileAccess, AtFlags, CWD, accessat};
use tokio::{
    net::UnixListener,
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

mod alive;
mod heartbeat;
mod owner;

use crate::rules::quiet::QuietHours;
use crate::{
    access::{self, Access, AccessError},
    admin::{
        crash_report,
        socket::{self, Verbs},
    },
    apply::{self, LivePolicy},
    bell::Bell,
    config::{Boot, Config, DeclaredTask, Offline, ReloadableConfig, Tls, show_store},
    ingest::{Bells, Ingest},
    net::{
        enrol::{Enrol, EnrolError, link_base},
        identity::{Identities, identities},
        legacy::{LegacyTerms, clients::LegacyClients},
        listener::{InClear, KNOWN_MAX, Limits, ListenError, Listener, tls},
        packages::Packages,
        session::{Refusals, SessionContext},
        sessions::Sessions,
    },
    outbox,
    rules::{
        expect::{self, Plan},
        incident::AlertPolicy,
        incident_link::{IncidentLinks, LinkKey},
        liveness::OfflinePolicy,
    },
    store::{Opened, Store, StoreError, devices},
    stream::ChangeStream,
    timed::{indexer, reporter::Reporter, retention, watchman::Watchman},
    web::{self, Web},
};

/// For the connections to end, at a stop.
const EDGE_STOPS_AFTER: Duration = Duration::from_secs(10);
/// For ingest, watchman and outbox to end, at a stop.
const CORE_STOPS_AFTER: Duration = Duration::from_secs(15);
/// Who may connect to the socket of the verbs: its owner and group.
const SOCKET_MODE: u32 = 0o660;

/// Why the hub does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not by this user.
    #[error(
        "{path}: permission denied: become root or the user olog-hub, or set `state_dir` and `socket` to places of your own \
         in a file that you name with --config",
        path = path.display()
    )]
    Forbidden {
        /// Which.
        path: PathBuf,
    },
    /// A folder or file.
    #[error("cannot use {path}")]
    Path {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The store.
    #[error("cannot open the store {url}")]
    Store {
        /// Which, without its password.
        url: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The identity in the store.
    #[error("the hub has no identity")]
    Identity(#[source] EnrolError),
    /// The key of the links of notifications.
    #[error("there is no key for the links of notifications")]
    LinkKey(#[source] AccessError),
    /// The certificate.
    #[error("there is no certificate")]
    Tls(#[from] tls::TlsError),
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// Why a hub that ran ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// A worker ended before it was told to.
    #[error("{0} ended before the hub was stopped")]
    Early(&'static str),
    /// The store failed a worker for good.
    #[error("{worker} cannot go on")]
    Store {
        /// Who.
        worker: &'static str,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A worker panicked.
    #[error("a defect of the hub ended one of its workers")]
    Panic(#[source] JoinError),
}

use alive::StatusLine;
use heartbeat::HeartbeatWorker;
use owner::{Owner, Published, ReloadRequests};

/// The report of a large fleet takes its time, and one transaction of it is the longest step.
const REPORT_STUCK_AFTER: Duration = Duration::from_secs(600);

type WorkerEnd = (&'static str, Result<(), StoreError>);

/// A hub that runs.
#[derive(Debug)]
pub struct Hub {
    address: SocketAddr,
    /// Rung for a reload, as SIGHUP does.
    reload: Bell,
    edge: JoinSet<WorkerEnd>,
    core: JoinSet<WorkerEnd>,
    stop_edge: CancellationToken,
    stop_core: CancellationToken,
}

impl Hub {
    /// Starts a hub. With `source` it rereads its configuration.
    pub async fn start(config: Config, source: Option<ConfigFiles>, clock: Clock) -> Result<Hub, StartError> {
        // Before anything counts.
        web::figures();
        let boot = &config.boot;
        let store_url = show_store(&boot.store);
        let (store, opened) = open_store(&config, &store_url, clock.now()).await?;
        let identities = identities(&store).await.map_err(StartError::Identity)?;
        let mut certificate = certificate(&config)?;
        let (listener, verbs_listener) = ports(boot, certificate.as_ref())?;
        let address = listener.address();

        let (published, (live, rules, offline_policy, whole)) = Published::new(&config, link_key(&store, boot).await?);
        let (bells, sessions, workers) = (Bells::default(), Sessions::new(), Workers::default());
        let worker = |name: &str| workers.register(name, STUCK_AFTER);
        tell_recovered(&store, &store_url, rules.borrow().clone(), opened, clock.now()).await?;
        let (ingest, ingest_worker) = Ingest::new(store.clone(), rules.clone(), bells.clone(), clock.clone());
        let (stop_edge, stop_core) = (CancellationToken::new(), CancellationToken::new());
        let (key, bell) = (identities.present.public(), bells.watchman.clone());
        let enrol = Arc::new(Enrol::new(store.clone(), sessions.clone(), clock.clone(), key, bell));
        let desk = session_context(identities, ingest, &sessions, &clock, &stop_edge);
        let status = StatusLine::new(&store, &sessions, &live, &bells.watchman);
        let ((reload_asks, reload_requests), (refused_sender, refused)) = (mpsc::channel(8), watch::channel(None));
        let reporter = Reporter::new(&store, &rules, &live, &sessions, &clock, &bells.outbox);
        let access = Arc::new(Access::new(store.clone(), clock.clone()));
        let verbs = Verbs {
            access,
            reporter: reporter.clone(),
            enrol: enrol.clone(),
            store: store.clone(),
            sessions: sessions.clone(),
            live,
            rules: rules.clone(),
            bells: bells.clone(),
            clock: clock.clone(),
            address,
            tls: certificate.is_some(),
            print: certificate.as_ref().and_then(tls::Certificate::fingerprint),
            pin: certificate.as_ref().and_then(tls::Certificate::pin),
            packages: Arc::new(Packages::load(&boot.state_dir).await),
            store_url,
            reload: reload_asks,
            refused,
            workers: workers.clone(),
        };

        offer_setup(&verbs).await;
        let stream = ChangeStream::new(run_number(clock.now()));
        let web = web_context(&verbs, desk, stream.clone(), whole);
        let watchman = watchman(&verbs, offline_policy);
        let mut core = JoinSet::new();
        let (sweeps, indexing) = (worker("retention"), worker("indexer"));
        let kept = retention::run(store.clone(), verbs.live.clone(), clock.clone(), sweeps, stop_core.clone());
        named(&mut core, "retention", kept);
        named(&mut core, "indexer", indexer::run(store.clone(), clock.clone(), indexing, stop_core.clone()));
        endless(&mut core, "heartbeat", HeartbeatWorker::new(&verbs).run(stop_core.clone()));
        named(&mut core, "ingest", ingest_worker.with_pulse(worker("ingest")).run(stop_core.clone()));
        let mut edge = JoinSet::new();
        endless(&mut edge, "stream", stream.run(store.clone(), stop_edge.clone()));
        endless(&mut edge, "exchange", share_changes(store.clone(), stop_edge.clone()));
        endless(&mut edge, "listener", listen(listener, web, stop_edge.clone()));
        let path = boot.socket.clone();
        endless(&mut edge, "verbs", socket::run(verbs_listener, path, Arc::new(verbs), stop_edge.clone()));
        // Everything that can fail is behind us.
        let watchman = watchman.was_told_down(crash_report::clear(&boot.state_dir)).with_workers(&workers, STUCK_AFTER);
        named(&mut core, "watchman", watchman.run(stop_core.clone()));
        let reporter = reporter.with_status(&workers.register("reporter", REPORT_STUCK_AFTER));
        named(&mut core, "reporter", reporter.run(stop_core.clone()));
        let (bell, of_outbox) = (bells.outbox.clone(), workers.clone());
        let outbox = outbox::run(store.clone(), rules, bell, clock.clone(), of_outbox, stop_core.clone());
        named(&mut core, "outbox", outbox);
        endless(&mut core, "alive", alive::feed_watchdog(store.clone(), workers.clone(), stop_core.clone()));
        endless(&mut edge, "status", status.run(stop_edge.clone()));
        let reload = Bell::default();
        if let Some(source) = source {
            let asked = ReloadRequests { bell: reload.clone(), requests: reload_requests };
            let owner = Owner { source, config, published, store: store.clone(), refused: refused_sender };
            let owner = owner.run(asked, bells, certificate.take(), clock.clone(), stop_edge.clone());
            endless(&mut edge, "configuration", owner);
        } else {
            endless(&mut core, "configuration", published.stand(stop_core.clone()));
        }
        tracing::info!(%address, "the hub runs");
        Ok(Hub { address, reload, edge, core, stop_edge, stop_core })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Rung for a reload.
    pub fn reload(&self) -> Bell {
        self.reload.clone()
    }

    /// Returns only when a worker ended before it was told to.
    pub async fn failed(&mut self) -> Fatal {
        let ended = tokio::select! {
            Some(ended) = self.edge.join_next() => ended,
            Some(ended) = self.core.join_next() => ended,
        };
        match ended {
            Ok((worker, Ok(()))) => Fatal::Early(worker),
            Ok((worker, Err(source))) => Fatal::Store { worker, source },
            Err(panic) => Fatal::Panic(panic),
        }
    }

    /// Stops in order (the watchman writes that down). True: everything ended in time.
    pub async fn stop(mut self) -> bool {
        tracing::info!("the hub stops");
        self.stop_edge.cancel();
        let edge = timeout(EDGE_STOPS_AFTER, ends(&mut self.edge)).await;
        if edge.is_err() {
            tracing::warn!("connections did not end in time: cutting them");
            self.edge.abort_all();
        }
        self.stop_core.cancel();
        let core = timeout(CORE_STOPS_AFTER, ends(&mut self.core)).await;
        if core.is_err() {
            tracing::error!("the workers did not end in time; what they did not commit, the next start does again");
            return false;
        }
        edge.is_ok()
    }
}

/// While there is no user, one link by which the first one is made is in the journal. It is no reason not to start.
async fn offer_setup(verbs: &Verbs) {
    match verbs.access.setup_link().await {
        Ok(Some(secret)) => {
            let (base, _) = link_base(verbs.live.borrow().public_url.as_deref(), verbs.address, verbs.tls);
            tracing::warn!(
                "nobody can sign in yet: open {base}/setup/{} within 24 hours to make the first user, or run `olog-hub user add NAME`",
                secret.text()
            );
        }
        Ok(None) => {}
        Err(error) => tracing::error!(error = chain(&error), "there is no set-up link"),
    }
}

/// What all sessions share.
fn session_context(
    identities: Identities,
    ingest: Ingest,
    sessions: &Arc<Sessions>,
    clock: &Clock,
    stop: &CancellationToken,
) -> SessionContext {
    SessionContext {
        ingest,
        sessions: sessions.clone(),
        identity: identities.present,
        next_identity: identities.next.map(|next| next.public()),
        legacy_identity: identities.legacy,
        clock: clock.clone(),
        stop: stop.clone(),
        refusals: Refusals::default(),
    }
}

/// What the port serves.
fn web_context(
    verbs: &Verbs,
    desk: SessionContext,
    stream: Arc<ChangeStream>,
    config: watch::Receiver<Arc<Config>>,
) -> Web {
    Web {
        access: verbs.access.clone(),
        desk: Arc::new(desk),
        enrol: verbs.enrol.clone(),
        store: verbs.store.clone(),
        live: verbs.live.clone(),
        reload: verbs.reload.clone(),
        config,
        refused: verbs.refused.clone(),
        rules: verbs.rules.clone(),
        bells: verbs.bells.clone(),
        workers: verbs.workers.clone(),
        legacy: LegacyClients::default(),
        address: verbs.address,
        tls: verbs.tls,
        print: verbs.print,
        packages: verbs.packages.clone(),
        pin: verbs.pin.clone(),
        stream,
    }
}

/// Tells the other hubs of the store what this one commits, and hears them.
async fn share_changes(store: Store, stop: CancellationToken) {
    store.share_changes(stop).await;
}

/// A number that no other run has: the numbering of changes begins anew with each.
fn run_number(now: Timestamp) -> u64 {
    getrandom::u64().unwrap_or(now.0.cast_unsigned()).max(1)
}

fn watchman(beside: &Verbs, offline_policy: watch::Receiver<Arc<OfflinePolicy>>) -> Watchman {
    let Verbs { store, rules, sessions, clock, bells, .. } = beside;
    let (bell, outbox) = (bells.watchman.clone(), bells.outbox.clone());
    Watchman::new(store.clone(), rules.clone(), offline_policy, sessions.clone(), clock.clone(), bell, outbox)
}

async fn open_store(config: &Config, url: &str, now: Timestamp) -> Result<(Store, Opened), StartError> {
    let dir = &config.boot.state_dir;
    std::fs::create_dir_all(dir).map_err(|source| of_path(dir, source))?;
    let may = FileAccess::READ_OK | FileAccess::WRITE_OK | FileAccess::EXEC_OK;
    accessat(CWD, dir, may, AtFlags::EACCESS).map_err(|errno| of_path(dir, errno.into()))?;
    let opened = Store::open(&config.boot.store, now).await;
    opened.map_err(|source| StartError::Store { url: url.to_owned(), source })
}

fn of_path(path: &Path, source: std::io::Error) -> StartError {
    let path = path.to_path_buf();
    match source.kind() {
        std::io::ErrorKind::PermissionDenied => StartError::Forbidden { path },
        _ => StartError::Path { path, source },
    }
}

/// The port of the devices and the socket of the verbs.
fn ports(boot: &Boot, certificate: Option<&tls::Certificate>) -> Result<(Listener, UnixListener), StartError> {
    let listener = Listener::bind(boot.listen, certificate.map(tls::Certificate::serving), limits())?;
    let verbs = unix::bind(&boot.socket, SOCKET_MODE);
    let verbs = verbs.map_err(|source| of_path(&boot.socket, source))?;
    Ok((listener, verbs))
}

/// Serves the port: all routes, and beside TLS the old clients in clear, while `[legacy]` is enabled.
async fn listen(listener: Listener, web: Web, stop: CancellationToken) {
    match web.store.read(|tx| devices::addresses(tx, KNOWN_MAX)).await {
        Ok(addresses) => listener.remember(addresses),
        // Without them only a flood at this very start keeps known devices out.
        Err(error) => tracing::warn!(%error, "cannot read the addresses of the devices"),
    }
    let (live, proxies, web) = (web.live.clone(), web.live.clone(), Arc::new(web));
    let is_open = Arc::new(move || LegacyTerms::of(&live.borrow()).is_some());
    let is_proxy = Arc::new(move |address| proxies.borrow().trusts(address));
    let in_clear = InClear { app: web::legacy_router(web.clone()), is_open };
    listener.run(web::router(web), in_clear, is_proxy, stop).await;
}

fn named<F>(set: &mut JoinSet<WorkerEnd>, name: &'static str, worker: F)
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    set.spawn(async move { (name, worker.await) });
}

fn endless<F>(set: &mut JoinSet<WorkerEnd>, name: &'static str, worker: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    named(set, name, async move {
        worker.await;
        Ok(())
    });
}

async fn ends(set: &mut JoinSet<WorkerEnd>) {
    while let Some(ended) = set.join_next().await {
        match ended {
            Ok((worker, Err(error))) => tracing::error!(worker, %error, "a worker failed while the hub stops"),
            Ok((_, Ok(()))) => {}
            Err(error) => tracing::error!(%error, "a worker was cut or has a defect"),
        }
    }
}

/// As many connections as file descriptors allow, with some left for the store and the calls.
fn limits() -> Limits {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let limits = Limits::default();
    let connections = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(128).clamp(16, limits.connections);
    Limits { connections, strangers: connections / 2, ..limits }
}

fn certificate(config: &Config) -> Result<Option<tls::Certificate>, tls::TlsError> {
    let source = match &config.boot.tls {
        None => return Ok(None),
        Some(Tls::Files { cert, key }) => tls::CertificateSource::Files { cert: cert.clone(), key: key.clone() },
        Some(Tls::SelfSigned) => {
            let host = config.live.public_url.as_ref().and_then(|url| url::Url::parse(url).ok());
            let host = host.and_then(|url| url.host_str().map(|host| host.trim_matches(['[', ']']).to_owned()));
            let names = ["localhost".to_owned(), "olog-hub".to_owned()].into_iter().chain(host).collect();
            tls::CertificateSource::SelfSigned { dir: config.boot.state_dir.clone(), names }
        }
    };
    tls::Certificate::load(source).map(Some)
}

fn ms(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// How long each device may be silent.
pub(crate) fn patience_of(live: &ReloadableConfig) -> Arc<OfflinePolicy> {
    let own = live.devices.iter().filter_map(|device| {
        let after = match device.offline_after? {
            Offline::After(span) => Some(ms(span)),
            Offline::Never => None,
        };
        Some((device.name.to_string(), after))
    });
    Arc::new(OfflinePolicy { all: ms(live.alerts.offline_after), devices: own.collect() })
}

/// Notifications have links where a phone trusts the certificate of the pages.
async fn link_key(store: &Store, boot: &Boot) -> Result<Option<LinkKey>, StartError> {
    if matches!(boot.tls, Some(Tls::SelfSigned)) {
        return Ok(None);
    }
    access::link_key(store).await.map(Some).map_err(StartError::LinkKey)
}

/// What of the configuration decides about events. With `link_key` notifications have links to the pages below `public_url`.
pub(crate) fn rules_of(live: &ReloadableConfig, link_key: Option<&LinkKey>) -> Arc<LivePolicy> {
    let policy = AlertPolicy {
        resolve_after: ms(live.alerts.resolve_after),
        over_wait: ms(live.alerts.over_wait),
        remind_every: ms(live.alerts.remind_every),
        new_errors_per_hour: live.alerts.new_errors_per_hour,
        errors_in_a_row: 1,
        zone: live.timezone,
    };
    let plan = |task: &DeclaredTask| match &task.schedule {
        Some(schedule) => Plan::Scheduled { schedule: schedule.clone(), grace: ms(task.grace) },
        None => Plan::EachReport,
    };
    let plans = live.devices.iter().map(|device| {
        let tasks = device.tasks.iter().map(|task| (task.name.to_string(), plan(task))).collect();
        (device.name.to_string(), tasks)
    });
    let in_a_row = live.devices.iter().map(|device| {
        let own = device.tasks.iter().filter(|task| task.errors_in_a_row > 1);
        (device.name.to_string(), own.map(|task| (task.name.to_string(), task.errors_in_a_row)).collect())
    });
    let expect = expect::ExpectationPolicy {
        zone: live.timezone,
        report: live.report.when.schedule(),
        remind_every: policy.remind_every,
        plans: plans.collect(),
    };
    Arc::new(LivePolicy {
        quiet: live.alerts.quiet.and_then(|span| QuietHours::new(span, live.timezone)),
        policy,
        in_a_row: in_a_row.collect(),
        expect,
        limits: live.limits,
        channels: live.channels.clone(),
        language: live.language,
        timezone: live.timezone,
        links: live.public_url.as_deref().zip(link_key).map(|(url, key)| IncidentLinks::new(url, key.clone())),
    })
}

/// What an older version could not read is sent now; what log rotation made of tasks is proposed to be merged. Neither is a
/// reason not to start.
async fn tidy_up_after_older_versions(store: &Store, rules: Arc<LivePolicy>, now: Timestamp) {
    if let Err(error) = apply::unreadable::release_set_aside(store, now).await {
        tracing::warn!(%error, "what an older version could not read is not sent yet: the next start tries again");
    }
    if let Err(error) = store.write(move |tx| apply::ghosts::propose(tx, &rules, now)).await {
        tracing::warn!(%error, "tasks that log rotation made were not looked for");
    }
}

/// Tells that the store was damaged and kept aside; then what a new version does once with an older one's store.
async fn tell_recovered(
    store: &Store,
    url: &str,
    rules: Arc<LivePolicy>,
    opened: Opened,
    now: Timestamp,
) -> Result<(), StartError> {
    tidy_up_after_older_versions(store, rules.clone(), now).await;
    let Opened::Recovered { aside } = opened else { return Ok(()) };
    let path = [("path", aside.display().to_string())];
    let notice = apply::system_notice(None, SystemCode::StoreRecovered, &path, now);
    let told = store.write(move |tx| apply::enqueue_notice(tx, &rules, &notice, now)).await;
    told.map_err(|source| StartError::Store { url: url.to_owned(), source })
}

/// For `run`: the files that it makes are its own (the store holds the hub's identity), and it may open as many as the system
/// allows, since every agent takes one.
pub fn settle_process() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
    umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the number of open files stays as it is");
    }
}

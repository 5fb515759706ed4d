//! The wiring: starts the workers, owns them, reloads the configuration, stops them in order. It decides nothing.
//!
//! ```text
//! files (a thread) → spool → uplink        spool ‖ fallback        socket, runs → spool
//! ```
//!
//! At the start everything that can fail comes first, in the order in which an operator would check it: state_dir, key, spool,
//! socket, folders. A worker that ends early ends the process, and the service manager starts it again.
//!
//! The files of the configuration, and those with its secrets, are looked at every 5 s. A reload loads and checks on the side; then
//! every worker gets the new values at once, or none does and the old ones stay in force.
//!
//! The service manager's watchdog is fed while every worker moves and no duty has failed for good ([`Workers`]): the loop here is
//! not enough, since a thread that hangs in a file would leave it turning.

pub(crate) mod line;

use std::{io, path::Path, sync::Arc, time::Duration};

use olog_daemon::{
    clock::Clock,
    config::{ConfigFiles, Stamp},
    service,
    socket::bind,
    workers::Workers,
};
use olog_proto::{Note, PublicKey, Timestamp, event::Id128};
use olog_push::words::Language;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    boot,
    config::{self, Config, Fixed, ReloadableConfig},
    dial::Dialer,
    fallback::{self, Fallback, FallbackError},
    files::{Files, FilesError},
    identity::{self, IdentityError, RandomSource as _, SystemRandom},
    runs::{self, RunsError},
    socket::{self, ReloadAsked, RotationAsked, SocketContext, SocketError},
    spool::{Spool, SpoolError, spool_path},
    sweep::SKEW_MAX,
    uplink::{self, ConnectionStatus, KeyStatus, Setup, Uplink, UplinkError},
};

/// How often the files of the configuration, those with its secrets, and `hub.json` are looked at.
const CONFIG_EVERY: Duration = Duration::from_secs(5);
/// How often the workers' pulses are felt and the line for the service manager is renewed. What a person waits for (the link, a
/// reload) shows itself at once.
const TICK_EVERY: Duration = Duration::from_secs(30);
/// The files thread beats at every file, and every half minute without one.
const FILES_STUCK_AFTER: Duration = Duration::from_secs(120);
/// The others wait idle, or for one call.
const STUCK_AFTER: Duration = Duration::from_secs(300);
/// The link's longest step is a dial with its every address.
const UPLINK_STUCK_AFTER: Duration = Duration::from_secs(300);
/// In the spool's meta: the newest time on which this device and its hub agreed.
const NEWEST: &str = "newest_at";

/// What ends the process. systemd starts it anew.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The folder for everything that must last, the device's key, or its hub.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The socket cannot be bound.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The folders cannot be watched.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// The link cannot go on.
    #[error(transparent)]
    Uplink(#[from] UplinkError),
    /// The own push cannot go on.
    #[error(transparent)]
    Fallback(#[from] FallbackError),
    /// The runs of `exec` cannot be recorded.
    #[error(transparent)]
    Runs(#[from] RunsError),
    /// The socket accepts no connection any more.
    #[error("the socket of the verbs cannot be used any more")]
    Accept(#[source] io::Error),
    /// No random bytes for a new epoch.
    #[error("no random bytes")]
    RandomBytes(#[source] io::Error),
    /// A worker ended without being told to.
    #[error("{0} ended early")]
    Ended(String),
}

/// What comes to a running agent from outside.
#[derive(Debug, Clone, Default)]
pub struct Handle {
    /// Stop in order.
    pub stop: CancellationToken,
    /// Read the configuration anew.
    pub reload: Arc<Notify>,
}

/// The daemon: returns after a stop in order.
pub async fn run(source: ConfigFiles, config: Config, clock: Clock, handle: Handle) -> Result<(), Fatal> {
    let stamp = source.stamp();
    let Config { fixed, live } = config;
    let state_dir = &fixed.state_dir;
    identity::make_state_dir(state_dir)?;
    let key = identity::device_key(state_dir, &mut SystemRandom)?;
    let hub = identity::hub(state_dir)?;
    let spool = open_spool(state_dir)?;
    let listener = bind(&fixed.socket, 0o666).map_err(|source| SocketError { path: fixed.socket.clone(), source })?;
    let bell = Arc::new(Notify::new());
    let health = Workers::default();
    let worker = health.register("files", FILES_STUCK_AFTER);
    let files = Arc::new(Files::start(live.files.clone(), spool.clone(), bell.clone(), clock.clone(), worker)?);

    let (setup, setup_seen) = watch::channel(first_setup(hub, &live, state_dir));
    let (keys, keys_seen) = watch::channel(KeyStatus { key: key.public(), trouble: None });
    let (link, link_seen) = watch::channel(ConnectionStatus::default());
    let (live_sender, live) = watch::channel(live);
    let (reload, reload_asked) = mpsc::channel(4);
    let (rotate, rotation_asked) = mpsc::channel(4);
    let (look, look_asked) = mpsc::channel(16);
    let (propose, proposed) = mpsc::channel(uplink::jobs::QUEUE);
    let runs = runs::Reader::new(state_dir, spool.clone(), bell.clone(), live.clone(), clock.clone());
    let shares = runs.shares.clone();
    let uplink = Uplink {
        road: Dialer::new(clock.clone(), newest(&spool)),
        chance: SystemRandom,
        key,
        state_dir: state_dir.clone(),
        spool: spool.clone(),
        bell: bell.clone(),
        clock: clock.clone(),
        setup: setup_seen.clone(),
        proposed,
        link,
        keys,
        why: || service::StopReason::why().as_str(),
        worker: health.register("uplink", UPLINK_STUCK_AFTER),
    };
    let context = SocketContext {
        spool: spool.clone(),
        bell: bell.clone(),
        files: files.clone(),
        link: link_seen.clone(),
        setup: setup_seen,
        live: live.clone(),
        look,
        runs: runs.clone(),
        propose,
        reload,
        rotate,
        keys: keys_seen,
        clock: clock.clone(),
        workers: health.clone(),
        shares,
    };
    let fallback = own_push(&spool, &link_seen, live, &clock, &health);
    let workers =
        spawn_workers(uplink, fallback, (runs, look_asked), (listener, context.clone()), &health, &handle.stop);
    let agent = Agent {
        source,
        stamp,
        fixed,
        live: live_sender,
        clock,
        handle,
        spool,
        bell,
        files,
        setup,
        link: link_seen,
        context,
        health,
        shown: String::new(),
        reload_asked,
        rotation_asked,
        workers,
    };
    agent.watch().await
}

/// Where to and as whom, at the start. A device whose next key cannot be read goes on with the present one.
fn first_setup(hub: Option<identity::Hub>, live: &ReloadableConfig, state_dir: &Path) -> Setup {
    let next_key = identity::next_key(state_dir).unwrap_or_else(|error| {
        tracing::error!(%error, "the device's next key is not used");
        None
    });
    Setup { hub, name: live.device.clone(), address: live.address.clone(), next_key }
}

fn own_push(
    spool: &Spool,
    link: &watch::Receiver<ConnectionStatus>,
    live: watch::Receiver<Arc<ReloadableConfig>>,
    clock: &Clock,
    health: &Workers,
) -> Fallback<SystemRandom> {
    Fallback {
        spool: spool.clone(),
        link: link.clone(),
        live,
        clock: clock.clone(),
        chance: SystemRandom,
        pause: fallback::PAUSE,
        worker: health.register("own push", STUCK_AFTER),
    }
}

/// Every worker that is a task; the files have a thread of their own.
fn spawn_workers(
    uplink: Uplink<Dialer, SystemRandom>,
    fallback: Fallback<SystemRandom>,
    (runs, look_asked): (runs::Reader, mpsc::Receiver<runs::Look>),
    (listener, context): (tokio::net::UnixListener, SocketContext),
    health: &Workers,
    stop: &CancellationToken,
) -> JoinSet<Result<&'static str, Fatal>> {
    let mut workers = JoinSet::new();
    let own = stop.clone();
    workers.spawn(async move { uplink.run(own).await.map_err(Fatal::from).map(|()| "uplink") });
    let own = stop.clone();
    workers.spawn(async move { fallback.run(own).await.map_err(Fatal::from).map(|()| "own push") });
    let own = stop.clone();
    let worker = health.register("runs", STUCK_AFTER);
    workers.spawn(async move { runs::run(runs, look_asked, worker, own).await.map_err(Fatal::from).map(|()| "runs") });
    let own = stop.clone();
    let worker = health.register("socket", STUCK_AFTER);
    workers.spawn(async move {
        let ended = socket::run(listener, context, worker, own).await;
        ended.map_err(Fatal::Accept).map(|()| "socket")
    });
    workers
}

struct Agent {
    source: ConfigFiles,
    stamp: Stamp,
    fixed: Fixed,
    live: watch::Sender<Arc<ReloadableConfig>>,
    clock: Clock,
    handle: Handle,
    spool: Spool,
    bell: Arc<Notify>,
    files: Arc<Files>,
    setup: watch::Sender<Setup>,
    link: watch::Receiver<ConnectionStatus>,
    context: SocketContext,
    /// The workers that the watchdog looks at.
    health: Workers,
    /// The line that the service manager shows.
    shown: String,
    reload_asked: mpsc::Receiver<ReloadAsked>,
    rotation_asked: mpsc::Receiver<RotationAsked>,
    workers: JoinSet<Result<&'static str, Fatal>>,
}

impl Agent {
    async fn watch(mut self) -> Result<(), Fatal> {
        let mut tick = interval(service::watchdog_every().unwrap_or(TICK_EVERY).min(TICK_EVERY));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut config_tick = interval(CONFIG_EVERY);
        config_tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.shown = self.line();
        service::ready(Some(&self.shown));
        let (device, version) = (self.setup.borrow().name.clone(), env!("CARGO_PKG_VERSION"));
        tracing::info!(%device, version, "started: {}", self.line_in(Language::En));
        let ended = loop {
            tokio::select! {
                // First, so that workers which end because of it are not taken for early ones.
                biased;
                () = self.handle.stop.cancelled() => break Ok(()),
                Some(worker) = self.workers.join_next() => break Err(early(worker)),
                why = self.files.failed() => break Err(Fatal::Ended(format!("the thread of the files ({why})"))),
                () = self.handle.reload.notified() => {
                    service::reloading();
                    // What is wrong has been logged and noted.
                    let _told = self.reload();
                    self.shown = self.line();
                    service::ready(Some(&self.shown));
                }
                Some(asked) = self.reload_asked.recv() => {
                    let done = self.reload();
                    if asked.send(done).is_err() {
                        tracing::debug!("who asked for a reload did not wait for its end");
                    }
                }
                Some(asked) = self.rotation_asked.recv() => {
                    if asked.send(self.rotate()).is_err() {
                        tracing::debug!("who asked for a new key did not wait for it");
                    }
                }
                changed = self.link.changed() => match changed {
                    Ok(()) => self.link_changed(),
                    Err(_) => break Err(Fatal::Ended("uplink".into())),
                },
                _ = config_tick.tick() => self.check_config(),
                _ = tick.tick() => self.tick(),
            }
        };
        self.stop(ended).await
    }

    /// Says goodbye, lets the workers end, then the files thread; the spool holds the rest.
    async fn stop(mut self, ended: Result<(), Fatal>) -> Result<(), Fatal> {
        service::stopping();
        self.handle.stop.cancel();
        while let Some(worker) = self.workers.join_next().await {
            match worker {
                Ok(Ok(name)) => tracing::debug!(name, "ended"),
                Ok(Err(error)) => tracing::error!(%error, "a worker failed while stopping"),
                Err(error) => tracing::error!(%error, "a worker panicked while stopping"),
            }
        }
        if let Err(error) = std::fs::remove_file(&self.fixed.socket) {
            tracing::debug!(%error, "the socket's file stays");
        }
        // The socket's context holds the files thread too.
        let Agent { files, context, .. } = self;
        drop(context);
        if let Some(files) = Arc::into_inner(files) {
            files.stop();
        }
        ended
    }

    /// A changed file is a reload; `join` may have been called meanwhile.
    fn check_config(&mut self) {
        let stamp = self.source.stamp();
        if stamp != self.stamp {
            let _told = self.reload();
        } else {
            self.look_for_hub();
        }
    }

    /// Everything that can fail first; then all of it.
    fn reload(&mut self) -> Result<(), String> {
        let before = self.source.stamp();
        let config = config::load(&self.source);
        self.stamp = self.source.stamp_after(before);
        let config = config.map_err(|invalid| self.refused(&invalid.to_string()))?;
        if config.fixed != self.fixed {
            return Err(self.refused("state_dir and socket cannot change while the agent runs: it needs a restart"));
        }
        log_changes(&self.live.borrow().effective, &config.live.effective);
        let live = config.live;
        self.files.reload(live.files.clone());
        self.setup.send_if_modified(|setup| {
            let differs = setup.name != live.device || setup.address != live.address;
            setup.name = live.device.clone();
            setup.address.clone_from(&live.address);
            differs
        });
        self.live.send_replace(live);
        self.look_for_hub();
        Ok(())
    }

    /// Makes the device's next key, or takes the one that was made; the next session announces it, and begins now.
    fn rotate(&self) -> Result<PublicKey, String> {
        if self.setup.borrow().hub.is_none() {
            return Err("this device has not joined a hub: there is nobody to announce a new key to".to_owned());
        }
        let next = identity::make_next_key(&self.fixed.state_dir, &mut SystemRandom);
        let next = next.map_err(|error| error.to_string())?;
        let key = next.public();
        tracing::info!(key = %key.fingerprint(), "the device's next key is stored, and is announced to the hub");
        self.setup.send_modify(|setup| setup.next_key = Some(next));
        Ok(key)
    }

    fn refused(&self, words: &str) -> String {
        tracing::error!("the new configuration is refused, the old one stays in force:\n{words}");
        let text = words.chars().take(1000).collect();
        let path = Some(self.source.main().display().to_string());
        self.note(Note { code: "config_refused".into(), path, text, over: false, once: true });
        words.to_owned()
    }

    fn note(&self, note: Note) {
        match self.spool.put_note(note, boot::stamp(self.clock.now())) {
            Ok(_) => self.bell.notify_one(),
            Err(error) => tracing::error!(%error, "a note cannot be stored"),
        }
    }

    /// `join` may have been called meanwhile, by another process.
    fn look_for_hub(&mut self) {
        match identity::hub(&self.fixed.state_dir) {
            Ok(hub) => {
                let news = self.setup.send_if_modified(|setup| {
                    let differs = setup.hub != hub;
                    setup.hub.clone_from(&hub);
                    differs
                });
                if news {
                    let setup = self.setup.borrow();
                    let hub = setup.hub.as_ref().map_or("none", |hub| hub.base.as_str());
                    tracing::info!(device = %setup.name, hub, "joined {hub}");
                }
            }
            Err(error) => tracing::error!(%error, "where the hub is cannot be read"),
        }
    }

    fn link_changed(&mut self) {
        let link = self.link.borrow_and_update().clone();
        let skew = link.skew.filter(|_| link.connected);
        self.files.hub_clock(skew);
        let confirmed = skew.is_some_and(|skew| skew.abs() <= SKEW_MAX);
        if confirmed && let Err(error) = self.spool.set_meta(NEWEST, &self.clock.now().0.to_string()) {
            tracing::warn!(%error, "the time cannot be stored");
        }
        // Who has just joined looks at it.
        self.show();
    }

    /// Feeds the watchdog while everybody moves, and shows what else has changed.
    fn tick(&mut self) {
        let stopped_by = self.health.stopping_the_beat(Instant::now());
        if stopped_by.is_empty() {
            service::alive();
        } else {
            let stopped_by = stopped_by.join(", ");
            tracing::error!(stopped_by, "a worker is stuck or has failed for too long: the watchdog is not fed");
        }
        self.show();
    }

    /// Shows what has changed.
    fn show(&mut self) {
        if service::is_there() {
            let line = self.line();
            if line != self.shown {
                service::status(&line);
                self.shown = line;
            }
        }
    }

    /// One line for `systemctl status`.
    fn line(&self) -> String {
        self.line_in(Language::of_terminal())
    }

    fn line_in(&self, language: Language) -> String {
        line::line(language, &self.context.status(), line::hub_is_here())
    }
}

/// Which lines of the effective configuration are new; secrets are masked in it.
fn log_changes(before: &str, after: &str) {
    let mut kept: Vec<&str> = before.lines().collect();
    let is_new = |line: &&str| match kept.iter().position(|known| known == line) {
        Some(i) => {
            kept.swap_remove(i);
            false
        }
        None => true,
    };
    let new: Vec<&str> = after.lines().filter(is_new).take(10).collect();
    if before == after {
        tracing::debug!("the configuration was read anew: as it was");
    } else {
        tracing::info!(now = new.join(", "), "the configuration changed");
    }
}

fn early(worker: Result<Result<&'static str, Fatal>, tokio::task::JoinError>) -> Fatal {
    match worker {
        Ok(Ok(name)) => Fatal::Ended(name.to_owned()),
        Ok(Err(fatal)) => fatal,
        Err(panic) => Fatal::Ended(panic.to_string()),
    }
}

fn open_spool(state_dir: &Path) -> Result<Spool, Fatal> {
    let mut epoch = [0; 16];
    SystemRandom.fill(&mut epoch).map_err(Fatal::RandomBytes)?;
    let (spool, opened) = Spool::open(&spool_path(state_dir), Id128(epoch))?;
    tracing::debug!(?opened, "the spool is open");
    Ok(spool)
}

fn newest(spool: &Spool) -> Timestamp {
    let stored = spool.meta(NEWEST).ok().flatten();
    Timestamp(stored.and_then(|ms| ms.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests;

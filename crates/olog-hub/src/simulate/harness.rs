//! The harness of a simulation: the hub's real workers on a temporary database, with a manual clock.
//!
//! Nothing here decides what is told: devices connect through `ingest` and `net/sessions`, the watchman and the reporter do what is
//! due, dispatchers claim, merge, keep to rate limit and budget, and record the services' answers. Only three things are
//! simulated: the clock, the devices' connections, and the services' answers ([`Services`]). A call takes [`CALL_TAKES`], so
//! what happens during a call is merged as it would be in reality.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use olog_daemon::clock::{Clock, ClockHandle};
use olog_daemon::workers::Worker;
use olog_proto::event::Id128;
use olog_proto::identity::SecretKey;
use olog_proto::{Event, EventContent, Timestamp};
use olog_push::{Answer, Message, Receiver, Refusal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::scenario::{Scenario, ServiceState, SimDevice};
use super::{PlayError, wire};
use crate::apply::LivePolicy;
use crate::bell::Bell;
use crate::config::ReloadableConfig;
use crate::hub;
use crate::ingest::{Bells, Connected, Ingest};
use crate::net::enrol::{Enrol, JoinRequest, LinkRequest};
use crate::net::sessions::{AuthenticatedDevice, SeatGuard, Sessions};
use crate::outbox::{self, Dispatcher, FakeAnswers, Next};
use crate::rules::liveness::OfflinePolicy;
use crate::store::devices::{DeviceId, SessionStart};
use crate::store::{Store, StoreError};
use crate::timed::reporter::Reporter;
use crate::timed::watchman::Watchman;

/// How long a service takes to answer, in ms.
const CALL_TAKES: i64 = 200;
/// Old rows are looked for this often.
const GIVE_UP_EVERY: i64 = 3_600_000;
/// Calls of one dispatcher at one instant, before it is said that it never rests.
const TURNS_MAX: usize = 100_000;

/// The hub's workers, and what is played around them.
pub(super) struct Harness {
    pub(super) store: Store,
    pub(super) rules: Arc<LivePolicy>,
    pub(super) services: Arc<Services>,
    clock: Clock,
    hand: Arc<ClockHandle>,
    sessions: Arc<Sessions>,
    ingest: Ingest,
    watchman: Watchman,
    reporter: Reporter,
    senders: Vec<(Dispatcher, Option<Timestamp>)>,
    actors: BTreeMap<String, SimulatedAgent>,
    /// What is in force now, published; nobody is told anything before [`Harness::tell`].
    in_force: watch::Sender<Arc<LivePolicy>>,
    watchman_next: Option<Timestamp>,
    report_next: Option<Timestamp>,
    give_up_next: Timestamp,
    begun: (Instant, Timestamp),
    /// A connected device answers every question until then.
    end: Timestamp,
    workers: JoinSet<Result<(), StoreError>>,
    stop: CancellationToken,
    _kept: (watch::Sender<Arc<ReloadableConfig>>, watch::Sender<Arc<OfflinePolicy>>, tempfile::TempDir),
}

/// A device and its agent's spool.
struct SimulatedAgent {
    id: DeviceId,
    key: SecretKey,
    device: SimDevice,
    peer: IpAddr,
    boot: u8,
    booted_at: Timestamp,
    n: u64,
    /// Here: its session.
    place: Option<SeatGuard>,
    /// Away: what it keeps.
    kept: Vec<Event>,
    files: wire::Files,
}

/// Answers in the place of every channel's service, and writes down what it was asked.
#[derive(Debug)]
pub(super) struct Services {
    hand: Arc<ClockHandle>,
    clock: Clock,
    state: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    all: Option<ServiceState>,
    each: HashMap<String, ServiceState>,
    calls: Vec<Call>,
}

/// A call that was made.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) at: Timestamp,
    pub(super) channel: String,
    pub(super) message: Message,
    pub(super) answers: Vec<(Receiver, Answer)>,
}

impl Services {
    fn played(&self) -> std::sync::MutexGuard<'_, Calls> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it answers from now on.
    pub(super) fn set(&self, channel: Option<&str>, state: ServiceState) {
        let mut played = self.played();
        match channel {
            Some(channel) => drop(played.each.insert(channel.to_owned(), state)),
            None => {
                played.each.clear();
                played.all = Some(state);
            }
        }
    }

    /// What was called since this was last asked.
    pub(super) fn calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.played().calls)
    }
}

impl FakeAnswers for Services {
    fn answer(&self, channel: &str, message: &Message, to: &[Receiver]) -> Vec<(Receiver, Answer)> {
        let at = self.clock.now();
        self.hand.advance(CALL_TAKES);
        let mut played = self.played();
        let state = played.each.get(channel).or(played.all.as_ref()).cloned().unwrap_or(ServiceState::Well);
        let mut is_first = true;
        let mut of_one = || match &state {
            ServiceState::Well => Answer::Accepted { words: "ok".to_owned() },
            ServiceState::Down(why) => Answer::Later { after: None, why: why.clone() },
            // One receiver is refused; the others are as they were.
            ServiceState::Refuses(Refusal::Receiver, _) if !std::mem::take(&mut is_first) => {
                Answer::Accepted { words: "ok".to_owned() }
            }
            ServiceState::Refuses(class, why) => Answer::Refused { class: *class, why: why.clone() },
        };
        let answers: Vec<_> = to.iter().map(|receiver| (receiver.clone(), of_one())).collect();
        let (channel, message) = (channel.to_owned(), message.clone());
        played.calls.push(Call { at, channel, message, answers: answers.clone() });
        answers
    }
}

impl Harness {
    /// Sets it up at the scenario's start: everybody has joined and is here.
    pub(super) async fn set_up(scenario: &Scenario, live: Arc<ReloadableConfig>) -> Result<Harness, PlayError> {
        let folder = tempfile::Builder::new().prefix("olog-simulate-").tempdir().map_err(PlayError::Folder)?;
        let (clock, hand) = Clock::manual(scenario.start);
        let hand = Arc::new(hand);
        let store = Store::scratch(folder.path().join("olog.db"), scenario.start).await?;
        let rules = hub::rules_of(&live, None);
        let before = hub::rules_of(&ReloadableConfig { channels: Vec::new(), ..(*live).clone() }, None);
        let (in_force, rules_seen) = watch::channel(before);
        let (live_sender, live_seen) = watch::channel(live.clone());
        let (patience_sender, offline_policy) = watch::channel(hub::patience_of(&live));
        let (sessions, bells, stop) = (Sessions::new(), Bells::default(), CancellationToken::new());
        let (ingest, worker) = Ingest::new(store.clone(), rules_seen.clone(), bells.clone(), clock.clone());
        let mut workers = JoinSet::new();
        workers.spawn(worker.run(stop.clone()));
        let reporter = Reporter::new(&store, &rules_seen, &live_seen, &sessions, &clock, &bells.outbox);
        let watchman = Watchman::new(
            store.clone(),
            rules_seen,
            offline_policy,
            sessions.clone(),
            clock.clone(),
            bells.watchman.clone(),
            bells.outbox.clone(),
        );
        let services =
            Arc::new(Services { hand: hand.clone(), clock: clock.clone(), state: Mutex::new(Calls::default()) });
        let begun = (Instant::now(), scenario.start);
        let mut senders = Vec::new();
        for channel in &rules.channels {
            let (rules, channel, status) = (rules.clone(), channel.clone(), Worker::default());
            let (bell, stop) = (Bell::default(), stop.clone());
            let sender = Dispatcher::new(store.clone(), rules, channel, bell, clock.clone(), status, stop);
            let sender = sender.answered_by(services.clone());
            sender.begin().await?;
            senders.push((sender, None));
        }
        let mut harness = Harness {
            store,
            rules,
            services,
            clock,
            hand,
            sessions,
            ingest,
            watchman,
            reporter,
            senders,
            actors: BTreeMap::new(),
            in_force,
            watchman_next: None,
            report_next: Some(scenario.start),
            give_up_next: scenario.start.plus(GIVE_UP_EVERY),
            begun,
            end: scenario.end,
            workers,
            stop,
            _kept: (live_sender, patience_sender, folder),
        };
        harness.join_all(&scenario.devices).await?;
        harness.watchman.devices_are_known().await?;
        harness.run_due().await?;
        Ok(harness)
    }

    async fn join_all(&mut self, devices: &[SimDevice]) -> Result<(), PlayError> {
        let hub = SecretKey::from_seed([0xff; 32]);
        let enrol =
            Enrol::new(self.store.clone(), self.sessions.clone(), self.clock.clone(), hub.public(), Bell::default());
        let uses = u32::try_from(devices.len()).unwrap_or(u32::MAX).max(1);
        let request = LinkRequest { device: None, expires: 3600, uses, local: false, install: false };
        let link = enrol.link(request, "https://localhost".to_owned(), None, "simulate").await?;
        for (i, device) in devices.iter().enumerate() {
            let mut seed = [0; 32];
            let i = u32::try_from(i).unwrap_or(u32::MAX);
            for (place, byte) in seed.iter_mut().zip(i.to_be_bytes()) {
                *place = byte;
            }
            let key = SecretKey::from_seed(seed);
            // Whoever is not said to be behind something has an address of its own.
            let peer = device.behind.unwrap_or(IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + i)));
            let (name, address) = (device.name.clone(), device.address.clone());
            enrol.join(peer, JoinRequest { secret: link.secret, name, address, key: key.public() }).await?;
            let actor = SimulatedAgent {
                id: DeviceId(0),
                key,
                device: device.clone(),
                peer,
                boot: 1,
                booted_at: self.now(),
                n: 0,
                place: None,
                kept: Vec::new(),
                files: wire::Files::default(),
            };
            self.actors.insert(device.name.to_string(), actor);
            self.connect(device.name.as_str()).await?;
        }
        Ok(())
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What is due next by itself.
    pub(super) fn next(&self) -> Timestamp {
        let senders = self.senders.iter().filter_map(|(_, next)| *next);
        let own = [self.watchman_next, self.report_next].into_iter().flatten();
        // Whatever asks to be looked at again at this very instant gets the next one.
        own.chain(senders).fold(self.give_up_next, Timestamp::min).max(self.now().plus(1))
    }

    /// Moves the clock on; it never goes back.
    pub(super) fn advance_to(&self, at: Timestamp) {
        if at > self.now() {
            self.hand.set(at);
        }
    }

    /// From now on people are told.
    pub(super) fn enable_channels(&self) {
        self.in_force.send_replace(self.rules.clone());
    }

    /// The watchman and the reporter do what is due.
    pub(super) async fn run_due(&mut self) -> Result<(), PlayError> {
        self.watchman_next = self.watchman.do_what_is_due().await?;
        let now = self.now();
        while self.report_next.is_some_and(|next| next <= now) {
            self.report_next = Some(self.reporter.run_due(now).await?);
        }
        if self.give_up_next <= now {
            outbox::give_up(&self.store, &self.rules, now).await?;
            self.give_up_next = now.plus(GIVE_UP_EVERY);
        }
        Ok(())
    }

    /// Every channel takes its turn until nothing is left to do at this instant. True if there was a call.
    pub(super) async fn send(&mut self) -> Result<bool, PlayError> {
        let mut is_any = false;
        for _ in 0..TURNS_MAX {
            let mut again = false;
            for (sender, next) in &mut self.senders {
                let passed = self.clock.now().since(self.begun.1);
                let instant = self.begun.0 + Duration::from_millis(u64::try_from(passed).unwrap_or(0));
                *next = match sender.turn(instant).await? {
                    Next::Now => {
                        again = true;
                        None
                    }
                    Next::AfterLimit(wait) => {
                        let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
                        Some(self.clock.now().plus(wait.saturating_add(1)))
                    }
                    Next::At(at) => Some(at),
                };
            }
            if !again {
                return Ok(is_any);
            }
            is_any = true;
        }
        Err(PlayError::Restless)
    }

    /// The device has a session, and brings what it kept.
    pub(super) async fn connect(&mut self, name: &str) -> Result<(), PlayError> {
        let now = self.now();
        let Some(actor) = self.actors.get_mut(name) else { return Ok(()) };
        if actor.place.is_some() {
            return Ok(());
        }
        let reservation = self.sessions.reservation();
        let hello = SessionStart {
            key: actor.key.public(),
            name: actor.device.name.clone(),
            address: actor.device.address.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: Id128([1; 16]),
            last: actor.n,
            boot: Id128([actor.boot; 16]),
            up: u64::try_from(now.since(actor.booted_at)).unwrap_or(0),
            peer: actor.peer,
            skew_ms: 0,
            now,
        };
        let Connected::Known { device, .. } = self.ingest.connect(hello).await? else { return Ok(()) };
        actor.id = device;
        let who = AuthenticatedDevice { device, boot: Id128([actor.boot; 16]), peer: actor.peer, skew_ms: 0 };
        let (place, _) = self.sessions.take(reservation, who, now);
        place.seat().heard(self.end.max(now));
        actor.place = Some(place);
        let kept = std::mem::take(&mut actor.kept);
        if !kept.is_empty() {
            self.ingest.events(device, Id128([1; 16]), 0, kept).await?;
        }
        Ok(())
    }

    /// Nothing more is heard of the device.
    pub(super) async fn disconnect(&mut self, name: &str, says_bye: bool) {
        let now = self.now();
        if let Some(actor) = self.actors.get_mut(name)
            && let Some(place) = actor.place.take()
        {
            drop(place);
            let (bye, why) = if says_bye { (Some("shutdown".to_owned()), "bye") } else { (None, "silent") };
            self.ingest.disconnected(actor.id, bye, why.to_owned(), now).await;
        }
    }

    /// It was switched off and on.
    pub(super) fn reboot(&mut self, name: &str) {
        let now = self.now();
        if let Some(actor) = self.actors.get_mut(name) {
            actor.boot = actor.boot.wrapping_add(1).max(1);
            actor.booted_at = now;
        }
    }

    /// What the device's agent makes of it goes to the hub, or is kept until the device is back.
    pub(super) async fn happens(
        &mut self,
        name: &str,
        at: Timestamp,
        make: impl FnOnce(&mut wire::Files) -> EventContent,
    ) -> Result<(), PlayError> {
        let Some(actor) = self.actors.get_mut(name) else { return Ok(()) };
        actor.n += 1;
        let up = u64::try_from(at.since(actor.booted_at)).unwrap_or(0);
        let what = make(&mut actor.files);
        let event = Event {
            n: actor.n,
            at: olog_proto::DeviceTime(at),
            boot: Id128([actor.boot; 16]),
            up,
            what,
            by: None,
            pushed: None,
        };
        if actor.place.is_none() {
            actor.kept.push(event);
            return Ok(());
        }
        self.ingest.events(actor.id, Id128([1; 16]), 0, vec![event]).await?;
        Ok(())
    }

    /// The curtain.
    pub(super) async fn strike(mut self) -> Result<(), PlayError> {
        self.stop.cancel();
        while let Some(done) = self.workers.join_next().await {
            done.map_err(|e| StoreError::Refused(e.to_string()))??;
        }
        Ok(())
    }
}

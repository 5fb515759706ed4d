//! The connection to the hub: sends the events of the spool, deletes what the hub has acknowledged, reconnects for ever.
//!
//! One session after the other. A session sends every event that the spool holds, in the order of their numbers, at most a window of
//! them without an acknowledgement. After a broken connection the next session sends the rest again under the same numbers, so delivery is
//! at least once, and the hub recognises repetitions by the number.
//!
//! Only an `ack` for something that this session has sent deletes events from the spool. An `ack` for more is an error of the hub: it ends
//! the session and deletes nothing.
//!
//! Between two sessions there is a jittered back-off of at most 10 s (`BACK_OFF_MAX`), 5 min for a device that the hub has
//! forgotten (`REVOKED_AFTER`). A new configuration or a `join` ends the wait.
//!
//! If the device has a next key, a session announces it first. The device changes to it once the hub has said that it is stored
//! ([`Rotation`]), and begins a new session with it at once.
//!
//! Owns the connection. Uses the spool only through its public functions, knows nothing of log files, and reads no clock but its own.

mod enter;
pub mod jobs;
mod meter;
mod rotation;

use std::{future::poll_fn, io, path::PathBuf, pin::Pin, sync::Arc, task::Poll, time::Duration};

use futures_util::{Sink as _, SinkExt as _, Stream as _};
use olog_daemon::{
    clock::Clock,
    failure::{Consequence, Failure},
    workers::Worker,
};
use olog_proto::{
    AgentFrame, DeviceName, FRAME_EVENTS_MAX, HubFrame, Nonce, Note, SecretKey, WINDOW_MAX,
    frame::{JOBS, Refusal},
};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::CancellationToken;

use enter::Socket;
pub use enter::{EnterError, HubKeys, Introduction, Welcome, enter, greet, refusal_words};
use jobs::JobsRequest;
pub use rotation::KeyStatus;
use rotation::Rotation;

use crate::{
    boot,
    dial::{Connector, DialError, Target},
    identity::{self, Hub, RandomSource},
    spool::{Spool, SpoolError},
};

/// No wait between two attempts is longer.
const BACK_OFF_MAX: Duration = Duration::from_secs(10);
const BACK_OFF_MIN: Duration = Duration::from_millis(250);
/// A device that the hub has forgotten asks only this often whether that is still so.
const REVOKED_AFTER: Duration = Duration::from_secs(300);
/// A wait shows that it is one this often.
const REST_STEP: Duration = Duration::from_secs(60);
/// Bytes of events in one frame: small enough that a slow line is never silent for long.
const BATCH_BYTES: usize = 128 * 1024;
/// That the hub asked for new numbers is told once in this time.
const EPOCH_NOTE_EVERY: Duration = Duration::from_secs(3600);
/// Characters that are shown of why there is no session: at most 200 of the hub, and the agent's own words around them.
const WHY_MAX: usize = 400;
/// How long a `bye` may take.
const BYE_AFTER: Duration = Duration::from_secs(2);
/// The hub's word for how often it pings is taken within these bounds.
const PING_EVERY: (u64, u64) = (100, 60_000);

/// What an operator can change while the daemon runs.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The hub, once joined.
    pub hub: Option<Hub>,
    /// The name that the device would like to have.
    pub name: DeviceName,
    /// How to reach it by ssh.
    pub address: Option<String>,
    /// The key that it shall have next, stored in `state_dir`.
    pub next_key: Option<SecretKey>,
}

/// How the link stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectionStatus {
    /// A session is open.
    pub connected: bool,
    /// What is wrong, if something is; for a person.
    pub trouble: Option<String>,
    /// The hub's clock less this device's at the last welcome, in milliseconds.
    pub skew: Option<i64>,
    /// The hub said that it does not know this device any more.
    pub revoked: bool,
}

/// The worker.
pub struct Uplink<R, C> {
    /// How the hub is reached.
    pub road: R,
    /// For nonces and jitter.
    pub chance: C,
    /// The device's key.
    pub key: SecretKey,
    /// Where the hub's keys are stored.
    pub state_dir: PathBuf,
    /// What is to be sent.
    pub spool: Spool,
    /// Rung when something was put into the spool.
    pub bell: Arc<Notify>,
    /// Wall time.
    pub clock: Clock,
    /// Where to, and as whom.
    pub setup: watch::Receiver<Setup>,
    /// Schedules of jobs that an administrator of this device proposes to the hub.
    pub proposed: mpsc::Receiver<JobsRequest>,
    /// How it stands, for whoever wants to know.
    pub link: watch::Sender<ConnectionStatus>,
    /// By which key the device is known.
    pub keys: watch::Sender<KeyStatus>,
    /// What to say in `bye` once it is stopped: `stop`, `shutdown`, `upgrade`.
    pub why: fn() -> &'static str,
    /// How it is. Beats at each step, and while there is nothing to do; its duty is the session.
    pub worker: Worker,
}

/// Why the worker ends, and with it the process.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// No nonce can be made.
    #[error("uplink: no random bytes")]
    RandomBytes(#[from] io::Error),
    /// The spool cannot be used any more; the next start sets a damaged one aside.
    #[error("uplink")]
    Spool(#[from] SpoolError),
}

/// Why a session ended, or none began.
#[derive(Debug, thiserror::Error)]
enum Disconnect {
    #[error("stopped")]
    Stopped,
    #[error("the setup changed")]
    SetUp,
    #[error("the hub has stored the device's next key")]
    Rotated,
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Enter(#[from] EnterError),
    #[error("the hub refuses: {}", refusal_words(.0))]
    Refused(Refusal),
    #[error("the connection to the hub broke: {0}")]
    Broken(String),
    #[error("nothing was heard from the hub for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the hub broke the protocol: {0}")]
    Protocol(String),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    RandomBytes(#[from] io::Error),
}

impl Failure for Disconnect {
    /// Whatever the hub or the network does, the next session may succeed.
    fn consequence(&self) -> Consequence {
        match self {
            Disconnect::Spool(error) if error.consequence() == Consequence::End => Consequence::End,
            Disconnect::RandomBytes(_) => Consequence::End,
            _ => Consequence::Retry,
        }
    }
}

impl Disconnect {
    fn refusal(&self) -> Option<&Refusal> {
        match self {
            Disconnect::Refused(why) | Disconnect::Enter(EnterError::Refused(why)) => Some(why),
            _ => None,
        }
    }
}

impl<R: Connector, C: RandomSource> Uplink<R, C> {
    /// Keeps a session open until `stop`.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), UplinkError> {
        let (mut back_off, mut epoch_noted_at) = (BackOff::default(), None);
        loop {
            self.worker.beat();
            let setup = self.setup.borrow_and_update().clone();
            let wait = match &setup.hub {
                None => None,
                Some(hub) => match self.session(hub, &setup, &mut back_off, &stop).await {
                    Disconnect::Stopped => return Ok(()),
                    Disconnect::SetUp => {
                        tracing::info!("the name, the address, the hub or the next key changed: connecting anew");
                        back_off = BackOff::default();
                        continue;
                    }
                    Disconnect::Rotated if self.use_next_key(&setup) => continue,
                    ended => Some(self.session_ended(hub, ended, &mut back_off, &mut epoch_noted_at)?),
                },
            };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = rest(&self.worker, wait) => {}
                () = changed(&mut self.setup) => back_off = BackOff::default(),
            }
        }
    }

    /// Records why there is no session, does what the hub asked for, and says how long to wait.
    fn session_ended(
        &mut self,
        hub: &Hub,
        ended: Disconnect,
        back_off: &mut BackOff,
        epoch_noted_at: &mut Option<Instant>,
    ) -> Result<Duration, UplinkError> {
        let words = bounded(&ended.to_string());
        let refusal = ended.refusal().cloned();
        let revoked = matches!(refusal, Some(Refusal::Revoked));
        let news = self.link.send_if_modified(|link| {
            let new = ConnectionStatus { connected: false, trouble: Some(words.clone()), revoked, ..link.clone() };
            let differs = *link != new;
            *link = new;
            differs
        });
        // The same problem every few seconds is one line in the log, not a thousand.
        if news {
            tracing::warn!(hub = hub.base, why = words, "no session with the hub");
        }
        match self.worker.duty("session").round(Err::<(), _>(ended), self.clock.now()) {
            Err(Disconnect::Spool(error)) => return Err(error.into()),
            Err(Disconnect::RandomBytes(error)) => return Err(error.into()),
            _ => {}
        }
        match refusal {
            Some(Refusal::NewEpoch { detail }) => self.renew_epoch(&detail, epoch_noted_at)?,
            Some(Refusal::Revoked) => {
                back_off.ease();
                return Ok(jittered(REVOKED_AFTER, &mut self.chance)?);
            }
            Some(Refusal::Pending | Refusal::Displaced | Refusal::BadProof | Refusal::BadFrame { .. }) => {
                back_off.ease()
            }
            _ => {}
        }
        Ok(jittered(back_off.next(), &mut self.chance)?)
    }

    /// The numbers cannot be trusted any more: new ones for what is held.
    fn renew_epoch(&mut self, detail: &str, noted_at: &mut Option<Instant>) -> Result<(), UplinkError> {
        let mut epoch = [0; 16];
        self.chance.fill(&mut epoch)?;
        let stamp = boot::stamp(self.clock.now());
        let note = Note {
            code: "epoch_renewed".into(),
            path: None,
            text: format!(
                "the hub asked for new numbers ({}); what was held is sent again under them",
                enter::of_hub(detail)
            ),
            over: false,
            once: true,
        };
        let renewed = self.spool.renew(olog_proto::event::Id128(epoch));
        // A hub that asks again and again must not fill the spool with what the agent says of it.
        let is_news = noted_at.is_none_or(|at| at.elapsed() >= EPOCH_NOTE_EVERY);
        let noted = renewed.and_then(|n_held| {
            if is_news {
                self.spool.put_note(note, stamp)?;
                *noted_at = Some(Instant::now());
            }
            Ok(n_held)
        });
        match noted {
            Ok(n_held) => tracing::warn!(n_held, detail = enter::of_hub(detail), "a new epoch begins"),
            Err(error) if error.consequence() == Consequence::End => return Err(error.into()),
            // The hub asks again at the next session.
            Err(error) => tracing::error!(%error, "a new epoch cannot begin"),
        }
        Ok(())
    }

    async fn session(
        &mut self,
        hub: &Hub,
        setup: &Setup,
        back_off: &mut BackOff,
        stop: &CancellationToken,
    ) -> Disconnect {
        let mut later = self.setup.clone();
        let opened = tokio::select! {
            () = stop.cancelled() => return Disconnect::Stopped,
            () = changed(&mut later) => return Disconnect::SetUp,
            opened = self.open(hub, setup) => opened,
        };
        let (socket, welcome, nonce) = match opened {
            Ok(opened) => opened,
            Err(ended) => return ended,
        };
        let began_at = Instant::now();
        let skew = welcome.time.since(self.clock.now());
        self.link.send_replace(ConnectionStatus { connected: true, trouble: None, skew: Some(skew), revoked: false });
        self.worker.duty("session").succeeded(self.clock.now());
        tracing::info!(hub = hub.base, acked = welcome.acked, held = self.spool.held().events, "connected");
        let rotation = Rotation::new(&self.keys, self.key.clone(), setup.next_key.clone());
        let mut session = Session::new(socket, &welcome, &self.spool, rotation);
        if let Err(ended) = session.announce(&welcome, nonce).await {
            self.link.send_modify(|link| link.connected = false);
            return ended;
        }
        loop {
            self.worker.beat();
            let turn = tokio::select! {
                biased;
                () = stop.cancelled() => Err(Disconnect::Stopped),
                () = changed(&mut later) => Err(Disconnect::SetUp),
                turn = session.turn(&self.bell, &mut self.proposed) => turn,
            };
            let Err(ended) = turn else { continue };
            if matches!(ended, Disconnect::Stopped) {
                let why = (self.why)();
                tracing::info!(hub = hub.base, why, "goodbye");
                session.bye(why).await;
            }
            self.link.send_modify(|link| link.connected = false);
            back_off.after_session(began_at.elapsed());
            return ended;
        }
    }

    /// Writes down by which keys the hub is known from now on, if that has changed.
    fn remember_keys(&self, hub: &Hub, welcome: &Welcome) {
        let known = Hub { key: welcome.key, next: welcome.next, ..hub.clone() };
        if known == *hub {
            return;
        }
        match identity::set_hub(&self.state_dir, &known) {
            Ok(()) if known.key == hub.key => tracing::info!(next = ?known.next, "the hub announces its next key"),
            Ok(()) => tracing::info!(key = %known.key, "the hub has its next key"),
            // The session goes on; the next one tries again.
            Err(error) => tracing::warn!(%error, "the hub's next key is not stored"),
        }
    }

    /// The session that is open, and the agent's nonce in it.
    async fn open(&mut self, hub: &Hub, setup: &Setup) -> Result<(Socket, Welcome, Nonce), Disconnect> {
        let target = Target::of(&hub.base, hub.tls)?;
        let stream = self.road.reach(&target).await?;
        let mut nonce = [0; 32];
        self.chance.fill(&mut nonce)?;
        let stamp = boot::stamp(self.clock.now());
        let me = Introduction {
            key: self.key.clone(),
            name: setup.name.clone(),
            address: setup.address.clone(),
            epoch: self.spool.epoch(),
            last: self.spool.last(),
            boot: (stamp.boot, stamp.up),
            time: stamp.at,
            nonce: Nonce(nonce),
        };
        let (socket, welcome) = enter(stream, &target, HubKeys { key: hub.key, next: hub.next }, &me).await?;
        self.remember_keys(hub, &welcome);
        Ok((socket, welcome, me.nonce))
    }
}

/// An open session: what was sent in it, and what of that was acknowledged.
struct Session<'a> {
    socket: Socket,
    spool: &'a Spool,
    /// The highest number sent in this session; below the first held, nothing was.
    sent: u64,
    acked: u64,
    window: u64,
    silent_after: Duration,
    heard_at: Instant,
    flushing: bool,
    rotation: Rotation<'a>,
    accepts_jobs: bool,
    /// Jobs that were sent and not answered yet.
    proposed: Option<JobsRequest>,
}

enum Polled {
    Frame(Option<Result<Message, WsError>>),
    Flushed(Result<(), WsError>),
}

impl<'a> Session<'a> {
    fn new(socket: Socket, welcome: &Welcome, spool: &'a Spool, rotation: Rotation<'a>) -> Session<'a> {
        let ping_every = Duration::from_millis(welcome.ping_every.clamp(PING_EVERY.0, PING_EVERY.1));
        let acked = spool.acked();
        Session {
            socket,
            spool,
            sent: acked,
            acked,
            window: u64::from(welcome.window.clamp(1, WINDOW_MAX)),
            silent_after: 3 * ping_every,
            heard_at: Instant::now(),
            flushing: false,
            rotation,
            accepts_jobs: welcome.accepts.iter().any(|kind| kind == JOBS),
            proposed: None,
        }
    }

    /// Announces the device's next key, if there is one and the hub takes it.
    async fn announce(&mut self, welcome: &Welcome, nonce: Nonce) -> Result<(), Disconnect> {
        let Some(frame) = self.rotation.announcement(welcome, nonce) else { return Ok(()) };
        let text = frame.encode().map_err(|e| Disconnect::Protocol(e.to_string()))?;
        self.socket.feed(Message::text(text)).await.map_err(|e| broken(&e))?;
        self.flushing = true;
        Ok(())
    }

    /// One step: send what may be sent, then wait for whatever comes next.
    async fn turn(&mut self, bell: &Notify, proposed: &mut mpsc::Receiver<JobsRequest>) -> Result<(), Disconnect> {
        let may_send = !self.flushing && self.room() > 0;
        if may_send && self.send().await? {
            return Ok(());
        }
        let silent_at = self.heard_at + self.silent_after;
        let flushing = self.flushing;
        let may_propose = !flushing && self.proposed.is_none();
        let socket = &mut self.socket;
        // Reading goes on while a frame is on its way out, or two full buffers would wait for each other.
        let mut either = poll_fn(|cx| {
            if flushing && let Poll::Ready(flushed) = Pin::new(&mut *socket).poll_flush(cx) {
                return Poll::Ready(Polled::Flushed(flushed));
            }
            Pin::new(&mut *socket).poll_next(cx).map(Polled::Frame)
        });
        let turn = tokio::select! {
            turn = &mut either => turn,
            () = bell.notified(), if may_send => return Ok(()),
            Some(request) = proposed.recv(), if may_propose => return self.propose(request).await,
            () = sleep_until(silent_at) => return Err(Disconnect::Silent(self.silent_after)),
        };
        match turn {
            Polled::Flushed(Ok(())) => self.flushing = false,
            Polled::Flushed(Err(e)) | Polled::Frame(Some(Err(e))) => return Err(broken(&e)),
            Polled::Frame(None) => return Err(Disconnect::Broken("it was closed".into())),
            Polled::Frame(Some(Ok(message))) => {
                self.heard_at = Instant::now();
                self.heard(message)?;
            }
        }
        Ok(())
    }

    fn room(&self) -> u64 {
        self.window.saturating_sub(self.sent.saturating_sub(self.acked))
    }

    /// Hands the next events to the socket; `false` when there are none.
    async fn send(&mut self) -> Result<bool, Disconnect> {
        let n_max = usize::try_from(self.room()).unwrap_or(usize::MAX).min(FRAME_EVENTS_MAX);
        let mut events = self.spool.after(self.sent, n_max, BATCH_BYTES)?;
        let Some(from) = events.first().map(|event| event.n) else { return Ok(false) };
        let n_in_a_row = events.iter().zip(from..).take_while(|(event, n)| event.n == *n).count();
        events.truncate(n_in_a_row);
        let sent = events.last().map_or(self.sent, |event| event.n);
        let text = AgentFrame::Events { from, events }.encode().map_err(|e| Disconnect::Protocol(e.to_string()))?;
        self.socket.feed(Message::text(text)).await.map_err(|e| broken(&e))?;
        self.sent = sent;
        self.flushing = true;
        Ok(true)
    }

    fn heard(&mut self, message: Message) -> Result<(), Disconnect> {
        let text = match message {
            Message::Text(text) => text,
            // The websocket answers a ping itself. The answer leaves before the next event, which may not fit into the buffer beside it.
            Message::Ping(_) | Message::Pong(_) => {
                self.flushing = true;
                return Ok(());
            }
            Message::Close(frame) => {
                let why = frame.map(|f| enter::of_hub(&f.reason)).filter(|r| !r.is_empty());
                return Err(Disconnect::Broken(why.unwrap_or_else(|| "the hub closed it".into())));
            }
            Message::Binary(_) | Message::Frame(_) => {
                return Err(Disconnect::Protocol("a frame that is no text".into()));
            }
        };
        match HubFrame::decode(text.as_str()).map_err(|e| Disconnect::Protocol(e.to_string()))? {
            HubFrame::Ack { through } if through > self.sent => Err(Disconnect::Protocol(format!(
                "it acknowledged {through}, {} was the last that was sent",
                self.sent
            ))),
            HubFrame::Ack { through } => {
                // One that comes late or twice says nothing new.
                if through > self.acked {
                    self.spool.release(through)?;
                    self.acked = through;
                }
                Ok(())
            }
            HubFrame::Jobs(answers) => match self.proposed.take() {
                Some(request) => {
                    request.answer(answers);
                    Ok(())
                }
                None => Err(Disconnect::Protocol("an answer to jobs that were not sent".into())),
            },
            HubFrame::Refused { why } => Err(Disconnect::Refused(why)),
            HubFrame::Rotated { key, refused } => self.rotation.answered(key, refused),
            HubFrame::Hello { .. } | HubFrame::Welcome { .. } => Err(Disconnect::Protocol("a second greeting".into())),
        }
    }

    async fn bye(mut self, why: &str) {
        let Ok(text) = (AgentFrame::Bye { why: why.to_owned() }).encode() else { return };
        let content = async {
            self.socket.send(Message::text(text)).await?;
            self.socket.close(None).await
        };
        if let Ok(Err(error)) = timeout(BYE_AFTER, content).await {
            tracing::debug!(%error, "the hub did not hear the bye");
        }
    }
}

/// Waits, for ever without a time, and is alive all the while.
async fn rest(worker: &Worker, wait: Option<Duration>) {
    let over = wait.map(|wait| Instant::now() + wait);
    loop {
        let step = Instant::now() + REST_STEP;
        sleep_until(over.map_or(step, |over| over.min(step))).await;
        worker.beat();
        if over.is_some_and(|over| over <= Instant::now()) {
            return;
        }
    }
}

/// Returns when there is another setup; never, once nobody can make one.
async fn changed(setup: &mut watch::Receiver<Setup>) {
    if setup.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn broken(error: &WsError) -> Disconnect {
    match error {
        WsError::Capacity(_) => Disconnect::Protocol(error.to_string()),
        _ => Disconnect::Broken(error.to_string()),
    }
}

/// Of a text that the hub may have written: in the log, in the status and in a note.
fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WHY_MAX).collect()
}

#[derive(Debug, Default)]
struct BackOff {
    n_tries: u32,
}

impl BackOff {
    /// A quick first try, then twice as long each time, up to the bound.
    fn next(&mut self) -> Duration {
        let wait = BACK_OFF_MIN.saturating_mul(1 << self.n_tries.min(10)).min(BACK_OFF_MAX);
        self.n_tries += 1;
        wait
    }

    /// A hub that welcomes and breaks off at once is not asked as fast as one that was there.
    fn after_session(&mut self, lasted: Duration) {
        if lasted >= BACK_OFF_MAX {
            *self = BackOff::default();
        }
    }

    /// No hurry: the answer will not change within a second.
    fn ease(&mut self) {
        self.n_tries = 10;
    }
}

/// Between half of it and all of it, so that a thousand devices do not come back in one instant.
fn jittered(wait: Duration, chance: &mut dyn RandomSource) -> io::Result<Duration> {
    let mut byte = [0; 1];
    chance.fill(&mut byte)?;
    Ok(wait.mul_f64(0.5 + f64::from(byte[0]) / 510.0))
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod websocket;

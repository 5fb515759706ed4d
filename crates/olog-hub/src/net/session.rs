//! One device's websocket, from `hello` to its end.
//!
//! ```text
//! hello → auth → (proof holds?) → (device known?) → welcome → events … ack … → bye
//!                        any of these may end in `refused` with a reason that the agent understands
//! ```
//!
//! The session knows frames, not SQL: who a device is and what its events mean is asked of [`Ingest`]. It keeps these
//! promises. No event is taken before the device's proof for *this* hub and *this* connection held. An `ack` is sent after
//! [`Ingest`] has committed, never before. Frames must come in the order of their numbers; at most [`WINDOW`] events wait,
//! and while their text is long, nothing more is read. Batches of one device are given to [`Ingest`] one after the other; what
//! arrives during a commit goes together into the next. Beside them the agent may propose jobs, one frame at a time.
//!
//! A device may announce its next key once in a session, signed by the present key and by the next one over this session's nonces;
//! `rotated` is sent after the store has it.
//!
//! The hub pings, anything received counts as heard, and a peer that says nothing for three pings is dropped. A peer that
//! does not read is dropped too: no session waits for ever. Bad frames are answered politely, once, and end the session:
//! the agent keeps its spool and comes again.
//!
//! Generic over the stream, the clock and the nonce, so that a simulation can run it without a socket.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes};
use futures_util::{FutureExt as _, Sink, SinkExt as _, Stream, StreamExt as _, future::BoxFuture};
use olog_daemon::clock::Clock;
use olog_proto::{
    ACCEPTS, AgentFrame, Epoch, Event, FRAME_MAX, HubFrame, Nonce, PublicKey, SecretKey, VERSIONS,
    frame::{Auth, NextHubKey, Refusal},
    identity::{HandshakeProof, Role},
    job::JobAnswers,
};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    ingest::{Connected, Ingest, IngestError},
    net::sessions::{AuthenticatedDevice, Order, SeatGuard, Sessions},
    store::{devices::SessionStart, enrolment::KeyAnnouncement},
};

/// Events that may be on their way or waiting for the commit; `welcome` says so.
pub const WINDOW: u32 = 2_000;
/// Bytes of frames that may wait for the commit before the session stops reading.
const WAITING_BYTES: usize = 4 * FRAME_MAX;
/// For the agent's `auth`.
const AUTH_AFTER: Duration = Duration::from_secs(10);
/// Pings and pongs that may come before the agent's `auth`.
const FRAMES_BEFORE_AUTH: u32 = 16;
/// For the peer to take one frame.
const SEND_AFTER: Duration = Duration::from_secs(20);
/// Pings without any answer until the peer counts as gone.
const SILENT_PINGS: u32 = 3;
/// Why an unknown device is refused and is not recorded as waiting.
const TOO_MANY_PENDING: &str =
    "too many unknown devices ask to join: join with a link of `olog-hub join-link`, or try again in an hour";
/// How often the log names the same refusal of the same address, and how many of them are remembered.
const REFUSAL_TOLD_EVERY: Duration = Duration::from_secs(3600);
const REFUSALS_KEPT: usize = 1_000;

/// What all sessions share.
#[derive(Debug)]
pub struct SessionContext {
    /// Who the devices are, and where their events go.
    pub ingest: Ingest,
    /// Who is connected.
    pub sessions: Arc<Sessions>,
    /// The hub's identity.
    pub identity: SecretKey,
    /// The key that it will have next, announced to every device that connects.
    pub next_identity: Option<PublicKey>,
    /// What the keys of old clients are made of: the hub's first identity.
    pub legacy_identity: SecretKey,
    /// Wall time.
    pub clock: Clock,
    /// Ends all sessions.
    pub stop: CancellationToken,
    /// Whom the log has named as refused.
    pub refusals: Refusals,
}

/// Who was refused and why, as the log says it: an agent that is refused comes again every few seconds, for weeks if need be, and
/// is told once an hour.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<(IpAddr, String), Instant>>);

impl Refusals {
    fn log(&self, peer: IpAddr, why: &Refusal) {
        // That a device waits is told when it asks first; a hub that is busy tells of itself.
        if matches!(why, Refusal::Pending | Refusal::Busy { .. }) {
            return;
        }
        self.tell_words(peer, words_of(why));
    }

    /// In the words of who refuses.
    pub(super) fn tell_words(&self, peer: IpAddr, words: String) {
        let now = Instant::now();
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |at: &Instant| now.saturating_duration_since(*at) < REFUSAL_TOLD_EVERY;
        if told.len() >= REFUSALS_KEPT {
            told.retain(|_, at| is_new(at));
        }
        let key = (peer, words);
        if told.len() < REFUSALS_KEPT && !told.get(&key).is_some_and(is_new) {
            tracing::info!(from = %peer, why = key.1, "a session was refused");
            told.insert(key, now);
        }
    }
}

/// A refusal in the words of the log.
fn words_of(why: &Refusal) -> String {
    match why {
        Refusal::Pending => "it waits to be accepted".to_owned(),
        Refusal::Revoked => "it was forgotten or replaced".to_owned(),
        Refusal::NewEpoch { detail } => detail.clone(),
        Refusal::BadProof => "it does not prove its key".to_owned(),
        Refusal::BadFrame { detail } => format!("not a frame: {detail}"),
        Refusal::Displaced => "it connected anew".to_owned(),
        Refusal::Busy { detail } => format!("the hub is busy: {detail}"),
        Refusal::Unknown => "unknown".to_owned(),
    }
}

/// How a session ended.
#[derive(Debug)]
enum End {
    /// The device said that it goes.
    Bye(String),
    /// The connection is gone.
    Gone(String),
    /// We end it and say why.
    Refused(Refusal),
    /// The hub stops.
    Stopping,
}

/// Runs one session to its end. `ping_every` is what the configuration says whenever it is asked; `is_known` is called when the device
/// has proved who it is and has joined.
pub async fn run<S>(
    socket: S,
    peer: IpAddr,
    nonce: Nonce,
    (ping_every, is_known): (impl Fn() -> Duration, impl Fn()),
    desk: &SessionContext,
) where
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
{
    let mut line = WsConnection { socket: pin!(socket), peer };
    metrics::gauge!("olog_sessions").increment(1.0);
    let end = match converse(&mut line, nonce, (ping_every, is_known), desk).await {
        Ok(end) => end,
        Err(end) => {
            if let End::Refused(why) = &end {
                desk.refusals.log(peer, why);
            }
            end
        }
    };
    metrics::gauge!("olog_sessions").decrement(1.0);
    match end {
        End::Refused(why) => {
            metrics::counter!("olog_sessions_refused_total").increment(1);
            Box::pin(line.refuse(why)).await;
        }
        End::Stopping => Box::pin(line.close(1001, "the hub stops")).await,
        End::Bye(_) => Box::pin(line.close(1000, "")).await,
        End::Gone(why) => tracing::debug!(%peer, why, "a session is gone"),
    }
}

async fn converse<S>(
    line: &mut WsConnection<'_, S>,
    nonce: Nonce,
    (ping_every, is_known): (impl Fn() -> Duration, impl Fn()),
    desk: &SessionContext,
) -> Result<End, End>
where
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
{
    // Boxed, here and below: a future is as large as its largest step, and an idle session keeps all of it.
    let auth = tokio::select! {
        auth = Box::pin(line.handshake(nonce, desk)) => auth?,
        () = desk.stop.cancelled() => return Ok(End::Stopping),
    };
    let now = desk.clock.now();
    let reservation = desk.sessions.reservation();
    let hello = SessionStart {
        key: auth.key,
        name: auth.name.clone(),
        address: auth.address.clone(),
        version: auth.version.clone(),
        epoch: auth.epoch,
        last: auth.last,
        boot: auth.boot,
        up: auth.up,
        peer: line.peer,
        skew_ms: auth.time.since(now),
        now,
    };
    let (device, acked) = match Box::pin(desk.ingest.connect(hello)).await {
        Ok(Connected::Known { device, acked, .. }) => (device, acked),
        Ok(Connected::Pending) => return Err(End::Refused(Refusal::Pending)),
        Ok(Connected::TooManyPending) => {
            desk.refusals.tell_words(line.peer, TOO_MANY_PENDING.to_owned());
            return Err(End::Refused(Refusal::Busy { detail: TOO_MANY_PENDING.to_owned() }));
        }
        Ok(Connected::Revoked) => return Err(End::Refused(Refusal::Revoked)),
        Ok(Connected::NewEpoch { detail }) => return Err(End::Refused(Refusal::NewEpoch { detail })),
        Err(error) => return Err(End::Refused(refusal_of(&error))),
    };
    let newcomer = AuthenticatedDevice { device, boot: auth.boot, peer: line.peer, skew_ms: auth.time.since(now) };
    is_known();
    let (place, two_machines) = desk.sessions.take(reservation, newcomer, now);
    if let Some(two) = two_machines {
        Box::pin(desk.ingest.two_machines(device, two.peers, now)).await;
    }
    let proof = HandshakeProof::new(Role::Hub, nonce, auth.nonce, &auth.name, auth.key, desk.identity.public());
    let welcome = HubFrame::Welcome {
        acked,
        window: WINDOW,
        ping_every: u64::try_from(ping_every().as_millis()).unwrap_or(u64::MAX),
        time: desk.clock.now(),
        signature: desk.identity.sign(&proof),
        next: desk.next_identity.map(|key| NextHubKey {
            key,
            signature: desk.identity.sign(&HandshakeProof::next_hub_key(desk.identity.public(), key)),
        }),
        accepts: ACCEPTS.iter().map(|kind| (*kind).to_owned()).collect(),
    };
    // Of what the two sides proved to each other only this is needed later.
    let (epoch, proved) = (auth.epoch, Proved { hub_nonce: nonce, nonce: auth.nonce, key: auth.key });
    drop(auth);
    let end = match line.send(&welcome).await {
        Ok(()) => EstablishedSession::new(desk, &place, epoch, proved).run(line, ping_every).await,
        Err(end) => end,
    };
    let (bye, why) = match &end {
        End::Bye(why) => (Some(why.clone()), why.clone()),
        End::Gone(why) => (None, why.clone()),
        End::Refused(why) => (None, words_of(why)),
        End::Stopping => (None, "the hub stops".to_owned()),
    };
    // A displaced session says nothing of its device: the newer one speaks for it.
    if place.is_current() {
        Box::pin(desk.ingest.disconnected(device, bye, why, place.seat().heard_at())).await;
    }
    Ok(end)
}

/// The websocket, with the limits that hold in both directions.
struct WsConnection<'a, S> {
    socket: std::pin::Pin<&'a mut S>,
    peer: IpAddr,
}

impl<S> WsConnection<'_, S>
where
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
{
    /// `hello`, then an `auth` whose proof holds.
    async fn handshake(&mut self, nonce: Nonce, desk: &SessionContext) -> Result<Box<Auth>, End> {
        let versions = VERSIONS.iter().map(|v| (*v).to_owned()).collect();
        let hub_key = desk.identity.public();
        self.send(&HubFrame::Hello { hub_key, nonce, time: desk.clock.now(), versions }).await?;
        let first = async {
            for _ in 0..FRAMES_BEFORE_AUTH {
                if let Some(text) = self.receive().await? {
                    return Ok(text);
                }
            }
            Err(bad_frame("too many frames before auth"))
        };
        let text = timeout(AUTH_AFTER, first).await.unwrap_or_else(|_| Err(bad_frame("no auth frame within 10 s")))?;
        let auth = match decode(&text)? {
            AgentFrame::Auth(auth) => auth,
            AgentFrame::Events { .. }
            | AgentFrame::Jobs { .. }
            | AgentFrame::Rotate { .. }
            | AgentFrame::Bye { .. } => {
                return Err(bad_frame("the first frame must be auth"));
            }
        };
        let proof = HandshakeProof::new(Role::Device, nonce, auth.nonce, &auth.name, auth.key, hub_key);
        if auth.key.verify(&proof, &auth.signature) { Ok(auth) } else { Err(End::Refused(Refusal::BadProof)) }
    }

    /// The next text; `None` for what only shows that the peer lives.
    async fn receive(&mut self) -> Result<Option<Utf8Bytes>, End> {
        match self.socket.next().await {
            Some(Ok(Message::Text(text))) => Ok(Some(text)),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
            Some(Ok(Message::Binary(_))) => Err(bad_frame("frames are text")),
            Some(Ok(Message::Close(_))) | None => Err(End::Gone("closed by the device".into())),
            Some(Err(error)) => {
                let words = error.to_string();
                // tungstenite looks at a message's length before it reads it; axum hands that on as words only.
                if words.contains("too long") || words.contains("too big") {
                    return Err(bad_frame(&format!("a frame of more than {FRAME_MAX} bytes")));
                }
                // rustls' own words are for programmers: the other end died, or the network between.
                let is_cut = words.contains("close_notify");
                Err(End::Gone(if is_cut { "the connection broke off".to_owned() } else { words }))
            }
        }
    }

    async fn put(&mut self, message: Message) -> Result<(), End> {
        match timeout(SEND_AFTER, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(End::Gone(error.to_string())),
            Err(_) => Err(End::Gone("the device does not read".into())),
        }
    }

    async fn send(&mut self, frame: &HubFrame) -> Result<(), End> {
        match frame.encode() {
            Ok(text) => self.put(Message::Text(text.into())).await,
            Err(error) => Err(End::Gone(format!("a frame of ours is not one: {error}"))),
        }
    }

    async fn refuse(&mut self, why: Refusal) {
        let said = self.send(&HubFrame::Refused { why }).await;
        if said.is_ok() {
            self.close(1008, "refused").await;
        }
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        let close = Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }));
        if self.put(close).await.is_err() {
            return;
        }
        // Until the peer closes too: closing with its words unread would reset the connection, and ours might be lost.
        let rest = async { while let Some(Ok(_)) = self.socket.next().await {} };
        if timeout(Duration::from_secs(2), rest).await.is_err() {
            tracing::debug!(peer = %self.peer, "the device did not close its side");
        }
    }
}

/// What binds a later proof to this session: both nonces, and the key that was proved.
struct Proved {
    hub_nonce: Nonce,
    nonce: Nonce,
    key: PublicKey,
}

/// A key that the device announces as its next one; both signatures hold.
struct NextDeviceKey(PublicKey);

/// A session after `welcome`.
struct EstablishedSession<'a> {
    desk: &'a SessionContext,
    place: &'a SeatGuard,
    epoch: Epoch,
    proved: Proved,
    /// The device has announced a key in this session.
    has_announced: bool,
    /// The number that must come next, once one has come.
    next: Option<u64>,
    waiting: VecDeque<Vec<Event>>,
    n_waiting: usize,
    waiting_bytes: usize,
    n_committing: usize,
    committing: Option<BoxFuture<'a, Result<u64, IngestError>>>,
    /// Jobs that the device proposes: one frame at a time.
    proposing: Option<BoxFuture<'a, Result<JobAnswers, IngestError>>>,
}

impl<'a> EstablishedSession<'a> {
    fn new(desk: &'a SessionContext, place: &'a SeatGuard, epoch: Epoch, proved: Proved) -> EstablishedSession<'a> {
        EstablishedSession {
            desk,
            place,
            epoch,
            proved,
            has_announced: false,
            next: None,
            waiting: VecDeque::new(),
            n_waiting: 0,
            waiting_bytes: 0,
            n_committing: 0,
            committing: None,
            proposing: None,
        }
    }

    async fn run<S>(mut self, line: &mut WsConnection<'_, S>, ping_every: impl Fn() -> Duration) -> End
    where
        S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
    {
        let ended = self.talk(line, ping_every).await;
        let end = match ended {
            Ok(never) => match never {},
            Err(end) => end,
        };
        // What was received is still committed, so that a `bye` right behind it or a stop loses no work.
        if matches!(end, End::Bye(_) | End::Stopping)
            && let Err(error) = Box::pin(self.finish(line)).await
        {
            return error;
        }
        end
    }

    async fn talk<S>(
        &mut self,
        line: &mut WsConnection<'_, S>,
        ping_every: impl Fn() -> Duration,
    ) -> Result<std::convert::Infallible, End>
    where
        S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
    {
        let seat = self.place.seat();
        let mut ping_at = Instant::now() + ping_every();
        let mut silent = 0;
        loop {
            let reading = self.waiting_bytes < WAITING_BYTES;
            tokio::select! {
                biased;
                order = seat.next_order() => match order {
                    // Asked for because nothing was heard, or because it is to be asked more often from now on.
                    Order::Ping => {
                        ping_at = Instant::now() + ping_every();
                        line.put(Message::Ping(Default::default())).await?;
                    }
                    Order::Displaced => return Err(End::Refused(Refusal::Displaced)),
                    Order::Revoked => return Err(End::Refused(Refusal::Revoked)),
                },
                () = self.desk.stop.cancelled() => return Err(End::Stopping),
                done = ended(&mut self.committing) => Box::pin(self.committed(line, done)).await?,
                done = ended(&mut self.proposing) => {
                    let answers = done.map_err(|error| End::Refused(refusal_of(&error)))?;
                    line.send(&HubFrame::Jobs(answers)).await?;
                }
                received = line.receive(), if reading => {
                    let received = received?;
                    silent = 0;
                    seat.heard(self.desk.clock.now());
                    if let Some(text) = received
                        && let Some(next) = self.take(&text)?
                    {
                        Box::pin(self.announce(line, next)).await?;
                    }
                },
                () = sleep_until(ping_at) => {
                    if reading && silent >= SILENT_PINGS {
                        return Err(End::Gone(format!("nothing heard for {SILENT_PINGS} pings")));
                    }
                    silent += 1;
                    ping_at = Instant::now() + ping_every();
                    line.put(Message::Ping(Default::default())).await?;
                },
            }
        }
    }

    /// One frame of the device; the key that it announces, if it is that.
    fn take(&mut self, text: &str) -> Result<Option<NextDeviceKey>, End> {
        let (from, events) = match decode(text)? {
            AgentFrame::Events { from, events } => (from, events),
            AgentFrame::Rotate { .. } if self.has_announced => {
                return Err(bad_frame("a second rotate frame"));
            }
            AgentFrame::Rotate { key, signature, key_signature } => {
                self.has_announced = true;
                let Proved { hub_nonce, nonce, key: present } = self.proved;
                let hub = self.desk.identity.public();
                let proof = HandshakeProof::next_device_key(hub_nonce, nonce, present, key, hub);
                let holds = present.verify(&proof, &signature) && key.verify(&proof, &key_signature);
                return if holds { Ok(Some(NextDeviceKey(key))) } else { Err(End::Refused(Refusal::BadProof)) };
            }
            AgentFrame::Jobs { .. } if self.proposing.is_some() => {
                return Err(bad_frame("a jobs frame before the answer to the one before"));
            }
            AgentFrame::Jobs { jobs } => {
                let (desk, device) = (self.desk, self.place.seat().who.device);
                self.proposing = Some(desk.ingest.jobs(device, jobs, desk.clock.now()).boxed());
                return Ok(None);
            }
            AgentFrame::Bye { why } => return Err(End::Bye(why)),
            AgentFrame::Auth(_) => return Err(bad_frame("a second auth frame")),
        };
        if let Some(next) = self.next
            && from != next
        {
            return Err(bad_frame(&format!("events from {from}, expected {next}: out of order")));
        }
        self.next = Some(from.saturating_add(events.len() as u64));
        if self.n_committing + self.n_waiting + events.len() > WINDOW as usize {
            return Err(bad_frame(&format!("more than the window of {WINDOW} events is not acknowledged")));
        }
        self.n_waiting += events.len();
        self.waiting_bytes += text.len();
        self.waiting.push_back(events);
        self.commit();
        Ok(None)
    }

    /// Stores the device's next key, and only then says so.
    async fn announce<S>(&mut self, line: &mut WsConnection<'_, S>, next: NextDeviceKey) -> Result<(), End>
    where
        S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
    {
        let (desk, device, NextDeviceKey(key)) = (self.desk, self.place.seat().who.device, next);
        let keys = (self.proved.key, key);
        let announced = desk.ingest.announce_key(device, keys, line.peer, desk.clock.now()).await;
        let refused = match announced.map_err(|error| End::Refused(refusal_of(&error)))? {
            KeyAnnouncement::Yes => None,
            KeyAnnouncement::TooOften => Some("this device announced another key less than an hour ago"),
            KeyAnnouncement::Taken => Some("this key is or was the key of a device"),
            KeyAnnouncement::Revoked => return Err(End::Refused(Refusal::Revoked)),
        };
        tracing::info!(device = device.0, key = %key.fingerprint(), ?refused, "a device announces its next key");
        line.send(&HubFrame::Rotated { key, refused: refused.map(str::to_owned) }).await
    }

    /// Hands everything that waits to ingest, unless it still works on the last batch.
    fn commit(&mut self) {
        if self.committing.is_some() || self.waiting.is_empty() {
            return;
        }
        // Nothing is kept for an idle session: the queue's memory goes with its content.
        let events: Vec<Event> = std::mem::take(&mut self.waiting).into_iter().flatten().collect();
        self.n_committing = std::mem::take(&mut self.n_waiting);
        self.waiting_bytes = 0;
        let (desk, seat) = (self.desk, self.place.seat());
        self.committing = Some(desk.ingest.events(seat.who.device, self.epoch, seat.who.skew_ms, events).boxed());
    }

    async fn committed<S>(&mut self, line: &mut WsConnection<'_, S>, done: Result<u64, IngestError>) -> Result<(), End>
    where
        S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
    {
        let through = done.map_err(|error| End::Refused(refusal_of(&error)))?;
        self.n_committing = 0;
        self.commit();
        line.send(&HubFrame::Ack { through }).await
    }

    async fn finish<S>(&mut self, line: &mut WsConnection<'_, S>) -> Result<(), End>
    where
        S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
    {
        while self.committing.is_some() {
            let done = ended(&mut self.committing).await;
            self.committed(line, done).await?;
        }
        Ok(())
    }
}

/// Waits for what runs, or for ever; afterwards nothing runs.
async fn ended<T>(running: &mut Option<BoxFuture<'_, T>>) -> T {
    match running {
        Some(work) => {
            let done = work.await;
            *running = None;
            done
        }
        None => std::future::pending().await,
    }
}

fn decode(text: &str) -> Result<AgentFrame, End> {
    AgentFrame::decode(text).map_err(|error| bad_frame(&error.to_string()))
}

fn bad_frame(detail: &str) -> End {
    // An error may quote what came, which may be long.
    End::Refused(Refusal::BadFrame { detail: detail.chars().take(200).collect() })
}

fn refusal_of(error: &IngestError) -> Refusal {
    match error {
        IngestError::Revoked => Refusal::Revoked,
        IngestError::NewEpoch { detail } => Refusal::NewEpoch { detail: detail.clone() },
        error => Refusal::Busy { detail: error.to_string() },
    }
}

#[cfg(test)]
mod tests;

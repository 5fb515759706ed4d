//! The session of an old client (olog.py): the websocket at `/`, in clear, until everybody has moved to olog-agent.
//!
//! ```text
//! client: name#address          (within 10 s; signed with the shared token, as every message)
//! hub:    report now            at once, then every 5 min      client: {task: {state, logdate, detail}}
//! hub:    ping                  every 5 s                      client: pong
//! ```
//!
//! What a report says becomes events, which take the same path as an agent's: [`crate::ingest`]. So do LOST and BACK: a message whose
//! checksum holds counts as heard. The hub pushes no errors of an old client, which pushes its own.
//!
//! Each session is a task of its own and holds no lock while it waits, so a client that is slow, silent or lying costs only itself.
//! Bounds: bytes of a message, messages a while, time to say a name, time without an answer, time to take a message, tasks,
//! connections ([`clients`]). Must not: tell a client anything but the three words above. What is refused is named in the log once an
//! hour for each address, and trouble that a person can mend is told once.

use std::{
    collections::HashMap,
    net::IpAddr,
    pin::{Pin, pin},
    time::Duration,
};

use axum::extract::ws::{CloseFrame, Message};
use chrono_tz::Tz;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use olog_daemon::secret::Secret;
use olog_proto::{BootId, DeviceName, Epoch, PublicKey, SecretKey, TEXT_MAX, TaskName, Timestamp, clean, event::Id128};
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    config::ReloadableConfig,
    ingest::{
        IngestError,
        legacy::{LegacyConnected, LegacyTrouble},
    },
    net::{
        session::SessionContext,
        sessions::{AuthenticatedDevice, Order, SeatGuard},
    },
    store::devices::{DeviceId, LEGACY_VERSION, SessionStart},
};
use clients::{LegacyClients, NameSeat, NoSeat};
use report::KnownTimes;
use wire::{Signed, WireError};

pub mod clients;
pub(super) mod report;
mod wire;

/// The largest message. The original's own library accepts 1 MiB.
pub const MESSAGE_MAX: usize = 2 * 1024 * 1024;
/// For the client to say its name.
const NAME_AFTER: Duration = Duration::from_secs(10);
/// For the client to take a message.
const SEND_AFTER: Duration = Duration::from_secs(20);
/// For the end of a connection after the Close.
const CLOSE_AFTER: Duration = Duration::from_secs(2);
/// From one ping to the next.
const PING_EVERY: Duration = Duration::from_secs(5);
/// Without any message.
const SILENT_AFTER: Duration = Duration::from_secs(60);
/// The same while a report is awaited: a client that reads many files for it answers no ping meanwhile.
const REPORT_AFTER: Duration = Duration::from_secs(300);
/// From one question for a report to the next, at least; and how many times as long as the answer took.
const REPORT_EVERY: Duration = Duration::from_secs(300);
const REPORT_REST: u32 = 20;
/// Messages of one client within a time.
const MESSAGES_MAX: u32 = 60;
const MESSAGES_WITHIN: Duration = Duration::from_secs(10);

/// After a report that was too large or took too long, the client of that name is asked for none for so long.
const NO_REPORT_RESTS: Duration = Duration::from_secs(3600);

/// What `[legacy]` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyTerms {
    /// What the messages are signed with.
    pub token: Secret,
    /// Of the times in reports.
    pub timezone: Tz,
}

impl LegacyTerms {
    /// In this configuration; `None`: old clients are not let in.
    pub fn of(live: &ReloadableConfig) -> Option<LegacyTerms> {
        let token = live.legacy.token.clone().filter(|_| live.legacy.enabled)?;
        Some(LegacyTerms { token, timezone: live.timezone })
    }
}

/// How a session ended.
#[derive(Debug)]
enum LegacyEnd {
    /// The connection is gone.
    Gone(String),
    /// We end it; why, for the log.
    Refused(String),
    /// It sent more than [`MESSAGE_MAX`].
    TooLarge,
    /// The hub stops.
    Stopping,
}

/// Runs one session to its end. `terms` is what the configuration says whenever it is asked; `is_known` is called when the client has
/// shown the token and is a device of this hub.
pub async fn run<S>(
    socket: S,
    peer: IpAddr,
    (terms, is_known): (impl Fn() -> Option<LegacyTerms>, impl Fn()),
    (context, clients): (&SessionContext, &LegacyClients),
) where
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
{
    let socket = pin!(socket);
    let mut line = LegacySocket { socket, peer, terms, context, clients, counted_from: Instant::now(), n_messages: 0 };
    metrics::gauge!("olog_legacy_sessions").increment(1.0);
    let end = converse(&mut line, is_known).await;
    metrics::gauge!("olog_legacy_sessions").decrement(1.0);
    match end {
        LegacyEnd::Refused(_) | LegacyEnd::TooLarge => {
            metrics::counter!("olog_sessions_refused_total").increment(1);
            context.refusals.tell_words(peer, format!("an old client (olog.py): {}", end.words()));
            line.close(1008, "refused").await;
            line.read_to_end().await;
        }
        LegacyEnd::Stopping => line.close(1001, "the hub stops").await,
        LegacyEnd::Gone(why) => tracing::debug!(%peer, why, "an old client is gone"),
    }
}

impl LegacyEnd {
    fn words(&self) -> String {
        match self {
            LegacyEnd::Gone(why) | LegacyEnd::Refused(why) => why.clone(),
            LegacyEnd::TooLarge => format!("a message of more than {MESSAGE_MAX} bytes"),
            LegacyEnd::Stopping => "the hub stops".to_owned(),
        }
    }
}

/// Until the client has said who it is, and then as that device.
async fn converse<S, T>(line: &mut LegacySocket<'_, S, T>, is_known: impl Fn()) -> LegacyEnd
where
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
    T: Fn() -> Option<LegacyTerms>,
{
    let context = line.context;
    let opening = line.clients.open(line.peer);
    let opened = tokio::select! {
        biased;
        opened = timeout(NAME_AFTER, line.receive()) => opened,
        () = context.stop.cancelled() => return LegacyEnd::Stopping,
        () = opening.displaced() => {
            return LegacyEnd::Refused("it has not said its name, and a newer connection needed its place".to_owned());
        }
    };
    let first = match opened {
        Ok(Ok(messages)) => messages.into_iter().next(),
        Ok(Err(end)) => return end,
        Err(_) => return LegacyEnd::Refused("no name within 10 s".to_owned()),
    };
    drop(opening);
    let Some((name, first)) = first.and_then(|first| Some((name_of(&first.payload)?, first))) else {
        return LegacyEnd::Refused(
            "its device string is not `name#address` with a name of at most 64 characters".to_owned(),
        );
    };
    let seat = match line.clients.sit(&name, Instant::now()).await {
        Ok(seat) => seat,
        Err(NoSeat::Full) => return LegacyEnd::Refused("too many old clients are connected".to_owned()),
        Err(NoSeat::Taken) => {
            let (address, now) = (line.peer.to_string(), context.clock.now());
            context.ingest.legacy_trouble(&name, address, LegacyTrouble::Twice, now).await;
            return LegacyEnd::Refused(format!("another one uses the name {name}"));
        }
    };
    be_device(line, (&seat, is_known), name, &first).await
}

async fn be_device<S, T>(
    line: &mut LegacySocket<'_, S, T>,
    (seat, is_known): (&NameSeat, impl Fn()),
    name: DeviceName,
    first: &Signed,
) -> LegacyEnd
where
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
    T: Fn() -> Option<LegacyTerms>,
{
    let (context, now, skew_ms) = (line.context, line.context.clock.now(), first.skew_ms);
    let reservation = context.sessions.reservation();
    let (key, epoch, boot) = identity_of(&context.legacy_identity, &name);
    let start = SessionStart {
        key,
        name: name.clone(),
        address: address_of(&first.payload),
        version: LEGACY_VERSION.to_owned(),
        epoch,
        last: 0,
        boot,
        up: 0,
        peer: line.peer,
        skew_ms,
        now,
    };
    let (device, acked, tasks) = match context.ingest.connect_legacy(start).await {
        Ok(LegacyConnected::Known { device, acked, tasks }) => (device, acked, tasks),
        Ok(LegacyConnected::NameTaken) => {
            return LegacyEnd::Refused(format!("a device with olog-agent has the name {name}"));
        }
        Ok(LegacyConnected::Pending) => return LegacyEnd::Refused(format!("{name} waits to be accepted")),
        Err(error) => return LegacyEnd::Refused(format!("the hub is busy: {error}")),
    };
    is_known();
    line.clients.is_well(&name);
    let (place, _) =
        context.sessions.take(reservation, AuthenticatedDevice { device, boot, peer: line.peer, skew_ms }, now);
    let known =
        tasks.into_iter().map(|signs| (signs.task, KnownTimes { good_at: signs.good_at, error_at: signs.error_at }));
    let mut talk = LegacySession {
        place: &place,
        seat,
        device,
        epoch,
        boot,
        next: acked + 1,
        known: known.collect(),
        asked_at: None,
        ask_at: line.clients.may_be_asked_at(&name),
        name,
    };
    let end = match talk.run(line).await {
        Ok(end) | Err(end) => end,
    };
    if matches!(end, LegacyEnd::TooLarge) {
        line.clients.ask_not_before(&talk.name, Instant::now() + NO_REPORT_RESTS);
        let (address, trouble) = (line.peer.to_string(), LegacyTrouble::Report(end.words()));
        context.ingest.legacy_trouble(&talk.name, address, trouble, context.clock.now()).await;
    }
    if place.is_current() {
        context.ingest.disconnected(device, None, end.words(), place.seat().heard_at()).await;
    }
    end
}

/// The name in `name#address`.
fn name_of(device: &str) -> Option<DeviceName> {
    device.split('#').next()?.trim().parse().ok()
}

/// The address in it.
fn address_of(device: &str) -> Option<String> {
    let address = clean::line(device.split_once('#')?.1.trim().to_owned());
    let end = address.floor_char_boundary(TEXT_MAX);
    address.get(..end).filter(|address| !address.is_empty()).map(str::to_owned)
}

/// The key, the epoch and the boot of the device that an old client of that name is. The key is one that only the hub could prove.
fn identity_of(hub: &SecretKey, name: &DeviceName) -> (PublicKey, Epoch, BootId) {
    let seed = |purpose: &str| -> [u8; 32] {
        Sha256::new().chain_update(purpose).chain_update(hub.seed()).chain_update(name.as_str()).finalize().into()
    };
    let id = |purpose: &str| {
        let mut id = [0; 16];
        id.iter_mut().zip(seed(purpose)).for_each(|(to, from)| *to = from);
        Id128(id)
    };
    (SecretKey::from_seed(seed("olog legacy key ")).public(), id("olog legacy epoch "), id("olog legacy boot "))
}

/// The websocket, with the limits that hold in both directions.
struct LegacySocket<'a, S, T> {
    socket: Pin<&'a mut S>,
    peer: IpAddr,
    terms: T,
    context: &'a SessionContext,
    clients: &'a LegacyClients,
    counted_from: Instant,
    n_messages: u32,
}

impl<S, T> LegacySocket<'_, S, T>
where
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
    T: Fn() -> Option<LegacyTerms>,
{
    fn terms(&self) -> Result<LegacyTerms, LegacyEnd> {
        (self.terms)().ok_or_else(|| LegacyEnd::Refused("[legacy] is not enabled".to_owned()))
    }

    /// The messages of the next text.
    async fn receive(&mut self) -> Result<Vec<Signed>, LegacyEnd> {
        loop {
            let message = self.socket.next().await;
            if self.counted_from.elapsed() >= MESSAGES_WITHIN {
                (self.counted_from, self.n_messages) = (Instant::now(), 0);
            }
            self.n_messages += 1;
            if self.n_messages > MESSAGES_MAX {
                return Err(LegacyEnd::Refused(format!("more than {MESSAGES_MAX} messages in 10 s")));
            }
            match message {
                Some(Ok(Message::Text(text))) => return self.signed(&text).await,
                Some(Ok(Message::Binary(bytes))) => match std::str::from_utf8(&bytes) {
                    Ok(text) => return self.signed(text).await,
                    Err(_) => return Err(LegacyEnd::Refused("a message that is not UTF-8".to_owned())),
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) => {
                    // The library answers a Close while it reads on. Without the answer the client reports an error.
                    self.read_to_end().await;
                    return Err(LegacyEnd::Gone("closed by the device".to_owned()));
                }
                None => return Err(LegacyEnd::Gone("closed by the device".to_owned())),
                Some(Err(error)) => {
                    let words = error.to_string();
                    // tungstenite looks at a message's length before it reads it; axum hands that on as words only.
                    if words.contains("too long") || words.contains("too big") {
                        return Err(LegacyEnd::TooLarge);
                    }
                    return Err(LegacyEnd::Gone(words));
                }
            }
        }
    }

    async fn signed(&mut self, text: &str) -> Result<Vec<Signed>, LegacyEnd> {
        let now = self.context.clock.now();
        let read = wire::read(text, &self.terms()?.token, now);
        if let Err(WireError::Clock { skew_ms, payload }) = &read {
            self.tell_clock(payload, *skew_ms, now).await;
        }
        read.map_err(|error| LegacyEnd::Refused(error.to_string()))
    }

    /// Only who says its name is told about by it.
    async fn tell_clock(&mut self, payload: &str, skew_ms: i64, now: Timestamp) {
        let Some(name) = name_of(payload).filter(|_| payload != PONG && !payload.starts_with('{')) else { return };
        if self.clients.is_first_telling(&name) {
            let trouble = LegacyTrouble::Clock(skew_ms / 1000);
            self.context.ingest.legacy_trouble(&name, self.peer.to_string(), trouble, now).await;
        }
    }

    async fn send(&mut self, payload: &str) -> Result<(), LegacyEnd> {
        let text = wire::write(payload, &self.terms()?.token, self.context.clock.now());
        match timeout(SEND_AFTER, self.socket.send(Message::Text(text.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(LegacyEnd::Gone(error.to_string())),
            Err(_) => Err(LegacyEnd::Gone("the device does not read".to_owned())),
        }
    }

    async fn close(&mut self, code: u16, reason: &'static str) {
        let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let closed = timeout(SEND_AFTER, async {
            self.socket.send(frame).await?;
            self.socket.close().await
        });
        if !matches!(closed.await, Ok(Ok(()))) {
            tracing::debug!(peer = %self.peer, "an old client did not wait for the end");
        }
    }

    /// Reads and drops what still comes, until the connection has ended. A connection that is dropped with unread bytes is reset, and
    /// the client would not see why the hub closed it.
    async fn read_to_end(&mut self) {
        let rest = async {
            for _ in 0..MESSAGES_MAX {
                if !matches!(self.socket.next().await, Some(Ok(_))) {
                    return;
                }
            }
        };
        if timeout(CLOSE_AFTER, rest).await.is_err() {
            tracing::debug!(peer = %self.peer, "an old client does not end its connection");
        }
    }
}

const PING: &str = "ping";
const PONG: &str = "pong";
const REPORT_NOW: &str = "report now";

/// A session after the name.
struct LegacySession<'a> {
    place: &'a SeatGuard,
    seat: &'a NameSeat,
    name: DeviceName,
    device: DeviceId,
    epoch: Epoch,
    boot: BootId,
    /// The number of its next event.
    next: u64,
    known: HashMap<TaskName, KnownTimes>,
    /// A report was asked for then, and has not come.
    asked_at: Option<Instant>,
    /// When one is asked for next.
    ask_at: Instant,
}

impl LegacySession<'_> {
    async fn run<S, T>(&mut self, line: &mut LegacySocket<'_, S, T>) -> Result<LegacyEnd, LegacyEnd>
    where
        S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
        T: Fn() -> Option<LegacyTerms>,
    {
        let context = line.context;
        let mut heard_at = Instant::now();
        let mut ping_at = heard_at + PING_EVERY;
        loop {
            if self.ask_at <= Instant::now() {
                self.ask(line).await?;
            }
            let silent_after = if self.asked_at.is_some() { REPORT_AFTER } else { SILENT_AFTER };
            let wake_at = ping_at.min(self.ask_at).min(heard_at + silent_after);
            tokio::select! {
                biased;
                () = context.stop.cancelled() => return Ok(LegacyEnd::Stopping),
                () = self.seat.must_leave() => return Err(LegacyEnd::Gone("it connected anew".to_owned())),
                order = self.place.seat().next_order() => match order {
                    Order::Ping => line.send(PING).await?,
                    Order::Displaced => return Err(LegacyEnd::Gone("it connected anew".to_owned())),
                    Order::Revoked => return Err(LegacyEnd::Refused("it was forgotten or replaced".to_owned())),
                },
                messages = line.receive() => {
                    let messages = messages?;
                    heard_at = Instant::now();
                    self.seat.heard(heard_at);
                    self.place.seat().heard(context.clock.now());
                    for message in messages {
                        self.take(line, &message.payload).await?;
                    }
                }
                () = sleep_until(wake_at) => {
                    if heard_at.elapsed() >= silent_after {
                        if self.asked_at.is_some() {
                            line.clients.ask_not_before(&self.name, Instant::now() + NO_REPORT_RESTS);
                        }
                        return Err(LegacyEnd::Gone("it answers no ping".to_owned()));
                    }
                    if ping_at <= Instant::now() {
                        ping_at = Instant::now() + PING_EVERY;
                        line.send(PING).await?;
                    }
                }
            }
        }
    }

    async fn ask<S, T>(&mut self, line: &mut LegacySocket<'_, S, T>) -> Result<(), LegacyEnd>
    where
        S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
        T: Fn() -> Option<LegacyTerms>,
    {
        let now = Instant::now();
        (self.asked_at, self.ask_at) = (Some(now), now + REPORT_EVERY);
        line.send(REPORT_NOW).await
    }

    /// A message: `pong`, or a report that was asked for. Anything else says no more than that the client lives.
    async fn take<S, T>(&mut self, line: &mut LegacySocket<'_, S, T>, payload: &str) -> Result<(), LegacyEnd>
    where
        S: Stream<Item = Result<Message, axum::Error>> + Sink<Message, Error = axum::Error>,
        T: Fn() -> Option<LegacyTerms>,
    {
        let Some(asked_at) = self.asked_at.filter(|_| payload != PONG && payload.trim_start().starts_with('{')) else {
            return Ok(());
        };
        self.asked_at = None;
        // A client that needs long for its report is asked less often.
        let now = Instant::now();
        self.ask_at = now + REPORT_EVERY.max(now.saturating_duration_since(asked_at) * REPORT_REST);
        let at = line.context.clock.now();
        let mut report = match report::parse(payload, line.terms()?.timezone, at) {
            Ok(report) => report,
            Err(error) => return Err(LegacyEnd::Refused(format!("its report cannot be read: {error}"))),
        };
        let mut known = self.known.clone();
        let events = report.events(&mut known, self.next, self.boot);
        if report.n_malformed > 0 {
            tracing::debug!(device = %self.name, n = report.n_malformed, "tasks of an old client cannot be read");
        }
        if report.n_left_out > 0 {
            let words =
                format!("{} tasks, {} of them are left out", report.n_left_out + report::TASKS_MAX, report.n_left_out);
            let (address, trouble) = (line.peer.to_string(), LegacyTrouble::Report(words));
            line.context.ingest.legacy_trouble(&self.name, address, trouble, at).await;
        }
        if events.is_empty() {
            return Ok(());
        }
        match line.context.ingest.events(self.device, self.epoch, 0, events).await {
            Ok(acked) => {
                (self.next, self.known) = (acked + 1, known);
                Ok(())
            }
            Err(IngestError::Revoked) => Err(LegacyEnd::Refused("it was forgotten or replaced".to_owned())),
            // What was not committed is in the next report again.
            Err(error) => Err(LegacyEnd::Gone(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests;

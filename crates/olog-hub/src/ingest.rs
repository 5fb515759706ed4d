//! The only path by which the events of sessions, pings and alerts reach the database. Also records connects and disconnects, devices that wait to be accepted,
//! and keys that two machines use.
//!
//! **Group commit.** Sessions hand batches to one worker and wait, and so does whoever brings a ping or an alert. What arrives during a transaction is collected and
//! committed as the next one, up to `GROUP_MAX` events. So a lone event is committed at once, and a thousand agents share one flush
//! of the disk. An acknowledgement means that the transaction is on the disk.
//!
//! One transaction writes the events (once per number), the tasks' facts, the incidents and the outbox rows.
//!
//! | the store says | what happens |
//! |---|---|
//! | the disk is full or fails, the database is away | the group waits and is tried again; devices keep what is not acknowledged |
//! | it refuses a row of the group | again batch by batch, then event by event; the single bad event is stored as `unreadable` under its number, reported, and acknowledged |
//! | a stored row that a batch needs cannot be read | this device gets "busy" and keeps its events; the others go on |
//! | a statement does not run at all, whichever row it is for | all get "busy" and keep their events; the duty `commit` fails |
//! | the database is damaged, or of a later version | the worker ends, and with it the process |
//!
//! Must not know frames, call a channel, or decide what an event means (`incident` does).

pub mod alerts;
mod connect;
mod device_batch;
mod items;
mod jobs;
mod lasting;
pub mod legacy;
mod notes;
pub mod pings;
mod quota;
mod touched;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use olog_daemon::{clock::Clock, workers};
use olog_proto::{DeviceName, DeviceTime, Epoch, Event, PublicKey, Timestamp};
use olog_push::SystemCode;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::apply::{self, LivePolicy};
use crate::bell::Bell;
use crate::journal::LogEntry;
use crate::rules::address_limit::AddressLimit;
use crate::rules::quota::QuotaState;
use crate::store::devices::{self, Device, DeviceId, DeviceState, SessionStart};
use crate::store::enrolment::{self, KeyAnnouncement};
use crate::store::events::{self, NewEvent};
use crate::store::{EARLIEST, Store, StoreError, Tx};
use alerts::{AlertDone, ReceivedAlert};
use device_batch::DeviceBatch;
use items::{Item, commit, commit_item};
use lasting::note_begins;
use pings::{PingDone, ReceivedPing};

/// Batches that may wait for the worker; beyond it sessions wait.
const QUEUE: usize = 256;
/// Events in one transaction: enough to share a flush among many, few enough that nobody waits long.
const GROUP_MAX: usize = 2_000;
/// How long a group waits after the disk failed, at first and at most.
const DISK_WAIT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Who a device is to the hub.
#[derive(Debug)]
pub enum Connected {
    /// It has joined.
    Known {
        /// Its row.
        device: DeviceId,
        /// Its name here.
        name: DeviceName,
        /// Its epoch is committed through this number.
        acked: u64,
    },
    /// Nobody enrolled it yet.
    Pending,
    /// Nobody enrolled it yet, and too many unknown devices ask to join: nothing was written.
    TooManyPending,
    /// It was forgotten or replaced.
    Revoked,
    /// Its spool's numbers cannot be trusted.
    NewEpoch {
        /// Why, for a person.
        detail: String,
    },
}

/// Why events were not committed.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The device was forgotten meanwhile.
    #[error("the device was forgotten")]
    Revoked,
    /// A known number came with another content.
    #[error("the numbers of this spool are another spool's: {detail}")]
    NewEpoch {
        /// Why, for a person.
        detail: String,
    },
    /// Not now.
    #[error("{0}")]
    Busy(String),
}

/// A handle to the worker; clones share it.
#[derive(Debug, Clone)]
pub struct Ingest {
    store: Store,
    rules: watch::Receiver<Arc<LivePolicy>>,
    requests: mpsc::Sender<IngestRequest>,
    bells: Bells,
    /// Unknown keys that ask to join.
    strangers: Arc<Mutex<AddressLimit>>,
}

/// Who is woken after a commit.
#[derive(Debug, Clone, Default)]
pub struct Bells {
    /// There may be something to send.
    pub outbox: Bell,
    /// Something may be due earlier than it was.
    pub watchman: Bell,
}

#[derive(Debug)]
struct IngestRequest {
    item: Item,
    reply: oneshot::Sender<Committed>,
}

#[derive(Debug)]
struct Batch {
    device: DeviceId,
    epoch: Epoch,
    skew_ms: i64,
    events: Vec<Event>,
    digests: Vec<u64>,
}

impl Ingest {
    /// The handle, and the worker that the wiring runs.
    pub fn new(store: Store, rules: watch::Receiver<Arc<LivePolicy>>, bells: Bells, clock: Clock) -> (Ingest, Worker) {
        let (requests, queue) = mpsc::channel(QUEUE);
        let worker = Worker {
            store: store.clone(),
            rules: rules.clone(),
            queue,
            bells: bells.clone(),
            clock,
            pulse: workers::Worker::default(),
            duty: workers::Duty::default(),
        };
        (Ingest { store, rules, requests, bells, strangers: Arc::new(connect::strangers()) }, worker)
    }

    /// Who is it? Records what it says of itself.
    pub async fn connect(&self, start: SessionStart) -> Result<Connected, IngestError> {
        let (rules, strangers) = (self.rules.borrow().clone(), self.strangers.clone());
        let connected =
            self.store.write(move |tx| connect::connect(tx, &rules, &strangers, &start)).await.map_err(busy)?;
        self.bells.outbox.ring();
        self.bells.watchman.ring();
        Ok(connected)
    }

    /// A device announces its next key, in a session of its present one.
    pub async fn announce_key(
        &self,
        device: DeviceId,
        (present, next): (PublicKey, PublicKey),
        peer: IpAddr,
        now: Timestamp,
    ) -> Result<KeyAnnouncement, IngestError> {
        let origin = peer.to_string();
        let announced =
            self.store.write(move |tx| enrolment::announce_key(tx, device, (&present, &next), &origin, now));
        announced.await.map_err(busy)
    }

    /// Commits events of a device, in the order of the calls; returns the number through which its epoch is committed.
    pub async fn events(
        &self,
        device: DeviceId,
        epoch: Epoch,
        skew_ms: i64,
        events: Vec<Event>,
    ) -> Result<u64, IngestError> {
        let digests = events.iter().map(Event::digest).collect();
        match self.committed(Item::Batch(Batch { device, epoch, skew_ms, events, digests })).await? {
            Done::Through(n) => Ok(n),
            Done::Ping(_) | Done::Alert(_) => Err(stops()),
        }
    }

    /// Commits a ping.
    pub async fn ping(&self, ping: ReceivedPing) -> Result<PingDone, IngestError> {
        match self.committed(Item::Ping(ping)).await? {
            Done::Ping(done) => Ok(done),
            Done::Through(_) | Done::Alert(_) => Err(stops()),
        }
    }

    /// Commits an alert.
    pub async fn alert(&self, alert: ReceivedAlert) -> Result<AlertDone, IngestError> {
        match self.committed(Item::Alert(alert)).await? {
            Done::Alert(done) => Ok(done),
            Done::Through(_) | Done::Ping(_) => Err(stops()),
        }
    }

    /// Hands an item to the worker and waits for its commit.
    async fn committed(&self, item: Item) -> Committed {
        let (reply, answer) = oneshot::channel();
        self.requests.send(IngestRequest { item, reply }).await.map_err(|_| stops())?;
        answer.await.map_err(|_| stops())?
    }

    /// The session ended, and why. `bye`: what the device said when it went on purpose.
    pub async fn disconnected(&self, device: DeviceId, bye: Option<String>, why: String, heard_at: Timestamp) {
        let written = self.store.write(move |tx| {
            let name = devices::disconnected(tx, device, bye.as_deref(), heard_at)?;
            let what = if bye.is_some() { "device said bye" } else { "device gone" };
            tx.note(LogEntry::new(what).device(name).why(why.as_str()));
            Ok(())
        });
        let written = written.await;
        if let Err(error) = written {
            tracing::warn!(%error, device = device.0, "the end of a session was not recorded");
        }
        self.bells.watchman.ring();
    }

    /// Two machines use the key of one device: told once, until a person has looked after it.
    pub async fn two_machines(&self, device: DeviceId, peers: Vec<IpAddr>, now: Timestamp) {
        let rules = self.rules.borrow().clone();
        let written = self.store.write(move |tx| {
            let Some(device) = devices::get(tx, device)? else { return Ok(()) };
            let args = [("addresses", peers.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", "))];
            note_begins(tx, &rules, &device, "two_machines", (SystemCode::TwoMachines, &args), now, now)
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "two machines use one key, and that was not recorded");
        }
        self.bells.outbox.ring();
    }
}

fn stops() -> IngestError {
    IngestError::Busy("the hub stops".to_owned())
}

fn busy(error: StoreError) -> IngestError {
    IngestError::Busy(error.to_string())
}

/// Tells once that an epoch is not taken any more.
fn epoch_refused(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &Device,
    epoch: events::EpochId,
    detail: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    if events::refuse(tx, epoch)? {
        let notice = apply::system_notice(Some(device), SystemCode::EpochRenewed, &[("why", detail.to_owned())], now);
        apply::enqueue_notice(tx, rules, &notice, now)?;
    }
    Ok(())
}

/// The worker: owned by the wiring.
#[derive(Debug)]
pub struct Worker {
    store: Store,
    rules: watch::Receiver<Arc<LivePolicy>>,
    queue: mpsc::Receiver<IngestRequest>,
    bells: Bells,
    clock: Clock,
    pulse: workers::Worker,
    duty: workers::Duty,
}

type Committed = Result<Done, IngestError>;

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    /// A batch: its epoch is committed through this number.
    Through(u64),
    /// A ping.
    Ping(PingDone),
    /// An alert.
    Alert(AlertDone),
}

impl Worker {
    /// Reports its state through this handle: that it works, whether its commits fail, and what it sets aside.
    pub fn with_pulse(self, pulse: workers::Worker) -> Worker {
        let duty = pulse.duty("commit");
        Worker { pulse, duty, ..self }
    }

    /// Commits until `stop`; then what has arrived, and ends.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        loop {
            self.pulse.idle();
            let first = tokio::select! {
                biased;
                request = self.queue.recv() => request,
                () = stop.cancelled() => None,
            };
            let Some(first) = first else { return Ok(()) };
            self.pulse.beat();
            let mut n = first.item.n_events();
            let mut group = vec![first];
            while n < GROUP_MAX {
                let Ok(next) = self.queue.try_recv() else { break };
                n += next.item.n_events();
                group.push(next);
            }
            let (items, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|r| (r.item, r.reply)).unzip();
            let is_batch: Vec<bool> = items.iter().map(|item| matches!(item, Item::Batch(_))).collect();
            let started = tokio::time::Instant::now();
            let committed = self.commit(items, &stop).await;
            let done = self.duty.round(committed, self.clock.now())?.unwrap_or_else(|| {
                let busy = || Err(IngestError::Busy("the store did not take it".to_owned()));
                replies.iter().map(|_| busy()).collect()
            });
            metrics::histogram!("olog_commit_seconds").record(started.elapsed().as_secs_f64());
            metrics::counter!("olog_events_total").increment(n as u64);
            for ((reply, committed), is_batch) in replies.into_iter().zip(done).zip(is_batch) {
                if is_batch {
                    let outcome = if committed.is_ok() { "acked" } else { "refused" };
                    metrics::counter!("olog_batches_total", "outcome" => outcome).increment(1);
                }
                // A session that is gone does not wait for its answer.
                drop(reply.send(committed));
            }
            self.bells.outbox.ring();
            self.bells.watchman.ring();
        }
    }

    /// One group, whatever it takes: together, else item by item.
    async fn commit(&self, items: Vec<Item>, stop: &CancellationToken) -> Result<Vec<Committed>, StoreError> {
        let items: Arc<[Item]> = items.into();
        let rules = self.rules.borrow().clone();
        match self.write(stop, &items, &rules, commit).await {
            Err(error @ (StoreError::Refused(_) | StoreError::Row(_))) => {
                tracing::warn!(%error, n_items = items.len(), "a group was refused: tried one by one");
                let mut done = Vec::with_capacity(items.len());
                for i in 0..items.len() {
                    done.push(self.commit_alone(stop, &items, i, &rules).await?);
                }
                Ok(done)
            }
            Err(error) if error.is_passing() => {
                Ok(items.iter().map(|_| Err(IngestError::Busy(error.to_string()))).collect())
            }
            done => done,
        }
    }

    /// One item. A batch: as a whole, else event by event, the event that is refused as `unreadable`.
    async fn commit_alone(
        &self,
        stop: &CancellationToken,
        items: &Arc<[Item]>,
        i: usize,
        rules: &Arc<LivePolicy>,
    ) -> Result<Committed, StoreError> {
        let whole = move |tx: &mut Tx<'_>, items: &[Item], rules: &LivePolicy, now: Timestamp| {
            items.get(i).map_or(Ok(Ok(Done::Through(0))), |item| commit_item(tx, rules, item, None, now))
        };
        match self.write(stop, items, rules, whole).await {
            Err(StoreError::Refused(_)) => {}
            // Not the events are bad but a row that the hub needs for them: the device keeps them until that row is mended.
            Err(error @ StoreError::Row(_)) => return Ok(Err(self.row_unreadable(items.get(i), error))),
            Err(error) if error.is_passing() => return Ok(Err(busy(error))),
            done => return done,
        }
        let n_events = match items.get(i) {
            Some(Item::Batch(batch)) => batch.events.len(),
            // Its sender hears that it was not taken.
            Some(Item::Ping(_) | Item::Alert(_)) | None => {
                return Ok(Err(IngestError::Busy("the store refused it".to_owned())));
            }
        };
        let mut committed = Ok(Done::Through(0));
        for n in 0..n_events {
            let alone = move |tx: &mut Tx<'_>, items: &[Item], rules: &LivePolicy, now: Timestamp| {
                items.get(i).map_or(Ok(Ok(Done::Through(0))), |item| commit_item(tx, rules, item, Some(n), now))
            };
            let mut written = self.write(stop, items, rules, alone).await;
            if let Err(StoreError::Refused(why)) = written {
                let unreadable =
                    move |tx: &mut Tx<'_>, items: &[Item], rules: &LivePolicy, now: Timestamp| match items.get(i) {
                        Some(Item::Batch(batch)) => commit_unreadable(tx, rules, batch, n, &why, now),
                        Some(Item::Ping(_) | Item::Alert(_)) | None => Ok(Ok(Done::Through(0))),
                    };
                written = self.write(stop, items, rules, unreadable).await;
            }
            committed = match written {
                Ok(committed) => committed,
                // The next try goes on with this event: those before it are committed.
                Err(error @ (StoreError::Row(_) | StoreError::Refused(_))) => {
                    Err(self.row_unreadable(items.get(i), error))
                }
                Err(error) if error.is_passing() => Err(busy(error)),
                Err(error) => return Err(error),
            };
            if committed.is_err() {
                break;
            }
        }
        Ok(committed)
    }

    /// A device's events wait because of a row that cannot be read. The other devices are not affected.
    fn row_unreadable(&self, item: Option<&Item>, error: StoreError) -> IngestError {
        let what = match item {
            Some(Item::Batch(batch)) => format!("events of device {}, which keeps them", batch.device.0),
            Some(Item::Ping(_) | Item::Alert(_)) | None => "a ping or an alert, whose sender is told".to_owned(),
        };
        self.duty.set_aside(&what, &error.to_string());
        metrics::counter!("olog_batches_unreadable_total").increment(1);
        busy(error)
    }

    /// Runs a step, again and again while the disk does not take it; what it cost is told when it does.
    async fn write<T, F>(
        &self,
        stop: &CancellationToken,
        items: &Arc<[Item]>,
        rules: &Arc<LivePolicy>,
        step: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>, &[Item], &LivePolicy, Timestamp) -> Result<T, StoreError> + Clone + Send + 'static,
    {
        let mut trouble: Option<(Timestamp, String)> = None;
        let mut wait = DISK_WAIT.0;
        loop {
            // A disk that is full is waited for, and that is a sign of life.
            self.pulse.beat();
            let now = self.clock.now();
            let (items, rules, step, told) = (items.clone(), rules.clone(), step.clone(), trouble.clone());
            let written = self.store.write(move |tx| {
                if let Some((since, why)) = &told {
                    let args = [("text", why.clone()), ("since", since.0.to_string())];
                    apply::enqueue_notice(
                        tx,
                        &rules,
                        &apply::system_notice(None, SystemCode::StoreTrouble, &args, now),
                        now,
                    )?;
                }
                step(tx, &items, &rules, now)
            });
            match written.await {
                Err(StoreError::Disk(why)) => {
                    if trouble.is_none() {
                        tracing::error!(why, "events are not committed; the devices keep them");
                    }
                    trouble.get_or_insert((now, why));
                }
                done => {
                    if let Some((since, _)) = trouble {
                        tracing::info!(after_ms = self.clock.now().since(since), "the store takes events again");
                    }
                    return done;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => wait = (wait * 2).min(DISK_WAIT.1),
                () = stop.cancelled() => return Err(StoreError::Closed),
            }
        }
    }
}

/// Commits a range of a batch's events.
fn commit_batch(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    batch: &Batch,
    range: std::ops::Range<usize>,
    now: Timestamp,
) -> Result<Committed, StoreError> {
    let Some((device, used)) = lock_joined(tx, batch.device)? else { return Ok(Err(IngestError::Revoked)) };
    let stream = events::stream(tx, device.id, batch.epoch, now)?;
    let numbered = || batch.events.iter().zip(&batch.digests).skip(range.start).take(range.len());
    if let Some(n) = changed_number(tx, &stream, numbered())? {
        let detail =
            format!("number {n} is known with another content: the spool was restored from an older copy, or cloned");
        epoch_refused(tx, rules, &device, stream.epoch, &detail, now)?;
        return Ok(Err(IngestError::NewEpoch { detail }));
    }
    let new: Vec<_> = numbered().filter(|(event, _)| event.n > stream.acked).collect();
    let (Some((first, _)), Some((last, _))) = (new.first(), new.last()) else {
        return Ok(Ok(Done::Through(stream.acked)));
    };
    let missing = first.n - stream.acked - 1;
    if missing > 0 && !(stream.acked == 0 && devices::is_first_epoch(tx, device.id, stream.epoch)?) {
        let notice = apply::system_notice(Some(&device), SystemCode::Gap, &[("n", missing.to_string())], now);
        apply::enqueue_notice(tx, rules, &notice, now)?;
    }
    let mut changes = DeviceBatch::new(rules, &device, stream.epoch, used, now);
    for &(event, &digest) in &new {
        changes.take(tx, event, digest, hub_time(event.at, batch.skew_ms, now))?;
    }
    changes.end(tx)?;
    events::set_acked(tx, stream.epoch, last.n, missing)?;
    Ok(Ok(Done::Through(last.n)))
}

/// Locks a device that has joined; gives what it has used of its quota. `None`: it was forgotten.
fn lock_joined(tx: &mut Tx<'_>, device: DeviceId) -> Result<Option<(Device, QuotaState)>, StoreError> {
    let used = devices::lock_quota(tx, device)?;
    let device = devices::get(tx, device)?.filter(|device| device.state == DeviceState::Joined);
    Ok(device.map(|device| (device, used)))
}

/// The first known number that came with another digest than it had.
fn changed_number<'a>(
    tx: &mut Tx<'_>,
    stream: &events::Stream,
    numbered: impl Iterator<Item = (&'a Event, &'a u64)>,
) -> Result<Option<u64>, StoreError> {
    let oldest = stream.acked.saturating_sub(events::DIGESTS_KEPT) + 1;
    let known: Vec<_> = numbered.filter(|(event, _)| event.n <= stream.acked && event.n >= oldest).collect();
    let (Some((first, _)), Some((last, _))) = (known.first(), known.last()) else { return Ok(None) };
    let stored = events::digests(tx, stream.epoch, first.n, last.n)?;
    let differs = |(event, digest): &&(&Event, &u64)| stored.get(&event.n).is_some_and(|was| was != *digest);
    Ok(known.iter().find(differs).map(|(event, _)| event.n))
}

/// Records under its number that an event could not be stored.
fn commit_unreadable(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    batch: &Batch,
    i: usize,
    why: &str,
    now: Timestamp,
) -> Result<Committed, StoreError> {
    let Some((device, _)) = lock_joined(tx, batch.device)? else { return Ok(Err(IngestError::Revoked)) };
    let stream = events::stream(tx, device.id, batch.epoch, now)?;
    let numbered = batch.events.get(i).zip(batch.digests.get(i)).filter(|(event, _)| event.n > stream.acked);
    let Some((event, &digest)) = numbered else { return Ok(Ok(Done::Through(stream.acked))) };
    tracing::error!(device = %device.name, n = event.n, why, "an event cannot be stored: recorded as unreadable");
    let row = NewEvent { epoch: stream.epoch, device: device.id, task: None, at: now, digest, event };
    events::insert_unreadable(tx, &row, now)?;
    events::set_acked(tx, stream.epoch, event.n, event.n - stream.acked - 1)?;
    let notice = apply::system_notice(Some(&device), SystemCode::Unreadable, &[("n", event.n.to_string())], now);
    apply::enqueue_notice(tx, rules, &notice, now)?;
    Ok(Ok(Done::Through(event.n)))
}

/// A device's instant in the hub's time. What cannot be (the future, or before its clock was set) happened now.
fn hub_time(at: DeviceTime, skew_ms: i64, now: Timestamp) -> Timestamp {
    let at = at.in_hub_time(skew_ms);
    if at > now || at < EARLIEST { now } else { at }
}

#[cfg(test)]
pub(crate) mod tests;

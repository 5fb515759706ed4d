//! The only path by which a session's events reach the database. Also records connects and disconnects, devices that wait to be accepted,
//! and keys that two machines use.
//!
//! **Group commit.** Sessions hand batches to one worker and wait. Batches that arrive during a transaction are collected and
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

mod connect;
mod lasting;
pub mod legacy;
mod notes;
mod quota;
mod touched;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use olog_daemon::{clock::Clock, workers};
use olog_proto::{DeviceName, DeviceTime, Epoch, Event, EventContent, PublicKey, Timestamp};
use olog_push::SystemCode;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::apply::{self, LivePolicy};
use crate::bell::Bell;
use crate::journal::LogEntry;
use crate::rules::address_limit::AddressLimit;
use crate::rules::quota::{Limit, QuotaState};
use crate::rules::state::State;
use crate::store::devices::{self, Device, DeviceId, DeviceState, SessionStart};
use crate::store::enrolment::{self, KeyAnnouncement};
use crate::store::events::{self, NewEvent};
use crate::store::{EARLIEST, Store, StoreError, Tx};
use lasting::note_begins;
use notes::take_note;
use quota::{BatchQuota, is_error, is_message};
use touched::BatchTasks;

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
    batch: Batch,
    reply: oneshot::Sender<Result<u64, IngestError>>,
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
        let (reply, answer) = oneshot::channel();
        let batch = Batch { device, epoch, skew_ms, events, digests };
        let stopped = |_| IngestError::Busy("the hub stops".to_owned());
        self.requests.send(IngestRequest { batch, reply }).await.map_err(|_| stopped(()))?;
        answer.await.map_err(|_| stopped(()))?
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
            let text = peers.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
            let args = [("addresses", text)];
            note_begins(tx, &rules, &device, "two_machines", (SystemCode::TwoMachines, &args), now, now)
        });
        if let Err(error) = written.await {
            tracing::error!(%error, "two machines use one key, and that was not recorded");
        }
        self.bells.outbox.ring();
    }
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

/// What became of a batch.
type Committed = Result<u64, IngestError>;

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
            let mut n = first.batch.events.len();
            let mut group = vec![first];
            while n < GROUP_MAX {
                let Ok(next) = self.queue.try_recv() else { break };
                n += next.batch.events.len();
                group.push(next);
            }
            let (batches, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|r| (r.batch, r.reply)).unzip();
            let started = tokio::time::Instant::now();
            let committed = self.commit(batches, &stop).await;
            let done = self.duty.round(committed, self.clock.now())?.unwrap_or_else(|| {
                let busy = || Err(IngestError::Busy("the store did not take it".to_owned()));
                replies.iter().map(|_| busy()).collect()
            });
            metrics::histogram!("olog_commit_seconds").record(started.elapsed().as_secs_f64());
            metrics::counter!("olog_events_total").increment(n as u64);
            for (reply, committed) in replies.into_iter().zip(done) {
                let outcome = if committed.is_ok() { "acked" } else { "refused" };
                metrics::counter!("olog_batches_total", "outcome" => outcome).increment(1);
                // A session that is gone does not wait for its answer.
                drop(reply.send(committed));
            }
            self.bells.outbox.ring();
            self.bells.watchman.ring();
        }
    }

    /// One group, whatever it takes: together, else batch by batch.
    async fn commit(&self, batches: Vec<Batch>, stop: &CancellationToken) -> Result<Vec<Committed>, StoreError> {
        let batches: Arc<[Batch]> = batches.into();
        let rules = self.rules.borrow().clone();
        match self.write(stop, &batches, &rules, commit).await {
            Err(error @ (StoreError::Refused(_) | StoreError::Row(_))) => {
                tracing::warn!(%error, n_batches = batches.len(), "a group was refused: tried one by one");
                let mut done = Vec::with_capacity(batches.len());
                for i in 0..batches.len() {
                    done.push(self.commit_alone(stop, &batches, i, &rules).await?);
                }
                Ok(done)
            }
            Err(error) if error.is_passing() => {
                Ok(batches.iter().map(|_| Err(IngestError::Busy(error.to_string()))).collect())
            }
            done => done,
        }
    }

    /// One batch: as a whole, else event by event, the event that is refused as `unreadable`.
    async fn commit_alone(
        &self,
        stop: &CancellationToken,
        batches: &Arc<[Batch]>,
        i: usize,
        rules: &Arc<LivePolicy>,
    ) -> Result<Committed, StoreError> {
        let whole = move |tx: &mut Tx<'_>, batches: &[Batch], rules: &LivePolicy, now: Timestamp| {
            batches.get(i).map_or(Ok(Ok(0)), |batch| commit_batch(tx, rules, batch, 0..batch.events.len(), now))
        };
        match self.write(stop, batches, rules, whole).await {
            Err(StoreError::Refused(_)) => {}
            // Not the events are bad but a row that the hub needs for them: the device keeps them until that row is mended.
            Err(error @ StoreError::Row(_)) => return Ok(Err(self.row_unreadable(batches.get(i), error))),
            Err(error) if error.is_passing() => return Ok(Err(busy(error))),
            done => return done,
        }
        let n_events = batches.get(i).map_or(0, |b| b.events.len());
        let mut committed = Ok(0);
        for n in 0..n_events {
            let alone = move |tx: &mut Tx<'_>, batches: &[Batch], rules: &LivePolicy, now: Timestamp| {
                batches.get(i).map_or(Ok(Ok(0)), |batch| commit_batch(tx, rules, batch, n..n + 1, now))
            };
            let mut written = self.write(stop, batches, rules, alone).await;
            if let Err(StoreError::Refused(why)) = written {
                let unreadable = move |tx: &mut Tx<'_>, batches: &[Batch], rules: &LivePolicy, now: Timestamp| {
                    batches.get(i).map_or(Ok(Ok(0)), |batch| commit_unreadable(tx, rules, batch, n, &why, now))
                };
                written = self.write(stop, batches, rules, unreadable).await;
            }
            committed = match written {
                Ok(committed) => committed,
                // The next try goes on with this event: those before it are committed.
                Err(error @ (StoreError::Row(_) | StoreError::Refused(_))) => {
                    Err(self.row_unreadable(batches.get(i), error))
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
    fn row_unreadable(&self, batch: Option<&Batch>, error: StoreError) -> IngestError {
        let device = batch.map_or(0, |batch| batch.device.0);
        self.duty.set_aside(&format!("events of device {device}, which keeps them"), &error.to_string());
        metrics::counter!("olog_batches_unreadable_total").increment(1);
        busy(error)
    }

    /// Runs a step, again and again while the disk does not take it; what it cost is told when it does.
    async fn write<T, F>(
        &self,
        stop: &CancellationToken,
        batches: &Arc<[Batch]>,
        rules: &Arc<LivePolicy>,
        step: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>, &[Batch], &LivePolicy, Timestamp) -> Result<T, StoreError> + Clone + Send + 'static,
    {
        let mut trouble: Option<(Timestamp, String)> = None;
        let mut wait = DISK_WAIT.0;
        loop {
            // A disk that is full is waited for, and that is a sign of life.
            self.pulse.beat();
            let now = self.clock.now();
            let (batches, rules, step, told) = (batches.clone(), rules.clone(), step.clone(), trouble.clone());
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
                step(tx, &batches, &rules, now)
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

fn commit(
    tx: &mut Tx<'_>,
    batches: &[Batch],
    rules: &LivePolicy,
    now: Timestamp,
) -> Result<Vec<Committed>, StoreError> {
    // Devices are locked in the order of their ids, so that two hubs never wait for each other.
    let mut in_order: BTreeMap<DeviceId, Vec<usize>> = BTreeMap::new();
    for (i, batch) in batches.iter().enumerate() {
        in_order.entry(batch.device).or_default().push(i);
    }
    let mut done: Vec<Committed> = batches.iter().map(|_| Ok(0)).collect();
    for i in in_order.into_values().flatten() {
        if let (Some(batch), Some(slot)) = (batches.get(i), done.get_mut(i)) {
            *slot = commit_batch(tx, rules, batch, 0..batch.events.len(), now)?;
        }
    }
    Ok(done)
}

/// Commits a range of a batch's events.
fn commit_batch(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    batch: &Batch,
    range: std::ops::Range<usize>,
    now: Timestamp,
) -> Result<Committed, StoreError> {
    let (device, stream, used) = match begin_batch(tx, batch, now)? {
        Ok(begun) => begun,
        Err(refused) => return Ok(Err(refused)),
    };
    let numbered = || batch.events.iter().zip(&batch.digests).skip(range.start).take(range.len());
    if let Some(n) = changed_number(tx, &stream, numbered())? {
        let detail =
            format!("number {n} is known with another content: the spool was restored from an older copy, or cloned");
        epoch_refused(tx, rules, &device, stream.epoch, &detail, now)?;
        return Ok(Err(IngestError::NewEpoch { detail }));
    }
    let new: Vec<_> = numbered().filter(|(event, _)| event.n > stream.acked).collect();
    let (Some((first, _)), Some((last, _))) = (new.first(), new.last()) else { return Ok(Ok(stream.acked)) };
    let missing = first.n - stream.acked - 1;
    if missing > 0 && !(stream.acked == 0 && devices::is_first_epoch(tx, device.id, stream.epoch)?) {
        let notice = apply::system_notice(Some(&device), SystemCode::Gap, &[("n", missing.to_string())], now);
        apply::enqueue_notice(tx, rules, &notice, now)?;
    }
    let mut touched = BatchTasks::default();
    let mut quota = BatchQuota::new(used, rules.limits, now);
    let mut rows = Vec::with_capacity(new.len());
    for &(event, &digest) in &new {
        let at = hub_time(event.at, batch.skew_ms, now);
        match (&event.what, event.what.task()) {
            (EventContent::Note(note), _) => take_note(tx, rules, &device, note, &mut quota, at, now)?,
            (_, Some(name)) if !device.forgets(at) => {
                if !touched.admit(tx, device.id, name, quota.tasks())? {
                    quota.is_within(Some(Limit::Tasks), tx, rules, &device, now)?;
                    continue;
                }
                let task = touched.load(tx, device.id, name)?;
                let was_open = task.facts.state() == State::Err;
                let limit = match event {
                    event if is_message(event) => quota.note(),
                    event if is_error(event) && !was_open => quota.incident(tx, &device)?,
                    _ => None,
                };
                let is_told = quota.is_within(limit, tx, rules, &device, now)?;
                if !task.expect.forgets(at) {
                    if is_told {
                        let policy = rules.policy_of(device.name.as_str(), task.name.as_str());
                        let outcomes = task.facts.observe(event, at, now, &policy);
                        apply::outcomes(tx, rules, &device, task, outcomes, now)?;
                        quota.opened(was_open, task.facts.state() == State::Err);
                    }
                    // A run that failed has come all the same.
                    let known = apply::known(rules, &device, task);
                    let outcomes = task.expect.observe(event, at, now, &known, &rules.expect);
                    apply::expectations(tx, rules, &device, task, outcomes, now)?;
                }
            }
            _ => {}
        }
        let limit = quota.event();
        if quota.is_within(limit, tx, rules, &device, now)? {
            rows.push(NewEvent { epoch: stream.epoch, device: device.id, task: None, at, digest, event });
        }
    }
    for task in touched.all() {
        apply::task(tx, rules, &device, task, now)?;
    }
    for row in &mut rows {
        row.task = row.event.what.task().and_then(|name| touched.get(name)?.id);
    }
    let bytes = events::insert(tx, &rows, now)?;
    quota.end(tx, &device, bytes, now)?;
    events::set_acked(tx, stream.epoch, last.n, missing)?;
    Ok(Ok(last.n))
}

/// Locks the device and finds its stream. A refusal is an answer; an error of the store is not.
fn begin_batch(
    tx: &mut Tx<'_>,
    batch: &Batch,
    now: Timestamp,
) -> Result<Result<(Device, events::Stream, QuotaState), IngestError>, StoreError> {
    let used = devices::lock_quota(tx, batch.device)?;
    match devices::get(tx, batch.device)? {
        Some(device) if device.state == DeviceState::Joined => {
            let stream = events::stream(tx, device.id, batch.epoch, now)?;
            Ok(Ok((device, stream, used)))
        }
        _ => Ok(Err(IngestError::Revoked)),
    }
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
    let (device, stream, _) = match begin_batch(tx, batch, now)? {
        Ok(begun) => begun,
        Err(refused) => return Ok(Err(refused)),
    };
    let (Some(event), Some(&digest)) = (batch.events.get(i), batch.digests.get(i)) else { return Ok(Ok(stream.acked)) };
    if event.n <= stream.acked {
        return Ok(Ok(stream.acked));
    }
    tracing::error!(device = %device.name, n = event.n, why, "an event cannot be stored: recorded as unreadable");
    let row = NewEvent { epoch: stream.epoch, device: device.id, task: None, at: now, digest, event };
    events::insert_unreadable(tx, &row, now)?;
    events::set_acked(tx, stream.epoch, event.n, event.n - stream.acked - 1)?;
    let notice = apply::system_notice(Some(&device), SystemCode::Unreadable, &[("n", event.n.to_string())], now);
    apply::enqueue_notice(tx, rules, &notice, now)?;
    Ok(Ok(event.n))
}

/// A device's instant in the hub's time. What cannot be (the future, or before its clock was set) happened now.
fn hub_time(at: DeviceTime, skew_ms: i64, now: Timestamp) -> Timestamp {
    let at = at.in_hub_time(skew_ms);
    if at > now || at < EARLIEST { now } else { at }
}

#[cfg(test)]
mod tests;

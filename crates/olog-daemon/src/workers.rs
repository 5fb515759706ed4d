//! How each worker of a daemon is: which one is stuck, and which of its duties fail.
//!
//! A daemon's wiring makes one [`Workers`] and registers each worker by name. The worker keeps its [`Worker`] and a [`Duty`] for
//! each thing that it must do again and again. `status --json`, `/metrics`, the service manager's watchdog and the
//! external heartbeat read the same values: [`Workers::statuses`], [`Workers::stuck`], [`Workers::failing`].
//!
//! ```text
//! for each duty:  match duty.round(result, now) { Ok(Some(value)) => …, Ok(None) => try again after duty.retry_after(), Err(bug) => end }
//! for each item:  match duty.item(result, &name, now) { Done(value) | Retry | SetAside(error) => mark the row | End(error) }
//! ```
//!
//! A duty that has failed for [`INCIDENT_AFTER`] is an incident. Such a duty stops the beat, except where it waits for the outside
//! world (`Retry`): a restart does not free a disk, so only the external heartbeat stops then, and the service manager's goes on.
//! A worker whose last handle is dropped is looked at no more.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use olog_proto::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::{
    failure::{Consequence, Failure, chain},
    pulse::Pulse,
};

/// The longest between two signs of a worker that works, unless its wiring says otherwise.
pub const STUCK_AFTER: Duration = Duration::from_secs(60);
/// A duty that has failed for so long is an incident.
pub const INCIDENT_AFTER: Duration = Duration::from_secs(600);
/// The first wait before a failed duty is tried again; doubled with each failure in a row, up to the second.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Characters of an error's text that a status keeps.
const TEXT_MAX: usize = 500;

/// All workers of one daemon; clones share the list.
#[derive(Debug, Clone, Default)]
pub struct Workers(Arc<Mutex<Registered>>);

#[derive(Debug, Default)]
struct Registered {
    entries: Vec<Registration>,
    looked_at: Option<Instant>,
}

#[derive(Debug)]
struct Registration {
    worker: Weak<Inner>,
    limit: Duration,
    /// The beats at the last look.
    n_beats: u64,
    /// For how long they have not moved.
    quiet: Duration,
}

/// One worker's own handle; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Worker(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    name: String,
    pulse: Pulse,
    duties: Mutex<Vec<Duty>>,
}

/// Something that a worker must do again and again; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Duty(Arc<Mutex<Record>>);

#[derive(Debug, Default)]
struct Record {
    worker: String,
    name: String,
    succeeded_at: Option<Timestamp>,
    failing: Option<Failing>,
    n_set_aside: u64,
    last_set_aside: Option<String>,
}

#[derive(Debug)]
struct Failing {
    since_at: Timestamp,
    since: Instant,
    n: u32,
    error: String,
    consequence: Consequence,
}

/// What became of one item of a duty.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum ItemResult<T, E> {
    /// Done.
    Done(T),
    /// The same again later; noted and logged.
    Retry(E),
    /// Mark this item and go on with the next; counted and logged.
    SetAside(E),
    /// The process ends.
    End(E),
}

/// A worker, as `status --json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its name in the wiring.
    pub name: String,
    /// What it does now.
    pub state: WorkerState,
    /// What it must do again and again.
    pub duties: Vec<DutyStatus>,
}

/// What a worker does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkerState {
    /// It waits until somebody wakes it.
    Idle,
    /// It works.
    Working,
    /// It has not made a step for longer than its limit.
    Stuck,
}

/// A duty, as `status --json` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DutyStatus {
    /// Its worker's name.
    #[serde(skip)]
    pub worker: String,
    /// Its name within its worker.
    pub name: String,
    /// When it last succeeded; none since the start.
    pub succeeded_at: Option<Timestamp>,
    /// Since when it fails; none: the last try succeeded.
    pub failing_since_at: Option<Timestamp>,
    /// For how long it fails, in milliseconds.
    pub failing_for_ms: Option<u64>,
    /// Failures in a row.
    pub n_failures: u32,
    /// The last one's text.
    pub error: Option<String>,
    /// What follows from it.
    pub consequence: Option<Consequence>,
    /// Items set aside since the start.
    pub n_set_aside: u64,
    /// The last of them, with its reason.
    pub last_set_aside: Option<String>,
}

impl DutyStatus {
    /// For how long it fails.
    pub fn failing_for(&self) -> Option<Duration> {
        self.failing_for_ms.map(Duration::from_millis)
    }

    /// Has it failed for so long that it is told?
    pub fn is_incident(&self) -> bool {
        self.failing_for().is_some_and(|failing| failing >= INCIDENT_AFTER)
    }

    /// May a restart help? Not where the duty waits for the outside world.
    pub fn stops_the_beat(&self) -> bool {
        self.is_incident() && self.consequence != Some(Consequence::Retry)
    }
}

impl Workers {
    /// Another worker, which is stuck when it has not moved for `limit` while it works.
    pub fn register(&self, name: impl Into<String>, limit: Duration) -> Worker {
        self.watch(name, Pulse::default(), limit)
    }

    /// Another worker, whose pulse was made before it.
    pub fn watch(&self, name: impl Into<String>, pulse: Pulse, limit: Duration) -> Worker {
        let inner = Arc::new(Inner { name: name.into(), pulse, duties: Mutex::default() });
        let (worker, n_beats) = (Arc::downgrade(&inner), inner.pulse.count());
        let mut registered = locked(&self.0);
        registered.entries.retain(|entry| entry.worker.strong_count() > 0);
        registered.entries.push(Registration { worker, limit, n_beats, quiet: Duration::ZERO });
        Worker(inner)
    }

    /// Looks at all workers: the names of those that are stuck. To be called at least every half of the shortest limit.
    pub fn stuck(&self, now: Instant) -> Vec<String> {
        let mut registered = locked(&self.0);
        registered.observe(now);
        registered.entries.iter().filter_map(Registration::stuck_name).collect()
    }

    /// Duties that have failed for [`INCIDENT_AFTER`].
    pub fn failing(&self, now: Instant) -> Vec<DutyStatus> {
        let mut duties: Vec<DutyStatus> = self.statuses(now).into_iter().flat_map(|worker| worker.duties).collect();
        duties.retain(DutyStatus::is_incident);
        duties
    }

    /// Who keeps the service manager from hearing of us: `ingest`, or `watchman: reminders (unreadable row: …)`. Empty: all is well.
    pub fn stopping_the_beat(&self, now: Instant) -> Vec<String> {
        let failing = self.failing(now).into_iter().filter(DutyStatus::stops_the_beat);
        self.stuck(now).into_iter().chain(failing.map(|duty| duty.to_string())).collect()
    }

    /// All workers.
    pub fn statuses(&self, now: Instant) -> Vec<WorkerStatus> {
        let workers: Vec<(Arc<Inner>, bool)> = {
            let registered = locked(&self.0);
            let entries = registered.entries.iter();
            entries.filter_map(|entry| Some((entry.worker.upgrade()?, entry.is_stuck()))).collect()
        };
        let status = |(worker, is_stuck): (Arc<Inner>, bool)| {
            let state = match is_stuck {
                true => WorkerState::Stuck,
                false if worker.pulse.is_idle() => WorkerState::Idle,
                false => WorkerState::Working,
            };
            let duties = locked(&worker.duties).iter().map(|duty| duty.status(now)).collect();
            WorkerStatus { name: worker.name.clone(), state, duties }
        };
        workers.into_iter().map(status).collect()
    }
}

impl Registered {
    fn observe(&mut self, now: Instant) {
        let passed = self.looked_at.map_or(Duration::ZERO, |looked_at| now.saturating_duration_since(looked_at));
        self.looked_at = Some(now);
        for entry in &mut self.entries {
            let Some(worker) = entry.worker.upgrade() else { continue };
            let n_beats = worker.pulse.count();
            if n_beats != entry.n_beats || worker.pulse.is_idle() {
                (entry.n_beats, entry.quiet) = (n_beats, Duration::ZERO);
            } else {
                // A process that was stopped as a whole comes back to a long gap in which nobody could have moved.
                entry.quiet += passed.min(entry.limit / 2);
            }
        }
    }
}

impl Registration {
    fn is_stuck(&self) -> bool {
        self.quiet >= self.limit
    }

    fn stuck_name(&self) -> Option<String> {
        self.is_stuck().then(|| self.worker.upgrade().map(|worker| worker.name.clone()))?
    }
}

impl Worker {
    /// One step done, or one more try of something that it waits for.
    pub fn beat(&self) {
        self.0.pulse.beat();
    }

    /// There is nothing to do until somebody wakes it.
    pub fn idle(&self) {
        self.0.pulse.idle();
    }

    /// Waits for something that may take any time: meanwhile the worker is idle.
    pub async fn wait<T>(&self, until: impl Future<Output = T>) -> T {
        self.idle();
        let done = until.await;
        self.beat();
        done
    }

    /// For code that only beats.
    pub fn pulse(&self) -> &Pulse {
        &self.0.pulse
    }

    /// The duty of this name, made when it is first asked for.
    pub fn duty(&self, name: &str) -> Duty {
        let mut duties = locked(&self.0.duties);
        if let Some(known) = duties.iter().find(|duty| locked(&duty.0).name == name) {
            return known.clone();
        }
        let record = Record { worker: self.0.name.clone(), name: name.to_owned(), ..Record::default() };
        let duty = Duty(Arc::new(Mutex::new(record)));
        duties.push(duty.clone());
        duty
    }
}

impl Duty {
    /// One round of the whole duty: its value; nothing when it failed and is to be tried again (also where an item was to be
    /// set aside and nobody did: the duty then fails until somebody does); the error when the process must end.
    pub fn round<T, E: Failure>(&self, result: Result<T, E>, now: Timestamp) -> Result<Option<T>, E> {
        match result {
            Ok(value) => {
                self.succeeded(now);
                Ok(Some(value))
            }
            Err(error) => {
                let consequence = error.consequence();
                self.failed(&chain(&error), consequence, now, Instant::now());
                if consequence == Consequence::End { Err(error) } else { Ok(None) }
            }
        }
    }

    /// One item of the duty, by its name for the log and the status. An item that is set aside is no failure of the duty.
    pub fn item<T, E: Failure>(
        &self,
        result: Result<T, E>,
        item: &dyn fmt::Display,
        now: Timestamp,
    ) -> ItemResult<T, E> {
        let error = match result {
            Ok(value) => {
                self.succeeded(now);
                return ItemResult::Done(value);
            }
            Err(error) => error,
        };
        match error.consequence() {
            Consequence::SetAside => {
                self.set_aside(item, &chain(&error));
                ItemResult::SetAside(error)
            }
            consequence => {
                self.failed(&chain(&error), consequence, now, Instant::now());
                if consequence == Consequence::End { ItemResult::End(error) } else { ItemResult::Retry(error) }
            }
        }
    }

    /// It succeeded.
    pub fn succeeded(&self, now: Timestamp) {
        let mut record = locked(&self.0);
        record.succeeded_at = Some(now);
        if let Some(failing) = record.failing.take() {
            let (worker, duty, n_failures) = (&record.worker, &record.name, failing.n);
            tracing::info!(worker, duty, n_failures, "works again");
        }
    }

    /// An item was marked and left out.
    pub fn set_aside(&self, item: &dyn fmt::Display, why: &str) {
        let mut record = locked(&self.0);
        record.n_set_aside += 1;
        record.last_set_aside = Some(bounded(&format!("{item}: {why}")));
        let (worker, duty, item) = (&record.worker, &record.name, item.to_string());
        tracing::error!(worker, duty, item, error = why, "set aside; the others go on");
    }

    /// How long to wait before it is tried again; grows with each failure in a row.
    pub fn retry_after(&self) -> Duration {
        let n = locked(&self.0).failing.as_ref().map_or(0, |failing| failing.n.saturating_sub(1));
        RETRY.0.saturating_mul(1_u32.checked_shl(n.min(16)).unwrap_or(u32::MAX)).min(RETRY.1)
    }

    /// As `status --json` shows it.
    pub fn status(&self, now: Instant) -> DutyStatus {
        let record = locked(&self.0);
        let failing = record.failing.as_ref();
        let failing_for = failing.map(|failing| now.saturating_duration_since(failing.since));
        DutyStatus {
            worker: record.worker.clone(),
            name: record.name.clone(),
            succeeded_at: record.succeeded_at,
            failing_since_at: failing.map(|failing| failing.since_at),
            failing_for_ms: failing_for.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
            n_failures: failing.map_or(0, |failing| failing.n),
            error: failing.map(|failing| failing.error.clone()),
            consequence: failing.map(|failing| failing.consequence),
            n_set_aside: record.n_set_aside,
            last_set_aside: record.last_set_aside.clone(),
        }
    }

    fn failed(&self, error: &str, consequence: Consequence, now_at: Timestamp, now: Instant) {
        let error = bounded(error);
        let mut record = locked(&self.0);
        let (worker, duty) = (record.worker.clone(), record.name.clone());
        let is_known = record.failing.as_ref().is_some_and(|failing| failing.error == error);
        let fresh = Failing { since_at: now_at, since: now, n: 0, error: String::new(), consequence };
        let failing = record.failing.get_or_insert(fresh);
        failing.n = failing.n.saturating_add(1);
        (failing.error, failing.consequence) = (error.clone(), consequence);
        let n_failures = failing.n;
        // Said once, and again when it is another error.
        match consequence {
            Consequence::End => tracing::error!(worker, duty, error, "failed; the process ends"),
            _ if is_known => tracing::debug!(worker, duty, error, n_failures, "failed again"),
            _ => tracing::error!(worker, duty, error, n_failures, "failed; it is tried again, the others go on"),
        }
    }
}

impl fmt::Display for DutyStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.worker, self.name)?;
        self.error.as_ref().map_or(Ok(()), |error| write!(f, " ({error})"))
    }
}

fn bounded(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

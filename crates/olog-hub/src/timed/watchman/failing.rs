//! The hub's own duties that have failed for ten minutes: an incident each, told on every channel, and over when they work again.
//!
//! Which duties fail is known in memory only (`olog_daemon::workers`); the incident is in the store. After a restart an open incident
//! stays until its duty has succeeded, so that a duty which fails again at each start is told once.

use olog_daemon::workers::{DutyStatus, WorkerStatus};
use olog_proto::Timestamp;
use olog_push::{Kind, SystemCode};
use serde::Serialize;
use tokio::time::Instant;

use super::Watchman;
use crate::apply::{self, LivePolicy};
use crate::journal::LogEntry;
use crate::store::incidents::{self, Begin, Subject};
use crate::store::{StoreError, Tx};

impl Watchman {
    /// Tells which duties of the hub's own workers have failed for ten minutes, and which work again.
    pub(super) async fn tell_failing(&mut self, instant: Instant) -> Result<(), StoreError> {
        let seen = DutyStates::of(&self.workers.statuses(instant));
        if self.seen.as_ref() == Some(&seen) {
            return Ok(());
        }
        let asked = seen.clone();
        if self.store.read(move |tx| differs(tx, &asked)).await? {
            let (rules, now, told) = (self.rules.borrow().clone(), self.clock.now(), seen.clone());
            self.store.write(move |tx| apply(tx, &rules, &told, now)).await?;
            self.outbox.ring();
        }
        self.seen = Some(seen);
        Ok(())
    }
}

/// The facts of such an incident.
#[derive(Debug, Serialize)]
struct DutyFacts<'a> {
    error: &'a str,
}

/// A duty that has to be told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DutyFailure {
    duty: String,
    error: String,
}

/// What the workers say: which duties are incidents, and which have succeeded last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DutyStates {
    failing: Vec<DutyFailure>,
    healthy: Vec<String>,
}

impl DutyStates {
    pub(super) fn of(workers: &[WorkerStatus]) -> DutyStates {
        let name = |duty: &DutyStatus| format!("{}: {}", duty.worker, duty.name);
        let duties = || workers.iter().flat_map(|worker| &worker.duties);
        let failing = duties().filter(|duty| duty.is_incident());
        let healthy = duties().filter(|duty| duty.succeeded_at.is_some() && duty.failing_since_at.is_none());
        DutyStates {
            failing: failing
                .map(|duty| DutyFailure { duty: name(duty), error: duty.error.clone().unwrap_or_default() })
                .collect(),
            healthy: healthy.map(name).collect(),
        }
    }
}

/// Begins and ends the incidents; true if something has to be sent. The read comes first: most looks find nothing to do.
pub(super) fn differs(tx: &mut Tx<'_>, seen: &DutyStates) -> Result<bool, StoreError> {
    let open = incidents::open_names(tx, Subject::Hub)?;
    let is_open = |duty: &str| open.iter().any(|(_, name)| name == duty);
    Ok(seen.failing.iter().any(|found| !is_open(&found.duty))
        || open.iter().any(|(_, name)| seen.healthy.contains(name)))
}

/// See [`differs`].
pub(super) fn apply(tx: &mut Tx<'_>, rules: &LivePolicy, seen: &DutyStates, now: Timestamp) -> Result<(), StoreError> {
    let open = incidents::open_names(tx, Subject::Hub)?;
    for (number, duty) in open.iter().filter(|(_, name)| seen.healthy.contains(name)) {
        incidents::end(tx, *number, now, "works")?;
        tx.note(LogEntry::new("incident over").incident(*number).about(Subject::Hub.as_str()).why(duty));
        let mut notice = apply::system_notice(None, SystemCode::DutyBack, &[("duty", duty.clone())], now);
        notice.incident = Some(*number);
        apply::enqueue_notice(tx, rules, &notice, now)?;
    }
    for DutyFailure { duty, error } in &seen.failing {
        if open.iter().any(|(_, name)| name == duty) {
            continue;
        }
        let begin = Begin { subject: Subject::Hub, device: None, task: None, name: duty, at: now };
        let number = incidents::begin(tx, &begin, &DutyFacts { error })?;
        tx.note(LogEntry::new("incident begun").incident(number).about(Subject::Hub.as_str()).why(error));
        let args = [("duty", duty.clone()), ("error", error.clone())];
        let mut notice = apply::system_notice(None, SystemCode::DutyFailing, &args, now);
        (notice.incident, notice.kind) = (Some(number), Kind::System);
        apply::enqueue_notice(tx, rules, &notice, now)?;
    }
    Ok(())
}

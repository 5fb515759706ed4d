//! Retention: removes events, messages and silences that are older than `event_keep_days`, and old entries of the audit log, in small steps.
//!
//! What is needed for longer is stored elsewhere: the facts and days of tasks, incidents, reports, and the digests of the last numbers
//! of each epoch (`events::sweep`). A step is one transaction of at most `STEP` rows; the writer is free for `REST`
//! between two, so ingest waits for one step at most. The kinds are separate duties: what fails for one does not stop the
//! others. A crash loses nothing: the next round goes on where the store says.
//!
//! Must not: decide how long anything is kept (the configuration does), or touch users' files.

use std::sync::Arc;
use std::time::Duration;

use olog_daemon::clock::Clock;
use olog_daemon::workers::Worker;
use olog_proto::Timestamp;
use tokio::sync::watch as latest;
use tokio_util::sync::CancellationToken;

use crate::config::ReloadableConfig;
use crate::store::{Store, StoreError, Tx, access::audit, events, history::search_index, outbox, silences};

const DAY: i64 = 24 * 3_600_000;
/// Rounds.
const EVERY: i64 = 3_600_000;
/// Rows of one step.
const STEP: u32 = 500;
/// Between two steps.
const REST: Duration = Duration::from_millis(100);
/// Entries of the audit log are kept for so many days, or as long as events if that is longer.
const AUDIT_KEEP_DAYS: u32 = 400;
/// Epochs that are looked at together.
const EPOCHS: u32 = 200;

/// Cleans up every hour until `stop`.
pub async fn run(
    store: Store,
    live: latest::Receiver<Arc<ReloadableConfig>>,
    clock: Clock,
    status: Worker,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    loop {
        let now = clock.now();
        let days = live.borrow().event_keep_days;
        status.beat();
        let next = tokio::select! {
            swept = round(&store, now.plus(-i64::from(days) * DAY), &status, now) => match swept {
                Ok(next) => next,
                Err(StoreError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            },
            () = stop.cancelled() => return Ok(()),
        };
        status.idle();
        tokio::select! {
            () = clock.sleep_until(next) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// Removes everything that came before an instant: a duty for each kind, each on its own. Returns when to do it again.
async fn round(store: &Store, before: Timestamp, status: &Worker, now: Timestamp) -> Result<Timestamp, StoreError> {
    let mut next = now.plus(EVERY);
    let duties = ["old events", "old messages", "old silences", "old audit entries", "old search index"]
        .map(|duty| status.duty(duty));
    for (which, duty) in duties.iter().enumerate() {
        let swept = match which {
            0 => old_events(store, before, status).await,
            1 => steps(store, before, status, outbox::sweep).await,
            2 => steps(store, before, status, silences::sweep).await,
            4 => steps(store, before, status, search_index::sweep).await,
            _ => steps(store, before.min(audit_before(now)), status, audit::sweep).await,
        };
        if matches!(swept, Err(StoreError::Closed)) {
            return swept.map(|()| next);
        }
        if duty.round(swept, now)?.is_none() {
            next = next.min(now.plus(i64::try_from(duty.retry_after().as_millis()).unwrap_or(EVERY)));
        }
    }
    Ok(next)
}

fn audit_before(now: Timestamp) -> Timestamp {
    now.plus(-i64::from(AUDIT_KEEP_DAYS) * DAY)
}

async fn old_events(store: &Store, before: Timestamp, status: &Worker) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let epochs = store.read(move |tx| events::epochs_to_sweep(tx, after, EPOCHS)).await?;
        let Some(last) = epochs.last() else { return Ok(()) };
        after = last.epoch.0;
        for epoch in epochs {
            status.beat();
            // Most epochs have nothing that old; that is seen without the writer.
            let is_due = store.read(move |tx| events::is_sweepable(tx, epoch, before)).await?;
            let mut at = is_due.then_some(epoch);
            while let Some(next) = at {
                status.beat();
                at = store.write_relaxed(move |tx| events::sweep(tx, next, before, STEP)).await?;
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// One step of a clean-up: true if there may be more.
type Sweep = fn(&mut Tx<'_>, Timestamp, u32) -> Result<bool, StoreError>;

async fn steps(store: &Store, before: Timestamp, status: &Worker, sweep: Sweep) -> Result<(), StoreError> {
    while store.write_relaxed(move |tx| sweep(tx, before, STEP)).await? {
        status.beat();
        tokio::time::sleep(REST).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

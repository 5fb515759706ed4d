//! Retention: events and the ledger of messages go when they are older than `event_keep_days`, in small steps, so that nobody waits.
//!
//! What is needed for longer stands elsewhere: facts and days of tasks, incidents, reports, and of the last numbers of each
//! epoch their digests (`events::sweep`). A step is one transaction of at most [`STEP`] rows; between two the writer
//! is free for [`REST`], so that ingest waits for one step at most. A crash loses nothing: the next round goes on where the
//! store says.
//!
//! Must not: decide how long anything is kept (the configuration does), or touch users' files.

use std::sync::Arc;
use std::time::Duration;

use olog_daemon::clock::Clock;
use olog_proto::At;
use tokio::sync::watch as latest;
use tokio_util::sync::CancellationToken;

use crate::config::Live;
use crate::store::{Store, StoreError, events, outbox, silences};

const DAY: i64 = 24 * 3_600_000;
/// Rounds.
const EVERY: i64 = 3_600_000;
/// Rows of one step.
const STEP: u32 = 500;
/// Between two steps.
const REST: Duration = Duration::from_millis(100);
/// Epochs that are looked at together.
const EPOCHS: u32 = 200;

/// Cleans up every hour until `stop`.
pub async fn run(
    store: Store,
    live: latest::Receiver<Arc<Live>>,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    loop {
        let now = clock.now();
        let days = live.borrow().event_keep_days;
        let before = now.plus(-i64::from(days) * DAY);
        tokio::select! {
            swept = round(&store, before) => match swept {
                Ok(()) => {}
                Err(StoreError::Closed) => return Ok(()),
                Err(error) => tracing::warn!(%error, "old events were not cleaned up; tried again in an hour"),
            },
            () = stop.cancelled() => return Ok(()),
        }
        tokio::select! {
            () = clock.sleep_until(now.plus(EVERY)) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// Everything that came before an instant.
async fn round(store: &Store, before: At) -> Result<(), StoreError> {
    let mut after = 0;
    loop {
        let epochs = store.read(move |tx| events::epochs_to_sweep(tx, after, EPOCHS)).await?;
        let Some(last) = epochs.last() else { break };
        after = last.epoch.0;
        for epoch in epochs {
            // Most epochs have nothing that old; that is seen without the writer.
            let is_due = store.read(move |tx| events::is_sweepable(tx, epoch, before)).await?;
            let mut at = is_due.then_some(epoch);
            while let Some(next) = at {
                at = store.write_relaxed(move |tx| events::sweep(tx, next, before, STEP)).await?;
                tokio::time::sleep(REST).await;
            }
        }
    }
    while store.write_relaxed(move |tx| outbox::sweep(tx, before, STEP)).await? {
        tokio::time::sleep(REST).await;
    }
    while store.write_relaxed(move |tx| silences::sweep(tx, before, STEP)).await? {
        tokio::time::sleep(REST).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests;

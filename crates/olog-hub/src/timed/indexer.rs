//! The index of the search: keeps up with the events, a chunk at a time, beside the writer of events.
//!
//! It is late by design: an event is indexed minutes after it came, and until then a search looks at it directly. A crash loses
//! nothing: the next round goes on where the store says. Must not: hold the writer for longer than one chunk takes.

use std::time::Duration;

use olog_daemon::clock::Clock;
use olog_daemon::workers::Worker;
use tokio_util::sync::CancellationToken;

use crate::store::history::search_index;
use crate::store::{Store, StoreError};

/// Rounds (ms).
const EVERY: i64 = 60_000;
/// Between two chunks.
const REST: Duration = Duration::from_millis(50);

/// Indexes what has come, every minute until `stop`.
pub async fn run(store: Store, clock: Clock, status: Worker, stop: CancellationToken) -> Result<(), StoreError> {
    let duty = status.duty("search index");
    loop {
        let now = clock.now();
        status.beat();
        let indexed = tokio::select! {
            indexed = round(&store, &clock, &status) => indexed,
            () = stop.cancelled() => return Ok(()),
        };
        if matches!(indexed, Err(StoreError::Closed)) {
            return Ok(());
        }
        let mut next = now.plus(EVERY);
        if duty.round(indexed, now)?.is_none() {
            next = now.plus(i64::try_from(duty.retry_after().as_millis()).unwrap_or(EVERY));
        }
        status.idle();
        tokio::select! {
            () = clock.sleep_until(next) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// Indexes every chunk that is full.
async fn round(store: &Store, clock: &Clock, status: &Worker) -> Result<(), StoreError> {
    loop {
        status.beat();
        let now = clock.now();
        let Some(chunk) = store.read(move |tx| search_index::next(tx, now)).await? else { return Ok(()) };
        store.write_relaxed(move |tx| search_index::put(tx, &chunk)).await?;
        tokio::time::sleep(REST).await;
    }
}

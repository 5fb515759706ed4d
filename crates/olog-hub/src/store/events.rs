//! Events, and the epochs that number them.
//!
//! The key of an event is (epoch, number), so an event that is sent twice is stored once. Its digest distinguishes an event that is sent
//! again from another one under the same number.

use std::collections::HashMap;

use olog_proto::{Epoch, Event, Timestamp, event::Id128};

use super::changes::Change;
pub use super::ids::EpochId;
use super::ids::{DeviceId, TaskId};
use super::{Insert, StoreError, Tx, Value};
use crate::values;

/// How many of the last numbers are compared with what comes again. Older ones are taken as known.
pub const DIGESTS_KEPT: u64 = 10_000;

/// The epoch, of each device, of the events that the hub itself makes: of pings and of alerts. No spool has it: theirs are random.
pub const HUB_EPOCH: Epoch = Id128(*b"olog hub's own \0");

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// The epoch.
    pub epoch: EpochId,
    /// Committed through this number.
    pub acked: u64,
}

/// An event on its way into the store.
#[derive(Debug)]
pub struct NewEvent<'a> {
    /// Its epoch.
    pub epoch: EpochId,
    /// Its device.
    pub device: DeviceId,
    /// Its task.
    pub task: Option<TaskId>,
    /// When it happened, in the hub's time.
    pub at: Timestamp,
    /// Its digest.
    pub digest: u64,
    /// Itself.
    pub event: &'a Event,
}

const EVENTS: Insert = Insert {
    table: "events",
    columns: &[
        ("epoch_id", "bigint"),
        ("n", "bigint"),
        ("device_id", "bigint"),
        ("task_id", "bigint"),
        ("kind", "text"),
        ("at", "bigint"),
        ("received_at", "bigint"),
        ("digest", "bigint"),
        ("body", "text"),
    ],
};

/// The stream of a device's epoch: as it stands, or from its beginning.
pub fn stream(tx: &mut Tx<'_>, device: DeviceId, epoch: Epoch, now: Timestamp) -> Result<Stream, StoreError> {
    let epoch = epoch.to_string();
    tx.execute(
        "INSERT INTO epochs (device_id, epoch, made_at) VALUES ($1, $2, $3) ON CONFLICT (device_id, epoch) DO NOTHING",
        values![device.0, epoch.as_str(), now],
    )?;
    let row = tx.query_one(
        "SELECT id, acked FROM epochs WHERE device_id = $1 AND epoch = $2",
        values![device.0, epoch.as_str()],
    )?;
    let row = row.ok_or_else(|| StoreError::Row("no row of a new epoch".to_owned()))?;
    Ok(Stream { epoch: EpochId(row.int(0)?), acked: row.count(1)? })
}

/// Through which number an epoch is committed. Its device's row is locked already.
pub fn acked(tx: &mut Tx<'_>, epoch: EpochId) -> Result<u64, StoreError> {
    let row = tx.query_one("SELECT acked FROM epochs WHERE id = $1", values![epoch.0])?;
    row.ok_or_else(|| StoreError::Row("the epoch is gone".to_owned()))?.count(0)
}

/// Commits an epoch through a number; `missing` numbers before it never came.
pub fn set_acked(tx: &mut Tx<'_>, epoch: EpochId, through: u64, missing: u64) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE epochs SET acked = $2, missing = missing + $3 WHERE id = $1",
        values![epoch.0, through, missing],
    )?;
    Ok(())
}

/// Marks an epoch as one that is not taken any more; true for the first who does.
pub fn refuse(tx: &mut Tx<'_>, epoch: EpochId) -> Result<bool, StoreError> {
    Ok(tx.execute("UPDATE epochs SET refused = 1 WHERE id = $1 AND refused = 0", values![epoch.0])? > 0)
}

/// The digests of the numbers from `from` through `through` that are stored.
pub fn digests(tx: &mut Tx<'_>, epoch: EpochId, from: u64, through: u64) -> Result<HashMap<u64, u64>, StoreError> {
    let rows = tx.query(
        "SELECT n, digest FROM events WHERE epoch_id = $1 AND n >= $2 AND n <= $3",
        values![epoch.0, from, through],
    )?;
    rows.iter().map(|row| Ok((row.count(0)?, row.count(1)?))).collect()
}

/// Stores new events; gives the bytes of their texts.
pub fn insert(tx: &mut Tx<'_>, events: &[NewEvent<'_>], now: Timestamp) -> Result<u64, StoreError> {
    let mut bytes = 0;
    let rows = events
        .iter()
        .map(|new| {
            let body = Value::json(new.event)?;
            if let Value::Text(text) = &body {
                bytes += text.len() as u64;
            }
            Ok(vec![
                new.epoch.0.into(),
                new.event.n.into(),
                new.device.0.into(),
                new.task.map(|task| task.0).into(),
                new.event.what.kind().into(),
                new.at.into(),
                now.into(),
                new.digest.into(),
                body,
            ])
        })
        .collect::<Result<_, StoreError>>()?;
    tx.insert_many(&EVENTS, rows)?;
    events.iter().for_each(|new| tx.changed(change(new, now)));
    Ok(bytes)
}

/// Stores under an event's number that the event itself could not be stored. Nothing of it, nor of the refusal (which may
/// quote it), is in the row; the log says why.
pub fn insert_unreadable(tx: &mut Tx<'_>, new: &NewEvent<'_>, now: Timestamp) -> Result<(), StoreError> {
    let row = vec![
        new.epoch.0.into(),
        new.event.n.into(),
        new.device.0.into(),
        Value::Null,
        "unreadable".into(),
        new.at.into(),
        now.into(),
        new.digest.into(),
        "{}".into(),
    ];
    tx.changed(change(new, now));
    tx.insert_many(&EVENTS, vec![row])
}

fn change(new: &NewEvent<'_>, now: Timestamp) -> Change {
    let (epoch, n, device, task) = (new.epoch.0, new.event.n, new.device.0, new.task.map(|task| task.0));
    Change::Event { received_at: now.0, epoch, n, device, task }
}

/// Where the clean-up of an epoch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// The epoch.
    pub epoch: EpochId,
    /// Committed through this number.
    pub acked: u64,
    /// Of events through this number only what is compared is left.
    pub swept: u64,
}

/// Epochs that may have something to clean up: those after `after`, at most `limit`.
pub fn epochs_to_sweep(tx: &mut Tx<'_>, after: i64, limit: u32) -> Result<Vec<Swept>, StoreError> {
    let rows = tx.query(
        "SELECT id, acked, swept FROM epochs WHERE id > $1 AND acked > 0 ORDER BY id LIMIT $2",
        values![after, limit],
    )?;
    rows.iter()
        .map(|row| Ok(Swept { epoch: EpochId(row.int(0)?), acked: row.count(1)?, swept: row.count(2)? }))
        .collect()
}

/// Is there anything for [`sweep`]?
pub fn is_sweepable(tx: &mut Tx<'_>, at: Swept, before: Timestamp) -> Result<bool, StoreError> {
    let Swept { epoch, acked, swept } = at;
    let next = tx.query_one(
        "SELECT received_at FROM events WHERE epoch_id = $1 AND n > $2 ORDER BY n LIMIT 1",
        values![epoch.0, swept],
    )?;
    let is_old = next.map_or(Ok(false), |row| row.at(0).map(|at| at < before))?;
    let compared = acked.saturating_sub(DIGESTS_KEPT);
    Ok(is_old || first_number(tx, epoch)?.is_some_and(|first| first <= swept.min(compared)))
}

fn first_number(tx: &mut Tx<'_>, epoch: EpochId) -> Result<Option<u64>, StoreError> {
    let row = tx.query_one("SELECT MIN(n) FROM events WHERE epoch_id = $1", values![epoch.0])?;
    row.map_or(Ok(None), |row| row.int_or_null(0).map(|n| n.map(i64::cast_unsigned)))
}

/// One step: of the first `limit` events of an epoch after what was swept, those that came before `before` go. Of the last
/// [`DIGESTS_KEPT`] numbers their digests stay, for what may come again. True if there may be more.
///
/// Numbers are received in their order, so the old ones are the first: no index, no scan.
pub fn sweep(tx: &mut Tx<'_>, at: Swept, before: Timestamp, limit: u32) -> Result<Option<Swept>, StoreError> {
    let Swept { epoch, acked, swept } = at;
    let rows = tx.query(
        "SELECT n, received_at FROM events WHERE epoch_id = $1 AND n > $2 ORDER BY n LIMIT $3",
        values![epoch.0, swept, limit],
    )?;
    let mut through = swept;
    let mut is_whole = rows.len() == limit as usize;
    for row in &rows {
        if row.at(1)? >= before {
            is_whole = false;
            break;
        }
        through = row.count(0)?;
    }
    // What fell out of the compared numbers since it lost its text goes now, a step at a time as well.
    let compared = acked.saturating_sub(DIGESTS_KEPT).min(through);
    let first = first_number(tx, epoch)?.unwrap_or(u64::MAX);
    let until = compared.min(first.saturating_add(u64::from(limit)));
    tx.execute("DELETE FROM events WHERE epoch_id = $1 AND n <= $2", values![epoch.0, until])?;
    is_whole |= until < compared;
    if through > swept {
        tx.execute(
            "UPDATE events SET body = '{}' WHERE epoch_id = $1 AND n > $2 AND n <= $3",
            values![epoch.0, swept.max(until), through],
        )?;
        tx.execute("UPDATE epochs SET swept = $2 WHERE id = $1", values![epoch.0, through])?;
    }
    Ok(is_whole.then_some(Swept { swept: through, ..at }))
}

/// How many events there are, by kind: for tests and `status`.
pub fn count(tx: &mut Tx<'_>) -> Result<Vec<(String, u64)>, StoreError> {
    let rows = tx.query("SELECT kind, COUNT(*) FROM events GROUP BY kind ORDER BY kind", &[])?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.count(1)?))).collect()
}

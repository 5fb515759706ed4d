//! Queries of the watchman: tasks that are due, devices as they were last seen, devices that joined.

use olog_proto::{BootId, TaskName, Timestamp};

use super::changes::Change;
use super::devices::LEGACY_VERSION;
use super::ids::{DeviceId, TaskId};
use super::{StoreError, Tx};
use crate::values;

/// A device as the store last saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastSeen {
    /// Its row.
    pub device: DeviceId,
    /// Its name.
    pub name: String,
    /// How to reach it by ssh.
    pub address: Option<String>,
    /// When something was last heard from it.
    pub heard_at: Option<Timestamp>,
    /// It had said that it goes.
    pub said_bye: bool,
    /// It is an old client (olog.py), which does not say when its machine booted.
    pub is_legacy: bool,
    /// Its last boot.
    pub boot: Option<BootId>,
    /// Where it came from.
    pub peer: Option<String>,
    /// The incident by which it is away, or was when a person closed that.
    pub absence: Option<u64>,
}

/// Tasks whose facts must be looked at by now, with their devices, the longest due first; at most `limit`.
pub fn due_tasks(tx: &mut Tx<'_>, now: Timestamp, limit: u32) -> Result<Vec<(DeviceId, TaskId)>, StoreError> {
    let rows = tx.query(
        "SELECT device_id, id FROM tasks WHERE due_at <= $1 ORDER BY due_at, id LIMIT $2",
        values![now, limit],
    )?;
    rows.iter().map(|row| Ok((DeviceId(row.int(0)?), TaskId(row.int(1)?)))).collect()
}

/// The name of a task.
pub fn task_name(tx: &mut Tx<'_>, task: TaskId) -> Result<Option<TaskName>, StoreError> {
    let row = tx.query_one("SELECT name FROM tasks WHERE id = $1", values![task.0])?;
    row.map(|row| row.parse(0)).transpose()
}

/// Looks at a task later, whatever its facts say.
pub fn postpone_task(tx: &mut Tx<'_>, task: TaskId, until: Timestamp) -> Result<(), StoreError> {
    tx.execute("UPDATE tasks SET due_at = $2 WHERE id = $1", values![task.0, until])?;
    Ok(())
}

/// All devices that have joined.
pub fn last_seen(tx: &mut Tx<'_>) -> Result<Vec<LastSeen>, StoreError> {
    let rows = tx.query(
        "SELECT id, name, address, heard_at, bye, boot, peer, absence_id, version FROM devices WHERE state = 'joined' AND key IS NOT NULL
         ORDER BY name",
        &[],
    )?;
    rows.iter()
        .map(|row| {
            Ok(LastSeen {
                device: DeviceId(row.int(0)?),
                name: row.text(1)?.to_owned(),
                address: row.text_or_null(2)?.map(str::to_owned),
                heard_at: row.at_or_null(3)?,
                said_bye: row.text_or_null(4)?.is_some(),
                is_legacy: row.text_or_null(8)? == Some(LEGACY_VERSION),
                boot: row.text_or_null(5)?.and_then(|boot| boot.parse().ok()),
                peer: row.text_or_null(6)?.map(str::to_owned),
                absence: row.int_or_null(7)?.map(i64::cast_unsigned),
            })
        })
        .collect()
}

/// How many devices have joined, how many wait to be accepted, and how many incidents are open.
pub fn counts(tx: &mut Tx<'_>) -> Result<[u64; 3], StoreError> {
    let row = tx.query_one(
        "SELECT (SELECT COUNT(*) FROM devices WHERE state = 'joined' AND key IS NOT NULL),
         (SELECT COUNT(*) FROM devices WHERE state = 'pending'), (SELECT COUNT(*) FROM incidents WHERE ended_at IS NULL)",
        &[],
    )?;
    row.map_or(Ok([0; 3]), |row| Ok([row.count(0)?, row.count(1)?, row.count(2)?]))
}

/// These devices, and no others, are away by that incident.
pub fn set_absence(tx: &mut Tx<'_>, incident: u64, away: &[DeviceId]) -> Result<(), StoreError> {
    let before =
        tx.query("UPDATE devices SET absence_id = NULL WHERE absence_id = $1 RETURNING id", values![incident])?;
    for row in &before {
        tx.changed(Change::Device(row.int(0)?));
    }
    for device in away {
        tx.changed(Change::Device(device.0));
        tx.execute("UPDATE devices SET absence_id = $2 WHERE id = $1", values![device.0, incident])?;
    }
    Ok(())
}

/// Names that devices which wait to be accepted ask for, of those that came first after that instant, the earliest first, and when they
/// did. At most [`PENDING_MAX`](super::devices::PENDING_MAX).
pub fn pending_after(tx: &mut Tx<'_>, after: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let rows = tx.query(
        "SELECT name, made_at FROM devices WHERE state = 'pending' AND made_at > $1 ORDER BY made_at, id",
        values![after],
    )?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.at(1)?))).collect()
}

/// Names of the devices that joined after that instant, the earliest first, and when the latest of them did.
pub fn joined_after(tx: &mut Tx<'_>, after: Timestamp) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let rows = tx.query(
        "SELECT name, joined_at FROM devices WHERE state = 'joined' AND joined_at > $1 ORDER BY joined_at, id",
        values![after],
    )?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.at(1)?))).collect()
}

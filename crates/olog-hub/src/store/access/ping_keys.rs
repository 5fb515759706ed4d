//! Keys of pings, by the hash of their text: a device's own, and those of single tasks. A task's key holds the name that the task had, and
//! finds it also under the name that it got since ([`crate::store::tasks::find`]).

use olog_proto::Timestamp;

use crate::store::devices::DeviceId;
use crate::store::{StoreError, Tx};
use crate::values;

/// Whose key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PingKeyOwner {
    /// The device.
    pub device: DeviceId,
    /// The one task that it is for; `None`: the task is in the address.
    pub task: Option<String>,
}

/// Whose key has this hash.
pub fn owner(tx: &mut Tx<'_>, hash: &str) -> Result<Option<PingKeyOwner>, StoreError> {
    let row = tx.query_one("SELECT device_id, task FROM ping_keys WHERE hash = $1", values![hash])?;
    row.map(|row| {
        let task = Some(row.text(1)?.to_owned()).filter(|task| !task.is_empty());
        Ok(PingKeyOwner { device: DeviceId(row.int(0)?), task })
    })
    .transpose()
}

/// The hashes of keys, at most `limit`.
pub fn hashes(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<String>, StoreError> {
    let rows = tx.query("SELECT hash FROM ping_keys LIMIT $1", values![i64::from(limit)])?;
    rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect()
}

/// When the key of a device, or of one of its tasks, was made.
pub fn made_at(tx: &mut Tx<'_>, owner: &PingKeyOwner) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT made_at FROM ping_keys WHERE device_id = $1 AND task = $2";
    let row = tx.query_one(sql, values![owner.device.0, owner.task.as_deref().unwrap_or("")])?;
    row.map(|row| row.at(0)).transpose()
}

/// Stores a key; one that was there is worth nothing from now on.
pub fn set(tx: &mut Tx<'_>, owner: &PingKeyOwner, hash: &str, now: Timestamp) -> Result<(), StoreError> {
    remove(tx, owner)?;
    tx.execute(
        "INSERT INTO ping_keys (hash, device_id, task, made_at) VALUES ($1, $2, $3, $4)",
        values![hash, owner.device.0, owner.task.as_deref().unwrap_or(""), now],
    )?;
    Ok(())
}

/// Removes a key. False: there was none.
pub fn remove(tx: &mut Tx<'_>, owner: &PingKeyOwner) -> Result<bool, StoreError> {
    let sql = "DELETE FROM ping_keys WHERE device_id = $1 AND task = $2";
    Ok(tx.execute(sql, values![owner.device.0, owner.task.as_deref().unwrap_or("")])? > 0)
}

/// Removes all keys of a device.
pub(in crate::store) fn remove_all(tx: &mut Tx<'_>, device: DeviceId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM ping_keys WHERE device_id = $1", values![device.0])?;
    Ok(())
}

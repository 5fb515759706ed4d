//! Devices: their keys, names, addresses and sessions, as rows of `devices`.

use std::net::IpAddr;

use olog_proto::{BootId, DeviceName, Epoch, PublicKey, Timestamp};

use super::changes::Change;
use super::events::HUB_EPOCH;
pub use super::ids::DeviceId;
use super::ids::EpochId;
use super::renames::TOLD_NAME;
use super::{Row, StoreError, Tx, Value};
use crate::rules::device_name;
use crate::rules::quota::QuotaState;
use crate::values;

/// Devices that may wait to be accepted; beyond it the one that was heard longest ago makes room.
pub const PENDING_MAX: u32 = 1_000;

/// One that has not come for this long (ms) waits no more.
const PENDING_FOR: i64 = 7 * 86_400_000;

/// The version of an old client's device: the program has none of its own. It is what marks such a device.
pub const LEGACY_VERSION: &str = "olog.py";

/// How a device stands to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    /// It has joined.
    Joined,
    /// It proved its key and waits to be accepted.
    Pending,
    /// Forgotten or replaced: its key is refused.
    Forgotten,
}

impl DeviceState {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            DeviceState::Joined => "joined",
            DeviceState::Pending => "pending",
            DeviceState::Forgotten => "forgotten",
        }
    }
}

impl std::str::FromStr for DeviceState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [DeviceState::Joined, DeviceState::Pending, DeviceState::Forgotten]
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or("not a state of a device")
    }
}

/// A device as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its row.
    pub id: DeviceId,
    /// Its name.
    pub name: DeviceName,
    /// How it stands to the hub.
    pub state: DeviceState,
    /// How to reach it by ssh.
    pub address: Option<String>,
    /// When it joined.
    pub joined_at: Timestamp,
    /// A person forgot it then, and it came back.
    forgotten_at: Option<Timestamp>,
    /// Its boot when its last session began.
    pub boot: Option<BootId>,
    /// The name that its agent last asked for.
    asked: Option<String>,
    /// When it was last heard in its last session, if the hub saw that session end.
    pub left_at: Option<Timestamp>,
}

impl Device {
    /// Is an event of that time older than a person's wish to forget the device?
    pub fn forgets(&self, at: Timestamp) -> bool {
        self.forgotten_at.is_some_and(|forgotten| at <= forgotten)
    }
}

/// What a device has proven at the start of a session, and what it says of itself.
#[derive(Debug, Clone)]
pub struct SessionStart {
    /// Its key.
    pub key: PublicKey,
    /// The name that it would like.
    pub name: DeviceName,
    /// How to reach it by ssh.
    pub address: Option<String>,
    /// Of its program.
    pub version: String,
    /// The epoch of its spool.
    pub epoch: Epoch,
    /// The highest number that its spool ever gave.
    pub last: u64,
    /// Its boot.
    pub boot: BootId,
    /// Milliseconds since that boot.
    pub up: u64,
    /// Where it comes from.
    pub peer: IpAddr,
    /// Its clock less ours, in ms.
    pub skew_ms: i64,
    /// Our clock.
    pub now: Timestamp,
}

/// What a device held when its last session began, and how much of it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// When that session began.
    pub back_at: Timestamp,
    /// The last number that it named.
    pub named: u64,
    /// Committed through this number.
    pub acked: u64,
}

/// A session that the hub did not see end (it was killed) leaves `heard_at` as it was at its beginning, which says nothing.
const COLUMNS: &str = "id, name, state, address, asked, joined_at, forgotten_at, boot,
     CASE WHEN heard_at > back_at THEN heard_at END FROM devices";

fn device(row: &Row) -> Result<Device, StoreError> {
    Ok(Device {
        id: DeviceId(row.int(0)?),
        name: row.parse(1)?,
        state: row.parse(2)?,
        address: row.text_or_null(3)?.map(str::to_owned),
        asked: row.text_or_null(4)?.map(str::to_owned),
        joined_at: row.at_or_null(5)?.unwrap_or(Timestamp(0)),
        forgotten_at: row.at_or_null(6)?,
        boot: row.text_or_null(7)?.and_then(|boot| boot.parse().ok()),
        left_at: row.at_or_null(8)?,
    })
}

/// Locks a device's row, and so all that belongs to the device, until the transaction ends. False: there is no such device.
pub fn lock(tx: &mut Tx<'_>, device: DeviceId) -> Result<bool, StoreError> {
    Ok(tx.query_one("SELECT id FROM devices WHERE id = $1 FOR UPDATE", values![device.0])?.is_some())
}

/// As [`lock`]; gives what the device has used of its quota. What cannot be read counts as nothing used.
pub fn lock_quota(tx: &mut Tx<'_>, device: DeviceId) -> Result<QuotaState, StoreError> {
    let row = tx.query_one("SELECT quota FROM devices WHERE id = $1 FOR UPDATE", values![device.0])?;
    Ok(row.and_then(|row| row.json(0).ok()).unwrap_or_default())
}

/// Writes what a device has used of its quota.
pub fn set_quota(tx: &mut Tx<'_>, device: DeviceId, quota: &QuotaState) -> Result<(), StoreError> {
    tx.execute("UPDATE devices SET quota = $2 WHERE id = $1", &[device.0.into(), Value::json(quota)?])?;
    Ok(())
}

/// Joined devices that ever were beyond a limit, with what they used.
pub fn beyond_limits(tx: &mut Tx<'_>) -> Result<Vec<(String, QuotaState)>, StoreError> {
    let rows = tx.query(
        "SELECT name, quota FROM devices WHERE state = 'joined' AND quota LIKE '%\"exceeded\":%' ORDER BY name",
        &[],
    )?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.json(1).unwrap_or_default()))).collect()
}

/// One device.
pub fn get(tx: &mut Tx<'_>, id: DeviceId) -> Result<Option<Device>, StoreError> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} WHERE id = $1"), values![id.0])?;
    row.map(|row| device(&row)).transpose()
}

/// The device with that key, locked.
pub fn by_key(tx: &mut Tx<'_>, key: &PublicKey) -> Result<Option<Device>, StoreError> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} WHERE key = $1 FOR UPDATE"), values![key.to_string()])?;
    row.map(|row| device(&row)).transpose()
}

/// The joined device of that name, locked.
pub fn by_name(tx: &mut Tx<'_>, name: &str) -> Result<Option<Device>, StoreError> {
    let row =
        tx.query_one(&format!("SELECT {COLUMNS} WHERE name = $1 AND state = 'joined' FOR UPDATE"), values![name])?;
    row.map(|row| device(&row)).transpose()
}

/// The joined device that has this name, or else one that looks like it; not locked.
pub fn id_like(tx: &mut Tx<'_>, name: &str) -> Result<Option<DeviceId>, StoreError> {
    let by_name = "SELECT id FROM devices WHERE name = $1 AND state = 'joined'";
    let row = match tx.query_one(by_name, values![name])? {
        Some(row) => Some(row),
        None => match looks_like(tx, name, None)? {
            Some(like) => tx.query_one(by_name, values![like])?,
            None => None,
        },
    };
    row.map(|row| row.int(0).map(DeviceId)).transpose()
}

/// The joined device, other than `except`, whose name looks like this one.
pub fn looks_like(tx: &mut Tx<'_>, name: &str, except: Option<DeviceId>) -> Result<Option<String>, StoreError> {
    for row in tx.query("SELECT id, name FROM devices WHERE state = 'joined' AND look IS NULL", &[])? {
        let look = device_name::look(row.text(1)?);
        tx.execute("UPDATE devices SET look = $2 WHERE id = $1", values![row.int(0)?, look])?;
    }
    let row = tx.query_one(
        "SELECT name FROM devices WHERE look = $1 AND state = 'joined' AND id <> $2 LIMIT 1",
        values![device_name::look(name), except.map_or(-1, |device| device.0)],
    )?;
    row.map(|row| row.text(0).map(str::to_owned)).transpose()
}

/// The old client that says this name, whatever a person calls it here; locked.
pub fn legacy_by_own_name(tx: &mut Tx<'_>, name: &str) -> Result<Option<Device>, StoreError> {
    let sql = format!("SELECT {COLUMNS} WHERE asked = $1 AND version = $2 AND state = 'joined' FOR UPDATE");
    let row = tx.query_one(&sql, values![name, LEGACY_VERSION])?;
    row.map(|row| device(&row)).transpose()
}

/// Is this the only epoch of its own that the device ever had here?
pub fn is_first_epoch(tx: &mut Tx<'_>, id: DeviceId, epoch: EpochId) -> Result<bool, StoreError> {
    let row = tx.query_one(
        "SELECT COUNT(*) FROM epochs WHERE device_id = $1 AND id <> $2 AND acked > 0 AND epoch <> $3",
        values![id.0, epoch.0, HUB_EPOCH.to_string()],
    )?;
    Ok(row.map_or(Ok(0), |row| row.int(0))? == 0)
}

/// How many wait to be accepted, without those that have not come for [`PENDING_FOR`].
pub fn n_pending(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64, StoreError> {
    let row = tx.query_one(
        "SELECT COUNT(*) FROM devices WHERE state = 'pending' AND heard_at >= $1",
        values![now.plus(-PENDING_FOR)],
    )?;
    row.map_or(Ok(0), |row| row.count(0))
}

/// The addresses from which joined devices came last, at most `limit`, those of the newest sessions last.
pub fn addresses(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<IpAddr>, StoreError> {
    let rows = tx.query(
        "SELECT peer FROM devices WHERE state = 'joined' AND peer IS NOT NULL ORDER BY heard_at DESC LIMIT $1",
        values![i64::from(limit)],
    )?;
    let addresses: Result<Vec<Option<IpAddr>>, StoreError> =
        rows.iter().rev().map(|row| Ok(row.text(0)?.parse().ok())).collect();
    Ok(addresses?.into_iter().flatten().collect())
}

/// A device that waits has come again. Written at most once an hour: it asks every few minutes.
pub fn still_pending(tx: &mut Tx<'_>, start: &SessionStart) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE devices SET heard_at = $2 WHERE key = $1 AND state = 'pending' AND heard_at < $3",
        values![start.key.to_string(), start.now, start.now.plus(-3_600_000)],
    )?;
    Ok(())
}

/// Lets a device wait to be accepted, and deletes those that have not come for [`PENDING_FOR`]. At most [`PENDING_MAX`] wait: the
/// caller asks [`n_pending`] first, and nobody who waits is deleted for somebody new.
pub fn add_pending(tx: &mut Tx<'_>, start: &SessionStart) -> Result<(), StoreError> {
    tx.execute("DELETE FROM devices WHERE state = 'pending' AND heard_at < $1", values![start.now.plus(-PENDING_FOR)])?;
    let added = tx.query(
        "INSERT INTO devices (name, asked, key, state, address, version, made_at, heard_at, peer)
         VALUES ($1, $1, $2, 'pending', $3, $4, $5, $5, $6) ON CONFLICT (key) DO NOTHING RETURNING id",
        values![
            device_name::normal(&start.name).as_str(),
            start.key.to_string(),
            start.address.clone(),
            start.version.as_str(),
            start.now,
            start.peer.to_string(),
        ],
    )?;
    for row in &added {
        tx.changed(Change::Device(row.int(0)?));
    }
    Ok(())
}

/// The name that a device wants from now on: it asks for another one than last time, and no joined device looks like that.
pub fn wanted_name(tx: &mut Tx<'_>, device: &Device, asked: &DeviceName) -> Result<Option<DeviceName>, StoreError> {
    let asks_anew = device.asked.as_deref().is_some_and(|before| before != asked.as_str());
    let wanted = device_name::normal(asked);
    if !asks_anew || wanted == device.name || looks_like(tx, wanted.as_str(), Some(device.id))?.is_some() {
        return Ok(None);
    }
    Ok(Some(wanted))
}

/// Records what a connected device says of itself, and its name.
pub fn connected(
    tx: &mut Tx<'_>,
    device: &Device,
    name: &DeviceName,
    epoch: EpochId,
    start: &SessionStart,
) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE devices SET name = $2, asked = $3, address = $4, version = $5, heard_at = $6, boot = $7, peer = $8,
         skew = $9, bye = NULL, epoch_id = $10, booted_at = $11, back_at = $6, named = $12, 
         look = CASE WHEN name = $2 THEN look END,
         was = CASE WHEN name = $2 THEN was ELSE {TOLD_NAME} END,
         renamed_at = CASE WHEN name = $2 THEN renamed_at ELSE $6 END WHERE id = $1"
    );
    tx.execute(
        &sql,
        values![
            device.id.0,
            name.as_str(),
            start.name.as_str(),
            start.address.clone(),
            start.version.as_str(),
            start.now,
            start.boot.to_string(),
            start.peer.to_string(),
            start.skew_ms,
            epoch.0,
            start.now.plus(-i64::try_from(start.up).unwrap_or(0)),
            start.last,
        ],
    )?;
    tx.changed(Change::Device(device.id.0));
    Ok(())
}

/// What the device held at its return; `None` if it never had a session.
pub fn backlog(tx: &mut Tx<'_>, id: DeviceId) -> Result<Option<Backlog>, StoreError> {
    let row = tx.query_one(
        "SELECT d.back_at, d.named, e.acked FROM devices d JOIN epochs e ON e.id = d.epoch_id
         WHERE d.id = $1 AND d.back_at IS NOT NULL AND d.named IS NOT NULL",
        values![id.0],
    )?;
    row.map(|row| Ok(Backlog { back_at: row.at(0)?, named: row.count(1)?, acked: row.count(2)? })).transpose()
}

/// Names and rows of the devices that have joined.
pub fn joined(tx: &mut Tx<'_>) -> Result<Vec<(String, DeviceId)>, StoreError> {
    let rows = tx.query("SELECT name, id FROM devices WHERE state = 'joined' AND key IS NOT NULL ORDER BY id", &[])?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), DeviceId(row.int(1)?)))).collect()
}

/// Records the end of a session; gives the device's name.
pub fn disconnected(
    tx: &mut Tx<'_>,
    id: DeviceId,
    bye: Option<&str>,
    heard_at: Timestamp,
) -> Result<String, StoreError> {
    tx.changed(Change::Device(id.0));
    let sql = "UPDATE devices SET heard_at = $2, bye = $3 WHERE id = $1 RETURNING name";
    let row = tx.query_one(sql, values![id.0, heard_at, bye])?;
    row.map_or(Ok(String::new()), |row| Ok(row.text(0)?.to_owned()))
}

//! Who belongs to the hub: join links, devices that join, wait, are renamed, replaced, forgotten.
//!
//! A device changes its own key in two steps. It announces the next one in a session of the present one; both hold then. The first
//! session of the next one makes it the key, and the one before is refused from then on.
//!
//! A device's row outlives its keys: a replacement puts another key into it and leaves the old one in a row of its own, marked
//! as forgotten, so that the old machine is told to go and cannot come back as a stranger. A forgotten row stays for the same
//! reason; the same key may join again with a new link, and then it is the same device again.

use olog_proto::{DeviceName, PublicKey, Timestamp};
use serde::{Deserialize, Serialize};

use super::access::audit;
use super::changes::Change;
use super::devices::{DeviceId, LEGACY_VERSION, SessionStart, looks_like};
use super::renames::{TOLD_NAME, drop_tasks};
use super::{Row, StoreError, Tx, Value, access::ping_keys, incidents::alerts, known_names};
use crate::rules::device_name;
use crate::values;

/// A device may announce another key once in this time (ms), so that its keys do not fill the store and the audit log.
const ANNOUNCED_EVERY: i64 = 3_600_000;

/// Names that a link remembers of those who joined by it.
const JOINED_KEPT: usize = 20;
/// A used or expired link is remembered for this long (ms).
const LINK_KEPT: i64 = 7 * 86_400_000;

/// A device as a person sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ListedDevice {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: Option<PublicKey>,
    /// `joined`, `pending` or `forgotten`.
    pub state: String,
    /// How to reach it by ssh.
    pub address: Option<String>,
    /// Of its agent.
    pub version: Option<String>,
    /// When it became known.
    pub made_at: Timestamp,
    /// When it joined.
    pub joined_at: Option<Timestamp>,
    /// Since when it has this key: since it joined, or since its agent changed to a new one.
    #[serde(default)]
    pub key_at: Option<Timestamp>,
    /// When it was last heard, as far as the store knows.
    pub heard_at: Option<Timestamp>,
    /// Where it came from.
    pub peer: Option<String>,
    /// Milliseconds that its clock is ahead of ours.
    pub skew: Option<i64>,
    /// It is an old client (olog.py).
    #[serde(default)]
    pub legacy: bool,
    /// The newer version, if its agent is behind the newest that the hub knows. Who lists fills it in.
    #[serde(default)]
    pub newer: Option<String>,
    /// Has it a session now? The store does not know; who lists fills it in.
    #[serde(default)]
    pub connected: bool,
}

/// Who wants to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinCandidate {
    /// Its key.
    pub key: PublicKey,
    /// The name that it would like to have.
    pub name: DeviceName,
    /// How to reach it by ssh.
    pub address: Option<String>,
}

/// What came of an attempt to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// It belongs to the hub now. If another key had its name by then, that key is dead.
    Yes {
        /// Its row.
        device: DeviceId,
        /// Its name here: the link's, if the link is for one device.
        name: DeviceName,
        /// It took the place of another key.
        replaced: bool,
    },
    /// The link is unknown, used or expired.
    BadLink,
    /// Another device has that name.
    NameTaken,
}

/// Remembers a link by the hash of its secret, for so many uses, for one device if it names one; and forgets old ones.
pub fn add_link(
    tx: &mut Tx<'_>,
    hash: &str,
    expires_at: Timestamp,
    uses: u32,
    device: Option<&DeviceName>,
    made_by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute("DELETE FROM links WHERE expires_at < $1", values![now.plus(-LINK_KEPT)])?;
    tx.execute(
        "INSERT INTO links (hash, made_at, expires_at, uses_left, device, made_by, uses) VALUES ($1, $2, $3, $4, $5, $6, $4)",
        values![hash, now, expires_at, uses, device.map(|name| name.as_str()), made_by],
    )?;
    Ok(())
}

/// A join link as a person sees it. Its secret is stored nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ListedLink {
    /// The hash of its secret, by which it is revoked.
    pub hash: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// Who made it, if that is known.
    pub made_by: Option<String>,
    /// Until when it holds.
    pub expires_at: Timestamp,
    /// How many devices may still join by it.
    pub uses_left: u64,
    /// For how many it was made, if that is known.
    pub uses: Option<u64>,
    /// The one device that it is for.
    pub device: Option<String>,
    /// The devices that joined by it last, at most 20.
    pub joined: Vec<String>,
}

/// Links that are remembered, the latest first; at most `limit`.
pub fn links(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<ListedLink>, StoreError> {
    let rows = tx.query(
        "SELECT hash, made_at, made_by, expires_at, uses_left, uses, device, joined FROM links
         ORDER BY made_at DESC, hash LIMIT $1",
        values![limit],
    )?;
    let text = |row: &Row, i| row.text_or_null(i).map(|text| text.map(str::to_owned));
    let link = |row: &Row| {
        Ok(ListedLink {
            hash: row.text(0)?.to_owned(),
            made_at: row.at(1)?,
            made_by: text(row, 2)?,
            expires_at: row.at(3)?,
            uses_left: row.count(4)?,
            uses: row.int_or_null(5)?.and_then(|n| u64::try_from(n).ok()),
            device: text(row, 6)?,
            joined: joined_by(row, 7)?,
        })
    };
    rows.iter().map(link).collect()
}

/// Names of those who joined by a link; none is known of a link of an older version.
fn joined_by(row: &Row, column: usize) -> Result<Vec<String>, StoreError> {
    Ok(row.text_or_null(column)?.and_then(|_| row.json(column).ok()).unwrap_or_default())
}

/// Forgets a link, so that nobody joins by it. False: there is none of that hash.
pub fn revoke_link(tx: &mut Tx<'_>, hash: &str) -> Result<bool, StoreError> {
    Ok(tx.execute("DELETE FROM links WHERE hash = $1", values![hash])? > 0)
}

/// Does a link of this secret's hash exist, and has it not expired?
pub fn is_good_link(tx: &mut Tx<'_>, hash: &str, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx.query_one("SELECT hash FROM links WHERE hash = $1 AND expires_at > $2", values![hash, now])?.is_some())
}

/// Joins a device by a link's secret.
pub fn join(tx: &mut Tx<'_>, hash: &str, newcomer: &JoinCandidate, now: Timestamp) -> Result<Joined, StoreError> {
    let link = tx.query_one(
        "SELECT expires_at, uses_left, device, joined FROM links WHERE hash = $1 FOR UPDATE",
        values![hash],
    )?;
    let Some(link) = link.filter(|link| link.at(0).is_ok_and(|expires_at| expires_at > now)) else {
        return Ok(Joined::BadLink);
    };
    let name = match link.text_or_null(2)? {
        Some(_) => link.parse(2)?,
        None => device_name::normal(&newcomer.name),
    };
    let ours = by_key(tx, &newcomer.key)?;
    if let Some((device, state, known_as)) = &ours
        && state == "joined"
        && (link.text_or_null(2)?.is_none() || known_as == name.as_str())
    {
        // Its first answer was lost: the same again, at no cost.
        let name = known_as.parse().map_err(|e| StoreError::Row(format!("name of device {}: {e}", device.0)))?;
        return Ok(Joined::Yes { device: *device, name, replaced: false });
    }
    if link.int(1)? < 1 {
        return Ok(Joined::BadLink);
    }
    let holder = by_name(tx, name.as_str())?;
    let is_for_it = link.text_or_null(2)?.is_some();
    if holder.as_ref().is_some_and(|(_, key)| key.is_some()) && !is_for_it {
        return Ok(Joined::NameTaken);
    }
    let own = holder.as_ref().map(|(holder, _)| *holder).or(ours.as_ref().map(|(ours, ..)| *ours));
    if holder.is_none() && !is_for_it && looks_like(tx, name.as_str(), own)?.is_some() {
        return Ok(Joined::NameTaken);
    }
    let mut by_link = joined_by(&link, 3)?;
    by_link.push(name.to_string());
    let n_too_many = by_link.len().saturating_sub(JOINED_KEPT);
    by_link.drain(..n_too_many);
    tx.execute(
        "UPDATE links SET uses_left = uses_left - 1, joined = $2 WHERE hash = $1",
        &[hash.into(), Value::json(&by_link)?],
    )?;
    let (device, replaced) = match (holder, ours) {
        (Some((device, old)), ours) => {
            if let Some((other, ..)) = ours {
                // The key has a row of its own (it waited, was forgotten, or moves): the name's row goes on.
                drop_tasks(tx, other)?;
                tx.execute(
                    "UPDATE devices SET key = NULL, next_key = NULL, state = 'forgotten' WHERE id = $1",
                    values![other.0],
                )?;
            }
            let next = tx.query_one("SELECT next_key FROM devices WHERE id = $1", values![device.0])?;
            let next = next.map(|row| row.text_or_null(0).map(|key| key.map(str::to_owned))).transpose()?.flatten();
            tx.execute("UPDATE devices SET key = NULL, next_key = NULL WHERE id = $1", values![device.0])?;
            if let Some(old) = &old {
                // Also the key that the old machine has announced: it is refused, and not taken for a stranger's.
                forget_key(tx, &name, old, next, now)?;
            }
            (device, old.is_some())
        }
        (None, Some((device, ..))) => (device, false),
        (None, None) => (insert(tx, &name, now)?, false),
    };
    tx.changed(Change::Device(device.0));
    tx.execute(
        "UPDATE devices SET name = $2, look = NULL, asked = $3, key = $4, state = 'joined', address = $5, joined_at = $6,
         key_at = NULL, next_key = NULL WHERE id = $1",
        values![
            device.0,
            name.as_str(),
            newcomer.name.as_str(),
            newcomer.key.to_string(),
            newcomer.address.clone(),
            now
        ],
    )?;
    Ok(Joined::Yes { device, name, replaced })
}

/// What came of an old client that gives a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admitted {
    /// It is a device, from now on if it was none.
    Yes,
    /// This device has the name, and a key of its own.
    NameTaken(DeviceId),
    /// A person forgot it. It waits to be accepted.
    Pending {
        /// From now on.
        is_new: bool,
    },
}

/// Makes an old client a device under the name that it gives; `start.key` is the key that the hub has for that name.
pub fn admit_legacy(tx: &mut Tx<'_>, start: &SessionStart) -> Result<Admitted, StoreError> {
    let ours = by_key(tx, &start.key)?;
    if ours.as_ref().is_some_and(|(_, state, _)| state == "joined") {
        return Ok(Admitted::Yes);
    }
    let holder = by_name(tx, start.name.as_str())?;
    if let Some((holder, Some(_))) = holder {
        return Ok(Admitted::NameTaken(holder));
    }
    if let Some((device, state, _)) = ours {
        tx.changed(Change::Device(device.0));
        tx.execute(
            "UPDATE devices SET state = 'pending', heard_at = $2, peer = $3 WHERE id = $1",
            values![device.0, start.now, start.peer.to_string()],
        )?;
        return Ok(Admitted::Pending { is_new: state != "pending" });
    }
    let device = match holder {
        Some((device, _)) => device,
        None => insert(tx, &start.name, start.now)?,
    };
    tx.changed(Change::Device(device.0));
    tx.execute(
        "UPDATE devices SET asked = $2, key = $3, joined_at = $4 WHERE id = $1",
        values![device.0, start.name.as_str(), start.key.to_string(), start.now],
    )?;
    Ok(Admitted::Yes)
}

/// What came of a verb on a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceActionResult {
    /// It is done.
    Yes(DeviceId),
    /// There is no such device.
    Unknown,
    /// Another device has the name.
    NameTaken,
    /// Several that wait have this name: the key says which.
    Several,
}

/// Accepts a device that waits, by its name or its key.
pub fn accept(tx: &mut Tx<'_>, who: &str, now: Timestamp) -> Result<DeviceActionResult, StoreError> {
    let rows = tx.query(
        "SELECT id, name FROM devices WHERE state = 'pending' AND (key = $1 OR name = $2) ORDER BY id",
        values![who, who],
    )?;
    let (device, name) = match rows.as_slice() {
        [] => return Ok(DeviceActionResult::Unknown),
        [row] => (DeviceId(row.int(0)?), row.text(1)?.to_owned()),
        _ => return Ok(DeviceActionResult::Several),
    };
    if by_name(tx, &name)?.is_none() && looks_like(tx, &name, None)?.is_some() {
        return Ok(DeviceActionResult::NameTaken);
    }
    if let Some((holder, key)) = by_name(tx, &name)? {
        if key.is_some() {
            return Ok(DeviceActionResult::NameTaken);
        }
        // The name was kept for it: its row goes on under the key.
        let key = tx.query_one("SELECT key FROM devices WHERE id = $1", values![device.0])?;
        let key = key.map(|row| row.text(0).map(str::to_owned)).transpose()?;
        tx.execute("DELETE FROM devices WHERE id = $1", values![device.0])?;
        tx.changed(Change::Device(holder.0));
        tx.execute(
            "UPDATE devices SET key = $2, state = 'joined', joined_at = $3 WHERE id = $1",
            values![holder.0, key, now],
        )?;
        return Ok(DeviceActionResult::Yes(holder));
    }
    tx.changed(Change::Device(device.0));
    tx.execute("UPDATE devices SET state = 'joined', joined_at = $2 WHERE id = $1", values![device.0, now])?;
    Ok(DeviceActionResult::Yes(device))
}

/// Forgets a device by its name, or one that waits by its key. Its row stays as a mark, its tasks go, its incidents end.
pub fn forget(tx: &mut Tx<'_>, who: &str, now: Timestamp) -> Result<DeviceActionResult, StoreError> {
    let joined = tx.query("SELECT id FROM devices WHERE name = $1 AND state = 'joined'", values![who])?;
    let rows = if joined.is_empty() {
        tx.query("SELECT id FROM devices WHERE state = 'pending' AND (key = $1 OR name = $2)", values![who, who])?
    } else {
        joined
    };
    let device = match rows.as_slice() {
        [] => return Ok(DeviceActionResult::Unknown),
        [row] => DeviceId(row.int(0)?),
        _ => return Ok(DeviceActionResult::Several),
    };
    tx.changed(Change::Device(device.0));
    tx.execute(
        "UPDATE devices SET state = 'forgotten', absence_id = NULL, known_at = NULL, forgotten_at = $2 WHERE id = $1",
        values![device.0, now],
    )?;
    known_names::forget_device(tx, who)?;
    drop_tasks(tx, device)?;
    ping_keys::remove_all(tx, device)?;
    alerts::remove_all(tx, device)?;
    tx.execute(
        "UPDATE incidents SET ended_at = $2, ground = 'closed' WHERE device_id = $1 AND ended_at IS NULL",
        values![device.0, now],
    )?;
    Ok(DeviceActionResult::Yes(device))
}

/// Gives a device another name.
pub fn rename(tx: &mut Tx<'_>, old: &str, new: &DeviceName, now: Timestamp) -> Result<DeviceActionResult, StoreError> {
    let Some((device, _)) = by_name(tx, old)? else { return Ok(DeviceActionResult::Unknown) };
    let new = device_name::normal(new);
    if looks_like(tx, new.as_str(), Some(device))?.is_some() {
        return Ok(DeviceActionResult::NameTaken);
    }
    tx.changed(Change::Device(device.0));
    tx.execute(
        &format!(
            "UPDATE devices SET name = $2, look = NULL, was = {TOLD_NAME}, renamed_at = $3 WHERE id = $1 AND name <> $2"
        ),
        values![device.0, new.as_str(), now],
    )?;
    Ok(DeviceActionResult::Yes(device))
}

/// Devices by name: those that joined, or those that wait.
pub fn list(tx: &mut Tx<'_>, pending: bool) -> Result<Vec<ListedDevice>, StoreError> {
    let state = if pending { "pending" } else { "joined" };
    let rows = tx.query(&format!("SELECT {LISTED} WHERE state = $1 ORDER BY name, id"), values![state])?;
    rows.iter().map(device).collect()
}

/// The device that has joined under this name.
pub fn by_joined_name(tx: &mut Tx<'_>, name: &str) -> Result<Option<ListedDevice>, StoreError> {
    let row = tx.query_one(&format!("SELECT {LISTED} WHERE state = 'joined' AND name = $1"), values![name])?;
    row.as_ref().map(device).transpose()
}

const LISTED: &str = "id, name, key, state, address, version, made_at, joined_at, heard_at, peer, skew, COALESCE(key_at, joined_at) FROM devices";

fn device(row: &Row) -> Result<ListedDevice, StoreError> {
    let text = |i| row.text_or_null(i).map(|text| text.map(str::to_owned));
    Ok(ListedDevice {
        id: row.int(0)?,
        name: row.text(1)?.to_owned(),
        // A key that is none lets nobody in; the list, by which a person finds it, goes on.
        key: row.text_or_null(2)?.and_then(|_| row.parse(2).ok()),
        state: row.text(3)?.to_owned(),
        address: text(4)?,
        version: text(5)?,
        made_at: row.at(6)?,
        joined_at: row.at_or_null(7)?,
        key_at: row.at_or_null(11)?,
        heard_at: row.at_or_null(8)?,
        peer: text(9)?,
        skew: row.int_or_null(10)?,
        legacy: row.text_or_null(5)? == Some(LEGACY_VERSION),
        newer: None,
        connected: false,
    })
}

/// What came of a key that a device announces as its next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAnnouncement {
    /// It is the device's next key: the first session with it makes it the key.
    Yes,
    /// The device announced another one less than an hour ago.
    TooOften,
    /// It is or was the key of a device.
    Taken,
    /// The key of the session is not the device's any more.
    Revoked,
}

/// A device announces its next key, in a session of its present one. The present one holds until the next one is used.
pub fn announce_key(
    tx: &mut Tx<'_>,
    device: DeviceId,
    (present, next): (&PublicKey, &PublicKey),
    origin: &str,
    now: Timestamp,
) -> Result<KeyAnnouncement, StoreError> {
    let row = tx.query_one(
        "SELECT name, next_key, next_key_at FROM devices WHERE id = $1 AND key = $2 AND state = 'joined' FOR UPDATE",
        values![device.0, present.to_string()],
    )?;
    let Some(row) = row else { return Ok(KeyAnnouncement::Revoked) };
    let (name, key) = (row.text(0)?.to_owned(), next.to_string());
    if row.text_or_null(1)? == Some(key.as_str()) {
        // Its first answer was lost.
        return Ok(KeyAnnouncement::Yes);
    }
    if row.at_or_null(2)?.is_some_and(|at| now < at.plus(ANNOUNCED_EVERY)) {
        return Ok(KeyAnnouncement::TooOften);
    }
    if tx.query_one("SELECT id FROM devices WHERE key = $1 OR next_key = $1", values![key.as_str()])?.is_some() {
        return Ok(KeyAnnouncement::Taken);
    }
    tx.execute(
        "UPDATE devices SET next_key = $2, next_key_at = $3 WHERE id = $1",
        values![device.0, key.as_str(), now],
    )?;
    let detail = format!("announced the next key {}, signed by the present one", next.fingerprint());
    put_rotation(tx, &name, detail, origin, now)?;
    Ok(KeyAnnouncement::Yes)
}

/// The device that announced this key, which was proved now: it is the device's key from now on, and the one before is refused.
pub fn use_next_key(tx: &mut Tx<'_>, start: &SessionStart) -> Result<Option<DeviceId>, StoreError> {
    let (key, now) = (start.key.to_string(), start.now);
    let row =
        tx.query_one("SELECT id, name, key, state FROM devices WHERE next_key = $1 FOR UPDATE", values![key.as_str()])?;
    let Some(row) = row else { return Ok(None) };
    let (device, name) = (DeviceId(row.int(0)?), row.parse::<DeviceName>(1)?);
    if row.text(3)? != "joined" {
        return Ok(Some(device));
    }
    tx.execute(
        "UPDATE devices SET key = $2, key_at = $3, next_key = NULL WHERE id = $1",
        values![device.0, key.as_str(), now],
    )?;
    if let Some(old) = row.text_or_null(2)? {
        forget_key(tx, &name, old, None, now)?;
    }
    let detail = format!("the key is {} from now on, the one before is refused", start.key.fingerprint());
    put_rotation(tx, name.as_str(), detail, &start.peer.to_string(), now)?;
    Ok(Some(device))
}

fn put_rotation(tx: &mut Tx<'_>, name: &str, detail: String, origin: &str, now: Timestamp) -> Result<(), StoreError> {
    let entry = audit::Entry {
        actor: format!("device {name}"),
        action: "device.rotate".into(),
        subject: name.to_owned(),
        detail,
        origin: origin.to_owned(),
    };
    audit::put(tx, &entry, audit::Outcome::Done, now)?;
    Ok(())
}

/// A key that is no device's any more stays as a row: whoever comes with it is refused for good, and is no stranger who may wait.
fn forget_key(
    tx: &mut Tx<'_>,
    name: &DeviceName,
    key: &str,
    next: Option<String>,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO devices (name, key, next_key, state, made_at) VALUES ($1, $2, $3, 'forgotten', $4)",
        values![name.as_str(), key, next, now],
    )?;
    Ok(())
}

fn by_key(tx: &mut Tx<'_>, key: &PublicKey) -> Result<Option<(DeviceId, String, String)>, StoreError> {
    let row = tx.query_one(
        "SELECT id, state, name FROM devices WHERE key = $1 OR next_key = $1 FOR UPDATE",
        values![key.to_string()],
    )?;
    row.map(|row| Ok((DeviceId(row.int(0)?), row.text(1)?.to_owned(), row.text(2)?.to_owned()))).transpose()
}

/// The device that has this name now, and its key if one has joined.
fn by_name(tx: &mut Tx<'_>, name: &str) -> Result<Option<(DeviceId, Option<String>)>, StoreError> {
    let row =
        tx.query_one("SELECT id, key FROM devices WHERE name = $1 AND state = 'joined' FOR UPDATE", values![name])?;
    row.map(|row| Ok((DeviceId(row.int(0)?), row.text_or_null(1)?.map(str::to_owned)))).transpose()
}

fn insert(tx: &mut Tx<'_>, name: &DeviceName, now: Timestamp) -> Result<DeviceId, StoreError> {
    let row = tx.query_one(
        "INSERT INTO devices (name, state, made_at) VALUES ($1, 'joined', $2) RETURNING id",
        values![name.as_str(), now],
    )?;
    Ok(DeviceId(row.ok_or_else(|| StoreError::Row("no id of a new device".to_owned()))?.int(0)?))
}

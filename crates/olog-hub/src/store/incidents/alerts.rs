//! Alerts that were sent from elsewhere: the task that each set of labels is, and until when it fires. The device's row is locked by the caller.
//!
//! A row that this version cannot read is set aside and removed: its incident stays open until the alert is sent again and ends, or until
//! the user closes it.

use olog_proto::{TaskName, Timestamp};

use crate::rules::alert::{Firing, Labels};
use crate::store::devices::DeviceId;
use crate::store::set_aside::{self, Kind, UnreadableValue};
use crate::store::{Row, StoreError, Tx};
use crate::values;

/// Sets of labels of one name that are compared for a new one's name.
const SIBLINGS_MAX: i64 = 200;
/// A set that does not fire is forgotten after this (ms), and with it which task it was.
const KEPT: i64 = 30 * 86_400_000;

/// An alert as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAlert {
    id: i64,
    /// Its device.
    pub device: DeviceId,
    /// Its labels.
    pub labels: Labels,
    /// The name that its task had when it first came.
    pub task: TaskName,
    /// Over then, unless it is sent again.
    pub ends_at: Timestamp,
    /// `None`: it is over.
    pub firing: Option<Firing>,
}

const COLUMNS: &str = "id, device_id, label_set, task, is_firing, seen_at, text, ends_at FROM alerts";

fn read(row: &Row) -> Result<StoredAlert, StoreError> {
    let firing = Firing { seen_at: row.at(5)?, text: row.text(6)?.to_owned() };
    Ok(StoredAlert {
        id: row.int(0)?,
        device: DeviceId(row.int(1)?),
        labels: Labels::from_json(row.text(2)?).map_err(|e| StoreError::Row(format!("the labels: {e}")))?,
        task: row.parse(3)?,
        firing: if row.int(4)? == 1 { Some(firing) } else { None },
        ends_at: row.at(7)?,
    })
}

fn read_or_set_aside(tx: &mut Tx<'_>, row: &Row, now: Timestamp) -> Result<Option<StoredAlert>, StoreError> {
    let why = match read(row) {
        Err(StoreError::Row(why)) => why,
        read => return read.map(Some),
    };
    let (id, value) = (row.int(0)?, row.text(2)?);
    let unreadable = UnreadableValue { kind: Kind::Alert, row: id, name: row.text(3)?, value: Some(value), why: &why };
    set_aside::put(tx, &unreadable, now)?;
    tx.execute("DELETE FROM alerts WHERE id = $1", values![id])?;
    Ok(None)
}

fn read_all(tx: &mut Tx<'_>, rows: &[Row], now: Timestamp) -> Result<Vec<StoredAlert>, StoreError> {
    rows.iter().filter_map(|row| read_or_set_aside(tx, row, now).transpose()).collect()
}

/// The alert of these labels.
pub fn get(tx: &mut Tx<'_>, device: DeviceId, hash: &str, now: Timestamp) -> Result<Option<StoredAlert>, StoreError> {
    let sql = format!("SELECT {COLUMNS} WHERE device_id = $1 AND labels = $2");
    let row = tx.query_one(&sql, values![device.0, hash])?;
    row.map_or(Ok(None), |row| read_or_set_aside(tx, &row, now))
}

/// The same alert as it stands now.
pub fn again(tx: &mut Tx<'_>, alert: &StoredAlert, now: Timestamp) -> Result<Option<StoredAlert>, StoreError> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} WHERE id = $1"), values![alert.id])?;
    row.map_or(Ok(None), |row| read_or_set_aside(tx, &row, now))
}

/// The sets of labels of that name.
pub fn siblings(tx: &mut Tx<'_>, device: DeviceId, name: &str, now: Timestamp) -> Result<Vec<StoredAlert>, StoreError> {
    let sql = format!("SELECT {COLUMNS} WHERE device_id = $1 AND name = $2 ORDER BY id DESC LIMIT $3");
    let rows = tx.query(&sql, values![device.0, name, SIBLINGS_MAX])?;
    read_all(tx, &rows, now)
}

/// An alert fires: a new one, or one that was over.
pub fn fire(
    tx: &mut Tx<'_>,
    device: DeviceId,
    (labels, task): (&Labels, &TaskName),
    ends_at: Timestamp,
    firing: &Firing,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO alerts (device_id, labels, label_set, name, task, is_firing, ends_at, seen_at, text)
         VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8)
         ON CONFLICT (device_id, labels) DO UPDATE SET is_firing = 1, ends_at = $6, seen_at = $7, text = $8",
        values![
            device.0,
            labels.hash(),
            labels.to_json(),
            labels.name(),
            task.as_str(),
            ends_at,
            firing.seen_at,
            firing.text.as_str()
        ],
    )?;
    Ok(())
}

/// It fires still: until then.
pub fn extend(tx: &mut Tx<'_>, alert: &StoredAlert, ends_at: Timestamp) -> Result<(), StoreError> {
    tx.execute("UPDATE alerts SET ends_at = $2 WHERE id = $1", values![alert.id, ends_at])?;
    Ok(())
}

/// It is over.
pub fn end(tx: &mut Tx<'_>, alert: &StoredAlert, at: Timestamp) -> Result<(), StoreError> {
    tx.execute("UPDATE alerts SET is_firing = 0, ends_at = $2 WHERE id = $1", values![alert.id, at])?;
    Ok(())
}

/// When the first one is over, unless it is sent again.
pub fn next_end(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, StoreError> {
    let row = tx.query_one("SELECT MIN(ends_at) FROM alerts WHERE is_firing = 1", &[])?;
    row.map_or(Ok(None), |row| row.at_or_null(0))
}

/// Those that are over by now, in the order of their devices; and whether there may be more.
pub fn due(tx: &mut Tx<'_>, now: Timestamp, limit: u32) -> Result<(Vec<StoredAlert>, bool), StoreError> {
    let sql = format!("SELECT {COLUMNS} WHERE is_firing = 1 AND ends_at <= $1 ORDER BY ends_at LIMIT $2");
    let rows = tx.query(&sql, values![now, i64::from(limit)])?;
    let mut due = read_all(tx, &rows, now)?;
    due.sort_by_key(|alert| alert.device);
    Ok((due, rows.len() == limit as usize))
}

/// Forgets those that have been over for long.
pub fn forget_old(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    tx.execute("DELETE FROM alerts WHERE is_firing = 0 AND ends_at < $1", values![now.plus(-KEPT)])?;
    Ok(())
}

/// Removes all of a device.
pub(in crate::store) fn remove_all(tx: &mut Tx<'_>, device: DeviceId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM alerts WHERE device_id = $1", values![device.0])?;
    Ok(())
}

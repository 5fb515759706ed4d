//! Values that this version cannot read: a later version of Olog wrote them, or they are damaged.
//!
//! One such value must neither stop a worker nor be lost. Whoever meets it calls [`put`] in the same transaction and goes on
//! without it:
//!
//! | value | where it stays | what goes on without it |
//! |---|---|---|
//! | a notification in the outbox | in its row, `outcome = 'unreadable'` | the other notifications are sent |
//! | facts of a task | here | facts made from the row's columns, with the open incident |
//! | what a silence held back | here | nothing counts as held back: in doubt the user is notified |
//! | an alert that was sent from elsewhere | here | its incident stays open until it is sent again and ends |
//! | facts of a device's absence | in its row | facts made from the devices that name this incident |
//! | days of a device, a setting | here | the value is written anew |
//!
//! The user is told once (`apply::unreadable`), and [`list`] shows every value. A later version that can read a notification
//! puts it back into the queue with [`release`] at its start. Facts of a task stay here for 90 days: events came since, so
//! the older facts must not replace the newer ones.
//!
//! Must not: decide who is told, or in which words.

use olog_proto::Timestamp;
use olog_push::Notice;
use serde::Serialize;

use super::value::read_json;
use super::{StoreError, Tx};
use crate::values;

/// What is set aside stays for this long (ms).
const KEPT_FOR: i64 = 90 * 86_400_000;
/// Rows that [`release`] looks at in one step.
const PAGE: u32 = 200;

/// Which stored value it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `outbox.notice` or `outbox.receivers`.
    Notification,
    /// `tasks.facts`.
    TaskFacts,
    /// `tasks.expect`.
    TaskExpectations,
    /// `held.notice` or `held.fingerprints`.
    Suppressed,
    /// `incidents.facts` of devices that are away.
    Absence,
    /// A row of `alerts`.
    Alert,
    /// `devices.days`.
    DeviceDays,
    /// `settings.value`.
    Setting,
}

impl Kind {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Notification => "notification",
            Kind::TaskFacts => "task",
            Kind::TaskExpectations => "task_expectations",
            Kind::Suppressed => "suppressed",
            Kind::Absence => "absence",
            Kind::Alert => "alert",
            Kind::DeviceDays => "device_days",
            Kind::Setting => "setting",
        }
    }
}

/// A value on its way here.
#[derive(Debug)]
pub struct UnreadableValue<'a> {
    /// Which stored value.
    pub kind: Kind,
    /// The id of its row, or 0.
    pub row: i64,
    /// For a person: a channel, a task, a device, a key.
    pub name: &'a str,
    /// The text, if it does not stay in its row.
    pub value: Option<&'a str>,
    /// Why it cannot be read.
    pub why: &'a str,
}

/// A value that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    /// Its number here.
    pub id: i64,
    /// `notification`, `task`, `task_expectations`, `suppressed`, `absence`, `alert`, `device_days` or `setting`.
    pub kind: String,
    /// The id of its row, or 0.
    pub row: i64,
    /// A channel, a task, a device, a key.
    pub name: String,
    /// Why it cannot be read.
    pub why: String,
    /// Since when.
    pub at: Timestamp,
}

/// Sets a value aside. A value that still stands in its row is recorded once.
pub fn put(tx: &mut Tx<'_>, new: &UnreadableValue<'_>, now: Timestamp) -> Result<(), StoreError> {
    let UnreadableValue { kind, row, name, value, why } = *new;
    if value.is_none() {
        let known =
            tx.query_one("SELECT id FROM set_aside WHERE kind = $1 AND row_id = $2", values![kind.as_str(), row])?;
        if known.is_some() {
            return Ok(());
        }
    }
    tracing::error!(kind = kind.as_str(), row, name, why, "a stored value cannot be read: set aside");
    metrics::counter!("olog_unreadable_values_total", "kind" => kind.as_str()).increment(1);
    tx.execute(
        "INSERT INTO set_aside (kind, row_id, name, value, why, at) VALUES ($1, $2, $3, $4, $5, $6)",
        values![kind.as_str(), row, name, value.map(str::to_owned), why, now],
    )?;
    Ok(())
}

/// What is set aside, the latest first; at most `limit`.
pub fn list(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<SetAside>, StoreError> {
    let rows =
        tx.query("SELECT id, kind, row_id, name, why, at FROM set_aside ORDER BY id DESC LIMIT $1", values![limit])?;
    rows.iter()
        .map(|row| {
            Ok(SetAside {
                id: row.int(0)?,
                kind: row.text(1)?.to_owned(),
                row: row.int(2)?,
                name: row.text(3)?.to_owned(),
                why: row.text(4)?.to_owned(),
                at: row.at(5)?,
            })
        })
        .collect()
}

/// How many values are set aside.
pub fn count(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    tx.query_one("SELECT COUNT(*) FROM set_aside", &[])?.map_or(Ok(0), |row| row.count(0))
}

/// Is there anything that nobody was told of?
pub fn is_any_untold(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    Ok(tx.query_one("SELECT id FROM set_aside WHERE is_told = 0 LIMIT 1", &[])?.is_some())
}

/// How many values nobody was told of, and the first of them. They count as told from now on.
pub fn take_untold(tx: &mut Tx<'_>) -> Result<Option<(u64, SetAside)>, StoreError> {
    let first = tx.query_one(
        "SELECT id, kind, row_id, name, why, at FROM set_aside WHERE is_told = 0 ORDER BY id LIMIT 1",
        &[],
    )?;
    let Some(row) = first else { return Ok(None) };
    let first = SetAside {
        id: row.int(0)?,
        kind: row.text(1)?.to_owned(),
        row: row.int(2)?,
        name: row.text(3)?.to_owned(),
        why: row.text(4)?.to_owned(),
        at: row.at(5)?,
    };
    let n = tx.execute("UPDATE set_aside SET is_told = 1 WHERE is_told = 0", &[])?;
    Ok(Some((n, first)))
}

/// What one step of [`release`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Released {
    /// Notifications that are back in the queue.
    pub n: u64,
    /// Where to go on, if there may be more.
    pub next: Option<i64>,
}

/// One step: puts notifications that can be read now back into the queue, and forgets what was set aside long ago. To be
/// called when the hub starts, from `after = 0` on.
pub fn release(tx: &mut Tx<'_>, after: i64, now: Timestamp) -> Result<Released, StoreError> {
    tx.execute("DELETE FROM set_aside WHERE at < $1", values![now.plus(-KEPT_FOR)])?;
    let rows = tx.query(
        "SELECT s.id, o.id, o.notice, o.receivers FROM set_aside s
         LEFT JOIN outbox o ON o.id = s.row_id AND o.outcome = 'unreadable'
         WHERE s.kind = $1 AND s.id > $2 ORDER BY s.id LIMIT $3",
        values![Kind::Notification.as_str(), after, PAGE],
    )?;
    let mut released = Released::default();
    for row in &rows {
        let id = row.int(0)?;
        let Some(outbox) = row.int_or_null(1)? else {
            tx.execute("DELETE FROM set_aside WHERE id = $1", values![id])?;
            continue;
        };
        let receivers = row.text_or_null(3)?.map(read_json::<Vec<String>>).transpose();
        if read_json::<Notice>(row.text(2)?).is_err() || receivers.is_err() {
            continue;
        }
        tx.execute(
            "UPDATE outbox SET done_at = NULL, outcome = NULL, claim = NULL, claimed_until = NULL WHERE id = $1",
            values![outbox],
        )?;
        tx.execute("DELETE FROM set_aside WHERE id = $1", values![id])?;
        released.n += 1;
    }
    if rows.len() == PAGE as usize {
        released.next = rows.last().map(|row| row.int(0)).transpose()?;
    }
    Ok(released)
}

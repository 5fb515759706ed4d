//! The ledger, read: what became of each notification, for one incident or for all. Read only; `outbox` writes it.

use olog_proto::Timestamp;
use olog_push::Notice;
use serde::{Deserialize, Serialize};

use super::outbox::{Attempt, attempt};
use super::{Row, StoreError, Tx};
use crate::values;

/// A notice of one channel, and what became of it so far.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerRow {
    /// The outbox row.
    pub id: i64,
    /// Through which channel.
    pub channel: String,
    /// What there is to tell.
    pub notice: Notice,
    /// When it was put there.
    pub made_at: Timestamp,
    /// When it left.
    pub done_at: Option<Timestamp>,
    /// How it left.
    pub outcome: Option<String>,
    /// How many calls have carried it.
    pub n_attempts: u64,
    /// The message that it went with last.
    pub message: Option<i64>,
    /// The silence that held it back.
    pub silence: Option<u64>,
}

/// A call: what went together in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sent {
    /// Its number.
    pub id: i64,
    /// Through which channel.
    pub channel: String,
    /// When.
    pub at: Timestamp,
    /// Its title.
    pub title: String,
    /// How many notices it told.
    pub n_notices: usize,
}

const COLUMNS: &str = "id, channel, notice, made_at, done_at, outcome, n_attempts, message_id, silence_id FROM outbox";

fn entry(row: &Row) -> Result<LedgerRow, StoreError> {
    Ok(LedgerRow {
        id: row.int(0)?,
        channel: row.text(1)?.to_owned(),
        notice: row.json(2)?,
        made_at: row.at(3)?,
        done_at: row.at_or_null(4)?,
        outcome: row.text_or_null(5)?.map(str::to_owned),
        n_attempts: row.count(6)?,
        message: row.int_or_null(7)?,
        silence: row.int_or_null(8)?.and_then(|n| u64::try_from(n).ok()),
    })
}

/// Those that this version can read; the others are listed in `set_aside`.
fn entries(rows: &[Row]) -> Vec<LedgerRow> {
    rows.iter().filter_map(|row| entry(row).ok()).collect()
}

/// Every notice of an incident, in the order of their making; at most `limit`.
pub fn of_incident(tx: &mut Tx<'_>, incident: u64, limit: u32) -> Result<Vec<LedgerRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} WHERE incident_id = $1 ORDER BY id LIMIT $2");
    Ok(entries(&tx.query(&sql, values![incident, limit])?))
}

/// What waits for any channel, in the order of their making, from row `after` on; at most `limit`.
pub fn waiting(tx: &mut Tx<'_>, after: i64, limit: u32) -> Result<Vec<LedgerRow>, StoreError> {
    let sql = format!("SELECT {COLUMNS} WHERE done_at IS NULL AND id > $1 ORDER BY id LIMIT $2");
    Ok(entries(&tx.query(&sql, values![after, limit])?))
}

/// Calls after number `after`, the earliest first; at most `limit`.
pub fn sent_after(tx: &mut Tx<'_>, after: i64, limit: u32) -> Result<Vec<Sent>, StoreError> {
    let rows = tx.query(
        "SELECT id, channel, at, title, rows FROM messages WHERE id > $1 ORDER BY id LIMIT $2",
        values![after, limit],
    )?;
    rows.iter().map(sent).collect()
}

/// Calls of a channel before number `before`, the latest first; at most `limit`.
pub fn latest_of(tx: &mut Tx<'_>, channel: &str, before: i64, limit: u32) -> Result<Vec<Sent>, StoreError> {
    let rows = tx.query(
        "SELECT id, channel, at, title, rows FROM messages WHERE channel = $1 AND id < $2 ORDER BY at DESC, id DESC LIMIT $3",
        values![channel, before, limit],
    )?;
    rows.iter().map(sent).collect()
}

/// One call.
pub fn message(tx: &mut Tx<'_>, id: i64) -> Result<Option<Sent>, StoreError> {
    let row = tx.query_one("SELECT id, channel, at, title, rows FROM messages WHERE id = $1", values![id])?;
    row.map(|row| sent(&row)).transpose()
}

/// What the service said to a call, of each receiver.
pub fn answers(tx: &mut Tx<'_>, message: i64) -> Result<Vec<Attempt>, StoreError> {
    let rows = tx.query(
        "SELECT m.id, m.title, m.channel, a.receiver, a.at, a.outcome, a.answer FROM attempts a
         JOIN messages m ON m.id = a.message_id WHERE m.id = $1 ORDER BY a.receiver",
        values![message],
    )?;
    rows.iter().map(attempt).collect()
}

fn sent(row: &Row) -> Result<Sent, StoreError> {
    Ok(Sent {
        id: row.int(0)?,
        channel: row.text(1)?.to_owned(),
        at: row.at(2)?,
        title: row.text(3)?.to_owned(),
        n_notices: row.json::<Vec<i64>>(4).unwrap_or_default().len(),
    })
}

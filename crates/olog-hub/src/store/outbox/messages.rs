//! The ledger of calls: a message is one call and the rows that went with it, an attempt is the answer of one receiver.

use olog_proto::Timestamp;

use crate::store::{Row, StoreError, Tx, Value, changes::Change};
use crate::values;

/// One call, and what it carried.
#[derive(Debug)]
pub struct NewMessage<'a> {
    /// Its title.
    pub title: &'a str,
    /// The rows that went with it.
    pub rows: &'a [i64],
    /// It carried a report.
    pub is_report: bool,
    /// The devices that it told of, at most [`DEVICES_MAX`]; `""`: the hub itself.
    pub devices: &'a [&'a str],
    /// When it was sent.
    pub at: Timestamp,
}

/// Devices that are remembered of one message: one that tells of more is a storm of many, and nobody's alone.
pub const DEVICES_MAX: usize = 50;

/// Records one call and gives the message's number.
pub fn put_message(tx: &mut Tx<'_>, channel: &str, new: &NewMessage<'_>) -> Result<i64, StoreError> {
    let row = tx.query_one(
        "INSERT INTO messages (channel, at, title, rows, is_report, devices) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        &[
            channel.into(),
            new.at.into(),
            new.title.into(),
            Value::json(&new.rows)?,
            new.is_report.into(),
            Value::json(&new.devices)?,
        ],
    )?;
    row.ok_or_else(|| StoreError::Row("no number of a new message".to_owned()))?.int(0)
}

/// What the service said of one receiver.
pub fn put_attempt(
    tx: &mut Tx<'_>,
    message: i64,
    receiver: &str,
    outcome: &str,
    answer: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO attempts (message_id, receiver, at, outcome, answer) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (message_id, receiver) DO NOTHING",
        values![message, receiver, at, outcome, answer],
    )?;
    Ok(())
}

/// Rows of the outbox changed; these are their incidents.
pub(super) fn notifications_changed(tx: &mut Tx<'_>, incidents: &[Row]) -> Result<(), StoreError> {
    for row in incidents {
        if let Some(incident) = row.int_or_null(0)? {
            tx.changed(Change::Notification(incident.cast_unsigned()));
        }
    }
    Ok(())
}

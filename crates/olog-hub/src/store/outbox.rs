//! The outbox: notifications that a channel has not accepted, and the ledger of every call.

use olog_proto::At;
use olog_push::Notice;

use super::{StoreError, Tx, Value};

/// Puts a notice into the outbox of these channels. `is_first`: the first sign of an incident.
pub fn put(tx: &mut Tx<'_>, channels: &[String], notice: &Notice, is_first: bool, now: At) -> Result<(), StoreError> {
    if channels.is_empty() {
        return Ok(());
    }
    let body = Value::json(notice)?;
    let kind = serde_json::to_value(notice.kind).map_err(|e| StoreError::Refused(e.to_string()))?;
    for channel in channels {
        tx.execute(
            "INSERT INTO outbox (channel, kind, incident_id, is_first, made_at, notice) VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                channel.as_str().into(),
                kind.as_str().unwrap_or_default().into(),
                notice.incident.into(),
                is_first.into(),
                now.into(),
                body.clone(),
            ],
        )?;
    }
    Ok(())
}

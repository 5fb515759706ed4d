//! Small facts about the hub itself: its identity, when it was last alive.

use super::{StoreError, Tx};
use crate::values;

/// What a key says.
pub fn get(tx: &mut Tx<'_>, key: &str) -> Result<Option<String>, StoreError> {
    let row = tx.query_one("SELECT value FROM settings WHERE key = $1", values![key])?;
    row.map(|row| row.text(0).map(str::to_owned)).transpose()
}

/// Sets a key.
pub fn set(tx: &mut Tx<'_>, key: &str, value: &str) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = $2",
        values![key, value],
    )?;
    Ok(())
}

/// What a key says; `value` if it said nothing. Two hubs that start at once agree.
pub fn get_or_set(tx: &mut Tx<'_>, key: &str, value: &str) -> Result<String, StoreError> {
    tx.execute("INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING", values![key, value])?;
    Ok(get(tx, key)?.unwrap_or_else(|| value.to_owned()))
}

//! Small facts about the hub itself, by key: its identity, when it was last alive, what it has told once.

use olog_proto::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

use super::value::{read_json, write_json};
use super::{StoreError, Tx, set_aside};
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

/// A key says nothing from now on.
pub fn remove(tx: &mut Tx<'_>, key: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM settings WHERE key = $1", values![key])?;
    Ok(())
}

/// What a key says; `value` if it said nothing. Two hubs that start at once agree.
pub fn get_or_set(tx: &mut Tx<'_>, key: &str, value: &str) -> Result<String, StoreError> {
    tx.execute("INSERT INTO settings (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING", values![key, value])?;
    Ok(get(tx, key)?.unwrap_or_else(|| value.to_owned()))
}

/// What a key says as JSON. A value that cannot be read counts as none; [`set_json`] keeps it in `set_aside`.
pub fn get_json<T: DeserializeOwned>(tx: &mut Tx<'_>, key: &str) -> Result<Option<T>, StoreError> {
    Ok(get(tx, key)?.and_then(|text| read_json(&text).ok()))
}

/// Sets a key to JSON.
pub fn set_json<T: Serialize + DeserializeOwned>(
    tx: &mut Tx<'_>,
    key: &str,
    value: &T,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(was) = get(tx, key)?
        && let Err(why) = read_json::<T>(&was)
    {
        let (kind, why) = (set_aside::Kind::Setting, why.to_string());
        set_aside::put(tx, &set_aside::UnreadableValue { kind, row: 0, name: key, value: Some(&was), why: &why }, now)?;
    }
    set(tx, key, &write_json(value)?)
}

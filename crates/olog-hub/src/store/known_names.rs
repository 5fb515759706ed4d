//! Names that were known before Olog: devices and tasks of an imported configuration. A report does not mark them as new.
//!
//! They are names, not rows of devices: most of them appear later, and some never.

use std::collections::BTreeSet;

use super::{StoreError, Tx};
use crate::values;

/// The device's own row.
const DEVICE: &str = "";

/// The device and these of its tasks are known. Repeating it changes nothing.
pub fn add<'a>(tx: &mut Tx<'_>, device: &str, tasks: impl IntoIterator<Item = &'a str>) -> Result<(), StoreError> {
    for task in std::iter::once(DEVICE).chain(tasks) {
        tx.execute(
            "INSERT INTO known_names (device, task) VALUES ($1, $2) ON CONFLICT (device, task) DO NOTHING",
            values![device, task],
        )?;
    }
    Ok(())
}

/// Is any name known?
pub fn are_there(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    Ok(tx.query_one("SELECT 1 FROM known_names LIMIT 1", &[])?.is_some())
}

/// The known tasks of a device, the empty name among them if the device itself is known.
pub fn of_device(tx: &mut Tx<'_>, device: &str) -> Result<BTreeSet<String>, StoreError> {
    let rows = tx.query("SELECT task FROM known_names WHERE device = $1", values![device])?;
    rows.iter().map(|row| Ok(row.text(0)?.to_owned())).collect()
}

/// A person forgot the task: it is new when it comes again.
pub fn forget_task(tx: &mut Tx<'_>, device: &str, task: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM known_names WHERE device = $1 AND task = $2", values![device, task])?;
    Ok(())
}

/// A person forgot the device, with its tasks.
pub fn forget_device(tx: &mut Tx<'_>, device: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM known_names WHERE device = $1", values![device])?;
    Ok(())
}

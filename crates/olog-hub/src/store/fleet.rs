//! The fleet at a glance, for the overview: how many devices are well, which are not, and what is open, the worst first.
//!
//! Reads open incidents and the rows of devices, never the rows of tasks: its cost grows with what is wrong, not with what is there. Read only.

use std::collections::HashMap;

use olog_proto::Timestamp;
use olog_push::notice::StateCounts;

use super::{
    StoreError, Tx,
    ids::DeviceId,
    incidents::{self, Incident},
};
use crate::rules::state::{self, State};
use crate::values;

/// A device on the overview.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetDevice {
    /// Its name.
    pub name: String,
    /// Its word.
    pub state: State,
    /// Tasks with an open error.
    pub n_err: u64,
    /// Tasks that did not come.
    pub n_lost: u64,
    /// When it joined.
    pub joined_at: Timestamp,
}

/// All devices that have joined, the worst first, then by name.
pub fn devices(tx: &mut Tx<'_>) -> Result<Vec<FleetDevice>, StoreError> {
    let mut failing: HashMap<i64, (u64, u64)> = HashMap::new();
    let open = tx.query(
        "SELECT device_id, subject, COUNT(DISTINCT task_id) FROM incidents
         WHERE ended_at IS NULL AND subject IN ('task', 'lost') AND device_id IS NOT NULL GROUP BY device_id, subject",
        &[],
    )?;
    for row in &open {
        let (n_err, n_lost) = failing.entry(row.int(0)?).or_default();
        *(if row.text(1)? == "lost" { n_lost } else { n_err }) = row.count(2)?;
    }
    let rows = tx.query(
        "SELECT id, name, absence_id, COALESCE(joined_at, made_at) FROM devices WHERE state = 'joined' AND key IS NOT NULL ORDER BY name",
        &[],
    )?;
    let device = |row: &super::Row| {
        let (n_err, n_lost) = failing.get(&row.int(0)?).copied().unwrap_or_default();
        let worst = state::of_task(n_err > 0, n_lost > 0);
        Ok(FleetDevice {
            name: row.text(1)?.to_owned(),
            state: state::of_device(row.int_or_null(2)?.is_some(), [worst]),
            n_err,
            n_lost,
            joined_at: row.at(3)?,
        })
    };
    let mut devices = rows.iter().map(device).collect::<Result<Vec<_>, StoreError>>()?;
    devices.sort_by_key(|device| std::cmp::Reverse(device.state));
    Ok(devices)
}

/// Is it LOST?
pub fn is_away(tx: &mut Tx<'_>, device: DeviceId) -> Result<bool, StoreError> {
    let row = tx.query_one("SELECT absence_id FROM devices WHERE id = $1", values![device.0])?;
    Ok(row.map(|row| row.int_or_null(0)).transpose()?.flatten().is_some())
}

/// How many are in each state.
pub fn counts(devices: &[FleetDevice]) -> StateCounts {
    let count = |state: State| devices.iter().filter(|device| device.state == state).count() as u64;
    StateCounts { ok: count(State::Ok), err: count(State::Err), lost: count(State::Lost) }
}

/// Open incidents, the worst first: nobody has acknowledged them; devices and tasks that are missing before errors; the newest. At most `limit`.
pub fn open(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<Incident>, StoreError> {
    incidents::query(
        tx,
        "WHERE i.ended_at IS NULL ORDER BY CASE WHEN i.acknowledged_at IS NULL THEN 0 ELSE 1 END,
         CASE i.subject WHEN 'hub' THEN 0 WHEN 'channel' THEN 1 WHEN 'device' THEN 2 WHEN 'lost' THEN 3 WHEN 'task' THEN 4 ELSE 5 END,
         i.last_at DESC, i.id DESC LIMIT $1",
        values![limit],
    )
}

/// Incidents of a device that are open.
pub fn open_of(tx: &mut Tx<'_>, device: &str, limit: u32) -> Result<Vec<Incident>, StoreError> {
    let sql =
        "WHERE i.ended_at IS NULL AND d.state = 'joined' AND d.name = $1 ORDER BY i.last_at DESC, i.id DESC LIMIT $2";
    incidents::query(tx, sql, values![device, limit])
}

/// Incidents of a task, the latest first.
pub fn of_task(tx: &mut Tx<'_>, task: super::tasks::TaskId, limit: u32) -> Result<Vec<Incident>, StoreError> {
    incidents::query(tx, "WHERE i.task_id = $1 ORDER BY i.id DESC LIMIT $2", values![task.0, limit])
}

/// Incidents that ended after `since`, the latest end first.
pub fn ended_since(tx: &mut Tx<'_>, since: Timestamp, limit: u32) -> Result<Vec<Incident>, StoreError> {
    incidents::query(tx, "WHERE i.ended_at > $1 ORDER BY i.ended_at DESC, i.id DESC LIMIT $2", values![since, limit])
}

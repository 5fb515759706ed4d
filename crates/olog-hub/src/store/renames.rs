//! Names of tasks: the current name is in the task's row; an alias maps a former name, which events may still carry, to the row.
//!
//! Invariant: within a device no alias is the name of another row, so a name always leads to one task.

use std::collections::BTreeMap;

use olog_proto::{TaskName, Timestamp};

use super::changes::Change;
use super::ids::{DeviceId, TaskId};
use super::{StoreError, Tx};
use crate::values;

/// The name that the last report told, for `was` of a row that gets another one: of two renames within a window the
/// reader knows the first name only.
pub(super) const TOLD_NAME: &str =
    "CASE WHEN renamed_at > COALESCE((SELECT MAX(window_to) FROM reports), 0) THEN was ELSE name END";

/// Gives a task's row another name; events under the one that it has go on to it. The name is free.
pub fn rename(
    tx: &mut Tx<'_>,
    device: DeviceId,
    task: TaskId,
    (old, new): (&TaskName, &TaskName),
    now: Timestamp,
) -> Result<(), StoreError> {
    end(tx, device, new)?;
    tx.execute(
        "INSERT INTO task_aliases (device_id, name, task_id, made_at) VALUES ($1, $2, $3, $4)",
        values![device.0, old.as_str(), task.0, now],
    )?;
    tx.execute(
        &format!("UPDATE tasks SET name = $2, was = {TOLD_NAME}, renamed_at = $3 WHERE id = $1"),
        values![task.0, new.as_str(), now],
    )?;
    tx.execute("UPDATE incidents SET name = $2 WHERE task_id = $1", values![task.0, new.as_str()])?;
    tx.changed(Change::Task(task.0));
    Ok(())
}

/// Removes the row of a task that leaves nothing behind: what came under its former names goes to another one from now on.
pub fn make_way(tx: &mut Tx<'_>, task: TaskId, for_task: TaskId) -> Result<(), StoreError> {
    tx.execute("UPDATE task_aliases SET task_id = $2 WHERE task_id = $1", values![task.0, for_task.0])?;
    tx.execute("DELETE FROM tasks WHERE id = $1", values![task.0])?;
    tx.changed(Change::Task(for_task.0));
    Ok(())
}

/// Puts a task into another one of the same device: its incidents are that one's, and events under its names go there.
pub fn merge(
    tx: &mut Tx<'_>,
    device: DeviceId,
    (task, name): (TaskId, &TaskName),
    into: TaskId,
    now: Timestamp,
) -> Result<(), StoreError> {
    make_way(tx, task, into)?;
    tx.execute(
        "INSERT INTO task_aliases (device_id, name, task_id, made_at) VALUES ($1, $2, $3, $4)",
        values![device.0, name.as_str(), into.0, now],
    )?;
    tx.execute("UPDATE incidents SET task_id = $2 WHERE task_id = $1", values![task.0, into.0])?;
    Ok(())
}

/// That name is nobody's former name any more. True if it was.
pub fn end(tx: &mut Tx<'_>, device: DeviceId, name: &TaskName) -> Result<bool, StoreError> {
    let sql = "DELETE FROM task_aliases WHERE device_id = $1 AND name = $2";
    Ok(tx.execute(sql, values![device.0, name.as_str()])? > 0)
}

/// The row of the task that had this name.
pub(super) fn holder(tx: &mut Tx<'_>, device: DeviceId, name: &str) -> Result<Option<TaskId>, StoreError> {
    let sql = "SELECT task_id FROM task_aliases WHERE device_id = $1 AND name = $2";
    let row = tx.query_one(sql, values![device.0, name])?;
    row.map(|row| row.int(0).map(TaskId)).transpose()
}

/// The former names of tasks, the latest first; of one task or of all.
pub fn former(tx: &mut Tx<'_>, task: Option<TaskId>) -> Result<BTreeMap<TaskId, Vec<String>>, StoreError> {
    let rows = tx.query(
        "SELECT task_id, name FROM task_aliases WHERE CAST($1 AS BIGINT) IS NULL OR task_id = $1
         ORDER BY made_at DESC, name",
        values![task.map(|task| task.0)],
    )?;
    let mut former: BTreeMap<TaskId, Vec<String>> = BTreeMap::new();
    for row in &rows {
        former.entry(TaskId(row.int(0)?)).or_default().push(row.text(1)?.to_owned());
    }
    Ok(former)
}

/// A device has no tasks any more.
pub(super) fn drop_tasks(tx: &mut Tx<'_>, device: DeviceId) -> Result<(), StoreError> {
    tx.execute("DELETE FROM task_aliases WHERE device_id = $1", values![device.0])?;
    tx.execute("DELETE FROM tasks WHERE device_id = $1", values![device.0])?;
    Ok(())
}

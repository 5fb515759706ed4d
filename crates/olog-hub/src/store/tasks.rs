//! Tasks: their facts, and when those must be looked at again.

use olog_proto::{At, TaskName};

use super::devices::DeviceId;
use super::{Row, StoreError, Tx};
use crate::incident::TaskFacts;
use crate::values;

/// A task's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub i64);

/// A task as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its row; `None` until it is put.
    pub id: Option<TaskId>,
    /// Its device.
    pub device: DeviceId,
    /// Its name.
    pub name: TaskName,
    /// What is known of it.
    pub facts: TaskFacts,
}

/// A task with what its row says beside the facts.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// The task.
    pub task: Task,
    /// Its device's name.
    pub device_name: String,
    /// Its open incident.
    pub incident: Option<u64>,
}

/// The task of that name, as it stands or new. Its device's row is locked already.
pub fn load(tx: &mut Tx<'_>, device: DeviceId, name: &TaskName) -> Result<Task, StoreError> {
    let row = tx.query_one(
        "SELECT id, facts FROM tasks WHERE device_id = $1 AND name = $2",
        values![device.0, name.as_str()],
    )?;
    let (id, facts) = match row {
        Some(row) => (Some(TaskId(row.int(0)?)), row.json(1)?),
        None => (None, TaskFacts::default()),
    };
    Ok(Task { id, device, name: name.clone(), facts })
}

/// Writes the task's facts; `is_task` is false while only messages came under its name.
pub fn put(
    tx: &mut Tx<'_>,
    task: &mut Task,
    is_task: bool,
    incident: Option<u64>,
    due_at: Option<At>,
    now: At,
) -> Result<TaskId, StoreError> {
    let facts = super::Value::json(&task.facts)?;
    let id = match task.id {
        Some(id) => {
            tx.execute(
                "UPDATE tasks SET is_task = $2, incident_id = $3, due_at = $4, facts = $5 WHERE id = $1",
                &[id.0.into(), is_task.into(), incident.into(), due_at.into(), facts],
            )?;
            id
        }
        None => {
            let row = tx.query_one(
                "INSERT INTO tasks (device_id, name, made_at, is_task, incident_id, due_at, facts)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
                &[
                    task.device.0.into(),
                    task.name.as_str().into(),
                    now.into(),
                    is_task.into(),
                    incident.into(),
                    due_at.into(),
                    facts,
                ],
            )?;
            TaskId(row.ok_or_else(|| StoreError::Row("no id of a new task".to_owned()))?.int(0)?)
        }
    };
    task.id = Some(id);
    Ok(id)
}

/// When the next task is due.
pub fn next_due(tx: &mut Tx<'_>) -> Result<Option<At>, StoreError> {
    let row = tx.query_one("SELECT MIN(due_at) FROM tasks WHERE due_at IS NOT NULL", &[])?;
    row.map_or(Ok(None), |row| row.at_or_null(0))
}

/// The task of an open incident, its device's row locked first.
pub fn of_incident(tx: &mut Tx<'_>, incident: u64) -> Result<Option<Task>, StoreError> {
    let Some(row) = tx.query_one("SELECT device_id FROM tasks WHERE incident_id = $1", values![incident])? else {
        return Ok(None);
    };
    super::devices::lock(tx, DeviceId(row.int(0)?))?;
    let row = tx.query_one("SELECT id, device_id, name, facts FROM tasks WHERE incident_id = $1", values![incident])?;
    row.map(|row| task(&row, 0)).transpose()
}

/// All tasks, by device and name, of one device or of all; those after `after` (device name, task name); at most `limit`.
pub fn list(tx: &mut Tx<'_>, device: Option<&str>, after: (&str, &str), limit: u32) -> Result<Vec<Listed>, StoreError> {
    let rows = tx.query(
        "SELECT t.id, t.device_id, t.name, t.facts, d.name, t.incident_id FROM tasks t JOIN devices d ON d.id = t.device_id
         WHERE t.is_task = 1 AND d.state = 'joined' AND (CAST($1 AS TEXT) IS NULL OR d.name = $1)
           AND (d.name > $2 OR (d.name = $2 AND t.name > $3))
         ORDER BY d.name, t.name LIMIT $4",
        values![device, after.0, after.1, limit],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Listed {
                task: task(row, 0)?,
                device_name: row.text(4)?.to_owned(),
                incident: row.int_or_null(5)?.map(i64::cast_unsigned),
            })
        })
        .collect()
}

fn task(row: &Row, first: usize) -> Result<Task, StoreError> {
    Ok(Task {
        id: Some(TaskId(row.int(first)?)),
        device: DeviceId(row.int(first + 1)?),
        name: row.parse(first + 2)?,
        facts: row.json(first + 3)?,
    })
}

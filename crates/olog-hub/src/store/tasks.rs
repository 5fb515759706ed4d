//! Tasks: their facts, and when those must be looked at again.
//!
//! Facts that cannot be read ([`StoreError::Row`]) are replaced by facts made from the other columns of the row and from its
//! open incidents, so that an incident stays open and is neither forgotten nor opened twice. [`put`] keeps the unreadable
//! text in `set_aside` before it writes the new one.

use olog_proto::{TaskName, Timestamp};

use super::changes::Change;
use super::ids::DeviceId;
pub use super::ids::TaskId;
use super::value::read_json;
use super::{Row, StoreError, Tx, known_names, renames, set_aside};
use crate::rules::expect::{self, Facts};
use crate::rules::incident::{TaskFacts, TaskIncident};
use crate::values;

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
    /// What is expected of it.
    pub expect: Facts,
    /// Columns of its row that could not be read.
    unreadable: Vec<Unreadable>,
}

/// A column of a task's row that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unreadable {
    kind: set_aside::Kind,
    text: String,
    why: String,
}

/// The columns of a task that are computed from its facts.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// False while only messages came under its name.
    pub is_task: bool,
    /// The open incident of an error.
    pub incident: Option<u64>,
    /// When its facts must be looked at again.
    pub due_at: Option<Timestamp>,
    /// LOST from then on, unless it comes.
    pub late_at: Option<Timestamp>,
}

/// A task with what its row says beside the facts.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedTask {
    /// The task.
    pub task: Task,
    /// Its device's name.
    pub device_name: String,
    /// The open incident of an error.
    pub incident: Option<u64>,
    /// When its device joined.
    pub joined_at: Timestamp,
    /// Its device is an old client (olog.py).
    pub is_legacy: bool,
    /// Its device is LOST.
    pub is_device_lost: bool,
}

/// The task of that name, as it stands or new. Its device's row is locked already.
pub fn load(tx: &mut Tx<'_>, device: DeviceId, name: &TaskName) -> Result<Task, StoreError> {
    Ok(find(tx, device, name.as_str())?.unwrap_or_else(|| Task {
        id: None,
        device,
        name: name.clone(),
        facts: TaskFacts::default(),
        expect: Facts::default(),
        unreadable: Vec::new(),
    }))
}

/// How many tasks a device has, those among them of which only messages came.
pub fn n_of(tx: &mut Tx<'_>, device: DeviceId) -> Result<u64, StoreError> {
    let row = tx.query_one("SELECT COUNT(*) FROM tasks WHERE device_id = $1", values![device.0])?;
    row.map_or(Ok(0), |row| row.count(0))
}

/// The task that has that name, or had it before a person gave it another one.
pub fn find(tx: &mut Tx<'_>, device: DeviceId, name: &str) -> Result<Option<Task>, StoreError> {
    let by_name = format!("SELECT {TASK} FROM tasks t WHERE device_id = $1 AND name = $2");
    let row = match tx.query_one(&by_name, values![device.0, name])? {
        Some(row) => Some(row),
        None => match renames::holder(tx, device, name)? {
            Some(id) => tx.query_one(&format!("SELECT {TASK} FROM tasks t WHERE id = $1"), values![id.0])?,
            None => None,
        },
    };
    row.map(|row| task(tx, &row, 0)).transpose()
}

/// The name of the task that has that name, or had it before a person gave it another one.
pub fn exact_name(tx: &mut Tx<'_>, device: DeviceId, name: &str) -> Result<Option<TaskName>, StoreError> {
    let sql = "SELECT name FROM tasks WHERE device_id = $1 AND name = $2
               UNION ALL SELECT t.name FROM task_aliases a JOIN tasks t ON t.id = a.task_id WHERE a.device_id = $1 AND a.name = $2";
    tx.query_one(sql, values![device.0, name])?.map(|row| row.parse(0)).transpose()
}

/// The names of all tasks of a device, those among them of which only messages came.
pub fn names_of(tx: &mut Tx<'_>, device: DeviceId) -> Result<Vec<TaskName>, StoreError> {
    let rows = tx.query("SELECT name FROM tasks WHERE device_id = $1 ORDER BY id", values![device.0])?;
    rows.iter().map(|row| row.parse(0)).collect()
}

/// Writes the task, with what is computed from its facts.
pub fn put(tx: &mut Tx<'_>, task: &mut Task, columns: Columns, now: Timestamp) -> Result<TaskId, StoreError> {
    for Unreadable { kind, text, why } in std::mem::take(&mut task.unreadable) {
        let row = task.id.map_or(0, |id| id.0);
        set_aside::put(
            tx,
            &set_aside::UnreadableValue { kind, row, name: task.name.as_str(), value: Some(&text), why: &why },
            now,
        )?;
    }
    let Columns { is_task, incident, due_at, late_at } = columns;
    let lost = task.expect.missed().and_then(|missed| missed.number);
    let declared = task.expect.declared().map(str::to_owned);
    let computed = [
        is_task.into(),
        incident.into(),
        due_at.into(),
        late_at.into(),
        lost.into(),
        declared.into(),
        super::Value::json(&task.facts)?,
        super::Value::json(&task.expect)?,
    ];
    let id = match task.id {
        Some(id) => {
            tx.execute(
                "UPDATE tasks SET is_task = $2, incident_id = $3, due_at = $4, late_at = $5, lost_id = $6, declared = $7,
                 facts = $8, expect = $9 WHERE id = $1",
                &[[id.0.into()].as_slice(), &computed].concat(),
            )?;
            id
        }
        None => {
            let row = tx.query_one(
                "INSERT INTO tasks (device_id, name, made_at, is_task, incident_id, due_at, late_at, lost_id, declared, facts, expect)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
                &[[task.device.0.into(), task.name.as_str().into(), now.into()].as_slice(), &computed].concat(),
            )?;
            TaskId(row.ok_or_else(|| StoreError::Row("no id of a new task".to_owned()))?.int(0)?)
        }
    };
    task.id = Some(id);
    tx.changed(Change::Task(id.0));
    Ok(id)
}

/// No report knows it any more.
pub fn clear_reported(tx: &mut Tx<'_>, task: TaskId) -> Result<(), StoreError> {
    tx.execute("UPDATE tasks SET known_at = NULL WHERE id = $1", values![task.0])?;
    let row = tx.query_one(
        "SELECT d.name, t.name FROM tasks t JOIN devices d ON d.id = t.device_id WHERE t.id = $1",
        values![task.0],
    )?;
    if let Some(row) = row {
        known_names::forget_task(tx, row.text(0)?, row.text(1)?)?;
    }
    Ok(())
}

/// When the next task is due.
pub fn next_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, StoreError> {
    let row = tx.query_one("SELECT MIN(due_at) FROM tasks WHERE due_at IS NOT NULL", &[])?;
    row.map_or(Ok(None), |row| row.at_or_null(0))
}

/// The task of an open incident, of an error or of not coming, its device's row locked first.
pub fn of_incident(tx: &mut Tx<'_>, incident: u64) -> Result<Option<Task>, StoreError> {
    let of = "WHERE incident_id = $1 OR lost_id = $1";
    let Some(row) = tx.query_one(&format!("SELECT device_id FROM tasks {of}"), values![incident])? else {
        return Ok(None);
    };
    super::devices::lock(tx, DeviceId(row.int(0)?))?;
    let row = tx.query_one(&format!("SELECT {TASK} FROM tasks t {of}"), values![incident])?;
    row.map(|row| task(tx, &row, 0)).transpose()
}

/// Changes the facts of the task whose error opened an incident, and nothing else of its row: the change may move neither its state
/// nor its timers. Facts that cannot be read stay as they are.
pub fn edit_facts(tx: &mut Tx<'_>, incident: u64, edit: impl FnOnce(&mut TaskFacts)) -> Result<(), StoreError> {
    let of = "FROM tasks WHERE incident_id = $1";
    let Some(row) = tx.query_one(&format!("SELECT device_id {of}"), values![incident])? else { return Ok(()) };
    super::devices::lock(tx, DeviceId(row.int(0)?))?;
    let Some(row) = tx.query_one(&format!("SELECT id, facts {of}"), values![incident])? else { return Ok(()) };
    let Ok(mut facts) = row.json::<TaskFacts>(1) else { return Ok(()) };
    edit(&mut facts);
    let values = [row.int(0)?.into(), super::Value::json(&facts)?];
    tx.execute("UPDATE tasks SET facts = $2 WHERE id = $1", &values)?;
    tx.changed(Change::Task(row.int(0)?));
    Ok(())
}

/// When the task of a flapping incident last recovered; `None`: it is failing, or the incident is closed.
pub fn calm_since(tx: &mut Tx<'_>, incident: u64) -> Result<Option<Timestamp>, StoreError> {
    let of = "SELECT t.facts FROM tasks t JOIN incidents i ON i.task_id = t.id WHERE i.id = $1";
    let Some(row) = tx.query_one(of, values![incident])? else { return Ok(None) };
    // Facts that cannot be read say nothing.
    let Ok(facts) = row.json::<TaskFacts>(0) else { return Ok(None) };
    Ok(facts.comes_and_goes().filter(|(last, _)| last.number == Some(incident)).map(|(_, at)| at))
}

/// Tasks of a device of which a run is expected, and that are LOST by that instant unless it comes; `None`: whenever. Its
/// device's row is locked already.
pub fn expected(tx: &mut Tx<'_>, device: DeviceId, late_by: Option<Timestamp>) -> Result<Vec<Task>, StoreError> {
    let rows = tx.query(
        &format!(
            "SELECT {TASK} FROM tasks t WHERE device_id = $1 AND late_at IS NOT NULL
             AND (CAST($2 AS BIGINT) IS NULL OR late_at <= $2) ORDER BY id"
        ),
        values![device.0, late_by],
    )?;
    rows.iter().map(|row| task(tx, row, 0)).collect()
}

/// Tasks of a device with a run under way. Its device's row is locked already.
pub fn running(tx: &mut Tx<'_>, device: DeviceId) -> Result<Vec<Task>, StoreError> {
    let rows = tx.query(
        &format!(
            "SELECT {TASK} FROM tasks t WHERE device_id = $1 AND expect LIKE '%\"running\":{{\"now\"%' ORDER BY id"
        ),
        values![device.0],
    )?;
    rows.iter().map(|row| task(tx, row, 0)).collect()
}

/// What hub.toml said when it was last applied: device, its name, task, plan; of one device or of all.
pub fn declared(
    tx: &mut Tx<'_>,
    device: Option<DeviceId>,
) -> Result<Vec<(DeviceId, String, TaskName, String)>, StoreError> {
    let rows = tx.query(
        "SELECT t.device_id, d.name, t.name, t.declared FROM tasks t JOIN devices d ON d.id = t.device_id
         WHERE t.declared IS NOT NULL AND (CAST($1 AS BIGINT) IS NULL OR t.device_id = $1) ORDER BY t.device_id, t.id",
        values![device.map(|d| d.0)],
    )?;
    rows.iter()
        .map(|row| Ok((DeviceId(row.int(0)?), row.text(1)?.to_owned(), row.parse(2)?, row.text(3)?.to_owned())))
        .collect()
}

/// Has everything that is expected looked at by now: what it is measured by has changed.
pub fn look_at_expected(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64, StoreError> {
    tx.execute(
        "UPDATE tasks SET due_at = $1 WHERE late_at IS NOT NULL AND (due_at IS NULL OR due_at > $1)",
        values![now],
    )
}

/// All tasks, by device and name, of one device or of all; those after `after` (device name, task name); at most `limit`.
pub fn list(
    tx: &mut Tx<'_>,
    device: Option<&str>,
    after: (&str, &str),
    limit: u32,
) -> Result<Vec<ListedTask>, StoreError> {
    let rows = tx.query(
        &format!(
            "SELECT {TASK}, d.name, t.incident_id, d.joined_at, d.version, d.absence_id FROM tasks t JOIN devices d ON d.id = t.device_id
             WHERE t.is_task = 1 AND d.state = 'joined' AND (CAST($1 AS TEXT) IS NULL OR d.name = $1)
               AND (d.name > $2 OR (d.name = $2 AND t.name > $3))
             ORDER BY d.name, t.name LIMIT $4"
        ),
        values![device, after.0, after.1, limit],
    )?;
    rows.iter().map(|row| listed(tx, row)).collect()
}

/// Devices that have joined and their tasks, by name.
pub fn names(tx: &mut Tx<'_>) -> Result<Vec<(String, String)>, StoreError> {
    let rows = tx.query(
        "SELECT d.name, t.name FROM tasks t JOIN devices d ON d.id = t.device_id
         WHERE t.is_task = 1 AND d.state = 'joined' ORDER BY d.name, t.name",
        &[],
    )?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned()))).collect()
}

/// One task of a device that has joined, by their names; the task also by one that it had.
pub fn get(tx: &mut Tx<'_>, device: &str, name: &str) -> Result<Option<ListedTask>, StoreError> {
    let row = tx.query_one(
        &format!(
            "SELECT {TASK}, d.name, t.incident_id, d.joined_at, d.version, d.absence_id FROM tasks t JOIN devices d ON d.id = t.device_id
             LEFT JOIN task_aliases a ON a.task_id = t.id AND a.device_id = d.id AND a.name = $2
             WHERE d.state = 'joined' AND d.name = $1 AND (t.name = $2 OR a.name = $2)"
        ),
        values![device, name],
    )?;
    row.map(|row| listed(tx, &row)).transpose()
}

fn listed(tx: &mut Tx<'_>, row: &Row) -> Result<ListedTask, StoreError> {
    Ok(ListedTask {
        task: task(tx, row, 0)?,
        device_name: row.text(5)?.to_owned(),
        incident: row.int_or_null(6)?.map(i64::cast_unsigned),
        joined_at: row.at_or_null(7)?.unwrap_or(Timestamp(0)),
        is_legacy: row.text_or_null(8)? == Some(super::devices::LEGACY_VERSION),
        is_device_lost: row.int_or_null(9)?.is_some(),
    })
}

/// The columns that [`task`] reads.
pub(super) const TASK: &str = "t.id, t.device_id, t.name, t.facts, t.expect";

/// A task from its columns.
pub(super) fn task(tx: &mut Tx<'_>, row: &Row, first: usize) -> Result<Task, StoreError> {
    let (facts, expect) = (row.json(first + 3), row.json(first + 4));
    let id = TaskId(row.int(first)?);
    let mut task = Task {
        id: Some(id),
        device: DeviceId(row.int(first + 1)?),
        name: row.parse(first + 2)?,
        facts: TaskFacts::default(),
        expect: Facts::default(),
        unreadable: Vec::new(),
    };
    let mut unreadable = |kind, column, why: StoreError| -> Result<(), StoreError> {
        let text = row.text_or_null(column)?.unwrap_or_default().to_owned();
        task.unreadable.push(Unreadable { kind, text, why: why.to_string() });
        Ok(())
    };
    task.facts = match facts {
        Ok(facts) => facts,
        Err(why) => {
            unreadable(set_aside::Kind::TaskFacts, first + 3, why)?;
            facts_of_columns(tx, id)?
        }
    };
    task.expect = match expect {
        Ok(expect) => expect,
        Err(why) => {
            unreadable(set_aside::Kind::TaskExpectations, first + 4, why)?;
            expectations_of_columns(tx, id)?
        }
    };
    Ok(task)
}

/// Facts of a task whose own cannot be read: its open incident, from the incident's row.
fn facts_of_columns(tx: &mut Tx<'_>, task: TaskId) -> Result<TaskFacts, StoreError> {
    let row = tx.query_one(
        "SELECT t.is_task, i.id, i.began_at, i.last_at, i.n_seen, i.n_begun, i.acknowledged_at, i.facts FROM tasks t
         LEFT JOIN incidents i ON i.id = t.incident_id AND i.ended_at IS NULL WHERE t.id = $1",
        values![task.0],
    )?;
    let Some(row) = row else { return Ok(TaskFacts::default()) };
    let Some(number) = row.int_or_null(1)? else { return Ok(TaskFacts::remade(row.int(0)? == 1, None)) };
    let mut incident = read_json::<TaskIncident>(row.text(7)?).unwrap_or_default();
    incident.number = Some(number.cast_unsigned());
    (incident.began_at, incident.last_error_at) = (row.at(2)?, row.at(3)?);
    (incident.n_seen, incident.acknowledged_at) = (row.count(4)?, row.at_or_null(6)?);
    incident.n_begun = u32::try_from(row.int(5)?).unwrap_or(u32::MAX);
    Ok(TaskFacts::remade(row.int(0)? == 1, Some(incident)))
}

/// Expectations of a task whose own cannot be read: what hub.toml declares, and its open incident.
fn expectations_of_columns(tx: &mut Tx<'_>, task: TaskId) -> Result<Facts, StoreError> {
    let row = tx.query_one(
        "SELECT t.declared, t.made_at, t.late_at, i.id, i.began_at, i.n_seen, i.acknowledged_at, i.facts FROM tasks t
         LEFT JOIN incidents i ON i.id = t.lost_id AND i.ended_at IS NULL WHERE t.id = $1",
        values![task.0],
    )?;
    let Some(row) = row else { return Ok(Facts::default()) };
    let missed = match row.int_or_null(3)? {
        None => None,
        Some(number) => {
            let mut missed = read_json::<expect::Missed>(row.text(7)?).unwrap_or_default();
            (missed.number, missed.due_at) = (Some(number.cast_unsigned()), row.at(4)?);
            (missed.n_missed, missed.acknowledged_at) = (row.count(5)?, row.at_or_null(6)?);
            Some(missed)
        }
    };
    let declared = row.text_or_null(0)?.map(str::to_owned);
    Ok(Facts::remade(declared, row.at(1)?, row.at_or_null(2)?, missed))
}

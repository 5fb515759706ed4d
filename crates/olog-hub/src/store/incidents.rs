//! Incidents: open or closed trouble of a task, of devices, of a channel, of the hub, and the troubles that an agent reports of itself.

use std::collections::BTreeMap;

use olog_proto::{Excerpt, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::changes::{Change, IncidentStep};
use super::ids::{DeviceId, TaskId};
use super::{Row, StoreError, Tx, Value};
use crate::rules::incident::{self, TaskFacts};
use crate::rules::liveness::OfflineGroup;
use crate::values;

pub mod alerts;

/// What an incident is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A task that fails.
    Task,
    /// A task that did not come.
    Lost,
    /// One device or several that went together.
    Device,
    /// An agent's own trouble.
    Note,
    /// A channel.
    Channel,
    /// The hub.
    Hub,
}

impl Subject {
    /// As it is stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Subject::Task => "task",
            Subject::Lost => "lost",
            Subject::Device => "device",
            Subject::Note => "note",
            Subject::Channel => "channel",
            Subject::Hub => "hub",
        }
    }
}

impl std::str::FromStr for Subject {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Subject::Task, Subject::Lost, Subject::Device, Subject::Note, Subject::Channel, Subject::Hub]
            .into_iter()
            .find(|s| s.as_str() == text)
            .ok_or("not a subject of an incident")
    }
}

/// What begins.
#[derive(Debug)]
pub struct Begin<'a> {
    /// What kind of thing it is about.
    pub subject: Subject,
    /// Of which device, where it is one's.
    pub device: Option<DeviceId>,
    /// Of which task.
    pub task: Option<TaskId>,
    /// What it is about, for a person: a task's name, a channel's.
    pub name: &'a str,
    /// Its first sign, in the hub's time.
    pub at: Timestamp,
}

/// An incident as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Incident {
    /// Its number, `#17`.
    pub id: u64,
    /// `task`, `lost`, `device`, `note`, `channel` or `hub`.
    pub subject: String,
    /// Its device's name.
    pub device: Option<String>,
    /// What it is about.
    pub name: String,
    /// Its first sign.
    pub began_at: Timestamp,
    /// Its last sign.
    pub last_at: Timestamp,
    /// Its end.
    pub ended_at: Option<Timestamp>,
    /// What showed its end.
    pub ground: Option<String>,
    /// Signs counted.
    pub n_seen: u64,
    /// How often it began.
    pub n_begun: u64,
    /// When a person acknowledged it.
    pub acknowledged_at: Option<Timestamp>,
    /// The latest text of a task's incident, or its beginning.
    pub text: Option<String>,
}

/// Begins an incident and gives its number.
pub fn begin<F: Serialize>(tx: &mut Tx<'_>, begin: &Begin<'_>, facts: &F) -> Result<u64, StoreError> {
    let row = tx.query_one(
        "INSERT INTO incidents (subject, device_id, task_id, name, began_at, last_at, n_seen, facts)
         VALUES ($1, $2, $3, $4, $5, $5, 1, $6) RETURNING id",
        &[
            begin.subject.as_str().into(),
            begin.device.map(|d| d.0).into(),
            begin.task.map(|t| t.0).into(),
            begin.name.into(),
            begin.at.into(),
            Value::json(facts)?,
        ],
    )?;
    let id = row.ok_or_else(|| StoreError::Row("no number of a new incident".to_owned()))?.count(0)?;
    tx.changed(Change::Incident(id, IncidentStep::Opened));
    Ok(id)
}

/// How many incidents of a device are open.
pub fn n_open_of(tx: &mut Tx<'_>, device: DeviceId) -> Result<u64, StoreError> {
    let sql = "SELECT COUNT(*) FROM incidents WHERE device_id = $1 AND ended_at IS NULL";
    tx.query_one(sql, values![device.0])?.map_or(Ok(0), |row| row.count(0))
}

/// How many open incidents of a device are about an error of each of its users. Facts that cannot be read say nothing.
pub fn n_open_by_user(tx: &mut Tx<'_>, device: DeviceId) -> Result<BTreeMap<u32, u64>, StoreError> {
    let rows = tx.query(
        "SELECT t.facts FROM incidents i JOIN tasks t ON t.id = i.task_id WHERE i.device_id = $1 AND i.ended_at IS NULL",
        values![device.0],
    )?;
    let mut users = BTreeMap::new();
    for facts in rows.iter().filter_map(|row| row.json::<TaskFacts>(0).ok()) {
        if let Some(by) = facts.incident().and_then(|incident| incident.error_by.as_ref()) {
            *users.entry(by.uid).or_default() += 1;
        }
    }
    Ok(users)
}

/// Writes what was counted since.
pub fn update(tx: &mut Tx<'_>, id: u64, last_at: Timestamp, n_seen: u64, n_begun: u32) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE incidents SET last_at = $2, n_seen = $3, n_begun = $4 WHERE id = $1",
        values![id, last_at, n_seen, n_begun],
    )?;
    tx.changed(Change::Incident(id, IncidentStep::Changed));
    Ok(())
}

/// The task's row was not there yet when the incident began.
pub fn set_task(tx: &mut Tx<'_>, id: u64, task: TaskId) -> Result<(), StoreError> {
    tx.execute("UPDATE incidents SET task_id = $2 WHERE id = $1", values![id, task.0])?;
    Ok(())
}

/// Writes the facts of an incident.
pub fn set_facts<F: Serialize>(tx: &mut Tx<'_>, id: u64, facts: &F) -> Result<(), StoreError> {
    tx.execute("UPDATE incidents SET facts = $2 WHERE id = $1", &[id.into(), Value::json(facts)?])?;
    tx.changed(Change::Incident(id, IncidentStep::Changed));
    Ok(())
}

/// Ends an incident.
pub fn end(tx: &mut Tx<'_>, id: u64, at: Timestamp, ground: &str) -> Result<(), StoreError> {
    tx.execute("UPDATE incidents SET ended_at = $2, ground = $3 WHERE id = $1", values![id, at, ground])?;
    tx.changed(Change::Incident(id, IncidentStep::Ended));
    Ok(())
}

/// Ends an incident whose end at `at` is known only from `now` on: a report tells it in the window of `now`.
pub fn end_as_of(tx: &mut Tx<'_>, id: u64, at: Timestamp, ground: &str, now: Timestamp) -> Result<(), StoreError> {
    end(tx, id, at, ground)?;
    tx.execute("UPDATE incidents SET end_known_at = $2 WHERE id = $1", values![id, now])?;
    Ok(())
}

/// Ends what is open of a task.
pub fn end_of_task(tx: &mut Tx<'_>, task: TaskId, at: Timestamp, ground: &str) -> Result<(), StoreError> {
    let ended = tx.query(
        "UPDATE incidents SET ended_at = $2, ground = $3 WHERE task_id = $1 AND ended_at IS NULL RETURNING id",
        values![task.0, at, ground],
    )?;
    for row in &ended {
        tx.changed(Change::Incident(row.count(0)?, IncidentStep::Ended));
    }
    Ok(())
}

/// An ended incident goes on: the same trouble began again.
pub fn reopen(tx: &mut Tx<'_>, id: u64, at: Timestamp) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE incidents SET ended_at = NULL, end_known_at = NULL, ground = NULL, last_at = $2, n_begun = n_begun + 1 WHERE id = $1",
        values![id, at],
    )?;
    tx.changed(Change::Incident(id, IncidentStep::Opened));
    Ok(())
}

/// Marks an open incident as acknowledged.
pub fn acknowledge(tx: &mut Tx<'_>, id: u64, at: Timestamp) -> Result<bool, StoreError> {
    let is_open = tx
        .execute("UPDATE incidents SET acknowledged_at = $2 WHERE id = $1 AND ended_at IS NULL", values![id, at])?
        > 0;
    if is_open {
        tx.changed(Change::Incident(id, IncidentStep::Acknowledged));
    }
    Ok(is_open)
}

/// The open incident of that subject and name, of that device where it is one's.
pub fn open_of(
    tx: &mut Tx<'_>,
    subject: Subject,
    device: Option<DeviceId>,
    name: &str,
) -> Result<Option<u64>, StoreError> {
    let row = tx.query_one(
        "SELECT id FROM incidents WHERE subject = $1 AND name = $2 AND ended_at IS NULL
         AND (device_id = $3 OR ($3 IS NULL AND device_id IS NULL)) ORDER BY id LIMIT 1",
        values![subject.as_str(), name, device.map(|d| d.0)],
    )?;
    row.map(|row| row.count(0)).transpose()
}

/// Has an incident of that subject and name begun since then? It may be over by now.
pub fn has_begun_since(tx: &mut Tx<'_>, subject: Subject, name: &str, since: Timestamp) -> Result<bool, StoreError> {
    let row = tx.query_one(
        "SELECT id FROM incidents WHERE subject = $1 AND name = $2 AND began_at >= $3 LIMIT 1",
        values![subject.as_str(), name, since],
    )?;
    Ok(row.is_some())
}

/// The open incidents of a subject, with their names.
pub fn open_names(tx: &mut Tx<'_>, subject: Subject) -> Result<Vec<(u64, String)>, StoreError> {
    let rows = tx.query(
        "SELECT id, name FROM incidents WHERE subject = $1 AND ended_at IS NULL ORDER BY id",
        values![subject.as_str()],
    )?;
    rows.iter().map(|row| Ok((row.count(0)?, row.text(1)?.to_owned()))).collect()
}

/// The open incidents of devices that are away. Facts that cannot be read are made anew from the devices that name the
/// incident: each of them counts as away, and its return is told.
pub fn open_absences(tx: &mut Tx<'_>) -> Result<Vec<(u64, OfflineGroup)>, StoreError> {
    let rows = tx.query(
        "SELECT id, facts, began_at FROM incidents WHERE subject = $1 AND ended_at IS NULL ORDER BY id",
        values![Subject::Device.as_str()],
    )?;
    rows.iter().map(|row| Ok((row.count(0)?, absence(tx, row)?))).collect()
}

/// The absence of an open incident of devices.
pub fn open_absence(tx: &mut Tx<'_>, id: u64) -> Result<Option<OfflineGroup>, StoreError> {
    let row =
        tx.query_one("SELECT id, facts, began_at FROM incidents WHERE id = $1 AND ended_at IS NULL", values![id])?;
    row.map(|row| absence(tx, &row)).transpose()
}

/// An open incident of a task's error, as it is now; `None` also where its facts cannot be read.
pub fn open_error(tx: &mut Tx<'_>, id: u64) -> Result<Option<incident::TaskIncident>, StoreError> {
    let row = tx.query_one(
        "SELECT facts FROM incidents WHERE id = $1 AND subject = $2 AND ended_at IS NULL",
        values![id, Subject::Task.as_str()],
    )?;
    Ok(row.and_then(|row| row.json(0).ok()))
}

fn absence(tx: &mut Tx<'_>, row: &Row) -> Result<OfflineGroup, StoreError> {
    let why = match row.json(1) {
        Ok(absence) => return Ok(absence),
        Err(why) => why,
    };
    let number = row.int(0)?;
    tracing::error!(incident = number, %why, "the facts of an absence cannot be read: made anew from its devices");
    let away = tx.query("SELECT id, name, heard_at FROM devices WHERE absence_id = $1 ORDER BY id", values![number])?;
    let began = row.at(2)?;
    let away = away
        .iter()
        .map(|device| Ok((device.int(0)?, device.text(1)?.to_owned(), device.at_or_null(2)?.unwrap_or(began))));
    Ok(OfflineGroup::remade(began, away.collect::<Result<_, StoreError>>()?))
}

/// What every subject's facts may say of the latest text; nothing, if they cannot be read.
#[derive(Default, Deserialize)]
struct Latest {
    excerpt: Option<Excerpt>,
    path: Option<String>,
}

/// What an incident has come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Stand {
    /// `task`, `lost`, `device`, `note`, `channel` or `hub`.
    pub subject: String,
    /// Its end.
    pub ended_at: Option<Timestamp>,
    /// What showed its end.
    pub ground: Option<String>,
    /// Signs counted.
    pub n_seen: u64,
    /// Its last sign.
    pub last_at: Timestamp,
    /// The latest text of a task's, and where that is.
    pub latest: Option<(Excerpt, String)>,
}

/// What an incident has come to, if it is there.
pub fn stand(tx: &mut Tx<'_>, id: u64) -> Result<Option<Stand>, StoreError> {
    let row = tx.query_one(
        "SELECT subject, ended_at, ground, n_seen, last_at, facts FROM incidents WHERE id = $1",
        values![id],
    )?;
    let Some(row) = row else { return Ok(None) };
    let Latest { excerpt, path } = row.json(5).unwrap_or_default();
    Ok(Some(Stand {
        subject: row.text(0)?.to_owned(),
        ended_at: row.at_or_null(1)?,
        ground: row.text_or_null(2)?.map(str::to_owned),
        n_seen: row.count(3)?,
        last_at: row.at(4)?,
        latest: excerpt.map(|excerpt| (excerpt, path.unwrap_or_default())),
    }))
}

/// The facts of an incident.
pub fn facts<F: DeserializeOwned>(tx: &mut Tx<'_>, id: u64) -> Result<F, StoreError> {
    let row = tx.query_one("SELECT facts FROM incidents WHERE id = $1", values![id])?;
    row.ok_or_else(|| StoreError::Row(format!("no incident {id}")))?.json(0)
}

const COLUMNS: &str = "i.id, i.subject, d.name, i.name, i.began_at, i.last_at, i.ended_at, i.ground, i.n_seen, i.n_begun, i.acknowledged_at, i.facts
     FROM incidents i LEFT JOIN devices d ON d.id = i.device_id";

/// Incidents, the newest first, below number `before`; open ones only unless `all`; at most `limit`.
pub fn list(tx: &mut Tx<'_>, all: bool, before: u64, limit: u32) -> Result<Vec<Incident>, StoreError> {
    let before = i64::try_from(before).unwrap_or(i64::MAX);
    let sql = "WHERE i.id < $1 AND ($2 = 1 OR i.ended_at IS NULL) ORDER BY i.id DESC LIMIT $3";
    query(tx, sql, values![before, all, limit])
}

/// Incidents, as the rest of the statement wants them: `i` is the incident's row, `d` its device's.
pub(super) fn query(tx: &mut Tx<'_>, rest: &str, values: &[Value]) -> Result<Vec<Incident>, StoreError> {
    tx.query(&format!("SELECT {COLUMNS} {rest}"), values)?.iter().map(incident).collect()
}

/// The task that an incident is about.
pub fn task_of(tx: &mut Tx<'_>, id: u64) -> Result<Option<TaskId>, StoreError> {
    let row = tx.query_one("SELECT task_id FROM incidents WHERE id = $1", values![id])?;
    Ok(row.map(|row| row.int_or_null(0)).transpose()?.flatten().map(TaskId))
}

/// One incident.
pub fn get(tx: &mut Tx<'_>, id: u64) -> Result<Option<Incident>, StoreError> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} WHERE i.id = $1"), values![id])?;
    row.map(|row| incident(&row)).transpose()
}

fn incident(row: &Row) -> Result<Incident, StoreError> {
    Ok(Incident {
        id: row.count(0)?,
        subject: row.text(1)?.to_owned(),
        device: row.text_or_null(2)?.map(str::to_owned),
        name: row.text(3)?.to_owned(),
        began_at: row.at(4)?,
        last_at: row.at(5)?,
        ended_at: row.at_or_null(6)?,
        ground: row.text_or_null(7)?.map(str::to_owned),
        n_seen: row.count(8)?,
        n_begun: row.count(9)?,
        acknowledged_at: row.at_or_null(10)?,
        text: row.json::<Latest>(11).unwrap_or_default().excerpt.map(|excerpt| excerpt.head().to_owned()),
    })
}

//! `/api/v1`: devices, tasks and incidents as JSON, in pages by key; acknowledging. The rows are those that the verbs print with `--json`.
//!
//! A page has at most `limit` rows. The next one is asked for by the last row's key (`after`, `before`), so rows that come in between are
//! neither skipped nor shown twice.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{
        Path, Query, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::StatusCode,
    routing::{get, post},
};
use olog_proto::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Act, Granted, Problem, Read, Web};
use crate::{
    apply::{
        self, LivePolicy,
        operator::{self, ActionResult},
    },
    net::{
        packages::{behind, newest},
        sessions::Sessions,
    },
    rules::{
        expect::ExpectationStatus,
        state::{self, State as Word},
    },
    store::{
        StoreError, Tx,
        access::audit::{self, Outcome},
        devices::DeviceId,
        enrolment::ListedDevice,
        incidents::{self, Incident},
        renames,
        tasks::{self, ListedTask},
    },
};

/// Rows of a page, at most and unless asked for otherwise.
const LIMIT_MAX: u32 = 1_000;
const LIMIT: u32 = 100;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/api/v1/devices", get(devices))
        .route("/api/v1/tasks", get(tasks))
        .route("/api/v1/incidents", get(incidents))
        .route("/api/v1/incidents/{id}", get(incident))
        .route("/api/v1/incidents/{id}/ack", post(acknowledge))
}

type ApiAnswer<T> = Result<Json<T>, Problem>;

/// A row of `task list`.
#[derive(Debug, Serialize, Deserialize)]
pub struct TaskListRow {
    /// Its device.
    pub device: String,
    /// Its name.
    pub task: String,
    /// `OK`, `ERR` or `LOST`.
    pub state: String,
    /// The number of its open incident; if it is LOST and ERR, of the former.
    pub incident: Option<u64>,
    /// Is anything expected of it: `no`, `waiting` (it never came), `yes`, `off` (a person said so).
    pub expected: String,
    /// When it has to come next, or had to.
    pub due_at: Option<Timestamp>,
    /// When it was last well.
    pub last_good_at: Option<Timestamp>,
    /// When an error last came.
    pub last_error_at: Option<Timestamp>,
    /// Names that it had; its events may still have them.
    pub was: Vec<String>,
    /// Its device is an old client (olog.py).
    #[serde(default)]
    pub legacy: bool,
}

impl TaskListRow {
    /// Of a task.
    pub fn new(rules: &LivePolicy, listed: &ListedTask) -> TaskListRow {
        let task = &listed.task;
        let known = apply::known_of(rules, &listed.device_name, listed.joined_at, task);
        let (due_at, expected) = match task.expect.standing(&known, &rules.expect) {
            ExpectationStatus::Free => (None, "no"),
            ExpectationStatus::Off => (None, "off"),
            ExpectationStatus::Waiting(due) => (Some(due.at), "waiting"),
            ExpectationStatus::InTime(due) => (Some(due.at), "yes"),
            ExpectationStatus::Lost(missed) => (Some(missed.due_at), "yes"),
        };
        let lost = task.expect.missed();
        TaskListRow {
            device: listed.device_name.clone(),
            task: task.name.to_string(),
            state: state::of_task(task.facts.state() == Word::Err, lost.is_some()).as_str().to_owned(),
            incident: lost.and_then(|missed| missed.number).or(listed.incident),
            expected: expected.to_owned(),
            due_at,
            last_good_at: task.facts.last_good_at(),
            last_error_at: task.facts.last_error_at(),
            was: Vec::new(),
            legacy: listed.is_legacy,
        }
    }

    /// Rows after that device and task, with the names that each task had.
    pub fn page(
        tx: &mut Tx<'_>,
        rules: &LivePolicy,
        after: (&str, &str),
        limit: u32,
    ) -> Result<Vec<TaskListRow>, StoreError> {
        let (listed, mut former) = (tasks::list(tx, None, after, limit)?, renames::former(tx, None)?);
        let mut was = |listed: &ListedTask| listed.task.id.and_then(|id| former.remove(&id)).unwrap_or_default();
        Ok(listed.iter().map(|listed| TaskListRow { was: was(listed), ..TaskListRow::new(rules, listed) }).collect())
    }
}

/// Fills in what the store does not know of listed devices: who is connected and when it was heard, and which agents are behind.
pub fn with_sessions(devices: &mut [ListedDevice], sessions: &Sessions, newest: Option<&semver::Version>) {
    for device in devices {
        device.newer = behind(device.version.as_deref(), newest);
        if let Some(seat) = sessions.seat(DeviceId(device.id)) {
            device.heard_at = Some(seat.heard_at());
            device.connected = true;
        }
    }
}

fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(LIMIT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Problem::new(StatusCode::BAD_REQUEST, format!("limit: expected 1 to {LIMIT_MAX}"))),
    }
}

type Asked<T> = Result<Query<T>, QueryRejection>;

fn asked<T>(query: Asked<T>) -> Result<T, Problem> {
    query.map(|Query(query)| query).map_err(|error| Problem::new(error.status(), error.body_text()))
}

#[derive(Debug, Deserialize)]
struct DevicePage {
    #[serde(default)]
    pending: bool,
    #[serde(default)]
    after: String,
    limit: Option<u32>,
}

async fn devices(
    _caller: Granted<Read>,
    State(web): State<Arc<Web>>,
    query: Asked<DevicePage>,
) -> ApiAnswer<Vec<ListedDevice>> {
    let DevicePage { pending, after, limit: n } = asked(query)?;
    let n = usize::try_from(limit(n)?).unwrap_or(usize::MAX);
    let mut devices = web.enrol.list(pending).await?;
    devices.retain(|device| device.name > after);
    devices.truncate(n);
    with_sessions(&mut devices, &web.desk.sessions, newest(&web.packages.list()).as_ref());
    Ok(Json(devices))
}

#[derive(Debug, Deserialize)]
struct TaskPage {
    #[serde(default)]
    after_device: String,
    #[serde(default)]
    after_task: String,
    limit: Option<u32>,
}

async fn tasks(
    _caller: Granted<Read>,
    State(web): State<Arc<Web>>,
    query: Asked<TaskPage>,
) -> ApiAnswer<Vec<TaskListRow>> {
    let TaskPage { after_device, after_task, limit: n } = asked(query)?;
    let (n, rules) = (limit(n)?, web.rules.borrow().clone());
    let read = move |tx: &mut Tx<'_>| TaskListRow::page(tx, &rules, (&after_device, &after_task), n);
    Ok(Json(web.store.read(read).await?))
}

#[derive(Debug, Deserialize)]
struct IncidentPage {
    #[serde(default)]
    all: bool,
    before: Option<u64>,
    limit: Option<u32>,
}

async fn incidents(
    _caller: Granted<Read>,
    State(web): State<Arc<Web>>,
    query: Asked<IncidentPage>,
) -> ApiAnswer<Vec<Incident>> {
    let IncidentPage { all, before, limit: n } = asked(query)?;
    let n = limit(n)?;
    Ok(Json(web.store.read(move |tx| incidents::list(tx, all, before.unwrap_or(u64::MAX), n)).await?))
}

type Number = Result<Path<u64>, PathRejection>;

fn number(path: Number) -> Result<u64, Problem> {
    path.map(|Path(id)| id).map_err(|error| Problem::new(error.status(), error.body_text()))
}

fn no_incident(id: u64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no incident #{id}"))
}

async fn incident(_caller: Granted<Read>, State(web): State<Arc<Web>>, id: Number) -> ApiAnswer<Incident> {
    let id = number(id)?;
    web.store.read(move |tx| incidents::get(tx, id)).await?.map(Json).ok_or_else(|| no_incident(id))
}

/// Acknowledges an incident; the entry of the audit log is in the same transaction.
async fn acknowledge(caller: Granted<Act>, State(web): State<Arc<Web>>, id: Number) -> ApiAnswer<Incident> {
    let id = number(id)?;
    let (rules, now) = (web.rules.borrow().clone(), web.desk.clock.now());
    let entry = caller.who.entry("incidents.ack", id.to_string());
    let write = move |tx: &mut Tx<'_>| {
        let done = operator::acknowledge(tx, &rules, id, now)?;
        if matches!(done, ActionResult::Yes(_)) {
            audit::put(tx, &entry, Outcome::Done, now)?;
        }
        Ok(done)
    };
    let done = web.store.write(write).await?;
    web.bells.outbox.ring();
    web.bells.watchman.ring();
    match done {
        ActionResult::Yes(incident) => Ok(Json(*incident)),
        ActionResult::Unknown => Err(no_incident(id)),
        ActionResult::Over => Err(Problem::new(StatusCode::CONFLICT, format!("incident #{id} is over already"))),
    }
}

//! The verbs of tasks: listed, explained, renamed, removed; expectations turned on and off.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::{get, post},
};
use olog_daemon::config::show_span;
use olog_proto::{At, TaskName};
use olog_push::words::{self, Language};
use serde::{Deserialize, Serialize};

use super::{Answer, LIST_MAX, Verbs, VerbsState};
use crate::apply::operator::{self, Forgotten, Merged, Renamed};
use crate::apply::{self, Rules};
use crate::rules::expect::{Due, Learnt, Plan, Standing};
use crate::rules::state::{self, State as Word};
use crate::store::tasks::{self, ListedTask};
use crate::store::{Tx, renames};
use crate::web::Problem;

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
    pub due_at: Option<At>,
    /// When it was last well.
    pub last_good_at: Option<At>,
    /// When an error last came.
    pub last_error_at: Option<At>,
    /// Names that it had; its events may still have them.
    pub was: Vec<String>,
    /// Its device is an old client (olog.py).
    #[serde(default)]
    pub legacy: bool,
}

/// The answer to `task show`: what `task list` has, and why.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TaskShown {
    /// Its row.
    #[serde(flatten)]
    pub row: TaskListRow,
    /// Since when it is what it is, if that is known.
    pub since_at: Option<At>,
    /// Why it is that.
    pub why: String,
    /// What is expected of it, and what says so.
    pub expectation: String,
    /// LOST from then on, unless it comes.
    pub late_at: Option<At>,
    /// When any sign of it last came.
    pub seen_at: Option<At>,
    /// Since when a run by `exec` is under way.
    pub running_at: Option<At>,
    /// What would change its state.
    pub changes: Vec<String>,
}

/// A task, by its device and its name.
#[derive(Debug, Serialize, Deserialize)]
pub struct TaskRef {
    /// Its device's name.
    pub device: String,
    /// Its name.
    pub task: String,
}

/// The request of `task expect`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExpectTask {
    /// Its device's name.
    pub device: String,
    /// Its name.
    pub task: String,
    /// Is it expected?
    pub is_expected: bool,
}

/// The request of `task rename`.
#[derive(Debug, Serialize, Deserialize)]
pub struct RenameTask {
    /// Its device's name.
    pub device: String,
    /// The name it has.
    pub old: String,
    /// The name it gets.
    pub new: TaskName,
}

/// The request of `task merge`.
#[derive(Debug, Serialize, Deserialize)]
pub struct MergeTasks {
    /// The name of the device of both.
    pub device: String,
    /// The task that goes.
    pub old: String,
    /// The task that stays.
    pub new: String,
}

pub(super) fn routes() -> Router<Arc<Verbs>> {
    Router::new()
        .route("/tasks", get(list))
        .route("/task", get(show))
        .route("/task/expect", post(expect))
        .route("/task/forget", post(forget))
        .route("/task/rename", post(rename))
        .route("/task/merge", post(merge))
}

async fn list(State(verbs): VerbsState) -> Answer<Vec<TaskListRow>> {
    let read = |tx: &mut Tx<'_>| Ok((tasks::list(tx, None, ("", ""), LIST_MAX)?, renames::former(tx, None)?));
    let (listed, mut former) = verbs.store.read(read).await?;
    let rules = verbs.rules.borrow().clone();
    let mut was = |listed: &ListedTask| listed.task.id.and_then(|id| former.remove(&id)).unwrap_or_default();
    Ok(Json(listed.iter().map(|listed| TaskListRow { was: was(listed), ..row(&rules, listed) }).collect()))
}

async fn show(State(verbs): VerbsState, Query(which): Query<TaskRef>) -> Answer<TaskShown> {
    let words = unknown(&which.device, &which.task);
    let read = move |tx: &mut Tx<'_>| {
        let Some(listed) = tasks::get(tx, &which.device, &which.task)? else { return Ok(None) };
        let was = renames::former(tx, listed.task.id)?.into_values().flatten().collect();
        Ok(Some((listed, was)))
    };
    let found = verbs.store.read(read).await?;
    let (listed, was) = found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, words))?;
    let rules = verbs.rules.borrow().clone();
    let shown = explain(&rules, &listed);
    Ok(Json(TaskShown { row: TaskListRow { was, ..shown.row }, ..shown }))
}

async fn expect(State(verbs): VerbsState, Json(request): Json<ExpectTask>) -> Answer<()> {
    let (rules, now) = (verbs.rules.borrow().clone(), verbs.clock.now());
    let ExpectTask { device, task, is_expected } = request;
    let words = unknown(&device, &task);
    let done = verbs.store.write(move |tx| operator::expect(tx, &rules, &device, &task, is_expected, now)).await?;
    verbs.bells.outbox.ring();
    verbs.bells.watchman.ring();
    if done { Ok(Json(())) } else { Err(Problem::new(StatusCode::NOT_FOUND, words)) }
}

async fn forget(State(verbs): VerbsState, Json(which): Json<TaskRef>) -> Answer<()> {
    let (rules, now) = (verbs.rules.borrow().clone(), verbs.clock.now());
    let words = unknown(&which.device, &which.task);
    let TaskRef { device, task } = which;
    let done = verbs.store.write(move |tx| operator::forget(tx, &rules, &device, &task, now)).await?;
    match done {
        Forgotten::Yes => Ok(Json(())),
        Forgotten::Unknown => Err(Problem::new(StatusCode::NOT_FOUND, words)),
        Forgotten::Declared => {
            let words = "hub.toml declares it: take it out there, or stop expecting it by `olog-hub task expect`";
            Err(Problem::new(StatusCode::CONFLICT, words))
        }
    }
}

/// Two tasks become one: `old` is the one that goes.
async fn merge(State(verbs): VerbsState, Json(request): Json<MergeTasks>) -> Answer<()> {
    let (rules, now) = (verbs.rules.borrow().clone(), verbs.clock.now());
    let MergeTasks { device, old, new } = request;
    let of = device.clone();
    let done = verbs.store.write(move |tx| operator::merge(tx, &rules, &device, &old, &new, now)).await?;
    verbs.bells.watchman.ring();
    let conflict = |words: &str| Err(Problem::new(StatusCode::CONFLICT, words));
    match done {
        Merged::Yes => Ok(Json(())),
        Merged::UnknownDevice => {
            Err(Problem::new(StatusCode::NOT_FOUND, format!("no device {of:?}: see `olog-hub device list`")))
        }
        Merged::Unknown(task) => Err(Problem::new(StatusCode::NOT_FOUND, unknown(&of, &task))),
        Merged::Same => conflict("both names are one task already"),
        Merged::Declared => conflict("hub.toml declares the task that would go: take it out there first"),
    }
}

async fn rename(State(verbs): VerbsState, Json(request): Json<RenameTask>) -> Answer<()> {
    let (rules, now) = (verbs.rules.borrow().clone(), verbs.clock.now());
    let RenameTask { device, old, new } = request;
    let (no_task, wanted) = (unknown(&device, &old), new.clone());
    let taken = format!("{device:?} has a task {:?}: choose another name, or forget that one", new.as_str());
    let done = verbs.store.write(move |tx| operator::rename(tx, &rules, &device, &old, &new, now)).await?;
    verbs.bells.outbox.ring();
    verbs.bells.watchman.ring();
    let conflict = |words: String| Err(Problem::new(StatusCode::CONFLICT, words));
    match done {
        Renamed::Yes => Ok(Json(())),
        Renamed::Unknown => Err(Problem::new(StatusCode::NOT_FOUND, no_task)),
        Renamed::Declared => {
            conflict(format!("hub.toml declares it by that name: write {:?} there, then rename it", wanted.as_str()))
        }
        Renamed::Taken => conflict(taken),
        Renamed::Former(holder) => conflict(format!(
            "{:?} was the name of {:?}, which still gets its events: choose another name, or give it back first",
            wanted.as_str(),
            holder.as_str()
        )),
    }
}

fn unknown(device: &str, task: &str) -> String {
    format!("no task {task:?} of {device:?}: see `olog-hub task list`")
}

fn row(rules: &Rules, listed: &ListedTask) -> TaskListRow {
    let task = &listed.task;
    let known = apply::known_of(rules, &listed.device_name, listed.joined_at, task);
    let (due_at, expected) = match task.expect.standing(&known, &rules.expect) {
        Standing::Free => (None, "no"),
        Standing::Off => (None, "off"),
        Standing::Waiting(due) => (Some(due.at), "waiting"),
        Standing::InTime(due) => (Some(due.at), "yes"),
        Standing::Lost(missed) => (Some(missed.due_at), "yes"),
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

/// Why a task is what it is, since when, and what would change it.
fn explain(rules: &Rules, listed: &ListedTask) -> TaskShown {
    let (task, row) = (&listed.task, row(rules, listed));
    let known = apply::known_of(rules, &listed.device_name, listed.joined_at, task);
    let standing = task.expect.standing(&known, &rules.expect);
    let time = |at: At| {
        let utc = chrono::DateTime::from_timestamp_millis(at.0).unwrap_or_default();
        utc.with_timezone(&rules.timezone).format("%Y-%m-%d %H:%M:%S").to_string()
    };
    let off = format!("olog-hub task expect {} {} off", words::shell_word(&row.device), words::shell_word(&row.task));
    let error = task.facts.incident().filter(|_| task.facts.state() == Word::Err);
    let mut changes = Vec::new();
    let (since_at, why) = match (standing, error) {
        (Standing::Lost(missed), _) => {
            changes.push(format!("any sign of it ends LOST; `{off}` if it need not run"));
            let times = if missed.n_missed > 1 { format!(", {} times", missed.n_missed) } else { String::new() };
            (Some(missed.late_at), format!("it was due at {}, and did not run{times}", time(missed.due_at)))
        }
        (_, Some(error)) => {
            let n = row.incident.map_or_else(|| "N".to_owned(), |n| n.to_string());
            changes.push(format!("a run that ends well, or `olog-hub incident close {n}`, ends ERR"));
            (
                Some(error.began_at),
                format!("an error was seen {} times, and nothing shows that it is over", error.n_seen),
            )
        }
        (_, None) if task.facts.state() == Word::Err => {
            changes.push("a run that ends well ends ERR".to_owned());
            let since = task.facts.inherited_at();
            (since, "an error was there when the agent first looked; nobody was told of it".to_owned())
        }
        (Standing::Waiting(_), None) => (None, "it has never run, and is not due yet".to_owned()),
        (_, None) => (row.last_good_at, "no error is open, and no expected run is missing".to_owned()),
    };
    if row.state != "ERR" {
        changes.push("an error makes it ERR".to_owned());
    }
    let late_at = task.expect.late_at(&known, &rules.expect);
    if let Some(late_at) = late_at {
        changes.push(format!("if it does not run by {}, it is LOST", time(late_at)));
    }
    TaskShown {
        expectation: expectation(rules, listed, standing, &time),
        since_at,
        why,
        late_at,
        seen_at: task.expect.seen_at(&known),
        running_at: task.expect.running_since(),
        changes,
        row,
    }
}

/// What is expected, and what says so.
fn expectation(rules: &Rules, listed: &ListedTask, standing: Standing<'_>, time: &dyn Fn(At) -> String) -> String {
    let task = &listed.task;
    let known = apply::known_of(rules, &listed.device_name, listed.joined_at, task);
    let habit = |learnt: &Learnt| {
        let Learnt { cadence, n_runs, span } = learnt;
        let span = show_span(std::time::Duration::from_millis(span.cast_unsigned()));
        format!("{}, learnt from {n_runs} runs in {span}", words::cadence(cadence, Language::En))
    };
    let what = match (known.plan, task.expect.watched(), task.expect.proposal(&known, &rules.expect)) {
        (Some(Plan::Scheduled { schedule, grace }), ..) => {
            let grace = show_span(std::time::Duration::from_millis(grace.cast_unsigned()));
            format!("hub.toml: at {schedule}, {grace} later at the latest")
        }
        (Some(Plan::EachReport), ..) if known.is_alarm => {
            "hub.toml: nothing; it never wrote a .log, so silence counts as OK".to_owned()
        }
        (Some(Plan::EachReport), ..) if task.expect.seen_at(&known).is_none() => {
            "hub.toml: once between two reports, or within 26h if that is longer (its silence is well only once it came, and \
             never with a .log)"
                .to_owned()
        }
        (Some(Plan::EachReport), ..) => {
            "hub.toml: once between two reports, or within 26h if that is longer".to_owned()
        }
        (None, Some((learnt, from)), _) => format!("learnt schedule, in force since {}: {}", time(from), habit(&learnt)),
        (None, None, Some(learnt)) => format!("nothing yet; the next report proposes the schedule {}", habit(&learnt)),
        (None, None, None) => {
            let gone = task.expect.gone_at().map_or_else(String::new, |gone| {
                format!("; its learnt schedule was dropped at {}, because it no longer kept it", time(gone))
            });
            format!("nothing: it is not declared, and no schedule could be learnt from {} runs{gone}", task.expect.n_runs())
        }
    };
    match standing {
        Standing::Off => format!("nothing: turned off by a person (otherwise {what})"),
        Standing::Waiting(Due { at, .. }) | Standing::InTime(Due { at, .. }) => format!("{what}; next at {}", time(at)),
        Standing::Lost(_) | Standing::Free => what,
    }
}

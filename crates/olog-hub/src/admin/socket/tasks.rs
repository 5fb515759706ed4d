//! The verbs of tasks: listed, explained, renamed, removed; expectations turned on and off.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::{get, post},
};
use olog_proto::{TaskName, Timestamp};
use olog_push::words::{self, Arg, Localizer};
use serde::{Deserialize, Serialize};

use super::{Answer, LIST_MAX, Verbs, VerbsState};
use crate::apply::operator::{self, Forgotten, Merged, Renamed};
use crate::apply::{self, LivePolicy, expectation::expectation};
use crate::rules::expect::ExpectationStatus;
use crate::rules::state::State as Word;
use crate::store::tasks::{self, ListedTask};
use crate::store::{Tx, renames};
use crate::web::{Problem, rows::TaskListRow};

/// The answer to `task show`: what `task list` has, and why.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TaskShown {
    /// Its row.
    #[serde(flatten)]
    pub row: TaskListRow,
    /// Since when it is what it is, if that is known.
    pub since_at: Option<Timestamp>,
    /// Why it is that.
    pub why: String,
    /// What is expected of it, and what says so.
    pub expectation: String,
    /// LOST from then on, unless it comes.
    pub late_at: Option<Timestamp>,
    /// When any sign of it last came.
    pub seen_at: Option<Timestamp>,
    /// Since when a run by `exec` is under way.
    pub running_at: Option<Timestamp>,
    /// What would change its state.
    pub changes: Vec<String>,
    /// All of it in sentences of the hub's language, a line each.
    pub sentences: Vec<String>,
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
    let rules = verbs.rules.borrow().clone();
    Ok(Json(verbs.store.read(move |tx| TaskListRow::page(tx, &rules, ("", ""), LIST_MAX)).await?))
}

async fn show(State(verbs): VerbsState, Query(which): Query<TaskRef>) -> Answer<TaskShown> {
    let unknown = unknown(&verbs, &which.device, &which.task);
    let read = move |tx: &mut Tx<'_>| {
        let Some(listed) = tasks::get(tx, &which.device, &which.task)? else { return Ok(None) };
        let was = renames::former(tx, listed.task.id)?.into_values().flatten().collect();
        Ok(Some((listed, was)))
    };
    let found = verbs.store.read(read).await?;
    let (listed, was) = found.ok_or(unknown)?;
    let rules = verbs.rules.borrow().clone();
    Ok(Json(explain(&rules, &listed, was, verbs.clock.now())))
}

async fn expect(State(verbs): VerbsState, Json(request): Json<ExpectTask>) -> Answer<()> {
    let (rules, now) = (verbs.rules.borrow().clone(), verbs.clock.now());
    let ExpectTask { device, task, is_expected } = request;
    let unknown = unknown(&verbs, &device, &task);
    let done = verbs.store.write(move |tx| operator::expect(tx, &rules, &device, &task, is_expected, now)).await?;
    verbs.bells.outbox.ring();
    verbs.bells.watchman.ring();
    if done { Ok(Json(())) } else { Err(unknown) }
}

async fn forget(State(verbs): VerbsState, Json(which): Json<TaskRef>) -> Answer<()> {
    let (rules, now) = (verbs.rules.borrow().clone(), verbs.clock.now());
    let unknown = unknown(&verbs, &which.device, &which.task);
    let TaskRef { device, task } = which;
    let done = verbs.store.write(move |tx| operator::forget(tx, &rules, &device, &task, now)).await?;
    match done {
        Forgotten::Yes => Ok(Json(())),
        Forgotten::Unknown => Err(unknown),
        Forgotten::Declared => Err(verbs.refusal(StatusCode::CONFLICT, "cli-refused-declared", &[])),
    }
}

/// Two tasks become one: `old` is the one that goes.
async fn merge(State(verbs): VerbsState, Json(request): Json<MergeTasks>) -> Answer<()> {
    let (rules, now) = (verbs.rules.borrow().clone(), verbs.clock.now());
    let MergeTasks { device, old, new } = request;
    let of = device.clone();
    let done = verbs.store.write(move |tx| operator::merge(tx, &rules, &device, &old, &new, now)).await?;
    verbs.bells.watchman.ring();
    let conflict = |key: &str| Err(verbs.refusal(StatusCode::CONFLICT, key, &[]));
    match done {
        Merged::Yes => Ok(Json(())),
        Merged::UnknownDevice => {
            Err(verbs.refusal(StatusCode::NOT_FOUND, "cli-refused-no-device", &[("device", of.into())]))
        }
        Merged::Unknown(task) => Err(unknown(&verbs, &of, &task)),
        Merged::Same => conflict("cli-refused-same-task"),
        Merged::Declared => conflict("cli-refused-merge-declared"),
    }
}

async fn rename(State(verbs): VerbsState, Json(request): Json<RenameTask>) -> Answer<()> {
    let (rules, now) = (verbs.rules.borrow().clone(), verbs.clock.now());
    let RenameTask { device, old, new } = request;
    let (no_task, of, wanted) = (unknown(&verbs, &device, &old), device.clone(), new.clone());
    let done = verbs.store.write(move |tx| operator::rename(tx, &rules, &device, &old, &new, now)).await?;
    verbs.bells.outbox.ring();
    verbs.bells.watchman.ring();
    let wanted = wanted.as_str();
    let conflict = |key: &str, more: Arg<'_>| {
        Err(verbs.refusal(StatusCode::CONFLICT, key, &[("device", of.as_str().into()), ("task", wanted.into()), more]))
    };
    match done {
        Renamed::Yes => Ok(Json(())),
        Renamed::Unknown => Err(no_task),
        Renamed::Declared => conflict("cli-refused-rename-declared", ("holder", "".into())),
        Renamed::Taken => conflict("cli-refused-name-taken", ("holder", "".into())),
        Renamed::Former(holder) => conflict("cli-refused-former-name", ("holder", holder.as_str().into())),
    }
}

pub(super) fn unknown(verbs: &Verbs, device: &str, task: &str) -> Problem {
    verbs.refusal(StatusCode::NOT_FOUND, "cli-refused-no-task", &[("device", device.into()), ("task", task.into())])
}

/// Why a task is what it is, since when, and what would change it; each sentence in the hub's language.
fn explain(rules: &LivePolicy, listed: &ListedTask, was: Vec<String>, now: Timestamp) -> TaskShown {
    let say = Localizer { language: rules.language, timezone: rules.timezone, now };
    let (task, row) = (&listed.task, TaskListRow { was, ..TaskListRow::new(rules, listed) });
    let known = apply::known_of(rules, &listed.device_name, listed.joined_at, task);
    let standing = task.expect.standing(&known, &rules.expect);
    let off = format!("olog-hub task expect {} {} off", words::shell_word(&row.device), words::shell_word(&row.task));
    let error = task.facts.incident().filter(|_| task.facts.state() == Word::Err);
    let mut changes = Vec::new();
    let (since_at, why) = match (standing, error) {
        (ExpectationStatus::Lost(missed), _) => {
            changes.push(say.text("cli-task-change-lost", &[("command", off.into())]));
            let args = [("due", say.day_time(missed.due_at).into()), ("n", missed.n_missed.into())];
            (Some(missed.late_at), say.text("cli-task-why-lost", &args))
        }
        (_, Some(error)) => {
            let n = row.incident.map_or_else(|| "N".to_owned(), |n| n.to_string());
            changes.push(say.text("cli-task-change-error", &[("n", n.into())]));
            (Some(error.last_began_at()), say.text("cli-task-why-error", &[("n", error.n_since_begun().into())]))
        }
        (_, None) if task.facts.state() == Word::Err => {
            changes.push(say.word("cli-task-change-inherited"));
            (task.facts.inherited_at(), say.word("cli-task-why-inherited"))
        }
        (_, None) if row.device_lost => (row.last_good_at, say.word("cli-task-why-device-lost")),
        (ExpectationStatus::Waiting(_), None) => (None, say.word("cli-task-why-waiting")),
        (_, None) => (row.last_good_at, say.word("cli-task-why-ok")),
    };
    let late_at = task.expect.late_at(&known, &rules.expect);
    changes.extend(late_at.map(|at| say.text("cli-task-change-late", &[("time", say.day_time(at).into())])));
    let shown = TaskShown {
        expectation: expectation(&say, rules, listed, standing),
        since_at,
        why,
        late_at,
        seen_at: task.expect.seen_at(&known),
        running_at: task.expect.running_since(),
        changes,
        sentences: Vec::new(),
        row,
    };
    TaskShown { sentences: sentences(&say, &shown), ..shown }
}

/// All of it, a line each.
fn sentences(say: &Localizer, shown: &TaskShown) -> Vec<String> {
    let row = &shown.row;
    let state = match row.state.as_str() {
        "ERR" => "state-err",
        "LOST" if row.device_lost => "state-lost",
        "LOST" => "state-task-lost",
        _ => "state-ok",
    };
    let since = shown.since_at.map_or_else(|| "none".to_owned(), |at| say.day_time(at));
    let head = [
        ("task", format!("{}/{}", row.device, row.task).into()),
        ("state", say.word(state).into()),
        ("since", since.into()),
        ("incident", row.incident.map_or_else(|| "none".to_owned(), |n| n.to_string()).into()),
    ];
    let time = |key: &str, at: Option<Timestamp>| at.map(|at| say.text(key, &[("time", say.day_time(at).into())]));
    let times = [
        time("cli-task-running", shown.running_at),
        time("cli-task-good", row.last_good_at),
        time("cli-task-failed", row.last_error_at),
        time("cli-task-seen", shown.seen_at.filter(|at| row.last_good_at.max(row.last_error_at) < Some(*at))),
    ];
    let mut lines = vec![
        say.sentences([say.text("cli-task-head", &head), shown.why.clone()]),
        shown.expectation.clone(),
        say.sentences(times.into_iter().flatten()),
        say.sentences(shown.changes.iter().cloned()),
    ];
    if !row.was.is_empty() {
        lines.push(say.text("cli-task-was", &[("names", say.list(&row.was).into())]));
    }
    lines.retain(|line| !line.is_empty());
    lines
}

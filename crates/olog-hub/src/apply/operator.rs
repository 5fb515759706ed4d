//! What the user does to an incident, a task or a channel: acknowledge, close, expect, forget, rename, merge, test, rearm. Loads, lets the facts decide,
//! and writes, in one transaction. Used by the command handlers; wakes no worker.

use olog_proto::{TaskName, Timestamp};

use crate::{
    apply::declared_tasks,
    apply::{self, LivePolicy},
    journal::LogEntry,
    rules::{
        expect::Facts,
        incident::TaskFacts,
        silence::{self, About},
    },
    store::{
        StoreError, Tx, devices,
        incidents::{self, Incident},
        renames,
        tasks::{self, Task, TaskId},
    },
};

mod channels;
mod silences;

pub use channels::{rearm_channel, test_channel};
pub use silences::{
    AddSilence, NotAnErrorResult, SilenceRefused, SuppressScope, end_silence, fingerprint_of, make_silences,
    not_an_error, silence,
};

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionResult {
    /// It is done; the incident as it is now.
    Yes(Box<Incident>),
    /// There is no such incident.
    Unknown,
    /// It is over already.
    Over,
}

/// What a person does to an incident.
pub type OperatorAction = fn(&mut Tx<'_>, &LivePolicy, u64, Timestamp) -> Result<ActionResult, StoreError>;

/// No reminders until its end; new errors and the end still come.
pub fn acknowledge(tx: &mut Tx<'_>, rules: &LivePolicy, id: u64, now: Timestamp) -> Result<ActionResult, StoreError> {
    change(tx, id, |tx| {
        if let Some(mut task) = tasks::of_incident(tx, id)? {
            let Some(device) = devices::get(tx, task.device)? else { return Ok(()) };
            if is_of_missing(&task, id) {
                task.expect.acknowledge(now);
            } else {
                task.facts.acknowledge(now);
            }
            apply::task(tx, rules, &device, &mut task, now)?;
        }
        tx.note(LogEntry::new("incident acknowledged").incident(id));
        incidents::acknowledge(tx, id, now).map(|_| ())
    })
}

/// It is over because a person says so.
pub fn close(tx: &mut Tx<'_>, rules: &LivePolicy, id: u64, now: Timestamp) -> Result<ActionResult, StoreError> {
    change(tx, id, |tx| {
        let Some(mut task) = tasks::of_incident(tx, id)? else {
            tx.note(LogEntry::new("incident over").incident(id).why("closed"));
            return incidents::end(tx, id, now, "closed");
        };
        let Some(device) = devices::get(tx, task.device)? else { return Ok(()) };
        if is_of_missing(&task, id) {
            let outcomes = task.expect.close(now);
            apply::expectations(tx, rules, &device, &mut task, outcomes, now)?;
        } else {
            let outcomes = task.facts.close(now);
            apply::outcomes(tx, rules, &device, &mut task, outcomes, now)?;
        }
        apply::task(tx, rules, &device, &mut task, now).map(|_| ())
    })
}

/// Says whether a task is expected. False: there is no such task.
pub fn expect(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &str,
    task: &str,
    is_expected: bool,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some(device) = devices::by_name(tx, device)? else { return Ok(false) };
    let Some(mut task) = tasks::find(tx, device.id, task)? else { return Ok(false) };
    let outcomes = task.expect.expect(is_expected, now);
    apply::expectations(tx, rules, &device, &mut task, outcomes, now)?;
    apply::task(tx, rules, &device, &mut task, now)?;
    Ok(true)
}

/// What came of forgetting a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// It is forgotten; should it come again, it is a new one.
    Yes,
    /// There is no such task.
    Unknown,
    /// hub.toml declares it.
    Declared,
}

/// Forgets a task: its incidents are over, and what is older than this recreates nothing.
pub fn forget(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &str,
    task: &str,
    now: Timestamp,
) -> Result<Forgotten, StoreError> {
    let Some(device) = devices::by_name(tx, device)? else { return Ok(Forgotten::Unknown) };
    let Some(mut task) = tasks::find(tx, device.id, task)? else { return Ok(Forgotten::Unknown) };
    match task.id.filter(|_| is_there(&task)) {
        Some(id) if rules.expect.plan(device.name.as_str(), task.name.as_str()).is_none() => {
            incidents::end_of_task(tx, id, now, "forgotten")?;
            (task.facts, task.expect) = (TaskFacts::default(), Facts::forgotten(now));
            apply::task(tx, rules, &device, &mut task, now)?;
            tasks::clear_reported(tx, id)?;
            Ok(Forgotten::Yes)
        }
        Some(_) => Ok(Forgotten::Declared),
        None => Ok(Forgotten::Unknown),
    }
}

/// What came of another name for a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renamed {
    /// It has it.
    Yes,
    /// There is no such task.
    Unknown,
    /// hub.toml declares it by the name that it has.
    Declared,
    /// Another task has that name.
    Taken,
    /// Another task had that name, and gets its events: this one.
    Former(TaskName),
}

/// Gives a task another name. All that is known of it stays, and events by its former names go on to it.
pub fn rename(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &str,
    old: &str,
    new: &TaskName,
    now: Timestamp,
) -> Result<Renamed, StoreError> {
    let Some(device) = devices::by_name(tx, device)? else { return Ok(Renamed::Unknown) };
    let Some(task) = tasks::find(tx, device.id, old)?.filter(is_there) else { return Ok(Renamed::Unknown) };
    let Some(id) = task.id else { return Ok(Renamed::Unknown) };
    if task.name == *new {
        return Ok(Renamed::Yes);
    }
    if rules.expect.plan(device.name.as_str(), task.name.as_str()).is_some() {
        return Ok(Renamed::Declared);
    }
    match tasks::find(tx, device.id, new.as_str())? {
        Some(other) if other.id == task.id => {}
        Some(other) if other.facts.is_task() && other.name == *new => return Ok(Renamed::Taken),
        Some(other) if other.name != *new => return Ok(Renamed::Former(other.name)),
        // Declared and never seen, forgotten, or of messages only: there is nothing to lose.
        Some(mut other) => {
            let outcomes = other.expect.declare(None, now);
            apply::expectations(tx, rules, &device, &mut other, outcomes, now)?;
            if let Some(other) = other.id {
                renames::make_way(tx, other, id)?;
            }
        }
        None => {}
    }
    renames::rename(tx, device.id, id, (&task.name, new), now)?;
    tx.note(LogEntry::new("task renamed").device(&device.name).task(new).why(format!("it was {}", task.name)));
    // What is declared is declared by name.
    declared_tasks::apply(tx, rules, &device, now)?;
    Ok(Renamed::Yes)
}

/// What came of putting a task into another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// It is done.
    Yes,
    /// There is no such device.
    UnknownDevice,
    /// The device has no task of this name.
    Unknown(String),
    /// Both names are one task's already.
    Same,
    /// hub.toml declares the one that would go.
    Declared,
}

/// Puts task `old` into task `new`: its incidents are over, and events under its name go to `new` from now on. For names that
/// log rotation made. What is known of `new` stays as it is; nobody is notified.
pub fn merge(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &str,
    old: &str,
    new: &str,
    now: Timestamp,
) -> Result<Merged, StoreError> {
    let Some(device) = devices::by_name(tx, device)? else { return Ok(Merged::UnknownDevice) };
    let find = |tx: &mut Tx<'_>, name: &str| -> Result<Option<(TaskId, TaskName)>, StoreError> {
        let task = tasks::find(tx, device.id, name)?.filter(is_there);
        Ok(task.and_then(|task| Some((task.id?, task.name))))
    };
    let Some((from, name)) = find(tx, old)? else { return Ok(Merged::Unknown(old.to_owned())) };
    let Some((into, into_name)) = find(tx, new)? else { return Ok(Merged::Unknown(new.to_owned())) };
    if from == into {
        return Ok(Merged::Same);
    }
    if rules.expect.plan(device.name.as_str(), name.as_str()).is_some() {
        return Ok(Merged::Declared);
    }
    incidents::end_of_task(tx, from, now, "merged")?;
    renames::merge(tx, device.id, (from, &name), into, now)?;
    tx.note(LogEntry::new("task merged").device(&device.name).task(&into_name).why(format!("it was {name}")));
    Ok(Merged::Yes)
}

/// The incident of an error of which the user said that it is none: over, without a notification, if silences hold back each
/// of its errors now. True: it was ended.
pub fn end_as_no_error(tx: &mut Tx<'_>, rules: &LivePolicy, id: u64, now: Timestamp) -> Result<bool, StoreError> {
    let Some(mut task) = tasks::of_incident(tx, id)?.filter(|task| !is_of_missing(task, id)) else { return Ok(false) };
    let Some(device) = devices::get(tx, task.device)? else { return Ok(false) };
    let Some(incident) = task.facts.incident() else { return Ok(false) };
    let errors = incident.fingerprints();
    let about = About { device: Some(device.name.as_str()), task: Some(task.name.as_str()), fingerprints: &errors };
    if silence::held_by(&crate::store::silences::kept(tx, now)?, about, now).is_none() {
        return Ok(false);
    }
    let outcomes = task.facts.dismiss(now);
    apply::outcomes(tx, rules, &device, &mut task, outcomes, now)?;
    apply::task(tx, rules, &device, &mut task, now)?;
    Ok(true)
}

/// Does a person see it in a list?
fn is_there(task: &Task) -> bool {
    task.facts.is_task() || task.expect.has_schedule()
}

/// Is that incident about the task's not coming?
fn is_of_missing(task: &tasks::Task, id: u64) -> bool {
    task.expect.missed().and_then(|missed| missed.number) == Some(id)
}

fn change(
    tx: &mut Tx<'_>,
    id: u64,
    change: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError>,
) -> Result<ActionResult, StoreError> {
    match incidents::get(tx, id)? {
        None => return Ok(ActionResult::Unknown),
        Some(incident) if incident.ended_at.is_some() => return Ok(ActionResult::Over),
        Some(_) => {}
    }
    change(tx)?;
    Ok(incidents::get(tx, id)?.map_or(ActionResult::Unknown, |incident| ActionResult::Yes(Box::new(incident))))
}

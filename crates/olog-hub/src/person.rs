//! What a person does to an incident: acknowledges it, closes it. Thin: loads, lets the facts decide, writes, in one
//! transaction. Used by the verbs; rings nobody.

use olog_proto::At;

use crate::{
    expect::Facts,
    incident::TaskFacts,
    journal::Line,
    record::{self, Rules},
    store::{
        StoreError, Tx, devices,
        incidents::{self, Incident},
        tasks,
    },
};

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// It is done; the incident as it is now.
    Yes(Box<Incident>),
    /// There is no such incident.
    Unknown,
    /// It is over already.
    Over,
}

/// No reminders until its end; new errors and the end still come.
pub fn acknowledge(tx: &mut Tx<'_>, rules: &Rules, id: u64, now: At) -> Result<Done, StoreError> {
    change(tx, id, |tx| {
        if let Some(mut task) = tasks::of_incident(tx, id)? {
            let Some(device) = devices::get(tx, task.device)? else { return Ok(()) };
            if is_of_missing(&task, id) {
                task.expect.acknowledge(now);
            } else {
                task.facts.acknowledge(now);
            }
            record::task(tx, rules, &device, &mut task, now)?;
        }
        tx.note(Line::new("incident acknowledged").incident(id));
        incidents::acknowledge(tx, id, now).map(|_| ())
    })
}

/// It is over because a person says so.
pub fn close(tx: &mut Tx<'_>, rules: &Rules, id: u64, now: At) -> Result<Done, StoreError> {
    change(tx, id, |tx| {
        let Some(mut task) = tasks::of_incident(tx, id)? else {
            tx.note(Line::new("incident over").incident(id).why("closed"));
            return incidents::end(tx, id, now, "closed");
        };
        let Some(device) = devices::get(tx, task.device)? else { return Ok(()) };
        if is_of_missing(&task, id) {
            let outcomes = task.expect.close(now);
            record::expectations(tx, rules, &device, &mut task, outcomes, now)?;
        } else {
            let outcomes = task.facts.close(now);
            record::outcomes(tx, rules, &device, &mut task, outcomes, now)?;
        }
        record::task(tx, rules, &device, &mut task, now).map(|_| ())
    })
}

/// Says whether a task is expected. False: there is no such task.
pub fn expect(
    tx: &mut Tx<'_>,
    rules: &Rules,
    device: &str,
    task: &str,
    is_expected: bool,
    now: At,
) -> Result<bool, StoreError> {
    let Some(device) = devices::by_name(tx, device)? else { return Ok(false) };
    let Some(mut task) = tasks::find(tx, device.id, task)? else { return Ok(false) };
    let outcomes = task.expect.expect(is_expected, now);
    record::expectations(tx, rules, &device, &mut task, outcomes, now)?;
    record::task(tx, rules, &device, &mut task, now)?;
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
pub fn forget(tx: &mut Tx<'_>, rules: &Rules, device: &str, task: &str, now: At) -> Result<Forgotten, StoreError> {
    let Some(device) = devices::by_name(tx, device)? else { return Ok(Forgotten::Unknown) };
    let Some(mut task) = tasks::find(tx, device.id, task)? else { return Ok(Forgotten::Unknown) };
    let is_there = task.facts.is_task() || task.expect.declared().is_some();
    match task.id {
        Some(id) if is_there && rules.expect.plan(device.name.as_str(), task.name.as_str()).is_none() => {
            incidents::end_of_task(tx, id, now, "forgotten")?;
            (task.facts, task.expect) = (TaskFacts::default(), Facts::forgotten(now));
            record::task(tx, rules, &device, &mut task, now)?;
            Ok(Forgotten::Yes)
        }
        Some(_) if is_there => Ok(Forgotten::Declared),
        _ => Ok(Forgotten::Unknown),
    }
}

/// Is that incident about the task's not coming?
fn is_of_missing(task: &tasks::Task, id: u64) -> bool {
    task.expect.missed().and_then(|missed| missed.number) == Some(id)
}

fn change(
    tx: &mut Tx<'_>,
    id: u64,
    change: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError>,
) -> Result<Done, StoreError> {
    match incidents::get(tx, id)? {
        None => return Ok(Done::Unknown),
        Some(incident) if incident.ended_at.is_some() => return Ok(Done::Over),
        Some(_) => {}
    }
    change(tx)?;
    Ok(incidents::get(tx, id)?.map_or(Done::Unknown, |incident| Done::Yes(Box::new(incident))))
}

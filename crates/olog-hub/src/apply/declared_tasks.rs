//! Brings the tasks that hub.toml declares into the store: each has a row, seen or not, with the time since when it is declared like
//! that. Done when a device connects, when the hub starts, and when the configuration changes. An unchanged declaration costs one read.
//!
//! Also what a device's return means for its tasks: [`device_back`] gives late tasks more time, [`device_rebooted`] ends runs that were
//! under way. Decides nothing (`expect` does), commits nothing, wakes no worker.

use std::collections::{BTreeMap, BTreeSet};

use olog_proto::{BootId, TaskName, Timestamp};
use olog_push::MissedRun;

use crate::apply::{self, LivePolicy};
use crate::journal::LogEntry;
use crate::store::devices::{self, Device, DeviceId};
use crate::store::{StoreError, Tx, renames, settings, tasks};

/// Where the store keeps by what expectations were last measured.
const MEASURE: &str = "expectations";
/// A device that was away for less (ms) missed nothing by it.
const OFFLINE_MIN: i64 = 60_000;

/// Of one device, whose row is locked.
pub fn apply(tx: &mut Tx<'_>, rules: &LivePolicy, device: &Device, now: Timestamp) -> Result<(), StoreError> {
    let empty = BTreeMap::new();
    let plans = rules.expect.plans.get(device.name.as_str()).unwrap_or(&empty);
    let applied = tasks::declared(tx, Some(device.id))?;
    let names: BTreeSet<&str> =
        plans.keys().map(String::as_str).chain(applied.iter().map(|(_, _, name, _)| name.as_str())).collect();
    for name in names {
        let plan = plans.get(name);
        let was = applied.iter().find(|(_, _, known, _)| known.as_str() == name).map(|(_, _, _, plan)| plan.as_str());
        if plan.map(ToString::to_string).as_deref() == was {
            continue;
        }
        let Ok(name) = name.parse::<TaskName>() else { continue };
        if plan.is_some() && renames::end(tx, device.id, &name)? {
            tx.note(
                LogEntry::new("a former name of a task is declared: it is a task of its own again")
                    .device(&device.name)
                    .task(&name),
            );
        }
        let mut task = tasks::load(tx, device.id, &name)?;
        let outcomes = task.expect.declare(plan, now);
        apply::expectations(tx, rules, device, &mut task, outcomes, now)?;
        apply::task(tx, rules, device, &mut task, now)?;
    }
    Ok(())
}

/// Which devices have to be looked at: what is declared of them is not what was last applied.
pub fn differing(tx: &mut Tx<'_>, rules: &LivePolicy) -> Result<Vec<DeviceId>, StoreError> {
    let joined: BTreeMap<String, DeviceId> = devices::joined(tx)?.into_iter().collect();
    let mut wanted: BTreeSet<(DeviceId, String, String)> = BTreeSet::new();
    for (device, plans) in &rules.expect.plans {
        if let Some(id) = joined.get(device) {
            wanted.extend(plans.iter().map(|(task, plan)| (*id, task.clone(), plan.to_string())));
        }
    }
    let applied: BTreeSet<(DeviceId, String, String)> = tasks::declared(tx, None)?
        .into_iter()
        .filter(|(_, name, ..)| joined.contains_key(name))
        .map(|(device, _, task, plan)| (device, task.to_string(), plan))
        .collect();
    Ok(wanted.symmetric_difference(&applied).map(|(device, ..)| *device).collect::<BTreeSet<_>>().into_iter().collect())
}

/// Applies what is declared of one device.
pub fn apply_to(tx: &mut Tx<'_>, rules: &LivePolicy, device: DeviceId, now: Timestamp) -> Result<(), StoreError> {
    devices::lock(tx, device)?;
    match devices::get(tx, device)? {
        Some(device) => apply(tx, rules, &device, now),
        None => Ok(()),
    }
}

/// Has all that is expected looked at, if the time zone or the reports are others than they were.
pub fn recheck_if_calendar_changed(tx: &mut Tx<'_>, rules: &LivePolicy, now: Timestamp) -> Result<(), StoreError> {
    let report = rules.expect.report.as_ref().map(ToString::to_string).unwrap_or_default();
    let measure = format!("{}; {report}", rules.expect.zone.name());
    if settings::get(tx, MEASURE)?.is_none_or(|was| was != measure) {
        settings::set(tx, MEASURE, &measure)?;
        tasks::look_at_expected(tx, now)?;
    }
    Ok(())
}

/// The device is back: what fell late meanwhile has some time left, and of what was due meanwhile the cause is known. `device` is as
/// it was before its return.
pub fn device_back(tx: &mut Tx<'_>, rules: &LivePolicy, device: &Device, now: Timestamp) -> Result<(), StoreError> {
    // A session that only breaks and begins anew is no cause of anything, and costs no look at every task.
    let left_at = device.left_at.filter(|left| now.since(*left) >= OFFLINE_MIN);
    for mut task in tasks::expected(tx, device.id, if left_at.is_some() { None } else { Some(now) })? {
        let known = apply::known(rules, device, &task);
        if task.expect.device_back(left_at, now, &known, &rules.expect) {
            apply::task(tx, rules, device, &mut task, now)?;
        }
    }
    Ok(())
}

/// Runs of a device that were due while it was offline and have not come since. Nothing while the hub does
/// not have all that the device held at its return: they may be in it.
pub fn missed_offline(tx: &mut Tx<'_>, rules: &LivePolicy, id: DeviceId) -> Result<Vec<MissedRun>, StoreError> {
    let backlog = devices::backlog(tx, id)?;
    let Some(device) = devices::get(tx, id)?.filter(|_| backlog.is_none_or(|b| b.acked >= b.named)) else {
        return Ok(Vec::new());
    };
    let mut missed: Vec<MissedRun> = Vec::new();
    for task in tasks::expected(tx, id, None)? {
        let known = apply::known(rules, &device, &task);
        missed.extend(task.expect.missed_offline(&known, &rules.expect).map(|due| MissedRun {
            device: device.name.to_string(),
            task: task.name.to_string(),
            due_at: due.at,
            late_at: due.late_at,
        }));
    }
    Ok(missed)
}

/// The device is back with another boot: its runs that were under way have ended, one way or another.
pub fn device_rebooted(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &Device,
    boot: BootId,
    now: Timestamp,
) -> Result<(), StoreError> {
    for mut task in tasks::running(tx, device.id)? {
        if task.expect.device_rebooted(boot, now) {
            apply::task(tx, rules, device, &mut task, now)?;
        }
    }
    Ok(())
}

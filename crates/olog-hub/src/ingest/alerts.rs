//! Alerts as events: an alert takes the path of an agent's event, and so does its end.
//!
//! | alert | event |
//! |---|---|
//! | fires, or says something else | `text` of an `.err`, of a `.msg` with `severity="info"` |
//! | fires still | `seen`, once an hour; else only its end is put off |
//! | is over: `endsAt` has passed | `cleared` |
//!
//! The labels stand where a log file has its path. When an alert is over is a deadline in the store, which the watchman keeps ([`end_due`]).

use std::sync::Arc;

use olog_proto::{
    DeviceTime, Event, EventContent, Excerpt, FINGERPRINTS_MAX, File, Growth, LogKind, TaskName, Timestamp,
    fingerprint::fingerprints,
};

use super::device_batch::DeviceBatch;
use super::{Committed, Done, hub_time, lock_joined};
use crate::apply::LivePolicy;
use crate::rules::alert::{self, Alert, AlertSign, Firing, Labels};
use crate::rules::ping::NO_BOOT;
use crate::store::devices::{self, DeviceId};
use crate::store::incidents::alerts::{self, StoredAlert};
use crate::store::{StoreError, Tx, events};

/// An alert on its way into the store.
#[derive(Debug)]
pub struct ReceivedAlert {
    /// What was sent.
    pub alert: Alert,
    /// The other sets of labels of its name that came with it.
    pub others: Arc<[Labels]>,
    /// Who sent it: the device of that name, unless `instance` names one.
    pub sender: String,
}

/// What became of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertDone {
    /// It is committed.
    Ok,
    /// No device that has joined is named like its `instance` or its sender.
    NoDevice,
    /// Its name is none that a task can have, or the device has too many tasks.
    NoTask,
}

/// Which device an alert is about: asked before devices are locked.
pub(super) fn device_of(tx: &mut Tx<'_>, received: &ReceivedAlert) -> Result<Option<DeviceId>, StoreError> {
    let host = received.alert.labels.host();
    let by_host = if host.is_empty() { None } else { devices::id_like(tx, host)? };
    by_host.map_or_else(|| devices::id_like(tx, &received.sender), |device| Ok(Some(device)))
}

/// Commits one alert.
pub(super) fn commit_alert(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    received: &ReceivedAlert,
    device: Option<DeviceId>,
    now: Timestamp,
) -> Result<Committed, StoreError> {
    let done = |done| Ok(Ok(Done::Alert(done)));
    let alert = &received.alert;
    let Some(device) = device else { return done(AlertDone::NoDevice) };
    devices::lock(tx, device)?;
    let stored = alerts::get(tx, device, &alert.labels.hash(), now)?;
    let text = text_hash(&alert.text);
    let sign = alert::sign(alert, &text, stored.as_ref().and_then(|stored| stored.firing.as_ref()), now);
    match (sign, stored) {
        (AlertSign::Unknown, _) => done(AlertDone::Ok),
        (AlertSign::Nothing, Some(stored)) => {
            alerts::extend(tx, &stored, alert.ends_at)?;
            done(AlertDone::Ok)
        }
        (AlertSign::Over, Some(stored)) => {
            end(tx, rules, &stored, alert.ends_at, now)?;
            done(AlertDone::Ok)
        }
        (AlertSign::Text | AlertSign::Seen | AlertSign::Nothing | AlertSign::Over, stored) => {
            let task = match stored {
                Some(stored) => Some(stored.task),
                None => name(tx, device, received, now)?,
            };
            let Some(task) = task else { return done(AlertDone::NoTask) };
            let what = content(alert, task.clone(), sign == AlertSign::Seen);
            if !commit_event(tx, rules, device, what, now, now)? {
                return done(AlertDone::NoTask);
            }
            let firing = Firing { text, seen_at: now };
            alerts::fire(tx, device, (&alert.labels, &task), alert.ends_at, &firing)?;
            done(AlertDone::Ok)
        }
    }
}

/// Ends the alerts whose end has come, at most `limit`. True: there may be more.
pub fn end_due(tx: &mut Tx<'_>, rules: &LivePolicy, now: Timestamp, limit: u32) -> Result<bool, StoreError> {
    let (due, is_more) = alerts::due(tx, now, limit)?;
    for alert in &due {
        devices::lock(tx, alert.device)?;
        // It may have been sent again before its device was locked.
        let alert = alerts::again(tx, alert, now)?;
        if let Some(alert) = alert.filter(|alert| alert.firing.is_some() && alert.ends_at <= now) {
            end(tx, rules, &alert, alert.ends_at, now)?;
        }
    }
    alerts::forget_old(tx, now)?;
    Ok(is_more)
}

fn end(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    alert: &StoredAlert,
    at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    alerts::end(tx, alert, at.min(now).max(crate::store::EARLIEST))?;
    if alert.labels.is_message() {
        return Ok(());
    }
    let what = EventContent::Cleared {
        task: alert.task.clone(),
        suffix: LogKind::Err,
        path: alert.labels.line(),
        deleted: true,
    };
    commit_event(tx, rules, alert.device, what, at, now).map(|_| ())
}

/// The name of a new alert's task: one that no other alert has.
fn name(
    tx: &mut Tx<'_>,
    device: DeviceId,
    received: &ReceivedAlert,
    now: Timestamp,
) -> Result<Option<TaskName>, StoreError> {
    let labels = &received.alert.labels;
    let siblings = alerts::siblings(tx, device, labels.name(), now)?;
    let others: Vec<Labels> =
        siblings.iter().map(|sibling| &sibling.labels).chain(received.others.iter()).cloned().collect();
    let Some(name) = labels.task(&others) else { return Ok(None) };
    if siblings.iter().any(|sibling| sibling.task == name) {
        let hash = labels.hash();
        let told_apart = format!("{name} {}", hash.get(..8).unwrap_or_default());
        return Ok(TaskName::try_from(told_apart).ok());
    }
    Ok(Some(name))
}

fn content(alert: &Alert, task: TaskName, is_seen: bool) -> EventContent {
    let mut fingerprints = fingerprints(&alert.text);
    fingerprints.truncate(FINGERPRINTS_MAX);
    let file = File {
        task,
        suffix: if alert.labels.is_message() { LogKind::Msg } else { LogKind::Err },
        path: alert.labels.line(),
        change: Growth::Rewritten,
        began_at: None,
        closed: true,
        sibling_err: false,
        history: false,
        fingerprints,
    };
    if is_seen {
        return EventContent::Seen { file, times: 1 };
    }
    EventContent::Text { file, excerpt: Excerpt::of(alert.text.trim_end()) }
}

/// What an alert says, without what changes from time to time: 91 % and 92 % are one text.
fn text_hash(text: &str) -> String {
    let hashes =
        fingerprints(text).iter().take(FINGERPRINTS_MAX).map(|line| line.fingerprint().to_string()).collect::<Vec<_>>();
    hashes.join(" ")
}

/// Commits one event in the hub's own numbers. False: the device would have too many tasks.
fn commit_event(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: DeviceId,
    what: EventContent,
    at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let Some((device, used)) = lock_joined(tx, device)? else { return Ok(true) };
    let stream = events::stream(tx, device.id, events::HUB_EPOCH, now)?;
    let at = hub_time(DeviceTime(at), 0, now);
    let event = Event { n: stream.acked + 1, at: DeviceTime(at), boot: NO_BOOT, up: 0, what, by: None, pushed: None };
    let mut batch = DeviceBatch::new(rules, &device, stream.epoch, used, now);
    let is_admitted = match event.what.task() {
        Some(task) => batch.admit(tx, task)?,
        None => false,
    };
    if is_admitted {
        batch.take(tx, &event, event.digest(), at)?;
    }
    batch.end(tx)?;
    if is_admitted {
        events::set_acked(tx, stream.epoch, event.n, 0)?;
    }
    Ok(is_admitted)
}

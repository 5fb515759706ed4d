//! One due task: its error may be over, it may need a reminder, or it did not run when it was expected.
//!
//! A task of a device that is away is not judged. After the device's return the hub first commits what the device had queued (at most
//! 10 minutes); only then can a missing run be called LOST. The rules decide (`rules/incident`, `rules/expect`); this module
//! only finds out whether they may be asked.

use olog_proto::Timestamp;

use super::{MINUTE, POSTPONED, SECOND};
use crate::apply::{self, LivePolicy};
use crate::store::devices::{self, Device, DeviceId};
use crate::store::tasks::{self, TaskId};
use crate::store::{StoreError, Tx, watch};

/// A device that was not heard since its task fell due is asked, and its task looked at again after this.
const ANSWER_AFTER: i64 = 2 * SECOND;
/// While the hub does not have what the device held at its return, its tasks are looked at again after this …
const COMMITTED_AFTER: i64 = 5 * SECOND;
/// … but for no longer than this.
const BACKLOG_MAX: i64 = 10 * MINUTE;

/// Where a device is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Connectivity {
    /// Since when its errors would have been heard.
    pub(super) here_since: Option<Timestamp>,
    /// When its session last heard it; `None`: it has none.
    pub(super) heard_at: Option<Timestamp>,
}

/// While a device is away its tasks are looked at again after this.
const AWAY_AGAIN_AFTER: i64 = MINUTE;

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CheckResult {
    /// All is done until the task is due again.
    Done,
    /// The device has to be heard first.
    Unheard,
}

/// Can it be said that a task of the device did not come?
enum Judgeable {
    Now,
    /// Nobody knows before the device is back.
    Away,
    Later(Timestamp, CheckResult),
}

/// Looks at one task. Its device's row is locked.
pub(super) fn check(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: DeviceId,
    task: TaskId,
    place: Connectivity,
    now: Timestamp,
) -> Result<CheckResult, StoreError> {
    let Some(name) = watch::task_name(tx, task)? else { return Ok(CheckResult::Done) };
    let Some(device) = devices::get(tx, device)? else {
        watch::postpone_task(tx, task, now.plus(POSTPONED))?;
        return Ok(CheckResult::Done);
    };
    let mut task = tasks::load(tx, device.id, &name)?;
    let outcomes = task.facts.due(now, place.here_since, &rules.policy);
    apply::outcomes(tx, rules, &device, &mut task, outcomes, now)?;
    let known = apply::known(rules, &device, &task);
    let is_due = |due: &Option<Timestamp>| due.is_some_and(|due| due <= now);
    let judgeable = match task.expect.late_at(&known, &rules.expect).filter(|late| *late <= now) {
        Some(late_at) => judgeable(tx, &device, place, late_at, now)?,
        // A device that is away speaks for its tasks: neither a reminder nor a run without an end is told.
        None if place.heard_at.is_none() && is_due(&task.expect.look_at(&known, &rules.expect)) => {
            Judgeable::Later(now.plus(AWAY_AGAIN_AFTER), CheckResult::Done)
        }
        None => Judgeable::Now,
    };
    match judgeable {
        Judgeable::Now => {
            let outcomes = task.expect.check(now, &known, &rules.expect);
            apply::expectations(tx, rules, &device, &mut task, outcomes, now)?;
        }
        Judgeable::Away => task.expect.park(),
        Judgeable::Later(..) => {}
    }
    let id = apply::task(tx, rules, &device, &mut task, now)?;
    let Judgeable::Later(at, looked) = judgeable else { return Ok(CheckResult::Done) };
    watch::postpone_task(tx, id, at)?;
    Ok(looked)
}

fn judgeable(
    tx: &mut Tx<'_>,
    device: &Device,
    place: Connectivity,
    late_at: Timestamp,
    now: Timestamp,
) -> Result<Judgeable, StoreError> {
    let Some(heard_at) = place.heard_at else { return Ok(Judgeable::Away) };
    if heard_at < late_at {
        return Ok(Judgeable::Later(now.plus(ANSWER_AFTER), CheckResult::Unheard));
    }
    let backlog = devices::backlog(tx, device.id)?;
    let waits = backlog.is_some_and(|b| b.acked < b.named && now.since(b.back_at) < BACKLOG_MAX);
    Ok(if waits { Judgeable::Later(now.plus(COMMITTED_AFTER), CheckResult::Done) } else { Judgeable::Now })
}

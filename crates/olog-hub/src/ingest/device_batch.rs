//! What one transaction changes for one device, whose row is locked: its tasks, their incidents, its quota, and the events to store.

use olog_proto::{Event, EventContent, TaskName, Timestamp};

use super::notes::take_note;
use super::quota::{BatchQuota, is_error, is_message};
use super::touched::BatchTasks;
use crate::apply::{self, LivePolicy};
use crate::rules::quota::{Limit, QuotaState};
use crate::rules::state::State;
use crate::store::devices::Device;
use crate::store::events::{self, EpochId, NewEvent};
use crate::store::tasks::Task;
use crate::store::{StoreError, Tx};

/// The changes so far.
#[derive(Debug)]
pub(super) struct DeviceBatch<'a> {
    rules: &'a LivePolicy,
    device: &'a Device,
    epoch: EpochId,
    now: Timestamp,
    tasks: BatchTasks,
    quota: BatchQuota,
    rows: Vec<NewEvent<'a>>,
}

impl<'a> DeviceBatch<'a> {
    /// `used`: what the device has used of its quota.
    pub(super) fn new(
        rules: &'a LivePolicy,
        device: &'a Device,
        epoch: EpochId,
        used: QuotaState,
        now: Timestamp,
    ) -> DeviceBatch<'a> {
        let quota = BatchQuota::new(used, rules.limits, now);
        DeviceBatch { rules, device, epoch, now, tasks: BatchTasks::default(), quota, rows: Vec::new() }
    }

    /// May there be events of this task? If it would be one too many, that is counted and told.
    pub(super) fn admit(&mut self, tx: &mut Tx<'_>, name: &TaskName) -> Result<bool, StoreError> {
        let is_admitted = self.tasks.admit(tx, self.device.id, name, self.quota.tasks())?;
        if !is_admitted {
            self.quota.is_within(Some(Limit::Tasks), tx, self.rules, self.device, self.now)?;
        }
        Ok(is_admitted)
    }

    /// A task, as the changes so far have made it.
    pub(super) fn task(&mut self, tx: &mut Tx<'_>, name: &TaskName) -> Result<&mut Task, StoreError> {
        self.tasks.load(tx, self.device.id, name)
    }

    /// An event: what it means for its task, and its row.
    pub(super) fn take(
        &mut self,
        tx: &mut Tx<'_>,
        event: &'a Event,
        digest: u64,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        match (&event.what, event.what.task()) {
            (EventContent::Note(note), _) => {
                take_note(tx, self.rules, self.device, note, &mut self.quota, at, self.now)?;
            }
            (_, Some(name)) if !self.device.forgets(at) => {
                if !self.admit(tx, name)? {
                    return Ok(());
                }
                self.observe(tx, event, name, at)?;
            }
            _ => {}
        }
        self.store(tx, event, digest, at)
    }

    /// What an event means for its task.
    fn observe(&mut self, tx: &mut Tx<'_>, event: &Event, name: &TaskName, at: Timestamp) -> Result<(), StoreError> {
        let (rules, device, now) = (self.rules, self.device, self.now);
        let task = self.tasks.load(tx, device.id, name)?;
        let was_open = task.facts.state() == State::Err;
        let limit = match event {
            event if is_message(event) => self.quota.note(),
            event if is_error(event) && !was_open => self.quota.incident(tx, device, event.by.as_ref())?,
            _ => None,
        };
        let is_told = self.quota.is_within(limit, tx, rules, device, now)?;
        if task.expect.forgets(at) {
            return Ok(());
        }
        if is_told {
            let policy = rules.policy_of(device.name.as_str(), task.name.as_str());
            let outcomes = task.facts.observe(event, at, now, &policy);
            apply::outcomes(tx, rules, device, task, outcomes, now)?;
            self.quota.opened(was_open, task.facts.state() == State::Err, event.by.as_ref());
        }
        // A run that failed has come all the same.
        let known = apply::known(rules, device, task);
        let outcomes = task.expect.observe(event, at, now, &known, &rules.expect);
        apply::expectations(tx, rules, device, task, outcomes, now)
    }

    /// An event's row, and nothing else of it.
    pub(super) fn store(
        &mut self,
        tx: &mut Tx<'_>,
        event: &'a Event,
        digest: u64,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let limit = self.quota.event();
        if self.quota.is_within(limit, tx, self.rules, self.device, self.now)? {
            self.rows.push(NewEvent { epoch: self.epoch, device: self.device.id, task: None, at, digest, event });
        }
        Ok(())
    }

    /// Writes the tasks, the events and what was used.
    pub(super) fn end(mut self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        for task in self.tasks.all() {
            apply::task(tx, self.rules, self.device, task, self.now)?;
        }
        for row in &mut self.rows {
            row.task = row.event.what.task().and_then(|name| self.tasks.get(name)?.id);
        }
        let bytes = events::insert(tx, &self.rows, self.now)?;
        self.quota.end(tx, self.device, bytes, self.now)
    }
}

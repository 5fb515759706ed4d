//! The tasks of one batch: each is loaded once, under whichever of its names the events use.

use std::collections::{HashMap, HashSet};

use olog_proto::TaskName;

use crate::store::devices::DeviceId;
use crate::store::tasks::{self, Task};
use crate::store::{StoreError, Tx};

/// Tasks of one device, whose row is locked.
#[derive(Debug, Default)]
pub(super) struct BatchTasks {
    /// By the names that they have.
    tasks: HashMap<TaskName, Task>,
    /// Those names, by the ones that events have.
    names: HashMap<TaskName, TaskName>,
    /// Names of tasks that would be too many.
    refused: HashSet<TaskName>,
    /// How many tasks the device has; `None`: no new one came yet.
    n_tasks: Option<u64>,
}

impl BatchTasks {
    /// May an event be about this task? Yes, if the task is known or the device has fewer than `max`.
    pub(super) fn admit(
        &mut self,
        tx: &mut Tx<'_>,
        device: DeviceId,
        name: &TaskName,
        max: u64,
    ) -> Result<bool, StoreError> {
        if self.names.contains_key(name) || self.refused.contains(name) {
            return Ok(!self.refused.contains(name));
        }
        let task = tasks::load(tx, device, name)?;
        if task.id.is_none() && !self.tasks.contains_key(&task.name) {
            let n_tasks = match self.n_tasks {
                Some(n) => n,
                None => tasks::n_of(tx, device)?,
            };
            let is_admitted = n_tasks < max;
            self.n_tasks = Some(if is_admitted { n_tasks + 1 } else { n_tasks });
            if !is_admitted {
                self.refused.insert(name.clone());
                return Ok(false);
            }
        }
        self.names.insert(name.clone(), task.name.clone());
        // One that is here by its other name has been changed since it was read.
        self.tasks.entry(task.name.clone()).or_insert(task);
        Ok(true)
    }

    /// The task that an event is about.
    pub(super) fn load(&mut self, tx: &mut Tx<'_>, device: DeviceId, name: &TaskName) -> Result<&mut Task, StoreError> {
        if !self.names.contains_key(name) {
            let task = tasks::load(tx, device, name)?;
            self.names.insert(name.clone(), task.name.clone());
            // One that is here by its other name has been changed since it was read.
            self.tasks.entry(task.name.clone()).or_insert(task);
        }
        let task = self.names.get(name).and_then(|name| self.tasks.get_mut(name));
        task.ok_or_else(|| StoreError::Row(format!("no task {name}")))
    }

    /// One that was loaded.
    pub(super) fn get(&self, name: &TaskName) -> Option<&Task> {
        self.tasks.get(self.names.get(name)?)
    }

    /// All of them.
    pub(super) fn all(&mut self) -> impl Iterator<Item = &mut Task> {
        self.tasks.values_mut()
    }
}

//! The tasks of one batch: each is loaded once, under whichever of its names the events use.

use std::collections::HashMap;

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
}

impl BatchTasks {
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

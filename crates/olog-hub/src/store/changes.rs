//! What transactions have changed of what a person sees, told to whoever listens once it is committed.
//!
//! The functions of the store note a [`Change`] beside each row that they write ([`Tx::changed`](super::Tx::changed)). After the commit the store
//! hands the transaction's [`Changes`] to its [`ChangeFeed`]; a transaction that is rolled back tells nothing. A change is small: which row, and no
//! content. Beyond [`CHANGES_MAX`] of one transaction, and for a listener that is too slow, the changes become one word: everything. So neither a
//! storm of events nor a listener that hangs costs memory, and nobody misses that there was something.
//!
//! On PostgreSQL the hubs of one store tell each other by `NOTIFY` ([`Store::share_changes`](super::Store::share_changes)). A notification may be lost
//! with a connection; after each new connection everything may have changed. Must not: hold up a commit, or be what anybody relies on alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::{StoreError, Tx, Value};

/// Different changes that are told one by one.
pub const CHANGES_MAX: usize = 64;
/// Commits that a listener may be late.
const COMMITS: usize = 64;

/// What happened to an incident; the last step of several counts, and a mere change does not hide one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentStep {
    /// One more sign, another name.
    Changed,
    /// A person acknowledged it.
    Acknowledged,
    /// It began, or began again.
    Opened,
    /// It is over.
    Ended,
}

impl IncidentStep {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            IncidentStep::Changed => "changed",
            IncidentStep::Acknowledged => "acknowledged",
            IncidentStep::Opened => "opened",
            IncidentStep::Ended => "ended",
        }
    }
}

/// A row that changed. Devices and tasks by their rows' ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// A device: it came, went, joined, waits to be accepted, has another name, is LOST or is not.
    Device(i64),
    /// A task: its state or what it is expected to do.
    Task(i64),
    /// An incident.
    Incident(u64, IncidentStep),
    /// A new event.
    Event {
        /// When the hub got it.
        received_at: i64,
        /// Its epoch's row.
        epoch: i64,
        /// Its number.
        n: u64,
        /// Its device.
        device: i64,
        /// Its task.
        task: Option<i64>,
    },
    /// A notification of that incident: it waits, or a service answered.
    Notification(u64),
    /// A silence was made or ended.
    Silence(u64),
}

/// What one transaction changed, or several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    some: BTreeSet<Change>,
    /// More than is told one by one.
    is_everything: bool,
    /// A session or token ended.
    #[serde(default)]
    is_access: bool,
}

impl Changes {
    /// Anything may have changed.
    pub fn everything() -> Changes {
        Changes { is_everything: true, ..Changes::default() }
    }

    /// A session or token ended: whoever came in by one is asked again.
    pub fn add_access(&mut self) {
        self.is_access = true;
    }

    /// Did a session or token end?
    pub fn is_access(&self) -> bool {
        self.is_access
    }

    /// One more.
    pub fn add(&mut self, change: Change) {
        if let Change::Incident(id, step) = change {
            let steps = Change::Incident(id, IncidentStep::Changed)..=Change::Incident(id, IncidentStep::Ended);
            match self.some.range(steps).next().copied() {
                Some(_) if step == IncidentStep::Changed => return,
                Some(before) => drop(self.some.remove(&before)),
                None => {}
            }
        }
        if !self.is_everything {
            self.some.insert(change);
            if self.some.len() > CHANGES_MAX {
                self.all();
            }
        }
    }

    fn all(&mut self) {
        *self = Changes { is_access: self.is_access, ..Changes::everything() };
    }

    /// Those of another transaction.
    pub fn merge(&mut self, other: &Changes) {
        self.is_access |= other.is_access;
        if other.is_everything {
            self.all();
        }
        other.some.iter().for_each(|change| self.add(*change));
    }

    /// The changes, one by one; `None`: anything may have changed.
    pub fn one_by_one(&self) -> Option<&BTreeSet<Change>> {
        (!self.is_everything).then_some(&self.some)
    }

    /// Nothing changed that anybody sees.
    pub fn is_empty(&self) -> bool {
        self.some.is_empty() && !self.is_everything && !self.is_access
    }
}

#[derive(Debug, Clone)]
struct Told {
    changes: Arc<Changes>,
    /// Another hub of the same store committed it.
    is_others: bool,
}

/// Where commits are told.
#[derive(Debug, Clone)]
pub struct ChangeFeed(broadcast::Sender<Told>);

impl Default for ChangeFeed {
    fn default() -> ChangeFeed {
        ChangeFeed(broadcast::Sender::new(COMMITS))
    }
}

impl ChangeFeed {
    /// Tells what was committed here.
    pub(super) fn tell(&self, changes: Changes) {
        self.send(changes, false);
    }

    /// Tells what another hub of the same store has committed.
    pub(super) fn tell_others(&self, changes: Changes) {
        self.send(changes, true);
    }

    fn send(&self, changes: Changes, is_others: bool) {
        if !changes.is_empty() {
            // Nobody may be listening.
            drop(self.0.send(Told { changes: Arc::new(changes), is_others }));
        }
    }

    /// How many listen.
    #[cfg(test)]
    pub(crate) fn n_listeners(&self) -> usize {
        self.0.receiver_count()
    }

    /// Hears all commits from now on.
    pub fn listen(&self) -> ChangeListener {
        ChangeListener { told: self.0.subscribe(), only_own: false }
    }

    /// Hears what this hub commits from now on.
    pub(super) fn listen_to_own(&self) -> ChangeListener {
        ChangeListener { told: self.0.subscribe(), only_own: true }
    }
}

/// Hears.
#[derive(Debug)]
pub struct ChangeListener {
    told: broadcast::Receiver<Told>,
    only_own: bool,
}

impl ChangeListener {
    /// What has changed since this was last called; waits until there is something. For ever asleep when the store is gone.
    pub async fn heard(&mut self) -> Changes {
        let mut heard = Changes::default();
        while heard.is_empty() {
            match self.told.recv().await {
                Ok(told) => self.put(&mut heard, &told),
                Err(broadcast::error::RecvError::Lagged(_)) => heard.all(),
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
        loop {
            match self.told.try_recv() {
                Ok(told) => self.put(&mut heard, &told),
                Err(broadcast::error::TryRecvError::Lagged(_)) => heard.all(),
                Err(_) => return heard,
            }
        }
    }

    fn put(&self, heard: &mut Changes, told: &Told) {
        if !(self.only_own && told.is_others) {
            heard.merge(&told.changes);
        }
    }
}

/// A change with the names that a person knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedChange {
    /// Which.
    pub change: Change,
    /// The device, unless it is about none, or about several.
    pub device: Option<String>,
    /// The task.
    pub task: Option<String>,
}

/// Finds the names: three statements, however many changes. What is not there any more has none.
pub fn named(tx: &mut Tx<'_>, changes: &BTreeSet<Change>) -> Result<Vec<NamedChange>, StoreError> {
    let (mut devices, mut tasks, mut incidents) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for change in changes {
        match change {
            Change::Device(device) | Change::Event { device, task: None, .. } => drop(devices.insert(*device)),
            Change::Task(task) | Change::Event { task: Some(task), .. } => drop(tasks.insert(*task)),
            Change::Incident(id, _) | Change::Notification(id) => drop(incidents.insert(id.cast_signed())),
            Change::Silence(_) => {}
        }
    }
    type Names = BTreeMap<i64, (Option<String>, Option<String>)>;
    let mut read = |sql: &str, ids: BTreeSet<i64>| -> Result<Names, StoreError> {
        if ids.is_empty() {
            return Ok(Names::new());
        }
        let rows = tx.query(sql, &[Value::json(&ids)?])?;
        let name = |row: &super::Row, i| row.text_or_null(i).map(|name| name.map(str::to_owned));
        rows.iter().map(|row| Ok((row.int(0)?, (name(row, 1)?, name(row, 2)?)))).collect()
    };
    let devices = read(
        "SELECT id, name, CAST(NULL AS TEXT) FROM devices WHERE id IN (SELECT value FROM json_list($1))",
        devices,
    )?;
    let tasks = read(
        "SELECT t.id, d.name, t.name FROM tasks t JOIN devices d ON d.id = t.device_id WHERE t.id IN (SELECT value FROM json_list($1))",
        tasks,
    )?;
    let incidents = read(
        "SELECT i.id, d.name, CASE WHEN i.subject IN ('task', 'lost') THEN i.name END
         FROM incidents i LEFT JOIN devices d ON d.id = i.device_id WHERE i.id IN (SELECT value FROM json_list($1))",
        incidents,
    )?;
    let named = changes.iter().map(|change| {
        let names = match change {
            Change::Device(device) | Change::Event { device, task: None, .. } => devices.get(device),
            Change::Task(task) | Change::Event { task: Some(task), .. } => tasks.get(task),
            Change::Incident(id, _) | Change::Notification(id) => incidents.get(&id.cast_signed()),
            Change::Silence(_) => None,
        };
        let (device, task) = names.cloned().unwrap_or_default();
        NamedChange { change: *change, device, task }
    });
    Ok(named.collect())
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::super::{
        Store, StoreError,
        tests::{of_two_hubs, stores},
    };
    use super::*;

    #[tokio::test]
    async fn a_commit_tells_what_it_changed_and_a_step_that_is_rolled_back_tells_nothing() {
        for at in stores().await {
            let mut listener = at.store.changes().listen();
            let change = |store: Store, change: Change, is_good: bool| async move {
                let step = move |tx: &mut Tx<'_>| {
                    tx.changed(change);
                    if is_good { Ok(()) } else { Err(StoreError::Refused("no".to_owned())) }
                };
                assert_eq!(store.write(step).await.is_ok(), is_good);
            };
            change(at.store.clone(), Change::Device(1), false).await;
            change(at.store.clone(), Change::Device(2), true).await;
            change(at.store.clone(), Change::Device(3), true).await;
            let heard = listener.heard().await;
            let told: Vec<&Change> = heard.one_by_one().unwrap().iter().collect();
            assert_eq!(told, [&Change::Device(2), &Change::Device(3)], "{:?}", at.store);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn hubs_of_one_database_tell_each_other_what_they_commit() {
        let Some((one, other)) = of_two_hubs().await else { return };
        let (stop, mut tasks) = (CancellationToken::new(), tokio::task::JoinSet::new());
        let (mut here, mut there) = (one.store.changes().listen(), other.changes().listen());
        for store in [one.store.clone(), other.clone()] {
            let stop = stop.clone();
            tasks.spawn(async move { store.share_changes(stop).await });
        }
        // Each says that it is there: until then anything may have changed.
        assert_eq!(there.heard().await, Changes::everything());
        assert_eq!(here.heard().await, Changes::everything());
        let change = Change::Incident(7, IncidentStep::Opened);
        // What is told before the other one listens is lost.
        loop {
            let write = one.store.write(move |tx| {
                tx.changed(change);
                Ok(())
            });
            write.await.unwrap();
            let heard = tokio::time::timeout(std::time::Duration::from_secs(1), there.heard()).await;
            if heard.is_ok_and(|heard| heard.one_by_one().is_some_and(|some| some.contains(&change))) {
                break;
            }
        }
        stop.cancel();
        tasks.join_all().await;
    }

    #[tokio::test]
    async fn many_changes_and_a_listener_that_is_late_become_one_word() {
        let feed = ChangeFeed::default();
        let (mut late, mut of_own) = (feed.listen(), feed.listen_to_own());
        let mut many = Changes::default();
        (0..1_000).for_each(|n| many.add(Change::Silence(n)));
        assert_eq!((many.one_by_one(), many.some.len()), (None, 0));
        for n in 0..1_000 {
            let mut one = Changes::default();
            one.add(Change::Device(n));
            feed.tell_others(one);
        }
        assert_eq!(late.heard().await, Changes::everything());
        assert_eq!(of_own.heard().await, Changes::everything(), "it cannot know whose it has missed");
        feed.tell_others(Changes::everything());
        let mut one = Changes::default();
        one.add(Change::Task(7));
        feed.tell(one.clone());
        assert_eq!(of_own.heard().await, one);
    }

    #[test]
    fn of_several_steps_of_an_incident_the_last_is_told_and_a_mere_change_hides_none() {
        use IncidentStep::{Acknowledged, Changed, Ended, Opened};
        for (steps, told) in [
            (&[Opened, Changed][..], Opened),
            (&[Changed, Acknowledged, Changed], Acknowledged),
            (&[Ended, Opened], Opened),
            (&[Opened, Ended], Ended),
        ] {
            let mut changes = Changes::default();
            steps.iter().for_each(|step| changes.add(Change::Incident(3, *step)));
            let mut both = Changes::default();
            both.add(Change::Incident(3, Changed));
            both.merge(&changes);
            assert_eq!(both.some.iter().collect::<Vec<_>>(), [&Change::Incident(3, told)], "{steps:?}");
            assert_eq!(serde_json::to_value(told).unwrap(), told.as_str());
        }
    }
}

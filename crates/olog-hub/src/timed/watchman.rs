//! The watchman: does what no event brings, when it is due. LOST and BACK, tasks that did not run, reminders, ends that are inferred,
//! silences and alerts that end, new devices, and duties of the hub itself that fail.
//!
//! It sleeps until the next due instant or until its bell rings, asks the store what is due, in bounded pages, lets the pure rules
//! decide, and commits as `ingest` does. Each duty runs on its own: an error of one keeps none of the others from its work, is
//! tried again with a growing wait, and after ten minutes is an incident (`olog_daemon::workers`). It holds no state that
//! matters: what a restart forgets (who is here since when, a question that is open) only ever makes something due later.
//!
//! It is the only writer of device absences and of the hub's life sign. Must not: decide when something is over or lost (`rules`),
//! or send anything (it rings the outbox's bell).

mod affairs;
mod alerts;
mod days;
mod failing;
mod network;
mod tasks;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use olog_daemon::clock::Clock;
use olog_daemon::workers::{Duty, Worker, Workers};
use olog_proto::Timestamp;
use olog_push::{Content, Kind, MISSED_RUNS_MAX, Notice};
use tokio::sync::watch as latest;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply::declared_tasks;
use crate::apply::{self, LivePolicy};
use crate::bell::Bell;
use crate::journal::LogEntry;
use crate::net::sessions::Sessions;
use crate::rules::liveness::{DeviceSnapshot, LivenessAction, LivenessTracker, OfflineGroup, OfflinePolicy};
use crate::rules::state::day_of;
use crate::store::devices::{self, DeviceId};
use crate::store::incidents::{self, Begin, Subject};
use crate::store::tasks::{self as task_store, TaskId};
use crate::store::watch::{self, LastSeen};
use crate::store::{Store, StoreError, Tx};
use crate::store::{set_aside, silences};
use tasks::{CheckResult, Connectivity};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
/// Tasks in one transaction.
const PAGE: u32 = 200;
/// However often the bell rings, devices and tasks are looked at no more often than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The life sign: what an unclean stop is dated by.
const ALIVE_EVERY: i64 = MINUTE;
/// Whatever the clock shows.
const SLEEPS_AT_MOST: Duration = Duration::from_secs(60);
/// A task whose facts cannot be read or written is tried again after this.
const POSTPONED: i64 = 60 * MINUTE;
/// A device that lost its session for longer than this was not here.
const HERE_WITHOUT_SESSION: i64 = MINUTE;

/// The worker: owned by the wiring.
#[derive(Debug)]
pub struct Watchman {
    store: Store,
    rules: latest::Receiver<Arc<LivePolicy>>,
    offline_policy: latest::Receiver<Arc<OfflinePolicy>>,
    sessions: Arc<Sessions>,
    clock: Clock,
    bell: Bell,
    outbox: Bell,
    roll: LivenessTracker,
    /// What the sessions ping for.
    judged_by: Arc<OfflinePolicy>,
    /// Since when errors of each device would have been heard.
    here_since: HashMap<DeviceId, Timestamp>,
    alive_at: Timestamp,
    started_at: Timestamp,
    /// The day whose devices are noted.
    noted: Option<i32>,
    /// What of the configuration is applied to the store.
    applied: Option<Arc<LivePolicy>>,
    /// Somebody was told that the hub is down.
    was_told_down: bool,
    /// The start is written down.
    is_started: bool,
    /// What is known of failing duties, as it was last told.
    seen: Option<failing::DutyStates>,
    workers: Workers,
    status: Worker,
    duties: Duties,
}

/// What the watchman does again and again.
#[derive(Debug)]
struct Duties {
    start: Duty,
    declared: Duty,
    devices: Duty,
    tasks: Duty,
    silences: Duty,
    alerts: Duty,
    new_devices: Duty,
    unreadable: Duty,
    failing: Duty,
    alive: Duty,
}

impl Duties {
    fn of(status: &Worker) -> Duties {
        Duties {
            start: status.duty("tell that the hub started"),
            declared: status.duty("apply declared tasks"),
            devices: status.duty("devices that are lost or back"),
            tasks: status.duty("tasks that are due"),
            silences: status.duty("silences that end"),
            alerts: status.duty("alerts that end"),
            new_devices: status.duty("tell new devices"),
            unreadable: status.duty("tell unreadable values"),
            failing: status.duty("tell failing duties"),
            alive: status.duty("note that the hub lives"),
        }
    }
}

impl Watchman {
    /// `bell` wakes it, `outbox` is rung when there is something to send.
    pub fn new(
        store: Store,
        rules: latest::Receiver<Arc<LivePolicy>>,
        offline_policy: latest::Receiver<Arc<OfflinePolicy>>,
        sessions: Arc<Sessions>,
        clock: Clock,
        bell: Bell,
        outbox: Bell,
    ) -> Watchman {
        let now = clock.now();
        let (roll, here_since) = (LivenessTracker::new(now), HashMap::new());
        let judged_by = offline_policy.borrow().clone();
        Watchman {
            store,
            rules,
            offline_policy,
            sessions,
            clock,
            bell,
            outbox,
            roll,
            judged_by,
            here_since,
            alive_at: now,
            started_at: now,
            noted: None,
            applied: None,
            was_told_down: false,
            is_started: false,
            seen: None,
            workers: Workers::default(),
            status: Worker::default(),
            duties: Duties::of(&Worker::default()),
        }
    }

    /// Nobody is told that those have joined who have by now: a story begins long after that.
    pub async fn devices_are_known(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.store.write(move |tx| affairs::devices_are_known(tx, now)).await
    }

    /// Somebody was told that the hub is down: that it is back is told too.
    pub fn was_told_down(self, was_told_down: bool) -> Watchman {
        Watchman { was_told_down, ..self }
    }

    /// Registers itself there, and tells which duties of all workers fail.
    pub fn with_workers(self, workers: &Workers, stuck_after: Duration) -> Watchman {
        let status = workers.register("watchman", stuck_after);
        Watchman { workers: workers.clone(), duties: Duties::of(&status), status, ..self }
    }

    /// Watches until `stop`.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        let mut bell = self.bell.listen();
        loop {
            self.status.beat();
            let round = async {
                let started = self.start().await;
                let started = self.after(&self.duties.start, started.map(|()| None))?;
                let next = self.run_due().await?;
                Ok(started.map_or(next, |again| again.min(next)))
            };
            let next = match round.await {
                Ok(next) => next,
                Err(StoreError::Closed) => return Ok(()),
                Err(error) => return Err(error),
            };
            self.status.idle();
            tokio::select! {
                () = stop.cancelled() => return self.stop().await,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return self.stop().await,
                () = bell.heard() => {}
                _ = self.rules.changed() => {}
                _ = self.offline_policy.changed() => {}
                () = self.clock.sleep_until(next) => {}
                // A clock that was set back does not put the watchman to sleep for as long.
                () = tokio::time::sleep(SLEEPS_AT_MOST) => {}
            }
        }
    }

    /// Tells that the hub started, once, and notes that it lives.
    async fn start(&mut self) -> Result<(), StoreError> {
        if self.is_started {
            return Ok(());
        }
        let (rules, now, was_told_down) = (self.rules.borrow().clone(), self.clock.now(), self.was_told_down);
        self.store.write(move |tx| affairs::started(tx, &rules, was_told_down, now)).await?;
        self.is_started = true;
        self.outbox.ring();
        Ok(())
    }

    async fn stop(&mut self) -> Result<(), StoreError> {
        self.is_started = false;
        let now = self.clock.now();
        // If it is not recorded, the next start says that this stop was not in order: so it was.
        if let Err(error) = self.store.write(move |tx| affairs::stopped(tx, now)).await {
            tracing::warn!(%error, "the stop was not recorded");
        }
        Ok(())
    }

    /// Does all that is due and says that the hub lives; returns when to look again.
    async fn run_due(&mut self) -> Result<Timestamp, StoreError> {
        let due = self.do_what_is_due().await?;
        let alive = self.note_alive().await;
        let alive = self.after(&self.duties.alive, alive.map(Some))?;
        let at_latest = self.clock.now().plus(ALIVE_EVERY);
        Ok([due, alive].into_iter().flatten().fold(at_latest, Timestamp::min))
    }

    /// Does all that is due; returns when something is due next, unless the bell rings before. Each duty runs on its own: what fails
    /// one of them keeps none of the others from its work. The error: a bug, or a store that is gone for good.
    pub async fn do_what_is_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let declared = self.apply_plans().await;
        let declared = self.after(&self.duties.declared, declared.map(|()| None))?;
        let devices = self.look_at_devices().await;
        let devices = self.after(&self.duties.devices, devices)?;
        let tasks = self.look_at_tasks().await;
        let tasks = self.after(&self.duties.tasks, tasks)?;
        let silences = self.look_at_silences().await;
        let silences = self.after(&self.duties.silences, silences)?;
        let alerts = self.end_alerts().await;
        let alerts = self.after(&self.duties.alerts, alerts)?;
        let new_devices = self.tell_new_devices().await;
        let new_devices = self.after(&self.duties.new_devices, new_devices)?;
        let unreadable = self.tell_unreadable().await;
        let unreadable = self.after(&self.duties.unreadable, unreadable.map(|()| None))?;
        let failing = self.tell_failing(Instant::now()).await;
        let failing = self.after(&self.duties.failing, failing.map(|()| None))?;
        Ok([declared, devices, tasks, silences, alerts, new_devices, unreadable, failing].into_iter().flatten().min())
    }

    /// The end of one round of a duty: when it is due next, or is tried again.
    fn after(
        &self,
        duty: &Duty,
        result: Result<Option<Timestamp>, StoreError>,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.status.beat();
        if matches!(result, Err(StoreError::Closed)) {
            return result;
        }
        let now = self.clock.now();
        let again = |duty: &Duty| i64::try_from(duty.retry_after().as_millis()).unwrap_or(MINUTE);
        Ok(duty.round(result, now)?.unwrap_or_else(|| Some(now.plus(again(duty)))))
    }

    /// Says that the hub lives; when it does so next.
    async fn note_alive(&mut self) -> Result<Timestamp, StoreError> {
        let now = self.clock.now();
        if !(0..ALIVE_EVERY).contains(&now.since(self.alive_at)) {
            self.store.write_relaxed(move |tx| affairs::alive(tx, now)).await?;
            self.alive_at = now;
        }
        Ok(self.alive_at.plus(ALIVE_EVERY))
    }

    /// Tells who is new and who waits to be accepted, when that is due; when it is due next.
    async fn tell_new_devices(&self) -> Result<Option<Timestamp>, StoreError> {
        let (rules, now) = (self.rules.borrow().clone(), self.clock.now());
        let due = self.store.read(affairs::devices_due).await?;
        if due.is_none_or(|due| due > now) {
            return Ok(due);
        }
        let next = self.store.write(move |tx| affairs::tell_devices(tx, &rules, now)).await?;
        self.outbox.ring();
        Ok(next)
    }

    /// Tells once that stored values cannot be read.
    async fn tell_unreadable(&self) -> Result<(), StoreError> {
        let (rules, now) = (self.rules.borrow().clone(), self.clock.now());
        if self.store.read(set_aside::is_any_untold).await?
            && self.store.write(move |tx| apply::unreadable::tell_set_aside(tx, &rules, now)).await?
        {
            self.outbox.ring();
        }
        Ok(())
    }

    /// Brings what is declared into the store, after a start and after each change.
    async fn apply_plans(&mut self) -> Result<(), StoreError> {
        let (rules, now) = (self.rules.borrow().clone(), self.clock.now());
        if self.applied.as_ref().is_some_and(|applied| Arc::ptr_eq(applied, &rules)) {
            return Ok(());
        }
        let looking = rules.clone();
        for device in self.store.read(move |tx| declared_tasks::differing(tx, &looking)).await? {
            let rules = rules.clone();
            self.store.write(move |tx| declared_tasks::apply_to(tx, &rules, device, now)).await?;
        }
        let measuring = rules.clone();
        self.store.write(move |tx| declared_tasks::recheck_if_calendar_changed(tx, &measuring, now)).await?;
        self.applied = Some(rules);
        self.outbox.ring();
        Ok(())
    }

    async fn look_at_devices(&mut self) -> Result<Option<Timestamp>, StoreError> {
        let (seen, open) = self.store.read(|tx| Ok((watch::last_seen(tx)?, incidents::open_absences(tx)?))).await?;
        self.note_patience();
        let presences = self.presences(&seen, &open);
        let now = self.clock.now();
        let is_back =
            |s: &&LastSeen| is_excused(s, &open) && presences.iter().any(|p| p.device == s.device.0 && p.is_connected);
        let back: Vec<u64> = seen.iter().filter(is_back).filter_map(|s| s.absence).collect();
        if !back.is_empty() {
            self.store.write(move |tx| back.iter().try_for_each(|number| watch::set_absence(tx, *number, &[]))).await?;
        }
        self.note_who_is_here(&presences, now);
        let rules = self.rules.borrow().clone();
        let today = day_of(now, rules.policy.zone);
        if self.noted != Some(today) {
            let away = open.iter().flat_map(|(_, absence)| absence.missing()).map(|member| member.device).collect();
            days::note(&self.store, &rules, &presences, &away, now).await?;
            self.noted = Some(today);
        }
        let is_due = self.roll.due_at(&presences, &open, now).is_some_and(|due| due <= now);
        if is_due && network::is_gone() {
            tracing::warn!("no network card is up: no device is judged until there is a network");
            self.roll.reset_timeouts(now);
        }
        let steps = self.roll.call(&presences, &open, now);
        if steps.is_empty() {
            return Ok(self.roll.due_at(&presences, &open, now));
        }
        let (pings, steps): (Vec<LivenessAction>, Vec<LivenessAction>) =
            steps.into_iter().partition(|s| matches!(s, LivenessAction::Ping(_)));
        for ping in pings {
            if let LivenessAction::Ping(devices) = ping {
                self.sessions.ping(&devices.into_iter().map(DeviceId).collect::<Vec<_>>());
            }
        }
        if !steps.is_empty() {
            let (rules, seen) = (self.rules.borrow().clone(), Arc::new(seen));
            self.store
                .write(move |tx| steps.iter().try_for_each(|step| write_absence(tx, &rules, &seen, step, now)))
                .await?;
            self.outbox.ring();
        }
        let open = self.store.read(incidents::open_absences).await?;
        Ok(self.roll.due_at(&presences, &open, now))
    }

    /// After a change of `offline_after` every device is pinged again; answers to pings of the old configuration do not count.
    fn note_patience(&mut self) {
        let offline_policy = self.offline_policy.borrow().clone();
        if offline_policy != self.judged_by {
            self.judged_by = offline_policy;
            self.roll.reset_timeouts(self.clock.now());
            self.sessions.ping(&self.sessions.snapshot().into_iter().map(|seat| seat.who.device).collect::<Vec<_>>());
        }
    }

    /// What the store last saw, and who has a session now.
    fn presences(&self, seen: &[LastSeen], open: &[(u64, OfflineGroup)]) -> Vec<DeviceSnapshot> {
        let offline_policy = &self.judged_by;
        let seats: HashMap<DeviceId, _> = self.sessions.snapshot().into_iter().map(|s| (s.who.device, s)).collect();
        seen.iter()
            .map(|device| {
                let seat = seats.get(&device.device);
                DeviceSnapshot {
                    device: device.device.0,
                    name: device.name.clone(),
                    is_connected: seat.is_some(),
                    heard_at: seat.map(|s| s.heard_at()).max(device.heard_at),
                    offline_after: offline_policy
                        .of(&device.name)
                        .filter(|_| seat.is_some() || !is_excused(device, open)),
                    said_bye: seat.is_none() && device.said_bye,
                    boot: seat.map(|s| s.who.boot).or(device.boot).filter(|_| !device.is_legacy),
                    peer: seat.map(|s| s.who.peer.to_string()).or_else(|| device.peer.clone()),
                }
            })
            .collect()
    }

    fn note_who_is_here(&mut self, presences: &[DeviceSnapshot], now: Timestamp) {
        let is_here = |p: &&DeviceSnapshot| {
            p.is_connected || p.heard_at.is_some_and(|heard| now.since(heard) < HERE_WITHOUT_SESSION)
        };
        let here: BTreeSet<DeviceId> = presences.iter().filter(is_here).map(|p| DeviceId(p.device)).collect();
        self.here_since.retain(|device, _| here.contains(device));
        for presence in presences.iter().filter(|p| p.is_connected) {
            self.here_since.entry(DeviceId(presence.device)).or_insert(now);
        }
    }

    async fn look_at_tasks(&self) -> Result<Option<Timestamp>, StoreError> {
        loop {
            let now = self.clock.now();
            let due = self.store.read(move |tx| watch::due_tasks(tx, now, PAGE)).await?;
            let is_last = due.len() < PAGE as usize;
            if !due.is_empty() {
                self.do_tasks(due, now).await?;
                self.outbox.ring();
            }
            if is_last {
                return self.store.read(task_store::next_due).await;
            }
        }
    }

    /// What a silence held that is over now is told; when the next one is.
    async fn look_at_silences(&self) -> Result<Option<Timestamp>, StoreError> {
        let now = self.clock.now();
        let mut progress = self.store.read(move |tx| apply::to_release(tx, now)).await?;
        while let Some(at) = progress {
            let rules = self.rules.borrow().clone();
            progress = match self.store.write(move |tx| apply::release(tx, &rules, at, now)).await {
                Err(error @ (StoreError::Refused(_) | StoreError::Row(_))) => {
                    tracing::error!(%error, "what silences held cannot be looked at: it is tried again");
                    return Ok(Some(now.plus(MINUTE)));
                }
                done => done?,
            };
            self.outbox.ring();
        }
        self.store.read(move |tx| silences::next_end(tx, now)).await
    }

    /// One page in one transaction; what the store refuses for one task is no reason to leave the others.
    async fn do_tasks(&self, due: Vec<(DeviceId, TaskId)>, now: Timestamp) -> Result<(), StoreError> {
        match self.do_page(due.clone(), now).await {
            Err(StoreError::Refused(_) | StoreError::Row(_)) => {}
            done => return done,
        }
        for (device, task) in due {
            match self.do_page(vec![(device, task)], now).await {
                Err(error @ (StoreError::Refused(_) | StoreError::Row(_))) => {
                    tracing::error!(%error, task = task.0, "a task cannot be looked at: tried again in an hour");
                    self.store.write(move |tx| watch::postpone_task(tx, task, now.plus(POSTPONED))).await?;
                }
                done => done?,
            }
        }
        Ok(())
    }

    async fn do_page(&self, due: Vec<(DeviceId, TaskId)>, now: Timestamp) -> Result<(), StoreError> {
        let rules = self.rules.borrow().clone();
        // Devices are locked in the order of their ids, as ingest does.
        let mut in_order: BTreeMap<DeviceId, Vec<TaskId>> = BTreeMap::new();
        for (device, task) in due {
            in_order.entry(device).or_default().push(task);
        }
        let place = |device: &DeviceId| {
            let heard_at = self.sessions.seat(*device).map(|seat| seat.heard_at());
            (*device, Connectivity { here_since: self.here_since.get(device).copied(), heard_at })
        };
        let places: HashMap<DeviceId, Connectivity> = in_order.keys().map(place).collect();
        let written = self.store.write(move |tx| {
            let mut unheard: Vec<DeviceId> = Vec::new();
            for (device, tasks) in &in_order {
                devices::lock(tx, *device)?;
                let place = places.get(device).copied().unwrap_or_default();
                for task in tasks {
                    if tasks::check(tx, &rules, *device, *task, place, now)? == CheckResult::Unheard {
                        unheard.push(*device);
                    }
                }
            }
            Ok(unheard)
        });
        self.sessions.ping(&written.await?);
        Ok(())
    }
}

/// A person closed the incident of a device that is still away: it is not told again before it was here.
fn is_excused(device: &LastSeen, open: &[(u64, OfflineGroup)]) -> bool {
    device.absence.is_some_and(|absence| open.iter().all(|(number, _)| *number != absence))
}

/// Adds the runs that were due while these devices were offline, so that a person hears of them with the return.
fn add_missed_runs(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    seen: &[LastSeen],
    content: &mut Content,
) -> Result<(), StoreError> {
    let Content::DevicesBack { devices, missed, n_missed, .. } = content else { return Ok(()) };
    for device in seen.iter().filter(|device| devices.contains(&device.name)) {
        missed.extend(declared_tasks::missed_offline(tx, rules, device.device)?);
    }
    missed.sort_by(|a, b| (a.due_at, &a.device, &a.task).cmp(&(b.due_at, &b.device, &b.task)));
    *n_missed = missed.len() as u64;
    missed.truncate(MISSED_RUNS_MAX);
    Ok(())
}

/// Writes what was decided about devices that went or came.
fn write_absence(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    seen: &[LastSeen],
    step: &LivenessAction,
    now: Timestamp,
) -> Result<(), StoreError> {
    let away = |absence: &OfflineGroup| absence.missing().map(|m| DeviceId(m.device)).collect::<Vec<_>>();
    let (number, content) = match step {
        LivenessAction::Ping(_) => return Ok(()),
        LivenessAction::Begin { absence, content } => {
            let name = affairs::list(absence.members.iter().map(|m| m.name.as_str()));
            let only = if let [only] = absence.members.as_slice() { Some(DeviceId(only.device)) } else { None };
            let begin = Begin { subject: Subject::Device, device: only, task: None, name: &name, at: absence.since };
            let number = incidents::begin(tx, &begin, absence)?;
            watch::set_absence(tx, number, &away(absence))?;
            days::lost(tx, rules, &away(absence), now)?;
            (number, Some(content))
        }
        LivenessAction::Change { number, absence, content } => {
            incidents::set_facts(tx, *number, absence)?;
            watch::set_absence(tx, *number, &away(absence))?;
            days::lost(tx, rules, &away(absence), now)?;
            (*number, content.as_ref())
        }
        LivenessAction::End { number, content } => {
            incidents::end(tx, *number, now, if content.is_some() { "back" } else { "forgotten" })?;
            watch::set_absence(tx, *number, &[])?;
            (*number, content.as_ref())
        }
    };
    let line = |what: &'static str, names: &[String]| {
        let list = affairs::list(names.iter().map(String::as_str));
        LogEntry::new(what).incident(number).about(Subject::Device.as_str()).devices(&list, names.len())
    };
    match content {
        Some(Content::DevicesLost { devices, .. }) => tx.note(line("device LOST", devices)),
        Some(Content::DevicesBack { devices, .. }) => tx.note(line("device BACK", devices)),
        Some(_) => {}
        None if matches!(step, LivenessAction::End { .. }) => tx.note(line("incident over", &[]).why("forgotten")),
        None => {}
    }
    let Some(mut content) = content.cloned() else { return Ok(()) };
    add_missed_runs(tx, rules, seen, &mut content)?;
    let (kind, names) = match &content {
        Content::DevicesBack { devices, missing, .. } => {
            (Kind::Back, if missing.is_empty() { devices.as_slice() } else { &[] })
        }
        Content::DevicesLost { devices, .. } => (Kind::Lost, devices.as_slice()),
        _ => (Kind::System, [].as_slice()),
    };
    let only = if let [only] = names { seen.iter().find(|d| d.name == *only) } else { None };
    let notice = Notice {
        kind,
        incident: Some(number),
        device: only.map(|d| d.name.clone()),
        address: only.and_then(|d| d.address.clone()),
        task: None,
        at: now,
        silence: None,
        content,
    };
    apply::enqueue_notice(tx, rules, &notice, now)
}

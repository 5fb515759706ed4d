//! Expectations: when must a task run next, and what follows if it does not.
//!
//! A task is expected by a schedule and a grace in hub.toml, by being declared there without one (at least once between two reports, or
//! within 26 h), by a schedule that its agent read on the machine (`read`), or by one learnt from past runs (`cadence`); the last two a report
//! has proposed and nobody has declined. [`Facts`] store
//! since when it is expected, when it was last seen, and the open incident. They yield one deadline, [`Facts::late_at`]. After it the task
//! is LOST, unless a run is seen.
//!
//! Any sign of the task counts as a run, a failing one too: that is ERR and not LOST. A run that is reported late counts as on time if
//! its own timestamp is on time. A task is not judged while its device is away, nor, after a reconnect, before the hub has the
//! device's backlog ([`Facts::park`], [`Facts::device_back`]). Also here: runs by `exec` that take far too long or vanish (`running`), and
//! giving up a learnt schedule after 3 misses and 7 days.
//!
//! Pure: facts, a plan and `now` in, [`ExpectationEffect`]s out. Must not know a store, a clock or sentences, and must not decide what an
//! error is (`incident` does).
//!
//! Invariants: a task cannot be late until its full grace has passed since its declaration and since its device joined; a recovery
//! goes only to those who got the alert; facts of an older version are read, facts of a later one are refused.

use chrono_tz::Tz;
use olog_proto::{BootId, Event, EventContent, LogKind, Timestamp, event::is_good_end, schedule::Schedule};
use olog_push::{Content, Expected, Kind, Recovery};
use serde::{Deserialize, Serialize};

use crate::rules::ACKNOWLEDGED_FOR;
use cadence::{Runs, Watched};
use offline::explains;
pub use plan::{ExpectationPolicy, Plan, TaskContext};
pub use proposal::{Learnt, ProposedSchedule};
use read::ReadExpectation;
pub use read::ReadSchedule;
use running::RunTracker;

mod cadence;
mod offline;
mod plan;
mod proposal;
mod read;
mod running;
#[cfg(test)]
mod tests;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// Without a schedule, at least this long.
const MIN_WINDOW_NO_SCHEDULE: i64 = 26 * HOUR;
/// A run may be this much before its time: clocks are not that exact.
const EARLY_TOLERANCE: i64 = MINUTE;
/// What fell due while its device was away has at least this long after its return.
const AFTER_RETURN: i64 = 10 * MINUTE;
/// Runs that are counted as missed.
const MISSED_MAX: usize = 10_000;
/// A habit is watched this long after it was proposed.
const WATCHED_AFTER: i64 = 24 * HOUR;
/// One that was missed so often, and for so long, is none any more.
const GONE_MISSED: u64 = 3;
const GONE_AFTER: i64 = 7 * 24 * HOUR;

/// What has to be written down, in this order, in the transaction of the facts.
#[derive(Debug, Clone, PartialEq)]
pub enum ExpectationEffect {
    /// A new incident: give it a number ([`Facts::opened_as`]) and a row from [`Facts::missed`].
    Begin,
    /// The row of the open one has changed.
    Update,
    /// That one is over.
    End {
        /// Its number.
        number: Option<u64>,
        /// When it should have come.
        due_at: Timestamp,
        /// When.
        at: Timestamp,
        /// Why.
        recovery: Recovery,
    },
    /// A run by `exec` did not end, because its machine restarted: an error of the task.
    RunVanished {
        /// The machine was seen with its new boot then.
        at: Timestamp,
    },
    /// Somebody has to be told.
    Notify {
        /// Its kind.
        kind: Kind,
        /// The incident.
        number: Option<u64>,
        /// When it happened.
        at: Timestamp,
        /// What.
        content: Content,
    },
}

/// All that is remembered of what is expected of one task; stored as one JSON column.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// The declared plan, and since when it is that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    declared: Option<DeclaredPlan>,
    /// The latest sign of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_at: Option<Timestamp>,
    /// A person said that nothing is to be expected.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_off: bool,
    /// A person closed an incident then: what came due before counts no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<Timestamp>,
    /// It fell due while its device was away, and is not judged before its return.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_parked: bool,
    /// Its device has just come back: not late before.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<Timestamp>,
    /// It was due while its device was offline, from then to then, and has not been seen since: the cause of a missed run.
    #[serde(skip_serializing_if = "Option::is_none")]
    device_offline: Option<(Timestamp, Timestamp)>,
    /// The open incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<Missed>,
    /// What its runs teach.
    #[serde(skip_serializing_if = "is_default")]
    runs: Runs,
    /// A habit that was proposed, and not refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    watched: Option<Watched>,
    /// A schedule that its agent read on the machine, and that no report has shown yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    offered: Option<ReadSchedule>,
    /// One that was shown, and not refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    read: Option<ReadExpectation>,
    /// It kept its habit no longer, and was given up then.
    #[serde(skip_serializing_if = "Option::is_none")]
    gone_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "RunTracker::is_nothing")]
    running: RunTracker,
    /// The task was forgotten then: what is older recreates nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    forgotten_at: Option<Timestamp>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct DeclaredPlan {
    plan: String,
    since: Timestamp,
}

/// A task that did not come: the facts of one incident.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Missed {
    /// The incident's number, once it has one.
    pub number: Option<u64>,
    /// When it should have come.
    pub due_at: Timestamp,
    /// Until when that was waited for.
    pub late_at: Timestamp,
    /// When it last came.
    pub seen_at: Option<Timestamp>,
    /// How often it should have come since.
    pub n_missed: u64,
    /// When a person acknowledged it.
    pub acknowledged_at: Option<Timestamp>,
    /// From when to when its device was offline, if it was due then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_offline: Option<(Timestamp, Timestamp)>,
    told_at: Timestamp,
}

/// The next time that a task has to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When it has to come.
    pub at: Timestamp,
    /// LOST from then on.
    pub late_at: Timestamp,
}

/// How a task stands to what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ExpectationStatus<'a> {
    /// Nothing is expected.
    Free,
    /// A person said that nothing is to be expected.
    Off,
    /// It was never seen, and need not have been yet.
    Waiting(Due),
    /// It came, and has to come again.
    InTime(Due),
    /// It did not come.
    Lost(&'a Missed),
}

impl Facts {
    /// Expectations of a task whose stored ones cannot be read: the declared plan, not judged before `not_before`, and the
    /// open incident. What was learnt is gone.
    pub fn remade(
        declared: Option<String>,
        since: Timestamp,
        not_before: Option<Timestamp>,
        missed: Option<Missed>,
    ) -> Facts {
        let declared = declared.map(|plan| DeclaredPlan { plan, since });
        let missed = missed.map(|missed| Missed { told_at: missed.told_at.max(missed.due_at), ..missed });
        Facts { declared, not_before, missed, ..Facts::default() }
    }

    /// One event of the task; `at` is its time in the hub's time.
    pub fn observe(
        &mut self,
        event: &Event,
        at: Timestamp,
        now: Timestamp,
        known: &TaskContext<'_>,
        policy: &ExpectationPolicy,
    ) -> Vec<ExpectationEffect> {
        let mut out = Vec::new();
        self.running.observe(event, at);
        let Some(sign) = sign(event) else { return out };
        self.learn(event, at, policy);
        self.seen_at = self.seen_at.max(Some(at));
        (self.is_parked, self.not_before, self.gone_at, self.device_offline) = (false, None, None, None);
        // What comes late may be of the time before the last.
        if self.missed.is_some() && self.due(known, policy).is_none_or(|due| due.late_at > now) {
            self.count(known, policy, now);
            self.end(Recovery::Ran { at, failed: sign.failed }, at, now, &mut out);
        }
        out
    }

    /// Time has passed, the device is here and the hub has all that it held.
    pub fn check(
        &mut self,
        now: Timestamp,
        known: &TaskContext<'_>,
        policy: &ExpectationPolicy,
    ) -> Vec<ExpectationEffect> {
        let mut out = Vec::new();
        if let Some(at) = self.running.vanished(now) {
            out.push(ExpectationEffect::RunVanished { at });
        }
        for (since, usual) in self.running.overdue(now, known.grace()) {
            let content = Content::TaskRuns { since, usual };
            out.push(ExpectationEffect::Notify { kind: Kind::Lost, number: None, at: now, content });
        }
        if self.missed.is_some() {
            self.look_at_missed(now, known, policy, &mut out);
            return out;
        }
        let Some(due) = self.due(known, policy).filter(|due| due.late_at <= now) else { return out };
        let seen_at = self.seen_at(known);
        let Due { at, late_at } = due;
        let device_offline = self.device_offline.filter(|offline| explains(*offline, at));
        let missed =
            Missed { due_at: at, late_at, seen_at, n_missed: 1, told_at: now, device_offline, ..Missed::default() };
        let content = missed.content(self.expected(known), false);
        self.missed = Some(missed);
        self.count(known, policy, now);
        out.push(ExpectationEffect::Begin);
        out.push(ExpectationEffect::Notify { kind: Kind::Lost, number: None, at: now, content });
        out
    }

    /// It is LOST still: told again from time to time; a habit that is not kept for long is none any more.
    fn look_at_missed(
        &mut self,
        now: Timestamp,
        known: &TaskContext<'_>,
        policy: &ExpectationPolicy,
        out: &mut Vec<ExpectationEffect>,
    ) {
        self.count(known, policy, now);
        let (expected, gone_at) = (self.expected(known), self.gives_up_at(known));
        let Some(missed) = &mut self.missed else { return };
        if gone_at.is_some_and(|gone| gone <= now) && missed.n_missed >= GONE_MISSED {
            out.push(ExpectationEffect::Update);
            out.push(ExpectationEffect::End {
                number: missed.number,
                due_at: missed.due_at,
                at: now,
                recovery: Recovery::Unexpected,
            });
            (self.missed, self.watched, self.gone_at) = (None, None, Some(now));
            self.runs = Runs::default();
        } else if missed.remind_at(policy) <= now {
            missed.told_at = now;
            let (number, content) = (missed.number, missed.content(expected, true));
            out.push(ExpectationEffect::Update);
            out.push(ExpectationEffect::Notify { kind: Kind::Remind, number, at: now, content });
        }
    }

    /// The device is back with another boot. True: a run was under way in the one before.
    pub fn device_rebooted(&mut self, boot: BootId, now: Timestamp) -> bool {
        self.running.rebooted(boot, now)
    }

    /// The device is away: what falls due is not judged.
    pub fn park(&mut self) {
        self.is_parked = self.missed.is_none();
    }

    /// What hub.toml says of it from now on.
    pub fn declare(&mut self, plan: Option<&Plan>, now: Timestamp) -> Vec<ExpectationEffect> {
        let mut out = Vec::new();
        let plan = plan.map(Plan::to_string);
        if self.declared.as_ref().map(|declared| &declared.plan) == plan.as_ref() {
            return out;
        }
        self.end(Recovery::Unexpected, now, now, &mut out);
        (self.is_parked, self.not_before) = (false, None);
        self.declared = plan.map(|plan| DeclaredPlan { plan, since: now });
        if self.declared.is_some() {
            (self.offered, self.read) = (None, None);
        }
        out
    }

    /// Is it a task for what is expected of it, seen or not?
    pub fn has_schedule(&self) -> bool {
        self.declared.is_some() || self.read.is_some() || self.offered.is_some()
    }

    /// What is left of a task that is forgotten now.
    pub fn forgotten(now: Timestamp) -> Facts {
        Facts { forgotten_at: Some(now), ..Facts::default() }
    }

    /// Is an event of that time older than that?
    pub fn forgets(&self, at: Timestamp) -> bool {
        self.forgotten_at.is_some_and(|forgotten| at <= forgotten)
    }

    /// The declared plan, as it is compared.
    pub fn declared(&self) -> Option<&str> {
        self.declared.as_ref().map(|declared| declared.plan.as_str())
    }

    /// When its habit was given up, if it did not come since.
    pub fn gone_at(&self) -> Option<Timestamp> {
        self.gone_at
    }

    /// Since when it runs, if a run is under way.
    pub fn running_since(&self) -> Option<Timestamp> {
        self.running.since()
    }

    /// The run that a ping ends, by its `rid` or without one, and since when it runs; `None`: nobody told its start.
    pub fn run_ended_by(&self, name: Option<&str>) -> Option<(&str, Timestamp)> {
        self.running.ended_by(name)
    }

    /// Runs from which a habit may be learnt.
    pub fn n_runs(&self) -> usize {
        self.runs.n()
    }

    /// A person says that the incident is over: the next time counts again.
    pub fn close(&mut self, now: Timestamp) -> Vec<ExpectationEffect> {
        let mut out = Vec::new();
        if self.missed.is_some() {
            self.closed_at = Some(now);
            self.end(Recovery::Closed, now, now, &mut out);
        }
        out
    }

    /// A person has read of it: no reminders for a while.
    pub fn acknowledge(&mut self, now: Timestamp) {
        if let Some(missed) = &mut self.missed {
            missed.acknowledged_at = Some(now);
        }
    }

    /// The number that the new incident got.
    pub fn opened_as(&mut self, number: u64) {
        if let Some(missed) = &mut self.missed {
            missed.number = Some(number);
        }
    }

    /// The open incident.
    pub fn missed(&self) -> Option<&Missed> {
        self.missed.as_ref()
    }

    /// When a person is told again that it did not come.
    pub fn remind_at(&self, policy: &ExpectationPolicy) -> Option<Timestamp> {
        self.missed.as_ref().map(|missed| missed.remind_at(policy))
    }

    /// LOST from then on, unless it comes; `None` if nothing is expected, or if it is LOST already.
    pub fn late_at(&self, known: &TaskContext<'_>, policy: &ExpectationPolicy) -> Option<Timestamp> {
        if self.missed.is_some() { None } else { self.due(known, policy).map(|due| due.late_at) }
    }

    /// When [`Facts::check`] has to be called next.
    pub fn look_at(&self, known: &TaskContext<'_>, policy: &ExpectationPolicy) -> Option<Timestamp> {
        let own = match &self.missed {
            Some(missed) => [Some(missed.remind_at(policy)), self.gives_up_at(known)].into_iter().flatten().min(),
            None => self.late_at(known, policy).filter(|_| !self.is_parked),
        };
        own.into_iter().chain(self.running.first_limit(known.grace()).filter(|_| !self.is_parked)).min()
    }

    /// How it stands.
    pub fn standing(&self, known: &TaskContext<'_>, policy: &ExpectationPolicy) -> ExpectationStatus<'_> {
        match (&self.missed, self.due(known, policy)) {
            (Some(missed), _) => ExpectationStatus::Lost(missed),
            (None, Some(due)) if self.seen_at(known).is_none() => ExpectationStatus::Waiting(due),
            (None, Some(due)) => ExpectationStatus::InTime(due),
            (None, None) if self.is_off => ExpectationStatus::Off,
            (None, None) => ExpectationStatus::Free,
        }
    }

    /// When it was last seen.
    pub fn seen_at(&self, known: &TaskContext<'_>) -> Option<Timestamp> {
        self.seen_at.max(known.seen_at)
    }

    /// When it has to come next.
    fn due(&self, known: &TaskContext<'_>, policy: &ExpectationPolicy) -> Option<Due> {
        if self.is_off {
            return None;
        }
        let due = match (&self.declared, &self.read) {
            (Some(declared), _) => self.declared_due(declared, known, policy)?,
            // What is new in hub.toml counts from when the facts know it.
            (None, _) if known.plan.is_some() => return None,
            (None, Some(read)) => self.read_due(read, known)?,
            (None, None) => self.learnt_due(known, policy)?,
        };
        let not_before = [self.not_before, self.running.until(known.grace())].into_iter().flatten().max();
        Some(Due { late_at: due.late_at.max(not_before.unwrap_or(due.late_at)), ..due })
    }

    fn declared_due(
        &self,
        declared: &DeclaredPlan,
        known: &TaskContext<'_>,
        policy: &ExpectationPolicy,
    ) -> Option<Due> {
        // What is new in the configuration counts from when the facts know it.
        let plan = known.plan.filter(|plan| plan.to_string() == declared.plan)?;
        let since = declared.since.max(known.joined_at).max(self.closed_at.unwrap_or(declared.since));
        match plan {
            Plan::Scheduled { schedule, grace } => {
                let at = slot(schedule, policy.zone, self.seen_at(known), since)?;
                Some(Due { at, late_at: at.plus(*grace) })
            }
            Plan::EachReport if known.is_alarm => None,
            Plan::EachReport => {
                let at = since.max(self.seen_at(known).unwrap_or(since));
                let at = at.plus(policy.window(at).max(MIN_WINDOW_NO_SCHEDULE));
                Some(Due { at, late_at: at })
            }
        }
    }

    fn learnt_due(&self, known: &TaskContext<'_>, policy: &ExpectationPolicy) -> Option<Due> {
        let Watched { habit, from, .. } = self.watched.as_ref().filter(|_| known.plan.is_none())?;
        let seen = self.seen_at(known).max(self.closed_at)?;
        let (at, late_at) = habit.next(seen, policy.zone);
        Some(Due { at, late_at: late_at.max(*from) })
    }

    /// A run teaches; one that does not fit speaks against what was learnt.
    fn learn(&mut self, event: &Event, at: Timestamp, policy: &ExpectationPolicy) {
        let Some(began) = cadence::run_of(event, at, self.seen_at) else { return };
        let before = self.runs.last();
        if self.runs.add(began)
            && let (Some(watched), Some(before)) = (&mut self.watched, before)
            && !watched.ran(began.since(before), began, policy.zone)
        {
            self.watched = None;
        }
    }

    /// What says that it has to come.
    fn expected(&self, known: &TaskContext<'_>) -> Expected {
        match (known.plan, &self.watched) {
            (Some(Plan::Scheduled { schedule, .. }), _) => Expected::Schedule { text: schedule.to_string() },
            (None, _) if self.read.is_some() => self
                .read
                .as_ref()
                .map_or(Expected::EachReport, |read| Expected::Read { when: read.schedule.when.clone() }),
            (None, Some(watched)) => Expected::Learnt { cadence: watched.habit.cadence.clone() },
            (Some(Plan::EachReport), _) | (None, None) => Expected::EachReport,
        }
    }

    /// How often it should have come since it is missed.
    fn count(&mut self, known: &TaskContext<'_>, policy: &ExpectationPolicy, now: Timestamp) {
        let period = self.watched.as_ref().map(|watched| watched.habit.period.max(MINUTE));
        let Some(missed) = &mut self.missed else { return };
        if let (None, Some(read)) = (known.plan, &self.read) {
            missed.n_missed = read.schedule.n_missed(missed.due_at, now);
            return;
        }
        match (known.plan, period) {
            (Some(Plan::Scheduled { schedule, grace }), _) => {
                let runs = schedule.runs_after(missed.due_at, policy.zone);
                missed.n_missed = 1 + runs.take_while(|run| run.plus(*grace) <= now).take(MISSED_MAX).count() as u64;
            }
            (None, Some(period)) => {
                missed.n_missed = 1 + u64::try_from(now.since(missed.late_at).max(0) / period).unwrap_or(0);
            }
            _ => {}
        }
    }

    /// When a habit that is not kept is given up.
    fn gives_up_at(&self, known: &TaskContext<'_>) -> Option<Timestamp> {
        let is_learnt = known.plan.is_none() && self.read.is_none();
        let (missed, watched) = (self.missed.as_ref()?, self.watched.as_ref().filter(|_| is_learnt)?);
        let missed_thrice = missed.late_at.plus(watched.habit.period.saturating_mul(GONE_MISSED as i64 - 1));
        Some(missed_thrice.max(missed.late_at.plus(GONE_AFTER)))
    }

    fn end(&mut self, recovery: Recovery, at: Timestamp, now: Timestamp, out: &mut Vec<ExpectationEffect>) {
        let Some(missed) = self.missed.take() else { return };
        let Missed { number, due_at, n_missed, acknowledged_at, .. } = missed;
        out.push(ExpectationEffect::End { number, due_at, at, recovery });
        let content = Content::TaskCame { due_at, recovery, n_missed, acknowledged_at };
        out.push(ExpectationEffect::Notify { kind: Kind::Over, number, at: now, content });
    }
}

impl Missed {
    fn remind_at(&self, policy: &ExpectationPolicy) -> Timestamp {
        let due = self.told_at.plus(policy.remind_every.max(MINUTE));
        self.acknowledged_at.map_or(due, |read| due.max(read.plus(ACKNOWLEDGED_FOR)))
    }

    fn content(&self, expected: Expected, is_reminder: bool) -> Content {
        Content::TaskLost {
            due_at: self.due_at,
            last_run_at: self.seen_at,
            expected,
            n_missed: self.n_missed,
            is_reminder,
            device_offline: self.device_offline,
        }
    }
}

/// What an event says of coming.
struct Sign {
    /// It came, and failed.
    failed: bool,
}

fn sign(event: &Event) -> Option<Sign> {
    let of_suffix = |suffix: LogKind| (suffix != LogKind::Msg).then_some(Sign { failed: suffix.is_error() });
    match &event.what {
        EventContent::Text { file, .. } | EventContent::Seen { file, .. } => of_suffix(file.suffix),
        // Emptied by its writer, who so has come; not by somebody who tidied up.
        EventContent::Cleared { suffix, deleted: false, .. } if *suffix != LogKind::Msg => Some(Sign { failed: false }),
        EventContent::RunStarted { .. } => Some(Sign { failed: false }),
        EventContent::RunEnded { exit, signal, .. } => Some(Sign { failed: !is_good_end(*exit, *signal) }),
        EventContent::Cleared { .. } | EventContent::Note(_) => None,
    }
}

/// The first time that a task has to come and has not: seen last at `seen`, and expected since `since`.
fn slot(schedule: &Schedule, zone: Tz, seen: Option<Timestamp>, since: Timestamp) -> Option<Timestamp> {
    let first = schedule.next_after(since, zone);
    let Some(seen) = seen else { return first };
    let next = schedule.next_after(seen, zone)?;
    let after_next = schedule.next_after(next, zone)?;
    let early = EARLY_TOLERANCE.min(after_next.since(next) / 2);
    let slot = if next.since(seen) <= early { after_next } else { next };
    first.map(|first| first.max(slot))
}

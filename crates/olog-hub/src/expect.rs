//! Expectations: when has a task to come, and what follows if it does not.
//!
//! What is expected stands in hub.toml: by a schedule and a grace, or at least once between two reports. [`Facts`] hold what has
//! to be remembered for that: since when it is expected, when the task was last seen, and the open incident. From them
//! follows one instant, [`Facts::late_at`]: LOST from then on, unless the task comes.
//!
//! Any sign of the task counts as coming, a failing run too: that is ERR and not LOST. What counts is the event's own time, in the
//! hub's time; so a run that is heard of late was in time if it was. A task is not judged while its device is away, nor before
//! the hub has all that the device held at its return: [`Facts::park`], [`Facts::device_back`].
//!
//! Pure: facts, a plan and `now` go in, [`Outcome`]s come out. Must not: know a store, a clock, or sentences; decide what an
//! error is (`incident` does).
//!
//! Invariants: nothing is late before it was expected that long, by the device and by the configuration; an end is told
//! to who was told of the begin; facts of an older version are read.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use olog_proto::{At, Event, Suffix, What};
use olog_push::{Came, Expected, Kind, Saying};
use serde::{Deserialize, Serialize};

use crate::schedule::Schedule;

#[cfg(test)]
mod tests;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// Without a schedule, at least this long (DESIGN §3).
const UNSCHEDULED: i64 = 26 * HOUR;
/// A run may be this much before its time: clocks are not that exact.
const EARLY: i64 = MINUTE;
/// What fell due while its device was away has at least this long after its return (DESIGN §3).
const AFTER_RETURN: i64 = 10 * MINUTE;
/// An acknowledgement holds reminders back for at most this long.
const ACKNOWLEDGED_FOR: i64 = 7 * 24 * HOUR;
/// Runs that are counted as missed.
const MISSED_MAX: usize = 10_000;

/// What of the configuration decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// In which schedules are meant.
    pub zone: Tz,
    /// When the report is made.
    pub report: Option<Schedule>,
    /// An open incident is told again after this long.
    pub remind_every: i64,
    /// What is declared, by device and task.
    pub plans: BTreeMap<String, BTreeMap<String, Plan>>,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { zone: Tz::UTC, report: None, remind_every: 24 * HOUR, plans: BTreeMap::new() }
    }
}

impl Policy {
    /// What is declared of that task.
    pub fn plan(&self, device: &str, task: &str) -> Option<&Plan> {
        self.plans.get(device)?.get(task)
    }
}

/// When a task has to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// By a schedule, and `grace` ms later at the latest.
    Scheduled {
        /// When.
        schedule: Schedule,
        /// How late it may be.
        grace: i64,
    },
    /// At least once between two reports, or within 26 h if that is longer.
    EachReport,
}

impl Plan {
    fn grace(&self) -> i64 {
        if let Plan::Scheduled { grace, .. } = self { *grace } else { 0 }
    }
}

impl std::fmt::Display for Plan {
    /// For comparing with what was declared before.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Plan::Scheduled { schedule, grace } => write!(f, "{schedule}; {grace}"),
            Plan::EachReport => f.write_str("each report"),
        }
    }
}

/// What is known of the task elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What is declared.
    pub plan: Option<&'a Plan>,
    /// It never left a log nor a run: its silence is all that can be hoped for.
    pub is_alarm: bool,
    /// It was seen then, by facts that are older than expectations.
    pub seen_at: Option<At>,
    /// When its device joined.
    pub joined_at: At,
}

/// What has to be written down, in this order, in the transaction of the facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A new incident: give it a number ([`Facts::opened_as`]) and a row from [`Facts::missed`].
    Begin,
    /// The row of the open one has changed.
    Update,
    /// That one is over.
    End {
        /// Its number.
        number: Option<u64>,
        /// When it should have come.
        due_at: At,
        /// When.
        at: At,
        /// Why.
        came: Came,
    },
    /// Somebody has to be told.
    Notify {
        /// Its kind.
        kind: Kind,
        /// The incident.
        number: Option<u64>,
        /// When it happened.
        at: At,
        /// What.
        saying: Saying,
    },
}

/// All that is remembered of what is expected of one task; stored as one JSON column.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The declared plan, and since when it is that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    declared: Option<Declared>,
    /// The latest sign of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen_at: Option<At>,
    /// A person said that nothing is to be expected.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_off: bool,
    /// A person closed an incident then: what came due before counts no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<At>,
    /// It fell due while its device was away, and is not judged before its return.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_parked: bool,
    /// Its device has just come back: not late before.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<At>,
    /// The open incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    missed: Option<Missed>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Declared {
    plan: String,
    since: At,
}

/// A task that did not come: the facts of one incident.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Missed {
    /// The incident's number, once it has one.
    pub number: Option<u64>,
    /// When it should have come.
    pub due_at: At,
    /// Until when that was waited for.
    pub late_at: At,
    /// When it last came.
    pub seen_at: Option<At>,
    /// How often it should have come since.
    pub n_missed: u64,
    /// When a person acknowledged it.
    pub acknowledged_at: Option<At>,
    told_at: At,
}

/// The next time that a task has to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// When it has to come.
    pub at: At,
    /// LOST from then on.
    pub late_at: At,
}

/// How a task stands to what is expected of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing<'a> {
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
    /// One event of the task; `at` is its time in the hub's time.
    pub fn observe(&mut self, event: &Event, at: At, now: At, known: &Known<'_>, policy: &Policy) -> Vec<Outcome> {
        let mut out = Vec::new();
        let Some(sign) = sign(event) else { return out };
        self.seen_at = self.seen_at.max(Some(at));
        (self.is_parked, self.not_before) = (false, None);
        // What comes late may be of the time before the last.
        if self.missed.is_some() && self.due(known, policy).is_none_or(|due| due.late_at > now) {
            self.end(Came::Ran { at, failed: sign.failed }, at, now, &mut out);
        }
        out
    }

    /// Time has passed, the device is here and the hub has all that it held.
    pub fn look(&mut self, now: At, known: &Known<'_>, policy: &Policy) -> Vec<Outcome> {
        let mut out = Vec::new();
        if let Some(missed) = &mut self.missed {
            if missed.remind_at(policy) <= now {
                missed.told_at = now;
                missed.n_missed = n_missed(missed, known.plan, policy, now);
                let told = (missed.number, missed.saying(known.plan, true));
                out.push(Outcome::Update);
                out.push(Outcome::Notify { kind: Kind::Remind, number: told.0, at: now, saying: told.1 });
            }
            return out;
        }
        let Some(due) = self.due(known, policy).filter(|due| due.late_at <= now) else { return out };
        let seen_at = self.seen_at(known);
        let Due { at, late_at } = due;
        let mut missed = Missed { due_at: at, late_at, seen_at, n_missed: 1, told_at: now, ..Missed::default() };
        missed.n_missed = n_missed(&missed, known.plan, policy, now);
        let saying = missed.saying(known.plan, false);
        self.missed = Some(missed);
        out.push(Outcome::Begin);
        out.push(Outcome::Notify { kind: Kind::Lost, number: None, at: now, saying });
        out
    }

    /// The device is away: what falls due is not judged.
    pub fn park(&mut self) {
        self.is_parked = self.missed.is_none();
    }

    /// The device is back; to be called of what fell due meanwhile.
    pub fn device_back(&mut self, now: At, known: &Known<'_>) {
        let grace = known.plan.map_or(0, Plan::grace);
        (self.is_parked, self.not_before) = (false, Some(now.plus(grace.max(AFTER_RETURN))));
    }

    /// What hub.toml says of it from now on.
    pub fn declare(&mut self, plan: Option<&Plan>, now: At) -> Vec<Outcome> {
        let mut out = Vec::new();
        let plan = plan.map(Plan::to_string);
        if self.declared.as_ref().map(|declared| &declared.plan) == plan.as_ref() {
            return out;
        }
        self.end(Came::Unexpected, now, now, &mut out);
        (self.is_parked, self.not_before) = (false, None);
        self.declared = plan.map(|plan| Declared { plan, since: now });
        out
    }

    /// The declared plan, as it is compared.
    pub fn declared(&self) -> Option<&str> {
        self.declared.as_ref().map(|declared| declared.plan.as_str())
    }

    /// A person says whether anything is to be expected.
    pub fn expect(&mut self, is_expected: bool, now: At) -> Vec<Outcome> {
        let mut out = Vec::new();
        if self.is_off == is_expected {
            self.is_off = !is_expected;
            self.closed_at = Some(now);
            self.end(Came::Unexpected, now, now, &mut out);
        }
        out
    }

    /// A person says that the incident is over: the next time counts again.
    pub fn close(&mut self, now: At) -> Vec<Outcome> {
        let mut out = Vec::new();
        if self.missed.is_some() {
            self.closed_at = Some(now);
            self.end(Came::Closed, now, now, &mut out);
        }
        out
    }

    /// A person has read of it: no reminders for a while.
    pub fn acknowledge(&mut self, now: At) {
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

    /// LOST from then on, unless it comes; `None` if nothing is expected, or if it is LOST already.
    pub fn late_at(&self, known: &Known<'_>, policy: &Policy) -> Option<At> {
        if self.missed.is_some() { None } else { self.due(known, policy).map(|due| due.late_at) }
    }

    /// When [`Facts::look`] has to be called next.
    pub fn look_at(&self, known: &Known<'_>, policy: &Policy) -> Option<At> {
        match &self.missed {
            Some(missed) => Some(missed.remind_at(policy)),
            None => self.late_at(known, policy).filter(|_| !self.is_parked),
        }
    }

    /// How it stands.
    pub fn standing(&self, known: &Known<'_>, policy: &Policy) -> Standing<'_> {
        match (&self.missed, self.due(known, policy)) {
            (Some(missed), _) => Standing::Lost(missed),
            (None, Some(due)) if self.seen_at(known).is_none() => Standing::Waiting(due),
            (None, Some(due)) => Standing::InTime(due),
            (None, None) if self.is_off => Standing::Off,
            (None, None) => Standing::Free,
        }
    }

    /// When it was last seen.
    pub fn seen_at(&self, known: &Known<'_>) -> Option<At> {
        self.seen_at.max(known.seen_at)
    }

    /// When it has to come next.
    fn due(&self, known: &Known<'_>, policy: &Policy) -> Option<Due> {
        // What is new in the configuration counts from when the facts know it.
        let declared = self.declared.as_ref().filter(|_| !self.is_off)?;
        let plan = known.plan.filter(|plan| plan.to_string() == declared.plan)?;
        let since = declared.since.max(known.joined_at).max(self.closed_at.unwrap_or(declared.since));
        let due = match plan {
            Plan::Scheduled { schedule, grace } => {
                let at = slot(schedule, policy.zone, self.seen_at(known), since)?;
                Due { at, late_at: at.plus(*grace) }
            }
            Plan::EachReport if known.is_alarm => return None,
            Plan::EachReport => {
                let at = since.max(self.seen_at(known).unwrap_or(since));
                let at = at.plus(window(policy, at).max(UNSCHEDULED));
                Due { at, late_at: at }
            }
        };
        Some(Due { late_at: due.late_at.max(self.not_before.unwrap_or(due.late_at)), ..due })
    }

    fn end(&mut self, came: Came, at: At, now: At, out: &mut Vec<Outcome>) {
        let Some(missed) = self.missed.take() else { return };
        let Missed { number, due_at, n_missed, acknowledged_at, .. } = missed;
        out.push(Outcome::End { number, due_at, at, came });
        let saying = Saying::TaskCame { due_at, came, n_missed, acknowledged_at };
        out.push(Outcome::Notify { kind: Kind::Over, number, at: now, saying });
    }
}

impl Missed {
    fn remind_at(&self, policy: &Policy) -> At {
        let due = self.told_at.plus(policy.remind_every.max(MINUTE));
        self.acknowledged_at.map_or(due, |read| due.max(read.plus(ACKNOWLEDGED_FOR)))
    }

    fn saying(&self, plan: Option<&Plan>, is_reminder: bool) -> Saying {
        let expected = match plan {
            Some(Plan::Scheduled { schedule, .. }) => Expected::Schedule { text: schedule.to_string() },
            Some(Plan::EachReport) | None => Expected::EachReport,
        };
        Saying::TaskLost {
            due_at: self.due_at,
            last_run_at: self.seen_at,
            expected,
            n_missed: self.n_missed,
            is_reminder,
        }
    }
}

/// What an event says of coming.
struct Sign {
    /// It came, and failed.
    failed: bool,
}

fn sign(event: &Event) -> Option<Sign> {
    let of_suffix = |suffix: Suffix| (suffix != Suffix::Msg).then_some(Sign { failed: suffix.is_error() });
    match &event.what {
        What::Text { file, .. } | What::Seen { file, .. } => of_suffix(file.suffix),
        // Emptied by its writer, who so has come; not by somebody who tidied up.
        What::Cleared { suffix, deleted: false, .. } if *suffix != Suffix::Msg => Some(Sign { failed: false }),
        What::RunStarted { .. } => Some(Sign { failed: false }),
        What::RunEnded { exit, signal, .. } => {
            Some(Sign { failed: exit.is_some_and(|code| code != 0) || signal.is_some() })
        }
        What::Cleared { .. } | What::Note(_) => None,
    }
}

/// The first time that a task has to come and has not: seen last at `seen`, and expected since `since`.
fn slot(schedule: &Schedule, zone: Tz, seen: Option<At>, since: At) -> Option<At> {
    let first = schedule.next_after(since, zone);
    let Some(seen) = seen else { return first };
    let next = schedule.next_after(seen, zone)?;
    let after_next = schedule.next_after(next, zone)?;
    let early = EARLY.min(after_next.since(next) / 2);
    let slot = if next.since(seen) <= early { after_next } else { next };
    first.map(|first| first.max(slot))
}

/// How long it is from one report to the next, for what was seen at `at`.
fn window(policy: &Policy, at: At) -> i64 {
    let reports = policy.report.as_ref().and_then(|report| {
        let next = report.next_after(at, policy.zone)?;
        Some(report.next_after(next, policy.zone)?.since(next))
    });
    reports.unwrap_or(0)
}

/// How often it should have come since it is missed.
fn n_missed(missed: &Missed, plan: Option<&Plan>, policy: &Policy, now: At) -> u64 {
    let Some(Plan::Scheduled { schedule, grace }) = plan else { return missed.n_missed };
    let later = schedule.runs_after(missed.due_at, policy.zone).take_while(|run| run.plus(*grace) <= now);
    1 + later.take(MISSED_MAX).count() as u64
}

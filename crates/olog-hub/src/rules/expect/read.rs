//! A schedule that the device's agent read on its machine, in a crontab or a timer (`olog-agent jobs --declare`).
//!
//! It is a proposal first, like a learnt one: a report shows it, and a day later it counts, unless a person refuses it
//! ([`Facts::was_proposed`]); `task expect … on` accepts it at once. It stands between the two other sources: what hub.toml declares, and
//! what a person has turned off, is never replaced by it; a learnt schedule is, because the machine says more exactly when the task runs.
//! While a newer one waits to be shown, the one before stays in force.
//!
//! Invariant: no run counts as missed that was due before the schedule was in force.

use chrono_tz::Tz;
use olog_proto::{
    Timestamp,
    job::{JobOutcome, JobSchedule, ProposedJob},
    schedule::Schedule,
};
use serde::{Deserialize, Serialize};

use super::{Due, ExpectationEffect, Facts, MINUTE, MISSED_MAX, TaskContext, WATCHED_AFTER, cadence, slot};

/// When a task runs, as its machine has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadSchedule {
    /// When it runs.
    pub when: JobSchedule,
    /// The machine itself may start it this much later (ms).
    #[serde(default)]
    pub slack: i64,
    /// How late it may be besides (ms); `None`: as late as with a learnt schedule of the same period.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<i64>,
}

/// One that counts, or will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReadExpectation {
    pub(super) schedule: ReadSchedule,
    /// From then on.
    pub(super) from: Timestamp,
}

impl ReadSchedule {
    /// What a job says, if this hub understands it; else why not.
    pub fn new(job: &ProposedJob) -> Result<ReadSchedule, String> {
        if let JobSchedule::Calendar { schedule, zone } = &job.when {
            schedule.parse::<Schedule>().map_err(|error| error.to_string())?;
            zone.parse::<Tz>().map_err(|_| format!("no such time zone: {zone}"))?;
        }
        let ms = |span: u64| i64::try_from(span).unwrap_or(i64::MAX);
        Ok(ReadSchedule { when: job.when.clone(), slack: ms(job.slack), grace: job.grace.map(ms) })
    }

    fn calendar(&self) -> Option<(Schedule, Tz)> {
        match &self.when {
            JobSchedule::Calendar { schedule, zone } => schedule.parse().ok().zip(zone.parse().ok()),
            JobSchedule::Every { .. } => None,
        }
    }

    fn period(&self) -> Option<i64> {
        match &self.when {
            JobSchedule::Every { period } => i64::try_from(*period).ok().map(|period| period.max(1)),
            JobSchedule::Calendar { .. } => None,
        }
    }

    fn late_by(&self, period: i64) -> i64 {
        self.slack.saturating_add(self.grace.unwrap_or_else(|| cadence::grace_of(period)))
    }

    /// How late it may be after the first run that comes after `at`.
    pub fn lateness(&self, at: Timestamp) -> i64 {
        let period = self.period().or_else(|| {
            let (schedule, zone) = self.calendar()?;
            let next = schedule.next_after(at, zone)?;
            Some(schedule.next_after(next, zone)?.since(next))
        });
        self.late_by(period.unwrap_or(MINUTE))
    }

    fn due(&self, seen: Option<Timestamp>, since: Timestamp) -> Option<Due> {
        let (at, period) = match self.period() {
            Some(period) => (seen.max(Some(since))?.plus(period), period),
            None => {
                let (schedule, zone) = self.calendar()?;
                let at = slot(&schedule, zone, seen, since)?;
                (at, schedule.next_after(at, zone)?.since(at))
            }
        };
        Some(Due { at, late_at: at.plus(self.late_by(period)) })
    }

    /// How often it has been missed by now, first at `due_at`.
    pub(super) fn n_missed(&self, due_at: Timestamp, now: Timestamp) -> u64 {
        if let Some(period) = self.period() {
            return 1 + u64::try_from(now.since(due_at.plus(self.late_by(period))).max(0) / period).unwrap_or(0);
        }
        let Some((schedule, zone)) = self.calendar() else { return 1 };
        let late = |at: Timestamp| schedule.next_after(at, zone).map_or(0, |next| self.late_by(next.since(at)));
        1 + schedule.runs_after(due_at, zone).take_while(|run| run.plus(late(*run)) <= now).take(MISSED_MAX).count()
            as u64
    }
}

impl Facts {
    /// The agent proposes a schedule. What hub.toml declares and what a person refused stays as it is.
    pub fn offer(&mut self, schedule: ReadSchedule, known: &TaskContext<'_>) -> JobOutcome {
        if known.plan.is_some() || self.declared.is_some() {
            return JobOutcome::Declared;
        }
        if self.is_off {
            return JobOutcome::Refused;
        }
        if self.read.as_ref().is_some_and(|read| read.schedule == schedule) {
            self.offered = None;
            return JobOutcome::Known;
        }
        self.offered = Some(schedule);
        JobOutcome::Proposed
    }

    /// The schedule of the machine that counts, and since when.
    pub fn read(&self) -> Option<(&ReadSchedule, Timestamp)> {
        self.read.as_ref().map(|read| (&read.schedule, read.from))
    }

    /// What is offered counts from `from` on. An incident of the schedule before is over.
    pub(super) fn take_offer(&mut self, from: Timestamp, now: Timestamp) -> Vec<ExpectationEffect> {
        let mut out = Vec::new();
        if let Some(schedule) = self.offered.take() {
            self.end(olog_push::Recovery::Unexpected, now, now, &mut out);
            (self.is_parked, self.not_before) = (false, None);
            self.read = Some(ReadExpectation { schedule, from });
        }
        out
    }

    /// The proposal was shown: it is watched from tomorrow, unless a person refuses it.
    pub(super) fn offer_was_shown(&mut self, now: Timestamp) -> Vec<ExpectationEffect> {
        self.take_offer(now.plus(WATCHED_AFTER), now)
    }

    pub(super) fn read_due(&self, read: &ReadExpectation, known: &TaskContext<'_>) -> Option<Due> {
        let since = read.from.max(known.joined_at).max(self.closed_at.unwrap_or(read.from));
        read.schedule.due(self.seen_at(known), since)
    }
}

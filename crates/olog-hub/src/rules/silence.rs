//! Silences (maintenance windows, "not an error"): is a notification held back, by which rule, and what is told when the rule ends.
//!
//! A [`Silence`] is a rule over devices and tasks: for a time, until the user ends it, or in windows that come again. "Not an error" is
//! the same rule with a fingerprint. Silences only hold back notifications; events, states and incidents do not know them.
//!
//! For each incident with held notifications, [`SuppressedState`] stores whether the user had been notified before the silence, and whether the
//! incident has ended. [`step`] updates it, notification by notification. When the last silence ends, at most one notification
//! follows: still failing, or recovered. Invariant, tried on random histories: once the silences are over, the user believes of
//! every incident what they would believe without them.
//!
//! Pure: rules, notifications and `now` in. Must not know a store, a clock, or sentences.

use chrono_tz::Tz;
use olog_proto::{Fingerprint, Timestamp};
use olog_push::channel::glob;
use olog_push::words::literal;
use olog_push::{Content, Notice, Reason, SystemCode};
use serde::Serialize;

use olog_proto::schedule::Schedule;

#[cfg(test)]
mod tests;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// Silences that are not over, at most: each notice is compared with all of them.
pub const SILENCES_MAX: u64 = 500;
/// Characters of a pattern.
const PATTERN_MAX: usize = 200;
/// Characters of a comment.
pub const COMMENT_MAX: usize = 500;
/// The longest that one lasts; what has a fingerprint may last for ever.
const LASTS_MAX: i64 = 366 * DAY;
/// Windows of a schedule that are looked at for overlaps.
const WINDOWS_LOOKED_AT: usize = 400;

/// What a silence holds back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Scope {
    /// Of devices whose name matches.
    pub device: String,
    /// Of tasks whose name matches; `None`: of the devices themselves too.
    pub task: Option<String>,
    /// Only this error.
    pub fingerprint: Option<Fingerprint>,
}

impl Scope {
    /// Of this device, or of this task of it, whatever characters their names have.
    pub fn of(device: &str, task: Option<&str>) -> Scope {
        Scope { device: literal(device), task: task.map(literal), fingerprint: None }
    }
}

/// A window that comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recurrence {
    /// It begins then, as crontab(5) has it, …
    pub schedule: Schedule,
    /// … in this zone, …
    pub zone: Tz,
    /// … and lasts so many ms.
    pub lasts: i64,
}

/// From when until when a silence holds; without an end until a person ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// From then on.
    pub from: Timestamp,
    /// No longer than that.
    pub until: Option<Timestamp>,
}

impl Period {
    /// Is it now?
    pub fn holds(self, now: Timestamp) -> bool {
        self.from <= now && self.until.is_none_or(|until| now < until)
    }

    /// Is it behind us?
    pub fn is_over(self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

/// A rule, as it stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Its number.
    pub id: u64,
    /// What it holds back.
    pub scope: Scope,
    /// When; of windows the one that is now, or the next.
    pub period: Period,
    /// Its windows, if they come again.
    pub every: Option<Recurrence>,
}

/// Why a silence is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A pattern.
    #[error("{what}: expected 1 to {PATTERN_MAX} characters without controls; `*` is any text, `?` any character")]
    Pattern {
        /// Of what.
        what: &'static str,
    },
    /// Too long a comment.
    #[error("the comment is longer than {COMMENT_MAX} characters")]
    Comment,
    /// Nothing says when it ends.
    #[error(
        "a silence needs an end: say for how long, or until when; only \"not an error\" (a fingerprint) may last for ever"
    )]
    Endless,
    /// It would be over before it began.
    #[error("it would be over before it began")]
    Over,
    /// Too short or too long.
    #[error("a silence lasts at least 1 minute and at most 366 days")]
    Lasts,
    /// Windows that leave no time between them.
    #[error(
        "the next window would begin before the last one is over, so that nothing would ever be told: make it shorter"
    )]
    Overlaps,
    /// There are too many.
    #[error("there are {SILENCES_MAX} silences already: end some, see `olog-hub silence list`")]
    TooMany,
}

impl Scope {
    /// May it stand like that?
    pub fn check(&self) -> Result<(), Refused> {
        let is_good = |pattern: &str| {
            let n = pattern.chars().count();
            (1..=PATTERN_MAX).contains(&n) && !pattern.chars().any(char::is_control)
        };
        if !is_good(&self.device) {
            return Err(Refused::Pattern { what: "device" });
        }
        match &self.task {
            Some(task) if !is_good(task) => Err(Refused::Pattern { what: "task" }),
            _ => Ok(()),
        }
    }

    /// Of the device itself only what is meant for all of it; of a task what is meant for the task, or for its device.
    fn covers(&self, device: Option<&str>, task: Option<&str>) -> bool {
        let Some(device) = device else { return false };
        let of_task = match (&self.task, task) {
            (None, _) => true,
            (Some(pattern), Some(task)) => glob(pattern, task),
            (Some(_), None) => false,
        };
        of_task && glob(&self.device, device)
    }
}

impl Period {
    /// One that is made now: bounded, and with an end unless it is of one error.
    pub fn check(self, scope: &Scope, now: Timestamp) -> Result<(), Refused> {
        match self.until {
            None if scope.fingerprint.is_some() => Ok(()),
            None => Err(Refused::Endless),
            Some(until) if until <= now || until <= self.from => Err(Refused::Over),
            Some(until) if !(MINUTE..=LASTS_MAX).contains(&until.since(self.from)) => Err(Refused::Lasts),
            Some(_) if self.from.since(now) > LASTS_MAX => Err(Refused::Lasts),
            Some(_) => Ok(()),
        }
    }
}

impl Recurrence {
    /// May it stand like that? There must be time between two windows.
    pub fn check(&self, now: Timestamp) -> Result<(), Refused> {
        if !(MINUTE..=LASTS_MAX).contains(&self.lasts) {
            return Err(Refused::Lasts);
        }
        let runs: Vec<Timestamp> = self.schedule.runs_after(now, self.zone).take(WINDOWS_LOOKED_AT).collect();
        let overlaps = runs.iter().zip(runs.iter().skip(1)).any(|(a, b)| b.since(*a) <= self.lasts);
        if overlaps { Err(Refused::Overlaps) } else { Ok(()) }
    }

    /// The window that is now, or the next one.
    pub fn period(&self, now: Timestamp) -> Option<Period> {
        let from = self.schedule.next_after(now.plus(-self.lasts), self.zone)?;
        Some(Period { from, until: Some(from.plus(self.lasts)) })
    }
}

impl Silence {
    /// When it holds: of windows the one that is now or the next, even if nobody has looked for long.
    pub fn period(&self, now: Timestamp) -> Option<Period> {
        match &self.every {
            Some(every) if self.period.is_over(now) => every.period(now),
            _ => Some(self.period),
        }
    }

    /// When it holds between two instants, the earliest first; at most `max` windows.
    pub fn windows(&self, from: Timestamp, to: Timestamp, max: usize) -> Vec<Period> {
        let Some(every) = &self.every else {
            let is_within = self.period.from < to && self.period.until.is_none_or(|until| until > from);
            return if is_within { vec![self.period] } else { Vec::new() };
        };
        let runs = every.schedule.runs_after(from.plus(-every.lasts), every.zone).take_while(|run| *run < to).take(max);
        runs.map(|run| Period { from: run, until: Some(run.plus(every.lasts)) }).collect()
    }

    /// Does it hold now?
    pub fn holds(&self, now: Timestamp) -> bool {
        self.period(now).is_some_and(|period| period.holds(now))
    }
}

/// What a notice is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// Its device.
    pub device: Option<&'a str>,
    /// Its task.
    pub task: Option<&'a str>,
    /// The errors that it tells of, all of them.
    pub fingerprints: &'a [Fingerprint],
}

/// Which silence holds this back: one for whatever it is, or those of each of its errors.
pub fn held_by(silences: &[Silence], about: About<'_>, now: Timestamp) -> Option<u64> {
    let covers = |s: &&Silence| s.scope.covers(about.device, about.task) && s.holds(now);
    if let Some(whole) = silences.iter().filter(|s| s.scope.fingerprint.is_none()).find(covers) {
        return Some(whole.id);
    }
    let of_error = |error: &Fingerprint| {
        silences.iter().filter(|s| s.scope.fingerprint == Some(*error)).find(covers).map(|silence| silence.id)
    };
    // One error that nobody spoke of is enough.
    let by: Option<Vec<u64>> = about.fingerprints.iter().map(of_error).collect();
    by?.first().copied()
}

/// Is it for silences to hold this back? Not what is Olog's own affair, nor a report.
pub fn may_hold(notice: &Notice) -> bool {
    match &notice.content {
        Content::Report(_) => false,
        // What lasts of an agent's troubles is told when the silence ends; what only happened would be lost.
        Content::System { code: SystemCode::AgentNote | SystemCode::AgentNoteOver, .. } => notice.incident.is_some(),
        Content::System { .. } => false,
        _ => true,
    }
}

/// What a notification changes in what the user knows of its incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    /// It has begun.
    Begins,
    /// It goes on; whoever hears this has heard that it began.
    GoesOn,
    /// It is over.
    Ends,
    /// Nothing: it only happened.
    Happens,
}

/// What it does.
pub fn transition(notice: &Notice) -> Transition {
    match &notice.content {
        Content::Error { why: Reason::First | Reason::Again | Reason::Reopened | Reason::InARow { .. }, .. } => {
            Transition::Begins
        }
        Content::Error { .. } | Content::Remind { .. } => Transition::GoesOn,
        Content::TaskLost { is_reminder, .. } => {
            if *is_reminder {
                Transition::GoesOn
            } else {
                Transition::Begins
            }
        }
        // Of what comes and goes a person may know: in doubt its end is told.
        Content::DevicesLost { n_times: Some(_), .. } => Transition::GoesOn,
        Content::TaskRuns { .. } | Content::DevicesLost { .. } => Transition::Begins,
        Content::Over { .. } | Content::TaskCame { .. } | Content::DevicesBack { .. } => Transition::Ends,
        Content::System { code: SystemCode::AgentNote, .. } if notice.incident.is_some() => Transition::Begins,
        Content::System { code: SystemCode::AgentNoteOver, .. } => Transition::Ends,
        Content::Message { .. } | Content::System { .. } | Content::Report(_) => Transition::Happens,
    }
}

/// An incident of which a notification was held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuppressedState {
    /// By which silence.
    pub by: u64,
    /// A person was told that it began.
    pub knew: bool,
    /// It has ended since.
    pub is_over: bool,
}

/// What is done with a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldDecision {
    /// It is told.
    Tell,
    /// It is not told: this silence holds it, or held its begin.
    Hold(u64),
}

/// One notification of an incident: is it told or held, and what is stored from now on.
pub fn step(
    held: Option<SuppressedState>,
    transition: Transition,
    by: Option<u64>,
) -> (HoldDecision, Option<SuppressedState>) {
    match (by, transition, held) {
        (Some(by), Transition::Happens, held) => (HoldDecision::Hold(by), held),
        (None, Transition::Happens, held) => (HoldDecision::Tell, held),
        // It began and ended where nobody heard of it.
        (by, Transition::Ends, Some(SuppressedState { knew: false, by: began, .. })) => {
            (HoldDecision::Hold(by.unwrap_or(began)), None)
        }
        (Some(by), Transition::Ends, _) => {
            (HoldDecision::Hold(by), Some(SuppressedState { by, knew: true, is_over: true }))
        }
        (Some(by), Transition::Begins, held) => {
            let knew = held.is_some_and(|held| held.knew);
            (HoldDecision::Hold(by), Some(SuppressedState { by, knew, is_over: false }))
        }
        (Some(by), Transition::GoesOn, held) => {
            let knew = held.is_none_or(|held| held.knew);
            (HoldDecision::Hold(by), Some(SuppressedState { by, knew, is_over: false }))
        }
        (None, _, _) => (HoldDecision::Tell, None),
    }
}

/// Is the older of two held notifications of an open incident the one to keep? The first sign is, and an error rather than a
/// reminder of one.
pub fn keeps(older: &Notice, newer: &Notice) -> bool {
    let is_error = |notice: &Notice| matches!(notice.content, Content::Error { .. });
    transition(older) != Transition::Ends && (is_error(older) || !is_error(newer))
}

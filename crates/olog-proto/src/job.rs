//! The schedules of a machine's jobs, as its agent read them in crontabs and timers (`olog-agent jobs --declare`).
//!
//! They are proposals: the hub shows each to the operator before it expects anything, and answers what it made of each. An agent sends
//! them only to a hub whose `welcome` accepts [`crate::frame::JOBS`]. They are not events: they have no number, are not kept in the spool, and are
//! sent again only if somebody asks for it again.
//!
//! Must not: decide what is expected (the hub's rules do).

use serde::{Deserialize, Serialize};

use crate::{DeviceName, TEXT_MAX, TaskName, clean};

/// Jobs in one frame.
pub const JOBS_MAX: usize = 100;
/// Bytes of a schedule, and of the name of a time zone.
pub const SCHEDULE_MAX: usize = 500;
/// No period, slack or grace is longer, in milliseconds: a year and a day.
pub const SPAN_MAX: u64 = 367 * 24 * 3_600_000;

/// One job that the hub should expect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposedJob {
    /// The task as which it reports.
    pub task: TaskName,
    /// When it runs.
    pub when: JobSchedule,
    /// The machine itself may start it this much later, in milliseconds: the random delay and the accuracy of a timer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub slack: u64,
    /// How late it may be besides, in milliseconds; without it, the hub decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<u64>,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobSchedule {
    /// By the calendar.
    Calendar {
        /// A line for [`crate::schedule::Schedule`].
        #[serde(deserialize_with = "clean::decode_line")]
        schedule: String,
        /// The time zone in which it is meant, such as `Europe/Berlin`.
        #[serde(deserialize_with = "clean::decode_line")]
        zone: String,
    },
    /// Again and again.
    Every {
        /// After so many milliseconds.
        period: u64,
    },
}

/// What the hub made of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobAnswer {
    /// Its task.
    pub task: TaskName,
    /// What became of it.
    pub outcome: JobOutcome,
    /// Why it is invalid.
    #[serde(default, skip_serializing_if = "String::is_empty", deserialize_with = "clean::decode_line")]
    pub detail: String,
}

/// What became of a proposed job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// It is shown in the next report, and expected a day later.
    Proposed,
    /// The hub expects just this already.
    Known,
    /// hub.toml declares the task: that counts.
    Declared,
    /// A person has turned the expectations of this task off: that counts.
    Refused,
    /// The device has reached a limit of the hub.
    Limit,
    /// No schedule that this hub understands.
    Invalid,
    /// An answer that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What a hub answers to a frame of jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobAnswers {
    /// The device's name at the hub, as its verbs take it.
    pub device: DeviceName,
    /// One for each job, in their order.
    pub answers: Vec<JobAnswer>,
}

impl ProposedJob {
    pub(crate) fn is_bounded(&self) -> bool {
        let spans = [self.slack, self.grace.unwrap_or(0)];
        let when = match &self.when {
            JobSchedule::Calendar { schedule, zone } => schedule.len() <= SCHEDULE_MAX && zone.len() <= SCHEDULE_MAX,
            JobSchedule::Every { period } => (1..=SPAN_MAX).contains(period),
        };
        when && spans.iter().all(|span| *span <= SPAN_MAX)
    }
}

impl JobAnswers {
    pub(crate) fn is_bounded(&self) -> bool {
        self.answers.len() <= JOBS_MAX && self.answers.iter().all(|answer| answer.detail.len() <= TEXT_MAX)
    }
}

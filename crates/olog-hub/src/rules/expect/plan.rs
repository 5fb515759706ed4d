//! What is declared, and what else decides when a task has to come.

use std::collections::BTreeMap;

use chrono_tz::Tz;
use olog_proto::Timestamp;

use super::HOUR;
use olog_proto::schedule::Schedule;

/// What of the configuration decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectationPolicy {
    /// In which schedules are meant.
    pub zone: Tz,
    /// When the report is made.
    pub report: Option<Schedule>,
    /// An open incident is told again after this long.
    pub remind_every: i64,
    /// What is declared, by device and task.
    pub plans: BTreeMap<String, BTreeMap<String, Plan>>,
}

impl Default for ExpectationPolicy {
    fn default() -> ExpectationPolicy {
        ExpectationPolicy { zone: Tz::UTC, report: None, remind_every: 24 * HOUR, plans: BTreeMap::new() }
    }
}

impl ExpectationPolicy {
    /// What is declared of that task.
    pub fn plan(&self, device: &str, task: &str) -> Option<&Plan> {
        self.plans.get(device)?.get(task)
    }

    /// How long it is from one report to the next, for what was seen at `at`.
    pub(super) fn window(&self, at: Timestamp) -> i64 {
        let reports = self.report.as_ref().and_then(|report| {
            let next = report.next_after(at, self.zone)?;
            Some(report.next_after(next, self.zone)?.since(next))
        });
        reports.unwrap_or(0)
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
    pub(super) fn grace(&self) -> i64 {
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
pub struct TaskContext<'a> {
    /// What is declared.
    pub plan: Option<&'a Plan>,
    /// It never left a log nor a run: its silence is all that can be hoped for.
    pub is_alarm: bool,
    /// It was seen then, by facts that are older than expectations.
    pub seen_at: Option<Timestamp>,
    /// When its device joined.
    pub joined_at: Timestamp,
}

impl TaskContext<'_> {
    /// How late it may be by what is declared; 0: nothing is.
    pub(super) fn grace(&self) -> i64 {
        self.plan.map_or(0, Plan::grace)
    }
}

//! Runs by `exec` that are under way: a task that runs is not missing, unless it runs far longer than it ever does.
//!
//! A run does not survive its machine. After a restart the agent says how the run ended, or that nobody knows. Where no such
//! event comes within [`REPORTED_WITHIN`] of the return, the run counts as vanished, which is an error: it must neither
//! stand as running for ever nor leave its task OK.

use olog_proto::{BootId, Event, EventContent, Timestamp};
use serde::{Deserialize, Serialize};

use super::{HOUR, MINUTE};

/// Durations that are kept.
const DURATIONS: usize = 10;
/// From so many runs on it is known how long one usually takes.
const USUAL_FROM: usize = 3;
/// Far longer than usual: so many times as long, and this much longer.
const TIMES: i64 = 3;
const LONGER: i64 = 10 * MINUTE;
/// The agent has this long to say what became of a run that its machine's restart ended.
const REPORTED_WITHIN: i64 = 10 * MINUTE;
/// Far too long where nothing is known.
const UNKNOWN: i64 = 24 * HOUR;

/// What is known of a task's runs by `exec`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RunTracker {
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Run>,
    /// How long the last ones took, in ms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    durations: Vec<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Run {
    run: String,
    since: Timestamp,
    boot: BootId,
    told: bool,
    /// Its machine was seen with another boot then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gone_at: Option<Timestamp>,
}

impl RunTracker {
    /// An event of the task.
    pub(super) fn observe(&mut self, event: &Event, at: Timestamp) {
        self.rebooted(event.boot, at);
        match &event.what {
            EventContent::RunStarted { run, .. } => {
                self.now = Some(Run { run: run.clone(), since: at, boot: event.boot, told: false, gone_at: None });
            }
            EventContent::RunEnded { run, duration, exit, .. } => {
                self.now.take_if(|now| now.run == *run);
                // A run that failed early says nothing about how long one takes.
                if *exit == Some(0) {
                    if self.durations.len() >= DURATIONS {
                        self.durations.remove(0);
                    }
                    self.durations.push(i64::try_from(*duration).unwrap_or(i64::MAX));
                }
            }
            _ => {}
        }
    }

    /// Its machine is up with this boot: what ran in another one does not run any more. True: something did.
    pub(super) fn rebooted(&mut self, boot: BootId, at: Timestamp) -> bool {
        let Some(run) = self.now.as_mut().filter(|run| run.boot != boot) else { return false };
        run.gone_at.get_or_insert(at);
        true
    }

    /// When a run vanished of whose end nobody spoke, if its time is over. It is forgotten then.
    pub(super) fn vanished(&mut self, now: Timestamp) -> Option<Timestamp> {
        let run = self.now.take_if(|run| run.gone_at.is_some_and(|gone| gone.plus(REPORTED_WITHIN) <= now))?;
        run.gone_at
    }

    /// Since when it runs, while that is no longer than a run may take: it cannot be missing.
    pub(super) fn until(&self) -> Option<Timestamp> {
        let run = self.now.as_ref()?;
        match run.gone_at {
            Some(gone) => Some(gone.plus(REPORTED_WITHIN)),
            None => Some(run.since.plus(self.longest())).filter(|_| !run.told),
        }
    }

    /// Since when it runs.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.now.as_ref().filter(|run| run.gone_at.is_none()).map(|run| run.since)
    }

    /// It has run for far too long, and nobody was told: since when, and what is usual.
    pub(super) fn overdue(&mut self, now: Timestamp) -> Option<(Timestamp, Option<i64>)> {
        if self.since().is_none() || self.until().is_none_or(|until| until > now) {
            return None;
        }
        let usual = self.usual();
        let run = self.now.as_mut()?;
        run.told = true;
        Some((run.since, usual))
    }

    pub(super) fn is_nothing(&self) -> bool {
        *self == RunTracker::default()
    }

    /// The middle of the last durations.
    fn usual(&self) -> Option<i64> {
        let mut sorted = self.durations.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().filter(|_| sorted.len() >= USUAL_FROM)
    }

    fn longest(&self) -> i64 {
        self.usual().map_or(UNKNOWN, |usual| usual.saturating_mul(TIMES).max(usual.saturating_add(LONGER)))
    }
}

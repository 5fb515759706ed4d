//! Runs under way: a task that runs is not missing, unless it runs far longer than it ever does.

use olog_proto::{At, BootId, Event, What};
use serde::{Deserialize, Serialize};

use super::{HOUR, MINUTE};

/// Durations that are kept.
const DURATIONS: usize = 10;
/// From so many runs on it is known how long one usually takes.
const USUAL_FROM: usize = 3;
/// Far longer than usual: so many times as long, and this much longer.
const TIMES: i64 = 3;
const LONGER: i64 = 10 * MINUTE;
/// Far too long where nothing is known.
const UNKNOWN: i64 = 24 * HOUR;

/// What is known of a task's runs by `exec`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Running {
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Run>,
    /// How long the last ones took, in ms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    durations: Vec<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Run {
    run: String,
    since: At,
    boot: BootId,
    told: bool,
}

impl Running {
    /// An event of the task.
    pub(super) fn observe(&mut self, event: &Event, at: At) {
        // Another boot: what ran then does not run any more, whatever became of it.
        self.now.take_if(|now| now.boot != event.boot);
        match &event.what {
            What::RunStarted { run, .. } => {
                self.now = Some(Run { run: run.clone(), since: at, boot: event.boot, told: false });
            }
            What::RunEnded { run, duration, exit, .. } => {
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

    /// Since when it runs, while that is no longer than a run may take: it cannot be missing.
    pub(super) fn until(&self) -> Option<At> {
        self.now.as_ref().filter(|now| !now.told).map(|now| now.since.plus(self.longest()))
    }

    /// Since when it runs.
    pub(super) fn since(&self) -> Option<At> {
        self.now.as_ref().map(|now| now.since)
    }

    /// It has run for far too long, and nobody was told: since when, and what is usual.
    pub(super) fn tell(&mut self, now: At) -> Option<(At, Option<i64>)> {
        if self.until().is_none_or(|until| until > now) {
            return None;
        }
        let usual = self.usual();
        let run = self.now.as_mut()?;
        run.told = true;
        Some((run.since, usual))
    }

    pub(super) fn is_nothing(&self) -> bool {
        *self == Running::default()
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

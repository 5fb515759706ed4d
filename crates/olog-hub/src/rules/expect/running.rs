//! Runs that are under way: a task that runs is not missing, unless it runs far longer than it ever does.
//!
//! `exec` names the end of each of its runs, and a later start takes the place of an earlier one. Runs that are reported by pings overlap: each
//! has its own start, its own duration and its own limit, and one that never ends is told after that limit.
//!
//! A run does not survive its machine. After a restart the agent says how the run ended, or that nobody knows. Where no such
//! event comes within [`REPORTED_WITHIN`] of the return, the run counts as vanished, which is an error: it must neither
//! stand as running for ever nor leave its task OK.

use olog_proto::{BootId, Event, EventContent, Timestamp};
use serde::{Deserialize, Serialize};

use super::{HOUR, MINUTE};
use crate::rules::ping::{NO_BOOT, UNNAMED_RUN};

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
/// Runs by pings at one time, those among them whose end was waited for in vain.
const PINGED_MAX: usize = 50;
/// A run by pings whose limit is over is forgotten after this.
const FORGOTTEN_AFTER: i64 = 7 * 24 * HOUR;

/// What is known of a task's runs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RunTracker {
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Run>,
    /// Those that pings have started, the latest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pinged: Vec<Run>,
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
        let is_ping = event.boot == NO_BOOT;
        if !is_ping {
            self.rebooted(event.boot, at);
        }
        match &event.what {
            EventContent::RunStarted { run, .. } => {
                let begun = Run { run: run.clone(), since: at, boot: event.boot, told: false, gone_at: None };
                if is_ping { self.begin_pinged(begun) } else { self.now = Some(begun) }
            }
            EventContent::RunEnded { run, duration, exit, .. } => {
                if is_ping {
                    self.pinged.retain(|pinged| pinged.run != *run);
                } else {
                    self.now.take_if(|now| now.run == *run);
                }
                // A run that failed early says nothing about how long one takes, nor does one whose start nobody told.
                if *exit == Some(0) && !(is_ping && *duration == 0) {
                    if self.durations.len() >= DURATIONS {
                        self.durations.remove(0);
                    }
                    self.durations.push(i64::try_from(*duration).unwrap_or(i64::MAX));
                }
            }
            _ => {}
        }
    }

    fn begin_pinged(&mut self, begun: Run) {
        let forgotten = begun.since.plus(-FORGOTTEN_AFTER);
        self.pinged.retain(|run| run.run != begun.run && !(run.told && run.since < forgotten));
        if self.pinged.len() >= PINGED_MAX {
            let oldest = self.pinged.iter().position(|run| run.told).unwrap_or(0);
            self.pinged.remove(oldest);
        }
        self.pinged.push(begun);
    }

    /// The run that a ping ends: the one of that name; without a name the one that has none, or else the only one. And since when it runs.
    pub(super) fn ended_by(&self, name: Option<&str>) -> Option<(&str, Timestamp)> {
        let named = |name: &str| self.pinged.iter().find(|run| run.run == name);
        let run = match (name, self.pinged.as_slice()) {
            (Some(name), _) => named(name),
            (None, [only]) => Some(only),
            (None, _) => named(UNNAMED_RUN),
        };
        run.map(|run| (run.run.as_str(), run.since))
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

    /// Until when a run is under way that takes no longer than it may: so long the task cannot be missing. `grace` is what is declared.
    pub(super) fn until(&self, grace: i64) -> Option<Timestamp> {
        self.limits(grace).max()
    }

    /// When the first run will have taken too long.
    pub(super) fn first_limit(&self, grace: i64) -> Option<Timestamp> {
        self.limits(grace).min()
    }

    fn limits(&self, grace: i64) -> impl Iterator<Item = Timestamp> {
        let exec = self.now.iter().map(|run| (run, self.longest()));
        let runs = exec.chain(self.pinged.iter().map(move |run| (run, self.longest_pinged(grace))));
        runs.filter_map(|(run, longest)| match run.gone_at {
            Some(gone) => Some(gone.plus(REPORTED_WITHIN)),
            None => Some(run.since.plus(longest)).filter(|_| !run.told),
        })
    }

    /// Since when it runs.
    pub(super) fn since(&self) -> Option<Timestamp> {
        let runs = self.now.iter().filter(|run| run.gone_at.is_none());
        runs.chain(self.pinged.iter().filter(|run| !run.told)).map(|run| run.since).min()
    }

    /// The runs that have gone on for far too long, and of which nobody was told: since when, and what is usual.
    pub(super) fn overdue(&mut self, now: Timestamp, grace: i64) -> Vec<(Timestamp, Option<i64>)> {
        let (usual, longest, pinged) = (self.usual(), self.longest(), self.longest_pinged(grace));
        let exec = self.now.iter_mut().filter(|run| run.gone_at.is_none()).map(|run| (run, longest));
        let runs = exec.chain(self.pinged.iter_mut().map(|run| (run, pinged)));
        let mut overdue = Vec::new();
        for (run, _) in runs.filter(|(run, longest)| !run.told && run.since.plus(*longest) <= now) {
            run.told = true;
            overdue.push((run.since, usual));
        }
        overdue
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
        self.learnt().unwrap_or(UNKNOWN)
    }

    /// A run by pings may take as long as the declared grace, as the pinging API has it, and as long as its own past allows.
    fn longest_pinged(&self, grace: i64) -> i64 {
        let declared = Some(grace).filter(|grace| *grace > 0);
        self.learnt().max(declared).unwrap_or(UNKNOWN)
    }

    fn learnt(&self) -> Option<i64> {
        self.usual().map(|usual| usual.saturating_mul(TIMES).max(usual.saturating_add(LONGER)))
    }
}

//! What is proposed to expect of a task: a schedule that was learnt, or that its agent read on the machine. A report shows it, and a day later
//! it counts, unless a person declines it.
//!
//! Pure, as its parent. Must not replace what hub.toml declares, nor what a person has turned off.

use olog_proto::Timestamp;
use olog_push::{Cadence, Recovery};

use super::cadence::{LearntSchedule, Watched};
use super::{ExpectationEffect, ExpectationPolicy, Facts, ReadSchedule, TaskContext, WATCHED_AFTER};

/// A habit, and what shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learnt {
    /// The habit.
    pub cadence: Cadence,
    /// It was learnt from so many runs …
    pub n_runs: u64,
    /// … over so many ms.
    pub span: i64,
}

/// What the next report proposes to expect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProposedSchedule {
    /// A habit.
    Learnt(Learnt),
    /// What its agent read on the machine.
    Read(ReadSchedule),
}

impl Facts {
    /// What was read on the machine, or learnt, and not yet shown to anybody: for the next report.
    pub fn proposal(&self, known: &TaskContext<'_>, policy: &ExpectationPolicy) -> Option<ProposedSchedule> {
        let is_free = self.declared.is_none() && !self.is_off && known.plan.is_none();
        if let Some(offered) = self.offered.as_ref().filter(|_| is_free) {
            return Some(ProposedSchedule::Read(offered.clone()));
        }
        let is_free = is_free && self.watched.is_none() && self.read.is_none();
        // Most habits are watched already, and to look for one costs more than all the rest of a report's line.
        let LearntSchedule { cadence, n_runs, span, .. } = is_free.then(|| self.runs.habit(policy.zone))??;
        Some(ProposedSchedule::Learnt(Learnt { cadence, n_runs, span }))
    }

    /// The proposal was shown: it is watched from tomorrow, unless a person refuses it.
    pub fn was_proposed(
        &mut self,
        known: &TaskContext<'_>,
        policy: &ExpectationPolicy,
        now: Timestamp,
    ) -> Vec<ExpectationEffect> {
        match self.proposal(known, policy) {
            Some(ProposedSchedule::Read(_)) => return self.offer_was_shown(now),
            Some(ProposedSchedule::Learnt(_)) => {
                self.watched = self.runs.habit(policy.zone).map(|habit| Watched::new(habit, now.plus(WATCHED_AFTER)));
            }
            None => {}
        }
        Vec::new()
    }

    /// The habit by which it is expected: what it is, from how many runs it was learnt over how long, since when it counts.
    pub fn watched(&self) -> Option<(Learnt, Timestamp)> {
        let Watched { habit: LearntSchedule { cadence, n_runs, span, .. }, from, .. } = self.watched.as_ref()?;
        Some((Learnt { cadence: cadence.clone(), n_runs: *n_runs, span: *span }, *from))
    }

    /// A person says whether anything is to be expected. "Yes" accepts what is proposed: it counts from now on.
    pub fn expect(&mut self, is_expected: bool, now: Timestamp) -> Vec<ExpectationEffect> {
        let mut out = Vec::new();
        if self.is_off == is_expected {
            self.is_off = !is_expected;
            self.closed_at = Some(now);
            self.end(Recovery::Unexpected, now, now, &mut out);
        }
        if is_expected {
            out.extend(self.take_offer(now, now));
            let starts =
                [self.read.as_mut().map(|read| &mut read.from), self.watched.as_mut().map(|habit| &mut habit.from)];
            starts.into_iter().flatten().for_each(|from| *from = now.min(*from));
        }
        out
    }
}

//! What follows from one call: a pure plan, which `record` writes to the store.
//!
//! Three things can be wrong, and each waits in its own way:
//!
//! | what is wrong | seen by | what waits |
//! |---|---|---|
//! | the channel | nothing gets through, or every receiver or the credential is refused | all of it: back-off, or a pause with a probe each 15 min |
//! | a receiver | others have accepted the same message | the row, for that receiver alone, behind the others |
//! | a message | refused while other messages are accepted | its rows, behind the others, then in small groups, then one by one |
//!
//! So neither a receiver nor a message holds up what comes after it, and no row leaves that nobody has accepted. Must not: read or
//! write the store, or decide what the words are.

use std::collections::HashSet;
use std::time::Duration;

use olog_proto::{Fingerprint, Timestamp};
use olog_push::{Answer, Content, Receiver, Refusal};

use crate::store::outbox::{ChannelFacts, Claimed, RetryTier, RowEnd};

/// Back-off of a channel, at first and at most.
pub(super) const BACK_OFF: (i64, i64) = (2_000, 15 * 60_000);
/// A paused channel is tried this often.
pub(super) const PROBE_EVERY: i64 = 15 * 60_000;
/// A channel that has failed for this long is told on the others.
pub(super) const TELL_AFTER: i64 = 60_000;
/// RowsPlan are given up after this time.
pub(super) const ROW_TTL: i64 = 7 * 24 * 3_600_000;

/// A call that was made, and what the service answered.
#[derive(Debug)]
pub(super) struct CallRecord {
    pub(super) rows: Vec<Claimed>,
    /// Rows of which the message says only how many there are.
    pub(super) counted: HashSet<i64>,
    pub(super) answers: Vec<(Receiver, Answer)>,
    pub(super) title: String,
    pub(super) sent_at: Timestamp,
    pub(super) done_at: Timestamp,
    /// Between 0 and 1, so that many hubs do not call in step.
    pub(super) jitter: f64,
}

/// What the store knows of the channel when the answer is written down.
#[derive(Debug, Clone)]
pub(super) struct ChannelState {
    /// As it is now: a person may have rearmed it during the call.
    pub(super) facts: ChannelFacts,
    /// Its open incident.
    pub(super) incident: Option<u64>,
    /// An incident began since the channel fails, whether or not a person has closed it.
    pub(super) has_begun: bool,
}

/// What has to be written.
#[derive(Debug, PartialEq)]
pub(super) struct CallPlan {
    pub(super) facts: ChannelFacts,
    pub(super) rows: RowsPlan,
    pub(super) incident: IncidentChange,
    /// Receivers that were refused for good with this call, and the answer.
    pub(super) set_aside: Vec<(String, String)>,
    /// A report of that instant was accepted: what it has told is not told again.
    pub(super) reported_at: Option<Timestamp>,
}

/// What becomes of the rows. RowsPlan of one claim have the same receivers left and stand in the same place: they leave or wait together.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RowsPlan {
    Done(RowEnd),
    Wait {
        /// The receivers that have not accepted; `None`: nobody has.
        left: Option<Vec<String>>,
        place: RetryTier,
        not_before: Option<Timestamp>,
    },
}

/// What becomes of the channel's incident.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum IncidentChange {
    Nothing,
    Begin { answer: String },
    End { number: u64, failing_at: Option<Timestamp> },
}

/// What a call says of the channel.
#[derive(Debug, Clone, Copy)]
enum CallResult<'a> {
    /// Somebody has accepted.
    Works,
    /// The form was refused: the message's trouble.
    Form,
    /// Nobody has accepted.
    Fails { why: &'a str, after: Option<Duration>, cause: FailureCause },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FailureCause {
    /// It did not get through, or not now.
    Later,
    /// The credential, or every receiver: a person has to do something.
    Person,
    /// Refused for no reason that we know: the channel's trouble, or the message's.
    Unknown,
}

/// Makes the plan. `receivers`: all of the channel.
pub(super) fn plan(call: &CallRecord, receivers: &[Receiver], known: &ChannelState) -> CallPlan {
    let result = call.result();
    let (mut facts, set_aside) = call.set_aside(&known.facts);
    let mut incident = IncidentChange::Nothing;
    if !call.is_the_message(&known.facts, result) {
        match result {
            CallResult::Form => {}
            CallResult::Works => {
                facts = facts.after_success();
                if let Some(number) = known.incident {
                    incident = IncidentChange::End { number, failing_at: known.facts.failing_at };
                }
            }
            CallResult::Fails { why, after, cause } => {
                let needs_person = cause == FailureCause::Person;
                facts.n_failed = facts.n_failed.saturating_add(1);
                let failing_at = *facts.failing_at.get_or_insert(call.done_at);
                facts.why = Some(why.to_owned());
                facts.paused_at = if needs_person { facts.paused_at.or(Some(call.done_at)) } else { None };
                let wait = if needs_person { PROBE_EVERY } else { back_off(facts.n_failed, call.jitter) };
                let named = after.map_or(0, |after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
                facts.next_at = Some(call.done_at.plus(wait.max(named).min(ROW_TTL)));
                let is_lasting = needs_person || call.done_at.since(failing_at) >= TELL_AFTER;
                // What a person has closed stays closed until the channel has worked again.
                if is_lasting && known.incident.is_none() && !known.has_begun {
                    incident = IncidentChange::Begin { answer: why.to_owned() };
                }
            }
        }
    }
    let rows = call.rows(receivers, &known.facts, &facts, result);
    let reported_at = match rows {
        RowsPlan::Done(RowEnd::Accepted) => call.report_made_at(),
        _ => None,
    };
    CallPlan { facts, rows, incident, set_aside, reported_at }
}

impl CallRecord {
    /// Errors that somebody has accepted without their own words, by incident.
    pub(super) fn not_told(&self) -> Vec<(u64, &[Fingerprint])> {
        let accepted = self.answers.iter().any(|(_, answer)| matches!(answer, Answer::Accepted { .. }));
        let counted = self.rows.iter().filter(|row| accepted && self.counted.contains(&row.id));
        let errors = counted.filter_map(|row| match &row.notice.content {
            Content::Error { facts, .. } => Some((row.notice.incident?, facts.fingerprints.as_slice())),
            _ => None,
        });
        errors.collect()
    }

    pub(super) fn is_report(&self) -> bool {
        self.report_made_at().is_some()
    }

    fn report_made_at(&self) -> Option<Timestamp> {
        self.rows.iter().find_map(|row| match &row.notice.content {
            Content::Report(facts) => Some(facts.made_at),
            _ => None,
        })
    }

    fn result(&self) -> CallResult<'_> {
        let mut worst: Option<(&str, Option<Duration>, FailureCause)> = None;
        let mut is_form = !self.answers.is_empty();
        for (_, answer) in &self.answers {
            let (why, after, cause) = match answer {
                Answer::Accepted { .. } => return CallResult::Works,
                Answer::Later { after, why } => (why, *after, FailureCause::Later),
                Answer::Refused { class: Refusal::Credential | Refusal::Receiver, why } => {
                    (why, None, FailureCause::Person)
                }
                Answer::Refused { why, .. } => (why, None, FailureCause::Unknown),
            };
            is_form &= matches!(answer, Answer::Refused { class: Refusal::Format, .. });
            // Who may accept later decides: the others are set aside anyway.
            if worst.is_none_or(|(.., before)| before != FailureCause::Later) {
                worst = Some((why, after, cause));
            }
        }
        match worst {
            _ if is_form => CallResult::Form,
            Some((why, after, cause)) => CallResult::Fails { why, after, cause },
            None => CallResult::Fails { why: "no receiver", after: None, cause: FailureCause::Person },
        }
    }

    /// A message that is refused while the channel takes others is no failure of the channel.
    fn is_the_message(&self, before: &ChannelFacts, result: CallResult<'_>) -> bool {
        let is_suspect = self.rows.first().is_some_and(|row| row.place != RetryTier::Fresh);
        match result {
            CallResult::Fails { cause: FailureCause::Unknown, .. } => is_suspect && before.failing_at.is_none(),
            CallResult::Fails { .. } | CallResult::Works => false,
            CallResult::Form => true,
        }
    }

    /// Receivers that were refused for good are set aside; one that accepts is no longer.
    fn set_aside(&self, before: &ChannelFacts) -> (ChannelFacts, Vec<(String, String)>) {
        let (mut facts, mut new) = (before.clone(), Vec::new());
        for (receiver, answer) in &self.answers {
            match answer {
                Answer::Accepted { .. } => facts.refused.retain(|id| *id != receiver.id),
                Answer::Refused { class: Refusal::Receiver, why } if !facts.refused.contains(&receiver.id) => {
                    facts.refused.push(receiver.id.clone());
                    new.push((receiver.id.clone(), why.clone()));
                }
                Answer::Refused { .. } | Answer::Later { .. } => {}
            }
        }
        (facts, new)
    }

    fn rows(
        &self,
        receivers: &[Receiver],
        before: &ChannelFacts,
        facts: &ChannelFacts,
        result: CallResult<'_>,
    ) -> RowsPlan {
        let Some(first) = self.rows.first() else { return RowsPlan::Done(RowEnd::Accepted) };
        let was_left = first.left.clone().unwrap_or_else(|| receivers.iter().map(|r| r.id.clone()).collect());
        let accepts = |(_, answer): &&(Receiver, Answer)| matches!(answer, Answer::Accepted { .. });
        let accepted: HashSet<&str> = self.answers.iter().filter(accepts).map(|(r, _)| r.id.as_str()).collect();
        let left: Vec<String> = was_left.into_iter().filter(|id| !accepted.contains(id.as_str())).collect();
        let is_accepted = first.left.is_some() || !accepted.is_empty();
        if is_accepted && left.iter().all(|id| facts.refused.contains(id)) {
            return RowsPlan::Done(RowEnd::Accepted);
        }
        let was_named = |id: &String| self.answers.iter().any(|(receiver, _)| receiver.id == *id);
        let n_attempts = self.rows.iter().map(|row| row.n_attempts).max().unwrap_or(0).saturating_add(1);
        let own_back_off = Some(self.done_at.plus(back_off(n_attempts, self.jitter)));
        let n = self.rows.len();
        let (place, not_before) = match result {
            // Those whom one call could not name are next at once.
            CallResult::Works if !left.iter().any(was_named) => (first.place.max(RetryTier::After), None),
            CallResult::Works => (first.place.max(RetryTier::After), own_back_off),
            CallResult::Form if n == 1 => return RowsPlan::Done(RowEnd::Refused),
            CallResult::Form => (first.place.max(RetryTier::After).next_tier(n), None),
            CallResult::Fails { cause: FailureCause::Unknown, .. } => match first.place {
                RetryTier::Fresh => (RetryTier::After, None),
                RetryTier::Alone => (RetryTier::Alone, own_back_off),
                suspect if before.failing_at.is_none() => (suspect.next_tier(n), None),
                suspect => (suspect, None),
            },
            CallResult::Fails { .. } => (first.place, None),
        };
        RowsPlan::Wait { left: is_accepted.then_some(left), place, not_before }
    }
}

/// 2 s, doubled with every failure, at most 15 min; between half and all of that, so that many hubs do not call in step.
pub(super) fn back_off(n_failed: u32, jitter: f64) -> i64 {
    let full = BACK_OFF.0.saturating_mul(1 << n_failed.saturating_sub(1).min(20)).min(BACK_OFF.1);
    full / 2 + (jitter * (full / 2) as f64) as i64
}

#[cfg(test)]
mod tests;

//! What came of one call: which rows leave, what the others wait for, what the channel is now, and what of it is told.
//!
//! Three things can be wrong, and each waits in its own way. The *channel* (nothing gets through, or it refuses everything):
//! it backs off as a whole. A *receiver* beside one who accepted: the row waits for that one alone, behind the others. A
//! *message* (refused while others are accepted): its rows go after all others, then one by one, each at its own pace. So
//! neither a receiver nor a message can hold up what comes after it, and nothing leaves that nobody has accepted.

use std::collections::HashSet;
use std::time::Duration;

use olog_proto::At;
use olog_push::{Answer, Channel, Kind, Notice, Receiver, Refusal, SystemCode};

use super::{BACK_OFF, LIVES, PROBE_EVERY, TELL_AFTER};
use crate::apply::{self, Rules};
use crate::journal::Line;
use crate::store::incidents::{self, Begin, Subject};
use crate::store::outbox::{self, ChannelFacts, Claimed, Outcome, Place, Wait};
use crate::store::{StoreError, Tx};

/// A call that was made.
#[derive(Clone)]
pub(super) struct Turn {
    pub(super) rows: Vec<Claimed>,
    pub(super) answers: Vec<(Receiver, Answer)>,
    pub(super) title: String,
    pub(super) sent_at: At,
    pub(super) done_at: At,
    pub(super) jitter: f64,
}

/// What a call says of the channel.
enum Verdict<'a> {
    /// Somebody has accepted.
    Works,
    /// The form was refused: a matter of the message.
    Form,
    /// Nobody has accepted.
    Fails { why: &'a str, after: Option<Duration>, cause: Cause },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// It did not get through, or not now.
    Later,
    /// The credential, or every receiver: a person has to do something.
    Person,
    /// Refused for no reason that we know: the channel's trouble, or the message's.
    Unknown,
}

impl Turn {
    /// Writes it down; true if somebody else has to be told something.
    pub(super) fn record(&self, tx: &mut Tx<'_>, rules: &Rules, channel: &Channel) -> Result<bool, StoreError> {
        let (ids, is_report) = (outbox::ids(&self.rows), self.rows.iter().any(|row| row.notice.kind == Kind::Report));
        let message = outbox::put_message(tx, &channel.name, &self.title, &ids, is_report, self.sent_at)?;
        for (receiver, answer) in &self.answers {
            let (outcome, words) = match answer {
                Answer::Accepted { words } => ("accepted", words),
                Answer::Later { why, .. } => ("later", why),
                Answer::Refused { why, .. } => ("refused", why),
            };
            outbox::put_attempt(tx, message, &receiver.id, outcome, words, self.done_at)?;
        }
        let verdict = self.verdict();
        // As it is now: a person may have rearmed it during the call.
        let before = outbox::channel(tx, &channel.name)?;
        let (facts, rings) = self.channel_facts(tx, rules, channel, &before, &verdict)?;
        outbox::set_channel(tx, &channel.name, &facts)?;
        self.leave_or_wait(tx, channel, (&before, &facts), &verdict, message)?;
        Ok(rings)
    }

    fn verdict(&self) -> Verdict<'_> {
        let mut worst: Option<(&str, Option<Duration>, Cause)> = None;
        let mut is_form = !self.answers.is_empty();
        for (_, answer) in &self.answers {
            let (why, after, cause) = match answer {
                Answer::Accepted { .. } => return Verdict::Works,
                Answer::Later { after, why } => (why, *after, Cause::Later),
                Answer::Refused { class: Refusal::Credential | Refusal::Receiver, why } => (why, None, Cause::Person),
                Answer::Refused { why, .. } => (why, None, Cause::Unknown),
            };
            is_form &= matches!(answer, Answer::Refused { class: Refusal::Format, .. });
            // Who may accept later decides: the others are set aside anyway.
            if worst.is_none_or(|(.., before)| before != Cause::Later) {
                worst = Some((why, after, cause));
            }
        }
        match worst {
            _ if is_form => Verdict::Form,
            Some((why, after, cause)) => Verdict::Fails { why, after, cause },
            None => Verdict::Fails { why: "no receiver", after: None, cause: Cause::Person },
        }
    }

    /// A message that is refused while the channel takes others is no failure of the channel.
    fn is_the_message(&self, before: &ChannelFacts, verdict: &Verdict<'_>) -> bool {
        let is_suspect = self.rows.first().is_some_and(|row| row.place != Place::Fresh);
        match verdict {
            Verdict::Fails { cause: Cause::Unknown, .. } => is_suspect && before.failing_at.is_none(),
            Verdict::Fails { .. } | Verdict::Works => false,
            Verdict::Form => true,
        }
    }

    /// Rows of one claim have the same receivers left and stand in the same place: they leave or wait together.
    fn leave_or_wait(
        &self,
        tx: &mut Tx<'_>,
        channel: &Channel,
        (before, facts): (&ChannelFacts, &ChannelFacts),
        verdict: &Verdict<'_>,
        message: i64,
    ) -> Result<(), StoreError> {
        let Some(first) = self.rows.first() else { return Ok(()) };
        let ids = outbox::ids(&self.rows);
        let was_left = first.left.clone().unwrap_or_else(|| channel.receivers().into_iter().map(|r| r.id).collect());
        let accepts = |(_, answer): &&(Receiver, Answer)| matches!(answer, Answer::Accepted { .. });
        let accepted: HashSet<&str> = self.answers.iter().filter(accepts).map(|(r, _)| r.id.as_str()).collect();
        let left: Vec<String> = was_left.into_iter().filter(|id| !accepted.contains(id.as_str())).collect();
        let is_accepted = first.left.is_some() || !accepted.is_empty();
        if is_accepted && left.iter().all(|id| facts.refused.contains(id)) {
            return outbox::done(tx, &ids, message, Outcome::Accepted, self.done_at);
        }
        let named = |id: &String| self.answers.iter().any(|(receiver, _)| receiver.id == *id);
        let n_attempts = self.rows.iter().map(|row| row.n_attempts).max().unwrap_or(0).saturating_add(1);
        let own_back_off = Some(self.done_at.plus(back_off(n_attempts, self.jitter)));
        let (place, not_before) = match verdict {
            // Those whom one call could not name are next at once.
            Verdict::Works if !left.iter().any(named) => (first.place.max(Place::After), None),
            Verdict::Works => (first.place.max(Place::After), own_back_off),
            Verdict::Form if self.rows.len() == 1 => {
                tracing::error!(
                    channel = channel.name,
                    title = self.title,
                    "a message was refused for its form, even short and plain"
                );
                return outbox::done(tx, &ids, message, Outcome::Refused, self.done_at);
            }
            Verdict::Form => (first.place.max(Place::After).further(self.rows.len()), None),
            Verdict::Fails { cause: Cause::Unknown, .. } => match first.place {
                Place::Fresh => (Place::After, None),
                Place::Alone => (Place::Alone, own_back_off),
                suspect if before.failing_at.is_none() => (suspect.further(self.rows.len()), None),
                suspect => (suspect, None),
            },
            Verdict::Fails { .. } => (first.place, None),
        };
        let left = is_accepted.then_some(left.as_slice());
        outbox::wait_on(tx, &ids, message, &Wait { left, place, not_before })
    }

    /// What the channel is after this call, and whether something of it was told.
    fn channel_facts(
        &self,
        tx: &mut Tx<'_>,
        rules: &Rules,
        channel: &Channel,
        before: &ChannelFacts,
        verdict: &Verdict<'_>,
    ) -> Result<(ChannelFacts, bool), StoreError> {
        let mut facts = before.clone();
        let mut rings = self.set_aside(tx, rules, channel, &mut facts)?;
        if self.is_the_message(before, verdict) {
            return Ok((facts, rings));
        }
        let begun = incidents::open_of(tx, Subject::Channel, None, &channel.name)?;
        match verdict {
            Verdict::Form => {}
            Verdict::Works => {
                facts = facts.well();
                if let Some(number) = begun {
                    incidents::end(tx, number, self.done_at, "accepted")?;
                    let over = Line::new("incident over").incident(number).about(Subject::Channel.as_str());
                    tx.note(over.channel(&channel.name).why("accepted"));
                    let since = before.failing_at.map_or_else(|| "none".to_owned(), |at| at.0.to_string());
                    let args = [("channel", channel.name.clone()), ("since", since)];
                    let mut notice = apply::affair(None, SystemCode::ChannelBack, &args, self.done_at);
                    notice.incident = Some(number);
                    self.tell(tx, rules, &notice)?;
                    rings = true;
                }
            }
            Verdict::Fails { why, after, cause } => {
                let needs_person = *cause == Cause::Person;
                facts.n_failed = facts.n_failed.saturating_add(1);
                let failing_at = *facts.failing_at.get_or_insert(self.done_at);
                facts.why = Some((*why).to_owned());
                facts.paused_at = if needs_person { facts.paused_at.or(Some(self.done_at)) } else { None };
                let wait = if needs_person { PROBE_EVERY } else { back_off(facts.n_failed, self.jitter) };
                let named = after.map_or(0, |after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
                facts.next_at = Some(self.done_at.plus(wait.max(named).min(LIVES)));
                let is_lasting = needs_person || self.done_at.since(failing_at) >= TELL_AFTER;
                if begun.is_none() && is_lasting {
                    rings |= self.begin_failing(tx, rules, channel, why)?;
                }
            }
        }
        Ok((facts, rings))
    }

    /// Receivers that were refused are set aside and told once; one that accepts is back.
    fn set_aside(
        &self,
        tx: &mut Tx<'_>,
        rules: &Rules,
        channel: &Channel,
        facts: &mut ChannelFacts,
    ) -> Result<bool, StoreError> {
        let mut rings = false;
        for (receiver, answer) in &self.answers {
            match answer {
                Answer::Accepted { .. } => facts.refused.retain(|id| *id != receiver.id),
                Answer::Refused { class: Refusal::Receiver, why } if !facts.refused.contains(&receiver.id) => {
                    facts.refused.push(receiver.id.clone());
                    let args =
                        [("channel", channel.name.clone()), ("receiver", receiver.id.clone()), ("answer", why.clone())];
                    self.tell(tx, rules, &apply::affair(None, SystemCode::ReceiverRefused, &args, self.done_at))?;
                    rings = true;
                }
                Answer::Refused { .. } | Answer::Later { .. } => {}
            }
        }
        Ok(rings)
    }

    fn begin_failing(&self, tx: &mut Tx<'_>, rules: &Rules, channel: &Channel, why: &str) -> Result<bool, StoreError> {
        let begin =
            Begin { subject: Subject::Channel, device: None, task: None, name: &channel.name, at: self.done_at };
        let number = incidents::begin(tx, &begin, &serde_json::json!({ "answer": why }))?;
        let begun = Line::new("incident begun").incident(number).about(Subject::Channel.as_str());
        tx.note(begun.channel(&channel.name).why(why));
        let args = [("channel", channel.name.clone()), ("answer", why.to_owned())];
        let mut notice = apply::affair(None, SystemCode::ChannelFailing, &args, self.done_at);
        notice.incident = Some(number);
        // Through itself it would come when it is over: then its end is what has to be told.
        let others: Vec<String> = rules
            .channels
            .iter()
            .filter(|c| c.name != channel.name && c.wants(Kind::System, None, None))
            .map(|c| c.name.clone())
            .collect();
        outbox::put(tx, &others, &notice, true, self.done_at)?;
        Ok(!others.is_empty())
    }

    fn tell(&self, tx: &mut Tx<'_>, rules: &Rules, notice: &Notice) -> Result<(), StoreError> {
        apply::tell(tx, rules, notice, self.done_at)
    }
}

/// 2 s, doubled with every failure, at most 15 min; between half and all of that, so that many hubs do not call in step.
pub(super) fn back_off(n_failed: u32, jitter: f64) -> i64 {
    let full = BACK_OFF.0.saturating_mul(1 << n_failed.saturating_sub(1).min(20)).min(BACK_OFF.1);
    full / 2 + (jitter * (full / 2) as f64) as i64
}

//! The outbox's dispatchers: what waits for a channel, sent, and the answer written down.
//!
//! One dispatcher a channel, one call at a time, within the channel's rate. When its turn comes it *claims* what waits, has it
//! put into words as one message, makes the call, and records what the service said of each receiver; a row leaves only
//! when its last receiver has accepted it. So the first notice leaves at once, and what gathers during a call leaves
//! together with the next: there is no grouping timer.
//!
//! Where a crash leaves what: before the call, the claim expires ([`CLAIM_FOR`]) and somebody sends; between the service's
//! yes and our record, the whole message is sent again. Never lost, at most once more for each crash.
//!
//! What an answer does. *Accepted*: that receiver is done. *Later*: the channel backs off, jittered, at most
//! [`BACK_OFF`]`.1`; a new first sign cuts that to [`FIRST_SIGN_WAIT`]. *Refused* for the receiver: set aside and told. For
//! the credential: the channel pauses, with one probe each [`PROBE_EVERY`]; a changed configuration or `channel rearm` ends that.
//! For the form: sent once more as short plain text, then its rows go one by one, and the one that is still refused
//! leaves as refused; so a poison message blocks nobody. Any other refusal waits like *Later*. After [`LIVES`] a row is given
//! up, and that is told.
//!
//! Must not: decide what is told (it finds it in the store), or know what a service's answer looks like (`olog-push`).

use std::collections::HashMap;
use std::sync::Arc;

use olog_daemon::clock::Clock;
use olog_proto::At;
use olog_push::pace::Pace;
use olog_push::{Answer, Channel, Kind, Message, Notice, Receiver, Refusal, SystemCode};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::bell::{Bell, Listener};
use crate::record::{self, Rules};
use crate::store::incidents::{self, Begin, Subject};
use crate::store::outbox::{self, ChannelFacts, Claimed, Outcome};
use crate::store::{Store, StoreError, Tx};

/// Rows of one claim, and so of one message.
const CLAIM_MAX: u32 = 500;
/// A claim outlives a call (10 s) and its record; then the row is free again.
const CLAIM_FOR: i64 = 60_000;
/// Back-off of a channel, at first and at most.
const BACK_OFF: (i64, i64) = (2_000, 15 * 60_000);
/// The longest that a new first sign waits for a channel that backs off.
const FIRST_SIGN_WAIT: i64 = 30_000;
/// A paused channel is tried this often.
const PROBE_EVERY: i64 = 15 * 60_000;
/// A channel that has failed for this long is told on the others.
const TELL_AFTER: i64 = 60_000;
/// Rows are given up after this time.
const LIVES: i64 = 7 * 24 * 3_600_000;
/// How often it is looked whether one has to be, and the longest that a dispatcher sleeps.
const LOOK_EVERY: i64 = 600_000;
/// Characters of a message that was refused for its form.
const SHORT: usize = 1_000;

/// Runs a dispatcher for each channel in force until `stop`; a changed configuration replaces them.
pub async fn run(
    store: Store,
    mut rules: watch::Receiver<Arc<Rules>>,
    bell: Bell,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    loop {
        let now = rules.borrow_and_update().clone();
        let round = stop.child_token();
        let mut dispatchers = JoinSet::new();
        for channel in &now.channels {
            let dispatcher = Dispatcher::new(store.clone(), now.clone(), channel.clone(), bell.clone(), clock.clone());
            dispatchers.spawn(dispatcher.run(round.clone()));
        }
        dispatchers.spawn(expire(store.clone(), now.clone(), bell.clone(), clock.clone(), round.clone()));
        let ended = tokio::select! {
            changed = rules.changed() => changed.is_err(),
            () = stop.cancelled() => true,
            Some(early) = dispatchers.join_next() => return early.unwrap_or_else(|e| Err(StoreError::Refused(e.to_string()))),
        };
        // A call that is under way ends (10 s at most) and its answer is written down.
        round.cancel();
        while let Some(done) = dispatchers.join_next().await {
            done.unwrap_or_else(|e| Err(StoreError::Refused(e.to_string())))?;
        }
        if ended {
            return Ok(());
        }
    }
}

/// Gives up what has waited for too long, of channels that are gone as well.
async fn expire(
    store: Store,
    rules: Arc<Rules>,
    bell: Bell,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    loop {
        let (now, rules) = (clock.now(), rules.clone());
        let given_up = store.write(move |tx| {
            let given_up = outbox::expire(tx, now.plus(-LIVES), now)?;
            for (channel, n) in &given_up {
                let args = [("channel", channel.clone()), ("n", n.to_string())];
                record::tell(tx, &rules, &record::affair(None, SystemCode::Expired, &args, now), now)?;
            }
            Ok(!given_up.is_empty())
        });
        match given_up.await {
            Ok(true) => bell.ring(),
            Ok(false) => {}
            Err(error) if error.is_passing() => tracing::warn!(%error, "old notifications were not looked for"),
            Err(error) => return Err(error),
        }
        tokio::select! {
            () = clock.sleep_until(now.plus(LOOK_EVERY)) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

struct Dispatcher {
    store: Store,
    rules: Arc<Rules>,
    channel: Arc<Channel>,
    bell: Bell,
    listener: Listener,
    clock: Clock,
    pace: Pace,
    /// Who holds its claims.
    me: String,
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// At once: more waits.
    Now,
    /// When the channel's pace allows the next call.
    AfterPace(std::time::Duration),
    /// Then, or when the bell rings.
    At(At),
}

impl Dispatcher {
    fn new(store: Store, rules: Arc<Rules>, channel: Arc<Channel>, bell: Bell, clock: Clock) -> Dispatcher {
        let mut me = [0; 8];
        // Without randomness the name is enough where one hub runs.
        let me = match getrandom::fill(&mut me) {
            Ok(()) => u64::from_le_bytes(me).to_string(),
            Err(_) => "hub".to_owned(),
        };
        let pace = Pace::new(channel.rate, Instant::now());
        Dispatcher { store, rules, channel, listener: bell.listen(), bell, clock, pace, me }
    }

    async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        self.begin().await?;
        while !stop.is_cancelled() {
            let next = match self.turn().await {
                Ok(next) => next,
                Err(error) if error.is_passing() => {
                    tracing::warn!(%error, channel = self.channel.name, "the outbox cannot be read or written: tried again");
                    Next::At(self.clock.now().plus(BACK_OFF.0))
                }
                Err(error) => return Err(error),
            };
            match next {
                Next::Now => {}
                Next::AfterPace(wait) => tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = stop.cancelled() => {}
                },
                Next::At(due) => tokio::select! {
                    () = self.listener.heard() => {}
                    () = self.clock.sleep_until(due) => {}
                    () = stop.cancelled() => {}
                },
            }
        }
        Ok(())
    }

    /// A pause and receivers set aside end with the configuration under which they came.
    async fn begin(&self) -> Result<(), StoreError> {
        let (name, config) = (self.channel.name.clone(), self.channel.settings_print());
        let written = self.store.write(move |tx| {
            let facts = outbox::channel(tx, &name)?;
            if facts.config.as_ref() != Some(&config) {
                let fresh =
                    ChannelFacts { config: Some(config.clone()), failing_at: facts.failing_at, ..Default::default() };
                outbox::set_channel(tx, &name, &fresh)?;
            }
            Ok(())
        });
        match written.await {
            Err(error) if error.is_passing() => Ok(()),
            done => done,
        }
    }

    /// One turn: claim, put into words, call, record.
    async fn turn(&self) -> Result<Next, StoreError> {
        let now = self.clock.now();
        let claim = {
            let (name, me) = (self.channel.name.clone(), self.me.clone());
            self.store.write_relaxed(move |tx| claim(tx, &name, &me, now)).await?
        };
        let (rows, facts) = match claim {
            Claim::Nothing(next) => return Ok(Next::At(next)),
            Claim::Rows(rows, facts) => (rows, facts),
        };
        if let Err(wait) = self.pace.take(Instant::now()) {
            self.release(outbox::ids(&rows)).await?;
            return Ok(Next::AfterPace(wait));
        }
        let to = self.receivers(&rows, &facts);
        let (message, rows) = self.in_words(rows, now).await?;
        let answers = self.call(message.clone(), &to).await;
        let done = self.clock.now();
        let (channel, rules, n) = (self.channel.clone(), self.rules.clone(), rows.len());
        for (receiver, answer) in &answers {
            match answer {
                Answer::Accepted { words } => {
                    tracing::info!(
                        channel = channel.name,
                        receiver = receiver.id,
                        n_rows = n,
                        title = message.title,
                        words,
                        "accepted"
                    );
                }
                Answer::Later { why, .. } | Answer::Refused { why, .. } => {
                    tracing::warn!(
                        channel = channel.name,
                        receiver = receiver.id,
                        n_rows = n,
                        title = message.title,
                        why,
                        "not accepted"
                    );
                }
            }
        }
        let jitter = jitter();
        let turn = Turn { rows, answers, title: message.title, facts, sent_at: now, done_at: done, jitter };
        let rings = self.store.write(move |tx| turn.record(tx, &rules, &channel)).await?;
        if rings {
            self.bell.ring();
        }
        Ok(Next::Now)
    }

    /// Who is still to accept these rows, less who was refused for good.
    fn receivers(&self, rows: &[Claimed], facts: &ChannelFacts) -> Vec<Receiver> {
        let left = rows.first().and_then(|row| row.left.as_ref());
        let is_left = |r: &Receiver| left.is_none_or(|left| left.contains(&r.id)) && !facts.refused.contains(&r.id);
        let all: Vec<Receiver> = self.channel.receivers().into_iter().filter(is_left).collect();
        self.channel.in_one_call(&all)
    }

    /// One message of the rows; those that do not fit go back and are next.
    async fn in_words(&self, mut rows: Vec<Claimed>, now: At) -> Result<(Message, Vec<Claimed>), StoreError> {
        let notices: Vec<Notice> = rows.iter().map(|row| row.notice.clone()).collect();
        let composed = self.rules.compose(&notices, &self.channel, now);
        if composed.told.len() < rows.len() {
            let mut i = 0;
            let mut back = Vec::new();
            rows.retain(|row| {
                let is_told = composed.told.contains(&i);
                i += 1;
                if !is_told {
                    back.push(row.id);
                }
                is_told
            });
            self.release(back).await?;
        }
        Ok((composed.message, rows))
    }

    /// The call; once more as short plain text if the form was refused.
    async fn call(&self, message: Message, to: &[Receiver]) -> Vec<(Receiver, Answer)> {
        let answers = self.channel.send(&message, to).await;
        let is_form =
            |(_, answer): &(Receiver, Answer)| matches!(answer, Answer::Refused { class: Refusal::Format, .. });
        if answers.is_empty() || !answers.iter().all(is_form) {
            return answers;
        }
        self.channel.send(&message.plain(SHORT), to).await
    }

    async fn release(&self, ids: Vec<i64>) -> Result<(), StoreError> {
        self.store.write_relaxed(move |tx| outbox::release(tx, &ids)).await
    }
}

enum Claim {
    /// Nothing to do before that.
    Nothing(At),
    Rows(Vec<Claimed>, ChannelFacts),
}

fn claim(tx: &mut Tx<'_>, channel: &str, me: &str, now: At) -> Result<Claim, StoreError> {
    let facts = outbox::channel(tx, channel)?;
    if let Some(next_at) = facts.next_at.filter(|next| *next > now) {
        let cut = now.plus(FIRST_SIGN_WAIT);
        let last_call = facts.failing_at.unwrap_or(now);
        if facts.paused_at.is_some() || next_at <= cut || !outbox::first_waits(tx, channel, last_call)? {
            return Ok(Claim::Nothing(next_at));
        }
        // A new first sign does not wait out a long back-off.
        outbox::set_channel(tx, channel, &ChannelFacts { next_at: Some(cut), ..facts })?;
        return Ok(Claim::Nothing(cut));
    }
    let rows = outbox::claim(tx, channel, me, now, now.plus(CLAIM_FOR), CLAIM_MAX)?;
    if rows.is_empty() {
        let held = outbox::waits_until(tx, channel)?.filter(|until| *until > now);
        return Ok(Claim::Nothing(held.unwrap_or_else(|| now.plus(LOOK_EVERY))));
    }
    Ok(Claim::Rows(rows, facts))
}

/// A call that was made, and what came of it.
#[derive(Clone)]
struct Turn {
    rows: Vec<Claimed>,
    answers: Vec<(Receiver, Answer)>,
    title: String,
    facts: ChannelFacts,
    sent_at: At,
    done_at: At,
    jitter: f64,
}

impl Turn {
    /// Writes it down; true if somebody else has to be told something.
    fn record(&self, tx: &mut Tx<'_>, rules: &Rules, channel: &Channel) -> Result<bool, StoreError> {
        let ids = outbox::ids(&self.rows);
        let message = outbox::put_message(tx, &channel.name, &self.title, &ids, self.sent_at)?;
        for (receiver, answer) in &self.answers {
            let (outcome, words) = match answer {
                Answer::Accepted { words } => ("accepted", words),
                Answer::Later { why, .. } => ("later", why),
                Answer::Refused { why, .. } => ("refused", why),
            };
            outbox::put_attempt(tx, message, &receiver.id, outcome, words, self.done_at)?;
        }
        let (facts, rings) = self.channel_facts(tx, rules, channel)?;
        outbox::set_channel(tx, &channel.name, &facts)?;
        self.leave(tx, channel, &facts, message)?;
        Ok(rings)
    }

    /// What each row waits for now.
    fn leave(&self, tx: &mut Tx<'_>, channel: &Channel, facts: &ChannelFacts, message: i64) -> Result<(), StoreError> {
        let answered: HashMap<&str, &Answer> = self.answers.iter().map(|(r, a)| (r.id.as_str(), a)).collect();
        let refused_form = !self.answers.is_empty()
            && self.answers.iter().all(|(_, a)| matches!(a, Answer::Refused { class: Refusal::Format, .. }));
        let is_accepted = |id: &str| matches!(answered.get(id), Some(Answer::Accepted { .. }));
        for row in &self.rows {
            let was_left = row.left.clone().unwrap_or_else(|| channel.receivers().into_iter().map(|r| r.id).collect());
            let left: Vec<String> =
                was_left.iter().filter(|id| !is_accepted(id) && !facts.refused.contains(id)).cloned().collect();
            if left.is_empty() {
                let outcome = if was_left.iter().any(|id| is_accepted(id)) || row.left.is_some() {
                    Outcome::Accepted
                } else {
                    Outcome::Refused
                };
                outbox::done(tx, row.id, message, outcome, self.done_at)?;
            } else if refused_form && self.rows.len() == 1 {
                tracing::error!(
                    channel = channel.name,
                    title = self.title,
                    "a message was refused for its form, even short and plain"
                );
                outbox::done(tx, row.id, message, Outcome::Refused, self.done_at)?;
            } else {
                let changed = left.len() != was_left.len() || row.left.is_some();
                outbox::wait_on(tx, row.id, message, changed.then_some(left.as_slice()), refused_form)?;
            }
        }
        Ok(())
    }

    /// What the channel is after this call, and what of it is told.
    fn channel_facts(
        &self,
        tx: &mut Tx<'_>,
        rules: &Rules,
        channel: &Channel,
    ) -> Result<(ChannelFacts, bool), StoreError> {
        let mut facts = self.facts.clone();
        let mut rings = false;
        let mut failure: Option<(&str, Option<std::time::Duration>, bool)> = None;
        let mut accepted = false;
        for (receiver, answer) in &self.answers {
            match answer {
                Answer::Accepted { .. } => accepted = true,
                Answer::Later { after, why } => failure = Some((why, *after, false)),
                Answer::Refused { class: Refusal::Credential, why } => failure = Some((why, None, true)),
                Answer::Refused { class: Refusal::Receiver, why } => {
                    if !facts.refused.contains(&receiver.id) {
                        facts.refused.push(receiver.id.clone());
                        let args = [
                            ("channel", channel.name.clone()),
                            ("receiver", receiver.id.clone()),
                            ("answer", why.clone()),
                        ];
                        self.tell(tx, rules, &record::affair(None, SystemCode::ReceiverRefused, &args, self.done_at))?;
                        rings = true;
                    }
                }
                // It goes alone next, or has left.
                Answer::Refused { class: Refusal::Format, .. } => {}
                Answer::Refused { class: Refusal::Other, why } => failure = Some((why, None, false)),
            }
        }
        let begun = incidents::open_of(tx, Subject::Channel, None, &channel.name)?;
        if let Some((why, after, is_credential)) = failure {
            facts.n_failed = facts.n_failed.saturating_add(1);
            let failing_at = *facts.failing_at.get_or_insert(self.done_at);
            facts.why = Some(why.to_owned());
            facts.paused_at = if is_credential { facts.paused_at.or(Some(self.done_at)) } else { None };
            let wait = if is_credential { PROBE_EVERY } else { back_off(facts.n_failed, self.jitter) };
            let named = after.map_or(0, |after| i64::try_from(after.as_millis()).unwrap_or(i64::MAX));
            facts.next_at = Some(self.done_at.plus(wait.max(named).min(LIVES)));
            let is_lasting = is_credential || self.done_at.since(failing_at) >= TELL_AFTER;
            if begun.is_none() && is_lasting {
                rings |= self.begin_failing(tx, rules, channel, why)?;
            }
        } else if accepted {
            facts = ChannelFacts { refused: facts.refused, config: facts.config, ..Default::default() };
            if let Some(number) = begun {
                incidents::end(tx, number, self.done_at, "accepted")?;
                let args = [("channel", channel.name.clone())];
                let mut notice = record::affair(None, SystemCode::ChannelBack, &args, self.done_at);
                notice.incident = Some(number);
                self.tell(tx, rules, &notice)?;
                rings = true;
            }
        }
        Ok((facts, rings))
    }

    fn begin_failing(&self, tx: &mut Tx<'_>, rules: &Rules, channel: &Channel, why: &str) -> Result<bool, StoreError> {
        let begin =
            Begin { subject: Subject::Channel, device: None, task: None, name: &channel.name, at: self.done_at };
        let number = incidents::begin(tx, &begin, &serde_json::json!({ "answer": why }))?;
        let args = [("channel", channel.name.clone()), ("answer", why.to_owned())];
        let mut notice = record::affair(None, SystemCode::ChannelFailing, &args, self.done_at);
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
        record::tell(tx, rules, notice, self.done_at)
    }
}

/// 2 s, doubled with every failure, at most 15 min; between half and all of that, so that many hubs do not call in step.
fn back_off(n_failed: u32, jitter: f64) -> i64 {
    let full = BACK_OFF.0.saturating_mul(1 << n_failed.saturating_sub(1).min(20)).min(BACK_OFF.1);
    full / 2 + (jitter * (full / 2) as f64) as i64
}

fn jitter() -> f64 {
    let mut byte = [0; 2];
    // Without randomness: the middle.
    if getrandom::fill(&mut byte).is_err() {
        return 0.5;
    }
    f64::from(u16::from_le_bytes(byte)) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests;

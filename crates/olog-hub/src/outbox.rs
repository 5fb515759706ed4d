//! The outbox's dispatchers: each sends what waits for one channel and records the service's answer. (The rows are in `store/outbox`.)
//!
//! ```text
//! claim ─▶ words ─▶ call ─▶ plan ─▶ record
//!   │        │                        └─ rows leave or wait, the channel's state, the ledger: one transaction (`record`)
//!   │        └─ everything that was claimed becomes one message (`olog_push::words`)
//!   └─ hold what may go now (`claim`, decided by `worth`: budget and quiet hours; `coalesce`: storms)
//! ```
//!
//! One call at a time for each channel, within its rate limit. The first notification leaves at once, and what gathers during a call
//! leaves with the next one: there is no grouping delay, except in a storm. A row leaves when its last receiver has accepted
//! it. Done is written after the answer, never before the call.
//!
//! At least once: before the call a crash costs nothing, because the claim expires (`CLAIM_FOR`); between the service's yes and our
//! record it repeats the message, once. An answer that the store does not take is kept, also over a reload, and recorded before
//! anything else is sent.
//!
//! A failure is retried with jittered back-off, of the channel, of one receiver or of one message; `plan` has the table. An error of
//! the store is a failure of the duty `send`: it is tried again, the other channels go on, and the status says so.
//!
//! Must not: decide what is told (it finds it in the store), or know what a service's answer looks like (`olog-push`).

mod claim;
mod coalesce;
mod plan;
mod record;
mod worth;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use olog_daemon::clock::Clock;
use olog_daemon::workers::{Duty, STUCK_AFTER, Worker, Workers};
use olog_proto::Timestamp;
use olog_push::rate_limit::{RateLimiter, RateLimiters};
use olog_push::words::BudgetUse;
use olog_push::{Answer, Channel, Message, Notice, Receiver, Refusal, SystemCode};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply::{self, LivePolicy};
use crate::bell::{Bell, BellListener};
use crate::store::outbox::{self, ChannelFacts, Claimed};
use crate::store::{Store, StoreError, Tx};
use claim::{Claim, Claims};
use coalesce::{Coalesce, ShortTexts};
use plan::{CallRecord, ROW_TTL};

/// Rows of one transaction that claims: it takes some ten milliseconds, and ingest goes on behind it.
const CHUNK: u32 = 1_000;
/// Incidents of one transaction that takes back what was only counted.
const COUNTED_CHUNK: usize = 200;
/// Rows of one claim, and so of one message, …
const CLAIM_MAX: usize = 20_000;
/// … and bytes of their notices, about.
const CLAIM_BYTES: usize = 16 << 20;
/// So many are put into words at once; more elsewhere than where devices are answered.
const FEW_WORDS: usize = 200;
/// A claim outlives a call (10 s) and its record; then the row is free again.
const CLAIM_FOR: i64 = 60_000;
/// The longest that a new first sign waits for a channel that backs off.
const FIRST_SIGN_WAIT: i64 = 30_000;
/// How often it is looked whether one has to be, and the longest that a dispatcher sleeps.
const LOOK_EVERY: i64 = 600_000;
/// Of a message that was refused for its form, in the channel's unit.
const SHORT: usize = 1_000;

/// Runs a dispatcher for each channel in force until `stop`; a changed configuration replaces them.
pub async fn run(
    store: Store,
    mut rules: watch::Receiver<Arc<LivePolicy>>,
    bell: Bell,
    clock: Clock,
    workers: Workers,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let mut limiters = RateLimiters::default();
    let mut unrecorded: HashMap<String, Unrecorded> = HashMap::new();
    loop {
        let now = rules.borrow_and_update().clone();
        let round = stop.child_token();
        let mut dispatchers = JoinSet::new();
        for channel in &now.channels {
            let dispatcher = Dispatcher::new(
                store.clone(),
                now.clone(),
                channel.clone(),
                bell.clone(),
                clock.clone(),
                workers.register(format!("outbox of {}", channel.name), STUCK_AFTER),
                round.clone(),
            );
            let unrecorded = unrecorded.entry(channel.name.clone()).or_default().clone();
            let limiter = limiters.of(&channel.name, channel.rate, Instant::now());
            dispatchers.spawn(dispatcher.limited_by(limiter).with_unrecorded(unrecorded).run());
        }
        let status = workers.register("outbox", STUCK_AFTER);
        dispatchers.spawn(expire(store.clone(), now.clone(), bell.clone(), clock.clone(), status, round.clone()));
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

/// Gives up what has waited for too long, of channels that are gone as well; true if something was.
pub async fn give_up(store: &Store, rules: &Arc<LivePolicy>, now: Timestamp) -> Result<bool, StoreError> {
    let rules = rules.clone();
    let given_up = store.write(move |tx| {
        let given_up = outbox::expire(tx, now.plus(-ROW_TTL), now)?;
        for (channel, n) in &given_up {
            let args = [("channel", channel.clone()), ("n", n.to_string())];
            apply::enqueue_notice(tx, &rules, &apply::system_notice(None, SystemCode::Expired, &args, now), now)?;
        }
        Ok(!given_up.is_empty())
    });
    given_up.await
}

async fn expire(
    store: Store,
    rules: Arc<LivePolicy>,
    bell: Bell,
    clock: Clock,
    status: Worker,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let duty = status.duty("give up what waited for a week");
    loop {
        let now = clock.now();
        status.beat();
        let given_up = give_up(&store, &rules, now).await;
        status.idle();
        if matches!(given_up, Err(StoreError::Closed)) {
            return Ok(());
        }
        if duty.round(given_up, now)? == Some(true) {
            bell.ring();
        }
        tokio::select! {
            () = clock.sleep_until(now.plus(LOOK_EVERY)) => {}
            () = stop.cancelled() => return Ok(()),
        }
    }
}

/// Who answers the calls of a channel: its service, unless somebody stands in for it.
pub trait FakeAnswers: std::fmt::Debug + Send + Sync {
    /// What it says to one call, of each receiver.
    fn answer(&self, channel: &str, message: &Message, to: &[Receiver]) -> Vec<(Receiver, Answer)>;
}

/// The answer to a call that is not on record yet.
type Unrecorded = Arc<Mutex<Option<Arc<CallRecord>>>>;

/// One channel's sender.
#[derive(Debug)]
pub struct Dispatcher {
    store: Store,
    rules: Arc<LivePolicy>,
    channel: Arc<Channel>,
    bell: Bell,
    listener: BellListener,
    clock: Clock,
    limiter: Arc<RateLimiter>,
    coalesce: Mutex<Coalesce>,
    /// The answer to its last call, until it is on record; kept when a configuration replaces the dispatcher.
    unrecorded: Unrecorded,
    /// Who holds its claims.
    me: String,
    status: Worker,
    /// What it does again and again.
    send: Duty,
    stop: CancellationToken,
    /// Answers in the place of the service, and then no back-off is left to chance.
    fake: Option<Arc<dyn FakeAnswers>>,
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once: more waits.
    Now,
    /// When the channel's rate limit allows the next call.
    AfterLimit(std::time::Duration),
    /// Then, or when the bell rings.
    At(Timestamp),
}

impl Dispatcher {
    /// Of one channel, under the rules in force.
    pub fn new(
        store: Store,
        rules: Arc<LivePolicy>,
        channel: Arc<Channel>,
        bell: Bell,
        clock: Clock,
        status: Worker,
        stop: CancellationToken,
    ) -> Dispatcher {
        let mut me = [0; 8];
        // Without randomness the name is enough where one hub runs.
        let me = match getrandom::fill(&mut me) {
            Ok(()) => u64::from_le_bytes(me).to_string(),
            Err(_) => "hub".to_owned(),
        };
        let limiter = Arc::new(RateLimiter::new(channel.rate, Instant::now()));
        Dispatcher {
            store,
            rules,
            channel,
            listener: bell.listen(),
            bell,
            clock,
            limiter,
            coalesce: Mutex::default(),
            unrecorded: Unrecorded::default(),
            me,
            send: status.duty("send"),
            status,
            stop,
            fake: None,
        }
    }

    /// Within this limiter, which counts the calls made under earlier configurations.
    fn limited_by(self, limiter: Arc<RateLimiter>) -> Dispatcher {
        Dispatcher { limiter, ..self }
    }

    /// With the answer that the dispatcher before this one could not write down.
    fn with_unrecorded(self, unrecorded: Unrecorded) -> Dispatcher {
        Dispatcher { unrecorded, ..self }
    }

    /// Calls nobody: this one answers.
    pub fn answered_by(self, fake: Arc<dyn FakeAnswers>) -> Dispatcher {
        Dispatcher { fake: Some(fake), ..self }
    }

    async fn run(mut self) -> Result<(), StoreError> {
        let mut has_begun = false;
        while !self.stop.is_cancelled() {
            self.status.beat();
            let turn = async {
                if !has_begun {
                    self.begin().await?;
                    has_begun = true;
                }
                self.turn(Instant::now()).await
            };
            let turn = turn.await;
            self.status.idle();
            let next = match turn {
                Err(StoreError::Closed) => return Ok(()),
                turn => match self.send.round(turn, self.clock.now())? {
                    Some(next) => next,
                    None => Next::AfterLimit(self.send.retry_after()),
                },
            };
            match next {
                Next::Now => {}
                Next::AfterLimit(wait) => tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = self.stop.cancelled() => {}
                },
                Next::At(due) => tokio::select! {
                    () = self.listener.heard() => {}
                    () = self.clock.sleep_until(due) => {}
                    () = self.stop.cancelled() => {}
                },
            }
        }
        Ok(())
    }

    /// A pause and receivers set aside end with the configuration under which they came.
    pub async fn begin(&self) -> Result<(), StoreError> {
        match self.record_answer().await {
            // Its claim stays: what a service has accepted must not be free for the next call.
            Err(error) if error.is_passing() => return Ok(()),
            done => done?,
        }
        let (name, config) = (self.channel.name.clone(), self.channel.settings_hash());
        let is_shared = self.store.is_shared();
        let written = self.store.write(move |tx| {
            if !is_shared {
                // Whoever held something is gone, killed perhaps: it need not wait until its claim expires.
                outbox::release_all(tx, &name)?;
            }
            let facts = outbox::channel(tx, &name)?;
            if facts.config.as_ref() != Some(&config) {
                outbox::set_channel(tx, &name, &ChannelFacts { config: Some(config.clone()), ..facts.after_rearm() })?;
            }
            Ok(())
        });
        match written.await {
            Err(error) if error.is_passing() => Ok(()),
            done => done,
        }
    }

    /// One turn: claim, put into words, call, record. `instant` is what the rate is measured by.
    pub async fn turn(&self, instant: Instant) -> Result<Next, StoreError> {
        self.record_answer().await?;
        let now = self.clock.now();
        let claim = {
            let (rules, channel, me) = (self.rules.clone(), self.channel.clone(), self.me.clone());
            self.store.write_relaxed(move |tx| claim::claim(tx, &rules, &channel, &me, now)).await?
        };
        let mut claims = match claim {
            Claim::Nothing(next) => return Ok(Next::At(next)),
            Claim::Rows(claims) => *claims,
        };
        let coalesce = || self.coalesce.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = coalesce().wait(claims.rows.len(), instant);
        if wait.is_some() && claims.rows.len() >= CHUNK as usize {
            // What fills a message need not gather.
            let name = self.channel.name.clone();
            let n = self.store.read(move |tx| outbox::n_waiting(tx, &name, CLAIM_MAX as u64)).await?;
            wait = wait.filter(|_| n < CLAIM_MAX as u64);
        }
        if let Some(wait) = wait.or_else(|| self.limiter.try_acquire(instant).err()) {
            self.release(outbox::ids(&claims.rows)).await?;
            return Ok(Next::AfterLimit(wait));
        }
        self.claim_more(&mut claims, now).await?;
        coalesce().goes(claims.rows.len(), instant);
        let to = self.receivers(&claims.rows, &claims.facts);
        let spending = claims.spending(&self.channel.name);
        let (message, rows, counted) = self.in_words(claims.rows, spending, now).await?;
        let answers = self.call(message.clone(), &to).await;
        let jitter = if self.fake.is_some() { 1.0 } else { jitter() };
        answers.iter().for_each(|(receiver, answer)| self.log(&rows, &message.title, receiver, answer));
        let done_at = self.clock.now();
        let call = CallRecord { rows, counted, answers, title: message.title, sent_at: now, done_at, jitter };
        *self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(call));
        self.record_answer().await?;
        Ok(Next::Now)
    }

    /// In a storm: what stands behind the first rows, in transactions that leave room for others.
    async fn claim_more(&self, claims: &mut Claims, now: Timestamp) -> Result<(), StoreError> {
        let mut texts = ShortTexts::default();
        let mut bytes: usize = claims.rows.iter_mut().map(|row| texts.shrink(&mut row.notice)).sum();
        let is_full = |n: usize| n >= CHUNK as usize;
        let mut n_last = claims.rows.len();
        while is_full(n_last) && claims.rows.len() < CLAIM_MAX && bytes < CLAIM_BYTES {
            self.status.beat();
            let (name, me, pick) = (self.channel.name.clone(), self.me.clone(), claims.pick);
            let claim = move |tx: &mut Tx<'_>| outbox::claim(tx, &name, &me, now, now.plus(CLAIM_FOR), pick);
            let mut more = self.store.write_relaxed(claim).await?;
            n_last = more.len();
            bytes += more.iter_mut().map(|row| texts.shrink(&mut row.notice)).sum::<usize>();
            claims.rows.append(&mut more);
        }
        // What is told stands in the order of its making.
        claims.rows.sort_by_key(|row| row.id);
        Ok(())
    }

    /// One line a receiver, with what the service answered; a message of several things is found by its oldest. The title names no
    /// text of a log.
    fn log(&self, rows: &[Claimed], title: &str, receiver: &Receiver, answer: &Answer) {
        let n = (rows.len() > 1).then_some(rows.len());
        let about = rows.first().map(|row| &row.notice);
        let (device, task) = (about.and_then(|n| n.device.as_deref()), about.and_then(|n| n.task.as_deref()));
        let incident = about.and_then(|n| n.incident);
        let (channel, receiver) = (self.channel.name.as_str(), receiver.id.as_str());
        let outcome = if matches!(answer, Answer::Accepted { .. }) { "accepted" } else { "not_accepted" };
        metrics::counter!("olog_attempts_total", "outcome" => outcome).increment(1);
        match answer {
            Answer::Accepted { words } => {
                tracing::info!(channel, receiver, incident, device, task, n, title, words, "notification accepted");
            }
            Answer::Later { why, .. } => {
                tracing::warn!(
                    channel,
                    receiver,
                    incident,
                    device,
                    task,
                    n,
                    title,
                    why,
                    "notification not accepted: tried again"
                );
            }
            Answer::Refused { why, .. } => {
                tracing::warn!(channel, receiver, incident, device, task, n, title, why, "notification refused");
            }
        }
    }

    /// Writes down what the service said to the last call, if that is not on record yet. While the store does not take it nothing
    /// else is sent: a message whose acceptance is not on record would be sent again.
    async fn record_answer(&self) -> Result<(), StoreError> {
        let unrecorded = || self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(call) = unrecorded().clone() else { return Ok(()) };
        let not_told: Vec<_> = call.not_told().into_iter().map(|(incident, of)| (incident, of.to_vec())).collect();
        for errors in not_told.chunks(COUNTED_CHUNK) {
            self.status.beat();
            let errors = errors.to_vec();
            self.store.write_relaxed(move |tx| record::not_told(tx, &errors)).await?;
        }
        let (channel, rules) = (self.channel.clone(), self.rules.clone());
        let rings = self.store.write(move |tx| record::record(tx, &rules, &channel, &call)).await?;
        *unrecorded() = None;
        if rings {
            self.bell.ring();
        }
        Ok(())
    }

    /// Who is still to accept these rows: less who was set aside, unless that leaves nobody.
    fn receivers(&self, rows: &[Claimed], facts: &ChannelFacts) -> Vec<Receiver> {
        let left = rows.first().and_then(|row| row.left.as_ref());
        let mut all = self.channel.receivers();
        all.retain(|r| left.is_none_or(|left| left.contains(&r.id)));
        let wanted: Vec<Receiver> = all.iter().filter(|r| !facts.refused.contains(&r.id)).cloned().collect();
        self.channel.in_one_call(if wanted.is_empty() { &all } else { &wanted })
    }

    /// One message of the rows; those that do not fit go back and are next. Also which rows it only counts.
    async fn in_words(
        &self,
        mut rows: Vec<Claimed>,
        budget: Option<BudgetUse>,
        now: Timestamp,
    ) -> Result<(Message, Vec<Claimed>, HashSet<i64>), StoreError> {
        // A storm takes some hundred milliseconds of one core: not of those that answer devices.
        let (rules, channel, is_storm) = (self.rules.clone(), self.channel.clone(), rows.len() > FEW_WORDS);
        let in_words = move || {
            let nothing = apply::system_notice(None, SystemCode::ChannelTest, &[], now);
            let notices: Vec<Notice> =
                rows.iter_mut().map(|row| std::mem::replace(&mut row.notice, nothing.clone())).collect();
            let composed = rules.compose(&notices, &channel, budget, now);
            for (row, notice) in rows.iter_mut().zip(notices) {
                row.notice = notice;
            }
            (composed, rows)
        };
        let (composed, mut rows) = if is_storm {
            let composing = tokio::task::spawn_blocking(in_words).await;
            composing.map_err(|error| StoreError::Refused(error.to_string()))?
        } else {
            in_words()
        };
        let shown: HashSet<usize> = composed.shown.into_iter().collect();
        let only_counted = composed.included.iter().filter(|place| !shown.contains(place));
        let counted = only_counted.filter_map(|place| rows.get(*place)).map(|row| row.id).collect();
        if composed.included.len() < rows.len() {
            let told: HashSet<usize> = composed.included.into_iter().collect();
            let (kept, back): (Vec<_>, Vec<_>) = rows.into_iter().enumerate().partition(|(i, _)| told.contains(i));
            rows = kept.into_iter().map(|(_, row)| row).collect();
            self.release(back.into_iter().map(|(_, row)| row.id).collect()).await?;
        }
        Ok((composed.message, rows, counted))
    }

    /// The call; once more as short plain text if the form was refused.
    async fn call(&self, message: Message, to: &[Receiver]) -> Vec<(Receiver, Answer)> {
        let answers = self.send(&message, to).await;
        let is_form =
            |(_, answer): &(Receiver, Answer)| matches!(answer, Answer::Refused { class: Refusal::Format, .. });
        if answers.is_empty() || !answers.iter().all(is_form) {
            return answers;
        }
        self.send(&message.plain(&self.channel.limits(), SHORT), to).await
    }

    async fn send(&self, message: &Message, to: &[Receiver]) -> Vec<(Receiver, Answer)> {
        match &self.fake {
            Some(fake) => fake.answer(&self.channel.name, message, to),
            None => self.channel.send(message, to).await,
        }
    }

    async fn release(&self, ids: Vec<i64>) -> Result<(), StoreError> {
        self.store.write_relaxed(move |tx| outbox::release(tx, &ids)).await
    }
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

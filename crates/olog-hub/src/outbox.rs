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
//! A channel with a budget (`budget`) sends only what is worth one of the messages that are left. In a storm (`storm`) a claim takes
//! thousands of rows, their texts bounded, and the message counts what it cannot tell; all of it is told then.
//!
//! What an answer does (`turn`). *Accepted*: that receiver is done. *Later*: the channel backs off, jittered, at most
//! [`BACK_OFF`]`.1`; a new first sign cuts that to [`FIRST_SIGN_WAIT`]. *Refused* for the receiver: set aside and told; it is
//! named again only when nobody else is left, or after `channel rearm`. For the credential, or for every receiver: the
//! channel pauses, with one probe each [`PROBE_EVERY`]; a changed configuration or `channel rearm` ends that. For the form:
//! sent once more as short plain text, then its rows go one by one, and the one that is still refused leaves as refused.
//! Any other refusal waits like *Later*, behind what comes after it. After [`LIVES`] a row is given up, and that is told.
//!
//! Must not: decide what is told (it finds it in the store), or know what a service's answer looks like (`olog-push`).

mod storm;
mod turn;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use olog_daemon::clock::Clock;
use olog_daemon::workers::{STUCK_AFTER, Worker, Workers};
use olog_proto::At;
use olog_push::rate_limit::{RateLimiter, RateLimiters};
use olog_push::words::BudgetUse;
use olog_push::{Answer, Channel, Message, Notice, Receiver, Refusal, SystemCode};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::apply::{self, Rules};
use crate::bell::{Bell, Listener};
use crate::rules::budget::{Budget, Urgency};
use crate::store::outbox::{self, ChannelFacts, Claimed, Pick, Place};
use crate::store::{Store, StoreError, Tx};
use storm::{Storm, Texts};
use turn::Turn;

/// Rows of one transaction that claims: it takes some ten milliseconds, and ingest goes on behind it.
const CHUNK: u32 = 1_000;
/// Rows of one claim, and so of one message, …
const CLAIM_MAX: usize = 20_000;
/// … and bytes of their notices, about.
const CLAIM_BYTES: usize = 16 << 20;
/// So many are put into words at once; more elsewhere than where devices are answered.
const FEW_WORDS: usize = 200;
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
/// How long until a row that somebody's transaction holds is looked at again.
const LOCKED_WAIT: i64 = 1_000;
/// How long until an answer that could not be written down is tried again.
const RECORD_AGAIN: std::time::Duration = std::time::Duration::from_secs(2);
/// Of a message that was refused for its form, in the channel's unit.
const SHORT: usize = 1_000;

/// Runs a dispatcher for each channel in force until `stop`; a changed configuration replaces them.
pub async fn run(
    store: Store,
    mut rules: watch::Receiver<Arc<Rules>>,
    bell: Bell,
    clock: Clock,
    workers: Workers,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    let mut limiters = RateLimiters::default();
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
            let limiter = limiters.of(&channel.name, channel.rate, Instant::now());
            dispatchers.spawn(dispatcher.limited_by(limiter).run());
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

/// Gives up what has waited for too long, of channels that are gone as well; true if something was.
pub async fn give_up(store: &Store, rules: &Arc<Rules>, now: At) -> Result<bool, StoreError> {
    let rules = rules.clone();
    let given_up = store.write(move |tx| {
        let given_up = outbox::expire(tx, now.plus(-LIVES), now)?;
        for (channel, n) in &given_up {
            let args = [("channel", channel.clone()), ("n", n.to_string())];
            apply::tell(tx, &rules, &apply::affair(None, SystemCode::Expired, &args, now), now)?;
        }
        Ok(!given_up.is_empty())
    });
    given_up.await
}

async fn expire(
    store: Store,
    rules: Arc<Rules>,
    bell: Bell,
    clock: Clock,
    stop: CancellationToken,
) -> Result<(), StoreError> {
    loop {
        let now = clock.now();
        match give_up(&store, &rules, now).await {
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

/// Who answers the calls of a channel: its service, unless somebody stands in for it.
pub trait StandIn: std::fmt::Debug + Send + Sync {
    /// What it says to one call, of each receiver.
    fn answer(&self, channel: &str, message: &Message, to: &[Receiver]) -> Vec<(Receiver, Answer)>;
}

/// One channel's sender.
#[derive(Debug)]
pub struct Dispatcher {
    store: Store,
    rules: Arc<Rules>,
    channel: Arc<Channel>,
    bell: Bell,
    listener: Listener,
    clock: Clock,
    limiter: Arc<RateLimiter>,
    storm: Mutex<Storm>,
    /// Who holds its claims.
    me: String,
    pulse: Worker,
    stop: CancellationToken,
    /// Answers in the place of the service, and then no back-off is left to chance.
    stand_in: Option<Arc<dyn StandIn>>,
}

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// At once: more waits.
    Now,
    /// When the channel's pace allows the next call.
    AfterPace(std::time::Duration),
    /// Then, or when the bell rings.
    At(At),
}

impl Dispatcher {
    /// Of one channel, under the rules in force.
    pub fn new(
        store: Store,
        rules: Arc<Rules>,
        channel: Arc<Channel>,
        bell: Bell,
        clock: Clock,
        pulse: Worker,
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
            storm: Mutex::default(),
            me,
            pulse,
            stop,
            stand_in: None,
        }
    }

    /// Within this limiter, which counts the calls made under earlier configurations.
    fn limited_by(self, limiter: Arc<RateLimiter>) -> Dispatcher {
        Dispatcher { limiter, ..self }
    }

    /// Calls nobody: this one answers.
    pub fn answered_by(self, stand_in: Arc<dyn StandIn>) -> Dispatcher {
        Dispatcher { stand_in: Some(stand_in), ..self }
    }

    async fn run(mut self) -> Result<(), StoreError> {
        self.begin().await?;
        while !self.stop.is_cancelled() {
            self.pulse.beat();
            let turn = self.turn(Instant::now()).await;
            self.pulse.idle();
            let next = match turn {
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
        let (name, config) = (self.channel.name.clone(), self.channel.settings_print());
        let is_shared = self.store.is_shared();
        let written = self.store.write(move |tx| {
            if !is_shared {
                // Whoever held something is gone, killed perhaps: it need not wait until its claim expires.
                outbox::release_all(tx, &name)?;
            }
            let facts = outbox::channel(tx, &name)?;
            if facts.config.as_ref() != Some(&config) {
                outbox::set_channel(tx, &name, &ChannelFacts { config: Some(config.clone()), ..facts.to_try_again() })?;
            }
            Ok(())
        });
        match written.await {
            Err(error) if error.is_passing() => Ok(()),
            done => done,
        }
    }

    /// One turn: claim, put into words, call, record. `instant` is what the pace is measured by.
    pub async fn turn(&self, instant: Instant) -> Result<Next, StoreError> {
        let now = self.clock.now();
        let claim = {
            let (channel, me) = (self.channel.clone(), self.me.clone());
            self.store.write_relaxed(move |tx| claim(tx, &channel, &me, now)).await?
        };
        let mut claims = match claim {
            Claim::Nothing(next) => return Ok(Next::At(next)),
            Claim::Rows(claims) => *claims,
        };
        let storm = || self.storm.lock().unwrap_or_else(PoisonError::into_inner);
        let mut wait = storm().wait(claims.rows.len(), instant);
        if wait.is_some() && claims.rows.len() >= CHUNK as usize {
            // What fills a message need not gather.
            let name = self.channel.name.clone();
            let n = self.store.read(move |tx| outbox::n_waiting(tx, &name, CLAIM_MAX as u64)).await?;
            wait = wait.filter(|_| n < CLAIM_MAX as u64);
        }
        if let Some(wait) = wait.or_else(|| self.limiter.try_acquire(instant).err()) {
            self.release(outbox::ids(&claims.rows)).await?;
            return Ok(Next::AfterPace(wait));
        }
        self.claim_more(&mut claims, now).await?;
        let Claims { rows, facts, budget, .. } = claims;
        storm().goes(rows.len(), instant);
        let to = self.receivers(&rows, &facts);
        let spending = spending(&self.channel.name, &rows, &facts, budget.as_ref());
        let (message, rows) = self.in_words(rows, spending, now).await?;
        let answers = self.call(message.clone(), &to).await;
        let done = self.clock.now();
        let jitter = if self.stand_in.is_some() { 1.0 } else { jitter() };
        answers.iter().for_each(|(receiver, answer)| self.log(&rows, &message.title, receiver, answer));
        let turn = Turn { rows, answers, title: message.title, sent_at: now, done_at: done, jitter };
        self.record(turn).await?;
        Ok(Next::Now)
    }

    /// In a storm: what stands behind the first rows, in transactions that leave room for others.
    async fn claim_more(&self, claims: &mut Claims, now: At) -> Result<(), StoreError> {
        let mut texts = Texts::default();
        let mut bytes: usize = claims.rows.iter_mut().map(|row| texts.lighten(&mut row.notice)).sum();
        let is_full = |n: usize| n >= CHUNK as usize;
        let mut n_last = claims.rows.len();
        while is_full(n_last) && claims.rows.len() < CLAIM_MAX && bytes < CLAIM_BYTES {
            self.pulse.beat();
            let (name, me, pick) = (self.channel.name.clone(), self.me.clone(), claims.pick);
            let claim = move |tx: &mut Tx<'_>| outbox::claim(tx, &name, &me, now, now.plus(CLAIM_FOR), pick);
            let mut more = self.store.write_relaxed(claim).await?;
            n_last = more.len();
            bytes += more.iter_mut().map(|row| texts.lighten(&mut row.notice)).sum::<usize>();
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

    /// Writes down what the service said. While the disk does not take it nothing else is sent: a message whose acceptance
    /// is not on record would be sent again.
    async fn record(&self, turn: Turn) -> Result<(), StoreError> {
        let (channel, rules, turn) = (self.channel.clone(), self.rules.clone(), Arc::new(turn));
        loop {
            self.pulse.beat();
            let (turn, rules, channel) = (turn.clone(), rules.clone(), channel.clone());
            match self.store.write(move |tx| turn.record(tx, &rules, &channel)).await {
                Ok(true) => break self.bell.ring(),
                Ok(false) => break,
                Err(error @ (StoreError::Disk(_) | StoreError::Again(_))) => {
                    tracing::warn!(%error, channel = self.channel.name, "an answer could not be written down: tried again");
                    tokio::select! {
                        () = tokio::time::sleep(RECORD_AGAIN) => {}
                        () = self.stop.cancelled() => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
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

    /// One message of the rows; those that do not fit go back and are next.
    async fn in_words(
        &self,
        mut rows: Vec<Claimed>,
        budget: Option<BudgetUse>,
        now: At,
    ) -> Result<(Message, Vec<Claimed>), StoreError> {
        // A storm takes some hundred milliseconds of one core: not of those that answer devices.
        let (rules, channel, is_storm) = (self.rules.clone(), self.channel.clone(), rows.len() > FEW_WORDS);
        let in_words = move || {
            let nothing = apply::affair(None, SystemCode::ChannelTest, &[], now);
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
        if composed.included.len() < rows.len() {
            let told: HashSet<usize> = composed.included.into_iter().collect();
            let (kept, back): (Vec<_>, Vec<_>) = rows.into_iter().enumerate().partition(|(i, _)| told.contains(i));
            rows = kept.into_iter().map(|(_, row)| row).collect();
            self.release(back.into_iter().map(|(_, row)| row.id).collect()).await?;
        }
        Ok((composed.message, rows))
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
        match &self.stand_in {
            Some(stand_in) => stand_in.answer(&self.channel.name, message, to),
            None => self.channel.send(message, to).await,
        }
    }

    async fn release(&self, ids: Vec<i64>) -> Result<(), StoreError> {
        self.store.write_relaxed(move |tx| outbox::release(tx, &ids)).await
    }
}

enum Claim {
    /// Nothing to do before that.
    Nothing(At),
    Rows(Box<Claims>),
}

/// Rows that are held, and what was known of their channel when they were.
struct Claims {
    rows: Vec<Claimed>,
    facts: ChannelFacts,
    budget: Option<Budget>,
    /// By which they were chosen; more of their like come by it.
    pick: Pick,
}

fn claim(tx: &mut Tx<'_>, channel: &Channel, me: &str, now: At) -> Result<Claim, StoreError> {
    let name = channel.name.as_str();
    let facts = outbox::channel(tx, name)?;
    if let Some(next_at) = facts.next_at.filter(|next| *next > now) {
        let cut = now.plus(FIRST_SIGN_WAIT);
        // Longer than our own back-off: the service has named it, and who asks before is locked out for longer.
        let is_named = next_at > now.plus(turn::back_off(facts.n_failed, 1.0));
        if facts.paused_at.is_some() || is_named || next_at <= cut || !outbox::new_first_waits(tx, name)? {
            return Ok(Claim::Nothing(next_at));
        }
        // A new first sign does not wait out a long back-off.
        outbox::set_channel(tx, name, &ChannelFacts { next_at: Some(cut), ..facts })?;
        return Ok(Claim::Nothing(cut));
    }
    let budget = outbox::budget(tx, channel, &facts, Some(me), now)?;
    let mut pick = Pick { place: None, only: None, limit: CHUNK };
    if let Some(budget) = &budget {
        match worth_a_message(&outbox::present(tx, name, now)?, budget) {
            // Not a look more: what comes between two statements was not asked about.
            Worth::Nothing => return nothing_free(tx, name, now),
            Worth::Message(place, only) => (pick.place, pick.only) = (Some(place), only),
            Worth::Later(at) => {
                let held_through = Some(outbox::last(tx)?);
                if facts.held_through != held_through {
                    outbox::set_channel(tx, name, &ChannelFacts { held_through, ..facts })?;
                }
                return Ok(Claim::Nothing(at.min(now.plus(LOOK_EVERY))));
            }
        }
    }
    let rows = outbox::claim(tx, name, me, now, now.plus(CLAIM_FOR), pick)?;
    if rows.is_empty() {
        return nothing_free(tx, name, now);
    }
    // Of a place where rows differ in who is left to accept them, one transaction's are enough.
    pick.place = Some(Place::Fresh);
    if rows.first().is_some_and(|row| row.place != Place::Fresh) {
        pick.limit = 0;
    }
    Ok(Claim::Rows(Box::new(Claims { rows, facts, budget, pick })))
}

/// Until the first of those that are held is free.
fn nothing_free(tx: &mut Tx<'_>, channel: &str, now: At) -> Result<Claim, StoreError> {
    Ok(Claim::Nothing(match outbox::waits_until(tx, channel)? {
        Some(until) if until > now => until,
        // It came between two statements, or a transaction holds it at this moment.
        Some(_) => now.plus(LOCKED_WAIT),
        None => now.plus(LOOK_EVERY),
    }))
}

/// What of that which waits is worth one of the messages that are left.
enum Worth {
    /// Nothing waits.
    Nothing,
    /// What stands in this place; only this of it.
    Message(Place, Option<Urgency>),
    /// Nothing before that.
    Later(At),
}

/// Once something is worth a message, all of its place goes with it; a report goes alone.
fn worth_a_message(present: &[(Place, Urgency)], budget: &Budget) -> Worth {
    let worth = |(place, urgency): &(Place, Urgency)| {
        let only = (*urgency == Urgency::Report).then_some(Urgency::Report);
        budget.allows(*urgency).then_some((*place, only))
    };
    // By place; in one place a report, which takes nobody with it, comes after what does.
    let first = present.iter().filter_map(worth).min_by_key(|(place, only)| (*place, only.is_some()));
    let later = present.iter().map(|(_, urgency)| budget.allows_at(*urgency)).min();
    match (first, later) {
        (Some((place, only)), _) => Worth::Message(place, only),
        (None, Some(at)) => Worth::Later(at),
        (None, None) => Worth::Nothing,
    }
}

/// What a message says of the budget, if there is anything to say: that some of it has waited, or that little is left.
fn spending(channel: &str, rows: &[Claimed], facts: &ChannelFacts, budget: Option<&Budget>) -> Option<BudgetUse> {
    let budget = budget?;
    let has_waited = |row: &&Claimed| facts.held_through.is_some_and(|last| row.id <= last);
    let n_waited = rows.iter().filter(has_waited).count() as u64;
    Some(BudgetUse { channel: channel.to_owned(), n_waited, used: budget.used(), per_day: budget.per_day() })
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

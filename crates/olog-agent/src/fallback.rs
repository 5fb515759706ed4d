//! The agent's own push: notifies people directly while the hub cannot be reached.
//!
//! It starts when the device has had no session for `push.after`. It pushes those unacknowledged events that a hub would push at once: text
//! of an `.err` or `.msg`, a failed run; never what was found at the first start. In one outage each error is pushed once, however many
//! events repeat it, and everything that waits for one receiver goes as one message.
//!
//! An event is marked as *tried* before the call, and as *accepted* after it if every receiver accepted. Both marks are sent to the hub
//! with the event, and the hub suppresses only what was accepted: in doubt a notification comes twice rather than never.
//!
//! That the hub is unreachable, and later reachable again, is notified too, after a longer random delay (`hub`), so that a hub that restarts
//! causes no message.
//!
//! Stores nothing but these marks and who was notified, both in the spool; what was pushed in an outage is worked out again from them after a
//! restart. Without a channel, or while a session is open, it sleeps.

mod hub;
mod outage;
mod queue;

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use olog_daemon::{clock::Clock, workers::Worker};
use olog_proto::{OwnPush, Timestamp};
use olog_push::{
    Notice,
    words::{Composed, Context, Language, compose},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::ReloadableConfig,
    identity::RandomSource,
    spool::{Spool, SpoolError},
    uplink::ConnectionStatus,
};
use hub::OwedRecovery;
use outage::Outage;
use queue::{CallResult, PendingAcks, ReceiverQueue, SendLog};

/// How often new events are looked for in an outage.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Events that are read at a time.
const PAGE: (usize, usize) = (500, 256 * 1024);
/// Notices that wait for one receiver; beyond, events stay in the spool until there is room.
const WAITING_MAX: usize = 500;
/// So that a receiver of a device without a hub gets at most one message a minute.
pub const PAUSE: Duration = Duration::from_secs(60);

/// The worker.
pub struct Fallback<C> {
    /// Where the events are.
    pub spool: Spool,
    /// How the link to the hub stands.
    pub link: watch::Receiver<ConnectionStatus>,
    /// Whether, when and where to push.
    pub live: watch::Receiver<Arc<ReloadableConfig>>,
    /// Wall time.
    pub clock: Clock,
    /// For jitter.
    pub chance: C,
    /// After a message the next one to the same receiver waits this long and takes with it whatever came meanwhile: [`PAUSE`].
    pub pause: Duration,
    /// How it is.
    pub worker: Worker,
}

/// Why the worker ends, and with it the process.
#[derive(Debug, thiserror::Error)]
pub enum FallbackError {
    /// No jitter can be made.
    #[error("own push: no random bytes")]
    RandomBytes(#[from] io::Error),
    /// The spool cannot be used any more; the next start sets a damaged one aside.
    #[error("own push")]
    Spool(#[from] SpoolError),
}

impl<C: RandomSource> Fallback<C> {
    /// Watches the link until `stop`.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), FallbackError> {
        let send_log = SendLog::new(self.pause);
        let mut lost_at = None;
        loop {
            // A turn that was interrupted by the return of the hub left it at work.
            self.worker.idle();
            let live = self.live.borrow_and_update().clone();
            let when = self.by_chance(live.push.after)?;
            let mut link = self.link.clone();
            let outage = async {
                tokio::select! {
                    () = away(&mut link, when.push, &self.clock, &mut lost_at) => {}
                    failed = self.welcome(&live, &send_log, when.back) => match failed? {},
                }
                if live.push.channels.is_empty() {
                    std::future::pending::<()>().await;
                }
                let since = lost_at.unwrap_or_else(|| self.clock.now());
                let mut back = self.link.clone();
                tokio::select! {
                    () = connected(&mut back) => {}
                    failed = self.push(&live, &send_log, since, when.gone.saturating_sub(when.push)) => match failed? {},
                }
                lost_at = None;
                Ok::<_, SpoolError>(())
            };
            let mut changed = self.live.clone();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // New channels: whatever was tried is marked, the rest is found again.
                Ok(()) = changed.changed() => {}
                ended = outage => ended?,
            }
        }
    }

    /// Errors between the time and a sixth more, so that a site whose line is cut does not call from every device in one second.
    /// That the hub is gone and back can wait longer, and be spread wider.
    fn by_chance(&mut self, after: Duration) -> io::Result<When> {
        let mut bytes = [0; 5];
        self.chance.fill(&mut bytes)?;
        let [push, gone @ .., back, low] = bytes;
        let share = |high: u8, low: u8| f64::from(u16::from_be_bytes([high, low])) / 65536.0;
        Ok(When {
            push: after.mul_f64(1.0 + f64::from(push) / 1536.0),
            gone: after.mul_f64(1.0 + 2.0 * share(gone[0], gone[1])),
            back: after.mul_f64(share(back, low)),
        })
    }

    /// Notifies those who heard that the hub is unreachable that it is reachable again, once the connection has held for `after`. Goes on until it is
    /// dropped, or until the spool cannot be used any more.
    async fn welcome(
        &self,
        live: &ReloadableConfig,
        send_log: &SendLog,
        after: Duration,
    ) -> Result<Infallible, SpoolError> {
        let mut link = self.link.clone();
        connected(&mut link).await;
        let at = self.clock.now();
        let duty = self.worker.duty("who is owed that the hub is back");
        let mut told = loop {
            let owed = hub::met(&self.spool).and_then(|()| OwedRecovery::load(&self.spool));
            match duty.round(owed, self.clock.now())? {
                Some(told) => break told,
                None => self.worker.wait(sleep(duty.retry_after())).await,
            }
        };
        let mut queues: Vec<ReceiverQueue<'_>> =
            live.push.channels.iter().flat_map(|c| ReceiverQueue::of(c, send_log)).collect();
        for queue in &mut queues {
            if let Some(since) = told.since(queue.name()) {
                let notice = hub::back(&live.device, since, at);
                if queue.wants(&notice, &live.device) {
                    queue.waiting.push((None, notice));
                }
            }
        }
        queues.retain(|queue| !queue.waiting.is_empty());
        let owed: Vec<&str> = queues.iter().map(|queue| queue.name()).collect();
        // A receiver that is not in the configuration any more stays on record until this can be written.
        duty.round(told.keep(&owed, &self.spool), self.clock.now())?;
        self.worker.wait(sleep(after)).await;
        let mut pending = PendingAcks::default();
        while !queues.is_empty() {
            for queue in &mut queues {
                // Not in a moment without the hub: it may be gone again.
                self.worker.wait(connected(&mut link)).await;
                self.turn(queue, &mut pending).await?;
                if queue.waiting.is_empty() {
                    // What cannot be written is told again after a restart.
                    duty.round(told.back(queue.name(), &self.spool), self.clock.now())?;
                }
            }
            queues.retain(|queue| !queue.waiting.is_empty());
            let due = queues.iter().map(|queue| queue.not_before).min();
            let due = due.map_or_else(Instant::now, |due| due.max(Instant::now() + LOOK_EVERY));
            self.worker.wait(sleep_until(due)).await;
        }
        self.worker.wait(std::future::pending()).await
    }

    /// Pushes until it is dropped, or until the spool cannot be used any more. There is no session since `since`; after `gone_after` that is
    /// notified too.
    async fn push(
        &self,
        live: &ReloadableConfig,
        send_log: &SendLog,
        since: Timestamp,
        gone_after: Duration,
    ) -> Result<Infallible, SpoolError> {
        tracing::warn!(after = ?live.push.after, "the hub is away: this device pushes by itself");
        let duty = self.worker.duty("own push");
        let mut gone_due = Some(Instant::now() + gone_after);
        let mut queues: Vec<ReceiverQueue<'_>> =
            live.push.channels.iter().flat_map(|c| ReceiverQueue::of(c, send_log)).collect();
        let mut outage = Outage::default();
        let mut pending = PendingAcks::default();
        loop {
            self.worker.beat();
            if gone_due.is_some_and(|due| due <= Instant::now()) {
                let missed = duty.round(self.miss(&mut queues, live, since), self.clock.now())?;
                gone_due = missed.is_none().then(|| Instant::now() + duty.retry_after());
            }
            duty.round(self.gather(&mut outage, &mut pending, &mut queues, live), self.clock.now())?;
            for queue in &mut queues {
                if self.turn(queue, &mut pending).await?.is_gone_accepted {
                    let told = OwedRecovery::load(&self.spool);
                    let told = told.and_then(|mut told| told.gone(queue.name(), since, &self.spool));
                    duty.round(told, self.clock.now())?;
                }
            }
            let due = queues.iter().filter(|queue| !queue.waiting.is_empty()).map(|queue| queue.not_before).min();
            let look = gone_due.map_or(Instant::now() + LOOK_EVERY, |due| due.min(Instant::now() + LOOK_EVERY));
            self.worker.wait(sleep_until(due.map_or(look, |due| due.min(look)))).await;
        }
    }

    /// That the hub is gone, into the queues of those who do not know it yet. One that this device never met, or that sent it
    /// away, is not missed.
    fn miss(
        &self,
        queues: &mut [ReceiverQueue<'_>],
        live: &ReloadableConfig,
        since: Timestamp,
    ) -> Result<(), SpoolError> {
        let link = self.link.borrow().clone();
        if link.revoked || !hub::is_met(&self.spool)? {
            return Ok(());
        }
        let told = OwedRecovery::load(&self.spool)?;
        let address = live.address.as_deref();
        let notice = hub::gone(&live.device, address, since, link.trouble.as_deref(), self.clock.now());
        for queue in queues {
            if told.since(queue.name()).is_none() && queue.wants(&notice, &live.device) {
                queue.waiting.push((None, notice.clone()));
            }
        }
        Ok(())
    }

    /// New events, as notices, into the queues of those who want them.
    fn gather(
        &self,
        outage: &mut Outage,
        pending: &mut PendingAcks,
        queues: &mut [ReceiverQueue<'_>],
        live: &ReloadableConfig,
    ) -> Result<(), SpoolError> {
        while queues.iter().all(|queue| queue.waiting.len() < WAITING_MAX) {
            let events = self.spool.after(outage.seen(self.spool.epoch(), self.spool.acked()), PAGE.0, PAGE.1)?;
            if events.is_empty() {
                break;
            }
            for said in outage.take(events, &live.device, live.address.as_deref(), self.clock.now()) {
                let wanted: Vec<_> =
                    queues.iter_mut().filter(|queue| queue.wants(&said.notice, &live.device)).collect();
                pending.open(said.n, wanted.len());
                for queue in wanted {
                    queue.waiting.push((Some(said.n), said.notice.clone()));
                }
            }
        }
        Ok(())
    }

    /// One call of one queue, if it is its turn.
    async fn turn(&self, queue: &mut ReceiverQueue<'_>, pending: &mut PendingAcks) -> Result<TurnResult, SpoolError> {
        let now = self.clock.now();
        if queue.waiting.is_empty() || Instant::now() < queue.not_before || !queue.has_budget(now) {
            return Ok(TurnResult::default());
        }
        let notices: Vec<Notice> = queue.waiting.iter().map(|(_, notice)| notice.clone()).collect();
        let context = Context {
            language: language(),
            timezone: timezone(),
            now,
            incident_url: None,
            by_device: true,
            budget: None,
            limits: queue.channel.limits(),
        };
        let Composed { message, included, shown } = compose(&notices, &context);
        let places = || included.iter().filter_map(|&i| queue.waiting.get(i));
        let numbers: Vec<u64> = places().filter_map(|(n, _)| *n).collect();
        let speaks_of_hub = places().any(|(n, _)| n.is_none());
        let duty = self.worker.duty("marks of own pushes");
        if duty.round(self.mark(&numbers, OwnPush { tried_at: now, accepted_at: None }), now)?.is_none() {
            // Without the mark it would be pushed again after every restart, so it waits.
            queue.failed(None);
            return Ok(TurnResult::default());
        }
        let is_accepted = match queue.call(&message).await {
            CallResult::Accepted => true,
            CallResult::Refused => false,
            CallResult::Later(after) => {
                queue.failed(after);
                return Ok(TurnResult::default());
            }
        };
        // What the message only counts is notified again, by the hub.
        let number = |i: &usize| queue.waiting.get(*i).and_then(|(n, _)| *n);
        let (in_words, counted): (Vec<usize>, Vec<usize>) = included.iter().partition(|i| shown.contains(i));
        let in_words: Vec<u64> = in_words.iter().filter_map(number).collect();
        let counted: Vec<u64> = counted.iter().filter_map(number).collect();
        queue.done(&included, now, is_accepted);
        let mut accepted = pending.close(&in_words, is_accepted);
        accepted.extend(pending.close(&counted, false));
        // If this cannot be written, the hub notifies once more.
        duty.round(self.mark(&accepted, OwnPush { tried_at: now, accepted_at: Some(self.clock.now()) }), now)?;
        Ok(TurnResult { is_gone_accepted: speaks_of_hub && is_accepted })
    }

    fn mark(&self, numbers: &[u64], push: OwnPush) -> Result<(), SpoolError> {
        if numbers.is_empty() { Ok(()) } else { self.spool.mark_pushed(numbers, &push) }
    }
}

/// How long after the loss, or the return, of the session.
struct When {
    push: Duration,
    gone: Duration,
    back: Duration,
}

/// What a turn did.
#[derive(Debug, Default)]
struct TurnResult {
    is_gone_accepted: bool,
}

/// Returns when there was no session for so long; since when is noted, unless it was known.
async fn away(
    link: &mut watch::Receiver<ConnectionStatus>,
    time: Duration,
    clock: &Clock,
    lost_at: &mut Option<Timestamp>,
) {
    loop {
        if link.wait_for(|link| !link.connected).await.is_err() {
            return std::future::pending().await;
        }
        lost_at.get_or_insert_with(|| clock.now());
        tokio::select! {
            () = connected(link) => *lost_at = None,
            () = sleep(time) => return,
        }
    }
}

/// Returns when there is a session.
async fn connected(link: &mut watch::Receiver<ConnectionStatus>) {
    if link.wait_for(|link| link.connected).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The agent has no key for it: the system's language, if it is one of ours.
fn language() -> Language {
    let named =
        ["LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|key| std::env::var(key).ok().filter(|v| !v.is_empty()));
    if named.is_some_and(|name| name.starts_with("en")) { Language::En } else { Language::default() }
}

/// The system's time zone.
pub(crate) fn timezone() -> chrono_tz::Tz {
    iana_time_zone::get_timezone().ok().and_then(|name| name.parse().ok()).unwrap_or(chrono_tz::UTC)
}

#[cfg(test)]
mod tests;

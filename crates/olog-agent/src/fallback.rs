//! The agent's own push: when no session with the hub comes about for `push.after`, somebody is told all the same.
//!
//! What goes out are the events that nobody acknowledged and that would be pushed at once by a hub: text of an `.err` or `.msg`, a
//! failed run; no history. One error is told once in an outage, whatever the number of its events; what waits for a receiver
//! goes together as one message. Before a call its events are recorded as *tried*, after it, if every receiver
//! accepted, as *accepted*; both travel with the event, and the hub withholds only what was accepted: in doubt it is
//! told twice, not never.
//!
//! Owns nothing that must last: the marks lie in the spool. The outage's memory is made anew from them after a restart.
//! Without a channel, or while the hub is there, it sleeps.

mod outage;

use std::{collections::BTreeMap, io, time::Duration};

use olog_daemon::clock::Clock;
use olog_proto::{At, DeviceName, OwnPush};
use olog_push::{
    Answer, Channel, Message, Notice, Receiver, Refusal,
    words::{Composed, Context, Language, compose},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Live,
    identity::Chance,
    spool::{Spool, SpoolError},
    uplink::Link,
};
use outage::Outage;
use std::sync::Arc;

/// How often new events are looked for in an outage.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// After a message the next one to the same receiver waits this long and takes with it whatever came meanwhile.
const PAUSE: Duration = Duration::from_secs(60);
/// A receiver that failed is tried again after so long, then twice as long, up to the bound.
const RETRY: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(900));
/// Events that are read at a time.
const PAGE: (usize, usize) = (500, 256 * 1024);
/// Notices that wait for one receiver; beyond, events stay in the spool until there is room.
const WAITING_MAX: usize = 500;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// The worker.
pub struct Fallback<C> {
    /// Where the events are.
    pub spool: Spool,
    /// How the link to the hub stands.
    pub link: watch::Receiver<Link>,
    /// Whether, when and where to push.
    pub live: watch::Receiver<Arc<Live>>,
    /// Wall time.
    pub clock: Clock,
    /// For jitter.
    pub chance: C,
}

/// Why the worker ended.
#[derive(Debug, thiserror::Error)]
#[error("own push: no random bytes")]
pub struct FallbackError(#[from] io::Error);

impl<C: Chance> Fallback<C> {
    /// Watches the link until `stop`.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), FallbackError> {
        loop {
            let live = self.live.borrow_and_update().clone();
            let wait = self.jittered(live.push.after)?;
            let mut link = self.link.clone();
            let outage = async {
                away(&mut link, wait).await;
                if live.push.channels.is_empty() {
                    std::future::pending::<()>().await;
                }
                let mut back = self.link.clone();
                tokio::select! {
                    () = connected(&mut back) => {}
                    () = self.push(&live) => {}
                }
            };
            let mut changed = self.live.clone();
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // New channels: whatever was tried is marked, the rest is found again.
                Ok(()) = changed.changed() => {}
                () = outage => {}
            }
        }
    }

    /// Between the time and a sixth more, so that a site whose line is cut does not call from every device in one second.
    fn jittered(&mut self, after: Duration) -> io::Result<Duration> {
        let mut byte = [0; 1];
        self.chance.fill(&mut byte)?;
        Ok(after.mul_f64(1.0 + f64::from(byte[0]) / 1536.0))
    }

    /// Pushes until it is dropped.
    async fn push(&self, live: &Live) {
        tracing::warn!(after = ?live.push.after, "the hub is away: this device pushes by itself");
        let mut lanes: Vec<Lane<'_>> = live.push.channels.iter().flat_map(Lane::of).collect();
        let mut outage = Outage::default();
        let mut tallies = Tallies::default();
        loop {
            if let Err(error) = self.gather(&mut outage, &mut tallies, &mut lanes, live) {
                tracing::error!(%error, "what should be pushed cannot be read");
            }
            for lane in &mut lanes {
                self.turn(lane, &mut tallies).await;
            }
            let due = lanes.iter().filter(|lane| !lane.waiting.is_empty()).map(|lane| lane.not_before).min();
            let look = Instant::now() + LOOK_EVERY;
            sleep_until(due.map_or(look, |due| due.min(look))).await;
        }
    }

    /// New events, as notices, into the lanes of those who want them.
    fn gather(
        &self,
        outage: &mut Outage,
        tallies: &mut Tallies,
        lanes: &mut [Lane<'_>],
        live: &Live,
    ) -> Result<(), SpoolError> {
        while lanes.iter().all(|lane| lane.waiting.len() < WAITING_MAX) {
            let events = self.spool.after(outage.seen(self.spool.epoch(), self.spool.acked()), PAGE.0, PAGE.1)?;
            if events.is_empty() {
                break;
            }
            for said in outage.take(events, &live.device, live.address.as_deref(), self.clock.now()) {
                let wanted: Vec<_> = lanes.iter_mut().filter(|lane| lane.wants(&said.notice, &live.device)).collect();
                tallies.open(said.n, wanted.len());
                for lane in wanted {
                    lane.waiting.push((said.n, said.notice.clone()));
                }
            }
        }
        Ok(())
    }

    /// One call of one lane, if it is its turn.
    async fn turn(&self, lane: &mut Lane<'_>, tallies: &mut Tallies) {
        let now = self.clock.now();
        if lane.waiting.is_empty() || Instant::now() < lane.not_before || !lane.has_budget(now) {
            return;
        }
        let notices: Vec<Notice> = lane.waiting.iter().map(|(_, notice)| notice.clone()).collect();
        let context = Context {
            language: language(),
            timezone: timezone(),
            now,
            public_url: None,
            by_device: true,
            limits: lane.channel.limits(),
        };
        let Composed { message, told } = compose(&notices, &context);
        let numbers: Vec<u64> = told.iter().filter_map(|&i| lane.waiting.get(i)).map(|(n, _)| *n).collect();
        if let Err(error) = self.spool.mark_pushed(&numbers, &OwnPush { tried_at: now, accepted_at: None }) {
            // Unmarked it would be told again after every restart.
            tracing::error!(%error, "an own push cannot be recorded, so it is not made");
            lane.failed(None);
            return;
        }
        let is_accepted = match lane.call(&message).await {
            Verdict::Accepted => true,
            Verdict::Refused => false,
            Verdict::Later(after) => return lane.failed(after),
        };
        lane.done(&told, now, is_accepted);
        let accepted = tallies.close(&numbers, is_accepted);
        let push = OwnPush { tried_at: now, accepted_at: Some(self.clock.now()) };
        if let Err(error) = self.spool.mark_pushed(&accepted, &push) {
            tracing::error!(%error, "an accepted push cannot be recorded: the hub will tell it again");
        }
    }
}

/// One receiver of one channel, and what waits for it.
struct Lane<'a> {
    channel: &'a Channel,
    to: Receiver,
    waiting: Vec<(u64, Notice)>,
    not_before: Instant,
    n_failed: u32,
    sent_at: Vec<At>,
}

enum Verdict {
    Accepted,
    Refused,
    Later(Option<Duration>),
}

impl<'a> Lane<'a> {
    fn of(channel: &'a Channel) -> Vec<Lane<'a>> {
        let lane = |to| Lane {
            channel,
            to,
            waiting: Vec::new(),
            not_before: Instant::now(),
            n_failed: 0,
            sent_at: Vec::new(),
        };
        channel.receivers().into_iter().map(lane).collect()
    }

    fn wants(&self, notice: &Notice, device: &DeviceName) -> bool {
        self.channel.wants(notice.kind, Some(device.as_str()), notice.task.as_deref())
    }

    /// Within `per_day` of a rolling day?
    fn has_budget(&mut self, now: At) -> bool {
        self.sent_at.retain(|at| now.since(*at) < DAY_MS);
        self.channel.per_day.is_none_or(|n| self.sent_at.len() < n as usize)
    }

    async fn call(&self, message: &Message) -> Verdict {
        let to = [self.to.clone()];
        let mut message = message.clone();
        for is_plain in [false, true] {
            let answers = self.channel.send(&message, &to).await;
            let Some((_, answer)) = answers.into_iter().next() else { return Verdict::Later(None) };
            let (channel, receiver) = (&self.channel.name, &self.to.id);
            match answer {
                Answer::Accepted { words } => {
                    tracing::info!(channel, receiver, words, title = message.title, "pushed by this device");
                    return Verdict::Accepted;
                }
                Answer::Later { after, why } => {
                    tracing::warn!(channel, receiver, why, "an own push failed, it is tried again");
                    return Verdict::Later(after);
                }
                Answer::Refused { class: Refusal::Format, .. } if !is_plain => {
                    let limits = self.channel.limits();
                    message = message.plain(&limits, limits.plain / 2);
                }
                Answer::Refused { why, .. } => {
                    tracing::error!(channel, receiver, why, "an own push was refused");
                    return Verdict::Refused;
                }
            }
        }
        Verdict::Refused
    }

    fn failed(&mut self, after: Option<Duration>) {
        let wait = RETRY.0.saturating_mul(1 << self.n_failed.min(10)).min(RETRY.1);
        self.n_failed += 1;
        self.not_before = Instant::now() + after.unwrap_or(wait).clamp(RETRY.0, RETRY.1);
    }

    fn done(&mut self, told: &[usize], now: At, is_accepted: bool) {
        let mut place = 0;
        self.waiting.retain(|_| {
            place += 1;
            !told.contains(&(place - 1))
        });
        self.n_failed = 0;
        self.not_before = Instant::now() + PAUSE;
        if is_accepted {
            self.sent_at.push(now);
        }
    }
}

/// How many lanes still have to tell an event, and whether all that did were accepted.
#[derive(Debug, Default)]
struct Tallies(BTreeMap<u64, (usize, bool)>);

impl Tallies {
    fn open(&mut self, n: u64, n_lanes: usize) {
        if n_lanes > 0 {
            self.0.insert(n, (n_lanes, true));
        }
    }

    /// Returns the events that everybody has accepted now.
    fn close(&mut self, numbers: &[u64], is_accepted: bool) -> Vec<u64> {
        let mut accepted = Vec::new();
        for n in numbers {
            let Some((left, all)) = self.0.get_mut(n) else { continue };
            *left = left.saturating_sub(1);
            *all &= is_accepted;
            if *left == 0 {
                if *all {
                    accepted.push(*n);
                }
                self.0.remove(n);
            }
        }
        accepted
    }
}

/// Returns when there was no session for so long.
async fn away(link: &mut watch::Receiver<Link>, time: Duration) {
    loop {
        if link.wait_for(|link| !link.connected).await.is_err() {
            return std::future::pending().await;
        }
        tokio::select! {
            () = connected(link) => {}
            () = sleep(time) => return,
        }
    }
}

/// Returns when there is a session.
async fn connected(link: &mut watch::Receiver<Link>) {
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

fn timezone() -> chrono_tz::Tz {
    iana_time_zone::get_timezone().ok().and_then(|name| name.parse().ok()).unwrap_or(chrono_tz::UTC)
}

#[cfg(test)]
mod tests;

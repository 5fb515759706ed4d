//! The hub's own heartbeat (`[watchdog]`): it pings an external monitor, such as healthchecks.io; if the pings stop, that monitor
//! alerts a person.
//!
//! One GET every `every`, only while the store answers, no worker is stuck, and no duty of a worker has failed for 10 minutes: a
//! hub that runs but does not do its work sends no ping. The first ping comes after a random delay, so that hubs that start
//! together do not ping together; after a failed ping the next comes within a minute, whatever `every` is. [`FAILED_MAX`]
//! failures in a row open an incident; its start and end are notified. It is stored in the database, so a restart neither
//! repeats the alert nor loses the recovery.
//!
//! The address is a secret (whoever has it can pretend that this hub lives): neither log nor notification shows more than its host.

use std::{sync::Arc, time::Duration};

use olog_daemon::{clock::Clock, workers::Workers};
use olog_push::{SystemCode, fetch::Heartbeat};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::alive;
use crate::{
    admin::socket::Verbs,
    apply::{self, LivePolicy},
    bell::Bell,
    config::{ReloadableConfig, Watchdog as Settings},
    journal::LogEntry,
    store::{
        Store, StoreError,
        incidents::{self, Begin, Subject},
    },
};

/// Failures in a row that are told.
const FAILED_MAX: u32 = 3;
/// The longest that the first call waits.
const FIRST_MAX: Duration = Duration::from_secs(10);
/// The longest between a failed call and the next.
const AGAIN_MAX: Duration = Duration::from_secs(60);
/// The name of its incident.
const NAME: &str = "watchdog";

/// Who calls.
pub(super) struct HeartbeatWorker {
    pub(super) store: Store,
    pub(super) workers: Workers,
    pub(super) live: watch::Receiver<Arc<ReloadableConfig>>,
    pub(super) rules: watch::Receiver<Arc<LivePolicy>>,
    /// Rung when something is to be told.
    pub(super) outbox: Bell,
    pub(super) clock: Clock,
}

/// What became of the last calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Nothing is known since the start: the store may hold an open incident.
    Unknown,
    Well,
    /// So often in a row.
    Failing(u32),
    /// Often enough, and on record.
    Told,
}

impl HeartbeatWorker {
    /// Beside the verbs, which hold the same.
    pub(super) fn new(beside: &Verbs) -> HeartbeatWorker {
        HeartbeatWorker {
            store: beside.store.clone(),
            workers: beside.workers.clone(),
            live: beside.live.clone(),
            rules: beside.rules.clone(),
            outbox: beside.bells.outbox.clone(),
            clock: beside.clock.clone(),
        }
    }

    /// Calls until `stop`, whoever the configuration names.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let settings = self.live.borrow_and_update().watchdog.clone();
            let calls = async {
                match &settings {
                    Some(settings) => self.call_on(settings).await,
                    None => self.nobody().await,
                }
            };
            let mut live = self.live.clone();
            let others = async { live.wait_for(|live| live.watchdog != settings).await.is_ok() };
            tokio::select! {
                () = calls => {}
                // Nobody publishes any more: the hub stops.
                is_new = others => if !is_new { stop.cancelled().await },
                () = stop.cancelled() => {}
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }

    /// One address, until it is dropped.
    async fn call_on(&self, settings: &Settings) {
        let beacon = match Heartbeat::new(settings.url.clone()) {
            Ok(beacon) => beacon,
            Err(why) => {
                tracing::error!(why, "the heartbeat cannot be sent");
                return std::future::pending().await;
            }
        };
        let host = url::Url::parse(settings.url.reveal()).ok();
        let host = host.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let mut found = Found::Unknown;
        let mut due = Instant::now() + settings.every.min(FIRST_MAX).mul_f64(chance());
        loop {
            sleep_until(due).await;
            let failing = alive::not_working(&self.store, &self.workers, Instant::now()).await;
            if !failing.is_empty() {
                let failing = failing.join(", ");
                tracing::error!(failing, host, "no heartbeat: the hub does not do all of its work");
                due = Instant::now() + settings.every;
                continue;
            }
            let called = beacon.call().await;
            let outcome = if called.is_ok() { "accepted" } else { "failed" };
            metrics::counter!("olog_watchdog_calls_total", "outcome" => outcome).increment(1);
            let wait = if called.is_ok() { settings.every } else { settings.every.min(AGAIN_MAX) };
            found = self.learn(found, &host, called).await;
            due = (due + wait).max(Instant::now());
        }
    }

    /// What a call says, after those before it.
    async fn learn(&self, found: Found, host: &str, called: Result<(), String>) -> Found {
        match (called, found) {
            (Ok(()), Found::Well) => Found::Well,
            // After a start even the first failures may belong to an incident that is open.
            (Ok(()), found) => match self.end(Some(host)).await {
                Ok(()) => {
                    if let Found::Failing(_) = found {
                        tracing::info!(host, "the monitor accepts the heartbeat again");
                    }
                    Found::Well
                }
                Err(error) => {
                    tracing::warn!(%error, "that the monitor accepts heartbeats again is not notified yet");
                    found
                }
            },
            (Err(_), Found::Told) => Found::Told,
            (Err(why), found) => {
                let n = if let Found::Failing(n) = found { n.saturating_add(1) } else { 1 };
                tracing::warn!(host, why, n, "the monitor did not accept the heartbeat");
                if n < FAILED_MAX {
                    return Found::Failing(n);
                }
                match self.begin(host, &why).await {
                    Ok(()) => Found::Told,
                    Err(error) => {
                        tracing::warn!(%error, "that heartbeats fail is not notified yet");
                        Found::Failing(n)
                    }
                }
            }
        }
    }

    /// No `[watchdog]`: what was open of an earlier one is over, and nobody needs to hear that.
    async fn nobody(&self) {
        if let Err(error) = self.end(None).await {
            tracing::warn!(%error, "an incident of a watchdog that is gone stays open until the next start");
        }
        std::future::pending().await
    }

    async fn begin(&self, host: &str, why: &str) -> Result<(), StoreError> {
        let (rules, now) = (self.rules.borrow().clone(), self.clock.now());
        let args = [("host", host.to_owned()), ("why", why.to_owned())];
        let told = self.store.write(move |tx| {
            // Told before a restart.
            if incidents::open_of(tx, Subject::Hub, None, NAME)?.is_some() {
                return Ok(());
            }
            let begin = Begin { subject: Subject::Hub, device: None, task: None, name: NAME, at: now };
            let number = incidents::begin(tx, &begin, &serde_json::json!({}))?;
            tx.note(LogEntry::new("incident begun").incident(number).about(Subject::Hub.as_str()).why(NAME));
            let mut notice = apply::system_notice(None, SystemCode::WatchdogFailing, &args, now);
            notice.incident = Some(number);
            apply::enqueue_notice(tx, &rules, &notice, now)
        });
        told.await.inspect(|()| self.outbox.ring())
    }

    /// Whatever is open is over; told if a host took the heartbeat.
    async fn end(&self, host: Option<&str>) -> Result<(), StoreError> {
        let (rules, now, host) = (self.rules.borrow().clone(), self.clock.now(), host.map(str::to_owned));
        let told = self.store.write(move |tx| {
            let Some(number) = incidents::open_of(tx, Subject::Hub, None, NAME)? else { return Ok(()) };
            let ground = if host.is_some() { "accepted" } else { "not configured" };
            incidents::end(tx, number, now, ground)?;
            tx.note(LogEntry::new("incident over").incident(number).about(Subject::Hub.as_str()).why(ground));
            let Some(host) = host.clone() else { return Ok(()) };
            let mut notice = apply::system_notice(None, SystemCode::WatchdogBack, &[("host", host)], now);
            notice.incident = Some(number);
            apply::enqueue_notice(tx, &rules, &notice, now)
        });
        told.await.inspect(|()| self.outbox.ring())
    }
}

/// From 0 to 1.
fn chance() -> f64 {
    let mut byte = [0];
    // Without randomness: the middle.
    if getrandom::fill(&mut byte).is_err() {
        return 0.5;
    }
    f64::from(byte[0]) / 255.0
}

#[cfg(test)]
mod tests;

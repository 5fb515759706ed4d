//! The hub's own heartbeat to somebody else (`[watchdog]`): who hears nothing of it for a while tells a person that the hub is dead.
//!
//! One GET every `every`, only while the store and every worker answer: a hub that lives and does not work says nothing. The
//! first call comes after a moment of chance, so that hubs which start together do not call together; after a failed one
//! the next comes within a minute, whatever `every` is. [`FAILED_MAX`] failures in a row are an incident of the hub, told on
//! the channels, and its end as well; it lies in the store, so a restart tells nothing twice and forgets no end.
//!
//! The address is a secret (who has it can say that this hub lives): neither log nor notice shows more than its host.

use std::{sync::Arc, time::Duration};

use olog_daemon::clock::Clock;
use olog_push::{SystemCode, fetch::Heartbeat};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::alive;
use crate::{
    admin::socket::Verbs,
    apply::{self, Rules},
    bell::Bell,
    config::{Live, Watchdog as Settings},
    journal::Line,
    pulse::Pulses,
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
pub(super) struct Watchdog {
    pub(super) store: Store,
    pub(super) pulses: Pulses,
    pub(super) live: watch::Receiver<Arc<Live>>,
    pub(super) rules: watch::Receiver<Arc<Rules>>,
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

impl Watchdog {
    /// Beside the verbs, which hold the same.
    pub(super) fn new(beside: &Verbs, pulses: &Pulses) -> Watchdog {
        Watchdog {
            store: beside.store.clone(),
            pulses: pulses.clone(),
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
                tracing::error!(why, "the watchdog cannot be called");
                return std::future::pending().await;
            }
        };
        let host = url::Url::parse(settings.url.reveal()).ok();
        let host = host.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        let mut found = Found::Unknown;
        let mut due = Instant::now() + settings.every.min(FIRST_MAX).mul_f64(chance());
        loop {
            sleep_until(due).await;
            let stuck = alive::stuck(&self.store, &self.pulses, Instant::now()).await;
            if !stuck.is_empty() {
                let stuck = stuck.join(", ");
                tracing::error!(stuck, host, "no round within a minute: the watchdog does not hear of us");
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
            (Ok(()), Found::Failing(_)) => {
                tracing::info!(host, "the watchdog takes the heartbeat again");
                Found::Well
            }
            (Ok(()), Found::Unknown | Found::Told) => match self.end(Some(host)).await {
                Ok(()) => Found::Well,
                Err(error) => {
                    tracing::warn!(%error, "that the watchdog is well again is not told yet");
                    found
                }
            },
            (Err(_), Found::Told) => Found::Told,
            (Err(why), found) => {
                let n = if let Found::Failing(n) = found { n.saturating_add(1) } else { 1 };
                tracing::warn!(host, why, n, "the watchdog did not take the heartbeat");
                if n < FAILED_MAX {
                    return Found::Failing(n);
                }
                match self.begin(host, &why).await {
                    Ok(()) => Found::Told,
                    Err(error) => {
                        tracing::warn!(%error, "that the watchdog fails is not told yet");
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
            tx.note(Line::new("incident begun").incident(number).about(Subject::Hub.as_str()).why(NAME));
            let mut notice = apply::affair(None, SystemCode::WatchdogFailing, &args, now);
            notice.incident = Some(number);
            apply::tell(tx, &rules, &notice, now)
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
            tx.note(Line::new("incident over").incident(number).about(Subject::Hub.as_str()).why(ground));
            let Some(host) = host.clone() else { return Ok(()) };
            let mut notice = apply::affair(None, SystemCode::WatchdogBack, &[("host", host)], now);
            notice.incident = Some(number);
            apply::tell(tx, &rules, &notice, now)
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

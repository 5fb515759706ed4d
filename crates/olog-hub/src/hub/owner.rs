//! Reloads the configuration: the only owner of the files, of what is in force, and of the channels that publish it.
//!
//! A changed configuration is loaded and validated first, then published as a whole (live reload); or it is refused: logged,
//! pushed, shown by `status`, and the old one stays in force. The files, the certificate and every secret that the
//! configuration names are checked for changes every [`LOOK_EVERY`], on SIGHUP, and when a verb asks, which gets the result
//! as its answer. Must not: apply a part of a configuration, or change what is fixed until a restart.

use std::{sync::Arc, time::Duration};

use olog_daemon::{clock::Clock, config::ConfigFiles, failure::chain, service};
use olog_proto::Timestamp;
use olog_push::SystemCode;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{patience_of, rules_of};
use crate::{
    admin::{crash_report, import},
    apply::{self, LivePolicy},
    bell::Bell,
    config::{Config, ReloadableConfig},
    ingest::Bells,
    net::listener::tls,
    rules::{incident_link::LinkKey, liveness::OfflinePolicy},
    store::{Store, access::audit},
};

/// How often the configuration's files and the certificate's are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Owner {
    pub(super) source: ConfigFiles,
    pub(super) config: Config,
    pub(super) published: Published,
    pub(super) store: Store,
    /// Why the changed configuration was refused, for `status`.
    pub(super) refused: watch::Sender<Option<String>>,
}

/// What the others hold of the configuration.
pub(super) struct Published {
    pub(super) live: watch::Sender<Arc<ReloadableConfig>>,
    pub(super) rules: watch::Sender<Arc<LivePolicy>>,
    pub(super) offline_policy: watch::Sender<Arc<OfflinePolicy>>,
    /// All of it, for who looks at it.
    pub(super) whole: watch::Sender<Arc<Config>>,
    pub(super) link_key: Option<LinkKey>,
}

/// The receivers of what is published.
type Received = (
    watch::Receiver<Arc<ReloadableConfig>>,
    watch::Receiver<Arc<LivePolicy>>,
    watch::Receiver<Arc<OfflinePolicy>>,
    watch::Receiver<Arc<Config>>,
);

impl Published {
    /// What is in force at the start.
    pub(super) fn new(config: &Config, link_key: Option<LinkKey>) -> (Published, Received) {
        let (live, live_receiver) = watch::channel(config.live.clone());
        let (whole, whole_receiver) = watch::channel(Arc::new(config.clone()));
        let (rules, rules_receiver) = watch::channel(rules_of(&live.borrow(), link_key.as_ref()));
        let (offline_policy, patience_receiver) = watch::channel(patience_of(&live.borrow()));
        let received = (live_receiver, rules_receiver, patience_receiver, whole_receiver);
        (Published { live, rules, offline_policy, whole, link_key }, received)
    }

    /// Nobody changes it; the receivers stay good until the stop.
    pub(super) async fn stand(self, stop: CancellationToken) {
        stop.cancelled().await;
    }
}

/// Who asks for a reload.
pub(super) struct ReloadRequests {
    /// SIGHUP.
    pub(super) bell: Bell,
    /// A verb, which waits for the outcome.
    pub(super) requests: mpsc::Receiver<oneshot::Sender<Result<(), String>>>,
}

impl Owner {
    pub(super) async fn run(
        mut self,
        mut asked: ReloadRequests,
        bells: Bells,
        mut certificate: Option<tls::Certificate>,
        clock: Clock,
        stop: CancellationToken,
    ) {
        self.keep();
        import::take_in(&self.store, &self.config.boot.state_dir).await;
        let mut bell = asked.bell.listen();
        let mut stamp = self.source.stamp();
        // Why the certificate's changed files are not in force, until it is told.
        let mut unusable = None;
        loop {
            let mut request = None;
            let is_asked = tokio::select! {
                () = stop.cancelled() => return,
                () = bell.heard() => true,
                Some(reply) = asked.requests.recv() => {
                    request = Some(reply);
                    true
                }
                () = tokio::time::sleep(LOOK_EVERY) => false,
            };
            if let Some(certificate) = &mut certificate {
                match certificate.refresh(is_asked) {
                    Ok(true) => {
                        unusable = None;
                        tracing::info!("a new certificate is in force");
                    }
                    // Certificate and key are two files: what does not go together now may in a moment. So it is told at the next look.
                    Ok(false) => {
                        if let Some(why) = unusable.take() {
                            self.tell_unusable(why, &bells, clock.now()).await;
                        }
                    }
                    Err(error) => {
                        let why = chain(&error);
                        tracing::error!(error = why, "the old certificate stays in force");
                        unusable = Some(why);
                    }
                }
            }
            let newer = self.source.stamp();
            if !is_asked && newer == stamp {
                continue;
            }
            service::reloading();
            let outcome = self.reload(&bells, clock.now()).await;
            import::take_in(&self.store, &self.config.boot.state_dir).await;
            stamp = self.source.stamp_after(newer);
            self.refused.send_replace(outcome.clone().err());
            service::ready(None);
            // Who asked may have gone.
            request.map(|reply| reply.send(outcome).is_ok());
        }
    }

    async fn tell_unusable(&self, why: String, bells: &Bells, now: Timestamp) {
        let rules = self.published.rules.borrow().clone();
        let notice = apply::system_notice(None, SystemCode::CertificateRefused, &[("why", why)], now);
        match self.store.write(move |tx| apply::enqueue_notice(tx, &rules, &notice, now)).await {
            Ok(()) => bells.outbox.ring(),
            Err(error) => tracing::error!(%error, "that the certificate was refused is not told"),
        }
    }

    async fn reload(&mut self, bells: &Bells, now: Timestamp) -> Result<(), String> {
        let (findings, n) = match Config::load(&self.source) {
            Ok(config) => {
                let fixed = self.config.needs_restart(&config);
                if fixed.is_empty() {
                    if config == self.config {
                        self.published.whole.send_replace(Arc::new(config));
                        tracing::info!("the configuration is read anew and is the same");
                    } else {
                        self.publish(config);
                        self.write_down(now).await;
                        bells.outbox.ring();
                        bells.watchman.ring();
                    }
                    return Ok(());
                }
                let words = format!("{} cannot change while the hub runs: needs a restart", fixed.join(", "));
                (words, fixed.len())
            }
            Err(invalid) => (crash_report::first_mistake(&self.source, &invalid), invalid.0.len()),
        };
        tracing::error!(findings, n, "the changed configuration is refused; the old one stays in force");
        let rules = self.published.rules.borrow().clone();
        let args = [("findings", findings.clone()), ("n", n.to_string())];
        let notice = apply::system_notice(None, SystemCode::ConfigRefused, &args, now);
        match self.store.write(move |tx| apply::enqueue_notice(tx, &rules, &notice, now)).await {
            Ok(()) => bells.outbox.ring(),
            Err(error) => tracing::error!(%error, "that the configuration was refused is not told"),
        }
        Err(findings)
    }

    /// The audit log has what changed without a verb, too.
    async fn write_down(&self, now: Timestamp) {
        let entry = audit::Entry {
            actor: "hub".to_owned(),
            action: "configuration".into(),
            detail: "a changed configuration is in force".to_owned(),
            origin: self.source.main().display().to_string(),
            ..audit::Entry::default()
        };
        let written = self.store.write(move |tx| audit::put(tx, &entry, audit::Outcome::Done, now)).await;
        if let Err(error) = written {
            tracing::error!(%error, "the audit log lacks the changed configuration");
        }
    }

    fn publish(&mut self, config: Config) {
        self.published.live.send_replace(config.live.clone());
        self.published.rules.send_replace(rules_of(&config.live, self.published.link_key.as_ref()));
        self.published.offline_policy.send_replace(patience_of(&config.live));
        self.published.whole.send_replace(Arc::new(config.clone()));
        self.config = config;
        self.keep();
        tracing::info!("the changed configuration is in force");
        for remark in self.config.remarks() {
            tracing::warn!("{remark}");
        }
    }

    fn keep(&self) {
        if let Err(error) = self.config.keep(&self.source) {
            tracing::warn!(%error, "the good configuration is not kept in state_dir");
        }
    }
}

//! What the service manager hears while the hub runs: systemd's watchdog, and the status line of `systemctl status`.
//!
//! The watchdog is fed while a write goes through the store's writer and back (or the disk said that it is full), no worker is
//! stuck, and no duty has failed for 10 minutes because of a bug or a bad row (`olog_daemon::workers`). A duty that waits for
//! the outside world, such as a full disk, does not stop it, because a restart frees no disk. The status line says what to
//! do as long as nobody can be notified of anything; then it counts devices and incidents. It is rewritten at most every
//! [`LOOK_EVERY`], and only when something happened.

use std::{sync::Arc, time::Duration};

use olog_daemon::{
    service,
    workers::{STUCK_AFTER, Workers},
};
use olog_push::words::Language;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    bell::{Bell, BellListener},
    config::ReloadableConfig,
    net::sessions::Sessions,
    store::{Store, watch as counts},
};

/// The longest between two signs of life to the service manager.
const ALIVE_EVERY: Duration = Duration::from_secs(20);
/// Between two looks at what the line says.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Feeds the service manager's watchdog while the store and every worker answer.
pub(super) async fn feed_watchdog(store: Store, workers: Workers, stop: CancellationToken) {
    let every = service::watchdog_every().map_or(ALIVE_EVERY, |every| every.min(ALIVE_EVERY));
    loop {
        let mut stopping = workers.stopping_the_beat(Instant::now());
        stopping.extend(silent_store(&store).await);
        if stopping.is_empty() {
            service::alive();
        } else {
            let stopping = stopping.join(", ");
            tracing::error!(
                stopping,
                "the hub does not do its work: the service manager is not told that it lives, and restarts it"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Everything that keeps the hub from its work, also what a restart does not mend: for the external heartbeat.
pub(super) async fn not_working(store: &Store, workers: &Workers, now: Instant) -> Vec<String> {
    let mut found = workers.stuck(now);
    found.extend(workers.failing(now).iter().map(ToString::to_string));
    found.extend(silent_store(store).await);
    found
}

async fn silent_store(store: &Store) -> Option<String> {
    let answers = timeout(STUCK_AFTER, store.is_alive()).await.unwrap_or(false);
    (!answers).then(|| "store".to_owned())
}

/// Who writes the line.
pub(super) struct StatusLine {
    store: Store,
    sessions: Arc<Sessions>,
    live: watch::Receiver<Arc<ReloadableConfig>>,
    /// Something happened that the store knows.
    changed: BellListener,
}

/// What the line speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    n_channels: usize,
    n_connected: usize,
    n_joined: u64,
    n_pending: u64,
    n_open: u64,
}

impl StatusLine {
    pub(super) fn new(
        store: &Store,
        sessions: &Arc<Sessions>,
        live: &watch::Receiver<Arc<ReloadableConfig>>,
        bell: &Bell,
    ) -> StatusLine {
        let (store, sessions, live, changed) = (store.clone(), sessions.clone(), live.clone(), bell.listen());
        StatusLine { store, sessions, live, changed }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let (mut said, mut hinted) = (String::new(), None);
        loop {
            let live = self.live.borrow_and_update().clone();
            match self.store.read(counts::counts).await {
                Ok([n_joined, n_pending, n_open]) => {
                    let (n_channels, n_connected) = (live.channels.len(), self.sessions.len());
                    let counts = Counts { n_channels, n_connected, n_joined, n_pending, n_open };
                    let hint = hint(counts);
                    if let Some(hint) = hint.filter(|hint| hinted != Some(*hint)) {
                        tracing::warn!("{hint}");
                    }
                    hinted = hint;
                    let line = line(live.language, counts);
                    if line != said {
                        service::status(&line);
                        said = line;
                    }
                }
                // The disk is told of elsewhere.
                Err(error) => tracing::debug!(%error, "the status line is not made anew"),
            }
            let n_connected = self.sessions.len();
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => return,
            }
            // Who goes and comes within a second or so is not worth a line; whoever stays away is seen by the next look.
            while self.sessions.len() == n_connected {
                tokio::select! {
                    () = self.changed.heard() => break,
                    changed = self.live.changed() => if changed.is_err() { return } else { break },
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                    () = stop.cancelled() => return,
                }
            }
        }
    }
}

/// What has to be done before anybody can be told anything.
fn hint(counts: Counts) -> Option<&'static str> {
    match counts {
        Counts { n_channels: 0, .. } => Some("no channel, so nobody is told of anything: run `olog-hub setup`"),
        Counts { n_joined: 0, n_pending: 0, .. } => Some(
            "no device yet: `olog-hub join-link` makes a link for one (on this machine: `olog-hub join-link --local | olog-agent join`)",
        ),
        _ => None,
    }
}

fn line(language: Language, counts: Counts) -> String {
    if let Some(hint) = hint(counts) {
        return language.phrase(hint);
    }
    let Counts { n_connected, n_joined, n_pending, n_open, .. } = counts;
    let connected = if u64::try_from(n_connected) == Ok(n_joined) {
        language.counted(n_joined, "1 device connected", "{1} devices connected")
    } else {
        language.sentence("{1} of {2} devices connected", &[&n_connected.to_string(), &n_joined.to_string()])
    };
    let open = match n_open {
        0 => language.sentence("no open incident", &[]),
        n => language.counted(n, "1 open incident", "{1} open incidents"),
    };
    let mut parts = vec![connected, open];
    if n_pending > 0 {
        parts.push(language.sentence("{1} to accept (olog-hub device list --pending)", &[&n_pending.to_string()]));
    }
    parts.join(if language == Language::ZhCn { "，" } else { ", " })
}

#[cfg(test)]
mod tests {
    use olog_proto::Timestamp;

    use super::*;
    use crate::store::StoreUrl;

    #[test]
    fn the_line_says_what_to_do_next_and_then_how_it_is() {
        let counts = |n_channels, n_connected, n_joined, n_pending, n_open| {
            line(Language::En, Counts { n_channels, n_connected, n_joined, n_pending, n_open })
        };
        assert!(counts(0, 0, 0, 0, 0).contains("olog-hub setup"));
        assert!(counts(1, 0, 0, 0, 0).contains("olog-hub join-link"));
        assert_eq!(counts(1, 15, 15, 0, 2), "15 devices connected, 2 open incidents");
        assert_eq!(counts(1, 1, 1, 0, 0), "1 device connected, no open incident");
        assert_eq!(
            counts(2, 13, 15, 1, 1),
            "13 of 15 devices connected, 1 open incident, 1 to accept (olog-hub device list --pending)"
        );
    }

    #[test]
    fn the_line_is_in_the_hubs_language() {
        let chinese = |n_channels, n_connected, n_joined, n_pending, n_open| {
            line(Language::ZhCn, Counts { n_channels, n_connected, n_joined, n_pending, n_open })
        };
        assert_eq!(chinese(0, 0, 0, 0, 0), "没有渠道，任何消息都推送不出去：请运行 `olog-hub setup`");
        assert!(chinese(1, 0, 0, 0, 0).starts_with("还没有设备"));
        assert_eq!(chinese(1, 15, 15, 0, 0), "15 台设备已连接，没有未结束的故障");
        assert_eq!(
            chinese(2, 13, 15, 1, 1),
            "13/15 台设备已连接，1 个未结束的故障，1 台设备等待接受（olog-hub device list --pending）"
        );
    }

    #[tokio::test]
    async fn a_stuck_worker_is_named_and_an_idle_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&StoreUrl::Sqlite(folder.path().join("olog.db")), Timestamp(0)).await.unwrap();
        let workers = Workers::default();
        let ingest = workers.register("ingest", STUCK_AFTER);
        let mut now = Instant::now();
        ingest.beat();
        assert!(not_working(&store, &workers, now).await.is_empty());
        for expected in [&[][..], &["ingest"]] {
            now += STUCK_AFTER;
            assert_eq!(not_working(&store, &workers, now).await, expected);
        }
        ingest.idle();
        assert!(not_working(&store, &workers, now + STUCK_AFTER).await.is_empty());
    }
}

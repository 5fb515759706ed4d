//! `status`: facts of the running hub, for sentences (the command line), for machines (`--json`), and for `check`.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, routing::get};
use olog_daemon::workers::{WorkerState, WorkerStatus};
use olog_proto::Timestamp;
use olog_push::fetch::{Fetched, fetch};
use rustix::fs::{Access, access, statvfs};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use super::{Answer, LIST_MAX, Remark, Verbs, VerbsState};
use crate::web::rows::ChannelRow;
use crate::{
    config::ReloadableConfig,
    rules::quota::{Exceeded, Limit, QuotaState},
    store::{
        Tx, devices,
        incidents::{self, Incident},
        reports, set_aside,
    },
    timed::reporter,
};

/// Open incidents that `status` names, the oldest first.
const NAMED_MAX: usize = 5;
/// Values that were set aside and are listed.
const SET_ASIDE_MAX: u32 = 100;
/// For a round trip through the store, and for a look at a link.
const ANSWER_AFTER: Duration = Duration::from_secs(5);

/// How the hub speaks.
#[derive(Debug, Serialize, Deserialize)]
pub struct Locale {
    /// `zh-CN` or `en`.
    pub language: String,
    /// Of all times.
    pub timezone: String,
}

/// The answer to `status`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// Where it listens.
    pub listen: String,
    /// How others reach it.
    pub public_url: Option<String>,
    /// Where the store is.
    pub store: String,
    /// Does the store's writer answer?
    pub store_answers: bool,
    /// Devices that joined.
    pub devices: usize,
    /// Those that are connected.
    pub connected: usize,
    /// Old clients (olog.py) among the devices.
    #[serde(default)]
    pub legacy: usize,
    /// Names of some that are not.
    pub not_connected: Vec<String>,
    /// Devices that wait to be accepted.
    pub pending: usize,
    /// Open incidents.
    pub open_incidents: usize,
    /// Those that nobody acknowledged.
    pub unacknowledged: usize,
    /// The oldest of these.
    pub worst: Vec<Incident>,
    /// Names of the channels in force.
    pub channels: Vec<String>,
    /// The channels, as `channel list` has them.
    pub channel_rows: Vec<ChannelRow>,
    /// Why the last report came without a link, if it did and the cause is still there.
    pub report_without_link: Option<String>,
    /// When the last report was made.
    pub last_report_at: Option<Timestamp>,
    /// When the next one comes.
    pub next_report_at: Option<Timestamp>,
    /// Duties of workers that fail, and workers that are stuck.
    pub failing: Vec<FailingDuty>,
    /// All workers and their duties, for machines.
    pub workers: serde_json::Value,
    /// Devices that have reached a limit within a day.
    #[serde(default)]
    pub limits: Vec<ReachedLimit>,
    /// Values of the database that this version cannot read.
    pub set_aside: u64,
    /// The newest of them, for machines.
    pub set_aside_values: serde_json::Value,
    /// Why the changed configuration was refused; the old one is in force.
    pub configuration_refused: Option<String>,
    /// What hub.toml names and the hub does not know.
    pub remarks: Vec<Remark>,
    /// Tables of hub.toml that this version does not act on.
    pub without_effect: Vec<String>,
}

/// Something that the hub must do again and again, and does not manage.
#[derive(Debug, Serialize, Deserialize)]
pub struct FailingDuty {
    /// `watchman: reminders`, or the worker alone if it is stuck.
    pub name: String,
    /// Since when.
    pub since_at: Option<Timestamp>,
    /// Why.
    pub why: String,
}

/// A limit of `[limits]` that a device has reached within a day.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReachedLimit {
    /// The device's name.
    pub device: String,
    /// The key of the limit.
    pub limit: String,
    /// Its value.
    pub max: u64,
    /// What came beyond it since the device joined.
    pub n_beyond: u64,
    /// Last time.
    pub last_at: Timestamp,
}

pub(super) fn routes() -> Router<Arc<Verbs>> {
    Router::new().route("/status", get(status)).route("/about", get(about))
}

async fn about(State(verbs): VerbsState) -> Answer<Locale> {
    let live = verbs.live.borrow().clone();
    Ok(Json(Locale { language: live.language.as_str().to_owned(), timezone: live.timezone.name().to_owned() }))
}

async fn status(State(verbs): VerbsState) -> Answer<Status> {
    let (live, now) = (verbs.live.borrow().clone(), verbs.clock.now());
    let answers = timeout(ANSWER_AFTER, verbs.store.is_alive()).await;
    let of_channels = live.clone();
    // Each part by itself: what the store cannot say now must not hide who fails, and why.
    let read = move |tx: &mut Tx<'_>| {
        let mut unread = Vec::new();
        let open = or_say(&mut unread, "open incidents", incidents::list(tx, false, u64::MAX, LIST_MAX));
        let n_aside = or_say(&mut unread, "values set aside", set_aside::count(tx));
        let aside = (n_aside, set_aside::list(tx, SET_ASIDE_MAX).unwrap_or_default());
        let channel_rows = or_say(&mut unread, "channels", ChannelRow::list(tx, &of_channels, now));
        let no_link = or_say(&mut unread, "the last report's link", reporter::no_link(tx));
        let last_report_at = or_say(&mut unread, "the last report", reports::last_made(tx));
        let beyond = or_say(&mut unread, "limits", devices::beyond_limits(tx));
        Ok(((open, channel_rows, no_link, last_report_at, aside, beyond), unread))
    };
    let (parts, mut unread) = match verbs.store.read(read).await {
        Ok(read) => read,
        Err(error) => (Default::default(), vec![not_read("the store", &error)]),
    };
    let (open, channel_rows, no_link, last_report_at, aside, beyond) = parts;
    let mut worst: Vec<Incident> = open.iter().filter(|one| one.acknowledged_at.is_none()).cloned().collect();
    let unacknowledged = worst.len();
    worst.sort_by_key(|incident| incident.began_at);
    worst.truncate(NAMED_MAX);
    let workers = verbs.workers.statuses(Instant::now());
    let joined = or_say(&mut unread, "devices", verbs.enrol.list(false).await);
    let pending = or_say(&mut unread, "pending devices", verbs.enrol.list(true).await);
    let is_away = |id: i64| verbs.sessions.seat(crate::store::devices::DeviceId(id)).is_none();
    let away = joined.iter().filter(|device| is_away(device.id));
    let names: Vec<String> = joined.iter().map(|device| device.name.to_string()).collect();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        listen: verbs.address.to_string(),
        public_url: live.public_url.clone(),
        store: verbs.store_url.clone(),
        store_answers: answers.unwrap_or(false),
        devices: joined.len(),
        connected: verbs.sessions.len(),
        legacy: joined.iter().filter(|device| device.legacy).count(),
        not_connected: away.map(|device| device.name.to_string()).take(NAMED_MAX).collect(),
        pending: pending.len(),
        open_incidents: open.len(),
        unacknowledged,
        worst,
        channels: live.channels.iter().map(|channel| channel.name.clone()).collect(),
        channel_rows,
        report_without_link: match no_link {
            Some(why) if !is_mended(&live).await => Some(why),
            _ => None,
        },
        last_report_at,
        next_report_at: live.report.when.schedule().and_then(|schedule| schedule.next_after(now, live.timezone)),
        failing: failing(&workers).into_iter().chain(unread).collect(),
        workers: serde_json::to_value(&workers).unwrap_or_default(),
        limits: reached_limits(&live, &beyond, now),
        set_aside: aside.0,
        set_aside_values: serde_json::to_value(aside.1).unwrap_or_default(),
        configuration_refused: verbs.refused.borrow().clone(),
        remarks: declared_but_unknown(&live, &names),
        without_effect: live.without_effect().into_iter().map(str::to_owned).collect(),
    }))
}

fn reached_limits(live: &ReloadableConfig, beyond: &[(String, QuotaState)], now: Timestamp) -> Vec<ReachedLimit> {
    let of_device = |(name, quota): &(String, QuotaState)| {
        let limit = |(limit, exceeded): (Limit, Exceeded)| ReachedLimit {
            device: name.clone(),
            limit: limit.key().to_owned(),
            max: live.limits.of(limit),
            n_beyond: exceeded.n,
            last_at: exceeded.last_at,
        };
        quota.reached(now).map(limit).collect::<Vec<_>>()
    };
    beyond.iter().flat_map(of_device).collect()
}

/// A part of the status, or nothing and why it is not there.
fn or_say<T: Default, E: std::fmt::Display>(unread: &mut Vec<FailingDuty>, what: &str, read: Result<T, E>) -> T {
    read.unwrap_or_else(|error| {
        unread.push(not_read(what, &error));
        T::default()
    })
}

fn not_read(what: &str, error: &dyn std::fmt::Display) -> FailingDuty {
    FailingDuty { name: format!("status: {what}"), since_at: None, why: error.to_string() }
}

fn failing(workers: &[WorkerStatus]) -> Vec<FailingDuty> {
    let stuck = workers.iter().filter(|worker| worker.state == WorkerState::Stuck);
    let stuck = stuck.map(|worker| FailingDuty { name: worker.name.clone(), since_at: None, why: "stuck".to_owned() });
    let duties = workers.iter().flat_map(|worker| &worker.duties).filter(|duty| duty.failing_since_at.is_some());
    let duties = duties.map(|duty| FailingDuty {
        name: format!("{}: {}", duty.worker, duty.name),
        since_at: duty.failing_since_at,
        why: duty.error.clone().unwrap_or_default(),
    });
    stuck.chain(duties).collect()
}

/// Free bytes in `html_dir` that are enough for a report's page, which is at most some hundred KiB.
const PAGE_ROOM: u64 = 1 << 20;

/// Would the next report have a link? Only what can be seen without making one is looked at.
async fn is_mended(live: &ReloadableConfig) -> bool {
    let may_write = |dir: &Path| access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok();
    if let (Some(dir), Some(_)) = (&live.report.html_dir, &live.report.html_url) {
        let has_room =
            |dir: &Path| statvfs(dir).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) >= PAGE_ROOM);
        return may_write(dir) && has_room(dir);
    }
    let Some(base) = &live.public_url else { return true };
    let found = timeout(ANSWER_AFTER, fetch(&format!("{base}/healthz"))).await;
    matches!(found, Ok(Fetched::Answer { status: 200, text }) if text.trim() == "ok")
}

/// Devices of hub.toml that never joined, while one of nearly that name did: the name is probably misspelt.
fn declared_but_unknown(live: &ReloadableConfig, names: &[String]) -> Vec<Remark> {
    let unknown = live.devices.iter().filter(|declared| !names.iter().any(|name| name == declared.name.as_str()));
    let remark = |declared: &crate::config::Declared| Remark::device(declared.name.as_str(), names);
    unknown.map(remark).filter(|remark| remark.nearest.is_some()).collect()
}

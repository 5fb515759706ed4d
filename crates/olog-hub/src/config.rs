//! The hub's configuration: `hub.toml` and `hub.d/*.toml`, parsed and validated.
//!
//! [`Config::load`] reports every mistake at once; either the whole configuration is accepted or none of it. What may change while
//! the hub runs is [`ReloadableConfig`], published as a whole; what may not is [`Boot`]. So the types alone keep a reload from applying a
//! part, and a live value from being handed to something that was set up once.
//!
//! Keys of a later feature (`[backup]`) are known and validated already; `check`, the log and `status` say that they
//! have no effect yet ([`ReloadableConfig::without_effect`]). Must not: read a secret where only the places are asked for ([`Config::places`]).

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::NaiveTime;
use chrono_tz::Tz;
use ipnet::IpNet;
use olog_daemon::{
    config::{ConfigFiles, Draft, Invalid, Origin, Table, read, read_draft},
    secret::Secret,
    socket,
};
use olog_proto::{DeviceName, TaskName, Timestamp, schedule::Schedule};
use olog_push::{Channel, words::Language};
use tokio::sync::{mpsc, oneshot};

use crate::rules::quiet::QuietSpan;
use crate::rules::quota::DeviceLimits;
use crate::store::StoreUrl;

mod keep;
mod keys;
mod parse;
mod sandbox;
mod show;

pub use keys::KEYS;
pub(crate) use parse::web_url;
pub(crate) use show::{is_utc, show_store};

/// Where the hub listens unless told otherwise.
pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8765);
/// The longest span between two pings.
const PING_EVERY_MAX: Duration = Duration::from_secs(20);

/// Asks whoever owns the configuration to read it anew; the answer says why it was refused.
pub type Reload = mpsc::Sender<oneshot::Sender<Result<(), String>>>;

/// What the hub trusts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Fixed until the next start.
    pub boot: Boot,
    /// May change with a reload.
    pub live: Arc<ReloadableConfig>,
    /// As `hub.toml` would have it, every key with its value in force, secrets masked.
    pub effective: String,
    /// The keys that stand in files; all others are defaults.
    pub origins: Vec<Origin>,
}

/// The same values are the same configuration, wherever they stand.
impl PartialEq for Config {
    fn eq(&self, other: &Config) -> bool {
        (&self.boot, &self.live, &self.effective) == (&other.boot, &other.live, &other.effective)
    }
}

/// What is set up once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The port.
    pub listen: SocketAddr,
    /// Where the hub keeps its files.
    pub state_dir: PathBuf,
    /// The store.
    pub store: StoreUrl,
    /// The certificate; `None`: in clear.
    pub tls: Option<Tls>,
    /// The Unix socket of the verbs.
    pub socket: PathBuf,
}

/// Keys that are needed even if the rest cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Where the hub keeps its files.
    pub state_dir: PathBuf,
    /// The Unix socket of the verbs.
    pub socket: PathBuf,
    /// The key `language`, if it is there and names a language.
    pub language: Option<Language>,
}

/// The key `tls.mode`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// Made at the first start.
    SelfSigned,
    /// Two PEM files.
    Files {
        /// The certificate and its chain.
        cert: PathBuf,
        /// Its key.
        key: PathBuf,
    },
}

/// What a reload may change.
#[derive(Debug, Clone, PartialEq)]
pub struct ReloadableConfig {
    /// How others reach the hub: scheme, host, port, path prefix; without a slash at the end.
    pub public_url: Option<String>,
    /// Of everything that people read.
    pub language: Language,
    /// Of every time that people read or wrote.
    pub timezone: Tz,
    /// Events are kept this many days.
    pub event_keep_days: u32,
    /// Whose `X-Forwarded-For` and `-Proto` count.
    pub trusted_proxies: Vec<IpNet>,
    /// The daily report.
    pub report: ReportConfig,
    /// When something becomes trouble.
    pub alerts: Alerts,
    /// What one device may use.
    pub limits: DeviceLimits,
    /// The hub's own heartbeat to somebody else.
    pub watchdog: Option<Watchdog>,
    /// The way in for the old clients.
    pub legacy: Legacy,
    /// The nightly copy.
    pub backup: Option<Backup>,
    /// Where notifications go.
    pub channels: Vec<Arc<Channel>>,
    /// `[[device]]`.
    pub devices: Vec<Declared>,
}

/// `[report]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportConfig {
    /// When it is made.
    pub when: ReportWhen,
    /// Written there too.
    pub html_dir: Option<PathBuf>,
    /// Where that folder is on the web.
    pub html_url: Option<String>,
    /// Pages are kept this many days.
    pub keep_days: u32,
}

/// When the report is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportWhen {
    /// Every day at these times.
    At(Vec<NaiveTime>),
    /// By a schedule as crontab(5) has it.
    Schedule(Schedule),
}

/// `[alerts]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alerts {
    /// A device that says nothing for so long is LOST.
    pub offline_after: Duration,
    /// A log that grows ends an incident when no error came for so long.
    pub resolve_after: Duration,
    /// An inferred end is believed after so long.
    pub over_wait: Duration,
    /// An open incident is told again after so long.
    pub remind_every: Duration,
    /// New errors of one incident that are pushed at once within an hour.
    pub new_errors_per_hour: u32,
    /// The part of the day in which good news and old news do not ring by themselves; `None`: there is none.
    pub quiet: Option<QuietSpan>,
}

/// `[watchdog]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watchdog {
    /// Called …
    pub url: Secret,
    /// … this often.
    pub every: Duration,
}

/// `[legacy]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Legacy {
    /// Old clients may connect.
    pub enabled: bool,
    /// The token in their files.
    pub token: Option<Secret>,
}

/// `[backup]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Where copies go.
    pub dir: PathBuf,
    /// When.
    pub at: NaiveTime,
    /// How many are kept.
    pub keep: u32,
}

/// `[[device]]`: what is expected of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Which.
    pub name: DeviceName,
    /// Its own `offline_after`.
    pub offline_after: Option<Offline>,
    /// Tasks that must come.
    pub tasks: Vec<DeclaredTask>,
}

/// When a device that says nothing is LOST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offline {
    /// After so long.
    After(Duration),
    /// A machine that is switched off as it pleases.
    Never,
}

/// A task that must come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredTask {
    /// Its name.
    pub name: TaskName,
    /// When. `None`: as often as the report is made.
    pub schedule: Option<Schedule>,
    /// How long after that it may come.
    pub grace: Duration,
    /// Its errors are told from so many in a row on.
    pub errors_in_a_row: u32,
}

impl Config {
    /// Reads the files; every mistake at once.
    pub fn load(source: &ConfigFiles) -> Result<Config, Invalid> {
        read(source, |table| Config::parse(table, source.folder()))
    }

    /// Where the hub keeps its files and listens for verbs, even if other keys are wrong: for whoever only asks a running hub, and
    /// for a hub that does not start.
    pub fn places(source: &ConfigFiles) -> Places {
        let state_dir = default_state_dir();
        let mut found = Places { socket: default_socket(&state_dir), state_dir, language: None };
        let taken = read(source, |table| {
            let has_language = table.has("language");
            let config = Config::parse(table, source.folder());
            let Boot { state_dir, socket, .. } = config.boot;
            found = Places { state_dir, socket, language: has_language.then_some(config.live.language) };
        });
        // `run` and `check` report the mistakes. A value that names no language is as if the key were not there.
        if let Err(invalid) = taken
            && invalid.0.iter().any(|finding| finding.key == "language")
        {
            found.language = None;
        }
        found
    }

    /// From a table that was read; relative paths are meant from `folder`. What is wrong has been reported to the table.
    pub fn parse(table: &mut Table, folder: &Path) -> Config {
        parse::config(table, folder)
    }

    /// What is scheduled, with its next three times from `now`, one line each.
    pub fn schedules(&self, now: Timestamp) -> Vec<String> {
        show::schedules(&self.live, now)
    }

    /// What is no mistake and yet worth a word, one line each.
    pub fn remarks(&self) -> Vec<String> {
        show::remarks(self)
    }

    /// Keys that differ and cannot change while the hub runs.
    pub fn needs_restart(&self, newer: &Config) -> Vec<&'static str> {
        let (old, new) = (&self.boot, &newer.boot);
        let differs = [
            ("listen", old.listen != new.listen),
            ("state_dir", old.state_dir != new.state_dir),
            ("store.url", old.store != new.store),
            ("tls", old.tls != new.tls),
            ("socket", old.socket != new.socket),
        ];
        differs.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }

    /// Keeps copies of the files behind this configuration in `state_dir`, readable by the owner only: what last was good.
    pub fn keep(&self, source: &ConfigFiles) -> io::Result<()> {
        keep::keep(source, &self.boot.state_dir)
    }
}

impl ReportWhen {
    /// The instants at which it is made.
    pub fn schedule(&self) -> Option<Schedule> {
        match self {
            ReportWhen::At(times) => Schedule::daily(times),
            ReportWhen::Schedule(schedule) => Some(schedule.clone()),
        }
    }
}

impl ReloadableConfig {
    /// How often the hub pings: three times while the least patient device may say nothing.
    pub fn ping_every(&self) -> Duration {
        let own = self.devices.iter().filter_map(|device| match device.offline_after {
            Some(Offline::After(span)) => Some(span),
            Some(Offline::Never) | None => None,
        });
        (own.fold(self.alerts.offline_after, Duration::min) / 3).min(PING_EVERY_MAX)
    }

    /// What `[[device]]` says of this one.
    pub fn declared(&self, name: &str) -> Option<&Declared> {
        self.devices.iter().find(|device| device.name.as_str() == name)
    }

    /// The channel of that name.
    pub fn channel(&self, name: &str) -> Option<&Arc<Channel>> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// Tables that are accepted so that the file stays valid, but that this version does not act on yet.
    pub fn without_effect(&self) -> Vec<&'static str> {
        let tables = [("[backup]", self.backup.is_some())];
        tables.into_iter().filter(|(_, is_there)| *is_there).map(|(table, _)| table).collect()
    }

    /// Is this other end a proxy whose headers count?
    pub fn trusts(&self, proxy: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&proxy.to_canonical()))
    }
}

/// Takes a changed configuration now. If it is refused, the owner of the configuration says so, and the old one holds here too.
pub async fn read_now(reload: &Reload) {
    let (reply, answer) = oneshot::channel();
    if reload.send(reply).await.is_ok()
        && let Ok(Err(why)) = answer.await
    {
        tracing::debug!(why, "the configuration was read for a verb and refused");
    }
}

/// As [`Config::load`], as if some files held other texts.
pub fn load_draft(source: &ConfigFiles, draft: &Draft) -> Result<Config, Invalid> {
    read_draft(source, draft, |table| Config::parse(table, source.folder()))
}

/// `/var/lib/olog-hub`, or where systemd put it.
fn default_state_dir() -> PathBuf {
    std::env::var_os("STATE_DIRECTORY").map_or_else(|| PathBuf::from("/var/lib/olog-hub"), PathBuf::from)
}

/// The socket of a hub with this `state_dir`, unless the key `socket` says otherwise.
fn default_socket(state_dir: &Path) -> PathBuf {
    socket::default_path("olog-hub", state_dir)
}

#[cfg(test)]
mod tests;

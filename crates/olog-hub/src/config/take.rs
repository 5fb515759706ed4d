//! Parses and validates `hub.toml`: one function for each table, in the order of the documentation. A wrong value is reported and
//! replaced by its default until the end, where any finding rejects the whole configuration.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use chrono::NaiveTime;
use chrono_tz::Tz;
use olog_daemon::{
    config::{Item, Table, parse_span},
    secret::Secret,
};
use olog_proto::{DeviceName, TaskName};
use olog_push::{Channel, ChannelCatalog, words::LANGUAGES};

use super::{
    Alerts, Backup, Boot, Config, Declared, DeclaredTask, LISTEN, Legacy, Live, Offline, ReportConfig, ReportWhen, Tls,
    Watchdog, default_socket, default_state_dir,
};
use crate::rules::quiet::QuietSpan;
use crate::{
    rules::schedule::{Schedule, ScheduleError},
    store::StoreUrl,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
/// How late a task may be that has a schedule, unless told otherwise.
const GRACE: Duration = Duration::from_secs(1800);

/// The whole file. Relative paths are meant from `folder`, the store's and the backup's from `state_dir`.
pub(super) fn config(root: &mut Table, folder: &Path) -> Config {
    let listen = root.take_as("listen", |text| {
        text.parse().map_err(|_| {
            format!("expected an address and a port like \"0.0.0.0:8765\" or \"[::]:8765\", found {text:?}")
        })
    });
    let state_dir = root.take_path("state_dir", folder).unwrap_or_else(default_state_dir);
    let socket = root.take_path("socket", folder).unwrap_or_else(|| default_socket(&state_dir));
    let store = root.take_table("store").and_then(|table| store(table, &state_dir));
    let tls = root.take_table("tls").map_or(Some(Tls::SelfSigned), |table| tls(table, folder));
    let language = root.take_choice("language", &LANGUAGES);
    let timezone = root.take_as("timezone", |text| {
        text.parse::<Tz>()
            .map_err(|_| format!("expected a name of the time zone database like \"Asia/Shanghai\", found {text:?}"))
    });
    let live = Live {
        public_url: root.take_as("public_url", web_url),
        language: language.unwrap_or_default(),
        timezone: timezone.unwrap_or_else(system_timezone),
        event_keep_days: take_u32(root, "event_keep_days", 1, 36_500).unwrap_or(90),
        trusted_proxies: root.take_table("proxy").map_or_else(local_proxy, |mut table| {
            let trusted = table.take_list_as("trusted", str::parse);
            table.finish();
            trusted.unwrap_or_else(local_proxy)
        }),
        report: root.take_table("report").map_or_else(default_report, |table| report(table, folder)),
        alerts: root.take_table("alerts").map_or_else(default_alerts, alerts),
        watchdog: root.take_table("watchdog").and_then(watchdog),
        legacy: root.take_table("legacy").map_or_else(Legacy::default, legacy),
        backup: root.take_table("backup").map(|table| backup(table, &state_dir)),
        channels: channels(root),
        devices: devices(root),
    };
    let boot = Boot {
        listen: listen.unwrap_or(LISTEN),
        store: store.unwrap_or_else(|| StoreUrl::Sqlite(state_dir.join("olog.db"))),
        tls,
        socket,
        state_dir,
    };
    Config { boot, live: Arc::new(live) }
}

fn store(mut table: Table, state_dir: &Path) -> Option<StoreUrl> {
    let url = table.take_as("url", |text| match text.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(StoreUrl::Sqlite(state_dir.join(path))),
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => Ok(StoreUrl::Postgres(text.to_owned())),
        _ => Err("expected \"sqlite:FILE\" or \"postgres://USER@HOST/DATABASE\"".to_owned()),
    });
    table.finish();
    url
}

fn tls(mut table: Table, folder: &Path) -> Option<Tls> {
    let modes = [("self-signed", Mode::SelfSigned), ("files", Mode::Files), ("off", Mode::Off)];
    let mode = table.take_choice("mode", &modes).unwrap_or(Mode::SelfSigned);
    let (cert, key) = (table.take_path("cert", folder), table.take_path("key", folder));
    for name in ["cert", "key"] {
        match (mode, table.has(name)) {
            (Mode::Files, false) => table.fault(name, "is missing: mode = \"files\" needs cert and key"),
            (Mode::SelfSigned | Mode::Off, true) => table.fault(name, "is used with mode = \"files\" only"),
            _ => {}
        }
    }
    table.finish();
    match mode {
        Mode::SelfSigned => Some(Tls::SelfSigned),
        Mode::Files => Some(Tls::Files { cert: cert.unwrap_or_default(), key: key.unwrap_or_default() }),
        Mode::Off => None,
    }
}

#[derive(Clone, Copy)]
enum Mode {
    SelfSigned,
    Files,
    Off,
}

fn local_proxy() -> Vec<super::Network> {
    ["127.0.0.1", "::1"].into_iter().filter_map(|address| address.parse().ok()).collect()
}

fn default_report() -> ReportConfig {
    let eleven = NaiveTime::from_hms_opt(11, 0, 0).unwrap_or_default();
    ReportConfig { when: ReportWhen::At(vec![eleven]), html_dir: None, html_url: None, keep_days: 7 }
}

fn report(mut table: Table, folder: &Path) -> ReportConfig {
    let default = default_report();
    let (at, schedule) = (table.take_list_as("at", time_of_day), table.take_as("schedule", schedule));
    if table.has("at") && table.has("schedule") {
        table.fault("schedule", "give at or schedule, not both");
    }
    let when = match (schedule, at) {
        (Some(schedule), _) => ReportWhen::Schedule(schedule),
        (None, Some(at)) => ReportWhen::At(at),
        (None, None) => default.when,
    };
    let report = ReportConfig {
        when,
        html_dir: table.take_path("html_dir", folder),
        html_url: table.take_as("html_url", web_url),
        keep_days: take_u32(&mut table, "keep_days", 1, 36_500).unwrap_or(default.keep_days),
    };
    table.finish();
    report
}

fn default_alerts() -> Alerts {
    Alerts {
        offline_after: 60 * SECOND,
        resolve_after: HOUR,
        over_wait: 60 * SECOND,
        remind_every: 24 * HOUR,
        new_errors_per_hour: 5,
        quiet: QuietSpan::parse("22:00-08:00").ok().flatten(),
    }
}

fn alerts(mut table: Table) -> Alerts {
    let default = default_alerts();
    let alerts = Alerts {
        offline_after: span_from(&mut table, "offline_after", SECOND).unwrap_or(default.offline_after),
        resolve_after: table.take_span("resolve_after").unwrap_or(default.resolve_after),
        over_wait: table.take_span("over_wait").unwrap_or(default.over_wait),
        remind_every: span_from(&mut table, "remind_every", 60 * SECOND).unwrap_or(default.remind_every),
        new_errors_per_hour: take_u32(&mut table, "new_errors_per_hour", 0, 1_000)
            .unwrap_or(default.new_errors_per_hour),
        quiet: table.take_as("quiet", QuietSpan::parse).unwrap_or(default.quiet),
    };
    table.finish();
    alerts
}

fn watchdog(mut table: Table) -> Option<Watchdog> {
    // The address is a secret: what was typed is not quoted.
    let wrong = "expected a web address like \"https://hc-ping.com/…\"";
    let url = table.take_as("url", |text| web_url(text).map(|_| Secret::new(text)).map_err(|_| wrong.to_owned()));
    if !table.has("url") {
        table.fault("url", "is missing: expected the address that expects the hub's heartbeat");
    }
    let every = span_from(&mut table, "every", SECOND).unwrap_or(60 * SECOND);
    table.finish();
    Some(Watchdog { url: url??, every })
}

fn legacy(mut table: Table) -> Legacy {
    let enabled = table.take_bool("enabled").unwrap_or(false);
    let token = table.take_secret("token");
    if enabled && !table.has("token") && !table.has("token_file") {
        table.fault("token", "is missing: the old clients prove themselves with it");
    }
    table.finish();
    Legacy { enabled, token }
}

fn backup(mut table: Table, state_dir: &Path) -> Backup {
    let backup = Backup {
        dir: table.take_path("dir", state_dir).unwrap_or_else(|| state_dir.join("backup")),
        at: table.take_as("at", time_of_day).or_else(|| NaiveTime::from_hms_opt(4, 30, 0)).unwrap_or_default(),
        keep: take_u32(&mut table, "keep", 1, 10_000).unwrap_or(7),
    };
    table.finish();
    backup
}

fn channels(root: &mut Table) -> Vec<Arc<Channel>> {
    let types = ChannelCatalog::read(root);
    let tables = root.take_tables("channel").into_iter();
    let channels: Vec<Arc<Channel>> = tables.filter_map(|table| Channel::take(table, &types)).map(Arc::new).collect();
    let mut names = BTreeSet::new();
    for channel in &channels {
        if !names.insert(channel.name.as_str()) {
            root.fault("channel", &format!("two channels are named {:?}", channel.name));
        }
    }
    channels
}

fn devices(root: &mut Table) -> Vec<Declared> {
    let devices: Vec<Declared> = root.take_tables("device").into_iter().filter_map(device).collect();
    let mut names = BTreeSet::new();
    for device in &devices {
        if !names.insert(device.name.as_str()) {
            root.fault("device", &format!("two devices are named {:?}", device.name.as_str()));
        }
    }
    devices
}

fn device(mut table: Table) -> Option<Declared> {
    let name = table.take_as("name", |text| text.parse::<DeviceName>().map_err(|e| e.to_string()));
    if !table.has("name") {
        table.fault("name", "is missing: expected the device's name");
    }
    let offline_after = table.take_as("offline_after", |text| match text {
        "never" => Ok(Offline::Never),
        text => match parse_span(text) {
            Ok(span) if span >= SECOND => Ok(Offline::After(span)),
            Ok(_) => Err("must be at least 1s".to_owned()),
            Err(problem) => Err(format!("{problem}, or \"never\"")),
        },
    });
    let mut tasks = Vec::new();
    for item in table.take_items("tasks").unwrap_or_default() {
        match item {
            Item::Text(text) => match text.parse::<TaskName>() {
                Ok(name) => tasks.push(DeclaredTask { name, schedule: None, grace: GRACE, errors_in_a_row: 1 }),
                Err(problem) => table.fault("tasks", &problem.to_string()),
            },
            Item::Table(task) => tasks.extend(declared_task(task)),
        }
    }
    let mut names = BTreeSet::new();
    for task in &tasks {
        if !names.insert(task.name.as_str()) {
            table.fault("tasks", &format!("two tasks are named {:?}", task.name.as_str()));
        }
    }
    table.finish();
    Some(Declared { name: name?, offline_after, tasks })
}

fn declared_task(mut table: Table) -> Option<DeclaredTask> {
    let name = table.take_as("name", |text| text.parse::<TaskName>().map_err(|e| e.to_string()));
    if !table.has("name") {
        table.fault("name", "is missing: expected the task's name");
    }
    let schedule = table.take_as("schedule", schedule);
    let grace = table.take_span("grace").unwrap_or(GRACE);
    if table.has("grace") && !table.has("schedule") {
        table.fault("grace", "is used with schedule");
    }
    let errors_in_a_row = take_u32(&mut table, "errors_in_a_row", 1, 1_000).unwrap_or(1);
    table.finish();
    Some(DeclaredTask { name: name?, schedule, grace, errors_in_a_row })
}

fn schedule(text: &str) -> Result<Schedule, String> {
    text.parse().map_err(|e: ScheduleError| e.to_string())
}

fn time_of_day(text: &str) -> Result<NaiveTime, String> {
    NaiveTime::parse_from_str(text, "%H:%M")
        .map_err(|_| format!("expected a time of day like \"11:00\", found {text:?}"))
}

/// `http(s)://HOST[:PORT][/PREFIX]`, without a slash at its end.
pub(crate) fn web_url(text: &str) -> Result<String, String> {
    let wrong = || format!("expected a web address like \"https://hub.example.com:8765\", found {text:?}");
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    let plain = url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() || !plain {
        return Err(wrong());
    }
    Ok(text.trim().trim_end_matches('/').to_owned())
}

fn take_u32(table: &mut Table, key: &str, from: u32, to: u32) -> Option<u32> {
    table.take_int(key, i64::from(from)..=i64::from(to)).and_then(|n| u32::try_from(n).ok())
}

fn span_from(table: &mut Table, key: &str, least: Duration) -> Option<Duration> {
    let span = table.take_span(key)?;
    if span < least {
        table.fault(key, &format!("must be at least {}s", least.as_secs()));
    }
    Some(span)
}

fn system_timezone() -> Tz {
    iana_time_zone::get_timezone().ok().and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC)
}

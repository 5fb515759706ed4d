//! Parses and validates `hub.toml`: one function for each table. Defaults and bounds are in the rows of [`KEYS`]. A wrong value is
//! reported and replaced by its default until the end, where any finding rejects the whole configuration.

use std::{collections::BTreeSet, net::IpAddr, path::Path, sync::Arc, time::Duration};

use chrono::NaiveTime;
use chrono_tz::Tz;
use ipnet::IpNet;
use olog_daemon::{
    config::{Table, parse_span},
    secret::Secret,
};
use olog_proto::{
    DeviceName, TaskName,
    schedule::{Schedule, ScheduleError},
};
use olog_push::{Channel, ChannelCatalog, words::LANGUAGES};

use super::{
    Alerts, Backup, Boot, Config, Declared, DeclaredTask, LISTEN, Legacy, Offline, ReloadableConfig, ReportConfig,
    ReportWhen, Tls, Watchdog, default_socket, default_state_dir, keys::KEYS, show_store,
};
use crate::rules::quiet::QuietSpan;
use crate::rules::quota::DeviceLimits;
use crate::store::StoreUrl;

/// A shorter silence is no sign of anything.
const OFFLINE_MIN: Duration = Duration::from_secs(1);

/// The whole file. Relative paths are meant from `folder`, the store's and the backup's from `state_dir`.
pub(super) fn config(root: &mut Table, folder: &Path) -> Config {
    root.declare(KEYS);
    let listen = root.take_as("listen", |text| {
        text.parse().map_err(|_| {
            format!("expected an address and a port like \"0.0.0.0:8765\" or \"[::]:8765\", found {text:?}")
        })
    });
    let state_dir = root.take_path("state_dir", folder).unwrap_or_else(default_state_dir);
    root.show("state_dir", state_dir.display());
    let socket = root.take_path("socket", folder).unwrap_or_else(|| default_socket(&state_dir));
    root.show("socket", socket.display());
    let store = store(root.section("store"), &state_dir);
    let tls = tls(root.section("tls"), folder);
    let proxy = root.section("proxy");
    if tls.is_none() && !proxy.has("trusted") && !listen.unwrap_or(LISTEN).ip().is_loopback() {
        root.fault(
            "tls",
            "mode = \"off\" sends everything in clear: listen on 127.0.0.1, or declare the reverse proxy in front of the hub as \
             [proxy] trusted",
        );
    }
    let language = root.take_choice("language", &LANGUAGES);
    let timezone = root.take_as("timezone", |text| {
        text.parse::<Tz>()
            .map_err(|_| format!("expected a name of the time zone database like \"Asia/Shanghai\", found {text:?}"))
    });
    let timezone = timezone.unwrap_or_else(system_timezone);
    root.show("timezone", timezone.name());
    let live = ReloadableConfig {
        public_url: root.take_as("public_url", web_url),
        language: language.unwrap_or_default(),
        timezone,
        event_keep_days: root.take_int("event_keep_days").unwrap_or_default(),
        trusted_proxies: trusted_proxies(proxy),
        report: report(root.section("report"), folder),
        alerts: alerts(root.section("alerts")),
        limits: limits(root.section("limits")),
        watchdog: root.take_table("watchdog").and_then(watchdog),
        legacy: legacy(root.section("legacy")),
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
    Config { boot, live: Arc::new(live), effective: root.effective(), origins: root.origins() }
}

fn store(mut table: Table, state_dir: &Path) -> Option<StoreUrl> {
    let url = table.take_as("url", |text| match text.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => Ok(StoreUrl::Sqlite(state_dir.join(path))),
        Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => {
            let url = StoreUrl::Postgres(text.to_owned());
            url.mistake().map_or(Ok(url), Err)
        }
        _ => Err("expected \"sqlite:FILE\" or \"postgres://USER@HOST/DATABASE\"".to_owned()),
    });
    if let Some(url) = &url {
        table.show("url", show_store(url));
    }
    table.finish();
    url
}

fn tls(mut table: Table, folder: &Path) -> Option<Tls> {
    let modes = [("self-signed", Mode::SelfSigned), ("files", Mode::Files), ("off", Mode::Off)];
    let mode = table.take_choice("mode", &modes).unwrap_or_default();
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

#[derive(Clone, Copy, Default)]
enum Mode {
    #[default]
    SelfSigned,
    Files,
    Off,
}

fn trusted_proxies(mut table: Table) -> Vec<IpNet> {
    let trusted = table.take_list_as("trusted", network);
    table.finish();
    trusted.unwrap_or_default()
}

/// One address, or a network.
fn network(text: &str) -> Result<IpNet, String> {
    let parsed = text.parse().or_else(|_| text.parse().map(|address: IpAddr| IpNet::from(address)));
    parsed
        .map_err(|_| format!("expected an address like \"127.0.0.1\" or a network like \"10.0.0.0/8\", found {text:?}"))
}

fn report(mut table: Table, folder: &Path) -> ReportConfig {
    let schedule = table.take_as("schedule", schedule);
    if table.has("at") && table.has("schedule") {
        table.fault("schedule", "give at or schedule, not both");
    }
    let when = match schedule {
        Some(schedule) if !table.has("at") => ReportWhen::Schedule(schedule),
        _ => ReportWhen::At(table.take_list_as("at", time_of_day).unwrap_or_default()),
    };
    let report = ReportConfig {
        when,
        html_dir: table.take_path("html_dir", folder),
        html_url: table.take_as("html_url", web_url),
        keep_days: table.take_int("keep_days").unwrap_or_default(),
    };
    table.finish();
    report
}

fn alerts(mut table: Table) -> Alerts {
    let alerts = Alerts {
        offline_after: table.take_span("offline_after").unwrap_or_default(),
        resolve_after: table.take_span("resolve_after").unwrap_or_default(),
        over_wait: table.take_span("over_wait").unwrap_or_default(),
        remind_every: table.take_span("remind_every").unwrap_or_default(),
        new_errors_per_hour: table.take_int("new_errors_per_hour").unwrap_or_default(),
        quiet: table.take_as("quiet", QuietSpan::parse).flatten(),
    };
    table.finish();
    alerts
}

fn limits(mut table: Table) -> DeviceLimits {
    let default = DeviceLimits::default();
    let mut int = |key, default| table.take_int::<u64>(key).unwrap_or(default);
    let mut limits = DeviceLimits {
        events_per_day: int("events_per_day", default.events_per_day),
        tasks: int("tasks", default.tasks),
        open_incidents: int("open_incidents", default.open_incidents),
        notes_per_hour: int("notes_per_hour", default.notes_per_hour),
        ..default
    };
    limits.bytes_per_day = table.take_size("bytes_per_day").unwrap_or(default.bytes_per_day);
    table.finish();
    limits
}

fn watchdog(mut table: Table) -> Option<Watchdog> {
    // The address is a secret: what was typed is not quoted.
    let wrong = "expected a web address like \"https://hc-ping.com/…\"";
    let url = table.take_as("url", |text| web_url(text).map(|_| Secret::new(text)).map_err(|_| wrong.to_owned()));
    if let Some(Some(url)) = &url {
        table.show("url", url);
    }
    let every = table.take_span("every").unwrap_or_default();
    table.finish();
    Some(Watchdog { url: url??, every })
}

fn legacy(mut table: Table) -> Legacy {
    let enabled = table.take_bool("enabled").unwrap_or_default();
    let token = table.take_secret("token");
    if enabled && !table.has("token") && !table.has("token_file") {
        table.fault("token", "is missing: the old clients prove themselves with it");
    }
    table.finish();
    Legacy { enabled, token }
}

fn backup(mut table: Table, state_dir: &Path) -> Backup {
    let backup = Backup {
        dir: table.take_path("dir", state_dir).unwrap_or_default(),
        at: table.take_as("at", time_of_day).unwrap_or_default(),
        keep: table.take_int("keep").unwrap_or_default(),
    };
    table.finish();
    backup
}

fn channels(root: &mut Table) -> Vec<Arc<Channel>> {
    let types = ChannelCatalog::read(root);
    let tables = root.take_tables("channel").into_iter();
    let take = |mut table: Table| {
        let channel = Channel::parse(&mut table, &types);
        table.finish();
        channel.map(Arc::new)
    };
    let channels: Vec<Arc<Channel>> = tables.filter_map(take).collect();
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
    let offline_after = table.take_as("offline_after", |text| match text {
        "never" => Ok(Offline::Never),
        text => match parse_span(text) {
            Ok(span) if span >= OFFLINE_MIN => Ok(Offline::After(span)),
            Ok(_) => Err("must be at least 1s".to_owned()),
            Err(problem) => Err(format!("{problem}, or \"never\"")),
        },
    });
    let tasks: Vec<DeclaredTask> = table.take_named("tasks").into_iter().filter_map(declared_task).collect();
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
    let schedule = table.take_as("schedule", schedule);
    let grace = table.take_span("grace").unwrap_or_default();
    if table.has("grace") && !table.has("schedule") {
        table.fault("grace", "is used with schedule");
    }
    let errors_in_a_row = table.take_int("errors_in_a_row").unwrap_or_default();
    table.finish_item();
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

fn system_timezone() -> Tz {
    iana_time_zone::get_timezone().ok().and_then(|name| name.parse().ok()).unwrap_or(Tz::UTC)
}

//! What `check` prints beside the effective configuration: when something runs next, and findings that are no mistakes.

use std::path::Path;

use olog_daemon::config::show_span;
use olog_proto::{Timestamp, schedule::Schedule};
use olog_push::words::Language;

use super::{Config, ReloadableConfig, ReportConfig};
use crate::store::StoreUrl;

pub(super) fn schedules(live: &ReloadableConfig, now: Timestamp) -> Vec<String> {
    let next = |schedule: &Schedule| {
        let runs = schedule.runs_after(now, live.timezone).take(3).filter_map(|run| {
            let run = chrono::DateTime::from_timestamp_millis(run.0)?.with_timezone(&live.timezone);
            let text = run.format("%a %Y-%m-%d %H:%M:%S").to_string();
            Some(text.strip_suffix(":00").map_or_else(|| text.clone(), str::to_owned))
        });
        runs.collect::<Vec<_>>().join(", ")
    };
    let mut lines = Vec::new();
    if let Some(schedule) = live.report.when.schedule() {
        lines.push(format!("the report is made next on {}", next(&schedule)));
    }
    for device in &live.devices {
        for task in &device.tasks {
            let name = format!("{}/{}", device.name, task.name);
            lines.push(match &task.schedule {
                Some(schedule) => format!(
                    "{name} has to run next on {}; LOST {} later if it did not",
                    next(schedule),
                    show_span(task.grace)
                ),
                None => format!("{name} has to run between two reports, or within 26h if that is longer"),
            });
        }
    }
    lines
}

/// A database's address without its password. (In an address `…` would read `%E2%80%A6`.)
pub(crate) fn show_store(store: &StoreUrl) -> String {
    match store {
        StoreUrl::Sqlite(path) => format!("sqlite:{}", path.display()),
        StoreUrl::Postgres(text) => match url::Url::parse(text) {
            Ok(mut url) => {
                if url.password().is_some() && url.set_password(Some("***")).is_err() {
                    return "postgres://…".to_owned();
                }
                // A password may also stand among the parameters.
                if url.query().is_some_and(|query| query.contains("password")) {
                    url.set_query(None);
                }
                url.to_string()
            }
            Err(_) => "postgres://…".to_owned(),
        },
    }
}

pub(super) fn remarks(config: &Config) -> Vec<String> {
    let (boot, live) = (&config.boot, &*config.live);
    let mut remarks = Vec::new();
    let mut say = |text: String| remarks.push(text);
    match live.channels.as_slice() {
        [] => say("no [[channel]]: nobody is told of anything".into()),
        [one] => say(format!("one channel only ({}): if it fails, nobody is told that it does", one.name)),
        _ => {}
    }
    match &live.public_url {
        None => say("public_url is not set: pushes carry no links, and join links name this machine's address".into()),
        Some(url) if url.starts_with("http://") && boot.tls.is_some() => {
            say(format!(
                "public_url {url} is plain http, but this port speaks TLS: write https://, or set tls.mode = \"off\""
            ));
        }
        Some(_) => {}
    }
    report_remarks(&live.report, &boot.state_dir, &mut say);
    if live.language == Language::ZhCn && is_utc(live.timezone) {
        say("language is zh-CN and the time zone is UTC: is that meant? Else set timezone = \"Asia/Shanghai\"".into());
    }
    if boot.tls.is_none() && !boot.listen.ip().is_loopback() {
        say(format!(
            "tls.mode = \"off\" on {}: whoever is between the proxy and the hub may read along; best listen on 127.0.0.1",
            boot.listen
        ));
    }
    if boot.store.is_exposed() {
        say("store.url names another machine and the connection to it is in clear: append ?sslmode=verify-full".into());
    }
    for table in live.without_effect() {
        say(format!(
            "{table} is not available in this version yet: the table is validated and has no effect, no backup is made"
        ));
    }
    if live.legacy.enabled {
        say("[legacy] lets old clients in, unencrypted and by one token for all: disable it when the last one has moved".into());
    }
    if let Some(backup) = &live.backup
        && backup.dir.starts_with(&boot.state_dir)
    {
        say(format!("backup.dir {} is on the disk of the store itself", backup.dir.display()));
    }
    remarks
}

fn report_remarks(report: &ReportConfig, state_dir: &Path, say: &mut impl FnMut(String)) {
    match (&report.html_dir, &report.html_url) {
        (Some(dir), None) => {
            let dir = dir.display();
            say(format!("report.html_dir {dir} without html_url: pages are written there, and no push links to them"));
        }
        (None, Some(url)) => {
            say(format!("report.html_url {url} without html_dir: there is nothing that it could open"))
        }
        _ => {}
    }
    let Some(dir) = &report.html_dir else { return };
    if let Some(words) = super::sandbox::html_dir(dir) {
        say(words);
    } else if !dir.is_dir() {
        say(format!("report.html_dir {} is not a folder: the report will come whole in the message", dir.display()));
    } else if let Some(words) = super::sandbox::not_writable(dir, state_dir) {
        say(words);
    }
}

/// Is it UTC, by whatever name?
pub(crate) fn is_utc(zone: chrono_tz::Tz) -> bool {
    matches!(zone.name(), "UTC" | "Etc/UTC" | "GMT" | "Etc/GMT" | "Zulu" | "Universal" | "UCT" | "Etc/UCT")
}

//! Every key of `hub.toml`, one row each: the registry that `take` reads by. The keys of a channel are in the crate `olog-push`.

use std::time::Duration;

use olog_daemon::{config::Key, keys};

const DAYS_MAX: i64 = 36_500;
const ANY: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// In the order of the reference.
pub static KEYS: &[Key] = keys! {
    /// The address and port for agents and browsers. A change needs a restart.
    "listen", Text, Is("\"0.0.0.0:8765\""), "0.1";
    /// The address of this hub as others see it, used in join links and in the links of pushes. Without it pushes have no links.
    "public_url", Text, Unset, "0.1";
    /// Where the hub keeps its files. A change needs a restart.
    "state_dir", Path, Found("`$STATE_DIRECTORY`, else `/var/lib/olog-hub`"), "0.1";
    /// The Unix socket of the verbs. A change needs a restart.
    "socket", Path, Found("`/run/olog-hub/hub.sock` if that folder exists, else in `state_dir`"), "0.1";
    /// The language of all messages and reports.
    "language", Choice(&["zh-CN", "en"]), Is("\"zh-CN\""), "0.1";
    /// The time zone of all times that people read or write, like `Asia/Shanghai`.
    "timezone", Text, Found("the system's"), "0.1";
    /// For how many days events and the record of sent messages are kept. Incidents and the report's 30 days stay.
    "event_keep_days", Int(1, DAYS_MAX), Is("90"), "0.1";
    /// The database.
    "store", Table, Unset, "0.1";
    /// `sqlite:FILE`, relative to `state_dir`, or `postgres://USER@HOST/DATABASE`; to another machine with `?sslmode=verify-full`, and `&sslrootcert=FILE` for an authority of your own. A change needs a restart.
    "store.url", Hidden, Is("\"sqlite:olog.db\""), "0.1";
    /// The certificate. A change of `mode` needs a restart; renewed files are read again.
    "tls", Table, Unset, "0.1";
    /// `self-signed`: made at the first start; the join link tells agents which certificate it is. `off`: on loopback only, or behind a proxy that `proxy.trusted` names.
    "tls.mode", Choice(&["self-signed", "files", "off"]), Is("\"self-signed\""), "0.1";
    /// The certificate and its chain (PEM), with `mode = "files"`.
    "tls.cert", Path, Unset, "0.1";
    /// Its private key (PEM), with `mode = "files"`.
    "tls.key", Path, Unset, "0.1";
    /// A reverse proxy in front of the hub.
    "proxy", Table, Unset, "0.1";
    /// Addresses or networks of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    "proxy.trusted", Texts, Is("[\"127.0.0.1\", \"::1\"]"), "0.1";
    /// The daily report.
    "report", Table, Unset, "0.1";
    /// The times of day at which it is made.
    "report.at", Texts, Is("[\"11:00\"]"), "0.1";
    /// Instead of `at`: a schedule as in crontab(5).
    "report.schedule", Text, Unset, "0.1";
    /// A folder for the report's page. Without it the hub itself serves the page.
    "report.html_dir", Path, Unset, "0.1";
    /// The address of that folder on the web.
    "report.html_url", Text, Unset, "0.1";
    /// For how many days pages are kept. The list of reports stays.
    "report.keep_days", Int(1, DAYS_MAX), Is("7"), "0.1";
    /// When an incident begins and ends, and when it is pushed.
    "alerts", Table, Unset, "0.1";
    /// A device that is silent for this long is LOST.
    "alerts.offline_after", Span(SECOND), Is("\"60s\""), "0.1";
    /// A log that grows ends an incident when there was no error for this long.
    "alerts.resolve_after", Span(ANY), Is("\"1h\""), "0.1";
    /// A recovery that is inferred is confirmed after this long without an error.
    "alerts.over_wait", Span(ANY), Is("\"60s\""), "0.1";
    /// A reminder is sent when an incident is still open after this long.
    "alerts.remind_every", Span(MINUTE), Is("\"24h\""), "0.1";
    /// How many new errors of one incident are pushed at once in an hour; further ones are pushed together.
    "alerts.new_errors_per_hour", Int(0, 1_000), Is("5"), "0.1";
    /// In these hours recoveries and reminders do not ring by themselves: they go with the next urgent message, or when the hours end. `""`: none.
    "alerts.quiet", Text, Is("\"22:00-08:00\""), "0.1";
    /// What one device may use. Reaching a limit is pushed once a day; `olog-hub status` shows it. What comes beyond a limit is acknowledged and counted.
    "limits", Table, Unset, "0.1";
    /// Events of one device that are stored in a day. Further ones still open and close incidents; their texts are not stored.
    "limits.events_per_day", Int(1, 1_000_000_000), Is("500000"), "0.1";
    /// Bytes of one device's events that are stored in a day; beyond it as above.
    "limits.bytes_per_day", Size(1 << 20), Is("\"1GiB\""), "0.1";
    /// Tasks of one device. Events of further tasks are only counted.
    "limits.tasks", Int(1, 1_000_000), Is("5000"), "0.1";
    /// Open incidents of one device. One incident says that there are too many; further errors open none.
    "limits.open_incidents", Int(1, 100_000), Is("200"), "0.1";
    /// Messages (`.msg`) and notes of the agent of one device that are pushed in an hour. Further ones are stored only.
    "limits.notes_per_hour", Int(1, 1_000_000), Is("120"), "0.1";
    /// The hub's heartbeat to an external watchdog, which tells you when the hub stops.
    "watchdog", Table, Unset, "0.1";
    /// The address that is called.
    "watchdog.url", Hidden, Wrong("expected the address that expects the hub's heartbeat"), "0.1";
    /// How often it is called.
    "watchdog.every", Span(SECOND), Is("\"60s\""), "0.1";
    /// Clients of the old version (`olog.py`): [migration.md](migration.md).
    "legacy", Table, Unset, "0.1";
    /// Accept them, unencrypted, on the same port.
    "legacy.enabled", Bool, Is("false"), "0.1";
    /// The token of their `olog.cfg`.
    "legacy.token", Secret, Unset, "0.1";
    /// Known, not yet acted upon: no backup is made (`check` and `status` say so).
    "backup", Table, Unset, "0.1";
    /// Where backups go, relative to `state_dir` (which is the same disk: another one is better).
    "backup.dir", Path, Is("\"backup\""), "0.1";
    /// The time of day at which one is made.
    "backup.at", Text, Is("\"04:30\""), "0.1";
    /// How many are kept.
    "backup.keep", Int(1, 10_000), Is("7"), "0.1";
    /// Where notifications go; [the keys of a channel](#channel) are below.
    "channel", Tables, Unset, "0.1";
    /// What you expect of a device.
    "device", Tables, Unset, "0.1";
    /// The device's name at the hub.
    "device.name", Text, Wrong("expected the device's name"), "0.1";
    /// How long it may be silent: a time span, or `"never"`.
    "device.offline_after", Text, Found("as `alerts.offline_after`"), "0.1";
    /// Tasks that have to run: a name, or a table with the keys below.
    "device.tasks", Named, Unset, "0.1";
    /// The task's name.
    "device.tasks.name", Text, Wrong("expected the task's name"), "0.1";
    /// When it runs, as in crontab(5). Without it the task has to run between two reports, or within 26 h if that is longer.
    "device.tasks.schedule", Text, Unset, "0.1";
    /// With `schedule`: how late it may be.
    "device.tasks.grace", Span(ANY), Is("\"30m\""), "0.1";
    /// An error is pushed when this many runs in a row have failed.
    "device.tasks.errors_in_a_row", Int(1, 1_000), Is("1"), "0.1";
};

//! Alerts as Prometheus sends them to an Alertmanager (`POST /api/v2/alerts`): what is read of them, which device and task they are about, and
//! what each one means after the one before it.
//!
//! An alert is its set of labels. It is sent again and again while it fires, and is over when its `endsAt` passes without that. Every size is
//! bounded; each mistake is said, and the alerts without one count. Pure: knows no store, clock or HTTP.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::DateTime;
use olog_proto::{
    TaskName, Timestamp, clean,
    name::escape,
    redact::{Before, Redactor},
};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Alerts of one request.
pub const ALERTS_MAX: usize = 1_000;
/// Labels and annotations of one alert, and the bytes of all of them.
const LABELS_MAX: usize = 256;
const BYTES_MAX: usize = 32 * 1024;
/// Mistakes that are said.
const MISTAKES_MAX: usize = 100;
/// An alert without `endsAt` is over so long after it was sent last.
pub const RESOLVE_AFTER: i64 = 5 * 60_000;
/// An alert that still fires is counted as seen so often.
pub const SEEN_EVERY: i64 = 60 * 60_000;
/// Characters of a task's name, and of one label's value in it.
const NAME_MAX: usize = 200;
const VALUE_MAX: usize = 60;
/// Bytes of the labels as one line.
const LINE_MAX: usize = 400;

const NAME: &str = "alertname";
const INSTANCE: &str = "instance";
const SEVERITY: &str = "severity";

/// A set of labels. Those without a value are none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Labels(BTreeMap<String, String>);

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it is known by.
    pub labels: Labels,
    /// What it says: summary and description.
    pub text: String,
    /// Over then, unless it is sent again.
    pub ends_at: Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAlert {
    #[serde(default)]
    labels: Value,
    #[serde(default)]
    annotations: Value,
    #[serde(default)]
    starts_at: Option<Value>,
    #[serde(default)]
    ends_at: Option<Value>,
}

/// The alerts of a request, and the mistakes in it.
#[derive(Debug, Default)]
pub struct ReadAlerts {
    /// Those without a mistake, with their places in the request.
    pub alerts: Vec<(usize, Alert)>,
    /// In words.
    pub mistakes: Vec<String>,
}

impl ReadAlerts {
    /// Reads the body of a request.
    pub fn of(body: &[u8], now: Timestamp) -> ReadAlerts {
        let mut read = ReadAlerts::default();
        let rows: Vec<Value> = match serde_json::from_slice(body) {
            Ok(rows) => rows,
            Err(error) => {
                read.mistake(format!("expected a JSON array of alerts: {error}"));
                return read;
            }
        };
        if rows.len() > ALERTS_MAX {
            read.mistake(format!("{} alerts in one request: at most {ALERTS_MAX} are taken", rows.len()));
            return read;
        }
        for (i, row) in rows.into_iter().enumerate() {
            let mut mistakes = Vec::new();
            let alert = read_alert(row, now, &mut mistakes);
            match alert.filter(|_| mistakes.is_empty()) {
                Some(alert) => read.alerts.push((i, alert)),
                None => mistakes.into_iter().for_each(|mistake| read.mistake(format!("alert {}: {mistake}", i + 1))),
            }
        }
        read
    }

    /// Says a mistake, if not too many are said.
    pub fn mistake(&mut self, mistake: String) {
        match self.mistakes.len() {
            MISTAKES_MAX => self.mistakes.push("further mistakes are not listed".to_owned()),
            n if n < MISTAKES_MAX => self.mistakes.push(clean::line(mistake)),
            _ => {}
        }
    }
}

fn read_alert(row: Value, now: Timestamp, mistakes: &mut Vec<String>) -> Option<Alert> {
    let raw: RawAlert = match serde_json::from_value(row) {
        Ok(raw) => raw,
        Err(error) => {
            mistakes.push(error.to_string());
            return None;
        }
    };
    let labels = read_texts("label", raw.labels, mistakes);
    let annotations = read_texts("annotation", raw.annotations, mistakes);
    if !labels.contains_key(NAME) {
        mistakes.push("there is no label alertname".to_owned());
    }
    let starts_at = read_time("startsAt", raw.starts_at, mistakes);
    let ends_at = read_time("endsAt", raw.ends_at, mistakes);
    if starts_at.zip(ends_at).is_some_and(|(start, end)| start > end) {
        mistakes.push("startsAt is after endsAt".to_owned());
    }
    let labels = Labels(labels);
    let text = text_of(&labels, &annotations);
    Some(Alert { labels, text, ends_at: ends_at.unwrap_or(now.plus(RESOLVE_AFTER)) })
}

/// Labels or annotations; those without a value are left out.
fn read_texts(what: &str, value: Value, mistakes: &mut Vec<String>) -> BTreeMap<String, String> {
    let fields = match value {
        Value::Object(fields) => fields,
        Value::Null => return BTreeMap::new(),
        _ => {
            mistakes.push(format!("{what}s: expected an object"));
            return BTreeMap::new();
        }
    };
    let n_bytes: usize = fields.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum();
    if fields.len() > LABELS_MAX || n_bytes > BYTES_MAX {
        mistakes
            .push(format!("{} {what}s of {n_bytes} bytes: at most {LABELS_MAX} of {BYTES_MAX} bytes", fields.len()));
        return BTreeMap::new();
    }
    let mut texts = BTreeMap::new();
    for (name, value) in fields {
        if !is_label_name(&name) {
            mistakes.push(format!("{what} {:?}: expected letters, digits and _", short(&name)));
        }
        match value {
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => {
                texts.insert(name, text);
            }
            _ => mistakes.push(format!("{what} {:?}: expected a text", short(&name))),
        }
    }
    texts
}

fn is_label_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(is_letter) && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

fn short(text: &str) -> String {
    text.chars().take(VALUE_MAX).collect()
}

/// RFC 3339. Go's zero time (the year 1) says that there is none.
fn read_time(what: &str, value: Option<Value>, mistakes: &mut Vec<String>) -> Option<Timestamp> {
    let text = match value? {
        Value::Null => return None,
        Value::String(text) if text.is_empty() => return None,
        Value::String(text) => text,
        _ => {
            mistakes.push(format!("{what}: expected a time as a text"));
            return None;
        }
    };
    match DateTime::parse_from_rfc3339(&text) {
        Ok(time) => Some(Timestamp(time.timestamp_millis())).filter(|at| *at >= Timestamp(0)),
        Err(_) => {
            mistakes.push(format!("{what}: {:?} is no time like 2026-11-28T03:00:00Z", short(&text)));
            None
        }
    }
}

/// Summary and description; without them whatever annotations there are, or the labels.
fn text_of(labels: &Labels, annotations: &BTreeMap<String, String>) -> String {
    let named: Vec<&str> = ["summary", "description", "message"]
        .iter()
        .filter_map(|name| annotations.get(*name))
        .map(String::as_str)
        .collect();
    let words = if named.is_empty() { annotations.values().map(String::as_str).collect() } else { named };
    let words: Vec<&str> = words.into_iter().map(str::trim).filter(|words| !words.is_empty()).collect();
    let text = if words.is_empty() { labels.line() } else { words.join("\n") };
    Redactor::default().redact(&clean::log_text(&text), &Before::Nothing)
}

impl Labels {
    /// A label's value; empty if it has none.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The alert's name.
    pub fn name(&self) -> &str {
        self.get(NAME)
    }

    /// A message, not an error.
    pub fn is_message(&self) -> bool {
        self.get(SEVERITY) == "info"
    }

    /// `instance` without its port.
    pub fn host(&self) -> &str {
        let instance = self.get(INSTANCE);
        if let Some((host, _)) = instance.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            return host;
        }
        match instance.rsplit_once(':') {
            // More colons are an IPv6 address without brackets.
            Some((host, port)) if !host.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => instance,
        }
    }

    /// What the store knows the set by: a hash, the same in every build.
    pub fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for (name, value) in &self.0 {
            for text in [name, value] {
                hash.update((text.len() as u64).to_be_bytes());
                hash.update(text);
            }
        }
        hash.finalize().iter().take(16).fold(String::new(), |mut text, byte| {
            // Writing into a text does not fail.
            let _written = write!(text, "{byte:02x}");
            text
        })
    }

    /// As one line, as Prometheus writes it, without secrets: where a log file has its path.
    pub fn line(&self) -> String {
        let labels = self.0.iter().filter(|(name, _)| *name != NAME);
        let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value:?}")).collect();
        let line = format!("{}{{{}}}", self.name(), labels.join(", "));
        let mut line = Redactor::default().redact_line(&clean::line(line));
        line.truncate(line.floor_char_boundary(LINE_MAX));
        line
    }

    /// The task that it is: the alert's name, with the labels by which it differs from others of that name on the same device.
    pub fn task(&self, others: &[Labels]) -> Option<TaskName> {
        let differs = |name: &str| others.iter().any(|other| other != self && other.get(name) != self.get(name));
        let mut text = self.name().to_owned();
        for (name, value) in self.0.iter().filter(|(name, _)| *name != NAME && differs(name)) {
            text += &format!(" {name}={}", short(value));
        }
        if text.chars().count() > NAME_MAX {
            let start: String = text.chars().take(NAME_MAX - 9).collect();
            text = format!("{start} {}", self.hash().get(..8).unwrap_or_default());
        }
        let name = TaskName::try_from(escape(clean::line(text).trim().as_bytes())).ok()?;
        Some(Redactor::default().redact_task(name))
    }

    /// For the store.
    pub fn to_json(&self) -> String {
        serde_json::json!(self.0).to_string()
    }

    /// From the store.
    pub fn from_json(text: &str) -> Result<Labels, serde_json::Error> {
        serde_json::from_str(text).map(Labels)
    }
}

/// What is stored of an alert while it fires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// Of its text.
    pub text: String,
    /// When it was last counted as seen.
    pub seen_at: Timestamp,
}

/// What an alert means that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertSign {
    /// It begins, or says something else: an error or a message.
    Text,
    /// It fires still, and that is worth a count.
    Seen,
    /// It fires still.
    Nothing,
    /// It is over.
    Over,
    /// It is over, and nobody knew of it.
    Unknown,
}

/// Decides what an alert means. `before`: as it was stored, if it fires; `text`: the hash of what it says.
pub fn sign(alert: &Alert, text: &str, before: Option<&Firing>, now: Timestamp) -> AlertSign {
    match before {
        _ if alert.ends_at <= now => before.map_or(AlertSign::Unknown, |_| AlertSign::Over),
        None => AlertSign::Text,
        // A message was read when it came; that it still holds is no news.
        Some(_) if alert.labels.is_message() => AlertSign::Nothing,
        Some(before) if before.text != text => AlertSign::Text,
        Some(before) if now.since(before.seen_at) >= SEEN_EVERY => AlertSign::Seen,
        Some(_) => AlertSign::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn read(body: &Value) -> ReadAlerts {
        ReadAlerts::of(body.to_string().as_bytes(), NOW)
    }

    #[test]
    fn an_alert_is_read_as_prometheus_sends_it() {
        let read = read(&json!([{
            "labels": { "alertname": "DiskFull", "instance": "web1:9100", "severity": "critical", "empty": "" },
            "annotations": { "summary": "disk full", "description": "91 % of /\u{1b}[31m, password=hunter2hunter2", "runbook": "x" },
            "startsAt": "2027-01-15T07:00:00.123Z", "endsAt": "2027-01-15T09:00:00Z", "generatorURL": "http://prometheus/graph"
        }, { "labels": { "alertname": "A" }, "startsAt": "0001-01-01T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z" }]));
        assert_eq!(read.mistakes, Vec::<String>::new());
        let [(0, first), (1, second)] = read.alerts.as_slice() else { panic!("{read:?}") };
        assert_eq!(first.text, "disk full\n91 % of /, password=***");
        assert_eq!(first.ends_at, Timestamp(1_800_003_600_000));
        assert_eq!(first.labels.line(), "DiskFull{instance=\"web1:9100\", severity=\"critical\"}");
        assert_eq!((second.text.as_str(), second.ends_at), ("A{}", NOW.plus(RESOLVE_AFTER)));
    }

    #[test]
    fn every_mistake_is_said_and_the_alerts_without_one_count() {
        let many: Value = (0..300).map(|n| (format!("l{n}"), json!("x"))).collect::<serde_json::Map<_, _>>().into();
        let body = json!([
            { "labels": {} },
            { "labels": { "alertname": "A", "1x": "y", "n": 7 }, "startsAt": "yesterday" },
            { "labels": { "alertname": "A" }, "startsAt": "2027-01-15T09:00:00Z", "endsAt": "2027-01-15T08:00:00Z" },
            { "labels": many },
            "nothing",
            { "labels": { "alertname": "Good" } },
        ]);
        let read = read(&body);
        assert_eq!(read.alerts.iter().map(|(i, alert)| (*i, alert.labels.name())).collect::<Vec<_>>(), [(5, "Good")]);
        for mistake in [
            "alert 1: there is no label alertname",
            "alert 2: label \"1x\": expected letters, digits and _",
            "alert 2: label \"n\": expected a text",
            "alert 2: startsAt: \"yesterday\" is no time like 2026-11-28T03:00:00Z",
            "alert 3: startsAt is after endsAt",
            "alert 4: 300 labels of",
            "alert 5: invalid type",
        ] {
            assert!(read.mistakes.iter().any(|said| said.starts_with(mistake)), "{mistake}: {:?}", read.mistakes);
        }
        for body in ["", "{}", "[", "null"] {
            assert_eq!(ReadAlerts::of(body.as_bytes(), NOW).mistakes.len(), 1, "{body}");
        }
        let flood: Value = (0..1_001).map(|_| json!({ "labels": { "alertname": "A" } })).collect();
        assert_eq!(super::tests::read(&flood).mistakes, ["1001 alerts in one request: at most 1000 are taken"]);
        let bad: Value = (0..500).map(|_| json!({})).collect();
        assert_eq!(super::tests::read(&bad).mistakes.len(), 101);
    }

    #[test]
    fn the_device_is_the_instance_without_its_port() {
        for (instance, host) in [
            ("web1:9100", "web1"),
            ("web1", "web1"),
            ("10.0.0.5:9100", "10.0.0.5"),
            ("[fe80::1]:9100", "fe80::1"),
            ("fe80::1", "fe80::1"),
            ("https://example.com/x", "https://example.com/x"),
            ("", ""),
        ] {
            assert_eq!(labels(&[("instance", instance)]).host(), host, "{instance}");
        }
    }

    #[test]
    fn a_task_is_named_by_what_tells_it_from_the_others_of_its_name() {
        let of = |mount: &str| labels(&[("alertname", "DiskFull"), ("instance", "web1:9100"), ("mountpoint", mount)]);
        let name = |one: &Labels, others: &[Labels]| one.task(others).unwrap().to_string();
        assert_eq!(name(&of("/"), &[]), "DiskFull");
        assert_eq!(name(&of("/"), &[of("/")]), "DiskFull");
        assert_eq!(name(&of("/"), &[of("/"), of("/home")]), "DiskFull mountpoint=/");
        let more =
            labels(&[("alertname", "DiskFull"), ("instance", "web1:9100"), ("mountpoint", "/"), ("device", "sda1")]);
        assert_eq!(name(&more, &[of("/")]), "DiskFull device=sda1");
        let long = labels(&[("alertname", &"x".repeat(5_000))]);
        assert!(name(&long, &[]).chars().count() <= NAME_MAX);
        assert_ne!(name(&long, &[]), name(&labels(&[("alertname", &"x".repeat(5_001))]), &[]));
        assert!(labels(&[("alertname", " ")]).task(&[]).is_none());
    }

    #[test]
    fn an_alert_that_is_sent_again_is_no_news() {
        let alert = |ends: i64, severity: &str| Alert {
            labels: labels(&[("alertname", "A"), ("severity", severity)]),
            text: "x".to_owned(),
            ends_at: NOW.plus(ends),
        };
        let before = |text: &str, ago: i64| Firing { text: text.to_owned(), seen_at: NOW.plus(-ago) };
        for (alert, text, before, expected) in [
            (alert(60_000, ""), "x", None, AlertSign::Text),
            (alert(60_000, ""), "x", Some(before("x", 60_000)), AlertSign::Nothing),
            (alert(60_000, ""), "y", Some(before("x", 60_000)), AlertSign::Text),
            (alert(60_000, ""), "x", Some(before("x", SEEN_EVERY)), AlertSign::Seen),
            (alert(60_000, "info"), "y", Some(before("x", SEEN_EVERY)), AlertSign::Nothing),
            (alert(0, ""), "x", Some(before("x", 0)), AlertSign::Over),
            (alert(-1_800_000_000_000, ""), "x", Some(before("x", 0)), AlertSign::Over),
            (alert(0, ""), "x", None, AlertSign::Unknown),
        ] {
            assert_eq!(sign(&alert, text, before.as_ref(), NOW), expected, "{alert:?} {before:?}");
        }
    }
}

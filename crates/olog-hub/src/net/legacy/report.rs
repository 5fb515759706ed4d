//! What an old client answers to `report now`: `{task: {"state": "ok"|"err", "logdate": "YYYY-MM-DD HH:MM:SS", "detail": text}}`.
//!
//! Reads it with bounds and turns what is new in it into events. Pure.
//!
//! An `ok` becomes a run that left its `.log` at `logdate`; an `err` becomes a `.scanerr`: an error that counts for the task's state
//! and the daily report, and that the hub does not push, because the old client pushes its own. The old client tells only when a
//! file was last written. So the same `logdate` again is nothing new, and an event has no path.
//!
//! `logdate` is local time without a zone; it is read in the hub's time zone. A time in the future is now.

use std::{borrow::Cow, collections::HashMap, fmt};

use chrono::{NaiveDateTime, TimeZone as _};
use chrono_tz::Tz;
use olog_proto::{
    BootId, DeviceTime, Event, EventContent, Excerpt, File, Growth, LogKind, TaskName, Timestamp, clean,
    fingerprint::fingerprints,
    name::escape,
    redact::{Before, Redactor},
};
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// ReportVisitor of one device; further ones are counted and left out.
pub(in crate::net) const TASKS_MAX: usize = 2_000;
/// Characters of a detail that are looked at. (The original sends about a hundred.)
const DETAIL_MAX: usize = 1_050;

/// One task of a report.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::net) struct ReportedTask {
    task: TaskName,
    is_ok: bool,
    at: Timestamp,
    detail: String,
}

/// A report.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::net) struct TaskReport {
    /// Its tasks, at most [`TASKS_MAX`].
    pub(in crate::net) tasks: Vec<ReportedTask>,
    /// ReportVisitor over that bound.
    pub(super) n_left_out: usize,
    /// ReportVisitor that cannot be read.
    pub(super) n_malformed: usize,
}

/// When a task was last known to be well, and when it last erred: what is not later is not new.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::net) struct KnownTimes {
    /// Last good.
    pub(super) good_at: Option<Timestamp>,
    /// Last error.
    pub(super) error_at: Option<Timestamp>,
}

/// Reads a report.
pub(in crate::net) fn parse(text: &str, zone: Tz, now: Timestamp) -> Result<TaskReport, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let report = reader.deserialize_map(ReportVisitor { zone, now })?;
    reader.end()?;
    Ok(report)
}

struct ReportVisitor {
    zone: Tz,
    now: Timestamp,
}

impl<'de> Visitor<'de> for ReportVisitor {
    type Value = TaskReport;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tasks")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TaskReport, A::Error> {
        let mut report = TaskReport::default();
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if report.tasks.len() >= TASKS_MAX {
                report.n_left_out += 1;
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            match reported_task(&name, &map.next_value()?, self.zone, self.now) {
                Some(reported_task) => report.tasks.push(reported_task),
                None => report.n_malformed += 1,
            }
        }
        Ok(report)
    }
}

fn reported_task(name: &str, value: &Value, zone: Tz, now: Timestamp) -> Option<ReportedTask> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let task = TaskName::try_from(escape(name.as_bytes())).ok()?;
    let is_ok = match text("state")? {
        "ok" => true,
        "err" => false,
        _ => return None,
    };
    let detail = text("detail").unwrap_or_default();
    let detail = detail.char_indices().nth(DETAIL_MAX).map_or(detail, |(end, _)| detail.get(..end).unwrap_or_default());
    Some(ReportedTask { task, is_ok, at: instant(text("logdate")?, zone)?.min(now), detail: detail.to_owned() })
}

fn instant(logdate: &str, zone: Tz) -> Option<Timestamp> {
    let local = NaiveDateTime::parse_from_str(logdate.trim(), "%Y-%m-%d %H:%M:%S%.f").ok()?;
    // In the hour that comes twice, the first; a time that a change of the clock leaves out is read as if in UTC.
    let at = zone
        .from_local_datetime(&local)
        .earliest()
        .map_or(local.and_utc().timestamp_millis(), |at| at.timestamp_millis());
    Some(Timestamp(at))
}

impl TaskReport {
    /// The events of what is new, numbered from `next`. `known` is brought up to date, and holds at most [`TASKS_MAX`] tasks: those
    /// over that bound are counted.
    pub(in crate::net) fn events(
        &mut self,
        known: &mut HashMap<TaskName, KnownTimes>,
        next: u64,
        boot: BootId,
    ) -> Vec<Event> {
        let redactor = Redactor::default();
        let mut events = Vec::new();
        for reported in std::mem::take(&mut self.tasks) {
            if known.len() >= TASKS_MAX && !known.contains_key(&reported.task) {
                self.n_left_out += 1;
                continue;
            }
            let known = known.entry(reported.task.clone()).or_default();
            let last = if reported.is_ok { &mut known.good_at } else { &mut known.error_at };
            if last.is_some_and(|last| reported.at <= last) {
                continue;
            }
            *last = Some(reported.at);
            let n = next + events.len() as u64;
            events.push(Event {
                n,
                at: DeviceTime(reported.at),
                boot,
                up: 0,
                what: reported.what(&redactor),
                by: None,
                pushed: None,
            });
        }
        events
    }
}

impl ReportedTask {
    fn what(self, redactor: &Redactor) -> EventContent {
        let text = redactor.redact(&clean::log_text(&self.detail), &Before::Nothing);
        let text = text.trim();
        let (suffix, fingerprints) =
            if self.is_ok { (LogKind::Log, Vec::new()) } else { (LogKind::Scanerr, fingerprints(text)) };
        let file = File {
            task: self.task,
            suffix,
            path: String::new(),
            // When its run began is not known: a log that grows all day is written last just now, too.
            change: if self.is_ok { Growth::Grown } else { Growth::Rewritten },
            began_at: self.is_ok.then_some(DeviceTime(self.at)),
            closed: true,
            sibling_err: false,
            history: false,
            fingerprints,
        };
        EventContent::Text { file, excerpt: Excerpt::of(text) }
    }
}

#[cfg(test)]
mod tests {
    use olog_proto::event::Id128;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000); // 2027-01-15 16:00:00 in Shanghai

    fn parse(value: &Value) -> TaskReport {
        super::parse(&value.to_string(), chrono_tz::Asia::Shanghai, NOW).unwrap()
    }

    fn events(value: &Value, known: &mut HashMap<TaskName, KnownTimes>) -> Vec<Event> {
        parse(value).events(known, 1, Id128([1; 16]))
    }

    fn one(state: &str, logdate: &str, detail: &str) -> Value {
        json!({ "rsync": { "state": state, "logdate": logdate, "detail": detail } })
    }

    #[test]
    fn an_ok_is_a_run_and_an_err_is_an_error_for_the_report_only() {
        let mut known = HashMap::new();
        let good = events(&one("ok", "2027-01-15 03:30:00", "done"), &mut known).remove(0);
        assert_eq!((good.n, good.at), (1, DeviceTime(Timestamp(1_799_955_000_000))));
        let EventContent::Text { file, excerpt } = good.what else { panic!("not a text") };
        assert_eq!((file.suffix, file.began_at, excerpt.head()), (LogKind::Log, Some(good.at), "done"));
        let bad = events(&one("err", "2027-01-15 04:00:00", "no space left"), &mut known).remove(0);
        let EventContent::Text { file, .. } = bad.what else { panic!("not a text") };
        assert_eq!((file.suffix, file.fingerprints.len()), (LogKind::Scanerr, 1));
    }

    #[test]
    fn the_same_again_is_nothing_new_and_a_later_time_is() {
        let mut known = HashMap::new();
        let n = |report: &Value, known: &mut _| events(report, known).len();
        assert_eq!(n(&one("err", "2027-01-15 03:30:00", "x"), &mut known), 1);
        assert_eq!(n(&one("err", "2027-01-15 03:30:00", "x"), &mut known), 0);
        assert_eq!(n(&one("ok", "2027-01-15 03:30:00", "x"), &mut known), 1);
        assert_eq!(n(&one("err", "2027-01-15 03:31:00", "x"), &mut known), 1);
        assert_eq!(n(&one("ok", "2027-01-15 03:29:00", "x"), &mut known), 0, "older than what is known");
    }

    #[test]
    fn a_time_in_the_future_is_now() {
        let event = events(&one("ok", "2031-01-15 03:30:00", ""), &mut HashMap::new()).remove(0);
        assert_eq!(event.at, DeviceTime(NOW));
    }

    #[test]
    fn secrets_escapes_and_long_texts_do_not_get_through() {
        let detail = format!("\u{1b}[31mpassword=hunter2pass\u{202e} {}", "错".repeat(5_000));
        let event = events(&one("err", "2027-01-15 03:30:00", &detail), &mut HashMap::new()).remove(0);
        let EventContent::Text { file, excerpt } = &event.what else { panic!("not a text") };
        assert!(!event.what.kind().is_empty() && event.is_bounded() && file.path.is_empty());
        assert!(
            excerpt.head().starts_with("password=***") && !excerpt.head().contains('\u{202e}'),
            "{}",
            excerpt.head()
        );
        assert!(excerpt.head().chars().count() <= DETAIL_MAX && excerpt.tail().is_empty());
    }

    #[test]
    fn a_task_that_cannot_be_read_leaves_the_others() {
        let report = parse(&json!({
            "a": { "state": "ok", "logdate": "2027-01-15 03:30:00", "detail": "" },
            "b": { "state": "fine", "logdate": "2027-01-15 03:30:00", "detail": "" },
            "c": { "state": "ok", "logdate": "yesterday" }, "d": 7, "e": [], "": { "state": "ok" },
            "f": { "state": "ok", "logdate": "2027-01-15 03:30:00" },
        }));
        let names: Vec<_> = report.tasks.iter().map(|reported_task| reported_task.task.as_str()).collect();
        assert_eq!((names, report.n_malformed), (vec!["a", "f"], 5));
    }

    #[test]
    fn a_report_of_a_hundred_thousand_tasks_is_cut_and_counted() {
        let tasks: serde_json::Map<_, _> = (0..100_000)
            .map(|n| (format!("t{n}"), json!({ "state": "ok", "logdate": "2027-01-15 03:30:00", "detail": "" })))
            .collect();
        let mut report = parse(&Value::Object(tasks));
        assert_eq!((report.tasks.len(), report.n_left_out), (TASKS_MAX, 98_000));
        // And under other names each time: the device has no more tasks than that.
        let mut known = HashMap::new();
        report.events(&mut known, 1, Id128([1; 16]));
        let mut others = parse(&json!({ "another": { "state": "ok", "logdate": "2027-01-15 03:30:00" } }));
        assert!(others.events(&mut known, 1, Id128([1; 16])).is_empty());
        assert_eq!((known.len(), others.n_left_out), (TASKS_MAX, 1));
    }

    #[test]
    fn what_is_no_report_is_refused_without_a_panic() {
        let bomb = format!("{}{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
        let arrays = format!("{{\"a\": {}", "[".repeat(1_000_000));
        for text in ["", "[]", "7", "{", r#"{"a"}"#, "{} {}", &bomb, &arrays] {
            assert!(super::parse(text, Tz::UTC, NOW).is_err());
        }
    }
}

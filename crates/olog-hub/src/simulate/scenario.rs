//! Parser for scenario files (JSON Lines), and the actions that they describe.
//!
//! A line is one object with a few short keys (`docs/operations.md` lists them). Its keys say what it is: a file that is written, a
//! run, a device that goes or comes, a service that fails, a person. The first line may be the head: what the scenario is about, when
//! it begins, and its configuration. All mistakes are reported at once, each with file and line; sizes and numbers are
//! bounded before anything is allocated. Reads no clock and plays nothing.

mod typed;

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _};
use chrono_tz::Tz;
use olog_daemon::config::parse_span;
use olog_proto::{DeviceName, Event, EventContent, LogKind, TaskName, Timestamp};
use serde_json::{Map, Value};

use typed::{Many, Typed, TypedHead};

/// Bytes of a file.
pub(super) const FILE_MAX: u64 = 16 * 1024 * 1024;
const LINES_MAX: usize = 100_000;
const DEVICES_MAX: usize = 2_000;
/// What happens, each repetition and each device counted.
const HAPPENINGS_MAX: u64 = 200_000;
const SPAN_MAX: i64 = 400 * DAY;
/// Mistakes that are told at once.
const MISTAKES_MAX: usize = 20;
/// Without an end of its own a scenario goes on for this long after its last line.
const GOES_ON: i64 = 3_600_000;
const DAY: i64 = 86_400_000;

/// A file that was read: its head, and lines that are not yet understood.
#[derive(Debug)]
pub(super) struct ScenarioFile {
    /// What people call it: the file's name.
    pub(super) name: String,
    head: TypedHead,
    lines: Vec<(usize, Map<String, Value>)>,
}

/// What is to happen, in the order of its first instants.
#[derive(Debug)]
pub(super) struct Scenario {
    /// The first instant.
    pub(super) start: Timestamp,
    /// What happens before is how it was: nobody is told.
    pub(super) tell_from: Timestamp,
    /// The last instant.
    pub(super) end: Timestamp,
    /// Every device that is spoken of.
    pub(super) devices: Vec<SimDevice>,
    /// What happens.
    pub(super) acts: Vec<TimedAction>,
}

/// A device that is there from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SimDevice {
    /// Its name.
    pub(super) name: DeviceName,
    /// How to reach it by ssh.
    pub(super) address: Option<String>,
    /// The address that the hub sees it come from.
    pub(super) behind: Option<std::net::IpAddr>,
}

/// One line.
#[derive(Debug, Clone)]
pub(super) struct TimedAction {
    /// When it happens first.
    pub(super) at: Timestamp,
    /// Again and again: after so many ms, so often in all.
    pub(super) every: Option<(i64, u64)>,
    /// To whom, if it is about devices.
    pub(super) devices: Vec<String>,
    /// What.
    pub(super) deed: Action,
}

/// What happens.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// A file is written.
    Log(Log),
    /// A run by `exec`.
    Run {
        /// Its task.
        task: TaskName,
        /// How it ends; `None`: it starts.
        end: Option<RunEnd>,
    },
    /// An event as it is on the wire.
    Wire(Box<EventContent>),
    /// Nothing is heard from it any more. `says_bye`: it said so.
    Away {
        /// It said that it goes.
        says_bye: bool,
    },
    /// It is here again, and brings what happened meanwhile.
    Back {
        /// Under another boot.
        rebooted: bool,
    },
    /// A channel's service, or all of them, answers like this from now on.
    Service {
        /// Which; `None`: all.
        channel: Option<String>,
        /// How.
        state: ServiceState,
    },
    /// A person does something.
    Person(Person),
}

/// A file and what is written into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Log {
    /// Its path.
    pub(super) path: String,
    /// Whose file it is.
    pub(super) task: TaskName,
    /// What its suffix is.
    pub(super) suffix: LogKind,
    /// What happens to it.
    pub(super) change: LogChange,
    /// How long the run took that wrote it, in ms.
    pub(super) took: i64,
    /// Its writer keeps it open.
    pub(super) is_open: bool,
}

/// What happens to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogChange {
    /// This is new in it.
    Text(String),
    /// It goes on, with this.
    Grows(String),
    /// The same is written once more, so often.
    Same(u32),
    /// It is emptied.
    Emptied,
    /// It is deleted.
    Deleted,
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunEnd {
    /// Its code, if it exits.
    pub(super) exit: Option<i32>,
    /// The signal that ends it.
    pub(super) signal: Option<i32>,
    /// How long it took, in ms.
    pub(super) took: i64,
    /// The end of what it wrote.
    pub(super) text: String,
}

/// How a service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ServiceState {
    /// It accepts.
    Well,
    /// It cannot be reached, or not now.
    Down(String),
    /// It refuses: for the credential, the receiver, the form, or something else.
    Refuses(olog_push::Refusal, String),
}

/// What a person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Person {
    /// Acknowledges an incident.
    Ack(IncidentRef),
    /// Closes one.
    Close(IncidentRef),
    /// Lets a channel try again.
    Rearm(String),
}

/// Which incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IncidentRef {
    /// By its number.
    Number(u64),
    /// The open one of this task, or of the device itself.
    Of(String, Option<String>),
}

/// Lines that are not understood: each with its file and number, all of them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Mistakes(pub Vec<String>);

impl ScenarioFile {
    /// Reads JSON lines; empty ones and those that begin with `#` or `//` are passed over.
    pub(super) fn read(name: &str, text: &str) -> Result<ScenarioFile, Mistakes> {
        let mut script = ScenarioFile { name: name.to_owned(), head: TypedHead::default(), lines: Vec::new() };
        let mut mistakes = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') || line.starts_with("//") {
                continue;
            }
            if i >= LINES_MAX {
                mistakes.push(format!("{name}:{}: too many lines: expected at most {LINES_MAX}", i + 1));
                break;
            }
            match typed::object(line) {
                Ok(object) if typed::is_head(&object) && script.lines.is_empty() => {
                    match typed::parse::<TypedHead>(object, typed::HEAD) {
                        Ok(head) => script.head = head,
                        Err(why) => mistakes.push(format!("{name}:{}: {why}", i + 1)),
                    }
                }
                Ok(object) => script.lines.push((i + 1, object)),
                Err(why) => mistakes.push(format!("{name}:{}: {why}", i + 1)),
            }
        }
        if script.lines.is_empty() && mistakes.is_empty() {
            mistakes.push(format!("{name}: nothing happens in it: expected lines like {}", typed::EXAMPLE));
        }
        script.or(mistakes)
    }

    /// The configuration that it brings, as TOML.
    pub(super) fn config(&self) -> Result<Option<String>, Mistakes> {
        let toml = self.head.config.as_ref().map(toml::to_string).transpose();
        toml.map_err(|e| Mistakes(vec![format!("{}: config: expected what hub.toml may hold: {e}", self.name)]))
    }

    /// What it is about, in that language.
    pub(super) fn about(&self, language: &str) -> Option<&str> {
        let about = &self.head.about;
        about.get(language).or_else(|| about.get("en")).or_else(|| about.values().next()).map(String::as_str)
    }

    /// Understands every line; times are of that zone. `today`: when it begins, unless it says so itself.
    pub(super) fn in_zone(&self, zone: Tz, today: Timestamp) -> Result<Scenario, Mistakes> {
        let mut mistakes = Vec::new();
        let mut reader = Reader::new(zone, today);
        if let Err(why) = reader.head(&self.head) {
            mistakes.push(format!("{}:1: {why}", self.name));
        }
        for (number, object) in &self.lines {
            let line = typed::parse::<Typed>(object.clone(), typed::LINE).and_then(|typed| reader.line(typed));
            if let Err(why) = line {
                mistakes.push(format!("{}:{number}: {why}", self.name));
                if mistakes.len() >= MISTAKES_MAX {
                    break;
                }
            }
        }
        let scenario = reader.scenario();
        if mistakes.is_empty() { Ok(scenario) } else { Err(Mistakes(mistakes)) }
    }

    fn or(self, mut mistakes: Vec<String>) -> Result<ScenarioFile, Mistakes> {
        mistakes.truncate(MISTAKES_MAX);
        if mistakes.is_empty() { Ok(self) } else { Err(Mistakes(mistakes)) }
    }
}

struct Reader {
    zone: Tz,
    start: Timestamp,
    tell_from: Timestamp,
    /// The line before.
    last: Timestamp,
    end: Option<Timestamp>,
    devices: BTreeMap<String, SimDevice>,
    acts: Vec<TimedAction>,
    n_happenings: u64,
}

impl Reader {
    fn new(zone: Tz, today: Timestamp) -> Reader {
        let start = local(today, zone).date().and_time(NaiveTime::MIN);
        let start = instant(start, zone);
        Reader {
            zone,
            start,
            tell_from: start,
            last: start,
            end: None,
            devices: BTreeMap::new(),
            acts: Vec::new(),
            n_happenings: 0,
        }
    }

    fn head(&mut self, head: &TypedHead) -> Result<(), String> {
        if let Some(start) = &head.start {
            self.start = day_or_time(start, self.zone)
                .ok_or_else(|| format!("start: expected a day like \"2026-11-22\", found {start:?}"))?;
            (self.last, self.tell_from) = (self.start, self.start);
        }
        if let Some(tell_from) = &head.tell_from {
            self.tell_from = self.time(&Value::String(tell_from.clone())).map_err(|why| format!("tell_from: {why}"))?;
        }
        for typed in &head.devices {
            for name in self.names(&typed.name)? {
                let name: DeviceName = name.parse().map_err(|e| format!("devices: {e}"))?;
                let device = SimDevice { name, address: typed.address.clone(), behind: typed.behind };
                self.devices.insert(device.name.to_string(), device);
            }
        }
        Ok(())
    }

    fn line(&mut self, typed: Typed) -> Result<(), String> {
        let at = match (&typed.at, typed.event.as_ref().and_then(|event| event.get("at"))) {
            (Some(at), _) | (None, Some(at)) => self.time(at).map_err(|why| format!("at: {why}"))?,
            (None, None) => return Err("at is missing: expected a time like \"03:11:04\" or \"+5m\"".to_owned()),
        };
        if at < self.last {
            return Err("at: it is before the line above: lines stand in the order of time".to_owned());
        }
        if at.since(self.start) > SPAN_MAX {
            return Err(format!("at: expected at most {} days after the start", SPAN_MAX / DAY));
        }
        self.last = at;
        if typed.end == Some(true) {
            self.end = Some(at);
            return Ok(());
        }
        let devices = self.named(&typed)?;
        let every = self.every(&typed, at)?;
        let n = every.map_or(1, |(_, times)| times).saturating_mul(devices.len().max(1) as u64);
        let n_happenings = self.n_happenings.saturating_add(n);
        if n_happenings > HAPPENINGS_MAX {
            return Err(format!("with this, more happens than is played: expected at most {HAPPENINGS_MAX} in all"));
        }
        self.n_happenings = n_happenings;
        let deed = deed(&typed, &devices)?;
        self.acts.push(TimedAction { at, every, devices, deed });
        Ok(())
    }

    /// The devices that a line speaks of; they are there from the start.
    fn named(&mut self, typed: &Typed) -> Result<Vec<String>, String> {
        let Some(device) = &typed.device else { return Ok(Vec::new()) };
        let names = self.names(device)?;
        for name in &names {
            if !self.devices.contains_key(name) {
                let name: DeviceName = name.parse().map_err(|e| format!("device: {e}"))?;
                self.devices.insert(name.to_string(), SimDevice { name, address: None, behind: None });
            }
        }
        Ok(names)
    }

    fn names(&self, names: &Many) -> Result<Vec<String>, String> {
        let mut all = Vec::new();
        for name in names.each() {
            all.extend(typed::unfold(name, DEVICES_MAX)?);
        }
        match all.len() + self.devices.len() {
            n if n > 2 * DEVICES_MAX => Err(format!("expected at most {DEVICES_MAX} devices")),
            _ if all.is_empty() => Err("device: expected a name".to_owned()),
            _ => Ok(all),
        }
    }

    fn every(&self, typed: &Typed, at: Timestamp) -> Result<Option<(i64, u64)>, String> {
        let Some(every) = &typed.every else {
            return match (&typed.times, &typed.until) {
                (None, None) => Ok(None),
                _ => Err("every is missing: how long after each other".to_owned()),
            };
        };
        let span = span(every).map_err(|why| format!("every: {why}"))?;
        let times = match (typed.times, &typed.until) {
            (Some(times), None) => times,
            (None, Some(until)) => {
                let until = self.time(&Value::String(until.clone())).map_err(|why| format!("until: {why}"))?;
                u64::try_from(until.since(at) / span).unwrap_or(0) + 1
            }
            _ => return Err("every: expected times or until beside it".to_owned()),
        };
        if span.saturating_mul(i64::try_from(times).unwrap_or(i64::MAX)) > SPAN_MAX {
            return Err(format!("every: expected an end within {} days", SPAN_MAX / DAY));
        }
        Ok(Some((span, times.max(1))))
    }

    fn time(&self, value: &Value) -> Result<Timestamp, String> {
        const EXPECTED: &str = "expected a time like \"03:11:04\", \"day 2 03:11\", \"2026-11-22 03:11\", \"+5m\", or milliseconds since 1970";
        let wrong = || format!("{EXPECTED}, found {value}");
        let text = match value {
            Value::Number(n) => return n.as_i64().map(Timestamp).ok_or_else(wrong),
            Value::String(text) => text.trim(),
            _ => return Err(wrong()),
        };
        if let Some(after) = text.strip_prefix('+') {
            return span(after).map(|span| self.last.plus(span));
        }
        if let Some(at) = day_or_time(text, self.zone) {
            return Ok(at);
        }
        if let Some((day, time)) = text.strip_prefix("day ").and_then(|rest| rest.trim().split_once(' ')) {
            let day: u32 = day.parse().ok().filter(|day| (1..=400).contains(day)).ok_or_else(wrong)?;
            let date = local(self.start, self.zone).date() + chrono::Days::new(u64::from(day - 1));
            return Ok(instant(date.and_time(time_of_day(time).ok_or_else(wrong)?), self.zone));
        }
        let time = time_of_day(text).ok_or_else(wrong)?;
        let date = local(self.last, self.zone).date();
        let today = instant(date.and_time(time), self.zone);
        // A time that is over for today is tomorrow's.
        Ok(if today >= self.last { today } else { instant((date + chrono::Days::new(1)).and_time(time), self.zone) })
    }

    fn scenario(self) -> Scenario {
        let end = self.end.unwrap_or_else(|| {
            let lasts = |act: &TimedAction| {
                act.at.plus(act.every.map_or(0, |(span, times)| span * (i64::try_from(times).unwrap_or(1) - 1)))
            };
            self.acts.iter().map(lasts).max().unwrap_or(self.start).plus(GOES_ON)
        });
        let devices = self.devices.into_values().collect();
        Scenario { start: self.start, tell_from: self.tell_from, end, devices, acts: self.acts }
    }
}

/// What a line is, by the keys that it has.
fn deed(typed: &Typed, devices: &[String]) -> Result<Action, String> {
    let of_device = || if devices.is_empty() { Err("device is missing".to_owned()) } else { Ok(()) };
    let took = || typed.took.as_deref().map_or(Ok(0), |took| span(took).map_err(|why| format!("took: {why}")));
    let text = || typed.text.clone().unwrap_or_default();
    if let Some(event) = &typed.event {
        of_device()?;
        let what = serde_json::from_value::<Event>(event.clone()).map(|event| event.what);
        let what = what.or_else(|_| serde_json::from_value::<EventContent>(event.clone()));
        let what =
            what.map_err(|e| format!("event: expected an event as it is on the wire (protocol.md in the book): {e}"))?;
        return Ok(Action::Wire(Box::new(what)));
    }
    if let Some(file) = &typed.file {
        of_device()?;
        let name = file.rsplit('/').next().unwrap_or(file);
        let (task, suffix) = TaskName::of_file(name.as_bytes()).ok_or_else(|| {
            format!("file: expected a name that ends in .log, .err, .msg or .scanerr, found {file:?}")
        })?;
        let change = match (typed.deleted, typed.seen, &typed.text) {
            (Some(true), ..) => LogChange::Deleted,
            (_, Some(times), _) => LogChange::Same(times.max(1)),
            (.., Some(text)) if text.trim().is_empty() => LogChange::Emptied,
            (.., Some(text)) if typed.grows == Some(true) => LogChange::Grows(text.clone()),
            (.., Some(text)) => LogChange::Text(text.clone()),
            (_, None, None) => return Err("text is missing: what is written (\"\": the file is emptied)".to_owned()),
        };
        let path = if file.contains('/') { file.clone() } else { format!("/ologs/{file}") };
        let is_open = typed.open == Some(true);
        return Ok(Action::Log(Log { path, task, suffix, change, took: took()?, is_open }));
    }
    if let Some(run) = &typed.run {
        of_device()?;
        let task: TaskName = run.parse().map_err(|e| format!("run: {e}"))?;
        let end = match (typed.is.as_deref(), typed.exit, typed.signal) {
            (Some("started"), None, None) => None,
            (None, exit, signal) if exit.is_some() || signal.is_some() => {
                Some(RunEnd { exit, signal, took: took()?, text: text() })
            }
            _ => return Err("run: expected \"is\": \"started\", or exit or signal: how it ended".to_owned()),
        };
        return Ok(Action::Run { task, end });
    }
    if let Some(person) = &typed.person {
        return person_of(person, typed, devices).map(Action::Person);
    }
    match (typed.is.as_deref(), devices.is_empty()) {
        (Some("away"), false) => Ok(Action::Away { says_bye: false }),
        (Some("bye"), false) => Ok(Action::Away { says_bye: true }),
        (Some("back"), false) => Ok(Action::Back { rebooted: typed.rebooted == Some(true) }),
        (Some(is), false) => Err(format!("is: of a device expected \"away\", \"bye\" or \"back\", found {is:?}")),
        (Some(is), true) => service_of(is, typed),
        (None, _) => Err(format!("nothing happens by this line: expected one like {}", typed::EXAMPLE)),
    }
}

fn service_of(is: &str, typed: &Typed) -> Result<Action, String> {
    use olog_push::Refusal::{Credential, Format, Other, Receiver};
    let words = |otherwise: &str| typed.answer.clone().unwrap_or_else(|| otherwise.to_owned());
    let state = match is {
        "well" => ServiceState::Well,
        "down" => ServiceState::Down(words("no answer")),
        "refusing" => {
            let class = match typed.class.as_deref() {
                None | Some("credential") => Credential,
                Some("receiver") => Receiver,
                Some("format") => Format,
                Some("other") => Other,
                Some(class) => {
                    let expected = "class: expected \"credential\", \"receiver\", \"format\" or \"other\"";
                    return Err(format!("{expected}, found {class:?}"));
                }
            };
            ServiceState::Refuses(class, words("refused"))
        }
        is => {
            return Err(format!(
                "is: of a channel expected \"well\", \"down\" or \"refusing\" (of a device name it), found {is:?}"
            ));
        }
    };
    Ok(Action::Service { channel: typed.channel.clone(), state })
}

fn person_of(person: &str, typed: &Typed, devices: &[String]) -> Result<Person, String> {
    let which = || match (typed.incident, devices) {
        (Some(number), []) => Ok(IncidentRef::Number(number)),
        (None, [device]) => Ok(IncidentRef::Of(device.clone(), typed.task.clone())),
        _ => Err("person: expected incident, or one device with or without task".to_owned()),
    };
    match person {
        "ack" => which().map(Person::Ack),
        "close" => which().map(Person::Close),
        "rearm" => typed.channel.clone().map(Person::Rearm).ok_or_else(|| "channel is missing".to_owned()),
        _ => Err(format!("person: expected \"ack\", \"close\" or \"rearm\", found {person:?}")),
    }
}

fn span(text: &str) -> Result<i64, String> {
    let span = parse_span(text)?;
    i64::try_from(span.as_millis())
        .ok()
        .filter(|ms| (1..=SPAN_MAX).contains(ms))
        .ok_or_else(|| format!("expected more than nothing and at most {} days", SPAN_MAX / DAY))
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    ["%H:%M:%S%.f", "%H:%M"].iter().find_map(|form| NaiveTime::parse_from_str(text.trim(), form).ok())
}

/// A day, or a day and a time.
fn day_or_time(text: &str, zone: Tz) -> Option<Timestamp> {
    let text = text.trim().replace('T', " ");
    let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().map(|date| date.and_time(NaiveTime::MIN));
    let forms = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    let local = day.or_else(|| forms.iter().find_map(|form| NaiveDateTime::parse_from_str(&text, form).ok()))?;
    Some(instant(local, zone))
}

/// The instant of a local time; one that a change of the clocks leaves out is an hour later.
fn instant(local: NaiveDateTime, zone: Tz) -> Timestamp {
    let found = zone.from_local_datetime(&local).earliest();
    let found = found.or_else(|| zone.from_local_datetime(&(local + chrono::TimeDelta::hours(1))).earliest());
    Timestamp(found.map_or(0, |at| at.timestamp_millis()))
}

fn local(at: Timestamp, zone: Tz) -> NaiveDateTime {
    chrono::DateTime::from_timestamp_millis(at.0).unwrap_or_default().with_timezone(&zone).naive_local()
}

#[cfg(test)]
mod tests;

//! The text that `simulate` prints: what happened, what was pushed, and what was held back and why, line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono_tz::Tz;
use olog_daemon::config::show_span;
use olog_proto::Timestamp;
use olog_proto::name::escape;
use olog_push::{Answer, Notice};

use super::PlayError;
use super::harness::{Call, Harness};
use super::scenario::{Action, IncidentRef, LogChange, Person, Scenario, ScenarioFile, ServiceState, TimedAction};
use crate::config::ReloadableConfig;
use crate::store::{incidents, ledger, outbox};

/// Characters of what a line quotes.
const QUOTED: usize = 100;
/// Rows that are looked at together.
const PAGE: u32 = 500;
/// Incidents that the end lists.
const LISTED: usize = 50;

/// Lines so far, and what they need to know of those before.
pub(super) struct Transcript {
    zone: Tz,
    text: String,
    day: String,
    channels: BTreeMap<String, ChannelStats>,
    held_through: i64,
    sent_through: i64,
    n_acts: u64,
}

/// What a channel did so far.
#[derive(Debug, Default)]
struct ChannelStats {
    n_messages: u64,
    n_notices: u64,
    /// It does not accept: what it said, since when, how many calls.
    failing: Option<(String, Timestamp, u64)>,
}

impl Transcript {
    pub(super) fn new(scenario: &Scenario, script: &ScenarioFile, live: &ReloadableConfig, from: &str) -> Transcript {
        let mut transcript = Transcript {
            zone: live.timezone,
            text: String::new(),
            day: String::new(),
            channels: BTreeMap::new(),
            held_through: 0,
            sent_through: 0,
            n_acts: 0,
        };
        let about = script.about(live.language.as_str()).unwrap_or_default();
        if !about.is_empty() {
            transcript.line(&format!("# {}", escape(about.as_bytes())));
        }
        let channel = |channel: &Arc<olog_push::Channel>| match channel.per_day {
            Some(per_day) => format!("{} ({per_day} a day)", channel.name),
            None => channel.name.clone(),
        };
        let channels: Vec<String> = live.channels.iter().map(channel).collect();
        let n = scenario.devices.len();
        transcript.line(&format!(
            "# {n} device{}, {}, {}; to {}; configuration: {from}",
            if n == 1 { "" } else { "s" },
            live.timezone,
            live.language.as_str(),
            channels.join(", ")
        ));
        transcript
    }

    pub(super) fn text(self) -> String {
        self.text
    }

    pub(super) fn time_of_day(&self, at: Timestamp) -> String {
        self.local(at).format("%H:%M:%S").to_string()
    }

    fn local(&self, at: Timestamp) -> chrono::DateTime<Tz> {
        chrono::DateTime::from_timestamp_millis(at.0).unwrap_or_default().with_timezone(&self.zone)
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A line at its time; of a new day its date is said before.
    fn at(&mut self, at: Timestamp, mark: char, words: &str) {
        let day = self.local(at).format("%Y-%m-%d %A").to_string();
        if day != self.day {
            self.line(&format!("\n== {day} =="));
            self.day = day;
        }
        let time = self.time_of_day(at);
        self.line(&format!("{time} {mark} {words}"));
    }

    /// Something happens, for the first time.
    pub(super) fn happens(&mut self, act: &TimedAction, at: Timestamp) {
        self.n_acts += 1;
        let who = match act.devices.as_slice() {
            _ if matches!(act.deed, Action::Person(_)) => String::new(),
            [] => String::new(),
            [one] => escape(one.as_bytes()),
            [first, .., last] => {
                format!("{} … {} ({})", escape(first.as_bytes()), escape(last.as_bytes()), act.devices.len())
            }
        };
        let what = words(&act.deed);
        let every = act.every.map_or_else(String::new, |(span, times)| {
            let span = show_span(std::time::Duration::from_millis(u64::try_from(span).unwrap_or(0)));
            format!(" (every {span}, {times} times)")
        });
        self.at(at, '-', format!("{who} {what}{every}").trim_start());
    }

    pub(super) fn remarks(&mut self, words: &str, at: Timestamp) {
        self.at(at, '!', words);
    }

    /// What was called since, and what waits now that did not before.
    pub(super) async fn hears(&mut self, harness: &Harness, called: bool) -> Result<(), PlayError> {
        if called {
            let after = self.sent_through;
            let sent = harness.store.read(move |tx| ledger::sent_after(tx, after, PAGE)).await?;
            self.sent_through = sent.last().map_or(after, |sent| sent.id);
            for call in harness.services.calls() {
                let n = sent.iter().find(|sent| sent.channel == call.channel && sent.at == call.at);
                self.call(harness, &call, n.map(|sent| sent.n_notices)).await?;
            }
        }
        self.waits(harness).await
    }

    async fn call(&mut self, harness: &Harness, call: &Call, n_notices: Option<usize>) -> Result<(), PlayError> {
        let not_accepted = call.answers.iter().find_map(|(receiver, answer)| match answer {
            Answer::Accepted { .. } => None,
            Answer::Later { why, .. } => Some((receiver.id.clone(), format!("not now: {why}"))),
            Answer::Refused { why, .. } => Some((receiver.id.clone(), format!("refused: {why}"))),
        });
        let is_accepted = call.answers.iter().any(|(_, answer)| matches!(answer, Answer::Accepted { .. }));
        let told = self.channels.entry(call.channel.clone()).or_default();
        if let (false, Some((_, why))) = (is_accepted, &not_accepted) {
            match &mut told.failing {
                Some((was, _, n)) if was == why => *n += 1,
                failing => {
                    *failing = Some((why.clone(), call.at, 1));
                    let words = format!("{}: {why} ({})", call.channel, call.message.title);
                    self.at(call.at, 'x', &words);
                }
            }
            return Ok(());
        }
        told.n_messages += 1;
        told.n_notices += n_notices.unwrap_or(0) as u64;
        if let Some((why, since, n)) = told.failing.take() {
            let words = format!("{}: {n} calls since {}: {why}; now it accepts", call.channel, self.time_of_day(since));
            self.at(call.at, 'x', &words);
        }
        self.at(call.at, '>', &format!("{}: {}", call.channel, call.message.summary));
        let body: Vec<String> = call.message.text.lines().map(|line| format!("         | {line}")).collect();
        body.iter().for_each(|line| self.line(line.trim_end()));
        let mut facts = match n_notices {
            Some(n) if n != 1 => vec![format!("{n} notices in one message")],
            Some(_) => Vec::new(),
            None => vec!["once more, short and plain".to_owned()],
        };
        facts.extend(self.budget(harness, &call.channel).await?);
        if let Some((receiver, why)) = not_accepted {
            facts.push(format!("{receiver} {why}"));
        }
        if !facts.is_empty() {
            self.line(&format!("         = {}", facts.join("; ")));
        }
        Ok(())
    }

    /// What is left of a channel's messages of the day.
    async fn budget(&self, harness: &Harness, channel: &str) -> Result<Option<String>, PlayError> {
        let now = harness.now();
        let Some(channel) = harness.rules.channels.iter().find(|c| c.name == channel).cloned() else { return Ok(None) };
        let budget = harness.store.read(move |tx| {
            let facts = outbox::channel(tx, &channel.name)?;
            outbox::budget(tx, &channel, &facts, None, now)
        });
        Ok(budget.await?.map(|budget| format!("{} of {} left", budget.remaining(), budget.per_day())))
    }

    /// Why a notice waits.
    async fn why(&self, harness: &Harness, id: i64) -> Result<String, PlayError> {
        let (rules, now) = (harness.rules.clone(), harness.now());
        let quiet_until = rules.quiet.as_ref().and_then(|quiet| quiet.ends_at(now));
        let waits = harness.store.read(move |tx| outbox::why_waits(tx, id, &rules.channels, quiet_until, now)).await?;
        Ok(waits
            .map_or_else(String::new, |waits| waits.words(|at| self.local(at).format("%m-%d %H:%M:%S").to_string())))
    }

    async fn waits(&mut self, harness: &Harness) -> Result<(), PlayError> {
        loop {
            let after = self.held_through;
            let waiting = harness.store.read(move |tx| ledger::waiting(tx, after, PAGE)).await?;
            let Some(last) = waiting.last() else { return Ok(()) };
            self.held_through = last.id;
            for entry in &waiting {
                let title = title(harness, &entry.notice, &entry.channel);
                let why = self.why(harness, entry.id).await?;
                self.at(harness.now(), '~', &format!("{}: {title} waits: {why}", entry.channel));
            }
        }
    }

    /// What is left when it is over.
    pub(super) async fn ends(&mut self, harness: &Harness) -> Result<(), PlayError> {
        let now = harness.now();
        self.at(now, '.', "the end");
        self.line("");
        let waiting = harness.store.read(|tx| ledger::waiting(tx, 0, u32::MAX)).await?;
        let names: BTreeSet<String> =
            harness.rules.channels.iter().map(|c| c.name.clone()).chain(self.channels.keys().cloned()).collect();
        for name in names {
            let told = self.channels.get(&name);
            let (messages, notices) = told.map_or((0, 0), |told| (told.n_messages, told.n_notices));
            let failing = told.and_then(|told| told.failing.as_ref());
            let mut words = vec![format!("{} and {}", count(messages, "message"), count(notices, "notice"))];
            if let Some((why, since, n)) = failing {
                words.push(format!("{} not accepted since {} ({why})", count(*n, "call"), self.time_of_day(*since)));
            }
            words.extend(self.budget(harness, &name).await?);
            let waits: Vec<String> = waiting
                .iter()
                .filter(|entry| entry.channel == name)
                .map(|entry| title(harness, &entry.notice, &name))
                .collect();
            if !waits.is_empty() {
                words.push(format!("{} still waiting: {}", waits.len(), list(&waits, 10)));
            }
            self.line(&format!("{name}: {}", words.join("; ")));
        }
        let mut all = harness.store.read(|tx| incidents::list(tx, true, u64::MAX, 10_000)).await?;
        all.reverse();
        for incident in all.iter().take(LISTED) {
            let line = self.incident(harness, incident).await?;
            self.line(&line);
        }
        if all.len() > LISTED {
            self.line(&format!("and {} more", all.len() - LISTED));
        }
        Ok(())
    }

    async fn incident(&self, harness: &Harness, incident: &incidents::Incident) -> Result<String, PlayError> {
        let number = incident.id;
        let told = harness.store.read(move |tx| ledger::of_incident(tx, number, 10_000)).await?;
        let about = match &incident.device {
            Some(device) if *device != incident.name => format!("{device}/{}", incident.name),
            _ => incident.name.clone(),
        };
        let time = |at: Timestamp| self.local(at).format("%m-%d %H:%M:%S").to_string();
        let over = match incident.ended_at {
            Some(at) => format!("over {} ({})", time(at), incident.ground.as_deref().unwrap_or("-")),
            None => "open".to_owned(),
        };
        let messages: BTreeSet<i64> = told.iter().filter_map(|entry| entry.message).collect();
        Ok(format!(
            "#{number} {} {}: {}, {over}; {}, {} in {}",
            incident.subject,
            escape(about.as_bytes()),
            time(incident.began_at),
            count(incident.n_seen, "sign"),
            count(told.len() as u64, "notice"),
            count(messages.len() as u64, "message"),
        ))
    }
}

fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn list(items: &[String], max: usize) -> String {
    let shown: Vec<&str> = items.iter().take(max).map(String::as_str).collect();
    let more = items.len().saturating_sub(max);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}

/// What its title would be if it went alone.
fn title(harness: &Harness, notice: &Notice, channel: &str) -> String {
    let channel = harness.rules.channels.iter().find(|c| c.name == channel);
    channel.map_or_else(String::new, |channel| {
        harness.rules.compose(std::slice::from_ref(notice), channel, None, harness.now()).message.title
    })
}

fn quoted(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let line = escape(line.as_bytes());
    if line.chars().count() > QUOTED { format!("{}…", line.chars().take(QUOTED).collect::<String>()) } else { line }
}

fn words(deed: &Action) -> String {
    match deed {
        Action::Log(log) => {
            let file = escape(log.path.rsplit('/').next().unwrap_or(&log.path).as_bytes());
            match &log.change {
                LogChange::Text(text) | LogChange::Grows(text) => format!("{file}: {}", quoted(text)),
                LogChange::Same(_) => format!("{file}: the same again"),
                LogChange::Emptied => format!("{file} is emptied"),
                LogChange::Deleted => format!("{file} is deleted"),
            }
        }
        Action::Run { task, end: None } => format!("runs {task}"),
        Action::Run { task, end: Some(end) } => {
            let how = match (end.exit, end.signal) {
                (_, Some(signal)) => format!("by signal {signal}"),
                (exit, None) => format!("with {}", exit.unwrap_or(0)),
            };
            let text = quoted(&end.text);
            format!("{task} ends {how}{}{text}", if text.is_empty() { "" } else { ": " })
        }
        Action::Wire(what) => format!("sends an event: {}", what.kind()),
        Action::Away { says_bye: false } => "is gone".to_owned(),
        Action::Away { says_bye: true } => "says bye and goes".to_owned(),
        Action::Back { rebooted: false } => "is back".to_owned(),
        Action::Back { rebooted: true } => "is back, rebooted".to_owned(),
        Action::Service { channel, state } => {
            let channel = channel.as_deref().unwrap_or("every channel");
            match state {
                ServiceState::Well => format!("the service of {channel} works"),
                ServiceState::Down(why) => format!("the service of {channel} takes nothing: {why}"),
                ServiceState::Refuses(_, why) => format!("the service of {channel} refuses: {why}"),
            }
        }
        Action::Person(person) => {
            let which = |which: &IncidentRef| match which {
                IncidentRef::Number(number) => format!("#{number}"),
                IncidentRef::Of(device, Some(task)) => format!("{device}/{task}"),
                IncidentRef::Of(device, None) => device.clone(),
            };
            match person {
                Person::Ack(incident) => format!("a person acknowledges {}", which(incident)),
                Person::Close(incident) => format!("a person closes {}", which(incident)),
                Person::Rearm(channel) => format!("a person rearms {channel}"),
            }
        }
    }
}

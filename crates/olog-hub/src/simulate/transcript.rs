//! The text that `simulate` prints: what happened, what was pushed, and what was held back and why, line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono_tz::Tz;
use olog_daemon::config::show_span;
use olog_proto::Timestamp;
use olog_proto::name::escape;
use olog_push::words::Language;
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
    language: Language,
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
            language: live.language,
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
            Some(per_day) => transcript.say("{1} ({2} a day)", &[&channel.name, &per_day.to_string()]),
            None => channel.name.clone(),
        };
        let channels: Vec<String> = live.channels.iter().map(channel).collect();
        let devices = live.language.counted(scenario.devices.len() as u64, "1 device", "{1} devices");
        let (zone, language) = (live.timezone.to_string(), live.language.as_str());
        let head = "{1}, {2}, {3}; to {4}; configuration: {5}";
        let head = transcript.say(head, &[&devices, &zone, language, &channels.join(", "), from]);
        transcript.line(&format!("# {head}"));
        transcript
    }

    /// A sentence in the language of the messages.
    fn say(&self, english: &str, arguments: &[&str]) -> String {
        self.language.sentence(english, arguments)
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
        let day = self.local(at).format("%Y-%m-%d").to_string();
        let day = format!("{day} {}", self.say(&self.local(at).format("%A").to_string(), &[]));
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
        let what = words(&act.deed, self.language);
        let every = act.every.map_or_else(String::new, |(span, times)| {
            let span = show_span(std::time::Duration::from_millis(u64::try_from(span).unwrap_or(0)));
            self.say(" (every {1}, {2} times)", &[&span, &times.to_string()])
        });
        self.at(at, '-', format!("{who} {what}{every}").trim_start());
    }

    pub(super) fn remarks(&mut self, english: &str, at: Timestamp) {
        self.at(at, '!', &self.say(english, &[]));
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
            Answer::Later { why, .. } => Some((receiver.id.clone(), self.say("not now: {1}", &[why]))),
            Answer::Refused { why, .. } => Some((receiver.id.clone(), self.say("refused: {1}", &[why]))),
        });
        let is_accepted = call.answers.iter().any(|(_, answer)| matches!(answer, Answer::Accepted { .. }));
        let told = self.channels.entry(call.channel.clone()).or_default();
        if let (false, Some((_, why))) = (is_accepted, &not_accepted) {
            match &mut told.failing {
                Some((was, _, n)) if was == why => *n += 1,
                failing => {
                    *failing = Some((why.clone(), call.at, 1));
                    let words = self.say("{1}: {2} ({3})", &[&call.channel, why, &call.message.title]);
                    self.at(call.at, 'x', &words);
                }
            }
            return Ok(());
        }
        told.n_messages += 1;
        told.n_notices += n_notices.unwrap_or(0) as u64;
        if let Some((why, since, n)) = told.failing.take() {
            let (n, since) = (n.to_string(), self.time_of_day(since));
            let words = "{1}: {2} calls since {3}: {4}; now it accepts";
            let words = self.say(words, &[&call.channel, &n, &since, &why]);
            self.at(call.at, 'x', &words);
        }
        self.at(call.at, '>', &self.language.labelled(&call.channel, &call.message.summary));
        let body: Vec<String> = call.message.text.lines().map(|line| format!("         | {line}")).collect();
        body.iter().for_each(|line| self.line(line.trim_end()));
        let mut facts = match n_notices {
            Some(n) if n != 1 => vec![self.say("{1} notices in one message", &[&n.to_string()])],
            Some(_) => Vec::new(),
            None => vec![self.say("once more, short and plain", &[])],
        };
        facts.extend(self.budget(harness, &call.channel).await?);
        if let Some((receiver, why)) = not_accepted {
            facts.push(format!("{receiver} {why}"));
        }
        if !facts.is_empty() {
            self.line(&format!("         = {}", self.language.parts(&facts)));
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
        let left = |left: u64, of: u64| self.say("{1} of {2} left", &[&left.to_string(), &of.to_string()]);
        Ok(budget.await?.map(|budget| left(budget.remaining(), budget.per_day())))
    }

    /// Why a notice waits.
    async fn why(&self, harness: &Harness, id: i64) -> Result<String, PlayError> {
        let (rules, now) = (harness.rules.clone(), harness.now());
        let quiet_until = rules.quiet.as_ref().and_then(|quiet| quiet.ends_at(now));
        let waits = harness.store.read(move |tx| outbox::why_waits(tx, id, &rules.channels, quiet_until, now)).await?;
        let time = |at| self.local(at).format("%m-%d %H:%M:%S").to_string();
        Ok(waits.map_or_else(String::new, |waits| waits.words(self.language, time)))
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
                let words = self.say("{1}: {2} waits: {3}", &[&entry.channel, &title, &why]);
                self.at(harness.now(), '~', &words);
            }
        }
    }

    /// What is left when it is over.
    pub(super) async fn ends(&mut self, harness: &Harness) -> Result<(), PlayError> {
        let now = harness.now();
        self.at(now, '.', &self.say("the end", &[]));
        self.line("");
        let waiting = harness.store.read(|tx| ledger::waiting(tx, 0, u32::MAX)).await?;
        let names: BTreeSet<String> =
            harness.rules.channels.iter().map(|c| c.name.clone()).chain(self.channels.keys().cloned()).collect();
        for name in names {
            let told = self.channels.get(&name);
            let (messages, notices) = told.map_or((0, 0), |told| (told.n_messages, told.n_notices));
            let failing = told.and_then(|told| told.failing.as_ref());
            let mut words = vec![self.say("{1} and {2}", &[&self.messages(messages), &self.notices(notices)])];
            if let Some((why, since, n)) = failing {
                let calls = self.language.counted(*n, "1 call", "{1} calls");
                words.push(self.say("{1} not accepted since {2} ({3})", &[&calls, &self.time_of_day(*since), why]));
            }
            words.extend(self.budget(harness, &name).await?);
            let waits: Vec<String> = waiting
                .iter()
                .filter(|entry| entry.channel == name)
                .map(|entry| title(harness, &entry.notice, &name))
                .collect();
            if !waits.is_empty() {
                let n = waits.len().to_string();
                words.push(self.say("{1} still waiting: {2}", &[&n, &self.list(&waits, 10)]));
            }
            self.line(&self.language.labelled(&name, &self.language.parts(&words)));
        }
        let mut all = harness.store.read(|tx| incidents::list(tx, true, u64::MAX, 10_000)).await?;
        all.reverse();
        for incident in all.iter().take(LISTED) {
            let line = self.incident(harness, incident).await?;
            self.line(&line);
        }
        if all.len() > LISTED {
            self.line(&self.say("and {1} more", &[&(all.len() - LISTED).to_string()]));
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
            Some(at) => {
                let ground = incident.ground.as_deref().unwrap_or("-");
                self.say("over {1} ({2})", &[&time(at), &self.word("ground", ground)])
            }
            None => self.say("open", &[]),
        };
        let messages: BTreeSet<i64> = told.iter().filter_map(|entry| entry.message).collect();
        let line = self.say(
            "{1} {2}: {3}, {4}; {5}, {6} in {7}",
            &[
                &self.word("subject", &incident.subject),
                &escape(about.as_bytes()),
                &time(incident.began_at),
                &over,
                &self.language.counted(incident.n_seen, "1 sign", "{1} signs"),
                &self.notices(told.len() as u64),
                &self.messages(messages.len() as u64),
            ],
        );
        Ok(format!("#{number} {line}"))
    }

    /// A word of the store, in the language of the messages.
    fn word(&self, of: &str, word: &str) -> String {
        let key = format!("{of} {word}");
        let said = self.say(&key, &[]);
        if said == key { word.to_owned() } else { said }
    }

    fn messages(&self, n: u64) -> String {
        self.language.counted(n, "1 message", "{1} messages")
    }

    fn notices(&self, n: u64) -> String {
        self.language.counted(n, "1 notice", "{1} notices")
    }

    fn list(&self, items: &[String], max: usize) -> String {
        let comma = if self.language == Language::ZhCn { "、" } else { ", " };
        let shown = items.iter().take(max).map(String::as_str).collect::<Vec<_>>().join(comma);
        match items.len().saturating_sub(max) {
            0 => shown,
            more => self.say("{1} and {2} more", &[&shown, &more.to_string()]),
        }
    }
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

fn words(deed: &Action, language: Language) -> String {
    let say = |english, arguments: &[&str]| language.sentence(english, arguments);
    match deed {
        Action::Log(log) => {
            let file = escape(log.path.rsplit('/').next().unwrap_or(&log.path).as_bytes());
            match &log.change {
                LogChange::Text(text) | LogChange::Grows(text) => language.labelled(&file, &quoted(text)),
                LogChange::Same(_) => say("{1}: the same again", &[&file]),
                LogChange::Emptied => say("{1} is emptied", &[&file]),
                LogChange::Deleted => say("{1} is deleted", &[&file]),
            }
        }
        Action::Run { task, end: None } => say("runs {1}", &[task.as_str()]),
        Action::Run { task, end: Some(end) } => {
            let ends = match (end.exit, end.signal) {
                (_, Some(signal)) => say("{1} ends by signal {2}", &[task.as_str(), &signal.to_string()]),
                (exit, None) => say("{1} ends with {2}", &[task.as_str(), &exit.unwrap_or(0).to_string()]),
            };
            let text = quoted(&end.text);
            if text.is_empty() { ends } else { language.labelled(&ends, &text) }
        }
        Action::Wire(what) => say("sends an event: {1}", &[what.kind()]),
        Action::Away { says_bye: false } => say("is gone", &[]),
        Action::Away { says_bye: true } => say("says bye and goes", &[]),
        Action::Back { rebooted: false } => say("is back", &[]),
        Action::Back { rebooted: true } => say("is back, rebooted", &[]),
        Action::Service { channel, state } => {
            let every = say("every channel", &[]);
            let channel = channel.as_deref().unwrap_or(&every);
            match state {
                ServiceState::Well => say("the service of {1} works", &[channel]),
                ServiceState::Down(why) => say("the service of {1} takes nothing: {2}", &[channel, why]),
                ServiceState::Refuses(_, why) => say("the service of {1} refuses: {2}", &[channel, why]),
            }
        }
        Action::Person(person) => {
            let which = |which: &IncidentRef| match which {
                IncidentRef::Number(number) => format!("#{number}"),
                IncidentRef::Of(device, Some(task)) => format!("{device}/{task}"),
                IncidentRef::Of(device, None) => device.clone(),
            };
            match person {
                Person::Ack(incident) => say("a person acknowledges {1}", &[&which(incident)]),
                Person::Close(incident) => say("a person closes {1}", &[&which(incident)]),
                Person::Rearm(channel) => say("a person rearms {1}", &[channel]),
            }
        }
    }
}

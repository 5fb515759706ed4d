//! Writing down what was decided: the incidents and notices that follow from outcomes, in the caller's transaction.
//!
//! `ingest`, `watchman` and the verbs decide by the pure modules and come here with what was decided, so that there is
//! one way from an [`Outcome`] to a row. Decides nothing itself, commits nothing, rings nobody.

use std::sync::Arc;

use chrono_tz::Tz;
use olog_proto::At;
use olog_push::words::{self, Composed, Context, Language};
use olog_push::{Channel, Ground, Kind, Limits, Message, Notice, Saying, SystemCode, Why};

use crate::incident::{Outcome, Policy};
use crate::state::State;
use crate::store::devices::Device;
use crate::store::incidents::{self, Begin, Subject};
use crate::store::tasks::{self, Task, TaskId};
use crate::store::{StoreError, Tx, outbox};

/// What of the live configuration decides about events, and how what was decided is told.
#[derive(Debug)]
pub struct Rules {
    /// The spans of `[alerts]`.
    pub policy: Policy,
    /// Where notices go.
    pub channels: Vec<Arc<Channel>>,
    /// The reader's language.
    pub language: Language,
    /// The reader's time zone.
    pub timezone: Tz,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules { policy: Policy::default(), channels: Vec::new(), language: Language::default(), timezone: Tz::UTC }
    }
}

impl Rules {
    /// Puts notices into one message of a channel.
    pub fn compose(&self, notices: &[Notice], channel: &Channel, now: At) -> Composed {
        words::compose(notices, &self.context(channel.limits(), now))
    }

    /// A notice whole, as nobody's message: what a person asked for.
    pub fn compose_whole(&self, notice: &Notice, now: At) -> Message {
        let limits = Limits { chars: usize::MAX, summary_chars: 200 };
        words::compose(std::slice::from_ref(notice), &self.context(limits, now)).message
    }

    fn context(&self, limits: Limits, now: At) -> Context<'static> {
        Context {
            language: self.language,
            timezone: self.timezone,
            now,
            // There are no pages of incidents yet that a link could open; a report brings its own link.
            public_url: None,
            by_device: false,
            limits,
        }
    }

    fn channels_of(&self, notice: &Notice) -> Vec<String> {
        let wants = |c: &&Arc<Channel>| c.wants(notice.kind, notice.device.as_deref(), notice.task.as_deref());
        self.channels.iter().filter(wants).map(|channel| channel.name.clone()).collect()
    }
}

/// Puts a notice into the outbox of every channel that wants it.
pub fn tell(tx: &mut Tx<'_>, rules: &Rules, notice: &Notice, now: At) -> Result<(), StoreError> {
    let is_first = match &notice.saying {
        Saying::Error { why, .. } => matches!(why, Why::First | Why::Again | Why::Reopened),
        Saying::DevicesLost { .. } => true,
        _ => false,
    };
    outbox::put(tx, &rules.channels_of(notice), notice, is_first, now)
}

/// Olog's own affair, of one device or of the hub.
pub fn affair(device: Option<&Device>, code: SystemCode, args: &[(&str, String)], at: At) -> Notice {
    Notice {
        kind: Kind::System,
        incident: None,
        device: device.map(|d| d.name.to_string()),
        address: device.and_then(|d| d.address.clone()),
        task: None,
        at,
        saying: Saying::System { code, args: args.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect() },
    }
}

/// Writes the outcomes of one task: its incident's row, and the notices.
pub fn outcomes(
    tx: &mut Tx<'_>,
    rules: &Rules,
    device: &Device,
    task: &mut Task,
    outcomes: Vec<Outcome>,
    now: At,
) -> Result<(), StoreError> {
    for outcome in outcomes {
        match outcome {
            Outcome::Begin => begin(tx, task)?,
            Outcome::Reopen => {
                if let Some((number, at)) = task.facts.incident().and_then(|i| Some((i.number?, i.last_error_at))) {
                    incidents::reopen(tx, number, at)?;
                }
            }
            Outcome::Update => update(tx, task)?,
            Outcome::End { ground, at } => {
                update(tx, task)?;
                if let Some(number) = task.facts.incident().and_then(|i| i.number) {
                    incidents::end(tx, number, at, ground_text(ground))?;
                }
            }
            Outcome::Notify { kind, at, saying } => {
                let notice = Notice {
                    kind,
                    incident: task.facts.incident().and_then(|i| i.number).filter(|_| kind != Kind::Msg),
                    device: Some(device.name.to_string()),
                    address: device.address.clone(),
                    task: Some(task.name.to_string()),
                    at,
                    saying,
                };
                tell(tx, rules, &notice, now)?;
            }
        }
    }
    Ok(())
}

/// Writes a task's facts, with the columns that are computed from them.
pub fn task(tx: &mut Tx<'_>, rules: &Rules, task: &mut Task, now: At) -> Result<TaskId, StoreError> {
    let is_open = task.facts.state() == State::Err;
    let number = task.facts.incident().and_then(|i| i.number);
    let is_new = task.id.is_none();
    let due_at = task.facts.due_at(&rules.policy);
    let is_task = task.facts.is_task();
    let id = tasks::put(tx, task, is_task, number.filter(|_| is_open), due_at, now)?;
    if let (true, Some(number)) = (is_new, number) {
        incidents::set_task(tx, number, id)?;
    }
    Ok(id)
}

fn begin(tx: &mut Tx<'_>, task: &mut Task) -> Result<(), StoreError> {
    let Some(incident) = task.facts.incident() else { return Ok(()) };
    let begin = Begin {
        subject: Subject::Task,
        device: Some(task.device),
        task: task.id,
        name: task.name.as_str(),
        at: incident.began_at,
    };
    let number = incidents::begin(tx, &begin, incident)?;
    task.facts.opened_as(number);
    Ok(())
}

fn update(tx: &mut Tx<'_>, task: &Task) -> Result<(), StoreError> {
    if let Some((incident, number)) = task.facts.incident().and_then(|i| Some((i, i.number?))) {
        incidents::update(tx, number, incident.last_error_at, incident.n_seen, incident.n_begun)?;
        incidents::set_facts(tx, number, incident)?;
    }
    Ok(())
}

/// Grounds as they are stored.
pub const GROUNDS: [(Ground, &str); 6] = [
    (Ground::RunEnded, "run_ended"),
    (Ground::NewLog, "new_log"),
    (Ground::Cleared, "cleared"),
    (Ground::LogGrew, "log_grew"),
    (Ground::Closed, "closed"),
    (Ground::Quiet, "quiet"),
];

fn ground_text(ground: Ground) -> &'static str {
    GROUNDS.iter().find(|(known, _)| *known == ground).map_or("", |(_, text)| text)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A channel that nobody answers behind.
    pub(crate) fn phone() -> Arc<Channel> {
        let text = "[[channel]]\nname = 'phone'\ntype = 'wxpusher'\ntoken = 'AT_x'\nuids = ['UID_a']\napi_url = 'http://127.0.0.1:9'";
        let read = olog_daemon::config::read_text("hub.toml", text, |table| {
            table.take_tables("channel").pop().and_then(Channel::take)
        });
        Arc::new(read.unwrap().unwrap())
    }
}

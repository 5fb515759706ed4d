//! Decisions become rows: writes the incidents and notifications that follow from the effects of a rule, in the caller's transaction.
//!
//! `ingest`, `watchman` and the command handlers call the pure rules and pass their effects here, so there is one way from an effect
//! to a row. [`LivePolicy`] is the live configuration that these decisions need: policy, channels, language, time zone.
//!
//! Decides nothing itself, commits nothing, wakes no worker.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono_tz::Tz;
use olog_proto::Timestamp;
use olog_push::words::{self, BudgetUse, Composed, Context, IncidentUrl, Language, Localizer};
use olog_push::{Channel, Content, Kind, Limits, Message, Notice, Recovery, ResolvedBy, SystemCode};

use crate::journal::LogEntry;
use crate::rules::expect::{self, TaskContext};
use crate::rules::incident::{AlertPolicy, IncidentEffect};
use crate::rules::incident_link::IncidentLinks;
use crate::rules::quiet::QuietHours;
use crate::rules::quota::DeviceLimits;
use crate::rules::state::State;
use crate::store::devices::Device;
use crate::store::incidents::{self, Begin, Subject};
use crate::store::tasks::{self, Columns, Task, TaskId};
use crate::store::{StoreError, Tx};

pub mod declared_tasks;
pub mod expectation;
pub mod explain;
pub mod ghosts;
pub mod nearest;
pub mod operator;
mod suppressed;
pub mod unreadable;

pub use suppressed::{release, to_release};

/// What of the live configuration decides about events, and how what was decided is told.
#[derive(Debug)]
pub struct LivePolicy {
    /// The spans of `[alerts]`.
    pub policy: AlertPolicy,
    /// Of which tasks, by device and name, a person is told only from so many errors in a row on.
    pub in_a_row: BTreeMap<String, BTreeMap<String, u32>>,
    /// The hours in which good news and old news do not ring by themselves.
    pub quiet: Option<QuietHours>,
    /// What is expected of tasks.
    pub expect: expect::ExpectationPolicy,
    /// What one device may use.
    pub limits: DeviceLimits,
    /// Where notices go.
    pub channels: Vec<Arc<Channel>>,
    /// The reader's language.
    pub language: Language,
    /// The reader's time zone.
    pub timezone: Tz,
    /// Makes the links of notifications, where a phone can open the hub's pages.
    pub links: Option<IncidentLinks>,
}

impl Default for LivePolicy {
    fn default() -> LivePolicy {
        LivePolicy {
            policy: AlertPolicy::default(),
            in_a_row: BTreeMap::new(),
            quiet: None,
            expect: expect::ExpectationPolicy::default(),
            limits: DeviceLimits::default(),
            channels: Vec::new(),
            language: Language::default(),
            timezone: Tz::UTC,
            links: None,
        }
    }
}

impl LivePolicy {
    /// Speaks the reader's language, in the reader's time zone.
    pub fn localizer(&self, now: Timestamp) -> Localizer {
        Localizer { language: self.language, timezone: self.timezone, now }
    }

    /// What decides about the errors of a task.
    pub fn policy_of(&self, device: &str, task: &str) -> AlertPolicy {
        let own = self.in_a_row.get(device).and_then(|tasks| tasks.get(task));
        AlertPolicy { errors_in_a_row: own.copied().unwrap_or(self.policy.errors_in_a_row), ..self.policy.clone() }
    }

    /// Puts notices into one message of a channel.
    pub fn compose(
        &self,
        notices: &[Notice],
        channel: &Channel,
        budget: Option<BudgetUse>,
        now: Timestamp,
    ) -> Composed {
        self.composed(notices, channel.limits(), budget, now)
    }

    /// A notice whole, as nobody's message: what a person asked for.
    pub fn compose_whole(&self, notice: &Notice, now: Timestamp) -> Message {
        self.composed(std::slice::from_ref(notice), Limits::NONE, None, now).message
    }

    fn composed(&self, notices: &[Notice], limits: Limits, budget: Option<BudgetUse>, now: Timestamp) -> Composed {
        let url = |incidents: &[u64]| self.links.as_ref().map(|links| links.url(incidents, now)).unwrap_or_default();
        let context = Context {
            language: self.language,
            timezone: self.timezone,
            now,
            incident_url: self.links.is_some().then_some(IncidentUrl(&url)),
            by_device: false,
            budget,
            limits,
        };
        words::compose(notices, &context)
    }

    fn channels_of(&self, notice: &Notice) -> Vec<String> {
        let wants = |c: &&Arc<Channel>| c.wants(notice.kind, notice.device.as_deref(), notice.task.as_deref());
        self.channels.iter().filter(wants).map(|channel| channel.name.clone()).collect()
    }
}

/// Tells a notice to every channel that wants it, unless a silence holds it back.
pub fn enqueue_notice(tx: &mut Tx<'_>, rules: &LivePolicy, notice: &Notice, now: Timestamp) -> Result<(), StoreError> {
    suppressed::enqueue_or_hold(tx, rules, notice, &[], now)
}

/// Olog's own affair, of one device or of the hub.
pub fn system_notice(device: Option<&Device>, code: SystemCode, args: &[(&str, String)], at: Timestamp) -> Notice {
    Notice {
        kind: Kind::System,
        incident: None,
        device: device.map(|d| d.name.to_string()),
        address: device.and_then(|d| d.address.clone()),
        task: None,
        at,
        silence: None,
        content: Content::System { code, args: args.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect() },
    }
}

/// Writes the outcomes of one task: its incident's row, and the notices.
pub fn outcomes(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &Device,
    task: &mut Task,
    outcomes: Vec<IncidentEffect>,
    now: Timestamp,
) -> Result<(), StoreError> {
    for outcome in outcomes {
        match outcome {
            IncidentEffect::Begin => begin(tx, device, task)?,
            IncidentEffect::Reopen => {
                if let Some((number, at)) = task.facts.incident().and_then(|i| Some((i.number?, i.last_error_at))) {
                    incidents::reopen(tx, number, at)?;
                    update(tx, task)?;
                    tx.note(line("incident reopened", number, Subject::Task, device, task));
                }
            }
            IncidentEffect::Update => update(tx, task)?,
            IncidentEffect::End { ground, at } => {
                update(tx, task)?;
                if let Some(number) = task.facts.incident().and_then(|i| i.number) {
                    incidents::end_as_of(tx, number, at, ground_text(ground), now)?;
                    tx.note(line("incident over", number, Subject::Task, device, task).why(ground_text(ground)));
                }
            }
            IncidentEffect::Notify { kind, at, content, of } => {
                let notice = Notice {
                    kind,
                    incident: task.facts.incident().and_then(|i| i.number).filter(|_| kind != Kind::Msg),
                    device: Some(device.name.to_string()),
                    address: device.address.clone(),
                    task: Some(task.name.to_string()),
                    at,
                    silence: None,
                    content,
                };
                suppressed::enqueue_or_hold(tx, rules, &notice, &of, now)?;
            }
        }
    }
    Ok(())
}

/// Writes what follows from a task that did not come, or came.
pub fn expectations(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &Device,
    task: &mut Task,
    outcomes: Vec<expect::ExpectationEffect>,
    now: Timestamp,
) -> Result<(), StoreError> {
    for outcome in outcomes {
        match outcome {
            expect::ExpectationEffect::Begin => {
                let Some(missed) = task.expect.missed() else { continue };
                let begin = Begin {
                    subject: Subject::Lost,
                    device: Some(task.device),
                    task: task.id,
                    name: task.name.as_str(),
                    at: missed.due_at,
                };
                let number = incidents::begin(tx, &begin, missed)?;
                tx.note(line("task LOST", number, Subject::Lost, device, task));
                task.expect.opened_as(number);
            }
            expect::ExpectationEffect::Update => {
                if let Some((missed, number)) = task.expect.missed().and_then(|missed| Some((missed, missed.number?))) {
                    incidents::update(tx, number, now, missed.n_missed, 1)?;
                    incidents::set_facts(tx, number, missed)?;
                }
            }
            expect::ExpectationEffect::End { number, due_at, at, recovery } => {
                task.facts.was_missing(due_at, at, &rules.policy);
                if let Some(number) = number {
                    incidents::end_as_of(tx, number, at, came_text(recovery), now)?;
                    tx.note(line("task BACK", number, Subject::Lost, device, task).why(came_text(recovery)));
                }
            }
            expect::ExpectationEffect::RunVanished { at } => {
                let policy = rules.policy_of(device.name.as_str(), task.name.as_str());
                let errors = task.facts.run_vanished(at, now, &policy);
                self::outcomes(tx, rules, device, task, errors, now)?;
            }
            expect::ExpectationEffect::Notify { kind, number, at, content } => {
                let notice = Notice {
                    kind,
                    incident: number.or_else(|| task.expect.missed()?.number),
                    device: Some(device.name.to_string()),
                    address: device.address.clone(),
                    task: Some(task.name.to_string()),
                    at,
                    silence: None,
                    content,
                };
                enqueue_notice(tx, rules, &notice, now)?;
            }
        }
    }
    Ok(())
}

/// What is known of a task besides what is expected of it.
pub fn known<'a>(rules: &'a LivePolicy, device: &Device, task: &Task) -> TaskContext<'a> {
    known_of(rules, device.name.as_str(), device.joined_at, task)
}

/// As [`known`], of a device by its name.
pub fn known_of<'a>(rules: &'a LivePolicy, device: &str, joined_at: Timestamp, task: &Task) -> TaskContext<'a> {
    TaskContext {
        plan: rules.expect.plan(device, task.name.as_str()),
        is_alarm: task.facts.is_alarm(),
        seen_at: task.facts.last_good_at().max(task.facts.last_error_at()),
        joined_at,
    }
}

/// Writes a task, with the columns that are computed from its facts.
pub fn task(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &Device,
    task: &mut Task,
    now: Timestamp,
) -> Result<TaskId, StoreError> {
    let is_open = task.facts.state() == State::Err;
    let number = task.facts.incident().and_then(|i| i.number);
    let is_new = task.id.is_none();
    let known = known(rules, device, task);
    let due_at = [task.facts.due_at(&rules.policy), task.expect.look_at(&known, &rules.expect)];
    let columns = Columns {
        is_task: task.facts.is_task() || task.expect.has_schedule(),
        incident: number.filter(|_| is_open),
        due_at: due_at.into_iter().flatten().min(),
        late_at: task.expect.late_at(&known, &rules.expect),
    };
    let lost = task.expect.missed().and_then(|missed| missed.number);
    let id = tasks::put(tx, task, columns, now)?;
    for number in [number, lost].into_iter().flatten().filter(|_| is_new) {
        incidents::set_task(tx, number, id)?;
    }
    Ok(id)
}

fn begin(tx: &mut Tx<'_>, device: &Device, task: &mut Task) -> Result<(), StoreError> {
    let Some(incident) = task.facts.incident() else { return Ok(()) };
    let begin = Begin {
        subject: Subject::Task,
        device: Some(task.device),
        task: task.id,
        name: task.name.as_str(),
        at: incident.began_at,
    };
    let number = incidents::begin(tx, &begin, incident)?;
    tx.note(line("incident begun", number, Subject::Task, device, task));
    task.facts.opened_as(number);
    Ok(())
}

/// What the log says of an incident of a task.
fn line(what: &'static str, number: u64, subject: Subject, device: &Device, task: &Task) -> LogEntry {
    LogEntry::new(what).incident(number).about(subject.as_str()).device(&device.name).task(&task.name)
}

fn update(tx: &mut Tx<'_>, task: &Task) -> Result<(), StoreError> {
    if let Some((incident, number)) = task.facts.incident().and_then(|i| Some((i, i.number?))) {
        incidents::update(tx, number, incident.last_error_at, incident.n_seen, incident.n_begun)?;
        incidents::set_facts(tx, number, incident)?;
    }
    Ok(())
}

/// Grounds as they are stored.
pub const GROUNDS: [(ResolvedBy, &str); 7] = [
    (ResolvedBy::RunEnded, "run_ended"),
    (ResolvedBy::NewLog, "new_log"),
    (ResolvedBy::Cleared, "cleared"),
    (ResolvedBy::LogGrew, "log_grew"),
    (ResolvedBy::Closed, "closed"),
    (ResolvedBy::Quiet, "quiet"),
    (ResolvedBy::Resolved, "resolved"),
];

/// Why a task is no longer waited for, as it is stored.
fn came_text(recovery: Recovery) -> &'static str {
    match recovery {
        Recovery::Ran { .. } => "ran",
        Recovery::Unexpected => "unexpected",
        Recovery::Closed => "closed",
    }
}

/// A ground as it is stored.
fn ground_text(ground: ResolvedBy) -> &'static str {
    GROUNDS.iter().find(|(known, _)| *known == ground).map_or("", |(_, text)| text)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A channel that nobody answers behind.
    pub(crate) fn phone() -> Arc<Channel> {
        let text =
            "name = 'phone'\ntype = 'wxpusher'\ntoken = 'AT_x'\nuids = ['UID_a']\napi_url = 'http://127.0.0.1:9'";
        let types = olog_push::ChannelCatalog::built_in();
        let read = olog_daemon::config::read_text("hub.toml", text, |table| Channel::parse(table, &types));
        Arc::new(read.unwrap().unwrap())
    }
}

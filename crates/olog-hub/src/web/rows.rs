//! The rows of lists, as `/api/v1` gives them and the verbs print them with `--json`. One type for both, so that they do not differ.

use std::sync::Arc;

use olog_proto::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    apply::{self, LivePolicy},
    config::ReloadableConfig,
    net::{packages::behind, sessions::Sessions},
    rules::{
        budget::Budget,
        expect::ExpectationStatus,
        state::{self, State as Word},
    },
    store::{
        StoreError, Tx,
        devices::DeviceId,
        enrolment::ListedDevice,
        ledger, outbox, renames,
        reports::Made,
        tasks::{self, ListedTask},
    },
};

/// A row of `task list`.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TaskListRow {
    /// Its device.
    pub device: String,
    /// Its name.
    pub task: String,
    /// `OK`, `ERR` or `LOST`. What was OK is LOST while its device is.
    pub state: String,
    /// Its device is LOST: nothing newer is known of the task.
    #[serde(default)]
    pub device_lost: bool,
    /// The number of its open incident; if it is LOST and ERR, of the former.
    pub incident: Option<u64>,
    /// Is anything expected of it: `no`, `waiting` (it never came), `yes`, `off` (a person said so).
    pub expected: String,
    /// When it has to come next, or had to.
    pub due_at: Option<Timestamp>,
    /// When it was last well.
    pub last_good_at: Option<Timestamp>,
    /// When an error last came.
    pub last_error_at: Option<Timestamp>,
    /// Names that it had; its events may still have them.
    pub was: Vec<String>,
    /// Its device is an old client (olog.py).
    #[serde(default)]
    pub legacy: bool,
}

impl TaskListRow {
    /// Of a task.
    pub fn new(rules: &LivePolicy, listed: &ListedTask) -> TaskListRow {
        let task = &listed.task;
        let known = apply::known_of(rules, &listed.device_name, listed.joined_at, task);
        let (due_at, expected) = match task.expect.standing(&known, &rules.expect) {
            ExpectationStatus::Free => (None, "no"),
            ExpectationStatus::Off => (None, "off"),
            ExpectationStatus::Waiting(due) => (Some(due.at), "waiting"),
            ExpectationStatus::InTime(due) => (Some(due.at), "yes"),
            ExpectationStatus::Lost(missed) => (Some(missed.due_at), "yes"),
        };
        let lost = task.expect.missed();
        let of_task = state::of_task(task.facts.state() == Word::Err, lost.is_some());
        // A device speaks for its tasks; an open incident of one of them is still open.
        let state = if listed.is_device_lost && of_task == Word::Ok { Word::Lost } else { of_task };
        TaskListRow {
            device: listed.device_name.clone(),
            task: task.name.to_string(),
            state: state.as_str().to_owned(),
            device_lost: listed.is_device_lost,
            incident: lost.and_then(|missed| missed.number).or(listed.incident),
            expected: expected.to_owned(),
            due_at,
            last_good_at: task.facts.last_good_at(),
            last_error_at: task.facts.last_error_at(),
            was: Vec::new(),
            legacy: listed.is_legacy,
        }
    }

    /// Rows after that device and task, with the names that each task had.
    pub fn page(
        tx: &mut Tx<'_>,
        rules: &LivePolicy,
        after: (&str, &str),
        limit: u32,
    ) -> Result<Vec<TaskListRow>, StoreError> {
        let (listed, mut former) = (tasks::list(tx, None, after, limit)?, renames::former(tx, None)?);
        let mut was = |listed: &ListedTask| listed.task.id.and_then(|id| former.remove(&id)).unwrap_or_default();
        Ok(listed.iter().map(|listed| TaskListRow { was: was(listed), ..TaskListRow::new(rules, listed) }).collect())
    }
}

/// Fills in what the store does not know of listed devices: who is connected and when it was heard, and which agents are behind.
pub fn with_sessions(devices: &mut [ListedDevice], sessions: &Sessions, newest: Option<&semver::Version>) {
    for device in devices {
        device.newer = behind(device.version.as_deref(), newest);
        if let Some(seat) = sessions.seat(DeviceId(device.id)) {
            device.heard_at = Some(seat.heard_at());
            device.connected = true;
        }
    }
}

/// A row of `channel list`.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ChannelRow {
    /// Its name.
    pub name: String,
    /// Its type; empty of one that is gone.
    pub r#type: String,
    /// What fits into one message and how fast, e.g. `1700 bytes, 14/min`.
    pub limits: String,
    /// Whom it reaches, masked.
    pub receivers: Vec<String>,
    /// `ok`, `budget` (what waits, waits for its budget), `failing`, `paused`, or `gone` from the configuration.
    pub state: String,
    /// Since when the service has accepted nothing.
    #[serde(default)]
    pub failing_at: Option<Timestamp>,
    /// Notifications that wait.
    pub waiting: u64,
    /// The service's last answer that was not an acceptance.
    pub why: Option<String>,
    /// Receivers that were refused for good.
    pub refused: Vec<String>,
    /// When the oldest that waits was put there.
    pub oldest_at: Option<Timestamp>,
    /// Messages that it may send in a rolling day, if that is bounded.
    pub per_day: Option<u64>,
    /// Those that it has sent.
    pub used: Option<u64>,
    /// Those that are left.
    pub left: Option<u64>,
    /// When the next one comes back.
    pub next_slot_at: Option<Timestamp>,
}

impl ChannelRow {
    /// Every configured channel, and those that are gone but still have notifications.
    pub fn list(tx: &mut Tx<'_>, live: &ReloadableConfig, now: Timestamp) -> Result<Vec<ChannelRow>, StoreError> {
        let waiting = outbox::waiting(tx)?;
        let row = |channel: &Arc<olog_push::Channel>| {
            let facts = outbox::channel(tx, &channel.name)?;
            let budget = outbox::budget(tx, channel, &facts, None, now)?;
            let waiting = waiting.iter().find(|waiting| waiting.channel == channel.name);
            let state = match (facts.paused_at, facts.failing_at) {
                (Some(_), _) => "paused",
                (None, Some(_)) => "failing",
                (None, None) if waiting.is_some() && facts.held_through.is_some() => "budget",
                (None, None) => "ok",
            };
            Ok(ChannelRow {
                name: channel.name.clone(),
                r#type: channel.type_name().to_owned(),
                limits: channel.limits_shown(),
                receivers: channel.receivers().into_iter().map(|r| r.id).collect(),
                state: state.to_owned(),
                failing_at: facts.failing_at.or(facts.paused_at),
                waiting: waiting.map_or(0, |waiting| waiting.n),
                why: facts.why,
                refused: facts.refused,
                oldest_at: waiting.map(|waiting| waiting.since),
                per_day: budget.as_ref().map(Budget::per_day),
                used: budget.as_ref().map(Budget::used),
                left: budget.as_ref().map(Budget::remaining),
                next_slot_at: budget.as_ref().and_then(Budget::next_at),
            })
        };
        let mut rows: Vec<ChannelRow> = live.channels.iter().map(row).collect::<Result<_, StoreError>>()?;
        let gone = waiting.iter().filter(|waiting| live.channel(&waiting.channel).is_none());
        rows.extend(gone.map(|waiting| ChannelRow {
            name: waiting.channel.clone(),
            r#type: String::new(),
            limits: String::new(),
            receivers: Vec::new(),
            state: "gone".to_owned(),
            failing_at: None,
            waiting: waiting.n,
            why: Some("not in the configuration: waits for its return, given up after 7 days".to_owned()),
            refused: Vec::new(),
            oldest_at: Some(waiting.since),
            per_day: None,
            used: None,
            left: None,
            next_slot_at: None,
        }));
        Ok(rows)
    }
}

/// A message that went through a channel, and what the service said.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct MessageRow {
    /// Its number.
    pub id: i64,
    /// Through which channel.
    pub channel: String,
    /// When.
    pub at: Timestamp,
    /// Its title.
    pub title: String,
    /// How many notifications it carried.
    pub n_notices: usize,
    /// The service's answer about each receiver.
    pub answers: Vec<AnswerRow>,
}

/// What a service said of one receiver.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AnswerRow {
    /// The receiver, as the service knows it.
    pub receiver: String,
    /// `accepted`, `later` or `refused`.
    pub outcome: String,
    /// The service's own words.
    pub answer: String,
}

impl MessageRow {
    /// Messages of a channel before number `before`, the latest first; at most `limit`.
    pub fn latest(tx: &mut Tx<'_>, channel: &str, before: i64, limit: u32) -> Result<Vec<MessageRow>, StoreError> {
        let sent = ledger::latest_of(tx, channel, before, limit)?;
        let row = |sent: ledger::Sent| {
            let answers = ledger::answers(tx, sent.id)?.into_iter();
            let answer = |attempt: outbox::Attempt| AnswerRow {
                receiver: attempt.receiver,
                outcome: attempt.outcome,
                answer: attempt.answer,
            };
            Ok(MessageRow {
                id: sent.id,
                channel: sent.channel,
                at: sent.at,
                title: sent.title,
                n_notices: sent.n_notices,
                answers: answers.map(answer).collect(),
            })
        };
        sent.into_iter().map(row).collect()
    }
}

/// A row of `report list`.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ReportRow {
    /// Its number.
    pub id: i64,
    /// Its window, from …
    pub from_at: Timestamp,
    /// … to.
    pub to_at: Timestamp,
    /// When it was made.
    pub made_at: Timestamp,
    /// At its time (`daily`), or because a person asked (`asked`).
    pub kind: String,
    /// What had to be done.
    pub to_do: u64,
    /// Devices that were OK, ERR, LOST.
    pub ok: u64,
    /// ERR.
    pub err: u64,
    /// LOST.
    pub lost: u64,
    /// Is its page still kept?
    pub page: bool,
    /// Where a phone opens it.
    pub link: Option<String>,
}

impl From<Made> for ReportRow {
    fn from(made: Made) -> ReportRow {
        let facts = made.facts;
        ReportRow {
            id: made.id,
            from_at: made.from_at,
            to_at: made.to_at,
            made_at: made.made_at,
            kind: if made.is_daily { "daily" } else { "asked" }.to_owned(),
            to_do: facts.n_now,
            ok: facts.devices.ok,
            err: facts.devices.err,
            lost: facts.devices.lost,
            page: made.has_page,
            link: facts.link.filter(|_| made.has_page),
        }
    }
}

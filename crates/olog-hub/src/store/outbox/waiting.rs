//! What waits, and why: for the dispatcher that asks what may go, and for a person who asks why a row has not gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use olog_proto::Timestamp;
use olog_push::words::Language;
use olog_push::{Channel, Kind};
use serde::{Deserialize, Serialize};

use super::{ChannelFacts, RetryTier};
use crate::rules::budget::{Bounds, Budget, QuotaUsage, Urgency, WINDOW};
use crate::rules::quiet;
use crate::store::{Row, StoreError, Tx};
use crate::values;

/// A message from further ahead than this was sent by a clock that was wrong.
const AHEAD: i64 = 3_600_000;

/// What waits for a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// The channel.
    pub channel: String,
    /// How many notifications.
    pub n: u64,
    /// When the oldest was put here.
    pub since: Timestamp,
}

/// What waits, by channel; those of channels that are not configured any more are among them.
pub fn waiting(tx: &mut Tx<'_>) -> Result<Vec<Waiting>, StoreError> {
    let rows = tx.query(
        "SELECT channel, COUNT(*), MIN(made_at) FROM outbox WHERE done_at IS NULL GROUP BY channel ORDER BY channel",
        &[],
    )?;
    rows.iter()
        .map(|row| Ok(Waiting { channel: row.text(0)?.to_owned(), n: row.count(1)?, since: row.at(2)? }))
        .collect()
}

/// How many notifications wait for a channel; counts to `limit`.
pub fn n_waiting(tx: &mut Tx<'_>, channel: &str, limit: u64) -> Result<u64, StoreError> {
    let row = tx.query_one(
        "SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE channel = $1 AND done_at IS NULL LIMIT $2) w",
        values![channel, limit],
    )?;
    row.map_or(Ok(0), |row| row.count(0))
}

/// Rows that wait, are held by nobody, and are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Where they stand.
    pub place: RetryTier,
    /// What they are worth.
    pub urgency: Urgency,
    /// When the latest of them was put here.
    pub newest_at: Timestamp,
}

/// Which places and urgencies there are among the rows that nobody holds.
pub fn candidates(tx: &mut Tx<'_>, channel: &str, now: Timestamp) -> Result<Vec<Candidate>, StoreError> {
    // Twenty-four looks into the index, however many rows wait.
    let rows = tx.query(
        "SELECT p.place, u.urgency, (SELECT o.made_at FROM outbox o WHERE o.channel = $1 AND o.done_at IS NULL
           AND o.place = p.place AND o.urgency = u.urgency AND (o.claimed_until IS NULL OR o.claimed_until <= $2)
           ORDER BY o.id DESC LIMIT 1) AS newest
         FROM (SELECT 0 AS place UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3) p
         CROSS JOIN (SELECT 0 AS urgency UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5) u
         ORDER BY p.place, u.urgency",
        values![channel, now],
    )?;
    let mut candidates = Vec::new();
    for row in &rows {
        if let Some(newest_at) = row.at_or_null(2)? {
            candidates.push(Candidate {
                place: RetryTier::of(row.int(0)?),
                urgency: Urgency::from(row.int(1)?),
                newest_at,
            });
        }
    }
    Ok(candidates)
}

/// A notice, as far as a budget asks: whose device.
#[derive(Deserialize)]
struct OfDevice {
    device: Option<String>,
}

/// The devices of the first rows of a candidate in the order of a claim, at most `limit` rows; `""`: the hub itself. By turns, so that
/// many rows of one device do not hide another device.
pub fn devices_of(
    tx: &mut Tx<'_>,
    channel: &str,
    of: Candidate,
    now: Timestamp,
    limit: u32,
) -> Result<BTreeSet<String>, StoreError> {
    let rows = tx.query(
        "SELECT notice FROM outbox WHERE channel = $1 AND done_at IS NULL AND place = $2 AND urgency = $3
         AND (claimed_until IS NULL OR claimed_until <= $4) ORDER BY turn, id LIMIT $5",
        values![channel, of.place as i64, i64::from(of.urgency), now, limit],
    )?;
    // What cannot be read is set aside by the claim; nobody's device decides about it.
    Ok(rows.iter().map(|row| row.json::<OfDevice>(0).ok().and_then(|of| of.device).unwrap_or_default()).collect())
}

/// The highest row.
pub fn last(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    let row = tx.query_one("SELECT MAX(id) FROM outbox", &[])?;
    Ok(row.map_or(Ok(None), |row| row.int_or_null(0))?.unwrap_or(0))
}

/// The budget of a channel that has one. `me`: whose own claims hold no slot.
pub fn budget(
    tx: &mut Tx<'_>,
    channel: &Channel,
    facts: &ChannelFacts,
    me: Option<&str>,
    now: Timestamp,
) -> Result<Option<Budget>, StoreError> {
    let Some(per_day) = channel.per_day else { return Ok(None) };
    let wants = |kind| channel.wants(kind, None, None);
    let bounds = Bounds { per_day, reports: wants(Kind::Report), alarms: wants(Kind::Err) || wants(Kind::Lost) };
    let since = facts.rearmed_at.unwrap_or(Timestamp(0)).max(now.plus(-WINDOW));
    Ok(Some(Budget::new(bounds, spent(tx, &channel.name, me, since, now)?, now)))
}

fn spent(
    tx: &mut Tx<'_>,
    channel: &str,
    me: Option<&str>,
    since: Timestamp,
    now: Timestamp,
) -> Result<QuotaUsage, StoreError> {
    let until = now.plus(AHEAD);
    let fullest = tx.query_one(
        "SELECT a.receiver, COUNT(*) FROM messages m JOIN attempts a ON a.message_id = m.id
         WHERE m.channel = $1 AND m.at > $2 AND m.at <= $3 AND a.outcome = 'accepted'
         GROUP BY a.receiver ORDER BY COUNT(*) DESC, a.receiver LIMIT 1",
        values![channel, since, until],
    )?;
    let mut spent = QuotaUsage::default();
    if let Some(fullest) = fullest {
        let rows = tx.query(
            "SELECT m.at, m.is_report, m.devices FROM messages m JOIN attempts a ON a.message_id = m.id
             WHERE m.channel = $1 AND m.at > $2 AND m.at <= $3 AND a.outcome = 'accepted' AND a.receiver = $4 ORDER BY m.at",
            values![channel, since, until, fullest.text(0)?],
        )?;
        spent.at = rows.iter().map(|row| row.at(0)).collect::<Result<_, _>>()?;
        spent.has_report = rows.iter().any(|row| row.int(1).is_ok_and(|n| n == 1));
        for row in &rows {
            // A message of an earlier version names no device. Whose one was that nobody can read only decides who is told first: it
            // keeps no message back.
            let devices: Vec<String> = row.json(2).unwrap_or_default();
            for device in devices {
                spent.told.entry(device).or_default().push(row.at(0)?);
            }
        }
    }
    let calling = tx.query_one(
        "SELECT COUNT(DISTINCT claim) FROM outbox
         WHERE channel = $1 AND done_at IS NULL AND claim IS NOT NULL AND claim <> $2 AND claimed_until > $3",
        values![channel, me.unwrap_or_default(), now],
    )?;
    spent.n_calling = calling.map_or(Ok(0), |row| row.count(0))?;
    Ok(spent)
}

/// Why a row has not left yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// It is the next to go.
    Turn,
    /// It is being sent.
    Call {
        /// If whoever sends it is gone, it is free then.
        until: Timestamp,
    },
    /// The channel's credential, or every receiver, was refused: one probe then.
    Pause {
        /// The next probe.
        until: Option<Timestamp>,
        /// What the service said.
        why: Option<String>,
    },
    /// The channel does not take anything now.
    BackOff {
        /// It is called again then; a new first sign cuts that to 30 s.
        until: Timestamp,
        /// What the service said.
        why: Option<String>,
    },
    /// The channel's messages of the day are spent, or what is left is kept for what is worse.
    Budget {
        /// Messages of this day.
        used: u64,
        /// Of so many.
        per_day: u64,
        /// It may begin a message of its own then; with another's it goes earlier.
        until: Timestamp,
    },
    /// It is no news that may ring in quiet hours.
    Quiet {
        /// They end then; with another message it goes earlier.
        until: Timestamp,
    },
    /// Somebody has accepted it, and these have not.
    Receivers {
        /// Who.
        left: Vec<String>,
        /// They are tried again then.
        until: Option<Timestamp>,
    },
    /// Its message was refused while others are taken: it goes after them.
    Refused {
        /// It is tried again then.
        until: Option<Timestamp>,
    },
    /// The channel is not in the configuration: it waits for its return.
    Gone,
}

impl WaitReason {
    /// For a terminal; `time` writes an instant.
    pub fn words(&self, language: Language, time: impl Fn(Timestamp) -> String) -> String {
        let say = |english, arguments: &[&str]| language.sentence(english, arguments);
        let then =
            |until: &Option<Timestamp>| until.map_or_else(String::new, |at| say(", tried again {1}", &[&time(at)]));
        let said = |why: &Option<String>| why.as_ref().map_or_else(String::new, |why| language.labelled("", why));
        match self {
            WaitReason::Turn => say("the next to go", &[]),
            WaitReason::Call { until } => say("is being sent (until {1} at the latest)", &[&time(*until)]),
            WaitReason::Pause { until, why } => {
                say("the channel is paused{1}{2}; or `olog-hub channel rearm`", &[&said(why), &then(until)])
            }
            WaitReason::BackOff { until, why } => {
                say("the channel does not take anything{1}, tried again {2}", &[&said(why), &time(*until)])
            }
            WaitReason::Budget { used, per_day, until } => say(
                "{1} of {2} messages of the day are sent: it goes with the next message, or by itself {3}",
                &[&used.to_string(), &per_day.to_string(), &time(*until)],
            ),
            WaitReason::Quiet { until } => {
                say("quiet hours: it goes with the next message, or by itself {1}", &[&time(*until)])
            }
            WaitReason::Receivers { left, until } => {
                say("accepted, but not yet by {1}{2}", &[&left.join(", "), &then(until)])
            }
            WaitReason::Refused { until } => {
                say("refused while others are accepted: it goes after them{1}", &[&then(until)])
            }
            WaitReason::Gone => say("the channel is not in the configuration: given up after 7 days", &[]),
        }
    }
}

/// A row that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingRow {
    /// Its channel.
    pub channel: String,
    /// Its kind, as `only.kinds` names it.
    pub kind: String,
    /// When it was put here.
    pub made_at: Timestamp,
    /// Calls that have carried it.
    pub n_attempts: u64,
    /// Why it waits.
    pub waits: WaitReason,
}

/// The rows of an incident that wait, the oldest first, at most `limit`; and why each does.
pub fn waiting_of(
    tx: &mut Tx<'_>,
    incident: u64,
    configured: &[Arc<Channel>],
    quiet_until: Option<Timestamp>,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<WaitingRow>, StoreError> {
    let rows = tx.query(
        "SELECT channel, kind, made_at, n_attempts, place, urgency, receivers, claim, claimed_until, notice FROM outbox
         WHERE incident_id = $1 AND done_at IS NULL ORDER BY id LIMIT $2",
        values![incident, limit],
    )?;
    let row = |row: &Row| {
        let name = row.text(0)?;
        let waits = match configured.iter().find(|channel| channel.name == name) {
            Some(channel) => why(tx, row, channel, quiet_until, now)?,
            None => WaitReason::Gone,
        };
        Ok(WaitingRow {
            channel: name.to_owned(),
            kind: row.text(1)?.to_owned(),
            made_at: row.at(2)?,
            n_attempts: row.count(3)?,
            waits,
        })
    };
    rows.iter().map(row).collect()
}

/// Why this row waits; `None`: it does not.
pub fn why_waits(
    tx: &mut Tx<'_>,
    id: i64,
    configured: &[Arc<Channel>],
    quiet_until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<WaitReason>, StoreError> {
    let row = tx.query_one(
        "SELECT channel, kind, made_at, n_attempts, place, urgency, receivers, claim, claimed_until, notice FROM outbox
         WHERE id = $1 AND done_at IS NULL",
        values![id],
    )?;
    let Some(row) = row else { return Ok(None) };
    let name = row.text(0)?;
    match configured.iter().find(|channel| channel.name == name) {
        Some(channel) => why(tx, &row, channel, quiet_until, now).map(Some),
        None => Ok(Some(WaitReason::Gone)),
    }
}

/// In the order in which a dispatcher asks. The columns are those of [`waiting_of`].
fn why(
    tx: &mut Tx<'_>,
    row: &Row,
    channel: &Channel,
    quiet_until: Option<Timestamp>,
    now: Timestamp,
) -> Result<WaitReason, StoreError> {
    let held = row.at_or_null(8)?.filter(|until| *until > now);
    if let (Some(until), Some(_)) = (held, row.text_or_null(7)?) {
        return Ok(WaitReason::Call { until });
    }
    let facts = super::channel(tx, &channel.name)?;
    if facts.paused_at.is_some() {
        return Ok(WaitReason::Pause { until: facts.next_at.filter(|at| *at > now), why: facts.why });
    }
    if let Some(until) = facts.next_at.filter(|at| *at > now) {
        return Ok(WaitReason::BackOff { until, why: facts.why });
    }
    if row.text_or_null(6)?.is_some() {
        return Ok(WaitReason::Receivers { left: row.json(6).unwrap_or_default(), until: held });
    }
    if RetryTier::of(row.int(4)?) != RetryTier::Fresh {
        return Ok(WaitReason::Refused { until: held });
    }
    let urgency = Urgency::from(row.int(5)?);
    if let Some(budget) = budget(tx, channel, &facts, None, now)? {
        let device = row.json::<OfDevice>(9).ok().and_then(|of| of.device).unwrap_or_default();
        let until = budget.device_at(urgency, &device);
        if until > now {
            return Ok(WaitReason::Budget { used: budget.used(), per_day: budget.per_day(), until });
        }
    }
    match quiet_until.filter(|_| !quiet::rings(urgency, row.at(2).unwrap_or(now), now)) {
        Some(until) => Ok(WaitReason::Quiet { until }),
        None => Ok(WaitReason::Turn),
    }
}

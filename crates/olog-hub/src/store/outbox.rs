//! The outbox: notifications that a channel has not accepted, and the ledger of every call.
//!
//! A row waits until each receiver of its channel has accepted it or was refused for good. Whoever sends holds it by a
//! *claim* that expires, so that a dispatcher which dies loses nothing; what went together in one call is a *message*, and
//! what the service said of each receiver is an *attempt*.

mod messages;
mod waiting;

use olog_proto::Timestamp;
use olog_push::{Content, Kind, Notice};
use serde::{Deserialize, Serialize};

use super::changes::Change;
use super::{EARLIEST, Row, StoreError, Tx, Value, set_aside};
use crate::rules::budget::{NEWS_FOR, Urgency};
use crate::values;

pub use messages::{DEVICES_MAX, NewMessage, put_attempt, put_message};
pub use waiting::{
    Candidate, WaitReason, Waiting, WaitingRow, budget, candidates, devices_of, last, n_waiting, waiting, waiting_of,
    why_waits,
};

/// A row that somebody holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Claimed {
    /// Its number.
    pub id: i64,
    /// What there is to tell.
    pub notice: Notice,
    /// Who is left to accept it; `None`: everybody.
    pub left: Option<Vec<String>>,
    /// Where it stands.
    pub place: RetryTier,
    /// How many calls have carried it.
    pub n_attempts: u32,
}

/// Where a row stands among those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryTier {
    /// With the others.
    Fresh,
    /// After the others, with its like: its message was refused, or somebody has accepted it and somebody not yet.
    After,
    /// After those, with a few: their message was refused again.
    Few,
    /// After those, by itself.
    Alone,
}

/// Rows that go together from [`RetryTier::Few`].
const RETRY_GROUP: usize = 30;

impl RetryTier {
    fn of(n: i64) -> RetryTier {
        match n {
            0 => RetryTier::Fresh,
            1 => RetryTier::After,
            2 => RetryTier::Few,
            _ => RetryTier::Alone,
        }
    }

    /// How many rows one message takes from here.
    fn holds(self) -> usize {
        match self {
            RetryTier::Fresh | RetryTier::After => usize::MAX,
            RetryTier::Few => RETRY_GROUP,
            RetryTier::Alone => 1,
        }
    }

    /// Where rows stand whose message of `n` was refused here while others were taken: so one in thousands is found in some
    /// dozens of calls.
    #[must_use]
    pub fn next_tier(self, n: usize) -> RetryTier {
        match self {
            RetryTier::Fresh => RetryTier::After,
            RetryTier::After if n > RETRY_GROUP => RetryTier::Few,
            RetryTier::After | RetryTier::Few | RetryTier::Alone => RetryTier::Alone,
        }
    }
}

/// What a row waits for that stays.
#[derive(Debug)]
pub struct Wait<'a> {
    /// Who is left to accept it; `None`: everybody.
    pub left: Option<&'a [String]>,
    /// Where it stands from now on.
    pub place: RetryTier,
    /// No call before, of its own.
    pub not_before: Option<Timestamp>,
}

/// What is remembered of a channel between two calls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ChannelFacts {
    /// No call before.
    pub next_at: Option<Timestamp>,
    /// Calls in a row that were not accepted.
    pub n_failed: u32,
    /// Since when.
    pub failing_at: Option<Timestamp>,
    /// Its credential was refused, since then: one probe each 15 min.
    pub paused_at: Option<Timestamp>,
    /// What the service said last that was no yes.
    pub why: Option<String>,
    /// Receivers that were refused for good.
    pub refused: Vec<String>,
    /// The settings under which all this was found.
    pub config: Option<String>,
    /// What was sent before does not count against its budget: a person wrote to the bot then.
    pub rearmed_at: Option<Timestamp>,
    /// Rows up to this one have waited for its budget.
    pub held_through: Option<i64>,
}

impl ChannelFacts {
    /// What stays when all is well: of its troubles only who was refused for good.
    #[must_use]
    pub fn after_success(&self) -> ChannelFacts {
        ChannelFacts {
            refused: self.refused.clone(),
            config: self.config.clone(),
            rearmed_at: self.rearmed_at,
            ..ChannelFacts::default()
        }
    }

    /// What stays when everything may be tried again: since when it fails, for that is told when it is over.
    #[must_use]
    pub fn after_rearm(&self) -> ChannelFacts {
        ChannelFacts {
            refused: Vec::new(),
            failing_at: self.failing_at,
            held_through: self.held_through,
            ..self.after_success()
        }
    }
}

/// How a row left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowEnd {
    /// Everybody who was not refused has accepted it.
    Accepted,
    /// Nobody will ever take it.
    Refused,
}

impl RowEnd {
    fn as_str(self) -> &'static str {
        match self {
            RowEnd::Accepted => "accepted",
            RowEnd::Refused => "refused",
        }
    }
}

/// On record for these channels, and not told: this silence holds it back. Such a row is done at once, its outcome is
/// `silenced`, and `silence_id` names the silence.
pub fn put_held(
    tx: &mut Tx<'_>,
    channels: &[String],
    notice: &Notice,
    silence: u64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (body, kind) = columns(notice)?;
    notice.incident.into_iter().for_each(|incident| tx.changed(Change::Notification(incident)));
    for channel in channels {
        tx.execute(
            "INSERT INTO outbox (channel, kind, incident_id, is_first, made_at, notice, done_at, outcome, silence_id)
             VALUES ($1, $2, $3, 0, $4, $5, $4, 'silenced', $6)",
            &[channel.as_str().into(), kind.clone(), notice.incident.into(), now.into(), body.clone(), silence.into()],
        )?;
    }
    Ok(())
}

/// A notice as it is stored: itself, and its kind.
fn columns(notice: &Notice) -> Result<(Value, Value), StoreError> {
    let kind = serde_json::to_value(notice.kind).map_err(|e| StoreError::Refused(e.to_string()))?;
    Ok((Value::json(notice)?, kind.as_str().unwrap_or_default().into()))
}

/// Puts a notice into the outbox of these channels. `is_first`: the first sign of an incident.
///
/// Good news of something that a channel has not pushed lately is old news to it ([`NEWS_FOR`]).
pub fn put(
    tx: &mut Tx<'_>,
    channels: &[String],
    notice: &Notice,
    is_first: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    if channels.is_empty() {
        return Ok(());
    }
    let (body, kind) = columns(notice)?;
    notice.incident.into_iter().for_each(|incident| tx.changed(Change::Notification(incident)));
    for channel in channels {
        let mut urgency = Urgency::of(notice, is_first);
        if let (Urgency::CanWait, Some(incident), true) = (urgency, notice.incident, notice.kind != Kind::Msg)
            && !is_news(tx, channel, incident, now)?
        {
            urgency = Urgency::OldNews;
        }
        tx.execute(
            "INSERT INTO outbox (channel, kind, incident_id, is_first, urgency, made_at, notice, device, turn)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8,
               COALESCE((SELECT MAX(turn) + 1 FROM outbox WHERE channel = $1 AND device = $8 AND done_at IS NULL), 0))",
            &[
                channel.as_str().into(),
                kind.clone(),
                notice.incident.into(),
                is_first.into(),
                i64::from(urgency).into(),
                now.into(),
                body.clone(),
                notice.device.clone().into(),
            ],
        )?;
        if let Some(incident) = notice.incident.filter(|_| is_end(notice)) {
            // Its begin, if that still waits, is told with it: what is over wakes nobody and takes no slot of its own.
            tx.execute(
                "UPDATE outbox SET urgency = $3 WHERE incident_id = $1 AND channel = $2 AND done_at IS NULL AND claim IS NULL
                 AND kind IN ('err', 'lost')",
                values![incident, channel.as_str(), i64::from(Urgency::CanWait)],
            )?;
        }
    }
    Ok(())
}

/// Is the incident over with this?
fn is_end(notice: &Notice) -> bool {
    match &notice.content {
        Content::Over { .. } | Content::TaskCame { .. } => true,
        Content::DevicesBack { missing, .. } => missing.is_empty(),
        _ => false,
    }
}

/// Was trouble of this incident pushed through the channel within [`NEWS_FOR`], or does it still wait for it?
fn is_news(tx: &mut Tx<'_>, channel: &str, incident: u64, now: Timestamp) -> Result<bool, StoreError> {
    let row = tx.query_one(
        "SELECT id FROM outbox WHERE incident_id = $1 AND channel = $2 AND kind IN ('err', 'lost', 'system')
         AND (done_at IS NULL OR (outcome = 'accepted' AND done_at > $3)) LIMIT 1",
        values![incident, channel, now.plus(-NEWS_FOR)],
    )?;
    Ok(row.is_some())
}

/// A report was accepted: what it has told is not told again. Recoveries and reminders that were put here until the report was made
/// leave, except a recovery whose failure still waits: the two go together. Gives how many left.
pub fn told_by_report(
    tx: &mut Tx<'_>,
    channel: &str,
    message: i64,
    made_at: Timestamp,
    now: Timestamp,
) -> Result<u64, StoreError> {
    tx.execute(
        "UPDATE outbox SET done_at = $4, outcome = 'reported', message_id = $2, claim = NULL, claimed_until = NULL
         WHERE channel = $1 AND done_at IS NULL AND claim IS NULL AND made_at <= $3
         AND kind IN ('over', 'back', 'remind') AND NOT EXISTS (
           SELECT 1 FROM outbox o WHERE o.incident_id = outbox.incident_id AND o.channel = $1 AND o.done_at IS NULL
             AND o.kind IN ('err', 'lost'))",
        values![channel, message, made_at, now],
    )
}

/// The row that was put last for this channel: asked in the transaction that put it.
pub fn latest(tx: &mut Tx<'_>, channel: &str) -> Result<i64, StoreError> {
    let row = tx.query_one("SELECT MAX(id) FROM outbox WHERE channel = $1", values![channel])?;
    row.map_or(Ok(0), |row| row.int(0))
}

/// Has the row left, and what did the services say to the message it last went with?
pub fn sent(tx: &mut Tx<'_>, id: i64) -> Result<(bool, Vec<Attempt>), StoreError> {
    let row = tx.query_one("SELECT done_at, message_id FROM outbox WHERE id = $1", values![id])?;
    let Some(row) = row else { return Ok((true, Vec::new())) };
    let Some(message) = row.int_or_null(1)? else { return Ok((false, Vec::new())) };
    let attempts = tx.query(
        "SELECT m.id, m.title, m.channel, a.receiver, a.at, a.outcome, a.answer FROM attempts a
         JOIN messages m ON m.id = a.message_id WHERE m.id = $1 ORDER BY a.receiver",
        values![message],
    )?;
    Ok((row.at_or_null(0)?.is_some(), attempts.iter().map(attempt).collect::<Result<_, _>>()?))
}

/// Which of the rows that wait are claimed.
#[derive(Debug, Clone, Copy)]
pub struct ClaimFilter {
    /// Only those that stand here; `None`: the first place where any stand.
    pub place: Option<RetryTier>,
    /// Only of this urgency.
    pub only: Option<Urgency>,
    /// At most so many.
    pub limit: u32,
}

/// Holds what waits for a channel until `until`: by place, then the most urgent, then by turns of the devices, then the oldest first.
/// A device with many rows does not keep back the first row of another one: a row's turn is how many of its device waited when it came.
///
/// All rows of one claim stand in the same place and have the same receivers left; a row that goes alone comes alone.
pub fn claim(
    tx: &mut Tx<'_>,
    channel: &str,
    by: &str,
    now: Timestamp,
    until: Timestamp,
    pick: ClaimFilter,
) -> Result<Vec<Claimed>, StoreError> {
    let mut values = vec![channel.into(), now.into(), pick.limit.into()];
    let mut which = String::new();
    for (column, value) in [("place", pick.place.map(|p| p as i64)), ("urgency", pick.only.map(i64::from))] {
        if let Some(value) = value {
            values.push(value.into());
            which.push_str(&format!(" AND {column} = ${}", values.len()));
        }
    }
    let sql = format!(
        "SELECT id, notice, receivers, place, n_attempts FROM outbox
         WHERE channel = $1 AND done_at IS NULL AND (claimed_until IS NULL OR claimed_until <= $2){which}
         ORDER BY place, urgency, turn, id LIMIT $3 FOR UPDATE SKIP LOCKED"
    );
    loop {
        let rows = tx.query(&sql, &values)?;
        let (claimed, n_unreadable) = readable(tx, channel, &rows, now)?;
        if claimed.is_empty() && n_unreadable > 0 {
            // Behind rows that cannot be read others may wait.
            continue;
        }
        hold(tx, &ids(&claimed), Some((by, until)))?;
        return Ok(claimed);
    }
}

/// Of rows in the order of a claim those that go together. A row that cannot be read is set aside.
fn readable(tx: &mut Tx<'_>, channel: &str, rows: &[Row], now: Timestamp) -> Result<(Vec<Claimed>, usize), StoreError> {
    let mut claimed: Vec<Claimed> = Vec::with_capacity(rows.len());
    let mut n_unreadable = 0;
    for row in rows {
        let id = row.int(0)?;
        let left: Result<Option<Vec<String>>, StoreError> = row.text_or_null(2)?.map(|_| row.json(2)).transpose();
        let left = match left {
            Ok(left) => left,
            Err(why) => {
                unreadable(tx, id, channel, &why, now)?;
                n_unreadable += 1;
                continue;
            }
        };
        let place = RetryTier::of(row.int(3)?);
        if claimed.first().is_some_and(|first| first.left != left || first.place != place) {
            continue;
        }
        let notice = match row.json(1) {
            Ok(notice) => notice,
            Err(why) => {
                unreadable(tx, id, channel, &why, now)?;
                n_unreadable += 1;
                continue;
            }
        };
        let n_attempts = u32::try_from(row.int(4)?).unwrap_or(u32::MAX);
        claimed.push(Claimed { id, notice, left, place, n_attempts });
        if claimed.len() >= place.holds() {
            break;
        }
    }
    Ok((claimed, n_unreadable))
}

/// A row that this version cannot read leaves the queue and stays in its table: a later version can send it.
fn unreadable(tx: &mut Tx<'_>, id: i64, channel: &str, why: &StoreError, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE outbox SET done_at = $2, outcome = 'unreadable', claim = NULL, claimed_until = NULL WHERE id = $1",
        values![id, now],
    )?;
    let kind = set_aside::Kind::Notification;
    set_aside::put(
        tx,
        &set_aside::UnreadableValue { kind, row: id, name: channel, value: None, why: &why.to_string() },
        now,
    )
}

/// The ids of claimed rows.
pub fn ids(claimed: &[Claimed]) -> Vec<i64> {
    claimed.iter().map(|row| row.id).collect()
}

/// Lets rows go that will not be sent with this call.
pub fn release(tx: &mut Tx<'_>, ids: &[i64]) -> Result<(), StoreError> {
    hold(tx, ids, None)
}

fn hold(tx: &mut Tx<'_>, ids: &[i64], by: Option<(&str, Timestamp)>) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE outbox SET claim = $2, claimed_until = $3 WHERE id IN (SELECT value FROM json_list($1))",
        &[Value::json(&ids)?, by.map(|(by, _)| by).into(), by.map(|(_, until)| until).into()],
    )?;
    Ok(())
}

/// Claims that nobody can hold any more, because whoever claimed was a process that is gone: free at once.
pub fn release_all(tx: &mut Tx<'_>, channel: &str) -> Result<u64, StoreError> {
    tx.execute(
        "UPDATE outbox SET claim = NULL, claimed_until = NULL WHERE channel = $1 AND done_at IS NULL AND claim IS NOT NULL",
        values![channel],
    )
}

/// Does a first sign wait that was put here since the last call?
pub fn new_first_waits(tx: &mut Tx<'_>, channel: &str) -> Result<bool, StoreError> {
    let row = tx.query_one(
        "SELECT id FROM outbox WHERE channel = $1 AND done_at IS NULL AND is_first = 1
         AND made_at >= COALESCE((SELECT MAX(at) FROM messages WHERE channel = $1), 0) LIMIT 1",
        values![channel],
    )?;
    Ok(row.is_some())
}

/// Does anything wait for this channel, and until when is all of it held?
pub fn waits_until(tx: &mut Tx<'_>, channel: &str) -> Result<Option<Timestamp>, StoreError> {
    let row = tx.query_one(
        "SELECT MIN(COALESCE(claimed_until, 0)) FROM outbox WHERE channel = $1 AND done_at IS NULL",
        values![channel],
    )?;
    row.map_or(Ok(None), |row| row.at_or_null(0))
}

/// Rows leave.
pub fn done(tx: &mut Tx<'_>, ids: &[i64], message: i64, outcome: RowEnd, at: Timestamp) -> Result<(), StoreError> {
    let answered = tx.query(
        "UPDATE outbox SET done_at = $2, outcome = $3, message_id = $4, claim = NULL, claimed_until = NULL,
         n_attempts = n_attempts + 1 WHERE id IN (SELECT value FROM json_list($1)) RETURNING incident_id",
        &[Value::json(&ids)?, at.into(), outcome.as_str().into(), message.into()],
    )?;
    messages::notifications_changed(tx, &answered)
}

/// Rows wait on.
pub fn wait_on(tx: &mut Tx<'_>, ids: &[i64], message: i64, wait: &Wait<'_>) -> Result<(), StoreError> {
    let left = wait.left.map(|left| Value::json(&left)).transpose()?.unwrap_or(Value::Null);
    let answered = tx.query(
        "UPDATE outbox SET receivers = $2, message_id = $3, claim = NULL, claimed_until = $4,
         n_attempts = n_attempts + 1, place = $5 WHERE id IN (SELECT value FROM json_list($1)) RETURNING incident_id",
        &[Value::json(&ids)?, left, message.into(), wait.not_before.into(), (wait.place as i64).into()],
    )?;
    messages::notifications_changed(tx, &answered)
}

/// What a channel was refused for is forgotten, and everything may be tried at once.
pub fn try_again(tx: &mut Tx<'_>, channel: &str) -> Result<(), StoreError> {
    let facts = self::channel(tx, channel)?;
    set_channel(tx, channel, &facts.after_rearm())?;
    tx.execute(
        "UPDATE outbox SET claimed_until = NULL WHERE channel = $1 AND done_at IS NULL AND claim IS NULL",
        values![channel],
    )?;
    Ok(())
}

/// A person says that the channel is well, and has written to its bot: as [`try_again`], and its budget is whole.
pub fn rearm(tx: &mut Tx<'_>, channel: &str, now: Timestamp) -> Result<(), StoreError> {
    try_again(tx, channel)?;
    let facts = self::channel(tx, channel)?;
    set_channel(tx, channel, &ChannelFacts { rearmed_at: Some(now), ..facts })
}

/// Gives up what was put here before `before`; how many, by channel.
/// A row from before [`EARLIEST`] was made by a clock that was not set yet: it is not old, and stays.
pub fn expire(tx: &mut Tx<'_>, before: Timestamp, now: Timestamp) -> Result<Vec<(String, u64)>, StoreError> {
    let rows = tx.query(
        "SELECT channel, COUNT(*) FROM outbox WHERE done_at IS NULL AND made_at < $1 AND made_at >= $2
         GROUP BY channel ORDER BY channel",
        values![before, EARLIEST],
    )?;
    tx.execute(
        "UPDATE outbox SET done_at = $2, outcome = 'expired', claim = NULL, claimed_until = NULL
         WHERE done_at IS NULL AND made_at < $1 AND made_at >= $3",
        values![before, now, EARLIEST],
    )?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.count(1)?))).collect()
}

/// One step of the clean-up: rows that left before `before`, and messages that were sent before it and that no row
/// names any more. True if there may be more.
pub fn sweep(tx: &mut Tx<'_>, before: Timestamp, limit: u32) -> Result<bool, StoreError> {
    let rows = tx.execute(
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE done_at < $1 ORDER BY id LIMIT $2)",
        values![before, limit],
    )?;
    let old = "SELECT id FROM messages WHERE at < $1 ORDER BY id LIMIT $2";
    tx.execute(&format!("DELETE FROM attempts WHERE message_id IN ({old})"), values![before, limit])?;
    let messages = tx.execute(&format!("DELETE FROM messages WHERE id IN ({old})"), values![before, limit])?;
    Ok(rows == u64::from(limit) || messages == u64::from(limit))
}

/// What is remembered of a channel.
pub fn channel(tx: &mut Tx<'_>, name: &str) -> Result<ChannelFacts, StoreError> {
    let row = tx.query_one(
        "SELECT next_at, n_failed, failing_at, paused_at, why, refused, config, rearmed_at, held_through
         FROM channels WHERE name = $1",
        values![name],
    )?;
    let Some(row) = row else { return Ok(ChannelFacts::default()) };
    Ok(ChannelFacts {
        next_at: row.at_or_null(0)?,
        n_failed: u32::try_from(row.int(1)?).unwrap_or(u32::MAX),
        failing_at: row.at_or_null(2)?,
        paused_at: row.at_or_null(3)?,
        why: row.text_or_null(4)?.map(str::to_owned),
        // In doubt a receiver is tried again.
        refused: row.text_or_null(5)?.and_then(|_| row.json(5).ok()).unwrap_or_default(),
        config: row.text_or_null(6)?.map(str::to_owned),
        rearmed_at: row.at_or_null(7)?,
        held_through: row.int_or_null(8)?,
    })
}

/// Writes what is remembered of a channel.
pub fn set_channel(tx: &mut Tx<'_>, name: &str, facts: &ChannelFacts) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO channels (name, next_at, n_failed, failing_at, paused_at, why, refused, config, rearmed_at, held_through)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (name) DO UPDATE SET next_at = $2, n_failed = $3, failing_at = $4, paused_at = $5, why = $6,
         refused = $7, config = $8, rearmed_at = $9, held_through = $10",
        &[
            name.into(),
            facts.next_at.into(),
            facts.n_failed.into(),
            facts.failing_at.into(),
            facts.paused_at.into(),
            facts.why.clone().into(),
            Value::json(&facts.refused)?,
            facts.config.clone().into(),
            facts.rearmed_at.into(),
            facts.held_through.into(),
        ],
    )?;
    Ok(())
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Attempt {
    /// The message.
    pub message: i64,
    /// Its title.
    pub title: String,
    /// The channel.
    pub channel: String,
    /// The receiver.
    pub receiver: String,
    /// When it was sent.
    pub at: Timestamp,
    /// `accepted`, `later` or `refused`.
    pub outcome: String,
    /// The service's own words.
    pub answer: String,
}

/// What was sent of an incident and what the services said, the latest first; at most `limit`.
pub fn attempts_of(tx: &mut Tx<'_>, incident: u64, limit: u32) -> Result<Vec<Attempt>, StoreError> {
    let rows = tx.query(
        "SELECT m.id, m.title, m.channel, a.receiver, a.at, a.outcome, a.answer FROM attempts a
         JOIN messages m ON m.id = a.message_id
         WHERE m.id IN (SELECT message_id FROM outbox WHERE incident_id = $1)
         ORDER BY m.id DESC, a.receiver LIMIT $2",
        values![incident, limit],
    )?;
    rows.iter().map(attempt).collect()
}

pub(super) fn attempt(row: &super::Row) -> Result<Attempt, StoreError> {
    Ok(Attempt {
        message: row.int(0)?,
        title: row.text(1)?.to_owned(),
        channel: row.text(2)?.to_owned(),
        receiver: row.text(3)?.to_owned(),
        at: row.at(4)?,
        outcome: row.text(5)?.to_owned(),
        answer: row.text(6)?.to_owned(),
    })
}

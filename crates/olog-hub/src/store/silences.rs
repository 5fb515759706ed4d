//! Silences, and the notifications that they hold back: for each incident the last one that matters (`rules::silence::step`).
//!
//! The silences that are not over are read and their schedules parsed once for each transaction ([`kept`]).

use std::sync::Arc;

use olog_daemon::config::show_span;
use olog_proto::{Fingerprint, Timestamp};
use olog_push::Notice;
use serde::{Deserialize, Serialize};

use super::changes::Change;
use super::{Row, StoreError, Tx, Value, set_aside};
use crate::rules::silence::{Period, Recurrence, Scope, Silence, SuppressedState};
use crate::values;

/// A silence that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// What it holds back.
    pub scope: Scope,
    /// When; of windows the first.
    pub period: Period,
    /// Its windows, if they come again.
    pub every: Option<Recurrence>,
    /// What for.
    pub comment: String,
    /// Who made it.
    pub made_by: String,
}

/// A silence as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ListedSilence {
    /// Its number.
    pub id: u64,
    /// Of devices whose name matches.
    pub device: String,
    /// Of tasks whose name matches; `None`: of the devices themselves too.
    pub task: Option<String>,
    /// Only this error.
    pub fingerprint: Option<String>,
    /// From when on; of windows the one that is now, or the next.
    pub from_at: Timestamp,
    /// Until when.
    pub until_at: Option<Timestamp>,
    /// Its windows begin then, as crontab(5) has it.
    pub every: Option<String>,
    /// How long one lasts, like `3h`.
    pub lasts: Option<String>,
    /// Of which time zone the schedule is.
    pub zone: Option<String>,
    /// Does it hold now?
    pub is_now: bool,
    /// Incidents that are told when it ends, unless they are over by then.
    pub n_held: u64,
    /// What for.
    pub comment: String,
    /// Who made it.
    pub made_by: String,
    /// When.
    pub made_at: Timestamp,
    /// When a person ended it.
    pub ended_at: Option<Timestamp>,
}

/// What a held notification is about: an incident, or one device of it; without an incident a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeldKey {
    /// The incident; 0: none.
    pub incident: u64,
    /// The device of an incident that may have several, or the task; else 0.
    pub about: i64,
}

/// A notification that is held back, and what the user knows of its incident.
#[derive(Debug, Clone, PartialEq)]
pub struct SuppressedRow {
    /// What the user knows of it.
    pub held: SuppressedState,
    /// What was to be told.
    pub notice: Notice,
    /// The errors that it tells of.
    pub fingerprints: Vec<Fingerprint>,
}

const RULE: &str = "id, device, task, fingerprint, from_at, until_at, every, lasts, zone";
const KEPT: &str =
    "ended_at IS NULL AND released_at IS NULL AND (until_at IS NULL OR until_at > $1 OR every IS NOT NULL)";

/// Those that are not over: read once for each transaction.
pub fn kept(tx: &mut Tx<'_>, now: Timestamp) -> Result<Arc<[Silence]>, StoreError> {
    if let Some(kept) = &tx.silences {
        return Ok(kept.clone());
    }
    let rows = tx.query(&format!("SELECT {RULE} FROM silences WHERE {KEPT} ORDER BY id"), values![now])?;
    let kept: Arc<[Silence]> = rows.iter().map(silence).collect::<Result<_, _>>()?;
    tx.silences = Some(kept.clone());
    Ok(kept)
}

fn silence(row: &Row) -> Result<Silence, StoreError> {
    let id = row.count(0)?;
    let scope = Scope {
        device: row.text(1)?.to_owned(),
        task: row.text_or_null(2)?.map(str::to_owned),
        fingerprint: row.int_or_null(3)?.map(|n| Fingerprint(n.cast_unsigned())),
    };
    let period = Period { from: row.at(4)?, until: row.at_or_null(5)? };
    let every = match (row.text_or_null(6)?, row.int_or_null(7)?, row.text_or_null(8)?) {
        (Some(text), Some(lasts), Some(zone)) => match (text.parse(), zone.parse()) {
            (Ok(schedule), Ok(zone)) => Some(Recurrence { schedule, zone, lasts }),
            // Its last window is over some day, and then it holds nothing: in doubt a person is told.
            _ => {
                tracing::error!(silence = id, text, zone, "the schedule of a silence is not understood any more");
                None
            }
        },
        _ => None,
    };
    Ok(Silence { id, scope, period, every })
}

/// How many are not over.
pub fn count(tx: &mut Tx<'_>, now: Timestamp) -> Result<u64, StoreError> {
    let row = tx.query_one(&format!("SELECT COUNT(*) FROM silences WHERE {KEPT}"), values![now])?;
    row.map_or(Ok(0), |row| row.count(0))
}

/// Makes one, and gives its number.
pub fn add(tx: &mut Tx<'_>, new: &New, now: Timestamp) -> Result<u64, StoreError> {
    tx.silences = None;
    let every = new.every.as_ref();
    let row = tx.query_one(
        "INSERT INTO silences (device, task, fingerprint, comment, made_by, made_at, from_at, until_at, every, lasts, zone)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
        &[
            new.scope.device.as_str().into(),
            new.scope.task.clone().into(),
            new.scope.fingerprint.map(|f| f.0).into(),
            new.comment.as_str().into(),
            new.made_by.as_str().into(),
            now.into(),
            new.period.from.into(),
            new.period.until.into(),
            every.map(|e| e.schedule.to_string()).into(),
            every.map(|e| e.lasts).into(),
            every.map(|e| e.zone.name()).into(),
        ],
    )?;
    let id = row.ok_or_else(|| StoreError::Row("no number of a new silence".to_owned()))?.count(0)?;
    tx.changed(Change::Silence(id));
    Ok(id)
}

/// Ends one. False: there is none of that number, or it is over already.
pub fn end(tx: &mut Tx<'_>, id: u64, now: Timestamp) -> Result<bool, StoreError> {
    tx.silences = None;
    tx.changed(Change::Silence(id));
    Ok(tx.execute(&format!("UPDATE silences SET ended_at = $1 WHERE id = $2 AND {KEPT}"), values![now, id])? > 0)
}

/// Silences that ended, or whose window did, and whose held notifications were not looked at yet.
pub fn over(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<Silence>, StoreError> {
    let rows = tx.query(
        &format!("SELECT {RULE} FROM silences WHERE released_at IS NULL AND (ended_at IS NOT NULL OR until_at <= $1)"),
        values![now],
    )?;
    rows.iter().map(silence).collect()
}

/// What it held was told: its next window, or it is over for good.
pub fn was_released(tx: &mut Tx<'_>, id: u64, next: Option<Period>, now: Timestamp) -> Result<(), StoreError> {
    tx.silences = None;
    tx.changed(Change::Silence(id));
    match next {
        Some(period) => tx.execute(
            "UPDATE silences SET from_at = $2, until_at = $3 WHERE id = $1 AND ended_at IS NULL",
            values![id, period.from, period.until],
        )?,
        None => 0,
    };
    tx.execute(
        "UPDATE silences SET released_at = $2 WHERE id = $1 AND (ended_at IS NOT NULL OR until_at <= $2)",
        values![id, now],
    )?;
    Ok(())
}

/// When the next one ends, for good or until its next window.
pub fn next_end(tx: &mut Tx<'_>, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let row = tx.query_one(
        "SELECT MIN(until_at) FROM silences WHERE ended_at IS NULL AND released_at IS NULL AND until_at > $1",
        values![now],
    )?;
    row.map_or(Ok(None), |row| row.at_or_null(0))
}

/// As people see them, the newest first; those that are over too if `all`; at most `limit`.
pub fn list(tx: &mut Tx<'_>, all: bool, now: Timestamp, limit: u32) -> Result<Vec<ListedSilence>, StoreError> {
    list_where(tx, &format!("($2 = 1 OR ({KEPT})) ORDER BY id DESC LIMIT $3"), values![now, all, limit], now)
}

/// One, as people see it.
pub fn get(tx: &mut Tx<'_>, id: u64, now: Timestamp) -> Result<Option<ListedSilence>, StoreError> {
    Ok(list_where(tx, "id = $1", values![id], now)?.pop())
}

fn list_where(
    tx: &mut Tx<'_>,
    which: &str,
    values: &[Value],
    now: Timestamp,
) -> Result<Vec<ListedSilence>, StoreError> {
    let rows = tx.query(
        &format!(
            "SELECT {RULE}, comment, made_by, made_at, ended_at,
             (SELECT COUNT(*) FROM held h WHERE h.silence_id = silences.id) FROM silences WHERE {which}"
        ),
        values,
    )?;
    rows.iter().map(|row| listed(row, now)).collect()
}

fn listed(row: &Row, now: Timestamp) -> Result<ListedSilence, StoreError> {
    let Silence { id, scope, period, every } = silence(row)?;
    let ended_at = row.at_or_null(12)?;
    let rule = Silence { id, scope: scope.clone(), period, every: every.clone() };
    let period = if ended_at.is_none() { rule.period(now).unwrap_or(period) } else { period };
    Ok(ListedSilence {
        id,
        device: scope.device,
        task: scope.task,
        fingerprint: scope.fingerprint.map(|f| f.to_string()),
        from_at: period.from,
        until_at: period.until,
        every: every.as_ref().map(|e| e.schedule.to_string()),
        lasts: every.as_ref().map(|e| span(e.lasts)),
        zone: every.as_ref().map(|e| e.zone.name().to_owned()),
        is_now: ended_at.is_none() && period.holds(now),
        n_held: row.count(13)?,
        comment: row.text(9)?.to_owned(),
        made_by: row.text(10)?.to_owned(),
        made_at: row.at(11)?,
        ended_at,
    })
}

fn span(ms: i64) -> String {
    show_span(std::time::Duration::from_millis(ms.cast_unsigned()))
}

/// One step of the clean-up: silences that were over before `before` and hold nothing. The newest stays, for its number.
pub fn sweep(tx: &mut Tx<'_>, before: Timestamp, limit: u32) -> Result<bool, StoreError> {
    let n = tx.execute(
        "DELETE FROM silences WHERE id IN (SELECT id FROM silences
         WHERE (ended_at < $1 OR (until_at < $1 AND every IS NULL)) AND id < (SELECT MAX(id) FROM silences)
           AND id NOT IN (SELECT silence_id FROM held) ORDER BY id LIMIT $2)",
        values![before, limit],
    )?;
    Ok(n == u64::from(limit))
}

const HOLDING: &str =
    "h.incident_id, h.about_id, h.silence_id, h.knew, h.is_over, h.notice, h.fingerprints FROM held h";

/// A notification that is held back, and what the user knows of its incident.
pub fn held(tx: &mut Tx<'_>, key: HeldKey, now: Timestamp) -> Result<Option<SuppressedRow>, StoreError> {
    let row = tx.query_one(
        &format!("SELECT {HOLDING} WHERE h.incident_id = $1 AND h.about_id = $2"),
        values![key.incident, key.about],
    )?;
    let Some(row) = row else { return Ok(None) };
    match holding(&row) {
        Ok((_, holding)) => Ok(Some(holding)),
        Err(StoreError::Row(why)) => unreadable(tx, key, &row, &why, now).map(|()| None),
        Err(error) => Err(error),
    }
}

/// What was held and cannot be read is set aside: in doubt the user is told what comes next.
fn unreadable(tx: &mut Tx<'_>, key: HeldKey, row: &Row, why: &str, now: Timestamp) -> Result<(), StoreError> {
    let (row_id, name) = (key.incident.cast_signed(), format!("#{}", key.incident));
    let value = row.text_or_null(5)?;
    let kind = set_aside::Kind::Suppressed;
    set_aside::put(tx, &set_aside::UnreadableValue { kind, row: row_id, name: &name, value, why }, now)?;
    let_go(tx, key)
}

/// Is anything held at all?
pub fn is_any_held(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    Ok(tx.query_one("SELECT incident_id FROM held LIMIT 1", &[])?.is_some())
}

fn holding(row: &Row) -> Result<(HeldKey, SuppressedRow), StoreError> {
    let key = HeldKey { incident: row.count(0)?, about: row.int(1)? };
    let held = SuppressedState { by: row.count(2)?, knew: row.int(3)? == 1, is_over: row.int(4)? == 1 };
    Ok((key, SuppressedRow { held, notice: row.json(5)?, fingerprints: row.json(6)? }))
}

/// Writes what is held of an incident.
pub fn hold(tx: &mut Tx<'_>, key: HeldKey, holding: &SuppressedRow) -> Result<(), StoreError> {
    let SuppressedRow { held, notice, fingerprints } = holding;
    tx.execute(
        "INSERT INTO held (incident_id, about_id, silence_id, knew, is_over, notice, fingerprints)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (incident_id, about_id) DO UPDATE SET silence_id = $3, knew = $4, is_over = $5, notice = $6,
         fingerprints = $7",
        &[
            key.incident.into(),
            key.about.into(),
            held.by.into(),
            held.knew.into(),
            held.is_over.into(),
            Value::json(notice)?,
            Value::json(fingerprints)?,
        ],
    )?;
    Ok(())
}

/// Nothing of it is held any more.
pub fn let_go(tx: &mut Tx<'_>, key: HeldKey) -> Result<(), StoreError> {
    tx.execute("DELETE FROM held WHERE incident_id = $1 AND about_id = $2", values![key.incident, key.about])?;
    Ok(())
}

/// What no silence that holds now has held back: `h` is held, `s` its silence, `$1` is now.
const LOOSE: &str =
    "(s.id IS NULL OR s.ended_at IS NOT NULL OR s.released_at IS NOT NULL OR s.from_at > $1 OR s.until_at <= $1)";

/// Is there anything that no silence holds back any more?
pub fn is_any_loose(tx: &mut Tx<'_>, now: Timestamp) -> Result<bool, StoreError> {
    let sql =
        format!("SELECT h.silence_id FROM held h LEFT JOIN silences s ON s.id = h.silence_id WHERE {LOOSE} LIMIT 1");
    Ok(tx.query_one(&sql, values![now])?.is_some())
}

/// Some of what is held.
#[derive(Debug)]
pub struct HoldingPage {
    /// In order.
    pub found: Vec<(HeldKey, SuppressedRow)>,
    /// Where the next page begins; `None`: this is the last one.
    pub next: Option<HeldKey>,
}

/// What is held, after `after`, in order: by silences that do not hold now, or `all`; at most `limit`.
pub fn holdings(
    tx: &mut Tx<'_>,
    all: bool,
    after: HeldKey,
    now: Timestamp,
    limit: u32,
) -> Result<HoldingPage, StoreError> {
    let rows = tx.query(
        &format!(
            "SELECT {HOLDING} LEFT JOIN silences s ON s.id = h.silence_id
             WHERE (h.incident_id > $2 OR (h.incident_id = $2 AND h.about_id > $3)) AND ($5 = 1 OR {LOOSE})
             ORDER BY h.incident_id, h.about_id LIMIT $4"
        ),
        values![now, after.incident, after.about, limit, all],
    )?;
    let mut page = HoldingPage { found: Vec::with_capacity(rows.len()), next: None };
    for row in &rows {
        let key = HeldKey { incident: row.count(0)?, about: row.int(1)? };
        match holding(row) {
            Ok(one) => page.found.push(one),
            Err(StoreError::Row(why)) => unreadable(tx, key, row, &why, now)?,
            Err(error) => return Err(error),
        }
        page.next = Some(key).filter(|_| rows.len() == limit as usize);
    }
    Ok(page)
}

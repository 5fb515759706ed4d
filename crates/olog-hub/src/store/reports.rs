//! Reports: what a report reads, the reports that were made, and the files that were written for them.
//!
//! A device or task that a report names for the first time is marked with the report's time; the mark takes effect once the
//! report's row exists.

use std::collections::BTreeSet;

use olog_proto::{Excerpt, Timestamp};
use olog_push::ReportFacts;
use serde::{Deserialize, Serialize};

use super::devices::{self, DeviceId};
use super::tasks::{TASK, Task, TaskId, task};
use super::value::read_json;
use super::{StoreError, Tx, Value, known_names};
use crate::rules::liveness::OfflineGroup;
use crate::rules::state::Days;
use crate::values;

/// A device, as a report reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceFacts {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// How to reach it.
    pub address: Option<String>,
    /// Of its agent.
    pub version: Option<String>,
    /// When it was last heard, as far as the store knows.
    pub heard_at: Option<Timestamp>,
    /// It is away.
    pub is_away: bool,
    /// Milliseconds that its clock is ahead.
    pub skew: Option<i64>,
    /// When it booted.
    pub booted_at: Option<Timestamp>,
    /// The name that it had.
    pub was: Option<String>,
    /// Until when it had that.
    pub renamed_at: Option<Timestamp>,
    /// When it joined.
    pub joined_at: Timestamp,
    /// A report has named it.
    pub is_known: bool,
    /// How its days went.
    pub days: Days,
    /// Its tasks.
    pub tasks: Vec<TaskOf>,
}

/// One of its tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskOf {
    /// As it is stored.
    pub task: Task,
    /// A report has named it.
    pub is_known: bool,
    /// The name that it had.
    pub was: Option<String>,
    /// Until when it had that.
    pub renamed_at: Option<Timestamp>,
}

/// An incident that is no task's and open, or any that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Affair {
    /// Its number.
    pub id: u64,
    /// `task`, `lost`, `device`, `note` or `channel`.
    pub subject: String,
    /// Its device's name.
    pub device: Option<String>,
    /// How to reach that.
    pub address: Option<String>,
    /// What it is about.
    pub name: String,
    /// Its begin.
    pub began_at: Timestamp,
    /// Its end.
    pub ended_at: Option<Timestamp>,
    /// What showed it.
    pub ground: Option<String>,
    /// How often it was seen.
    pub n_seen: u64,
    /// When a person acknowledged it.
    pub acknowledged_at: Option<Timestamp>,
    /// Its latest text.
    pub text: Option<String>,
    /// Of devices.
    pub absence: Option<OfflineGroup>,
}

/// A report that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// Its number.
    pub id: i64,
    /// Its window, from …
    pub from_at: Timestamp,
    /// … to.
    pub to_at: Timestamp,
    /// When it was made.
    pub made_at: Timestamp,
    /// Nobody guesses it.
    pub token: String,
    /// What it found.
    pub facts: ReportFacts,
    /// It was made at its time, not because a person asked.
    pub is_daily: bool,
    /// Its page is still there.
    pub has_page: bool,
}

/// A report to be kept.
#[derive(Debug, Clone)]
pub struct NewReport {
    /// Its window, from …
    pub from_at: Timestamp,
    /// … to.
    pub to_at: Timestamp,
    /// Made at its time.
    pub is_daily: bool,
    /// When it was made.
    pub made_at: Timestamp,
    /// Nobody guesses it.
    pub token: String,
    /// What it found.
    pub facts: ReportFacts,
    /// The page.
    pub page: String,
}

/// The devices after `after` by name, with all of their tasks; at most `limit` of them. Known is what was marked by `told_at`,
/// the making of the last report: a mark of a later one that was not finished does not count.
pub fn devices(tx: &mut Tx<'_>, after: &str, limit: u32, told_at: Timestamp) -> Result<Vec<DeviceFacts>, StoreError> {
    let rows = tx.query(
        "SELECT id, name, address, version, heard_at, absence_id, skew, booted_at, was, renamed_at, known_at, days, joined_at, made_at
         FROM devices WHERE state = 'joined' AND name > $1 ORDER BY name LIMIT $2",
        values![after, limit],
    )?;
    let is_imported = known_names::are_there(tx)?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let text = |i| row.text_or_null(i).map(|text| text.map(str::to_owned));
        found.push(DeviceFacts {
            id: row.int(0)?,
            name: row.text(1)?.to_owned(),
            address: text(2)?,
            version: text(3)?,
            heard_at: row.at_or_null(4)?,
            is_away: row.int_or_null(5)?.is_some(),
            skew: row.int_or_null(6)?,
            booted_at: row.at_or_null(7)?,
            was: text(8)?,
            renamed_at: row.at_or_null(9)?,
            joined_at: row.at_or_null(12)?.unwrap_or(row.at(13)?),
            is_known: row.at_or_null(10)?.is_some_and(|at| at <= told_at),
            days: row.text_or_null(11)?.and_then(|days| read_json(days).ok()).unwrap_or_default(),
            tasks: Vec::new(),
        });
    }
    for device in &mut found {
        let known = if is_imported { known_names::of_device(tx, &device.name)? } else { BTreeSet::new() };
        device.is_known |= known.contains("");
        let rows = tx.query(
            &format!("SELECT {TASK}, t.known_at, t.was, t.renamed_at FROM tasks t WHERE t.device_id = $1 AND t.is_task = 1 ORDER BY t.name"),
            values![device.id],
        )?;
        for row in &rows {
            // A row that cannot be read at all is no reason to have no report.
            let Ok(task) = task(tx, row, 0) else { continue };
            device.tasks.push(TaskOf {
                is_known: row.at_or_null(5)?.is_some_and(|at| at <= told_at) || known.contains(task.name.as_str()),
                task,
                was: row.text_or_null(6)?.map(str::to_owned),
                renamed_at: row.at_or_null(7)?,
            });
        }
    }
    Ok(found)
}

const AFFAIR: &str =
    "i.id, i.subject, d.name, d.address, i.name, i.began_at, i.ended_at, i.ground, i.n_seen, i.acknowledged_at, i.facts
     FROM incidents i LEFT JOIN devices d ON d.id = i.device_id";

/// Notes of disks that fill up: how Olog is, not what is wrong now.
const DISKS: &str = "i.subject = 'note' AND i.name LIKE 'log_dir_full %'";

/// Disks of log dirs that are nearly full, the latest first; at most `limit`.
pub fn full_disks(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<Affair>, StoreError> {
    let sql = format!("SELECT {AFFAIR} WHERE i.ended_at IS NULL AND {DISKS} ORDER BY i.id DESC LIMIT $1");
    tx.query(&sql, values![limit])?.iter().map(affair).collect()
}

/// What else is open and no task's, the oldest first; at most `limit`.
pub fn open_affairs(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<Affair>, StoreError> {
    let rows = tx.query(
        &format!(
            "SELECT {AFFAIR} WHERE i.ended_at IS NULL AND i.subject NOT IN ('task', 'lost') AND NOT ({DISKS})
             ORDER BY i.id LIMIT $1"
        ),
        values![limit],
    )?;
    rows.iter().map(affair).collect()
}

/// Incidents whose end became known after `from` and until `to`, the latest end first, at most `limit`; and how many there are.
pub fn ended(tx: &mut Tx<'_>, from: Timestamp, to: Timestamp, limit: u32) -> Result<(Vec<Affair>, u64), StoreError> {
    let known_at = "COALESCE(i.end_known_at, i.ended_at)";
    let within = format!("i.ended_at IS NOT NULL AND {known_at} > $1 AND {known_at} <= $2 AND i.subject <> 'hub'");
    let rows = tx.query(
        &format!("SELECT {AFFAIR} WHERE {within} ORDER BY i.ended_at DESC, i.id DESC LIMIT $3"),
        values![from, to, limit],
    )?;
    let n = tx.query_one(&format!("SELECT COUNT(*) FROM incidents i WHERE {within}"), values![from, to])?;
    Ok((rows.iter().map(affair).collect::<Result<_, _>>()?, n.map_or(Ok(0), |row| row.count(0))?))
}

fn affair(row: &super::Row) -> Result<Affair, StoreError> {
    #[derive(Deserialize)]
    struct Latest {
        excerpt: Option<Excerpt>,
        answer: Option<String>,
        text: Option<String>,
    }
    let text = |i| row.text_or_null(i).map(|text| text.map(str::to_owned));
    let latest: Option<Latest> = row.json(10).ok();
    Ok(Affair {
        id: row.count(0)?,
        subject: row.text(1)?.to_owned(),
        device: text(2)?,
        address: text(3)?,
        name: row.text(4)?.to_owned(),
        began_at: row.at(5)?,
        ended_at: row.at_or_null(6)?,
        ground: text(7)?,
        n_seen: row.count(8)?,
        acknowledged_at: row.at_or_null(9)?,
        text: latest.and_then(|latest| latest.excerpt.map(|excerpt| whole(&excerpt)).or(latest.answer).or(latest.text)),
        absence: (row.text(1)? == "device").then(|| row.json(10).ok()).flatten(),
    })
}

/// An excerpt's two ends.
pub fn whole(excerpt: &Excerpt) -> String {
    if excerpt.tail().is_empty() {
        return excerpt.head().to_owned();
    }
    format!("{}\n…\n{}", excerpt.head().trim_end(), excerpt.tail())
}

/// What the services said of messages of a channel in a time: accepted, refused.
pub fn answers(tx: &mut Tx<'_>, channel: &str, from: Timestamp, to: Timestamp) -> Result<(u64, u64), StoreError> {
    let rows = tx.query(
        "SELECT a.outcome, COUNT(*) FROM messages m JOIN attempts a ON a.message_id = m.id
         WHERE m.channel = $1 AND m.at > $2 AND m.at <= $3 GROUP BY a.outcome",
        values![channel, from, to],
    )?;
    let mut counts = (0, 0);
    for row in &rows {
        match row.text(0)? {
            "accepted" => counts.0 = row.count(1)?,
            "refused" => counts.1 = row.count(1)?,
            _ => {}
        }
    }
    Ok(counts)
}

/// The end of the last window.
pub fn last_window(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, StoreError> {
    let row = tx.query_one("SELECT MAX(window_to) FROM reports", &[])?;
    row.map_or(Ok(None), |row| row.at_or_null(0))
}

/// When the last daily report was made.
pub fn last_made(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, StoreError> {
    let row = tx.query_one("SELECT MAX(made_at) FROM reports WHERE window_to IS NOT NULL", &[])?;
    row.map_or(Ok(None), |row| row.at_or_null(0))
}

/// A device, or one of its tasks, that a report names for the first time.
pub type FirstMention = (DeviceId, Option<TaskId>);

/// Marks what the report that is made at `at` names for the first time, in the order of the devices. It counts once that
/// report is there.
pub fn know(tx: &mut Tx<'_>, new: &[FirstMention], at: Timestamp) -> Result<(), StoreError> {
    let mut locked = None;
    for (device, task) in new {
        if locked.replace(*device) != Some(*device) {
            devices::lock(tx, *device)?;
        }
        match task {
            None => tx.execute("UPDATE devices SET known_at = $2 WHERE id = $1", values![device.0, at])?,
            Some(task) => tx.execute("UPDATE tasks SET known_at = $2 WHERE id = $1", values![task.0, at])?,
        };
    }
    Ok(())
}

/// Keeps a report and gives its number; nothing if the window's report was made already.
pub fn put(tx: &mut Tx<'_>, report: &NewReport) -> Result<Option<i64>, StoreError> {
    let row = tx.query_one(
        "INSERT INTO reports (window_to, from_at, to_at, made_at, token, facts, page) VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (window_to) DO NOTHING RETURNING id",
        &[
            report.is_daily.then_some(report.to_at).into(),
            report.from_at.into(),
            report.to_at.into(),
            report.made_at.into(),
            report.token.as_str().into(),
            Value::json(&report.facts)?,
            report.page.as_str().into(),
        ],
    )?;
    row.map(|row| row.int(0)).transpose()
}

const MADE: &str = "id, from_at, to_at, made_at, token, facts, window_to, CAST(CASE WHEN page IS NULL THEN 0 ELSE 1 END AS BIGINT) FROM reports";

fn made(row: &super::Row) -> Result<Made, StoreError> {
    Ok(Made {
        id: row.int(0)?,
        from_at: row.at(1)?,
        to_at: row.at(2)?,
        made_at: row.at(3)?,
        token: row.text(4)?.to_owned(),
        facts: row.json(5)?,
        is_daily: row.int_or_null(6)?.is_some(),
        has_page: row.int(7)? == 1,
    })
}

/// Reports, the newest first; at most `limit`.
pub fn list(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<Made>, StoreError> {
    let rows = tx.query(&format!("SELECT {MADE} ORDER BY id DESC LIMIT $1"), values![limit])?;
    // The page of a report whose facts a later version wrote is still there; only its figures are not.
    Ok(rows.iter().filter_map(|row| made(row).ok()).collect())
}

/// One report.
pub fn get(tx: &mut Tx<'_>, id: i64) -> Result<Option<Made>, StoreError> {
    tx.query_one(&format!("SELECT {MADE} WHERE id = $1"), values![id])?.map(|row| made(&row)).transpose()
}

/// The page behind a token, if it is still kept.
pub fn page(tx: &mut Tx<'_>, token: &str) -> Result<Option<String>, StoreError> {
    let row = tx.query_one("SELECT page FROM reports WHERE token = $1", values![token])?;
    row.map_or(Ok(None), |row| row.text_or_null(0).map(|page| page.map(str::to_owned)))
}

/// Pages that were made before that go; their rows stay, so that windows follow each other.
pub fn drop_pages(tx: &mut Tx<'_>, before: Timestamp) -> Result<u64, StoreError> {
    tx.execute("UPDATE reports SET page = NULL WHERE made_at < $1 AND page IS NOT NULL", values![before])
}

/// A file is about to be written: whatever happens, it is known as ours.
pub fn add_file(tx: &mut Tx<'_>, path: &str, at: Timestamp) -> Result<(), StoreError> {
    tx.execute(
        "INSERT INTO report_files (path, made_at) VALUES ($1, $2) ON CONFLICT (path) DO NOTHING",
        values![path, at],
    )?;
    Ok(())
}

/// Files that were written before that; at most `limit`.
pub fn old_files(tx: &mut Tx<'_>, before: Timestamp, limit: u32) -> Result<Vec<String>, StoreError> {
    let rows = tx.query(
        "SELECT path FROM report_files WHERE made_at < $1 ORDER BY made_at, path LIMIT $2",
        values![before, limit],
    )?;
    rows.iter().map(|row| row.text(0).map(str::to_owned)).collect()
}

/// A file is gone.
pub fn forget_file(tx: &mut Tx<'_>, path: &str) -> Result<(), StoreError> {
    tx.execute("DELETE FROM report_files WHERE path = $1", values![path])?;
    Ok(())
}

/// How a device's days went.
pub fn days(tx: &mut Tx<'_>, device: i64) -> Result<Days, StoreError> {
    let row = tx.query_one("SELECT days FROM devices WHERE id = $1", values![device])?;
    let text = row.as_ref().map(|row| row.text_or_null(0)).transpose()?.flatten();
    Ok(text.and_then(|text| read_json(text).ok()).unwrap_or_default())
}

/// Writes that.
pub fn set_days(tx: &mut Tx<'_>, device: i64, days: &Days) -> Result<(), StoreError> {
    tx.execute("UPDATE devices SET days = $2 WHERE id = $1", &[device.into(), Value::json(days)?])?;
    Ok(())
}

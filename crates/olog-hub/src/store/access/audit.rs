//! The audit log: who changed what, when, from where.
//!
//! An entry of a change is written in the change's transaction, or before it (`begun`) and completed after it, so no change lacks its entry.
//! What strangers can cause (failed sign-ins) is merged by hour and address, and beyond [`MERGED_MAX`] rows an hour into one row.

use std::borrow::Cow;

use olog_proto::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::{Row, StoreError, Tx};
use crate::values;

/// Rows an hour of one action that strangers can cause.
const MERGED_MAX: u64 = 100;
/// Rows of a page.
pub const PAGE_MAX: u32 = 500;
/// Bytes of each text of an entry.
const TEXT_MAX: usize = 1024;
const HOUR_MS: i64 = 3_600_000;

/// What is written.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// Who: a user, a token, a user of the machine, a device.
    pub actor: String,
    /// What, as `token.create`.
    pub action: Cow<'static, str>,
    /// Of whom or what.
    pub subject: String,
    /// More of it.
    pub detail: String,
    /// From where: an address, or `socket`.
    pub origin: String,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not known: the hub was ended before it could be written down.
    Begun,
    /// It was done.
    Done,
    /// It was not done.
    Refused,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Outcome::Begun => "begun",
            Outcome::Done => "done",
            Outcome::Refused => "refused",
        }
    }
}

/// An entry, as `audit` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its number; later ones are higher.
    pub id: i64,
    /// When; of merged ones the first.
    pub at: Timestamp,
    /// Of merged ones the last.
    pub last_at: Timestamp,
    /// How many were merged.
    pub n: u64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
    /// Of whom or what.
    pub subject: String,
    /// More of it.
    pub detail: String,
    /// From where.
    pub origin: String,
    /// `done`, `refused`, or `begun` if the hub was ended before it knew.
    pub outcome: String,
}

fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_MAX);
    text.get(..end).unwrap_or_default().to_owned()
}

/// Writes an entry and returns its number.
pub fn put(tx: &mut Tx<'_>, entry: &Entry, outcome: Outcome, now: Timestamp) -> Result<i64, StoreError> {
    let row = tx.query_one(
        "INSERT INTO audit (at, last_at, actor, action, subject, detail, origin, outcome) VALUES ($1, $1, $2, $3, $4, $5, $6, $7)
         RETURNING id",
        values![
            now,
            cut(&entry.actor),
            &*entry.action,
            cut(&entry.subject),
            cut(&entry.detail),
            cut(&entry.origin),
            outcome.as_str()
        ],
    )?;
    row.map_or(Ok(0), |row| row.int(0))
}

/// Completes an entry that was begun.
pub fn finish(tx: &mut Tx<'_>, id: i64, outcome: Outcome, why: &str) -> Result<(), StoreError> {
    let sql =
        "UPDATE audit SET outcome = $2, detail = CASE WHEN $3 = '' THEN detail ELSE detail || $3 END WHERE id = $1";
    tx.execute(sql, values![id, outcome.as_str(), cut(why)])?;
    Ok(())
}

/// Writes something refused that a stranger caused: one row per hour, action and origin, and a bounded number of rows per hour.
pub fn put_refused(tx: &mut Tx<'_>, entry: &Entry, now: Timestamp) -> Result<(), StoreError> {
    let hour = now.0.div_euclid(HOUR_MS);
    let prefix = format!("{}/{hour}/", entry.action);
    let own = format!("{prefix}{}", entry.origin);
    let merge = "UPDATE audit SET n = n + 1, last_at = $2, detail = $3 WHERE merged = $1";
    if tx.execute(merge, values![own.as_str(), now, cut(&entry.detail)])? > 0 {
        return Ok(());
    }
    let row = tx.query_one(
        "SELECT COUNT(*) FROM audit WHERE action = $1 AND at >= $2 AND merged IS NOT NULL",
        values![&*entry.action, Timestamp(hour * HOUR_MS)],
    )?;
    let is_flood = row.map_or(Ok(0), |row| row.count(0))? >= MERGED_MAX;
    let (merged, origin) = if is_flood { (format!("{prefix}*"), "*") } else { (own, &*entry.origin) };
    tx.execute(
        "INSERT INTO audit (at, last_at, actor, action, subject, detail, origin, outcome, merged)
         VALUES ($1, $1, $2, $3, $4, $5, $6, 'refused', $7)
         ON CONFLICT (merged) DO UPDATE SET n = audit.n + 1, last_at = $1",
        values![now, cut(&entry.actor), &*entry.action, cut(&entry.subject), cut(&entry.detail), cut(origin), merged],
    )?;
    Ok(())
}

/// Entries before this number, the latest first.
pub fn page(tx: &mut Tx<'_>, before: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
    let sql = "SELECT id, at, last_at, n, actor, action, subject, detail, origin, outcome FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2";
    tx.query(sql, values![before, limit.min(PAGE_MAX)])?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row.int(0)?,
        at: row.at(1)?,
        last_at: row.at(2)?,
        n: row.count(3)?,
        actor: row.text(4)?.to_owned(),
        action: row.text(5)?.to_owned(),
        subject: row.text(6)?.to_owned(),
        detail: row.text(7)?.to_owned(),
        origin: row.text(8)?.to_owned(),
        outcome: row.text(9)?.to_owned(),
    })
}

/// Removes entries from before that instant, at most `step`; true: there may be more.
pub fn sweep(tx: &mut Tx<'_>, before: Timestamp, step: u32) -> Result<bool, StoreError> {
    let sql = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT $2)";
    Ok(tx.execute(sql, values![before, step])? >= u64::from(step))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::{TestStore, stores};

    const NOW: Timestamp = Timestamp(1_780_000_000_000);

    fn failed(n: u32) -> Entry {
        Entry { actor: "?".into(), action: "sign-in".into(), origin: format!("192.0.2.{n}"), ..Entry::default() }
    }

    #[tokio::test]
    async fn failed_sign_ins_of_a_flood_are_merged_and_counted() {
        for TestStore { store, .. } in stores().await {
            store
                .write(|tx| {
                    for n in 0..300 {
                        put_refused(tx, &failed(n), NOW)?;
                        put_refused(tx, &failed(n), NOW.plus(1))?;
                    }
                    Ok(())
                })
                .await
                .unwrap();
            let rows = store.read(|tx| page(tx, i64::MAX, PAGE_MAX)).await.unwrap();
            assert_eq!(rows.len() as u64, MERGED_MAX + 1, "{store:?}");
            assert_eq!(rows.iter().map(|row| row.n).sum::<u64>(), 600, "none is lost");
            assert!(rows.iter().any(|row| row.origin == "*" && row.n == 400));
        }
    }

    #[tokio::test]
    async fn entries_come_in_pages_and_go_by_age() {
        for TestStore { store, .. } in stores().await {
            let entry = |n: i64| Entry { subject: n.to_string(), action: "token.create".into(), ..Entry::default() };
            let all = store
                .write(move |tx| {
                    for n in 0..25 {
                        let id = put(tx, &entry(n), Outcome::Begun, NOW.plus(n))?;
                        finish(tx, id, Outcome::Done, "")?;
                    }
                    let (mut all, mut before) = (Vec::new(), i64::MAX);
                    loop {
                        let rows = page(tx, before, 10)?;
                        let Some(last) = rows.last() else { return Ok(all) };
                        before = last.id;
                        all.extend(rows.into_iter().map(|row| (row.subject, row.outcome)));
                    }
                })
                .await
                .unwrap();
            let expected: Vec<_> = (0..25).rev().map(|n: i64| (n.to_string(), "done".to_owned())).collect();
            assert_eq!(all, expected, "{store:?}");
            assert!(store.write(|tx| sweep(tx, NOW.plus(20), 10)).await.unwrap());
            assert!(store.write(|tx| sweep(tx, NOW.plus(20), 10)).await.unwrap());
            assert!(!store.write(|tx| sweep(tx, NOW.plus(20), 10)).await.unwrap());
            assert_eq!(store.read(|tx| page(tx, i64::MAX, 100)).await.unwrap().len(), 5);
        }
    }
}

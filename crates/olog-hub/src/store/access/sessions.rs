//! Web sessions, and the browsers by which a user has signed in before.

use olog_proto::Timestamp;

use crate::rules::access::{AccessScope, BROWSER_KEPT_MS, HALF_SESSION_MS, SESSION_IDLE_MS, SESSION_MAX_MS};
use crate::store::{StoreError, Tx};
use crate::values;

/// Sessions of one user; the oldest ends when one more begins.
const OF_ONE_USER: u32 = 50;
/// Known browsers of one user.
const BROWSERS_OF_ONE_USER: u32 = 50;

/// A session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Of its cookie.
    pub hash: String,
    /// Whose.
    pub user: i64,
    /// The user's name.
    pub name: String,
    /// What the user may do.
    pub scope: AccessScope,
    /// The second factor is not missing.
    pub is_full: bool,
    /// The sign-in.
    pub made_at: Timestamp,
    /// The last use, to the minute.
    pub seen_at: Timestamp,
    /// Where it was last used.
    pub address: String,
    /// The browser's own name.
    pub agent: String,
}

/// What begins.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Of its cookie.
    pub hash: String,
    /// Whose.
    pub user: i64,
    /// The second factor is not missing.
    pub is_full: bool,
    /// From where.
    pub address: String,
    /// The browser's own name.
    pub agent: String,
}

const COLUMNS: &str = "web_sessions.hash, user_id, name, scope, is_full, web_sessions.made_at, seen_at, address, agent";

/// Begins a session.
pub fn begin(tx: &mut Tx<'_>, new: &NewSession, now: Timestamp) -> Result<(), StoreError> {
    sweep(tx, now)?;
    tx.execute(
        "DELETE FROM web_sessions WHERE hash IN (SELECT hash FROM web_sessions WHERE user_id = $1 ORDER BY seen_at DESC, hash LIMIT 1000 OFFSET $2)",
        values![new.user, OF_ONE_USER - 1],
    )?;
    tx.execute(
        "INSERT INTO web_sessions (hash, user_id, is_full, made_at, seen_at, address, agent) VALUES ($1, $2, $3, $4, $4, $5, $6)",
        values![new.hash.as_str(), new.user, new.is_full, now, new.address.as_str(), new.agent.as_str()],
    )?;
    Ok(())
}

/// Removes sessions and browsers that are over.
pub fn sweep(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM web_sessions WHERE made_at <= $1 OR seen_at <= $2 OR (is_full = 0 AND made_at <= $3)",
        values![now.plus(-SESSION_MAX_MS), now.plus(-SESSION_IDLE_MS), now.plus(-HALF_SESSION_MS)],
    )?;
    tx.execute("DELETE FROM known_browsers WHERE expires_at <= $1", values![now])?;
    Ok(())
}

/// The session of a cookie. Whether it is over, its caller decides.
pub fn get(tx: &mut Tx<'_>, hash: &str) -> Result<Option<Session>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM web_sessions JOIN users ON users.id = user_id WHERE web_sessions.hash = $1");
    Ok(read(tx.query(&sql, values![hash])?)?.into_iter().next())
}

/// Full sessions of a user, the last used first.
pub fn of_user(tx: &mut Tx<'_>, user: i64) -> Result<Vec<Session>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM web_sessions JOIN users ON users.id = user_id WHERE user_id = $1 AND is_full = 1 ORDER BY seen_at DESC"
    );
    read(tx.query(&sql, values![user])?)
}

fn read(rows: Vec<crate::store::Row>) -> Result<Vec<Session>, StoreError> {
    let session = |row: &crate::store::Row| {
        Ok(Session {
            hash: row.text(0)?.to_owned(),
            user: row.int(1)?,
            name: row.text(2)?.to_owned(),
            scope: row.parse(3)?,
            is_full: row.int(4)? == 1,
            made_at: row.at(5)?,
            seen_at: row.at(6)?,
            address: row.text(7)?.to_owned(),
            agent: row.text(8)?.to_owned(),
        })
    };
    rows.iter().map(session).collect()
}

/// It was used.
pub fn seen(tx: &mut Tx<'_>, hash: &str, address: &str, now: Timestamp) -> Result<(), StoreError> {
    tx.execute("UPDATE web_sessions SET seen_at = $2, address = $3 WHERE hash = $1", values![hash, now, address])?;
    Ok(())
}

/// One more wrong code; returns how many.
pub fn count_wrong_code(tx: &mut Tx<'_>, hash: &str) -> Result<i64, StoreError> {
    let row = tx.query_one(
        "UPDATE web_sessions SET n_failed = n_failed + 1 WHERE hash = $1 RETURNING n_failed",
        values![hash],
    )?;
    row.map_or(Ok(i64::MAX), |row| row.int(0))
}

/// Ends a session. False: there was none.
pub fn end(tx: &mut Tx<'_>, hash: &str) -> Result<bool, StoreError> {
    tx.access_changed();
    Ok(tx.execute("DELETE FROM web_sessions WHERE hash = $1", values![hash])? > 0)
}

/// Ends all sessions of a user but this one; returns how many.
pub fn end_all(tx: &mut Tx<'_>, user: i64, but: &str) -> Result<u64, StoreError> {
    tx.access_changed();
    tx.execute("DELETE FROM web_sessions WHERE user_id = $1 AND hash <> $2", values![user, but])
}

/// The user has signed in by this browser.
pub fn know_browser(tx: &mut Tx<'_>, hash: &str, user: i64, now: Timestamp) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM known_browsers WHERE hash IN (SELECT hash FROM known_browsers WHERE user_id = $1 ORDER BY expires_at DESC, hash LIMIT 1000 OFFSET $2)",
        values![user, BROWSERS_OF_ONE_USER - 1],
    )?;
    tx.execute(
        "INSERT INTO known_browsers (hash, user_id, expires_at) VALUES ($1, $2, $3) ON CONFLICT (hash) DO UPDATE SET user_id = $2, expires_at = $3",
        values![hash, user, now.plus(BROWSER_KEPT_MS)],
    )?;
    Ok(())
}

/// Has this user signed in by this browser before?
pub fn is_known_browser(tx: &mut Tx<'_>, hash: &str, user: i64, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT hash FROM known_browsers WHERE hash = $1 AND user_id = $2 AND expires_at > $3";
    Ok(tx.query_one(sql, values![hash, user, now])?.is_some())
}

/// Forgets the known browsers of a user.
pub fn forget_browsers(tx: &mut Tx<'_>, user: i64) -> Result<(), StoreError> {
    tx.execute("DELETE FROM known_browsers WHERE user_id = $1", values![user])?;
    Ok(())
}

//! Users, their second factor, and the link by which the first one is made.

use olog_proto::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rules::access::AccessScope;
use crate::store::{Row, StoreError, Tx, settings};
use crate::values;

/// The key of the set-up link.
const SETUP_LINK: &str = "setup-link";

/// A user, as `user list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its row.
    pub id: i64,
    /// The name.
    pub name: String,
    /// What the user may do.
    pub scope: AccessScope,
    /// Is there a second factor?
    pub totp: bool,
    /// When the user was added.
    pub made_at: Timestamp,
    /// The last sign-in.
    pub signed_in_at: Option<Timestamp>,
    /// Browsers that are signed in.
    pub sessions: u64,
}

/// By what a user signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The row.
    pub id: i64,
    /// The name.
    pub name: String,
    /// What the user may do.
    pub scope: AccessScope,
    /// The argon2id hash.
    pub password: String,
    /// The second factor's secret.
    pub totp: Option<String>,
    /// A secret that was shown and is not confirmed.
    pub totp_pending: Option<String>,
}

/// Is there no user?
pub fn is_empty(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    Ok(tx.query_one("SELECT id FROM users LIMIT 1", &[])?.is_none())
}

/// Adds a user; `None`: another one has the name.
pub fn add(
    tx: &mut Tx<'_>,
    name: &str,
    scope: AccessScope,
    password: &str,
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let row = tx.query_one(
        "INSERT INTO users (name, scope, password, made_at) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING RETURNING id",
        values![name, scope.as_str(), password, now],
    )?;
    row.map(|row| row.int(0)).transpose()
}

/// All users, by name.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<User>, StoreError> {
    let rows = tx.query(
        "SELECT id, name, scope, totp, made_at, signed_in_at,
         (SELECT COUNT(*) FROM web_sessions WHERE user_id = users.id AND is_full = 1) FROM users ORDER BY name",
        &[],
    )?;
    rows.iter()
        .map(|row| {
            Ok(User {
                id: row.int(0)?,
                name: row.text(1)?.to_owned(),
                scope: row.parse(2)?,
                totp: row.text_or_null(3)?.is_some(),
                made_at: row.at(4)?,
                signed_in_at: row.at_or_null(5)?,
                sessions: row.count(6)?,
            })
        })
        .collect()
}

/// By what the user of this name signs in.
pub fn by_name(tx: &mut Tx<'_>, name: &str) -> Result<Option<Credentials>, StoreError> {
    let row =
        tx.query_one("SELECT id, name, scope, password, totp, totp_pending FROM users WHERE name = $1", values![name])?;
    row.as_ref().map(credentials).transpose()
}

/// As [`by_name`], by the row.
pub fn by_id(tx: &mut Tx<'_>, id: i64) -> Result<Option<Credentials>, StoreError> {
    let row =
        tx.query_one("SELECT id, name, scope, password, totp, totp_pending FROM users WHERE id = $1", values![id])?;
    row.as_ref().map(credentials).transpose()
}

fn credentials(row: &Row) -> Result<Credentials, StoreError> {
    Ok(Credentials {
        id: row.int(0)?,
        name: row.text(1)?.to_owned(),
        scope: row.parse(2)?,
        password: row.text(3)?.to_owned(),
        totp: row.text_or_null(4)?.map(str::to_owned),
        totp_pending: row.text_or_null(5)?.map(str::to_owned),
    })
}

/// A new password.
pub fn set_password(tx: &mut Tx<'_>, id: i64, password: &str) -> Result<(), StoreError> {
    tx.execute("UPDATE users SET password = $2 WHERE id = $1", values![id, password])?;
    Ok(())
}

/// The user has signed in.
pub fn signed_in(tx: &mut Tx<'_>, id: i64, now: Timestamp) -> Result<(), StoreError> {
    tx.execute("UPDATE users SET signed_in_at = $2 WHERE id = $1", values![id, now])?;
    Ok(())
}

/// Removes a user with everything by which the user came in.
pub fn remove(tx: &mut Tx<'_>, id: i64) -> Result<(), StoreError> {
    tx.access_changed();
    tx.execute("DELETE FROM web_sessions WHERE user_id = $1", values![id])?;
    tx.execute("DELETE FROM known_browsers WHERE user_id = $1", values![id])?;
    tx.execute("DELETE FROM recovery_codes WHERE user_id = $1", values![id])?;
    tx.execute("DELETE FROM users WHERE id = $1", values![id])?;
    Ok(())
}

/// A secret is shown to the user, who has to confirm it by a code.
pub fn propose_totp(tx: &mut Tx<'_>, id: i64, secret: &str) -> Result<(), StoreError> {
    tx.execute("UPDATE users SET totp_pending = $2 WHERE id = $1", values![id, secret])?;
    Ok(())
}

/// The proposed secret is in force, with new recovery codes. The step of the code that confirmed it counts as used.
pub fn confirm_totp(tx: &mut Tx<'_>, id: i64, step: i64, codes: &[String]) -> Result<(), StoreError> {
    let sql = "UPDATE users SET totp = totp_pending, totp_pending = NULL, totp_step = $2 WHERE id = $1";
    tx.execute(sql, values![id, step])?;
    tx.execute("DELETE FROM recovery_codes WHERE user_id = $1", values![id])?;
    for code in codes {
        tx.execute("INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)", values![id, code.as_str()])?;
    }
    Ok(())
}

/// The second factor is gone.
pub fn remove_totp(tx: &mut Tx<'_>, id: i64) -> Result<(), StoreError> {
    tx.execute("UPDATE users SET totp = NULL, totp_pending = NULL WHERE id = $1", values![id])?;
    tx.execute("DELETE FROM recovery_codes WHERE user_id = $1", values![id])?;
    Ok(())
}

/// Uses a code's step up. False: it, or a later one, was used before.
pub fn use_step(tx: &mut Tx<'_>, id: i64, step: i64) -> Result<bool, StoreError> {
    Ok(tx.execute("UPDATE users SET totp_step = $2 WHERE id = $1 AND totp_step < $2", values![id, step])? == 1)
}

/// Uses a recovery code up. False: there is no such code.
pub fn use_recovery_code(tx: &mut Tx<'_>, id: i64, hash: &str) -> Result<bool, StoreError> {
    Ok(tx.execute("DELETE FROM recovery_codes WHERE user_id = $1 AND hash = $2", values![id, hash])? == 1)
}

/// Recovery codes that are left.
pub fn n_recovery_codes(tx: &mut Tx<'_>, id: i64) -> Result<u64, StoreError> {
    let row = tx.query_one("SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1", values![id])?;
    row.map_or(Ok(0), |row| row.count(0))
}

/// The link by which the first user is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SetupLink {
    hash: String,
    expires_at: Timestamp,
}

/// Remembers the set-up link; an earlier one is worth nothing from now on. `false`: there is a user already.
pub fn set_setup_link(tx: &mut Tx<'_>, hash: &str, expires_at: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
    if !is_empty(tx)? {
        return Ok(false);
    }
    settings::set_json(tx, SETUP_LINK, &SetupLink { hash: hash.to_owned(), expires_at }, now)?;
    Ok(true)
}

/// Is this the set-up link, not expired, while there is no user?
pub fn is_setup_link(tx: &mut Tx<'_>, hash: &str, now: Timestamp) -> Result<bool, StoreError> {
    let link: Option<SetupLink> = settings::get_json(tx, SETUP_LINK)?;
    Ok(link.is_some_and(|link| link.hash == hash && now < link.expires_at) && is_empty(tx)?)
}

/// Uses the set-up link up. False: somebody else did.
pub fn drop_setup_link(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    Ok(tx.execute("DELETE FROM settings WHERE key = $1", values![SETUP_LINK])? > 0)
}

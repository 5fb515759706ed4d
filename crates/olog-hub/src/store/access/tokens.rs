//! API tokens, by the hash of their text.

use olog_proto::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rules::access::AccessScope;
use crate::store::{Row, StoreError, Tx};
use crate::values;

/// Tokens of a hub.
pub const TOKENS_MAX: u64 = 1_000;

/// A token, as `token list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Token {
    /// Its row.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scope: AccessScope,
    /// Who created it.
    pub made_by: String,
    /// When.
    pub made_at: Timestamp,
    /// From then on it is worth nothing.
    pub expires_at: Option<Timestamp>,
    /// The last use, to the hour.
    pub used_at: Option<Timestamp>,
}

/// What is created.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// Of its text.
    pub hash: String,
    /// What it may do.
    pub scope: AccessScope,
    /// Who creates it.
    pub made_by: String,
    /// `None`: never.
    pub expires_at: Option<Timestamp>,
}

/// Creates a token. False: another one has the name.
pub fn add(tx: &mut Tx<'_>, new: &NewToken, now: Timestamp) -> Result<bool, StoreError> {
    let n = tx.execute(
        "INSERT INTO tokens (name, hash, scope, made_by, made_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (name) DO NOTHING",
        values![new.name.as_str(), new.hash.as_str(), new.scope.as_str(), new.made_by.as_str(), now, new.expires_at],
    )?;
    Ok(n == 1)
}

/// How many there are.
pub fn count(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    tx.query_one("SELECT COUNT(*) FROM tokens", &[])?.map_or(Ok(0), |row| row.count(0))
}

/// All tokens, by name.
pub fn list(tx: &mut Tx<'_>) -> Result<Vec<Token>, StoreError> {
    let sql = "SELECT id, name, scope, made_by, made_at, expires_at, used_at FROM tokens ORDER BY name";
    tx.query(sql, &[])?.iter().map(read).collect()
}

/// The token of this text's hash, expired or not.
pub fn by_hash(tx: &mut Tx<'_>, hash: &str) -> Result<Option<Token>, StoreError> {
    let sql = "SELECT id, name, scope, made_by, made_at, expires_at, used_at FROM tokens WHERE hash = $1";
    tx.query_one(sql, values![hash])?.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Token, StoreError> {
    Ok(Token {
        id: row.int(0)?,
        name: row.text(1)?.to_owned(),
        scope: row.parse(2)?,
        made_by: row.text(3)?.to_owned(),
        made_at: row.at(4)?,
        expires_at: row.at_or_null(5)?,
        used_at: row.at_or_null(6)?,
    })
}

/// It was used.
pub fn used(tx: &mut Tx<'_>, id: i64, now: Timestamp) -> Result<(), StoreError> {
    tx.execute("UPDATE tokens SET used_at = $2 WHERE id = $1", values![id, now])?;
    Ok(())
}

/// Revokes the token of this name. False: there is none.
pub fn revoke(tx: &mut Tx<'_>, name: &str) -> Result<bool, StoreError> {
    tx.access_changed();
    Ok(tx.execute("DELETE FROM tokens WHERE name = $1", values![name])? > 0)
}

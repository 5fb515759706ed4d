//! The index of the search: which events may contain a text. It makes a search for rare words fast and is no truth: events that it does not
//! have are looked at one by one, and what it finds is compared with the text.
//!
//! Events are indexed in the order of their coming, in chunks of [`CHUNK`]: of each chunk the index has the grams of its texts, which are
//! its pairs of characters where one is not ASCII (so two Chinese characters are found), and its triples of ASCII characters. Only full
//! chunks of events that came at least [`SETTLED`] ago are indexed, so that a chunk never changes. SQLite keeps grams in FTS5,
//! PostgreSQL in an array with a GIN index.

use std::collections::BTreeSet;

use olog_proto::Timestamp;

use super::{EventFilter, Place, Statement, read_rows};
use crate::store::{Row, StoreError, Tx};
use crate::values;

/// Events of a chunk.
pub const CHUNK: u32 = 500;
/// Transactions of other hubs may still bring events of that age, by another clock (ms).
const SETTLED: i64 = 2 * 60_000;
/// Grams of what is searched for that are asked about.
const ASKED_MAX: usize = 24;

/// What differs between the databases.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct GramStatements {
    /// Puts the grams `$2`, with spaces between them, of the chunk `$1`.
    pub(in crate::store) put: &'static str,
    /// The newest chunk before `$2` that has all grams `$1`.
    pub(in crate::store) find: &'static str,
    /// Removes those of the chunk `$1`.
    pub(in crate::store) remove: &'static str,
}

/// Of SQLite.
pub(in crate::store) const SQLITE: GramStatements = GramStatements {
    put: "INSERT INTO search_grams (rowid, grams) VALUES ($1, $2)",
    find: "SELECT rowid FROM search_grams WHERE search_grams MATCH $1 AND rowid < $2 ORDER BY rowid DESC LIMIT 1",
    remove: "DELETE FROM search_grams WHERE rowid = $1",
};

/// Of PostgreSQL.
pub(in crate::store) const POSTGRES: GramStatements = GramStatements {
    put: "INSERT INTO search_grams (id, grams) VALUES ($1, string_to_array($2::text, ' '))",
    find: "SELECT id FROM search_grams WHERE grams @> string_to_array($1::text, ' ') AND id < $2 ORDER BY id DESC LIMIT 1",
    remove: "DELETE FROM search_grams WHERE id = $1",
};

/// A chunk that may contain what is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk {
    id: i64,
    pub(super) first: Place,
    pub(super) last: Place,
}

/// The grams of a text, in lower case. Each is a number: its characters side by side.
fn put_grams(text: &str, grams: &mut BTreeSet<u64>) {
    let characters: Vec<u64> = text.to_lowercase().chars().map(|c| u64::from(u32::from(c))).collect();
    let is_ascii = |characters: &[u64]| characters.iter().all(|c| *c < 0x80);
    let number = |characters: &[u64]| characters.iter().fold(0, |number, c| number << 21 | c);
    grams.extend(characters.windows(2).filter(|pair| !is_ascii(pair)).map(number));
    grams.extend(characters.windows(3).filter(|triple| is_ascii(triple)).map(number));
}

fn in_words(grams: impl IntoIterator<Item = u64>) -> String {
    grams.into_iter().map(|gram| format!("{gram:x}")).collect::<Vec<_>>().join(" ")
}

/// The grams that the index is asked about; `None`: the text is too short for it.
pub(super) fn asked(words: &str) -> Option<String> {
    let mut grams = BTreeSet::new();
    put_grams(words, &mut grams);
    (!grams.is_empty()).then(|| in_words(grams.into_iter().take(ASKED_MAX)))
}

fn place(row: &Row, from: usize) -> Result<Place, StoreError> {
    Ok(Place { received_at: row.int(from)?, epoch: row.int(from + 1)?, n: row.int(from + 2)? })
}

/// The last event that is indexed.
pub(super) fn last_indexed(tx: &mut Tx<'_>) -> Result<Option<Place>, StoreError> {
    let sql = "SELECT last_received, last_epoch, last_n FROM search_chunks ORDER BY id DESC LIMIT 1";
    tx.query_one(sql, &[])?.map(|row| place(&row, 0)).transpose()
}

/// The newest chunk that has all those grams, with events before that place.
pub(super) fn newest(tx: &mut Tx<'_>, asked: &str, before: Place) -> Result<Option<Chunk>, StoreError> {
    let sql = "SELECT id FROM search_chunks WHERE (first_received, first_epoch, first_n) < ($1, $2, $3)
         ORDER BY id DESC LIMIT 1";
    let Place { received_at, epoch, n } = before;
    let Some(newest) = tx.query_one(sql, values![received_at, epoch, n])? else { return Ok(None) };
    let after = newest.int(0)?.saturating_add(1);
    let find = tx.grams().find;
    let Some(found) = tx.query_one(find, values![asked, after])? else { return Ok(None) };
    let id = found.int(0)?;
    let sql = "SELECT first_received, first_epoch, first_n, last_received, last_epoch, last_n FROM search_chunks
         WHERE id = $1";
    let row = tx.query_one(sql, values![id])?;
    row.map(|row| Ok(Chunk { id, first: place(&row, 0)?, last: place(&row, 3)? })).transpose()
}

/// A chunk on its way into the index.
#[derive(Debug)]
pub struct NewChunk {
    first: Place,
    last: Place,
    grams: String,
}

/// The next chunk to be indexed, if it is full.
pub fn next(tx: &mut Tx<'_>, now: Timestamp) -> Result<Option<NewChunk>, StoreError> {
    let after = last_indexed(tx)?.unwrap_or(Place::OLDEST);
    let mut statement = Statement::default();
    let Place { received_at, epoch, n } = after;
    let (received_at, epoch, n) = (statement.bind(received_at), statement.bind(epoch), statement.bind(n));
    let (until, limit) = (statement.bind(now.plus(-SETTLED)), statement.bind(CHUNK));
    let looked_at = format!(
        "SELECT e.* FROM events e WHERE (e.received_at, e.epoch_id, e.n) > ({received_at}, {epoch}, {n})
         AND e.received_at < {until} ORDER BY e.received_at, e.epoch_id, e.n LIMIT {limit}"
    );
    let rows = read_rows(tx, &looked_at, "1 = 1", "e.received_at, e.epoch_id, e.n", statement)?;
    let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) else { return Ok(None) };
    if rows.len() < usize::try_from(CHUNK).unwrap_or(usize::MAX) {
        return Ok(None);
    }
    let mut grams = BTreeSet::new();
    for (_, row) in &rows {
        EventFilter::texts(row).for_each(|text| put_grams(text, &mut grams));
    }
    Ok(Some(NewChunk { first: *first, last: *last, grams: in_words(grams) }))
}

/// Puts a chunk into the index, unless another hub has.
pub fn put(tx: &mut Tx<'_>, chunk: &NewChunk) -> Result<(), StoreError> {
    let NewChunk { first, last, grams } = chunk;
    let sql = "INSERT INTO search_chunks (first_received, first_epoch, first_n, last_received, last_epoch, last_n)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (last_received, last_epoch, last_n) DO NOTHING RETURNING id";
    let places = values![first.received_at, first.epoch, first.n, last.received_at, last.epoch, last.n];
    let Some(row) = tx.query_one(sql, places)? else { return Ok(()) };
    let put = tx.grams().put;
    tx.execute(put, values![row.int(0)?, grams.as_str()])?;
    Ok(())
}

/// One step of the clean-up: chunks whose events all came before that.
pub fn sweep(tx: &mut Tx<'_>, before: Timestamp, limit: u32) -> Result<bool, StoreError> {
    let rows =
        tx.query("SELECT id FROM search_chunks WHERE last_received < $1 ORDER BY id LIMIT $2", values![before, limit])?;
    let remove = tx.grams().remove;
    for row in &rows {
        tx.execute(remove, values![row.int(0)?])?;
        tx.execute("DELETE FROM search_chunks WHERE id = $1", values![row.int(0)?])?;
    }
    Ok(rows.len() == limit as usize)
}

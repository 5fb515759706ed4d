//! Events as people look for them: the newest first, of all devices or of one, with words that they contain.
//!
//! A page reads at most [`LOOKED_AT`] events, so that a search for words that hardly occur does not hold a connection of the store; it then has
//! fewer rows than it may have, and a place to go on from. A search over all devices asks [`search_index`] where the words may be; events that are
//! not indexed, and those of one device, are looked at one by one.

use olog_proto::{Event, EventContent, Timestamp, event::Author};
use serde::{Deserialize, Serialize};

use super::reports::whole;
use super::{Row, StoreError, Tx, Value};

pub mod search_index;

/// Events that one page looks at.
pub const LOOKED_AT: u32 = 20_000;

/// The place of an event in the history: `RECEIVED.EPOCH.NUMBER`. Texts that are none are no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    received_at: i64,
    epoch: i64,
    n: i64,
}

impl Place {
    /// Before everything that has come.
    const NEWEST: Place = Place { received_at: i64::MAX, epoch: i64::MAX, n: i64::MAX };
    /// After everything that has come.
    const OLDEST: Place = Place { received_at: i64::MIN, epoch: 0, n: 0 };

    /// Before everything that came then.
    fn of(at: Timestamp) -> Place {
        Place { received_at: at.0, epoch: 0, n: 0 }
    }

    /// The next place.
    fn newer(self) -> Place {
        Place { n: self.n.saturating_add(1), ..self }
    }
}

/// The id of an event as its row has it.
pub fn place(received_at: i64, epoch: i64, n: u64) -> String {
    Place { received_at, epoch, n: n.cast_signed() }.to_string()
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.received_at, self.epoch, self.n)
    }
}

impl std::str::FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Place, Self::Err> {
        let mut numbers = text.splitn(3, '.').map(str::parse);
        match [numbers.next(), numbers.next(), numbers.next()] {
            [Some(Ok(received_at)), Some(Ok(epoch)), Some(Ok(n))] => Ok(Place { received_at, epoch, n }),
            _ => Err("expected the id of an event, as another answer had it"),
        }
    }
}

/// What is looked for. Everything that is not given matches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Its text, its file or its task contains that, whatever the case of its letters.
    pub words: String,
    /// Of this device.
    pub device: Option<String>,
    /// Of the task of this name.
    pub task: Option<String>,
    /// `err`, `msg`, `log`, `scanerr`, or a kind as on the wire.
    pub kind: Option<String>,
    /// The hub got it then or later.
    pub since: Option<Timestamp>,
    /// The hub got it before.
    pub until: Option<Timestamp>,
    /// Older than that place.
    pub before: Option<Place>,
}

/// An event as a person sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct EventRow {
    /// Its place: `before` takes it.
    pub id: String,
    /// Its device.
    pub device: String,
    /// Its task.
    pub task: Option<String>,
    /// `err`, `msg`, `log` or `scanerr` for what came in a file; else `run_started`, `run_ended`, `note` or `unreadable`.
    pub kind: String,
    /// When it happened, in the hub's time.
    pub at: Timestamp,
    /// When the hub got it.
    pub received_at: Timestamp,
    /// Its text: the two ends, if it was longer.
    pub text: String,
    /// The file.
    pub path: Option<String>,
    /// The exit code of a run.
    pub exit: Option<i32>,
    /// The signal that ended a run.
    pub signal: Option<i32>,
    /// How long a run took (ms).
    pub duration: Option<u64>,
    /// Who caused it on the device.
    pub by: Option<Author>,
}

/// A page of the history.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HistoryPage {
    /// Its events, the newest first.
    pub rows: Vec<EventRow>,
    /// Where the next page begins; `None`: there is no older event.
    pub next: Option<String>,
}

/// A statement that grows: each value gets the next number.
#[derive(Debug, Default)]
struct Statement(Vec<Value>);

impl Statement {
    fn bind(&mut self, value: impl Into<Value>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }

    /// The events that a page looks at, not older than `since`, and their order. One device's events lie together, in the order of its numbers; those of all devices are
    /// ordered by their coming.
    fn looked_at(&mut self, filter: &EventFilter, since: Place) -> (String, &'static str) {
        let Place { received_at, epoch, n } = filter.before.unwrap_or(Place::NEWEST);
        let (received_at, order) = match &filter.device {
            Some(_) => (None, "e.epoch_id DESC, e.n DESC"),
            None => (Some(self.bind(received_at)), "e.received_at DESC, e.epoch_id DESC, e.n DESC"),
        };
        let (epoch, n, limit) = (self.bind(epoch), self.bind(n), self.bind(LOOKED_AT));
        let from = match (received_at, &filter.device) {
            (None, Some(device)) => {
                let device = self.bind(device.as_str());
                format!(
                    "epochs p JOIN devices o ON o.id = p.device_id JOIN events e ON e.epoch_id = p.id
                     WHERE o.state = 'joined' AND o.name = {device} AND (e.epoch_id, e.n) < ({epoch}, {n})"
                )
            }
            (received_at, _) => {
                let received_at = received_at.unwrap_or_default();
                let Place { received_at: since, epoch: since_epoch, n: since_n } = since;
                let (since, since_epoch, since_n) = (self.bind(since), self.bind(since_epoch), self.bind(since_n));
                format!(
                    "events e WHERE (e.received_at, e.epoch_id, e.n) < ({received_at}, {epoch}, {n})
                     AND (e.received_at, e.epoch_id, e.n) >= ({since}, {since_epoch}, {since_n})"
                )
            }
        };
        (format!("SELECT e.* FROM {from} ORDER BY {order} LIMIT {limit}"), order)
    }
}

/// Matches what contains that text.
fn like(text: &str) -> String {
    format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
}

/// A page: at most `limit` rows.
pub fn page(tx: &mut Tx<'_>, filter: &EventFilter, limit: u32) -> Result<HistoryPage, StoreError> {
    let since = filter.since.map_or(Place::OLDEST, Place::of);
    // The order of one device's events is that of its numbers, so there an instant is no place.
    let until = filter.until.filter(|_| filter.device.is_none()).map_or(Place::NEWEST, Place::of);
    let mut before = filter.before.unwrap_or(Place::NEWEST).min(until);
    let filter = &EventFilter { before: Some(before), ..filter.clone() };
    let asked = if filter.device.is_none() { search_index::asked(&filter.words) } else { None };
    let indexed = if asked.is_some() { search_index::last_indexed(tx)? } else { None };
    let (Some(asked), Some(indexed)) = (asked, indexed) else { return look(tx, filter, since, limit) };
    let mut found = HistoryPage::default();
    if before > indexed.newer() {
        found = look(tx, filter, since.max(indexed.newer()), limit)?;
        before = indexed.newer();
    }
    let mut n_looked_at = 0;
    while found.next.is_none() {
        let chunk = search_index::newest(tx, &asked, before)?;
        let Some(chunk) = chunk.filter(|chunk| chunk.last >= since) else { return Ok(found) };
        if n_looked_at >= LOOKED_AT {
            found.next = Some(before.to_string());
            return Ok(found);
        }
        n_looked_at += search_index::CHUNK;
        let left = limit.saturating_sub(u32::try_from(found.rows.len()).unwrap_or(u32::MAX));
        let of_chunk = EventFilter { before: Some(before.min(chunk.last.newer())), ..filter.clone() };
        let HistoryPage { rows, next } = look(tx, &of_chunk, since.max(chunk.first), left)?;
        found.rows.extend(rows);
        (found.next, before) = (next, chunk.first);
    }
    Ok(found)
}

/// Looks at the events before the filter's place, not older than `since`.
fn look(tx: &mut Tx<'_>, filter: &EventFilter, since: Place, limit: u32) -> Result<HistoryPage, StoreError> {
    let mut statement = Statement::default();
    let (looked_at, order) = statement.looked_at(filter, since);
    let mut wanted = vec!["1 = 1".to_owned()];
    // The events of one device are in the order of its numbers.
    if let Some(since) = filter.since {
        wanted.push(format!("e.received_at >= {}", statement.bind(since)));
    }
    if let Some(until) = filter.until {
        wanted.push(format!("e.received_at < {}", statement.bind(until)));
    }
    if let Some(task) = &filter.task {
        wanted.push(format!("t.name = {}", statement.bind(task.as_str())));
    }
    if !filter.words.is_empty() {
        // The words as JSON has them; what only looks like a match (a key of the object) is dropped below.
        let words = serde_json::to_string(&filter.words.to_ascii_lowercase()).unwrap_or_default();
        let words = statement.bind(like(words.trim_matches('"')));
        wanted.push(format!("LOWER(e.body) LIKE {words} ESCAPE '\\'"));
    }
    if let Some(kind) = &filter.kind {
        let suffix = statement.bind(like(&format!("\"suffix\":\"{kind}\"")));
        let kind = statement.bind(kind.as_str());
        wanted.push(format!("(e.kind = {kind} OR e.body LIKE {suffix} ESCAPE '\\')"));
    }
    let limited = statement.bind(limit);
    let rows = read_rows(tx, &looked_at, &wanted.join(" AND "), &format!("{order} LIMIT {limited}"), statement)?;
    let next = if rows.len() == usize::try_from(limit).unwrap_or(usize::MAX) {
        rows.last().map(|(place, _)| *place)
    } else {
        // Nothing more among those that were looked at: the next page begins after them, if there are older ones.
        let mut statement = Statement::default();
        let (looked_at, order) = statement.looked_at(filter, since);
        let last = statement.bind(LOOKED_AT - 1);
        let sql = format!(
            "SELECT e.received_at, e.epoch_id, e.n FROM ({looked_at}) e ORDER BY {order} LIMIT 1 OFFSET {last}"
        );
        tx.query_one(&sql, &statement.0)?.as_ref().map(place_of).transpose()?
    };
    let rows = rows.into_iter().map(|(_, row)| row).filter(|row| filter.matches(row)).collect();
    Ok(HistoryPage { rows, next: next.map(|place| place.to_string()) })
}

/// The rows of what is looked at.
fn read_rows(
    tx: &mut Tx<'_>,
    looked_at: &str,
    wanted: &str,
    order: &str,
    statement: Statement,
) -> Result<Vec<(Place, EventRow)>, StoreError> {
    let sql = format!(
        "SELECT e.received_at, e.epoch_id, e.n, e.at, e.kind, e.body, d.name, t.name FROM ({looked_at}) e
         JOIN devices d ON d.id = e.device_id LEFT JOIN tasks t ON t.id = e.task_id
         WHERE {wanted} ORDER BY {order}"
    );
    let rows = tx.query(&sql, &statement.0)?;
    rows.iter().map(|row| place_of(row).and_then(|place| Ok((place, event_row(row, place)?)))).collect()
}

fn place_of(row: &Row) -> Result<Place, StoreError> {
    Ok(Place { received_at: row.int(0)?, epoch: row.int(1)?, n: row.int(2)? })
}

impl EventFilter {
    fn matches(&self, row: &EventRow) -> bool {
        let words = self.words.to_lowercase();
        (words.is_empty() || EventFilter::texts(row).any(|text| text.to_lowercase().contains(&words)))
            && self.kind.as_ref().is_none_or(|kind| *kind == row.kind)
    }

    /// Where words are looked for.
    fn texts(row: &EventRow) -> impl Iterator<Item = &str> {
        [Some(row.text.as_str()), row.path.as_deref(), row.task.as_deref()].into_iter().flatten()
    }
}

fn event_row(row: &Row, place: Place) -> Result<EventRow, StoreError> {
    let mut shown = EventRow {
        id: place.to_string(),
        device: row.text(6)?.to_owned(),
        task: row.text_or_null(7)?.map(str::to_owned),
        kind: row.text(4)?.to_owned(),
        at: row.at(3)?,
        received_at: row.at(0)?,
        text: String::new(),
        path: None,
        exit: None,
        signal: None,
        duration: None,
        by: None,
    };
    // Of what was stored unreadable, or swept, there is no more than that it came.
    let Ok(event) = row.json::<Event>(5) else { return Ok(shown) };
    shown.by = event.by;
    match event.what {
        EventContent::Text { file, excerpt } => {
            (shown.kind, shown.path, shown.text) = (file.suffix.to_string(), Some(file.path), whole(&excerpt));
        }
        EventContent::Seen { file, .. } => (shown.kind, shown.path) = (file.suffix.to_string(), Some(file.path)),
        EventContent::Cleared { path, .. } => shown.path = Some(path),
        EventContent::RunStarted { .. } => {}
        EventContent::RunEnded { exit, signal, duration, excerpt, .. } => {
            (shown.exit, shown.signal, shown.duration) = (exit, signal, Some(duration));
            shown.text = whole(&excerpt);
        }
        EventContent::Note(note) => (shown.path, shown.text) = (note.path, note.text),
    }
    Ok(shown)
}

#[cfg(test)]
mod tests;

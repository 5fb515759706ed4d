//! The spool: one SQLite file with the events that the hub has not acknowledged, and with what is known of every log file.
//!
//! The promise "at least once" rests on one invariant: an event and the new offset of the file that it was read from are **one
//! transaction** ([`Spool::put`], synced before it returns). After a crash either both are there, and the event is sent
//! under the same number, or neither is, and the file is read again. Numbers are 1, 2, 3 … within an epoch, without gaps;
//! `acked < n ≤ last` is what is held, and only an acknowledgement of a number that was issued deletes it.
//!
//! What is stored of an event is its JSON without its number (renumbering touches no body). The marks of the agent's own push are in a
//! separate column, because only they change. The file memory is in `spool/memory.rs`, tables and all.
//!
//! A `Spool` is a handle, cheap to clone. Its lock is held for one statement or one transaction, never while a file is read. The
//! database is locked for this process: a second agent on the same folder is refused, since two writers of one epoch would
//! give one number twice.
//!
//! Trouble: a file that is no database, or is damaged, is set aside under another name; what can still be read of it is carried over
//! under a new epoch, and `recovered_aside` in the meta table says so until somebody has told it. A file of a newer version is
//! refused. A full disk is an error value that says "retry"; nothing changes, in memory or on disk.

mod memory;
mod open;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use olog_daemon::failure::{Consequence, Failure};
use olog_proto::{Author, BootId, DeviceTime, Epoch, Event, EventContent, Note, OwnPush, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

pub use memory::{FileKey, FileState, Folder, FolderId, Row};
pub use open::Opened;

/// Where it is in a `state_dir`.
pub fn spool_path(state_dir: &Path) -> PathBuf {
    state_dir.join("spool.db")
}

/// What went wrong with the spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Written by a newer Olog.
    #[error("{} is of version {found}, this program knows up to {known}: install the newer olog-agent again (nothing was changed)", path.display())]
    Newer {
        /// The spool.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that this program reads.
        known: i64,
    },
    /// Another process has it open.
    #[error("{} is in use: another olog-agent runs on this state_dir", path.display())]
    Busy {
        /// The spool.
        path: PathBuf,
    },
    /// No space left under it.
    #[error("no space left under {}: free some, the agent goes on by itself", path.display())]
    Full {
        /// The spool.
        path: PathBuf,
    },
    /// Its pages contradict each other; the next start sets it aside.
    #[error("{} is damaged: it is set aside at the next start", path.display())]
    Damaged {
        /// The spool.
        path: PathBuf,
    },
    /// The hub acknowledged what was never sent.
    #[error("acknowledged through {through}, but the last number made is {last}")]
    NeverMade {
        /// What the hub said.
        through: u64,
        /// The last number of the epoch.
        last: u64,
    },
    /// Cannot be made, renamed or read at all.
    #[error("cannot use {}: it must be on a disk that can be written, and be the agent's own", path.display())]
    Io {
        /// The path in question.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Any other refusal of the database.
    #[error("the spool {} does not work", path.display())]
    Database {
        /// The spool.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

impl Failure for SpoolError {
    fn consequence(&self) -> Consequence {
        match self {
            SpoolError::Full { .. } | SpoolError::Busy { .. } => Consequence::Retry,
            SpoolError::Io { source, .. } => match source.consequence() {
                Consequence::Retry => Consequence::Retry,
                _ => Consequence::End,
            },
            // A failing disk, which may come back, and not a damaged or foreign file.
            SpoolError::Database { source, .. } => match source.sqlite_error_code() {
                Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::ReadOnly) => Consequence::Retry,
                _ => Consequence::End,
            },
            SpoolError::Newer { .. } | SpoolError::Damaged { .. } | SpoolError::NeverMade { .. } => Consequence::End,
        }
    }
}

/// When an event is made: wall clock, boot, and milliseconds since that boot.
#[derive(Debug, Clone, Copy)]
pub struct Stamp {
    /// When it happened, by the device's clock.
    pub at: Timestamp,
    /// The boot during which it is made.
    pub boot: BootId,
    /// Milliseconds since that boot.
    pub up: u64,
}

/// What waits for the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SpoolSize {
    /// Events.
    pub events: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

#[derive(Debug, Clone)]
struct NewEvent {
    stamp: Stamp,
    what: EventContent,
    file: Option<FileKey>,
    by: Option<Author>,
}

/// What one transaction writes: events, and what is known of their files from now on.
#[derive(Debug, Default)]
pub struct Batch {
    events: Vec<NewEvent>,
    files: Vec<(FileKey, Option<FileState>)>,
    meta: Vec<(String, String)>,
}

impl Batch {
    /// An event, and the file that it speaks of.
    pub fn emit(&mut self, stamp: Stamp, what: EventContent, file: Option<FileKey>) {
        self.events.push(NewEvent { stamp, what, file, by: None });
    }

    /// Who caused its events from the `n`th on.
    pub fn attribute(&mut self, n: usize, by: &Author) {
        self.events.iter_mut().skip(n).for_each(|event| event.by = Some(by.clone()));
    }

    /// How many events are in it.
    pub fn n_events(&self) -> usize {
        self.events.len()
    }

    /// What is known of a file from now on.
    pub fn remember(&mut self, file: FileKey, memory: FileState) {
        self.files.push((file, Some(memory)));
    }

    /// A file that is no more.
    pub fn forget(&mut self, file: FileKey) {
        self.files.push((file, None));
    }

    /// What it says of a file: `None` nothing, `Some(None)` that it is no more.
    pub fn memory(&self, file: &FileKey) -> Option<Option<&FileState>> {
        self.files.iter().rev().find(|(key, _)| key == file).map(|(_, memory)| memory.as_ref())
    }

    /// The files in it that have this inode.
    pub fn with_inode(&self, inode: u64) -> impl Iterator<Item = (&FileKey, &FileState)> {
        let known = self.files.iter().filter_map(|(key, memory)| Some((key, memory.as_ref()?)));
        known.filter(move |(_, memory)| memory.inode == inode)
    }

    /// A small fact, stored with the events of this batch or not at all. It needs at least one event.
    pub fn set_meta(&mut self, key: String, value: String) {
        self.meta.push((key, value));
    }

    /// How many events and files are in it.
    pub fn len(&self) -> usize {
        self.events.len() + self.files.len()
    }

    /// Nothing to write?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Files in it that were found at the first start and are to be told as history.
    pub fn history(&self) -> impl Iterator<Item = FileKey> + '_ {
        let told =
            |(key, memory): &(FileKey, Option<FileState>)| memory.as_ref().filter(|m| m.history).map(|_| key.clone());
        self.files.iter().filter_map(told)
    }

    /// What its events say, in their order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = &EventContent> {
        self.events.iter().map(|event| &event.what)
    }

    /// Bytes of its events, as they are stored.
    pub fn size(&self) -> u64 {
        self.events.iter().filter_map(|event| encode(event).ok()).map(|body| body.len() as u64).sum()
    }

    /// Does it hold an event?
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }
}

/// A handle of the spool.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

struct Inner {
    path: PathBuf,
    state: Mutex<State>,
    /// Rung after a release, for the reader that waits for room.
    room: Mutex<Option<Box<dyn Fn() + Send + Sync>>>,
}

struct State {
    connection: Connection,
    epoch: Epoch,
    acked: u64,
    last: u64,
    bytes: u64,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("path", &self.0.path).finish_non_exhaustive()
    }
}

/// An event as it is stored: all but its number and its pushes.
#[derive(Serialize)]
struct Body<'a> {
    at: Timestamp,
    boot: BootId,
    up: u64,
    what: &'a EventContent,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a Author>,
}

#[derive(Deserialize)]
struct OwnedBody {
    at: Timestamp,
    boot: BootId,
    up: u64,
    what: EventContent,
    #[serde(default)]
    by: Option<Author>,
}

impl Spool {
    /// Opens the spool at `path`, or makes it with `new_epoch`.
    pub fn open(path: &Path, new_epoch: Epoch) -> Result<(Spool, Opened), SpoolError> {
        let (state, opened) = open::open(path, new_epoch)?;
        let inner = Inner { path: path.to_owned(), state: Mutex::new(state), room: Mutex::new(None) };
        Ok((Spool(Arc::new(inner)), opened))
    }

    /// Whose numbers these are.
    pub fn epoch(&self) -> Epoch {
        self.lock().epoch
    }

    /// The last number made; 0 when none is.
    pub fn last(&self) -> u64 {
        self.lock().last
    }

    /// Released through this number.
    pub fn acked(&self) -> u64 {
        self.lock().acked
    }

    /// What waits for the hub.
    pub fn held(&self) -> SpoolSize {
        let state = self.lock();
        SpoolSize { events: state.last.saturating_sub(state.acked), bytes: state.bytes }
    }

    /// Writes a batch in one transaction and returns the last number. With events in it the disk has it before this returns.
    pub fn put(&self, batch: &Batch) -> Result<u64, SpoolError> {
        let mut state = self.lock();
        if batch.is_empty() {
            return Ok(state.last);
        }
        if !batch.has_events() {
            return self.lazily(&mut state, |state| {
                self.transact(state, |tx| memory::write(tx, &batch.files))?;
                Ok(state.last)
            });
        }
        let first = state.last + 1;
        let bytes = self.transact(&mut state, |tx| {
            let mut bytes = 0;
            let mut insert = tx.prepare_cached("INSERT INTO event (n, body, folder, name) VALUES (?, ?, ?, ?)")?;
            for (n, event) in (first..).zip(&batch.events) {
                let (body, file) = (encode(event)?, event.file.as_ref());
                bytes += body.len() as u64;
                let (folder, name) = file.map(|key| (key.folder.0, key.name.as_slice())).unzip();
                insert.execute(params![number(n), body, folder, name])?;
            }
            drop(insert);
            memory::write(tx, &batch.files)?;
            batch.meta.iter().try_for_each(|(key, value)| set(tx, key, value))?;
            Ok(bytes)
        })?;
        state.last += batch.events.len() as u64;
        state.bytes += bytes;
        Ok(state.last)
    }

    /// Events after number `n`, in order: at most `max_events`, and at most `max_bytes` of them but at least one.
    pub fn after(&self, n: u64, max_events: usize, max_bytes: usize) -> Result<Vec<Event>, SpoolError> {
        let state = self.lock();
        let read = || -> rusqlite::Result<Vec<Event>> {
            let mut select =
                state.connection.prepare_cached("SELECT n, body, pushed FROM event WHERE n > ? ORDER BY n LIMIT ?")?;
            let limit = i64::try_from(max_events).unwrap_or(i64::MAX);
            let mut rows = select.query(params![number(n), limit])?;
            let (mut events, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                let body = row.get_ref(1)?.as_bytes().unwrap_or_default();
                bytes += body.len();
                if bytes > max_bytes && !events.is_empty() {
                    break;
                }
                let pushed = row.get_ref(2)?.as_bytes_or_null().ok().flatten();
                events.push(decode(unsigned(row.get(0)?), body, pushed));
            }
            Ok(events)
        };
        read().map_err(|e| self.error(e))
    }

    /// The hub has committed everything through this number: it is held no longer.
    pub fn release(&self, through: u64) -> Result<(), SpoolError> {
        {
            let mut state = self.lock();
            if through > state.last {
                return Err(SpoolError::NeverMade { through, last: state.last });
            }
            if through <= state.acked {
                return Ok(());
            }
            // Losing this in a crash only means that the hub is offered again what it knows.
            let bytes = self.lazily(&mut state, |state| {
                self.transact(state, |tx| {
                    let bytes = "SELECT coalesce(sum(length(body)), 0) FROM event WHERE n <= ?";
                    let bytes: i64 = tx.prepare_cached(bytes)?.query_row([number(through)], |row| row.get(0))?;
                    tx.prepare_cached("DELETE FROM event WHERE n <= ?")?.execute([number(through)])?;
                    set(tx, "acked", &through.to_string())?;
                    Ok(unsigned(bytes))
                })
            })?;
            state.acked = through;
            state.bytes = state.bytes.saturating_sub(bytes);
        }
        if let Some(ring) = &*self.0.room.lock().unwrap_or_else(PoisonError::into_inner) {
            ring();
        }
        Ok(())
    }

    /// What is rung after each release, for the reader that waits for room.
    pub fn on_release(&self, ring: Box<dyn Fn() + Send + Sync>) {
        *self.0.room.lock().unwrap_or_else(PoisonError::into_inner) = Some(ring);
    }

    /// Begins a new epoch: what is held is renumbered from 1. Returns how many events that are.
    pub fn renew(&self, epoch: Epoch) -> Result<u64, SpoolError> {
        let mut state = self.lock();
        let (acked, held) = (state.acked, state.last.saturating_sub(state.acked));
        self.transact(&mut state, |tx| {
            // By way of negative numbers: a row's new number may still be another's old one.
            tx.execute("UPDATE event SET n = ? - n", [number(acked)])?;
            tx.execute("UPDATE event SET n = -n", [])?;
            set(tx, "epoch", &epoch.to_string())?;
            set(tx, "acked", "0")
        })?;
        (state.epoch, state.acked, state.last) = (epoch, 0, held);
        Ok(held)
    }

    /// Records what the agent has pushed itself. Numbers that are no longer held are passed over.
    pub fn mark_pushed(&self, numbers: &[u64], push: &OwnPush) -> Result<(), SpoolError> {
        let mut state = self.lock();
        let json = serde_json::to_string(push).unwrap_or_default();
        self.transact(&mut state, |tx| {
            let mut update = tx.prepare_cached("UPDATE event SET pushed = ? WHERE n = ?")?;
            numbers.iter().try_for_each(|&n| update.execute(params![json, number(n)]).map(drop))
        })
    }

    /// Appends a note of the agent's own trouble and keeps the list of those that are open. Returns its number.
    pub fn put_note(&self, note: Note, stamp: Stamp) -> Result<u64, SpoolError> {
        let mut state = self.lock();
        let n = state.last + 1;
        let path = note.path.clone().unwrap_or_default();
        let what = EventContent::Note(note);
        let bytes = self.transact(&mut state, |tx| {
            let body = encode(&NewEvent { stamp, what: what.clone(), file: None, by: None })?;
            tx.prepare_cached("INSERT INTO event (n, body) VALUES (?, ?)")?.execute(params![number(n), body])?;
            if let EventContent::Note(note) = &what {
                match (note.once, note.over) {
                    (true, _) => {}
                    (false, true) => {
                        tx.execute("DELETE FROM note WHERE code = ? AND path = ?", params![note.code, path])?;
                    }
                    (false, false) => {
                        let insert = "INSERT OR REPLACE INTO note (code, path, text) VALUES (?, ?, ?)";
                        tx.execute(insert, params![note.code, path, note.text])?;
                    }
                }
            }
            Ok(body.len() as u64)
        })?;
        state.last = n;
        state.bytes += bytes;
        Ok(n)
    }

    /// The troubles that were told and are not over.
    pub fn open_notes(&self) -> Result<Vec<Note>, SpoolError> {
        let state = self.lock();
        let read = || -> rusqlite::Result<Vec<Note>> {
            let mut select = state.connection.prepare("SELECT code, path, text FROM note ORDER BY code, path")?;
            let notes = select.query_map([], |row| {
                let path: String = row.get(1)?;
                let path = Some(path).filter(|path| !path.is_empty());
                Ok(Note { code: row.get(0)?, path, text: row.get(2)?, over: false, once: false })
            })?;
            notes.collect()
        };
        read().map_err(|e| self.error(e))
    }

    /// A small fact that outlives the process.
    pub fn meta(&self, key: &str) -> Result<Option<String>, SpoolError> {
        let state = self.lock();
        get(&state.connection, key).map_err(|e| self.error(e))
    }

    /// Stores a small fact.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<(), SpoolError> {
        let mut state = self.lock();
        self.lazily(&mut state, |state| self.transact(state, |tx| set(tx, key, value)))
    }

    /// The small facts whose keys begin like this.
    pub fn metas(&self, start: &str) -> Result<Vec<(String, String)>, SpoolError> {
        let state = self.lock();
        let read = || -> rusqlite::Result<Vec<(String, String)>> {
            let select = "SELECT key, value FROM meta WHERE substr(key, 1, length(?1)) = ?1";
            let mut select = state.connection.prepare_cached(select)?;
            select.query_map([start], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        read().map_err(|e| self.error(e))
    }

    /// Removes a small fact.
    pub fn forget_meta(&self, key: &str) -> Result<(), SpoolError> {
        let mut state = self.lock();
        self.lazily(&mut state, |state| {
            self.transact(state, |tx| tx.prepare_cached("DELETE FROM meta WHERE key = ?")?.execute([key]).map(drop))
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whoever panicked inside left a transaction that SQLite has rolled back, and counters that move after a commit only.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn transact<T>(
        &self,
        state: &mut State,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, SpoolError> {
        let run = || {
            let tx = state.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&tx)?;
            tx.commit()?;
            Ok(done)
        };
        run().map_err(|e| self.error(e))
    }

    /// Runs `work` without waiting for the disk: for what the next start would find out again.
    fn lazily<T>(
        &self,
        state: &mut State,
        work: impl FnOnce(&mut State) -> Result<T, SpoolError>,
    ) -> Result<T, SpoolError> {
        state.connection.pragma_update(None, "synchronous", "NORMAL").map_err(|e| self.error(e))?;
        let done = work(state);
        state.connection.pragma_update(None, "synchronous", "FULL").map_err(|e| self.error(e))?;
        done
    }

    fn error(&self, source: rusqlite::Error) -> SpoolError {
        let error = open::error(&self.0.path, source);
        if matches!(error, SpoolError::Damaged { .. }) {
            open::mark_damaged(&self.0.path);
        }
        error
    }
}

fn encode(event: &NewEvent) -> rusqlite::Result<Vec<u8>> {
    let NewEvent { stamp, what, by, .. } = event;
    serde_json::to_vec(&Body { at: stamp.at, boot: stamp.boot, up: stamp.up, what, by: by.as_ref() })
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

/// A body that cannot be read must not stop those behind it: it goes as a note under its number.
fn decode(n: u64, body: &[u8], pushed: Option<&[u8]>) -> Event {
    let pushed = pushed.and_then(|json| serde_json::from_slice(json).ok());
    match serde_json::from_slice::<OwnedBody>(body) {
        Ok(body) => {
            Event { n, at: DeviceTime(body.at), boot: body.boot, up: body.up, what: body.what, by: body.by, pushed }
        }
        Err(error) => {
            let text = format!("event {n} of the spool cannot be read: {error}");
            let note = Note { code: "spool_unreadable".to_owned(), path: None, text, over: false, once: true };
            Event {
                n,
                at: DeviceTime(Timestamp(0)),
                boot: olog_proto::event::Id128([0; 16]),
                up: 0,
                what: EventContent::Note(note),
                by: None,
                pushed,
            }
        }
    }
}

fn get(connection: &Connection, key: &str) -> rusqlite::Result<Option<String>> {
    connection.prepare_cached("SELECT value FROM meta WHERE key = ?")?.query_row([key], |row| row.get(0)).optional()
}

fn set(connection: &Connection, key: &str, value: &str) -> rusqlite::Result<()> {
    let set = "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(set)?.execute([key, value]).map(drop)
}

/// SQLite's integers are signed; numbers, sizes and inodes travel bit by bit.
fn number(n: u64) -> i64 {
    n.cast_signed()
}

fn unsigned(n: i64) -> u64 {
    n.cast_unsigned()
}

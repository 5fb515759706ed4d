//! The store on SQLite: one writer thread behind a bounded queue; readers use connections of their own.
//!
//! All writes go through one thread that owns the writing connection, so no writer ever waits for a lock or gets `SQLITE_BUSY`. The queue
//! holds [`QUEUE`] steps; beyond that callers wait. WAL with `synchronous = FULL`: when a write returns, it is on the disk. A step that
//! panics is rolled back and refused, and the thread goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use olog_proto::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params_from_iter};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::journal::Journal;

use super::changes::ChangeFeed;
use super::history::search_index::{self, GramStatements};
use super::{Durability, Insert, Opened, Row, Sql, StoreError, Tx, Value};

mod migrations {
    refinery::embed_migrations!("migrations/sqlite");
}

/// Steps that may wait for the writer.
const QUEUE: usize = 256;
/// Reading connections: pages and verbs, never the road of an event.
const READERS: usize = 4;
/// A file larger than this is checked in full only after trouble: it would take minutes.
const CHECK_MAX: u64 = 256 * 1024 * 1024;

type Job = Box<dyn FnOnce(&mut WriteThread) + Send>;

pub(super) struct Sqlite {
    jobs: mpsc::Sender<Job>,
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    reading: Semaphore,
}

struct WriteThread {
    connection: Connection,
    durability: Durability,
    journal: Journal,
    feed: ChangeFeed,
}

impl Sqlite {
    /// `durability` is that of the first write; with [`Durability::Never`] of all.
    pub(super) async fn open(
        path: PathBuf,
        durability: Durability,
        feed: ChangeFeed,
        now: Timestamp,
    ) -> Result<(Sqlite, Opened), StoreError> {
        let (ready, opened) = oneshot::channel();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let file = path.clone();
        // Ends when the last handle is dropped and the queue is empty.
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || match open_or_recover(&file, now) {
                Ok((connection, opened)) => {
                    if ready.send(Ok(opened)).is_ok() {
                        let journal = Journal::default();
                        let mut writer = WriteThread { connection, durability: Durability::Full, journal, feed };
                        if let Err(error) = writer.keep(durability) {
                            tracing::warn!(%error, "every write goes to the disk at once");
                        }
                        run_jobs(writer, queue);
                    }
                }
                Err(error) => drop(ready.send(Err(error))),
            })
            .map_err(|e| StoreError::Disk(e.to_string()))?;
        let opened = opened.await.map_err(|_| StoreError::Closed)??;
        Ok((Sqlite { jobs, path, readers: Mutex::default(), reading: Semaphore::new(READERS) }, opened))
    }

    pub(super) async fn write<T, F>(&self, durability: Durability, mut step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |writer| {
            let result =
                catch_unwind(AssertUnwindSafe(|| writer.transact(durability, &mut step))).unwrap_or_else(|panic| {
                    Err(StoreError::Refused(format!("the step panicked: {}", panic_text(&*panic))))
                });
            // Nobody waits any more when the caller was stopped; the transaction stands all the same.
            drop(reply.send(result));
        });
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    pub(super) async fn read<T, F>(&self, mut step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let _turn = self.reading.acquire().await.map_err(|_| StoreError::Closed)?;
        let kept = self.readers.lock().ok().and_then(|mut readers| readers.pop());
        let path = self.path.clone();
        let (result, connection) = tokio::task::spawn_blocking(move || {
            let mut connection = match kept {
                Some(connection) => connection,
                None => match open_reader(&path) {
                    Ok(connection) => connection,
                    Err(error) => return (Err(of_sqlite(error)), None),
                },
            };
            let result = connection
                .transaction()
                .map_err(of_sqlite)
                .and_then(|transaction| step(&mut Tx::new(&mut SqliteTx(&transaction))));
            (result, Some(connection))
        })
        .await
        .map_err(|e| StoreError::Refused(e.to_string()))?;
        if let (Some(connection), Ok(mut readers)) = (connection, self.readers.lock()) {
            readers.push(connection);
        }
        result
    }
}

fn run_jobs(mut writer: WriteThread, mut queue: mpsc::Receiver<Job>) {
    while let Some(job) = queue.blocking_recv() {
        job(&mut writer);
    }
}

impl WriteThread {
    fn keep(&mut self, durability: Durability) -> Result<(), StoreError> {
        if self.durability != durability {
            let level = match durability {
                Durability::Full => "FULL",
                Durability::Relaxed => "NORMAL",
                Durability::Never => "OFF",
            };
            self.connection.pragma_update(None, "synchronous", level).map_err(of_sqlite)?;
            self.durability = durability;
        }
        Ok(())
    }

    fn transact<T>(
        &mut self,
        durability: Durability,
        step: &mut impl FnMut(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.durability != Durability::Never {
            self.keep(durability)?;
        }
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(of_sqlite)?;
        // Dropped without commit, by an error or a panic, it is rolled back.
        let mut sql = SqliteTx(&transaction);
        let mut tx = Tx::new(&mut sql);
        let result = step(&mut tx)?;
        let (lines, changes) = (tx.lines, tx.changes);
        transaction.commit().map_err(of_sqlite)?;
        self.feed.tell(changes);
        self.journal.log(&lines);
        Ok(result)
    }
}

struct SqliteTx<'a>(&'a rusqlite::Transaction<'a>);

/// `$1` is a *name* in SQLite, numbered by first appearance; `?1` is what `$1` means in PostgreSQL. `json_list` is ours there.
fn dialect(sql: &str) -> String {
    let sql = sql.replace('$', "?").replace(" FOR UPDATE SKIP LOCKED", "").replace(" FOR UPDATE", "");
    sql.replace("json_list(", "json_each(")
}

impl Sql for SqliteTx<'_> {
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let mut statement = self.0.prepare_cached(&dialect(sql)).map_err(of_sqlite)?;
        let columns = statement.column_count();
        let mut found = statement.query(params_from_iter(values)).map_err(of_sqlite)?;
        let mut rows = Vec::new();
        while let Some(row) = found.next().map_err(of_sqlite)? {
            let fields = (0..columns).map(|i| {
                Ok(match row.get_ref(i).map_err(of_sqlite)? {
                    rusqlite::types::ValueRef::Null => Value::Null,
                    rusqlite::types::ValueRef::Integer(n) => Value::Int(n),
                    rusqlite::types::ValueRef::Text(bytes) => Value::Text(text(bytes)),
                    _ => return Err(StoreError::Row(format!("column {i} is neither a number nor text"))),
                })
            });
            rows.push(Row(fields.collect::<Result<_, _>>()?));
        }
        Ok(rows)
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let mut statement = self.0.prepare_cached(&dialect(sql)).map_err(of_sqlite)?;
        Ok(statement.execute(params_from_iter(values)).map_err(of_sqlite)? as u64)
    }

    fn grams(&self) -> GramStatements {
        search_index::SQLITE
    }

    fn insert_many(&mut self, insert: &Insert, rows: Vec<Vec<Value>>) -> Result<(), StoreError> {
        let names: Vec<&str> = insert.columns.iter().map(|(name, _)| *name).collect();
        let marks = vec!["?"; names.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({marks})", insert.table, names.join(", "));
        let mut statement = self.0.prepare_cached(&sql).map_err(of_sqlite)?;
        for row in &rows {
            statement.execute(params_from_iter(row)).map_err(of_sqlite)?;
        }
        Ok(())
    }
}

/// What we write is UTF-8; looking for what to replace is slower than the query itself, and only for what is not.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn open_or_recover(path: &Path, now: Timestamp) -> Result<(Connection, Opened), StoreError> {
    let is_new = !path.exists();
    refuse_newer(path)?;
    match open_writer(path) {
        Ok(connection) => Ok((connection, if is_new { Opened::Fresh } else { Opened::Kept })),
        Err(StoreError::Damaged(why)) => {
            let aside = path.with_extension(format!("damaged-{}.db", now.0));
            tracing::error!(file = %path.display(), aside = %aside.display(), why, "the database is damaged: kept aside");
            for suffix in ["", "-wal", "-shm"] {
                let from = with_suffix(path, suffix);
                if from.exists() {
                    std::fs::rename(&from, with_suffix(&aside, suffix)).map_err(|e| StoreError::Disk(e.to_string()))?;
                }
            }
            let connection = open_writer(path)?;
            salvage(&connection, &aside);
            Ok((connection, Opened::Recovered { aside }))
        }
        Err(error) => Err(error),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// May it be written? SQLite would only say that it cannot be opened.
fn writable(path: &Path) -> Result<(), StoreError> {
    let may = |path: &Path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS);
    let found = match may(path) {
        Err(Errno::NOENT) => may(path.parent().unwrap_or(Path::new("."))),
        found => found,
    };
    let words = |errno: Errno| format!("{}: {}", path.display(), std::io::Error::from(errno));
    found.map_err(|errno| match errno {
        Errno::ACCESS | Errno::PERM | Errno::NOENT => StoreError::Forbidden(words(errno)),
        errno => StoreError::Disk(words(errno)),
    })
}

/// Before anything is opened for writing, which alone may change the file. What cannot be read is judged by whoever writes.
fn refuse_newer(path: &Path) -> Result<(), StoreError> {
    let runner = migrations::migrations::runner();
    let known = runner.get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0);
    match version_of(path) {
        Some(found) if found > known => Err(StoreError::Newer { place: path.display().to_string(), found, known }),
        _ => Ok(()),
    }
}

fn version_of(path: &Path) -> Option<i32> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    // Without a log beside it nothing is missed, and none is made; a path is a URI with these three in hex.
    let log = if with_suffix(path, "-wal").exists() { "" } else { "?immutable=1" };
    let path = path.to_str()?.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let connection = Connection::open_with_flags(format!("file:{path}{log}"), flags).ok()?;
    connection.query_row("SELECT MAX(version) FROM refinery_schema_history", [], |row| row.get(0)).ok()
}

fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    writable(path)?;
    let mut connection = Connection::open(path).map_err(of_sqlite)?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
             PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384; PRAGMA busy_timeout = 10000;",
        )
        .map_err(of_sqlite)?;
    connection.set_prepared_statement_cache_capacity(128);
    let size = std::fs::metadata(path).map(|m| m.len()).unwrap_or(0);
    if size > 0 && size <= CHECK_MAX {
        let found: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(of_sqlite)?;
        if found != "ok" {
            return Err(StoreError::Damaged(found));
        }
    }
    let runner = migrations::migrations::runner().set_abort_missing(false);
    runner.run(&mut connection).map_err(|e| StoreError::Disk(format!("migration: {e}")))?;
    Ok(connection)
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.execute_batch("PRAGMA busy_timeout = 10000; PRAGMA cache_size = -4096;")?;
    Ok(connection)
}

/// Brings over who the hub is and which devices it knows, so that nobody has to join again. What cannot be read stays behind.
fn salvage(connection: &Connection, aside: &Path) {
    let attached = connection.execute("ATTACH DATABASE ?1 AS aside", [aside.to_string_lossy()]);
    if attached.is_ok() {
        for table in ["settings", "devices", "epochs"] {
            if let Err(error) =
                connection.execute(&format!("INSERT OR IGNORE INTO {table} SELECT * FROM aside.{table}"), [])
            {
                tracing::warn!(table, %error, "not readable in the damaged database");
            }
        }
    }
    if let Err(error) = connection.execute_batch("DETACH DATABASE aside") {
        tracing::warn!(%error, "the damaged database stays attached until the next start");
    }
}

fn of_sqlite(error: rusqlite::Error) -> StoreError {
    let what_helps = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            return StoreError::Damaged(error.to_string());
        }
        Some(ErrorCode::DiskFull) => "free disk space",
        Some(ErrorCode::SystemIoFailure) => "look after the disk",
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "become the hub's user or root, or set `state_dir` to a folder that you may write to"
        }
        Some(ErrorCode::ReadOnly) => "let the hub's user write to it, or mount the disk for writing",
        Some(ErrorCode::OutOfMemory) => "free memory",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "end the other program that uses it",
        _ => {
            // SQLite has one code for all that is wrong with a statement; only its words say that it is the schema.
            let text = error.to_string();
            let is_schema =
                ["no such table", "no such column", "has no column"].iter().any(|words| text.contains(words));
            return if is_schema { StoreError::Unfit(text) } else { StoreError::Refused(text) };
        }
    };
    StoreError::Disk(format!("{error}: {what_helps}"))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no text")
}

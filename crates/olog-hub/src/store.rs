//! The store: the only truth of the hub, on SQLite or on PostgreSQL.
//!
//! One seam, two databases. A verb of the domain (`store/events.rs`, `store/devices.rs` …) is a plain function over a
//! [`Tx`]; its statements are written once, numbered `$1, $2 …`. [`Store::write`] runs such functions in one transaction and
//! repeats the whole when the database asks for that (a serialization failure), so a step must depend on nothing but what it
//! reads through its `Tx`. Rows are locked in one order: devices by id, then what belongs to them.
//!
//! What differs stands in `sqlite.rs` and `postgres.rs`: how a transaction is run, how a value is bound, the one bulk
//! insert, the migrations. Nothing outside of this folder holds SQL, and nothing inside of it decides what an event means.
//!
//! A full or failing disk is [`StoreError::Disk`]: the caller keeps what it has and tries again. It never blocks the others.

use std::path::PathBuf;
use std::sync::Arc;

use olog_daemon::failure::{Consequence, Failure};
use olog_proto::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::journal::LogEntry;
use crate::rules::silence::Silence;

pub mod access;
pub mod changes;
pub mod devices;
pub mod enrolment;
pub mod events;
pub mod fleet;
pub mod history;
mod ids;
pub mod incidents;
pub mod known_names;
pub mod ledger;
pub mod outbox;
mod postgres;
pub mod renames;
pub mod reports;
pub mod set_aside;
pub mod settings;
pub mod silences;
mod sqlite;
pub mod tasks;
#[cfg(test)]
pub(crate) mod tests;
mod value;
pub mod watch;

use changes::{Change, ChangeFeed, Changes};
use history::search_index::GramStatements;
pub use value::{Row, Value};

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full or fails, or the database cannot be reached: nothing was changed, try again later. Says what helps.
    #[error("the store does not work now: {0}")]
    Disk(String),
    /// The database file, or its folder, is not this user's to write.
    #[error("{0}: olog-hub runs as the user who owns it, or set state_dir to a folder of yours")]
    Forbidden(String),
    /// The database file is damaged.
    #[error("the database is damaged ({0}): restart olog-hub; it keeps the file aside and goes on with a new one")]
    Damaged(String),
    /// The database was made by a newer Olog.
    #[error(
        "{place} is of version {found}, this olog-hub knows up to {known}: install the newer olog-hub again, or restore the backup \
         from before the upgrade; nothing was changed"
    )]
    Newer {
        /// Which.
        place: String,
        /// What it is.
        found: i32,
        /// What we know.
        known: i32,
    },
    /// The store cannot take this row, now or later.
    #[error("the store refused it: {0}")]
    Refused(String),
    /// A statement does not run at all, whichever row it is for: a table or column is not there. No row is to blame.
    #[error("the database is not as this version of Olog needs it: {0}")]
    Unfit(String),
    /// The database asks to repeat the transaction; `write` does.
    #[error("the transaction must be repeated: {0}")]
    Again(String),
    /// A row that is not what this version writes.
    #[error("unreadable row: {0}")]
    Row(String),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Would the same be taken later?
    pub fn is_passing(&self) -> bool {
        self.consequence() == Consequence::Retry
    }
}

/// The one place that says what a worker does about an error of the store.
impl Failure for StoreError {
    fn consequence(&self) -> Consequence {
        match self {
            StoreError::Disk(_) | StoreError::Forbidden(_) | StoreError::Again(_) | StoreError::Closed => {
                Consequence::Retry
            }
            StoreError::Refused(_) | StoreError::Row(_) | StoreError::Unfit(_) => Consequence::SetAside,
            // Only a restart mends a damaged database, and nothing may be written to a later version's.
            StoreError::Damaged(_) | StoreError::Newer { .. } => Consequence::End,
        }
    }
}

/// No clock that is set is before this: 2020-01-01. An instant that is was taken before the clock was set.
pub const EARLIEST: Timestamp = Timestamp(1_577_836_800_000);

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file.
    Sqlite(PathBuf),
    /// `postgres://…`
    Postgres(String),
}

/// What was found when the store was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// A new one was made.
    Fresh,
    /// It was there.
    Kept,
    /// It was damaged and is kept aside; a new one was made, with what could be read of the old one's devices.
    Recovered {
        /// Where the damaged file is.
        aside: PathBuf,
    },
}

/// A handle to the store; clones share it.
#[derive(Clone)]
pub struct Store(Arc<Backend>, ChangeFeed);

enum Backend {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

/// One transaction. Verbs take it; they neither begin nor commit.
pub struct Tx<'a> {
    sql: &'a mut dyn Sql,
    /// What to tell when it is committed.
    lines: Vec<LogEntry>,
    /// Rows that a person sees, as far as they changed.
    changes: Changes,
    /// The silences that are not over, once somebody asked: read and parsed once, however many notifications there are.
    silences: Option<Arc<[Silence]>>,
}

/// What a database must do within a transaction.
trait Sql {
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError>;
    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError>;
    /// The one verb with a statement per database: many rows of one width into `table (columns)`.
    fn insert_many(&mut self, insert: &Insert, rows: Vec<Vec<Value>>) -> Result<(), StoreError>;
    /// The statements of the search's index.
    fn grams(&self) -> GramStatements;
}

/// A bulk insert: the table, its columns, and each column's type for PostgreSQL.
pub struct Insert {
    /// The table.
    pub table: &'static str,
    /// Column and PostgreSQL type.
    pub columns: &'static [(&'static str, &'static str)],
}

impl<'a> Tx<'a> {
    fn new(sql: &'a mut dyn Sql) -> Tx<'a> {
        Tx { sql, lines: Vec::new(), changes: Changes::default(), silences: None }
    }

    /// What the hub's log says when this is committed.
    pub fn note(&mut self, line: LogEntry) {
        self.lines.push(line);
    }

    /// A row that a person sees has changed: it is told when this is committed.
    pub fn changed(&mut self, change: Change) {
        self.changes.add(change);
    }

    /// A session or token ended: that is told when this is committed.
    pub fn access_changed(&mut self) {
        self.changes.add_access();
    }

    /// Rows of a statement. `FOR UPDATE` is understood by both.
    pub fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        self.sql.query(sql, values)
    }

    /// The first row, if there is one.
    pub fn query_one(&mut self, sql: &str, values: &[Value]) -> Result<Option<Row>, StoreError> {
        Ok(self.sql.query(sql, values)?.into_iter().next())
    }

    /// How many rows it changed.
    pub fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        self.sql.execute(sql, values)
    }

    /// The statements of the search's index.
    fn grams(&self) -> GramStatements {
        self.sql.grams()
    }

    /// Many rows at once.
    pub fn insert_many(&mut self, insert: &Insert, rows: Vec<Vec<Value>>) -> Result<(), StoreError> {
        if rows.is_empty() { Ok(()) } else { self.sql.insert_many(insert, rows) }
    }
}

/// How durable a transaction must be when `write` returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Durability {
    /// On the disk.
    Full,
    /// Visible to all, on the disk with the next full one: for a hold whose loss only means that it expired early.
    Relaxed,
    /// Nowhere but in memory, as far as anybody promises: the store is thrown away with its folder.
    Never,
}

impl StoreUrl {
    /// Why it cannot be used, in words that quote no password.
    pub fn mistake(&self) -> Option<String> {
        match self {
            StoreUrl::Sqlite(_) => None,
            StoreUrl::Postgres(url) => postgres::mistake(url),
        }
    }

    /// Is the store on another machine, and the connection to it in clear?
    pub fn is_exposed(&self) -> bool {
        match self {
            StoreUrl::Sqlite(_) => false,
            StoreUrl::Postgres(url) => postgres::is_exposed(url),
        }
    }
}

impl Store {
    /// Opens the store and brings its schema up to date.
    pub async fn open(url: &StoreUrl, now: Timestamp) -> Result<(Store, Opened), StoreError> {
        let feed = ChangeFeed::default();
        let (backend, opened) = match url {
            StoreUrl::Sqlite(path) => {
                let (sqlite, opened) = sqlite::Sqlite::open(path.clone(), Durability::Full, feed.clone(), now).await?;
                (Backend::Sqlite(sqlite), opened)
            }
            StoreUrl::Postgres(url) => {
                let (postgres, opened) = postgres::Postgres::open(url, feed.clone()).await?;
                (Backend::Postgres(postgres), opened)
            }
        };
        Ok((Store(Arc::new(backend), feed), opened))
    }

    /// A store in this file that lives no longer than a calculation: no write waits for the disk.
    pub async fn scratch(path: PathBuf, now: Timestamp) -> Result<Store, StoreError> {
        let feed = ChangeFeed::default();
        let (sqlite, _) = sqlite::Sqlite::open(path, Durability::Never, feed.clone(), now).await?;
        Ok(Store(Arc::new(Backend::Sqlite(sqlite)), feed))
    }

    /// Runs a step in one transaction and commits it to the disk. The step may run more than once.
    pub async fn write<T, F>(&self, step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.run(Durability::Full, step).await
    }

    /// As [`Store::write`], but a power cut may undo it: only for holds that expire anyway.
    pub async fn write_relaxed<T, F>(&self, step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.run(Durability::Relaxed, step).await
    }

    async fn run<T, F>(&self, durability: Durability, step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.write(durability, step).await,
            Backend::Postgres(postgres) => postgres.write(durability, step).await,
        }
    }

    /// Runs a step that only reads, beside the writer.
    pub async fn read<T, F>(&self, step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        match &*self.0 {
            Backend::Sqlite(sqlite) => sqlite.read(step).await,
            Backend::Postgres(postgres) => postgres.read(step).await,
        }
    }

    /// Where commits tell what they changed.
    pub fn changes(&self) -> &ChangeFeed {
        &self.1
    }

    /// Tells the other hubs of this store what this one commits, and hears what they commit, until `stop`.
    pub async fn share_changes(&self, stop: CancellationToken) {
        match &*self.0 {
            Backend::Sqlite(_) => stop.cancelled().await,
            Backend::Postgres(postgres) => postgres.share_changes(stop).await,
        }
    }

    /// May another hub work on the same store at this moment?
    pub fn is_shared(&self) -> bool {
        matches!(&*self.0, Backend::Postgres(_))
    }

    /// A round trip through the writer: it returns when the writer still works, whether or not the disk does.
    pub async fn is_alive(&self) -> bool {
        match self.write_relaxed(|tx| tx.query("SELECT 1", &[])).await {
            Ok(_) | Err(StoreError::Disk(_)) => true,
            Err(_) => false,
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &*self.0 {
            Backend::Sqlite(_) => "Store(SQLite)",
            Backend::Postgres(_) => "Store(PostgreSQL)",
        })
    }
}

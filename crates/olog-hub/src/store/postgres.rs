//! The store on PostgreSQL: a pool of connections; each step runs on a thread that may block.
//!
//! A step is plain code that asks and waits, so it runs on tokio's blocking pool and each statement waits for its answer there. READ
//! COMMITTED, with rows locked in key order. What the server asks to repeat (serialization failure, deadlock) is repeated, at most
//! [`TRIES`] times.

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use olog_daemon::failure::chain;
use tokio::runtime::Handle;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;

use super::changes::ChangeFeed;
use super::history::search_index::{self, GramStatements};
use super::{Durability, Insert, Opened, Row, Sql, StoreError, Tx, Value};

mod encryption;
mod exchange;

use encryption::Target;
use exchange::Exchange;

mod migrations {
    refinery::embed_migrations!("migrations/postgres");
}

/// How often one transaction is tried.
const TRIES: u32 = 10;
/// Connections: one for ingest, one for each dispatcher that is at work, the rest for pages.
const POOL: usize = 8;
/// How long one waits for a connection.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Why `store.url` cannot be used, in words that do not quote it.
pub(super) fn mistake(url: &str) -> Option<String> {
    Target::parse(url).err()
}

/// Does the URL name another machine, without encryption?
pub(super) fn is_exposed(url: &str) -> bool {
    Target::parse(url).is_ok_and(|target| target.is_exposed())
}

pub(super) struct Postgres {
    pool: Pool,
    journal: Journal,
    feed: ChangeFeed,
    exchange: Exchange,
}

impl Postgres {
    pub(super) async fn open(url: &str, feed: ChangeFeed) -> Result<(Postgres, Opened), StoreError> {
        let mut target = Target::parse(url).map_err(|why| StoreError::Disk(format!("store.url: {why}")))?;
        target.config.application_name("olog-hub");
        target.config.connect_timeout(PATIENCE);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let tls = target.connector().map_err(|why| StoreError::Disk(format!("store.url: {why}")))?;
        let exchange = Exchange { config: target.config.clone(), tls: tls.clone() };
        let manager = match tls {
            Some(tls) => Manager::from_config(target.config, tls, recycling),
            None => Manager::from_config(target.config, NoTls, recycling),
        };
        let pool = Pool::builder(manager)
            .max_size(POOL)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .build()
            .map_err(|e| StoreError::Disk(e.to_string()))?;
        let mut client = pool.get().await.map_err(|e| away(&chain(&e)))?;
        let is_new = client
            .query_one("SELECT to_regclass('settings') IS NULL", &[])
            .await
            .map_err(of_postgres)?
            .get::<_, bool>(0);
        let runner = migrations::migrations::runner().set_abort_missing(false);
        let newest = runner.get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0);
        let plain: &mut tokio_postgres::Client = &mut client;
        let applied = runner.get_last_applied_migration_async(plain).await.ok().flatten().map_or(0, |m| m.version());
        if applied > newest {
            let place = "the database on the PostgreSQL server".to_owned();
            return Err(StoreError::Newer { place, found: applied, known: newest });
        }
        runner.run_async(plain).await.map_err(|e| StoreError::Disk(format!("migration: {e}")))?;
        drop(client);
        let postgres = Postgres { pool, journal: Journal::default(), feed, exchange };
        Ok((postgres, if is_new { Opened::Fresh } else { Opened::Kept }))
    }

    /// Tells the other hubs of this database what this one commits, and hears what they commit, until `stop`.
    pub(super) async fn share_changes(&self, stop: CancellationToken) {
        self.exchange.run(&self.feed, stop).await;
    }

    pub(super) async fn write<T, F>(&self, durability: Durability, step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let begin = match durability {
            Durability::Full => "BEGIN",
            Durability::Relaxed | Durability::Never => "BEGIN; SET LOCAL synchronous_commit = off",
        };
        self.run(begin, step).await
    }

    pub(super) async fn read<T, F>(&self, step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        self.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", step).await
    }

    async fn run<T, F>(&self, begin: &'static str, mut step: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let client = self.pool.get().await.map_err(|e| away(&chain(&e)))?;
        let (handle, journal, feed) = (Handle::current(), self.journal.clone(), self.feed.clone());
        tokio::task::spawn_blocking(move || {
            let mut transaction = PostgresTx { client, handle, journal, feed };
            let mut tries = 1;
            loop {
                match transaction.attempt(begin, &mut step) {
                    Err(StoreError::Again(why)) if tries < TRIES => {
                        tracing::debug!(why, tries, "transaction repeated");
                        tries += 1;
                    }
                    Err(StoreError::Again(why)) => return Err(StoreError::Disk(why)),
                    result => return result,
                }
            }
        })
        .await
        .map_err(|e| StoreError::Refused(e.to_string()))?
    }
}

struct PostgresTx {
    client: Object,
    handle: Handle,
    journal: Journal,
    feed: ChangeFeed,
}

impl PostgresTx {
    fn attempt<T>(
        &mut self,
        begin: &str,
        step: &mut impl FnMut(&mut Tx<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.handle.block_on(self.client.batch_execute(begin)).map_err(of_postgres)?;
        let mut tx = Tx::new(self);
        let result = step(&mut tx);
        let (lines, changes) = (tx.lines, tx.changes);
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = self.handle.block_on(self.client.batch_execute(end)).map_err(of_postgres);
        let result = result?;
        ended?;
        self.feed.tell(changes);
        self.journal.log(&lines);
        Ok(result)
    }
}

impl Drop for PostgresTx {
    /// After a panic in the step the connection is in the middle of a transaction: it must not go back to the pool.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let rolled_back = self.handle.block_on(self.client.batch_execute("ROLLBACK"));
            if let Err(error) = rolled_back {
                tracing::warn!(%error, "a connection to PostgreSQL was left in a transaction");
            }
        }
    }
}

impl Sql for PostgresTx {
    fn query(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        self.handle.block_on(async {
            let statement = self.client.prepare_cached(sql).await.map_err(of_postgres)?;
            let found = self.client.query(&statement, &references(values)).await.map_err(of_postgres)?;
            found.iter().map(row).collect()
        })
    }

    fn execute(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        self.handle.block_on(async {
            let statement = self.client.prepare_cached(sql).await.map_err(of_postgres)?;
            self.client.execute(&statement, &references(values)).await.map_err(of_postgres)
        })
    }

    fn grams(&self) -> GramStatements {
        search_index::POSTGRES
    }

    fn insert_many(&mut self, insert: &Insert, rows: Vec<Vec<Value>>) -> Result<(), StoreError> {
        // One array a column, unnested side by side: one statement and one round trip, whatever the number of rows.
        let names: Vec<&str> = insert.columns.iter().map(|(name, _)| *name).collect();
        let arrays: Vec<String> =
            insert.columns.iter().enumerate().map(|(i, (_, ty))| format!("${}::{ty}[]", i + 1)).collect();
        let sql =
            format!("INSERT INTO {} ({}) SELECT * FROM unnest({})", insert.table, names.join(", "), arrays.join(", "));
        let mut columns: Vec<Vec<Value>> = names.iter().map(|_| Vec::with_capacity(rows.len())).collect();
        for row in rows {
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        self.handle.block_on(async {
            let statement = self.client.prepare_cached(&sql).await.map_err(of_postgres)?;
            let parameters: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|c| c as &(dyn ToSql + Sync)).collect();
            self.client.execute(&statement, &parameters).await.map_err(of_postgres)
        })?;
        Ok(())
    }
}

fn references(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|v| v as &(dyn ToSql + Sync)).collect()
}

fn row(found: &tokio_postgres::Row) -> Result<Row, StoreError> {
    let fields = found.columns().iter().enumerate().map(|(i, column)| {
        let value = match *column.type_() {
            Type::INT8 => found.try_get::<_, Option<i64>>(i).map(Value::from),
            Type::INT4 => found.try_get::<_, Option<i32>>(i).map(|n| Value::from(n.map(i64::from))),
            Type::TEXT => found.try_get::<_, Option<String>>(i).map(Value::from),
            ref other => return Err(StoreError::Row(format!("column {i} has the type {other}"))),
        };
        value.map_err(of_postgres)
    });
    Ok(Row(fields.collect::<Result<_, _>>()?))
}

fn of_postgres(error: tokio_postgres::Error) -> StoreError {
    let Some(code) = error.code().cloned() else {
        // No answer from the server: the connection, not the statement. Conversions on our side have no code either.
        let refused =
            std::error::Error::source(&error).is_some_and(|e| !e.is::<std::io::Error>()) && !error.is_closed();
        return if refused { StoreError::Refused(chain(&error)) } else { away(&chain(&error)) };
    };
    let text = chain(&error);
    if code == SqlState::T_R_SERIALIZATION_FAILURE || code == SqlState::T_R_DEADLOCK_DETECTED {
        StoreError::Again(text)
    } else if ["08", "53", "57", "58"].iter().any(|class| code.code().starts_with(class)) {
        // Connection, insufficient resources, operator intervention, system error: PostgreSQL's Appendix A.
        away(&text)
    } else if code.code().starts_with("42") {
        // A table, column or right that the statement needs is not there.
        StoreError::Unfit(text)
    } else {
        StoreError::Refused(text)
    }
}

/// The server, not our disk.
fn away(why: &str) -> StoreError {
    StoreError::Disk(format!("PostgreSQL: {why}: look after the server, or after `store.url`"))
}

//! Opening: the schema and its version, and what to do with a file that cannot be trusted.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use olog_proto::Epoch;
use rusqlite::{Connection, ErrorCode, OpenFlags, params};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::{SpoolError, State, get, memory, set, unsigned};

/// The version of the schema, in `PRAGMA user_version`.
const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE event (n INTEGER PRIMARY KEY, body BLOB NOT NULL, pushed TEXT, folder INTEGER, name BLOB);
CREATE TABLE note (code TEXT NOT NULL, path TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY (code, path)) WITHOUT ROWID;
";

/// What [`super::Spool::open`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// Nothing: the spool is new.
    Fresh,
    /// A spool in good order.
    Kept,
    /// A damaged one, now set aside; what could be read of it is carried over.
    Recovered {
        /// Where it lies now.
        aside: PathBuf,
    },
}

pub(super) fn open(path: &Path, new_epoch: Epoch) -> Result<(State, Opened), SpoolError> {
    let marker = marker(path);
    let existed = path.exists();
    if !marker.exists() {
        match try_open(path, new_epoch) {
            Ok(state) => return Ok((state, if existed { Opened::Kept } else { Opened::Fresh })),
            Err(SpoolError::Damaged { .. }) => {}
            Err(other) => return Err(other),
        }
    }
    let aside = set_aside(path)?;
    let mut state = try_open(path, new_epoch)?;
    let carried = carry_over(&mut state, &aside);
    tracing::error!(spool = %path.display(), aside = %aside.display(), ?carried, "the spool was damaged and is set aside");
    state.last = carried.events;
    state.bytes = held_bytes(&state.connection).map_err(|e| error(path, e))?;
    set(&state.connection, "recovered_aside", &aside.to_string_lossy()).map_err(|e| error(path, e))?;
    match std::fs::remove_file(&marker) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(SpoolError::Io { path: marker, source: e }),
        _ => Ok((state, Opened::Recovered { aside })),
    }
}

/// May it be written? The database would only say that it cannot be opened. Asked without opening it: to close it again would
/// drop the locks that this process may have on it.
fn writable(path: &Path) -> Result<(), SpoolError> {
    let may = |path: &Path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS);
    let found = match may(path) {
        Err(Errno::NOENT) => may(path.parent().unwrap_or(Path::new("."))),
        found => found,
    };
    found.map_err(|errno| SpoolError::Io { path: path.to_owned(), source: errno.into() })
}

/// For its owner only, whatever the umask is: the files beside a database get its mode.
fn create(path: &Path) -> std::io::Result<()> {
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn try_open(path: &Path, new_epoch: Epoch) -> Result<State, SpoolError> {
    let wrong = |e| error(path, e);
    writable(path)?;
    create(path).map_err(|source| SpoolError::Io { path: path.to_owned(), source })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    // The folder may be reached by a link, since its operator named it; the database itself is none.
    let real = path.parent().and_then(|folder| folder.canonicalize().ok()).zip(path.file_name());
    let real = real.map_or_else(|| path.to_owned(), |(folder, name)| folder.join(name));
    let mut connection = Connection::open_with_flags(real, flags).map_err(wrong)?;
    connection.busy_timeout(Duration::from_millis(500)).map_err(wrong)?;
    connection.set_prepared_statement_cache_capacity(32);
    // Before the first read: the index of the log then lies in memory, and a full disk does not keep the spool from being opened.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(wrong)?;
    let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(wrong)?;
    if found > VERSION {
        return Err(SpoolError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    for (pragma, value) in [
        ("journal_mode", "WAL"),
        ("synchronous", "FULL"),
        ("cache_size", "-512"),
        ("journal_size_limit", "4194304"),
        ("temp_store", "MEMORY"),
    ] {
        connection.pragma_update(None, pragma, value).map_err(wrong)?;
    }
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(wrong)?;
    if found == 0 {
        tx.execute_batch(SCHEMA).map_err(wrong)?;
        tx.execute_batch(memory::SCHEMA).map_err(wrong)?;
        set(&tx, "epoch", &new_epoch.to_string()).map_err(wrong)?;
        tx.pragma_update(None, "user_version", VERSION).map_err(wrong)?;
    }
    memory::upgrade(&tx).map_err(wrong)?;
    tx.commit().map_err(wrong)?;
    load(connection, path)
}

fn load(connection: Connection, path: &Path) -> Result<State, SpoolError> {
    let wrong = |e| error(path, e);
    let damaged = || SpoolError::Damaged { path: path.to_owned() };
    let sound: String = connection.query_row("PRAGMA quick_check(event)", [], |row| row.get(0)).map_err(wrong)?;
    if sound != "ok" {
        return Err(damaged());
    }
    let number_of = |key| -> Result<u64, SpoolError> {
        get(&connection, key).map_err(wrong)?.map_or(Ok(0), |text| text.parse().map_err(|_| damaged()))
    };
    let epoch = get(&connection, "epoch").map_err(wrong)?.and_then(|text| text.parse().ok()).ok_or_else(damaged)?;
    let acked = number_of("acked")?;
    let (lowest, highest): (Option<i64>, Option<i64>) = connection
        .query_row("SELECT min(n), max(n) FROM event", [], |row| Ok((row.get(0)?, row.get(1)?)))
        .map_err(wrong)?;
    // A release that the disk had not seen at a crash: what is there is held, and the hub knows it already.
    let acked = lowest.map_or(acked, |lowest| unsigned(lowest).saturating_sub(1));
    let last = highest.map_or(acked, unsigned).max(acked);
    let bytes = held_bytes(&connection).map_err(wrong)?;
    Ok(State { connection, epoch, acked, last, bytes })
}

fn held_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT coalesce(sum(length(body)), 0) FROM event", [], |row| row.get(0)).map(unsigned)
}

fn marker(path: &Path) -> PathBuf {
    beside(path, ".damaged")
}

/// Leaves a mark that the next start acts on: a damaged database cannot record that it is.
pub(super) fn mark_damaged(path: &Path) {
    if let Err(error) = std::fs::write(marker(path), b"") {
        tracing::error!(spool = %path.display(), %error, "cannot mark the spool as damaged");
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Renames the database and its log to the first free name.
fn set_aside(path: &Path) -> Result<PathBuf, SpoolError> {
    let aside = (1..u32::MAX).map(|i| beside(path, &format!(".corrupt-{i}"))).find(|aside| !aside.exists());
    let aside = aside.unwrap_or_else(|| beside(path, ".corrupt"));
    for (suffix, required) in [("", true), ("-wal", false), ("-shm", false)] {
        let (from, to) = (beside(path, suffix), beside(&aside, suffix));
        match std::fs::rename(&from, to) {
            Err(e) if required || e.kind() != std::io::ErrorKind::NotFound => {
                return Err(SpoolError::Io { path: from, source: e });
            }
            _ => {}
        }
    }
    Ok(aside)
}

#[derive(Debug, Default)]
struct Carried {
    events: u64,
    files: u64,
    whole: bool,
}

/// Reads of the damaged file what still can be read: first the events, then what is known of the files. Never fails: what
/// is lost is lost, the files hold their text, and a folder without memory is scanned as if it were new.
fn carry_over(state: &mut State, aside: &Path) -> Carried {
    let mut carried = Carried::default();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(old) = Connection::open_with_flags(aside, flags) else { return carried };
    let events = carry_events(&old, state, &mut carried.events);
    let files = memory::carry_over(&old, &mut state.connection, &mut carried.files);
    carried.whole = events.is_ok() && files.is_ok();
    carried
}

fn carry_events(old: &Connection, state: &mut State, n: &mut u64) -> rusqlite::Result<()> {
    let tx = state.connection.transaction()?;
    let mut copy = || -> rusqlite::Result<()> {
        let mut select = old.prepare("SELECT body, pushed FROM event ORDER BY n")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (body, pushed): (Vec<u8>, Option<String>) = (row.get(0)?, row.get(1)?);
            let insert = "INSERT INTO event (n, body, pushed) VALUES (?, ?, ?)";
            tx.prepare_cached(insert)?.execute(params![(*n + 1).cast_signed(), body, pushed])?;
            *n += 1;
        }
        Ok(())
    };
    // What was copied before the bad page counts.
    let copied = copy();
    tx.commit()?;
    copied
}

pub(super) fn error(path: &Path, source: rusqlite::Error) -> SpoolError {
    let path = path.to_owned();
    match source.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => SpoolError::Full { path },
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => SpoolError::Damaged { path },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => SpoolError::Busy { path },
        _ => SpoolError::Database { path, source },
    }
}

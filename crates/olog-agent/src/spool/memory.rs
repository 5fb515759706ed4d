//! The file memory: one row for every log file, from which "what is new in it" is answered.
//!
//! A million files must cost no RAM and little disk: a row is found by (folder, name) or by inode, lies beside its neighbours of the
//! same folder, and what a file that was never read does not have is NULL, which takes one byte.
//!
//! A file is known by its inode on its file system, not by its name. When it gets another name, its row moves there and keeps the
//! first name (`origin`). When it was renamed to where it has not been met, its row waits in a place of its own
//! ([`FileKey::away`]) for a day.

use encoding_rs::Encoding;
use olog_proto::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{Spool, SpoolError, number, unsigned};

pub(super) const SCHEMA: &str = "
CREATE TABLE folder (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, device INTEGER NOT NULL, inode INTEGER NOT NULL);
CREATE TABLE file (
    folder INTEGER NOT NULL, name BLOB NOT NULL,
    inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, seen INTEGER NOT NULL,
    offset INTEGER, head INTEGER, tail INTEGER, content INTEGER,
    began INTEGER, encoding TEXT, flags INTEGER NOT NULL, held INTEGER, origin BLOB, born INTEGER,
    PRIMARY KEY (folder, name)) WITHOUT ROWID;
CREATE INDEX folder_inode ON folder (inode);
CREATE INDEX file_inode ON file (inode);
CREATE INDEX file_held ON file (folder) WHERE held IS NOT NULL;
";

/// A folder's number in the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FolderId(pub i64);

/// Stands for "no folder": here lie the states of files that were renamed to a place where they have not been met. SQLite numbers
/// folders from 1.
const AWAY: FolderId = FolderId(0);
/// A file that was renamed away is known again for so long.
const AWAY_KEPT: i64 = 24 * 3600 * 1000;
/// States of files that were renamed away; beyond it the oldest go.
const AWAY_MAX: i64 = 10_000;

/// A folder that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its number.
    pub id: FolderId,
    /// Its whole path.
    pub path: Vec<u8>,
    /// It was known before it was asked for.
    pub known: bool,
    /// The file system that it was known on.
    pub device: u64,
    /// Known on another file system: something is mounted there now, or no longer.
    pub other_device: bool,
}

/// Where a file is: its folder and its name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileKey {
    /// The folder.
    pub folder: FolderId,
    /// The name.
    pub name: Vec<u8>,
}

impl FileKey {
    /// The place of a file that was renamed away: in the order of time, so that the oldest can be dropped.
    pub fn away(left_at: Timestamp, device: u64, inode: u64) -> FileKey {
        let name = [left_at.0.to_be_bytes(), device.to_be_bytes(), inode.to_be_bytes()].concat();
        FileKey { folder: AWAY, name }
    }

    /// Is it the place of a file that was renamed away, and not a name in a folder?
    pub fn is_away(&self) -> bool {
        self.folder == AWAY
    }

    /// The file system of a file that was renamed away.
    pub fn away_device(&self) -> Option<u64> {
        let device = self.name.get(8..16).filter(|_| self.is_away())?;
        device.try_into().ok().map(u64::from_be_bytes)
    }
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(Default))]
pub struct FileState {
    /// The inode's number.
    pub inode: u64,
    /// Bytes, when last looked at.
    pub size: u64,
    /// The time of the last change of its bytes, in nanoseconds since 1970.
    pub mtime: i64,
    /// When the agent first saw it, by a clock that the hub has confirmed; none before that.
    pub seen: Option<Timestamp>,
    /// Read through this byte.
    pub offset: u64,
    /// Hash of the first min(256, offset) bytes; none before the first read.
    pub head: Option<u64>,
    /// Hash of the last min(256, offset) bytes before the offset.
    pub tail: Option<u64>,
    /// What its text was: equal for the same text written again.
    pub content: Option<u64>,
    /// When this writing of it began, where that is known.
    pub began: Option<Timestamp>,
    /// Decided at its start; none while all of it is ASCII.
    pub encoding: Option<&'static Encoding>,
    /// It holds text that is not blank.
    pub has_text: bool,
    /// Its writer had it open at the last event.
    pub open: bool,
    /// Found at the first start ever and not told yet.
    pub history: bool,
    /// Writings of the same text that no event has told yet.
    pub held: u32,
    /// The name under which the file was first met, if it has another one now: its text belongs to that task. A bare name for a
    /// file that is still in its first folder, else a whole path.
    pub origin: Option<Vec<u8>>,
    /// When the inode was made, in nanoseconds since 1970, where the file system says so: it tells a renamed file from a new one
    /// that was given the inode number of a deleted one.
    pub born: Option<i64>,
}

/// A file and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name in its folder.
    pub name: Vec<u8>,
    /// What is known of it.
    pub memory: FileState,
}

/// In the column `seen`: not dated yet. No clock that was confirmed shows this second.
const UNDATED: i64 = 0;

const HAS_TEXT: i64 = 1;
const OPEN: i64 = 2;
const HISTORY: i64 = 4;

const COLUMNS: &str =
    "name, inode, size, mtime, seen, offset, head, tail, content, began, encoding, flags, held, origin, born";

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let hash = |i| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(i)?.map(unsigned));
    let size = unsigned(row.get(2)?);
    let flags: i64 = row.get(11)?;
    let encoding = row.get_ref(10)?.as_bytes_or_null().ok().flatten();
    let memory = FileState {
        inode: unsigned(row.get(1)?),
        size,
        mtime: row.get(3)?,
        seen: Some(row.get::<_, i64>(4)?).filter(|at| *at != UNDATED).map(|at| Timestamp(at.saturating_mul(1000))),
        offset: hash(5)?.unwrap_or(size),
        head: hash(6)?,
        tail: hash(7)?,
        content: hash(8)?,
        began: row.get::<_, Option<i64>>(9)?.map(Timestamp),
        encoding: encoding.and_then(Encoding::for_label),
        has_text: flags & HAS_TEXT != 0,
        open: flags & OPEN != 0,
        history: flags & HISTORY != 0,
        held: row.get::<_, Option<u32>>(12)?.unwrap_or(0),
        origin: row.get(13)?,
        born: row.get(14)?,
    };
    Ok(Row { name: row.get(0)?, memory })
}

pub(super) fn write(tx: &Transaction<'_>, files: &[(FileKey, Option<FileState>)]) -> rusqlite::Result<()> {
    let mut replace = tx.prepare_cached(
        "INSERT OR REPLACE INTO file (folder, name, inode, size, mtime, seen, offset, head, tail, content, began, \
         encoding, flags, held, origin, born) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let mut delete = tx.prepare_cached("DELETE FROM file WHERE folder = ? AND name = ?")?;
    for (key, memory) in files {
        let Some(m) = memory else {
            delete.execute(params![key.folder.0, key.name])?;
            continue;
        };
        let flag = |set, flag| if set { flag } else { 0 };
        let flags = flag(m.has_text, HAS_TEXT) | flag(m.open, OPEN) | flag(m.history, HISTORY);
        replace.execute(params![
            key.folder.0,
            key.name,
            number(m.inode),
            number(m.size),
            m.mtime,
            m.seen.map_or(UNDATED, |at| at.0.div_euclid(1000)),
            (m.offset != m.size).then_some(number(m.offset)),
            m.head.map(number),
            m.tail.map(number),
            m.content.map(number),
            m.began.map(|at| at.0),
            m.encoding.map(Encoding::name),
            flags,
            (m.held > 0).then_some(m.held),
            m.origin,
            m.born,
        ])?;
    }
    Ok(())
}

/// A folder, and the device and inode by which it was last met.
type Identified = (FolderId, (u64, u64));

impl Spool {
    /// The number of a folder, by its path; a folder that moved keeps its number, found by device and inode.
    /// `moved` says whether the folder that was known under another path is no longer there.
    pub fn folder(
        &self,
        path: &[u8],
        device: u64,
        inode: u64,
        moved: impl Fn(&[u8]) -> bool,
    ) -> Result<Folder, SpoolError> {
        let mut state = self.lock();
        let known = self.folder_by_path(&state, path)?;
        if let Some((id, (d, i))) = known {
            if d == device && i != inode {
                let update = "UPDATE folder SET inode = ? WHERE id = ?";
                self.transact(&mut state, |tx| tx.execute(update, params![number(inode), id.0]))?;
            }
            return Ok(Folder { id, path: path.to_owned(), known: true, device: d, other_device: d != device });
        }
        let same = self.folder_by_inode(&state, device, inode)?.filter(|(_, old)| moved(old));
        let id = self.lazily(&mut state, |state| {
            self.transact(state, |tx| match &same {
                Some((id, _)) => {
                    tx.execute("UPDATE folder SET path = ? WHERE id = ?", params![path, id.0])?;
                    Ok(*id)
                }
                None => {
                    let insert = "INSERT INTO folder (path, device, inode) VALUES (?, ?, ?)";
                    tx.execute(insert, params![path, number(device), number(inode)])?;
                    Ok(FolderId(tx.last_insert_rowid()))
                }
            })
        })?;
        Ok(Folder { id, path: path.to_owned(), known: same.is_some(), device, other_device: false })
    }

    fn folder_by_path(&self, state: &super::State, path: &[u8]) -> Result<Option<Identified>, SpoolError> {
        let select = "SELECT id, device, inode FROM folder WHERE path = ?";
        let read =
            |row: &rusqlite::Row<'_>| Ok((FolderId(row.get(0)?), (unsigned(row.get(1)?), unsigned(row.get(2)?))));
        let found = state.connection.prepare_cached(select).and_then(|mut s| s.query_row([path], read).optional());
        found.map_err(|e| self.error(e))
    }

    fn folder_by_inode(
        &self,
        state: &super::State,
        device: u64,
        inode: u64,
    ) -> Result<Option<(FolderId, Vec<u8>)>, SpoolError> {
        let select = "SELECT id, path FROM folder WHERE inode = ? AND device = ?";
        let read = |row: &rusqlite::Row<'_>| Ok((FolderId(row.get(0)?), row.get(1)?));
        let found = state
            .connection
            .prepare_cached(select)
            .and_then(|mut s| s.query_row(params![number(inode), number(device)], read).optional());
        found.map_err(|e| self.error(e))
    }

    /// A folder lies on another file system from now on.
    pub fn moved_device(&self, id: FolderId, device: u64, inode: u64) -> Result<(), SpoolError> {
        let mut state = self.lock();
        let update = "UPDATE folder SET device = ?, inode = ? WHERE id = ?";
        self.transact(&mut state, |tx| tx.execute(update, params![number(device), number(inode), id.0]).map(drop))
    }

    /// The folders that are known, by path.
    pub fn folders(&self) -> Result<Vec<Folder>, SpoolError> {
        let state = self.lock();
        let read = || -> rusqlite::Result<Vec<Folder>> {
            let mut select = state.connection.prepare_cached("SELECT id, path, device FROM folder ORDER BY path")?;
            let rows = select.query_map([], |row| {
                let device = unsigned(row.get(2)?);
                Ok(Folder { id: FolderId(row.get(0)?), path: row.get(1)?, known: true, device, other_device: false })
            })?;
            rows.collect()
        };
        read().map_err(|e| self.error(e))
    }

    /// Forgets a folder that holds no file any more.
    pub fn forget_folder(&self, id: FolderId) -> Result<(), SpoolError> {
        let mut state = self.lock();
        self.lazily(&mut state, |state| {
            self.transact(state, |tx| {
                tx.execute("DELETE FROM file WHERE folder = ?", [id.0])?;
                tx.execute("DELETE FROM folder WHERE id = ?", [id.0]).map(drop)
            })
        })
    }

    /// What is known of a file.
    pub fn memory(&self, key: &FileKey) -> Result<Option<FileState>, SpoolError> {
        let state = self.lock();
        let select = format!("SELECT {COLUMNS} FROM file WHERE folder = ? AND name = ?");
        let found = state
            .connection
            .prepare_cached(&select)
            .and_then(|mut s| s.query_row(params![key.folder.0, key.name], row).optional());
        Ok(found.map_err(|e| self.error(e))?.map(|row| row.memory))
    }

    /// The files that are known with this inode on this file system, wherever they lie: more than one where links are hard.
    pub fn known_by_inode(&self, device: u64, inode: u64) -> Result<Vec<(FileKey, FileState)>, SpoolError> {
        let state = self.lock();
        let select = format!(
            "SELECT {COLUMNS}, folder FROM file WHERE inode = ?1 AND \
             (folder = {} OR folder IN (SELECT id FROM folder WHERE device = ?2))",
            AWAY.0
        );
        let read = || -> rusqlite::Result<Vec<(FileKey, FileState)>> {
            let mut select = state.connection.prepare_cached(&select)?;
            let rows = select.query_map(params![number(inode), number(device)], |found| {
                let row = row(found)?;
                Ok((FileKey { folder: FolderId(found.get(15)?), name: row.name }, row.memory))
            })?;
            rows.collect()
        };
        let found = read().map_err(|e| self.error(e))?;
        Ok(found.into_iter().filter(|(key, _)| key.away_device().is_none_or(|d| d == device)).collect())
    }

    /// Drops the states of files that were renamed away long ago, or are too many.
    pub fn prune_away(&self, now: Timestamp) -> Result<(), SpoolError> {
        let mut state = self.lock();
        let before = FileKey::away(now.plus(-AWAY_KEPT), 0, 0).name;
        self.lazily(&mut state, |state| {
            self.transact(state, |tx| {
                tx.execute("DELETE FROM file WHERE folder = ? AND name < ?", params![AWAY.0, before])?;
                let too_many = "DELETE FROM file WHERE folder = ?1 AND name <= \
                                (SELECT name FROM file WHERE folder = ?1 ORDER BY name DESC LIMIT 1 OFFSET ?2)";
                tx.execute(too_many, params![AWAY.0, AWAY_MAX]).map(drop)
            })
        })
    }

    /// The next rows of a folder behind `after`, by name.
    pub fn rows(&self, folder: FolderId, after: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, SpoolError> {
        let select = format!("SELECT {COLUMNS} FROM file WHERE folder = ? AND name > ? ORDER BY name LIMIT ?");
        // A name is never empty, so everything lies behind the empty one.
        self.select(&select, params![folder.0, after.unwrap_or_default(), i64::try_from(limit).unwrap_or(i64::MAX)])
    }

    /// The rows of a folder that have held-back writings, for the first look after a start.
    pub fn held_rows(&self, folder: FolderId) -> Result<Vec<Row>, SpoolError> {
        let select = format!("SELECT {COLUMNS} FROM file WHERE folder = ? AND held IS NOT NULL");
        self.select(&select, params![folder.0])
    }

    /// Files of which events are held, for the clean-up.
    pub fn files_with_events(&self) -> Result<std::collections::HashSet<FileKey>, SpoolError> {
        let state = self.lock();
        let read = || -> rusqlite::Result<_> {
            let select = "SELECT DISTINCT folder, name FROM event WHERE name IS NOT NULL";
            let mut select = state.connection.prepare(select)?;
            let rows = select.query_map([], |row| Ok(FileKey { folder: FolderId(row.get(0)?), name: row.get(1)? }))?;
            rows.collect()
        };
        read().map_err(|e| self.error(e))
    }

    /// Dates what was met since the last time: from now on it grows old.
    pub fn date_files(&self, now: Timestamp) -> Result<(), SpoolError> {
        let mut state = self.lock();
        self.lazily(&mut state, |state| {
            let update = "UPDATE file SET seen = ? WHERE seen = ?";
            self.transact(state, |tx| tx.execute(update, [now.0.div_euclid(1000), UNDATED]).map(drop))
        })
    }

    /// How many files are known.
    pub fn n_files(&self) -> Result<u64, SpoolError> {
        let state = self.lock();
        let count = state.connection.query_row("SELECT count(*) FROM file WHERE folder <> 0", [], |row| row.get(0));
        count.map(unsigned).map_err(|e| self.error(e))
    }

    fn select(&self, sql: &str, params: &[&dyn rusqlite::ToSql]) -> Result<Vec<Row>, SpoolError> {
        let state = self.lock();
        let read = || -> rusqlite::Result<Vec<Row>> {
            let mut select = state.connection.prepare_cached(sql)?;
            let rows = select.query_map(params, row)?;
            rows.collect()
        };
        read().map_err(|e| self.error(e))
    }
}

/// Brings the tables of an older version up to date. An older program still reads and writes what comes out.
pub(super) fn upgrade(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    if !has_born(tx) {
        tx.execute_batch(
            "ALTER TABLE file ADD COLUMN born INTEGER; CREATE INDEX IF NOT EXISTS file_inode ON file (inode);",
        )?;
    }
    Ok(())
}

fn has_born(connection: &Connection) -> bool {
    connection.prepare("SELECT born FROM file LIMIT 0").is_ok()
}

pub(super) fn carry_over(old: &Connection, new: &mut Connection, files: &mut u64) -> rusqlite::Result<()> {
    let tx = new.transaction()?;
    let mut copy = || -> rusqlite::Result<()> {
        // Since when a log dir is known, lest all of it be taken for history again.
        let mut select = old.prepare("SELECT key, value FROM meta WHERE key LIKE 'first:%' OR key LIKE 'scanned:%'")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (key, value): (String, String) = (row.get(0)?, row.get(1)?);
            tx.execute("INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)", params![key, value])?;
        }
        let mut select = old.prepare("SELECT id, path, device, inode FROM folder")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let (id, path, device, inode): (i64, Vec<u8>, i64, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            tx.prepare_cached("INSERT OR IGNORE INTO folder (id, path, device, inode) VALUES (?, ?, ?, ?)")?
                .execute(params![id, path, device, inode])?;
        }
        // A spool of the first versions does not have the last column.
        let columns = if has_born(old) { COLUMNS.to_owned() } else { COLUMNS.replace(", born", ", NULL") };
        let mut select = old.prepare(&format!("SELECT folder, {columns} FROM file"))?;
        let columns = select.column_count();
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let values =
                (0..columns).map(|i| row.get::<_, rusqlite::types::Value>(i)).collect::<Result<Vec<_>, _>>()?;
            let insert =
                format!("INSERT OR IGNORE INTO file (folder, {COLUMNS}) VALUES (?{})", ", ?".repeat(columns - 1));
            tx.prepare_cached(&insert)?.execute(rusqlite::params_from_iter(values))?;
            *files += 1;
        }
        Ok(())
    };
    let copied = copy();
    tx.commit()?;
    copied
}

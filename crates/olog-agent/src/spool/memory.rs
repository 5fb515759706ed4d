//! What is known of every file: the rows that make "what is new" a question with an answer.
//!
//! A million files must cost no RAM and little disk: a row is found by (folder, name), lies beside its neighbours of the
//! same folder, and what a file that was never read does not have is NULL, which takes one byte.

use encoding_rs::Encoding;
use olog_proto::At;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{Spool, SpoolError, number, unsigned};

pub(super) const SCHEMA: &str = "
CREATE TABLE folder (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, device INTEGER NOT NULL, inode INTEGER NOT NULL);
CREATE TABLE file (
    folder INTEGER NOT NULL, name BLOB NOT NULL,
    inode INTEGER NOT NULL, size INTEGER NOT NULL, mtime INTEGER NOT NULL, seen INTEGER NOT NULL,
    offset INTEGER, head INTEGER, tail INTEGER, content INTEGER,
    began INTEGER, encoding TEXT, flags INTEGER NOT NULL, held INTEGER, origin BLOB,
    PRIMARY KEY (folder, name)) WITHOUT ROWID;
CREATE INDEX folder_inode ON folder (inode);
CREATE INDEX file_held ON file (folder) WHERE held IS NOT NULL;
";

/// A folder's number in the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FolderId(pub i64);

/// A folder that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Its number.
    pub id: FolderId,
    /// Its whole path.
    pub path: Vec<u8>,
    /// It was known before it was asked for.
    pub known: bool,
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

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// The inode's number.
    pub inode: u64,
    /// Bytes, when last looked at.
    pub size: u64,
    /// The time of the last change of its bytes, in nanoseconds since 1970.
    pub mtime: i64,
    /// When the agent first saw it, by a clock that the hub has confirmed; none before that.
    pub seen: Option<At>,
    /// Read through this byte.
    pub offset: u64,
    /// Hash of the first min(256, offset) bytes; none before the first read.
    pub head: Option<u64>,
    /// Hash of the last min(256, offset) bytes before the offset.
    pub tail: Option<u64>,
    /// What its text was: equal for the same text written again.
    pub content: Option<u64>,
    /// When this writing of it began, where that is known.
    pub began: Option<At>,
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
    /// Renamed away from this name, by rotation: what still comes belongs to it.
    pub origin: Option<Vec<u8>>,
}

/// A file and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name in its folder.
    pub name: Vec<u8>,
    /// What is known of it.
    pub memory: Memory,
}

/// In the column `seen`: not dated yet. No clock that was confirmed shows this second.
const UNDATED: i64 = 0;

const HAS_TEXT: i64 = 1;
const OPEN: i64 = 2;
const HISTORY: i64 = 4;

const COLUMNS: &str =
    "name, inode, size, mtime, seen, offset, head, tail, content, began, encoding, flags, held, origin";

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    let hash = |i| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(i)?.map(unsigned));
    let size = unsigned(row.get(2)?);
    let flags: i64 = row.get(11)?;
    let encoding = row.get_ref(10)?.as_bytes_or_null().ok().flatten();
    let memory = Memory {
        inode: unsigned(row.get(1)?),
        size,
        mtime: row.get(3)?,
        seen: Some(row.get::<_, i64>(4)?).filter(|at| *at != UNDATED).map(|at| At(at.saturating_mul(1000))),
        offset: hash(5)?.unwrap_or(size),
        head: hash(6)?,
        tail: hash(7)?,
        content: hash(8)?,
        began: row.get::<_, Option<i64>>(9)?.map(At),
        encoding: encoding.and_then(Encoding::for_label),
        has_text: flags & HAS_TEXT != 0,
        open: flags & OPEN != 0,
        history: flags & HISTORY != 0,
        held: row.get::<_, Option<u32>>(12)?.unwrap_or(0),
        origin: row.get(13)?,
    };
    Ok(Row { name: row.get(0)?, memory })
}

pub(super) fn write(tx: &Transaction<'_>, files: &[(FileKey, Option<Memory>)]) -> rusqlite::Result<()> {
    let mut replace = tx.prepare_cached(
        "INSERT OR REPLACE INTO file (folder, name, inode, size, mtime, seen, offset, head, tail, content, began, \
         encoding, flags, held, origin) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
            return Ok(Folder { id, path: path.to_owned(), known: true, other_device: d != device });
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
        Ok(Folder { id, path: path.to_owned(), known: same.is_some(), other_device: false })
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
            let mut select = state.connection.prepare_cached("SELECT id, path FROM folder ORDER BY path")?;
            let rows = select.query_map([], |row| {
                Ok(Folder { id: FolderId(row.get(0)?), path: row.get(1)?, known: true, other_device: false })
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
    pub fn memory(&self, key: &FileKey) -> Result<Option<Memory>, SpoolError> {
        let state = self.lock();
        let select = format!("SELECT {COLUMNS} FROM file WHERE folder = ? AND name = ?");
        let found = state
            .connection
            .prepare_cached(&select)
            .and_then(|mut s| s.query_row(params![key.folder.0, key.name], row).optional());
        Ok(found.map_err(|e| self.error(e))?.map(|row| row.memory))
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
    pub fn date_files(&self, now: At) -> Result<(), SpoolError> {
        let mut state = self.lock();
        self.lazily(&mut state, |state| {
            let update = "UPDATE file SET seen = ? WHERE seen = ?";
            self.transact(state, |tx| tx.execute(update, [now.0.div_euclid(1000), UNDATED]).map(drop))
        })
    }

    /// How many files are known.
    pub fn n_files(&self) -> Result<u64, SpoolError> {
        let state = self.lock();
        let count = state.connection.query_row("SELECT count(*) FROM file", [], |row| row.get(0));
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
        let mut select = old.prepare(&format!("SELECT folder, {COLUMNS} FROM file"))?;
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

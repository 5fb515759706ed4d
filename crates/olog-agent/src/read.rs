//! Opens one log file safely, reads the bytes that are new, bounded, and compares them with what is known of the file.
//!
//! A log dir is writable by others, and the agent may read more than they may. So nothing is opened by following a link: each
//! path is resolved beneath its log dir without symbolic links (openat2(2); component by component on older kernels), opened without
//! blocking, and must be a regular file both before it is opened for reading (a FIFO's writer would notice) and after. A hard link of
//! another user's file in a folder into which others may write is not read. No descriptor is kept: an open one would keep a file system
//! from being unmounted.
//!
//! | size, inode, bytes | what is new |
//! |---|---|
//! | larger than the offset, the same inode, the first and the last 256 bytes before the offset as they were | what lies behind the offset |
//! | anything else that changed | the whole file |
//! | the whole file, and its text is the one that was told | nothing: it was written again |
//!
//! Whatever a file's size, at most two windows of new bytes are read, and two more for the hash that knows the same text again.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use olog_proto::{Growth, Timestamp};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::spool::FileState;
use crate::text;

/// Bytes that are read at each end of what is new.
pub const WINDOW: usize = 64 * 1024;
/// Bytes before what is new that are looked at for the beginning of a secret: more than a private key has. Even, for UTF-16.
const BEFORE: u64 = 16 * 1024;
/// Bytes at each end of what was read that are compared, to tell an appended file from another.
const END: usize = 256;

/// A tick of the kernel's clock is not longer.
const TICK: std::time::Duration = std::time::Duration::from_millis(10);
/// So often a file is looked at whose names change all the time.
const TICK_LOOKS: u32 = 4;

/// A file that cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No longer there.
    #[error("it is gone")]
    Gone,
    /// A link, FIFO, socket, device or folder.
    #[error("it is not a regular file")]
    NotAFile,
    /// A hard link by which somebody may have given the agent a file of another user.
    #[error(
        "it has more than one name (hard link) and belongs to root or to another user than its folder, into which others may write: \
         somebody may have linked a file there that only the agent can read"
    )]
    ForeignLink,
    /// Refused by the system.
    #[error("cannot be read")]
    Io(#[source] io::Error),
}

impl From<Errno> for ReadError {
    fn from(errno: Errno) -> ReadError {
        match errno {
            Errno::NOENT | Errno::NOTDIR => ReadError::Gone,
            Errno::LOOP | Errno::XDEV | Errno::NXIO | Errno::ISDIR => ReadError::NotAFile,
            other => ReadError::Io(other.into()),
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        Errno::from_io_error(&error).map_or(ReadError::Io(error), ReadError::from)
    }
}

/// Where a file is: its log dir, and the way from there.
#[derive(Debug, Clone, Copy)]
pub struct LogPath<'a> {
    /// The log dir; it may itself be reached by a link, since its operator named it.
    pub log_dir: &'a Path,
    /// Beneath it; empty for the log dir itself.
    pub path: &'a Path,
}

/// What the file system says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// The file system.
    pub device: u64,
    /// The inode's number.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// The last change of its bytes, in nanoseconds since 1970.
    pub mtime: i64,
    /// When the inode was made, in nanoseconds since 1970, where the file system says so.
    pub born: Option<i64>,
    /// How many names it has.
    pub links: u32,
    /// Whose it is.
    pub uid: u32,
}

impl Stat {
    /// Is it as it was when this was written down?
    pub fn is(&self, memory: &FileState) -> bool {
        (self.inode, self.size, self.mtime) == (memory.inode, memory.size, memory.mtime)
    }

    /// Can it be the inode that was known, and not another one with its number? The bytes may have changed.
    pub fn may_be(&self, memory: &FileState) -> bool {
        self.inode == memory.inode && self.born.zip(memory.born).is_none_or(|(born, known)| born == known)
    }

    /// The last change of its bytes.
    pub fn changed_at(&self) -> Timestamp {
        Timestamp(self.mtime.div_euclid(1_000_000))
    }

    /// When the inode was made.
    pub fn born_at(&self) -> Option<Timestamp> {
        self.born.map(|born| Timestamp(born.div_euclid(1_000_000)))
    }
}

/// New bytes, and what is to be remembered once they are told.
#[derive(Debug)]
pub struct ReadResult {
    /// The file.
    pub stat: Stat,
    /// What happened to it.
    pub change: Growth,
    /// Rewritten with the text that it had.
    pub same: bool,
    /// Where the new bytes begin.
    pub from: u64,
    /// Where they end: what was read for good.
    pub to: u64,
    /// The first new bytes, or all of them.
    pub head: Vec<u8>,
    /// How many were not read.
    pub between: u64,
    /// The last, if any were left out.
    pub tail: Vec<u8>,
    /// What stands right before the new bytes: a secret may have begun there.
    pub before: Vec<u8>,
    /// Hash of the file's first bytes.
    pub head_hash: u64,
    /// Hash of the last bytes before `to`.
    pub tail_hash: u64,
    /// Hash of the text, as far as it is read to know it again.
    pub content: u64,
}

impl ReadResult {
    /// For [`text::clean_text`].
    pub fn bytes(&self) -> text::Bytes<'_> {
        text::Bytes {
            head: &self.head,
            between: self.between,
            tail: &self.tail,
            from_start: self.from == 0,
            before: &self.before,
        }
    }

    /// Bytes stay behind that its writer has not finished.
    pub fn is_unfinished(&self) -> bool {
        self.to < self.stat.size
    }
}

/// What a path is, without opening it for reading.
pub fn stat(place: LogPath<'_>) -> Result<Stat, ReadError> {
    stat_of(open(place, OFlags::PATH | OFlags::NOFOLLOW)?)
}

/// Reads what is new. `closed`: its writer is done with it, so an unfinished last line is a line.
pub fn read(place: LogPath<'_>, memory: Option<&FileState>, closed: bool) -> Result<ReadResult, ReadError> {
    stat(place)?;
    let (file, stat) = open_file(place)?;
    let (change, from) = match memory {
        None => (Growth::Created, 0),
        Some(memory) if memory.history => (Growth::Created, 0),
        Some(memory) if stat.size > memory.offset && goes_on(&file, stat, memory)? => (Growth::Grown, memory.offset),
        Some(_) => (Growth::Rewritten, 0),
    };
    let size = stat.size;
    let (head, between, tail) = windows(&file, from, size)?;
    let before = bytes(&file, from.saturating_sub(BEFORE), from.min(BEFORE))?;
    let mut reading = ReadResult {
        stat,
        change,
        same: false,
        from,
        to: from + head.len() as u64 + between + tail.len() as u64,
        head,
        between,
        tail,
        before,
        head_hash: 0,
        tail_hash: 0,
        content: 0,
    };
    if !closed {
        leave_unfinished(&mut reading, memory);
    }
    let to = reading.to;
    (reading.head_hash, reading.tail_hash) = ends(&file, to)?;
    reading.content = content(&file, &reading)?;
    reading.same = change == Growth::Rewritten && memory.and_then(|m| m.content) == Some(reading.content);
    Ok(reading)
}

/// Is this the file that `memory` speaks of, with at least what was read of it? For a file found under another name.
pub fn holds(place: LogPath<'_>, memory: &FileState) -> Result<Option<Stat>, ReadError> {
    if stat(place)?.size < memory.offset {
        return Ok(None);
    }
    let (file, stat) = open_file(place)?;
    let hashes = ends(&file, memory.offset)?;
    let held = match (memory.head, memory.tail) {
        (Some(head), Some(tail)) => hashes == (head, tail),
        _ => stat.inode == memory.inode,
    };
    Ok(held.then_some(stat))
}

/// Opens a file for reading. What counts is what was opened, not what the path was before or is now.
fn open_file(place: LogPath<'_>) -> Result<(std::fs::File, Stat), ReadError> {
    let fd = open(place, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK)?;
    let stat = stat_of(&fd)?;
    refuse_foreign_link(place, &fd, stat)?;
    Ok((std::fs::File::from(fd), stat))
}

/// Whoever may write into a folder could link a file into it that only the agent may read (fs.protected_hardlinks = 0). A file of root is
/// foreign in every folder into which others may write.
///
/// The link may be removed before its names are counted, and made again before its name is looked up. So the count must be one before and
/// after the look-up, and the inode unchanged in between: each link(2) and unlink(2) sets its ctime. The kernel's clock for that moves in ticks,
/// so what changed in this very tick is looked at again, unless it was written to, which sets the mtime too.
fn refuse_foreign_link(place: LogPath<'_>, fd: &OwnedFd, stat: Stat) -> Result<(), ReadError> {
    let parent = place.path.parent().unwrap_or(Path::new(""));
    let folder = rustix::fs::fstat(open_folder(LogPath { path: parent, ..place })?)?;
    if folder.st_mode & 0o022 == 0 || (stat.uid == folder.st_uid && stat.uid != 0) {
        return Ok(());
    }
    for _ in 0..TICK_LOOKS {
        let tick = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        let tick = nanoseconds(tick.tv_sec, tick.tv_nsec);
        let before = LinkCount::of(fd)?;
        let named = self::stat(place)?;
        let after = LinkCount::of(fd)?;
        if (named.device, named.inode) != (stat.device, stat.inode) {
            return Err(ReadError::Gone);
        }
        if before.links > 1 || after.links > 1 {
            return Err(ReadError::ForeignLink);
        }
        let was_written = before.changed == before.written && after.changed == after.written;
        if was_written || (before == after && before.is_before(tick)) {
            return Ok(());
        }
        std::thread::sleep(TICK);
    }
    Err(ReadError::Gone)
}

/// How many names an open file has, and when that last changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LinkCount {
    links: u64,
    /// Its ctime, in nanoseconds.
    changed: i64,
    /// Its mtime, in nanoseconds.
    written: i64,
}

impl LinkCount {
    fn of(fd: &OwnedFd) -> Result<LinkCount, ReadError> {
        let found = rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, WANTED)?;
        let time = |time: rustix::fs::StatxTimestamp| nanoseconds(time.tv_sec, time.tv_nsec.into());
        let (changed, written) = (time(found.stx_ctime), time(found.stx_mtime));
        Ok(LinkCount { links: found.stx_nlink.into(), changed, written })
    }

    /// In an earlier tick? The clock of a file server may be ahead.
    fn is_before(self, tick: i64) -> bool {
        self.changed < tick || self.changed > tick.saturating_add(1_000_000_000)
    }
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// Opens a folder for listing it.
pub fn open_folder(place: LogPath<'_>) -> Result<OwnedFd, ReadError> {
    Ok(open(place, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?)
}

/// Opens beneath the log dir, following no link.
pub fn open(place: LogPath<'_>, flags: OFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::CLOEXEC;
    if place.path.as_os_str().is_empty() {
        return rustix::fs::open(place.log_dir, flags & !OFlags::NOFOLLOW, Mode::empty());
    }
    let root = rustix::fs::open(place.log_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..8 {
        match rustix::fs::openat2(&root, place.path, flags, Mode::empty(), resolve) {
            // A rename somewhere raced with the look-up: openat2(2) says to try again.
            Err(Errno::AGAIN) => {}
            Err(Errno::NOSYS | Errno::PERM) => return open_stepwise(root, place.path, flags),
            opened => return opened,
        }
    }
    Err(Errno::NOENT)
}

/// For kernels and sandboxes without openat2: each folder on the way is opened from the one before it.
fn open_stepwise(root: OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut folder = root;
    let mut steps = path.components().peekable();
    while let Some(step) = steps.next() {
        let std::path::Component::Normal(name) = step else { return Err(Errno::XDEV) };
        if steps.peek().is_none() {
            return rustix::fs::openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty());
        }
        let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        folder = rustix::fs::openat(&folder, name, on_the_way, Mode::empty())?;
    }
    Err(Errno::NOENT)
}

const WANTED: StatxFlags = StatxFlags::BASIC_STATS.union(StatxFlags::BTIME);

fn stat_of(fd: impl AsFd) -> Result<Stat, ReadError> {
    let found = rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, WANTED)?;
    regular(&found).ok_or(ReadError::NotAFile)
}

/// What the file system says of a name in an open folder; none for what is no regular file.
pub fn stat_in(folder: impl AsFd, name: &std::ffi::CStr) -> Result<Option<Stat>, Errno> {
    let found = rustix::fs::statx(folder, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT, WANTED)?;
    Ok(regular(&found))
}

/// Device and inode of an open folder.
pub fn identity(folder: impl AsFd) -> Result<(u64, u64), Errno> {
    let found = rustix::fs::statx(folder, c"", AtFlags::EMPTY_PATH, StatxFlags::INO)?;
    Ok((device(&found), found.stx_ino))
}

/// Device and inode of a log dir, if it is there.
pub fn identity_of(log_dir: &Path) -> Result<(u64, u64), Errno> {
    let found = rustix::fs::statx(CWD, log_dir, AtFlags::empty(), StatxFlags::INO)?;
    Ok((device(&found), found.stx_ino))
}

fn device(found: &rustix::fs::Statx) -> u64 {
    u64::from(found.stx_dev_major) << 32 | u64::from(found.stx_dev_minor)
}

fn regular(found: &rustix::fs::Statx) -> Option<Stat> {
    let mode = rustix::fs::RawMode::from(found.stx_mode);
    let time = |t: rustix::fs::StatxTimestamp| t.tv_sec.saturating_mul(1_000_000_000).saturating_add(t.tv_nsec.into());
    let has_birth = found.stx_mask & StatxFlags::BTIME.bits() != 0 && found.stx_btime.tv_sec > 0;
    (rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::RegularFile).then(|| Stat {
        device: device(found),
        inode: found.stx_ino,
        size: found.stx_size,
        mtime: time(found.stx_mtime),
        born: has_birth.then(|| time(found.stx_btime)),
        links: found.stx_nlink,
        uid: found.stx_uid,
    })
}

/// Size > offset: do the bytes up to the offset look as they did?
fn goes_on(file: &std::fs::File, stat: Stat, memory: &FileState) -> Result<bool, ReadError> {
    if stat.inode != memory.inode {
        return Ok(false);
    }
    // Known by its metadata only: nothing speaks against it.
    let (Some(head), Some(tail)) = (memory.head, memory.tail) else { return Ok(true) };
    Ok(ends(file, memory.offset)? == (head, tail))
}

fn windows(file: &std::fs::File, from: u64, size: u64) -> Result<(Vec<u8>, u64, Vec<u8>), ReadError> {
    let window = WINDOW as u64;
    let new = size.saturating_sub(from);
    if new <= 2 * window {
        return Ok((bytes(file, from, new)?, 0, Vec::new()));
    }
    // At an even offset, lest UTF-16 be read by its other halves.
    let tail_from = (size - window) & !1;
    let head = bytes(file, from, window)?;
    Ok((head, tail_from - from - window, bytes(file, tail_from, size - tail_from)?))
}

/// Of a file that is still open, the line that is being written stays for later, unless it fills the window.
fn leave_unfinished(reading: &mut ReadResult, memory: Option<&FileState>) {
    let kept = memory.filter(|_| reading.change == Growth::Grown).and_then(|m| m.encoding);
    let cut = text::Cut { start: reading.from > 0, end: true };
    let encoding = kept.or_else(|| text::decide(&reading.head, cut, None));
    let last = if reading.between > 0 { &mut reading.tail } else { &mut reading.head };
    let finished = text::finished(last, encoding);
    if finished == 0 && last.len() >= WINDOW {
        return;
    }
    reading.to -= (last.len() - finished) as u64;
    last.truncate(finished);
}

fn ends(file: &std::fs::File, offset: u64) -> Result<(u64, u64), ReadError> {
    let length = offset.min(END as u64);
    let head = bytes(file, 0, length)?;
    let tail = bytes(file, offset - length, length)?;
    Ok((hash(&[&head]), hash(&[&tail])))
}

fn content(file: &std::fs::File, reading: &ReadResult) -> Result<u64, ReadError> {
    let length = reading.to.to_le_bytes();
    if reading.from == 0 && reading.between == 0 {
        return Ok(hash(&[&length, &reading.head]));
    }
    let (head, _, tail) = windows(file, 0, reading.to)?;
    Ok(hash(&[&length, &head, &tail]))
}

fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = Sha256::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize().iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Bytes at an offset; fewer where the file ends before.
fn bytes(file: &std::fs::File, from: u64, length: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(2 * WINDOW).min(2 * WINDOW)];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, from + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// A file's name among its siblings.
#[derive(Debug, Clone)]
pub struct Sibling {
    /// The name.
    pub name: Vec<u8>,
    /// Its inode, as the folder lists it.
    pub inode: u64,
}

/// The names of a folder for which `wanted` holds.
pub fn siblings(place: LogPath<'_>, wanted: impl Fn(&[u8], u64) -> bool) -> Result<Vec<Sibling>, ReadError> {
    let fd = open_folder(place)?;
    let mut found = Vec::new();
    for entry in rustix::fs::Dir::new(fd)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." && wanted(name, entry.ino()) {
            found.push(Sibling { name: name.to_owned(), inode: entry.ino() });
        }
    }
    Ok(found)
}

/// Bytes as a path.
pub fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

#[cfg(test)]
mod tests;

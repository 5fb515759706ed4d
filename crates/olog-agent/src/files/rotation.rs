//! Log rotation: a file that is known under one name is found again under another, and its text still belongs to its first task.
//!
//! | rotation | what is seen | how the file is known again |
//! |---|---|---|
//! | rename (`x.err` → `x.err.1`, `x-2026.err`, `old/x.err`) | the inode has another name | [`Inspector::identify`]: by file system, inode and birth |
//! | the same while the agent was off | as above, found by the scan | as above; a missing name is judged after all others |
//! | rename out of the log dirs | the name is gone | its state is set aside for a day, in case it comes back |
//! | copy and truncate (`copytruncate`) | the file is shorter, a copy holds its bytes | [`Inspector::was_copied`], [`Inspector::copy_of`]: by name and bytes |
//!
//! A file system gives the number of a deleted inode to the next new file. So an inode is taken for the known one only if its birth
//! agrees; where the file system does not say it, size and time, or the bytes that were told, must agree.

use std::collections::HashSet;
use std::path::Path;

use olog_proto::{EventContent, Growth, LogKind};

use super::inspector::{Inspector, LogFile};
use crate::read::{self, LogPath, Sibling, Stat, as_path};
use crate::settle::{Debounced, Left};
use crate::spool::{FileKey, FileState, FolderId, SpoolError};
use crate::text;

impl Inspector<'_> {
    /// Which known file lies under this name now? Returns its memory, moved to this name.
    pub(super) fn identify(
        &mut self,
        key: &FileKey,
        pending: &Debounced,
        memory: Option<FileState>,
        path: &Path,
        stat: Stat,
    ) -> Result<Option<FileState>, SpoolError> {
        if memory.as_ref().is_some_and(|memory| stat.may_be(memory)) {
            return Ok(memory);
        }
        let renamed = pending.left == Some(Left::Renamed);
        // With the same number it was deleted, and its inode is in use again.
        let unseen = pending.unseen && memory.as_ref().is_some_and(|memory| memory.inode != stat.inode);
        if let Some(memory) = memory.as_ref().filter(|_| renamed || unseen)
            && !self.has_other_name(key, memory)?
        {
            self.set_aside(key, memory);
        }
        if let Some(known) = self.known_elsewhere(key, path, stat)? {
            return Ok(Some(known));
        }
        match memory {
            Some(_) if renamed => {
                self.batch.forget(key.clone());
                Ok(None)
            }
            // A new file under the name of a rotated one, while nobody looked: rotated too. In sight it is a file of its own.
            Some(memory) if !pending.unseen => Ok(Some(FileState { origin: None, ..memory })),
            Some(memory) => Ok(Some(memory)),
            None => self.copy_of(key, path, stat),
        }
    }

    /// Keeps the state of a file that was renamed to where it has not been met yet.
    pub(super) fn set_aside(&mut self, key: &FileKey, memory: &FileState) {
        let Some(device) = self.device_of(key) else { return };
        let origin = self.first_path(key, memory);
        let away = FileKey::away(self.clock.now(), device, memory.inode);
        self.batch.remember(away, FileState { origin, ..memory.clone() });
    }

    /// Is this file known under another name too?
    pub(super) fn has_other_name(&self, key: &FileKey, memory: &FileState) -> Result<bool, SpoolError> {
        let Some(device) = self.device_of(key) else { return Ok(false) };
        let known = self.known_by_inode(device, memory.inode)?;
        Ok(known.iter().any(|(other, m)| other != key && m.born == memory.born))
    }

    /// A file that is known under another name, or was set aside: from now on it is known under this one.
    fn known_elsewhere(&mut self, key: &FileKey, path: &Path, stat: Stat) -> Result<Option<FileState>, SpoolError> {
        for (old, memory) in self.known_by_inode(stat.device, stat.inode)? {
            if old == *key || !self.is_same(path, stat, &memory, &old) {
                continue;
            }
            let origin = self.first_path(&old, &memory).and_then(|first| self.as_origin(key, first));
            let known = FileState { origin, ..memory };
            // With a hard link it goes on under both names.
            if old.is_away() || !self.lies_at(&old, stat) {
                self.batch.forget(old);
            }
            self.batch.remember(key.clone(), known.clone());
            return Ok(Some(known));
        }
        Ok(None)
    }

    fn is_same(&self, path: &Path, stat: Stat, memory: &FileState, old: &FileKey) -> bool {
        if !stat.may_be(memory) {
            return false;
        }
        if stat.born.is_some() && memory.born.is_some() {
            return true;
        }
        let removed = self.settle.is_removed(old)
            || self.ready.iter().any(|(key, pending)| key == old && pending.left == Some(Left::Removed));
        let holds = || memory.offset > 0 && matches!(read::holds(self.place(path), memory), Ok(Some(_)));
        !removed && (stat.is(memory) || holds())
    }

    fn known_by_inode(&self, device: u64, inode: u64) -> Result<Vec<(FileKey, FileState)>, SpoolError> {
        let mut known = self.spool.known_by_inode(device, inode)?;
        known.retain(|(key, _)| self.batch.memory(key).is_none());
        let in_batch = self.batch.with_inode(inode).filter(|(key, memory)| {
            self.batch.memory(key) == Some(Some(*memory)) && self.device_of(key).is_none_or(|found| found == device)
        });
        known.extend(in_batch.map(|(key, memory)| (key.clone(), memory.clone())));
        Ok(known)
    }

    /// The log dir and the way from there.
    fn where_is(&self, key: &FileKey) -> Option<(&Path, std::path::PathBuf)> {
        let folder = self.folders.get(&key.folder)?;
        Some((self.log_dirs.get(folder.root)?, folder.path.join(as_path(&key.name))))
    }

    fn lies_at(&self, key: &FileKey, stat: Stat) -> bool {
        let Some((log_dir, path)) = self.where_is(key) else { return false };
        read::stat(LogPath { log_dir, path: &path })
            .is_ok_and(|found| (found.device, found.inode) == (stat.device, stat.inode))
    }

    /// The file system of a key's folder.
    fn device_of(&self, key: &FileKey) -> Option<u64> {
        key.away_device().or_else(|| self.folders.get(&key.folder).map(|folder| folder.device))
    }

    /// The whole path under which a file was first met.
    fn first_path(&self, key: &FileKey, memory: &FileState) -> Option<Vec<u8>> {
        let name = memory.origin.as_deref().unwrap_or(&key.name);
        if name.contains(&b'/') {
            return Some(name.to_owned());
        }
        let folder = self.folders.get(&key.folder)?;
        let whole = self.log_dirs.get(folder.root)?.join(&folder.path).join(as_path(name));
        Some(whole.as_os_str().as_encoded_bytes().to_owned())
    }

    /// A first path as it is stored: none under its first name, a bare name in its first folder.
    fn as_origin(&self, key: &FileKey, first: Vec<u8>) -> Option<Vec<u8>> {
        let folder = self.log_dir.join(&self.folder.path);
        match as_path(&first).strip_prefix(&folder).map(|name| name.as_os_str().as_encoded_bytes()) {
            Ok(name) if name == key.name => None,
            Ok(name) if !name.contains(&b'/') => Some(name.to_owned()),
            _ => Some(first),
        }
    }

    /// Remembers a file under all its hard links, lest the same text be told by each of them.
    pub(super) fn remember_all_names(
        &mut self,
        key: &FileKey,
        stat: Stat,
        memory: FileState,
    ) -> Result<(), SpoolError> {
        if stat.links > 1 {
            for (other, known) in self.known_by_inode(stat.device, stat.inode)? {
                if other != *key && !other.is_away() && stat.may_be(&known) {
                    self.batch.remember(other, FileState { origin: known.origin, seen: known.seen, ..memory.clone() });
                }
            }
        }
        self.batch.remember(key.clone(), memory);
        Ok(())
    }

    /// Finds a file that left its name unseen among all names of its folder, also those that no log file has, and tells what it
    /// holds beyond its offset.
    pub(super) fn follow_in_folder(
        &mut self,
        key: &FileKey,
        memory: &FileState,
        log_file: &LogFile<'_>,
    ) -> Result<bool, SpoolError> {
        for sibling in self.siblings(key.folder)? {
            if sibling.inode != memory.inode || sibling.name == key.name {
                continue;
            }
            let path = self.folder.path.join(as_path(&sibling.name));
            let at = FileKey { folder: key.folder, name: sibling.name };
            let Ok(stat) = read::stat(self.place(&path)) else { continue };
            if self.memory(&at)?.is_some_and(|known| stat.may_be(&known)) || !self.is_same(&path, stat, memory, key) {
                continue;
            }
            let origin = self.first_path(key, memory).and_then(|first| self.as_origin(&at, first));
            let mut known = FileState { origin, ..memory.clone() };
            if stat.size > memory.offset {
                self.tell_rest(&at, &path, &mut known, log_file);
            }
            self.batch.remember(at, known);
            return Ok(true);
        }
        Ok(false)
    }

    /// A file is shorter than what was read of it: is there a younger copy that begins as it did? What the copy holds beyond
    /// the offset is told.
    pub(super) fn was_copied(&mut self, key: &FileKey, memory: &FileState, log_file: &LogFile<'_>, stat: Stat) -> bool {
        if memory.offset == 0 || !stat.may_be(memory) || stat.size >= memory.offset {
            return false;
        }
        for sibling in self.siblings(key.folder).unwrap_or_default() {
            if sibling.name == key.name || !is_name_of_copy(&key.name, &sibling.name) {
                continue;
            }
            let path = self.folder.path.join(as_path(&sibling.name));
            let Ok(found) = read::stat(self.place(&path)) else { continue };
            if found.inode == memory.inode {
                continue;
            }
            let packed = [&b".gz"[..], b".xz", b".zst", b".bz2"].iter().any(|end| sibling.name.ends_with(end));
            if packed {
                // Its bytes cannot be compared; that it was made after our last look at the file is enough.
                if found.born.is_some_and(|born| born >= memory.mtime) {
                    return true;
                }
                continue;
            }
            if memory.head.is_some() && matches!(read::holds(self.place(&path), memory), Ok(Some(_))) {
                let copy = FileKey { folder: key.folder, name: sibling.name };
                self.remember_copy(&copy, &path, found, key, memory, log_file);
                return true;
            }
        }
        false
    }

    /// Is this new file the copy that rotation made of a file which it has just truncated?
    fn copy_of(&mut self, key: &FileKey, path: &Path, stat: Stat) -> Result<Option<FileState>, SpoolError> {
        for name in names_before_rotation(&key.name).filter(|name| LogKind::of(name).is_some()) {
            let original = FileKey { folder: key.folder, name };
            let Some(memory) = self.memory(&original)?.filter(|m| m.offset > 0 && m.head.is_some()) else { continue };
            let original_path = self.folder.path.join(as_path(&original.name));
            let truncated = read::stat(self.place(&original_path))
                .is_ok_and(|found| found.may_be(&memory) && found.size < memory.offset);
            if truncated && stat.inode != memory.inode && matches!(read::holds(self.place(path), &memory), Ok(Some(_)))
            {
                let Some(log_file) = self.log_file(&original, Some(&memory), original_path) else { continue };
                return Ok(Some(self.remember_copy(key, path, stat, &original, &memory, &log_file)));
            }
        }
        Ok(None)
    }

    fn remember_copy(
        &mut self,
        copy: &FileKey,
        path: &Path,
        stat: Stat,
        original: &FileKey,
        memory: &FileState,
        log_file: &LogFile<'_>,
    ) -> FileState {
        let origin = self.first_path(original, memory).and_then(|first| self.as_origin(copy, first));
        let mut known = FileState { origin, inode: stat.inode, born: stat.born, held: 0, ..memory.clone() };
        if stat.size > memory.offset {
            self.tell_rest(copy, path, &mut known, log_file);
        }
        (known.size, known.mtime) = (stat.size, stat.mtime);
        self.batch.remember(copy.clone(), known.clone());
        known
    }

    /// Tells what a rotated file holds beyond its offset.
    fn tell_rest(&mut self, key: &FileKey, path: &Path, known: &mut FileState, log_file: &LogFile<'_>) {
        let Ok(reading) = read::read(self.place(path), Some(known), true) else { return };
        if reading.change != Growth::Grown {
            return;
        }
        let said = text::clean_text(reading.bytes(), known.encoding, self.manner(log_file));
        if !said.is_blank() {
            let file = self.file(log_file, Growth::Grown, known.began, true, false, said.fingerprints);
            self.emit(key, reading.stat.changed_at(), EventContent::Text { file, excerpt: said.excerpt });
            known.has_text = true;
        }
        known.size = reading.stat.size;
        known.mtime = reading.stat.mtime;
        known.offset = reading.to;
        (known.head, known.tail) = (Some(reading.head_hash), Some(reading.tail_hash));
        known.content = Some(reading.content);
    }

    /// The names of a folder that this batch may ask for: those of its files' inodes, and those that a copy of them may have.
    fn siblings(&mut self, folder: FolderId) -> Result<Vec<Sibling>, SpoolError> {
        if let Some(known) = self.names.by_folder.get(&folder) {
            return Ok(known.clone());
        }
        let (mut inodes, mut names) = (HashSet::new(), HashSet::new());
        for (key, _) in self.ready.iter().filter(|(key, _)| key.folder == folder) {
            if let Some(memory) = self.memory(key)? {
                inodes.insert(memory.inode);
                names.insert(key.name.as_slice());
            }
        }
        let wanted = |name: &[u8], inode: u64| {
            inodes.contains(&inode) || names_before_rotation(name).any(|before| names.contains(before.as_slice()))
        };
        self.names.n_listed += 1;
        // A folder that cannot be listed has no answer; its own trouble is told by the scan.
        let place = LogPath { log_dir: self.log_dir, path: &self.folder.path };
        let found = read::siblings(place, wanted).unwrap_or_default();
        self.names.by_folder.insert(folder, found.clone());
        Ok(found)
    }
}

/// May rotation have given this name to a copy of that file? `x.err` → `x.err.1`, `x.err-20261127`, `x-20261127.err`, `x.1.err`.
fn is_name_of_copy(original: &[u8], name: &[u8]) -> bool {
    names_before_rotation(name).any(|before| before == original)
}

/// The names that a rotated file may have had: each place where rotation may have put something in is taken out.
fn names_before_rotation(name: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let suffix = name.iter().rposition(|&b| b == b'.').map(|dot| name.get(dot..).unwrap_or_default());
    let cuts = name.iter().enumerate().rev().filter(|(i, b)| *i > 0 && matches!(b, b'.' | b'-' | b'_'));
    cuts.take(CUTS_MAX).flat_map(move |(i, _)| {
        let stem = name.get(..i).unwrap_or_default();
        let kept_suffix = suffix.map(|suffix| [stem, suffix].concat()).filter(|before| before != name);
        std::iter::once(stem.to_owned()).chain(kept_suffix)
    })
}

/// Separators of a name at which something may have been put in: a date has up to five.
const CUTS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_logrotate_gives_lead_back_to_the_first_name() {
        for name in
            ["x.err.1", "x.err-20261127", "x.err_old", "x-20261127.err", "x.1.err", "x-2026-11-27.err", "x.err.1.gz"]
        {
            assert!(is_name_of_copy(b"x.err", name.as_bytes()), "{name}");
        }
        for name in ["x.err", "y.err.1", "x.log.1", "xx.err", "x1.err", "old-x.err"] {
            assert!(!is_name_of_copy(b"x.err", name.as_bytes()), "{name}");
        }
    }
}

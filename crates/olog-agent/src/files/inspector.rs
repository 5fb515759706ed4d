//! What the inspection of one file works with: the configuration, the spool, the batch that it fills, and how events are worded.
//!
//! [`super::inspect`] decides what a file says; [`super::rotation`] finds a file again under another name. Both are built from what is
//! here.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use olog_daemon::clock::Clock;
use olog_proto::name::path_text;
use olog_proto::{BootId, EventContent, File, Growth, LogKind, TaskName, Timestamp};

use super::settings::{FilesConfig, Rule};
use crate::kept;
use crate::read::{self, LogPath, Sibling, as_path};
use crate::settle::{Debounced, Settle};
use crate::spool::{Batch, FileKey, FileState, FolderId, Spool, SpoolError, Stamp};
use crate::text::{self, Redactor, TextOptions};

/// Where a folder is.
#[derive(Debug, Clone)]
pub(super) struct FolderPlace {
    /// Its log dir's place in the list.
    pub(super) root: usize,
    /// The way from there.
    pub(super) path: PathBuf,
    /// The file system that it is on.
    pub(super) device: u64,
    /// Whose it is; root's, until it was walked.
    pub(super) owner: u32,
}

impl FolderPlace {
    /// How many folders each owner has.
    pub(super) fn by_owner<'a>(places: impl Iterator<Item = &'a FolderPlace>) -> HashMap<u32, usize> {
        let mut n_folders = HashMap::new();
        places.for_each(|place| *n_folders.entry(place.owner).or_default() += 1);
        n_folders
    }
}

/// What an inspection needs to know.
pub(super) struct Inspector<'a> {
    pub(super) config: &'a FilesConfig,
    pub(super) redactor: &'a Redactor,
    pub(super) spool: &'a Spool,
    pub(super) clock: &'a Clock,
    pub(super) boot: BootId,
    pub(super) now: Duration,
    pub(super) log_dir: &'a Path,
    pub(super) folder: &'a FolderPlace,
    /// All folders, and the log dirs that they lie in: a file may come from another one.
    pub(super) folders: &'a HashMap<FolderId, FolderPlace>,
    pub(super) log_dirs: &'a [&'a Path],
    /// Files whose next event is rate-limited, until when.
    pub(super) rate_limited_until: &'a mut HashMap<FileKey, Duration>,
    pub(super) settle: &'a Settle,
    /// All files that this batch inspects.
    pub(super) ready: &'a [(FileKey, Debounced)],
    /// Files that the clean-up has deleted and the spool still knows.
    pub(super) swept: &'a HashSet<FileKey>,
    pub(super) names: &'a mut FolderNames,
    pub(super) batch: &'a mut Batch,
}

/// A file under the name that gives it its task, and how it is read.
#[derive(Clone)]
pub(super) struct LogFile<'a> {
    pub(super) task: TaskName,
    pub(super) suffix: LogKind,
    /// Where it lies now.
    pub(super) path: PathBuf,
    pub(super) rule: Option<&'a Rule>,
}

/// What the folders of one batch hold, as far as rotation asks: each is listed at most once, however many files changed in it.
#[derive(Debug, Default)]
pub(super) struct FolderNames {
    pub(super) by_folder: HashMap<FolderId, Vec<Sibling>>,
    /// Folders that were listed.
    pub(super) n_listed: u64,
}

impl<'a> Inspector<'a> {
    /// What is known of a file, this batch included.
    pub(super) fn memory(&self, key: &FileKey) -> Result<Option<FileState>, SpoolError> {
        match self.batch.memory(key) {
            Some(memory) => Ok(memory.cloned()),
            None => self.spool.memory(key),
        }
    }

    /// The task and the rule by the name under which the file was first met; `None` for what is no log file.
    pub(super) fn log_file(&self, key: &FileKey, memory: Option<&FileState>, path: PathBuf) -> Option<LogFile<'a>> {
        let folder = self.log_dir.join(&self.folder.path);
        let first = folder.join(as_path(memory.and_then(|m| m.origin.as_deref()).unwrap_or(&key.name)));
        let first = first.as_os_str().as_encoded_bytes();
        let (task, named_suffix) = TaskName::of_file(first.rsplit(|&b| b == b'/').next()?)?;
        let rule = self.config.rule(first).map(|(_, rule)| rule);
        if rule.is_some_and(|rule| rule.is_ignored) {
            return None;
        }
        let suffix = rule.and_then(|rule| rule.as_suffix).unwrap_or(named_suffix);
        Some(LogFile { task: self.redactor.redact_task(task), suffix, path, rule })
    }

    /// What an event says of the file.
    pub(super) fn file(
        &self,
        log_file: &LogFile<'_>,
        change: Growth,
        began: Option<Timestamp>,
        closed: bool,
        history: bool,
        fingerprints: Vec<olog_proto::FingerprintText>,
    ) -> File {
        let sibling_err = log_file.suffix == LogKind::Log && self.sibling_has_text(log_file);
        File {
            task: log_file.task.clone(),
            suffix: log_file.suffix,
            path: self.path_text(log_file),
            change,
            began_at: began.map(olog_proto::DeviceTime),
            closed,
            sibling_err,
            history,
            fingerprints,
        }
    }

    fn sibling_has_text(&self, log_file: &LogFile<'_>) -> bool {
        ["err", "ERR", "Err"].iter().any(|suffix| {
            let path = log_file.path.with_extension(suffix);
            let Ok(reading) = read::read(self.place(&path), None, true) else { return false };
            let whole = self.log_dir.join(&path);
            let rule = self.config.rule(whole.as_os_str().as_encoded_bytes()).map(|(_, rule)| rule);
            let is_error = rule.and_then(|rule| rule.as_suffix).is_none_or(LogKind::is_error);
            let is_reported = kept::is_reported(&reading.head);
            is_error
                && !is_reported
                && !text::clean_text(reading.bytes(), None, self.manner(&LogFile { rule, ..log_file.clone() }))
                    .is_blank()
        })
    }

    /// How its text is read.
    pub(super) fn manner<'b>(&'b self, log_file: &LogFile<'b>) -> TextOptions<'b> {
        self.config.manner(log_file.rule, self.redactor)
    }

    /// Puts an event into the batch.
    pub(super) fn emit(&mut self, key: &FileKey, at: Timestamp, what: EventContent) {
        self.rate_limited_until.insert(key.clone(), self.now + self.config.pace);
        let up = u64::try_from(self.now.as_millis()).unwrap_or(u64::MAX);
        self.batch.emit(Stamp { at, boot: self.boot, up }, what, Some(key.clone()));
    }

    /// Its path as it is told.
    pub(super) fn path_text(&self, log_file: &LogFile<'_>) -> String {
        self.redactor.redact_line(&path_text(self.log_dir.join(&log_file.path).as_os_str().as_encoded_bytes()))
    }

    /// A path in this log dir.
    pub(super) fn place<'b>(&'b self, path: &'b Path) -> LogPath<'b> {
        LogPath { log_dir: self.log_dir, path }
    }
}

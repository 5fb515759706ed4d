//! How the files thread is: what `status` shows of it, and which of its duties fail.
//!
//! A full or failing disk is waited for ([`crate::spool::SpoolError`] says so): nothing is lost meanwhile, because offsets move only
//! together with events and the files keep the rest. Anything else that the spool says ends the thread, and the next start
//! repairs it. There is nothing to set aside: a file that cannot be read is no failure of the spool.

use std::collections::BTreeSet;

use olog_daemon::workers::{Duty, Worker};
use olog_proto::{Note, Timestamp};

use crate::spool::SpoolError;

/// Why the files thread cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The kernel gives no inotify instance.
    #[error("cannot watch folders: raise fs.inotify.max_user_instances (sysctl)")]
    Watch(#[source] std::io::Error),
    /// No thread.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
    /// The spool does not answer.
    #[error("cannot read what is known of the files")]
    Spool(#[from] SpoolError),
}

/// How the files thread is.
#[derive(Debug, Clone, Default)]
pub struct FilesStatus {
    /// Files that are known.
    pub watched_files: u64,
    /// Folders that are watched.
    pub watched_folders: u64,
    /// Troubles that are open.
    pub notes: Vec<Note>,
    /// Whole walks of a log dir that came to their end.
    pub scans: u64,
    /// Folders that were listed beside the walks, to find where a file went.
    pub folders_listed: u64,
}

/// What the files thread has to do again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// Events and offsets into the spool.
    Store,
    /// Folders into the memory, and what a scan found.
    Scan,
    /// Deleting what is older than `log_keep_days`.
    CleanUp,
    /// The agent's own troubles into the spool.
    Notes,
}

/// The duties of the files thread. Each one is tried again on its own; none keeps the others from being done.
#[derive(Debug)]
pub(super) struct Duties {
    store: Duty,
    scan: Duty,
    clean_up: Duty,
    notes: Duty,
    failing: BTreeSet<Task>,
}

impl Duties {
    pub(super) fn of(worker: &Worker) -> Duties {
        Duties {
            store: worker.duty("storing events"),
            scan: worker.duty("scanning folders"),
            clean_up: worker.duty("deleting old files"),
            notes: worker.duty("storing notes"),
            failing: BTreeSet::new(),
        }
    }

    /// Writes down how a task went. An error that may pass is tried again; any other one is handed back.
    pub(super) fn record(
        &mut self,
        task: Task,
        result: Result<(), SpoolError>,
        now: Timestamp,
    ) -> Result<(), SpoolError> {
        let duty = match task {
            Task::Store => &self.store,
            Task::Scan => &self.scan,
            Task::CleanUp => &self.clean_up,
            Task::Notes => &self.notes,
        };
        match duty.round(result, now)? {
            Some(()) => self.failing.remove(&task),
            None => self.failing.insert(task),
        };
        Ok(())
    }

    pub(super) fn fails(&self, task: Task) -> bool {
        self.failing.contains(&task)
    }

    /// Does none of them fail?
    pub(super) fn are_done(&self) -> bool {
        self.failing.is_empty()
    }
}

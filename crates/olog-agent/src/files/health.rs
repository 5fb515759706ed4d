//! How the files thread is: what `status` shows of it, which of its duties fail, and what a failure of the spool means.
//!
//! A full or failing disk is waited for (`Retry`): nothing is lost meanwhile, because offsets move only together with events and the
//! files keep the rest. Anything else that the spool says ends the thread (`End`), and the next start repairs it. A duty that
//! has failed for [`GIVEN_UP_AFTER`] stops the thread's pulse, so that the service manager's watchdog is no longer fed.

use std::collections::BTreeMap;
use std::time::Duration;

use olog_proto::Note;

use crate::spool::SpoolError;

/// A duty that has failed for so long no longer counts as work.
pub(super) const GIVEN_UP_AFTER: Duration = Duration::from_secs(600);

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
    /// Duties that fail just now.
    pub failing: Vec<Failing>,
}

/// A duty that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// Which one.
    pub duty: Duty,
    /// For how long.
    pub lasts: Duration,
    /// Why, in words.
    pub why: String,
}

/// What the files thread has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    /// Events and offsets into the spool.
    Spool,
    /// Folders into the memory, and what a walk found.
    Scan,
    /// Deleting what is older than `log_keep_days`.
    CleanUp,
    /// The agent's own troubles into the spool.
    Notes,
}

impl Duty {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Duty::Spool => "storing events",
            Duty::Scan => "scanning folders",
            Duty::CleanUp => "deleting old files",
            Duty::Notes => "storing notes",
        }
    }
}

/// What a failure of the spool means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Policy {
    /// It may pass: the disk is full or fails, the database is busy.
    Retry,
    /// It will not: the thread ends, and with it the process.
    End,
}

/// The policy of the files thread. There is nothing to set aside: a file that cannot be read is no failure of the spool.
pub(super) fn policy(error: &SpoolError) -> Policy {
    match error {
        SpoolError::Full { .. } | SpoolError::Busy { .. } => Policy::Retry,
        error if error.is_io() => Policy::Retry,
        _ => Policy::End,
    }
}

/// The duties that fail, and since when.
#[derive(Debug, Default)]
pub(super) struct Duties(BTreeMap<Duty, (Duration, String)>);

impl Duties {
    /// A failure that may pass is written down; any other one is handed back.
    pub(super) fn failed(&mut self, duty: Duty, error: SpoolError, now: Duration) -> Result<(), SpoolError> {
        if policy(&error) == Policy::End {
            return Err(error);
        }
        let why = error.to_string();
        if !self.0.contains_key(&duty) {
            tracing::error!(duty = duty.as_str(), why, "{} fails and is tried again: {why}", duty.as_str());
        }
        self.0.entry(duty).or_insert((now, String::new())).1 = why;
        Ok(())
    }

    pub(super) fn done(&mut self, duty: Duty) {
        if self.0.remove(&duty).is_some() {
            tracing::info!(duty = duty.as_str(), "{} works again", duty.as_str());
        }
    }

    pub(super) fn fails(&self, duty: Duty) -> bool {
        self.0.contains_key(&duty)
    }

    /// Why the first of them fails.
    pub(super) fn why(&self) -> Option<&str> {
        self.0.values().next().map(|(_, why)| why.as_str())
    }

    pub(super) fn is_given_up(&self, now: Duration) -> bool {
        self.0.values().any(|(since, _)| now.saturating_sub(*since) >= GIVEN_UP_AFTER)
    }

    pub(super) fn failing(&self, now: Duration) -> Vec<Failing> {
        let failing = |(duty, (since, why)): (&Duty, &(Duration, String))| Failing {
            duty: *duty,
            lasts: now.saturating_sub(*since),
            why: why.clone(),
        };
        self.0.iter().map(failing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> SpoolError {
        SpoolError::Full { path: "/x".into() }
    }

    fn database(code: i32) -> SpoolError {
        let source = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
        SpoolError::Database { path: "/x".into(), source }
    }

    #[test]
    fn a_disk_is_waited_for_and_everything_else_ends_the_thread() {
        for (error, expected) in [
            (full(), Policy::Retry),
            (SpoolError::Busy { path: "/x".into() }, Policy::Retry),
            (database(rusqlite::ffi::SQLITE_IOERR), Policy::Retry),
            (database(rusqlite::ffi::SQLITE_READONLY), Policy::Retry),
            (database(rusqlite::ffi::SQLITE_CANTOPEN), Policy::Retry),
            (database(rusqlite::ffi::SQLITE_ERROR), Policy::End),
            (SpoolError::Damaged { path: "/x".into() }, Policy::End),
            (SpoolError::NeverMade { through: 2, last: 1 }, Policy::End),
        ] {
            assert_eq!(policy(&error), expected, "{error:?}");
        }
    }

    #[test]
    fn a_duty_that_fails_for_ten_minutes_is_given_up_until_it_works_again() {
        let mut duties = Duties::default();
        duties.failed(Duty::Scan, full(), Duration::ZERO).unwrap();
        duties.failed(Duty::Scan, full(), GIVEN_UP_AFTER / 2).unwrap();
        assert!(!duties.is_given_up(GIVEN_UP_AFTER - Duration::from_secs(1)));
        assert!(duties.is_given_up(GIVEN_UP_AFTER));
        assert_eq!(duties.failing(GIVEN_UP_AFTER)[0].lasts, GIVEN_UP_AFTER);
        duties.done(Duty::Scan);
        assert!(!duties.is_given_up(2 * GIVEN_UP_AFTER) && duties.why().is_none());
        assert!(duties.failed(Duty::Spool, database(rusqlite::ffi::SQLITE_ERROR), Duration::ZERO).is_err());
    }
}

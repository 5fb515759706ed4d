//! From a log file to a durable event: one thread that owns *watch → settle → read → text → spool*.
//!
//! All of it is blocking and in one order, so that the changes of a file are handled in sequence. The thread sleeps until the kernel
//! tells of a change or the next file, scan or retry is due; with nothing to do it does not wake. After each commit it rings the
//! bell that the uplink waits for. RAM holds the folders and the files that settle just now; what is known of all others is
//! in the spool.
//!
//! | part | does |
//! |---|---|
//! | `pipeline` | the loop: changes in, batches of events out |
//! | `roots`, `scan` | log dirs, their scans, and what a scan found against what is known |
//! | `inspector`, `inspect` | one file: which event it makes, and what is remembered of it |
//! | `rotation` | a file that was renamed, copied or linked is known again |
//! | `health`, `notes` | duties that fail, troubles that are told |
//! | `settings`, `dry_run`, `event_log` | configuration; `scan --dry-run`; the log's line of each event |
//!
//! It must not talk to the hub. A thread that ends before [`Files::stop`] is a fault that the wiring must see: [`Files::failed`].

mod dry_run;
mod event_log;
mod health;
mod inspect;
mod inspector;
mod notes;
mod pipeline;
mod roots;
mod rotation;
mod scan;
mod settings;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use olog_daemon::{clock::Clock, workers::Worker};
use tokio::sync::{Notify, watch};

pub use self::dry_run::{Finding, News, only, scan_dry_run};
pub use self::health::{FilesError, FilesStatus};
use self::pipeline::Pipeline;
use self::settings::Command;
pub use self::settings::{FilesConfig, Glob, Rule};
use crate::boot;
use crate::spool::Spool;
use crate::watch::Inbox;

#[derive(Debug, Default)]
struct Counted {
    n: u64,
    again_at: Duration,
}

/// The running files thread.
#[derive(Debug)]
pub struct Files {
    inbox: Arc<Inbox<Command>>,
    status: Arc<Mutex<FilesStatus>>,
    spool: Spool,
    counted: Mutex<Counted>,
    failed: watch::Receiver<Option<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Files {
    /// Starts the thread. The first scan has begun when this returns; it is not waited for.
    pub fn start(
        config: FilesConfig,
        spool: Spool,
        bell: Arc<Notify>,
        clock: Clock,
        worker: Worker,
    ) -> Result<Files, FilesError> {
        let inbox = Arc::new(Inbox::default());
        let status = Arc::new(Mutex::new(FilesStatus::default()));
        let nudge = Arc::clone(&inbox);
        spool.on_release(Box::new(move || nudge.nudge()));
        let pipeline =
            Pipeline::new(config, spool.clone(), bell, clock, Arc::clone(&inbox), Arc::clone(&status), worker)?;
        let (tell, failed) = watch::channel(None);
        let run = move || {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pipeline.run()));
            let why = match ended {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error.to_string(),
                Err(panic) => {
                    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                    format!("the files thread panicked: {}", text.unwrap_or_default())
                }
            };
            tracing::error!(why, "the files thread ended");
            tell.send_replace(Some(why));
        };
        let thread =
            std::thread::Builder::new().name("olog-files".to_owned()).spawn(run).map_err(FilesError::Thread)?;
        let counted = Mutex::default();
        Ok(Files { inbox, status, spool, counted, failed, thread: Some(thread) })
    }

    /// Another configuration from now on.
    pub fn reload(&self, config: FilesConfig) {
        self.inbox.command(Command::Reload(Box::new(config)));
    }

    /// The hub's clock less this device's, in milliseconds, as a session begins; none, as it ends. Only a clock that agrees
    /// lets old files be deleted.
    pub fn hub_clock(&self, skew: Option<i64>) {
        self.inbox.command(Command::HubClock(skew));
    }

    /// How it is.
    pub fn status(&self) -> FilesStatus {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        status.watched_files = self.n_files();
        status
    }

    /// Counting a million rows takes a while: it is done again only after a hundred times as long.
    fn n_files(&self) -> u64 {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let began = boot::now();
        if began >= counted.again_at {
            counted.n = self.spool.n_files().unwrap_or(counted.n);
            counted.again_at = began + 100 * (boot::now() - began);
        }
        counted.n
    }

    /// Resolves when the thread ended before it was told to, with the reason: fatal for the process.
    pub async fn failed(&self) -> String {
        let mut failed = self.failed.clone();
        match failed.wait_for(Option::is_some).await.map(|why| why.clone()) {
            Ok(why) => why.unwrap_or_default(),
            // It ended as it was told to.
            Err(_) => std::future::pending().await,
        }
    }

    /// Finishes what is in hand and ends the thread.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.inbox.command(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // It has told of a panic by `failed`.
            let _panicked = thread.join().is_err();
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.end();
    }
}

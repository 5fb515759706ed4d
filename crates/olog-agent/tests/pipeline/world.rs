//! A log dir, a state dir, and the files thread between them.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use olog_agent::files::{Files, FilesConfig, FilesStatus};
use olog_agent::spool::Spool;
use olog_daemon::clock::Clock;
use olog_daemon::workers::Workers;
use olog_proto::event::Id128;
use olog_proto::{Event, EventContent, Growth};
use tokio::sync::Notify;

/// A log dir, a state dir, and the files thread between them.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) config: FilesConfig,
    pub(crate) files: Option<Files>,
    pub(crate) spool: Option<Spool>,
    pub(crate) workers: Workers,
}

impl World {
    pub(crate) fn new() -> World {
        World::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut FilesConfig)) -> World {
        let mut world = World::stopped(change);
        world.start();
        world.settled();
        world
    }

    pub(crate) fn stopped(change: impl FnOnce(&mut FilesConfig)) -> World {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("logs")).unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        let mut config = FilesConfig::new(vec![dir.path().join("logs")], dir.path().join("state"));
        config.settle = Duration::from_millis(30);
        config.pace = Duration::ZERO;
        config.full_above = 100;
        change(&mut config);
        World { dir, config, files: None, spool: None, workers: Workers::default() }
    }

    pub(crate) fn start(&mut self) {
        self.start_at(Clock::system());
    }

    pub(crate) fn start_at(&mut self, clock: Clock) {
        let (spool, _) = Spool::open(&self.dir.path().join("state/spool.db"), Id128([7; 16])).unwrap();
        let worker = self.workers.register("files", Duration::from_secs(600));
        let bell = Arc::new(Notify::new());
        let files = Files::start(self.config.clone(), spool.clone(), bell, clock, worker).unwrap();
        (self.spool, self.files) = (Some(spool), Some(files));
    }

    pub(crate) fn stop(&mut self) {
        self.files.take().unwrap().stop();
        self.spool = None;
    }

    /// The first scan is done: a file written from here on is news.
    pub(crate) fn settled(&self) {
        wait("the first scan", || {
            let dirs = &self.config.log_dirs;
            dirs.iter().all(|dir| self.spool().meta(&format!("scanned:{}", dir.display())).unwrap().is_some())
        });
    }

    pub(crate) fn status(&self) -> FilesStatus {
        self.files.as_ref().unwrap().status()
    }

    pub(crate) fn has_note(&self, code: &str) -> bool {
        self.status().notes.iter().any(|note| note.code == code)
    }

    /// The duties that fail just now, by name.
    pub(crate) fn failing(&self) -> Vec<String> {
        let workers = self.workers.statuses(tokio::time::Instant::now());
        let duties = workers.into_iter().flat_map(|worker| worker.duties);
        duties.filter(|duty| duty.failing_since_at.is_some()).map(|duty| duty.name).collect()
    }

    pub(crate) fn spool(&self) -> &Spool {
        self.spool.as_ref().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("logs").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn append(&self, name: &str, text: &str) {
        OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.spool().after(0, 100_000, usize::MAX).unwrap()
    }

    pub(crate) fn said(&self) -> Vec<String> {
        self.events().iter().map(|event| short(&event.what)).collect()
    }

    /// Waits until exactly this has been said since the beginning; a later surprise is met by the next wait.
    #[track_caller]
    pub(crate) fn expect(&self, expected: &[&str]) {
        let mut said = Vec::new();
        let met = wait_for(|| {
            said = self.said();
            said.len() >= expected.len()
        });
        assert!(met && said == expected, "said {said:#?}\nexpected {expected:#?}");
    }

    /// Lets a mark through the road behind everything that was done before, so that silence can be told from slowness.
    #[track_caller]
    pub(crate) fn expect_nothing_more(&self, expected: &[&str]) {
        self.write("mark.msg", format!("mark {}\n", self.said().len()));
        let is_mark = |text: &String| text.contains("mark");
        assert!(wait_for(|| self.said().last().is_some_and(is_mark)), "{:#?}", self.said());
        let said: Vec<String> = self.said().into_iter().filter(|text| !is_mark(text)).collect();
        assert_eq!(said, expected);
    }

    pub(crate) fn last(&self) -> Event {
        self.events().pop().unwrap()
    }
}

fn short(what: &EventContent) -> String {
    let change = |change: &Growth| match change {
        Growth::Created => "created",
        Growth::Rewritten => "rewritten",
        Growth::Grown => "grown",
    };
    match what {
        EventContent::Text { file, excerpt } => {
            let history = if file.history { " history" } else { "" };
            format!("{}.{} {}{history}: {}", file.task, file.suffix, change(&file.change), excerpt.head())
        }
        EventContent::Seen { file, times } => format!("{}.{} seen {times}", file.task, file.suffix),
        EventContent::Cleared { task, suffix, deleted, .. } => {
            format!("{task}.{suffix} {}", if *deleted { "deleted" } else { "emptied" })
        }
        EventContent::Note(note) => format!("note {}{}", note.code, if note.over { " over" } else { "" }),
        other => other.kind().to_owned(),
    }
}

pub(crate) fn wait_for(mut done: impl FnMut() -> bool) -> bool {
    for _ in 0..3000 {
        if done() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// As [`wait_for`], of what need not come: a fifth of a second.
pub(crate) fn wait_for_a_while(mut done: impl FnMut() -> bool) {
    for _ in 0..20 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[track_caller]
pub(crate) fn wait(what: &str, done: impl FnMut() -> bool) {
    assert!(wait_for(done), "waited in vain for {what}");
}

/// As if it had been written this long ago.
pub(crate) fn age(path: &Path, seconds: u64) {
    let then = SystemTime::now().checked_sub(Duration::from_secs(seconds)).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}

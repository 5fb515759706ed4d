//! What pages and comments point to is there: paths, files, decisions.
//!
//! A path is anything that begins with a top folder of the repository (`docs/…`), and in Markdown also the target of a link. A file may be
//! named shorter in Markdown (`outbox/turn.rs`): it is the end of a path. ARCHITECTURE.md names modules as paths without `.rs`, and every
//! module at the top of a crate of the product: who reads a folder finds each name explained.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::{Finding, rules, source::Source};

/// A page of Markdown.
#[derive(Debug)]
pub(crate) struct Page {
    path: PathBuf,
    text: String,
}

#[cfg(test)]
impl Page {
    pub(crate) fn new(path: &str, text: &str) -> Page {
        Page { path: path.into(), text: text.to_owned() }
    }
}

/// Reads every page of the project.
pub(crate) fn read(root: &Path, files: &[PathBuf]) -> anyhow::Result<Vec<Page>> {
    let pages = files.iter().filter(|file| file.extension().is_some_and(|e| e == "md"));
    pages
        .map(|path| {
            let text =
                std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {}", path.display()))?;
            Ok(Page { path: path.clone(), text })
        })
        .collect()
}

/// Checks the pages and the comments of the sources.
pub(crate) fn check(files: &[PathBuf], pages: &[Page], sources: &[Source], found: &mut Vec<Finding>) {
    let mut look = |at: &Path, line: usize, text: &str, names: Vec<Named>| {
        for word in rules::NOT_IN_THE_REPOSITORY.iter().filter(|word| text.contains(*word)) {
            let what =
                format!("{word} points to nothing in the repository: state the fact, or link the page that has it");
            found.push(Finding::about("reference", at, line, &at.display().to_string(), what));
        }
        for name in names.into_iter().filter(|name| !is_there(files, name)) {
            let (Named::Path(name) | Named::End(name)) = name;
            let what = format!("there is no {name}");
            found.push(Finding::about("path", at, line, &format!("{}:{name}", at.display()), what));
        }
    };
    for page in pages {
        for (i, line) in page.text.lines().enumerate() {
            look(&page.path, i + 1, line, named(line, &page.path));
        }
    }
    for source in sources {
        for (line, comment) in source.comments() {
            for (i, line_text) in comment.lines().enumerate() {
                let names = top_paths(line_text).map(Named::Path).collect();
                look(source.path(), line + i, line_text, names);
            }
        }
    }
    if let Some(map) = pages.iter().find(|page| page.path == Path::new(rules::MAP)) {
        for file in files {
            let Some(name) = mapped(file) else { continue };
            let in_room = format!("rules/{name}");
            let is_named = |word: &str| word == name || word == in_room || word.starts_with(&format!("{name}/"));
            if !map.text.split('`').skip(1).step_by(2).any(is_named) {
                let what = format!("{} does not say what `{name}` does", rules::MAP);
                found.push(Finding::about("map", file, 1, &file.display().to_string(), what));
            }
        }
    }
    let list = pages.iter().find(|page| page.path == Path::new(rules::DECISIONS).join("README.md"));
    for decision in files.iter().filter(|file| file.starts_with(rules::DECISIONS)) {
        let name = decision.file_name().unwrap_or_default().to_string_lossy();
        if name != "README.md" && !list.is_some_and(|list| list.text.contains(&*name)) {
            found.push(Finding::about("decision", decision, 1, &name, "not in the list of decisions"));
        }
    }
}

/// The name of a module that the map has to explain: at the top of a crate of the product, or in the hub's `rules/`.
fn mapped(file: &Path) -> Option<&str> {
    let crates = rules::MAPPED_CRATES.iter().map(|name| Path::new("crates").join(name).join("src"));
    let mut folders = crates.chain([Path::new(rules::RULES).to_path_buf()]);
    let name = file.file_stem()?.to_str()?;
    let is_rust = file.extension()?.to_str()? == "rs";
    (is_rust && !["lib", "main"].contains(&name) && folders.any(|folder| file.parent() == Some(&folder)))
        .then_some(name)
}

/// A name of something in the repository.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    /// From the top.
    Path(String),
    /// The end of a path, `.rs` left out or not.
    End(String),
}

/// What a line of Markdown names.
fn named(line: &str, page: &Path) -> Vec<Named> {
    let mut found: Vec<Named> = top_paths(line).map(Named::Path).collect();
    for rest in line.split("](").skip(1) {
        let target = rest.split([')', '#']).next().unwrap_or_default();
        if !target.is_empty() && !target.contains("://") && !target.contains(' ') {
            let path = page.parent().unwrap_or(Path::new("")).join(target);
            found.push(Named::Path(normal(&path)));
        }
    }
    for word in line.split('`').skip(1).step_by(2) {
        let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
        if !is_plain || word.starts_with(['/', '.', '-']) || rules::TOP_FOLDERS.iter().any(|top| word.starts_with(top))
        {
            continue;
        }
        let is_file = [".rs", ".ftl", ".sql"].iter().any(|end| word.ends_with(end) && word.len() > end.len());
        let is_module = page == Path::new(rules::MAP)
            && word.contains('/')
            && word.chars().all(|c| c.is_ascii_lowercase() || "_-/".contains(c));
        if is_file || is_module {
            found.push(Named::End(word.to_owned()));
        }
    }
    found
}

/// Words of the text that begin with a top folder of the repository and name one thing, without a placeholder.
fn top_paths(text: &str) -> impl Iterator<Item = String> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "_-./*{}<>…[]".contains(c);
    let words = text
        .split(move |c: char| !is_path(c))
        .filter(|word| rules::TOP_FOLDERS.iter().any(|top| word.starts_with(top)));
    let words = words.filter(|word| {
        !word.contains(['*', '{', '<', '…', '[', ']']) && !word.contains("NNNN") && !word.contains("NAME")
    });
    words.map(|word| word.trim_end_matches('.').to_owned())
}

fn is_there(files: &[PathBuf], name: &Named) -> bool {
    match name {
        Named::Path(path) => {
            let path = Path::new(path.trim_end_matches('/'));
            files.iter().any(|file| file == path || file.starts_with(path))
        }
        Named::End(end) => {
            let end = end.trim_end_matches('/');
            let with_suffix = format!("{end}.rs");
            files.iter().any(|file| {
                // `olog-push/words` is crates/olog-push/src/words.rs.
                let short: PathBuf = file.iter().filter(|part| *part != "crates" && *part != "src").collect();
                [file, &short]
                    .iter()
                    .any(|path| path.ends_with(&with_suffix) || path.ancestors().any(|part| part.ends_with(end)))
            })
        }
    }
}

/// A path without `..`.
fn normal(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.iter().filter_map(|part| part.to_str()) {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(page: &str, text: &str, comment: &str, expected: &[&str]) {
        let files: Vec<PathBuf> = [
            "docs/operations.md",
            "docs/decisions/README.md",
            "docs/decisions/0001-one.md",
            "crates/olog-hub/src/outbox/turn.rs",
            "crates/olog-push/src/words.rs",
        ]
        .map(PathBuf::from)
        .to_vec();
        let list = Page::new("docs/decisions/README.md", "0001-one.md");
        let source = Source::new("crates/olog-hub/src/outbox.rs".into(), comment);
        let mut found = Vec::new();
        super::check(&files, &[list, Page::new(page, text)], &[source], &mut found);
        let found: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
    }

    #[test]
    fn a_path_that_is_not_there_is_found_in_pages_and_comments() {
        let good = "see [ops](../docs/operations.md#keys), `docs/decisions/`, docs/operations.md. and https://x.org/docs/no.md, `crates/…/x`";
        check("docs/a.md", good, "//! docs/operations.md has it.", &[]);
        check("docs/a.md", "in docs/gone.md", "", &["docs/a.md:1: there is no docs/gone.md"]);
        check("docs/a.md", "[x](gone.md)", "", &["there is no docs/gone.md"]);
        check(
            "a.md",
            "",
            "/// See\n// crates/olog-hub/src/gone.rs.",
            &["outbox.rs:2: there is no crates/olog-hub/src/gone.rs"],
        );
    }

    #[test]
    fn a_file_may_be_named_by_the_end_of_its_path() {
        check("docs/a.md", "`outbox/turn.rs`, `turn.rs`, `/etc/olog/x.rs`", "", &[]);
        check("docs/a.md", "`outbox/storm.rs`", "", &["there is no outbox/storm.rs"]);
    }

    #[test]
    fn the_map_names_modules_that_are_there() {
        check(rules::MAP, "`outbox/turn`, `olog-push/words`, `words`, `olog-hub/outbox`", "", &[]);
        check(rules::MAP, "`record/held`, `words`", "", &["there is no record/held"]);
        check("docs/a.md", "`record/held`", "", &[]);
    }

    #[test]
    fn a_module_at_the_top_that_the_map_does_not_explain_is_found() {
        let files = [
            "docs/ARCHITECTURE.md".into(),
            "crates/olog-agent/src/new.rs".into(),
            format!("{}/new.rs", rules::RULES).into(),
        ];
        let findings = |text: &str| {
            let mut found = Vec::new();
            super::check(&files, &[Page::new(rules::MAP, text)], &[], &mut found);
            found.len()
        };
        assert_eq!(findings("a new module"), 2);
        assert_eq!(findings("`new` is"), 0);
    }

    #[test]
    fn a_reference_to_a_page_outside_the_repository_is_found() {
        check("a.md", "", "/// As DESIGN §3 says.", &["DESIGN § points to nothing"]);
    }

    #[test]
    fn a_decision_that_is_not_listed_is_found() {
        let files = ["docs/decisions/0002-two.md".into(), "docs/decisions/README.md".into()];
        let mut found = Vec::new();
        super::check(&files, &[Page::new("docs/decisions/README.md", "")], &[], &mut found);
        assert_eq!(found.len(), 1);
        assert!(found[0].to_string().contains("not in the list of decisions"));
    }
}

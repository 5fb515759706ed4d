//! What pages say must be there: the paths that they name, the decisions that they list, the keys that the daemons read.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::{Finding, rules, source::Source};

/// Checks every page.
pub(crate) fn check(
    root: &Path,
    files: &[PathBuf],
    sources: &[Source],
    found: &mut Vec<Finding>,
) -> anyhow::Result<()> {
    let read =
        |file: &Path| fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {}", file.display()));
    for page in files.iter().filter(|file| file.extension().is_some_and(|e| e == "md")) {
        let text = read(page)?;
        for (i, line) in text.lines().enumerate() {
            for path in paths(line, page) {
                if !root.join(&path).exists() {
                    found.push(Finding::new(page, i + 1, format!("there is no {}", path.display())));
                }
            }
        }
    }
    let list = read(Path::new(rules::DECISIONS).join("README.md").as_path())?;
    for decision in files.iter().filter(|file| file.starts_with(rules::DECISIONS)) {
        let name = decision.file_name().unwrap_or_default().to_string_lossy();
        if name != "README.md" && !list.contains(&*name) {
            found.push(Finding::new(decision, 1, "not in the list of decisions"));
        }
    }
    let keys = read(Path::new(rules::KEYS_PAGE))?;
    for source in sources.iter().filter(|source| rules::KEY_HOMES.contains(&source.place())) {
        for (line, key) in key_names(source) {
            if !documented(&keys, key) {
                found.push(Finding::new(source.path(), line, format!("the key {key} is not in {}", rules::KEYS_PAGE)));
            }
        }
    }
    Ok(())
}

/// Paths of the repository that a line names: as a link of Markdown, or between backticks.
fn paths(line: &str, page: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for rest in line.split("](").skip(1) {
        let target = rest.split([')', '#']).next().unwrap_or_default();
        if !target.is_empty() && !target.contains("://") && !target.contains(' ') {
            found.push(page.parent().unwrap_or(Path::new("")).join(target));
        }
    }
    for word in line.split('`').skip(1).step_by(2) {
        let ours = rules::TOP_FOLDERS.iter().any(|folder| word.starts_with(folder));
        if ours && !word.contains([' ', '*', '{', '…', '<']) && !word.contains("NNNN") {
            found.push(PathBuf::from(word));
        }
    }
    found
}

/// Names of keys: what a table is asked for (`table.take_span("settle")`).
fn key_names(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let code = source.code();
    let asked = code.match_indices("\"\"").map(|(at, _)| {
        let call = code.get(..at).unwrap_or_default().trim_end().strip_suffix('(').unwrap_or_default();
        let start = call.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
        let name = call.get(start..).unwrap_or_default();
        name.starts_with("take_") || name.starts_with("need_")
    });
    // The code holds an empty string in the place of each string.
    source.strings().iter().zip(asked).filter(|(_, asked)| *asked).map(|((line, text), _)| (*line, text.as_str()))
}

/// In the page as a key: at a line's beginning, in a heading or in an inline table.
fn documented(page: &str, key: &str) -> bool {
    page.match_indices(key).any(|(at, _)| {
        let before = page.get(..at).and_then(|text| text.chars().next_back()).unwrap_or('\n');
        let after = page.get(at + key.len()..).and_then(|text| text.chars().next()).unwrap_or('\n');
        !before.is_alphanumeric() && before != '_' && !after.is_alphanumeric() && after != '_'
    })
}

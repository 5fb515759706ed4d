//! A Rust file, split into what is code and what is text in strings; comments are neither.
//!
//! Not a parser: it knows comments, strings and characters, and where the tests of a file begin. That is enough for the
//! rules, and it can be read in a minute.

use std::path::{Path, PathBuf};

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    n_lines: usize,
    /// Strings and comments blanked, cut where the tests begin.
    code: String,
    strings: Vec<(usize, String)>,
}

impl Source {
    /// Splits a file's text.
    pub(crate) fn new(path: PathBuf, text: &str) -> Source {
        let (mut code, mut strings) = split(text);
        if is_test(&path) {
            code.clear();
            strings.clear();
        } else if let Some(tests) = code.find("#[cfg(test)]\nmod ") {
            code.truncate(tests);
            let last = code.lines().count();
            strings.retain(|(line, _)| *line <= last);
        }
        Source { path, n_lines: text.lines().count(), code, strings }
    }

    /// Relative to the workspace.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Does it belong to the tests as a whole?
    pub(crate) fn is_test(&self) -> bool {
        is_test(&self.path)
    }

    pub(crate) fn n_lines(&self) -> usize {
        self.n_lines
    }

    /// The product's code, without strings and comments.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// The same by lines, numbered from 1.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(i, line)| (i + 1, line))
    }

    /// The product's string literals, with their lines.
    pub(crate) fn strings(&self) -> &[(usize, String)] {
        &self.strings
    }

    /// Its crate and its top module there: `("olog-hub", "store")` for `crates/olog-hub/src/store/sql.rs`.
    pub(crate) fn place(&self) -> (&str, &str) {
        let mut parts = self.path.iter().filter_map(|part| part.to_str());
        let first = parts.next().unwrap_or_default();
        let name = if first == "crates" { parts.next().unwrap_or_default() } else { first };
        let module = parts.nth(1).unwrap_or_default();
        (name, module.strip_suffix(".rs").unwrap_or(module))
    }
}

fn is_test(path: &Path) -> bool {
    let folder = |name: &str| path.iter().any(|part| part == name);
    path.file_stem().is_some_and(|stem| stem == "tests") || folder("tests") || folder("examples") || folder("benches")
}

/// Code with everything else blanked, and the strings.
fn split(text: &str) -> (String, Vec<(usize, String)>) {
    let mut code = String::with_capacity(text.len());
    let mut strings = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(c) = rest.chars().next() {
        let (length, string) = token(rest, code.chars().next_back());
        let (token, after) = rest.split_at_checked(length.max(c.len_utf8())).unwrap_or((rest, ""));
        if length == 0 {
            code.push_str(token);
        } else {
            if let Some(string) = string {
                strings.push((line, string));
                code.push_str("\"\"");
            }
            token.chars().filter(|c| *c == '\n').for_each(|c| code.push(c));
        }
        line += token.matches('\n').count();
        rest = after;
    }
    (code, strings)
}

/// The length in bytes of the comment, string or character that `rest` begins with, 0 for anything else; and the string's text.
fn token(rest: &str, before: Option<char>) -> (usize, Option<String>) {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), None);
    }
    if rest.starts_with("/*") {
        return (rest.find("*/").map_or(rest.len(), |end| end + 2), None);
    }
    if rest.starts_with('"') {
        let end = closing(rest, 1, '"');
        return (end, rest.get(1..end.saturating_sub(1)).map(str::to_owned));
    }
    if let Some(raw) = rest.strip_prefix('r').filter(|_| !in_word || before == Some('b')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if let Some(body) = raw.get(hashes..).and_then(|raw| raw.strip_prefix('"')) {
            let close = format!("\"{}", "#".repeat(hashes));
            let length = body.find(&close).unwrap_or(body.len());
            let whole = 1 + hashes + 1 + length + close.len();
            return (whole.min(rest.len()), body.get(..length).map(str::to_owned));
        }
    }
    if let Some(quoted) = rest.strip_prefix('\'') {
        // 'x' and '\n' are characters; 'a in &'a str is a lifetime.
        let mut chars = quoted.chars();
        let first = chars.next();
        if first == Some('\\') {
            return (closing(rest, 1, '\''), None);
        }
        if chars.next() == Some('\'') {
            return (2 + first.map_or(0, char::len_utf8), None);
        }
    }
    (0, None)
}

/// The length up to and with the closing mark, escapes passed over.
fn closing(rest: &str, from: usize, mark: char) -> usize {
    let mut escaped = false;
    for (i, c) in rest.char_indices().skip(from) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == mark => return i + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_strings_are_told_apart() {
        let text = "let a = \"x\\\"// no\"; // yes \"b\"\nlet c: &'a str = r#\"raw \"q\" \"#; let d = '\"';\n/* \"no\"\n*/ end(b\"e\")";
        let source = Source::new("crates/olog-hub/src/web/api.rs".into(), text);
        let strings: Vec<_> = source.strings().iter().map(|(line, s)| (*line, s.as_str())).collect();
        assert_eq!(strings, [(1, "x\\\"// no"), (2, "raw \"q\" "), (4, "e")]);
        assert_eq!(source.code(), "let a = \"\"; \nlet c: &'a str = \"\"; let d = ;\n\n end(b\"\")");
        assert_eq!(source.place(), ("olog-hub", "web"));
    }
}

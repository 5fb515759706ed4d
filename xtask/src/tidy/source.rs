//! A Rust file split into three parts: code, the text of its strings, and its comments.
//!
//! This is not a parser. It knows comments, strings and character literals, and it removes every item under `#[cfg(test)]`, wherever
//! that item stands in the file, so that the rules see all production lines and nothing else. Line numbers never change: what is
//! removed leaves its line ends.
//!
//! Must not: know a rule.

use std::path::{Path, PathBuf};

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    n_lines: usize,
    /// The production code: strings are `""`, comments are gone.
    code: String,
    strings: Vec<(usize, String)>,
    comments: Vec<(usize, String)>,
    /// Modules that are declared under `#[cfg(test)]`.
    test_modules: Vec<String>,
}

impl Source {
    /// Splits a file's text.
    pub(crate) fn new(path: PathBuf, text: &str) -> Source {
        let Split { mut code, mut strings, comments } = split(text);
        let mut test_modules = Vec::new();
        if is_test(&path) {
            code = "\n".repeat(code.matches('\n').count());
            strings.clear();
        } else {
            let tests = test_items(&code);
            for (from, to) in &tests {
                let item = code.get(*from..*to).unwrap_or_default();
                if let Some((_, rest)) = item.split_once("mod ").filter(|_| item.ends_with(';')) {
                    test_modules.push(word(rest).to_owned());
                }
            }
            strings.retain(|string| !tests.iter().any(|(from, to)| (*from..*to).contains(&string.at)));
            code = blanked(&code, &tests);
        }
        let strings = strings.into_iter().map(|string| (string.line, string.text)).collect();
        Source { path, n_lines: text.lines().count(), code, strings, comments, test_modules }
    }

    /// Relative to the workspace.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Does the whole file belong to the tests, by its name?
    pub(crate) fn is_test(&self) -> bool {
        is_test(&self.path)
    }

    /// The files of the modules that this file declares under `#[cfg(test)]`: `a/b.rs` and `a/b/`, for `mod b;` in `a.rs`.
    pub(crate) fn test_files(&self) -> impl Iterator<Item = PathBuf> {
        let stem = self.path.file_stem().unwrap_or_default();
        let is_root = stem == "lib" || stem == "main" || stem == "mod";
        let folder = if is_root { self.path.with_file_name("") } else { self.path.with_extension("") };
        self.test_modules.iter().map(move |module| folder.join(module))
    }

    pub(crate) fn n_lines(&self) -> usize {
        self.n_lines
    }

    /// The production code, without strings and comments.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// The same by lines, numbered from 1.
    pub(crate) fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.lines().enumerate().map(|(i, line)| (i + 1, line))
    }

    /// The string literals of production code, with their lines.
    pub(crate) fn strings(&self) -> &[(usize, String)] {
        &self.strings
    }

    /// All comments, those of tests too, with the lines where they begin.
    pub(crate) fn comments(&self) -> &[(usize, String)] {
        &self.comments
    }

    /// Its crate and its module there: `("olog-hub", "store/sql")` for `store/sql.rs` of the crate `olog-hub`.
    pub(crate) fn place(&self) -> (&str, &str) {
        let path = self.path.to_str().unwrap_or_default();
        let (name, rest) = path.strip_prefix("crates/").unwrap_or(path).split_once('/').unwrap_or((path, ""));
        let module = rest.strip_prefix("src/").unwrap_or(rest);
        (name, module.strip_suffix(".rs").unwrap_or(module))
    }
}

/// Is `place` the module `home`, or a module inside it?
pub(crate) fn is_in(place: (&str, &str), home: (&str, &str)) -> bool {
    let rest = place.1.strip_prefix(home.1);
    place.0 == home.0 && (home.1.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// The identifier that `text` begins with.
pub(crate) fn word(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// May it be a part of an identifier?
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The line that the byte `at` is in, from 1.
pub(crate) fn line_of(code: &str, at: usize) -> usize {
    code.get(..at).map_or(0, |before| before.matches('\n').count()) + 1
}

fn is_test(path: &Path) -> bool {
    let folder = |name: &str| path.iter().any(|part| part == name);
    path.file_stem().is_some_and(|stem| stem == "tests") || folder("tests") || folder("examples") || folder("benches")
}

/// Where the items under `#[cfg(test)]` begin and end, in blanked code.
fn test_items(code: &str) -> Vec<(usize, usize)> {
    let mut items: Vec<(usize, usize)> = Vec::new();
    for (at, _) in code.match_indices("#[cfg(") {
        let condition = code.get(at + "#[cfg(".len()..).unwrap_or_default();
        let condition = condition.split(']').next().unwrap_or_default();
        let is_test = condition.starts_with("test)") || condition.starts_with("all(test");
        let is_inside = items.last().is_some_and(|(_, end)| at < *end);
        if is_test && !is_inside {
            items.push((at, at + item_length(code.get(at..).unwrap_or_default())));
        }
    }
    items
}

/// The length of the item that `code` begins with, its attributes included: up to the `;` or the `}` that closes it, or for a field or
/// an arm up to the comma.
fn item_length(code: &str) -> usize {
    let (mut depth, mut is_attribute, mut has_begun, mut is_item) = (0_usize, false, false, false);
    for (i, c) in code.char_indices() {
        match c {
            '#' if depth == 0 && !has_begun => is_attribute = true,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => return i,
            ')' | ']' | '}' => {
                depth -= 1;
                if depth > 0 {
                    continue;
                }
                if is_attribute && c == ']' {
                    is_attribute = false;
                } else if c == '}' && !is_attribute {
                    let rest = code.get(i + 1..).unwrap_or_default();
                    return i + 1 + usize::from(rest.starts_with(';'));
                }
            }
            ';' if depth == 0 => return i + 1,
            ',' if depth == 0 && !is_item => return i + 1,
            c if depth == 0 && !is_attribute && !has_begun && !c.is_whitespace() => {
                has_begun = true;
                let rest = code.get(i..).unwrap_or_default();
                let rest = rest.strip_prefix("pub").map_or(rest, |rest| {
                    rest.trim_start()
                        .strip_prefix('(')
                        .and_then(|rest| rest.split_once(')'))
                        .map_or(rest, |(_, rest)| rest)
                });
                is_item = ITEMS.contains(&word(rest));
            }
            _ => {}
        }
    }
    code.len()
}

/// The words that an item begins with, `pub` aside.
const ITEMS: &[&str] = &[
    "async",
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "let",
    "macro_rules",
    "mod",
    "static",
    "struct",
    "trait",
    "type",
    "union",
    "unsafe",
    "use",
];

/// The code with these places made empty; line ends stay.
fn blanked(code: &str, places: &[(usize, usize)]) -> String {
    let mut blank = String::with_capacity(code.len());
    let mut from = 0;
    for (start, end) in places {
        blank.push_str(code.get(from..*start).unwrap_or_default());
        let item = code.get(*start..*end).unwrap_or_default();
        blank.extend(item.chars().filter(|c| *c == '\n'));
        from = *end;
    }
    blank.push_str(code.get(from..).unwrap_or_default());
    blank
}

struct Split {
    code: String,
    strings: Vec<StringLiteral>,
    comments: Vec<(usize, String)>,
}

struct StringLiteral {
    line: usize,
    /// Where in the code its `""` is.
    at: usize,
    text: String,
}

/// What a piece of text is.
enum Token {
    Code,
    Character,
    Comment,
    String(String),
}

fn split(text: &str) -> Split {
    let mut parts = Split { code: String::with_capacity(text.len()), strings: Vec::new(), comments: Vec::new() };
    let mut rest = text;
    let mut line = 1;
    while let Some(c) = rest.chars().next() {
        let (length, kind) = token(rest, parts.code.chars().next_back());
        let (token, after) = rest.split_at_checked(length.max(c.len_utf8())).unwrap_or((rest, ""));
        match kind {
            Token::Code => parts.code.push_str(token),
            Token::Character => {}
            Token::Comment => parts.comments.push((line, token.to_owned())),
            Token::String(text) => {
                parts.strings.push(StringLiteral { line, at: parts.code.len(), text });
                parts.code.push_str("\"\"");
            }
        }
        if length > 0 {
            parts.code.extend(token.chars().filter(|c| *c == '\n'));
        }
        line += token.matches('\n').count();
        rest = after;
    }
    parts
}

/// What `rest` begins with, and its length in bytes; 0 for a character of code.
fn token(rest: &str, before: Option<char>) -> (usize, Token) {
    let in_word = before.is_some_and(is_word);
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), Token::Comment);
    }
    if rest.starts_with("/*") {
        return (rest.find("*/").map_or(rest.len(), |end| end + 2), Token::Comment);
    }
    if rest.starts_with('"') {
        let end = closing(rest, 1, '"');
        return (end, Token::String(rest.get(1..end.saturating_sub(1)).unwrap_or_default().to_owned()));
    }
    if let Some(raw) = rest.strip_prefix('r').filter(|_| !in_word || before == Some('b')) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if let Some(body) = raw.get(hashes..).and_then(|raw| raw.strip_prefix('"')) {
            let close = format!("\"{}", "#".repeat(hashes));
            let length = body.find(&close).unwrap_or(body.len());
            let whole = 1 + hashes + 1 + length + close.len();
            return (whole.min(rest.len()), Token::String(body.get(..length).unwrap_or_default().to_owned()));
        }
    }
    if let Some(quoted) = rest.strip_prefix('\'') {
        // 'x' and '\n' are characters; 'a in &'a str is a lifetime.
        let mut chars = quoted.chars();
        let first = chars.next();
        if first == Some('\\') {
            return (closing(rest, 1, '\''), Token::Character);
        }
        if chars.next() == Some('\'') {
            return (2 + first.map_or(0, char::len_utf8), Token::Character);
        }
    }
    (0, Token::Code)
}

/// The length up to and with the closing mark; a mark behind a backslash does not close.
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
    fn code_strings_and_comments_are_told_apart() {
        let text = "let a = \"x\\\"// no\"; // yes \"b\"\nlet c: &'a str = r#\"raw \"q\" \"#; let d = '\"';\n/* \"no\"\n*/ end(b\"e\")";
        let source = Source::new("crates/olog-hub/src/web/api.rs".into(), text);
        let strings: Vec<_> = source.strings().iter().map(|(line, s)| (*line, s.as_str())).collect();
        assert_eq!(strings, [(1, "x\\\"// no"), (2, "raw \"q\" "), (4, "e")]);
        assert_eq!(source.code(), "let a = \"\"; \nlet c: &'a str = \"\"; let d = ;\n\n end(b\"\")");
        let comments: Vec<_> = source.comments().iter().map(|(line, s)| (*line, s.as_str())).collect();
        assert_eq!(comments, [(1, "// yes \"b\""), (3, "/* \"no\"\n*/")]);
        assert_eq!(source.place(), ("olog-hub", "web/api"));
    }

    #[track_caller]
    fn production(text: &str, expected: &str) {
        let source = Source::new("crates/olog-hub/src/web.rs".into(), text);
        let words: Vec<&str> = source.code().split_whitespace().collect();
        assert_eq!(words.join(" "), expected);
        assert_eq!(source.code().matches('\n').count(), text.matches('\n').count(), "line numbers have changed");
    }

    #[test]
    fn only_items_of_tests_are_removed_wherever_they_stand() {
        production("#[cfg(test)]\nmod tests;\n\nfn f() { g(\"s\") }\n", "fn f() { g(\"\") }");
        production("#[cfg(test)]\nmod tests { fn x() { \"}\"; } }\nfn f() {}", "fn f() {}");
        production("#[cfg(test)]\n#[path = \"x.rs\"]\npub(crate) mod tests;\nstruct A;", "struct A;");
        production("#[cfg(test)]\nuse a::{b, c};\nuse d::E;", "use d::E;");
        production("#[cfg(all(test, unix))]\nfn t<A, B>(x: [u8; 3]) -> (A, B) { { } }\nfn f() {}", "fn f() {}");
        production("struct A {\n#[cfg(test)]\nseen: Vec<u8>,\nkept: u8 }", "struct A { kept: u8 }");
        production("#[cfg(not(test))]\nfn f() {}", "#[cfg(not(test))] fn f() {}");
    }

    #[test]
    fn a_module_that_only_tests_declare_is_a_test() {
        let source = Source::new(
            "crates/olog-hub/src/net/session.rs".into(),
            "#[cfg(test)]\npub(crate) mod websocket;\nmod hello;",
        );
        let files: Vec<PathBuf> = source.test_files().collect();
        assert_eq!(files, [PathBuf::from("crates/olog-hub/src/net/session/websocket")]);
    }
}

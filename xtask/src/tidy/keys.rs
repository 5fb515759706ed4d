//! Configuration keys: what the programs read is documented, and what is documented is read.
//!
//! A key is documented where a user would copy it from: in a block of TOML (`key = …`, `[key]`, `{ key = … }`, or in a comment `or key = …`),
//! for channels also in the table of their keys. A word in a sentence is not enough.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    Finding,
    pages::Page,
    rules::{KEYS_PAGE, KeyHome},
    source::{Source, is_in, line_of, word},
};

/// Compares what is read with what is documented.
pub(crate) fn check(homes: &[KeyHome], pages: &[Page], sources: &[Source], found: &mut Vec<Finding>) {
    let mut read_of = BTreeMap::new();
    for home in homes {
        let here = sources.iter().filter(|source| is_in(source.place(), home.place));
        let read: Vec<(&Source, usize, &str)> =
            here.flat_map(|source| keys_read(source).into_iter().map(move |(line, key)| (source, line, key))).collect();
        if read.is_empty() {
            let what =
                format!("{} {} reads no key: xtask/src/tidy/keys.rs does not see how", home.place.0, home.place.1);
            found.push(Finding::about("key", Path::new(KEYS_PAGE), 1, home.place.0, what));
        }
        let documented: BTreeSet<&str> =
            home.blocks.iter().flat_map(|block| documented(pages, block)).map(|(_, key)| key).collect();
        for (source, line, key) in &read {
            if !documented.contains(key) && !documented.contains(format!("{key}_file").as_str()) {
                let what = format!("the key {key} is in no TOML of the documentation ({})", home.blocks.join(", "));
                found.push(Finding::about("key", source.path(), *line, &format!("{}/{key}", home.place.0), what));
            }
        }
        read_of.insert(home.place, read.into_iter().map(|(_, _, key)| key).collect::<BTreeSet<_>>());
    }
    for home in homes.iter().filter(|home| home.is_complete) {
        for block in home.blocks {
            for (line, key) in documented(pages, block) {
                let plain = key.strip_suffix("_file").unwrap_or(key);
                // A channel's keys are read by the crate that both daemons share.
                if !read_of.values().any(|read| read.contains(key) || read.contains(plain)) {
                    let what = format!("the key {key} of {block} is read by nobody");
                    found.push(Finding::about("key", Path::new(KEYS_PAGE), line, &format!("{block}/{key}"), what));
                }
            }
        }
    }
}

/// Names of keys that a file reads: the string in `table.take_span("settle")`, `take_days(root, "keep_days", …)`, `span(&mut table, "after")`.
fn keys_read(source: &Source) -> Vec<(usize, &str)> {
    let code = source.code();
    let mut strings = code.match_indices("\"\"").map(|(at, _)| at).zip(source.strings()).peekable();
    let mut found = Vec::new();
    for (at, _) in code.match_indices('(') {
        let before = code.get(..at).unwrap_or_default();
        let start = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
        let name = before.get(start..).unwrap_or_default();
        let is_definition = before.get(..start).is_some_and(|text| text.trim_end().ends_with("fn"));
        while strings.next_if(|(place, _)| *place < at).is_some() {}
        let Some((place, (_, key))) = strings.peek() else { break };
        let lead = code.get(at + 1..*place).unwrap_or_default().trim();
        let reads = match lead {
            "" => name.starts_with("take_") || name.starts_with("need_"),
            lead => lead
                .strip_suffix(',')
                .is_some_and(|table| matches!(word(table.trim_start_matches("&mut ")), "root" | "table")),
        };
        let is_plain = !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let is_one_word = !lead.trim_start_matches("&mut ").contains([' ', '(', '.']);
        if reads && is_one_word && is_plain && !is_definition {
            found.push((line_of(code, at), key.as_str()));
        }
    }
    found
}

/// The keys of the blocks of TOML that begin with a comment like `# hub.toml`; for `channels`, of all blocks that speak of channels
/// (`[[channel]]`, `# channels.d`) and of the table of types.
fn documented<'p>(pages: &'p [Page], block: &str) -> Vec<(usize, &'p str)> {
    let mut found = Vec::new();
    for page in pages.iter().filter(|page| page.path().starts_with("docs")) {
        let (mut is_toml, mut is_this) = (false, false);
        for (i, line) in page.text().lines().enumerate() {
            if let Some(kind) = line.trim().strip_prefix("```") {
                is_toml = kind == "toml";
                is_this = false;
                continue;
            }
            if is_toml {
                is_this |= line.strip_prefix("# ").is_some_and(|rest| rest.starts_with(block))
                    || (block == "channels" && line.starts_with("[[channel]]"));
                if is_this {
                    found.extend(keys_of_line(line).into_iter().map(|key| (i + 1, key)));
                }
            } else if block == "channels" && line.starts_with("| `") {
                let cell = line.split('|').nth(2).unwrap_or_default();
                found.extend(
                    cell.split(|c: char| !c.is_alphanumeric() && c != '_')
                        .filter(|word| !word.is_empty())
                        .map(|key| (i + 1, key)),
                );
            }
        }
    }
    found
}

/// The keys of a line of TOML.
fn keys_of_line(line: &str) -> Vec<&str> {
    let (code, comment) = line.split_once('#').unwrap_or((line, ""));
    let mut found = Vec::new();
    if code.starts_with('[') {
        let name = code.trim().trim_matches(['[', ']']);
        found.extend(name.split('.'));
    }
    for text in [code, comment] {
        for (at, _) in text.match_indices('=') {
            let before = text.get(..at).unwrap_or_default().trim_end();
            let start = before.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |i| i + 1);
            let key = word(before.get(start..).unwrap_or_default());
            let is_key = ["", "{", ",", "or", ";"]
                .iter()
                .any(|lead| before.get(..start).unwrap_or_default().trim_end().ends_with(lead));
            if is_key && !key.is_empty() && !before.ends_with(['=', '!', '<', '>']) {
                found.push(key);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOMES: &[KeyHome] = &[KeyHome { place: ("olog-hub", "config"), blocks: &["hub.toml"], is_complete: true }];

    #[track_caller]
    fn check(code: &str, page: &str, expected: &[&str]) {
        let source = Source::new("crates/olog-hub/src/config/take.rs".into(), code);
        let mut found = Vec::new();
        super::check(HOMES, &[Page::new(KEYS_PAGE, page)], &[source], &mut found);
        let found: Vec<String> = found.iter().map(Finding::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found} does not say {expected}");
        }
    }

    const READS: &str = "fn f() { root.take_span(\"settle\"); take_days(root, \"keep_days\", 1); t.take_table(\"tls\"); t.take_secret(\"token\") }";

    #[test]
    fn every_key_is_documented_as_toml_and_read() {
        check(
            READS,
            "```toml\n# hub.toml: all\nsettle = \"1s\" # or keep_days = 3\n[tls]\ntoken_file = 1\nx = 2\n```",
            &["the key x of hub.toml is read by nobody"],
        );
    }

    #[test]
    fn a_word_in_a_sentence_documents_no_key() {
        let page = "settle, keep_days\n```toml\n# hub.toml\n# a settle is a span\n[tls]\ntoken = 1\n```\nkeep_days = 3";
        check(READS, page, &["the key settle is in no TOML", "the key keep_days is in no TOML"]);
        check("fn f() {}", page, &["reads no key", "the key tls of hub.toml is read by nobody", "the key token"]);
    }
}

//! Takes out secrets that programs write into their logs, before anything keeps the text.
//!
//! Four kinds are known: *blocks* (private keys, from their first line to their last), *forms* (tokens that are known by their own
//! look), *places* (values that are known by what stands before them: `password=`, `Authorization:`, `mysql -p`), and the patterns
//! of the operator. All of them are looked for in the same text; what they cover is replaced by `***`, once for each run.
//!
//! A secret may have begun in text that was told before: a key that is appended line by line, a value split between two writes.
//! [`Before`] says what stands in front of the text, and the search covers both.
//!
//! An error line without a secret stays whole: a value that is a common word ("password: incorrect") is no secret. Both sides have a
//! corpus beside this file. What is searched at once is bounded, or ends where it was found, so that no text costs the square of
//! its length.

mod forms;
mod judge;
mod places;
mod rules;

use std::{borrow::Cow, ops::Range, sync::LazyLock};

use regex::{Regex, RegexBuilder};

use crate::{TASK_NAME_MAX, TaskName};
use rules::{Rule, Rules};

/// What stands in a secret's place.
const MASK: &str = "***";

/// The longest unfinished line that is looked at together with what follows it, in bytes.
const LINE_MAX: usize = 1_024;

/// Private keys in several lines: how they begin, and how they end.
const BLOCK_BEGIN: &str = "-{4,5} ?BEGIN (?:[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?|OpenVPN Static key V[0-9]) ?-{4,5}|PuTTY-User-Key-File-[0-9]";
const BLOCK_END: &str = "-{4,5} ?END (?:[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?|OpenVPN Static key V[0-9]) ?-{4,5}|\
    Private-MAC:[ \\t]*[0-9a-f]*";
/// How much text of Base64 only is taken for the inside of a key, in bytes.
const ENCODED_MIN: usize = 8 * 1_024;

/// The forms and places, and the texts by which they are found.
static RULES: LazyLock<Option<Rules>> = LazyLock::new(|| Rules::new(all()));

fn all() -> Vec<Rule> {
    forms::rules().chain(places::rules()).collect()
}

fn known() -> Option<&'static Rules> {
    RULES.as_ref()
}

/// Patterns of blocks: built when a text has a line of dashes, or a key of PuTTY.
static BLOCKS: LazyLock<Option<(Regex, Regex)>> = LazyLock::new(|| {
    let build = |pattern: &str| RegexBuilder::new(pattern).dfa_size_limit(1 << 19).build().ok();
    Some((build(BLOCK_BEGIN)?, build(BLOCK_END)?))
});

/// The patterns of blocks, if a text may have one.
fn block_patterns(text: &str) -> Option<&'static (Regex, Regex)> {
    let is_possible = text.contains("----") || text.contains("PuTTY-User-Key-File-") || text.contains("Private-MAC:");
    if is_possible { BLOCKS.as_ref() } else { None }
}

/// What stands in front of a text, and was told before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Before {
    /// Nothing, or finished lines.
    #[default]
    Nothing,
    /// Text that was not read.
    Unknown,
    /// The beginning of the text's first line.
    Line(String),
    /// A private key that has not ended.
    Block,
}

impl Before {
    /// What the text before says of the text behind it.
    pub fn of(before: &str) -> Before {
        if let Some((begin, end)) = block_patterns(before) {
            let begun = begin.find_iter(before).last();
            match begun.and_then(|begun| before.get(begun.end()..)) {
                Some(rest) if !end.is_match(rest) => return Before::Block,
                _ => {}
            }
        }
        if is_encoded(before) {
            return Before::Block;
        }
        let line = before.rsplit('\n').next().unwrap_or_default();
        let line = line.get(line.ceil_char_boundary(line.len().saturating_sub(LINE_MAX))..).unwrap_or_default();
        if line.is_empty() { Before::Nothing } else { Before::Line(line.to_owned()) }
    }
}

/// A kind of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Secret {
    /// A private key.
    Block,
    /// A token that is known by its own look.
    Form,
    /// A value that is known by what stands before it.
    Place,
    /// What the operator's pattern with this number (from 1) names.
    Pattern(usize),
}

/// Takes secrets out of text: the well-known ones, and what the operator named.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    patterns: Vec<Regex>,
}

impl Redactor {
    /// With the operator's own patterns.
    pub fn new(patterns: Vec<Regex>) -> Redactor {
        Redactor { patterns }
    }

    /// A single line without secrets.
    pub fn redact_line(&self, line: &str) -> String {
        self.redact(line, &Before::Nothing)
    }

    /// A task's name without secrets: it may be the name of a file.
    pub fn redact_task(&self, task: TaskName) -> TaskName {
        let mut name = self.redact_line(task.as_str());
        if name == task.as_str() {
            return task;
        }
        name.truncate(name.floor_char_boundary(TASK_NAME_MAX));
        // A name that was valid stays so: it has the mask, and no character that it had not.
        TaskName::try_from(name).unwrap_or(task)
    }

    /// The text without secrets.
    pub fn redact(&self, text: &str, before: &Before) -> String {
        self.redact_named(text, before).0
    }

    /// The text without secrets, and which kinds there were.
    pub fn redact_named(&self, text: &str, before: &Before) -> (String, Vec<Secret>) {
        let (whole, start) = match before {
            Before::Line(line) => (Cow::Owned(format!("{line}{text}")), line.len()),
            _ => (Cow::Borrowed(text), 0),
        };
        let (mut found, mut kinds) = (Vec::new(), Vec::new());
        let mut name = |found: &[Range<usize>], from: usize, kind: Secret| {
            let new = found.get(from..).unwrap_or_default();
            if new.iter().any(|secret| secret.end > start && secret.end > secret.start) {
                kinds.push(kind);
            }
            found.len()
        };
        let mut n = 0;
        blocks(&whole, *before == Before::Block, &mut found);
        n = name(&found, n, Secret::Block);
        if let Some(rules) = known() {
            rules.find_forms(&whole, &mut found);
            n = name(&found, n, Secret::Form);
            rules.find_places(&whole, &mut found);
            n = name(&found, n, Secret::Place);
        }
        for (number, pattern) in (1..).zip(&self.patterns) {
            found.extend(pattern.find_iter(&whole).map(|secret| secret.range()));
            n = name(&found, n, Secret::Pattern(number));
        }
        (masked(&whole, start, found), kinds)
    }
}

/// Private keys; `inside`: the text begins in one.
fn blocks(text: &str, inside: bool, found: &mut Vec<Range<usize>>) {
    let Some((begins, ends)) = block_patterns(text) else {
        found.extend(inside.then_some(0..text.len()));
        return;
    };
    let first_begin = begins.find(text).map_or(text.len(), |begin| begin.start());
    // An end without a begin: the begin lies in what was not read.
    let is_end_only = ends.find(text).is_some_and(|end| end.start() < first_begin);
    let mut begin = if inside || is_end_only { Some(0) } else { begins.find(text).map(|begin| begin.start()) };
    while let Some(start) = begin {
        let end = ends.find_at(text, start).map_or(text.len(), |end| end.end());
        found.push(start..end);
        begin = begins.find_at(text, end).map(|next| next.start());
    }
}

/// Is all of a long text lines of Base64, as inside a key whose begin lies further back than was read?
fn is_encoded(text: &str) -> bool {
    let is_code =
        |line: &str| line.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'\r'));
    // The first line may be cut.
    let mut lines = text.lines();
    text.len() >= ENCODED_MIN && lines.all(|line| line.len() <= 80 && is_code(line)) && text.contains('\n')
}

/// The text from `start` on, with each run of what was found replaced.
fn masked(text: &str, start: usize, mut found: Vec<Range<usize>>) -> String {
    found.retain(|secret| secret.end > start && secret.end > secret.start);
    found.sort_unstable_by_key(|secret| secret.start);
    let mut out = String::with_capacity(text.len());
    let (mut at, mut last_end) = (start, None);
    for secret in found {
        if last_end != Some(secret.start) && (secret.start > at || last_end.is_none()) {
            out.push_str(text.get(at..secret.start.max(at)).unwrap_or_default());
            out.push_str(MASK);
        }
        at = at.max(secret.end);
        last_end = Some(at);
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests;

//! Fingerprints: what stays of an error when times, numbers, ids and paths are gone.
//!
//! The same error written a minute later must count as the same, another error as another. Text is split into
//! *records* (a line and its indented followers; a traceback with its last line), each record is reduced to the words
//! that do not change, and the hub keys what it knows by a hash of those words. The agent reduces, because only it
//! has the whole text and must choose the first [`FINGERPRINTS_MAX`] distinct ones; the hub reduces again what it gets, so that
//! a hub with better rules improves agents that have older ones. Reducing twice changes nothing.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{FINGERPRINT_TEXT_MAX, FINGERPRINTS_MAX};

/// The reduced text of one error record: at most [`FINGERPRINT_TEXT_MAX`] characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FingerprintText(String);

impl FingerprintText {
    /// Reduces one record.
    pub fn of(record: &str) -> FingerprintText {
        FingerprintText(reduce(record))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the hub keys by: reduced once more, by the rules of this build.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Sha256::digest(reduce(&self.0).as_bytes()).iter().take(8).fold(0, |v, b| v << 8 | u64::from(*b)))
    }
}

impl TryFrom<String> for FingerprintText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.chars().nth(FINGERPRINT_TEXT_MAX).is_some() {
            return Err("the fingerprint's text is longer than its bound");
        }
        // As it came: an event's digest covers it, and must not change with the rules of the one who reads.
        Ok(FingerprintText(text))
    }
}

impl From<FingerprintText> for String {
    fn from(text: FingerprintText) -> String {
        text.0
    }
}

/// 64 bits of a record's reduced text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(pub u64);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The distinct fingerprints of a text, in order, at most [`FINGERPRINTS_MAX`]. A text that is not blank has at least one.
pub fn fingerprints(text: &str) -> Vec<FingerprintText> {
    let mut found = Vec::new();
    for record in records(text) {
        let reduced = FingerprintText::of(&record);
        if !found.contains(&reduced) {
            found.push(reduced);
            if found.len() == FINGERPRINTS_MAX {
                break;
            }
        }
    }
    found
}

/// Splits a text into records.
fn records(text: &str) -> impl Iterator<Item = String> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    std::iter::from_fn(move || {
        let first = lines.next()?;
        let mut record = first.trim().to_owned();
        let traceback = first.trim_start().starts_with("Traceback (most recent call last)");
        let mut followers = 0;
        while let Some(next) = lines.next_if(|line| line.starts_with([' ', '\t'])) {
            // A traceback's frames say where, its last line says what; of other followers the first few tell enough.
            if !traceback && followers < 3 {
                record.push(' ');
                record.push_str(next.trim());
            }
            followers += 1;
        }
        if traceback && let Some(last) = lines.next() {
            record = last.trim().to_owned();
        }
        Some(record)
    })
}

/// Words that belong to a date or a time of day, when they stand beside a number.
const DATE_WORDS: &[&str] = &[
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
    "sun",
    "monday",
    "tuesday",
    "wednesday",
    "thursday",
    "friday",
    "saturday",
    "sunday",
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "sept",
    "oct",
    "nov",
    "dec",
    "january",
    "february",
    "march",
    "april",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
    "am",
    "pm",
    "utc",
    "gmt",
    "cst",
    "cest",
    "cet",
    "est",
    "edt",
    "pst",
    "pdt",
    "bst",
    "ist",
    "jst",
    "hkt",
    "t",
    "z",
    "星期",
    "上午",
    "下午",
    "年",
    "月",
    "日",
    "时",
    "分",
    "秒",
    "一",
    "二",
    "三",
    "四",
    "五",
    "六",
    "周",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    Number,
    Mark(char),
}

fn reduce(record: &str) -> String {
    let mut tokens = tokens(record);
    drop_dates(&mut tokens);
    let mut out = String::new();
    let mut left = FINGERPRINT_TEXT_MAX;
    let mut last = None;
    for token in tokens {
        // Runs of numbers and of the marks between them fold into one: 1.2.3, 03:11:04 and 17 are all "a number".
        let (text, length): (&str, usize) = match token {
            Token::Number if last == Some(Token::Number) => continue,
            Token::Number => ("#", 1),
            Token::Word(word) => (word, word.chars().count()),
            Token::Mark(_) => continue,
        };
        let space = usize::from(!out.is_empty());
        if length + space > left {
            break;
        }
        if space == 1 {
            out.push(' ');
        }
        out.push_str(text);
        left -= length + space;
        last = Some(token);
    }
    if out.is_empty() { "#".to_owned() } else { out }
}

/// Cuts a record into words, numbers (anything with a digit, and paths) and marks.
fn tokens(record: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for chunk in record.split_whitespace() {
        let bare = chunk
            .trim_matches(|c: char| !c.is_alphanumeric() && c != '/' && c != '\\' && c != '~' && c != '_' && c != '#');
        if is_path(bare) {
            tokens.push(Token::Number);
            continue;
        }
        let mut rest = chunk;
        while let Some(c) = rest.chars().next() {
            let end = if c.is_alphanumeric() || c == '_' {
                run_end(rest)
            } else {
                tokens.push(if c == '#' { Token::Number } else { Token::Mark(c) });
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
                continue;
            };
            let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let changes = word.chars().any(char::is_numeric) || is_hex_id(word);
            tokens.push(if changes { Token::Number } else { Token::Word(word) });
            rest = after;
        }
    }
    tokens
}

/// Where a run of letters and digits ends. A change between ASCII and other writing ends it: `22日` is a number and a word,
/// and so does a change of an ideograph to the next word of a date.
fn run_end(text: &str) -> usize {
    let first_is_ascii = text.starts_with(|c: char| c.is_ascii());
    if !first_is_ascii {
        for word in ["星期", "上午", "下午", "年", "月", "日", "时", "分", "秒"] {
            if text.starts_with(word) {
                return word.len();
            }
        }
    }
    text.char_indices()
        .skip(1)
        .find(|&(_, c)| {
            !(c.is_alphanumeric() || c == '_')
                || c.is_ascii() != first_is_ascii
                || (!first_is_ascii && matches!(c, '年' | '月' | '日' | '时' | '分' | '秒'))
        })
        .map_or(text.len(), |(i, _)| i)
}

fn is_path(chunk: &str) -> bool {
    let unix = chunk.starts_with('/') || chunk.starts_with("~/") || chunk.contains("://");
    let slashes = chunk.matches('/').count();
    (unix && slashes >= 1 && chunk.len() > 1) || slashes >= 2 || chunk.matches('\\').count() >= 2
}

/// Letters a–f only, long enough that it is an id and not a word (`deadbeef`; not `facade`).
fn is_hex_id(word: &str) -> bool {
    word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit())
}

fn drop_dates(tokens: &mut [Token<'_>]) {
    let is_date_word = |token: &Token<'_>| match token {
        Token::Word(word) => DATE_WORDS.contains(&word.to_lowercase().as_str()),
        _ => false,
    };
    // A date's words stand in a row beside a number, with marks at most between: "Sun Nov 22", "PM UTC 2026".
    let mut i = 0;
    while i < tokens.len() {
        let run = tokens.iter().skip(i).take_while(|t| !matches!(t, Token::Word(_)) || is_date_word(t)).count();
        let (words, numbers) = tokens.iter().skip(i).take(run).fold((0, 0), |(w, n), t| match t {
            Token::Word(_) => (w + 1, n),
            Token::Number => (w, n + 1),
            Token::Mark(_) => (w, n),
        });
        if words > 0 && numbers > 0 {
            for token in tokens.iter_mut().skip(i).take(run) {
                if is_date_word(token) {
                    *token = Token::Number;
                }
            }
        }
        i += run.max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn same(a: &str, b: &str) {
        assert_eq!(fingerprints(a), fingerprints(b));
    }

    #[track_caller]
    fn other(a: &str, b: &str) {
        assert_ne!(fingerprints(a), fingerprints(b));
    }

    #[test]
    fn the_same_error_at_another_time_is_the_same() {
        same(
            "nginx not running! Sun Nov 22 07:22:04 PM UTC 2026",
            "nginx not running! Mon Nov 23 11:02:59 AM UTC 2026",
        );
        same("2026-11-22T19:22:04.123Z db down", "2026-12-01T01:02:03.9Z db down");
        same("2026年 11月 22日 星期日 19:22:04 CST 磁盘满", "2026年 12月 03日 星期四 上午 09:01:04 CST 磁盘满");
        same("[11/22/26 19:22] worker 4711 died", "[01/02/27 03:04] worker 12 died");
        same("conn from 10.0.0.1:5123 refused", "conn from 192.168.7.21:80 refused");
        same("req 550e8400-e29b-41d4-a716-446655440000 failed", "req 123e4567-e89b-12d3-a456-426614174000 failed");
        same("at 0xdeadbeef: fault", "at 0xcafebabe: fault");
        same("cannot open /var/lib/a/x.db", "cannot open /srv/b.db");
    }

    #[test]
    fn another_error_is_another() {
        other("nginx not running!", "mysql not running!");
        other("磁盘满", "内存不足");
        other("No space left on device", "Input/output error");
        other("may fail", "march fail");
    }

    #[test]
    fn a_traceback_is_its_last_line() {
        let first =
            "Traceback (most recent call last):\n  File \"a.py\", line 3, in f\n    g()\nValueError: no such key";
        let again = "Traceback (most recent call last):\n  File \"b.py\", line 9, in h\nValueError: no such key";
        same(first, again);
        assert_eq!(fingerprints(first).len(), 1);
    }

    #[test]
    fn records_are_distinct_and_bounded() {
        let mut text = "same 1\nsame 2\n  at x\nother\n".to_owned();
        assert_eq!(fingerprints(&text).len(), 3);
        for c in 'a'..='z' {
            text.push_str(&format!("{c}{c}{c}\n"));
        }
        assert_eq!(fingerprints(&text).len(), FINGERPRINTS_MAX);
        assert_eq!(fingerprints("12 34\n").len(), 1);
        assert!(fingerprints(" \n\t").is_empty());
    }
}

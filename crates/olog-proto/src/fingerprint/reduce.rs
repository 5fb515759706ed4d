//! One line less what changes: dates, times, numbers with their units, ids, addresses, paths, the host's name in front of it.
//!
//! A line is cut into *words*, *changing* parts and marks. What stays are the words in their order, with one `#` for each run of
//! changing parts. Reducing what is already reduced changes nothing.

use std::ops::Range;

use crate::FINGERPRINT_TEXT_MAX;

/// What stays of a line in which everything changes.
pub(super) const NOTHING: &str = "#";

/// Quoted paths are looked for their end this far.
const QUOTED_MAX: usize = 1_024;

/// Words of a date or a time of day, and units: they change with the number beside which they stand.
#[rustfmt::skip]
const BESIDE_NUMBERS: &[&str] = &[
    "mon", "tue", "wed", "thu", "fri", "sat", "sun", "monday", "tuesday", "wednesday", "thursday", "friday",
    "saturday", "sunday", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "sept", "oct", "nov",
    "dec", "january", "february", "march", "april", "june", "july", "august", "september", "october",
    "november", "december", "am", "pm", "utc", "gmt", "cst", "cest", "cet", "est", "edt", "pst", "pdt", "bst",
    "ist", "jst", "hkt", "t", "z", "星期", "上午", "下午", "年", "月", "日", "时", "分", "秒", "一", "二", "三", "四", "五",
    "六", "周", "ns", "us", "µs", "ms", "s", "sec", "secs", "second", "seconds", "m", "min", "mins", "minute",
    "minutes", "h", "hr", "hrs", "hour", "hours", "d", "day", "days", "week", "weeks", "b", "byte", "bytes",
    "k", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "tib", "g",
];

/// Parts of a Chinese date: each is a word by itself, also when another ideograph follows.
const DATE_IDEOGRAPHS: [&str; 9] = ["星期", "上午", "下午", "年", "月", "日", "时", "分", "秒"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    /// Another one in the same error's next line.
    Changes,
    Mark,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    text: &'a str,
    /// Where it begins in the line, in bytes.
    at: usize,
}

/// What stays, at most [`FINGERPRINT_TEXT_MAX`] characters.
pub(super) fn reduced(line: &str) -> String {
    let mut out = String::new();
    let mut left = FINGERPRINT_TEXT_MAX;
    let mut last = Kind::Mark;
    for token in read(line) {
        // Runs of what changes and of the marks between fold into one: 1.2.3, 03:11:04 and 17 are all "a number".
        let text = match token.kind {
            Kind::Mark => continue,
            Kind::Changes if last == Kind::Changes => continue,
            Kind::Changes => NOTHING,
            Kind::Word => token.text,
        };
        let (length, space) = (text.chars().count(), usize::from(!out.is_empty()));
        if length + space > left {
            break;
        }
        if space == 1 {
            out.push(' ');
        }
        out.push_str(text);
        left -= length + space;
        last = token.kind;
    }
    if out.is_empty() { NOTHING.to_owned() } else { out }
}

/// The parts that do not stay, with the marks between two of them.
pub(super) fn taken_out(line: &str) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut joins = false;
    for token in read(line) {
        let end = token.at + token.text.len();
        match (token.kind, parts.last_mut()) {
            (Kind::Changes, Some(part)) if joins => part.end = end,
            (Kind::Changes, _) => parts.push(token.at..end),
            (Kind::Word | Kind::Mark, _) => {}
        }
        joins = token.kind == Kind::Changes || joins && token.kind == Kind::Mark;
    }
    parts
}

fn read(line: &str) -> Vec<Token<'_>> {
    let mut tokens = tokens(line);
    drop_beside_numbers(&mut tokens);
    drop_host(&mut tokens);
    tokens
}

fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
        let white = rest.len() - rest.trim_start().len();
        if white > 0 {
            at += white;
            continue;
        }
        if let Some(length) = quoted_path(rest) {
            at = push(&mut tokens, Kind::Changes, line, at, length);
            continue;
        }
        let length = chunk(rest);
        let text = rest.get(..length).unwrap_or(rest);
        if is_path(bare(text)) || is_id(bare(text)) {
            at = push(&mut tokens, Kind::Changes, line, at, length);
            continue;
        }
        let end = at + length;
        while let Some(rest) = line.get(at..end).filter(|rest| !rest.is_empty()) {
            at = run(&mut tokens, line, at, rest);
        }
    }
    tokens
}

/// One run of letters and digits, or one mark. Gives where it ends.
fn run<'a>(tokens: &mut Vec<Token<'a>>, line: &'a str, at: usize, rest: &str) -> usize {
    let Some(c) = rest.chars().next() else { return at + 1 };
    if !(c.is_alphanumeric() || c == '_') {
        let kind = if c == '#' { Kind::Changes } else { Kind::Mark };
        return push(tokens, kind, line, at, c.len_utf8());
    }
    let length = run_end(rest);
    let word = rest.get(..length).unwrap_or(rest);
    if let Some(letters) = numbered_word(word) {
        let at = push(tokens, Kind::Word, line, at, letters);
        return push(tokens, Kind::Changes, line, at, length - letters);
    }
    let changes = word.chars().any(char::is_numeric) || is_hex_word(word);
    push(tokens, if changes { Kind::Changes } else { Kind::Word }, line, at, length)
}

fn push<'a>(tokens: &mut Vec<Token<'a>>, kind: Kind, line: &'a str, at: usize, length: usize) -> usize {
    tokens.push(Token { kind, text: line.get(at..at + length).unwrap_or_default(), at });
    at + length
}

/// The length of a quoted text that is a path: it may hold blanks.
fn quoted_path(rest: &str) -> Option<usize> {
    let mut chars = rest.chars();
    let close = match chars.next()? {
        quote @ ('"' | '\'' | '`') => quote,
        '“' => '”',
        '‘' => '’',
        _ => return None,
    };
    let inside = chars.as_str();
    if !(inside.starts_with('/') || inside.starts_with("~/")) {
        return None;
    }
    let open = rest.len() - inside.len();
    let (end, _) = inside.char_indices().take(QUOTED_MAX).find(|&(_, c)| c == close)?;
    Some(open + end + close.len_utf8())
}

/// The length of what is judged together: to the next blank, or past a mark behind which a path or an id may begin.
fn chunk(rest: &str) -> usize {
    let opens = |c: char| matches!(c, '=' | '(' | '[' | '{' | '<' | '"' | '\'' | '`' | '“' | '‘');
    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
    let opening = rest.char_indices().find(|&(_, c)| opens(c)).map_or(end, |(i, c)| i + c.len_utf8());
    end.min(opening)
}

fn bare(chunk: &str) -> &str {
    chunk.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '/' | '\\' | '~' | '_' | '#'))
}

/// Where a run of letters and digits ends. A change between ASCII and other writing ends it: `22日` is a number and a word.
fn run_end(text: &str) -> usize {
    let first_is_ascii = text.starts_with(|c: char| c.is_ascii());
    if !first_is_ascii && let Some(word) = DATE_IDEOGRAPHS.iter().find(|word| text.starts_with(**word)) {
        return word.len();
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

/// How many letters come before the number of `sda1`, `eth0`, `worker12`; none of what may be an id (`beef12`, `x2`).
fn numbered_word(word: &str) -> Option<usize> {
    let letters = word.find(|c: char| c.is_ascii_digit())?;
    let (name, number) = word.split_at_checked(letters)?;
    let is_name = letters >= 3 && name.chars().all(|c| c.is_ascii_alphabetic());
    let is_number = number.len() <= 5 && number.chars().all(|c| c.is_ascii_digit());
    (is_name && is_number && !word.chars().all(|c| c.is_ascii_hexdigit())).then_some(letters)
}

fn is_path(chunk: &str) -> bool {
    let rooted = chunk.starts_with('/') || chunk.starts_with("~/") || chunk.contains("://");
    let slashes = chunk.matches('/').count();
    (rooted && slashes >= 1 && chunk.len() > 1) || slashes >= 2 || chunk.matches('\\').count() >= 2
}

/// A UUID, a MAC or an IPv6 address: groups of hexadecimal digits, some of which look like words.
fn is_id(chunk: &str) -> bool {
    let marks = chunk.chars().filter(|c| matches!(c, '-' | ':')).count();
    marks >= 2
        && chunk.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, '-' | ':'))
        && chunk.split(['-', ':']).all(|group| group.len() <= 12)
        && chunk.split(['-', ':']).any(|group| group.len() >= 2)
}

/// Letters a–f only, long enough that it is an id and not a word (`deadbeef`; not `facade`).
fn is_hex_word(word: &str) -> bool {
    word.len() >= 8 && word.chars().all(|c| c.is_ascii_hexdigit())
}

/// Words of dates and units change when they stand in a row with a number, with marks at most between: "Sun Nov 22",
/// "PM UTC 2026", "1 minute".
fn drop_beside_numbers(tokens: &mut [Token<'_>]) {
    let belongs = |token: &Token<'_>| token.kind != Kind::Word || is_beside_numbers(token.text);
    let mut i = 0;
    while i < tokens.len() {
        let run = tokens.iter().skip(i).take_while(|token| belongs(token)).count();
        let has_number = tokens.iter().skip(i).take(run).any(|token| token.kind == Kind::Changes);
        if has_number {
            let words = tokens.iter_mut().skip(i).take(run).filter(|token| token.kind == Kind::Word);
            words.for_each(|token| token.kind = Kind::Changes);
        }
        i += run.max(1);
    }
}

fn is_beside_numbers(word: &str) -> bool {
    BESIDE_NUMBERS.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// syslog's `DATE HOST PROGRAM[PID]: text`: one error of twelve machines is one error.
fn drop_host(tokens: &mut [Token<'_>]) {
    let Some(first) = tokens.iter().position(|token| token.kind == Kind::Word) else { return };
    // Only behind a date and a time, and so never in a text that is reduced already.
    let has_date = tokens.iter().take(first).filter(|token| token.kind == Kind::Changes).count() >= 2;
    let Some((host, rest)) = tokens.get(first..).and_then(|rest| rest.split_first()) else { return };
    let host_end = host_length(host, rest);
    let program = rest.get(host_end..).unwrap_or_default();
    let mut program =
        program.iter().skip_while(|token| token.kind == Kind::Word || token.text == "-" || token.text == "/");
    let is_program = rest.get(host_end).is_some_and(|token| token.kind == Kind::Word);
    let has_pid = program.next().is_some_and(|token| token.text == "[")
        && program.next().is_some_and(|token| token.kind == Kind::Changes)
        && program.next().is_some_and(|token| token.text == "]")
        && program.next().is_some_and(|token| token.text == ":");
    let is_kernel = rest.get(host_end).is_some_and(|token| token.text == "kernel")
        && rest.get(host_end + 1).is_some_and(|token| token.text == ":");
    if has_date && is_program && (has_pid || is_kernel) {
        let host = tokens.iter_mut().skip(first).take(host_end + 1).filter(|token| token.kind == Kind::Word);
        host.for_each(|token| token.kind = Kind::Changes);
    }
}

/// How many further tokens belong to the host's name: those that touch it.
fn host_length(host: &Token<'_>, rest: &[Token<'_>]) -> usize {
    let mut end = host.at + host.text.len();
    rest.iter()
        .take_while(|token| {
            let touches = token.at == end;
            end = token.at + token.text.len();
            touches
        })
        .count()
}

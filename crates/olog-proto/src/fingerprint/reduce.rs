//! Reduces one line to the words that do not change: takes out dates, times, relative times ("5 minutes ago", `5分钟前`), numbers
//! with their units, ids, addresses, paths, random temporary names, and the host name of a syslog line.
//!
//! A line is cut into words, changing parts and marks. The words stay, in their order, with one `#` for each run of changing
//! parts. Only the first [`LINE_MAX`] bytes of a line count. Reducing a reduced line again changes nothing, and the work grows
//! with the length of the line, never with its square: a minified JSON file of one line must not stall the agent.

use std::ops::Range;

use super::{
    times,
    token::{Kind, Token},
};
use crate::FINGERPRINT_TEXT_MAX;

/// What stays of a line in which everything changes.
pub(super) const NOTHING: &str = "#";

/// Bytes of a line that are reduced; [`FINGERPRINT_TEXT_MAX`] characters of them stay.
const LINE_MAX: usize = 2_048;
/// Characters within which a quoted path must end.
const QUOTED_MAX: usize = 256;

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
        let end = token.end();
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
    times::drop_relative(&mut tokens);
    times::drop_beside_numbers(&mut tokens);
    drop_host(&mut tokens);
    tokens
}

fn tokens(line: &str) -> Vec<Token<'_>> {
    let line = first_part(line);
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

/// The part of a long line that is reduced: [`LINE_MAX`] bytes, and no word of them cut if that can be helped.
fn first_part(line: &str) -> &str {
    if line.len() <= LINE_MAX {
        return line;
    }
    let part = line.get(..line.floor_char_boundary(LINE_MAX)).unwrap_or_default();
    part.rfind(char::is_whitespace).and_then(|end| part.get(..end)).filter(|whole| !whole.is_empty()).unwrap_or(part)
}

/// One run of letters and digits, or one mark. Gives where it ends.
fn run<'a>(tokens: &mut Vec<Token<'a>>, line: &'a str, at: usize, rest: &str) -> usize {
    let Some(c) = rest.chars().next() else { return at + 1 };
    if !(c.is_alphanumeric() || c == '_') {
        let kind = if c == '#' { Kind::Changes } else { Kind::Mark };
        return push(tokens, kind, line, at, c.len_utf8());
    }
    let touches_number = tokens.last().is_some_and(|token| token.kind == Kind::Changes && token.end() == at);
    if let Some(length) = times::chinese(rest, touches_number) {
        return push(tokens, Kind::Changes, line, at, length);
    }
    let length = run_end(rest);
    let word = rest.get(..length).unwrap_or(rest);
    if is_random_name(word) || follows_tmp(tokens, at) && (6..=12).contains(&word.len()) {
        return push(tokens, Kind::Changes, line, at, length);
    }
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
    let (end, _) = counted(inside.char_indices().take(QUOTED_MAX)).find(|&(_, c)| c == close)?;
    Some(open + end + close.len_utf8())
}

/// The length of what is judged together: to the next blank, or past a mark behind which a path or an id may begin.
fn chunk(rest: &str) -> usize {
    let opens = |c: char| matches!(c, '=' | '(' | '[' | '{' | '<' | '"' | '\'' | '`' | '“' | '‘');
    let last = counted(rest.char_indices()).find(|&(_, c)| opens(c) || c.is_whitespace());
    last.map_or(rest.len(), |(i, c)| if c.is_whitespace() { i } else { i + c.len_utf8() })
}

fn bare(chunk: &str) -> &str {
    chunk.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '/' | '\\' | '~' | '_' | '#'))
}

/// Where a run of letters and digits ends. A change between ASCII and other writing ends it: `22日` is a number and a word.
fn run_end(text: &str) -> usize {
    let first_is_ascii = text.starts_with(|c: char| c.is_ascii());
    if !first_is_ascii && let Some(length) = times::date_word(text) {
        return length;
    }
    counted(text.char_indices())
        .skip(1)
        .find(|&(i, c)| {
            !(c.is_alphanumeric() || c == '_')
                || c.is_ascii() != first_is_ascii
                || !first_is_ascii && text.get(i..).is_some_and(times::breaks_run)
        })
        .map_or(text.len(), |(i, _)| i)
}

/// `aBcDeFgHiJ`, as mktemp(1) makes them: letters whose case changes at nearly every step. `NullPointerException` is a name.
fn is_random_name(word: &str) -> bool {
    let pairs = word.bytes().zip(word.bytes().skip(1));
    let n_changes = pairs.filter(|(a, b)| a.is_ascii_uppercase() != b.is_ascii_uppercase());
    // Python's tempfile: eight of these behind `tmp`. Without a digit among them it may be a word (`tmpfs_error`).
    let is_python = word.strip_prefix("tmp").is_some_and(|rest| {
        rest.len() == 8
            && rest.bytes().any(|b| b.is_ascii_digit())
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    });
    is_python
        || (8..=16).contains(&word.len())
            && word.bytes().all(|b| b.is_ascii_alphabetic())
            && n_changes.count() * 2 > word.len()
}

/// Is this what follows `tmp.`, in the name that mktemp(1) makes by default?
fn follows_tmp(tokens: &[Token<'_>], at: usize) -> bool {
    let [.., tmp, dot] = tokens else { return false };
    let is_dot = dot.text == "." && dot.end() == at && tmp.end() == dot.at;
    is_dot && ["tmp", "temp"].contains(&tmp.text)
}

/// The characters that are looked at: a test counts them.
#[cfg(not(test))]
fn counted<T>(characters: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    characters
}

#[cfg(test)]
thread_local! {
    /// How many characters [`counted`] has passed on in this thread.
    pub(super) static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
fn counted<T>(characters: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    characters.inspect(|_| STEPS.with(|steps| steps.set(steps.get() + 1)))
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
    let mut end = host.end();
    rest.iter()
        .take_while(|token| {
            let touches = token.at == end;
            end = token.end();
            touches
        })
        .count()
}

//! Cleans texts of the other side where they are decoded, so that no reader of them has to think of it.
//!
//! A peer may be hostile. Its excerpts, notes, paths, addresses and reasons are shown on terminals, pages and phones: an escape
//! sequence would move a terminal, a mark of direction would reverse a line. A text keeps its line ends and tabs; a line keeps
//! neither. Names are checked by their own types ([`crate::name`]).

use std::fmt::Write as _;

use serde::{Deserialize, Deserializer};

use crate::name::{is_printable_ascii, is_unprintable};

/// Several lines, without controls other than line ends and tabs.
pub fn text(text: String) -> String {
    let is_kept = |b: &u8| is_printable_ascii(b) || matches!(b, b'\n' | b'\t');
    without(text, is_kept, |c| is_unprintable(c) && c != '\n' && c != '\t')
}

/// One line, without controls.
pub fn line(text: String) -> String {
    without(text, is_printable_ascii, is_unprintable)
}

/// Bytes that are kept whatever stands beside them are looked at first: every text of every event comes through here, and most
/// are plain ASCII, of which a byte costs a tenth of a character.
fn without(text: String, is_kept: impl Fn(&u8) -> bool, is_bad: impl Fn(char) -> bool) -> String {
    // Without a stop at the first that is not, which the compiler could not do for many bytes at once.
    let is_plain = text.as_bytes().iter().fold(true, |plain, byte| plain & is_kept(byte));
    if is_plain || !text.contains(&is_bad) {
        return text;
    }
    text.chars().filter(|c| !is_bad(*c)).collect()
}

/// The text of a log, as a file or a program has it: without escape sequences, controls and marks that turn the direction of
/// writing; every line end is `\n`.
pub fn log_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        rest = after;
        match c {
            '\x1b' => rest = after_escape(after),
            '\u{9b}' => rest = after_csi(after),
            '\r' => {
                if !after.starts_with('\n') {
                    out.push('\n');
                }
            }
            '\n' | '\t' => out.push(c),
            // A run of bytes that are no text says no more than one of them.
            '\u{fffd}' if out.ends_with(c) => {}
            c if is_unprintable(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// What follows an ESC and its sequence (ECMA-48).
fn after_escape(text: &str) -> &str {
    let Some(kind) = text.chars().next() else { return text };
    let rest = text.get(kind.len_utf8()..).unwrap_or_default();
    match kind {
        '[' => after_csi(rest),
        ']' | 'P' | 'X' | '^' | '_' => after_terminal_string(rest),
        ' '..='/' => rest.strip_prefix(|c: char| matches!(c, '0'..='~')).unwrap_or(rest),
        '0'..='~' => rest,
        _ => text,
    }
}

/// What follows a string for the terminal (a title, a link): it ends with BEL or ST, on its line. One that does not end is text.
/// The search stops at the next ESC, so many strings without an end do not search the same text again and again.
fn after_terminal_string(text: &str) -> &str {
    let Some(end) = text.find(['\x07', '\x1b', '\n']) else { return text };
    let rest = text.get(end..).unwrap_or_default();
    rest.strip_prefix('\x07').or_else(|| rest.strip_prefix("\x1b\\")).unwrap_or(text)
}

fn after_csi(text: &str) -> &str {
    let parameters = text.find(|c: char| !matches!(c, ' '..='?')).unwrap_or(text.len());
    let rest = text.get(parameters..).unwrap_or_default();
    rest.strip_prefix(|c: char| matches!(c, '@'..='~')).unwrap_or(rest)
}

/// For a terminal: what it would obey or show elsewhere becomes `\u001b`, which is also how JSON writes it. So JSON stays JSON.
pub fn for_terminal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) && !matches!(c, '\n' | '\t') {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing into a text cannot fail.
                let written = write!(out, "\\u{unit:04x}");
                debug_assert!(written.is_ok());
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// For a field that is a text of several lines.
pub(crate) fn decode_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(text)
}

/// For a field that is one line.
pub(crate) fn decode_line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(line)
}

/// For a field that may be one line.
pub(crate) fn decode_optional_line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|found| found.map(line))
}

/// For a field of several lines, each for itself.
pub(crate) fn decode_lines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Vec::<String>::deserialize(deserializer).map(|found| found.into_iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_look_at_bytes_keeps_and_drops_what_the_look_at_characters_does() {
        for c in (0..0x3000).filter_map(char::from_u32) {
            for around in ["", "a", "磁"] {
                let given = format!("{around}{c}{around}");
                let kept = |is_bad: bool| if is_bad { around.repeat(2) } else { given.clone() };
                assert_eq!(line(given.clone()), kept(is_unprintable(c)), "{c:?}");
                assert_eq!(text(given.clone()), kept(is_unprintable(c) && c != '\n' && c != '\t'), "{c:?}");
            }
        }
    }

    /// Texts, names and paths that an attacker would write: the corpus of every output's test.
    const HOSTILE: &str = include_str!("clean/hostile.json");

    #[test]
    fn nothing_hostile_moves_a_terminal_as_a_text_a_line_a_path_or_a_name() {
        let corpus: Vec<String> = serde_json::from_str(HOSTILE).unwrap();
        assert!(corpus.len() >= 30);
        for hostile in corpus {
            let is_bad = |c: char| is_unprintable(c) && c != '\n' && c != '\t';
            for cleaned in [text(hostile.clone()), log_text(&hostile), for_terminal(&hostile)] {
                assert!(!cleaned.contains(is_bad), "{cleaned:?}");
            }
            let path = crate::name::path_text(hostile.as_bytes());
            for cleaned in [line(hostile.clone()), path, crate::name::escape(hostile.as_bytes())] {
                assert!(!cleaned.contains(is_unprintable), "{cleaned:?}");
            }
            if let Some((task, _)) = crate::TaskName::of_file(format!("{hostile}.err").as_bytes()) {
                assert!(!task.as_str().contains(crate::name::is_invisible), "{task}");
            }
            if let Ok(device) = crate::DeviceName::try_from(hostile) {
                assert!(!device.as_str().contains(crate::name::is_invisible), "{device}");
            }
        }
    }

    #[test]
    fn what_is_printed_moves_no_terminal_and_json_stays_json() {
        let text = "a\u{1b}]0;owned\u{7}b\u{202e}c\u{9b}d\u{e0041}\n\té 备份";
        assert_eq!(for_terminal(text), "a\\u001b]0;owned\\u0007b\\u202ec\\u009bd\\udb40\\udc41\n\té 备份");
        let value = serde_json::json!({ "text": text });
        let printed = for_terminal(&format!("{value:#}\n"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }

    #[test]
    fn nothing_that_moves_a_terminal_stays() {
        assert_eq!(text("a\x1b]0;x\x07b\n\tc\u{202e}d\u{61c}e".to_owned()), "a]0;xb\n\tcde");
        assert_eq!(line("a\r\nb\t\x1b[2Jc".to_owned()), "ab[2Jc");
        assert_eq!(line("a~ b\u{7f}磁\u{202e}".to_owned()), "a~ b磁");
        assert_eq!(text("a\u{7f}b\u{85}c~ ".to_owned()), "abc~ ");
        assert_eq!(text("磁盘满 👍🏽\n".to_owned()), "磁盘满 👍🏽\n");
    }
}

//! Cleans texts of the other side where they are decoded, so that no reader of them has to think of it.
//!
//! A peer may be hostile. Its excerpts, notes, paths, addresses and reasons are shown on terminals, pages and phones: an escape
//! sequence would move a terminal, a mark of direction would reverse a line. A text keeps its line ends and tabs; a line keeps
//! neither. Names are checked by their own types ([`crate::name`]).

use serde::{Deserialize, Deserializer};

use crate::name::is_unprintable;

/// Several lines, without controls other than line ends and tabs.
pub fn text(text: String) -> String {
    without(text, |c| is_unprintable(c) && c != '\n' && c != '\t')
}

/// One line, without controls.
pub fn line(text: String) -> String {
    without(text, is_unprintable)
}

fn without(text: String, is_bad: impl Fn(char) -> bool) -> String {
    if text.contains(&is_bad) { text.chars().filter(|c| !is_bad(*c)).collect() } else { text }
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
    fn nothing_that_moves_a_terminal_stays() {
        assert_eq!(text("a\x1b]0;x\x07b\n\tc\u{202e}d\u{61c}e".to_owned()), "a]0;xb\n\tcde");
        assert_eq!(line("a\r\nb\t\x1b[2Jc".to_owned()), "ab[2Jc");
        assert_eq!(text("磁盘满 👍🏽\n".to_owned()), "磁盘满 👍🏽\n");
    }
}

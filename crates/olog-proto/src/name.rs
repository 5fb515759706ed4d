//! Names: of devices, of tasks, and what a log file's name says.
//!
//! Parsing is the only constructor, so every value of the type is valid: not empty, bounded, without control characters or
//! characters that nobody sees. A file name is any bytes; [`escape`] makes text of it without losing which file was meant.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{DEVICE_NAME_MAX, PATH_MAX, TASK_NAME_MAX};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or white space only.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than the bound.
    #[error("a name has at most {0} characters")]
    TooLong(usize),
    /// A control character, one that changes the direction of writing, or one that nobody sees.
    #[error("a name must not contain control characters or invisible ones")]
    Control,
}

/// Characters that would move the text around them: controls, and the marks that turn the direction of writing.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A byte of ASCII with a look of its own, or a space: it is never [`is_unprintable`] nor [`is_invisible`].
pub(crate) fn is_printable_ascii(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// Characters without a look of their own (Unicode: default ignorable): two names that differ only in them look the same. In a
/// text they are harmless, and some scripts and pictures need them.
pub fn is_invisible(c: char) -> bool {
    is_unprintable(c)
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        )
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}')
        || matches!(c, '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text of a path or file name: UTF-8 as it is; other bytes and characters that nobody sees as `\xNN`, byte by byte.
pub fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_invisible(c) {
                push_escaped(&mut out, c);
            } else {
                out.push(c);
            }
        }
        chunk.invalid().iter().for_each(|&b| push_byte(&mut out, b));
    }
    out
}

fn push_escaped(out: &mut String, c: char) {
    let mut buffer = [0; 4];
    c.encode_utf8(&mut buffer).bytes().for_each(|b| push_byte(out, b));
}

fn push_byte(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push_str("\\x");
    for nibble in [byte >> 4, byte & 15] {
        out.push(char::from(HEX.get(usize::from(nibble)).copied().unwrap_or(b'?')));
    }
}

/// A path as it travels: escaped, and cut in its middle by `…` beyond [`PATH_MAX`] bytes.
pub fn path_text(bytes: &[u8]) -> String {
    let text = escape(bytes);
    if text.len() <= PATH_MAX {
        return text;
    }
    let half = (PATH_MAX - '…'.len_utf8()) / 2;
    let head = text.floor_char_boundary(half);
    let tail = text.ceil_char_boundary(text.len() - half);
    format!("{}…{}", text.get(..head).unwrap_or_default(), text.get(tail..).unwrap_or_default())
}

/// What a log file's suffix says of its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// Normal output: the task is well.
    Log,
    /// An error, pushed at once.
    Err,
    /// A message, pushed at once; not an error.
    Msg,
    /// An error for the daily report only.
    Scanerr,
}

impl LogKind {
    /// All of them.
    pub const ALL: [LogKind; 4] = [LogKind::Log, LogKind::Err, LogKind::Msg, LogKind::Scanerr];

    /// As in a file's name, without the dot.
    pub fn as_str(self) -> &'static str {
        match self {
            LogKind::Log => "log",
            LogKind::Err => "err",
            LogKind::Msg => "msg",
            LogKind::Scanerr => "scanerr",
        }
    }

    /// The suffix of a file's name, in any case; `None` for a file that Olog does not watch.
    pub fn of(file_name: &[u8]) -> Option<LogKind> {
        let dot = file_name.iter().rposition(|&b| b == b'.')?;
        let suffix = file_name.get(dot + 1..)?;
        LogKind::ALL.into_iter().find(|s| s.as_str().as_bytes().eq_ignore_ascii_case(suffix))
    }

    /// Does text in such a file make its task ERR?
    pub fn is_error(self) -> bool {
        matches!(self, LogKind::Err | LogKind::Scanerr)
    }
}

impl fmt::Display for LogKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A task's name: unique on its device, at most [`TASK_NAME_MAX`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskName(String);

impl TaskName {
    /// What the name of a log file says: the text between the first pair of `@` in its stem, if there is any, else the
    /// stem. A file that is all suffix (`.err`) is its own task: it was put there to say something.
    /// `None` where the suffix is not one that Olog watches.
    pub fn of_file(file_name: &[u8]) -> Option<(TaskName, LogKind)> {
        let suffix = LogKind::of(file_name)?;
        let stem = file_name.get(..file_name.len().saturating_sub(suffix.as_str().len() + 1)).unwrap_or_default();
        let stem = escape(stem);
        let between = stem.split_once('@').and_then(|(_, rest)| rest.split_once('@')).map(|(name, _)| name.trim());
        let name = match between {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ if stem.trim().is_empty() => escape(file_name),
            _ => stem.trim().to_owned(),
        };
        TaskName::try_from(name).ok().map(|name| (name, suffix))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for TaskName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        if text.trim().is_empty() {
            return Err(NameError::Empty);
        }
        // The name of each event's task comes through here: a name of plain ASCII needs no look at its characters.
        let is_plain = text.as_bytes().iter().all(is_printable_ascii);
        if !is_plain && text.contains(char::is_control) {
            return Err(NameError::Control);
        }
        // What a file's name would show as `\xNN` is shown so here too: a look-alike of another task is told apart from it.
        let text = if !is_plain && text.contains(is_invisible) { escape(text.as_bytes()) } else { text };
        if text.len() > TASK_NAME_MAX { Err(NameError::TooLong(TASK_NAME_MAX)) } else { Ok(TaskName(text)) }
    }
}

/// A device's name: a label, unique at the hub; at most [`DEVICE_NAME_MAX`] characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceName(String);

impl DeviceName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DeviceName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        if text.trim().is_empty() {
            return Err(NameError::Empty);
        }
        if text.contains(is_invisible) {
            return Err(NameError::Control);
        }
        if text.chars().count() > DEVICE_NAME_MAX {
            Err(NameError::TooLong(DEVICE_NAME_MAX))
        } else {
            Ok(DeviceName(text))
        }
    }
}

macro_rules! text_like {
    ($name:ident) => {
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                $name::try_from(text.to_owned())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text_like!(TaskName);
text_like!(DeviceName);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &[u8], expected: Option<(&str, LogKind)>) {
        let got = TaskName::of_file(file);
        assert_eq!(got.as_ref().map(|(n, s)| (n.as_str(), *s)), expected, "{}", escape(file));
    }

    #[test]
    fn a_file_name_says_its_task() {
        check(b"nginx.err", Some(("nginx", LogKind::Err)));
        check(b"NGINX.ERR", Some(("NGINX", LogKind::Err)));
        check(b"@backup@2026-11-22.log", Some(("backup", LogKind::Log)));
        check(b"x@backup@y@z@.msg", Some(("backup", LogKind::Msg)));
        check(b"a.b.scanerr", Some(("a.b", LogKind::Scanerr)));
        check("备份@数据库@.err".as_bytes(), Some(("数据库", LogKind::Err)));
        check(b"svc.err.1", None);
        check(b"svc", None);
        check(b"svc.error", None);
    }

    #[test]
    fn odd_at_signs_fall_back_to_the_stem() {
        check(b"@@x.err", Some(("@@x", LogKind::Err)));
        check(b"@ @x.err", Some(("@ @x", LogKind::Err)));
        check(b"me@host.err", Some(("me@host", LogKind::Err)));
        check(b"@.err", Some(("@", LogKind::Err)));
        check(b"@a.err@", None);
    }

    #[test]
    fn a_name_without_stem_is_its_own_task() {
        check(b".err", Some((".err", LogKind::Err)));
        check(b" .err", Some((" .err", LogKind::Err)));
    }

    #[test]
    fn bytes_that_are_no_text_are_written_out() {
        check(b"a\xffb\nc.err", Some(("a\\xffb\\x0ac", LogKind::Err)));
        let longest = [&[0xff_u8; 251][..], b".err"].concat();
        assert_eq!(TaskName::of_file(&longest).unwrap().0.as_str().len(), 251 * 4);
    }

    #[test]
    fn a_character_that_nobody_sees_makes_no_second_name_that_looks_the_same() {
        for c in ['\u{200b}', '\u{2060}', '\u{ad}', '\u{fe0f}', '\u{61c}', '\u{e0041}', '\u{200d}', '\u{202e}'] {
            assert!(DeviceName::try_from(format!("honest{c}")).is_err(), "{c:?}");
            let (task, _) = TaskName::of_file(format!("backup{c}.err").as_bytes()).unwrap();
            assert!(task.as_str().starts_with("backup\\x"), "{task}");
            let said = TaskName::try_from(format!("backup{c}"));
            assert_eq!(said.unwrap(), task, "{c:?}");
        }
        assert_eq!(DeviceName::try_from("数据库 1".to_owned()).unwrap().as_str(), "数据库 1");
    }

    #[test]
    fn a_long_path_keeps_both_ends() {
        let path = [b"/start/".to_vec(), vec![0xff; 4000], b"/end.err".to_vec()].concat();
        let text = path_text(&path);
        assert!(text.len() <= PATH_MAX && text.starts_with("/start/") && text.ends_with("/end.err"));
    }
}

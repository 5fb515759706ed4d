//! Bytes of a log file into text that a person may read: decoded, cleaned, redacted, and cut to an excerpt.
//!
//! Pure: no file, no clock. The order matters and is the same for every file: decode (the encoding is decided at a file's
//! start and kept), take out escapes and control characters, drop the lines that a rule ignores, take out secrets, and
//! only then make fingerprints and excerpt. So no secret reaches the spool by any way.
//!
//! What comes in is bounded by the reader (at most two windows of [`crate::read::WINDOW`]); what goes out by [`Excerpt`].
//! Any bytes at all give a text; nothing in here can fail.

mod redact;
#[cfg(test)]
mod tests;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use olog_proto::fingerprint::fingerprints;
use olog_proto::name::is_unprintable;
use olog_proto::{Excerpt, FingerprintText};
use regex::Regex;

pub use redact::Redactor;

/// New bytes of a file: all of them in `head`, or its two ends.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bytes<'a> {
    /// The first, or all.
    pub head: &'a [u8],
    /// How many were not read.
    pub between: u64,
    /// The last, if any were left out.
    pub tail: &'a [u8],
    /// They begin at the file's start.
    pub from_start: bool,
}

/// What an operator wants of this file's text.
#[derive(Debug, Clone, Copy)]
pub struct Manner<'a> {
    /// The configured encoding, for text that is neither UTF-8 nor UTF-16.
    pub encoding: Option<&'static Encoding>,
    /// Lines that say nothing.
    pub ignore: &'a [Regex],
    /// What must not be said.
    pub redactor: &'a Redactor,
}

/// What the bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// For a person.
    pub excerpt: Excerpt,
    /// For telling errors apart.
    pub fingerprints: Vec<FingerprintText>,
    /// To keep for the rest of the file; none while everything was ASCII.
    pub encoding: Option<&'static Encoding>,
}

impl Said {
    /// Nothing but white space, once ignored lines are gone?
    pub fn is_blank(&self) -> bool {
        self.excerpt.is_blank() && self.fingerprints.is_empty()
    }
}

/// Reads the bytes of one event; `kept` is the encoding that was decided at the file's start.
pub fn say(bytes: Bytes<'_>, kept: Option<&'static Encoding>, manner: Manner<'_>) -> Said {
    let whole = bytes.between == 0;
    let by_head = || decide(bytes.head, !whole, manner.encoding);
    let encoding = kept.or_else(by_head).or_else(|| decide(bytes.tail, false, manner.encoding));
    let with = encoding.unwrap_or(UTF_8);
    let read = |text: String, cut_start| manner.redactor.redact(&drop_ignored(clean(&text), manner.ignore), cut_start);
    let head = if bytes.from_start { without_bom(bytes.head, with) } else { bytes.head };
    let head = read(decode(head, with, !whole), false);
    let tail = if whole { String::new() } else { read(decode(sync(bytes.tail, with), with, false), true) };
    let text = head.trim_start_matches(['\n', ' ', '\t']);
    let text = if whole { text.trim_end() } else { text };
    let mut found = fingerprints(text);
    if !whole {
        for more in fingerprints(&tail) {
            if found.len() < olog_proto::FINGERPRINTS_MAX && !found.contains(&more) {
                found.push(more);
            }
        }
    }
    Said { excerpt: Excerpt::around(text, bytes.between, tail.trim_end()), fingerprints: found, encoding }
}

/// Bytes up to and with the last line end: what a file that is still open has finished.
pub fn finished(bytes: &[u8], encoding: Option<&'static Encoding>) -> usize {
    let wide = encoding.filter(|e| *e == UTF_16LE || *e == UTF_16BE);
    match wide {
        None => bytes.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1),
        Some(encoding) => {
            let line_end = if encoding == UTF_16LE { [b'\n', 0] } else { [0, b'\n'] };
            bytes.chunks_exact(2).rposition(|pair| pair == line_end).map_or(0, |i| (i + 1) * 2)
        }
    }
}

/// The encoding of a file that starts like this, perhaps `cut` in the middle of a character; none while it is all ASCII.
pub fn decide(start: &[u8], cut: bool, configured: Option<&'static Encoding>) -> Option<&'static Encoding> {
    if let Some((encoding, _)) = Encoding::for_bom(start) {
        return Some(encoding);
    }
    if let Some(wide) = wide_by_nuls(start) {
        return Some(wide);
    }
    if start.is_ascii() {
        return None;
    }
    if decodes(start, cut, UTF_8) {
        return Some(UTF_8);
    }
    if let Some(encoding) = configured.filter(|encoding| decodes(start, cut, encoding)) {
        return Some(encoding);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(start, true);
    // Short texts are ambiguous; without the hint GBK is taken for a Western or Cyrillic code page.
    Some(detector.guess(Some(b"cn"), Utf8Detection::Deny))
}

/// UTF-16 without a mark: NULs at one parity only, the other half of every ASCII character.
fn wide_by_nuls(start: &[u8]) -> Option<&'static Encoding> {
    let start = start.get(..start.len() & !1).unwrap_or_default();
    let (mut even, mut odd) = (0, 0);
    for pair in start.chunks_exact(2) {
        even += usize::from(pair.first() == Some(&0));
        odd += usize::from(pair.last() == Some(&0));
    }
    let (encoding, nuls, line_end) = match (even, odd) {
        (0, 1..) => (UTF_16LE, odd, [b'\n', 0]),
        (1.., 0) => (UTF_16BE, even, [0, b'\n']),
        _ => return None,
    };
    let of_ten = nuls * 10 / (start.len() / 2);
    // Text of another script has NULs at its line ends and spaces only; a stray NUL in other bytes is no proof.
    let is_wide = || {
        of_ten >= 7
            || (!decodes(start, true, UTF_8) && (of_ten >= 1 || start.chunks_exact(2).any(|pair| pair == line_end)))
    };
    (is_wide() && decodes(start, true, encoding)).then_some(encoding)
}

/// Without an error, save perhaps a character that the window cut at its end?
fn decodes(bytes: &[u8], cut: bool, encoding: &'static Encoding) -> bool {
    if encoding == UTF_8 {
        return std::str::from_utf8(bytes).map_or_else(|e| cut && e.error_len().is_none(), |_| true);
    }
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut out = String::with_capacity(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or_default());
    !decoder.decode_to_string(bytes, &mut out, !cut).2
}

fn without_bom<'a>(bytes: &'a [u8], encoding: &'static Encoding) -> &'a [u8] {
    match Encoding::for_bom(bytes) {
        Some((marked, length)) if marked == encoding => bytes.get(length..).unwrap_or_default(),
        _ => bytes,
    }
}

/// Decodes; a character that is cut off at the end of a window (`cut`) is left out, any other wrong byte becomes U+FFFD.
fn decode(bytes: &[u8], encoding: &'static Encoding, cut: bool) -> String {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut out = String::with_capacity(decoder.max_utf8_buffer_length(bytes.len()).unwrap_or_default());
    let (_result, _read, _errors) = decoder.decode_to_string(bytes, &mut out, !cut);
    out
}

/// The tail window from a place where a character certainly begins.
fn sync<'a>(tail: &'a [u8], encoding: &'static Encoding) -> &'a [u8] {
    let skip = if encoding == UTF_16LE || encoding == UTF_16BE {
        // The reader cuts at even offsets.
        0
    } else if encoding == UTF_8 {
        tail.iter().take(3).take_while(|&&b| b & 0xc0 == 0x80).count()
    } else {
        // In every multi-byte code page, bytes below 0x30 are themselves: spaces, line ends, punctuation.
        tail.iter().take(4096).position(|&b| b < 0x30).unwrap_or(0)
    };
    tail.get(skip..).unwrap_or_default()
}

/// Takes out what moves a terminal: escape sequences, controls, marks that turn the direction of writing.
fn clean(text: &str) -> String {
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
        // Strings of the terminal's own (titles, links) end with BEL or ST, on their line.
        ']' | 'P' | 'X' | '^' | '_' => {
            let line = rest.split('\n').next().unwrap_or_default();
            let end = line.find('\x07').map(|i| i + 1).into_iter().chain(line.find("\x1b\\").map(|i| i + 2)).min();
            end.and_then(|end| rest.get(end..)).unwrap_or(rest)
        }
        ' '..='/' => rest.strip_prefix(|c: char| matches!(c, '0'..='~')).unwrap_or(rest),
        '0'..='~' => rest,
        _ => text,
    }
}

fn after_csi(text: &str) -> &str {
    let parameters = text.find(|c: char| !matches!(c, ' '..='?')).unwrap_or(text.len());
    let rest = text.get(parameters..).unwrap_or_default();
    rest.strip_prefix(|c: char| matches!(c, '@'..='~')).unwrap_or(rest)
}

fn drop_ignored(text: String, ignore: &[Regex]) -> String {
    if ignore.is_empty() {
        return text;
    }
    let said = |line: &&str| !ignore.iter().any(|regex| regex.is_match(line.trim_end_matches('\n')));
    text.split_inclusive('\n').filter(said).collect()
}

//! Turns bytes of a log file into text for a person: decoded, cleaned, without secrets, and cut to an excerpt.
//!
//! The order is the same for every file: decode, remove escape sequences and control characters, drop the lines that a rule
//! ignores, remove secrets, and only then make fingerprints and the excerpt. So no secret reaches the spool on any path.
//!
//! The encoding is decided once, where a file first has a non-ASCII byte, and kept for the rest of the file: a byte order mark;
//! `encoding = "utf-8"`; UTF-16 by its NULs; UTF-8 if its non-ASCII bytes are almost all well-formed UTF-8 (a broken character
//! becomes U+FFFD); the key `encoding`; else detection with the hint of Chinese. A window that begins inside a character is
//! aligned before anything is guessed.
//!
//! Pure: no file, no clock. The reader bounds what comes in (two windows of [`crate::read::WINDOW`], and what stands before them),
//! [`Excerpt`] bounds what goes out. Any bytes give a text, in time that grows with their number and not with its square.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use olog_proto::clean::log_text;
use olog_proto::fingerprint::fingerprints;
use olog_proto::{Excerpt, FingerprintText};
use regex::Regex;

pub use olog_proto::redact::{Before, Redactor, Secret};

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
    /// What stands in the file right before `head`, told before: a secret may have begun there.
    pub before: &'a [u8],
}

/// What an operator wants of this file's text.
#[derive(Debug, Clone, Copy)]
pub struct TextOptions<'a> {
    /// The configured encoding, for text that is neither UTF-8 nor UTF-16.
    pub encoding: Option<&'static Encoding>,
    /// Lines that say nothing.
    pub ignore: &'a [Regex],
    /// What must not be said.
    pub redactor: &'a Redactor,
}

/// What the bytes say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CleanText {
    /// For a person.
    pub excerpt: Excerpt,
    /// For telling errors apart.
    pub fingerprints: Vec<FingerprintText>,
    /// To keep for the rest of the file; none while everything was ASCII.
    pub encoding: Option<&'static Encoding>,
    /// What a rule or a redaction has taken out.
    pub removed: Removed,
}

/// What was taken out of a text before it was told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// Lines that a rule ignores.
    pub n_lines: usize,
    /// The kinds of secrets that were found.
    pub secrets: Vec<Secret>,
}

impl CleanText {
    /// Nothing but white space, once ignored lines are gone?
    pub fn is_blank(&self) -> bool {
        self.excerpt.is_blank() && self.fingerprints.is_empty()
    }
}

/// Reads the bytes of one event; `kept` is the encoding that was decided at the file's start.
pub fn clean_text(bytes: Bytes<'_>, kept: Option<&'static Encoding>, manner: TextOptions<'_>) -> CleanText {
    let whole = bytes.between == 0;
    let by_head = || decide(bytes.head, Cut { start: !bytes.from_start, end: !whole }, manner.encoding);
    let by_tail = || decide(bytes.tail, Cut { start: true, end: false }, manner.encoding);
    // An operator who names UTF-8 means it, whatever was guessed before the key was set.
    let named = manner.encoding.filter(|encoding| *encoding == UTF_8 && kept.is_some_and(is_code_page));
    let encoding = named.or(kept).or_else(by_head).or_else(by_tail);
    let with = encoding.unwrap_or(UTF_8);
    let mut removed = Removed::default();
    let mut redacted = |text: String, before: &Before| {
        let (text, n_lines) = drop_ignored(log_text(&text), manner.ignore);
        let (text, secrets) = manner.redactor.redact_named(&text, before);
        removed.n_lines += n_lines;
        removed.secrets.extend(secrets);
        text
    };
    let head = match bytes.from_start {
        true => without_bom(bytes.head, with),
        false if with == UTF_8 => aligned(bytes.head, with),
        false => bytes.head,
    };
    let before = Before::of(&log_text(&decode(aligned(bytes.before, with), with, true)));
    let head = redacted(decode(head, with, !whole), &before);
    let tail = match whole {
        true => String::new(),
        false => redacted(decode(aligned(bytes.tail, with), with, false), &Before::Unknown),
    };
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
    removed.secrets.sort_unstable();
    removed.secrets.dedup();
    CleanText { excerpt: Excerpt::around(text, bytes.between, tail.trim_end()), fingerprints: found, encoding, removed }
}

fn is_code_page(encoding: &'static Encoding) -> bool {
    ![UTF_8, UTF_16LE, UTF_16BE].contains(&encoding)
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

/// Where a window of a file may begin or end inside a character.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cut {
    /// At its beginning.
    pub start: bool,
    /// At its end.
    pub end: bool,
}

/// The encoding of a file of which this is the first part that says one; none while it is all ASCII.
pub fn decide(part: &[u8], cut: Cut, configured: Option<&'static Encoding>) -> Option<&'static Encoding> {
    if let Some((encoding, _)) = Encoding::for_bom(part).filter(|_| !cut.start) {
        return Some(encoding);
    }
    if configured == Some(UTF_8) {
        return configured;
    }
    if let Some(wide) = wide_by_nuls(part) {
        return Some(wide);
    }
    if part.is_ascii() {
        return None;
    }
    let aligned_to = |encoding| if cut.start { aligned(part, encoding) } else { part };
    if is_mostly_utf8(aligned_to(UTF_8), cut.end) {
        return Some(UTF_8);
    }
    let part = aligned_to(encoding_rs::GBK);
    if let Some(encoding) = configured.filter(|encoding| decodes(part, cut.end, encoding)) {
        return Some(encoding);
    }
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(part, true);
    // Short texts are ambiguous; without the hint GBK is taken for a Western or Cyrillic code page. With it, Big5 and Shift JIS are taken
    // for GBK, and make characters of it that no text has.
    let guesses = [b"cn", b"tw", b"jp"].map(|hint| detector.guess(Some(hint), Utf8Detection::Deny));
    let fits = |encoding: &&'static Encoding| {
        let text = decode(part, encoding, cut.end);
        let is_chinese = [encoding_rs::GBK, encoding_rs::GB18030].contains(encoding);
        !text.contains(|c| matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{fffd}'))
            && (!is_chinese || is_common_chinese(part))
    };
    guesses.iter().copied().find(|guess| fits(guess)).or(guesses.first().copied())
}

/// Of text in GBK: are most characters among those of GB 2312, as all common ones are? Kana of Shift JIS are not.
fn is_common_chinese(part: &[u8]) -> bool {
    let (mut n, mut n_common, mut bytes) = (0, 0, part.iter());
    while let Some(lead) = bytes.next() {
        if *lead > 0x80 {
            n += 1;
            n_common += usize::from(bytes.next().is_some_and(|trail| *lead > 0xa0 && *trail > 0xa0));
        }
    }
    2 * n_common >= n
}

/// Are almost all non-ASCII bytes part of well-formed UTF-8? Each broken place counts once. Text of a Chinese code page has about a fifth of them by accident, nearly
/// all in sequences of two bytes; so longer sequences, which every Chinese character in UTF-8 is, count twice.
fn is_mostly_utf8(bytes: &[u8], cut_end: bool) -> bool {
    let (mut well, mut ill, mut at) = (0, 0, 0);
    for chunk in bytes.utf8_chunks() {
        well += chunk
            .valid()
            .chars()
            .map(|c| if c.len_utf8() > 2 { 2 * c.len_utf8() } else { c.len_utf8() & 2 })
            .sum::<usize>();
        at += chunk.valid().len() + chunk.invalid().len();
        // A character that the window cuts at its end is not broken.
        let is_cut = cut_end && at == bytes.len() && decodes(chunk.invalid(), true, UTF_8);
        ill += usize::from(!is_cut && !chunk.invalid().is_empty());
    }
    well >= 4 * ill
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

/// A window from a place where a character certainly begins.
fn aligned<'a>(window: &'a [u8], encoding: &'static Encoding) -> &'a [u8] {
    let skip = if encoding == UTF_16LE || encoding == UTF_16BE {
        // The reader cuts at even offsets.
        0
    } else if encoding == UTF_8 {
        window.iter().take(3).take_while(|&&b| b & 0xc0 == 0x80).count()
    } else {
        // In every multi-byte code page, bytes below 0x30 are themselves: spaces, line ends, punctuation.
        window.iter().take(4096).position(|&b| b < 0x30).unwrap_or(0)
    };
    window.get(skip..).unwrap_or_default()
}

/// The text without the lines that a rule ignores, and how many these are.
fn drop_ignored(text: String, ignore: &[Regex]) -> (String, usize) {
    if ignore.is_empty() {
        return (text, 0);
    }
    let is_ignored = |line: &str| ignore.iter().any(|regex| regex.is_match(line.trim_end_matches('\n')));
    let mut n = 0;
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if is_ignored(line) {
            n += 1;
        } else {
            kept.push_str(line);
        }
    }
    (kept, n)
}

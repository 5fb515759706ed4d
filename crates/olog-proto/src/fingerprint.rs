//! Fingerprints: what remains of an error without times, numbers, ids and paths. Two events with the same fingerprint are the
//! same error (deduplication).
//!
//! The same error a minute later must count as the same, a different error as different, and a block that was split because
//! its writer paused as the same. So each line is judged by itself: lines that only say where (stack frames, the head of a traceback)
//! are left out (`frames`), the others are reduced to the words that do not change (`reduce`, `times`), and the hub uses a
//! hash of those words as its key.
//!
//! The agent reduces, because only it has the whole text and must choose the first [`FINGERPRINTS_MAX`] distinct lines. The hub reduces
//! again what it gets, so that a newer hub improves the fingerprints of older agents. Reducing twice changes nothing.

mod frames;
mod reduce;
#[cfg(test)]
mod tests;
mod times;
mod token;

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{FINGERPRINT_TEXT_MAX, FINGERPRINTS_MAX};

/// The reduced text of one line of an error: at most [`FINGERPRINT_TEXT_MAX`] characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FingerprintText(String);

impl FingerprintText {
    /// Reduces one line.
    pub fn of(line: &str) -> FingerprintText {
        FingerprintText(reduce::reduced(line))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Nothing but numbers, paths and marks: it tells no error from another.
    fn is_nothing(&self) -> bool {
        self.0 == reduce::NOTHING
    }

    /// What the hub keys by: reduced once more, by the rules of this build.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(
            Sha256::digest(reduce::reduced(&self.0).as_bytes()).iter().take(8).fold(0, |v, b| v << 8 | u64::from(*b)),
        )
    }
}

impl TryFrom<String> for FingerprintText {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.len() > FINGERPRINT_TEXT_MAX && text.chars().nth(FINGERPRINT_TEXT_MAX).is_some() {
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

/// 64 bits of a line's reduced text.
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
    let mut found: Vec<FingerprintText> = Vec::new();
    for reduced in frames::message_lines(text).map(FingerprintText::of) {
        if found.len() == FINGERPRINTS_MAX {
            break;
        }
        if !reduced.is_nothing() && !found.contains(&reduced) {
            found.push(reduced);
        }
    }
    // A piece of a stack, or numbers alone: an error all the same, though it tells itself from no other.
    if found.is_empty() && !text.trim().is_empty() {
        found.push(FingerprintText(reduce::NOTHING.to_owned()));
    }
    found
}

/// Which parts of a line are no part of its fingerprint: times, dates, numbers, ids, paths. Ascending ranges of bytes, none
/// touching the next.
pub fn taken_out(line: &str) -> Vec<Range<usize>> {
    reduce::taken_out(line)
}

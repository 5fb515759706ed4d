//! What is tried on the text of a log: a function that takes any bytes, and fails only if an invariant is broken (`docs/fuzzing.md`).

use olog_proto::name::is_unprintable;

use super::{Bytes, Redactor, TextOptions, clean_text};

/// A log file in any encoding; the first byte says how much of it was told before, and whether a configured encoding is there.
pub fn decoding(bytes: &[u8]) {
    let (Some(first), Some(rest)) = (bytes.first(), bytes.get(1..)) else { return };
    let (before, head) = rest.split_at(usize::from(first & 0x1f).min(rest.len()));
    let redactor = Redactor::default();
    let encoding = [None, Some(encoding_rs::GBK), Some(encoding_rs::UTF_8), Some(encoding_rs::SHIFT_JIS)];
    let encoding = encoding.get(usize::from(first >> 6)).copied().flatten();
    let options = TextOptions { encoding, ignore: &[], redactor: &redactor };
    let whole = Bytes { head, from_start: before.is_empty(), before, ..Bytes::default() };
    let two_ends = Bytes { between: 1, tail: before, ..whole };
    for bytes in [whole, two_ends] {
        let cleaned = clean_text(bytes, None, options);
        let is_bad = |c: char| is_unprintable(c) && !matches!(c, '\n' | '\t');
        assert!(!cleaned.excerpt.head().contains(is_bad) && !cleaned.excerpt.tail().contains(is_bad));
        // What was decided for the file is kept, and read again.
        let again = clean_text(bytes, cleaned.encoding, options);
        assert!(again.encoding == cleaned.encoding || cleaned.encoding.is_none());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_decoder_breaks_an_invariant_on_its_corpus_and_what_lies_near_it() {
        crate::corpora::run("decoding", decoding);
    }
}

//! What is tried on the decoders of this crate: each function takes any bytes, and fails only if an invariant is broken.
//!
//! It is compiled for tests and for cargo-fuzz only. `docs/fuzzing.md` says how to run it.

use std::path::Path;

use crate::{
    config::{parse_size, parse_span, read_text, show_span},
    original::OldConfig,
};

/// The configuration of olog.py: it is read, or what is wrong is said in one line.
pub fn old_config(bytes: &[u8]) {
    if let Err(error) = OldConfig::parse(Path::new("olog.cfg"), bytes) {
        assert!(!error.to_string().is_empty());
    }
}

/// A configuration file in which no key is known: every finding names its file, and what stands in it is not shown whole.
pub fn config_text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(invalid) = read_text("x.toml", &text, |_| ()) {
        // A character may be two mistakes: it is no TOML, and what stands for it is no known key.
        assert!(!invalid.0.is_empty() && invalid.0.len() <= 2 * (text.len() + 1));
        assert!(!invalid.to_string().is_empty());
    }
    for word in text.split_whitespace() {
        if let Ok(span) = parse_span(word) {
            assert_eq!(parse_span(&show_span(span)), Ok(span));
        }
        assert!(parse_size(word) != Ok(0) || word.starts_with('0'));
    }
}

#[cfg(test)]
#[path = "../../../fuzz/corpora.rs"]
mod corpora;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_decoder_breaks_an_invariant_on_its_corpus_and_what_lies_near_it() {
        corpora::run("old_config", old_config);
        corpora::run("config_text", config_text);
    }
}

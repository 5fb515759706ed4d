//! What is tried on the decoders of this crate: each function takes any bytes, and fails only if an invariant is broken.
//!
//! It is compiled for tests and for cargo-fuzz only. `docs/fuzzing.md` says how to run it.

use std::path::Path;

use olog_daemon::config::read_text;

pub use crate::net::fuzz::old_report;

use crate::config::Config;

/// The hub's configuration: it is read, or each mistake is said.
pub fn hub_config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(invalid) = read_text("hub.toml", &text, |root| Config::parse(root, Path::new("/etc/olog"))) {
        assert!(!invalid.0.is_empty() && !invalid.to_string().is_empty());
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
        corpora::run("hub_config", hub_config);
        corpora::run("old_report", old_report);
    }
}

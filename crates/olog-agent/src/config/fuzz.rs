//! What is tried on the configuration: a function that takes any bytes, and fails only if an invariant is broken (`docs/fuzzing.md`).

use std::path::Path;

use olog_daemon::config::read_text;

/// The agent's configuration: it is read, or each mistake is said.
pub fn agent_config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Err(invalid) = read_text("agent.toml", &text, |root| super::parse(root, Path::new("/etc/olog"))) {
        assert!(!invalid.0.is_empty() && !invalid.to_string().is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_decoder_breaks_an_invariant_on_its_corpus_and_what_lies_near_it() {
        crate::corpora::run("agent_config", agent_config);
    }
}

//! What is tried on the decoders of this crate: the function takes any bytes, and fails only if an invariant is broken.
//!
//! It is compiled for tests and for cargo-fuzz only. `docs/fuzzing.md` says how to run it.

pub use crate::described::fuzz::answers;

#[cfg(test)]
#[path = "../../../fuzz/corpora.rs"]
mod corpora;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_decoder_breaks_an_invariant_on_its_corpus_and_what_lies_near_it() {
        corpora::run("answers", answers);
    }
}

//! The parts into which a line is cut before it is reduced.

/// What a part of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It stays.
    Word,
    /// It is another one when the same error comes again.
    Changes,
    /// Punctuation.
    Mark,
}

/// A part of a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Where it begins in the line, in bytes.
    pub(super) at: usize,
}

impl Token<'_> {
    /// Where it ends in the line, in bytes.
    pub(super) fn end(&self) -> usize {
        self.at + self.text.len()
    }
}

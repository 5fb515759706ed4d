//! The registry of configuration keys: one row for each key.
//!
//! Whoever reads a table declares its rows first ([`super::Table::declare`]). From the rows follow: which keys are known and which
//! known key an unknown one resembles; the default and the bounds of a value; what is missing; the effective configuration that
//! `check` prints; and the reference in the book (`configuration.md`, both languages). A key that is read without a row is a mistake in every
//! configuration, so any test finds it; [`super::Table::unread`] names the rows that nobody reads.
//!
//! Must not: parse a value. That is done by whoever reads the key.

use std::time::Duration;

/// A row of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// The key with its tables, joined by dots: `alerts.offline_after`. A `*` is any name.
    pub path: &'static str,
    /// What may stand there.
    pub kind: Kind,
    /// What holds when the key is absent.
    pub default: Absent,
    /// The version that has it first.
    pub since: &'static str,
    /// One line for the reference: what it is for.
    pub doc: &'static str,
}

/// What may stand in a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text; the reader says which.
    Text,
    /// A text that is a secret: it is never shown as it was typed.
    Hidden,
    /// A secret as `KEY`, or in the file that `KEY_file` names.
    Secret,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A path.
    Path,
    /// A span of time, at least this long.
    Span(Duration),
    /// A number of bytes, at least this many.
    Size(u64),
    /// A whole number from … to ….
    Int(i64, i64),
    /// `true` or `false`.
    Bool,
    /// A list of texts.
    Texts,
    /// One text, or a list of texts.
    OneOrTexts,
    /// A list of whole numbers.
    Ints,
    /// A list of names and of tables with a `name`.
    Named,
    /// Any value.
    Any,
    /// A table with free keys, whose values are texts.
    Map,
    /// `[key]`.
    Table,
    /// `[[key]]`.
    Tables,
}

/// What holds when a key is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// Nothing.
    Unset,
    /// This value, as TOML has it.
    Is(&'static str),
    /// What the program finds out, in words.
    Found(&'static str),
    /// It must not be absent; what is expected, in words.
    Wrong(&'static str),
}

impl Key {
    /// The name of this key in the table `prefix`; `None` if it is not directly in it.
    pub(super) fn name_in(&self, prefix: &str) -> Option<&'static str> {
        let name = match prefix {
            "" => self.path,
            prefix => self.path.strip_prefix(prefix)?.strip_prefix('.')?,
        };
        (!name.contains('.')).then_some(name)
    }
}

/// For people: `a span of time from 1s`.
impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = match self {
            Kind::Choice(words) => {
                let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
                return f.write_str(&words.join(" or "));
            }
            Kind::Span(least) if !least.is_zero() => {
                return write!(f, "time span from {}", super::units::show_span(*least));
            }
            Kind::Size(least) if *least > 0 => return write!(f, "size from {}MiB", least >> 20),
            Kind::Int(from, i64::MAX) => return write!(f, "whole number from {from}"),
            Kind::Int(from, to) => return write!(f, "whole number from {from} to {to}"),
            Kind::Text => "text",
            Kind::Hidden => "text, secret",
            Kind::Secret => "secret, or `…_file`",
            Kind::Path => "path",
            Kind::Span(_) => "time span",
            Kind::Size(_) => "size",
            Kind::Bool => "true or false",
            Kind::Texts => "list of texts",
            Kind::OneOrTexts => "text or list of texts",
            Kind::Ints => "list of whole numbers",
            Kind::Named => "list of names and tables",
            Kind::Any => "any value",
            Kind::Map => "table of texts",
            Kind::Table => "table",
            Kind::Tables => "tables",
        };
        f.write_str(words)
    }
}

/// Rows of the registry: one line of documentation, then `path, kind, default, since;` with the names of [`Kind`] and [`Absent`].
#[macro_export]
macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $path:literal, $kind:expr, $default:expr, $since:literal;)*) => {{
        use $crate::config::{Absent::*, Kind::*};
        &[$($crate::config::Key {
            path: $path,
            kind: $kind,
            default: $default,
            since: $since,
            doc: concat!($($doc),+),
        }),*]
    }};
}

//! Spans of time and numbers of bytes, as people write them.

use std::time::Duration;

pub(super) const SPAN: &str = "a span of time like \"100ms\", \"60s\", \"10m\", \"12h\" or \"7d\"";
pub(super) const SIZE: &str = "a size like \"1GiB\", \"500MB\" or a number of bytes";

/// Reads a span of time.
pub fn parse_span(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|_| format!("expected {SPAN}, found {text:?}"))
}

/// As [`parse_span`] reads it.
pub fn show_span(span: Duration) -> String {
    humantime::format_duration(span).to_string()
}

/// Reads a number of bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 9] = [
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("b", 1),
    ];
    let lower = text.trim().to_ascii_lowercase();
    let (digits, unit) =
        UNITS.iter().find_map(|(unit, n)| lower.strip_suffix(unit).map(|d| (d, *n))).unwrap_or((&lower, 1));
    // A number alone: Rust would read a sign before it.
    let digits = digits.trim();
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = if is_number { digits.parse::<u64>().ok() } else { None };
    number.and_then(|n| n.checked_mul(unit)).ok_or_else(|| format!("expected {SIZE}, found {text:?}"))
}

//! The thresholds by which incidents open, close and are notified, with their defaults.

use chrono_tz::Tz;

use super::{HOUR, MINUTE};

/// The thresholds of `[alerts]`. Durations are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertPolicy {
    /// A log that grows proves health when no error came for this long.
    pub resolve_after: i64,
    /// An inferred recovery is confirmed after this long without a new error.
    pub over_wait: i64,
    /// An open incident is notified again after this long.
    pub remind_every: i64,
    /// New fingerprints that are pushed at once, in any hour.
    pub new_errors_per_hour: u32,
    /// The number of errors in a row from which an incident is notified; it begins with the first error.
    pub errors_in_a_row: u32,
    /// The time zone whose days the 30-day history counts.
    pub zone: Tz,
}

impl Default for AlertPolicy {
    fn default() -> Self {
        AlertPolicy {
            resolve_after: HOUR,
            over_wait: MINUTE,
            remind_every: 24 * HOUR,
            new_errors_per_hour: 5,
            errors_in_a_row: 1,
            zone: Tz::UTC,
        }
    }
}

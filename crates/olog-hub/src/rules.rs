//! Pure decisions: facts, policy and `now` go in; the rows and notifications to write come out.
//!
//! Nothing in this room knows the store, the clock or any IO, so every rule is tested as a table of cases.

pub mod access;
pub mod address_limit;
pub mod alert;
pub mod budget;
pub mod device_name;
pub mod expect;
pub mod ghosts;
pub mod incident;
pub mod incident_link;
pub mod liveness;
pub mod ping;
pub mod quiet;
pub mod quota;
pub mod report;
pub mod silence;
pub mod state;

/// An acknowledgement holds reminders of an incident or of a missed task back for at most this long, in milliseconds: 7 days.
const ACKNOWLEDGED_FOR: i64 = 7 * 24 * 60 * 60 * 1000;

//! Pure decisions: facts, policy and `now` go in; the rows and notifications to write come out.
//!
//! Nothing in this room knows the store, the clock or any IO, so every rule is tested as a table of cases.

pub mod budget;
pub mod expect;
pub mod ghosts;
pub mod incident;
pub mod liveness;
pub mod quiet;
pub mod report;
pub mod schedule;
pub mod silence;
pub mod state;

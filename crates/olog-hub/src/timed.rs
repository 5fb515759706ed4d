//! The workers that the clock wakes: what fell due, the daily report, and the retention of old rows.
//!
//! Each of them acts on due instants in the store, so that a restart forgets and postpones none.

pub mod reporter;
pub mod retention;
pub mod watchman;

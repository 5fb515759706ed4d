//! The workers that the clock wakes: what is due (`watchman`), the daily report (`reporter`), removal of old rows (`retention`),
//! the index of the search (`indexer`).
//!
//! Each acts on due instants in the store, so a restart forgets and postpones none. Each runs its duties on their own and reports
//! them to `olog_daemon::workers`.

pub mod indexer;
pub mod reporter;
pub mod retention;
pub mod watchman;

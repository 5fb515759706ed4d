//! The daemon on every device: reads log files, sends events to the hub. `docs/ARCHITECTURE.md` has the path of an event.

pub mod agent;
pub mod boot;
pub mod cli;
pub mod config;
#[cfg(test)]
#[path = "../../../fuzz/corpora.rs"]
mod corpora;
pub mod dial;
pub mod exec;
pub mod fallback;
pub mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzz {
    //! What is tried on the decoders of this crate, for cargo-fuzz.

    pub use crate::{config::fuzz::agent_config, text::fuzz::decoding};
}
pub mod identity;
pub mod jobs;
pub mod join;
pub mod kept;
pub mod read;
pub mod runs;
pub mod sandbox;
pub mod settle;
pub mod socket;
pub mod spool;
pub mod sweep;
pub mod text;
pub mod uplink;
pub mod watch;

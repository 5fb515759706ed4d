//! The network side of the hub: ports and TLS, the sessions of devices, and how a device gets its identity.
//!
//! This room turns bytes into events and verdicts into frames. It decides nothing about incidents and holds no SQL.

pub mod enrol;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod identity;
pub mod legacy;
pub mod listener;
pub mod packages;
pub mod session;
pub mod sessions;

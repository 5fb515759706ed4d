//! Tests on booted machines: Debian with its own systemd, the packages as a user installs them, and a phone on the network.
//!
//! `cargo xtask test --only system` makes the Debian and the packages. Each test is marked as ignored, so that on a host that cannot boot machines it
//! counts as ignored, never as passed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic here is a failed test"
)]

mod ansible;
mod crashes;
mod disks;
mod install;
mod installed;
mod joining;
mod machine;
mod network;
mod packages;
mod places;
mod reload;
mod site;
mod story;
mod units;

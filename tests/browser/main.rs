//! What people see and do in a real browser, with a real hub and real agents: the pages of the hub, its API, and the phone's links.
//!
//! `cargo xtask test` installs Chromium and its driver, axe-core and schemathesis. Where one of them is missing, the tests that need it say so and
//! do not run. Pictures of every page are in `target/screenshots` afterwards.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod api;
mod browser;
mod keyboard;
mod live;
mod looks;
mod site;
mod stories;

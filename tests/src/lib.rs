//! Building blocks of the journeys, which test the whole path with real parts: real daemons as processes, real files, sockets and TLS, and a
//! [`Phone`] that refuses what the service would refuse.
//!
//! A test builds a [`World`](world::World), does what a user does or what goes wrong at night, and waits for what a user would see: a push, an
//! incident, a status. It waits for conditions with a generous limit and asserts no wall-clock time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "all of this is test code: a panic is a failed test"
)]

pub mod daemon;
pub mod old_client;
pub mod phone;
pub mod proxy;
pub mod world;

pub use phone::{Habit, Phone, Push};

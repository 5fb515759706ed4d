//! Journeys: the whole road with real parts. Real daemons as processes of their own, real files, sockets and TLS, and a
//! [`Phone`] that refuses what the service would refuse.
//!
//! A test builds a [`World`](world::World), does what a user or a bad night does, and waits for what a person would see: a push, an
//! incident, a status. It waits for conditions with a generous limit and asserts no wall-clock time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "all of this is test code: a panic is a failed test"
)]

pub mod daemon;
pub mod nginx;
pub mod phone;
pub mod world;

pub use phone::{Habit, Phone, Push};

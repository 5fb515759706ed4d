//! What the journeys need: a [`phone`] that refuses what the push service would refuse.

pub mod phone;

pub use phone::{Habit, Phone};

//! The daemon in the middle: devices in, incidents and notifications out.

pub mod absence;
pub mod bell;
pub mod cli;
pub mod config;
pub mod enrol;
pub mod failed;
pub mod hub;
pub mod incident;
pub mod ingest;
pub mod listener;
pub mod outbox;
pub mod person;
pub mod probe;
pub mod pulse;
pub mod record;
pub mod report;
pub mod reporter;
pub mod roster;
pub mod schedule;
pub mod session;
pub mod socket;
pub mod state;
pub mod store;
pub mod watchman;
pub mod web;

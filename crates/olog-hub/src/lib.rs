//! The Olog hub: collects events from devices, opens and closes incidents, sends notifications.
//!
//! The folders are rooms. A room uses the rooms above it in this list and never one below it:
//!
//! | room | holds |
//! |---|---|
//! | `rules` | pure decisions: no store, no clock, no IO |
//! | `config` | `hub.toml`, from as typed to trusted |
//! | `store` | the only SQL |
//! | `apply` | decisions become rows |
//! | `ingest`, `outbox` | events in, notifications out |
//! | `net` | ports, TLS, sessions, enrolment |
//! | `stream` | changes, told to those who watch |
//! | `timed` | work that the clock brings: what is due, the report, retention |
//! | `web` | pages and the HTTP API |
//! | `admin` | verbs on the Unix socket, setup, channel test, crash report |
//! | `hub` | the wiring: start, reload, stop |
//! | `cli`, `simulate` | the command line; a simulation that runs the same workers with a manual clock |
//!
//! `bell` (a wake-up without content) and `journal` (log lines written after a commit) belong to no room.

pub mod access;
pub mod admin;
pub mod apply;
pub mod bell;
pub mod cli;
pub mod config;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod hub;
pub mod ingest;
pub mod journal;
pub mod net;
pub mod outbox;
pub mod rules;
pub mod simulate;
pub mod store;
pub mod stream;
pub mod timed;
pub mod web;

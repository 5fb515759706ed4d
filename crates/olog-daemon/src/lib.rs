//! What both daemons share, so that an operator meets each of it once.
//!
//! `config` reads configuration files and reports their mistakes; `secret` holds passwords and tokens; `clock` is wall time; `log`
//! writes the daemon's own log; `socket` carries the verbs of a running daemon; `failure` says what a worker does about an
//! error; `workers` and `pulse` say how each worker is; `service` talks to the service manager; `original` reads what the program
//! before Olog left on a machine.
//!
//! Nothing in this crate knows what an agent or a hub does.

pub mod clock;
pub mod config;
pub mod failure;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod log;
pub mod original;
pub mod pulse;
pub mod secret;
pub mod service;
pub mod socket;
pub mod workers;

//! What the two daemons have in common, so that an operator meets it once: how a configuration file is read and its
//! mistakes are told (`config`), secrets (`secret`), the clock (`clock`), where logs go (`log`), the Unix socket on which
//! the verbs speak to a running daemon (`socket`), who still works (`pulse`), and what the service manager is told (`service`).
//!
//! Nothing in here knows what an agent or a hub does.

pub mod clock;
pub mod config;
pub mod log;
pub mod pulse;
pub mod secret;
pub mod service;
pub mod socket;

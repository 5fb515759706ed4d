//! What an operator on the hub's machine uses: the verbs on the Unix socket, the first set-up, the import of an older
//! configuration, the test of a channel, and the crash report of a hub that does not start.

pub mod channel_test;
pub mod crash_report;
pub mod import;
pub mod setup;
pub mod socket;

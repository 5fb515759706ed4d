//! All journeys in one binary: what users do on a normal day, and what goes wrong in a bad night.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

mod answers;
mod crashes;
mod deploy;
mod disks;
mod downs;
mod enrolment;
mod first_evening;
mod habits;
mod hours;
mod imports;
mod inputs;
mod journals;
mod kills;
mod legacy;
mod names;
mod outages;
mod pages;
mod reports;
mod restored;
mod rotation;
mod runs;
mod silences;
mod watched;

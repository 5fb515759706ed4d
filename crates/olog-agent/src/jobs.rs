//! The jobs that this machine has without Olog: crontabs, systemd timers, services.
//!
//! | part | does |
//! |---|---|
//! | [`list`] | finds the jobs, says which of them report to Olog, and what would make the others report (`olog-agent jobs`) |
//! | [`unit_failed`] | reports a unit that failed, and that it has recovered (`olog-agent unit-failed`, started by systemd) |
//! | [`switch`] | turns that on and off for every service (`olog-agent units on\|off`) |
//! | `crontab` | reads crontabs |
//! | [`timer`] | what a timer says of its runs, in the form that the hub takes |
//! | [`systemd`] | asks `systemctl` and `journalctl`, within bounds of time and size |
//!
//! Listing changes nothing. Every path is below a root that is a parameter, so that tests have machines of their own.

mod crontab;
pub mod list;
pub mod switch;
pub mod systemd;
pub mod timer;
pub mod unit_failed;

/// The unit that reports a failed one: `olog-unit-failed@UNIT.service`.
const HANDLER: &str = "olog-unit-failed@";
/// The unit that reports that one ended well.
const SUCCESS_HANDLER: &str = "olog-unit-succeeded@";

/// Does this command line run `olog-agent exec`?
fn is_exec(command: &str) -> bool {
    let word = |word: &str| word.trim_matches(['\'', '"', ';', '(', ')', '{', '}']).to_owned();
    let mut words = command.split_whitespace().map(word);
    words.any(|word| word.rsplit('/').next() == Some("olog-agent")) && words.any(|word| word == "exec")
}

#[cfg(test)]
mod tests;

//! What the service manager is told, and how a program ends. All of it does nothing without systemd.

use std::{process::ExitCode, time::Duration};

use sd_notify::NotifyState;

/// How a program ends (DESIGN §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// The command line was wrong.
    Usage = 2,
    /// The configuration was wrong (sysexits.h: EX_CONFIG); a restart would not help.
    Config = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

/// Does a service manager listen? Without one nobody has to be told.
pub fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// Started (or reloaded), with a line for `systemctl status`.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// A line for `systemctl status`.
pub fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// A reload begins; [`ready`] or [`reloaded`] ends it. systemd orders reloads by the monotonic time given here.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// A reload has ended; the line for `systemctl status` stays.
pub fn reloaded() {
    notify(&[NotifyState::Ready]);
}

/// A stop begins.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// How often [`alive`] is due: half of what the unit's `WatchdogSec=` allows; `None` without one.
pub fn watchdog_every() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Still working.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

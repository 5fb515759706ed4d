//! Talks to the service manager: ready, status line, reload, stop, watchdog. Also the exit codes, and why a daemon was stopped.
//!
//! Without systemd all of these functions are no-ops.

use std::{
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use sd_notify::NotifyState;

/// How a program ends; scripts and units rely on these numbers.
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

/// Does a service manager listen?
pub fn is_there() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The daemon has started, or has finished a reload. `status` sets the line of `systemctl status`; `None` leaves it as it is.
pub fn ready(status: Option<&str>) {
    match status {
        Some(status) => notify(&[NotifyState::Ready, NotifyState::Status(status)]),
        None => notify(&[NotifyState::Ready]),
    }
}

/// Sets the line that `systemctl status` shows.
pub fn status(status: &str) {
    notify(&[NotifyState::Status(status)]);
}

/// A reload begins; [`ready`] ends it. systemd orders reloads by the monotonic time given here.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// A stop begins.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Why a daemon was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The whole machine goes down, or starts anew.
    Shutdown,
    /// Another version of the program lies in its place.
    Upgrade,
    /// Somebody stopped it.
    Asked,
}

impl StopReason {
    /// Finds out while the daemon stops; takes at most a second.
    pub fn why() -> StopReason {
        // A file that was replaced while it runs is told so by the kernel (proc_pid_exe(5)).
        let program = std::fs::read_link("/proc/self/exe").unwrap_or_default();
        let is_replaced = program.as_os_str().as_encoded_bytes().ends_with(b" (deleted)");
        // A shutdown that was planned, and logins that are closed; the latter may come after us.
        let signs = ["/run/systemd/shutdown/scheduled", "/run/nologin"];
        if signs.iter().any(|sign| Path::new(sign).exists()) || machine_stops() {
            return StopReason::Shutdown;
        }
        if is_replaced { StopReason::Upgrade } else { StopReason::Asked }
    }

    /// As the wire has it.
    pub fn as_str(self) -> &'static str {
        match self {
            StopReason::Shutdown => "shutdown",
            StopReason::Upgrade => "upgrade",
            StopReason::Asked => "stop",
        }
    }
}

/// Does systemd say that the machine goes down? No file shows it; `systemctl` may ask without rights.
fn machine_stops() -> bool {
    const LOOKS: u32 = 100;
    const LOOK: Duration = Duration::from_millis(10);
    if !is_there() {
        return false;
    }
    let mut ask = Command::new("systemctl");
    ask.arg("is-system-running").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let Ok(mut asked) = ask.spawn() else { return false };
    for _ in 0..LOOKS {
        match asked.try_wait() {
            Ok(None) => std::thread::sleep(LOOK),
            _ => break,
        }
    }
    // It has ended, or does not get to it in time: what it printed is there all the same.
    let _gone = asked.kill().is_err();
    asked.wait_with_output().is_ok_and(|answer| answer.stdout.starts_with(b"stopping"))
}

/// How often [`alive`] is due: half of what the unit's `WatchdogSec=` allows; `None` without one.
pub fn watchdog_every() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Feeds the watchdog: the daemon works.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

//! The signals that somebody sends to `exec` and that are meant for its command.
//!
//! Every signal that can be caught is forwarded, real-time signals included, except those that were ignored when `exec` started (nohup(1)):
//! the command ignores them too, and those by which the kernel tells a program of a mistake of its own. In a terminal the kernel sends Ctrl-C, Ctrl-\ and a change of the window's size to the whole foreground
//! group, so the command already has them; they are told apart by their origin and not sent twice. Ctrl-Z is not caught
//! there at all: it stops both, and the shell continues both.

use std::io;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, kill_process_group, setrlimit};
use signal_hook::{
    iterator::{Handle, SignalsInfo, exfiltrator::WithOrigin},
    low_level::{emulate_default_handler, siginfo::Cause},
};
use tokio::{process::Command, sync::mpsc};

/// Signals that wait while one is handled; more of them are merged by the kernel too.
const QUEUE: usize = 64;

/// What is forwarded, beside [`REAL_TIME`]. SIGCHLD is not; it is caught all the same, because a command whose parent ignores it cannot be
/// waited for. SIGKILL and SIGSTOP cannot be caught; SIGSEGV and its like are the program's own.
const FORWARDED: [Signal; 20] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::VTALARM,
    Signal::PROF,
    Signal::CONT,
    Signal::WINCH,
    Signal::POWER,
    Signal::IO,
    Signal::XCPU,
    Signal::XFSZ,
    Signal::ABORT,
    Signal::URG,
    Signal::TRAP,
    Signal::SYS,
    Signal::STKFLT,
];

/// What stops a program. In a terminal it stops both without us.
const STOPPING: [Signal; 3] = [Signal::TSTP, Signal::TTIN, Signal::TTOU];

/// The real-time signals that the C library leaves to programs: they have numbers only.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// A signal that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    Named(Signal),
    RealTime(i32),
}

impl Received {
    fn of(number: i32) -> Received {
        Signal::from_named_raw(number).map_or(Received::RealTime(number), Received::Named)
    }
}

/// A stream of them.
#[derive(Debug)]
pub(super) struct ForwardedSignals {
    received: mpsc::Receiver<Received>,
    handle: Option<Handle>,
}

impl ForwardedSignals {
    /// Catches them from now on.
    pub(super) fn new(in_terminal: bool) -> ForwardedSignals {
        let (sender, received) = mpsc::channel(QUEUE);
        let handle = match listen(in_terminal, sender) {
            Ok(handle) => Some(handle),
            Err(error) => {
                tracing::warn!(%error, "signals are not forwarded");
                None
            }
        };
        ForwardedSignals { received, handle }
    }

    /// The next one; never, if none can come.
    pub(super) async fn next(&mut self) -> Received {
        match self.received.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }

    /// Returns when one came that ends a program.
    pub(super) async fn asked_to_end(&mut self) {
        const ENDING: [Signal; 4] = [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM];
        while !matches!(self.next().await, Received::Named(signal) if ENDING.contains(&signal)) {}
    }
}

impl Drop for ForwardedSignals {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.close();
        }
    }
}

fn listen(in_terminal: bool, sender: mpsc::Sender<Received>) -> io::Result<Handle> {
    let ignored = ignored();
    let stopping = STOPPING.into_iter().filter(|_| !in_terminal);
    let numbers = FORWARDED.into_iter().chain(stopping).map(Signal::as_raw).chain(REAL_TIME);
    let numbers = numbers.filter(|n| ignored & (1 << (n - 1)) == 0);
    let mut signals = SignalsInfo::<WithOrigin>::new(numbers.chain([Signal::CHILD.as_raw()]))?;
    let handle = signals.handle();
    std::thread::Builder::new().name("olog-signals".to_owned()).spawn(move || {
        for received in &mut signals {
            let is_from_terminal = in_terminal && matches!(received.cause, Cause::Kernel);
            let signal = Received::of(received.signal);
            let is_forwarded = !is_from_terminal && signal != Received::Named(Signal::CHILD);
            // Nobody listens any more: the program is about to end.
            if is_forwarded && sender.blocking_send(signal).is_err() {
                return;
            }
        }
    })?;
    Ok(handle)
}

/// Whom signals go to: the command's own group, or, in a terminal, the command alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Recipient {
    pub(super) pid: Option<Pid>,
    pub(super) is_group: bool,
}

impl Recipient {
    pub(super) fn send(self, signal: Signal) {
        let Some(pid) = self.pid else { return };
        let sent = if self.is_group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
        if let Err(error) = sent {
            tracing::debug!(%error, "the command is gone");
        }
    }

    /// Forwards what was received. A signal that stops a program stops us too.
    pub(super) async fn forward(self, received: Received) {
        match (received, self.pid) {
            (Received::Named(signal), _) => {
                self.send(signal);
                if STOPPING.contains(&signal) {
                    stop_ourselves();
                }
            }
            // No safe call sends a signal that has only a number; the shell's kill does.
            (Received::RealTime(number), Some(pid)) => {
                let group = if self.is_group { "-" } else { "" };
                let script = format!("kill -s {number} -- {group}{}", pid.as_raw_nonzero());
                if let Err(error) = Command::new("/bin/sh").args(["-c", &script]).status().await {
                    tracing::debug!(%error, number, "a real-time signal is not forwarded");
                }
            }
            (Received::RealTime(_), None) => {}
        }
    }
}

/// The signals that are ignored, as a mask: bit 0 is signal 1.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).unwrap_or(0)
}

/// One that stops a program was forwarded: we stop as well, until somebody continues us.
fn stop_ourselves() {
    if let Err(error) = kill_process(rustix::process::getpid(), Signal::STOP) {
        tracing::debug!(%error, "not stopped");
    }
}

/// In a terminal: ends this program as its command ended, so that a shell sees that Ctrl-C ended it and ends its loop. Returns if
/// that is not how the command ended.
pub fn end_like(signal: Option<i32>) {
    let Some(number) = signal.filter(|n| [Signal::INT, Signal::QUIT].map(Signal::as_raw).contains(n)) else { return };
    // The command has left its core; ours says nothing.
    let limit = Rlimit { current: Some(0), ..getrlimit(Resource::Core) };
    if let Err(error) =
        setrlimit(Resource::Core, limit).map_err(io::Error::from).and_then(|()| emulate_default_handler(number))
    {
        tracing::debug!(%error, "the signal that ended the command is passed on as an exit code");
    }
}

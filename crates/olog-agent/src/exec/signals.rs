//! The signals that somebody sends to `exec` and that are meant for its command.
//!
//! Every signal with a name that can be caught is forwarded, except those that were ignored when `exec` started (nohup(1)):
//! the command ignores them too. In a terminal the kernel sends Ctrl-C, Ctrl-\ and a change of the window's size to the whole foreground
//! group, so the command already has them; they are told apart by their origin and not sent twice. Ctrl-Z is not caught
//! there at all: it stops both, and the shell continues both.

use std::io;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use signal_hook::{
    iterator::{Handle, SignalsInfo, exfiltrator::WithOrigin},
    low_level::{emulate_default_handler, siginfo::Cause},
};
use tokio::sync::mpsc;

/// ForwardedSignals that wait while one is handled; more of them are merged by the kernel too.
const QUEUE: usize = 64;

/// What is forwarded. SIGCHLD is not; it is caught all the same, because a command whose parent ignores it cannot be waited for. SIGKILL and SIGSTOP cannot be caught; SIGSEGV and its like are the program's own.
const FORWARDED: [Signal; 17] = [
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
];

/// A stream of them.
#[derive(Debug)]
pub(super) struct ForwardedSignals {
    received: mpsc::Receiver<Signal>,
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
    pub(super) async fn next(&mut self) -> Signal {
        match self.received.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }

    /// Returns when one came that ends a program.
    pub(super) async fn asked_to_end(&mut self) {
        while !matches!(self.next().await, Signal::HUP | Signal::INT | Signal::QUIT | Signal::TERM) {}
    }
}

impl Drop for ForwardedSignals {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.close();
        }
    }
}

fn listen(in_terminal: bool, sender: mpsc::Sender<Signal>) -> io::Result<Handle> {
    let ignored = ignored();
    let tstp = (!in_terminal).then_some(Signal::TSTP);
    let numbers = FORWARDED.into_iter().chain(tstp).map(Signal::as_raw).filter(|n| ignored & (1 << (n - 1)) == 0);
    let mut signals = SignalsInfo::<WithOrigin>::new(numbers.chain([Signal::CHILD.as_raw()]))?;
    let handle = signals.handle();
    std::thread::Builder::new().name("olog-signals".to_owned()).spawn(move || {
        for received in &mut signals {
            let is_from_terminal = in_terminal && matches!(received.cause, Cause::Kernel);
            let signal = Signal::from_named_raw(received.signal);
            let signal = signal.filter(|signal| !is_from_terminal && *signal != Signal::CHILD);
            // Nobody listens any more: the program is about to end.
            if signal.is_some_and(|signal| sender.blocking_send(signal).is_err()) {
                return;
            }
        }
    })?;
    Ok(handle)
}

/// The signals that are ignored, as a mask: bit 0 is signal 1.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).unwrap_or(0)
}

/// SIGTSTP was forwarded: we stop as well, until somebody continues us.
pub(super) fn stop_ourselves() {
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

//! Follows the command to its end: passes its output on, forwards signals, keeps the time limit.
//!
//! All that the command had written when it ended is passed on, however slow the reader of our output is: at its end the
//! kernel says how many bytes are still in each pipe, and so many are read. What its descendants write is waited for for
//! [`DRAIN_AFTER`] at most, because a daemon that it left behind may hold the pipes open for ever.

use std::{collections::VecDeque, io, os::unix::process::ExitStatusExt as _, process::ExitStatus, time::Duration};

use olog_proto::event::end_text;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Stderr, Stdout},
    process::{Child, ChildStderr, ChildStdout},
    time::{Instant, sleep_until},
};

use super::{NOT_EXECUTABLE, NOT_FOUND, TIMED_OUT, signals, signals::ForwardedSignals};

/// Bytes of the output's end that are reported: more than an excerpt shows.
const OUTPUT_MAX: usize = 16 * 1024;
/// Bytes that are read at once: each read is passed on before the next one.
const READ_MAX: usize = 32 * 1024;
/// From SIGTERM to SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(10);
/// How long what the command left behind may still write.
const DRAIN_AFTER: Duration = Duration::from_secs(1);
/// Bytes that wait for a slow reader of our output after the command's end.
const PENDING_MAX: usize = 4 << 20;

/// How the command ended.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) code: u8,
    pub(super) exit: Option<i32>,
    pub(super) signal: Option<i32>,
    /// The end of what it wrote.
    pub(super) output: Vec<u8>,
}

impl Ending {
    pub(super) fn never_began(program: &str, error: &io::Error) -> Ending {
        let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        let output = format!("{program}: {error}").into_bytes();
        Ending { code, exit: Some(i32::from(code)), signal: None, output }
    }

    fn of(status: ExitStatus, timed_out: bool, output: Vec<u8>) -> Ending {
        let (exit, signal) = (status.code(), status.signal());
        let passed_on = exit.or(signal.map(|signal| 128 + signal)).and_then(|code| u8::try_from(code).ok());
        let code = if timed_out { TIMED_OUT } else { passed_on.unwrap_or(1) };
        Ending { code, exit: if timed_out { Some(i32::from(TIMED_OUT)) } else { exit }, signal, output }
    }
}

/// One output of the command, on its way to ours.
#[derive(Debug)]
struct Output<F, T> {
    name: &'static str,
    from: Option<F>,
    to: T,
    bytes: Vec<u8>,
    /// Read, and not yet passed on.
    pending: VecDeque<u8>,
    /// Bytes that the command is known to have written and that are not read yet.
    owed: u64,
    complaint: Option<String>,
}

impl<F: AsyncRead + std::os::fd::AsFd + Unpin, T: AsyncWrite + Unpin> Output<F, T> {
    fn new(name: &'static str, from: Option<F>, to: T) -> Output<F, T> {
        let bytes = vec![0; READ_MAX];
        Output { name, from, to, bytes, pending: VecDeque::new(), owed: 0, complaint: None }
    }

    /// Passes on what was read, else reads more. Returns what was read; may be dropped at any point.
    async fn step(&mut self) -> &[u8] {
        if self.pending.is_empty() {
            return self.read().await;
        }
        self.write().await;
        &[]
    }

    /// Returns what was read; never, after the end.
    async fn read(&mut self) -> &[u8] {
        let Some(from) = &mut self.from else { return std::future::pending().await };
        let n = from.read(&mut self.bytes).await.unwrap_or(0);
        if n == 0 {
            (self.from, self.owed) = (None, 0);
        }
        let read = self.bytes.get(..n).unwrap_or_default();
        self.owed = self.owed.saturating_sub(read.len() as u64);
        self.pending.extend(read);
        read
    }

    async fn write(&mut self) {
        let (first, _) = self.pending.as_slices();
        let done = match self.to.write(first).await {
            Ok(n) => {
                self.pending.drain(..n.min(self.pending.len()));
                if self.pending.is_empty() { self.to.flush().await } else { Ok(()) }
            }
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            self.failed(&error);
        }
    }

    /// As without us: if the reader is gone, the command gets SIGPIPE at its next write. Other errors (a full disk) would be the
    /// command's to see; here they are told at the end.
    fn failed(&mut self, error: &io::Error) {
        self.pending.clear();
        if error.kind() == io::ErrorKind::BrokenPipe {
            (self.from, self.owed) = (None, 0);
        } else {
            self.complaint = Some(format!("its {} cannot be passed on: {error}", self.name));
        }
    }

    /// What is in the pipe now was written by the command.
    fn owe(&mut self) {
        let here = self.from.as_ref().map(rustix::io::ioctl_fionread).and_then(Result::ok);
        self.owed = here.unwrap_or(0);
    }

    async fn flush(&mut self) {
        while !self.pending.is_empty() {
            self.write().await;
        }
        if let Err(error) = self.to.flush().await {
            self.failed(&error);
        }
    }
}

/// Both outputs after the command's end, with what is still to be passed on.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    both: Option<(Output<ChildStdout, Stdout>, Output<ChildStderr, Stderr>)>,
    signals: Option<ForwardedSignals>,
    pub(super) complaints: Vec<String>,
}

impl Outputs {
    /// Waits until our readers have everything; a signal that asks us to end ends the wait.
    pub(super) async fn flush(&mut self) {
        let Some((out, err)) = &mut self.both else { return };
        let stopped = async {
            match &mut self.signals {
                Some(signals) => signals.asked_to_end().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = async { tokio::join!(out.flush(), err.flush()) } => {}
            () = stopped => {}
        }
        self.complaints.extend(out.complaint.take().into_iter().chain(err.complaint.take()));
    }
}

/// Whom signals go to: the command's own group, or, in a terminal, the command alone.
#[derive(Debug, Clone, Copy)]
struct Recipient {
    pid: Option<Pid>,
    is_group: bool,
}

impl Recipient {
    fn signal(self, signal: Signal) {
        let Some(pid) = self.pid else { return };
        let sent = if self.is_group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
        if let Err(error) = sent {
            tracing::debug!(%error, "the command is gone");
        }
    }
}

/// Passes its output through until it has ended.
pub(super) async fn follow(
    mut child: Child,
    limit: Option<Instant>,
    mut signals: ForwardedSignals,
    in_terminal: bool,
) -> (Ending, Outputs) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let recipient = Recipient { pid, is_group: !in_terminal };
    let is_piped = child.stdout.is_some() || child.stderr.is_some();
    let mut out = Output::new("stdout", child.stdout.take(), tokio::io::stdout());
    let mut err = Output::new("stderr", child.stderr.take(), tokio::io::stderr());
    let mut kept = VecDeque::new();
    let mut limit = limit;
    let mut timed_out = false;
    let status = loop {
        tokio::select! {
            bytes = out.step() => keep(&mut kept, bytes),
            bytes = err.step() => keep(&mut kept, bytes),
            ended = child.wait() => break ended,
            signal = signals.next() => {
                recipient.signal(signal);
                if signal == Signal::TSTP {
                    signals::stop_ourselves();
                }
            }
            () = sleep_until(limit.unwrap_or_else(Instant::now)), if limit.is_some() => {
                recipient.signal(if timed_out { Signal::KILL } else { Signal::TERM });
                // A command that was stopped must run to hear it.
                recipient.signal(Signal::CONT);
                limit = if timed_out { None } else { Some(Instant::now() + KILL_AFTER) };
                timed_out = true;
            }
        }
    };
    drain(&mut out, &mut err, &mut kept).await;
    if timed_out {
        kept.extend(b"\nended by its time limit");
    } else if !is_piped && !status.as_ref().is_ok_and(ExitStatus::success) {
        kept.extend(ended_in_terminal(status.as_ref().ok()).as_bytes());
    }
    let output = kept.into_iter().collect();
    let ending = match status {
        Ok(status) => Ending::of(status, timed_out, output),
        Err(error) => Ending { code: 1, exit: None, signal: None, output: error.to_string().into_bytes() },
    };
    (ending, Outputs { both: Some((out, err)), signals: Some(signals), complaints: Vec::new() })
}

fn ended_in_terminal(status: Option<&ExitStatus>) -> String {
    let (exit, signal) = status.map_or((None, None), |status| (status.code(), status.signal()));
    format!("{}; its output went to the terminal in which it ran", end_text(exit, signal))
}

/// Reads what the command left in its pipes.
async fn drain(out: &mut Output<ChildStdout, Stdout>, err: &mut Output<ChildStderr, Stderr>, kept: &mut VecDeque<u8>) {
    out.owe();
    err.owe();
    let until = Instant::now() + DRAIN_AFTER;
    let mut is_over = false;
    loop {
        let is_all = out.owed == 0 && err.owed == 0;
        let is_end = out.from.is_none() && err.from.is_none();
        if is_end || (is_over && is_all) || out.pending.len().max(err.pending.len()) > PENDING_MAX {
            return;
        }
        tokio::select! {
            bytes = out.read() => keep(kept, bytes),
            bytes = err.read() => keep(kept, bytes),
            () = sleep_until(until), if !is_over => {
                is_over = true;
                // What was written just now by what it left behind.
                out.owe();
                err.owe();
            }
        }
    }
}

fn keep(kept: &mut VecDeque<u8>, bytes: &[u8]) {
    kept.extend(bytes);
    kept.drain(..kept.len().saturating_sub(OUTPUT_MAX));
}

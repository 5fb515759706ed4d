//! Follows the command to its end: passes its output on, forwards signals, keeps the time limit.
//!
//! All that the command had written when it ended is passed on, however slow the reader of our output is: at its end the
//! kernel says how many bytes are still in each pipe, and so many are read. What its descendants write is waited for for
//! [`DRAIN_AFTER`] at most, because a daemon that it left behind may hold the pipes open for ever.

use std::{collections::VecDeque, io, os::unix::process::ExitStatusExt as _, process::ExitStatus, time::Duration};

use olog_proto::event::end_text;
use olog_push::words::Language;
use rustix::process::{Pid, Signal};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Stderr, Stdout},
    process::{Child, ChildStderr, ChildStdout},
    time::{Instant, sleep_until},
};

use super::{
    NOT_EXECUTABLE, NOT_FOUND, TIMED_OUT,
    signals::{ForwardedSignals, Recipient},
    written::{Stream, Written},
};

/// Bytes of the output's end that are reported: more than an excerpt shows.
const OUTPUT_MAX: usize = 16 * 1024;
const BY_LIMIT: &str = "ended by its time limit";
const TO_TERMINAL: &str = "its output went to the terminal in which it ran";
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
    /// What it wrote.
    pub(super) written: Written,
    /// What is to be said besides.
    pub(super) remark: Option<&'static str>,
}

impl Ending {
    pub(super) fn never_began(program: &str, error: &io::Error) -> Ending {
        let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        let mut written = Written::default();
        written.push(Stream::Err, format!("{program}: {error}").as_bytes());
        Ending { code, exit: Some(i32::from(code)), signal: None, written, remark: None }
    }

    fn of(status: ExitStatus, timed_out: bool, written: Written, remark: Option<&'static str>) -> Ending {
        let (exit, signal) = (status.code(), status.signal());
        let passed_on = exit.or(signal.map(|signal| 128 + signal)).and_then(|code| u8::try_from(code).ok());
        let code = if timed_out { TIMED_OUT } else { passed_on.unwrap_or(1) };
        Ending { code, exit: if timed_out { Some(i32::from(TIMED_OUT)) } else { exit }, signal, written, remark }
    }

    /// Did the time limit end it?
    pub(super) fn is_timed_out(&self) -> bool {
        self.remark == Some(BY_LIMIT)
    }

    /// The end of what it wrote, and what is to be said besides, for the report.
    pub(super) fn reported_output(&self) -> Vec<u8> {
        let mut output = self.written.last(OUTPUT_MAX);
        let is_bad = self.exit != Some(0) || self.signal.is_some();
        match self.remark {
            Some(TO_TERMINAL) if is_bad => {
                output.extend(format!("{}; {TO_TERMINAL}", end_text(self.exit, self.signal)).as_bytes());
            }
            None | Some(TO_TERMINAL) => {}
            Some(remark) => output.extend(format!("\n{remark}").as_bytes()),
        }
        output
    }
}

/// One output of the command, on its way to ours.
#[derive(Debug)]
struct Output<F, T> {
    name: &'static str,
    from: Option<F>,
    to: T,
    /// It is passed on as it comes; else after the end, or not at all.
    is_passed_on: bool,
    bytes: Vec<u8>,
    /// Read, and not yet passed on.
    pending: VecDeque<u8>,
    /// Bytes that the command is known to have written and that are not read yet.
    owed: u64,
    complaint: Option<String>,
}

impl<F: AsyncRead + std::os::fd::AsFd + Unpin, T: AsyncWrite + Unpin> Output<F, T> {
    fn new(name: &'static str, from: Option<F>, to: T, is_passed_on: bool) -> Output<F, T> {
        let bytes = vec![0; READ_MAX];
        Output { name, from, to, is_passed_on, bytes, pending: VecDeque::new(), owed: 0, complaint: None }
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
        if self.is_passed_on {
            self.pending.extend(read);
        }
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

    async fn pass_on(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
        self.flush().await;
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
    /// Passes on what was held back, as chronic(1) does; a signal that asks us to end ends it.
    pub(super) async fn replay(&mut self, written: &mut Written, language: Language) {
        let (Some((out, err)), Some(signals)) = (&mut self.both, &mut self.signals) else { return };
        let (head, n_left_out, tail) = written.pieces();
        let left_out = "{1} bytes of the output are left out here";
        let left_out = format!("\nolog-agent: {}\n", language.sentence(left_out, &[&n_left_out.to_string()]));
        let left_out = (n_left_out > 0).then_some((Stream::Err, left_out.as_bytes()));
        let all = async {
            for (stream, bytes) in head.into_iter().chain(left_out).chain(tail) {
                match stream {
                    Stream::Out => out.pass_on(bytes).await,
                    Stream::Err => err.pass_on(bytes).await,
                }
            }
        };
        tokio::select! {
            () = all => {}
            () = signals.asked_to_end() => {}
        }
    }

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

/// Passes its output through until it has ended.
pub(super) async fn follow(
    mut child: Child,
    limit: Option<Instant>,
    mut signals: ForwardedSignals,
    in_terminal: bool,
    is_quiet: bool,
) -> (Ending, Outputs) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let recipient = Recipient { pid, is_group: !in_terminal };
    let is_piped = child.stdout.is_some() || child.stderr.is_some();
    let mut out = Output::new("stdout", child.stdout.take(), tokio::io::stdout(), !is_quiet);
    let mut err = Output::new("stderr", child.stderr.take(), tokio::io::stderr(), !is_quiet);
    let mut written = Written::default();
    let mut limit = limit;
    let mut timed_out = false;
    let status = loop {
        tokio::select! {
            bytes = out.step() => written.push(Stream::Out, bytes),
            bytes = err.step() => written.push(Stream::Err, bytes),
            ended = child.wait() => break ended,
            signal = signals.next() => recipient.forward(signal).await,
            () = sleep_until(limit.unwrap_or_else(Instant::now)), if limit.is_some() => {
                recipient.send(if timed_out { Signal::KILL } else { Signal::TERM });
                // A command that was stopped must run to hear it.
                recipient.send(Signal::CONT);
                limit = if timed_out { None } else { Some(Instant::now() + KILL_AFTER) };
                timed_out = true;
            }
        }
    };
    drain(&mut out, &mut err, &mut written).await;
    let remark = match (timed_out, is_piped) {
        (true, _) => Some(BY_LIMIT),
        (false, false) => Some(TO_TERMINAL),
        (false, true) => None,
    };
    let ending = match status {
        Ok(status) => Ending::of(status, timed_out, written, remark),
        Err(error) => {
            written.push(Stream::Err, error.to_string().as_bytes());
            Ending { code: 1, exit: None, signal: None, written, remark }
        }
    };
    (ending, Outputs { both: Some((out, err)), signals: Some(signals), complaints: Vec::new() })
}

/// Reads what the command left in its pipes.
async fn drain(out: &mut Output<ChildStdout, Stdout>, err: &mut Output<ChildStderr, Stderr>, written: &mut Written) {
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
            bytes = out.read() => written.push(Stream::Out, bytes),
            bytes = err.read() => written.push(Stream::Err, bytes),
            () = sleep_until(until), if !is_over => {
                is_over = true;
                // What was written just now by what it left behind.
                out.owe();
                err.owe();
            }
        }
    }
}

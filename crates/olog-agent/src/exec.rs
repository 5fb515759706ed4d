//! `exec`: runs a command and reports its start and its end as a run of a task.
//!
//! The command comes first: it runs whether the agent is there or not, its output is passed on as it comes, its exit code is
//! ours. With `--quiet` the output is held back, and shown only if the command fails. Start and end are written to a run file
//! ([`crate::runs`]), which the agent reads now or when it is back. If no folder takes that file, the run is reported over the agent's socket.
//! What the command wrote is kept in a log dir ([`crate::kept`]); if neither run file nor agent is there, that file is the report. If nothing
//! of all this works, stderr says so.
//!
//! Two ways to run:
//!
//! | | without a controlling terminal (cron, systemd) | in a terminal |
//! |---|---|---|
//! | process group | the command gets its own, and a time limit ends all of it | the command stays in ours, as with `timeout --foreground`: it may read the terminal, and Ctrl-C and Ctrl-Z reach it |
//! | output | read, passed on, its end reported | what goes to the terminal goes there directly and is not reported |
//! | signals | each one that can be caught is forwarded | likewise, except those that the terminal has already sent to the whole group |
//!
//! It never changes what the command does, and it never waits for an agent that does not answer for longer than `RING_AFTER`.

mod follow;
mod lock;
mod record;
mod signals;
mod written;

use std::{ffi::OsString, fs::File, io, path::PathBuf, process::Stdio, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use olog_daemon::{clock::Clock, socket::Client};
use olog_proto::{
    TaskName, Timestamp,
    event::{end_text, is_good_end},
};
use olog_push::words::Language;
use tokio::{
    process::{Child, Command},
    time::{Instant, timeout},
};

use crate::{
    boot,
    identity::RandomSource,
    kept::{self, KeptRun},
    runs::{self, End, EndedFile, How, RunFile, Start},
    socket::Run,
    text::Redactor,
};
use follow::{Ending, Outputs, follow};
use lock::LockError;
pub use lock::Places;
pub use record::{PastRun, RecordError, record};
use signals::ForwardedSignals;
pub use signals::end_like;

/// The agent reads the run file at once when it is rung; it is not waited for longer.
const RING_AFTER: Duration = Duration::from_secs(2);

/// As the shell and timeout(1) have them.
const TIMED_OUT: u8 = 124;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// What to run, and as what.
#[derive(Debug)]
pub struct Exec {
    /// The task.
    pub task: TaskName,
    /// It is ended after this.
    pub timeout: Option<Duration>,
    /// Not while another one of the same task and user runs.
    pub lock: bool,
    /// Its output is shown only if it fails.
    pub quiet: bool,
    /// The command with its arguments.
    pub command: Vec<OsString>,
    /// There is a controlling terminal.
    pub in_terminal: bool,
    /// Of what is printed in the command's place; what is reported is in English.
    pub language: Language,
}

/// Where runs are reported, and where locks are.
#[derive(Debug)]
pub struct Report<'a> {
    /// The folders of run files, best first.
    pub folders: Vec<PathBuf>,
    /// Where the output is kept, best first.
    pub log_dirs: Vec<PathBuf>,
    /// Takes secrets out of the command line.
    pub redactor: Redactor,
    /// Where lock files may be.
    pub locks: Places,
    /// The agent.
    pub agent: &'a Client,
    /// Wall time.
    pub clock: &'a Clock,
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// With `--lock`: another one runs.
    #[error("{task} is still running{}: not started a second time", since_words(*.since))]
    Locked {
        /// The task.
        task: TaskName,
        /// Since when.
        since: Option<Timestamp>,
    },
    /// No lock can be taken.
    #[error("{task}: the lock cannot be taken")]
    Lock {
        /// The task.
        task: TaskName,
        /// Why.
        source: io::Error,
    },
    /// No randomness for the run's id.
    #[error("no random bytes")]
    RandomBytes(#[source] io::Error),
}

fn since_words(since: Option<Timestamp>) -> String {
    let at = since.and_then(|at| u64::try_from(at.0 / 1000).ok());
    at.map(|s| format!(" since {}", humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + Duration::from_secs(s))))
        .unwrap_or_default()
}

/// What came out of it.
#[derive(Debug, PartialEq, Eq)]
pub struct ExecResult {
    /// The exit code to pass on.
    pub code: u8,
    /// The signal that ended the command, if one did.
    pub signal: Option<i32>,
    /// What went wrong with the report or the output, for stderr.
    pub complaints: Vec<String>,
}

/// Whether something is in the terminal's foreground or background, it has one: `/dev/tty` can be opened then, and only then.
pub fn is_in_terminal() -> bool {
    File::open("/dev/tty").is_ok()
}

/// Runs it, to its end.
pub async fn exec(exec: Exec, report: &Report<'_>, chance: &mut dyn RandomSource) -> Result<ExecResult, ExecError> {
    let mut id = [0; 8];
    chance.fill(&mut id).map_err(ExecError::RandomBytes)?;
    let stamp = boot::stamp(report.clock.now());
    let start = Start {
        format: runs::FORMAT,
        task: exec.task.clone(),
        run: id.iter().map(|b| format!("{b:02x}")).collect(),
        uid: rustix::process::getuid().as_raw(),
        at: stamp.at,
        boot: stamp.boot,
        up: stamp.up,
    };
    let _lock = match exec.lock.then(|| lock::take(&exec.task, start.at, &report.locks, chance)) {
        None => None,
        Some(Ok(lock)) => Some(lock),
        Some(Err(error)) => return Err(not_started(exec.task, error, &start, report).await),
    };
    let began = Instant::now();
    let mut complaints = Vec::new();
    // Before the command, so that signals which come now are not lost, and so that the start is on the disk.
    let signals = ForwardedSignals::new(exec.in_terminal);
    let file = RunFile::begin(&report.folders, &start);
    if let Ok(RunFile { n_forgotten: n @ 1.., .. }) = file {
        complaints.push(format!("the agent has not read the runs of this user for long: the {n} oldest are forgotten"));
    }
    let spawned = spawn(&exec);
    let started = tell_start(&start, file.as_ref().ok(), report);
    let ((mut end, mut outputs), started) = match spawned {
        Ok(child) => {
            let limit = exec.timeout.map(|limit| began + limit);
            tokio::join!(follow(child, limit, signals, exec.in_terminal, exec.quiet), started)
        }
        Err(error) => {
            let program = exec.command.first().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
            complaints.push(format!("{program}: {error}"));
            ((Ending::never_began(&program, &error), Outputs::default()), started.await)
        }
    };
    let duration = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let output = BASE64.encode(end.reported_output());
    let ended = runs::RunEnd { exit: end.exit, signal: end.signal, duration, output };
    let last_lines = last_lines(&exec, &end, &start, duration, report);
    let is_good = is_good_end(end.exit, end.signal);
    let mut keep = |is_reported| {
        let output = end.written.ends();
        let (task, run, last_lines) = (&exec.task, start.run.as_str(), last_lines.as_slice());
        kept::keep(&report.log_dirs, &KeptRun { task, run, is_reported, is_good, output, last_lines })
    };
    // A run that has its file will be reported, whatever happens now. Whoever hears of it finds the output there.
    let kept = file.is_ok().then(|| keep(true));
    let told = async { tell_end(&start, ended, file, started, report).await };
    // A reader of our output that is slow, or stuck, must not keep the agent from hearing the end.
    let (told, ()) = tokio::join!(told, outputs.flush());
    let kept = kept.unwrap_or_else(|| keep(told.is_ok()));
    if exec.quiet && end.code != 0 {
        outputs.replay(&mut end.written, exec.language).await;
    }
    complaints.append(&mut outputs.complaints);
    if end.is_timed_out() {
        complaints.push(format!("{} was ended by its time limit", exec.task));
    }
    complain_of_report(&exec, &end, told, kept, &mut complaints);
    Ok(ExecResult { code: end.code, signal: end.signal, complaints })
}

/// What stderr says of a report that is not whole.
fn complain_of_report(
    exec: &Exec,
    end: &Ending,
    told: Result<(), String>,
    kept: io::Result<PathBuf>,
    complaints: &mut Vec<String>,
) {
    let how = match (end.exit, end.signal) {
        (Some(exit), _) => format!("exit {exit}"),
        (_, signal) => format!("signal {}", signal.unwrap_or(0)),
    };
    if exec.quiet && end.code == 0 {
        // Nothing is shown, unless nobody would ever hear of this run.
        complaints.clear();
    }
    match (told, kept) {
        (Ok(()), Ok(_)) => {}
        (Ok(()), Err(_)) if exec.quiet && end.code == 0 => {}
        (Ok(()), Err(error)) => complaints.push(format!("the output of {} is not kept: {error}", exec.task)),
        // The watcher reads the file.
        (Err(error), Ok(path)) => tracing::debug!(error, path = %path.display(), "only this file reports the run"),
        (Err(error), Err(not_kept)) => complaints.push(format!(
            "the run of {} ({how}) is not recorded: {error}; and its output is not kept: {not_kept}",
            exec.task
        )),
    }
}

/// How it ended, who ran it, and what, for the file that keeps the output.
fn last_lines(exec: &Exec, end: &Ending, start: &Start, duration: u64, report: &Report<'_>) -> Vec<String> {
    let ended_at = u64::try_from(report.clock.now().0).map(Duration::from_millis).unwrap_or_default();
    let ended_at = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + ended_at);
    let how = end_text(end.exit, end.signal);
    let how = if how.is_empty() { "ended in an unknown way" } else { &how };
    let took = humantime::format_duration(Duration::from_millis(duration));
    let remark = end.remark.map(|remark| format!("; {remark}")).unwrap_or_default();
    let user =
        kept::user_name(start.uid).map_or_else(|| start.uid.to_string(), |name| format!("{name} ({})", start.uid));
    let command = report.redactor.redact_line(&kept::command_line(&exec.command));
    vec![format!("{how} after {took}, at {ended_at}{remark}"), format!("user {user}: {command}")]
}

/// The command is not started. That is reported too, because a job that somebody expects does not run now.
async fn not_started(task: TaskName, error: LockError, start: &Start, report: &Report<'_>) -> ExecError {
    let (how, error) = match error {
        LockError::Held { since } => (How::NotStarted { running_since: since }, ExecError::Locked { task, since }),
        LockError::Io(source) => {
            let output = BASE64.encode(format!("the lock cannot be taken, so the command was not started: {source}"));
            (
                How::RunEnd(runs::RunEnd { exit: Some(1), signal: None, duration: 0, output }),
                ExecError::Lock { task, source },
            )
        }
    };
    let file = RunFile::begin(&report.folders, start);
    match file.and_then(|file| file.end(&End { at: start.at, up: start.up, how })) {
        Ok(file) => settle(&file, None, report).await,
        Err(error) => tracing::debug!(%error, "that the task was not started is not recorded"),
    }
    error
}

/// Reports the start while the command runs. Returns how the agent answered the bell.
async fn tell_start(start: &Start, file: Option<&RunFile>, report: &Report<'_>) -> Result<Rung, String> {
    let Some(file) = file else {
        let run = Run::Started { task: start.task.clone(), run: start.run.clone() };
        return post(report.agent, &run).await.map(|()| Rung::Read);
    };
    let rung = ring(report.agent).await;
    if rung != Rung::Read
        && let Err(error) = file.sync()
    {
        tracing::debug!(%error, "a power cut now would hide this run");
    }
    Ok(rung)
}

/// Reports the end.
async fn tell_end(
    start: &Start,
    ended: runs::RunEnd,
    file: io::Result<RunFile>,
    started: Result<Rung, String>,
    report: &Report<'_>,
) -> Result<(), String> {
    let no_file = match file {
        Ok(file) => {
            let stamp = boot::stamp(report.clock.now());
            let end = End { at: stamp.at, up: stamp.up, how: How::RunEnd(ended) };
            let file = file.end(&end).map_err(|error| format!("the run file cannot be written: {error}"))?;
            settle(&file, started.ok(), report).await;
            return Ok(());
        }
        Err(error) => error,
    };
    let run = Run::Ended(Box::new(runs::Reported { task: start.task.clone(), run: start.run.clone(), ended }));
    let told = match started {
        Ok(_) => post(report.agent, &run).await,
        Err(error) => Err(error),
    };
    told.map_err(|error| format!("{error}; and no folder takes its run file ({no_file})"))
}

/// The agent has read it, or the disk has it for later. An agent that hung at the start is not waited for again.
async fn settle(file: &EndedFile, before: Option<Rung>, report: &Report<'_>) {
    if (before == Some(Rung::Hangs) || ring(report.agent).await != Rung::Read)
        && let Err(error) = file.sync()
    {
        tracing::debug!(%error, "a power cut now would hide this end");
    }
}

/// How the agent answered the bell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rung {
    /// It has read the run files.
    Read,
    /// It is not there, or cannot read them now.
    Away,
    /// It does not answer.
    Hangs,
}

async fn ring(agent: &Client) -> Rung {
    match timeout(RING_AFTER, agent.post::<serde_json::Value>("/runs", &())).await {
        Ok(Ok(_)) => Rung::Read,
        Ok(Err(_)) => Rung::Away,
        Err(_) => Rung::Hangs,
    }
}

async fn post(agent: &Client, run: &Run) -> Result<(), String> {
    match timeout(RING_AFTER, agent.post::<serde_json::Value>("/run", run)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("the agent does not answer within {} s", RING_AFTER.as_secs())),
    }
}

fn spawn(exec: &Exec) -> io::Result<Child> {
    let Some((program, arguments)) = exec.command.split_first() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut command = Command::new(program);
    let is_shown = |is_terminal: bool| exec.in_terminal && !exec.quiet && is_terminal;
    let to = |is_shown: bool| if is_shown { Stdio::inherit() } else { Stdio::piped() };
    command.args(arguments);
    command.stdout(to(is_shown(io::IsTerminal::is_terminal(&io::stdout()))));
    command.stderr(to(is_shown(io::IsTerminal::is_terminal(&io::stderr()))));
    if !exec.in_terminal {
        command.process_group(0);
    }
    command.spawn()
}

#[cfg(test)]
mod tests;

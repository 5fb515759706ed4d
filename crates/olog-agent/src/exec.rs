//! `exec`: runs a command, and its end is the state of a task.
//!
//! The command comes first: it runs whether the agent answers or not, its output goes through as it comes, its exit code is
//! passed on. The agent is told when it starts and when it ends, with the end of what it wrote; where it cannot be
//! told, stderr says so, so that whoever redirected it into a `.err` has the trace.
//!
//! The command gets a process group of its own, so that a time limit ends all that it started; signals that ask `exec`
//! to end are handed on to it.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{net::SocketAddr, process::ExitStatusExt as _},
    },
    process::{ExitStatus, Stdio},
    time::Duration,
};

use olog_daemon::socket::Client;
use olog_proto::TaskName;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    process::{Child, Command},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    identity::Chance,
    socket::{Ended, Run},
};

/// Bytes of the output's end that are reported: more than an excerpt shows.
const OUTPUT_MAX: usize = 16 * 1024;
/// The agent is asked, but never waited for.
const REPORT_AFTER: Duration = Duration::from_secs(5);
/// From SIGTERM to SIGKILL.
const KILL_AFTER: Duration = Duration::from_secs(10);
/// Something that the command left behind may hold its output open for ever.
const DRAIN_AFTER: Duration = Duration::from_secs(1);

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
    /// The command with its arguments.
    pub command: Vec<OsString>,
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// With `--lock`: another one runs.
    #[error("{0} is still running: not started a second time")]
    Locked(TaskName),
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
    Chance(#[source] io::Error),
}

/// What came out of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code to pass on.
    pub code: u8,
    /// What could not be told to the agent, for stderr.
    pub untold: Option<String>,
}

/// Runs it, to its end.
pub async fn exec(exec: Exec, agent: &Client, chance: &mut dyn Chance) -> Result<Outcome, ExecError> {
    let _lock = if exec.lock { Some(lock(&exec.task)?) } else { None };
    let mut id = [0; 8];
    chance.fill(&mut id).map_err(ExecError::Chance)?;
    let run: String = id.iter().map(|b| format!("{b:02x}")).collect();
    let began = Instant::now();
    let spawned = spawn(&exec.command);
    let start = Run::Started { task: exec.task.clone(), run: run.clone() };
    let started = report(agent, &start);
    let (end, told) = match spawned {
        Ok(child) => tokio::join!(follow(child, exec.timeout.map(|limit| began + limit)), started),
        Err(error) => {
            let program = exec.command.first().map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
            (End::never_began(&program, &error), started.await)
        }
    };
    let duration = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let ended = Ended {
        task: exec.task.clone(),
        run,
        exit: end.exit,
        signal: end.signal,
        duration,
        output: base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &end.output),
    };
    let ended = report(agent, &Run::Ended(Box::new(ended))).await;
    let untold = told.and(ended).err().map(|error| {
        let how = match (end.exit, end.signal) {
            (Some(exit), _) => format!("exit {exit}"),
            (_, signal) => format!("signal {}", signal.unwrap_or(0)),
        };
        format!("the run of {} ({how}) is not recorded: {error}", exec.task)
    });
    Ok(Outcome { code: end.code, untold })
}

async fn report(agent: &Client, run: &Run) -> Result<(), String> {
    match timeout(REPORT_AFTER, agent.post::<serde_json::Value>("/run", run)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the agent does not answer within 5 s".into()),
    }
}

/// A name in the kernel that goes with the process, however it ends; apart for each user.
fn lock(task: &TaskName) -> Result<std::os::unix::net::UnixListener, ExecError> {
    let print = olog_proto::identity::KeyPrint::of(task.as_str().as_bytes());
    let name = format!("olog-exec/{}/{print}", rustix::process::geteuid().as_raw());
    let taken =
        SocketAddr::from_abstract_name(name).and_then(|name| std::os::unix::net::UnixListener::bind_addr(&name));
    taken.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ExecError::Locked(task.clone()),
        _ => ExecError::Lock { task: task.clone(), source },
    })
}

fn spawn(command: &[OsString]) -> io::Result<Child> {
    let Some((program, arguments)) = command.split_first() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let mut command = Command::new(program);
    command.args(arguments).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn()
}

struct End {
    code: u8,
    exit: Option<i32>,
    signal: Option<i32>,
    output: Vec<u8>,
}

impl End {
    fn never_began(program: &str, error: &io::Error) -> End {
        let code = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
        let output = format!("{program}: {error}").into_bytes();
        End { code, exit: Some(i32::from(code)), signal: None, output }
    }

    fn of(status: ExitStatus, timed_out: bool, output: Vec<u8>) -> End {
        let (exit, signal) = (status.code(), status.signal());
        let passed_on = exit.or(signal.map(|signal| 128 + signal)).and_then(|code| u8::try_from(code).ok());
        let code = if timed_out { TIMED_OUT } else { passed_on.unwrap_or(1) };
        End { code, exit: if timed_out { Some(i32::from(TIMED_OUT)) } else { exit }, signal, output }
    }
}

/// Passes its output through until it has ended.
async fn follow(mut child: Child, limit: Option<Instant>) -> End {
    let mut kept = VecDeque::new();
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut out_bytes, mut err_bytes) = ([0; 4096], [0; 4096]);
    let (mut stdout, mut stderr) = (tokio::io::stdout(), tokio::io::stderr());
    let mut wishes = Wishes::new();
    let mut limit = limit;
    let mut timed_out = false;
    let mut killing = false;
    let mut status = None;
    let mut drain_until = None;
    loop {
        let due = drain_until.or(limit);
        tokio::select! {
            n = read(&mut out, &mut out_bytes) => {
                let read = out_bytes.get(..n).unwrap_or_default();
                pass_on(read, &mut stdout, &mut kept).await;
                out = out.filter(|_| n > 0);
            }
            n = read(&mut err, &mut err_bytes) => {
                let read = err_bytes.get(..n).unwrap_or_default();
                pass_on(read, &mut stderr, &mut kept).await;
                err = err.filter(|_| n > 0);
            }
            ended = child.wait(), if status.is_none() => {
                status = Some(ended);
                drain_until = Some(Instant::now() + DRAIN_AFTER);
            }
            signal = wishes.next() => signal_group(group, signal),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                if drain_until.is_some() {
                    (out, err) = (None, None);
                } else {
                    signal_group(group, if killing { Signal::KILL } else { Signal::TERM });
                    limit = if killing { None } else { Some(Instant::now() + KILL_AFTER) };
                    (timed_out, killing) = (true, true);
                }
            }
        }
        if let (None, None, Some(ended)) = (&out, &err, &status) {
            if timed_out {
                kept.extend(b"\nended by its time limit");
            }
            let output = kept.into_iter().collect();
            return match ended {
                Ok(status) => End::of(*status, timed_out, output),
                Err(error) => End { code: 1, exit: None, signal: None, output: error.to_string().into_bytes() },
            };
        }
    }
}

/// What is there; 0 at the end; never, once it is gone.
async fn read(from: &mut Option<impl AsyncRead + Unpin>, bytes: &mut [u8]) -> usize {
    match from {
        Some(from) => from.read(bytes).await.unwrap_or(0),
        None => std::future::pending().await,
    }
}

/// Hands it on, and keeps the end.
async fn pass_on(bytes: &[u8], to: &mut (impl AsyncWrite + Unpin), kept: &mut VecDeque<u8>) {
    kept.extend(bytes);
    kept.drain(..kept.len().saturating_sub(OUTPUT_MAX));
    // Whoever read our output may be gone; the command goes on, as it would under `tee -p`.
    if to.write_all(bytes).await.is_err() || to.flush().await.is_err() {
        tracing::debug!("nobody reads the output");
    }
}

fn signal_group(group: Option<Pid>, signal: Signal) {
    if let Some(Err(error)) = group.map(|group| kill_process_group(group, signal)) {
        tracing::debug!(%error, "the command is gone");
    }
}

/// Signals that ask us to end.
struct Wishes(Vec<(tokio::signal::unix::Signal, Signal)>);

impl Wishes {
    fn new() -> Wishes {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [
            (SignalKind::terminate(), Signal::TERM),
            (SignalKind::interrupt(), Signal::INT),
            (SignalKind::hangup(), Signal::HUP),
            (SignalKind::quit(), Signal::QUIT),
        ];
        Wishes(kinds.into_iter().filter_map(|(kind, own)| signal(kind).ok().map(|s| (s, own))).collect())
    }

    async fn next(&mut self) -> Signal {
        std::future::poll_fn(|cx| {
            for (stream, own) in &mut self.0 {
                if stream.poll_recv(cx).is_ready() {
                    return std::task::Poll::Ready(*own);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use olog_daemon::socket::bind;
    use tokio::task::JoinSet;

    use super::*;
    use crate::identity::SystemChance;

    fn sh(script: &str) -> Exec {
        let command = ["sh", "-c", script].map(OsString::from).to_vec();
        Exec { task: "backup".parse().unwrap(), timeout: None, lock: false, command }
    }

    /// Takes reports as the agent does.
    fn agent(folder: &std::path::Path, n: usize) -> (Client, JoinSet<Vec<Run>>) {
        let path = folder.join("agent.sock");
        let listener = bind(&path, 0o600).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut runs = Vec::new();
            while runs.len() < n {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = Vec::new();
                loop {
                    let mut bytes = [0; 4096];
                    let n = stream.read(&mut bytes).await.unwrap();
                    text.extend_from_slice(&bytes[..n]);
                    let whole = String::from_utf8_lossy(&text).into_owned();
                    let body = whole.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
                    if let Some(run) = body {
                        runs.push(run);
                        break;
                    }
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
            }
            runs
        });
        (Client::new("olog-agent", path), tasks)
    }

    #[tokio::test]
    async fn a_run_is_told_at_its_start_and_its_end_and_its_exit_code_is_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let (client, mut tasks) = agent(folder.path(), 2);
        let outcome = exec(sh("echo out; echo err >&2; exit 3"), &client, &mut SystemChance).await.unwrap();
        assert_eq!(outcome, Outcome { code: 3, untold: None });
        let runs = tasks.join_next().await.unwrap().unwrap();
        let [Run::Started { task, run }, Run::Ended(ended)] = runs.as_slice() else { panic!("{runs:?}") };
        assert_eq!((task.as_str(), run), ("backup", &ended.run));
        assert_eq!((ended.exit, ended.signal), (Some(3), None));
        let output = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, &ended.output).unwrap();
        let output = String::from_utf8(output).unwrap();
        assert!(output.contains("out\n") && output.contains("err\n"), "{output}");
    }

    #[tokio::test]
    async fn without_an_agent_the_command_runs_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::new("olog-agent", folder.path().join("agent.sock"));
        let file = folder.path().join("done");
        let outcome = exec(sh(&format!("touch {}", file.display())), &client, &mut SystemChance).await.unwrap();
        assert!(file.exists());
        assert_eq!(outcome.code, 0);
        let untold = outcome.untold.unwrap();
        assert!(untold.contains("backup (exit 0) is not recorded") && untold.contains("is it running"), "{untold}");
    }

    #[tokio::test]
    async fn a_signal_and_a_missing_program_have_the_shells_codes() {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::new("olog-agent", folder.path().join("agent.sock"));
        assert_eq!(exec(sh("kill -9 $$"), &client, &mut SystemChance).await.unwrap().code, 137);
        let missing = Exec { command: vec!["/no/such/program".into()], ..sh("") };
        assert_eq!(exec(missing, &client, &mut SystemChance).await.unwrap().code, 127);
    }

    #[tokio::test]
    async fn a_time_limit_ends_all_that_the_command_started() {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::new("olog-agent", folder.path().join("agent.sock"));
        let endless = Exec { timeout: Some(Duration::from_millis(200)), ..sh("sleep 1000 & sleep 1000") };
        assert_eq!(exec(endless, &client, &mut SystemChance).await.unwrap().code, 124);
    }

    #[tokio::test]
    async fn what_is_left_behind_with_the_output_does_not_hold_us() {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::new("olog-agent", folder.path().join("agent.sock"));
        let ended = timeout(Duration::from_secs(20), exec(sh("sleep 30 & exit 0"), &client, &mut SystemChance)).await;
        assert_eq!(ended.unwrap().unwrap().code, 0);
    }

    #[tokio::test]
    async fn a_locked_task_is_not_started_a_second_time() {
        let task: TaskName = format!("lock-{}", std::process::id()).parse().unwrap();
        let held = lock(&task).unwrap();
        assert!(matches!(lock(&task), Err(ExecError::Locked(_))));
        drop(held);
        lock(&task).unwrap();
    }
}

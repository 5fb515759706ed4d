use std::path::Path;

use olog_daemon::socket::bind;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    task::JoinSet,
};

use super::*;
use crate::identity::SystemRandom;

fn sh(script: &str) -> Exec {
    let command = ["sh", "-c", script].map(OsString::from).to_vec();
    Exec { task: "backup".parse().unwrap(), timeout: None, lock: false, command, in_terminal: false }
}

/// A machine without an agent: a folder for run files (if `takes_runs`), and places for locks.
struct Machine {
    folder: tempfile::TempDir,
    client: Client,
    clock: Clock,
    runs: &'static str,
}

impl Machine {
    fn new() -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::new("olog-agent", folder.path().join("agent.sock"));
        Machine { folder, client, clock: Clock::system(), runs: "no/state_dir/exec" }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn taking_runs() -> Machine {
        let machine = Machine::new();
        std::fs::create_dir(machine.path().join("exec")).unwrap();
        Machine { runs: "exec", ..machine }
    }

    fn report(&self) -> Report<'_> {
        let locks = Places { root: self.path().join("root"), shared: vec![self.path().to_owned()] };
        Report { folders: vec![self.path().join(self.runs)], locks, agent: &self.client, clock: &self.clock }
    }

    async fn exec(&self, what: Exec) -> Result<ExecResult, ExecError> {
        exec(what, &self.report(), &mut SystemRandom).await
    }

    /// The lines of the only run file.
    fn run_file(&self) -> (Start, Option<End>) {
        let mut files = std::fs::read_dir(self.path().join("exec")).unwrap().map(|entry| entry.unwrap().path());
        let text = std::fs::read_to_string(files.next().expect("a run file")).unwrap();
        assert!(files.next().is_none());
        let mut lines = text.lines();
        let start = serde_json::from_str(lines.next().unwrap()).unwrap();
        (start, lines.next().map(|line| serde_json::from_str(line).unwrap()))
    }
}

fn ended(end: Option<End>) -> runs::Ended {
    match end.expect("an end").how {
        How::Ended(ended) => ended,
        how => panic!("{how:?}"),
    }
}

fn output(ended: &runs::Ended) -> String {
    String::from_utf8(BASE64.decode(&ended.output).unwrap()).unwrap()
}

/// Takes reports over the socket as the agent does.
fn agent(folder: &Path, n: usize) -> JoinSet<Vec<Run>> {
    let listener = bind(&folder.join("agent.sock"), 0o600).unwrap();
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
    tasks
}

#[tokio::test]
async fn without_an_agent_start_and_end_are_on_the_disk_and_the_exit_code_is_passed_on() {
    let machine = Machine::taking_runs();
    let result = machine.exec(sh("echo out; echo err >&2; exit 3")).await.unwrap();
    assert_eq!(result, ExecResult { code: 3, signal: None, complaints: vec![] });
    let (start, end) = machine.run_file();
    assert_eq!((start.task.as_str(), start.uid), ("backup", rustix::process::getuid().as_raw()));
    assert!(end.as_ref().unwrap().at >= start.at);
    let ended = ended(end);
    assert_eq!((ended.exit, ended.signal), (Some(3), None));
    let output = output(&ended);
    assert!(output.contains("out\n") && output.contains("err\n"), "{output}");
}

#[tokio::test]
async fn the_start_is_on_the_disk_before_the_command_begins() {
    let machine = Machine::taking_runs();
    let script = format!("cat {}/exec/run-* >&2; kill -9 $$", machine.path().display());
    let result = machine.exec(sh(&script)).await.unwrap();
    assert_eq!(result.code, 137);
    let ended = ended(machine.run_file().1);
    assert_eq!(ended.signal, Some(9));
    assert!(output(&ended).contains("\"task\":\"backup\""), "the command saw its own run file");
}

#[tokio::test]
async fn where_no_folder_takes_the_run_it_is_reported_over_the_socket() {
    let machine = Machine::new();
    let mut tasks = agent(machine.path(), 2);
    let result = machine.exec(sh("echo out; exit 3")).await.unwrap();
    assert_eq!(result, ExecResult { code: 3, signal: None, complaints: vec![] });
    let runs = tasks.join_next().await.unwrap().unwrap();
    let [Run::Started { task, run }, Run::Ended(end)] = runs.as_slice() else { panic!("{runs:?}") };
    assert_eq!((task.as_str(), run), ("backup", &end.run));
    assert_eq!((end.ended.exit, output(&end.ended).as_str()), (Some(3), "out\n"));
}

#[tokio::test]
async fn where_nothing_takes_the_run_the_command_runs_and_stderr_says_so() {
    let machine = Machine::new();
    let file = machine.path().join("done");
    let result = machine.exec(sh(&format!("touch {}", file.display()))).await.unwrap();
    assert!(file.exists());
    let [complaint] = result.complaints.as_slice() else { panic!("{result:?}") };
    assert!(
        complaint.contains("backup (exit 0) is not recorded") && complaint.contains("is it running"),
        "{complaint}"
    );
}

#[tokio::test]
async fn a_missing_program_has_the_shells_code_and_says_so() {
    let machine = Machine::taking_runs();
    let missing = Exec { command: vec!["/no/such/program".into()], ..sh("") };
    let result = machine.exec(missing).await.unwrap();
    assert_eq!(result.code, 127);
    assert!(result.complaints[0].starts_with("/no/such/program: "), "{result:?}");
    assert_eq!(ended(machine.run_file().1).exit, Some(127));
}

#[tokio::test]
async fn a_time_limit_ends_all_that_the_command_started() {
    let machine = Machine::taking_runs();
    let endless = Exec { timeout: Some(Duration::from_millis(200)), ..sh("sleep 1000 & sleep 1000") };
    assert_eq!(machine.exec(endless).await.unwrap().code, 124);
    assert_eq!(ended(machine.run_file().1).exit, Some(124));
}

#[tokio::test]
async fn what_is_left_behind_with_the_output_does_not_hold_us() {
    let machine = Machine::taking_runs();
    let ended =
        timeout(Duration::from_secs(20), machine.exec(sh("(while :; do echo; sleep .01; done) & exit 0"))).await;
    assert_eq!(ended.unwrap().unwrap().code, 0);
}

#[tokio::test]
async fn a_locked_task_is_not_started_a_second_time_and_that_is_reported() {
    let machine = Machine::taking_runs();
    let task: TaskName = "backup".parse().unwrap();
    let held = lock::take(&task, At(1_764_201_600_000), &machine.report().locks, &mut SystemRandom).unwrap();
    let second = machine.exec(Exec { lock: true, ..sh("exit 0") }).await.unwrap_err();
    assert_eq!(second.to_string(), "backup is still running since 2025-11-27T00:00:00Z: not started a second time");
    let (_, end) = machine.run_file();
    assert_eq!(end.unwrap().how, How::NotStarted { running_since: Some(At(1_764_201_600_000)) });
    drop(held);
    assert_eq!(machine.exec(Exec { lock: true, ..sh("exit 0") }).await.unwrap().code, 0);
}

#[tokio::test]
async fn a_job_that_is_not_started_because_no_lock_can_be_taken_is_reported_as_failed() {
    let machine = Machine::taking_runs();
    let locks = Places { root: "/no/such/folder/root".into(), shared: vec!["/no/such/folder".into()] };
    let report = Report { locks, ..machine.report() };
    let error = exec(Exec { lock: true, ..sh("exit 0") }, &report, &mut SystemRandom).await.unwrap_err();
    assert!(matches!(error, ExecError::Lock { .. }), "{error:?}");
    let ended = ended(machine.run_file().1);
    assert_eq!(ended.exit, Some(1));
    assert!(output(&ended).starts_with("the lock cannot be taken"), "{}", output(&ended));
}

#[tokio::test]
async fn a_folder_that_another_user_made_is_no_lock() {
    let machine = Machine::taking_runs();
    let uid = rustix::process::geteuid().as_raw();
    // As if another user had been first: a link to a folder of ours, and a folder into which anybody may write.
    std::os::unix::fs::symlink(machine.path(), machine.path().join(format!("lock-{uid}-0"))).unwrap();
    let open = machine.path().join(format!("lock-{uid}-1"));
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let locks = Places { root: "/no/such/folder/root".into(), shared: vec![machine.path().to_owned()] };
    let task: TaskName = "backup".parse().unwrap();
    let held = lock::take(&task, At(1), &locks, &mut SystemRandom).unwrap();
    assert!(std::fs::read_dir(&open).unwrap().next().is_none());
    assert!(matches!(lock::take(&task, At(2), &locks, &mut SystemRandom), Err(LockError::Held { since: Some(At(1)) })));
    lock::take(&"other".parse().unwrap(), At(2), &locks, &mut SystemRandom).unwrap();
    drop(held);
    lock::take(&task, At(3), &locks, &mut SystemRandom).unwrap();
}

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
    Exec {
        task: "backup".parse().unwrap(),
        timeout: None,
        lock: false,
        quiet: false,
        command,
        in_terminal: false,
        language: Language::En,
    }
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
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        let client = Client::new("olog-agent", folder.path().join("agent.sock"));
        Machine { folder, client, clock: Clock::system(), runs: "no/state_dir/exec" }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// As a user sees it who has no log dir either.
    fn without_log_dir() -> Machine {
        let machine = Machine::new();
        std::fs::remove_dir(machine.path().join("logs")).unwrap();
        machine
    }

    /// A file in the log dir.
    fn kept(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join("logs").join(name)).unwrap()
    }

    fn taking_runs() -> Machine {
        let machine = Machine::new();
        std::fs::create_dir(machine.path().join("exec")).unwrap();
        Machine { runs: "exec", ..machine }
    }

    fn report(&self) -> Report<'_> {
        let locks = Places { root: self.path().join("root"), shared: vec![self.path().to_owned()] };
        let (log_dirs, redactor) = (vec![self.path().join("logs")], Redactor::default());
        Report {
            folders: vec![self.path().join(self.runs)],
            log_dirs,
            redactor,
            locks,
            agent: &self.client,
            clock: &self.clock,
        }
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

fn ended(end: Option<End>) -> runs::RunEnd {
    match end.expect("an end").how {
        How::RunEnd(ended) => ended,
        how => panic!("{how:?}"),
    }
}

fn output(ended: &runs::RunEnd) -> String {
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
    let machine = Machine::without_log_dir();
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
    let held = lock::take(&task, Timestamp(1_764_201_600_000), &machine.report().locks, &mut SystemRandom).unwrap();
    let second = machine.exec(Exec { lock: true, ..sh("exit 0") }).await.unwrap_err();
    assert_eq!(second.to_string(), "backup is still running since 2025-11-27T00:00:00Z: not started a second time");
    let (_, end) = machine.run_file();
    assert_eq!(end.unwrap().how, How::NotStarted { running_since: Some(Timestamp(1_764_201_600_000)) });
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
    std::os::unix::fs::symlink(machine.path(), machine.path().join(format!("lock-{uid}"))).unwrap();
    let open = machine.path().join(format!("lock-{uid}-1"));
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    let locks = Places { root: "/no/such/folder/root".into(), shared: vec![machine.path().to_owned()] };
    let task: TaskName = "backup".parse().unwrap();
    let held = lock::take(&task, Timestamp(1), &locks, &mut SystemRandom).unwrap();
    assert!(std::fs::read_dir(&open).unwrap().next().is_none());
    assert!(matches!(
        lock::take(&task, Timestamp(2), &locks, &mut SystemRandom),
        Err(LockError::Held { since: Some(Timestamp(1)) })
    ));
    lock::take(&"other".parse().unwrap(), Timestamp(2), &locks, &mut SystemRandom).unwrap();
    drop(held);
    lock::take(&task, Timestamp(3), &locks, &mut SystemRandom).unwrap();
}

#[tokio::test]
async fn the_output_of_a_failed_run_is_kept_with_how_it_ended_and_the_command_without_its_secrets() {
    let machine = Machine::taking_runs();
    let command = ["sh", "-c", "echo out; echo err >&2; exit 3", "mysqldump", "--password=hunter2pass", "a b"];
    let failing = Exec { command: command.map(OsString::from).to_vec(), ..sh("") };
    assert_eq!(machine.exec(failing).await.unwrap().complaints, Vec::<String>::new());
    let kept = machine.kept("backup.err");
    let lines: Vec<&str> = kept.lines().collect();
    let [first, one, two, how, who] = lines.as_slice() else { panic!("{kept}") };
    assert!(first.starts_with("# olog-agent exec: reported run ") && first.ends_with(" of backup"), "{first}");
    let mut written = [*one, *two];
    written.sort_unstable();
    assert_eq!(written, ["err", "out"]);
    assert!(how.starts_with("# exit status 3 after "), "{how}");
    assert!(who.contains(&format!("({}): sh -c ", rustix::process::getuid().as_raw())), "{who}");
    assert!(who.ends_with("mysqldump --password=*** 'a b'"), "{who}");
    assert!(!kept.contains("hunter2pass"), "{kept}");
}

#[tokio::test]
async fn a_good_run_is_kept_beside_the_failed_one_before_it() {
    let machine = Machine::taking_runs();
    machine.exec(sh("echo broken; exit 1")).await.unwrap();
    machine.exec(sh("echo fine")).await.unwrap();
    assert!(machine.kept("backup.log").contains("\nfine\n# exit status 0 after "), "{}", machine.kept("backup.log"));
    assert!(machine.kept("backup.err").contains("broken"));
}

#[tokio::test]
async fn a_command_that_the_kernel_kills_for_want_of_memory_is_kept_with_its_signal() {
    let machine = Machine::taking_runs();
    let result = machine.exec(sh("echo begun; kill -9 $$")).await.unwrap();
    assert_eq!((result.code, result.signal), (137, Some(9)));
    assert!(machine.kept("backup.err").contains("begun\n# signal 9 after "), "{}", machine.kept("backup.err"));
}

#[tokio::test]
async fn a_command_that_is_missing_or_runs_into_its_time_limit_is_kept_with_the_reason() {
    let machine = Machine::taking_runs();
    machine.exec(Exec { command: vec!["/no/such/program".into()], ..sh("") }).await.unwrap();
    let kept = machine.kept("backup.err");
    assert!(kept.contains("/no/such/program: No such file") && kept.contains("# exit status 127 after "), "{kept}");
    let slow = Exec { timeout: Some(Duration::from_millis(100)), ..sh("echo slow; sleep 1000") };
    machine.exec(slow).await.unwrap();
    let kept = machine.kept("backup.err");
    assert!(kept.contains("\nslow\n# ") && kept.contains("; ended by its time limit\n"), "{kept}");
}

#[tokio::test]
async fn a_command_that_closes_its_outputs_is_followed_to_its_end() {
    let machine = Machine::taking_runs();
    let result = machine.exec(sh("echo first; exec >&- 2>&-; sleep 0.2; exit 5")).await.unwrap();
    assert_eq!(result, ExecResult { code: 5, signal: None, complaints: vec![] });
    assert!(machine.kept("backup.err").contains("first\n# exit status 5"));
}

#[tokio::test]
async fn without_a_log_dir_the_run_is_recorded_and_stderr_says_that_the_output_is_not_kept() {
    let machine = Machine { runs: "exec", ..Machine::without_log_dir() };
    std::fs::create_dir(machine.path().join("exec")).unwrap();
    let result = machine.exec(sh("exit 4")).await.unwrap();
    assert_eq!(result.code, 4);
    let [complaint] = result.complaints.as_slice() else { panic!("{result:?}") };
    assert!(complaint.starts_with("the output of backup is not kept: ") && complaint.contains("No such file"));
    assert_eq!(ended(machine.run_file().1).exit, Some(4));
    let quiet = Exec { quiet: true, ..sh("exit 0") };
    assert_eq!(machine.exec(quiet).await.unwrap().complaints, Vec::<String>::new(), "it succeeded");
}

#[tokio::test]
async fn with_quiet_a_run_that_nobody_hears_of_is_said_all_the_same() {
    let machine = Machine::without_log_dir();
    let complaints = machine.exec(Exec { quiet: true, ..sh("exit 0") }).await.unwrap().complaints;
    assert!(complaints[0].contains("is not recorded"), "{complaints:?}");
}

#[tokio::test]
async fn where_no_folder_takes_the_run_and_no_agent_answers_the_kept_file_is_the_report() {
    let machine = Machine::new();
    assert_eq!(machine.exec(sh("echo broken; exit 3")).await.unwrap().complaints, Vec::<String>::new());
    assert!(machine.kept("backup.err").starts_with("# olog-agent exec: run "), "the watcher reads it");
    machine.exec(sh("echo fine")).await.unwrap();
    assert!(!machine.path().join("logs/backup.err").exists(), "that it is gone is how its end is told");
    assert!(machine.kept("backup.log").contains("fine"));
}

//! The real program, called by somebody who may not: what it says, and that it changes nothing. Needs root, to become nobody.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says why it is skipped")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const NOBODY: u32 = 65_534;
/// Of a hub where nobody listens.
const LINK: &str = "http://127.0.0.1:1/join#";

/// A folder that others may look into, with the program in it; none, unless this is root.
fn stage() -> Option<tempfile::TempDir> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become nobody");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // By a process of its own: a file that is open for writing here would be so in what another test starts at that instant, and
    // could not be executed ("text file busy").
    let copied =
        Command::new("cp").arg(env!("CARGO_BIN_EXE_olog-agent")).arg(folder.path().join("olog-agent")).status();
    assert!(copied.unwrap().success());
    Some(folder)
}

fn agent(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(folder.join("olog-agent"));
    command.args(arguments).env_clear().env("LANG", "C").current_dir("/");
    command.stdin(Stdio::null());
    command
}

fn as_nobody(folder: &Path, arguments: &[&str]) -> Output {
    agent(folder, arguments).uid(NOBODY).gid(NOBODY).output().unwrap()
}

fn config(folder: &Path, text: &str) -> String {
    let path = folder.join("agent.toml");
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// As `olog-hub join-link` prints one, for whoever takes nothing of it.
fn link() -> String {
    let link = olog_proto::JoinLink {
        base: "http://127.0.0.1:1".into(),
        secret: olog_proto::identity::JoinSecret([3; 16]),
        hub: olog_proto::SecretKey::from_seed([9; 32]).public().fingerprint(),
        tls: None,
    };
    let text = link.to_string();
    assert!(text.starts_with(LINK), "{text}");
    text
}

#[track_caller]
fn says(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

#[test]
fn nobody_can_neither_run_nor_join_on_a_state_dir_of_others_and_is_told_what_to_set() {
    let Some(stage) = stage() else { return };
    let folder = stage.path();
    fs::create_dir(folder.join("logs")).unwrap();
    let state = folder.join("made/by/root");
    let file =
        config(folder, &format!("state_dir = '{}'\nlog_dirs = ['{}']", state.display(), folder.join("logs").display()));
    let words = ["permission denied", "state_dir", "--config", "become root"];
    says(&as_nobody(folder, &["--config", &file, "run"]), 1, &words);
    says(&as_nobody(folder, &["--config", &file, "join", &link()]), 1, &words);
    assert!(!state.exists());
    // There, and not for others to read.
    fs::create_dir_all(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    says(&as_nobody(folder, &["--config", &file, "run"]), 1, &words);
    says(&as_nobody(folder, &["--config", &file, "join", &link()]), 1, &words);
    says(&as_nobody(folder, &["--config", &file, "status"]), 1, &["olog-agent"]);
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
}

#[test]
fn a_job_of_nobody_runs_although_the_secrets_are_not_for_nobody_to_read() {
    let Some(stage) = stage() else { return };
    let folder = stage.path();
    let secrets = folder.join("secrets/agent");
    fs::create_dir_all(&secrets).unwrap();
    fs::write(secrets.join("t"), "AT_aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o750)).unwrap();
    let socket = folder.join("agent.sock");
    let file = config(
        folder,
        &format!(
            "socket = '{}'\nstate_dir = '{}'\n[[push.channel]]\nname = 'me'\ntype = 'wxpusher'\ntoken_file = 't'\nuids = ['UID_x']\n",
            socket.display(),
            folder.join("state").display()
        ),
    );
    let ran = as_nobody(folder, &["--config", &file, "exec", "--task", "backup", "--", "sh", "-c", "exit 3"]);
    says(&ran, 3, &["not recorded", &socket.display().to_string()]);
    says(&as_nobody(folder, &["--config", &file, "status"]), 1, &[&socket.display().to_string()]);
    says(&as_nobody(folder, &["--config", &file, "check"]), 78, &["Permission denied", "become root"]);
}

#[test]
fn what_root_makes_at_a_join_is_readable_by_whoever_owns_the_state_dir() {
    let Some(stage) = stage() else { return };
    let folder = stage.path();
    let state = folder.join("state");
    fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, Some(NOBODY), Some(NOBODY)).unwrap();
    let file = config(folder, &format!("state_dir = '{}'", state.display()));
    // Nobody answers there: the key is made all the same.
    says(&agent(folder, &["--config", &file, "join", &link()]).output().unwrap(), 1, &["TCP", "connection refused"]);
    for entry in fs::read_dir(&state).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), NOBODY, "{:?}", entry.file_name());
    }
    assert_eq!(fs::metadata(state.join("device.key")).unwrap().mode() & 0o777, 0o600);
}

#[test]
fn a_user_of_the_machine_runs_an_agent_of_his_own() {
    let Some(stage) = stage() else { return };
    let folder = stage.path();
    let own = folder.join("own");
    fs::create_dir(&own).unwrap();
    std::os::unix::fs::chown(&own, Some(NOBODY), Some(NOBODY)).unwrap();
    let place = own.display();
    let file = config(folder, &format!("state_dir = '{place}/state'\nsocket = '{place}/s'\nlog_dirs = ['{place}']"));
    let mut running = agent(folder, &["--config", &file, "run"]);
    let mut running = running.uid(NOBODY).gid(NOBODY).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = std::io::BufReader::new(running.stderr.take().unwrap());
    let started = std::io::BufRead::lines(stderr).map(Result::unwrap).find(|line| line.contains("started"));
    let status = as_nobody(folder, &["--config", &file, "status"]);
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(started.unwrap().contains("not joined: run `olog-agent join`"));
    says(&status, 0, &["not joined"]);
}

#[test]
fn a_log_that_the_journal_cannot_take_goes_to_stderr() {
    let folder = tempfile::tempdir().unwrap();
    if Path::new("/run/systemd/journal/socket").exists() {
        eprintln!("skipped: there is a journal here");
        return;
    }
    let place = folder.path().display();
    let file = config(folder.path(), &format!("state_dir = '{place}/state'\nlog_dirs = ['{place}']"));
    let stderr = fs::File::create(folder.path().join("stderr")).unwrap();
    let found = stderr.metadata().unwrap();
    let mut running = Command::new(env!("CARGO_BIN_EXE_olog-agent"))
        .args(["--config", &file, "run"])
        .env("JOURNAL_STREAM", format!("{}:{}", found.dev(), found.ino()))
        .stderr(stderr)
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(folder.path().join("stderr")).unwrap();
    let started = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        said().contains("started")
    });
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(started, "{}", said());
}

#[test]
fn a_state_folder_of_a_newer_version_is_refused_in_words_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let place = folder.path().display();
    let file = config(folder.path(), &format!("state_dir = '{}'\nlog_dirs = ['{place}']", state.display()));
    let agent = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_olog-agent"));
        command.args(["--config", &file]).args(arguments).stdin(Stdio::null()).output().unwrap()
    };
    // Nobody answers: the spool is made all the same.
    says(&agent(&["join", &link()]), 1, &["TCP"]);
    let spool = state.join("spool.db");
    let mut bytes = fs::read(&spool).unwrap();
    // The user version in the header of the format (sqlite.org/fileformat2.html, offset 60).
    bytes[63] = 99;
    fs::write(&spool, &bytes).unwrap();
    let words = ["spool.db is of version 99", "install the newer olog-agent again", "nothing was changed"];
    says(&agent(&["run"]), 1, &words);
    says(&agent(&["join", &link()]), 1, &words);
    assert!(fs::read(&spool).unwrap() == bytes);
}

#[test]
fn a_state_dir_on_a_read_only_disk_is_told_as_that() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    fs::create_dir(&state).unwrap();
    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).arg(&state).stderr(Stdio::null()).status();
    if !mount(&["-t", "tmpfs", "-o", "size=4m", "x"]).unwrap().success() {
        eprintln!("skipped: needs the right to mount");
        return;
    }
    let file = config(folder.path(), &format!("state_dir = '{}'\nlog_dirs = ['/no/such/folder']", state.display()));
    let agent = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_olog-agent"));
        command.args(["--config", &file]).args(arguments).stdin(Stdio::null()).output().unwrap()
    };
    let first = agent(&["join", &link()]);
    assert!(mount(&["-o", "remount,ro"]).unwrap().success());
    let (run, join) = (agent(&["run"]), agent(&["join", &link()]));
    assert!(Command::new("umount").arg("-l").arg(&state).status().unwrap().success());
    says(&first, 1, &["TCP"]);
    says(&run, 1, &["spool.db", "Read-only file system"]);
    says(&join, 1, &["spool.db", "Read-only file system"]);
}

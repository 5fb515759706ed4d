//! The real program, where it may not or cannot: what it says, and that it changes nothing. To become nobody it needs root.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says why it is skipped")]

use std::fs;
use std::io::BufRead as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const NOBODY: u32 = 65_534;

/// A folder that others may look into, with the program in it.
fn stage() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // By a process of its own: a file that is open for writing here would be so in what another test starts at that instant, and
    // could not be executed ("text file busy").
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_olog-hub")).arg(folder.path().join("olog-hub")).status();
    assert!(copied.unwrap().success());
    folder
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: only root can become nobody");
    }
    is_root
}

fn config(folder: &Path, listen: &str) -> String {
    let (path, place) = (folder.join("hub.toml"), folder.display());
    let text = format!(
        "listen = '{listen}'\nstate_dir = '{place}/own/state'\nsocket = '{place}/own/hub.sock'\nlanguage = 'en'\ntimezone = 'UTC'\n"
    );
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn hub(folder: &Path, file: &str) -> Command {
    let mut command = Command::new(folder.join("olog-hub"));
    command.args(["--config", file, "run"]).env_clear().env("LANG", "C").current_dir("/").stdin(Stdio::null());
    command
}

#[track_caller]
fn says(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

/// Runs it until it says that it runs, then ends it in order.
#[track_caller]
fn runs(mut command: Command) {
    let mut running = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(running.stderr.take().unwrap()).lines().map(Result::unwrap);
    let mut said = String::new();
    let is_up = lines.by_ref().inspect(|line| said += line).any(|line| line.contains("the hub runs"));
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    lines.for_each(drop);
    assert!(running.wait().unwrap().success() && is_up, "{said}");
}

#[test]
fn nobody_cannot_run_a_hub_in_a_folder_of_others_and_is_told_what_to_set() {
    if !is_root() {
        return;
    }
    let stage = stage();
    let file = config(stage.path(), "127.0.0.1:0");
    let words = ["permission denied", "become root", "`state_dir`", "--config"];
    let as_nobody = || hub(stage.path(), &file).uid(NOBODY).gid(NOBODY).output().unwrap();
    says(&as_nobody(), 1, &words);
    let state = stage.path().join("own/state");
    assert!(!state.exists());
    fs::create_dir_all(&state).unwrap();
    says(&as_nobody(), 1, &words);
    assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
}

#[test]
fn a_user_of_the_machine_runs_a_hub_of_his_own() {
    if !is_root() {
        return;
    }
    let stage = stage();
    let file = config(stage.path(), "127.0.0.1:0");
    fs::create_dir(stage.path().join("own")).unwrap();
    std::os::unix::fs::chown(stage.path().join("own"), Some(NOBODY), Some(NOBODY)).unwrap();
    let mut command = hub(stage.path(), &file);
    command.uid(NOBODY).gid(NOBODY);
    runs(command);
}

#[test]
fn a_store_of_a_newer_version_is_refused_in_words_and_left_as_it_was() {
    let stage = stage();
    let file = config(stage.path(), "127.0.0.1:0");
    runs(hub(stage.path(), &file));
    let path = stage.path().join("own/state/olog.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    let newer =
        "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (999, 'later', '', '0')";
    db.execute(newer, []).unwrap();
    let words = ["is of version 999", "install the newer olog-hub again", "nothing was changed"];
    // Somebody else still has it open: what was written last stands in the log beside it.
    let log = path.with_extension("db-wal");
    let before = (fs::read(&path).unwrap(), fs::read(&log).unwrap());
    assert!(!before.1.is_empty());
    says(&hub(stage.path(), &file).output().unwrap(), 1, &words);
    assert!((fs::read(&path).unwrap(), fs::read(&log).unwrap()) == before);
    db.close().unwrap();
    let before = fs::read(&path).unwrap();
    says(&hub(stage.path(), &file).output().unwrap(), 1, &words);
    assert!(fs::read(&path).unwrap() == before && !log.exists());
}

#[test]
fn a_port_that_another_program_has_is_named() {
    let stage = stage();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let file = config(stage.path(), &address.to_string());
    let words = [address.to_string(), format!("another program has port {}", address.port())];
    says(&hub(stage.path(), &file).output().unwrap(), 1, &words.each_ref().map(String::as_str));
}

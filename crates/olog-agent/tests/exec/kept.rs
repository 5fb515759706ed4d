//! What `exec` keeps in the log dir and shows with `--quiet`; commands that write without end, close their outputs, or leave a daemon behind.

use std::{
    fs,
    process::{Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{World, wait_for};

fn said(command: &mut Command) -> (Option<i32>, String, String) {
    let out = command.output().unwrap();
    (out.status.code(), String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
}

#[test]
fn with_quiet_nothing_is_shown_of_a_command_that_succeeds() {
    let world = World::with_folder();
    let mut fine = world.exec_with(&["--quiet"], "t", "echo out; echo err >&2");
    assert_eq!(said(&mut fine), (Some(0), String::new(), String::new()));
    assert!(world.kept("t.log").contains("out\n"));
}

#[test]
fn with_quiet_a_command_that_fails_shows_everything_where_it_belongs() {
    let world = World::with_folder();
    let mut failing = world.exec_with(&["--quiet"], "t", "echo out; echo err >&2; echo more; exit 3");
    assert_eq!(said(&mut failing), (Some(3), "out\nmore\n".into(), "err\n".into()));
    let mut killed = world.exec_with(&["--quiet"], "t", "echo out; kill -9 $$");
    assert_eq!(said(&mut killed), (Some(137), "out\n".into(), String::new()));
    let mut missing = world.exec_with(&["--quiet"], "t", "/no/such/program");
    let (code, _, err) = said(&mut missing);
    assert!(code == Some(127) && err.contains("/no/such/program"), "{err}");
}

#[test]
fn with_quiet_a_reader_that_is_gone_changes_no_exit_code() {
    let world = World::with_folder();
    let mut running = world.exec_with(&["--quiet"], "t", "echo out; exit 3").stdout(Stdio::piped()).spawn().unwrap();
    drop(running.stdout.take());
    assert_eq!(running.wait().unwrap().code(), Some(3));
}

#[test]
fn a_gigabyte_of_output_takes_bounded_memory_and_a_bounded_file() {
    let world = World::with_folder();
    for options in [[].as_slice(), &["--quiet"]] {
        let script = "echo first; head -c 1G /dev/zero | tr '\\0' '\\n'; grep VmHWM /proc/$PPID/status; exit 1";
        let mut command = world.exec_with(options, "t", script);
        assert_eq!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().code(), Some(1));
        let kept = world.kept("t.err");
        assert!(kept.len() < 1_100_000, "{} bytes", kept.len());
        assert!(kept.contains("of t\nfirst\n") && kept.contains(" bytes are left out here …\n"));
        let peak = kept.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 100_000, "{peak} KiB, {options:?}");
    }
}

#[test]
fn a_daemon_that_keeps_the_outputs_open_is_not_waited_for_and_goes_on() {
    let world = World::with_folder();
    // 1,000 s: a test that waits for the daemon does not end.
    let (code, out, _) = said(&mut world.exec("t", "sleep 1000 & echo $!"));
    assert_eq!(code, Some(0));
    let daemon = Pid::from_raw(out.trim().parse().unwrap()).unwrap();
    kill_process(daemon, Signal::KILL).expect("it still runs");
}

#[test]
fn where_the_log_dir_is_on_a_full_disk_the_run_is_recorded_and_stderr_says_so() {
    let world = World::with_folder();
    let logs = world.path("logs");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(&logs).output();
    if !mounted.is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: this user may not mount a tmpfs");
        return;
    }
    fs::write(logs.join("ballast"), vec![0; 1 << 20]).unwrap_err();
    let (code, out, err) = said(&mut world.exec("t", "echo out; exit 3"));
    let left: Vec<_> = fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    Command::new("umount").arg("-l").arg(&logs).status().unwrap();
    assert_eq!((code, out.as_str()), (Some(3), "out\n"));
    assert!(err.contains("the output of t is not kept: ") && err.contains("No space left"), "{err}");
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{left:?}");
    assert_eq!(fs::read_dir(world.path("state/exec")).unwrap().count(), 1, "the run file");
}

#[test]
fn a_failure_whose_output_is_kept_in_a_watched_folder_is_told_once() {
    let mut world = World::new();
    world.start_agent();
    for (task, script) in [("t", "echo broken; exit 3"), ("t", "echo broken again; exit 3"), ("t", "echo fine")] {
        world.exec(task, script).stdout(Stdio::null()).status().unwrap();
    }
    wait_for("the ends", || world.status()["last"] == 6);
    // What is written after it is told after it.
    fs::write(world.path("logs/other.err"), "other\n").unwrap();
    wait_for("the other file", || world.status()["last"].as_u64().unwrap() >= 7);
    fs::remove_file(world.path("logs/t.err")).unwrap();
    fs::write(world.path("logs/last.err"), "last\n").unwrap();
    wait_for("the last file", || world.status()["last"].as_u64().unwrap() >= 8);
    let events = world.spooled();
    let kinds: Vec<&str> =
        events.iter().flat_map(|event| event["what"].as_object().unwrap().keys()).map(String::as_str).collect();
    let run = ["run_started", "run_ended"];
    assert_eq!(kinds, [run, run, run, ["text", "text"]].concat(), "{events:?}");
}

#[test]
fn a_run_that_only_its_kept_file_reports_is_told_by_the_watcher() {
    let mut world = World::new();
    // As a user has it whose agent belongs to somebody else: no folder for run files, no agent.
    let text = fs::read_to_string(world.path("agent.toml")).unwrap();
    let elsewhere = text.replace(&world.path("state").display().to_string(), "/no/such/folder");
    fs::write(world.path("other.toml"), elsewhere).unwrap();
    let mut exec = Command::new(env!("CARGO_BIN_EXE_olog-agent"));
    exec.arg("--config").arg(world.path("other.toml")).args(["exec", "--task", "t", "--", "sh", "-c"]);
    world.start_agent();
    // The agent answers, but not on the socket that this user's configuration names.
    let text = fs::read_to_string(world.path("other.toml")).unwrap().replace("agent.sock", "no.sock");
    fs::write(world.path("other.toml"), text).unwrap();
    let (code, _, err) = said(exec.arg("echo broken; exit 3"));
    assert_eq!((code, err.as_str()), (Some(3), ""));
    wait_for("the file", || world.status()["last"] == 1);
    let text = world.spooled()[0]["what"]["text"].clone();
    assert_eq!((text["file"]["task"].as_str(), text["file"]["suffix"].as_str()), (Some("t"), Some("err")));
    let excerpt = text["excerpt"]["head"].as_str().unwrap();
    assert!(excerpt.contains("broken") && excerpt.contains("exit status 3"), "{excerpt}");
}

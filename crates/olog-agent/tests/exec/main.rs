//! `olog-agent exec` as a process: beside an agent that comes and goes, in a terminal, with signals and slow readers. And `scan --dry-run`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod kept;
mod scan;
mod terminal;
mod world;

use std::{
    io::{Read as _, Write as _},
    os::unix::process::ExitStatusExt as _,
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};

use world::{World, wait_for};

#[test]
fn a_run_that_fails_while_the_agent_is_down_is_told_when_it_is_back() {
    let mut world = World::new();
    world.start_agent();
    let mut running = world.exec("long2", "read x; exit 2").stdin(Stdio::piped()).spawn().unwrap();
    wait_for("the start", || world.status()["last"] == 1);
    assert_eq!(world.status()["runs"][0]["task"], "long2");
    world.stop_agent();
    running.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(2));
    world.start_agent();
    wait_for("the end", || world.status()["last"] == 2);
    let ended = world.spooled();
    assert_eq!(ended[1]["what"]["run_ended"]["exit"], 2, "{ended:?}");
    assert!(world.status()["runs"].as_array().unwrap().is_empty());
}

#[test]
fn a_run_that_was_started_and_ended_without_an_agent_is_told_with_its_own_times() {
    let mut world = World::new();
    world.start_agent();
    world.stop_agent();
    let out = world.exec("t", "exit 7").output().unwrap();
    assert_eq!((out.status.code(), String::from_utf8_lossy(&out.stderr).as_ref()), (Some(7), ""));
    let ended_by = world.now();
    world.start_agent();
    wait_for("both events", || world.status()["last"] == 2);
    let events = world.spooled();
    assert!(events.iter().all(|event| event["at"].as_i64().unwrap() <= ended_by), "{events:?}");
    assert_eq!(events[1]["what"]["run_ended"]["exit"], 7);
}

#[test]
fn a_run_whose_exec_is_killed_is_told_as_not_good() {
    let mut world = World::new();
    world.start_agent();
    let mut running = world.exec("t", "exec sleep 1000").spawn().unwrap();
    wait_for("the start", || world.status()["last"] == 1);
    running.kill().unwrap();
    running.wait().unwrap();
    wait_for("its end", || world.status()["last"] == 2);
    let ended = &world.spooled()[1]["what"]["run_ended"];
    assert!(ended["exit"].is_null() && ended["signal"].is_null(), "{ended:?}");
    assert!(ended["excerpt"]["head"].as_str().unwrap().contains("was killed"), "{ended:?}");
}

#[test]
fn signals_are_forwarded_to_the_command() {
    let world = World::with_folder();
    for (signal, name) in [
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::ALARM, "ALRM"),
        (Signal::SYS, "SYS"),
    ] {
        // Under nohup the tests inherit an ignored SIGHUP, and so does the command.
        if world::is_ignored(signal) {
            continue;
        }
        let script = format!("trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.05; done");
        let mut running = world.exec("t", &script).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = running.stdout.take().unwrap();
        let mut first = [0; 6];
        out.read_exact(&mut first).unwrap();
        kill_process(Pid::from_child(&running), signal).unwrap();
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), running.wait().unwrap().code()), (format!("got {name}\n").as_str(), Some(9)));
    }
}

#[test]
fn real_time_signals_are_forwarded_too() {
    let world = World::with_folder();
    let script = "trap 'echo got it; exit 9' 42; echo ready; while :; do sleep 0.05; done";
    let mut running = world.exec("t", script).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = running.stdout.take().unwrap();
    out.read_exact(&mut [0; 6]).unwrap();
    let kill = format!("kill -42 {}", running.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), running.wait().unwrap().code()), ("got it\n", Some(9)));
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    let world = World::with_folder();
    let mut command = std::process::Command::new("sh");
    let exec = world.exec("t", "kill -HUP $$; echo alive");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(exec.get_program()).args(exec.get_args());
    let out = command.output().unwrap();
    assert_eq!((String::from_utf8_lossy(&out.stdout).as_ref(), out.status.code()), ("alive\n", Some(0)));
}

#[test]
fn a_parent_that_ignores_the_end_of_its_children_hides_no_exit_code() {
    let world = World::with_folder();
    let mut command = std::process::Command::new("bash");
    let exec = world.exec("t", "exit 3");
    command.args(["-c", "trap '' CHLD; exec \"$0\" \"$@\""]).arg(exec.get_program()).args(exec.get_args());
    assert_eq!(command.output().unwrap().status.code(), Some(3));
}

#[test]
fn a_slow_reader_gets_all_that_the_command_wrote() {
    let world = World::with_folder();
    // More than a pipe holds, and the command ends at once after its last byte.
    let script = "head -c 200000 /dev/zero | tr '\\0' x; echo last";
    let mut running = world.exec("t", script).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = running.stdout.take().unwrap();
    let mut n = 0;
    let mut all = vec![0; 8192];
    let mut end = Vec::new();
    loop {
        // Slower than the grace for what a command leaves behind, over all: the pipe is full all the time.
        std::thread::sleep(std::time::Duration::from_millis(80));
        let read = out.read(&mut all).unwrap();
        if read == 0 {
            break;
        }
        n += read;
        end = all[..read].to_vec();
    }
    assert_eq!(n, 200_005);
    assert!(end.ends_with(b"last\n"));
    assert!(running.wait().unwrap().success());
}

#[test]
fn the_agent_hears_the_end_before_a_reader_that_is_stuck() {
    let mut world = World::new();
    world.start_agent();
    let mut running = world.exec("t", "head -c 100000 /dev/zero; exit 3").stdout(Stdio::piped()).spawn().unwrap();
    let mut out = running.stdout.take().unwrap();
    // Our pipe takes 64 KiB of it; the command's pipe the rest, so that it ends.
    wait_for("the end", || world.status()["last"] == 2);
    assert!(running.try_wait().unwrap().is_none(), "it still has output to pass on");
    let mut all = Vec::new();
    out.read_to_end(&mut all).unwrap();
    assert_eq!((all.len(), running.wait().unwrap().code()), (100_000, Some(3)));
}

#[test]
fn a_command_whose_reader_is_gone_ends_as_without_us() {
    let world = World::with_folder();
    let mut running = world.exec("t", "exec yes").stdout(Stdio::piped()).spawn().unwrap();
    let mut out = running.stdout.take().unwrap();
    out.read_exact(&mut [0; 100]).unwrap();
    drop(out);
    assert_eq!(running.wait().unwrap().code(), Some(128 + Signal::PIPE.as_raw()));
}

#[test]
fn an_agent_that_hangs_does_not_hold_the_job() {
    let world = World::with_folder();
    // Somebody accepts nothing on its socket.
    let _hanging = std::os::unix::net::UnixListener::bind(world.path("agent.sock")).unwrap();
    let out = world.exec("t", "echo out").output().unwrap();
    assert_eq!((out.status.code(), out.stdout.as_slice()), (Some(0), b"out\n".as_slice()));
    assert_eq!(out.status.signal(), None);
}

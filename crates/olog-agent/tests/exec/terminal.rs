//! In a real terminal, made by Python's pty(7): a session of its own whose controlling terminal it is.

use std::process::{Command, Stdio};

use super::world::World;

/// A program that runs a command in a new terminal: `EXPECT` (text to wait for) and `SEND` (bytes) in turns, then prints
/// everything and how it ended.
const DRIVER: &str = r#"
import os, pty, select, signal, sys, time
script, command = eval(sys.argv[1]), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    # What starts the tests in the background ignores them, and a terminal's own shell does not.
    for ignored in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_DFL)
    os.execvp(command[0], command)
seen = b""
def read():
    global seen
    if not select.select([fd], [], [], 60)[0]:
        print("waited in vain after", seen)
        os.kill(pid, 9)
        sys.exit(1)
    try:
        part = os.read(fd, 65536)
    except OSError:
        part = b""
    seen += part
    return part
at = 0
for expect, send in script:
    while expect not in seen[at:]:
        if not read():
            break
    at = len(seen)
    os.write(fd, send)
while read():
    pass
status = os.waitpid(pid, 0)[1]
sys.stdout.write(seen.decode() + "|")
print("signal %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else "exit %d" % os.WEXITSTATUS(status))
"#;

/// What the terminal showed, and how the command ended. `bash -c SCRIPT` in `exec`, or `outer` with `$EXEC` as its prefix.
fn in_terminal(world: &World, script: &str, turns: &str) -> String {
    in_terminal_with(world, &[], script, turns)
}

fn in_terminal_with(world: &World, options: &[&str], script: &str, turns: &str) -> String {
    let exec = world.exec_with(options, "t", script);
    let mut driver = Command::new("python3");
    driver.args(["-c", DRIVER, turns]).arg(exec.get_program()).args(exec.get_args());
    run(driver)
}

fn run(mut driver: Command) -> String {
    let out = driver.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&out.stdout).replace("\r\n", "\n") + &String::from_utf8_lossy(&out.stderr)
}

#[test]
fn a_command_reads_the_terminal_and_its_exit_code_is_ours() {
    let world = World::with_folder();
    let said = in_terminal(&world, "printf 'name? '; read x; echo got $x; exit 6", "[(b'name?', b'anna\\n')]");
    assert_eq!(said, "name? anna\ngot anna\n|exit 6\n");
}

#[test]
fn a_password_prompt_works_on_the_terminal_itself() {
    let world = World::with_folder();
    let script = "exec </dev/null; stty -echo </dev/tty; printf 'password: ' >/dev/tty; read x </dev/tty; \
                  stty echo </dev/tty; echo \"($x)\"";
    let said = in_terminal(&world, script, "[(b'password:', b'secret\\n')]");
    assert_eq!(said, "password: (secret)\n|exit 0\n");
}

#[test]
fn the_commands_outputs_are_the_terminal() {
    let world = World::with_folder();
    assert_eq!(in_terminal(&world, "test -t 0 && test -t 1 && test -t 2 && echo yes", "[]"), "yes\n|exit 0\n");
}

#[test]
fn ctrl_c_reaches_the_command_once_and_ends_us_as_it_ended_the_command() {
    let world = World::with_folder();
    let said = in_terminal(&world, "stty -echo; echo ready; exec sleep 1000", "[(b'ready', b'\\x03')]");
    assert_eq!(said, "ready\n|signal 2\n");
    let script = "stty -echo; n=0; trap 'n=$((n+1))' INT; echo ready; sleep 1; sleep 1; echo $n times; exit 4";
    let said = in_terminal(&world, script, "[(b'ready', b'\\x03')]");
    assert_eq!(said, "ready\n1 times\n|exit 4\n");
}

#[test]
fn ctrl_z_stops_the_job_and_the_shell_continues_it() {
    let world = World::with_folder();
    let exec = world.exec("t", "echo ready; read x; echo got $x");
    let words: Vec<String> = [exec.get_program()]
        .into_iter()
        .chain(exec.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let line = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect::<Vec<_>>().join(" ");
    let mut driver = Command::new("python3");
    // A shell with job control starts it, says when it has stopped, and brings it back.
    let shell = format!("set -m; {line}; echo shell $?; fg >/dev/null; echo code $?");
    driver.args(["-c", DRIVER, "[(b'ready', b'\\x1a'), (b'shell', b'anna\\n')]", "bash", "-c", &shell]);
    let said = run(driver);
    assert!(said.contains("shell 148\n") && said.contains("got anna\n") && said.contains("code 0\n"), "{said}");
}

#[test]
fn a_run_in_a_terminal_is_reported_with_its_exit_code() {
    let mut world = World::new();
    world.start_agent();
    in_terminal(&world, "echo shown; exit 6", "[]");
    super::wait_for("the end", || world.status()["last"] == 2);
    let ended = &world.spooled()[1]["what"]["run_ended"];
    assert_eq!(ended["exit"], 6);
    assert_eq!(ended["excerpt"]["head"], "exit status 6; its output went to the terminal in which it ran");
}

#[test]
fn with_quiet_the_terminal_shows_what_failed_and_is_still_read() {
    let world = World::with_folder();
    let said = in_terminal_with(&world, &["--quiet"], "echo fine; echo also >&2", "[]");
    assert_eq!(said, "|exit 0\n");
    let script = "echo before; printf 'name? ' >/dev/tty; read x; echo got $x; exit 6";
    let said = in_terminal_with(&world, &["--quiet"], script, "[(b'name?', b'anna\\n')]");
    assert_eq!(said, "name? anna\nbefore\ngot anna\n|exit 6\n");
}

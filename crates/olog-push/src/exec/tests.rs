//! Real programs: a shell that does what a user's script might do.

use olog_daemon::config::{Invalid, read_text};

use super::*;
use crate::Kind;

const NIGHT: Timestamp = Timestamp(1_795_288_264_000);

fn exec(text: &str) -> Result<Exec, Invalid> {
    read_text("hub.toml", text, Exec::parse).map(Option::unwrap)
}

fn shell(script: &str) -> Exec {
    Exec::new("sh".into(), vec![Argument("-c".into()), Argument(script.into())], Input::Json)
}

fn message() -> Message {
    Message {
        title: "ERR comsrv/mysql".into(),
        summary: "ERR comsrv/mysql — gone".into(),
        html: "<p>mysql has just failed.</p>".into(),
        markdown: "**mysql** has just failed.".into(),
        text: "mysql 刚刚出错。".into(),
        about: vec![About {
            kind: Kind::Err,
            device: Some("comsrv".into()),
            task: Some("mysql".into()),
            incident: Some(17),
            at: Timestamp(1_795_288_263_000),
        }],
        link: None,
    }
}

async fn run(exec: &Exec) -> Answer {
    let mut answers = exec.send(&message(), &exec.receivers(), NIGHT).await;
    assert_eq!(answers.len(), 1);
    answers.pop().unwrap().1
}

#[test]
fn a_command_is_a_list_and_its_secrets_are_not_shown() {
    let typed = "command = ['apprise', '-t', '{title}', 'tgram://123:ABCDEF/42', '--token=hunter2']";
    let take = |table: &mut Table| (Exec::parse(table).unwrap(), table.effective_lines());
    let (exec, effective) = read_text("hub.toml", typed, take).unwrap();
    let shown = format!("{effective}{exec:?}");
    assert!(!shown.contains("ABCDEF") && !shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("tgram://…") && shown.contains("--token=…"), "{shown}");
    assert_eq!(exec.receivers(), [Receiver { id: "apprise".into() }]);
}

#[test]
fn every_mistake_says_what_was_expected() {
    for (typed, expected) in [
        ("", "is missing"),
        ("command = []", "a program and its arguments"),
        ("command = ['']", "a program and its arguments"),
        ("command = 'apprise -t x'", "a list of strings"),
        ("command = ['./script']", "its path from /"),
        ("command = ['sh', \"a\\u0000b\"]", "NUL"),
        ("command = ['sh']\nstdin = 'xml'", "json"),
    ] {
        let found = exec(typed).unwrap_err().to_string();
        assert!(found.contains(expected), "{typed}: {found}");
    }
}

#[tokio::test]
async fn the_notification_is_on_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("got");
    let exec = shell(&format!("cat > {}; echo one; echo sent; echo", file.display()));
    assert_eq!(run(&exec).await, Answer::Accepted { words: "sent".into() });
    let got: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let one =
        json!({ "kind": "err", "device": "comsrv", "task": "mysql", "incident": 17, "at": "2026-11-21T19:11:03Z" });
    let mut expected = json!({
        "version": 1, "title": "ERR comsrv/mysql", "summary": "ERR comsrv/mysql — gone", "text": "mysql 刚刚出错。",
        "html": "<p>mysql has just failed.</p>", "markdown": "**mysql** has just failed.", "sent_at": "2026-11-21T19:11:04Z", "about": [one],
    });
    for (key, value) in one.as_object().unwrap() {
        expected[key] = value.clone();
    }
    assert_eq!(got, expected);
    for (form, expected) in [
        (Form::Text, "mysql 刚刚出错。"),
        (Form::Markdown, "**mysql** has just failed."),
        (Form::Html, "<p>mysql has just failed.</p>"),
    ] {
        run(&Exec { input: Input::Form(form), ..exec.clone() }).await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
    }
}

#[tokio::test]
async fn an_exit_code_is_an_answer() {
    let refused = |class, why: &str| Answer::Refused { class, why: why.into() };
    for (script, expected) in [
        ("exit 0", Answer::Accepted { words: "exit status: 0".into() }),
        ("echo busy >&2; exit 75", Answer::Later { after: None, why: "exit status: 75: busy".into() }),
        ("exit 65", refused(Refusal::Format, "exit status: 65")),
        ("exit 77", refused(Refusal::Credential, "exit status: 77")),
        ("echo out; echo no such chat >&2; exit 1", refused(Refusal::Other, "exit status: 1: no such chat")),
        ("kill -SEGV $$", refused(Refusal::Other, "signal: 11 (SIGSEGV)")),
    ] {
        let answer = run(&shell(script)).await;
        match (&answer, &expected) {
            (Answer::Refused { why, .. }, Answer::Refused { why: start, .. }) if why.starts_with(start.as_str()) => {}
            _ => assert_eq!(answer, expected, "{script}"),
        }
    }
    let absent = Exec::new("/no/such/program".into(), Vec::new(), Input::Json);
    let Answer::Refused { class: Refusal::Credential, why } = run(&absent).await else { panic!() };
    assert!(why.contains("cannot run /no/such/program"), "{why}");
}

#[tokio::test]
async fn a_program_that_reads_nothing_or_writes_much_is_no_trouble() {
    let exec =
        shell("exec <&-; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo done; head -c 3000000 /dev/zero >&2");
    let mut message = message();
    message.text = "x".repeat(1_000_000);
    let answers = exec.send(&message, &exec.receivers(), NIGHT).await;
    assert_eq!(answers.first().unwrap().1, Answer::Accepted { words: "done".into() });
}

#[tokio::test]
async fn a_child_that_holds_the_pipe_does_not_hold_the_answer() {
    let exec = shell("sleep 60 & echo sent");
    assert_eq!(run(&exec).await, Answer::Accepted { words: "sent".into() });
}

#[tokio::test]
async fn a_run_without_end_is_killed_with_all_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let exec = shell(&format!("sleep 600 & echo $! $$ > {}; echo waiting >&2; wait", file.display()));
    let Answer::Later { why, .. } = run(&exec).await else { panic!() };
    assert_eq!(why, "killed after 10 s waiting");
    for pid in std::fs::read_to_string(&file).unwrap().split_whitespace() {
        // A zombie that nobody has reaped yet is as dead.
        let is_alive = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
            stat.is_ok_and(|stat| !stat.contains(") Z "))
        };
        let start = tokio::time::Instant::now();
        while is_alive() {
            assert!(start.elapsed() < Duration::from_secs(20), "{pid} lives");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn the_environment_is_clean() {
    let Answer::Accepted { words } = run(&shell("env | cut -d= -f1 | sort | tr '\\n' ' '; pwd")).await else {
        panic!()
    };
    let names = words.split_whitespace().filter(|name| !["PWD", "SHLVL", "_", "OLDPWD", "/"].contains(name));
    assert!(names.clone().all(|name| ["HOME", "LANG", "PATH"].contains(&name)), "{words}");
    assert!(words.ends_with('/') && names.count() >= 2, "{words}");
}

#[test]
fn title_and_summary_stand_where_they_are_named_and_nothing_else_does() {
    let mut message = message();
    message.title = "ERR {summary}\n-x".into();
    for (arg, expected) in [
        ("{title}", "ERR {summary} -x"),
        ("a{title}b{summary}", "aERR {summary} -xbERR comsrv/mysql — gone"),
        ("{\"a\":{title}}", "{\"a\":ERR {summary} -x}"),
        ("{titel} {", "{titel} {"),
        ("", ""),
    ] {
        assert_eq!(filled(arg, &message), expected);
    }
}

#[tokio::test]
async fn a_secret_that_the_program_repeats_is_masked() {
    let words = ["-c", "echo \"failed: $1\" >&2; exit 1", "sh", "tgram://123456:ABCDEF/42"];
    let exec = Exec::new("sh".into(), words.map(|word| Argument(word.into())).to_vec(), Input::Json);
    let answer = format!("{:?}", run(&exec).await);
    assert!(answer.contains("tgram://") && !answer.contains("ABCDEF"), "{answer}");
}

#[test]
fn a_command_has_none_of_the_ambient_capabilities_of_its_daemon() {
    use rustix::thread::{CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities};
    // As the agent's unit gives it; of this thread only.
    let of_daemon = std::thread::spawn(|| {
        let mut sets = capabilities(None).unwrap();
        if !sets.permitted.contains(CapabilitySet::DAC_READ_SEARCH) {
            eprintln!("without the capability there is nothing to give up");
            return;
        }
        sets.inheritable |= CapabilitySet::DAC_READ_SEARCH;
        set_capabilities(None, sets).unwrap();
        configure_capability_in_ambient_set(CapabilitySet::DAC_READ_SEARCH, true).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(run(&shell("grep CapAmb: /proc/self/status")));
        assert_eq!(answer, Answer::Accepted { words: "CapAmb: 0000000000000000".into() });
        let keeps = exec("command = ['grep', 'CapAmb:', '/proc/self/status']\nkeep_capabilities = true").unwrap();
        let Answer::Accepted { words } = runtime.block_on(run(&keeps)) else { panic!() };
        assert_ne!(words, "CapAmb: 0000000000000000", "the operator has asked for it");
    });
    of_daemon.join().unwrap();
}

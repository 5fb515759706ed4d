//! Tab completion in real shells: the scripts that the packages install are called as a shell calls them, with a running hub.
//!
//! bash is required. zsh and fish are tested where they are installed; `cargo xtask test` installs them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use olog_journeys::{daemon::program, world::World};

/// What bash offers: its own variables are set, then the function is called that is registered for the program.
const BASH: &str = r#"
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_TYPE=9
[[ $(complete -p "$1") =~ -F\ ([^ ]+) ]] && "${BASH_REMATCH[1]}" "$1" "${!#}" "${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;
const FISH: &str = r#"source $argv[1]; complete --do-complete "$argv[2..]""#;
/// zsh completes only in a terminal, so the two functions of its own are replaced that would show the list.
const ZSH: &str = r#"
compdef() { completer=$1 }
_describe() { print -rl -- "${(P@)argv[-1]}" }
script=$1; shift
words=("$@"); CURRENT=$#
source $script; $completer
"#;

/// What each shell that is here offers as the last of these words.
fn offered(words: &[&str], config: Option<&Path>) -> Vec<(&'static str, Vec<String>)> {
    let name = words[0];
    let side = name.strip_prefix("olog-").unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(side).join("completions");
    let programs = program(name).parent().unwrap().to_path_buf();
    let path = std::env::join_paths(
        std::iter::once(programs).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())),
    )
    .unwrap();
    let shells = [
        ("bash", BASH, format!("{name}.bash"), &["bash"][..]),
        ("zsh", ZSH, format!("_{name}"), &["zsh"][..]),
        ("fish", FISH, format!("{name}.fish"), &[][..]),
    ];
    let mut all = Vec::new();
    for (shell, code, script, as_name) in shells {
        let script: PathBuf = scripts.join(script);
        let mut command = Command::new(shell);
        command.arg("-c").arg(code).args(as_name).arg(script).args(words);
        command.env("PATH", &path).env_remove("OLOG_CONFIG");
        if let Some(config) = config {
            command.env("OLOG_CONFIG", config);
        }
        let said = match command.output() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && shell != "bash" => {
                eprintln!("{shell} is not installed: its completion is not tested");
                continue;
            }
            said => said.unwrap(),
        };
        assert_eq!(String::from_utf8_lossy(&said.stderr), "", "{shell}, {words:?}");
        let text = String::from_utf8(said.stdout).unwrap();
        // fish and zsh show an explanation beside each.
        let lines = text.lines().map(|line| line.split(['\t', ':']).next().unwrap().trim().to_owned());
        all.push((shell, lines.collect()));
    }
    all
}

#[track_caller]
fn check(words: &[&str], expected: &[&str]) {
    for (shell, offered) in offered(words, None) {
        for expected in expected {
            assert!(offered.iter().any(|one| one == expected), "{shell}, {words:?}: {expected} is not in {offered:?}");
        }
    }
}

#[test]
fn a_tab_offers_verbs_and_options_at_every_depth() {
    check(&["olog-hub", ""], &["incident", "silence", "join-link", "status"]);
    check(&["olog-hub", "incident", ""], &["list", "ack", "close", "not-an-error"]);
    check(&["olog-hub", "incident", "not-an-error", "--"], &["--for-device", "--fingerprint"]);
    check(&["olog-hub", "silence", "add", "--"], &["--device", "--task", "--for", "--until", "--every"]);
    check(&["olog-hub", "--config", "x.toml", "channel", "te"], &["test"]);
    check(&["olog-agent", ""], &["run", "join", "exec"]);
    check(&["olog-agent", "exec", "--"], &["--task", "--timeout", "--lock"]);
}

#[test]
fn a_hidden_verb_is_not_offered() {
    for (shell, offered) in offered(&["olog-hub", ""], None) {
        assert!(!offered.iter().any(|verb| verb == "failed"), "{shell}: {offered:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_offers_the_devices_tasks_and_numbers_of_the_running_hub() {
    let world = World::new().await;
    let hub = world.hub();
    let agent = world.agent("comsrv", &hub);
    agent.sh("echo 'nginx not running!' > nginx.err");
    let incident = hub.wait("an incident", |hub| hub.incidents().first().map(|incident| incident["id"].to_string()));
    let config = hub.daemon.config().to_path_buf();
    let check = |words: &[&str], expected: &str| {
        for (shell, mut offered) in offered(words, Some(&config)) {
            offered.retain(|one| !one.starts_with('-'));
            assert_eq!(offered, [expected], "{shell}, {words:?}");
        }
    };
    check(&["olog-hub", "device", "forget", ""], "comsrv");
    check(&["olog-hub", "silence", "add", "--device", "com"], "comsrv");
    check(&["olog-hub", "task", "show", "comsrv", ""], "nginx");
    check(&["olog-hub", "incident", "close", ""], &incident);
    check(&["olog-hub", "channel", "test", ""], "me");
}

#[test]
fn a_hub_that_does_not_run_offers_no_names_and_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("hub.toml");
    std::fs::write(&config, format!("state_dir = {:?}\n", folder.path())).unwrap();
    for (shell, offered) in offered(&["olog-hub", "device", "forget", ""], Some(&config)) {
        let names: Vec<_> = offered.iter().filter(|name| !name.is_empty() && !name.starts_with('-')).collect();
        assert!(names.is_empty(), "{shell}: {names:?}");
    }
}

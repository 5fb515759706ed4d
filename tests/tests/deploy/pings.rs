//! Clients of healthchecks.io, which know nothing of Olog, report to a hub by another base URL: borgmatic with a real repository, the library
//! `healthchecks-io`, and lines of curl.

use std::{fs, path::Path, process::Command};

use olog_journeys::{
    daemon::run,
    world::{Agent, Hub, World},
};
use serde_json::Value;

/// A hub in clear, a device, and the base URL with the device's key.
async fn with_key() -> (World, Hub, Agent, String) {
    let world = World::new().await;
    let hub = world.hub_with("", "[tls]\nmode = \"off\"\n");
    let mut pi = world.agent_off("pi", "", "");
    pi.join_by(hub.verb(&["join-link", "--local"]).good().trim()).good();
    pi.start();
    pi.wait_connected();
    let said = hub.verb(&["device", "ping-key", "pi"]).good();
    let key = said.split_whitespace().last().unwrap();
    let base = format!("http://127.0.0.1:{}/ping/{key}", hub.port);
    (world, hub, pi, base)
}

/// The task's state, and how its runs ended: exit code and whether their duration is known.
fn runs(hub: &Hub, task: &str) -> (String, Vec<(Value, bool)>) {
    let rows = hub.list(&["task", "list"]);
    let state =
        rows.iter().find(|row| row["task"] == task).map_or(String::new(), |row| row["state"].as_str().unwrap().into());
    let ended = hub.events("run_ended");
    let of_task = ended.iter().map(|event| &event["what"]["run_ended"]).filter(|run| run["task"] == task);
    (state, of_task.map(|run| (run["exit"].clone(), run["duration"].as_u64().unwrap() > 0)).collect())
}

/// A program or script of the Python of the tests.
fn python(name: &str) -> Option<std::path::PathBuf> {
    let found = std::env::var_os("OLOG_TEST_PYTHON").and_then(|python| Some(Path::new(&python).parent()?.join(name)));
    let found = found.filter(|path| path.exists());
    if found.is_none() {
        eprintln!("not run: OLOG_TEST_PYTHON names no Python with {name}");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_curl_as_in_the_documentation_of_healthchecks_report_to_the_hub() {
    let (world, hub, _pi, base) = with_key().await;
    let sh = |line: &str| {
        let mut shell = Command::new("sh");
        run(shell.args(["-c", line]).current_dir(world.folder()).env("BASE", &base)).out
    };
    assert_eq!(sh(r#"curl -m 10 --retry 5 "$BASE/files?create=1""#), "Created");
    assert_eq!(sh(r#"curl -fsS -m 10 --retry 5 -o /dev/null "$BASE/files""#), "");
    assert_eq!(
        sh(r#"RID=$(cat /proc/sys/kernel/random/uuid); curl -fsS "$BASE/files/start?rid=$RID"; m=$(ls /nowhere 2>&1);
              curl -fsS -m 10 --retry 5 --data-raw "$m" "$BASE/files/$?x" -w '%{http_code}' -o /dev/null;
              curl -fsS -m 10 --data-raw "$m" "$BASE/files/2?rid=$RID""#)
        .trim_end_matches("OK"),
        "OK404"
    );
    let push = world.push("ls: cannot access").await;
    assert!(push.text().contains("files") && push.text().contains("Exit code 2"), "{}", push.text());
    assert_eq!(sh(r#"(echo begin; seq 40000) > big; curl -fsS -m 10 --data-binary @big "$BASE/files""#), "OK");
    assert_eq!(sh(r#"curl -sI "$BASE/files" | grep -ci 'ping-body-limit: 100000'"#).trim(), "1");
    assert_eq!(sh(r#"curl -s -X OPTIONS -o /dev/null -w '%{http_code}' "$BASE/files""#), "204");
    let (state, ended) = runs(&hub, "files");
    let exits: Vec<String> = ended.iter().map(|(exit, _)| exit.to_string()).collect();
    assert_eq!((state.as_str(), exits.join(" ")), ("OK", "0 0 2 0 0".to_owned()));
    world.push("OVER").await;
    let log = hub.daemon.log_text();
    let key = base.rsplit('/').next().unwrap();
    assert!(!log.contains(key), "the key is in the log: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_healthchecks_io_reports_good_and_failed_runs() {
    let Some(python) = python("python") else { return };
    let (world, hub, _pi, base) = with_key().await;
    let has_library = Command::new(&python).args(["-c", "import healthchecks_io"]).status().unwrap().success();
    if !has_library {
        return eprintln!("not run: OLOG_TEST_PYTHON names no Python with healthchecks-io");
    }
    run(Command::new("curl").args(["-fsS", &format!("{base}/job?create=1")])).good();
    let script = r#"
import os, sys
from healthchecks_io import Client, CheckTrap
base, _, key = os.environ["BASE"].rpartition("/")
client = Client(api_key="none", ping_key=key, ping_url=base + "/")
assert client.start_ping(slug="job") == (True, "OK")
assert client.success_ping(slug="job", data="all well") == (True, "OK")
assert client.exit_code_ping(3, slug="job", data="it broke") == (True, "OK")
with CheckTrap(client, slug="job"):
    pass
try:
    with CheckTrap(client, slug="job"):
        raise ValueError("out of cheese")
except ValueError:
    pass
try:
    client.success_ping(slug="nobody")
    sys.exit("a task that is not there was pinged")
except Exception as error:
    assert "404" in str(error) or "not found" in str(error).lower() or "CheckNotFound" in type(error).__name__, repr(error)
"#;
    run(Command::new(&python).args(["-c", script]).env("BASE", &base)).good();
    let (state, ended) = runs(&hub, "job");
    let exits: Vec<String> = ended.iter().map(|(exit, _)| exit.to_string()).collect();
    assert_eq!((state.as_str(), exits.join(" ")), ("ERR", "0 0 3 0 null".to_owned()));
    world.push("it broke").await;
    world.push("out of cheese").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn borgmatic_reports_its_backups_with_its_own_hook() {
    let Some(borgmatic) = python("borgmatic") else { return };
    let (world, hub, _pi, base) = with_key().await;
    let folder = world.folder().join("borg");
    fs::create_dir_all(folder.join("source")).unwrap();
    fs::write(folder.join("source/file"), "worth keeping\n").unwrap();
    let config = folder.join("borgmatic.yaml");
    fs::write(
        &config,
        format!(
            "source_directories:\n    - {0}/source\nrepositories:\n    - path: {0}/repository\nencryption_passphrase: none\n\
             borg_base_directory: {0}\nuser_runtime_directory: {0}\nuser_state_directory: {0}\n\
             healthchecks:\n    ping_url: {base}/borg-job\n    create_slug: true\n",
            folder.display()
        ),
    )
    .unwrap();
    let borgmatic = |words: &[&str]| {
        let mut command = Command::new(&borgmatic);
        command.arg("--config").arg(&config).args(words).env("HOME", &folder).env("BORG_BASE_DIR", &folder);
        // It pings only if its own messages are at least of this level.
        run(command.args(["--monitoring-verbosity", "1"]))
    };
    borgmatic(&["repo-create", "--encryption", "none"]).good();
    borgmatic(&["create"]).good();
    assert_eq!(runs(&hub, "borg-job"), ("OK".to_owned(), vec![(Value::from(0), true)]));
    let log = hub.events("text");
    assert!(log.iter().any(|event| event["what"]["text"]["file"]["task"] == "borg-job"), "{log:?}");

    // The repository breaks.
    fs::rename(folder.join("repository"), folder.join("gone")).unwrap();
    assert!(!borgmatic(&["create"]).status.success());
    assert_eq!(runs(&hub, "borg-job").0, "ERR");
    world.push("ERR pi/borg-job").await;
    fs::rename(folder.join("gone"), folder.join("repository")).unwrap();
    borgmatic(&["create"]).good();
    assert_eq!(runs(&hub, "borg-job").0, "OK");
    world.push("OVER").await;
}

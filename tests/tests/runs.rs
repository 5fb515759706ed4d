//! Jobs that report themselves by `olog-agent exec`, while agent and machine are not always there.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use olog_journeys::{
    daemon::program,
    world::{Hub, World},
};
use serde_json::Value;

/// What `task show` says of a task of `pi`; `None` while the hub does not know it.
fn task(hub: &Hub, name: &str) -> Option<Value> {
    let said = hub.verb(&["task", "show", "pi", name, "--json"]);
    said.status.success().then(|| serde_json::from_str(&said.out).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_while_its_agent_is_down_is_an_error_at_the_hub_and_on_the_phone() {
    let world = World::new().await;
    let hub = world.hub();
    let mut pi = world.agent("pi", &hub);
    let mut exec = Command::new(program("olog-agent"));
    exec.arg("exec").arg("--config").arg(pi.daemon.config()).args(["--task", "long2", "--", "sh", "-c"]);
    let mut run = exec.arg("echo disk broken; read x; exit 2").stdin(Stdio::piped()).spawn().unwrap();
    hub.wait("it runs", |hub| task(hub, "long2").filter(|task| !task["running_at"].is_null()));
    pi.daemon.stop();
    run.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(2));
    pi.start();
    world.push("disk broken").await;
    let task = hub.wait("its error", |hub| task(hub, "long2").filter(|task| task["state"] == "ERR"));
    assert_eq!(task.get("running_at"), Some(&Value::Null), "{task}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_vanished_is_not_ok_at_the_hub() {
    let world = World::new().await;
    let hub = world.hub();
    let mut pi = world.agent("pi", &hub);
    let mut exec = Command::new(program("olog-agent"));
    exec.arg("exec").arg("--config").arg(pi.daemon.config()).args(["--task", "gone", "--", "sleep", "1000"]);
    let mut run = exec.spawn().unwrap();
    pi.wait("it runs", |status| status["runs"][0]["task"] == "gone");
    // As when the machine loses its power: neither the job nor the agent can write anything down.
    pi.daemon.kill();
    run.kill().unwrap();
    run.wait().unwrap();
    pi.start();
    world.push("how the run ended is unknown").await;
    let task = hub.wait("its error", |hub| task(hub, "gone").filter(|task| task["state"] == "ERR"));
    assert_eq!(task.get("running_at"), Some(&Value::Null), "{task}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_lock_kept_from_starting_is_told_on_the_phone() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    let exec = |script: &str| {
        let mut exec = Command::new(program("olog-agent"));
        exec.arg("exec").arg("--config").arg(pi.daemon.config());
        exec.args(["--lock", "--task", "nightly", "--", "sh", "-c", script]);
        exec
    };
    let mut first = exec("read x").stdin(Stdio::piped()).spawn().unwrap();
    pi.wait("it runs", |status| status["runs"][0]["task"] == "nightly");
    let second = exec("exit 0").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("nightly is still running since"), "{second:?}");
    world.push("not started a second time").await;
    first.stdin.take().unwrap().write_all(b"\n").unwrap();
    assert!(first.wait().unwrap().success());
}

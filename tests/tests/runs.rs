//! Jobs that report themselves by `olog-agent exec`, while agent and machine are not always there, and jobs whose schedules were proposed.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use olog_agent::{
    jobs::{
        list::{self, Here, JobList},
        systemd::Systemd,
    },
    socket::Proposed,
};
use olog_daemon::{clock::Clock, socket::Client};
use olog_journeys::{
    daemon::program,
    world::{Hub, World},
};
use olog_proto::job::{JobOutcome, ProposedJob};
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

/// What systemd itself makes of a calendar.
fn normalized(calendar: &str) -> String {
    let said = Command::new("systemd-analyze").args(["calendar", calendar]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let line = said.lines().find_map(|line| line.trim().strip_prefix("Normalized form: "));
    line.unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// The jobs of a machine with one timer, whose service manager answers as systemd does.
async fn jobs_of(root: &Path, calendar: &str) -> JobList {
    fs::create_dir_all(root.join("run/systemd/system")).unwrap();
    let script = format!(
        r#"case "$*" in
list-timers*) echo '[{{"next":null,"unit":"tick.timer","activates":"tick.service"}}]' ;;
*Timers*) printf 'Id=tick.timer\nTimersCalendar={{ OnCalendar=%s ; next_elapse=n/a }}\nTimersMonotonic=\nAccuracyUSec=1us\nRandomizedDelayUSec=0\n' '{calendar}' ;;
*) printf 'Id=tick.service\nExecStart={{ path=/usr/bin/olog-agent ; argv[]=/usr/bin/olog-agent exec --task tick -- true ; ignore_errors=no }}\n' ;;
esac
"#
    );
    let path: PathBuf = root.join("systemctl");
    fs::write(&path, script).unwrap();
    let systemd = Systemd { systemctl: vec!["sh".into(), path.into()], ..Systemd::default() };
    let here = Here { now: Clock::system().now(), zone: "Asia/Shanghai".parse().unwrap() };
    list::find(root, &systemd, &[], here).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_whose_runs_stop_is_lost_by_the_schedule_that_its_machine_proposed() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    let found = jobs_of(&world.folder().join("machine"), &normalized("*:*:0/2")).await;
    let job = &found.jobs[0];
    assert_eq!((job.task.as_str(), &found.problems), ("tick", &vec![]), "the task that `exec` names");
    let (task, when) = (job.task.parse().unwrap(), job.when.clone().unwrap());
    let proposed = vec![ProposedJob { task, when, slack: job.slack, grace: Some(1_000) }];
    let agent = Client::new("olog-agent", world.folder().join("pi/agent.sock"));
    let Proposed::Answered(answers) = agent.post("/jobs", &proposed).await.unwrap() else { panic!("no answer") };
    assert_eq!((answers.device.as_str(), answers.answers[0].outcome), ("pi", JobOutcome::Proposed));
    let shown = hub.verb(&["task", "show", "pi", "tick"]).good();
    assert!(shown.contains("The next report proposes */2 * * * * *, Asia/Shanghai time"), "{shown}");
    assert_eq!(world.n_pushes("pi/tick"), 0, "nobody has accepted it");

    hub.verb(&["task", "expect", "pi", "tick", "on"]).good();
    let run = || {
        let mut exec = Command::new(program("olog-agent"));
        exec.arg("exec").arg("--config").arg(pi.daemon.config()).args(["--task", "tick", "--", "true"]);
        assert!(exec.status().unwrap().success());
    };
    run();
    // The timer is stopped.
    let push = world.push("LOST pi/tick").await;
    let text = push.text();
    assert!(text.contains("read from the schedules of its machine: */2 * * * * *, Asia/Shanghai time."), "{text}");
    run();
    world.push("OVER pi/tick").await;
    assert_eq!(
        hub.verb(&["task", "expect", "pi", "tick", "off"]).good(),
        "pi/tick is no longer expected: if it does not run, nobody is notified. Undo with \"on\" instead of \"off\".\n"
    );
    let Proposed::Answered(answers) = agent.post("/jobs", &proposed).await.unwrap() else { panic!("no answer") };
    assert_eq!(answers.answers[0].outcome, JobOutcome::Refused);
}

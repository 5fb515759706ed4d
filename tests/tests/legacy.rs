//! Old clients (olog.py) on the new hub: they are devices like any other, and the hub pushes that they are LOST and BACK, not their errors.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use olog_journeys::{
    old_client::{OldClient, PYTHON, task},
    world::{Hub, World},
};
use serde_json::json;
use tokio::task::JoinSet;

const TOKEN: &str = "AT_ofTheOldDays";

/// A hub with TLS that lets old clients in.
fn hub(world: &World, top: &str) -> Hub {
    let legacy = format!("[legacy]\nenabled = true\ntoken = \"{TOKEN}\"\n");
    world.hub_with(top, &format!("{legacy}[alerts]\nquiet = \"\"\noffline_after = \"12s\"\n"))
}

fn words_of(hub: &Hub, verb: &[&str]) -> String {
    hub.verb(verb).good()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_that_dies_is_lost_and_back_and_its_errors_are_not_pushed_again() {
    let world = World::new().await;
    let hub = hub(&world, "");
    let tasks = json!({ "mysql": task("err", "2026-01-01 03:00:00", "mysql is not running"), "rsync": task("ok", "2026-01-01 03:30:00", "") });
    let mut running = JoinSet::new();
    let nas = OldClient::open(hub.port, TOKEN, "nas#root@10.0.0.9:22").await;
    running.spawn(nas.live(json!({})));
    let comsrv = OldClient::open(hub.port, TOKEN, "comsrv").await;
    let dies = running.spawn(comsrv.live(tasks.clone()));
    let has_tasks = |hub: &Hub| (hub.list(&["task", "list"]).len() == 2).then_some(());
    hub.wait("both tasks", has_tasks);
    let list = words_of(&hub, &["task", "list"]);
    assert!(list.contains("comsrv (old client)") && list.contains("ERR"), "{list}");
    let list = words_of(&hub, &["device", "list"]);
    assert!(list.contains("olog.py (old client)") && list.contains("root@10.0.0.9:22"), "{list}");
    assert!(words_of(&hub, &["status"]).contains("2 of them are old clients"));

    dies.abort();
    world.push("LOST comsrv").await;
    running.spawn(OldClient::open(hub.port, TOKEN, "comsrv").await.live(tasks));
    let back = world.push("BACK comsrv").await;
    assert!(!back.text().contains("reboot"), "nobody knows that: {}", back.text());
    assert_eq!(world.n_pushes("mysql is not running"), 0, "{}", world.phone.story());
    assert_eq!(world.n_pushes("LOST nas"), 0, "{}", world.phone.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_moves_to_the_agent_with_its_history_and_is_refused_from_then_on() {
    let world = World::new().await;
    let hub = hub(&world, "");
    let mut old = OldClient::open(hub.port, TOKEN, "comsrv").await;
    old.report(&json!({ "rsync": task("ok", "2026-01-01 03:30:00", "") })).await;
    hub.wait("its task", |hub| (hub.list(&["task", "list"]).len() == 1).then_some(()));
    let mut agent = world.agent_off("comsrv", "", "");
    let link = hub.verb(&["join-link", "--device", "comsrv"]).good();
    agent.join_by(link.lines().find(|line| line.contains("/join#")).unwrap().trim()).good();
    while old.hears().await.is_some() {}
    agent.start();
    agent.wait_connected();
    let row = hub.list(&["task", "list"]).remove(0);
    assert_eq!((&row["task"], &row["legacy"]), (&json!("rsync"), &json!(false)), "{row}");
    // Somebody forgot to stop the old client there.
    for _ in 0..2 {
        let mut old = OldClient::open(hub.port, TOKEN, "comsrv").await;
        assert_eq!(old.hears().await, None);
    }
    world.push("uses the name of comsrv").await;
    world.all_told(&agent).await;
    assert_eq!(world.n_pushes("uses the name of comsrv"), 1, "{}", world.phone.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_marks_old_clients_in_chinese_too() {
    let world = World::new().await;
    let hub = hub(&world, "language = \"zh-CN\"");
    let mut old = OldClient::open(hub.port, TOKEN, "树莓派#pi@10.0.0.7").await;
    old.report(&json!({ "备份": task("err", "2026-01-01 03:30:00", "磁盘空间不足") })).await;
    hub.wait("its task", |hub| (hub.list(&["task", "list"]).len() == 1).then_some(()));
    assert!(words_of(&hub, &["device", "list"]).contains("olog.py（旧版客户端）"));
    assert!(words_of(&hub, &["task", "list"]).contains("树莓派（旧版客户端）"));
    hub.verb(&["report", "now", "--push"]).good();
    let pages: Vec<String> = hub.query("SELECT page FROM reports WHERE page IS NOT NULL");
    assert!(
        pages.iter().any(|page| page.contains("旧版客户端（olog.py）") && page.contains("磁盘空间不足")),
        "{pages:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_answers_no_ping_is_lost_and_then_hung_up_on_while_a_slow_report_is_awaited() {
    let world = World::new().await;
    let hub = hub(&world, "");
    let mut slow = OldClient::open(hub.port, TOKEN, "nas").await;
    while slow.hears().await.as_deref() != Some("report now") {}
    let mut silent = OldClient::open(hub.port, TOKEN, "pi").await;
    silent.report(&json!({ "mqtt": task("ok", "2026-01-01 03:30:00", "") })).await;
    let mut n_pings = 0;
    while let Some(said) = silent.hears().await {
        assert_eq!(said, "ping");
        n_pings += 1;
    }
    assert!(n_pings > 5, "{n_pings}");
    world.push("LOST").await;
    // Both were silent for as long; this one was at work.
    slow.say(&json!({ "rsync": task("ok", "2026-01-01 03:30:00", "") }).to_string()).await;
    hub.wait("its report", |hub| (hub.list(&["task", "list"]).len() == 2).then_some(()));
}

/// A client in Python, which ends with this value.
struct PythonClient(Child);

impl Drop for PythonClient {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_python_reports_hundreds_of_tasks_and_comes_back_after_a_restart_of_the_hub() {
    let python = std::env::var_os("OLOG_TEST_PYTHON").map(PathBuf::from);
    let has_library =
        |python: &PathBuf| Command::new(python).args(["-c", "import websockets"]).status().unwrap().success();
    let Some(python) = python.filter(has_library) else {
        eprintln!("not run: OLOG_TEST_PYTHON names no Python with websockets");
        return;
    };
    let world = World::new().await;
    let mut hub = hub(&world, "");
    let logs = world.folder().join("ologs/deeper");
    fs::create_dir_all(&logs).unwrap();
    for n in 0..500 {
        let suffix = if n % 100 == 0 { "err" } else { "log" };
        fs::write(logs.join(format!("@任务{n}@.{suffix}")), "磁盘空间不足；".repeat(30)).unwrap();
    }
    let (script, log) = (world.folder().join("old_client.py"), world.folder().join("old_client.log"));
    fs::write(&script, PYTHON).unwrap();
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg(format!("127.0.0.1:{}", hub.port))
        .args([TOKEN, "树莓派#pi@respi:22"])
        .arg(logs.parent().unwrap());
    let out = File::create(&log).unwrap();
    let _client =
        PythonClient(command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out).spawn().unwrap());
    let said = || fs::read_to_string(&log).unwrap();
    hub.wait("every task", |hub| (hub.list(&["task", "list"]).len() == 500).then_some(()));
    let n_err = hub.list(&["task", "list"]).iter().filter(|row| row["state"] == "ERR").count();
    assert_eq!(n_err, 5);
    hub.wait("a ping", |_| said().contains("ping").then_some(()));

    hub.daemon.stop();
    hub.start();
    hub.wait("the client is back", |_| {
        let said = said();
        let (_, after) = said.split_once("closed\n")?;
        after.contains("report now").then_some(())
    });
    assert!(!said().contains("ValueError"), "{}", said());
    assert_eq!(hub.list(&["task", "list"]).len(), 500);
}

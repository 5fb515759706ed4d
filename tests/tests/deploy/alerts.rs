//! Prometheus, with the hub as its Alertmanager, and amtool: programs that know nothing of Olog.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use olog_journeys::{
    daemon::run,
    world::{Agent, Hub, World},
};

/// A hub in clear, a device named "web1", and a token with the scope `act`.
fn hub_with_token(world: &World) -> (Hub, Agent, String) {
    let hub = world.hub_with("", "[tls]\nmode = \"off\"\n");
    let mut web1 = world.agent_off("web1", "", "");
    web1.join_by(hub.verb(&["join-link", "--local"]).good().trim()).good();
    web1.start();
    web1.wait_connected();
    let said = hub.verb(&["token", "create", "prometheus", "--scope", "act"]).good();
    let token = said.split_whitespace().last().unwrap().to_owned();
    (hub, web1, token)
}

fn state(hub: &Hub, task: &str) -> Option<String> {
    let rows = hub.list(&["task", "list"]);
    rows.iter().find(|row| row["task"] == task).map(|row| row["state"].as_str().unwrap().to_owned())
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn prometheus(world: &World, hub: &Hub, token: &str) -> (Running, PathBuf) {
    let folder = world.folder().join("prometheus");
    fs::create_dir_all(&folder).unwrap();
    let (config, rules) = (folder.join("prometheus.yml"), folder.join("rules.yml"));
    fs::write(folder.join("token"), token).unwrap();
    rule(&rules, "1");
    let text = format!(
        "global:\n  evaluation_interval: 1s\n  scrape_interval: 1s\nrule_files: [rules.yml]\n\
         alerting:\n  alertmanagers:\n    - authorization: {{ credentials_file: token }}\n      static_configs: [{{ targets: ['127.0.0.1:{}'] }}]\n",
        hub.port
    );
    fs::write(&config, text).unwrap();
    run(Command::new("promtool").args(["check", "config"]).arg(&config)).good();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let log = fs::File::create(folder.join("log")).unwrap();
    let child = Command::new("prometheus")
        .args([&format!("--web.listen-address=127.0.0.1:{port}"), "--rules.alert.resend-delay=1s"])
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
        .current_dir(&folder)
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    (Running(child), rules)
}

/// A rule that fires while this number is over 0.
fn rule(path: &std::path::Path, value: &str) {
    let text = format!(
        "groups:\n  - name: disks\n    rules:\n      - alert: DiskFull\n        expr: vector({value}) > 0\n\
         \x20       labels: {{ instance: 'web1:9100', severity: critical }}\n\
         \x20       annotations: {{ summary: 'no space left on /srv ({{{{ $value }}}})' }}\n"
    );
    fs::write(path, text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_whose_alertmanager_is_the_hub_fires_and_resolves() {
    let world = World::new().await;
    let (hub, _web1, token) = hub_with_token(&world);
    let (prometheus, rules) = prometheus(&world, &hub, &token);
    let push = world.push("ERR web1/DiskFull").await;
    assert!(push.text().contains("no space left on /srv"), "{}", push.text());
    // It sends the alert every second.
    hub.wait("further sends", |hub| {
        let mut curl = Command::new("curl");
        let page = run(curl.args(["-s", &format!("http://127.0.0.1:{}/metrics", hub.port)])).good();
        let sent = page.lines().find_map(|line| line.strip_prefix("olog_alerts_total{outcome=\"ok\"} "))?;
        (sent.trim().parse::<u64>().unwrap() >= 4).then_some(())
    });
    assert_eq!(world.n_pushes("DiskFull"), 1, "{}", world.phone.story());
    rule(&rules, "0");
    let pid = rustix::process::Pid::from_raw(i32::try_from(prometheus.0.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    let over = world.push("OVER web1/DiskFull").await;
    assert!(over.text().contains("the alert was resolved"), "{}", over.text());
    assert_eq!(state(&hub, "DiskFull").as_deref(), Some("OK"));
}

#[tokio::test(flavor = "multi_thread")]
async fn amtool_adds_an_alert_and_ends_it() {
    let world = World::new().await;
    let (hub, _web1, token) = hub_with_token(&world);
    let http = world.folder().join("http.yml");
    fs::write(&http, format!("basic_auth: {{ username: anybody, password: {token} }}\n")).unwrap();
    let amtool = |words: &[&str]| {
        let mut amtool = Command::new("amtool");
        amtool.arg(format!("--http.config.file={}", http.display()));
        run(amtool.arg(format!("--alertmanager.url=http://127.0.0.1:{}", hub.port)).args(words))
    };
    amtool(&["alert", "add", "Smart", "instance=web1", "--annotation=summary=sda is failing"]).good();
    let push = world.push("ERR web1/Smart").await;
    assert!(push.text().contains("sda is failing"), "{}", push.text());
    let past = "2026-01-01T00:00:00Z";
    amtool(&["alert", "add", "Smart", "instance=web1", &format!("--end={past}"), &format!("--start={past}")]).good();
    world.push("OVER web1/Smart").await;
    let refused = amtool(&["alert", "add", "Smart", "instance=nobody:9100"]);
    assert!(!refused.status.success() && format!("{}{}", refused.out, refused.err).contains("400"), "{}", refused.err);
    assert_eq!(state(&hub, "Smart").as_deref(), Some("OK"));
}

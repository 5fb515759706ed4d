//! The files of `deploy/` for Prometheus and Grafana: promtool accepts and tries them, and every metric that they name is one that the hub has.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use olog_journeys::{daemon::run, world::World};
use serde_json::Value;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

#[test]
fn promtool_accepts_the_configuration_and_the_rules_and_tries_every_alert() {
    for line in ["check config prometheus.yml", "check rules olog-rules.yml", "test rules olog-rules.test.yml"] {
        let mut promtool = Command::new("promtool");
        run(promtool.args(line.split(' ')).current_dir(deploy().join("prometheus"))).good();
    }
    let text = |name: &str| std::fs::read_to_string(deploy().join("prometheus").join(name)).unwrap();
    let (rules, tried) = (text("olog-rules.yml"), text("olog-rules.test.yml"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(!alerts.is_empty());
    for alert in alerts {
        let fires = tried.split("- eval_time:").skip(1);
        let mut fires =
            fires.filter(|part| part.contains(&format!("alertname: {alert}\n")) && part.contains("exp_alerts:"));
        assert!(fires.next().is_some(), "no test shows that {alert} fires");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_rules_and_the_dashboard_is_one_of_a_hub_after_its_first_event() {
    let world = World::new().await;
    let hub = world.hub_with("", "[tls]\nmode = \"off\"\n");
    let mut pi = world.agent_off("pi", "", "");
    let link = hub.verb(&["join-link", "--local"]).good();
    pi.join_by(link.trim()).good();
    pi.start();
    pi.wait_connected();
    pi.write("svc.err", "the first event\n");
    world.push("the first event").await;
    // Nothing has failed yet: a counter of failures that appears with the first one hides it.
    let page = hub.wait("the workers have figures", |hub| {
        let mut stream = TcpStream::connect(("127.0.0.1", hub.port)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page.contains("olog_duty_set_aside_total{").then_some(page)
    });
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let known: BTreeSet<&str> = samples.filter_map(|line| line.split(['{', ' ']).next()).collect();

    let rules = std::fs::read_to_string(deploy().join("prometheus/olog-rules.yml")).unwrap();
    let mut named: Vec<String> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).flat_map(metrics_of).collect();
    let n_rules = named.len();
    let dashboard: Value =
        serde_json::from_str(&std::fs::read_to_string(deploy().join("grafana/olog-hub.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().unwrap());
    named.extend(targets.flat_map(|target| metrics_of(target["expr"].as_str().unwrap())));
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    named.extend(variables.filter_map(|one| one["query"]["query"].as_str()).flat_map(metrics_of));
    assert!(n_rules > 5 && named.len() > n_rules + 10, "{named:?}");
    for metric in named {
        assert!(known.contains(metric.as_str()), "{metric} is no metric of the hub:\n{page}");
    }
}

/// The metrics of the hub that a query names.
fn metrics_of(query: &str) -> Vec<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("olog_")).map(str::to_owned).collect()
}

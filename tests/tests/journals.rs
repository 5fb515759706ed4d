//! The hub's own log: one line for each thing that happened, with fields to search by, and without a secret.

use olog_journeys::world::{Hub, World};
use serde_json::Value;

/// The hub's lines of level INFO: the message, and its fields.
fn told(hub: &Hub) -> Vec<(String, Value)> {
    let text = hub.daemon.log_text();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ours = lines.filter(|line| line["target"].as_str().is_some_and(|target| target.starts_with("olog_")));
    let lines = ours.filter(|line| line["level"] == "INFO").map(|line| line["fields"].clone());
    lines.map(|fields| (fields["message"].as_str().unwrap().to_owned(), fields)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_at_the_hub_is_one_line_for_each_thing_that_happened() {
    let world = World::new().await;
    let mut hub = Hub::new(&world, "hub", "", "");
    hub.daemon.args(&["--log-format", "json"]);
    hub.start();
    world.push("HUB started").await;
    let link = hub.join_link();
    let mut pi = world.agent_off("pi", "", "");
    pi.join_by(&link).good();
    // `join` connects once to test the way.
    hub.wait("the try is over", |hub| hub.daemon.log_text().contains("device gone").then_some(()));
    pi.start();
    pi.wait_connected();
    pi.write("backup.err", "no space left on xvda1");
    world.push("ERR pi/backup").await;
    std::fs::remove_file(pi.log_dir.join("backup.err")).unwrap();
    world.push("OVER pi/backup").await;
    let wrong = link.trim().replace("/join#", "/join#x");
    assert!(!world.agent_off("thief", "", "").join_by(&wrong).status.success());
    pi.daemon.stop();
    hub.wait("bye", |hub| hub.daemon.log_text().contains("device said bye").then_some(()));
    hub.verb(&["device", "rename", "pi", "nas"]).good();
    hub.verb(&["device", "forget", "nas"]).good();
    hub.daemon.stop();

    let told = told(&hub);
    let what: Vec<&str> =
        told.iter().map(|(what, _)| what.as_str()).filter(|what| !what.starts_with("notification")).collect();
    let expected = [
        "the hub runs",
        "a device joined",
        "device connected",
        "device gone",
        "device connected",
        "incident begun",
        "incident over",
        "device said bye",
        "a device was renamed",
        "a device was forgotten",
        "the hub stops",
    ];
    assert_eq!(what, expected, "{told:#?}");
    let fields = |what: &str| &told.iter().find(|(said, _)| said == what).unwrap().1;
    for what in ["a device joined", "device connected", "incident begun", "incident over", "device said bye"] {
        assert_eq!(fields(what)["device"], "pi", "{what}");
    }
    let (begun, over) = (fields("incident begun"), fields("incident over"));
    assert_eq!((&begun["task"], &begun["about"]), (&"backup".into(), &"task".into()));
    assert_eq!(
        (&over["task"], &over["incident"], &over["why"]),
        (&"backup".into(), &begun["incident"], &"cleared".into())
    );
    // Each message once, with the service's answer and its incident.
    let accepted: Vec<&Value> =
        told.iter().filter(|(what, _)| what == "notification accepted").map(|(_, fields)| fields).collect();
    assert_eq!(accepted.len(), world.phone.pushes().len(), "{accepted:#?}");
    let of_it = accepted.iter().filter(|fields| fields["incident"] == begun["incident"]);
    assert_eq!(of_it.map(|fields| fields["channel"].as_str().unwrap()).collect::<Vec<_>>(), ["me", "me"]);
    assert!(accepted.iter().all(|fields| fields["words"].as_str().is_some_and(|words| words.contains("1000"))));

    let log = hub.daemon.log_text();
    let secret = link.trim().rsplit_once('#').unwrap().1;
    let token = "AT_";
    let texts = ["no space left", "xvda1", token, secret, secret.get(..12).unwrap()];
    assert_eq!(texts.iter().filter(|text| log.contains(**text)).collect::<Vec<_>>(), Vec::<&&str>::new());
}

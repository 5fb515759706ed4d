//! How a device gets its identity at the hub, and how it loses it: links, pending devices, forget, replacement.

use olog_journeys::{proxy::certificates, world::World};

#[tokio::test(flavor = "multi_thread")]
async fn a_link_lets_one_device_in_and_no_second_one() {
    let world = World::new().await;
    let hub = world.hub();
    let link = hub.join_link();
    let (mut pi, nas) = (world.agent_off("pi", "", ""), world.agent_off("nas", "", ""));
    pi.join_by(&link).good();
    let said = nas.join_by(&link);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(said.err.contains("used") || said.err.contains("expired"), "{}", said.err);
    pi.start();
    pi.wait_connected();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_link_lets_nobody_in() {
    let world = World::new().await;
    let hub = world.hub();
    let out = hub.verb(&["join-link", "--expires", "1s"]).good();
    let link = out.lines().find(|line| line.contains("/join#")).unwrap().to_owned();
    let until = tokio::time::Instant::now() + std::time::Duration::from_millis(1500);
    tokio::time::sleep_until(until).await;
    let said = world.agent_off("pi", "", "").join_by(&link);
    assert_eq!(said.status.code(), Some(1));
    assert!(said.err.contains("expired"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn join_names_the_first_thing_that_fails() {
    let world = World::new().await;
    let mut hub = world.hub();
    let link = hub.join_link();
    let pi = world.agent_off("pi", "", "");
    let port = hub.port.to_string();
    for (wrong, step) in [
        (link.replace("127.0.0.1", "no-such-host.invalid"), "no-such-host.invalid"),
        (link.replace(&port, "1"), "127.0.0.1:1"),
        (link.split_once(".").map_or(String::new(), |(start, _)| start.to_owned()), "link"),
        ("https://127.0.0.1".to_owned(), "join-link"),
    ] {
        let said = pi.join_by(&wrong);
        assert!(!said.status.success() && said.err.contains(step), "{wrong}: {said:?}");
    }
    hub.daemon.stop();
    let said = pi.join_by(&link);
    assert!(!said.status.success() && said.err.contains(&port), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_device_is_out_at_once() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.wait_sent();
    hub.verb(&["device", "forget", "pi"]).good();
    pi.wait("it is out", |status| status["connected"] == false);
    pi.write("svc.err", "nobody may hear this\n");
    pi.wait("its event stays in the spool", |status| status["spool"].as_u64() >= Some(1));
    let nas = world.agent("nas", &hub);
    world.all_told(&nas).await;
    assert_eq!(world.n_pushes("nobody may hear this"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_replaces_another_keeps_its_history_and_the_old_key_dies() {
    let world = World::new().await;
    let hub = world.hub();
    let old = world.agent("pi", &hub);
    old.write("svc.err", "before the replacement\n");
    world.push("ERR pi/svc").await;
    let out = hub.verb(&["join-link", "--device", "pi"]).good();
    let link = out.lines().find(|line| line.contains("/join#")).unwrap().to_owned();
    let mut new = world.agent_off("pi2", "", "");
    new.join_by(&link).good();
    new.start();
    new.wait_connected();
    old.wait("the old key is dead", |status| status["connected"] == false);
    let rows = hub.query::<i64>(
        "SELECT count(*) FROM tasks t JOIN devices d ON d.id = t.device_id WHERE d.state = 'joined' AND t.name = 'svc'",
    );
    assert_eq!(rows, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_changes_its_key_and_a_copy_of_the_old_one_is_worth_nothing() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.wait_sent();
    let key = pi.state_dir.join("device.key");
    let stolen = std::fs::read(&key).unwrap();
    let before = pi.daemon.verb(&["identity", "show"]).good();
    let said = pi.daemon.verb(&["identity", "rotate"]).good();
    let after = pi.daemon.verb(&["identity", "show"]).good();
    assert!(before != after && said.contains(after.trim()), "{before} {after} {said}");
    assert_ne!(std::fs::read(&key).unwrap(), stolen);
    pi.write("svc.err", "under the new key\n");
    world.push("ERR pi/svc").await;
    let audit = hub.verb(&["audit"]).good();
    assert_eq!(audit.matches("device.rotate").count(), 2, "{audit}");
    let again = pi.daemon.verb(&["identity", "rotate"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(again.err.contains("less than an hour"), "{}", again.err);
    // Whoever has a copy of the old key is told to go.
    let mut thief = world.agent_off("thief", "", "");
    thief.join_by(&hub.join_link()).good();
    std::fs::write(thief.state_dir.join("device.key"), stolen).unwrap();
    thief.start();
    thief.wait("the old key is refused", |status| status["trouble"].as_str().is_some_and(|t| t.contains("replaced")));
    assert_eq!(hub.query::<i64>("SELECT count(*) FROM devices WHERE state = 'pending'"), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_has_who_joined_what_was_refused_and_a_changed_configuration() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.wait_connected();
    assert!(!hub.verb(&["device", "accept", "nobody-waits"]).status.success());
    hub.verb(&["device", "forget", "pi"]).good();
    let text = std::fs::read_to_string(hub.daemon.config()).unwrap();
    hub.daemon.configure(&format!("{text}\n[limits]\ntasks = 77\n"));
    let rows = hub.wait("the changed configuration is in the audit log", |hub| {
        let rows = hub.list(&["audit"]);
        rows.iter().any(|row| row["action"] == "configuration").then_some(rows)
    });
    for (action, subject, outcome) in [
        ("device.join", "pi", "done"),
        ("device.accept", "nobody-waits", "refused"),
        ("device.forget", "pi", "done"),
        ("configuration", "", "done"),
    ] {
        let is_it =
            |row: &serde_json::Value| row["action"] == action && row["subject"] == subject && row["outcome"] == outcome;
        assert!(rows.iter().any(is_it), "{action} {subject} {outcome}: {rows:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_another_one_gets_no_event() {
    let world = World::new().await;
    let mut hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.wait_sent();
    // Another hub at the same address, with another identity and another certificate.
    hub.daemon.kill();
    std::fs::remove_dir_all(&hub.state_dir).unwrap();
    std::fs::create_dir_all(&hub.state_dir).unwrap();
    hub.start();
    pi.write("secret.err", "for the right hub only\n");
    pi.wait("the event stays", |status| status["connected"] == false && status["spool"].as_u64() >= Some(1));
    assert_eq!(hub.query::<i64>("SELECT count(*) FROM events"), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_configuration_ends_with_78_and_every_mistake() {
    let world = World::new().await;
    let mut pi = world.agent_off("pi", "setle = \"1s\"\nsettle_max = \"soon\"", "[pusch]\nafter = 1\n");
    pi.start();
    assert_eq!(pi.daemon.wait().code(), Some(78));
    let said = pi.daemon.verb(&["check"]);
    assert_eq!(said.status.code(), Some(78));
    for word in ["agent.toml", "setle", "settle", "settle_max", "pusch", "push"] {
        assert!(said.err.contains(word) || said.out.contains(word), "{word}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_new_configuration_is_refused_and_the_old_one_stays() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    let good = std::fs::read_to_string(hub.daemon.config()).unwrap();
    hub.daemon.configure(&format!("{good}\nnonsense = \"\"\n"));
    hub.daemon.signal(rustix::process::Signal::HUP);
    world.push("nonsense").await;
    pi.write("svc.err", "still served\n");
    world.push("still served").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_drops_no_agent_and_one_that_cannot_be_used_is_told_while_the_old_one_serves() {
    let world = World::new().await;
    let folder = world.folder().join("tls");
    std::fs::create_dir(&folder).unwrap();
    certificates(&folder, "127.0.0.1");
    let of = |name: &str| folder.join(name).display().to_string();
    let tls = format!("[tls]\nmode = \"files\"\ncert = \"{}\"\nkey = \"{}\"\n", of("cert.pem"), of("key.pem"));
    let hub = world.hub_with("", &tls);
    let mut pi = world.agent_off("pi", "", "");
    pi.daemon.env("SSL_CERT_FILE", &of("ca.pem"));
    pi.join(&hub);
    pi.start();
    pi.wait_connected();

    std::fs::write(folder.join("key.pem"), "not a key\n").unwrap();
    let push = world.push("certificate").await;
    assert!(push.text().contains("key.pem"), "{}", push.text());
    // A new session needs the certificate that serves.
    pi.daemon.kill();
    pi.start();
    pi.wait_connected();

    certificates(&folder, "127.0.0.1");
    hub.wait("the new certificate", |hub| {
        hub.daemon.log_text().contains("a new certificate is in force").then_some(())
    });
    pi.write("svc.err", "by the session of before\n");
    world.push("by the session of before").await;
    assert_eq!(pi.daemon.log_text().matches("no session").count(), 0, "{}", pi.daemon.log_text());
    assert_eq!(world.n_pushes("certificate"), 1);
}

//! A hub that is down: the reason is pushed once, and so is its return.

use olog_journeys::world::{Hub, World};

/// Runs what systemd runs when the unit has failed, with the variables that describe the failure.
fn look_after(hub: &mut Hub, result: &str, status: &str) -> Option<i32> {
    hub.daemon.env("MONITOR_SERVICE_RESULT", result);
    hub.daemon.env("MONITOR_EXIT_CODE", "exited");
    hub.daemon.env("MONITOR_EXIT_STATUS", status);
    hub.verb(&["failed"]).status.code()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_does_not_start_says_why_once_and_then_that_it_is_back() {
    let world = World::new().await;
    let mut hub = world.hub();
    world.push("HUB started").await;
    hub.daemon.stop();
    let good = std::fs::read_to_string(hub.daemon.config()).unwrap();
    hub.daemon.configure(&good.replace("\ntoken = ", "\ntokne = "));
    hub.daemon.start();
    assert_eq!(hub.daemon.wait().code(), Some(78));

    assert_eq!(look_after(&mut hub, "exit-code", "78"), Some(0));
    let push = world.push("HUB down").await;
    let place = good.lines().position(|line| line.starts_with("token = ")).unwrap() + 1;
    let words = format!("hub.toml:{place}:1 unknown key `tokne`, nearest `token`");
    assert!(push.text().contains(&words), "{words}: {}", push.text());
    assert!(push.summary.contains("hub.toml:"), "{}", push.summary);
    assert_eq!(look_after(&mut hub, "exit-code", "78"), Some(0));

    hub.daemon.configure(&good);
    hub.start();
    world.push("HUB is back").await;
    assert_eq!(look_after(&mut hub, "exit-code", "78"), Some(0), "the hub runs: nothing to tell");
    let pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    assert_eq!((world.n_pushes("HUB down"), world.n_pushes("HUB is back"), world.n_pushes("HUB restarted")), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_opened_is_told_in_the_hubs_own_words() {
    let world = World::new().await;
    let mut hub = world.hub();
    world.push("HUB started").await;
    hub.daemon.stop();
    // The service is unreachable at first, as while the network comes up.
    world.phone.behave_next([olog_journeys::Habit::Reset]);
    let database = hub.state_dir.join("olog.db");
    std::fs::rename(&database, hub.state_dir.join("olog.kept")).unwrap();
    std::fs::create_dir(&database).unwrap();
    hub.daemon.start();
    assert_eq!(hub.daemon.wait().code(), Some(1));
    assert_eq!(look_after(&mut hub, "exit-code", "1"), Some(0));
    let push = world.push("HUB down").await;
    assert!(push.text().contains("cannot open the store"), "{}", push.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_killed_is_told_even_without_its_state() {
    let world = World::new().await;
    let mut hub = world.hub();
    world.push("HUB started").await;
    hub.daemon.kill();
    std::fs::remove_dir_all(&hub.state_dir).unwrap();
    assert_eq!(look_after(&mut hub, "watchdog", "6"), Some(0));
    assert!(world.push("HUB down").await.text().contains("stopped responding"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_good_configuration_nobody_can_be_told() {
    let world = World::new().await;
    let mut hub = Hub::new(&world, "hub", "", "");
    hub.daemon.configure("nonsense = 1\n");
    assert_eq!(look_after(&mut hub, "exit-code", "78"), Some(1));
    assert!(world.phone.calls().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_beside_the_hub_joins_by_one_line_whatever_the_public_url() {
    let world = World::new().await;
    for (top, scheme) in [("", "https"), ("[tls]\nmode = \"off\"\n", "http")] {
        let name = format!("hub-{scheme}");
        let mut hub = Hub::new(&world, &name, "public_url = \"https://hub.example.invalid\"\n", top);
        hub.start();
        let said = hub.verb(&["join-link", "--local"]);
        assert_eq!(said.err, "", "what goes into a pipe goes alone");
        let link = said.good();
        assert!(link.starts_with(&format!("{scheme}://127.0.0.1:{}/join#", hub.port)), "{link}");
        let mut agent = world.agent_off(&format!("beside-{scheme}"), "", "");
        agent.join_by(link.trim()).good();
        agent.start();
        agent.wait_connected();
    }
}

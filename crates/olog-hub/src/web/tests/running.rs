//! Pages by which the hub is run: channels, enrolment, silences, settings.

use serde_json::Value;

use super::{access::TestBrowser, *};

/// A channel that accepts, and one that is refused.
const CHANNELS: &str = "[[channel]]\ntype = 'exec'\nname = 'good'\ncommand = ['/bin/true']\n\
    [[channel]]\ntype = 'exec'\nname = 'bad <b>'\ncommand = ['/bin/sh', '-c', 'echo \"no <i>such</i> token\"; exit 1']\n";

/// Waits until a page shows this.
async fn shows(browser: &mut TestBrowser, world: &World, target: &str, words: &str) -> String {
    let start = std::time::Instant::now();
    loop {
        let page = browser.get(world, target).await;
        if page.body.contains(words) || start.elapsed() > std::time::Duration::from_secs(30) {
            assert!(page.body.contains(words), "no {words:?}: {}", page.body);
            return page.body;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// What the audit log says that alice did on a page.
async fn done_by_alice(world: &World) -> Vec<(String, String)> {
    let audit: Vec<Value> = world.verbs.get("/audit?limit=100").await.unwrap();
    let of_page = audit.iter().filter(|entry| entry["origin"] == "127.0.0.1" && entry["actor"] == "alice");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    of_page.map(|entry| (text(&entry["action"]), text(&entry["subject"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_is_tested_and_rearmed_from_its_page_which_shows_what_the_service_answered() {
    let world = world(CHANNELS).await;
    let mut browser = TestBrowser::signed_in(&world, "admin").await;
    let page = browser.get(&world, "/channels").await;
    assert!(page.body.contains("<b>good</b>") && page.body.contains("bad &#60;b&#62;"), "{}", page.body);
    let form = page.form();
    let sent = browser.post(&world, "/channels/test", &[("form", &form), ("name", "good")]).await;
    assert!(sent.location().starts_with("/channels?test="), "{}", sent.location());
    let target = sent.location().to_owned();
    let body = shows(&mut browser, &world, &target, "<p class=\"ok\">").await;
    assert!(body.contains("<details>"), "the message is in the ledger: {body}");
    assert_eq!(browser.post(&world, "/channels/test", &[("form", &form), ("name", "bad <b>")]).await.status, 303);
    let body = shows(&mut browser, &world, "/channels", "no &#60;i&#62;such").await;
    assert!(!body.contains("<i>such"), "{body}");
    assert_eq!(browser.post(&world, "/channels/rearm", &[("form", &form), ("name", "bad <b>")]).await.status, 303);
    let done = done_by_alice(&world).await;
    for entry in [("channel.test", "good"), ("channel.rearm", "bad <b>")] {
        assert!(done.contains(&(entry.0.to_owned(), entry.1.to_owned())), "{done:?}");
    }
    assert_eq!(browser.post(&world, "/channels/test", &[("form", &form), ("name", "none")]).await.status, 404);
    assert_eq!(browser.post(&world, "/channels/test", &[("name", "good")]).await.status, 403);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_act_sees_channels_without_buttons_and_a_program_reads_their_messages() {
    let world = world(CHANNELS).await;
    let mut browser = TestBrowser::signed_in(&world, "act").await;
    let page = browser.get(&world, "/channels").await;
    assert!(page.status == 200 && !page.body.contains("channels/rearm"), "{}", page.body);
    let form = browser.get(&world, "/account").await.form();
    assert_eq!(browser.post(&world, "/channels/rearm", &[("form", &form), ("name", "good")]).await.status, 403);
    let (read, admin) = (world.token("read", None).await, world.token("admin", None).await);
    assert_eq!(world.with_token("POST", "/api/v1/channels/good/test", &read, "").await.0, 403);
    assert_eq!(world.with_token("POST", "/api/v1/channels/good/test", &admin, "").await.0, 204);
    assert_eq!(world.with_token("POST", "/api/v1/channels/none/test", &admin, "").await.0, 404);
    assert_eq!(world.with_token("POST", "/api/v1/channels/bad%20%3Cb%3E/rearm", &admin, "").await.0, 204);
    let start = std::time::Instant::now();
    loop {
        let (status, _, body) = world.with_token("GET", "/api/v1/channels/good/messages", &read, "").await;
        let rows: Vec<Value> = serde_json::from_str(&body).unwrap();
        if status == 200 && rows.first().is_some_and(|row| row["answers"][0]["outcome"] == "accepted") {
            break;
        }
        assert!(start.elapsed() < std::time::Duration::from_secs(30), "{status} {body}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(world.hub.stop().await);
}

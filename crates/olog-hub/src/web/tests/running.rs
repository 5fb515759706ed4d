//! Pages by which the hub is run: channels, enrolment, silences, settings.

use serde_json::Value;

use super::{access::TestBrowser, *};

/// A channel that accepts, and one that is refused.
const CHANNELS: &str = "[[channel]]\ntype = 'exec'\nname = 'good'\ncommand = ['/bin/true']\n\
    [[channel]]\ntype = 'exec'\nname = 'bad <b>'\ncommand = ['/bin/sh', '-c', 'echo \"no <i>such</i> token\"; exit 1']\n";

/// Waits until a page shows this.
async fn shows(browser: &mut TestBrowser, world: &World, target: &str, words: &str) -> String {
    let start = tokio::time::Instant::now();
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
    let start = tokio::time::Instant::now();
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

#[tokio::test(flavor = "multi_thread")]
async fn a_join_link_is_made_on_a_page_with_its_picture_and_the_page_says_who_joined_by_it() {
    let world = world_with("public_url = 'https://hub.example.com/olog'\n", "").await;
    let mut browser = TestBrowser::signed_in(&world, "admin").await;
    browser.says += "accept-language: en\r\n";
    let form = browser.get(&world, "/enrolment").await.form();
    let fields = [("form", form.as_str()), ("device", ""), ("hours", "24"), ("uses", "2")];
    let made = browser.post(&world, "/enrolment", &fields).await;
    assert!(made.status == 200 && made.body.contains("<svg"), "{}", made.body);
    assert!(!made.body.contains("style="), "the policy forbids styles of elements: {}", made.body);
    let (_, rest) = made.body.split_once("<code>").unwrap();
    let link = rest.split_once("</code>").unwrap().0.replace("&#38;", "&");
    assert!(link.starts_with("https://hub.example.com/olog/join#"), "{link}");
    let page = browser.get(&world, "/enrolment").await;
    assert!(page.body.contains("2 of 2 uses left") && page.body.contains("alice"), "{}", page.body);
    let secret = link.parse::<olog_proto::JoinLink>().unwrap().secret;
    assert!(!page.body.contains(&link), "the secret is shown once");
    let key = olog_proto::identity::SecretKey::from_seed([7; 32]).public();
    let request = enrol::JoinRequest { secret, name: "pi".parse().unwrap(), address: None, key };
    let headers = "content-type: application/json\r\n";
    let (status, _, body) = world.ask("POST", "/join", headers, &serde_json::to_string(&request).unwrap()).await;
    assert_eq!(status, 200, "{body}");
    let page = browser.get(&world, "/enrolment").await;
    assert!(page.body.contains("1 of 2 uses left") && page.body.contains("device?name=pi"), "{}", page.body);
    // Revoked, nobody joins by it.
    let (_, rest) = page.body.split_once("name=\"link\" value=\"").unwrap();
    let hash = rest.split_once('"').unwrap().0;
    assert_eq!(browser.post(&world, "/enrolment/revoke", &[("form", &form), ("link", hash)]).await.status, 303);
    assert_eq!(browser.post(&world, "/enrolment/revoke", &[("form", &form), ("link", hash)]).await.status, 404);
    let other = enrol::JoinRequest { name: "other".parse().unwrap(), ..request };
    let (status, ..) = world.ask("POST", "/join", headers, &serde_json::to_string(&other).unwrap()).await;
    assert_eq!(status, 403);
    for (name, value) in
        [("uses", "0"), ("uses", "x"), ("hours", "999999"), ("device", "a\u{1}b"), ("device", "a\u{202e}b")]
    {
        let mut fields: Vec<(&str, &str)> = fields.into_iter().filter(|(known, _)| *known != name).collect();
        fields.push((name, value));
        assert_eq!(browser.post(&world, "/enrolment", &fields).await.status, 422, "{name}={value}");
    }
    let done: Vec<String> = done_by_alice(&world).await.into_iter().map(|(action, _)| action).collect();
    assert!(done.contains(&"join-link".to_owned()) && done.contains(&"join-link.revoke".to_owned()), "{done:?}");
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_waits_is_accepted_or_rejected_on_a_page_by_administrators_only() {
    let world = world("").await;
    let store = rusqlite::Connection::open(world.dir.path().join("olog.db")).unwrap();
    for (id, name) in [(1, "pi"), (2, "<b>x</b>")] {
        let sql = "INSERT INTO devices (id, name, state, made_at) VALUES (?1, ?2, 'pending', 1800000000000)";
        store.execute(sql, rusqlite::params![id, name]).unwrap();
    }
    let mut browser = TestBrowser::signed_in(&world, "admin").await;
    let page = browser.get(&world, "/enrolment").await;
    assert!(page.body.contains("<b>pi</b>") && !page.body.contains("<b>x</b>"), "{}", page.body);
    let form = page.form();
    assert_eq!(browser.post(&world, "/enrolment/accept", &[("form", &form), ("who", "pi")]).await.status, 303);
    assert_eq!(browser.post(&world, "/enrolment/reject", &[("form", &form), ("who", "<b>x</b>")]).await.status, 303);
    assert_eq!(browser.post(&world, "/enrolment/reject", &[("form", &form), ("who", "<b>x</b>")]).await.status, 404);
    assert_eq!(browser.post(&world, "/enrolment/accept", &[("form", "x"), ("who", "pi")]).await.status, 403);
    let state = |name: &str| -> String {
        store.query_row("SELECT state FROM devices WHERE name = ?1", [name], |row| row.get(0)).unwrap()
    };
    assert_eq!((state("pi").as_str(), state("<b>x</b>").as_str()), ("joined", "forgotten"));
    let act = world.token("act", None).await;
    assert_eq!(world.with_token("GET", "/enrolment", &act, "").await.0, 403);
    assert_eq!(world.with_token("GET", "/api/v1/links", &act, "").await.0, 403);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_is_made_by_the_form_drawn_in_the_week_and_ended() {
    let world = world("").await;
    let mut browser = TestBrowser::signed_in(&world, "act").await;
    let page = browser.get(&world, "/silences?device=%3Cb%3E&task=backup").await;
    assert!(page.body.contains("value=\"&#60;b&#62;\"") && !page.body.contains("<svg"), "{}", page.body);
    let form = page.form();
    let fields = |device: &'static str, minutes: &'static str, from: &'static str, every: &'static str| {
        [
            ("form", form.clone()),
            ("device", device.to_owned()),
            ("minutes", minutes.to_owned()),
            ("from", from.to_owned()),
            ("every", every.to_owned()),
            ("comment", "disk <i>swap</i>".to_owned()),
        ]
    };
    for (device, minutes, from, every) in [
        ("", "60", "", ""),
        ("pi", "7", "", ""),
        ("pi", "x", "", ""),
        ("pi", "60", "2020-01-01T00:00", ""),
        ("pi", "60", "soon", ""),
        ("pi", "60", "", "every day"),
        ("pi", "60", "", "* * * * *"),
        ("pi", "60", "2027-02-01T00:00", "0 2 * * 0"),
    ] {
        let fields = fields(device, minutes, from, every);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let page = browser.post(&world, "/silences", &fields).await;
        assert_eq!(page.status, 422, "{fields:?}");
        assert!(page.body.contains("role=\"alert\"") && page.body.contains("disk &#60;i&#62;"), "{}", page.body);
    }
    for (device, every) in [("<b>web</b>*", ""), ("pi", "0 2 * * *")] {
        let fields = fields(device, "60", "", every);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(browser.post(&world, "/silences", &fields).await.location(), "/silences");
    }
    let page = browser.get(&world, "/silences").await;
    assert!(page.body.matches("class=\"wb\"").count() >= 7, "{}", page.body);
    assert!(page.body.contains("02:00–03:00 #2 pi"), "the week in words: {}", page.body);
    assert!(!page.body.contains("<b>web") && !page.body.contains("<i>swap"), "{}", page.body);
    assert_eq!(browser.post(&world, "/silences/1/end", &[("form", &form)]).await.status, 303);
    let left: Vec<Value> = world.verbs.get("/silences").await.unwrap();
    assert_eq!((left.len(), left[0]["made_by"].as_str()), (1, Some("alice")));
    let done = done_by_alice(&world).await;
    assert!(done.contains(&("silence".to_owned(), "pi".to_owned())), "{done:?}");
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_makes_a_silence_and_learns_what_was_wrong_with_its_request() {
    let world = world("").await;
    let (read, act) = (world.token("read", None).await, world.token("act", None).await);
    let ask = async |token: &str, body: &str| {
        let headers = format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n");
        world.ask("POST", "/api/v1/silences", &headers, body).await
    };
    let (status, _, body) = ask(&act, r#"{"device": "pi", "lasts": 3600000, "comment": "c"}"#).await;
    assert!(status == 200 && body.contains("\"is_now\":true"), "{status} {body}");
    assert_eq!(ask(&read, r#"{"device": "pi", "lasts": 3600000}"#).await.0, 403);
    for (wrong, status, words) in [
        (r#"{"lasts": 3600000}"#, 422, "a device, a task, or both"),
        (r#"{"device": "pi"}"#, 422, "needs an end"),
        (r#"{"device": "pi", "lasts": 1}"#, 422, "at least 1 minute"),
        (r#"{"device": "pi", "lasts": 9223372036854775807}"#, 422, "366 days"),
        (r#"{"device": "pi", "fingerprint": "zz"}"#, 422, "16 digits"),
        (r#"{"device": "pi", "every": "0 2 * * 0", "lasts": 1, "zone": "Mars"}"#, 422, "time zone"),
        (r#"{"device": 7}"#, 422, "device"),
        ("{", 400, "JSON"),
    ] {
        let (found, head, body) = ask(&act, wrong).await;
        assert_eq!(found, status, "{wrong}: {body}");
        assert!(head.contains("problem+json") && body.contains(words), "{wrong}: {body}");
    }
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_page_shows_the_configuration_in_force_without_secrets_and_where_each_value_stands() {
    let more = "[watchdog]\nurl = 'https://hc.example.com/very-secret'\n[[device]]\nname = '<b>pi</b>'\n";
    let world = world(more).await;
    let mut browser = TestBrowser::signed_in(&world, "admin").await;
    let page = browser.get(&world, "/settings").await;
    assert!(page.status == 200 && page.body.contains("event_keep_days = "), "{}", page.body);
    assert!(!page.body.contains("very-secret") && !page.body.contains("<b>pi"), "{}", page.body);
    assert!(page.body.contains("<b>tls.mode</b><span class=\"dim\">hub.toml:4</span>"), "{}", page.body);
    assert!(
        page.body.contains("<b>watchdog.url</b>") && !page.body.contains("<b>event_keep_days</b>"),
        "{}",
        page.body
    );
    let act = world.token("act", None).await;
    assert_eq!(world.with_token("GET", "/settings", &act, "").await.0, 403);
    assert!(world.hub.stop().await);
}

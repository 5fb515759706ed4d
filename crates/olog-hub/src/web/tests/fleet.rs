//! Pages of the fleet: what they show, who may act by them, and what a link of a notification opens.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{access::TestBrowser, *};
use crate::{
    ingest::tests::{err, ingested},
    rules::incident_link::LinkKey,
    store::Store,
};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const URL: &str = "public_url = 'https://hub.example.com/olog'\n";

async fn store_of(world: &World) -> Store {
    let url = crate::store::StoreUrl::Sqlite(world.dir.path().join("olog.db"));
    Store::open(&url, NOW).await.unwrap().0
}

/// A hub with two devices, of which `dev1` has an open error: incident 1.
pub(super) async fn world_in_trouble() -> World {
    let world = world_with(URL, "").await;
    let store = store_of(&world).await;
    let by = Some(olog_proto::event::Author::new(33, Some("www-data".to_owned())));
    let error = olog_proto::Event { by, ..err(1, "mysql", "starting\nERROR 2002: <b>can't</b> connect") };
    ingested(&store, NOW.plus(-1_000), 1, vec![error]).await;
    ingested(&store, NOW.plus(-500), 2, vec![]).await;
    world
}

/// What a notification's link has.
pub(super) async fn key_of(world: &World, incident: u64) -> String {
    let key: LinkKey = crate::access::link_key(&store_of(world).await).await.unwrap();
    let url =
        crate::rules::incident_link::IncidentLinks::new("https://hub.example.com/olog", key).url(&[incident], NOW);
    url.split_once("?key=").unwrap().1.to_owned()
}

async fn acknowledged(world: &World) -> bool {
    let incidents: Vec<Value> = world.verbs.get("/incidents?all=true").await.unwrap();
    incidents.iter().any(|incident| !incident["acknowledged_at"].is_null())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overview_has_what_is_wrong_first_with_the_errors_own_line() {
    let world = world_in_trouble().await;
    let mut browser = TestBrowser::signed_in(&world, "act").await;
    let page = browser.get(&world, "/").await;
    assert_eq!(page.status, 200);
    let (wrong, well) = (page.body.find("ERROR 2002: &#60;b&#62;can").unwrap(), page.body.find(">dev2").unwrap());
    assert!(wrong < well, "{}", page.body);
    for address in [
        "/device?name=dev1",
        "/task?device=dev1&name=mysql",
        "/incidents/1",
        "/events?q=error+2002",
        "/silences",
        "/reports",
    ] {
        let page = browser.get(&world, address).await;
        assert_eq!(page.status, 200, "{address}: {}", page.body);
        assert!(!page.body.contains("<b>can't"), "{address}: {}", page.body);
        assert!(!page.body.contains("web-") || page.body.contains("olog-hub"), "{address}: a key without a sentence");
    }
    for unknown in ["/device?name=dev9", "/device", "/task?device=dev1&name=no", "/incidents/99", "/incidents/x"] {
        assert!(matches!(browser.get(&world, unknown).await.status, 400 | 404), "{unknown}");
    }
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_acknowledged_silenced_and_closed_from_its_page_and_the_audit_log_says_by_whom() {
    let world = world_in_trouble().await;
    let mut browser = TestBrowser::signed_in(&world, "act").await;
    let form = browser.get(&world, "/incidents/1").await.form();
    let acts: [(&str, &[(&str, &str)]); 3] =
        [("/incidents/1/ack", &[]), ("/incidents/1/silence", &[("hours", "8")]), ("/incidents/1/close", &[])];
    for (address, fields) in acts {
        let fields = [&[("form", form.as_str())], fields].concat();
        assert_eq!(browser.post(&world, address, &fields).await.location(), "/incidents/1", "{address}");
    }
    let silences: Vec<Value> = world.verbs.get("/silences").await.unwrap();
    assert_eq!((silences[0]["device"].as_str(), silences[0]["task"].as_str()), (Some("dev1"), Some("mysql")));
    let open: Vec<Value> = world.verbs.get("/incidents").await.unwrap();
    assert!(open.is_empty(), "{open:?}");
    let audit: Vec<Value> = world.verbs.get("/audit?limit=100").await.unwrap();
    let of_page = audit.iter().filter(|entry| entry["origin"] == "127.0.0.1" && entry["actor"] == "alice");
    let actions: Vec<&str> = of_page.filter_map(|entry| entry["action"].as_str()).collect();
    for action in ["incidents.ack", "silence", "incidents.close"] {
        assert!(actions.contains(&action), "{actions:?}");
    }
    // Again, by somebody whose page is older: shown as it is.
    assert_eq!(browser.post(&world, "/incidents/1/ack", &[("form", form.as_str())]).await.status, 303);
    assert_eq!(browser.post(&world, "/incidents/1/silence", &[("form", &form), ("hours", "9999")]).await.status, 422);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_a_notification_shows_its_incident_and_acts_on_it_without_a_sign_in_and_on_nothing_else() {
    let world = world_in_trouble().await;
    let key = key_of(&world, 1).await;
    let mut phone = TestBrowser::new();
    let target = format!("/incidents/1?key={key}");
    // The preview of a messenger.
    let page = phone.get(&world, &target).await;
    assert!(page.status == 200 && page.body.contains("ERROR 2002"), "{}", page.body);
    assert!(page.body.contains("www-data (uid 33)"), "{}", page.body);
    assert!(!page.body.contains("/device?name"), "no way to other pages: {}", page.body);
    assert!(!acknowledged(&world).await, "a GET does nothing");
    for other in ["/incidents/1", "/incidents/1?key=", "/incidents/2?key=x", "/"] {
        assert_eq!(phone.get(&world, other).await.status, 303, "{other} leads to the sign-in");
    }
    let other_incident = format!("/incidents/2?key={key}");
    assert_eq!(phone.get(&world, &other_incident).await.status, 303);
    assert_eq!(phone.post(&world, "/incidents/2/ack", &[("key", &key)]).await.status, 303);
    assert_eq!(phone.post(&world, "/silences/1/end", &[("key", &key)]).await.status, 303);
    assert_eq!(phone.post(&world, "/incidents/1/ack", &[("key", "0-00")]).await.status, 303);
    assert!(!acknowledged(&world).await);
    // Another site's page cannot use it, even if it has guessed the address.
    let mut other_site = TestBrowser::new();
    other_site.says = "sec-fetch-site: cross-site\r\n".to_owned();
    assert_eq!(other_site.post(&world, "/incidents/1/ack", &[("key", &key)]).await.status, 403);
    let sent = phone.post(&world, "/incidents/1/ack", &[("key", &key)]).await;
    assert_eq!((sent.status, sent.location()), (303, target.as_str()));
    assert!(acknowledged(&world).await);
    let audit: Vec<Value> = world.verbs.get("/audit?limit=1").await.unwrap();
    assert_eq!(audit[0]["actor"], "the link of a notification");
    // It expires.
    world.hand.advance(8 * 86_400_000);
    assert_eq!(phone.get(&world, &target).await.status, 303);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_see_has_no_buttons_and_is_refused() {
    let world = world_in_trouble().await;
    let mut browser = TestBrowser::signed_in(&world, "read").await;
    let page = browser.get(&world, "/incidents/1").await;
    assert!(page.status == 200 && !page.body.contains("/incidents/1/ack"), "{}", page.body);
    let form = browser.get(&world, "/account").await.form();
    assert_eq!(browser.post(&world, "/incidents/1/ack", &[("form", &form)]).await.status, 403);
    assert!(!acknowledged(&world).await);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_has_events_with_a_link_to_the_next_page_and_every_other_list() {
    let world = world_in_trouble().await;
    let token = world.token("read", None).await;
    let (status, head, body) = world.with_token("GET", "/api/v1/events?limit=1", &token, "").await;
    let rows: Vec<Value> = serde_json::from_str(&body).unwrap();
    assert_eq!((status, rows[0]["device"].as_str(), rows[0]["kind"].as_str()), (200, Some("dev1"), Some("err")));
    assert!(head.contains("link: </api/v1/events?before="), "{head}");
    for list in ["silences", "reports", "channels", "incidents/1/story", "events?q=%E7%A3%81", "devices", "tasks"] {
        let (status, _, body) = world.with_token("GET", &format!("/api/v1/{list}"), &token, "").await;
        assert_eq!(status, 200, "{list}: {body}");
    }
    for (bad, status) in
        [("events?before=x", 400), ("events?limit=0", 400), ("incidents/9/story", 404), ("tokens", 403)]
    {
        assert_eq!(world.with_token("GET", &format!("/api/v1/{bad}"), &token, "").await.0, status, "{bad}");
    }
    let act = world.token("act", None).await;
    assert_eq!(world.with_token("POST", "/api/v1/incidents/1/close", &act, "").await.0, 200);
    assert_eq!(world.with_token("POST", "/api/v1/incidents/1/close", &act, "").await.0, 409);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_of_the_api_has_every_address_and_the_fields_that_are_answered() {
    let world = world_in_trouble().await;
    assert_eq!(world.get("/api/openapi.json").await.0, 401);
    let token = world.token("admin", None).await;
    let (status, _, body) = world.with_token("GET", "/api/openapi.json", &token, "").await;
    assert_eq!(status, 200);
    let description: Value = serde_json::from_str(&body).unwrap();
    let described: BTreeSet<&str> = description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let routes = include_str!("../api.rs").split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    assert_eq!(described, routes.filter(|route| route.starts_with("/api/v1")).collect());
    for (path, row) in [
        ("devices", "ListedDevice"),
        ("tasks", "TaskListRow"),
        ("incidents", "Incident"),
        ("events", "EventRow"),
        ("tokens", "Token"),
    ] {
        let (status, _, body) = world.with_token("GET", &format!("/api/v1/{path}"), &token, "").await;
        assert_eq!(status, 200, "{path}");
        let rows: Vec<Value> = serde_json::from_str(&body).unwrap();
        let answered: BTreeSet<&String> = rows[0].as_object().unwrap().keys().collect();
        let fields = description["components"]["schemas"][row]["properties"].as_object().unwrap();
        assert_eq!(answered, fields.keys().collect(), "{path}");
    }
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_chooses_the_language_and_stays_on_the_page_and_another_sites_form_chooses_nothing() {
    let world = world_in_trouble().await;
    let mut browser = TestBrowser::signed_in(&world, "read").await;
    let lang = |page: &str| page.split_once("<html lang=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    let place = "/events?q=a%26b&device=dev1";
    let page = browser.get(&world, place).await;
    assert_eq!(lang(&page.body), "zh-CN");
    let html = page.body.replace("&#38;", "&");
    assert!(html.contains(&format!("name=\"next\" value=\"{place}\"")), "{html}");
    let chosen = browser.post(&world, "/language", &[("language", "en"), ("next", place)]).await;
    assert_eq!((chosen.status, chosen.location()), (303, place));
    assert_eq!(lang(&browser.get(&world, place).await.body), "en");
    for (language, next, to) in [("tlh", "/account", "/account"), ("", "//evil.example", "/")] {
        let chosen = browser.post(&world, "/language", &[("language", language), ("next", next)]).await;
        assert_eq!((chosen.status, chosen.location()), (303, to));
    }
    browser.says = "sec-fetch-site: cross-site\r\n".to_owned();
    browser.post(&world, "/language", &[("language", "zh-CN"), ("next", "/")]).await;
    assert_eq!(lang(&browser.get(&world, place).await.body), "en");
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_a_merged_message_shows_its_incidents_and_acknowledges_all_of_them_and_no_other() {
    let world = world_in_trouble().await;
    let store = store_of(&world).await;
    for n in [3, 4] {
        ingested(&store, NOW.plus(-400), n, vec![err(1, "disk", "<i>No</i> space left")]).await;
    }
    let key: LinkKey = crate::access::link_key(&store).await.unwrap();
    let links = crate::rules::incident_link::IncidentLinks::new("https://hub.example.com/olog", key);
    let target = links.url(&[1, 2], NOW).replace("https://hub.example.com/olog", "");
    let mut phone = TestBrowser::new();
    let page = phone.get(&world, &target).await;
    assert!(page.status == 200 && page.body.contains("#1<") && page.body.contains("#2<"), "{}", page.body);
    assert!(!page.body.contains("#3<") && !page.body.contains("<i>No"), "{}", page.body);
    assert!(!acknowledged(&world).await, "a GET does nothing");
    // Each of them opens by its own narrowed key.
    let (_, rest) = page.body.split_once("href=\"incidents/1?key=").unwrap();
    let own = rest.split_once('"').unwrap().0.to_owned();
    assert_eq!(phone.get(&world, &format!("/incidents/1?key={own}")).await.status, 200);
    assert_eq!(phone.get(&world, &format!("/incidents/3?key={own}")).await.status, 303);
    let key = target.split_once("&key=").unwrap().1;
    for (text, status) in [("1-3", 303), ("3", 303), ("1", 303), ("x", 404), ("1-9999999", 404), ("", 404)] {
        assert_eq!(phone.get(&world, &format!("/incidents?n={text}&key={key}")).await.status, status, "{text}");
        let posted = phone.post(&world, "/incidents/ack", &[("n", text), ("key", key)]).await;
        assert_eq!(posted.status, 303, "{text}: to the sign-in");
    }
    let mut other_site = TestBrowser::new();
    other_site.says = "sec-fetch-site: cross-site\r\n".to_owned();
    assert_eq!(other_site.post(&world, "/incidents/ack", &[("n", "1-2"), ("key", key)]).await.status, 403);
    assert!(!acknowledged(&world).await);
    let sent = phone.post(&world, "/incidents/ack", &[("n", "1-2"), ("key", key)]).await;
    assert_eq!((sent.status, sent.location()), (303, target.as_str()));
    let incidents: Vec<Value> = world.verbs.get("/incidents?all=true").await.unwrap();
    let done = incidents.iter().filter(|incident| !incident["acknowledged_at"].is_null());
    let done: BTreeSet<u64> = done.filter_map(|incident| incident["id"].as_u64()).collect();
    assert_eq!(done, BTreeSet::from([1, 2]));
    let page = phone.get(&world, &target).await;
    assert!(!page.body.contains("incidents/ack"), "nothing is left to acknowledge: {}", page.body);
    let audit: Vec<Value> = world.verbs.get("/audit?limit=10").await.unwrap();
    assert_eq!(audit.iter().filter(|entry| entry["actor"] == "the link of a notification").count(), 2, "{audit:?}");
    world.hand.advance(8 * 86_400_000);
    assert_eq!(phone.get(&world, &target).await.status, 303);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_task_draws_its_runs_and_a_person_says_there_whether_it_is_expected() {
    let world = world_in_trouble().await;
    let store = store_of(&world).await;
    let run = |n: u64, exit: i32, duration: u64| olog_proto::Event {
        what: olog_proto::EventContent::RunEnded {
            task: "back<i>up".parse().unwrap(),
            run: format!("run {n}"),
            exit: Some(exit),
            signal: None,
            duration,
            excerpt: olog_proto::Excerpt::default(),
            fingerprints: Vec::new(),
        },
        ..err(n, "mysql", "")
    };
    ingested(&store, NOW.plus(-300), 5, vec![run(1, 0, 60_000), run(2, 1, 120_000), run(3, 0, 30_000)]).await;
    let mut browser = TestBrowser::signed_in(&world, "act").await;
    browser.says += "accept-language: en\r\n";
    let target = "/task?device=dev5&name=back%3Ci%3Eup";
    let page = browser.get(&world, target).await;
    assert_eq!(page.body.matches("<rect class=\"rb").count(), 3, "{}", page.body);
    assert!(page.body.contains("the middle one 1 min") && page.body.contains("1 failed"), "{}", page.body);
    assert!(page.body.contains("90 days:") && !page.body.contains("<i>up"), "{}", page.body);
    assert!(page.body.contains("Nothing is expected") && !page.body.contains("task/expect"), "{}", page.body);
    let form = page.form();
    let say = |expected: &'static str| {
        [
            ("form", form.clone()),
            ("device", "dev5".to_owned()),
            ("name", "back<i>up".to_owned()),
            ("expected", expected.to_owned()),
        ]
    };
    for (expected, words) in [("off", "turned off by hand"), ("on", "Nothing is expected: hub.toml")] {
        let fields = say(expected);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let sent = browser.post(&world, "/task/expect", &fields).await;
        assert!(sent.location().eq_ignore_ascii_case(target), "{}", sent.location());
        let page = browser.get(&world, target).await;
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    for (device, name, expected, status) in
        [("dev9", "x", "on", 404), ("dev5", "x", "off", 404), ("dev5", "back<i>up", "maybe", 422)]
    {
        let fields = [("form", form.as_str()), ("device", device), ("name", name), ("expected", expected)];
        assert_eq!(browser.post(&world, "/task/expect", &fields).await.status, status, "{device} {name} {expected}");
    }
    let page = browser.get(&world, "/device?name=dev5").await;
    assert!(page.body.contains("class=\"strip long\""), "{}", page.body);
    assert!(world.hub.stop().await);
}

//! `/api/v1/stream`: what a client reads of it, how it goes on after a break, when it ends, and what one client may have.

use serde_json::json;

use super::{access::TestBrowser, fleet::world_in_trouble, *};

/// A stream that is open.
struct Reading {
    socket: TcpStream,
    text: String,
}

impl Reading {
    async fn open(world: &World, target: &str, headers: &str) -> Reading {
        let mut socket = TcpStream::connect(world.hub.address()).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nhost: hub\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut reading = Reading { socket, text: String::new() };
        let head = reading.until("\n\n").await;
        reading.text.insert_str(0, &head);
        reading
    }

    async fn with_token(world: &World, query: &str, token: &str, headers: &str) -> Reading {
        let headers = format!("authorization: Bearer {token}\r\n{headers}");
        Reading::open(world, &format!("/api/v1/stream{query}"), &headers).await
    }

    /// Reads until that text has come; gives what came before it and with it.
    async fn until(&mut self, words: &str) -> String {
        let mut bytes = [0; 4096];
        loop {
            if let Some(at) = self.text.find(words) {
                return self.text.drain(..at + words.len()).collect();
            }
            let read = timeout(Duration::from_secs(60), self.socket.read(&mut bytes)).await;
            let n = read.map_or(0, Result::unwrap);
            assert!(n > 0, "the stream ended without {words:?}: {:?}", self.text);
            self.text += &String::from_utf8_lossy(&bytes[..n]);
        }
    }

    /// Reads to the end of the stream.
    async fn rest(mut self) -> String {
        let mut rest = Vec::new();
        self.socket.read_to_end(&mut rest).await.unwrap();
        self.text + &String::from_utf8_lossy(&rest)
    }
}

fn last_id(text: &str) -> String {
    let id = text.rsplit("id: ").next().and_then(|rest| rest.lines().next());
    id.unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_as_it_is_committed_with_names_and_no_text() {
    let world = world_in_trouble().await;
    let token = world.token("act", None).await;
    let mut reading = Reading::with_token(&world, "", &token, "").await;
    let head = reading.until("event: ready\ndata: {\"at\":1800000000000}\n\n").await;
    assert!(head.contains("content-type: text/event-stream") && head.contains("cache-control: no-store"), "{head}");
    assert!(head.contains("x-accel-buffering: no") && head.contains("retry: 2000"), "{head}");
    assert_eq!(world.with_token("POST", "/api/v1/incidents/1/ack", &token, "").await.0, 200);
    let told = reading.until("\"step\":\"acknowledged\"}\n\n").await;
    let row = "data: {\"device\":\"dev1\",\"task\":\"mysql\",\"incident\":1,\"step\":\"acknowledged\"}";
    assert!(told.contains("event: incident\n") && told.contains(row), "{told}");
    assert!(!told.contains("ERROR 2002"), "{told}");
    let id = last_id(&told);

    // It comes back, and has missed one change.
    drop(reading);
    assert_eq!(world.with_token("POST", "/api/v1/incidents/1/close", &token, "").await.0, 200);
    for (query, header) in [("", format!("last-event-id: {id}\r\n")), (&*format!("?after={id}"), String::new())] {
        let mut reading = Reading::with_token(&world, query, &token, &header).await;
        let missed = reading.until("\"step\":\"ended\"}\n\n").await;
        assert!(!missed.contains("resync") && !missed.contains("acknowledged"), "{missed}");
    }
    // An id of another run, and what is no id: everything must be read anew.
    for id in ["00000000000000aa-1", "x"] {
        let mut reading = Reading::with_token(&world, "", &token, &format!("last-event-id: {id}\r\n")).await;
        reading.until("event: resync\ndata: {}\n\n").await;
    }
    // What was not asked for is not told; a page is only told that there is something.
    let mut of_other = Reading::with_token(&world, "?kinds=silence", &token, "").await;
    let mut merged = Reading::with_token(&world, "?merged=true", &token, "").await;
    let silence = json!({ "device": "dev1", "lasts": 7_200_000, "comment": "x" });
    let made: Result<serde_json::Value, _> = world.verbs.post("/silence", &silence).await;
    assert!(made.is_ok(), "{made:?}");
    let told = of_other.until("\"silence\":1}\n\n").await;
    assert_eq!(told.matches("event: ").count(), 2, "{told}");
    merged.until("event: change\ndata: {}\n\n").await;
    assert_eq!(world.with_token("GET", "/api/v1/stream?kinds=x", &token, "").await.0, 400);
    assert_eq!(world.get("/api/v1/stream").await.0, 401);
    // The hub stops, and does not wait for streams.
    assert!(world.hub.stop().await);
    of_other.rest().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token_and_with_its_session() {
    let world = world_in_trouble().await;
    let token = world.token("read", None).await;
    let reading = Reading::with_token(&world, "", &token, "").await;
    let mut browser = TestBrowser::signed_in(&world, "read").await;
    let of_session = Reading::open(&world, "/api/v1/stream", &browser.cookie_header()).await;
    world.verbs.post::<()>("/token/revoke", &json!({ "who": "read None" })).await.unwrap();
    reading.rest().await;
    let form = browser.get(&world, "/account").await.form();
    assert_eq!(browser.post(&world, "/signout", &[("form", &form)]).await.status, 303);
    of_session.rest().await;
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_session_has_four_streams_and_a_fifth_is_told_when_to_come_again() {
    let world = world_in_trouble().await;
    let browser = TestBrowser::signed_in(&world, "read").await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(Reading::open(&world, "/api/v1/stream", &browser.cookie_header()).await);
    }
    let (status, head, body) = world.ask("GET", "/api/v1/stream", &browser.cookie_header(), "").await;
    assert_eq!(status, 429, "{body}");
    assert!(head.contains("retry-after: 30") && head.contains("application/problem+json"), "{head}");
    // One is closed: its place is free as soon as the hub has noticed.
    open.pop();
    while world.ask("HEAD", "/api/v1/stream", &browser.cookie_header(), "").await.0 != 200 {
        tokio::task::yield_now().await;
    }
    assert!(world.hub.stop().await);
}

/// The value of an attribute of a page.
fn attribute<'a>(page: &'a str, name: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split_once('"').unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_runs_one_script_of_this_hub_hears_its_stream_and_reads_itself_anew() {
    let world = world_in_trouble().await;
    let mut browser = TestBrowser::signed_in(&world, "act").await;
    let page = browser.get(&world, "/incidents/1").await;
    assert!(page.head.contains("script-src 'self'; connect-src 'self'"), "{}", page.head);
    assert!(!page.head.contains("unsafe"), "{}", page.head);
    assert!(!page.body.contains("<script>") && !page.body.contains(" style="), "{}", page.body);
    // The script may be kept for good: its name changes with it.
    let script = attribute(&page.body, "src").replace("../", "/");
    let (status, head, text) = world.get(&script).await;
    assert!(status == 200 && head.contains("immutable") && head.contains("text/javascript"), "{script}: {head}");
    assert!(text.contains("defineExtension(\"sse\"") && text.contains("htmx:sseError"), "{}", text.len());
    let (status, head, _) = world.ask("GET", &script, "accept-encoding: gzip, br\r\n", "").await;
    let size: usize = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    assert!(status == 200 && head.contains("content-encoding: gzip") && size < text.len() / 2, "{head}");
    assert_eq!(world.get("/assets/live-0000000000000000.js").await.0, 404);
    // A change is told to it; then it asks for itself.
    let stream = attribute(&page.body, "sse-connect").replace("&#38;", "&").replace("../", "/");
    let mut reading = Reading::open(&world, &stream, &browser.cookie_header()).await;
    let cookies = browser.cookie_header();
    let update = |tag: &str| format!("{cookies}hx-request: true\r\nif-none-match: {tag}\r\n");
    let (status, head, body) = world.ask("GET", "/incidents/1", &update("\"x\""), "").await;
    assert!(status == 200 && !body.contains("sse-connect") && body.contains("id=\"live\""), "{head}");
    let tag = world.tag_of("/incidents/1", &update("\"x\"")).await;
    assert_eq!(world.ask("GET", "/incidents/1", &update(&tag), "").await.0, 304);
    let form = browser.get(&world, "/account").await.form();
    assert_eq!(browser.post(&world, "/incidents/1/ack", &[("form", &form)]).await.status, 303);
    reading.until("event: change\n").await;
    assert_eq!(world.ask("GET", "/incidents/1", &update(&tag), "").await.0, 200);
    // A page that does not update itself has no script.
    let page = browser.get(&world, "/account").await;
    assert!(!page.head.contains("script-src") && !page.body.contains("<script"), "{}", page.body);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_a_notification_opens_a_stream_of_its_incident_alone() {
    let world = world_in_trouble().await;
    let key = super::fleet::key_of(&world, 1).await;
    let page = world.get(&format!("/incidents/1?key={key}")).await.2;
    let stream = attribute(&page, "sse-connect").replace("&#38;", "&").replace("../", "/");
    assert!(stream.starts_with("/incidents/1/stream?key="), "{stream}");
    let mut reading = Reading::open(&world, &format!("{stream}&incident=2&kinds="), "").await;
    let token = world.token("act", None).await;
    assert_eq!(world.with_token("POST", "/api/v1/incidents/1/close", &token, "").await.0, 200);
    reading.until("event: change\n").await;
    for other in [stream.replace("/1/", "/2/"), "/api/v1/stream".to_owned(), "/incidents/1/stream".to_owned()] {
        assert!([303, 401].contains(&world.get(&other).await.0), "{other}");
    }
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn times_are_in_the_browsers_zone_or_in_utc_and_say_how_long_ago_and_exactly_when() {
    let world = world_in_trouble().await;
    let mut browser = TestBrowser::signed_in(&world, "read").await;
    browser.says += "accept-language: en\r\n";
    let page = browser.get(&world, "/events?q=error").await;
    assert!(page.body.contains("datetime=\"2027-01-15T") && page.body.contains(">just now</time>"), "{}", page.body);
    world.hand.advance(2 * 3_600_000 + 60_000);
    assert!(browser.get(&world, "/events").await.body.contains(">2 h ago</time>"));
    let sent = browser.post(&world, "/times", &[("times", "utc"), ("next", "/events?q=error")]).await;
    assert_eq!((sent.status, sent.location()), (303, "/events?q=error"));
    assert!(browser.get(&world, "/events").await.body.contains("Times: UTC"));
    let sent = browser.post(&world, "/times", &[("times", "local"), ("next", "//elsewhere")]).await;
    assert_eq!((sent.status, sent.location()), (303, "/"));
    browser.says += "cookie: olog-zone=Asia/Tokyo\r\n";
    let page = browser.get(&world, "/events").await.body;
    assert!(page.contains("Times: Asia/Tokyo") && page.contains("data-browser-zone=\"Asia/Tokyo\""), "{page}");
    assert!(page.contains("title=\"16:5"), "{page}");
    assert!(world.hub.stop().await);
}

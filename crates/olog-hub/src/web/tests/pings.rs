//! Pings: what clients of healthchecks.io are answered, what is stored, and what strangers cannot do.

use serde_json::{Value, json};

use super::*;

const UUID: &str = "0b1f6a0e-2d3c-4e5f-8a9b-0c1d2e3f4a5b";

/// A hub with a device that has joined, and the device's key.
pub(super) async fn with_device(more: &str) -> (World, String) {
    let world = world(more).await;
    world.sql("INSERT INTO devices (name, key, state, made_at, joined_at) VALUES ('pi', 'k', 'joined', 0, 0)");
    let key = world.ping_key(&json!({ "device": "pi" })).await;
    (world, key)
}

impl World {
    pub(super) fn store(&self) -> rusqlite::Connection {
        let store = rusqlite::Connection::open(self.dir.path().join("olog.db")).unwrap();
        store.busy_timeout(std::time::Duration::from_secs(30)).unwrap();
        store
    }

    fn sql(&self, sql: &str) {
        self.store().execute(sql, []).unwrap();
    }

    async fn ping_key(&self, request: &Value) -> String {
        let made: Value = self.verbs.post("/ping-key/make", request).await.unwrap();
        made["key"].as_str().unwrap().to_owned()
    }

    /// The status and the words.
    async fn ping(&self, method: &str, target: &str, body: &str) -> (u16, String) {
        let (status, _, words) = self.ask(method, &format!("/ping/{target}"), "", body).await;
        (status, words)
    }

    /// The events, the latest last: what is in their bodies.
    fn events(&self) -> Vec<Value> {
        let store = self.store();
        let mut rows = store.prepare("SELECT body FROM events ORDER BY n").unwrap();
        let bodies = rows.query_map([], |row| row.get::<_, String>(0)).unwrap();
        bodies.map(|body| serde_json::from_str::<Value>(&body.unwrap()).unwrap()["what"].clone()).collect()
    }

    pub(super) async fn tasks(&self) -> Vec<String> {
        let tasks: Vec<Value> = self.verbs.get("/tasks").await.unwrap();
        tasks
            .iter()
            .map(|task| format!("{} {}", task["task"].as_str().unwrap(), task["state"].as_str().unwrap()))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_are_answered_as_healthchecks_answers_them() {
    let (world, key) = with_device("").await;
    let k = |rest: &str| format!("{key}/{rest}");
    for (method, target, expected) in [
        ("POST", k("backup"), (404, "not found")),
        ("GET", k("backup?create=true"), (404, "not found")),
        ("POST", k("backup/start?create=1"), (201, "Created")),
        ("POST", k("backup/log?create=1"), (200, "OK")),
        ("POST", k("backup?create=1"), (200, "OK")),
        ("GET", k("backup"), (200, "OK")),
        ("HEAD", k("backup"), (200, "")),
        ("HEAD", k("missing"), (404, "")),
        ("GET", k("backup/0"), (200, "OK")),
        ("GET", k("backup/255"), (200, "OK")),
        ("GET", k("backup/256"), (400, "invalid url format")),
        ("GET", k("Backup"), (400, "invalid url format")),
        ("GET", k("backup?rid=x"), (400, "invalid uuid format")),
        ("POST", k(&format!("backup/fail?rid={UUID}")), (200, "OK")),
        ("POST", k("bad?create=1&rid=x"), (400, "invalid uuid format")),
        ("POST", k("bad"), (404, "not found")),
        ("GET", k("backup/finish"), (404, "not found")),
        ("GET", k("back.up"), (404, "not found")),
        ("GET", "x".to_owned(), (404, "not found")),
        ("GET", UUID.to_owned(), (404, "not found")),
        ("GET", "wrong-key/backup".to_owned(), (404, "not found")),
    ] {
        let (status, words) = world.ping(method, &target, "").await;
        assert_eq!((status, words.as_str()), expected, "{method} {}", target.replace(&key, "KEY"));
    }
    let n_events = world.events().len();
    for (method, status) in [("OPTIONS", 204), ("PUT", 405), ("DELETE", 405), ("PATCH", 405), ("BREW", 405)] {
        let (found, head, _) = world.ask(method, &format!("/ping/{key}/backup"), "", "").await;
        assert_eq!(found, status, "{method}");
        assert!(head.contains("allow: get, head, post"), "{head}");
    }
    assert_eq!(world.events().len(), n_events, "none of those is a ping");

    let (_, head, _) = world.ask("GET", &format!("/ping/{key}/backup"), "", "").await;
    for header in ["ping-body-limit: 100000", "access-control-allow-origin: *", "no-cache", "text/plain", "expires:"] {
        assert!(head.contains(header), "no {header} in {head}");
    }
    let (_, head, _) = world.ask("GET", &format!("/ping/{key}/none"), "", "").await;
    assert!(!head.contains("ping-body-limit") && !head.contains("access-control"), "{head}");
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_becomes_a_state_an_incident_and_a_recovery() {
    let (world, key) = with_device("").await;
    assert_eq!(world.ping("POST", &format!("{key}/backup?create=1"), "done").await.0, 201);
    assert_eq!(world.tasks().await, ["backup OK"]);
    assert_eq!(world.ping("POST", &format!("{key}/backup/log"), "disk full").await.0, 200);
    assert_eq!(world.tasks().await, ["backup OK"], "a log changes nothing");
    let words = "copying\nmysql -p'hunter2hunter2' failed: password=hunter2hunter2\n\u{1b}[31mno space left\u{1b}[0m\n";
    assert_eq!(world.ping("POST", &format!("{key}/backup/3"), words).await.0, 200);
    assert_eq!(world.tasks().await, ["backup ERR"]);
    let incidents: Vec<Value> = world.verbs.get("/incidents?all=false").await.unwrap();
    assert_eq!(incidents.len(), 1);
    let stored = format!("{:?} {incidents:?}", world.events());
    assert!(stored.contains("no space left") && !stored.contains("hunter2") && !stored.contains("\\u{1b}"), "{stored}");
    assert_eq!(world.ping("GET", &format!("{key}/backup"), "").await.0, 200);
    assert_eq!(world.tasks().await, ["backup OK"]);
    assert_eq!(world.ping("GET", &format!("{key}/backup/fail"), "").await.0, 200);
    assert_eq!(world.tasks().await, ["backup ERR"]);
    assert!(world.events().last().unwrap().to_string().contains("reported as failed"));
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_overlap_are_stored_with_their_own_durations() {
    let (world, key) = with_device("").await;
    let other = UUID.replace('0', "f");
    for (wait, target) in [
        (0, format!("start?create=1&rid={UUID}")),
        (1_000, format!("start?rid={other}")),
        (2_000, format!("0?rid={}", other.to_uppercase())),
        (4_000, format!("fail?rid={UUID}")),
    ] {
        world.hand.advance(wait);
        let (status, _) = world.ping("POST", &format!("{key}/job/{target}"), "").await;
        assert!([200, 201].contains(&status), "{target}: {status}");
    }
    let ended: Vec<(Value, Value)> = world
        .events()
        .iter()
        .filter_map(|what| what.get("run_ended").map(|run| (run["run"].clone(), run["duration"].clone())))
        .collect();
    assert_eq!(ended, [(json!(other), json!(2_000)), (json!(UUID), json!(7_000))]);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_found_by_the_slug_of_its_name_or_by_an_address_of_its_own() {
    let (world, key) = with_device("").await;
    let task = "INSERT INTO tasks (device_id, name, made_at, is_task, facts, expect) VALUES (1, ?1, 0, 0, '{}', '{}')";
    for name in ["Back Up", "back-Up", "Nightly Dump"] {
        world.store().execute(task, [name]).unwrap();
    }
    assert_eq!(world.ping("GET", &format!("{key}/nightly-dump"), "").await, (200, "OK".into()));
    assert_eq!(world.tasks().await, ["Nightly Dump OK"]);
    for target in ["back-up", "back-up?create=1"] {
        assert_eq!(world.ping("GET", &format!("{key}/{target}"), "").await, (409, "ambiguous slug".into()));
    }
    let uuid = world.ping_key(&json!({ "device": "pi", "task": "Back Up" })).await;
    assert_eq!(world.ping("POST", &format!("{uuid}/1"), "broken").await, (200, "OK".into()));
    let renamed = json!({ "device": "pi", "old": "Back Up", "new": "files" });
    world.verbs.post::<Value>("/task/rename", &renamed).await.unwrap();
    assert_eq!(world.ping("POST", &uuid, "").await, (200, "OK".into()));
    assert_eq!(world.tasks().await, ["Nightly Dump OK", "files OK"]);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_shown_once_and_is_worth_nothing_once_it_is_replaced_or_removed() {
    let (world, key) = with_device("").await;
    assert_eq!(world.ping("GET", &format!("{key}/a?create=1"), "").await.0, 201);
    let again = world.verbs.post::<Value>("/ping-key/make", &json!({ "device": "pi" })).await;
    assert!(again.unwrap_err().to_string().contains("--new"));
    let new = world.ping_key(&json!({ "device": "pi", "is_new": true })).await;
    assert_eq!(world.ping("GET", &format!("{key}/a"), "").await.0, 404);
    assert_eq!(world.ping("GET", &format!("{new}/a"), "").await.0, 200);
    assert!(world.verbs.post::<bool>("/ping-key/remove", &json!({ "device": "pi" })).await.unwrap());
    assert!(!world.verbs.post::<bool>("/ping-key/remove", &json!({ "device": "pi" })).await.unwrap());
    assert_eq!(world.ping("GET", &format!("{new}/a"), "").await.0, 404);
    let nobody = world.verbs.post::<Value>("/ping-key/make", &json!({ "device": "nobody" })).await;
    assert!(nobody.unwrap_err().to_string().contains("nobody"));

    let third = world.ping_key(&json!({ "device": "pi" })).await;
    world.verbs.post::<()>("/device/forget", &json!({ "who": "pi" })).await.unwrap();
    assert_eq!(world.ping("GET", &format!("{third}/a"), "").await.0, 404);
    let database = std::fs::read(world.dir.path().join("olog.db")).unwrap();
    let journal = std::fs::read(world.dir.path().join("olog.db-wal")).unwrap_or_default();
    for secret in [&key, &new, &third] {
        let is_in = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!is_in(&database) && !is_in(&journal), "a key is stored");
    }
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_who_guesses_waits_and_the_owner_behind_the_same_address_does_not() {
    let (world, key) = with_device("").await;
    let mut refused = 0;
    for n in 0..100 {
        let (status, head, _) = world.ask("GET", &format!("/ping/guess-{n}/backup"), "", "").await;
        refused += u32::from(status == 429);
        assert!(status == 404 || head.contains("retry-after: 60"), "{status} {head}");
    }
    assert_eq!(refused, 70);
    assert_eq!(world.ping("GET", &format!("{key}/backup?create=1"), "").await.0, 201);
    world.hand.advance(60_000);
    assert_eq!(world.ping("GET", "guess/backup", "").await.0, 404);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_pings_without_end_is_slowed_and_says_when_to_come_again() {
    let (world, key) = with_device("").await;
    assert_eq!(world.ping("GET", &format!("{key}/a?create=1"), "").await.0, 201);
    for _ in 1..600 {
        assert_eq!(world.ping("GET", &format!("{key}/a"), "").await.0, 200);
    }
    let (status, head, words) = world.ask("GET", &format!("/ping/{key}/a"), "", "").await;
    assert_eq!((status, words.as_str()), (429, "rate limited"));
    assert!(head.contains("retry-after: 60"), "{head}");
    assert!(world.hub.stop().await);
}

/// Sends a body of that many bytes, however early the hub stops reading; gives the status.
async fn send_large(world: &World, target: &str, n_bytes: usize) -> u16 {
    let mut stream = TcpStream::connect(world.hub.address()).await.unwrap();
    let head = format!("POST {target} HTTP/1.1\r\nhost: hub\r\ncontent-length: {n_bytes}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let piece = vec![b'x'; 64 * 1024];
    let sending = async move {
        let mut left = n_bytes;
        while left > 0 && writer.write_all(piece.get(..left.min(piece.len())).unwrap()).await.is_ok() {
            left = left.saturating_sub(piece.len());
        }
        // The other half of the connection stays open until the answer is read.
        writer
    };
    let mut answer = [0; 12];
    let (_writer, read) = tokio::join!(sending, reader.read_exact(&mut answer));
    read.unwrap();
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_large_body_the_beginning_is_kept_and_the_rest_is_dropped() {
    let (world, key) = with_device("").await;
    assert_eq!(world.ping("GET", &format!("{key}/a?create=1"), "").await.0, 201);
    let body = format!("begin{}middle-of-it{}", "x".repeat(99_983), "y".repeat(500_000));
    assert_eq!(world.ping("POST", &format!("{key}/a/1"), &body).await.0, 200);
    let stored = world.events().last().unwrap().to_string();
    assert!(stored.contains("begin") && stored.contains("middle-of-it\""), "{stored}");
    assert_eq!(send_large(&world, &format!("/ping/{key}/a"), 8 << 20).await, 200);
    assert_eq!(send_large(&world, &format!("/ping/{key}/a"), 100 << 20).await, 200);
    assert_eq!(world.events().len(), 4);
    // A stranger's is not read at all.
    assert_eq!(send_large(&world, "/ping/nobody/a", 1 << 20).await, 404);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_no_ping() {
    let (world, key) = with_device("").await;
    assert_eq!(world.ping("GET", &format!("{key}/a?create=1"), "").await.0, 201);
    let mut stream = TcpStream::connect(world.hub.address()).await.unwrap();
    let head = format!("POST /ping/{key}/a/fail HTTP/1.1\r\nhost: hub\r\ncontent-length: 100\r\n\r\nhalf");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    assert_eq!(world.events().len(), 1);
    assert_eq!(world.tasks().await, ["a OK"]);
    assert!(world.hub.stop().await);
}

//! Old clients against a real hub: loopback, real store, real socket of the verbs.

use olog_daemon::{
    clock::{Clock, ClockHandle},
    config::read_text,
    socket::Client,
};
use olog_journeys::old_client::{OldClient, task};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite;

use super::*;
use crate::{
    admin::socket::{Rename, Who},
    config::Config,
    hub::Hub,
};

const TOKEN: &str = "AT_theOldToken";
const NOW: Timestamp = Timestamp(1_800_000_000_000);
/// Half an hour before [`NOW`].
const EARLIER: &str = "2027-01-15 07:30:00";

struct World {
    hub: Hub,
    verbs: Client,
    clock: Clock,
    hand: ClockHandle,
    _dir: tempfile::TempDir,
}

async fn world() -> World {
    world_with("[tls]\nmode = 'off'\n").await
}

async fn world_with(more: &str) -> World {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "listen = '127.0.0.1:0'\nstate_dir = {:?}\ntimezone = 'UTC'\n{more}[legacy]\nenabled = true\ntoken = '{TOKEN}'\n",
        dir.path()
    );
    let config = read_text("hub.toml", &text, |table| Config::parse(table, dir.path())).unwrap();
    let verbs = Client::new("olog-hub", config.boot.socket.clone());
    let (clock, hand) = Clock::manual(NOW);
    let hub = Hub::start(config, None, clock.clone()).await.unwrap();
    World { hub, verbs, clock, hand, _dir: dir }
}

impl World {
    async fn dial(&self) -> OldClient {
        OldClient::dial(&self.hub.address().to_string(), TOKEN, self.clock.clone()).await
    }

    /// A client that said who it is.
    async fn open(&self, device: &str) -> OldClient {
        let mut client = self.dial().await;
        client.say(device).await;
        client
    }

    /// A client of that name came and went.
    async fn was_here(&self, name: &str) {
        self.open(name).await.report(&json!({})).await;
        wait_until_gone(self).await;
    }

    async fn rows(&self, path: &str) -> Vec<Value> {
        self.verbs.get(path).await.unwrap()
    }

    /// Name and another field of each row.
    async fn table(&self, path: &str, fields: [&str; 2]) -> Vec<String> {
        let rows = self.rows(path).await;
        rows.iter()
            .map(|row| fields.map(|field| row[field].as_str().unwrap_or_default().to_owned()).join(" "))
            .collect()
    }

    async fn devices(&self) -> Vec<String> {
        self.table("/devices?pending=false", ["name", "version"]).await
    }

    async fn wait_for_tasks(&self, wanted: &[&str]) {
        timeout(Duration::from_secs(60), async {
            while self.table("/tasks", ["task", "state"]).await != wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("never {wanted:?}"));
    }

    /// Names of the open incidents.
    async fn incidents(&self) -> Vec<String> {
        self.table("/incidents?all=false", ["device", "name"]).await
    }

    async fn wait_for_incident(&self, wanted: &str) {
        timeout(Duration::from_secs(60), async {
            while !self.incidents().await.iter().any(|found| found == wanted) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
        .unwrap_or_else(|_| panic!("never {wanted:?}"));
    }
}

/// The hub hangs up, without any word but those of the protocol.
async fn is_refused(client: &mut OldClient) {
    while let Some(said) = client.hears().await {
        assert!(said == PING || said == REPORT_NOW, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_is_a_device_and_its_report_becomes_tasks() {
    let world = world().await;
    let mut client = world.open("comsrv#ubuntu@10.20.0.233:22").await;
    client
        .report(&json!({ "rsync": task("ok", EARLIER, "done"), "mysql": task("err", EARLIER, "not running!") }))
        .await;
    world.wait_for_tasks(&["mysql ERR", "rsync OK"]).await;
    let device = world.rows("/devices?pending=false").await.remove(0);
    assert_eq!((&device["name"], &device["address"]), (&json!("comsrv"), &json!("ubuntu@10.20.0.233:22")));
    assert_eq!((&device["legacy"], &device["connected"]), (&json!(true), &json!(true)));
    assert!(world.rows("/tasks").await.iter().all(|row| row["legacy"] == true));
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_report_after_a_reconnect_and_a_restart_adds_nothing() {
    let world = world().await;
    let tasks = json!({ "mysql": task("err", EARLIER, "not running!") });
    for _ in 0..3 {
        let mut client = world.open("comsrv").await;
        client.report(&tasks).await;
        world.wait_for_tasks(&["mysql ERR"]).await;
        // The next ping is answered after the report was taken.
        while client.hears().await.as_deref() != Some(PING) {}
        client.say(PONG).await;
        drop(client);
        wait_until_gone(&world).await;
    }
    let incident = world.rows("/incidents?all=true").await.remove(0);
    assert_eq!(incident["n_seen"], 1, "{incident}");
    assert!(world.hub.stop().await);
}

async fn wait_until_gone(world: &World) {
    timeout(Duration::from_secs(60), async {
        while world.rows("/devices?pending=false").await.iter().any(|row| row["connected"] == true) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_tls_old_clients_are_served_in_clear_and_nothing_else_is() {
    let world = world_with("").await;
    let mut client = world.open("pi").await;
    client.report(&json!({})).await;
    assert_eq!(world.devices().await, ["pi olog.py"]);
    for page in ["/", "/healthz", "/agent", "/join"] {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(world.hub.address()).await.unwrap();
        stream
            .write_all(format!("GET {page} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("this port speaks TLS"), "{page}: {answer}");
    }
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_protocol_is_refused_and_makes_no_device() {
    let world = world().await;
    let signed = world.dial().await.message("evil#x");
    let bomb = format!("{{\"payload\": {}", "[".repeat(500_000));
    let texts = [
        tungstenite::Message::text("hello"),
        tungstenite::Message::text(signed.chars().take(signed.len() / 2).collect::<String>()),
        tungstenite::Message::text(bomb),
        tungstenite::Message::binary(vec![0xff, 0xfe, 0x80]),
        tungstenite::Message::text(signed.replace("evil", "good")),
        tungstenite::Message::text("x".repeat(MESSAGE_MAX + 1)),
    ];
    for text in texts {
        let mut client = world.dial().await;
        client.send(text).await;
        is_refused(&mut client).await;
    }
    for device in ["", "#only@address", "\u{202e}", &"n".repeat(65)] {
        is_refused(&mut world.open(device).await).await;
    }
    let mut stranger = OldClient::dial(&world.hub.address().to_string(), "AT_another", world.clock.clone()).await;
    stranger.say("evil").await;
    is_refused(&mut stranger).await;
    assert!(world.devices().await.is_empty());
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_connections_that_stay_silent_hold_up_no_client() {
    let world = world().await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(world.dial().await);
    }
    let mut good = world.open("good").await;
    good.report(&json!({ "a": task("ok", EARLIER, "") })).await;
    world.wait_for_tasks(&["a OK"]).await;
    // Nor do clients that say their name and then nothing.
    for (n, client) in silent.iter_mut().rev().take(10).enumerate() {
        client.say(&format!("silent{n}")).await;
    }
    let mut other = world.open("other").await;
    other.report(&json!({ "b": task("ok", EARLIER, "") })).await;
    world.wait_for_tasks(&["a OK", "b OK"]).await;
    while good.hears().await.as_deref() != Some(PING) {}
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_is_answered_by_a_close_and_a_refusal_says_its_code() {
    use tungstenite::{Message, protocol::CloseFrame};
    let closed = |code: u16, reason: &'static str| Some(CloseFrame { code: code.into(), reason: reason.into() });
    let world = world().await;
    let mut client = world.open("pi").await;
    client.report(&json!({})).await;
    client.send(Message::Close(closed(1000, "bye"))).await;
    assert_eq!(last_frame(&mut client).await, Some(Message::Close(closed(1000, "bye"))));
    wait_until_gone(&world).await;
    // Also when more than the answer is on its way.
    let mut liar = world.dial().await;
    for _ in 0..20 {
        liar.send(Message::text("no message of the protocol")).await;
    }
    assert_eq!(last_frame(&mut liar).await, Some(Message::Close(closed(1008, "refused"))));
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keepalive_of_a_websocket_library_is_answered_and_its_compression_is_declined() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = world_with("").await;
    let mut client = world.open("pi").await;
    client.send(tungstenite::Message::Ping("are you there".into())).await;
    let pong = async {
        while let Some(frame) = client.socket.next().await {
            if let Ok(tungstenite::Message::Pong(bytes)) = frame {
                return bytes == "are you there";
            }
        }
        false
    };
    assert!(timeout(Duration::from_secs(60), pong).await.unwrap());
    // As Python's `websockets` opens a connection.
    let offers = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Protocol: chat\r\n\
        User-Agent: Python/3.11 websockets/10.4\r\n";
    let mut stream = tokio::net::TcpStream::connect(world.hub.address()).await.unwrap();
    let request =
        format!("GET / HTTP/1.1\r\nHost: hub:8765\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{offers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_lowercase();
    assert!(answer.starts_with("http/1.1 101 ") && answer.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    assert!(!answer.contains("extensions") && !answer.contains("protocol: chat"), "{answer}");
    drop(stream);
    assert!(world.hub.stop().await);
}

/// The last one before the connection ends in order; `None` if it breaks off.
async fn last_frame(client: &mut OldClient) -> Option<tungstenite::Message> {
    let mut last = None;
    while let Some(frame) = timeout(Duration::from_secs(60), client.socket.next()).await.unwrap() {
        last = Some(frame.ok()?);
    }
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_clock_is_ten_minutes_off_is_refused_and_named_once() {
    let world = world().await;
    world.was_here("comsrv").await;
    for _ in 0..2 {
        let mut client = world.dial().await;
        client.ahead_ms = -600_000;
        client.say("comsrv").await;
        is_refused(&mut client).await;
    }
    assert_eq!(world.incidents().await, ["comsrv legacy_clock"]);
    // It is over as soon as it connects with a good clock.
    let mut client = world.open("comsrv").await;
    client.report(&json!({})).await;
    assert!(world.incidents().await.is_empty());
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_joined_device_is_refused_and_told_once() {
    let world = world().await;
    let link = json!({ "device": null, "expires": 3600, "uses": 1, "local": false });
    let answer: Value = world.verbs.post("/join-link", &link).await.unwrap();
    let link: olog_proto::JoinLink = answer["link"].as_str().unwrap().parse().unwrap();
    let key = SecretKey::from_seed([1; 32]).public().to_string();
    let join = json!({ "secret": link.secret, "name": "comsrv", "key": key });
    let body = join.to_string();
    let request = format!(
        "POST /join HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(world.hub.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    }
    for _ in 0..2 {
        is_refused(&mut world.open("comsrv#me@evil").await).await;
    }
    let device = world.rows("/devices?pending=false").await.remove(0);
    assert_eq!((&device["key"], &device["legacy"]), (&json!(key), &json!(false)));
    assert_eq!(world.incidents().await, ["comsrv legacy_name"]);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_clients_with_one_name_the_first_stays_and_the_second_is_told_of() {
    let world = world().await;
    let mut first = world.open("pi#one").await;
    first.report(&json!({ "a": task("ok", EARLIER, "") })).await;
    is_refused(&mut world.open("pi#two").await).await;
    world.wait_for_incident("pi legacy_twice").await;
    // The first goes on as if nothing had been.
    while first.hears().await.as_deref() != Some(PING) {}
    assert_eq!(world.rows("/devices?pending=false").await.remove(0)["address"], "one");
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_ends_its_session_and_holds_up_no_other_client() {
    let world = world().await;
    let mut flood = world.open("flood").await;
    let mut good = world.open("good").await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        for _ in 0..10 * MESSAGES_MAX {
            flood.say(PONG).await;
        }
        is_refused(&mut flood).await;
    });
    good.report(&json!({ "a": task("ok", EARLIER, "") })).await;
    world.wait_for_tasks(&["a OK"]).await;
    tasks.join_next().await.unwrap().unwrap();
    while good.hears().await.as_deref() != Some(PING) {}
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_over_the_bound_is_told_and_not_asked_for_again_at_once() {
    let world = world().await;
    let tasks: serde_json::Map<_, _> =
        (0..100_000).map(|n| (format!("task{n}"), task("err", EARLIER, "no space left on device"))).collect();
    let mut client = world.open("nas").await;
    client.report(&Value::Object(tasks)).await;
    is_refused(&mut client).await;
    world.wait_for_incident("nas legacy_report").await;
    wait_until_gone(&world).await;
    let mut again = world.open("nas").await;
    assert_eq!(again.hears().await.as_deref(), Some(PING), "it is a device, and rests");
    assert!(world.rows("/tasks").await.is_empty());
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_tasks_than_the_bound_are_cut_and_told() {
    let world = world().await;
    let n = report::TASKS_MAX + 7;
    let tasks: serde_json::Map<_, _> = (0..n).map(|n| (format!("t{n}"), task("ok", EARLIER, ""))).collect();
    let mut client = world.open("nas").await;
    client.report(&Value::Object(tasks)).await;
    world.wait_for_incident("nas legacy_report").await;
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_old_client_stays_the_same_device_and_a_forgotten_one_waits() {
    let world = world().await;
    world.was_here("old").await;
    let names = Rename { old: "old".into(), new: "new".parse().unwrap() };
    world.verbs.post::<()>("/device/rename", &names).await.unwrap();
    let mut client = world.open("old").await;
    client.report(&json!({})).await;
    assert_eq!(world.devices().await, ["new olog.py"]);
    world.verbs.post::<()>("/device/forget", &Who { who: "new".into() }).await.unwrap();
    is_refused(&mut client).await;
    is_refused(&mut world.open("old").await).await;
    assert!(world.devices().await.is_empty());
    let pending = world.rows("/devices?pending=true").await.remove(0);
    world.verbs.post::<()>("/device/accept", &Who { who: pending["key"].as_str().unwrap().into() }).await.unwrap();
    world.open("old").await.report(&json!({})).await;
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_lost_after_offline_after_and_back_when_it_comes() {
    let world = world().await;
    world.was_here("pi").await;
    world.hand.set(NOW.plus(90_000));
    world.hand.set(NOW.plus(180_000));
    timeout(Duration::from_secs(60), async {
        while !world.rows("/incidents?all=false").await.iter().any(|row| row["subject"] == "device") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("LOST");
    let mut client = world.open("pi").await;
    client.report(&json!({})).await;
    timeout(Duration::from_secs(60), async {
        while !world.rows("/incidents?all=false").await.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("BACK");
    assert!(world.hub.stop().await);
}

#[test]
fn the_device_string_is_a_name_and_an_address() {
    let check = |text: &str, name: Option<&str>, address: Option<&str>| {
        assert_eq!(name_of(text).as_ref().map(DeviceName::as_str), name, "{text}");
        assert_eq!(address_of(text).as_deref(), address, "{text}");
    };
    check("comsrv#ubuntu@10.20.0.233:22", Some("comsrv"), Some("ubuntu@10.20.0.233:22"));
    check("comsrv", Some("comsrv"), None);
    check("comsrv#", Some("comsrv"), None);
    check("备份机#a#b", Some("备份机"), Some("a#b"));
    check("pi#a\u{1b}[2Jb", Some("pi"), Some("a[2Jb"));
    check("#a", None, Some("a"));
    assert_eq!(address_of(&format!("pi#{}", "错".repeat(TEXT_MAX))).unwrap().len(), TEXT_MAX / 3 * 3);
}

#[test]
fn an_old_client_has_a_key_of_its_own_for_each_name_and_hub() {
    let (one, other) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
    let name = |text: &str| text.parse::<DeviceName>().unwrap();
    assert_eq!(identity_of(&one, &name("a")), identity_of(&one, &name("a")));
    let keys = [identity_of(&one, &name("a")).0, identity_of(&one, &name("b")).0, identity_of(&other, &name("a")).0];
    assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[0] != one.public());
}

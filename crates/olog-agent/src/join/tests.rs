//! A stand-in hub on the loopback: what it does wrong decides what the person is told.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use olog_proto::{
    AgentFrame, HubFrame, SUBPROTOCOL,
    identity::{HandshakeProof, JoinSecret, Role},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::*;
use crate::{identity::SystemRandom, uplink::websocket};

const HUB: [u8; 32] = [9; 32];

struct StandIn {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<serde_json::Value>>>,
    _tasks: JoinSet<()>,
}

impl StandIn {
    /// Greets as a hub with this key, and answers `POST /join` with these lines.
    async fn start(key: [u8; 32], answer: &'static str) -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<serde_json::Value>>> = Arc::default();
        let seen = asked.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut start = [0; 4];
                while stream.peek(&mut start).await.unwrap() < 4 {}
                if &start == b"POST" {
                    let body = post(stream, answer, SecretKey::from_seed(key).public()).await;
                    seen.lock().unwrap().push(body);
                } else {
                    session(stream, &SecretKey::from_seed(key)).await;
                }
            }
        });
        StandIn { address, asked, _tasks: tasks }
    }

    fn link(&self) -> JoinLink {
        JoinLink {
            base: format!("http://{}", self.address),
            secret: JoinSecret([3; 16]),
            hub: SecretKey::from_seed(HUB).public().fingerprint(),
            tls: None,
        }
    }

    fn asked(&self) -> Vec<serde_json::Value> {
        self.asked.lock().unwrap().clone()
    }
}

/// Reads the request and answers; `KEY` in the answer is the hub's.
async fn post(mut stream: TcpStream, answer: &str, key: PublicKey) -> serde_json::Value {
    let mut text = String::new();
    let body = loop {
        let mut bytes = [0; 4096];
        let n = stream.read(&mut bytes).await.unwrap();
        text += std::str::from_utf8(&bytes[..n]).unwrap();
        if let Some(body) = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok()) {
            break body;
        }
    };
    let (status, json) = answer.split_once(' ').unwrap();
    let json = json.replace("KEY", &key.to_string());
    let reply = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{json}", json.len());
    stream.write_all(reply.as_bytes()).await.unwrap();
    body
}

/// Greets, and lets whoever proves itself in.
async fn session(stream: TcpStream, key: &SecretKey) {
    let Ok(mut socket) = websocket::accept(stream, SUBPROTOCOL).await else { return };
    let nonce = Nonce([5; 32]);
    let versions = vec![SUBPROTOCOL.to_owned()];
    let hello = HubFrame::Hello { hub_key: key.public(), nonce, time: Timestamp(0), versions };
    websocket::send(&mut socket, hello.encode().unwrap()).await;
    let Some(text) = websocket::hear(&mut socket).await else { return };
    let AgentFrame::Auth(auth) = AgentFrame::decode(&text).unwrap() else { panic!("no auth") };
    let proof = |role| HandshakeProof::new(role, nonce, auth.nonce, &auth.name, auth.key, key.public());
    assert!(auth.key.verify(&proof(Role::Device), &auth.signature));
    let signature = key.sign(&proof(Role::Hub));
    let welcome = HubFrame::Welcome {
        acked: 0,
        window: 1,
        ping_every: 1000,
        time: Timestamp(0),
        signature,
        next: None,
        accepts: Vec::new(),
    };
    websocket::send(&mut socket, welcome.encode().unwrap()).await;
}

async fn try_join(link: &JoinLink) -> (Result<Hub, String>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let name = "comsrv".parse().unwrap();
    let who = Joiner { state_dir: &folder.path().join("state"), name: &name, address: Some("me@here") };
    let joined = join(link, &who, &Clock::system(), &mut SystemRandom).await;
    (joined.map_err(|e| e.to_string()), folder)
}

#[tokio::test]
async fn a_device_joins_with_its_link_and_knows_its_hub_from_then_on() {
    let hub = StandIn::start(HUB, r#"200 {"hub_key":"KEY","more":1}"#).await;
    let (joined, folder) = try_join(&hub.link()).await;
    let joined = joined.unwrap();
    let state = folder.path().join("state");
    assert_eq!(identity::hub(&state).unwrap(), Some(joined));
    let asked = hub.asked();
    let key = identity::device_key(&state, &mut SystemRandom).unwrap().public();
    assert_eq!(asked[0]["key"], key.to_string());
    assert_eq!((&asked[0]["name"], &asked[0]["address"]), (&"comsrv".into(), &"me@here".into()));
    assert_eq!(asked[0]["secret"], hub.link().secret.to_string());
}

#[tokio::test]
async fn a_link_of_another_hub_costs_no_secret() {
    let hub = StandIn::start([8; 32], r#"200 {"hub_key":"KEY"}"#).await;
    let (joined, folder) = try_join(&hub.link()).await;
    assert!(joined.unwrap_err().starts_with("key: the hub that answers is not the one in the link"));
    assert_eq!(hub.asked().len(), 0);
    assert_eq!(identity::hub(&folder.path().join("state")).unwrap(), None);
}

#[tokio::test]
async fn what_the_hub_refuses_is_told_with_what_to_do() {
    let cases = [
        (
            r#"403 {"detail":"used on 2026-11-20"}"#,
            "get a new one with `olog-hub join-link` (the hub says: used on 2026",
        ),
        ("409 {}", "another device called \"comsrv\": set `device` in agent.toml"),
        ("429 {}", "wait a minute"),
        ("502 <html>bad\u{7} gateway", "answered HTTP 502 Bad Gateway: <html>bad  gateway"),
        ("200 {}", "makes no sense"),
        (r#"200 {"hub_key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#, "not the one in the link"),
    ];
    for (answer, words) in cases {
        let hub = StandIn::start(HUB, answer).await;
        let (joined, folder) = try_join(&hub.link()).await;
        let said = joined.unwrap_err();
        assert!(said.contains(words), "{said}");
        assert_eq!(identity::hub(&folder.path().join("state")).unwrap(), None, "{answer}");
    }
}

/// A server that answers the upgrade with these bytes, and what `join` then says.
async fn answered(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let n = stream.read(&mut request).await.unwrap();
        assert!(request[..n].starts_with(b"GET /agent "));
        stream.write_all(answer).await.unwrap();
    });
    let link = JoinLink { base, secret: JoinSecret([3; 16]), hub: PublicKey([1; 32]).fingerprint(), tls: None };
    let said = try_join(&link).await.0.unwrap_err();
    assert!(said.starts_with("upgrade: "), "{said}");
    said
}

#[tokio::test]
async fn what_is_no_hub_at_all_is_told_before_the_secret_leaves() {
    let said = answered(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await;
    assert!(said.contains("no hub at this path"), "{said}");
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_not_blamed_on_a_proxy() {
    let hub = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 36\r\n\r\nthis port speaks TLS: use https://\r\n";
    let nginx = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 62\r\n\r\n\
        <html>The plain HTTP request was sent to HTTPS port</html>\r\n\r\n";
    for answer in [hub.as_slice(), nginx.as_slice()] {
        let said = answered(answer).await;
        assert!(said.contains("this port speaks TLS") && !said.contains("proxy"), "{said}");
    }
    // A TLS alert, as other servers answer.
    let said = answered(&[0x15, 3, 1, 0, 2, 2, 70]).await;
    assert!(said.contains("use https:// in the link") && !said.contains("proxy"), "{said}");
    let said = answered(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    assert!(said.contains("either this port speaks TLS") && said.contains("proxy_http_version 1.1"), "{said}");
}

#[tokio::test]
async fn a_state_dir_that_cannot_be_made_is_told_first() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let name = "comsrv".parse().unwrap();
    let who = Joiner { state_dir: &file.join("state"), name: &name, address: None };
    let link = JoinLink {
        base: "http://h".into(),
        secret: JoinSecret([3; 16]),
        hub: PublicKey([1; 32]).fingerprint(),
        tls: None,
    };
    let said = join(&link, &who, &Clock::system(), &mut SystemRandom).await.unwrap_err().to_string();
    assert!(said.contains("cannot be made"), "{said}");
}

#[tokio::test]
async fn a_folder_that_takes_no_file_uses_up_no_link() {
    let hub = StandIn::start(HUB, r#"200 {"hub_key":"KEY"}"#).await;
    let folder = tempfile::tempdir().unwrap();
    // Where the file is written before it is moved: a folder there refuses it, to root as well.
    std::fs::create_dir(folder.path().join(format!("hub.new-{}", std::process::id()))).unwrap();
    let name = "comsrv".parse().unwrap();
    let who = Joiner { state_dir: folder.path(), name: &name, address: None };
    let error = join(&hub.link(), &who, &Clock::system(), &mut SystemRandom).await.unwrap_err();
    assert!(matches!(error, JoinError::Identity(_)), "{error}");
    assert_eq!(hub.asked(), Vec::<serde_json::Value>::new());
    assert_eq!(identity::hub(folder.path()).unwrap(), None);
}

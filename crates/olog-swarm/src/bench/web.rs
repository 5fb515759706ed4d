//! Benchmarks of what the hub serves to programs and viewers: pings, open streams, how soon a change reaches one, and the overview of a large fleet.
//!
//! Without TLS, over connections that stay open, as a proxy in front of the hub uses them.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use olog_journeys::world::{Hub, World};
use olog_proto::JoinLink;
use olog_swarm::Device;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::hub::link;
use crate::{Figure, quantile, rss_kib};

const IN_CLEAR: &str = "[tls]\nmode = \"off\"\n";
/// Each key may ping 600 times a minute.
const KEYS: usize = 120;
const PINGS_OF_ONE: usize = 250;
const PINGERS: usize = 16;
const STREAMS: usize = 1_000;
/// Streams of one token (`stream/places`).
const OF_ONE_TOKEN: usize = 16;
const CHANGES: usize = 50;
const VIEWERS: usize = 20;
const VIEWS: usize = 20;

/// A connection of HTTP/1.1 that stays open.
struct Client {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Client {
    async fn open(port: u16, from: Ipv4Addr) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let stream = socket.connect((Ipv4Addr::LOCALHOST, port).into()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, answer: Vec::new() }
    }

    async fn send(&mut self, method: &str, target: &str, headers: &str, body: &str) {
        let length = body.len();
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: hub\r\nContent-Length: {length}\r\n{headers}\r\n{body}");
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// Reads until the answer has that; returns all of it so far.
    async fn until(&mut self, is_there: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        loop {
            if is_there(&self.answer) {
                return std::mem::take(&mut self.answer);
            }
            assert_ne!(self.stream.read_buf(&mut self.answer).await.unwrap(), 0, "the hub has closed the connection");
        }
    }

    /// Asks, and reads the whole answer; returns its body.
    async fn ask(&mut self, method: &str, target: &str, headers: &str, body: &str) -> Vec<u8> {
        self.send(method, target, headers, body).await;
        let answer = self.until(|answer| body_of(answer).is_some()).await;
        assert!(answer.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&answer));
        body_of(&answer).unwrap().to_vec()
    }
}

/// The body of an answer that says its length, if it is whole.
fn body_of(answer: &[u8]) -> Option<&[u8]> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let (head, body) = (std::str::from_utf8(&answer[..end]).unwrap().to_ascii_lowercase(), &answer[end + 4..]);
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length").parse();
    (body.len() >= length.unwrap()).then_some(body)
}

async fn ping_key(hub: &Hub, name: &str) -> String {
    let base = format!("http://127.0.0.1:{}", hub.port);
    Device::join(&JoinLink { base, ..link(hub, 1) }, name).await.unwrap();
    let said = hub.verb(&["device", "ping-key", name]).good();
    let (_, key) = said.split_once("/ping/").expect("a key");
    key.chars().take_while(char::is_ascii_alphanumeric).collect()
}

fn token(hub: &Hub, name: &str) -> String {
    let said = hub.verb(&["token", "create", name, "--scope", "read"]).good();
    let word = said.split_whitespace().find(|word| word.starts_with("olog_")).expect("a token");
    format!("Authorization: Bearer {word}\r\n")
}

/// Pings a second, each committed before it is answered.
pub(crate) async fn pings() -> Vec<Figure> {
    const LIMIT: f64 = 3_000.0;
    let world = World::new().await;
    let hub = world.hub_with("", IN_CLEAR);
    let mut keys = Vec::new();
    for i in 0..KEYS {
        keys.push(ping_key(&hub, &format!("pinged{i}")).await);
    }
    let body = "backed up 1834 files in 3.2 s\n".repeat(7);
    let (mut pingers, start) = (JoinSet::new(), Instant::now());
    for keys in keys.chunks(KEYS.div_ceil(PINGERS)).map(<[String]>::to_vec) {
        let (body, port) = (body.clone(), hub.port);
        pingers.spawn(async move {
            let mut client = Client::open(port, Ipv4Addr::LOCALHOST).await;
            for _ in 0..PINGS_OF_ONE {
                for key in &keys {
                    client.ask("POST", &format!("/ping/{key}/backup?create=1"), "", &body).await;
                }
            }
        });
    }
    pingers.join_all().await;
    let ours = (KEYS * PINGS_OF_ONE) as f64 / start.elapsed().as_secs_f64();
    vec![Figure {
        what: "pings with a body of 210 bytes over 16 connections, each committed",
        ours: format!("{ours:.0} pings/s"),
        limit: format!("{LIMIT:.0} pings/s"),
        ratio: LIMIT / ours,
        bar: 1.0,
    }]
}

/// What an open stream costs, and how long after its commit a change is in one.
pub(crate) async fn streams() -> Vec<Figure> {
    let world = World::new().await;
    let hub = world.hub_with("", IN_CLEAR);
    let key = ping_key(&hub, "pinged").await;
    let tokens: Vec<String> = (0..STREAMS.div_ceil(OF_ONE_TOKEN)).map(|i| token(&hub, &format!("viewer{i}"))).collect();
    let is_open = |answer: &[u8]| answer.windows(12).any(|bytes| bytes == b"event: ready");
    let mut ping = Client::open(hub.port, Ipv4Addr::LOCALHOST).await;
    let target = format!("/ping/{key}/backup?create=1");
    ping.ask("POST", &target, "", "").await;
    let before = rss_kib(hub.daemon.pid());
    let mut open = Vec::new();
    for i in 0..STREAMS {
        let from = Ipv4Addr::new(127, 77, 0, u8::try_from(i / 60 + 1).unwrap());
        let mut client = Client::open(hub.port, from).await;
        client.send("GET", "/api/v1/stream", &tokens[i / OF_ONE_TOKEN], "").await;
        let head = client.until(is_open).await;
        assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        open.push(client);
    }
    let each = (rss_kib(hub.daemon.pid()) - before) / STREAMS as f64;
    let mut watching = open.pop().unwrap();
    drop(open);
    let mut after = Vec::new();
    for _ in 0..CHANGES {
        ping.ask("POST", &target, "", "").await;
        let committed = Instant::now();
        watching.until(|told| told.windows(6).any(|bytes| bytes == b"event:")).await;
        after.push(committed.elapsed().as_secs_f64() * 1e3);
        // What else the change has told is read before the next one.
        tokio::time::sleep(Duration::from_millis(200)).await;
        watching.answer.clear();
        while tokio::time::timeout(Duration::from_millis(1), watching.stream.read_buf(&mut watching.answer))
            .await
            .is_ok()
        {
            watching.answer.clear();
        }
    }
    let p99 = quantile(&mut after, 0.99);
    vec![
        Figure {
            what: "memory of an open stream, 1,000 open",
            ours: format!("{each:.1} KiB"),
            limit: "30 KiB".to_owned(),
            ratio: each / 30.0,
            bar: 1.0,
        },
        Figure {
            what: "a change in an open stream after its commit, p99",
            ours: format!("{p99:.1} ms"),
            limit: "100 ms".to_owned(),
            ratio: p99 / 100.0,
            bar: 1.0,
        },
    ]
}

/// The overview of a fleet whose store is filled, for twenty viewers at once.
pub(crate) async fn overview(hub: &Hub, store: &Path, n_devices: usize) -> Vec<Figure> {
    let token = token(hub, "viewer");
    let mut viewers = JoinSet::new();
    for _ in 0..VIEWERS {
        let (token, port) = (format!("{token}Accept: text/html\r\n"), hub.port);
        viewers.spawn(async move {
            let mut client = Client::open(port, Ipv4Addr::LOCALHOST).await;
            let (mut times, mut page) = (Vec::new(), Vec::new());
            for _ in 0..VIEWS {
                let start = Instant::now();
                page = client.ask("GET", "/", &token, "").await;
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
            (times, page)
        });
    }
    let seen = viewers.join_all().await;
    let page = String::from_utf8(seen[0].1.clone()).unwrap();
    let mut ours: Vec<f64> = seen.into_iter().flat_map(|(times, _)| times).collect();
    let mut bare = bare_rows(store, n_devices);
    let (ours, bare) = (quantile(&mut ours, 0.99), quantile(&mut bare, 0.99));
    vec![
        Figure {
            what: "the overview of 10,000 devices with 200,000 tasks for 20 viewers at once, p99",
            ours: format!("{ours:.1} ms"),
            limit: format!("{bare:.1} ms: bare queries of the same rows, 20 at once"),
            ratio: ours / bare,
            bar: 5.0,
        },
        Figure {
            what: "its page",
            ours: format!("{} KiB, not compressed", page.len() / 1024),
            limit: "100 KiB".to_owned(),
            ratio: page.len() as f64 / 102_400.0,
            bar: 1.0,
        },
    ]
}

/// Milliseconds of SQLite for each of as many readers at once: the rows of the devices and of what is open, and nothing else.
fn bare_rows(store: &Path, n_devices: usize) -> Vec<f64> {
    let queries = [
        "SELECT id, name, absence_id, COALESCE(joined_at, made_at) FROM devices WHERE state = 'joined'",
        "SELECT id, subject, device_id, task_id, name, began_at, facts FROM incidents WHERE ended_at IS NULL",
    ];
    let read = || {
        let db = rusqlite::Connection::open_with_flags(store, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let mut times = Vec::new();
        for _ in 0..VIEWS {
            let (start, mut n) = (Instant::now(), 0);
            for sql in queries {
                let mut query = db.prepare_cached(sql).unwrap();
                let n_columns = query.column_count();
                let mut rows = query.query([]).unwrap();
                while let Some(row) = rows.next().unwrap() {
                    n += usize::from((0..n_columns).all(|i| row.get_ref(i).is_ok()));
                }
            }
            assert!(n >= n_devices, "{n} rows");
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        times
    };
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..VIEWERS).map(|_| scope.spawn(read)).collect();
        readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect()
    })
}

//! Benchmarks of the hub: durable ingest next to raw SQLite inserts, and the cost of a connected idle agent.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::get;
use futures_util::StreamExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use olog_journeys::world::{Hub, World};
use olog_proto::{EventContent, Excerpt, File, Growth, JoinLink, LogKind, Timestamp, fingerprint::fingerprints};
use olog_swarm::{Device, Session, any_certificate, now};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::{Figure, rss_kib};

const AGENTS: u64 = 50;
const EVENTS: u64 = 4_000;
const IDLE: usize = 2_000;

pub(crate) fn link(hub: &Hub, uses: usize) -> JoinLink {
    let out = hub.verb(&["join-link", "--uses", &uses.to_string()]).good();
    out.lines().find(|line| line.contains("/join#")).unwrap().trim().parse().unwrap()
}

async fn devices(hub: &Hub, n: usize) -> (JoinLink, Vec<Device>) {
    let link = link(hub, n);
    let mut devices = Vec::new();
    for i in 0..n {
        devices.push(Device::join(&link, &format!("sim{i}")).await.unwrap());
    }
    (link, devices)
}

/// What an agent with twenty tasks says: logs of runs, now and then with a few lines.
fn seen(n: u64) -> EventContent {
    let text = format!("run {n}: 1834 files checked, 12 copied, 0 deleted, finished in 3.2 s\n");
    let file = File {
        task: format!("task{}", n % 20).parse().unwrap(),
        suffix: LogKind::Log,
        path: format!("/var/log/olog/task{}.log", n % 20),
        change: Growth::Rewritten,
        began_at: Some(olog_proto::DeviceTime(Timestamp(1_700_000_000_000))),
        closed: true,
        sibling_err: false,
        history: false,
        fingerprints: fingerprints(&text),
    };
    EventContent::Text { file, excerpt: Excerpt::of(&text) }
}

pub(crate) async fn ingest() -> Vec<Figure> {
    let world = World::new().await;
    let mut hub = world.hub();
    let (link, devices) = devices(&hub, AGENTS as usize).await;
    let tls = any_certificate().unwrap();
    let mut sessions = Vec::new();
    for device in &devices {
        sessions.push(device.connect(&link, &tls).await.unwrap());
    }
    let (_, took) = pumped(sessions, EVENTS).await;
    let ours = (AGENTS * EVENTS) as f64 / took;
    hub.daemon.stop();
    let raw = raw_inserts(&hub.state_dir.join("olog.db"), &world.folder().join("raw.db"));
    vec![Figure {
        what: "durable ingest through websockets, TLS, 50 agents",
        ours: format!("{ours:.0} events/s"),
        limit: format!("{raw:.0} rows/s: the same rows into SQLite in batches of 1,000"),
        ratio: raw / ours,
        bar: 4.0,
    }]
}

/// What an event costs when there is nothing yet, and after a long history, of the same devices.
pub(crate) async fn history(n_events: u64) -> Vec<Figure> {
    let world = World::new().await;
    let hub = world.hub();
    let (link, devices) = devices(&hub, AGENTS as usize).await;
    let tls = any_certificate().unwrap();
    let mut sessions = Vec::new();
    for device in &devices {
        sessions.push(device.connect(&link, &tls).await.unwrap());
    }
    let first;
    (sessions, first) = pumped(sessions, EVENTS).await;
    (sessions, _) = pumped(sessions, n_events.div_ceil(AGENTS)).await;
    let (_, then) = pumped(sessions, EVENTS).await;
    let micros = |seconds: f64| seconds * 1e6 / (AGENTS * EVENTS) as f64;
    vec![Figure {
        what: "an event committed after a long history",
        ours: format!("{:.2} µs after {} events", micros(then), n_events + AGENTS * EVENTS),
        limit: format!("{:.2} µs: into an empty store", micros(first)),
        ratio: then / first,
        bar: 1.25,
    }]
}

/// All sessions send so many events at the same time; how long that took, in seconds.
async fn pumped(sessions: Vec<Session>, n: u64) -> (Vec<Session>, f64) {
    let (start, now) = (Instant::now(), now());
    let mut pumps = JoinSet::new();
    for mut session in sessions {
        pumps.spawn(async move { session.pump(n, 250, now, seen).await.map(|()| session) });
    }
    let done = pumps.join_all().await.into_iter().map(Result::unwrap).collect();
    (done, start.elapsed().as_secs_f64())
}

/// Rows a second of plain inserts of the hub's own event rows into a table of the same shape.
fn raw_inserts(from: &Path, to: &Path) -> f64 {
    type Row = (i64, i64, i64, Option<i64>, String, i64, i64, i64, String);
    let hub = rusqlite::Connection::open(from).unwrap();
    let table: String =
        hub.query_row("SELECT sql FROM sqlite_master WHERE name = 'events'", [], |row| row.get(0)).unwrap();
    let columns = "epoch_id, n, device_id, task_id, kind, at, received_at, digest, body";
    let mut select = hub.prepare(&format!("SELECT {columns} FROM events")).unwrap();
    let rows: Vec<Row> = select
        .query_map([], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?, r.get(7)?, r.get(8)?))
        })
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut raw = rusqlite::Connection::open(to).unwrap();
    raw.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;").unwrap();
    raw.execute_batch(&table).unwrap();
    let start = Instant::now();
    for batch in rows.chunks(1_000) {
        let transaction = raw.transaction().unwrap();
        let mut insert = transaction
            .prepare_cached(&format!("INSERT INTO events ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"))
            .unwrap();
        for r in batch {
            insert.execute((&r.0, &r.1, &r.2, &r.3, &r.4, &r.5, &r.6, &r.7, &r.8)).unwrap();
        }
        drop(insert);
        transaction.commit().unwrap();
    }
    rows.len() as f64 / start.elapsed().as_secs_f64()
}

pub(crate) async fn sessions() -> Vec<Figure> {
    let world = World::new().await;
    let hub = world.hub();
    let (link, devices) = devices(&hub, IDLE).await;
    let tls = any_certificate().unwrap();
    // A first session pays for what all share.
    let first = devices.first().unwrap().connect(&link, &tls).await.unwrap();
    drop(first);
    std::thread::sleep(Duration::from_secs(2));
    let before = rss_kib(hub.daemon.pid());
    let mut idle = JoinSet::new();
    for device in &devices {
        let mut session = device.connect(&link, &tls).await.unwrap();
        idle.spawn(async move { session.idle().await });
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let ours = (rss_kib(hub.daemon.pid()) - before) / IDLE as f64;
    idle.shutdown().await;
    let theirs = bare_cost(&tls).await;
    vec![Figure {
        what: "a connected idle agent in the hub, TLS (RSS)",
        ours: format!("{ours:.1} KiB"),
        limit: format!("{theirs:.1} KiB: bare axum + rustls, 4 KiB buffers"),
        ratio: ours / theirs,
        bar: 1.1,
    }]
}

/// What a connection costs the bare server.
async fn bare_cost(tls: &Arc<rustls::ClientConfig>) -> f64 {
    let mut child: Child =
        Command::new(std::env::current_exe().unwrap()).arg("--bare").stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line).unwrap();
    let port: u16 = line.trim().parse().unwrap();
    let connect = || async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(tls.clone()).connect(name, stream).await.unwrap();
        tokio_tungstenite::client_async("wss://localhost/", stream).await.unwrap().0
    };
    drop(connect().await);
    std::thread::sleep(Duration::from_secs(2));
    let before = rss_kib(child.id());
    let mut open = Vec::new();
    for _ in 0..IDLE {
        open.push(connect().await);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let cost = (rss_kib(child.id()) - before) / IDLE as f64;
    child.kill().unwrap();
    child.wait().unwrap();
    cost
}

/// axum and rustls with buffers of 4 KiB, and a handler that only listens.
pub(crate) async fn bare_server() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config =
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config.unwrap()));
    let listen = |upgrade: WebSocketUpgrade| async {
        upgrade
            .read_buffer_size(4096)
            .write_buffer_size(4096)
            .on_upgrade(|mut socket: WebSocket| async move { while let Some(Ok(_)) = socket.next().await {} })
    };
    let router = Router::new().route("/", get(listen));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", listener.local_addr().unwrap().port());
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, router) = (acceptor.clone(), router.clone());
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            server.http1().max_buf_size(8192);
            let service = TowerToHyperService::new(router);
            drop(server.serve_connection_with_upgrades(TokioIo::new(stream), service).await);
        });
    }
}

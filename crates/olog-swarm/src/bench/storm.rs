//! Benchmark of a storm, 100,000 errors over 1,000 devices: number of messages, memory, throughput, and the latency of one unrelated
//! alert during it.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::{Router, routing::post};
use olog_journeys::world::{Hub, World};
use olog_proto::{EventContent, Excerpt, File, Growth, JoinLink, LogKind, Timestamp, fingerprint::fingerprints};
use olog_swarm::{Device, Session, any_certificate, now};
use tokio::task::JoinSet;

use crate::hub::link;
use crate::{Figure, memory_kib, quantile, rss_kib};

/// Tasks of a device, each of which fails once.
const TASKS: u64 = 100;
const ROUNDS: usize = 100;

/// The error of a task: ten kinds of text, each with the device's own numbers.
fn error(device: usize, n: u64) -> EventContent {
    let text = match n % 10 {
        0 => format!("rsync: write failed on /srv/data{n}: No space left on device (28)\n"),
        1 => format!(
            "ERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld/mysqld{n}.sock' (111)\n"
        ),
        2 => format!(
            "connect() to 10.1.{device}.{n}:443 failed (110: Connection timed out) while connecting to upstream\n"
        ),
        kind => format!(
            "job of kind {}: step {n} of sim{device} failed\n",
            ["a", "b", "c", "d", "e", "f", "g"][kind as usize - 3]
        ),
    };
    let file = File {
        task: format!("task{n}").parse().unwrap(),
        suffix: LogKind::Err,
        path: format!("/var/log/olog/task{n}.err"),
        change: Growth::Rewritten,
        began_at: Some(olog_proto::DeviceTime(Timestamp(1_700_000_000_000))),
        closed: true,
        sibling_err: false,
        history: false,
        fingerprints: fingerprints(&text),
    };
    EventContent::Text { file, excerpt: Excerpt::of(&text) }
}

async fn sessions(link: &JoinLink, from: usize, n: usize) -> Vec<Session> {
    let tls = any_certificate().unwrap();
    let mut sessions = Vec::new();
    for i in from..from + n {
        let device = Device::join(link, &format!("sim{i}")).await.unwrap();
        sessions.push(device.connect(link, &tls).await.unwrap());
    }
    sessions
}

fn waiting(hub: &Hub) -> i64 {
    hub.query::<i64>("SELECT COUNT(*) FROM outbox WHERE done_at IS NULL")[0]
}

/// Milliseconds from an event's frame to the request of its push: its commit lies between.
async fn lone(world: &World, session: &mut Session, round: usize) -> f64 {
    let n_before = world.phone.calls().len();
    let marker = format!("lone{round}-");
    let start = tokio::time::Instant::now();
    let what = |_| {
        let text = format!("disk {marker} has gone\n");
        let mut what = error(0, 0);
        if let EventContent::Text { file, excerpt } = &mut what {
            file.task = format!("alone{round}").parse().unwrap();
            file.fingerprints = fingerprints(&text);
            *excerpt = Excerpt::of(&text);
        }
        what
    };
    session.pump(1, 1, now(), what).await.unwrap();
    let named = |calls: &[olog_journeys::phone::Call]| {
        calls.iter().skip(n_before).any(|call| call.body.to_string().contains(&marker))
    };
    let calls = world.phone.wait_calls("the lone alert", named).await;
    let call = calls.iter().skip(n_before).find(|call| call.body.to_string().contains(&marker)).unwrap();
    call.at.duration_since(start).as_secs_f64() * 1e3
}

async fn lones(world: &World, hub: &Hub, session: &mut Session, from: usize) -> f64 {
    let mut taken = Vec::new();
    for round in from..from + ROUNDS {
        taken.push(lone(world, session, round).await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    hub.wait("all is told", |hub| (waiting(hub) == 0).then_some(()));
    quantile(&mut taken, 0.5)
}

pub(crate) async fn storm(n_devices: usize) -> Vec<Figure> {
    let world = World::new().await;
    world.phone.without_rate();
    let mut hub = Hub::new(&world, "hub", "", "");
    let text = std::fs::read_to_string(hub.daemon.config()).unwrap();
    let fast = text.replace("type = \"wxpusher\"\n", "type = \"wxpusher\"\nrate = \"10000/s\"\n");
    hub.daemon.configure(&fast);
    hub.start();
    let link = link(&hub, n_devices + 1);
    let mut alone = sessions(&link, n_devices, 1).await.remove(0);
    lones(&world, &hub, &mut alone, 0).await;
    let none = lones(&world, &hub, &mut alone, ROUNDS).await;

    // The storm itself meets the rate that WxPusher has.
    hub.daemon.stop();
    hub.daemon.configure(&text);
    hub.start();
    let mut all = sessions(&link, 0, n_devices).await;
    hub.wait("the news of new devices is told", |hub| (waiting(hub) == 0).then_some(()));
    let n_before = world.phone.calls().len();
    std::fs::write(format!("/proc/{}/clear_refs", hub.daemon.pid()), "5").unwrap();
    let before = rss_kib(hub.daemon.pid()) / 1024.0;
    let start = Instant::now();
    let mut pumps = JoinSet::new();
    for (i, mut session) in all.drain(..).enumerate() {
        pumps.spawn(async move { session.pump(TASKS, TASKS, now(), |n| error(i, n)).await.map(|()| session) });
    }
    let _held: Vec<Session> = pumps.join_all().await.into_iter().map(Result::unwrap).collect();
    let committed = start.elapsed().as_secs_f64();
    while waiting(&hub) > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let told = start.elapsed().as_secs_f64();
    let peak = memory_kib(hub.daemon.pid(), "VmHWM:") / 1024.0;
    let n_messages = world.phone.calls().len() - n_before;
    let n_errors = n_devices as u64 * TASKS;
    let n_open = hub.query::<i64>("SELECT COUNT(*) FROM incidents WHERE ended_at IS NULL AND name LIKE 'task%'")[0];
    assert_eq!(n_open.cast_unsigned(), n_errors, "every error is an open incident");

    hub.daemon.stop();
    hub.daemon.configure(&fast);
    hub.start();
    let mut alone = sessions(&crate::hub::link(&hub, 1), n_devices + 1, 1).await.remove(0);
    lones(&world, &hub, &mut alone, 2 * ROUNDS).await;
    let many = lones(&world, &hub, &mut alone, 3 * ROUNDS).await;
    let (theirs, their_memory) = alertmanager(world.folder(), 20_000).await;
    let ours = n_errors as f64 / told;
    vec![
        Figure {
            what: "an event to the push request with 100,000 other open incidents, median",
            ours: format!("{many:.2} ms"),
            limit: format!("{none:.2} ms: with none"),
            ratio: many / none,
            bar: 1.2,
        },
        Figure {
            what: "a storm of 100,000 errors over 1,000 devices: messages",
            ours: format!("{n_messages} for {n_errors} (committed after {committed:.1} s, told after {told:.1} s)"),
            limit: "20".to_owned(),
            ratio: n_messages as f64 / 20.0,
            bar: 1.0,
        },
        Figure {
            what: "notifications a second in that storm, from the first event to the last acceptance",
            ours: format!("{ours:.0}/s"),
            limit: format!("{theirs:.0}/s: Alertmanager, one webhook call each, of 20,000"),
            ratio: theirs / ours,
            bar: 1.0,
        },
        Figure {
            what: "the hub's memory at its peak meanwhile (VmHWM)",
            ours: format!("{peak:.1} MiB (before: {before:.1} MiB, with {n_devices} devices connected)"),
            limit: format!("{:.1} MiB: a quarter of Alertmanager's {their_memory:.1} MiB (VmHWM)", their_memory / 4.0),
            ratio: peak / (their_memory / 4.0),
            bar: 1.0,
        },
    ]
}

/// Webhook calls a second of Debian's Alertmanager for so many alerts, and its memory in MiB; not a number where it is not installed.
async fn alertmanager(folder: &Path, n: usize) -> (f64, f64) {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let app = Router::new().route(
        "/",
        post(move |_: axum::body::Bytes| {
            counted.fetch_add(1, Ordering::Relaxed);
            std::future::ready("ok")
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, app).await.unwrap() });
    let config = folder.join("alertmanager.yml");
    let route = "{receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 5m, repeat_interval: 4h}";
    let yaml = format!(
        "route: {route}\nreceivers: [{{name: hook, webhook_configs: [{{url: 'http://{hook}/', send_resolved: false}}]}}]\n"
    );
    std::fs::write(&config, yaml).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let started = Command::new("prometheus-alertmanager")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = started else { return (f64::NAN, f64::NAN) };
    let daemon = Running(child);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://127.0.0.1:{port}/api/v2/alerts");
    while client.get(&url).send().await.is_err() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let start = Instant::now();
    for batch in 0..n.div_ceil(500) {
        let alert = |i: usize| {
            let labels =
                serde_json::json!({ "alertname": format!("task{}", i % 100), "device": format!("sim{}", i / 100) });
            serde_json::json!({ "labels": labels, "annotations": { "text": "rsync: write failed: No space left on device (28)" } })
        };
        let alerts: Vec<_> = (batch * 500..n.min(batch * 500 + 500)).map(alert).collect();
        let body = serde_json::Value::from(alerts).to_string();
        client.post(&url).header("content-type", "application/json").body(body).send().await.unwrap();
    }
    while calls.load(Ordering::Relaxed) < n && start.elapsed() < Duration::from_secs(120) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rate = calls.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
    (rate, memory_kib(daemon.0.id(), "VmHWM:") / 1024.0)
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

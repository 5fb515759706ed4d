//! Benchmark of the whole path, from the writer's close of a file to the push request: both ends durable, over TLS on loopback.

use std::io::Write as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecursiveMode, Watcher as _};
use olog_journeys::Phone;
use olog_journeys::world::{Agent, Hub, World};

use crate::{Figure, quantile};

const ROUNDS: usize = 300;

/// A hub and an agent that answer at once, and a phone that takes any rate.
async fn world() -> (World, Hub, Agent) {
    let world = World::new().await;
    world.phone.without_rate();
    let mut hub = Hub::new(&world, "hub", "", "");
    let text = std::fs::read_to_string(hub.daemon.config()).unwrap();
    hub.daemon.configure(&text.replace("type = \"wxpusher\"\n", "type = \"wxpusher\"\nrate = \"10000/s\"\n"));
    hub.start();
    let mut agent = world.agent_off("dev", "settle = \"0s\"\n", "");
    agent.join(&hub);
    agent.start();
    agent.wait_connected();
    (world, hub, agent)
}

/// Milliseconds from the close of a file with this content to the arrival of its push.
async fn once(world: &World, agent: &Agent, name: &str, write: impl FnOnce(&std::path::Path)) -> f64 {
    let marker = name.trim_end_matches(".err").to_owned();
    let n_before = world.phone.calls().len();
    let path = agent.log_dir.join(name);
    write(&path);
    let closed = tokio::time::Instant::now();
    let named = move |calls: &[olog_journeys::phone::Call]| {
        calls.iter().skip(n_before).any(|call| call.body.to_string().contains(&marker))
    };
    let calls = world.phone.wait_calls(name, &named).await;
    let call = calls
        .iter()
        .skip(n_before)
        .find(|c| named(std::slice::from_ref(*c)) || c.body.to_string().contains(name.trim_end_matches(".err")));
    call.map_or(f64::NAN, |call| call.at.duration_since(closed).as_secs_f64() * 1e3)
}

pub(crate) async fn road() -> Vec<Figure> {
    let (world, _hub, agent) = world().await;
    let bare_dir = tempfile::tempdir_in(world.folder()).unwrap();
    let mut bare = Bare::start(&world.phone, bare_dir.path());
    let sync_path = world.folder().join("sync");
    let (mut ours, mut limits) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // First things first: connections, caches and the first pages of both databases.
        let warm = round < 20;
        let text = format!("road{round} failed: connection refused\n");
        let ms = once(&world, &agent, &format!("road{round}.err"), |path| std::fs::write(path, &text).unwrap()).await;
        let limit = 2.0 * append_and_sync(&sync_path) + bare.once(&world.phone, bare_dir.path(), round).await;
        if !warm {
            ours.push(ms);
            limits.push(limit);
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let (median, p99, limit) = (quantile(&mut ours, 0.5), quantile(&mut ours, 0.99), quantile(&mut limits, 0.5));
    let figure = |what, ms: f64, bar| Figure {
        what,
        ours: format!("{ms:.2} ms"),
        limit: format!("{limit:.2} ms: two appends with fdatasync and inotify → read → HTTP"),
        ratio: ms / limit,
        bar,
    };
    vec![figure("close of a file to the push request, median", median, 2.0), figure("the same, p99", p99, 5.0)]
}

/// Milliseconds of one 4 KiB append with fdatasync.
fn append_and_sync(path: &std::path::Path) -> f64 {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    let block = [b'x'; 4096];
    let start = Instant::now();
    file.write_all(&block).unwrap();
    file.sync_data().unwrap();
    start.elapsed().as_secs_f64() * 1e3
}

/// The same road with nothing durable and nothing decided: inotify, read, one HTTP request on a connection that is open.
struct Bare {
    _watcher: notify::RecommendedWatcher,
}

impl Bare {
    fn start(phone: &Phone, dir: &std::path::Path) -> Bare {
        let (closed, next) = mpsc::channel();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let event = event.unwrap();
            if event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write)) {
                closed.send(event.paths.first().cloned().unwrap()).unwrap();
            }
        })
        .unwrap();
        watcher.watch(dir, RecursiveMode::NonRecursive).unwrap();
        let url = format!("{}/api/send/message", phone.url());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            while let Ok(path) = next.recv() {
                let text = std::fs::read_to_string(path).unwrap();
                let body = serde_json::json!({ "appToken": olog_journeys::phone::TOKEN, "content": text,
                    "uids": [olog_journeys::phone::UID] });
                let call = client.post(&url).header("content-type", "application/json").body(body.to_string()).send();
                runtime.block_on(async { call.await.unwrap().bytes().await.unwrap() });
            }
        });
        Bare { _watcher: watcher }
    }

    async fn once(&mut self, phone: &Phone, dir: &std::path::Path, round: usize) -> f64 {
        let text = format!("bare{round} failed");
        let n_before = phone.calls().len();
        std::fs::write(dir.join(format!("{round}.err")), &text).unwrap();
        let closed = tokio::time::Instant::now();
        let calls = phone
            .wait_calls("the bare call", |calls| {
                calls.iter().skip(n_before).any(|c| c.body["content"].as_str().is_some_and(|t| t == text))
            })
            .await;
        let call = calls.iter().skip(n_before).find(|c| c.body["content"].as_str().is_some_and(|t| t == text));
        call.unwrap().at.duration_since(closed).as_secs_f64() * 1e3
    }
}

pub(crate) async fn big_file() -> Vec<Figure> {
    let (world, _hub, agent) = world().await;
    let (mut small, mut big) = (Vec::new(), Vec::new());
    for round in 0..30 {
        let write = |size: u64| {
            move |path: &std::path::Path| {
                let mut file = std::fs::File::create(path).unwrap();
                file.write_all(b"disk failure begins\n").unwrap();
                file.set_len(size - 20).unwrap();
                let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
                file.write_all(b"\ndisk failure ended\n").unwrap();
            }
        };
        small.push(once(&world, &agent, &format!("small{round}.err"), write(10 << 10)).await);
        big.push(once(&world, &agent, &format!("big{round}.err"), write(10 << 30)).await);
        std::fs::remove_file(agent.log_dir.join(format!("big{round}.err"))).unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (small, big) = (quantile(&mut small, 0.5), quantile(&mut big, 0.5));
    vec![Figure {
        what: "a 10 GiB `.err`, close to push, median",
        ours: format!("{big:.2} ms"),
        limit: format!("{small:.2} ms: a 10 KiB one"),
        ratio: big / small,
        bar: 1.5,
    }]
}

//! A store of its own, and somebody on the loopback who expects the hub.

use olog_daemon::config::ConfigFiles;
use olog_proto::Timestamp;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::*;
use crate::{config::Config, hub::rules_of, store::StoreUrl};

const LIMIT: Duration = Duration::from_secs(30);

struct Somebody {
    url: String,
    calls: mpsc::UnboundedReceiver<String>,
    status: watch::Sender<u16>,
    _tasks: JoinSet<()>,
}

impl Somebody {
    async fn new() -> Somebody {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/ping/3f9c", listener.local_addr().unwrap());
        let (status, seen) = watch::channel(200);
        let (send, calls) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    let mut bytes = [0; 1024];
                    let n = stream.read(&mut bytes).await.unwrap();
                    asked.extend_from_slice(&bytes[..n]);
                }
                let reply = format!("HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", *seen.borrow());
                let line = String::from_utf8_lossy(&asked).lines().next().unwrap_or_default().to_owned();
                send.send(line).unwrap();
                stream.write_all(reply.as_bytes()).await.unwrap();
            }
        });
        Somebody { url, calls, status, _tasks: tasks }
    }

    async fn call(&mut self) -> String {
        timeout(LIMIT, self.calls.recv()).await.expect("no call came").unwrap()
    }
}

struct Running {
    folder: tempfile::TempDir,
    store: Store,
    workers: Workers,
    live: watch::Sender<Arc<ReloadableConfig>>,
    stop: CancellationToken,
    rules: watch::Sender<Arc<LivePolicy>>,
    tasks: JoinSet<()>,
}

fn live(folder: &std::path::Path, watchdog: &str) -> Arc<ReloadableConfig> {
    let file = folder.join("hub.toml");
    let channel = "[[channel]]\nname = 'me'\ntype = 'wxpusher'\ntoken = 'AT_abcdefghijklmnop'\nuids = ['UID_a']\n";
    std::fs::write(&file, format!("language = 'en'\n{watchdog}\n{channel}")).unwrap();
    Config::load(&ConfigFiles::new("hub", Some(file))).unwrap().live
}

impl Running {
    async fn start(watchdog: &str) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(&StoreUrl::Sqlite(folder.path().join("olog.db")), Timestamp(0)).await.unwrap();
        let now = live(folder.path(), watchdog);
        let rules = watch::Sender::new(rules_of(&now, None));
        let live = watch::Sender::new(now);
        let (workers, stop) = (Workers::default(), CancellationToken::new());
        let mut running = Running { folder, store, workers, live, stop, rules, tasks: JoinSet::new() };
        running.spawn();
        running
    }

    fn spawn(&mut self) {
        let watchdog = HeartbeatWorker {
            store: self.store.clone(),
            workers: self.workers.clone(),
            live: self.live.subscribe(),
            rules: self.rules.subscribe(),
            outbox: Bell::default(),
            clock: Clock::system(),
        };
        self.tasks.spawn(watchdog.run(self.stop.clone()));
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        timeout(LIMIT, self.tasks.join_next()).await.expect("it stops");
        self.stop = CancellationToken::new();
    }

    /// The open ones, or all.
    async fn incidents(&self, all: bool) -> Vec<incidents::Incident> {
        self.store.read(move |tx| incidents::list(tx, all, u64::MAX, 10)).await.unwrap()
    }

    async fn until_open(&self, n: usize) {
        let looking = async {
            while self.incidents(false).await.len() != n {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LIMIT, looking).await.expect("the incidents did not come to be so many");
    }

    async fn waiting(&self) -> String {
        let rows = self.store.read(|tx| tx.query("SELECT notice FROM outbox ORDER BY id", &[])).await.unwrap();
        rows.iter().map(|row| row.text(0).unwrap()).collect::<Vec<_>>().join("\n")
    }
}

fn table(url: &str) -> String {
    format!("[watchdog]\nurl = '{url}'\nevery = '1s'\n")
}

#[tokio::test]
async fn it_calls_again_and_again_and_a_reload_gives_it_another_address() {
    let (mut one, mut other) = (Somebody::new().await, Somebody::new().await);
    let mut running = Running::start(&table(&one.url)).await;
    for _ in 0..2 {
        assert_eq!(one.call().await, "GET /ping/3f9c HTTP/1.1");
    }
    running.live.send_replace(live(running.folder.path(), &table(&other.url)));
    other.call().await;
    running.live.send_replace(live(running.folder.path(), ""));
    running.stop.cancel();
    timeout(LIMIT, running.tasks.join_next()).await.expect("it stops");
}

#[tokio::test]
async fn an_incident_of_an_earlier_start_is_over_although_the_first_call_of_this_one_failed() {
    let mut somebody = Somebody::new().await;
    somebody.status.send_replace(500);
    let mut running = Running::start(&table(&somebody.url)).await;
    running.until_open(1).await;
    running.stop().await;
    while somebody.calls.try_recv().is_ok() {}
    running.spawn();
    somebody.call().await;
    somebody.status.send_replace(204);
    running.until_open(0).await;
}

#[tokio::test]
async fn it_is_silent_while_a_worker_is_stuck() {
    let mut somebody = Somebody::new().await;
    let running = Running::start(&table(&somebody.url)).await;
    let ingest = running.workers.register("ingest", Duration::from_secs(1));
    ingest.idle();
    somebody.call().await;
    // It begins to work and makes no further step.
    ingest.beat();
    while timeout(Duration::from_secs(3), somebody.calls.recv()).await.is_ok() {}
    ingest.idle();
    somebody.call().await;
}

#[tokio::test]
async fn three_failures_in_a_row_are_told_and_so_is_their_end() {
    let mut somebody = Somebody::new().await;
    somebody.status.send_replace(500);
    let running = Running::start(&table(&somebody.url)).await;
    for _ in 0..2 {
        somebody.call().await;
    }
    assert!(running.incidents(true).await.is_empty(), "two are not told");
    running.until_open(1).await;
    let told = running.waiting().await;
    assert!(told.contains("watchdog-failing") && told.contains("HTTP 500") && told.contains("127.0.0.1"), "{told}");
    assert!(!told.contains("3f9c"), "the address is a secret: {told}");
    somebody.status.send_replace(204);
    running.until_open(0).await;
    let told = running.waiting().await;
    assert!(told.contains("watchdog-back"), "{told}");
    assert_eq!(running.incidents(true).await.len(), 1);
}

#[tokio::test]
async fn an_incident_of_a_watchdog_that_is_configured_no_more_does_not_stay_open() {
    let running = Running::start(&table("http://127.0.0.1:1/")).await;
    running.until_open(1).await;
    running.live.send_replace(live(running.folder.path(), ""));
    running.until_open(0).await;
    assert!(!running.waiting().await.contains("watchdog-back"));
}

//! A hub that is away, and a push service on the loopback that takes one push after the other.

use olog_daemon::{
    config::ConfigFiles,
    workers::{WorkerState, Workers},
};
use olog_proto::{Event, EventContent, Excerpt, File, FingerprintText, Growth, LogKind, event::Id128};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

use super::*;
use crate::{boot, config, spool::Batch};

const LIMIT: Duration = Duration::from_secs(20);

/// No jitter: what may wait by chance does not wait.
#[derive(Debug, Clone, Copy)]
struct Zeros;

impl RandomSource for Zeros {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        bytes.fill(0);
        Ok(())
    }
}

struct Away {
    folder: tempfile::TempDir,
    spool: Spool,
    link: watch::Sender<ConnectionStatus>,
    pushes: mpsc::Receiver<serde_json::Value>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    workers: Workers,
    _live: watch::Sender<Arc<ReloadableConfig>>,
}

impl Away {
    /// `code` is what the service answers for every receiver.
    async fn start(code: u32, connected: bool, prepare: impl FnOnce(&Spool)) -> Away {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (send, pushes) = mpsc::channel(16);
        let mut tasks = JoinSet::new();
        tasks.spawn(service(listener, code, send));
        let file = folder.path().join("agent.toml");
        let text = format!(
            "device = 'comsrv'\n[push]\nafter = '1ms'\n[[push.channel]]\nname = 'me'\ntype = 'wxpusher'\n\
             token = 'AT_abcdefghijklmnop'\nuids = ['UID_a']\napi_url = '{url}'\n"
        );
        std::fs::write(&file, text).unwrap();
        let source = ConfigFiles::new("agent", Some(file));
        let live = config::load(&source).unwrap().live;
        let spool = Spool::open(&folder.path().join("spool.db"), Id128([1; 16])).unwrap().0;
        prepare(&spool);
        let (link, seen) = watch::channel(ConnectionStatus { connected, ..ConnectionStatus::default() });
        let (live_sender, live) = watch::channel(live);
        let stop = CancellationToken::new();
        let workers = Workers::default();
        let fallback = Fallback {
            spool: spool.clone(),
            link: seen,
            live,
            clock: Clock::system(),
            chance: Zeros,
            pause: Duration::from_millis(10),
            worker: workers.register("own push", LIMIT),
        };
        let until = stop.clone();
        tasks.spawn(async move { fallback.run(until).await.unwrap() });
        Away { folder, spool, link, pushes, stop, tasks, workers, _live: live_sender }
    }

    async fn push(&mut self) -> serde_json::Value {
        timeout(LIMIT, self.pushes.recv()).await.expect("no push came").unwrap()
    }

    /// It waits to be woken: a worker that is not idle and makes no step is taken for stuck, and systemd ends the agent.
    async fn until_idle(&self) {
        let looking = async {
            while self.workers.statuses(Instant::now()).iter().any(|worker| worker.state != WorkerState::Idle) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(LIMIT, looking).await.expect("it is idle");
    }

    async fn until_met(&self) {
        let looking = async {
            while !hub::is_met(&self.spool).unwrap() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, looking).await.expect("the hub was not met");
    }

    /// Is somebody owed the return?
    async fn until_told(&self, is_owed: bool) {
        let looking = async {
            while (OwedRecovery::load(&self.spool).unwrap() != OwedRecovery::default()) != is_owed {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, looking).await.expect("who is owed the return did not come to be so");
    }

    async fn until(&self, is: impl Fn(&[Event]) -> bool) {
        let looking = async {
            while !is(&self.spool.after(0, 100, usize::MAX).unwrap()) {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(LIMIT, looking).await.expect("the marks did not come to be so");
    }
}

async fn service(listener: TcpListener, code: u32, pushes: mpsc::Sender<serde_json::Value>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = Vec::new();
        let body: serde_json::Value = loop {
            let mut bytes = [0; 4096];
            let n = stream.read(&mut bytes).await.unwrap();
            text.extend_from_slice(&bytes[..n]);
            let whole = String::from_utf8_lossy(&text).into_owned();
            let body = whole.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
            if let Some(body) = body {
                break body;
            }
        };
        let row = format!("{{\"uid\":\"UID_a\",\"topicId\":null,\"code\":{code},\"status\":\"x\"}}");
        let json = format!("{{\"code\":1000,\"msg\":\"ok\",\"data\":[{row}]}}");
        let reply = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{json}", json.len());
        pushes.send(body).await.unwrap();
        stream.write_all(reply.as_bytes()).await.unwrap();
    }
}

fn put(spool: &Spool, task: &str, suffix: LogKind, text: &str) {
    let file = File {
        task: task.parse().unwrap(),
        suffix,
        path: format!("/l/{task}.{suffix}"),
        change: Growth::Created,
        began_at: None,
        closed: true,
        sibling_err: false,
        history: false,
        fingerprints: vec![FingerprintText::of(text)],
    };
    let mut batch = Batch::default();
    batch.emit(boot::stamp(Clock::system().now()), EventContent::Text { file, excerpt: Excerpt::of(text) }, None);
    spool.put(&batch).unwrap();
}

fn is_accepted(event: &Event) -> bool {
    event.pushed.as_ref().is_some_and(|push| push.accepted_at.is_some())
}

#[tokio::test]
async fn what_waits_goes_as_one_message_and_is_marked_as_accepted() {
    let mut away = Away::start(1000, false, |spool| {
        put(spool, "nginx", LogKind::Err, "nginx not running!");
        put(spool, "nginx", LogKind::Err, "nginx not running!");
        put(spool, "door", LogKind::Msg, "battery low");
        put(spool, "calm", LogKind::Log, "all is fine here");
    })
    .await;
    let push = away.push().await.to_string();
    assert!(push.contains("nginx not running!") && push.contains("battery low"), "{push}");
    assert!(!push.contains("all is fine here"), "{push}");
    away.until(|events| events.iter().map(is_accepted).eq([true, false, true, false])).await;
    // The same again beside another: the push of the other shows that both were looked at.
    put(&away.spool, "nginx", LogKind::Err, "nginx not running!");
    put(&away.spool, "mysql", LogKind::Err, "disk full");
    let push = away.push().await.to_string();
    assert!(push.contains("disk full") && !push.contains("not running"), "one error is told once in an outage: {push}");
    away.until(|events| events.iter().map(is_accepted).eq([true, false, true, false, false, true])).await;
    away.stop.cancel();
    while away.tasks.len() > 1 {
        timeout(LIMIT, away.tasks.join_next()).await.unwrap();
    }
    assert!(away.folder.path().exists());
}

#[tokio::test]
async fn what_the_service_refuses_is_tried_and_not_accepted() {
    let mut away = Away::start(1001, false, |spool| put(spool, "nginx", LogKind::Err, "down")).await;
    away.push().await;
    away.until(|events| events.iter().all(|e| e.pushed.is_some() && !is_accepted(e))).await;
}

#[tokio::test]
async fn while_the_hub_is_there_the_device_is_silent() {
    let mut away = Away::start(1000, true, |spool| put(spool, "nginx", LogKind::Err, "down")).await;
    away.until_met().await;
    assert!(away.pushes.try_recv().is_err());
    assert!(away.spool.after(0, 1, usize::MAX).unwrap()[0].pushed.is_none());
    away.link.send_modify(|link| link.connected = false);
    assert!(away.push().await.to_string().contains("down"));
}

#[tokio::test]
async fn who_has_nothing_to_push_is_idle_whether_the_hub_is_there_or_not() {
    let mut away = Away::start(1000, true, |spool| put(spool, "nginx", LogKind::Err, "down")).await;
    away.until_met().await;
    away.until_idle().await;
    away.link.send_modify(|link| link.connected = false);
    away.push().await;
    away.until_idle().await;
    away.link.send_modify(|link| link.connected = true);
    away.push().await;
    away.until_told(false).await;
    away.until_idle().await;
}

#[tokio::test]
async fn that_the_hub_is_gone_is_told_once_and_so_is_its_return() {
    let mut away = Away::start(1000, true, |_| {}).await;
    // Met: from now on it would be missed.
    away.until_met().await;
    away.link.send_modify(|link| {
        link.connected = false;
        link.trouble = Some("connection refused".to_owned());
    });
    let gone = away.push().await.to_string();
    assert!(gone.contains("comsrv") && gone.contains("connection refused"), "{gone}");
    away.until_told(true).await;
    away.link.send_modify(|link| link.connected = true);
    let back = away.push().await.to_string();
    assert_ne!(gone, back);
    assert!(back.contains("comsrv") && !back.contains("connection refused"), "{back}");
    away.until_told(false).await;
    assert!(away.pushes.try_recv().is_err(), "each once");
}

#[tokio::test]
async fn a_restart_of_the_agent_repeats_nothing_and_still_owes_the_return() {
    let mut away = Away::start(1000, false, |spool| {
        hub::met(spool).unwrap();
        OwedRecovery::default().gone("me UID_a", Timestamp(1000), spool).unwrap();
        put(spool, "nginx", LogKind::Err, "down");
    })
    .await;
    // Its own errors it pushes; that the hub is gone is known there.
    let push = away.push().await.to_string();
    assert!(push.contains("down"), "{push}");
    away.until(|events| events.iter().all(is_accepted)).await;
    away.link.send_modify(|link| link.connected = true);
    let back = away.push().await.to_string();
    assert!(!back.contains("down"), "{back}");
    away.until_told(false).await;
}

#[tokio::test]
async fn who_did_not_accept_that_the_hub_is_gone_hears_nothing_of_its_return() {
    let mut away = Away::start(1001, false, |spool| hub::met(spool).unwrap()).await;
    let gone = away.push().await.to_string();
    // The next push begins when everything of the one before is written down.
    put(&away.spool, "nginx", LogKind::Err, "nginx not running!");
    let push = away.push().await.to_string();
    assert!(push.contains("nginx not running!") && !gone.contains("nginx"), "{gone}\n{push}");
    assert_eq!(OwedRecovery::load(&away.spool).unwrap(), OwedRecovery::default());
}

#[tokio::test]
async fn a_hub_that_was_never_met_or_sent_the_device_away_is_not_missed() {
    for (is_met, revoked) in [(false, false), (true, true), (true, false)] {
        let mut away = Away::start(1000, true, |_| {}).await;
        away.until_met().await;
        if !is_met {
            away.spool.forget_meta("hub_met").unwrap();
        }
        put(&away.spool, "nginx", LogKind::Err, "down");
        away.link.send_modify(|link| {
            (link.connected, link.revoked) = (false, revoked);
            link.trouble = Some("connection refused".to_owned());
        });
        // Without jitter that the hub is gone would be in the first message, beside the error.
        let push = away.push().await.to_string();
        let is_missed = is_met && !revoked;
        assert!(push.contains("nginx") && push.contains("connection refused") == is_missed, "{push}");
    }
}

//! The real daemon, in this process, asked over its real socket.

use std::fs;

use olog_daemon::socket::{AskError, Client};
use olog_proto::PublicKey;
use tokio::time::timeout;

use super::*;
use crate::{identity::Hub, socket::Status};

const LIMIT: Duration = Duration::from_secs(20);

struct Running {
    folder: tempfile::TempDir,
    handle: Handle,
    client: Client,
    tasks: JoinSet<Result<(), Fatal>>,
}

impl Running {
    async fn start(more: &str) -> Running {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        write_config(folder.path(), more);
        let source = config::source(Some(folder.path().join("agent.toml")));
        let config = config::load(&source).unwrap();
        let client = Client::new("olog-agent", config.fixed.socket.clone());
        let handle = Handle::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(run(source, config, Clock::system(), handle.clone()));
        let running = Running { folder, handle, client, tasks };
        running.until(|_| true).await;
        running
    }

    async fn until(&self, is: impl Fn(&Status) -> bool) -> Status {
        let asking = async {
            loop {
                match self.client.get::<Status>("/status").await {
                    Ok(status) if is(&status) => return status,
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        timeout(LIMIT, asking).await.expect("the status did not come to be so")
    }

    async fn stop(mut self) -> tempfile::TempDir {
        self.handle.stop.cancel();
        timeout(LIMIT, self.tasks.join_next()).await.unwrap().unwrap().unwrap().unwrap();
        self.folder
    }
}

fn write_config(folder: &Path, more: &str) {
    let dir = folder.display();
    let text = format!("log_dirs = ['{dir}/logs']\nstate_dir = '{dir}/state'\nsocket = '{dir}/agent.sock'\n{more}");
    fs::write(folder.join("agent.toml"), text).unwrap();
}

#[tokio::test]
async fn an_agent_that_has_not_joined_runs_and_says_so() {
    let running = Running::start("device = 'comsrv'\n").await;
    let status = running.until(|_| true).await;
    assert_eq!((status.device.as_str(), status.joined, status.connected), ("comsrv", false, false));
    let folder = running.stop().await;
    assert!(folder.path().join("state/device.key").exists());
    assert!(!folder.path().join("agent.sock").exists(), "the socket's file goes with the daemon");
}

#[tokio::test]
async fn a_stop_and_a_new_start_keep_key_epoch_and_numbers() {
    let running = Running::start("").await;
    let run = serde_json::json!({ "started": { "task": "backup", "run": "1" } });
    running.client.post::<serde_json::Value>("/run", &run).await.unwrap();
    let before = running.until(|s| s.spool >= 1).await;
    let folder = running.stop().await;
    let source = config::source(Some(folder.path().join("agent.toml")));
    let spool = open_spool(&folder.path().join("state")).unwrap();
    assert_eq!((spool.epoch(), spool.last()), (before.epoch, before.last));
    drop(spool);
    let config = config::load(&source).unwrap();
    let client = Client::new("olog-agent", config.fixed.socket.clone());
    let mut tasks = JoinSet::new();
    let handle = Handle::default();
    tasks.spawn(run_again(source, config, handle.clone()));
    let running = Running { folder, handle, client, tasks };
    assert_eq!(running.until(|_| true).await.epoch, before.epoch);
    running.stop().await;
}

async fn run_again(source: ConfigFiles, config: Config, handle: Handle) -> Result<(), Fatal> {
    run(source, config, Clock::system(), handle).await
}

#[tokio::test]
async fn a_bad_new_configuration_is_refused_and_noted_and_the_old_one_stays() {
    let running = Running::start("device = 'comsrv'\n").await;
    let before = running.until(|_| true).await.last;
    write_config(running.folder.path(), "device = 'other'\nsetle = '1s'\n");
    let refused = running.client.post::<()>("/reload", &()).await.unwrap_err().to_string();
    assert!(refused.contains("unknown key `setle`, nearest `settle`"), "{refused}");
    let status = running.until(|s| s.last > before).await;
    assert_eq!(status.device, "comsrv");
    running.stop().await;
}

#[tokio::test]
async fn a_good_new_configuration_is_taken_and_what_is_fixed_needs_a_restart() {
    let running = Running::start("device = 'comsrv'\n").await;
    write_config(running.folder.path(), "device = 'renamed'\n");
    running.client.post::<()>("/reload", &()).await.unwrap();
    assert_eq!(running.until(|_| true).await.device, "renamed");
    let text = fs::read_to_string(running.folder.path().join("agent.toml")).unwrap();
    fs::write(running.folder.path().join("agent.toml"), text.replace("/state'", "/elsewhere'")).unwrap();
    let refused = running.client.post::<()>("/reload", &()).await.unwrap_err().to_string();
    assert!(refused.contains("needs a restart"), "{refused}");
    running.stop().await;
}

/// Nobody asks for a reload: the agent looks at the files every 5 s. The limit of the wait is less than half a minute.
#[tokio::test]
async fn a_changed_file_is_a_new_configuration_without_being_asked_for() {
    let running = Running::start("device = 'comsrv'\n").await;
    write_config(running.folder.path(), "device = 'renamed'\n");
    running.until(|s| s.device == "renamed").await;
    // So is a corrected secret, wherever its file is.
    let secret = running.folder.path().join("elsewhere.token");
    let channel = format!(
        "[[push.channel]]\nname = 'me'\ntype = 'wxpusher'\nuids = ['UID_x']\ntoken_file = '{}'\n",
        secret.display()
    );
    write_config(running.folder.path(), &format!("device = 'third'\n{channel}"));
    let refused = running.until(|s| s.last > 0).await;
    assert_eq!(refused.device, "renamed", "the secret is not there");
    fs::write(&secret, "AT_aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    running.until(|s| s.device == "third").await;
    running.stop().await;
}

#[tokio::test]
async fn sighup_reads_the_configuration_anew() {
    let running = Running::start("device = 'comsrv'\n").await;
    write_config(running.folder.path(), "device = 'renamed'\n");
    running.handle.reload.notify_one();
    running.until(|s| s.device == "renamed").await;
    running.stop().await;
}

#[tokio::test]
async fn a_hub_that_was_joined_meanwhile_is_taken_without_a_restart() {
    let running = Running::start("").await;
    let hub = Hub { base: "http://127.0.0.1:1".into(), key: PublicKey([7; 32]), next: None, tls: None };
    identity::set_hub(&running.folder.path().join("state"), &hub).unwrap();
    running.client.post::<()>("/reload", &()).await.unwrap();
    let status = running.until(|s| s.joined && s.trouble.is_some()).await;
    assert_eq!(status.hub.as_deref(), Some("http://127.0.0.1:1"));
    assert!(status.trouble.unwrap().contains("connection refused"));
    running.stop().await;
}

#[tokio::test]
async fn nonsense_on_the_socket_is_refused_in_words() {
    let running = Running::start("").await;
    let wrong = running.client.post::<()>("/run", &serde_json::json!({ "started": { "task": "" } })).await;
    assert!(matches!(wrong, Err(AskError::Refused { .. })), "{wrong:?}");
    let huge = serde_json::json!({ "started": { "task": "x", "run": "r".repeat(10_000) } });
    assert!(running.client.post::<()>("/run", &huge).await.unwrap_err().to_string().contains("too long"));
    assert!(running.client.get::<()>("/elsewhere").await.unwrap_err().to_string().contains("does not know"));
    assert_eq!(running.until(|_| true).await.spool, 0);
    running.stop().await;
}

#[tokio::test]
async fn a_second_agent_on_the_same_folder_is_refused() {
    let running = Running::start("").await;
    let source = config::source(Some(running.folder.path().join("agent.toml")));
    let config = config::load(&source).unwrap();
    let second = timeout(LIMIT, run(source, config, Clock::system(), Handle::default())).await.unwrap().unwrap_err();
    assert!(matches!(second, Fatal::Spool(SpoolError::Busy { .. }) | Fatal::Socket(_)), "{second}");
    running.until(|_| true).await;
    running.stop().await;
}

/// What a request of another user of this device gets: the status line. Only root can play another user; the peer's user is the thread's.
fn as_user(uid: u32, socket: std::path::PathBuf, requests: Vec<String>) -> std::thread::JoinHandle<Vec<String>> {
    use std::io::{Read as _, Write as _};
    std::thread::spawn(move || {
        let uid = rustix::fs::Uid::from_raw(uid);
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        let ask = |request: String| {
            let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
            let mut answer = String::new();
            // A refusal may come before the request is written.
            let written = stream.write_all(request.as_bytes());
            let read = stream.read_to_string(&mut answer);
            let line = answer.lines().next().map(str::to_owned);
            line.unwrap_or_else(|| format!("{written:?} {read:?}"))
        };
        requests.into_iter().map(ask).collect()
    })
}

async fn joined<T: Send + 'static>(thread: std::thread::JoinHandle<T>) -> T {
    tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap()
}

fn run_of(task: &str, output: usize) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
    let output = BASE64.encode("错误".repeat(output / 6));
    let body = serde_json::json!({ "ended": { "task": task, "run": "1", "exit": 1, "signal": null, "duration": 1, "output": output } });
    let body = body.to_string();
    format!("POST /run HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Where other users can reach the socket.
async fn open_to_all(more: &str) -> Option<(Running, std::path::PathBuf)> {
    use std::os::unix::fs::PermissionsExt as _;
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: nobody else can be played");
        return None;
    }
    let running = Running::start(more).await;
    fs::set_permissions(running.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = running.folder.path().join("agent.sock");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o666)).unwrap();
    Some((running, socket))
}

#[tokio::test]
async fn one_user_fills_only_its_share_of_the_spool_and_the_others_are_still_heard() {
    let Some((running, socket)) = open_to_all("spool_max = '1MiB'\n").await else { return };
    let flood = vec![run_of("flood", 12_000); 59];
    let answers = joined(as_user(64001, socket.clone(), flood)).await;
    let n_taken = answers.iter().filter(|line| line.contains("200")).count();
    assert!(n_taken > 0 && answers.last().unwrap().contains("507"), "{n_taken} taken, then {:?}", answers.last());
    let held = running.until(|_| true).await.spool_bytes;
    assert!(held < (1 << 20) / 8 + 16_384, "{held}: an eighth and one more");
    for uid in [64002, 0] {
        let answers = joined(as_user(uid, socket.clone(), vec![run_of("raidcheck", 10)])).await;
        assert!(answers[0].contains("200"), "{uid}: {answers:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn one_user_reports_at_a_rate_and_others_at_theirs() {
    let Some((running, socket)) = open_to_all("").await else { return };
    let answers = joined(as_user(64001, socket.clone(), vec![run_of("flood", 10); 200])).await;
    assert!(answers.iter().any(|line| line.contains("429")), "{:?}", answers.last());
    let answers = joined(as_user(64002, socket.clone(), vec![run_of("other", 10)])).await;
    assert!(answers[0].contains("200"), "{answers:?}");
    running.stop().await;
}

#[tokio::test]
async fn connections_that_say_nothing_take_the_places_of_their_user_only_and_end_after_two_seconds() {
    let Some((running, socket)) = open_to_all("").await else { return };
    let (path, (idle, is_idle)) = (socket.clone(), std::sync::mpsc::channel());
    let silent = std::thread::spawn(move || {
        use std::io::Read as _;
        let uid = rustix::fs::Uid::from_raw(64001);
        rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
        let streams: Vec<_> = (0..100).map(|_| std::os::unix::net::UnixStream::connect(&path).unwrap()).collect();
        idle.send(()).unwrap();
        // Each is closed by the agent; without a deadline this would wait for ever.
        streams.into_iter().map(|mut stream| stream.read_to_end(&mut Vec::new()).is_ok()).filter(|ok| *ok).count()
    });
    tokio::task::spawn_blocking(move || is_idle.recv().unwrap()).await.unwrap();
    for uid in [64002, 0] {
        let answers = joined(as_user(uid, socket.clone(), vec![run_of("raidcheck", 10)])).await;
        assert!(answers[0].contains("200"), "{uid}: {answers:?}");
    }
    assert_eq!(timeout(LIMIT, joined(silent)).await.unwrap(), 100);
    running.stop().await;
}

#[tokio::test]
async fn a_full_spool_refuses_runs_of_everybody() {
    let running = Running::start("spool_max = '1MiB'\n").await;
    let end = |i: usize| {
        use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
        let output = BASE64.encode("错误".repeat(2_000));
        serde_json::json!({ "ended": { "task": "big", "run": i.to_string(), "exit": 1, "signal": null, "duration": 1, "output": output } })
    };
    let mut refused = None;
    for i in 0..2_000 {
        match running.client.post::<serde_json::Value>("/run", &end(i)).await {
            Ok(_) => {}
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let Some(AskError::Refused { status, words }) = refused else { panic!("{refused:?}") };
    assert_eq!((status.as_u16(), words.as_str()), (507, "the spool is full (spool_max)"));
    running.stop().await;
}

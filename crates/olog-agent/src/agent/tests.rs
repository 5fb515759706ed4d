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
    let hub = Hub { base: "http://127.0.0.1:1".into(), key: PublicKey([7; 32]), tls: None };
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

//! The stream of changes as curl reads it: a file that is written on a device is told, also to who was away for a while, and after a restart of the hub.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use olog_journeys::world::{Hub, World};
use serde_json::Value;

/// Until an event comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// curl, which reads a stream.
struct Reader {
    curl: Child,
    lines: Receiver<String>,
    last_id: String,
}

impl Reader {
    fn open(hub: &Hub, token: &str, last_id: Option<&str>) -> Reader {
        let mut curl = Command::new("curl");
        curl.args(["-ksN", "-H", &format!("Authorization: Bearer {token}")]);
        if let Some(id) = last_id {
            curl.args(["-H", &format!("Last-Event-ID: {id}")]);
        }
        curl.arg(format!("https://127.0.0.1:{}/api/v1/stream", hub.port));
        let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let text = BufReader::new(curl.stdout.take().unwrap());
        std::thread::spawn(move || {
            text.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)).ok();
        });
        let mut reader = Reader { curl, lines, last_id: String::new() };
        reader.next();
        reader
    }

    /// The next event: its kind and its row.
    fn next(&mut self) -> (String, Value) {
        let mut kind = String::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap();
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut self.last_id),
                Some(("event", event)) => event.clone_into(&mut kind),
                Some(("data", row)) => return (kind, serde_json::from_str(row).unwrap()),
                _ => {}
            }
        }
    }

    /// Reads until such an event comes.
    fn until(&mut self, what: &str, is_it: impl Fn(&str, &Value) -> bool) -> Vec<String> {
        let mut kinds = Vec::new();
        loop {
            let (kind, row) = self.next();
            kinds.push(kind.clone());
            if is_it(&kind, &row) {
                return kinds;
            }
            assert!(kinds.len() < 1_000, "no {what}: {kinds:?}");
        }
    }

    fn ends(mut self) {
        self.curl.wait().unwrap();
    }

    fn close(mut self) -> String {
        self.curl.kill().unwrap();
        self.curl.wait().unwrap();
        self.last_id
    }
}

fn opened(task: &'static str) -> impl Fn(&str, &Value) -> bool {
    move |kind, row| kind == "incident" && row["device"] == "pi" && row["task"] == task && row["step"] == "opened"
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_written_is_told_by_the_stream_also_to_who_was_away_and_after_a_restart_of_the_hub() {
    let world = World::new().await;
    let mut hub = world.hub();
    let pi = world.agent("pi", &hub);
    let said = hub.verb(&["token", "create", "reader", "--scope", "read"]).good();
    let token = said.split_whitespace().find(|word| word.starts_with("olog_")).expect("a token").to_owned();
    let mut reader = Reader::open(&hub, &token, None);
    pi.write("nginx.err", "bind() failed\n");
    reader.until("incident of nginx", opened("nginx"));
    reader.until("answer of the phone", |kind, row| kind == "notification" && !row["incident"].is_null());
    let id = reader.close();
    // While nobody reads.
    pi.write("backup.err", "rsync error\n");
    world.push("rsync error").await;
    let mut reader = Reader::open(&hub, &token, Some(&id));
    let kinds = reader.until("incident of backup", opened("backup"));
    assert!(!kinds.contains(&"resync".to_owned()), "{kinds:?}");
    // The hub stops and does not wait for who reads.
    let id = reader.last_id.clone();
    assert!(hub.daemon.stop().success());
    reader.ends();
    hub.start();
    pi.wait_connected();
    let mut reader = Reader::open(&hub, &token, Some(&id));
    assert_eq!(reader.next().0, "resync");
    pi.write("disk.err", "No space left on device\n");
    reader.until("incident of disk", opened("disk"));
    // The token's end is the stream's.
    hub.verb(&["token", "revoke", "reader"]).good();
    reader.ends();
}

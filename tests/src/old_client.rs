//! A client of the old protocol (olog.py), written for the tests from the description of the protocol.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use olog_daemon::clock::Clock;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// The same in Python, with its most used websocket library.
pub const PYTHON: &str = include_str!("old_client.py");

/// For the hub's next word.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connected client.
#[derive(Debug)]
pub struct OldClient {
    /// For what no client would send.
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Milliseconds that its clock is ahead.
    pub ahead_ms: i64,
    token: String,
    clock: Clock,
}

impl OldClient {
    /// Connects, and says nothing yet.
    pub async fn dial(address: &str, token: &str, clock: Clock) -> OldClient {
        let (socket, _) = connect_async(format!("ws://{address}/")).await.expect("the hub lets it connect");
        OldClient { socket, ahead_ms: 0, token: token.to_owned(), clock }
    }

    /// Connects to a hub on this machine, and says who it is: `name#address`.
    pub async fn open(port: u16, token: &str, device: &str) -> OldClient {
        let mut client = OldClient::dial(&format!("127.0.0.1:{port}"), token, Clock::system()).await;
        client.say(device).await;
        client
    }

    /// A message as Python writes it.
    pub fn message(&self, payload: &str) -> String {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of today are far below 2^53")]
        let seconds = self.clock.now().plus(self.ahead_ms).0 as f64 / 1000.0;
        let checksum = checksum(payload, &format!("{seconds:?}"), &self.token);
        let payload = Value::from(payload);
        format!("{{\"payload\": {payload}, \"timestamp\": {seconds:?}, \"checksum\": \"{checksum}\"}}")
    }

    /// Sends a signed payload.
    pub async fn say(&mut self, payload: &str) {
        let message = self.message(payload);
        self.send(Message::text(message)).await;
    }

    /// Sends anything. A hub that has hung up meanwhile is no error: what it said is what counts.
    pub async fn send(&mut self, message: Message) {
        let _gone = self.socket.send(message).await.is_err();
    }

    /// The payload of the hub's next message, checked as the original checks it; `None`: the hub hung up.
    pub async fn hears(&mut self) -> Option<String> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.expect("the hub says nothing") {
                Some(Ok(Message::Text(text))) => return Some(self.payload(&text)),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    fn payload(&self, text: &str) -> String {
        let message: Value = serde_json::from_str(text).expect("a JSON text");
        let seconds = message["timestamp"].as_f64().expect("a float");
        let payload = message["payload"].as_str().expect("a string");
        let checksum = checksum(payload, &format!("{seconds:?}"), &self.token);
        assert_eq!(message["checksum"], checksum, "{text}");
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of today are far below 2^53")]
        let now = self.clock.now().0 as f64 / 1000.0;
        assert!((seconds - now).abs() <= 10.0, "{text}");
        payload.to_owned()
    }

    /// Hears the next question for a report, answering pings before it; and answers with `tasks`.
    pub async fn report(&mut self, tasks: &Value) {
        loop {
            match self.hears().await.as_deref() {
                Some("report now") => return self.say(&tasks.to_string()).await,
                Some("ping") => self.say("pong").await,
                other => panic!("not a question of the hub: {other:?}"),
            }
        }
    }

    /// Answers everything until the hub hangs up.
    pub async fn live(mut self, tasks: Value) {
        loop {
            match self.hears().await.as_deref() {
                Some("report now") => self.say(&tasks.to_string()).await,
                Some("ping") => self.say("pong").await,
                Some(other) => panic!("not a question of the hub: {other:?}"),
                None => return,
            }
        }
    }
}

/// A task of a report.
pub fn task(state: &str, logdate: &str, detail: &str) -> Value {
    json!({ "state": state, "logdate": logdate, "detail": detail })
}

fn checksum(payload: &str, digits: &str, token: &str) -> String {
    let hash = Sha256::digest(format!("{payload}{digits}{token}"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

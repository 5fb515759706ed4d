//! Channels against real programs: aiosmtpd for letters, Apprise for commands. They run where `OLOG_TEST_PYTHON` names a Python
//! that has both (`cargo xtask test` makes one); elsewhere they say that they did not.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use olog_daemon::config::read_text;
use olog_proto::Timestamp;
use olog_push::{About, Answer, Channel, Kind, Message, Refusal};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(60);

/// None: they are not here.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("OLOG_TEST_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!("not run: OLOG_TEST_PYTHON names no Python with aiosmtpd and apprise");
    }
    python
}

fn channel(text: &str) -> Channel {
    let text = format!("name = 'me'\n{text}");
    read_text("hub.toml", &text, |table| Channel::parse(table, &olog_push::ChannelCatalog::built_in()))
        .unwrap()
        .unwrap()
}

fn message() -> Message {
    Message {
        title: "异常 comsrv/mysql".into(),
        summary: "异常 comsrv/mysql — Can't connect (111)".into(),
        html: "<p>mysql 刚刚出错。</p>".into(),
        markdown: "mysql **刚刚出错**。".into(),
        text: "mysql 刚刚出错。\n.\n.. and a line that is long: ".to_owned() + &"x".repeat(2000),
        about: vec![About {
            kind: Kind::Err,
            device: Some("comsrv".into()),
            task: None,
            incident: Some(17),
            at: Timestamp(0),
        }],
        link: None,
    }
}

/// A running mail server.
struct Server {
    child: Child,
    port: u16,
    letters: mpsc::Receiver<Value>,
    /// It runs as long as this is open.
    _stdin: Option<ChildStdin>,
    folder: tempfile::TempDir,
}

impl Server {
    fn start(python: &Path, mut settings: Value) -> Server {
        let folder = tempfile::tempdir().unwrap();
        // As `openssl req -x509` makes one: it signs itself, is an authority, and bears another name.
        let mut params = CertificateParams::new(vec!["mail.example.com".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let (cert_file, key_file) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&cert_file, params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        settings["cert"] = json!(cert_file);
        settings["key"] = json!(key_file);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smtpd.py");
        let mut command = Command::new(python);
        command.arg(script).arg(settings.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().expect("it says its port").unwrap().parse().unwrap();
        let (send, letters) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if send.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take();
        Server { child, port, letters, _stdin: stdin, folder }
    }

    fn channel(&self, scheme: &str, more: &str) -> Channel {
        let from = "from = 'Olog <olog@example.com>'\nto = ['me@example.com', 'you@example.com']";
        channel(&format!("type = 'mail'\nsmtp = '{scheme}://127.0.0.1:{}'\n{from}\n{more}", self.port))
    }

    fn ca(&self) -> String {
        format!("ca = '''{}'''", std::fs::read_to_string(self.folder.path().join("cert.pem")).unwrap())
    }

    fn letter(&self) -> Value {
        self.letters.recv_timeout(LIMIT).expect("a letter came")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

async fn answers(channel: &Channel) -> Vec<Answer> {
    channel.send(&message(), &channel.receivers()).await.into_iter().map(|(_, answer)| answer).collect()
}

fn all_accepted(answers: &[Answer]) -> bool {
    answers.len() == 2 && answers.iter().all(|answer| matches!(answer, Answer::Accepted { .. }))
}

const LOGIN: &str = "user = 'olog'\npassword = 'correct horse battery'\n";

#[tokio::test]
async fn a_letter_goes_by_tls_or_starttls_signed_in_and_whole() {
    let Some(python) = python() else { return };
    for (scheme, tls) in [("smtps", "implicit"), ("smtp", "starttls")] {
        let login = json!({ "tls": tls, "user": "olog", "password": "correct horse battery" });
        let server = Server::start(&python, login);
        let answers = answers(&server.channel(scheme, &format!("{LOGIN}{}", server.ca()))).await;
        assert!(all_accepted(&answers), "{scheme}: {answers:?}");
        assert!(format!("{answers:?}").contains("queued as 4XyZ"), "{answers:?}");
        let letter = server.letter();
        assert_eq!(letter["from"], "olog@example.com");
        assert_eq!(letter["to"], json!(["me@example.com", "you@example.com"]));
        assert_eq!((&letter["tls"], &letter["user"]), (&json!(true), &json!("olog")));
        // Read as a mail program reads it.
        let parse = "import sys, email, email.policy as p, json; m = email.message_from_string(sys.stdin.read(), policy=p.default); \
                     print(json.dumps([m['subject'], m['from'], m['auto-submitted'], m.get_body(('plain',)).get_content(), \
                     m.get_body(('html',)).get_content()]))";
        let read = pipe(Command::new(&python).args(["-c", parse]), letter["text"].as_str().unwrap());
        let read: Vec<String> = serde_json::from_str(&read).unwrap();
        assert_eq!(read[0], message().summary);
        assert_eq!((read[1].as_str(), read[2].as_str()), ("Olog <olog@example.com>", "auto-generated"));
        assert_eq!(read[3].replace("\r\n", "\n").trim_end(), message().text);
        assert!(read[4].contains(&message().html), "{}", read[4]);
    }
}

fn pipe(command: &mut Command, input: &str) -> String {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_certificate_are_told_as_such() {
    let Some(python) = python() else { return };
    let login = json!({ "tls": "starttls", "user": "olog", "password": "another" });
    let server = Server::start(&python, login);
    let said = answers(&server.channel("smtp", &format!("{LOGIN}{}", server.ca()))).await;
    assert!(said.iter().all(|a| matches!(a, Answer::Refused { class: Refusal::Credential, .. })), "{said:?}");
    assert!(format!("{said:?}").contains("535") && !format!("{said:?}").contains("horse"), "{said:?}");
    let implicit = Server::start(&python, json!({ "tls": "implicit" }));
    // By the certificate of another server.
    let said = answers(&implicit.channel("smtps", &server.ca())).await;
    assert!(said.iter().all(|answer| matches!(answer, Answer::Later { .. })), "{said:?}");
    assert!(format!("{said:?}").contains("ca_file"), "{said:?}");
}

#[tokio::test]
async fn a_refused_receiver_stands_beside_a_good_one() {
    let Some(python) = python() else { return };
    let server = Server::start(&python, json!({ "refused": ["me@example.com"] }));
    let said = answers(&server.channel("smtp", "")).await;
    assert!(matches!(said[0], Answer::Refused { class: Refusal::Receiver, .. }), "{said:?}");
    assert!(matches!(said[1], Answer::Accepted { .. }), "{said:?}");
    assert_eq!(server.letter()["to"], json!(["you@example.com"]));
    let server = Server::start(&python, json!({ "busy": ["you@example.com"], "size": 100 }));
    let said = answers(&server.channel("smtp", "")).await;
    assert!(matches!(said[0], Answer::Refused { class: Refusal::Format, .. }), "{said:?}");
    assert!(matches!(said[1], Answer::Later { .. }), "{said:?}");
}

#[tokio::test]
async fn a_slow_greeting_is_waited_for_and_a_connection_lost_after_the_letter_is_tried_again() {
    let Some(python) = python() else { return };
    let slow = Server::start(&python, json!({ "greets_after": 2 }));
    let said = answers(&slow.channel("smtp", "")).await;
    assert!(all_accepted(&said), "{said:?}");
    let asleep = Server::start(&python, json!({ "greets_after": 3600 }));
    let said = answers(&asleep.channel("smtp", "")).await;
    assert!(format!("{said:?}").contains("greeting"), "{said:?}");
    let dropping = Server::start(&python, json!({ "drops": true }));
    let said = answers(&dropping.channel("smtp", "")).await;
    assert!(said.iter().all(|answer| matches!(answer, Answer::Later { .. })), "{said:?}");
    dropping.letter();
}

/// A service that Apprise calls: what it was sent, and what it answers.
async fn service(status: u16) -> (String, tokio::task::JoinHandle<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("json://127.0.0.1:{}/hook", listener.local_addr().unwrap().port());
    #[expect(clippy::disallowed_methods, reason = "a stand-in that lives as long as its test")]
    let got = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut text = String::new();
        loop {
            let mut bytes = [0; 4096];
            let n = stream.read(&mut bytes).await.unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes[..n]));
            let body = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
            if let Some(body) = body {
                let reply = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(reply.as_bytes()).await.unwrap();
                return body;
            }
        }
    });
    (url, got)
}

#[tokio::test]
async fn apprise_carries_a_notification_on_and_says_when_it_could_not() {
    let Some(python) = python() else { return };
    let apprise = python.with_file_name("apprise");
    for (status, is_taken) in [(200, true), (500, false)] {
        let (url, got) = service(status).await;
        let command = format!("command = ['{}', '-t', '{{title}}', '-i', 'markdown', '{url}']", apprise.display());
        let channel = channel(&format!("type = 'exec'\n{command}\nstdin = 'markdown'"));
        let said = answers(&channel).await;
        match said.as_slice() {
            [Answer::Accepted { .. }] => assert!(is_taken, "{said:?}"),
            [Answer::Refused { class: Refusal::Other, .. }] => assert!(!is_taken, "{said:?}"),
            _ => panic!("{said:?}"),
        }
        let got = tokio::time::timeout(LIMIT, got).await.expect("Apprise called").unwrap();
        assert_eq!(got["title"], message().title);
        assert_eq!(got["message"].as_str().unwrap().trim_end(), message().markdown);
    }
}

//! Settings, messages, and sessions with a scripted server.

use olog_daemon::config::{Invalid, read_text};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::Refusal;

/// 2026-11-22 03:11:04 in Shanghai.
const NIGHT: Timestamp = Timestamp(1_795_288_264_000);

fn mail(text: &str) -> Result<Mail, Invalid> {
    let taken = read_text("hub.toml", text, Mail::parse);
    taken.map(Option::unwrap)
}

#[track_caller]
fn finds(text: &str, expected: &str) {
    let found = mail(text).unwrap_err().to_string();
    assert!(found.contains(expected), "{found}");
}

fn message() -> Message {
    Message {
        title: "异常 comsrv/mysql".into(),
        summary: "异常 comsrv/mysql — Can't connect".into(),
        html: "<p>mysql 刚刚出错。</p>".into(),
        markdown: String::new(),
        text: "mysql 刚刚出错。\n.\n..".into(),
        about: Vec::new(),
        link: None,
    }
}

fn letter(message: &Message) -> String {
    let mail = mail("smtp = 'smtp://127.0.0.1:25'\nfrom = 'Olog <olog@example.com>'\nto = 'me@example.com'").unwrap();
    let to: Vec<&Address> = mail.to.iter().collect();
    String::from_utf8(letter::write(&mail.from, &to, message, NIGHT).unwrap()).unwrap()
}

#[test]
fn a_mail_channel_is_read_with_its_defaults_and_shows_no_password() {
    let typed = "smtp = 'smtps://Mail.Example.com'\nuser = 'olog@example.com'\npassword = 'correct horse battery'\n\
                 to = ['me@example.com', 'You <you@example.com>', 'me@example.com']";
    let (mail, effective) =
        read_text("hub.toml", typed, |table| (Mail::parse(table).unwrap(), table.effective_lines())).unwrap();
    assert_eq!(
        effective.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(),
        [
            "smtp = \"smtps://mail.example.com:465\"",
            "from = \"olog@example.com\"",
            "to = [\"me@example.com\", \"You <you@example.com>\", \"me@example.com\"]",
            "user = \"olog@example.com\"",
            "password = \"corr…\"",
        ]
    );
    assert!(!format!("{mail:?}").contains("horse"));
    assert_eq!(mail.receivers().len(), 2);
}

#[test]
fn what_is_encrypted_follows_from_the_address() {
    let safety = |smtp: &str| {
        let rest = "from = 'a@example.com'\nto = 'b@example.com'";
        let mail = mail(&format!("smtp = '{smtp}'\n{rest}")).unwrap();
        (mail.server.safety, mail.server.port)
    };
    assert_eq!(safety("smtps://mail.example.com"), (Safety::Tls, 465));
    assert_eq!(safety("smtp://mail.example.com"), (Safety::StartTls, 587));
    assert_eq!(safety("smtp+clear://nas.lan"), (Safety::Clear, 25));
    assert_eq!(safety("smtp://localhost:25"), (Safety::Clear, 25));
    assert_eq!(safety("smtp://[::1]:25"), (Safety::Clear, 25));
    assert_eq!(safety("smtps://127.0.0.1"), (Safety::Tls, 465));
}

#[test]
fn every_mistake_says_what_was_expected() {
    let good = "from = 'a@example.com'\nto = 'b@example.com'\n";
    finds(good, "smtp: is missing");
    for wrong in ["mail.example.com", "mail.example.com:25", "https://x", "smtp://", "smtp://u:p@x", "smtp://x/y", ""] {
        finds(&format!("smtp = '{wrong}'\n{good}"), "smtps://HOST:465");
    }
    let server = "smtp = 'smtp://mail.example.com'\n";
    finds(&format!("{server}to = 'b@example.com'"), "from: is missing");
    finds(&format!("{server}from = 'a@example.com'"), "to: is missing");
    finds(&format!("{server}from = 'a@example.com'\nto = []"), "at least one address");
    for wrong in [
        "b",
        "b@",
        "@example.com",
        "b@example.com, c@example.com",
        "b@example.com\\r\\nRCPT TO:<x@y.z>",
        "李@example.com",
    ] {
        finds(&format!("{server}from = 'a@example.com'\nto = \"{wrong}\""), "expected an address");
    }
    finds(&format!("{server}{good}user = 'a'"), "has no password");
    finds(&format!("{server}{good}password = 'a'"), "needs its user");
    finds(&format!("{server}{good}ca = 'no'"), "certificates in PEM");
    let login = "user = 'a'\npassword = 'b'";
    finds(&format!("smtp = 'smtp+clear://nas.lan'\n{good}{login}"), "does not go in clear");
}

#[test]
fn a_letter_is_plain_ascii_and_says_that_nobody_wrote_it() {
    let letter = letter(&message());
    assert!(letter.is_ascii(), "{letter}");
    for line in [
        "From: Olog <olog@example.com>\r\n",
        "To: me@example.com\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "Date: Sat, 21 Nov 2026 19:11:04 +0000\r\n",
        "MIME-Version: 1.0\r\n",
        "multipart/alternative",
        "text/plain; charset=utf-8",
        "text/html; charset=utf-8",
    ] {
        assert!(letter.contains(line), "{line}: {letter}");
    }
    assert!(letter.lines().all(|line| line.len() <= 998));
    assert!(letter.contains("Message-ID: <") && letter.contains("@example.com>"));
}

#[test]
fn what_a_log_says_adds_no_header() {
    let names = |letter: &str| {
        let head = letter.split("\r\n\r\n").next().unwrap().to_owned();
        assert!(head.bytes().all(|b| matches!(b, b' '..=b'~' | b'\r' | b'\n' | b'\t')), "{head}");
        let fields = head.lines().filter(|line| !line.starts_with([' ', '\t']));
        fields.map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let calm = names(&letter(&message()));
    let corpus: Vec<String> = serde_json::from_str(include_str!("../../../olog-proto/src/clean/hostile.json")).unwrap();
    for hostile in corpus.into_iter().chain(["ERR a\r\nBcc: x@example.com\r\n\r\nbody\u{0}\u{85}".to_owned()]) {
        let text = hostile.clone();
        assert_eq!(names(&letter(&Message { summary: hostile, text, ..message() })), calm);
    }
}

#[test]
fn a_message_without_html_is_a_plain_letter() {
    let letter = letter(&message().plain(&LIMITS, 5));
    assert!(!letter.contains("multipart") && letter.contains("text/plain"), "{letter}");
}

/// A server that answers each line it is sent with the next of `says` (the first is the greeting) and then hangs up; what
/// stands in DATA is one line.
async fn server(says: &'static [&'static str]) -> (Mail, JoinSet<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut heard = Vec::new();
        let mut stream = BufReader::new(listener.accept().await.unwrap().0);
        let mut is_data = false;
        for line in says {
            stream.write_all(line.replace('\n', "\r\n").as_bytes()).await.unwrap();
            if line.is_empty() {
                break;
            }
            stream.write_all(b"\r\n").await.unwrap();
            is_data |= line.starts_with("354");
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap() == 0 {
                    return heard;
                }
                let is_end = !is_data || line == ".\r\n";
                heard.push(line.trim_end().to_owned());
                if is_end {
                    is_data = false;
                    break;
                }
            }
        }
        heard
    });
    let typed = format!(
        "smtp = 'smtp://127.0.0.1:{port}'\nfrom = 'olog@example.com'\nto = ['a@example.com', 'b@example.com']\n\
         user = 'olog'\npassword = 'correct horse battery'"
    );
    (mail(&typed).unwrap(), tasks)
}

async fn answers(says: &'static [&'static str]) -> Vec<Answer> {
    let (mail, _tasks) = server(says).await;
    mail.send(&message(), &mail.receivers(), NIGHT).await.into_iter().map(|(_, answer)| answer).collect()
}

#[track_caller]
fn check(answers: &[Answer], expected: [&str; 2]) {
    let said: Vec<&str> = answers
        .iter()
        .map(|answer| match answer {
            Answer::Accepted { .. } => "accepted",
            Answer::Later { .. } => "later",
            Answer::Refused { class: Refusal::Credential, .. } => "credential",
            Answer::Refused { class: Refusal::Receiver, .. } => "receiver",
            Answer::Refused { class: Refusal::Format, .. } => "format",
            Answer::Refused { class: Refusal::Other, .. } => "other",
        })
        .collect();
    assert_eq!(said, expected, "{answers:?}");
}

const HELLO: &str = "250-mail.example.com\n250 AUTH PLAIN LOGIN";

#[tokio::test]
async fn each_receiver_has_its_own_answer() {
    let says = &[
        "220 hi",
        HELLO,
        "235 ok",
        "250 ok",
        "250 ok",
        "550 5.1.1 no such user",
        "354 go",
        "250 2.0.0 queued as 17",
        "221 bye",
    ];
    let answers = answers(says).await;
    check(&answers, ["accepted", "receiver"]);
    assert!(format!("{answers:?}").contains("250 2.0.0 queued as 17"), "{answers:?}");
    assert!(format!("{answers:?}").contains("550 5.1.1 no such user"), "{answers:?}");
    let busy = &["220 hi", HELLO, "235 ok", "250 ok", "450 4.2.0 greylisted", "552 too many", "221 bye"];
    check(&self::answers(busy).await, ["later", "later"]);
}

#[tokio::test]
async fn a_reply_about_nobody_in_particular_is_everybodys() {
    for (says, expected) in [
        (&["554 no"][..], "later"),
        (&["421 busy"], "later"),
        (&["220 hi", "502 what"], "later"),
        (&["220 hi", HELLO, "535 5.7.8 wrong password"], "credential"),
        (&["220 hi", HELLO, "454 4.7.0 try again"], "later"),
        (&["220 hi", "250 mail.example.com"], "credential"),
        (&["220 hi", HELLO, "235 ok", "550 not your address"], "credential"),
        (&["220 hi", HELLO, "235 ok", "530 5.7.0 authentication required"], "credential"),
        (&["220 hi", HELLO, "235 ok", "451 later"], "later"),
        (&["220 hi", HELLO, "235 ok", "552 5.3.4 too big"], "format"),
        (&["220 hi", HELLO, "235 ok", "250 ok", "250 ok", "250 ok", "554 no"], "other"),
        (&["220 hi", HELLO, "235 ok", "250 ok", "250 ok", "250 ok", "354 go", "552 5.3.4 too big"], "format"),
        (&["220 hi", HELLO, "235 ok", "250 ok", "250 ok", "250 ok", "354 go", "554 5.7.1 spam"], "other"),
        (&["220 hi", HELLO, "235 ok", "250 ok", "250 ok", "250 ok", "354 go", "451 4.3.0 full"], "later"),
        (&["220 hi", HELLO, "235 ok", "250 ok", "250 ok", "250 ok", "354 go", ""], "later"),
        (&["220 hi", HELLO, ""], "later"),
        (&["HTTP/1.1 200 OK"], "later"),
        (&[""], "later"),
    ] {
        let answers = answers(says).await;
        check(&answers, [expected, expected]);
    }
}

#[tokio::test]
async fn a_server_that_repeats_the_password_does_not_spread_it() {
    let answers = answers(&["220 hi", HELLO, "535 correct horse battery is wrong"]).await;
    assert!(format!("{answers:?}").contains("corr… is wrong"), "{answers:?}");
}

#[tokio::test]
async fn nothing_is_sent_in_clear_where_starttls_is_required() {
    // A server that offers none, and one behind which somebody speaks on in clear.
    for (says, expected) in [
        (&["220 hi", "250 mail.example.com"][..], "offers no STARTTLS"),
        (&["220 hi", "250 STARTTLS", "220 go\n250 AUTH PLAIN"], "spoke on in clear"),
        (&["220 hi", "250 STARTTLS", "454 not now"], "454 not now"),
        (&["220 hi", "250 STARTTLS", "220 go"], "TLS handshake"),
    ] {
        let (mut mail, mut tasks) = server(says).await;
        mail.server.safety = Safety::StartTls;
        let answers = mail.send(&message(), &mail.receivers(), NIGHT).await;
        let answers: Vec<Answer> = answers.into_iter().map(|(_, answer)| answer).collect();
        check(&answers, ["later", "later"]);
        assert!(format!("{answers:?}").contains(expected), "{answers:?}");
        if expected != "TLS handshake" {
            let heard = tasks.join_next().await.unwrap().unwrap().join(" ");
            assert!(!heard.contains("AUTH") && !heard.contains("MAIL"), "{heard}");
        }
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_has_ten_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let typed = format!("smtp = 'smtp://127.0.0.1:{port}'\nfrom = 'olog@example.com'\nto = 'a@example.com'");
    let mail = mail(&typed).unwrap();
    let answers = mail.send(&message(), &mail.receivers(), NIGHT).await;
    assert!(format!("{answers:?}").contains("within 10 s, the last step was the server's greeting"), "{answers:?}");
}

#[tokio::test]
async fn a_server_that_never_ends_a_line_is_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut stream = listener.accept().await.unwrap().0;
        while stream.write_all(&[b'2'; 4096]).await.is_ok() {}
    });
    let typed = format!("smtp = 'smtp://127.0.0.1:{port}'\nfrom = 'olog@example.com'\nto = 'a@example.com'");
    let mail = mail(&typed).unwrap();
    let answers = mail.send(&message(), &mail.receivers(), NIGHT).await;
    assert!(format!("{answers:?}").contains("said more than"), "{answers:?}");
}

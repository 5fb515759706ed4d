//! Every described type against a stand-in on a real port: it takes what the documented service takes, looks at paths, headers,
//! shapes, sizes and signatures, and answers as that answers. The facts are those of the files in `channels/`.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::channel;
use crate::{About, Acknowledge, Answer, Channel, Kind, Limits, Message, MessageLink, Refusal, Unit};

/// What a stand-in got.
#[derive(Debug, Clone)]
struct Request {
    head: String,
    body: String,
}

impl Request {
    fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    }

    fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    fn query(&self, key: &str) -> Option<String> {
        let url = url::Url::parse(&format!("http://h{}", self.path())).unwrap();
        url.query_pairs().find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
    }
}

/// How one call is answered.
#[derive(Debug, Clone, Copy)]
enum Says {
    /// Status, headers, body.
    This(u16, &'static str, &'static str),
    Reset,
    Half,
}

struct StandIn {
    url: String,
    got: Arc<Mutex<Vec<Request>>>,
    says: Arc<Mutex<Says>>,
    _connections: JoinSet<()>,
}

impl StandIn {
    async fn start() -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (got, says) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Says::Reset)));
        let mut connections = JoinSet::new();
        let (kept, answer) = (got.clone(), says.clone());
        connections.spawn(async move {
            let mut each = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                each.spawn(serve(stream, kept.clone(), answer.clone()));
            }
        });
        StandIn { url, got, says, _connections: connections }
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn last(&self) -> Request {
        self.got.lock().unwrap().last().unwrap().clone()
    }

    fn channel(&self, of: &str) -> Channel {
        let (_, keys) = KEYS.iter().find(|(name, _)| *name == of).unwrap();
        channel(&format!("type = '{of}'\n{}", keys.replace("URL", &self.url))).unwrap()
    }
}

async fn serve(mut stream: TcpStream, got: Arc<Mutex<Vec<Request>>>, says: Arc<Mutex<Says>>) {
    let mut bytes = Vec::new();
    loop {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
            continue;
        };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let request = Request { head, body: String::new() };
        let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        while bytes.len() < end + 4 + length {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body = String::from_utf8(bytes[end + 4..end + 4 + length].to_vec()).unwrap();
        bytes.drain(..end + 4 + length);
        got.lock().unwrap().push(Request { body, ..request });
        let says = *says.lock().unwrap();
        let answer = match says {
            Says::This(status, headers, body) => {
                format!("HTTP/1.1 {status} -\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
            }
            Says::Half => "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"errcode\":0,\"ok\":true".to_owned(),
            Says::Reset => String::new(),
        };
        if stream.write_all(answer.as_bytes()).await.is_err() || !matches!(says, Says::This(..)) {
            stream.set_zero_linger().unwrap_or_default();
            return;
        }
    }
}

const KEYS: [(&str, &str); 12] = [
    ("bark", "device_key = ['DEVICEKEY0001', 'DEVICEKEY0002']\napi_url = 'URL'"),
    ("dingtalk", "token = 'TOKEN'\nsecret = 'SECabc'\napi_url = 'URL'"),
    ("discord", "url = 'URL/api/webhooks/1/TOKEN'"),
    ("feishu", "hook = 'HOOK'\nsecret = 'SIGN'\napi_url = 'URL'"),
    ("gotify", "token = 'TOKEN'\napi_url = 'URL'"),
    ("ntfy", "topic = 'topic'\ntoken = 'tk_x'\napi_url = 'URL'"),
    ("pushplus", "token = 'TOKEN'\napi_url = 'URL'"),
    ("serverchan", "sendkey = 'SCTxyz'\napi_url = 'URL'"),
    ("slack", "url = 'URL/services/T/B/X'"),
    ("telegram", "token = '123:ABC'\nchat_id = [-100, 'me']\napi_url = 'URL'"),
    ("webhook", "url = 'URL/in?x=1'\nheaders = { Authorization = 'Bearer abc' }"),
    ("wecom", "key = 'KEY+&'\napi_url = 'URL'"),
];

/// Every answer that a service is known to give, and what it has to be taken for.
#[rustfmt::skip]
const ANSWERS: &[(&str, u16, &str, &str, &str)] = &[
    ("bark", 200, "", r#"{"code":200,"message":"success","timestamp":1}"#, "accepted"),
    ("bark", 400, "", r#"{"code":400,"message":"failed to get device token: key not found"}"#, "receiver"),
    ("bark", 500, "", r#"{"code":500,"message":"push failed: PayloadTooLarge"}"#, "format"),
    ("bark", 500, "", r#"{"code":500,"message":"push failed"}"#, "later"),
    ("dingtalk", 200, "", r#"{"errcode":0,"errmsg":"ok"}"#, "accepted"),
    ("dingtalk", 200, "", r#"{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}"#, "later 600"),
    ("dingtalk", 200, "", r#"{"errcode":90030,"errmsg":"webhook over limit"}"#, "later 21600"),
    ("dingtalk", 200, "", r#"{"errcode":460101,"errmsg":"message too long, exceed 20000 bytes"}"#, "format"),
    ("dingtalk", 200, "", r#"{"errcode":101002,"errmsg":"too long"}"#, "format"),
    ("dingtalk", 200, "", r#"{"errcode":310000,"errmsg":"sign not match"}"#, "credential"),
    ("dingtalk", 200, "", r#"{"errcode":77777,"errmsg":"?"}"#, "other"),
    ("discord", 200, "", r#"{"id":"112233","content":"x"}"#, "accepted"),
    ("discord", 429, "", r#"{"message":"You are being rate limited.","retry_after":1.5,"global":false}"#, "later 1.5"),
    ("discord", 404, "", r#"{"message":"Unknown Webhook","code":10015}"#, "credential"),
    ("discord", 400, "", r#"{"content":["Must be 2000 or fewer in length."]}"#, "format"),
    ("feishu", 200, "", r#"{"StatusCode":0,"code":0,"msg":"success","data":{}}"#, "accepted"),
    ("feishu", 400, "", r#"{"code":9499,"msg":"too many request"}"#, "later 60"),
    ("feishu", 400, "", r#"{"code":9499,"msg":"Bad Request"}"#, "format"),
    ("feishu", 200, "", r#"{"code":11232,"msg":"frequency limited"}"#, "later 60"),
    ("feishu", 200, "", r#"{"code":19021,"msg":"sign match fail or timestamp is not within one hour"}"#, "credential"),
    ("feishu", 200, "", r#"{"code":19022,"msg":"ip not allowed"}"#, "credential"),
    ("feishu", 200, "", r#"{"code":19024,"msg":"key words not found"}"#, "credential"),
    ("feishu", 200, "", r#"{"code":19036,"msg":"too large"}"#, "format"),
    ("gotify", 200, "", r#"{"id":25,"appid":5,"message":"x"}"#, "accepted"),
    ("gotify", 400, "", r#"{"error":"Bad Request","errorCode":400,"errorDescription":"no"}"#, "other"),
    ("gotify", 401, "", r#"{"error":"Unauthorized","errorCode":401,"errorDescription":"you need to provide a valid access token"}"#, "credential"),
    ("gotify", 403, "", r#"{"error":"Forbidden","errorCode":403,"errorDescription":"no"}"#, "credential"),
    ("ntfy", 200, "", r#"{"id":"x","time":1,"event":"message","topic":"topic"}"#, "accepted"),
    ("ntfy", 429, "", r#"{"code":42901,"http":429,"error":"limit reached: too many requests"}"#, "later"),
    ("ntfy", 429, "", r#"{"code":42908,"http":429,"error":"limit reached: daily message quota reached"}"#, "later until"),
    ("ntfy", 413, "", r#"{"code":41303,"http":413,"error":"JSON body too large"}"#, "format"),
    ("ntfy", 403, "", r#"{"code":40301,"http":403,"error":"forbidden"}"#, "credential"),
    ("ntfy", 400, "", r#"{"code":40009,"http":400,"error":"invalid request: topic invalid"}"#, "other"),
    ("pushplus", 200, "", r#"{"code":200,"msg":"ok","data":"0f1e"}"#, "accepted"),
    ("pushplus", 200, "", r#"{"code":900,"msg":"too many requests today"}"#, "later until"),
    ("pushplus", 200, "", r#"{"code":903,"msg":"no such token"}"#, "credential"),
    ("pushplus", 200, "", r#"{"code":905,"msg":"no real name"}"#, "credential"),
    ("pushplus", 200, "", r#"{"code":888,"msg":"no credit"}"#, "later 21600"),
    ("pushplus", 200, "", r#"{"code":999,"msg":"server check"}"#, "later"),
    ("serverchan", 200, "", r#"{"code":0,"message":"","data":{"pushid":"1","readkey":"k"}}"#, "accepted"),
    ("serverchan", 400, "", r#"{"code":40001,"message":"bad pushtoken"}"#, "credential"),
    ("serverchan", 400, "", r#"{"code":20001,"message":"quota exceeded"}"#, "later until"),
    ("serverchan", 400, "", r#"{"code":20001,"message":"title too long"}"#, "format"),
    ("slack", 200, "", "ok", "accepted"),
    ("slack", 200, "", "<html>ok</html>", "later"),
    ("slack", 429, "Retry-After: 30\r\n", "rate_limited", "later 30"),
    ("slack", 400, "", "invalid_payload", "format"),
    ("slack", 403, "", "invalid_token", "credential"),
    ("slack", 404, "", "no_service", "credential"),
    ("slack", 410, "", "channel_is_archived", "credential"),
    ("telegram", 200, "", r#"{"ok":true,"result":{"message_id":7}}"#, "accepted"),
    ("telegram", 200, "", r#"{"ok":false,"error_code":400,"description":"Bad Request: ?"}"#, "other"),
    ("telegram", 429, "", r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 14","parameters":{"retry_after":14}}"#, "later 14"),
    ("telegram", 401, "", r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#, "credential"),
    ("telegram", 400, "", r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#, "receiver"),
    ("telegram", 403, "", r#"{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}"#, "receiver"),
    ("telegram", 400, "", r#"{"ok":false,"error_code":400,"description":"Bad Request: message is too long"}"#, "format"),
    ("webhook", 204, "", "", "accepted"),
    ("webhook", 400, "", "what?", "format"),
    ("webhook", 410, "", "", "credential"),
    ("webhook", 503, "Retry-After: 9\r\n", "", "later 9"),
    ("wecom", 200, "", r#"{"errcode":0,"errmsg":"ok"}"#, "accepted"),
    ("wecom", 200, "", r#"{"errcode":45009,"errmsg":"api freq out of limit"}"#, "later 60"),
    ("wecom", 200, "", r#"{"errcode":40058,"errmsg":"content exceed max length 2048"}"#, "format"),
    ("wecom", 200, "", r#"{"errcode":93000,"errmsg":"invalid webhook url"}"#, "credential"),
    ("wecom", 200, "", "<html>log in to the hotel's network</html>", "later"),
    ("wecom", 302, "Location: http://127.0.0.1:1/\r\n", "", "later"),
    ("wecom", 502, "", "bad gateway", "later"),
];

fn class(answer: &Answer) -> String {
    match answer {
        Answer::Accepted { .. } => "accepted".into(),
        // Where a day ends is no matter of this table.
        Answer::Later { after: Some(after), .. } if after.as_millis() % 1000 != 0 && after.as_secs() > 2 => {
            "later until".into()
        }
        Answer::Later { after: Some(after), .. } => format!("later {}", after.as_secs_f64()),
        Answer::Later { after: None, .. } => "later".into(),
        Answer::Refused { class: Refusal::Credential, .. } => "credential".into(),
        Answer::Refused { class: Refusal::Receiver, .. } => "receiver".into(),
        Answer::Refused { class: Refusal::Format, .. } => "format".into(),
        Answer::Refused { class: Refusal::Other, .. } => "other".into(),
    }
}

fn message(text: &str) -> Message {
    let about = About {
        kind: Kind::Err,
        device: Some("com\"srv".into()),
        task: Some("\"}{{x}}".into()),
        incident: Some(17),
        at: olog_proto::Timestamp(1_795_288_264_000),
    };
    Message {
        title: "ERR \"}{{x}}".into(),
        summary: "ERR <!channel> \"}{{x}} & @all".into(),
        html: format!("<p>{text}</p>"),
        markdown: text.to_owned(),
        text: text.to_owned(),
        about: vec![about],
        link: Some(MessageLink {
            label: "Details #17".to_owned(),
            url: "https://hub.example.com/incidents/17?key=1-2".to_owned(),
            acknowledge: Some(Acknowledge {
                label: "Acknowledge".to_owned(),
                url: "https://hub.example.com/incidents/17/ack".to_owned(),
                form: "key=1-2".to_owned(),
            }),
        }),
    }
}

async fn push(channel: &Channel, message: &Message) -> Answer {
    let receivers = channel.receivers();
    let answers = channel.send(message, &receivers).await;
    assert_eq!((answers.len(), &answers[0].0), (1, &receivers[0]));
    answers.into_iter().next().unwrap().1
}

#[tokio::test]
async fn each_answer_of_each_service_is_taken_for_what_it_means() {
    let stand_in = StandIn::start().await;
    for (of, status, headers, body, expected) in ANSWERS {
        stand_in.say(Says::This(*status, headers, body));
        let answer = push(&stand_in.channel(of), &message("gone")).await;
        let found = class(&answer);
        let is_until = *expected == "later until" && found.starts_with("later ");
        assert!(found == *expected || is_until, "{of} {status} {body}: {found}, expected {expected}: {answer:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_acceptance_of_any_service() {
    let stand_in = StandIn::start().await;
    for (of, _) in KEYS {
        for says in [Says::Reset, Says::Half] {
            stand_in.say(says);
            assert_eq!(class(&push(&stand_in.channel(of), &message("gone")).await), "later", "{of} {says:?}");
        }
    }
}

fn signed(key: &str, text: &str) -> String {
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

fn has_ntfys_buttons(body: &Json) {
    let page = "https://hub.example.com/incidents/17?key=1-2";
    let (look, post) = (&body["actions"][0], &body["actions"][1]);
    assert_eq!((&body["click"], &look["action"], &look["url"]), (&json!(page), &json!("view"), &json!(page)));
    let expected = json!({"method": "POST", "url": "https://hub.example.com/incidents/17/ack", "body": "key=1-2"});
    for key in ["method", "url", "body"] {
        assert_eq!(post[key], expected[key], "{post}");
    }
}

/// What the service would have looked at.
fn look(of: &str, request: &Request) {
    assert!(request.head.starts_with("POST "), "{}", request.head);
    let is_json = request.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    assert!(is_json, "{}", request.head);
    let body = request.json();
    let text = |path: &str| body.pointer(path).and_then(Json::as_str).unwrap_or_else(|| panic!("{of} {path}: {body}"));
    let bytes = |path: &str, max: usize| assert!(text(path).len() <= max, "{of} {path}: {}", text(path).len());
    let chars = |path: &str, max: usize| assert!(text(path).chars().count() <= max, "{of} {path}");
    let size = |max: usize| assert!(request.body.len() <= max, "{of}: {}", request.body.len());
    match of {
        "wecom" => {
            assert_eq!(request.query("key").as_deref(), Some("KEY+&"));
            assert_eq!(text("/msgtype"), "text");
            bytes("/text/content", 2048);
        }
        "dingtalk" => {
            let at = request.query("timestamp").unwrap();
            assert_eq!(request.query("sign").unwrap(), signed("SECabc", &format!("{at}\nSECabc")));
            assert_eq!((at.len(), request.query("access_token").as_deref()), (13, Some("TOKEN")));
            let place = if text("/msgtype") == "text" { "/text/content" } else { "/markdown/text" };
            bytes(place, 20_000);
            size(20_000);
        }
        "feishu" => {
            let at = text("/timestamp");
            assert_eq!(text("/sign"), signed(&format!("{at}\nSIGN"), ""));
            assert_eq!((at.len(), request.path(), text("/msg_type")), (10, "/open-apis/bot/v2/hook/HOOK", "text"));
            size(20_480);
        }
        "serverchan" => {
            assert_eq!(request.path(), "/SCTxyz.send");
            bytes("/title", 96);
            bytes("/desp", 32_768);
        }
        "pushplus" => {
            assert_eq!((request.path(), text("/token")), ("/send", "TOKEN"));
            assert!(["html", "txt"].contains(&text("/template")));
            chars("/title", 100);
        }
        "bark" => {
            assert_eq!(
                (request.path(), text("/device_key"), text("/level")),
                ("/push", "DEVICEKEY0001", "timeSensitive")
            );
            size(4096);
        }
        "telegram" => {
            assert_eq!((request.path(), text("/chat_id")), ("/bot123:ABC/sendMessage", "-100"));
            assert_eq!((body.get("parse_mode"), &body["disable_notification"]), (None, &json!(false)));
            chars("/text", 4096);
        }
        "ntfy" => {
            assert_eq!((request.path(), text("/topic"), &body["priority"]), ("/", "topic", &json!(4)));
            assert_eq!(request.header("authorization").as_deref(), Some("Bearer tk_x"));
            bytes("/message", 4096);
            has_ntfys_buttons(&body);
        }
        "gotify" => {
            assert_eq!((request.path(), &body["priority"]), ("/message", &json!(8)));
            assert_eq!(request.header("x-gotify-key").as_deref(), Some("TOKEN"));
            assert!(text("/extras/client::display/contentType").starts_with("text/"));
        }
        "slack" => {
            assert_eq!((request.path(), &body["mrkdwn"]), ("/services/T/B/X", &json!(false)));
            assert!(!text("/text").contains('<') && text("/text").contains("&lt;!channel&gt;"));
            chars("/text", 40_000);
        }
        "discord" => {
            assert_eq!(request.path(), "/api/webhooks/1/TOKEN?wait=true");
            assert_eq!(body["allowed_mentions"], json!({"parse": []}));
            chars("/content", 2000);
        }
        "webhook" => {
            assert_eq!((request.path(), text("/title")), ("/in?x=1", "ERR \"}{{x}}"));
            assert_eq!(request.header("authorization").as_deref(), Some("Bearer abc"));
            let about = json!([{"kind": "err", "device": "com\"srv", "task": "\"}{{x}}", "incident": 17, "at": "2026-11-21T19:11:04.000Z"}]);
            assert_eq!((text("/kind"), &body["about"]), ("err", &about));
        }
        other => panic!("nobody looks at {other}"),
    }
}

#[tokio::test]
async fn what_each_service_gets_has_its_shape_whatever_the_message_holds() {
    let stand_in = StandIn::start().await;
    for (of, _) in KEYS {
        let (_, status, headers, body, _) = ANSWERS.iter().find(|(name, ..)| *name == of).unwrap();
        stand_in.say(Says::This(*status, headers, body));
        let channel = stand_in.channel(of);
        let Limits { unit, body, .. } = channel.limits();
        for filler in ["x", "备", "\n", "\"", "\\", "<", "\u{1}"] {
            let text = unit.cut(&filler.repeat(body), body);
            assert!(unit.size(&text) <= body);
            let mut message = message(&text);
            message.summary = Unit::Characters.cut(&format!("{}{}", message.summary, "备".repeat(90)), 100);
            let plain = message.clone().plain(&channel.limits(), 1000);
            for message in [message, plain] {
                let answer = push(&channel, &message).await;
                assert_eq!(class(&answer), "accepted", "{of}: {answer:?}");
                look(of, &stand_in.last());
            }
        }
    }
}

#[tokio::test]
async fn several_receivers_of_a_described_type_get_a_call_each() {
    let stand_in = StandIn::start().await;
    for (of, status, headers, body, _) in
        ANSWERS.iter().filter(|(of, .., class)| ["bark", "telegram"].contains(of) && *class == "accepted")
    {
        stand_in.say(Says::This(*status, headers, body));
        let channel = stand_in.channel(of);
        let receivers = channel.receivers();
        assert_eq!(receivers.len(), 2);
        let answers = channel.send(&message("gone"), &receivers[1..]).await;
        assert_eq!((answers.len(), &answers[0].0), (1, &receivers[1]));
        let body = stand_in.last().json();
        assert!(body["chat_id"] == "me" || body["device_key"] == "DEVICEKEY0002", "{body}");
    }
}

#[tokio::test]
async fn serverchan_three_is_known_by_its_key() {
    let at = |keys: &str| {
        let take = |table: &mut olog_daemon::config::Table| {
            super::TemplateChannel::parse(crate::ChannelCatalog::built_in().get("serverchan").unwrap().unwrap(), table)
        };
        let it = olog_daemon::config::read_text("hub.toml", keys, take).unwrap().unwrap();
        let receivers = it.receivers();
        it.call(&message("gone"), &receivers[0], olog_proto::Timestamp(0)).unwrap().url
    };
    assert_eq!(at("sendkey = 'sctp123tABC'"), "https://123.push.ft07.com/send/sctp123tABC.send");
    assert_eq!(at("sendkey = 'SCT1TABC'"), "https://sctapi.ftqq.com/SCT1TABC.send");
    assert_eq!(at("sendkey = 'sctp123tABC'\napi_url = 'http://h:1'"), "http://h:1/send/sctp123tABC.send");
}

#[tokio::test]
async fn the_example_in_the_docs_is_read_from_its_folder_and_sends() {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/book/en/src/channels.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let example = docs.split("```toml,type\n").find(|block| block.starts_with("# channels.d/pager.toml")).unwrap();
    let example = example.split("```").next().unwrap();
    let stand_in = StandIn::start().await;
    let folder = tempfile::tempdir().unwrap();
    let hub = folder.path().join("hub.toml");
    let keys = format!("account = 'a b'\ntoken = 'TOKEN'\nnumber = [112, '110']\napi_url = '{}'", stand_in.url);
    std::fs::write(&hub, format!("name = 'me'\ntype = 'pager'\n{keys}")).unwrap();
    std::fs::create_dir(folder.path().join("channels.d")).unwrap();
    let file = folder.path().join("channels.d/pager.toml");
    let source = olog_daemon::config::ConfigFiles::new("hub", Some(hub));
    let before = source.stamp();
    let read = || {
        olog_daemon::config::read(&source, |root| {
            let known = crate::ChannelCatalog::read(root);
            Channel::parse(root, &known)
        })
    };
    assert!(read().unwrap_err().to_string().contains("expected \"bark\" or"));
    std::fs::write(&file, example).unwrap();
    assert_ne!(source.stamp(), before, "a new type is a change of the configuration");
    let channel = read().unwrap().unwrap();
    stand_in.say(Says::This(200, "", r#"{"result":{"code":0,"message":"queued"}}"#));
    assert_eq!(push(&channel, &message("gone")).await, Answer::Accepted { words: "0 queued".into() });
    let request = stand_in.last();
    assert_eq!(request.path(), "/v1/a%20b/send");
    let signed_at = format!("{}112", request.header("x-time").unwrap());
    assert_eq!(request.header("x-sign").unwrap(), signed("TOKEN", &signed_at));
    let body = request.json();
    assert_eq!((&body["to"], &body["urgent"], body.get("group")), (&json!("112"), &json!(true), None));
    stand_in.say(Says::This(200, "", r#"{"result":{"code":7,"message":"slow down","wait":3}}"#));
    assert_eq!(class(&push(&channel, &message("gone")).await), "later 3");

    std::fs::write(&file, example.replace("{{ number }}", "{{ numbr }}")).unwrap();
    let found = read().unwrap_err().to_string();
    assert!(found.contains("channels.d/pager.toml:") && found.contains("\"numbr\" is not known here"), "{found}");
    std::fs::write(&file, "api_url = ").unwrap();
    assert!(read().unwrap_err().to_string().contains("channels.d/pager.toml:1:"));
    std::fs::rename(&file, folder.path().join("channels.d/exec.toml")).unwrap();
    assert!(read().unwrap_err().to_string().contains("no type that is built in as code"));
}

mod services;

use olog_daemon::config::{Invalid, read_text};

use super::*;
use crate::{About, Channel, ChannelCatalog, Kind};

pub(super) fn channel(text: &str) -> Result<Channel, Invalid> {
    let text = format!("name = 'me'\n{text}");
    read_text("hub.toml", &text, |table| Channel::parse(table, &ChannelCatalog::built_in())).map(Option::unwrap)
}

#[track_caller]
fn finds(text: &str, expected: &str) {
    let found = channel(text).unwrap_err().to_string();
    assert!(found.contains(expected), "{found}");
}

/// A whole file of a type, with one thing changed.
fn described(of: &str, to: &str) -> Result<ChannelTypeDef, Invalid> {
    let text = include_str!("../../channels/wecom.toml");
    assert!(text.contains(of), "{of}");
    let text = text.replacen(of, to, 1);
    read_text("channels.d/mine.toml", &text, |table| ChannelTypeDef::parse("mine", table, call::try_out))
        .map(Option::unwrap)
}

#[test]
fn every_type_that_is_built_in_is_whole() {
    let types = ChannelCatalog::built_in();
    for name in types.names() {
        assert!(types.get(name).unwrap().is_some(), "{name}");
        let path = format!("{}/channels/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let read = read_text(name, &text, |table| ChannelTypeDef::parse(name, table, call::try_out).is_some());
        assert_eq!(read.map_err(|invalid| invalid.to_string()), Ok(true), "{name}");
    }
    assert_eq!(types.names().len(), 12);
}

#[test]
fn a_mistake_in_a_file_is_found_when_it_is_read_with_its_line() {
    let finds = |of: &str, to: &str, expected: &str| {
        let found = described(of, to).unwrap_err().to_string();
        assert!(found.contains(expected) && found.starts_with("channels.d/mine.toml:"), "{found}");
    };
    finds("{{ key }}", "{{ kee }}", ":11:7 request.url: \"kee\" is not known here");
    finds("{{ summary }}", "{{ summary | shout }}", "request.body: text: content: unknown filter");
    finds("{{ body }}", "{{ body", "request.body: text: content: syntax error");
    finds("{{ body }}", "{{ body.x.y }}", "undefined value");
    finds("{{ body }}", "{{ 1 // 0 }}", "request.body");
    finds("{{ api_url }}/cgi-bin", "{{ key }}", "what comes out is not a URL");
    finds("[request]", "[request]\nhedders = {}", "unknown key `hedders`, nearest `headers`");
    finds("[request]", "[request]\nheaders = { X = \"{{ title }}\" }", "X: a header is one line");
    finds("is = \"secret\"", "is = \"password\"", "keys.key.is: expected \"text\" or");
    finds("key = { is", "per_day = { is", "this name is taken");
    finds("key = { is", "title = { is", "this name is taken");
    finds("means = \"later\"", "means = \"never\"", "answer.refusal[0].means: expected \"later\" or");
    finds("after = \"60s\"", "until = \"tomorrow\"", "expected a time of day and its zone");
    finds("code = [45009, 45033, -1]", "cod = 1", "unknown key `cod`");
    finds("body = 1700", "body = 7", "limits.body: expected a whole number from 200");
    finds("rate = \"14/min\"", "rate = \"fast\"", "expected calls per period");
    finds("code = \"errcode\"", "code = \"a..b\"", "expected keys joined by dots");
    finds("[answer]", "[answer]\nbody = \"ok\"", "give accepted or body, not both");
}

#[test]
fn a_text_body_of_json_is_looked_at_before_it_goes() {
    let url = "type = 'webhook'\nurl = 'https://h.example/x'";
    let quoted = "body = '{\"text\": \"{{ summary }}\"}'";
    finds(&format!("{url}\n{quoted}"), " body: a call cannot be put together: what comes out is not JSON");
    channel(&format!("{url}\nbody = '{{\"text\": {{{{ summary }}}}}}'")).unwrap();
    channel(&format!("{url}\nbody = 'x={{{{ summary | urlencode }}}}'\nheaders = {{ Content-Type = 'text/plain' }}"))
        .unwrap();
    finds(&format!("{url}\nbody = {{ a = '{{{{ tittle }}}}' }}"), "\"tittle\" is not known here");
    finds(&format!("{url}\nheaders = {{ 'a b' = 'x' }}"), "expected a header's name");
    finds("type = 'webhook'\nurl = 'h.example'", "expected the whole URL");
    finds("type = 'webhook'", "needs url or url_file");
    finds(&format!("{url}\napi_url = 'https://x'"), "unknown key `api_url`");
}

#[test]
fn a_channel_of_each_type_says_what_is_missing() {
    finds("type = 'wecom'", "key: is missing: a channel of type \"wecom\" needs key or key_file");
    finds("type = 'telegram'\ntoken = 'x'", "chat_id: is missing");
    finds("type = 'wecom'\nkey = 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=x'", "found a whole URL");
    finds("type = 'telegram'\ntoken = 'x'\nchat_id = []", "expected at least one");
    finds("type = 'wecom'\nkey = 'x'\nsecret = 'y'", "unknown key `secret`");
}

const SECRETS: [(&str, &str); 12] = [
    ("bark", "device_key = 's3cr3t-bark-key'"),
    ("dingtalk", "token = 's3cr3t-token'\nsecret = 'SECs3cr3t'"),
    ("discord", "url = 'https://discord.com/api/webhooks/1234567890/s3cr3t-discord'"),
    ("feishu", "hook = 's3cr3t-hook'\nsecret = 's3cr3t-sign'"),
    ("gotify", "token = 's3cr3t-gotify'"),
    ("ntfy", "topic = 's3cr3t-topic'\ntoken = 'tk_s3cr3t'"),
    ("pushplus", "token = 's3cr3t-pushplus'"),
    ("serverchan", "sendkey = 'SCTs3cr3t'"),
    ("slack", "url = 'https://hooks.slack.com/services/T00000000/B00000000/s3cr3t-slack'"),
    ("telegram", "token = '1234567:s3cr3t+telegram'\nchat_id = -100123"),
    (
        "webhook",
        "url = 'https://me:s3cr3t-password@h.example/s3cr3t-path?t=s3cr3t-query'\nheaders = { Authorization = 'Bearer s3cr3t-header' }\nbody = { token = 's3cr3t-body', text = '{{ text }}' }",
    ),
    ("wecom", "key = 's3cr3t-wecom-key'"),
];

#[tokio::test]
async fn no_secret_of_any_type_is_shown_anywhere() {
    let message = Message {
        title: "t".into(),
        summary: "s".into(),
        html: "h".into(),
        markdown: "m".into(),
        text: "x".into(),
        about: vec![About { kind: Kind::Err, device: None, task: None, incident: None, at: Timestamp(0) }],
        link: None,
    };
    for (of, keys) in SECRETS {
        let proxy = "http://me:s3cr3t-proxy@127.0.0.1:9";
        let channel = channel(&format!("type = '{of}'\n{keys}\nproxy = '{proxy}'")).unwrap();
        let answers = channel.send(&message, &channel.receivers()).await;
        assert!(matches!(answers[0].1, Answer::Later { .. }), "{answers:?}");
        let shown = format!("{channel:?}\n{}\n{:?}\n{answers:?}", channel.effective, channel.receivers());
        assert!(!shown.contains("s3cr3t"), "{of}: {shown}");
        assert_eq!(channel.effective.lines().nth(1), Some(format!("type = \"{of}\"").as_str()));
    }
}

#[test]
fn what_a_service_says_back_holds_no_secret() {
    for (of, keys) in SECRETS.into_iter().filter(|(of, _)| *of != "webhook") {
        let take = |table: &mut olog_daemon::config::Table| {
            TemplateChannel::parse(ChannelCatalog::built_in().get(of).unwrap().unwrap(), table)
        };
        let described = read_text("hub.toml", keys, take).unwrap().unwrap();
        for secret in described.secrets() {
            let (plain, encoded) = (secret.reveal(), percent_encoded(secret.reveal()));
            let path = url::Url::parse(plain).map_or_else(|_| String::new(), |url| url.path().to_owned());
            let said = format!("{plain} and {encoded} and {path} are \n unknown");
            let masked = described.masked(&said);
            assert!(!masked.contains("s3cr3t") && masked.ends_with("are   unknown"), "{of}: {masked}");
        }
    }
}

/// What a log and names say that would call people, format, or steer a terminal, as each service gets it: the log's text, the names and
/// the paths are each line of the corpus in turn.
#[test]
fn no_service_gets_an_active_mention_tag_or_escape_from_a_log() {
    use crate::words::{Context, Language, compose};
    let corpus: Vec<String> = serde_json::from_str(include_str!("../../../olog-proto/src/clean/hostile.json")).unwrap();
    let error = |hostile: &str| crate::Content::Error {
        why: crate::Reason::First,
        excerpt: olog_proto::Excerpt::of(hostile),
        path: format!("/ologs/{hostile}\n.err"),
        fingerprint: None,
        last_good_at: None,
        began_at: Timestamp(0),
        n_seen: 1,
        facts: Box::default(),
    };
    let notice = |task: &str, hostile: &str| crate::Notice {
        kind: Kind::Err,
        incident: Some(1),
        device: Some(format!("@all {hostile}")),
        address: Some(hostile.into()),
        task: Some(task.into()),
        at: Timestamp(0),
        silence: None,
        content: error(hostile),
    };
    for (of, keys) in SECRETS {
        let take = |table: &mut olog_daemon::config::Table| {
            TemplateChannel::parse(ChannelCatalog::built_in().get(of).unwrap().unwrap(), table)
        };
        let channel = read_text("hub.toml", keys, take).unwrap().unwrap();
        let context = Context {
            language: Language::En,
            timezone: chrono_tz::Tz::UTC,
            now: Timestamp(0),
            incident_url: None,
            by_device: false,
            budget: None,
            limits: channel.limits(),
        };
        for hostile in &corpus {
            for notices in [
                vec![notice(hostile, hostile)],
                vec![notice("@all", hostile), notice("<at>", hostile), notice("b", "c")],
            ] {
                let message = compose(&notices, &context).message;
                for message in [message.clone(), message.plain(&channel.limits(), 1_000)] {
                    let call = channel.call(&message, &channel.receivers()[0], Timestamp(0)).unwrap();
                    assert_harmless(of, &String::from_utf8(call.body).unwrap());
                }
            }
        }
    }
}

#[track_caller]
fn assert_harmless(of: &str, body: &str) {
    let body = body.replace("\\\"", "\"").replace("\\\\<", "<").replace("&lt;", "&\u{200b}lt;");
    let marks = [
        "<at",
        "<@",
        "<!",
        "<#",
        "<script",
        "<img",
        "<svg",
        "<copy",
        "@everyone",
        "@here",
        "@all",
        "@channel",
        "@所有人",
        "](http",
        "\\u001b",
        "\\u0000",
        "\\u0007",
        "\\u0008",
        "\\u007f",
    ];
    for mark in marks {
        assert!(!body.contains(mark), "{of}: {mark:?} in {body}");
    }
    assert!(!body.contains(|c: char| olog_proto::name::is_unprintable(c) && c != '\n'), "{of}: {body:?}");
}

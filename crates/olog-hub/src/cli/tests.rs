use std::collections::BTreeSet;

use clap::CommandFactory as _;
use olog_daemon::{
    clock::{Clock, ClockHandle},
    config::read_text,
};
use olog_proto::Timestamp;

use super::*;
use crate::hub;

const ZH: &str = include_str!("../../../olog-push/locales/terminal.zh-CN.ftl");
const EN: &str = include_str!("../../../olog-push/locales/terminal.en.ftl");

fn keys(text: &str) -> BTreeSet<&str> {
    let starts = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    starts.filter_map(|line| line.split_once(" =")).map(|(key, _)| key).collect()
}

/// The text of all source files and templates below these folders, seen from this crate: a list of files would lack the next one.
pub(crate) fn sources(folders: &[&str]) -> String {
    let mut folders: Vec<std::path::PathBuf> =
        folders.iter().map(|folder| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).collect();
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => folders.push(path),
                Some("rs" | "html") => text += &std::fs::read_to_string(&path).unwrap(),
                _ => {}
            }
        }
    }
    text
}

#[test]
fn every_sentence_of_the_terminal_is_in_both_languages_and_used() {
    assert_eq!(keys(ZH), keys(EN));
    // The agent's sentences are in the same catalogue.
    let code = sources(&["src", "../olog-agent/src", "../olog-daemon/src"]);
    let used: BTreeSet<&str> = code.split('"').filter(|piece| keys(EN).contains(piece)).collect();
    let unused: Vec<_> = keys(EN).into_iter().filter(|key| !used.contains(key)).collect();
    assert_eq!(unused, Vec::<&str>::new(), "keys that no code asks for");
    let looks_like_key = |piece: &&str| {
        ["cli-", "status-", "setup-", "sent-", "import-"].iter().any(|start| piece.strip_prefix(start).is_some_and(|rest| !rest.is_empty()))
            && *piece != "setup-link" // an action of the audit log
            && piece.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    let missing: Vec<_> = code.split('"').filter(looks_like_key).filter(|piece| !keys(EN).contains(piece)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "keys that no catalogue has");
}

#[test]
fn chinese_sentences_have_chinese_punctuation() {
    // The question for the language is in both.
    let is_text = |line: &str| !line.starts_with('#') && !line.starts_with("setup-language");
    for (n, line) in ZH.lines().enumerate().filter(|(_, line)| is_text(line)) {
        let is_han = |c: char| ('\u{4e00}'..='\u{9fff}').contains(&c);
        let chars: Vec<char> = line.chars().collect();
        let bad = chars.windows(2).find(|pair| matches!(pair, [a, ',' | ':' | ';' | '(' | '?' | '!'] if is_han(*a)));
        assert_eq!(bad, None, "line {}: {line}", n + 1);
    }
}

/// A hub on loopback whose verbs are answered, with so many open incidents.
struct Running {
    hub: hub::Hub,
    client: Client,
    _hand: ClockHandle,
    _dir: tempfile::TempDir,
}

async fn running(more: &str, n_open: usize) -> Running {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("listen = '127.0.0.1:0'\nstate_dir = {:?}\n{more}\n[tls]\nmode = 'off'\n", dir.path());
    let config = read_text("hub.toml", &text, |table| Config::parse(table, dir.path())).unwrap();
    let (now, client) = (Timestamp(1_800_000_000_000), Client::new("olog-hub", config.boot.socket.clone()));
    let (store, _) = crate::store::Store::open(&config.boot.store, now).await.unwrap();
    let begin = move |tx: &mut crate::store::Tx<'_>| {
        for n in 0..n_open {
            let (subject, name) = (crate::store::incidents::Subject::Hub, format!("thing{n}"));
            let begin = crate::store::incidents::Begin { subject, device: None, task: None, name: &name, at: now };
            crate::store::incidents::begin(tx, &begin, &serde_json::json!({}))?;
        }
        Ok(())
    };
    store.write(begin).await.unwrap();
    drop(store);
    let (clock, hand) = Clock::manual(now);
    Running { hub: hub::Hub::start(config, None, clock).await.unwrap(), client, _hand: hand, _dir: dir }
}

impl Running {
    async fn says(&self, line: &str) -> VerbOutput {
        let words = ["olog-hub"].into_iter().chain(line.split_whitespace());
        answer(&self.client, Cli::try_parse_from(words).unwrap().verb).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn incidents_are_acknowledged_and_closed_one_by_one_and_as_ranges() {
    let running = running("language = 'en'", 6).await;
    let said = running.says("incident ack 2 4-5").await;
    assert!(said.out.starts_with("Acknowledged 3 incidents (#2, #4–#5): no reminders for 7 days"), "{said:?}");
    let said = running.says("incident ack 1 99").await;
    assert!(said.out.starts_with("Acknowledged #1 thing0"), "{said:?}");
    assert_eq!(
        (said.remarks.as_slice(), said.is_failed),
        (&["there is no incident #99: see olog-hub incident list --all".to_owned()][..], true)
    );
    // Of a range what is over already is not asked for.
    assert!(running.says("incident close 3-4").await.out.starts_with("Closed 2 incidents (#3–#4)"));
    let said = running.says("incident close 1-100").await;
    assert!(said.out.starts_with("Closed 4 incidents (#1–#2, #5–#6)") && !said.is_failed, "{said:?}");
    assert_eq!(running.says("incident close 1-100").await.out, "None of these incidents is open.\n");
    assert!(running.says("incident close 3").await.is_failed, "a number that was named is over");
    assert_eq!(running.says("incident list").await.out, "No incident is open.\n");
    assert!(running.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_incident_is_listed_with_its_state_and_status_says_what_to_do() {
    let running = running("language = 'en'\ntimezone = 'Asia/Shanghai'", 2).await;
    let list = running.says("incident list").await.out;
    assert!(list.starts_with("#  STATE  DEVICE/TASK  SINCE (Asia/Shanghai)  ERROR\n"), "{list}");
    running.says("incident ack 2").await;
    let list = running.says("incident list").await.out;
    assert!(list.contains("2  ERR*   thing1") && list.ends_with("* acknowledged\n"), "{list}");
    let status = running.says("status").await.out;
    let to_do = ["No channel is configured", "1 open incident is not acknowledged", "No device has joined"];
    let places: Vec<usize> = to_do.iter().map(|words| status.find(words).expect(words)).collect();
    assert!(places.is_sorted(), "the worst first: {status}");
    assert!(status.contains("olog-hub incident ack 1\n") && status.contains("2 open, 1 acknowledged"), "{status}");
    assert!(running.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_of_what_nobody_knows_is_made_and_remarked_on_in_the_hubs_language() {
    let running = running("", 0).await;
    let said = running.says("silence add --device nope --for 2h").await;
    assert!(said.out.starts_with("静音规则 1：nope 静音到 ") && !said.is_failed, "{said:?}");
    assert_eq!(said.remarks, ["没有名为“nope”的设备；规则已保留，以后出现同名的即生效"]);
    assert!(running.says("silence end 1").await.out.contains("没有暂存"));
    // Everything is no misspelt name, though no device has joined yet.
    for everything in ["silence add --device * --for 2h", "silence add --device * --task * --for 2h"] {
        let said = running.says(everything).await;
        assert_eq!(said.remarks, Vec::<String>::new(), "{everything}: {said:?}");
    }
    assert!(running.says("status").await.out.contains("件事要处理"));
    assert!(running.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_hub_toml_does_not_keep_anybody_from_the_running_hub() {
    let running = running("language = 'en'", 1).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hub.toml");
    let socket = running._dir.path().join("hub.sock");
    for mistake in ["lisetn = 1", "[[channel]]\nname = 5", "report = [", "this is no TOML"] {
        std::fs::write(&file, format!("socket = {socket:?}\n{mistake}\n")).unwrap();
        let source = ConfigFiles::new("hub", Some(file.clone())).without_secrets();
        assert!(Config::load(&source).is_err(), "{mistake}");
        assert_eq!(Config::places(&source).socket, socket, "{mistake}");
    }
    for (value, language) in
        [("\"en\"", Some(Language::En)), ("\"zh-CN\"", Some(Language::ZhCn)), ("\"de\"", None), ("5", None)]
    {
        std::fs::write(&file, format!("language = {value}\nlisetn = 1\n")).unwrap();
        let source = ConfigFiles::new("hub", Some(file.clone())).without_secrets();
        assert_eq!(
            Config::places(&source).language,
            language,
            "the terminal decides where the key names none: {value}"
        );
    }
    let missing = ConfigFiles::new("hub", Some(dir.path().join("hubb.toml")));
    assert!(missing.is_missing(), "a misspelt name of the file is no reason to ask another hub");
    assert!(running.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_is_explained_and_a_request_refused_in_the_hubs_language() {
    for (language, begins, unknown) in [
        ("zh-CN", "#1 thing0\n始于 ", "“x”没有任务“y”，请查看：olog-hub task list"),
        ("en", "#1 thing0\nOpen since ", "no task \"y\" of \"x\": see olog-hub task list"),
    ] {
        let running = running(&format!("language = '{language}'"), 1).await;
        let shown = running.says("incident show 1").await.out;
        assert!(shown.starts_with(begins), "{shown}");
        let verb = Cli::try_parse_from(["olog-hub", "task", "show", "x", "y"]).unwrap().verb;
        let refused = answer(&running.client, verb).await.unwrap_err();
        assert!(refused.to_string().contains(unknown), "{refused}");
        assert!(running.hub.stop().await);
    }
}

#[test]
fn one_message_that_waits_is_not_spoken_of_as_several() {
    let say = olog_push::words::Localizer {
        language: olog_push::words::Language::En,
        timezone: chrono_tz::Tz::UTC,
        now: Timestamp(0),
    };
    for key in ["status-channel-paused", "status-channel-failing", "status-channel-gone", "status-channel-budget"] {
        let words = |n: u64| {
            let args = [("name", "me"), ("why", "busy"), ("next", "11:00")].map(|(name, value)| (name, value.into()));
            say.text(key, &[args.as_slice(), &[("waiting", n.into())]].concat())
        };
        assert!(words(1).contains("1 message waits"), "{}", words(1));
        assert!(words(2).contains("2 messages wait"), "{}", words(2));
    }
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_token_is_the_last_word_in_both_languages() {
    for language in ["en", "zh-CN"] {
        let running = running(&format!("language = '{language}'"), 0).await;
        let said = running.says("token create prometheus --scope read --expires 90d").await.out;
        let token = said.split_whitespace().last().unwrap();
        assert!(token.starts_with("olog_") && token.len() == 77, "{language}: {said}");
        assert!(running.says("token list").await.out.contains("prometheus"));
        assert!(running.hub.stop().await);
    }
}

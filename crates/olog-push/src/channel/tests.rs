use olog_daemon::config::{Invalid, read_text};

use super::*;

fn channel(text: &str) -> Result<Channel, Invalid> {
    read_text("hub.toml", text, |table| Channel::parse(table, &ChannelCatalog::built_in())).map(Option::unwrap)
}

#[track_caller]
fn finds(text: &str, expected: &str) {
    let found = channel(text).unwrap_err().to_string();
    assert!(found.contains(expected), "{found}");
}

const GOOD: &str =
    "name = 'me'\ntype = 'wxpusher'\ntoken = 'AT_abcdefghijklmnop'\nuids = ['UID_a', 'UID_b', 'UID_a']\n";

#[test]
fn a_channel_is_read_with_its_defaults() {
    let channel = channel(&format!("{GOOD}topic_ids = [123]")).unwrap();
    let ids: Vec<String> = channel.receivers().into_iter().map(|r| r.id).collect();
    assert_eq!(ids, ["UID_a", "UID_b", "topic:123"]);
    assert_eq!((channel.rate.every, channel.rate.burst.get()), (Duration::from_secs(1), 10));
    assert_eq!(channel.per_day, None);
    assert!(channel.wants(Kind::System, None, None));
}

#[test]
fn simple_push_needs_no_application_and_shows_no_token() {
    let spts = "spt = ['SPT_abcdefghijklmnop', 'SPT_abxxxxxxxxxxxxop']";
    let channel = channel(&format!("name = 'me'\ntype = 'wxpusher'\n{spts}")).unwrap();
    let ids: Vec<String> = channel.receivers().into_iter().map(|r| r.id).collect();
    assert_eq!(ids, ["SPT_ab…op", "SPT_ab…op/2"]);
    let shown = format!("{channel:?}{}", channel.effective);
    assert!(!shown.contains("cdefgh") && !shown.contains("xxxx"), "{shown}");
}

#[test]
fn every_mistake_says_what_was_expected() {
    finds("type = 'wxpusher'\ntoken = 'AT_x'\nuids = ['UID_a']", "name: is missing");
    finds("name = 'me'", "type: is missing: expected \"bark\" or");
    finds("name = 'me'\ntype = 'pigeon'", "or \"wxpusher\", found \"pigeon\"");
    finds("name = 'me'\ntype = 'wxpusher'\nuids = ['UID_a']", "token: is missing");
    finds("name = 'me'\ntype = 'wxpusher'\ntoken = 'AT_x'", "at least one uid");
    finds("name = 'me'\ntype = 'wxpusher'\ntoken = 'AT_x'\nuids = 'UID_a'", "expected a list of strings");
    finds("name = 'me'\ntype = 'wxpusher'\ntoken = 'AT_x'\nuids = ['AT_x']", "found a token");
    finds("name = 'me'\ntype = 'wxpusher'\ntoken = 'AT_x'\ntopic_ids = [0]", "numbers from 1");
    finds("name = 'me'\ntype = 'wxpusher'\nspt = ['SPT_x']\ntoken = 'AT_x'", "stands alone");
    finds("name = 'me'\ntype = 'wxpusher'\nspt = ['AT_x']", "expected tokens of simple push");
    finds(&format!("{GOOD}rate = 'fast'"), "expected calls per period");
    finds(&format!("{GOOD}api_url = 'ftp://x'"), "scheme and host");
    finds(&format!("{GOOD}api_url = 'https://me:pw@x'"), "scheme and host");
    finds(&format!("{GOOD}proxy = 'socks5://x'"), "expected a proxy");
    finds(&format!("{GOOD}only = {{ kinds = ['error'] }}"), "expected \"err\" or");
    finds(&format!("{GOOD}tokken = 'x'"), "unknown key `tokken`");
}

#[test]
fn only_chooses_by_kind_device_and_task() {
    let only = "only = { kinds = ['err', 'lost'], devices = ['web*', 'db?'], tasks = ['*backup*'] }";
    let channel = channel(&format!("{GOOD}{only}")).unwrap();
    assert!(channel.wants(Kind::Err, Some("web-1"), Some("nightly-backup")));
    assert!(channel.wants(Kind::Lost, Some("db1"), None));
    assert!(!channel.wants(Kind::Msg, Some("web-1"), Some("backup")));
    assert!(!channel.wants(Kind::Err, Some("db12"), Some("backup")));
    assert!(!channel.wants(Kind::Err, Some("web"), Some("rsync")));
}

#[test]
fn a_pattern_of_many_stars_ends_soon() {
    let (pattern, text) = ("*a".repeat(50), "a".repeat(40) + "b");
    assert!(!glob(&pattern, &text));
    assert!(glob("*", "") && glob("a*c?", "abbbcd") && !glob("", "x") && glob("备*", "备份"));
}

#[test]
fn a_channel_with_another_token_is_another_channel() {
    assert_eq!(channel(GOOD).unwrap(), channel(GOOD).unwrap());
    assert_ne!(channel(GOOD).unwrap(), channel(&GOOD.replace("AT_abc", "AT_xyz")).unwrap());
}

#[test]
fn no_file_may_take_the_name_of_a_type_that_is_code() {
    assert_eq!(IN_CODE.map(|(name, _)| name), crate::described::known::IN_CODE);
}

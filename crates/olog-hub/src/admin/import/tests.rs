//! Old configurations as this hub's own, and names that a report knows before their devices come.

use std::os::unix::fs::PermissionsExt as _;

use olog_daemon::config::read_text;
use olog_push::words::{Arg, Language, Localizer};

use super::*;
use crate::{config::Config, store::tests::stores};

const TYPICAL: &str = r#"{ # the server
    "device": "alisrv#root@192.0.2.7", "log_dirs": ["/ologs"] "report_time": "9:30", "svr_ip": "hub.example.com", "svr_port": "8800",
    "token": "AT_0123456789abcdef", "uids": ["UID_a", "UID_b"], "htmldir": "www", "htmlurl": "https://www.example.com/olog_html",
    "device_tasks": {"backupsrv#root@10.0.0.2": ["rsync", "dump"], "a\u0007b": ["x"], "pi#pi@pi": ["mqtt", "bad\u0000name"]}}"#;

fn imported(text: &str, declare: bool, language: Language, own: &str) -> Imported {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("olog.cfg");
    fs::write(&file, text).unwrap();
    let old = OldConfig::read(&file).unwrap();
    let live = read_text("hub.toml", own, |table| Config::parse(table, Path::new("/"))).unwrap().live;
    let say = Localizer { language, timezone: chrono_tz::Tz::UTC, now: olog_proto::Timestamp(0) };
    let words = |key: &str, args: &[(&'static str, &str)]| {
        let args: Vec<Arg<'_>> = args.iter().map(|(name, value)| (*name, (*value).into())).collect();
        say.text(key, &args)
    };
    let places = (Path::new("olog.cfg"), Path::new("/opt/olog"));
    page(&old, &Traces::default(), &live, places, declare, &words)
}

#[test]
fn a_server_s_configuration_becomes_the_hub_s() {
    insta::assert_snapshot!("typical_en", imported(TYPICAL, false, Language::En, "").text);
    insta::assert_snapshot!("typical_zh", imported(TYPICAL, true, Language::ZhCn, "").text);
}

#[test]
fn every_imported_page_is_a_configuration() {
    let own = "[[channel]]\nname = 'me'\ntype = 'wxpusher'\ntoken = 'AT_y'\nuids = ['UID_x']\n";
    for text in [TYPICAL, "{}", r#"{"token": "AT_x"}"#, r#"{"uids": "UID_x"}"#] {
        for (declare, own) in [(false, ""), (true, ""), (true, own)] {
            let toml = imported(text, declare, Language::ZhCn, own).text;
            let toml = toml.replace("token_file = \"olog-cfg.token\"", "token = \"AT_x\"");
            let read = read_text("hub.toml", &toml, |table| Config::parse(table, Path::new("/etc/olog")));
            let config = read.unwrap_or_else(|invalid| panic!("{invalid}\n{toml}"));
            let n_declared = if declare && text == TYPICAL { 2 } else { 0 };
            assert_eq!(config.live.devices.len(), n_declared, "{toml}");
        }
    }
    assert!(!imported(TYPICAL, false, Language::En, own).text.contains("[[channel]]"), "there is a channel already");
}

#[test]
fn nothing_is_overwritten_and_the_token_is_for_one_user_only() {
    let folder = tempfile::tempdir().unwrap();
    let source = ConfigFiles::new("hub", Some(folder.path().join("hub.toml")));
    let state_dir = folder.path().join("state");
    let new = imported(TYPICAL, false, Language::En, "");
    let files = put(&source, &state_dir, &new).unwrap();
    let [token, toml] = files.as_slice() else { panic!("{files:?}") };
    assert_eq!(fs::metadata(token).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(token).unwrap(), "AT_0123456789abcdef\n");
    assert_eq!(fs::read_to_string(toml).unwrap(), new.text);
    assert!(!new.text.contains("AT_0123"), "the token stands in its own file only");
    let names = fs::read_to_string(state_dir.join(NAMES_FILE)).unwrap();
    let again = put(&source, &state_dir, &new).unwrap_err().to_string();
    assert!(again.contains("is there already, and import overwrites nothing"), "{again}");
    fs::remove_file(state_dir.join(NAMES_FILE)).unwrap();
    fs::remove_file(toml).unwrap();
    fs::write(token, "another").unwrap();
    assert!(put(&source, &state_dir, &new).unwrap_err().to_string().contains("olog-cfg.token"));
    assert_eq!(fs::read_to_string(token).unwrap(), "another");
    assert!(!toml.exists() && !state_dir.join(NAMES_FILE).exists(), "nothing is left behind");
    assert!(names.contains("backupsrv"));
}

#[tokio::test]
async fn imported_names_are_known_from_the_next_reload_on() {
    for store in stores().await {
        let folder = tempfile::tempdir().unwrap();
        let source = ConfigFiles::new("hub", Some(folder.path().join("hub.toml")));
        put(&source, folder.path(), &imported(TYPICAL, false, Language::En, "")).unwrap();
        take_in(&store.store, folder.path()).await;
        take_in(&store.store, folder.path()).await;
        assert!(!folder.path().join(NAMES_FILE).exists());
        let known = store.store.read(|tx| known_names::of_device(tx, "backupsrv")).await.unwrap();
        assert_eq!(known, ["", "dump", "rsync"].map(str::to_owned).into());
        store.store.write(|tx| known_names::forget_device(tx, "backupsrv")).await.unwrap();
        assert!(store.store.read(|tx| known_names::of_device(tx, "backupsrv")).await.unwrap().is_empty());
        assert!(store.store.read(known_names::are_there).await.unwrap(), "pi is still known");
    }
}

#[tokio::test]
async fn a_file_of_names_that_cannot_be_read_is_put_aside_once() {
    let store = stores().await.remove(0);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(NAMES_FILE), "{\"format\": 1, \"names\": {\"a\\nb\": []}}").unwrap();
    take_in(&store.store, folder.path()).await;
    assert!(!folder.path().join(NAMES_FILE).exists());
    assert!(folder.path().join("imported-names.unreadable").exists());
}

use std::fs;

use olog_daemon::config::read_text;

use super::*;

fn typed(text: &str) -> Result<Config, Vec<String>> {
    read_text("hub.toml", text, |table| parse::config(table, Path::new("/etc/olog")))
        .map_err(|Invalid(findings)| findings.iter().map(ToString::to_string).collect())
}

#[track_caller]
fn good(text: &str) -> Config {
    typed(text).unwrap()
}

/// Every finding holds its words, in order, and is told in Chinese too.
#[track_caller]
fn bad(text: &str, expected: &[&str]) {
    let findings = typed(text).expect_err("it was accepted");
    assert_eq!(findings.len(), expected.len(), "{findings:#?}");
    for (finding, words) in findings.iter().zip(expected) {
        assert!(finding.contains(words), "{finding:?} does not say {words:?}");
    }
    let invalid = read_text("hub.toml", text, |table| parse::config(table, Path::new("/etc/olog"))).unwrap_err();
    for line in Language::ZhCn.mistakes(&invalid).lines() {
        assert!(line.chars().any(|c| ('一'..='龥').contains(&c)), "phrases.zh-CN.txt has no translation of: {line}");
    }
}

const CHANNEL: &str =
    "[[channel]]\nname = 'me'\ntype = 'wxpusher'\ntoken = 'AT_abcdefghijklmnopqrstuvw'\nuids = ['UID_a']\n";

#[test]
fn an_empty_file_is_a_good_configuration() {
    let config = good("state_dir = '/s'");
    assert_eq!(config.boot.listen, LISTEN);
    assert_eq!(config.boot.store, StoreUrl::Sqlite("/s/olog.db".into()));
    assert_eq!(config.boot.tls, Some(Tls::SelfSigned));
    assert_eq!(config.boot.socket, default_socket(Path::new("/s")));
    assert_eq!(config.live.ping_every(), Duration::from_secs(20));
    assert_eq!(config.live.language, Language::ZhCn);
    assert!(config.live.trusts([127, 0, 0, 1].into()) && !config.live.trusts([10, 0, 0, 1].into()));
}

#[test]
fn every_key_of_the_contract_is_known() {
    let config = good(&format!(
        r#"
        listen = "[::]:8765"
        public_url = "https://hub.example.com:8765/olog/"
        state_dir = "/var/lib/olog-hub"
        socket = "/run/olog-hub/hub.sock"
        language = "en"
        timezone = "Asia/Shanghai"
        event_keep_days = 30
        [store]
        url = "postgres://olog:geheim@db/olog"
        [tls]
        mode = "files"
        cert = "cert.pem"
        key = "/keys/key.pem"
        [proxy]
        trusted = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"]
        [report]
        at = ["11:00", "18:30"]
        html_dir = "/www/olog_html"
        html_url = "https://www.example.com/olog_html/"
        keep_days = 3
        [alerts]
        offline_after = "30s"
        resolve_after = "2h"
        over_wait = "0s"
        remind_every = "12h"
        new_errors_per_hour = 9
        quiet = "21:30-07:00"
        [watchdog]
        url = "https://hc.example.com/ping/0123456789"
        every = "5m"
        [legacy]
        enabled = true
        token = "AT_legacylegacylegacy"
        [backup]
        dir = "/backup"
        at = "05:00"
        keep = 3
        {CHANNEL}
        [[device]]
        name = "backupsrv"
        offline_after = "10m"
        tasks = ["rsync", {{ name = "dump", schedule = "30 3 * * *", grace = "30m" }}]
        [[device]]
        name = "laptop"
        offline_after = "never"
        "#
    ));
    assert_eq!(config.live.public_url.as_deref(), Some("https://hub.example.com:8765/olog"));
    assert_eq!(config.boot.tls, Some(Tls::Files { cert: "/etc/olog/cert.pem".into(), key: "/keys/key.pem".into() }));
    assert_eq!(config.live.ping_every(), Duration::from_secs(10));
    assert!(config.live.trusts("10.1.2.3".parse().unwrap()) && config.live.trusts("::ffff:10.1.2.3".parse().unwrap()));
    assert!(config.live.trusts("fd12::1".parse().unwrap()) && !config.live.trusts("fe80::1".parse().unwrap()));
    let dump = &config.live.declared("backupsrv").unwrap().tasks[1];
    assert_eq!((dump.schedule.clone(), dump.grace), ("30 3 * * *".parse().ok(), Duration::from_secs(1800)));
    assert_eq!(config.live.declared("laptop").unwrap().offline_after, Some(Offline::Never));

    let shown = &config.effective;
    for secret in ["geheim", "legacylegacy", "abcdefghijk", "0123456789"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("postgres://olog:***@db/olog"), "{shown}");
    assert!(config.remarks().iter().any(|remark| remark.contains("one channel only (me)")));
}

#[test]
fn every_row_of_the_registry_is_read() {
    let unread = |text: &str| {
        let read = read_text("hub.toml", text, |root| {
            parse::config(root, Path::new("/"));
            root.unread()
        });
        read.unwrap()
    };
    let all = "[watchdog]\nurl = 'https://hc.example.com'\n[backup]\n[[device]]\nname = 'a'\ntasks = ['t']";
    assert_eq!(unread(all), Vec::<&str>::new());
    assert!(unread("").contains(&"backup.keep"));
}

#[test]
fn the_configuration_in_force_is_itself_a_configuration() {
    let config = good(
        "state_dir = '/s'\n[backup]\n[[device]]\nname = 'a'\ntasks = ['t', { name = 'u', schedule = '@daily', grace = '5m' }]",
    );
    let again = good(&config.effective);
    assert_eq!(again, config);
}

#[test]
fn every_mistake_is_found_at_once() {
    bad(
        r#"
        listn = "0.0.0.0:1"
        listen = "8765"
        public_url = "hub.example.com"
        language = "de"
        timezone = "Asia/Peking"
        [store]
        url = "mysql://x"
        [tls]
        mode = "files"
        cert = "c.pem"
        [proxy]
        trusted = ["localhost", "10.0.0.0/33"]
        [report]
        at = ["25:00"]
        schedule = "daily"
        [alerts]
        offline_after = "10ms"
        [[device]]
        offline_after = "sometimes"
        tasks = [{ schedule = "* * *" }]
        "#,
        &[
            "unknown key `listn`, nearest `listen`",
            "listen: expected an address and a port",
            "public_url: expected a web address",
            "language: expected \"zh-CN\" or \"en\"",
            "timezone: expected a name of the time zone database",
            "store.url: expected \"sqlite:FILE\"",
            "tls.key: is missing",
            "proxy.trusted",
            "proxy.trusted",
            "report.at",
            "report.schedule: expected five fields",
            "report.schedule: give at or schedule",
            "alerts.offline_after: must be at least 1s",
            "device[0].name: is missing",
            "device[0].offline_after",
            "device[0].tasks[0].name: is missing",
            "device[0].tasks[0].schedule",
        ],
    );
}

#[test]
fn names_are_given_once() {
    bad(&format!("{CHANNEL}{CHANNEL}"), &["two channels are named \"me\""]);
    bad("[[device]]\nname='a'\n[[device]]\nname='a'", &["two devices are named \"a\""]);
}

#[test]
fn a_schedule_that_never_runs_is_a_mistake_with_its_place() {
    bad(
        "[report]\nschedule = '0 0 31 4,6 *'\n[[device]]\nname = 'a'\ntasks = [{ name = 't', schedule = '0 25 * * *' },\n  { name = 'u', grace = '1h' }, 't']",
        &[
            "hub.toml:2:12 report.schedule: \"0 0 31 4,6 *\" does not run within 5 years",
            "device[0].tasks: two tasks are named \"t\"",
            "hub.toml:5:35 device[0].tasks[0].schedule: hour: expected 0 to 23",
            "hub.toml:6:25 device[0].tasks[1].grace: is used with schedule",
        ],
    );
}

#[test]
fn check_says_in_words_when_something_runs() {
    let config = good(
        "timezone = 'Europe/Berlin'\n[report]\nat = ['11:00', '18:30']\n[[device]]\nname = 'b'\ntasks = ['rsync', { name = 'dump', schedule = '30 3 * * mon-fri', grace = '45m' }]",
    );
    // 2026-11-22 12:00 in Berlin.
    assert_eq!(
        config.schedules(Timestamp(1_795_345_200_000)),
        [
            "the report is made next on Sun 2026-11-22 18:30, Mon 2026-11-23 11:00, Mon 2026-11-23 18:30",
            "b/rsync has to run between two reports, or within 26h if that is longer",
            "b/dump has to run next on Mon 2026-11-23 03:30, Tue 2026-11-24 03:30, Wed 2026-11-25 03:30; LOST 45m later if it did not",
        ]
    );
}

#[test]
fn what_was_set_up_once_needs_a_restart() {
    let old = good("state_dir = '/s'");
    assert_eq!(old.needs_restart(&good("state_dir = '/s'\nlanguage = 'en'")), Vec::<&str>::new());
    assert_eq!(
        old.needs_restart(&good("state_dir = '/t'\nlisten = '127.0.0.1:1'\n[tls]\nmode = 'off'")),
        ["listen", "state_dir", "store.url", "tls", "socket"]
    );
}

#[test]
fn remarks_ask_about_what_is_probably_not_meant() {
    let say = |text: &str, words: &str| {
        let remarks = good(text).remarks();
        assert!(remarks.iter().any(|remark| remark.contains(words)), "{remarks:?}");
    };
    say("timezone = 'UTC'", "zh-CN and the time zone is UTC");
    say("", "nobody is told");
    say("", "public_url is not set");
    say("public_url = 'http://h'", "plain http");
    say("[tls]\nmode = 'off'\n[proxy]\ntrusted = ['10.0.0.2']", "may read along");
    say("[report]\nhtml_dir = '/'", "no push links to them");
    say("[report]\nhtml_dir = '/nowhere'", "not a folder");
    say("[report]\nhtml_url = 'https://h'", "nothing that it could open");
    say("[backup]", "on the disk of the store");
    say("[backup]", "[backup] is not available in this version yet");
    say("[legacy]\nenabled = true\ntoken = 'AT_x'", "unencrypted");
}

#[test]
fn a_port_in_clear_is_on_loopback_or_behind_a_declared_proxy() {
    let off = "[tls]\nmode = 'off'\n";
    for listen in ["", "listen = '0.0.0.0:8765'\n", "listen = '[::]:8765'\n", "listen = '192.0.2.7:80'\n"] {
        bad(&format!("{listen}{off}"), &["sends everything in clear"]);
        good(&format!("{listen}{off}[proxy]\ntrusted = ['192.0.2.8']\n"));
    }
    for listen in ["listen = '127.0.0.1:1'\n", "listen = '[::1]:1'\n"] {
        good(&format!("{listen}{off}"));
    }
}

#[test]
fn the_address_of_the_watchdog_is_in_no_mistake() {
    for url in [
        "'htps://hc.example/TOKEN_x'",
        "'https://me:TOKEN_x@hc.example/'",
        "['https://hc.example/TOKEN_x']",
        "'TOKEN_x",
    ] {
        let text = format!("[watchdog]\nurl = {url}\n");
        let refused = read_text("hub.toml", &text, |table| parse::config(table, Path::new("/etc/olog"))).unwrap_err();
        assert!(!refused.to_string().contains("TOKEN_x"), "{refused}");
    }
}

#[test]
fn the_shipped_file_says_the_defaults() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/hub/hub.toml");
    let shipped = fs::read_to_string(path).unwrap();
    let plain = good(&shipped);
    assert_eq!(plain, good(""));
    // What stands behind `#` up to the examples, taken at its word.
    let defaults = shipped.split("# Where notifications go.").next().unwrap();
    let skip = ["#public_url", "#timezone", "#cert", "#key", "#html_dir", "#html_url"];
    let said: String = defaults
        .lines()
        .filter(|line| !skip.iter().any(|key| line.starts_with(key)))
        .map(|line| if line.starts_with("# ") { "" } else { line.trim_start_matches('#') })
        .flat_map(|line| [line, "\n"])
        .collect();
    assert_eq!(good(&said), plain, "{said}");
    // And every example is one.
    let examples: String = shipped
        .lines()
        .map(|line| if line.starts_with("# ") { "" } else { line.trim_start_matches('#') })
        .flat_map(|line| [line, "\n"])
        .collect();
    let findings = typed(&examples).expect_err("token_file names a file that is not here");
    let expected = ["tls.cert: is used with", "tls.key: is used with", "token_file"];
    assert!(findings.iter().all(|finding| expected.iter().any(|words| finding.contains(words))), "{findings:?}");
}

#[test]
fn the_last_good_configuration_is_kept_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let (etc, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let main = etc.path().join("hub.toml");
    fs::write(&main, format!("state_dir = {:?}\n", state.path())).unwrap();
    fs::create_dir_all(etc.path().join("hub.d")).unwrap();
    fs::create_dir_all(etc.path().join("secrets/hub")).unwrap();
    fs::write(etc.path().join("secrets/hub/t"), "AT_x").unwrap();
    fs::write(
        etc.path().join("hub.d/a.toml"),
        "[[channel]]\nname='me'\ntype='wxpusher'\ntoken_file='t'\nuids=['UID_a']",
    )
    .unwrap();
    let source = ConfigFiles::new("hub", Some(main));
    let config = Config::load(&source).unwrap();
    config.keep(&source).unwrap();
    config.keep(&source).unwrap();
    let kept = state.path().join("last-good/hub.toml");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Config::load(&ConfigFiles::new("hub", Some(kept))).unwrap(), config);
}

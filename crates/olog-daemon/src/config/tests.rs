use std::time::Duration;

use super::*;
use crate::secret::Secret;

#[derive(Debug, Default, PartialEq)]
struct Typed {
    settle: Option<Duration>,
    size: Option<u64>,
    dirs: Vec<String>,
    rules: Vec<(String, Option<String>)>,
    after: Option<Duration>,
    token: Option<Secret>,
}

static KEYS: &[Key] = crate::keys! {
    /// How long.
    "settle", Span(Duration::from_millis(10)), Unset, "0.1";
    /// How large.
    "spool_max", Size(0), Unset, "0.1";
    /// Where.
    "log_dirs", Texts, Unset, "0.1";
    /// What is secret.
    "token", Secret, Unset, "0.1";
    /// A rule.
    "rule", Tables, Unset, "0.1";
    /// Of what.
    "rule.files", Text, Wrong("expected a string"), "0.1";
    /// As what.
    "rule.as", Choice(&["scanerr", "err"]), Unset, "0.1";
    /// The push.
    "push", Table, Unset, "0.1";
    /// When.
    "push.after", Span(Duration::ZERO), Is("\"60s\""), "0.1";
};

fn take(root: &mut super::Table) -> Typed {
    root.declare(KEYS);
    let mut typed = Typed {
        settle: root.take_span("settle"),
        size: root.take_size("spool_max"),
        dirs: root.take_list("log_dirs").unwrap_or_default(),
        token: root.take_secret("token"),
        ..Typed::default()
    };
    for mut rule in root.take_tables("rule") {
        typed.rules.push((
            rule.take_filled("files").unwrap_or_default(),
            rule.take_choice("as", &[("scanerr", "s".to_owned()), ("err", "e".to_owned())]),
        ));
        rule.finish();
    }
    if let Some(mut push) = root.take_table("push") {
        typed.after = push.take_span("after");
        push.finish();
    }
    typed
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let findings = match read_text("agent.toml", text, take) {
        Ok(_) => Vec::new(),
        Err(Invalid(findings)) => findings.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(findings, expected);
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    check(
        "settel = '1s'\nspool_max = '1 GiX'\nlog_dirs = ['/a', 7]\n[push]\n  after = 60\n[[rule]]\nas = 'foo'\n",
        &[
            "agent.toml:1:1 unknown key `settel`, nearest `settle`",
            "agent.toml:2:13 spool_max: expected a size like \"1GiB\", \"500MB\" or a number of bytes, found \"1 GiX\"",
            "agent.toml:3:19 log_dirs: expected a string, found 7",
            "agent.toml:5:11 push.after: expected a span of time like \"100ms\", \"60s\", \"10m\", \"12h\" or \"7d\", found 60",
            "agent.toml:6:1 rule[0].files: is missing: expected a string",
            "agent.toml:7:6 rule[0].as: expected \"scanerr\" or \"err\", found \"foo\"",
        ],
    );
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_nearest_one() {
    check("[push]\naftr = '60s'\n", &["agent.toml:2:1 unknown key `aftr`, nearest `after`"]);
    check("something_else = 1", &["agent.toml:1:1 unknown key `something_else`"]);
    check("[[rule]]\nfiles='x'\nzz = 1", &["agent.toml:3:1 unknown key `zz`"]);
}

#[test]
fn what_is_not_toml_does_not_hide_the_other_mistakes() {
    let Err(Invalid(findings)) = read_text("agent.toml", "settle = \nsettel = '1s'\n", take) else {
        panic!("accepted")
    };
    assert!(findings.len() >= 2, "{findings:?}");
    assert!(findings[0].to_string().starts_with("agent.toml:1:"), "{}", findings[0]);
    assert!(findings.iter().any(|f| f.nearest.as_deref() == Some("settle")));
}

#[test]
fn columns_are_counted_in_characters() {
    check("log_dirs = ['日志', 1]", &["agent.toml:1:19 log_dirs: expected a string, found 1"]);
}

#[test]
fn spans_and_sizes_are_read_as_people_write_them() {
    let ok = [("100ms", 100), ("60s", 60_000), ("10m", 600_000), ("12h", 43_200_000), ("7d", 604_800_000), ("0s", 0)];
    for (text, ms) in ok {
        assert_eq!(parse_span(text).unwrap(), Duration::from_millis(ms), "{text}");
    }
    assert!(parse_span("5 parsecs").is_err() && parse_span("").is_err() && parse_span("-1s").is_err());
    for (text, n) in [("1GiB", 1 << 30), ("500MB", 500_000_000), ("12", 12), ("3 KiB", 3072), ("9b", 9)] {
        assert_eq!(parse_size(text).unwrap(), n, "{text}");
    }
    assert!(parse_size("99999999999TiB").is_err() && parse_size("GiB").is_err());
    assert!(parse_size("+5").is_err() && parse_size("-0").is_err());
    assert_eq!(read_text("a", "spool_max = 4096", take).unwrap().size, Some(4096));
    check("spool_max = -1", &["agent.toml:1:13 spool_max: a size must not be negative"]);
}

#[test]
fn later_files_override_keys_and_append_tables() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("agent.toml");
    let parts = folder.path().join("agent.d");
    std::fs::create_dir_all(&parts).unwrap();
    std::fs::write(&main, "settle = '1s'\nlog_dirs = ['/a']\n[push]\nafter='60s'\n[[rule]]\nfiles='1'\n").unwrap();
    std::fs::write(parts.join("20.toml"), "settle = '3s'\n[[rule]]\nfiles='3'").unwrap();
    std::fs::write(parts.join("10.toml"), "settle = '2s'\nlog_dirs = ['/b']\n[[rule]]\nfiles='2'").unwrap();
    std::fs::write(parts.join("ignored.conf"), "nonsense").unwrap();
    let source = ConfigFiles::new("agent", Some(main));
    let typed = read(&source, take).unwrap();
    assert_eq!(typed.settle, Some(Duration::from_secs(3)));
    assert_eq!(typed.after, Some(Duration::from_secs(60)));
    assert_eq!(typed.dirs, ["/b"]);
    assert_eq!(typed.rules.iter().map(|r| r.0.as_str()).collect::<Vec<_>>(), ["1", "2", "3"]);
}

#[test]
fn a_missing_default_file_is_no_mistake_but_a_missing_named_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let named = ConfigFiles::new("agent", Some(folder.path().join("agent.toml")));
    let Err(Invalid(findings)) = read(&named, take) else { panic!("accepted") };
    assert!(findings[0].to_string().contains("agent.toml: cannot be read"), "{}", findings[0]);
    let default = ConfigFiles { must_exist: false, ..named };
    assert_eq!(read(&default, take).unwrap(), Typed::default());
}

#[test]
fn a_secret_comes_from_its_key_or_its_file_and_never_shows_in_a_finding() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("agent.toml");
    std::fs::create_dir_all(folder.path().join("secrets/agent")).unwrap();
    std::fs::write(folder.path().join("secrets/agent/t"), "hidden\n").unwrap();
    let source = ConfigFiles::new("agent", Some(main.clone()));
    let token = |text: &str| {
        std::fs::write(&main, text).unwrap();
        read(&source, take)
    };
    assert_eq!(token("token = 'hidden'").unwrap().token.unwrap().reveal(), "hidden");
    assert_eq!(token("token_file = 't'").unwrap().token.unwrap().reveal(), "hidden");
    for wrong in ["token_file = 'missing'", "token = 'hidden'\ntoken_file = 't'", "token = ['hidden']", "token = ''"] {
        let findings = token(wrong).unwrap_err().to_string();
        assert!(!findings.contains("hidden"), "{findings}");
    }
}

#[test]
fn a_changed_file_changes_the_stamp() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("agent.toml");
    let source = ConfigFiles::new("agent", Some(main.clone()));
    let before = source.stamp();
    assert_eq!(before, source.stamp());
    std::fs::write(&main, "settle = '1s'").unwrap();
    let after = source.stamp();
    assert_ne!(before, after);
    std::fs::create_dir(folder.path().join("agent.d")).unwrap();
    std::fs::write(folder.path().join("agent.d/1.toml"), "").unwrap();
    assert_ne!(after, source.stamp());
}

#[test]
fn a_corrected_secret_file_changes_the_stamp_wherever_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let (main, secret) = (folder.path().join("hub.toml"), elsewhere.path().join("token"));
    std::fs::write(&main, format!("token_file = '{}'", secret.display())).unwrap();
    let source = ConfigFiles::new("hub", Some(main));
    let load = || {
        let before = source.stamp();
        let take = |root: &mut super::Table| {
            root.declare(KEYS);
            root.take_secret("token")
        };
        let read = read(&source, take).is_ok();
        (read, source.stamp_after(before))
    };
    // It is not there yet: what is met for the first time is no change, that it comes is one.
    let (read, stamp) = load();
    assert!(!read && stamp == source.stamp());
    std::fs::write(&secret, "wrong").unwrap();
    assert_ne!(stamp, source.stamp());
    let (read, stamp) = load();
    assert!(read && stamp == source.stamp());
    std::fs::write(&secret, "corrected").unwrap();
    assert_ne!(stamp, source.stamp());
    // Corrected while it is read: that is seen by the next look.
    let before = source.stamp();
    std::fs::write(&secret, "again, corrected").unwrap();
    assert_ne!(source.stamp_after(before), source.stamp());
}

#[track_caller]
fn effective(text: &str) -> String {
    let read = read_text("agent.toml", text, |root| {
        take(root);
        root.effective()
    });
    read.unwrap_or_else(|invalid| panic!("{invalid}"))
}

#[test]
fn the_effective_configuration_has_every_key_with_its_default_and_no_secret() {
    assert_eq!(
        effective("token = 'AT_abcdefghijklmnopqrstuvwxyz'\nlog_dirs = ['/a']\n[[rule]]\nfiles = 'x'\n[push]\n"),
        "# settle is not set\n# spool_max is not set\nlog_dirs = [\"/a\"]\ntoken = \"AT_a…\"\n\n[[rule]]\nfiles = \"x\"\n\n[push]\nafter = \"60s\"\n"
    );
}

#[test]
fn a_value_out_of_the_bounds_of_its_row_is_a_mistake_and_an_absent_one_has_the_rows_default() {
    check("settle = '1ms'\n", &["agent.toml:1:10 settle: must be at least 10ms"]);
    assert_eq!(read_text("a", "[push]\n", take).unwrap().after, Some(Duration::from_secs(60)));
}

#[test]
fn a_key_that_is_read_needs_a_row_of_its_kind_and_a_row_needs_a_reader() {
    let read = |key: &'static str| {
        let read = read_text("agent.toml", "", move |root| {
            root.declare(KEYS);
            root.take_span(key);
        });
        read.err().map_or_else(String::new, |invalid| invalid.to_string())
    };
    assert_eq!(read("settle"), "");
    assert!(read("settel").contains("settel: is read and has no row in the registry"), "{}", read("settel"));
    assert!(read("token").contains("token: is read as another kind than its row says"), "{}", read("token"));
    let unread = |text: &str| {
        let read = read_text("agent.toml", text, |root| {
            take(root);
            root.unread()
        });
        read.unwrap()
    };
    assert_eq!(unread("[[rule]]\nfiles = 'x'\n[push]\n"), Vec::<&str>::new());
    assert_eq!(unread(""), ["rule.files", "rule.as", "push.after"]);
}

//! The agent's configuration: the keys of `agent.toml` ([`KEYS`]), parsed and validated.
//!
//! Every key is optional; without any file the agent watches `/var/log/olog`. Either the whole configuration is accepted or none of
//! it. [`Config`] has two halves: [`Fixed`] cannot change while the agent runs (a change needs a restart), [`ReloadableConfig`] is replaced as a
//! whole by a reload. Tests compare the defaults in [`KEYS`] with those in the shipped `packaging/agent/agent.toml`.
//!
//! Must not: act on anything; it looks at the host's name and `$STATE_DIRECTORY`, and opens no file but those of the configuration.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use encoding_rs::Encoding;
use olog_daemon::{
    config::{ConfigFiles, Invalid, Table, read, read_text, show_span},
    socket,
};
use olog_proto::{DeviceName, LogKind, TEXT_MAX, name::is_unprintable};
use olog_push::{Channel, ChannelCatalog};
use regex::Regex;

use crate::files::{FilesConfig, Glob, Rule};

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod keys;

pub use keys::KEYS;

/// The log dir of a configuration that names none.
pub const DEFAULT_LOG_DIR: &str = "/var/log/olog";
/// A rule's `as`: its files are not watched.
pub const IGNORED: &str = "ignore";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the program trusts.
#[derive(Debug, Clone)]
pub struct Config {
    /// Needs a restart.
    pub fixed: Fixed,
    /// Changes with a reload.
    pub live: Arc<ReloadableConfig>,
}

/// What a running agent cannot change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// Where the key, the spool and the hub's address are kept.
    pub state_dir: PathBuf,
    /// Where the verbs ask.
    pub socket: PathBuf,
}

/// What a reload swaps.
#[derive(Debug)]
pub struct ReloadableConfig {
    /// The name that the device would like to have.
    pub device: DeviceName,
    /// How to reach it by ssh.
    pub address: Option<String>,
    /// What is watched, and how.
    pub files: FilesConfig,
    /// The agent's own push.
    pub push: Push,
    /// The whole configuration as a file would have it, every key with its value in force, secrets masked.
    pub effective: String,
}

/// `[push]`: the agent's own push, when the hub cannot be reached.
#[derive(Debug)]
pub struct Push {
    /// After so long without the hub.
    pub after: Duration,
    /// Where to.
    pub channels: Vec<Channel>,
}

/// Where the agent's configuration is.
pub fn source(named: Option<PathBuf>) -> ConfigFiles {
    ConfigFiles::new("agent", named)
}

/// Reads it, or returns every mistake in it.
pub fn load(source: &ConfigFiles) -> Result<Config, Invalid> {
    read(source, |root| parse(root, source.folder()))
}

/// What the files say, as far as they are right, and the defaults for the rest: for verbs that must go on although a file is broken. Whoever
/// asks may not be allowed to read the secrets either.
pub fn as_far_as_right(source: &ConfigFiles) -> Config {
    let mut found = None;
    let whole = read(source, |root| found = Some(parse(root, source.folder())));
    match (whole, found) {
        (_, Some(config)) => config,
        _ => defaults(),
    }
}

/// Without any file: for what must go on although the file is broken.
pub fn defaults() -> Config {
    // Nothing can be wrong with nothing.
    read_text("defaults", "", |root| parse(root, Path::new("/etc/olog")))
        .unwrap_or_else(|invalid| unreachable!("the defaults are sound: {invalid}"))
}

pub(crate) fn parse(root: &mut Table, folder: &Path) -> Config {
    root.declare(KEYS);
    let state_dir = root.take_path("state_dir", folder).unwrap_or_else(default_state_dir);
    root.show("state_dir", state_dir.display());
    let socket = root.take_path("socket", folder).unwrap_or_else(|| socket::default_path("olog-agent", &state_dir));
    root.show("socket", socket.display());
    let device = root.take_as("device", |text| text.parse::<DeviceName>().map_err(|e| e.to_string()));
    let device = device.unwrap_or_else(host_name);
    root.show("device", &device);
    let days: Option<u32> = root.take_int("log_keep_days");
    let log_dirs = root.take_list_as("log_dirs", |text| {
        if text.is_empty() { Err("expected a folder, found \"\"".into()) } else { Ok(folder.join(text)) }
    });
    let files = FilesConfig {
        settle: root.take_span("settle").unwrap_or_default(),
        settle_max: root.take_span("settle_max").unwrap_or_default(),
        rescan_every: root.take_span("rescan_every").unwrap_or_default(),
        spool_max: root.take_size("spool_max").unwrap_or_default(),
        encoding: root.take_as("encoding", encoding),
        rules: root.take_tables("rule").into_iter().map(rule).collect(),
        redact: root.take_list_as("redact", regex).unwrap_or_default(),
        keep: days.map(|days| DAY * days),
        ..FilesConfig::new(log_dirs.unwrap_or_default(), state_dir.clone())
    };
    if files.settle > files.settle_max {
        root.fault("settle", &format!("must not be longer than settle_max ({})", show_span(files.settle_max)));
    }
    let (address, push) = (root.take_as("address", address), Push::parse(root));
    let live = ReloadableConfig { device, address, files, push, effective: root.effective() };
    Config { fixed: Fixed { state_dir, socket }, live: Arc::new(live) }
}

fn regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|e| {
        // The crate draws the pattern over several lines; its last line says what is wrong.
        let words = e.to_string();
        let last = words.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        format!("expected a regular expression: {last}")
    })
}

fn encoding(label: &str) -> Result<&'static Encoding, String> {
    Encoding::for_label(label.as_bytes())
        .ok_or_else(|| format!("expected an encoding like \"utf-8\", \"gb18030\" or \"utf-16le\", found {label:?}"))
}

pub(crate) fn address(text: &str) -> Result<String, String> {
    let is_good = !text.is_empty() && text.len() <= TEXT_MAX && !text.chars().any(|c| is_unprintable(c) || c == ' ');
    if is_good { Ok(text.to_owned()) } else { Err("expected [USER@]HOST[:PORT]".into()) }
}

/// One `[[rule]]`.
fn rule(mut table: Table) -> Rule {
    let files = table.take_as("files", |pattern| match pattern {
        "" => Err("must not be empty".to_owned()),
        pattern => Glob::parse(pattern),
    });
    let choices = LogKind::ALL.map(|suffix| (suffix.as_str(), Some(suffix)));
    let meaning = table.take_choice("as", &[choices.as_slice(), &[(IGNORED, None)]].concat());
    let rule = Rule {
        files: files.unwrap_or_else(|| Glob::parse("*").unwrap_or_else(|_| unreachable!("a star is a pattern"))),
        ignore: table.take_list_as("ignore", regex).unwrap_or_default(),
        as_suffix: meaning.flatten(),
        is_ignored: meaning == Some(None),
        encoding: table.take_as("encoding", encoding),
    };
    table.finish();
    rule
}

impl Push {
    fn parse(root: &mut Table) -> Push {
        let types = ChannelCatalog::read(root);
        let mut table = root.section("push");
        let after = table.take_span("after").unwrap_or_default();
        let tables = table.take_tables("channel").into_iter();
        let take = |mut table: Table| {
            let channel = Channel::parse(&mut table, &types);
            table.finish();
            channel
        };
        let channels = tables.filter_map(take).collect();
        table.finish();
        Push { after, channels }
    }
}

/// `$STATE_DIRECTORY`, which systemd makes; it may name several, and the first is ours.
fn default_state_dir() -> PathBuf {
    let named = std::env::var("STATE_DIRECTORY").ok();
    let first = named.as_deref().and_then(|list| list.split(':').next()).filter(|first| !first.is_empty());
    PathBuf::from(first.unwrap_or("/var/lib/olog-agent"))
}

pub(crate) fn host_name() -> DeviceName {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let name = host.parse().or_else(|_| "localhost".parse());
    name.unwrap_or_else(|_| unreachable!("a constant name is a name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Result<Config, Invalid> {
        read_text("agent.toml", text, |root| parse(root, Path::new("/etc/olog")))
    }

    #[test]
    fn every_row_of_the_registry_is_read() {
        let text = "[[rule]]\nfiles = 'x'\n[push]";
        let unread = read_text("agent.toml", text, |root| {
            drop(parse(root, Path::new("/")));
            root.unread()
        });
        assert_eq!(unread.unwrap(), Vec::<&str>::new());
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let findings =
            typed(text).map(|_| ()).map_err(|Invalid(f)| f.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(findings.err().unwrap_or_default(), expected);
    }

    #[test]
    fn without_a_file_the_defaults_work() {
        let config = typed("").unwrap();
        let live = &config.live;
        let files = &live.files;
        assert_eq!(files.log_dirs, [Path::new("/var/log/olog")]);
        assert_eq!((files.settle, files.settle_max), (Duration::from_millis(100), Duration::from_secs(10)));
        assert_eq!((files.rescan_every, files.spool_max), (Duration::from_secs(3600), 1 << 30));
        assert_eq!((files.keep, live.push.after), (None, Duration::from_secs(60)));
        assert!(live.address.is_none() && files.rules.is_empty() && live.push.channels.is_empty());
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        check(
            "device = ''\naddress = 'a b'\nlog_dirs = '/x'\nlog_keep_days = 0\nspool_max = '1KiB'\nencoding = 'gbq'\nredact = ['(']\nsettle = '1h'\n[[rule]]\nas = 'scan'\nignor = []\n[push]\nafter = 'soon'\n",
            &[
                "agent.toml:1:10 device: a name must not be empty",
                "agent.toml:2:11 address: expected [USER@]HOST[:PORT]",
                "agent.toml:3:12 log_dirs: expected a list of strings, found a string",
                "agent.toml:4:17 log_keep_days: expected a whole number from 1 to 36500, found 0",
                "agent.toml:5:13 spool_max: must be at least 1MiB",
                "agent.toml:6:12 encoding: expected an encoding like \"utf-8\", \"gb18030\" or \"utf-16le\", found \"gbq\"",
                "agent.toml:7:11 redact: expected a regular expression: unclosed group",
                "agent.toml:8:10 settle: must not be longer than settle_max (10s)",
                "agent.toml:9:1 rule[0].files: is missing: expected a string",
                "agent.toml:10:6 rule[0].as: expected \"log\" or \"err\" or \"msg\" or \"scanerr\" or \"ignore\", found \"scan\"",
                "agent.toml:11:1 unknown key `ignor`, nearest `ignore`",
                "agent.toml:13:9 push.after: expected a span of time like \"100ms\", \"60s\", \"10m\", \"12h\" or \"7d\", found \"soon\"",
            ],
        );
        check(
            "tokne = 1\nlog_dir = []\n",
            &["agent.toml:1:1 unknown key `tokne`", "agent.toml:2:1 unknown key `log_dir`, nearest `log_dirs`"],
        );
    }

    #[test]
    fn every_documented_key_is_known() {
        let config = typed(
            r#"
            device = "comsrv"
            address = "ubuntu@10.20.0.233:22"
            log_dirs = ["/var/log/olog", "rel"]
            log_keep_days = 360
            state_dir = "/var/lib/olog-agent"
            socket = "/run/x.sock"
            settle = "0s"
            settle_max = "10s"
            rescan_every = "1h"
            spool_max = "1GiB"
            encoding = "gb18030"
            redact = ['(?i)password=\S+']
            [[rule]]
            files = "svc.err"
            ignore = ['^DEBUG']
            as = "scanerr"
            encoding = "gbk"
            [push]
            after = "60s"
            [[push.channel]]
            name = "me"
            type = "wxpusher"
            token = "AT_aaaaaaaaaaaaaaaaaaaaaaaa"
            uids = ["UID_x"]
            "#,
        );
        let config = config.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(config.live.files.log_dirs, [Path::new("/var/log/olog"), Path::new("/etc/olog/rel")]);
        let shown = &config.live.effective;
        assert!(!shown.contains("AT_aaaaa"), "{shown}");
        let again: toml::Table = shown.parse().unwrap_or_else(|e| panic!("{e}\n{shown}"));
        assert_eq!(again["rule"][0]["as"].as_str(), Some("scanerr"));
    }

    /// `#key = value` shows a default; `#   key = value` shows an example.
    #[test]
    fn the_shipped_file_documents_the_defaults() {
        let shipped = include_str!("../../../packaging/agent/agent.toml");
        assert_eq!(typed(shipped).unwrap().live.effective, typed("").unwrap().live.effective, "all of it is commented");
        let lines = |prefix: &str| -> String {
            let is_toml = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
            shipped.lines().filter_map(|l| l.strip_prefix(prefix)).filter(is_toml).map(|l| format!("{l}\n")).collect()
        };
        let defaults = typed(&lines("#")).unwrap_or_else(|e| panic!("{e}"));
        // Where the socket is depends on the folders of this machine.
        let but_socket =
            |shown: &str| shown.lines().filter(|l| !l.starts_with("socket")).collect::<Vec<_>>().join("\n");
        assert_eq!(but_socket(&defaults.live.effective), but_socket(&typed("").unwrap().live.effective));
        let examples = read_text("agent.toml", &lines("#   "), |root| parse(root, Path::new("/etc/olog")));
        // The secret's file is not there: nothing else may be wrong.
        let Err(Invalid(findings)) = examples else { panic!("the example's token_file cannot exist") };
        assert!(findings.iter().all(|f| f.key == "push.channel[0].token_file"), "{findings:?}");
        for key in ["device", "address", "log_keep_days", "encoding", "redact", "[[rule]]", "[[push.channel]]"] {
            assert!(shipped.contains(key), "{key} is not documented");
        }
    }
}

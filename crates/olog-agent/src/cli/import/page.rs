//! The configuration of the original client as this agent's own.
//!
//! Pure: turns the old configuration into TOML with a comment wherever a meaning has changed. Keys of the server are named, with the
//! command that imports them at the hub. The output files of the original are not watched any more.

use std::path::Path;

use olog_daemon::original::{OldConfig, Page, Traces, Words};
use olog_proto::DeviceName;

use crate::config::{self, DEFAULT_LOG_DIR};

/// The TOML of an old configuration that lies in `folder`.
pub(super) fn page(old: &OldConfig, traces: &Traces, (file, folder): (&Path, &Path), words: Words<'_>) -> String {
    let file = file.display().to_string();
    let mut page = Page::new(words);
    page.comment("import-head", &[("file", &file)]);
    page.remarks(&old.remarks);
    page.traces(traces);
    let device = device(&mut page, old);
    match &old.svr_ip {
        Some(host) if ["localhost", "127.0.0.1", "::1"].contains(&host.as_str()) => {
            page.comment("import-join-local", &[("device", &device)]);
        }
        Some(host) => {
            let server = old.svr_port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
            page.comment("import-join", &[("server", &server), ("device", &device)]);
        }
        None => page.comment("import-join-here", &[("device", &device)]),
    }
    if old.report_time.is_some() || old.html_dir.is_some() || old.html_url.is_some() || !old.device_tasks.is_empty() {
        page.comment("import-hub-keys", &[("file", &file)]);
    }
    if !old.log_dirs.is_empty() {
        let dirs = old.log_dirs.iter().map(|dir| folder.join(dir).display().to_string());
        let mut dirs: Vec<String> = dirs.filter(|dir| dir != DEFAULT_LOG_DIR).collect();
        dirs.insert(0, DEFAULT_LOG_DIR.to_owned());
        page.comment("import-log-dirs", &[]);
        page.value("log_dirs", dirs);
    }
    if let Some(days) = old.log_keep_days {
        page.comment("import-keep-days", &[]);
        page.value("log_keep_days", days);
    }
    page.line("");
    page.comment("import-not-watched", &[]);
    for files in traces.own_files() {
        page.line("[[rule]]");
        page.value("files", files);
        page.value("as", config::IGNORED);
    }
    if old.channel().is_some() {
        page.line("");
        page.comment("import-push", &[]);
        page.wxpusher("[[push.channel]]", old);
    }
    page.finish()
}

/// Writes the device's name and address, and returns the name for the command that joins it.
fn device(page: &mut Page<'_>, old: &OldConfig) -> String {
    let Some(device) = &old.device else { return config::host_name().as_str().to_owned() };
    let name = device.name.parse::<DeviceName>();
    match &name {
        Ok(name) => page.value("device", name.as_str()),
        Err(_) => page.comment("import-bad-name", &[("name", &device.name)]),
    }
    if let Some(address) = &device.address {
        match config::address(address) {
            Ok(address) => page.value("address", address),
            Err(_) => page.comment("import-bad-address", &[("address", address)]),
        }
    }
    name.unwrap_or_else(|_| config::host_name()).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use olog_daemon::{config::read_text, original::CronLine};
    use olog_push::words::{Arg, Language, Localizer};

    use super::*;

    fn imported(text: &str, language: Language) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("olog.cfg");
        fs::write(&file, text).unwrap();
        let old = OldConfig::read(&file).unwrap();
        let outputs = vec![PathBuf::from("/ologs/olog_client.log"), PathBuf::from("/ologs/watch.err")];
        let cron = vec![CronLine { file: "/etc/crontab".into(), line: 3, outputs }];
        let say = Localizer { language, timezone: chrono_tz::Tz::UTC, now: olog_proto::Timestamp(0) };
        let words = |key: &str, args: &[(&'static str, &str)]| {
            let args: Vec<Arg<'_>> = args.iter().map(|(name, value)| (*name, (*value).into())).collect();
            say.text(key, &args)
        };
        page(&old, &Traces { cron, ..Traces::default() }, (Path::new("olog.cfg"), Path::new("/opt/olog")), &words)
    }

    const TYPICAL: &str = r#"{ # the client
        "device": "comsrv#ubuntu@10.20.0.233:22", "log_dirs": ["/ologs", "logs"] "log_keep_days": 360, "report_time": "11:00",
        "svr_ip": "hub.example.com", "svr_port": 8765, "token": "AT_0123456789abcdef", "uids": ["UID_a"], "colour": "red"}"#;

    #[test]
    fn a_client_s_configuration_becomes_the_agent_s() {
        let expected = r##"# Imported from olog.cfg of olog.py. Read it, then write it with --write.
# olog.cfg: the key "colour" is unknown and left out.
# olog.py is started by /etc/crontab, line 3: remove that line when Olog works.
device = "comsrv"
address = "ubuntu@10.20.0.233:22"
# The server was hub.example.com:8765. To connect this device, run there: olog-hub join-link --device comsrv, and here: olog-agent join LINK
# report_time, htmldir, htmlurl and device_tasks belong to the hub: olog-hub import olog.cfg
# /var/log/olog is the folder of Olog itself (olog-agent exec uses it); the others are yours.
log_dirs = ["/var/log/olog", "/ologs", "/opt/olog/logs"]
# As before, but files that have not been reported yet are never deleted.
log_keep_days = 360

# The output of olog.py itself is not watched any more.
[[rule]]
files = "olog_client.*"
as = "ignore"
[[rule]]
files = "olog_server.*"
as = "ignore"
[[rule]]
files = "watch.err"
as = "ignore"

# Used only while the hub cannot be reached; otherwise the hub pushes.
[[push.channel]]
name = "wxpusher"
type = "wxpusher"
token_file = "olog-cfg.token"
uids = ["UID_a"]
"##;
        assert_eq!(imported(TYPICAL, Language::En), expected);
    }

    #[test]
    fn a_server_on_the_same_machine_needs_no_link_from_elsewhere() {
        let page = imported(r#"{"device": "alisrv", "svr_ip": "localhost"}"#, Language::En);
        assert!(page.contains("olog-hub join-link --local --device alisrv | olog-agent join"), "{page}");
        assert!(!page.contains("The server was"), "{page}");
    }

    #[test]
    fn every_imported_page_is_a_configuration_in_both_languages() {
        let odd = r#"{"device": "a b\n[x]#no address here", "log_dirs": "/x\"y", "tasks": {"p": ["t"]}}"#;
        for text in [TYPICAL, odd, "{}"] {
            for language in [Language::En, Language::ZhCn] {
                let toml = imported(text, language).replace("token_file = \"olog-cfg.token\"", "token = \"AT_x\"");
                let read = read_text("agent.toml", &toml, |root| config::parse(root, Path::new("/etc/olog")));
                read.unwrap_or_else(|invalid| panic!("{invalid}\n{toml}"));
            }
        }
        assert!(imported(odd, Language::ZhCn).contains("不能用作 Olog 中的名称"));
    }
}

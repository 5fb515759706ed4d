//! Files as people wrote them, and machines on which the original still runs.

use std::{fs, path::Path};

use super::{CronLine, OldConfig, OldConfigError, Remark, traces};

/// As the template has it: `#` comments, and no comma after `log_dirs`.
const TYPICAL: &str = r##"{
    # the name of this device # and how to reach it
    "device": "comsrv#ubuntu@10.20.0.233:22",
    "log_dirs": [ "/ologs", "/www/a#b/logs", ]   # a sharp sign in a text stays
    "log_keep_days": 360,
    "report_time": "9:05",
    "svr_ip": "192.0.2.7", "svr_port": "8765",
    "token": "AT_0123456789abcdef",
    "uids": ["UID_a", "UID_b", "UID_a"],
    "device_tasks": { "backupsrv#root@10.0.0.2": ["rsync", "dump"], "pi": [] },
    "htmldir": "/www/olog_html", "htmlurl": "https://www.example.com/olog_html",
}
"##;

fn parse(bytes: impl AsRef<[u8]>) -> Result<OldConfig, OldConfigError> {
    OldConfig::parse(Path::new("olog.cfg"), bytes.as_ref())
}

fn refusal(bytes: impl AsRef<[u8]>) -> String {
    parse(bytes).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn a_file_as_people_wrote_it_is_read_whole() {
    for text in [TYPICAL.to_owned(), format!("\u{feff}{TYPICAL}"), TYPICAL.replace('\n', "\r\n")] {
        let old = parse(&text).unwrap();
        let device = old.device.clone().unwrap();
        assert_eq!((device.name.as_str(), device.address.as_deref()), ("comsrv", Some("ubuntu@10.20.0.233:22")));
        assert_eq!(old.log_dirs, ["/ologs", "/www/a#b/logs"]);
        assert_eq!(
            (old.log_keep_days, old.report_time.as_deref(), old.svr_port),
            (Some(360), Some("09:05"), Some(8765))
        );
        assert_eq!((old.svr_ip.as_deref(), old.uids.len()), (Some("192.0.2.7"), 2));
        assert_eq!(old.channel().unwrap().reveal(), "AT_0123456789abcdef");
        assert_eq!(old.html_dir.as_deref(), Some("/www/olog_html"));
        assert_eq!(old.device_tasks["backupsrv"].address.as_deref(), Some("root@10.0.0.2"));
        assert!(old.device_tasks["backupsrv"].tasks.contains("dump") && old.device_tasks["pi"].tasks.is_empty());
        assert_eq!(old.remarks, []);
        assert!(!format!("{old:?}").contains("456789abcdef"), "a secret is never shown");
    }
}

#[test]
fn a_file_in_gbk_is_read_and_that_is_remarked() {
    let (bytes, _, _) = encoding_rs::GBK.encode(r#"{"device": "办公室#a@b", "tasks": {"办公室": ["备份"]}}"#);
    let old = parse(&bytes).unwrap();
    assert_eq!(old.device.unwrap().name, "办公室");
    assert!(old.device_tasks["办公室"].tasks.contains("备份"));
    assert_eq!(old.remarks, [Remark::Gbk]);
}

#[test]
fn what_is_no_configuration_is_refused_in_a_sentence() {
    assert_eq!(refusal(" \n"), "olog.cfg: is empty");
    assert_eq!(
        refusal(b"\x00\x01\x02"),
        "olog.cfg: is neither UTF-8 nor GBK text, so it is not the configuration of olog.py"
    );
    assert_eq!(
        refusal(b"\xff\xff\xff\xff"),
        "olog.cfg: is neither UTF-8 nor GBK text, so it is not the configuration of olog.py"
    );
    assert_eq!(refusal("[1]"), "olog.cfg: expected an object { \"key\": value }, as olog.py writes it");
    assert!(refusal("{\n\"device\": \n").starts_with("olog.cfg:"), "{}", refusal("{\n\"device\": \n"));
    assert!(refusal("[".repeat(100_000)).contains("nesting"), "{}", refusal("[".repeat(100_000)));
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("olog.cfg");
    fs::write(&large, vec![b' '; 10 << 20]).unwrap();
    assert!(
        OldConfig::read(&large)
            .unwrap_err()
            .to_string()
            .ends_with("is larger than 8 MiB, so it is not the configuration of olog.py")
    );
    assert!(OldConfig::read(&folder.path().join("none")).is_err());
}

#[test]
fn unknown_doubled_and_wrong_keys_are_named_and_the_rest_is_kept() {
    let old = parse(
        r#"{"device": "a", "device": "b", "colour": 1, "log_keep_days": -3, "report_time": "25:00", "svr_port": 70000,
            "uids": "UID_one", "tasks": {"c#x@y": ["t"]}, "device_tasks": {"c#z@y": ["u"]}}"#,
    )
    .unwrap();
    assert_eq!(old.device.unwrap().name, "b");
    assert_eq!(old.uids, ["UID_one"]);
    assert_eq!(old.device_tasks["c"].tasks.len(), 2);
    assert_eq!(
        old.remarks,
        [
            Remark::BothTasks,
            Remark::Twice("device".into()),
            Remark::UnknownKey("colour".into()),
            Remark::Wrong("log_keep_days".into(), "1–36500"),
            Remark::Wrong("report_time".into(), "\"HH:MM\""),
            Remark::Wrong("svr_port".into(), "1–65535"),
            Remark::TwoAddresses("c".into()),
        ]
    );
}

#[test]
fn hostile_files_end_soon_and_within_bounds() {
    let doubled = format!("{{{}}}", r#""a": 1,"#.repeat(200_000));
    assert_eq!(parse(doubled).unwrap().remarks.len(), 2);
    let unknown: String = (0..200_000).map(|i| format!("\"k{i}\": 1,")).collect();
    assert_eq!(parse(format!("{{{unknown}}}")).unwrap().remarks.len(), 100);
    let devices: String = (0..100_000).map(|i| format!("\"d{i}#a@b\": [\"t\"],")).collect();
    assert_eq!(parse(format!("{{\"device_tasks\": {{{devices}}}}}")).unwrap().device_tasks.len(), 100_000);
}

#[test]
fn what_still_runs_here_is_found() {
    let root = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &[u8]| {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("proc/17/cmdline", b"/usr/bin/python3\0-u\0/opt/olog/olog.py\0client\0run\0");
    put("proc/18/cmdline", b"vim\0olog.py\0");
    put("proc/self/cmdline", b"python3\0olog.py\0");
    put("etc/crontab", b"# olog.py was here\n17 * * * * root run-parts /etc/cron.hourly\n");
    put(
        "var/spool/cron/crontabs/root",
        b"\n@reboot cd /opt/olog && python3 olog.py client run 1>/ologs/olog_client.log 2>/ologs/old.err\n* * * * * /opt/my_olog.py\n",
    );
    let found = traces(root.path());
    assert_eq!(found.processes.iter().map(|p| p.pid).collect::<Vec<_>>(), [17]);
    let file = root.path().join("var/spool/cron/crontabs/root");
    assert_eq!(
        found.cron,
        [CronLine { file, line: 2, outputs: vec!["/ologs/olog_client.log".into(), "/ologs/old.err".into()] }]
    );
    assert_eq!(found.own_files(), ["olog_client.*", "olog_server.*", "old.err"]);
}

#[test]
fn what_import_writes_goes_through_no_link_that_lies_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (victim, path) = (folder.path().join("victim"), folder.path().join("agent.toml"));
    for there in ["", "root's"] {
        if !there.is_empty() {
            fs::write(&victim, there).unwrap();
        }
        drop(fs::remove_file(&path));
        std::os::unix::fs::symlink(&victim, &path).unwrap();
        let refused = super::put::create(&path, "device = 'pi'", 0o640, None).unwrap_err();
        assert!(matches!(refused, super::put::PutError::Exists(_)), "{refused}");
        assert_eq!(fs::read_to_string(&victim).unwrap_or_default(), there);
    }
}

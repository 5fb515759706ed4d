//! `import` of both programs: the old `olog.cfg` as people wrote it becomes a configuration that the daemons take.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use olog_journeys::{
    daemon::{Daemon, Said},
    old_client::{OldClient, task},
    world::{Hub, World},
};
use serde_json::json;

const TOKEN: &str = "AT_ofTheOldDays";

/// With `#` comments, without the comma after `log_dirs`, as the template had it.
fn old_config(logs: &Path) -> String {
    format!(
        "{{\n    # this device\n    \"device\": \"comsrv#ubuntu@10.20.0.233:22\",\n    \"log_dirs\": [{logs:?}]  # watched\n    \
         \"log_keep_days\": 360,\n    \"report_time\": \"9:05\",\n    \"svr_ip\": \"localhost\",\n    \"token\": \"{TOKEN}\",\n    \
         \"uids\": [\"UID_me\"],\n    \"device_tasks\": {{ \"nas#root@10.0.0.2\": [\"rsync\", \"dump\"], \"pi\": [] }},\n}}\n"
    )
}

struct Old {
    world: World,
    hub: Hub,
    file: PathBuf,
}

impl Old {
    async fn new() -> Old {
        let world = World::new().await;
        // The report's time comes from the old file.
        let hub = world.hub_with("", "[report]\nkeep_days = 7\n");
        let file = world.folder().join("olog.cfg");
        Old { world, hub, file }
    }

    fn import(&self, daemon: &Daemon, args: &[&str]) -> Said {
        daemon.verb(&[&["import", self.file.to_str().unwrap()], args].concat())
    }
}

fn beside(daemon: &Daemon, path: &str) -> PathBuf {
    daemon.config().parent().unwrap().join(path)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hub_prints_then_writes_and_no_imported_name_is_new_in_the_report() {
    let old = Old::new().await;
    let hub = &old.hub;
    fs::write(&old.file, old_config(Path::new("/ologs"))).unwrap();
    let file = beside(&hub.daemon, "hub.d/20-olog-cfg.toml");
    let page = old.import(&hub.daemon, &[]).good();
    assert!(page.contains("at = [\"09:05\"]") && page.contains("#[[device]]"), "{page}");
    assert!(!file.exists() && !page.contains(TOKEN), "only printed: {page}");

    let said = old.import(&hub.daemon, &["--write"]).good();
    let token = beside(&hub.daemon, "secrets/hub/olog-cfg.token");
    assert!(said.contains(file.to_str().unwrap()) && said.contains(token.to_str().unwrap()), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), page);
    assert_eq!((fs::read_to_string(&token).unwrap().trim(), mode(&token)), (TOKEN, 0o600));
    hub.verb(&["check"]).good();

    // Once more: nothing is overwritten.
    fs::write(&old.file, old_config(Path::new("/other")).replace("9:05", "10:10")).unwrap();
    let said = old.import(&hub.daemon, &["--write"]);
    assert!(said.status.code() == Some(1) && said.err.contains("is there already"), "{said:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), page);

    // The running hub lets the old clients in, and knows their names.
    hub.wait("the names are taken in", |hub| {
        (hub.query::<i64>("SELECT count(*) FROM known_names").iter().sum::<i64>() > 0).then_some(())
    });
    for (name, tasks) in [("nas", ["rsync", "dump"]), ("camera", ["clean", "upload"])] {
        let mut client = OldClient::open(hub.port, TOKEN, name).await;
        let at = "2026-01-01 03:30:00";
        client.report(&json!({ tasks[0]: task("ok", at, ""), tasks[1]: task("ok", at, "") })).await;
    }
    hub.wait("four tasks", |hub| (hub.list(&["task", "list"]).len() == 4).then_some(()));
    hub.verb(&["report", "now", "--push"]).good();
    let page: String = hub.query("SELECT page FROM reports WHERE page IS NOT NULL").remove(0);
    let (_, changed) = page.split_once("<h2>Changed").unwrap_or_else(|| panic!("{page}"));
    let changed = changed.split("<h2>").next().unwrap();
    assert!(changed.contains("camera"), "{changed}");
    assert!(!changed.contains("nas") && !changed.contains("rsync"), "{changed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_declare_what_the_original_knew_is_expected() {
    let old = Old::new().await;
    fs::write(&old.file, old_config(Path::new("/ologs"))).unwrap();
    old.import(&old.hub.daemon, &["--declare", "--write"]).good();
    let checked = old.hub.verb(&["check"]).good();
    for task in ["nas/rsync", "nas/dump"] {
        assert!(checked.contains(&format!("{task} has to run between two reports")), "{checked}");
    }
    old.hub.wait("the running hub takes it", |hub| {
        hub.daemon.log_text().contains("[legacy] lets old clients in").then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_watches_the_old_folders_afterwards_under_the_old_name() {
    let old = Old::new().await;
    let logs = old.world.folder().join("ologs");
    fs::create_dir(&logs).unwrap();
    fs::write(&old.file, old_config(&logs)).unwrap();
    let mut agent = old.world.agent_off("fresh", "", "");
    let file = beside(&agent.daemon, "agent.d/20-olog-cfg.toml");
    let page = old.import(&agent.daemon, &[]).good();
    assert!(!file.exists() && !page.contains(TOKEN), "only printed: {page}");
    old.import(&agent.daemon, &["--write"]).good();
    assert_eq!(fs::read_to_string(&file).unwrap(), page);
    assert_eq!(mode(&beside(&agent.daemon, "secrets/agent/olog-cfg.token")), 0o600);
    let checked = agent.daemon.verb(&["check"]).good();
    assert!(checked.contains("comsrv") && checked.contains("ubuntu@10.20.0.233:22"), "{checked}");
    let said = old.import(&agent.daemon, &["--write"]);
    assert!(said.status.code() == Some(1) && said.err.contains("is there already"), "{said:?}");

    agent.join(&old.hub);
    agent.start();
    agent.wait_connected();
    fs::write(logs.join("olog_client.err"), "the output of the old program\n").unwrap();
    fs::write(logs.join("mysql.err"), "mysql is not running\n").unwrap();
    let push = old.world.push("ERR comsrv/mysql").await;
    assert!(push.text().contains("ssh ubuntu@10.20.0.233"), "{}", push.text());
    assert_eq!(old.world.n_pushes("the output of the old program"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_as_people_saved_them_are_read_by_both_programs_and_what_is_none_is_refused() {
    let old = Old::new().await;
    let agent = old.world.agent_off("pi", "", "");
    let text = old_config(Path::new("/ologs")).replace("comsrv", "办公室").replace("\"pi\"", "\"树莓派\"");
    // As a Chinese Windows saves it.
    let (gbk, _, _) = encoding_rs::GBK.encode(&text);
    let doubled =
        text.replace("\"log_keep_days\": 360", "\"log_keep_days\": 30, \"colour\": 1, \"log_keep_days\": 360");
    let good: [(&[u8], &str); 4] = [
        (text.as_bytes(), ""),
        (&[b"\xef\xbb\xbf", text.as_bytes()].concat(), ""),
        (&gbk, "GBK"),
        (doubled.as_bytes(), "\"log_keep_days\" stands more than once"),
    ];
    for (bytes, remark) in good {
        fs::write(&old.file, bytes).unwrap();
        for (daemon, name) in [(&old.hub.daemon, "树莓派"), (&agent.daemon, "办公室")] {
            let page = old.import(daemon, &[]).good();
            assert!(page.contains(name) && page.contains(remark), "{remark}: {page}");
        }
    }
    let refused: [(&[u8], &str); 5] = [
        (b"", "is empty"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "is neither UTF-8 nor GBK text"),
        (&vec![b' '; 10 << 20], "is larger than 8 MiB"),
        (b"{ \"device\": \"half", "olog.cfg:1:13"),
        (b"device = \"toml\"", "olog.cfg"),
    ];
    for (bytes, words) in refused {
        fs::write(&old.file, bytes).unwrap();
        for daemon in [&old.hub.daemon, &agent.daemon] {
            let said = old.import(daemon, &["--write"]);
            assert!(said.status.code() == Some(1) && said.err.contains(words), "{words}: {said:?}");
            assert_eq!(said.out, "");
        }
    }
    fs::remove_file(&old.file).unwrap();
    assert!(old.import(&agent.daemon, &[]).err.contains("cannot be read"));
    for path in ["hub.d/20-olog-cfg.toml", "secrets/hub/olog-cfg.token"] {
        assert!(!beside(&old.hub.daemon, path).exists(), "{path}");
    }
}

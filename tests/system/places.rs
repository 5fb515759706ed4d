//! Unusual machines: without some program, with a wrong clock, or without systemd.

use crate::{
    installed::{DAEMONS, Release, evening},
    site::Site,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn without_a_journal_everything_goes_on() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    machine.good(
        "systemctl mask --now systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket \
         systemd-journald.service",
    );
    assert_eq!(machine.property("systemd-journald", "ActiveState"), "inactive");
    machine.good("echo 'while it runs' > /var/log/olog/runs.err");
    site.push("while it runs").await;
    machine.good("systemctl restart olog-hub olog-agent");
    machine.wait_connected();
    machine.good("echo 'after a restart' > /var/log/olog/restart.err");
    site.push("after a restart").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn without_ipv6_everything_works() {
    let site = Site::new().await;
    let machine = site.boot("pi");
    machine.disable_ipv6();
    assert_eq!(machine.good("ip -6 address").trim(), "");
    for daemon in DAEMONS {
        // As on a kernel without it.
        let none = "[Service]\nRestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX AF_INET\n";
        machine.write(&format!("/etc/systemd/system/{daemon}.service.d/ipv4.conf"), none);
    }
    machine.install(Release::This, &DAEMONS);
    machine.configure_hub(&site, "");
    machine.join_itself();
    machine.wait_connected();
    machine.good("echo 'by the old road' > /var/log/olog/road.err");
    site.push("by the old road").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn the_state_of_a_newer_version_is_left_alone_with_words() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    machine.good("systemctl stop olog-agent olog-hub");
    machine.edit("/var/lib/olog-agent/spool.db", "PRAGMA user_version = 9999");
    let newer = "UPDATE refinery_schema_history SET version = 9999 WHERE version = (SELECT max(version) FROM refinery_schema_history)";
    machine.edit("/var/lib/olog-hub/olog.db", newer);
    machine.sh("systemctl start olog-agent olog-hub");
    for (daemon, words) in
        [("olog-agent", "install the newer olog-agent again"), ("olog-hub", "install the newer olog-hub again")]
    {
        machine.wait(&format!("{daemon} says why"), |machine| machine.log(daemon).contains(words).then_some(()));
        assert_ne!(machine.property(daemon, "ActiveState"), "active");
    }
    // No file was set aside, and no numbering began again.
    let files = machine.good("ls /var/lib/olog-agent /var/lib/olog-hub");
    assert!(!files.contains("damaged") && !files.contains("aside"), "{files}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_user_runs_both_programs_by_hand() {
    let site = Site::new().await;
    let machine = site.boot("pi");
    machine.install(Release::This, &DAEMONS);
    machine.good("systemctl disable --now olog-hub olog-agent && useradd --create-home alice");
    // With the defaults of the daemon, she is told what she is not allowed to do, where, and what would help.
    for (program, place) in [("olog-hub", "/var/lib/olog-hub"), ("olog-agent", "/var/lib/olog-agent")] {
        let said = machine.sh_as("alice", &format!("timeout 20 {program} run"));
        assert_eq!(said.status.code(), Some(1), "{program}: {}{}", said.out, said.err);
        assert!(said.err.contains(place) && said.err.contains("ermission denied"), "{program}: {}", said.err);
    }
    // With her own configuration.
    let hub = format!(
        "listen = \"127.0.0.1:9876\"\npublic_url = \"https://127.0.0.1:9876\"\nstate_dir = \"hub\"\nlanguage = \"en\"\ntimezone = \"UTC\"\n{}",
        site.phone.channel("channel", "me").replace("\n\n", "\n")
    );
    let hub = hub.replace("state_dir = \"hub\"", "state_dir = \"/home/alice/hub\"\nsocket = \"/home/alice/hub.sock\"");
    let agent = "device = \"alice\"\nlog_dirs = [\"/home/alice/logs\"]\nstate_dir = \"/home/alice/agent\"\nsocket = \"/home/alice/agent.sock\"\n";
    machine.write("/home/alice/hub.toml", &hub);
    machine.write("/home/alice/agent.toml", agent);
    let run = "cd && mkdir -p hub agent logs && for p in hub agent; do olog-$p run --config $p.toml > $p.out 2> $p.err & done";
    machine.sh_as("alice", run).good();
    let asked = "cd && olog-hub join-link --config hub.toml";
    let link = machine.wait("her hub answers", |machine| {
        let said = machine.sh_as("alice", asked);
        said.status.success().then_some(said.out)
    });
    machine.sh_as("alice", &format!("cd && echo '{}' | olog-agent join --config agent.toml", link.trim())).good();
    machine.sh_as("alice", "echo 'by hand' > /home/alice/logs/hand.err").good();
    let push = site.push("ERR alice/hand").await;
    assert!(push.text().contains("by hand"), "{}", push.text());
    for program in ["hub", "agent"] {
        assert_eq!(machine.read(&format!("/home/alice/{program}.out")), "");
        assert!(!machine.read(&format!("/home/alice/{program}.err")).is_empty());
    }
}

/// A wrong clock for the agent alone, because the kernel's clock belongs to the whole host.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_clock_before_1980_that_jumps_deletes_nothing_and_reaches_the_hub() {
    let site = Site::new().await;
    let machine = site.boot("pi");
    machine.install(Release::This, &DAEMONS);
    // A certificate that is not valid in 1975.
    let made = tempfile::tempdir().unwrap();
    olog_journeys::proxy::certificates(made.path(), "localhost");
    let file = |name: &str| std::fs::read_to_string(made.path().join(name)).unwrap();
    machine.write("/etc/olog/cert.pem", &file("cert.pem"));
    machine.write("/etc/olog/key.pem", &file("key.pem"));
    machine.write("/usr/local/share/ca-certificates/ours.crt", &file("ca.pem"));
    machine.good("update-ca-certificates && chown olog-hub /etc/olog/key.pem");
    let tls = "public_url = \"https://localhost:8765\"\n[tls]\nmode = \"files\"\ncert = \"/etc/olog/cert.pem\"\nkey = \"/etc/olog/key.pem\"\n";
    machine.write("/etc/olog/hub.d/10-tls.toml", tls);
    machine.good("systemctl restart olog-hub");
    machine.configure_hub(&site, "");
    machine.good("touch --date 2020-01-01 /var/log/olog/old.log && echo x > /var/log/olog/old.err && touch --date 1974-01-01 /var/log/olog/old.err");
    machine.write("/etc/olog/agent.d/10-keep.toml", "log_keep_days = 30\n");
    let library = machine.good("ls /usr/lib/*/faketime/libfaketime.so.1");
    let other_time = format!(
        "[Service]\nEnvironment=LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE=/etc/faketimerc FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1\n",
        library.trim()
    );
    machine.write("/etc/systemd/system/olog-agent.service.d/time.conf", &other_time);
    machine.write("/etc/faketimerc", "@1975-01-01 00:00:00\n");
    machine.good("systemctl daemon-reload && systemctl restart olog-agent");
    machine.good("olog-hub join-link --local | olog-agent join");
    machine.wait_connected();
    machine.good("echo 'in another year' > /var/log/olog/year.err");
    site.push("in another year").await;
    let skew = machine.query::<Option<i64>>("SELECT skew FROM devices");
    assert!(skew.iter().all(|skew| skew.is_some_and(|ms| ms < -40 * 365 * 86_400_000)), "{skew:?}");
    // The clock is set, as by NTP after a boot.
    machine.write("/etc/faketimerc", "+0\n");
    machine.good("systemctl restart olog-agent");
    machine.wait_connected();
    machine.good("echo 'in this year' > /var/log/olog/now.err");
    site.push("in this year").await;
    let skew = machine.query::<Option<i64>>("SELECT skew FROM devices");
    assert!(skew.iter().all(|skew| skew.is_some_and(|ms| ms.abs() < 3_600_000)), "{skew:?}");
    assert_eq!(machine.good("ls /var/log/olog").trim(), "now.err\nold.err\nold.log\nyear.err");
}

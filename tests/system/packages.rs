//! What a Debian user expects of the packages: remove keeps state and configuration, purge deletes them, an upgrade loses nothing.

use crate::{
    installed::{DAEMONS, Release, evening},
    site::Site,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn remove_keeps_what_a_later_install_goes_on_with() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    machine.good("echo 'before it was removed' > /var/log/olog/before.err");
    site.push("before it was removed").await;
    machine.all_told(&site).await;
    machine.write("/etc/olog/agent.toml", "# mine\naddress = \"ubuntu@pi\"\n");
    let key = machine.read("/var/lib/olog-agent/device.key");
    for daemon in DAEMONS {
        // What `dpkg --verify` and `debsums` compare.
        machine.good(&format!("cd / && grep -q usr/bin/{daemon} /var/lib/dpkg/info/{daemon}.md5sums && md5sum --quiet --check /var/lib/dpkg/info/{daemon}.md5sums"));
        assert!(machine.path(&format!("/usr/share/doc/{daemon}/book/zh-CN/src/channels.md")).exists());
    }
    machine.apt("remove olog-hub olog-agent");
    for daemon in DAEMONS {
        assert_eq!(machine.property(daemon, "ActiveState"), "inactive");
        assert!(!machine.path(&format!("/usr/bin/{daemon}")).exists());
        assert!(!machine.path(&format!("/run/{daemon}")).exists());
    }
    assert!(machine.good("pgrep --list-full olog- || true").is_empty());
    machine.good("echo 'while it was removed' > /var/log/olog/while.err");
    machine.install(Release::This, &DAEMONS);
    machine.wait_connected();
    site.push("while it was removed").await;
    assert_eq!(machine.read("/var/lib/olog-agent/device.key"), key);
    assert_eq!(machine.read("/etc/olog/agent.toml"), "# mine\naddress = \"ubuntu@pi\"\n");
    machine.all_told(&site).await;
    assert_eq!(machine.n_events("before it was removed"), 1);
    assert_eq!(machine.query::<i64>("SELECT count(*) FROM devices"), [1]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn purge_leaves_the_logs_of_others_and_nothing_of_its_own() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    machine.good("echo 'worth keeping' > /var/log/olog/mine.log");
    machine.all_told(&site).await;
    // A file that the user added.
    machine.write("/etc/olog/agent.d/50-mine.toml", "log_keep_days = 30\n");
    machine.good("rm /etc/olog/hub.d/20-phone.toml");
    machine.apt("purge olog-hub olog-agent");
    for gone in ["/var/lib/olog-hub", "/var/lib/olog-agent", "/run/olog-hub", "/run/olog-agent", "/etc/olog/secrets"] {
        assert!(!machine.path(gone).exists(), "{gone}");
    }
    for gone in ["/etc/olog/hub.toml", "/etc/olog/agent.toml"] {
        assert!(!machine.path(gone).exists(), "{gone}");
    }
    assert_eq!(machine.read("/var/log/olog/mine.log"), "worth keeping\n");
    assert_eq!(machine.read("/etc/olog/agent.d/50-mine.toml"), "log_keep_days = 30\n");
    // Beside the two: what the test itself brought, and other people's `nologin`.
    let left = machine
        .good("find /etc /usr /var /run /tmp -xdev -name '*olog*' -not -name '*nologin*' -not -name 10-olog.network");
    assert_eq!(left.trim(), "/etc/olog\n/var/log/olog");
    // A new installation finds nothing of the first one.
    machine.install(Release::This, &DAEMONS);
    for daemon in DAEMONS {
        assert_eq!(machine.property(daemon, "ActiveState"), "active", "{}", machine.log(daemon));
    }
    assert_eq!(machine.status().unwrap()["joined"], false);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn an_upgrade_keeps_state_and_configuration_and_loses_nothing() {
    let site = Site::new().await;
    let machine = site.boot("pi");
    machine.install(Release::Older, &DAEMONS);
    machine.configure_hub(&site, "");
    machine.join_itself();
    machine.wait_connected();
    // Changed conffiles: no question is asked, and the changes stay.
    let mine = "# mine\naddress = \"ubuntu@pi\"\n";
    machine.write("/etc/olog/agent.toml", mine);
    machine.write("/etc/olog/hub.toml", "# mine too\nevent_keep_days = 30\n");
    // Somebody writes all the time.
    let writer = "systemd-run --unit writer sh -c 'n=0; while :; do n=$((n+1)); echo step $n >> /var/log/olog/steps.err; sleep 0.05; done'";
    machine.good(writer);
    site.push("ERR pi/steps").await;
    let before: Vec<String> = DAEMONS.map(|daemon| machine.property(daemon, "MainPID")).into();
    machine.install(Release::This, &DAEMONS);
    machine.wait_connected();
    machine.good("systemctl stop writer");
    for (daemon, before) in DAEMONS.iter().zip(before) {
        assert_eq!(machine.property(daemon, "ActiveState"), "active");
        assert_ne!(machine.property(daemon, "MainPID"), before, "{daemon} still runs as the old one");
        assert!(machine.good(&format!("dpkg-query --show {daemon}")).contains("0.1.0"));
    }
    assert_eq!(machine.read("/etc/olog/agent.toml"), mine);
    assert_eq!(machine.read("/etc/olog/hub.toml"), "# mine too\nevent_keep_days = 30\n");
    assert_eq!(machine.good("find /etc/olog -name '*.dpkg-*'").trim(), "");
    machine.wait_sent();
    machine.all_told(&site).await;
    // Every byte of the file once and in order, whichever version read it.
    assert_eq!(machine.query::<i64>("SELECT missing FROM epochs"), [0]);
    let counted = "SELECT count(*) - count(DISTINCT n) FROM events";
    assert_eq!(machine.query::<i64>(counted), [0]);
    let steps = "SELECT max(n) - count(*) FROM events";
    assert_eq!(machine.query::<i64>(steps), [0], "a number is missing");
    assert_eq!(site.n_pushes("LOST"), 0, "{}", site.phone.story());
    let last = machine.read("/var/log/olog/steps.err").lines().last().unwrap().to_owned();
    assert!(machine.n_events(&last) >= 1, "{last} is not in the store");
}

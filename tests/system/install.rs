//! The first evening on a bare Debian: two packages, one command, and a push on the phone.

use std::fs;

use crate::{
    installed::{DAEMONS, Release, evening},
    site::Site,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn two_packages_on_a_bare_debian_leave_both_daemons_serving() {
    let site = Site::new().await;
    let machine = site.boot("bare");
    machine.install(Release::This, &DAEMONS);
    for daemon in DAEMONS {
        // Type=notify: active means that it said READY.
        assert_eq!(machine.property(daemon, "ActiveState"), "active", "{}", machine.log(daemon));
        assert_eq!(machine.property(daemon, "UnitFileState"), "enabled");
        assert_eq!(machine.property(daemon, "NRestarts"), "0");
    }
    // The status says what to do next.
    assert!(machine.good("systemctl status olog-agent").contains("`olog-hub join-link --local | olog-agent join`"));
    assert!(machine.good("systemctl status olog-hub").contains("`olog-hub setup`"));
    assert!(machine.hub("check").good().contains("no [[channel]]"));
    let mode = |path: &str| machine.good(&format!("stat --format '%a %U:%G' {path}")).trim().to_owned();
    assert_eq!(mode("/etc/olog"), "755 root:root");
    assert_eq!(mode("/etc/olog/secrets/hub"), "750 root:olog-hub");
    assert_eq!(mode("/etc/olog/secrets/agent"), "750 root:olog-agent");
    assert_eq!(mode("/var/log/olog"), "1777 olog-agent:olog-agent");
    assert!(mode("/var/lib/olog-hub").starts_with("700 olog-hub:"));
    assert_eq!(mode("/var/lib/olog-agent"), "700 olog-agent:olog-agent");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn the_sandboxes_leave_little_to_fear() {
    let site = Site::new().await;
    let machine = site.boot("bare");
    machine.install(Release::This, &DAEMONS);
    let exposure = |unit: &str| -> f64 {
        let said = machine.good(&format!("systemd-analyze security --no-pager {unit}"));
        let verdict = said.split("Overall exposure level for ").nth(1).and_then(|rest| rest.split(": ").nth(1));
        verdict.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_else(|| panic!("{said}"))
    };
    assert!(exposure("olog-hub.service") <= 1.3, "{}", exposure("olog-hub.service"));
    assert!(exposure("olog-agent.service") <= 1.8, "{}", exposure("olog-agent.service"));
    machine.good("systemd-analyze verify --man=no olog-hub.service olog-agent.service");
}

/// Sets `fs.protected_regular` as Debian does: in a sticky folder, nobody opens another user's file for writing. The setting belongs to the
/// whole kernel.
struct ProtectedRegular(String);

impl ProtectedRegular {
    const FILE: &str = "/proc/sys/fs/protected_regular";

    fn as_debian() -> ProtectedRegular {
        let before = fs::read_to_string(ProtectedRegular::FILE).unwrap();
        fs::write(ProtectedRegular::FILE, "2").unwrap();
        ProtectedRegular(before)
    }
}

impl Drop for ProtectedRegular {
    fn drop(&mut self) {
        fs::write(ProtectedRegular::FILE, &self.0).ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn every_users_files_reach_the_phone_and_belong_to_who_made_them() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    let _debian = ProtectedRegular::as_debian();
    machine.good("umask 077; echo 'no space left' > /var/log/olog/@backup@.err");
    let backup = site.push("ERR pi/backup").await;
    assert!(backup.text().contains("no space left"), "{}", backup.text());
    machine.sh_as("nobody", "umask 077; echo 'disk on fire' > /var/log/olog/@scrub@.err").good();
    let scrub = site.push("ERR pi/scrub").await;
    assert!(scrub.text().contains("disk on fire"), "{}", scrub.text());
    machine.sh_as("www-data", "mkdir /var/log/olog/www && echo 'out of coffee' > /var/log/olog/www/site.msg").good();
    site.push("out of coffee").await;
    assert_eq!(machine.good("stat --format '%a %U' /var/log/olog/@*").trim(), "600 root\n600 nobody");
    // The second user's `>` fails, even root's: another job takes another file.
    for (user, file) in [("root", "@scrub@.err"), ("nobody", "@backup@.err"), ("www-data", "@scrub@.err")] {
        let said = machine.sh_as(user, &format!("echo mine > /var/log/olog/{file}"));
        assert!(!said.status.success() && said.err.contains("Permission denied"), "{user}: {}", said.err);
    }
    assert_eq!(machine.read("/var/log/olog/@backup@.err"), "no space left\n");
    // Nor may a user remove another user's file.
    assert!(!machine.sh_as("nobody", "rm -f /var/log/olog/@backup@.err").status.success());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn verbs_know_who_asks() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    machine.good("useradd --create-home --groups olog-admin alice");
    for user in ["root", "olog-hub", "alice"] {
        let said = machine.sh_as(user, "olog-hub device list");
        assert!(said.status.success() && said.out.contains("pi"), "{user}: {}{}", said.out, said.err);
    }
    let said = machine.sh_as("nobody", "olog-hub device list");
    assert_eq!(said.status.code(), Some(1));
    assert!(said.err.contains("/run/olog-hub/hub.sock") && said.err.contains("olog-admin"), "{}", said.err);
    // Anybody may read the agent's status and report a run.
    for user in ["root", "olog-agent", "alice", "nobody"] {
        let said = machine.sh_as(user, "olog-agent status");
        assert!(said.status.success() && said.out.contains("connected"), "{user}: {}{}", said.out, said.err);
    }
    let said = machine.sh_as("nobody", "olog-agent exec --task sweep -- sh -c 'echo broom broke >&2; exit 3'");
    assert_eq!(said.status.code(), Some(3), "{}", said.err);
    site.push("ERR pi/sweep").await;
    // A user without the right to join is told why, and nothing has changed.
    let link = machine.hub("join-link --local").good();
    let said = machine.sh_as("nobody", &format!("echo '{}' | olog-agent join", link.trim()));
    assert_eq!(said.status.code(), Some(1), "{}{}", said.out, said.err);
    assert!(said.err.contains("/var/lib/olog-agent"), "{}", said.err);
    // The link is still valid, and the agent's own user may use it.
    machine.sh_as("olog-agent", &format!("echo '{}' | olog-agent join", link.trim())).good();
    let owners = machine.good("find /var/lib/olog-agent -printf '%u:%g\\n' | sort --unique");
    assert_eq!(owners.trim(), "olog-agent:olog-agent");
    machine.wait_connected();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn the_journal_names_device_and_task_and_holds_no_secret() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    machine.good("echo 'password=hunter2secret no space left' > /var/log/olog/@backup@.err");
    site.push("ERR pi/backup").await;
    machine.good("rm /var/log/olog/@backup@.err");
    site.push("OVER pi/backup").await;
    let link = machine.hub("join-link --local").good();
    let secret = link.trim().rsplit('#').next().unwrap();
    for (unit, field, value) in
        [("olog-agent", "OLOG_TASK", "backup"), ("olog-hub", "OLOG_DEVICE", "pi"), ("olog-hub", "OLOG_TASK", "backup")]
    {
        let entries = machine.good(&format!("journalctl --no-pager --unit {unit} {field}={value}"));
        assert!(!entries.contains("-- No entries --"), "{unit} has no {field}={value}:\n{}", machine.log(unit));
    }
    let all = machine.good("journalctl --no-pager --output json");
    let key = machine.read("/var/lib/olog-agent/device.key");
    for secret in [olog_journeys::phone::TOKEN, "hunter2secret", secret, key.trim()] {
        assert!(!all.contains(secret), "the journal holds {secret}");
    }
}

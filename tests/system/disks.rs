//! Full disks, and log dirs that disappear, come back, or cannot be written.

use crate::{installed::evening, machine::Machine, site::Site};

/// Moves the daemon's state to a small disk, and sets the shortest watchdog that is allowed.
fn move_to_a_small_disk(machine: &Machine, daemon: &str) {
    // The errors of the one device here are more than it may have open at the same time.
    machine.write("/etc/olog/hub.d/20-limits.toml", "[limits]\nopen_incidents = 1000\n");
    let soon = "[Service]\nWatchdogSec=6s\nTimeoutAbortSec=1s\n";
    machine.write(&format!("/etc/systemd/system/{daemon}.service.d/soon.conf"), soon);
    machine.good(&format!(
        "systemctl daemon-reload && systemctl stop {daemon} && cp --archive /var/lib/{daemon} /root/state && \
         mount -t tmpfs -o size=16m,mode=0700 small /var/lib/{daemon} && cp --archive /root/state/. /var/lib/{daemon}/ && \
         systemctl start {daemon}"
    ));
    machine.wait_connected();
}

fn fill(machine: &Machine, daemon: &str) {
    // It fails when the disk is full, as intended.
    machine.sh(&format!("dd if=/dev/zero of=/var/lib/{daemon}/ballast bs=4k"));
    // More than the slack that a database keeps.
    let many = "for n in $(seq 400); do head -c 900 /dev/urandom | base64 --wrap=0 > /var/log/olog/job$n.scanerr; done";
    machine.good(many);
    machine.good("echo 'while the disk was full' > /var/log/olog/svc.err");
}

/// Waits for longer than the watchdog's timeout, while systemd hears from the daemon.
fn wait_alive(machine: &Machine, daemon: &str) {
    let fed = || machine.property(daemon, "WatchdogTimestampMonotonic").parse::<u64>().unwrap();
    let start = fed();
    machine.wait(&format!("{daemon} feeds its watchdog"), |_| (fed() > start + 15_000_000).then_some(()));
    assert_eq!(
        (machine.property(daemon, "ActiveState").as_str(), machine.property(daemon, "NRestarts").as_str()),
        ("active", "0")
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_hub_with_a_full_disk_feeds_its_watchdog_and_goes_on_when_there_is_room() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    move_to_a_small_disk(&machine, "olog-hub");
    fill(&machine, "olog-hub");
    machine.wait("the hub says so", |machine| machine.log("olog-hub").contains("not committed").then_some(()));
    wait_alive(&machine, "olog-hub");
    machine.wait_status("the agent keeps what the hub cannot", |status| status["spool"].as_u64() >= Some(1));
    machine.good("rm /var/lib/olog-hub/ballast");
    site.push("while the disk was full").await;
    machine.wait_sent();
    assert_eq!(machine.property("olog-hub", "NRestarts"), "0");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn an_agent_with_a_full_disk_feeds_its_watchdog_and_goes_on_when_there_is_room() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    move_to_a_small_disk(&machine, "olog-agent");
    // An event that is acknowledged at once needs its room only briefly.
    machine.good("systemctl stop olog-hub");
    fill(&machine, "olog-agent");
    machine.wait_status("it says so", |status| status["notes"].as_array().is_some_and(|notes| !notes.is_empty()));
    wait_alive(&machine, "olog-agent");
    machine.good("rm /var/lib/olog-agent/ballast && systemctl start olog-hub");
    site.push("while the disk was full").await;
    machine.wait_sent();
    assert_eq!(machine.property("olog-agent", "NRestarts"), "0");
    assert_eq!(machine.query::<i64>("SELECT count(*) FROM tasks WHERE name LIKE 'job%'"), [400]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_log_dir_may_go_come_back_be_full_or_read_only() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    machine.good("rm --recursive /var/log/olog");
    let push = site.push("/var/log/olog is missing").await;
    assert!(push.text().contains("/var/log/olog"), "{}", push.text());
    machine.good("systemd-tmpfiles --create olog-agent.conf && echo 'it is here again' > /var/log/olog/again.err");
    site.push("it is here again").await;
    site.push("The agent on pi has recovered from").await;
    // Another file system over it, and a small one.
    machine.good("mount -t tmpfs -o size=64k,mode=1777 small /var/log/olog && chown olog-agent: /var/log/olog");
    machine.good("echo 'on another disk' > /var/log/olog/other.err");
    site.push("on another disk").await;
    assert!(!machine.sh("head -c 200000 /dev/zero > /var/log/olog/big.log").status.success());
    machine.sh("echo 'no room for this' > /var/log/olog/full.err");
    machine.good("rm /var/log/olog/big.log && echo 'there is room' > /var/log/olog/room.err");
    site.push("there is room").await;
    machine.good("mount -o remount,ro /var/log/olog");
    assert!(!machine.sh("echo 'never' > /var/log/olog/never.err").status.success());
    assert!(machine.good("olog-agent scan --dry-run").contains("there is room"));
    machine.good("mount -o remount,rw /var/log/olog && echo 'writable again' > /var/log/olog/writable.err");
    site.push("writable again").await;
    // Unmounted: the files below it are still there.
    machine.good("umount /var/log/olog && echo 'the old disk' > /var/log/olog/old.err");
    site.push("the old disk").await;
    assert_eq!(machine.property("olog-agent", "NRestarts"), "0");
}

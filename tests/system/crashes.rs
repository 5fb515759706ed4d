//! What systemd does with a daemon that crashes or hangs, and what survives a shutdown of the machine.

use crate::{
    installed::{DAEMONS, evening},
    machine::Machine,
    site::Site,
};

/// Its process, which is the unit's main one.
fn process(machine: &Machine, daemon: &str) -> String {
    machine.property(daemon, "MainPID")
}

/// Waits until systemd has started it again.
fn wait_restarted(machine: &Machine, daemon: &str, before: &str) {
    machine.wait(&format!("{daemon} is restarted"), |machine| {
        let now = process(machine, daemon);
        (machine.property(daemon, "ActiveState") == "active" && now != before && now != "0").then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_killed_daemon_is_restarted_and_nothing_is_lost_or_doubled() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    for (n, daemon) in DAEMONS.iter().enumerate() {
        let before = process(&machine, daemon);
        machine.good(&format!("echo 'before the end {n}' > /var/log/olog/before{n}.err"));
        machine.good(&format!("systemctl kill --signal KILL {daemon}"));
        machine.good(&format!("echo 'while it was dead {n}' > /var/log/olog/while{n}.err"));
        wait_restarted(&machine, daemon, &before);
        assert_eq!(machine.property(daemon, "NRestarts"), "1");
        machine.good(&format!("echo 'after its return {n}' > /var/log/olog/after{n}.err"));
        machine.wait_connected();
        for text in ["before the end", "while it was dead", "after its return"] {
            site.push(&format!("{text} {n}")).await;
        }
    }
    machine.all_told(&site).await;
    for text in ["before the end", "while it was dead", "after its return"] {
        for n in 0..DAEMONS.len() {
            let text = format!("{text} {n}");
            assert_eq!(machine.n_events(&text), 1, "{text} in the store");
            assert_eq!(site.n_pushes(&text), 1, "{text} on the phone: {}", site.phone.story());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_daemon_that_hangs_misses_its_watchdog_and_is_restarted() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    for daemon in DAEMONS {
        // The shipped values, but shorter.
        let soon = "[Service]\nWatchdogSec=6s\nTimeoutAbortSec=1s\nRestartSec=100ms\n";
        machine.write(&format!("/etc/systemd/system/{daemon}.service.d/soon.conf"), soon);
    }
    machine.good("systemctl daemon-reload && systemctl restart olog-hub olog-agent");
    machine.wait_connected();
    for (n, daemon) in DAEMONS.iter().enumerate() {
        let before = process(&machine, daemon);
        machine.good(&format!("systemctl kill --signal STOP {daemon}"));
        machine.good(&format!("echo 'while it hung {n}' > /var/log/olog/hung{n}.err"));
        wait_restarted(&machine, daemon, &before);
        let log = machine.log(daemon);
        assert!(log.contains("Watchdog timeout"), "{log}");
        site.push(&format!("while it hung {n}")).await;
        assert_eq!(machine.n_events(&format!("while it hung {n}")), 1);
    }
}

/// Errors with different words, because the same error with another number is the same error.
const UNSENT: [&str; 3] = ["coffee", "paper", "patience"];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_reboot_keeps_what_the_hub_has_not_yet() {
    let site = Site::new().await;
    let mut machine = evening(&site, "pi");
    // The hub is down: new events wait in the spool, on the disk of a machine that shuts down.
    machine.good("systemctl stop olog-hub && systemctl disable olog-hub");
    for what in UNSENT {
        machine.good(&format!("echo 'no {what} left' > /var/log/olog/{what}.err"));
    }
    machine.wait_status("the events wait in the spool", |status| status["spool"].as_u64() >= Some(3));
    let boot = machine.read("/proc/sys/kernel/random/boot_id");
    machine.reboot(|| ());
    assert_ne!(boot, machine.read("/proc/sys/kernel/random/boot_id"));
    machine.wait_status("they still wait", |status| status["spool"].as_u64() >= Some(3));
    machine.good("systemctl enable --now olog-hub");
    for what in UNSENT {
        site.push(&format!("no {what} left")).await;
    }
    machine.wait_sent();
    machine.all_told(&site).await;
    for what in UNSENT {
        assert_eq!(machine.n_events(&format!("no {what} left")), 1);
    }
    assert_eq!(site.n_pushes("LOST"), 0, "{}", site.phone.story());
}

//! Units and jobs of the machine that have nothing to do with Olog, reported by systemd's own hooks.

use crate::{installed::evening, site::Site};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_unit_that_fails_is_pushed_with_its_journal_and_its_recovery_ends_the_incident() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    machine.write(
        "/etc/systemd/system/db.service",
        "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo cannot open the disk; test -e /mended'\n",
    );
    assert!(machine.good("olog-agent jobs").contains("dpkg-db-backup.timer"));
    machine.good("olog-agent units on");
    assert!(machine.good("olog-agent units on").contains("already"));

    assert!(!machine.sh("systemctl start db").status.success());
    let push = site.push("cannot open the disk").await;
    assert!(push.text().contains("db.service"), "{}", push.text());
    assert!(machine.read("/var/log/olog/db.service.err").contains("cannot open the disk"));
    let is_open = |machine: &crate::machine::Machine| machine.hub("incident list").out.contains("db.service");
    assert!(is_open(&machine));

    // Olog's own units are not reported, or a report that fails would be reported for ever.
    machine.good("systemctl kill --signal KILL olog-agent");
    machine.wait("the agent is back", |machine| (machine.property("olog-agent", "NRestarts") == "1").then_some(()));
    machine.wait_connected();

    machine.write("/mended", "");
    machine.good("systemctl start db");
    machine.wait("the incident is over", |machine| (!is_open(machine)).then_some(()));
    let tasks = machine.hub("task list").out;
    assert!(tasks.contains("db.service") && !tasks.contains("olog-agent.service"), "{tasks}");

    // A daemon that crashes and is started again every moment: one push, and the rest is counted.
    machine.write(
        "/etc/systemd/system/web.service",
        "[Unit]\nStartLimitIntervalSec=0\n[Service]\nExecStart=/bin/sh -c 'echo the port is taken; exit 7'\n\
         Restart=always\nRestartSec=500ms\n",
    );
    machine.good("systemctl start web");
    site.push("the port is taken").await;
    machine.wait("its failures are counted", |machine| {
        let counted = machine.sh("cat /var/lib/olog-units/web.service").out;
        serde_json::from_str(&counted).ok().filter(|open: &serde_json::Value| open["n_untold"].as_u64() >= Some(3))
    });
    machine.wait_sent();
    assert_eq!(site.n_pushes("the port is taken"), 1);
    machine.good("systemctl stop web");

    machine.good("olog-agent units off");
    assert_eq!(machine.property("db", "OnFailure"), "");

    // A machine whose agent is removed must not look for it whenever a service fails.
    machine.good("olog-agent units on");
    machine.apt("remove olog-agent");
    assert_eq!(machine.property("db", "OnFailure"), "");
    assert!(!machine.path("/etc/systemd/system/service.d").exists());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_timer_whose_schedule_was_proposed_and_accepted_is_lost_when_it_is_stopped() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    machine.write(
        "/etc/systemd/system/tick.service",
        "[Service]\nType=oneshot\nExecStart=/usr/bin/olog-agent exec --task tick -- /bin/true\n",
    );
    machine.write("/etc/systemd/system/tick.timer", "[Timer]\nOnCalendar=*:*:0/5\nAccuracySec=1s\n");
    machine.good("systemctl daemon-reload");
    machine.good("systemctl start tick.timer");
    let proposed = machine.good("olog-agent jobs --declare --grace 10s");
    assert!(proposed.contains("tick  tick.timer\n") && proposed.contains("Proposed."), "{proposed}");
    let named = "dpkg-db-backup.service  dpkg-db-backup.timer: does not report to Olog";
    assert!(proposed.contains(named), "{proposed}");
    machine.hub("task expect pi tick on").good();
    machine.wait("a run of the timer", |machine| {
        let shown = machine.hub("task show pi tick --json").out;
        serde_json::from_str(&shown).ok().filter(|task: &serde_json::Value| !task["last_good_at"].is_null())
    });
    machine.good("systemctl stop tick.timer");
    site.push("LOST pi/tick").await;
    machine.good("systemctl start tick.timer");
    site.push("OVER pi/tick").await;
}

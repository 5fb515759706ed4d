//! A configuration that changes while the daemons run, and a broken one.

use crate::{
    installed::{DAEMONS, evening},
    site::Site,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_reload_takes_a_good_file_and_refuses_a_bad_one_with_words() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    // The agent watches another folder, without a restart.
    let process = machine.property("olog-agent", "MainPID");
    machine.good("mkdir --mode 1777 /srv/jobs");
    machine.write("/etc/olog/agent.d/20-jobs.toml", "log_dirs = [\"/var/log/olog\", \"/srv/jobs\"]\n");
    machine.good("systemctl reload olog-agent");
    machine.wait_status("both folders are watched", |_| machine.good("olog-agent status").contains("2 folders"));
    machine.good("echo 'in the new folder' > /srv/jobs/nightly.err");
    site.push("in the new folder").await;
    assert_eq!(machine.property("olog-agent", "MainPID"), process);
    // A configuration with a mistake: `systemctl reload` fails, the journal says where, the old one stays in force.
    machine.write("/etc/olog/agent.d/20-jobs.toml", "log_dirs = [\"/var/log/olog\", \"/srv/jobs\"]\nsetle = \"1s\"\n");
    let said = machine.sh("systemctl reload olog-agent");
    assert!(!said.status.success(), "{}{}", said.out, said.err);
    let place = "/etc/olog/agent.d/20-jobs.toml:2:1";
    let log = machine.log("olog-agent");
    assert!(log.contains(place) && log.contains("setle") && log.contains("settle"), "{log}");
    // On SIGHUP the daemon itself refuses it too, and pushes that.
    machine.good("systemctl kill --kill-who main --signal HUP olog-agent");
    let push = site.push("20-jobs.toml:2:1").await;
    assert!(push.text().contains("setle"), "{}", push.text());
    machine.good("echo 'the old one stays' > /srv/jobs/nightly.err");
    site.push("the old one stays").await;
    machine.write("/etc/olog/agent.d/20-jobs.toml", "log_dirs = [\"/var/log/olog\", \"/srv/jobs\"]\n");
    machine.good("systemctl reload olog-agent");
    // The hub uses another channel.
    let process = machine.property("olog-hub", "MainPID");
    let second = site.phone.channel("channel", "second");
    machine.write("/etc/olog/hub.d/30-second.toml", &second);
    machine.good("systemctl reload olog-hub");
    machine
        .wait("the hub has two channels", |machine| machine.hub("channel list").out.contains("second").then_some(()));
    machine.write("/etc/olog/hub.d/30-second.toml", &second.replace("uids", "uidz"));
    let said = machine.sh("systemctl reload olog-hub");
    assert!(!said.status.success(), "{}{}", said.out, said.err);
    let log = machine.log("olog-hub");
    assert!(log.contains("/etc/olog/hub.d/30-second.toml:5:1") && log.contains("uidz"), "{log}");
    let push = site.push("CONFIG rejected").await;
    assert!(push.text().contains("30-second.toml:5:1") && push.text().contains("uidz"), "{}", push.text());
    machine.good("echo 'twice on the phone' > /srv/jobs/twice.err");
    site.phone
        .wait("both channels tell", |all| all.iter().filter(|push| push.text().contains("twice on")).count() == 2)
        .await;
    assert_eq!(machine.property("olog-hub", "MainPID"), process);
    for daemon in DAEMONS {
        assert_eq!(machine.property(daemon, "NRestarts"), "0");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_hub_that_cannot_start_says_why_once_and_waits() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    machine.all_told(&site).await;
    let good = machine.read("/etc/olog/hub.toml");
    machine
        .write("/etc/olog/hub.toml", "# broken\n[[channel]]\nname = \"me\"\ntype = \"wxpusher\"\ntokne = \"AT_x\"\n");
    let said = machine.sh("systemctl restart olog-hub");
    assert!(!said.status.success());
    machine.wait_property("olog-hub", "ActiveState", "failed");
    assert_eq!(machine.property("olog-hub", "ExecMainStatus"), "78");
    assert_eq!(machine.property("olog-hub", "NRestarts"), "0");
    let log = machine.log("olog-hub");
    assert!(log.contains("/etc/olog/hub.toml:5:1") && log.contains("tokne") && log.contains("token"), "{log}");
    let push = site.push("hub.toml:5:1").await;
    assert!(push.text().contains("tokne") && push.text().contains("token"), "{}", push.text());
    // Another start finds the same mistake and pushes nothing new.
    machine.wait_property("olog-hub-failed", "ActiveState", "inactive");
    assert!(!machine.sh("systemctl start olog-hub").status.success());
    machine.wait("that was looked into too", |machine| {
        (machine.journal("UNIT=olog-hub-failed.service JOB_TYPE=start JOB_RESULT=done").len() >= 2).then_some(())
    });
    assert_eq!(site.n_pushes("hub.toml:5:1"), 1, "{}", site.phone.story());
    // Events of the meantime are pushed after its return.
    machine.good("echo 'while the hub was down' > /var/log/olog/down.err");
    machine.write("/etc/olog/hub.toml", &good);
    machine.good("systemctl start olog-hub");
    site.push("while the hub was down").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn an_agent_that_cannot_start_says_why_and_does_not_try_again() {
    let site = Site::new().await;
    let machine = evening(&site, "pi");
    machine.write("/etc/olog/agent.d/10-mine.toml", "[[rule]]\nfiles = \"svc.err\"\nignor = ['x']\nas = \"loud\"\n");
    assert!(!machine.sh("systemctl restart olog-agent").status.success());
    machine.wait_property("olog-agent", "ActiveState", "failed");
    assert_eq!(machine.property("olog-agent", "ExecMainStatus"), "78");
    assert_eq!(machine.property("olog-agent", "NRestarts"), "0");
    // Every mistake at once.
    let log = machine.log("olog-agent");
    for place in ["10-mine.toml:3:1", "10-mine.toml:4:6"] {
        assert!(log.contains(place), "{place}: {log}");
    }
    // `exec` runs the job anyway.
    assert_eq!(machine.sh("olog-agent exec --task dump -- sh -c 'exit 7'").status.code(), Some(7));
}

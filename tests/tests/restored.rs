//! State folders that were restored from an older copy, or that exist twice (a cloned machine).

use std::process::Command;

use olog_journeys::world::World;

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::remove_dir_all(to).ok();
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_restored_from_an_older_copy_loses_nothing_and_it_is_told() {
    let world = World::new().await;
    let hub = world.hub();
    let mut pi = world.agent("pi", &hub);
    pi.write("one.err", "the first error\n");
    world.push("the first error").await;
    pi.wait_sent();
    pi.daemon.stop();
    let copy_dir = world.folder().join("older");
    copy(&pi.state_dir, &copy_dir);
    pi.start();
    pi.wait_connected();
    pi.write("two.err", "the second error\n");
    world.push("the second error").await;
    pi.wait_sent();
    pi.daemon.stop();
    copy(&copy_dir, &pi.state_dir);
    pi.write("three.err", "the third error\n");
    pi.start();
    world.push("the third error").await;
    pi.wait_sent();
    assert_eq!(hub.query::<i64>("SELECT count(*) FROM epochs"), [2], "it began a new epoch");
    hub.wait("it is told", |_| {
        (world.n_pushes("restored") + world.n_pushes("older copy") + world.n_pushes("epoch") > 0).then_some(())
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_machines_with_one_state_folder_lose_nothing_and_it_is_told() {
    let world = World::new().await;
    let hub = world.hub();
    let mut pi = world.agent("pi", &hub);
    pi.daemon.stop();
    let mut clone = world.agent_off("clone", "", "");
    copy(&pi.state_dir, &clone.state_dir);
    pi.start();
    clone.start();
    // The copied spool does not know this log dir: files that are there at the first scan are history.
    for machine in [&pi, &clone] {
        machine.wait("it watches", |status| status["watched_folders"].as_u64() >= Some(1));
    }
    pi.write("here.err", "said by the first machine\n");
    clone.write("there.err", "said by the second machine\n");
    world.push("said by the first machine").await;
    world.push("said by the second machine").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_restored_from_an_older_backup_takes_what_follows_and_tells_the_gap() {
    let world = World::new().await;
    let mut hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.write("one.err", "the first error\n");
    world.push("the first error").await;
    pi.wait_sent();
    hub.daemon.stop();
    let copy_dir = world.folder().join("backup");
    copy(&hub.state_dir, &copy_dir);
    hub.start();
    pi.wait_connected();
    pi.write("two.err", "the second error\n");
    world.push("the second error").await;
    pi.wait_sent();
    hub.daemon.stop();
    copy(&copy_dir, &hub.state_dir);
    hub.start();
    pi.wait_connected();
    pi.write("three.err", "the third error\n");
    world.push("the third error").await;
    pi.wait_sent();
    assert_eq!(hub.query::<i64>("SELECT count(*) FROM epochs"), [1]);
    let missing = hub.query::<i64>("SELECT missing FROM epochs")[0];
    assert!(missing >= 1, "the gap is counted");
    hub.wait("the gap is told", |_| (world.n_pushes("missing") + world.n_pushes("gap") > 0).then_some(()));
}

/// The hub does not know a device that joined after the backup; the device's proof shows that it joined this hub.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_a_restored_hub_does_not_know_waits_until_a_person_accepts_it() {
    let world = World::new().await;
    let mut hub = world.hub();
    hub.daemon.stop();
    let copy_dir = world.folder().join("backup");
    copy(&hub.state_dir, &copy_dir);
    hub.start();
    let pi = world.agent("pi", &hub);
    hub.daemon.stop();
    copy(&copy_dir, &hub.state_dir);
    hub.start();
    hub.wait("it is pending", |hub| hub.verb(&["device", "list", "--pending"]).good().contains("pi").then_some(()));
    pi.write("svc.err", "kept until somebody knows me\n");
    pi.wait("its event waits", |status| status["connected"] == false && status["spool"].as_u64() >= Some(1));
    hub.verb(&["device", "accept", "pi"]).good();
    world.push("kept until somebody knows me").await;
    pi.wait_sent();
}

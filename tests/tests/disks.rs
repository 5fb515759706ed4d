//! A full disk on the device or at the hub: nothing that was acknowledged is lost, and work goes on by itself when there is room again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use olog_journeys::world::{Agent, Hub, World};

/// A small file system.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not allowed.
    pub(crate) fn mount(at: &Path) -> Option<SmallDisk> {
        fs::create_dir_all(at).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=32m", "olog-small"];
        let mounted = Command::new("mount").args(options).arg(at).status().is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("passed over: mounting a small disk needs root and CAP_SYS_ADMIN");
        }
        mounted.then(|| SmallDisk(at.to_path_buf()))
    }

    pub(crate) fn fill(&self) {
        // dd fails when the disk is full, as intended.
        let ballast = format!("of={}", self.0.join("ballast").display());
        Command::new("dd").args(["if=/dev/zero", &ballast, "bs=4k"]).output().unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).status().ok();
    }
}

/// More than the slack that a database keeps.
const N: u64 = 600;

fn fail_often(pi: &Agent) {
    for i in 0..N {
        pi.write(&format!("job{i:03}.scanerr"), &format!("step {i} failed: {}\n", "x".repeat(900)));
    }
}

fn every_failure_came(hub: &Hub) {
    let sql = "SELECT count(DISTINCT task_id) FROM events WHERE kind = 'text' AND body LIKE '%failed%'";
    hub.wait("every failure is in the store", |hub| (hub.query::<i64>(sql) == [N.cast_signed()]).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_with_a_full_disk_acknowledges_nothing_and_recovers() {
    let world = World::new().await;
    let Some(disk) = SmallDisk::mount(&world.folder().join("hub/state")) else { return };
    let mut hub = Hub::new(&world, "hub", "", "");
    hub.start();
    let pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    disk.fill();
    fail_often(&pi);
    pi.wait("all is in the spool, and stays there", |status| {
        status["last"].as_u64() >= Some(N) && status["spool"].as_u64() >= Some(1)
    });
    let acked = pi.status().unwrap()["acked"].as_u64().unwrap_or(0);
    let has = hub.query::<i64>("SELECT coalesce(max(n), 0) FROM events")[0];
    assert!(has.cast_unsigned() >= acked && hub.daemon.is_running());
    disk.free();
    every_failure_came(&hub);
    pi.wait_sent();
    world.all_told(&pi).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_full_disk_keeps_its_offsets_and_recovers() {
    let world = World::new().await;
    // The failures are errors of one device, and none of them may be only counted.
    let hub = world.hub_with("", &format!("[limits]\nopen_incidents = {}\n", 2 * N));
    let Some(disk) = SmallDisk::mount(&world.folder().join("pi/state")) else { return };
    let mut pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    disk.fill();
    fail_often(&pi);
    pi.append("svc.err", "while the disk was full\n");
    pi.wait("it says that it cannot go on", |status| !status["notes"].as_array().is_none_or(Vec::is_empty));
    assert!(pi.daemon.is_running());
    disk.free();
    world.push("while the disk was full").await;
    every_failure_came(&hub);
    pi.wait_sent();
}

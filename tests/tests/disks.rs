//! A full disk, on either side: nothing that was acknowledged is lost, and it goes on by itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use olog_journeys::world::{Hub, World};

/// A file system of a few megabytes.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where nobody may mount: then there is no such disk to be had.
    fn mount(at: &Path) -> Option<SmallDisk> {
        fs::create_dir_all(at).unwrap();
        let options = ["-t", "tmpfs", "-o", "size=6m", "olog-small"];
        let mounted = Command::new("mount").args(options).arg(at).status().is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("passed over: mounting a small disk needs root and CAP_SYS_ADMIN");
        }
        mounted.then(|| SmallDisk(at.to_path_buf()))
    }

    fn fill(&self) {
        // dd ends with an error when the disk is full: that is its task here.
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

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_with_a_full_disk_acknowledges_nothing_and_recovers() {
    let world = World::new().await;
    let Some(disk) = SmallDisk::mount(&world.folder().join("hub/state")) else { return };
    let mut hub = Hub::new(&world, "hub", "", "");
    hub.start();
    let pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    disk.fill();
    for i in 0..300 {
        pi.write(&format!("job{i:03}.scanerr"), &format!("step {i} failed: {}\n", "x".repeat(900)));
    }
    pi.wait("events wait in the spool", |status| status["spool"].as_u64() >= Some(1));
    let acked = pi.status().unwrap()["acked"].as_u64().unwrap_or(0);
    let has = hub.query::<i64>("SELECT coalesce(max(n), 0) FROM events")[0];
    assert!(has.cast_unsigned() >= acked && hub.daemon.is_running());
    disk.free();
    pi.wait_sent();
    let tasks =
        hub.query::<i64>("SELECT count(DISTINCT task_id) FROM events WHERE kind = 'text' AND body LIKE '%failed%'");
    assert_eq!(tasks, [300]);
    world.all_told(&pi).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_full_disk_keeps_its_offsets_and_recovers() {
    let world = World::new().await;
    let hub = world.hub();
    let Some(disk) = SmallDisk::mount(&world.folder().join("pi/state")) else { return };
    let mut pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    disk.fill();
    for i in 0..300 {
        pi.write(&format!("job{i:03}.scanerr"), &format!("step {i} failed: {}\n", "x".repeat(900)));
    }
    pi.append("svc.err", "while the disk was full\n");
    pi.wait("it says that it cannot go on", |status| !status["notes"].as_array().is_none_or(Vec::is_empty));
    assert!(pi.daemon.is_running());
    disk.free();
    world.push("while the disk was full").await;
    pi.wait_sent();
    let tasks =
        hub.query::<i64>("SELECT count(DISTINCT task_id) FROM events WHERE kind = 'text' AND body LIKE '%step%'");
    assert_eq!(tasks, [300]);
}

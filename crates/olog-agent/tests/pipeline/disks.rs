//! A disk under the spool that is full: every duty waits for room by itself, none ends the thread, and nothing is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::world::{World, age, wait};

/// A small file system under the state dir. Unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None: this machine does not let us mount.
    fn under(world: &World) -> Option<SmallDisk> {
        let at = world.dir.path().join("state");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "none"]).arg(&at).output();
        if !mounted.is_ok_and(|out| out.status.success()) {
            eprintln!("skipped: this user may not mount a tmpfs");
            return None;
        }
        Some(SmallDisk(at))
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    fn fill(&self) {
        fs::write(self.ballast(), vec![0; 1 << 20]).unwrap_err();
    }

    fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().unwrap();
    }
}

fn texts(world: &World) -> usize {
    world.said().iter().filter(|text| text.contains("created")).count()
}

/// Writes files until the spool takes no more. Returns how many.
fn write_until_full(world: &World, folder: &str) -> usize {
    for i in 0..1000 {
        if world.has_note("disk_full") {
            return i;
        }
        // Counted before the write: the event may be there as soon as the file is.
        let before = texts(world);
        world.write(&format!("{folder}/f{i}.err"), format!("error {i}\n").repeat(200));
        wait("an event, or none any more", || texts(world) > before || world.has_note("disk_full"));
    }
    panic!("the disk does not become full")
}

#[test]
fn a_full_disk_is_waited_for() {
    let mut world = World::stopped(|_| {});
    let Some(disk) = SmallDisk::under(&world) else { return };
    world.start();
    world.settled();
    disk.fill();
    let n = write_until_full(&world, ".");
    assert!(world.failing().contains(&"storing events".to_owned()), "{:?}", world.failing());
    disk.free();
    wait("everything", || texts(&world) == n && world.said().contains(&"note disk_full over".to_owned()));
    wait("no duty fails", || world.failing().is_empty());
    world.stop();
}

#[test]
fn a_new_folder_on_a_full_disk_waits_too_and_the_thread_goes_on() {
    let mut world = World::stopped(|config| config.check_every = Duration::from_millis(100));
    let Some(disk) = SmallDisk::under(&world) else { return };
    world.start();
    world.settled();
    disk.fill();
    let n = write_until_full(&world, ".");
    let mut folders = 0;
    while !world.failing().contains(&"scanning folders".to_owned()) {
        assert!(folders < 1000, "{:?}", world.failing());
        let folder = format!("new{folders}");
        fs::create_dir(world.path(&folder)).unwrap();
        world.write(&format!("{folder}/d{folders}.err"), "in a new folder\n");
        folders += 1;
        let scans = world.status().watched_folders;
        super::world::wait_for_a_while(|| world.status().watched_folders > scans);
    }
    assert!(world.has_note("disk_full"));
    disk.free();
    wait("everything", || texts(&world) == n + folders);
    wait("no duty fails", || world.failing().is_empty() && !world.has_note("disk_full"));
    world.stop();
}

#[test]
fn an_agent_starts_on_a_full_disk_and_watches() {
    let mut world = World::stopped(|config| config.check_every = Duration::from_millis(100));
    let Some(disk) = SmallDisk::under(&world) else { return };
    world.start();
    world.settled();
    disk.fill();
    let mut n = write_until_full(&world, ".");
    world.stop();
    fs::create_dir(world.dir.path().join("more")).unwrap();
    world.config.log_dirs.push(world.dir.path().join("more"));
    world.start();
    world.write("late.err", "late\n");
    n += 1;
    wait("it fails again", || world.has_note("disk_full"));
    disk.free();
    wait("everything", || texts(&world) == n);
    world.write("../more/other.err", "other\n");
    wait("the other log dir", || texts(&world) == n + 1);
    world.stop();
}

#[test]
fn the_clean_up_runs_on_a_full_disk_and_what_it_deletes_is_not_cleared() {
    let mut world = World::stopped(|_| {});
    let Some(disk) = SmallDisk::under(&world) else { return };
    let old = |world: &World, name: &str| {
        world.write(name, "an old error\n");
        age(&world.path(name), 3 * 24 * 3600);
    };
    for i in 0..30 {
        old(&world, &format!("@old@{i}.err"));
    }
    world.start();
    world.settled();
    world.files.as_ref().unwrap().hub_clock(Some(0));
    let dated = |world: &World| {
        let folders = world.spool().folders().unwrap();
        let rows = |id| world.spool().rows(id, None, 99).unwrap();
        folders.iter().flat_map(|f| rows(f.id)).filter(|row| row.memory.seen.is_some()).count()
    };
    wait("they are dated", || dated(&world) == 30);
    world.stop();
    world.config.keep = Some(Duration::ZERO);
    world.start();
    disk.fill();
    let n = write_until_full(&world, ".");
    let left = |world: &World| {
        let names = fs::read_dir(world.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| Path::new(name).to_string_lossy().contains("@old@")).count()
    };
    assert_eq!(left(&world), 30);
    world.files.as_ref().unwrap().hub_clock(Some(0));
    wait("some are deleted", || left(&world) < 30);
    disk.free();
    wait("everything", || texts(&world) == n);
    world.write("mark.msg", "mark");
    wait("the mark", || world.said().iter().any(|said| said.starts_with("mark.msg")));
    assert!(!world.said().iter().any(|said| said.ends_with("deleted")), "{:#?}", world.said());
    world.stop();
}

//! Log dirs that cannot be used as they should: on a file server that does not answer, read-only, gone; and a spool that hangs.

use std::fs;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use olog_agent::read::identity_of;
use tokio::time::Instant;

use super::world::{World, wait};

/// A FUSE file system whose server never says a word: whoever looks into it waits, as on a dead NFS mount. Unmounted at the end.
struct DeadMount<'a> {
    at: &'a Path,
    server: Child,
}

impl DeadMount<'_> {
    /// None: this machine does not let us mount.
    fn new(at: &Path) -> Option<DeadMount<'_>> {
        let script = "exec 7<>/dev/fuse && mount -i -t fuse -o fd=7,rootmode=40000,user_id=0,group_id=0 dead \"$1\" && \
                      echo mounted && exec sleep 1000";
        let mut server = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(at)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut said).unwrap();
        if said == "mounted\n" {
            return Some(DeadMount { at, server });
        }
        server.wait().unwrap();
        None
    }

    fn die(&mut self) {
        if self.server.try_wait().unwrap().is_none() {
            self.server.kill().unwrap();
            self.server.wait().unwrap();
        }
        Command::new("umount").arg("-l").arg(self.at).stderr(Stdio::null()).status().unwrap();
    }
}

impl Drop for DeadMount<'_> {
    fn drop(&mut self) {
        self.die();
    }
}

#[test]
fn a_log_dir_on_a_dead_file_server_is_told_and_holds_up_no_other() {
    let mut world = World::stopped(|config| {
        config.log_dirs.insert(0, config.own.with_file_name("dead"));
        config.stuck_after = Duration::from_millis(300);
    });
    let at = world.config.log_dirs[0].clone();
    fs::create_dir(&at).unwrap();
    let Some(mut mount) = DeadMount::new(&at) else {
        eprintln!("skipped: needs /dev/fuse and the right to mount");
        return;
    };
    world.start();
    let notes = |world: &World| world.files.as_ref().unwrap().status().notes;
    wait("the note", || notes(&world).iter().any(|note| note.text.contains("does not respond")));
    world.write("alive.err", "the other log dir is watched all the same\n");
    wait("the other", || world.said().iter().any(|said| said.starts_with("alive.err created")));
    mount.die();
    wait("its end", || notes(&world).is_empty());
    world.stop();
}

#[test]
fn a_road_that_is_stopped_does_not_wait_for_a_dead_file_server() {
    let mut world = World::stopped(|config| {
        config.log_dirs.insert(0, config.own.with_file_name("dead"));
        config.stuck_after = Duration::from_secs(3600);
    });
    let at = world.config.log_dirs[0].clone();
    fs::create_dir(&at).unwrap();
    let Some(_mount) = DeadMount::new(&at) else {
        eprintln!("skipped: needs /dev/fuse and the right to mount");
        return;
    };
    world.start();
    // It ends, which is all that is asked here.
    world.stop();
}

#[test]
fn a_road_that_hangs_stops_beating_and_beats_again_when_it_goes_on() {
    let world = World::new();
    let (hold, held) = mpsc::channel::<()>();
    let (tell, has_it) = mpsc::channel::<()>();
    let spool = world.spool().clone();
    let (device, inode) = identity_of(&world.path("")).unwrap();
    let holder = std::thread::spawn(move || {
        // A folder that is met elsewhere asks, under the spool's lock, whether it has moved.
        let moved = |_: &[u8]| {
            tell.send(()).unwrap();
            held.recv().is_err()
        };
        spool.folder(b"/elsewhere", device, inode, moved).unwrap();
    });
    has_it.recv().unwrap();
    // Clocks of our own: a minute a look, in which a road that lives reads what was just written.
    let mut now = Instant::now();
    let mut is_stuck = || {
        world.append("x.err", "more\n");
        now += Duration::from_secs(60);
        !world.workers.stuck(now).is_empty()
    };
    wait("it is found to be stuck", &mut is_stuck);
    assert!((0..20).all(|_| is_stuck()), "it hangs");
    hold.send(()).unwrap();
    holder.join().unwrap();
    wait("it is well again", || !is_stuck());
}

/// A tmpfs, read-only or not. Unmounted at the end.
struct Tmpfs<'a>(&'a Path);

impl Tmpfs<'_> {
    fn new<'a>(at: &'a Path, options: &str) -> Option<Tmpfs<'a>> {
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "x"]).arg(at).stderr(Stdio::null()).status();
        mounted.unwrap().success().then_some(Tmpfs(at))
    }

    fn remount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(self.0).status();
        assert!(done.unwrap().success());
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().unwrap();
    }
}

#[test]
fn a_read_only_log_dir_is_read_and_told_as_not_cleanable_until_it_can_be_written() {
    let mut world = World::stopped(|config| config.keep = Some(Duration::from_secs(24 * 3600)));
    let at = world.path("");
    let Some(mount) = Tmpfs::new(&at, "size=1m") else {
        eprintln!("skipped: needs the right to mount");
        return;
    };
    world.write("x.err", "read all the same\n");
    mount.remount("ro");
    world.start();
    world.settled();
    wait("both", || world.said().len() == 2);
    assert!(world.said().contains(&"note not_cleanable".to_owned()), "{:#?}", world.said());
    // It goes on across a restart, and is not told a second time.
    world.stop();
    world.start();
    wait("the scan", || world.files.as_ref().unwrap().status().scans > 0);
    assert_eq!(world.said().len(), 2, "{:#?}", world.said());
    mount.remount("rw");
    // A reload looks at once; else it is seen within half a minute.
    world.files.as_ref().unwrap().reload(world.config.clone());
    wait("its end", || world.files.as_ref().unwrap().status().notes.is_empty());
    world.stop();
}

#[test]
fn without_a_clean_up_a_read_only_log_dir_is_no_trouble() {
    let mut world = World::stopped(|_| {});
    let at = world.path("");
    let Some(_mount) = Tmpfs::new(&at, "size=1m,ro") else {
        eprintln!("skipped: needs the right to mount");
        return;
    };
    world.start();
    world.settled();
    assert!(world.files.as_ref().unwrap().status().notes.is_empty());
    world.stop();
}

#[test]
fn a_log_dir_that_is_removed_while_it_is_watched_is_told_and_watched_again_when_it_is_back() {
    let world = World::new();
    world.write("x.err", "before\n");
    world.expect(&["x.err created: before"]);
    fs::remove_dir_all(world.path("")).unwrap();
    let missing = || world.files.as_ref().unwrap().status().notes.iter().any(|note| note.code == "log_dir_missing");
    wait("the note", missing);
    fs::create_dir(world.path("")).unwrap();
    wait("its end", || !missing());
    world.write("y.err", "after\n");
    wait("what comes then", || world.said().iter().any(|said| said == "y.err created: after"));
}

/// A small file system; unmounted at the end.
struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    /// None: this machine does not let us mount.
    fn new(at: &Path) -> Option<SmallDisk<'_>> {
        let options = ["-t", "tmpfs", "-o", "size=16m", "olog-small"];
        Command::new("mount").args(options).arg(at).status().is_ok_and(|done| done.success()).then_some(SmallDisk(at))
    }

    /// So many percent of it go to a file.
    fn fill(&self, name: &str, percent: usize) {
        fs::write(self.0.join(name), vec![b'x'; (16 << 20) / 100 * percent]).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().unwrap();
    }
}

#[test]
fn a_log_dirs_disk_that_fills_up_is_told_once_and_over_when_there_is_room_again() {
    let mut world = World::stopped(|config| {
        config.rescan_every = Duration::from_millis(50);
        config.full_above = 90;
    });
    let logs = world.config.log_dirs[0].clone();
    let Some(disk) = SmallDisk::new(&logs) else {
        eprintln!("skipped: needs the right to mount");
        return;
    };
    disk.fill("most", 60);
    disk.fill("more", 28);
    world.start();
    world.settled();
    let files = world.files.as_ref().unwrap();
    let notes = || files.status().notes;
    let scanned = |what: &str| {
        let before = files.status().scans;
        wait(what, || files.status().scans > before + 1);
    };
    scanned("a look at what has room");
    assert_eq!(notes(), []);
    disk.fill("last", 5);
    wait("the note", || !notes().is_empty());
    let [note] = &notes()[..] else { panic!("{:?}", notes()) };
    assert_eq!((note.code.as_str(), note.path.as_deref()), ("log_dir_full", logs.to_str()));
    assert!(note.text.contains(" % full: 1 MiB left"), "{}", note.text);
    fs::remove_file(logs.join("last")).unwrap();
    scanned("a look at a little room");
    assert_eq!(notes().len(), 1, "still");
    fs::remove_file(logs.join("more")).unwrap();
    wait("its end", || notes().is_empty());
    let told = world.events().iter().filter(|event| matches!(&event.what, olog_proto::EventContent::Note(_))).count();
    assert_eq!(told, 2, "its begin and its end");
    world.stop();
}

#[test]
fn what_is_mounted_below_a_log_dir_is_scanned_and_its_unmount_clears_nothing() {
    let world = World::with(|config| config.check_every = Duration::from_millis(100));
    fs::create_dir(world.path("sub")).unwrap();
    world.write("sub/y.err", "y is broken\n");
    world.expect(&["y.err created: y is broken"]);
    let at = world.path("sub");
    let Some(mount) = Tmpfs::new(&at, "size=1m") else {
        eprintln!("skipped: needs the right to mount");
        return;
    };
    world.write("sub/d.err", "d is broken\n");
    let mut said = vec!["y.err created: y is broken", "d.err created: d is broken"];
    world.expect(&said);
    world.append("sub/d.err", "still\n");
    said.push("d.err grown: still");
    world.expect(&said);
    let scans = || world.status().scans;
    drop(mount);
    world.append("sub/y.err", "again\n");
    said.push("y.err grown: again");
    world.expect(&said);
    // Another whole scan finds nothing either.
    world.files.as_ref().unwrap().reload(world.config.clone());
    let before = scans();
    world.files.as_ref().unwrap().reload({
        let mut config = world.config.clone();
        config.log_dirs = vec![];
        config
    });
    world.files.as_ref().unwrap().reload(world.config.clone());
    wait("another scan", || scans() > before);
    world.expect_nothing_more(&said);
}

//! From a file to a durable event, on real folders: each row of "what a log file means".
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test may panic, says why it is skipped, and writes files with the system's own times"
)]

mod dirs;
mod disks;
mod rotation;
mod secrets;
mod world;

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use olog_agent::boot;
use olog_agent::files::{Glob, Rule};
use olog_agent::spool::{Opened, Spool, SpoolError};
use olog_daemon::clock::Clock;
use olog_proto::event::Id128;
use olog_proto::{Event, EventContent, Growth, LogKind, Note, Timestamp};

use self::world::{World, age, wait};

#[test]
fn each_suffix_says_what_it_means() {
    let world = World::new();
    world.write("nginx.err", "nginx not running!\n");
    world.expect(&["nginx.err created: nginx not running!"]);
    world.write("@backup@2026.LOG", "done\n");
    world.expect(&["nginx.err created: nginx not running!", "backup.log created: done"]);
    world.write("a.txt", "nothing");
    world.write("touched.err", "");
    world.write("blank.msg", " \n\t");
    world.expect_nothing_more(&["nginx.err created: nginx not running!", "backup.log created: done"]);
}

#[test]
fn a_secret_that_is_written_in_pieces_reaches_no_event() {
    let world = World::new();
    world.write("key.err", "-----BEGIN RSA PRIVATE KEY-----\n");
    let mut expected = vec!["key.err created: ***"];
    world.expect(&expected);
    for line in ["b3BlbnNzaC1rZXktdjE\n", "-----END RSA PRIVATE KEY-----\nupload failed\n"] {
        world.append("key.err", line);
        expected.push(if line.ends_with("failed\n") {
            "key.err grown: ***\nupload failed"
        } else {
            "key.err grown: ***"
        });
        world.expect(&expected);
    }
    world.append("key.err", "login password=hun");
    expected.push("key.err grown: login password=***");
    world.expect(&expected);
    world.append("key.err", "ter2 refused\n");
    expected.push("key.err grown: *** refused");
    world.expect(&expected);
}

#[test]
fn an_alarm_that_is_written_every_minute_is_seen_again() {
    let world = World::new();
    for n in 1..=3_usize {
        world.write("nginx.err", "nginx not running!\n");
        let mut expected = vec!["nginx.err created: nginx not running!"];
        expected.extend(std::iter::repeat_n("nginx.err seen 1", n - 1));
        world.expect(&expected);
    }
    let EventContent::Seen { file, .. } = world.last().what else { panic!() };
    assert_eq!(file.fingerprints.len(), 1);
}

#[test]
fn the_same_text_is_told_at_most_once_a_pace_with_its_count() {
    let world = World::with(|config| config.pace = Duration::from_millis(1500));
    world.write("x.err", "same\n");
    world.expect(&["x.err created: same"]);
    for _ in 0..3 {
        let before = fs::metadata(world.path("x.err")).unwrap().modified().unwrap();
        wait("another mtime", || {
            world.write("x.err", "same\n");
            fs::metadata(world.path("x.err")).unwrap().modified().unwrap() != before
        });
    }
    wait("the count", || world.said().len() == 2);
    let EventContent::Seen { times, .. } = world.last().what else { panic!("{:?}", world.said()) };
    assert!(times >= 1);
}

#[test]
fn what_was_written_again_counts_even_if_the_file_is_removed_within_the_pace() {
    let world = World::with(|config| config.pace = Duration::from_secs(3600));
    world.write("x.err", "same\n");
    world.expect(&["x.err created: same"]);
    let before = fs::metadata(world.path("x.err")).unwrap().modified().unwrap();
    wait("another mtime", || {
        world.write("x.err", "same\n");
        fs::metadata(world.path("x.err")).unwrap().modified().unwrap() != before
    });
    world.expect_nothing_more(&["x.err created: same"]);
    fs::remove_file(world.path("x.err")).unwrap();
    wait("its end", || world.said().last().is_some_and(|said| said == "x.err deleted"));
    assert!(world.said().iter().any(|said| said.starts_with("x.err seen ")), "{:#?}", world.said());
}

#[test]
fn what_is_appended_is_told_alone() {
    let world = World::new();
    world.append("svc.err", "one\n");
    world.expect(&["svc.err created: one"]);
    world.append("svc.err", "two\n");
    world.expect(&["svc.err created: one", "svc.err grown: two"]);
    world.write("svc.err", "three is longer than both\n");
    world.expect(&["svc.err created: one", "svc.err grown: two", "svc.err rewritten: three is longer than both"]);
}

#[test]
fn a_changed_tail_behind_the_same_head_is_another_text() {
    let world = World::new();
    let head = "Filesystem Size Used\n".repeat(40);
    world.write("disk.err", format!("{head}/data 91%\n"));
    wait("the first", || world.said().len() == 1);
    world.write("disk.err", format!("{head}/data 92%\n"));
    wait("the second", || world.said().len() == 2);
    let EventContent::Text { file, .. } = world.last().what else { panic!() };
    assert_eq!(file.change, Growth::Rewritten);
}

#[test]
fn an_error_is_cleared_by_removal_or_by_being_emptied() {
    let world = World::new();
    world.write("a.err", "bad\n");
    world.write("b.err", "bad\n");
    world.write("c.log", "fine\n");
    wait("three", || world.said().len() == 3);
    fs::remove_file(world.path("a.err")).unwrap();
    wait("deleted", || world.said().contains(&"a.err deleted".to_owned()));
    world.write("b.err", "");
    wait("emptied", || world.said().contains(&"b.err emptied".to_owned()));
    fs::remove_file(world.path("c.log")).unwrap();
    fs::remove_file(world.path("b.err")).unwrap();
    world.write("after.msg", "x");
    wait("the rest", || world.said().last().is_some_and(|text| text == "after.msg created: x"));
    assert_eq!(world.said().len(), 6, "{:#?}", world.said());
}

#[test]
fn removed_and_written_again_at_once_is_not_cleared() {
    let world = World::with(|config| config.settle = Duration::from_millis(200));
    world.write("x.err", "down\n");
    world.expect(&["x.err created: down"]);
    fs::remove_file(world.path("x.err")).unwrap();
    world.write("x.err", "down\n");
    world.expect(&["x.err created: down", "x.err seen 1"]);
}

#[test]
fn a_run_is_a_log_with_its_beginning_and_its_siblings_text() {
    let world = World::new();
    let before = Clock::system().now();
    world.write("job.err", "failed\n");
    world.write("job.log", "output\n");
    wait("both", || world.said().len() == 2);
    let of_log = |event: Event| match event.what {
        EventContent::Text { file, .. } if file.suffix == LogKind::Log => Some(file),
        _ => None,
    };
    let file = world.events().into_iter().find_map(of_log).unwrap();
    assert!(file.closed && file.sibling_err);
    assert!(file.began_at.unwrap().0.0 >= before.0 - 20, "{:?} {before:?}", file.began_at);
    world.write("job.err", "");
    world.write("job.log", "output again\n");
    wait("the good run", || world.said().iter().any(|text| text.contains("again")));
    let file = world.events().into_iter().rev().find_map(of_log).unwrap();
    assert!(file.closed && !file.sibling_err);
}

#[test]
fn a_run_without_output_is_a_run() {
    let world = World::new();
    world.write("@rsync@2026-11-22.err", "");
    world.write("@rsync@2026-11-22.log", "");
    world.expect(&["rsync.log created: "]);
}

#[test]
fn a_file_still_open_is_told_line_by_line() {
    let world = World::new();
    let mut file = File::create(world.path("slow.err")).unwrap();
    file.write_all(b"first\nsecond is not fin").unwrap();
    world.expect(&["slow.err created: first"]);
    file.write_all(b"ished\n").unwrap();
    drop(file);
    world.expect(&["slow.err created: first", "slow.err grown: second is not finished"]);
}

#[test]
fn the_close_of_a_log_that_was_told_open_is_told() {
    let world = World::new();
    let mut file = File::create(world.path("job.log")).unwrap();
    file.write_all(b"started\n").unwrap();
    world.expect(&["job.log created: started"]);
    drop(file);
    world.expect(&["job.log created: started", "job.log grown: "]);
    let EventContent::Text { file, .. } = world.last().what else { panic!() };
    assert!(file.closed && file.began_at.is_some());
}

#[test]
fn rotation_by_rename_clears_nothing_and_loses_nothing() {
    let world = World::new();
    let mut daemon = OpenOptions::new().append(true).create(true).open(world.path("svc.err")).unwrap();
    daemon.write_all(b"one\n").unwrap();
    world.expect(&["svc.err created: one"]);
    fs::rename(world.path("svc.err"), world.path("svc.err.1")).unwrap();
    File::create(world.path("svc.err")).unwrap();
    daemon.write_all(b"two, written late\n").unwrap();
    drop(daemon);
    world.expect(&["svc.err created: one", "svc.err grown: two, written late"]);
    world.append("svc.err", "three\n");
    wait("the new file", || world.said().len() == 3);
    assert!(world.said().last().unwrap().ends_with(": three"), "{:?}", world.said());
}

#[test]
fn rotation_by_copy_and_truncation_clears_nothing() {
    let world = World::new();
    let mut daemon = OpenOptions::new().append(true).create(true).open(world.path("svc.err")).unwrap();
    daemon.write_all(b"one\n").unwrap();
    world.expect(&["svc.err created: one"]);
    fs::copy(world.path("svc.err"), world.path("svc.err.1")).unwrap();
    OpenOptions::new().write(true).truncate(true).open(world.path("svc.err")).unwrap();
    world.expect_nothing_more(&["svc.err created: one"]);
    daemon.write_all(b"two\n").unwrap();
    drop(daemon);
    wait("the next", || world.said().last().is_some_and(|text| text.ends_with(": two")));
}

#[test]
fn what_is_moved_in_is_told() {
    let world = World::new();
    let outside = world.dir.path().join("x.tmp");
    fs::write(&outside, "moved\n").unwrap();
    age(&outside, 3600);
    fs::rename(&outside, world.path("in.err")).unwrap();
    world.expect(&["in.err created: moved"]);
    let folder = world.dir.path().join("folder");
    fs::create_dir_all(folder.join("deep")).unwrap();
    fs::write(folder.join("deep/y.err"), "in a folder\n").unwrap();
    fs::rename(&folder, world.path("folder")).unwrap();
    world.expect(&["in.err created: moved", "y.err created: in a folder"]);
    fs::rename(world.path("folder"), world.path("renamed")).unwrap();
    wait("the folder's new name", || {
        let _appended = OpenOptions::new()
            .append(true)
            .open(world.path("renamed/deep/y.err"))
            .and_then(|mut file| file.write_all(b"more\n"));
        world.said().len() >= 3
    });
    assert!(world.said()[2].starts_with("y.err grown: more"), "{:?}", world.said());
}

#[test]
fn new_folders_are_watched() {
    let world = World::new();
    fs::create_dir_all(world.path("a/b/c")).unwrap();
    world.write("a/b/c/x.err", "deep\n");
    world.expect(&["x.err created: deep"]);
    world.append("a/b/c/x.err", "again\n");
    world.expect(&["x.err created: deep", "x.err grown: again"]);
}

#[test]
fn a_log_dir_may_come_late() {
    let late = tempfile::tempdir().unwrap();
    let dir = late.path().join("not/yet");
    let mut world = World::stopped(|config| config.log_dirs = vec![dir.clone()]);
    world.start();
    world.expect(&["note log_dir_missing"]);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("x.err"), "early\n").unwrap();
    wait("its first words", || {
        let said = world.said();
        said.contains(&"x.err created: early".to_owned()) && said.contains(&"note log_dir_missing over".to_owned())
    });
    fs::remove_dir_all(&dir).unwrap();
    wait("it is missed", || world.said().last().is_some_and(|text| text == "note log_dir_missing"));
    let missed = || world.files.as_ref().unwrap().status().notes.iter().any(|note| note.code == "log_dir_missing");
    wait("its note", missed);
}

#[test]
fn nothing_but_regular_files_is_read() {
    let world = World::new();
    let secret = world.dir.path().join("secret");
    fs::write(&secret, "secret\n").unwrap();
    std::os::unix::fs::symlink(&secret, world.path("link.err")).unwrap();
    fs::create_dir(world.dir.path().join("outside")).unwrap();
    fs::write(world.dir.path().join("outside/o.err"), "outside\n").unwrap();
    std::os::unix::fs::symlink(world.dir.path().join("outside"), world.path("folder")).unwrap();
    fs::create_dir(world.path("dir.err")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, world.path("pipe.err"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::os::unix::net::UnixListener::bind(world.path("sock.err")).unwrap();
    world.expect_nothing_more(&[]);
    fs::remove_file(world.path("pipe.err")).unwrap();
    world.write("pipe.err", "a file now\n");
    wait("the file", || world.said().last().is_some_and(|text| text == "pipe.err created: a file now"));
}

#[test]
fn odd_names_and_odd_bytes_are_told() {
    let world = World::new();
    let names: [&[u8]; 4] = [b"new\nline.err", b"quote'\".err", b"bad\xff.err", &[&[b'x'; 251][..], b".err"].concat()];
    for name in names {
        fs::write(world.path("").join(Path::new(std::ffi::OsStr::from_bytes(name))), "x\n").unwrap();
    }
    wait("all four", || world.said().len() == 4);
    assert!(world.events().iter().all(Event::is_bounded));
    world.write("nul.err", b"a\0b\n");
    world.write("binary.err", (0..=255).collect::<Vec<u8>>());
    world.write("gbk.err", encoding_rs::GBK.encode("磁盘空间不足\n").0);
    world.write("wide.err", b"\xff\xfee\0r\0r\0\n\0");
    wait("all eight", || world.said().len() == 8);
    for expected in ["nul.err created: ab", "gbk.err created: 磁盘空间不足", "wide.err created: err"] {
        assert!(world.said().contains(&expected.to_owned()), "{:#?}", world.said());
    }
}

#[test]
fn a_huge_file_costs_two_windows() {
    let world = World::new();
    let file = File::create(world.path("huge.err")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"the beginning\n", 0).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"the end\n", 10 << 30).unwrap();
    drop(file);
    wait("it", || world.said().len() == 1);
    let EventContent::Text { excerpt, .. } = world.last().what else { panic!() };
    assert!(excerpt.head().starts_with("the beginning") && excerpt.tail().ends_with("the end"));
    assert!(excerpt.left_out() > 9 << 30);
}

#[test]
fn the_first_start_ever_tells_history() {
    let mut world = World::stopped(|_| {});
    world.write("recent.err", "an hour ago\n");
    world.write("recent.log", "");
    world.write("old.err", "long ago\n");
    age(&world.path("recent.err"), 3600);
    age(&world.path("recent.log"), 3600);
    age(&world.path("old.err"), 3 * 24 * 3600);
    world.start();
    wait("two", || world.said().len() == 2);
    world.append("old.err", "new\n");
    wait("three", || world.said().len() == 3);
    let mut said = world.said();
    said.sort();
    let expected = ["old.err grown: new", "recent.err created history: an hour ago", "recent.log created history: "];
    assert_eq!(said, expected);
}

#[test]
fn what_happened_while_it_was_away_is_told_late_with_its_own_time() {
    let mut world = World::new();
    world.append("svc.err", "one\n");
    world.write("gone.err", "there\n");
    wait("both", || world.said().len() == 2);
    world.stop();
    world.append("svc.err", "two\n");
    age(&world.path("svc.err"), 600);
    world.write("new.err", "new\n");
    age(&world.path("new.err"), 300);
    fs::remove_file(world.path("gone.err")).unwrap();
    world.start();
    wait("three more", || world.said().len() == 5);
    let mut said = world.said().split_off(2);
    said.sort();
    assert_eq!(said, ["gone.err deleted", "new.err created: new", "svc.err grown: two"]);
    let now = Clock::system().now();
    let ages: Vec<i64> = world.events().iter().skip(2).map(|event| now.since(event.at.0) / 100_000).collect();
    assert!(ages.contains(&6) && ages.contains(&3), "{ages:?}");
    world.stop();
    world.start();
    world.expect_nothing_more(&world.said().iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn rules_ignore_lines_and_change_what_a_file_means() {
    let world = World::with(|config| {
        config.rules = vec![Rule {
            files: Glob::parse("svc.*").unwrap(),
            ignore: vec![regex::Regex::new("^DEBUG").unwrap()],
            as_suffix: Some(LogKind::Scanerr),
            is_ignored: false,
            encoding: None,
        }];
        config.redact = vec![regex::Regex::new("pin [0-9]+").unwrap()];
    });
    world.write("svc.err", "DEBUG nothing\n");
    world.append("svc.err", "DEBUG\nwrong pin 1234\n");
    wait("the line", || world.said().len() == 1);
    assert_eq!(world.said()[0].split(": ").last(), Some("wrong ***"));
    assert!(world.said()[0].starts_with("svc.scanerr"));
}

#[test]
fn twenty_thousand_files_make_twenty_thousand_events() {
    let mut world = World::new();
    let made = 10_000;
    for i in 0..made {
        world.write(&format!("{i}.err"), "x\n");
    }
    wait("all", || world.spool().held().events == made);
    world.stop();
    for i in 0..made {
        world.write(&format!("away{i}.err"), "x\n");
    }
    world.start();
    wait("all again", || world.spool().held().events == 2 * made);
}

#[test]
fn two_hundred_tasks_that_share_a_first_line_are_told_apart_by_their_own_words() {
    let world = World::new();
    let preamble = "bash: warning: setlocale: LC_ALL: cannot change locale (en_US.UTF-8)";
    let own = |i: usize| format!("{}: no such table", ["alpha", "beta", "gamma", "delta"].get(i % 4).unwrap());
    for i in 0..200 {
        world.write(&format!("task{i}.err"), format!("{preamble}\n{}\n", own(i)));
    }
    wait("all", || world.said().len() == 200);
    let mut seen: std::collections::HashMap<String, std::collections::HashSet<String>> = Default::default();
    for event in world.events() {
        let EventContent::Text { file, excerpt } = event.what else { panic!("{:?}", event.what) };
        assert_eq!(file.fingerprints.len(), 2, "{:?}", file.fingerprints);
        let words = excerpt.head().lines().last().unwrap().to_owned();
        seen.entry(words).or_default().insert(format!("{:?}", file.fingerprints));
    }
    let all: std::collections::HashSet<&String> = seen.values().flatten().collect();
    assert!(seen.len() == 4 && seen.values().all(|prints| prints.len() == 1) && all.len() == 4, "{seen:#?}");
}

#[test]
fn a_full_spool_pauses_reading_and_goes_on() {
    let world = World::with(|config| config.spool_max = 2_000);
    for i in 0..40 {
        world.write(&format!("{i}.err"), "text of an error\n");
        if i == 10 {
            wait("it is full", || world.said().contains(&"note spool_full".to_owned()));
        }
    }
    let texts = |world: &World| world.said().iter().filter(|text| text.contains("text of an error")).count();
    assert!(texts(&world) < 40);
    let mut told = 0;
    wait("all of them", || {
        told += texts(&world);
        world.spool().release(world.spool().last()).unwrap();
        told >= 40
    });
    assert_eq!(told, 40);
}

#[test]
fn a_damaged_spool_is_set_aside_and_told() {
    let mut world = World::new();
    world.write("x.err", "kept\n");
    world.expect(&["x.err created: kept"]);
    world.stop();
    let db = world.dir.path().join("state/spool.db");
    fs::write(&db, "this is no database, but long enough to look at: ".repeat(100)).unwrap();
    world.start();
    wait("the note", || world.said().iter().any(|text| text == "note spool_damaged"));
    assert!(world.dir.path().join("state/spool.db.corrupt-1").exists());
    world.settled();
    world.write("y.err", "goes on\n");
    wait("it goes on", || world.said().contains(&"y.err created: goes on".to_owned()));
}

#[test]
fn a_spool_is_for_one_agent_and_for_this_version() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool.db");
    let (spool, opened) = Spool::open(&path, Id128([1; 16])).unwrap();
    assert_eq!(opened, Opened::Fresh);
    assert!(matches!(Spool::open(&path, Id128([2; 16])), Err(SpoolError::Busy { .. })));
    let note = Note { code: "x".into(), path: None, text: "y".into(), over: false, once: false };
    spool.put_note(note, boot::stamp(Clock::system().now())).unwrap();
    drop(spool);
    let (spool, opened) = Spool::open(&path, Id128([2; 16])).unwrap();
    assert_eq!((opened, spool.epoch(), spool.last()), (Opened::Kept, Id128([1; 16]), 1));
    drop(spool);
    let db = rusqlite::Connection::open(&path).unwrap();
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    assert!(matches!(Spool::open(&path, Id128([2; 16])), Err(SpoolError::Newer { found: 99, .. })));
}

#[test]
fn a_log_dir_that_is_unmounted_clears_nothing() {
    let mut world = World::stopped(|config| config.rescan_every = Duration::from_millis(300));
    let logs = world.path("");
    let mount = || std::process::Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&logs).output();
    if !mount().is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: this user may not mount a tmpfs");
        return;
    }
    world.start();
    world.settled();
    fs::create_dir(world.path("sub")).unwrap();
    world.write("x.err", "bad\n");
    world.write("sub/y.err", "bad\n");
    wait("both", || world.said().len() == 2);
    assert!(std::process::Command::new("umount").arg(&logs).status().unwrap().success());
    wait("the note", || world.said().last().is_some_and(|text| text == "note log_dir_missing"));
    let scans = world.files.as_ref().unwrap().status().scans;
    wait("another look", || world.files.as_ref().unwrap().status().scans > scans + 1);
    assert_eq!(world.said().len(), 3, "{:?}", world.said());
    world.stop();
}

#[test]
fn a_log_that_grows_is_told_once_a_pace_and_a_new_run_at_once() {
    let world = World::with(|config| config.pace = Duration::from_secs(3600));
    world.append("svc.log", "one\n");
    world.expect(&["svc.log created: one"]);
    world.append("svc.log", "two\n");
    world.append("svc.log", "three\n");
    world.write("mark.msg", "mark");
    world.expect(&["svc.log created: one", "mark.msg created: mark"]);
    world.write("svc.log", "a new run\n");
    wait("the run", || world.said().len() == 3);
    assert_eq!(world.said()[2], "svc.log rewritten: a new run");
}

#[test]
fn a_file_that_may_not_be_read_is_a_trouble_that_ends() {
    if rustix::process::geteuid().is_root() {
        eprintln!("skipped: root may read everything");
        return;
    }
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    world.write("x.err", "");
    fs::set_permissions(world.path("x.err"), fs::Permissions::from_mode(0o000)).unwrap();
    wait("the note", || world.said().contains(&"note file_unreadable".to_owned()));
}

#[test]
fn old_logs_are_deleted_once_the_clock_is_confirmed() {
    let mut world = World::stopped(|config| config.keep = Some(Duration::ZERO));
    for i in 0..20 {
        world.write(&format!("{i}.log"), "x\n");
        age(&world.path(&format!("{i}.log")), 3 * 24 * 3600);
    }
    world.write("alarm.err", "the newest error of its task\n");
    age(&world.path("alarm.err"), 3 * 24 * 3600);
    world.write("other.txt", "not ours\n");
    world.start();
    world.settled();
    let left = |world: &World| fs::read_dir(world.path("")).unwrap().count();
    assert_eq!(left(&world), 22);
    world.files.as_ref().unwrap().hub_clock(Some(0));
    wait("a tenth of them gone", || left(&world) == 19);
    world.expect_nothing_more(&[]);
    assert!(world.path("alarm.err").exists() && world.path("other.txt").exists());
    assert_eq!(left(&world), 20);
}

#[test]
fn a_file_that_was_met_in_1970_is_not_old_when_the_clock_comes_right() {
    let mut world = World::stopped(|config| config.keep = Some(Duration::from_secs(30 * 24 * 3600)));
    world.write("boot.log", "written before the network's time came\n");
    let epoch = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(60);
    File::options().write(true).open(world.path("boot.log")).unwrap().set_modified(epoch).unwrap();
    let (clock, hand) = Clock::manual(Timestamp(120_000));
    world.start_at(clock);
    world.settled();
    hand.set(Clock::system().now());
    world.files.as_ref().unwrap().hub_clock(Some(0));
    let dated = || {
        let rows = world
            .spool()
            .folders()
            .unwrap()
            .iter()
            .flat_map(|f| world.spool().rows(f.id, None, 9).unwrap())
            .collect::<Vec<_>>();
        !rows.is_empty() && rows.iter().all(|row| row.memory.seen.is_some())
    };
    wait("the clean-up has run", dated);
    assert!(world.path("boot.log").exists());
}

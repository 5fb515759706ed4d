//! A known inode is a known file: whatever rotation makes of it says nothing new, and its later text belongs to its first task.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::time::Duration;

use olog_proto::EventContent;

use super::world::{World, wait};

fn text_of(world: &World) -> Vec<String> {
    world.said().into_iter().filter(|said| !said.starts_with("mark")).collect()
}

/// A program that keeps its file open, as a daemon does whose log is rotated under it.
fn writer(world: &World, name: &str) -> File {
    OpenOptions::new().append(true).create(true).open(world.path(name)).unwrap()
}

#[test]
fn a_file_that_gets_another_name_says_nothing_and_its_later_text_belongs_to_its_first_task() {
    for new_name in ["x-2026-11-27.err", "old-x.err", "x.1.err", "x.err.1", "x.bak"] {
        let world = World::new();
        let mut daemon = writer(&world, "x.err");
        daemon.write_all(b"x is broken\n").unwrap();
        world.expect(&["x.err created: x is broken"]);
        fs::rename(world.path("x.err"), world.path(new_name)).unwrap();
        File::create(world.path("x.err")).unwrap();
        world.expect_nothing_more(&["x.err created: x is broken"]);
        if new_name == "x.bak" {
            // Nobody tells of changes under a name that no log file has.
            continue;
        }
        daemon.write_all(b"written late\n").unwrap();
        drop(daemon);
        wait("the late line", || text_of(&world).len() == 2);
        assert_eq!(text_of(&world)[1], "x.err grown: written late", "{new_name}");
    }
}

#[test]
fn what_is_written_just_before_or_after_a_rename_is_told_whatever_the_new_name() {
    let world = World::with(|config| config.settle = Duration::from_millis(200));
    let mut daemon = writer(&world, "x.err");
    daemon.write_all(b"one\n").unwrap();
    world.expect(&["x.err created: one"]);
    daemon.write_all(b"two\n").unwrap();
    fs::rename(world.path("x.err"), world.path("x.bak")).unwrap();
    daemon.write_all(b"three\n").unwrap();
    drop(daemon);
    wait("the rest", || text_of(&world).len() == 2);
    let EventContent::Text { file, excerpt } = world.last().what else { panic!("{:?}", world.said()) };
    assert_eq!((file.task.as_str(), excerpt.head()), ("x", "two\nthree"));
}

#[test]
fn numbered_names_move_on_and_no_task_is_made_of_them() {
    let world = World::new();
    world.write("x.err", "first day\n");
    world.expect(&["x.err created: first day"]);
    let rotate = |from: &str, to: &str| fs::rename(world.path(from), world.path(to)).unwrap();
    rotate("x.err", "x.1.err");
    world.write("x.err", "second day\n");
    wait("the second day", || text_of(&world).len() == 2);
    rotate("x.1.err", "x.2.err");
    rotate("x.err", "x.1.err");
    world.write("x.err", "third day\n");
    wait("the third day", || text_of(&world).len() == 3);
    world.append("x.2.err", "late for the first day\n");
    wait("the late line", || text_of(&world).len() == 4);
    let said = text_of(&world);
    assert!(said.iter().all(|said| said.starts_with("x.err ")), "{said:#?}");
    world.expect_nothing_more(&said.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn an_empty_log_that_is_rotated_daily_makes_no_task_and_no_run() {
    let world = World::new();
    world.write("x.log", "");
    world.expect(&["x.log created: "]);
    fs::rename(world.path("x.log"), world.path("x-20261127.log")).unwrap();
    world.expect_nothing_more(&["x.log created: "]);
}

#[test]
fn a_file_that_is_moved_out_of_the_log_dirs_is_not_cleared_and_is_known_when_it_is_back() {
    for replaced in [false, true] {
        let world = World::new();
        let outside = world.dir.path().join("x.err.1");
        world.write("x.err", "x is broken\n");
        world.expect(&["x.err created: x is broken"]);
        fs::rename(world.path("x.err"), &outside).unwrap();
        if replaced {
            world.write("x.err", "");
        }
        world.expect_nothing_more(&["x.err created: x is broken"]);
        fs::rename(&outside, world.path("back.err")).unwrap();
        world.expect_nothing_more(&["x.err created: x is broken"]);
        world.append("back.err", "again\n");
        wait("the next line", || text_of(&world).len() == 2);
        assert_eq!(text_of(&world)[1], "x.err grown: again");
    }
}

#[test]
fn a_file_that_is_moved_to_another_folder_of_the_log_dirs_says_nothing_new() {
    let mut world = World::stopped(|config| config.log_dirs.push(config.own.with_file_name("more")));
    fs::create_dir(world.dir.path().join("more")).unwrap();
    world.start();
    world.settled();
    world.write("y.err", "y is broken\n");
    world.write("z.err", "z is broken\n");
    wait("both", || world.said().len() == 2);
    let before = world.said();
    fs::create_dir(world.path("old")).unwrap();
    fs::rename(world.path("y.err"), world.path("old/y.err")).unwrap();
    fs::rename(world.path("z.err"), world.dir.path().join("more/other.err")).unwrap();
    world.expect_nothing_more(&before.iter().map(String::as_str).collect::<Vec<_>>());
    world.append("old/y.err", "more of y\n");
    world.append("../more/other.err", "more of z\n");
    wait("both", || text_of(&world).len() == 4);
    let mut said = text_of(&world).split_off(2);
    said.sort();
    assert_eq!(said, ["y.err grown: more of y", "z.err grown: more of z"]);
}

#[test]
fn rotation_while_the_agent_is_off_is_rotation_too() {
    let mut world = World::new();
    for name in ["a", "b", "c", "d", "e"] {
        world.write(&format!("{name}.err"), format!("{name} is broken\n"));
    }
    wait("all", || world.said().len() == 5);
    world.stop();
    let rename = |from: &str, to: &str| fs::rename(world.path(from), world.path(to)).unwrap();
    rename("a.err", "a-20261127.err");
    rename("b.err", "b.err.1");
    world.append("b.err.1", "late\n");
    world.write("b.err", "");
    fs::create_dir(world.path("0")).unwrap();
    rename("c.err", "0/c.err");
    rename("d.err", "d.bak");
    fs::remove_file(world.path("e.err")).unwrap();
    // A new file that is likely to get the inode of the deleted one.
    world.write("f.err", "f is broken\n");
    world.start();
    wait("three", || text_of(&world).len() >= 8);
    let mut said = text_of(&world).split_off(5);
    said.sort();
    assert_eq!(said, ["b.err grown: late", "e.err deleted", "f.err created: f is broken"]);
    let all = text_of(&world);
    world.expect_nothing_more(&all.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn a_swap_for_an_empty_file_while_the_agent_is_off_clears_nothing() {
    let mut world = World::new();
    world.write("x.err", "x is broken\n");
    world.expect(&["x.err created: x is broken"]);
    world.stop();
    fs::rename(world.path("x.err"), world.dir.path().join("x.err.1")).unwrap();
    world.write("x.err", "");
    world.start();
    wait("the scan", || world.files.as_ref().unwrap().status().scans > 0);
    world.expect_nothing_more(&["x.err created: x is broken"]);
}

#[test]
fn a_new_file_with_the_inode_of_a_deleted_one_is_new_even_with_the_same_text() {
    let world = World::new();
    let mut expected = Vec::new();
    for i in 0..20 {
        world.write(&format!("{i}.err"), "out of memory\n");
        expected.push(format!("{i}.err created: out of memory"));
        wait("it", || text_of(&world).contains(&expected[i]));
        fs::remove_file(world.path(&format!("{i}.err"))).unwrap();
    }
    let cleared = || text_of(&world).iter().filter(|said| said.ends_with("deleted")).count();
    wait("all ends", || cleared() == 20);
    assert_eq!(text_of(&world).len(), 40, "{:#?}", text_of(&world));
}

#[test]
fn copy_and_truncation_that_keep_the_suffix_make_no_task() {
    for copy in ["x-20261127.err", "x.1.err", "x.err.1"] {
        let world = World::new();
        let mut daemon = writer(&world, "x.err");
        daemon.write_all(b"one\n").unwrap();
        world.expect(&["x.err created: one"]);
        fs::copy(world.path("x.err"), world.path(copy)).unwrap();
        OpenOptions::new().write(true).truncate(true).open(world.path("x.err")).unwrap();
        world.expect_nothing_more(&["x.err created: one"]);
        daemon.write_all(b"two\n").unwrap();
        drop(daemon);
        wait("the next", || text_of(&world).len() == 2);
        assert!(text_of(&world)[1].ends_with(": two"), "{copy}: {:?}", text_of(&world));
    }
}

#[test]
fn two_tasks_with_the_same_words_are_two_although_one_name_could_be_a_copy_of_the_other() {
    let world = World::new();
    world.write("job.err", "failed\n");
    world.expect(&["job.err created: failed"]);
    world.write("job-2.err", "failed\n");
    world.expect(&["job.err created: failed", "job-2.err created: failed"]);
}

#[test]
fn a_hard_link_is_the_same_file_and_its_text_is_told_once() {
    let world = World::with(|config| config.rescan_every = Duration::from_millis(100));
    world.write("x.err", "one\n");
    world.expect(&["x.err created: one"]);
    fs::hard_link(world.path("x.err"), world.path("y.err")).unwrap();
    world.expect_nothing_more(&["x.err created: one"]);
    world.append("y.err", "two\n");
    wait("the next", || text_of(&world).len() == 2);
    let scans = world.files.as_ref().unwrap().status().scans;
    wait("another scan", || world.files.as_ref().unwrap().status().scans > scans + 1);
    world.expect_nothing_more(&["x.err created: one", "x.err grown: two"]);
    // Rotation by link: the first name goes, the file stays.
    fs::remove_file(world.path("x.err")).unwrap();
    world.expect_nothing_more(&["x.err created: one", "x.err grown: two"]);
}

#[test]
fn deleting_many_files_lists_no_folder_and_deleting_them_while_the_agent_is_off_lists_it_once_a_batch() {
    let mut world = World::new();
    let n = 600;
    for i in 0..n {
        world.write(&format!("{i}.err"), "x\n");
        world.write(&format!("keep{i}.txt"), "");
    }
    wait("all", || world.said().len() == n);
    let delete = |world: &World, range: std::ops::Range<usize>| {
        range.for_each(|i| fs::remove_file(world.path(&format!("{i}.err"))).unwrap());
    };
    let cleared = |world: &World| world.said().iter().filter(|said| said.ends_with("deleted")).count();
    delete(&world, 0..n / 2);
    wait("the first half", || cleared(&world) == n / 2);
    assert_eq!(world.files.as_ref().unwrap().status().folders_listed, 0);
    world.stop();
    delete(&world, n / 2..n);
    world.start();
    wait("the others", || cleared(&world) == n);
    let listed = world.files.as_ref().unwrap().status().folders_listed;
    // 300 files in batches of 128; some more where a batch was cut short by its time.
    assert!((1..=10).contains(&listed), "{listed}");
}

#[test]
fn truncating_many_files_lists_their_folder_once_a_batch() {
    let world = World::new();
    let n = 300;
    for i in 0..n {
        world.write(&format!("{i}.err"), "x\n");
    }
    wait("all", || world.said().len() == n);
    for i in 0..n {
        world.write(&format!("{i}.err"), "");
    }
    let cleared = || world.said().iter().filter(|said| said.ends_with("emptied")).count();
    wait("all are cleared", || cleared() == n);
    let listed = world.files.as_ref().unwrap().status().folders_listed;
    assert!(listed < n as u64 / 3, "{listed}");
}

//! Log rotation while a program writes: rename, truncate, copytruncate.

use std::{fs, io::Write as _};

use olog_journeys::world::{Agent, World};

fn daemon_log(pi: &Agent, name: &str) -> fs::File {
    fs::OpenOptions::new().create(true).append(true).open(pi.log_dir.join(name)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_by_rename_loses_nothing_and_ends_nothing() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    let (mut log, mut err) = (daemon_log(&pi, "svc.log"), daemon_log(&pi, "svc.err"));
    writeln!(log, "serving").unwrap();
    writeln!(err, "the cache is gone").unwrap();
    err.flush().unwrap();
    world.push("the cache is gone").await;
    for suffix in ["log", "err"] {
        fs::rename(pi.log_dir.join(format!("svc.{suffix}")), pi.log_dir.join(format!("svc.{suffix}.1"))).unwrap();
    }
    // Until it is told to reopen its log, the daemon writes to the file that it has open.
    writeln!(err, "words for the old file").unwrap();
    let mut new = daemon_log(&pi, "svc.err");
    writeln!(new, "words for the new file").unwrap();
    drop((log, err, new));
    world.push("words for the new file").await;
    world.push("words for the old file").await;
    world.all_over(&pi).await;
    assert_eq!(world.n_pushes("OVER pi/svc"), 0, "{}", world.phone.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_by_copytruncate_ends_nothing_and_what_follows_is_told() {
    let world = World::new().await;
    let hub = world.hub_with("", "[alerts]\nquiet = \"\"\nover_wait = \"5s\"\n");
    let pi = world.agent("pi", &hub);
    let (mut log, mut err) = (daemon_log(&pi, "svc.log"), daemon_log(&pi, "svc.err"));
    writeln!(log, "serving").unwrap();
    writeln!(err, "the cache is gone").unwrap();
    world.push("the cache is gone").await;
    for suffix in ["log", "err"] {
        pi.sh(&format!("cp svc.{suffix} svc.{suffix}.1 && : > svc.{suffix}"));
    }
    writeln!(log, "serving").unwrap();
    writeln!(err, "a lease was lost").unwrap();
    world.push("a lease was lost").await;
    world.all_told(&pi).await;
    assert_eq!(world.n_pushes("OVER pi/svc"), 0, "{}", world.phone.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_with_ghosts_of_rotation_is_put_right_by_the_command_of_the_message() {
    let world = World::new().await;
    let mut hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.write("svc.err", "the cache is gone\n");
    pi.write("svc-2026-11-26.err", "the cache was gone yesterday\n");
    world.push("the cache was gone yesterday").await;
    world.all_told(&pi).await;
    hub.daemon.stop();
    hub.start();
    let proposal = world.push("olog-hub task merge").await;
    assert!(proposal.content.contains("olog-hub task merge pi svc-2026-11-26 svc"), "{}", proposal.content);
    hub.verb(&["task", "merge", "pi", "svc-2026-11-26", "svc"]).good();
    let names = |hub: &olog_journeys::world::Hub| {
        let tasks = hub.list(&["task", "list"]);
        tasks.iter().map(|task| task["task"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&hub), ["svc"]);
    // What comes under the old name is the task's, and nothing is proposed again.
    pi.write("svc-2026-11-26.err", "the cache was gone the day before\n");
    world.push("the cache was gone the day before").await;
    assert_eq!(names(&hub), ["svc"]);
    hub.daemon.stop();
    hub.start();
    pi.write("mark.err", "a mark\n");
    world.push("a mark").await;
    assert_eq!(world.n_pushes("olog-hub task merge"), 1, "{}", world.phone.story());
}

//! `kill -9` at the rows of the table of crashes in docs/ARCHITECTURE.md: nothing is lost, and nothing is acknowledged before it is committed.

use std::{collections::BTreeSet, fs, time::Duration};

use olog_journeys::{
    phone::Habit,
    world::{Agent, Hub, World},
};

/// The tasks for which the hub has an event with text.
fn told(hub: &Hub) -> BTreeSet<String> {
    hub.events("text").iter().map(|event| event["what"]["text"]["file"]["task"].as_str().unwrap().to_owned()).collect()
}

fn all(n: usize) -> BTreeSet<String> {
    (0..n).map(|i| format!("job{i:03}")).collect()
}

fn write(pi: &Agent, tasks: impl Iterator<Item = usize>) {
    for i in tasks {
        pi.write(&format!("job{i:03}.scanerr"), &format!("step {i} failed\n"));
    }
}

/// Each file's event is in the store, once; numbers have no gap; the device has nothing left.
fn check_complete(hub: &Hub, pi: &Agent, n: usize) {
    hub.wait("every file's event is in the store", |hub| (told(hub) == all(n)).then_some(()));
    pi.wait_sent();
    let texts = hub.events("text");
    let distinct: BTreeSet<String> = texts.iter().map(|event| event["what"].to_string()).collect();
    assert_eq!(texts.len(), distinct.len(), "an event came twice under two numbers");
    let rows = hub.query::<String>("SELECT count(*) || '/' || max(n) FROM events GROUP BY epoch_id");
    for row in rows {
        let (count, max) = row.split_once('/').unwrap();
        assert_eq!(count, max, "numbers are missing");
    }
}

/// Rows 1 to 5: the kernel's change, settling, reading, the spool, on the way.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_anywhere_reads_and_sends_what_is_missing() {
    let world = World::new().await;
    let hub = world.hub();
    let mut pi = world.agent("pi", &hub);
    for round in 0..6 {
        write(&pi, round * 40..(round + 1) * 40);
        // Each time a little later on the path.
        tokio::time::sleep(Duration::from_millis(40 * round as u64)).await;
        pi.daemon.kill();
        pi.start();
    }
    check_complete(&hub, &pi, 240);
}

/// Rows 6 to 8: received, committed, acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_killed_anywhere_has_committed_what_it_acknowledged() {
    let world = World::new().await;
    let mut hub = world.hub();
    let pi = world.agent("pi", &hub);
    for round in 0..6 {
        write(&pi, round * 40..(round + 1) * 40);
        tokio::time::sleep(Duration::from_millis(100 + 40 * round as u64)).await;
        hub.daemon.kill();
        let acked = pi.status().unwrap()["acked"].as_u64().unwrap_or(0);
        hub.start();
        let has = hub.query::<i64>("SELECT coalesce(max(n), 0) FROM events")[0];
        assert!(has.cast_unsigned() >= acked, "acknowledged through {acked}, committed through {has}");
    }
    check_complete(&hub, &pi, 240);
}

/// Rows 7 and 9: the incident and its notification are committed together; after the crash, the next process sends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_the_hub_could_not_send_before_it_died_is_sent_by_the_next() {
    let world = World::new().await;
    let mut hub = world.hub();
    let pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    world.phone.behave(Habit::Hang);
    let calls = world.phone.calls().len();
    pi.write("svc.err", "the last words before the crash\n");
    world.phone.wait_calls("the call that hangs", |all| all.len() > calls).await;
    hub.daemon.kill();
    world.phone.behave(Habit::Well);
    hub.start();
    world.push("the last words before the crash").await;
    world.all_told(&pi).await;
    assert_eq!(world.n_pushes("the last words before the crash"), 1);
}

/// Row 10: the only place where a push may come twice. It never gets lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_killed_between_the_services_yes_and_its_own_record_may_repeat_the_push() {
    let world = World::new().await;
    let mut hub = world.hub();
    let pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    world.phone.behave(Habit::TakeAndHold);
    pi.write("svc.err", "taken and not recorded\n");
    world.push("taken and not recorded").await;
    hub.daemon.kill();
    world.phone.behave(Habit::Well);
    hub.start();
    world.all_told(&pi).await;
    world
        .phone
        .wait("the same message again", |pushes| {
            pushes.iter().filter(|p| p.text().contains("taken and not")).count() == 2
        })
        .await;
}

/// Row 11.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_service_accepted_is_not_sent_again_by_a_hub_that_starts_anew() {
    let world = World::new().await;
    let mut hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.write("svc.err", "told once\n");
    world.push("told once").await;
    hub.wait("the attempt is recorded", |hub| {
        (hub.query::<i64>("SELECT count(*) FROM outbox WHERE done_at IS NULL")[0] == 0).then_some(())
    });
    for _ in 0..2 {
        hub.daemon.kill();
        hub.start();
    }
    world.all_told(&pi).await;
    assert_eq!(world.n_pushes("told once"), 1, "{}", world.phone.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_spool_is_kept_aside_and_told() {
    let world = World::new().await;
    let hub = world.hub();
    let mut pi = world.agent("pi", &hub);
    pi.write("svc.err", "before\n");
    world.push("ERR pi/svc").await;
    pi.wait_sent();
    pi.daemon.kill();
    damage(&pi.state_dir);
    pi.start();
    pi.wait_connected();
    pi.write("after.err", "after the damage\n");
    world.push("after the damage").await;
    assert!(kept_aside(&pi.state_dir), "{:?}", listing(&pi.state_dir));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_of_the_hub_is_kept_aside_and_told() {
    let world = World::new().await;
    let mut hub = world.hub();
    let pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    hub.daemon.stop();
    damage(&hub.state_dir);
    hub.start();
    assert!(kept_aside(&hub.state_dir), "{:?}", listing(&hub.state_dir));
    let nas = world.agent("nas", &hub);
    nas.write("svc.err", "after the damage\n");
    world.push("after the damage").await;
}

/// Overwrites every database file of a folder with noise, write-ahead logs included.
fn damage(folder: &std::path::Path) {
    for path in listing(folder).iter().filter(|path| path.contains(".db")) {
        let length = fs::metadata(path).unwrap().len().max(8192) as usize;
        fs::write(path, b"this is not a database ".iter().copied().cycle().take(length).collect::<Vec<u8>>()).unwrap();
    }
}

fn kept_aside(folder: &std::path::Path) -> bool {
    let noise = |path: &String| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"this is not a database"));
    listing(folder).iter().any(noise)
}

fn listing(folder: &std::path::Path) -> Vec<String> {
    let mut files: Vec<String> =
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().path().display().to_string()).collect();
    files.sort();
    files
}

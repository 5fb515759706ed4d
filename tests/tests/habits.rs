//! What users do every day: crontab lines, messages, the same error again and again.

use std::{fs, io::Write as _};

use olog_journeys::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_job_is_told_and_its_next_good_run_ends_it() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.sh("(echo begin; echo boom >&2) >job.log 2>job.err");
    let push = world.push("ERR pi/job").await;
    assert!(push.text().contains("boom"), "{}", push.text());
    pi.sh("(echo begin; echo done) >job.log 2>job.err");
    let over = world.push("OVER pi/job").await;
    assert!(over.at > push.at);
    assert_eq!(world.n_pushes("ERR pi/job"), 1);
}

/// A program that buffers its output writes the `.log` after the `.err`.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_written_after_the_error_of_the_same_run_ends_nothing() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    for redirect in [">late.log 2>late.err", ">>more.log 2>>more.err"] {
        pi.sh(&format!("(echo boom >&2; sleep 0.4; echo begin; echo end) {redirect}"));
    }
    world.push("ERR pi/late").await;
    world.push("ERR pi/more").await;
    world.all_over(&pi).await;
    assert_eq!(world.n_pushes("OVER pi/late") + world.n_pushes("OVER pi/more"), 0);
    pi.sh("echo fine >late.log 2>late.err");
    world.push("OVER pi/late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_goes_well_says_nothing() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    for day in 1..=3 {
        pi.sh(&format!("echo sent 34 files >@backup@2026-11-0{day}.log 2>@backup@2026-11-0{day}.err"));
    }
    world.all_told(&pi).await;
    assert_eq!(world.n_pushes("backup"), 0);
    assert_eq!(hub.query::<String>("SELECT name FROM tasks WHERE is_task = 1"), ["backup"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_error_again_is_counted_and_another_one_is_pushed_as_itself() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.append("svc.err", "2026-11-22 03:11:04 connection to 10.0.0.7 refused\n");
    world.push("ERR pi/svc").await;
    pi.append("svc.err", "2026-11-22 03:12:09 connection to 10.0.0.9 refused\n");
    pi.append("svc.err", "2026-11-22 03:13:10 connection to 10.0.0.8 refused\n");
    world.all_told(&pi).await;
    assert_eq!(world.n_pushes("ERR pi/svc"), 1);
    pi.append("svc.err", "2026-11-22 03:14:10 out of memory\n");
    let push = world
        .phone
        .wait("the other error", |pushes| pushes.iter().filter(|p| p.summary.contains("pi/svc")).count() == 2)
        .await;
    let text = push.last().unwrap().text();
    assert!(text.contains("out of memory") && !text.contains("refused"), "{text}");
    fs::remove_file(pi.log_dir.join("svc.err")).unwrap();
    world.push("OVER pi/svc").await;
}

/// `df -h > disk.err`: the same head, another tail.
#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_file_with_the_same_head_is_read_to_its_end() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    let head = "Filesystem Size Used Avail\n".repeat(30);
    pi.write("disk.err", &format!("{head}/dev/sda1 is full\n"));
    assert!(world.push("ERR pi/disk").await.text().contains("/dev/sda1"));
    pi.write("disk.err", &format!("{head}/mnt/usbdrive cannot be read\n"));
    world.push("usbdrive cannot be read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn touching_a_file_says_nothing_and_moving_one_in_says_all() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.sh("touch empty.err; printf ' \\n\\t\\n' > blank.err");
    fs::write(world.folder().join("made.err"), "made elsewhere\n").unwrap();
    fs::rename(world.folder().join("made.err"), pi.log_dir.join("made.err")).unwrap();
    fs::create_dir_all(world.folder().join("tree/a/b")).unwrap();
    fs::write(world.folder().join("tree/a/b/deep.err"), "made deep\n").unwrap();
    fs::rename(world.folder().join("tree"), pi.log_dir.join("tree")).unwrap();
    world.push("made elsewhere").await;
    world.push("made deep").await;
    pi.sh("mkdir -p new/sub && echo 'at once in a new folder' > new/sub/fresh.err");
    world.push("at once in a new folder").await;
    world.all_told(&pi).await;
    assert_eq!(world.n_pushes("pi/empty") + world.n_pushes("pi/blank"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_stays_open_is_told_while_it_is_written() {
    let world = World::new().await;
    let hub = world.hub();
    let mut pi = world.agent_off("pi", "settle_max = \"1s\"", "");
    pi.join(&hub);
    pi.start();
    pi.wait_connected();
    let mut file = fs::File::create(pi.log_dir.join("slow.err")).unwrap();
    writeln!(file, "first line").unwrap();
    write!(file, "half a li").unwrap();
    let push = world.push("ERR pi/slow").await;
    assert!(push.text().contains("first line") && !push.text().contains("half a li"), "{}", push.text());
    writeln!(file, "ne").unwrap();
    drop(file);
    world.push("half a line").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_tasks_that_fail_at_once_are_few_messages_that_name_each() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    let before = world.phone.calls().len();
    for task in 0..60 {
        pi.write(&format!("job{task:02}.err"), &format!("cannot reach the database of job {task}\n"));
    }
    let all = |pushes: &[olog_journeys::phone::Push]| {
        (0..60).all(|task| {
            pushes.iter().any(|push| format!("{} {}", push.summary, push.text()).contains(&format!("job{task:02}")))
        })
    };
    world.phone.wait("every task by name", all).await;
    let calls = world.phone.calls().len() - before;
    assert!(calls <= 15, "{calls} messages for 60 tasks\n{}", world.phone.story());
}

/// `rm -f x.err; check || echo … > x.err`, each minute.
#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_that_removes_and_writes_its_file_again_does_not_flap() {
    let world = World::new().await;
    let hub = world.hub_with("", "[alerts]\nquiet = \"\"\nover_wait = \"5s\"\n");
    let pi = world.agent("pi", &hub);
    for _ in 0..15 {
        pi.sh("rm -f x.err; sleep 0.15; echo 'the queue is stuck' > x.err; sleep 0.15");
    }
    world.push("ERR pi/x").await;
    world.all_told(&pi).await;
    assert_eq!((world.n_pushes("ERR pi/x"), world.n_pushes("OVER pi/x")), (1, 0), "{}", world.phone.story());
    fs::remove_file(pi.log_dir.join("x.err")).unwrap();
    world.push("OVER pi/x").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_no_error_and_a_scanerr_is_not_pushed() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.write("report.SCANERR", "three bad sectors\n");
    pi.write("door.Msg", "door sensor battery 8 %\n");
    world.push("MSG pi/door").await;
    world.all_told(&pi).await;
    assert_eq!(world.n_pushes("bad sectors"), 0);
    assert_eq!(hub.query::<String>("SELECT name FROM tasks WHERE is_task = 1"), ["report"]);
}

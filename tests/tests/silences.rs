//! Silences as a user works with them: add, list, end; "not an error"; errors in a row. Real daemons and a phone.

use olog_journeys::world::{Hub, World};

/// The outcomes of the outbox rows of an incident's task.
fn outcomes(hub: &Hub) -> Vec<String> {
    hub.query("SELECT COALESCE(outcome, 'waits') FROM outbox WHERE kind = 'err' ORDER BY id")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_is_kept_over_a_kill_and_what_still_fails_is_told_when_it_ends() {
    let world = World::new().await;
    let mut hub = world.hub();
    let agent = world.agent("pi", &hub);
    let made = hub.verb(&["silence", "add", "--device", "p*", "--for", "2h", "--comment", "new disks"]).good();
    assert!(made.starts_with("Silence 1: p* is silent until ") && made.ends_with("olog-hub silence end 1\n"), "{made}");
    agent.write("backup.err", "rsync: no space left\n");
    agent.write("quick.err", "it passes\n");
    hub.wait("both are held", |hub| (outcomes(hub) == ["silenced", "silenced"]).then_some(()));
    agent.sh("rm quick.err");
    hub.verb(&["incident", "close", "2"]).good();
    // A kill and a restart neither end the silence nor lose what it holds.
    hub.daemon.kill();
    hub.start();
    let list = hub.list(&["silence", "list"]);
    assert_eq!((list.len(), list[0]["n_held"].as_u64(), list[0]["is_now"].as_bool()), (1, Some(1), Some(true)));
    assert_eq!((world.n_pushes("no space left"), world.n_pushes("it passes")), (0, 0));
    let ended = hub.verb(&["silence", "end", "1"]).good();
    assert!(ended.starts_with("Silence 1 is over. 1 problem that it held back"), "{ended}");
    let push = world.push("no space left").await;
    assert!(push.text().contains("1") && push.text().contains("silence add --device pi --task backup"), "{push:?}");
    assert_eq!(world.n_pushes("it passes"), 0);
    // It has ended, and cannot end again.
    assert!(hub.list(&["silence", "list"]).is_empty());
    assert_eq!(hub.list(&["silence", "list", "--all"]).len(), 1);
    let twice = hub.verb(&["silence", "end", "1"]);
    assert!(!twice.status.success() && twice.err.contains("over already"), "{twice:?}");
    agent.write("backup.err", "rsync: connection refused\n");
    world.push("connection refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_an_error_is_listed_and_undone() {
    let world = World::new().await;
    let hub = world.hub();
    let agent = world.agent("pi", &hub);
    agent.write("backup.err", "rsync: 3 files have vanished\n");
    world.push("have vanished").await;
    let said = hub.verb(&["incident", "not-an-error", "1", "--for-fleet"]).good();
    assert!(said.contains("vanished") && said.contains('*'), "{said}");
    let [silence] = &hub.list(&["silence", "list"])[..] else { panic!("one silence") };
    assert_eq!(silence["until_at"], serde_json::Value::Null);
    // The same error of another task, with other numbers: never pushed. Another error is.
    agent.write("photos.err", "rsync: 17 files have vanished\n");
    hub.wait("it is held", |hub| (outcomes(hub) == ["accepted", "silenced"]).then_some(()));
    agent.write("photos.err", "rsync: connection refused\n");
    world.push("connection refused").await;
    hub.verb(&["silence", "end", "1"]).good();
    agent.write("music.err", "rsync: 5 files have vanished\n");
    world.push("5 files have vanished").await;
    assert_eq!(world.n_pushes("17 files"), 0);
    for (verb, words) in
        [(["incident", "not-an-error", "99"], "no incident #99"), (["silence", "end", "99"], "no silence 99")]
    {
        let said = hub.verb(&verb);
        assert!(!said.status.success() && said.err.contains(words), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_silences_are_refused_with_what_to_do() {
    let world = World::new().await;
    let hub = world.hub();
    for (args, words) in [
        (vec!["--for", "2h"], "--device '*'"),
        (vec!["--device", "pi"], "for how long"),
        (vec!["--device", "", "--for", "2h"], "1 to 200 characters"),
        (vec!["--device", "pi", "--for", "two hours"], "expected"),
        (vec!["--device", "pi", "--for", "400d"], "366 days"),
        (vec!["--device", "pi", "--until", "yesterday"], "06:00"),
        (vec!["--device", "pi", "--until", "2020-01-01 06:00"], "over before it began"),
        (vec!["--device", "pi", "--every", "0 2 * *", "--for", "1h"], "crontab"),
        (vec!["--device", "pi", "--every", "@daily", "--for", "25h"], "nothing would ever be told"),
        (vec!["--device", "pi", "--every", "@daily", "--for", "1h", "--zone", "Mars"], "Asia/Shanghai"),
        (vec!["--device", "pi", "--fingerprint", "17"], "16 digits"),
    ] {
        let said = hub.verb(&[&["silence", "add"], args.as_slice()].concat());
        assert!(!said.status.success() && said.err.contains(words), "{args:?}: {said:?}");
    }
    assert!(hub.list(&["silence", "list", "--all"]).is_empty());
    let window = hub.verb(&["silence", "add", "--device", "*", "--every", "0 2 * * 0", "--for", "3h"]).good();
    assert!(window.contains("* is silent for 3h at every \"0 2 * * 0\", next from "), "{window}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_third_failure_in_a_row_is_pushed() {
    let world = World::new().await;
    let hub = world.hub_with("", "[[device]]\nname = 'pi'\ntasks = [{ name = 'backup', errors_in_a_row = 3 }]\n");
    let agent = world.agent("pi", &hub);
    for n in 1..=3 {
        assert_eq!(world.n_pushes("rsync"), 0);
        agent.write("backup.err", &format!("rsync: {} is not there\n", ["alpha", "bravo", "charlie"][n - 1]));
        hub.wait("it is counted", |hub| {
            let [incident] = &hub.incidents()[..] else { return None };
            (incident["n_seen"].as_u64() == Some(n as u64)).then_some(())
        });
    }
    let push = world.push("charlie").await;
    assert!(push.text().contains('3'), "{push:?}");
    assert_eq!((world.n_pushes("alpha"), world.n_pushes("bravo")), (0, 0));
}

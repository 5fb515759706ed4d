//! Tasks that a person renamed or forgot, and devices that were forgotten and came back.

use std::collections::BTreeMap;

use super::*;
use crate::apply::declared_tasks;
use crate::apply::operator::{self, Forgotten, Merged, Renamed};
use crate::rules::expect::{self, Plan};
use crate::store::enrolment::{self, JoinCandidate};

impl Bench {
    async fn rename(&self, old: &str, new: &str) -> Renamed {
        self.rename_by(LivePolicy::default(), old, new).await
    }

    async fn rename_by(&self, rules: LivePolicy, old: &str, new: &str) -> Renamed {
        let (old, new) = (old.to_owned(), new.parse().unwrap());
        self.store.store.write(move |tx| operator::rename(tx, &rules, "dev1", &old, &new, NOW)).await.unwrap()
    }

    /// Names of the tasks, and of their open incidents.
    async fn names(&self) -> (Vec<String>, Vec<String>) {
        let read =
            |tx: &mut Tx<'_>| Ok((tasks::list(tx, None, ("", ""), 10)?, incidents::list(tx, false, u64::MAX, 10)?));
        let (tasks, open) = self.store.store.read(read).await.unwrap();
        let tasks = tasks.iter().map(|listed| listed.task.name.to_string()).collect();
        (tasks, open.iter().map(|incident| incident.name.clone()).collect())
    }

    async fn is_known(&self, task: &str) -> bool {
        let task = task.to_owned();
        let row = self
            .store
            .store
            .read(move |tx| tx.query_one("SELECT known_at FROM tasks WHERE name = $1", values![task.as_str()]));
        row.await.unwrap().unwrap().int_or_null(0).unwrap().is_some()
    }
}

/// Rules that declare a task.
fn declaring(task: &str) -> LivePolicy {
    let plans = [("dev1".to_owned(), [(task.to_owned(), Plan::EachReport)].into())].into();
    LivePolicy {
        expect: expect::ExpectationPolicy { plans, ..expect::ExpectationPolicy::default() },
        ..LivePolicy::default()
    }
}

#[tokio::test]
async fn a_renamed_task_keeps_its_history_and_gets_what_comes_under_its_old_names() {
    for bench in benches().await {
        bench.put(vec![err(1, "svc", "boom")]).await.unwrap();
        assert_eq!(bench.rename("svc", "database").await, Renamed::Yes);
        assert_eq!(bench.names().await, (vec!["database".to_owned()], vec!["database".to_owned()]));
        // One batch with all of its names, the same row.
        bench.rename("database", "mysql").await;
        let batch =
            vec![err(2, "svc", "one"), err(3, "mysql", "two"), err(4, "database", "three"), err(5, "svc", "boom")];
        bench.put(batch).await.unwrap();
        assert_eq!(bench.names().await, (vec!["mysql".to_owned()], vec!["mysql".to_owned()]));
        let open = bench.store.store.read(|tx| incidents::list(tx, false, u64::MAX, 10)).await.unwrap();
        assert_eq!(open[0].n_seen, 5, "one incident, all of its signs");
        let rows = bench.store.store.read(|tx| tx.query("SELECT DISTINCT task_id FROM events WHERE n > 1", &[])).await;
        assert_eq!(rows.unwrap().len(), 1);
        assert_eq!(bench.told().await.last().unwrap(), "Err mysql", "told under the name that it has");
    }
}

#[tokio::test]
async fn a_task_gets_a_former_name_back_and_finds_its_row_by_any() {
    for bench in benches().await {
        bench.put(vec![err(1, "a", "x")]).await.unwrap();
        for (old, new) in [("a", "b"), ("b", "c"), ("a", "d"), ("d", "a")] {
            assert_eq!(bench.rename(old, new).await, Renamed::Yes, "{old} {new}");
        }
        bench.put(vec![err(2, "c", "y"), err(3, "a", "z")]).await.unwrap();
        assert_eq!(bench.names().await.0, ["a"]);
        let found = bench.store.store.read(|tx| tasks::get(tx, "dev1", "c")).await.unwrap().unwrap();
        let former = bench.store.store.read(move |tx| renames::former(tx, found.task.id)).await.unwrap();
        let mut former: Vec<String> = former.into_values().flatten().collect();
        former.sort();
        assert_eq!(former, ["b", "c", "d"]);
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_and_nothing_changes() {
    for bench in benches().await {
        bench.put(vec![err(1, "a", "x"), err(2, "b", "x"), err(3, "c", "x")]).await.unwrap();
        assert_eq!(bench.rename("a", "b").await, Renamed::Taken);
        assert_eq!(bench.rename("nothing", "d").await, Renamed::Unknown);
        assert_eq!(bench.rename("a", "a2").await, Renamed::Yes);
        assert_eq!(bench.rename("b", "a").await, Renamed::Former("a2".parse().unwrap()));
        assert_eq!(bench.rename_by(declaring("c"), "c", "d").await, Renamed::Declared);
        assert_eq!(bench.names().await.0, ["a2", "b", "c"]);
        // A forgotten one leaves its name.
        let forget = |tx: &mut Tx<'_>| operator::forget(tx, &LivePolicy::default(), "dev1", "b", NOW);
        assert_eq!(bench.store.store.write(forget).await.unwrap(), Forgotten::Yes);
        assert_eq!(bench.rename("c", "b").await, Renamed::Yes);
        bench.put(vec![err(4, "c", "again")]).await.unwrap();
        assert_eq!(bench.names().await.0, ["a2", "b"]);
    }
}

#[tokio::test]
async fn what_is_declared_and_was_never_seen_makes_way_and_its_plan_goes_to_the_renamed() {
    for bench in benches().await {
        bench.put(vec![err(1, "dump", "x")]).await.unwrap();
        let device = bench.device;
        let apply = move |tx: &mut Tx<'_>| declared_tasks::apply_to(tx, &declaring("backup"), device, NOW);
        bench.store.store.write(apply).await.unwrap();
        assert_eq!(bench.names().await.0, ["backup", "dump"]);
        assert_eq!(bench.rename_by(declaring("backup"), "dump", "backup").await, Renamed::Yes);
        assert_eq!(bench.names().await, (vec!["backup".to_owned()], vec!["backup".to_owned()]));
        let declared = bench.store.store.read(move |tx| tasks::declared(tx, Some(device))).await.unwrap();
        assert_eq!(declared.iter().map(|(_, _, name, _)| name.as_str()).collect::<Vec<_>>(), ["backup"]);
        // The configuration has the last word: a former name that it declares is a task of its own again.
        let apply = move |tx: &mut Tx<'_>| declared_tasks::apply_to(tx, &declaring("dump"), device, NOW);
        bench.store.store.write(apply).await.unwrap();
        bench.put(vec![err(2, "dump", "y")]).await.unwrap();
        assert_eq!(bench.names().await.1, ["dump", "backup"]);
    }
}

#[tokio::test]
async fn a_forgotten_task_that_comes_again_is_known_to_no_report() {
    for bench in benches().await {
        bench.put(vec![err(1, "old", "down")]).await.unwrap();
        bench.store.store.write(|tx| tx.execute("UPDATE tasks SET known_at = 1", &[])).await.unwrap();
        assert!(bench.is_known("old").await);
        let before = NOW.plus(-1);
        let forget = move |tx: &mut Tx<'_>| operator::forget(tx, &LivePolicy::default(), "dev1", "old", before);
        assert_eq!(bench.store.store.write(forget).await.unwrap(), Forgotten::Yes);
        bench.put(vec![err(2, "old", "down again")]).await.unwrap();
        assert_eq!(bench.names().await.0, ["old"]);
        assert!(!bench.is_known("old").await);
    }
}

#[tokio::test]
async fn a_forgotten_device_that_comes_back_brings_nothing_of_before() {
    for bench in benches().await {
        bench.put(vec![err(1, "old", "down")]).await.unwrap();
        bench.rename("old", "older").await;
        let write = |tx: &mut Tx<'_>| {
            tx.execute("UPDATE devices SET known_at = 1", &[])?;
            enrolment::forget(tx, "dev1", NOW)?;
            enrolment::add_link(tx, "hash", NOW.plus(2), 1, None, "alice", NOW)?;
            enrolment::join(
                tx,
                "hash",
                &JoinCandidate { key: key(1), name: "dev1".parse().unwrap(), address: None },
                NOW.plus(1),
            )
        };
        let joined = bench.store.store.write(write).await.unwrap();
        let enrolment::Joined::Yes { device, .. } = joined else { panic!("{joined:?}") };
        assert_eq!(device, bench.device);
        bench.put(vec![err(2, "old", "of before")]).await.unwrap();
        assert_eq!((bench.names().await, bench.n_events().await), ((vec![], vec![]), 2), "stored, and no task");
        let known = bench.store.store.read(|tx| tx.query_one("SELECT known_at FROM devices", &[])).await.unwrap();
        assert_eq!(known.unwrap().int_or_null(0).unwrap(), None, "[NEW] again");
    }
}

#[tokio::test]
async fn a_ghost_of_rotation_is_merged_into_its_task_and_its_later_events_are_that_ones() {
    for bench in benches().await {
        bench.put(vec![err(1, "x", "x is broken"), err(2, "x-2026-11-27", "x is broken")]).await.unwrap();
        let merge = async |old: &'static str, new: &'static str, rules: LivePolicy| {
            let store = bench.store.store.clone();
            store.write(move |tx| operator::merge(tx, &rules, "dev1", old, new, NOW)).await.unwrap()
        };
        assert_eq!(merge("y", "x", LivePolicy::default()).await, Merged::Unknown("y".into()));
        assert_eq!(merge("x", "y", LivePolicy::default()).await, Merged::Unknown("y".into()));
        assert_eq!(merge("x", "x", LivePolicy::default()).await, Merged::Same);
        assert_eq!(merge("x-2026-11-27", "x", declaring("x-2026-11-27")).await, Merged::Declared);
        assert_eq!(merge("x-2026-11-27", "x", LivePolicy::default()).await, Merged::Yes);
        assert_eq!(bench.names().await, (vec!["x".to_owned()], vec!["x".to_owned()]));
        assert_eq!(merge("x-2026-11-27", "x", LivePolicy::default()).await, Merged::Same);
        bench.put(vec![err(3, "x-2026-11-27", "another error")]).await.unwrap();
        assert_eq!(bench.names().await.0, ["x"]);
        assert_eq!(bench.told().await, ["Err x", "Err x-2026-11-27", "Err x"], "no end of the ghost is told");
    }
}

#[tokio::test]
async fn ghosts_are_proposed_once_and_new_ones_again() {
    for bench in benches().await {
        bench
            .put(vec![err(1, "x", "boom"), err(2, "x-2026-11-26", "boom"), err(3, "y-2026-11-26", "boom")])
            .await
            .unwrap();
        let propose = async || {
            let rules = LivePolicy { channels: vec![crate::apply::tests::phone()], ..LivePolicy::default() };
            bench.store.store.write(move |tx| crate::apply::ghosts::propose(tx, &rules, NOW)).await.unwrap()
        };
        assert_eq!((propose().await, propose().await), (true, false));
        bench.put(vec![err(4, "x-2026-11-27", "boom")]).await.unwrap();
        assert_eq!((propose().await, propose().await), (true, false));
        let told = bench.told().await;
        assert_eq!(
            told.iter().filter(|told| told.starts_with("Ghost")).collect::<Vec<_>>(),
            ["GhostTasks 1", "GhostTasks 1"]
        );
    }
}

#[tokio::test]
async fn an_incident_whose_errors_are_none_is_over_and_nobody_is_told_so() {
    for bench in benches().await {
        bench.put(vec![err(1, "x", "file has vanished\nno space left")]).await.unwrap();
        let end = async |only: bool| {
            let made = bench.store.store.write(move |tx| {
                let task = tasks::of_incident(tx, 1)?.unwrap();
                let one = task.facts.incident().unwrap().fingerprints()[0];
                let only = only.then_some(one);
                let operator::NotAnErrorResult::These(new) =
                    operator::not_an_error(tx, 1, only, operator::SuppressScope::Task, "me", NOW)?
                else {
                    panic!("no errors")
                };
                new.iter().try_for_each(|new| operator::silence(tx, new, NOW).map(|_| ()))?;
                operator::end_as_no_error(tx, &LivePolicy::default(), 1, NOW)
            });
            made.await.unwrap()
        };
        assert!(!end(true).await, "its other error is one");
        assert!(end(false).await);
        assert_eq!(bench.names().await, (vec!["x".to_owned()], vec![]));
        assert_eq!(bench.told().await, ["Err x"]);
    }
}

fn asks(n: u8, name: &str) -> SessionStart {
    SessionStart { name: name.parse().unwrap(), ..hello(n, n, 1_000) }
}

impl Bench {
    /// The device `dev2`, which has connected under its name before.
    async fn second(&self) {
        join(&self.store.store, 2).await;
        self.name_after(asks(2, "dev2")).await;
    }

    async fn name_after(&self, start: SessionStart) -> String {
        match self.ingest.connect(start).await.unwrap() {
            Connected::Known { name, .. } => name.to_string(),
            refused => panic!("{refused:?}"),
        }
    }
}

#[tokio::test]
async fn a_device_cannot_take_the_look_of_another_one_and_each_new_name_is_pushed() {
    for bench in benches().await {
        bench.second().await;
        for name in ["dev1", "DEV1", " dev1", "d\u{435}v1", "dev\u{ff11}", "devl"] {
            assert_eq!(bench.name_after(asks(2, name)).await, "dev2", "{name:?}");
        }
        assert_eq!(bench.told().await, Vec::<String>::new());
        assert_eq!(bench.name_after(asks(2, " caf\u{65}\u{301} ")).await, "café");
        assert_eq!(bench.told().await, ["DeviceRenamed "]);
        let (one, two) = (("café", "dev1"), ("café", "Café"));
        let rename = |(old, new): (&'static str, &'static str)| {
            let new = new.parse().unwrap();
            bench.store.store.write(move |tx| enrolment::rename(tx, old, &new, NOW))
        };
        assert_eq!(rename(one).await.unwrap(), enrolment::DeviceActionResult::NameTaken);
        assert!(matches!(rename(two).await.unwrap(), enrolment::DeviceActionResult::Yes(_)), "its own look is its own");
    }
}

#[tokio::test]
async fn a_rename_does_not_take_a_declared_name_and_a_join_does() {
    for mut bench in benches().await {
        let plans = [("backupsrv".to_owned(), BTreeMap::new())].into();
        let expect = expect::ExpectationPolicy { plans, ..expect::ExpectationPolicy::default() };
        let rules = LivePolicy { expect, channels: vec![crate::apply::tests::phone()], ..LivePolicy::default() };
        let (_, rules) = watch::channel(Arc::new(rules));
        bench.ingest.rules = rules;
        bench.second().await;
        assert_eq!(bench.name_after(asks(2, "backupsrv")).await, "dev2");
        assert_eq!(bench.name_after(asks(2, "Backupsrv")).await, "dev2");
        let candidate = JoinCandidate { key: key(3), name: "backupsrv".parse().unwrap(), address: None };
        let joined = bench.store.store.write(move |tx| {
            enrolment::add_link(tx, "h", NOW.plus(60_000), 1, None, "alice", NOW)?;
            enrolment::join(tx, "h", &candidate, NOW)
        });
        assert!(matches!(joined.await.unwrap(), enrolment::Joined::Yes { .. }));
    }
}

#[tokio::test]
async fn a_newcomer_with_the_look_of_a_device_does_not_join_and_an_old_name_keeps_working() {
    for bench in benches().await {
        // A name that an older version stored as it came.
        let old = bench.store.store.write(|tx| tx.execute("UPDATE devices SET name = 'caf\u{65}\u{301} '", &[]));
        old.await.unwrap();
        assert_eq!(bench.name_after(asks(1, "cafe\u{301} ")).await, "cafe\u{301} ");
        let join = |name: &str| {
            let candidate = JoinCandidate { key: key(3), name: name.parse().unwrap(), address: None };
            bench.store.store.write(move |tx| {
                enrolment::add_link(tx, "h", NOW.plus(60_000), 1, None, "alice", NOW)?;
                enrolment::join(tx, "h", &candidate, NOW)
            })
        };
        assert_eq!(join("Café").await.unwrap(), enrolment::Joined::NameTaken);
    }
}

#[tokio::test]
async fn names_that_change_with_every_session_are_bounded_by_the_quota() {
    let limits = DeviceLimits { notes_per_hour: 3, ..DeviceLimits::default() };
    for bench in benches_with(limits).await {
        bench.second().await;
        for n in 0..10 {
            bench.name_after(asks(2, &format!("name{n}x"))).await;
        }
        assert_eq!(bench.told().await, ["DeviceRenamed ", "DeviceRenamed ", "DeviceRenamed ", "DeviceLimit 3"]);
    }
}

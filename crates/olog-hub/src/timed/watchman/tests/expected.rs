//! Tasks that have to come.

use std::collections::BTreeMap;

use olog_proto::event::Id128;
use olog_proto::{EventContent, Excerpt, Timestamp};

use super::*;
use crate::rules::expect::{self, Plan};
use crate::store::tasks::ListedTask;

const HOUR: i64 = 60 * MINUTE;

fn plan(schedule: &str, grace: i64) -> Plan {
    Plan::Scheduled { schedule: schedule.parse().unwrap(), grace }
}

impl World {
    /// hub.toml says this from now on.
    fn declare(&self, device: &str, tasks: &[(&str, Plan)]) {
        let plans = tasks.iter().map(|(name, plan)| ((*name).to_owned(), plan.clone())).collect();
        let expect = expect::ExpectationPolicy {
            plans: BTreeMap::from([(device.to_owned(), plans)]),
            ..expect::ExpectationPolicy::default()
        };
        let rules = LivePolicy { channels: vec![crate::apply::tests::phone()], expect, ..LivePolicy::default() };
        self._rules.send_replace(Arc::new(rules));
    }

    /// Time passes, and the device is heard all the while.
    async fn pass_heard(&mut self, place: &SeatGuard, ms: i64) {
        let end = self.clock.now().plus(ms);
        while self.clock.now() < end {
            place.seat().heard(self.clock.now());
            let left = end.since(self.clock.now());
            self.pass(left.min(MINUTE)).await;
        }
    }

    /// A session begins, as `ingest` writes it down.
    async fn connected(&self, device: DeviceId, named: u64, acked: u64) -> SeatGuard {
        let (now, rules) = (self.clock.now(), self.watchman.rules.borrow().clone());
        let write = self.store.store.write(move |tx| {
            let epoch = crate::store::events::stream(tx, device, Id128([1; 16]), now)?.epoch;
            crate::store::events::set_acked(tx, epoch, acked, 0)?;
            let values = values![device.0, now, named, epoch.0];
            tx.execute("UPDATE devices SET back_at = $2, named = $3, epoch_id = $4 WHERE id = $1", values)?;
            let device = devices::get(tx, device)?.unwrap();
            declared_tasks::apply(tx, &rules, &device, now)?;
            declared_tasks::device_back(tx, &rules, &device, now)
        });
        write.await.unwrap();
        self.connect(device, 1)
    }

    async fn runs(&self, device: DeviceId, task: &str) {
        let what = EventContent::RunEnded {
            task: task.parse().unwrap(),
            run: "r".to_owned(),
            exit: Some(0),
            signal: None,
            duration: 1,
            excerpt: Excerpt::default(),
            fingerprints: vec![],
        };
        self.event(device, task, what).await;
    }

    async fn listed(&self) -> Vec<ListedTask> {
        self.store.store.read(|tx| task_store::list(tx, None, ("", ""), 100)).await.unwrap()
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
}

/// A world whose clock shows midnight, with one device that is here.
async fn nights() -> Vec<(World, DeviceId, SeatGuard)> {
    let mut nights = Vec::new();
    for mut world in worlds().await {
        world.hand.set(at("2026-11-22T00:00:00Z"));
        world.watchman.roll = LivenessTracker::new(world.clock.now());
        let device = world.join("laptop").await;
        let place = world.connected(device, 0, 0).await;
        world.pass(0).await;
        world.told().await;
        nights.push((world, device, place));
    }
    nights
}

#[tokio::test]
async fn a_declared_task_that_does_not_come_is_an_incident_until_it_runs() {
    for (mut world, device, place) in nights().await {
        world.declare("laptop", &[("dump", plan("30 3 * * *", 30 * MINUTE))]);
        world.pass_heard(&place, 4 * HOUR - MINUTE).await;
        assert_eq!(world.told().await, Vec::<String>::new());
        assert_eq!(world.listed().await.len(), 1, "what is declared is listed before it was seen");
        world.pass_heard(&place, 2 * MINUTE).await;
        assert_eq!(world.told().await, ["Lost laptop/dump false"]);
        assert_eq!(world.open().await, ["lost dump"]);
        world.pass_heard(&place, HOUR).await;
        assert_eq!(world.told().await, Vec::<String>::new());
        world.runs(device, "dump").await;
        assert_eq!(world.told().await, ["Over laptop/dump false"]);
        assert_eq!(world.open().await, Vec::<String>::new());
        let late_at =
            world.store.store.read(|tx| tx.query_one("SELECT late_at, lost_id FROM tasks", &[])).await.unwrap();
        let row = late_at.unwrap();
        assert_eq!((row.at(0).unwrap(), row.int_or_null(1).unwrap()), (at("2026-11-23T04:00:00Z"), None));
    }
}

#[tokio::test]
async fn a_restart_forgets_and_postpones_no_task() {
    for (mut world, _device, place) in nights().await {
        world.declare("laptop", &[("dump", plan("30 3 * * *", 30 * MINUTE))]);
        world.pass_heard(&place, 3 * HOUR).await;
        drop(place);
        let rules = world.watchman.rules.borrow().clone();
        let mut world = world.restart();
        world._rules.send_replace(rules);
        let device = world.store.store.read(devices::joined).await.unwrap()[0].1;
        let place = world.connected(device, 0, 0).await;
        world.pass_heard(&place, HOUR + MINUTE).await;
        assert_eq!(world.told().await.last().map(String::as_str), Some("Lost laptop/dump false"));
    }
}

#[tokio::test]
async fn a_task_of_a_device_that_is_away_is_judged_after_its_return() {
    for (mut world, device, place) in nights().await {
        let plans = [("dump", plan("30 3 * * *", 0)), ("sync", plan("40 3 * * *", 0))];
        world.declare("laptop", &plans);
        world.pass_heard(&place, 3 * HOUR).await;
        world.leave(place, 1).await;
        world.pass(4 * HOUR).await;
        assert_eq!(world.told().await, Vec::<String>::new(), "nobody knows");
        // It holds ten events of which the hub has none yet.
        let place = world.connected(device, 10, 0).await;
        world.pass_heard(&place, 5 * MINUTE).await;
        world.runs(device, "sync").await;
        world.told().await;
        world.pass_heard(&place, 4 * MINUTE).await;
        assert_eq!(world.told().await, Vec::<String>::new());
        world.pass_heard(&place, 2 * MINUTE).await;
        assert_eq!(world.told().await, ["Lost laptop/dump false"], "ten minutes after its return");
    }
}

#[tokio::test]
async fn nothing_is_judged_before_the_hub_has_what_the_device_held() {
    for (mut world, device, place) in nights().await {
        world.declare("laptop", &[("dump", plan("30 3 * * *", 0))]);
        world.pass_heard(&place, 3 * HOUR + 29 * MINUTE).await;
        world.leave(place, 1).await;
        let place = world.connected(device, 10, 4).await;
        world.pass_heard(&place, 3 * MINUTE).await;
        assert_eq!(world.told().await, Vec::<String>::new());
        let committed = |tx: &mut Tx<'_>| tx.execute("UPDATE epochs SET acked = 10", &[]);
        world.store.store.write(committed).await.unwrap();
        world.pass_heard(&place, MINUTE).await;
        assert_eq!(world.told().await, ["Lost laptop/dump false"]);
    }
}

#[tokio::test]
async fn a_device_is_asked_before_its_task_is_called_lost() {
    for (mut world, _device, place) in nights().await {
        world.declare("laptop", &[("dump", plan("30 3 * * *", 0))]);
        world.pass_heard(&place, 3 * HOUR + 29 * MINUTE).await;
        world.pass(65 * SECOND).await;
        assert_eq!(world.told().await, Vec::<String>::new());
        assert_eq!(place.seat().next_order().await, crate::net::sessions::Order::Ping);
        place.seat().heard(world.clock.now());
        world.pass(3 * SECOND).await;
        assert_eq!(world.told().await, ["Lost laptop/dump false"]);
    }
}

#[tokio::test]
async fn what_is_no_longer_declared_is_no_longer_waited_for() {
    for (mut world, _device, place) in nights().await {
        world.declare("laptop", &[("dump", plan("30 3 * * *", 0)), ("sync", plan("0 5 * * *", 0))]);
        world.pass_heard(&place, 4 * HOUR).await;
        assert_eq!(world.told().await, ["Lost laptop/dump false"]);
        world.declare("laptop", &[]);
        world.pass_heard(&place, 2 * HOUR).await;
        assert_eq!(world.told().await, ["Over laptop/dump false"]);
        assert_eq!(world.listed().await.len(), 0, "nothing was ever seen of them");
    }
}

#[tokio::test]
async fn a_person_closes_acknowledges_and_stops_expecting() {
    for (mut world, _device, place) in nights().await {
        world.declare("laptop", &[("dump", plan("30 * * * *", 0))]);
        world.pass_heard(&place, HOUR).await;
        assert_eq!(world.told().await, ["Lost laptop/dump false"]);
        let (rules, now) = (world.watchman.rules.borrow().clone(), world.clock.now());
        let of = rules.clone();
        let closed = world.store.store.write(move |tx| crate::apply::operator::close(tx, &of, 1, now)).await.unwrap();
        assert!(
            matches!(closed, crate::apply::operator::ActionResult::Yes(incident) if incident.ground.as_deref() == Some("closed"))
        );
        world.pass_heard(&place, HOUR).await;
        assert_eq!(world.told().await, ["Over laptop/dump false", "Lost laptop/dump false"]);
        let (of, now) = (rules.clone(), world.clock.now());
        world.store.store.write(move |tx| crate::apply::operator::acknowledge(tx, &of, 2, now)).await.unwrap();
        world.pass_heard(&place, 30 * HOUR).await;
        assert_eq!(world.told().await, Vec::<String>::new(), "no reminder");
        let now = world.clock.now();
        let off =
            world.store.store.write(move |tx| crate::apply::operator::expect(tx, &rules, "laptop", "dump", false, now));
        assert!(off.await.unwrap());
        world.pass_heard(&place, 3 * HOUR).await;
        assert_eq!(world.told().await, ["Over laptop/dump false"]);
    }
}

#[tokio::test]
async fn another_time_zone_is_another_due_instant() {
    for (mut world, _device, place) in nights().await {
        world.declare("laptop", &[("dump", plan("30 3 * * *", 0))]);
        world.pass_heard(&place, MINUTE).await;
        let mut expect = world.watchman.rules.borrow().expect.clone();
        expect.zone = chrono_tz::Asia::Shanghai;
        world._rules.send_replace(Arc::new(LivePolicy { expect, ..LivePolicy::default() }));
        world.pass_heard(&place, MINUTE).await;
        let row = world.store.store.read(|tx| tx.query_one("SELECT late_at FROM tasks", &[])).await.unwrap();
        assert_eq!(row.unwrap().at(0).unwrap(), at("2026-11-22T19:30:00Z"));
    }
}

//! The watchman on a real store, with a clock that is moved by hand.

mod alerts;
mod clocks;
mod expected;
mod failures;
mod month;
mod notes;
mod silences;

use std::net::IpAddr;

use olog_daemon::clock::ClockHandle;
use olog_proto::event::Id128;
use olog_proto::{Event, EventContent, TaskName};
use olog_push::SystemCode;
use tokio::task::JoinSet;

use super::*;
use crate::net::sessions::{AuthenticatedDevice, SeatGuard};
use crate::store::tests::{TestStore, stores};
use crate::values;

const NOW: Timestamp = Timestamp(1_780_000_000_000);

struct World {
    store: TestStore,
    sessions: Arc<Sessions>,
    hand: ClockHandle,
    clock: Clock,
    watchman: Watchman,
    n_told: i64,
    _rules: latest::Sender<Arc<LivePolicy>>,
    offline_policy: latest::Sender<Arc<OfflinePolicy>>,
}

async fn worlds() -> Vec<World> {
    stores().await.into_iter().map(World::new).collect()
}

impl World {
    fn new(store: TestStore) -> World {
        let (clock, hand) = Clock::manual(NOW);
        let rules = LivePolicy { channels: vec![crate::apply::tests::phone()], ..LivePolicy::default() };
        let (rules_sender, rules) = latest::channel(Arc::new(rules));
        let devices = BTreeMap::from([("laptop".to_owned(), None)]);
        let (patience_sender, offline_policy) = latest::channel(Arc::new(OfflinePolicy { all: MINUTE, devices }));
        let sessions = Sessions::new();
        let (bell, outbox) = (Bell::default(), Bell::default());
        let watchman =
            Watchman::new(store.store.clone(), rules, offline_policy, sessions.clone(), clock.clone(), bell, outbox);
        World {
            store,
            sessions,
            hand,
            clock,
            watchman,
            n_told: 0,
            _rules: rules_sender,
            offline_policy: patience_sender,
        }
    }

    /// The hub starts anew over the same store.
    fn restart(self) -> World {
        let now = self.clock.now();
        let n_told = self.n_told;
        let mut world = World::new(self.store);
        world.hand.set(now);
        world.watchman.roll = LivenessTracker::new(now);
        world.n_told = n_told;
        world
    }

    async fn join(&self, name: &str) -> DeviceId {
        let (name, now) = (name.to_owned(), self.clock.now());
        let id = self.store.store.write(move |tx| {
            let row = tx.query_one(
                "INSERT INTO devices (name, key, state, address, made_at, joined_at) VALUES ($1, $1, 'joined', 'me@host', 0, $2) RETURNING id",
                values![name.as_str(), now],
            )?;
            row.map_or(Ok(0), |row| row.int(0))
        });
        DeviceId(id.await.unwrap())
    }

    fn connect(&self, device: DeviceId, boot: u8) -> SeatGuard {
        let peer = IpAddr::from([10, 0, 0, 1]);
        let who = AuthenticatedDevice { device, boot: Id128([boot; 16]), peer, skew_ms: 0 };
        self.sessions.take(self.sessions.reservation(), who, self.clock.now()).0
    }

    /// The session ends, and the store knows when it was last heard.
    async fn leave(&self, place: SeatGuard, boot: u8) {
        let (device, heard) = (place.seat().who.device, place.seat().heard_at());
        drop(place);
        let write = self.store.store.write(move |tx| {
            devices::disconnected(tx, device, None, heard)?;
            let values = values![device.0, Id128([boot; 16]).to_string()];
            tx.execute("UPDATE devices SET boot = $2, peer = '10.0.0.1' WHERE id = $1", values)
        });
        write.await.unwrap();
    }

    /// Time passes; every minute somebody looks.
    async fn pass(&mut self, ms: i64) {
        let end = self.clock.now().plus(ms);
        while self.clock.now() < end {
            let next = self.watchman.run_due().await.unwrap();
            assert!(next > self.clock.now(), "the same instant is looked at for ever");
            self.hand.set(next.min(end));
        }
        self.watchman.run_due().await.unwrap();
    }

    async fn event(&self, device: DeviceId, task: &str, what: EventContent) {
        let (name, now): (TaskName, Timestamp) = (task.parse().unwrap(), self.clock.now());
        let rules = self.watchman.rules.borrow().clone();
        let event =
            Event { n: 1, at: olog_proto::DeviceTime(now), boot: Id128([1; 16]), up: 0, what, by: None, pushed: None };
        let write = self.store.store.write(move |tx| {
            let device = devices::get(tx, device)?.unwrap();
            let mut task = task_store::load(tx, device.id, &name)?;
            let outcomes = task.facts.observe(&event, now, now, &rules.policy);
            apply::outcomes(tx, &rules, &device, &mut task, outcomes, now)?;
            let known = apply::known(&rules, &device, &task);
            let outcomes = task.expect.observe(&event, now, now, &known, &rules.expect);
            apply::expectations(tx, &rules, &device, &mut task, outcomes, now)?;
            apply::task(tx, &rules, &device, &mut task, now)
        });
        write.await.unwrap();
    }

    async fn fails(&self, device: DeviceId, task: &str) {
        let (name, run, excerpt) = (task.parse().unwrap(), "r".to_owned(), olog_proto::Excerpt::of("down"));
        let failed = EventContent::RunEnded {
            task: name,
            run,
            exit: Some(1),
            signal: None,
            duration: 1,
            excerpt,
            fingerprints: vec![],
        };
        self.event(device, task, failed).await;
    }

    /// What was put into the outbox since this was last asked, without the news that devices have joined.
    async fn told(&mut self) -> Vec<String> {
        self.told_with_news().await.into_iter().filter(|words| !words.starts_with("NewDevices")).collect()
    }

    async fn told_with_news(&mut self) -> Vec<String> {
        let after = self.n_told;
        let read = self.store.store.read(move |tx| {
            let rows = tx.query("SELECT id, notice FROM outbox WHERE id > $1 ORDER BY id", values![after])?;
            rows.iter().map(|row| Ok((row.int(0)?, row.json::<Notice>(1)?))).collect::<Result<Vec<_>, StoreError>>()
        });
        let rows = read.await.unwrap();
        self.n_told = rows.last().map_or(after, |(id, _)| *id);
        rows.into_iter().map(|(_, notice)| words(&notice)).collect()
    }

    async fn open(&self) -> Vec<String> {
        let open = self.store.store.read(|tx| incidents::list(tx, false, u64::MAX, 100)).await.unwrap();
        open.into_iter().map(|i| format!("{} {}", i.subject, i.name)).collect()
    }

    async fn absent(&self) -> usize {
        let seen = self.store.store.read(watch::last_seen).await.unwrap();
        seen.iter().filter(|device| device.absence.is_some()).count()
    }
}

fn words(notice: &Notice) -> String {
    let about = notice.device.clone().unwrap_or_default();
    match &notice.content {
        Content::DevicesLost { devices, .. } => format!("lost {} ({about})", devices.join(" ")),
        Content::DevicesBack { devices, missing, n_rebooted, .. } => {
            format!("back {} missing {} rebooted {n_rebooted} ({about})", devices.join(" "), missing.join(" "))
        }
        Content::System { code, args } => format!("{code:?} {}", args.get("devices").cloned().unwrap_or_default()),
        other => format!(
            "{:?} {about}/{} {}",
            notice.kind,
            notice.task.clone().unwrap_or_default(),
            matches!(other, Content::Remind { .. })
        ),
    }
}

#[tokio::test]
async fn a_device_that_is_silent_is_lost_and_back_with_its_incident() {
    for mut world in worlds().await {
        let (a, b) = (world.join("a").await, world.join("b").await);
        let (place, _other) = (world.connect(a, 1), world.connect(b, 1));
        world.pass(0).await;
        assert_eq!(world.told().await, Vec::<String>::new());
        world.leave(place, 1).await;
        for _ in 0..5 {
            world.pass(20 * SECOND).await;
            world.sessions.seat(b).unwrap().heard(world.clock.now());
        }
        assert_eq!(world.told().await, ["lost a (a)"]);
        assert_eq!((world.open().await, world.absent().await), (vec!["device a".to_owned()], 1));
        let _place = world.connect(a, 2);
        world.pass(0).await;
        assert_eq!(world.told().await, ["back a missing  rebooted 1 (a)"]);
        assert_eq!((world.open().await.len(), world.absent().await), (0, 0));
    }
}

/// Its session was pinged under the old `offline_after`; silence after that ping proves nothing under the new one.
#[tokio::test]
async fn who_is_given_less_time_while_connected_is_asked_before_it_is_judged() {
    for mut world in worlds().await {
        let a = world.join("a").await;
        let place = world.connect(a, 1);
        world.pass(20 * SECOND).await;
        world.told().await;
        let less = OfflinePolicy { all: 6 * SECOND, devices: BTreeMap::new() };
        world.offline_policy.send_replace(Arc::new(less));
        world.pass(SECOND).await;
        assert!(world.told().await.is_empty());
        assert!(matches!(place.seat().next_order().await, crate::net::sessions::Order::Ping));
        world.pass(10 * SECOND).await;
        assert_eq!(world.told().await, ["lost a (a)"]);
    }
}

#[tokio::test]
async fn a_site_that_is_gone_over_a_restart_is_one_incident() {
    for mut world in worlds().await {
        let mut places = Vec::new();
        for name in ["a", "b", "c", "laptop"] {
            let device = world.join(name).await;
            places.push(world.connect(device, 1));
        }
        world.pass(0).await;
        world.told().await;
        let mut devices = Vec::new();
        for place in places {
            devices.push(place.seat().who.device);
            world.leave(place, 1).await;
        }
        world.pass(2 * MINUTE).await;
        assert_eq!(world.told().await, ["lost a b c ()"]);
        let mut world = world.restart();
        world.pass(10 * MINUTE).await;
        assert_eq!(world.told().await, Vec::<String>::new());
        let _a = world.connect(devices[0], 2);
        let heard = |world: &World| world.sessions.seat(devices[0]).unwrap().heard(world.clock.now());
        for _ in 0..16 {
            world.pass(20 * SECOND).await;
            heard(&world);
        }
        assert_eq!(world.told().await, ["back a missing b c rebooted 1 ()"]);
        assert_eq!(world.absent().await, 2);
        let _b = world.connect(devices[1], 1);
        let _c = world.connect(devices[2], 1);
        world.pass(0).await;
        assert_eq!(world.told().await, ["back b c missing  rebooted 0 ()"]);
    }
}

#[tokio::test]
async fn who_was_excused_by_a_person_is_not_told_again_before_its_return() {
    for mut world in worlds().await {
        let a = world.join("a").await;
        let place = world.connect(a, 1);
        world.pass(0).await;
        world.leave(place, 1).await;
        world.pass(2 * MINUTE).await;
        world.told().await;
        let now = world.clock.now();
        world.store.store.write(move |tx| incidents::end(tx, 1, now, "closed")).await.unwrap();
        world.pass(10 * MINUTE).await;
        assert_eq!(world.told().await, Vec::<String>::new());
        let place = world.connect(a, 1);
        world.pass(0).await;
        assert_eq!(world.absent().await, 0);
        world.leave(place, 1).await;
        world.pass(2 * MINUTE).await;
        assert_eq!(world.told().await, ["lost a (a)"]);
    }
}

#[tokio::test]
async fn what_is_due_of_many_tasks_is_done_in_pages() {
    for mut world in worlds().await {
        let device = world.join("a").await;
        let n = PAGE as usize + 3;
        for i in 0..n {
            world.fails(device, &format!("t{i}")).await;
        }
        assert_eq!(world.told().await.len(), n);
        let place = world.connect(device, 1);
        for _ in 0..24 * 60 {
            world.hand.advance(MINUTE);
            place.seat().heard(world.clock.now());
        }
        world.pass(0).await;
        let told = world.told().await;
        assert_eq!(told.iter().filter(|t| t.starts_with("Remind a/t")).count(), n);
        world.pass(0).await;
        assert_eq!(world.told().await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_task_whose_facts_are_unreadable_does_not_hold_up_the_others() {
    for mut world in worlds().await {
        let device = world.join("a").await;
        world.fails(device, "broken").await;
        world.fails(device, "good").await;
        world.pass(0).await;
        world.told().await;
        let broken = "UPDATE tasks SET facts = '{\"phase\": 7}' WHERE name = 'broken'";
        world.store.store.write(|tx| tx.execute(broken, &[])).await.unwrap();
        world.hand.advance(25 * 60 * MINUTE);
        world.pass(0).await;
        let told = world.told().await;
        assert!(told.contains(&"Remind a/good true".to_owned()), "{told:?}");
        let read = world.store.store.read(task_store::next_due).await.unwrap();
        assert!(read.is_some_and(|due| due > world.clock.now()));
    }
}

#[tokio::test]
async fn four_machines_set_up_on_one_evening_are_two_messages() {
    for mut world in worlds().await {
        world.join("hub").await;
        world.pass(3 * MINUTE).await;
        assert_eq!(
            world.told_with_news().await,
            ["NewDevices hub"],
            "at once: it may be a stranger with a stolen link"
        );
        for (name, minutes) in [("nas", 12), ("pi", 14), ("web", 14)] {
            world.join(name).await;
            world.pass(minutes * MINUTE).await;
            assert_eq!(world.told_with_news().await, Vec::<String>::new(), "{name}");
        }
        world.pass(2 * MINUTE).await;
        assert_eq!(world.told_with_news().await, ["NewDevices nas, pi, web"]);
        world.pass(121 * MINUTE).await;
        assert_eq!(world.told_with_news().await, Vec::<String>::new());
        // One more, another day.
        world.join("laptop").await;
        world.pass(MINUTE).await;
        assert_eq!(world.told_with_news().await, ["NewDevices laptop"]);
    }
}

#[tokio::test]
async fn strangers_that_wait_are_one_message_in_ten_minutes_with_little_of_their_text() {
    for mut world in worlds().await {
        let waits = async |world: &World, name: &str| {
            let (name, now) = (name.to_owned(), world.clock.now());
            let insert = "INSERT INTO devices (name, asked, key, state, made_at, heard_at) VALUES ($1, $1, $1, 'pending', $2, $2)";
            world.store.store.write(move |tx| tx.execute(insert, values![name.as_str(), now])).await.unwrap();
        };
        waits(&world, "URGENT call 1-900-00000 bank frozen http://evil.example").await;
        world.pass(1).await;
        assert_eq!(world.told().await, ["PendingDevices URGENT call 1-900-00"]);
        for n in 0..20 {
            waits(&world, &format!("stranger{n:02}")).await;
            world.pass(20_000).await;
        }
        assert_eq!(world.told().await, Vec::<String>::new());
        world.pass(4 * MINUTE).await;
        let told = world.told().await;
        assert_eq!(told, ["PendingDevices stranger00, stranger01, stranger02, stranger03, stranger04, +15"]);
    }
}

#[tokio::test]
async fn a_fleet_that_joins_without_a_pause_is_told_every_two_hours() {
    for mut world in worlds().await {
        world.join("first").await;
        world.pass(MINUTE).await;
        assert_eq!(world.told_with_news().await, ["NewDevices first"]);
        for n in 0..12 {
            assert_eq!(world.told_with_news().await, Vec::<String>::new(), "{n}");
            world.join(&format!("d{n:02}")).await;
            world.pass(10 * MINUTE).await;
        }
        let told = world.told_with_news().await;
        assert!(matches!(told.as_slice(), [one] if one.starts_with("NewDevices d00, d01")), "{told:?}");
    }
}

#[tokio::test]
async fn a_start_is_told_the_first_time_after_an_unclean_stop_and_after_a_long_absence() {
    for mut world in worlds().await {
        let told = async |world: &mut World| {
            world.watchman.start().await.unwrap();
            world.told().await
        };
        assert_eq!(told(&mut world).await, [format!("{:?} ", SystemCode::HubFirstStart)]);
        world.pass(5 * MINUTE).await;
        let mut world = world.restart();
        assert_eq!(told(&mut world).await, ["HubUnclean "]);
        world.watchman.stop().await.unwrap();
        world.hand.advance(9 * MINUTE);
        assert_eq!(told(&mut world).await, Vec::<String>::new());
        world.watchman.stop().await.unwrap();
        world.hand.advance(10 * MINUTE);
        assert_eq!(told(&mut world).await, ["HubAway "]);
    }
}

#[tokio::test]
async fn it_wakes_when_something_is_due_and_when_the_bell_rings_and_stops_in_order() {
    for world in worlds().await {
        let device = world.join("a").await;
        let place = world.connect(device, 1);
        let (bell, stop) = (world.watchman.bell.clone(), CancellationToken::new());
        let mut outbox = world.watchman.outbox.listen();
        world.leave(place, 1).await;
        let World { watchman, store, hand, .. } = world;
        let mut tasks = JoinSet::new();
        tasks.spawn(watchman.run(stop.clone()));
        let store = &store.store;
        hand.advance(15 * MINUTE);
        let told = async |what: &str, outbox: &mut crate::bell::BellListener| loop {
            let rows = store.read(|tx| tx.query("SELECT notice FROM outbox ORDER BY id", &[])).await.unwrap();
            if rows.iter().any(|row| words(&row.json::<Notice>(0).unwrap()).starts_with(what)) {
                break;
            }
            outbox.heard().await;
        };
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, told("NewDevices a", &mut outbox)).await.unwrap();
        hand.advance(10 * MINUTE);
        bell.ring();
        tokio::time::timeout(limit, told("lost a", &mut outbox)).await.unwrap();
        stop.cancel();
        tokio::time::timeout(limit, tasks.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    }
}

mod groups;
mod jobs;
mod names;
mod quota;
mod reconnects;
mod unreadable;

use olog_proto::{EventContent, Excerpt, File, Growth, LogKind, Note, PublicKey, SecretKey, fingerprint::fingerprints};

use super::*;
use crate::rules::quota::DeviceLimits;
use crate::store::tests::{TestStore, stores};
use crate::store::{incidents, renames, tasks};
use crate::values;

const NOW: Timestamp = Timestamp(1_780_000_000_000);

/// A hub's inside without its edges: a store, the worker, and one device that has joined.
struct Bench {
    store: TestStore,
    ingest: Ingest,
    device: DeviceId,
    worker: tokio::task::JoinSet<Result<(), StoreError>>,
}

async fn benches() -> Vec<Bench> {
    benches_with(DeviceLimits::default()).await
}

async fn benches_with(limits: DeviceLimits) -> Vec<Bench> {
    let mut benches = Vec::new();
    for store in stores().await {
        let rules = LivePolicy { limits, channels: vec![crate::apply::tests::phone()], ..LivePolicy::default() };
        let (_, rules) = watch::channel(Arc::new(rules));
        let (clock, _) = Clock::manual(NOW);
        let (ingest, worker) = Ingest::new(store.store.clone(), rules, Bells::default(), clock);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(worker.run(CancellationToken::new()));
        let device = join(&store.store, 1).await;
        benches.push(Bench { store, ingest, device, worker: tasks });
    }
    benches
}

/// Device `devN` joins that store, and its events come in at `now`.
pub(crate) async fn ingested(store: &Store, now: Timestamp, n: u8, events: Vec<Event>) {
    let (_, rules) = watch::channel(Arc::new(LivePolicy::default()));
    let (clock, _) = Clock::manual(now);
    let (ingest, worker) = Ingest::new(store.clone(), rules, Bells::default(), clock);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(worker.run(CancellationToken::new()));
    let device = join(store, n).await;
    let events = events.into_iter().map(|event| Event { at: DeviceTime(now), ..event }).collect();
    ingest.events(device, epoch_of(n), 0, events).await.unwrap();
}

fn key(n: u8) -> PublicKey {
    SecretKey::from_seed([n; 32]).public()
}

async fn join(store: &Store, n: u8) -> DeviceId {
    let id = store
        .write(move |tx| {
            let row = tx.query_one(
                "INSERT INTO devices (name, key, state, made_at) VALUES ($1, $2, 'joined', 0) RETURNING id",
                values![format!("dev{n}"), key(n).to_string()],
            )?;
            row.map_or(Ok(0), |row| row.int(0))
        })
        .await
        .unwrap();
    DeviceId(id)
}

fn hello(n: u8, epoch: u8, last: u64) -> SessionStart {
    SessionStart {
        key: key(n),
        name: format!("dev{n}").parse().unwrap(),
        address: None,
        version: "0".into(),
        epoch: epoch_of(epoch),
        last,
        boot: olog_proto::event::Id128([1; 16]),
        up: 0,
        peer: [127, 0, 0, 1].into(),
        skew_ms: 0,
        now: NOW,
    }
}

fn epoch_of(n: u8) -> Epoch {
    olog_proto::event::Id128([n; 16])
}

pub(crate) fn err(n: u64, task: &str, text: &str) -> Event {
    let file = File {
        task: task.parse().unwrap(),
        suffix: LogKind::Err,
        path: format!("/ologs/{task}.err"),
        change: Growth::Rewritten,
        began_at: None,
        closed: true,
        sibling_err: false,
        history: false,
        fingerprints: fingerprints(text),
    };
    event(n, EventContent::Text { file, excerpt: Excerpt::of(text) })
}

fn event(n: u64, what: EventContent) -> Event {
    Event { n, at: DeviceTime(NOW), boot: olog_proto::event::Id128([1; 16]), up: n, what, by: None, pushed: None }
}

impl Bench {
    async fn put(&self, events: Vec<Event>) -> Result<u64, IngestError> {
        self.ingest.events(self.device, epoch_of(1), 0, events).await
    }

    async fn n_events(&self) -> u64 {
        self.store.store.read(events::count).await.unwrap().iter().map(|(_, n)| n).sum()
    }

    /// What the phone would be told, in order: kind, task, code.
    async fn told(&self) -> Vec<String> {
        let rows = self.store.store.read(|tx| tx.query("SELECT notice FROM outbox ORDER BY id", &[])).await.unwrap();
        rows.iter()
            .map(|row| {
                let notice: olog_push::Notice = row.json(0).unwrap();
                match notice.content {
                    olog_push::Content::System { code, args } => {
                        format!("{code:?} {}", args.get("n").cloned().unwrap_or_default())
                    }
                    _ => format!("{:?} {}", notice.kind, notice.task.unwrap_or_default()),
                }
            })
            .collect()
    }
}

#[tokio::test]
async fn an_event_its_incident_and_its_notice_are_one_commit() {
    for bench in benches().await {
        assert_eq!(bench.put(vec![err(1, "nginx", "nginx not running!")]).await.unwrap(), 1);
        assert_eq!(bench.n_events().await, 1);
        let open = bench.store.store.read(|tx| incidents::list(tx, false, u64::MAX, 10)).await.unwrap();
        assert_eq!(open.iter().map(|i| (i.name.as_str(), i.n_seen)).collect::<Vec<_>>(), [("nginx", 1)]);
        assert_eq!(bench.told().await, ["Err nginx"]);
        let task = bench.store.store.read(|tx| tasks::list(tx, None, ("", ""), 10)).await.unwrap().pop().unwrap();
        assert_eq!(task.incident, Some(open[0].id));
    }
}

#[tokio::test]
async fn what_is_sent_twice_is_stored_once() {
    for bench in benches().await {
        let events = || (1..=3).map(|n| err(n, "a", &format!("no {n}"))).collect::<Vec<_>>();
        assert_eq!(bench.put(events()).await.unwrap(), 3);
        assert_eq!(bench.put(events()).await.unwrap(), 3);
        let mut more = events();
        more.push(err(4, "a", "again"));
        assert_eq!(bench.put(more).await.unwrap(), 4);
        assert_eq!(bench.n_events().await, 4);
        assert_eq!(bench.told().await.iter().filter(|t| *t == "Err a").count(), 2, "the first sign and one new error");
    }
}

#[tokio::test]
async fn a_known_number_with_another_content_asks_for_a_new_epoch_and_takes_nothing() {
    for bench in benches().await {
        bench.put(vec![err(1, "a", "x"), err(2, "a", "y")]).await.unwrap();
        for _ in 0..2 {
            let refused = bench.put(vec![err(2, "b", "z"), err(3, "b", "z")]).await;
            assert!(matches!(refused, Err(IngestError::NewEpoch { .. })), "{refused:?}");
        }
        assert_eq!(bench.n_events().await, 2);
        assert_eq!(bench.told().await, ["Err a", "Err a", "EpochRenewed "], "told once");
        // Under a new epoch the same events are taken.
        let taken = bench.ingest.events(bench.device, epoch_of(2), 0, vec![err(1, "b", "z"), err(2, "b", "z")]).await;
        assert_eq!(taken.unwrap(), 2);
        assert_eq!(bench.n_events().await, 4);
    }
}

#[tokio::test]
async fn a_spool_that_ends_before_what_is_committed_is_told_to_begin_anew() {
    for bench in benches().await {
        bench.put((1..=5).map(|n| err(n, "a", "x")).collect()).await.unwrap();
        let known = bench.ingest.connect(hello(1, 1, 5)).await.unwrap();
        assert!(matches!(known, Connected::Known { acked: 5, .. }), "{known:?}");
        let older = bench.ingest.connect(hello(1, 1, 4)).await.unwrap();
        assert!(matches!(older, Connected::NewEpoch { .. }), "{older:?}");
    }
}

#[tokio::test]
async fn a_gap_is_accepted_recorded_and_told_with_its_count() {
    for bench in benches().await {
        bench.put(vec![err(1, "a", "x")]).await.unwrap();
        assert_eq!(bench.put(vec![err(10, "a", "x")]).await.unwrap(), 10);
        assert_eq!(bench.told().await, ["Err a", "Gap 8"]);
        let missing = bench.store.store.read(|tx| tx.query_one("SELECT missing FROM epochs", &[])).await.unwrap();
        assert_eq!(missing.unwrap().int(0).unwrap(), 8);
    }
}

#[tokio::test]
async fn a_device_that_joined_another_hub_before_has_no_gap_to_tell() {
    for bench in benches().await {
        assert_eq!(bench.put(vec![err(500, "a", "x")]).await.unwrap(), 500);
        assert_eq!(bench.told().await, ["Err a"]);
    }
}

#[tokio::test]
async fn an_event_that_the_store_refuses_is_recorded_as_unreadable_and_the_others_are_stored() {
    for bench in benches().await {
        let refuse = match format!("{:?}", bench.store.store).as_str() {
            "Store(SQLite)" => {
                "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN new.body LIKE '%poison%' BEGIN SELECT RAISE(ABORT, 'no poison'); END"
            }
            _ => "ALTER TABLE events ADD CONSTRAINT refuse CHECK (body NOT LIKE '%poison%')",
        };
        bench.store.store.write(|tx| tx.execute(refuse, &[])).await.unwrap();
        let other = join(&bench.store.store, 2).await;
        let (mine, theirs) = tokio::join!(
            bench.put(vec![err(1, "a", "fine"), err(2, "a", "poison"), err(3, "a", "fine too")]),
            bench.ingest.events(other, epoch_of(9), 0, vec![err(1, "b", "fine")]),
        );
        assert_eq!((mine.unwrap(), theirs.unwrap()), (3, 1));
        let kinds = bench.store.store.read(events::count).await.unwrap();
        assert_eq!(kinds, [("text".to_owned(), 3), ("unreadable".to_owned(), 1)]);
        assert!(bench.told().await.contains(&"Unreadable 2".to_owned()), "{:?}", bench.told().await);
    }
}

#[tokio::test]
async fn an_unknown_device_waits_and_a_forgotten_one_is_refused() {
    for bench in benches().await {
        for _ in 0..2 {
            assert!(matches!(bench.ingest.connect(hello(7, 7, 0)).await.unwrap(), Connected::Pending));
        }
        assert_eq!(bench.told().await, Vec::<String>::new(), "the watchman tells it");
        let forget = |tx: &mut Tx<'_>| tx.execute("UPDATE devices SET state = 'forgotten' WHERE name = 'dev1'", &[]);
        bench.store.store.write(forget).await.unwrap();
        assert!(matches!(bench.ingest.connect(hello(1, 1, 0)).await.unwrap(), Connected::Revoked));
        assert!(matches!(bench.put(vec![err(1, "a", "x")]).await, Err(IngestError::Revoked)));
        assert_eq!(bench.n_events().await, 0);
    }
}

#[tokio::test]
async fn strangers_are_bounded_by_address_and_in_all_and_take_nobodys_place() {
    for bench in benches().await {
        let stranger = |n: u64, peer: &str, minutes: i64| {
            let mut start = hello(7, 7, 0);
            start.key = olog_proto::PublicKey(std::array::from_fn(|i| if i < 8 { n.to_le_bytes()[i] } else { 9 }));
            start.peer = peer.parse().unwrap();
            start.now = start.now.plus(minutes * 60_000);
            start
        };
        let n_waiting = async || {
            bench
                .store
                .store
                .read(|tx| tx.query("SELECT id FROM devices WHERE state = 'pending'", &[]))
                .await
                .unwrap()
                .len()
        };
        for n in 0..15 {
            let connected = bench.ingest.connect(stranger(n, "203.0.113.9", 0)).await.unwrap();
            assert_eq!(matches!(connected, Connected::Pending), n < 10, "{n}: {connected:?}");
        }
        assert_eq!(n_waiting().await, 10);
        // Who waits already may come again; others of other addresses may come, a hundred in an hour.
        assert!(matches!(bench.ingest.connect(stranger(3, "203.0.113.9", 1)).await.unwrap(), Connected::Pending));
        for n in 100..300 {
            bench.ingest.connect(stranger(n, &format!("198.51.100.{}", n % 250), 1)).await.unwrap();
        }
        assert_eq!(n_waiting().await, 100);
        // The cap of those who wait: nobody is deleted for somebody new.
        let fill = |tx: &mut Tx<'_>| {
            for n in 0..devices::PENDING_MAX {
                tx.execute(
                    "INSERT INTO devices (name, asked, key, state, made_at, heard_at) VALUES ($1, $1, $1, 'pending', $2, $2)",
                    values![format!("w{n}").as_str(), hello(7, 7, 0).now],
                )?;
            }
            Ok(())
        };
        bench.store.store.write(fill).await.unwrap();
        let late = bench.ingest.connect(stranger(999, "192.0.2.7", 90)).await.unwrap();
        assert!(matches!(late, Connected::TooManyPending), "{late:?}");
        assert_eq!(n_waiting().await, 1_100);
        // A device that has joined is none of them.
        assert!(matches!(bench.ingest.connect(hello(1, 1, 0)).await.unwrap(), Connected::Known { .. }));
    }
}

#[tokio::test]
async fn an_agents_note_is_told_once_and_so_is_its_end() {
    for bench in benches().await {
        let note = |over| {
            EventContent::Note(Note {
                code: "log_dir_missing".into(),
                path: Some("/x".into()),
                text: "make it".into(),
                over,
                once: false,
            })
        };
        let events = [false, false, true, true].map(note);
        bench.put(events.into_iter().zip(1..).map(|(what, n)| event(n, what)).collect()).await.unwrap();
        assert_eq!(bench.told().await, ["AgentNote ", "AgentNoteOver "]);
    }
}

#[tokio::test]
async fn many_agents_share_commits_and_every_event_counts() {
    for bench in benches().await {
        let mut tasks = tokio::task::JoinSet::new();
        for n in 10..40_u8 {
            let device = join(&bench.store.store, n).await;
            let ingest = bench.ingest.clone();
            tasks.spawn(async move {
                for from in (1..=91).step_by(10) {
                    let events = (from..from + 10).map(|n| err(n, "t", &format!("same {n}"))).collect();
                    assert_eq!(ingest.events(device, epoch_of(n), 0, events).await.unwrap(), from + 9);
                }
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert_eq!(bench.n_events().await, 30 * 100);
        assert_eq!(bench.told().await.len(), 30, "one first sign a device");
        assert!(!bench.worker.is_empty());
    }
}

#[test]
fn an_instant_that_cannot_be_happened_now() {
    assert_eq!(
        hub_time(DeviceTime(Timestamp(NOW.0 - 5000)), -2000, NOW),
        Timestamp(NOW.0 - 3000),
        "a clock that is late is corrected"
    );
    assert_eq!(hub_time(DeviceTime(Timestamp(NOW.0 + 60_000)), 0, NOW), NOW, "the future");
    assert_eq!(hub_time(DeviceTime(Timestamp(1000)), 0, NOW), NOW, "a clock that was never set");
}

#[tokio::test]
async fn a_worker_whose_store_does_not_answer_is_stuck_until_it_does() {
    let store = stores().await.remove(0);
    let (clock, _hand) = Clock::manual(NOW);
    let (_sender, rules) = watch::channel(Arc::new(LivePolicy::default()));
    let (ingest, worker) = Ingest::new(store.store.clone(), rules, Bells::default(), clock);
    let workers = olog_daemon::workers::Workers::default();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(
        worker.with_pulse(workers.register("ingest", olog_daemon::workers::STUCK_AFTER)).run(CancellationToken::new()),
    );
    let device = join(&store.store, 1).await;
    let connected = ingest.connect(hello(1, 1, 1)).await.unwrap();
    assert!(matches!(connected, Connected::Known { .. }));

    let mut minutes = tokio::time::Instant::now();
    let mut stuck_in_a_minute = || {
        minutes += olog_daemon::workers::STUCK_AFTER;
        workers.stuck(minutes)
    };
    let (gate, closed) = std::sync::mpsc::channel::<()>();
    let mut calls = tokio::task::JoinSet::new();
    let blocked = store.store.clone();
    calls.spawn(async move {
        let waits = move |_: &mut Tx<'_>| closed.recv().map_err(|e| StoreError::Refused(e.to_string()));
        blocked.write(waits).await.unwrap();
    });
    calls.spawn(async move {
        ingest.events(device, epoch_of(1), 0, vec![err(1, "svc", "x")]).await.unwrap();
    });
    while stuck_in_a_minute() != ["ingest"] {
        tokio::task::yield_now().await;
    }
    gate.send(()).unwrap();
    while calls.join_next().await.is_some() {}
    while !stuck_in_a_minute().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_task_that_was_forgotten_is_recreated_by_nothing_older() {
    for bench in benches().await {
        bench.put(vec![err(1, "old", "down")]).await.unwrap();
        let forget = |tx: &mut Tx<'_>| crate::apply::operator::forget(tx, &LivePolicy::default(), "dev1", "old", NOW);
        assert_eq!(bench.store.store.write(forget).await.unwrap(), crate::apply::operator::Forgotten::Yes);
        assert_eq!(bench.store.store.write(forget).await.unwrap(), crate::apply::operator::Forgotten::Unknown);
        let open = bench.store.store.read(|tx| incidents::list(tx, false, u64::MAX, 10)).await.unwrap();
        let listed = async || bench.store.store.read(|tx| tasks::list(tx, None, ("", ""), 10)).await.unwrap().len();
        assert_eq!((open.len(), listed().await), (0, 0));
        bench.put(vec![err(2, "old", "down again")]).await.unwrap();
        assert_eq!((bench.n_events().await, listed().await), (2, 0), "stored, and no task");
        let row = bench.store.store.read(|tx| tx.query_one("SELECT expect FROM tasks", &[])).await.unwrap().unwrap();
        let facts: crate::rules::expect::Facts = row.json(0).unwrap();
        assert!(facts.forgets(NOW) && !facts.forgets(NOW.plus(1)));
    }
}

#[tokio::test]
async fn a_run_that_vanished_with_its_machine_does_not_stand_as_running() {
    for bench in benches().await {
        let start = |boot: u8| SessionStart { boot: olog_proto::event::Id128([boot; 16]), ..hello(1, 1, 1) };
        bench.ingest.connect(start(1)).await.unwrap();
        bench
            .put(vec![event(1, EventContent::RunStarted { task: "x".parse().unwrap(), run: "r".into() })])
            .await
            .unwrap();
        let running = |bench: &Bench| {
            let (store, device) = (bench.store.store.clone(), bench.device);
            async move {
                let task = store.read(move |tx| tasks::find(tx, device, "x")).await.unwrap().unwrap();
                (task.expect.running_since(), store.read(tasks::next_due).await.unwrap())
            }
        };
        bench.ingest.connect(start(1)).await.unwrap();
        assert_eq!(running(&bench).await.0, Some(NOW), "the same boot");
        bench.ingest.connect(start(2)).await.unwrap();
        assert_eq!(running(&bench).await, (None, Some(NOW.plus(600_000))), "judged in 10 min");
    }
}

//! A device that has joined and floods the hub: it fills its own quota, and nobody else waits for it.

use olog_push::Notice;

use super::*;
use crate::rules::quota::DeviceLimits;
use crate::rules::quota::Limit;
use crate::store::outbox::{self, ClaimFilter};

const LIMITS: DeviceLimits = DeviceLimits {
    events_per_day: 1_000,
    bytes_per_day: 1 << 30,
    tasks: 1_000,
    open_incidents: 1_000,
    notes_per_hour: 1_000,
};

fn errors(n: std::ops::Range<u64>) -> Vec<Event> {
    n.map(|n| err(n, &format!("task{n}"), &format!("failed with {n}"))).collect()
}

fn message(n: u64) -> Event {
    let mut event = err(n, "door", &format!("battery {n} %"));
    if let EventContent::Text { file, .. } = &mut event.what {
        file.suffix = LogKind::Msg;
    }
    event
}

fn note(n: u64) -> Event {
    let note = Note {
        code: "log_dir_missing".into(),
        path: Some(format!("/d{n}")),
        text: String::new(),
        over: false,
        once: true,
    };
    event(n, EventContent::Note(note))
}

impl Bench {
    async fn n_told(&self, words: &str) -> usize {
        self.told().await.iter().filter(|told| told.contains(words)).count()
    }

    async fn n_of(&self, sql: &'static str) -> i64 {
        let row = self.store.store.read(move |tx| tx.query_one(sql, &[])).await.unwrap().unwrap();
        row.int(0).unwrap()
    }
}

#[tokio::test]
async fn tasks_beyond_the_limit_are_acknowledged_counted_and_told_once() {
    for bench in benches_with(DeviceLimits { tasks: 10, ..LIMITS }).await {
        assert_eq!(bench.put(errors(1..31)).await.unwrap(), 30);
        assert_eq!(bench.put(errors(31..41)).await.unwrap(), 40);
        assert_eq!(bench.n_of("SELECT COUNT(*) FROM tasks").await, 10);
        assert_eq!((bench.n_told("Err").await, bench.n_told("DeviceLimit 10").await), (10, 1));
        // A task that is known goes on.
        bench.put(vec![err(41, "task1", "another failure")]).await.unwrap();
        assert_eq!(bench.n_told("Err task1").await - bench.n_told("Err task10").await, 2);
        let beyond = bench.store.store.read(devices::beyond_limits).await.unwrap();
        assert_eq!(beyond[0].1.exceeded[&Limit::Tasks].n, 30);
    }
}

#[tokio::test]
async fn errors_beyond_the_open_incidents_are_stored_and_one_incident_says_so() {
    for bench in benches_with(DeviceLimits { open_incidents: 8, ..LIMITS }).await {
        assert_eq!(bench.put(errors(1..31)).await.unwrap(), 30);
        bench.put(errors(31..41)).await.unwrap();
        assert_eq!((bench.n_told("Err").await, bench.n_told("DeviceLimit 8").await), (8, 1));
        assert_eq!(bench.n_events().await, 40);
        // What came beyond the limit has come: a task that is expected is not LOST for it.
        let came = "SELECT COUNT(*) FROM tasks WHERE CAST(expect AS TEXT) LIKE '%seen_at%'";
        assert_eq!(bench.n_of(came).await, 40);
        let open = "SELECT COUNT(*) FROM incidents WHERE ended_at IS NULL AND name = 'too_many_errors'";
        assert_eq!(bench.n_of(open).await, 1);
        // Most are over: the next error is told again.
        let well = |n: u64| {
            let task = format!("task{}", n - 40).parse().unwrap();
            let (exit, excerpt) = (Some(0), Excerpt::of(""));
            let ended = EventContent::RunEnded {
                task,
                run: "r".into(),
                exit,
                signal: None,
                duration: 1,
                excerpt,
                fingerprints: Vec::new(),
            };
            event(n, ended)
        };
        bench.put((41..47).map(well).collect()).await.unwrap();
        assert_eq!(
            bench.n_of("SELECT COUNT(*) FROM incidents WHERE ended_at IS NULL").await,
            2,
            "{:?}",
            bench.told().await
        );
        bench.put(vec![err(47, "task20", "failed again")]).await.unwrap();
        assert_eq!(bench.n_told("Err task20").await, 1);
    }
}

#[tokio::test]
async fn one_user_of_a_device_fills_half_of_its_incidents_and_root_and_others_are_told() {
    for bench in benches_with(DeviceLimits { open_incidents: 16, ..LIMITS }).await {
        let by = |uid: u32, mut event: Event| {
            event.by = Some(olog_proto::Author::new(uid, None));
            event
        };
        let of = |uid: u32, numbers: std::ops::Range<u64>| -> Vec<Event> {
            errors(numbers).into_iter().map(|event| by(uid, event)).collect()
        };
        assert_eq!(bench.put(of(1000, 1..31)).await.unwrap(), 30, "everything is acknowledged");
        bench.put(of(1000, 31..41)).await.unwrap();
        assert_eq!((bench.n_told("Err").await, bench.n_told("DeviceLimit 16").await), (8, 1));
        // Another user has half of the rest, and root all of it.
        bench.put(of(1001, 41..61)).await.unwrap();
        assert_eq!(bench.n_told("Err").await, 12);
        bench.put(vec![by(0, err(61, "raid", "degraded")), err(62, "unknown", "failed")]).await.unwrap();
        assert_eq!((bench.n_told("Err raid").await, bench.n_told("Err unknown").await), (1, 1));
        assert_eq!(bench.n_events().await, 62);
        let open = "SELECT COUNT(*) FROM incidents WHERE ended_at IS NULL AND name = 'too_many_errors'";
        assert_eq!(bench.n_of(open).await, 0, "the device's own limit is not reached");
        let beyond = bench.store.store.read(devices::beyond_limits).await.unwrap();
        assert_eq!(beyond[0].1.exceeded[&Limit::OpenIncidentsOfUser].n, 48);
    }
}

#[tokio::test]
async fn messages_and_notes_beyond_the_hour_are_stored_and_not_pushed() {
    for bench in benches_with(DeviceLimits { notes_per_hour: 5, ..LIMITS }).await {
        bench.put((1..11).map(message).collect()).await.unwrap();
        bench.put((11..21).map(note).collect()).await.unwrap();
        assert_eq!((bench.n_told("Msg").await, bench.n_told("AgentNote").await), (5, 0));
        assert_eq!((bench.n_told("DeviceLimit 5").await, bench.n_events().await), (1, 20));
        bench.put(vec![err(21, "raid", "degraded")]).await.unwrap();
        assert_eq!(bench.n_told("Err raid").await, 1, "errors are no notes");
    }
}

#[tokio::test]
async fn beyond_the_days_events_or_bytes_errors_are_told_and_texts_are_not_stored() {
    let of_events = DeviceLimits { events_per_day: 10, ..LIMITS };
    let of_bytes = DeviceLimits { bytes_per_day: 1, ..LIMITS };
    for (limits, n_stored) in [(of_events, 10), (of_bytes, 10)] {
        for bench in benches_with(limits).await {
            bench.put(errors(1..11)).await.unwrap();
            assert_eq!(bench.put(errors(11..31)).await.unwrap(), 30);
            assert_eq!(bench.n_events().await, n_stored);
            assert_eq!((bench.n_told("Err").await, bench.n_told("DeviceLimit").await), (30, 1));
        }
    }
}

#[tokio::test]
async fn one_device_floods_and_the_first_error_of_another_is_in_the_first_rows_of_a_claim() {
    for bench in benches_with(LIMITS).await {
        let quiet = join(&bench.store.store, 2).await;
        bench.put(errors(1..301)).await.unwrap();
        bench.put((301..601).map(note).collect()).await.unwrap();
        bench.ingest.events(quiet, epoch_of(2), 0, vec![err(1, "raid", "degraded")]).await.unwrap();
        let pick = ClaimFilter { place: None, only: None, limit: 10 };
        let claimed = bench
            .store
            .store
            .write(move |tx| outbox::claim(tx, "phone", "test", NOW, NOW.plus(60_000), pick))
            .await
            .unwrap();
        let devices: Vec<_> = claimed.iter().filter_map(|row| row.notice.device.as_deref()).collect();
        assert_eq!(devices.get(1), Some(&"dev2"), "{devices:?}");
    }
}

#[tokio::test]
async fn a_flood_of_one_device_does_not_hide_another_from_a_budget() {
    for bench in benches_with(LIMITS).await {
        let quiet = join(&bench.store.store, 2).await;
        bench.ingest.events(quiet, epoch_of(2), 0, vec![err(1, "raid", "degraded")]).await.unwrap();
        bench.put(errors(1..601)).await.unwrap();
        let devices = bench
            .store
            .store
            .read(|tx| {
                let of = outbox::candidates(tx, "phone", NOW)?[0];
                outbox::devices_of(tx, "phone", of, NOW, 300)
            })
            .await
            .unwrap();
        assert!(devices.contains("dev2"), "{devices:?}");
    }
}

/// Which of the notices a message shows.
#[test]
fn a_message_of_a_storm_shows_the_only_error_of_a_device() {
    let rules = LivePolicy::default();
    let of = |device: &str, n: u64| {
        let content = olog_push::Content::Error {
            why: olog_push::Reason::First,
            excerpt: Excerpt::of(&format!("failure {n:04} of a kind of its own")),
            path: "/ologs/x.err".into(),
            fingerprint: None,
            last_good_at: None,
            began_at: NOW,
            n_seen: 1,
            facts: Box::default(),
        };
        Notice {
            kind: olog_push::Kind::Err,
            incident: Some(n),
            device: Some(device.into()),
            address: None,
            task: Some(format!("task{n}")),
            at: NOW,
            silence: None,
            content,
        }
    };
    let mut notices: Vec<Notice> = (0..500).map(|n| of("flood", n)).collect();
    notices.push(of("raid-box", 9_999));
    let composed = rules.compose(&notices, &crate::apply::tests::phone(), None, NOW);
    assert!(composed.shown.contains(&500), "{}", composed.shown.len());
}

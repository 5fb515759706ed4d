//! Rows that a later version wrote, met on the way of an event: nobody else waits, nothing open is forgotten.

use super::*;
use crate::store::set_aside;

/// Facts that this version cannot read, each for another reason.
const LATER: [&str; 4] = [
    r#"{"format":2,"is_task":true}"#,
    r#"{"is_task":true,"hibernating":{"until":7}}"#,
    r#"{"is_task":true,"phase":{"hibernating":{}}}"#,
    "not JSON",
];

async fn plant(bench: &Bench, sql: &'static str, text: &'static str) {
    bench.store.store.write(move |tx| tx.execute(sql, values![text])).await.unwrap();
}

fn ran(n: u64, task: &str) -> Event {
    event(
        n,
        EventContent::RunEnded {
            task: task.parse().unwrap(),
            run: "r".into(),
            exit: Some(0),
            signal: None,
            duration: 1,
            excerpt: Excerpt::default(),
            fingerprints: Vec::new(),
        },
    )
}

#[tokio::test]
async fn an_incident_stays_open_and_ends_though_its_tasks_facts_cannot_be_read() {
    for facts in LATER {
        for bench in benches().await {
            bench.put(vec![err(1, "x", "x is broken"), err(2, "y", "y is broken")]).await.unwrap();
            plant(&bench, "UPDATE tasks SET facts = $1 WHERE name = 'x'", facts).await;
            assert_eq!(bench.put(vec![err(3, "x", "x is broken"), ran(4, "x")]).await.unwrap(), 4, "{facts}");
            assert_eq!(bench.told().await, ["Err x", "Err y", "Over x"], "{facts}");
            let (open, aside) = bench
                .store
                .store
                .read(|tx| Ok((incidents::list(tx, true, u64::MAX, 9)?, set_aside::list(tx, 9)?)))
                .await
                .unwrap();
            let stands: Vec<_> = open.iter().map(|i| (i.name.as_str(), i.n_seen, i.ended_at.is_some())).collect();
            assert_eq!(stands, [("y", 1, false), ("x", 2, true)], "{facts}");
            let aside: Vec<_> = aside.iter().map(|a| (a.kind.as_str(), a.name.as_str())).collect();
            assert_eq!(aside, [("task", "x")], "{facts}");
        }
    }
}

#[tokio::test]
async fn an_incident_whose_own_facts_cannot_be_read_either_stays_open_too() {
    for bench in benches().await {
        bench.put(vec![err(1, "x", "x is broken")]).await.unwrap();
        plant(&bench, "UPDATE tasks SET facts = $1, expect = $1", LATER[3]).await;
        plant(&bench, "UPDATE incidents SET facts = $1", LATER[0]).await;
        assert_eq!(bench.put(vec![ran(2, "x")]).await.unwrap(), 2);
        assert_eq!(bench.told().await, ["Err x", "Over x"]);
        let aside = bench.store.store.read(|tx| set_aside::list(tx, 9)).await.unwrap();
        assert_eq!(aside.iter().map(|a| a.kind.as_str()).collect::<Vec<_>>(), ["task_expectations", "task"]);
    }
}

#[tokio::test]
async fn a_device_whose_row_cannot_be_read_keeps_its_events_and_the_others_go_on() {
    for bench in benches().await {
        let other = join(&bench.store.store, 2).await;
        plant(&bench, "UPDATE devices SET state = $1 WHERE name = 'dev1'", "quarantined").await;
        let (first, second) = tokio::join!(
            bench.put(vec![err(1, "x", "x is broken")]),
            bench.ingest.events(other, epoch_of(2), 0, vec![err(1, "y", "y is broken")]),
        );
        assert!(matches!(first, Err(IngestError::Busy(_))), "{first:?}");
        assert_eq!(second.unwrap(), 1);
        assert_eq!(bench.told().await, ["Err y"]);
        plant(&bench, "UPDATE devices SET state = $1 WHERE name = 'dev1'", "joined").await;
        assert_eq!(bench.put(vec![err(1, "x", "x is broken")]).await.unwrap(), 1);
        assert_eq!(bench.n_events().await, 2);
    }
}

#[tokio::test]
async fn what_a_silence_held_back_and_nobody_can_read_leaves_the_user_in_doubt_notified() {
    for bench in benches().await {
        bench.put(vec![err(1, "x", "x is broken")]).await.unwrap();
        bench
            .store
            .store
            .write(|tx| {
                tx.execute(
                    "INSERT INTO held (incident_id, about_id, silence_id, knew, is_over, notice, fingerprints)
                     VALUES (1, 0, 9, 0, 0, $1, '[]')",
                    values![r#"{"format":2}"#],
                )
            })
            .await
            .unwrap();
        assert_eq!(bench.put(vec![ran(2, "x")]).await.unwrap(), 2);
        assert_eq!(bench.told().await, ["Err x", "Over x"]);
        let aside = bench.store.store.read(|tx| set_aside::list(tx, 9)).await.unwrap();
        assert_eq!(aside.iter().map(|a| a.kind.as_str()).collect::<Vec<_>>(), ["suppressed"]);
    }
}

#[tokio::test]
async fn a_note_from_before_the_hubs_hour_is_put_into_the_outbox_with_the_hubs_time() {
    for bench in benches().await {
        let note = Note {
            code: "log_dir_missing".into(),
            path: Some("/x".into()),
            text: "t".into(),
            over: false,
            once: false,
        };
        let mut note = event(1, EventContent::Note(note));
        note.at = DeviceTime(NOW.plus(-8 * 86_400_000));
        bench.put(vec![note]).await.unwrap();
        let row = bench.store.store.read(|tx| tx.query_one("SELECT made_at FROM outbox", &[])).await.unwrap().unwrap();
        assert_eq!(row.at(0).unwrap(), NOW, "an age of 8 days would expire it before it is sent");
    }
}

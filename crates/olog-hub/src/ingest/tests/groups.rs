//! One history, however it is cut into batches and whatever of it is sent twice: the same states, incidents and notices.

use olog_proto::Growth;
use proptest::prelude::*;

use super::*;

fn text_of(task: usize, suffix: LogKind, word: usize) -> EventContent {
    let words = ["no space left", "connection refused", "timed out", ""];
    let text = words[word % words.len()];
    let file = File {
        task: format!("task{task}").parse().unwrap(),
        suffix,
        path: format!("/ologs/task{task}.{suffix}"),
        change: if word.is_multiple_of(2) { Growth::Rewritten } else { Growth::Grown },
        began_at: Some(olog_proto::DeviceTime(NOW.plus(-(word as i64) * 60_000))),
        closed: word != 3,
        sibling_err: word == 1,
        history: false,
        fingerprints: fingerprints(text),
    };
    EventContent::Text { file, excerpt: Excerpt::of(text) }
}

fn what() -> impl Strategy<Value = EventContent> {
    let suffix = prop::sample::select(vec![LogKind::Err, LogKind::Log, LogKind::Scanerr, LogKind::Msg]);
    let task = 0..3_usize;
    prop_oneof![
        6 => (task.clone(), suffix, 0..4_usize).prop_map(|(task, suffix, word)| text_of(task, suffix, word)),
        1 => task.clone().prop_map(|task| EventContent::Cleared {
            task: format!("task{task}").parse().unwrap(),
            suffix: LogKind::Err,
            path: format!("/ologs/task{task}.err"),
            deleted: true,
        }),
        2 => (task, prop::option::of(0..2)).prop_map(|(task, exit)| EventContent::RunEnded {
            task: format!("task{task}").parse().unwrap(),
            run: "r".to_owned(),
            exit,
            signal: None,
            duration: 5_000,
            excerpt: Excerpt::of("ended"),
            fingerprints: Vec::new(),
        }),
    ]
}

/// What is left of a history whose events are sent in these batches: `(from, until)`, overlapping as they like.
async fn left(events: &[Event], batches: &[(usize, usize)]) -> (Vec<String>, Vec<String>, Vec<String>, u64) {
    let rules = LivePolicy { channels: vec![crate::apply::tests::phone()], ..LivePolicy::default() };
    let (_sender, rules) = watch::channel(Arc::new(rules));
    let store = crate::store::tests::sqlite().await;
    let (ingest, worker) = Ingest::new(store.store.clone(), rules, Bells::default(), Clock::manual(NOW).0);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(worker.run(CancellationToken::new()));
    let device = join(&store.store, 1).await;
    for (from, until) in batches {
        ingest.events(device, epoch_of(1), 0, events[*from..*until].to_vec()).await.unwrap();
    }
    let texts = async |sql: &'static str| {
        let rows = store.store.read(move |tx| tx.query(sql, &[])).await.unwrap();
        rows.iter().map(|row| row.text(0).unwrap().to_owned()).collect::<Vec<_>>()
    };
    let tasks = texts(
        "SELECT name || facts || expect || is_task || COALESCE(incident_id, 0) || '/' || COALESCE(due_at, 0) FROM tasks ORDER BY name",
    );
    let incidents = texts(
        "SELECT name || began_at || '/' || COALESCE(ended_at, 0) || '/' || n_seen || facts FROM incidents ORDER BY id",
    );
    let notices = texts("SELECT notice FROM outbox ORDER BY id");
    let n = store.store.read(events::count).await.unwrap().iter().map(|(_, n)| n).sum();
    (tasks.await, incidents.await, notices.await, n)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_grouping_of_a_history_gives_the_same_states(
        whats in prop::collection::vec(what(), 1..40),
        cuts in prop::collection::vec((1..12_usize, 0..6_usize), 40),
    ) {
        let from = NOW.plus(-60 * 60_000);
        let at = |i: usize| from.plus(i as i64 * 60_000);
        let events: Vec<Event> = whats
            .into_iter()
            .enumerate()
            .map(|(i, what)| Event { at: olog_proto::DeviceTime(at(i)), ..event(i as u64 + 1, what) })
            .collect();
        let mut batches = Vec::new();
        let mut sent = 0;
        for (n, again) in cuts {
            if sent == events.len() {
                break;
            }
            let until = (sent + n).min(events.len());
            batches.push((sent.saturating_sub(again), until));
            sent = until;
        }
        batches.push((0, events.len()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (whole, cut) = runtime.block_on(async { (left(&events, &[(0, events.len())]).await, left(&events, &batches).await) });
        prop_assert_eq!(whole.3, events.len() as u64);
        prop_assert_eq!(cut, whole);
    }
}

use super::*;
use crate::ingest::tests::{err, ingested};
use crate::store::tests::{TestStore, stores};

const NOW: Timestamp = Timestamp(1_780_000_000_000);

fn search(words: &str) -> EventFilter {
    EventFilter { words: words.to_owned(), ..EventFilter::default() }
}

async fn found(store: &TestStore, filter: EventFilter, limit: u32) -> (Vec<String>, Option<Place>) {
    let page = store.store.read(move |tx| page(tx, &filter, limit)).await.unwrap();
    let rows = page.rows.iter().map(|row| format!("{} {}", row.device, row.text)).collect();
    (rows, page.next.map(|next| next.parse().unwrap()))
}

#[tokio::test]
async fn events_are_found_by_words_in_any_script_and_case_and_by_nothing_that_is_no_text() {
    for store in stores().await {
        ingested(
            &store.store,
            NOW,
            1,
            vec![err(1, "mysql", "ERROR 2002: can't connect"), err(2, "rsync", "磁盘已满 100%")],
        )
        .await;
        ingested(&store.store, NOW.plus(1), 2, vec![err(1, "mysql", "say \"no\" a_b \\ c")]).await;
        for (words, n) in [
            ("", 3),
            ("error 2002", 1),
            ("磁盘", 1),
            ("满 100%", 1),
            ("100_", 0),
            ("A_B \\", 1),
            ("say \"no\"", 1),
            ("mysql.err", 2),
            ("RSYNC", 1),
            // Keys and values of the stored JSON that nobody wrote.
            ("suffix", 0),
            ("rewritten", 0),
            ("fingerprints", 0),
        ] {
            assert_eq!(found(&store, search(words), 10).await.0.len(), n, "{words:?} {store:?}", store = store.store);
        }
    }
}

#[tokio::test]
async fn filters_narrow_the_history_and_pages_neither_skip_nor_repeat() {
    for store in stores().await {
        ingested(&store.store, NOW, 1, (1..=5).map(|n| err(n, "a", &format!("text {n}"))).collect()).await;
        ingested(&store.store, NOW.plus(1), 2, vec![err(1, "a", "newer"), err(2, "b", "newest")]).await;
        let of = |device: &str, task: Option<&str>, kind: Option<&str>| EventFilter {
            device: Some(device.to_owned()),
            task: task.map(str::to_owned),
            kind: kind.map(str::to_owned),
            ..EventFilter::default()
        };
        assert_eq!(found(&store, of("dev2", None, None), 10).await.0, ["dev2 newest", "dev2 newer"]);
        assert_eq!(found(&store, of("dev2", Some("b"), Some("err")), 10).await.0, ["dev2 newest"]);
        assert_eq!(found(&store, of("dev2", None, Some("msg")), 10).await.0, [""; 0]);
        assert_eq!(found(&store, of("dev3", None, None), 10).await, (Vec::new(), None));
        for device in [None, Some("dev1".to_owned())] {
            let (mut all, mut before) = (Vec::new(), None);
            loop {
                let filter = EventFilter { device: device.clone(), before, ..EventFilter::default() };
                let (rows, next) = found(&store, filter, 2).await;
                all.extend(rows);
                if next.is_none() {
                    break;
                }
                before = next;
            }
            let of_one: Vec<String> = (1..=5).rev().map(|n| format!("dev1 text {n}")).collect();
            let newer = ["dev2 newest".to_owned(), "dev2 newer".to_owned()];
            let expected = if device.is_some() { of_one } else { [newer.to_vec(), of_one].concat() };
            assert_eq!(all, expected);
        }
    }
}

#[tokio::test]
async fn a_search_looks_at_a_bounded_number_of_events_and_goes_on_where_it_stopped() {
    for store in stores().await {
        ingested(&store.store, NOW, 1, vec![err(1, "a", "the needle")]).await;
        let hay = "INSERT INTO events (epoch_id, n, device_id, kind, at, received_at, digest, body)
             WITH RECURSIVE numbers(n) AS (SELECT CAST(2 AS BIGINT) UNION ALL SELECT n + 1 FROM numbers WHERE n < CAST($1 AS BIGINT))
             SELECT 1, n, 1, 'note', CAST($2 AS BIGINT), CAST($2 AS BIGINT), 0, '{}' FROM numbers";
        let values = [i64::from(LOOKED_AT + 5).into(), NOW.plus(1).into()];
        store.store.write(move |tx| tx.execute(hay, &values)).await.unwrap();
        let (rows, next) = found(&store, search("needle"), 10).await;
        assert_eq!(rows, [""; 0]);
        assert!(next.is_some(), "the page says that there are older ones");
        let (rows, next) = found(&store, EventFilter { before: next, ..search("needle") }, 10).await;
        assert_eq!((rows, next), (vec!["dev1 the needle".to_owned()], None));
    }
}

#[test]
fn what_is_no_place_is_refused() {
    for text in ["", "1", "1.2", "1.2.x", "1.2.3.4", "-", "9999999999999999999.1.1"] {
        assert!(text.parse::<Place>().is_err(), "{text}");
    }
    let place = Place { received_at: 3, epoch: 2, n: 1 };
    assert_eq!(place.to_string().parse(), Ok(place));
}

/// Events of one device, a second apart, the last of them at `NOW`, and all full chunks indexed.
async fn indexed(store: &TestStore, texts: Vec<String>) {
    let n = i64::try_from(texts.len()).unwrap();
    let events = texts.into_iter().zip(1..).map(|(text, n)| err(n, "a", &text)).collect();
    ingested(&store.store, NOW, 1, events).await;
    let sql = "UPDATE events SET received_at = CAST($1 AS BIGINT) + 1000 * n";
    let first = NOW.plus(-1_000 * n);
    store.store.write(move |tx| tx.execute(sql, &[first.into()])).await.unwrap();
    index(store).await;
}

async fn index(store: &TestStore) {
    let later = NOW.plus(3_600_000);
    while let Some(chunk) = store.store.read(move |tx| search_index::next(tx, later)).await.unwrap() {
        store.store.write(move |tx| search_index::put(tx, &chunk)).await.unwrap();
    }
}

#[tokio::test]
async fn a_search_finds_the_same_with_the_index_as_without() {
    let chunk = usize::try_from(search_index::CHUNK).unwrap();
    for store in stores().await {
        let mut texts: Vec<String> = (0..2 * chunk + 20).map(|i| format!("line {i}")).collect();
        for (i, text) in [
            (3, "the needle in the first chunk"),
            (chunk - 1, "NEEDLE last of the first"),
            (chunk, "needle first of the second"),
            (chunk + 9, "磁盘已满 100%"),
            (2 * chunk + 3, "needle in what is not indexed"),
            (2 * chunk - 7, "need le"),
        ] {
            texts[i] = text.to_owned();
        }
        let n = texts.len();
        indexed(&store, texts.clone()).await;
        let before = store.store.read(search_index::last_indexed).await.unwrap().unwrap();
        assert!(before.received_at < NOW.plus(-19_000).0, "the last events are not indexed");
        let device_only = |words: &str| EventFilter { device: Some("dev1".to_owned()), ..search(words) };
        for (words, n) in [
            ("needle", 4),
            ("eed", 5),
            ("ed", 5),
            ("磁盘", 1),
            ("满 100%", 1),
            ("满", 1),
            ("nothing of it", 0),
            ("line 7", 111),
            ("", n),
            ("a.err", n),
        ] {
            // `device` asks no index: the same is found.
            let all = found(&store, device_only(words), 2_000).await.0;
            assert_eq!(all.len(), n, "{words:?} {:?}", store.store);
            for limit in [1, 3, 400, 2_000] {
                let (mut rows, mut before) = (Vec::new(), None);
                loop {
                    let (some, next) = found(&store, EventFilter { before, ..search(words) }, limit).await;
                    rows.extend(some);
                    if next.is_none() {
                        break;
                    }
                    before = next;
                }
                assert_eq!(rows, all, "{words:?} by {limit} {:?}", store.store);
            }
        }
    }
}

#[tokio::test]
async fn a_span_of_time_narrows_the_history_with_and_without_the_index() {
    let chunk = usize::try_from(search_index::CHUNK).unwrap();
    for store in stores().await {
        let n = 2 * chunk + 20;
        indexed(&store, (0..n).map(|i| format!("line {i}")).collect()).await;
        // The i-th came i + 1 seconds after the first instant.
        let at = |i: usize| Some(NOW.plus((i64::try_from(i).unwrap() + 1 - i64::try_from(n).unwrap()) * 1_000));
        for device in [None, Some("dev1".to_owned())] {
            for words in ["", "line"] {
                for (since, until) in [(3, 8), (chunk - 2, chunk + 2), (2 * chunk - 1, n - 1), (0, n)] {
                    let filter =
                        EventFilter { since: at(since), until: at(until), device: device.clone(), ..search(words) };
                    let rows = found(&store, filter, 2_000).await.0;
                    let expected: Vec<String> = (since..until).rev().map(|i| format!("dev1 line {i}")).collect();
                    assert_eq!(rows, expected, "{words:?} {device:?} {:?}", store.store);
                }
            }
        }
    }
}

#[tokio::test]
async fn two_hubs_index_a_chunk_once_and_old_chunks_go() {
    let chunk = usize::try_from(search_index::CHUNK).unwrap();
    for store in stores().await {
        indexed(&store, (0..chunk).map(|i| format!("line {i}")).collect()).await;
        store.store.write(|tx| tx.execute("DELETE FROM search_chunks", &[])).await.unwrap();
        let later = NOW.plus(3_600_000);
        let next = || store.store.read(move |tx| search_index::next(tx, later));
        let (one, other) = (next().await.unwrap().unwrap(), next().await.unwrap().unwrap());
        store.store.write(move |tx| tx.execute("DELETE FROM search_grams WHERE 1 = 1", &[])).await.unwrap();
        store.store.write(move |tx| search_index::put(tx, &one)).await.unwrap();
        store.store.write(move |tx| search_index::put(tx, &other)).await.unwrap();
        let n = |table: &'static str| {
            let count = move |tx: &mut Tx<'_>| tx.query_one(&format!("SELECT COUNT(*) FROM {table}"), &[]);
            let store = store.store.clone();
            async move { store.read(count).await.unwrap().unwrap().int(0).unwrap() }
        };
        assert_eq!((n("search_chunks").await, n("search_grams").await), (1, 1), "{:?}", store.store);
        assert!(!store.store.write(|tx| search_index::sweep(tx, NOW.plus(-1_000), 9)).await.unwrap());
        assert_eq!(n("search_chunks").await, 1, "its last event is not old");
        store.store.write(|tx| search_index::sweep(tx, NOW.plus(1), 9)).await.unwrap();
        assert_eq!((n("search_chunks").await, n("search_grams").await), (0, 0), "{:?}", store.store);
    }
}

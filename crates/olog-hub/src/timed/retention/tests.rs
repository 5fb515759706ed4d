//! What is left when events go.

use olog_proto::event::Id128;

use super::*;
use crate::store::devices::DeviceId;
use crate::store::tests::stores;
use crate::values;

const NOW: Timestamp = Timestamp(1_780_000_000_000);

/// `n` events of one epoch, a minute apart, the last of them now.
async fn fill(store: &Store, n: u64) {
    let fill = move |tx: &mut crate::store::Tx<'_>| {
        tx.execute("INSERT INTO devices (id, name, state, made_at) VALUES (1, 'pi', 'joined', 0)", &[])?;
        let stream = events::stream(tx, DeviceId(1), Id128([7; 16]), Timestamp(0))?;
        for i in 1..=n {
            let at = NOW.plus(-60_000 * i64::try_from(n - i).unwrap_or(0));
            tx.execute(
                "INSERT INTO events (epoch_id, n, device_id, kind, at, received_at, digest, body) VALUES ($1, $2, 1, 'text', $3, $3, $2, '{\"a\":1}')",
                values![stream.epoch.0, i, at],
            )?;
        }
        events::set_acked(tx, stream.epoch, n, 0)
    };
    store.write(fill).await.unwrap();
}

async fn counts(store: &Store) -> (i64, i64) {
    let counts = |tx: &mut crate::store::Tx<'_>| {
        let row = tx.query_one("SELECT COUNT(*), SUM(CASE WHEN body = '{}' THEN 0 ELSE 1 END) FROM events", &[])?;
        row.map_or(Ok((0, 0)), |row| Ok((row.int(0)?, row.int_or_null(1)?.unwrap_or(0))))
    };
    store.read(counts).await.unwrap()
}

#[tokio::test]
async fn old_events_go_and_the_digests_of_the_last_numbers_stay() {
    for world in stores().await {
        let store = &world.store;
        fill(store, 12_000).await;
        // 2,000 are recent; 10,000 numbers are compared.
        let before = NOW.plus(-60_000 * 1_999);
        round(store, before, &Worker::default(), NOW).await.unwrap();
        assert_eq!(counts(store).await, (10_000, 2_000), "{store:?}");
        round(store, before, &Worker::default(), NOW).await.unwrap();
        assert_eq!(counts(store).await, (10_000, 2_000));
        let digests = store.read(|tx| events::digests(tx, events::EpochId(1), 2_001, 2_003)).await.unwrap();
        assert_eq!(digests.len(), 3, "a number that comes again is still compared");
        // More come, and the oldest digests are compared no more.
        let more = |tx: &mut crate::store::Tx<'_>| events::set_acked(tx, events::EpochId(1), 12_500, 0);
        store.write(more).await.unwrap();
        round(store, before, &Worker::default(), NOW).await.unwrap();
        assert_eq!(counts(store).await, (9_500, 2_000));
    }
}

fn new(rows: &[i64], at: Timestamp) -> outbox::NewMessage<'_> {
    outbox::NewMessage { title: "ERR x", rows, is_report: false, devices: &[], at }
}

#[tokio::test]
async fn the_ledger_goes_with_the_events_and_what_waits_stays() {
    for world in stores().await {
        let store = &world.store;
        let fill = |tx: &mut crate::store::Tx<'_>| {
            for i in 0..1_200_i64 {
                let done = (i < 1_100).then_some(NOW.plus(-DAY));
                tx.execute(
                    "INSERT INTO outbox (channel, kind, is_first, made_at, notice, done_at) VALUES ('me', 'err', 0, 0, '{}', $1)",
                    values![done],
                )?;
            }
            let message = outbox::put_message(tx, "me", &new(&[1], NOW.plus(-DAY)))?;
            outbox::put_attempt(tx, message, "UID_a", "accepted", "ok", NOW.plus(-DAY))?;
            outbox::put_message(tx, "me", &new(&[2], NOW)).map(|_| ())
        };
        store.write(fill).await.unwrap();
        round(store, NOW.plus(-DAY / 2), &Worker::default(), NOW).await.unwrap();
        let left = |tx: &mut crate::store::Tx<'_>| {
            let sql = "SELECT (SELECT COUNT(*) FROM outbox), (SELECT COUNT(*) FROM messages), (SELECT COUNT(*) FROM attempts)";
            let row = tx.query_one(sql, &[])?;
            row.map_or(Ok([0; 3]), |row| Ok([row.int(0)?, row.int(1)?, row.int(2)?]))
        };
        assert_eq!(store.read(left).await.unwrap(), [100, 1, 0], "{store:?}");
    }
}

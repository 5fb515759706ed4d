//! A store that a later version wrote to: every JSON column with a value that this version cannot read.

use olog_push::SystemCode;

use super::*;
use crate::apply::{self, LivePolicy};
use crate::store::outbox::ClaimFilter;
use crate::store::{devices::DeviceId, incidents::Subject};

const NOW: Timestamp = Timestamp(1_780_000_000_000);
const ALL: ClaimFilter = ClaimFilter { place: None, only: None, limit: 2 };

/// Notifications as a later version may write them, and as none does.
const LATER: [&str; 4] = [
    r#"{"format":2,"kind":"err","at":0,"saying":{"report":{}}}"#,
    r#"{"kind":"omen","at":0,"saying":{"system":{"code":"gap"}}}"#,
    r#"{"kind":"system","at":0,"saying":{"system":{"code":"eclipse"}}}"#,
    "not JSON",
];

fn put(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let notice = apply::system_notice(None, SystemCode::EpochRenewed, &[], NOW);
    outbox::put(tx, &["me".to_owned()], &notice, false, NOW)
}

fn claim(tx: &mut Tx<'_>) -> Result<Vec<i64>, StoreError> {
    Ok(outbox::ids(&outbox::claim(tx, "me", "test", NOW, NOW.plus(60_000), ALL)?))
}

#[tokio::test]
async fn notifications_that_cannot_be_read_are_set_aside_told_once_and_sent_by_a_later_version() {
    for TestStore { store, .. } in stores().await {
        for _ in 0..6 {
            store.write(put).await.unwrap();
        }
        for (i, text) in LATER.into_iter().enumerate() {
            let id = i as i64 + 1;
            store
                .write(move |tx| tx.execute("UPDATE outbox SET notice = $1 WHERE id = $2", values![text, id]))
                .await
                .unwrap();
        }
        store.write(|tx| tx.execute("UPDATE outbox SET receivers = '{' WHERE id = 5", &[])).await.unwrap();
        assert_eq!(store.write(claim).await.unwrap(), [6], "{store:?}: the row behind five bad ones is sent");
        let aside = store.read(|tx| set_aside::list(tx, 9)).await.unwrap();
        assert_eq!(
            aside.iter().map(|a| (a.kind.as_str(), a.row)).collect::<Vec<_>>(),
            [5, 4, 3, 2, 1].map(|n| ("notification", n))
        );

        let rules = || LivePolicy { channels: vec![apply::tests::phone()], ..LivePolicy::default() };
        let told = store.write(move |tx| apply::unreadable::tell_set_aside(tx, &rules(), NOW)).await.unwrap();
        let again = store.write(move |tx| apply::unreadable::tell_set_aside(tx, &rules(), NOW)).await.unwrap();
        assert_eq!((told, again), (true, false), "{store:?}");
        let open = store.read(|tx| incidents::list(tx, false, u64::MAX, 9)).await.unwrap();
        assert_eq!(
            open.iter().map(|i| (i.subject.as_str(), i.n_seen)).collect::<Vec<_>>(),
            [(Subject::Hub.as_str(), 5)]
        );

        assert_eq!(apply::unreadable::release_set_aside(&store, NOW).await.unwrap(), 0, "this version is no later one");
        let good = store.read(|tx| tx.query_one("SELECT notice FROM outbox WHERE id = 6", &[])).await.unwrap().unwrap();
        let good = good.text(0).unwrap().to_owned();
        store
            .write(move |tx| {
                tx.execute("UPDATE outbox SET notice = $1, receivers = NULL WHERE id <= 5", values![good.as_str()])
            })
            .await
            .unwrap();
        assert_eq!(apply::unreadable::release_set_aside(&store, NOW).await.unwrap(), 5, "{store:?}");
        assert_eq!(store.write(claim).await.unwrap(), [1, 2]);
        let open = store.read(|tx| incidents::list(tx, false, u64::MAX, 9)).await.unwrap();
        assert_eq!(open, [], "{store:?}: nothing is set aside any more");
    }
}

#[tokio::test]
async fn devices_of_an_absence_that_cannot_be_read_still_count_as_away() {
    for TestStore { store, .. } in stores().await {
        let open = store.write(|tx| {
            tx.execute("INSERT INTO devices (name, state, made_at, heard_at) VALUES ('a', 'joined', 0, 5)", &[])?;
            let begin =
                incidents::Begin { subject: Subject::Device, device: None, task: None, name: "a", at: Timestamp(7) };
            let number = incidents::begin(tx, &begin, &"a later version's")?;
            watch::set_absence(tx, number, &[DeviceId(1)])?;
            incidents::open_absences(tx)
        });
        let open = open.await.unwrap();
        let [(_, absence)] = open.as_slice() else { panic!("{open:?}") };
        let missing: Vec<_> = absence.missing().map(|m| (m.device, m.name.as_str(), m.since)).collect();
        assert_eq!((absence.since, missing), (Timestamp(7), vec![(1, "a", Timestamp(5))]), "{store:?}");
    }
}

#[tokio::test]
async fn what_only_a_list_shows_is_left_out_and_no_list_fails() {
    for TestStore { store, .. } in stores().await {
        let shown = store.write(|tx| {
            put(tx)?;
            put(tx)?;
            tx.execute("UPDATE outbox SET notice = 'x', incident_id = 1 WHERE id = 1", &[])?;
            tx.execute("INSERT INTO messages (channel, at, title, rows) VALUES ('me', 1, 't', 'x')", &[])?;
            let begin =
                incidents::Begin { subject: Subject::Task, device: None, task: None, name: "t", at: Timestamp(7) };
            let number = incidents::begin(tx, &begin, &"x")?;
            tx.execute("INSERT INTO reports (from_at, to_at, made_at, token, facts) VALUES (0, 1, 1, 't', 'x')", &[])?;
            tx.execute("INSERT INTO channels (name, refused) VALUES ('me', 'x')", &[])?;
            let ledger = (ledger::waiting(tx, 0, 9)?.len(), ledger::sent_after(tx, 0, 9)?.len());
            let incident = incidents::stand(tx, number)?.and_then(|stand| stand.latest);
            Ok((ledger, incident, reports::list(tx, 9)?.len(), outbox::channel(tx, "me")?.refused))
        });
        assert_eq!(shown.await.unwrap(), ((1, 1), None, 0, vec![]), "{store:?}");
    }
}

#[tokio::test]
async fn a_setting_that_cannot_be_read_is_kept_beside_the_one_that_replaces_it() {
    for TestStore { store, .. } in stores().await {
        let found = store.write(|tx| {
            settings::set(tx, "life", r#"{"format":2}"#)?;
            let read = settings::get_json::<Vec<u32>>(tx, "life")?;
            settings::set_json(tx, "life", &vec![7], NOW)?;
            Ok((read, settings::get_json::<Vec<u32>>(tx, "life")?, set_aside::count(tx)?))
        });
        assert_eq!(found.await.unwrap(), (None, Some(vec![7]), 1), "{store:?}");
    }
}

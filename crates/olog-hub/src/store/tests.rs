//! One suite, both databases. PostgreSQL's part runs where `OLOG_TEST_POSTGRES` names a server (`cargo xtask test` starts one).

mod unreadable;

use olog_proto::Timestamp;

use super::*;
use crate::values;

/// A store of its own for one test; the folder goes with it.
pub(crate) struct TestStore {
    pub(crate) store: Store,
    _folder: tempfile::TempDir,
}

/// The stores to test on.
pub(crate) async fn stores() -> Vec<TestStore> {
    let mut stores = vec![sqlite().await];
    if let Some(store) = postgres().await {
        stores.push(store);
    }
    stores
}

pub(crate) async fn sqlite() -> TestStore {
    let folder = tempfile::tempdir().unwrap();
    let (store, opened) = Store::open(&StoreUrl::Sqlite(folder.path().join("olog.db")), Timestamp(0)).await.unwrap();
    assert_eq!(opened, Opened::Fresh);
    TestStore { store, _folder: folder }
}

async fn postgres() -> Option<TestStore> {
    Some(postgres_with_url().await?.0)
}

/// The stores of two hubs on one database, where there is a server.
pub(crate) async fn of_two_hubs() -> Option<(TestStore, Store)> {
    let (one, url) = postgres_with_url().await?;
    let (other, _) = Store::open(&url, Timestamp(0)).await.unwrap();
    Some((one, other))
}

async fn postgres_with_url() -> Option<(TestStore, StoreUrl)> {
    let url = std::env::var("OLOG_TEST_POSTGRES").ok()?;
    let folder = tempfile::tempdir().unwrap();
    let name = format!(
        "t{}",
        folder.path().display().to_string().to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "")
    );
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(connection);
    client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
    drop(client);
    let mut own = url::Url::parse(&url).unwrap();
    own.set_path(&name);
    let url = StoreUrl::Postgres(own.to_string());
    let (store, opened) = Store::open(&url, Timestamp(0)).await.unwrap();
    assert_eq!(opened, Opened::Fresh);
    Some((TestStore { store, _folder: folder }, url))
}

#[tokio::test]
async fn parameters_have_one_numbering_on_both() {
    for TestStore { store, .. } in stores().await {
        let row = store
            .read(|tx| {
                tx.query_one("SELECT CAST($2 AS TEXT), CAST($1 AS BIGINT), CAST($2 AS TEXT)", values![7_i64, "b"])
            })
            .await
            .unwrap()
            .unwrap();
        assert_eq!((row.text(0).unwrap(), row.int(1).unwrap(), row.text(2).unwrap()), ("b", 7, "b"), "{store:?}");
    }
}

#[tokio::test]
async fn a_step_that_fails_changes_nothing() {
    for TestStore { store, .. } in stores().await {
        let failed = store
            .write(|tx| {
                settings::set(tx, "a", "1")?;
                Err::<(), _>(StoreError::Refused("no".to_owned()))
            })
            .await;
        assert!(matches!(failed, Err(StoreError::Refused(_))));
        assert_eq!(store.read(|tx| settings::get(tx, "a")).await.unwrap(), None, "{store:?}");
    }
}

#[tokio::test]
async fn a_step_that_panics_is_refused_and_the_store_goes_on() {
    for TestStore { store, .. } in stores().await {
        let refused = store
            .write(|tx| -> Result<(), StoreError> {
                settings::set(tx, "a", "1")?;
                panic!("a defect in a step")
            })
            .await;
        assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
        assert_eq!(store.write(|tx| settings::get(tx, "a")).await.unwrap(), None, "{store:?}");
    }
}

#[tokio::test]
async fn steps_that_meet_are_repeated_until_each_counts() {
    for TestStore { store, .. } in stores().await {
        store.write(|tx| settings::set(tx, "n", "0")).await.unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let store = store.clone();
            tasks.spawn(async move {
                store
                    .write(|tx| {
                        let row = tx.query_one("SELECT value FROM settings WHERE key = $1 FOR UPDATE", values!["n"])?;
                        let n: i64 = row.map_or(Ok(0), |row| row.parse(0))?;
                        settings::set(tx, "n", &(n + 1).to_string())
                    })
                    .await
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap().unwrap();
        }
        assert_eq!(store.read(|tx| settings::get(tx, "n")).await.unwrap().as_deref(), Some("20"), "{store:?}");
    }
}

#[tokio::test]
async fn rows_keep_their_values_and_a_second_opening_finds_them() {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Sqlite(folder.path().join("olog.db"));
    let text = "it's \"quoted\" 错误 $1 ?1 \\ \u{1F600}\n";
    {
        let (store, _) = Store::open(&url, Timestamp(0)).await.unwrap();
        store.write(move |tx| settings::set(tx, "t", text)).await.unwrap();
        assert!(store.is_alive().await);
    }
    let (store, opened) = Store::open(&url, Timestamp(1)).await.unwrap();
    assert_eq!(opened, Opened::Kept);
    assert_eq!(store.read(|tx| settings::get(tx, "t")).await.unwrap().as_deref(), Some(text));
}

#[tokio::test]
async fn a_damaged_database_is_kept_aside_and_the_hub_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("olog.db");
    std::fs::write(&path, vec![0x5a; 8192]).unwrap();
    let (store, opened) = Store::open(&StoreUrl::Sqlite(path), Timestamp(7)).await.unwrap();
    let Opened::Recovered { aside } = opened else { panic!("{opened:?}") };
    assert_eq!(std::fs::read(aside).unwrap(), vec![0x5a; 8192]);
    store.write(|tx| settings::set(tx, "a", "1")).await.unwrap();
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("olog.db");
    drop(Store::open(&StoreUrl::Sqlite(path.clone()), Timestamp(0)).await.unwrap());
    let later = rusqlite::Connection::open(&path).unwrap();
    later
        .execute("INSERT INTO refinery_schema_history SELECT 9999, name, applied_on, checksum FROM refinery_schema_history LIMIT 1", [])
        .unwrap();
    drop(later);
    let refused = Store::open(&StoreUrl::Sqlite(path), Timestamp(0)).await;
    assert!(matches!(refused, Err(StoreError::Newer { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_notification_from_before_the_clock_was_set_is_not_given_up_when_it_jumps() {
    for TestStore { store, .. } in stores().await {
        let given_up = store.write(|tx| {
            let notice = crate::apply::system_notice(None, olog_push::SystemCode::EpochRenewed, &[], Timestamp(5));
            let channels = ["me".to_owned()];
            for made_at in [Timestamp(5), EARLIEST] {
                outbox::put(tx, &channels, &notice, false, made_at)?;
            }
            outbox::expire(tx, EARLIEST.plus(1), EARLIEST.plus(2))
        });
        assert_eq!(given_up.await.unwrap(), [("me".to_owned(), 1)], "{store:?}");
    }
}

//! A thousand devices that come back at once, again and again: each goes on where it was, and nobody is told anything.

use super::*;

const N: u32 = 1_000;

fn start(n: u32, last: u64) -> SessionStart {
    let mut seed = [9; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    let key = SecretKey::from_seed(seed).public();
    SessionStart { key, name: format!("far{n}").parse().unwrap(), last, ..hello(1, 1, last) }
}

#[tokio::test]
async fn a_thousand_devices_that_reconnect_at_once_each_go_on_where_they_were() {
    for bench in benches().await {
        let joined = bench.store.store.write(|tx| {
            for n in 0..N {
                let start = start(n, 0);
                tx.execute(
                    "INSERT INTO devices (name, key, state, made_at) VALUES ($1, $2, 'joined', 0)",
                    values![start.name.to_string(), start.key.to_string()],
                )?;
            }
            Ok(())
        });
        joined.await.unwrap();
        for round in 0..3 {
            let mut sessions = tokio::task::JoinSet::new();
            for n in 0..N {
                let ingest = bench.ingest.clone();
                sessions.spawn(async move {
                    let connected = ingest.connect(start(n, round + 1)).await.unwrap();
                    let Connected::Known { device, acked, .. } = connected else { panic!("{connected:?}") };
                    assert_eq!(acked, round, "device {n}");
                    let run = EventContent::RunStarted { task: "t".parse().unwrap(), run: "r".into() };
                    let taken = ingest.events(device, epoch_of(1), 0, vec![event(round + 1, run)]).await;
                    assert_eq!(taken.unwrap(), round + 1, "device {n}");
                    ingest.disconnected(device, None, "cut".to_owned(), NOW).await;
                });
            }
            while let Some(done) = sessions.join_next().await {
                done.unwrap();
            }
        }
        assert_eq!(bench.n_events().await, 3 * u64::from(N));
        let stale = "SELECT COUNT(*) FROM epochs WHERE acked <> 3 OR missing <> 0";
        let stale = bench.store.store.read(move |tx| tx.query_one(stale, &[])).await.unwrap().unwrap();
        assert_eq!(stale.int(0).unwrap(), 0, "every number of every device is committed");
        assert_eq!(bench.told().await, [""; 0]);
    }
}

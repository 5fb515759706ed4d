//! Alerts that are no longer sent.

use super::*;
use crate::rules::alert::{Firing, Labels, RESOLVE_AFTER};
use crate::store::{incidents::alerts, set_aside};

impl World {
    async fn fires(&self, device: DeviceId, name: &str, ends_at: Timestamp) {
        let (name, labels) = (name.to_owned(), Labels::from_json(&format!("{{\"alertname\":\"{name}\"}}")).unwrap());
        let write = move |tx: &mut Tx<'_>| {
            let task: TaskName = name.parse().unwrap();
            alerts::fire(tx, device, (&labels, &task), ends_at, &Firing { text: String::new(), seen_at: NOW })
        };
        self.store.store.write(write).await.unwrap();
    }

    async fn n_firing(&self) -> i64 {
        let sql = "SELECT COUNT(*) FROM alerts WHERE is_firing = 1";
        let row = self.store.store.read(move |tx| tx.query_one(sql, &[])).await.unwrap().unwrap();
        row.int(0).unwrap()
    }
}

#[tokio::test]
async fn an_alert_that_is_no_longer_sent_is_over_at_its_end_and_not_at_the_start_of_the_hub() {
    for world in worlds().await {
        let device = world.join("pi").await;
        // While the hub was down nobody could send it.
        world.fires(device, "Old", NOW.plus(-MINUTE)).await;
        world.fires(device, "New", NOW.plus(RESOLVE_AFTER + MINUTE)).await;
        assert_eq!(world.watchman.end_alerts().await.unwrap(), Some(NOW.plus(RESOLVE_AFTER)));
        assert_eq!(world.n_firing().await, 2);
        world.hand.advance(RESOLVE_AFTER);
        assert_eq!(world.watchman.end_alerts().await.unwrap(), Some(NOW.plus(RESOLVE_AFTER + MINUTE)));
        assert_eq!(world.n_firing().await, 1);
        world.hand.advance(MINUTE);
        assert_eq!(world.watchman.end_alerts().await.unwrap(), None);
        assert_eq!(world.n_firing().await, 0);
        let events = world.store.store.read(crate::store::events::count).await.unwrap();
        assert_eq!(events, [("cleared".to_owned(), 2)]);
    }
}

#[tokio::test]
async fn alerts_that_cannot_be_read_are_set_aside_and_the_others_end() {
    for world in worlds().await {
        let device = world.join("pi").await;
        for name in ["NoName", "NoLabels", "OtherLabels", "Good"] {
            world.fires(device, name, NOW.plus(-MINUTE)).await;
        }
        let damage = |tx: &mut Tx<'_>| {
            tx.execute("UPDATE alerts SET task = '' WHERE name = 'NoName'", &[])?;
            tx.execute("UPDATE alerts SET label_set = 'x' WHERE name = 'NoLabels'", &[])?;
            tx.execute("UPDATE alerts SET label_set = '{}' WHERE name = 'OtherLabels'", &[])
        };
        world.store.store.write(damage).await.unwrap();
        world.hand.advance(RESOLVE_AFTER);
        assert_eq!(world.watchman.end_alerts().await.unwrap(), None);
        assert_eq!(world.n_firing().await, 0);
        let events = world.store.store.read(crate::store::events::count).await.unwrap();
        assert_eq!(events, [("cleared".to_owned(), 2)]);
        let aside = world.store.store.read(|tx| set_aside::list(tx, 9)).await.unwrap();
        assert_eq!(aside.iter().map(|a| a.kind.as_str()).collect::<Vec<_>>(), ["alert", "alert"]);
    }
}

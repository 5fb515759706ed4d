//! A duty that fails keeps none of the others from its work, and is told when it has failed for ten minutes.

use olog_daemon::workers::INCIDENT_AFTER;

use super::*;

impl World {
    async fn sql(&self, statement: &'static str) {
        self.store.store.write(move |tx| tx.execute(statement, &[])).await.unwrap();
    }
}

#[tokio::test]
async fn a_planted_error_stops_one_duty_and_the_others_go_on() {
    for mut world in worlds().await {
        let workers = Workers::default();
        world.watchman = world.watchman.with_workers(&workers, Duration::from_secs(60));
        let device = world.join("nas").await;
        let place = world.connect(device, 1);
        world.pass(0).await;
        world.told().await;
        // Tasks cannot be looked at; a device is lost meanwhile.
        world.sql("ALTER TABLE tasks RENAME TO away").await;
        world.leave(place, 1).await;
        world.pass(5 * MINUTE).await;
        let told = world.told().await;
        assert!(told.iter().any(|told| told.starts_with("lost nas")), "{told:?}");
        let failing = |workers: &Workers| {
            let workers = workers.statuses(Instant::now());
            let duties = workers.iter().flat_map(|worker| &worker.duties);
            duties.filter(|duty| duty.failing_since_at.is_some()).map(|duty| duty.name.clone()).collect::<Vec<_>>()
        };
        assert!(failing(&workers).contains(&"tasks that are due".to_owned()), "{:?}", failing(&workers));
        assert!(!failing(&workers).contains(&"devices that are lost or back".to_owned()));
        assert!(workers.stopping_the_beat(Instant::now()).is_empty(), "not yet");

        // Ten minutes later it is an incident, and the service manager hears of us no more.
        let later = Instant::now() + INCIDENT_AFTER;
        world.watchman.tell_failing(later).await.unwrap();
        let told = world.told().await;
        assert!(told.iter().any(|told| told.starts_with("DutyFailing")), "{told:?}");
        let stopping = workers.stopping_the_beat(later);
        assert!(stopping.iter().any(|duty| duty.starts_with("watchman: tasks that are due")), "{stopping:?}");

        world.sql("ALTER TABLE away RENAME TO tasks").await;
        world.pass(2 * MINUTE).await;
        let told = world.told().await;
        assert!(told.iter().any(|told| told.starts_with("DutyBack")), "{told:?}");
        assert!(workers.stopping_the_beat(Instant::now()).is_empty());
        let open = world.store.store.read(|tx| incidents::open_names(tx, Subject::Hub)).await;
        assert!(open.unwrap().is_empty());
    }
}

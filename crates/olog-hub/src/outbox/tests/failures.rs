//! Errors that are not the service's: of the store, and of what stands in it.

use olog_daemon::workers::{INCIDENT_AFTER, WorkerStatus};

use super::*;

impl Bench {
    async fn sql(&self, statement: &'static str) {
        self.store.store.write(move |tx| tx.execute(statement, &[])).await.unwrap();
    }

    async fn until_status(&self, what: &str, condition: impl Fn(&[WorkerStatus]) -> bool) {
        let waits = async {
            while !condition(&self.workers.statuses(Instant::now())) {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, waits).await.expect(what);
    }
}

#[tokio::test]
async fn an_answer_that_is_not_on_record_is_recorded_first_by_the_dispatcher_after_a_reload() {
    for bench in Bench::all().await {
        bench.phone.behave(Habit::TakeAndHold);
        bench.tell("mysql").await;
        bench.phone.wait("the message", |pushes| !pushes.is_empty()).await;
        // From now on the yes cannot be written down.
        bench.sql("ALTER TABLE attempts RENAME TO away").await;
        bench.phone.behave(Habit::Well);
        let channels = bench.rules.borrow().channels.clone();
        bench.rules.send_replace(Arc::new(LivePolicy { channels, ..LivePolicy::default() }));
        bench.bell.ring();
        bench.sql("ALTER TABLE away RENAME TO attempts").await;
        bench.until("it leaves", |_, waiting| waiting == 0).await;
        assert_eq!(bench.got(UID).len(), 1, "accepted once, sent once: {}", bench.phone.story());
        bench.end().await;
    }
}

/// What the status says of the dispatcher.
fn send_of(workers: &[WorkerStatus]) -> Option<String> {
    let duties = workers.iter().flat_map(|worker| &worker.duties);
    duties.filter(|duty| duty.name == "send").find_map(|duty| duty.error.clone())
}

#[tokio::test]
async fn a_store_that_fails_the_dispatcher_is_said_in_its_status_and_nothing_is_lost() {
    for bench in Bench::all().await {
        bench.tell("mysql").await;
        bench.until("it leaves", |_, waiting| waiting == 0).await;
        bench.sql("ALTER TABLE channels RENAME TO away").await;
        bench.tell("nginx").await;
        let failing = |workers: &[WorkerStatus]| send_of(workers).is_some_and(|error| error.contains("channels"));
        bench.until_status("the status says so", failing).await;
        bench.sql("ALTER TABLE away RENAME TO channels").await;
        bench.bell.ring();
        bench.until("the other leaves", |_, waiting| waiting == 0).await;
        bench.until_status("and that it is over", |workers| send_of(workers).is_none()).await;
        assert!(bench.workers.stopping_the_beat(Instant::now() + INCIDENT_AFTER).is_empty());
        assert_eq!(bench.got(UID).len(), 2);
        bench.end().await;
    }
}

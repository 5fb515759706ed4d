//! Schedules that an agent read on its machine.

use olog_proto::job::{JobOutcome, JobSchedule, ProposedJob};

use super::*;
use crate::rules::quota::DeviceLimits;

fn job(task: &str, schedule: &str) -> ProposedJob {
    let when = JobSchedule::Calendar { schedule: schedule.into(), zone: "Europe/Berlin".into() };
    ProposedJob { task: task.parse().unwrap(), when, slack: 0, grace: None }
}

impl Bench {
    async fn propose(&self, jobs: Vec<ProposedJob>) -> Vec<JobOutcome> {
        let answers = self.ingest.jobs(self.device, jobs, NOW).await.unwrap();
        answers.answers.iter().map(|answer| answer.outcome).collect()
    }

    async fn n_tasks(&self) -> i64 {
        let read = |tx: &mut Tx<'_>| tx.query_one("SELECT COUNT(*) FROM tasks", &[]);
        self.store.store.read(read).await.unwrap().unwrap().int(0).unwrap()
    }
}

#[tokio::test]
async fn a_proposed_job_is_a_task_that_is_not_expected_yet() {
    use JobOutcome::{Invalid, Proposed};
    for bench in benches_with(DeviceLimits::default()).await {
        let outcomes = bench.propose(vec![job("dump", "30 3 * * *"), job("bad", "61 * * * *")]).await;
        assert_eq!(outcomes, [Proposed, Invalid]);
        assert_eq!(bench.n_tasks().await, 1, "what is invalid makes no task");
        let listed = bench.store.store.read(|tx| crate::store::tasks::list(tx, None, ("", ""), 9)).await.unwrap();
        let task = &listed[0].task;
        assert_eq!((task.name.as_str(), task.expect.has_schedule(), task.expect.read()), ("dump", true, None));
        assert_eq!(bench.propose(vec![job("dump", "30 3 * * *")]).await, [Proposed], "until a report has shown it");
        assert_eq!(bench.n_tasks().await, 1);
    }
}

#[tokio::test]
async fn jobs_count_against_the_quota_of_their_device() {
    use JobOutcome::{Limit, Proposed};
    let limits = DeviceLimits { tasks: 2, events_per_day: 5, ..DeviceLimits::default() };
    for bench in benches_with(limits).await {
        let jobs = ["a", "b", "c"].map(|task| job(task, "@daily")).to_vec();
        assert_eq!(bench.propose(jobs.clone()).await, [Proposed, Proposed, Limit], "two tasks");
        assert_eq!(bench.propose(jobs).await, [Proposed, Proposed, Limit], "five jobs a day");
        assert_eq!(bench.n_tasks().await, 2);
    }
}

#[tokio::test]
async fn a_device_that_was_forgotten_proposes_nothing() {
    for bench in benches_with(DeviceLimits::default()).await {
        let forget = |tx: &mut Tx<'_>| tx.execute("UPDATE devices SET state = 'forgotten'", &[]);
        bench.store.store.write(forget).await.unwrap();
        let refused = bench.ingest.jobs(bench.device, vec![job("dump", "@daily")], NOW).await;
        assert!(matches!(refused, Err(IngestError::Revoked)), "{refused:?}");
        assert_eq!(bench.n_tasks().await, 0);
    }
}

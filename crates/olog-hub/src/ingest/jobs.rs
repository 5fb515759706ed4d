//! Schedules that an agent read on its machine become proposals of its own tasks. One transaction per frame.
//!
//! A device can propose for its own tasks only, and within its quota: each job counts as an event of the day, each new task as a task.
//! Decides nothing of what is expected (`expect` does).

use olog_proto::Timestamp;
use olog_proto::job::{JobAnswer, JobAnswers, JobOutcome, ProposedJob};

use super::quota::BatchQuota;
use super::{Ingest, IngestError, busy};
use crate::apply::{self, LivePolicy};
use crate::journal::LogEntry;
use crate::rules::expect::ReadSchedule;
use crate::rules::quota::Limit;
use crate::store::devices::{self, Device, DeviceId, DeviceState};
use crate::store::{StoreError, Tx, tasks};

impl Ingest {
    /// A device proposes schedules of its machine: what became of each.
    pub async fn jobs(
        &self,
        device: DeviceId,
        proposed: Vec<ProposedJob>,
        now: Timestamp,
    ) -> Result<JobAnswers, IngestError> {
        let rules = self.rules.borrow().clone();
        let written = self.store.write(move |tx| propose(tx, &rules, device, &proposed, now)).await;
        self.bells.outbox.ring();
        written.map_err(busy)?
    }
}

/// What became of each job.
fn propose(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: DeviceId,
    jobs: &[ProposedJob],
    now: Timestamp,
) -> Result<Result<JobAnswers, IngestError>, StoreError> {
    let used = devices::lock_quota(tx, device)?;
    let Some(device) = devices::get(tx, device)?.filter(|device| device.state == DeviceState::Joined) else {
        return Ok(Err(IngestError::Revoked));
    };
    let mut quota = BatchQuota::new(used, rules.limits, now);
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        let (outcome, detail) = match ReadSchedule::new(job) {
            Ok(schedule) => (propose_one(tx, rules, &device, &mut quota, (job, schedule), now)?, String::new()),
            Err(detail) => (JobOutcome::Invalid, detail),
        };
        answers.push(JobAnswer { task: job.task.clone(), outcome, detail });
    }
    quota.end(tx, &device, 0, now)?;
    let n_proposed = answers.iter().filter(|answer| answer.outcome == JobOutcome::Proposed).count();
    let line = LogEntry::new("the agent proposes schedules of its machine").device(&device.name);
    tx.note(line.why(format!("{n_proposed} of {} are new", jobs.len())));
    Ok(Ok(JobAnswers { device: device.name, answers }))
}

fn propose_one(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &Device,
    quota: &mut BatchQuota,
    (job, schedule): (&ProposedJob, ReadSchedule),
    now: Timestamp,
) -> Result<JobOutcome, StoreError> {
    let limit = quota.event();
    if !quota.is_within(limit, tx, rules, device, now)? {
        return Ok(JobOutcome::Limit);
    }
    let mut task = tasks::load(tx, device.id, &job.task)?;
    let known = apply::known(rules, device, &task);
    let before = task.expect.clone();
    let outcome = task.expect.offer(schedule, &known);
    if task.expect == before {
        return Ok(outcome);
    }
    if task.id.is_none() && tasks::n_of(tx, device.id)? >= quota.tasks() {
        quota.is_within(Some(Limit::Tasks), tx, rules, device, now)?;
        return Ok(JobOutcome::Limit);
    }
    apply::task(tx, rules, device, &mut task, now)?;
    Ok(outcome)
}

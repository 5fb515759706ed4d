//! Schedules that the agent read on its machine: proposed like a learnt one, and then expected.

use olog_proto::job::{JobOutcome, JobSchedule, ProposedJob};

use super::*;
use crate::rules::expect::{ProposedSchedule, ReadSchedule};

fn job(when: JobSchedule) -> ProposedJob {
    ProposedJob { task: "t".parse().unwrap(), when, slack: 0, grace: None }
}

fn calendar(schedule: &str, zone: &str) -> ReadSchedule {
    let when = JobSchedule::Calendar { schedule: schedule.into(), zone: zone.into() };
    ReadSchedule::new(&job(when)).unwrap()
}

fn every(minutes: u64) -> ReadSchedule {
    ReadSchedule::new(&job(JobSchedule::Every { period: minutes * 60_000 })).unwrap()
}

impl Life {
    fn offer(&mut self, schedule: ReadSchedule) -> JobOutcome {
        let known = TaskContext { plan: self.plan.as_ref(), is_alarm: false, seen_at: None, joined_at: self.joined_at };
        self.facts.offer(schedule, &known)
    }

    /// A report shows what there is to propose.
    fn report(&mut self, now: Timestamp) -> Vec<String> {
        let known = TaskContext { plan: self.plan.as_ref(), is_alarm: false, seen_at: None, joined_at: self.joined_at };
        told(&self.facts.was_proposed(&known, &self.policy, now))
    }

    fn proposes(&self) -> Option<ReadSchedule> {
        match self.facts.proposal(&self.known(), &self.policy) {
            Some(ProposedSchedule::Read(read)) => Some(read),
            _ => None,
        }
    }
}

#[test]
fn it_is_expected_a_day_after_a_report_has_shown_it_in_its_own_time_zone() {
    let mut life = life(None);
    let shanghai = calendar("30 3 * * *", "Asia/Shanghai");
    assert_eq!(life.offer(shanghai.clone()), JobOutcome::Proposed);
    assert_eq!((life.late_at(), life.proposes()), (None, Some(shanghai.clone())), "nobody has seen it");
    assert_eq!(life.report(at(0, 11, 0)), NOTHING);
    assert_eq!((life.proposes(), life.offer(shanghai)), (None, JobOutcome::Known));
    // 03:30 in Shanghai is 19:30 of the day before, and a quarter of a day is 6 h.
    assert_eq!(life.late_at(), Some(at(2, 1, 30)), "the first run after the day");
    assert_eq!(life.pass(at(2, 1, 30)), ["Lost 1"]);
    assert_eq!(life.pass(at(3, 1, 30)), ["Remind 2"], "each missed run is counted");
    assert_eq!(life.ran(at(3, 2, 0)), ["ran"]);
    assert_eq!(life.late_at(), Some(at(4, 1, 30)));
}

#[test]
fn a_person_accepts_it_at_once_and_refuses_it_for_good() {
    let mut life = life(None);
    life.offer(calendar("0 * * * *", "UTC"));
    assert_eq!(told(&life.facts.expect(true, at(0, 0, 30))), NOTHING);
    assert_eq!(life.late_at(), Some(at(0, 2, 0)), "each hour, with an hour of grace");
    assert_eq!(life.pass(at(0, 2, 0)), ["Lost 1"]);
    assert_eq!(told(&life.facts.expect(false, at(0, 2, 5))), ["Unexpected"]);
    assert_eq!(life.offer(calendar("0 4 * * *", "UTC")), JobOutcome::Refused);
    assert_eq!((life.proposes(), life.report(at(0, 11, 0)), life.late_at()), (None, vec![], None));
    life.facts.expect(true, at(0, 12, 0));
    assert_eq!(life.late_at(), Some(at(0, 14, 0)), "what was accepted before is expected again");

    let mut refused = super::life(None);
    refused.offer(calendar("0 4 * * *", "UTC"));
    refused.facts.expect(false, at(0, 0, 30));
    assert_eq!((refused.proposes(), refused.report(at(0, 11, 0)), refused.late_at()), (None, vec![], None));
}

#[test]
fn hub_toml_counts_and_a_learnt_schedule_gives_way() {
    let mut declared = scheduled("30 3 * * *", 30);
    assert_eq!(declared.offer(every(60)), JobOutcome::Declared);
    assert_eq!((declared.proposes(), declared.late_at()), (None, Some(at(0, 4, 0))));
    // Declared after it was accepted: gone, also when the declaration is.
    let mut later = life(None);
    later.offer(every(60));
    later.facts.expect(true, at(0, 0, 0));
    later.plan = Some(Plan::Scheduled { schedule: "30 3 * * *".parse().unwrap(), grace: 0 });
    later.facts.declare(later.plan.as_ref(), at(0, 0, 10));
    assert_eq!(later.late_at(), Some(at(0, 3, 30)));
    later.plan = None;
    later.facts.declare(None, at(0, 0, 20));
    assert_eq!(later.late_at(), None);

    let mut learnt = life(None);
    for day in -8..0 {
        learnt.ran(at(day, 2, 10));
    }
    learnt.report(at(0, 0, 0));
    let by_habit = learnt.late_at();
    assert!(by_habit.is_some());
    learnt.offer(calendar("0 20 * * *", "UTC"));
    assert_eq!(learnt.late_at(), by_habit, "until it is accepted");
    learnt.facts.expect(true, at(0, 3, 0));
    assert_eq!(learnt.late_at(), Some(at(1, 2, 0)));
}

#[test]
fn while_a_newer_one_waits_to_be_shown_the_one_before_counts() {
    let mut life = life(None);
    life.offer(calendar("0 4 * * *", "UTC"));
    life.facts.expect(true, at(0, 0, 0));
    assert_eq!(life.offer(calendar("0 4 * * 1", "UTC")), JobOutcome::Proposed);
    assert_eq!(life.pass(at(0, 10, 0)), ["Lost 1"]);
    assert_eq!(life.report(at(0, 11, 0)), ["Unexpected"], "what the machine does not do any more is not LOST");
    // It counts from Monday 11:00 on: the first Monday after that is a week later.
    assert!(life.late_at().unwrap() > at(8, 4, 0));
}

#[test]
fn a_period_counts_from_the_last_run_with_the_slack_of_the_machine() {
    let mut life = life(None);
    let read = ReadSchedule { slack: 60_000, grace: Some(2 * MINUTE), ..every(15) };
    life.offer(read.clone());
    life.facts.expect(true, at(0, 0, 0));
    assert_eq!(life.late_at(), Some(at(0, 0, 18)));
    life.ran(at(0, 0, 14));
    assert_eq!(life.late_at(), Some(at(0, 0, 32)));
    assert_eq!(life.pass(at(0, 0, 32)), ["Lost 1"]);
    life.pass(at(1, 0, 32));
    assert_eq!(life.facts.missed().unwrap().n_missed, 97, "four an hour");
    assert_eq!((every(15).lateness(at(0, 0, 0)), every(60).lateness(at(0, 0, 0))), (30 * MINUTE, HOUR));
}

#[test]
fn what_this_hub_does_not_understand_is_named() {
    let refused = |schedule: &str, zone: &str| {
        let when = JobSchedule::Calendar { schedule: schedule.into(), zone: zone.into() };
        ReadSchedule::new(&job(when)).unwrap_err()
    };
    assert_eq!(refused("@daily", "Mars/Olympus"), "no such time zone: Mars/Olympus");
    assert!(refused("61 * * * *", "UTC").contains("minute"));
    assert!(refused("@reboot", "UTC").contains("expected five fields"));
    let widest = ProposedJob { slack: u64::MAX, grace: Some(u64::MAX), ..job(JobSchedule::Every { period: u64::MAX }) };
    let mut life = life(None);
    life.offer(ReadSchedule::new(&widest).unwrap());
    life.facts.expect(true, at(0, 0, 0));
    assert_eq!(life.pass(at(400, 0, 0)), NOTHING, "no overflow");
}

#[test]
fn it_survives_being_stored() {
    let mut life = life(None);
    life.offer(every(15));
    life.facts.expect(true, at(0, 0, 0));
    life.offer(calendar("0 4 * * *", "Europe/Berlin"));
    let text = serde_json::to_string(&life.facts).unwrap();
    assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), life.facts, "{text}");
}

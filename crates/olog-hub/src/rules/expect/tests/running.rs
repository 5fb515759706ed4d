//! Runs under way.

use super::*;

impl Life {
    fn exec(&mut self, what: EventContent, now: Timestamp, boot: u8) -> Vec<String> {
        let event = Event {
            n: 1,
            at: olog_proto::DeviceTime(now),
            boot: Id128([boot; 16]),
            up: 0,
            what,
            by: None,
            pushed: None,
        };
        let known =
            TaskContext { plan: self.plan.as_ref(), is_alarm: self.is_alarm, seen_at: None, joined_at: self.joined_at };
        told(&self.facts.observe(&event, now, now, &known, &self.policy))
    }

    fn starts(&mut self, now: Timestamp) -> Vec<String> {
        self.exec(EventContent::RunStarted { task: "t".parse().unwrap(), run: format!("{}", now.0) }, now, 1)
    }

    fn ends(&mut self, started: Timestamp, minutes: i64) -> Vec<String> {
        let what = EventContent::RunEnded {
            task: "t".parse().unwrap(),
            run: format!("{}", started.0),
            exit: Some(0),
            signal: None,
            duration: (minutes * MINUTE) as u64,
            excerpt: Excerpt::default(),
            fingerprints: Vec::new(),
        };
        self.exec(what, started.plus(minutes * MINUTE), 1)
    }
}

#[test]
fn a_run_under_way_is_not_missing_and_told_once_when_it_runs_far_too_long() {
    let mut life = scheduled("0 * * * *", 5);
    for hour in 0..5 {
        life.starts(at(0, hour, 0));
        life.ends(at(0, hour, 0), 20);
    }
    life.starts(at(0, 5, 0));
    assert_eq!(life.facts.running_since(), Some(at(0, 5, 0)));
    // Usually 20 min: an hour is far longer.
    assert_eq!(life.pass(at(0, 5, 59)), NOTHING);
    assert_eq!(life.pass(at(0, 6, 0)), ["runs 5:00 20"]);
    assert_eq!(life.pass(at(0, 6, 5)), ["Lost 1"], "what runs far too long protects no later run");
    assert_eq!(life.ends(at(0, 5, 0), 200), ["ran"]);
    assert_eq!(life.facts.running_since(), None);
}

#[test]
fn without_a_usual_time_a_run_may_take_a_day() {
    let mut life = scheduled("0 3 * * *", 30);
    life.starts(at(0, 3, 0));
    assert_eq!(life.pass(at(1, 2, 59)), NOTHING);
    assert_eq!(life.pass(at(1, 3, 0)), ["runs 3:00 ?"]);
    assert_eq!(life.pass(at(1, 3, 30)), ["Lost 1"]);
}

#[test]
fn a_reboot_ends_what_ran() {
    let mut life = scheduled("0 3 * * *", 30);
    life.starts(at(0, 3, 0));
    let note = EventContent::RunStarted { task: "t".parse().unwrap(), run: "other".into() };
    life.exec(note, at(0, 4, 0), 2);
    assert_eq!(life.facts.running_since(), Some(at(0, 4, 0)));
    assert_eq!(life.pass(at(1, 3, 30)), NOTHING, "it may still run");
}

#[test]
fn a_run_that_its_machines_restart_ended_is_an_error_unless_the_agent_says_what_became_of_it() {
    let mut life = scheduled("0 3 * * *", 30);
    life.starts(at(0, 3, 0));
    assert!(!life.facts.device_rebooted(Id128([1; 16]), at(0, 3, 5)), "the same boot: it runs on");
    assert_eq!(life.facts.running_since(), Some(at(0, 3, 0)));
    assert!(life.facts.device_rebooted(Id128([2; 16]), at(0, 4, 0)));
    assert_eq!(life.facts.running_since(), None, "nothing runs any more");
    assert_eq!(life.pass(at(0, 4, 9)), NOTHING, "the agent may still say how it ended");
    assert_eq!(life.pass(at(0, 4, 10)), ["vanished"]);
    assert_eq!(life.pass(at(1, 3, 0)), NOTHING, "told once");

    life.starts(at(1, 3, 10));
    life.facts.device_rebooted(Id128([2; 16]), at(1, 4, 0));
    life.ends(at(1, 3, 10), 5);
    assert_eq!(life.pass(at(1, 5, 0)), NOTHING, "its end was in the spool");
}

#[test]
fn a_run_teaches_when_it_starts_and_its_end_teaches_nothing() {
    let mut life = life(None);
    for day in 0..7 {
        life.starts(at(day, 2, 10));
        life.ends(at(day, 2, 10), 10 + day * 30);
    }
    let learnt = life.proposal().map(|learnt| (learnt.cadence, learnt.n_runs));
    assert_eq!(learnt, Some((Cadence::Daily { minute: 130, jitter: 0 }, 7)));
}

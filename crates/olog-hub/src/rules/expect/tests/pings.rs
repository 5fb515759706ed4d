//! Runs that pings report: they overlap.

use super::*;
use crate::rules::ping::{NO_BOOT, UNNAMED_RUN};

impl Life {
    fn ping(&mut self, what: EventContent, now: Timestamp) -> Vec<String> {
        let event = Event { boot: NO_BOOT, ..event(now, what) };
        let known =
            TaskContext { plan: self.plan.as_ref(), is_alarm: self.is_alarm, seen_at: None, joined_at: self.joined_at };
        told(&self.facts.observe(&event, now, now, &known, &self.policy))
    }

    fn start(&mut self, run: &str, now: Timestamp) {
        let what = EventContent::RunStarted { task: "t".parse().unwrap(), run: run.to_owned() };
        assert_eq!(self.ping(what, now), NOTHING);
    }

    /// The end as the ingest makes it of a ping; gives the minutes that the run took.
    fn end(&mut self, name: Option<&str>, now: Timestamp) -> i64 {
        let ended = self.facts.run_ended_by(name).map(|(run, since)| (run.to_owned(), now.since(since)));
        let (run, duration) = ended.unwrap_or_else(|| (name.unwrap_or(UNNAMED_RUN).to_owned(), 0));
        let what = EventContent::RunEnded {
            task: "t".parse().unwrap(),
            run,
            exit: Some(0),
            signal: None,
            duration: duration as u64,
            excerpt: Excerpt::default(),
            fingerprints: Vec::new(),
        };
        self.ping(what, now);
        duration / MINUTE
    }
}

#[test]
fn overlapping_runs_have_each_their_own_duration() {
    let mut life = life(None);
    life.start("a", at(0, 1, 0));
    life.start("b", at(0, 1, 10));
    life.start("a", at(0, 1, 5));
    assert_eq!(life.facts.running_since(), Some(at(0, 1, 5)), "a later start of the same run counts");
    assert_eq!(life.end(Some("b"), at(0, 1, 40)), 30);
    assert_eq!(life.end(Some("unknown"), at(0, 1, 45)), 0);
    assert_eq!(life.end(Some("a"), at(0, 2, 5)), 60);
    assert_eq!(life.facts.running_since(), None);
}

#[test]
fn an_end_without_a_name_ends_the_run_without_one_or_the_only_one() {
    let mut life = life(None);
    life.start(UNNAMED_RUN, at(0, 1, 0));
    life.start("b", at(0, 1, 10));
    assert_eq!(life.end(None, at(0, 1, 20)), 20);
    assert_eq!(life.end(None, at(0, 1, 30)), 20, "the only one that is left");
    assert_eq!(life.end(None, at(0, 1, 40)), 0);
    life.start("b", at(0, 2, 0));
    life.start("c", at(0, 2, 0));
    assert_eq!(life.end(None, at(0, 2, 30)), 0, "it could be either");
    assert_eq!(life.facts.running_since(), Some(at(0, 2, 0)));
}

#[test]
fn each_run_that_never_ends_is_told_after_its_own_limit() {
    let mut life = scheduled("0 3 * * *", 60);
    life.start("a", at(0, 3, 0));
    life.start("b", at(0, 3, 20));
    assert_eq!(life.end(Some("b"), at(0, 3, 30)), 10, "a later run that ends does not excuse the earlier one");
    assert_eq!(life.pass(at(0, 3, 59)), NOTHING);
    assert_eq!(life.pass(at(0, 4, 0)), ["runs 3:00 ?"], "the declared grace");
    life.start("c", at(0, 4, 30));
    assert_eq!(life.pass(at(0, 5, 29)), NOTHING);
    assert_eq!(life.pass(at(0, 5, 30)), ["runs 4:30 ?"]);
    assert_eq!(life.end(Some("a"), at(0, 6, 0)), 180, "a late end still has its duration");
}

#[test]
fn a_run_may_take_longer_than_the_grace_if_it_always_does() {
    let mut life = scheduled("0 3 * * *", 30);
    for day in 0..3 {
        life.start("a", at(day, 3, 0));
        life.end(Some("a"), at(day, 5, 0));
    }
    life.start("a", at(3, 3, 0));
    assert_eq!(life.pass(at(3, 8, 59)), NOTHING);
    assert_eq!(life.pass(at(3, 9, 0)), ["runs 3:00 120"]);
}

#[test]
fn a_reboot_of_the_device_does_not_end_a_run_that_anybody_may_have_pinged() {
    let mut life = life(None);
    life.start("a", at(0, 1, 0));
    assert!(!life.facts.device_rebooted(Id128([9; 16]), at(0, 1, 5)));
    life.see(LogKind::Log, at(0, 1, 6), at(0, 1, 6));
    assert_eq!(life.facts.running_since(), Some(at(0, 1, 0)));
}

#[test]
fn a_job_that_pings_only_when_it_is_done_teaches_its_habit() {
    let mut life = life(None);
    for day in 0..7 {
        life.end(None, at(day, 2, 10));
    }
    let learnt = life.proposal().map(|learnt| (learnt.cadence, learnt.n_runs));
    assert_eq!(learnt, Some((Cadence::Daily { minute: 130, jitter: 0 }, 7)));
}

#[test]
fn starts_without_ends_are_bounded_and_the_oldest_goes() {
    let mut life = life(None);
    for n in 0..1_000 {
        life.start(&format!("run {n}"), at(0, 0, n));
    }
    assert_eq!(life.facts.running_since(), Some(at(0, 0, 950)));
    let stored = serde_json::to_string(&life.facts).unwrap();
    assert!(stored.len() < 10_000, "{}", stored.len());
    assert_eq!(serde_json::from_str::<Facts>(&stored).unwrap(), life.facts);
}

//! Cases of tasks that come, do not come, and come late.

mod habits;
mod pings;
mod read;
mod running;

use olog_proto::event::Id128;
use olog_proto::{Excerpt, File, Growth};
use olog_push::Cadence;
use proptest::prelude::*;

use super::*;

/// 2026-11-22 00:00 UTC, a Sunday.
const DAY0: Timestamp = Timestamp(1_795_305_600_000);
const DAY: i64 = 24 * HOUR;

fn at(days: i64, hours: i64, minutes: i64) -> Timestamp {
    DAY0.plus(days * DAY + hours * HOUR + minutes * MINUTE)
}

/// A task that lives by a clock of its own.
struct Life {
    facts: Facts,
    plan: Option<Plan>,
    policy: ExpectationPolicy,
    is_alarm: bool,
    joined_at: Timestamp,
}

fn life(plan: Option<Plan>) -> Life {
    let policy = ExpectationPolicy { report: Some("0 11 * * *".parse().unwrap()), ..ExpectationPolicy::default() };
    let mut life = Life { facts: Facts::default(), plan, policy, is_alarm: false, joined_at: at(-10, 0, 0) };
    life.facts.declare(life.plan.as_ref(), at(0, 0, 0));
    life
}

fn scheduled(text: &str, grace_minutes: i64) -> Life {
    life(Some(Plan::Scheduled { schedule: text.parse().unwrap(), grace: grace_minutes * MINUTE }))
}

fn event(at: Timestamp, what: EventContent) -> Event {
    Event { n: 1, at: olog_proto::DeviceTime(at), boot: Id128([1; 16]), up: 0, what, by: None, pushed: None }
}

fn file(suffix: LogKind) -> File {
    File {
        task: "t".parse().unwrap(),
        suffix,
        path: format!("/t.{suffix}"),
        change: Growth::Rewritten,
        began_at: None,
        closed: true,
        sibling_err: false,
        history: false,
        fingerprints: Vec::new(),
    }
}

impl Life {
    fn known(&self) -> TaskContext<'_> {
        TaskContext { plan: self.plan.as_ref(), is_alarm: self.is_alarm, seen_at: None, joined_at: self.joined_at }
    }

    fn see(&mut self, suffix: LogKind, seen: Timestamp, now: Timestamp) -> Vec<String> {
        let event = event(seen, EventContent::Text { file: file(suffix), excerpt: Excerpt::of("x") });
        let known =
            TaskContext { plan: self.plan.as_ref(), is_alarm: self.is_alarm, seen_at: None, joined_at: self.joined_at };
        told(&self.facts.observe(&event, seen, now, &known, &self.policy))
    }

    fn ran(&mut self, seen: Timestamp) -> Vec<String> {
        self.see(LogKind::Log, seen, seen)
    }

    fn run_due(&mut self, now: Timestamp) -> Vec<String> {
        let known =
            TaskContext { plan: self.plan.as_ref(), is_alarm: self.is_alarm, seen_at: None, joined_at: self.joined_at };
        told(&self.facts.check(now, &known, &self.policy))
    }

    fn late_at(&self) -> Option<Timestamp> {
        self.facts.late_at(&self.known(), &self.policy)
    }

    /// Looks whenever it is time, until then.
    fn pass(&mut self, until: Timestamp) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(next) = self.facts.look_at(&self.known(), &self.policy).filter(|next| *next <= until) {
            let told = self.run_due(next);
            assert!(!told.is_empty(), "looked at {next:?} for nothing");
            all.extend(told);
        }
        all
    }
}

/// What a person hears.
fn told(outcomes: &[ExpectationEffect]) -> Vec<String> {
    let words = |outcome: &ExpectationEffect| match outcome {
        ExpectationEffect::Notify { kind, content: Content::TaskLost { n_missed, is_reminder, .. }, .. } => {
            assert_eq!(*is_reminder, *kind == Kind::Remind);
            Some(format!("{kind:?} {n_missed}"))
        }
        ExpectationEffect::Notify { content: Content::TaskRuns { since, usual }, .. } => {
            let minutes = since.since(DAY0) / MINUTE;
            let usual = usual.map_or("?".to_owned(), |usual| (usual / MINUTE).to_string());
            Some(format!("runs {}:{:02} {usual}", minutes / 60 % 24, minutes % 60))
        }
        ExpectationEffect::RunVanished { .. } => Some("vanished".to_owned()),
        ExpectationEffect::Notify { content: Content::TaskCame { recovery, .. }, .. } => Some(match recovery {
            Recovery::Ran { failed: false, .. } => "ran".to_owned(),
            Recovery::Ran { failed: true, .. } => "failed".to_owned(),
            other => format!("{other:?}"),
        }),
        _ => None,
    };
    outcomes.iter().filter_map(words).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_task_that_comes_in_time_is_never_late() {
    let mut life = scheduled("30 3 * * *", 30);
    for day in 0..30 {
        assert_eq!(life.pass(at(day, 3, 55)), NOTHING, "day {day}");
        assert_eq!(life.ran(at(day, 3, 40)), NOTHING);
        assert_eq!(life.late_at(), Some(at(day + 1, 4, 0)));
    }
}

#[test]
fn one_that_does_not_come_is_lost_after_its_grace_and_over_when_it_runs() {
    let mut life = scheduled("30 3 * * *", 30);
    life.ran(at(0, 3, 31));
    assert_eq!(life.pass(at(1, 3, 59)), NOTHING);
    assert_eq!(life.pass(at(1, 4, 0)), ["Lost 1"]);
    let missed = life.facts.missed().unwrap();
    assert_eq!((missed.due_at, missed.late_at, missed.seen_at), (at(1, 3, 30), at(1, 4, 0), Some(at(0, 3, 31))));
    assert_eq!(life.late_at(), None);
    assert_eq!(life.ran(at(1, 9, 0)), ["ran"]);
    assert_eq!(life.late_at(), Some(at(2, 4, 0)));
}

#[test]
fn a_run_that_fails_has_come() {
    let mut life = scheduled("30 3 * * *", 30);
    assert_eq!(life.see(LogKind::Err, at(0, 3, 35), at(0, 3, 35)), NOTHING);
    assert_eq!(life.late_at(), Some(at(1, 4, 0)));
    assert_eq!(life.pass(at(1, 4, 0)), ["Lost 1"]);
    assert_eq!(life.see(LogKind::Err, at(1, 5, 0), at(1, 5, 0)), ["failed"]);
}

#[test]
fn a_message_and_a_deleted_log_are_no_run() {
    let mut life = scheduled("30 3 * * *", 30);
    life.see(LogKind::Msg, at(0, 3, 35), at(0, 3, 35));
    let cleared = |deleted| {
        let path = "/t.log".to_owned();
        event(at(0, 3, 36), EventContent::Cleared { task: "t".parse().unwrap(), suffix: LogKind::Log, path, deleted })
    };
    assert!(sign(&cleared(true)).is_none() && sign(&cleared(false)).is_some());
    assert_eq!(life.pass(at(0, 4, 0)), ["Lost 1"]);
}

#[test]
fn what_was_in_time_by_its_own_time_was_in_time_however_late_it_is_heard_of() {
    let mut life = scheduled("30 3 * * *", 30);
    assert_eq!(life.pass(at(0, 4, 0)), ["Lost 1"]);
    assert_eq!(life.see(LogKind::Log, at(0, 3, 32), at(0, 9, 0)), ["ran"]);
    // An older one changes nothing.
    assert_eq!(life.pass(at(1, 4, 0)), ["Lost 1"]);
    assert_eq!(life.see(LogKind::Log, at(0, 12, 0), at(1, 9, 0)), NOTHING);
    assert_eq!(life.see(LogKind::Log, at(1, 3, 31), at(1, 9, 1)), ["ran"]);
}

#[test]
fn one_that_runs_a_little_before_its_time_has_run() {
    let mut life = scheduled("30 3 * * *", 30);
    life.ran(at(0, 3, 30).plus(-40_000));
    assert_eq!(life.late_at(), Some(at(1, 4, 0)));
    life.ran(at(1, 3, 0));
    assert_eq!(life.late_at(), Some(at(1, 4, 0)), "half an hour before is another run");
    // Of what runs each minute at most half a minute is early.
    let mut often = scheduled("* * * * *", 1);
    often.ran(at(0, 0, 5).plus(20_000));
    assert_eq!(often.late_at(), Some(at(0, 0, 7)));
    often.ran(at(0, 0, 6).plus(40_000));
    assert_eq!(often.late_at(), Some(at(0, 0, 9)));
}

#[test]
fn a_lost_task_is_told_again_each_day_with_how_often_it_is_missed() {
    let mut life = scheduled("0 3,15 * * *", 60);
    assert_eq!(life.pass(at(2, 4, 1)), ["Lost 1", "Remind 3", "Remind 5"]);
    life.facts.acknowledge(at(2, 4, 2));
    assert_eq!(life.pass(at(9, 4, 1)), NOTHING);
    assert_eq!(life.pass(at(9, 4, 2)), ["Remind 19"]);
}

#[test]
fn without_a_schedule_it_has_26_hours_or_a_reports_window() {
    let mut life = life(Some(Plan::EachReport));
    assert_eq!(life.late_at(), Some(at(1, 2, 0)), "from when it was declared");
    life.ran(at(0, 9, 0));
    assert_eq!(life.late_at(), Some(at(1, 11, 0)));
    life.policy.report = Some("0 11 * * 1".parse().unwrap());
    assert_eq!(life.late_at(), Some(at(7, 9, 0)), "a week between two reports");
    life.policy.report = None;
    assert_eq!(life.pass(at(1, 11, 0)), ["Lost 1"]);
    assert_eq!(life.pass(at(2, 11, 0)), ["Remind 1"]);
    assert_eq!(life.ran(at(3, 0, 0)), ["ran"]);
}

#[test]
fn the_silence_of_an_alarm_is_well_unless_a_schedule_says_otherwise() {
    let mut alarm = life(Some(Plan::EachReport));
    (alarm.is_alarm, alarm.facts.seen_at) = (true, Some(at(0, 0, 0)));
    assert_eq!((alarm.late_at(), alarm.pass(at(30, 0, 0))), (None, Vec::new()));
    let mut checked = scheduled("0 * * * *", 5);
    checked.is_alarm = true;
    assert_eq!(checked.pass(at(0, 1, 5)), ["Lost 1"]);
}

#[test]
fn a_device_that_joined_late_waits() {
    let mut life = life(Some(Plan::EachReport));
    life.joined_at = at(0, 22, 0);
    assert!(
        matches!(life.facts.standing(&life.known(), &life.policy), ExpectationStatus::Waiting(due) if due.at == at(2, 0, 0))
    );
    assert_eq!(life.pass(at(1, 23, 59)), NOTHING);
    let mut scheduled = scheduled("0 21 * * *", 5);
    scheduled.joined_at = at(0, 22, 0);
    assert_eq!(scheduled.pass(at(1, 21, 4)), NOTHING);
    assert_eq!(scheduled.pass(at(1, 21, 5)), ["Lost 1"]);
}

#[test]
fn a_changed_plan_counts_from_when_it_is_known_and_ends_what_was_missed() {
    let mut life = scheduled("30 3 * * *", 30);
    assert_eq!(life.pass(at(0, 4, 0)), ["Lost 1"]);
    let plan = Plan::Scheduled { schedule: "0 2 * * *".parse().unwrap(), grace: 0 };
    assert_eq!(told(&life.facts.declare(Some(&plan), at(0, 10, 0))), ["Unexpected"]);
    assert_eq!(life.late_at(), None, "what the facts know is not what the configuration says");
    life.plan = Some(plan);
    assert_eq!(life.late_at(), Some(at(1, 2, 0)));
    assert_eq!(told(&life.facts.declare(life.plan.clone().as_ref(), at(3, 0, 0))), NOTHING);
    assert_eq!(life.late_at(), Some(at(1, 2, 0)), "the same again postpones nothing");
    life.facts.declare(None, at(0, 11, 0));
    assert_eq!((life.late_at(), life.facts.declared()), (None, None));
}

#[test]
fn a_person_may_stop_expecting_and_begin_again() {
    let mut life = scheduled("30 3 * * *", 30);
    assert_eq!(life.pass(at(0, 4, 0)), ["Lost 1"]);
    assert_eq!(told(&life.facts.expect(false, at(0, 5, 0))), ["Unexpected"]);
    assert_eq!(life.facts.standing(&life.known(), &life.policy), ExpectationStatus::Off);
    assert_eq!(life.pass(at(9, 0, 0)), NOTHING);
    assert_eq!(told(&life.facts.expect(true, at(9, 0, 0))), NOTHING);
    assert_eq!(life.late_at(), Some(at(9, 4, 0)));
}

#[test]
fn a_person_may_close_it_and_the_next_time_counts() {
    let mut life = scheduled("30 3 * * *", 30);
    assert_eq!(life.pass(at(0, 4, 0)), ["Lost 1"]);
    assert_eq!(told(&life.facts.close(at(0, 5, 0))), ["Closed"]);
    assert_eq!(life.late_at(), Some(at(1, 4, 0)));
    assert_eq!(told(&life.facts.close(at(0, 5, 0))), NOTHING);
}

#[test]
fn what_fell_due_while_its_device_was_away_has_its_grace_from_the_return() {
    for (grace, left) in [(0, 10), (30, 30)] {
        let mut life = scheduled("30 3 * * *", grace);
        life.facts.park();
        assert_eq!(life.facts.look_at(&life.known(), &life.policy), None, "nobody looks while it is away");
        assert_eq!(life.late_at(), Some(at(0, 3, 30 + grace)), "but it is known to be late");
        let known = TaskContext { plan: life.plan.as_ref(), is_alarm: false, seen_at: None, joined_at: life.joined_at };
        life.facts.device_back(None, at(0, 7, 0), &known, &life.policy);
        assert_eq!(life.pass(at(0, 7, left).plus(-1)), NOTHING);
        assert_eq!(life.pass(at(0, 7, left)), ["Lost 1"]);
        assert_eq!(life.facts.missed().unwrap().due_at, at(0, 3, 30));
    }
    let mut life = scheduled("30 3 * * *", 30);
    life.facts.park();
    life.see(LogKind::Log, at(0, 3, 33), at(0, 7, 1));
    assert_eq!(life.late_at(), Some(at(1, 4, 0)), "it ran while its device was away");
}

/// What the LOST message gives as the cause.
fn offline_of(outcomes: &[ExpectationEffect]) -> Option<(Timestamp, Timestamp)> {
    outcomes.iter().find_map(|outcome| match outcome {
        ExpectationEffect::Notify { content: Content::TaskLost { device_offline, .. }, .. } => *device_offline,
        _ => None,
    })
}

#[test]
fn a_run_that_was_due_while_its_device_was_offline_is_lost_with_that_cause() {
    // Gone 03:20, back 03:45; due 03:30. `left`: when the device went.
    let case = |left: Timestamp, back: Timestamp| {
        let mut life = scheduled("30 3 * * *", 30);
        let known = TaskContext { plan: life.plan.as_ref(), is_alarm: false, seen_at: None, joined_at: life.joined_at };
        life.facts.device_back(Some(left), back, &known, &life.policy);
        let missed = life.facts.missed_offline(&known, &life.policy).map(|due| (due.at, due.late_at));
        let late_at = life.facts.late_at(&known, &life.policy).unwrap();
        let lost = life.facts.check(late_at, &known, &life.policy);
        life.facts.opened_as(1);
        let reminded = life.facts.check(late_at.plus(DAY), &known, &life.policy);
        (missed, offline_of(&lost), offline_of(&reminded))
    };
    let during = (at(0, 3, 20), at(0, 3, 45));
    let due = Some((at(0, 3, 30), at(0, 4, 0)));
    assert_eq!(case(during.0, during.1), (due, Some(during), Some(during)));
    // Away beyond the grace: it has time from the return, and the cause all the same.
    let long = (at(0, 3, 20), at(0, 7, 0));
    assert_eq!(case(long.0, long.1), (Some((at(0, 3, 30), at(0, 7, 30))), Some(long), Some(long)));
    // Back before it was due, or gone after: no cause.
    assert_eq!(case(at(0, 2, 0), at(0, 3, 29)), (None, None, None));
    assert_eq!(case(at(0, 3, 31), at(0, 3, 45)), (None, None, None));
}

#[test]
fn a_run_that_was_made_up_for_after_the_return_was_not_missed() {
    let mut life = scheduled("30 3 * * *", 30);
    let known = TaskContext { plan: life.plan.as_ref(), is_alarm: false, seen_at: None, joined_at: life.joined_at };
    life.facts.device_back(Some(at(0, 3, 20)), at(0, 3, 45), &known, &life.policy);
    life.ran(at(0, 3, 50));
    let known = TaskContext { plan: life.plan.as_ref(), is_alarm: false, seen_at: None, joined_at: life.joined_at };
    assert_eq!(life.facts.missed_offline(&known, &life.policy), None);
    let next = life.facts.check(at(1, 4, 0), &known, &life.policy);
    assert_eq!(offline_of(&next), None, "the absence of the day before is no cause");
}

#[test]
fn facts_survive_being_stored_and_older_ones_are_read() {
    let mut life = scheduled("30 3 * * *", 30);
    life.ran(at(0, 3, 31));
    life.pass(at(1, 4, 0));
    life.facts.opened_as(17);
    let text = serde_json::to_string(&life.facts).unwrap();
    assert_eq!(serde_json::from_str::<Facts>(&text).unwrap(), life.facts);
    assert_eq!(serde_json::from_str::<Facts>("{}").unwrap(), Facts::default());
    assert_eq!(serde_json::to_string(&Facts::default()).unwrap(), "{}");
}

proptest! {
    /// Whatever comes when: nobody is told twice that it is missing, an end follows a begin, what is due lies ahead after a
    /// look, and a task that came within each of its times is never told as lost.
    #[test]
    fn a_history_is_told_in_order(
        gaps in proptest::collection::vec((1_i64..3000, 0..6_u8), 1..80), grace in 0_i64..120,
    ) {
        let mut life = scheduled("*/30 * * * *", grace);
        let (mut now, mut is_lost) = (DAY0, false);
        for (minutes, what) in gaps {
            let end = now.plus(minutes * MINUTE);
            let mut told = life.pass(end);
            now = end;
            match what {
                0 => told.extend(life.see(LogKind::Err, now, now)),
                1 => told.extend(life.see(LogKind::Log, now.plus(-45 * MINUTE), now)),
                2 => life.facts.park(),
                3 => {
                    let known = TaskContext { plan: life.plan.as_ref(), is_alarm: false, seen_at: None, joined_at: DAY0 };
                    life.facts.device_back(Some(now.plus(-40 * MINUTE)), now, &known, &life.policy);
                }
                _ => told.extend(life.ran(now)),
            }
            for word in told {
                match word.split(' ').next() {
                    Some("Lost") => prop_assert!(!std::mem::replace(&mut is_lost, true)),
                    Some("Remind") => prop_assert!(is_lost),
                    _ => prop_assert!(std::mem::replace(&mut is_lost, false)),
                }
            }
            prop_assert_eq!(life.facts.missed().is_some(), is_lost);
            let stored = serde_json::to_string(&life.facts).unwrap();
            prop_assert_eq!(serde_json::from_str::<Facts>(&stored).unwrap(), life.facts.clone());
        }
    }
}

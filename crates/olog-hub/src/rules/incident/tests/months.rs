//! A month of a task, and the strip that a report shows of it.

use super::*;
use crate::rules::state::{DayState, Strip};

/// A month that begins at noon of 1970-01-01, of which each hour brings what `hour` does.
fn month(mut hour: impl FnMut(&mut Sim, i64)) -> String {
    let mut sim = Sim::new();
    sim.now = Timestamp(12 * HOUR);
    for n in 0..30 * 24 - 12 {
        hour(&mut sim, n);
        sim.pass(HOUR);
    }
    let strip: Strip = sim.facts.strip(None, sim.now.plus(-1), &sim.policy);
    let letter = |cell: &DayState| match cell {
        DayState::Nothing => '.',
        DayState::Ok => 'o',
        DayState::Err => 'E',
        DayState::Lost => 'L',
    };
    strip.iter().map(letter).collect()
}

#[test]
fn daily_weekly_and_hourly_tasks_show_when_they_ran() {
    let every = |hours: i64| {
        move |sim: &mut Sim, n: i64| {
            if n % hours == 0 {
                sim.run_log("job.log", MINUTE, false)
            }
        }
    };
    assert_eq!(month(every(24)), "o".repeat(30));
    assert_eq!(month(every(1)), "o".repeat(30));
    assert_eq!(month(every(7 * 24)), "o......o......o......o......o.");
    // Now and then, as it pleases.
    let irregular = |sim: &mut Sim, n: i64| {
        if [0, 40, 47, 300, 660].contains(&n) {
            sim.run_log("job.log", MINUTE, false)
        }
    };
    assert_eq!(month(irregular), "o.o..........o..............o.");
}

#[test]
fn an_alarm_is_well_while_it_is_silent_and_bad_until_it_is_quiet() {
    // The day it came and, with one sighting, the day after: then it is quiet.
    let once = |sim: &mut Sim, n: i64| {
        if n == 10 * 24 {
            sim.err("nginx.err", "not running")
        }
    };
    assert_eq!(month(once), "..........EEoooooooooooooooooo");
    let storm = |sim: &mut Sim, n: i64| {
        if (240..245).contains(&n) || n == 600 {
            sim.err("nginx.err", "not running")
        }
    };
    assert_eq!(month(storm), "..........EooooooooooooooEoooo");
}

#[test]
fn trouble_lasts_until_it_is_over_and_a_noisy_task_is_noisy() {
    let weekend = |sim: &mut Sim, n: i64| match n {
        n if n % 24 != 0 => {}
        n if n == 5 * 24 => sim.err("backup.err", "no space"),
        n if (6 * 24..8 * 24).contains(&n) => {}
        n if n < 28 * 24 => sim.run_log("backup.log", MINUTE, false),
        _ => {}
    };
    // The error of the sixth day is over with the run of the ninth; then it stops coming.
    assert_eq!(month(weekend), "oooooEEEEooooooooooooooooooo..");
    let noisy = |sim: &mut Sim, n: i64| match n % 24 {
        0 => sim.err("job.err", "warning: x"),
        6 => sim.cleared("job.err", true),
        7 => sim.run_log("job.log", MINUTE, false),
        _ => {}
    };
    assert_eq!(month(noisy), "E".repeat(30));
}

#[test]
fn what_did_not_come_is_lost_on_its_days() {
    let mut facts = TaskFacts::default();
    let policy = AlertPolicy::default();
    let day = |n: i64| Timestamp(n * DAY + 12 * HOUR);
    facts.days.mark(crate::rules::state::day_of(day(10), policy.zone), State::Ok);
    facts.was_missing(day(20), day(22), &policy);
    let strip: Strip = facts.strip(Some(day(29)), day(30), &policy);
    let lost: Vec<usize> = (0..30).filter(|i| strip[*i] == DayState::Lost).collect();
    assert_eq!(lost, [19, 20, 21, 28, 29]);
    // An instant that nobody can mean costs nothing.
    facts.was_missing(Timestamp(i64::MIN), Timestamp(i64::MAX), &policy);
}

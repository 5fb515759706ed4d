//! Tasks of which a person is told only from several errors in a row on.

use super::*;

fn of(errors_in_a_row: u32) -> Sim {
    Sim { policy: AlertPolicy { errors_in_a_row, ..AlertPolicy::default() }, ..Sim::new() }
}

impl Sim {
    /// A writer that keeps its file open adds to it.
    fn goes_on(&mut self, text: &str) {
        let file = File { closed: false, ..file("t.err", Growth::Grown, Timestamp(0)) };
        self.event(EventContent::Text { file, excerpt: Excerpt::of(text) });
    }
}

#[test]
fn the_third_in_a_row_is_told_and_the_incident_is_there_from_the_first() {
    let mut sim = of(3);
    for _ in 0..2 {
        sim.exec(1);
        sim.pass(HOUR);
    }
    sim.heard(&[]);
    assert_eq!((sim.facts.state(), sim.n_incidents, sim.n_seen()), (State::Err, 1, 2));
    sim.exec(1);
    sim.heard(&["02:00 3 in a row: exit status 1 (3)"]);
    // From here on as ever.
    sim.pass(MINUTE);
    sim.exec(1);
    sim.err("t.err", "no space left");
    sim.exec(0);
    sim.heard(&["02:01 new: no space left (5)", "02:01 over: RunEnded (5)"]);
}

#[test]
fn a_good_sign_begins_the_count_anew_and_nobody_hears_of_it() {
    let mut sim = of(3);
    for _ in 0..20 {
        sim.exec(1);
        sim.exec(1);
        sim.pass(10 * MINUTE);
        sim.exec(0);
        sim.pass(50 * MINUTE);
    }
    sim.heard(&[]);
    assert_eq!(sim.facts.state(), State::Ok);
    // What was too short to be told does not come and go.
    (0..3).for_each(|_| sim.exec(1));
    sim.heard(&["20:00 3 in a row: exit status 1 (3)"]);
    sim.exec(0);
    sim.heard(&["20:00 over: RunEnded (3)"]);
}

#[test]
fn what_one_run_writes_bit_by_bit_counts_once() {
    let mut sim = of(3);
    for n in 0..6 {
        sim.goes_on(&format!("line {n}"));
        sim.pass(5 * SECOND);
    }
    sim.heard(&[]);
    // A daemon that never closes its file must not be silent for ever.
    for n in 0..4 {
        sim.pass(MINUTE);
        sim.goes_on(&format!("line {n}"));
    }
    assert_eq!(sim.told.len(), 1, "{:?}", sim.told);
    assert!(sim.told[0].starts_with("00:02 3 in a row"), "{:?}", sim.told);
}

#[test]
fn the_same_text_written_again_counts_and_a_quiet_alarm_begins_anew() {
    let mut sim = of(3);
    sim.err("alarm.err", "pump");
    sim.pass(MINUTE);
    sim.seen("alarm.err");
    sim.pass(2 * DAY);
    assert_eq!(sim.facts.state(), State::Ok);
    sim.seen("alarm.err");
    sim.pass(MINUTE);
    sim.heard(&[]);
    (0..2).for_each(|_| sim.seen("alarm.err"));
    assert_eq!(sim.told.len(), 1, "{:?}", sim.told);
}

#[test]
fn what_a_device_told_by_itself_was_told() {
    let mut sim = of(3);
    sim.pushed = Some(OwnPush { tried_at: Timestamp(0), accepted_at: Some(Timestamp(0)) });
    sim.exec(1);
    sim.pushed = None;
    sim.exec(0);
    sim.heard(&["00:00 over: RunEnded (1)"]);
}

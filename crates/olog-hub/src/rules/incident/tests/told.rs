//! What a person hears of an incident, and when.

use super::*;

#[test]
fn many_different_errors_are_told_at_once_up_to_the_bound_and_then_together() {
    let mut sim = Sim::new();
    sim.run_log("svc.log", SECOND, false);
    let words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india"];
    for word in words {
        sim.err("svc.err", word);
        sim.pass(SECOND);
    }
    assert_eq!(sim.told.len(), 6, "the first sign and five more: {:?}", sim.told);
    sim.told.clear();
    sim.pass(HOUR);
    sim.heard(&["00:15 and 2 more: golf\nhotel\nindia (9)"]);
    sim.err("svc.err", "juliet");
    sim.heard(&["01:00 new: juliet (10)"]);
    for word in words {
        sim.err("svc.err", word);
    }
    sim.heard(&[]);
}

#[test]
fn of_many_that_were_held_back_the_first_are_shown_and_all_are_counted() {
    let mut sim = Sim::new();
    sim.policy.new_errors_per_hour = 0;
    sim.err("svc.err", "start");
    for c in 'g'..='z' {
        sim.err("svc.err", &format!("error {}", c.to_string().repeat(150)));
    }
    sim.told.clear();
    sim.pass(HOUR);
    let told = sim.told.join("\n");
    assert!(told.contains("and 19 more") && told.contains(&"h".repeat(100)), "{told}");
    assert!(!told.contains(&"z".repeat(100)) && told.chars().count() < 1_200, "{told}");
}

#[test]
fn an_error_that_was_only_counted_is_news_when_it_comes_again() {
    let mut sim = Sim::new();
    sim.policy.new_errors_per_hour = 0;
    sim.err("svc.err", "start");
    // No letters of a hexadecimal number: those are taken for an id.
    for c in 'g'..='s' {
        sim.err("svc.err", &format!("error {}", c.to_string().repeat(9)));
        sim.err("svc.err", &format!("error {}", c.to_string().repeat(9)));
    }
    sim.told.clear();
    sim.pass(15 * MINUTE);
    let told = std::mem::take(&mut sim.told).join("\n");
    assert!(told.contains("and 12 more") && told.contains("qqq") && !told.contains("rrr"), "{told}");
    sim.err("svc.err", "error qqqqqqqqq");
    sim.heard(&[]);
    sim.err("svc.err", "error rrrrrrrrr");
    sim.pass(HOUR);
    let told = sim.told.join("\n");
    assert!(told.contains("rrr"), "its words were in no message: {told}");
}

#[test]
fn what_was_held_back_comes_before_the_end() {
    let mut sim = Sim::new();
    sim.policy.new_errors_per_hour = 0;
    sim.err("svc.err", "alpha");
    sim.err("svc.err", "bravo");
    sim.pass(MINUTE);
    sim.exec(0);
    sim.heard(&["00:00 first: alpha (1)", "00:01 and 0 more: bravo (2)", "00:01 over: RunEnded (2)"]);
}

#[test]
fn what_begins_again_and_again_comes_and_goes() {
    let mut sim = Sim::new();
    let flap = |sim: &mut Sim| {
        sim.err("x.err", "down");
        sim.pass(10 * MINUTE);
        sim.cleared("x.err", true);
        sim.pass(50 * MINUTE);
    };
    for _ in 0..3 {
        flap(&mut sim);
    }
    sim.heard(&[
        "00:00 first: down (1)",
        "00:11 over: Cleared (1)",
        "01:00 reopened: down (1)",
        "01:11 over: Cleared (1)",
        "02:00 reopened: down (1)",
        "02:11 over: Cleared (1)",
    ]);
    for _ in 3..16 {
        flap(&mut sim);
    }
    sim.heard(&[
        "03:00 comes and goes 4: down (1)",
        "09:00 comes and goes 9: down (1)",
        "15:00 comes and goes 15: down (1)",
    ]);
    assert_eq!((sim.n_incidents, sim.facts.state()), (1, State::Ok));
    sim.pass(2 * DAY);
    // One more since 15:00, and then a day of calm from 15:11.
    sim.heard(&["21:00 comes and goes 16: down (1)", "39:11 over: Cleared (1)"]);
    sim.err("x.err", "down");
    sim.heard(&["64:00 again: down (1)"]);
    assert_eq!(sim.n_incidents, 2);
}

#[test]
fn another_error_of_what_comes_and_goes_is_told_at_once() {
    let mut sim = Sim::new();
    for _ in 0..5 {
        sim.err("x.err", "down");
        sim.cleared("x.err", true);
        sim.pass(10 * MINUTE);
    }
    sim.told.clear();
    sim.err("x.err", "disk on fire");
    sim.heard(&["00:50 new: disk on fire (1)"]);
}

#[test]
fn a_person_who_acknowledges_is_not_reminded_for_a_week() {
    let mut sim = Sim::new();
    sim.run_log("x.log", SECOND, false);
    sim.err("x.err", "down");
    sim.pass(25 * HOUR);
    sim.heard(&["00:00 first: down (1)", "24:00 remind (1)"]);
    assert!(sim.facts.acknowledge(sim.now));
    sim.pass(3 * DAY);
    sim.err("x.err", "worse");
    sim.heard(&["97:00 new: worse (2)"]);
    sim.pass(4 * DAY + HOUR);
    sim.heard(&["193:00 remind (2)"]);
    sim.exec(0);
    sim.heard(&["194:00 over: RunEnded (2)"]);
    assert!(!sim.facts.acknowledge(sim.now), "nothing is open");
}

#[test]
fn an_end_by_a_person_is_at_once_and_its_return_is_news() {
    let mut sim = Sim::new();
    for _ in 0..6 {
        sim.err("x.err", "down");
        sim.pass(MINUTE);
        let now = sim.now;
        let out = sim.facts.close(now);
        sim.take(out);
    }
    assert_eq!(sim.told.len(), 12);
    assert_eq!(sim.told.last().unwrap(), "00:06 over: Closed (1)");
    assert_eq!(sim.told[10], "00:05 reopened: down (1)");
    assert_eq!((sim.n_incidents, sim.facts.incident().unwrap().n_begun), (1, 6));
}

#[test]
fn reminders_come_every_day_with_the_count() {
    let mut sim = Sim::new();
    sim.run_log("x.log", SECOND, false);
    for _ in 0..60 {
        sim.err("x.err", "down");
        sim.pass(HOUR);
    }
    sim.heard(&["00:00 first: down (1)", "24:00 remind (24)", "48:00 remind (48)"]);
}

#[test]
fn a_scanerr_makes_err_and_is_told_in_the_report_only() {
    let mut sim = Sim::new();
    sim.err("x.scanerr", "odd");
    assert_eq!((sim.facts.state(), sim.n_incidents), (State::Err, 1));
    sim.pass(3 * DAY);
    sim.heard(&[]);
    assert_eq!(sim.facts.state(), State::Ok);
    sim.err("x.scanerr", "odd");
    sim.err("x.err", "odd");
    sim.exec(0);
    sim.heard(&["72:00 again: odd (2)", "72:00 over: RunEnded (2)"]);
}

#[test]
fn what_the_agent_has_pushed_itself_is_not_told_again_and_its_end_is() {
    let mut sim = Sim::new();
    let accepted = OwnPush { tried_at: Timestamp(1), accepted_at: Some(Timestamp(2)) };
    sim.pushed = Some(accepted.clone());
    sim.err("x.err", "down");
    sim.event(EventContent::Text {
        file: file("x.msg", Growth::Created, Timestamp(0)),
        excerpt: Excerpt::of("door open"),
    });
    sim.heard(&[]);
    sim.pushed = Some(OwnPush { accepted_at: None, ..accepted });
    sim.err("x.err", "worse");
    sim.exec(0);
    sim.heard(&["00:00 new: worse (2)", "00:00 over: RunEnded (2)"]);
}

#[test]
fn a_message_is_told_at_once_and_the_same_within_ten_minutes_is_counted() {
    let mut sim = Sim::new();
    let say = |sim: &mut Sim, text: &str| {
        sim.event(EventContent::Text {
            file: file("x.msg", Growth::Rewritten, Timestamp(0)),
            excerpt: Excerpt::of(text),
        });
    };
    say(&mut sim, "battery low");
    say(&mut sim, "door open");
    sim.pass(MINUTE);
    say(&mut sim, "battery low");
    sim.seen("x.msg");
    sim.pass(10 * MINUTE);
    sim.seen("x.msg");
    sim.heard(&["00:00 message: battery low (1)", "00:00 message: door open (1)", "00:11 message: battery low (3)"]);
    assert_eq!((sim.facts.state(), sim.facts.is_task()), (State::Ok, false));
}

#[test]
fn an_error_that_no_message_has_shown_is_news_when_it_comes_again() {
    let mut sim = Sim::new();
    sim.err("x.err", "down");
    sim.err("x.err", "disk on fire");
    sim.told.clear();
    sim.err("x.err", "disk on fire");
    sim.heard(&[]);
    let shown = olog_proto::fingerprint::fingerprints("disk on fire");
    sim.facts.not_told(&shown.iter().map(olog_proto::FingerprintText::fingerprint).collect::<Vec<_>>());
    sim.err("x.err", "disk on fire");
    sim.heard(&["00:00 new: disk on fire (4)"]);
}

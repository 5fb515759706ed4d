//! Tables: what a silence holds, when, and what is kept of what it held.

use chrono_tz::Tz;
use olog_proto::Excerpt;
use olog_push::{Kind, ResolvedBy};

use super::*;

const NOW: Timestamp = Timestamp(1_780_000_000_000);
const HOUR: i64 = 60 * MINUTE;

fn scope(device: &str, task: Option<&str>, fingerprint: Option<u64>) -> Scope {
    Scope { device: device.to_owned(), task: task.map(str::to_owned), fingerprint: fingerprint.map(Fingerprint) }
}

fn silence(id: u64, scope: Scope) -> Silence {
    Silence { id, scope, period: Period { from: NOW, until: Some(NOW.plus(HOUR)) }, every: None }
}

fn windows(schedule: &str, zone: Tz, hours: i64) -> Recurrence {
    Recurrence { schedule: schedule.parse().unwrap(), zone, lasts: hours * HOUR }
}

fn at(text: &str) -> Timestamp {
    Timestamp(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
}

fn error(of: &[u64]) -> (Vec<Fingerprint>, Option<&'static str>) {
    (of.iter().copied().map(Fingerprint).collect(), Some("mysql"))
}

#[test]
fn a_silence_holds_what_its_patterns_match_and_nothing_else() {
    let check = |scope: Scope, device: Option<&str>, (fingerprints, task): (Vec<Fingerprint>, Option<&str>)| {
        held_by(&[silence(3, scope)], About { device, task, fingerprints: &fingerprints }, NOW).is_some()
    };
    let plain = || error(&[1]);
    assert!(check(scope("web-*", None, None), Some("web-1"), plain()));
    assert!(!check(scope("web-*", None, None), Some("db"), plain()));
    assert!(check(scope("*", Some("my?ql"), None), Some("db"), plain()));
    assert!(!check(scope("*", Some("rsync"), None), Some("db"), plain()));
    // The device itself: only what is meant for all of it.
    assert!(check(scope("db", None, None), Some("db"), (vec![], None)));
    assert!(!check(scope("db", Some("*"), None), Some("db"), (vec![], None)));
    // What is no device's is Olog's own.
    assert!(!check(scope("*", None, None), None, (vec![], None)));
    // One error: all that a notice tells of must be spoken of.
    assert!(check(scope("*", None, Some(1)), Some("db"), error(&[1])));
    assert!(!check(scope("*", None, Some(1)), Some("db"), error(&[1, 2])));
    assert!(!check(scope("*", None, Some(1)), Some("db"), error(&[])), "an end, a device: it tells of no error");
}

#[test]
fn errors_may_be_held_by_a_silence_each() {
    let silences = [silence(1, scope("*", None, Some(1))), silence(2, scope("db", Some("mysql"), Some(2)))];
    let (fingerprints, task) = error(&[1, 2]);
    let by = |device| held_by(&silences, About { device: Some(device), task, fingerprints: &fingerprints }, NOW);
    assert_eq!(by("db"), Some(1));
    assert_eq!(by("web"), None);
}

#[test]
fn a_silence_holds_from_its_begin_until_its_end() {
    let silence = silence(1, scope("*", None, None));
    for (after, holds) in [(-1, false), (0, true), (HOUR - 1, true), (HOUR, false), (1_000 * HOUR, false)] {
        assert_eq!(silence.holds(NOW.plus(after)), holds, "{after}");
    }
    // A clock that was set back to before it: nobody waits for a year that comes again.
    assert!(!silence.holds(NOW.plus(-365 * 24 * HOUR)));
    let endless = Silence { period: Period { from: NOW, until: None }, ..silence };
    assert!(endless.holds(NOW.plus(1_000_000 * HOUR)));
}

#[test]
fn a_window_that_comes_again_is_found_by_whoever_looks() {
    let every = windows("0 2 * * 0", chrono_tz::Europe::Berlin, 3);
    // 2026-03-29 is the Sunday on which Berlin has no 02:00: the window begins with the first instant that there is.
    for (now, from, holds) in [
        ("2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", false),
        ("2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z", false),
        ("2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", true),
        ("2026-03-29T03:59:59Z", "2026-03-29T01:00:00Z", true),
        ("2026-03-29T04:00:00Z", "2026-04-05T00:00:00Z", false),
        ("2026-04-05T02:59:00Z", "2026-04-05T00:00:00Z", true),
    ] {
        // Nobody has looked at it for a long time.
        let long_ago = Period { from: Timestamp(0), until: Some(Timestamp(1)) };
        let rule = Silence { period: long_ago, every: Some(every.clone()), ..silence(1, scope("*", None, None)) };
        assert_eq!(rule.period(at(now)).unwrap().from, at(from), "{now}");
        assert_eq!(rule.holds(at(now)), holds, "{now}");
    }
}

#[test]
fn bad_input_is_refused_in_words() {
    let good = Period { from: NOW, until: Some(NOW.plus(HOUR)) };
    let check = |scope: &Scope, period: Period| scope.check().and_then(|()| period.check(scope, NOW));
    assert_eq!(check(&scope("db", None, None), good), Ok(()));
    for device in ["", "a\nb", &"x".repeat(201)] {
        assert_eq!(check(&scope(device, None, None), good), Err(Refused::Pattern { what: "device" }));
    }
    assert_eq!(check(&scope("*", Some(""), None), good), Err(Refused::Pattern { what: "task" }));
    let endless = Period { until: None, ..good };
    assert_eq!(check(&scope("*", None, None), endless), Err(Refused::Endless));
    assert_eq!(check(&scope("*", None, Some(1)), endless), Ok(()));
    let until = |ms| Period { from: NOW, until: Some(NOW.plus(ms)) };
    assert_eq!(check(&scope("*", None, None), until(0)), Err(Refused::Over));
    assert_eq!(check(&scope("*", None, None), until(MINUTE - 1)), Err(Refused::Lasts));
    assert_eq!(check(&scope("*", None, None), until(367 * DAY)), Err(Refused::Lasts));
    let late = Period { from: NOW.plus(367 * DAY), until: Some(NOW.plus(367 * DAY + HOUR)) };
    assert_eq!(check(&scope("*", None, None), late), Err(Refused::Lasts));
    let utc = chrono_tz::UTC;
    assert_eq!(windows("@daily", utc, 23).check(NOW), Ok(()));
    assert_eq!(windows("@daily", utc, 24).check(NOW), Err(Refused::Overlaps));
    assert_eq!(windows("0 2 * * 6,0", utc, 25).check(NOW), Err(Refused::Overlaps));
    assert_eq!(windows("0 2 * * 0", utc, 0).check(NOW), Err(Refused::Lasts));
}

#[test]
fn what_is_held_of_a_matter_follows_what_a_person_would_have_heard() {
    use Transition::{Begins, Ends, GoesOn, Happens};
    const HELD: Option<u64> = Some(7);
    let check = |steps: &[(Transition, Option<u64>)]| {
        let mut held = None;
        let mut told = String::new();
        for (transition, by) in steps {
            let (verdict, next) = step(held, *transition, *by);
            held = next;
            told.push(if verdict == HoldDecision::Tell { 't' } else { '-' });
        }
        (told, held.map(|h| (h.knew, h.is_over)))
    };
    for (steps, told, left) in [
        (vec![(Begins, HELD)], "-", Some((false, false))),
        (vec![(Begins, HELD), (Ends, HELD)], "--", None),
        (vec![(Begins, HELD), (Ends, None)], "--", None),
        (vec![(Begins, HELD), (Ends, HELD), (Begins, HELD)], "---", Some((false, false))),
        (vec![(Begins, None), (GoesOn, HELD)], "t-", Some((true, false))),
        (vec![(Begins, None), (Ends, HELD)], "t-", Some((true, true))),
        (vec![(Begins, None), (Ends, HELD), (Begins, HELD)], "t--", Some((true, false))),
        (vec![(Begins, None), (Ends, HELD), (Begins, HELD), (Ends, HELD)], "t---", Some((true, true))),
        (vec![(Begins, HELD), (GoesOn, None), (Ends, HELD)], "-t-", Some((true, true))),
        (vec![(Happens, HELD)], "-", None),
        (vec![(Begins, None), (Ends, None)], "tt", None),
    ] {
        assert_eq!(check(&steps), (told.to_owned(), left), "{steps:?}");
    }
}

fn notice(content: Content) -> Notice {
    Notice {
        kind: Kind::Err,
        incident: Some(17),
        device: Some("db".into()),
        address: None,
        task: Some("mysql".into()),
        at: NOW,
        silence: None,
        content,
    }
}

fn error_of(why: Reason) -> Notice {
    let excerpt = Excerpt::of("down");
    let path = String::new();
    notice(Content::Error {
        why,
        excerpt,
        path,
        fingerprint: None,
        last_good_at: None,
        began_at: NOW,
        n_seen: 1,
        facts: Box::default(),
    })
}

#[test]
fn the_first_sign_says_more_than_a_reminder_of_it() {
    let excerpt = Excerpt::of("down");
    let remind = notice(Content::Remind { began_at: NOW, n_seen: 2, last_error_at: NOW, excerpt, reopened: None });
    let over = notice(Content::Over {
        ground: ResolvedBy::Cleared,
        began_at: NOW,
        n_seen: 1,
        acknowledged_at: None,
        reopened: None,
        said_by: None,
    });
    assert!(keeps(&error_of(Reason::First), &error_of(Reason::NewFingerprint)));
    assert!(keeps(&error_of(Reason::First), &remind));
    assert!(!keeps(&remind, &error_of(Reason::NewFingerprint)));
    assert!(!keeps(&over, &error_of(Reason::Reopened)), "it has begun again since");
}

#[test]
fn what_is_ologs_own_is_not_held() {
    let system = |code, incident| Notice {
        kind: Kind::System,
        incident,
        ..notice(Content::System { code, args: std::collections::BTreeMap::new() })
    };
    assert!(may_hold(&error_of(Reason::First)));
    assert!(may_hold(&system(SystemCode::AgentNote, Some(3))));
    assert!(!may_hold(&system(SystemCode::AgentNote, None)), "it only happened: it would be lost");
    assert!(!may_hold(&system(SystemCode::TwoMachines, Some(3))));
    assert!(!may_hold(&system(SystemCode::ChannelFailing, Some(3))));
}

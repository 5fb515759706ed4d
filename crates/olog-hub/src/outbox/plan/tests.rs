use olog_push::{Kind, Notice, SystemCode};

use super::*;
use crate::apply;

const NOW: Timestamp = Timestamp(1_780_000_000_000);

fn receiver(id: &str) -> Receiver {
    Receiver { id: id.to_owned() }
}

fn row(place: RetryTier) -> Claimed {
    let notice = apply::system_notice(None, SystemCode::HubFirstStart, &[], NOW);
    Claimed { id: 1, notice: Notice { kind: Kind::System, ..notice }, left: None, place, n_attempts: 0 }
}

fn yes() -> Answer {
    Answer::Accepted { words: "ok".to_owned() }
}

fn later(seconds: Option<u64>) -> Answer {
    Answer::Later { after: seconds.map(Duration::from_secs), why: "busy".to_owned() }
}

fn refused(class: Refusal) -> Answer {
    Answer::Refused { class, why: "no".to_owned() }
}

fn call(n: usize, place: RetryTier, answers: &[(&str, Answer)]) -> CallRecord {
    let answers = answers.iter().map(|(id, answer)| (receiver(id), answer.clone())).collect();
    let rows = std::iter::repeat_n(row(place), n).collect();
    CallRecord {
        rows,
        counted: HashSet::new(),
        answers,
        title: "t".to_owned(),
        sent_at: NOW,
        done_at: NOW,
        jitter: 1.0,
    }
}

fn known(facts: ChannelFacts) -> ChannelState {
    ChannelState { facts, incident: None, has_begun: false }
}

fn made(call: &CallRecord, known: &ChannelState) -> CallPlan {
    plan(call, &[receiver("a"), receiver("b")], known)
}

#[test]
fn a_back_off_grows_to_its_bound_and_no_further() {
    assert_eq!((back_off(1, 0.0), back_off(1, 1.0)), (1_000, 2_000));
    assert_eq!(back_off(2, 1.0), 4_000);
    assert!((1..=u32::MAX).step_by(1 << 24).all(|n| back_off(n, 1.0) <= BACK_OFF.1));
    assert_eq!(back_off(u32::MAX, 1.0), BACK_OFF.1);
}

#[test]
fn rows_leave_only_when_the_last_receiver_has_accepted() {
    let all = made(&call(3, RetryTier::Fresh, &[("a", yes()), ("b", yes())]), &known(ChannelFacts::default()));
    assert_eq!((all.rows, all.incident), (RowsPlan::Done(RowEnd::Accepted), IncidentChange::Nothing));
    let one = made(&call(3, RetryTier::Fresh, &[("a", yes()), ("b", later(None))]), &known(ChannelFacts::default()));
    let left = Some(vec!["b".to_owned()]);
    assert_eq!(one.rows, RowsPlan::Wait { left, place: RetryTier::After, not_before: Some(NOW.plus(2_000)) });
    assert_eq!(one.facts, ChannelFacts::default(), "the channel works");
    let unsubscribed = [("a", yes()), ("b", refused(Refusal::Receiver))];
    let aside = made(&call(3, RetryTier::Fresh, &unsubscribed), &known(ChannelFacts::default()));
    assert_eq!(aside.rows, RowsPlan::Done(RowEnd::Accepted));
    assert_eq!((aside.facts.refused, aside.set_aside), (vec!["b".to_owned()], vec![("b".to_owned(), "no".to_owned())]));
}

#[test]
fn each_failure_waits_in_its_own_way() {
    let fails = |answer: Answer, facts: &ChannelFacts| {
        made(&call(1, RetryTier::Fresh, &[("a", answer.clone()), ("b", answer)]), &known(facts.clone()))
    };
    let fresh = ChannelFacts::default();
    let busy = fails(later(None), &fresh);
    assert_eq!((busy.facts.next_at, busy.facts.n_failed, busy.facts.paused_at), (Some(NOW.plus(2_000)), 1, None));
    assert_eq!(busy.rows, RowsPlan::Wait { left: None, place: RetryTier::Fresh, not_before: None });
    let named = fails(later(Some(3_600)), &fresh);
    assert_eq!(named.facts.next_at, Some(NOW.plus(3_600_000)), "the service's own wait counts");
    let password = fails(refused(Refusal::Credential), &fresh);
    assert_eq!((password.facts.next_at, password.facts.paused_at), (Some(NOW.plus(PROBE_EVERY)), Some(NOW)));
    assert_eq!(
        password.incident,
        IncidentChange::Begin { answer: "no".to_owned() },
        "at once: a person has to do something"
    );
    let form = fails(refused(Refusal::Format), &fresh);
    assert_eq!((form.facts, form.rows), (fresh.clone(), RowsPlan::Done(RowEnd::Refused)), "it blocks nobody");
    let forms = made(&call(2, RetryTier::Fresh, &[("a", refused(Refusal::Format))]), &known(fresh));
    assert_eq!(forms.rows, RowsPlan::Wait { left: None, place: RetryTier::Alone, not_before: None });
}

#[test]
fn a_channel_that_fails_for_a_minute_is_an_incident_once_until_it_works_again() {
    let failing = ChannelFacts { failing_at: Some(NOW.plus(-TELL_AFTER)), n_failed: 5, ..ChannelFacts::default() };
    let busy = call(1, RetryTier::Fresh, &[("a", later(None))]);
    let of = |incident, has_begun| made(&busy, &ChannelState { facts: failing.clone(), incident, has_begun }).incident;
    assert_eq!(of(None, false), IncidentChange::Begin { answer: "busy".to_owned() });
    assert_eq!(of(Some(7), true), IncidentChange::Nothing, "it is open");
    assert_eq!(of(None, true), IncidentChange::Nothing, "a person has closed it: the next probe does not open another");
    let short = ChannelFacts { failing_at: Some(NOW.plus(1 - TELL_AFTER)), ..failing.clone() };
    assert_eq!(made(&busy, &known(short)).incident, IncidentChange::Nothing);
    let works = call(1, RetryTier::Fresh, &[("a", yes()), ("b", yes())]);
    let end = made(&works, &ChannelState { facts: failing.clone(), incident: Some(7), has_begun: true });
    assert_eq!(end.incident, IncidentChange::End { number: 7, failing_at: failing.failing_at });
    assert_eq!(end.facts, ChannelFacts::default());
}

#[test]
fn a_message_that_is_refused_while_others_are_taken_is_no_failure_of_the_channel() {
    let unknown = refused(Refusal::Other);
    let first = made(&call(100, RetryTier::Fresh, &[("a", unknown.clone())]), &known(ChannelFacts::default()));
    assert_eq!(first.facts.n_failed, 1, "at first nobody knows whose trouble it is");
    assert_eq!(first.rows, RowsPlan::Wait { left: None, place: RetryTier::After, not_before: None });
    let again = made(&call(100, RetryTier::After, &[("a", unknown)]), &known(ChannelFacts::default()));
    assert_eq!(
        (again.facts.n_failed, again.rows),
        (0, RowsPlan::Wait { left: None, place: RetryTier::Few, not_before: None })
    );
}

#[test]
fn an_error_that_a_message_only_counted_does_not_count_as_told() {
    let error = |id: i64| {
        let text = format!("disk {id} is broken");
        let fingerprints: Vec<Fingerprint> = vec![olog_proto::FingerprintText::of(&text).fingerprint()];
        let content = Content::Error {
            why: olog_push::Reason::First,
            excerpt: olog_proto::Excerpt::of(&text),
            path: String::new(),
            fingerprint: None,
            last_good_at: None,
            began_at: NOW,
            n_seen: 1,
            facts: Box::new(olog_push::ErrorFacts { fingerprints, ..Default::default() }),
        };
        let mut row = row(RetryTier::Fresh);
        (row.id, row.notice.incident, row.notice.content) = (id, Some(id.cast_unsigned()), content);
        row
    };
    let sent = |answer: Answer| CallRecord {
        rows: vec![error(1), error(2)],
        counted: HashSet::from([2]),
        ..call(0, RetryTier::Fresh, &[("a", answer)])
    };
    let accepted = sent(yes());
    let not_told: Vec<u64> = accepted.not_told().into_iter().map(|(incident, _)| incident).collect();
    assert_eq!(not_told, [2]);
    assert_eq!(sent(later(None)).not_told().len(), 0, "nothing has left");
}

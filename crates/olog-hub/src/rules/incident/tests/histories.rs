//! Random histories: whatever comes in whatever order, some things always hold.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Write { name: usize, text: usize, change: usize, began: i64, closed: bool, sibling: bool, history: bool },
    Seen { name: usize, times: u32 },
    Cleared { name: usize, deleted: bool },
    Ended { exit: Option<i32>, signal: Option<i32>, duration: u64 },
    Pass { ms: i64, here: bool },
    Late { ms: i64 },
    Acknowledge,
    Close,
    ReadAgain,
}

const NAMES: [&str; 7] = ["t.log", "t.err", "t.msg", "t.scanerr", "@t@2.err", "@t@2.log", "@t@3.err"];
const TEXTS: [&str; 9] = ["down", "no space", "worse 17", "alpha", "bravo", "charlie", "delta", "echo", " \n"];

fn step() -> impl Strategy<Value = Step> {
    let span = prop_oneof![0..2 * MINUTE, 0..2 * HOUR, 0..3 * DAY];
    prop_oneof![
        8 => (0..NAMES.len(), 0..TEXTS.len(), 0..3_usize, -2 * HOUR..MINUTE, any::<bool>(), any::<bool>(), prop::bool::weighted(0.05))
            .prop_map(|(name, text, change, began, closed, sibling, history)| Step::Write { name, text, change, began, closed, sibling, history }),
        3 => (0..NAMES.len(), 0..5_u32).prop_map(|(name, times)| Step::Seen { name, times }),
        3 => (0..NAMES.len(), any::<bool>()).prop_map(|(name, deleted)| Step::Cleared { name, deleted }),
        2 => (prop::option::of(0..2), prop::option::weighted(0.1, 1..20), any::<u64>())
            .prop_map(|(exit, signal, duration)| Step::Ended { exit, signal, duration }),
        8 => (span, prop::bool::weighted(0.8)).prop_map(|(ms, here)| Step::Pass { ms, here }),
        1 => (-HOUR..3 * DAY).prop_map(|ms| Step::Late { ms }),
        1 => Just(Step::Acknowledge),
        1 => Just(Step::Close),
        1 => Just(Step::ReadAgain),
    ]
}

/// What the outcomes say must hold, counted beside the facts.
#[derive(Default)]
struct Ledger {
    is_open: bool,
    has_been_told: bool,
    n_in_incident: u64,
}

impl Ledger {
    fn check(&mut self, facts: &TaskFacts, outcomes: &[IncidentEffect]) {
        for outcome in outcomes {
            match outcome {
                IncidentEffect::Begin | IncidentEffect::Reopen => {
                    assert!(!self.is_open, "an open incident begins");
                    self.is_open = true;
                    if *outcome == IncidentEffect::Begin {
                        assert!(!self.has_been_told, "told of an end never");
                        self.n_in_incident = 0;
                    }
                }
                IncidentEffect::Update => {}
                IncidentEffect::End { .. } => {
                    assert!(self.is_open, "an end without a begin");
                    self.is_open = false;
                }
                IncidentEffect::Notify { content: Content::Error { .. }, .. } => self.has_been_told = true,
                IncidentEffect::Notify { content: Content::Over { .. }, .. } => {
                    assert!(self.has_been_told && !self.is_open, "an end was told to who knew of no begin");
                    self.has_been_told = false;
                }
                IncidentEffect::Notify { content: Content::Remind { .. }, .. } => {
                    assert!(self.has_been_told && self.is_open)
                }
                IncidentEffect::Notify { .. } => {}
            }
        }
        assert_eq!(self.is_open, facts.state() == State::Err && facts.incident().is_some());
    }
}

fn event_of(step: &Step, at: Timestamp) -> Option<EventContent> {
    let (task, run) = ("t".parse().unwrap(), "r".to_owned());
    Some(match *step {
        Step::Write { name, text, change, began, closed, sibling, history } => EventContent::Text {
            file: File {
                closed,
                history,
                sibling_err: sibling,
                ..file(NAMES[name], [Growth::Created, Growth::Rewritten, Growth::Grown][change], at.plus(began))
            },
            excerpt: Excerpt::of(TEXTS[text]),
        },
        Step::Seen { name, times } => EventContent::Seen { file: file(NAMES[name], Growth::Rewritten, at), times },
        Step::Cleared { name, deleted } => {
            let (task, suffix) = TaskName::of_file(NAMES[name].as_bytes()).unwrap();
            EventContent::Cleared { task, suffix, path: format!("/ologs/{}", NAMES[name]), deleted }
        }
        Step::Ended { exit, signal, duration } => EventContent::RunEnded {
            task,
            run,
            exit,
            signal,
            duration,
            excerpt: Excerpt::default(),
            fingerprints: vec![],
        },
        _ => return None,
    })
}

/// How many errors an event stands for.
fn n_errors(what: &EventContent) -> u64 {
    match what {
        EventContent::Text { file, excerpt } => {
            u64::from(file.suffix.is_error() && !excerpt.is_blank() && !file.history)
        }
        EventContent::Seen { file, times } if file.suffix.is_error() => u64::from(*times).max(1),
        EventContent::RunEnded { exit, signal, .. } => u64::from(*exit != Some(0) || signal.is_some()),
        _ => 0,
    }
}

fn play(steps: &[Step], reads_again: bool) -> (TaskFacts, Vec<IncidentEffect>) {
    let policy = AlertPolicy::default();
    let mut facts = TaskFacts::default();
    let mut ledger = Ledger::default();
    let (mut now, mut late, mut all) = (Timestamp(100 * DAY), 0, Vec::new());
    for step in steps {
        let mut outcomes = Vec::new();
        match step {
            Step::Pass { ms, here } => {
                now = now.plus(*ms);
                outcomes = facts.due(now, here.then_some(Timestamp(0)), &policy);
                assert!(facts.due_at(&policy).is_none_or(|due| due > now), "due leaves something due");
            }
            Step::Late { ms } => late = *ms,
            Step::Acknowledge => assert!(!facts.acknowledge(now) || facts.incident().is_some()),
            Step::Close => outcomes = facts.close(now),
            Step::ReadAgain if reads_again => {
                facts = serde_json::from_str(&serde_json::to_string(&facts).unwrap()).unwrap();
            }
            Step::ReadAgain => {}
            _ => {
                let at = now.plus(-late);
                let what = event_of(step, at).unwrap();
                let n = n_errors(&what);
                let event = Event {
                    n: 1,
                    at: olog_proto::DeviceTime(at),
                    boot: Id128([0; 16]),
                    up: 0,
                    what,
                    by: None,
                    pushed: None,
                };
                outcomes = facts.observe(&event, at, now, &policy);
                ledger.check(&facts, &outcomes);
                if n > 0 {
                    ledger.n_in_incident += n;
                    assert_eq!(facts.incident().unwrap().n_seen, ledger.n_in_incident, "every error is counted once");
                }
                all.append(&mut outcomes);
                continue;
            }
        }
        ledger.check(&facts, &outcomes);
        all.append(&mut outcomes);
    }
    (facts, all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_history_keeps_the_promises(steps in prop::collection::vec(step(), 0..150)) {
        let (facts, outcomes) = play(&steps, true);
        prop_assert!(serde_json::to_vec(&facts).unwrap().len() < 16 * 1024);
        // However often the facts were stored and read in between, they and what came of them are the same.
        prop_assert_eq!(play(&steps, false), (facts, outcomes));
    }
}

#[test]
fn facts_are_bounded_whatever_comes() {
    let (mut facts, policy) = (TaskFacts::default(), AlertPolicy::default());
    let long = "错".repeat(2000);
    for n in 0..1000_u32 {
        let word: String = n.to_string().chars().map(|c| char::from(b'a' + c as u8 - b'0')).collect();
        for suffix in ["err", "msg", "log", "scanerr"] {
            let mut file = file(&format!("@t@{n}.{suffix}"), Growth::Created, Timestamp(0));
            file.path = format!("/{}/{n}.{suffix}", "d".repeat(4000));
            file.fingerprints = (0..20).map(|i| FingerprintText::of(&format!("{word} {}", TEXTS[i % 8]))).collect();
            let what = EventContent::Text { file, excerpt: Excerpt::of(&format!("{word} {long}")) };
            let at = Timestamp(i64::from(n) * SECOND);
            facts.observe(
                &Event {
                    n: 1,
                    at: olog_proto::DeviceTime(at),
                    boot: Id128([0; 16]),
                    up: 0,
                    what,
                    by: None,
                    pushed: None,
                },
                at,
                at,
                &policy,
            );
        }
    }
    let size = serde_json::to_vec(&facts).unwrap().len();
    assert!(size < 64 * 1024, "{size} bytes");
}

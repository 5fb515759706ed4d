//! The wire as it is: golden frames that stay readable for ever, and what any bytes at all may do to a decoder.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic here is a failed test")]

use std::{collections::BTreeSet, fs, path::PathBuf};

use olog_proto::{
    AgentFrame, DeviceTime, Event, EventContent, Excerpt, File, FingerprintText, FrameError, Growth, HubFrame,
    JoinLink, LogKind, Note, OwnPush, TaskName, Timestamp,
    event::Id128,
    fingerprint::fingerprints,
    frame::{Auth, Refusal},
    identity::{Nonce, PublicKey, Signature},
    job::{JOBS_MAX, JobAnswer, JobAnswers, JobOutcome, JobSchedule, ProposedJob, SCHEDULE_MAX, SPAN_MAX},
    name::escape,
};
use proptest::prelude::*;
use serde_json::Value;

fn golden() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut files: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// `agent-…` files are what agents say, `hub-…` files what hubs say.
fn through(name: &str, text: &str) -> Result<String, FrameError> {
    if name.starts_with("agent-") { AgentFrame::decode(text)?.encode() } else { HubFrame::decode(text)?.encode() }
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn golden_frames_are_read_and_written_as_they_are() {
    for (name, text) in golden() {
        let written = through(&name, &text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(value(&written), value(&text), "{name}");
    }
}

#[test]
fn there_is_a_golden_frame_of_every_kind() {
    let frames: Vec<Value> = golden().iter().map(|(_, text)| value(text)).collect();
    let key = |v: &Value| v.as_object().unwrap().keys().next().unwrap().clone();
    let kinds: BTreeSet<String> = frames.iter().map(key).collect();
    let expected = ["ack", "auth", "bye", "events", "hello", "jobs", "refused", "rotate", "rotated", "welcome"];
    assert!(expected.iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
    let events = frames.iter().filter_map(|frame| frame.pointer("/events/events")?.as_array()).flatten();
    let kinds: BTreeSet<String> = events.map(|event| key(event.get("what").unwrap())).collect();
    assert_eq!(
        kinds.iter().map(String::as_str).collect::<Vec<_>>(),
        ["cleared", "note", "run_ended", "run_started", "seen", "text"]
    );
    let whys: BTreeSet<&str> = frames.iter().filter_map(|frame| frame.pointer("/refused/why")?.as_str()).collect();
    let expected = ["bad_frame", "bad_proof", "busy", "displaced", "new_epoch", "pending", "revoked"];
    assert!(expected.iter().all(|why| whys.contains(why)), "{whys:?}");
}

/// Puts a field that nobody knows into every object that is not an enum's `{kind: …}`.
fn with_unknown_fields(value: &mut Value, depth: usize) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(|v| with_unknown_fields(v, depth + 1));
            // A frame and a `what` hold exactly their kind.
            let is_kind = fields.len() == 1 && fields.values().all(Value::is_object);
            if !is_kind && depth > 0 {
                fields.insert("from_a_newer_version".to_owned(), Value::from(vec![1, 2, 3]));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| with_unknown_fields(v, depth + 1)),
        _ => {}
    }
}

#[test]
fn fields_of_a_newer_version_are_passed_over() {
    for (name, text) in golden() {
        let mut newer = value(&text);
        with_unknown_fields(&mut newer, 0);
        assert_ne!(newer, value(&text), "{name}");
        let written = through(&name, &newer.to_string()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(value(&written), value(&text), "{name}");
    }
}

#[test]
fn a_kind_that_nobody_knows_is_refused_by_name() {
    for text in [r#"{"execute": {"command": "rm"}}"#, r#"{"execute": {}, "bye": {"why": "stop"}}"#] {
        let (agent, hub) = (AgentFrame::decode(text).unwrap_err(), HubFrame::decode(text).unwrap_err());
        assert!(agent.to_string().contains("execute") && hub.to_string().contains("execute"), "{agent} / {hub}");
    }
}

#[test]
fn a_reason_of_a_newer_hub_is_a_refusal_all_the_same() {
    let frame = HubFrame::decode(r#"{"refused": {"why": "full_moon", "detail": "tonight"}}"#).unwrap();
    assert_eq!(frame, HubFrame::Refused { why: Refusal::Unknown });
}

#[test]
fn every_bound_is_kept() {
    let huge = format!(r#"{{"bye": {{"why": "{}"}}}}"#, "x".repeat(olog_proto::FRAME_MAX));
    assert!(matches!(AgentFrame::decode(&huge), Err(FrameError::TooLarge(_))));
    let long = AgentFrame::Bye { why: "x".repeat(olog_proto::TEXT_MAX + 1) }.encode().unwrap();
    assert!(matches!(AgentFrame::decode(&long), Err(FrameError::TooLong)));
    let frame = |from, ns: &[u64]| {
        let events = ns.iter().map(|&n| note(n, String::new())).collect();
        AgentFrame::decode(&AgentFrame::Events { from, events }.encode().unwrap())
    };
    assert!(frame(7, &[7, 8]).is_ok());
    for (from, ns) in [(7, &[][..]), (7, &[7, 9]), (7, &[8]), (0, &[0]), (u64::MAX, &[u64::MAX]), (1 << 63, &[1 << 63])]
    {
        assert!(matches!(frame(from, ns), Err(FrameError::BadNumbers)), "{from} {ns:?}");
    }
    let many: Vec<u64> = (1..=olog_proto::FRAME_EVENTS_MAX as u64 + 1).collect();
    assert!(matches!(frame(1, &many), Err(FrameError::BadNumbers)));
    let text = AgentFrame::Events { from: 1, events: vec![note(1, "x".repeat(4 * olog_proto::TEXT_MAX + 1))] };
    assert!(matches!(AgentFrame::decode(&text.encode().unwrap()), Err(FrameError::TooLong)));
}

#[test]
fn a_frame_of_jobs_is_bounded() {
    let job = |when: JobSchedule| ProposedJob { task: "t".parse().unwrap(), when, slack: 0, grace: None };
    let every = |period| job(JobSchedule::Every { period });
    let frame = |jobs| AgentFrame::decode(&AgentFrame::Jobs { jobs }.encode().unwrap());
    assert!(frame(vec![every(60_000); JOBS_MAX]).is_ok());
    assert!(matches!(frame(Vec::new()), Err(FrameError::BadJobs)));
    assert!(matches!(frame(vec![every(60_000); JOBS_MAX + 1]), Err(FrameError::BadJobs)));
    let calendar =
        |schedule: &str, zone: &str| job(JobSchedule::Calendar { schedule: schedule.into(), zone: zone.into() });
    let long = "x".repeat(SCHEDULE_MAX + 1);
    let unbounded = [
        calendar(&long, "UTC"),
        calendar("@daily", &long),
        every(0),
        every(SPAN_MAX + 1),
        ProposedJob { slack: SPAN_MAX + 1, ..every(1) },
        ProposedJob { grace: Some(u64::MAX), ..every(1) },
    ];
    for job in unbounded {
        assert!(matches!(frame(vec![job.clone()]), Err(FrameError::TooLong)), "{job:?}");
    }
    let hostile = frame(vec![calendar("@daily\u{1b}[2J", "UTC")]).unwrap();
    assert_eq!(hostile, AgentFrame::Jobs { jobs: vec![calendar("@daily[2J", "UTC")] });
    let answer = JobAnswer { task: "t".parse().unwrap(), outcome: JobOutcome::Proposed, detail: String::new() };
    let answers = vec![answer; JOBS_MAX + 1];
    let text = HubFrame::Jobs(JobAnswers { device: "d".parse().unwrap(), answers }).encode().unwrap();
    assert!(matches!(HubFrame::decode(&text), Err(FrameError::TooLong)));
    let newer = r#"{"jobs": {"device": "d", "answers": [{"task": "t", "outcome": "postponed"}]}}"#;
    let HubFrame::Jobs(newer) = HubFrame::decode(newer).unwrap() else { panic!("another frame") };
    assert_eq!(newer.answers[0].outcome, JobOutcome::Unknown);
}

fn note(n: u64, text: String) -> Event {
    let what = EventContent::Note(Note { code: "log_dir_missing".into(), path: None, text, over: false, once: false });
    Event { n, at: DeviceTime(Timestamp(0)), boot: Id128([0; 16]), up: 0, what, by: None, pushed: None }
}

/// What may be one line of a frame: anything that no decoder would clean.
fn line(max: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!(".{{0,{max}}}")).unwrap().prop_map(olog_proto::clean::line)
}

/// The same, of several lines.
fn text(max: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("(?s).{{0,{max}}}")).unwrap().prop_map(olog_proto::clean::text)
}

fn task() -> impl Strategy<Value = TaskName> {
    "\\PC{1,60}".prop_filter_map("not a name", |text| TaskName::try_from(text).ok())
}

fn suffix() -> impl Strategy<Value = LogKind> {
    proptest::sample::select(&LogKind::ALL[..])
}

fn file() -> impl Strategy<Value = File> {
    let change = proptest::sample::select(&[Growth::Created, Growth::Rewritten, Growth::Grown][..]);
    let texts = proptest::collection::vec(".{0,300}".prop_map(|text| FingerprintText::of(&text)), 0..20);
    (task(), suffix(), line(200), change, proptest::option::of(any::<i64>()), any::<[bool; 3]>(), texts).prop_map(
        |(task, suffix, path, change, began_at, [closed, sibling_err, history], fingerprints)| File {
            task,
            suffix,
            path,
            change,
            began_at: began_at.map(|at| DeviceTime(Timestamp(at))),
            closed,
            sibling_err,
            history,
            fingerprints,
        },
    )
}

fn excerpt() -> impl Strategy<Value = Excerpt> {
    (text(1200), any::<u32>(), text(700))
        .prop_map(|(start, between, end)| Excerpt::around(&start, between.into(), &end))
}

fn what() -> impl Strategy<Value = EventContent> {
    prop_oneof![
        (file(), excerpt()).prop_map(|(file, excerpt)| EventContent::Text { file, excerpt }),
        (file(), any::<u32>()).prop_map(|(file, times)| EventContent::Seen { file, times }),
        (task(), suffix(), line(50), any::<bool>()).prop_map(|(task, suffix, path, deleted)| EventContent::Cleared {
            task,
            suffix,
            path,
            deleted
        }),
        (task(), line(20)).prop_map(|(task, run)| EventContent::RunStarted { task, run }),
        (task(), line(20), any::<Option<i32>>(), any::<Option<i32>>(), any::<u64>(), excerpt()).prop_map(
            |(task, run, exit, signal, duration, excerpt)| {
                let fingerprints = fingerprints(excerpt.head());
                EventContent::RunEnded { task, run, exit, signal, duration, excerpt, fingerprints }
            }
        ),
        (line(20), proptest::option::of(line(40)), text(100), any::<[bool; 2]>())
            .prop_map(|(code, path, text, [over, once])| EventContent::Note(Note { code, path, text, over, once })),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let pushed = proptest::option::of((any::<i64>(), any::<Option<i64>>()));
    (1..i64::MAX as u64 - 1, any::<i64>(), any::<[u8; 16]>(), any::<u64>(), what(), pushed).prop_map(
        |(n, at, boot, up, what, pushed)| {
            let pushed = pushed.map(|(t, a)| OwnPush { tried_at: Timestamp(t), accepted_at: a.map(Timestamp) });
            Event { n, at: DeviceTime(Timestamp(at)), boot: Id128(boot), up, what, by: None, pushed }
        },
    )
}

fn agent_frame() -> impl Strategy<Value = AgentFrame> {
    let auth = (
        any::<[u8; 32]>(),
        "[a-z]{1,20}",
        proptest::option::of(line(40)),
        any::<[u64; 3]>(),
        any::<[u8; 16]>(),
        any::<i64>(),
    );
    prop_oneof![
        event().prop_map(|event| AgentFrame::Events { from: event.n, events: vec![event] }),
        line(50).prop_map(|why| AgentFrame::Bye { why }),
        any::<([u8; 32], [u8; 32])>().prop_map(|(key, half)| {
            let signature = Signature(std::array::from_fn(|i| half[i / 2]));
            AgentFrame::Rotate { key: PublicKey(key), signature, key_signature: signature }
        }),
        auth.prop_map(|(key, name, address, [last, up, s], id, time)| {
            let mut signature = [0; 64];
            signature[..8].copy_from_slice(&s.to_le_bytes());
            AgentFrame::Auth(Box::new(Auth {
                key: PublicKey(key),
                name: name.parse().unwrap(),
                address,
                version: "0.1.0".into(),
                epoch: Id128(id),
                last,
                boot: Id128(id),
                up,
                nonce: Nonce(key),
                time: Timestamp(time),
                signature: Signature(signature),
            }))
        }),
    ]
}

/// Text that resembles a frame: a golden one with a stretch of it exchanged.
fn nearly_a_frame() -> impl Strategy<Value = String> {
    let golden: Vec<String> = golden().into_iter().map(|(_, text)| text).collect();
    (proptest::sample::select(golden), any::<proptest::sample::Index>(), 0..40_usize, ".{0,20}").prop_map(
        |(text, at, length, other)| {
            let chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len());
            let end = (at + length).min(chars.len());
            chars[..at].iter().copied().chain(other.chars()).chain(chars[end..].iter().copied()).collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_survives_the_wire(frame in agent_frame()) {
        let text = frame.encode().unwrap();
        prop_assert_eq!(AgentFrame::decode(&text).unwrap(), frame);
    }

    #[test]
    fn the_own_push_is_not_part_of_an_events_digest(event in event()) {
        let plain = Event { pushed: None, ..event.clone() };
        let other = Event { n: event.n ^ 1, ..event.clone() };
        prop_assert_eq!(event.digest(), plain.digest());
        prop_assert_ne!(event.digest(), other.digest());
        let text = AgentFrame::Events { from: event.n, events: vec![event.clone()] }.encode().unwrap();
        let AgentFrame::Events { events, .. } = AgentFrame::decode(&text).unwrap() else { unreachable!() };
        prop_assert_eq!(events[0].digest(), event.digest());
    }

    #[test]
    fn no_text_makes_a_decoder_panic(text in prop_oneof![".{0,400}", nearly_a_frame()]) {
        // What is taken, is within its bounds and can be written again.
        if let Ok(frame) = AgentFrame::decode(&text) { frame.encode().unwrap(); }
        if let Ok(frame) = HubFrame::decode(&text) { frame.encode().unwrap(); }
        if let Ok(link) = text.parse::<JoinLink>() { prop_assert_eq!(link.to_string().parse::<JoinLink>().unwrap(), link); }
    }

    #[test]
    fn no_bytes_make_a_name_panic(bytes in proptest::collection::vec(any::<u8>(), 0..255)) {
        let escaped = escape(&bytes);
        prop_assert!(escaped.len() <= bytes.len() * 4 && !escaped.chars().any(olog_proto::name::is_unprintable));
        prop_assert!(olog_proto::name::path_text(&bytes.repeat(20)).len() <= olog_proto::PATH_MAX);
        for suffix in LogKind::ALL {
            // The kernel's bound for a name is 255 bytes, suffix and all.
            let stem = &bytes[..bytes.len().min(255 - 1 - suffix.as_str().len())];
            let name = [stem, b".", suffix.as_str().to_uppercase().as_bytes()].concat();
            let (task, of) = TaskName::of_file(&name).expect("every file of a watched suffix has a task");
            prop_assert_eq!(of, suffix);
            prop_assert!(task.as_str().len() <= olog_proto::TASK_NAME_MAX && !task.as_str().trim().is_empty());
        }
    }

    #[test]
    fn the_first_pair_of_ats_names_the_task(before in "[^@\\pC]{0,10}", task in "[^@\\pC\\s]{1,10}", after in "[^\\pC]{0,10}") {
        let (got, _) = TaskName::of_file(format!("{before}@{task}@{after}.err").as_bytes()).unwrap();
        prop_assert_eq!(got.as_str(), escape(task.as_bytes()));
    }

    #[test]
    fn without_a_pair_of_ats_the_stem_names_the_task(start in "[^@\\pC\\s]{1,10}", end in "[^@\\pC\\s]{0,10}") {
        for stem in [format!("{start}{end}"), format!("{start}@{end}"), format!("{start}@@{end}")] {
            let (got, _) = TaskName::of_file(format!("{stem}.log").as_bytes()).unwrap();
            prop_assert_eq!(got.as_str(), escape(stem.as_bytes()));
        }
    }

    #[test]
    fn reducing_twice_changes_nothing(text in ".{0,300}") {
        let once = FingerprintText::of(&text);
        prop_assert_eq!(FingerprintText::of(once.as_str()), once);
        let found = fingerprints(&text);
        prop_assert!(found.len() <= olog_proto::FINGERPRINTS_MAX && found.is_empty() == text.trim().is_empty());
    }
}

#[test]
fn an_event_says_who_caused_it_and_its_digest_does_not() {
    let plain = note(1, "x".into());
    let by = |name: &str| Event { by: Some(olog_proto::Author::new(1000, Some(name.into()))), ..plain.clone() };
    assert_eq!(plain.digest(), by("mallory").digest(), "an older hub, which ignores the field, sees the same event");
    let text = serde_json::to_string(&by("mallory")).unwrap();
    assert!(text.contains(r#""by":{"uid":1000,"name":"mallory"}"#), "{text}");
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), by("mallory"));
    let old = serde_json::to_string(&plain).unwrap();
    assert!(!old.contains("by"), "{old}");
    let hostile = text.replace("mallory", &format!("\\u001b[2J\\n{}", "x".repeat(1000)));
    let name = serde_json::from_str::<Event>(&hostile).unwrap().by.unwrap().name.unwrap();
    assert!(name.chars().count() <= 32 && !name.contains(['\u{1b}', '\n']), "{name:?}");
}

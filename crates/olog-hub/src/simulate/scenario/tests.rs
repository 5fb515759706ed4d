use super::*;

const START: Timestamp = Timestamp(1_795_276_800_000);

fn scenario(text: &str) -> Result<Scenario, Mistakes> {
    ScenarioFile::read("a.jsonl", text)?.in_zone(chrono_tz::Asia::Shanghai, START)
}

fn mistakes(text: &str) -> Vec<String> {
    scenario(text).unwrap_err().0
}

#[test]
fn times_are_of_a_day_of_a_date_or_after_the_line_before() {
    let text = r#"
        {"start": "2026-11-22"}
        # what a person notes is passed over
        {"at": "03:11:04", "device": "a", "is": "away"}
        {"at": "+5m", "device": "a", "is": "back"}
        {"at": "02:00", "device": "a", "is": "away"}
        {"at": "day 3 07:00", "device": "a", "is": "back"}
        {"at": "2026-11-25 07:00:00.500", "device": "a", "is": "away"}
    "#;
    let scenario = scenario(text).unwrap();
    let after: Vec<i64> = scenario.acts.iter().map(|act| act.at.since(scenario.start) / 1000).collect();
    let hour = 3600;
    assert_eq!(after, [11_464, 11_764, 26 * hour, 55 * hour, 79 * hour]);
    assert_eq!(scenario.end, scenario.acts[4].at.plus(GOES_ON));
    assert_eq!(scenario.devices.len(), 1);
}

#[test]
fn names_and_times_unfold() {
    let text = r#"{"at": "0:00", "device": ["srv{08..10}", "nas"], "file": "@job@x.err", "text": "a", "every": "10m", "until": "01:00"}"#;
    let scenario = scenario(text).unwrap();
    assert_eq!(scenario.acts[0].devices, ["srv08", "srv09", "srv10", "nas"]);
    assert_eq!(scenario.acts[0].every, Some((600_000, 7)));
    let Action::Log(log) = &scenario.acts[0].deed else { panic!("{scenario:?}") };
    assert_eq!((log.path.as_str(), log.task.as_str()), ("/ologs/@job@x.err", "job"));
    assert_eq!(scenario.end, scenario.start.plus(3_600_000 + GOES_ON));
}

#[test]
fn an_event_may_be_as_on_the_wire() {
    let text = r#"{"device": "nas", "event": {"n": 7, "at": 1795276800500, "boot": "00000000000000000000000000000001", "up": 1,
        "what": {"cleared": {"task": "job", "suffix": "err", "path": "/x"}}}}"#;
    let one_line = text.replace('\n', " ");
    let scenario = scenario(&one_line).unwrap();
    assert_eq!(scenario.acts[0].at, Timestamp(1_795_276_800_500));
    assert!(matches!(&scenario.acts[0].deed, Action::Wire(what) if what.kind() == "cleared"));
}

#[test]
fn every_mistake_is_told_with_its_line_and_what_was_expected() {
    let text = r#"
{"at": "03:11", "devcie": "a", "file": "x.err", "text": "y"}
{"at": "03:12", "device": "a", "file": "x.txt", "text": "y"}
{"at": "3 o'clock", "device": "a", "is": "away"}
not json
{"at": "03:13", "device": "a", "is": "asleep"}
{"at": "03:10", "device": "a"}
{"at": "03:14", "device": "a", "file": "x.err", "text": "y", "every": "1s", "times": 9000000}
{"at": "03:15", "person": "sings", "incident": 1}
{"at": "03:16", "channel": "me", "is": "broken"}
{"at": "03:17", "device": "srv{1..90000}", "is": "away"}
{"at": 5, "device": 7}
    "#;
    let found = mistakes(text).join("\n");
    // What is no JSON at all is told first: nothing behind it is looked at.
    assert!(found.starts_with("a.jsonl:5: this is not JSON"), "{found}");
    let expected = [
        "2: unknown key `devcie`, nearest `device`",
        "3: file: expected a name that ends in .log, .err, .msg or .scanerr, found \"x.txt\"",
        "4: at: expected a time like \"03:11:04\"",
        "6: is: of a device expected \"away\", \"bye\" or \"back\", found \"asleep\"",
        "7: nothing happens by this line: expected one like {",
        "8: with this, more happens than is played: expected at most 200000 in all",
        "9: person: expected \"ack\", \"close\" or \"rearm\", found \"sings\"",
        "10: is: of a channel expected \"well\", \"down\" or \"refusing\" (of a device name it), found \"broken\"",
        "11: expected names like \"srv{1..12}\", at most 2000",
        "12: device: expected a name, or a list of names",
    ];
    let found = mistakes(&text.replace("not json", ""));
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(&format!("a.jsonl:{expected}")), "{found}");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn a_file_without_an_event_or_with_too_much_is_refused() {
    assert!(mistakes("\n# nothing\n")[0].contains("nothing happens in it"));
    let long =
        format!("{{\"at\": \"03:00\", \"device\": \"a\", \"file\": \"x.err\", \"text\": \"{}\"}}", "x".repeat(70_000));
    assert!(mistakes(&long)[0].contains("expected at most 65536"), "{:?}", mistakes(&long)[0].len());
    let many = "{\"at\": \"03:00\", \"device\": \"srv{1..1000}\", \"file\": \"x.err\", \"text\": \"y\", \"every\": \"1m\", \"times\": 300}";
    assert!(mistakes(many)[0].contains("expected at most 200000 in all"), "{}", mistakes(many)[0]);
}

proptest::proptest! {
    #[test]
    fn whatever_is_in_a_file_nothing_panics(text in "(\\{\"(at|device|every|until|is|start)\": ?\"[ -~]{0,12}\",? ?)?[ -~\n]{0,80}") {
        drop(scenario(&text));
    }
}

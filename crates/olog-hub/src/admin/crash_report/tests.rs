use super::*;

fn ended(result: &str, code: &str, status: &str) -> UnitExit {
    UnitExit { result: result.to_owned(), code: code.to_owned(), status: status.to_owned() }
}

#[test]
fn the_words_of_the_hub_come_before_all_but_a_kill() {
    let of = |ended: &UnitExit, words: Option<&str>, mistake: Option<&str>| {
        let cause = cause(ended, words.map(str::to_owned), mistake.map(str::to_owned));
        format!("{} {}", cause.how, cause.text)
    };
    let bad = ended("exit-code", "exited", "78");
    assert_eq!(of(&bad, Some("hub.toml:3:1 no"), Some("a token is not readable here")), "words hub.toml:3:1 no");
    assert_eq!(of(&bad, None, Some("hub.toml:3:1 no")), "words hub.toml:3:1 no");
    assert_eq!(of(&ended("exit-code", "exited", "101"), None, None), "exit 101");
    // What an earlier start left says nothing about a process that was killed.
    assert_eq!(of(&ended("watchdog", "dumped", "ABRT"), Some("the disk was full"), None), "watchdog ABRT");
    assert_eq!(of(&ended("signal", "killed", "KILL"), Some("the disk was full"), None), "signal KILL");
    assert_eq!(of(&ended("start-limit-hit", "killed", "KILL"), None, None), "signal KILL");
    assert_eq!(of(&UnitExit::default(), None, None), "unknown ");
}

#[test]
fn one_cause_is_told_once_an_hour_and_another_at_once() {
    let full = Cause { how: "words".to_owned(), text: "the disk is full".to_owned() };
    let other = Cause { how: "watchdog".to_owned(), text: String::new() };
    let told = LastNotified { at: Timestamp(10_000_000), cause: full.clone(), is_over: false };
    assert!(is_same(&told, &full, Timestamp(10_000_000 + SAME_CAUSE - 1)));
    assert!(!is_same(&told, &full, Timestamp(10_000_000 + SAME_CAUSE)));
    assert!(!is_same(&told, &other, Timestamp(10_000_001)));
    assert!(!is_same(&told, &full, Timestamp(0)), "the clock was set back");
}

#[test]
fn what_was_told_is_remembered_until_the_hub_runs() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    assert!(!clear(dir), "nothing was told");
    leave(dir, "cannot open the store");
    assert_eq!(traces::last_words(dir).as_deref(), Some("cannot open the store"));
    let cause = Cause { how: "words".to_owned(), text: "x".to_owned() };
    assert!(traces::set_told(dir, &LastNotified { at: Timestamp(1), cause, is_over: false }));
    assert!(clear(dir) && !clear(dir), "that it is back is told once");
    assert_eq!(traces::last_words(dir), None);
    assert!(traces::told(dir).is_some(), "the cause is remembered for the hour");
}

#[test]
fn a_state_dir_that_is_gone_stops_nothing() {
    let gone = Path::new("/nonexistent/olog");
    leave(gone, "x");
    assert!(!clear(gone) && traces::last_words(gone).is_none());
}

//! Journeys of one task on simulated time: what was written goes in, what a person hears comes out.

mod histories;
mod months;
mod row;
mod told;

use olog_proto::event::Id128;
use olog_proto::{FingerprintText, Growth, OwnPush, TaskName};

use super::*;

const SECOND: i64 = 1000;
const DAY: i64 = 24 * HOUR;

/// A hub with one task: time runs, what falls due is done, facts are stored and read again after every step.
struct Sim {
    facts: TaskFacts,
    policy: AlertPolicy,
    now: Timestamp,
    /// Since when the device can be heard.
    here_since: Option<Timestamp>,
    n_incidents: u64,
    n_events: u64,
    /// Everything that was told, as `HH:MM what`, since it was last looked at.
    told: Vec<String>,
    /// Events are this much older than their arrival.
    late: i64,
    pushed: Option<OwnPush>,
    /// The user of the device that causes the events.
    by: Option<olog_proto::Author>,
}

impl Sim {
    fn new() -> Sim {
        Sim {
            facts: TaskFacts::default(),
            policy: AlertPolicy::default(),
            now: Timestamp(0),
            here_since: Some(Timestamp(0)),
            n_incidents: 0,
            n_events: 0,
            told: Vec::new(),
            late: 0,
            pushed: None,
            by: None,
        }
    }

    fn event(&mut self, what: EventContent) {
        self.n_events += 1;
        let at = self.now.plus(-self.late);
        let boot = Id128([0; 16]);
        let event = Event {
            n: self.n_events,
            at: olog_proto::DeviceTime(at),
            boot,
            up: 0,
            what,
            by: self.by.clone(),
            pushed: self.pushed.clone(),
        };
        let out = self.facts.observe(&event, at, self.now, &self.policy);
        self.take(out);
    }

    fn take(&mut self, outcomes: Vec<IncidentEffect>) {
        for outcome in outcomes {
            match outcome {
                IncidentEffect::Begin => {
                    self.n_incidents += 1;
                    self.facts.opened_as(self.n_incidents);
                }
                IncidentEffect::Notify { content, .. } => {
                    self.told.push(format!("{} {}", hour(self.now), words(&content)))
                }
                IncidentEffect::Reopen | IncidentEffect::Update | IncidentEffect::End { .. } => {}
            }
        }
        let stored = serde_json::to_string(&self.facts).unwrap();
        assert_eq!(serde_json::from_str::<TaskFacts>(&stored).unwrap(), self.facts);
    }

    /// Time runs, and the watchman does what falls due.
    fn pass(&mut self, ms: i64) {
        let end = self.now.plus(ms);
        while let Some(due) = self.facts.due_at(&self.policy).filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let out = self.facts.due(self.now, self.here_since, &self.policy);
            self.take(out);
            assert!(self.facts.due_at(&self.policy).is_none_or(|next| next > self.now), "due leaves something due");
        }
        self.now = end;
    }

    fn err(&mut self, name: &str, text: &str) {
        self.event(EventContent::Text { file: file(name, Growth::Rewritten, self.now), excerpt: Excerpt::of(text) });
    }

    /// A log that a run has made anew and closed; the run took `ms`.
    fn run_log(&mut self, name: &str, ms: i64, sibling_err: bool) {
        let began = self.now.plus(-self.late - ms);
        let file = File { sibling_err, ..file(name, Growth::Rewritten, began) };
        self.event(EventContent::Text { file, excerpt: Excerpt::of("fine") });
    }

    /// A log that a daemon or `>>` goes on with.
    fn log_grew(&mut self, name: &str, closed: bool) {
        let file = File { closed, sibling_err: true, ..file(name, Growth::Grown, Timestamp(0)) };
        self.event(EventContent::Text { file, excerpt: Excerpt::of("more") });
    }

    fn seen(&mut self, name: &str) {
        self.event(EventContent::Seen { file: file(name, Growth::Rewritten, self.now), times: 1 });
    }

    fn cleared(&mut self, name: &str, deleted: bool) {
        let (task, suffix) = TaskName::of_file(name.as_bytes()).unwrap();
        self.event(EventContent::Cleared { task, suffix, path: format!("/ologs/{name}"), deleted });
    }

    fn exec(&mut self, exit: i32) {
        self.run_ended(Some(exit), "");
    }

    fn run_ended(&mut self, exit: Option<i32>, excerpt: &str) {
        let (task, run) = ("t".parse().unwrap(), "r".to_owned());
        let excerpt = Excerpt::of(excerpt);
        self.event(EventContent::RunEnded {
            task,
            run,
            exit,
            signal: None,
            duration: 9,
            excerpt,
            fingerprints: vec![],
        });
    }

    #[track_caller]
    fn heard(&mut self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut self.told), expected);
    }

    fn n_seen(&self) -> u64 {
        self.facts.incident().unwrap().n_seen
    }
}

fn file(name: &str, change: Growth, began: Timestamp) -> File {
    let (task, suffix) = TaskName::of_file(name.as_bytes()).unwrap();
    File {
        task,
        suffix,
        path: format!("/ologs/{name}"),
        change,
        began_at: Some(olog_proto::DeviceTime(began)),
        closed: true,
        sibling_err: false,
        history: false,
        fingerprints: Vec::new(),
    }
}

fn hour(at: Timestamp) -> String {
    format!("{:02}:{:02}", at.0 / HOUR, at.0 % HOUR / MINUTE)
}

fn words(content: &Content) -> String {
    match content {
        Content::Error { why, excerpt, n_seen, .. } => {
            let why = match why {
                Reason::First => "first".to_owned(),
                Reason::Again => "again".to_owned(),
                Reason::NewFingerprint => "new".to_owned(),
                Reason::MoreFingerprints { n_more } => format!("and {n_more} more"),
                Reason::Reopened => "reopened".to_owned(),
                Reason::ComesAndGoes { n_times } => format!("comes and goes {n_times}"),
                Reason::InARow { n_times } => format!("{n_times} in a row"),
            };
            format!("{why}: {} ({n_seen})", excerpt.head())
        }
        Content::Message { excerpt, n_seen, .. } => format!("message: {} ({n_seen})", excerpt.head()),
        Content::Over { ground, n_seen, said_by, .. } => {
            let said_by = said_by.as_ref().map(|by| format!(" said by {}, error of {}", by.end, by.error));
            format!("over: {ground:?} ({n_seen}){}", said_by.unwrap_or_default())
        }
        Content::Remind { n_seen, .. } => format!("remind ({n_seen})"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_alarm_every_minute_is_told_once_and_once_when_it_is_quiet() {
    for with_date in [false, true] {
        let mut sim = Sim::new();
        for week in 0..2 {
            sim.now = Timestamp(week * 7 * DAY);
            let begin = sim.now;
            for minute in 0..60 {
                let date =
                    if with_date { format!(" {} Nov 22 07:{minute:02}:04 UTC 2026", "Sun") } else { String::new() };
                match (with_date, week, minute) {
                    // The same bytes again are `seen`, in the second week from the first minute on.
                    (false, 1, _) | (false, _, 1..) => sim.seen("nginx.err"),
                    _ => sim.err("nginx.err", &format!("nginx not running!{date}")),
                }
                sim.pass(MINUTE);
            }
            assert_eq!((sim.told.len(), sim.n_seen()), (1, 60));
            assert!(sim.told.remove(0).contains(["first: nginx", "again: nginx"][week as usize]));
            sim.pass(DAY);
            // 15 min after the last of minute 59, and `over_wait`.
            sim.heard(&[&format!("{} over: Quiet (60)", hour(begin.plus(75 * MINUTE)))]);
            assert_eq!((sim.facts.state(), sim.n_incidents), (State::Ok, week as u64 + 1));
        }
    }
}

#[test]
fn an_alarm_that_is_seldom_seen_is_quiet_after_a_day() {
    let mut sim = Sim::new();
    sim.err("disk.err", "90 %");
    sim.pass(DAY);
    sim.heard(&["00:00 first: 90 % (1)"]);
    // Once a day at the same minute is not quiet in between.
    for _ in 0..3 {
        sim.err("disk.err", "90 %");
        sim.pass(DAY);
    }
    assert_eq!(sim.facts.state(), State::Err);
    sim.told.clear();
    sim.pass(2 * DAY + MINUTE);
    assert_eq!((sim.told.last().unwrap().as_str(), sim.facts.state()), ("144:01 over: Quiet (4)", State::Ok));
}

#[test]
fn an_alarm_is_not_quiet_while_its_device_is_away() {
    let mut sim = Sim::new();
    for _ in 0..5 {
        sim.err("nginx.err", "down");
        sim.pass(MINUTE);
    }
    sim.here_since = None;
    sim.pass(10 * HOUR);
    assert_eq!(sim.facts.state(), State::Err);
    sim.here_since = Some(sim.now);
    sim.pass(15 * MINUTE);
    assert_eq!(sim.facts.state(), State::Err, "it has been back for less than the alarm's own silence");
    sim.pass(15 * MINUTE);
    assert_eq!(sim.facts.state(), State::Ok);
}

#[test]
fn a_task_with_a_log_is_never_quiet() {
    let mut sim = Sim::new();
    sim.run_log("backup.log", SECOND, false);
    sim.pass(HOUR);
    sim.err("backup.err", "no space");
    sim.pass(5 * DAY);
    assert_eq!(sim.facts.state(), State::Err);
}

#[test]
fn a_failing_run_is_an_error_whichever_file_comes_first() {
    for append in [false, true] {
        for log_first in [false, true] {
            let mut sim = Sim::new();
            let run = |sim: &mut Sim, fails: bool| {
                let log = |sim: &mut Sim| match append {
                    true => sim.log_grew("job.log", true),
                    // The agent looked beside the log before the error was written, or after it.
                    false => sim.run_log("job.log", 5 * SECOND, fails && !log_first),
                };
                if log_first {
                    log(sim);
                }
                match (fails, append) {
                    (true, _) => sim.err("job.err", "cannot connect"),
                    (false, false) => sim.cleared("job.err", false),
                    (false, true) => {}
                }
                if !log_first {
                    log(sim);
                }
            };
            sim.pass(HOUR);
            run(&mut sim, true);
            sim.pass(DAY / 2);
            assert_eq!(sim.facts.state(), State::Err, "append {append}, log first {log_first}");
            sim.heard(&["01:00 first: cannot connect (1)"]);
            run(&mut sim, false);
            sim.pass(DAY / 2);
            let ground = match (append, log_first) {
                (true, _) => "LogGrew",
                (false, true) => "NewLog",
                (false, false) => "Cleared",
            };
            sim.heard(&[&format!("13:01 over: {ground} (1)")]);
        }
    }
}

#[test]
fn a_long_run_with_an_error_in_its_middle_is_no_proof_of_health() {
    let mut sim = Sim::new();
    sim.log_grew("rsync.log", true);
    sim.pass(10 * HOUR);
    let open = File { closed: false, ..file("rsync.err", Growth::Grown, Timestamp(0)) };
    sim.event(EventContent::Text { file: open, excerpt: Excerpt::of("permission denied") });
    sim.pass(3 * HOUR);
    // The run ends, three hours after its error.
    sim.log_grew("rsync.log", true);
    sim.pass(HOUR);
    assert_eq!(sim.facts.state(), State::Err);
    sim.pass(DAY);
    sim.log_grew("rsync.log", true);
    sim.pass(HOUR);
    assert_eq!(sim.facts.state(), State::Ok);
}

#[test]
fn dated_names_are_one_task_and_the_next_good_run_ends_it() {
    let mut sim = Sim::new();
    sim.now = Timestamp(2 * HOUR);
    sim.run_log("@backup@2026-11-22.log", 60 * SECOND, true);
    sim.err("@backup@2026-11-22.err", "rsync: connection reset");
    sim.pass(DAY);
    // Success: the new .err is empty and makes no event.
    sim.run_log("@backup@2026-11-23.log", 60 * SECOND, false);
    sim.pass(HOUR);
    sim.heard(&["02:00 first: rsync: connection reset (1)", "26:00 remind (1)", "26:01 over: NewLog (1)"]);
}

#[test]
fn an_old_file_removed_says_nothing_while_another_holds_its_error() {
    let mut sim = Sim::new();
    sim.err("@b@21.err", "reset");
    sim.err("@b@22.err", "reset");
    sim.cleared("@b@21.err", true);
    sim.pass(HOUR);
    assert_eq!(sim.facts.state(), State::Err);
    sim.cleared("@b@22.err", true);
    sim.pass(HOUR);
    sim.heard(&["00:00 first: reset (1)", "01:01 over: Cleared (2)"]);
}

#[test]
fn a_daemon_chatty_on_both_is_well_after_an_hour_without_error() {
    let mut sim = Sim::new();
    for minute in 0..180 {
        if minute % 7 == 0 && minute < 100 {
            sim.err("svc.err", "warning: retry");
        }
        sim.log_grew("svc.log", false);
        sim.pass(MINUTE);
    }
    // The last error came in minute 98.
    sim.heard(&["00:00 first: warning: retry (1)", "02:39 over: LogGrew (15)"]);
}

#[test]
fn rotation_neither_ends_an_incident_nor_begins_one() {
    let mut sim = Sim::new();
    sim.log_grew("svc.log", false);
    sim.pass(HOUR);
    sim.err("svc.err", "out of memory");
    sim.pass(10 * MINUTE);
    // By rename: a new log, still open, made after the error.
    let fresh = File { closed: false, sibling_err: true, ..file("svc.log", Growth::Created, sim.now) };
    sim.event(EventContent::Text { file: fresh, excerpt: Excerpt::of("go on") });
    // By copytruncate: closed empty by logrotate, while the error is still in its file.
    sim.cleared("svc.log", false);
    sim.pass(10 * MINUTE);
    assert_eq!(sim.facts.state(), State::Err);
    sim.heard(&["01:00 first: out of memory (1)"]);
}

#[test]
fn an_error_file_removed_and_written_each_minute_does_not_flap() {
    let mut sim = Sim::new();
    for minute in 0..90 {
        if minute > 0 {
            sim.cleared("x.err", true);
        }
        sim.pass(SECOND);
        sim.err("x.err", "down");
        sim.pass(59 * SECOND);
    }
    sim.cleared("x.err", true);
    sim.pass(MINUTE);
    sim.heard(&["00:00 first: down (1)", "01:31 over: Cleared (90)"]);
}

#[test]
fn the_same_head_with_another_tail_is_another_error() {
    let mut sim = Sim::new();
    sim.err("disk.err", "Filesystem Use%\nroot 91%");
    sim.pass(MINUTE);
    sim.err("disk.err", "Filesystem Use%\nroot 92%");
    sim.pass(MINUTE);
    sim.err("disk.err", "Filesystem Use%\nroot 92%\nbackup 99%");
    sim.heard(&["00:00 first: Filesystem Use%\nroot 91% (1)", "00:02 new: Filesystem Use%\nroot 92%\nbackup 99% (3)"]);
}

#[test]
fn history_counts_for_the_state_and_tells_nobody() {
    let mut sim = Sim::new();
    let history = |name: &str, began| File { history: true, ..file(name, Growth::Created, Timestamp(began)) };
    sim.now = Timestamp(10 * HOUR);
    sim.late = 2 * HOUR;
    sim.event(EventContent::Text { file: history("x.err", 0), excerpt: Excerpt::default() });
    assert_eq!((sim.facts.state(), sim.facts.incident()), (State::Err, None));
    sim.late = HOUR;
    sim.event(EventContent::Text { file: history("x.log", 9 * HOUR - 1), excerpt: Excerpt::default() });
    sim.pass(HOUR);
    assert_eq!(sim.facts.state(), State::Ok);
    // The other order: a good run stands after the error.
    let mut other = Sim::new();
    (other.now, other.late) = (Timestamp(10 * HOUR), HOUR);
    other.event(EventContent::Text { file: history("x.log", 9 * HOUR - 1), excerpt: Excerpt::default() });
    other.late = 2 * HOUR;
    other.event(EventContent::Text { file: history("x.err", 0), excerpt: Excerpt::default() });
    assert_eq!(other.facts.state(), State::Ok);
    sim.late = 0;
    sim.err("x.err", "now it is real");
    sim.heard(&["11:00 first: now it is real (1)"]);
    other.heard(&[]);
}

#[test]
fn what_is_told_late_keeps_its_own_time_and_ends_by_the_run_after_it() {
    let mut sim = Sim::new();
    (sim.now, sim.late) = (Timestamp(10 * HOUR), 7 * HOUR);
    sim.run_log("@b@23.log", MINUTE, false);
    sim.late = 31 * HOUR;
    sim.err("@b@22.err", "reset");
    assert_eq!(sim.facts.incident().unwrap().began_at, Timestamp(-21 * HOUR));
    sim.pass(HOUR);
    sim.heard(&["10:00 first: reset (1)", "10:01 over: NewLog (1)"]);
    // One more from before the good run: counted, and the incident stays over.
    sim.late = 32 * HOUR;
    sim.err("@b@22.err", "reset");
    sim.heard(&[]);
    assert_eq!((sim.facts.state(), sim.n_seen()), (State::Ok, 2));
}

#[test]
fn an_end_that_nobody_had_looked_at_comes_before_the_error_that_begins_it_again() {
    let mut sim = Sim::new();
    sim.err("x.err", "down");
    sim.cleared("x.err", true);
    // The hub was away for an hour; then an error of this minute comes before the watchman.
    sim.now = Timestamp(HOUR);
    sim.err("x.err", "down");
    sim.heard(&["00:00 first: down (1)", "01:00 over: Cleared (1)", "01:00 reopened: down (1)"]);
    // An error from just after the end was only late: it was no end.
    sim.cleared("x.err", true);
    sim.now = Timestamp(2 * HOUR);
    sim.late = HOUR - 5 * SECOND;
    sim.err("x.err", "down");
    sim.heard(&[]);
}

#[test]
fn blank_is_no_error() {
    let mut sim = Sim::new();
    sim.err("x.err", " \n");
    assert_eq!(sim.facts, TaskFacts::default());
}

#[test]
fn the_last_good_run_is_not_the_failing_one_whose_log_came_first() {
    let mut sim = Sim::new();
    sim.run_log("job.log", SECOND, false);
    sim.pass(DAY);
    sim.run_log("job.log", SECOND, false);
    sim.err("job.err", "failed");
    assert_eq!(sim.facts.last_good_at(), Some(Timestamp(0)));
}

#[test]
fn a_run_by_exec_says_how_it_ended_and_success_ends_it_at_once() {
    let mut sim = Sim::new();
    sim.exec(2);
    sim.pass(2 * HOUR);
    sim.exec(0);
    sim.heard(&["00:00 first: exit status 2 (1)", "02:00 over: RunEnded (1)"]);
}

#[test]
fn whoever_ends_the_incident_of_another_user_is_named_and_root_may() {
    let user = |uid, name: &str| Some(olog_proto::Author::new(uid, Some(name.to_owned())));
    let (payroll, mallory, root) = (user(999, "payroll"), user(1000, "mallory"), user(0, "root"));
    for (by, said_by) in [
        (mallory.clone(), " said by mallory (uid 1000), error of payroll (uid 999)"),
        (payroll.clone(), ""),
        (root, ""),
        (None, ""),
    ] {
        let mut sim = Sim::new();
        sim.by = payroll.clone();
        sim.exec(1);
        sim.told.clear();
        sim.pass(MINUTE);
        sim.by = by;
        sim.exec(0);
        sim.heard(&[&format!("00:01 over: RunEnded (1){said_by}")]);
    }
    // So is a log: its end is believed a while later, unless its own user speaks first.
    for (is_own_later, said_by) in [(false, " said by mallory (uid 1000), error of payroll (uid 999)"), (true, "")] {
        let mut sim = Sim::new();
        sim.by = payroll.clone();
        sim.err("dump.err", "failed");
        sim.told.clear();
        sim.pass(MINUTE);
        sim.by = mallory.clone();
        sim.run_log("dump.log", 1, false);
        if is_own_later {
            sim.by = payroll.clone();
            sim.run_log("dump.log", 1, false);
        }
        sim.pass(HOUR);
        assert!(sim.told[0].ends_with(&format!("over: NewLog (1){said_by}")), "{:?}", sim.told);
    }
}

#[test]
fn a_run_whose_end_is_unknown_is_an_error() {
    let mut sim = Sim::new();
    sim.run_ended(None, "the machine restarted during this run");
    assert_eq!(sim.facts.state(), State::Err);
    sim.heard(&["00:00 first: the machine restarted during this run (1)"]);
}

#[test]
fn facts_of_an_older_version_are_read_and_those_of_a_later_one_are_not_taken_for_a_new_task() {
    assert!(serde_json::from_str::<TaskFacts>(r#"{"is_task": true, "phase": "calm", "added_later": 1}"#).is_err());
    let facts: TaskFacts = serde_json::from_str(r#"{"is_task": true, "phase": "calm"}"#).unwrap();
    assert!(facts.is_task());
    assert_eq!(serde_json::from_str::<TaskFacts>("{}").unwrap(), TaskFacts::default());
}

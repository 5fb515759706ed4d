//! Incidents of tasks: the memory of one task, and what an event or the passing of time does to it.
//!
//! Facts and `now` go in, [`Outcome`]s come out; nothing in here knows a store, a channel or a clock. The same
//! [`TaskFacts`] with the same events and instants always give the same outcomes: whoever loads the facts, calls one
//! function and commits facts and outcomes together can crash at any point.
//!
//! Owns: when a task is ERR, when an incident begins, is the same again, begins once more, and is over (DESIGN §3).
//! What a person is told of it, and when, is in [`telling`]. Must not: name devices, write sentences, do IO.
//!
//! Two kinds of time meet here. *Order* ("the log began after the error") compares the events' own times, so that what
//! is told late is judged as if it had come in time. *Deadlines* (an end is believed, an alarm is quiet, a reminder)
//! compare the hub's `now`, and [`TaskFacts::due_at`] says when to come back.
//!
//! Invariants: every list is bounded; an incident's end is told only to who was told of its begin; facts of an older
//! version are read (each field has a default), and [`TaskFacts::due`] leaves nothing due at or before its `now`.

mod telling;

use olog_proto::{At, Change, Event, Excerpt, File, Fingerprint, Suffix, What, fingerprint::fingerprints};
use olog_push::{Ground, Kind, Saying, Why};
use serde::{Deserialize, Serialize};

pub use telling::Incident;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// An incident that begins again within this time is the same one (DESIGN §3).
pub const SAME_WITHIN: i64 = 24 * HOUR;
/// The same text of a `.msg` within this time is told once (DESIGN §4).
const MESSAGE_ONCE_WITHIN: i64 = 10 * MINUTE;
/// The shortest silence of an alarm that counts as quiet (DESIGN §3 (f)).
const QUIET_MIN: i64 = 15 * MINUTE;
/// The silence of an alarm with fewer than three sightings that counts as quiet (DESIGN §3 (f)).
const QUIET_UNKNOWN: i64 = 24 * HOUR;
/// An alarm that comes once a month must not stay ERR for three.
const QUIET_MAX: i64 = 7 * 24 * HOUR;
const SIGHTINGS_MAX: usize = 10;
const KNOWN_MAX: usize = 200;
const UNCLEARED_MAX: usize = 16;
const TEXTS_MAX: usize = 4;

/// The spans that decide, in milliseconds; from `[alerts]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// A log that grows proves health when no error came for this long.
    pub resolve_after: i64,
    /// An inferred end is believed after this long without a new error.
    pub over_wait: i64,
    /// An open incident is told again after this long.
    pub remind_every: i64,
    /// New fingerprints that are pushed at once, in any hour.
    pub new_errors_per_hour: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { resolve_after: HOUR, over_wait: MINUTE, remind_every: 24 * HOUR, new_errors_per_hour: 5 }
    }
}

/// The word for a task. LOST needs to know what was expected, and is not decided here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing is known to be wrong.
    Ok,
    /// An error came and is not over.
    Err,
}

/// What has to be written down, in this order, in the transaction of the facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A new incident: give it a number ([`TaskFacts::opened_as`]) and a row from [`TaskFacts::incident`].
    Begin,
    /// The incident that was over begins again: its row is open once more.
    Reopen,
    /// Its row (count, latest text) has changed.
    Update,
    /// It is over.
    End {
        /// What shows it.
        ground: Ground,
        /// When that was; for a quiet alarm when it was last seen.
        at: At,
    },
    /// Somebody has to be told: an outbox row for every channel.
    Notify {
        /// Its kind.
        kind: Kind,
        /// When it happened.
        at: At,
        /// What.
        saying: Saying,
    },
}

/// All that the hub remembers of one task; stored as one JSON column.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskFacts {
    /// Anything but messages was seen: it is a task.
    is_task: bool,
    /// A `.log` or a run was seen: silence is not its way to be well, it is no alarm.
    has_runs: bool,
    phase: Phase,
    /// When the latest error happened.
    last_error_at: Option<At>,
    /// The latest sign of health that no error has contradicted.
    good: Option<Good>,
    /// When the task was last well, before `good`.
    well_at: Option<At>,
    /// The latest instant at which a file of the task is known to have been closed by its writer: a run ended there.
    closed_at: Option<At>,
    /// When errors were seen, the last [`SIGHTINGS_MAX`].
    sightings: Vec<At>,
    /// Fingerprints that this task ever had, the latest last.
    known: Vec<Fingerprint>,
    /// Error files (by hash of the path) that came in this trouble and were not cleared.
    uncleared: Vec<u64>,
    /// The latest texts, so that `seen` events, which carry none, can be told.
    texts: Vec<Remembered>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    #[default]
    Calm,
    /// An error came and is not over. Without an incident: it was there at the agent's first start, nobody is told.
    Trouble {
        incident: Option<Box<Incident>>,
        /// An end that is inferred and not yet believed.
        pending: Option<Pending>,
        /// When the hub last heard of an error.
        heard_at: At,
        /// An alarm is not quiet before: its device was away.
        #[serde(default)]
        not_quiet_before: Option<At>,
    },
    /// Over, but not for long enough to be another incident if it begins again.
    Over { incident: Box<Incident>, ground: Ground, at: At, decided_at: At },
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Pending {
    ground: Ground,
    at: At,
    until: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Good {
    /// When the run began that shows it; unknown for a log that merely grew.
    began_at: Option<At>,
    at: At,
    heard_at: At,
}

/// The latest text of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Remembered {
    /// Hash of the path.
    file: u64,
    excerpt: Excerpt,
    fingerprints: Vec<Fingerprint>,
    /// Of a `.msg`: when it was told, and how often it came since.
    #[serde(default)]
    told_at: Option<At>,
    #[serde(default)]
    n_since: u64,
}

/// An error, whatever event brought it.
struct Sign<'a> {
    at: At,
    now: At,
    times: u64,
    path: &'a str,
    excerpt: Excerpt,
    fingerprints: Vec<Fingerprint>,
    /// For the report only.
    is_silent: bool,
    /// A channel of the agent's own has accepted it.
    is_told: bool,
}

impl TaskFacts {
    /// One event of the task: `at` is its time in the hub's time. Events come in the order of their numbers.
    pub fn observe(&mut self, event: &Event, at: At, now: At, policy: &Policy) -> Vec<Outcome> {
        let mut out = Vec::new();
        self.forget_old_incident(now, &mut out);
        let is_told = event.pushed.as_ref().is_some_and(|p| p.accepted_at.is_some());
        // What the event says of other instants is by the same clock as its own.
        let shift = at.since(event.at);
        match &event.what {
            What::Text { file, excerpt } => match file.suffix {
                Suffix::Msg => self.message(file, Some(excerpt), 1, at, is_told, &mut out),
                Suffix::Log => self.log(file, at, now, shift, policy, &mut out),
                Suffix::Err | Suffix::Scanerr
                    if excerpt.is_blank() && file.fingerprints.is_empty() && !file.history => {}
                Suffix::Err | Suffix::Scanerr => {
                    let fingerprints = hashes(&file.fingerprints, excerpt);
                    self.remember(&file.path, excerpt, &fingerprints);
                    let sign = Sign {
                        at,
                        now,
                        times: 1,
                        path: &file.path,
                        excerpt: excerpt.clone(),
                        fingerprints,
                        is_silent: file.suffix == Suffix::Scanerr,
                        is_told,
                    };
                    self.error_file(file, sign, policy, &mut out);
                }
            },
            What::Seen { file, times } => match file.suffix {
                Suffix::Msg => self.message(file, None, u64::from(*times), at, is_told, &mut out),
                Suffix::Log => self.log(file, at, now, shift, policy, &mut out),
                Suffix::Err | Suffix::Scanerr => {
                    let (excerpt, mut fingerprints) = self.recall(&file.path);
                    if fingerprints.is_empty() {
                        fingerprints = hashes(&file.fingerprints, &excerpt);
                    }
                    let sign = Sign {
                        at,
                        now,
                        times: u64::from(*times).max(1),
                        path: &file.path,
                        excerpt,
                        fingerprints,
                        is_silent: file.suffix == Suffix::Scanerr,
                        is_told,
                    };
                    self.error_file(file, sign, policy, &mut out);
                }
            },
            What::Cleared { suffix, path, deleted, .. } => {
                self.cleared(*suffix, path, *deleted, at, now, policy, &mut out)
            }
            What::RunStarted { .. } => (self.is_task, self.has_runs) = (true, true),
            What::RunEnded { exit, signal, excerpt, fingerprints, duration, .. } => {
                (self.is_task, self.has_runs) = (true, true);
                self.closed_at = self.closed_at.max(Some(at));
                if exit.is_some_and(|code| code != 0) || signal.is_some() {
                    let excerpt = if excerpt.is_blank() { exit_line(*exit, *signal) } else { excerpt.clone() };
                    let fingerprints = hashes(fingerprints, &excerpt);
                    let sign = Sign { at, now, times: 1, path: "", excerpt, fingerprints, is_silent: false, is_told };
                    self.error(sign, policy, &mut out);
                } else if *exit == Some(0) && self.last_error_at.is_none_or(|error| error <= at) {
                    let began = at.plus(i64::try_from(*duration).unwrap_or(i64::MAX).saturating_neg());
                    self.is_good(Good { began_at: Some(began), at, heard_at: now });
                    self.end(Ground::RunEnded, at, now, &mut out);
                }
            }
            What::Note(_) => {}
        }
        out
    }

    /// Time has passed. `here_since`: since when errors of the device would have been heard; `None` while it is away.
    pub fn due(&mut self, now: At, here_since: Option<At>, policy: &Policy) -> Vec<Outcome> {
        let mut out = Vec::new();
        self.forget_old_incident(now, &mut out);
        if let Some(incident) = self.phase.incident_mut() {
            incident.tell_held(now, &mut out);
        }
        if let Phase::Trouble { pending: Some(pending), .. } = self.phase {
            if pending.until <= now {
                self.end(pending.ground, pending.at, now, &mut out);
            }
        }
        if self.quiet_at(policy).is_some_and(|quiet| quiet <= now) {
            let wait = self.quiet_wait(policy);
            let heard_for = here_since.map(|since| since.plus(wait));
            match heard_for {
                Some(enough) if enough <= now => {
                    let last = self.last_error_at.unwrap_or(now);
                    self.end(Ground::Quiet, last, now, &mut out);
                }
                not_yet => {
                    if let Phase::Trouble { not_quiet_before, .. } = &mut self.phase {
                        *not_quiet_before = Some(not_yet.unwrap_or(now.plus(QUIET_MIN)));
                    }
                }
            }
        }
        let is_open = self.state() == State::Err;
        let last_error_at = self.last_error_at.unwrap_or(now);
        if let Some(incident) = self.phase.incident_mut() {
            incident.remind(is_open, last_error_at, now, policy, &mut out);
        }
        out
    }

    /// When [`TaskFacts::due`] has to be called next.
    pub fn due_at(&self, policy: &Policy) -> Option<At> {
        let (incident, own) = match &self.phase {
            Phase::Calm => return None,
            Phase::Trouble { incident, pending, .. } => {
                (incident.as_deref(), [pending.map(|p| p.until), self.quiet_at(policy)])
            }
            Phase::Over { incident, decided_at, .. } => {
                (Some(&**incident), [incident.waits_for_calm().then(|| decided_at.plus(SAME_WITHIN)), None])
            }
        };
        let is_open = self.state() == State::Err;
        own.into_iter().flatten().chain(incident.and_then(|i| i.due_at(is_open, policy))).min()
    }

    /// The number that the new incident got.
    pub fn opened_as(&mut self, number: u64) {
        if let Some(incident) = self.phase.incident_mut() {
            incident.number = Some(number);
        }
    }

    /// The open incident, or the one that ended less than [`SAME_WITHIN`] ago.
    pub fn incident(&self) -> Option<&Incident> {
        match &self.phase {
            Phase::Calm => None,
            Phase::Trouble { incident, .. } => incident.as_deref(),
            Phase::Over { incident, .. } => Some(incident),
        }
    }

    /// A person has read it: no reminders until the end, at most 7 days. Was there anything to acknowledge?
    pub fn acknowledge(&mut self, now: At) -> bool {
        let is_open = self.state() == State::Err;
        let Some(incident) = self.phase.incident_mut() else { return false };
        let counts = is_open || incident.waits_for_calm();
        if counts {
            incident.acknowledged_at = Some(now);
        }
        counts
    }

    /// A person says that it is over.
    pub fn close(&mut self, now: At) -> Vec<Outcome> {
        let mut out = Vec::new();
        self.end(Ground::Closed, now, now, &mut out);
        if let Phase::Over { incident, .. } = &mut self.phase {
            incident.tell_over(Ground::Closed, now, now, &mut out);
            incident.calmed();
        }
        out
    }

    /// The word.
    pub fn state(&self) -> State {
        if matches!(self.phase, Phase::Trouble { .. }) { State::Err } else { State::Ok }
    }

    /// Was anything but messages seen? Messages alone do not make a task.
    pub fn is_task(&self) -> bool {
        self.is_task
    }

    /// Was there never a `.log` nor a run? Then its silence is all that can be hoped for.
    pub fn is_alarm(&self) -> bool {
        self.is_task && !self.has_runs
    }

    /// When the task was last known to be well.
    pub fn last_good_at(&self) -> Option<At> {
        self.good.map(|g| g.at).max(self.well_at)
    }

    /// When its latest error happened.
    pub fn last_error_at(&self) -> Option<At> {
        self.last_error_at
    }

    fn message(
        &mut self,
        file: &File,
        text: Option<&Excerpt>,
        times: u64,
        at: At,
        is_told: bool,
        out: &mut Vec<Outcome>,
    ) {
        if file.history || text.is_some_and(Excerpt::is_blank) {
            return;
        }
        let id = hash(&file.path);
        // The same text in another file of the task is the same message, and a file that says something else is another.
        let known = self.texts.iter().position(|t| match text {
            Some(text) => t.told_at.is_some() && t.excerpt == *text,
            None => t.told_at.is_some() && t.file == id,
        });
        let mut message = match known {
            Some(i) => self.texts.remove(i),
            None => Remembered {
                file: id,
                excerpt: text.cloned().unwrap_or_default(),
                fingerprints: Vec::new(),
                told_at: None,
                n_since: 0,
            },
        };
        message.file = id;
        message.n_since = message.n_since.saturating_add(times.max(1));
        if message.told_at.is_none_or(|told| at.since(told).abs() >= MESSAGE_ONCE_WITHIN) {
            if !is_told {
                let saying = Saying::Message {
                    excerpt: message.excerpt.clone(),
                    path: file.path.clone(),
                    n_seen: message.n_since,
                };
                out.push(Outcome::Notify { kind: Kind::Msg, at, saying });
            }
            message.told_at = Some(at);
            message.n_since = 0;
        }
        push_bounded(&mut self.texts, message, TEXTS_MAX);
    }

    fn log(&mut self, file: &File, at: At, now: At, shift: i64, policy: &Policy, out: &mut Vec<Outcome>) {
        let began_at = file.began_at.map(|began| began.plus(shift));
        let is_new = file.change != Change::Grown;
        self.sign_of_run(
            Run { began_at, is_new, is_closed: file.closed, beside_error: file.sibling_err, at, now },
            policy,
            out,
        );
    }

    fn cleared(
        &mut self,
        suffix: Suffix,
        path: &str,
        deleted: bool,
        at: At,
        now: At,
        policy: &Policy,
        out: &mut Vec<Outcome>,
    ) {
        match suffix {
            Suffix::Msg => {}
            // Closed empty: a run that had nothing to say began when it emptied the file, which is what mtime tells.
            Suffix::Log if !deleted => {
                let beside_error = !self.uncleared.is_empty();
                self.sign_of_run(
                    Run { began_at: Some(at), is_new: true, is_closed: true, beside_error, at, now },
                    policy,
                    out,
                );
            }
            Suffix::Log => (self.is_task, self.has_runs) = (true, true),
            Suffix::Err | Suffix::Scanerr => {
                self.is_task = true;
                let held = self.uncleared.len();
                self.uncleared.retain(|file| *file != hash(path));
                // Yesterday's file removed while today's still holds its error says nothing.
                if held > 0 && self.uncleared.is_empty() {
                    self.infer(Ground::Cleared, at, now, policy, out);
                }
            }
        }
    }

    fn sign_of_run(&mut self, run: Run, policy: &Policy, out: &mut Vec<Outcome>) {
        (self.is_task, self.has_runs) = (true, true);
        let before = self.closed_at;
        if run.is_closed {
            self.closed_at = before.max(Some(run.at));
        }
        let good = |began_at| Good { began_at, at: run.at, heard_at: run.now };
        let Some(error) = self.last_error_at else { return self.is_good(good(run.began_at)) };
        if run.is_closed && !run.beside_error && run.began_at.is_some_and(|began| began > error) {
            self.is_good(good(run.began_at));
            return self.infer(Ground::NewLog, run.at, run.now, policy, out);
        }
        // A run that ends and had its error in the middle is no proof of health, however long ago that was. Of a log that is
        // appended to, the run began after the last time that anything was closed.
        let run_began = if run.is_new { run.began_at.max(None) } else { run.began_at.max(before) };
        let has_erred = run.is_closed && run_began.is_none_or(|began| error > began);
        if !has_erred && run.at.since(error) >= policy.resolve_after {
            self.is_good(good(None));
            self.infer(Ground::LogGrew, run.at, run.now, policy, out);
        }
    }

    fn is_good(&mut self, good: Good) {
        self.well_at = self.last_good_at();
        self.good = Some(good);
    }

    /// An end that is believed if no error comes for a while.
    fn infer(&mut self, ground: Ground, at: At, now: At, policy: &Policy, out: &mut Vec<Outcome>) {
        if let Phase::Trouble { pending, .. } = &mut self.phase {
            pending.get_or_insert(Pending { ground, at, until: now.plus(policy.over_wait) });
            if policy.over_wait <= 0 {
                self.end(ground, at, now, out);
            }
        }
    }

    fn error_file(&mut self, file: &File, sign: Sign<'_>, policy: &Policy, out: &mut Vec<Outcome>) {
        if file.closed {
            self.closed_at = self.closed_at.max(Some(sign.at));
        }
        let id = hash(&file.path);
        self.uncleared.retain(|other| *other != id);
        push_bounded(&mut self.uncleared, id, UNCLEARED_MAX);
        if file.history { self.inherit(&sign, policy) } else { self.error(sign, policy, out) }
    }

    /// An error that was there when the agent first started: the task is ERR, and nobody is told.
    fn inherit(&mut self, sign: &Sign<'_>, policy: &Policy) {
        self.note_error(sign, policy);
        let is_past = self.good.is_some();
        if matches!(self.phase, Phase::Calm) && !is_past {
            self.phase = Phase::Trouble { incident: None, pending: None, heard_at: sign.now, not_quiet_before: None };
        }
    }

    fn error(&mut self, sign: Sign<'_>, policy: &Policy, out: &mut Vec<Outcome>) {
        // The end was due before this error happened; only nobody had looked.
        if let Phase::Trouble { pending: Some(pending), .. } = self.phase {
            if pending.until <= sign.now && sign.at.since(pending.at) >= policy.over_wait {
                self.end(pending.ground, pending.at, sign.now, out);
            }
        }
        let last_good_at = self.note_error(&sign, policy);
        let is_known = sign.fingerprints.iter().all(|f| self.known.contains(f));
        for &fingerprint in &sign.fingerprints {
            self.known.retain(|f| *f != fingerprint);
            push_bounded(&mut self.known, fingerprint, KNOWN_MAX);
        }
        // A run that is known to be good began after it: it is told, and over.
        let refuted_by = self.good.filter(|good| good.began_at.is_some());
        let mut incident = match std::mem::take(&mut self.phase) {
            Phase::Trouble { incident: Some(incident), .. } => {
                out.push(Outcome::Update);
                incident
            }
            Phase::Over { mut incident, ground, at, decided_at } => {
                if refuted_by.is_some() && incident.has_told(&sign.fingerprints) {
                    incident.count(&sign);
                    out.push(Outcome::Update);
                    self.phase = Phase::Over { incident, ground, at, decided_at };
                    return;
                }
                incident.reopen();
                out.push(Outcome::Reopen);
                incident
            }
            Phase::Calm | Phase::Trouble { incident: None, .. } => {
                out.push(Outcome::Begin);
                Box::new(Incident::new(sign.at))
            }
        };
        incident.count(&sign);
        let first = if is_known { Why::Again } else { Why::First };
        incident.tell_error(&sign, first, last_good_at, policy, out);
        let pending = refuted_by.map(|good| Pending {
            ground: Ground::NewLog,
            at: good.at,
            until: sign.now.plus(policy.over_wait),
        });
        self.phase = Phase::Trouble { incident: Some(incident), pending, heard_at: sign.now, not_quiet_before: None };
    }

    /// Takes an error into the facts; returns when the task was last well.
    fn note_error(&mut self, sign: &Sign<'_>, policy: &Policy) -> Option<At> {
        self.is_task = true;
        self.last_error_at = self.last_error_at.max(Some(sign.at));
        push_bounded(&mut self.sightings, sign.at, SIGHTINGS_MAX);
        if let Some(good) = self.good {
            let is_later = good.began_at.is_none_or(|began| sign.at >= began);
            if is_later {
                // A sign of health is believed as late as an end: the log of a failing run may come before its error.
                if sign.now.since(good.heard_at) >= policy.over_wait {
                    self.well_at = self.well_at.max(Some(good.at));
                }
                self.good = None;
                return self.well_at;
            }
        }
        self.well_at
    }

    fn end(&mut self, ground: Ground, at: At, now: At, out: &mut Vec<Outcome>) {
        let Phase::Trouble { incident, .. } = &mut self.phase else { return };
        let incident = incident.take();
        self.phase = Phase::Calm;
        self.uncleared.clear();
        if let Some(mut incident) = incident {
            incident.end(ground, at, now, out);
            self.phase = Phase::Over { incident, ground, at, decided_at: now };
        }
    }

    fn forget_old_incident(&mut self, now: At, out: &mut Vec<Outcome>) {
        if let Phase::Over { incident, ground, at, decided_at } = &mut self.phase {
            if now.since(*decided_at) >= SAME_WITHIN {
                incident.tell_over(*ground, *at, now, out);
                self.phase = Phase::Calm;
            }
        }
    }

    fn quiet_at(&self, policy: &Policy) -> Option<At> {
        match self.phase {
            Phase::Trouble { heard_at, not_quiet_before, .. } if !self.has_runs => {
                Some(heard_at.plus(self.quiet_wait(policy)).max(not_quiet_before.unwrap_or(heard_at)))
            }
            _ => None,
        }
    }

    /// How long an alarm has to be silent. `over_wait` on top, so that one that comes once a day is not quiet a second too early.
    fn quiet_wait(&self, policy: &Policy) -> i64 {
        let mut sorted = self.sightings.clone();
        sorted.sort_unstable();
        let mut gaps: Vec<i64> = sorted.iter().zip(sorted.iter().skip(1)).map(|(a, b)| b.since(*a)).collect();
        gaps.sort_unstable();
        let wait = match gaps.get(gaps.len().saturating_sub(1) / 2) {
            Some(median) if sorted.len() >= 3 => median.saturating_mul(3).clamp(QUIET_MIN, QUIET_MAX),
            _ => QUIET_UNKNOWN,
        };
        wait.saturating_add(policy.over_wait.max(0))
    }

    fn remember(&mut self, path: &str, excerpt: &Excerpt, fingerprints: &[Fingerprint]) {
        let file = hash(path);
        self.texts.retain(|t| t.file != file);
        let text = Remembered {
            file,
            excerpt: excerpt.clone(),
            fingerprints: fingerprints.to_vec(),
            told_at: None,
            n_since: 0,
        };
        push_bounded(&mut self.texts, text, TEXTS_MAX);
    }

    fn recall(&self, path: &str) -> (Excerpt, Vec<Fingerprint>) {
        let file = hash(path);
        let text = self.texts.iter().find(|t| t.file == file);
        text.map_or_else(Default::default, |t| (t.excerpt.clone(), t.fingerprints.clone()))
    }
}

/// A sign that a run took place.
#[derive(Clone, Copy)]
struct Run {
    began_at: Option<At>,
    /// The log was made or emptied by it, so that all of the log is its own.
    is_new: bool,
    is_closed: bool,
    /// The error file beside the log holds text.
    beside_error: bool,
    at: At,
    now: At,
}

impl Phase {
    fn incident_mut(&mut self) -> Option<&mut Incident> {
        match self {
            Phase::Calm => None,
            Phase::Trouble { incident, .. } => incident.as_deref_mut(),
            Phase::Over { incident, .. } => Some(incident),
        }
    }
}

fn hashes(texts: &[olog_proto::FingerprintText], excerpt: &Excerpt) -> Vec<Fingerprint> {
    let found: Vec<Fingerprint> = texts.iter().map(|t| t.fingerprint()).collect();
    if found.is_empty() {
        return fingerprints(excerpt.head()).iter().map(|t| t.fingerprint()).collect();
    }
    found
}

/// What a shell would say of a run that ended without a word.
fn exit_line(exit: Option<i32>, signal: Option<i32>) -> Excerpt {
    Excerpt::of(&match (exit, signal) {
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(exit), None) => format!("exit status {exit}"),
        (None, None) => String::new(),
    })
}

fn hash(path: &str) -> u64 {
    // FNV-1a: stored, so it must be the same in every build; paths of one task are few.
    path.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// Appends; beyond the bound the oldest goes.
fn push_bounded<T>(list: &mut Vec<T>, item: T, bound: usize) {
    if list.len() >= bound {
        list.drain(..=list.len() - bound);
    }
    list.push(item);
}

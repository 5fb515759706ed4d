//! Decides when a task is ERR, and when an incident opens, continues, reopens and closes.
//!
//! Input: the stored [`TaskFacts`] of one task, an event or the passing of time, the policy and `now`. Output: [`IncidentEffect`]s to
//! write. The same input always gives the same output, so a caller that commits facts and outcomes in one transaction may crash at
//! any point. `notify_policy` decides what the user is notified of and when; `observation` classifies an event; `texts` deduplicates messages of
//! `.msg` files. The 90-day history of states is kept here too (`state::Days`).
//!
//! Two kinds of time. *Order* ("the log began after the error") compares the times of the events themselves, in the hub's time, so
//! that a late event is judged as if it had come in time. *Timers* (confirming a recovery, closing a silent alarm, reminding) use the
//! hub's `now`; [`TaskFacts::due_at`] returns the next one.
//!
//! Must not name devices, write sentences, or do IO.
//!
//! Invariants: every list is bounded; a recovery is sent only if the failure was sent; after `due(now)` no timer at or before `now`
//! is left; facts of an older version are read, facts of a later one are refused (`store::set_aside`).

mod notify_policy;
mod observation;
mod phase;
mod policy;
#[cfg(test)]
mod tests;
mod texts;

use olog_proto::{Event, EventContent, Excerpt, File, Fingerprint, LogKind, Timestamp, event::is_good_end};
use olog_push::{Content, FailedRun, Kind, Reason, ResolvedBy};
use serde::{Deserialize, Serialize};

pub use notify_policy::TaskIncident;
use observation::{ErrorSign, EventTimes, RunSign};
use phase::{Good, Phase, UnconfirmedEnd};
pub use policy::AlertPolicy;
use texts::Texts;

use crate::rules::ping::NO_BOOT;
use crate::rules::state::{self, DayState, Days, State, day_of};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// An incident that begins again within this time is the same one.
pub const SAME_WITHIN: i64 = 24 * HOUR;
/// The shortest silence of an alarm that counts as quiet.
const QUIET_MIN: i64 = 15 * MINUTE;
/// The silence of an alarm with fewer than three sightings that counts as quiet.
const QUIET_UNKNOWN: i64 = 24 * HOUR;
/// An alarm that comes once a month must not stay ERR for three.
const QUIET_MAX: i64 = 7 * 24 * HOUR;
const SIGHTINGS_MAX: usize = 10;
const KNOWN_MAX: usize = 200;
const UNCLEARED_MAX: usize = 16;

/// What has to be written down, in this order, in the transaction of the facts.
#[derive(Debug, Clone, PartialEq)]
pub enum IncidentEffect {
    /// A new incident: give it a number ([`TaskFacts::opened_as`]) and a row from [`TaskFacts::incident`].
    Begin,
    /// The incident that was over begins again: its row is open once more.
    Reopen,
    /// Its row (count, latest text) has changed.
    Update,
    /// It is over.
    End {
        /// What shows it.
        ground: ResolvedBy,
        /// When that was; for a quiet alarm when it was last seen.
        at: Timestamp,
    },
    /// Somebody has to be told: an outbox row for every channel.
    Notify {
        /// Its kind.
        kind: Kind,
        /// When it happened.
        at: Timestamp,
        /// What.
        content: Content,
        /// The errors that it tells of, all of them; empty where it tells of none.
        of: Vec<Fingerprint>,
    },
}

/// All that the hub remembers of one task; stored as one JSON column.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TaskFacts {
    /// Anything but messages was seen: it is a task.
    is_task: bool,
    /// A `.log` or a run was seen: silence is not its way to be well, it is no alarm.
    has_runs: bool,
    phase: Phase,
    /// When the latest error happened.
    last_error_at: Option<Timestamp>,
    /// The latest sign of health that no error has contradicted.
    good: Option<Good>,
    /// When the task was last well, before `good`.
    well_at: Option<Timestamp>,
    /// The latest instant at which a file of the task is known to have been closed by its writer: a run ended there.
    closed_at: Option<Timestamp>,
    /// When errors were seen, the last [`SIGHTINGS_MAX`].
    sightings: Vec<Timestamp>,
    /// Fingerprints that this task ever had, the latest last.
    known: Vec<Fingerprint>,
    /// Error files (by hash of the path) that came in this trouble and were not cleared.
    uncleared: Vec<u64>,
    /// The latest texts, so that `seen` events, which carry none, can be told.
    texts: Texts,
    /// How each of its last days went.
    #[serde(skip_serializing_if = "Days::is_empty")]
    days: Days,
}

impl TaskFacts {
    /// Facts of a task whose stored ones cannot be read: with its open incident, if it has one. What was learnt is gone.
    /// It counts as a task with runs: of an alarm, silence would end the incident without any proof of health.
    pub fn remade(is_task: bool, open: Option<TaskIncident>) -> TaskFacts {
        let Some(incident) = open else { return TaskFacts { is_task, ..TaskFacts::default() } };
        let last = incident.last_error_at;
        TaskFacts {
            is_task: true,
            has_runs: true,
            last_error_at: Some(last),
            phase: Phase::trouble(Some(Box::new(incident.remade())), None, last),
            ..TaskFacts::default()
        }
    }

    /// One event of the task: `at` is its time in the hub's time. Events come in the order of their numbers.
    pub fn observe(
        &mut self,
        event: &Event,
        at: Timestamp,
        now: Timestamp,
        policy: &AlertPolicy,
    ) -> Vec<IncidentEffect> {
        let mut out = Vec::new();
        let moment = EventTimes { at, now };
        self.days.carry(day_of(now, policy.zone), self.state());
        if self.tell_calm(now, &mut out) {
            self.phase = Phase::Calm;
        }
        // Before it acts, because an end is told at once.
        let is_first = self.phase.pending().is_none();
        if let Some(incident) = self.phase.incident_mut().filter(|_| observation::may_end(&event.what)) {
            incident.end_is_by(event.by.as_ref(), is_first);
        }
        match &event.what {
            EventContent::Text { file, excerpt } => match file.suffix {
                LogKind::Msg => self.message(event, file, Some(excerpt), moment, &mut out),
                LogKind::Log => self.run(RunSign::of_file(event, file, moment), policy, &mut out),
                LogKind::Err | LogKind::Scanerr => {
                    // Blank is no error; of what was there at the first start there is metadata only.
                    if !excerpt.is_blank() || !file.fingerprints.is_empty() || file.history {
                        let sign = ErrorSign::of_file(event, file, moment, 1, excerpt.clone());
                        self.texts.remember(observation::hash(&file.path), excerpt, &sign.fingerprints);
                        self.error_file(file, sign, policy, &mut out);
                    }
                }
            },
            EventContent::Seen { file, times } => match file.suffix {
                LogKind::Msg => self.message(event, file, None, moment, &mut out),
                LogKind::Log => self.run(RunSign::of_file(event, file, moment), policy, &mut out),
                LogKind::Err | LogKind::Scanerr => {
                    let (excerpt, fingerprints) = self.texts.recall(observation::hash(&file.path));
                    let mut sign = ErrorSign::of_file(event, file, moment, u64::from(*times), excerpt);
                    if file.fingerprints.is_empty() {
                        sign.fingerprints = fingerprints;
                    }
                    self.error_file(file, sign, policy, &mut out);
                }
            },
            EventContent::Cleared { path, .. } if event.boot == NO_BOOT => self.resolved(path, moment, &mut out),
            EventContent::Cleared { suffix, path, deleted, .. } => {
                self.cleared(*suffix, path, *deleted, moment, policy, &mut out);
            }
            EventContent::RunStarted { .. } => (self.is_task, self.has_runs) = (true, true),
            EventContent::RunEnded { exit, signal, excerpt, fingerprints, duration, .. } => {
                (self.is_task, self.has_runs) = (true, true);
                self.days.mark(day_of(at, policy.zone), State::Ok);
                self.closed_at = self.closed_at.max(Some(at));
                // Neither code nor signal: how it ended is unknown, and what is unknown is not good.
                if !is_good_end(*exit, *signal) {
                    let run = FailedRun {
                        exit: *exit,
                        signal: *signal,
                        duration: i64::try_from(*duration).unwrap_or(i64::MAX),
                    };
                    let excerpt =
                        if excerpt.is_blank() { observation::exit_line(*exit, *signal) } else { excerpt.clone() };
                    self.error(ErrorSign::of_run(event, moment, fingerprints, excerpt, run), policy, &mut out);
                } else if self.last_error_at.is_none_or(|error| error <= at) {
                    let began_at = at.plus(i64::try_from(*duration).map_or(i64::MIN, |ms| -ms));
                    self.is_good(Good { ground: ResolvedBy::RunEnded, began_at: Some(began_at), at, heard_at: now });
                    self.end(ResolvedBy::RunEnded, moment, &mut out);
                }
            }
            EventContent::Note(_) => {}
        }
        let has_error = out
            .iter()
            .any(|effect| matches!(effect, IncidentEffect::Begin | IncidentEffect::Reopen | IncidentEffect::Update));
        if let Some(incident) = self.phase.incident_mut().filter(|_| has_error) {
            incident.error_is_by(event.by.as_ref());
        }
        out
    }

    /// A run by `exec` did not end: its machine restarted, and the agent did not say more.
    pub fn run_vanished(&mut self, at: Timestamp, now: Timestamp, policy: &AlertPolicy) -> Vec<IncidentEffect> {
        let mut out = Vec::new();
        self.has_runs = true;
        self.error(ErrorSign::of_vanished_run(EventTimes { at, now }), policy, &mut out);
        out
    }

    /// Time has passed. `here_since`: since when errors of the device would have been heard; `None` while it is away.
    pub fn due(&mut self, now: Timestamp, here_since: Option<Timestamp>, policy: &AlertPolicy) -> Vec<IncidentEffect> {
        let mut out = Vec::new();
        self.days.carry(day_of(now, policy.zone), self.state());
        self.tell_calm(now, &mut out);
        if let Some(incident) = self.phase.incident_mut() {
            incident.tell_held(now, &mut out);
        }
        if let Some(pending) = self.phase.pending().filter(|pending| pending.until <= now) {
            self.end(pending.ground, EventTimes { at: pending.at, now }, &mut out);
        }
        if self.quiet_at(policy).is_some_and(|quiet| quiet <= now) {
            let enough = here_since.map(|since| since.plus(self.quiet_wait(policy)));
            if enough.is_some_and(|enough| enough <= now) {
                let at = self.last_error_at.unwrap_or(now);
                self.end(ResolvedBy::Quiet, EventTimes { at, now }, &mut out);
            } else if let Phase::Trouble { not_quiet_before, .. } = &mut self.phase {
                *not_quiet_before = Some(enough.unwrap_or(now.plus(QUIET_MIN)));
            }
        }
        let (is_open, quiet_at) = (self.state() == State::Err, self.quiet_at(policy));
        if let Some(incident) = self.phase.incident_mut() {
            incident.remind(is_open, quiet_at, now, policy, &mut out);
        }
        out
    }

    /// When [`TaskFacts::due`] has to be called next.
    pub fn due_at(&self, policy: &AlertPolicy) -> Option<Timestamp> {
        let (incident, own) = match &self.phase {
            Phase::Calm => return None,
            Phase::Trouble { incident, pending, .. } => {
                (incident.as_deref(), [pending.map(|p| p.until), self.quiet_at(policy)])
            }
            Phase::Over { incident, decided_at, .. } => {
                (Some(&**incident), [incident.waits_for_calm().then(|| decided_at.plus(SAME_WITHIN)), None])
            }
        };
        let (is_open, quiet_at) = (self.state() == State::Err, self.quiet_at(policy));
        own.into_iter().flatten().chain(incident.and_then(|i| i.due_at(is_open, quiet_at, policy))).min()
    }

    /// The number that the new incident got.
    pub fn opened_as(&mut self, number: u64) {
        if let Some(incident) = self.phase.incident_mut() {
            incident.number = Some(number);
        }
    }

    /// The open incident, or the last one, which begins again if that is within [`SAME_WITHIN`].
    pub fn incident(&self) -> Option<&TaskIncident> {
        match &self.phase {
            Phase::Calm => None,
            Phase::Trouble { incident, .. } => incident.as_deref(),
            Phase::Over { incident, .. } => Some(incident),
        }
    }

    /// The incident of a task that comes and goes, when it is over for now, and since when. It is not over for good before it has
    /// been calm for a day.
    pub fn comes_and_goes(&self) -> Option<(&TaskIncident, Timestamp)> {
        match &self.phase {
            Phase::Over { incident, at, .. } if incident.waits_for_calm() => Some((incident, *at)),
            _ => None,
        }
    }

    /// A person has read it: no reminders until the end, at most 7 days. Was there anything to acknowledge?
    pub fn acknowledge(&mut self, now: Timestamp) -> bool {
        let is_open = self.state() == State::Err;
        let Some(incident) = self.phase.incident_mut() else { return false };
        let counts = is_open || incident.waits_for_calm();
        if counts {
            incident.acknowledged_at = Some(now);
        }
        counts
    }

    /// A person says that it is over.
    pub fn close(&mut self, now: Timestamp) -> Vec<IncidentEffect> {
        let mut out = Vec::new();
        self.end(ResolvedBy::Closed, EventTimes { at: now, now }, &mut out);
        if let Phase::Over { incident, .. } = &mut self.phase {
            incident.tell_over(ResolvedBy::Closed, EventTimes { at: now, now }, &mut out);
            incident.calmed();
        }
        out
    }

    /// A person says that its errors are none: it is over, and its end is not told.
    pub fn dismiss(&mut self, now: Timestamp) -> Vec<IncidentEffect> {
        if let Some(incident) = self.phase.incident_mut() {
            incident.forget_told();
        }
        self.close(now)
    }

    /// The word.
    pub fn state(&self) -> State {
        state::of_task(matches!(self.phase, Phase::Trouble { .. }), false)
    }

    /// How its last days went, until now. `missing`: since then it did not come. An alarm is well while it is silent.
    pub fn strip<const N: usize>(&self, missing: Option<Timestamp>, now: Timestamp, by: &AlertPolicy) -> [DayState; N] {
        let mut facts = Days::clone(&self.days);
        facts.carry(day_of(now, by.zone), self.state());
        if let Some(since) = missing {
            facts.fill(day_of(since, by.zone), day_of(now, by.zone), State::Lost);
        }
        facts.cells(day_of(now, by.zone), State::Ok, self.is_alarm())
    }

    /// It did not come in all that time.
    pub fn was_missing(&mut self, from: Timestamp, to: Timestamp, policy: &AlertPolicy) {
        self.days.fill(day_of(from, policy.zone), day_of(to, policy.zone), State::Lost);
    }

    /// The run that showed last that it is well: when it began, if that is known, and ended. Nothing after an error.
    pub fn last_run(&self) -> Option<(Option<Timestamp>, Timestamp)> {
        self.good.map(|good| (good.began_at, good.at))
    }

    /// Since when it is ERR, though nobody was told because it was so at the agent's first start.
    pub fn inherited_at(&self) -> Option<Timestamp> {
        matches!(self.phase, Phase::Trouble { incident: None, .. }).then_some(self.last_error_at).flatten()
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
    pub fn last_good_at(&self) -> Option<Timestamp> {
        self.good.map(|g| g.at).max(self.well_at)
    }

    /// When its latest error happened.
    pub fn last_error_at(&self) -> Option<Timestamp> {
        self.last_error_at
    }

    fn message(
        &mut self,
        event: &Event,
        file: &File,
        text: Option<&Excerpt>,
        moment: EventTimes,
        out: &mut Vec<IncidentEffect>,
    ) {
        if file.history || text.is_some_and(Excerpt::is_blank) {
            return;
        }
        let times = if let EventContent::Seen { times, .. } = event.what { times } else { 1 };
        let due = self.texts.message(observation::hash(&file.path), text, u64::from(times), moment.at);
        if let Some((excerpt, n_seen)) = due.filter(|_| !observation::is_told(event)) {
            let content = Content::Message { excerpt, path: file.path.clone(), n_seen };
            out.push(IncidentEffect::Notify { kind: Kind::Msg, at: moment.at, content, of: Vec::new() });
        }
    }

    fn cleared(
        &mut self,
        suffix: LogKind,
        path: &str,
        deleted: bool,
        moment: EventTimes,
        policy: &AlertPolicy,
        out: &mut Vec<IncidentEffect>,
    ) {
        match suffix {
            LogKind::Msg => {}
            // Closed empty: a run that had nothing to say began when it emptied the file, which is what mtime tells.
            LogKind::Log if !deleted => {
                let beside_error = !self.uncleared.is_empty();
                let began_at = Some(moment.at);
                self.run(RunSign { moment, began_at, is_new: true, is_closed: true, beside_error }, policy, out);
            }
            LogKind::Log => (self.is_task, self.has_runs) = (true, true),
            LogKind::Err | LogKind::Scanerr => {
                self.is_task = true;
                let n_before = self.uncleared.len();
                self.uncleared.retain(|file| *file != observation::hash(path));
                // Yesterday's file removed while today's still holds its error says nothing.
                if n_before > 0 && self.uncleared.is_empty() {
                    self.infer(ResolvedBy::Cleared, moment, policy, out);
                }
            }
        }
    }

    /// Whoever sent an alert says that it is over, or sends it no longer. That is believed at once.
    fn resolved(&mut self, path: &str, moment: EventTimes, out: &mut Vec<IncidentEffect>) {
        self.is_task = true;
        self.uncleared.retain(|alert| *alert != observation::hash(path));
        if self.uncleared.is_empty() {
            let at = moment.at;
            if self.last_error_at.is_none_or(|error| error <= at) {
                self.is_good(Good { ground: ResolvedBy::Resolved, began_at: None, at, heard_at: moment.now });
            }
            self.end(ResolvedBy::Resolved, moment, out);
        }
    }

    fn run(&mut self, run: RunSign, policy: &AlertPolicy, out: &mut Vec<IncidentEffect>) {
        (self.is_task, self.has_runs) = (true, true);
        let EventTimes { at, now } = run.moment;
        self.days.mark(day_of(at, policy.zone), State::Ok);
        let closed_before = self.closed_at;
        if run.is_closed {
            self.closed_at = closed_before.max(Some(at));
        }
        let new_log = Good { ground: ResolvedBy::NewLog, began_at: run.began_at, at, heard_at: now };
        let Some(error) = self.last_error_at else { return self.is_good(new_log) };
        if run.is_closed && !run.beside_error && run.began_at.is_some_and(|began| began > error) {
            self.is_good(new_log);
            return self.infer(ResolvedBy::NewLog, run.moment, policy, out);
        }
        // A run that ends and had its error on the way is no proof of health, however long ago that was. In a log that is
        // appended to, it began after the last time that a file of the task was closed.
        let began_at = if run.is_new { run.began_at.or(closed_before) } else { run.began_at.max(closed_before) };
        let has_erred = run.is_closed && began_at.is_none_or(|began| error > began);
        if !has_erred && at.since(error) >= policy.resolve_after {
            self.is_good(Good { ground: ResolvedBy::LogGrew, began_at: None, ..new_log });
            self.infer(ResolvedBy::LogGrew, run.moment, policy, out);
        }
    }

    fn is_good(&mut self, good: Good) {
        self.well_at = self.last_good_at();
        self.good = Some(good);
    }

    /// An end that is believed if no error comes for a while.
    fn infer(&mut self, ground: ResolvedBy, moment: EventTimes, policy: &AlertPolicy, out: &mut Vec<IncidentEffect>) {
        if let Phase::Trouble { pending, .. } = &mut self.phase {
            let until = moment.now.plus(policy.over_wait);
            pending.get_or_insert(UnconfirmedEnd { ground, at: moment.at, until });
            if policy.over_wait <= 0 {
                self.end(ground, moment, out);
            }
        }
    }

    fn error_file(&mut self, file: &File, sign: ErrorSign<'_>, policy: &AlertPolicy, out: &mut Vec<IncidentEffect>) {
        if file.closed {
            self.closed_at = self.closed_at.max(Some(sign.moment.at));
        }
        let id = observation::hash(&file.path);
        self.uncleared.retain(|other| *other != id);
        push_bounded(&mut self.uncleared, id, UNCLEARED_MAX);
        if file.history { self.inherit(&sign, policy) } else { self.error(sign, policy, out) }
    }

    /// An error that was there when the agent first started: the task is ERR, and nobody is told.
    fn inherit(&mut self, sign: &ErrorSign<'_>, policy: &AlertPolicy) {
        self.note_error(sign.moment, policy);
        // What still stands as good after an error began after it.
        if matches!(self.phase, Phase::Calm) && self.good.is_none() {
            self.phase = Phase::trouble(None, None, sign.moment.now);
        }
    }

    fn error(&mut self, sign: ErrorSign<'_>, policy: &AlertPolicy, out: &mut Vec<IncidentEffect>) {
        let EventTimes { at, now } = sign.moment;
        // The end was due before this error happened; only nobody had looked.
        let was_over = |p: &UnconfirmedEnd| p.until <= now && at.since(p.at) >= policy.over_wait;
        if let Some(pending) = self.phase.pending().filter(was_over) {
            self.end(pending.ground, EventTimes { at: pending.at, now }, out);
        }
        self.note_error(sign.moment, policy);
        let first = if self.learn(&sign.fingerprints) { Reason::Again } else { Reason::First };
        // A good run that began after this error still stands: it is told late, and will be over.
        let refuted = self.good.map(|good| UnconfirmedEnd {
            ground: good.ground,
            at: good.at,
            until: now.plus(policy.over_wait),
        });
        let mut incident = match std::mem::take(&mut self.phase) {
            Phase::Trouble { incident: Some(incident), .. } => {
                out.push(IncidentEffect::Update);
                incident
            }
            Phase::Over { mut incident, ground, at, decided_at }
                if refuted.is_some() && incident.has_pushed(&sign.fingerprints) =>
            {
                incident.count(&sign);
                out.push(IncidentEffect::Update);
                self.phase = Phase::Over { incident, ground, at, decided_at };
                return;
            }
            Phase::Over { mut incident, .. } => {
                incident.reopen(at, policy);
                out.push(IncidentEffect::Reopen);
                incident
            }
            Phase::Calm | Phase::Trouble { incident: None, .. } => {
                out.push(IncidentEffect::Begin);
                Box::new(TaskIncident::new(at))
            }
        };
        incident.count(&sign);
        incident.tell_error(&sign, first, self.last_good_at(), policy, out);
        self.phase = Phase::trouble(Some(incident), refuted, now);
    }

    /// Takes an error into the facts, and out of them what it disproves.
    fn note_error(&mut self, moment: EventTimes, policy: &AlertPolicy) {
        self.is_task = true;
        self.days.mark(day_of(moment.at, policy.zone), State::Err);
        self.last_error_at = self.last_error_at.max(Some(moment.at));
        push_bounded(&mut self.sightings, moment.at, SIGHTINGS_MAX);
        if let Some(good) = self.good.take_if(|good| good.began_at.is_none_or(|began| moment.at >= began)) {
            // A sign of health is believed as late as an end: the log of a failing run may come before its error.
            if moment.now.since(good.heard_at) >= policy.over_wait {
                self.well_at = self.well_at.max(Some(good.at));
            }
        }
    }

    /// Were all of them known? They are now.
    fn learn(&mut self, fingerprints: &[Fingerprint]) -> bool {
        let all_known = fingerprints.iter().all(|f| self.known.contains(f));
        for &fingerprint in fingerprints {
            self.known.retain(|known| *known != fingerprint);
            push_bounded(&mut self.known, fingerprint, KNOWN_MAX);
        }
        all_known
    }

    fn end(&mut self, ground: ResolvedBy, moment: EventTimes, out: &mut Vec<IncidentEffect>) {
        let Phase::Trouble { incident, .. } = &mut self.phase else { return };
        let incident = incident.take();
        self.phase = Phase::Calm;
        self.uncleared.clear();
        if let Some(mut incident) = incident {
            incident.end(ground, moment, out);
            self.phase = Phase::Over { incident, ground, at: moment.at, decided_at: moment.now };
        }
    }

    /// An incident that comes and goes is told as over once it has been calm for a day. True: it is another one next time.
    fn tell_calm(&mut self, now: Timestamp, out: &mut Vec<IncidentEffect>) -> bool {
        match &mut self.phase {
            Phase::Over { incident, ground, at, decided_at } if now.since(*decided_at) >= SAME_WITHIN => {
                incident.tell_over(*ground, EventTimes { at: *at, now }, out);
                true
            }
            _ => false,
        }
    }

    fn quiet_at(&self, policy: &AlertPolicy) -> Option<Timestamp> {
        match self.phase {
            Phase::Trouble { heard_at, not_quiet_before, .. } if !self.has_runs => {
                Some(heard_at.plus(self.quiet_wait(policy)).max(not_quiet_before.unwrap_or(heard_at)))
            }
            _ => None,
        }
    }

    /// How long an alarm has to be silent. `over_wait` on top, so that one that comes once a day is not quiet a second too early.
    fn quiet_wait(&self, policy: &AlertPolicy) -> i64 {
        let mut sorted = self.sightings.clone();
        sorted.sort_unstable();
        let mut gaps: Vec<i64> = sorted.iter().zip(sorted.iter().skip(1)).map(|(a, b)| b.since(*a)).collect();
        gaps.sort_unstable();
        let wait = match gaps.get(gaps.len().saturating_sub(1) / 2) {
            Some(median) if gaps.len() >= 2 => median.saturating_mul(3).clamp(QUIET_MIN, QUIET_MAX),
            _ => QUIET_UNKNOWN,
        };
        wait.saturating_add(policy.over_wait.max(0))
    }
}

/// Appends; beyond the bound the oldest goes.
fn push_bounded<T>(list: &mut Vec<T>, item: T, bound: usize) {
    if list.len() >= bound {
        list.drain(..=list.len() - bound);
    }
    list.push(item);
}

//! What the user is notified of about one incident, and when.
//!
//! | what comes | notification |
//! |---|---|
//! | the first error, or the first after it was over | at once |
//! | a different error | at once, up to `new_errors_per_hour`; the rest together every 15 min |
//! | the same error again | only counted; told in the reminder and at the end |
//! | nothing new for `remind_every` | a reminder; not for 7 days after an acknowledgement |
//! | the end | at once, if the failure was sent |
//!
//! An incident that is reopened for the third time within a day is reported as one that comes and goes, then every 6 h with its
//! count, until 24 h without an error.
//!
//! Invariant: an error counts as told only if its words are in a message. An error of which a grouped message has only the number is
//! news when it comes again.

use olog_proto::{Author, Excerpt, Fingerprint, FingerprintText, Timestamp, fingerprint};
use olog_push::{Content, ErrorFacts, Kind, Reason, Reopened, ResolvedBy, SaidBy};
use serde::{Deserialize, Serialize};

use super::observation::{ErrorSign, EventTimes, hash};
use super::{AlertPolicy, HOUR, IncidentEffect, MINUTE, TaskFacts, push_bounded};
use crate::rules::{ACKNOWLEDGED_FOR, state::State};

/// New errors beyond the bound of an hour are told together after this time.
const TOGETHER_EVERY: i64 = 15 * MINUTE;
/// An incident that has been reopened this often comes and goes.
const COMES_AND_GOES: u32 = 3;
/// How often that is told.
const COMES_AND_GOES_EVERY: i64 = 6 * HOUR;
const FINGERPRINTS_MAX: usize = 64;
/// Errors that are told together are shown by so many lines, each of so many characters.
const LINES_MAX: usize = 10;
const LINE_MAX: usize = 200;
const AT_ONCE_MAX: usize = 64;

/// Trouble of one task, from its first sign.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskIncident {
    /// Its number, once it has one.
    pub number: Option<u64>,
    /// When its first error happened.
    pub began_at: Timestamp,
    /// How often an error was seen in it.
    pub n_seen: u64,
    /// Of these, how many came before it began the last time.
    #[serde(skip_serializing_if = "is_none")]
    n_before: u64,
    /// How often it began.
    pub n_begun: u32,
    /// When it began the last time, if it was reopened.
    #[serde(skip_serializing_if = "Option::is_none")]
    reopened_at: Option<Timestamp>,
    /// When its latest error happened.
    pub last_error_at: Timestamp,
    /// The latest text.
    pub excerpt: Excerpt,
    /// Where that is.
    pub path: String,
    /// The user of the device that caused the latest error, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_by: Option<Author>,
    /// The user that reported its end, if that is another one and not root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_by: Option<Author>,
    /// When a person acknowledged it, if that still holds.
    pub acknowledged_at: Option<Timestamp>,
    /// How often it was reopened since it was last over for good.
    n_reopened: u32,
    /// The last that a person heard is that it is open.
    is_told: bool,
    /// When a person last heard of it.
    told_at: Timestamp,
    /// How often it had begun then.
    n_begun_told: u32,
    /// Errors that were pushed, or will be with `held`.
    pushed: Vec<Fingerprint>,
    /// When new errors were pushed at once, within the last hour.
    at_once: Vec<Timestamp>,
    held: Option<GroupedErrors>,
    /// Errors in a row: since it last began.
    #[serde(skip_serializing_if = "is_zero")]
    n_row: u32,
    /// The last of them that counted: when, and in which file if its writer had that open still.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted: Option<(Timestamp, Option<u64>)>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

fn is_none(n: &u64) -> bool {
    *n == 0
}

/// New errors that wait to be told together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct GroupedErrors {
    until: Timestamp,
    at: Timestamp,
    excerpt: Excerpt,
    path: String,
    fingerprint: Option<Fingerprint>,
    /// All of them.
    #[serde(default)]
    of: Vec<Fingerprint>,
    n_more: u32,
    /// Those of which the message has only the number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    only_counted: Vec<Fingerprint>,
    /// What the further ones say, a line each, at most [`LINES_MAX`].
    #[serde(default)]
    lines: Vec<String>,
}

impl TaskFacts {
    /// When a person is told again of the open incident, or of one that comes and goes.
    pub fn remind_at(&self, policy: &AlertPolicy) -> Option<Timestamp> {
        self.incident()?.remind_at(self.state() == State::Err, self.quiet_at(policy), policy)
    }

    /// Errors that a message has only counted: they are news when they come again.
    pub fn not_told(&mut self, errors: &[Fingerprint]) {
        if let Some(incident) = self.phase.incident_mut() {
            incident.not_told(errors);
        }
    }
}

impl TaskIncident {
    pub(super) fn new(began_at: Timestamp) -> TaskIncident {
        TaskIncident { began_at, n_begun: 1, last_error_at: began_at, ..TaskIncident::default() }
    }

    /// An open incident whose facts could not be read: the user counts as notified, so that its end is told.
    pub(super) fn remade(self) -> TaskIncident {
        let told_at = self.told_at.max(self.last_error_at);
        TaskIncident { is_told: true, told_at, n_begun_told: self.n_begun, ..self }
    }

    pub(super) fn reopen(&mut self, at: Timestamp, policy: &AlertPolicy) {
        self.reopened_at = Some(at);
        self.n_before = self.n_seen;
        self.n_begun = self.n_begun.saturating_add(1);
        // What was too short to be told does not come and go.
        if self.n_row.max(1) >= policy.errors_in_a_row {
            self.n_reopened = self.n_reopened.saturating_add(1);
        }
        (self.n_row, self.counted) = (0, None);
        // An end that was told ends the acknowledgement; while it comes and goes, no end is told.
        if self.n_reopened <= COMES_AND_GOES {
            self.acknowledged_at = None;
        }
    }

    pub(super) fn count(&mut self, sign: &ErrorSign<'_>) {
        self.n_seen = self.n_seen.saturating_add(sign.times);
        self.last_error_at = self.last_error_at.max(sign.moment.at);
        self.began_at = self.began_at.min(sign.moment.at);
        self.count_in_row(sign);
        if !sign.excerpt.is_blank() {
            self.excerpt = sign.excerpt.clone();
            sign.path.clone_into(&mut self.path);
        }
    }

    /// What one run writes bit by bit counts once; what never ends counts once a minute.
    fn count_in_row(&mut self, sign: &ErrorSign<'_>) {
        let file = hash(sign.path);
        let is_same_run = self.counted.is_some_and(|(at, open)| {
            sign.is_more && open == Some(file) && sign.moment.at.since(at).saturating_abs() < MINUTE
        });
        if !is_same_run {
            self.n_row = self.n_row.saturating_add(u32::try_from(sign.times).unwrap_or(u32::MAX));
            self.counted = Some((sign.moment.at, None));
        }
        if let Some((_, open)) = &mut self.counted {
            *open = sign.is_unfinished.then_some(file);
        }
    }

    /// The errors that were pushed, or would have been; of what nobody was told, those of its latest text.
    pub fn fingerprints(&self) -> Vec<Fingerprint> {
        if !self.pushed.is_empty() {
            return self.pushed.clone();
        }
        fingerprint::fingerprints(self.excerpt.head()).iter().map(FingerprintText::fingerprint).collect()
    }

    /// Were all of these pushed in this incident?
    pub(super) fn has_pushed(&self, fingerprints: &[Fingerprint]) -> bool {
        fingerprints.iter().all(|f| self.pushed.contains(f))
    }

    /// Its latest beginning: what its age is counted from.
    pub fn last_began_at(&self) -> Timestamp {
        self.reopened_at.unwrap_or(self.began_at)
    }

    /// How often an error was seen since then: what stands beside that time.
    pub fn n_since_begun(&self) -> u64 {
        self.n_seen.saturating_sub(self.n_before)
    }

    /// Errors that no message has shown in their own words: they are news when they come again.
    pub(super) fn not_told(&mut self, errors: &[Fingerprint]) {
        self.pushed.retain(|pushed| !errors.contains(pushed));
    }

    /// The reminder of it, as it is now.
    pub fn reminder(&self) -> Content {
        Content::Remind {
            began_at: self.last_began_at(),
            n_seen: self.n_since_begun(),
            last_error_at: self.last_error_at,
            excerpt: self.excerpt.clone(),
            reopened: self.reopened(),
        }
    }

    fn reopened(&self) -> Option<Reopened> {
        let first_at = self.began_at;
        self.reopened_at.map(|_| Reopened { n_begun: self.n_begun, first_at })
    }

    /// An error of this user.
    pub(super) fn error_is_by(&mut self, by: Option<&Author>) {
        (self.error_by, self.end_by) = (by.cloned(), None);
    }

    /// A sign of health by this user, which may end it. `is_first`: no earlier one has.
    pub(super) fn end_is_by(&mut self, by: Option<&Author>, is_first: bool) {
        let is_own = by.zip(self.error_by.as_ref()).is_none_or(|(by, error)| by.speaks_for(error));
        if is_own {
            self.end_by = None;
        } else if is_first {
            self.end_by = by.cloned();
        }
    }

    /// Of an end that a person or silence has made nobody of the device spoke.
    fn said_by(&self, ground: ResolvedBy) -> Option<SaidBy> {
        let is_said = !matches!(ground, ResolvedBy::Closed | ResolvedBy::Quiet);
        let (end, error) = self.end_by.clone().zip(self.error_by.clone()).filter(|_| is_said)?;
        Some(SaidBy { end, error })
    }

    /// Its ends are not told before it has been calm for a day.
    pub(super) fn waits_for_calm(&self) -> bool {
        self.is_told && self.n_reopened >= COMES_AND_GOES
    }

    /// A person closed it: should it begin again, that is news.
    pub(super) fn calmed(&mut self) {
        self.n_reopened = 0;
    }

    /// Nobody is told of it any more, nor of what waits to be told with others.
    pub(super) fn forget_told(&mut self) {
        (self.is_told, self.held) = (false, None);
    }

    pub(super) fn tell_error(
        &mut self,
        sign: &ErrorSign<'_>,
        first: Reason,
        last_good_at: Option<Timestamp>,
        policy: &AlertPolicy,
        out: &mut Vec<IncidentEffect>,
    ) {
        let is_too_few = !self.is_told && !sign.is_told && self.n_row < policy.errors_in_a_row;
        if sign.is_silent || is_too_few {
            return;
        }
        let new: Vec<Fingerprint> = sign.fingerprints.iter().filter(|f| !self.pushed.contains(f)).copied().collect();
        let fresh = new.first().copied();
        let waits = self.is_told && fresh.is_some() && !sign.is_told && !self.has_slot(sign.moment.now, policy);
        if waits && self.held.as_ref().is_some_and(|held| held.lines.len() >= LINES_MAX) {
            return self.count_beyond_the_lines(&new);
        }
        new.iter().for_each(|fingerprint| push_bounded(&mut self.pushed, *fingerprint, FINGERPRINTS_MAX));
        if waits {
            return self.hold(sign, new);
        }
        let why = if !self.is_told {
            match self.n_reopened {
                n if n < COMES_AND_GOES && policy.errors_in_a_row > 1 => Reason::InARow { n_times: self.n_row },
                0 => first,
                n if n < COMES_AND_GOES => Reason::Reopened,
                _ => Reason::ComesAndGoes { n_times: self.n_begun },
            }
        } else if fresh.is_some() {
            Reason::NewFingerprint
        } else {
            return;
        };
        self.is_told = true;
        self.told_at = sign.moment.now;
        self.n_begun_told = self.n_begun;
        if sign.is_told {
            return;
        }
        if why == Reason::NewFingerprint {
            push_bounded(&mut self.at_once, sign.moment.now, AT_ONCE_MAX);
        }
        let fingerprint = fresh.or(sign.fingerprints.first().copied());
        let content = Content::Error {
            why,
            excerpt: sign.excerpt.clone(),
            path: sign.path.to_owned(),
            fingerprint,
            last_good_at,
            began_at: self.last_began_at(),
            n_seen: self.n_since_begun(),
            facts: Box::new(ErrorFacts {
                fingerprints: sign.fingerprints.clone(),
                reopened: self.reopened(),
                run: sign.run,
                recovered_at: None,
            }),
        };
        let of = if why == Reason::NewFingerprint { new } else { sign.fingerprints.clone() };
        out.push(IncidentEffect::Notify { kind: Kind::Err, at: sign.moment.at, content, of });
    }

    fn has_slot(&mut self, now: Timestamp, policy: &AlertPolicy) -> bool {
        self.at_once.retain(|at| now.since(*at) < HOUR);
        self.at_once.len() < usize::try_from(policy.new_errors_per_hour).unwrap_or(AT_ONCE_MAX).min(AT_ONCE_MAX)
    }

    fn hold(&mut self, sign: &ErrorSign<'_>, of: Vec<Fingerprint>) {
        match &mut self.held {
            Some(held) => {
                held.n_more = held.n_more.saturating_add(1);
                if held.lines.len() < LINES_MAX {
                    held.lines.extend(last_line(&sign.excerpt));
                }
                of.into_iter().for_each(|fingerprint| push_bounded(&mut held.of, fingerprint, FINGERPRINTS_MAX));
            }
            None => {
                let (excerpt, path) = (sign.excerpt.clone(), sign.path.to_owned());
                self.held = Some(GroupedErrors {
                    until: sign.moment.now.plus(TOGETHER_EVERY),
                    at: sign.moment.at,
                    excerpt,
                    path,
                    fingerprint: of.first().copied(),
                    of,
                    n_more: 0,
                    only_counted: Vec::new(),
                    lines: Vec::new(),
                });
            }
        }
    }

    /// More errors wait than a message shows: this one is only counted. Its words are in no message, so it does not count as
    /// told, and is news when it comes again later.
    fn count_beyond_the_lines(&mut self, new: &[Fingerprint]) {
        let Some(held) = &mut self.held else { return };
        if new.iter().all(|fingerprint| held.only_counted.contains(fingerprint)) {
            return;
        }
        held.n_more = held.n_more.saturating_add(1);
        new.iter().for_each(|fingerprint| push_bounded(&mut held.only_counted, *fingerprint, FINGERPRINTS_MAX));
    }

    pub(super) fn tell_held(&mut self, now: Timestamp, out: &mut Vec<IncidentEffect>) {
        if self.held.as_ref().is_some_and(|held| held.until <= now) {
            self.release_held(now, out);
        }
    }

    fn release_held(&mut self, now: Timestamp, out: &mut Vec<IncidentEffect>) {
        let Some(held) = self.held.take() else { return };
        self.told_at = now;
        let excerpt = match held.lines.as_slice() {
            [] => held.excerpt,
            lines => Excerpt::of(&format!("{}\n{}", shown(&held.excerpt), lines.join("\n"))),
        };
        let content = Content::Error {
            why: Reason::MoreFingerprints { n_more: held.n_more },
            excerpt,
            path: held.path,
            fingerprint: held.fingerprint,
            last_good_at: None,
            began_at: self.last_began_at(),
            n_seen: self.n_since_begun(),
            facts: Box::new(ErrorFacts {
                fingerprints: held.of.clone(),
                reopened: self.reopened(),
                ..ErrorFacts::default()
            }),
        };
        out.push(IncidentEffect::Notify { kind: Kind::Err, at: held.at, content, of: held.of });
    }

    pub(super) fn end(&mut self, ground: ResolvedBy, moment: EventTimes, out: &mut Vec<IncidentEffect>) {
        // What was held back must not come after the end.
        self.release_held(moment.now, out);
        out.push(IncidentEffect::End { ground, at: moment.at });
        if !self.waits_for_calm() {
            self.tell_over(ground, moment, out);
        }
    }

    pub(super) fn tell_over(&mut self, ground: ResolvedBy, moment: EventTimes, out: &mut Vec<IncidentEffect>) {
        if !std::mem::take(&mut self.is_told) {
            return;
        }
        self.told_at = moment.now;
        let content = Content::Over {
            ground,
            began_at: self.last_began_at(),
            n_seen: self.n_since_begun(),
            acknowledged_at: self.acknowledged_at,
            reopened: self.reopened(),
            said_by: self.said_by(ground).map(Box::new),
        };
        out.push(IncidentEffect::Notify { kind: Kind::Over, at: moment.at, content, of: Vec::new() });
    }

    /// When a person has to hear of it again, if nothing new comes. `quiet_at`: when its end by silence is due.
    fn remind_at(&self, is_open: bool, quiet_at: Option<Timestamp>, policy: &AlertPolicy) -> Option<Timestamp> {
        let every = if self.waits_for_calm() && self.n_begun > self.n_begun_told {
            COMES_AND_GOES_EVERY
        } else if is_open {
            policy.remind_every.max(MINUTE)
        } else {
            return None;
        };
        let due = self.told_at.plus(every);
        let due = self.acknowledged_at.map_or(due, |read| due.max(read.plus(ACKNOWLEDGED_FOR)));
        // "Still open" and a minute later "not seen since yesterday" would be one message too many.
        let ends_soon = quiet_at.filter(|quiet| (0..=policy.over_wait).contains(&quiet.since(due)));
        self.is_told.then(|| ends_soon.unwrap_or(due))
    }

    pub(super) fn due_at(&self, is_open: bool, quiet_at: Option<Timestamp>, policy: &AlertPolicy) -> Option<Timestamp> {
        [self.held.as_ref().map(|h| h.until), self.remind_at(is_open, quiet_at, policy)].into_iter().flatten().min()
    }

    pub(super) fn remind(
        &mut self,
        is_open: bool,
        quiet_at: Option<Timestamp>,
        now: Timestamp,
        policy: &AlertPolicy,
        out: &mut Vec<IncidentEffect>,
    ) {
        if self.remind_at(is_open, quiet_at, policy).is_none_or(|due| due > now) {
            return;
        }
        if self.waits_for_calm() && self.n_begun > self.n_begun_told {
            let content = Content::Error {
                why: Reason::ComesAndGoes { n_times: self.n_begun },
                excerpt: self.excerpt.clone(),
                path: self.path.clone(),
                fingerprint: None,
                last_good_at: None,
                began_at: self.last_began_at(),
                n_seen: self.n_since_begun(),
                facts: Box::new(ErrorFacts {
                    fingerprints: self.pushed.clone(),
                    reopened: self.reopened(),
                    ..ErrorFacts::default()
                }),
            };
            out.push(IncidentEffect::Notify { kind: Kind::Err, at: now, content, of: self.pushed.clone() });
        } else {
            let content = self.reminder();
            out.push(IncidentEffect::Notify { kind: Kind::Remind, at: now, content, of: self.pushed.clone() });
        }
        self.told_at = now;
        self.n_begun_told = self.n_begun;
    }
}

/// The last line that is not blank: what a traceback and most programs end with.
fn last_line(excerpt: &Excerpt) -> Option<String> {
    let line =
        [excerpt.tail(), excerpt.head()].into_iter().flat_map(|text| text.lines().rev()).find(|l| !l.trim().is_empty());
    line.map(|line| line.trim().chars().take(LINE_MAX).collect())
}

/// A text as it stands, short enough that the lines behind it have room.
fn shown(excerpt: &Excerpt) -> String {
    if excerpt.left_out() == 0 { excerpt.head().trim_end().to_owned() } else { last_line(excerpt).unwrap_or_default() }
}

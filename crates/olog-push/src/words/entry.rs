//! Merges related notices into one item of a message, before anything is put into words.
//!
//! An incident has one state in a message, its newest: an error and its recovery that both wait become one item, and so do a
//! recovery and the error that followed it. A repeated error replaces the earlier one, a reminder adds nothing to the alert
//! that still waits. Errors that differ are never merged: two notices are the same error only if all fingerprints of their texts
//! agree, because two texts may share a first line. What an item has absorbed stays in `earlier`, so that every
//! error's own text is still shown.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use olog_proto::{Excerpt, FINGERPRINTS_MAX, Timestamp};

use crate::{About, Content, Notice, Reason, ResolvedBy, SystemCode};

/// One matter to tell.
#[derive(Debug, Clone)]
pub(super) struct MessageItem<'a> {
    /// The notices that it stands for.
    pub(super) places: Vec<usize>,
    /// The newest of them: its state is the item's.
    pub(super) notice: &'a Notice,
    /// Older notices of the same incident that were still waiting, oldest first; without repeated ones.
    pub(super) earlier: Vec<&'a Notice>,
}

impl<'a> MessageItem<'a> {
    /// Which error it is, if it is one and has nothing else to say.
    pub(super) fn error(&self) -> Option<SameError<'a>> {
        if self.earlier.is_empty() { SameError::of(self.notice) } else { None }
    }

    /// The alert that was still waiting when the recovery came.
    pub(super) fn has_start(&self) -> bool {
        use Content::{DevicesLost, Error, Remind, TaskLost};
        let starts =
            |n: &&Notice| matches!(n.content, Error { .. } | Remind { .. } | TaskLost { .. } | DevicesLost { .. });
        self.earlier.iter().any(starts)
    }

    /// The texts of all errors that it stands for, oldest first, each once.
    pub(super) fn texts(&self) -> Vec<&'a Excerpt> {
        let mut texts: Vec<&'a Excerpt> = Vec::new();
        for notice in self.earlier.iter().chain([&self.notice]) {
            let text = match &notice.content {
                Content::Error { excerpt, .. } | Content::Remind { excerpt, .. } | Content::Message { excerpt, .. } => {
                    excerpt
                }
                _ => continue,
            };
            if !text.is_blank() && !texts.contains(&text) {
                texts.push(text);
            }
        }
        texts
    }

    /// What it is about, for programs.
    pub(super) fn about(&self) -> About {
        let Notice { kind, device, task, incident, at, .. } = self.notice;
        About { kind: *kind, device: device.clone(), task: task.clone(), incident: *incident, at: *at }
    }

    /// Its catalogue key of the state.
    pub(super) fn state(&self) -> &'static str {
        match &self.notice.content {
            Content::Error { .. } => "state-err",
            Content::Message { .. } => "state-msg",
            Content::Over { ground: ResolvedBy::Quiet, .. } => "state-quiet",
            Content::Over { .. } => "state-over",
            Content::Remind { .. } => "state-remind",
            Content::TaskLost { .. } => "state-lost-task",
            Content::TaskCame { .. } => "state-over",
            Content::TaskRuns { .. } => "state-runs",
            Content::DevicesLost { .. } => "state-lost",
            Content::DevicesBack { .. } => "state-back",
            Content::Report(_) => "state-report",
            Content::System { .. } => "state-system",
        }
    }

    /// An end by silence lies in the past by its nature, a reminder speaks of now, and new errors beyond the bound of an hour were
    /// held back on purpose.
    pub(super) fn can_be_late(&self) -> bool {
        match &self.notice.content {
            Content::Over { ground: ResolvedBy::Quiet, .. } | Content::Remind { .. } => false,
            Content::Error { why: Reason::MoreFingerprints { .. }, .. } => false,
            Content::TaskLost { is_reminder, .. } => !is_reminder,
            _ => true,
        }
    }

    /// What the device says of itself when it is the one that speaks.
    pub(super) fn by_device(&self) -> &'static str {
        match &self.notice.content {
            Content::System { code: SystemCode::HubReachable, .. } => "by-device-again",
            _ => "by-device",
        }
    }

    /// The instant that makes it late.
    pub(super) fn late_at(&self, now: Timestamp) -> Timestamp {
        if self.can_be_late() { self.notice.at } else { now }
    }

    /// It is told by itself: nobody looks for an alarm in a report, nor for a report behind alarms.
    pub(super) fn is_alone(&self) -> bool {
        matches!(self.notice.content, Content::Report(_))
    }

    /// By which entries are ordered.
    fn key(&self) -> (u8, Option<&str>, Timestamp) {
        (self.rank(), self.notice.device.as_deref(), self.notice.at)
    }

    /// Worst first.
    pub(super) fn rank(&self) -> u8 {
        match &self.notice.content {
            Content::Error { .. } => 0,
            Content::DevicesLost { .. } | Content::TaskLost { is_reminder: false, .. } => 1,
            Content::TaskRuns { .. } => 2,
            Content::DevicesBack { missing, .. } if !missing.is_empty() => 2,
            Content::System { code, .. } if !code.is_good_news() => 3,
            Content::Remind { .. } | Content::TaskLost { .. } => 4,
            Content::Message { .. } => 5,
            Content::DevicesBack { .. } => 6,
            Content::Over { .. } | Content::TaskCame { .. } => 7,
            Content::System { .. } => 8,
            Content::Report(_) => 9,
        }
    }
}

/// Entries of notices that stand in the order of their making; worst first, then by device, then by time.
pub(super) fn merge(notices: &[Notice]) -> Vec<MessageItem<'_>> {
    // What an earlier one was taken into leaves a hole.
    let mut entries: Vec<Option<MessageItem<'_>>> = Vec::with_capacity(notices.len());
    let mut kin: HashMap<MergeKey<'_>, Vec<usize>> = HashMap::new();
    for (place, notice) in notices.iter().enumerate() {
        let mut entry = MessageItem { places: vec![place], notice, earlier: Vec::new() };
        let mut is_told_by_an_earlier = false;
        let earlier: BTreeSet<usize> =
            MergeKey::asked_by(notice).filter_map(|matter| kin.get(&matter)).flatten().copied().collect();
        for slot in earlier {
            let Some(slot) = entries.get_mut(slot) else { continue };
            let Some(earlier) = slot.as_mut() else { continue };
            match merge_rule(notice, earlier.notice) {
                Merge::Nothing => {}
                Merge::Replace => {
                    entry.earlier.append(&mut earlier.earlier);
                    entry.places.append(&mut earlier.places);
                    *slot = None;
                }
                Merge::Absorb => {
                    entry.earlier.append(&mut earlier.earlier);
                    entry.earlier.push(earlier.notice);
                    entry.places.append(&mut earlier.places);
                    *slot = None;
                }
                Merge::IntoEarlier if !is_told_by_an_earlier => {
                    is_told_by_an_earlier = true;
                    earlier.places.push(place);
                }
                Merge::IntoEarlier => {}
            }
        }
        if !is_told_by_an_earlier {
            for matter in MergeKey::known_by(notice) {
                let slots = kin.entry(matter).or_default();
                slots.retain(|slot| entries.get(*slot).is_some_and(Option::is_some));
                slots.push(entries.len());
            }
            entries.push(Some(entry));
        }
    }
    let mut entries: Vec<MessageItem<'_>> = entries.into_iter().flatten().collect();
    entries.sort_by(|a, b| a.key().cmp(&b.key()).then_with(|| Reverse(&b.places).cmp(&Reverse(&a.places))));
    entries
}

/// By what notices find each other, so that a storm is not compared with itself.
#[derive(PartialEq, Eq, Hash)]
enum MergeKey<'a> {
    Incident(u64, Option<&'a str>, Option<&'a str>),
    Affair(SystemCode, Option<&'a str>, &'a BTreeMap<String, String>),
    Report,
    Lost,
}

impl<'a> MergeKey<'a> {
    /// Where those stand that this one may take.
    fn asked_by(notice: &'a Notice) -> impl Iterator<Item = MergeKey<'a>> {
        let own = match &notice.content {
            Content::DevicesBack { .. } => Some(MergeKey::Lost),
            _ => None,
        };
        MergeKey::of(notice).chain(own)
    }

    /// Where this one is found by later ones.
    fn known_by(notice: &'a Notice) -> impl Iterator<Item = MergeKey<'a>> {
        let own = match &notice.content {
            Content::DevicesLost { .. } => Some(MergeKey::Lost),
            _ => None,
        };
        MergeKey::of(notice).chain(own)
    }

    fn of(notice: &'a Notice) -> impl Iterator<Item = MergeKey<'a>> {
        let device = notice.device.as_deref();
        let incident = notice.incident.map(|n| MergeKey::Incident(n, device, notice.task.as_deref()));
        let own = match &notice.content {
            Content::System { code, args } => Some(MergeKey::Affair(*code, device, args)),
            Content::Report(_) => Some(MergeKey::Report),
            _ => None,
        };
        incident.into_iter().chain(own)
    }
}

/// What a later notice does with an earlier one that is still waiting.
enum Merge {
    /// Nothing: both are shown.
    Nothing,
    /// It says all that the earlier one said.
    Replace,
    /// It has the newer state of the same incident; the earlier one's text is still shown.
    Absorb,
    /// The earlier one says all that it says.
    IntoEarlier,
}

fn merge_rule(later: &Notice, earlier: &Notice) -> Merge {
    use Content::{DevicesBack, DevicesLost, Error, Over, Remind, Report, System, TaskCame, TaskLost};
    let same_incident = later.incident.is_some()
        && (later.incident, &later.device, &later.task) == (earlier.incident, &earlier.device, &earlier.task);
    match (&later.content, &earlier.content) {
        (Over { .. }, Error { .. } | Remind { .. }) if same_incident => Merge::Absorb,
        // It is open again: one incident has one state, the newest.
        (Error { .. } | Remind { .. }, Over { .. }) | (TaskLost { .. }, TaskCame { .. }) if same_incident => {
            Merge::Absorb
        }
        (Over { .. }, Over { .. }) if same_incident => Merge::Replace,
        (TaskCame { .. }, TaskLost { .. }) if same_incident => Merge::Absorb,
        (TaskLost { .. }, TaskLost { .. }) if same_incident => Merge::Replace,
        (DevicesBack { devices, missing, .. }, DevicesLost { devices: lost, .. })
            if missing.is_empty() && (same_incident || lost.iter().all(|name| devices.contains(name))) =>
        {
            Merge::Absorb
        }
        // The later report contains the current state of everything that the earlier one, still unsent, listed as open.
        (Report(_), Report(_)) => Merge::Replace,
        (Remind { .. }, Remind { .. }) if same_incident => Merge::Replace,
        (Remind { .. }, Error { .. }) if same_incident => Merge::IntoEarlier,
        (Error { .. }, Error { .. })
            if same_incident && SameError::of(later).is_some_and(|it| Some(it) == SameError::of(earlier)) =>
        {
            Merge::Replace
        }
        (System { code: a, args: x }, System { code: b, args: y })
            if a == b && x == y && later.device == earlier.device =>
        {
            Merge::Replace
        }
        _ => Merge::Nothing,
    }
}

/// By what two notices are the same error: all fingerprints of their texts, or the text itself where those are not known.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum SameError<'a> {
    /// In ascending order.
    Fingerprints(Vec<String>),
    Text(&'a str, &'a str),
}

impl<'a> SameError<'a> {
    pub(super) fn of(notice: &'a Notice) -> Option<SameError<'a>> {
        let Content::Error { excerpt, facts, why, .. } = &notice.content else { return None };
        // Several errors in one notice, or a count of its own: it is shown by itself.
        if matches!(why, Reason::MoreFingerprints { .. } | Reason::ComesAndGoes { .. } | Reason::InARow { .. }) {
            return None;
        }
        // At the bound there may be more of them than the notice holds.
        if !facts.fingerprints.is_empty() && facts.fingerprints.len() < FINGERPRINTS_MAX {
            let mut all: Vec<String> = facts.fingerprints.iter().map(|f| f.to_string()).collect();
            all.sort_unstable();
            all.dedup();
            return Some(SameError::Fingerprints(all));
        }
        (!excerpt.is_blank()).then(|| SameError::Text(excerpt.head(), excerpt.tail()))
    }
}

//! What belongs together: a begin and its end, an error that came again, a reminder of what was never told.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use olog_proto::{At, Fingerprint};

use crate::{About, Content, Notice, Reason, ResolvedBy, SystemCode};

/// One matter to tell.
#[derive(Debug, Clone)]
pub(super) struct MessageItem<'a> {
    /// The notices that it stands for.
    pub(super) places: Vec<usize>,
    /// What is told.
    pub(super) notice: &'a Notice,
    /// The begin that still waited when the end came.
    pub(super) begin: Option<&'a Notice>,
}

impl MessageItem<'_> {
    /// The error's fingerprint, if it is an error.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        match &self.notice.content {
            Content::Error { fingerprint, .. } => *fingerprint,
            _ => None,
        }
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
    pub(super) fn late_at(&self, now: At) -> At {
        if self.can_be_late() { self.notice.at } else { now }
    }

    /// It is told by itself: nobody looks for an alarm in a report, nor for a report behind alarms.
    pub(super) fn is_alone(&self) -> bool {
        matches!(self.notice.content, Content::Report(_))
    }

    /// By which entries are ordered.
    fn key(&self) -> (u8, Option<&str>, At) {
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
pub(super) fn fold(notices: &[Notice]) -> Vec<MessageItem<'_>> {
    // What an earlier one was taken into leaves a hole.
    let mut entries: Vec<Option<MessageItem<'_>>> = Vec::with_capacity(notices.len());
    let mut kin: HashMap<MergeKey<'_>, Vec<usize>> = HashMap::new();
    for (place, notice) in notices.iter().enumerate() {
        let mut entry = MessageItem { places: vec![place], notice, begin: None };
        let mut is_told_by_an_earlier = false;
        let earlier: BTreeSet<usize> =
            MergeKey::asked_by(notice).filter_map(|matter| kin.get(&matter)).flatten().copied().collect();
        for slot in earlier {
            let Some(slot) = entries.get_mut(slot) else { continue };
            let Some(earlier) = slot.as_mut() else { continue };
            match takes(notice, earlier.notice) {
                Merge::Nothing => {}
                Merge::It => {
                    entry.begin = earlier.begin.or(entry.begin);
                    entry.places.append(&mut earlier.places);
                    *slot = None;
                }
                Merge::ItAsBegin => {
                    entry.begin = entry.begin.or(earlier.begin).or(Some(earlier.notice));
                    entry.places.append(&mut earlier.places);
                    *slot = None;
                }
                Merge::ItsPlaceInThat if !is_told_by_an_earlier => {
                    is_told_by_an_earlier = true;
                    earlier.places.push(place);
                }
                Merge::ItsPlaceInThat => {}
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

/// What a later notice makes of an earlier one that still waits.
enum Merge {
    Nothing,
    It,
    ItAsBegin,
    ItsPlaceInThat,
}

fn takes(later: &Notice, earlier: &Notice) -> Merge {
    let same_incident = later.incident.is_some()
        && (later.incident, &later.device, &later.task) == (earlier.incident, &earlier.device, &earlier.task);
    match (&later.content, &earlier.content) {
        (Content::Over { .. }, Content::Error { .. } | Content::Remind { .. }) if same_incident => Merge::ItAsBegin,
        (Content::Over { .. }, Content::Over { .. }) if same_incident => Merge::It,
        (Content::TaskCame { .. }, Content::TaskLost { .. }) if same_incident => Merge::ItAsBegin,
        (Content::TaskLost { .. }, Content::TaskLost { .. }) if same_incident => Merge::It,
        (Content::DevicesBack { devices, missing, .. }, Content::DevicesLost { devices: lost, .. })
            if missing.is_empty() && (same_incident || lost.iter().all(|name| devices.contains(name))) =>
        {
            Merge::ItAsBegin
        }
        // A later report knows all that an earlier one that nobody has read said of now.
        (Content::Report(_), Content::Report(_)) => Merge::It,
        (Content::Remind { .. }, Content::Remind { .. }) if same_incident => Merge::It,
        (Content::Remind { .. }, Content::Error { .. }) if same_incident => Merge::ItsPlaceInThat,
        (Content::Error { fingerprint: a, .. }, Content::Error { fingerprint: b, .. })
            if same_incident && a.is_some() && a == b =>
        {
            Merge::It
        }
        (Content::System { code: a, args: x }, Content::System { code: b, args: y })
            if a == b && x == y && later.device == earlier.device =>
        {
            Merge::It
        }
        _ => Merge::Nothing,
    }
}

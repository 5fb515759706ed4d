//! What belongs together: a begin and its end, an error that came again, a reminder of what was never told.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use olog_proto::{At, Fingerprint};

use crate::{About, Ground, Notice, Saying, SystemCode, Why};

/// One matter to tell.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    /// The notices that it stands for.
    pub(super) places: Vec<usize>,
    /// What is told.
    pub(super) notice: &'a Notice,
    /// The begin that still waited when the end came.
    pub(super) begin: Option<&'a Notice>,
}

impl Entry<'_> {
    /// The error's fingerprint, if it is an error.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        match &self.notice.saying {
            Saying::Error { fingerprint, .. } => *fingerprint,
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
        match &self.notice.saying {
            Saying::Error { .. } => "state-err",
            Saying::Message { .. } => "state-msg",
            Saying::Over { ground: Ground::Quiet, .. } => "state-quiet",
            Saying::Over { .. } => "state-over",
            Saying::Remind { .. } => "state-remind",
            Saying::TaskLost { .. } => "state-lost-task",
            Saying::TaskCame { .. } => "state-over",
            Saying::TaskRuns { .. } => "state-runs",
            Saying::DevicesLost { .. } => "state-lost",
            Saying::DevicesBack { .. } => "state-back",
            Saying::Report(_) => "state-report",
            Saying::System { .. } => "state-system",
        }
    }

    /// An end by silence lies in the past by its nature, a reminder speaks of now, and new errors beyond the bound of an hour were
    /// held back on purpose.
    pub(super) fn can_be_late(&self) -> bool {
        match &self.notice.saying {
            Saying::Over { ground: Ground::Quiet, .. } | Saying::Remind { .. } => false,
            Saying::Error { why: Why::MoreFingerprints { .. }, .. } => false,
            Saying::TaskLost { is_reminder, .. } => !is_reminder,
            _ => true,
        }
    }

    /// What the device says of itself when it is the one that speaks.
    pub(super) fn by_device(&self) -> &'static str {
        match &self.notice.saying {
            Saying::System { code: SystemCode::HubReachable, .. } => "by-device-again",
            _ => "by-device",
        }
    }

    /// The instant that makes it late.
    pub(super) fn late_at(&self, now: At) -> At {
        if self.can_be_late() { self.notice.at } else { now }
    }

    /// It is told by itself: nobody looks for an alarm in a report, nor for a report behind alarms.
    pub(super) fn is_alone(&self) -> bool {
        matches!(self.notice.saying, Saying::Report(_))
    }

    /// By which entries are ordered.
    fn key(&self) -> (u8, Option<&str>, At) {
        (self.rank(), self.notice.device.as_deref(), self.notice.at)
    }

    /// Worst first.
    pub(super) fn rank(&self) -> u8 {
        match &self.notice.saying {
            Saying::Error { .. } => 0,
            Saying::DevicesLost { .. } | Saying::TaskLost { is_reminder: false, .. } => 1,
            Saying::TaskRuns { .. } => 2,
            Saying::DevicesBack { missing, .. } if !missing.is_empty() => 2,
            Saying::System { code, .. } if !code.is_good_news() => 3,
            Saying::Remind { .. } | Saying::TaskLost { .. } => 4,
            Saying::Message { .. } => 5,
            Saying::DevicesBack { .. } => 6,
            Saying::Over { .. } | Saying::TaskCame { .. } => 7,
            Saying::System { .. } => 8,
            Saying::Report(_) => 9,
        }
    }
}

/// Entries of notices that stand in the order of their making; worst first, then by device, then by time.
pub(super) fn fold(notices: &[Notice]) -> Vec<Entry<'_>> {
    // What an earlier one was taken into leaves a hole.
    let mut entries: Vec<Option<Entry<'_>>> = Vec::with_capacity(notices.len());
    let mut kin: HashMap<Matter<'_>, Vec<usize>> = HashMap::new();
    for (place, notice) in notices.iter().enumerate() {
        let mut entry = Entry { places: vec![place], notice, begin: None };
        let mut is_told_by_an_earlier = false;
        let earlier: BTreeSet<usize> =
            Matter::asked_by(notice).filter_map(|matter| kin.get(&matter)).flatten().copied().collect();
        for slot in earlier {
            let Some(slot) = entries.get_mut(slot) else { continue };
            let Some(earlier) = slot.as_mut() else { continue };
            match takes(notice, earlier.notice) {
                Takes::Nothing => {}
                Takes::It => {
                    entry.begin = earlier.begin.or(entry.begin);
                    entry.places.append(&mut earlier.places);
                    *slot = None;
                }
                Takes::ItAsBegin => {
                    entry.begin = entry.begin.or(earlier.begin).or(Some(earlier.notice));
                    entry.places.append(&mut earlier.places);
                    *slot = None;
                }
                Takes::ItsPlaceInThat if !is_told_by_an_earlier => {
                    is_told_by_an_earlier = true;
                    earlier.places.push(place);
                }
                Takes::ItsPlaceInThat => {}
            }
        }
        if !is_told_by_an_earlier {
            for matter in Matter::known_by(notice) {
                let slots = kin.entry(matter).or_default();
                slots.retain(|slot| entries.get(*slot).is_some_and(Option::is_some));
                slots.push(entries.len());
            }
            entries.push(Some(entry));
        }
    }
    let mut entries: Vec<Entry<'_>> = entries.into_iter().flatten().collect();
    entries.sort_by(|a, b| a.key().cmp(&b.key()).then_with(|| Reverse(&b.places).cmp(&Reverse(&a.places))));
    entries
}

/// By what notices find each other, so that a storm is not compared with itself.
#[derive(PartialEq, Eq, Hash)]
enum Matter<'a> {
    Incident(u64, Option<&'a str>, Option<&'a str>),
    Affair(SystemCode, Option<&'a str>, &'a BTreeMap<String, String>),
    Report,
    Lost,
}

impl<'a> Matter<'a> {
    /// Where those stand that this one may take.
    fn asked_by(notice: &'a Notice) -> impl Iterator<Item = Matter<'a>> {
        let own = match &notice.saying {
            Saying::DevicesBack { .. } => Some(Matter::Lost),
            _ => None,
        };
        Matter::of(notice).chain(own)
    }

    /// Where this one is found by later ones.
    fn known_by(notice: &'a Notice) -> impl Iterator<Item = Matter<'a>> {
        let own = match &notice.saying {
            Saying::DevicesLost { .. } => Some(Matter::Lost),
            _ => None,
        };
        Matter::of(notice).chain(own)
    }

    fn of(notice: &'a Notice) -> impl Iterator<Item = Matter<'a>> {
        let device = notice.device.as_deref();
        let incident = notice.incident.map(|n| Matter::Incident(n, device, notice.task.as_deref()));
        let own = match &notice.saying {
            Saying::System { code, args } => Some(Matter::Affair(*code, device, args)),
            Saying::Report(_) => Some(Matter::Report),
            _ => None,
        };
        incident.into_iter().chain(own)
    }
}

/// What a later notice makes of an earlier one that still waits.
enum Takes {
    Nothing,
    It,
    ItAsBegin,
    ItsPlaceInThat,
}

fn takes(later: &Notice, earlier: &Notice) -> Takes {
    let same_incident = later.incident.is_some()
        && (later.incident, &later.device, &later.task) == (earlier.incident, &earlier.device, &earlier.task);
    match (&later.saying, &earlier.saying) {
        (Saying::Over { .. }, Saying::Error { .. } | Saying::Remind { .. }) if same_incident => Takes::ItAsBegin,
        (Saying::Over { .. }, Saying::Over { .. }) if same_incident => Takes::It,
        (Saying::TaskCame { .. }, Saying::TaskLost { .. }) if same_incident => Takes::ItAsBegin,
        (Saying::TaskLost { .. }, Saying::TaskLost { .. }) if same_incident => Takes::It,
        (Saying::DevicesBack { devices, missing, .. }, Saying::DevicesLost { devices: lost, .. })
            if missing.is_empty() && (same_incident || lost.iter().all(|name| devices.contains(name))) =>
        {
            Takes::ItAsBegin
        }
        // A later report knows all that an earlier one that nobody has read said of now.
        (Saying::Report(_), Saying::Report(_)) => Takes::It,
        (Saying::Remind { .. }, Saying::Remind { .. }) if same_incident => Takes::It,
        (Saying::Remind { .. }, Saying::Error { .. }) if same_incident => Takes::ItsPlaceInThat,
        (Saying::Error { fingerprint: a, .. }, Saying::Error { fingerprint: b, .. })
            if same_incident && a.is_some() && a == b =>
        {
            Takes::It
        }
        (Saying::System { code: a, args: x }, Saying::System { code: b, args: y })
            if a == b && x == y && later.device == earlier.device =>
        {
            Takes::It
        }
        _ => Takes::Nothing,
    }
}

//! Device liveness: which device is LOST, which is BACK, and which devices belong to one incident.
//!
//! A device is LOST when nothing was heard from it for its `offline_after`, plus 5 min if it had said `bye`. When the first
//! device reaches its timeout, the hub pings every device that has been silent for more than half of its own timeout, and waits
//! at most 10 s for answers. The devices that are then lost, and those without an answer that are due within 30 s, form one
//! [`OfflineGroup`] (one incident); their return is notified together.
//!
//! Flapping: the first two losses within 24 h are notified normally. From the third on the device is reported as flapping, with its
//! count: at most every 6 h, once after 1 h offline, and once after 24 h online.
//!
//! Pure: device snapshots, open absences and `now` in, [`LivenessAction`]s out. What must survive a restart is in [`OfflineGroup`],
//! the facts of an incident. [`LivenessTracker`] holds only what a restart may forget: the ping round in progress and the recent
//! losses of each device.
//!
//! Must not know the sessions, the store, or tasks.
//!
//! Invariants: a device is missing in at most one open absence; BACK is sent only for devices whose LOST was sent; after a start
//! the hub waits each device's full timeout before it calls that device lost.

use std::collections::BTreeMap;

use olog_proto::{BootId, Timestamp};
use olog_push::Content;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// A device that said `bye` has this much more time: a reboot, an upgrade.
const BYE_GRACE: i64 = 5 * MINUTE;
/// The verdict waits this long for those that were asked.
const VERDICT_WAIT: i64 = 10 * SECOND;
/// Whoever was asked, did not answer, and would be lost within this time anyway, is lost with the others.
const TOGETHER_WITHIN: i64 = 30 * SECOND;
/// Devices with other `offline_after` that fell silent with an open absence belong to it.
const SAME_CAUSE_WITHIN: i64 = MINUTE;
/// This long after the first return those who are back are told, with who is missing.
const BACK_TOGETHER: i64 = 5 * MINUTE;
/// A device that was lost this often within [`FLAPS_WITHIN`] comes and goes …
const FLAPS: usize = 3;
const FLAPS_WITHIN: i64 = 24 * HOUR;
/// … and is told as back only after this long without a break.
const FLAPPING_CALM: i64 = 24 * HOUR;
/// That it is gone again is told this often, …
const FLAPPING_EVERY: i64 = 6 * HOUR;
/// … and when it stays away for this long.
const STAYS_AWAY: i64 = HOUR;

/// How long devices may be silent, in ms: from `[alerts]` and `[[device]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflinePolicy {
    /// Every device that is not named.
    pub all: i64,
    /// Devices with a time of their own, by name; `None`: for ever.
    pub devices: BTreeMap<String, Option<i64>>,
}

impl OfflinePolicy {
    /// With this device; `None`: for ever.
    pub fn of(&self, device: &str) -> Option<i64> {
        self.devices.get(device).copied().unwrap_or(Some(self.all))
    }
}

/// What is known of a joined device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceSnapshot {
    /// Its row.
    pub device: i64,
    /// Its name.
    pub name: String,
    /// Has it a session?
    pub is_connected: bool,
    /// When something was last heard; `None`: never, and it is not judged.
    pub heard_at: Option<Timestamp>,
    /// How long it may be silent, in ms; `None`: for ever.
    pub offline_after: Option<i64>,
    /// Its last word was `bye`.
    pub said_bye: bool,
    /// Its last known boot.
    pub boot: Option<BootId>,
    /// The address it was last seen from.
    pub peer: Option<String>,
}

/// Devices that went together, until all of them are back: the facts of one incident.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OfflineGroup {
    /// Nothing was heard since, from the first of them.
    pub since: Timestamp,
    /// Who went and was not yet told as back.
    pub members: Vec<Member>,
    /// How many went, those who are back included.
    pub n_gone: u64,
    /// All of them were behind one address.
    pub same_site: bool,
}

/// A device that went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// Its row.
    pub device: i64,
    /// Its name when it went.
    pub name: String,
    /// Nothing was heard since.
    pub since: Timestamp,
    /// When it came back, if it is here.
    pub returned_at: Option<Timestamp>,
    boot: Option<BootId>,
    rebooted: bool,
    said_bye: bool,
    /// How often it was lost within a day, this time included.
    n_times: u32,
    /// When it was lost last.
    lost_at: Timestamp,
    /// When that was told last, and how often it had been lost then.
    told: (Timestamp, u32),
}

/// What has to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum LivenessAction {
    /// Ask these devices for a sign of life.
    Ping(Vec<i64>),
    /// A new incident.
    Begin {
        /// Its facts.
        absence: OfflineGroup,
        /// What to tell.
        content: Content,
    },
    /// The facts of an open one have changed.
    Change {
        /// Its number.
        number: u64,
        /// Its facts.
        absence: OfflineGroup,
        /// What to tell, if anything.
        content: Option<Content>,
    },
    /// An open one is over.
    End {
        /// Its number.
        number: u64,
        /// What to tell; nothing when its devices were forgotten.
        content: Option<Content>,
    },
}

/// Calls the roll: see the module's head.
#[derive(Debug)]
pub struct LivenessTracker {
    /// Silence counts from here at the earliest.
    grace_from: Timestamp,
    asked: Option<PingRound>,
    /// When each device was lost, within [`FLAPS_WITHIN`], at most [`FLAPS`] each.
    losses: BTreeMap<i64, Vec<Timestamp>>,
}

#[derive(Debug)]
struct PingRound {
    at: Timestamp,
    /// Who has time to answer: who has not fallen due yet, or did so while nobody looked.
    devices: Vec<i64>,
}

impl LivenessTracker {
    /// The hub starts now.
    pub fn new(now: Timestamp) -> LivenessTracker {
        LivenessTracker { grace_from: now, asked: None, losses: BTreeMap::new() }
    }

    /// The hub could not have heard anybody until now: every device has its time anew.
    pub fn reset_timeouts(&mut self, now: Timestamp) {
        self.grace_from = self.grace_from.max(now);
        self.asked = None;
    }

    /// Looks at everybody. `open`: the open absences by number.
    pub fn call(
        &mut self,
        presences: &[DeviceSnapshot],
        open: &[(u64, OfflineGroup)],
        now: Timestamp,
    ) -> Vec<LivenessAction> {
        let mut steps = Vec::new();
        let mut open: Vec<(u64, OfflineGroup, Option<Content>)> =
            open.iter().map(|(n, a)| (*n, a.clone(), None)).collect();
        let n_known = presences.len();
        let before: Vec<OfflineGroup> = open.iter().map(|(_, absence, _)| absence.clone()).collect();
        for (_, absence, _) in &mut open {
            self.note_returns(absence, presences, now);
        }
        let away: Vec<i64> = open.iter().flat_map(|(_, absence, _)| &absence.members).map(|m| m.device).collect();
        let candidates: Vec<&DeviceSnapshot> = presences.iter().filter(|p| !away.contains(&p.device)).collect();
        if let Some(lost) = self.verdict(&candidates, now, &mut steps) {
            self.lose(&lost, n_known, &mut open, now, &mut steps);
        }
        for ((number, mut absence, mut told), before) in open.into_iter().zip(before) {
            let back = absence.tell_back(now);
            if told.is_none() && back.is_none() {
                told = absence.tell_again(n_known, now);
            }
            if absence.members.is_empty() {
                steps.push(LivenessAction::End { number, content: back });
            } else if absence != before || told.is_some() || back.is_some() {
                steps.push(LivenessAction::Change { number, absence, content: told.take().or(back) });
            }
        }
        steps
    }

    /// When to look again, if nobody comes or goes meanwhile.
    pub fn due_at(
        &self,
        presences: &[DeviceSnapshot],
        open: &[(u64, OfflineGroup)],
        now: Timestamp,
    ) -> Option<Timestamp> {
        let members = || open.iter().flat_map(|(_, absence)| &absence.members);
        let silent = presences
            .iter()
            .filter(|p| members().all(|m| m.device != p.device || m.returned_at.is_some()))
            .filter_map(|p| self.lost_at(p));
        // An answer rings no bell: who was asked is looked at every second.
        let answers = self.asked.as_ref().map(|asked| asked.at.plus(VERDICT_WAIT).min(now.plus(SECOND)));
        let silent = silent.map(|at| if self.asked.is_some() { at.max(now.plus(SECOND)) } else { at });
        let backs = open.iter().filter_map(|(_, absence)| absence.back_at());
        let agains = members().filter_map(Member::tell_again_at);
        silent.chain(answers).chain(backs).chain(agains).min()
    }

    /// When the device is lost if it stays silent.
    fn lost_at(&self, presence: &DeviceSnapshot) -> Option<Timestamp> {
        let grace = if presence.said_bye && !presence.is_connected { BYE_GRACE } else { 0 };
        let heard_at = presence.heard_at?.max(self.grace_from);
        Some(heard_at.plus(presence.offline_after?.saturating_add(grace)))
    }

    fn is_due(&self, presence: &DeviceSnapshot, now: Timestamp) -> bool {
        self.lost_at(presence).is_some_and(|at| at <= now)
    }

    /// Who is lost now; `None` while nobody is due or the question is still open.
    fn verdict<'a>(
        &mut self,
        candidates: &[&'a DeviceSnapshot],
        now: Timestamp,
        steps: &mut Vec<LivenessAction>,
    ) -> Option<Vec<&'a DeviceSnapshot>> {
        if !candidates.iter().any(|p| self.is_due(p, now)) {
            self.asked = None;
            return None;
        }
        let asked = match self.asked.take() {
            Some(asked) => asked,
            None => self.ask(candidates, now, steps),
        };
        let is_unanswered =
            |p: &DeviceSnapshot| asked.devices.contains(&p.device) && p.heard_at.is_none_or(|heard| heard <= asked.at);
        let may_answer = |p: &DeviceSnapshot| !self.is_due(p, now) || self.was_overslept(p, asked.at);
        let waits = candidates.iter().any(|p| is_unanswered(p) && may_answer(p));
        if waits && now.since(asked.at) < VERDICT_WAIT {
            self.asked = Some(asked);
            return None;
        }
        Some(candidates.iter().copied().filter(|p| self.is_due(p, now) || is_unanswered(p)).collect())
    }

    fn ask(&self, candidates: &[&DeviceSnapshot], now: Timestamp, steps: &mut Vec<LivenessAction>) -> PingRound {
        let silent: Vec<&&DeviceSnapshot> = candidates.iter().filter(|p| self.half_silent(p, now)).collect();
        let ping: Vec<i64> = silent.iter().filter(|p| p.is_connected).map(|p| p.device).collect();
        if !ping.is_empty() {
            steps.push(LivenessAction::Ping(ping));
        }
        let is_soon =
            |p: &DeviceSnapshot| self.lost_at(p).is_some_and(|at| (1..=TOGETHER_WITHIN).contains(&at.since(now)));
        let has_time = |p: &DeviceSnapshot| is_soon(p) || self.was_overslept(p, now);
        PingRound { at: now, devices: silent.iter().filter(|p| has_time(p)).map(|p| p.device).collect() }
    }

    /// It was due long before anybody looked: the hub stood still, or its clock jumped. Who has a session then is asked first.
    fn was_overslept(&self, presence: &DeviceSnapshot, looked_at: Timestamp) -> bool {
        presence.is_connected && self.lost_at(presence).is_some_and(|at| looked_at.since(at) >= VERDICT_WAIT)
    }

    fn half_silent(&self, presence: &DeviceSnapshot, now: Timestamp) -> bool {
        let (Some(lost_at), Some(offline_policy)) = (self.lost_at(presence), presence.offline_after) else {
            return false;
        };
        lost_at.since(now) <= offline_policy / 2
    }

    /// These are lost: of an open absence, or of a new one.
    fn lose(
        &mut self,
        lost: &[&DeviceSnapshot],
        n_known: usize,
        open: &mut [(u64, OfflineGroup, Option<Content>)],
        now: Timestamp,
        steps: &mut Vec<LivenessAction>,
    ) {
        let members: Vec<Member> = lost.iter().map(|presence| self.member(presence, now)).collect();
        let Some(since) = members.iter().map(|m| m.since).min() else { return };
        let (n_gone, behind) = (members.len() as u64, common_peer(lost));
        let same_site = behind.is_some();
        let content = Content::DevicesLost {
            devices: members.iter().map(|m| m.name.clone()).collect(),
            n_known: n_known as u64,
            since,
            behind,
            said_bye: members.iter().all(|m| m.said_bye),
            n_times: if let [only] = members.as_slice() { only.comes_and_goes() } else { None },
        };
        let same_cause = open.iter_mut().find(|(_, absence, _)| {
            let nobody_back = absence.members.iter().all(|m| m.returned_at.is_none());
            nobody_back && since.since(absence.since).saturating_abs() <= SAME_CAUSE_WITHIN
        });
        if let Some((_, absence, told)) = same_cause {
            absence.members.extend(members);
            absence.n_gone += n_gone;
            absence.same_site = false;
            *told = Some(content);
        } else {
            steps.push(LivenessAction::Begin { absence: OfflineGroup { since, members, n_gone, same_site }, content });
        }
    }

    fn member(&mut self, presence: &DeviceSnapshot, now: Timestamp) -> Member {
        self.losses.retain(|_, losses| {
            losses.retain(|at| now.since(*at) < FLAPS_WITHIN);
            !losses.is_empty()
        });
        let losses = self.losses.entry(presence.device).or_default();
        if losses.len() >= FLAPS {
            losses.remove(0);
        }
        losses.push(now);
        Member {
            device: presence.device,
            name: presence.name.clone(),
            since: presence.heard_at.unwrap_or(now),
            returned_at: None,
            boot: presence.boot,
            rebooted: false,
            said_bye: presence.said_bye,
            n_times: u32::try_from(losses.len()).unwrap_or(u32::MAX),
            lost_at: now,
            told: (now, u32::try_from(losses.len()).unwrap_or(u32::MAX)),
        }
    }

    fn note_returns(&self, absence: &mut OfflineGroup, presences: &[DeviceSnapshot], now: Timestamp) {
        // Who was forgotten meanwhile is no longer missed.
        absence.members.retain_mut(|member| {
            let Some(presence) = presences.iter().find(|p| p.device == member.device) else { return false };
            member.name.clone_from(&presence.name);
            if member.returned_at.is_some() && self.is_due(presence, now) {
                member.goes_again(presence.heard_at.unwrap_or(now), now);
            }
            // It may be heard before it has a session, and have lost that again before anybody looked.
            let is_heard = presence.is_connected || presence.heard_at > Some(member.since);
            if member.returned_at.is_none() && is_heard && !self.is_due(presence, now) {
                member.returned_at = Some(now);
                // Of an old client nobody knows it.
                member.rebooted |= presence.boot.zip(member.boot).is_some_and(|(now, before)| now != before);
            }
            true
        });
    }
}

impl OfflineGroup {
    /// An absence whose stored facts cannot be read: these devices (row, name, last heard) are away, and that was told.
    pub fn remade(since: Timestamp, away: Vec<(i64, String, Timestamp)>) -> OfflineGroup {
        let n_gone = away.len() as u64;
        let member = |(device, name, heard_at): (i64, String, Timestamp)| Member {
            device,
            name,
            since: heard_at,
            n_times: 1,
            lost_at: since,
            told: (since, 1),
            ..Member::default()
        };
        OfflineGroup { since, members: away.into_iter().map(member).collect(), n_gone, same_site: false }
    }

    /// The devices that are away now.
    pub fn missing(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.returned_at.is_none())
    }

    /// When those who are back have to be told, if nobody else comes.
    fn back_at(&self) -> Option<Timestamp> {
        self.members
            .iter()
            .filter_map(|m| {
                m.is_back_at().map(|at| if m.comes_and_goes().is_some() { at } else { at.plus(BACK_TOGETHER) })
            })
            .min()
    }

    /// One that comes and goes is gone again, and its time to be told has come.
    fn tell_again(&mut self, n_known: usize, now: Timestamp) -> Option<Content> {
        let member = self.members.iter_mut().find(|m| m.tell_again_at().is_some_and(|at| at <= now))?;
        member.told = (now, member.n_times);
        Some(Content::DevicesLost {
            devices: vec![member.name.clone()],
            n_known: n_known as u64,
            since: member.since,
            behind: None,
            said_bye: member.said_bye,
            n_times: member.comes_and_goes(),
        })
    }

    /// Takes those who are back out of it, when their time has come, and says so.
    fn tell_back(&mut self, now: Timestamp) -> Option<Content> {
        let is_back = |m: &Member| m.is_back_at().is_some_and(|at| at <= now);
        let all_back = self.members.iter().all(is_back);
        if !all_back && self.back_at().is_none_or(|at| at > now) {
            return None;
        }
        let (back, rest): (Vec<Member>, Vec<Member>) = std::mem::take(&mut self.members).into_iter().partition(is_back);
        self.members = rest;
        Some(Content::DevicesBack {
            n_times: if let [only] = back.as_slice() { only.comes_and_goes() } else { None },
            since: back.iter().map(|m| m.since).min()?,
            returned: {
                let returned = || back.iter().filter_map(|m| m.returned_at);
                returned().min().zip(returned().max())
            },
            n_rebooted: back.iter().filter(|m| m.rebooted).count() as u64,
            n_boots_unknown: back.iter().filter(|m| m.boot.is_none()).count() as u64,
            said_bye: back.iter().all(|m| m.said_bye),
            devices: back.into_iter().map(|m| m.name).collect(),
            missing: self.missing().map(|m| m.name.clone()).collect(),
            // Tasks are none of its business: the caller adds what was missed.
            missed: Vec::new(),
            n_missed: 0,
        })
    }
}

impl Member {
    /// From when on it counts as back.
    fn is_back_at(&self) -> Option<Timestamp> {
        self.returned_at.map(|at| if self.comes_and_goes().is_some() { at.plus(FLAPPING_CALM) } else { at })
    }

    /// How often it was lost within a day, if that is often.
    fn comes_and_goes(&self) -> Option<u32> {
        (self.n_times as usize >= FLAPS).then_some(self.n_times)
    }

    /// It is lost once more before its return was told. What comes and goes is told from its latest going on.
    fn goes_again(&mut self, since: Timestamp, now: Timestamp) {
        self.returned_at = None;
        if self.comes_and_goes().is_some() {
            (self.n_times, self.since, self.lost_at) = (self.n_times.saturating_add(1), since, now);
        }
    }

    /// When it has to be told that it is gone again, if it does not return.
    fn tell_again_at(&self) -> Option<Timestamp> {
        let (told_at, n_told) = self.told;
        let is_news = self.comes_and_goes().is_some() && self.returned_at.is_none() && self.n_times > n_told;
        is_news.then(|| self.lost_at.plus(STAYS_AWAY).min(self.lost_at.max(told_at.plus(FLAPPING_EVERY))))
    }
}

/// The address that several devices were all seen from.
fn common_peer(lost: &[&DeviceSnapshot]) -> Option<String> {
    let (first, others) = lost.split_first()?;
    let peer = first.peer.as_ref()?;
    (!others.is_empty() && others.iter().all(|p| p.peer.as_ref() == Some(peer))).then(|| peer.clone())
}

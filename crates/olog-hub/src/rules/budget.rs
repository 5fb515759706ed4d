//! The daily budget (quota) of a channel: which of the waiting notifications may begin a message now.
//!
//! `per_day` is a limit of the service (inside WeChat: ten messages in 24 hours); what exceeds it is accepted and never
//! arrives. Sent messages are counted in the store, so neither a restart nor a second hub forgets them. A channel with several
//! receivers counts the fullest one. The day is rolling: a slot comes back when the message that used it is [`WINDOW`] old, and
//! all slots come back when a person has written to the bot (`channel rearm`).
//!
//! Every message takes along all that waits. So the question is never what fits into a message, only what may begin one:
//!
//! | slots of ten | who may use them |
//! |---|---|
//! | the last | the report |
//! | the one before | also the first sign of a new incident, of a device that was not heard of today |
//! | the one before | also other errors and losses |
//! | the two before | (kept free of what can wait) |
//! | the others | also recoveries, messages, reminders |
//! | none | what strangers can cause: a device that waits to be accepted |
//!
//! The budget is divided among devices as well: after `Budget::free_of_a_device` messages about one device, its next one waits
//! `GATHER` after the one before. So one noisy program or user cannot use up the day of the whole fleet, and what gathers goes
//! together. Of a very small budget less is kept. Pure: must not know the store, a clock, or what is told.

use std::collections::BTreeMap;

use olog_proto::Timestamp;
use olog_push::{Content, Notice, Reason, ResolvedBy, SystemCode};

/// A day, and a minute in which our clock and the service's may differ.
pub const WINDOW: i64 = 24 * 3_600_000 + 60_000;
/// Slots that what can wait leaves to what cannot, beside those that are kept: a fifth, at most so many.
const SPARED_MAX: u64 = 10;
/// After the messages about a device that are free, the next one waits so long after the one before, and so on.
const GATHER: [i64; 4] = [10 * MINUTE, 30 * MINUTE, 60 * MINUTE, 180 * MINUTE];
const MINUTE: i64 = 60_000;
/// A recovery is news for so long after its failure was pushed; later it is old news, which wakes nobody.
pub const NEWS_FOR: i64 = 6 * 60 * MINUTE;
/// How long a call of somebody else may hold a slot.
const CALL_MAX: i64 = 60_000;

/// What a waiting notification is worth; stored as its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// A person asked for it and waits: whatever is left.
    Asked,
    /// The first sign of an incident.
    FirstSign,
    /// The daily report.
    Report,
    /// Other trouble: one more error of an open incident, Olog's own.
    Trouble,
    /// Good news and messages: goes with the next message, or by itself while there are slots to spare.
    CanWait,
    /// Old news: the same, and in quiet hours it never rings by itself.
    OldNews,
    /// A notification that strangers can cause. On a channel with a budget it never starts a message; it is sent with the next one.
    Stranger,
}

impl Urgency {
    /// All, the most urgent first.
    pub const ALL: [Urgency; 7] = [
        Urgency::Asked,
        Urgency::FirstSign,
        Urgency::Report,
        Urgency::Trouble,
        Urgency::CanWait,
        Urgency::OldNews,
        Urgency::Stranger,
    ];

    /// Of a notice. `is_first`: it is the first sign of an incident.
    pub fn of(notice: &Notice, is_first: bool) -> Urgency {
        match &notice.content {
            Content::System { code: SystemCode::ChannelTest, .. } => Urgency::Asked,
            Content::System { code: SystemCode::PendingDevices, .. } => Urgency::Stranger,
            _ if is_first => Urgency::FirstSign,
            Content::Report(_) => Urgency::Report,
            // The digest of an incident that comes and goes, every six hours: nothing in it is new.
            Content::Error { why: Reason::ComesAndGoes { .. }, fingerprint: None, .. } => Urgency::OldNews,
            Content::Remind { .. }
            | Content::Over { ground: ResolvedBy::Quiet, .. }
            | Content::TaskLost { is_reminder: true, .. } => Urgency::OldNews,
            Content::Error { .. } | Content::DevicesLost { .. } | Content::TaskRuns { .. } => Urgency::Trouble,
            Content::TaskLost { .. } => Urgency::Trouble,
            Content::System { code, .. } if !code.is_good_news() => Urgency::Trouble,
            _ => Urgency::CanWait,
        }
    }
}

impl From<Urgency> for i64 {
    fn from(urgency: Urgency) -> i64 {
        urgency as i64
    }
}

impl From<i64> for Urgency {
    /// A number that nobody wrote can wait.
    fn from(n: i64) -> Urgency {
        Urgency::ALL.into_iter().find(|urgency| i64::from(*urgency) == n).unwrap_or(Urgency::CanWait)
    }
}

/// What was sent through a channel within [`WINDOW`] and since it was rearmed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QuotaUsage {
    /// When each message was sent that the fullest receiver accepted, the oldest first.
    pub at: Vec<Timestamp>,
    /// One of them was a report: then no slot is kept for the next, which is a day away.
    pub has_report: bool,
    /// Calls that another hub makes right now.
    pub n_calling: u64,
    /// When messages told of a device, the oldest first; `""`: of the hub itself.
    pub told: BTreeMap<String, Vec<Timestamp>>,
}

/// What a channel is for, as far as slots are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Messages in a rolling day.
    pub per_day: u32,
    /// It takes reports.
    pub reports: bool,
    /// It takes errors or losses.
    pub alarms: bool,
}

/// A channel's budget at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    bounds: Bounds,
    spent: QuotaUsage,
    now: Timestamp,
}

impl Budget {
    /// Of these bounds, when so much was spent.
    pub fn new(bounds: Bounds, spent: QuotaUsage, now: Timestamp) -> Budget {
        Budget { bounds, spent, now }
    }

    /// Messages in a rolling day.
    pub fn per_day(&self) -> u64 {
        u64::from(self.bounds.per_day)
    }

    /// Messages of this day.
    pub fn used(&self) -> u64 {
        (self.spent.at.len() as u64).saturating_add(self.spent.n_calling)
    }

    /// Messages that may still be sent.
    pub fn remaining(&self) -> u64 {
        self.per_day().saturating_sub(self.used())
    }

    /// May it begin a message of its own now, of a device that no message of this day told of?
    pub fn allows(&self, urgency: Urgency) -> bool {
        self.remaining() >= self.needs(urgency)
    }

    /// When something of this device may begin a message, as far as is known now; not after `now`: at once.
    pub fn device_at(&self, urgency: Urgency, device: &str) -> Timestamp {
        let told = match urgency {
            Urgency::Asked | Urgency::Report => None,
            _ => self.spent.told.get(device),
        };
        let Some((last, n)) = told.and_then(|told| Some((told.last()?, told.len()))) else {
            return self.allows_at(urgency);
        };
        // Of the slots for first signs one is kept for devices that were not heard of.
        let worth = if urgency == Urgency::FirstSign { Urgency::Trouble } else { urgency };
        let n_gathered = n.checked_sub(self.free_of_a_device());
        let gather = n_gathered.and_then(|n| GATHER.get(n.min(GATHER.len() - 1))).copied().unwrap_or(0);
        self.allows_at(worth).max(last.plus(gather))
    }

    /// Messages about one device that do not wait for each other: a fifth of the budget.
    fn free_of_a_device(&self) -> usize {
        usize::try_from(self.per_day() / 5).unwrap_or(usize::MAX).max(1)
    }

    /// When the next slot comes back; `None`: all are there.
    pub fn next_at(&self) -> Option<Timestamp> {
        self.comes_back(1)
    }

    /// When it may begin a message of its own, as far as is known now.
    pub fn allows_at(&self, urgency: Urgency) -> Timestamp {
        let n = self.needs(urgency).saturating_sub(self.remaining());
        if n == 0 { self.now } else { self.comes_back(n).unwrap_or(self.now.plus(CALL_MAX)) }
    }

    /// When `n` slots more are there. More used than allowed, as after a smaller `per_day`: those have to go first.
    fn comes_back(&self, n: u64) -> Option<Timestamp> {
        let n = n.saturating_add(self.used().saturating_sub(self.per_day()));
        let calling = std::iter::repeat_n(self.now.plus(CALL_MAX), usize::try_from(self.spent.n_calling).unwrap_or(0));
        let mut back: Vec<Timestamp> = self.spent.at.iter().map(|at| at.plus(WINDOW)).chain(calling).collect();
        back.sort_unstable();
        back.get(usize::try_from(n).ok()?.checked_sub(1)?).copied()
    }

    /// Slots that must be left for it to go.
    fn needs(&self, urgency: Urgency) -> u64 {
        let for_report = u64::from(self.bounds.reports && !self.spent.has_report && self.per_day() >= 3);
        let for_first = if self.bounds.alarms { (self.per_day().saturating_sub(1) / 2).min(2) } else { 0 };
        match urgency {
            Urgency::Asked => 0,
            Urgency::Report => 1,
            Urgency::FirstSign => 1 + for_report,
            Urgency::Trouble => 1 + for_report + for_first.min(1),
            Urgency::Stranger => self.per_day() + 1,
            Urgency::CanWait | Urgency::OldNews => 1 + for_report + for_first + (self.per_day() / 5).min(SPARED_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_780_000_000_000);
    const HOUR: i64 = 3_600_000;

    /// A budget of which one slot an hour was used.
    fn budget(per_day: u32, used: i64, has_report: bool) -> Budget {
        let at = (0..used).rev().map(|n| NOW.plus(-n * HOUR)).collect();
        let bounds = Bounds { per_day, reports: true, alarms: true };
        Budget::new(bounds, QuotaUsage { at, has_report, ..QuotaUsage::default() }, NOW)
    }

    fn last_that_goes(per_day: u32, urgency: Urgency, has_report: bool) -> i64 {
        let goes = |used: &i64| budget(per_day, *used, has_report).allows(urgency);
        (0..=i64::from(per_day)).take_while(goes).count() as i64
    }

    #[test]
    fn of_ten_messages_five_are_for_anything_eight_for_trouble_nine_for_first_signs_and_one_for_the_report() {
        let goes = |urgency| last_that_goes(10, urgency, false);
        assert_eq!(Urgency::ALL.map(goes), [11, 9, 10, 8, 5, 5, 0]);
        // The report of today was sent: tomorrow its own slot is back.
        assert_eq!(last_that_goes(10, Urgency::FirstSign, true), 10);
    }

    #[test]
    fn a_very_small_budget_keeps_less_and_lets_everything_go() {
        for urgency in [Urgency::FirstSign, Urgency::Report, Urgency::Trouble, Urgency::CanWait] {
            assert!(budget(1, 0, false).allows(urgency), "{urgency:?}");
            assert!(budget(2, 0, false).allows(urgency), "{urgency:?}");
            assert!(!budget(1, 1, false).allows(urgency), "{urgency:?}");
        }
        assert_eq!(last_that_goes(5, Urgency::FirstSign, false), 4);
        // Of a large one only the last few are spared.
        assert_eq!(last_that_goes(250, Urgency::CanWait, false), 237);
    }

    #[test]
    fn a_slot_comes_back_when_its_message_is_a_day_old() {
        let full = budget(10, 10, false);
        assert_eq!((full.used(), full.remaining()), (10, 0));
        let oldest = NOW.plus(-9 * HOUR);
        assert_eq!(full.next_at(), Some(oldest.plus(WINDOW)));
        assert_eq!(full.allows_at(Urgency::Report), oldest.plus(WINDOW));
        // One for the report has to be there as well.
        assert_eq!(full.allows_at(Urgency::FirstSign), oldest.plus(HOUR + WINDOW));
        assert_eq!(full.allows_at(Urgency::Asked), NOW);
        assert_eq!(budget(10, 0, false).next_at(), None);
        // `per_day` was made smaller: what was used beyond it goes first.
        assert_eq!(budget(5, 10, false).next_at(), Some(oldest.plus(5 * HOUR + WINDOW)));
    }

    /// When the first signs of `device` go that come as fast as they can, out of ten messages a day; minutes after the first.
    fn signs_of(device: &str, others: &BTreeMap<String, Vec<Timestamp>>) -> Vec<i64> {
        let bounds = Bounds { per_day: 10, reports: true, alarms: true };
        let mut spent = QuotaUsage { told: others.clone(), ..QuotaUsage::default() };
        spent.at = others.values().flatten().copied().collect();
        spent.at.sort_unstable();
        let (mut now, mut sent) = (NOW, Vec::new());
        while now < NOW.plus(20 * HOUR) {
            let at = Budget::new(bounds, spent.clone(), now).device_at(Urgency::FirstSign, device);
            if at > now {
                now = at;
                continue;
            }
            sent.push(now.since(NOW) / MINUTE);
            spent.at.push(now);
            spent.told.entry(device.to_owned()).or_default().push(now);
        }
        sent
    }

    #[test]
    fn a_device_that_fails_without_end_cannot_use_up_the_day_and_another_is_told_at_once() {
        let noisy = signs_of("noisy", &BTreeMap::new());
        assert_eq!(noisy, [0, 0, 10, 40, 100, 280, 460, 640]);
        let told = noisy.iter().map(|minute| NOW.plus(minute * MINUTE)).collect();
        let spent = BTreeMap::from([("noisy".to_owned(), told)]);
        let at = signs_of("quiet", &spent);
        assert_eq!(at.first(), Some(&0), "the slot before the report's is kept for it");
    }

    #[test]
    fn a_large_budget_gathers_later_and_what_a_person_asked_for_never_does() {
        let bounds = Bounds { per_day: 250, reports: true, alarms: true };
        let told = |n: usize| BTreeMap::from([("pi".to_owned(), vec![NOW; n])]);
        let spent = |n: usize| QuotaUsage { at: vec![NOW; n], told: told(n), ..QuotaUsage::default() };
        let budget = |n: usize| Budget::new(bounds, spent(n), NOW);
        assert_eq!(budget(49).device_at(Urgency::Trouble, "pi"), NOW);
        assert_eq!(budget(50).device_at(Urgency::Trouble, "pi"), NOW.plus(10 * MINUTE));
        assert_eq!(budget(50).device_at(Urgency::Asked, "pi"), NOW);
    }

    #[test]
    fn a_call_of_another_hub_holds_its_slot() {
        let bounds = Bounds { per_day: 1, reports: true, alarms: true };
        let budget = Budget::new(bounds, QuotaUsage { n_calling: 1, ..QuotaUsage::default() }, NOW);
        assert!(!budget.allows(Urgency::FirstSign));
        assert_eq!(budget.allows_at(Urgency::FirstSign), NOW.plus(CALL_MAX));
    }

    #[test]
    fn a_number_of_the_store_is_the_urgency_that_was_written() {
        for urgency in Urgency::ALL {
            assert_eq!(Urgency::from(i64::from(urgency)), urgency);
        }
        assert_eq!(Urgency::from(99), Urgency::CanWait);
    }
}

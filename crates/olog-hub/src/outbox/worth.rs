//! What may begin a message now: the pure half of a claim.
//!
//! Three things keep something from beginning a message of its own: its channel's budget, that its device was told of often
//! enough lately (`rules::budget`), and quiet hours (`rules::quiet`). None of them keeps it from going along with a message that
//! begins for another reason. So this decides which candidate begins, or when to look again.

use std::collections::BTreeSet;

use olog_proto::Timestamp;

use crate::rules::budget::{Budget, Urgency};
use crate::rules::quiet;
use crate::store::outbox::{Candidate, RetryTier};

/// Rows that are alike, and whose devices they are about.
#[derive(Debug, Clone)]
pub(super) struct WaitingGroup {
    pub(super) candidate: Candidate,
    /// Empty where there is no budget; `""`: the hub itself.
    pub(super) devices: BTreeSet<String>,
}

/// The decision.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BudgetDecision {
    /// Nothing waits.
    Nothing,
    /// A message of what stands in this place; only this urgency of it.
    Message(RetryTier, Option<Urgency>),
    /// Nothing before then. `for_budget`: what waits has waited for the budget.
    Later { at: Timestamp, for_budget: bool },
}

/// Decides. Once something may begin a message, all of its place goes along; a report goes alone.
pub(super) fn worth_a_message(
    waiting: &[WaitingGroup],
    budget: Option<&Budget>,
    quiet_until: Option<Timestamp>,
    now: Timestamp,
) -> BudgetDecision {
    let mut first: Option<(RetryTier, Option<Urgency>)> = None;
    let mut later: Option<(Timestamp, bool)> = None;
    for WaitingGroup { candidate, devices } in waiting {
        let urgency = candidate.urgency;
        let by_budget = budget.map_or(now, |budget| {
            // What a call has carried before is no further message of its device.
            let is_new = candidate.place == RetryTier::Fresh;
            let of_devices = devices.iter().filter(|_| is_new).map(|device| budget.device_at(urgency, device)).min();
            of_devices.unwrap_or_else(|| budget.allows_at(urgency))
        });
        let rings_at = match quiet_until {
            Some(until) if !quiet::rings(candidate.urgency, candidate.newest_at, now) => until,
            _ => now,
        };
        let at = by_budget.max(rings_at);
        if at > now {
            later = later.into_iter().chain([(at, by_budget > now)]).min_by_key(|(at, _)| *at);
            continue;
        }
        let only = (urgency == Urgency::Report).then_some(Urgency::Report);
        // By place; in one place a report, which takes nobody with it, comes after what does.
        if first.is_none_or(|(place, before)| (candidate.place, only.is_some()) < (place, before.is_some())) {
            first = Some((candidate.place, only));
        }
    }
    match (first, later) {
        (Some((place, only)), _) => BudgetDecision::Message(place, only),
        (None, Some((at, for_budget))) => BudgetDecision::Later { at, for_budget },
        (None, None) => BudgetDecision::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::budget::{Bounds, QuotaUsage};

    const NOW: Timestamp = Timestamp(1_780_000_000_000);
    const MINUTE: i64 = 60_000;
    const EIGHT: Timestamp = Timestamp(NOW.0 + 300 * MINUTE);

    fn of(place: RetryTier, urgency: Urgency, age: i64) -> WaitingGroup {
        let candidate = Candidate { place, urgency, newest_at: NOW.plus(-age * MINUTE) };
        WaitingGroup { candidate, devices: BTreeSet::from(["nas".to_owned()]) }
    }

    fn fresh(urgency: Urgency, age: i64) -> WaitingGroup {
        of(RetryTier::Fresh, urgency, age)
    }

    fn budget(used: usize) -> Budget {
        let bounds = Bounds { per_day: 10, reports: true, alarms: true };
        Budget::new(bounds, QuotaUsage { at: vec![NOW; used], ..QuotaUsage::default() }, NOW)
    }

    #[test]
    fn in_quiet_hours_only_trouble_and_fresh_news_begin_a_message() {
        let night = |waiting: &[WaitingGroup]| worth_a_message(waiting, None, Some(EIGHT), NOW);
        let goes = BudgetDecision::Message(RetryTier::Fresh, None);
        let waits = BudgetDecision::Later { at: EIGHT, for_budget: false };
        for urgency in [Urgency::Asked, Urgency::FirstSign, Urgency::Trouble] {
            assert_eq!(night(&[fresh(urgency, 60)]), goes, "{urgency:?}");
        }
        assert_eq!(night(&[fresh(Urgency::CanWait, 0)]), goes);
        assert_eq!(night(&[fresh(Urgency::CanWait, 11)]), waits);
        assert_eq!(night(&[fresh(Urgency::OldNews, 0)]), waits);
        // The report goes alone: what it tells is not told beside it.
        let both = [fresh(Urgency::OldNews, 0), fresh(Urgency::Report, 0)];
        assert_eq!(night(&both), BudgetDecision::Message(RetryTier::Fresh, Some(Urgency::Report)));
        // An error takes along what does not ring.
        assert_eq!(night(&[fresh(Urgency::OldNews, 0), fresh(Urgency::FirstSign, 0)]), goes);
        assert_eq!(worth_a_message(&[fresh(Urgency::OldNews, 500)], None, None, NOW), goes, "by day");
        assert_eq!(night(&[]), BudgetDecision::Nothing);
    }

    #[test]
    fn a_report_goes_alone_where_messages_are_counted_and_after_what_takes_others_along() {
        let some = budget(0);
        let report = fresh(Urgency::Report, 0);
        assert_eq!(
            worth_a_message(std::slice::from_ref(&report), Some(&some), None, NOW),
            BudgetDecision::Message(RetryTier::Fresh, Some(Urgency::Report))
        );
        let both = [report, fresh(Urgency::FirstSign, 0)];
        assert_eq!(worth_a_message(&both, Some(&some), None, NOW), BudgetDecision::Message(RetryTier::Fresh, None));
        let suspect = [of(RetryTier::Alone, Urgency::FirstSign, 0), fresh(Urgency::Report, 0)];
        assert_eq!(
            worth_a_message(&suspect, Some(&some), None, NOW),
            BudgetDecision::Message(RetryTier::Fresh, Some(Urgency::Report))
        );
    }

    #[test]
    fn what_waits_says_whether_the_budget_or_the_night_keeps_it() {
        let spent = budget(10);
        let later = worth_a_message(&[fresh(Urgency::FirstSign, 0)], Some(&spent), None, NOW);
        assert!(matches!(later, BudgetDecision::Later { for_budget: true, .. }), "{later:?}");
        let later = worth_a_message(&[fresh(Urgency::OldNews, 0)], Some(&budget(0)), Some(EIGHT), NOW);
        assert_eq!(later, BudgetDecision::Later { at: EIGHT, for_budget: false });
    }

    #[test]
    fn a_budget_of_one_a_day_is_for_whatever_comes_first_and_then_for_nobody() {
        let bounds = Bounds { per_day: 1, reports: true, alarms: true };
        let one = |spent: QuotaUsage| Budget::new(bounds, spent, NOW);
        let error = [fresh(Urgency::FirstSign, 0)];
        assert_eq!(
            worth_a_message(&error, Some(&one(QuotaUsage::default())), None, NOW),
            BudgetDecision::Message(RetryTier::Fresh, None)
        );
        let used = one(QuotaUsage { at: vec![NOW], ..QuotaUsage::default() });
        assert!(matches!(
            worth_a_message(&error, Some(&used), None, NOW),
            BudgetDecision::Later { for_budget: true, .. }
        ));
    }
}

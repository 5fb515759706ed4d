//! A device that was offline: what fell due meanwhile has more time after its return, and the cause of a missed run is known.
//!
//! Pure, as its parent. A session that only breaks for a moment is no absence: the caller says since when the device was away, if it was.

use olog_proto::Timestamp;

use super::{AFTER_RETURN, Due, ExpectationPolicy, Facts, Plan, TaskContext};

impl Facts {
    /// The device is back, after it was offline since `left_at`, if that is known. What fell late meanwhile has more time, and what
    /// was due meanwhile has a cause. True: something has changed.
    pub fn device_back(
        &mut self,
        left_at: Option<Timestamp>,
        now: Timestamp,
        known: &TaskContext<'_>,
        policy: &ExpectationPolicy,
    ) -> bool {
        let Some(due) = self.due(known, policy).filter(|_| self.missed.is_none()) else { return false };
        let offline = left_at.map(|left| (left, now)).filter(|offline| explains(*offline, due.at));
        if due.late_at <= now {
            let grace = known.plan.map_or(0, Plan::grace);
            (self.is_parked, self.not_before) = (false, Some(now.plus(grace.max(AFTER_RETURN))));
        }
        self.device_offline = offline.or(self.device_offline);
        due.late_at <= now || offline.is_some()
    }

    /// A run that was due while its device was offline and has not been seen since, if the task is not LOST yet.
    pub fn missed_offline(&self, known: &TaskContext<'_>, policy: &ExpectationPolicy) -> Option<Due> {
        let due = self.due(known, policy).filter(|_| self.missed.is_none())?;
        self.device_offline.filter(|offline| explains(*offline, due.at)).map(|_| due)
    }
}

/// A run that was due then could not take place.
pub(super) fn explains((from, to): (Timestamp, Timestamp), due_at: Timestamp) -> bool {
    (from..=to).contains(&due_at)
}

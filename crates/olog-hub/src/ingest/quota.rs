//! Keeps a device within its quota (`rules/quota`) while one of its batches is committed: loads what the device has used, asks the
//! rule, tells once that a limit is reached, and writes what was used. One row read with the device's lock and one written per batch,
//! however many events it has.

use std::collections::BTreeMap;

use olog_proto::{Author, Event, EventContent, LogKind, Timestamp};
use olog_push::SystemCode;

use super::lasting::note_begins;
use crate::apply::{self, LivePolicy};
use crate::journal::LogEntry;
use crate::rules::quota::{DeviceLimits, Limit, QuotaState};
use crate::store::devices::{self, Device};
use crate::store::incidents::{self, Subject};
use crate::store::{StoreError, Tx};

/// The incident of a device whose open incidents have reached the limit.
const TOO_MANY: &str = "too_many_errors";

/// The quota of the device whose batch is committed.
#[derive(Debug)]
pub(super) struct BatchQuota {
    limits: DeviceLimits,
    state: QuotaState,
    before: QuotaState,
    /// Open incidents of the device; `None`: not asked for yet.
    n_open: Option<u64>,
    /// The same by the user who caused the error, before this batch; `None`: not asked for yet.
    of_users: Option<BTreeMap<u32, u64>>,
    /// Those of this batch, whose tasks are written at its end.
    opened_by: BTreeMap<u32, u64>,
}

impl BatchQuota {
    pub(super) fn new(mut state: QuotaState, limits: DeviceLimits, now: Timestamp) -> BatchQuota {
        let before = state.clone();
        state.roll(now);
        BatchQuota { limits, state, before, n_open: None, of_users: None, opened_by: BTreeMap::new() }
    }

    /// The largest number of tasks.
    pub(super) fn tasks(&self) -> u64 {
        self.limits.tasks
    }

    /// Counts an event; the limit that keeps it from being stored.
    pub(super) fn event(&mut self) -> Option<Limit> {
        self.state.event(&self.limits)
    }

    /// Counts a message or a note; the limit that keeps it from being pushed.
    pub(super) fn note(&mut self) -> Option<Limit> {
        self.state.note(&self.limits)
    }

    /// The limit that keeps the device from opening a further incident, whose error this user has caused.
    pub(super) fn incident(
        &mut self,
        tx: &mut Tx<'_>,
        device: &Device,
        by: Option<&Author>,
    ) -> Result<Option<Limit>, StoreError> {
        let n_open = match self.n_open {
            Some(n) => n,
            None => incidents::n_open_of(tx, device.id)?,
        };
        self.n_open = Some(n_open);
        if n_open >= self.limits.open_incidents {
            return Ok(Some(Limit::OpenIncidents));
        }
        let Some(user) = by.filter(|by| by.uid != 0 && self.limits.is_near_a_share(n_open)) else { return Ok(None) };
        if self.of_users.is_none() {
            self.of_users = Some(incidents::n_open_by_user(tx, device.id)?);
        }
        let of = |users: &BTreeMap<u32, u64>| users.get(&user.uid).copied().unwrap_or(0);
        let n_own = self.of_users.as_ref().map_or(0, of) + of(&self.opened_by);
        Ok((!self.limits.has_share(n_own, n_open)).then_some(Limit::OpenIncidentsOfUser))
    }

    /// An incident of the device has begun, or has ended, by an event of this user. Whose incident has ended is looked up with the next batch.
    pub(super) fn opened(&mut self, was_open: bool, is_open: bool, by: Option<&Author>) {
        if let (false, true, Some(by)) = (was_open, is_open, by) {
            *self.opened_by.entry(by.uid).or_default() += 1;
        }
        self.n_open = self.n_open.map(|n| match (was_open, is_open) {
            (false, true) => n.saturating_add(1),
            (true, false) => n.saturating_sub(1),
            _ => n,
        });
    }

    /// Counts what came beyond a limit, and tells it if that was not told lately. True: there is no limit.
    pub(super) fn is_within(
        &mut self,
        limit: Option<Limit>,
        tx: &mut Tx<'_>,
        rules: &LivePolicy,
        device: &Device,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(limit) = limit else { return Ok(true) };
        metrics::counter!("olog_events_over_limit_total", "limit" => limit.key()).increment(1);
        if !self.state.exceed(limit, now) {
            return Ok(false);
        }
        let args = [("limit", limit.key().to_owned()), ("n", self.limits.of(limit).to_string())];
        tx.note(LogEntry::new("a device has reached a limit").device(&device.name).why(limit.key()));
        if limit == Limit::OpenIncidents {
            self.state.has_too_many = true;
            note_begins(tx, rules, device, TOO_MANY, (SystemCode::DeviceLimit, &args), now, now)?;
        } else {
            let notice = apply::system_notice(Some(device), SystemCode::DeviceLimit, &args, now);
            apply::enqueue_notice(tx, rules, &notice, now)?;
        }
        Ok(false)
    }

    /// Writes what the batch has used. `bytes`: of the events that it stored.
    pub(super) fn end(
        mut self,
        tx: &mut Tx<'_>,
        device: &Device,
        bytes: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.state.bytes = self.state.bytes.saturating_add(bytes);
        if self.state.has_too_many {
            // The incident that says so is one of them. It ends well below the limit, or it would come and go.
            let n_open = incidents::n_open_of(tx, device.id)?.saturating_sub(1);
            if n_open <= self.limits.open_incidents / 4 * 3 {
                self.state.has_too_many = false;
                self.state.tell_again(Limit::OpenIncidents);
                if let Some(number) = incidents::open_of(tx, Subject::Note, Some(device.id), TOO_MANY)? {
                    incidents::end(tx, number, now, "over")?;
                    let line = LogEntry::new("incident over").incident(number).about(Subject::Note.as_str());
                    tx.note(line.device(&device.name).why(TOO_MANY));
                }
            }
        }
        if self.state == self.before { Ok(()) } else { devices::set_quota(tx, device.id, &self.state) }
    }
}

/// Does it say that something failed?
pub(super) fn is_error(event: &Event) -> bool {
    match &event.what {
        EventContent::Text { file, .. } | EventContent::Seen { file, .. } => {
            matches!(file.suffix, LogKind::Err | LogKind::Scanerr)
        }
        EventContent::RunEnded { exit, signal, .. } => *exit != Some(0) || signal.is_some(),
        EventContent::Cleared { .. } | EventContent::RunStarted { .. } | EventContent::Note(_) => false,
    }
}

/// Is it a message, which is pushed each time?
pub(super) fn is_message(event: &Event) -> bool {
    match &event.what {
        EventContent::Text { file, .. } | EventContent::Seen { file, .. } => file.suffix == LogKind::Msg,
        _ => false,
    }
}

//! Alerts that are no longer sent: over when their `endsAt` has passed.

use olog_proto::Timestamp;

use super::{PAGE, Watchman};
use crate::ingest::alerts;
use crate::rules::alert::RESOLVE_AFTER;
use crate::store::StoreError;
use crate::store::incidents::alerts as stored;

impl Watchman {
    /// Ends the alerts that are over; when the next one is. After its start the hub waits until whoever sends alerts has had the time to send
    /// them again: while the hub was down nobody could.
    pub(super) async fn end_alerts(&self) -> Result<Option<Timestamp>, StoreError> {
        let (rules, now) = (self.rules.borrow().clone(), self.clock.now());
        let not_before = self.started_at.plus(RESOLVE_AFTER);
        let next = self.store.read(stored::next_end).await?;
        let Some(due) = next.map(|next| next.max(not_before)).filter(|due| *due <= now) else {
            return Ok(next.map(|next| next.max(not_before)));
        };
        let is_more = self.store.write(move |tx| alerts::end_due(tx, &rules, now, PAGE)).await?;
        self.outbox.ring();
        if is_more {
            return Ok(Some(due));
        }
        Ok(self.store.read(stored::next_end).await?.map(|next| next.max(not_before)))
    }
}

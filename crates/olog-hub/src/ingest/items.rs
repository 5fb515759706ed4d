//! What is committed together: events of a spool, pings.

use super::Batch;
use super::pings::ReceivedPing;

/// What is committed together with others.
#[derive(Debug)]
pub(super) enum Item {
    /// Events of a device's spool.
    Batch(Batch),
    /// One ping.
    Ping(ReceivedPing),
}

impl Item {
    pub(super) fn n_events(&self) -> usize {
        match self {
            Item::Batch(batch) => batch.events.len(),
            Item::Ping(_) => 1,
        }
    }
}

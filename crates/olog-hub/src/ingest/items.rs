//! What is committed together: events of a spool, pings, alerts. Devices are locked in the order of their ids, whatever came for them.

use std::collections::BTreeMap;

use olog_proto::Timestamp;

use super::alerts::{self, ReceivedAlert};
use super::pings::{self, ReceivedPing};
use super::{Batch, Committed, Done, commit_batch};
use crate::apply::LivePolicy;
use crate::store::access::ping_keys::PingKeyOwner;
use crate::store::devices::DeviceId;
use crate::store::{StoreError, Tx};

/// What is committed together with others.
#[derive(Debug)]
pub(super) enum Item {
    /// Events of a device's spool.
    Batch(Batch),
    /// One ping.
    Ping(ReceivedPing),
    /// One alert.
    Alert(ReceivedAlert),
}

/// Whom an item is about.
#[derive(Debug)]
enum About {
    Device(DeviceId),
    Key(Option<PingKeyOwner>),
    Alerted(Option<DeviceId>),
}

impl Item {
    pub(super) fn n_events(&self) -> usize {
        match self {
            Item::Batch(batch) => batch.events.len(),
            Item::Ping(_) | Item::Alert(_) => 1,
        }
    }

    fn about(&self, tx: &mut Tx<'_>) -> Result<About, StoreError> {
        match self {
            Item::Batch(batch) => Ok(About::Device(batch.device)),
            Item::Ping(ping) => pings::owner(tx, ping).map(About::Key),
            Item::Alert(alert) => alerts::device_of(tx, alert).map(About::Alerted),
        }
    }

    fn commit(
        &self,
        tx: &mut Tx<'_>,
        rules: &LivePolicy,
        about: &About,
        now: Timestamp,
    ) -> Result<Committed, StoreError> {
        match (self, about) {
            (Item::Batch(batch), _) => commit_batch(tx, rules, batch, 0..batch.events.len(), now),
            (Item::Ping(ping), About::Key(owner)) => pings::commit_ping(tx, rules, ping, owner.as_ref(), now),
            (Item::Alert(alert), About::Alerted(device)) => alerts::commit_alert(tx, rules, alert, *device, now),
            (Item::Ping(ping), _) => pings::commit_ping(tx, rules, ping, None, now),
            (Item::Alert(alert), _) => alerts::commit_alert(tx, rules, alert, None, now),
        }
    }
}

impl About {
    fn device(&self) -> DeviceId {
        match self {
            About::Device(device) | About::Alerted(Some(device)) => *device,
            About::Key(Some(owner)) => owner.device,
            About::Key(None) | About::Alerted(None) => DeviceId(0),
        }
    }
}

/// Commits all of them.
pub(super) fn commit(
    tx: &mut Tx<'_>,
    items: &[Item],
    rules: &LivePolicy,
    now: Timestamp,
) -> Result<Vec<Committed>, StoreError> {
    // In one order, so that two hubs never wait for each other.
    let mut in_order: BTreeMap<DeviceId, Vec<(usize, &Item, About)>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        let about = item.about(tx)?;
        in_order.entry(about.device()).or_default().push((i, item, about));
    }
    let mut done: Vec<Committed> = items.iter().map(|_| Ok(Done::Through(0))).collect();
    for (i, item, about) in in_order.into_values().flatten() {
        if let Some(slot) = done.get_mut(i) {
            *slot = item.commit(tx, rules, &about, now)?;
        }
    }
    Ok(done)
}

/// Commits an item by itself; of a batch the event with this index, or all.
pub(super) fn commit_item(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    item: &Item,
    only: Option<usize>,
    now: Timestamp,
) -> Result<Committed, StoreError> {
    match (item, only) {
        (Item::Batch(batch), Some(n)) => commit_batch(tx, rules, batch, n..n + 1, now),
        (item, _) => {
            let about = item.about(tx)?;
            item.commit(tx, rules, &about, now)
        }
    }
}

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
enum ItemSubject {
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

    fn subject(&self, tx: &mut Tx<'_>) -> Result<ItemSubject, StoreError> {
        match self {
            Item::Batch(batch) => Ok(ItemSubject::Device(batch.device)),
            Item::Ping(ping) => pings::owner(tx, ping).map(ItemSubject::Key),
            Item::Alert(alert) => alerts::device_of(tx, alert).map(ItemSubject::Alerted),
        }
    }

    fn commit(
        &self,
        tx: &mut Tx<'_>,
        rules: &LivePolicy,
        subject: &ItemSubject,
        now: Timestamp,
    ) -> Result<Committed, StoreError> {
        match (self, subject) {
            (Item::Batch(batch), _) => commit_batch(tx, rules, batch, 0..batch.events.len(), now),
            (Item::Ping(ping), ItemSubject::Key(owner)) => pings::commit_ping(tx, rules, ping, owner.as_ref(), now),
            (Item::Alert(alert), ItemSubject::Alerted(device)) => alerts::commit_alert(tx, rules, alert, *device, now),
            (Item::Ping(ping), _) => pings::commit_ping(tx, rules, ping, None, now),
            (Item::Alert(alert), _) => alerts::commit_alert(tx, rules, alert, None, now),
        }
    }
}

impl ItemSubject {
    fn device(&self) -> DeviceId {
        match self {
            ItemSubject::Device(device) | ItemSubject::Alerted(Some(device)) => *device,
            ItemSubject::Key(Some(owner)) => owner.device,
            ItemSubject::Key(None) | ItemSubject::Alerted(None) => DeviceId(0),
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
    let mut in_order: BTreeMap<DeviceId, Vec<(usize, &Item, ItemSubject)>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        let subject = item.subject(tx)?;
        in_order.entry(subject.device()).or_default().push((i, item, subject));
    }
    let mut done: Vec<Committed> = items.iter().map(|_| Ok(Done::Through(0))).collect();
    for (i, item, subject) in in_order.into_values().flatten() {
        if let Some(slot) = done.get_mut(i) {
            *slot = item.commit(tx, rules, &subject, now)?;
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
            let subject = item.subject(tx)?;
            item.commit(tx, rules, &subject, now)
        }
    }
}

//! Decides what a device that connects is: joined, waiting to be accepted, forgotten, or refused because too many unknown devices ask to
//! join. Runs in the transaction of the caller and sends nothing.
//!
//! Whoever can reach the port can make keys, so an unknown key is counted before anything is written for it (decision 0400).

use std::sync::{Mutex, PoisonError};

use olog_proto::DeviceName;
use olog_push::SystemCode;

use super::quota::BatchQuota;
use super::{Connected, epoch_refused};
use crate::apply::{self, LivePolicy, declared_tasks};
use crate::journal::LogEntry;
use crate::rules::address_limit::AddressLimit;
use crate::rules::device_name;
use crate::store::devices::{self, Device, DeviceState, SessionStart};
use crate::store::{StoreError, Tx, enrolment, events};

/// Unknown keys that may ask to join within [`STRANGERS_WITHIN`] ms: from one address, and from all addresses together.
const STRANGERS_OF_ONE: u32 = 10;
const STRANGERS_OF_ALL: u32 = 100;
const STRANGERS_WITHIN: i64 = 3_600_000;

/// Counts the unknown keys that ask to join.
pub(super) fn strangers() -> Mutex<AddressLimit> {
    Mutex::new(AddressLimit::new(STRANGERS_OF_ONE, STRANGERS_OF_ALL, STRANGERS_WITHIN))
}

/// Connects a device that has proved its key.
pub(super) fn connect(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    strangers: &Mutex<AddressLimit>,
    start: &SessionStart,
) -> Result<Connected, StoreError> {
    let known = match devices::by_key(tx, &start.key)? {
        Some(device) => Some(device),
        None => match enrolment::use_next_key(tx, start)? {
            Some(device) => devices::get(tx, device)?,
            None => None,
        },
    };
    let Some(device) = known else {
        let strangers = || strangers.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = strangers().is_reached(start.peer, start.now)
            || devices::n_pending(tx, start.now)? >= u64::from(devices::PENDING_MAX);
        if is_full {
            metrics::counter!("olog_strangers_refused_total").increment(1);
            return Ok(Connected::TooManyPending);
        }
        strangers().count(start.peer, start.now);
        devices::add_pending(tx, start)?;
        tx.note(LogEntry::new("a device asks to join").device(&start.name).from(start.peer, &start.version));
        return Ok(Connected::Pending);
    };
    match device.state {
        DeviceState::Pending => {
            devices::still_pending(tx, start)?;
            Ok(Connected::Pending)
        }
        DeviceState::Forgotten => Ok(Connected::Revoked),
        DeviceState::Joined => connect_joined(tx, rules, device, start),
    }
}

/// Connects a device that has joined.
pub(super) fn connect_joined(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    mut device: Device,
    start: &SessionStart,
) -> Result<Connected, StoreError> {
    let stream = events::stream(tx, device.id, start.epoch, start.now)?;
    if stream.acked > start.last {
        let detail = format!(
            "the hub has committed through {}, this spool ends at {}: it was restored from an older copy, or cloned",
            stream.acked, start.last
        );
        epoch_refused(tx, rules, &device, stream.epoch, &detail, start.now)?;
        return Ok(Connected::NewEpoch { detail });
    }
    let name = name_of(tx, rules, &device, start)?;
    devices::connected(tx, &device, &name, stream.epoch, start)?;
    device.name = name.clone();
    declared_tasks::apply(tx, rules, &device, start.now)?;
    declared_tasks::device_back(tx, rules, &device, start.now)?;
    if device.boot.is_some_and(|boot| boot != start.boot) {
        declared_tasks::device_rebooted(tx, rules, &device, start.boot, start.now)?;
    }
    tx.note(LogEntry::new("device connected").device(&name).from(start.peer, &start.version));
    Ok(Connected::Known { device: device.id, name, acked: stream.acked })
}

/// The device's name from now on. A name that it asks for anew is its own if no other device looks like that, and if hub.toml does not
/// declare a device of that look: such a name is had by joining or given by the operator. Each change is pushed, within the quota.
fn name_of(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &Device,
    start: &SessionStart,
) -> Result<DeviceName, StoreError> {
    let old = device.name.clone();
    let Some(name) = devices::wanted_name(tx, device, &start.name)? else { return Ok(old) };
    let look = device_name::look(name.as_str());
    if look != device_name::look(old.as_str()) && rules.expect.plans.keys().any(|name| device_name::look(name) == look)
    {
        tx.note(LogEntry::new("a device asks for a declared name").device(&old).why(name.to_string()));
        return Ok(old);
    }
    let mut quota = BatchQuota::new(devices::lock_quota(tx, device.id)?, rules.limits, start.now);
    let limit = quota.note();
    let is_within = quota.is_within(limit, tx, rules, device, start.now)?;
    quota.end(tx, device, 0, start.now)?;
    if !is_within {
        return Ok(old);
    }
    tx.note(LogEntry::new("device renamed").device(&name).why(format!("it was {old}")));
    let mut renamed = device.clone();
    renamed.name = name.clone();
    let args = [("name", old.to_string())];
    let notice = apply::system_notice(Some(&renamed), SystemCode::DeviceRenamed, &args, start.now);
    apply::enqueue_notice(tx, rules, &notice, start.now)?;
    Ok(name)
}

//! The notifications about the hub itself: unreachable, and reachable again, once each and to the same receivers.
//!
//! A receiver that accepted "unreachable" is owed "reachable", and no other receiver is. Who is owed it is stored in the spool, so that a
//! restart of the agent repeats nothing. If a crash prevents recording an acceptance, that notification is repeated.

use std::collections::BTreeMap;

use olog_proto::{DeviceName, Timestamp};
use olog_push::{Content, Kind, Notice, SystemCode};

use crate::spool::{Spool, SpoolError};

/// Who was told that the hub is gone, and since when: receiver → instant.
const TOLD: &str = "hub_gone_told";
/// A session came about at least once: before, nobody misses a hub.
const MET: &str = "hub_met";
/// Characters of a cause.
const WHY_MAX: usize = 200;

/// Who is owed the news that the hub is back.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct OwedRecovery(BTreeMap<String, Timestamp>);

impl OwedRecovery {
    pub(super) fn load(spool: &Spool) -> Result<OwedRecovery, SpoolError> {
        // What cannot be read was not written by us.
        let told = spool.meta(TOLD)?.and_then(|text| serde_json::from_str(&text).ok());
        Ok(OwedRecovery(told.unwrap_or_default()))
    }

    /// Since when it was said to this receiver that the hub is gone.
    pub(super) fn since(&self, receiver: &str) -> Option<Timestamp> {
        self.0.get(receiver).copied()
    }

    /// It accepted that the hub is gone.
    pub(super) fn gone(&mut self, receiver: &str, since: Timestamp, spool: &Spool) -> Result<(), SpoolError> {
        self.0.insert(receiver.to_owned(), since);
        self.store(spool)
    }

    /// It accepted that the hub is back, or never will.
    pub(super) fn back(&mut self, receiver: &str, spool: &Spool) -> Result<(), SpoolError> {
        if self.0.remove(receiver).is_none() {
            return Ok(());
        }
        self.store(spool)
    }

    /// Of receivers that the configuration no longer has nobody is owed anything.
    pub(super) fn keep(&mut self, receivers: &[&str], spool: &Spool) -> Result<(), SpoolError> {
        let n = self.0.len();
        self.0.retain(|receiver, _| receivers.contains(&receiver.as_str()));
        if self.0.len() == n { Ok(()) } else { self.store(spool) }
    }

    fn store(&self, spool: &Spool) -> Result<(), SpoolError> {
        spool.set_meta(TOLD, &serde_json::to_string(&self.0).unwrap_or_default())
    }
}

/// There is a session: from now on the hub would be missed.
pub(super) fn met(spool: &Spool) -> Result<(), SpoolError> {
    if spool.meta(MET)?.is_some() { Ok(()) } else { spool.set_meta(MET, "yes") }
}

/// Was there ever a session?
pub(super) fn is_met(spool: &Spool) -> Result<bool, SpoolError> {
    Ok(spool.meta(MET)?.is_some())
}

/// That it is gone.
pub(super) fn gone(
    device: &DeviceName,
    address: Option<&str>,
    since: Timestamp,
    why: Option<&str>,
    now: Timestamp,
) -> Notice {
    let why: String = why.unwrap_or("no answer").trim_end_matches('.').chars().take(WHY_MAX).collect();
    let args = [("since", since.0.to_string()), ("why", why)];
    notice(device, address, SystemCode::HubUnreachable, &args, now)
}

/// That it is back.
pub(super) fn back(device: &DeviceName, since: Timestamp, at: Timestamp) -> Notice {
    notice(device, None, SystemCode::HubReachable, &[("since", since.0.to_string())], at)
}

fn notice(
    device: &DeviceName,
    address: Option<&str>,
    code: SystemCode,
    args: &[(&str, String)],
    at: Timestamp,
) -> Notice {
    let args = args.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Notice {
        kind: Kind::System,
        incident: None,
        device: Some(device.to_string()),
        address: address.map(str::to_owned),
        task: None,
        at,
        silence: None,
        content: Content::System { code, args },
    }
}

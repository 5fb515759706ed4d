//! The keys of pings: made (the text is shown once), counted, removed. A key is the only secret of its address, as the pinging API has it.
//!
//! A stranger's wrong keys are counted by address. The hashes of good keys are remembered, so that a flood of wrong ones costs their owner
//! nothing, wherever it comes from; each good key has a rate of its own.

use std::collections::HashMap;
use std::net::IpAddr;

use olog_proto::Timestamp;

use super::secret::hash_for;
use super::{Access, AccessError, MINUTE_MS};
use crate::rules::address_limit::AddressLimit;
use crate::rules::ping::{PingAddress, PingRate};
use crate::store::access::ping_keys::{self, PingKeyOwner};
use crate::store::{StoreError, Tx, devices, tasks};

/// Wrong keys of one address within a minute.
const WRONG_OF_ONE: u32 = 30;
/// Good keys that are remembered.
const KNOWN_MAX: u32 = 20_000;
/// Characters of a key, and what they may be.
const KEY_CHARS: usize = 22;
const ALPHABET: [u8; 32] = *b"abcdefghijkmnpqrstuvwxyz23456789";

/// Who may ping, and how often.
#[derive(Debug)]
pub(super) struct PingLimits {
    wrong: AddressLimit,
    /// `None`: not read from the store yet.
    known: Option<HashMap<String, PingRate>>,
}

impl Default for PingLimits {
    fn default() -> PingLimits {
        PingLimits { wrong: AddressLimit::new(WRONG_OF_ONE, u32::MAX, MINUTE_MS), known: None }
    }
}

/// May a ping come in?
#[derive(Debug, PartialEq, Eq)]
pub enum PingAdmission {
    /// Its key is known under this hash.
    Known(String),
    /// Nobody has this key.
    Unknown,
    /// Too many of this key, or too many wrong ones from this address: later, in ms.
    Wait(i64),
}

/// Whose key is made or removed.
#[derive(Debug, Clone)]
pub struct PingKeyOf {
    /// The device's name.
    pub device: String,
    /// The task's, if it is the key of one task.
    pub task: Option<String>,
}

/// What became of the wish for a key.
#[derive(Debug, PartialEq, Eq)]
pub enum PingKeyMade {
    /// The key.
    Yes(String),
    /// There is one, made then, and it cannot be shown again.
    Exists(Timestamp),
    /// There is no such device.
    NoDevice,
    /// The device has no such task.
    NoTask,
}

impl Access {
    /// May a ping to this address come in?
    pub async fn admit_ping(&self, address: &PingAddress, from: IpAddr) -> Result<PingAdmission, AccessError> {
        let (hash, now) = (hash_of(address), self.clock.now());
        if self.limits().pings.known.is_none() {
            let hashes = self.store.read(|tx| ping_keys::hashes(tx, KNOWN_MAX)).await?;
            let known = hashes.into_iter().map(|hash| (hash, PingRate::default())).collect();
            self.limits().pings.known.get_or_insert(known);
        }
        {
            let mut limits = self.limits();
            if let Some(rate) = limits.pings.known.as_mut().and_then(|known| known.get_mut(&hash)) {
                return Ok(rate.count(now).map_or_else(PingAdmission::Wait, |()| PingAdmission::Known(hash)));
            }
            if limits.pings.wrong.is_reached(from, now) {
                return Ok(PingAdmission::Wait(MINUTE_MS));
            }
        }
        let asked = hash.clone();
        let is_known = self.store.read(move |tx| ping_keys::owner(tx, &asked)).await?.is_some();
        let mut limits = self.limits();
        if !is_known {
            limits.pings.wrong.count(from, now);
            return Ok(PingAdmission::Unknown);
        }
        limits.pings.remember(&hash);
        Ok(PingAdmission::Known(hash))
    }

    /// A key that was known is not any more.
    pub fn forget_ping_key(&self, hash: &str) {
        if let Some(known) = &mut self.limits().pings.known {
            known.remove(hash);
        }
    }

    /// Makes the key of a device or of a task; its text is not shown again. `is_new`: also if there is one, which is then worth nothing.
    pub async fn make_ping_key(&self, of: PingKeyOf, is_new: bool) -> Result<PingKeyMade, AccessError> {
        let address = if of.task.is_some() {
            PingAddress::Task(random_uuid()?)
        } else {
            PingAddress::Slug { key: random_key()?, slug: String::new() }
        };
        let (hash, now) = (hash_of(&address), self.clock.now());
        let stored = hash.clone();
        let text = address.secret().to_owned();
        let write = move |tx: &mut Tx<'_>| {
            let owner = match owner_of(tx, &of)? {
                Ok(owner) => owner,
                Err(none) => return Ok(none),
            };
            if let Some(at) = ping_keys::made_at(tx, &owner)?.filter(|_| !is_new) {
                return Ok(PingKeyMade::Exists(at));
            }
            ping_keys::set(tx, &owner, &stored, now)?;
            Ok(PingKeyMade::Yes(text.clone()))
        };
        let made = self.store.write(write).await?;
        if matches!(made, PingKeyMade::Yes(_)) {
            self.limits().pings.remember(&hash);
        }
        Ok(made)
    }

    /// Removes the key of a device or of a task. `None`: there is no such device or task; false: it has none.
    pub async fn remove_ping_key(&self, of: PingKeyOf) -> Result<Option<bool>, AccessError> {
        let write = move |tx: &mut Tx<'_>| match owner_of(tx, &of)? {
            Ok(owner) => ping_keys::remove(tx, &owner).map(Some),
            Err(_) => Ok(None),
        };
        Ok(self.store.write(write).await?)
    }
}

impl PingLimits {
    fn remember(&mut self, hash: &str) {
        if let Some(known) = self.known.as_mut().filter(|known| known.len() < KNOWN_MAX as usize) {
            known.entry(hash.to_owned()).or_default();
        }
    }
}

fn owner_of(tx: &mut Tx<'_>, of: &PingKeyOf) -> Result<Result<PingKeyOwner, PingKeyMade>, StoreError> {
    let Some(device) = devices::by_name(tx, &of.device)? else { return Ok(Err(PingKeyMade::NoDevice)) };
    let task = match &of.task {
        None => None,
        Some(task) => match tasks::find(tx, device.id, task)? {
            Some(task) => Some(task.name.to_string()),
            None => return Ok(Err(PingKeyMade::NoTask)),
        },
    };
    Ok(Ok(PingKeyOwner { device: device.id, task }))
}

fn hash_of(address: &PingAddress) -> String {
    hash_for("ping", address.secret())
}

/// 110 random bits.
fn random_key() -> Result<String, AccessError> {
    let mut bytes = [0; KEY_CHARS];
    getrandom::fill(&mut bytes).map_err(|_| AccessError::Random)?;
    let char_of = |byte: &u8| ALPHABET.get(usize::from(byte % 32)).copied().map_or('a', char::from);
    Ok(bytes.iter().map(char_of).collect())
}

/// A random UUID (RFC 9562, version 4): 122 random bits.
fn random_uuid() -> Result<String, AccessError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| AccessError::Random)?;
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76 | 0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{bits:032x}");
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default();
    Ok([part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::ping::Ping;

    #[test]
    fn what_is_made_is_an_address_that_is_read() {
        let (key, uuid) = (random_key().unwrap(), random_uuid().unwrap());
        assert_eq!(key.len(), 22);
        assert!(key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{key}");
        assert_eq!(Ping::read(&format!("{key}/a"), "").unwrap().address.secret(), key);
        assert_eq!(Ping::read(&uuid, "").unwrap().address, PingAddress::Task(uuid.clone()));
        assert_eq!((uuid.as_bytes()[14], matches!(uuid.as_bytes()[19], b'8' | b'9' | b'a' | b'b')), (b'4', true));
    }
}

//! How many streams there may be: in all, of one session or token, and of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::rules::address_limit::network_of;

/// At one time.
pub const STREAMS_MAX: usize = 2_000;
/// Of one session: a browser opens no more than six connections to a hub, and needs some for pages.
pub const OF_ONE_SESSION: usize = 4;
/// Of one token.
pub const OF_ONE_TOKEN: usize = 16;
/// Of one address, whoever is behind it.
pub const OF_ONE_ADDRESS: usize = 64;

/// Whose stream it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watcher {
    /// What tells sessions, tokens and links apart.
    pub who: String,
    /// How many streams that one may have.
    pub most: usize,
    /// From where.
    pub address: IpAddr,
}

#[derive(Debug, Default)]
struct Taken {
    n: usize,
    by_who: HashMap<String, usize>,
    by_address: HashMap<IpAddr, usize>,
}

/// The places of all streams.
#[derive(Debug, Default)]
pub struct StreamPlaces(Mutex<Taken>);

/// One stream's place; given back when it is dropped.
#[derive(Debug)]
pub struct StreamPlace {
    places: Arc<StreamPlaces>,
    who: String,
    address: IpAddr,
}

impl StreamPlaces {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn n(&self) -> usize {
        self.taken().n
    }

    #[cfg(test)]
    pub(super) fn taken_is_empty(&self) -> bool {
        let taken = self.taken();
        taken.by_who.is_empty() && taken.by_address.is_empty()
    }

    pub(super) fn take(self: &Arc<Self>, watcher: &Watcher) -> Option<StreamPlace> {
        let address = network_of(watcher.address);
        let mut taken = self.taken();
        let of_who = taken.by_who.get(&watcher.who).copied().unwrap_or_default();
        let of_address = taken.by_address.get(&address).copied().unwrap_or_default();
        if taken.n >= STREAMS_MAX || of_who >= watcher.most || of_address >= OF_ONE_ADDRESS {
            return None;
        }
        taken.n += 1;
        taken.by_who.insert(watcher.who.clone(), of_who + 1);
        taken.by_address.insert(address, of_address + 1);
        Some(StreamPlace { places: self.clone(), who: watcher.who.clone(), address })
    }
}

fn one_less<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    match counts.get_mut(key) {
        Some(n) if *n > 1 => *n -= 1,
        _ => drop(counts.remove(key)),
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        taken.n = taken.n.saturating_sub(1);
        one_less(&mut taken.by_who, &self.who);
        one_less(&mut taken.by_address, &self.address);
    }
}

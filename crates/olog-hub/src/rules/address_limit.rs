//! How often one address may do something within a time: wrong secrets of join links, unknown keys that ask to join.
//!
//! A network counts as one address: an IPv6 host has 2^64 of them. Bounded in memory; when so many addresses are remembered that no
//! further one can be, whoever is not remembered is refused too, so that a flood from many addresses does not open the gate. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use olog_proto::Timestamp;

/// Addresses that are remembered at one time.
const KEPT: usize = 10_000;

/// A limit within a time, for each address and for all addresses together.
#[derive(Debug)]
pub struct AddressLimit {
    within_ms: i64,
    of_one: u32,
    of_all: u32,
    counted_of_one: HashMap<IpAddr, CountedSince>,
    counted_of_all: CountedSince,
}

/// A fixed window: when it began, and how many were counted since.
#[derive(Debug, Default, Clone, Copy)]
struct CountedSince {
    since: Timestamp,
    n: u32,
}

impl CountedSince {
    fn is_past(&self, now: Timestamp, within_ms: i64) -> bool {
        // A clock that was set back begins a new window, too.
        !(0..within_ms).contains(&now.since(self.since))
    }

    fn n(&self, now: Timestamp, within_ms: i64) -> u32 {
        if self.is_past(now, within_ms) { 0 } else { self.n }
    }

    fn count(&mut self, now: Timestamp, within_ms: i64) {
        let n = self.n(now, within_ms);
        if n == 0 {
            self.since = now;
        }
        self.n = n.saturating_add(1);
    }
}

impl AddressLimit {
    /// `of_one` for an address and `of_all` for all addresses together, within `within_ms`.
    pub fn new(of_one: u32, of_all: u32, within_ms: i64) -> AddressLimit {
        AddressLimit {
            within_ms,
            of_one,
            of_all,
            counted_of_one: HashMap::new(),
            counted_of_all: CountedSince::default(),
        }
    }

    /// Is there nothing left for this address?
    pub fn is_reached(&self, address: IpAddr, now: Timestamp) -> bool {
        let of_one = self.counted_of_one.get(&network_of(address));
        let is_full = of_one.is_none()
            && self.counted_of_one.len() >= KEPT
            && self.counted_of_one.values().all(|window| !window.is_past(now, self.within_ms));
        is_full
            || of_one.is_some_and(|window| window.n(now, self.within_ms) >= self.of_one)
            || self.counted_of_all.n(now, self.within_ms) >= self.of_all
    }

    /// Counts one more for this address.
    pub fn count(&mut self, address: IpAddr, now: Timestamp) {
        let (address, within_ms) = (network_of(address), self.within_ms);
        self.counted_of_all.count(now, within_ms);
        if self.counted_of_one.len() >= KEPT && !self.counted_of_one.contains_key(&address) {
            self.counted_of_one.retain(|_, window| !window.is_past(now, within_ms));
            if self.counted_of_one.len() >= KEPT {
                return;
            }
        }
        self.counted_of_one.entry(address).or_default().count(now, within_ms);
    }
}

/// Whoever has an IPv6 address has 2^64 of them.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_780_000_000_000);
    const HOUR: i64 = 3_600_000;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_share_and_its_network_is_the_same_address() {
        let mut limit = AddressLimit::new(5, 100, HOUR);
        for n in 0..5 {
            let one = address(&format!("2001:db8:0:1::{n}"));
            assert!(!limit.is_reached(one, NOW));
            limit.count(one, NOW);
        }
        assert!(limit.is_reached(address("2001:db8:0:1:ffff::1"), NOW));
        assert!(!limit.is_reached(address("2001:db8:0:2::1"), NOW));
        assert!(!limit.is_reached(address("2001:db8:0:1::1"), NOW.plus(HOUR)));
        assert!(
            !limit.is_reached(address("2001:db8:0:1::1"), NOW.plus(-1)),
            "a clock that was set back locks nobody out"
        );
    }

    #[test]
    fn all_addresses_together_have_a_limit() {
        let mut limit = AddressLimit::new(5, 60, HOUR);
        for n in 0..60 {
            let one = address(&format!("192.0.2.{n}"));
            assert!(!limit.is_reached(one, NOW), "{n}");
            limit.count(one, NOW);
        }
        assert!(limit.is_reached(address("198.51.100.1"), NOW));
        assert!(!limit.is_reached(address("198.51.100.1"), NOW.plus(HOUR)));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_a_flood_opens_no_gate() {
        let mut limit = AddressLimit::new(5, u32::MAX, HOUR);
        for n in 0..u32::try_from(KEPT).unwrap() + 100 {
            limit.count(IpAddr::V4(n.into()), NOW);
        }
        assert_eq!(limit.counted_of_one.len(), KEPT);
        assert!(limit.is_reached(address("203.0.113.1"), NOW));
        assert!(!limit.is_reached(address("203.0.113.1"), NOW.plus(HOUR)));
        limit.count(address("203.0.113.1"), NOW.plus(HOUR));
        assert_eq!(limit.counted_of_one.len(), 1);
    }
}

//! Registry of connected devices, in memory: one session for each device.
//!
//! A session registers once its device is proven and known, and is removed when it ends, however it ends. A newer session of the same key
//! displaces the older one. Others reach a session through its handle: the watchman asks for a ping; `forget` and a replacement end the
//! session at once. Orders are flags and a wake-up; nobody waits for a session.
//!
//! Nothing here is durable and nothing is decided here, except one thing that only this registry can see: a key that is displaced three
//! times within 10 min from two boots is used by two machines. Bounded by the number of connections.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering},
    },
};

use olog_proto::{BootId, Timestamp};
use tokio::sync::Notify;

use crate::store::devices::DeviceId;

/// One key displaced this often …
const DISPLACED_TIMES: usize = 3;
/// … within this many milliseconds, from two boots, is two machines.
const DISPLACED_WITHIN_MS: i64 = 600_000;
/// How many of the latest kicks are remembered for sessions that are just about to take their seat.
const KICKS_KEPT: usize = 256;

/// All seats.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Seats>);

#[derive(Debug, Default)]
struct Seats {
    taken: HashMap<DeviceId, Arc<SessionHandle>>,
    sessions: u64,
    displaced: HashMap<DeviceId, VecDeque<Displaced>>,
    kicks: VecDeque<DeviceId>,
    n_kicks: u64,
}

#[derive(Debug, Clone, Copy)]
struct Displaced {
    at: Timestamp,
    boots: [BootId; 2],
    peers: [IpAddr; 2],
}

/// Drawn before the store is asked whether the device is known: whoever is kicked between the two gets no seat to keep.
#[derive(Debug, Clone, Copy)]
pub struct Reservation(u64);

/// Who takes a seat.
#[derive(Debug, Clone, Copy)]
pub struct AuthenticatedDevice {
    /// Whose session.
    pub device: DeviceId,
    /// The device's boot.
    pub boot: BootId,
    /// Where it comes from.
    pub peer: IpAddr,
    /// Milliseconds that the device's clock is ahead of the hub's.
    pub skew_ms: i64,
}

/// The place of one session.
#[derive(Debug)]
pub struct SessionHandle {
    /// The session's number; a later session of any device has a higher one.
    pub session: u64,
    /// When it was taken.
    pub connected_at: Timestamp,
    /// Who sits there.
    pub who: AuthenticatedDevice,
    heard_at: AtomicI64,
    ping: AtomicBool,
    leave: AtomicU8,
    bell: Notify,
}

/// What a session is told through its seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Ask the device for a sign of life.
    Ping,
    /// End: a newer session of the key took over.
    Displaced,
    /// End: the device was forgotten or replaced.
    Revoked,
}

/// A taken seat: given back on drop.
#[derive(Debug)]
pub struct SeatGuard {
    sessions: Arc<Sessions>,
    seat: Arc<SessionHandle>,
}

/// Two machines use one key: where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoMachines {
    /// Their addresses; one, if both are behind it.
    pub peers: Vec<IpAddr>,
}

impl Sessions {
    /// An empty one.
    pub fn new() -> Arc<Sessions> {
        Arc::default()
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        // A panic elsewhere leaves the map whole: every change is one insert or remove.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draw it before asking the store who the device is.
    pub fn reservation(&self) -> Reservation {
        Reservation(self.seats().n_kicks)
    }

    /// Takes the device's seat; whoever sits there is displaced.
    pub fn take(
        self: &Arc<Self>,
        reservation: Reservation,
        who: AuthenticatedDevice,
        now: Timestamp,
    ) -> (SeatGuard, Option<TwoMachines>) {
        let mut seats = self.seats();
        seats.sessions += 1;
        let seat = Arc::new(SessionHandle {
            session: seats.sessions,
            connected_at: now,
            who,
            heard_at: AtomicI64::new(now.0),
            ping: AtomicBool::new(false),
            leave: AtomicU8::new(STAY),
            bell: Notify::new(),
        });
        if seats.kicked_since(reservation, who.device) {
            seat.order(REVOKED);
        }
        let older = seats.taken.insert(who.device, seat.clone());
        let two = older.and_then(|older| {
            older.order(DISPLACED);
            seats.note_displaced(&older, &seat)
        });
        drop(seats);
        (SeatGuard { sessions: self.clone(), seat }, two)
    }

    /// Everybody who sits here.
    pub fn snapshot(&self) -> Vec<Arc<SessionHandle>> {
        self.seats().taken.values().cloned().collect()
    }

    /// One device's seat.
    pub fn seat(&self, device: DeviceId) -> Option<Arc<SessionHandle>> {
        self.seats().taken.get(&device).cloned()
    }

    /// How many sit here.
    pub fn len(&self) -> usize {
        self.seats().taken.len()
    }

    /// Nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Asks these devices for a sign of life; whoever is not connected is passed over.
    pub fn ping(&self, devices: &[DeviceId]) {
        let seats = self.seats();
        for seat in devices.iter().filter_map(|device| seats.taken.get(device)) {
            seat.ping.store(true, Ordering::Release);
            seat.bell.notify_one();
        }
    }

    /// Ends the device's session at once: it was forgotten or replaced. To be called after the commit that says so.
    pub fn revoke(&self, device: DeviceId) {
        let mut seats = self.seats();
        seats.n_kicks += 1;
        seats.kicks.push_front(device);
        seats.kicks.truncate(KICKS_KEPT);
        if let Some(seat) = seats.taken.get(&device) {
            seat.order(REVOKED);
        }
    }
}

impl Seats {
    fn kicked_since(&self, reservation: Reservation, device: DeviceId) -> bool {
        let since = usize::try_from(self.n_kicks.saturating_sub(reservation.0)).unwrap_or(usize::MAX);
        // More kicks than are remembered: in doubt the session ends, and its agent connects again.
        since > KICKS_KEPT || self.kicks.iter().take(since).any(|kicked| *kicked == device)
    }

    fn note_displaced(&mut self, older: &SessionHandle, newer: &SessionHandle) -> Option<TwoMachines> {
        let now = newer.connected_at;
        let recent = |d: &Displaced| now.since(d.at) < DISPLACED_WITHIN_MS;
        self.displaced.retain(|_, times| {
            times.retain(recent);
            !times.is_empty()
        });
        let times = self.displaced.entry(newer.who.device).or_default();
        times.push_back(Displaced {
            at: now,
            boots: [older.who.boot, newer.who.boot],
            peers: [older.who.peer, newer.who.peer],
        });
        let boots: BTreeSet<BootId> = times.iter().flat_map(|d| d.boots).collect();
        if times.len() < DISPLACED_TIMES || boots.len() < 2 {
            return None;
        }
        let peers: BTreeSet<IpAddr> = times.iter().flat_map(|d| d.peers).collect();
        // Told once; the next telling takes three more.
        self.displaced.remove(&newer.who.device);
        Some(TwoMachines { peers: peers.into_iter().collect() })
    }
}

const STAY: u8 = 0;
const DISPLACED: u8 = 1;
const REVOKED: u8 = 2;

impl SessionHandle {
    /// When something was last received.
    pub fn heard_at(&self) -> Timestamp {
        Timestamp(self.heard_at.load(Ordering::Acquire))
    }

    /// Something was received.
    pub fn heard(&self, now: Timestamp) {
        self.heard_at.store(now.0, Ordering::Release);
    }

    fn order(&self, leave: u8) {
        // `Revoked` is stronger: it tells the agent to join again.
        self.leave.fetch_max(leave, Ordering::AcqRel);
        self.bell.notify_one();
    }

    /// Waits for the next order. For the session of this seat only; dropping the future loses no order.
    pub async fn next_order(&self) -> Order {
        loop {
            match self.leave.load(Ordering::Acquire) {
                STAY => {}
                DISPLACED => return Order::Displaced,
                _ => return Order::Revoked,
            }
            if self.ping.swap(false, Ordering::AcqRel) {
                return Order::Ping;
            }
            self.bell.notified().await;
        }
    }
}

impl SeatGuard {
    /// The seat.
    pub fn seat(&self) -> &SessionHandle {
        &self.seat
    }

    /// Is it still this session's, not a newer one's?
    pub fn is_current(&self) -> bool {
        self.sessions.seat(self.seat.who.device).is_some_and(|seat| seat.session == self.seat.session)
    }
}

impl Drop for SeatGuard {
    fn drop(&mut self) {
        let mut seats = self.sessions.seats();
        if seats.taken.get(&self.seat.who.device).is_some_and(|seat| seat.session == self.seat.session) {
            seats.taken.remove(&self.seat.who.device);
        }
    }
}

#[cfg(test)]
mod tests {
    use olog_proto::event::Id128;

    use super::*;

    fn newcomer(device: i64, boot: u8) -> AuthenticatedDevice {
        let peer = IpAddr::from([10, 0, 0, boot]);
        AuthenticatedDevice { device: DeviceId(device), boot: Id128([boot; 16]), peer, skew_ms: 0 }
    }

    fn take(sessions: &Arc<Sessions>, device: i64, boot: u8, now: i64) -> (SeatGuard, Option<TwoMachines>) {
        sessions.take(sessions.reservation(), newcomer(device, boot), Timestamp(now))
    }

    #[tokio::test]
    async fn a_newer_session_displaces_the_older_and_keeps_the_seat() {
        let sessions = Sessions::new();
        let (older, _) = take(&sessions, 1, 1, 0);
        let (newer, _) = take(&sessions, 1, 1, 5);
        assert_eq!(older.seat().next_order().await, Order::Displaced);
        drop(older);
        assert_eq!(sessions.len(), 1);
        assert!(newer.is_current());
        drop(newer);
        assert!(sessions.is_empty());
    }

    #[tokio::test]
    async fn pings_and_kicks_reach_their_session_only() {
        let sessions = Sessions::new();
        let (one, _) = take(&sessions, 1, 1, 0);
        let (two, _) = take(&sessions, 2, 1, 0);
        sessions.ping(&[DeviceId(1), DeviceId(9)]);
        assert_eq!(one.seat().next_order().await, Order::Ping);
        sessions.ping(&[DeviceId(2)]);
        sessions.revoke(DeviceId(2));
        assert_eq!(two.seat().next_order().await, Order::Revoked);
    }

    #[tokio::test]
    async fn a_device_forgotten_while_it_connects_is_cut_too() {
        let sessions = Sessions::new();
        let reservation = sessions.reservation();
        sessions.revoke(DeviceId(1));
        let (place, _) = sessions.take(reservation, newcomer(1, 1), Timestamp(0));
        assert_eq!(place.seat().next_order().await, Order::Revoked);
        let (later, _) = take(&sessions, 1, 1, 0);
        sessions.ping(&[DeviceId(1)]);
        assert_eq!(later.seat().next_order().await, Order::Ping);
    }

    #[tokio::test]
    async fn a_thousand_devices_that_reconnect_leave_one_session_each_and_no_false_alarm() {
        let sessions = Sessions::new();
        let mut older = Vec::new();
        for round in 0..3 {
            let newer: Vec<_> = (0..1_000).map(|device| take(&sessions, device, 1, round * 1_000)).collect();
            assert!(newer.iter().all(|(_, two)| two.is_none()), "one boot each");
            // The old sessions end after the new ones have begun.
            for (place, _) in std::mem::take(&mut older) {
                let place: SeatGuard = place;
                assert_eq!(place.seat().next_order().await, Order::Displaced);
                assert!(!place.is_current());
            }
            assert!(newer.iter().all(|(place, _)| place.is_current()));
            assert_eq!(sessions.len(), 1_000);
            older = newer;
        }
        drop(older);
        assert!(sessions.is_empty());
    }

    #[test]
    fn three_displacements_from_two_boots_are_two_machines() {
        let sessions = Sessions::new();
        let mut places = Vec::new();
        let mut told = Vec::new();
        for (at, boot) in [(0, 1), (1000, 2), (2000, 1), (3000, 2), (4000, 1)] {
            let (place, two) = take(&sessions, 1, boot, at);
            places.push(place);
            told.extend(two.map(|two| (at, two.peers.len())));
        }
        assert_eq!(told, [(3000, 2)]);
    }

    #[test]
    fn reconnects_of_one_boot_or_over_a_long_time_are_not_two_machines() {
        let sessions = Sessions::new();
        let mut places = Vec::new();
        for at in 0..10 {
            let (place, two) = take(&sessions, 1, 1, at * 1000);
            assert_eq!(two, None);
            places.push(place);
        }
        for (i, boot) in [1, 2, 1, 2, 1, 2].into_iter().enumerate() {
            let (place, two) = take(&sessions, 2, boot, i as i64 * 400_000);
            assert_eq!(two, None);
            places.push(place);
        }
    }
}

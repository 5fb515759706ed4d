//! Which old clients are connected, and how many may be: in memory, shared by all of their sessions.
//!
//! A connection that has not yet said who it is holds an *opening*: few in all, fewer from one address. Over the bound the oldest one is
//! ended: a client says its name at once, so silent connections keep no client out. After that it holds the *seat* of its name. A seat is taken by one session: while that session is heard, a
//! second client of the name is refused. One that is no longer heard (its machine lost power) is ended first, and waited for, so that
//! no two sessions ever number events of one device.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use olog_proto::DeviceName;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Connections that have not said who they are: in all, and from one address.
const OPENINGS_MAX: usize = 64;
const OPENINGS_OF_ONE_MAX: usize = 16;
/// Old clients that are connected.
const SEATS_MAX: usize = 500;
/// A client that answered no ping for this long makes room for another one of its name.
const UNHEARD_AFTER: Duration = Duration::from_secs(12);
/// For the older session to end.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// Names of clients that are no devices and of which something was told.
const TOLD_MAX: usize = 200;

/// All old clients.
#[derive(Debug, Clone, Default)]
pub struct LegacyClients(Arc<Mutex<ClientsState>>);

#[derive(Debug, Default)]
struct ClientsState {
    /// The number of the next opening.
    next_opening: u64,
    /// By their numbers, so the oldest comes first.
    openings: BTreeMap<u64, (IpAddr, CancellationToken)>,
    seats: HashMap<DeviceName, Arc<OccupiedSeat>>,
    told: HashSet<DeviceName>,
    rests: HashMap<DeviceName, Instant>,
}

#[derive(Debug)]
struct OccupiedSeat {
    heard_at: Mutex<Instant>,
    leave: CancellationToken,
    ended: CancellationToken,
}

/// A connection that has not said who it is; given back on drop.
#[derive(Debug)]
pub(super) struct Opening {
    clients: LegacyClients,
    number: u64,
    displaced: CancellationToken,
}

/// The seat of a name; given back on drop.
#[derive(Debug)]
pub(super) struct NameSeat {
    clients: LegacyClients,
    name: DeviceName,
    occupied: Arc<OccupiedSeat>,
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoSeat {
    /// Another client of that name is connected.
    Taken,
    /// There are too many.
    Full,
}

impl LegacyClients {
    fn state(&self) -> MutexGuard<'_, ClientsState> {
        // A panic elsewhere leaves the maps whole: every change is one insert or remove.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For a new connection. Over the bound it displaces the oldest opening: of its own address, or of all.
    pub(super) fn open(&self, peer: IpAddr) -> Opening {
        let mut state = self.state();
        let n_of_one = state.openings.values().filter(|(of, _)| *of == peer).count();
        let oldest = if n_of_one >= OPENINGS_OF_ONE_MAX {
            state.openings.iter().find(|(_, (of, _))| *of == peer).map(|(number, _)| *number)
        } else if state.openings.len() >= OPENINGS_MAX {
            state.openings.keys().next().copied()
        } else {
            None
        };
        if let Some((_, displaced)) = oldest.and_then(|number| state.openings.remove(&number)) {
            displaced.cancel();
        }
        let (number, displaced) = (state.next_opening, CancellationToken::new());
        state.next_opening += 1;
        state.openings.insert(number, (peer, displaced.clone()));
        drop(state);
        Opening { clients: self.clone(), number, displaced }
    }

    /// Takes the seat of a name.
    pub(super) async fn sit(&self, name: &DeviceName, now: Instant) -> Result<NameSeat, NoSeat> {
        let older = match self.try_sit(name, now) {
            Ok(seat) => return Ok(seat),
            Err(None) => return Err(NoSeat::Full),
            Err(Some(older)) => older,
        };
        let heard_at = *older.heard_at.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(heard_at) < UNHEARD_AFTER {
            return Err(NoSeat::Taken);
        }
        older.leave.cancel();
        if timeout(ENDS_WITHIN, older.ended.cancelled()).await.is_err() {
            return Err(NoSeat::Taken);
        }
        self.try_sit(name, now).map_err(|older| older.map_or(NoSeat::Full, |_| NoSeat::Taken))
    }

    fn try_sit(&self, name: &DeviceName, now: Instant) -> Result<NameSeat, Option<Arc<OccupiedSeat>>> {
        let mut state = self.state();
        if let Some(older) = state.seats.get(name) {
            return Err(Some(older.clone()));
        }
        if state.seats.len() >= SEATS_MAX {
            return Err(None);
        }
        let occupied = Arc::new(OccupiedSeat {
            heard_at: Mutex::new(now),
            leave: CancellationToken::new(),
            ended: CancellationToken::new(),
        });
        state.seats.insert(name.clone(), occupied.clone());
        drop(state);
        Ok(NameSeat { clients: self.clone(), name: name.clone(), occupied })
    }

    /// When a client may be asked for a report: now, or when its rest is over.
    pub(super) fn may_be_asked_at(&self, name: &DeviceName) -> Instant {
        let now = Instant::now();
        self.state().rests.get(name).copied().map_or(now, |until| until.max(now))
    }

    /// Lets a client rest whose report was too large, also when it connects anew.
    pub(super) fn ask_not_before(&self, name: &DeviceName, until: Instant) {
        let (mut state, now) = (self.state(), Instant::now());
        state.rests.retain(|_, until| *until > now);
        if state.rests.len() < SEATS_MAX {
            state.rests.insert(name.clone(), until);
        }
    }

    /// Is it the first time that something is told of a client that is no device?
    pub(super) fn is_first_telling(&self, name: &DeviceName) -> bool {
        let mut state = self.state();
        state.told.len() < TOLD_MAX && state.told.insert(name.clone())
    }

    /// It is a device now: what comes later is told anew.
    pub(super) fn is_well(&self, name: &DeviceName) {
        self.state().told.remove(name);
    }
}

impl NameSeat {
    /// Something was received.
    pub(super) fn heard(&self, now: Instant) {
        *self.occupied.heard_at.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Returns when another client of the name has to take over.
    pub(super) async fn must_leave(&self) {
        self.occupied.leave.cancelled().await;
    }
}

impl Opening {
    /// Returns when a newer connection takes its place.
    pub(super) async fn displaced(&self) {
        self.displaced.cancelled().await;
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        self.clients.state().openings.remove(&self.number);
    }
}

impl Drop for NameSeat {
    fn drop(&mut self) {
        self.clients.state().seats.remove(&self.name);
        self.occupied.ended.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DeviceName {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_second_client_of_a_name_is_refused_while_the_first_is_heard() {
        let (clients, now) = (LegacyClients::default(), Instant::now());
        let first = clients.sit(&name("a"), now).await.unwrap();
        let later = now + UNHEARD_AFTER;
        first.heard(later);
        assert_eq!(clients.sit(&name("a"), later).await.unwrap_err(), NoSeat::Taken);
        let _other = clients.sit(&name("b"), later).await.unwrap();
        drop(first);
        assert!(clients.sit(&name("a"), later).await.is_ok());
    }

    #[tokio::test]
    async fn a_client_that_is_not_heard_makes_room_once_its_session_has_ended() {
        let (clients, now) = (LegacyClients::default(), Instant::now());
        let first = clients.sit(&name("a"), now).await.unwrap();
        let session = async {
            first.must_leave().await;
            assert!(clients.try_sit(&name("a"), now).is_err(), "not before the session has ended");
            drop(first);
        };
        let wanted = name("a");
        let (second, ()) = tokio::join!(clients.sit(&wanted, now + UNHEARD_AFTER), session);
        assert!(second.is_ok());
    }

    fn is_displaced(opening: &Opening) -> bool {
        opening.displaced.is_cancelled()
    }

    #[test]
    fn silent_connections_of_an_address_make_room_for_its_next_one_and_disturb_no_other_address() {
        let clients = LegacyClients::default();
        let one = IpAddr::from([10, 0, 0, 1]);
        let other = clients.open([10, 0, 0, 2].into());
        let silent: Vec<_> = (0..OPENINGS_OF_ONE_MAX).map(|_| clients.open(one)).collect();
        assert!(!silent.iter().any(is_displaced));
        let next = clients.open(one);
        let displaced: Vec<bool> = silent.iter().map(is_displaced).collect();
        assert!(displaced[0] && !displaced[1..].contains(&true), "{displaced:?}");
        assert!(!is_displaced(&next) && !is_displaced(&other));
        drop((silent, next, other));
        assert!(clients.state().openings.is_empty(), "given back");
    }

    #[test]
    fn the_number_of_silent_connections_is_bounded_and_the_newest_is_let_in() {
        let clients = LegacyClients::default();
        let openings: Vec<_> =
            (0..=u8::try_from(OPENINGS_MAX).unwrap()).map(|n| clients.open([10, 0, 0, n].into())).collect();
        assert_eq!(clients.state().openings.len(), OPENINGS_MAX);
        assert!(is_displaced(&openings[0]) && !is_displaced(&openings[OPENINGS_MAX]));
    }

    #[tokio::test]
    async fn the_number_of_old_clients_is_bounded() {
        let clients = LegacyClients::default();
        let mut seats = Vec::new();
        for n in 0..SEATS_MAX {
            seats.push(clients.sit(&name(&format!("dev{n}")), Instant::now()).await.unwrap());
        }
        assert_eq!(clients.sit(&name("more"), Instant::now()).await.unwrap_err(), NoSeat::Full);
    }
}

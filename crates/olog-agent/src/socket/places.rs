//! The places of the socket: how many connections are served at a time, and for whom.
//!
//! | | served at a time | open, those that wait included |
//! |---|---|---|
//! | one user that is not an administrator | 4 | 16 |
//! | all users that are not administrators | 12 | 128 |
//! | administrators, in places of their own | 16 | 64 |
//!
//! A connection beyond the open ones is refused at once with 429. Whoever waits gets a place in the order of arrival, so a user who keeps
//! all own places busy delays only itself.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const SERVED_OF_USER: usize = 4;
const SERVED_OF_USERS: usize = 12;
const SERVED_OF_ADMINS: usize = 16;
const OPEN_OF_USER: usize = 16;
const OPEN_OF_USERS: usize = 128;
const OPEN_OF_ADMINS: usize = 64;

/// Whose places a connection takes. Administrators share theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guest {
    Admin,
    User(u32),
}

/// Counts the open connections.
#[derive(Debug)]
pub(super) struct SocketPlaces {
    of_users: HashMap<u32, (usize, Arc<Semaphore>)>,
    n_users: usize,
    n_admins: usize,
    users: Arc<Semaphore>,
    admins: Arc<Semaphore>,
}

/// What a connection waits for.
#[derive(Debug)]
pub(super) struct Turn {
    own: Option<Arc<Semaphore>>,
    common: Arc<Semaphore>,
}

/// A connection with this is served; dropped, the next one is.
#[derive(Debug)]
pub(super) struct Served {
    #[expect(dead_code, reason = "held until the connection ends")]
    permits: (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit),
}

impl Turn {
    /// Waits for a place. `None`: the socket is closing.
    pub(super) async fn wait(self) -> Option<Served> {
        // The user's own first: whoever waits there takes no place of the others.
        let own = match self.own {
            Some(own) => Some(own.acquire_owned().await.ok()?),
            None => None,
        };
        Some(Served { permits: (own, self.common.acquire_owned().await.ok()?) })
    }
}

impl SocketPlaces {
    pub(super) fn new() -> SocketPlaces {
        SocketPlaces {
            of_users: HashMap::new(),
            n_users: 0,
            n_admins: 0,
            users: Arc::new(Semaphore::new(SERVED_OF_USERS)),
            admins: Arc::new(Semaphore::new(SERVED_OF_ADMINS)),
        }
    }

    /// A connection was accepted; `None`: there are too many.
    pub(super) fn open(&mut self, guest: Guest) -> Option<Turn> {
        match guest {
            Guest::Admin if self.n_admins >= OPEN_OF_ADMINS => None,
            Guest::Admin => {
                self.n_admins += 1;
                Some(Turn { own: None, common: Arc::clone(&self.admins) })
            }
            Guest::User(_) if self.n_users >= OPEN_OF_USERS => None,
            Guest::User(uid) => {
                let (n, own) =
                    self.of_users.entry(uid).or_insert_with(|| (0, Arc::new(Semaphore::new(SERVED_OF_USER))));
                if *n >= OPEN_OF_USER {
                    return None;
                }
                *n += 1;
                self.n_users += 1;
                Some(Turn { own: Some(Arc::clone(own)), common: Arc::clone(&self.users) })
            }
        }
    }

    /// A connection that was opened has ended.
    pub(super) fn closed(&mut self, guest: Guest) {
        match guest {
            Guest::Admin => self.n_admins = self.n_admins.saturating_sub(1),
            Guest::User(uid) => {
                self.n_users = self.n_users.saturating_sub(1);
                if let Some((n, _)) = self.of_users.get_mut(&uid) {
                    *n = n.saturating_sub(1);
                    if *n == 0 {
                        self.of_users.remove(&uid);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn one_user_has_four_places_and_administrators_keep_theirs() {
        let mut places = SocketPlaces::new();
        let mut served = Vec::new();
        for uid in 1..=3 {
            let turns: Vec<_> = (0..20).filter_map(|_| places.open(Guest::User(uid))).collect();
            assert_eq!(turns.len(), 16, "the others are refused");
            served.extend(turns.into_iter().filter_map(|turn| turn.wait().now_or_never().flatten()));
            assert_eq!(served.len(), 4 * uid as usize);
        }
        let fourth = places.open(Guest::User(4)).unwrap();
        assert!(fourth.wait().now_or_never().is_none(), "all places of users are taken");
        let root = places.open(Guest::Admin).unwrap();
        assert!(root.wait().now_or_never().is_some(), "root is served all the same");
    }

    #[test]
    fn a_place_that_is_given_back_goes_to_whoever_waits() {
        let mut places = SocketPlaces::new();
        let mut served: Vec<_> =
            (0..4).map(|_| places.open(Guest::User(1)).unwrap().wait().now_or_never().unwrap()).collect();
        let mut fifth = Box::pin(places.open(Guest::User(1)).unwrap().wait());
        assert!((&mut fifth).now_or_never().is_none());
        served.pop();
        assert!(fifth.now_or_never().is_some());
        (0..5).for_each(|_| places.closed(Guest::User(1)));
        assert!(places.of_users.is_empty() && places.n_users == 0, "nothing is kept of who is gone");
    }
}

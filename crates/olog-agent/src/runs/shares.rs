//! How much of the spool, and how many requests, each user of this device may use.
//!
//! Everybody may report a run, so one user must not fill the spool for the others: at `spool_max` the agent stops reading log files. Root, the
//! daemon's own user and administrators are trusted, and have no share but the whole.
//!
//! | bound | of one user | of all users that are not trusted |
//! |---|---|---|
//! | bytes of runs that wait for the hub | an eighth of `spool_max` | half of it |
//! | runs over the socket | a burst of 60, then one a second | – |
//!
//! Counts are in memory: a restart of the agent begins anew, which only an administrator can cause. They are bounded: at most 1,024
//! users are told apart; the others share one entry. Reads no clock: `now` is a parameter.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// One user's part of `spool_max`.
const OF_ONE: u64 = 8;
/// The part of `spool_max` of all users that are not trusted.
const OF_ALL: u64 = 2;
/// Parts of a share that are released one after the other, as the hub acknowledges.
const PARTS: u64 = 16;
/// Runs at once …
const BURST: u32 = 60;
/// … and then one in this time.
const ONE_IN: Duration = Duration::from_secs(1);
/// Users that are told apart.
const USERS_MAX: usize = 1024;
/// Stands for all users beyond [`USERS_MAX`]; no user has this number.
const OTHERS: u32 = u32::MAX;

/// Why a run is not taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoShare {
    /// This user's bytes wait for the hub.
    #[error("this user's share of the spool is full (an eighth of spool_max): the hub must take events first")]
    Own,
    /// All users' bytes wait for the hub.
    #[error("the users' share of the spool is full (half of spool_max): the hub must take events first")]
    All,
    /// Too many in a short time.
    #[error("too many runs of this user in a short time: one a second is taken")]
    Rate,
}

/// Counts what each user uses. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Shares(Arc<Mutex<HashMap<u32, Used>>>);

#[derive(Debug, Default)]
struct Used {
    /// Bytes that wait for the hub, each with the number that releases them.
    parts: VecDeque<(u64, u64)>,
    /// When the tokens that were used are all back.
    full_at: Option<Instant>,
}

impl Used {
    fn bytes(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }
}

impl Shares {
    /// Is there room for one more of this user? `acked`: through which number the hub has taken events.
    pub fn room(&self, uid: u32, acked: u64, spool_max: u64) -> Result<(), NoShare> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for used in users.values_mut() {
            while used.parts.front().is_some_and(|(through, _)| *through <= acked) {
                used.parts.pop_front();
            }
        }
        let own = users.get(&key(&users, uid)).map_or(0, Used::bytes);
        if own >= spool_max / OF_ONE {
            return Err(NoShare::Own);
        }
        let all = users.values().map(Used::bytes).sum::<u64>();
        if all >= spool_max / OF_ALL { Err(NoShare::All) } else { Ok(()) }
    }

    /// An event of this user is in the spool under this number.
    pub fn put(&self, uid: u32, n: u64, bytes: u64, spool_max: u64) {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = key(&users, uid);
        let used = users.entry(key).or_default();
        match used.parts.back_mut().filter(|(_, held)| *held < spool_max / OF_ONE / PARTS) {
            Some(part) => *part = (n, part.1 + bytes),
            None => used.parts.push_back((n, bytes)),
        }
    }

    /// Takes one of this user's requests from its rate.
    pub fn take_request(&self, uid: u32, now: Instant) -> Result<(), NoShare> {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        users.retain(|_, used| !used.parts.is_empty() || used.full_at.is_some_and(|full_at| full_at > now));
        let key = key(&users, uid);
        let used = users.entry(key).or_default();
        let full_at = used.full_at.map_or(now, |full_at| full_at.max(now)) + ONE_IN;
        if full_at.saturating_duration_since(now) > ONE_IN * BURST {
            return Err(NoShare::Rate);
        }
        used.full_at = Some(full_at);
        Ok(())
    }
}

fn key(users: &HashMap<u32, Used>, uid: u32) -> u32 {
    if users.len() < USERS_MAX || users.contains_key(&uid) { uid } else { OTHERS }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 1 << 20;

    #[test]
    fn one_user_fills_an_eighth_of_the_spool_and_all_users_half() {
        let shares = Shares::default();
        let mut n = 0;
        let mut fill = |uid: u32| {
            let mut bytes = 0;
            while shares.room(uid, 0, MAX).is_ok() {
                n += 1;
                bytes += 1024;
                shares.put(uid, n, 1024, MAX);
            }
            bytes
        };
        let filled: Vec<u64> = (1..=6).map(&mut fill).collect();
        assert_eq!(filled, [MAX / 8, MAX / 8, MAX / 8, MAX / 8, 0, 0]);
        assert_eq!((shares.room(1, 0, MAX), shares.room(5, 0, MAX)), (Err(NoShare::Own), Err(NoShare::All)));
        assert_eq!(shares.room(1, n, MAX), Ok(()), "the hub has taken them");
    }

    #[test]
    fn a_share_is_released_in_parts_as_the_hub_takes_events() {
        let shares = Shares::default();
        (1..=128).for_each(|n| shares.put(1, n, 1024, MAX));
        assert_eq!(shares.room(1, 0, MAX), Err(NoShare::Own));
        assert_eq!(shares.room(1, 64, MAX), Ok(()));
        assert!(shares.0.lock().unwrap()[&1].parts.len() <= 17, "the parts are bounded");
    }

    #[test]
    fn a_user_reports_a_burst_and_then_one_a_second() {
        let (shares, now) = (Shares::default(), Instant::now());
        let taken = (0..100).filter(|_| shares.take_request(1, now).is_ok()).count();
        assert_eq!(taken, 60);
        assert_eq!(shares.take_request(2, now), Ok(()), "another user has a rate of its own");
        assert_eq!(shares.take_request(1, now + Duration::from_millis(900)), Err(NoShare::Rate));
        assert_eq!(shares.take_request(1, now + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn users_without_end_are_counted_in_bounded_memory() {
        let (shares, now) = (Shares::default(), Instant::now());
        let taken = (0..100_000).filter(|&uid| shares.take_request(uid, now).is_ok()).count();
        assert_eq!(taken, USERS_MAX + 60);
        assert_eq!(shares.0.lock().unwrap().len(), USERS_MAX + 1);
    }
}

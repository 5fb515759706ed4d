//! The keys of the hub: by which its agents know it, and how that key is replaced without joining again.
//!
//! `identity next` makes the next key. From the next start on the hub announces it in `welcome`, signed by the present key, over a connection
//! in which the present key was proved; agents store it and take either for the hub. `identity rotate` makes it the present one, at the
//! earliest [`ANNOUNCED_FOR`] later. Both only write to the store; a running hub keeps the keys with which it has started.

use olog_proto::{Nonce, PublicKey, SecretKey, Timestamp};

use super::enrol::{EnrolError, random};
use crate::store::{Store, StoreError, Tx, settings};

/// Where the store keeps the seed of the present key, of the next one, and of the first one after a rotation.
const PRESENT: &str = "identity";
const NEXT: &str = "identity_next";
const FIRST: &str = "identity_first";
/// When the next key was made.
const NEXT_AT: &str = "identity_next_at";
/// How long (ms) a next key is announced before it may become the present one: agents that do not connect meanwhile have to join again.
pub const ANNOUNCED_FOR: i64 = 7 * 86_400_000;

/// The keys of the hub.
#[derive(Debug)]
pub struct Identities {
    /// By which it is known.
    pub present: SecretKey,
    /// By which it will be known.
    pub next: Option<SecretKey>,
    /// What the keys of old clients (olog.py) are made of. A rotation does not change it.
    pub legacy: SecretKey,
}

/// What came of `identity rotate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// The next key is the present one from the next start of the hub on.
    Done(PublicKey),
    /// No next key was made.
    NoNext,
    /// It was not announced for long enough.
    TooEarly {
        /// It may be the present one from then on.
        from: Timestamp,
    },
}

/// The hub's keys: made with the store, and kept in it, so that every hub of that store is the same one.
pub async fn identities(store: &Store) -> Result<Identities, EnrolError> {
    // A seed has the form of a nonce: 32 bytes as base64url.
    let fresh = Nonce(random()?).to_string();
    let read = move |tx: &mut Tx<'_>| {
        let present = settings::get_or_set(tx, PRESENT, &fresh)?;
        let (next, first) = (settings::get(tx, NEXT)?, settings::get(tx, FIRST)?);
        let legacy = secret_of(first.as_ref().unwrap_or(&present))?;
        Ok(Identities { present: secret_of(&present)?, next: next.as_deref().map(secret_of).transpose()?, legacy })
    };
    Ok(store.write(read).await?)
}

fn secret_of(seed: &str) -> Result<SecretKey, StoreError> {
    let seed: Nonce = seed.parse().map_err(|_| StoreError::Row("settings.identity is not a key".to_owned()))?;
    Ok(SecretKey::from_seed(seed.0))
}

/// Makes the hub's next key, or gives the one that was made already; and from when on it may be the present one.
pub async fn make_next(store: &Store, now: Timestamp) -> Result<(PublicKey, Timestamp), EnrolError> {
    let fresh = Nonce(random()?).to_string();
    let made = move |tx: &mut Tx<'_>| {
        let at = settings::get_or_set(tx, NEXT_AT, &now.0.to_string())?;
        let seed = settings::get_or_set(tx, NEXT, &fresh)?;
        let from = at.parse().map_or(now, Timestamp).plus(ANNOUNCED_FOR);
        Ok((secret_of(&seed)?.public(), from))
    };
    Ok(store.write(made).await?)
}

/// Makes the next key the present one. `is_forced`: however short it was announced.
pub async fn rotate(store: &Store, is_forced: bool, now: Timestamp) -> Result<Rotation, EnrolError> {
    let rotated = move |tx: &mut Tx<'_>| {
        let (Some(present), Some(next)) = (settings::get(tx, PRESENT)?, settings::get(tx, NEXT)?) else {
            return Ok(Rotation::NoNext);
        };
        let made_at = settings::get(tx, NEXT_AT)?.and_then(|at| at.parse().ok()).map_or(now, Timestamp);
        let from = made_at.plus(ANNOUNCED_FOR);
        if from > now && !is_forced {
            return Ok(Rotation::TooEarly { from });
        }
        settings::get_or_set(tx, FIRST, &present)?;
        settings::set(tx, PRESENT, &next)?;
        settings::remove(tx, NEXT)?;
        settings::remove(tx, NEXT_AT)?;
        Ok(Rotation::Done(secret_of(&next)?.public()))
    };
    Ok(store.write(rotated).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::stores;

    const NOW: Timestamp = Timestamp(1_780_000_000_000);

    #[tokio::test]
    async fn a_next_key_is_announced_for_a_week_before_it_is_the_hubs_and_old_clients_keep_their_keys() {
        for bench in stores().await {
            let store = &bench.store;
            let first = identities(store).await.unwrap().present.public();
            assert_eq!(rotate(store, false, NOW).await.unwrap(), Rotation::NoNext);
            let (next, from) = make_next(store, NOW).await.unwrap();
            assert_eq!(make_next(store, NOW.plus(5)).await.unwrap(), (next, from), "there is one next key");
            let keys = identities(store).await.unwrap();
            assert_eq!((keys.present.public(), keys.next.unwrap().public()), (first, next));
            assert_eq!(rotate(store, false, from.plus(-1)).await.unwrap(), Rotation::TooEarly { from });
            assert_eq!(rotate(store, false, from).await.unwrap(), Rotation::Done(next));
            let keys = identities(store).await.unwrap();
            assert_eq!((keys.present.public(), keys.next.is_none(), keys.legacy.public()), (next, true, first));
            let (another, _) = make_next(store, NOW).await.unwrap();
            assert_eq!(rotate(store, true, NOW).await.unwrap(), Rotation::Done(another));
            assert_eq!(identities(store).await.unwrap().legacy.public(), first);
        }
    }
}

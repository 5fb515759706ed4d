//! argon2id, as OWASP's password storage cheat sheet has it now: 19 MiB, 2 passes, 1 lane. On blocking threads, at most two at once, so
//! that guessing cannot eat memory; strangers have one of the two places, and a bounded queue for it.

use std::sync::Arc;
use std::time::Duration;

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::AccessError;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes at one time.
const AT_ONCE: usize = 2;
/// Strangers that hash or wait for it.
const STRANGERS: usize = 16;
/// For a place.
const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Hashing {
    places: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    queue: Arc<Semaphore>,
}

impl Default for Hashing {
    fn default() -> Hashing {
        let semaphore = |n| Arc::new(Semaphore::new(n));
        Hashing { places: semaphore(AT_ONCE), strangers: semaphore(AT_ONCE - 1), queue: semaphore(STRANGERS) }
    }
}

/// Who hashes: a stranger shares one place with all strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hasher {
    Known,
    Stranger,
}

fn argon2() -> Result<Argon2<'static>, AccessError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| AccessError::Hash(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

impl Hashing {
    /// The hash of a new password.
    pub(super) async fn hash(&self, password: String, who: Hasher) -> Result<String, AccessError> {
        self.run(who, move || {
            let hash = argon2()?.hash_password(password.as_bytes());
            hash.map(|hash| hash.to_string()).map_err(|error| AccessError::Hash(error.to_string()))
        })
        .await
    }

    /// Is this the password of that hash? Without a hash: no, after the same work.
    pub(super) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
        who: Hasher,
    ) -> Result<bool, AccessError> {
        self.run(who, move || {
            let argon2 = argon2()?;
            let Some(hash) = hash else {
                // Whether the name exists cannot be told from the time.
                return argon2
                    .hash_password(password.as_bytes())
                    .map(|_| false)
                    .map_err(|e| AccessError::Hash(e.to_string()));
            };
            let hash = PasswordHash::new(&hash).map_err(|error| AccessError::Hash(error.to_string()))?;
            Ok(argon2.verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        who: Hasher,
        work: impl FnOnce() -> Result<T, AccessError> + Send + 'static,
    ) -> Result<T, AccessError> {
        let places = self.places_for(who).await?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(places);
            done
        });
        done.await.map_err(|error| AccessError::Hash(error.to_string()))?
    }

    async fn places_for(&self, who: Hasher) -> Result<Vec<OwnedSemaphorePermit>, AccessError> {
        let mut held = Vec::new();
        let mut semaphores = vec![&self.places];
        if who == Hasher::Stranger {
            let queued = self.queue.clone().try_acquire_owned();
            held.push(queued.map_err(|_| AccessError::Busy)?);
            semaphores.insert(0, &self.strangers);
        }
        for semaphore in semaphores {
            let place = tokio::time::timeout(WAIT, semaphore.clone().acquire_owned()).await;
            held.push(place.map_err(|_| AccessError::Busy)?.map_err(|_| AccessError::Busy)?);
        }
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_stored_as_argon2id_with_the_parameters_of_owasp() {
        let hashing = Hashing::default();
        let hash = hashing.hash("correct horse battery".to_owned(), Hasher::Known).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let verify = async |password: &str, hash: Option<&String>| {
            hashing.verify(password.to_owned(), hash.cloned(), Hasher::Known).await.unwrap()
        };
        assert!(verify("correct horse battery", Some(&hash)).await);
        assert!(!verify("correct horse batterz", Some(&hash)).await);
        assert!(!verify("correct horse battery", None).await);
        let again = hashing.hash("correct horse battery".to_owned(), Hasher::Known).await.unwrap();
        assert_ne!(hash, again, "each hash has its own salt");
    }

    #[tokio::test]
    async fn strangers_fill_one_place_and_their_queue_and_leave_one_to_who_is_known() {
        let hashing = Hashing::default();
        let first = hashing.places_for(Hasher::Stranger).await.unwrap();
        let mut waiting = tokio::task::JoinSet::new();
        let hashing = Arc::new(hashing);
        for _ in 1..STRANGERS {
            let hashing = hashing.clone();
            waiting.spawn(async move { hashing.places_for(Hasher::Stranger).await.map(drop) });
        }
        while hashing.queue.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(hashing.places_for(Hasher::Stranger).await, Err(AccessError::Busy)), "the queue is bounded");
        let known = hashing.places_for(Hasher::Known).await.unwrap();
        assert_eq!(hashing.places.available_permits(), 0, "two at once, no third");
        drop((first, known));
        while let Some(done) = waiting.join_next().await {
            done.unwrap().unwrap();
        }
    }
}

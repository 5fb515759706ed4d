//! Who comes in over HTTP: passwords, second factors, sessions, API tokens, keys of pings, the link by which the first user is made.
//!
//! `rules::access` decides, `store::access` remembers; this room hashes, draws random secrets and counts wrong attempts. A secret leaves it once,
//! for whoever it belongs to; the store has only its hash. Every change is in the audit log, in the same transaction. Guessing costs the guesser
//! time, and the owner nothing: a browser by which the owner has signed in before has its own count and its own place at the hash, and the verbs on
//! the Unix socket need no password at all. Must not: know HTTP.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use olog_daemon::clock::Clock;
use olog_proto::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::rules::access::{AccessScope, Attempts};
use crate::rules::address_limit::AddressLimit;
use crate::rules::incident_link::LinkKey;
use crate::store::{Store, StoreError, access::audit::Entry, settings};

mod accounts;
mod password;
mod picture;
mod pings;
mod second_factor;
mod secret;
mod sign_in;
mod tokens;

pub use accounts::AddUser;
pub use picture::qr;
pub use pings::{PingAdmission, PingKeyMade, PingKeyOf};
#[cfg(test)]
pub(crate) use second_factor::code_at as totp_code_at;
pub use second_factor::{CodeChange, Proposed};
pub use secret::Secret;
pub use sign_in::{Browser, SignedIn};
pub use tokens::CreateToken;

use password::Hashing;

/// Wrong passwords of one address within a minute, from browsers that are not known.
const WRONG_OF_ONE: u32 = 10;
/// Wrong tokens of one address within a minute.
const WRONG_TOKENS_OF_ONE: u32 = 30;
const MINUTE_MS: i64 = 60_000;
/// Good tokens that are remembered, so that wrong ones from the same address do not keep them out.
const GOOD_TOKENS: usize = 1_000;

/// Why it is not done. Its text is for logs and verbs; pages say it in the reader's language by [`AccessError::key`].
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The name or password is wrong.
    #[error("wrong name or password")]
    Wrong,
    /// The code is wrong, or was used.
    #[error("wrong code, or one that was used already")]
    WrongCode,
    /// Too many wrong attempts.
    #[error("too many wrong attempts: wait until the time is over, or use the Unix socket (olog-hub user …)")]
    Wait {
        /// Until then.
        until: Timestamp,
    },
    /// Too many sign-ins at the same time.
    #[error("too many sign-ins at the same time: try again in a moment")]
    Busy,
    /// There is no such session, or it is over.
    #[error("there is no such session: sign in")]
    NoSession,
    /// The token is unknown, revoked or expired.
    #[error("this token is unknown, revoked or expired: create one with `olog-hub token create`")]
    BadToken,
    /// The set-up link was used or has expired.
    #[error("this link was used or has expired: restart olog-hub for a new one, or use `olog-hub user add`")]
    BadLink,
    /// A password that is not taken: a key of the catalogue.
    #[error("{}", password_words(.0))]
    Password(&'static str),
    /// A name that is not one.
    #[error("a name has 1 to 64 characters and no control characters")]
    Name,
    /// Somebody has the name.
    #[error("the name {0:?} is taken")]
    NameTaken(String),
    /// There is no such user or token.
    #[error("there is no {0:?}: see `olog-hub user list` and `olog-hub token list`")]
    Unknown(String),
    /// So many tokens there may not be.
    #[error("there are too many tokens: revoke some")]
    TooMany,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// A password could not be hashed.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
    /// The store.
    #[error("the hub's store failed")]
    Store(#[from] StoreError),
}

fn password_words(key: &str) -> &'static str {
    match key {
        "web-password-short" => "a password has at least 10 characters",
        "web-password-long" => "a password has at most 256 bytes",
        "web-password-differs" => "the two passwords differ",
        _ => "this password is among the first that are guessed: choose another one",
    }
}

impl AccessError {
    /// The key of the catalogue that says it on a page.
    pub fn key(&self) -> &'static str {
        match self {
            AccessError::Wrong => "web-wrong",
            AccessError::WrongCode => "web-wrong-code",
            AccessError::Wait { .. } => "web-wait",
            AccessError::Busy => "web-busy",
            AccessError::NoSession => "web-no-session",
            AccessError::BadLink => "web-bad-link",
            AccessError::Password(key) => key,
            AccessError::Name => "web-bad-name",
            AccessError::NameTaken(_) => "web-name-taken",
            AccessError::TooMany => "web-too-many-tokens",
            AccessError::BadToken
            | AccessError::Unknown(_)
            | AccessError::Random
            | AccessError::Hash(_)
            | AccessError::Store(_) => "web-failed",
        }
    }
}

/// Where the store keeps what the key of the links is made from.
const LINK_KEY: &str = "incident_link_key";

/// The key of the links in notifications. All hubs of a store have the same.
pub async fn link_key(store: &Store) -> Result<LinkKey, AccessError> {
    let new = Secret::random()?;
    let secret = store.write(move |tx| settings::get_or_set(tx, LINK_KEY, new.text())).await?;
    Ok(LinkKey(Sha256::digest(secret).into()))
}

/// Who asks, and what that may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The user's or token's name.
    pub name: String,
    /// What it may do.
    pub scope: AccessScope,
    /// By what.
    pub by: By,
    /// From where.
    pub address: IpAddr,
}

/// By what somebody came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// A session.
    Session {
        /// The user's row.
        user: i64,
        /// Of the cookie.
        hash: String,
        /// What a form must repeat.
        form: String,
    },
    /// A token.
    Token,
    /// The link of a notification.
    Link,
}

impl Principal {
    /// An entry of the audit log about this one.
    pub fn entry(&self, action: &'static str, subject: impl Into<String>) -> Entry {
        let actor = match self.by {
            By::Session { .. } => self.name.clone(),
            By::Token => format!("token {}", self.name),
            By::Link => "the link of a notification".to_owned(),
        };
        Entry {
            actor,
            action: action.into(),
            subject: subject.into(),
            detail: String::new(),
            origin: self.address.to_string(),
        }
    }
}

/// Whose wrong attempts are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Guessed {
    /// A user, by all browsers that are not known.
    User(i64),
    /// A known browser.
    Browser(String),
}

#[derive(Debug)]
struct AttemptLimits {
    passwords: AddressLimit,
    attempts: Attempts<Guessed>,
    tokens: AddressLimit,
    good_tokens: HashSet<String>,
    pings: pings::PingLimits,
}

/// Access.
#[derive(Debug)]
pub struct Access {
    store: Store,
    clock: Clock,
    hashing: Hashing,
    limits: Mutex<AttemptLimits>,
}

impl Access {
    /// Of one hub.
    pub fn new(store: Store, clock: Clock) -> Access {
        let limits = AttemptLimits {
            // No bound for all together: it would lock everybody out when one botnet guesses.
            passwords: AddressLimit::new(WRONG_OF_ONE, u32::MAX, MINUTE_MS),
            attempts: Attempts::default(),
            tokens: AddressLimit::new(WRONG_TOKENS_OF_ONE, u32::MAX, MINUTE_MS),
            good_tokens: HashSet::new(),
            pings: pings::PingLimits::default(),
        };
        Access { store, clock, hashing: Hashing::default(), limits: Mutex::new(limits) }
    }

    fn limits(&self) -> MutexGuard<'_, AttemptLimits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

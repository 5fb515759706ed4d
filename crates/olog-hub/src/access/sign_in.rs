//! Sign-in and sign-out: password, then the second factor if there is one, then a session with a new secret.
//!
//! A cookie that the browser already had is never adopted: each step ends the session before it and draws a new secret.

use std::net::IpAddr;

use olog_proto::Timestamp;

use super::{
    Access, AccessError, By, Guessed, Principal, Secret,
    password::Hasher,
    second_factor::{recovery_hash, step_of},
};
use crate::rules::access::{CODES_MAX, PASSWORD_MAX, is_session_over};
use crate::rules::address_limit::network_of;
use crate::store::{
    StoreError, Tx,
    access::{
        audit::{self, Entry, Outcome},
        sessions::{self, NewSession, Session},
        users::{self, Credentials},
    },
};

/// A session's last use is written down this often.
const SEEN_EVERY_MS: i64 = 60_000;
/// Bytes of a browser's own name that are kept.
const AGENT_MAX: usize = 200;

/// Who signs in: what its browser says of itself.
#[derive(Debug, Clone)]
pub struct Browser {
    /// The client's address.
    pub address: IpAddr,
    /// The browser's own name.
    pub agent: String,
    /// The cookie of a session, whatever it is worth.
    pub session: Option<Secret>,
    /// The cookie by which a browser is known.
    pub known: Option<Secret>,
}

/// A step of the sign-in was taken.
#[derive(Debug)]
pub struct SignedIn {
    /// The session's cookie.
    pub session: Secret,
    /// The second factor is missing.
    pub needs_code: bool,
    /// The cookie by which this browser is known from now on.
    pub browser: Option<Secret>,
}

fn agent(text: &str) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    text.get(..text.floor_char_boundary(AGENT_MAX)).unwrap_or_default().to_owned()
}

impl Access {
    /// The first step: name and password.
    pub async fn sign_in(&self, name: &str, password: &str, browser: &Browser) -> Result<SignedIn, AccessError> {
        let now = self.clock.now();
        let (asked, known) = (name.to_owned(), browser.known.as_ref().map(Secret::hash));
        let known_hash = known.clone();
        let find = move |tx: &mut Tx<'_>| {
            let Some(user) = users::by_name(tx, &asked)? else { return Ok(None) };
            let is_known = match &known_hash {
                Some(hash) => sessions::is_known_browser(tx, hash, user.id, now)?,
                None => false,
            };
            Ok(Some((user, is_known)))
        };
        let found = self.store.read(find).await?;
        let is_known = found.as_ref().is_some_and(|(_, is_known)| *is_known);
        let guessed = match (&found, known) {
            (Some((_, true)), Some(hash)) => Some(Guessed::Browser(hash)),
            (Some((user, _)), _) => Some(Guessed::User(user.id)),
            (None, _) => None,
        };
        self.may_guess(guessed.as_ref(), is_known, browser.address, now)?;
        let who = if is_known { Hasher::Known } else { Hasher::Stranger };
        let hash = found.as_ref().map(|(user, _)| user.password.clone());
        let is_right = password.len() <= PASSWORD_MAX && self.hashing.verify(password.to_owned(), hash, who).await?;
        let Some((user, _)) = found.filter(|_| is_right) else {
            self.count_wrong(guessed, is_known, browser.address, now);
            self.note_refused(name, "password", browser.address, now).await?;
            return Err(AccessError::Wrong);
        };
        let is_full = user.totp.is_none();
        if is_full {
            guessed.inspect(|guessed| self.limits().attempts.forget(guessed));
        }
        self.begin(user, is_full, browser, now).await
    }

    /// Refuses who has to wait, unread. A known browser does not pay for its address.
    fn may_guess(
        &self,
        guessed: Option<&Guessed>,
        is_known: bool,
        from: IpAddr,
        now: Timestamp,
    ) -> Result<(), AccessError> {
        let limits = self.limits();
        if !is_known && limits.passwords.is_reached(from, now) {
            return Err(AccessError::Wait { until: now.plus(super::MINUTE_MS) });
        }
        match guessed.and_then(|guessed| limits.attempts.wait_until(guessed, now)) {
            Some(until) => Err(AccessError::Wait { until }),
            None => Ok(()),
        }
    }

    fn count_wrong(&self, guessed: Option<Guessed>, is_known: bool, from: IpAddr, now: Timestamp) {
        let mut limits = self.limits();
        if !is_known {
            limits.passwords.count(from, now);
        }
        if let Some(guessed) = guessed {
            limits.attempts.count(guessed, now);
        }
    }

    async fn note_refused(&self, name: &str, what: &str, from: IpAddr, now: Timestamp) -> Result<(), AccessError> {
        let name: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        tracing::warn!(%from, what, "a sign-in failed");
        let entry = Entry {
            actor: "?".to_owned(),
            action: "sign-in".into(),
            detail: format!("{name}: wrong {what}"),
            subject: String::new(),
            origin: network_of(from).to_string(),
        };
        // What strangers cause need not wait for the disk.
        Ok(self.store.write_relaxed(move |tx| audit::put_refused(tx, &entry, now)).await?)
    }

    /// Begins a session with a new secret and ends the one that the browser had.
    async fn begin(
        &self,
        user: Credentials,
        is_full: bool,
        browser: &Browser,
        now: Timestamp,
    ) -> Result<SignedIn, AccessError> {
        let (session, fresh) = (Secret::random()?, Secret::random()?);
        let new = NewSession {
            hash: session.hash(),
            user: user.id,
            is_full,
            address: browser.address.to_string(),
            agent: agent(&browser.agent),
        };
        let had = browser.session.as_ref().map(Secret::hash);
        let (known, entry) = (fresh.hash(), entry_of(&user, browser.address));
        self.store
            .write(move |tx| {
                if let Some(had) = &had {
                    sessions::end(tx, had)?;
                }
                sessions::begin(tx, &new, now)?;
                if is_full {
                    users::signed_in(tx, new.user, now)?;
                    sessions::know_browser(tx, &known, new.user, now)?;
                    audit::put(tx, &entry, Outcome::Done, now)?;
                }
                Ok(())
            })
            .await?;
        Ok(SignedIn { session, needs_code: !is_full, browser: is_full.then_some(fresh) })
    }

    /// The second step: a code of the second factor, or a recovery code.
    pub async fn second_factor(&self, code: &str, browser: &Browser) -> Result<SignedIn, AccessError> {
        let now = self.clock.now();
        let session = browser.session.as_ref().ok_or(AccessError::NoSession)?.hash();
        let session = self.live_session(session, now).await?.filter(|session| !session.is_full);
        let session = session.ok_or(AccessError::NoSession)?;
        let id = session.user;
        let known = browser.known.as_ref().map(Secret::hash);
        let asked = known.clone();
        let find = move |tx: &mut Tx<'_>| {
            let is_known = match &asked {
                Some(hash) => sessions::is_known_browser(tx, hash, id, now)?,
                None => false,
            };
            Ok((users::by_id(tx, id)?, is_known))
        };
        let (user, is_known) = self.store.read(find).await?;
        let user = user.ok_or(AccessError::NoSession)?;
        let guessed = known.filter(|_| is_known).map_or(Guessed::User(id), Guessed::Browser);
        self.may_guess(Some(&guessed), is_known, browser.address, now)?;
        let step = step_of(user.totp.as_deref().ok_or(AccessError::NoSession)?, code, now)?;
        let recovery = recovery_hash(id, code);
        let use_up = move |tx: &mut Tx<'_>| match step {
            Some(step) => users::use_step(tx, id, step),
            None => users::use_recovery_code(tx, id, &recovery),
        };
        if !self.store.write(use_up).await? {
            self.count_wrong(Some(guessed), is_known, browser.address, now);
            self.note_refused(&user.name, "code", browser.address, now).await?;
            let hash = session.hash;
            let ended = move |tx: &mut Tx<'_>| {
                let is_enough = sessions::count_wrong_code(tx, &hash)? >= CODES_MAX;
                if is_enough { sessions::end(tx, &hash) } else { Ok(false) }
            };
            return Err(if self.store.write(ended).await? { AccessError::NoSession } else { AccessError::WrongCode });
        }
        self.limits().attempts.forget(&guessed);
        self.begin(user, true, browser, now).await
    }

    async fn live_session(&self, hash: String, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let session = self.store.read(move |tx| sessions::get(tx, &hash)).await?;
        Ok(session.filter(|session| !is_session_over(session.is_full, session.made_at, session.seen_at, now)))
    }

    /// Whose session this is. One that waits for its second factor is nobody's.
    pub async fn session(&self, secret: &Secret, from: IpAddr) -> Result<Option<Principal>, AccessError> {
        let (hash, now) = (secret.hash(), self.clock.now());
        let Some(session) = self.live_session(hash.clone(), now).await?.filter(|session| session.is_full) else {
            return Ok(None);
        };
        if now.since(session.seen_at) >= SEEN_EVERY_MS {
            let (hash, address) = (hash.clone(), from.to_string());
            self.store.write_relaxed(move |tx| sessions::seen(tx, &hash, &address, now)).await?;
        }
        let by = By::Session { user: session.user, hash, form: secret.form() };
        Ok(Some(Principal { name: session.name, scope: session.scope, by, address: from }))
    }

    /// Ends this session.
    pub async fn sign_out(&self, who: &Principal) -> Result<(), AccessError> {
        let By::Session { hash, .. } = &who.by else { return Ok(()) };
        let (hash, entry, now) = (hash.clone(), who.entry("sign-out", who.name.clone()), self.clock.now());
        let end = move |tx: &mut Tx<'_>| {
            if sessions::end(tx, &hash)? {
                audit::put(tx, &entry, Outcome::Done, now)?;
            }
            Ok(())
        };
        Ok(self.store.write(end).await?)
    }

    /// Ends all sessions of this user, this one too, and forgets the browsers.
    pub async fn sign_out_everywhere(&self, who: &Principal) -> Result<(), AccessError> {
        let By::Session { user, .. } = who.by else { return Ok(()) };
        let (entry, now) = (who.entry("sign-out.everywhere", who.name.clone()), self.clock.now());
        let end = move |tx: &mut Tx<'_>| {
            sessions::end_all(tx, user, "")?;
            sessions::forget_browsers(tx, user)?;
            audit::put(tx, &entry, Outcome::Done, now)
        };
        self.store.write(end).await?;
        Ok(())
    }

    /// The sessions of this user, the last used first.
    pub async fn sessions_of(&self, who: &Principal) -> Result<Vec<Session>, AccessError> {
        let By::Session { user, .. } = who.by else { return Ok(Vec::new()) };
        Ok(self.store.read(move |tx| sessions::of_user(tx, user)).await?)
    }
}

fn entry_of(user: &Credentials, from: IpAddr) -> Entry {
    Entry {
        actor: user.name.clone(),
        action: "sign-in".into(),
        subject: user.name.clone(),
        detail: if user.totp.is_some() { "password and code".to_owned() } else { "password".to_owned() },
        origin: from.to_string(),
    }
}

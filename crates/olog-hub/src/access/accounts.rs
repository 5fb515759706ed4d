//! Users: the first one by the set-up link, the others by an administrator; passwords.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Access, AccessError, By, Guessed, Principal, Secret, password::Hasher, tokens::note};
use crate::rules::access::{AccessScope, SETUP_LINK_MS, is_name, password_problem};
use crate::store::{
    Tx,
    access::{
        audit::{self, AuditRow, Entry, Outcome},
        sessions, users,
        users::{Credentials, User},
    },
};

/// The request of `user add`.
#[derive(Clone, Serialize, Deserialize)]
pub struct AddUser {
    /// The name.
    pub name: String,
    /// What the user may do.
    pub scope: AccessScope,
    /// The password.
    pub password: String,
}

impl std::fmt::Debug for AddUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddUser").field("name", &self.name).field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl Access {
    /// The secret of a set-up link, while there is no user. An earlier link is worth nothing from now on.
    pub async fn setup_link(&self) -> Result<Option<Secret>, AccessError> {
        let (secret, now) = (Secret::random()?, self.clock.now());
        let hash = secret.hash();
        let write = move |tx: &mut Tx<'_>| users::set_setup_link(tx, &hash, now.plus(SETUP_LINK_MS), now);
        Ok(self.store.write(write).await?.then_some(secret))
    }

    /// Is this the secret of the set-up link, and is it still good?
    pub async fn is_setup_link(&self, secret: &Secret) -> Result<bool, AccessError> {
        let (hash, now) = (secret.hash(), self.clock.now());
        Ok(self.store.read(move |tx| users::is_setup_link(tx, &hash, now)).await?)
    }

    /// The first user, an administrator; the link is used up.
    pub async fn first_user(&self, link: &Secret, name: &str, password: &str, from: IpAddr) -> Result<(), AccessError> {
        if !self.is_setup_link(link).await? {
            return Err(AccessError::BadLink);
        }
        let hash = self.checked_hash(name, password).await?;
        let (link, name, now) = (link.hash(), name.to_owned(), self.clock.now());
        let entry = Entry {
            actor: name.clone(),
            action: "user.add".into(),
            subject: name.clone(),
            detail: "scope admin, by the set-up link".to_owned(),
            origin: from.to_string(),
        };
        let write = move |tx: &mut Tx<'_>| {
            if !users::is_setup_link(tx, &link, now)?
                || !users::drop_setup_link(tx)?
                || users::add(tx, &name, AccessScope::Admin, &hash, now)?.is_none()
            {
                return Ok(false);
            }
            audit::put(tx, &entry, Outcome::Done, now)?;
            Ok(true)
        };
        if self.store.write(write).await? { Ok(()) } else { Err(AccessError::BadLink) }
    }

    async fn checked_hash(&self, name: &str, password: &str) -> Result<String, AccessError> {
        if !is_name(name) {
            return Err(AccessError::Name);
        }
        match password_problem(password, name) {
            Some(problem) => Err(AccessError::Password(problem)),
            None => self.hashing.hash(password.to_owned(), Hasher::Known).await,
        }
    }

    /// Adds a user. The caller writes the audit entry.
    pub async fn add_user(&self, request: &AddUser) -> Result<(), AccessError> {
        let hash = self.checked_hash(&request.name, &request.password).await?;
        let (name, scope, now) = (request.name.clone(), request.scope, self.clock.now());
        let write = move |tx: &mut Tx<'_>| {
            // An administrator was made otherwise: nobody needs the link.
            users::drop_setup_link(tx)?;
            users::add(tx, &name, scope, &hash, now)
        };
        self.store.write(write).await?.map(drop).ok_or_else(|| AccessError::NameTaken(request.name.clone()))
    }

    /// All users, by name.
    pub async fn users(&self) -> Result<Vec<User>, AccessError> {
        Ok(self.store.read(users::list).await?)
    }

    async fn user(&self, name: &str) -> Result<Credentials, AccessError> {
        let asked = name.to_owned();
        let found = self.store.read(move |tx| users::by_name(tx, &asked)).await?;
        found.ok_or_else(|| AccessError::Unknown(name.to_owned()))
    }

    /// A new password for a user, whose sessions end and whose waits are over. The caller writes the audit entry.
    pub async fn reset_password(&self, name: &str, password: &str) -> Result<(), AccessError> {
        let user = self.user(name).await?;
        let hash = self.checked_hash(name, password).await?;
        let write = move |tx: &mut Tx<'_>| {
            users::set_password(tx, user.id, &hash)?;
            sessions::forget_browsers(tx, user.id)?;
            sessions::end_all(tx, user.id, "")
        };
        self.store.write(write).await?;
        self.limits().attempts.forget(&Guessed::User(user.id));
        Ok(())
    }

    /// The user's own new password; other sessions end.
    pub async fn change_password(&self, who: &Principal, old: &str, new: &str) -> Result<(), AccessError> {
        let By::Session { user, hash: session, .. } = &who.by else { return Err(AccessError::NoSession) };
        let (user, now) = (*user, self.clock.now());
        let found = self.store.read(move |tx| users::by_id(tx, user)).await?.ok_or(AccessError::NoSession)?;
        // By the session: a thief of the session must not guess the password.
        let guessed = Guessed::Browser(session.clone());
        if let Some(until) = self.limits().attempts.wait_until(&guessed, now) {
            return Err(AccessError::Wait { until });
        }
        if !self.hashing.verify(old.to_owned(), Some(found.password), Hasher::Known).await? {
            self.limits().attempts.count(guessed, now);
            return Err(AccessError::Wrong);
        }
        let hash = self.checked_hash(&found.name, new).await?;
        let (session, entry) = (session.clone(), who.entry("user.password", found.name));
        let write = move |tx: &mut Tx<'_>| {
            users::set_password(tx, user, &hash)?;
            sessions::end_all(tx, user, &session)?;
            note(tx, Some(&entry), now)
        };
        Ok(self.store.write(write).await?)
    }

    /// Removes a user and ends the sessions. The caller writes the audit entry.
    pub async fn remove_user(&self, name: &str) -> Result<(), AccessError> {
        let id = self.user(name).await?.id;
        Ok(self.store.write(move |tx| users::remove(tx, id)).await?)
    }

    /// Removes the second factor of a user who has lost it. The caller writes the audit entry.
    pub async fn reset_totp(&self, name: &str) -> Result<(), AccessError> {
        let id = self.user(name).await?.id;
        self.store.write(move |tx| users::remove_totp(tx, id)).await?;
        self.limits().attempts.forget(&Guessed::User(id));
        Ok(())
    }

    /// Ends all sessions of a user, and says how many. The caller writes the audit entry.
    pub async fn end_sessions(&self, name: &str) -> Result<u64, AccessError> {
        let id = self.user(name).await?.id;
        let write = move |tx: &mut Tx<'_>| {
            sessions::forget_browsers(tx, id)?;
            sessions::end_all(tx, id, "")
        };
        self.limits().attempts.forget(&Guessed::User(id));
        Ok(self.store.write(write).await?)
    }

    /// Does this user have a second factor, and how many recovery codes are left?
    pub async fn second_factor_of(&self, who: &Principal) -> Result<Option<u64>, AccessError> {
        let By::Session { user, .. } = who.by else { return Ok(None) };
        let read = move |tx: &mut Tx<'_>| match users::by_id(tx, user)?.and_then(|user| user.totp) {
            Some(_) => users::n_recovery_codes(tx, user).map(Some),
            None => Ok(None),
        };
        Ok(self.store.read(read).await?)
    }

    /// Entries of the audit log before this number, the latest first.
    pub async fn audit(&self, before: i64, limit: u32) -> Result<Vec<AuditRow>, AccessError> {
        Ok(self.store.read(move |tx| audit::page(tx, before, limit)).await?)
    }

    /// Writes an entry before what it tells is done, and returns its number.
    pub async fn begin_entry(&self, entry: Entry) -> Result<i64, AccessError> {
        let now = self.clock.now();
        Ok(self.store.write(move |tx| audit::put(tx, &entry, Outcome::Begun, now)).await?)
    }

    /// Completes an entry.
    pub async fn finish_entry(&self, id: i64, outcome: Outcome, why: String) -> Result<(), AccessError> {
        Ok(self.store.write(move |tx| audit::finish(tx, id, outcome, &why)).await?)
    }
}

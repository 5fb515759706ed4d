//! API tokens: created (the text is shown once), checked, listed, revoked.

use std::net::IpAddr;

use olog_proto::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Access, AccessError, By, GOOD_TOKENS, Principal, Secret};
use crate::rules::access::{AccessScope, is_name};
use crate::store::{
    Tx,
    access::{
        audit::{self, Entry, Outcome},
        tokens::{self, NewToken, TOKENS_MAX, Token},
    },
};

/// A token's last use is written down this often.
const USED_EVERY_MS: i64 = 3_600_000;

/// The request of `token create`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreateToken {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub scope: AccessScope,
    /// From then on it is worth nothing; `None`: never.
    pub expires_at: Option<Timestamp>,
}

impl Access {
    /// Creates a token and returns its text, which nobody sees again. `by` writes the audit entry, if it is not written otherwise.
    pub async fn create_token(
        &self,
        request: &CreateToken,
        made_by: &str,
        by: Option<&Principal>,
    ) -> Result<String, AccessError> {
        if !is_name(&request.name) {
            return Err(AccessError::Name);
        }
        let (secret, now) = (Secret::random()?, self.clock.now());
        let CreateToken { name, scope, expires_at } = request.clone();
        let new = NewToken { name: name.clone(), hash: secret.hash(), scope, made_by: made_by.to_owned(), expires_at };
        let entry = by.map(|by| Entry { detail: format!("scope {scope}"), ..by.entry("token.create", name.clone()) });
        let write = move |tx: &mut Tx<'_>| {
            if tokens::count(tx)? >= TOKENS_MAX {
                return Ok(Err(AccessError::TooMany));
            }
            if !tokens::add(tx, &new, now)? {
                return Ok(Err(AccessError::NameTaken(new.name.clone())));
            }
            note(tx, entry.as_ref(), now)?;
            Ok(Ok(()))
        };
        self.store.write(write).await??;
        Ok(secret.token())
    }

    /// All tokens, without their texts.
    pub async fn tokens(&self) -> Result<Vec<Token>, AccessError> {
        Ok(self.store.read(tokens::list).await?)
    }

    /// Revokes a token: it is worth nothing from now on.
    pub async fn revoke_token(&self, name: &str, by: Option<&Principal>) -> Result<(), AccessError> {
        let (asked, now) = (name.to_owned(), self.clock.now());
        let entry = by.map(|by| by.entry("token.revoke", name));
        let write = move |tx: &mut Tx<'_>| {
            let was_there = tokens::revoke(tx, &asked)?;
            if was_there {
                note(tx, entry.as_ref(), now)?;
            }
            Ok(was_there)
        };
        if self.store.write(write).await? { Ok(()) } else { Err(AccessError::Unknown(name.to_owned())) }
    }

    /// Whose token this text is.
    pub async fn token(&self, text: &str, from: IpAddr) -> Result<Principal, AccessError> {
        let now = self.clock.now();
        let hash = Secret::of_token(text).map(|secret| secret.hash());
        let may_ask = {
            let limits = self.limits();
            // A good token passes, whoever else guesses behind the same address.
            !limits.tokens.is_reached(from, now) || hash.as_ref().is_some_and(|hash| limits.good_tokens.contains(hash))
        };
        if !may_ask {
            return Err(AccessError::Wait { until: now.plus(super::MINUTE_MS) });
        }
        let asked = hash.clone();
        let found = match asked {
            Some(hash) => self.store.read(move |tx| tokens::by_hash(tx, &hash)).await?,
            None => None,
        };
        let (Some(token), Some(hash)) = (found.filter(|t| t.expires_at.is_none_or(|at| now < at)), hash) else {
            self.limits().tokens.count(from, now);
            return Err(AccessError::BadToken);
        };
        {
            let mut limits = self.limits();
            if limits.good_tokens.len() < GOOD_TOKENS {
                limits.good_tokens.insert(hash);
            }
        }
        if token.used_at.is_none_or(|at| now.since(at) >= USED_EVERY_MS) {
            self.store.write_relaxed(move |tx| tokens::used(tx, token.id, now)).await?;
        }
        Ok(Principal { name: token.name, scope: token.scope, by: By::Token, address: from })
    }
}

pub(super) fn note(tx: &mut Tx<'_>, entry: Option<&Entry>, now: Timestamp) -> Result<(), crate::store::StoreError> {
    entry.map_or(Ok(()), |entry| audit::put(tx, entry, Outcome::Done, now).map(drop))
}

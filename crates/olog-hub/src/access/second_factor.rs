//! The second factor: codes by time (RFC 6238), each good once, and recovery codes, each good once.

use olog_proto::Timestamp;
use totp_rs::{Builder, Secret as TotpSecret, Totp};

use super::{
    Access, AccessError, By, Guessed, Principal,
    picture::qr,
    secret::{Secret, hash_for},
};
use crate::store::access::{
    audit::{self, Outcome},
    sessions, users,
};

/// Recovery codes of a user.
const CODES: usize = 10;
/// Bytes of a secret, as RFC 4226 recommends.
const SECRET_BYTES: usize = 20;

/// A secret that a user has to confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposed {
    /// As a phone reads it: an SVG picture.
    pub picture: String,
    /// As a person types it.
    pub text: String,
}

/// What a user does with the second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodeChange {
    /// Confirms the proposed secret by a code.
    Confirm(String),
    /// Removes it, with a code.
    Remove(String),
}

fn totp(secret: &str) -> Result<Totp, AccessError> {
    let secret = TotpSecret::try_from_base32(secret).map_err(|error| AccessError::Hash(error.to_string()))?;
    Builder::new().with_secret(secret).build().map_err(|error| AccessError::Hash(error.to_string()))
}

/// The step of a right code; codes of the last, this and the next half minute are right.
pub(super) fn step_of(secret: &str, code: &str, now: Timestamp) -> Result<Option<i64>, AccessError> {
    let code: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let seconds = u64::try_from(now.0 / 1000).unwrap_or(0);
    Ok(totp(secret)?.check(&code, seconds).and_then(|step| i64::try_from(step).ok()))
}

/// A code for tests of this crate.
#[cfg(test)]
pub(crate) fn code_at(secret: &str, now: Timestamp) -> String {
    totp(secret).unwrap().generate(u64::try_from(now.0 / 1000).unwrap()).to_string()
}

/// A recovery code as the store knows it.
pub(super) fn recovery_hash(user: i64, code: &str) -> String {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    hash_for("recovery", &format!("{user}/{plain}"))
}

fn recovery_code() -> Result<String, AccessError> {
    let secret = Secret::random()?;
    let digits: Vec<char> = secret.text().chars().take(20).collect();
    Ok(digits.chunks(5).map(|part| part.iter().collect::<String>()).collect::<Vec<_>>().join("-"))
}

impl Access {
    /// Proposes a secret to a user, who has none yet, and keeps it until it is confirmed.
    pub async fn propose_totp(&self, who: &Principal) -> Result<Proposed, AccessError> {
        let By::Session { user, .. } = who.by else { return Err(AccessError::NoSession) };
        let mut bytes = [0; SECRET_BYTES];
        getrandom::fill(&mut bytes).map_err(|_| AccessError::Random)?;
        let text = TotpSecret::from(bytes).to_base32();
        let kept = text.clone();
        let read = move |tx: &mut crate::store::Tx<'_>| {
            let found = users::by_id(tx, user)?;
            match found.and_then(|user| user.totp_pending) {
                // A page that is loaded again shows the same.
                Some(pending) => Ok(pending),
                None => users::propose_totp(tx, user, &kept).map(|()| kept.clone()),
            }
        };
        let text = self.store.write(read).await?;
        let label: String = url::form_urlencoded::byte_serialize(who.name.as_bytes()).collect();
        let address = format!("otpauth://totp/Olog:{}?secret={text}&issuer=Olog", label.replace('+', "%20"));
        Ok(Proposed { picture: qr(&address)?, text })
    }

    /// Confirms the proposed secret, which answers with the recovery codes, or removes the one in force.
    pub async fn change_totp(&self, who: &Principal, change: CodeChange) -> Result<Vec<String>, AccessError> {
        let By::Session { user, hash, .. } = &who.by else { return Err(AccessError::NoSession) };
        let (user, now) = (*user, self.clock.now());
        let found = self.store.read(move |tx| users::by_id(tx, user)).await?.ok_or(AccessError::NoSession)?;
        let (secret, code) = match &change {
            CodeChange::Confirm(code) => (found.totp_pending, code),
            CodeChange::Remove(code) => (found.totp, code),
        };
        let secret = secret.ok_or(AccessError::WrongCode)?;
        // By the session: who has it may be a thief, who must not guess the code either.
        let guessed = Guessed::Browser(hash.clone());
        if let Some(until) = self.limits().attempts.wait_until(&guessed, now) {
            return Err(AccessError::Wait { until });
        }
        let Some(step) = step_of(&secret, code, now)? else {
            self.limits().attempts.count(guessed, now);
            return Err(AccessError::WrongCode);
        };
        let codes = match change {
            CodeChange::Confirm(_) => (0..CODES).map(|_| recovery_code()).collect::<Result<Vec<_>, _>>()?,
            CodeChange::Remove(_) => Vec::new(),
        };
        let hashes: Vec<String> = codes.iter().map(|code| recovery_hash(user, code)).collect();
        let action = if codes.is_empty() { "user.totp.off" } else { "user.totp.on" };
        let (entry, own) = (who.entry(action, found.name), hash.clone());
        let is_used = self
            .store
            .write(move |tx| {
                if hashes.is_empty() {
                    if !users::use_step(tx, user, step)? {
                        return Ok(false);
                    }
                    users::remove_totp(tx, user)?;
                } else {
                    users::confirm_totp(tx, user, step, &hashes)?;
                    sessions::end_all(tx, user, &own)?;
                }
                audit::put(tx, &entry, Outcome::Done, now)?;
                Ok(true)
            })
            .await?;
        if is_used { Ok(codes) } else { Err(AccessError::WrongCode) }
    }
}

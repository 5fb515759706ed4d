//! Random secrets of 256 bits, and the hash by which the store knows them.

use sha2::{Digest as _, Sha256};

use super::AccessError;

/// The text of an API token begins so, and scanners for leaked secrets find it by `olog_[0-9a-f]{72}`.
const TOKEN_PREFIX: &str = "olog_";
/// Hexadecimal digits of the checksum at a token's end.
const CHECK: usize = 8;
const DIGITS: usize = 64;

/// A secret, as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a text, for one purpose.
pub(super) fn hash_for(purpose: &str, text: &str) -> String {
    hex(&Sha256::new().chain_update(purpose).chain_update([0]).chain_update(text).finalize())
}

impl Secret {
    /// A new one.
    pub fn random() -> Result<Secret, AccessError> {
        let mut bytes = [0; DIGITS / 2];
        getrandom::fill(&mut bytes).map_err(|_| AccessError::Random)?;
        Ok(Secret(hex(&bytes)))
    }

    /// What somebody sent, if it has the form of a secret.
    pub fn read(text: &str) -> Option<Secret> {
        let is_one = text.len() == DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        is_one.then(|| Secret(text.to_owned()))
    }

    /// For a cookie, a link or a form.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// As the store knows it.
    pub fn hash(&self) -> String {
        hash_for("secret", &self.0)
    }

    /// What the forms of a session repeat: another site can send the cookie, but does not know this.
    pub fn form(&self) -> String {
        hash_for("form", &self.0)
    }

    /// As an API token.
    pub(super) fn token(&self) -> String {
        let check: String = hash_for("check", &self.0).chars().take(CHECK).collect();
        format!("{TOKEN_PREFIX}{}{check}", self.0)
    }

    /// The secret in an API token. What is misspelt or made up is none.
    pub(super) fn of_token(token: &str) -> Option<Secret> {
        let secret = Secret::read(token.strip_prefix(TOKEN_PREFIX)?.get(..DIGITS)?)?;
        (secret.token() == token).then_some(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_scanners_and_a_misspelt_one_is_none() {
        let secret = Secret::random().unwrap();
        let token = secret.token();
        assert!(token.starts_with("olog_") && token.len() == 5 + 72, "{token}");
        assert_eq!(Secret::of_token(&token), Some(secret.clone()));
        let last = if token.ends_with('0') { "1" } else { "0" };
        let misspelt = format!("{}{last}", token.get(..76).unwrap());
        for wrong in ["", "olog_", secret.text(), &misspelt, &format!("{token}0"), &token.to_uppercase(), "olog_ä"] {
            assert_eq!(Secret::of_token(wrong), None, "{wrong}");
        }
        assert!(!format!("{secret:?}").contains(secret.text()));
    }

    #[test]
    fn what_a_form_repeats_does_not_tell_the_cookie_or_its_hash() {
        let secret = Secret::random().unwrap();
        assert_ne!(secret.form(), secret.hash());
        assert_ne!(secret.form(), secret.text());
        assert_ne!(Secret::random().unwrap(), secret);
        for text in ["", "../../etc/passwd", &"A".repeat(64), &"0".repeat(63)] {
            assert_eq!(Secret::read(text), None, "{text}");
        }
    }
}

//! The identities of devices and hubs, and the proofs that they exchange.
//!
//! A device and a hub each hold an Ed25519 key. In the handshake both sign the same things: both nonces, the device's name,
//! the device's key and the hub's key, each under its own label, so that a proof can neither be replayed in another
//! session nor given for the other role. The join link carries the fingerprint of the hub's key, so that the very first
//! connection is already checked.
//!
//! Randomness comes in as bytes: this crate reads none.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::DeviceName;

/// Why a text is not a key, a nonce, a signature or a join link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct IdentityError(&'static str);

macro_rules! bytes_as_text {
    ($(#[$doc:meta])* $name:ident, $n:literal, $wrong:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; $n]);

        impl TryFrom<String> for $name {
            type Error = IdentityError;
            fn try_from(text: String) -> Result<Self, IdentityError> {
                text.parse()
            }
        }
        impl std::str::FromStr for $name {
            type Err = IdentityError;
            fn from_str(text: &str) -> Result<Self, IdentityError> {
                let mut bytes = [0; $n];
                match BASE64.decode_slice(text, &mut bytes) {
                    Ok($n) => Ok($name(bytes)),
                    _ => Err(IdentityError($wrong)),
                }
            }
        }
        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE64.encode(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

bytes_as_text!(
    /// A public key: what a device or a hub *is*. 43 characters of base64url.
    PublicKey, 32, "expected a public key: 43 characters of base64url");
bytes_as_text!(
    /// 256 random bits, made for one handshake.
    Nonce, 32, "expected a nonce: 43 characters of base64url");
bytes_as_text!(
    /// An Ed25519 signature. 86 characters of base64url.
    Signature, 64, "expected a signature: 86 characters of base64url");
bytes_as_text!(
    /// The first 128 bits of a key's SHA-256: short enough for a link, long enough that nobody finds a second key.
    KeyPrint, 16, "expected a key's fingerprint: 22 characters of base64url");

impl KeyPrint {
    /// Of a public key's bytes (for TLS: the certificate's SubjectPublicKeyInfo).
    pub fn of(key: &[u8]) -> KeyPrint {
        KeyPrint::of_hash(Sha256::digest(key).into())
    }

    /// Of the SHA-256 of a key.
    pub fn of_hash(hash: [u8; 32]) -> KeyPrint {
        let mut print = [0; 16];
        print.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        KeyPrint(print)
    }
}

/// A private key. Its debug output is a mask.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// From 32 random bytes, which are what is stored.
    pub fn from_seed(seed: [u8; 32]) -> SecretKey {
        SecretKey(SigningKey::from_bytes(&seed))
    }

    /// What to store, readable by the owner only.
    pub fn seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The key to show.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a proof.
    pub fn sign(&self, proof: &HandshakeProof) -> Signature {
        Signature(self.0.sign(&proof.0).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl PublicKey {
    /// Did the holder of this key sign this proof? Strict: no weak keys, one encoding.
    pub fn verify(&self, proof: &HandshakeProof, signature: &Signature) -> bool {
        VerifyingKey::from_bytes(&self.0)
            .and_then(|key| key.verify_strict(&proof.0, &ed25519_dalek::Signature::from_bytes(&signature.0)))
            .is_ok()
    }

    /// The fingerprint that a join link carries.
    pub fn fingerprint(&self) -> KeyPrint {
        KeyPrint::of(&self.0)
    }
}

/// Who proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The agent, in `auth`.
    Device,
    /// The hub, in `welcome`.
    Hub,
}

/// What one side signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeProof(Vec<u8>);

impl HandshakeProof {
    /// The same content for both sides, under the label of the one who signs.
    pub fn new(
        by: Role,
        hub_nonce: Nonce,
        nonce: Nonce,
        name: &DeviceName,
        device: PublicKey,
        hub: PublicKey,
    ) -> HandshakeProof {
        let label: &[u8] = match by {
            Role::Device => b"olog.2 device proof\0",
            Role::Hub => b"olog.2 hub proof\0",
        };
        // Only the name varies in length, and it stands last.
        HandshakeProof([label, &hub_nonce.0, &nonce.0, &device.0, &hub.0, name.as_str().as_bytes()].concat())
    }

    /// What a hub signs with its key `hub` when it announces that `next` will be its key.
    pub fn next_hub_key(hub: PublicKey, next: PublicKey) -> HandshakeProof {
        HandshakeProof([b"olog.2 next hub key\0".as_slice(), &hub.0, &next.0].concat())
    }

    /// What a device signs, with its key `device` and with `next`, when it announces that `next` will be its key. It holds in
    /// the session of these nonces only.
    pub fn next_device_key(
        hub_nonce: Nonce,
        nonce: Nonce,
        device: PublicKey,
        next: PublicKey,
        hub: PublicKey,
    ) -> HandshakeProof {
        let label: &[u8] = b"olog.2 next device key\0";
        HandshakeProof([label, &hub_nonce.0, &nonce.0, &device.0, &next.0, &hub.0].concat())
    }
}

/// The line that `olog-hub join-link` prints: where the hub is, the secret, and by what the hub will be known.
///
/// `https://hub.example.com:8765/join#SECRET.HUB[.TLS]`; what follows `#` never leaves the machine that opens the link.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinLink {
    /// Scheme, host, port and path prefix: all before `/join#`.
    pub base: String,
    /// The secret, single-use by default.
    pub secret: JoinSecret,
    /// The hub's identity.
    pub hub: KeyPrint,
    /// The public key of a self-signed TLS certificate; without it the system's roots decide.
    pub tls: Option<KeyPrint>,
}

bytes_as_text!(
    /// 128 random bits that let one device join.
    JoinSecret, 16, "expected a join secret: 22 characters of base64url");

impl fmt::Display for JoinLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/join#{}.{}", self.base, self.secret, self.hub)?;
        self.tls.map_or(Ok(()), |tls| write!(f, ".{tls}"))
    }
}

impl fmt::Debug for JoinLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/join#…", self.base)
    }
}

impl std::str::FromStr for JoinLink {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let not_a_link = IdentityError(
            "this is not a join link: expected http(s)://HOST[:PORT]/join#SECRET, as `olog-hub join-link` prints it",
        );
        let (base, fragment) = text.trim().split_once("/join#").ok_or(not_a_link)?;
        let host = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://")).ok_or(not_a_link)?;
        if host.is_empty() || base.len() > crate::TEXT_MAX || base.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return Err(not_a_link);
        }
        let cut = IdentityError(
            "the join link is cut off or mistyped: copy the whole line that `olog-hub join-link` printed",
        );
        let mut parts = fragment.split('.');
        let mut part = || parts.next().filter(|p| !p.is_empty());
        let secret = part().and_then(|p| p.parse().ok()).ok_or(cut)?;
        let hub = part().and_then(|p| p.parse().ok()).ok_or(cut)?;
        let tls = part().map(|p| p.parse().map_err(|_| cut)).transpose()?;
        if part().is_some() {
            return Err(cut);
        }
        Ok(JoinLink { base: base.to_owned(), secret, hub, tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_holds_for_its_session_and_its_role_only() {
        let (device, hub) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
        let name: DeviceName = "comsrv".parse().unwrap();
        let proof = |role, nonce| {
            HandshakeProof::new(role, Nonce([3; 32]), Nonce([nonce; 32]), &name, device.public(), hub.public())
        };
        let signature = device.sign(&proof(Role::Device, 4));
        assert!(device.public().verify(&proof(Role::Device, 4), &signature));
        assert!(!device.public().verify(&proof(Role::Hub, 4), &signature));
        assert!(!device.public().verify(&proof(Role::Device, 5), &signature));
        assert!(!hub.public().verify(&proof(Role::Device, 4), &signature));
    }

    #[test]
    fn an_announcement_of_a_devices_key_holds_for_its_session_its_keys_and_its_hub_only() {
        let (device, next) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
        let proof = |nonce, old: &SecretKey, new: &SecretKey, hub| {
            HandshakeProof::next_device_key(
                Nonce([3; 32]),
                Nonce([nonce; 32]),
                old.public(),
                new.public(),
                PublicKey([hub; 32]),
            )
        };
        let signature = device.sign(&proof(4, &device, &next, 7));
        assert!(device.public().verify(&proof(4, &device, &next, 7), &signature));
        for other in [proof(5, &device, &next, 7), proof(4, &next, &device, 7), proof(4, &device, &next, 8)] {
            assert!(!device.public().verify(&other, &signature));
        }
        assert!(!next.public().verify(&proof(4, &device, &next, 7), &signature));
    }

    #[test]
    fn a_join_link_survives_being_printed() {
        for tls in [None, Some(KeyPrint([7; 16]))] {
            let link = JoinLink {
                base: "https://h.example/olog".into(),
                secret: JoinSecret([1; 16]),
                hub: KeyPrint([2; 16]),
                tls,
            };
            assert_eq!(link.to_string().parse::<JoinLink>().unwrap(), link);
        }
    }

    #[test]
    fn a_link_that_is_cut_off_says_so() {
        let link =
            JoinLink { base: "https://h".into(), secret: JoinSecret([1; 16]), hub: KeyPrint([2; 16]), tls: None }
                .to_string();
        let cut = link.get(..link.len() - 3).unwrap().parse::<JoinLink>().unwrap_err();
        assert!(cut.to_string().contains("cut off"), "{cut}");
        assert!("https://h:8765".parse::<JoinLink>().unwrap_err().to_string().contains("join-link"));
        assert!("ftp://h/join#a.b".parse::<JoinLink>().is_err());
    }
}

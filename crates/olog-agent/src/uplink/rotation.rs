//! A device changes its key: announces the next one in a session of the present one, and uses it once the hub has stored it.
//!
//! The next key is in `state_dir` before it is announced, and takes the place of the present one after the hub's answer. Until a session of the
//! next key begins, the hub takes both. So a crash at any point leaves a key by which the device is let in, and the next session goes
//! on where this one ended.

use olog_proto::{AgentFrame, Nonce, PublicKey, SecretKey, frame::ROTATE, identity::HandshakeProof};
use tokio::sync::watch;

use super::{Connector, Disconnect, RandomSource, Setup, Uplink, Welcome, bounded};
use crate::identity;

/// By which key the device is known, and what became of the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyStatus {
    /// The key.
    pub key: PublicKey,
    /// Why the device does not change to its next key.
    pub trouble: Option<String>,
}

impl<R: Connector, C: RandomSource> Uplink<R, C> {
    /// The hub has stored the next key. `false`: it could not be put in place, and the present one stays.
    pub(super) fn use_next_key(&mut self, setup: &Setup) -> bool {
        let Some(next) = setup.next_key.clone() else { return false };
        let moved = identity::use_next_key(&self.state_dir);
        let trouble = moved.as_ref().err().map(ToString::to_string);
        match &moved {
            Ok(()) => {
                tracing::info!(key = %next.public().fingerprint(), "the device has its next key");
                self.key = next;
            }
            Err(error) => tracing::error!(%error, "the device's next key is not used"),
        }
        self.keys.send_replace(KeyStatus { key: self.key.public(), trouble });
        moved.is_ok()
    }
}

/// What one session does about the next key.
pub(super) struct Rotation<'a> {
    keys: &'a watch::Sender<KeyStatus>,
    present: SecretKey,
    next: Option<SecretKey>,
    /// Announced in this session, and not answered yet.
    announced: Option<PublicKey>,
}

impl<'a> Rotation<'a> {
    /// Of a session of the present key.
    pub(super) fn new(keys: &'a watch::Sender<KeyStatus>, present: SecretKey, next: Option<SecretKey>) -> Rotation<'a> {
        let next = next.filter(|next| next.public() != present.public());
        Rotation { keys, present, next, announced: None }
    }

    /// What to say to the hub, if there is something.
    pub(super) fn announcement(&mut self, welcome: &Welcome, nonce: Nonce) -> Option<AgentFrame> {
        let next = self.next.as_ref()?;
        if !welcome.accepts.iter().any(|kind| kind == ROTATE) {
            self.tell("the hub is of a version that takes no new key: update it first".to_owned());
            return None;
        }
        let (present, key) = (self.present.public(), next.public());
        let proof = HandshakeProof::next_device_key(welcome.nonce, nonce, present, key, welcome.key);
        let (signature, key_signature) = (self.present.sign(&proof), next.sign(&proof));
        self.announced = Some(key);
        self.keys.send_modify(|keys| keys.trouble = None);
        Some(AgentFrame::Rotate { key, signature, key_signature })
    }

    /// The hub's answer. As an error when the session has to end: the device has another key.
    pub(super) fn answered(&mut self, key: PublicKey, refused: Option<String>) -> Result<(), Disconnect> {
        if self.announced.take() != Some(key) {
            return Err(Disconnect::Protocol("it answers for a key that was not announced".to_owned()));
        }
        match refused {
            None => Err(Disconnect::Rotated),
            Some(why) => {
                self.tell(format!("the hub does not take the next key: {}", bounded(&why)));
                Ok(())
            }
        }
    }

    fn tell(&self, why: String) {
        tracing::warn!(why, "the device's next key is not used");
        self.keys.send_modify(|keys| keys.trouble = Some(why));
    }
}

//! A device that changes its key: hubs that store it, do not answer, do not want it, do not know of it, and lie.

use olog_proto::frame::ROTATE;

use super::*;
use crate::identity;

const OLD: [u8; 32] = [1; 32];

impl World {
    /// The device's key and its next one are in the state_dir, as the daemon has them.
    fn with_next_key() -> (World, SecretKey) {
        let world = World::new();
        let folder = world._folder.path();
        let old = identity::device_key(folder, &mut Seed(OLD)).unwrap();
        assert_eq!(old.public(), SecretKey::from_seed(OLD).public());
        let next = identity::make_next_key(folder, &mut identity::SystemRandom).unwrap();
        world.setup.send_modify(|setup| setup.next_key = Some(next.clone()));
        (world, next)
    }

    fn stored(&self) -> PublicKey {
        identity::device_key(self._folder.path(), &mut Seed([0; 32])).unwrap().public()
    }

    /// A session of a hub that takes these kinds of frames; by which key the device has proved itself.
    async fn session(&mut self, accepts: &[&str]) -> (TestHub, Auth) {
        loop {
            let mut hub = self.accept().await;
            hub.hello(hub.key.public()).await;
            // A session that was begun before the next key was there ends by itself.
            let Some(AgentFrame::Auth(auth)) = hub.frame().await else { continue };
            assert!(auth.key.verify(&hub.proof(Role::Device, &auth), &auth.signature));
            let mut welcome = hub.welcome_frame(&auth, 0, 100, 20_000);
            if let HubFrame::Welcome { accepts: kinds, .. } = &mut welcome {
                *kinds = accepts.iter().map(|kind| (*kind).to_owned()).collect();
            }
            hub.say(&welcome).await;
            return (hub, *auth);
        }
    }
}

struct Seed([u8; 32]);

impl RandomSource for Seed {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        bytes.copy_from_slice(&self.0);
        Ok(())
    }
}

impl TestHub {
    /// The key that is announced, signed by both.
    async fn announced(&mut self, auth: &Auth) -> PublicKey {
        let Some(AgentFrame::Rotate { key, signature, key_signature }) = self.frame().await else {
            panic!("nothing is announced")
        };
        let proof = HandshakeProof::next_device_key(Nonce([5; 32]), auth.nonce, auth.key, key, self.key.public());
        assert!(auth.key.verify(&proof, &signature) && key.verify(&proof, &key_signature));
        key
    }
}

#[tokio::test]
async fn a_device_changes_to_its_next_key_after_the_hubs_answer_and_not_before() {
    let (mut world, next) = World::with_next_key();
    world.put(1);
    let old = SecretKey::from_seed(OLD).public();
    let (mut hub, auth) = world.session(&[ROTATE]).await;
    assert_eq!((auth.key, hub.announced(&auth).await), (old, next.public()));
    assert_eq!(hub.numbers().await, [1], "events go on");
    assert_eq!(world.stored(), old);
    // The hub goes down before it answers, or its answer is lost: the old key, and the same announcement.
    drop(hub);
    let (mut hub, auth) = world.session(&[ROTATE]).await;
    assert_eq!((auth.key, hub.announced(&auth).await), (old, next.public()));
    hub.say(&HubFrame::Rotated { key: next.public(), refused: None }).await;
    let (mut hub, auth) = world.session(&[ROTATE]).await;
    assert_eq!(auth.key, next.public(), "the next session is the new key's");
    assert_eq!(world.stored(), next.public(), "and the file is");
    assert_eq!(hub.numbers().await, [1], "nothing more is announced, and nothing is lost");
    assert_eq!(world.keys.borrow().key, next.public());
    world.stopped().await;
}

#[tokio::test]
async fn a_hub_that_does_not_know_of_new_keys_is_not_asked_and_its_session_goes_on() {
    let (mut world, _next) = World::with_next_key();
    world.put(1);
    let (mut hub, auth) = world.session(&[]).await;
    assert_eq!(hub.numbers().await, [1]);
    assert_eq!(auth.key, SecretKey::from_seed(OLD).public());
    let trouble = world.keys.borrow().trouble.clone().unwrap();
    assert!(trouble.contains("update it first"), "{trouble}");
    world.stopped().await;
}

#[tokio::test]
async fn a_key_that_the_hub_does_not_take_is_not_used_and_the_session_goes_on() {
    let (mut world, next) = World::with_next_key();
    let (mut hub, auth) = world.session(&[ROTATE]).await;
    hub.announced(&auth).await;
    let refused = Some("less than an hour ago\u{1b}[2J".to_owned());
    hub.say(&HubFrame::Rotated { key: next.public(), refused }).await;
    let keys = within(world.keys.wait_for(|keys| keys.trouble.is_some())).await.unwrap().clone();
    assert!(keys.trouble.unwrap().ends_with("less than an hour ago[2J"), "without what a terminal would obey");
    world.put(1);
    assert_eq!(hub.numbers().await, [1]);
    assert_eq!((world.stored(), keys.key), (SecretKey::from_seed(OLD).public(), SecretKey::from_seed(OLD).public()));
    world.stopped().await;
}

#[tokio::test]
async fn a_hub_that_answers_for_another_key_or_unasked_changes_nothing() {
    let (mut world, next) = World::with_next_key();
    let stranger = SecretKey::from_seed([9; 32]).public();
    let (mut hub, auth) = world.session(&[ROTATE]).await;
    hub.announced(&auth).await;
    hub.say(&HubFrame::Rotated { key: stranger, refused: None }).await;
    assert!(hub.is_left().await);
    let (mut hub, auth) = world.session(&[]).await;
    hub.say(&HubFrame::Rotated { key: next.public(), refused: None }).await;
    assert!(hub.is_left().await, "it was not announced in this session");
    assert_eq!((auth.key, world.stored()), (SecretKey::from_seed(OLD).public(), SecretKey::from_seed(OLD).public()));
    world.stopped().await;
}

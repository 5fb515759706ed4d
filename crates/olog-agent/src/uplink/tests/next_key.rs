//! A hub that announces its next key, and one that lies about it.

use olog_proto::frame::NextHubKey;

use super::*;

impl TestHub {
    /// A welcome by this hub's key that announces another one.
    fn announcing(&self, auth: &Auth, next: &SecretKey, by: &SecretKey) -> HubFrame {
        let signature = by.sign(&HandshakeProof::next_hub_key(self.key.public(), next.public()));
        let mut welcome = self.welcome_frame(auth, 0, 10, 1_000);
        if let HubFrame::Welcome { next: announced, .. } = &mut welcome {
            *announced = Some(NextHubKey { key: next.public(), signature });
        }
        welcome
    }
}

#[tokio::test]
async fn an_announced_key_is_stored_taken_for_the_hub_and_is_its_key_once_it_was_proved() {
    let mut world = World::new();
    let stored = |world: &World| crate::identity::hub(world._folder.path()).unwrap();
    let (old, new) = (SecretKey::from_seed(HUB), SecretKey::from_seed([8; 32]));
    let mut hub = world.accept().await;
    hub.hello(hub.key.public()).await;
    let auth = hub.auth().await;
    hub.say(&hub.announcing(&auth, &new, &old)).await;
    world.link(|link| link.connected).await;
    let known = stored(&world).unwrap();
    assert_eq!((known.key, known.next), (old.public(), Some(new.public())));
    // As the daemon does when the file has changed.
    world.setup.send_modify(|setup| setup.hub = Some(known.clone()));
    let mut hub = world.accept().await;
    hub.key = new.clone();
    hub.hello(hub.key.public()).await;
    let auth = hub.auth().await;
    hub.say(&hub.welcome_frame(&auth, 0, 10, 1_000)).await;
    let is_stored = async {
        while stored(&world).unwrap().key != new.public() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(is_stored).await;
    let known = stored(&world).unwrap();
    assert_eq!((known.key, known.next), (new.public(), None), "the old key is worth nothing any more");
    world.stopped().await;
}

#[tokio::test]
async fn a_next_key_that_the_present_one_did_not_sign_ends_the_session_and_is_not_stored() {
    let mut world = World::new();
    let new = SecretKey::from_seed([8; 32]);
    let mut hub = world.accept().await;
    hub.hello(hub.key.public()).await;
    let auth = hub.auth().await;
    hub.say(&hub.announcing(&auth, &new, &new)).await;
    let link = world.link(|link| link.trouble.is_some()).await;
    assert!(link.trouble.unwrap().contains("cannot prove it"));
    assert_eq!(crate::identity::hub(world._folder.path()).unwrap(), None);
    world.stopped().await;
}

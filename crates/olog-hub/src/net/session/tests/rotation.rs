//! A device that changes its key: at every step it can connect, and afterwards the old key is worth nothing.

use super::*;

impl Agent {
    fn rotate(&self, next: &SecretKey) -> AgentFrame {
        let (present, nonce) = (self.secret.public(), Nonce([8; 32]));
        let proof = HandshakeProof::next_device_key(self.hub_nonce, nonce, present, next.public(), self.hub_key);
        AgentFrame::Rotate { key: next.public(), signature: self.secret.sign(&proof), key_signature: next.sign(&proof) }
    }

    async fn announce(&mut self, next: &SecretKey) -> Option<HubFrame> {
        let frame = self.rotate(next);
        self.say(&frame).await;
        self.hears().await
    }
}

fn rotated(key: &SecretKey) -> Option<HubFrame> {
    Some(HubFrame::Rotated { key: key.public(), refused: None })
}

async fn refused(world: &World, key: u8) -> Refusal {
    let mut agent = Agent::dial(world, key).await;
    match agent.prove().await {
        HubFrame::Refused { why } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn both_keys_hold_until_the_new_one_is_used_and_then_the_old_one_is_refused() {
    let world = world().await;
    let mut agent = Agent::known(&world, 1).await;
    let next = SecretKey::from_seed([2; 32]);
    agent.say(&events(1, 2)).await;
    assert_eq!(agent.hears().await, Some(HubFrame::Ack { through: 2 }));
    assert_eq!(agent.announce(&next).await, rotated(&next));
    // The answer was lost, or the device went down before it could store the new key: the old one still lets it in.
    let mut agent = Agent::again(&world, 1, 1).await;
    assert_eq!(agent.announce(&next).await, rotated(&next), "once more, as often as needed");
    let devices: Vec<crate::store::enrolment::ListedDevice> = world.verbs.get("/devices?pending=false").await.unwrap();
    assert_eq!(devices[0].key_at, devices[0].joined_at);
    world.hand.advance(5_000);
    let mut with_old = agent;
    let mut with_new = Agent::dial(&world, 2).await;
    let HubFrame::Welcome { acked, .. } = with_new.prove().await else { panic!("not welcome") };
    assert_eq!(acked, 2, "it is the same device");
    assert_eq!(with_old.refusal().await, Refusal::Displaced, "an open session of the old key ends");
    assert_eq!(refused(&world, 1).await, Refusal::Revoked);
    assert_eq!(refused(&world, 1).await, Refusal::Revoked, "for good");
    let devices: Vec<crate::store::enrolment::ListedDevice> = world.verbs.get("/devices?pending=false").await.unwrap();
    assert_eq!((devices.len(), devices[0].key), (1, Some(next.public())));
    assert_eq!(devices[0].key_at, devices[0].joined_at.map(|at| at.plus(5_000)), "the list says since when");
    assert_eq!(world.count("SELECT COUNT(*) FROM audit WHERE action = 'device.rotate' AND actor = 'device pi'"), 2);
    assert_eq!(world.count("SELECT COUNT(*) FROM audit WHERE action = 'device.rotate' AND origin = '127.0.0.1'"), 2);
}

#[tokio::test]
async fn an_announcement_holds_in_its_own_session_and_needs_both_keys() {
    let world = world().await;
    let recorded = Agent::known(&world, 1).await.rotate(&SecretKey::from_seed([2; 32]));
    let mut thief = Agent::again(&world, 1, 1).await;
    thief.say(&recorded).await;
    assert_eq!(thief.refusal().await, Refusal::BadProof, "a replay");
    // Somebody else's key can be named, but not proved; and so can the present one.
    for (by_present, by_next) in [(1, 1), (2, 2), (3, 2)] {
        let mut agent = Agent::again(&world, 1, 1).await;
        let next = SecretKey::from_seed([2; 32]).public();
        let (present, nonce) = (agent.secret.public(), Nonce([8; 32]));
        let proof = HandshakeProof::next_device_key(agent.hub_nonce, nonce, present, next, agent.hub_key);
        let sign = |key: u8| SecretKey::from_seed([key; 32]).sign(&proof);
        let (signature, key_signature) = (sign(by_present), sign(by_next));
        agent.say(&AgentFrame::Rotate { key: next, signature, key_signature }).await;
        assert_eq!(agent.refusal().await, Refusal::BadProof, "signed by {by_present} and {by_next}");
    }
    assert_eq!(world.count("SELECT COUNT(*) FROM devices WHERE next_key IS NOT NULL"), 0);
    assert_eq!(world.count("SELECT COUNT(*) FROM audit WHERE action = 'device.rotate'"), 0);
}

#[tokio::test]
async fn a_device_announces_one_key_in_a_session_one_in_an_hour_and_never_that_of_another_device() {
    let world = world().await;
    let mut agent = Agent::known(&world, 1).await;
    let key = |n: u8| SecretKey::from_seed([n; 32]);
    assert_eq!(agent.announce(&key(2)).await, rotated(&key(2)));
    let frame = agent.rotate(&key(3));
    agent.say(&frame).await;
    says(&agent.refusal().await, "a second rotate");
    let reason = |frame: Option<HubFrame>| match frame {
        Some(HubFrame::Rotated { refused: Some(why), .. }) => why,
        other => panic!("{other:?}"),
    };
    let mut agent = Agent::again(&world, 1, 1).await;
    assert!(reason(agent.announce(&key(3)).await).contains("an hour"));
    world.hand.advance(3_600_000);
    let mut agent = Agent::again(&world, 1, 1).await;
    assert!(reason(agent.announce(&key(1)).await).contains("key of a device"), "its own");
    let mut agent = Agent::again(&world, 1, 1).await;
    assert_eq!(agent.announce(&key(3)).await, rotated(&key(3)));
    assert_eq!(refused(&world, 2).await, Refusal::Pending, "a key that was announced and replaced is a stranger's");
}

#[tokio::test]
async fn a_forgotten_device_does_not_come_back_by_the_key_that_it_has_announced() {
    let world = world().await;
    let mut agent = Agent::known(&world, 1).await;
    let next = SecretKey::from_seed([2; 32]);
    assert_eq!(agent.announce(&next).await, rotated(&next));
    world.verbs.post::<()>("/device/forget", &crate::admin::socket::Who { who: NAME.into() }).await.unwrap();
    assert_eq!(refused(&world, 2).await, Refusal::Revoked);
    assert_eq!(refused(&world, 1).await, Refusal::Revoked);
}

#[tokio::test]
async fn a_key_that_was_announced_by_a_replaced_machine_is_refused() {
    let world = world().await;
    let mut agent = Agent::known(&world, 1).await;
    let next = SecretKey::from_seed([2; 32]);
    assert_eq!(agent.announce(&next).await, rotated(&next));
    let link = serde_json::json!({ "device": NAME, "expires": 60, "uses": 1 });
    let made: crate::admin::socket::LinkAnswer = world.verbs.post("/join-link", &link).await.unwrap();
    let link: olog_proto::JoinLink = made.link.parse().unwrap();
    let key = SecretKey::from_seed([9; 32]).public();
    let body = serde_json::json!({ "secret": link.secret, "name": NAME, "key": key }).to_string();
    let mut socket = TcpStream::connect(world.hub.address()).await.unwrap();
    let head = format!(
        "POST /join HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    tokio::io::AsyncWriteExt::write_all(&mut socket, (head + &body).as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut socket, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(refused(&world, 1).await, Refusal::Revoked);
    assert_eq!(refused(&world, 2).await, Refusal::Revoked);
    assert!(matches!(Agent::dial(&world, 9).await.prove().await, HubFrame::Welcome { .. }));
}

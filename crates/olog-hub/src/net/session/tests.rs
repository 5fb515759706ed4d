//! A scripted agent against a real hub: loopback, real store, real socket of the verbs.

mod rotation;
mod workers;

use futures_util::{SinkExt as _, StreamExt as _};
use olog_daemon::{clock::ClockHandle, config::read_text, socket::Client};
use olog_proto::{DeviceName, EventContent, Timestamp, event::Id128};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, client::IntoClientRequest as _},
};

use super::*;
use crate::{config::Config, hub::Hub};

struct World {
    hub: Hub,
    verbs: Client,
    clock: Clock,
    hand: ClockHandle,
    dir: tempfile::TempDir,
}

async fn world() -> World {
    world_with("").await
}

async fn world_with(more: &str) -> World {
    world_in(tempfile::tempdir().unwrap(), more).await
}

async fn world_in(dir: tempfile::TempDir, more: &str) -> World {
    let text = format!("listen = '127.0.0.1:0'\nstate_dir = {:?}\n[tls]\nmode = 'off'\n{more}", dir.path());
    let folder = dir.path().to_owned();
    let config = read_text("hub.toml", &text, |table| Config::parse(table, &folder)).unwrap();
    let verbs = Client::new("olog-hub", config.boot.socket.clone());
    let (clock, hand) = Clock::manual(Timestamp(1_800_000_000_000));
    let hub = Hub::start(config, None, clock.clone()).await.unwrap();
    World { hub, verbs, clock, hand, dir }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An agent that says what the test wants.
struct Agent {
    socket: Socket,
    hub_key: olog_proto::PublicKey,
    hub_nonce: Nonce,
    secret: SecretKey,
    boot: u8,
}

const NAME: &str = "pi";

impl Agent {
    async fn dial(world: &World, key: u8) -> Agent {
        let mut request = format!("ws://{}/agent", world.hub.address()).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", "olog.2".parse().unwrap());
        let (mut socket, _) = connect_async(request).await.unwrap();
        let HubFrame::Hello { hub_key, nonce, .. } = next(&mut socket).await.unwrap() else { panic!("no hello") };
        Agent { socket, hub_key, hub_nonce: nonce, secret: SecretKey::from_seed([key; 32]), boot: 1 }
    }

    fn auth(&self) -> Auth {
        let (name, nonce): (DeviceName, _) = (NAME.parse().unwrap(), Nonce([8; 32]));
        let proof = HandshakeProof::new(Role::Device, self.hub_nonce, nonce, &name, self.secret.public(), self.hub_key);
        Auth {
            key: self.secret.public(),
            name,
            address: None,
            version: "1".into(),
            epoch: Id128([7; 16]),
            last: 1_000_000,
            boot: Id128([self.boot; 16]),
            up: 0,
            nonce,
            time: Timestamp(1_800_000_000_000),
            signature: self.secret.sign(&proof),
        }
    }

    async fn say(&mut self, frame: &AgentFrame) {
        self.text(frame.encode().unwrap()).await;
    }

    async fn text(&mut self, text: String) {
        // The hub may have closed already: what it said is what counts.
        let _gone = self.socket.send(tungstenite::Message::text(text)).await.is_err();
    }

    async fn hears(&mut self) -> Option<HubFrame> {
        next(&mut self.socket).await
    }

    async fn refusal(&mut self) -> Refusal {
        loop {
            match self.hears().await {
                Some(HubFrame::Refused { why }) => return why,
                Some(_) => {}
                None => panic!("closed without a word"),
            }
        }
    }

    /// Proves itself; what the hub says to that.
    async fn prove(&mut self) -> HubFrame {
        let auth = self.auth();
        self.say(&AgentFrame::Auth(Box::new(auth))).await;
        self.hears().await.unwrap()
    }

    /// A session of a device that was accepted.
    async fn known(world: &World, key: u8) -> Agent {
        let mut stranger = Agent::dial(world, key).await;
        if stranger.prove().await == (HubFrame::Refused { why: Refusal::Pending }) {
            let who = crate::admin::socket::Who { who: stranger.secret.public().to_string() };
            world.verbs.post::<()>("/device/accept", &who).await.unwrap();
        }
        Agent::again(world, key, 1).await
    }

    async fn again(world: &World, key: u8, boot: u8) -> Agent {
        let mut agent = Agent::dial(world, key).await;
        agent.boot = boot;
        let HubFrame::Welcome { signature, .. } = agent.prove().await else { panic!("not welcome") };
        let name: DeviceName = NAME.parse().unwrap();
        let proof = HandshakeProof::new(
            Role::Hub,
            agent.hub_nonce,
            Nonce([8; 32]),
            &name,
            agent.secret.public(),
            agent.hub_key,
        );
        assert!(agent.hub_key.verify(&proof, &signature));
        agent
    }
}

async fn next(socket: &mut Socket) -> Option<HubFrame> {
    loop {
        match timeout(Duration::from_secs(30), socket.next()).await.expect("the hub says nothing") {
            Some(Ok(tungstenite::Message::Text(text))) => return Some(HubFrame::decode(&text).unwrap()),
            Some(Ok(tungstenite::Message::Close(_)) | Err(_)) | None => return None,
            Some(Ok(_)) => {}
        }
    }
}

fn event(n: u64) -> Event {
    let run = EventContent::RunStarted { task: "t".to_owned().try_into().unwrap(), run: "r".into() };
    Event {
        n,
        at: olog_proto::DeviceTime(Timestamp(1_800_000_000_000)),
        boot: Id128([1; 16]),
        up: n,
        what: run,
        by: None,
        pushed: None,
    }
}

fn events(from: u64, n: u64) -> AgentFrame {
    AgentFrame::Events { from, events: (from..from + n).map(event).collect() }
}

#[track_caller]
fn says(why: &Refusal, words: &str) {
    match why {
        Refusal::BadFrame { detail } => assert!(detail.contains(words), "{detail}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_committed_is_acknowledged_and_known_at_the_next_session() {
    let world = world().await;
    let mut agent = Agent::known(&world, 1).await;
    agent.say(&events(1, 3)).await;
    agent.say(&events(4, 2)).await;
    let mut through = 0;
    while through < 5 {
        let Some(HubFrame::Ack { through: n }) = agent.hears().await else { panic!("no ack") };
        assert!(n > through);
        through = n;
    }
    agent.say(&AgentFrame::Bye { why: "stop".into() }).await;
    assert_eq!(agent.hears().await, None);
    let mut again = Agent::dial(&world, 1).await;
    assert!(matches!(again.prove().await, HubFrame::Welcome { acked: 5, window: WINDOW, .. }));
}

#[tokio::test]
async fn a_bad_proof_and_a_replayed_one_are_refused() {
    let world = world().await;
    let mut agent = Agent::dial(&world, 1).await;
    let mut auth = agent.auth();
    auth.name = "other".parse().unwrap();
    agent.say(&AgentFrame::Auth(Box::new(auth))).await;
    assert_eq!(agent.refusal().await, Refusal::BadProof);

    let replayed = Agent::known(&world, 1).await.auth();
    let mut thief = Agent::dial(&world, 1).await;
    thief.say(&AgentFrame::Auth(Box::new(replayed))).await;
    assert_eq!(thief.refusal().await, Refusal::BadProof);
}

#[tokio::test]
async fn frames_that_come_too_early_or_twice_are_refused() {
    let world = world().await;
    let mut early = Agent::dial(&world, 1).await;
    early.say(&events(1, 1)).await;
    says(&early.refusal().await, "the first frame must be auth");

    let mut twice = Agent::known(&world, 1).await;
    let auth = twice.auth();
    twice.say(&AgentFrame::Auth(Box::new(auth))).await;
    says(&twice.refusal().await, "a second auth");
}

#[tokio::test]
async fn unknown_frames_are_named_and_unknown_fields_passed_over() {
    let world = world().await;
    let mut agent = Agent::known(&world, 1).await;
    let bye = r#"{"bye": {"why": "stop", "new_field": 1}}"#;
    agent.text(bye.into()).await;
    assert_eq!(agent.hears().await, None);
    let mut agent = Agent::known(&world, 1).await;
    agent.text(r#"{"teleport": {}}"#.into()).await;
    says(&agent.refusal().await, "teleport");
}

#[tokio::test]
async fn events_out_of_order_are_refused() {
    let world = world().await;
    for from in [1, 2, 5] {
        let mut agent = Agent::known(&world, 1).await;
        agent.say(&events(1, 2)).await;
        agent.say(&events(from, 1)).await;
        says(&agent.refusal().await, "out of order");
    }
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_refused_before_it_is_read() {
    let world = world().await;
    let mut agent = Agent::known(&world, 1).await;
    agent.text(" ".repeat(FRAME_MAX + 1)).await;
    match agent.hears().await {
        Some(HubFrame::Refused { why }) => says(&why, "more than"),
        // The words may be lost behind the reset that unread bytes cause; the session is over either way.
        None => {}
        Some(other) => panic!("{other:?}"),
    }
    let mut bytes = Agent::known(&world, 1).await;
    bytes.socket.send(tungstenite::Message::binary(vec![1, 2])).await.unwrap();
    says(&bytes.refusal().await, "text");
}

#[tokio::test]
async fn of_two_sessions_of_one_key_the_newer_one_stays() {
    let world = world().await;
    let mut older = Agent::known(&world, 1).await;
    let mut newer = Agent::again(&world, 1, 2).await;
    assert_eq!(older.refusal().await, Refusal::Displaced);
    newer.say(&events(1, 1)).await;
    assert_eq!(newer.hears().await, Some(HubFrame::Ack { through: 1 }));
}

#[tokio::test]
async fn a_forgotten_device_is_cut_at_once_and_not_let_in_again() {
    let world = world().await;
    let mut agent = Agent::known(&world, 1).await;
    world.verbs.post::<()>("/device/forget", &crate::admin::socket::Who { who: NAME.into() }).await.unwrap();
    assert_eq!(agent.refusal().await, Refusal::Revoked);
    let mut again = Agent::dial(&world, 1).await;
    assert_eq!(again.prove().await, HubFrame::Refused { why: Refusal::Revoked });
}

#[tokio::test]
async fn a_hub_that_stops_closes_its_sessions_and_marks_the_stop() {
    let world = world().await;
    let mut agent = Agent::known(&world, 1).await;
    let (clean, heard) = tokio::join!(world.hub.stop(), agent.hears());
    assert!(clean);
    assert_eq!(heard, None);
}

#[tokio::test]
async fn the_next_key_is_announced_from_the_next_start_on_signed_by_the_present_one() {
    let world = world().await;
    let agent = Agent::known(&world, 1).await;
    let made: crate::admin::socket::identity::HubKey = world.verbs.post("/identity/next", &()).await.unwrap();
    let (present, World { hub, dir, .. }) = (agent.hub_key, world);
    hub.stop().await;
    let world = world_in(dir, "").await;
    let mut agent = Agent::dial(&world, 1).await;
    assert_eq!(agent.hub_key, present);
    let HubFrame::Welcome { next: Some(next), .. } = agent.prove().await else { panic!("no key is announced") };
    assert_eq!(next.key.fingerprint(), made.fingerprint);
    assert!(present.verify(&HandshakeProof::next_hub_key(present, next.key), &next.signature));
    let rotate = crate::admin::socket::identity::Rotate { now: false };
    let early = world.verbs.post::<crate::admin::socket::identity::HubKey>("/identity/rotate", &rotate).await;
    assert!(early.unwrap_err().to_string().contains("has to be announced until"));
    let rotate = crate::admin::socket::identity::Rotate { now: true };
    world.verbs.post::<crate::admin::socket::identity::HubKey>("/identity/rotate", &rotate).await.unwrap();
    let World { hub, dir, .. } = world;
    hub.stop().await;
    let world = world_in(dir, "").await;
    assert_eq!(Agent::dial(&world, 1).await.hub_key, next.key);
}

#[tokio::test]
async fn the_hub_says_that_it_takes_jobs_and_answers_each_frame_of_them() {
    use olog_proto::job::{JobOutcome, JobSchedule, ProposedJob};
    let world = world().await;
    let mut agent = Agent::known(&world, 1).await;
    drop(agent.socket.close(None).await);
    let mut agent = Agent::dial(&world, 1).await;
    let HubFrame::Welcome { accepts, .. } = agent.prove().await else { panic!("not welcome") };
    assert!(accepts.iter().any(|kind| kind == olog_proto::frame::JOBS), "{accepts:?}");
    let when = JobSchedule::Every { period: 60_000 };
    let jobs = AgentFrame::Jobs { jobs: vec![ProposedJob { task: "t".parse().unwrap(), when, slack: 0, grace: None }] };
    for _ in 0..2 {
        agent.say(&jobs).await;
        let Some(HubFrame::Jobs(answers)) = agent.hears().await else { panic!("no answer") };
        assert_eq!((answers.device.as_str(), answers.answers[0].outcome), (NAME, JobOutcome::Proposed));
    }
    // One at a time: what comes before the answer could be without end.
    let text = jobs.encode().unwrap();
    for _ in 0..50 {
        agent.socket.feed(tungstenite::Message::text(text.clone())).await.unwrap();
    }
    let _gone = agent.socket.flush().await.is_err();
    says(&agent.refusal().await, "a jobs frame before the answer to the one before");

    let mut stranger = Agent::dial(&world, 2).await;
    stranger.say(&jobs).await;
    says(&stranger.refusal().await, "the first frame must be auth");
}

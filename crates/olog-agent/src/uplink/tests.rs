//! A scripted hub at the other end of streams in memory: every sentence of the protocol, and every way to break it.

mod hostile;
mod jobs;
mod next_key;
mod rotation;

use std::{path::PathBuf, time::Duration};

use futures_util::StreamExt as _;
use olog_proto::{
    PublicKey, SUBPROTOCOL, Signature, Timestamp,
    event::Id128,
    frame::Auth,
    identity::{HandshakeProof, Role},
};
use tokio::{io::DuplexStream, sync::mpsc, task::JoinSet};
use tokio_tungstenite::WebSocketStream;

use super::*;
use crate::dial::ByteStream;

const HUB: [u8; 32] = [9; 32];
const LIMIT: Duration = Duration::from_secs(20);

struct TestRoad(mpsc::Sender<DuplexStream>);

impl Connector for TestRoad {
    async fn reach(&self, _: &Target) -> Result<Box<dyn ByteStream>, DialError> {
        let (ours, theirs) = tokio::io::duplex(16 * 1024);
        let refused = |_| DialError::Tcp { to: "hub".into(), why: "refused".into() };
        self.0.send(theirs).await.map_err(refused)?;
        Ok(Box::new(ours))
    }
}

/// Counts up: two sessions never share a nonce, and the jitter is none.
struct Counting(u8);

impl RandomSource for Counting {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.0 = self.0.wrapping_add(1);
        bytes.fill(self.0);
        if let [one] = bytes {
            *one = 0;
        }
        Ok(())
    }
}

struct World {
    roads: mpsc::Receiver<DuplexStream>,
    spool: Spool,
    bell: Arc<Notify>,
    link: watch::Receiver<ConnectionStatus>,
    setup: watch::Sender<Setup>,
    keys: watch::Receiver<KeyStatus>,
    propose: mpsc::Sender<JobsRequest>,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), UplinkError>>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("spool.db");
        let spool = Spool::open(&path, Id128([1; 16])).unwrap().0;
        let (road, roads) = mpsc::channel(1);
        let (link, link_seen) = watch::channel(ConnectionStatus::default());
        let hub = Hub { base: "http://hub".into(), key: SecretKey::from_seed(HUB).public(), next: None, tls: None };
        let setup = Setup { hub: Some(hub), name: "comsrv".parse().unwrap(), address: None, next_key: None };
        let (setup, setup_seen) = watch::channel(setup);
        let (keys, keys_seen) =
            watch::channel(KeyStatus { key: SecretKey::from_seed([1; 32]).public(), trouble: None });
        let bell = Arc::new(Notify::new());
        let stop = CancellationToken::new();
        let (propose, proposed) = mpsc::channel(crate::uplink::jobs::QUEUE);
        let uplink = Uplink {
            road: TestRoad(road),
            chance: Counting(0),
            key: SecretKey::from_seed([1; 32]),
            state_dir: folder.path().to_owned(),
            spool: spool.clone(),
            bell: bell.clone(),
            clock: Clock::manual(Timestamp(1_000_000)).0,
            setup: setup_seen,
            proposed,
            link,
            keys,
            why: || "stop",
            worker: Worker::default(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(uplink.run(stop.clone()));
        World { roads, spool, bell, link: link_seen, setup, keys: keys_seen, propose, stop, tasks, _folder: folder }
    }

    fn put(&self, n: u64) {
        for i in 0..n {
            let text = format!("note {i}");
            let note = Note { code: "test".into(), path: None, text, over: false, once: true };
            self.spool.put_note(note, boot::stamp(Timestamp(5))).unwrap();
        }
        self.bell.notify_one();
    }

    async fn accept(&mut self) -> TestHub {
        let stream = within(self.roads.recv()).await.expect("the uplink is gone");
        TestHub {
            socket: within(websocket::accept(stream, SUBPROTOCOL)).await.unwrap(),
            key: SecretKey::from_seed(HUB),
        }
    }

    /// A session through `welcome`.
    async fn welcome(&mut self, acked: u64, window: u32, ping_every: u64) -> TestHub {
        let mut hub = self.accept().await;
        hub.hello(hub.key.public()).await;
        let auth = hub.auth().await;
        hub.say(&hub.welcome_frame(&auth, acked, window, ping_every)).await;
        hub
    }

    async fn link(&mut self, is: impl FnMut(&ConnectionStatus) -> bool) -> ConnectionStatus {
        within(self.link.wait_for(is)).await.unwrap().clone()
    }

    async fn stopped(mut self) {
        self.stop.cancel();
        within(self.tasks.join_next()).await.unwrap().unwrap().unwrap();
    }
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(LIMIT, what).await.expect("it did not happen within the limit")
}

struct TestHub {
    socket: WebSocketStream<DuplexStream>,
    key: SecretKey,
}

impl TestHub {
    async fn say(&mut self, frame: &HubFrame) {
        self.say_text(frame.encode().unwrap()).await;
    }

    async fn say_text(&mut self, text: String) {
        within(self.socket.send(Message::text(text))).await.unwrap();
    }

    async fn hello(&mut self, key: PublicKey) {
        let versions = vec![SUBPROTOCOL.to_owned()];
        self.say(&HubFrame::Hello { hub_key: key, nonce: Nonce([5; 32]), time: Timestamp(1_000_500), versions }).await;
    }

    async fn frame(&mut self) -> Option<AgentFrame> {
        let text = within(websocket::hear(&mut self.socket)).await?;
        Some(AgentFrame::decode(&text).unwrap())
    }

    async fn auth(&mut self) -> Auth {
        match self.frame().await {
            Some(AgentFrame::Auth(auth)) => *auth,
            other => panic!("expected auth, got {other:?}"),
        }
    }

    fn proof(&self, role: Role, auth: &Auth) -> HandshakeProof {
        HandshakeProof::new(role, Nonce([5; 32]), auth.nonce, &auth.name, auth.key, self.key.public())
    }

    fn welcome_frame(&self, auth: &Auth, acked: u64, window: u32, ping_every: u64) -> HubFrame {
        let signature = self.key.sign(&self.proof(Role::Hub, auth));
        HubFrame::Welcome {
            acked,
            window,
            ping_every,
            time: Timestamp(1_000_500),
            signature,
            next: None,
            accepts: Vec::new(),
        }
    }

    /// The numbers of the next events.
    async fn numbers(&mut self) -> Vec<u64> {
        match self.frame().await {
            Some(AgentFrame::Events { events, .. }) => events.iter().map(|e| e.n).collect(),
            other => panic!("expected events, got {other:?}"),
        }
    }

    async fn is_left(&mut self) -> bool {
        self.frame().await.is_none()
    }
}

#[tokio::test]
async fn what_is_held_goes_to_the_hub_and_leaves_when_it_is_acknowledged() {
    let mut world = World::new();
    world.put(2);
    let mut hub = world.accept().await;
    hub.hello(hub.key.public()).await;
    let auth = hub.auth().await;
    assert_eq!((auth.name.as_str(), auth.last, auth.time), ("comsrv", 2, Timestamp(1_000_000)));
    assert!(auth.key.verify(&hub.proof(Role::Device, &auth), &auth.signature));
    hub.say(&hub.welcome_frame(&auth, 0, 100, 20_000)).await;
    assert_eq!(hub.numbers().await, [1, 2]);
    assert_eq!(world.link(|link| link.connected).await.skew, Some(500));
    hub.say(&HubFrame::Ack { through: 2 }).await;
    world.put(1);
    assert_eq!(hub.numbers().await, [3], "a bell sends at once");
    assert_eq!((world.spool.acked(), world.spool.held().events), (2, 1));
    world.stopped().await;
}

#[tokio::test]
async fn no_more_than_the_window_is_on_its_way() {
    let mut world = World::new();
    world.put(5);
    let mut hub = world.welcome(0, 2, 20_000).await;
    assert_eq!(hub.numbers().await, [1, 2]);
    hub.say(&HubFrame::Ack { through: 1 }).await;
    assert_eq!(hub.numbers().await, [3]);
    hub.say(&HubFrame::Ack { through: 3 }).await;
    assert_eq!(hub.numbers().await, [4, 5]);
    world.stopped().await;
}

#[tokio::test]
async fn after_a_break_the_same_numbers_come_again() {
    let mut world = World::new();
    world.put(3);
    let mut hub = world.welcome(0, 100, 20_000).await;
    assert_eq!(hub.numbers().await, [1, 2, 3]);
    hub.say(&HubFrame::Ack { through: 1 }).await;
    drop(hub);
    // The hub had committed all three, and says so: only an ack of what was sent now releases them.
    let mut hub = world.welcome(3, 100, 20_000).await;
    assert_eq!(hub.numbers().await, [2, 3]);
    assert_eq!(world.spool.held().events, 2);
    world.stopped().await;
}

#[tokio::test]
async fn another_hub_gets_no_event() {
    let mut world = World::new();
    world.put(1);
    let mut hub = world.accept().await;
    hub.hello(SecretKey::from_seed([8; 32]).public()).await;
    assert!(hub.is_left().await, "not even who this device is");
    let link = world.link(|link| link.trouble.is_some()).await;
    assert!(link.trouble.as_ref().unwrap().contains("from a backup"), "{link:?}");
    world.stopped().await;
}

#[tokio::test]
async fn a_hub_that_cannot_sign_gets_no_event() {
    let mut world = World::new();
    world.put(1);
    let mut hub = world.accept().await;
    hub.hello(hub.key.public()).await;
    let auth = hub.auth().await;
    let signature = Signature([0; 64]);
    hub.say(&HubFrame::Welcome {
        acked: 0,
        window: 10,
        ping_every: 1000,
        time: Timestamp(0),
        signature,
        next: None,
        accepts: Vec::new(),
    })
    .await;
    assert!(hub.is_left().await);
    // The right key, but over another device's name.
    let mut hub = world.accept().await;
    hub.hello(hub.key.public()).await;
    let mut forged = auth;
    forged.name = "other".parse().unwrap();
    let frame = hub.welcome_frame(&forged, 0, 10, 1000);
    hub.auth().await;
    hub.say(&frame).await;
    assert!(hub.is_left().await);
    assert!(world.link(|l| l.trouble.is_some()).await.trouble.unwrap().contains("cannot prove it"));
    world.stopped().await;
}

#[tokio::test]
async fn an_ack_of_what_was_never_sent_releases_nothing() {
    let mut world = World::new();
    world.put(3);
    let mut hub = world.welcome(0, 2, 20_000).await;
    assert_eq!(hub.numbers().await, [1, 2]);
    hub.say(&HubFrame::Ack { through: 3 }).await;
    assert!(hub.is_left().await);
    assert_eq!(world.spool.held().events, 3);
    let mut hub = world.welcome(0, 2, 20_000).await;
    assert_eq!(hub.numbers().await, [1, 2]);
    world.stopped().await;
}

#[tokio::test]
async fn an_ack_that_comes_twice_or_late_says_nothing_new() {
    let mut world = World::new();
    world.put(2);
    let mut hub = world.welcome(0, 10, 20_000).await;
    assert_eq!(hub.numbers().await, [1, 2]);
    for through in [2, 2, 1, 0] {
        hub.say(&HubFrame::Ack { through }).await;
    }
    world.put(1);
    assert_eq!(hub.numbers().await, [3]);
    assert_eq!((world.spool.acked(), world.spool.held().events), (2, 1));
    world.stopped().await;
}

#[tokio::test]
async fn a_new_epoch_renumbers_what_is_held_and_tells_it() {
    let mut world = World::new();
    world.put(3);
    let mut hub = world.welcome(0, 10, 20_000).await;
    assert_eq!(hub.numbers().await, [1, 2, 3]);
    hub.say(&HubFrame::Ack { through: 2 }).await;
    hub.say(&HubFrame::Refused { why: Refusal::NewEpoch { detail: "number 3 is another event".into() } }).await;
    drop(hub);
    let mut hub = world.accept().await;
    hub.hello(hub.key.public()).await;
    let auth = hub.auth().await;
    assert_ne!(auth.epoch, Id128([1; 16]));
    assert_eq!(auth.last, 2, "the one that was held, and the note");
    hub.say(&hub.welcome_frame(&auth, 0, 10, 20_000)).await;
    match hub.frame().await {
        Some(AgentFrame::Events { events, .. }) => {
            let json = serde_json::to_string(&events).unwrap();
            assert!(json.contains("note 2") && json.contains("epoch_renewed"), "{json}");
        }
        other => panic!("{other:?}"),
    }
    world.stopped().await;
}

#[tokio::test]
async fn a_pending_device_keeps_its_spool_and_asks_again() {
    let mut world = World::new();
    world.put(1);
    let mut hub = world.accept().await;
    hub.hello(hub.key.public()).await;
    hub.auth().await;
    hub.say(&HubFrame::Refused { why: Refusal::Pending }).await;
    let link = world.link(|link| link.trouble.is_some()).await;
    assert!(link.trouble.unwrap().contains("--pending") && !link.revoked);
    assert_eq!(world.spool.held().events, 1);
    let mut hub = world.welcome(0, 10, 20_000).await;
    assert_eq!(hub.numbers().await, [1]);
    world.stopped().await;
}

#[tokio::test]
async fn a_revoked_device_waits_until_it_is_joined_again() {
    let mut world = World::new();
    world.put(1);
    let mut hub = world.accept().await;
    hub.hello(hub.key.public()).await;
    hub.auth().await;
    hub.say(&HubFrame::Refused { why: Refusal::Revoked }).await;
    let link = world.link(|link| link.revoked).await;
    assert!(link.trouble.unwrap().contains("join again"));
    world.setup.send_modify(|setup| setup.name = "comsrv-2".parse().unwrap());
    let mut hub = world.accept().await;
    hub.hello(hub.key.public()).await;
    assert_eq!(hub.auth().await.name.as_str(), "comsrv-2");
    world.stopped().await;
}

#[tokio::test]
async fn a_new_name_is_told_to_the_hub_at_once() {
    let mut world = World::new();
    let mut hub = world.welcome(0, 10, 20_000).await;
    world.link(|link| link.connected).await;
    world.setup.send_modify(|setup| setup.name = "renamed".parse().unwrap());
    assert!(hub.is_left().await);
    let mut hub = world.accept().await;
    hub.hello(hub.key.public()).await;
    assert_eq!(hub.auth().await.name.as_str(), "renamed");
    world.stopped().await;
}

#[tokio::test]
async fn a_silent_hub_is_left_and_tried_again() {
    let mut world = World::new();
    let hub = world.welcome(0, 10, 100).await;
    let link = world.link(|link| link.trouble.is_some()).await;
    assert!(link.trouble.unwrap().contains("nothing was heard"));
    drop(hub);
    world.welcome(0, 10, 100).await;
    world.stopped().await;
}

#[tokio::test]
async fn pings_are_answered_and_count_as_heard() {
    let mut world = World::new();
    let mut hub = world.welcome(0, 10, 500).await;
    for i in 0..10_u8 {
        within(hub.socket.send(Message::Ping(vec![i].into()))).await.unwrap();
        match within(hub.socket.next()).await {
            Some(Ok(Message::Pong(payload))) => assert_eq!(payload.as_ref(), [i]),
            other => panic!("{other:?}"),
        }
    }
    world.stopped().await;
}

#[tokio::test]
async fn a_frame_over_its_bound_ends_the_session_and_releases_nothing() {
    let mut world = World::new();
    world.put(1);
    let mut hub = world.welcome(0, 10, 20_000).await;
    assert_eq!(hub.numbers().await, [1]);
    // The agent leaves while it is still being sent: how that looks here does not matter.
    drop(within(hub.socket.send(Message::text("x".repeat(olog_proto::FRAME_MAX + 1)))).await);
    let link = world.link(|link| link.trouble.is_some()).await;
    assert!(link.trouble.unwrap().contains("broke the protocol"));
    assert_eq!(world.spool.held().events, 1);
    world.stopped().await;
}

#[tokio::test]
async fn nonsense_from_the_hub_ends_the_session_in_words() {
    for nonsense in ["{}", "{\"ack\":{\"through\":-1}}", "not json", "{\"run\":{\"command\":\"rm\"}}"] {
        let mut world = World::new();
        let mut hub = world.welcome(0, 10, 20_000).await;
        hub.say_text(nonsense.into()).await;
        assert!(
            world.link(|l| l.trouble.is_some()).await.trouble.unwrap().contains("broke the protocol"),
            "{nonsense}"
        );
        world.stopped().await;
    }
}

#[tokio::test]
async fn a_hub_that_reads_late_gets_everything() {
    let mut world = World::new();
    world.put(1200);
    let mut hub = world.welcome(0, 1000, 20_000).await;
    let mut seen = 0;
    while seen < 1200 {
        let numbers = hub.numbers().await;
        assert_eq!(numbers.first(), Some(&(seen + 1)));
        seen = *numbers.last().unwrap();
        hub.say(&HubFrame::Ack { through: seen }).await;
    }
    world.stopped().await;
}

#[tokio::test]
async fn a_stop_says_goodbye() {
    let mut world = World::new();
    let mut hub = world.welcome(0, 10, 20_000).await;
    world.link(|link| link.connected).await;
    world.stop.cancel();
    assert!(matches!(hub.frame().await, Some(AgentFrame::Bye { why }) if why == "stop"));
    world.stopped().await;
}

#[tokio::test]
async fn a_proxy_that_loses_the_upgrade_is_told_in_words() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let answers = [
        ("HTTP/1.1 426 Upgrade Required\r\ncontent-length: 0\r\n\r\n", "proxy_set_header Upgrade"),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "no hub at this path"),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "the hub behind it does not"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", "this is not a hub"),
        ("SSH-2.0-OpenSSH_9.2\r\n", "does not answer as a web server"),
    ];
    for (answer, words) in answers {
        let mut world = World::new();
        let mut stream = within(world.roads.recv()).await.unwrap();
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).await.unwrap() > 0);
        stream.write_all(answer.as_bytes()).await.unwrap();
        let trouble = world.link(|link| link.trouble.is_some()).await.trouble.unwrap();
        assert!(trouble.contains(words), "{trouble}");
        world.stopped().await;
    }
}

#[test]
fn the_back_off_is_quick_at_first_and_never_over_its_bound() {
    let mut back_off = BackOff::default();
    let waits: Vec<_> = (0..40).map(|_| back_off.next()).collect();
    assert_eq!(waits[0], BACK_OFF_MIN);
    assert!(waits.iter().all(|w| *w <= BACK_OFF_MAX) && waits[39] == BACK_OFF_MAX);
    let mut most = crate::identity::SystemRandom;
    for _ in 0..100 {
        let wait = jittered(BACK_OFF_MAX, &mut most).unwrap();
        assert!(wait >= BACK_OFF_MAX / 2 && wait <= BACK_OFF_MAX);
    }
}

#[test]
fn whatever_hub_and_network_do_is_tried_again_and_only_a_broken_spool_or_no_randomness_ends_the_process() {
    let path = std::path::PathBuf::from("/s");
    let again = [
        Disconnect::Broken("reset".into()),
        Disconnect::Silent(Duration::from_secs(1)),
        Disconnect::Protocol("no text".into()),
        Disconnect::Refused(Refusal::Revoked),
        Disconnect::Enter(EnterError::BadProof),
        Disconnect::Spool(SpoolError::Full { path: path.clone() }),
    ];
    for disconnect in again {
        assert_eq!(disconnect.consequence(), Consequence::Retry, "{disconnect}");
    }
    for disconnect in [Disconnect::Spool(SpoolError::Damaged { path }), Disconnect::RandomBytes(io::Error::other("x"))]
    {
        assert_eq!(disconnect.consequence(), Consequence::End, "{disconnect}");
    }
}

#[tokio::test]
async fn a_hub_that_asks_for_new_numbers_again_and_again_makes_one_note_and_its_texts_are_bounded() {
    let mut world = World::new();
    for _ in 0..3 {
        let mut hub = world.welcome(0, 10, 60_000).await;
        let detail = format!("\u{1b}[2J{}", "x".repeat(100_000));
        hub.say(&HubFrame::Refused { why: Refusal::NewEpoch { detail } }).await;
        let link = world.link(|link| !link.connected && link.trouble.is_some()).await;
        let trouble = link.trouble.unwrap();
        let n_of_hub = trouble.chars().filter(|c| *c == 'x').count();
        assert!(n_of_hub <= 200 && !trouble.contains('\u{1b}'), "{trouble}");
    }
    // The third session may not be over yet in the spool; one note is all there ever is.
    assert_eq!(world.spool.held().events, 1);
    let events = world.spool.after(0, 10, 1 << 20).unwrap();
    assert!(serde_json::to_string(&events).unwrap().len() < 2_000);
    world.stopped().await;
}

#[test]
fn only_a_session_that_lasted_makes_the_next_try_quick() {
    let mut back_off = BackOff::default();
    let first = back_off.next();
    back_off.after_session(BACK_OFF_MAX - Duration::from_millis(1));
    assert_eq!(back_off.next(), 2 * first);
    back_off.after_session(BACK_OFF_MAX);
    assert_eq!(back_off.next(), first);
}

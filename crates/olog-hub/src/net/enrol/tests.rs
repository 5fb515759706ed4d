use olog_daemon::clock::ClockHandle;
use olog_proto::Timestamp;

use super::*;
use crate::net::identity::identities;
use crate::{
    net::sessions::{self, Order},
    store::{
        Opened, StoreUrl,
        devices::{self, SessionStart},
    },
};

struct World {
    enrol: Enrol,
    sessions: Arc<Sessions>,
    hand: ClockHandle,
    _dir: tempfile::TempDir,
}

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn world() -> World {
    let dir = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual(Timestamp(1_000_000));
    let url = StoreUrl::Sqlite(dir.path().join("olog.db"));
    let (store, opened) = Store::open(&url, clock.now()).await.unwrap();
    assert_eq!(opened, Opened::Fresh);
    let hub = identities(&store).await.unwrap().present;
    assert_eq!(identities(&store).await.unwrap().present.public(), hub.public());
    let sessions = Sessions::new();
    World {
        enrol: Enrol::new(store, sessions.clone(), clock, hub.public(), Bell::default()),
        sessions,
        hand,
        _dir: dir,
    }
}

impl World {
    async fn link(&self, device: Option<&str>, expires: u64, uses: u32) -> JoinSecret {
        let request = LinkRequest {
            device: device.map(|name| name.parse().unwrap()),
            expires,
            uses,
            local: false,
            install: false,
        };
        self.enrol.link(request, "https://h".into(), None, "alice").await.unwrap().secret
    }

    async fn join(&self, secret: JoinSecret, name: &str, key: u8) -> Result<String, EnrolError> {
        let request = JoinRequest { secret, name: name.parse().unwrap(), address: None, key: PublicKey([key; 32]) };
        self.enrol.join(HERE, request).await.map(|answer| answer.name.to_string())
    }

    async fn names(&self) -> Vec<String> {
        self.enrol.list(false).await.unwrap().into_iter().map(|device| device.name).collect()
    }

    /// A device without a link proves its key.
    async fn pend(&self, name: &str, key: u8) {
        let hello = hello(name, [key; 32], self.enrol.clock.now());
        let wait = move |tx: &mut crate::store::Tx<'_>| match devices::by_key(tx, &hello.key)? {
            Some(_) => Ok(()),
            None => devices::add_pending(tx, &hello),
        };
        self.enrol.store.write(wait).await.unwrap();
    }
}

fn hello(name: &str, key: [u8; 32], now: Timestamp) -> SessionStart {
    let id = olog_proto::event::Id128([1; 16]);
    let (version, address) = (String::new(), None);
    let name = name.parse().unwrap();
    SessionStart {
        key: PublicKey(key),
        name,
        address,
        version,
        epoch: id,
        last: 0,
        boot: id,
        up: 0,
        peer: HERE,
        skew_ms: 0,
        now,
    }
}

#[tokio::test]
async fn a_link_lets_one_device_join_once() {
    let world = world().await;
    let secret = world.link(None, 3600, 1).await;
    assert_eq!(world.join(secret, "comsrv", 1).await.unwrap(), "comsrv");
    assert!(matches!(world.join(secret, "nas", 2).await, Err(EnrolError::BadLink)));
    // Its first answer was lost: the same device may ask again.
    assert_eq!(world.join(secret, "comsrv", 1).await.unwrap(), "comsrv");
    assert_eq!(world.names().await, ["comsrv"]);
}

#[tokio::test]
async fn a_link_may_have_several_uses_and_ends_by_its_time() {
    let world = world().await;
    let secret = world.link(None, 60, 2).await;
    world.join(secret, "a", 1).await.unwrap();
    world.join(secret, "b", 2).await.unwrap();
    assert!(matches!(world.join(secret, "c", 3).await, Err(EnrolError::BadLink)));
    let later = world.link(None, 60, 1).await;
    world.hand.advance(60_000);
    assert!(matches!(world.join(later, "c", 3).await, Err(EnrolError::BadLink)));
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_and_costs_no_use() {
    let world = world().await;
    world.join(world.link(None, 60, 1).await, "comsrv", 1).await.unwrap();
    let secret = world.link(None, 60, 1).await;
    let error = world.join(secret, "comsrv", 2).await.unwrap_err();
    assert!(error.to_string().contains("join-link --device comsrv"), "{error}");
    world.join(secret, "other", 2).await.unwrap();
}

#[tokio::test]
async fn a_replacement_keeps_the_row_and_kills_the_old_key_at_once() {
    let world = world().await;
    world.join(world.link(None, 60, 1).await, "comsrv", 1).await.unwrap();
    let before = world.enrol.list(false).await.unwrap().remove(0);
    let who = sessions::AuthenticatedDevice {
        device: devices::DeviceId(before.id),
        boot: olog_proto::event::Id128([1; 16]),
        peer: HERE,
        skew_ms: 0,
    };
    let (place, _) = world.sessions.take(world.sessions.reservation(), who, Timestamp(0));

    let secret = world.link(Some("comsrv"), 60, 1).await;
    assert_eq!(world.join(secret, "debian", 2).await.unwrap(), "comsrv");
    assert_eq!(place.seat().next_order().await, Order::Revoked);
    let after = world.enrol.list(false).await.unwrap().remove(0);
    assert_eq!((after.id, after.key), (before.id, Some(PublicKey([2; 32]))));
    // The old machine is no stranger that may wait.
    world.pend("comsrv", 1).await;
    assert!(world.enrol.list(true).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_forgotten_device_leaves_a_mark_and_may_join_again() {
    let world = world().await;
    world.join(world.link(None, 60, 1).await, "comsrv", 1).await.unwrap();
    let id = world.enrol.list(false).await.unwrap()[0].id;
    world.enrol.forget("comsrv").await.unwrap();
    assert!(world.names().await.is_empty());
    world.pend("comsrv", 1).await;
    assert!(world.enrol.list(true).await.unwrap().is_empty());
    assert!(matches!(world.enrol.forget("comsrv").await, Err(EnrolError::Unknown(_))));
    // The name is free for another one; the old key comes back under a new name as the same device.
    world.join(world.link(None, 60, 1).await, "comsrv", 2).await.unwrap();
    world.join(world.link(None, 60, 1).await, "old", 1).await.unwrap();
    let devices = world.enrol.list(false).await.unwrap();
    assert_eq!(devices.iter().map(|d| d.name.as_str()).collect::<Vec<_>>(), ["comsrv", "old"]);
    assert_eq!(devices[1].id, id);
}

#[tokio::test]
async fn an_unknown_device_waits_until_somebody_accepts_it() {
    let world = world().await;
    for key in [1, 1, 2] {
        world.pend("nas", key).await;
    }
    assert!(matches!(world.enrol.accept("nas").await, Err(EnrolError::Several(_))));
    world.enrol.accept(&PublicKey([2; 32]).to_string()).await.unwrap();
    assert!(matches!(world.enrol.accept("nas").await, Err(EnrolError::RenameTaken(_))));
    world.enrol.forget(&PublicKey([1; 32]).to_string()).await.unwrap();
    assert_eq!(world.names().await, ["nas"]);
    assert!(world.enrol.list(true).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_waits_waits_for_a_week_after_the_last_time_that_it_came() {
    let world = world().await;
    world.pend("old", 1).await;
    world.pend("patient", 2).await;
    world.hand.advance(6 * 86_400_000);
    let again = hello("patient", [2; 32], world.enrol.clock.now());
    world.enrol.store.write(move |tx| devices::still_pending(tx, &again)).await.unwrap();
    world.hand.advance(2 * 86_400_000);
    world.pend("new", 3).await;
    let waiting: Vec<String> = world.enrol.list(true).await.unwrap().into_iter().map(|device| device.name).collect();
    assert_eq!(waiting, ["new", "patient"]);
    let now = world.enrol.clock.now();
    assert_eq!(world.enrol.store.read(move |tx| devices::n_pending(tx, now)).await.unwrap(), 2);
}

#[tokio::test]
async fn a_device_is_renamed_if_the_name_is_free() {
    let world = world().await;
    let secret = world.link(None, 60, 2).await;
    world.join(secret, "a", 1).await.unwrap();
    world.join(secret, "b", 2).await.unwrap();
    assert!(matches!(world.enrol.rename("a", "b".parse().unwrap()).await, Err(EnrolError::RenameTaken(_))));
    assert!(matches!(world.enrol.rename("z", "y".parse().unwrap()).await, Err(EnrolError::Unknown(_))));
    world.enrol.rename("a", "c".parse().unwrap()).await.unwrap();
    assert_eq!(world.names().await, ["b", "c"]);
}

#[tokio::test]
async fn a_key_in_the_store_that_is_none_spoils_no_list() {
    let world = world().await;
    let secret = world.link(None, 60, 2).await;
    world.join(secret, "a", 1).await.unwrap();
    world.join(secret, "b", 2).await.unwrap();
    let spoil = |tx: &mut crate::store::Tx<'_>| tx.execute("UPDATE devices SET key = 'no key' WHERE name = 'a'", &[]);
    world.enrol.store.write(spoil).await.unwrap();
    assert_eq!(world.names().await, ["a", "b"]);
    let keys: Vec<bool> = world.enrol.list(false).await.unwrap().iter().map(|device| device.key.is_some()).collect();
    assert_eq!(keys, [false, true]);
    world.enrol.forget("a").await.unwrap();
    assert_eq!(world.names().await, ["b"]);
}

#[tokio::test]
async fn guessing_secrets_is_slowed_down_and_a_good_link_of_the_same_address_passes() {
    let world = world().await;
    for _ in 0..FAILED_MAX {
        assert!(matches!(world.join(JoinSecret([9; 16]), "x", 1).await, Err(EnrolError::BadLink)));
    }
    assert!(matches!(world.join(JoinSecret([9; 16]), "x", 1).await, Err(EnrolError::TooOften)));
    let good = world.link(None, 3600, 1).await;
    world.join(good, "x", 1).await.unwrap();
    world.hand.advance(FAILED_WITHIN_MS);
    assert!(matches!(world.join(JoinSecret([9; 16]), "x", 1).await, Err(EnrolError::BadLink)));
}

#[test]
fn a_link_names_the_public_url_or_says_that_it_guessed() {
    let listen: SocketAddr = "0.0.0.0:8765".parse().unwrap();
    assert_eq!(link_base(Some("https://h/olog"), listen, true), ("https://h/olog".to_owned(), None));
    let (base, word) = link_base(None, listen, true);
    assert!(base.starts_with("https://") && base.ends_with(":8765") && !base.contains("0.0.0.0"), "{base}");
    assert!(word.unwrap().contains("public_url"));
    assert_eq!(link_base(None, "[::1]:80".parse().unwrap(), false).0, "http://[::1]:80");
}

#[test]
fn a_link_for_this_machine_names_loopback_unless_the_certificate_needs_its_name() {
    let base = |listen: &str, seen| local_base(Some("https://h/olog"), listen.parse().unwrap(), seen);
    assert_eq!(base("0.0.0.0:8765", ServerAuth::ByKey).as_deref(), Some("https://127.0.0.1:8765"));
    assert_eq!(base("[::]:8765", ServerAuth::InClear).as_deref(), Some("http://[::1]:8765"));
    assert_eq!(base("10.0.0.5:80", ServerAuth::ByKey).as_deref(), Some("https://10.0.0.5:80"));
    assert_eq!(base("0.0.0.0:8765", ServerAuth::ByName).as_deref(), Some("https://h/olog"));
    assert_eq!(local_base(None, "0.0.0.0:8765".parse().unwrap(), ServerAuth::ByName), None);
}

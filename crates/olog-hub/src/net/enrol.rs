//! Enrolment, the hub's side: how a device gets its identity at the hub, and how it loses it.
//!
//! `join-link` creates a secret; the database stores only its hash. Whoever presents it before it expires joins with their own key and
//! learns only the hub's public key. A device without a link waits until the user accepts it. Forgetting or replacing a device is committed
//! before its session is closed. Also chooses the base URL of a link.
//!
//! Decides nothing about events and holds no SQL. Failed joins are limited in rate.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use olog_daemon::clock::Clock;
use olog_proto::{
    DeviceName, JoinLink, PublicKey, TEXT_MAX,
    identity::{JoinSecret, KeyPrint},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{
    bell::Bell,
    net::sessions::Sessions,
    rules::address_limit::AddressLimit,
    store::{
        Store, StoreError, Tx,
        access::audit,
        enrolment::{self, DeviceActionResult, JoinCandidate, Joined, ListedDevice, ListedLink},
    },
};

/// How long a link holds unless told otherwise.
pub const LINK_EXPIRES: Duration = Duration::from_secs(3600);
/// The longest a link may hold.
pub const LINK_EXPIRES_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Links of a list.
const LINKS_SHOWN: u32 = 100;
/// Failed attempts of one address, and of all, within a minute.
const FAILED_MAX: u32 = 20;
const FAILED_MAX_OF_ALL: u32 = 1_000;
const FAILED_WITHIN_MS: i64 = 60_000;

/// Why a verb of enrolment did not do it. Its text is for whoever asked.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The link is unknown, used or expired.
    #[error("this join link was used or has expired: make a new one with `olog-hub join-link`")]
    BadLink,
    /// Somebody else has the name.
    #[error(
        "the name {0:?} is taken, or looks like one that is: choose another one, or make the link with `olog-hub join-link --device {0}` if this device takes its place"
    )]
    NameTaken(String),
    /// A new name that is taken.
    #[error("another device is named {0:?}, or so that the two look the same")]
    RenameTaken(String),
    /// There is no such device.
    #[error("no device {0:?}: see `olog-hub device list` and `olog-hub device list --pending`")]
    Unknown(String),
    /// Several wait under one name.
    #[error("several devices named {0:?} wait: give the key, as `olog-hub device list --pending` shows it")]
    Several(String),
    /// Too many wrong secrets.
    #[error("too many failed attempts from your address: wait a minute")]
    TooOften,
    /// A text is over its bound.
    #[error("address: expected at most {TEXT_MAX} bytes")]
    TooLong,
    /// The store.
    #[error("the hub's store failed")]
    Store(#[from] StoreError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

/// `POST /join`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JoinRequest {
    /// From the link.
    pub secret: JoinSecret,
    /// The name that the device would like to have.
    pub name: DeviceName,
    /// How to reach it by ssh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Its key.
    pub key: PublicKey,
}

/// The answer: who the hub is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JoinAnswer {
    /// The hub's identity.
    pub hub_key: PublicKey,
    /// The name that the device has here.
    pub name: DeviceName,
}

/// What `join-link` asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LinkRequest {
    /// For this device only: a new one, or one that is replaced.
    #[serde(default)]
    pub device: Option<DeviceName>,
    /// In seconds.
    pub expires: u64,
    /// How many devices may join by it.
    pub uses: u32,
    /// For the agent on the hub's own machine: through loopback where the certificate allows it.
    #[serde(default)]
    pub local: bool,
    /// Not the link alone, but the line that installs the agent and joins.
    #[serde(default)]
    pub install: bool,
}

/// Enrolment.
#[derive(Debug)]
pub struct Enrol {
    store: Store,
    sessions: Arc<Sessions>,
    clock: Clock,
    hub: PublicKey,
    /// Tells of those who joined.
    watchman: Bell,
    /// Wrong secrets.
    failed: Mutex<AddressLimit>,
}

/// Random bytes of the system.
pub fn random<const N: usize>() -> Result<[u8; N], EnrolError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| EnrolError::Random)?;
    Ok(bytes)
}

fn hash(secret: &JoinSecret) -> String {
    Sha256::digest(secret.0).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Enrol {
    /// For one hub; the bell is rung when somebody joined.
    pub fn new(store: Store, sessions: Arc<Sessions>, clock: Clock, hub: PublicKey, watchman: Bell) -> Enrol {
        Enrol {
            store,
            sessions,
            clock,
            hub,
            watchman,
            failed: Mutex::new(AddressLimit::new(FAILED_MAX, FAILED_MAX_OF_ALL, FAILED_WITHIN_MS)),
        }
    }

    /// Makes a link under this base, for whoever wants it.
    pub async fn link(
        &self,
        request: LinkRequest,
        base: String,
        tls: Option<KeyPrint>,
        made_by: &str,
    ) -> Result<JoinLink, EnrolError> {
        let secret = JoinSecret(random()?);
        let now = self.clock.now();
        let expires = Duration::from_secs(request.expires).min(LINK_EXPIRES_MAX);
        let expires_at = now.plus(i64::try_from(expires.as_millis()).unwrap_or(i64::MAX));
        let (hash, made_by) = (hash(&secret), made_by.to_owned());
        self.store
            .write(move |tx| {
                let uses = request.uses.max(1);
                enrolment::add_link(tx, &hash, expires_at, uses, request.device.as_ref(), &made_by, now)
            })
            .await?;
        Ok(JoinLink { base, secret, hub: self.hub.fingerprint(), tls })
    }

    fn failed(&self) -> MutexGuard<'_, AddressLimit> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device joins.
    pub async fn join(&self, from: IpAddr, request: JoinRequest) -> Result<JoinAnswer, EnrolError> {
        let now = self.clock.now();
        if request.address.as_ref().is_some_and(|address| address.len() > TEXT_MAX) {
            return Err(EnrolError::TooLong);
        }
        let hash = hash(&request.secret);
        // A good link passes: the wrong ones of its address (a NAT, a proxy) are not its fault.
        if self.failed().is_reached(from, now) {
            let asked = hash.clone();
            if !self.store.read(move |tx| enrolment::is_good_link(tx, &asked, now)).await? {
                return Err(EnrolError::TooOften);
            }
        }
        let newcomer = JoinCandidate { key: request.key, name: request.name, address: request.address };
        let wanted = newcomer.name.to_string();
        let origin = from.to_string();
        let write = move |tx: &mut Tx<'_>| {
            let joined = enrolment::join(tx, &hash, &newcomer, now)?;
            if let Joined::Yes { name, replaced, .. } = &joined {
                let entry = audit::Entry {
                    actor: format!("device {name}"),
                    action: "device.join".into(),
                    subject: name.to_string(),
                    detail: if *replaced {
                        "by a link; replaces another key".to_owned()
                    } else {
                        "by a link".to_owned()
                    },
                    origin: origin.clone(),
                };
                audit::put(tx, &entry, audit::Outcome::Done, now)?;
            }
            Ok(joined)
        };
        let joined = self.store.write(write).await?;
        match joined {
            Joined::Yes { device, name, replaced } => {
                if replaced {
                    self.sessions.revoke(device);
                }
                tracing::info!(device = %name, %from, replaced, "a device joined");
                metrics::counter!("olog_joined_total").increment(1);
                self.watchman.ring();
                Ok(JoinAnswer { hub_key: self.hub, name })
            }
            Joined::BadLink => {
                self.failed().count(from, now);
                tracing::warn!(%from, "a join by a link that was used, has expired, or never was");
                Err(EnrolError::BadLink)
            }
            Joined::NameTaken => Err(EnrolError::NameTaken(wanted)),
        }
    }

    /// Devices by name, those that joined or those that wait.
    pub async fn list(&self, pending: bool) -> Result<Vec<ListedDevice>, EnrolError> {
        Ok(self.store.read(move |tx| enrolment::list(tx, pending)).await?)
    }

    /// Links that are remembered, the latest first.
    pub async fn links(&self) -> Result<Vec<ListedLink>, EnrolError> {
        Ok(self.store.read(|tx| enrolment::links(tx, LINKS_SHOWN)).await?)
    }

    /// Nobody joins by that link any more.
    pub async fn revoke_link(&self, hash: &str) -> Result<(), EnrolError> {
        let asked = hash.to_owned();
        if self.store.write(move |tx| enrolment::revoke_link(tx, &asked)).await? {
            Ok(())
        } else {
            Err(EnrolError::BadLink)
        }
    }

    /// Accepts a device that waits, by its name or key.
    pub async fn accept(&self, who: &str) -> Result<(), EnrolError> {
        let (asked, now) = (who.to_owned(), self.clock.now());
        match self.store.write(move |tx| enrolment::accept(tx, &asked, now)).await? {
            DeviceActionResult::NameTaken => Err(EnrolError::RenameTaken(who.to_owned())),
            done => {
                done_or(done, who)?;
                tracing::info!(device = who, "a device was accepted");
                self.watchman.ring();
                Ok(())
            }
        }
    }

    /// Forgets a device: its key is worth nothing from now on, and its session ends at once.
    pub async fn forget(&self, who: &str) -> Result<(), EnrolError> {
        let (asked, now) = (who.to_owned(), self.clock.now());
        let device = done_or(self.store.write(move |tx| enrolment::forget(tx, &asked, now)).await?, who)?;
        self.sessions.revoke(device);
        tracing::info!(device = who, "a device was forgotten");
        Ok(())
    }

    /// Renames a device.
    pub async fn rename(&self, old: &str, new: DeviceName) -> Result<(), EnrolError> {
        let (asked, wanted, now) = (old.to_owned(), new.clone(), self.clock.now());
        match self.store.write(move |tx| enrolment::rename(tx, &asked, &wanted, now)).await? {
            DeviceActionResult::NameTaken => Err(EnrolError::RenameTaken(new.to_string())),
            done => {
                done_or(done, old)?;
                tracing::info!(device = %new, was = old, "a device was renamed");
                Ok(())
            }
        }
    }
}

fn done_or(done: DeviceActionResult, who: &str) -> Result<crate::store::devices::DeviceId, EnrolError> {
    match done {
        DeviceActionResult::Yes(device) => Ok(device),
        DeviceActionResult::Several => Err(EnrolError::Several(who.to_owned())),
        DeviceActionResult::Unknown | DeviceActionResult::NameTaken => Err(EnrolError::Unknown(who.to_owned())),
    }
}

/// What stands before `/join#` in a link, and a word to the person if it was guessed.
pub fn link_base(public_url: Option<&str>, listen: SocketAddr, tls: bool) -> (String, Option<String>) {
    if let Some(url) = public_url {
        return (url.to_owned(), None);
    }
    let scheme = if tls { "https" } else { "http" };
    let ip = if listen.ip().is_unspecified() { own_address() } else { listen.ip() };
    let base = format!("{scheme}://{}", SocketAddr::new(ip, listen.port()));
    let word = format!(
        "public_url is not set: the link names this machine's own address ({base}). Set it if devices reach the hub otherwise."
    );
    (base, Some(word))
}

/// As [`link_base`], for the agent on this machine. A certificate of ours is known by its key, and in clear there is none, so
/// the address that the hub listens on does; one of somebody else's is good for the public name only.
pub fn local_base(public_url: Option<&str>, listen: SocketAddr, certificate: ServerAuth) -> Option<String> {
    let scheme = match certificate {
        ServerAuth::ByName => return public_url.map(str::to_owned),
        ServerAuth::ByKey => "https",
        ServerAuth::InClear => "http",
    };
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Some(format!("{scheme}://{}", SocketAddr::new(ip, listen.port())))
}

/// By what an agent knows the hub's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerAuth {
    /// By the key of a self-signed certificate, whatever the name.
    ByKey,
    /// By a certificate for a name.
    ByName,
    /// Not at all: in clear.
    InClear,
}

/// The address from which this machine reaches others; no packet is sent for it. RFC 5737's and RFC 3849's
/// examples stand for "somewhere else".
fn own_address() -> IpAddr {
    let from = |bind: IpAddr, to: IpAddr| {
        let socket = UdpSocket::bind((bind, 0)).ok()?;
        socket.connect((to, 9)).ok()?;
        socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
    };
    from(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into())
        .or_else(|| from(Ipv6Addr::UNSPECIFIED.into(), Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()))
        .unwrap_or(Ipv4Addr::LOCALHOST.into())
}

#[cfg(test)]
mod tests;

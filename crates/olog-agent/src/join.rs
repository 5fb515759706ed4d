//! `join`: makes this device known to the hub of a join link.
//!
//! It takes the same steps as every later connection, one at a time, so that the error names the first step that failed: DNS,
//! TCP, TLS, upgrade, key. The link's secret is sent last, after two checks: the hub has shown the key that is named in the link,
//! and `state_dir` has accepted the files that will be stored. So a proxy that blocks websockets, a server in the hub's place, or
//! missing permissions do not use up the link. When the hub has accepted the secret, the hub's address and key are stored; from
//! then on the device belongs to that hub.
//!
//! Works without a running daemon. A running daemon notices the new hub by itself.

use std::path::Path;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, StatusCode, body::Bytes as Body};
use hyper_util::rt::TokioIo;
use olog_daemon::clock::Clock;
use olog_proto::{DeviceName, JoinLink, Nonce, PublicKey, SecretKey, Timestamp, event::Id128};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::{
    boot,
    dial::{ByteStream, Connector, DialError, Dialer, Target},
    identity::{self, Hub, IdentityError, RandomSource},
    spool::{Spool, SpoolError, spool_path},
    uplink::{EnterError, HubKeys, Introduction, enter, greet},
};

/// The hub's answer to `POST /join` is short.
const ANSWER_MAX: usize = 64 * 1024;
const ANSWER_AFTER: std::time::Duration = std::time::Duration::from_secs(20);

/// Why this device did not join, and what to do. For the person who typed `join`.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The folder for the key and the hub.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The spool in it.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// No connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// No websocket, or not the hub in the link, before anything was said.
    #[error(transparent)]
    Enter(EnterError),
    /// Another hub than the link's.
    #[error(
        "key: the hub that answers is not the one in the link: the link is of another hub, or somebody answers in its place"
    )]
    WrongHub,
    /// The hub does not take the secret.
    #[error(
        "the hub does not take this link: it was used, it expired, or it was cut; get a new one with `olog-hub join-link` \
         (the hub says: {words})"
    )]
    Spent {
        /// The hub's words.
        words: String,
    },
    /// Another device has the name.
    #[error(
        "the hub has another device called {name:?}: set `device` in agent.toml to another name, or, if this machine replaces \
         that one, get a link with `olog-hub join-link --device {name}`"
    )]
    NameTaken {
        /// The name.
        name: String,
    },
    /// What answers `POST /join` is not a hub, or broke off.
    #[error("join: {0}")]
    Answer(String),
    /// Enrolled and stored; the first real session failed.
    #[error("joined, but the first session failed: {0}; the agent will try again")]
    Proof(String),
    /// No randomness.
    #[error("no random bytes")]
    RandomBytes(#[from] std::io::Error),
}

/// Who joins.
#[derive(Debug, Clone)]
pub struct Joiner<'a> {
    /// Where its key is, or will be.
    pub state_dir: &'a Path,
    /// The name that it would like to have.
    pub name: &'a DeviceName,
    /// How to reach it by ssh.
    pub address: Option<&'a str>,
}

#[derive(Serialize)]
struct Ask<'a> {
    secret: String,
    name: &'a DeviceName,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    key: PublicKey,
}

#[derive(Deserialize)]
struct Answer {
    hub_key: PublicKey,
}

/// Joins by the system's road.
pub async fn join(
    link: &JoinLink,
    who: &Joiner<'_>,
    clock: &Clock,
    chance: &mut dyn RandomSource,
) -> Result<Hub, JoinError> {
    join_by(&Dialer::new(clock.clone(), Timestamp(0)), link, who, clock, chance).await
}

async fn join_by(
    road: &impl Connector,
    link: &JoinLink,
    who: &Joiner<'_>,
    clock: &Clock,
    chance: &mut dyn RandomSource,
) -> Result<Hub, JoinError> {
    identity::make_state_dir(who.state_dir)?;
    let key = identity::device_key(who.state_dir, chance)?;
    let spool = spool(who.state_dir, chance)?;
    let target = Target::of(&link.base, link.tls)?;
    let greeted = greet(road.reach(&target).await?, &target).await.map_err(JoinError::Enter)?;
    if greeted.fingerprint() != link.hub {
        return Err(JoinError::WrongHub);
    }
    // The link can be used once: what cannot be stored must not use it up.
    let hub = Hub { base: link.base.clone(), key: greeted, next: None, tls: link.tls };
    let staged = identity::stage_hub(who.state_dir, &hub)?;
    let hub_key = enrol(road.reach(&target).await?, &target, link, who, &key).await?;
    if hub_key != greeted {
        return Err(JoinError::WrongHub);
    }
    staged.commit()?;
    if let Some(spool) = spool {
        first_session(road, &target, &hub, key, who, spool, (clock, chance)).await.map_err(JoinError::Proof)?;
    }
    Ok(hub)
}

/// The spool, while no daemon has it. One that cannot be opened is found before the link is used up.
fn spool(state_dir: &Path, chance: &mut dyn RandomSource) -> Result<Option<Spool>, JoinError> {
    let mut epoch = [0; 16];
    chance.fill(&mut epoch)?;
    let path = spool_path(state_dir);
    let opened = match Spool::open(&path, Id128(epoch)) {
        Ok((spool, _)) => Some(spool),
        Err(SpoolError::Busy { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(opened)
}

/// Both proofs, with the numbers of the real spool: an epoch of its own would look like another stream to the hub. While the
/// daemon has the spool, its own next session is the proof.
async fn first_session(
    road: &impl Connector,
    target: &Target,
    hub: &Hub,
    key: SecretKey,
    who: &Joiner<'_>,
    spool: Spool,
    (clock, chance): (&Clock, &mut dyn RandomSource),
) -> Result<(), String> {
    let mut nonce = [0; 32];
    chance.fill(&mut nonce).map_err(|e| e.to_string())?;
    let me = Introduction {
        key,
        name: who.name.clone(),
        address: who.address.map(str::to_owned),
        epoch: spool.epoch(),
        last: spool.last(),
        boot: (boot::id(), boot::up()),
        time: clock.now(),
        nonce: Nonce(nonce),
    };
    let stream = road.reach(target).await.map_err(|e| e.to_string());
    enter(stream?, target, HubKeys { key: hub.key, next: None }, &me).await.map(drop).map_err(|e| e.to_string())
}

/// `POST /join`.
async fn enrol(
    stream: Box<dyn ByteStream>,
    target: &Target,
    link: &JoinLink,
    who: &Joiner<'_>,
    key: &SecretKey,
) -> Result<PublicKey, JoinError> {
    let ask = Ask { secret: link.secret.to_string(), name: who.name, address: who.address, key: key.public() };
    let (status, body) = timeout(ANSWER_AFTER, post(stream, target, &ask))
        .await
        .unwrap_or_else(|_| Err("no answer within 20 s".into()))
        .map_err(JoinError::Answer)?;
    match status {
        StatusCode::OK => serde_json::from_slice::<Answer>(&body)
            .map(|answer| answer.hub_key)
            .map_err(|_| JoinError::Answer("the answer makes no sense: is this a hub of another version?".into())),
        StatusCode::FORBIDDEN => Err(JoinError::Spent { words: words(&body) }),
        StatusCode::CONFLICT => Err(JoinError::NameTaken { name: who.name.to_string() }),
        StatusCode::TOO_MANY_REQUESTS => {
            Err(JoinError::Answer("the hub asks to wait a minute before the next try".into()))
        }
        other => Err(JoinError::Answer(format!(
            "{}{}/join answered HTTP {other}: {}",
            target.authority(),
            target.prefix,
            words(&body)
        ))),
    }
}

async fn post(stream: Box<dyn ByteStream>, target: &Target, ask: &Ask<'_>) -> Result<(StatusCode, Body), String> {
    let broken = |e: &dyn std::fmt::Display| format!("the connection broke: {e}");
    let body = serde_json::to_vec(ask).map_err(|e| e.to_string())?;
    let request = Request::post(format!("{}/join", target.prefix))
        .header("host", target.host_header())
        .header("content-type", "application/json")
        .header("connection", "close")
        .body(Full::new(Body::from(body)))
        .map_err(|e| e.to_string())?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
    let asking = async {
        let answer = sender.send_request(request).await.map_err(|e| broken(&e))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await.map_err(|e| broken(&e))?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(asking, connection);
    tokio::select! {
        answer = &mut asking => answer,
        // The connection may be done before its answer has been taken out.
        _ = &mut connection => asking.await,
    }
}

/// What a refusal says, bounded: it may come from any proxy.
fn words(body: &[u8]) -> String {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let field = |name| problem.as_ref()?.get(name)?.as_str().map(str::to_owned);
    let text = field("detail").or_else(|| field("title")).unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    if text.trim().is_empty() { "nothing".into() } else { text.trim().to_owned() }
}

#[cfg(test)]
mod tests;

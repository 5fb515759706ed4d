//! Opens a session on a connected stream: the websocket upgrade, then the proofs of both sides.
//!
//! The hub is trusted only after its signature over both nonces was checked against the key that the join link named. Before
//! that the agent sends nothing but its own introduction. Every failure is an [`EnterError`] whose text says what to do.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use olog_proto::{
    AgentFrame, BootId, DeviceName, Epoch, FRAME_MAX, HubFrame, Nonce, PublicKey, SUBPROTOCOL, SecretKey, Timestamp,
    frame::{Auth, NextHubKey, Refusal},
    identity::{HandshakeProof, Role},
};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error as WsError, Message,
        error::ProtocolError,
        http::{HeaderValue, StatusCode, header::SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use super::meter::Metered;
use crate::dial::{ByteStream, Target};

/// From the first byte of the upgrade to the hub's welcome.
/// Characters of a text of the hub that are shown.
const HUB_TEXT_MAX: usize = 200;
const ENTER_AFTER: Duration = Duration::from_secs(20);

pub(super) type Socket = WebSocketStream<Box<dyn ByteStream>>;

/// How a device introduces itself.
#[derive(Debug, Clone)]
pub struct Introduction {
    /// Its key.
    pub key: SecretKey,
    /// The name that it would like to have.
    pub name: DeviceName,
    /// How to reach it by ssh.
    pub address: Option<String>,
    /// The epoch of its spool.
    pub epoch: Epoch,
    /// The highest number of it.
    pub last: u64,
    /// This boot, and milliseconds since.
    pub boot: (BootId, u64),
    /// Its clock.
    pub time: Timestamp,
    /// For this session.
    pub nonce: Nonce,
}

/// By which keys the hub is known: the one that it had when it was last proved, and the one that it announced as its next.
#[derive(Debug, Clone, Copy)]
pub struct HubKeys {
    /// The present one.
    pub key: PublicKey,
    /// The next one.
    pub next: Option<PublicKey>,
}

/// What the hub said when it let the device in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// Committed through this number.
    pub acked: u64,
    /// Events that may be on their way.
    pub window: u32,
    /// Milliseconds between its pings.
    pub ping_every: u64,
    /// Its clock.
    pub time: Timestamp,
    /// The key that it has proved.
    pub key: PublicKey,
    /// The key that it announces as its next one.
    pub next: Option<PublicKey>,
    /// Kinds of frames that it takes beyond those of version 0.1.
    pub accepts: Vec<String>,
    /// Its nonce of this session.
    pub nonce: Nonce,
}

/// Why there is no session. For a person.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// No websocket of a hub there.
    #[error("upgrade: {0}")]
    Upgrade(String),
    /// The connection ended, or nothing came.
    #[error("the hub's handshake broke off: {0}")]
    Broken(String),
    /// Another hub answers.
    #[error(
        "key: the hub that answers has the key {found}, this device joined {expected}: the hub was set up anew, or somebody \
         answers in its place; restore the hub's state_dir from a backup (it holds the hub's identity), or join again with a new link \
         (`olog-hub join-link`)"
    )]
    WrongHub {
        /// Whom this device joined.
        expected: PublicKey,
        /// Who answers.
        found: PublicKey,
    },
    /// It has the right key on its lips, but cannot sign with it.
    #[error("key: what answers says that it is the hub, but cannot prove it: somebody answers in its place")]
    BadProof,
    /// It speaks other versions only.
    #[error("the hub speaks {0}, this agent {SUBPROTOCOL}: update the older one")]
    Version(String),
    /// The hub does not let this device in.
    #[error("{}", refusal_words(.0))]
    Refused(Refusal),
}

/// What a refusal means and what to do about it.
pub fn refusal_words(why: &Refusal) -> String {
    match why {
        Refusal::Pending => {
            "the hub does not know this device: accept it there (`olog-hub device list --pending`), or join with a link"
                .into()
        }
        Refusal::Revoked => {
            "the hub has forgotten or replaced this device: join again with a new link (`olog-hub join-link`)".into()
        }
        Refusal::NewEpoch { detail } => format!("the hub asks for a new epoch: {}", of_hub(detail)),
        Refusal::BadProof => "the hub does not accept this device's proof".into(),
        Refusal::BadFrame { detail } => format!("the hub does not accept what was sent: {}", of_hub(detail)),
        Refusal::Displaced => "another connection with this device's key took over: is its state_dir a copy?".into(),
        Refusal::Busy { detail } => format!("the hub cannot take events now: {}", of_hub(detail)),
        Refusal::Unknown => "the hub refuses, for a reason that this version does not know".into(),
    }
}

/// A text of the hub, or of whatever answers in its place, bounded and on one line.
pub(super) fn of_hub(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(HUB_TEXT_MAX).collect()
}

/// Upgrades, proves who this device is, and checks who the hub is.
pub async fn enter(
    stream: Box<dyn ByteStream>,
    target: &Target,
    hub: HubKeys,
    me: &Introduction,
) -> Result<(Socket, Welcome), EnterError> {
    let entering = async {
        let mut socket = upgrade(stream, target).await?;
        let welcome = prove(&mut socket, hub, me).await?;
        Ok((socket, welcome))
    };
    timeout(ENTER_AFTER, entering).await.unwrap_or_else(|_| Err(EnterError::Broken("no answer within 20 s".into())))
}

/// Upgrades and listens to the hub's first word only: whose hub says it is, unproven.
pub async fn greet(stream: Box<dyn ByteStream>, target: &Target) -> Result<PublicKey, EnterError> {
    let greeting = async {
        let mut socket = upgrade(stream, target).await?;
        hello(&mut socket).await.map(|(hub, _)| hub)
    };
    timeout(ENTER_AFTER, greeting).await.unwrap_or_else(|_| Err(EnterError::Broken("no answer within 20 s".into())))
}

async fn upgrade(stream: Box<dyn ByteStream>, target: &Target) -> Result<Socket, EnterError> {
    let broken = |e: &dyn std::fmt::Display| EnterError::Upgrade(e.to_string());
    let uri = format!("ws://{}{}/agent", target.authority(), target.prefix);
    let mut request =
        tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(uri).map_err(|e| broken(&e))?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    request.headers_mut().insert("host", HeaderValue::from_str(&target.host_header()).map_err(|e| broken(&e))?);
    // Small buffers: a device's frames are small, and a larger one grows the buffer for its own time only.
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        .write_buffer_size(4096)
        // A hub that pings and reads no answer must not fill this device's memory.
        .max_write_buffer_size(2 * FRAME_MAX)
        .max_message_size(Some(FRAME_MAX))
        .max_frame_size(Some(FRAME_MAX));
    let stream: Box<dyn ByteStream> = Box::new(Metered::new(stream));
    match client_async_with_config(request, stream, Some(config)).await {
        Ok((socket, _)) => Ok(socket),
        Err(error) => Err(EnterError::Upgrade(upgrade_words(&error, target))),
    }
}

fn upgrade_words(error: &WsError, target: &Target) -> String {
    let place = format!("{}{}/agent", target.authority(), target.prefix);
    match error {
        WsError::Http(answer) => {
            let body = answer.body().as_deref().unwrap_or_default();
            http_words(answer.status(), &String::from_utf8_lossy(body), target.is_tls, &place)
        }
        WsError::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            format!("{place} answers with a websocket, but it is not a hub that speaks {SUBPROTOCOL}")
        }
        WsError::Io(e) => {
            format!("{place}: the connection ended ({e}): is this a hub, and is the link's scheme right?")
        }
        WsError::Protocol(ProtocolError::HandshakeIncomplete) => {
            format!("{place}: the connection ended before an answer: is the link's scheme right?")
        }
        other if !target.is_tls => {
            format!(
                "{place} does not answer as a web server does ({other}): if this port speaks TLS, use https:// in the link"
            )
        }
        other => format!("{place} does not answer as a web server does ({other}): is this the hub's port?"),
    }
}

/// What an HTTP status instead of an upgrade says about whoever gave it.
fn http_words(status: StatusCode, body: &str, is_tls: bool, place: &str) -> String {
    const LOST: &str = "the upgrade was lost on the way: the proxy in front needs `proxy_http_version 1.1; proxy_set_header Upgrade \
                        $http_upgrade; proxy_set_header Connection \"upgrade\";`";
    // The hub, nginx, Apache and Go's server say so in these words when plain HTTP comes to their TLS port.
    let names_tls = ["https", "HTTPS", "TLS", "SSL"].iter().any(|word| body.contains(word));
    let advice = match status.as_u16() {
        400 if !is_tls && names_tls => "this port speaks TLS, and the link says http://: use https:// in the link",
        400 if !is_tls => {
            return format!(
                "{place} answered HTTP {status} instead of 101: either this port speaks TLS (then use https:// in the link), or {LOST}"
            );
        }
        426 | 400 => LOST,
        404 => "no hub at this path: is the path prefix right, and does the proxy in front forward it?",
        401 | 403 => "a proxy in front asks for a login: let /agent and /join through",
        502..=504 => "a proxy answers, but the hub behind it does not: is olog-hub running?",
        301 | 302 | 307 | 308 => "a web server redirects elsewhere: is the link's scheme right?",
        _ => "this is not a hub, or a proxy in front does not let websockets through",
    };
    format!("{place} answered HTTP {status} instead of 101: {advice}")
}

async fn hello(socket: &mut Socket) -> Result<(PublicKey, Nonce), EnterError> {
    match receive(socket).await? {
        HubFrame::Hello { hub_key, nonce, versions, .. } if versions.iter().any(|v| v == SUBPROTOCOL) => {
            Ok((hub_key, nonce))
        }
        HubFrame::Hello { versions, .. } => Err(EnterError::Version(of_hub(&versions.join(", ")))),
        HubFrame::Refused { why } => Err(EnterError::Refused(why)),
        other => Err(unexpected(&other, "hello")),
    }
}

async fn prove(socket: &mut Socket, known: HubKeys, me: &Introduction) -> Result<Welcome, EnterError> {
    let (hub, hub_nonce) = hello(socket).await?;
    if hub != known.key && known.next != Some(hub) {
        return Err(EnterError::WrongHub { expected: known.key, found: hub });
    }
    let proof = |role| HandshakeProof::new(role, hub_nonce, me.nonce, &me.name, me.key.public(), hub);
    let auth = AgentFrame::Auth(Box::new(Auth {
        key: me.key.public(),
        name: me.name.clone(),
        address: me.address.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        epoch: me.epoch,
        last: me.last,
        boot: me.boot.0,
        up: me.boot.1,
        nonce: me.nonce,
        time: me.time,
        signature: me.key.sign(&proof(Role::Device)),
    }));
    let text = auth.encode().map_err(|e| EnterError::Broken(e.to_string()))?;
    socket.send(Message::text(text)).await.map_err(|e| EnterError::Broken(e.to_string()))?;
    match receive(socket).await? {
        HubFrame::Welcome { acked, window, ping_every, time, signature, next, accepts } => {
            if !hub.verify(&proof(Role::Hub), &signature) {
                return Err(EnterError::BadProof);
            }
            let is_announced =
                |next: &NextHubKey| hub.verify(&HandshakeProof::next_hub_key(hub, next.key), &next.signature);
            if !next.as_ref().is_none_or(is_announced) {
                return Err(EnterError::BadProof);
            }
            let next = next.map(|next| next.key);
            Ok(Welcome { acked, window, ping_every, time, key: hub, next, accepts, nonce: hub_nonce })
        }
        HubFrame::Refused { why } => Err(EnterError::Refused(why)),
        other => Err(unexpected(&other, "welcome or refused")),
    }
}

async fn receive(socket: &mut Socket) -> Result<HubFrame, EnterError> {
    loop {
        let broken = |why: String| EnterError::Broken(why);
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return HubFrame::decode(text.as_str()).map_err(|e| broken(e.to_string()));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(frame))) => {
                return Err(broken(
                    frame.map_or_else(|| "closed".into(), |f| format!("closed: {}", of_hub(&f.reason))),
                ));
            }
            Some(Ok(_)) => return Err(broken("a frame that is no text".into())),
            Some(Err(e)) => return Err(broken(e.to_string())),
            None => return Err(broken("the connection ended".into())),
        }
    }
}

fn unexpected(frame: &HubFrame, expected: &str) -> EnterError {
    let found = match frame {
        HubFrame::Hello { .. } => "hello",
        HubFrame::Welcome { .. } => "welcome",
        HubFrame::Jobs(_) => "jobs",
        HubFrame::Refused { .. } => "refused",
        HubFrame::Ack { .. } => "ack",
        HubFrame::Rotated { .. } => "rotated",
    };
    EnterError::Broken(format!("expected {expected}, the hub said {found}"))
}

//! Simulated agents for load tests and the benchmark: keys, sessions and events without files, so that one process can act as
//! thousands of devices.
//!
//! It speaks `olog.2` with the types of `olog-proto` over real sockets. It verifies the hub's proof but not its certificate, and ends
//! at the first error: never use it as an agent.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use olog_proto::event::Id128;
use olog_proto::frame::Refusal;
use olog_proto::identity::{HandshakeProof, Role};
use olog_proto::{
    AgentFrame, Event, EventContent, FRAME_MAX, HubFrame, JoinLink, Nonce, PublicKey, SUBPROTOCOL, SecretKey,
    Timestamp, frame,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};

/// A device that exists only here.
#[derive(Debug)]
pub struct Device {
    key: SecretKey,
    name: String,
    epoch: Id128,
}

/// Its session.
pub struct Session {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    window: u64,
    next: u64,
}

/// The hub's refusal of a session.
#[derive(Debug)]
pub struct Refused(pub Refusal);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "refused: {:?}", self.0)
    }
}

impl std::error::Error for Refused {}

/// Random bytes.
pub fn random<const N: usize>() -> anyhow::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("no randomness")?;
    Ok(bytes)
}

/// The system's clock: a device whose clock is off has its events' times corrected.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

impl Device {
    /// A device with a new key that no hub knows.
    pub fn unknown(name: &str) -> anyhow::Result<Device> {
        Ok(Device { key: SecretKey::from_seed(random()?), name: name.to_owned(), epoch: Id128(random()?) })
    }

    /// Enrols a new device by a link that has a use left.
    pub async fn join(link: &JoinLink, name: &str) -> anyhow::Result<Device> {
        let device = Device::unknown(name)?;
        let body = serde_json::json!({ "secret": link.secret.to_string(), "name": name, "key": device.key.public() });
        let client = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).no_proxy().build()?;
        let answer = client.post(format!("{}/join", link.base)).body(body.to_string());
        let answer = answer.header("content-type", "application/json").send().await?;
        if !answer.status().is_success() {
            bail!("{name} did not join: {}", answer.text().await?);
        }
        Ok(device)
    }

    /// The same key and spool under another name.
    pub fn renamed(&self, name: &str) -> Device {
        Device { key: SecretKey::from_seed(self.key.seed()), name: name.to_owned(), epoch: self.epoch }
    }

    /// What it proves to a hub that said this.
    pub fn auth(&self, hello: &Hello, own: Nonce) -> anyhow::Result<frame::Auth> {
        let name = self.name.parse()?;
        let proof = self.proof(Role::Device, hello, own)?;
        Ok(frame::Auth {
            key: self.key.public(),
            name,
            address: None,
            version: "swarm".to_owned(),
            epoch: self.epoch,
            last: 1_000_000_000,
            boot: Id128([7; 16]),
            up: 0,
            nonce: own,
            time: now(),
            signature: self.key.sign(&proof),
        })
    }

    fn proof(&self, role: Role, hello: &Hello, own: Nonce) -> anyhow::Result<HandshakeProof> {
        Ok(HandshakeProof::new(role, hello.nonce, own, &self.name.parse()?, self.key.public(), hello.hub_key))
    }

    /// Opens a session.
    pub async fn connect(&self, link: &JoinLink, tls: &Arc<ClientConfig>) -> anyhow::Result<Session> {
        let stream = TcpStream::connect(host(link)?).await?;
        self.connect_over(stream, link, tls).await
    }

    /// Opens a session over a connection that is open.
    pub async fn connect_over(
        &self,
        stream: TcpStream,
        link: &JoinLink,
        tls: &Arc<ClientConfig>,
    ) -> anyhow::Result<Session> {
        let mut session = Session::open(stream, link, tls).await?;
        session.shake_hands(self, link).await?;
        Ok(session)
    }
}

/// The host and port of a link over TLS.
pub fn host(link: &JoinLink) -> anyhow::Result<&str> {
    link.base.strip_prefix("https://").context("a link over TLS")
}

/// What a hub says of itself before it knows who is there.
#[derive(Debug, Clone, Copy)]
pub struct Hello {
    /// The key that it will prove.
    pub hub_key: PublicKey,
    /// For the device to sign.
    pub nonce: Nonce,
}

impl Session {
    /// A websocket to the hub on which nothing was said yet.
    pub async fn open(stream: TcpStream, link: &JoinLink, tls: &Arc<ClientConfig>) -> anyhow::Result<Session> {
        let host = host(link)?;
        stream.set_nodelay(true)?;
        let server = ServerName::try_from(host.split(':').next().unwrap_or(host).to_owned())?;
        let stream = TlsConnector::from(tls.clone()).connect(server, stream).await?;
        let mut request = format!("{}/agent", link.base.replacen("https", "wss", 1)).into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(4096)
            .max_message_size(Some(FRAME_MAX))
            .max_frame_size(Some(FRAME_MAX));
        let (socket, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
        Ok(Session { socket, window: 0, next: 1 })
    }

    /// The hub's first word.
    pub async fn hello(&mut self) -> anyhow::Result<Hello> {
        match self.receive().await? {
            HubFrame::Hello { hub_key, nonce, .. } => Ok(Hello { hub_key, nonce }),
            other => bail!("no hello: {other:?}"),
        }
    }

    async fn shake_hands(&mut self, device: &Device, link: &JoinLink) -> anyhow::Result<()> {
        let hello = self.hello().await?;
        if hello.hub_key.fingerprint() != link.hub {
            bail!("another hub's key");
        }
        let own = Nonce(random()?);
        self.send(&AgentFrame::Auth(Box::new(device.auth(&hello, own)?))).await?;
        match self.receive().await? {
            HubFrame::Welcome { window, signature, .. }
                if hello.hub_key.verify(&device.proof(Role::Hub, &hello, own)?, &signature) =>
            {
                self.window = u64::from(window);
                Ok(())
            }
            HubFrame::Refused { why } => Err(Refused(why).into()),
            other => bail!("not welcome: {other:?}"),
        }
    }

    /// Sends `n` events made by `make` (number in, what was seen out), `a_frame` at a time within the window, and waits for
    /// the last acknowledgement.
    pub async fn pump(
        &mut self,
        n: u64,
        a_frame: u64,
        at: Timestamp,
        make: impl Fn(u64) -> EventContent,
    ) -> anyhow::Result<()> {
        let (end, mut acked) = (self.next + n, self.next - 1);
        while acked + 1 < end {
            while self.next < end && self.next - 1 - acked + a_frame <= self.window {
                let from = self.next;
                let until = end.min(from + a_frame);
                let event = |n| Event {
                    n,
                    at: olog_proto::DeviceTime(at),
                    boot: Id128([7; 16]),
                    up: n,
                    what: make(n),
                    by: None,
                    pushed: None,
                };
                let events = (from..until).map(event).collect();
                self.send(&AgentFrame::Events { from, events }).await?;
                self.next = until;
            }
            match self.receive().await? {
                HubFrame::Ack { through } => acked = through,
                other => bail!("not an ack: {other:?}"),
            }
        }
        Ok(())
    }

    /// Answers pings until the hub goes.
    pub async fn idle(&mut self) -> anyhow::Result<()> {
        loop {
            self.receive().await?;
        }
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &AgentFrame) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(frame.encode()?)).await?)
    }

    /// Sends a websocket message as it is.
    pub async fn send_raw(&mut self, message: Message) -> anyhow::Result<()> {
        Ok(self.socket.send(message).await?)
    }

    /// The hub's next frame.
    pub async fn receive(&mut self) -> anyhow::Result<HubFrame> {
        loop {
            match self.socket.next().await.context("the hub closed the session")?? {
                Message::Text(text) => return Ok(HubFrame::decode(&text)?),
                Message::Close(why) => bail!("closed: {why:?}"),
                _ => {}
            }
        }
    }
}

/// TLS that takes any certificate: the swarm measures, the hub's own proof stands all the same.
pub fn any_certificate() -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

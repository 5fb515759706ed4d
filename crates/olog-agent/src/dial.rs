//! Connects to the hub: DNS, TCP, TLS, in this order. An error says which of the three steps failed.
//!
//! A hub with a self-signed certificate is known by its public key, which the join link carried: the certificate's name and dates are not
//! checked, but the server must hold that key. Otherwise the system's root certificates and the host's name decide. Certificate
//! dates are compared with the later of the device's clock and the latest time known to have passed, so that a device whose
//! clock was reset to 1970 neither rejects valid certificates nor accepts expired ones.
//!
//! If a name has several addresses, the next one is tried after 300 ms while the first is still being tried, IPv6 and IPv4 in turn
//! ("happy eyeballs", RFC 8305). Decision 0183 says why this is not a library's connector.
//!
//! Root certificates are loaded for each connection: connections are rare, and the roots are most of a small agent's memory.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use olog_daemon::clock::Clock;
use olog_proto::{Timestamp, identity::KeyPrint};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    time_provider::TimeProvider,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// One address gets this long.
const TCP_AFTER: Duration = Duration::from_secs(5);
/// The next one begins this much later.
const NEXT_AFTER: Duration = Duration::from_millis(300);
const TLS_AFTER: Duration = Duration::from_secs(10);
const DNS_AFTER: Duration = Duration::from_secs(10);

/// A stream of bytes to a hub.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> ByteStream for T {}

/// How a hub is reached. Tests bring a road of their own.
pub trait Connector: Send + Sync {
    /// Opens a stream to where `target` points.
    fn reach(&self, target: &Target) -> impl Future<Output = Result<Box<dyn ByteStream>, DialError>> + Send;
}

/// Where a hub is, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name or address, as in a URL without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path prefix, without a slash at its end.
    pub prefix: String,
    /// `https`.
    pub is_tls: bool,
    /// The key of the self-signed certificate, if it is one.
    pub pin: Option<KeyPrint>,
}

impl Target {
    /// Of a base URL as in a join link, with the print of a self-signed certificate's key.
    pub fn of(base: &str, pin: Option<KeyPrint>) -> Result<Target, DialError> {
        let bad = || DialError::BadBase { base: base.to_owned() };
        let url = Url::parse(base).map_err(|_| bad())?;
        let is_tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(bad()),
        };
        let host = match url.host().ok_or_else(bad)? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        let port = url.port_or_known_default().ok_or_else(bad)?;
        Ok(Target { host, port, prefix: url.path().trim_end_matches('/').to_owned(), is_tls, pin })
    }

    /// `host:port`, with brackets around an IPv6 address.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// As a request's `Host`: a proxy chooses by name, so the scheme's own port is left out.
    pub fn host_header(&self) -> String {
        let authority = self.authority();
        let own_port = if self.is_tls { ":443" } else { ":80" };
        authority.strip_suffix(own_port).unwrap_or(&authority).to_owned()
    }
}

/// Which step failed, and what to do about it. For a person.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Not a URL that can be dialled.
    #[error("{base:?} is no address of a hub: expected https://HOST[:PORT] or http://HOST[:PORT]")]
    BadBase {
        /// What it was.
        base: String,
    },
    /// The name has no address.
    #[error("DNS: {host} cannot be resolved ({why}): check the name, and this device's resolver (/etc/resolv.conf)")]
    Dns {
        /// The name.
        host: String,
        /// The resolver's answer.
        why: String,
    },
    /// Nothing answers there.
    #[error("TCP: {to}: {why}")]
    Tcp {
        /// Where it was tried: every address.
        to: String,
        /// What happened, and what to look at.
        why: String,
    },
    /// Something answers, but it is not this hub's TLS.
    #[error("TLS: {host}: {why}")]
    Tls {
        /// The host and port.
        host: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
}

/// The real road.
#[derive(Debug, Clone)]
pub struct Dialer {
    clock: Clock,
    newest: Timestamp,
}

impl Dialer {
    /// `newest`: a time that is known to have passed.
    pub fn new(clock: Clock, newest: Timestamp) -> Dialer {
        Dialer { clock, newest: newest.max(built_at()) }
    }

    /// When certificates are judged: no earlier than what is known to have passed.
    fn judged_at(&self) -> Timestamp {
        self.clock.now().max(self.newest)
    }
}

impl Connector for Dialer {
    async fn reach(&self, target: &Target) -> Result<Box<dyn ByteStream>, DialError> {
        let stream = connect(target).await?;
        if !target.is_tls {
            return Ok(Box::new(stream));
        }
        let wrong = |why: String| DialError::Tls { host: target.authority(), why };
        let name = ServerName::try_from(target.host.clone()).map_err(|e| wrong(e.to_string()))?;
        let config = tls(target.pin, self.judged_at()).map_err(wrong)?;
        match timeout(TLS_AFTER, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(e)) => Err(wrong(tls_words(&e))),
            Err(_) => Err(wrong("connected, but no TLS handshake came: something else may listen on this port".into())),
        }
    }
}

async fn connect(target: &Target) -> Result<TcpStream, DialError> {
    let addresses = in_turn(resolve(target).await?);
    match first_of(&addresses).await {
        Ok(stream) => {
            // An event is one small frame, and the phone waits for it.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY cannot be set");
            }
            Ok(stream)
        }
        Err(error) => {
            let to = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let why = error.map_or_else(|| "no address".to_owned(), |e| tcp_words(&e));
            Err(DialError::Tcp { to, why })
        }
    }
}

/// Who answers first, or of all failures the one that says most.
async fn first_of(addresses: &[SocketAddr]) -> Result<TcpStream, Option<io::Error>> {
    let mut tries = FuturesUnordered::new();
    let mut waiting = addresses.iter();
    let mut told: Option<io::Error> = None;
    loop {
        if tries.is_empty() {
            let Some(address) = waiting.next() else { return Err(told) };
            tries.push(timeout(TCP_AFTER, TcpStream::connect(*address)));
        }
        let failed = tokio::select! {
            Some(tried) = tries.next() => match tried {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => error,
                Err(_) => io::ErrorKind::TimedOut.into(),
            },
            () = tokio::time::sleep(NEXT_AFTER), if !waiting.as_slice().is_empty() => {
                tries.extend(waiting.next().map(|address| timeout(TCP_AFTER, TcpStream::connect(*address))));
                continue;
            }
        };
        if told.as_ref().is_none_or(|known| weight(&failed) > weight(known)) {
            told = Some(failed);
        }
    }
}

/// How much a failure says: that somebody refuses is more than that nobody answers, and that this machine has no such network is least.
fn weight(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => 3,
        io::ErrorKind::TimedOut => 2,
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::Unsupported => 0,
        _ => 1,
    }
}

/// One of each kind after the other, beginning with what the resolver prefers.
fn in_turn(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_six = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut these, mut others) = (Vec::new(), Vec::new());
    for address in addresses {
        if address.is_ipv6() == is_six { these.push(address) } else { others.push(address) }
    }
    let n = these.len().max(others.len());
    let (mut these, mut others) = (these.into_iter(), others.into_iter());
    (0..n).flat_map(|_| [these.next(), others.next()]).flatten().collect()
}

async fn resolve(target: &Target) -> Result<Vec<SocketAddr>, DialError> {
    if let Ok(ip) = target.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, target.port)]);
    }
    let failed = |why: String| DialError::Dns { host: target.host.clone(), why };
    let found = timeout(DNS_AFTER, tokio::net::lookup_host((target.host.as_str(), target.port))).await;
    let addresses: Vec<_> = match found {
        Ok(Ok(addresses)) => addresses.take(16).collect(),
        Ok(Err(e)) => return Err(failed(e.to_string())),
        Err(_) => return Err(failed("no answer within 10 s".into())),
    };
    if addresses.is_empty() { Err(failed("no address".into())) } else { Ok(addresses) }
}

fn tcp_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "connection refused: is olog-hub running there, and is the port right?".into()
        }
        io::ErrorKind::TimedOut => "no answer: is the host up, and does a firewall let this port through?".into(),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            format!("{error}: is this device's network up, and does it have a route there?")
        }
        _ => error.to_string(),
    }
}

fn tls_words(error: &io::Error) -> String {
    use rustls::Error;
    let Some(inner) = error.get_ref().and_then(|e| e.downcast_ref::<Error>()) else {
        return format!("the connection ended in the handshake ({error}): something else may listen on this port");
    };
    match inner {
        Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            "the certificate's key is not the one in the join link: the hub got a new certificate, or somebody else \
             answers in its place; if it was you, join again with a new link (`olog-hub join-link`)"
                .into()
        }
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "this system's roots do not trust the certificate: install its authority's certificate here, or use a link \
             made by a hub with [tls] mode = \"self-signed\""
                .into()
        }
        Error::InvalidCertificate(
            cause @ (CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. }),
        ) => format!("{cause}: renew the certificate, or set this device's clock"),
        Error::InvalidCertificate(cause) => format!("the certificate is not this host's: {cause}"),
        Error::InvalidMessage(_) => "what answers there does not speak TLS: is the link's https right?".into(),
        other => other.to_string(),
    }
}

fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (n_good, _) = roots.add_parsable_certificates(found.certs);
    if n_good == 0 {
        let why = found.errors.first().map_or_else(String::new, |e| format!(" ({e})"));
        return Err(format!("this system has no root certificates{why}: install ca-certificates"));
    }
    Ok(roots)
}

fn tls(pin: Option<KeyPrint>, now: Timestamp) -> Result<ClientConfig, String> {
    tls_with(pin, now, system_roots)
}

fn tls_with(
    pin: Option<KeyPrint>,
    now: Timestamp,
    roots: impl FnOnce() -> Result<RootCertStore, String>,
) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider.clone(), Arc::new(Judged(now)));
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    let mut config = match pin {
        Some(pin) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned::new(pin, &provider)))
            .with_no_client_auth(),
        None => builder.with_root_certificates(roots()?).with_no_client_auth(),
    };
    // One connection that stays: a cache for the next one would only be memory.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The instant at which certificates are judged.
#[derive(Debug)]
struct Judged(Timestamp);

impl TimeProvider for Judged {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(self.0.0).unwrap_or(0))))
    }
}

/// When this program was built: packages keep the time of the file.
fn built_at() -> Timestamp {
    let built = std::env::current_exe().and_then(std::fs::metadata).and_then(|m| m.modified()).ok();
    let since = built.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(0))
}

/// Trusts one key, whatever the certificate around it says.
struct Pinned {
    pin: KeyPrint,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn new(pin: KeyPrint, provider: &CryptoProvider) -> Pinned {
        Pinned { pin, algorithms: provider.signature_verification_algorithms }
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pinned({})", self.pin)
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (_, certificate) =
            x509_parser::parse_x509_certificate(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        if KeyPrint::of(certificate.tbs_certificate.subject_pki.raw) == self.pin {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;

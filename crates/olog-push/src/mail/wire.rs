//! The connection of an SMTP session: connects, encrypts as configured, and limits the size and time of the server's replies.
//!
//! STARTTLS happens here, before the SMTP client reads anything. A client that reads ahead would take bytes that an attacker placed
//! behind the STARTTLS reply for replies under TLS; here such a call fails. The greeting is then replayed to the client, which
//! expects one and sends EHLO again, as RFC 3207 requires.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, ReadBuf,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What a server may say in one call.
const SAYS_MAX: usize = 256 * 1024;
/// What it may say before TLS: a greeting, what it can do, a yes.
const SAYS_BEFORE_MAX: u64 = 16 * 1024;

/// A stream that says `ahead` first and then what the server says, up to a bound.
#[derive(Debug)]
pub(super) struct Wire<S> {
    ahead: &'static [u8],
    stream: S,
    peer: SocketAddr,
    left: usize,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, peer: SocketAddr) -> Wire<S> {
        Wire { ahead: b"", stream, peer, left: SAYS_MAX }
    }

    /// One that was greeted already.
    pub(super) fn greeted(stream: S, peer: SocketAddr) -> Wire<S> {
        Wire { ahead: b"220 under TLS\r\n", ..Wire::new(stream, peer) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        if !me.ahead.is_empty() {
            let (now, later) = me.ahead.split_at(me.ahead.len().min(buf.remaining()));
            buf.put_slice(now);
            me.ahead = later;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut me.stream).poll_read(cx, buf))?;
        let Some(left) = me.left.checked_sub(buf.filled().len().saturating_sub(before)) else {
            return Poll::Ready(Err(io::Error::other(format!("the server said more than {SAYS_MAX} bytes"))));
        };
        me.left = left;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync + std::fmt::Debug> AsyncTokioStream for Wire<S> {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// Of a socket.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The server said no.
    #[error("{0}")]
    Said(String),
    /// What it has to offer.
    #[error(
        "the server offers no STARTTLS, and nothing is sent in clear (smtps:// for TLS from the first byte, smtp+clear:// if you trust the way)"
    )]
    NoStartTls,
    /// Before TLS, behind the reply to STARTTLS.
    #[error("somebody spoke on in clear after STARTTLS: the way to the server is not to be trusted")]
    SpokeOn,
    /// The handshake.
    #[error("{0}")]
    Tls(String),
}

/// Greeting, EHLO and STARTTLS in clear, and nothing else.
pub(super) async fn start_tls(stream: TcpStream, me: &str) -> Result<TcpStream, WireError> {
    let mut stream = BufReader::new(stream);
    let mut talk = async |words: Option<String>| -> Result<Vec<String>, WireError> {
        if let Some(words) = words {
            stream.write_all(words.as_bytes()).await?;
            stream.flush().await?;
        }
        let mut lines = Vec::new();
        let mut says = (&mut stream).take(SAYS_BEFORE_MAX);
        loop {
            let mut line = Vec::new();
            says.read_until(b'\n', &mut line).await?;
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            if !line.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(WireError::Said(format!("no SMTP server: {line:?}")));
            }
            let is_last = line.as_bytes().get(3) != Some(&b'-');
            lines.push(line);
            if is_last {
                break;
            }
        }
        match lines.last() {
            Some(line) if line.starts_with('2') => Ok(lines),
            _ => Err(WireError::Said(lines.join(" "))),
        }
    };
    talk(None).await?;
    let offers = talk(Some(format!("EHLO {me}\r\n"))).await?;
    if !offers.iter().any(|line| line.get(4..).is_some_and(|word| word.eq_ignore_ascii_case("STARTTLS"))) {
        return Err(WireError::NoStartTls);
    }
    talk(Some("STARTTLS\r\n".to_owned())).await?;
    if !stream.buffer().is_empty() {
        return Err(WireError::SpokeOn);
    }
    Ok(stream.into_inner())
}

/// The handshake: judged by the system's roots, or by `own` alone.
pub(super) async fn tls(
    stream: TcpStream,
    host: &str,
    own: Option<&[CertificateDer<'static>]>,
) -> Result<TlsStream<TcpStream>, WireError> {
    let failed = |error: &dyn std::error::Error| WireError::Tls(error.to_string());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    match own {
        Some(own) => roots.add_parsable_certificates(own.iter().cloned()),
        None => roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    };
    if roots.is_empty() {
        let why = if own.is_some() { "none in ca_file can be read" } else { "install ca-certificates" };
        return Err(WireError::Tls(format!("there are no trusted certificates: {why}")));
    }
    let by_roots = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let by_roots = by_roots.build().map_err(|error| failed(&error))?;
    let own = own.unwrap_or_default().to_vec();
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { own, by_roots }))
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|error| failed(&error))
}

/// As everywhere, and beside it: a server that shows the very certificate that `ca_file` holds is the one that was meant, whatever
/// name and dates it bears. One that signs itself is no authority, or an authority that is not to be a server.
#[derive(Debug)]
struct Verifier {
    own: Vec<CertificateDer<'static>>,
    by_roots: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.own.iter().any(|own| own.as_ref() == shown.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        self.by_roots.verify_server_cert(shown, others, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_roots.verify_tls12_signature(message, shown, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.by_roots.verify_tls13_signature(message, shown, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_roots.supported_verify_schemes()
    }
}

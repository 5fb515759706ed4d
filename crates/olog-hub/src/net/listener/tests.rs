use axum::{Extension, extract::Path, routing::get};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio_rustls::TlsConnector;

use super::*;

struct Port {
    address: SocketAddr,
    stop: CancellationToken,
    running: JoinSet<()>,
    _dir: tempfile::TempDir,
}

/// A port whose only page says whether it was reached by TLS.
fn open(with_tls: bool, limits: Limits) -> Port {
    open_beside(with_tls, limits, false)
}

/// As [`open`]; `is_open`: the same page is served in clear beside TLS.
fn open_beside(with_tls: bool, limits: Limits, is_open: bool) -> Port {
    let dir = tempfile::tempdir().unwrap();
    let source = tls::CertificateSource::SelfSigned { dir: dir.path().to_owned(), names: vec!["localhost".into()] };
    let serving = with_tls.then(|| tls::Certificate::load(source).unwrap().serving());
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), serving, limits).unwrap();
    let address = listener.address();
    let page = async |Extension(connection): Extension<Connection>| format!("tls {}", connection.tls);
    let bytes = async |Path(n): Path<usize>| "x".repeat(n);
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    let in_clear = InClear { app: Router::new().route("/", get(page)), is_open: Arc::new(move || is_open) };
    let app = Router::new().route("/", get(page)).route("/bytes/{n}", get(bytes));
    running.spawn(listener.run(app, in_clear, Arc::new(|_| false), stop.clone()));
    Port { address, stop, running, _dir: dir }
}

fn short() -> Limits {
    let moment = Duration::from_millis(300);
    Limits { connections: 100, handshake: moment, header: moment, ..Limits::default() }
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// All that comes until the other end closes.
async fn rest(mut stream: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    // A reset is an end too.
    let _how = timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes)).await.expect("it never closed");
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> String {
    stream.write_all(REQUEST).await.unwrap();
    rest(stream).await
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

async fn dial_tls(address: SocketAddr) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
}

#[tokio::test]
async fn a_tls_port_speaks_tls_and_says_so_to_who_does_not() {
    let port = open(true, Limits::default());
    let answer = ask(dial_tls(port.address).await.unwrap()).await;
    assert!(answer.ends_with("tls true"), "{answer}");
    let answer = ask(TcpStream::connect(port.address).await.unwrap()).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
}

#[test]
fn the_words_to_who_speaks_in_clear_are_as_long_as_they_say() {
    let text = std::str::from_utf8(SPEAKS_TLS).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
}

#[tokio::test]
async fn a_tls_port_may_serve_a_page_in_clear_beside_tls() {
    let port = open_beside(true, Limits::default(), true);
    assert!(ask(dial_tls(port.address).await.unwrap()).await.ends_with("tls true"));
    assert!(ask(TcpStream::connect(port.address).await.unwrap()).await.ends_with("tls false"));
}

#[tokio::test]
async fn a_clear_port_speaks_in_clear() {
    let port = open(false, Limits::default());
    let answer = ask(TcpStream::connect(port.address).await.unwrap()).await;
    assert!(answer.ends_with("tls false"), "{answer}");
}

#[tokio::test]
async fn who_says_nothing_is_dropped_at_every_step() {
    let port = open(true, short());
    // Not a byte; half a handshake; a handshake and then half a header.
    assert_eq!(rest(TcpStream::connect(port.address).await.unwrap()).await, "");
    let mut half = TcpStream::connect(port.address).await.unwrap();
    half.write_all(&[TLS_HANDSHAKE, 3, 1, 2]).await.unwrap();
    rest(half).await;
    let mut slow = dial_tls(port.address).await.unwrap();
    slow.write_all(b"GET / HT").await.unwrap();
    let said = rest(slow).await;
    assert!(!said.contains("tls true"), "{said}");
}

#[tokio::test]
async fn connections_beyond_the_bound_are_refused_and_a_free_place_is_used_again() {
    let port = open(false, Limits { connections: 2, ..Limits::default() });
    let held = [TcpStream::connect(port.address).await.unwrap(), TcpStream::connect(port.address).await.unwrap()];
    // Accepted in their order: the third finds no place.
    assert_eq!(rest(TcpStream::connect(port.address).await.unwrap()).await, "");
    drop(held);
    loop {
        let mut stream = TcpStream::connect(port.address).await.unwrap();
        if stream.write_all(REQUEST).await.is_ok() && rest(stream).await.ends_with("tls false") {
            break;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_stop_waits_for_the_connections() {
    let mut port = open(false, Limits::default());
    let idle = TcpStream::connect(port.address).await.unwrap();
    ask(TcpStream::connect(port.address).await.unwrap()).await;
    port.stop.cancel();
    timeout(Duration::from_secs(30), port.running.join_next()).await.unwrap().unwrap().unwrap();
    assert_eq!(rest(idle).await, "");
}

#[test]
fn a_port_that_cannot_be_opened_comes_with_what_helps() {
    let said = |address: &str, errno: rustix::io::Errno| {
        ListenError { address: address.parse().unwrap(), source: errno.into() }.to_string()
    };
    let ipv6 = said("[::]:8765", rustix::io::Errno::AFNOSUPPORT);
    assert!(ipv6.contains("[::]:8765") && ipv6.contains("`listen = \"0.0.0.0:8765\"`"), "{ipv6}");
    let low = said("0.0.0.0:443", rustix::io::Errno::ACCESS);
    assert!(low.contains("AmbientCapabilities=CAP_NET_BIND_SERVICE") && low.contains("reverse proxy"), "{low}");
    assert!(!said("0.0.0.0:8765", rustix::io::Errno::ACCESS).contains("1024"));
}

#[tokio::test]
async fn one_address_cannot_take_all_places() {
    let limits = Limits { strangers_of_one: 3, handshake: Duration::from_secs(60), ..short() };
    let port = open(true, limits);
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(TcpStream::connect(port.address).await.unwrap());
    }
    // The kernel accepts in order: the fourth is seen after the three.
    assert_eq!(rest(TcpStream::connect(port.address).await.unwrap()).await, "");
    drop(idle);
    // Their places come back as soon as the hub sees that they are gone.
    loop {
        let answer = rest_of_clear(port.address).await;
        if !answer.is_empty() {
            assert!(answer.contains("speaks TLS"), "{answer}");
            break;
        }
    }
    port.stop.cancel();
}

/// What the port says to a request in clear.
async fn rest_of_clear(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    if stream.write_all(REQUEST).await.is_err() {
        return String::new();
    }
    rest(stream).await
}

/// Bytes that the kernel keeps of what was written to a connection; `None`: it has no such connection (proc_net_tcp(5)).
fn in_the_kernel(port: u16, peer: u16) -> Option<usize> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let pair = |field: &str| {
        let (one, other) = field.split_once(':').unwrap();
        (usize::from_str_radix(one, 16).unwrap(), usize::from_str_radix(other, 16).unwrap())
    };
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = (pair(fields[1]).1, pair(fields[2]).1) == (port.into(), peer.into());
        is_it.then(|| pair(fields[4]).0)
    })
}

#[tokio::test]
async fn the_kernel_keeps_little_of_an_answer_that_waits_for_its_reader() {
    let port = open(false, short());
    let mut stream = TcpStream::connect(port.address).await.unwrap();
    stream.write_all(b"GET /bytes/67108864 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let peer = stream.local_addr().unwrap().port();
    let full = async {
        let (mut before, mut n_same) = (0, 0);
        while n_same < 10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = in_the_kernel(port.address.port(), peer).unwrap();
            n_same = if now > 0 && now == before { n_same + 1 } else { 0 };
            before = now;
        }
        before
    };
    let kept = timeout(Duration::from_secs(30), full).await.unwrap();
    // Twice, and what was on its way when the bound was reached.
    assert!(kept <= 3 * KERNEL_BUFFER as usize, "{kept} bytes");
}

#[tokio::test]
async fn the_kernel_keeps_nothing_of_an_answer_that_nobody_reads() {
    let limits = Limits { write: Duration::from_millis(300), ..short() };
    for with_tls in [false, true] {
        let port = open(with_tls, limits);
        // One answer that the buffers of both kernels take at once, and one that waits in the hub.
        for n in [200_000, 64 << 20] {
            let request = format!("GET /bytes/{n} HTTP/1.1\r\nhost: x\r\n\r\n");
            let (peer, _unread): (u16, Box<dyn std::any::Any>) = if with_tls {
                let mut stream = dial_tls(port.address).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                (stream.get_ref().0.local_addr().unwrap().port(), Box::new(stream))
            } else {
                let mut stream = TcpStream::connect(port.address).await.unwrap();
                stream.write_all(request.as_bytes()).await.unwrap();
                (stream.local_addr().unwrap().port(), Box::new(stream))
            };
            let gone = async {
                while in_the_kernel(port.address.port(), peer).is_some() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            timeout(Duration::from_secs(30), gone).await.expect("it stays");
        }
    }
}

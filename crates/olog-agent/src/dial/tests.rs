//! Real sockets on the loopback, real TLS with certificates made here.

use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::*;

/// A certificate for another host that ended with January of that year, and its key's print.
fn self_signed(year: i32) -> (ServerConfig, KeyPrint) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["elsewhere.example".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 2, 1);
    let certificate = params.self_signed(&key).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate.der()).unwrap();
    let print = KeyPrint::of(parsed.tbs_certificate.subject_pki.raw);
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (config, print)
}

/// Serves one connection that echoes five bytes.
async fn tls_server(config: ServerConfig) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // The other side may refuse this certificate.
        if let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await {
            let mut bytes = [0; 5];
            if stream.read_exact(&mut bytes).await.is_ok() {
                stream.write_all(&bytes).await.unwrap();
            }
        }
    });
    (port, tasks)
}

/// A server that says `words` to whoever connects.
async fn plain_server(words: &'static str) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 1024];
        assert!(stream.read(&mut bytes).await.unwrap() > 0);
        stream.write_all(words.as_bytes()).await.unwrap();
    });
    (port, tasks)
}

async fn reach(base: &str, pin: Option<KeyPrint>) -> Result<Box<dyn ByteStream>, String> {
    let target = Target::of(base, pin).map_err(|e| e.to_string())?;
    Dialer::new(Clock::system(), Timestamp(0)).reach(&target).await.map_err(|e| e.to_string())
}

#[track_caller]
fn says(result: Result<Box<dyn ByteStream>, String>, step: &str, words: &str) {
    let said = result.err().expect("it was reached");
    assert!(said.starts_with(step) && said.contains(words), "{said}");
}

#[tokio::test]
async fn a_pinned_hub_is_known_by_its_key_whatever_its_certificate_says() {
    let (config, print) = self_signed(2001);
    let (port, _tasks) = tls_server(config).await;
    let mut stream = reach(&format!("https://127.0.0.1:{port}"), Some(print)).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
}

#[tokio::test]
async fn another_key_than_the_pinned_one_is_refused() {
    let (config, _) = self_signed(2001);
    let (port, _tasks) = tls_server(config).await;
    let reached = reach(&format!("https://127.0.0.1:{port}"), Some(KeyPrint([7; 16]))).await;
    says(reached, "TLS:", "not the one in the join link");
}

/// The pin names the certificate, but who answers must also hold its key.
#[tokio::test]
async fn a_stolen_certificate_without_its_key_is_refused() {
    let (_, print) = self_signed(2001);
    let pinned = Pinned::new(print, &ring::default_provider());
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let unsigned = DigitallySignedStructBytes::of(SignatureScheme::ECDSA_NISTP256_SHA256, &[0; 64]);
    assert!(pinned.verify_tls13_signature(b"transcript", certificate.der(), &unsigned).is_err());
}

/// rustls builds this type from the wire only.
struct DigitallySignedStructBytes;

impl DigitallySignedStructBytes {
    fn of(scheme: SignatureScheme, signature: &[u8]) -> DigitallySignedStruct {
        use rustls::internal::msgs::codec::{Codec as _, Reader};
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&u16::from(scheme).to_be_bytes());
        bytes.extend_from_slice(&u16::try_from(signature.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(signature);
        DigitallySignedStruct::read(&mut Reader::init(&bytes)).unwrap()
    }
}

#[tokio::test]
async fn without_a_pin_a_self_signed_certificate_is_not_trusted() {
    let (config, _) = self_signed(2100);
    let (port, _tasks) = tls_server(config).await;
    let reached = reach(&format!("https://127.0.0.1:{port}"), None).await;
    // A machine without any root certificate says that first.
    let said = reached.err().expect("it was reached");
    assert!(said.starts_with("TLS:") && (said.contains("roots") || said.contains("root certificates")), "{said}");
}

#[tokio::test]
async fn a_port_that_does_not_speak_tls_is_told_so() {
    let (port, _tasks) = plain_server("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let reached = reach(&format!("https://127.0.0.1:{port}"), Some(KeyPrint([7; 16]))).await;
    says(reached, "TLS:", "does not speak TLS");
}

#[tokio::test]
async fn a_name_without_address_and_a_closed_port_are_told_apart() {
    says(reach("https://no-such-host.invalid", None).await, "DNS:", "no-such-host.invalid");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    says(reach(&format!("http://127.0.0.1:{port}"), None).await, "TCP:", "is olog-hub running");
}

#[test]
fn a_base_is_taken_apart() {
    let of = |base| Target::of(base, None).unwrap();
    let target = of("https://hub.example.com:8765/olog/");
    assert_eq!((target.host.as_str(), target.port, target.prefix.as_str()), ("hub.example.com", 8765, "/olog"));
    assert_eq!(of("http://h").authority(), "h:80");
    assert_eq!((of("https://h").host_header(), of("https://h:80").host_header()), ("h".into(), "h:80".into()));
    assert_eq!(of("https://[2001:db8::1]:8765").authority(), "[2001:db8::1]:8765");
    assert!(Target::of("ftp://h", None).is_err() && Target::of("https://", None).is_err());
}

/// A root of our own, and a certificate of it for localhost that holds from 2020 to 2100.
fn authority() -> (RootCertStore, ServerConfig) {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2100, 1, 1));
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(2100, 1, 1));
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    (roots, config)
}

async fn handshake(now: Timestamp) -> Result<(), String> {
    let (roots, server) = authority();
    let (port, _tasks) = tls_server(server).await;
    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let config = tls_with(None, now, || Ok(roots)).unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.map(drop).map_err(|e| tls_words(&e))
}

#[tokio::test]
async fn a_device_whose_clock_says_1970_is_not_locked_out_of_a_hub_with_a_real_certificate() {
    let (clock, _hand) = Clock::manual(Timestamp(60_000));
    let too_early = handshake(clock.now()).await.unwrap_err();
    assert!(too_early.contains("set this device's clock"), "{too_early}");
    // This program was built after the certificate.
    handshake(Dialer::new(clock.clone(), Timestamp(0)).judged_at()).await.unwrap();
    // Once it has known a later time, it stays there: a certificate that ended before is not believed again.
    let later = Dialer::new(clock, Timestamp(5_000_000_000_000)).judged_at();
    assert!(handshake(later).await.unwrap_err().contains("renew the certificate"));
}

#[tokio::test]
async fn an_address_that_does_not_answer_holds_up_no_other() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let good = listener.local_addr().unwrap();
    // A full backlog answers nobody, as a host behind a firewall.
    let silent = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&silent, &"127.0.0.1:0".parse::<std::net::SocketAddrV4>().unwrap()).unwrap();
    rustix::net::listen(&silent, 0).unwrap();
    let silent = std::net::TcpListener::from(silent);
    let port = silent.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(200), TcpStream::connect(port)).await {
        filling.push(stream);
    }
    let closed: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let stream =
        timeout(TCP_AFTER, first_of(&[closed, port, good])).await.expect("it waited for the silent one").unwrap();
    assert_eq!(stream.peer_addr().unwrap(), good);
    let refused = first_of(&[closed]).await.unwrap_err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    assert!(first_of(&[]).await.unwrap_err().is_none());
}

#[test]
fn both_kinds_of_addresses_are_tried_in_turn() {
    let list = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
    let sorted = in_turn(list(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]));
    assert_eq!(sorted, list(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
}

//! A hub behind a reverse proxy, by the files of `deploy/`: nginx at a path prefix and with a name of its own, and Caddy.
//!
//! Seen in each: TLS of an authority, the websocket, a session without news that lasts longer than a proxy waits by default, and the client's own address.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    time::Duration,
};

use olog_journeys::{
    proxy::{self, Proxy},
    world::{Hub, World},
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::pem::PemObject as _};

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A hub that is configured for a proxy, as the files of `deploy/` say.
fn hub_behind(world: &World, url: &str) -> Hub {
    let more = "[tls]\nmode = \"off\"\n[proxy]\ntrusted = [\"127.0.0.1\"]\n";
    Hub::new(world, "hub", &format!("public_url = \"{url}\""), more)
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_with_tls_and_a_path_prefix_everything_works() {
    let world = World::new().await;
    let port = free_port();
    let url = format!("https://localhost:{port}/olog");
    let mut hub = hub_behind(&world, &url);
    let nginx = Proxy::nginx_under_path(world.folder(), port, hub.port);
    assert_eq!(nginx.url(), url);
    hub.start();
    let link = hub.join_link();
    assert!(link.starts_with(&format!("{url}/join#")), "{link}");
    let mut pi = world.agent_off("pi", "", "");
    // Without the authority among its roots, the agent must refuse the certificate.
    assert!(!pi.join_by(&link).status.success());
    pi.daemon.env("SSL_CERT_FILE", &nginx.authority());
    pi.join_by(&link).good();
    pi.start();
    pi.wait_connected();
    pi.write("svc.err", "through the proxy\n");
    world.push("through the proxy").await;
    drop(nginx);
    pi.write("svc.err", "while the proxy was away\n");
    pi.wait("the event waits", |status| status["connected"] == false && status["spool"].as_u64() >= Some(1));
    let _nginx = Proxy::nginx_under_path(world.folder(), port, hub.port);
    world.push("while the proxy was away").await;
}

#[test]
fn the_page_shows_the_location_that_is_tested() {
    let page = include_str!("../../../docs/operations.md");
    assert!(page.contains(&format!("```nginx\n{}```", proxy::location(8765))), "docs/operations.md shows another one");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_with_a_name_of_its_own_a_silent_session_lasts() {
    behind(Proxy::nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_caddy_a_silent_session_lasts() {
    behind(Proxy::caddy).await;
}

async fn behind(start: fn(&Path, u16, u16) -> Proxy) {
    let world = World::new().await;
    let port = free_port();
    let url = format!("https://localhost:{port}");
    let mut hub = hub_behind(&world, &url);
    let proxy = start(world.folder(), port, hub.port);
    assert_eq!(proxy.url(), url);
    hub.start();
    let mut pi = world.agent_off("pi", "", "");
    pi.daemon.env("SSL_CERT_FILE", &proxy.authority());
    pi.join_by(&hub.join_link()).good();
    pi.start();
    pi.wait_connected();
    pi.write("svc.err", "before the long silence\n");
    world.push("before the long silence").await;
    let n_sessions = || pi.daemon.log_text().matches(" connected hub=").count();
    assert_eq!(n_sessions(), 1, "{}", pi.daemon.log_text());
    // The time itself is what is tested: nginx ends what was silent for 60 s.
    tokio::time::sleep(Duration::from_secs(65)).await;
    pi.write("svc.err", "after the long silence\n");
    world.push("after the long silence").await;
    assert_eq!(n_sessions(), 1, "the proxy ended the session:\n{}", pi.daemon.log_text());

    // A link that never was is refused by the client's own address: neither the proxy's, nor the one that the client makes up.
    let body = r#"{"secret": "AAAAAAAAAAAAAAAAAAAAAA", "name": "x", "address": null, "key": "J52pyYGuQNbYv0Nj0w6sU4f_6e_8HtMdiPQNhU5rYho"}"#;
    let join = format!(
        "POST /join HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.9\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = ask_from("127.0.0.2", port, &proxy.authority(), &join);
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    hub.wait("the refusal is logged", |hub| hub.daemon.log_text().contains("from=127.0.0.2").then_some(()));
    assert!(!hub.daemon.log_text().contains("203.0.113.9"), "{}", hub.daemon.log_text());
}

/// A request over TLS whose client has this address.
fn ask_from(address: &str, port: u16, authority: &str, request: &str) -> String {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &format!("{address}:0").parse::<SocketAddr>().unwrap()).unwrap();
    rustix::net::connect(&socket, &format!("127.0.0.1:{port}").parse::<SocketAddr>().unwrap()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls::pki_types::CertificateDer::pem_file_iter(authority).unwrap().flatten());
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(client, TcpStream::from(socket));
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // The other side may close without TLS's own farewell.
    BufReader::new(stream).read_to_end(&mut answer).ok();
    String::from_utf8_lossy(&answer).into_owned()
}

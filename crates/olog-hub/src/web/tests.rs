//! Requests to a real hub on loopback: its pages, its errors, its headers, and whom it believes.

use olog_daemon::{
    clock::{Clock, ClockHandle},
    config::read_text,
    socket::Client,
};
use olog_proto::Timestamp;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;
use crate::{config::Config, hub::Hub};

mod access;
mod alerts;
mod fleet;
mod pings;
mod running;
mod stream;

struct World {
    hub: Hub,
    verbs: Client,
    hand: ClockHandle,
    dir: tempfile::TempDir,
}

async fn world(more: &str) -> World {
    world_with("", more).await
}

/// With keys above the tables, and tables.
async fn world_with(top: &str, more: &str) -> World {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("listen = '127.0.0.1:0'\nstate_dir = {:?}\n{top}[tls]\nmode = 'off'\n{more}", dir.path());
    let config = read_text("hub.toml", &text, |table| Config::parse(table, dir.path())).unwrap();
    let verbs = Client::new("olog-hub", config.boot.socket.clone());
    let (clock, hand) = Clock::manual(Timestamp(1_800_000_000_000));
    World { hub: Hub::start(config, None, clock).await.unwrap(), verbs, hand, dir }
}

impl World {
    /// The status, the headers in lower case, and the body.
    async fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(self.hub.address()).await.unwrap();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        // A hub that has refused the head may close before the body is written.
        let _closed = stream.write_all(request.as_bytes()).await.is_err();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    /// The `ETag` of an answer.
    async fn tag_of(&self, target: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.hub.address()).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        answer.lines().find_map(|line| line.strip_prefix("etag: ")).expect("an ETag").to_owned()
    }

    async fn get(&self, target: &str) -> (u16, String, String) {
        self.ask("GET", target, "", "").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_keeps_a_browser_from_more_than_the_page() {
    let world = world("").await;
    for (target, status) in [
        ("/", 303),
        ("/signin", 200),
        ("/setup/x", 403),
        ("/account", 303),
        ("/audit", 303),
        ("/join", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/nothing", 404),
    ] {
        let (found, head, _) = world.get(target).await;
        assert_eq!(found, status, "{target}");
        for header in ["content-security-policy: default-src 'none'", "nosniff", "deny", "no-referrer", "no-store"] {
            assert!(head.contains(header), "{target}: no {header} in {head}");
        }
    }
    assert!(world.hub.stop().await);
}

/// The address of the page of a report that was just made.
async fn report(world: &World) -> String {
    world.verbs.post::<serde_json::Value>("/report/push", &()).await.unwrap();
    let store = rusqlite::Connection::open(world.dir.path().join("olog.db")).unwrap();
    let token: String = store.query_row("SELECT token FROM reports", [], |row| row.get(0)).unwrap();
    format!("/reports/{token}")
}

#[tokio::test(flavor = "multi_thread")]
async fn each_address_answers_its_methods_and_refuses_the_others() {
    let world = world("").await;
    let report = report(&world).await;
    let (html, text) = ("text/html; charset=utf-8", "text/plain");
    for (target, status, kind, posts) in [
        ("/signin", 200, html, 415),
        ("/healthz", 200, text, 405),
        ("/readyz", 200, text, 405),
        ("/metrics", 200, "text/plain; version=0.0.4", 405),
        ("/agent", 426, "application/problem+json", 405),
        ("/join", 200, html, 415),
        (report.as_str(), 200, html, 405),
        ("/reports/", 404, "application/problem+json", 404),
        ("/reports/%ff", 404, "application/problem+json", 405),
        ("/reports/x/y", 404, "application/problem+json", 404),
        ("//", 404, "application/problem+json", 404),
        ("/healthz/", 404, "application/problem+json", 404),
    ] {
        let (found, head, body) = world.get(target).await;
        assert_eq!(found, status, "GET {target}: {body}");
        assert!(head.contains(&format!("content-type: {kind}")), "GET {target}: {head}");
        assert!(!body.is_empty(), "GET {target}");
        let (found, head, body) = world.ask("HEAD", target, "", "").await;
        assert_eq!((found, body.as_str()), (status, ""), "HEAD {target}: {head}");
        for (method, status) in [("POST", posts), ("PUT", 405), ("DELETE", 405), ("OPTIONS", 405), ("BREW", 405)] {
            let status = if posts == 404 { 404 } else { status };
            let (found, head, body) = world.ask(method, target, "", "").await;
            assert_eq!(found, status, "{method} {target}: {body}");
            assert!(head.contains("application/problem+json"), "{method} {target}: {head}");
            assert!(head.contains("nosniff") && head.contains("no-store"), "{method} {target}: {head}");
            assert_eq!(head.contains("allow: get"), found == 405, "{method} {target}: {head}");
        }
    }
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_too_long_is_refused_and_a_long_one_is_nobodys() {
    let world = world("").await;
    assert_eq!(world.get(&format!("/reports/{}", "a".repeat(4_000))).await.0, 404);
    let (status, ..) = world.get(&format!("/{}", "a".repeat(70_000))).await;
    assert!([414, 431].contains(&status), "{status}");
    assert_eq!(world.get("/healthz").await.0, 200);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_problems_with_words() {
    let world = world("").await;
    let join = "content-type: application/json\r\n";
    for (method, target, headers, body, status, words) in [
        ("GET", "/nothing", "", "", 404, "not found"),
        ("DELETE", "/join", "", "", 405, "does not accept that method"),
        ("GET", "/reports/0123456789abcdef0123456789abcdef", "", "", 404, "no longer stored"),
        ("GET", "/agent", "", "", 426, "proxy_set_header Upgrade"),
        ("POST", "/join", join, "{", 400, "JSON"),
        ("POST", "/join", "", "{}", 415, "Content-Type"),
    ] {
        let (found, head, detail) = world.ask(method, target, headers, body).await;
        assert_eq!(found, status, "{method} {target}: {detail}");
        assert!(head.contains("application/problem+json") && detail.contains(words), "{method} {target}: {detail}");
    }
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_its_bound_is_refused() {
    let world = world("").await;
    let (status, ..) =
        world.ask("POST", "/join", "content-type: application/json\r\n", &"x".repeat(BODY_MAX + 1)).await;
    assert_eq!(status, 413);
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_loopback_and_a_proxy_speaks_for_whom_it_names() {
    let world = world("[proxy]\ntrusted = [\"127.0.0.1\"]\n").await;
    assert_eq!(world.get("/metrics").await.0, 200);
    let (status, _, words) = world.ask("GET", "/metrics", "x-forwarded-for: 203.0.113.9\r\n", "").await;
    assert_eq!((status, words.contains("loopback")), (403, true));
    for hidden in ["x-forwarded-for: unknown", "x-forwarded-for: _hidden", "x-forwarded-for:", "x-real-ip: 203.0.113.9"]
    {
        assert_eq!(world.ask("GET", "/metrics", &format!("{hidden}\r\n"), "").await.0, 403, "{hidden}");
    }
    assert!(world.hub.stop().await);
}

#[test]
fn a_client_whose_address_is_not_told_or_cannot_be_read_is_not_local() {
    let is_local = |trusted: &str, header: &[(&'static str, &[u8])]| {
        let text = format!("state_dir = '/s'\n[proxy]\ntrusted = [{trusted}]\n");
        let config = read_text("hub.toml", &text, |table| Config::parse(table, std::path::Path::new("/"))).unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in header {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        client_address([127, 0, 0, 1].into(), &headers, &config.live).is_local()
    };
    const XFF: &str = "x-forwarded-for";
    assert!(is_local("'127.0.0.1'", &[]) && is_local("", &[]));
    assert!(is_local("'127.0.0.1'", &[(XFF, b"127.0.0.1")]) && is_local("'127.0.0.1'", &[(XFF, b"[::1]")]));
    for hidden in [
        &b"unknown"[..],
        b"_hidden",
        b"",
        b"_x:4711",
        b"203.0.113.9",
        b"fe80::1%eth0",
        b"\xff",
        b"127.0.0.1,",
        b"unknown, 127.0.0.1",
    ] {
        assert!(!is_local("'127.0.0.1'", &[(XFF, hidden)]), "{}", hidden.escape_ascii());
    }
    for name in ["forwarded", "x-real-ip"] {
        assert!(!is_local("'127.0.0.1'", &[(name, b"for=203.0.113.9")]), "{name}");
    }
    // A proxy that the configuration does not name.
    assert!(!is_local("", &[(XFF, b"203.0.113.9")]) && !is_local("", &[("forwarded", b"for=203.0.113.9")]));
}

#[test]
fn the_address_of_a_client_is_the_last_hop_that_is_no_trusted_proxy() {
    let asker = |trusted: &str, header: &[&str]| {
        let text = format!("state_dir = '/s'\n[proxy]\ntrusted = [{trusted}]\n");
        let config = read_text("hub.toml", &text, |table| Config::parse(table, std::path::Path::new("/"))).unwrap();
        let mut headers = HeaderMap::new();
        for line in header {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        client_address([127, 0, 0, 1].into(), &headers, &config.live).address.to_string()
    };
    for (trusted, header, expected) in [
        ("", vec!["203.0.113.9"], "127.0.0.1"),
        ("'127.0.0.1'", vec![], "127.0.0.1"),
        ("'127.0.0.1'", vec!["203.0.113.9"], "203.0.113.9"),
        ("'127.0.0.1'", vec!["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        ("'127.0.0.1', '10.0.0.0/8'", vec!["203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("'127.0.0.1', '10.0.0.0/8'", vec!["203.0.113.9", "10.1.2.3"], "203.0.113.9"),
        ("'127.0.0.1'", vec!["203.0.113.9:4711"], "203.0.113.9"),
        ("'127.0.0.1'", vec!["[2001:db8::1]:4711"], "2001:db8::1"),
        ("'127.0.0.1'", vec!["[2001:db8::1]"], "2001:db8::1"),
        ("'127.0.0.1'", vec!["::ffff:203.0.113.9"], "203.0.113.9"),
        // The proxy does not say who it is.
        ("'127.0.0.1'", vec!["unknown"], "127.0.0.1"),
        ("'127.0.0.1'", vec!["127.0.0.1, _hidden"], "127.0.0.1"),
    ] {
        assert_eq!(asker(trusted, &header), expected, "{trusted} {header:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_may_not_connect_as_an_agent() {
    let world = world("").await;
    let upgrade = "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        sec-websocket-protocol: olog.v1\r\n";
    let (status, _, body) = world.ask("GET", "/agent", &format!("{upgrade}origin: https://evil.example\r\n"), "").await;
    assert_eq!(status, 403, "{body}");
    assert!(body.contains("Origin"), "{body}");
}

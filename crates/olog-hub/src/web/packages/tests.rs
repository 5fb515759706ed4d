//! A real hub on loopback that offers a package.

use olog_daemon::{clock::Clock, config::read_text, socket::Client};
use olog_proto::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::*;
use crate::{admin::socket::LinkAnswer, config::Config, hub::Hub, net::enrol::LinkRequest, net::packages::tests::deb};

struct World {
    hub: Hub,
    verbs: Client,
    _dir: tempfile::TempDir,
}

async fn world(top: &str) -> World {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("listen = '127.0.0.1:0'\nstate_dir = {:?}\n{top}\n[tls]\nmode = 'off'\n", dir.path());
    let config = read_text("hub.toml", &text, |table| Config::parse(table, dir.path())).unwrap();
    let verbs = Client::new("olog-hub", config.boot.socket.clone());
    let (clock, _) = Clock::manual(Timestamp(1_800_000_000_000));
    World { hub: Hub::start(config, None, clock).await.unwrap(), verbs, _dir: dir }
}

impl World {
    async fn get(&self, target: &str) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.hub.address()).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        let head = String::from_utf8_lossy(&answer).to_lowercase();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head, body)
    }

    async fn line(&self) -> Result<String, String> {
        let request = LinkRequest { device: None, expires: 60, uses: 1, local: false, install: true };
        let answer = self.verbs.post::<LinkAnswer>("/join-link", &request).await;
        answer.map(|answer| answer.link).map_err(|error| error.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_was_added_is_served_whole_and_nothing_else_of_the_state_folder() {
    let world = world("language = 'en'").await;
    for target in ["/install", "/packages/olog-agent_0.1.0-1_amd64.deb"] {
        assert_eq!(world.get(target).await.0, 404, "{target}");
    }
    let refused = world.line().await.unwrap_err();
    assert!(refused.contains("olog-hub packages add"), "{refused}");
    let package = deb("olog-agent", "0.1.0-1", "amd64");
    let added: Offered = world.verbs.send_file("/packages/add", package.clone().into()).await.unwrap();
    let (status, head, body) = world.get("/packages/olog-agent_0.1.0-1_amd64.deb").await;
    assert_eq!((status, body.as_slice()), (200, package.as_slice()));
    assert!(head.contains("debian.binary-package") && head.contains(&format!("content-length: {}", package.len())));
    let listed: Vec<Offered> = serde_json::from_slice(&world.get("/packages").await.2).unwrap();
    assert_eq!(listed, std::slice::from_ref(&added));
    for target in ["olog-agent_amd64.deb", "..%2folog.db", "%2e%2e/olog.db", "../olog.db", "%ff", "olog.db"] {
        let (status, ..) = world.get(&format!("/packages/{target}")).await;
        assert_eq!(status, 404, "{target}");
    }
    // Longer than what a page may send, and refused in the hub's words.
    let error = world.verbs.send_file::<Offered>("/packages/add", vec![0; 3 << 20].into()).await.unwrap_err();
    assert_eq!(error.to_string(), "not offered: this is not a Debian package (.deb)");
    let (status, _, script) = world.get("/install").await;
    let script = String::from_utf8(script).unwrap();
    assert!(status == 200 && script.contains(&added.sha256) && script.contains(&added.name), "{script}");
    let hash: String = Sha256::digest(&script).iter().map(|byte| format!("{byte:02x}")).collect();
    let line = world.line().await.unwrap();
    assert!(line.contains(&hash), "the line expects the script that is served: {line}");
    assert!(world.hub.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_join_page_has_the_same_line_without_a_link() {
    let world = world("language = 'en'\npublic_url = 'http://hub.example/olog'").await;
    let page = String::from_utf8(world.get("/join").await.2).unwrap();
    assert!(page.contains("<body>"), "no package, no line");
    world.verbs.send_file::<Offered>("/packages/add", deb("olog-agent", "0.1.0-1", "arm64").into()).await.unwrap();
    let (_, head, page) = world.get("/join").await;
    let page = String::from_utf8(page).unwrap();
    let (_, rest) = page.split_once("data-line=\"").unwrap();
    let (line, _) = rest.split_once('"').unwrap();
    let line = line.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&");
    let printed = world.line().await.unwrap();
    let (_, link) = printed.split_once("echo '").unwrap();
    let (link, _) = link.split_once('\'').unwrap();
    assert!(link.starts_with("http://hub.example/olog/join#"), "{link}");
    assert_eq!(line.replace("@base@", "http://hub.example/olog").replace("@link@", link), printed);
    assert!(head.contains("script-src 'sha256-"), "{head}");
    assert!(world.hub.stop().await);
}

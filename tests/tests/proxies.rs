//! A hub behind a reverse proxy: nginx, TLS of an authority, a path prefix.

use std::net::TcpListener;

use olog_journeys::{
    nginx::Nginx,
    world::{Hub, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx_with_tls_and_a_path_prefix_everything_works() {
    let world = World::new().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("https://localhost:{port}/olog");
    let more = "[tls]\nmode = \"off\"\n[proxy]\ntrusted = [\"127.0.0.1\"]\n";
    let mut hub = Hub::new(&world, "hub", &format!("public_url = \"{url}\""), more);
    let nginx = Nginx::start(world.folder(), port, hub.port);
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
    let _nginx = Nginx::start(world.folder(), port, hub.port);
    world.push("while the proxy was away").await;
}

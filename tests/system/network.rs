//! Two machines, and a network between them that fails.

use olog_journeys::proxy;

use crate::{
    installed::{Release, evening, remote},
    machine::Machine,
    site::Site,
};

/// An error on the machine reaches the phone.
async fn reaches_the_phone(site: &Site, machine: &Machine, words: &str) {
    machine.good(&format!("echo '{words}' > '/var/log/olog/{words}.msg'"));
    site.push(words).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn an_unplugged_machine_is_lost_and_back_with_what_it_saw() {
    let site = Site::with_room_for(2).await;
    let hub = evening(&site, "hub");
    hub.write_hub_conf(&site, "[alerts]\nquiet = \"\"\nover_wait = \"1s\"\noffline_after = \"5s\"\n");
    hub.good("systemctl reload olog-hub");
    let pi = remote(&site, &hub, "pi");
    reaches_the_phone(&site, &pi, "by the wire").await;
    pi.unplug();
    pi.good("echo 'while it was unplugged' > /var/log/olog/alone.err");
    let lost = site.push("LOST pi").await;
    assert!(lost.text().contains("No shutdown was announced"), "{}", lost.text());
    pi.wait_status("it knows that it is alone", |status| status["connected"] == false);
    assert_eq!(pi.property("olog-agent", "ActiveState"), "active");
    pi.plug_in();
    let back = site.push("BACK pi").await;
    assert!(back.text().contains("No reboot"), "{}", back.text());
    site.push("while it was unplugged").await;
    hub.all_told(&site).await;
    assert_eq!(hub.n_events("while it was unplugged"), 1);
    // The hub's own agent was there all the time.
    assert_eq!((site.n_pushes("LOST hub"), site.n_pushes("LOST pi")), (0, 1), "{}", site.phone.story());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn a_machine_that_shuts_down_says_bye_and_is_not_lost() {
    let site = Site::with_room_for(2).await;
    let hub = evening(&site, "hub");
    hub.write_hub_conf(&site, "[alerts]\nquiet = \"\"\nover_wait = \"1s\"\noffline_after = \"5s\"\n");
    hub.good("systemctl reload olog-hub");
    let mut pi = remote(&site, &hub, "pi");
    pi.reboot(|| {
        let bye = hub.query::<Option<String>>("SELECT bye FROM devices WHERE name = 'pi'");
        assert!(matches!(bye.as_slice(), [Some(_)]), "{bye:?}");
        // A device that vanishes after this one would be lost before it.
        hub.good("systemctl kill --signal KILL olog-agent && systemctl stop olog-agent");
        hub.wait("the other one is lost", |_| (site.n_pushes("LOST hub") == 1).then_some(()));
    });
    pi.wait_connected();
    reaches_the_phone(&site, &pi, "after the reboot").await;
    assert_eq!(site.n_pushes("LOST pi"), 0, "{}", site.phone.story());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots a machine"]
async fn behind_nginx_the_agent_trusts_whom_its_machine_trusts() {
    let site = Site::with_room_for(2).await;
    let hub = site.boot("hub");
    hub.install(Release::This, &["olog-hub"]);
    let made = tempfile::tempdir().unwrap();
    proxy::certificates(made.path(), "hub.example.com");
    for (file, to) in [("cert.pem", "/etc/ssl/certs/hub.pem"), ("key.pem", "/etc/ssl/private/hub.key")] {
        hub.write(to, &std::fs::read_to_string(made.path().join(file)).unwrap());
    }
    let server = "server {\n listen 443 ssl;\n server_name hub.example.com;\n ssl_certificate /etc/ssl/certs/hub.pem;\n ssl_certificate_key /etc/ssl/private/hub.key;\n";
    hub.write("/etc/nginx/sites-enabled/olog", &format!("{server}{}\n}}\n", proxy::location(8765)));
    hub.good("rm /etc/nginx/sites-enabled/default && systemctl start nginx");
    hub.write(
        "/etc/olog/hub.d/10-proxy.toml",
        "listen = \"127.0.0.1:8765\"\npublic_url = \"https://hub.example.com/olog\"\n[tls]\nmode = \"off\"\n",
    );
    hub.good("systemctl restart olog-hub");
    hub.configure_hub(&site, "");
    let pi = site.boot("pi");
    pi.install(Release::This, &["olog-agent"]);
    pi.good(&format!("echo '{} hub.example.com' >> /etc/hosts", hub.address));
    let link = hub.hub("join-link").good();
    let join = format!("echo '{}' | olog-agent join", link.trim());
    // An authority that no machine trusts.
    let said = pi.sh(&join);
    assert!(!said.status.success() && said.err.contains("certificate"), "{}{}", said.out, said.err);
    pi.write(
        "/usr/local/share/ca-certificates/ours.crt",
        &std::fs::read_to_string(made.path().join("ca.pem")).unwrap(),
    );
    pi.good("update-ca-certificates");
    pi.good(&join);
    pi.wait_connected();
    reaches_the_phone(&site, &pi, "through nginx").await;
    // The device's own address, not the proxy's.
    let peers = hub.query::<String>("SELECT peer FROM devices WHERE name = 'pi'");
    assert!(peers.iter().all(|peer| peer.starts_with(&pi.address.to_string())), "{peers:?}");
    hub.good("systemctl restart nginx");
    pi.wait_connected();
    reaches_the_phone(&site, &pi, "through another nginx").await;
}

//! An agent comes from its hub: one line on a bare Debian machine, and what stops it.

use olog_journeys::daemon::Said;

use crate::{installed::Release, machine::Machine, site::Site};

const HUB: &str = "olog-hub";
const AGENT: &str = "olog-agent";

/// The line of `join-link --install`, made anew.
fn line(hub: &Machine, more: &str) -> String {
    let Said { status, out, err } = hub.hub(&format!("join-link --install {more}"));
    assert!(status.success() && err.contains("curl"), "{err}");
    assert_eq!(out.lines().count(), 1, "{out}");
    out.trim().to_owned()
}

/// The line fails with these words, and nothing was installed.
#[track_caller]
fn refused(bare: &Machine, line: &str, words: &str) {
    let said = bare.sh(line);
    assert!(!said.status.success() && said.err.contains(words), "expected {words:?}: {}{}", said.out, said.err);
    assert!(!bare.path("/usr/bin/olog-agent").exists(), "it was installed: {}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots two machines"]
async fn one_line_on_a_bare_machine_installs_the_hubs_agent_and_joins() {
    let site = Site::with_room_for(2).await;
    let hub = site.boot("hub");
    hub.install(Release::This, &[HUB]);
    hub.configure_hub(&site, "");
    let said = hub.hub("join-link --install");
    assert!(!said.status.success() && said.err.contains("olog-hub packages add"), "{}", said.err);
    let (package, other) = (hub.bring(Release::This, AGENT), hub.bring(Release::This, HUB));
    for (file, words) in [
        (other.as_str(), "this is the package olog-hub"),
        ("/etc/hostname", "not a Debian package"),
        ("/nowhere.deb", "No such file"),
    ] {
        let said = hub.hub(&format!("packages add {file}"));
        assert!(!said.status.success() && said.err.contains(words), "{file}: {}", said.err);
    }
    let sum = hub.good(&format!("sha256sum {package}"));
    let sum = sum.split(' ').next().unwrap();
    assert!(hub.hub(&format!("packages add {package}")).good().contains(sum));
    assert!(hub.hub("packages list").good().contains(sum));
    // The hub's user owns it, and offers it after a restart too.
    hub.good("systemctl restart olog-hub");
    hub.wait("the hub answers", |hub| hub.hub("packages list").out.contains(sum).then_some(()));
    let stored = "/var/lib/olog-hub/packages/olog-agent_amd64.deb";
    assert_eq!(hub.good(&format!("stat --format %U {stored}")).trim(), "olog-hub");

    let bare = site.boot("bare");
    let good = line(&hub, "--expires 1d");
    assert!(good.contains("--pinnedpubkey 'sha256//") && !good.contains("sudo olog-agent"), "{good}");
    let digit = |c: char| if c == '0' { '1' } else { '0' };
    let at = good.find("' ]; then").unwrap() - "  -".len() - 1;
    let wrong_hash: String = good.char_indices().map(|(i, c)| if i == at { digit(c) } else { c }).collect();
    refused(&bare, &wrong_hash, "Nothing was installed");
    let at = good.find("sha256//").unwrap() + "sha256//".len();
    let wrong_key: String =
        good.char_indices().map(|(i, c)| if i == at { if c == 'A' { 'B' } else { 'A' } } else { c }).collect();
    refused(&bare, &wrong_key, "pinned public key");
    // A package that has changed on the disk of the hub is not the one that the script names.
    hub.good(&format!(
        "cp -a {stored} /root/kept && printf x | dd of={stored} bs=1 seek=1000 conv=notrunc status=none"
    ));
    refused(&bare, &good, "SHA-256 differs");
    hub.good(&format!("cat /root/kept > {stored}"));
    bare.good("mv /usr/bin/curl /usr/bin/curl.away");
    refused(&bare, &good, "curl");
    bare.good("mv /usr/bin/curl.away /usr/bin/curl");
    let said = bare.sh_as("nobody", &good);
    assert!(!said.status.success() && said.err.contains("as root"), "{}", said.err);

    bare.sh(&good).good();
    bare.wait_connected();
    bare.good("echo 'no space left' > /var/log/olog/@backup@.err");
    site.push("ERR bare/backup").await;
    // The link's secret was in no argument of a program.
    assert!(!good.contains("sh -c 'i="), "{good}");
    let key = bare.read("/var/lib/olog-agent/device.key");

    // Once more: the agent that is installed stays, and so does its identity.
    let said = bare.sh(&good);
    assert!(said.status.success() && said.err.contains("installed already"), "{}{}", said.out, said.err);
    assert_eq!(bare.read("/var/lib/olog-agent/device.key"), key);
    bare.wait_connected();

    // A newer package is offered to new machines; a device that has joined is told nothing, and the list says that it is behind.
    hub.good(&format!(
        "dpkg-deb --raw-extract {package} /root/newer && sed -i 's/^Version: .*/Version: 9.9.9-1/' /root/newer/DEBIAN/control && \
         dpkg-deb -Zgzip -z1 --build /root/newer /root/newer.deb && olog-hub packages add /root/newer.deb"
    ));
    let devices = hub.hub("device list").good();
    assert!(devices.contains("(behind 9.9.9)"), "{devices}");
    refused_as_changed(&bare, &good);
    assert!(bare.good("dpkg-query --show olog-agent").contains("0.1.0"));
    assert_eq!(bare.property(AGENT, "NRestarts"), "0");
}

/// A line that was made before the packages changed says so.
#[track_caller]
fn refused_as_changed(bare: &Machine, line: &str) {
    let said = bare.sh(line);
    assert!(!said.status.success() && said.err.contains("packages have changed"), "{}{}", said.out, said.err);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "boots two machines"]
async fn a_link_that_has_expired_says_so_and_the_agent_waits_for_a_new_one() {
    let site = Site::with_room_for(2).await;
    let hub = site.boot("hub");
    hub.install(Release::This, &[HUB]);
    hub.configure_hub(&site, "");
    // In clear, as behind a proxy: only the hashes hold.
    let clear = "[tls]\nmode = \"off\"\n[proxy]\ntrusted = [\"127.0.0.1\"]\n";
    hub.write("/etc/olog/hub.d/10-clear.toml", clear);
    hub.good("systemctl restart olog-hub");
    hub.wait("the hub answers", |hub| hub.hub("device list").status.success().then_some(()));
    let package = hub.bring(Release::This, AGENT);
    hub.good(&format!("olog-hub packages add {package}"));
    let bare = site.boot("bare");
    let (short, good) = (line(&hub, "--expires 1s"), line(&hub, ""));
    assert!(good.contains("curl -fsS 'http://") && !good.contains("pinned"), "{good}");
    let until = tokio::time::Instant::now() + std::time::Duration::from_millis(1500);
    tokio::time::sleep_until(until).await;
    let said = bare.sh(&short);
    assert!(!said.status.success(), "{}{}", said.out, said.err);
    assert!(said.err.contains("expired") && said.err.contains("has not joined"), "{}", said.err);
    assert_eq!(bare.property(AGENT, "ActiveState"), "active");
    bare.sh(&good).good();
    bare.wait_connected();
}

//! The programs for Raspberry Pi OS (Debian 12 on arm64), as its packages have them, run by qemu with the C library of Debian 12.

use std::{fs, process::Command};

use olog_journeys::{
    daemon::{program, run},
    world::World,
};

use crate::given;

/// The C library of Debian 12.
const DEBIAN_12: (u32, u32) = (2, 36);

/// What `dpkg-deb --field` says of the package of this program.
fn field(package: &str, name: &str) -> String {
    let mut files = fs::read_dir(given("OLOG_ARM64_DEBS")).unwrap().filter_map(Result::ok);
    let file = files.find(|file| file.file_name().to_string_lossy().starts_with(&format!("{package}_"))).unwrap();
    run(Command::new("dpkg-deb").arg("--field").arg(file.path()).arg(name)).good().trim().to_owned()
}

#[test]
#[ignore = "needs the programs for arm64"]
fn the_packages_for_arm64_need_no_newer_c_library_than_debian_12_has() {
    for package in ["olog-hub", "olog-agent"] {
        assert_eq!(field(package, "Architecture"), "arm64");
        let depends = field(package, "Depends");
        assert!(depends.contains("libc6 (>= 2.") && depends.contains("systemd"), "{depends}");
        let file = given("OLOG_ARM64_PROGRAMS").join(package);
        let header = run(Command::new("readelf").args(["--file-header", "--wide"]).arg(&file)).good();
        assert!(header.contains("AArch64"), "{header}");
        let versions = run(Command::new("readelf").args(["--version-info", "--wide"]).arg(&file)).good();
        let named: Vec<(u32, u32)> = versions
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("GLIBC_")?.split_once('.'))
            .map(|(major, minor)| (major.parse().unwrap(), minor.split('.').next().unwrap().parse().unwrap()))
            .collect();
        let highest = *named.iter().max().expect("it names the versions that it needs");
        assert!(highest <= DEBIAN_12, "{package} needs the C library {}.{}", highest.0, highest.1);
    }
}

/// `OLOG_PROGRAMS` makes every journey run these programs; this one is enough for an evening.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the programs for arm64"]
async fn an_error_on_an_arm_machine_becomes_a_push_and_its_end_too() {
    let version = run(Command::new(program("olog-agent")).arg("--version")).good();
    assert!(version.contains(env!("CARGO_PKG_VERSION")), "{version}");
    let text = fs::read_to_string(program("olog-agent")).expect("a script that calls qemu");
    assert!(text.contains("qemu-aarch64"), "{text}");
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.write("@backup@.err", "no space left on device\n");
    let push = world.push("ERR pi/backup").await;
    assert!(push.text().contains("no space left on device"), "{}", push.text());
    fs::remove_file(pi.log_dir.join("@backup@.err")).unwrap();
    world.push("OVER pi/backup").await;
    pi.wait_sent();
}

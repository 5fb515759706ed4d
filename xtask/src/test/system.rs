//! The parts of the system tests: a Debian made by `debootstrap`, and the packages built from this tree.
//!
//! The Debian stays in `target/system/rootfs-KEY`, where KEY is a hash of its recipe. It is built beside and then renamed, so that it is complete or
//! absent. Each machine is a copy of it. On a host that cannot boot machines the tests count as ignored, not as passed.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::deb;
use crate::run::{output, root, say, shown, succeeds};

const SUITE: &str = "bookworm";
/// A version that is lower than every other.
const OLDER: &str = "0.0.9-1";
/// Packages beside the essential ones: what a user's machine has, and what the tests use to look inside.
const PACKAGES: &str = "ca-certificates,cron,curl,dbus,iproute2,libfaketime,nginx-light,openssh-server,openssl,procps,python3-apt,python3-websockets,rsync,systemd,systemd-sysv,tzdata";
/// Run in it once: systemd manages the network, no service starts by itself, and no copy contains caches.
const FINISH: &str = "systemctl enable systemd-networkd.service && systemctl disable cron.service nginx.service ssh.service && \
    systemctl mask apt-daily.timer apt-daily-upgrade.timer && apt-get clean && rm -rf /var/lib/apt/lists/*";

/// The folders that the tests need.
#[derive(Debug)]
pub(crate) struct Parts {
    rootfs: PathBuf,
    debs: PathBuf,
}

impl Parts {
    /// Passes them to the tests, in variables.
    pub(crate) fn tell(&self, tests: &mut Command) {
        tests.env("OLOG_ROOTFS", &self.rootfs).env("OLOG_DEBS", &self.debs);
    }
}

/// The reason why this host cannot boot machines, if it cannot.
pub(crate) fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("booting machines needs root".to_owned());
    }
    let bridge = format!("olog-try{}", std::process::id() % 1_000_000);
    let add = ["link", "add", "name", &bridge, "type", "bridge"];
    let mut tries = [Command::new("ip"), Command::new("ip"), Command::new("unshare")];
    let [make, remove, isolate] = &mut tries;
    make.args(add);
    remove.args(["link", "delete", &bridge]);
    isolate.args(["--mount", "--pid", "--uts", "--ipc", "--fork", "--mount-proc", "true"]);
    tries.iter_mut().find_map(|one| output(one).err()).map(|error| format!("this host lets nobody boot one: {error:#}"))
}

/// Makes what is not there yet.
pub(crate) fn provide() -> anyhow::Result<Parts> {
    let folder = root().join("target/system");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(Parts { rootfs: rootfs(&folder)?, debs: debs(&folder)? })
}

/// The packages of this tree, and the same with a lower version, to test upgrades.
fn debs(folder: &Path) -> anyhow::Result<PathBuf> {
    let debs = folder.join("debs");
    for (name, version) in [("this", None), ("older", Some(OLDER))] {
        let out = debs.join(name);
        // Packages of other versions.
        if out.exists() {
            fs::remove_dir_all(&out).with_context(|| format!("cannot remove {}", out.display()))?;
        }
        let args = deb::DebArgs {
            target: None,
            profile: "dev".to_owned(),
            deb_version: version.map(str::to_owned),
            out: Some(out),
        };
        deb::packages(&args).context("no packages")?;
    }
    Ok(debs)
}

fn rootfs(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut key = String::new();
    for byte in Sha256::digest([SUITE, PACKAGES, FINISH].join("\n")).iter().take(6) {
        write!(key, "{byte:02x}")?;
    }
    let rootfs = folder.join(format!("rootfs-{key}"));
    if rootfs.exists() {
        return Ok(rootfs);
    }
    // A Debian of another recipe, and one that was not finished.
    for entry in fs::read_dir(folder)?.filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with("rootfs-") {
            fs::remove_dir_all(entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    let new = folder.join("rootfs-new");
    let mut debootstrap = Command::new("debootstrap");
    debootstrap.args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE]).arg(&new);
    say(&format!("== {}", shown(&debootstrap)));
    if !succeeds(debootstrap.stdout(std::process::Stdio::null()))? {
        let log = fs::read_to_string(new.join("debootstrap/debootstrap.log")).unwrap_or_default();
        let start = log.lines().count().saturating_sub(20);
        let tail: Vec<&str> = log.lines().skip(start).collect();
        anyhow::bail!("debootstrap made no Debian:\n{}", tail.join("\n"));
    }
    output(Command::new("chroot").arg(&new).args(["sh", "-c", FINISH])).context("the new Debian is not finished")?;
    fs::rename(&new, &rootfs).with_context(|| format!("cannot rename {}", new.display()))?;
    Ok(rootfs)
}

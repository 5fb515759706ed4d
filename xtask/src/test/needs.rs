//! The programs that the suites need beside cargo. As root they are installed; for anybody else the command that installs them is printed.

use std::{path::PathBuf, process::Command};

use crate::run::{find, say, succeeds};

/// A program, or the path of a file, and the package of Debian and Ubuntu that has it.
const NEEDS: &[(&str, &str)] = &[
    ("cc", "build-essential"),
    ("postgres", "postgresql"),
    ("initdb", "postgresql"),
    ("nginx", "nginx"),
    ("caddy", "caddy"),
    ("prometheus", "prometheus"),
    ("promtool", "prometheus"),
    ("amtool", "prometheus-alertmanager"),
    ("borg", "borgbackup"),
    ("curl", "curl"),
    ("setpriv", "util-linux"),
    ("python3", "python3-venv"),
    ("zsh", "zsh"),
    ("fish", "fish"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("npm", "npm"),
    // A browser needs a font to show Chinese.
    ("/usr/share/fonts/truetype/wqy/wqy-microhei.ttc", "fonts-wqy-microhei"),
];
/// The programs that boot machines.
const MACHINES: &[(&str, &str)] = &[
    ("debootstrap", "debootstrap"),
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("systemd-nspawn", "systemd-container"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("ssh", "openssh-client"),
    ("python3", "python3-venv"),
];

/// The programs that build for other machines, and run what was built.
const ELSEWHERE: &[(&str, &str)] = &[
    ("debootstrap", "debootstrap"),
    ("dpkg-shlibdeps", "dpkg-dev"),
    ("qemu-aarch64", "qemu-user"),
    ("readelf", "binutils"),
    ("unshare", "util-linux"),
];

/// Makes sure that the programs for the suites are installed.
pub(crate) fn provide() -> anyhow::Result<()> {
    install(NEEDS)
}

/// Makes sure that the programs for the system tests are installed.
pub(crate) fn provide_machines() -> anyhow::Result<()> {
    install(MACHINES)
}

/// Makes sure that the programs are installed that build for other machines.
pub(crate) fn provide_elsewhere() -> anyhow::Result<()> {
    install(ELSEWHERE)
}

fn install(needs: &[(&str, &'static str)]) -> anyhow::Result<()> {
    let missing = missing(needs);
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install --yes --no-install-recommends {}", missing.join(" "));
    if !rustix::process::geteuid().is_root() || find("apt-get", &[]).is_none() {
        anyhow::bail!("the suites need {}: `{install}`, then again", missing.join(", "));
    }
    say(&format!("== {install}"));
    let apt = || {
        let mut command = Command::new("apt-get");
        // The package must not start a server of its own: the suites start theirs, on a free port.
        command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
        command
    };
    // Without the lists the second step fails, with apt's own error.
    if !succeeds(apt().args(["update", "--quiet"]))? {
        say("apt-get update failed; trying with the lists that are here");
    }
    if !succeeds(apt().args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(&missing))? {
        anyhow::bail!("apt-get could not install {}", missing.join(", "));
    }
    match self::missing(needs) {
        still if still.is_empty() => Ok(()),
        still => anyhow::bail!("still missing after the installation: {}", still.join(", ")),
    }
}

fn missing(needs: &[(&str, &'static str)]) -> Vec<&'static str> {
    let folders = postgres_folders();
    let mut packages = Vec::new();
    for (program, package) in needs {
        let is_there = find(program, &folders).is_some() && (*program != "python3" || makes_environments());
        if !is_there && !packages.contains(package) {
            packages.push(*package);
        }
    }
    packages
}

/// Debian ships Python without the module that creates an environment with pip.
fn makes_environments() -> bool {
    let mut ask = Command::new("python3");
    ask.args(["-c", "import ensurepip"]).stderr(std::process::Stdio::null());
    succeeds(&mut ask).unwrap_or(false)
}

/// Debian keeps the server's programs outside the PATH, in a folder for each version. The newest comes first.
pub(crate) fn postgres_folders() -> Vec<PathBuf> {
    let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut folders: Vec<(u32, PathBuf)> = versions
        .filter_map(Result::ok)
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    folders.sort_unstable_by(|a, b| b.cmp(a));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

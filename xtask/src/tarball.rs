//! `cargo xtask tarball`: both daemons as static programs, for x86_64 machines without Debian.
//!
//! The programs need no C library, no systemd, no root and no `/etc`: only their own folder and a `state_dir` that they may write. They are linked
//! against musl, whose resolver reads `/etc/resolv.conf` and `/etc/hosts` by itself. A static glibc would load the machine's name service modules,
//! which belong to another glibc.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{
    cross::{self, PROGRAMS, STATIC},
    run::{output, root, say},
};

/// How to make it.
#[derive(Debug, clap::Args)]
pub(crate) struct TarballArgs {
    /// The profile of the programs; "dev" builds quickly, but large programs
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
    /// Where it goes [default: target/tarball]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// What is in it beside the programs: the path in this repository, and in the tarball.
const FILES: [(&str, &str); 8] = [
    ("packaging/hub/hub.toml", "hub.toml"),
    ("packaging/agent/agent.toml", "agent.toml"),
    ("packaging/hub/man/olog-hub.1", "man/olog-hub.1"),
    ("packaging/agent/man/olog-agent.1", "man/olog-agent.1"),
    ("packaging/TARBALL.md", "README.md"),
    ("packaging/TARBALL.zh-CN.md", "README.zh-CN.md"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
    ("LICENSE-MIT", "LICENSE-MIT"),
];

/// Makes it, and prints where it is and how large.
pub(crate) fn tarball(args: &TarballArgs) -> anyhow::Result<bool> {
    let file = make(args)?;
    let size = fs::metadata(&file).with_context(|| format!("cannot read {}", file.display()))?.len();
    say(&format!("{} ({:.1} MiB)", file.display(), size as f64 / f64::from(1 << 20)));
    Ok(true)
}

/// Makes it and returns its path.
pub(crate) fn make(args: &TarballArgs) -> anyhow::Result<PathBuf> {
    let built = cross::programs(STATIC, &args.profile)?;
    let out = std::path::absolute(args.out.clone().unwrap_or_else(|| root().join("target/tarball")))?;
    let name = format!("olog-{}-x86_64-static", env!("CARGO_PKG_VERSION"));
    let folder = out.join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let programs = PROGRAMS.iter().map(|program| (built.join(program), *program));
    let files = FILES.iter().map(|(from, to)| (root().join(from), *to));
    for (from, to) in programs.chain(files) {
        let to = folder.join(to);
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    is_static(&folder)?;
    let file = out.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.args(["--create", "--gzip", "--owner=0", "--group=0", "--sort=name", "--file"]).arg(&file);
    output(tar.arg("--directory").arg(&out).arg(&name))?;
    Ok(file)
}

/// A program that names an interpreter or a library would not start on a machine without that.
fn is_static(folder: &Path) -> anyhow::Result<()> {
    for program in PROGRAMS {
        let mut ask = Command::new("readelf");
        let parts = output(ask.args(["--program-headers", "--dynamic", "--wide"]).arg(folder.join(program)))?;
        anyhow::ensure!(!parts.contains("INTERP") && !parts.contains("(NEEDED)"), "{program} is not static:\n{parts}");
    }
    Ok(())
}

//! The parts of the tests of programs for other machines: the packages for arm64, those programs behind qemu, and the tarball.
//!
//! Everything is built in the profile for development: what is tested is that it is built for the right machine and runs there.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use crate::{
    cross::{self, ARM64, PROGRAMS},
    deb,
    run::{output, root},
    tarball,
};

/// What the tests need.
#[derive(Debug)]
pub(crate) struct CrossBuilt {
    debs: PathBuf,
    programs: PathBuf,
    /// Scripts, each named as a program, that let qemu run it.
    emulated: PathBuf,
    tarball: PathBuf,
}

impl CrossBuilt {
    /// Passes them to the tests, in variables.
    pub(crate) fn tell(&self, tests: &mut Command) {
        tests.env("OLOG_ARM64_DEBS", &self.debs).env("OLOG_ARM64_PROGRAMS", &self.programs);
        tests.env("OLOG_PROGRAMS", &self.emulated).env("OLOG_TARBALL", &self.tarball);
    }
}

/// The reason why this host cannot build them, if it cannot.
pub(crate) fn obstacle() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("making a Debian that builds them needs root".to_owned());
    }
    let mut isolate = Command::new("unshare");
    isolate.args(["--mount", "--", "true"]);
    output(&mut isolate).err().map(|error| format!("this host lets nobody mount: {error:#}"))
}

/// Builds what is not there yet.
pub(crate) fn provide() -> anyhow::Result<CrossBuilt> {
    let folder = root().join("target/cross");
    let profile = || "dev".to_owned();
    let debs = folder.join("debs");
    // Packages of other versions.
    if debs.exists() {
        fs::remove_dir_all(&debs).with_context(|| format!("cannot remove {}", debs.display()))?;
    }
    let args =
        deb::DebArgs { target: Some(ARM64.to_owned()), profile: profile(), deb_version: None, out: Some(debs.clone()) };
    deb::packages(&args).context("no packages for arm64")?;
    let programs = cross::programs(ARM64, "dev")?;
    let emulated = folder.join("emulated");
    emulate(&programs, &cross::sysroot()?, &emulated)?;
    let args = tarball::TarballArgs { profile: profile(), out: Some(folder.join("tarball")) };
    let tarball = tarball::make(&args).context("no tarball")?;
    Ok(CrossBuilt { debs, programs, emulated, tarball })
}

/// The kernel here may not know how to start programs of another machine.
fn emulate(programs: &Path, sysroot: &Path, folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for name in PROGRAMS {
        let (program, script) = (programs.join(name), folder.join(name));
        let text = format!("#!/bin/sh\nexec qemu-aarch64 -L '{}' '{}' \"$@\"\n", sysroot.display(), program.display());
        fs::write(&script, text).with_context(|| format!("cannot write {}", script.display()))?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

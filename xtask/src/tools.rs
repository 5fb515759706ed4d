//! Cargo's own tools that the project needs, each in one version: the one that is installed, else one that is built into `target/tools`.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::run::{cargo, find, root, say, shown, succeeds};

/// A program of a crate, and its version. A newer one may expect other metadata, or find other things.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Makes packages for Debian.
pub(crate) const DEB: Tool = Tool { name: "cargo-deb", version: "3.8.0" };
/// Checks licences, sources, bans and advisories.
pub(crate) const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
/// Lists what a program is made of.
pub(crate) const CYCLONEDX: Tool = Tool { name: "cargo-cyclonedx", version: "0.5.9" };

impl Tool {
    /// Its path.
    pub(crate) fn path(self) -> anyhow::Result<PathBuf> {
        let Tool { name, version } = self;
        let tools = root().join("target/tools");
        if let Some(found) = find(name, &[tools.join("bin")]) {
            return Ok(found);
        }
        let mut install = cargo(["install", "--locked", "--version", version, name, "--root"]);
        install.arg(&tools);
        say(&format!("== {}", shown(&install)));
        anyhow::ensure!(succeeds(&mut install)?, "{name} {version} cannot be installed");
        find(name, &[tools.join("bin")]).with_context(|| format!("{name} was installed and is not there"))
    }
}

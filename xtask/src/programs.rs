//! The programs that are packed, and how old their sources are.

use std::process::Command;

use anyhow::Context as _;

use crate::run::{output, root};

/// The packages, each named as its program and its crate.
pub(crate) const PACKAGES: [&str; 2] = ["olog-hub", "olog-agent"];

/// The time of the sources: what the caller says, else the last commit's, in seconds.
pub(crate) fn source_date() -> anyhow::Result<u64> {
    if let Ok(told) = std::env::var("SOURCE_DATE_EPOCH") {
        return told.trim().parse().context("SOURCE_DATE_EPOCH is no number of seconds");
    }
    let of_commit = output(Command::new("git").current_dir(root()).args(["log", "-1", "--format=%ct"]));
    if let Some(at) = of_commit.ok().and_then(|told| told.trim().parse().ok()) {
        return Ok(at);
    }
    // Sources without git: the package's own changelog is as old as they are.
    let told = output(
        Command::new("dpkg-parsechangelog")
            .arg("-l")
            .arg(root().join("packaging/debian-changelog"))
            .args(["-S", "Timestamp"]),
    )?;
    told.trim().parse().context("the changelog has no date")
}

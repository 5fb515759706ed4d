//! `cargo xtask attack`: builds the release programs and lets `olog-attack` (crates/olog-swarm) attack a running hub and a running agent.
//!
//! The list of attacks, and the test behind each "cannot", is in docs/security.md. Root tries all of them; without root the attacks of a local
//! user are not tried.

use std::process::Command;

use crate::run::{cargo, root, say, succeeds};

/// What to attack, and how hard.
#[derive(Debug, clap::Args)]
pub(crate) struct AttackArgs {
    /// Only the attacks whose name contains one of these, comma-separated
    #[arg(long)]
    only: Option<String>,
    /// Some minutes: 2,000 new keys and 1,000 connections instead of 1,000,000 and 10,000
    #[arg(long)]
    quick: bool,
}

/// Attacks.
pub(crate) fn attack(args: &AttackArgs) -> anyhow::Result<bool> {
    say("Building the release programs: some minutes the first time.");
    let packages = ["-p", "olog-swarm", "-p", "olog-hub", "-p", "olog-agent"];
    if !succeeds(cargo(["build", "--release", "--quiet", "--bins"]).args(packages))? {
        return Ok(false);
    }
    let mut attack = Command::new(root().join("target/release/olog-attack"));
    if args.quick {
        attack.args(["--keys", "2000", "--connections", "1000", "--seconds", "5"]);
    }
    if let Some(only) = &args.only {
        attack.args(["--only", only]);
    }
    succeeds(&mut attack)
}

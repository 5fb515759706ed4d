//! `cargo xtask demo`: builds the two programs and runs the show, `tests/examples/demo.rs`, with them.

use crate::run::{cargo, say, succeeds};

/// How to show it.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// End after the show: with 0 if every push came
    #[arg(long)]
    once: bool,
}

/// Shows the product.
pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<bool> {
    say("building (the first time takes a few minutes)…");
    if !succeeds(&mut cargo(["build", "--quiet", "-p", "olog-hub", "-p", "olog-agent", "--bins"]))? {
        return Ok(false);
    }
    let once = args.once.then_some("--once");
    let fixed = ["run", "--quiet", "-p", "olog-journeys", "--example", "demo", "--"];
    succeeds(&mut cargo(fixed.into_iter().chain(once)))
}

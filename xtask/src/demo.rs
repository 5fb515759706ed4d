//! `cargo xtask demo`: builds the two programs and the demo, then runs the demo (`tests/examples/demo.rs`) with them.
//!
//! The build is one call of cargo that shows cargo's own progress, so that nobody waits in front of an empty screen.

use crate::run::{cargo, say, succeeds};

/// How to show the product.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// End by itself after the last push, with 0 if every push came
    #[arg(long)]
    once: bool,
    /// The language of the messages [default: zh-CN where LANG begins with "zh", else en]
    #[arg(long, value_parser = ["zh-CN", "en"])]
    language: Option<String>,
}

/// Shows the product.
pub(crate) fn demo(args: &DemoArgs) -> anyhow::Result<bool> {
    say("Building the hub, the agent and the demo: some minutes the first time. Cargo shows how far it is.");
    let packages = ["-p", "olog-hub", "-p", "olog-agent", "-p", "olog-journeys"];
    if !succeeds(cargo(["build"]).args(packages).args(["--bins", "--example", "demo"]))? {
        return Ok(false);
    }
    say("Built. Starting the demo.");
    let mut run = cargo(["run", "--quiet", "-p", "olog-journeys", "--example", "demo", "--"]);
    if args.once {
        run.arg("--once");
    }
    if let Some(language) = &args.language {
        run.args(["--language", language]);
    }
    succeeds(&mut run)
}

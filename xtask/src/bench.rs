//! `cargo xtask bench`: figures as ratios beside a peer or a limit taken in the same run. Not built yet.

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only the measurement of this name
    #[arg(long)]
    only: Option<String>,
}

/// Measures.
pub(crate) fn bench(args: &Args) -> anyhow::Result<bool> {
    let name = args.only.as_deref().unwrap_or("any");
    anyhow::bail!("there is no measurement yet ({name} was asked for)")
}

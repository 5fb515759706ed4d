//! `cargo xtask bench`: builds the release programs, measures them, and writes docs/performance.md.
//!
//! Each figure is compared with another program or a limit of the machine that is measured in the same run, so that the speed of the machine
//! cancels out. The measurements themselves are in `olog-bench` (crates/olog-swarm).

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::run::say;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// Only these, comma-separated: road, big, flood, memory, cold, idle, exec, ingest, history, report, storm, pings, streams, sessions; docs/performance.md is not written
    #[arg(long)]
    only: Option<String>,
    /// For how many seconds the idle programs are watched
    #[arg(long, default_value_t = 600)]
    idle: u64,
}

const HEAD: &str = "# Performance\n\nMeasured by `cargo xtask bench` (release build, loopback). Every figure is compared with another program or a limit of the machine, measured in \
    the same run; the bar is the highest ratio that is accepted. Absolute figures depend on the machine; compare the ratios.\n\n";

/// Measures.
pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<bool> {
    if Command::new("rsyslogd").arg("-v").output().is_err() {
        anyhow::bail!("rsyslogd is missing: the agent's memory is measured beside it (apt-get install rsyslog)");
    }
    if Command::new("chronic").arg("true").output().is_err()
        || Command::new("/usr/bin/time").arg("true").output().is_err()
    {
        anyhow::bail!("chronic or time is missing: exec is measured with them (apt-get install moreutils time)");
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let packages = ["-p", "olog-swarm", "-p", "olog-hub", "-p", "olog-agent"];
    let built = Command::new(&cargo).args(["build", "--release", "--quiet", "--bins"]).args(packages).status()?;
    anyhow::ensure!(built.success(), "the release build failed");
    let mut command = Command::new("target/release/olog-bench");
    command.args(["--idle", &args.idle.to_string()]);
    if let Some(only) = &args.only {
        command.args(["--only", only]);
    }
    let mut bench = command.stdout(Stdio::piped()).spawn().context("target/release/olog-bench does not start")?;
    let mut table = String::new();
    for line in BufReader::new(bench.stdout.take().context("no output")?).lines() {
        let line = line?;
        say(&line);
        table.push_str(&line);
        table.push('\n');
    }
    anyhow::ensure!(bench.wait()?.success(), "the measuring ended early");
    if args.only.is_none() {
        let machine = machine()?;
        std::fs::write("docs/performance.md", format!("{HEAD}{table}\n{machine}\n"))?;
    }
    Ok(!table.contains("**missed**"))
}

fn machine() -> anyhow::Result<String> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .unwrap_or(": unknown")
        .trim_start_matches([' ', '\t', ':']);
    let n = cpus.lines().filter(|l| l.starts_with("processor")).count();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("Machine: {n} × {model}, Linux {}.", kernel.trim()))
}

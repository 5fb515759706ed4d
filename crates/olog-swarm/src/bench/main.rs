//! `olog-bench` measures the figures of docs/performance.md, each next to its peer or limit in the same run.
//!
//! `cargo xtask bench` runs it on a release build. It prints one row per figure, with the ratio and the limit. It is not a test: it never
//! fails because of a slow machine.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a measuring program: what goes wrong ends it, and it reads the clock"
)]

mod agent;
mod exec;
mod hub;
mod report;
mod road;
mod storm;
mod web;

use clap::Parser;

/// What to measure.
#[derive(Debug, Parser)]
struct Args {
    /// Only these: road, big, flood, memory, cold, idle, exec, ingest, history, sessions, report, storm, pings, streams
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Files of the cold start and of the memory's slope
    #[arg(long, default_value_t = 1_000_000)]
    files: usize,
    /// Seconds of idleness
    #[arg(long, default_value_t = 600)]
    idle: u64,
    /// Events of history
    #[arg(long, default_value_t = 1_000_000)]
    history: u64,
    /// Devices in a report, of twenty tasks each
    #[arg(long, default_value_t = 10_000)]
    devices: usize,
    /// Devices of the storm, of a hundred failing tasks each
    #[arg(long, default_value_t = 1_000)]
    storm: usize,
    /// Be the bare websocket server that a session is measured against, on this port
    #[arg(long, hide = true)]
    bare: bool,
}

/// One line of the page.
pub(crate) struct Figure {
    /// What was measured.
    pub(crate) what: &'static str,
    /// Our figure.
    pub(crate) ours: String,
    /// The peer's, or the limit's, in the same run.
    pub(crate) limit: String,
    /// Ours over theirs.
    pub(crate) ratio: f64,
    /// What the ratio may be at most.
    pub(crate) bar: f64,
}

impl Figure {
    fn print(&self) {
        let verdict = if self.ratio <= self.bar { "kept" } else { "**missed**" };
        println!("| {} | {} | {} | {:.2} | ≤ {} | {verdict} |", self.what, self.ours, self.limit, self.ratio, self.bar);
    }
}

fn main() {
    let args = Args::parse();
    _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if args.bare {
        return runtime.block_on(hub::bare_server());
    }
    println!("| figure | Olog | peer or limit, same run | ratio | bar | |\n|---|---|---|---|---|---|");
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|only| only == name);
    let mut figures = Vec::new();
    let mut take = |name: &str, measure: &mut dyn FnMut() -> Vec<Figure>| {
        if wanted(name) {
            let taken = measure();
            taken.iter().for_each(Figure::print);
            figures.extend(taken);
        }
    };
    take("road", &mut || runtime.block_on(road::road()));
    take("big", &mut || runtime.block_on(road::big_file()));
    take("flood", &mut || runtime.block_on(agent::flood()));
    take("memory", &mut || runtime.block_on(agent::memory(args.files)));
    take("cold", &mut || runtime.block_on(agent::cold_start(args.files)));
    take("idle", &mut || runtime.block_on(agent::idle(args.idle)));
    take("exec", &mut || runtime.block_on(exec::exec()));
    take("ingest", &mut || runtime.block_on(hub::ingest()));
    take("history", &mut || runtime.block_on(hub::history(args.history)));
    take("report", &mut || runtime.block_on(report::report(args.devices)));
    take("storm", &mut || runtime.block_on(storm::storm(args.storm)));
    take("pings", &mut || runtime.block_on(web::pings()));
    take("streams", &mut || runtime.block_on(web::streams()));
    take("sessions", &mut || runtime.block_on(hub::sessions()));
}

/// The value below which this share of a sample lies.
pub(crate) fn quantile(sample: &mut [f64], share: f64) -> f64 {
    sample.sort_by(f64::total_cmp);
    let last = sample.len().saturating_sub(1);
    sample.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

/// Resident memory of a process in KiB (proc(5), VmRSS).
pub(crate) fn rss_kib(pid: u32) -> f64 {
    memory_kib(pid, "VmRSS:")
}

/// A size of a process in KiB, as proc(5) names it.
pub(crate) fn memory_kib(pid: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

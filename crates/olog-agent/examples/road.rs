//! Measures the road from a file to the spool: `cargo run --release -p olog-agent --example road -- [FILES]`.
//!
//! Prints one figure a line: a first start and a restart over a tree of FILES old files beside `find` on the same tree, memory
//! a file, and the time from a writer's close to the committed event with `settle = "0s"`.
#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a measurement, run by hand")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use olog_agent::files::{Files, FilesConfig};
use olog_agent::spool::Spool;
use olog_daemon::clock::Clock;
use olog_daemon::workers::Worker;
use olog_proto::event::Id128;
use tokio::sync::Notify;

fn main() {
    let files: usize = std::env::args().nth(1).map_or(100_000, |n| n.parse().unwrap());
    let dir = std::env::temp_dir().join(format!("olog-road-{}", std::process::id()));
    let (logs, state) = (dir.join("logs"), dir.join("state"));
    fs::create_dir_all(&state).unwrap();
    let old = filetime(90_000);
    for i in 0..files {
        let folder = logs.join(format!("{:04}", i / 1000));
        if i % 1000 == 0 {
            fs::create_dir_all(&folder).unwrap();
        }
        let file = fs::File::create(folder.join(format!("task-{i:07}.err"))).unwrap();
        file.set_modified(old).unwrap();
    }
    fs::create_dir_all(&logs).unwrap();
    let find = (0..3).map(|_| find(&logs)).min().unwrap();
    println!("find: {find:?}");
    let before = rss();
    let first = start(&logs, &state);
    println!("first start: {first:?} = {:.2} x find", first.as_secs_f64() / find.as_secs_f64());
    let again = start(&logs, &state);
    println!(
        "restart: {again:?} = {:.2} x find; {} KiB more than before",
        again.as_secs_f64() / find.as_secs_f64(),
        rss() - before
    );
    latency(&dir);
    fs::remove_dir_all(&dir).unwrap();
}

fn filetime(ago: u64) -> std::time::SystemTime {
    let now = u64::try_from(Clock::system().now().0).unwrap() / 1000;
    std::time::UNIX_EPOCH + Duration::from_secs(now - ago)
}

fn find(logs: &Path) -> Duration {
    let start = tokio::time::Instant::now();
    let status =
        Command::new("find").arg(logs).args(["-printf", "%s %T@ %i\n"]).stdout(Stdio::null()).status().unwrap();
    assert!(status.success());
    start.elapsed()
}

fn start(logs: &Path, state: &Path) -> Duration {
    let start = tokio::time::Instant::now();
    let (spool, _) = Spool::open(&state.join("spool.db"), Id128([1; 16])).unwrap();
    let config = FilesConfig::new(vec![logs.to_owned()], state.to_owned());
    let files =
        Files::start(config, spool.clone(), Arc::new(Notify::new()), Clock::system(), Worker::default()).unwrap();
    while files.status().scans == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let took = start.elapsed();
    files.stop();
    took
}

fn latency(dir: &Path) {
    let (logs, state) = (dir.join("few"), dir.join("few-state"));
    fs::create_dir_all(&logs).unwrap();
    fs::create_dir_all(&state).unwrap();
    let (spool, _) = Spool::open(&state.join("spool.db"), Id128([1; 16])).unwrap();
    let mut config = FilesConfig::new(vec![logs.clone()], state);
    config.settle = Duration::ZERO;
    let files =
        Files::start(config, spool.clone(), Arc::new(Notify::new()), Clock::system(), Worker::default()).unwrap();
    while files.status().scans == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let mut took = Vec::new();
    for i in 0..500_u64 {
        std::thread::sleep(Duration::from_millis(2));
        let path = logs.join(format!("{i}.err"));
        fs::write(path, format!("error {i}\n")).unwrap();
        let start = tokio::time::Instant::now();
        while spool.last() <= i {
            std::hint::spin_loop();
        }
        took.push(start.elapsed());
    }
    took.sort();
    println!("close to commit: median {:?}, p99 {:?}", took[250], took[495]);
    files.stop();
}

fn rss() -> i64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4
}

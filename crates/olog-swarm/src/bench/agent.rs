//! Benchmarks of the agent: memory next to rsyslogd, cold start next to `find`, event floods, idle CPU and wake-ups.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use olog_journeys::world::{Agent, Hub, World};
use rustix::process::Signal;

use crate::{Figure, rss_kib};

/// `n` log files of one line in folders of a thousand.
fn make_files(dir: &Path, from: usize, n: usize) {
    for i in from..from + n {
        let folder = dir.join(format!("d{}", i / 1000));
        if i % 1000 == 0 || i == from {
            std::fs::create_dir_all(&folder).unwrap();
        }
        std::fs::write(folder.join(format!("task{i}.log")), "a run of the task\n").unwrap();
    }
}

/// An agent that has scanned its files once, and settled.
async fn settled(world: &World, hub: &Hub, name: &str, n: usize) -> Agent {
    let mut agent = world.agent_off(name, "", "");
    make_files(&agent.log_dir, 0, n);
    // Older than a day: history, as on a machine where Olog is installed one evening.
    make_old(&agent.log_dir);
    agent.join(hub);
    agent.start();
    wait_watched(&agent, n);
    agent.wait_sent();
    agent
}

fn make_old(dir: &Path) {
    let touch = ["-type", "f", "-exec", "touch", "-d", "3 days ago", "{}", "+"];
    assert!(Command::new("find").arg(dir).args(touch).status().unwrap().success());
}

fn wait_watched(agent: &Agent, n: usize) {
    let start = Instant::now();
    while agent.status().and_then(|s| s["watched_files"].as_u64()).unwrap_or(0) < n as u64 {
        assert!(start.elapsed() < Duration::from_secs(300), "{:?}", agent.status());
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) async fn memory(n_files: usize) -> Vec<Figure> {
    let world = World::new().await;
    let hub = world.hub();
    let mut figures = Vec::new();
    let mut at_ten_thousand = 0.0;
    for (n, bar, what) in
        [(100, 1.5, "agent's memory at 100 files (RSS)"), (10_000, 0.1, "agent's memory at 10,000 files (RSS)")]
    {
        let agent = settled(&world, &hub, &format!("mem{n}"), n).await;
        std::thread::sleep(Duration::from_secs(2));
        let (ours, theirs) = (rss_kib(agent.daemon.pid()), rsyslog(world.folder(), &agent.log_dir, n));
        at_ten_thousand = ours;
        figures.push(Figure {
            what,
            ours: format!("{:.1} MiB", ours / 1024.0),
            limit: format!("{:.1} MiB: rsyslogd with imfile", theirs / 1024.0),
            ratio: ours / theirs,
            bar,
        });
    }
    let agent = settled(&world, &hub, "many", n_files).await;
    std::thread::sleep(Duration::from_secs(2));
    let bytes = (rss_kib(agent.daemon.pid()) - at_ten_thousand).max(0.0) * 1024.0 / (n_files - 10_000) as f64;
    figures.push(Figure {
        what: "each further file, up to the last",
        ours: format!("{bytes:.1} bytes (at {n_files} files)"),
        limit: "250 bytes".to_owned(),
        ratio: bytes / 250.0,
        bar: 1.0,
    });
    figures
}

/// rsyslogd following the same files.
fn rsyslog(folder: &Path, logs: &Path, n: usize) -> f64 {
    let work = folder.join(format!("rsyslog{n}"));
    std::fs::create_dir_all(&work).unwrap();
    let config = format!(
        "global(workDirectory=\"{0}\")\nmodule(load=\"imfile\")\ninput(type=\"imfile\" File=\"{1}/*/*.log\" Tag=\"t\")\n\
         action(type=\"omfile\" file=\"/dev/null\")\n",
        work.display(),
        logs.display()
    );
    std::fs::write(work.join("conf"), config).unwrap();
    let mut child = Command::new("rsyslogd")
        .args(["-n", "-f"])
        .arg(work.join("conf"))
        .arg("-i")
        .arg(work.join("pid"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("rsyslogd is installed (Debian: rsyslog)");
    let rss = settled_rss(&mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    rss
}

/// Its memory when that has stood still for 3 s.
fn settled_rss(child: &mut Child) -> f64 {
    let (mut last, mut still) = (0.0, 0);
    while still < 6 {
        std::thread::sleep(Duration::from_millis(500));
        let now = rss_kib(child.id());
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    last
}

pub(crate) async fn cold_start(n_files: usize) -> Vec<Figure> {
    let world = World::new().await;
    let mut agent = world.agent_off("cold", "", "");
    make_files(&agent.log_dir, 0, n_files);
    make_old(&agent.log_dir);
    let (mut ours, mut finds) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let start = Instant::now();
        let find =
            Command::new("find").arg(&agent.log_dir).args(["-printf", "%s %T@ %i\n"]).stdout(Stdio::null()).status();
        assert!(find.unwrap().success());
        finds.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        agent.start();
        wait_watched(&agent, n_files);
        ours.push(start.elapsed().as_secs_f64());
        agent.daemon.kill();
        std::fs::remove_dir_all(&agent.state_dir).unwrap();
        std::fs::create_dir_all(&agent.state_dir).unwrap();
    }
    let (ours, find) = (crate::quantile(&mut ours, 0.5), crate::quantile(&mut finds, 0.5));
    vec![Figure {
        what: "cold start until every file is known",
        ours: format!("{ours:.2} s for {n_files} files"),
        limit: format!("{find:.2} s: find -printf '%s %T@ %i'"),
        ratio: ours / find,
        bar: 2.0,
    }]
}

pub(crate) async fn flood() -> Vec<Figure> {
    const N: usize = 20_000;
    let world = World::new().await;
    let hub = world.hub();
    let mut figures = Vec::new();
    for (stopped, what) in
        [(false, "20,000 files at full speed: events in the hub"), (true, "the same, agent stopped meanwhile")]
    {
        let agent = world.agent(if stopped { "stopped" } else { "flood" }, &hub);
        if stopped {
            agent.daemon.signal(Signal::STOP);
        }
        for i in 0..N {
            std::fs::write(agent.log_dir.join(format!("t{i}.scanerr")), "failed\n").unwrap();
        }
        agent.daemon.signal(Signal::CONT);
        let query =
            "SELECT COUNT(*) FROM events e JOIN devices d ON d.id = e.device_id WHERE e.kind = 'text' AND d.name = ";
        let count = || hub.query::<i64>(&format!("{query}'{}'", agent.name)).first().copied().unwrap_or(0);
        let start = Instant::now();
        while count() < N as i64 && start.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(Duration::from_secs(1));
        let (n, took) = (count(), start.elapsed());
        figures.push(Figure {
            what,
            ours: format!("{n} (after {:.1} s)", took.as_secs_f64()),
            limit: N.to_string(),
            ratio: (n as f64 / N as f64 - 1.0).abs() + 1.0,
            bar: 1.0,
        });
    }
    figures
}

pub(crate) async fn idle(seconds: u64) -> Vec<Figure> {
    let world = World::new().await;
    let hub = world.hub();
    let agent = settled(&world, &hub, "idle", 100).await;
    std::thread::sleep(Duration::from_secs(10));
    let before = switches(agent.daemon.pid());
    std::thread::sleep(Duration::from_secs(seconds));
    let after = switches(agent.daemon.pid());
    let woken: BTreeMap<&String, u64> =
        after.iter().map(|(thread, n)| (thread, n - before.get(thread).copied().unwrap_or(0))).collect();
    let per_second = woken.values().sum::<u64>() as f64 / seconds as f64;
    let kinds: Vec<String> = woken.iter().map(|(thread, n)| format!("{thread} {n}")).collect();
    vec![Figure {
        what: "wake-ups of an idle agent",
        ours: format!("{per_second:.3}/s over {seconds} s ({})", kinds.join(", ")),
        limit: "0.2/s".to_owned(),
        ratio: per_second / 0.2,
        bar: 1.0,
    }]
}

/// Voluntary context switches of each thread: how often it slept and was woken (proc(5)).
fn switches(pid: u32) -> BTreeMap<String, u64> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads
        .flatten()
        .map(|thread| {
            let status = std::fs::read_to_string(thread.path().join("status")).unwrap();
            let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
            let id = thread.file_name().to_string_lossy().into_owned();
            (format!("{}[{id}]", field("Name:")), field("voluntary_ctxt_switches:").parse().unwrap())
        })
        .collect()
}

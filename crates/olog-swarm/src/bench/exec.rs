//! `olog-agent exec`: what it adds to a command's time, and its memory beside chronic(1) of moreutils, which does the least of what it does.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use olog_journeys::daemon::program;
use olog_journeys::world::World;

use crate::{Figure, quantile};

const ROUNDS: usize = 100;
/// Milliseconds that `exec` may add.
const ADDED_MAX: f64 = 15.0;

pub(crate) async fn exec() -> Vec<Figure> {
    let world = World::new().await;
    let hub = world.hub();
    let mut agent = world.agent_off("exec", "", "");
    agent.join(&hub);
    agent.start();
    agent.wait_connected();
    let config = agent.daemon.config();
    let with = || {
        let mut command = Command::new(program("olog-agent"));
        command.arg("--config").arg(config).args(["exec", "--quiet", "--task", "bench", "--"]);
        command
    };
    let (mut bare, mut chronic, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(milliseconds(Command::new("sh").args(["-c", "true"])));
        chronic.push(milliseconds(Command::new("chronic").args(["sh", "-c", "true"])));
        ours.push(milliseconds(with().args(["sh", "-c", "true"])));
    }
    let [bare, chronic, ours] = [bare, chronic, ours].map(|mut sample| quantile(&mut sample, 0.5));
    let added = ours - bare;
    let peak_of_chronic = peak_kib(world.folder(), &mut Command::new("chronic"), "echo out");
    let peak_of_ours = peak_kib(world.folder(), &mut with(), "echo out");
    let secrets = "true --password=hunter2pass API_KEY=hunter2pass https://bob:hunter2pass@host";
    let peak_with_secrets = peak_kib(world.folder(), &mut with(), secrets);
    vec![
        Figure {
            what: "what `exec` adds to `sh -c true`, agent running, median",
            ours: format!("{added:.1} ms"),
            limit: format!("{ADDED_MAX} ms (`sh -c` alone takes {bare:.1} ms; chronic adds {:.1} ms)", chronic - bare),
            ratio: added / ADDED_MAX,
            bar: 1.0,
        },
        Figure {
            what: "memory of `exec --quiet` at its peak",
            ours: format!("{:.1} MiB", peak_of_ours / 1024.0),
            limit: format!("{:.1} MiB: chronic", peak_of_chronic / 1024.0),
            ratio: peak_of_ours / peak_of_chronic,
            bar: 1.2,
        },
        Figure {
            what: "the same of a command line with secrets in it",
            ours: format!("{:.1} MiB", peak_with_secrets / 1024.0),
            limit: format!("{:.1} MiB: chronic", peak_of_chronic / 1024.0),
            ratio: peak_with_secrets / peak_of_chronic,
            bar: 1.2,
        },
    ]
}

fn milliseconds(command: &mut Command) -> f64 {
    let began = Instant::now();
    assert!(command.stdin(Stdio::null()).status().unwrap().success());
    began.elapsed().as_secs_f64() * 1e3
}

/// The largest resident memory of a program (time(1)) that runs a command, in KiB.
fn peak_kib(folder: &Path, command: &mut Command, script: &str) -> f64 {
    let mut sample: Vec<f64> = (0..5)
        .map(|_| {
            let file = folder.join("peak");
            let mut time = Command::new("/usr/bin/time");
            time.args(["-q", "-f", "%M", "-o"]).arg(&file).arg(command.get_program()).args(command.get_args());
            time.args(["sh", "-c", script]).stdin(Stdio::null());
            assert!(time.status().unwrap().success());
            std::fs::read_to_string(&file).unwrap().trim().parse().unwrap()
        })
        .collect();
    quantile(&mut sample, 0.5)
}

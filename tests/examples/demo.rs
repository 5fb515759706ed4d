//! The demo of `cargo xtask demo`: a hub, an agent and a phone, a few files, and what the phone shows of them.
//!
//! The two programs run as they would anywhere: with a configuration file, a join link, and their own processes. Only the
//! phone is a stand-in; it takes the calls that WxPusher would take. Everything lives in one temporary folder and ends with the demo,
//! except the page of the report under `--once`, which is kept in `target/demo`.

#![expect(clippy::unwrap_used, reason = "a show that cannot go on ends with what was wrong")]

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use olog_journeys::{
    daemon::program,
    phone::Push,
    world::{Agent, Hub, World},
};
use tokio::time::Instant;

/// How long a push may take before the show says that it did not come.
const PATIENCE: Duration = Duration::from_secs(30);

struct Demo {
    world: World,
    hub: Hub,
    agent: Agent,
    /// What was done, and the milliseconds from the file's close to the push, if it came.
    times: Vec<(String, Option<u128>)>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let is_once = args.iter().any(|arg| arg == "--once");
    let mut show = open(&language(&args)).await;
    show.play().await;
    let page = show.report(is_once);
    let good = show.sum_up();
    say(&format!("\nThe report's page, for a browser: file://{}", page.display()));
    if !is_once {
        say("");
        say(&format!("The demo goes on. Write .err, .msg or .log files into {}", show.agent.log_dir.display()));
        let (hub, config) = (program("olog-hub"), show.hub.daemon.config().to_path_buf());
        say(&format!("  {} incident list --config {}", hub.display(), config.display()));
        say("Ctrl-C ends it and removes the folder.");
        if tokio::signal::ctrl_c().await.is_err() {
            return ExitCode::FAILURE;
        }
    }
    show.agent.daemon.stop();
    show.hub.daemon.stop();
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The language of the messages: the one after `--language`, else that of the terminal.
fn language(args: &[String]) -> String {
    let named = args.iter().skip_while(|arg| *arg != "--language").nth(1).cloned();
    named.unwrap_or_else(|| {
        let is_chinese = std::env::var("LANG").is_ok_and(|lang| lang.starts_with("zh"));
        if is_chinese { "zh-CN" } else { "en" }.to_owned()
    })
}

async fn open(language: &str) -> Demo {
    let world = World::new().await;
    world.phone.print();
    say(&format!("Everything is in {}", world.folder().display()));
    say("\n$ olog-hub run          # SQLite, loopback, a certificate of its own");
    let hub = world.hub_with(&format!("language = \"{language}\""), "[alerts]\nover_wait = \"2s\"\n");
    say("$ olog-hub join-link");
    let link = hub.join_link();
    say(&format!("{link}\n"));
    say("$ olog-agent join LINK  # on the device \"comsrv\"");
    let mut agent = world.agent_off("comsrv", "address = \"ubuntu@10.20.0.233:22\"", "");
    say(agent.join_by(&link).good().trim_end());
    say("$ olog-agent run");
    agent.start();
    agent.wait_connected();
    Demo { world, hub, agent, times: Vec::new() }
}

impl Demo {
    async fn play(&mut self) {
        self.act("an error", "echo 'nginx not running!' > nginx.err", Some("comsrv/nginx")).await;
        self.act("the same again: counted, not pushed", "echo 'nginx not running!' > nginx.err", None).await;
        self.act("a message, no error", "echo 'door sensor battery 8 %' > door.msg", Some("comsrv/door")).await;
        let fails = "echo sending incremental file list > @backup@1.log; echo 'rsync: write failed: No space left on device (28)' > @backup@1.err";
        self.act("a backup that fails", fails, Some("comsrv/backup")).await;
        let well = "echo sent 34 files > @backup@2.log; : > @backup@2.err; rm @backup@1.err";
        self.act("the next one goes well: over, once nothing else came for 2 s", well, Some("comsrv/backup")).await;
        self.act("nginx is back, and its error file removed", "rm nginx.err", Some("comsrv/nginx")).await;
        self.act("a check that finds something", "echo '/dev/sda1 is 94 % full' > disk.err", Some("comsrv/disk")).await;
    }

    /// Makes the report that the phone gets every morning, and returns where its page is: in the folder of the demo, or, if that folder is
    /// removed at once, in `target/demo`.
    fn report(&self, is_once: bool) -> PathBuf {
        let folder = if is_once {
            // target/PROFILE/examples/demo
            let exe = std::env::current_exe().unwrap();
            let folder = exe.ancestors().nth(3).unwrap().join("demo");
            std::fs::create_dir_all(&folder).unwrap();
            folder
        } else {
            self.world.folder().to_path_buf()
        };
        let page = folder.join("report.html");
        say("\n# every morning at 11:00, or now:\n$ olog-hub report now --push --html report.html");
        self.hub.verb(&["report", "now", "--push", "--html", page.to_str().unwrap()]).good();
        page
    }

    /// Does what a crontab would do, and waits for the push that speaks of `task`.
    async fn act(&mut self, what: &str, line: &str, task: Option<&str>) {
        say(&format!("\n# {what}\n$ {line}"));
        let before = self.world.phone.pushes().len();
        self.agent.sh(line);
        let closed = Instant::now();
        let Some(task) = task else { return };
        let speaks = |push: &Push| push.summary.contains(task);
        let recovery = loop {
            if let Some(push) = self.world.phone.pushes().into_iter().skip(before).find(speaks) {
                break Some(push.at.saturating_duration_since(closed).as_millis());
            }
            if closed.elapsed() > PATIENCE {
                break None;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        match recovery {
            Some(ms) => say(&format!("  → pushed {ms} ms after the file was closed")),
            None => say(&format!("  → no push within {} s", PATIENCE.as_secs())),
        }
        self.times.push((what.to_owned(), recovery));
    }

    fn sum_up(&self) -> bool {
        say("\nFrom the file's close to the push:");
        for (what, recovery) in &self.times {
            let time = recovery.map_or_else(|| "did not come".to_owned(), |ms| format!("{ms} ms"));
            say(&format!("  {time:>12}  {what}"));
        }
        let good = self.times.iter().all(|(_, recovery)| recovery.is_some());
        if !good {
            say(&format!("\nWhat the hub logged:\n{}", self.hub.daemon.log_text()));
            say(&format!("\nWhat the agent logged:\n{}", self.agent.daemon.log_text()));
        }
        good
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

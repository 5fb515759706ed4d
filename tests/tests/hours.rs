//! Hours and weeks in seconds: both daemons run inside the test process, on a clock that the test moves.

use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use olog_agent::agent::Handle;
use olog_daemon::{
    clock::{Clock, ClockHandle},
    config::ConfigFiles,
};
use olog_journeys::world::{Agent, Hub, World};
use olog_proto::Timestamp;
use tokio::task::JoinSet;

const MINUTE: i64 = 60_000;

/// A hub and an agent that share one manual clock.
pub(crate) struct Hours {
    pub(crate) world: World,
    pub(crate) hub: Hub,
    pi: Agent,
    pub(crate) clock: Clock,
    pub(crate) hand: ClockHandle,
    running: Option<olog_hub::hub::Hub>,
    stop: Handle,
    agent: JoinSet<()>,
}

fn source(program: &'static str, path: &Path) -> ConfigFiles {
    ConfigFiles::new(program, Some(path.to_path_buf()))
}

impl Hours {
    async fn begin() -> Hours {
        Hours::begin_declared("").await
    }

    /// With these declared tasks of the device.
    async fn begin_declared(tasks: &str) -> Hours {
        let world = World::new().await;
        let hub = Hub::new(&world, "hub", "", &format!("{}{tasks}\n[report]\n", Hours::DEVICE));
        Hours::begin_with(world, hub, Clock::system().now()).await
    }

    /// The clock jumps further than any `offline_after`.
    pub(crate) const DEVICE: &str = "[[device]]\nname = \"pi\"\noffline_after = \"never\"\n";

    /// With this hub, whose configuration holds [`Hours::DEVICE`], from this instant.
    pub(crate) async fn begin_with(world: World, hub: Hub, start: Timestamp) -> Hours {
        let pi = world.agent_off("pi", "settle = \"0s\"", "");
        let (clock, hand) = Clock::manual(start);
        let running = Some(Hours::start(&hub, &clock).await);
        pi.join(&hub);
        let (stop, mut agent) = (Handle::default(), JoinSet::new());
        let agent_source = source("agent", pi.daemon.config());
        let config = olog_agent::config::load(&agent_source).unwrap();
        let (handle, agents_clock) = (stop.clone(), clock.clone());
        agent.spawn(async move { olog_agent::agent::run(agent_source, config, agents_clock, handle).await.unwrap() });
        pi.wait_connected();
        Hours { world, hub, pi, clock, hand, running, stop, agent }
    }

    async fn start(hub: &Hub, clock: &Clock) -> olog_hub::hub::Hub {
        let config = olog_hub::config::Config::load(&source("hub", hub.daemon.config())).unwrap();
        olog_hub::hub::Hub::start(config, None, clock.clone()).await.unwrap()
    }

    /// The hub stops, and starts again when these milliseconds have passed.
    pub(crate) async fn hub_is_down_for(&mut self, ms: i64) {
        assert!(self.running.take().unwrap().stop().await);
        self.hand.advance(ms);
        self.running = Some(Hours::start(&self.hub, &self.clock).await);
        self.pi.wait_connected();
    }

    /// `echo TEXT > NAME` at this hour, and waits until the hub knows.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let before = self.n_events();
        let mut file = fs::File::create(self.pi.log_dir.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let now = Duration::from_millis(self.clock.now().0.cast_unsigned());
        file.set_modified(UNIX_EPOCH + now).unwrap();
        drop(file);
        self.hub.wait("the hub knows of it", |_| (self.n_events() > before).then_some(()));
    }

    fn n_events(&self) -> i64 {
        self.hub.query::<i64>("SELECT count(*) FROM events WHERE kind IN ('text', 'seen')")[0]
    }

    /// How many pushes begin with `text`; a report may contain the same text elsewhere.
    fn n_titled(&self, text: &str) -> usize {
        self.world.phone.pushes().iter().filter(|push| push.summary.starts_with(text)).count()
    }

    /// Moves the clock by seconds until `n` pushes begin with `text`: a device that is pinged answers in real time.
    fn pushed(&self, text: &str, n: usize) {
        self.hub.wait(&format!("{n} pushes with {text:?}"), |_| {
            self.hand.advance(1000);
            (self.n_titled(text) == n).then_some(())
        });
    }

    pub(crate) async fn end(mut self) {
        self.stop.stop.cancel();
        self.agent.join_next().await.unwrap().unwrap();
        assert!(self.running.take().unwrap().stop().await);
    }
}

/// A crontab line that complains each minute of an hour with the date in its text, and the same a week later.
#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_each_minute_for_an_hour_is_one_push_and_one_end_and_so_a_week_later() {
    let hours = Hours::begin().await;
    for week in 1..=2 {
        for minute in 0..60 {
            hours.write("nginx.err", &format!("Sun Nov 22 10:{minute:02}:01 CST 2026 nginx not running!\n"));
            hours.hand.advance(MINUTE);
        }
        hours.hand.advance(30 * MINUTE);
        let ends = |n| {
            move |pushes: &[olog_journeys::Push]| {
                pushes.iter().filter(|p| p.summary.contains("QUIET pi/nginx")).count() == n
            }
        };
        let pushes = hours.world.phone.wait("it is told that it was not seen again", ends(week)).await;
        let end = pushes.iter().rfind(|push| push.summary.contains("QUIET pi/nginx")).unwrap().text();
        assert!(end.contains("60"), "how often: {end}");
        assert_eq!(hours.n_titled("ERR pi/nginx"), week, "{}", hours.world.phone.story());
        hours.hand.advance(7 * 24 * 60 * MINUTE);
    }
    let open = hours.hub.query::<i64>("SELECT count(*) FROM incidents WHERE subject = 'task' AND ended_at IS NULL");
    assert_eq!(open, [0]);
    assert_eq!(hours.hub.query::<i64>("SELECT n_seen FROM incidents WHERE subject = 'task'"), [60, 60]);
    hours.end().await;
}

/// A backup that has to run each hour, and does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_did_not_run_is_told_when_it_is_late_and_over_when_it_runs() {
    let hours =
        Hours::begin_declared("tasks = [\"sync\", { name = \"backup\", schedule = \"0 * * * *\", grace = \"10m\" }]")
            .await;
    hours.write("backup.log", "sent 34 files\n");
    let due = |state: &str| {
        let rows = hours.hub.list(&["task", "list"]);
        let row = rows.iter().find(|row| row["task"] == "backup" && row["state"] == state);
        row.map(|row| (row["due_at"].as_i64().unwrap(), row["expected"].clone()))
    };
    let (first, expected) = hours.hub.wait("it is expected", |_| due("OK"));
    assert_eq!((first % (60 * MINUTE), expected), (0, "yes".into()));
    hours.hand.advance(3 * 60 * MINUTE);
    hours.pushed("LOST pi/backup", 1);
    let lost = hours.world.push("LOST pi/backup").await;
    assert!(lost.text().contains("olog-hub task expect pi backup off"), "{}", lost.text());
    assert_eq!(hours.hub.wait("it is lost", |_| due("LOST")).0, first);
    let shown = hours.hub.verb(&["task", "show", "pi", "backup"]).good();
    for words in [
        "pi/backup is LOST since",
        "It was due at",
        "hub.toml: 0 * * * *, at most 10 min late",
        "task expect pi backup off",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let shown = hours.hub.verb(&["task", "show", "pi", "sync"]).good();
    for words in
        ["pi/sync is OK.", "It has never run and is not due yet.", "once between two reports", "Once it has come"]
    {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    hours.write("backup.log", "sent 35 files\n");
    hours.world.push("OVER pi/backup").await;
    hours.hub.wait("it is well again", |_| due("OK").filter(|(next, _)| *next > first));
    assert_eq!(hours.n_titled("LOST pi/sync"), 0, "it has 26 hours");
    // The operator stops expecting the other task, whose 26 hours are over then.
    hours.hub.verb(&["task", "expect", "pi", "sync", "off"]).good();
    hours.hand.advance(30 * 60 * MINUTE);
    hours.pushed("LOST pi/backup", 2);
    assert_eq!(hours.n_titled("LOST pi/sync"), 0, "{}", hours.world.phone.story());
    assert!(!hours.hub.verb(&["task", "expect", "pi", "nothing", "off"]).status.success());
    hours.end().await;
}

/// The configuration of olog.py, imported with `--declare`: a task that does not come is LOST, so is its device when it is silent, and
/// one that never joined is in the report.
#[tokio::test(flavor = "multi_thread")]
async fn what_import_declares_is_lost_after_its_time() {
    let world = World::new().await;
    let hub = Hub::new(&world, "hub", "", "[report]\n");
    let old = world.folder().join("olog.cfg");
    fs::write(&old, "{\"device_tasks\": {\"pi#root@10.0.0.3\": [\"rsync\"], \"nas\": [\"dump\"]}}").unwrap();
    let said = hub.verb(&["import", old.to_str().unwrap(), "--declare", "--write"]).good();
    assert!(said.contains("20-olog-cfg.toml"), "{said}");
    let hours = Hours::begin_with(world, hub, Clock::system().now()).await;
    let state = |task: &str| {
        let rows = hours.hub.list(&["task", "list"]);
        rows.iter().find(|row| row["task"] == task).map(|row| row["state"].as_str().unwrap().to_owned())
    };
    hours.hub.wait("it is declared and waited for", |_| state("rsync").filter(|state| state == "OK"));
    hours.hand.advance(20 * 60 * MINUTE);
    assert_eq!(hours.n_titled("LOST pi/rsync"), 0, "it has 26 hours: {}", hours.world.phone.story());
    hours.hand.advance(7 * 60 * MINUTE);
    hours.pushed("LOST pi/rsync", 1);
    assert_eq!(state("rsync").as_deref(), Some("LOST"));
    let report = hours.hub.verb(&["report", "now"]).good();
    assert!(report.contains("nas"), "declared, and never heard: {report}");
    // Nothing more is heard from it.
    hours.stop.stop.cancel();
    hours.hub.wait("its device is lost", |_| {
        hours.hand.advance(MINUTE);
        hours.world.phone.pushes().iter().any(|push| push.summary.starts_with("LOST pi ")).then_some(())
    });
    let row = hours.hub.list(&["task", "list"]).into_iter().find(|row| row["task"] == "rsync").unwrap();
    assert_eq!((row["state"].as_str(), row["device_lost"].as_bool()), (Some("LOST"), Some(true)), "{row}");
    hours.end().await;
}

//! Hours and weeks in seconds: both daemons inside of the test, on a clock that it moves.

use std::{
    fs,
    io::Write as _,
    path::Path,
    time::{Duration, UNIX_EPOCH},
};

use olog_agent::agent::Handle;
use olog_daemon::{
    clock::{Clock, Hand},
    config::Source,
};
use olog_journeys::world::{Agent, Hub, World};
use tokio::task::JoinSet;

const MINUTE: i64 = 60_000;

/// A hub and an agent that live by one clock.
struct Hours {
    world: World,
    hub: Hub,
    pi: Agent,
    clock: Clock,
    hand: Hand,
    running: olog_hub::hub::Hub,
    stop: Handle,
    agent: JoinSet<()>,
}

impl Hours {
    async fn begin() -> Hours {
        Hours::begin_with("").await
    }

    /// With `tasks` declared of the device.
    async fn begin_with(tasks: &str) -> Hours {
        let world = World::new().await;
        // The hand jumps further than any device may be silent.
        let hub =
            Hub::new(&world, "hub", "", &format!("[[device]]\nname = \"pi\"\noffline_after = \"never\"\n{tasks}\n"));
        let pi = world.agent_off("pi", "settle = \"0s\"", "");
        let (clock, hand) = Clock::manual(Clock::system().now());
        let source = |program, path: &Path| Source::new(program, Some(path.to_path_buf()));
        let config = olog_hub::config::Config::load(&source("hub", hub.daemon.config())).unwrap();
        let running = olog_hub::hub::Hub::start(config, None, clock.clone()).await.unwrap();
        pi.join(&hub);
        let (stop, mut agent) = (Handle::default(), JoinSet::new());
        let agent_source = source("agent", pi.daemon.config());
        let config = olog_agent::config::load(&agent_source).unwrap();
        let (handle, agents_clock) = (stop.clone(), clock.clone());
        agent.spawn(async move { olog_agent::agent::run(agent_source, config, agents_clock, handle).await.unwrap() });
        pi.wait_connected();
        Hours { world, hub, pi, clock, hand, running, stop, agent }
    }

    /// `echo TEXT > NAME` at this hour, and waits until the hub knows.
    fn write(&self, name: &str, text: &str) {
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

    /// Seconds pass until so many pushes hold `text`: a device that is asked answers in its own time.
    fn pushed(&self, text: &str, n: usize) {
        self.hub.wait(&format!("{n} pushes with {text:?}"), |_| {
            self.hand.advance(1000);
            (self.world.n_pushes(text) == n).then_some(())
        });
    }

    async fn end(mut self) {
        self.stop.stop.cancel();
        self.agent.join_next().await.unwrap().unwrap();
        assert!(self.running.stop().await);
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
        assert_eq!(hours.world.n_pushes("ERR pi/nginx"), week, "{}", hours.world.phone.story());
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
        Hours::begin_with("tasks = [\"sync\", { name = \"backup\", schedule = \"0 * * * *\", grace = \"10m\" }]").await;
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
    hours.write("backup.log", "sent 35 files\n");
    hours.world.push("OVER pi/backup").await;
    hours.hub.wait("it is well again", |_| due("OK").filter(|(next, _)| *next > first));
    assert_eq!(hours.world.n_pushes("pi/sync"), 0, "it has 26 hours");
    // A person has enough of the other one, whose 26 hours are over then.
    hours.hub.verb(&["task", "expect", "pi", "sync", "off"]).good();
    hours.hand.advance(30 * 60 * MINUTE);
    hours.pushed("LOST pi/backup", 2);
    assert_eq!(hours.world.n_pushes("pi/sync"), 0, "{}", hours.world.phone.story());
    assert!(!hours.hub.verb(&["task", "expect", "pi", "nothing", "off"]).status.success());
    hours.end().await;
}

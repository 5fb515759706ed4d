//! Five weeks in seconds: events come in by the road of all events, the watchman looks when something is due, and every
//! morning there is a report. What counts is what a reader sees: the strips, and who was called LOST.

use std::collections::BTreeMap;
use std::path::Path;

use olog_proto::event::Id128;
use olog_proto::fingerprint::fingerprints;
use olog_proto::{Excerpt, File, Growth, LogKind};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::ingest::{Bells, Ingest};
use crate::rules::expect::Plan;
use crate::rules::state::DayState;
use crate::store::{reports, tests::sqlite};
use crate::timed::reporter::Reporter;

pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;
const DAYS: i64 = 35;
/// 2026-10-05, a Monday.
const START: Timestamp = Timestamp(1_791_158_400_000);

/// When, which task, what its agent saw.
type History = Vec<(Timestamp, &'static str, EventContent)>;

fn file(task: &str, suffix: LogKind, at: Timestamp) -> File {
    File {
        task: task.parse().unwrap(),
        suffix,
        path: format!("/var/log/olog/{task}.{suffix}"),
        change: Growth::Rewritten,
        began_at: Some(olog_proto::DeviceTime(at.plus(-MINUTE))),
        closed: true,
        sibling_err: false,
        history: false,
        fingerprints: Vec::new(),
    }
}

pub(super) fn log(task: &str, at: Timestamp) -> EventContent {
    EventContent::Text { file: file(task, LogKind::Log, at), excerpt: Excerpt::of("34 files sent\n") }
}

/// A log that stays open and grows.
fn grown(task: &str, at: Timestamp) -> EventContent {
    let file = File { change: Growth::Grown, closed: false, ..file(task, LogKind::Log, at) };
    EventContent::Text { file, excerpt: Excerpt::of("GET /index.html 200\n") }
}

pub(super) fn err(task: &str, at: Timestamp, text: &str) -> EventContent {
    let file = File { fingerprints: fingerprints(text), ..file(task, LogKind::Err, at) };
    EventContent::Text { file, excerpt: Excerpt::of(text) }
}

fn history() -> History {
    let mut history = History::new();
    for day in 0..DAYS {
        let at = |hour: i64, minute: i64| START.plus(day * DAY + hour * HOUR + minute * MINUTE);
        let mut seen = |at: Timestamp, task: &'static str, make: &dyn Fn(&str, Timestamp) -> EventContent| {
            history.push((at, task, make(task, at)))
        };
        seen(at(2, 10 + day * 7 % 9), "daily", &log);
        if day != 20 {
            seen(at(4, 30), "skipped", &log);
        }
        if day % 7 == 0 {
            seen(at(3, day % 5), "weekly", &log);
        }
        if day == 12 {
            seen(at(5, 0), "flaky", &|task, at| err(task, at, "No space left on device\n"));
        } else {
            seen(at(5, 0), "flaky", &log);
        }
        if [1, 2, 5, 10, 12, 21, 22, 30, 33].contains(&day) {
            seen(at(day * 5 % 24, day * 17 % 60), "irregular", &log);
        }
        if [0, 6, 15, 16].contains(&day) {
            (0..3).for_each(|i| seen(at(1, i), "alarm", &|task, at| err(task, at, "nginx not running!\n")));
        }
        for hour in 0..24 {
            seen(at(hour, 5), "hourly", &log);
            if hour % 3 == 0 {
                seen(at(hour, 40), "noisy", &|task, at| err(task, at, &format!("request {} failed\n", at.0)));
            }
            if day < 25 && hour % 6 == 0 {
                seen(at(hour, 50), "chatty", &grown);
            }
        }
    }
    history.sort_by_key(|(at, ..)| *at);
    history
}

/// The day's letters from the fifth day to the last: what the strips of the last day show.
fn letters(of_day: impl Fn(i64) -> char) -> String {
    (5..DAYS).map(of_day).collect()
}

fn expected() -> BTreeMap<&'static str, String> {
    let on = |is: bool, letter: char| if is { letter } else { '.' };
    BTreeMap::from([
        ("daily", letters(|_| 'o')),
        ("hourly", letters(|_| 'o')),
        ("weekly", letters(|day| on(day % 7 == 0, 'o'))),
        ("irregular", letters(|day| on([5, 10, 12, 21, 22, 30, 33].contains(&day), 'o'))),
        ("chatty", letters(|day| on(day < 25, 'o'))),
        // Its silence is good.
        ("alarm", letters(|day| if [6, 15, 16].contains(&day) { 'E' } else { 'o' })),
        ("noisy", letters(|_| 'E')),
        ("flaky", letters(|day| if [12, 13].contains(&day) { 'E' } else { 'o' })),
        ("skipped", letters(|day| if [20, 21].contains(&day) { 'L' } else { 'o' })),
    ])
}

fn plans() -> BTreeMap<String, Plan> {
    let scheduled = |text: &str| Plan::Scheduled { schedule: text.parse().unwrap(), grace: 30 * MINUTE };
    let plans = [
        ("daily", scheduled("10 2 * * *")),
        ("skipped", scheduled("30 4 * * *")),
        ("weekly", scheduled("0 3 * * mon")),
        ("hourly", scheduled("5 * * * *")),
        ("flaky", Plan::EachReport),
        ("alarm", Plan::EachReport),
        ("noisy", Plan::EachReport),
    ];
    plans.into_iter().map(|(task, plan)| (task.to_owned(), plan)).collect()
}

/// A hub's inside, and the mornings' reports.
pub(super) struct Month {
    pub(super) world: World,
    pub(super) ingest: Ingest,
    pub(super) device: DeviceId,
    pub(super) place: SeatGuard,
    pub(super) reporter: Reporter,
    pub(super) n_events: u64,
    n_reports: usize,
    workers: JoinSet<Result<(), StoreError>>,
    stop: CancellationToken,
    _live: latest::Sender<Arc<crate::config::ReloadableConfig>>,
}

impl Month {
    pub(super) async fn begin(plans: BTreeMap<String, Plan>) -> Month {
        let mut world = World::new(sqlite().await);
        world.hand.set(START);
        world.watchman.roll = LivenessTracker::new(START);
        let config = olog_daemon::config::read_text("hub.toml", "timezone = \"UTC\"\n", |table| {
            crate::config::Config::parse(table, Path::new("/"))
        });
        let (live_sender, live) = latest::channel(config.unwrap().live);
        world._rules.send_modify(|rules| {
            let report = Some("0 11 * * *".parse().unwrap());
            let expect = crate::rules::expect::ExpectationPolicy {
                report,
                plans: BTreeMap::from([("pi".to_owned(), plans)]),
                ..crate::rules::expect::ExpectationPolicy::default()
            };
            *rules = Arc::new(LivePolicy { channels: rules.channels.clone(), expect, ..LivePolicy::default() });
        });
        let (rules, store, clock) = (world.watchman.rules.clone(), world.store.store.clone(), world.clock.clone());
        let (ingest, worker) = Ingest::new(store.clone(), rules.clone(), Bells::default(), clock.clone());
        let reporter = Reporter::new(&store, &rules, &live, &world.sessions, &clock, &Bell::default());
        let (mut workers, stop) = (JoinSet::new(), CancellationToken::new());
        workers.spawn(worker.run(stop.clone()));
        workers.spawn(reporter.clone().run(stop.clone()));
        let device = world.join("pi").await;
        let place = world.connect(device, 1);
        world.watchman.run_due().await.unwrap();
        Month { world, ingest, device, place, reporter, n_events: 0, n_reports: 0, workers, stop, _live: live_sender }
    }

    /// Everything that falls due until then, and that morning's report.
    pub(super) async fn until(&mut self, end: Timestamp) {
        loop {
            let now = self.world.clock.now();
            let due = self.world.store.store.read(task_store::next_due).await.unwrap();
            let morning = START.plus((now.since(START) + 13 * HOUR) / DAY * DAY + 11 * HOUR);
            let next = due.map_or(end, |due| due.max(now)).min(morning).min(end);
            self.world.hand.set(next);
            self.place.seat().heard(next);
            if next == morning && morning > now {
                self.n_reports += 1;
                while self.world.store.store.read(|tx| reports::list(tx, 100)).await.unwrap().len() < self.n_reports {
                    tokio::task::yield_now().await;
                }
                self.world.watchman.run_due().await.unwrap();
            } else if due.is_some_and(|due| due <= next) {
                self.world.watchman.look_at_tasks().await.unwrap();
            } else {
                return;
            }
        }
    }

    async fn event(&mut self, what: EventContent) {
        self.said(self.world.clock.now(), 0, what).await;
    }

    /// By a device that says it is `at`, and whose clock was found to be so much ahead.
    pub(super) async fn said(&mut self, at: Timestamp, skew_ms: i64, what: EventContent) {
        self.n_events += 1;
        let n = self.n_events;
        let event =
            Event { n, at: olog_proto::DeviceTime(at), boot: Id128([1; 16]), up: 0, what, by: None, pushed: None };
        let committed = self.ingest.events(self.device, Id128([1; 16]), skew_ms, vec![event]).await;
        assert_eq!(committed.unwrap(), n);
    }

    /// Plays it, and gives the strips of the last evening.
    async fn play(&mut self, history: History) -> BTreeMap<String, String> {
        for (at, _, what) in history {
            self.until(at).await;
            self.event(what).await;
        }
        self.until(START.plus(DAYS * DAY - HOUR / 2)).await;
        let (report, page) = self.reporter.preview().await.unwrap();
        assert!(page.ends_with("</html>"));
        let letter = |cell: &DayState| match cell {
            DayState::Nothing => '.',
            DayState::Ok => 'o',
            DayState::Err => 'E',
            DayState::Lost => 'L',
        };
        let [device] = report.devices.as_slice() else { panic!("{:?}", report.devices) };
        device.row.tasks.iter().map(|task| (task.name.clone(), task.strip.iter().map(letter).collect())).collect()
    }

    pub(super) async fn end(mut self) -> Vec<String> {
        self.stop.cancel();
        while let Some(ended) = self.workers.join_next().await {
            ended.unwrap().unwrap();
        }
        self.world.told().await
    }
}

/// The strips of the last evening are as the tasks lived, and one was told to be LOST.
async fn check(plans: BTreeMap<String, Plan>) {
    let mut month = Month::begin(plans).await;
    let strips = month.play(history()).await;
    for (task, strip) in expected() {
        assert_eq!(strips[task], strip, "{task}");
    }
    let lost: Vec<String> =
        month.end().await.into_iter().filter(|told| told.to_lowercase().starts_with("lost")).collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost[0].contains("skipped"), "{lost:?}");
}

#[tokio::test]
async fn a_month_shows_each_task_as_it_lived_and_only_who_did_not_come_is_lost() {
    check(plans()).await;
}

#[tokio::test]
async fn habits_that_nobody_declared_are_learnt_and_only_who_breaks_one_is_lost() {
    check(BTreeMap::new()).await;
}

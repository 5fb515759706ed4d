//! The reporter on a real store, with a clock that is moved by hand and a web server that serves a folder.

use std::path::Path;
use std::sync::Mutex;

use olog_daemon::clock::ClockHandle;
use olog_proto::event::{Growth, Id128};
use olog_proto::{Event, EventContent, Excerpt, File, LogKind, TaskName};
use olog_push::ReportFacts;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;
use crate::apply::operator;
use crate::config::Config;
use crate::store::devices::{self, DeviceId};
use crate::store::tasks;
use crate::store::tests::{TestStore, stores};
use crate::store::{enrolment, known_names};
use crate::values;

/// 2026-11-22 11:00 in Shanghai.
const ELEVEN: Timestamp = Timestamp(1_795_316_400_000);
const HOUR: i64 = 60 * MINUTE;

struct World {
    store: TestStore,
    clock: Clock,
    hand: ClockHandle,
    rules: latest::Sender<Arc<LivePolicy>>,
    live: latest::Sender<Arc<ReloadableConfig>>,
}

fn live(report: &str) -> Arc<ReloadableConfig> {
    let text = format!("timezone = \"Asia/Shanghai\"\n[report]\n{report}\n");
    let config = olog_daemon::config::read_text("hub.toml", &text, |table| Config::parse(table, Path::new("/")));
    config.unwrap().live
}

async fn worlds(report: &str) -> Vec<World> {
    let world = |store| {
        let (clock, hand) = Clock::manual(ELEVEN.plus(-13 * HOUR));
        let policy = crate::rules::incident::AlertPolicy { zone: chrono_tz::Asia::Shanghai, ..Default::default() };
        let channels = vec![crate::apply::tests::phone()];
        let expect = crate::rules::expect::ExpectationPolicy { zone: chrono_tz::Asia::Shanghai, ..Default::default() };
        let rules =
            LivePolicy { policy, expect, channels, timezone: chrono_tz::Asia::Shanghai, ..LivePolicy::default() };
        let (rules, live) = (latest::channel(Arc::new(rules)).0, latest::channel(live(report)).0);
        World { store, clock, hand, rules, live }
    };
    stores().await.into_iter().map(world).collect()
}

impl World {
    fn reporter(&self) -> Reporter {
        let (rules, live) = (self.rules.subscribe(), self.live.subscribe());
        Reporter::new(&self.store.store, &rules, &live, &Sessions::new(), &self.clock, &Bell::default())
    }

    /// One look at this hour; when to look again.
    async fn run_due(&self, at: Timestamp) -> Timestamp {
        self.hand.set(at);
        self.reporter().run_due(at).await.unwrap()
    }

    async fn join(&self, name: &str) -> DeviceId {
        let (name, now) = (name.to_owned(), self.clock.now());
        let id = self.store.store.write(move |tx| {
            let row = tx.query_one(
                "INSERT INTO devices (name, key, state, address, made_at, joined_at, heard_at) VALUES ($1, $1, 'joined', 'me@host', $2, $2, $2) RETURNING id",
                values![name.as_str(), now],
            )?;
            row.map_or(Ok(0), |row| row.int(0))
        });
        DeviceId(id.await.unwrap())
    }

    async fn text(&self, device: DeviceId, task: &str, suffix: LogKind, text: &str) {
        let (now, rules) = (self.clock.now(), self.rules.borrow().clone());
        let name: TaskName = task.parse().unwrap();
        let file = File {
            task: name.clone(),
            suffix,
            path: format!("/ologs/{task}"),
            closed: true,
            began_at: Some(olog_proto::DeviceTime(now.plus(-MINUTE))),
            change: Growth::Rewritten,
            sibling_err: false,
            fingerprints: olog_proto::fingerprint::fingerprints(text),
            history: false,
        };
        let what = EventContent::Text { file, excerpt: Excerpt::of(text) };
        let event =
            Event { n: 1, at: olog_proto::DeviceTime(now), boot: Id128([1; 16]), up: 0, what, by: None, pushed: None };
        let write = move |tx: &mut Tx<'_>| {
            let mut task = tasks::load(tx, device, &name)?;
            let Some(device) = devices::get(tx, device)? else { return Ok(()) };
            let outcomes = task.facts.observe(&event, now, now, &rules.policy);
            apply::outcomes(tx, &rules, &device, &mut task, outcomes, now)?;
            let known = apply::known(&rules, &device, &task);
            let outcomes = task.expect.observe(&event, now, now, &known, &rules.expect);
            apply::expectations(tx, &rules, &device, &mut task, outcomes, now)?;
            apply::task(tx, &rules, &device, &mut task, now).map(|_| ())
        };
        self.store.store.write(write).await.unwrap();
    }

    async fn made(&self) -> Vec<reports::Made> {
        let mut made = self.store.store.read(|tx| reports::list(tx, 100)).await.unwrap();
        made.reverse();
        made
    }

    /// What the outbox holds of this kind, in the order of its making.
    async fn told(&self, kind: &str) -> Vec<Notice> {
        let kind = kind.to_owned();
        let read = move |tx: &mut Tx<'_>| {
            let rows = tx.query("SELECT notice FROM outbox WHERE kind = $1 ORDER BY id", values![kind.as_str()])?;
            rows.iter().map(|row| row.json(0)).collect()
        };
        self.store.store.read(read).await.unwrap()
    }

    async fn last(&self) -> ReportFacts {
        match self.told("report").await.pop().unwrap().content {
            Content::Report(facts) => *facts,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_first_morning_after_joining_at_ten_is_one_report_with_nothing_lost() {
    for world in worlds("").await {
        let pi = world.join("pi").await;
        assert_eq!(world.run_due(ELEVEN.plus(-13 * HOUR)).await, ELEVEN.plus(-12 * HOUR), "nothing is due");
        world.hand.set(ELEVEN.plus(-HOUR));
        world.text(pi, "backup", LogKind::Log, "sent 34 files\n").await;
        world.run_due(ELEVEN).await;
        world.run_due(ELEVEN).await;
        let made = world.made().await;
        assert_eq!(made.len(), 1);
        assert_eq!((made[0].from_at, made[0].to_at), (ELEVEN.plus(-13 * HOUR), ELEVEN));
        let facts = world.last().await;
        assert_eq!((facts.n_now, facts.devices.ok, facts.tasks.ok, facts.devices.lost), (0, 1, 1, 0));
        assert_eq!((facts.n_new, facts.link), (2, None));
    }
}

#[tokio::test]
async fn what_is_new_is_new_in_one_report_only_and_asking_changes_nothing() {
    for world in worlds("at = [\"11:00\", \"18:00\"]").await {
        world.run_due(ELEVEN.plus(-HOUR)).await;
        let pi = world.join("pi").await;
        world.text(pi, "nginx", LogKind::Err, "nginx not running!\n").await;
        world.hand.set(ELEVEN.plus(-5 * MINUTE));
        let (report, page) = world.reporter().preview().await.unwrap();
        assert_eq!((report.facts.n_new, report.facts.n_now, report.facts.tasks.lost), (2, 1, 0));
        assert!(page.contains("nginx not running!"), "{page}");
        assert!(world.made().await.is_empty());
        world.run_due(ELEVEN).await;
        assert_eq!(world.last().await.n_new, 2);
        let web = world.join("web").await;
        world.text(web, "php", LogKind::Log, "up\n").await;
        world.reporter().push_now().await.unwrap();
        assert_eq!(world.last().await.n_new, 2, "a person asked: nothing becomes known by it");
        world.run_due(ELEVEN.plus(7 * HOUR)).await;
        let facts = world.last().await;
        assert_eq!((facts.n_new, facts.new), (2, vec!["web".to_owned(), "web/php".to_owned()]));
        assert_eq!((facts.from, facts.to), (ELEVEN, ELEVEN.plus(7 * HOUR)));
        let kinds: Vec<bool> = world.made().await.iter().map(|made| made.is_daily).collect();
        assert_eq!(kinds, [true, false, true]);
    }
}

#[tokio::test]
async fn what_an_import_brought_is_not_new_until_a_person_forgets_it() {
    for world in worlds("at = [\"11:00\", \"18:00\"]").await {
        world.run_due(ELEVEN.plus(-HOUR)).await;
        world.store.store.write(|tx| known_names::add(tx, "pi", ["nginx"])).await.unwrap();
        let pi = world.join("pi").await;
        world.text(pi, "nginx", LogKind::Log, "up\n").await;
        world.text(pi, "php", LogKind::Log, "up\n").await;
        world.run_due(ELEVEN).await;
        assert_eq!(world.last().await.new, ["pi/php"]);
        world.store.store.write(|tx| enrolment::forget(tx, "pi", ELEVEN)).await.unwrap();
        assert!(!world.store.store.read(known_names::are_there).await.unwrap());
    }
}

#[tokio::test]
async fn two_at_once_make_one() {
    for world in worlds("").await {
        world.join("pi").await;
        world.run_due(ELEVEN.plus(-HOUR)).await;
        world.hand.set(ELEVEN);
        let (mut one, mut other) = (world.reporter(), world.reporter());
        let (a, b) = tokio::join!(one.run_due(ELEVEN), other.run_due(ELEVEN));
        a.unwrap();
        b.unwrap();
        assert_eq!(world.made().await.len(), 1);
        assert_eq!(world.told("report").await.len(), 1);
    }
}

#[tokio::test]
async fn a_hub_that_was_down_makes_one_over_the_whole_window() {
    for world in worlds("").await {
        let pi = world.join("pi").await;
        world.run_due(ELEVEN.plus(-HOUR)).await;
        world.run_due(ELEVEN).await;
        world.hand.set(ELEVEN.plus(2 * DAY));
        world.text(pi, "backup", LogKind::Err, "No space left on device\n").await;
        world.run_due(ELEVEN.plus(3 * DAY + 2 * HOUR)).await;
        let made = world.made().await;
        assert_eq!(made.len(), 2);
        assert_eq!((made[1].from_at, made[1].to_at), (ELEVEN, ELEVEN.plus(3 * DAY)));
        let facts = world.last().await;
        assert_eq!((facts.n_now, facts.now[0].name.as_str()), (1, "pi/backup"));
        assert_eq!(facts.now[0].text.trim(), "No space left on device");
    }
}

/// Serves a folder as nginx would, or answers everything as `only` says.
async fn web(folder: &Path, listing: bool, only: Arc<Mutex<Option<&'static str>>>) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/olog", listener.local_addr().unwrap());
    let folder = folder.to_owned();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let n = stream.read(&mut request).await.unwrap();
            let line = String::from_utf8_lossy(&request[..n]).into_owned();
            let name = line.split(' ').nth(1).unwrap().trim_start_matches("/olog/").to_owned();
            let (status, body) = match (*only.lock().unwrap(), name.as_str()) {
                (Some(status), _) => (status, "no\n".to_owned()),
                (None, "") if listing => {
                    let names =
                        std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
                    ("200 OK", names.collect::<Vec<_>>().join("\n"))
                }
                (None, "") => ("403 Forbidden", String::new()),
                (None, name) => match std::fs::read_to_string(folder.join(name)) {
                    Ok(text) => ("200 OK", text),
                    Err(_) => ("404 Not Found", String::new()),
                },
            };
            let answer =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (base, serving)
}

#[tokio::test]
async fn a_page_in_the_folder_is_linked_and_its_old_ones_go_and_nothing_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let only = Arc::new(Mutex::new(None));
    let (base, _serving) = web(folder.path(), false, only.clone()).await;
    let stranger = folder.path().join(format!("olog-{}.html", "0".repeat(32)));
    std::fs::write(&stranger, "somebody's own").unwrap();
    std::fs::write(folder.path().join("index.html"), "a site").unwrap();
    let report = format!("html_dir = {:?}\nhtml_url = \"{base}/\"", folder.path());
    for world in worlds(&report).await {
        world.join("pi").await;
        world.run_due(ELEVEN.plus(-HOUR)).await;
        world.run_due(ELEVEN).await;
        let made = world.made().await;
        let name = format!("olog-{}.html", made[0].token);
        assert_eq!(world.last().await.link, Some(format!("{base}/{name}")));
        let file = folder.path().join(&name);
        assert!(std::fs::read_to_string(&file).unwrap().ends_with("</html>"));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert!(world.told("system").await.is_empty());

        *only.lock().unwrap() = Some("404 Not Found");
        world.run_due(ELEVEN.plus(DAY)).await;
        let facts = world.last().await;
        assert_eq!(facts.link, None, "{facts:?}");
        let told = world.told("system").await;
        assert!(
            matches!(&told[..], [Notice { content: Content::System { code: SystemCode::ReportPage, args }, .. }]
            if args["why"].contains("404")),
            "{told:?}"
        );
        world.run_due(ELEVEN.plus(2 * DAY)).await;
        assert_eq!(world.told("system").await.len(), 1, "told once");
        *only.lock().unwrap() = None;
        world.run_due(ELEVEN.plus(3 * DAY)).await;
        assert!(world.last().await.link.is_some());

        world.run_due(ELEVEN.plus(7 * DAY + 2 * HOUR)).await;
        assert!(!file.exists(), "kept for seven days");
        assert!(stranger.exists() && folder.path().join("index.html").exists());
        let pages = world.made().await.iter().map(|made| made.has_page).collect::<Vec<_>>();
        assert_eq!((pages.first(), pages.last()), (Some(&false), Some(&true)));
    }
}

#[tokio::test]
async fn a_folder_that_lists_its_files_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (base, _serving) = web(folder.path(), true, Arc::default()).await;
    for world in worlds(&format!("html_dir = {:?}\nhtml_url = \"{base}\"", folder.path())).await {
        world.run_due(ELEVEN.plus(-HOUR)).await;
        world.run_due(ELEVEN).await;
        assert!(world.last().await.link.is_some());
        let told = world.told("system").await;
        assert!(matches!(&told[..], [Notice { content: Content::System { code: SystemCode::ReportListing, .. }, .. }]));
    }
}

#[tokio::test]
async fn without_the_folder_the_report_comes_whole_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("missing");
    for world in worlds(&format!("html_dir = {dir:?}\nhtml_url = \"http://127.0.0.1:9/\"")).await {
        world.join("pi").await;
        world.run_due(ELEVEN.plus(-HOUR)).await;
        world.run_due(ELEVEN).await;
        let facts = world.last().await;
        assert_eq!((facts.link.as_ref(), facts.listed.len()), (None, 1));
        assert_eq!(world.told("system").await.len(), 1);
        let why = world.store.store.read(no_link).await.unwrap().unwrap();
        assert!(why.contains("missing"), "{why}");
        let page = world.made().await[0].token.clone();
        let page = world.store.store.read(move |tx| reports::page(tx, &page)).await.unwrap().unwrap();
        assert!(page.contains("html_dir"), "the page says why there is no link");
    }
}

#[tokio::test]
async fn a_declared_task_that_did_not_come_and_a_device_that_never_joined_are_lost_in_it() {
    let declared = "[[device]]\nname = \"pi\"\ntasks = [{ name = \"backup\", schedule = \"30 3 * * *\", grace = \"30m\" }]\n[[device]]\nname = \"laptop\"";
    for world in worlds(&format!("at = [\"11:00\"]\n{declared}")).await {
        let schedule = "30 3 * * *".parse().unwrap();
        let plan = crate::rules::expect::Plan::Scheduled { schedule, grace: 30 * MINUTE };
        let plans = [("pi".to_owned(), [("backup".to_owned(), plan)].into())].into();
        let expect =
            crate::rules::expect::ExpectationPolicy { zone: chrono_tz::Asia::Shanghai, plans, ..Default::default() };
        world.rules.send_modify(|rules| {
            let policy = crate::rules::incident::AlertPolicy { zone: chrono_tz::Asia::Shanghai, ..Default::default() };
            let channels = rules.channels.clone();
            let timezone = chrono_tz::Asia::Shanghai;
            *rules =
                Arc::new(LivePolicy { policy, expect: expect.clone(), channels, timezone, ..LivePolicy::default() });
        });
        world.run_due(ELEVEN.plus(-12 * HOUR)).await;
        let pi = world.join("pi").await;
        world.text(pi, "backup", LogKind::Log, "sent 34 files\n").await;
        let (device, rules, now) = (pi, world.rules.borrow().clone(), ELEVEN);
        let judge = move |tx: &mut Tx<'_>| {
            let Some(device) = devices::get(tx, device)? else { return Ok(()) };
            crate::apply::declared_tasks::apply(tx, &rules, &device, ELEVEN.plus(-12 * HOUR))?;
            let mut task = tasks::load(tx, device.id, &"backup".parse().unwrap())?;
            let known = apply::known_of(&rules, "pi", ELEVEN.plus(-12 * HOUR), &task);
            let outcomes = task.expect.check(now, &known, &rules.expect);
            apply::expectations(tx, &rules, &device, &mut task, outcomes, now)?;
            apply::task(tx, &rules, &device, &mut task, now).map(|_| ())
        };
        world.store.store.write(judge).await.unwrap();
        world.run_due(ELEVEN).await;
        let facts = world.last().await;
        let now: Vec<_> = facts.now.iter().map(|matter| (matter.trouble, matter.name.as_str())).collect();
        use olog_push::notice::ProblemKind::{NeverJoined, TaskLost};
        assert_eq!(now, [(TaskLost, "pi/backup"), (NeverJoined, "laptop")]);
        assert_eq!(facts.now[0].due_at, Some(ELEVEN.plus(-7 * HOUR - 30 * MINUTE)));
        assert_eq!((facts.devices.lost, facts.devices.err, facts.tasks.lost), (1, 1, 1));
        let text = world.reporter().text(&facts);
        assert!(text.contains("未运行 pi/backup") && text.contains("laptop，从未加入"), "{text}");
    }
}

#[tokio::test]
async fn a_habit_is_proposed_once_and_watched_from_the_day_after() {
    for world in worlds("at = [\"11:00\"]").await {
        let device = world.join("nas").await;
        let mut pages = Vec::new();
        for day in 0..9 {
            // 02:10 in Shanghai, and the report at 11:00.
            world.hand.set(ELEVEN.plus(day * DAY - 530 * MINUTE));
            world.text(device, "backup", LogKind::Log, "sent 34 files").await;
            world.run_due(ELEVEN.plus(day * DAY)).await;
            let (_, page) = world.reporter().preview().await.unwrap();
            let kept = world.store.store.read(|tx| tx.query("SELECT page FROM reports ORDER BY id DESC LIMIT 1", &[]));
            pages.push((page, kept.await.unwrap().first().map(|row| row.text(0).unwrap().to_owned())));
        }
        let proposed = |page: &Option<String>| {
            page.as_ref().is_some_and(|page| page.contains("olog-hub task expect nas backup off"))
        };
        let days: Vec<usize> = (0..9).filter(|day| proposed(&pages[*day].1)).collect();
        assert_eq!(days.len(), 1, "shown in one daily report: {days:?}");
        let day = days[0];
        assert!((6..=7).contains(&day) && pages[day].1.as_ref().unwrap().contains("每天 02:09"), "{day}");
        let task = world.store.store.read(|tx| tasks::get(tx, "nas", "backup")).await.unwrap().unwrap().task;
        let (learnt, from) = task.expect.watched().unwrap();
        assert_eq!((learnt.n_runs as usize, from), (day + 1, ELEVEN.plus((day as i64 + 1) * DAY)));
        // A preview proposes nothing by itself, and shows it only before the report did.
        assert!(!pages[day].0.contains("task expect nas backup off"));
    }
}

#[tokio::test]
async fn what_was_renamed_is_told_by_the_name_of_the_last_report_and_is_not_new() {
    for world in worlds("").await {
        let pi = world.join("pi").await;
        world.run_due(ELEVEN.plus(-12 * HOUR)).await;
        world.text(pi, "svc", LogKind::Log, "up\n").await;
        world.run_due(ELEVEN).await;
        world.hand.set(ELEVEN.plus(HOUR));
        let rename = |old: &'static str, new: &'static str, at: Timestamp| {
            let rules = world.rules.borrow().clone();
            let new = new.parse().unwrap();
            world.store.store.write(move |tx| crate::apply::operator::rename(tx, &rules, "pi", old, &new, at))
        };
        for (old, new) in [("svc", "first"), ("first", "mysql")] {
            assert_eq!(rename(old, new, ELEVEN.plus(HOUR)).await.unwrap(), crate::apply::operator::Renamed::Yes);
        }
        let device = |old: &'static str, new: &'static str| {
            let new = new.parse().unwrap();
            let renamed = move |tx: &mut Tx<'_>| crate::store::enrolment::rename(tx, old, &new, ELEVEN.plus(HOUR));
            world.store.store.write(renamed)
        };
        device("pi", "raspi").await.unwrap();
        device("raspi", "attic").await.unwrap();
        world.hand.set(ELEVEN.plus(2 * HOUR));
        let (report, page) = world.reporter().preview().await.unwrap();
        let (was, is) = ("attic/svc".to_owned(), "attic/mysql".to_owned());
        assert_eq!(report.renamed, [(was, is), ("pi".to_owned(), "attic".to_owned())]);
        assert!(page.contains("attic/svc → attic/mysql"), "{page}");
        world.run_due(ELEVEN.plus(DAY)).await;
        let facts = world.last().await;
        assert_eq!((facts.n_new, facts.devices.ok, facts.tasks.ok), (0, 1, 1));
        world.run_due(ELEVEN.plus(2 * DAY)).await;
        let pages = world.store.store.read(|tx| tx.query("SELECT page FROM reports ORDER BY id", &[])).await.unwrap();
        let told: Vec<bool> = pages.iter().map(|row| row.text(0).unwrap().contains("attic/svc →")).collect();
        assert_eq!(told, [false, true, false]);
        // There and back again is nothing to tell.
        rename("mysql", "db", ELEVEN.plus(2 * DAY + HOUR)).await.unwrap();
        rename("db", "mysql", ELEVEN.plus(2 * DAY + HOUR)).await.unwrap();
        world.hand.set(ELEVEN.plus(2 * DAY + 2 * HOUR));
        assert!(world.reporter().preview().await.unwrap().0.renamed.is_empty());
    }
}

#[tokio::test]
async fn a_forgotten_task_that_comes_again_is_new_again() {
    for world in worlds("").await {
        let pi = world.join("pi").await;
        world.run_due(ELEVEN.plus(-12 * HOUR)).await;
        world.text(pi, "svc", LogKind::Err, "down\n").await;
        world.run_due(ELEVEN).await;
        assert_eq!(world.last().await.n_new, 2);
        let rules = world.rules.borrow().clone();
        let forget = move |tx: &mut Tx<'_>| crate::apply::operator::forget(tx, &rules, "pi", "svc", ELEVEN.plus(HOUR));
        world.store.store.write(forget).await.unwrap();
        world.run_due(ELEVEN.plus(DAY)).await;
        assert_eq!((world.last().await.n_new, world.last().await.tasks.all()), (0, 0));
        world.text(pi, "svc", LogKind::Log, "up\n").await;
        world.run_due(ELEVEN.plus(2 * DAY)).await;
        assert_eq!(world.last().await.new, ["pi/svc"]);
        world.run_due(ELEVEN.plus(3 * DAY)).await;
        assert_eq!(world.last().await.n_new, 0);
    }
}

/// A kill -9 after the marks and before the report's row.
#[tokio::test]
async fn a_report_that_was_not_finished_leaves_everything_new_and_is_told_once() {
    for world in worlds("").await {
        let pi = world.join("pi").await;
        world.run_due(ELEVEN.plus(-12 * HOUR)).await;
        for task in 0..(MARKED * 2) {
            world.text(pi, &format!("job{task}"), LogKind::Log, "up\n").await;
        }
        world.hand.set(ELEVEN);
        let window = Window { from: ELEVEN.plus(-12 * HOUR), to: ELEVEN };
        for _ in 0..2 {
            let (report, seen) = world.reporter().gather(window, ELEVEN).await.unwrap();
            assert_eq!((report.facts.n_new, seen.new.len()), (1 + MARKED as u64 * 2, 1 + MARKED * 2));
            world.reporter().mark(&seen.new, ELEVEN.plus(MINUTE)).await.unwrap();
        }
        // One more came meanwhile, and the clock went back: it is new with the others, once.
        world.text(pi, "late", LogKind::Log, "up\n").await;
        world.run_due(ELEVEN).await;
        assert_eq!(world.last().await.n_new, 2 + MARKED as u64 * 2);
        world.text(pi, "next", LogKind::Log, "up\n").await;
        world.run_due(ELEVEN.plus(DAY)).await;
        assert_eq!((world.last().await.new, world.told("report").await.len()), (vec!["pi/next".to_owned()], 2));
    }
}

#[tokio::test]
async fn an_error_that_a_person_called_no_error_is_not_in_the_to_do_list() {
    for world in worlds("").await {
        let pi = world.join("pi").await;
        world.run_due(ELEVEN.plus(-HOUR)).await;
        world.text(pi, "backup", LogKind::Err, "file has vanished\n").await;
        world.text(pi, "dump", LogKind::Err, "no space left\n").await;
        let (now, rules) = (world.clock.now(), world.rules.borrow().clone());
        let not_an_error = move |tx: &mut Tx<'_>| {
            let operator::NotAnErrorResult::These(new) =
                operator::not_an_error(tx, 1, None, operator::SuppressScope::Task, "me", now)?
            else {
                panic!("no errors")
            };
            for new in &new {
                operator::silence(tx, new, now)?;
            }
            operator::end_as_no_error(tx, &rules, 1, now)
        };
        assert!(world.store.store.write(not_an_error).await.unwrap());
        let to_do = |facts: &ReportFacts| facts.now.iter().map(|problem| problem.name.clone()).collect::<Vec<_>>();
        world.run_due(ELEVEN).await;
        assert_eq!(to_do(&world.last().await), ["pi/dump"]);
        // It comes again, and still is none.
        world.hand.set(ELEVEN.plus(2 * HOUR));
        world.text(pi, "backup", LogKind::Err, "file has vanished\n").await;
        world.run_due(ELEVEN.plus(DAY)).await;
        assert_eq!(to_do(&world.last().await), ["pi/dump"]);
    }
}

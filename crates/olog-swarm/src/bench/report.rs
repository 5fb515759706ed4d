//! Benchmark of the report of a large fleet: its time next to a bare query of the same rows, its memory, the size of its page.
//!
//! The hub's own code fills a store with two devices over thirty days; one of them ends in ERR. Their rows are then multiplied by SQL. A
//! hub opens that store and makes, keeps and pushes a report through its ordinary verb.

use std::path::Path;
use std::time::Instant;

use olog_journeys::world::{Hub, World};
use olog_proto::{EventContent, Excerpt, File, Growth, JoinLink, LogKind, Timestamp, fingerprint::fingerprints};
use olog_swarm::{Device, Session, any_certificate, now};

use crate::hub::link;
use crate::{Figure, memory_kib, quantile, web};

const TASKS: u64 = 20;
const DAYS: i64 = 30;
const HOUR: i64 = 3_600_000;
const ROUNDS: usize = 5;
/// One device in so many is in trouble.
const BAD: usize = 50;
const ALERTS: &str = "[alerts]\nover_wait = \"1s\"\noffline_after = \"1d\"\n";

pub(crate) async fn report(n_devices: usize) -> Vec<Figure> {
    let world = World::new().await;
    let mut hub = world.hub_with("", ALERTS);
    let link = link(&hub, 2);
    live(&hub, &link, "well", false).await;
    live(&hub, &link, "ill", true).await;
    hub.wait("what is over is over", |hub| {
        (hub.query::<i64>("SELECT COUNT(*) FROM tasks WHERE incident_id IS NOT NULL") == [2]).then_some(())
    });
    hub.daemon.stop();
    let store = hub.state_dir.join("olog.db");
    let n_tasks = multiply(&store, n_devices);
    hub.start();
    // The first of all marks every task as known: that is once.
    let mut ours: Vec<f64> = (0..=ROUNDS).map(|_| once(&hub)).skip(1).collect();
    std::fs::write(format!("/proc/{}/clear_refs", hub.daemon.pid()), "5").unwrap();
    let before = memory_kib(hub.daemon.pid(), "VmRSS:") / 1024.0;
    once(&hub);
    let peak = memory_kib(hub.daemon.pid(), "VmHWM:") / 1024.0;
    let page = hub.query::<i64>("SELECT LENGTH(CAST(page AS BLOB)) FROM reports ORDER BY id DESC LIMIT 1");
    let mut bare: Vec<f64> = (0..ROUNDS).map(|_| bare_query(&store, n_tasks)).collect();
    let (ours, bare) = (quantile(&mut ours, 0.5), quantile(&mut bare, 0.5));
    let overview = web::overview(&hub, &store, n_devices).await;
    let report = vec![
        Figure {
            what: "a report over 10,000 devices with 200,000 tasks: made, kept, pushed",
            ours: format!("{:.2} s for {n_tasks} tasks", ours),
            limit: format!("{bare:.2} s: a bare query of the same rows"),
            ratio: ours / bare,
            bar: 8.0,
        },
        Figure {
            what: "the hub's memory at its peak meanwhile (VmHWM)",
            ours: format!("{peak:.1} MiB (before: {before:.1} MiB)"),
            limit: "150 MiB".to_owned(),
            ratio: peak / 150.0,
            bar: 1.0,
        },
        Figure {
            what: "its page",
            ours: format!("{} KiB", page[0] / 1024),
            limit: "1,000 KiB: 2 KiB for each of the worst 500".to_owned(),
            ratio: page[0] as f64 / 1_024_000.0,
            bar: 1.0,
        },
    ];
    report.into_iter().chain(overview).collect()
}

/// Seconds until the verb has its answer.
fn once(hub: &Hub) -> f64 {
    let start = Instant::now();
    hub.verb(&["report", "now", "--push"]).good();
    start.elapsed().as_secs_f64()
}

/// Twenty tasks over thirty days: runs that leave a log, alarms that come now and then, errors and their ends.
async fn live(hub: &Hub, link: &JoinLink, name: &str, is_ill: bool) {
    let device = Device::join(link, name).await.unwrap();
    let mut session = device.connect(link, &any_certificate().unwrap()).await.unwrap();
    let start = now().plus(-DAYS * 24 * HOUR);
    for day in 0..DAYS {
        for i in 0..TASKS {
            let at = start.plus((day * 24 + i as i64) * HOUR);
            let error = format!("task{i}: write error: No space left on device /srv/data{i}\n");
            match (i, day % 10) {
                (15 | 16, 3) | (17 | 18, 7) => {
                    one(&mut session, at, text(i, LogKind::Err, &error, at)).await;
                    one(&mut session, at.plus(HOUR / 2), cleared(i)).await;
                }
                (15 | 16, _) => {}
                (19, _) => one(&mut session, at, ended(i)).await,
                _ => one(&mut session, at, text(i, LogKind::Log, "1834 files checked, 12 copied\n", at)).await,
            }
        }
    }
    for i in [3, 8].into_iter().filter(|_| is_ill) {
        let line = format!("task{i}: cannot reach 10.1.2.{i}: connection timed out after 30 s, retried 4 times\n");
        one(&mut session, now(), text(i, LogKind::Err, &line.repeat(10), now())).await;
    }
    assert!(hub.query::<i64>("SELECT COUNT(*) FROM events")[0] > 500);
}

async fn one(session: &mut Session, at: Timestamp, what: EventContent) {
    session.pump(1, 1, at, |_| what.clone()).await.unwrap();
}

fn text(i: u64, suffix: LogKind, text: &str, at: Timestamp) -> EventContent {
    let file = File {
        task: format!("task{i}").parse().unwrap(),
        suffix,
        path: format!("/var/log/olog/task{i}"),
        change: Growth::Rewritten,
        began_at: Some(olog_proto::DeviceTime(at.plus(-HOUR / 10))),
        closed: true,
        sibling_err: false,
        history: false,
        fingerprints: if suffix == LogKind::Log { Vec::new() } else { fingerprints(text) },
    };
    EventContent::Text { file, excerpt: Excerpt::of(text) }
}

fn cleared(i: u64) -> EventContent {
    let (task, path) = (format!("task{i}").parse().unwrap(), format!("/var/log/olog/task{i}"));
    EventContent::Cleared { task, suffix: LogKind::Err, path, deleted: true }
}

fn ended(i: u64) -> EventContent {
    EventContent::RunEnded {
        task: format!("task{i}").parse().unwrap(),
        run: "run".to_owned(),
        exit: Some(0),
        signal: None,
        duration: 61_000,
        excerpt: Excerpt::of(""),
        fingerprints: Vec::new(),
    }
}

/// Gives each of the two devices copies with all of their tasks, `n_devices` in the end; returns how many tasks there are.
fn multiply(store: &Path, n_devices: usize) -> u64 {
    let mut db = rusqlite::Connection::open(store).unwrap();
    let columns = |db: &rusqlite::Connection, table: &str, not: &[&str]| {
        let mut names = db.prepare("SELECT name FROM pragma_table_info(?1)").unwrap();
        let names = names.query_map([table], |row| row.get::<_, String>(0)).unwrap();
        names.map(Result::unwrap).filter(|name| !not.contains(&name.as_str())).collect::<Vec<_>>()
    };
    let (of_device, of_task) =
        (columns(&db, "devices", &["id", "name", "key"]), columns(&db, "tasks", &["id", "device_id"]));
    let copies = db.transaction().unwrap();
    let listed =
        |names: &[String], of: &str| names.iter().map(|name| format!("{of}.{name}")).collect::<Vec<_>>().join(", ");
    copies
        .execute(
            &format!(
                "INSERT INTO devices (name, {}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                 SELECT printf('%s-%05d', d.name, i), {} FROM n JOIN devices d
                 ON d.name = CASE WHEN i % {BAD} = 0 THEN 'ill' ELSE 'well' END",
                of_device.join(", "),
                listed(&of_device, "d")
            ),
            [n_devices as i64 - 2],
        )
        .unwrap();
    copies
        .execute(
            &format!(
                "INSERT INTO tasks (device_id, {}) SELECT d.id, {} FROM devices d
                 JOIN devices first ON first.name = substr(d.name, 1, instr(d.name, '-') - 1)
                 JOIN tasks t ON t.device_id = first.id WHERE instr(d.name, '-') > 0 ORDER BY d.id, t.id",
                of_task.join(", "),
                listed(&of_task, "t")
            ),
            [],
        )
        .unwrap();
    // A device without a key counts for nobody.
    copies.execute("UPDATE devices SET key = 'bench ' || id WHERE key IS NULL", []).unwrap();
    copies.commit().unwrap();
    db.query_row("SELECT COUNT(*) FROM tasks", [], |row| row.get::<_, i64>(0)).unwrap().cast_unsigned()
}

/// Seconds that SQLite needs to hand out what the report reads, column by column, and nothing else.
fn bare_query(store: &Path, n_tasks: u64) -> f64 {
    let db = rusqlite::Connection::open_with_flags(store, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let start = Instant::now();
    let mut query = db
        .prepare(
            "SELECT d.id, d.name, d.address, d.version, d.heard_at, d.absence_id, d.days, t.id, t.name, t.facts, t.expect, t.known_at
             FROM devices d JOIN tasks t ON t.device_id = d.id WHERE d.state = 'joined' AND t.is_task = 1",
        )
        .unwrap();
    let mut rows = query.query([]).unwrap();
    let (mut n, mut bytes) = (0, 0);
    while let Some(row) = rows.next().unwrap() {
        n += 1;
        bytes += (0..12).map(|i| row.get_ref(i).unwrap().as_str().map_or(8, str::len)).sum::<usize>();
    }
    assert!(n == n_tasks && bytes > 0, "{n} of {n_tasks} tasks");
    start.elapsed().as_secs_f64()
}

//! The daily report, over several days in seconds: both daemons run inside the test process, on a clock that the test moves.

use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use olog_journeys::{
    Push,
    world::{Hub, World},
};
use olog_proto::Timestamp;

use crate::{disks::SmallDisk, hours::Hours};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// 2026-11-22 11:00 in Shanghai.
const ELEVEN: Timestamp = Timestamp(1_795_316_400_000);
/// The evening before.
const TEN_PM: Timestamp = Timestamp(ELEVEN.0 - 13 * HOUR);
const ZONE: &str = "timezone = \"Asia/Shanghai\"";

/// A hub in that time zone, with this `[report]` section.
fn hub(world: &World, report: &str) -> Hub {
    let hub = Hub::new(world, "hub", "", &format!("{}[report]\n{report}\n", Hours::DEVICE));
    let text = std::fs::read_to_string(hub.daemon.config()).unwrap();
    hub.daemon.configure(&text.replace("timezone = \"UTC\"", ZONE));
    hub
}

async fn begin(report: &str) -> Hours {
    let world = World::new().await;
    let hub = hub(&world, report);
    Hours::begin_with(world, hub, TEN_PM).await
}

fn is_report(push: &Push) -> bool {
    push.summary.starts_with("REPORT") && !push.summary.starts_with("REPORT page")
}

/// Waits until there are `n` reports, and returns the last one.
async fn reports(hours: &Hours, n: usize) -> Push {
    let enough = |pushes: &[Push]| pushes.iter().filter(|push| is_report(push)).count() >= n;
    let pushes = hours.world.phone.wait(&format!("{n} reports"), enough).await;
    let reports: Vec<&Push> = pushes.iter().filter(|push| is_report(push)).collect();
    assert_eq!(reports.len(), n, "{}", hours.world.phone.story());
    reports[n - 1].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_morning_tells_the_night_and_the_second_only_what_is_new() {
    let hours = begin("").await;
    hours.hand.set(TEN_PM.plus(5 * HOUR));
    hours.write("backup.log", "sent 34 files\n");
    hours.write("nginx.err", "nginx not running!\n");
    hours.hand.set(ELEVEN.plus(-5 * MINUTE));
    let now = hours.hub.verb(&["report", "now"]).good();
    assert!(now.contains("REPORT 1 ERR") && now.contains("ERR pi/nginx"), "{now}");
    assert!(!now.contains("LOST"), "asking makes nothing lost: {now}");
    assert!(hours.hub.list(&["report", "list"]).is_empty());

    hours.hand.set(ELEVEN);
    let report = reports(&hours, 1).await;
    let text = report.text();
    assert!(report.summary.contains("REPORT 1 ERR") && report.summary.contains("pi/nginx"), "{}", report.summary);
    for words in ["13 h up to 22 Nov 11:00", "To do now (1)", "nginx not running!", "New: 3", "pi (backup, nginx)"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains("LOST"), "{text}");

    hours.hand.set(ELEVEN.plus(DAY));
    let text = reports(&hours, 2).await.text();
    assert!(text.contains("24 h up to 23 Nov 11:00") && !text.contains("New"), "{text}");
    let rows = hours.hub.list(&["report", "list"]);
    assert_eq!(rows.len(), 2);
    let id = rows[1]["id"].to_string();
    let shown = hours.hub.verb(&["report", "show", &id]).good();
    assert!(shown.contains("nginx not running!"), "{shown}");
    let page = hours.hub.verb(&["report", "show", &id, "--html", "-"]).good();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    hours.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_down_for_two_mornings_makes_one_report_when_it_is_back() {
    let mut hours = begin("").await;
    hours.write("backup.log", "sent 34 files\n");
    hours.hand.set(ELEVEN);
    reports(&hours, 1).await;
    hours.hub_is_down_for(2 * DAY + HOUR).await;
    let text = reports(&hours, 2).await.text();
    assert!(text.contains("2 days up to 24 Nov 11:00"), "{text}");
    hours.hand.set(ELEVEN.plus(3 * DAY));
    let text = reports(&hours, 3).await.text();
    assert!(text.contains("24 h up to 25 Nov 11:00"), "{text}");
    hours.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_times_a_day_are_two_reports_of_what_is_between() {
    let hours = begin("at = [\"11:00\", \"18:30\"]").await;
    hours.hand.set(ELEVEN);
    reports(&hours, 1).await;
    hours.write("queue.scanerr", "3 messages wait\n");
    hours.hand.set(ELEVEN.plus(7 * HOUR + 30 * MINUTE));
    let text = reports(&hours, 2).await.text();
    assert!(text.contains("7 h 30 min up to 22 Nov 18:30") && text.contains("3 messages wait"), "{text}");
    hours.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_folder_and_a_missing_one_bring_the_whole_report_and_say_so() {
    let world = World::new().await;
    let folder = world.folder().join("www");
    let Some(disk) = SmallDisk::mount(&folder) else { return };
    disk.fill();
    let hub = hub(&world, &format!("html_dir = {folder:?}\nhtml_url = \"http://127.0.0.1:9/\""));
    let hours = Hours::begin_with(world, hub, TEN_PM).await;
    hours.write("nginx.err", "nginx not running!\n");
    hours.hand.set(ELEVEN);
    let text = reports(&hours, 1).await.text();
    assert!(text.contains("report show 1 --html") && text.contains("nginx not running!"), "{text}");
    hours.world.push("REPORT page").await;
    let status = hours.hub.verb(&["status"]).good();
    assert!(status.contains("The last report came without a link: html_dir"), "{status}");
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["ballast"], "half a page is no page");
    drop(disk);
    std::fs::remove_dir(&folder).unwrap();
    hours.hand.set(ELEVEN.plus(DAY));
    let text = reports(&hours, 2).await.text();
    assert!(text.contains("report show 2 --html"), "{text}");
    hours.end().await;
}

/// Status and headers, and the body.
fn get(port: u16, target: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_in_clear_by_choice_serves_the_page_behind_a_link_that_nobody_guesses() {
    let world = World::new().await;
    let hub = hub(&world, "");
    let text = std::fs::read_to_string(hub.daemon.config()).unwrap();
    hub.daemon.configure(&format!("{}\n[tls]\nmode = \"off\"\n", text.replace("https://127", "http://127")));
    let port = hub.port;
    let hours = Hours::begin_with(world, hub, TEN_PM).await;
    hours.write("nginx.err", "<script>alert(1)</script> not running\n");
    hours.hand.set(ELEVEN);
    let report = reports(&hours, 1).await;
    let base = format!("http://127.0.0.1:{port}/reports/");
    assert_eq!(report.content_type, 2);
    let (_, rest) = report.content.split_once(&base).expect("a link");
    let token: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    assert_eq!(token.len(), 32);
    let (head, page) = get(port, &format!("/reports/{token}"));
    assert!(head.starts_with("http/1.1 200") && head.contains("text/html"), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'; style-src 'sha256-"), "{head}");
    assert!(page.contains("not running") && !page.contains("<script"), "{page}");
    let (head, _) = get(port, &format!("/reports/{}", "0".repeat(32)));
    assert!(head.starts_with("http/1.1 404"), "{head}");
    hours.end().await;
}

/// A web server for one folder. It records which pages are requested, and can hold its answers back.
fn serve(folder: &Path, waits: Arc<AtomicBool>) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, asks) = mpsc::channel();
    let folder = folder.to_owned();
    std::thread::spawn(move || {
        let mut waiting = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let Ok(n) = stream.read(&mut request) else { continue };
            let line = String::from_utf8_lossy(&request[..n]).into_owned();
            let name = line.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
            let page = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
            if asked.send(name).is_err() {
                return;
            }
            if waits.load(Ordering::SeqCst) {
                waiting.push(stream);
                continue;
            }
            let status = if page.is_empty() { "404 Not Found" } else { "200 OK" };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", page.len());
            // A client that was killed gets no answer.
            drop(stream.write_all((head + &page).as_bytes()));
        }
    });
    (port, asks)
}

/// The page is in its folder, the link is being tried, and nothing is committed yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_hub_killed_between_its_page_and_its_commit_tells_the_report_once_and_everything_new_in_it() {
    let world = World::new().await;
    let folder = world.folder().join("www");
    std::fs::create_dir(&folder).unwrap();
    let waits = Arc::new(AtomicBool::new(true));
    let (port, asks) = serve(&folder, waits.clone());
    let mut hub = world.hub();
    let pi = world.agent("pi", &hub);
    pi.write("backup.log", "sent 34 files\n");
    pi.write("nginx.err", "nginx not running!\n");
    world.push("ERR pi/nginx").await;
    pi.wait_sent();
    let text = std::fs::read_to_string(hub.daemon.config()).unwrap();
    let report =
        format!("schedule = \"*/2 * * * * *\"\nhtml_dir = {folder:?}\nhtml_url = \"http://127.0.0.1:{port}/\"");
    hub.daemon.configure(&text.replace("schedule = \"0 0 29 2 *\"", &report));
    hub.daemon.signal(rustix::process::Signal::HUP);
    let orphan = tokio::task::spawn_blocking(move || (asks.recv().unwrap(), asks)).await.unwrap().0;
    hub.daemon.kill();
    assert!(folder.join(&orphan).is_file(), "{orphan}");
    assert_eq!(hub.query::<i64>("SELECT count(*) FROM reports"), [0]);
    waits.store(false, Ordering::SeqCst);
    hub.start();
    hub.wait("two reports", |hub| (hub.query::<i64>("SELECT count(*) FROM reports")[0] >= 2).then_some(()));
    hub.daemon.stop();
    let facts: Vec<serde_json::Value> =
        hub.query::<String>("SELECT facts FROM reports ORDER BY id").iter().map(|t| t.parse().unwrap()).collect();
    let new: Vec<&serde_json::Value> = facts.iter().map(|facts| &facts["new"]).collect();
    assert_eq!(new[0], &serde_json::json!(["pi", "pi/backup", "pi/nginx"]));
    assert!(new[1..].iter().all(|new| **new == serde_json::json!([])), "{new:?}");
    assert!(facts.iter().all(|facts| facts["link"].is_string() && facts["n_now"] == 1), "{facts:?}");
    let told = hub.query::<i64>("SELECT count(*) FROM outbox WHERE kind = 'report'");
    assert_eq!(told, [facts.len() as i64]);
    let mut files: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path().display().to_string()).collect();
    files.sort();
    let mut ours = hub.query::<String>("SELECT path FROM report_files");
    ours.sort();
    assert_eq!((&files, files.len()), (&ours, facts.len() + 1), "the one that nobody links is known as ours");
}

//! The report from rows to page, with days as users have them. `OLOG_REPORT_PAGES=FOLDER` keeps the sample pages to look at.

use olog_push::ResolvedBy;
use olog_push::words::{Language, Localizer};

use super::*;

/// 2026-11-22 11:00 in Shanghai.
const ELEVEN: Timestamp = Timestamp(1_795_316_400_000);
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn say(language: Language) -> Localizer {
    Localizer { language, timezone: chrono_tz::Asia::Shanghai, now: ELEVEN.plus(4_000) }
}

fn window() -> Window {
    Window { from: ELEVEN.plus(-DAY), to: ELEVEN }
}

/// `o` OK, `E` ERR, `L` LOST, `.` nothing; the pattern is repeated to the left of its last letter.
fn strip(pattern: &str, ends: &str) -> Strip {
    let letters: Vec<char> = pattern.chars().cycle().take(DAYS - ends.len()).chain(ends.chars()).collect();
    std::array::from_fn(|i| match letters[i] {
        'o' => DayState::Ok,
        'E' => DayState::Err,
        'L' => DayState::Lost,
        _ => DayState::Nothing,
    })
}

fn runs(name: &str, from: i64, minutes: i64) -> TaskRow {
    let began = ELEVEN.plus(-from * MINUTE);
    let ended = began.plus(minutes * MINUTE);
    TaskRow {
        name: name.into(),
        last_run: Some((Some(began), ended)),
        last_good_at: Some(ended),
        is_expected: minutes > 2,
        due_at: Some(began.plus(DAY)),
        strip: strip("o", ""),
        ..TaskRow::default()
    }
}

fn alarm(name: &str) -> TaskRow {
    TaskRow { name: name.into(), strip: strip("o", ""), ..TaskRow::default() }
}

fn failing(name: &str, hours: i64, number: u64, text: &str) -> TaskRow {
    let since = ELEVEN.plus(-hours * HOUR);
    let incident = Some(OpenRow { number: Some(number), since, n_seen: 37, text: text.into(), ..OpenRow::default() });
    let last_good_at = Some(since.plus(-11 * MINUTE));
    TaskRow {
        name: name.into(),
        state: State::Err,
        last_good_at,
        incident,
        strip: strip("o", "ooEoooooE"),
        ..TaskRow::default()
    }
}

fn device(name: &str, tasks: Vec<TaskRow>) -> DeviceRow {
    DeviceRow {
        name: name.into(),
        address: Some(format!("ubuntu@{name}.lan:22")),
        version: Some("0.1.0".into()),
        heard_at: Some(ELEVEN.plus(-3000)),
        strip: strip("o", ""),
        tasks,
        ..DeviceRow::default()
    }
}

fn fleet(names: &[&str]) -> Vec<DeviceRow> {
    names
        .iter()
        .enumerate()
        .map(|(i, name)| {
            let i = i as i64;
            device(name, vec![alarm("nginx"), runs("logrotate", 660 - i, 1), runs("sync", 300 + 7 * i, 2)])
        })
        .collect()
}

const OTHERS: [&str; 11] =
    ["alisrv", "db-1", "db-2", "edge-hk", "edge-sg", "gitea", "mail", "nas", "pbx", "printer", "router"];

fn healthy() -> Health {
    Health {
        hub: "hub.example.com".into(),
        version: "0.1.0".into(),
        channels: vec![ChannelHealth { name: "me".into(), accepted: 3, left_today: Some(7), ..Default::default() }],
        next_at: Some(ELEVEN.plus(DAY)),
        keep_days: 7,
        ..Health::default()
    }
}

pub(super) fn good_day() -> Report {
    let mut builder = Builder::new(window(), ELEVEN.plus(4_000));
    let dump = runs("dump", 451, 4);
    let backup = device("backupsrv", vec![runs("rsync", 450, 4), TaskRow { strip: strip("o", "oooooEoo"), ..dump }]);
    fleet(&OTHERS)
        .into_iter()
        .chain([backup, device("comsrv", vec![alarm("mysql"), runs("report", 195, 12)])])
        .for_each(|d| builder.device(d));
    let respi = device("respi", vec![alarm("smarthome")]);
    builder.device(DeviceRow { strip: strip("o", "oLoooooo"), ..respi });
    builder.device(device("web", vec![runs("certbot", 1200, 1), alarm("php")]));
    builder.finish(healthy())
}

pub(super) fn bad_day() -> Report {
    let mut builder = Builder::new(window(), ELEVEN.plus(4_000));
    fleet(&OTHERS).into_iter().for_each(|d| builder.device(d));
    let rsync = TaskRow {
        name: "rsync".into(),
        state: State::Lost,
        last_good_at: Some(ELEVEN.plus(-2 * DAY).plus(-446 * MINUTE)),
        due_at: Some(ELEVEN.plus(-DAY - 450 * MINUTE)),
        incident: Some(OpenRow {
            number: Some(15),
            since: ELEVEN.plus(-DAY - 450 * MINUTE),
            n_seen: 2,
            ..OpenRow::default()
        }),
        strip: strip("o", "ooooLL"),
        is_expected: true,
        ..TaskRow::default()
    };
    let dump = TaskRow { was: Some("db_dump.sh".into()), ..runs("dump", 451, 4) };
    builder.device(device("backupsrv", vec![rsync, dump]));
    let mysql = "2026-11-22 02:00:01 backup of shop\nERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld/mysqld.sock' (111)\n";
    builder.device(device("comsrv", vec![failing("mysql", 9, 17, mysql), runs("report", 195, 12)]));
    let respi = device("respi", vec![alarm("smarthome"), alarm("zigbee")]);
    builder.device(DeviceRow {
        is_away: true,
        heard_at: Some(ELEVEN.plus(-6 * HOUR)),
        strip: strip("o", "oooLooL"),
        ..respi
    });
    let fresh = device("web", vec![TaskRow { is_new: true, ..runs("certbot", 1200, 1) }]);
    builder.device(DeviceRow {
        is_new: true,
        strip: strip(".", "oo"),
        skew: Some(-75_000),
        version: Some("0.0.9".into()),
        ..fresh
    });
    builder.affair(AffairRow {
        trouble: ProblemKind::DeviceLost,
        name: "respi".into(),
        n_devices: 1,
        address: Some("pi@respi.lan:2222".into()),
        open: OpenRow { number: Some(16), since: ELEVEN.plus(-6 * HOUR), n_seen: 1, ..OpenRow::default() },
    });
    let ended = |trouble, name: &str, began: i64, minutes: i64, ground, incident, n_seen| ClosedIncident {
        trouble,
        name: name.into(),
        n_devices: if trouble == ProblemKind::DeviceLost { 8 } else { 0 },
        same_site: true,
        began_at: ELEVEN.plus(-began * MINUTE),
        ended_at: ELEVEN.plus((minutes - began) * MINUTE),
        ground,
        n_seen,
        incident,
    };
    builder.ended(ended(ProblemKind::DeviceLost, "nas, pbx", 540, 20, None, 14, 1));
    builder.ended(ended(ProblemKind::TaskErr, "alisrv/nginx", 700, 61, Some(ResolvedBy::Quiet), 13, 60));
    builder.ended(ended(ProblemKind::TaskErr, "mail/queue", 810, 5, Some(ResolvedBy::NewLog), 12, 2));
    builder.ended(ended(ProblemKind::TaskErr, "db-1/vacuum", 900, 124, Some(ResolvedBy::RunEnded), 11, 1));
    builder.ended(ended(ProblemKind::TaskErr, "gitea/mirror", 1100, 30, Some(ResolvedBy::Cleared), 10, 7));
    let mut health = healthy();
    health.channels[0] = ChannelHealth {
        name: "me".into(),
        accepted: 11,
        refused: 1,
        waiting: 0,
        left_today: Some(0),
        ..ChannelHealth::default()
    };
    let text = "the disk of /var/log/olog is 93 % full: 812 MiB left";
    health.full_disks = vec![Disk { device: "nas".into(), since: ELEVEN.plus(-2 * DAY), text: text.into() }];
    builder.finish(health)
}

fn pages() -> Vec<(&'static str, Report, Language)> {
    vec![
        ("good-zh", good_day(), Language::ZhCn),
        ("good-en", good_day(), Language::En),
        ("bad-zh", bad_day(), Language::ZhCn),
        ("bad-en", bad_day(), Language::En),
    ]
}

#[test]
fn sample_pages_are_small_whole_and_need_nothing_else() {
    for (name, report, language) in pages() {
        let html = page::html(&report, &say(language));
        if let Ok(folder) = std::env::var("OLOG_REPORT_PAGES") {
            std::fs::write(format!("{folder}/{name}.html"), &html).unwrap();
        }
        assert!(html.len() < 100 * 1024, "{name}: {} bytes", html.len());
        assert!(html.ends_with("</html>"), "{name}");
        for outside in ["http://", "https://", "src=", "<script", "url(", "@import", " style=", "page-", "report-"] {
            assert!(!html.contains(outside), "{name}: {outside}");
        }
    }
}

/// A report in which everything that somebody else wrote is this text.
fn all_over(text: &str) -> Report {
    let mut builder = Builder::new(window(), ELEVEN);
    let task = failing(text, 3, 1, text);
    let renamed = TaskRow { was: Some(text.into()), ..runs(text, 60, 5) };
    let mut row = device(text, vec![task, renamed, TaskRow { is_new: true, ..runs(text, 60, 5) }]);
    (row.was, row.version, row.address) = (Some(text.into()), Some(text.into()), Some(text.into()));
    (row.skew, row.booted_at) = (Some(i64::MIN), Some(ELEVEN));
    builder.device(row);
    for trouble in [ProblemKind::Note, ProblemKind::Channel, ProblemKind::DeviceLost] {
        let open = OpenRow { text: text.into(), ..OpenRow::default() };
        builder.affair(AffairRow { trouble, name: text.into(), n_devices: 3, address: Some(text.into()), open });
    }
    builder.ended(ClosedIncident { name: text.into(), ..ClosedIncident::default() });
    let channel = ChannelHealth { name: text.into(), failing: Some(text.into()), ..ChannelHealth::default() };
    let (hub, version, no_link) = (text.into(), text.into(), Some(text.into()));
    let full_disks = vec![Disk { device: text.into(), since: ELEVEN, text: text.into() }];
    let beyond = vec![BeyondLimit { device: text.into(), limit: Limit::Tasks, max: 5_000, n: 1 }];
    let health = Health { hub, version, channels: vec![channel], no_link, full_disks, beyond, ..Health::default() };
    let mut report = builder.finish(health);
    report.proposals.push((text.into(), text.into()));
    report
}

#[test]
fn whatever_devices_are_called_and_logs_say_is_text() {
    let mut corpus: Vec<String> =
        serde_json::from_str(include_str!("../../../../olog-proto/src/clean/hostile.json")).unwrap();
    corpus.push("<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;{{7*7}}\u{202e}".into());
    let corpus: Vec<&str> = corpus.iter().map(|text| text.as_str()).collect();
    for hostile in corpus {
        let html = page::html(&all_over(hostile), &say(Language::En));
        for bad in ["<script>alert", "<img", "<svg/", "<at", "<copy", "\u{1b}", "\u{202e}", "\u{2066}", "\0", "\u{9b}"]
        {
            assert!(!html.contains(bad), "{bad:?} of {hostile:?} in {html}");
        }
    }
    let evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;{{7*7}}\u{202e}";
    for language in [Language::ZhCn, Language::En] {
        let html = page::html(&all_over(evil), &say(language));
        let tame = page::html(&all_over("a name; with a few words in it"), &say(language));
        let marks = |html: &str| ['<', '>', '"'].map(|mark| html.matches(mark).count());
        assert_eq!(marks(&html), marks(&tame), "{html}");
        assert!(!html.contains("<script") && html.contains("&#60;script&#62;"));
    }
}

#[test]
fn a_device_beyond_its_limit_is_named_because_its_tasks_may_be_failing() {
    let beyond = |limit| BeyondLimit { device: "nas".into(), limit, max: 200, n: 37 };
    let health = Health { beyond: vec![beyond(Limit::OpenIncidents), beyond(Limit::Tasks)], ..healthy() };
    let report = Builder::new(window(), ELEVEN).finish(health);
    let html = page::html(&report, &say(Language::En));
    assert!(
        html.contains("nas has reached its limit of 200 open incidents: 37 errors beyond it opened none"),
        "{html}"
    );
    assert!(html.contains("nas has reached its limit of 200 tasks: 37 events"), "{html}");
}

#[test]
fn a_page_allows_a_browser_its_own_style_and_nothing_else() {
    let html = page::html(&good_day(), &say(Language::En));
    assert!(html.contains(&format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{}\">", page::policy())));
    assert!(page::policy().starts_with("default-src 'none'; style-src 'sha256-"));
    let (_, rest) = html.split_once("<style>").unwrap();
    let (style, _) = rest.split_once("</style>").unwrap();
    use base64::Engine as _;
    use sha2::Digest as _;
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(style));
    assert!(page::policy().contains(&hash), "a browser would refuse the style");
}

#[test]
fn huge_texts_future_tasks_and_impossible_times_are_bounded() {
    let huge = "x".repeat(100_000) + "\n" + &"line\n".repeat(50_000);
    let mut builder = Builder::new(window(), ELEVEN);
    let mut task = failing("future", 1, 1, &huge);
    task.last_good_at = Some(Timestamp(i64::MAX));
    task.due_at = Some(Timestamp(i64::MIN));
    task.incident.as_mut().unwrap().since = ELEVEN.plus(400 * DAY);
    let late = TaskRow { last_run: Some((Some(Timestamp(i64::MAX)), Timestamp(i64::MIN))), ..runs("past", 1, 1) };
    builder.device(device("pi", vec![task, late]));
    builder.ended(ClosedIncident {
        name: huge.clone(),
        began_at: Timestamp(i64::MAX),
        ended_at: Timestamp(i64::MIN),
        ..ClosedIncident::default()
    });
    let report = builder.finish(Health { no_link: Some(huge), ..healthy() });
    for language in [Language::ZhCn, Language::En] {
        let html = page::html(&report, &say(language));
        assert!(html.len() < 40_000, "{}", html.len());
    }
}

/// 10,000 devices with 20 tasks each: counts are whole, the page holds the worst, and neither grows with the fleet.
#[test]
fn two_hundred_thousand_tasks_make_a_page_of_the_worst_ones() {
    let mut builder = Builder::new(window(), ELEVEN);
    let mut most = 0;
    for i in 0..10_000 {
        let mut tasks: Vec<TaskRow> = (0..19).map(|t| runs(&format!("task{t}"), 60 + t, 5)).collect();
        tasks.push(if i % 20 == 7 {
            failing("sick", i % 50, i as u64, "No space left on device")
        } else {
            alarm("calm")
        });
        builder.device(DeviceRow { is_away: i % 1000 == 500, ..device(&format!("dev{i:05}"), tasks) });
        most = most.max(builder.n_details);
    }
    assert!(most <= 4 * DETAILS + 21, "{most} rows in memory");
    let report = builder.finish(healthy());
    let facts = &report.facts;
    assert_eq!((facts.devices.all(), facts.devices.lost, facts.devices.err), (10_000, 10, 500));
    assert_eq!((facts.tasks.all(), facts.tasks.err), (200_000, 500));
    assert_eq!((facts.n_now, facts.now.len()), (500, MATTERS));
    let oldest_first = facts.now.windows(2).all(|pair| pair[0].since <= pair[1].since);
    assert!(oldest_first && facts.now[0].trouble == ProblemKind::TaskErr);
    assert!(report.devices[..10].iter().all(|device| device.state == State::Lost));
    let n_tasks: usize = report.devices.iter().map(|device| device.row.tasks.len()).sum();
    assert!(n_tasks <= DETAILS, "{n_tasks}");
    for language in [Language::ZhCn, Language::En] {
        let html = page::html(&report, &say(language));
        assert!(html.len() < 500 * 1024, "{} bytes", html.len());
        assert!(html.contains("9490") && html.contains("olog-hub device list"));
    }
}

#[test]
fn a_lost_device_speaks_for_its_tasks_and_what_is_gone_is_nobodys_state() {
    let mut builder = Builder::new(window(), ELEVEN);
    let away = device("nas", vec![failing("raid", 2, 3, "degraded")]);
    builder.device(DeviceRow { is_away: true, ..away });
    let gone = TaskRow { state: State::Lost, is_gone: true, ..runs("old", 60, 1) };
    builder.device(device("web", vec![gone]));
    let report = builder.finish(healthy());
    assert_eq!((report.facts.n_now, report.facts.devices.ok, report.facts.devices.lost), (0, 1, 1));
    assert_eq!((report.facts.n_gone, report.facts.gone.len(), report.facts.tasks.all()), (1, 1, 1));
}

#[test]
fn acknowledged_trouble_stands_behind_what_nobody_has_seen() {
    let mut builder = Builder::new(window(), ELEVEN);
    let mut seen = failing("old", 30, 1, "x");
    seen.incident.as_mut().unwrap().acknowledged_at = Some(ELEVEN);
    builder.device(device("a", vec![seen, failing("new", 1, 2, "y"), failing("older", 5, 3, "z")]));
    let names: Vec<String> = builder.finish(healthy()).facts.now.into_iter().map(|matter| matter.name).collect();
    assert_eq!(names, ["a/older", "a/new", "a/old"]);
}

#[test]
fn no_device_yet_is_said_and_is_no_trouble() {
    let report = Builder::new(window(), ELEVEN).finish(Health::default());
    let html = page::html(&report, &say(Language::En));
    assert!(
        html.contains("No device has joined yet") && html.contains("No channel is configured: nobody will be notified"),
        "{html}"
    );
}

fn shown(report: &Report, language: Language) -> String {
    page::html(report, &say(language))
}

#[test]
fn one_error_of_several_devices_is_one_card_with_the_commands_for_all_of_them() {
    let full = "rsync: write failed: No space left on device (28)";
    let mut builder = Builder::new(window(), ELEVEN);
    for (i, name) in ["a", "b", "c"].iter().enumerate() {
        builder.device(device(name, vec![failing("backup", 3 + i as i64, 40 + i as u64, full)]));
    }
    // It shares a first line with nobody's error, and is its own.
    let mut other = failing("mail", 1, 50, "setlocale: cannot change locale\nmailq: timeout");
    other.incident.as_mut().unwrap().acknowledged_at = Some(ELEVEN.plus(-MINUTE));
    builder.device(device("d", vec![other, failing("dump", 1, 51, "setlocale: cannot change locale\nno space")]));
    let html = shown(&builder.finish(healthy()), Language::En);
    let now = html.split("id=\"now\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert_eq!(now.matches("<article").count(), 3, "{now}");
    assert!(now.contains("One error, 3 places: c/backup, b/backup, a/backup"), "{now}");
    assert!(now.contains("#40-42") && now.contains("olog-hub incident ack 40-42"), "{now}");
    assert!(now.contains("111 times") || now.contains("111"), "3 x 37: {now}");
    assert_eq!(now.matches("ssh ubuntu@").count(), 3 + 2, "{now}");
    // What is acknowledged has no such command.
    assert!(!now.contains("incident ack 50") && now.contains("incident ack 51"), "{now}");
}

#[test]
fn what_is_new_is_grouped_by_device_and_folded_beyond_five() {
    let mut builder = Builder::new(window(), ELEVEN);
    for i in 0..8 {
        let tasks =
            vec![TaskRow { is_new: true, ..runs("certbot", 60, 5) }, TaskRow { is_new: true, ..runs("nginx", 60, 5) }];
        builder.device(DeviceRow { is_new: true, ..device(&format!("web{i}"), tasks) });
    }
    let html = shown(&builder.finish(healthy()), Language::En);
    let changed = html.split("id=\"changed\"").nth(1).unwrap().split("</section>").next().unwrap();
    let (before, behind) = changed.split_once("<details").unwrap();
    assert_eq!(before.matches("certbot, nginx").count(), 5, "{changed}");
    assert_eq!(behind.matches("certbot, nginx").count(), 3, "{changed}");
}

#[test]
fn the_proof_names_what_is_expected_and_counts_the_rest() {
    let mut builder = Builder::new(window(), ELEVEN);
    let tasks = (0..9).map(|i| runs(&format!("backup{i}"), 300 + i, 4)).chain([runs("hourly", 30, 1)]).collect();
    builder.device(device("nas", tasks));
    let report = builder.finish(healthy());
    assert_eq!(report.n_proof, 9);
    let html = shown(&report, Language::En);
    let proof = html.split("id=\"proof\"").nth(1).unwrap().split("</section>").next().unwrap();
    assert!(proof.matches("nas/backup").count() == 6 && !proof.contains("hourly"), "{proof}");
    assert!(proof.contains("3 more"), "{proof}");
}

#[test]
fn all_ok_is_said_only_if_it_was_so_and_one_channel_is_a_warning() {
    let mut builder = Builder::new(window(), ELEVEN);
    builder.device(device("nas", vec![runs("backup", 300, 4)]));
    builder.ended(ClosedIncident { name: "nas/smartd".into(), ..ClosedIncident::default() });
    let html = shown(&builder.finish(healthy()), Language::ZhCn);
    assert!(html.contains("现已正常") && !html.contains("<title>全部正常"), "{html}");
    assert!(shown(&good_day(), Language::ZhCn).contains("<title>全部正常"));
    let health = html.split("id=\"health\"").nth(1).unwrap();
    assert!(health.contains("class=\"not\"") && health.contains("只有一个通道"), "{health}");
}

/// Contrast of two colours as WCAG 2 has it.
fn contrast(a: &str, b: &str) -> f64 {
    let luminance = |hex: &str| {
        let hex: String = if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex.to_owned() };
        let part = |at: usize| {
            let c = f64::from(u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap()) / 255.0;
            if c <= 0.03928 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(0) + 0.7152 * part(2) + 0.0722 * part(4)
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_colour_of_a_word_can_be_read_in_light_and_dark() {
    let css = include_str!("../../../templates/shared.css");
    let schemes: Vec<&str> = css.lines().filter(|line| line.contains(":root{--bg")).take(2).collect();
    assert_eq!(schemes.len(), 2);
    for scheme in schemes {
        let colour = |name: &str| {
            let (_, rest) = scheme.split_once(&format!("--{name}:#")).unwrap();
            rest.chars().take_while(char::is_ascii_hexdigit).collect::<String>()
        };
        for word in ["ink", "dim", "ok", "err", "lost", "zero", "link"] {
            for ground in ["card", "bg"] {
                let contrast = contrast(&colour(word), &colour(ground));
                assert!(contrast >= 4.5, "{word} on {ground}: {contrast:.2}");
            }
        }
    }
}

#[test]
fn what_comes_and_goes_is_to_do_and_not_resolved() {
    let open = OpenRow {
        number: Some(7),
        since: ELEVEN.plus(-30 * MINUTE),
        n_seen: 1,
        text: "I/O error".into(),
        begun: Some(olog_push::Reopened { n_begun: 4, first_at: ELEVEN.plus(-300 * MINUTE) }),
        recovered_at: Some(ELEVEN.plus(-10 * MINUTE)),
        ..OpenRow::default()
    };
    let smartd = TaskRow { state: State::Err, incident: Some(open), ..alarm("smartd") };
    let mut builder = Builder::new(window(), ELEVEN);
    builder.device(device("nas", vec![smartd]));
    builder.ended(ClosedIncident { name: "nas/smartd".into(), incident: 7, ..ClosedIncident::default() });
    builder.ended(ClosedIncident { name: "nas/cron".into(), incident: 8, ..ClosedIncident::default() });
    builder.n_ended(2);
    let report = builder.finish(healthy());
    assert_eq!((report.facts.n_now, report.facts.n_over, report.facts.over.len()), (1, 1, 1));
    let html = shown(&report, Language::En);
    for words in ["comes and goes", "failure number 4", "recovered"] {
        assert!(html.contains(words), "{words}: {html}");
    }
}

#[test]
fn the_desktop_grid_has_no_hole() {
    let style = include_str!("../../../templates/report.css");
    // The last card of an odd number, and the last proof, take both columns.
    for list in ["cards", "proof"] {
        assert!(style.contains(&format!(".{list}>:last-child:nth-child(odd)")), "{list}");
    }
}

//! The report from rows to page, with days as users have them. `OLOG_REPORT_PAGES=FOLDER` keeps the sample pages to look at.

use olog_push::Ground;
use olog_push::words::{Language, Say};

use super::*;

/// 2026-11-22 11:00 in Shanghai.
const ELEVEN: At = At(1_795_316_400_000);
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

fn say(language: Language) -> Say {
    Say { language, timezone: chrono_tz::Asia::Shanghai, now: ELEVEN.plus(4_000) }
}

fn window() -> Window {
    Window { from: ELEVEN.plus(-DAY), to: ELEVEN }
}

/// `o` OK, `E` ERR, `L` LOST, `.` nothing; the pattern is repeated to the left of its last letter.
fn strip(pattern: &str, ends: &str) -> Strip {
    let letters: Vec<char> = pattern.chars().cycle().take(DAYS - ends.len()).chain(ends.chars()).collect();
    std::array::from_fn(|i| match letters[i] {
        'o' => Cell::Ok,
        'E' => Cell::Err,
        'L' => Cell::Lost,
        _ => Cell::Nothing,
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
    let incident = Some(OpenRow { number: Some(number), since, n_seen: 37, text: text.into(), acknowledged_at: None });
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
        due_at: Some(ELEVEN.plus(-450 * MINUTE)),
        incident: Some(OpenRow {
            number: Some(15),
            since: ELEVEN.plus(-DAY - 420 * MINUTE),
            n_seen: 1,
            ..OpenRow::default()
        }),
        strip: strip("o", "ooooLL"),
        is_expected: true,
        ..TaskRow::default()
    };
    builder.device(device("backupsrv", vec![rsync, runs("dump", 451, 4)]));
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
        trouble: Trouble::DeviceLost,
        name: "respi".into(),
        n_devices: 1,
        address: Some("pi@respi.lan:2222".into()),
        open: OpenRow { number: Some(16), since: ELEVEN.plus(-6 * HOUR), n_seen: 1, ..OpenRow::default() },
    });
    let ended = |trouble, name: &str, began: i64, minutes: i64, ground, incident, n_seen| Ended {
        trouble,
        name: name.into(),
        n_devices: if trouble == Trouble::DeviceLost { 8 } else { 0 },
        same_site: true,
        began_at: ELEVEN.plus(-began * MINUTE),
        ended_at: ELEVEN.plus((minutes - began) * MINUTE),
        ground,
        n_seen,
        incident,
    };
    builder.ended(ended(Trouble::DeviceLost, "nas, pbx", 540, 20, None, 14, 1));
    builder.ended(ended(Trouble::TaskErr, "alisrv/nginx", 700, 61, Some(Ground::Quiet), 13, 60));
    builder.ended(ended(Trouble::TaskErr, "mail/queue", 810, 5, Some(Ground::NewLog), 12, 2));
    builder.ended(ended(Trouble::TaskErr, "db-1/vacuum", 900, 124, Some(Ground::RunEnded), 11, 1));
    builder.ended(ended(Trouble::TaskErr, "gitea/mirror", 1100, 30, Some(Ground::Cleared), 10, 7));
    let mut health = healthy();
    health.channels[0] =
        ChannelHealth { name: "me".into(), accepted: 11, refused: 1, waiting: 0, left_today: Some(0), failing: None };
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

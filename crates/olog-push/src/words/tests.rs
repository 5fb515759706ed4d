//! The texts as they reach the phone, read as the person who was woken up; and that no key is missing or left over.

use std::collections::{BTreeMap, BTreeSet};

use olog_proto::{Excerpt, FingerprintText};

mod hostile;
mod legacy;
mod links;
mod merged;
mod reports;

use super::*;
use crate::{Content, Kind, Reason, ResolvedBy, SystemCode};

/// 2026-11-22 03:11:04 in Shanghai.
const NIGHT: Timestamp = Timestamp(1_795_288_264_000);
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

pub(super) fn say() -> Localizer {
    Localizer { language: Language::En, timezone: chrono_tz::Asia::Shanghai, now: NIGHT }
}

fn context(language: Language) -> Context<'static> {
    Context {
        language,
        timezone: chrono_tz::Asia::Shanghai,
        now: NIGHT,
        incident_url: None,
        by_device: false,
        budget: None,
        limits: wxpusher_like(40_000, 100),
    }
}

pub(super) fn wxpusher_like(body: usize, summary_chars: usize) -> Limits {
    Limits { body, plain: body, summary_chars, form: Form::HtmlWithCopy, ..Limits::NONE }
}

const MYSQL: &str = "ERROR 2002 (HY000): Can't connect to local server through socket '/run/mysqld.sock' (111)";

fn error_of(device: &str, task: &str, at: Timestamp, text: &str, why: Reason) -> Notice {
    let all = olog_proto::fingerprint::fingerprints(text).iter().map(FingerprintText::fingerprint).collect();
    Notice {
        kind: Kind::Err,
        incident: Some(17),
        device: Some(device.into()),
        address: Some("ubuntu@10.20.0.233:22".into()),
        task: Some(task.into()),
        at,
        silence: None,
        content: Content::Error {
            why,
            excerpt: Excerpt::of(text),
            path: format!("/ologs/{task}.err"),
            fingerprint: Some(FingerprintText::of(text).fingerprint()),
            last_good_at: Some(at.plus(-11 * MINUTE)),
            began_at: at.plus(-2 * HOUR),
            n_seen: 3,
            facts: Box::new(crate::ErrorFacts { fingerprints: all, ..Default::default() }),
        },
    }
}

fn first(task: &str) -> Notice {
    error_of("comsrv", task, NIGHT, MYSQL, Reason::First)
}

fn with(notice: &Notice, kind: Kind, content: Content) -> Notice {
    Notice { kind, content, ..notice.clone() }
}

fn over(ground: ResolvedBy) -> Notice {
    let began_at = NIGHT.plus(-2 * HOUR);
    let content = Content::Over { ground, began_at, n_seen: 37, acknowledged_at: None, reopened: None, said_by: None };
    with(&first("mysql"), Kind::Over, content)
}

fn lost(n: usize, behind: Option<&str>) -> Notice {
    let content = Content::DevicesLost {
        devices: (1..=n).map(|n| format!("web{n}")).collect(),
        n_known: 15,
        since: NIGHT.plus(-70_000),
        behind: behind.map(str::to_owned),
        said_bye: false,
        n_times: None,
    };
    Notice {
        kind: Kind::Lost,
        incident: Some(18),
        device: None,
        address: None,
        task: None,
        at: NIGHT,
        silence: None,
        content,
    }
}

fn back(n: usize, missing: usize) -> Notice {
    let names = |from: usize, n: usize| (from..from + n).map(|n| format!("web{n}")).collect();
    let content = Content::DevicesBack {
        devices: names(1, n),
        missing: names(n + 1, missing),
        since: NIGHT.plus(-20 * MINUTE),
        returned: None,
        n_rebooted: n as u64,
        n_boots_unknown: 0,
        said_bye: false,
        n_times: None,
        missed: Vec::new(),
        n_missed: 0,
    };
    Notice { kind: Kind::Back, content, ..lost(1, None) }
}

fn message_of(text: &str) -> Notice {
    let content = Content::Message { excerpt: Excerpt::of(text), path: "/ologs/smarthome.msg".into(), n_seen: 1 };
    Notice {
        incident: None,
        device: Some("respi".into()),
        task: Some("smarthome".into()),
        ..with(&first("x"), Kind::Msg, content)
    }
}

fn system(code: SystemCode) -> Notice {
    let args = [
        ("since", "1795281064000"),
        ("devices", "comsrv, nas"),
        ("findings", "hub.toml:3:1 unknown key `listn`, nearest `listen`"),
        ("n", "3"),
        ("why", "its spool was restored from an older copy"),
        ("addresses", "203.0.113.7, 198.51.100.2"),
        ("code", "log_dir_missing"),
        ("path", "/var/log/olog"),
        ("text", "the log dir does not exist"),
        ("channel", "me"),
        ("answer", "1001 业务异常"),
        ("receiver", "UID_gone"),
        ("name", "comsrv"),
        ("host", "hc-ping.com"),
        ("what", "notification me"),
        ("command", "olog-hub task merge nas x-2026-11-27 x"),
        ("duty", "outbox: claim"),
        ("error", "database is locked"),
        ("limit", "tasks"),
    ];
    let args: BTreeMap<String, String> = args.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    use SystemCode::{
        AgentNote, AgentNoteOver, DeviceLimit, DeviceRenamed, EpochRenewed, Gap, HubReachable, HubUnreachable,
        TwoMachines, Unreadable,
    };
    let device = matches!(
        code,
        DeviceLimit
            | DeviceRenamed
            | Gap
            | AgentNote
            | AgentNoteOver
            | TwoMachines
            | EpochRenewed
            | Unreadable
            | HubReachable
            | HubUnreachable
    );
    let device = device.then(|| "comsrv".to_owned());
    Notice {
        incident: None,
        device,
        address: None,
        task: None,
        ..with(&first("x"), Kind::System, Content::System { code, args })
    }
}

#[test]
fn a_job_that_a_lock_kept_from_starting_is_named() {
    let mut notice = system(SystemCode::AgentNote);
    if let Content::System { args, .. } = &mut notice.content {
        args.insert("code".into(), "run_not_started".into());
        args.insert("path".into(), "raidcheck".into());
    }
    for language in [Language::ZhCn, Language::En] {
        let message = compose(std::slice::from_ref(&notice), &context(language)).message;
        assert!(message.text.contains("raidcheck"), "{}", message.text);
    }
}

const CODES: [SystemCode; 34] = {
    use SystemCode::*;
    [
        HubFirstStart,
        HubUnclean,
        HubAway,
        HubDown,
        NewDevices,
        PendingDevices,
        ConfigRefused,
        CertificateRefused,
        EpochRenewed,
        Gap,
        DeviceLimit,
        DeviceRenamed,
        TwoMachines,
        LegacyClient,
        Unreadable,
        AgentNote,
        AgentNoteOver,
        ChannelFailing,
        ChannelBack,
        ReceiverRefused,
        Expired,
        StoreTrouble,
        ValuesUnreadable,
        GhostTasks,
        StoreRecovered,
        ReportPage,
        ReportListing,
        WatchdogFailing,
        WatchdogBack,
        DutyFailing,
        DutyBack,
        HubUnreachable,
        HubReachable,
        ChannelTest,
    ]
};

/// As the phone shows it, in both languages.
fn shown(notices: &[Notice]) -> String {
    let one = |language| {
        let Composed { message, included, .. } = compose(notices, &context(language));
        assert!(message.title.chars().count() <= 20, "{}", message.title);
        assert!(message.summary.chars().count() <= 100, "{}", message.summary);
        assert_eq!(included, (0..notices.len()).collect::<Vec<_>>());
        format!("[{}]\n{}\n\n{}", message.title, message.summary, message.text)
    };
    format!("{}\n\n======\n\n{}", one(Language::ZhCn), one(Language::En))
}

fn sixty() -> Vec<Notice> {
    let task = |n: u64| {
        let mut notice = first(&format!("task-{n}"));
        notice.incident = Some(100 + n);
        notice
    };
    (0..60).map(task).collect()
}

#[test]
fn a_first_error() {
    insta::assert_snapshot!(shown(&[first("mysql")]));
}

#[test]
fn errors_of_every_reason() {
    let reasons = [
        Reason::Again,
        Reason::NewFingerprint,
        Reason::MoreFingerprints { n_more: 4 },
        Reason::Reopened,
        Reason::ComesAndGoes { n_times: 3 },
        Reason::InARow { n_times: 3 },
    ];
    let texts: Vec<String> =
        reasons.into_iter().map(|why| shown(&[error_of("comsrv", "mysql", NIGHT, MYSQL, why)])).collect();
    insta::assert_snapshot!(texts.join("\n\n############\n\n"));
}

#[test]
fn a_late_error_says_how_late_it_is() {
    let late = error_of("comsrv", "mysql", NIGHT.plus(-6 * HOUR), MYSQL, Reason::First);
    insta::assert_snapshot!(shown(&[late]));
}

#[test]
fn what_a_silence_held_says_so() {
    let held = Notice { silence: Some(3), ..error_of("comsrv", "mysql", NIGHT.plus(-2 * HOUR), MYSQL, Reason::First) };
    insta::assert_snapshot!(shown(&[held]));
}

#[test]
fn a_device_that_comes_and_goes_is_told_with_its_count() {
    let mut flapping = Notice { device: Some("respi".into()), ..lost(1, None) };
    if let Content::DevicesLost { n_times, .. } = &mut flapping.content {
        *n_times = Some(5);
    }
    let mut calm = Notice { device: Some("respi".into()), ..back(1, 0) };
    if let Content::DevicesBack { n_times, .. } = &mut calm.content {
        *n_times = Some(5);
    }
    insta::assert_snapshot!([shown(&[flapping]), shown(&[calm])].join("\n\n############\n\n"));
}

#[test]
fn a_message_is_not_an_error() {
    insta::assert_snapshot!(shown(&[message_of("门磁电量 8 %,请更换电池。\n")]));
}

#[test]
fn devices_that_are_lost_and_back() {
    let texts = [shown(&[lost(1, None)]), shown(&[lost(8, Some("203.0.113.7"))]), shown(&[back(1, 0)])];
    let more = [shown(&[back(8, 0)]), shown(&[back(6, 2)])];
    insta::assert_snapshot!([texts.as_slice(), &more].concat().join("\n\n############\n\n"));
}

#[test]
fn an_end_names_its_ground() {
    let grounds = [
        ResolvedBy::RunEnded,
        ResolvedBy::NewLog,
        ResolvedBy::Cleared,
        ResolvedBy::LogGrew,
        ResolvedBy::Closed,
        ResolvedBy::Quiet,
    ];
    let texts: Vec<String> = grounds.into_iter().map(|ground| shown(&[over(ground)])).collect();
    insta::assert_snapshot!(texts.join("\n\n############\n\n"));
}

#[test]
fn a_reminder() {
    let content = Content::Remind {
        began_at: NIGHT.plus(-26 * HOUR),
        n_seen: 37,
        last_error_at: NIGHT.plus(-3 * HOUR),
        excerpt: Excerpt::of(MYSQL),
        reopened: None,
    };
    insta::assert_snapshot!(shown(&[with(&first("mysql"), Kind::Remind, content)]));
}

#[test]
fn ologs_own_affairs() {
    let texts: Vec<String> = CODES.into_iter().map(|code| shown(&[system(code)])).collect();
    insta::assert_snapshot!(texts.join("\n\n############\n\n"));
}

#[test]
fn one_error_of_twelve_devices() {
    let text = "rsync: write failed on \"/backup\": No space left on device (28)";
    let of = |n: u64| {
        let at = NIGHT.plus(-i64::try_from(n).unwrap() * 10_000);
        Notice { incident: Some(30 + n), ..error_of(&format!("srv{n}"), "backup", at, text, Reason::First) }
    };
    let notices: Vec<Notice> = (0..12).map(of).collect();
    insta::assert_snapshot!(shown(&notices));
}

#[test]
fn sixty_tasks_at_once_are_one_message_that_names_each() {
    let notices = sixty();
    for language in [Language::ZhCn, Language::En] {
        let Composed { message, included, .. } = compose(&notices, &context(language));
        assert_eq!(included.len(), 60);
        for notice in &notices {
            let name = format!("{} #{}", notice.task.as_ref().unwrap(), notice.incident.unwrap());
            assert!(message.text.contains(&name) && message.html.contains(&name), "{name}");
        }
    }
    insta::assert_snapshot!(shown(&notices[..5]));
}

#[test]
fn a_mixed_message_has_the_worst_first() {
    let other = Notice {
        incident: Some(21),
        ..error_of("nas", "rsync", NIGHT.plus(-20_000), "rsync: connection unexpectedly closed", Reason::First)
    };
    let other_over = Notice { incident: Some(22), ..over(ResolvedBy::NewLog) };
    let notices =
        [message_of("battery 8 %"), other_over, lost(1, None), first("mysql"), other, system(SystemCode::AgentNote)];
    insta::assert_snapshot!(shown(&notices));
}

#[test]
fn what_waited_goes_as_a_digest_with_its_own_times() {
    let ago = |minutes: i64| NIGHT.plus(-minutes * MINUTE);
    let begin = |n: u64, task: &str, minutes| Notice {
        incident: Some(n),
        ..error_of("comsrv", task, ago(minutes), &format!("{task} cannot connect"), Reason::First)
    };
    let end = |n: u64, task: &str, minutes| Notice {
        incident: Some(n),
        at: ago(minutes),
        task: Some(task.into()),
        ..over(ResolvedBy::Cleared)
    };
    let notices = [begin(1, "mysql", 300), begin(2, "nginx", 240), end(1, "mysql", 200), begin(3, "rsync", 30)];
    insta::assert_snapshot!(shown(&notices));
}

#[test]
fn a_begin_and_its_end_that_both_wait_become_one() {
    let notices = [error_of("comsrv", "mysql", NIGHT.plus(-30_000), MYSQL, Reason::First), over(ResolvedBy::NewLog)];
    insta::assert_snapshot!(shown(&notices));
    let gone = [lost(2, None), back(2, 0)];
    let Composed { message, included, .. } = compose(&gone, &context(Language::En));
    assert_eq!((included.len(), message.title.as_str()), (2, "BACK 2 dev. 20m away"));
}

#[test]
fn an_incident_has_one_state_in_a_message_the_newest() {
    let ended = Notice { at: NIGHT.plus(-70 * MINUTE), ..over(ResolvedBy::NewLog) };
    let notices = [ended, first("mysql")];
    let Composed { message, included, shown } = compose(&notices, &context(Language::En));
    assert_eq!(message.title, "ERR comsrv/mysql");
    assert!(message.text.contains("It recovered at 02:01 and failed again at 03:11."), "{}", message.text);
    assert_eq!((included, shown), (vec![0, 1], vec![0, 1]));
    let text = compose(&notices, &context(Language::ZhCn)).message.text;
    assert!(text.contains("02:01 恢复，03:11 又出错。"), "{text}");
}

/// Every message of the English catalogue that counts something, with one of it.
#[test]
fn one_is_never_a_plural() {
    let en = include_str!("../../locales/en.ftl");
    let plurals = ["devices", "tasks", "errors", "events", "notices", "notifications", "days", "items", "messages"];
    // Never asked for with one: the code has another sentence, or a title that counts from two.
    let from_two = [
        "count-devices",
        "count-tasks",
        "count-signs",
        "devices-short",
        "merged",
        "merged-digest",
        "why-merged",
        "where-devices",
    ];
    let from_two = from_two.into_iter().chain([
        "where-tasks",
        "where-both",
        "lost-many",
        "lost-many-site",
        "lost-of",
        "back-part",
    ]);
    let from_two: BTreeSet<&str> =
        from_two.chain(["page-same-site", "report-telling-devices-lost", "report-over-site"]).collect();
    for key in keys(en).into_iter().filter(|key| !from_two.contains(key)) {
        let args =
            ["n", "used", "devices", "tasks", "sent", "good"].map(|name| (name, fluent_bundle::FluentValue::from(1)));
        let text = say().text(key, &args);
        for plural in plurals {
            assert!(
                !text.contains(&format!(" 1 {plural}")) && !text.starts_with(&format!("1 {plural}")),
                "{key}: {text}"
            );
        }
        assert!(!text.contains("1 more are") && !text.contains("The other 1"), "{key}: {text}");
    }
}

#[test]
fn log_text_never_breaks_the_layout() {
    let evil = "</pre><script>alert(1)</script>\n<copy data-clipboard-text=\"rm -rf /\">\u{1b}[31m&";
    let mut notice = error_of("a\"b", "<b>task</b>", NIGHT, evil, Reason::First);
    notice.address = Some("x\"><script>@h".into());
    for notices in [vec![notice.clone()], vec![notice, first("mysql")]] {
        let html = compose(&notices, &context(Language::En)).message.html;
        assert!(!html.contains("<script") && !html.contains("<b>task") && !html.contains("rm -rf /\""), "{html}");
        assert!(html.replace('\u{200b}', "").contains("&lt;script&gt;") && !html.contains('\u{1b}'), "{html}");
    }
}

/// `n` errors of 40 devices, each another one, in texts that grow when they are escaped.
fn many(n: u64) -> Vec<Notice> {
    let letters = |n: u64| n.to_string().chars().map(|c| char::from(b'g' + c as u8 - b'0')).collect::<String>();
    let notice = |n: u64| {
        let text = format!("{} {}", "<&>\n".repeat(250), letters(n));
        Notice {
            incident: Some(n),
            ..error_of(&format!("device{}", n % 40), &format!("task-{n}"), NIGHT, &text, Reason::First)
        }
    };
    (0..n).map(notice).collect()
}

#[test]
fn limits_are_kept_by_cutting_excerpts_and_then_by_sending_the_rest_next() {
    let (mut left, mut n_messages) = (many(390), 0);
    while !left.is_empty() {
        let Composed { message, included, .. } = compose(&left, &context(Language::ZhCn));
        assert!(message.html.chars().count() <= 40_000 && !message.html.is_empty());
        assert!(!included.is_empty());
        for place in &included {
            let task = left[*place].task.as_deref().unwrap();
            assert!(message.html.contains(&format!("{task} #")), "{place}");
        }
        assert_eq!(message.text.contains("见下一条消息"), included.len() < left.len());
        left = left.into_iter().enumerate().filter(|(place, _)| !included.contains(place)).map(|(_, n)| n).collect();
        n_messages += 1;
    }
    assert!((2..=3).contains(&n_messages), "{n_messages}");
}

#[test]
fn of_more_than_a_person_reads_the_rest_is_counted_and_said_where_to_find() {
    let notices = many(2_000);
    let Composed { message, included, .. } = compose(&notices, &context(Language::En));
    assert!(message.html.chars().count() <= 40_000 && !message.html.is_empty());
    assert_eq!(included.len(), notices.len(), "all of them are told, though most are only counted");
    assert!(message.text.contains("olog-hub incident list"), "{}", message.text);
    let n_named =
        notices.iter().filter(|n| message.text.contains(&format!("{} #", n.task.as_deref().unwrap()))).count();
    assert!(message.text.contains(&format!("{}", 2_000 - n_named)), "{n_named} are named, the others counted");
}

#[test]
fn a_tiny_limit_still_says_the_most_important() {
    let context = Context { limits: wxpusher_like(60, 30), ..context(Language::En) };
    let Composed { message, included, .. } = compose(&[first("mysql"), lost(1, None)], &context);
    assert_eq!(included, [0]);
    assert!(message.html.is_empty() && message.text.chars().count() <= 60 && message.summary.chars().count() <= 30);
}

#[test]
fn the_device_itself_says_so_and_names_no_number() {
    let notice = Notice { incident: None, ..first("mysql") };
    let context = Context { by_device: true, ..context(Language::En) };
    let text = compose(&[notice], &context).message.text;
    assert!(text.contains("Sent by the device itself") && !text.contains("olog-hub"), "{text}");
}

fn keys(text: &str) -> BTreeSet<&str> {
    let starts = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
    starts.filter_map(|line| line.split_once(" =")).map(|(key, _)| key).collect()
}

#[test]
fn every_key_is_in_both_languages_and_used() {
    let (zh, en) = (include_str!("../../locales/zh-CN.ftl"), include_str!("../../locales/en.ftl"));
    assert_eq!(keys(zh), keys(en));
    for text in [zh, en] {
        assert!(fluent_bundle::FluentResource::try_new(text.to_owned()).is_ok(), "a mistake in a catalogue");
    }
    let code = [
        include_str!("../words.rs"),
        include_str!("catalogue.rs"),
        include_str!("cut.rs"),
        include_str!("entry.rs"),
        include_str!("missed.rs"),
        include_str!("one.rs"),
        include_str!("rendered.rs"),
        include_str!("report.rs"),
        include_str!("several.rs"),
        // The page of a report asks for its words too.
        include_str!("../../../olog-hub/src/rules/report/page.rs"),
        include_str!("../../../olog-hub/src/rules/report/page/card.rs"),
        include_str!("../../../olog-hub/templates/report.html"),
    ]
    .concat();
    let mut used: BTreeSet<String> =
        CODES.iter().flat_map(|code| [one::system_key(*code), format!("{}-title", one::system_key(*code))]).collect();
    // Whatever looks like a key in quotes and is one.
    used.extend(code.split('"').filter(|piece| keys(en).contains(piece)).map(str::to_owned));
    let unused: Vec<_> = keys(en).into_iter().filter(|key| !used.contains(*key)).collect();
    assert_eq!(unused, Vec::<&str>::new(), "keys that no code asks for");
    // What looks like a key of the page and is none would be shown as it is.
    used.extend(code.split('"').filter(|piece| looks_like_key(piece)).map(str::to_owned));
    let missing: Vec<_> = used.iter().filter(|key| !keys(en).contains(key.as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new(), "keys that no catalogue has");
}

fn looks_like_key(piece: &str) -> bool {
    let rest = ["page-", "report-", "state-"].iter().find_map(|start| piece.strip_prefix(start));
    rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
}

#[test]
fn every_key_that_the_code_asks_for_exists() {
    // A key without a message is returned as it is: no text of any notice may look like one.
    let mut all =
        vec![first("mysql"), message_of("x"), lost(1, None), lost(3, None), back(2, 1), over(ResolvedBy::Quiet)];
    all.extend(CODES.map(system));
    for notice in all {
        for language in [Language::ZhCn, Language::En] {
            let message = compose(std::slice::from_ref(&notice), &context(language)).message;
            for word in message.text.split([' ', '\n', ':', ';']).chain([message.title.as_str()]) {
                assert!(
                    !keys(include_str!("../../locales/en.ftl")).contains(word) || word.find('-').is_none(),
                    "{word}"
                );
            }
            assert!(!message.text.contains("{$") && !message.text.contains("{ $"), "{}", message.text);
        }
    }
}

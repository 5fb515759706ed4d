//! The report's push: a good day, a bad day, whole without a link, and within a channel's limits whatever happened.

use super::*;
use crate::notice::{
    ClosedIncident, CompletedRun, ListedDevice, OpenProblem, ProblemKind, ReportFacts, Sent, StateCounts,
};

/// 2026-11-22 11:00 in Shanghai.
const ELEVEN: Timestamp = Timestamp(1_795_316_400_000);
const DAY: i64 = 24 * HOUR;

fn good() -> ReportFacts {
    let (from, to, made_at) = (ELEVEN.plus(-DAY), ELEVEN, ELEVEN.plus(3000));
    let done = ELEVEN.plus(-446 * MINUTE);
    ReportFacts {
        from,
        to,
        made_at,
        devices: StateCounts { ok: 15, ..StateCounts::default() },
        tasks: StateCounts { ok: 42, ..StateCounts::default() },
        proof: vec![CompletedRun {
            name: "backupsrv/rsync".into(),
            began_at: Some(done.plus(-4 * MINUTE)),
            ended_at: done,
        }],
        sent: Sent { accepted: 3, ..Sent::default() },
        link: Some("https://www.example.com/olog_html/olog-0123456789abcdef.html".into()),
        ..ReportFacts::default()
    }
}

fn bad() -> ReportFacts {
    let matter = |trouble, name: &str, since, incident| OpenProblem {
        trouble,
        name: name.into(),
        since: ELEVEN.plus(since),
        incident: Some(incident),
        n_seen: 1,
        n_devices: u64::from(trouble == ProblemKind::DeviceLost),
        ..OpenProblem::default()
    };
    let due_at = Some(ELEVEN.plus(-450 * MINUTE - DAY));
    let last_good_at = Some(ELEVEN.plus(-446 * MINUTE - 2 * DAY));
    let listed = |name: &str, is_lost, tasks| ListedDevice { name: name.into(), is_lost, tasks };
    ReportFacts {
        devices: StateCounts { ok: 12, err: 2, lost: 1 },
        tasks: StateCounts { ok: 40, err: 1, lost: 1 },
        now: vec![
            OpenProblem {
                due_at,
                last_good_at,
                ..matter(ProblemKind::TaskLost, "backupsrv/rsync", -450 * MINUTE - DAY, 15)
            },
            OpenProblem { text: MYSQL.into(), ..matter(ProblemKind::TaskErr, "comsrv/mysql", -9 * HOUR, 17) },
            matter(ProblemKind::DeviceLost, "respi", -6 * HOUR, 16),
        ],
        n_now: 3,
        over: vec![ClosedIncident {
            trouble: ProblemKind::DeviceLost,
            n_devices: 8,
            same_site: true,
            began_at: ELEVEN.plus(-9 * HOUR),
            ended_at: ELEVEN.plus(-9 * HOUR + 20 * MINUTE),
            incident: 14,
            ..ClosedIncident::default()
        }],
        n_over: 5,
        new: vec!["web".into()],
        n_new: 1,
        n_gone: 1,
        gone: vec!["nas/old".into()],
        listed: vec![
            listed("respi", true, StateCounts { ok: 2, ..StateCounts::default() }),
            listed("backupsrv", false, StateCounts { ok: 1, lost: 1, err: 0 }),
            listed("comsrv", false, StateCounts { ok: 1, err: 1, lost: 0 }),
            listed("alisrv", false, StateCounts { ok: 3, ..StateCounts::default() }),
        ],
        sent: Sent { accepted: 11, refused: 1, waiting: 2, failing: vec!["ops".into()] },
        proof: Vec::new(),
        ..good()
    }
}

fn told(facts: ReportFacts) -> Notice {
    Notice {
        kind: Kind::Report,
        incident: None,
        device: None,
        address: None,
        task: None,
        at: facts.made_at,
        silence: None,
        content: Content::Report(Box::new(facts)),
    }
}

fn at_eleven(language: Language) -> Context<'static> {
    Context { now: ELEVEN.plus(4000), ..context(language) }
}

fn shown(facts: &ReportFacts) -> String {
    let one = |language| {
        let message = compose(&[told(facts.clone())], &at_eleven(language)).message;
        assert!(message.title.chars().count() <= 20, "{}", message.title);
        format!("{}\n{}", message.summary, message.text)
    };
    format!("{}\n\n{}", one(Language::ZhCn), one(Language::En))
}

#[test]
fn a_good_day() {
    insta::assert_snapshot!(shown(&good()));
}

#[test]
fn a_bad_day() {
    insta::assert_snapshot!(shown(&bad()));
}

#[test]
fn a_bad_day_without_a_link_is_told_whole() {
    insta::assert_snapshot!(shown(&ReportFacts { link: None, ..bad() }));
}

#[test]
fn a_report_goes_by_itself_and_only_the_latest_goes() {
    let older = told(ReportFacts { n_over: 99, ..good() });
    let notices = [older, first("mysql"), told(bad())];
    let composed = compose(&notices, &at_eleven(Language::En));
    assert_eq!((composed.included, composed.message.title.as_str()), (vec![1], "ERR comsrv/mysql"));
    let notices = [notices[0].clone(), notices[2].clone()];
    let composed = compose(&notices, &at_eleven(Language::En));
    assert_eq!((composed.included, composed.message.title.as_str()), (vec![0, 1], "REPORT 2 ERR 1 LOST"));
}

#[test]
fn a_report_of_a_large_and_talkative_fleet_keeps_the_limits() {
    let evil = "<script>alert('&')</script>\n\u{202e}".repeat(60);
    let mut facts = ReportFacts { link: None, ..bad() };
    facts.now = (0..100)
        .map(|i| OpenProblem { name: format!("{evil}{i}"), text: evil.clone(), ..facts.now[1].clone() })
        .collect();
    facts.over = vec![ClosedIncident { name: evil.clone(), n_devices: 0, ..facts.over[0].clone() }; 100];
    facts.listed = vec![ListedDevice { name: evil.clone(), ..facts.listed[0].clone() }; 500];
    (facts.new, facts.n_now, facts.n_new) = (vec![evil; 60], 500, 200_000);
    facts.devices = StateCounts { ok: 9_000, err: 900, lost: 100 };
    for language in [Language::ZhCn, Language::En] {
        let message = compose(&[told(facts.clone())], &at_eleven(language)).message;
        assert!(message.html.chars().count() <= 40_000 && !message.html.is_empty(), "{}", message.html.len());
        assert!(message.summary.chars().count() <= 100 && message.title.chars().count() <= 20);
        assert!(!message.html.contains("<script"));
    }
}

#[test]
fn what_comes_and_goes_is_to_do_and_a_reopened_incident_is_as_old_as_its_last_beginning() {
    let begun = Some(crate::Reopened { n_begun: 4, first_at: ELEVEN.plus(-5 * HOUR) });
    let matter = |recovered_at| OpenProblem {
        trouble: ProblemKind::TaskErr,
        name: "nas/smartd".into(),
        since: ELEVEN.plus(-30 * MINUTE),
        incident: Some(1),
        begun,
        recovered_at,
        ..OpenProblem::default()
    };
    let facts = |recovered_at| ReportFacts {
        devices: StateCounts { err: 1, ..StateCounts::default() },
        now: vec![matter(recovered_at)],
        n_now: 1,
        link: None,
        ..good()
    };
    let flaps = shown(&facts(Some(ELEVEN.plus(-10 * MINUTE))));
    for words in
        ["日报 异常1 — nas/smartd 时好时坏，已出错 4 次", "时好时坏，第 4 次，首次 06:00，10:50 恢复", "comes and goes"]
    {
        assert!(flaps.contains(words), "{words}: {flaps}");
    }
    let open = shown(&facts(None));
    assert!(open.contains("异常已持续 30 分钟") && open.contains("30 分钟，第 4 次，首次 06:00"), "{open}");
}

#[test]
fn a_storm_that_is_over_is_a_few_lines_of_the_report() {
    let ended = |n: u64, task: &str| ClosedIncident {
        trouble: ProblemKind::TaskErr,
        name: format!("srv{n:02}/{task}"),
        began_at: ELEVEN.plus(-8 * HOUR),
        ended_at: ELEVEN.plus(-7 * HOUR),
        ground: Some(ResolvedBy::Cleared),
        incident: n + if task == "mount" { 0 } else { 100 },
        ..ClosedIncident::default()
    };
    let over: Vec<_> = (1..=40).map(|n| ended(n, "mount")).chain((1..=12).map(|n| ended(n, "backup"))).collect();
    let devices: Vec<String> = (1..=40).map(|n| format!("srv{n:02}")).collect();
    let new: Vec<String> = devices.iter().flat_map(|device| [device.clone(), format!("{device}/mount")]).collect();
    let facts = ReportFacts {
        devices: StateCounts { ok: 40, ..StateCounts::default() },
        n_over: over.len() as u64,
        over,
        n_new: new.len() as u64,
        new,
        listed: devices.into_iter().map(|name| ListedDevice { name, ..ListedDevice::default() }).collect(),
        link: None,
        ..good()
    };
    let message = compose(&[told(facts)], &at_eleven(Language::ZhCn)).message;
    assert!(message.text.contains("异常 40台/mount #1-40 错误文件已清空。"), "{}", message.text);
    assert!(message.text.contains("异常 12台/backup #101-112"), "{}", message.text);
    assert!(message.text.contains("srv01（mount）、srv02（mount）"), "{}", message.text);
    assert!(message.text.contains("正常 40 台：srv01、"), "{}", message.text);
    assert!(message.text.lines().count() < 20, "{}", message.text);
}

#[test]
fn a_report_of_a_day_on_which_the_clock_changes_says_how_long_its_window_was() {
    let at = |text: &str| Timestamp(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis());
    for (from, to, english) in [
        ("2026-03-28T11:00:00+01:00", "2026-03-29T11:00:00+02:00", "23 h up to 29 Mar 11:00"),
        ("2026-10-24T11:00:00+02:00", "2026-10-25T11:00:00+01:00", "1 day 1 h up to 25 Oct 11:00"),
        ("2026-10-25T11:00:00+01:00", "2026-10-26T11:00:00+01:00", "24 h up to 26 Oct 11:00"),
    ] {
        let facts = ReportFacts { from: at(from), to: at(to), made_at: at(to), ..good() };
        let context = Context { now: at(to), timezone: chrono_tz::Europe::Berlin, ..context(Language::En) };
        let text = compose(&[told(facts)], &context).message.text;
        assert!(text.contains(english), "{english}: {text}");
    }
}

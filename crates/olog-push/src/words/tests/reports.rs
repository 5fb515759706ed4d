//! The report's push: a good day, a bad day, whole without a link, and within a channel's limits whatever happened.

use super::*;
use crate::notice::{
    ClosedIncident, CompletedRun, ListedDevice, OpenProblem, ProblemKind, ReportFacts, Sent, StateCounts,
};

/// 2026-11-22 11:00 in Shanghai.
const ELEVEN: At = At(1_795_316_400_000);
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

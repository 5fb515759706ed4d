use olog_proto::Timestamp;
use olog_push::words::Language;

use super::*;

fn job(reports: Option<Reports>) -> Job {
    let when = JobSchedule::Calendar { schedule: "5 4 * * *".into(), zone: "UTC".into() };
    Job {
        kind: Kind::Cron,
        task: "dump".into(),
        source: "/etc/crontab".into(),
        line: Some(3),
        user: Some("root".into()),
        schedule: "5 4 * * *".into(),
        next: None,
        when: Some(when),
        no_schedule: None,
        slack: 0,
        tells_good_runs: true,
        command: "/opt/dump".into(),
        reports,
        suggestion: None,
    }
}

#[test]
fn only_what_is_sure_is_proposed_and_every_other_job_is_named_with_its_reason() {
    let exec = Some(Reports::Exec);
    let of = |task: &str, reports| Job { task: task.into(), ..job(reports) };
    let without = |task: &str, why| Job { when: None, no_schedule: Some(why), ..of(task, exec) };
    let found = JobList {
        jobs: vec![
            of("dump", exec),
            of("silent", None),
            of("by-file", Some(Reports::LogDir)),
            without("boot", NoSchedule::Once),
            without("weekday-and-day", NoSchedule::Calendar),
            Job { tells_good_runs: false, ..of("a.service", Some(Reports::Units)) },
            Job { kind: Kind::Timer, slack: 61_000, ..of("b.service", Some(Reports::Units)) },
            of("$JOB", exec),
            of("dump", exec),
        ],
        problems: Vec::new(),
    };
    let sorted = sort(&found, Some(Duration::from_secs(60)));
    let proposed: Vec<_> = sorted.proposed.iter().map(|(_, job)| (job.task.as_str(), job.slack, job.grace)).collect();
    assert_eq!(proposed, [("dump", 0, Some(60_000)), ("b.service", 61_000, Some(60_000))]);
    let others: Vec<_> = sorted.others.iter().map(|(job, reason)| (job.task.as_str(), *reason)).collect();
    assert_eq!(
        others,
        [
            ("silent", "agent-job-silent"),
            ("by-file", "agent-declare-file-names"),
            ("boot", "agent-declare-once"),
            ("weekday-and-day", "agent-declare-calendar"),
            ("a.service", "agent-declare-only-failures"),
            ("$JOB", "agent-declare-no-name"),
            ("dump", "agent-declare-twice"),
        ]
    );
    assert_eq!(sort(&found, None).proposed[0].1.grace, None);
}

#[test]
fn every_answer_of_the_hub_is_a_sentence_in_both_languages() {
    use JobOutcome::{Declared, Invalid, Known, Limit, Proposed, Refused, Unknown};
    let proposed =
        sort(&JobList { jobs: vec![job(Some(Reports::Exec))], problems: Vec::new() }, None).proposed[0].1.clone();
    for language in [Language::En, Language::ZhCn] {
        let say = Localizer { language, timezone: chrono_tz::UTC, now: Timestamp(0) };
        for outcome in [Proposed, Known, Declared, Refused, Limit, Invalid, Unknown] {
            let answer = JobAnswer { task: proposed.task.clone(), outcome, detail: "because".into() };
            let shown = show_answer(&say, &job(Some(Reports::Exec)), &proposed, "web 1", &answer);
            assert!(!shown.contains("agent-prop") && shown.contains("04:05"), "{shown}");
            let has_command = shown.contains("olog-hub task expect 'web 1' dump on");
            assert_eq!(has_command, matches!(outcome, Proposed | Refused), "{shown}");
        }
        for why in [
            "agent-not-proposed-connected",
            "agent-not-proposed-old",
            "agent-not-proposed-answer",
            "agent-propose-none",
            "agent-propose-others",
            "agent-declare-once",
            "agent-declare-several",
            "agent-declare-calendar",
            "agent-declare-anacron",
            "agent-declare-zone-unknown",
            "agent-declare-only-failures",
        ] {
            assert_ne!(say.word(why), why);
        }
    }
}

#[test]
fn a_declaration_has_the_crontab_jobs_that_report_by_exec_and_names_why_the_others_are_not_in_it() {
    let of = |task: &str, schedule: &str, kind, reports| Job {
        task: task.into(),
        schedule: schedule.into(),
        kind,
        ..job(reports)
    };
    let exec = Some(Reports::Exec);
    let found = JobList {
        jobs: vec![
            of("dump", "5 4 * * *", Kind::Cron, exec),
            of("silent", "5 4 * * *", Kind::Cron, None),
            of("by-file", "5 4 * * *", Kind::Cron, Some(Reports::LogDir)),
            of("boot", "@reboot", Kind::Cron, exec),
            of("script", "@daily", Kind::Script, exec),
            of("a.service", "OnCalendar=daily", Kind::Timer, Some(Reports::Units)),
            of("$JOB", "5 4 * * *", Kind::Cron, exec),
            of("dump", "5 16 * * *", Kind::Cron, exec),
            of("sync", "@hourly", Kind::Cron, exec),
        ],
        problems: Vec::new(),
    };
    let shown = |language, found| {
        let say = Localizer { language, timezone: chrono_tz::UTC, now: olog_proto::Timestamp(0) };
        show_section(&say, found)
    };
    let english = shown(Language::En, &found);
    let read: toml::Table = english.parse().unwrap();
    let expected: toml::Table = r#"
        [[device]]
        name = "DEVICE"
        tasks = [{ name = "dump", schedule = "5 4 * * *" }, { name = "sync", schedule = "@hourly" }]
    "#
    .parse()
    .unwrap();
    assert_eq!(read, expected, "{english}");
    for left_out in ["silent", "by-file", "boot", "script", "a.service", "$JOB", "dump"] {
        assert!(english.contains(&format!("\n# {left_out}  /etc/crontab:3: ")), "{left_out}: {english}");
    }
    let chinese = shown(Language::ZhCn, &found);
    assert_eq!(chinese.parse::<toml::Table>().unwrap(), expected, "{chinese}");
    for text in [english, chinese, shown(Language::En, &JobList::default())] {
        assert!(!text.contains("agent-"), "{text}");
    }
}

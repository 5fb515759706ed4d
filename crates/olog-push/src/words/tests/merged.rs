//! Several notices in one message: each error in its own words, counts and times that are true.

use super::*;

#[test]
fn errors_that_share_a_first_line_are_each_shown_in_their_own_words() {
    let locale = "bash: warning: setlocale: LC_ALL: cannot change locale (en_US.UTF-8)";
    let of = |n: u64, device: &str, task: &str, last: &str| Notice {
        incident: Some(n),
        ..error_of(device, task, NIGHT, &format!("{locale}\n{last}\n"), Reason::First)
    };
    let denied = of(1, "comsrv", "dump", "mysqldump: Access denied for user backup");
    let full = of(2, "comsrv", "sync", "rsync: No space left on device");
    let elsewhere = of(3, "nas", "dump", "mysqldump: Access denied for user backup");
    let Composed { message, included, shown } =
        compose(&[denied.clone(), full.clone(), elsewhere.clone()], &context(Language::En));
    for body in [&message.text, &message.html, &message.markdown] {
        assert!(body.contains("No space left") && body.contains("Access denied"), "{body}");
    }
    assert_eq!(message.text.matches("Access denied").count(), 1, "the same error of two devices is one block");
    assert_eq!((included, shown), (vec![0, 1, 2], vec![0, 1, 2]));
    // Rows of an older store do not say all fingerprints: then only the same text is the same error.
    let older = [denied, full, elsewhere].map(|mut notice| {
        if let Content::Error { facts, .. } = &mut notice.content {
            facts.fingerprints.clear();
        }
        notice
    });
    let text = compose(&older, &context(Language::En)).message.text;
    assert!(text.contains("No space left") && text.matches("Access denied").count() == 1, "{text}");
}

#[test]
fn a_recovery_shows_every_error_that_was_still_waiting() {
    let notices = [
        error_of("comsrv", "mysql", NIGHT.plus(-60_000), "table users is broken", Reason::First),
        error_of("comsrv", "mysql", NIGHT.plus(-30_000), "no space left on device", Reason::NewFingerprint),
        over(ResolvedBy::NewLog),
    ];
    let message = compose(&notices, &context(Language::En)).message;
    assert_eq!(message.title, "OVER comsrv/mysql");
    assert!(message.text.contains("users is broken") && message.text.contains("no space left"), "{}", message.text);
}

#[test]
fn what_is_only_counted_is_included_and_not_shown() {
    let Composed { message, included, shown } = compose(&many(2_000), &context(Language::En));
    assert_eq!(included.len(), 2_000);
    assert!(!shown.is_empty() && shown.len() < 500, "{}", shown.len());
    assert!(message.text.contains("only counted here"), "{}", message.text);
}

#[test]
fn counts_of_merged_recoveries_are_each_ones_or_the_sum() {
    let end = |n: u64, n_seen: u64| {
        let mut notice = Notice { incident: Some(n), device: Some(format!("srv{n}")), ..over(ResolvedBy::NewLog) };
        if let Content::Over { n_seen: seen, .. } = &mut notice.content {
            *seen = n_seen;
        }
        notice
    };
    let text = |notices: &[Notice], language| compose(notices, &context(language)).message.text;
    let alike: Vec<Notice> = (0..12).map(|n| end(n, 6)).collect();
    assert!(text(&alike, Language::ZhCn).contains("各 6 次错误"), "{}", text(&alike, Language::ZhCn));
    assert!(text(&alike, Language::En).contains("6 errors each."));
    let odd: Vec<Notice> = (0..12).map(|n| end(n, n + 1)).collect();
    assert!(text(&odd, Language::ZhCn).contains("合计 78 次错误"), "{}", text(&odd, Language::ZhCn));
    assert!(text(&odd, Language::En).contains("78 errors in total."));
}

#[test]
fn a_range_that_crosses_midnight_shows_both_dates() {
    let say = say();
    assert_eq!(say.range(NIGHT.plus(-24 * HOUR), NIGHT.plus(MINUTE)), "21 Nov 03:11–22 Nov 03:12");
    assert_eq!(say.range(NIGHT, NIGHT.plus(MINUTE)), "03:11–03:12");
    assert_eq!(say.range(NIGHT, NIGHT.plus(1_000)), "03:11");
}

#[test]
fn a_reopened_incident_says_which_time_it_is_and_a_run_how_it_ended() {
    let mut notice = error_of("comsrv", "mysql", NIGHT, "exit status 3", Reason::Reopened);
    if let Content::Error { facts, .. } = &mut notice.content {
        facts.reopened = Some(crate::Reopened { n_begun: 2, first_at: NIGHT.plus(-HOUR) });
        facts.run = Some(crate::FailedRun { exit: Some(3), signal: None, duration: 7 * MINUTE });
    }
    let text = |language| compose(std::slice::from_ref(&notice), &context(language)).message.text;
    assert!(text(Language::ZhCn).contains("第 2 次，首次 02:11。"), "{}", text(Language::ZhCn));
    assert!(text(Language::ZhCn).contains("退出码 3，运行 7 分钟。"));
    assert!(text(Language::En).contains("Exit code 3 after 7 min."), "{}", text(Language::En));
}

#[test]
fn how_long_devices_were_offline_ends_with_their_own_return() {
    let mut notice = back(2, 1);
    notice.at = NIGHT.plus(5 * MINUTE);
    if let Content::DevicesBack { returned, .. } = &mut notice.content {
        *returned = Some((NIGHT, NIGHT.plus(90_000)));
    }
    let message = compose(std::slice::from_ref(&notice), &context(Language::ZhCn)).message;
    assert!(message.text.contains("离线 20 分钟到 21 分钟"), "{}", message.text);
    assert_eq!(message.title, "上线 2/3台 断21分钟");
    assert!(message.summary.ends_with("web3 仍失联"), "{}", message.summary);
}

#[test]
fn the_names_of_devices_are_a_paragraph_of_their_own() {
    let html = compose(&[lost(3, Some("203.0.113.7"))], &context(Language::ZhCn)).message.html;
    assert!(html.contains("<p>web1、web2、web3</p>"), "{html}");
}

#[test]
fn a_name_that_is_a_pattern_or_an_option_is_offered_as_itself() {
    let command = |task: &str| {
        let text =
            compose(&[error_of("nas", task, NIGHT, "x failed", Reason::First)], &context(Language::En)).message.text;
        text.lines().find(|line| line.contains("silence add")).unwrap().to_owned()
    };
    assert!(command("*").ends_with(r"--device nas --task '\*' --for 2h"), "{}", command("*"));
    assert!(command("-rf").ends_with("--task=-rf --for 2h"), "{}", command("-rf"));
}

#[test]
fn known_numbers_are_filled_in() {
    let text = compose(&sixty(), &context(Language::En)).message.text;
    assert!(text.contains("olog-hub incident ack 100-159"), "{text}");
}

#[test]
fn errors_of_one_incident_are_one_block_with_the_newest_last_and_in_the_title() {
    let flapping = error_of("nas", "smartd", NIGHT, "8 unreadable sectors", Reason::ComesAndGoes { n_times: 8 });
    let worse = error_of("nas", "smartd", NIGHT.plus(60_000), "BACK UP DATA NOW!", Reason::NewFingerprint);
    let other = Notice { incident: Some(18), ..error_of("nas", "kernel", NIGHT, "I/O error", Reason::First) };
    for notices in [vec![flapping.clone(), worse.clone()], vec![flapping, worse, other]] {
        let message = compose(&notices, &context(Language::En)).message;
        let text = &message.text;
        assert_eq!(text.matches("ERR nas/smartd #17").count(), 1, "{text}");
        assert_eq!(text.matches("Open since").count(), 1, "one state of one incident: {text}");
        let (old, new) = (text.find("8 unreadable").unwrap(), text.find("BACK UP").unwrap());
        assert!(old < new && text.contains("2 different errors, the newest last"), "{text}");
        if notices.len() == 2 {
            assert_eq!(message.summary, "ERR nas/smartd — BACK UP DATA NOW!");
        } else {
            assert_eq!(message.title, "ERR nas/2 tasks", "two incidents, not three errors");
        }
    }
}

#[test]
fn a_preamble_that_a_whole_fleet_shares_hides_no_error() {
    let preamble = "bash: warning: setlocale: LC_ALL: cannot change locale (en_US.UTF-8)";
    let fault = ["disk", "fan", "link", "clock", "mount", "raid", "swap", "dns", "mail", "cron"];
    let of = |n: usize| {
        let text = format!("{preamble}\n{} of the {} is broken\n", fault[n % 10], fault[n / 10]);
        Notice { incident: Some(n as u64 + 1), ..error_of(&format!("d{n:02}"), "job", NIGHT, &text, Reason::First) }
    };
    let notices: Vec<Notice> = (0..40).map(of).collect();
    let Composed { message, included, shown } = compose(&notices, &context(Language::En));
    for place in &shown {
        let own = format!("{} of the {} is broken", fault[place % 10], fault[place / 10]);
        assert!(message.text.contains(&own), "{own}: {}", message.text);
    }
    assert_eq!(shown.len(), 40);
    assert_eq!(included, shown);
}

#[test]
fn two_hundred_tasks_that_share_a_first_line_are_told_in_their_own_words_or_not_as_told() {
    let of = |n: usize| {
        let name: String = n.to_string().chars().map(|c| char::from(b'a' + (c as u8 - b'0'))).collect();
        let text = format!("Traceback (most recent call last):\nValueError: no {name}\n");
        Notice { incident: Some(n as u64 + 1), ..error_of("comsrv", &format!("t{n}"), NIGHT, &text, Reason::First) }
    };
    let notices: Vec<Notice> = (0..200).map(of).collect();
    let Composed { message, shown, .. } = compose(&notices, &context(Language::En));
    assert!(!shown.is_empty());
    for place in shown {
        let name: String = place.to_string().chars().map(|c| char::from(b'a' + (c as u8 - b'0'))).collect();
        assert!(message.text.contains(&format!("ValueError: no {name}")), "{place}: {}", message.text);
    }
}

#[test]
fn what_waited_for_the_budget_is_said_of_this_message_or_of_a_part_of_it() {
    let budget = |n_waited| {
        let budget = Some(BudgetUse { channel: "me".into(), n_waited, used: 3, per_day: 10 });
        Context { budget, ..context(Language::En) }
    };
    let one = [first("mysql")];
    assert!(compose(&one, &budget(1)).message.text.contains("This message waited for the message budget"));
    let two = [first("mysql"), Notice { incident: Some(18), ..first("nginx") }];
    let text = compose(&two, &budget(1)).message.text;
    assert!(text.contains("1 of these notices waited for the message budget"), "{text}");
}

#[test]
fn runs_that_were_missed_while_devices_were_away_are_named_with_their_return() {
    let run = |task: &str, minutes: i64| crate::MissedRun {
        device: "web1".into(),
        task: task.into(),
        due_at: NIGHT.plus(-minutes * MINUTE),
        late_at: NIGHT.plus(20 * MINUTE),
    };
    let told = |n: usize, runs: Vec<crate::MissedRun>, all: u64, language| {
        let mut notice = back(n, 0);
        if let Content::DevicesBack { missed, n_missed, .. } = &mut notice.content {
            (*missed, *n_missed) = (runs, all);
        }
        compose(&[notice], &context(language)).message
    };
    let one = told(1, vec![run("rsync", 10)], 1, Language::ZhCn);
    assert!(one.summary.contains("漏跑 web1/rsync（"), "{}", one.summary);
    assert!(one.text.contains("期间漏跑：web1/rsync（") && one.text.contains("前仍不补跑，即告警。"), "{}", one.text);
    let many = told(8, vec![run("rsync", 10), run("dump", 9), run("snap", 8)], 12, Language::En);
    assert!(many.text.contains("web1/snap (") && many.text.contains(", 9 more."), "{}", many.text);
    let names = many.text.lines().find(|line| line.contains("web8")).unwrap();
    assert!(!names.contains("Missed"), "the list of names is a paragraph of its own: {names}");
    assert!(!told(8, Vec::new(), 0, Language::En).text.contains("Missed"));
}

//! Wording for missed tasks, late runs, overlong runs and learnt schedules.

use olog_proto::job::JobSchedule;

use super::catalogue::Localizer;
use super::cut;
use super::entry::MessageItem;
use super::page::{Page, Part};
use super::rendered::{RenderedItem, event_times, subject, title};
use crate::{Cadence, Content, Expected, MissedRun, Notice, Recovery};

pub(super) fn lost<'a>(say: &Localizer, entry: &MessageItem<'a>) -> RenderedItem<'a> {
    let notice = entry.notice;
    let Content::TaskLost { due_at, last_run_at, expected, n_missed, is_reminder, device_offline } = &notice.content
    else {
        return RenderedItem::default();
    };
    let due = ("due", say.time(*due_at).into());
    let span = ("span", say.duration(say.now.since(*due_at)).into());
    let how = ("how", if *is_reminder { "still" } else { "first" }.into());
    let what = say.text("task-lost", &[how, ("subject", subject(say, notice).into()), due.clone(), span]);
    let offline = device_offline.map_or_else(String::new, |(from, to)| {
        say.text("task-device-offline", &[("from", say.time(from).into()), ("to", say.time(to).into())])
    });
    let last = last_run_at.map_or_else(
        || say.word("task-never-seen"),
        |at| {
            let span = say.duration(say.now.since(at));
            say.text("task-last-seen", &[("time", say.time(at).into()), ("span", span.into())])
        },
    );
    let missed = if *n_missed > 1 { say.text("task-missed", &[("n", (*n_missed).into())]) } else { String::new() };
    RenderedItem {
        title: title(say, entry, notice.device.as_deref(), notice.task.as_deref()),
        telling: say.text("task-lost-summary", &[due]),
        sentence: say.sentences([what, offline, missed, last]),
        why: match expected {
            Expected::Schedule { text } => say.text("why-task-schedule", &[("schedule", schedule(say, text).into())]),
            Expected::Read { when } => say.text("why-task-read", &[("schedule", job_schedule(say, when).into())]),
            Expected::EachReport => say.word("why-task-report"),
            Expected::Learnt { cadence } => say.text("why-task-learnt", &[("cadence", habit(say, cadence).into())]),
        },
        facts: vec![event_times(say, notice, &say.time_exact(say.now))],
        ..RenderedItem::default()
    }
}

/// Runs that were missed while their devices were offline: a sentence, and what goes on after the title.
pub(super) fn runs_missed(say: &Localizer, runs: &[MissedRun], n_missed: u64) -> Option<(String, String)> {
    let first = runs.first()?;
    let name = |run: &MissedRun| {
        let name = format!("{}/{}", run.device, run.task);
        say.text("back-missed-run", &[("name", name.into()), ("due", say.time(run.due_at).into())])
    };
    let mut names: Vec<String> = runs.iter().map(name).collect();
    let n_more = n_missed.saturating_sub(names.len() as u64);
    if n_more > 0 {
        names.push(say.text("back-missed-more", &[("n", n_more.into())]));
    }
    let args = [
        ("runs", say.list(&names).into()),
        ("late", say.time(first.late_at).into()),
        ("how", if n_missed > 1 { "several" } else { "one" }.into()),
    ];
    let short = [("run", name(first).into()), ("n", n_missed.saturating_sub(1).into()), ("all", n_missed.into())];
    Some((say.text("back-missed", &args), say.text("back-missed-summary", &short)))
}

pub(super) fn recovery<'a>(say: &Localizer, entry: &MessageItem<'a>) -> RenderedItem<'a> {
    let notice = entry.notice;
    let Content::TaskCame { due_at, recovery, n_missed, acknowledged_at } = &notice.content else {
        return RenderedItem::default();
    };
    let name = ("subject", subject(say, notice).into());
    let (first, telling) = match recovery {
        Recovery::Ran { at, failed } => {
            let late = at.since(*due_at);
            let when = match (failed, late) {
                (true, _) => "failed",
                (false, 1..) => "late",
                (false, _) => "in-time",
            };
            let args = [
                ("how", when.into()),
                name,
                ("time", say.time(*at).into()),
                ("due", say.time(*due_at).into()),
                ("span", say.duration(late).into()),
            ];
            (say.text("task-came", &args), say.text("task-came-summary", &[("time", say.time(*at).into())]))
        }
        Recovery::Unexpected => (say.text("task-unexpected", &[name]), say.word("task-unexpected-summary")),
        Recovery::Closed => {
            let ground = say.word("ground-closed");
            (say.text("ground", &[("ground", ground.clone().into())]), ground)
        }
    };
    let missed = if *n_missed > 1 { say.text("task-missed", &[("n", (*n_missed).into())]) } else { String::new() };
    let seen =
        acknowledged_at.map_or_else(String::new, |at| say.text("over-acknowledged", &[("time", say.time(at).into())]));
    let untold = if entry.has_start() { say.word("over-untold-lost") } else { String::new() };
    RenderedItem {
        title: title(say, entry, notice.device.as_deref(), notice.task.as_deref()),
        telling,
        sentence: say.sentences([first, missed, seen, untold]),
        why: say.word(if entry.has_start() { "why-over-both" } else { "why-came" }),
        facts: vec![event_times(say, notice, &say.time_exact(say.now))],
        ..RenderedItem::default()
    }
}

/// A run without an end.
pub(super) fn runs<'a>(say: &Localizer, entry: &MessageItem<'a>) -> RenderedItem<'a> {
    let notice = entry.notice;
    let Content::TaskRuns { since, usual } = &notice.content else { return RenderedItem::default() };
    let span = say.duration(say.now.since(*since));
    let usual = usual.map(|usual| say.duration(usual));
    let how = ("how", if usual.is_some() { "known" } else { "unknown" }.into());
    let args = [
        how,
        ("subject", subject(say, notice).into()),
        ("time", say.time(*since).into()),
        ("span", span.into()),
        ("usual", usual.unwrap_or_default().into()),
    ];
    RenderedItem {
        title: title(say, entry, notice.device.as_deref(), notice.task.as_deref()),
        telling: say.text("task-runs-summary", &args),
        sentence: say.text("task-runs", &args),
        why: say.word("why-task-runs"),
        facts: vec![event_times(say, notice, &say.time_exact(say.now))],
        ..RenderedItem::default()
    }
}

/// A schedule of hub.toml in words, with the line itself; the line alone where no words are known for it.
fn schedule(say: &Localizer, line: &str) -> String {
    let shown = cut::end(line, 100);
    let number = |text: &str, max: u32| text.parse::<u32>().ok().filter(|n| *n <= max);
    let fields: Vec<&str> = line.split_whitespace().collect();
    let known = match fields.as_slice() {
        ["@daily" | "@midnight"] => Some(Cadence::Daily { minute: 0, jitter: 0 }),
        [minute, hour, "*", "*", days] => number(minute, 59).zip(number(hour, 23)).and_then(|(minute, hour)| {
            let minute = hour * 60 + minute;
            match (*days, number(days, 7)) {
                ("*", _) => Some(Cadence::Daily { minute, jitter: 0 }),
                // crontab(5): 0 and 7 are Sunday; here 0 is Monday.
                (_, Some(day)) => Some(Cadence::Weekly { slots: vec![((day + 6) % 7, minute)], jitter: 0 }),
                _ => None,
            }
        }),
        _ => None,
    };
    match known {
        Some(known) => say.text("schedule-words", &[("words", habit(say, &known).into()), ("line", shown.into())]),
        None => shown,
    }
}

/// A schedule of a machine in words. Its time zone is named if it is not the reader's.
pub(super) fn job_schedule(say: &Localizer, when: &JobSchedule) -> String {
    match when {
        JobSchedule::Every { period } => {
            habit(say, &Cadence::Every { period: i64::try_from(*period).unwrap_or(i64::MAX) })
        }
        JobSchedule::Calendar { schedule: line, zone } if zone == say.timezone.name() => schedule(say, line),
        JobSchedule::Calendar { schedule: line, zone } => {
            say.text("schedule-zone", &[("words", schedule(say, line).into()), ("zone", cut::end(zone, 60).into())])
        }
    }
}

/// A habit in words: `daily 02:10 ± 4 min`.
pub(super) fn habit(say: &Localizer, cadence: &Cadence) -> String {
    let minute = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
    let about = |when: String, jitter: u32| match jitter {
        0 => when,
        jitter => format!("{when} ± {}", say.duration(i64::from(jitter) * 60_000)),
    };
    match cadence {
        Cadence::Every { period } => say.text("cadence-every", &[("span", say.duration(*period).into())]),
        Cadence::Daily { minute: at, jitter } => {
            say.text("cadence-daily", &[("when", about(minute(*at), *jitter).into())])
        }
        Cadence::Weekly { slots, jitter } => {
            let day = |day: u32| say.text("weekday", &[("n", day.into())]);
            let first = slots.first().map_or(0, |(_, minute)| *minute);
            if slots.iter().all(|(_, minute)| minute.abs_diff(first) <= *jitter) {
                let days: Vec<String> = slots.iter().map(|(weekday, _)| day(*weekday)).collect();
                return format!("{} {}", say.list(&days), about(minute(first), *jitter));
            }
            let slots: Vec<String> =
                slots.iter().map(|(weekday, at)| format!("{} {}", day(*weekday), minute(*at))).collect();
            about(say.list(&slots), *jitter)
        }
    }
}

/// A habit, what shows it, and how to refuse it.
pub(super) fn proposal(
    say: &Localizer,
    cadence: &Cadence,
    (n_runs, span): (u64, i64),
    (device, task): (&str, &str),
) -> String {
    let args = [
        ("cadence", habit(say, cadence).into()),
        ("n", n_runs.into()),
        ("span", say.duration(span).into()),
        ("command", off(device, task).into()),
    ];
    say.text("proposal", &args)
}

/// A schedule that was read on the machine, and how to accept or refuse it.
pub(super) fn read_proposal(say: &Localizer, when: &JobSchedule, (device, task): (&str, &str)) -> String {
    let args = [("schedule", job_schedule(say, when).into()), ("command", off(device, task).into())];
    say.text("proposal-read", &args)
}

fn off(device: &str, task: &str) -> String {
    // What begins with `-` would be an option.
    let ends_options = if device.starts_with('-') || task.starts_with('-') { "-- " } else { "" };
    format!("olog-hub task expect {ends_options}{} {} off", cut::shell_word(device), cut::shell_word(task))
}

/// What to do if it need not come any more.
pub(super) fn stop_expecting(say: &Localizer, notice: &Notice, page: &mut Page) {
    let (Content::TaskLost { .. }, Some(device), Some(task)) = (&notice.content, &notice.device, &notice.task) else {
        return;
    };
    page.push(Part::Command {
        label: say.word("task-stop-expecting"),
        command: off(device, task),
        copy: say.word("copy"),
    });
}

#[cfg(test)]
mod tests {
    use super::super::{Context, Language, compose};
    use super::*;
    use crate::{Kind, Limits};
    use olog_proto::Timestamp;

    /// 2026-11-22 04:00 in Shanghai.
    const NOW: Timestamp = Timestamp(1_795_291_200_000);
    const MINUTE: i64 = 60_000;

    fn notice(kind: Kind, content: Content) -> Notice {
        Notice {
            kind,
            incident: Some(17),
            device: Some("backupsrv".into()),
            address: Some("me@backup:22".into()),
            task: Some("rsync".into()),
            at: NOW,
            silence: None,
            content,
        }
    }

    fn lost(n_missed: u64, is_reminder: bool) -> Notice {
        let content = Content::TaskLost {
            due_at: NOW.plus(-30 * MINUTE),
            last_run_at: (n_missed > 0).then(|| NOW.plus(-24 * 60 * MINUTE)),
            expected: match n_missed {
                0 => Expected::EachReport,
                _ => Expected::Schedule { text: "30 3 * * *".into() },
            },
            n_missed,
            is_reminder,
            device_offline: None,
        };
        notice(if is_reminder { Kind::Remind } else { Kind::Lost }, content)
    }

    fn over(recovery: Recovery) -> Notice {
        let due_at = NOW.plus(-100 * MINUTE);
        notice(Kind::Over, Content::TaskCame { due_at, recovery, n_missed: 2, acknowledged_at: None })
    }

    fn shown(notices: &[Notice]) -> String {
        let one = |language| {
            let limits = Limits { summary_chars: 100, ..Limits::NONE };
            let timezone = chrono_tz::Asia::Shanghai;
            let context =
                Context { language, timezone, now: NOW, incident_url: None, by_device: false, budget: None, limits };
            let message = compose(notices, &context).message;
            format!("[{}]\n{}\n\n{}", message.title, message.summary, message.text)
        };
        format!("{}\n\n======\n\n{}", one(Language::ZhCn), one(Language::En))
    }

    #[test]
    fn a_task_that_did_not_come() {
        let texts = [shown(&[lost(1, false)]), shown(&[lost(0, false)]), shown(&[lost(3, true)])];
        insta::assert_snapshot!(texts.join("\n\n############\n\n"));
    }

    #[test]
    fn a_task_that_came_after_all() {
        let ran = |minutes: i64, failed| over(Recovery::Ran { at: NOW.plus(-minutes * MINUTE), failed });
        let texts = [ran(2, false), ran(101, false), ran(1, true), over(Recovery::Unexpected), over(Recovery::Closed)];
        insta::assert_snapshot!(texts.map(|notice| shown(&[notice])).join("\n\n############\n\n"));
    }

    #[test]
    fn a_run_that_does_not_end() {
        let runs = |usual| notice(Kind::Lost, Content::TaskRuns { since: NOW.plus(-9 * 60 * MINUTE), usual });
        let texts = [shown(&[runs(Some(20 * MINUTE))]), shown(&[runs(None)])];
        insta::assert_snapshot!(texts.join("\n\n############\n\n"));
    }

    #[test]
    fn habits_in_words() {
        let daily = Cadence::Daily { minute: 130, jitter: 4 };
        let weekdays = Cadence::Weekly { slots: (0..5).map(|day| (day, 130 + day)).collect(), jitter: 4 };
        let odd = Cadence::Weekly { slots: vec![(1, 60), (6, 1439)], jitter: 0 };
        let all = [Cadence::Every { period: 5 * MINUTE }, daily, weekdays, odd];
        let words = |language| all.each_ref().map(|cadence| crate::words::cadence(cadence, language));
        assert_eq!(
            words(Language::En),
            ["every 5 min", "daily 02:10 ± 4 min", "Mon, Tue, Wed, Thu, Fri 02:10 ± 4 min", "Tue 01:00, Sun 23:59"]
        );
        assert_eq!(
            words(Language::ZhCn),
            [
                "每 5 分钟",
                "每天 02:10 ± 4 分钟",
                "周一、周二、周三、周四、周五 02:10 ± 4 分钟",
                "周二 01:00、周日 23:59"
            ]
        );
    }

    #[test]
    fn a_proposal_says_what_shows_it_and_how_to_refuse() {
        let daily = Cadence::Daily { minute: 130, jitter: 4 };
        let words = |language| crate::words::proposal(&daily, 7, 6 * 24 * 60 * MINUTE, "nas", "it's", language);
        assert_eq!(
            words(Language::En),
            r"daily 02:10 ± 4 min (learnt from 7 runs in 6 days). From tomorrow it is reported LOST if it does not run. To decline: olog-hub task expect nas 'it'\''s' off"
        );
        assert!(
            words(Language::ZhCn).starts_with("每天 02:10 ± 4 分钟（根据 6 天内的 7 次运行得出）"),
            "{}",
            words(Language::ZhCn)
        );
    }

    #[test]
    fn its_begin_and_its_end_that_both_wait_become_one() {
        let ran = over(Recovery::Ran { at: NOW.plus(-2 * MINUTE), failed: false });
        insta::assert_snapshot!(shown(&[lost(1, false), ran]));
    }
}

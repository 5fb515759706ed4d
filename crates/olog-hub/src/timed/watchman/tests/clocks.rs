//! Clocks that are wrong: the devices' and the hub's.

use std::collections::BTreeMap;

use super::month::{DAY, HOUR, Month, err, log};
use super::*;
use crate::apply::operator;
use crate::rules::expect::Plan;
use crate::rules::report::Report;
use crate::rules::state::State;

fn hourly() -> BTreeMap<String, Plan> {
    let plan = Plan::Scheduled { schedule: "0 * * * *".parse().unwrap(), grace: 30 * MINUTE };
    [("backup".to_owned(), plan), ("sync".to_owned(), Plan::EachReport)].into()
}

fn states(report: &Report) -> Vec<(&str, State)> {
    let [device] = report.devices.as_slice() else { panic!("{:?}", report.devices) };
    device.row.tasks.iter().map(|task| (task.name.as_str(), task.state)).collect()
}

async fn lost(month: Month) -> Vec<String> {
    month.end().await.into_iter().filter(|told| told.to_lowercase().starts_with("lost")).collect()
}

#[tokio::test]
async fn a_ghost_that_is_merged_takes_its_learnt_schedule_with_it_and_its_task_keeps_its_own() {
    for (is_merged, runs_on, expected) in
        [(false, true, vec!["daily-2026"]), (true, true, vec![]), (true, false, vec!["pi/daily "])]
    {
        let mut month = Month::begin(BTreeMap::new()).await;
        let start = month.world.clock.now();
        for day in 0..14 {
            for (hour, task) in [(2, "daily"), (4, "daily-2026")] {
                let goes_on = day < 10 || (task == "daily" && runs_on);
                let at = start.plus(day * DAY + hour * HOUR + 10 * MINUTE);
                month.until(at).await;
                if goes_on {
                    month.said(at, 0, log(task, at)).await;
                }
            }
            if day == 9 && is_merged {
                let (rules, now) = (month.world.watchman.rules.borrow().clone(), month.world.clock.now());
                let merge = move |tx: &mut Tx<'_>| operator::merge(tx, &rules, "pi", "daily-2026", "daily", now);
                assert_eq!(month.world.store.store.write(merge).await.unwrap(), operator::Merged::Yes);
            }
        }
        month.until(start.plus(14 * DAY)).await;
        let lost = lost(month).await;
        assert_eq!(lost.len(), expected.len(), "merged {is_merged}, runs on {runs_on}: {lost:?}");
        assert!(lost.iter().zip(&expected).all(|(told, name)| format!("{told} ").contains(name)), "{lost:?}");
    }
}

#[tokio::test]
async fn whatever_time_a_log_says_it_is_of_it_came_now_at_the_latest() {
    let mut month = Month::begin(hourly()).await;
    month.until(month.world.clock.now().plus(DAY / 2 + 5 * MINUTE)).await;
    let now = month.world.clock.now();
    let times = [
        now.plus(HOUR),
        now.plus(DAY),
        now.plus(400 * DAY),
        Timestamp(0),
        Timestamp(-1),
        Timestamp(i64::MIN),
        Timestamp(i64::MAX),
        Timestamp(1_000),
    ];
    for (i, said) in times.into_iter().enumerate() {
        for skew_ms in [0, i64::MAX, i64::MIN, DAY, -DAY] {
            month.said(said, skew_ms, log("backup", said)).await;
            month.said(said, skew_ms, log(&format!("future{i}"), said)).await;
        }
    }
    let (report, page) = month.reporter.preview().await.unwrap();
    assert!(page.ends_with("</html>"));
    for (task, state) in states(&report) {
        assert_eq!(state, State::Ok, "{task}");
    }
    let [device] = report.devices.as_slice() else { panic!() };
    for task in &device.row.tasks {
        assert!(task.last_run.is_none_or(|(_, ended)| ended <= now), "{task:?}");
        assert!(task.due_at.is_none_or(|due| due > now.plus(-HOUR) && due <= now.plus(2 * DAY)), "{task:?}");
    }
    // Its place in the order is kept: the backup does not come for hours, and that is seen, however far ahead its log was.
    month.until(now.plus(3 * HOUR)).await;
    let (report, _) = month.reporter.preview().await.unwrap();
    assert!(states(&report).contains(&("backup", State::Lost)), "{:?}", states(&report));
    assert_eq!(lost(month).await.len(), 2, "in the night before its first log, and now");
}

#[tokio::test]
async fn a_device_whose_clock_jumps_is_judged_by_the_time_that_its_skew_tells() {
    let mut month = Month::begin(hourly()).await;
    let start = month.world.clock.now();
    // It was set an hour ahead, a day back, and to 1970, each for some hours; the session measured that each time.
    for hour in 0..24 {
        month.until(start.plus(hour * HOUR + 5 * MINUTE)).await;
        let now = month.world.clock.now();
        let skew_ms = match hour {
            0..6 => HOUR,
            6..12 => -DAY,
            12..18 => Timestamp(0).since(now),
            _ => 0,
        };
        let its_clock = now.plus(skew_ms);
        month.said(its_clock, skew_ms, log("backup", its_clock)).await;
        if hour == 7 {
            month.said(its_clock, skew_ms, err("sync", its_clock, "cannot reach 10.0.0.1\n")).await;
        }
        if hour == 13 {
            month.said(its_clock, skew_ms, log("sync", its_clock)).await;
        }
    }
    month.until(start.plus(24 * HOUR)).await;
    let (report, _) = month.reporter.preview().await.unwrap();
    assert_eq!(states(&report), [("backup", State::Ok), ("sync", State::Ok)]);
    let [over] = report.facts.over.as_slice() else { panic!("{:?}", report.facts.over) };
    let times = (over.began_at.since(start), over.ended_at.since(start));
    assert_eq!(times, (7 * HOUR + 5 * MINUTE, 13 * HOUR + 5 * MINUTE), "in the hub's time");
    assert_eq!(lost(month).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_hub_whose_clock_jumps_calls_nobody_lost_who_is_there() {
    let mut month = Month::begin([("sync".to_owned(), Plan::EachReport)].into()).await;
    month.until(month.world.clock.now().plus(11 * HOUR + 5 * MINUTE)).await;
    month.said(month.world.clock.now(), 0, log("sync", month.world.clock.now())).await;
    let real = month.world.clock.now();
    for wrong in
        [real.plus(HOUR), real.plus(DAY), real, real.plus(-HOUR), real.plus(-DAY), Timestamp(0), Timestamp(-DAY), real]
    {
        month.world.hand.set(wrong);
        // It asks before it judges, and the device answers.
        for seconds in 0..15 {
            month.world.hand.set(wrong.plus(seconds * SECOND));
            month.world.watchman.run_due().await.unwrap();
            month.place.seat().heard(month.world.clock.now());
        }
        let (report, page) = month.reporter.preview().await.unwrap();
        assert!(page.ends_with("</html>"));
        assert_eq!(states(&report), [("sync", State::Ok)], "{wrong:?}");
        let at = month.world.clock.now();
        month.said(at, 0, log("sync", at)).await;
    }
    assert_eq!(lost(month).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_device_that_is_called_a_script_is_a_name_like_any_other() {
    let mut month = Month::begin(BTreeMap::new()).await;
    let name = "<script>alert(1)</script>";
    let write = move |tx: &mut Tx<'_>| tx.execute("UPDATE devices SET name = $1", values![name]);
    month.world.store.store.write(write).await.unwrap();
    let now = month.world.clock.now();
    month.said(now, 0, err("<img src=x onerror=alert(1)>", now, "</pre><script>alert(2)</script>\n")).await;
    let (report, page) = month.reporter.preview().await.unwrap();
    assert_eq!(states(&report), [("<img src=x onerror=alert(1)>", State::Err)]);
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
    assert!(page.contains("&#60;script&#62;alert(1)"), "{page}");
    // Text is no HTML, but some services read tags in it: the name is shown, its tags are broken.
    let text = month.reporter.text(&report.facts);
    assert!(text.contains("script>alert(1)") && !text.contains("<script"), "{text}");
    month.end().await;
}

//! Ten messages in a rolling day, as inside WeChat.

use olog_push::{ReportFacts, ResolvedBy};

use super::*;
use crate::rules::budget::WINDOW;
use crate::store::outbox::WaitReason;

const HOUR: i64 = 3_600_000;
const PER_DAY: &str = "per_day = 10\n";

/// The end of an incident of that task.
fn over(task: &str) -> Notice {
    let content = Content::Over {
        ground: ResolvedBy::Cleared,
        began_at: NOW,
        n_seen: 1,
        acknowledged_at: None,
        reopened: None,
        said_by: None,
    };
    Notice { kind: Kind::Over, content, ..error(task) }
}

fn report() -> Notice {
    let content = Content::Report(Box::new(ReportFacts {
        from: NOW.plus(-24 * HOUR),
        to: NOW,
        made_at: NOW,
        ..Default::default()
    }));
    Notice { kind: Kind::Report, incident: None, device: None, task: None, content, ..error("report") }
}

impl Bench {
    /// First signs, each of a device of its own and in a message of its own.
    async fn spend(&self, tasks: std::ops::Range<usize>) {
        for n in tasks {
            let notice = Notice { device: Some(format!("dev{n}")), ..error(&format!("task{n}")) };
            self.tell_of(notice, NOW).await;
            self.until("it leaves", |_, waiting| waiting == 0).await;
        }
    }

    fn last(&self) -> String {
        self.got(UID).last().map(|push| format!("{} {}", push.summary, push.text())).unwrap_or_default()
    }

    /// Waits until so many answers are on record of the first incident.
    async fn recorded(&self, n: usize) {
        let waits = async {
            while self.store.store.read(|tx| outbox::attempts_of(tx, 1, 10)).await.unwrap().len() < n {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, waits).await.expect("the answers are on record");
    }

    async fn waits(&self, incident: u64) -> Vec<WaitReason> {
        let (channels, now) = (self.rules.borrow().channels.clone(), NOW);
        let rows =
            self.store.store.read(move |tx| outbox::waiting_of(tx, incident, &channels, None, now, 10)).await.unwrap();
        rows.into_iter().map(|row| row.waits).collect()
    }
}

#[tokio::test]
async fn what_can_wait_goes_with_the_next_message_and_that_says_why() {
    for bench in Bench::all_with(PER_DAY).await {
        bench.spend(0..5).await;
        bench.tell_of(over("task0"), NOW).await;
        bench.until("the end waits", |facts, waiting| facts.held_through.is_some() && waiting == 1).await;
        let WaitReason::Budget { used: 5, per_day: 10, until } = bench.waits(1).await[0] else {
            panic!("it waits for the budget")
        };
        assert!(until >= NOW.plus(WINDOW), "{until:?}");
        bench.tell("mysql").await;
        bench.until("both leave", |facts, waiting| facts.held_through.is_none() && waiting == 0).await;
        assert_eq!(bench.got(UID).len(), 6);
        assert!(bench.last().contains("task0") && bench.last().contains("mysql"), "{}", bench.last());
        assert!(bench.last().contains("曾因额度不足而等待；24 小时内已发 5/10 条"), "{}", bench.last());
        bench.end().await;
    }
}

#[tokio::test]
async fn the_last_slots_are_for_first_signs_and_the_very_last_for_the_report() {
    for bench in Bench::all_with(PER_DAY).await {
        bench.spend(0..8).await;
        let another = Notice { content: other_error(), ..error("task0") };
        bench.tell_of(another, NOW).await;
        bench
            .until("another error of an open incident waits", |facts, waiting| {
                facts.held_through.is_some() && waiting == 1
            })
            .await;
        bench.spend(8..9).await;
        bench.tell("task9").await;
        bench.until("a first sign waits", |facts, waiting| facts.held_through.is_some() && waiting == 1).await;
        bench.tell_of(report(), NOW).await;
        bench.until("the report leaves alone", |facts, waiting| facts.held_through.is_some() && waiting == 1).await;
        assert_eq!(bench.got(UID).len(), 10, "{}", bench.phone.story());
        assert!(!bench.last().contains("task9"), "{}", bench.last());
        // When the first message is a day old, the sign goes, and says that it waited.
        bench.hand.advance(WINDOW);
        bench.until("it leaves", |_, waiting| waiting == 0).await;
        assert!(bench.last().contains("task9") && bench.last().contains("额度"), "{}", bench.last());
        bench.end().await;
    }
}

fn other_error() -> Content {
    let Content::Error { excerpt, path, last_good_at, began_at, .. } = error("task0").content else { unreachable!() };
    let why = Reason::NewFingerprint;
    Content::Error { why, excerpt, path, fingerprint: None, last_good_at, began_at, n_seen: 2, facts: Box::default() }
}

#[tokio::test]
async fn neither_a_restart_nor_another_configuration_forgets_what_was_spent_and_a_rearm_does() {
    for mut bench in Bench::all_with(PER_DAY).await {
        bench.spend(0..9).await;
        bench.tasks.shutdown().await;
        let (clock, _hand) = Clock::manual(NOW.plus(HOUR));
        bench.start(clock);
        let table = bench.phone.channel("channel", "me");
        bench.rules.send_replace(rules(&[format!("{table}{PER_DAY}rate = \"2/s\"\n")]));
        bench.tell("task9").await;
        bench.until("it waits", |facts, waiting| facts.held_through.is_some() && waiting == 1).await;
        assert_eq!(bench.got(UID).len(), 9);
        bench.store.store.write(|tx| outbox::rearm(tx, "me", NOW.plus(HOUR))).await.unwrap();
        bench.bell.ring();
        bench.until("it leaves", |_, waiting| waiting == 0).await;
        bench.end().await;
    }
}

#[tokio::test]
async fn a_retry_for_one_receiver_takes_no_slot_of_the_others() {
    for bench in Bench::all_with("per_day = 2\n").await {
        bench.phone.behave_next([Habit::Row("UID_b", 1006)]);
        bench.tell("mysql").await;
        bench.recorded(1).await;
        bench.hand.advance(2_000);
        bench.until("it leaves", |_, waiting| waiting == 0).await;
        bench.tell_of(Notice { device: Some("web".into()), ..error("nginx") }, NOW).await;
        bench.until("one more is allowed", |_, waiting| waiting == 0).await;
        assert_eq!(bench.phone.calls().len(), 3, "{}", bench.phone.story());
        bench.end().await;
    }
}

#[tokio::test]
async fn a_test_that_a_person_asks_for_goes_whatever_is_left_and_takes_along_what_waits() {
    for bench in Bench::all_with("per_day = 1\n").await {
        bench.spend(0..1).await;
        bench.tell("task1").await;
        bench.until("a first sign waits", |facts, waiting| facts.held_through.is_some() && waiting == 1).await;
        bench
            .tell_of(apply::system_notice(None, SystemCode::ChannelTest, &[("channel", "me".to_owned())], NOW), NOW)
            .await;
        bench.until("both leave", |_, waiting| waiting == 0).await;
        assert_eq!(bench.got(UID).len(), 2, "{}", bench.phone.story());
        bench.end().await;
    }
}

#[tokio::test]
async fn a_program_that_shows_error_after_error_does_not_use_up_the_day_and_another_device_is_told_at_once() {
    for bench in Bench::all_with(PER_DAY).await {
        for n in 0..2 {
            bench.tell(&format!("task{n}")).await;
            bench.until("it leaves", |_, waiting| waiting == 0).await;
        }
        for n in 2..7 {
            bench.tell(&format!("task{n}")).await;
        }
        bench.until("the others gather", |facts, waiting| facts.held_through.is_some() && waiting == 5).await;
        assert_eq!(bench.got(UID).len(), 2, "{}", bench.phone.story());
        // Another device's takes them along.
        bench.tell_of(Notice { device: Some("nas".into()), ..error("raid") }, NOW).await;
        bench.until("all leave", |_, waiting| waiting == 0).await;
        assert_eq!(bench.got(UID).len(), 3, "{}", bench.phone.story());
        assert!(bench.last().contains("raid") && bench.last().contains("task6"), "{}", bench.last());
        bench.tell("task7").await;
        bench.until("it gathers for longer", |facts, waiting| facts.held_through.is_some() && waiting == 1).await;
        bench.hand.advance(30 * 60_000);
        bench.until("it leaves", |_, waiting| waiting == 0).await;
        bench.end().await;
    }
}

//! Nobody is woken by good or old news, and what a report has told is not told again.

use olog_push::{ReportFacts, ResolvedBy};

use super::*;
use crate::rules::quiet::{QuietHours, QuietSpan};

const HOUR: i64 = 3_600_000;

/// The same rules, by night: [`NOW`] is 20:26 in UTC.
fn at_night(rules: &Arc<LivePolicy>) -> Arc<LivePolicy> {
    let span = QuietSpan::parse("20:00-08:00").unwrap().unwrap();
    let (channels, quiet) = (rules.channels.clone(), QuietHours::new(span, chrono_tz::Tz::UTC));
    Arc::new(LivePolicy { channels, quiet, ..LivePolicy::default() })
}

fn over(task: &str, ground: ResolvedBy) -> Notice {
    let content =
        Content::Over { ground, began_at: NOW, n_seen: 1, acknowledged_at: None, reopened: None, said_by: None };
    Notice { kind: Kind::Over, content, ..error(task) }
}

fn remind(task: &str) -> Notice {
    let excerpt = Excerpt::of("still broken");
    let content = Content::Remind { began_at: NOW, n_seen: 1, last_error_at: NOW, excerpt, reopened: None };
    Notice { kind: Kind::Remind, content, ..error(task) }
}

fn report(made_at: Timestamp) -> Notice {
    let facts = ReportFacts { from: made_at.plus(-24 * HOUR), to: made_at, made_at, ..Default::default() };
    let content = Content::Report(Box::new(facts));
    Notice { kind: Kind::Report, incident: None, device: None, task: None, content, ..error("report") }
}

async fn nights() -> Vec<Bench> {
    let benches = Bench::all().await;
    for bench in &benches {
        let night = at_night(&bench.rules.borrow().clone());
        bench.rules.send_replace(night);
    }
    benches
}

impl Bench {
    /// How each row of the outbox left, by its incident.
    async fn outcomes(&self, incident: u64) -> Vec<Option<String>> {
        let read = self.store.store.read(move |tx| {
            let rows =
                tx.query("SELECT outcome FROM outbox WHERE incident_id = $1 ORDER BY id", crate::values![incident])?;
            rows.iter().map(|row| Ok(row.text_or_null(0)?.map(str::to_owned))).collect()
        });
        read.await.unwrap()
    }

    /// Everything that rings has gone.
    async fn settled(&self, waiting: u64) {
        self.tell("probe").await;
        self.until("the probe leaves", |_, n| n == waiting).await;
    }
}

#[tokio::test]
async fn a_reminder_and_a_quiet_end_wait_for_the_morning_or_for_the_next_error() {
    for bench in nights().await {
        bench.tell("task1").await;
        bench.until("the error rings", |_, waiting| waiting == 0).await;
        bench.tell_of(remind("task1"), NOW).await;
        bench.tell_of(over("task1", ResolvedBy::Quiet), NOW).await;
        // Nothing in a dispatcher says that it has decided to wait; a second channel's turn would be as good.
        let until = NOW.plus(12 * HOUR);
        let channel = bench.rules.borrow().channels[0].clone();
        let rules = bench.rules.borrow().clone();
        let step = move |tx: &mut Tx<'_>| claim::claim(tx, &rules, &channel, "somebody", NOW);
        let Claim::Nothing(at) = bench.store.store.write(step).await.unwrap() else { panic!("it rings at night") };
        assert!(at > NOW && at <= until);
        assert_eq!(bench.got(UID).len(), 1, "{}", bench.phone.story());
        bench.settled(0).await;
        assert_eq!(bench.got(UID).len(), 2, "they go along: {}", bench.phone.story());
        bench.end().await;
    }
}

#[tokio::test]
async fn what_waits_in_the_night_goes_when_it_ends() {
    for bench in nights().await {
        bench.tell_of(remind("task1"), NOW).await;
        bench.hand.set(NOW.plus(11 * HOUR));
        bench.bell.ring();
        assert!(bench.got(UID).is_empty());
        bench.hand.set(NOW.plus(12 * HOUR));
        bench.bell.ring();
        bench.until("it leaves", |_, waiting| waiting == 0).await;
        bench.end().await;
    }
}

#[tokio::test]
async fn the_end_of_something_that_was_just_pushed_rings_and_a_later_one_does_not() {
    for bench in nights().await {
        bench.tell("task1").await;
        bench.until("the error rings", |_, waiting| waiting == 0).await;
        bench.tell_of(over("task1", ResolvedBy::RunEnded), NOW).await;
        bench.until("its end rings", |_, waiting| waiting == 0).await;
        bench.tell("task2").await;
        bench.until("another error rings", |_, waiting| waiting == 0).await;
        let later = NOW.plus(7 * HOUR);
        bench.hand.set(later);
        bench.tell_of(over("task2", ResolvedBy::RunEnded), later).await;
        let channel = bench.rules.borrow().channels[0].clone();
        let rules = bench.rules.borrow().clone();
        let step = move |tx: &mut Tx<'_>| claim::claim(tx, &rules, &channel, "somebody", later);
        assert!(matches!(bench.store.store.write(step).await.unwrap(), Claim::Nothing(_)));
        bench.end().await;
    }
}

#[tokio::test]
async fn what_a_report_has_told_is_not_told_again() {
    for bench in nights().await {
        // An end, and one whose error waits as well: those two go together.
        bench.tell_of(remind("task1"), NOW).await;
        bench.phone.behave(Habit::Status(500));
        bench.tell("task2").await;
        bench.tell_of(over("task2", ResolvedBy::Cleared), NOW).await;
        bench.until("nothing gets through", |facts, waiting| facts.n_failed > 0 && waiting == 3).await;
        let (now, channel) = (NOW.plus(HOUR), bench.rules.borrow().channels[0].clone());
        let step = move |tx: &mut Tx<'_>| outbox::told_by_report(tx, &channel.name, 9, now, now);
        assert_eq!(bench.store.store.write(step).await.unwrap(), 1);
        assert_eq!(bench.outcomes(2).await, [Some("reported".to_owned())]);
        assert_eq!(bench.outcomes(3).await, [None, None]);
        bench.end().await;
    }
}

#[tokio::test]
async fn an_accepted_report_takes_the_old_news_with_it() {
    for bench in nights().await {
        bench.tell_of(remind("task1"), NOW).await;
        bench.tell_of(report(NOW), NOW).await;
        bench.until("both leave", |_, waiting| waiting == 0).await;
        assert_eq!(bench.got(UID).len(), 1, "{}", bench.phone.story());
        assert_eq!(bench.outcomes(2).await, [Some("reported".to_owned())]);
        bench.end().await;
    }
}

#[tokio::test]
async fn an_error_that_is_over_before_it_was_told_wakes_nobody() {
    for bench in nights().await {
        bench.phone.behave(Habit::Status(500));
        bench.tell("task1").await;
        bench.until("it waits", |facts, waiting| facts.n_failed > 0 && waiting == 1).await;
        bench.tell_of(over("task1", ResolvedBy::Quiet), NOW).await;
        let urgencies = |tx: &mut Tx<'_>| {
            let rows = tx.query("SELECT urgency FROM outbox WHERE incident_id = 2 ORDER BY id", &[])?;
            rows.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()
        };
        assert_eq!(bench.store.store.read(urgencies).await.unwrap(), [4, 5]);
        bench.end().await;
    }
}

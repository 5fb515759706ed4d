mod budget;
mod coalesce;
mod failures;
mod quiet;

use olog_journeys::phone::{Habit, Phone, Push, UID};
use olog_proto::Excerpt;
use olog_push::{Content, Kind, Reason};

use super::plan::{BACK_OFF, PROBE_EVERY, TELL_AFTER};
use super::*;
use crate::store::tests::{TestStore, stores};

const NOW: Timestamp = Timestamp(1_780_000_000_000);
/// What no test waits longer for, on however slow a machine.
const LIMIT: std::time::Duration = std::time::Duration::from_secs(60);

/// A store, the dispatchers, and a real phone behind the channel "me".
struct Bench {
    store: TestStore,
    phone: Phone,
    rules: watch::Sender<Arc<LivePolicy>>,
    bell: Bell,
    workers: Workers,
    hand: olog_daemon::clock::ClockHandle,
    stop: CancellationToken,
    tasks: JoinSet<Result<(), StoreError>>,
}

fn rules(tables: &[String]) -> Arc<LivePolicy> {
    let read = olog_daemon::config::read_text("hub.toml", &tables.join("\n"), |table| {
        crate::config::Config::parse(table, std::path::Path::new("/"))
    });
    Arc::new(LivePolicy { channels: read.unwrap().live.channels.clone(), ..LivePolicy::default() })
}

impl Bench {
    /// One on each database.
    async fn all() -> Vec<Bench> {
        Bench::all_with("").await
    }

    /// With more keys for the channel.
    async fn all_with(keys: &str) -> Vec<Bench> {
        let mut benches = Vec::new();
        for store in stores().await {
            let phone = Phone::start().await.unwrap();
            phone.subscribe("UID_b");
            phone.without_rate();
            let (rules, _) = watch::channel(rules(&[format!("{}{keys}", phone.channel("channel", "me"))]));
            let (clock, hand) = Clock::manual(NOW);
            let mut bench = Bench {
                store,
                phone,
                rules,
                bell: Bell::default(),
                workers: Workers::default(),
                hand,
                stop: CancellationToken::new(),
                tasks: JoinSet::new(),
            };
            bench.start(clock);
            benches.push(bench);
        }
        benches
    }

    fn start(&mut self, clock: Clock) {
        let (store, rules) = (self.store.store.clone(), self.rules.subscribe());
        self.tasks.spawn(run(store, rules, self.bell.clone(), clock, self.workers.clone(), self.stop.clone()));
    }

    async fn tell(&self, task: &str) {
        self.tell_at(task, NOW).await;
    }

    async fn tell_at(&self, task: &str, now: Timestamp) {
        self.tell_of(error(task), now).await;
    }

    async fn tell_of(&self, notice: Notice, now: Timestamp) {
        let rules = self.rules.borrow().clone();
        self.store.store.write(move |tx| apply::enqueue_notice(tx, &rules, &notice, now)).await.unwrap();
        self.bell.ring();
    }

    /// Waits for a condition on channel and outbox, for as long as it takes a slow machine.
    async fn until(&self, what: &str, condition: impl Fn(&ChannelFacts, u64) -> bool) {
        let offline_policy = Instant::now() + LIMIT;
        loop {
            let facts = self.store.store.read(|tx| outbox::channel(tx, "me")).await.unwrap();
            let waiting: u64 =
                self.store.store.read(outbox::waiting).await.unwrap().iter().map(|waiting| waiting.n).sum();
            if condition(&facts, waiting) {
                return;
            }
            assert!(Instant::now() < offline_policy, "{what}: {facts:?}, {waiting} wait; {}", self.phone.story());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    fn got(&self, uid: &str) -> Vec<Push> {
        self.phone.pushes().into_iter().filter(|p| p.receiver == uid).collect()
    }

    async fn end(mut self) {
        self.stop.cancel();
        while let Some(done) = self.tasks.join_next().await {
            done.unwrap().unwrap();
        }
    }
}

fn error(task: &str) -> Notice {
    let content = Content::Error {
        why: Reason::First,
        excerpt: Excerpt::of(&format!("{task} failed")),
        path: format!("/ologs/{task}.err"),
        fingerprint: None,
        last_good_at: None,
        began_at: NOW,
        n_seen: 1,
        facts: Box::default(),
    };
    Notice {
        kind: Kind::Err,
        // Every task has an incident of its own.
        incident: Some(task.trim_start_matches("task").parse::<u64>().map_or(1, |n| n + 1)),
        device: Some("comsrv".into()),
        address: None,
        task: Some(task.into()),
        at: NOW,
        silence: None,
        content,
    }
}

#[tokio::test]
async fn a_notice_leaves_when_everybody_has_accepted_it() {
    for bench in Bench::all().await {
        bench.tell("mysql").await;
        bench.until("the row leaves", |_, waiting| waiting == 0).await;
        assert_eq!((bench.got(UID).len(), bench.got("UID_b").len(), bench.phone.calls().len()), (1, 1, 1));
        let ledger = bench.store.store.read(|tx| outbox::attempts_of(tx, 1, 10)).await.unwrap();
        assert_eq!(ledger.iter().map(|a| a.outcome.as_str()).collect::<Vec<_>>(), ["accepted", "accepted"]);
        bench.end().await;
    }
}

#[tokio::test]
async fn what_gathers_during_a_call_leaves_together_and_each_task_is_named() {
    for bench in Bench::all().await {
        bench.phone.behave(Habit::TakeAndHold);
        bench.tell("task0").await;
        bench.phone.wait("the first alone", |pushes| !pushes.is_empty()).await;
        for n in 1..60 {
            bench.tell(&format!("task{n}")).await;
        }
        bench.phone.behave(Habit::Well);
        bench.until("all leave", |_, waiting| waiting == 0).await;
        let pushes = bench.got(UID);
        assert!(pushes.len() <= 3, "{} messages: {}", pushes.len(), bench.phone.story());
        let all: String = pushes.iter().map(|p| p.content.clone()).collect();
        assert!((0..60).all(|n| all.contains(&format!("task{n}"))), "{all}");
        bench.end().await;
    }
}

#[tokio::test]
async fn a_service_that_refuses_or_resets_gets_it_later_and_once() {
    for habit in [Habit::Code(1001, "busy"), Habit::Status(500), Habit::Reset, Habit::Code(1006, "busy")] {
        for bench in Bench::all().await {
            bench.phone.behave(habit.clone());
            bench.tell("mysql").await;
            bench.until("the failure is known", |facts, waiting| facts.n_failed == 1 && waiting == 1).await;
            bench.phone.behave(Habit::Well);
            bench.hand.advance(2_000);
            bench.until("it leaves", |facts, waiting| facts.n_failed == 0 && waiting == 0).await;
            assert_eq!(bench.got(UID).len(), 1, "{habit:?}");
            bench.end().await;
        }
    }
}

#[tokio::test]
async fn an_unsubscribed_receiver_is_set_aside_and_told_and_the_good_one_gets_it_once() {
    for bench in Bench::all().await {
        bench.phone.unsubscribe("UID_b");
        bench.tell("mysql").await;
        bench.until("it leaves", |facts, waiting| facts.refused == ["UID_b"] && waiting == 0).await;
        bench.tell("nginx").await;
        bench.until("the next leaves", |_, waiting| waiting == 0).await;
        let about = |task: &str| bench.got(UID).iter().filter(|p| p.content.contains(task)).count();
        assert_eq!((about("mysql"), about("nginx")), (1, 1), "{}", bench.phone.story());
        assert!(bench.phone.calls().iter().skip(1).all(|c| !c.named().contains(&"UID_b".to_owned())));
        bench.end().await;
    }
}

#[tokio::test]
async fn a_retry_names_only_who_has_not_accepted() {
    for bench in Bench::all().await {
        bench.phone.behave_next([Habit::Row("UID_b", 1006)]);
        bench.tell("mysql").await;
        bench.phone.wait("the one who accepts", |pushes| !pushes.is_empty()).await;
        bench.until("one is left", |_, waiting| waiting == 1).await;
        // What comes meanwhile does not wait for the one who is left.
        bench.tell("nginx").await;
        bench.phone.wait("the next one", |pushes| pushes.len() == 3).await;
        bench.hand.advance(2_000);
        bench.until("it leaves", |_, waiting| waiting == 0).await;
        assert_eq!(bench.phone.calls().last().unwrap().named(), ["UID_b"]);
        assert_eq!((bench.got(UID).len(), bench.got("UID_b").len()), (2, 2));
        bench.end().await;
    }
}

#[tokio::test]
async fn what_nobody_has_accepted_does_not_leave_because_its_only_receiver_is_refused() {
    for bench in Bench::all().await {
        bench.phone.unsubscribe(UID);
        bench.phone.unsubscribe("UID_b");
        bench.tell("mysql").await;
        bench.until("both are set aside", |facts, waiting| facts.refused.len() == 2 && waiting == 3).await;
        bench.phone.subscribe("UID_b");
        bench.hand.advance(PROBE_EVERY);
        bench.until("it leaves", |facts, waiting| facts.refused == [UID] && waiting == 0).await;
        assert!(bench.got("UID_b")[0].text().contains("mysql"), "{}", bench.phone.story());
        bench.end().await;
    }
}

#[tokio::test]
async fn a_poison_message_holds_up_nothing() {
    for bench in Bench::all().await {
        bench.phone.behave_next([Habit::Code(1001, "banned content")]);
        bench.tell("poison").await;
        bench.until("it is refused", |facts, waiting| facts.n_failed == 1 && waiting == 1).await;
        // Only the message that comes later is taken; then the first alone is refused again, and again.
        bench.phone.behave_next([Habit::Well, Habit::Code(1001, "banned"), Habit::Code(1001, "banned")]);
        bench.tell("good").await;
        bench.hand.advance(FIRST_SIGN_WAIT);
        bench.phone.wait_calls("the poison alone", |calls| calls.len() >= 4).await;
        assert!(bench.got(UID)[0].text().contains("good"), "{}", bench.phone.story());
        assert!(!bench.got(UID)[0].text().contains("poison"), "{}", bench.phone.story());
        bench.tell("another").await;
        bench.phone.wait("what comes after it", |pushes| pushes.len() >= 4).await;
        let facts = bench.store.store.read(|tx| outbox::channel(tx, "me")).await.unwrap();
        assert_eq!(facts.failing_at, None, "{}", bench.phone.story());
        bench.end().await;
    }
}

#[tokio::test]
async fn a_rearmed_channel_names_everybody_again_at_once() {
    for bench in Bench::all().await {
        bench.phone.unsubscribe("UID_b");
        bench.tell("mysql").await;
        bench.until("it leaves", |facts, waiting| facts.refused == ["UID_b"] && waiting == 0).await;
        bench.phone.subscribe("UID_b");
        bench.store.store.write(|tx| outbox::rearm(tx, "me", NOW)).await.unwrap();
        bench.tell("nginx").await;
        bench.phone.wait("the one who is back", |pushes| pushes.iter().any(|p| p.receiver == "UID_b")).await;
        bench.end().await;
    }
}

#[tokio::test]
async fn a_new_first_sign_cuts_a_long_back_off() {
    for bench in Bench::all().await {
        bench.phone.down().await;
        bench.tell("mysql").await;
        for n in 1..9 {
            bench.until("one more failure", |facts, _| facts.n_failed >= n).await;
            bench.hand.advance(BACK_OFF.1);
        }
        bench.until("the back-off is long", |facts, _| facts.n_failed >= 9).await;
        bench.phone.up().await.unwrap();
        let now = NOW.plus(8 * BACK_OFF.1);
        bench.tell_at("nginx", now).await;
        let cut = now.plus(FIRST_SIGN_WAIT);
        bench.until("it is cut", |facts, _| facts.next_at.is_some_and(|at| at <= cut)).await;
        bench.hand.advance(FIRST_SIGN_WAIT);
        bench.until("both leave", |_, waiting| waiting == 0).await;
        bench.end().await;
    }
}

#[tokio::test]
async fn a_wait_that_the_service_named_is_not_cut() {
    for bench in Bench::all().await {
        let named = NOW.plus(2 * 3_600_000);
        let facts =
            ChannelFacts { next_at: Some(named), n_failed: 1, failing_at: Some(NOW), ..ChannelFacts::default() };
        let channel = bench.rules.borrow().channels[0].clone();
        let rules = bench.rules.borrow().clone();
        let step = move |tx: &mut Tx<'_>| {
            let before = outbox::channel(tx, "me")?;
            outbox::set_channel(tx, "me", &ChannelFacts { config: before.config, ..facts.clone() })?;
            apply::enqueue_notice(tx, &rules, &error("nginx"), NOW)?;
            claim::claim(tx, &rules, &channel, "somebody", NOW)
        };
        let Claim::Nothing(at) = bench.store.store.write(step).await.unwrap() else { panic!("it was claimed") };
        assert_eq!(at, named);
        bench.end().await;
    }
}

#[tokio::test]
async fn a_refused_credential_pauses_the_channel_and_a_new_one_ends_the_pause() {
    for bench in Bench::all().await {
        let table = bench.phone.channel("channel", "me");
        bench.phone.set_token("AT_another");
        bench.tell("mysql").await;
        bench.until("it pauses", |facts, waiting| facts.paused_at.is_some() && waiting == 1).await;
        bench.tell("nginx").await;
        assert_eq!(bench.phone.calls().len(), 1, "nobody calls with a refused token");
        bench.rules.send_replace(rules(&[table.replace(olog_journeys::phone::TOKEN, "AT_another")]));
        bench.until("both leave", |facts, waiting| facts.paused_at.is_none() && waiting == 0).await;
        bench.end().await;
    }
}

#[tokio::test]
async fn a_channel_that_fails_is_told_on_the_others_and_so_is_its_return() {
    for bench in Bench::all().await {
        let other = Phone::start().await.unwrap();
        let tables = [bench.phone.channel("channel", "me"), other.channel("channel", "other")];
        bench.rules.send_replace(rules(&tables));
        bench.phone.behave(Habit::Status(500));
        bench.tell("mysql").await;
        bench.until("it fails", |facts, _| facts.n_failed == 1).await;
        bench.hand.advance(TELL_AFTER);
        other.wait("the error and the failure", |pushes| pushes.len() >= 2).await;
        bench.phone.behave(Habit::Well);
        bench.hand.advance(BACK_OFF.1);
        bench.until("all leave", |facts, waiting| facts.n_failed == 0 && waiting == 0).await;
        other.wait("its return", |pushes| pushes.len() >= 3).await;
        bench.end().await;
    }
}

#[tokio::test]
async fn a_crash_between_the_yes_and_the_record_repeats_the_message_once() {
    for mut bench in Bench::all().await {
        bench.phone.behave(Habit::TakeAndHold);
        bench.tell("mysql").await;
        bench.phone.wait("the first", |pushes| !pushes.is_empty()).await;
        bench.tasks.shutdown().await;
        bench.phone.behave(Habit::Well);
        let (clock, hand) = Clock::manual(NOW.plus(1_000));
        bench.start(clock);
        hand.advance(CLAIM_FOR);
        bench.until("it leaves", |_, waiting| waiting == 0).await;
        assert_eq!(bench.got(UID).len(), 2);
        bench.end().await;
    }
}

#[tokio::test]
async fn what_waited_for_seven_days_is_given_up_and_that_is_told() {
    for bench in Bench::all().await {
        bench.phone.behave(Habit::Status(500));
        bench.tell("mysql").await;
        bench.until("it fails", |facts, waiting| facts.n_failed == 1 && waiting == 1).await;
        bench.hand.advance(ROW_TTL + LOOK_EVERY);
        let expired = |tx: &mut Tx<'_>| tx.query("SELECT id FROM outbox WHERE outcome = 'expired'", &[]);
        let given_up = async {
            while bench.store.store.read(expired).await.unwrap().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, given_up).await.expect("it is given up");
        bench.phone.behave(Habit::Well);
        bench.hand.advance(BACK_OFF.1);
        bench.until("the word of it leaves", |_, waiting| waiting == 0).await;
        assert!(!bench.got(UID).is_empty(), "{}", bench.phone.story());
        assert!(!bench.got(UID).iter().any(|p| p.content.contains("mysql")), "{}", bench.phone.story());
        bench.end().await;
    }
}

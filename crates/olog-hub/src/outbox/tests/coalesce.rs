//! Thousands of things at once.

use olog_proto::fingerprint::fingerprints;

use super::*;

/// One of three errors, of that task on that device.
fn error_of(device: usize, task: usize) -> Notice {
    let text = format!("failure of kind {}: {task} on {device}", ["a", "b", "c"][task % 3]);
    let mut notice = error(&format!("task{task}"));
    notice.device = Some(format!("dev{device}"));
    notice.incident = Some((device * 1_000 + task) as u64);
    if let Content::Error { excerpt, fingerprint, facts, .. } = &mut notice.content {
        *excerpt = Excerpt::of(&text);
        facts.fingerprints = fingerprints(&text).iter().map(|text| text.fingerprint()).collect();
        *fingerprint = facts.fingerprints.first().copied();
    }
    notice
}

#[tokio::test]
async fn thousands_leave_as_one_message_and_all_of_them_are_told() {
    for bench in Bench::all().await {
        let rules = bench.rules.borrow().clone();
        let put = bench.store.store.write(move |tx| {
            for n in 0..4_000 {
                apply::enqueue_notice(tx, &rules, &error_of(n / 40, n % 40), NOW)?;
            }
            Ok(())
        });
        put.await.unwrap();
        bench.bell.ring();
        bench.until("all leave", |_, waiting| waiting == 0).await;
        assert_eq!(bench.phone.calls().len(), 1, "{} calls", bench.phone.calls().len());
        let text = bench.got(UID)[0].text();
        assert!(text.contains("4000") && text.contains("incident list --all"), "{text}");
        for kind in ["kind a", "kind b", "kind c"] {
            assert!(text.contains(kind), "{text}");
        }
        let ledger = bench.store.store.read(|tx| outbox::attempts_of(tx, 99_039, 10)).await.unwrap();
        assert_eq!(ledger.len(), 2, "the last of them is on record as told to both");
        bench.end().await;
    }
}

#[tokio::test]
async fn one_poison_among_hundreds_is_found_in_few_calls_and_the_others_leave() {
    for bench in Bench::all().await {
        bench.phone.behave(Habit::Code(1001, "banned content"));
        for n in 0..100 {
            bench.tell(&format!("task{n}")).await;
        }
        bench.until("it is refused", |facts, waiting| facts.n_failed >= 1 && waiting == 100).await;
        bench.phone.behave(Habit::Well);
        bench.hand.advance(BACK_OFF.1);
        bench.until("the others leave", |_, waiting| waiting == 0).await;
        assert!(bench.phone.calls().len() <= 8, "{}", bench.phone.story());
        bench.end().await;
    }
}

#[tokio::test]
async fn what_a_killed_hub_had_claimed_is_sent_by_the_next_at_once_where_nobody_else_can_hold_it() {
    for mut bench in Bench::all().await {
        if bench.store.store.is_shared() {
            continue;
        }
        bench.phone.behave(Habit::Hang);
        bench.tell("mysql").await;
        bench.phone.wait_calls("the call that hangs", |calls| !calls.is_empty()).await;
        bench.tasks.shutdown().await;
        bench.phone.behave(Habit::Well);
        let (clock, _hand) = Clock::manual(NOW.plus(1_000));
        bench.start(clock);
        bench.until("it leaves", |_, waiting| waiting == 0).await;
        bench.end().await;
    }
}

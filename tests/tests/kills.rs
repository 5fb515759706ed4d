//! `kill -9` between the service's answer and our record of it, again and again: one kill repeats at most one message, and none is lost
//! (docs/ARCHITECTURE.md, row 10).

use std::{collections::BTreeSet, time::Duration};

use olog_journeys::{phone::Habit, world::World};

const KILLS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_is_killed_many_times_repeats_at_most_once_for_each_kill_and_loses_nothing() {
    let world = World::new().await;
    world.phone.without_rate();
    let mut hub = world.hub();
    let pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    for round in 0..KILLS {
        // The call was accepted or only read, and not answered; or the kill comes at any moment.
        world.phone.behave(match round % 3 {
            0 => Habit::TakeAndHold,
            1 => Habit::Hang,
            _ => Habit::Well,
        });
        let n_calls = world.phone.calls().len();
        for i in 0..3 {
            pi.write(
                &format!("job{round}x{i}.err"),
                &format!("round {round} part {i} failed: {}\n", word(round * 3 + i)),
            );
        }
        world.phone.wait_calls("a call of this round", |calls| calls.len() > n_calls).await;
        if round % 3 == 2 {
            tokio::time::sleep(Duration::from_millis(7 * round as u64)).await;
        }
        hub.daemon.kill();
        world.phone.behave(Habit::Well);
        hub.start();
    }
    pi.wait_sent();
    hub.wait("nothing waits", |hub| {
        (hub.query::<i64>("SELECT COUNT(*) FROM outbox WHERE done_at IS NULL")[0] == 0).then_some(())
    });
    let (mut told, mut n_repeats) = (BTreeSet::new(), 0);
    for push in world.phone.pushes() {
        let words: Vec<String> = (0..KILLS * 3).map(word).filter(|word| push.text().contains(word)).collect();
        n_repeats += usize::from(words.iter().any(|word| told.contains(word)));
        told.extend(words);
    }
    assert_eq!(told.len(), KILLS * 3, "lost; told are {told:?}");
    assert!(n_repeats <= KILLS, "{n_repeats} messages repeat something:\n{}", world.phone.story());
}

/// A word that is in no other text.
fn word(n: usize) -> String {
    let letters = [n / 26, n % 26].map(|i| char::from(b'a' + u8::try_from(i).unwrap_or(0)));
    format!("zq{}{}qz", letters[0], letters[1])
}

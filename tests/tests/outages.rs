//! The hub, an agent or the push service is unreachable for a while.

use olog_journeys::{
    phone::Habit,
    world::{Hub, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_the_agent_was_off_is_told_late() {
    let world = World::new().await;
    let hub = world.hub();
    let mut pi = world.agent("pi", &hub);
    pi.append("svc.err", "trouble from yesterday\n");
    world.push("ERR pi/svc").await;
    pi.daemon.stop();
    pi.append("svc.err", "meanwhile the disk filled\n");
    pi.write("other.err", "another one\n");
    pi.start();
    world.push("meanwhile the disk filled").await;
    world.push("another one").await;
    assert_eq!(world.n_pushes("trouble from yesterday"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_the_hub_was_off_is_told_when_it_is_back() {
    let world = World::new().await;
    let mut hub = world.hub();
    let pi = world.agent("pi", &hub);
    hub.daemon.stop();
    pi.write("svc.err", "nobody heard this yet\n");
    pi.wait("the event is in the spool", |status| status["connected"] == false && status["spool"].as_u64() >= Some(1));
    hub.start();
    world.push("nobody heard this yet").await;
    pi.wait_sent();
    assert_eq!(world.n_pushes("nobody heard this yet"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_both_were_off_is_told() {
    let world = World::new().await;
    let mut hub = world.hub();
    let mut pi = world.agent("pi", &hub);
    pi.write("svc.err", "one\n");
    world.push("ERR pi/svc").await;
    hub.daemon.kill();
    pi.daemon.kill();
    pi.write("new.err", "written in the dark\n");
    pi.start();
    pi.wait("the event is in the spool", |status| status["spool"].as_u64() >= Some(1));
    pi.daemon.kill();
    hub.start();
    pi.start();
    world.push("written in the dark").await;
    pi.wait_sent();
    assert_eq!(hub.query::<i64>("SELECT count(*) FROM tasks WHERE name = 'new'"), [1]);
}

/// A restart of the hub is not a loss of devices.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_hub_does_not_call_everyone_lost() {
    let world = World::new().await;
    let mut hub = world.hub_with("", "[alerts]\nquiet = \"\"\nover_wait = \"1s\"\noffline_after = \"5s\"\n");
    let pi = world.agent("pi", &hub);
    hub.daemon.kill();
    hub.start();
    pi.wait_connected();
    world.all_told(&pi).await;
    assert_eq!(world.n_pushes("LOST"), 0, "{}", world.phone.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_goes_is_lost_once_and_told_when_it_is_back() {
    let world = World::new().await;
    let hub = world.hub_with("", "[alerts]\nquiet = \"\"\nover_wait = \"1s\"\noffline_after = \"3s\"\n");
    let mut pi = world.agent("pi", &hub);
    let nas = world.agent("nas", &hub);
    pi.daemon.kill();
    world.push("LOST pi").await;
    pi.start();
    world.push("BACK pi").await;
    world.all_told(&nas).await;
    assert_eq!((world.n_pushes("LOST pi"), world.n_pushes("LOST nas")), (1, 0), "{}", world.phone.story());
}

async fn comes_through(habits: &[Habit]) -> (World, Hub) {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    world.phone.behave_next(habits.iter().cloned());
    pi.write("svc.err", "this has to come through\n");
    world.push("this has to come through").await;
    world.all_told(&pi).await;
    (world, hub)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_refuses_resets_or_breaks_gets_the_push_again() {
    let busy = Habit::Code(1001, "系统繁忙");
    let (world, _hub) = comes_through(&[Habit::Status(500), Habit::Reset, busy]).await;
    assert_eq!(world.n_pushes("this has to come through"), 1, "{}", world.phone.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_hangs_holds_the_push_up_and_does_not_lose_it() {
    let (world, _hub) = comes_through(&[Habit::Hang]).await;
    assert_eq!(world.n_pushes("this has to come through"), 1, "{}", world.phone.story());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_down_gets_it_when_it_is_up() {
    let world = World::new().await;
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    world.phone.down().await;
    pi.write("svc.err", "the phone was away\n");
    hub.wait("the failed attempt is recorded", |hub| {
        (hub.query::<i64>("SELECT count(*) FROM attempts WHERE outcome = 'later'")[0] > 0).then_some(())
    });
    world.phone.up().await.unwrap();
    world.push("the phone was away").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_who_left_costs_the_other_nothing() {
    let world = World::new().await;
    world.phone.subscribe("UID_gone");
    let hub = world.hub();
    let pi = world.agent("pi", &hub);
    world.all_told(&pi).await;
    world.phone.unsubscribe("UID_gone");
    pi.write("svc.err", "one of two gets this\n");
    world.push("one of two gets this").await;
    // The refused receiver is reported, and no later call names it.
    world.push("UID_gone").await;
    let before = world.phone.calls().len();
    world.all_told(&pi).await;
    let named: Vec<String> = world.phone.calls().iter().skip(before).flat_map(|call| call.named()).collect();
    assert!(!named.contains(&"UID_gone".to_owned()), "{named:?}");
    let to_me =
        world.phone.pushes().iter().filter(|p| p.receiver == "UID_me" && p.text().contains("one of two")).count();
    assert_eq!(to_me, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_pushes_itself_while_the_hub_is_away_and_the_hub_does_not_repeat_it() {
    let world = World::new().await;
    let mut hub = world.hub();
    let channel = world.phone.channel("push.channel", "me");
    let mut pi = world.agent_off("pi", "", &format!("[push]\nafter = \"1s\"\n{channel}"));
    pi.join(&hub);
    pi.start();
    pi.wait_connected();
    hub.daemon.stop();
    pi.write("svc.err", "the hub is asleep\n");
    let push = world.push("the hub is asleep").await;
    // Marked as sent by the device, in the agent's language, which is Chinese unless the hub has set another.
    assert!(push.text().contains("设备") || push.text().contains("device"), "{}", push.text());
    hub.start();
    pi.wait_sent();
    world.all_told(&pi).await;
    assert_eq!(world.n_pushes("the hub is asleep"), 1, "{}", world.phone.story());
    assert_eq!(hub.query::<i64>("SELECT count(*) FROM incidents WHERE subject = 'task' AND ended_at IS NULL"), [1]);
}

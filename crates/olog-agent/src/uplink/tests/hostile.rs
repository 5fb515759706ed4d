//! A hostile hub: lies, and floods of what costs work or memory. The agent waits, and its work stays bounded.

use super::*;

#[tokio::test]
async fn a_hub_that_lies_in_every_frame_makes_the_agent_do_nothing_but_wait() {
    let mut world = World::new();
    world.put(3);
    let lies: [fn() -> Message; 6] = [
        || Message::text(HubFrame::Ack { through: 1_000_000 }.encode().unwrap()),
        || Message::text("{\"run\":\"rm -rf /\"}"),
        || Message::text("x".repeat(olog_proto::FRAME_MAX - 1)),
        || Message::binary(vec![0; 1000]),
        || {
            Message::text(
                HubFrame::Refused { why: Refusal::Busy { detail: "\u{1b}]0;x\u{7}".repeat(1000) } }.encode().unwrap(),
            )
        },
        || {
            Message::text(
                HubFrame::Welcome {
                    acked: 9,
                    window: 1,
                    ping_every: 1,
                    time: Timestamp(0),
                    signature: Signature([0; 64]),
                    next: None,
                    accepts: Vec::new(),
                }
                .encode()
                .unwrap(),
            )
        },
    ];
    let mut began_at = Vec::new();
    for lie in lies {
        let mut hub = world.welcome(1_000, u32::MAX, 0).await;
        began_at.push(Instant::now());
        drop(within(hub.socket.send(lie())).await);
        // It has sent its events; the lie ends the session.
        while hub.frame().await.is_some() {}
        assert_eq!(world.spool.held().events, 3, "nothing was acknowledged by a lie");
    }
    let waits: Vec<_> = began_at.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(waits[4] >= Duration::from_secs(1), "it asks more and more seldom: {waits:?}");
    world.stopped().await;
}

#[tokio::test]
async fn answers_that_nobody_reads_are_not_kept() {
    let mut world = World::new();
    let mut hub = world.welcome(0, 10, 60_000).await;
    for _ in 0..16_000 {
        within(hub.socket.send(Message::Ping(vec![0; 125].into()))).await.unwrap();
    }
    world.put(1);
    let mut n_answers = 0;
    while let Message::Pong(_) = within(hub.socket.next()).await.unwrap().unwrap() {
        n_answers += 1;
    }
    // The stream in memory holds 16 KiB of them, and the agent's buffer two frames.
    assert!(n_answers <= (2 * olog_proto::FRAME_MAX + 16 * 1024) / 125, "{n_answers} answers were kept");
    assert_eq!(world.spool.held().events, 1, "the agent is well: its event came after them");
    world.stopped().await;
}

/// Neither fills a buffer nor ends by itself: what bounds it is how much may come.
#[tokio::test]
async fn endless_empty_fragments_and_endless_tiny_frames_end_the_session() {
    use tokio::io::AsyncWriteExt as _;
    let ack = HubFrame::Ack { through: 0 }.encode().unwrap();
    let tiny = [&[0x81, u8::try_from(ack.len()).unwrap()], ack.as_bytes()].concat();
    // A text that is never complete: its first fragment, and then empty ones.
    for (first, endless) in [(vec![0x01, 0], vec![0_u8, 0]), (vec![], tiny)] {
        let mut world = World::new();
        world.put(1);
        let mut hub = world.welcome(0, 10, 60_000).await;
        assert_eq!(hub.numbers().await, [1]);
        let stream = hub.socket.get_mut();
        within(stream.write_all(&first)).await.unwrap();
        let many = endless.repeat(8 * 1024 / endless.len());
        let flood = async { while stream.write_all(&many).await.is_ok() {} };
        timeout(6 * LIMIT, flood).await.expect("the agent reads for ever");
        let link = world.link(|link| link.trouble.is_some()).await;
        assert!(link.trouble.as_ref().unwrap().contains("more than it can have to say"), "{link:?}");
        assert_eq!(world.spool.held().events, 1, "what was not acknowledged is held");
        world.stopped().await;
    }
}

//! Attacks of a device that has joined: its key was stolen, or its owner is hostile.

use std::time::Instant;

use anyhow::{bail, ensure};
use futures_util::FutureExt as _;
use olog_proto::{AgentFrame, HubFrame, Nonce, frame::Refusal};
use olog_swarm::{Device, Refused, Session, random};
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::arena::{Arena, HOME, address, error, event};
use crate::{Attack, Verdict};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "device/replay",
        what: "a recorded proof is sent again on another connection",
        run: |arena| replay(arena).boxed_local(),
    },
    Attack {
        name: "device/forged-proof",
        what: "proofs for another device's key, for another hub's key, and with bits changed",
        run: |arena| forged_proof(arena).boxed_local(),
    },
    Attack {
        name: "device/forged-numbers",
        what: "numbers that were taken before, with another content; numbers beyond all bounds",
        run: |arena| forged_numbers(arena).boxed_local(),
    },
    Attack {
        name: "device/large-frames",
        what: "frames, texts and lists over their bounds, after a good proof",
        run: |arena| large_frames(arena).boxed_local(),
    },
    Attack {
        name: "device/names",
        what: "it renames itself to what looks like another device",
        run: |arena| names(arena).boxed_local(),
    },
    Attack {
        name: "device/flood",
        what: "errors of ever new tasks, as fast as the hub takes them",
        run: |arena| flood(arena).boxed_local(),
    },
];

/// Sends a proof that should not hold.
async fn refused(session: &mut Session, auth: olog_proto::frame::Auth) -> anyhow::Result<Refusal> {
    session.send(&AgentFrame::Auth(Box::new(auth))).await?;
    match session.receive().await? {
        HubFrame::Refused { why } => Ok(why),
        other => bail!("the hub said {other:?}"),
    }
}

async fn replay(arena: &Arena) -> anyhow::Result<Verdict> {
    let (device, link) = (arena.joined("replayed").await?, arena.link());
    let mut first = arena.websocket(&link, HOME).await?;
    let hello = first.hello().await?;
    let auth = device.auth(&hello, Nonce(random()?))?;
    first.send(&AgentFrame::Auth(Box::new(auth.clone()))).await?;
    ensure!(matches!(first.receive().await?, HubFrame::Welcome { .. }), "the first proof was not taken");
    for _ in 0..20 {
        let mut second = arena.websocket(&link, HOME).await?;
        let hello = second.hello().await?;
        ensure!(hello.nonce != auth.nonce, "the hub's nonce comes again");
        let why = refused(&mut second, auth.clone()).await?;
        ensure!(why == Refusal::BadProof, "refused with {why:?}");
    }
    Ok(Verdict::Held("20 of 20 refused".to_owned()))
}

async fn forged_proof(arena: &Arena) -> anyhow::Result<Verdict> {
    let (victim, thief, link) = (arena.joined("victim").await?, Device::unknown("victim")?, arena.link());
    let other_hub = olog_proto::SecretKey::from_seed(random()?).public();
    let mut tried = 0;
    for kind in 0..4 {
        let mut session = arena.websocket(&link, HOME).await?;
        let hello = session.hello().await?;
        let own = Nonce(random()?);
        let good = victim.auth(&hello, own)?;
        let auth = match kind {
            // The victim's public key with the thief's signature.
            0 => olog_proto::frame::Auth { signature: thief.auth(&hello, own)?.signature, ..good },
            // A proof that was made for another hub: a hostile hub passes it on.
            1 => victim.auth(&olog_swarm::Hello { hub_key: other_hub, ..hello }, own)?,
            // Another name than the one that was signed.
            2 => olog_proto::frame::Auth { name: "someone-else".parse()?, ..good },
            _ => {
                let mut signature = good.signature;
                signature.0[0] ^= 1;
                olog_proto::frame::Auth { signature, ..good }
            }
        };
        let why = refused(&mut session, auth).await?;
        ensure!(why == Refusal::BadProof, "forgery {kind} is answered with {why:?}");
        tried += 1;
    }
    Ok(Verdict::Held(format!("{tried} of {tried} refused")))
}

async fn forged_numbers(arena: &Arena) -> anyhow::Result<Verdict> {
    let (device, link) = (arena.joined("forger").await?, arena.link());
    let mut session = arena.session(&device, &link, HOME).await?;
    session.send(&AgentFrame::Events { from: 1, events: vec![event(1, error("forged", "the first text\n")?)] }).await?;
    ensure!(matches!(session.receive().await?, HubFrame::Ack { through: 1 }), "no ack");
    let mut again = arena.session(&device, &link, HOME).await?;
    again.send(&AgentFrame::Events { from: 1, events: vec![event(1, error("forged", "another text\n")?)] }).await?;
    let answer = again.receive().await?;
    ensure!(
        matches!(answer, HubFrame::Refused { why: Refusal::NewEpoch { .. } }),
        "a number with another content is answered with {answer:?}"
    );
    let texts = arena.hub.events("text");
    ensure!(!texts.iter().any(|body| body.to_string().contains("another text")), "history was written anew");
    let late = u64::try_from(i64::MAX)? + 1;
    for raw in [
        r#"{"events":{"from":0,"events":[]}}"#.to_owned(),
        format!(r#"{{"events":{{"from":{late},"events":[]}}}}"#),
        r#"{"events":{"from":-1,"events":[]}}"#.to_owned(),
        r#"{"ack":{"through":9223372036854775807}}"#.to_owned(),
        r#"{"welcome":{"acked":1}}"#.to_owned(),
        r#"{"run":{"command":"id"}}"#.to_owned(),
        "[".repeat(100_000),
        "{\"events\":".repeat(10_000),
    ] {
        let device = device.renamed("forger");
        let mut session = match arena.session(&device, &link, HOME).await {
            Ok(session) => session,
            Err(error) if error.is::<Refused>() => break,
            Err(error) => return Err(error),
        };
        session.send_raw(Message::text(raw)).await?;
        let answer = session.receive().await;
        ensure!(!matches!(answer, Ok(HubFrame::Ack { .. })), "a frame without sense is acknowledged");
    }
    Ok(Verdict::Held("the old content stands; frames without sense are refused".to_owned()))
}

async fn large_frames(arena: &Arena) -> anyhow::Result<Verdict> {
    let (device, link) = (arena.joined("large").await?, arena.link());
    let memory = arena.memory();
    for n in 0..200 {
        let mut session = arena.session(&device, &link, address(n)).await?;
        let message = match n % 3 {
            0 => Message::text("x".repeat(olog_proto::FRAME_MAX + 1)),
            1 => Message::binary(vec![0; 100_000]),
            _ => Message::text(format!("{{\"bye\":{{\"why\":\"{}\"}}}}", "y".repeat(100_000))),
        };
        // The hub may close while it is still being sent.
        _ = session.send_raw(message).await;
        let answer = session.receive().await;
        ensure!(!matches!(answer, Ok(HubFrame::Ack { .. })), "it is acknowledged");
    }
    Ok(Verdict::Held(format!("200 frames, none taken; {}", memory.within(1)?)))
}

async fn names(arena: &Arena) -> anyhow::Result<Verdict> {
    let (device, link) = (arena.joined("lookalike").await?, arena.link());
    let looks = [
        "honest",
        "HONEST",
        "Honest",
        "honest ",
        " honest",
        "honest\u{200b}",
        "ho\u{2060}nest",
        "hon\u{ad}est",
        "honest\u{fe0f}",
        "hon\u{61c}est",
        "h\u{43e}nest",
        "hone\u{455}t",
        "\u{ff48}onest",
        "honest\u{e0061}",
        "ho\u{301}nest\u{34f}",
    ];
    let mut untold = Vec::new();
    for look in looks {
        let Ok(name) = look.parse::<olog_proto::DeviceName>() else { continue };
        _ = arena.session(&device.renamed(name.as_str()), &link, HOME).await;
        let rows = arena.hub.list(&["device", "list"]);
        let names: Vec<_> = rows.iter().filter_map(|row| row.get("name").and_then(|name| name.as_str())).collect();
        let is_honest = |name: &str| name.eq_ignore_ascii_case("honest");
        ensure!(names.iter().filter(|name| is_honest(name)).count() == 1, "two devices are called honest: {names:?}");
        if names.iter().any(|listed| *listed == name.as_str() && !is_honest(listed)) {
            untold.push(look.escape_unicode().to_string());
        }
    }
    ensure!(untold.is_empty(), "taken although they look like \"honest\": {}", untold.join(", "));
    Ok(Verdict::Held(format!("{} names, none taken", looks.len())))
}

async fn flood(arena: &Arena) -> anyhow::Result<Verdict> {
    let memory = arena.memory();
    let (device, link, seconds) = (arena.joined("flooder").await?, arena.link(), arena.seconds);
    let (pushes, size) = (arena.world.phone.pushes().len(), store_size(arena));
    let mut session = arena.session(&device, &link, HOME).await?;
    let flood = tokio::spawn(async move {
        let start = Instant::now();
        let mut n = 0;
        while start.elapsed() < seconds {
            let text = |n: u64| {
                error(&format!("flood{n}"), &format!("{} happened for the first time\n", words(n))).expect("a name")
            };
            session.pump(200, 100, olog_swarm::now(), text).await?;
            n += 200;
        }
        anyhow::Ok(n)
    });
    let mut slowest = std::time::Duration::ZERO;
    while !flood.is_finished() {
        slowest = slowest.max(arena.alert().await?);
    }
    let n = flood.await??;
    let told = arena.world.phone.pushes().len() - pushes;
    let grown = (store_size(arena) - size) / 1024;
    let tasks = arena.hub.list(&["task", "list"]);
    let own = tasks.iter().filter(|row| row.get("device").is_some_and(|name| name == "flooder")).count();
    ensure!(own <= 5_000, "one device has {own} tasks");
    let open = arena.hub.list(&["incident", "list"]);
    let open = open.iter().filter(|row| row.get("device").is_some_and(|name| name == "flooder")).count();
    ensure!(open <= 201, "one device has {open} open incidents");
    Ok(Verdict::Held(format!(
        "{n} events: {own} tasks, {open} open incidents, {told} pushes in all, the store grew by {grown} KiB; an honest error was told after at \
         most {} ms; {}",
        slowest.as_millis(),
        memory.within(1)?
    )))
}

/// Words that no other number gives, without digits, so that each text is new.
fn words(n: u64) -> String {
    n.to_string().bytes().map(|digit| char::from(b'a' + (digit - b'0'))).collect()
}

fn store_size(arena: &Arena) -> u64 {
    let files = ["olog.db", "olog.db-wal"];
    files.iter().filter_map(|file| std::fs::metadata(arena.hub.state_dir.join(file)).ok()).map(|data| data.len()).sum()
}

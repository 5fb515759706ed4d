//! Attacks of strangers: they reach the hub's port, and have neither a link nor a key that the hub knows.

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::ensure;
use futures_util::FutureExt as _;
use olog_proto::JoinLink;
use olog_swarm::{Device, Refused, Session};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::arena::{Address, Arena, HOME, address, secure, status, tcp};
use crate::{Attack, Verdict};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "strangers/half-open",
        what: "connections that stop in the middle of the TLS handshake, from many addresses",
        run: |arena| half_open(arena).boxed_local(),
    },
    Attack {
        name: "strangers/one-address",
        what: "one address opens all the connections that it can",
        run: |arena| one_address(arena).boxed_local(),
    },
    Attack {
        name: "strangers/slow-readers",
        what: "pipelined requests whose answers are never read",
        run: |arena| slow_readers(arena).boxed_local(),
    },
    Attack {
        name: "strangers/half-messages",
        what: "websockets with 500 kB of a message that has no end, before any proof",
        run: |arena| half_messages(arena).boxed_local(),
    },
    Attack {
        name: "strangers/frames",
        what: "pings and empty fragments without end, before any proof",
        run: |arena| frames(arena).boxed_local(),
    },
    Attack {
        name: "strangers/fresh-keys",
        what: "new keys with a valid proof ask to join, each under a text that cries for attention",
        run: |arena| fresh_keys(arena).boxed_local(),
    },
    Attack {
        name: "strangers/link-guessing",
        what: "secrets of links are guessed; a good link from the same address still works",
        run: |arena| link_guessing(arena).boxed_local(),
    },
];

/// How many connections are opened at the same time.
const AT_ONCE: usize = 64;
/// The hub closes what says nothing, or reads nothing, within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Is the hub still there for a visitor whom it does not know, and for the honest agent?
async fn serves(arena: &Arena, who: Address) -> anyhow::Result<String> {
    let answer = arena.http(who, "GET /healthz HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n").await?;
    ensure!(status(&answer) == 200, "/healthz answered {:?}", answer.lines().next());
    Ok("/healthz answers".to_owned())
}

/// Waits until the hub has closed all of these: how many are still open after [`PATIENCE`]?
async fn still_open(streams: Vec<TcpStream>) -> usize {
    let mut waiting = JoinSet::new();
    for mut stream in streams {
        waiting.spawn(async move {
            let mut rest = [0; 4096];
            let to_its_end = async { while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {} };
            timeout(PATIENCE, to_its_end).await.is_err()
        });
    }
    waiting.join_all().await.into_iter().filter(|open| *open).count()
}

async fn half_open(arena: &Arena) -> anyhow::Result<Verdict> {
    let memory = arena.memory();
    let mut streams = Vec::new();
    for n in 0..arena.connections {
        let Ok(mut stream) = arena.tcp(address(n / 60)).await else { continue };
        // The head of a handshake record that announces 512 bytes.
        if stream.write_all(&[22, 3, 1, 2, 0, 1]).await.is_ok() {
            streams.push(stream);
        }
    }
    let n = streams.len();
    // A device that the hub knows comes back while they are all there.
    arena.honest.daemon.signal(rustix::process::Signal::HUP);
    let during = arena.alert().await?.as_millis();
    let measured = memory.within(n)?;
    let open = still_open(streams).await;
    ensure!(open == 0, "{open} of {n} connections are still open after {} s", PATIENCE.as_secs());
    let serves = serves(arena, HOME).await?;
    Ok(Verdict::Held(format!(
        "{n} opened, all closed; {measured}; meanwhile an honest error was told after {during} ms; {serves}"
    )))
}

async fn one_address(arena: &Arena) -> anyhow::Result<Verdict> {
    let mut streams = Vec::new();
    for _ in 0..500 {
        streams.push(arena.tcp(HOME).await?);
    }
    let other = serves(arena, address(9_000)).await?;
    let mut n = 0;
    for stream in &mut streams {
        // A place that was refused is closed at once.
        let mut byte = [0; 1];
        if timeout(Duration::from_millis(20), stream.read(&mut byte)).await.is_err() {
            n += 1;
        }
    }
    ensure!(n <= 64, "one address holds {n} places");
    Ok(Verdict::Held(format!("{n} of 500 connections were kept; for another address {other}")))
}

async fn slow_readers(arena: &Arena) -> anyhow::Result<Verdict> {
    let memory = arena.memory();
    let requests = "GET /join HTTP/1.1\r\nHost: hub\r\n\r\n".repeat(200);
    let mut opening = JoinSet::new();
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    for n in 0..arena.connections.min(4_000) {
        let (slots, tls, to, requests) = (slots.clone(), arena.tls(), arena.target(), requests.clone());
        opening.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let mut stream = secure(tcp(address(n / 60), to).await?, &tls).await?;
            _ = timeout(Duration::from_secs(2), stream.write_all(requests.as_bytes())).await;
            anyhow::Ok(stream)
        });
    }
    let opened: Vec<_> = opening.join_all().await.into_iter().flatten().collect();
    let n = opened.len();
    let during = arena.alert().await?.as_millis();
    let measured = memory.within_answered(n)?;
    // The hub has written all that the buffers take, and gives up; its kernel gives up what it holds for them. The streams here are still open.
    let ports = opened.iter().filter_map(|stream| stream.get_ref().0.local_addr().ok());
    let mut left: HashSet<u16> = ports.map(|address| address.port()).collect();
    let start = std::time::Instant::now();
    while !left.is_empty() && start.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let held = held_for(arena.target().port());
        left.retain(|port| held.contains(port));
    }
    ensure!(left.is_empty(), "the hub holds {} of {n} connections after {} s", left.len(), PATIENCE.as_secs());
    drop(opened);
    let serves = serves(arena, HOME).await?;
    Ok(Verdict::Held(format!(
        "none of {n} connections was kept; {measured}; meanwhile an honest error was told after {during} ms; {serves}"
    )))
}

/// The other ends, by their ports, for which the kernel has a connection of `port` in any state: also one that its process has closed, while bytes
/// wait (proc(5), net/tcp).
fn held_for(port: u16) -> HashSet<u16> {
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap_or_default();
    let port_of = |field: &str| u16::from_str_radix(field.split(':').nth(1)?, 16).ok();
    let other_end = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, remote) = (port_of(fields.next()?)?, port_of(fields.next()?)?);
        (local == port).then_some(remote)
    };
    table.lines().filter_map(other_end).collect()
}

async fn half_messages(arena: &Arena) -> anyhow::Result<Verdict> {
    let (memory, link) = (arena.memory(), arena.link());
    let mut opening = JoinSet::new();
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    for n in 0..arena.connections.min(2_000) {
        let (slots, tls, to, link) = (slots.clone(), arena.tls(), arena.target(), link.clone());
        opening.spawn(async move {
            let _slot = slots.acquire_owned().await;
            let mut session = Session::open(tcp(address(n / 60), to).await?, &link, &tls).await?;
            session.hello().await?;
            // A text frame that is not the last one; the hub may close in the middle of it.
            let taken = session.send_raw(half_of(500_000)).await.is_ok();
            let end = timeout(PATIENCE, session.receive()).await;
            anyhow::Ok((taken, end.is_err()))
        });
    }
    let ends: Vec<_> = opening.join_all().await.into_iter().flatten().collect();
    let (n, open) = (ends.len(), ends.iter().filter(|(_, open)| *open).count());
    ensure!(open == 0, "{open} of {n} websockets were still open after {} s", PATIENCE.as_secs());
    Ok(Verdict::Held(format!("{n} websockets, all closed; {}", memory.within(n.min(AT_ONCE))?)))
}

/// The first frame of a text message whose end never comes.
fn half_of(bytes: usize) -> Message {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    Message::Frame(Frame::message(vec![b'x'; bytes], OpCode::Data(Data::Text), false))
}

async fn frames(arena: &Arena) -> anyhow::Result<Verdict> {
    let (memory, link) = (arena.memory(), arena.link());
    let mut floods = JoinSet::new();
    for n in 0..8 {
        let (tls, to, link) = (arena.tls(), arena.target(), link.clone());
        floods.spawn(async move {
            let mut session = Session::open(tcp(address(n), to).await?, &link, &tls).await?;
            let mut sent = 0_u64;
            let flood = async {
                loop {
                    let message = if sent.is_multiple_of(2) { Message::Ping(vec![0; 100].into()) } else { half_of(0) };
                    if session.send_raw(message).await.is_err() {
                        return;
                    }
                    sent += 1;
                }
            };
            let closed = timeout(PATIENCE, flood).await.is_ok();
            anyhow::Ok((sent, closed))
        });
    }
    let ends: Vec<_> = floods.join_all().await.into_iter().flatten().collect();
    let most = ends.iter().map(|(sent, _)| *sent).max().unwrap_or(0);
    ensure!(ends.iter().all(|(_, closed)| *closed), "a stranger may send frames for over {} s", PATIENCE.as_secs());
    Ok(Verdict::Held(format!("closed after at most {most} frames; {}", memory.within(8)?)))
}

async fn fresh_keys(arena: &Arena) -> anyhow::Result<Verdict> {
    let (memory, link) = (arena.memory(), arena.link());
    let pushes = arena.world.phone.pushes().len();
    let (mut floods, start) = (JoinSet::new(), std::time::Instant::now());
    let n_tasks = AT_ONCE as u64;
    for task in 0..n_tasks {
        let (tls, to, link, share) = (arena.tls(), arena.target(), link.clone(), arena.keys.div_ceil(n_tasks));
        floods.spawn(async move {
            let (mut waits, mut refused, mut failed) = (0_u64, 0_u64, 0_u64);
            for n in 0..share {
                let from = address(usize::try_from((task * share + n) % 16_000).unwrap_or(0));
                match ask(n, from, to, &link, &tls).await {
                    Some(true) => waits += 1,
                    Some(false) => refused += 1,
                    None => failed += 1,
                }
            }
            (waits, refused, failed)
        });
    }
    let mut slowest = Duration::ZERO;
    let (mut waits, mut refused, mut failed) = (0, 0, 0);
    while let Some(ended) = {
        slowest = slowest.max(arena.alert().await?);
        floods.join_next().await
    } {
        let (a, b, c) = ended?;
        (waits, refused, failed) = (waits + a, refused + b, failed + c);
    }
    let seconds = start.elapsed().as_secs_f64();
    let measured = memory.within(AT_ONCE)?;
    ensure!(waits <= 1_000, "{waits} strangers wait to be accepted");
    let told = arena.world.phone.pushes().into_iter().skip(pushes);
    let told = told.filter(|push| push.text().contains("URGENT") || push.summary.contains("URGENT")).count();
    let minutes = seconds / 60.0;
    ensure!((told as f64) <= 1.0 + minutes / 10.0, "strangers are named in {told} pushes within {minutes:.1} min");
    Ok(Verdict::Held(format!(
        "{} keys in {seconds:.0} s: {waits} wait, {refused} refused, {failed} turned away; {told} push names some; an honest error was told after at most {} ms; {measured}",
        waits + refused + failed,
        slowest.as_millis()
    )))
}

/// A new key asks to join: does it wait to be accepted? `None`: it did not come so far.
async fn ask(
    n: u64,
    from: Address,
    to: std::net::SocketAddr,
    link: &JoinLink,
    tls: &Arc<rustls::ClientConfig>,
) -> Option<bool> {
    let device = Device::unknown(&format!("URGENT call 1-900-{n} bank frozen")).ok()?;
    let error = device.connect_over(tcp(from, to).await.ok()?, link, tls).await.err()?;
    let Refused(why) = error.downcast_ref()?;
    Some(matches!(why, olog_proto::frame::Refusal::Pending))
}

async fn link_guessing(arena: &Arena) -> anyhow::Result<Verdict> {
    let key = olog_proto::SecretKey::from_seed(olog_swarm::random()?).public();
    let (mut wrong, mut slowed) = (0, 0);
    for n in 0..200 {
        let secret = olog_proto::identity::JoinSecret(olog_swarm::random()?);
        let body =
            serde_json::json!({ "secret": secret.to_string(), "name": format!("guess{n}"), "key": key }).to_string();
        let request = format!(
            "POST /join HTTP/1.1\r\nHost: hub\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        match status(&arena.http(Address::LOCALHOST, &request).await?) {
            403 => wrong += 1,
            429 => slowed += 1,
            other => anyhow::bail!("a guessed secret was answered with {other}"),
        }
    }
    ensure!(slowed > 0, "200 guesses of one address were not slowed down");
    arena.joined("after-the-guesses").await?;
    Ok(Verdict::Held(format!("{wrong} refused, {slowed} slowed down; the good link worked")))
}

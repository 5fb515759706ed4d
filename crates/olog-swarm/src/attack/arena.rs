//! The place of all attacks: a hub, an honest agent and a phone, and what an attacker has: addresses, connections, one device that has joined.
//!
//! It also measures: the hub's peak of memory during an attack, and how long the honest agent's next error takes to the phone.

use std::{
    cell::Cell,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use futures_util::FutureExt as _;
use olog_journeys::world::{Agent, Hub, World};
use olog_proto::{Event, EventContent, Excerpt, File, Growth, JoinLink, LogKind, Timestamp, fingerprint::fingerprints};
use olog_swarm::{Device, Session, any_certificate, now};
use rustls::ClientConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{Attack, AttackOptions, Verdict};

/// How many times its memory of before the hub may have under a flood.
const MEMORY_GROWTH: f64 = 1.5;
/// What a connection that is held open may cost the hub: 64 MiB for 3,000.
const CONNECTION_KIB: f64 = 64.0 * 1024.0 / 3_000.0;
/// What one may cost that has an answer of HTTP in it: two buffers of 8 KiB (hyper's least), two of 4 KiB (rustls), and 5 KiB of state; of the
/// rest of 32 KiB the allocator takes a part.
const ANSWERED_KIB: f64 = 32.0;

/// Everything that takes part.
pub(crate) struct Arena {
    pub(crate) world: World,
    pub(crate) hub: Hub,
    /// The agent whose errors have to be told.
    pub(crate) honest: Agent,
    pub(crate) keys: u64,
    pub(crate) connections: usize,
    pub(crate) seconds: Duration,
    /// Within this an honest error has to be told, whatever happens beside it.
    told_within: Duration,
    tls: Arc<ClientConfig>,
    told: Cell<u32>,
}

/// Whence an attacker comes.
pub(crate) type Address = Ipv4Addr;

impl Arena {
    /// Starts the hub and the honest agent.
    pub(crate) async fn open(args: &AttackOptions) -> Arena {
        let world = World::new().await;
        world.phone.without_rate();
        // Local users have to reach the agent's log dir and socket.
        std::fs::set_permissions(world.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let hub = world.hub();
        let honest = world.agent("honest", &hub);
        std::fs::set_permissions(&honest.log_dir, std::fs::Permissions::from_mode(0o1777)).unwrap();
        Arena {
            world,
            hub,
            honest,
            keys: args.keys,
            connections: args.connections,
            seconds: Duration::from_secs(args.seconds),
            told_within: Duration::from_secs(args.told_within),
            tls: any_certificate().unwrap(),
            told: Cell::new(0),
        }
    }

    /// Runs an attack, and looks at what it left: the hub's memory, and the honest agent's next error.
    pub(crate) async fn attacked(&self, attack: &Attack) -> anyhow::Result<Verdict> {
        // What the journeys' parts wait for in vain ends with a panic.
        let verdict = AssertUnwindSafe((attack.run)(self)).catch_unwind().await;
        let verdict = verdict.map_err(|panic| anyhow::anyhow!("{}", words_of(&*panic)))??;
        let Verdict::Held(measured) = verdict else { return Ok(verdict) };
        let after = self.alert().await?;
        Ok(Verdict::Held(format!("{measured}; an honest error was told {} ms later", after.as_millis())))
    }

    /// How long the honest agent's next error takes from its file to the phone.
    pub(crate) async fn alert(&self) -> anyhow::Result<Duration> {
        let n = self.told.get();
        self.told.set(n + 1);
        let name = format!("canary{n}");
        let start = Instant::now();
        self.honest.write(&format!("{name}.err"), "an honest error\n");
        loop {
            let title = format!("honest/{name}");
            if self
                .world
                .phone
                .pushes()
                .iter()
                .any(|push| push.summary.contains(&title) || push.text().contains(&title))
            {
                break;
            }
            ensure!(start.elapsed() < Duration::from_secs(60), "an honest error was not told within 60 s");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let after = start.elapsed();
        ensure!(after <= self.told_within, "an honest error was told only after {} ms", after.as_millis());
        Ok(after)
    }

    /// Begins to measure the hub's memory.
    pub(crate) fn memory(&self) -> Memory {
        Memory::of(self.hub.daemon.pid())
    }

    /// A new link.
    pub(crate) fn link(&self) -> JoinLink {
        self.hub.join_link().parse().expect("the hub's own link")
    }

    /// A device of the attacker that has joined.
    pub(crate) async fn joined(&self, name: &str) -> anyhow::Result<Device> {
        Device::join(&self.link(), name).await
    }

    /// A session of a device, from an address.
    pub(crate) async fn session(&self, device: &Device, link: &JoinLink, from: Address) -> anyhow::Result<Session> {
        device.connect_over(self.tcp(from).await?, link, &self.tls).await
    }

    /// A websocket on which nothing was said yet.
    pub(crate) async fn websocket(&self, link: &JoinLink, from: Address) -> anyhow::Result<Session> {
        Session::open(self.tcp(from).await?, link, &self.tls).await
    }

    /// The configuration of TLS, for tasks of their own.
    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        self.tls.clone()
    }

    /// Where the hub listens.
    pub(crate) fn target(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.hub.port))
    }

    /// A TCP connection from an address of 127.0.0.0/8.
    pub(crate) async fn tcp(&self, from: Address) -> anyhow::Result<TcpStream> {
        tcp(from, self.target()).await
    }

    /// A TLS connection.
    pub(crate) async fn secure(&self, from: Address) -> anyhow::Result<TlsStream<TcpStream>> {
        secure(self.tcp(from).await?, &self.tls).await
    }

    /// Sends a request as it is written here, and returns the whole answer.
    pub(crate) async fn http(&self, from: Address, request: &str) -> anyhow::Result<String> {
        let ask = async {
            let mut stream = self.secure(from).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            // A peer that closes without TLS's farewell has still answered.
            _ = stream.read_to_end(&mut answer).await;
            anyhow::Ok(String::from_utf8_lossy(&answer).into_owned())
        };
        timeout(Duration::from_secs(30), ask).await.context("no answer within 30 s")?
    }

    /// `GET` of a path with more headers, each of which ends with a line end.
    pub(crate) async fn get(&self, path: &str, headers: &str) -> anyhow::Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n{headers}\r\n");
        self.http(HOME, &request).await
    }
}

/// The address of an attacker who has only one.
pub(crate) const HOME: Address = Ipv4Addr::new(127, 66, 0, 1);

/// The n-th address of an attacker who has many.
pub(crate) fn address(n: usize) -> Address {
    let [.., a, b] = u32::try_from(n + 1).unwrap_or(1).to_be_bytes();
    Ipv4Addr::new(127, 77, a, b)
}

/// A TCP connection from an address of 127.0.0.0/8.
pub(crate) async fn tcp(from: Address, to: SocketAddr) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let connected = timeout(Duration::from_secs(30), socket.connect(to)).await;
    Ok(connected.context("the hub accepts no connection within 30 s")??)
}

/// TLS over a connection.
pub(crate) async fn secure(stream: TcpStream, tls: &Arc<ClientConfig>) -> anyhow::Result<TlsStream<TcpStream>> {
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1")?;
    let shaken = timeout(Duration::from_secs(30), TlsConnector::from(tls.clone()).connect(name, stream)).await;
    Ok(shaken.context("no TLS handshake within 30 s")??)
}

/// The answer's status code.
pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}

/// An error of a task.
pub(crate) fn error(task: &str, text: &str) -> anyhow::Result<EventContent> {
    let file = File {
        task: task.parse()?,
        suffix: LogKind::Err,
        path: format!("/var/log/olog/{task}.err"),
        change: Growth::Rewritten,
        began_at: Some(olog_proto::DeviceTime(Timestamp(1_700_000_000_000))),
        closed: true,
        sibling_err: false,
        history: false,
        fingerprints: fingerprints(text),
    };
    Ok(EventContent::Text { file, excerpt: Excerpt::of(text) })
}

/// An event with this number.
pub(crate) fn event(n: u64, what: EventContent) -> Event {
    Event {
        n,
        at: olog_proto::DeviceTime(now()),
        boot: olog_proto::event::Id128([7; 16]),
        up: n,
        what,
        by: None,
        pushed: None,
    }
}

/// The memory of a process during an attack.
pub(crate) struct Memory {
    pid: u32,
    before: f64,
}

impl Memory {
    /// Notes what it has, and resets its peak (proc(5), clear_refs).
    pub(crate) fn of(pid: u32) -> Memory {
        // Without the right to reset it the peak is that of its whole life, which is never smaller.
        _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
        Memory { pid, before: memory_kib(pid, "VmRSS:") }
    }

    /// Was the peak within its bound, with this many connections held open? Returns what was measured.
    pub(crate) fn within(&self, held: usize) -> anyhow::Result<String> {
        self.within_kib(held as f64 * CONNECTION_KIB)
    }

    /// The same with connections that have an answer in them.
    pub(crate) fn within_answered(&self, held: usize) -> anyhow::Result<String> {
        self.within_kib(held as f64 * ANSWERED_KIB)
    }

    /// Was the peak within its bound, when so much more is right?
    pub(crate) fn within_kib(&self, more: f64) -> anyhow::Result<String> {
        let peak = memory_kib(self.pid, "VmHWM:");
        let bound = self.before * MEMORY_GROWTH + more;
        let measured = format!(
            "memory {:.1} → {:.1} MiB at its peak ({:.2} ×)",
            self.before / 1024.0,
            peak / 1024.0,
            peak / self.before
        );
        ensure!(peak <= bound, "{measured}; at most {:.1} MiB were right", bound / 1024.0);
        Ok(measured)
    }
}

/// The first line of a panic.
fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.and_then(|text| text.lines().next()).unwrap_or("a panic without words").to_owned()
}

/// A size of a process in KiB, as proc(5) names it.
fn memory_kib(pid: u32, field: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or("0");
    line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(f64::NAN)
}

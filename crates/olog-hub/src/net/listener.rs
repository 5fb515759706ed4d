//! The hub's port: from an accepted connection to the router, in as little memory as it takes.
//!
//! An agent's connection stays for weeks and says nothing most of the time, so what counts is what it holds while idle.
//! This loop does by hand what a server framework would do, for three reasons: it looks at the first byte (a TLS
//! handshake is TLS; anything else in clear is an old client's upgrade while these are let in, else it is told which port this
//! is), it keeps every buffer small, and it lets go of
//! everything of HTTP once a connection has become a websocket.
//!
//! Bounds ([`Limits`]): connections, in all, without a known device, and of one address (a further one is closed, counted, and told in
//! the log); time for the first byte, the handshake, a request's header, and for the other end to read. It knows no path and no frame.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, http::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

mod guarded;
pub mod tls;

pub use guarded::KNOWN_MAX;
use guarded::{Guarded, Socket, Strangers, Trust};

/// First byte of a TLS record that holds a handshake (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
/// A request's header and what is read ahead: hyper's least.
const HTTP_BUFFER: usize = 8 * 1024;
/// Encrypted bytes that wait for an other end that does not read (rustls would keep 64 KiB); the agents' sessions write no more at once.
const TLS_BUFFER: usize = 4 * 1024;
/// What the kernel keeps of an answer that waits for its reader, twice (socket(7), `SO_SNDBUF`); without a bound 4 MB (tcp(7), `tcp_wmem`).
const KERNEL_BUFFER: u32 = 128 * 1024;
/// Connections that the kernel holds before they are accepted.
const BACKLOG: u32 = 1024;
/// How often the log says that connections are refused.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What is said in clear on a port that speaks TLS.
pub const SPEAKS_TLS_WORDS: &str = "this port speaks TLS: use https://\r\n";

const SPEAKS_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\
    content-length: 36\r\n\r\nthis port speaks TLS: use https://\r\n";

/// What a connection may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// At one time, sessions included.
    pub connections: usize,
    /// At one time, connections whose device is not known.
    pub strangers: usize,
    /// The same for one address. An address of a trusted proxy has no such limit.
    pub strangers_of_one: usize,
    /// For the first byte and the TLS handshake.
    pub handshake: Duration,
    /// For a request's header, and between two requests.
    pub header: Duration,
    /// For the other end to read: of a write without any progress, and after the close of what the kernel still holds.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 10_000,
            strangers: 5_000,
            strangers_of_one: 64,
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(15),
            write: Duration::from_secs(20),
        }
    }
}

/// A connection, as a request's extension. Its place among the bounded number is held until the last clone is dropped: a
/// session keeps one.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// By TLS?
    pub tls: bool,
    trust: Arc<Trust>,
    _place: Arc<OwnedSemaphorePermit>,
}

impl Connection {
    /// It becomes a websocket: until its device is known it may send no more than a handshake needs.
    pub fn is_websocket(&self) {
        self.trust.is_websocket();
    }

    /// Its device is known: it no longer counts as a stranger's.
    pub fn is_known(&self) {
        self.trust.is_known();
    }

    /// The other end's address; an IPv4 one that came through an IPv6 socket as what it is.
    pub fn ip(&self) -> IpAddr {
        self.peer.ip().to_canonical()
    }
}

/// What a port that speaks TLS serves in clear beside it, while it is open.
#[derive(Clone)]
pub struct InClear {
    /// The routes.
    pub app: Router,
    /// Is it open now?
    pub is_open: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Tells whether an address is a trusted proxy's, which forwards many clients.
pub type IsProxy = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

impl std::fmt::Debug for InClear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InClear").field("is_open", &(self.is_open)()).finish_non_exhaustive()
    }
}

/// Why the port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", advice(*address, source))]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
}

/// What helps a hub that may not open a port below 1024.
const LOW_PORT: &str = ": ports below 1024 need a right: `systemctl edit olog-hub`, write the three lines \"[Service]\", \
    \"AmbientCapabilities=CAP_NET_BIND_SERVICE\" and \"CapabilityBoundingSet=CAP_NET_BIND_SERVICE\", then \
    `systemctl restart olog-hub`; or keep port 8765 and set a reverse proxy before it";

/// What helps, where it is known.
fn advice(address: SocketAddr, error: &io::Error) -> String {
    use rustix::io::Errno;
    let port = address.port();
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => {
            format!(": another program has port {port} (`ss -ltnp` names it): stop it, or set `listen` to another port")
        }
        Some(Errno::ACCESS | Errno::PERM) if port < 1024 => LOW_PORT.to_owned(),
        Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) if address.is_ipv6() => {
            format!(": without IPv6 on this machine, set `listen = \"0.0.0.0:{port}\"`")
        }
        Some(Errno::ADDRNOTAVAIL) => format!(": this machine has no such address: set `listen = \"0.0.0.0:{port}\"`"),
        _ => String::new(),
    }
}

/// The open port.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<watch::Receiver<Arc<ServerConfig>>>,
    limits: Limits,
    places: Arc<Semaphore>,
    strangers: Strangers,
}

impl Listener {
    /// Opens the port. Without `tls` it speaks in clear.
    pub fn bind(
        address: SocketAddr,
        tls: Option<watch::Receiver<Arc<ServerConfig>>>,
        limits: Limits,
    ) -> Result<Listener, ListenError> {
        let open = || {
            let socket =
                if address.is_ipv4() { tokio::net::TcpSocket::new_v4()? } else { tokio::net::TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            // Each connection inherits it.
            socket.set_send_buffer_size(KERNEL_BUFFER)?;
            socket.bind(address)?;
            let socket = socket.listen(BACKLOG)?;
            Ok((socket.local_addr()?, socket))
        };
        let (address, socket) = open().map_err(|source| ListenError { address, source })?;
        let places = Arc::new(Semaphore::new(limits.connections));
        let strangers = Strangers::new(limits.strangers, limits.strangers_of_one);
        Ok(Listener { socket, address, tls, limits, places, strangers })
    }

    /// Where it listens: the port is known even if the kernel chose it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Devices came from these addresses: they return also while strangers hold all their places.
    pub fn remember(&self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.strangers.remember(addresses);
    }

    /// Serves until stopped; then waits until every connection and session is gone (the caller sets a limit).
    pub async fn run(self, app: Router, in_clear: InClear, is_proxy: IsProxy, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        let mut told_at: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = connections.join_next(), if !connections.is_empty() => {
                    log_panic(ended);
                    continue;
                }
                accepted = self.socket.accept() => accepted,
            };
            let (socket, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_the_peers(&error) => continue,
                Err(error) => {
                    // Out of file descriptors or memory: the connection waits in the kernel, others go on.
                    tracing::error!(%error, "cannot accept a connection; trying again in 1 s");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let ip = peer.ip().to_canonical();
            let trust = self.strangers.admit(ip, is_proxy(ip));
            let (Ok(place), Some(trust)) = (self.places.clone().try_acquire_owned(), trust) else {
                metrics::counter!("olog_connections_refused_total").increment(1);
                if told_at.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
                    told_at = Some(Instant::now());
                    let Limits { connections, strangers, strangers_of_one: of_one_address, .. } = self.limits;
                    tracing::warn!(
                        %peer,
                        connections,
                        strangers,
                        of_one_address,
                        "too many connections: refusing further ones"
                    );
                }
                continue;
            };
            let tls = self.tls.as_ref().map(|config| TlsAcceptor::from(config.borrow().clone()));
            let connection = Connection { peer, tls: tls.is_some(), trust, _place: Arc::new(place) };
            connections.spawn(serve(
                socket,
                tls,
                connection,
                (app.clone(), in_clear.clone()),
                self.limits,
                stop.clone(),
            ));
        }
        drop(self.socket);
        drop((app, in_clear));
        while let Some(ended) = connections.join_next().await {
            log_panic(ended);
        }
        // Sessions have left the set above when they became websockets, but each still holds its place.
        let all = u32::try_from(self.limits.connections).unwrap_or(u32::MAX);
        if self.places.acquire_many(all).await.is_err() {
            tracing::debug!("the places of the listener are closed");
        }
    }
}

/// The other end went away before it was accepted (accept(2) lists these as errors of the new socket).
fn is_the_peers(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | HostUnreachable | Interrupted | NetworkDown | NetworkUnreachable
    )
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a connection ended by a defect of the hub");
    }
}

async fn serve(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    connection: Connection,
    (app, in_clear): (Router, InClear),
    limits: Limits,
    stop: CancellationToken,
) {
    let peer = connection.peer;
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
    }
    let Some(tls) = tls else { return http(socket, connection, app, limits, stop).await };
    let mut first = [0];
    match timeout(limits.handshake, socket.peek(&mut first)).await {
        Ok(Ok(1)) if first == [TLS_HANDSHAKE] => {}
        Ok(Ok(1)) if (in_clear.is_open)() => {
            return http(socket, Connection { tls: false, ..connection }, in_clear.app, limits, stop).await;
        }
        Ok(Ok(1)) => return refuse_clear(socket, limits.handshake).await,
        _ => return,
    }
    let bounded = |tls: &mut rustls::ServerConnection| tls.set_buffer_limit(Some(TLS_BUFFER));
    match timeout(limits.handshake, tls.accept_with(socket, bounded)).await {
        // Boxed: after the upgrade the session's task holds this, and the handshake's leftovers are gone.
        Ok(Ok(stream)) => http(stream, connection, app, limits, stop).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
        Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
    }
}

async fn http<S>(stream: S, connection: Connection, app: Router, limits: Limits, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Socket + Unpin + Send + 'static,
{
    let peer = connection.peer;
    let stream = Guarded::new(stream, connection.trust.clone(), limits.write);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(connection.clone());
        app.clone().oneshot(request.map(Body::new))
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(HTTP_BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

/// Says in clear that this port speaks TLS. What the other end still sends is read away, or the kernel would answer it with a
/// reset that overtakes the words.
async fn refuse_clear(mut socket: TcpStream, limit: Duration) {
    let say = async {
        socket.write_all(SPEAKS_TLS).await?;
        socket.shutdown().await?;
        tokio::io::copy(&mut (&mut socket).take(1 << 20), &mut tokio::io::sink()).await
    };
    if let Ok(Err(error)) = timeout(limit, say).await {
        tracing::debug!(%error, "cannot say that this port speaks TLS");
    }
}

#[cfg(test)]
mod tests;

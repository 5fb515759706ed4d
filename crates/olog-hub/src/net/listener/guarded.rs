//! What a connection may cost before its device is known: a place, bytes, and time.
//!
//! Whoever reaches the port can open connections. [`Strangers`] counts those that are no session yet, in all and for each address, so
//! that they can take neither all places nor the memory of the hub. Addresses from which a device came have places of their own, so that
//! a device returns while strangers hold theirs. [`Guarded`] is the byte stream: it fails when a stranger's
//! websocket sends more than a handshake needs, and when the other end reads nothing for a while. It knows nothing of HTTP.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};
use tokio_rustls::server::TlsStream;

use crate::rules::address_limit::network_of;

/// What a stranger's websocket may send: `auth` is less than 2.5 KiB, and pongs are small.
const STRANGER_BYTES: u64 = 8 * 1024;
const UNLIMITED: u64 = u64::MAX;
/// Addresses of devices that are remembered; beyond it the one that was first is forgotten.
pub const KNOWN_MAX: u32 = 20_000;

/// The places of connections that are no session yet.
#[derive(Debug)]
pub(super) struct Strangers {
    places: Arc<Semaphore>,
    /// For connections from addresses of devices, when strangers hold all others.
    kept_back: Arc<Semaphore>,
    of_one: usize,
    addresses: Arc<Mutex<Addresses>>,
}

/// What is known of addresses.
#[derive(Debug, Default)]
struct Addresses {
    /// How many strangers' places each has.
    strangers: HashMap<IpAddr, usize>,
    /// From these a device came; in the order of their first one.
    known: HashSet<IpAddr>,
    known_since: VecDeque<IpAddr>,
}

impl Addresses {
    fn remember(&mut self, address: IpAddr) {
        if !self.known.insert(address) {
            return;
        }
        self.known_since.push_back(address);
        if self.known_since.len() > KNOWN_MAX as usize
            && let Some(first) = self.known_since.pop_front()
        {
            self.known.remove(&first);
        }
    }
}

/// A stranger's place; given back when it is dropped.
#[derive(Debug)]
struct StrangerPlace {
    address: IpAddr,
    addresses: Arc<Mutex<Addresses>>,
    _place: OwnedSemaphorePermit,
}

/// How far a connection is trusted; shared by its stream and its session.
#[derive(Debug)]
pub(super) struct Trust {
    place: Mutex<Option<StrangerPlace>>,
    /// Bytes that may still be read.
    may_read: AtomicU64,
}

impl Strangers {
    /// `all` places for strangers, `of_one` of them for one address, and as many as `all` for addresses of devices.
    pub(super) fn new(all: usize, of_one: usize) -> Strangers {
        let (places, kept_back) = (Arc::new(Semaphore::new(all)), Arc::new(Semaphore::new(all)));
        Strangers { places, kept_back, of_one, addresses: Arc::default() }
    }

    /// Devices came from these addresses before the hub started.
    pub(super) fn remember(&self, addresses: impl IntoIterator<Item = IpAddr>) {
        let mut known = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.into_iter().for_each(|address| known.remember(network_of(address)));
    }

    /// A place for a connection from this address; `None`: there is none. `is_proxy`: it speaks for many, so only all places count.
    pub(super) fn admit(&self, address: IpAddr, is_proxy: bool) -> Option<Arc<Trust>> {
        let address = network_of(address);
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = addresses.known.contains(&address);
        let place = self.places.clone().try_acquire_owned().ok();
        let place = place.or_else(|| self.kept_back.clone().try_acquire_owned().ok().filter(|_| is_known))?;
        let n = addresses.strangers.entry(address).or_default();
        if *n >= self.of_one && !is_proxy {
            return None;
        }
        *n += 1;
        drop(addresses);
        let place = StrangerPlace { address, addresses: self.addresses.clone(), _place: place };
        Some(Arc::new(Trust { place: Mutex::new(Some(place)), may_read: AtomicU64::new(UNLIMITED) }))
    }
}

impl Drop for StrangerPlace {
    fn drop(&mut self) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = addresses.strangers.get_mut(&self.address) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                addresses.strangers.remove(&self.address);
            }
        }
    }
}

impl Trust {
    /// It has become a websocket: a stranger may send no more than a handshake.
    pub(super) fn is_websocket(&self) {
        self.may_read.store(STRANGER_BYTES, Ordering::Release);
    }

    /// The device at the other end is known.
    pub(super) fn is_known(&self) {
        self.may_read.store(UNLIMITED, Ordering::Release);
        let place = self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(place) = place {
            place.addresses.lock().unwrap_or_else(PoisonError::into_inner).remember(place.address);
        }
    }
}

/// A stream over a socket of the kernel; in tests also one in memory.
pub(super) trait Socket {
    /// The socket, if there is one.
    fn socket(&self) -> Option<&TcpStream>;
}

impl Socket for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

impl Socket for TlsStream<TcpStream> {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self.get_ref().0)
    }
}

/// A byte stream with the limits of its [`Trust`] and a timeout for writes. The timeout holds after the close as well: the kernel would offer what
/// the other end does not read for minutes. While the connection is open, a link that fails for a minute does not end a session.
#[derive(Debug)]
pub(super) struct Guarded<S: Socket> {
    stream: S,
    trust: Arc<Trust>,
    write_within: Duration,
    /// The timeout of a write that waits for the other end to read.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: Socket> Guarded<S> {
    pub(super) fn new(stream: S, trust: Arc<Trust>, write_within: Duration) -> Guarded<S> {
        Guarded { stream, trust, write_within, stalled: None }
    }

    /// The result of a write; an error if there was no progress for too long.
    fn progress<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.stalled = None;
            return result;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.write_within)));
        ready!(stalled.as_mut().poll(cx));
        stalled.as_mut().reset(Instant::now() + self.write_within);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other end does not read")))
    }
}

impl<S: Socket> Drop for Guarded<S> {
    fn drop(&mut self) {
        let within = u32::try_from(self.write_within.as_millis()).unwrap_or(u32::MAX);
        // tcp(7): how long bytes may wait for an other end that acknowledges nothing or takes nothing.
        if let Some(Err(error)) = self.stream.socket().map(|socket| set_tcp_user_timeout(socket, within)) {
            tracing::debug!(%error, "cannot set TCP_USER_TIMEOUT");
        }
    }
}

impl<S: AsyncRead + Socket + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let may_read = self.trust.may_read.load(Ordering::Acquire);
        if may_read == 0 {
            return Poll::Ready(Err(io::Error::other("too many bytes before authentication")));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let n = (buf.filled().len() - before) as u64;
        if may_read != UNLIMITED {
            // If the session has removed the limit meanwhile, it stays removed.
            let left = may_read.saturating_sub(n);
            let _was = self.trust.may_read.compare_exchange(may_read, left, Ordering::AcqRel, Ordering::Acquire);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Socket + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.progress(cx, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        self.progress(cx, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.progress(cx, result)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    impl Socket for tokio::io::DuplexStream {
        fn socket(&self) -> Option<&TcpStream> {
            None
        }
    }

    const SOMEBODY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));

    fn trust() -> Arc<Trust> {
        Strangers::new(1, 1).admit(SOMEBODY, false).unwrap()
    }

    #[tokio::test]
    async fn a_stranger_may_send_a_handshake_and_no_more() {
        let (mut other_end, stream) = tokio::io::duplex(1 << 20);
        let trust = trust();
        let mut stream = Guarded::new(stream, trust.clone(), Duration::from_secs(60));
        other_end.write_all(&[1; 100_000]).await.unwrap();
        // A request over HTTP has hyper's own bounds.
        stream.read_exact(&mut [0; 20_000]).await.unwrap();
        trust.is_websocket();
        let mut read = Vec::new();
        let error = stream.read_to_end(&mut read).await.unwrap_err();
        assert_eq!(error.to_string(), "too many bytes before authentication");
        assert!((8 * 1024..20_000).contains(&read.len()), "{}", read.len());
        trust.is_known();
        stream.read_exact(&mut [0; 30_000]).await.unwrap();
    }

    #[tokio::test]
    async fn who_does_not_read_is_given_up() {
        let (mut other_end, stream) = tokio::io::duplex(1_000);
        let mut stream = Guarded::new(stream, trust(), Duration::from_millis(50));
        stream.write_all(&[1; 1_000]).await.unwrap();
        let error = stream.write_all(&[1; 1_000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        // Progress restarts the timeout.
        other_end.read_exact(&mut [0; 1_000]).await.unwrap();
        stream.write_all(&[1; 1_000]).await.unwrap();
    }

    #[test]
    fn strangers_have_places_in_all_and_by_address_until_they_are_known() {
        let strangers = Strangers::new(5, 2);
        let admit = |text: &str, is_proxy| strangers.admit(text.parse().unwrap(), is_proxy);
        let (one, two) = (admit("203.0.113.9", false).unwrap(), admit("203.0.113.9", false).unwrap());
        assert!(admit("203.0.113.9", false).is_none());
        let _other = admit("203.0.113.10", false).unwrap();
        let _proxied = [(), ()].map(|()| admit("10.0.0.1", true).unwrap());
        assert!(admit("203.0.113.11", false).is_none(), "five in all");
        one.is_known();
        drop(two);
        assert!(admit("203.0.113.9", false).is_some());
        assert_eq!(strangers.addresses.lock().unwrap().strangers.len(), 2, "what is gone is not remembered");
    }

    #[test]
    fn a_device_returns_while_strangers_hold_all_their_places() {
        let strangers = Strangers::new(2, 2);
        let admit = |text: &str| strangers.admit(text.parse().unwrap(), false);
        admit("198.51.100.7").unwrap().is_known();
        strangers.remember(["2001:db8:0:1::1".parse().unwrap()]);
        let _flood = ["203.0.113.9", "203.0.113.10"].map(|address| admit(address).unwrap());
        assert!(admit("203.0.113.11").is_none());
        let _same_network = admit("2001:db8:0:1::2").unwrap();
        let _back = admit("198.51.100.7").unwrap();
        assert!(admit("198.51.100.7").is_none(), "they have a bound, too");
    }

    #[test]
    fn the_first_of_too_many_addresses_is_forgotten() {
        let mut addresses = Addresses::default();
        for n in 0..=KNOWN_MAX {
            addresses.remember(IpAddr::V4(std::net::Ipv4Addr::from_bits(n)));
        }
        assert_eq!((addresses.known.len(), addresses.known_since.len()), (KNOWN_MAX as usize, KNOWN_MAX as usize));
        assert!(!addresses.known.contains(&IpAddr::V4(std::net::Ipv4Addr::from_bits(0))));
    }
}

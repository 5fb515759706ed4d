//! What is told to those who watch: changes with their names, numbered, for `/api/v1/stream` and open pages.
//!
//! One worker hears the store's commits, finds the names, and puts each change into a ring of the last [`RING`] ones, which all streams share. A
//! stream is a number: the next change that it has not seen. So a reader that is slow, or that comes back, costs no memory: it goes on from its
//! number, or, if that has left the ring, is told to read everything anew. Numbers are of this run of the hub ([`Position`]); after a restart, and at
//! another hub of the same store, everything is read anew too.
//!
//! ```text
//! store ─ commit ─▶ Worker ─ names ─▶ ring ─ number ─▶ Subscription ─▶ a stream
//! ```
//!
//! While nobody watches, nothing is read. The number of streams is bounded ([`places`]). Must not: know HTTP, hold up a commit, or be relied on for
//! more than speed: who watches also looks for itself, now and then.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::bell::{Bell, BellListener};
use crate::store::{
    Store,
    changes::{Change, NamedChange, named},
};

mod places;

pub use places::{OF_ONE_ADDRESS, OF_ONE_SESSION, OF_ONE_TOKEN, STREAMS_MAX, StreamPlace, StreamPlaces, Watcher};

/// Changes that are kept.
const RING: usize = 1_024;
/// Changes that a stream gets at once.
pub const PIECE: usize = 32;
/// Between two rounds of the worker: what was committed in between is told together.
const ROUND: Duration = Duration::from_millis(20);
/// Changes are kept for so long after the last stream has ended, for who comes back.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// A place in the numbering: after that change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    run: u64,
    n: u64,
}

impl Position {
    /// Nobody's: whoever watches from here has missed something.
    pub const UNKNOWN: Position = Position { run: 0, n: u64::MAX };
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}-{}", self.run, self.n)
    }
}

impl std::str::FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Position, ()> {
        let (run, n) = text.split_once('-').ok_or(())?;
        let run = u64::from_str_radix(run, 16).map_err(drop)?;
        Ok(Position { run, n: n.parse().map_err(drop)? })
    }
}

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// One change.
    Change(NamedChange),
    /// Anything may have changed: read everything anew.
    Everything,
}

#[derive(Debug)]
struct Ring {
    /// The number of the next change.
    next: u64,
    /// The changes before it, as far as they are kept.
    kept: VecDeque<Arc<StreamEvent>>,
    watched_at: Option<Instant>,
}

impl Ring {
    fn push(&mut self, told: StreamEvent) {
        if self.kept.len() >= RING {
            self.kept.pop_front();
        }
        self.kept.push_back(Arc::new(told));
        self.next += 1;
    }

    /// Whoever stands before this has missed something.
    fn forget(&mut self) {
        self.kept.clear();
        self.next += 1;
    }

    fn first(&self) -> u64 {
        self.next - self.kept.len() as u64
    }
}

/// The changes for who watches; shared by all streams.
#[derive(Debug)]
pub struct ChangeStream {
    run: u64,
    ring: Mutex<Ring>,
    /// The number of the next change: wakes the streams.
    next: watch::Sender<u64>,
    places: Arc<StreamPlaces>,
    /// A session or token has ended.
    access: Bell,
}

impl ChangeStream {
    /// Of a hub that starts; `run` is a number that no other run has.
    pub fn new(run: u64) -> Arc<ChangeStream> {
        let ring = Ring { next: 1, kept: VecDeque::new(), watched_at: None };
        let (ring, next) = (Mutex::new(ring), watch::Sender::new(1));
        Arc::new(ChangeStream { run, ring, next, places: Arc::default(), access: Bell::default() })
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the numbering stands now. Who reads the store after this and watches from here misses nothing.
    pub fn position(&self) -> Position {
        let mut ring = self.ring();
        ring.watched_at = Some(Instant::now());
        Position { run: self.run, n: ring.next - 1 }
    }

    /// A place for one more stream; `None`: there is none.
    pub fn place(&self, watcher: &Watcher) -> Option<StreamPlace> {
        self.places.take(watcher)
    }

    /// How many streams are open.
    pub fn n_open(&self) -> usize {
        self.places.n()
    }

    /// Rung when a session or token has ended: whoever watches by one may not any more.
    pub fn access_bell(&self) -> BellListener {
        self.access.listen()
    }

    /// Watches from that position on; without one from now on.
    pub fn subscribe(self: &Arc<Self>, after: Option<Position>, place: StreamPlace) -> Subscription {
        let now = self.position();
        let next = match after {
            None => now.n + 1,
            Some(after) if after.run == self.run && after.n <= now.n => after.n + 1,
            // Of another run: everything is new.
            Some(_) => 0,
        };
        Subscription { next, woken: self.next.subscribe(), stream: self.clone(), _place: place }
    }

    fn is_watched(&self) -> bool {
        let mut ring = self.ring();
        if self.n_open() > 0 {
            ring.watched_at = Some(Instant::now());
        }
        ring.watched_at.is_some_and(|at| at.elapsed() < KEPT_FOR)
    }

    /// Tells these, or that anything may have changed.
    fn tell(&self, told: Option<Vec<NamedChange>>) {
        let mut ring = self.ring();
        match told {
            Some(changes) => changes.into_iter().for_each(|change| ring.push(StreamEvent::Change(change))),
            None => ring.push(StreamEvent::Everything),
        }
        self.next.send_replace(ring.next);
    }

    /// Hears the store's commits, until `stop`.
    pub async fn run(self: Arc<Self>, store: Store, stop: CancellationToken) {
        let mut listener = store.changes().listen();
        loop {
            let heard = tokio::select! {
                () = stop.cancelled() => return,
                heard = listener.heard() => heard,
            };
            if heard.is_access() {
                self.access.ring();
            }
            if heard.one_by_one().is_some_and(BTreeSet::is_empty) {
                continue;
            }
            if self.is_watched() {
                let told = match heard.one_by_one() {
                    Some(changes) => names(&store, changes.clone()).await,
                    None => None,
                };
                self.tell(told);
            } else {
                self.ring().forget();
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(ROUND) => {}
            }
        }
    }
}

async fn names(store: &Store, changes: BTreeSet<Change>) -> Option<Vec<NamedChange>> {
    match store.read(move |tx| named(tx, &changes)).await {
        Ok(named) => Some(named),
        Err(error) => {
            // Who watches reads for itself, and sees what the store answers.
            tracing::debug!(%error, "changes have no names");
            None
        }
    }
}

/// One stream's place in the numbering.
#[derive(Debug)]
pub struct Subscription {
    stream: Arc<ChangeStream>,
    next: u64,
    woken: watch::Receiver<u64>,
    _place: StreamPlace,
}

impl Subscription {
    /// The place after what was told last.
    pub fn position(&self) -> Position {
        Position { run: self.stream.run, n: self.next.saturating_sub(1) }
    }

    /// Does it begin with the word that everything must be read anew?
    pub fn has_missed(&self) -> bool {
        self.next < self.stream.ring().first()
    }

    /// The next changes with their places, at most [`PIECE`]; waits until there are some.
    pub async fn heard(&mut self) -> Vec<(Position, Arc<StreamEvent>)> {
        loop {
            self.woken.borrow_and_update();
            let piece = self.piece();
            if !piece.is_empty() {
                return piece;
            }
            if self.woken.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn piece(&mut self) -> Vec<(Position, Arc<StreamEvent>)> {
        let (ring, run) = (self.stream.ring(), self.stream.run);
        if self.next < ring.first() {
            self.next = ring.next;
            return vec![(Position { run, n: ring.next - 1 }, Arc::new(StreamEvent::Everything))];
        }
        let skipped = usize::try_from(self.next - ring.first()).unwrap_or(usize::MAX);
        let piece: Vec<_> = (self.next..).zip(ring.kept.iter().skip(skipped).take(PIECE)).collect();
        self.next += piece.len() as u64;
        piece.into_iter().map(|(n, told)| (Position { run, n }, told.clone())).collect()
    }
}

#[cfg(test)]
mod tests;

//! The phone: a stand-in for WxPusher on a real loopback port.
//!
//! It accepts what the documented service accepts and refuses what that would refuse: the shape of the body (`uids` is an array, topic ids are whole
//! numbers), the lengths, receivers it does not know, more than 20 calls in 10 s. It keeps every call with its instant, and every push that a receiver
//! got. A test can make it misbehave as services do: [`Habit`].
//!
//! It implements HTTP by hand, because it has to be able to break off at any byte.

mod service;
mod show;
mod wire;

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use olog_daemon::clock::Clock;
use olog_proto::Timestamp;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The application's token that the phone accepts by default.
pub const TOKEN: &str = "AT_phoneOfTheJourneys0123456789ab";
/// The user that it knows by default.
pub const UID: &str = "UID_me";

/// How long [`Phone::wait`] waits: a limit for what never comes, not an expectation.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Habit {
    /// As documented.
    Well,
    /// HTTP 200 and this code for the whole call.
    Code(i64, &'static str),
    /// The call is accepted, but this receiver's row has this code.
    Row(&'static str, i64),
    /// This HTTP status and no JSON.
    Status(u16),
    /// Reads the call and resets the connection.
    Reset,
    /// Accepts the call, delivers the message, and resets the connection instead of answering.
    TakeAndReset,
    /// Reads the call and never answers.
    Hang,
    /// Accepts the call, and answers only after the next [`Phone::behave`].
    TakeAndHold,
    /// Answers one byte each 200 ms.
    Drip,
    /// Answers without end.
    Flood,
    /// Answers with HTTP 302 to somewhere else.
    Redirect(String),
}

/// One receiver got one message.
#[derive(Debug, Clone)]
pub struct Push {
    /// When the call had arrived.
    pub at: Instant,
    /// The same as wall-clock time.
    pub wall: Timestamp,
    /// The uid, the topic as `topic:N`, or the SPT.
    pub receiver: String,
    /// The text of the card.
    pub summary: String,
    /// The text behind the card.
    pub content: String,
    /// 1 text, 2 HTML, 3 Markdown.
    pub content_type: i64,
    /// Which call brought it, from 0.
    pub call: usize,
}

/// One call, accepted or not.
#[derive(Debug, Clone)]
pub struct Call {
    /// When its last byte had arrived.
    pub at: Instant,
    /// Which connection brought it, from 0.
    pub connection: usize,
    /// Its body, if that was JSON.
    pub body: Value,
    /// How it was answered: `1000`, `1001 …`, `reset`.
    pub answer: String,
}

impl Call {
    /// The receivers that it names.
    pub fn named(&self) -> Vec<String> {
        let list = |key: &str| self.body.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        let one = self.body.get("spt").cloned();
        let topics = list("topicIds").into_iter().map(|topic| format!("topic:{topic}"));
        let texts = list("uids").into_iter().chain(list("sptList")).chain(one);
        texts.filter_map(|v| v.as_str().map(str::to_owned)).chain(topics).collect()
    }
}

/// The stand-in. When it is dropped, its port and connections are closed.
#[derive(Debug)]
pub struct Phone {
    shared: Arc<Shared>,
    address: SocketAddr,
    server: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    kept: Mutex<Kept>,
    changed: Notify,
}

#[derive(Debug)]
struct Kept {
    token: String,
    uids: BTreeSet<String>,
    topics: BTreeSet<i64>,
    spts: BTreeSet<String>,
    habit: Habit,
    /// Habits of the next calls, one each; then `habit` applies again.
    next: VecDeque<Habit>,
    recent: VecDeque<Instant>,
    rate_limited: bool,
    calls: Vec<Call>,
    pushes: Vec<Push>,
    n_connections: usize,
    prints: bool,
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, how: impl FnOnce(&mut Kept) -> T) -> T {
        let result = how(&mut self.kept());
        self.changed.notify_waiters();
        result
    }
}

impl Phone {
    /// A phone that knows [`TOKEN`] and [`UID`], on its own loopback port.
    pub async fn start() -> std::io::Result<Phone> {
        Phone::start_on(Ipv4Addr::LOCALHOST.into()).await
    }

    /// A phone that other machines can reach: on its own port of this address.
    pub async fn start_on(address: IpAddr) -> std::io::Result<Phone> {
        let kept = Kept {
            token: TOKEN.to_owned(),
            uids: BTreeSet::from([UID.to_owned()]),
            topics: BTreeSet::new(),
            spts: BTreeSet::new(),
            habit: Habit::Well,
            next: VecDeque::new(),
            recent: VecDeque::new(),
            rate_limited: true,
            calls: Vec::new(),
            pushes: Vec::new(),
            n_connections: 0,
            prints: false,
        };
        let shared = Arc::new(Shared { kept: Mutex::new(kept), changed: Notify::new() });
        let listener = TcpListener::bind((address, 0)).await?;
        let phone = Phone { shared, address: listener.local_addr()?, server: Mutex::default() };
        phone.serve(listener);
        Ok(phone)
    }

    fn serve(&self, listener: TcpListener) {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        server.spawn(wire::accept(listener, self.shared.clone()));
    }

    /// Its `api_url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The `[[channel]]` (or `[[push.channel]]`) that reaches everybody it knows by its token.
    pub fn channel(&self, table: &str, name: &str) -> String {
        let kept = self.shared.kept();
        let uids: Vec<&String> = kept.uids.iter().collect();
        let (url, token, topics) = (self.url(), &kept.token, &kept.topics);
        let topics: Vec<&i64> = topics.iter().collect();
        format!(
            "[[{table}]]\nname = {name:?}\ntype = \"wxpusher\"\ntoken = {token:?}\nuids = {uids:?}\ntopic_ids = {topics:?}\napi_url = {url:?}\n"
        )
    }

    /// Adds this user.
    pub fn subscribe(&self, uid: &str) {
        self.shared.change(|kept| kept.uids.insert(uid.to_owned()));
    }

    /// Removes this user: from now on the row of this receiver fails.
    pub fn unsubscribe(&self, uid: &str) {
        self.shared.change(|kept| kept.uids.remove(uid));
    }

    /// Adds this topic.
    pub fn add_topic(&self, topic: i64) {
        self.shared.change(|kept| kept.topics.insert(topic));
    }

    /// Adds this token of simple push.
    pub fn add_spt(&self, spt: &str) {
        self.shared.change(|kept| kept.spts.insert(spt.to_owned()));
    }

    /// Accepts another application's token.
    pub fn set_token(&self, token: &str) {
        self.shared.change(|kept| token.clone_into(&mut kept.token));
    }

    /// Removes the rate limit, for benchmarks.
    pub fn without_rate(&self) {
        self.shared.change(|kept| kept.rate_limited = false);
    }

    /// Answers like this from now on.
    pub fn behave(&self, habit: Habit) {
        self.shared.change(|kept| kept.habit = habit);
    }

    /// Answers the next calls like this, one each, and then as before.
    pub fn behave_next(&self, habits: impl IntoIterator<Item = Habit>) {
        self.shared.change(|kept| kept.next.extend(habits));
    }

    /// Shows every push in the terminal as the phone would.
    pub fn print(&self) {
        self.shared.change(|kept| kept.prints = true);
    }

    /// Closes the port and resets all connections.
    pub async fn down(&self) {
        let mut server = std::mem::take(&mut *self.server.lock().unwrap_or_else(PoisonError::into_inner));
        server.shutdown().await;
    }

    /// Opens the same port again.
    pub async fn up(&self) -> std::io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.serve(listener);
        Ok(())
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.kept().calls.clone()
    }

    /// Every push so far.
    pub fn pushes(&self) -> Vec<Push> {
        self.shared.kept().pushes.clone()
    }

    /// Connections so far.
    pub fn n_connections(&self) -> usize {
        self.shared.kept().n_connections
    }

    /// Waits until `until` is true for the pushes, and returns them; else the test fails with the pushes that came.
    pub async fn wait(&self, what: &str, until: impl Fn(&[Push]) -> bool) -> Vec<Push> {
        self.wait_for(what, |kept| until(&kept.pushes).then(|| kept.pushes.clone())).await
    }

    /// Waits until `until` is true for the calls, and returns them.
    pub async fn wait_calls(&self, what: &str, until: impl Fn(&[Call]) -> bool) -> Vec<Call> {
        self.wait_for(what, |kept| until(&kept.calls).then(|| kept.calls.clone())).await
    }

    async fn wait_for<T>(&self, what: &str, look: impl Fn(&Kept) -> Option<T>) -> T {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let changed = self.shared.changed.notified();
                tokio::pin!(changed);
                // Registered before the check, so that no change in between is missed.
                changed.as_mut().enable();
                if let Some(found) = look(&self.shared.kept()) {
                    return found;
                }
                changed.await;
            }
        });
        match found.await {
            Ok(found) => found,
            #[expect(clippy::panic, reason = "the journey ends here")]
            Err(_) => panic!("the phone waited {} s for {what}; it has:\n{}", PATIENCE.as_secs(), self.story()),
        }
    }

    /// All pushes and calls as text, for the message of a failed test.
    pub fn story(&self) -> String {
        let kept = self.shared.kept();
        let mut story = String::new();
        for (n, call) in kept.calls.iter().enumerate() {
            _ = writeln!(story, "call {n} to {}: {}", call.named().join(", "), call.answer);
            for push in kept.pushes.iter().filter(|push| push.call == n).take(1) {
                story.push_str(&push.card());
            }
        }
        if story.is_empty() { "nothing".to_owned() } else { story }
    }
}

fn now() -> (Instant, Timestamp) {
    (Instant::now(), Clock::system().now())
}

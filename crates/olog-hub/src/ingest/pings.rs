//! Pings as events: a ping takes the path of an agent's event, in the transaction that is shared with all that came meanwhile.
//!
//! | ping | event |
//! |---|---|
//! | success, exit status, fail | `run_ended`; its duration is from the start of the same run, if that was told |
//! | start | `run_started` |
//! | log | `text` of a `.log`: stored, and it changes no state |
//!
//! The hub numbers these events in an epoch of its own ([`events::HUB_EPOCH`]). Each ping is one event, also one that a client sends
//! again because the answer did not reach it: the pinging API has no number by which a repetition could be known.

use olog_proto::{
    DeviceTime, Event, EventContent, Excerpt, FINGERPRINTS_MAX, File, FingerprintText, Growth, LogKind, TaskName,
    Timestamp, clean,
    fingerprint::fingerprints,
    redact::{Before, Redactor},
};

use super::device_batch::DeviceBatch;
use super::{Committed, Done, hub_time, lock_joined};
use crate::apply::LivePolicy;
use crate::rules::ping::{NO_BOOT, PingKind, UNNAMED_RUN, slug_of};
use crate::store::access::ping_keys::{self, PingKeyOwner};
use crate::store::devices::DeviceId;
use crate::store::{StoreError, Tx, events, tasks};

/// The end of a long output of which fingerprints are taken, in bytes: what went wrong stands there.
const TELLING_BYTES: usize = 8 * 1024;
/// What a failure says that came without a word.
const NO_WORDS: &str = "reported as failed";

/// A ping whose key is known, on its way into the store.
#[derive(Debug)]
pub struct ReceivedPing {
    /// The hash of its key.
    pub key: String,
    /// The task, if it is not in the key.
    pub slug: Option<String>,
    /// What it says.
    pub kind: PingKind,
    /// The run.
    pub run: Option<String>,
    /// A task that is not there is made.
    pub may_create: bool,
    /// When it came.
    pub at: Timestamp,
    /// What the run wrote.
    pub output: PingOutput,
}

/// What a run wrote, without secrets.
#[derive(Debug, Default)]
pub struct PingOutput {
    excerpt: Excerpt,
    fingerprints: Vec<FingerprintText>,
}

impl PingOutput {
    /// Of a body of any bytes.
    pub fn of(body: &[u8]) -> PingOutput {
        let text = clean::log_text(&String::from_utf8_lossy(body));
        let text = Redactor::default().redact(&text, &Before::Nothing);
        let text = text.trim_end();
        let end = text.get(text.ceil_char_boundary(text.len().saturating_sub(TELLING_BYTES))..).unwrap_or_default();
        // The first line of what is left may be half a line.
        let end = if end.len() < text.len() { end.split_once('\n').map_or(end, |(_, rest)| rest) } else { end };
        let mut fingerprints = fingerprints(end);
        fingerprints.truncate(FINGERPRINTS_MAX);
        PingOutput { excerpt: Excerpt::of(text), fingerprints }
    }
}

#[cfg(any(test, fuzzing))]
impl PingOutput {
    /// Is it what an event may hold?
    pub fn is_bounded(&self) -> bool {
        let excerpt: Result<Excerpt, _> = serde_json::from_value(serde_json::json!(self.excerpt));
        self.fingerprints.len() <= FINGERPRINTS_MAX && excerpt.is_ok_and(|excerpt| excerpt == self.excerpt)
    }
}

/// What became of a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PingDone {
    /// It is committed.
    Ok,
    /// It is committed, and made its task.
    Created,
    /// Nobody has this key any more.
    UnknownKey,
    /// There is no such task, or there would be too many.
    UnknownTask,
    /// Several tasks have this slug.
    Ambiguous,
}

/// Whose key a ping has: asked before devices are locked, so that they are locked in their order.
pub(super) fn owner(tx: &mut Tx<'_>, ping: &ReceivedPing) -> Result<Option<PingKeyOwner>, StoreError> {
    ping_keys::owner(tx, &ping.key)
}

/// Which task a ping is about.
enum SlugMatch {
    One(TaskName),
    /// It may be made.
    New(TaskName),
    None,
    Several,
}

/// Commits one ping.
pub(super) fn commit_ping(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    ping: &ReceivedPing,
    owner: Option<&PingKeyOwner>,
    now: Timestamp,
) -> Result<Committed, StoreError> {
    let done = |done| Ok(Ok(Done::Ping(done)));
    let Some(owner) = owner else { return done(PingDone::UnknownKey) };
    let Some((device, used)) = lock_joined(tx, owner.device)? else { return done(PingDone::UnknownKey) };
    let (name, is_made) = match find_task(tx, owner, ping)? {
        SlugMatch::One(name) => (name, false),
        SlugMatch::New(name) if ping.may_create => (name, true),
        SlugMatch::New(_) | SlugMatch::None => return done(PingDone::UnknownTask),
        SlugMatch::Several => return done(PingDone::Ambiguous),
    };
    let stream = events::stream(tx, device.id, events::HUB_EPOCH, now)?;
    #[expect(clippy::needless_late_init, reason = "it must outlive the batch that borrows it")]
    let event;
    let mut batch = DeviceBatch::new(rules, &device, stream.epoch, used, now);
    if !batch.admit(tx, &name)? {
        batch.end(tx)?;
        return done(PingDone::UnknownTask);
    }
    let at = hub_time(DeviceTime(ping.at), 0, now);
    let task = batch.task(tx, &name)?;
    let ended = task.expect.run_ended_by(ping.run.as_deref()).map(|(run, since)| (run.to_owned(), at.since(since)));
    let what = content(ping, name, ended);
    event = Event { n: stream.acked + 1, at: DeviceTime(at), boot: NO_BOOT, up: 0, what, by: None, pushed: None };
    let digest = event.digest();
    if ping.kind == PingKind::Log {
        batch.store(tx, &event, digest, at)?;
    } else {
        batch.take(tx, &event, digest, at)?;
    }
    batch.end(tx)?;
    events::set_acked(tx, stream.epoch, event.n, 0)?;
    done(if is_made { PingDone::Created } else { PingDone::Ok })
}

fn find_task(tx: &mut Tx<'_>, owner: &PingKeyOwner, ping: &ReceivedPing) -> Result<SlugMatch, StoreError> {
    let as_name = |text: &str| TaskName::try_from(text.to_owned()).map_or(SlugMatch::None, SlugMatch::One);
    match (&owner.task, &ping.slug) {
        // Its key outlives a task that was forgotten: the next ping brings it back.
        (Some(task), _) => Ok(as_name(task)),
        (None, None) => Ok(SlugMatch::None),
        (None, Some(slug)) => by_slug(tx, owner.device, slug),
    }
}

/// The task of that name, or else the only one whose name makes that slug.
fn by_slug(tx: &mut Tx<'_>, device: DeviceId, slug: &str) -> Result<SlugMatch, StoreError> {
    if let Some(name) = tasks::exact_name(tx, device, slug)? {
        return Ok(SlugMatch::One(name));
    }
    let mut names = tasks::names_of(tx, device)?;
    names.retain(|name| slug_of(name.as_str()) == slug);
    match (names.pop(), names.is_empty()) {
        (Some(name), true) => Ok(SlugMatch::One(name)),
        (Some(_), false) => Ok(SlugMatch::Several),
        (None, _) => Ok(TaskName::try_from(slug.to_owned()).map_or(SlugMatch::None, SlugMatch::New)),
    }
}

/// What a ping says, as an event. `ended`: the run that it ends, and its duration.
fn content(ping: &ReceivedPing, task: TaskName, ended: Option<(String, i64)>) -> EventContent {
    let named = || ping.run.clone().unwrap_or_else(|| UNNAMED_RUN.to_owned());
    let (excerpt, mut fingerprints) = (ping.output.excerpt.clone(), ping.output.fingerprints.clone());
    let exit = match ping.kind {
        PingKind::Start => return EventContent::RunStarted { task, run: named() },
        PingKind::Log => {
            let file = File {
                task,
                suffix: LogKind::Log,
                path: String::new(),
                change: Growth::Grown,
                began_at: None,
                closed: false,
                sibling_err: false,
                history: false,
                fingerprints: Vec::new(),
            };
            return EventContent::Text { file, excerpt };
        }
        PingKind::Success => Some(0),
        PingKind::Exit(status) => Some(i32::from(status)),
        PingKind::Fail => None,
    };
    let (run, duration) = ended.unwrap_or_else(|| (named(), 0));
    let excerpt = if ping.kind == PingKind::Fail && excerpt.is_blank() { Excerpt::of(NO_WORDS) } else { excerpt };
    if exit == Some(0) {
        fingerprints.clear();
    }
    let duration = u64::try_from(duration).unwrap_or(0);
    EventContent::RunEnded { task, run, exit, signal: None, duration, excerpt, fingerprints }
}

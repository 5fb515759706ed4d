//! The send queue of one receiver of one channel: the notices that wait, the rate limit, the quota of a day, the results of its calls.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use olog_proto::{DeviceName, Timestamp};
use olog_push::{Answer, Channel, Message, Notice, Receiver, Refusal};
use tokio::time::Instant;

/// A receiver that failed is tried again after so long, then twice as long, up to the bound.
const RETRY: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(900));
const DAY_MS: i64 = 24 * 3600 * 1000;

/// When each receiver accepted something, over all outages, and how long it is left alone after a message.
#[derive(Debug)]
pub(super) struct SendLog {
    sent_at: Mutex<HashMap<String, Vec<Timestamp>>>,
    pause: Duration,
}

impl SendLog {
    pub(super) fn new(pause: Duration) -> SendLog {
        SendLog { sent_at: Mutex::default(), pause }
    }

    fn with<T>(&self, receiver: &str, f: impl FnOnce(&mut Vec<Timestamp>) -> T) -> T {
        f(self.sent_at.lock().unwrap_or_else(PoisonError::into_inner).entry(receiver.to_owned()).or_default())
    }
}

/// One receiver of one channel, and what waits for it.
pub(super) struct ReceiverQueue<'a> {
    pub(super) channel: &'a Channel,
    to: Receiver,
    name: String,
    /// With the number of its event, if it is one's.
    pub(super) waiting: Vec<(Option<u64>, Notice)>,
    pub(super) not_before: Instant,
    n_failed: u32,
    send_log: &'a SendLog,
}

/// What a call came to.
pub(super) enum CallResult {
    Accepted,
    Refused,
    Later(Option<Duration>),
}

impl<'a> ReceiverQueue<'a> {
    /// One for each receiver.
    pub(super) fn of(channel: &'a Channel, send_log: &'a SendLog) -> Vec<ReceiverQueue<'a>> {
        let queue = |to: Receiver| ReceiverQueue {
            name: format!("{} {}", channel.name, to.id),
            channel,
            to,
            waiting: Vec::new(),
            not_before: Instant::now(),
            n_failed: 0,
            send_log,
        };
        channel.receivers().into_iter().map(queue).collect()
    }

    /// Channel and receiver.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn wants(&self, notice: &Notice, device: &DeviceName) -> bool {
        self.channel.wants(notice.kind, Some(device.as_str()), notice.task.as_deref())
    }

    /// Within `per_day` of a rolling day?
    pub(super) fn has_budget(&self, now: Timestamp) -> bool {
        let n_sent = self.send_log.with(&self.name, |sent_at| {
            sent_at.retain(|at| now.since(*at) < DAY_MS);
            sent_at.len()
        });
        self.channel.per_day.is_none_or(|n| n_sent < n as usize)
    }

    pub(super) async fn call(&self, message: &Message) -> CallResult {
        let to = [self.to.clone()];
        let mut message = message.clone();
        for is_plain in [false, true] {
            let answers = self.channel.send(&message, &to).await;
            let Some((_, answer)) = answers.into_iter().next() else { return CallResult::Later(None) };
            let (channel, receiver) = (&self.channel.name, &self.to.id);
            match answer {
                Answer::Accepted { words } => {
                    tracing::info!(channel, receiver, words, title = message.title, "pushed by this device");
                    return CallResult::Accepted;
                }
                Answer::Later { after, why } => {
                    tracing::warn!(channel, receiver, why, "an own push failed, it is tried again");
                    return CallResult::Later(after);
                }
                Answer::Refused { class: Refusal::Format, .. } if !is_plain => {
                    let limits = self.channel.limits();
                    message = message.plain(&limits, limits.plain / 2);
                }
                Answer::Refused { why, .. } => {
                    tracing::error!(channel, receiver, why, "an own push was refused");
                    return CallResult::Refused;
                }
            }
        }
        CallResult::Refused
    }

    pub(super) fn failed(&mut self, after: Option<Duration>) {
        let wait = RETRY.0.saturating_mul(1 << self.n_failed.min(10)).min(RETRY.1);
        self.n_failed += 1;
        self.not_before = Instant::now() + after.unwrap_or(wait).clamp(RETRY.0, RETRY.1);
    }

    pub(super) fn done(&mut self, told: &[usize], now: Timestamp, is_accepted: bool) {
        let (mut place, mut tells_event) = (0, false);
        self.waiting.retain(|(n, _)| {
            place += 1;
            let is_told = told.contains(&(place - 1));
            tells_event |= is_told && n.is_some();
            !is_told
        });
        self.n_failed = 0;
        // That the hub is gone keeps no error waiting.
        self.not_before = Instant::now() + if tells_event { self.send_log.pause } else { Duration::ZERO };
        if is_accepted {
            self.send_log.with(&self.name, |sent_at| sent_at.push(now));
        }
    }
}

/// How many queues still have to tell an event, and whether all that did were accepted.
#[derive(Debug, Default)]
pub(super) struct PendingAcks(BTreeMap<u64, (usize, bool)>);

impl PendingAcks {
    pub(super) fn open(&mut self, n: u64, n_lanes: usize) {
        if n_lanes > 0 {
            self.0.insert(n, (n_lanes, true));
        }
    }

    /// Returns the events that everybody has accepted now.
    pub(super) fn close(&mut self, numbers: &[u64], is_accepted: bool) -> Vec<u64> {
        let mut accepted = Vec::new();
        for n in numbers {
            let Some((left, all)) = self.0.get_mut(n) else { continue };
            *left = left.saturating_sub(1);
            *all &= is_accepted;
            if *left == 0 {
                if *all {
                    accepted.push(*n);
                }
                self.0.remove(n);
            }
        }
        accepted
    }
}

//! Decides which events of an outage are notified: events in, notices out. Pure.

use std::collections::{HashMap, HashSet};

use olog_proto::{
    DeviceName, Epoch, Event, EventContent, Excerpt, Fingerprint, LogKind, TaskName, Timestamp,
    event::{end_text, is_good_end},
};
use olog_push::{Content, ErrorFacts, Kind, Notice, Reason};

/// The same `.msg` text again within this time is counted only.
const SAME_MESSAGE: i64 = 10 * 60 * 1000;
/// Errors that one outage remembers; the oldest knowledge goes when there are more, and then one may be told twice.
const KNOWN_MAX: usize = 10_000;

/// What one event says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct QueuedNotice {
    /// The event's number.
    pub(super) n: u64,
    /// What there is to tell.
    pub(super) notice: Notice,
}

/// One outage.
#[derive(Debug, Default)]
pub(super) struct Outage {
    epoch: Option<Epoch>,
    seen: u64,
    errors: HashSet<(TaskName, Fingerprint)>,
    counts: HashMap<TaskName, u64>,
    began: HashMap<TaskName, Timestamp>,
    messages: HashMap<(TaskName, String), Timestamp>,
}

impl Outage {
    /// The number behind which to read on.
    pub(super) fn seen(&mut self, epoch: Epoch, acked: u64) -> u64 {
        if self.epoch != Some(epoch) {
            (self.epoch, self.seen) = (Some(epoch), 0);
        }
        self.seen.max(acked)
    }

    /// What these events, the next ones of the spool, give to tell.
    pub(super) fn take(
        &mut self,
        events: Vec<Event>,
        device: &DeviceName,
        address: Option<&str>,
        now: Timestamp,
    ) -> Vec<QueuedNotice> {
        let mut said = Vec::new();
        for event in events {
            self.seen = event.n;
            let (at, n, tried) = (event.at.0, event.n, event.pushed.is_some());
            let Some((kind, task, content)) = self.content(event.what, at, now) else { continue };
            // Tried before a restart: known from then on, and never tried twice by the device.
            if tried {
                continue;
            }
            let notice = Notice {
                kind,
                incident: None,
                device: Some(device.to_string()),
                address: address.map(str::to_owned),
                task: Some(task.to_string()),
                at,
                silence: None,
                content,
            };
            said.push(QueuedNotice { n, notice });
        }
        said
    }

    fn content(&mut self, what: EventContent, at: Timestamp, now: Timestamp) -> Option<(Kind, TaskName, Content)> {
        match what {
            EventContent::Text { file, excerpt } if !file.history && !excerpt.is_blank() => match file.suffix {
                LogKind::Err => {
                    let prints = file.fingerprints.iter().map(|text| text.fingerprint()).collect();
                    let content = self.error(&file.task, prints, excerpt, file.path, at)?;
                    Some((Kind::Err, file.task, content))
                }
                LogKind::Msg => {
                    let content = self.message(&file.task, excerpt, file.path, now)?;
                    Some((Kind::Msg, file.task, content))
                }
                LogKind::Log | LogKind::Scanerr => None,
            },
            EventContent::RunEnded { task, exit, signal, excerpt, fingerprints, .. } if !is_good_end(exit, signal) => {
                let excerpt = if excerpt.is_blank() { Excerpt::of(&end_text(exit, signal)) } else { excerpt };
                let prints = fingerprints.iter().map(|text| text.fingerprint()).collect();
                let content = self.error(&task, prints, excerpt, String::new(), at)?;
                Some((Kind::Err, task, content))
            }
            _ => None,
        }
    }

    fn error(
        &mut self,
        task: &TaskName,
        prints: Vec<Fingerprint>,
        excerpt: Excerpt,
        path: String,
        at: Timestamp,
    ) -> Option<Content> {
        if self.errors.len() > KNOWN_MAX {
            self.errors.clear();
        }
        let began_at = *self.began.entry(task.clone()).or_insert(at);
        let n_seen = self.counts.entry(task.clone()).or_default();
        *n_seen += 1;
        let prints = if prints.is_empty() { vec![Fingerprint(0)] } else { prints };
        let first = prints.first().copied();
        let all: Vec<Fingerprint> = prints.iter().copied().filter(|print| print.0 != 0).collect();
        let news: Vec<_> = prints.into_iter().filter(|print| self.errors.insert((task.clone(), *print))).collect();
        let fingerprint = news.first().copied().or(first).filter(|print| print.0 != 0);
        if news.is_empty() {
            return None;
        }
        let why = if *n_seen == 1 { Reason::First } else { Reason::NewFingerprint };
        Some(Content::Error {
            why,
            excerpt,
            path,
            fingerprint,
            last_good_at: None,
            began_at,
            n_seen: *n_seen,
            facts: Box::new(ErrorFacts { fingerprints: all, ..ErrorFacts::default() }),
        })
    }

    fn message(&mut self, task: &TaskName, excerpt: Excerpt, path: String, now: Timestamp) -> Option<Content> {
        self.messages.retain(|_, told_at| now.since(*told_at) < SAME_MESSAGE);
        let key = (task.clone(), format!("{}\u{0}{}", excerpt.head(), excerpt.tail()));
        if self.messages.contains_key(&key) {
            return None;
        }
        self.messages.insert(key, now);
        Some(Content::Message { excerpt, path, n_seen: 1 })
    }
}

#[cfg(test)]
mod tests {
    use olog_proto::{File, FingerprintText, Growth, OwnPush, event::Id128};

    use super::*;

    fn event(n: u64, task: &str, suffix: LogKind, text: &str) -> Event {
        let file = File {
            task: task.parse().unwrap(),
            suffix,
            path: format!("/l/{task}"),
            change: Growth::Grown,
            began_at: None,
            closed: true,
            sibling_err: false,
            history: false,
            fingerprints: vec![FingerprintText::of(text)],
        };
        let what = EventContent::Text { file, excerpt: Excerpt::of(text) };
        Event {
            n,
            at: olog_proto::DeviceTime(Timestamp(n as i64 * 1000)),
            boot: Id128([0; 16]),
            up: 0,
            what,
            by: None,
            pushed: None,
        }
    }

    fn told(outage: &mut Outage, events: Vec<Event>, now: i64) -> Vec<u64> {
        outage.take(events, &"comsrv".parse().unwrap(), None, Timestamp(now)).into_iter().map(|said| said.n).collect()
    }

    #[test]
    fn errors_and_messages_are_told_and_nothing_else() {
        let mut history = event(5, "e", LogKind::Err, "old");
        if let EventContent::Text { file, .. } = &mut history.what {
            file.history = true;
        }
        let events = vec![
            event(1, "a", LogKind::Err, "broken"),
            event(2, "b", LogKind::Msg, "hello"),
            event(3, "c", LogKind::Log, "fine"),
            event(4, "d", LogKind::Scanerr, "later"),
            history,
        ];
        assert_eq!(told(&mut Outage::default(), events, 0), [1, 2]);
    }

    #[test]
    fn one_error_is_told_once_in_an_outage_and_another_one_as_itself() {
        let mut outage = Outage::default();
        let first =
            vec![event(1, "a", LogKind::Err, "disk sda 17 full"), event(2, "a", LogKind::Err, "disk sda 18 full")];
        assert_eq!(told(&mut outage, first, 0), [1]);
        let next = vec![event(3, "a", LogKind::Err, "network down"), event(4, "b", LogKind::Err, "disk sda 17 full")];
        let said = outage.take(next, &"comsrv".parse().unwrap(), Some("me@here"), Timestamp(0));
        assert_eq!(said.iter().map(|s| s.n).collect::<Vec<_>>(), [3, 4], "the same error of another task is its own");
        let Content::Error { why, n_seen, began_at, .. } = &said[0].notice.content else { panic!() };
        assert_eq!((*why, *n_seen, *began_at), (Reason::NewFingerprint, 3, Timestamp(1000)));
        assert_eq!(said[0].notice.address.as_deref(), Some("me@here"));
    }

    #[test]
    fn a_failed_run_without_a_word_says_how_it_ended_and_a_good_one_says_nothing() {
        let ended = |n: u64, exit: Option<i32>, signal: Option<i32>| {
            let (task, run, excerpt) = ("job".parse().unwrap(), String::new(), Excerpt::default());
            let what = EventContent::RunEnded { task, run, exit, signal, duration: 1, excerpt, fingerprints: vec![] };
            Event { what, ..event(n, "job", LogKind::Err, "") }
        };
        let take = |event| Outage::default().take(vec![event], &"comsrv".parse().unwrap(), None, Timestamp(0)).pop();
        for (exit, signal, words) in [(Some(3), None, "exit status 3"), (None, Some(9), "signal 9")] {
            let said = take(ended(1, exit, signal)).unwrap();
            let Content::Error { excerpt, .. } = said.notice.content else { panic!() };
            assert_eq!(excerpt.head(), words);
        }
        assert!(take(ended(1, None, None)).is_some(), "an unknown end is not good");
        assert!(take(ended(1, Some(0), None)).is_none());
    }

    #[test]
    fn the_same_message_is_told_again_after_ten_minutes() {
        let mut outage = Outage::default();
        assert_eq!(told(&mut outage, vec![event(1, "a", LogKind::Msg, "x"), event(2, "a", LogKind::Msg, "x")], 0), [1]);
        assert_eq!(told(&mut outage, vec![event(3, "a", LogKind::Msg, "x")], SAME_MESSAGE - 1), [0_u64; 0]);
        assert_eq!(told(&mut outage, vec![event(4, "a", LogKind::Msg, "x")], SAME_MESSAGE), [4]);
    }

    #[test]
    fn what_was_tried_before_a_restart_is_known_and_not_tried_again() {
        let mut tried = event(1, "a", LogKind::Err, "broken");
        tried.pushed = Some(OwnPush { tried_at: Timestamp(5), accepted_at: None });
        assert_eq!(told(&mut Outage::default(), vec![tried, event(2, "a", LogKind::Err, "broken")], 0), [0_u64; 0]);
    }

    #[test]
    fn a_new_epoch_is_read_from_its_beginning() {
        let mut outage = Outage::default();
        assert_eq!(outage.seen(Id128([1; 16]), 4), 4);
        told(&mut outage, vec![event(7, "a", LogKind::Log, "x")], 0);
        assert_eq!(outage.seen(Id128([1; 16]), 4), 7);
        assert_eq!(outage.seen(Id128([2; 16]), 0), 0);
    }
}

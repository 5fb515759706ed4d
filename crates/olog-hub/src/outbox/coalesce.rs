//! Coalescing under load: keeps the memory and the number of messages of a storm small.
//!
//! A storm is more than [`STORM_MIN`] notifications each time a channel may send. The first message, and any message of at most that
//! many, goes at once. While each turn finds many, the next message waits, twice as long each time, at most [`WAIT`]`.1`. So a
//! storm of a minute is a handful of messages and one of an hour two a minute, whatever the channel's rate allows.
//!
//! One claim then takes thousands of rows with shortened texts ([`ShortTexts`]): the message shows the worst and counts the rest, and all
//! claimed rows are told by it. Pure; the delay is forgotten with the process.

use std::collections::HashMap;
use std::time::Duration;

use olog_proto::{Excerpt, FINGERPRINTS_MAX, Fingerprint};
use olog_push::{Content, Notice};
use tokio::time::Instant;

/// Things in one message that make it one of a storm.
const STORM_MIN: usize = 20;
/// Between two messages of a storm, at first and at most: no first sign waits longer in a back-off either.
const WAIT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));
/// When nothing of it has gone for this long, it is over.
const CALM_AFTER: Duration = Duration::from_secs(60);
/// ShortTexts that are kept whole in one message: far more than it can show.
const WHOLE_TEXTS: usize = 1_000;
/// Bytes of a text that stays of the others.
const SHORT_TEXT: usize = 160;
/// Bytes of a notice beside its texts, about.
const BESIDE: usize = 300;

/// How a channel's storm goes.
#[derive(Debug, Default)]
pub(super) struct Coalesce(Option<(Instant, Duration)>);

impl Coalesce {
    /// How long a message of `n` things has to wait now.
    pub(super) fn wait(&self, n: usize, now: Instant) -> Option<Duration> {
        let (last, wait) = self.0.filter(|_| n > STORM_MIN)?;
        let left = wait.saturating_sub(now.saturating_duration_since(last));
        (!left.is_zero()).then_some(left)
    }

    /// A message of `n` things goes now.
    pub(super) fn goes(&mut self, n: usize, now: Instant) {
        let before = self.0.filter(|(last, _)| now.saturating_duration_since(*last) < CALM_AFTER);
        if n > STORM_MIN {
            let wait = before.map_or(WAIT.0, |(_, wait)| wait.saturating_mul(2).min(WAIT.1));
            self.0 = Some((now, wait));
        } else {
            self.0 = before;
        }
    }
}

/// Makes a claim of thousands of notices small: one text of an error that many share, and of what is too much to be shown its beginning.
#[derive(Debug, Default)]
pub(super) struct ShortTexts {
    /// Whose incident carries the text of an error.
    carried: HashMap<Vec<Fingerprint>, Option<u64>>,
    n_whole: usize,
}

impl ShortTexts {
    /// Takes from a notice what the message will not show; gives the bytes that it takes now, about.
    pub(super) fn shrink(&mut self, notice: &mut Notice) -> usize {
        let incident = notice.incident;
        match &mut notice.content {
            Content::Error { excerpt, path, facts, .. } => {
                // The same incident's later notice takes the place of an earlier one, and then has to carry the text.
                // Only texts whose fingerprints all agree are one; at the bound a text may have more of them.
                let all = &facts.fingerprints;
                let is_known = !all.is_empty() && all.len() < FINGERPRINTS_MAX;
                let carrier = is_known.then(|| *self.carried.entry(all.clone()).or_insert(incident));
                if carrier.is_some_and(|carrier| carrier != incident) {
                    (*excerpt, *path) = (Excerpt::of(""), String::new());
                } else {
                    self.shorten(excerpt);
                }
                BESIDE + excerpt.head().len() + path.len()
            }
            Content::Message { excerpt, .. } | Content::Remind { excerpt, .. } => {
                self.shorten(excerpt);
                BESIDE + excerpt.head().len()
            }
            Content::DevicesLost { devices, .. } | Content::DevicesBack { devices, .. } => {
                BESIDE + devices.iter().map(|name| name.len() + 24).sum::<usize>()
            }
            _ => BESIDE,
        }
    }

    fn shorten(&mut self, excerpt: &mut Excerpt) {
        self.n_whole += 1;
        if self.n_whole > WHOLE_TEXTS {
            let head = excerpt.head();
            let end = (0..=SHORT_TEXT.min(head.len())).rev().find(|at| head.is_char_boundary(*at)).unwrap_or(0);
            *excerpt = Excerpt::of(head.get(..end).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_alert_never_waits_and_a_storm_of_an_hour_is_two_messages_a_minute() {
        let start = Instant::now();
        let (mut coalesce, mut now, mut n) = (Coalesce::default(), start, 0);
        while now < start + Duration::from_secs(3_600) {
            assert_eq!(coalesce.wait(1, now), None);
            match coalesce.wait(5_000, now) {
                Some(wait) => now += wait,
                None => {
                    coalesce.goes(5_000, now);
                    n += 1;
                }
            }
        }
        assert!((120..=126).contains(&n), "{n}");
        // Calm again.
        let later = now + CALM_AFTER;
        assert_eq!(coalesce.wait(5_000, later), None);
        coalesce.goes(5_000, later);
        assert_eq!(coalesce.wait(5_000, later), Some(WAIT.0));
    }
}

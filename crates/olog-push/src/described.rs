//! A channel whose type is described by a file: its keys, the HTTP request, and how the answer is read.
//!
//! [`known::ChannelCatalog`] holds the descriptions: built in (`channels/*.toml`), or the operator's own next to the configuration
//! (`channels.d/*.toml`). This module combines a description with a channel's keys and makes the calls, one per receiver.
//!
//! Secrets of a channel appear only in its HTTP request: answers and errors are masked before they are stored or shown.

mod answer;
mod body;
mod call;
mod description;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
pub(crate) mod known;
mod parse;
mod template;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::Value;
use olog_daemon::clock::Clock;
use olog_daemon::secret::Secret;
use olog_proto::Timestamp;

use crate::http::{Call, Endpoint, one_line, url_masked};
use crate::rate_limit::Rate;
use crate::{Answer, Form, Limits, Message, Receiver, Refusal};
use body::{Body, Fault};
use call::Parts;
pub(crate) use description::ChannelTypeDef;
pub use description::KEYS as TYPE_KEYS;
use description::{Key, KeyType};
use template::{Escape, Template, Values, percent_encoded, url_piece};

/// A piece of a secret URL or header that is shorter tells nothing, and stands in other words.
const PIECE_MIN: usize = 8;

/// A service as a channel has set it up.
#[derive(PartialEq)]
pub(crate) struct TemplateChannel {
    of: Arc<ChannelTypeDef>,
    /// Values of the keys that may be shown.
    texts: BTreeMap<String, Vec<String>>,
    /// Values of those that may not, URLs included.
    secrets: BTreeMap<String, Vec<Secret>>,
    /// Headers of the channel's own, by name.
    headers: BTreeMap<String, Secret>,
    /// A body of the channel's own, and its text as it was typed.
    body: Option<(Body, Secret)>,
    line: Endpoint,
}

/// Without the body: what somebody typed into it may be secret.
impl fmt::Debug for TemplateChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut it = f.debug_struct("Described");
        it.field("of", &self.of.name).field("texts", &self.texts).field("secrets", &self.secrets);
        it.field("line", &self.line).finish_non_exhaustive()
    }
}

impl TemplateChannel {
    pub(crate) fn type_name(&self) -> &str {
        &self.of.name
    }

    pub(crate) fn rate(&self) -> Rate {
        self.of.rate
    }

    /// The documented budget is that of the service's own host.
    pub(crate) fn per_day(&self) -> Option<u32> {
        self.of.per_day.filter(|_| !self.has_own_api_url())
    }

    pub(crate) fn limits(&self) -> Limits {
        self.of.limits
    }

    pub(crate) fn secrets(&self) -> Vec<&Secret> {
        let own = self.headers.values().chain(self.body.as_ref().map(|(_, typed)| typed));
        self.secrets.values().flatten().chain(own).chain(&self.line.proxy).collect()
    }

    pub(crate) fn receivers(&self) -> Vec<Receiver> {
        let Some(key) = self.receivers_key() else { return vec![Receiver { id: self.of.name.clone() }] };
        let mut receivers: Vec<Receiver> = Vec::new();
        let shown = match key.is {
            KeyType::Text => self.texts.get(&key.name).cloned().unwrap_or_default(),
            _ => self.secrets.get(&key.name).into_iter().flatten().map(Secret::masked).collect(),
        };
        for id in shown {
            // Two secrets may look alike behind their masks.
            let is_new = receivers.iter().all(|receiver| receiver.id != id);
            let id = if is_new { id } else { format!("{id}/{}", receivers.len() + 1) };
            receivers.push(Receiver { id });
        }
        receivers
    }

    /// One: each receiver is a call.
    pub(crate) fn in_one_call(&self, left: &[Receiver]) -> Vec<Receiver> {
        self.receivers().into_iter().find(|receiver| left.contains(receiver)).into_iter().collect()
    }

    pub(crate) async fn send(&self, message: &Message, to: Vec<Receiver>) -> Vec<(Receiver, Answer)> {
        let Some(receiver) = to.into_iter().next() else { return Vec::new() };
        let now = Clock::system().now();
        let answer = match self.call(message, &receiver, now) {
            Err((key, why)) => {
                let why = format!("nothing was sent: the {key} of {} cannot be put together: {why}", self.of.name);
                Answer::Refused { class: Refusal::Format, why: self.masked(&why) }
            }
            Ok(call) => match self.line.http.call(&call).await {
                Ok(reply) => self.of.reading.read(&reply, now, |words| self.masked(words)),
                Err(why) => Answer::Later { after: None, why: self.masked(&why) },
            },
        };
        vec![(receiver, answer)]
    }

    /// The call for one receiver; what would make it larger than the service takes is cut from the body.
    fn call(&self, message: &Message, receiver: &Receiver, now: Timestamp) -> Result<Call, Fault> {
        let Limits { unit, plain, .. } = self.of.limits;
        let place = self.receivers().iter().position(|it| it == receiver).unwrap_or_default();
        let keys = self.key_values(place);
        let summary = unit.cut(&message.summary, self.of.title);
        let (mut body, mut form) = message.body(self.of.limits.form);
        let mut shorter;
        let mut tries = 4;
        loop {
            let mut values = call::message_values(message, (body, form), &summary, now);
            values.extend(keys.clone());
            let call = self.parts().put_together(&values, form == Form::Text && self.of.limits.form != Form::Text)?;
            let (size, max) = (call.body.len(), self.of.request);
            if size <= max || tries == 0 {
                return Ok(call);
            }
            tries -= 1;
            // Only plain text may be cut anywhere.
            let text = if form == Form::Text { body } else { &message.text };
            let room = (unit.size(text) / 10 * 9).saturating_mul(max) / size.max(1);
            shorter = unit.cut(text, room.min(plain));
            (body, form) = (&shorter, Form::Text);
        }
    }

    fn parts(&self) -> Parts<'_> {
        let header = |(name, value): (&String, &Secret)| (name.clone(), Template::new(value.reveal(), Escape::Nothing));
        Parts {
            of: &self.of,
            headers: self.headers.iter().map(header).collect(),
            body: self.body.as_ref().map(|(body, _)| body),
        }
    }

    /// The channel's keys as templates name them, for the receiver at this place.
    fn key_values(&self, place: usize) -> Values {
        let mut values = Values::new();
        for key in &self.of.keys {
            let at = if key.names_receivers { place } else { 0 };
            let secret = || self.secrets.get(&key.name).and_then(|held| held.get(at)).map(Secret::reveal);
            let text = || self.texts.get(&key.name).and_then(|held| held.get(at)).map(String::as_str);
            let value = match key.is {
                KeyType::Headers | KeyType::Body => continue,
                KeyType::Text => Value::from(text().unwrap_or_default()),
                KeyType::Secret => Value::from(secret().unwrap_or_default()),
                KeyType::Url => url_piece(secret().unwrap_or_default()),
            };
            values.insert(key.name.clone(), value);
        }
        values.insert("api_url".to_owned(), url_piece(&self.line.api_url));
        values.insert("api_url_is_own".to_owned(), Value::from(self.has_own_api_url()));
        values
    }

    fn has_own_api_url(&self) -> bool {
        self.of.api_url.as_ref().is_some_and(|usual| *usual != self.line.api_url)
    }

    fn receivers_key(&self) -> Option<&Key> {
        self.of.keys.iter().find(|key| key.names_receivers)
    }

    /// On one line, bounded, without any secret or a telling piece of one.
    fn masked(&self, words: &str) -> String {
        let mut pieces: Vec<(String, String)> = Vec::new();
        for secret in self.secrets.values().flatten().chain(self.headers.values()).chain(&self.line.proxy) {
            let text = secret.reveal();
            match url::Url::parse(text).ok().filter(url::Url::has_host) {
                None => {
                    pieces.push((text.to_owned(), secret.masked()));
                    pieces.push((percent_encoded(text), secret.masked()));
                    pieces.extend(text.split_whitespace().map(|piece| (piece.to_owned(), "…".to_owned())));
                }
                Some(url) => {
                    pieces.push((text.to_owned(), url_masked(text)));
                    pieces.push((url.path().to_owned(), "/…".to_owned()));
                    pieces.extend(url.path().split('/').map(|piece| (piece.to_owned(), "…".to_owned())));
                    pieces.extend(url.query_pairs().map(|(_, value)| (value.into_owned(), "…".to_owned())));
                    pieces.extend(url.password().map(|password| (password.to_owned(), "…".to_owned())));
                }
            }
        }
        let is_whole = |piece: &str| self.secrets().iter().any(|secret| secret.reveal() == piece);
        pieces.retain(|(piece, _)| piece.len() >= PIECE_MIN || piece.len() >= 3 && is_whole(piece));
        // A longer one may hold a shorter one.
        pieces.sort_by_key(|(piece, _)| std::cmp::Reverse(piece.len()));
        let mut words = words.to_owned();
        for (piece, mask) in pieces {
            words = words.replace(&piece, &mask);
        }
        one_line(&words)
    }
}

#[cfg(test)]
mod tests;

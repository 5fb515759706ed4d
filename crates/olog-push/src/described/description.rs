//! A channel type described by a file: its keys, its request, how its answer is read, its size limits and its rate limit.
//!
//! The file format is documented in docs/channels.md. A file is accepted only after every template has been rendered with sample
//! messages, hostile ones among them: no text of a message can make a [`ChannelTypeDef`] fail later.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use olog_daemon::config::Table;

use super::answer::AnswerRules;
use super::body::{self, Body, Fault};
use super::template::{Escape, Template};
use crate::http::Method;
use crate::rate_limit::Rate;
use crate::{Form, Limits, Unit};

/// Keys that every channel has.
const COMMON: [&str; 7] = ["name", "type", "only", "rate", "per_day", "api_url", "proxy"];
/// What a service takes of which its file says nothing.
const LIMITS: Limits =
    Limits { unit: Unit::Characters, form: Form::Text, body: 10_000, plain: 10_000, summary_chars: 100 };

#[derive(Debug, PartialEq)]
pub(crate) struct ChannelTypeDef {
    pub(super) name: String,
    /// The service's scheme and host; `None` where a key holds the whole URL.
    pub(super) api_url: Option<String>,
    pub(super) keys: Vec<Key>,
    pub(super) method: Method,
    pub(super) url: Template,
    pub(super) headers: Vec<(String, Template)>,
    pub(super) body: Body,
    /// What goes in its place when the message goes as plain text.
    pub(super) plain: Option<Body>,
    pub(super) reading: AnswerRules,
    pub(super) limits: Limits,
    /// The summary's size in the limits' unit.
    pub(super) title: usize,
    /// Bytes of the request's whole body.
    pub(super) request: usize,
    pub(super) rate: Rate,
    pub(super) per_day: Option<u32>,
}

/// A key that a channel of this type has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) is: KeyType,
    pub(super) is_needed: bool,
    /// Each of its values is a receiver, and gets a call of its own.
    pub(super) names_receivers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyType {
    /// Shown.
    Text,
    /// Never shown; as KEY or KEY_file.
    Secret,
    /// A secret that is a whole URL.
    Url,
    /// A table of headers, their values secret.
    Headers,
    /// A body in the place of the file's own.
    Body,
}

/// Puts the templates of a type together with made-up values (`call::try_out`).
pub(super) type TryOut = fn(&ChannelTypeDef) -> Result<(), Fault>;

impl ChannelTypeDef {
    /// Reads a whole file; `None` when something in it is wrong, and reported.
    pub(crate) fn take(name: &str, table: &mut Table, try_out: TryOut) -> Option<ChannelTypeDef> {
        let api_url = table.take_as("api_url", |text| crate::http::service_url(text, "https://push.example.com"));
        let keys = take_keys(table);
        let request = table.take_table("request");
        if request.is_none() && !table.has("request") {
            table.fault("request", "is missing: expected [request] with url and body");
        }
        if !table.has("answer") {
            table.fault("answer", "is missing: expected [answer], empty if any 2xx means accepted");
        }
        let reading = table.take_table("answer").map(AnswerRules::take);
        let limits = table.take_table("limits").map_or(Some((LIMITS, LIMITS.summary_chars, usize::MAX)), take_limits);
        let burst = table.take_int("burst", 1..=1000).and_then(|n| NonZeroU32::new(u32::try_from(n).ok()?));
        let burst = burst.unwrap_or(NonZeroU32::MIN);
        let rate = table.take_as("rate", |text| Rate::parse_or_say(text, burst));
        let per_day = table.take_int("per_day", 1..=1_000_000).and_then(|n| u32::try_from(n).ok());
        let mut request = request?;
        let method = [("GET", Method::Get), ("POST", Method::Post), ("PUT", Method::Put)];
        let method = request.take_choice("method", &method).unwrap_or(Method::Post);
        let url = request.need_str("url");
        let headers = request.take_texts("headers").unwrap_or_default();
        let body = request.take_json("body");
        let plain = request.take_json("plain");
        let is_json = is_json(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let (limits, title, request_max) = limits?;
        let description = ChannelTypeDef {
            name: name.to_owned(),
            api_url,
            keys: keys?,
            method,
            url: Template::new(&url, Escape::Url),
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone(), Template::new(value, Escape::Nothing)))
                .collect(),
            body: body.map_or(Body::Nothing, |body| Body::new(body, is_json)),
            plain: plain.map(|plain| Body::new(plain, is_json)),
            reading: reading?,
            limits,
            title,
            request: request_max,
            rate: rate.unwrap_or(Rate { every: Duration::from_secs(1), burst }),
            per_day,
        };
        let faults = description.faults(try_out);
        for (key, why) in &faults {
            request.fault(key, why);
        }
        request.finish();
        faults.is_empty().then_some(description)
    }

    /// The names that its templates may use.
    pub(super) fn known(&self) -> BTreeSet<&str> {
        let keys = self.keys.iter().filter(|key| !matches!(key.is, KeyType::Headers | KeyType::Body));
        body::NAMES.into_iter().chain(keys.map(|key| key.name.as_str())).collect()
    }

    /// What is wrong with its templates, by their key in `[request]`.
    fn faults(&self, try_out: TryOut) -> Vec<Fault> {
        let known = self.known();
        let headers = self.headers.iter().try_for_each(|(_, template)| template.faults(&known));
        let checked = [
            ("url", self.url.faults(&known)),
            ("headers", headers),
            ("body", self.body.faults(&known)),
            ("plain", self.plain.as_ref().map_or(Ok(()), |plain| plain.faults(&known))),
        ];
        let mut faults: Vec<_> =
            checked.into_iter().filter_map(|(key, checked)| checked.err().map(|why| (key, why))).collect();
        if faults.is_empty() {
            faults.extend(try_out(self).err());
        }
        faults
    }
}

/// Does a request with these headers carry JSON? If nobody says otherwise, it does.
pub(super) fn is_json<'a>(mut headers: impl Iterator<Item = (&'a str, &'a str)>) -> bool {
    headers.find(|(name, _)| name.eq_ignore_ascii_case("content-type")).is_none_or(|(_, value)| value.contains("json"))
}

fn take_keys(table: &mut Table) -> Option<Vec<Key>> {
    const WHAT: [(&str, KeyType); 5] = [
        ("text", KeyType::Text),
        ("secret", KeyType::Secret),
        ("url", KeyType::Url),
        ("headers", KeyType::Headers),
        ("body", KeyType::Body),
    ];
    let Some(mut keys) = table.take_table("keys") else { return Some(Vec::new()) };
    let mut taken = Vec::new();
    let mut is_good = true;
    for name in keys.keys() {
        let Some(mut key) = keys.take_table(&name) else {
            is_good = false;
            continue;
        };
        let is = key.take_choice("is", &WHAT);
        let is_value = !matches!(is, Some(KeyType::Headers | KeyType::Body));
        let is_needed = key.take_bool("needed").unwrap_or(is_value);
        let names_receivers = key.take_bool("receivers").unwrap_or(false);
        let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let faults = [
            (
                is.is_none() && !key.has("is"),
                "is",
                "is missing: expected \"text\", \"secret\", \"url\", \"headers\" or \"body\"",
            ),
            (
                names_receivers && !matches!(is, Some(KeyType::Text | KeyType::Secret)),
                "receivers",
                "only a text or a secret names receivers",
            ),
            (
                COMMON.contains(&name.as_str()) || is_value && body::NAMES.contains(&name.as_str()),
                "is",
                "this name is taken: choose another key",
            ),
            (
                !is_plain || name.ends_with("_file"),
                "is",
                "expected a key of small letters, digits and _, not ending in _file",
            ),
        ];
        for (is_wrong, at, why) in faults {
            if is_wrong {
                key.fault(at, why);
                is_good = false;
            }
        }
        key.finish();
        match is {
            Some(is) => taken.push(Key { name, is, is_needed, names_receivers }),
            None => is_good = false,
        }
    }
    if taken.iter().filter(|key| key.names_receivers).count() > 1 {
        table.fault("keys", "one key names the receivers, not several");
        is_good = false;
    }
    keys.finish();
    is_good.then_some(taken)
}

/// The limits, the summary's size, and the bytes of a whole request.
fn take_limits(mut table: Table) -> Option<(Limits, usize, usize)> {
    let size = |table: &mut Table, key: &str, from: i64| {
        table.take_int(key, from..=10_000_000).and_then(|n| usize::try_from(n).ok())
    };
    let unit = [("characters", Unit::Characters), ("bytes", Unit::Bytes)];
    let unit = table.take_choice("unit", &unit).unwrap_or(LIMITS.unit);
    let form = [("html", Form::Html), ("markdown", Form::Markdown), ("text", Form::Text)];
    let form = table.take_choice("form", &form).unwrap_or(LIMITS.form);
    // Smaller than this no message says anything.
    let body = size(&mut table, "body", 200).unwrap_or(LIMITS.body);
    let plain = size(&mut table, "plain", 200).unwrap_or(body);
    let title = size(&mut table, "title", 20).unwrap_or(LIMITS.summary_chars);
    let request = size(&mut table, "request", 1000).unwrap_or(usize::MAX);
    table.finish();
    Some((Limits { unit, form, body, plain, summary_chars: title.min(LIMITS.summary_chars) }, title, request))
}

//! A channel type described by a file: its keys, its request, how its answer is read, its size limits and its rate limit.
//!
//! The file format is documented in docs/book/en/src/channels.md. A file is accepted only after every template has been rendered with sample
//! messages, hostile ones among them: no text of a message can make a [`ChannelTypeDef`] fail later.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use olog_daemon::config::{Key as Row, Table};
use olog_daemon::keys;

use super::answer::AnswerRules;
use super::body::{self, Body, Fault};
use super::template::{Escape, Template};
use crate::http::Method;
use crate::keys as common;
use crate::rate_limit::Rate;
use crate::{Form, Limits, Unit};

/// The keys of a file that describes a type.
pub static KEYS: &[Row] = keys! {
    /// The service's scheme and host, which `api_url` of a channel replaces. Absent: channels of this type have no such key.
    "api_url", Text, Unset, "0.1";
    /// How often the service may be called.
    "rate", Text, Is("\"1/s\""), "0.1";
    /// How many calls may follow each other at once after a rest.
    "burst", Int(1, 1000), Is("1"), "0.1";
    /// Messages in 24 rolling hours. Absent: not bounded.
    "per_day", Int(1, 1_000_000), Unset, "0.1";
    /// The keys of a channel of this type.
    "keys", Table, Unset, "0.1";
    /// One of them, by its name.
    "keys.*", Table, Unset, "0.1";
    /// What stands there.
    "keys.*.is", Choice(&["text", "secret", "url", "headers", "body"]), Wrong("expected \"text\", \"secret\", \"url\", \"headers\" or \"body\""), "0.1";
    /// Whether a channel must have it.
    "keys.*.needed", Bool, Found("`true`, except for headers and body"), "0.1";
    /// Whether each of its values is a receiver, which gets a call of its own.
    "keys.*.receivers", Bool, Is("false"), "0.1";
    /// The request. URL, headers and body are templates.
    "request", Table, Wrong("expected [request] with url and body"), "0.1";
    /// The HTTP method.
    "request.method", Choice(&["GET", "POST", "PUT"]), Is("\"POST\""), "0.1";
    /// The URL; each value in it is percent-encoded.
    "request.url", Text, Wrong("expected a string"), "0.1";
    /// The headers.
    "request.headers", Map, Unset, "0.1";
    /// The body: a table is sent as JSON, a text as it is.
    "request.body", Any, Unset, "0.1";
    /// What is sent instead of the body when the message goes as plain text.
    "request.plain", Any, Unset, "0.1";
    /// How the answer is read.
    "answer", Table, Wrong("expected [answer], empty if any 2xx means accepted"), "0.1";
    /// Where the code stands in the answer: keys joined by dots.
    "answer.code", Text, Unset, "0.1";
    /// The code that means accepted. Absent: any 2xx.
    "answer.accepted", Any, Unset, "0.1";
    /// Instead of it: the whole body that means accepted.
    "answer.body", Text, Unset, "0.1";
    /// Where the service's words stand, which the ledger keeps.
    "answer.words", Text, Unset, "0.1";
    /// Where the service says how many seconds to wait. The header `Retry-After` is always read.
    "answer.retry_after", Text, Unset, "0.1";
    /// What a refusal means; the first that fits counts, by each of `code`, `status` and `text` that is given.
    "answer.refusal", Tables, Unset, "0.1";
    /// These codes.
    "answer.refusal.code", Any, Unset, "0.1";
    /// These HTTP statuses.
    "answer.refusal.status", Any, Unset, "0.1";
    /// One of these texts in the answer.
    "answer.refusal.text", Any, Unset, "0.1";
    /// What it means.
    "answer.refusal.means", Choice(&["later", "credential", "receiver", "format", "other"]), Wrong("expected \"later\", \"credential\", \"receiver\", \"format\" or \"other\""), "0.1";
    /// With `later`: how long to wait. Absent: as the service says, else the back-off.
    "answer.refusal.after", Text, Unset, "0.1";
    /// With `later`: until when to wait, like `00:05 Asia/Shanghai`.
    "answer.refusal.until", Text, Unset, "0.1";
    /// What fits into one message.
    "limits", Table, Unset, "0.1";
    /// What the limits count.
    "limits.unit", Choice(&["characters", "bytes"]), Is("\"characters\""), "0.1";
    /// What the body is.
    "limits.form", Choice(&["html", "markdown", "text"]), Is("\"text\""), "0.1";
    /// The size of the body.
    "limits.body", Int(200, 10_000_000), Is("10000"), "0.1";
    /// The size of the body as plain text.
    "limits.plain", Int(200, 10_000_000), Found("as `body`"), "0.1";
    /// The size of the summary; at most 100 characters are sent.
    "limits.title", Int(20, 10_000_000), Is("100"), "0.1";
    /// The bytes of the whole request. Absent: not bounded. A body that makes it longer is cut.
    "limits.request", Int(1000, 10_000_000), Unset, "0.1";
};
/// A summary is never longer, in characters.
const SUMMARY_MAX: usize = 100;

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

impl Key {
    /// Of which type, its name, what may stand there, and whether it is required.
    pub(super) fn described(&self, of: &str) -> (String, String, &'static str, bool) {
        let kind = match (self.is, self.names_receivers) {
            (KeyType::Text, false) => "text",
            (KeyType::Text, true) => "text or list of texts, each a receiver",
            (KeyType::Secret, false) => "secret",
            (KeyType::Secret, true) => "secret or list of secrets, each a receiver",
            (KeyType::Url, _) => "secret: a whole URL",
            (KeyType::Headers, _) => "table of texts, secret",
            (KeyType::Body, _) => "text or table",
        };
        (of.to_owned(), self.name.clone(), kind, self.is_needed)
    }
}

impl ChannelTypeDef {
    /// Reads a whole file; `None` when something in it is wrong, and reported.
    pub(crate) fn parse(name: &str, table: &mut Table, try_out: TryOut) -> Option<ChannelTypeDef> {
        table.declare(KEYS);
        let api_url = table.take_as("api_url", |text| crate::http::service_url(text, "https://push.example.com"));
        let keys = take_keys(table);
        let request = table.take_table("request");
        let reading = table.take_table("answer").map(AnswerRules::parse);
        let (limits, title, request_max) = take_limits(table.section("limits"));
        let burst = table.take_int("burst").and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let rate = table.take_as("rate", |text| Rate::parse_or_say(text, burst));
        let per_day = table.take_int("per_day");
        let mut request = request?;
        let method = [("GET", Method::Get), ("POST", Method::Post), ("PUT", Method::Put)];
        let method = request.take_choice("method", &method).unwrap_or_default();
        let url = request.take_filled("url").unwrap_or_default();
        let headers = request.take_texts("headers").unwrap_or_default();
        let body = request.take_json("body");
        let plain = request.take_json("plain");
        let is_json = is_json(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
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
            rate: rate?,
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

/// Is it a key of every channel?
fn is_common(name: &str) -> bool {
    [common::CHANNEL, common::HTTP, common::HTTP_ADDRESS].into_iter().flatten().any(|row| row.path == name)
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
        let names_receivers = key.take_bool("receivers").unwrap_or_default();
        let is_plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let faults = [
            (
                names_receivers && !matches!(is, Some(KeyType::Text | KeyType::Secret)),
                "receivers",
                "only a text or a secret names receivers",
            ),
            (
                is_common(&name) || is_value && body::NAMES.contains(&name.as_str()),
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
fn take_limits(mut table: Table) -> (Limits, usize, usize) {
    let unit = [("characters", Unit::Characters), ("bytes", Unit::Bytes)];
    let unit = table.take_choice("unit", &unit).unwrap_or(Unit::Characters);
    let form = [("html", Form::Html), ("markdown", Form::Markdown), ("text", Form::Text)];
    let form = table.take_choice("form", &form).unwrap_or(Form::Text);
    // Smaller than its bound no message says anything.
    let body = size(&mut table, "body").unwrap_or_default();
    let plain = size(&mut table, "plain").unwrap_or(body);
    let title = size(&mut table, "title").unwrap_or_default();
    let request = size(&mut table, "request").unwrap_or(usize::MAX);
    table.finish();
    (Limits { unit, form, body, plain, summary_chars: title.min(SUMMARY_MAX) }, title, request)
}

fn size(table: &mut Table, key: &str) -> Option<usize> {
    table.take_int::<u32>(key).and_then(|n| usize::try_from(n).ok())
}

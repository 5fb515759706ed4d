//! WxPusher, standard push and simple push (SPT): the request, the answer, the limits.
//!
//! Source: the vendor's manual and openapi.yaml (github.com/wxpusher/wxpusher-docs @4d7ba1b, 2026-07-11). HTTP 200 alone proves
//! nothing: the answer holds a `code` (1000: accepted) and `data[]` with one row for each receiver, each with its own `code`. A
//! receiver has accepted only if the status and both codes say so. SPT rows do not name their token; they have the order of the
//! request. Code 1000 means "send task created": whether the phone shows the message is never reported.
//!
//! Codes are those of the vendor's enum. Where a code is too coarse (a rate limit has none of its own), `msg` decides.

mod parse;

pub(crate) use parse::KEYS;

use serde_json::{Value, json};

use crate::http::{Endpoint, Reply, WORDS_MAX, one_line};
use crate::{Answer, Form, Limits, Message, Receiver, Refusal, Unit};
use olog_daemon::secret::Secret;

/// The vendor's host.
const API_URL: &str = "https://wxpusher.zjiecode.com";
/// `content` ≤ 40,000 characters, `summary` ≤ 100.
const LIMITS: Limits =
    Limits { unit: Unit::Characters, form: Form::HtmlWithCopy, body: 40_000, plain: 40_000, summary_chars: 100 };
const UIDS_MAX: usize = 2000;
const TOPICS_MAX: usize = 5;
const SPTS_MAX: usize = 10;

/// The service as a channel has set it up.
#[derive(Debug, PartialEq)]
pub(crate) struct Wxpusher {
    whom: Whom,
    line: Endpoint,
}

impl Wxpusher {
    pub(crate) fn receivers(&self) -> Vec<Receiver> {
        self.whom.receivers()
    }

    /// Those of `left` that one call may name, in the order of the configuration.
    pub(crate) fn in_one_call(&self, left: &[Receiver]) -> Vec<Receiver> {
        self.whom.in_one_call(left)
    }

    pub(crate) fn limits(&self) -> Limits {
        LIMITS
    }

    pub(crate) fn secrets(&self) -> Vec<&Secret> {
        self.whom.secrets()
    }

    /// One call, and what it said of each of `to`, which [`Wxpusher::in_one_call`] has chosen.
    pub(crate) async fn send(&self, message: &Message, to: Vec<Receiver>) -> Vec<(Receiver, Answer)> {
        let url = format!("{}{}", self.line.api_url, self.whom.path());
        match self.line.http.post(&url, self.whom.body(message, &to)).await {
            Ok(reply) => self.whom.read(&reply, &to),
            Err(why) => {
                let why = self.whom.masked(&why);
                to.into_iter().map(|r| (r, Answer::Later { after: None, why: why.clone() })).collect()
            }
        }
    }
}

/// Whom to reach, and by what right.
#[derive(Debug, PartialEq)]
enum Whom {
    /// An application's token with users and topics.
    App { token: Secret, uids: Vec<String>, topics: Vec<u64> },
    /// Simple push: each token is one phone.
    Simple(Vec<Secret>),
}

impl Whom {
    fn path(&self) -> &'static str {
        match self {
            Whom::App { .. } => "/api/send/message",
            Whom::Simple(_) => "/api/send/message/simple-push",
        }
    }

    fn secrets(&self) -> Vec<&Secret> {
        match self {
            Whom::App { token, .. } => vec![token],
            Whom::Simple(spts) => spts.iter().collect(),
        }
    }

    fn receivers(&self) -> Vec<Receiver> {
        match self {
            Whom::App { uids, topics, .. } => {
                let uids = uids.iter().map(|uid| Receiver { id: uid.clone() });
                uids.chain(topics.iter().map(|topic| topic_receiver(*topic))).collect()
            }
            Whom::Simple(spts) => {
                let mut receivers: Vec<Receiver> = Vec::new();
                for spt in spts {
                    let mut receiver = Receiver { id: masked_spt(spt.reveal()) };
                    // Two tokens may look alike behind their masks.
                    if receivers.contains(&receiver) {
                        receiver.id = format!("{}/{}", receiver.id, receivers.len() + 1);
                    }
                    receivers.push(receiver);
                }
                receivers
            }
        }
    }

    /// Those of `left` that one call may name, in the order of the configuration.
    fn in_one_call(&self, left: &[Receiver]) -> Vec<Receiver> {
        let (mut n_uids, mut n_topics, mut n_spts) = (0, 0, 0);
        let mut room = |receiver: &Receiver| {
            let (n, max) = match self {
                Whom::Simple(_) => (&mut n_spts, SPTS_MAX),
                Whom::App { .. } if receiver.id.starts_with("topic:") => (&mut n_topics, TOPICS_MAX),
                Whom::App { .. } => (&mut n_uids, UIDS_MAX),
            };
            *n += 1;
            *n <= max
        };
        self.receivers().into_iter().filter(|r| left.contains(r)).filter(|r| room(r)).collect()
    }

    /// The call's body.
    fn body(&self, message: &Message, to: &[Receiver]) -> Vec<u8> {
        let (content, form) = message.body(LIMITS.form);
        let content_type = if form == Form::Text { 1 } else { 2 };
        let summary: String = message.summary.chars().take(LIMITS.summary_chars).collect();
        let mut body = json!({ "content": content, "summary": summary, "contentType": content_type });
        match self {
            Whom::App { token, uids, topics } => {
                set(&mut body, "appToken", token.reveal().into());
                let uids: Vec<&String> = uids.iter().filter(|uid| to.iter().any(|r| r.id == **uid)).collect();
                if !uids.is_empty() {
                    set(&mut body, "uids", json!(uids));
                }
                let topics: Vec<&u64> = topics.iter().filter(|t| to.contains(&topic_receiver(**t))).collect();
                if !topics.is_empty() {
                    set(&mut body, "topicIds", json!(topics));
                }
            }
            Whom::Simple(spts) => {
                let named = self.receivers().into_iter().zip(spts).filter(|(receiver, _)| to.contains(receiver));
                let list: Vec<&str> = named.map(|(_, spt)| spt.reveal()).collect();
                match list.as_slice() {
                    [one] => set(&mut body, "spt", (*one).into()),
                    several => set(&mut body, "sptList", json!(several)),
                }
            }
        }
        body.to_string().into_bytes()
    }

    /// What the service said about each of `to`, which stand in the order of the configuration.
    fn read(&self, reply: &Reply, to: &[Receiver]) -> Vec<(Receiver, Answer)> {
        let all = |answer: Answer| to.iter().map(|receiver| (receiver.clone(), answer.clone())).collect();
        let parsed: Option<Value> = serde_json::from_slice(&reply.body).ok().filter(Value::is_object);
        let Some(answer) = parsed else {
            return all(self.unreadable(reply));
        };
        let code = answer.get("code").and_then(whole_number);
        let msg = self.words(&answer, "msg");
        let ok = (200..300).contains(&reply.status);
        let Some(1000) = code.filter(|_| ok) else {
            return all(refusal(reply, code, msg));
        };
        let rows = answer.get("data").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let row_of = |place: usize, receiver: &Receiver| match self {
            Whom::App { .. } => rows.iter().find(|row| names(row, receiver)),
            Whom::Simple(_) => rows.get(place),
        };
        to.iter()
            .enumerate()
            .map(|(place, receiver)| {
                let answer = row_of(place, receiver).map_or_else(
                    || Answer::Later { after: None, why: format!("{msg} (but no row for this receiver)") },
                    |row| self.row(row),
                );
                (receiver.clone(), answer)
            })
            .collect()
    }

    fn row(&self, row: &Value) -> Answer {
        let status = self.words(row, "status");
        match row.get("code").and_then(whole_number) {
            Some(1000) => Answer::Accepted { words: status },
            Some(1005..=1007 | 1009) => Answer::Later { after: None, why: status },
            _ if speaks_of_frequency(&status) => Answer::Later { after: None, why: status },
            _ => Answer::Refused { class: Refusal::Receiver, why: status },
        }
    }

    /// No JSON object: a proxy, a captive portal, a broken server; only its status says something.
    fn unreadable(&self, reply: &Reply) -> Answer {
        let start = reply.body.get(..reply.body.len().min(4 * WORDS_MAX)).unwrap_or_default();
        let start = self.masked(&String::from_utf8_lossy(start));
        let why = format!(
            "HTTP {}, not WxPusher's answer: {}",
            reply.status,
            if start.is_empty() { "(empty)" } else { &start }
        );
        let class = match reply.status {
            401 | 403 => Refusal::Credential,
            413 => Refusal::Format,
            408 | 429 | 200..=399 | 500.. => return Answer::Later { after: reply.retry_after, why },
            _ => Refusal::Other,
        };
        Answer::Refused { class, why }
    }

    fn words(&self, answer: &Value, key: &str) -> String {
        let said = answer.get(key).and_then(Value::as_str).unwrap_or_default();
        let code = answer.get("code").map_or_else(|| "none".to_owned(), Value::to_string);
        self.masked(&format!("{code} {said}"))
    }

    /// Bounded, on one line, without any token.
    fn masked(&self, words: &str) -> String {
        let mut words = words.to_owned();
        for secret in self.secrets() {
            words = words.replace(secret.reveal(), &secret.masked());
        }
        for mark in ["AT_", "SPT_"] {
            words = mask_after(&words, mark);
        }
        one_line(&words)
    }
}

fn topic_receiver(topic: u64) -> Receiver {
    Receiver { id: format!("topic:{topic}") }
}

/// `SPT_ab…yz`: enough to tell two apart.
fn masked_spt(spt: &str) -> String {
    let chars: Vec<char> = spt.strip_prefix("SPT_").unwrap_or(spt).chars().collect();
    match chars.as_slice() {
        [a, b, .., y, z] if chars.len() >= 12 => format!("SPT_{a}{b}…{y}{z}"),
        _ => "SPT_…".to_owned(),
    }
}

/// Leaves of a token that follows `mark` nothing but the mark.
fn mask_after(words: &str, mark: &str) -> String {
    let mut pieces = words.split(mark);
    let mut masked = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_alphanumeric());
        masked.push_str(mark);
        masked.push_str(if rest.len() < piece.len() { "…" } else { "" });
        masked.push_str(rest);
    }
    masked
}

fn set(body: &mut Value, key: &str, value: Value) {
    if let Some(object) = body.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn whole_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn names(row: &Value, receiver: &Receiver) -> bool {
    let topic = row.get("topicId").and_then(whole_number).is_some_and(|t| receiver.id == format!("topic:{t}"));
    topic || row.get("uid").and_then(Value::as_str) == Some(receiver.id.as_str())
}

/// A refusal of the whole call: the code's class unless the words say better.
fn refusal(reply: &Reply, code: Option<i64>, why: String) -> Answer {
    let why = if reply.status == 200 { why } else { format!("HTTP {}: {why}", reply.status) };
    let later = |why| Answer::Later { after: reply.retry_after, why };
    let class = match (reply.status, code) {
        (500.. | 408 | 429, _) => return later(why),
        _ if speaks_of_frequency(&why) => return later(why),
        _ if speaks_of_length(&why) => Refusal::Format,
        _ if speaks_of_credential(&why) => Refusal::Credential,
        (401 | 403, _) | (_, Some(1002)) => Refusal::Credential,
        (413, _) => Refusal::Format,
        (_, Some(1005..=1007 | 1009)) => return later(why),
        (300..=399, None) => return later(why),
        _ => Refusal::Other,
    };
    Answer::Refused { class, why }
}

fn speaks_of_frequency(words: &str) -> bool {
    let lower = words.to_lowercase();
    ["频", "太快", "限流", "qps", "too fast", "too many", "too often", "rate limit", "frequen", "稍后再试"]
        .iter()
        .any(|w| lower.contains(w))
}

fn speaks_of_length(words: &str) -> bool {
    let lower = words.to_lowercase();
    ["过长", "太长", "超长", "长度", "字数", "too long", "length", "内容格式", "contenttype"]
        .iter()
        .any(|w| lower.contains(w))
}

fn speaks_of_credential(words: &str) -> bool {
    let lower = words.to_lowercase();
    let speaks = ["token", "密钥", "未授权", "未登录", "无权限", "unauthorized", "not authorized"];
    speaks.iter().any(|w| lower.contains(w))
}

#[cfg(test)]
mod tests;

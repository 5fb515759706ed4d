//! What the service does with a call: its checks in its order, its texts, and who gets the message.
//!
//! Source: WxPusher's manual and openapi.yaml (github.com/wxpusher/wxpusher-docs @4d7ba1b). Where they give no code for a refusal, this uses 1001 with
//! a text that says what is wrong; a malformed type is 1005 with the text of the service's Java.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::time::Duration;

use super::{Call, Habit, Kept, Push, Shared, now};

const CONTENT_MAX: usize = 40_000;
const SUMMARY_MAX: usize = 100;
const URL_MAX: usize = 1000;

type Refused = (i64, String);

/// Checks one call, delivers its message, records it, and returns the body of the answer.
pub(super) fn take(shared: &Shared, connection: usize, path: &str, body: &[u8], habit: &Habit) -> String {
    let (at, wall) = now();
    shared.change(|kept| {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let number = kept.calls.len();
        let outcome = match habit {
            Habit::Code(code, words) => Err((*code, (*words).to_owned())),
            Habit::Well | Habit::Row(..) | Habit::TakeAndReset | Habit::TakeAndHold | Habit::Drip => {
                check(kept, path, &body, at)
            }
            other => Err((0, format!("{other:?}"))),
        };
        let answer = match outcome {
            Ok(receivers) => {
                let rows: Vec<Value> = receivers
                    .iter()
                    .enumerate()
                    .map(|(n, to)| row(kept, habit, to, number * 10_000 + n, number))
                    .collect();
                for to in &receivers {
                    if row_code(kept, habit, to) != 1000 {
                        continue;
                    }
                    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
                    let content_type = body.get("contentType").and_then(Value::as_i64).unwrap_or(1);
                    let (summary, content) = (text("summary"), text("content"));
                    let receiver = to.to_string();
                    let push = Push { at, wall, receiver, summary, content, content_type, call: number };
                    if kept.prints {
                        push.print();
                    }
                    kept.pushes.push(push);
                }
                json!({ "code": 1000, "msg": "处理成功", "data": rows, "success": true })
            }
            Err((code, words)) => json!({ "code": code, "msg": words, "data": null, "success": false }),
        };
        let said = |key: &str| answer.get(key).map(Value::to_string).unwrap_or_default();
        let words = if *habit == Habit::Well { String::new() } else { format!(" ({habit:?})") };
        let answer_line = format!("{} {}{words}", said("code"), said("msg"));
        kept.calls.push(Call { at, connection, body, answer: answer_line });
        answer.to_string()
    })
}

enum To {
    Uid(String),
    Topic(i64),
    Spt(String),
}

impl std::fmt::Display for To {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            To::Uid(text) | To::Spt(text) => f.write_str(text),
            To::Topic(number) => write!(f, "topic:{number}"),
        }
    }
}

fn known(kept: &Kept, to: &To) -> bool {
    match to {
        To::Uid(uid) => kept.uids.contains(uid),
        To::Topic(topic) => kept.topics.contains(topic),
        To::Spt(spt) => kept.spts.contains(spt),
    }
}

/// The code in the row of one receiver: 1000, or that the receiver is unknown.
fn row_code(kept: &Kept, habit: &Habit, to: &To) -> i64 {
    match habit {
        Habit::Row(receiver, code) if to.to_string() == *receiver => *code,
        _ if known(kept, to) => 1000,
        _ => 1001,
    }
}

fn row(kept: &Kept, habit: &Habit, to: &To, record: usize, content: usize) -> Value {
    let (uid, topic) = match to {
        To::Uid(uid) => (json!(uid), Value::Null),
        To::Topic(topic) => (Value::Null, json!(topic)),
        To::Spt(_) => (Value::Null, Value::Null),
    };
    let code = row_code(kept, habit, to);
    let status = match code {
        1000 => "创建发送任务成功",
        1001 => "用户没有关注应用或者已拉黑",
        _ => "与微信服务器通信失败",
    };
    json!({ "uid": uid, "topicId": topic, "messageId": record, "messageContentId": content, "sendRecordId": record,
        "code": code, "status": status })
}

fn refuse<T>(code: i64, words: &str) -> Result<T, Refused> {
    Err((code, words.to_owned()))
}

fn check(kept: &mut Kept, path: &str, body: &Value, at: tokio::time::Instant) -> Result<Vec<To>, Refused> {
    let simple = match path {
        "POST /api/send/message" => false,
        "POST /api/send/message/simple-push" => true,
        _ => return refuse(1004, "接口不存在"),
    };
    let Some(fields) = body.as_object() else {
        return refuse(1005, "JSON parse error: Cannot deserialize value of type `SendMsgReq`");
    };
    while kept.recent.front().is_some_and(|first| at.duration_since(*first) >= Duration::from_secs(10)) {
        kept.recent.pop_front();
    }
    kept.recent.push_back(at);
    if kept.rate_limited && kept.recent.len() > 20 {
        return refuse(1001, "发送消息频率过快,请稍后再试");
    }
    let text = |key: &str, max: usize| match fields.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= max => Ok(Some(text.as_str())),
        Some(Value::String(_)) => Err((1001, format!("{key}长度不能超过{max}"))),
        Some(_) => {
            Err((1005, format!("JSON parse error: Cannot deserialize value of type `java.lang.String` ({key})")))
        }
    };
    let Some(_) = text("content", CONTENT_MAX)?.filter(|content| !content.is_empty()) else {
        return refuse(1001, "发送内容不能为空");
    };
    text("summary", SUMMARY_MAX)?;
    text("url", URL_MAX)?;
    match fields.get("contentType") {
        None => {}
        Some(n) if n.as_i64().is_some_and(|n| (1..=3).contains(&n)) => {}
        Some(_) => return refuse(1001, "不支持的内容类型 contentType"),
    }
    if simple { simple_receivers(fields) } else { receivers(kept, fields) }
}

type Fields = serde_json::Map<String, Value>;

fn receivers(kept: &Kept, fields: &Fields) -> Result<Vec<To>, Refused> {
    match fields.get("appToken") {
        Some(Value::String(token)) if *token == kept.token => {}
        Some(Value::String(_)) => return refuse(1001, "appToken不正确,请检查"),
        _ => return refuse(1001, "appToken不能为空"),
    }
    let uids: BTreeSet<String> =
        list(fields, "uids", 2000, "java.util.HashSet<java.lang.String>", |v| v.as_str().map(str::to_owned))?;
    let topics: BTreeSet<i64> = list(fields, "topicIds", 5, "java.util.HashSet<java.lang.Long>", Value::as_i64)?;
    if uids.is_empty() && topics.is_empty() {
        return refuse(1001, "uids和topicIds不能同时为空");
    }
    Ok(uids.into_iter().map(To::Uid).chain(topics.into_iter().map(To::Topic)).collect())
}

fn simple_receivers(fields: &Fields) -> Result<Vec<To>, Refused> {
    if let Some(Value::String(spt)) = fields.get("spt") {
        return Ok(vec![To::Spt(spt.clone())]);
    }
    let mut order = Vec::new();
    let spts: BTreeSet<String> =
        list(fields, "sptList", 10, "java.util.List<java.lang.String>", |v| v.as_str().map(str::to_owned))?;
    for spt in fields.get("sptList").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        order.push(To::Spt(spt.to_owned()));
    }
    if spts.is_empty() { refuse(1001, "spt不能为空") } else { Ok(order) }
}

fn list<T: Ord>(
    fields: &Fields,
    key: &str,
    max: usize,
    java: &str,
    element: impl Fn(&Value) -> Option<T>,
) -> Result<BTreeSet<T>, Refused> {
    let wrong = || (1005, format!("JSON parse error: Cannot deserialize instance of `{java}` out of token ({key})"));
    let elements = match fields.get(key) {
        None | Some(Value::Null) => return Ok(BTreeSet::new()),
        Some(Value::Array(elements)) => elements,
        Some(_) => return Err(wrong()),
    };
    if elements.len() > max {
        return Err((1001, format!("{key}数量不能超过{max}")));
    }
    elements.iter().map(|e| element(e).ok_or_else(wrong)).collect()
}

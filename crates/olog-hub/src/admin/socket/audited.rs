//! Every verb that changes something is in the audit log: who by the peer's user, what by the verb's path, of whom by the request.
//!
//! The entry is written before the verb is done and completed after it, so a change never lacks its entry, even if the hub is killed between
//! the two. A verb that cannot be written down is not done. Every `POST` counts as a change, so that a new verb is in the log by itself.

use std::sync::Arc;

use axum::{
    Extension,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use olog_daemon::socket::Peer;
use serde_json::{Map, Value};

use super::Verbs;
use crate::{
    store::access::audit::{Entry, Outcome},
    web::Problem,
};

/// Bytes of a request that is not a file.
const REQUEST_MAX: usize = 1 << 20;
/// Fields that say whom or what a verb is about, the first one that is there.
const SUBJECTS: [&str; 6] = ["who", "name", "old", "device", "ranges", "architecture"];
/// Fields that are nobody's business.
const SECRETS: [&str; 3] = ["password", "secret", "token"];

pub(super) async fn audited(
    State(verbs): State<Arc<Verbs>>,
    Extension(peer): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    match write_down(&verbs, peer, request).await {
        Ok((id, request)) => {
            let response = next.run(request).await;
            let (outcome, why) = match response.status() {
                status if status.is_success() => (Outcome::Done, String::new()),
                status => (Outcome::Refused, format!(" ({status})")),
            };
            if let Err(error) = verbs.access.finish_entry(id, outcome, why).await {
                tracing::warn!(%error, id, "the audit log does not say how a verb went");
            }
            response
        }
        Err(problem) => problem.into_response(),
    }
}

async fn write_down(verbs: &Verbs, peer: Peer, request: Request) -> Result<(i64, Request), Problem> {
    let path = request.uri().path().trim_matches('/').to_owned();
    let is_json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let (parts, body) = request.into_parts();
    let (asked, body) = if is_json {
        let too_large = |_| Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large");
        let bytes = to_bytes(body, REQUEST_MAX).await.map_err(too_large)?;
        (serde_json::from_slice(&bytes).unwrap_or(Value::Null), Body::from(bytes))
    } else {
        (Value::Null, body)
    };
    let entry = entry(&path, &asked, user(peer.uid));
    let id = verbs.access.begin_entry(entry).await.map_err(Problem::from)?;
    Ok((id, Request::from_parts(parts, body)))
}

/// What the log says of a request.
fn entry(path: &str, asked: &Value, actor: String) -> Entry {
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (numbers, words): (Vec<&str>, Vec<&str>) = path.split('/').partition(|part| is_number(part));
    let empty = Map::new();
    let fields = asked.as_object().unwrap_or(&empty);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let named = SUBJECTS.iter().find_map(|name| fields.get(*name)).filter(|value| !value.is_null()).map(text);
    let rest = fields.iter().filter(|(name, value)| !value.is_null() && !SECRETS.contains(&name.as_str()));
    let rest: Vec<String> = rest.map(|(name, value)| format!("{name}={}", text(value))).collect();
    Entry {
        actor,
        action: words.join(".").into(),
        subject: numbers.first().map(|n| (*n).to_owned()).or(named).unwrap_or_default(),
        detail: rest.join(" "),
        origin: "socket".to_owned(),
    }
}

/// Who that is, for people.
pub(super) fn user(uid: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| olog_proto::name::escape(name.as_bytes()))
    });
    name.unwrap_or_else(|| format!("uid {uid}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_entry_says_what_was_asked_and_no_secret() {
        let of = |path, asked: Value| {
            let Entry { action, subject, detail, .. } = entry(path, &asked, "root".to_owned());
            (action.into_owned(), subject, detail)
        };
        let said =
            |action: &str, subject: &str, detail: &str| (action.to_owned(), subject.to_owned(), detail.to_owned());
        assert_eq!(of("reload", Value::Null), said("reload", "", ""));
        assert_eq!(of("silence/7/end", json!({})), said("silence.end", "7", ""));
        assert_eq!(of("device/forget", json!({"who": "pi"})), said("device.forget", "pi", "who=pi"));
        assert_eq!(
            of("incidents/ack", json!({"ranges": [[5, 7]]})),
            said("incidents.ack", "[[5,7]]", "ranges=[[5,7]]")
        );
        assert_eq!(
            of("user/add", json!({"name": "alice", "scope": "act", "password": "hunter2hunter2"})),
            said("user.add", "alice", "name=alice scope=act")
        );
    }
}

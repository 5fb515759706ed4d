//! `/api/v1/stream`: changes as they are committed, as server-sent events; and the same for one incident, for the page that a notification's link
//! opens.
//!
//! An event is small: which device, task, incident or event, by id and name. Whoever wants more reads the row. `id` is a place in the numbering of
//! `stream`; a client that comes back sends it as `Last-Event-ID` and gets what it has missed, or `resync`: read everything anew. A page asks for
//! `merged`: the one event `change`, at once and, while changes go on, at most once a second.
//!
//! A stream ends when its session, token or link does, when the hub stops, and when the other end does not read (`net/listener/guarded`). It holds a
//! place, a number, and at most one piece of text.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::stream::unfold;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep_until};

use super::{
    Problem, Web,
    described::Mistake,
    guard::{Granted, Read, Visit, principal},
    incident::link::{OfIncident, by_link_of},
};
use crate::{
    access::{AccessError, By, Principal},
    bell::BellListener,
    rules::access::AccessScope,
    store::{
        changes::{Change, NamedChange},
        history,
    },
    stream::{self, Position, StreamEvent, Subscription, Watcher},
};

/// Between two signs of life, at each of which is also asked whether the watcher still may.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What a client waits before it comes back, in ms.
const RETRY_MS: u32 = 2_000;
/// A merged stream says that something changed so often at once; then once in [`MERGED_EVERY`].
const MERGED_AT_ONCE: u32 = 10;
const MERGED_EVERY: Duration = Duration::from_secs(1);
/// What a client that got no place waits, in seconds.
const NO_PLACE_RETRY: &str = "30";

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/incidents/{id}/stream", get(of_incident))
}

/// What a stream tells. What is not given matches everything.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(super) struct StreamQuery {
    /// The id of the last event that was read, for a client that cannot send `Last-Event-ID`.
    after: String,
    /// Only these kinds, with commas between them: `device`, `task`, `incident`, `event`, `notification`, `silence`.
    kinds: String,
    /// Only of this device.
    device: String,
    /// Only of the task of this name.
    task: String,
    /// Only of this incident.
    incident: Option<u64>,
    /// Instead of each change the one event `change`, at once and, while changes go on, at most once a second.
    merged: bool,
}

/// The kinds of events.
const KINDS: [&str; 6] = ["device", "task", "incident", "event", "notification", "silence"];

/// What a change is about; what does not apply is not there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub(super) struct ChangeRow {
    /// The device, unless it is about none, or about several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<u64>,
    /// What happened to the incident: `opened`, `changed`, `acknowledged` or `ended`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<u64>,
}

impl ChangeRow {
    fn new(named: &NamedChange) -> (&'static str, ChangeRow) {
        let row = ChangeRow { device: named.device.clone(), task: named.task.clone(), ..ChangeRow::default() };
        match named.change {
            Change::Device(_) => ("device", row),
            Change::Task(_) => ("task", row),
            Change::Incident(id, step) => {
                ("incident", ChangeRow { incident: Some(id), step: Some(step.as_str().to_owned()), ..row })
            }
            Change::Event { received_at, epoch, n, .. } => {
                ("event", ChangeRow { event: Some(history::place(received_at, epoch, n)), ..row })
            }
            Change::Notification(id) => ("notification", ChangeRow { incident: Some(id), ..row }),
            Change::Silence(id) => ("silence", ChangeRow { silence: Some(id), ..row }),
        }
    }
}

impl StreamQuery {
    fn checked(self) -> Result<StreamQuery, Problem> {
        let unknown = self.kinds.split(',').find(|kind| !kind.is_empty() && !KINDS.contains(kind));
        match unknown {
            Some(_) => {
                Err(Problem::new(StatusCode::BAD_REQUEST, format!("kinds: expected some of {}", KINDS.join(", "))))
            }
            None => Ok(self),
        }
    }

    fn wants(&self, kind: &str, row: &ChangeRow) -> bool {
        let is_it = |asked: &str, found: &Option<String>| asked.is_empty() || found.as_deref() == Some(asked);
        (self.kinds.is_empty() || self.kinds.split(',').any(|asked| asked == kind))
            && is_it(&self.device, &row.device)
            && is_it(&self.task, &row.task)
            && self.incident.is_none_or(|asked| row.incident == Some(asked))
    }
}

/// Changes as they are committed, as server-sent events (`text/event-stream`). The first event is `ready`. Then each change is an event: its kind
/// (`device`, `task`, `incident`, `event`, `notification`, `silence`), and as its data a `ChangeRow`. `resync` means: anything may have changed, read
/// everything anew; it comes instead of changes that the hub does not have any more, after its restart, and when very much changes at once. A comment
/// comes every 15 s. A client that comes back sends the last `id` as `Last-Event-ID`. The stream ends when the session or token does. There may be 4
/// streams of a session, 16 of a token, 64 of an address, and 2,000 in all; a further one is answered with 429.
#[utoipa::path(get, path = "/api/v1/stream",
    params(StreamQuery, ("Last-Event-ID" = Option<String>, Header, description = "the id of the last event that was read")),
    responses((status = 200, content_type = "text/event-stream", body = ChangeRow), Mistake))]
pub(super) async fn changes(
    caller: Granted<Read>,
    State(web): State<Arc<Web>>,
    visit: Visit,
    headers: HeaderMap,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    open(&web, &caller.who, WatchCredentials::new(visit, &headers), &headers, query.checked()?)
}

/// The stream of the page of one incident.
async fn of_incident(
    State(web): State<Arc<Web>>,
    asked: OfIncident,
    headers: HeaderMap,
    query: Result<Query<StreamQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(query) = query.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let credentials = WatchCredentials::of_incident(&asked, &headers);
    // Whatever else is asked for: the link of one incident shows nothing of others.
    let query = StreamQuery { incident: Some(asked.id), ..query.checked()? };
    open(&web, &asked.who, credentials, &headers, query)
}

fn open(
    web: &Arc<Web>,
    who: &Principal,
    credentials: WatchCredentials,
    headers: &HeaderMap,
    query: StreamQuery,
) -> Result<Response, Problem> {
    let (name, most) = match &who.by {
        By::Session { hash, .. } => (format!("session {hash}"), stream::OF_ONE_SESSION),
        By::Token => (format!("token {}", who.name), stream::OF_ONE_TOKEN),
        By::Link => (format!("link {:?}", query.incident), stream::OF_ONE_TOKEN),
    };
    let Some(place) = web.stream.place(&Watcher { who: name, most, address: who.address }) else {
        let words = "too many streams are open: close a page or a program, or read the rows again now and then";
        let mut refused = Problem::new(StatusCode::TOO_MANY_REQUESTS, words).into_response();
        refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(NO_PLACE_RETRY));
        return Ok(refused);
    };
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last = last.or(Some(query.after.as_str()).filter(|after| !after.is_empty()));
    let subscription = match last.map(str::parse::<Position>) {
        None => web.stream.subscribe(None, place),
        Some(Ok(position)) => web.stream.subscribe(Some(position), place),
        // An id that is none of ours: nobody knows what was missed.
        Some(Err(())) => web.stream.subscribe(Some(Position::UNKNOWN), place),
    };
    let open = OpenStream {
        access: web.stream.access_bell(),
        web: web.clone(),
        credentials: Box::new(credentials),
        subscription,
        pace: query.merged.then(Pace::new),
        query: Box::new(query),
        asked_at: Instant::now() + HEARTBEAT,
        is_ready: false,
    };
    let pieces = unfold(open, |mut open| async move {
        let piece = open.piece().await?;
        Some((Ok::<_, Infallible>(Bytes::from(piece)), open))
    });
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // nginx would keep events back until it has some KiB.
        (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((head, Body::from_stream(pieces)).into_response())
}

/// By what a long answer was asked for: looked at again while it goes on.
#[derive(Debug)]
struct WatchCredentials {
    visit: Visit,
    headers: HeaderMap,
    /// The link of an incident.
    link: Option<(u64, String)>,
}

impl WatchCredentials {
    fn new(visit: Visit, headers: &HeaderMap) -> WatchCredentials {
        let shown = headers.get(header::AUTHORIZATION).map(|shown| (header::AUTHORIZATION, shown.clone()));
        WatchCredentials { visit, headers: shown.into_iter().collect(), link: None }
    }

    fn of_incident(asked: &OfIncident, headers: &HeaderMap) -> WatchCredentials {
        let link = (asked.who.by == By::Link).then(|| (asked.id, asked.key.clone()));
        WatchCredentials { link, ..WatchCredentials::new(asked.visit.clone(), headers) }
    }

    /// May it still read? While the store does not answer, yes.
    async fn still_read(&self, web: &Web) -> bool {
        if let Some((id, key)) = &self.link {
            return by_link_of(web, *id, key, &self.visit).is_some();
        }
        match principal(web, &self.visit, &self.headers).await {
            Ok(who) => who.is_some_and(|who| who.scope.allows(AccessScope::Read)),
            Err(AccessError::Store(_) | AccessError::Busy | AccessError::Wait { .. }) => true,
            Err(_) => false,
        }
    }
}

struct OpenStream {
    web: Arc<Web>,
    credentials: Box<WatchCredentials>,
    subscription: Subscription,
    access: BellListener,
    query: Box<StreamQuery>,
    pace: Option<Pace>,
    asked_at: Instant,
    is_ready: bool,
}

/// How often a merged stream speaks.
struct Pace {
    left: u32,
    filled_at: Instant,
    /// Something changed, and it is said then.
    due: Option<Instant>,
}

impl Pace {
    fn new() -> Pace {
        Pace { left: MERGED_AT_ONCE, filled_at: Instant::now(), due: None }
    }

    /// Something changed.
    fn changed(&mut self, now: Instant) {
        if self.due.is_some() {
            return;
        }
        let filled = now.duration_since(self.filled_at).as_secs() / MERGED_EVERY.as_secs();
        let filled = u32::try_from(filled).unwrap_or(u32::MAX);
        if filled > 0 {
            (self.left, self.filled_at) = (self.left.saturating_add(filled).min(MERGED_AT_ONCE), now);
        }
        if self.left > 0 {
            self.left -= 1;
            self.due = Some(now);
        } else {
            self.due = Some(self.filled_at + MERGED_EVERY);
        }
    }
}

impl OpenStream {
    /// What is written next; `None`: the stream ends.
    async fn piece(&mut self) -> Option<String> {
        if !self.is_ready {
            self.is_ready = true;
            let (id, at) = (self.subscription.position(), self.web.desk.clock.now().0);
            return Some(format!("retry: {RETRY_MS}\nid: {id}\nevent: ready\ndata: {{\"at\":{at}}}\n\n"));
        }
        let stop = self.web.desk.stop.clone();
        loop {
            let due = self.pace.as_ref().and_then(|pace| pace.due);
            tokio::select! {
                () = stop.cancelled() => return None,
                () = self.access.heard() => {
                    if !self.credentials.still_read(&self.web).await {
                        return None;
                    }
                }
                () = sleep_until(self.asked_at) => {
                    if !self.credentials.still_read(&self.web).await {
                        return None;
                    }
                    self.asked_at = Instant::now() + HEARTBEAT;
                    return Some(":\n\n".to_owned());
                }
                () = sleep_until(due.unwrap_or(self.asked_at)), if due.is_some() => {
                    self.pace.as_mut()?.due = None;
                    return Some(event(self.subscription.position(), "change", "{}"));
                }
                heard = self.subscription.heard() => {
                    let text = self.text(&heard);
                    match &mut self.pace {
                        Some(pace) if !text.is_empty() => pace.changed(Instant::now()),
                        None if !text.is_empty() => return Some(text),
                        _ => {}
                    }
                }
            }
        }
    }

    fn text(&self, heard: &[(Position, Arc<StreamEvent>)]) -> String {
        let mut text = String::new();
        for (position, told) in heard {
            match &**told {
                StreamEvent::Everything => text += &event(*position, "resync", "{}"),
                StreamEvent::Change(named) => {
                    let (kind, row) = ChangeRow::new(named);
                    if self.query.wants(kind, &row) {
                        text += &event(*position, kind, &serde_json::to_string(&row).unwrap_or_default());
                    }
                }
            }
        }
        text
    }
}

/// One event. JSON has no line breaks.
fn event(id: Position, kind: &str, data: &str) -> String {
    format!("id: {id}\nevent: {kind}\ndata: {data}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_merged_stream_speaks_at_once_and_in_a_storm_once_a_second_and_the_last_change_is_never_lost() {
        let mut pace = Pace::new();
        let began = pace.filled_at;
        for _ in 0..MERGED_AT_ONCE {
            pace.changed(began);
            assert_eq!(pace.due.take(), Some(began));
        }
        pace.changed(began);
        pace.changed(began + MERGED_EVERY / 2);
        assert_eq!(pace.due.take(), Some(began + MERGED_EVERY));
        pace.changed(began + MERGED_EVERY);
        assert_eq!(pace.due.take(), Some(began + MERGED_EVERY));
        let later = began + 100 * MERGED_EVERY;
        for _ in 0..MERGED_AT_ONCE {
            pace.changed(later);
            assert_eq!(pace.due.take(), Some(later), "a quiet time allows as many again");
        }
    }

    #[test]
    fn a_stream_tells_what_was_asked_for() {
        let row = ChangeRow { device: Some("web1".into()), task: Some("nginx".into()), ..ChangeRow::default() };
        let asks = |kinds: &str, device: &str, task: &str, incident| StreamQuery {
            kinds: kinds.into(),
            device: device.into(),
            task: task.into(),
            incident,
            ..StreamQuery::default()
        };
        for (query, is_told) in [
            (asks("", "", "", None), true),
            (asks("device,task", "web1", "nginx", None), true),
            (asks("device", "", "", None), false),
            (asks("", "web2", "", None), false),
            (asks("", "web1", "cron", None), false),
            (asks("", "", "", Some(1)), false),
        ] {
            assert_eq!(query.wants("task", &row), is_told, "{query:?}");
        }
        assert!(asks("tasks", "", "", None).checked().is_err());
    }
}

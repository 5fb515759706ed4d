//! The page of channels: does each of them work, what is left of its budget, what waits, what was sent last and what the service said. An
//! administrator tests a channel, and rearms it after the cause of a failure was removed, as `olog-hub channel` does.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use olog_proto::Timestamp;
use olog_push::words::Localizer;
use serde::Deserialize;

use crate::{
    access::Principal,
    apply::operator,
    config,
    rules::report::page::StateForm,
    store::{
        StoreError, Tx,
        access::audit::{self, Outcome},
        outbox,
    },
    web::{
        Admin, Granted, Problem, Read, Web,
        guard::{Posted, Visit},
        page::{self, HtmlPage},
        place::address,
        rows::{ChannelRow, MessageRow},
    },
};

/// Messages of a channel that are shown.
const MESSAGES: u32 = 5;
/// While the answer to a test is awaited, the page is loaded again so often, in seconds …
const AGAIN_AFTER: &str = "2";
/// … and at most so many times: a channel that is off does not keep a browser busy.
const LOOKS_MAX: u32 = 15;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/channels", get(channels))
        .route("/channels/test", post(test))
        .route("/channels/rearm", post(rearm))
}

struct ChannelLine {
    name: String,
    kind: String,
    form: StateForm,
    meta: Vec<String>,
    why: Option<String>,
    messages: Vec<MessageLine>,
    is_there: bool,
}

struct MessageLine {
    time: String,
    exact: String,
    title: String,
    answers: Vec<AnswerLine>,
}

/// An answer, by word and colour.
struct AnswerLine {
    class: &'static str,
    words: String,
}

#[derive(Template)]
#[template(path = "web/channels.html")]
struct ChannelsPage {
    page: HtmlPage,
    channels: Vec<ChannelLine>,
    test: Option<Vec<AnswerLine>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ChannelsQuery {
    /// The row of a test that was just made.
    test: Option<i64>,
    /// How often the page was loaded again for its answer.
    look: u32,
}

async fn channels(
    State(web): State<Arc<Web>>,
    caller: Granted<Read>,
    visit: Visit,
    query: Result<Query<ChannelsQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let page = HtmlPage::new(&web, &visit, Some(&caller.who), "web-channels");
    let ChannelsQuery { test, look } = query.map(|Query(query)| query).unwrap_or_default();
    let (live, now) = (web.live.borrow().clone(), page.say.now);
    let read = move |tx: &mut Tx<'_>| {
        let rows = ChannelRow::list(tx, &live, now)?;
        let with_messages = |row: ChannelRow| {
            let messages = MessageRow::latest(tx, &row.name, i64::MAX, MESSAGES)?;
            Ok((row, messages))
        };
        let rows = rows.into_iter().map(with_messages).collect::<Result<Vec<_>, StoreError>>()?;
        Ok((rows, test.map(|row| outbox::sent(tx, row)).transpose()?))
    };
    let (rows, tested) = web.store.read(read).await?;
    let say = page.say;
    let is_awaited = tested.as_ref().is_some_and(|(is_done, attempts)| !is_done && attempts.is_empty());
    let tested = tested.map(|(_, attempts)| {
        attempts.iter().map(|a| answer_line(&say, &a.receiver, &a.outcome, &a.answer)).collect::<Vec<_>>()
    });
    let channels = rows.into_iter().map(|(row, messages)| channel_line(&say, row, &messages)).collect();
    let mut response = page::show(StatusCode::OK, &ChannelsPage { page, channels, test: tested });
    if let Some(row) = test.filter(|_| is_awaited && look < LOOKS_MAX) {
        let again = address("channels", &[("test", &row.to_string()), ("look", &(look + 1).to_string())]);
        let again = HeaderValue::from_str(&format!("{AGAIN_AFTER}; url={again}"));
        response.headers_mut().extend(again.ok().map(|again| (header::REFRESH, again)));
    }
    Ok(response)
}

fn channel_line(say: &Localizer, row: ChannelRow, messages: &[MessageRow]) -> ChannelLine {
    let (class, mark, word) = match row.state.as_str() {
        "ok" => ("ok", "●", "web-channel-works"),
        "budget" => ("lost", "■", "web-channel-budget"),
        "failing" => ("err", "▲", "web-channel-failing"),
        "paused" => ("err", "▲", "web-channel-paused"),
        _ => ("lost", "■", "web-channel-gone"),
    };
    let time = |at: Timestamp| say.time(at).into();
    let mut meta = Vec::new();
    meta.extend(row.failing_at.map(|at| say.text("web-channel-since", &[("time", time(at))])));
    meta.push(match row.oldest_at {
        Some(at) => say.text("web-channel-waiting", &[("n", row.waiting.into()), ("time", time(at))]),
        None => say.word("web-channel-nothing-waits"),
    });
    if let (Some(max), Some(used), Some(left)) = (row.per_day, row.used, row.left) {
        let args = [("used", used.into()), ("max", max.into()), ("left", left.into())];
        meta.push(say.text("web-channel-used", &args));
        let next = row.next_slot_at.filter(|_| left == 0);
        meta.extend(next.map(|at| say.text("web-channel-next-slot", &[("time", time(at))])));
    }
    if !row.receivers.is_empty() {
        meta.push(say.text("web-channel-receivers", &[("names", say.list(&row.receivers).into())]));
    }
    if !row.refused.is_empty() {
        meta.push(say.text("web-channel-refused", &[("names", say.list(&row.refused).into())]));
    }
    let is_there = row.state != "gone";
    let messages = messages.iter().map(|message| MessageLine {
        time: say.time(message.at),
        exact: say.time_exact(message.at),
        title: message.title.clone(),
        answers: message.answers.iter().map(|a| answer_line(say, &a.receiver, &a.outcome, &a.answer)).collect(),
    });
    ChannelLine {
        form: StateForm { class, mark, word: say.word(word) },
        kind: if row.limits.is_empty() { row.r#type } else { format!("{} · {}", row.r#type, row.limits) },
        name: row.name,
        meta,
        why: row.why.filter(|_| is_there),
        messages: messages.collect(),
        is_there,
    }
}

fn answer_line(say: &Localizer, receiver: &str, outcome: &str, answer: &str) -> AnswerLine {
    let (class, key) = match outcome {
        "accepted" => ("ok", "web-answer-accepted"),
        "refused" => ("err", "web-answer-refused"),
        _ => ("lost", "web-answer-later"),
    };
    AnswerLine { class, words: say.text(key, &[("receiver", receiver.into()), ("answer", answer.into())]) }
}

/// What an administrator does to a channel, in one transaction with its entry in the audit log. The configuration is read first, as for the verbs.
pub(in crate::web) async fn change<T: Send + 'static>(
    web: &Web,
    who: &Principal,
    channel: &str,
    name: &'static str,
    action: fn(&mut Tx<'_>, &str, Timestamp) -> Result<T, StoreError>,
) -> Result<T, Problem> {
    config::read_now(&web.reload).await;
    if web.live.borrow().channel(channel).is_none() {
        return Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no channel {channel:?}")));
    }
    let (now, entry, channel) = (web.desk.clock.now(), who.entry(name, channel), channel.to_owned());
    let write = move |tx: &mut Tx<'_>| {
        let done = action(tx, &channel, now)?;
        audit::put(tx, &entry, Outcome::Done, now)?;
        Ok(done)
    };
    let done = web.store.write(write).await?;
    web.bells.outbox.ring();
    Ok(done)
}

async fn test(State(web): State<Arc<Web>>, posted: Posted<Admin>) -> Result<Response, Problem> {
    let row = change(&web, &posted.who, posted.fields.get("name"), "channel.test", operator::test_channel).await?;
    Ok(Redirect::to(&format!("/channels?test={row}")).into_response())
}

async fn rearm(State(web): State<Arc<Web>>, posted: Posted<Admin>) -> Result<Response, Problem> {
    change(&web, &posted.who, posted.fields.get("name"), "channel.rearm", operator::rearm_channel).await?;
    Ok(Redirect::to("/channels").into_response())
}

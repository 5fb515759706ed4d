//! The page of silences: what is suppressed until when, the next seven days as a picture with the same in words, and the form that makes one.
//!
//! The form and `POST /api/v1/silences` make a silence by the rule of `olog-hub silence add` (`apply::operator`).

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use chrono::{LocalResult, NaiveDateTime, TimeZone as _};
use chrono_tz::Tz;
use olog_proto::Timestamp;
use serde::Deserialize;

use super::week::{Week, WeekDay};
use crate::{
    access::Principal,
    apply::operator::{self, AddSilence, SilenceRefused},
    rules::{access::AccessScope, silence::Refused},
    store::{
        Tx,
        access::audit::{self, Outcome},
        silences::{self, ListedSilence},
    },
    web::{
        Act, Granted, Problem, Read, Web,
        guard::{Posted, Visit},
        page::{self, HtmlPage},
    },
};

/// Rows of a page.
const ROWS: u32 = 500;
/// For how long a silence may be made by the form, in minutes.
const MINUTES: [i64; 9] = [30, 60, 120, 240, 480, 1_440, 4_320, 10_080, 43_200];
/// The one that is chosen unless another one is.
const MINUTES_USUAL: i64 = 120;
const MINUTE_MS: i64 = 60_000;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/silences", get(silences).post(add)).route("/silences/{id}/end", post(end))
}

struct SilenceLine {
    id: u64,
    what: String,
    when: String,
    comment: String,
    made_by: String,
    is_now: bool,
    held: Option<String>,
}

/// What stands in the form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SilenceFields {
    device: String,
    task: String,
    minutes: String,
    from: String,
    every: String,
    comment: String,
}

#[derive(Template)]
#[template(path = "web/silences.html")]
struct SilencesPage {
    page: HtmlPage,
    problem: Option<String>,
    fields: SilenceFields,
    minutes: Vec<(i64, String, bool)>,
    silences: Vec<SilenceLine>,
    picture: String,
    days: Vec<WeekDay>,
    may_act: bool,
}

async fn silences(
    State(web): State<Arc<Web>>,
    caller: Granted<Read>,
    visit: Visit,
    query: Result<Query<SilenceFields>, QueryRejection>,
) -> Result<Response, Problem> {
    let fields = query.map(|Query(fields)| fields).unwrap_or_default();
    silences_page(&web, &visit, &caller.who, fields, None).await
}

async fn silences_page(
    web: &Web,
    visit: &Visit,
    who: &Principal,
    fields: SilenceFields,
    problem: Option<&SilenceRefused>,
) -> Result<Response, Problem> {
    let page = HtmlPage::new(web, visit, Some(who), "web-silences");
    let (say, now) = (page.say, page.say.now);
    let read = move |tx: &mut Tx<'_>| Ok((silences::list(tx, false, now, ROWS)?, silences::kept(tx, now)?));
    let (listed, kept) = web.store.read(read).await?;
    let week = Week::new(&say, &kept, |id| listed.iter().find(|listed| listed.id == id).map(what).unwrap_or_default());
    let chosen = fields.minutes.parse().unwrap_or(MINUTES_USUAL);
    let minutes = MINUTES.iter().map(|n| (*n, say.duration(n * MINUTE_MS), *n == chosen)).collect();
    let shown = SilencesPage {
        problem: problem.map(|why| words_of(&page, why)),
        fields,
        minutes,
        picture: week.svg(&page.t("web-week")),
        days: week.days,
        silences: listed.into_iter().map(|silence| silence_line(&page, silence)).collect(),
        may_act: who.scope.allows(AccessScope::Act),
        page,
    };
    let status = if problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(page::show(status, &shown))
}

/// What a silence is about.
fn what(silence: &ListedSilence) -> String {
    let task = silence.task.as_ref().map_or_else(String::new, |task| format!("/{task}"));
    let error = silence.fingerprint.as_ref().map_or_else(String::new, |error| format!(" {error}"));
    format!("{}{task}{error}", silence.device)
}

fn silence_line(page: &HtmlPage, silence: ListedSilence) -> SilenceLine {
    let until = silence.until_at.map_or_else(|| "…".to_owned(), |until| page.say.day_time(until));
    let when = format!("{} – {until}", page.say.day_time(silence.from_at));
    let every = silence.every.as_ref().zip(silence.lasts.as_ref()).map(|(every, lasts)| format!(" ({every}, {lasts})"));
    SilenceLine {
        id: silence.id,
        what: what(&silence),
        when: when + &every.unwrap_or_default(),
        is_now: silence.is_now,
        held: (silence.n_held > 0).then(|| page.say.text("web-held", &[("n", silence.n_held.into())])),
        comment: silence.comment,
        made_by: silence.made_by,
    }
}

/// Why a silence is not made, on a page.
fn words_of(page: &HtmlPage, why: &SilenceRefused) -> String {
    let key = match why {
        SilenceRefused::NoScope => "web-silence-scope",
        SilenceRefused::Rule(Refused::Pattern { .. }) => "web-silence-pattern",
        SilenceRefused::Rule(Refused::Comment) => "web-silence-comment",
        SilenceRefused::Rule(Refused::Over) => "web-silence-over",
        SilenceRefused::Rule(Refused::Lasts | Refused::Endless) | SilenceRefused::NoLength => "web-silence-lasts",
        SilenceRefused::Rule(Refused::Overlaps) => "web-silence-overlaps",
        SilenceRefused::Rule(Refused::TooMany) => "web-silence-too-many",
        SilenceRefused::Bounds => "web-silence-bounds",
        SilenceRefused::Schedule(_) | SilenceRefused::Zone(_) => "web-silence-schedule",
        SilenceRefused::Fingerprint(_) => "web-failed",
    };
    page.t(key)
}

/// Makes a silence and writes it down, in one transaction. Gives why not, or the silence.
pub(in crate::web) async fn make(
    web: &Web,
    who: &Principal,
    request: AddSilence,
) -> Result<Result<ListedSilence, SilenceRefused>, Problem> {
    let (now, zone) = (web.desk.clock.now(), web.live.borrow().timezone);
    let new = match request.read(who.name.clone(), zone, now) {
        Ok(new) => new,
        Err(why) => return Ok(Err(why)),
    };
    let subject = new.scope.task.as_ref().map_or_else(String::new, |task| format!("/{task}"));
    let entry = who.entry("silence", format!("{}{subject}", new.scope.device));
    let write = move |tx: &mut Tx<'_>| {
        let made = operator::make_silences(tx, std::slice::from_ref(&new), now)?;
        if made.is_some() {
            audit::put(tx, &entry, Outcome::Done, now)?;
        }
        Ok(made)
    };
    let made = web.store.write(write).await?;
    web.bells.watchman.ring();
    web.bells.outbox.ring();
    Ok(made.and_then(|mut made| made.pop()).ok_or(SilenceRefused::Rule(Refused::TooMany)))
}

/// An instant as a browser's field has it, in the hub's zone.
fn instant(text: &str, zone: Tz) -> Option<Timestamp> {
    let at = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").ok()?;
    match zone.from_local_datetime(&at) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(Timestamp(at.timestamp_millis())),
        LocalResult::None => None,
    }
}

async fn add(State(web): State<Arc<Web>>, posted: Posted<Act>) -> Result<Response, Problem> {
    let field = |name| posted.fields.get(name).trim().to_owned();
    let fields = SilenceFields {
        device: field("device"),
        task: field("task"),
        minutes: field("minutes"),
        from: field("from"),
        every: field("every"),
        comment: field("comment"),
    };
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let zone = web.live.borrow().timezone;
    let from_at = given(&fields.from).map(|text| instant(&text, zone).ok_or(Refused::Over)).transpose();
    let minutes = fields.minutes.parse().ok().filter(|n| MINUTES.contains(n)).ok_or(Refused::Lasts);
    let made = match (from_at, minutes) {
        (Err(why), _) | (_, Err(why)) => Err(SilenceRefused::Rule(why)),
        (Ok(from_at), Ok(minutes)) => {
            let request = AddSilence {
                device: given(&fields.device),
                task: given(&fields.task),
                from_at,
                lasts: Some(minutes * MINUTE_MS),
                every: given(&fields.every),
                comment: fields.comment.clone(),
                ..AddSilence::default()
            };
            make(&web, &posted.who, request).await?
        }
    };
    match made {
        Ok(_) => Ok(Redirect::to("/silences").into_response()),
        Err(why) => silences_page(&web, &posted.visit, &posted.who, fields, Some(&why)).await,
    }
}

async fn end(State(web): State<Arc<Web>>, Path(id): Path<u64>, posted: Posted<Act>) -> Result<Response, Problem> {
    let (now, entry) = (web.desk.clock.now(), posted.who.entry("silence.end", id.to_string()));
    let write = move |tx: &mut Tx<'_>| {
        if operator::end_silence(tx, id, now)? {
            audit::put(tx, &entry, Outcome::Done, now)?;
        }
        Ok(())
    };
    web.store.write(write).await?;
    web.bells.watchman.ring();
    Ok(Redirect::to("/silences").into_response())
}

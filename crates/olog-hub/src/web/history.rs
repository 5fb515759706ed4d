//! Pages of what was: events (with a search), silences, reports.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;

use super::{
    Problem, Web,
    guard::{Act, Granted, Posted, Read, Visit},
    lines::EventLine,
    page::{self, HtmlPage},
    place::address,
};
use crate::{
    apply::operator,
    rules::access::AccessScope,
    store::{
        Tx,
        access::audit::{self, Outcome},
        history::{self, EventFilter},
        reports, silences,
    },
};

/// Rows of a page.
const ROWS: u32 = 50;
/// Characters of what is searched for.
const WORDS_MAX: usize = 200;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/events", get(events))
        .route("/silences", get(silences))
        .route("/silences/{id}/end", post(end_silence))
        .route("/reports", get(reports))
}

/// The query of the page of events, and of `/api/v1/events`.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(super) struct EventQuery {
    /// Words of the text, the file or the task.
    pub(super) q: String,
    pub(super) device: String,
    pub(super) task: String,
    /// `err`, `scanerr`, `msg`, `log`, `run_started`, `run_ended`, `note`.
    pub(super) kind: String,
    /// The id of an event: older ones.
    pub(super) before: String,
    /// At most so many rows; a page of the browser has its own number.
    pub(super) limit: Option<u32>,
}

impl EventQuery {
    /// What is looked for.
    pub(super) fn filter(&self) -> Result<EventFilter, Problem> {
        let unfit = |words: String| Problem::new(StatusCode::BAD_REQUEST, words);
        if self.q.chars().count() > WORDS_MAX {
            return Err(unfit(format!("q: at most {WORDS_MAX} characters")));
        }
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let before = given(&self.before).map(|text| text.parse()).transpose();
        Ok(EventFilter {
            words: self.q.trim().to_owned(),
            device: given(&self.device),
            task: given(&self.task),
            kind: given(&self.kind),
            before: before.map_err(|error: &str| unfit(format!("before: {error}")))?,
        })
    }

    /// The address of the next page.
    pub(super) fn next(&self, path: &str, before: &str) -> String {
        let limit = self.limit.map(|limit| limit.to_string()).unwrap_or_default();
        let query = [("q", self.q.as_str()), ("device", &self.device), ("task", &self.task), ("kind", &self.kind)];
        let query = [query.as_slice(), &[("before", before), ("limit", &limit)]].concat();
        address(path, &query)
    }
}

#[derive(Template)]
#[template(path = "web/events.html")]
struct EventsPage {
    page: HtmlPage,
    query: EventQuery,
    kinds: [&'static str; 6],
    events: Vec<EventLine>,
    next: Option<String>,
}

async fn events(
    State(web): State<Arc<Web>>,
    caller: Granted<Read>,
    visit: Visit,
    query: Result<Query<EventQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let page = HtmlPage::new(&web, &visit, Some(&caller.who), "web-events");
    let Query(query) = query.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let filter = query.filter()?;
    let found = web.store.read(move |tx| history::page(tx, &filter, ROWS)).await?;
    let shown = EventsPage {
        events: found.rows.iter().map(|event| EventLine::new(&page.say, event)).collect(),
        next: found.next.map(|before| query.next("/events", &before)),
        kinds: ["err", "scanerr", "msg", "log", "run_ended", "note"],
        query,
        page,
    };
    Ok(page::show(StatusCode::OK, &shown))
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

#[derive(Template)]
#[template(path = "web/silences.html")]
struct SilencesPage {
    page: HtmlPage,
    silences: Vec<SilenceLine>,
    may_act: bool,
}

async fn silences(State(web): State<Arc<Web>>, caller: Granted<Read>, visit: Visit) -> Result<Response, Problem> {
    let page = HtmlPage::new(&web, &visit, Some(&caller.who), "web-silences");
    let now = page.say.now;
    let listed = web.store.read(move |tx| silences::list(tx, false, now, ROWS)).await?;
    let silences = listed.into_iter().map(|silence| {
        let task = silence.task.map_or_else(String::new, |task| format!("/{task}"));
        let error = silence.fingerprint.map_or_else(String::new, |error| format!(" {error}"));
        let until = silence.until_at.map_or_else(|| "…".to_owned(), |until| page.say.day_time(until));
        let when = format!("{} – {until}", page.say.day_time(silence.from_at));
        let every = silence.every.zip(silence.lasts).map(|(every, lasts)| format!(" ({every}, {lasts})"));
        SilenceLine {
            id: silence.id,
            what: format!("{}{task}{error}", silence.device),
            when: when + &every.unwrap_or_default(),
            comment: silence.comment,
            made_by: silence.made_by,
            is_now: silence.is_now,
            held: (silence.n_held > 0).then(|| page.say.text("web-held", &[("n", silence.n_held.into())])),
        }
    });
    let silences = silences.collect();
    let may_act = caller.who.scope.allows(AccessScope::Act);
    Ok(page::show(StatusCode::OK, &SilencesPage { silences, may_act, page }))
}

async fn end_silence(
    State(web): State<Arc<Web>>,
    Path(id): Path<u64>,
    posted: Posted<Act>,
) -> Result<Response, Problem> {
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

#[derive(Template)]
#[template(path = "web/reports.html")]
struct ReportsPage {
    page: HtmlPage,
    /// Address, time, and what it found.
    reports: Vec<(Option<String>, String, String)>,
}

async fn reports(State(web): State<Arc<Web>>, caller: Granted<Read>, visit: Visit) -> Result<Response, Problem> {
    let page = HtmlPage::new(&web, &visit, Some(&caller.who), "web-reports");
    let made = web.store.read(|tx| reports::list(tx, ROWS)).await?;
    let reports = made.into_iter().map(|report| {
        let address = report.has_page.then(|| format!("/reports/{}", report.token));
        let counts = [("report-n-to-do", report.facts.n_now), ("report-n-ok", report.facts.devices.ok)];
        let counts = counts.iter().map(|(key, n)| page.say.text(key, &[("n", (*n).into())]));
        (address, page.say.day_time(report.made_at), counts.collect::<Vec<_>>().join(" · "))
    });
    let reports = reports.collect();
    Ok(page::show(StatusCode::OK, &ReportsPage { reports, page }))
}

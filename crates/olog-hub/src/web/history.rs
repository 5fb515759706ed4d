//! Pages of what was: events (with a search) and reports; and of what is suppressed (`silences`).

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::Response,
    routing::get,
};
use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use olog_proto::Timestamp;
use serde::Deserialize;

use super::{
    Problem, Web,
    guard::{Granted, Read, Visit},
    lines::EventLine,
    page::{self, HtmlPage},
    place::address,
};
use crate::store::{
    history::{self, EventFilter},
    reports,
};

pub(super) mod runs;
pub(super) mod silences;
mod week;

/// Rows of a page.
const ROWS: u32 = 50;
/// Characters of what is searched for.
const WORDS_MAX: usize = 200;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/events", get(events)).route("/reports", get(reports)).merge(silences::routes())
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
    /// Of this day (`2026-11-28`) and later ones, as the hub got them; of a page in the viewer's zone, else in the hub's.
    pub(super) since: String,
    /// Of this day and earlier ones.
    pub(super) until: String,
    /// The id of an event: older ones.
    pub(super) before: String,
    /// At most so many rows; a page of the browser has its own number.
    pub(super) limit: Option<u32>,
}

impl EventQuery {
    /// What is looked for; days are of that zone.
    pub(super) fn filter(&self, zone: Tz) -> Result<EventFilter, Problem> {
        let unfit = |words: String| Problem::new(StatusCode::BAD_REQUEST, words);
        if self.q.chars().count() > WORDS_MAX {
            return Err(unfit(format!("q: at most {WORDS_MAX} characters")));
        }
        let given = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let before = given(&self.before).map(|text| text.parse()).transpose();
        let start = |name: &str, text: &str, n: u64| {
            let Some(text) = given(text) else { return Ok(None) };
            let day = text.parse::<NaiveDate>().ok().and_then(|day| day.checked_add_days(Days::new(n)));
            let start = day.and_then(|day| week::midnight(day, zone)).map(|start| Timestamp(start.timestamp_millis()));
            start.map(Some).ok_or_else(|| unfit(format!("{name}: expected a day, like 2026-11-28")))
        };
        Ok(EventFilter {
            words: self.q.trim().to_owned(),
            device: given(&self.device),
            task: given(&self.task),
            kind: given(&self.kind),
            since: start("since", &self.since, 0)?,
            until: start("until", &self.until, 1)?,
            before: before.map_err(|error: &str| unfit(format!("before: {error}")))?,
        })
    }

    /// The address of the next page.
    pub(super) fn next(&self, path: &str, before: &str) -> String {
        let limit = self.limit.map(|limit| limit.to_string()).unwrap_or_default();
        let query = [("q", self.q.as_str()), ("device", &self.device), ("task", &self.task), ("kind", &self.kind)];
        let days = [("since", self.since.as_str()), ("until", &self.until)];
        let query = [query.as_slice(), &days, &[("before", before), ("limit", &limit)]].concat();
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
    let mut page = HtmlPage::new(&web, &visit, Some(&caller.who), "web-events");
    let Query(query) = query.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let filter = query.filter(page.say.timezone)?;
    if query.before.is_empty() {
        let asked = [("kinds", "event"), ("device", query.device.as_str()), ("task", &query.task)];
        page.updates_by(&web, &visit, "api/v1/stream", &asked);
    }
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

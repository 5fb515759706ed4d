//! The verbs of reports: made now, listed, shown. The page goes through the socket; the command line writes the file.
//!
//! A report that is pushed is answered with its outbox rows, so that the command line can wait for what the services say.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use olog_push::{Kind, ReportFacts};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use super::{Answer, LIST_MAX, Verbs, VerbsState};
use crate::store::outbox;
use crate::store::reports;
use crate::timed::reporter::ReportError;
use crate::web::{Problem, rows::ReportRow};

/// A report as `report now` and `report show` print it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shown {
    /// Its number, if it is kept.
    pub id: Option<i64>,
    /// What it found.
    pub facts: ReportFacts,
    /// The same in words.
    pub text: String,
    /// Its page, if that is still kept.
    pub page: Option<String>,
}

/// The answer to `report now --push`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Pushed {
    /// The report.
    pub shown: Shown,
    /// Each channel that takes reports, with the outbox row whose answer is asked for as a test's.
    pub rows: Vec<(String, i64)>,
}

pub(super) fn routes() -> Router<Arc<Verbs>> {
    Router::new()
        .route("/report/now", get(now))
        .route("/report/push", post(push))
        .route("/reports", get(list))
        .route("/report/{id}", get(show))
}

impl From<ReportError> for Problem {
    fn from(error: ReportError) -> Problem {
        tracing::error!(%error, "a report was not made");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

async fn now(State(verbs): VerbsState) -> Answer<Shown> {
    let (report, page) = verbs.reporter.preview().await?;
    let text = verbs.reporter.text(&report.facts);
    Ok(Json(Shown { id: None, facts: report.facts, text, page: Some(page) }))
}

async fn push(State(verbs): VerbsState) -> Answer<Pushed> {
    let id = verbs.reporter.push_now().await?;
    let live = verbs.live.borrow().clone();
    let takers: Vec<String> =
        live.channels.iter().filter(|c| c.wants(Kind::Report, None, None)).map(|c| c.name.clone()).collect();
    let rows = move |tx: &mut crate::store::Tx<'_>| {
        takers.iter().map(|name| Ok((name.clone(), outbox::latest(tx, name)?))).collect::<Result<Vec<_>, _>>()
    };
    let rows = verbs.store.read(rows).await?;
    let Json(shown) = shown(&verbs, id.unwrap_or_default()).await?;
    Ok(Json(Pushed { shown, rows }))
}

async fn show(State(verbs): VerbsState, Path(id): Path<i64>) -> Answer<Shown> {
    shown(&verbs, id).await
}

async fn shown(verbs: &Verbs, id: i64) -> Answer<Shown> {
    let read = verbs.store.read(move |tx| {
        let Some(made) = reports::get(tx, id)? else { return Ok(None) };
        let page = reports::page(tx, &made.token)?;
        Ok(Some((made, page)))
    });
    let none = || Problem::new(StatusCode::NOT_FOUND, format!("no report {id}: see `olog-hub report list`"));
    let (made, page) = read.await?.ok_or_else(none)?;
    let text = verbs.reporter.text(&made.facts);
    Ok(Json(Shown { id: Some(made.id), facts: made.facts, text, page }))
}

async fn list(State(verbs): VerbsState) -> Answer<Vec<ReportRow>> {
    let made = verbs.store.read(|tx| reports::list(tx, LIST_MAX)).await?;
    Ok(Json(made.into_iter().map(ReportRow::from).collect()))
}

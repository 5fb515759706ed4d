//! The page of settings, read only: the configuration in force as `olog-hub check` prints it, secrets masked, and where each value stands. The
//! configuration stays in files, so that it can be reviewed, copied and restored.

use std::sync::Arc;

use askama::Template;
use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
use olog_daemon::config::Origin;

use crate::web::{
    Admin, Granted, Web,
    guard::Visit,
    page::{self, HtmlPage},
};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/settings", get(settings))
}

#[derive(Template)]
#[template(path = "web/settings.html")]
struct SettingsPage {
    page: HtmlPage,
    effective: String,
    /// Key and place.
    origins: Vec<(String, String)>,
    remarks: Vec<String>,
    refused: Option<String>,
}

fn place_of(origin: Origin) -> (String, String) {
    let file = origin.file.display();
    let place = origin.line.map_or_else(|| file.to_string(), |line| format!("{file}:{line}"));
    (origin.key, place)
}

async fn settings(State(web): State<Arc<Web>>, visit: Visit, caller: Granted<Admin>) -> Response {
    let page = HtmlPage::new(&web, &visit, Some(&caller.who), "web-settings");
    let config = web.config.borrow().clone();
    let remarks = config.remarks().into_iter().map(|remark| visit.language.phrase(&remark));
    let shown = SettingsPage {
        effective: config.effective.trim_end().to_owned(),
        origins: config.origins.iter().cloned().map(place_of).collect(),
        remarks: remarks.collect(),
        refused: web.refused.borrow().clone(),
        page,
    };
    page::show(StatusCode::OK, &shown)
}

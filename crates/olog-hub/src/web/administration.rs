//! Pages of whoever runs the hub: channels, enrolment, settings, API tokens and the audit log; and everybody's own account.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;

use super::{
    Web,
    guard::{self, AccessRefused, Admin, Granted, Posted, Visit},
    page::{self, HtmlPage, Message},
    sign_in::problem_of,
};
use crate::{
    access::{AccessError, CreateToken, Principal},
    rules::access::AccessScope,
    store::access::audit::AuditRow,
};

mod account;
pub(super) mod channels;
mod enrolment;
mod settings;

/// Entries of a page.
const ENTRIES: u32 = 100;
const DAY_MS: i64 = 86_400_000;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/tokens", get(tokens).post(create))
        .route("/tokens/revoke", post(revoke))
        .route("/audit", get(audit))
        .merge(account::routes())
        .merge(channels::routes())
        .merge(settings::routes())
        .merge(enrolment::routes())
}

#[derive(Template)]
#[template(path = "web/tokens.html")]
struct TokensPage {
    page: HtmlPage,
    problem: Option<String>,
    tokens: Vec<TokenLine>,
}

struct TokenLine {
    name: String,
    scope: &'static str,
    made: String,
    expires: String,
    is_over: bool,
    used: String,
}

async fn tokens_page(
    web: &Web,
    who: &Principal,
    visit: &Visit,
    problem: Option<&AccessError>,
) -> Result<Response, AccessError> {
    let page = HtmlPage::new(web, visit, Some(who), "web-tokens");
    let time = |at: Option<olog_proto::Timestamp>, or: &str| at.map_or_else(|| page.t(or), |at| page.say.time(at));
    let tokens = web.access.tokens().await?.into_iter().map(|token| TokenLine {
        made: format!("{} · {}", page.say.time(token.made_at), token.made_by),
        expires: time(token.expires_at, "web-no-expiry"),
        is_over: token.expires_at.is_some_and(|at| at <= page.say.now),
        used: time(token.used_at, "web-never"),
        scope: token.scope.as_str(),
        name: token.name,
    });
    let tokens = tokens.collect();
    let status = problem.map_or(StatusCode::OK, guard::status_of);
    let problem = problem.map(|error| problem_of(&page, error));
    Ok(page::show(status, &TokensPage { page, problem, tokens }))
}

async fn tokens(State(web): State<Arc<Web>>, visit: Visit, caller: Granted<Admin>) -> Result<Response, AccessRefused> {
    Ok(tokens_page(&web, &caller.who, &visit, None).await?)
}

async fn create(State(web): State<Arc<Web>>, posted: Posted<Admin>) -> Result<Response, AccessRefused> {
    let Posted { who, fields, visit, .. } = posted;
    let scope = fields.get("scope").parse().unwrap_or(AccessScope::Read);
    let days: Option<i64> = fields.get("days").parse().ok().filter(|days| (1..=3650).contains(days));
    let expires_at = days.map(|days| web.desk.clock.now().plus(days * DAY_MS));
    let request = CreateToken { name: fields.get("name").trim().to_owned(), scope, expires_at };
    match web.access.create_token(&request, &who.name, Some(&who)).await {
        Ok(token) => {
            let page = HtmlPage::new(&web, &visit, Some(&who), "web-tokens");
            let (words, link) = (page.t("web-token-created"), ("/tokens", page.t("web-tokens")));
            Ok(page::show(StatusCode::OK, &Message { page, words, more: vec![token], link }))
        }
        Err(error) => Ok(tokens_page(&web, &who, &visit, Some(&error)).await?),
    }
}

async fn revoke(State(web): State<Arc<Web>>, posted: Posted<Admin>) -> Result<Response, AccessRefused> {
    match web.access.revoke_token(posted.fields.get("name"), Some(&posted.who)).await {
        // Somebody else revoked it.
        Ok(()) | Err(AccessError::Unknown(_)) => Ok(Redirect::to("/tokens").into_response()),
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "web/audit.html")]
struct AuditPage {
    page: HtmlPage,
    entries: Vec<AuditRow>,
    before: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Before {
    before: Option<String>,
}

async fn audit(
    State(web): State<Arc<Web>>,
    Query(Before { before }): Query<Before>,
    visit: Visit,
    caller: Granted<Admin>,
) -> Result<Response, AccessRefused> {
    let before = before.and_then(|before| before.parse().ok()).unwrap_or(i64::MAX);
    let entries = web.access.audit(before, ENTRIES).await?;
    let is_full = entries.len() >= usize::try_from(ENTRIES).unwrap_or(usize::MAX);
    let before = entries.last().filter(|_| is_full).map(|entry| entry.id);
    let page = HtmlPage::new(&web, &visit, Some(&caller.who), "web-audit");
    Ok(page::show(StatusCode::OK, &AuditPage { page, entries, before }))
}

//! Pages of who is signed in: the own account (sessions, password, second factor).

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
    routing::{get, post},
};

use crate::{
    access::{AccessError, By, CodeChange, Principal},
    web::{
        Web,
        guard::{self, AccessRefused, Granted, Posted, Read, Visit, set_cookie},
        page::{self, HtmlPage, Message},
        sign_in::problem_of,
    },
};

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/account", get(account))
        .route("/account/password", post(change_password))
        .route("/account/code", get(code_page).post(code))
        .route("/account/code/off", post(code_off))
        .route("/signout", post(sign_out))
        .route("/signout/everywhere", post(sign_out_everywhere))
}

#[derive(Template)]
#[template(path = "web/account.html")]
struct AccountPage {
    page: HtmlPage,
    problem: Option<String>,
    scope: &'static str,
    sessions: Vec<SessionLine>,
    /// Recovery codes that are left, if there is a second factor.
    codes: Option<u64>,
}

struct SessionLine {
    is_this: bool,
    agent: String,
    address: String,
    seen: String,
    begun: String,
}

async fn account_page(
    web: &Web,
    who: &Principal,
    visit: &Visit,
    problem: Option<&AccessError>,
) -> Result<Response, AccessError> {
    let page = HtmlPage::new(web, visit, Some(who), "web-account");
    let own = match &who.by {
        By::Session { hash, .. } => hash.clone(),
        By::Token | By::Link => String::new(),
    };
    let sessions = web.access.sessions_of(who).await?.into_iter().map(|session| SessionLine {
        is_this: session.hash == own,
        agent: session.agent,
        address: session.address,
        seen: page.say.time(session.seen_at),
        begun: page.say.time(session.made_at),
    });
    let sessions = sessions.collect();
    let codes = web.access.second_factor_of(who).await?;
    let status = problem.map_or(StatusCode::OK, guard::status_of);
    let problem = problem.map(|error| problem_of(&page, error));
    Ok(page::show(status, &AccountPage { page, problem, scope: who.scope.as_str(), sessions, codes }))
}

async fn account(State(web): State<Arc<Web>>, visit: Visit, caller: Granted<Read>) -> Result<Response, AccessRefused> {
    Ok(account_page(&web, &caller.who, &visit, None).await?)
}

async fn change_password(State(web): State<Arc<Web>>, posted: Posted<Read>) -> Result<Response, AccessRefused> {
    let Posted { who, fields, visit, .. } = posted;
    let changed = if fields.get("again") == fields.get("new") {
        web.access.change_password(&who, fields.get("old"), fields.get("new")).await
    } else {
        Err(AccessError::Password("web-password-differs"))
    };
    match changed {
        Ok(()) => Ok(said(&web, &who, &visit, "web-password-changed", Vec::new())),
        Err(error) => Ok(account_page(&web, &who, &visit, Some(&error)).await?),
    }
}

fn said(web: &Web, who: &Principal, visit: &Visit, words: &str, more: Vec<String>) -> Response {
    let page = HtmlPage::new(web, visit, Some(who), "web-account");
    let (words, link) = (page.t(words), ("/account", page.t("web-account")));
    page::show(StatusCode::OK, &Message { page, words, more, link })
}

#[derive(Template)]
#[template(path = "web/code.html")]
struct CodePage {
    page: HtmlPage,
    problem: Option<String>,
    picture: String,
    secret: String,
}

async fn code_form(
    web: &Web,
    who: &Principal,
    visit: &Visit,
    problem: Option<&AccessError>,
) -> Result<Response, AccessError> {
    let proposed = web.access.propose_totp(who).await?;
    let page = HtmlPage::new(web, visit, Some(who), "web-second-factor");
    let status = problem.map_or(StatusCode::OK, guard::status_of);
    let problem = problem.map(|error| problem_of(&page, error));
    Ok(page::show(status, &CodePage { page, problem, picture: proposed.picture, secret: proposed.text }))
}

async fn code_page(
    State(web): State<Arc<Web>>,
    visit: Visit,
    caller: Granted<Read>,
) -> Result<Response, AccessRefused> {
    Ok(code_form(&web, &caller.who, &visit, None).await?)
}

async fn code(State(web): State<Arc<Web>>, posted: Posted<Read>) -> Result<Response, AccessRefused> {
    let Posted { who, fields, visit, .. } = posted;
    match web.access.change_totp(&who, CodeChange::Confirm(fields.get("code").to_owned())).await {
        Ok(codes) => Ok(said(&web, &who, &visit, "web-code-on", codes)),
        Err(error) => Ok(code_form(&web, &who, &visit, Some(&error)).await?),
    }
}

async fn code_off(State(web): State<Arc<Web>>, posted: Posted<Read>) -> Result<Response, AccessRefused> {
    let Posted { who, fields, visit, .. } = posted;
    match web.access.change_totp(&who, CodeChange::Remove(fields.get("code").to_owned())).await {
        Ok(_) => Ok(said(&web, &who, &visit, "web-code-off", Vec::new())),
        Err(error) => Ok(account_page(&web, &who, &visit, Some(&error)).await?),
    }
}

/// The browser forgets the session; by `Clear-Site-Data` also what it may have kept.
fn signed_out(visit: &Visit) -> Response {
    let gone = set_cookie(visit, guard::SESSION, "", 0, "Lax");
    (AppendHeaders([(header::SET_COOKIE, gone)]), Redirect::to("/signin")).into_response()
}

async fn sign_out(State(web): State<Arc<Web>>, posted: Posted<Read>) -> Result<Response, AccessRefused> {
    web.access.sign_out(&posted.who).await?;
    Ok(signed_out(&posted.visit))
}

async fn sign_out_everywhere(State(web): State<Arc<Web>>, posted: Posted<Read>) -> Result<Response, AccessRefused> {
    web.access.sign_out_everywhere(&posted.who).await?;
    Ok(signed_out(&posted.visit))
}

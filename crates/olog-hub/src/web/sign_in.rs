//! Pages for who has no session yet: sign-in, second factor, set-up of the first user.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Path, Query, State, rejection::PathRejection},
    http::{HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Deserialize;

use super::{
    Web,
    guard::{self, Fields, FormRefused, StrangersForm, Visit, set_cookie},
    page::{self, HtmlPage, Message},
};
use crate::{
    access::{AccessError, Secret, SignedIn},
    rules::access::{BROWSER_KEPT_MS, HALF_SESSION_MS, SESSION_MAX_MS, next_place},
};

/// The cookie of a page without a session lives so long.
const FORM_S: i64 = 86_400;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/signin", get(sign_in_page).post(sign_in))
        .route("/signin/code", get(code_page).post(code))
        .route("/setup/{link}", get(setup_page).post(setup))
}

#[derive(Template)]
#[template(path = "web/signin.html")]
struct SignInPage {
    page: HtmlPage,
    problem: Option<String>,
    name: String,
    next: String,
    is_code: bool,
}

#[derive(Template)]
#[template(path = "web/setup.html")]
struct SetupPage {
    page: HtmlPage,
    problem: Option<String>,
    name: String,
    link: String,
}

type FormOrRefused = Result<StrangersForm, FormRefused>;

#[derive(Debug, Default, Deserialize)]
struct ReturnPlace {
    #[serde(default)]
    next: String,
}

/// A page without a session has a cookie whose secret its form repeats.
fn with_form(mut visit: Visit, show: impl FnOnce(&Visit) -> Response) -> Response {
    if visit.form.is_some() {
        return show(&visit);
    }
    let secret = match Secret::random() {
        Ok(secret) => secret,
        Err(error) => return super::Problem::from(error).into_response(),
    };
    let cookie = set_cookie(&visit, guard::FORM, secret.text(), FORM_S, "Strict");
    visit.form = Some(secret);
    (AppendHeaders([(header::SET_COOKIE, cookie)]), show(&visit)).into_response()
}

/// What went wrong, in the reader's language; for a wait also until when.
pub(super) fn problem_of(page: &HtmlPage, error: &AccessError) -> String {
    match error {
        AccessError::Wait { until } => page.say.text("web-wait", &[("until", page.say.time_exact(*until).into())]),
        error => page.t(error.key()),
    }
}

/// The status, and for a wait the header that says how long.
fn with_status(page_now: olog_proto::Timestamp, error: &AccessError, template: &impl Template) -> Response {
    let mut response = page::show(guard::status_of(error), template);
    if let AccessError::Wait { until } = error {
        let seconds = until.since(page_now).max(1000) / 1000;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

async fn sign_in_page(
    State(web): State<Arc<Web>>,
    Query(ReturnPlace { next }): Query<ReturnPlace>,
    visit: Visit,
) -> Response {
    if let Some(secret) = &visit.browser.session
        && matches!(web.access.session(secret, visit.browser.address).await, Ok(Some(_)))
    {
        return Redirect::to(next_place(&next)).into_response();
    }
    with_form(visit, |visit| {
        let page = HtmlPage::new(&web, visit, None, "web-sign-in");
        let next = next_place(&next).to_owned();
        let shown = SignInPage { page, problem: None, name: String::new(), next, is_code: false };
        page::show(StatusCode::OK, &shown)
    })
}

/// The form of a page; or the answer to one that is too old: the same page again, with a new cookie, and why.
fn posted(
    web: &Web,
    form: FormOrRefused,
    again: impl FnOnce(HtmlPage, String, &Fields) -> Response,
    title: &str,
) -> Result<StrangersForm, Box<Response>> {
    match form {
        Ok(form) => Ok(form),
        Err(FormRefused::Old(form)) => {
            let StrangersForm { fields, visit } = *form;
            Err(Box::new(with_form(visit, |visit| {
                let page = HtmlPage::new(web, visit, None, title);
                let problem = page.t("web-form-old");
                again(page, problem, &fields)
            })))
        }
        Err(refused) => Err(Box::new(refused.into_response())),
    }
}

fn sign_in_again(page: HtmlPage, problem: String, fields: &Fields, is_code: bool) -> Response {
    let (name, next) = (fields.get("name").trim().to_owned(), next_place(fields.get("next")).to_owned());
    page::show(StatusCode::FORBIDDEN, &SignInPage { page, problem: Some(problem), name, next, is_code })
}

async fn sign_in(State(web): State<Arc<Web>>, form: FormOrRefused) -> Response {
    let again = |page, problem, fields: &Fields| sign_in_again(page, problem, fields, false);
    let StrangersForm { fields, visit } = match posted(&web, form, again, "web-sign-in") {
        Ok(form) => form,
        Err(shown) => return *shown,
    };
    let (name, next) = (fields.get("name").trim(), next_place(fields.get("next")));
    match web.access.sign_in(name, fields.get("password"), &visit.browser).await {
        Ok(done) => signed_in(&visit, &done, next),
        Err(error) => {
            let page = HtmlPage::new(&web, &visit, None, "web-sign-in");
            let (now, problem) = (page.say.now, Some(problem_of(&page, &error)));
            let shown = SignInPage { page, problem, name: name.to_owned(), next: next.to_owned(), is_code: false };
            with_status(now, &error, &shown)
        }
    }
}

/// A new session: its cookie, and where to go on.
fn signed_in(visit: &Visit, done: &SignedIn, next: &str) -> Response {
    let lives = if done.needs_code { HALF_SESSION_MS } else { SESSION_MAX_MS } / 1000;
    // Lax: a link in a phone's message finds the session. What changes something is never a GET.
    let session = set_cookie(visit, guard::SESSION, done.session.text(), lives, "Lax");
    let mut cookies = vec![(header::SET_COOKIE, session)];
    if let Some(known) = &done.browser {
        let known = set_cookie(visit, guard::BROWSER, known.text(), BROWSER_KEPT_MS / 1000, "Strict");
        cookies.push((header::SET_COOKIE, known));
    }
    let target = if done.needs_code {
        let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        format!("/signin/code?next={next}")
    } else {
        next.to_owned()
    };
    (AppendHeaders(cookies), Redirect::to(&target)).into_response()
}

async fn code_page(
    State(web): State<Arc<Web>>,
    Query(ReturnPlace { next }): Query<ReturnPlace>,
    visit: Visit,
) -> Response {
    with_form(visit, |visit| {
        let page = HtmlPage::new(&web, visit, None, "web-code");
        let next = next_place(&next).to_owned();
        page::show(StatusCode::OK, &SignInPage { page, problem: None, name: String::new(), next, is_code: true })
    })
}

async fn code(State(web): State<Arc<Web>>, form: FormOrRefused) -> Response {
    let again = |page, problem, fields: &Fields| sign_in_again(page, problem, fields, true);
    let StrangersForm { fields, visit } = match posted(&web, form, again, "web-code") {
        Ok(form) => form,
        Err(shown) => return *shown,
    };
    let next = next_place(fields.get("next"));
    match web.access.second_factor(fields.get("code"), &visit.browser).await {
        Ok(done) => signed_in(&visit, &done, next),
        Err(AccessError::NoSession) => Redirect::to("/signin").into_response(),
        Err(error) => {
            let page = HtmlPage::new(&web, &visit, None, "web-code");
            let (now, problem) = (page.say.now, Some(problem_of(&page, &error)));
            let shown = SignInPage { page, problem, name: String::new(), next: next.to_owned(), is_code: true };
            with_status(now, &error, &shown)
        }
    }
}

fn bad_link(web: &Web, visit: &Visit) -> Response {
    let page = HtmlPage::new(web, visit, None, "web-setup");
    let (words, link) = (page.t("web-bad-link"), ("/signin", page.t("web-sign-in")));
    page::show(StatusCode::FORBIDDEN, &Message { page, words, more: Vec::new(), link })
}

async fn setup_page(State(web): State<Arc<Web>>, link: Result<Path<String>, PathRejection>, visit: Visit) -> Response {
    let link = link.ok().and_then(|Path(link)| Secret::read(&link));
    let is_good = match &link {
        Some(link) => web.access.is_setup_link(link).await.unwrap_or(false),
        None => false,
    };
    let Some(link) = link.filter(|_| is_good) else { return bad_link(&web, &visit) };
    with_form(visit, |visit| {
        let page = HtmlPage::new(&web, visit, None, "web-setup");
        let link = link.text().to_owned();
        page::show(StatusCode::OK, &SetupPage { page, problem: None, name: String::new(), link })
    })
}

async fn setup(
    State(web): State<Arc<Web>>,
    link: Result<Path<String>, PathRejection>,
    form: FormOrRefused,
) -> Response {
    let link = link.ok().and_then(|Path(link)| Secret::read(&link));
    let place = link.as_ref().map(|link| link.text().to_owned()).unwrap_or_default();
    let again = |page, problem, fields: &Fields| {
        let (name, problem) = (fields.get("name").to_owned(), Some(problem));
        page::show(StatusCode::FORBIDDEN, &SetupPage { page, problem, name, link: place })
    };
    let StrangersForm { fields, visit } = match posted(&web, form, again, "web-setup") {
        Ok(form) => form,
        Err(shown) => return *shown,
    };
    let Some(link) = link else { return bad_link(&web, &visit) };
    match first_user(&web, &link, &fields, &visit).await {
        Ok(done) => signed_in(&visit, &done, "/"),
        Err(AccessError::BadLink) => bad_link(&web, &visit),
        Err(error) => {
            let page = HtmlPage::new(&web, &visit, None, "web-setup");
            let (now, problem) = (page.say.now, Some(problem_of(&page, &error)));
            let name = fields.get("name").to_owned();
            with_status(now, &error, &SetupPage { page, problem, name, link: link.text().to_owned() })
        }
    }
}

async fn first_user(web: &Web, link: &Secret, fields: &Fields, visit: &Visit) -> Result<SignedIn, AccessError> {
    let (name, password) = (fields.get("name").trim(), fields.get("password"));
    if fields.get("again") != password {
        return Err(AccessError::Password("web-password-differs"));
    }
    web.access.first_user(link, name, password, visit.browser.address).await?;
    web.access.sign_in(name, password, &visit.browser).await
}

//! What the hub's own pages share: language, times, style, headers. Nothing comes from anywhere else. A page that updates itself has the one script of
//! `assets`, and no other; all others have none.

use std::sync::{Arc, LazyLock};

use askama::Template;
use axum::{
    Form, Router,
    extract::{State, rejection::FormRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, Html, IntoResponse, Redirect, Response},
    routing::post,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono_tz::Tz;
use olog_proto::clean;
use olog_push::words::{Language, Localizer};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    Problem, Web, assets,
    guard::{LANGUAGE, TIMES, UTC, Visit, is_cross_site, set_cookie},
    place::address,
};
use crate::{
    access::{By, Principal},
    rules::access::{AccessScope, next_place},
};

pub(super) mod lines;
pub(super) mod place;

/// What a reader chose is kept for so long: a year.
const CHOICE_S: i64 = 365 * 86_400;

/// The style of all pages.
const STYLE: &str = concat!(include_str!("../../templates/shared.css"), include_str!("../../templates/web/page.css"));

/// What a browser may do with a page: apply its own style, and send its forms to this hub.
fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        format!(
            "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
    });
    &POLICY
}

/// The same for a page that updates itself: it may run scripts that are files of this hub, and ask this hub.
fn live_policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| format!("{}; script-src 'self'; connect-src 'self'", policy()));
    &POLICY
}

/// What htmx may do.
const HTMX: &str = r#"{"allowEval":false,"allowScriptTags":false,"includeIndicatorStyles":false,"historyEnabled":false,"responseHandling":[{"code":"304","swap":false},{"code":"2..","swap":true},{"code":"...","swap":false,"error":true}]}"#;

/// How a page updates itself.
#[derive(Debug)]
pub(super) struct LivePage {
    pub(super) script: &'static str,
    pub(super) htmx: &'static str,
    /// The address of its stream; `None`: this is the answer to an open page, which has one.
    pub(super) stream: Option<String>,
}

/// What every page has around its content.
#[derive(Debug)]
pub(super) struct HtmlPage {
    pub(super) say: Localizer,
    pub(super) lang: &'static str,
    pub(super) style: &'static str,
    pub(super) title: String,
    /// The key by which the page was made: the navigation marks its link.
    key: String,
    /// Who is signed in.
    pub(super) who: Option<String>,
    pub(super) is_admin: bool,
    /// What the page's forms repeat.
    pub(super) form: String,
    /// From this page to the hub's own address, which may be below a path that a proxy strips: links are relative.
    pub(super) up: String,
    /// Where this page is: the switch of languages leads back.
    pub(super) place: String,
    /// The language that is not this page's.
    pub(super) other_lang: &'static str,
    /// A page of one small form.
    pub(super) is_narrow: bool,
    pub(super) live: Option<LivePage>,
    /// The browser's zone, as it said.
    pub(super) browser_zone: String,
    pub(super) is_utc: bool,
}

impl HtmlPage {
    /// A page with this title, a key of the catalogue.
    pub(super) fn new(web: &Web, visit: &Visit, who: Option<&Principal>, title: &str) -> HtmlPage {
        let timezone = match visit.zone.parse() {
            _ if visit.is_utc => Tz::UTC,
            Ok(zone) => zone,
            Err(_) => web.live.borrow().timezone,
        };
        let say = Localizer { language: visit.language, timezone, now: web.desk.clock.now() };
        let form = match who.map(|who| &who.by) {
            Some(By::Session { form, .. }) => form.clone(),
            _ => visit.form.as_ref().map(|secret| secret.form()).unwrap_or_default(),
        };
        HtmlPage {
            lang: visit.language.as_str(),
            style: STYLE,
            title: say.word(title),
            key: title.to_owned(),
            who: who.map(|who| who.name.clone()),
            is_admin: who.is_some_and(|who| who.scope.allows(AccessScope::Admin)),
            form,
            up: visit.up.clone(),
            place: visit.place.clone(),
            other_lang: match visit.language {
                Language::En => Language::ZhCn.as_str(),
                Language::ZhCn => Language::En.as_str(),
            },
            is_narrow: who.is_none(),
            live: None,
            browser_zone: visit.zone.clone(),
            is_utc: visit.is_utc,
            say,
        }
    }

    /// The page updates itself by that stream. Called before its content is read, so that no change falls in between.
    pub(super) fn updates_by(&mut self, web: &Web, visit: &Visit, path: &str, query: &[(&str, &str)]) {
        let after = web.stream.position().to_string();
        let query = [query, &[("merged", "true"), ("after", &after)]].concat();
        let stream = (!visit.is_update).then(|| address(path, &query));
        self.live = Some(LivePage { script: assets::script(), htmx: HTMX, stream });
    }

    /// Is there another zone than UTC to choose?
    pub(super) fn has_zones(&self) -> bool {
        self.is_utc || self.say.timezone != Tz::UTC
    }

    /// Which zone the times are of.
    pub(super) fn times(&self) -> String {
        self.say.text("web-times", &[("zone", self.say.timezone.name().into())])
    }

    /// Is this the page that was made by the key?
    pub(super) fn is_at(&self, key: &str) -> bool {
        self.key == key
    }

    /// A sentence.
    pub(super) fn t(&self, key: &str) -> String {
        self.say.word(key)
    }
}

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/language", post(choose_language)).route("/times", post(choose_times))
}

#[derive(Debug, Default, Deserialize)]
struct ChosenLanguage {
    #[serde(default)]
    language: String,
    #[serde(default)]
    next: String,
}

/// Keeps the language of a reader in a cookie, and leads back. Everybody may: it changes nothing at the hub.
async fn choose_language(
    State(web): State<Arc<Web>>,
    visit: Visit,
    headers: HeaderMap,
    form: Result<Form<ChosenLanguage>, FormRejection>,
) -> Response {
    let chosen = form.map(|Form(chosen)| chosen).unwrap_or_default();
    let public_url = web.live.borrow().public_url.clone();
    let back = Redirect::to(next_place(&chosen.next));
    match Language::by_name(&chosen.language) {
        Some(language) if !is_cross_site(&headers, public_url.as_deref()) => {
            let cookie = set_cookie(&visit, LANGUAGE, language.as_str(), CHOICE_S, "Lax");
            (AppendHeaders([(header::SET_COOKIE, cookie)]), back).into_response()
        }
        _ => back.into_response(),
    }
}

#[derive(Debug, Default, Deserialize)]
struct ChosenTimes {
    #[serde(default)]
    times: String,
    #[serde(default)]
    next: String,
}

/// Keeps whether a reader wants all times in UTC, as the language.
async fn choose_times(
    State(web): State<Arc<Web>>,
    visit: Visit,
    headers: HeaderMap,
    form: Result<Form<ChosenTimes>, FormRejection>,
) -> Response {
    let chosen = form.map(|Form(chosen)| chosen).unwrap_or_default();
    let public_url = web.live.borrow().public_url.clone();
    let back = Redirect::to(next_place(&chosen.next));
    if is_cross_site(&headers, public_url.as_deref()) {
        return back.into_response();
    }
    let (value, kept_s) = if chosen.times == UTC { (UTC, CHOICE_S) } else { ("", 0) };
    let cookie = set_cookie(&visit, TIMES, value, kept_s, "Lax");
    (AppendHeaders([(header::SET_COOKIE, cookie)]), back).into_response()
}

/// The answer.
pub(super) fn show(status: StatusCode, template: &impl Template) -> Response {
    // A template that was compiled fails only where writing into a text does: never.
    // Names may come from a stranger who failed to sign in: no control and no mark of direction is in a page.
    let html = clean::text(template.render().unwrap_or_default());
    let policy = HeaderValue::from_static(policy());
    (status, [(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response()
}

/// The answer, for a page that updates itself.
pub(super) fn show_live(template: &impl Template) -> Response {
    let mut response = show(StatusCode::OK, template);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(live_policy()));
    response
}

/// The page of an error, with the headers of its answer for programs.
pub(super) fn refused(web: &Web, visit: &Visit, problem: &Problem, headers: &HeaderMap) -> Response {
    let title = match problem.status {
        StatusCode::NOT_FOUND => "web-not-found",
        status if status.is_server_error() => "web-failed-title",
        _ => "web-refused",
    };
    let page = HtmlPage::new(web, visit, None, title);
    let words = problem.key.map_or_else(|| problem.detail.clone(), |key| page.t(key));
    let link = ("./", page.t("web-overview"));
    let mut response = show(problem.status, &Message { page, words, more: Vec::new(), link });
    for (name, value) in
        headers.iter().filter(|(name, _)| ![header::CONTENT_TYPE, header::CONTENT_LENGTH].contains(name))
    {
        response.headers_mut().append(name, value.clone());
    }
    response
}

/// A page that says one thing, and where to go on.
#[derive(Template)]
#[template(path = "web/message.html")]
pub(super) struct Message {
    pub(super) page: HtmlPage,
    pub(super) words: String,
    pub(super) more: Vec<String>,
    pub(super) link: (&'static str, String),
}

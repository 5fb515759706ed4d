//! Who sends a request, and may it: a session's cookie or an API token, the scope that an address needs, and the proof that a form is ours.
//!
//! A handler that takes [`Granted`] or [`Posted`] runs for nobody else. Without a session a page leads to `/signin`, an address of the API
//! answers 401, and a scope that is too small 403. A `POST` with a session must come from this site's own page (`Sec-Fetch-Site` or `Origin`), and must
//! repeat what only such a page knows: the field `form`, or the header `x-olog-form`. A token is no cookie, so nobody else's page can send it.

use std::{marker::PhantomData, net::IpAddr, sync::Arc};

use axum::{
    Form, RequestExt as _,
    extract::{FromRequest, FromRequestParts, Request},
    http::{Extensions, HeaderMap, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use olog_push::words::Language;
use subtle::ConstantTimeEq as _;

use super::{Problem, Web, client_address, place};
use crate::{
    access::{AccessError, Browser, By, Principal, Secret},
    net::listener::Connection,
    rules::access::AccessScope,
};

/// The header by which a page's own request repeats its form's secret.
const FORM_HEADER: &str = "x-olog-form";
/// Cookies with a secret: a session, a browser that is known, the form of a page without a session.
pub(super) const SESSION: &str = "olog";
pub(super) const BROWSER: &str = "olog-browser";
pub(super) const FORM: &str = "olog-form";
/// The cookie with the language that a reader chose.
pub(super) const LANGUAGE: &str = "olog-language";
/// Cookies: are all times UTC, and the browser's own zone, which the script of open pages tells.
pub(super) const TIMES: &str = "olog-times";
const ZONE: &str = "olog-zone";
/// The value of [`TIMES`] by which all times are UTC.
pub(super) const UTC: &str = "utc";

/// A scope that an address needs.
pub trait Needs: Send {
    /// Which.
    const SCOPE: AccessScope;
}

/// May see.
#[derive(Debug)]
pub struct Read;
/// May acknowledge, close, silence.
#[derive(Debug)]
pub struct Act;
/// May do everything.
#[derive(Debug)]
pub struct Admin;

impl Needs for Read {
    const SCOPE: AccessScope = AccessScope::Read;
}
impl Needs for Act {
    const SCOPE: AccessScope = AccessScope::Act;
}
impl Needs for Admin {
    const SCOPE: AccessScope = AccessScope::Admin;
}

/// Somebody who may.
#[derive(Debug)]
pub struct Granted<N> {
    /// Who.
    pub who: Principal,
    needs: PhantomData<N>,
}

/// A form that one of our own pages sent, for somebody who may.
#[derive(Debug)]
pub(super) struct Posted<N> {
    /// Who.
    pub(super) who: Principal,
    pub(super) fields: Fields,
    pub(super) visit: Visit,
    needs: PhantomData<N>,
}

/// A form of a page without a session: it repeats what the page's cookie says.
#[derive(Debug)]
pub(super) struct StrangersForm {
    pub(super) fields: Fields,
    pub(super) visit: Visit,
}

/// Why the form of a page without a session is not taken.
#[derive(Debug)]
pub(super) enum FormRefused {
    /// The page's cookie has expired, or the browser takes none: the page is shown again. Nothing in it may be believed.
    Old(Box<StrangersForm>),
    Other(AccessRefused),
}

impl IntoResponse for FormRefused {
    fn into_response(self) -> Response {
        match self {
            FormRefused::Old(_) => cross_site().into_response(),
            FormRefused::Other(refused) => refused.into_response(),
        }
    }
}

/// Fields of a form.
#[derive(Debug, Default)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// A field; empty if it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}

/// What a request says of its sender.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    /// By TLS, here or at a trusted proxy.
    pub(super) is_secure: bool,
    pub(super) browser: Browser,
    /// The cookie of a page without a session.
    pub(super) form: Option<Secret>,
    pub(super) language: Language,
    /// The browser's time zone, as its page said; empty: not known.
    pub(super) zone: String,
    /// All times are wanted in UTC.
    pub(super) is_utc: bool,
    /// From the page that is asked for to the hub's own address.
    pub(super) up: String,
    /// What is asked for: a path and its query.
    pub(super) place: String,
    /// An open page asks for itself anew.
    pub(super) is_update: bool,
}

/// Why a request is refused.
#[derive(Debug)]
pub struct AccessRefused(Box<Response>);

impl IntoResponse for AccessRefused {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Problem> for AccessRefused {
    fn from(problem: Problem) -> AccessRefused {
        let status = problem.status;
        let mut response = problem.into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"olog\""));
        }
        AccessRefused(Box::new(response))
    }
}

impl From<AccessError> for AccessRefused {
    fn from(error: AccessError) -> AccessRefused {
        Problem::from(error).into()
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Problem {
        let status = status_of(&error);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            tracing::error!(error = olog_daemon::failure::chain(&error), "access does not work");
        }
        Problem::new(status, error.to_string())
    }
}

/// The status by which an error of the room is told.
pub(super) fn status_of(error: &AccessError) -> StatusCode {
    match error {
        AccessError::Wrong | AccessError::WrongCode | AccessError::BadToken | AccessError::NoSession => {
            StatusCode::UNAUTHORIZED
        }
        AccessError::Wait { .. } => StatusCode::TOO_MANY_REQUESTS,
        AccessError::BadLink => StatusCode::FORBIDDEN,
        AccessError::Password(_) | AccessError::Name => StatusCode::UNPROCESSABLE_ENTITY,
        AccessError::NameTaken(_) | AccessError::TooMany => StatusCode::CONFLICT,
        AccessError::Unknown(_) => StatusCode::NOT_FOUND,
        AccessError::Busy | AccessError::Random | AccessError::Hash(_) | AccessError::Store(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    }
}

/// Did the request come by TLS, here or at a trusted proxy?
pub(super) fn is_secure(web: &Web, extensions: &Extensions, headers: &HeaderMap) -> bool {
    let Some(connection) = extensions.get::<Connection>() else { return false };
    is_secure_from(web, connection.ip(), connection.tls, headers)
}

fn is_secure_from(web: &Web, other_end: IpAddr, tls: bool, headers: &HeaderMap) -> bool {
    let says_https = || headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes() == b"https");
    tls || web.live.borrow().trusts(other_end) && says_https()
}

/// The name of a cookie. With `__Host-` a browser takes it only by TLS and for this host alone.
fn cookie_name(name: &str, is_secure: bool) -> String {
    if is_secure { format!("__Host-{name}") } else { name.to_owned() }
}

/// A `Set-Cookie` line. `same_site` is `Lax` where a link from a phone's message must find the session, else `Strict`.
pub(super) fn set_cookie(visit: &Visit, name: &str, value: &str, max_age_s: i64, same_site: &str) -> String {
    let secure = if visit.is_secure { "; Secure" } else { "" };
    let name = cookie_name(name, visit.is_secure);
    format!("{name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite={same_site}{secure}")
}

/// A cookie that has the form of a secret.
fn cookie(headers: &HeaderMap, name: &str, is_secure: bool) -> Option<Secret> {
    Secret::read(cookie_text(headers, name, is_secure)?)
}

/// A cookie. Two of one name count as none: one of them was planted.
fn cookie_text<'a>(headers: &'a HeaderMap, name: &str, is_secure: bool) -> Option<&'a str> {
    let name = cookie_name(name, is_secure);
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value);
    let value = values.next()?;
    if values.next().is_some() { None } else { Some(value) }
}

/// May it be the name of a time zone?
fn is_zone(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'+');
    text.len() <= 64 && text.bytes().all(is_part)
}

impl Visit {
    /// Of a request.
    pub(super) fn of(web: &Web, uri: &Uri, extensions: &Extensions, headers: &HeaderMap) -> Result<Visit, Problem> {
        let gone = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "this connection has no address");
        let visit = Visit::by(web, extensions.get::<Connection>().ok_or_else(gone)?, headers);
        let place = uri.path_and_query().map_or("/", |place| place.as_str()).to_owned();
        Ok(Visit { up: place::up(uri.path()), place, ..visit })
    }

    fn by(web: &Web, connection: &Connection, headers: &HeaderMap) -> Visit {
        let live = web.live.borrow().clone();
        let is_secure = is_secure_from(web, connection.ip(), connection.tls, headers);
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let browser = Browser {
            address: client_address(connection.ip(), headers, &live).address,
            agent: text(header::USER_AGENT).to_owned(),
            session: cookie(headers, SESSION, is_secure),
            known: cookie(headers, BROWSER, is_secure),
        };
        let chosen = cookie_text(headers, LANGUAGE, is_secure).and_then(Language::by_name);
        let language = chosen.unwrap_or_else(|| language_of(text(header::ACCEPT_LANGUAGE), live.language));
        Visit {
            is_secure,
            browser,
            form: cookie(headers, FORM, is_secure),
            language,
            // A script sets it, so it has no prefix.
            zone: cookie_text(headers, ZONE, false).filter(|zone| is_zone(zone)).unwrap_or_default().to_owned(),
            is_utc: cookie_text(headers, TIMES, is_secure) == Some(UTC),
            up: String::new(),
            place: "/".to_owned(),
            is_update: headers.contains_key("hx-request"),
        }
    }
}

impl FromRequestParts<Arc<Web>> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Visit, Problem> {
        Visit::of(web, &parts.uri, &parts.extensions, &parts.headers)
    }
}

/// Who asks by a token or a session; `None`: nobody that we know.
pub(super) async fn principal(web: &Web, visit: &Visit, headers: &HeaderMap) -> Result<Option<Principal>, AccessError> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        // Who shows a token means it: a cookie beside it does not count.
        let text = value.to_str().ok().and_then(|text| text.split_once(' '));
        let token = match text {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim().to_owned(),
            // What cannot send a bearer token sends it as a password, whatever the user.
            Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => password(pair.trim()).unwrap_or_default(),
            _ => String::new(),
        };
        return web.access.token(&token, visit.browser.address).await.map(Some);
    }
    match &visit.browser.session {
        Some(secret) => web.access.session(secret, visit.browser.address).await,
        None => Ok(None),
    }
}

/// The password of `Authorization: Basic`.
fn password(pair: &str) -> Option<String> {
    let pair = String::from_utf8(STANDARD.decode(pair).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// For `/metrics`: does the request show something by which it may read?
pub(super) async fn may_read(web: &Web, connection: &Connection, headers: &HeaderMap) -> Result<bool, AccessError> {
    let visit = Visit::by(web, connection, headers);
    Ok(principal(web, &visit, headers).await?.is_some_and(|who| who.scope.allows(AccessScope::Read)))
}

/// Does a browser say that another site's page sent this? One that says nothing is left to the form's secret.
pub(super) fn is_cross_site(headers: &HeaderMap, public_url: Option<&str>) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => !matches!(site, "same-origin" | "none"),
        // A page without referrer says "null" about itself.
        (None, None | Some("null")) => false,
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            let is_public = public_url.and_then(|url| url::Url::parse(url).ok());
            let is_public = is_public.is_some_and(|url| url.origin().ascii_serialization() == origin);
            !is_public && (host.is_none() || host != text("host"))
        }
    }
}

pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

pub(super) fn cross_site() -> AccessRefused {
    Problem::of_pages(StatusCode::FORBIDDEN, "web-form-foreign").into()
}

pub(super) fn checked<N: Needs>(who: Principal) -> Result<Principal, AccessRefused> {
    if who.scope.allows(N::SCOPE) {
        return Ok(who);
    }
    let words = format!("this needs the scope {}, and {} has the scope {}", N::SCOPE, who.name, who.scope);
    Err(Problem::new(StatusCode::FORBIDDEN, words).into())
}

fn is_page(path: &str) -> bool {
    !path.starts_with("/api/") && path != "/metrics"
}

/// Of a browser that asks for a page, and so gets errors as pages.
pub(super) fn looking(web: &Web, request: &Request) -> Option<Visit> {
    let accepted = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_looking = accepted.contains("text/html") && is_page(request.uri().path());
    is_looking.then(|| Visit::of(web, request.uri(), request.extensions(), request.headers()).ok()).flatten()
}

/// Leads to the sign-in, and back.
fn to_sign_in(method: &Method, place: &str) -> Response {
    let asked = if method == Method::GET { place } else { "/" };
    let next: String = url::form_urlencoded::byte_serialize(asked.as_bytes()).collect();
    let target = if asked == "/" { "/signin".to_owned() } else { format!("/signin?next={next}") };
    Redirect::to(&target).into_response()
}

pub(super) fn nobody(method: &Method, uri: &Uri) -> AccessRefused {
    if is_page(uri.path()) {
        let place = uri.path_and_query().map_or("/", |place| place.as_str());
        return AccessRefused(Box::new(to_sign_in(method, place)));
    }
    Problem::new(StatusCode::UNAUTHORIZED, "sign in, or send an API token (Authorization: Bearer …)").into()
}

impl<N: Needs> FromRequestParts<Arc<Web>> for Granted<N> {
    type Rejection = AccessRefused;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<Granted<N>, AccessRefused> {
        let visit = Visit::of(web, &parts.uri, &parts.extensions, &parts.headers)?;
        let who = principal(web, &visit, &parts.headers).await?.ok_or_else(|| nobody(&parts.method, &parts.uri))?;
        if let By::Session { form, .. } = &who.by
            && !matches!(parts.method, Method::GET | Method::HEAD)
        {
            let said = parts.headers.get(FORM_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
            let public_url = web.live.borrow().public_url.clone();
            if is_cross_site(&parts.headers, public_url.as_deref()) || !is_same(said, form) {
                return Err(cross_site());
            }
        }
        Ok(Granted { who: checked::<N>(who)?, needs: PhantomData })
    }
}

pub(super) async fn fields(request: Request) -> Result<Fields, Problem> {
    let form: Result<Form<Vec<(String, String)>>, _> = request.extract().await;
    form.map(|Form(fields)| Fields(fields)).map_err(|error| Problem::new(error.status(), error.body_text()))
}

impl<N: Needs> FromRequest<Arc<Web>> for Posted<N> {
    type Rejection = AccessRefused;

    async fn from_request(request: Request, web: &Arc<Web>) -> Result<Posted<N>, AccessRefused> {
        let visit = Visit::of(web, request.uri(), request.extensions(), request.headers())?;
        // A page that answers a form is asked for where the form was, not where it was sent to.
        let visit = Visit { place: place::section(request.uri().path()).to_owned(), ..visit };
        let public_url = web.live.borrow().public_url.clone();
        if is_cross_site(request.headers(), public_url.as_deref()) {
            return Err(cross_site());
        }
        // Pages are for sessions only: a token has no form.
        let who = match &visit.browser.session {
            Some(secret) => web.access.session(secret, visit.browser.address).await?,
            None => None,
        };
        let who = who.ok_or_else(|| nobody(request.method(), request.uri()))?;
        let By::Session { form, .. } = &who.by else { return Err(cross_site()) };
        let fields = fields(request).await?;
        if !is_same(fields.get("form"), form) {
            return Err(cross_site());
        }
        Ok(Posted { who: checked::<N>(who)?, fields, visit, needs: PhantomData })
    }
}

impl FromRequest<Arc<Web>> for StrangersForm {
    type Rejection = FormRefused;

    async fn from_request(request: Request, web: &Arc<Web>) -> Result<StrangersForm, FormRefused> {
        let refused = |problem: Problem| FormRefused::Other(problem.into());
        let visit = Visit::of(web, request.uri(), request.extensions(), request.headers()).map_err(refused)?;
        let public_url = web.live.borrow().public_url.clone();
        if is_cross_site(request.headers(), public_url.as_deref()) {
            return Err(FormRefused::Other(cross_site()));
        }
        let fields = fields(request).await.map_err(refused)?;
        match &visit.form {
            Some(secret) if is_same(fields.get("form"), &secret.form()) => Ok(StrangersForm { fields, visit }),
            _ => Err(FormRefused::Old(Box::new(StrangersForm { fields, visit }))),
        }
    }
}

/// The language that a browser likes best, of those that Olog speaks.
fn language_of(accepted: &str, default: Language) -> Language {
    let of_one = |range: &str| {
        let (tag, weight) = range.split_once(';').unwrap_or((range, "q=1"));
        let weight: f32 = weight.trim().strip_prefix("q=")?.parse().ok()?;
        let tag = tag.trim().to_ascii_lowercase();
        let language = match tag.split('-').next()? {
            "zh" => Language::ZhCn,
            "en" => Language::En,
            _ => return None,
        };
        (weight > 0.0).then_some((weight, language))
    };
    let mut best: Option<(f32, Language)> = None;
    for (weight, language) in accepted.split(',').take(20).filter_map(of_one) {
        if best.is_none_or(|(best, _)| weight > best) {
            best = Some((weight, language));
        }
    }
    best.map_or(default, |(_, language)| language)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_speaks_the_language_that_the_browser_likes_best() {
        for (accepted, language) in [
            ("", Language::ZhCn),
            ("en-GB,en;q=0.9,zh;q=0.8", Language::En),
            ("zh-TW", Language::ZhCn),
            ("fr,de;q=0.9", Language::ZhCn),
            ("en;q=0.1,zh-CN;q=0.2", Language::ZhCn),
            ("en;q=0", Language::ZhCn),
            ("en;q=x, en", Language::En),
        ] {
            assert_eq!(language_of(accepted, Language::ZhCn), language, "{accepted}");
        }
    }

    #[test]
    fn every_sentence_of_the_pages_is_in_both_languages_and_every_key_of_a_page_is_one() {
        const EN: &str = include_str!("../../../olog-push/locales/web.en.ftl");
        const ZH: &str = include_str!("../../../olog-push/locales/web.zh-CN.ftl");
        let keys = |text: &'static str| -> std::collections::BTreeSet<&str> {
            text.lines()
                .filter_map(|line| line.split_once(" = "))
                .map(|(key, _)| key)
                .filter(|k| k.starts_with("web-"))
                .collect()
        };
        assert_eq!(keys(EN), keys(ZH));
        let pages = crate::cli::tests::sources(&["src", "templates/web"]);
        // Names that only look like keys (a host, a task of a test) have other characters.
        let is_key = |piece: &&str| {
            let rest = piece.strip_prefix("web-").unwrap_or_default();
            !rest.is_empty() && rest.bytes().all(|byte| byte == b'-' || byte.is_ascii_lowercase())
        };
        let used: std::collections::BTreeSet<&str> = pages.split('"').filter(is_key).collect();
        assert_eq!(used, keys(EN));
    }
}

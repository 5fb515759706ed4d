//! Who may see an incident, or those of one message: by a session or token with the scope read, or by the link of a notification, which is good for
//! these incidents alone. A form acts for whoever may do so: by a session's page, or by the page that a link opened, which repeats what the link has.
//! Another site does not know that.

use std::sync::Arc;

use axum::{
    RequestExt as _,
    extract::{FromRequest, FromRequestParts, Path, Request, rejection::PathRejection},
    http::request::Parts,
};
use olog_proto::Timestamp;

use crate::{
    access::{By, Principal},
    rules::{
        access::AccessScope,
        incident_link::{IncidentLinks, numbers_of},
    },
    web::{
        Act, Problem, Read, Web,
        guard::{self, AccessRefused, Fields, Visit},
    },
};

/// Whoever may see one incident.
#[derive(Debug)]
pub(in crate::web) struct OfIncident {
    pub(in crate::web) id: u64,
    pub(in crate::web) who: Principal,
    pub(in crate::web) visit: Visit,
    /// What the link has.
    pub(in crate::web) key: String,
}

/// A form about one incident.
#[derive(Debug)]
pub(in crate::web) struct PostedOfIncident {
    pub(in crate::web) id: u64,
    pub(in crate::web) who: Principal,
    pub(in crate::web) fields: Fields,
}

/// Whoever may see the incidents of a message.
#[derive(Debug)]
pub(super) struct OfSeveral {
    pub(super) numbers: Vec<u64>,
    /// As the link has them.
    pub(super) text: String,
    pub(super) who: Principal,
    pub(super) visit: Visit,
    pub(super) key: String,
}

/// A form about the incidents of a message.
#[derive(Debug)]
pub(super) struct PostedOfSeveral {
    pub(super) numbers: Vec<u64>,
    pub(super) who: Principal,
    pub(super) fields: Fields,
}

/// Who has the link of that incident.
pub(in crate::web) fn by_link_of(web: &Web, id: u64, key: &str, visit: &Visit) -> Option<Principal> {
    by_link(web, visit, |links, now| links.opens(id, key, now))
}

/// Who has a link that opens this.
fn by_link(web: &Web, visit: &Visit, opens: impl Fn(&IncidentLinks, Timestamp) -> bool) -> Option<Principal> {
    let (rules, now) = (web.rules.borrow().clone(), web.desk.clock.now());
    let opens = rules.links.as_ref().is_some_and(|links| opens(links, now));
    let who =
        || Principal { name: "link".to_owned(), scope: AccessScope::Act, by: By::Link, address: visit.browser.address };
    opens.then(who)
}

fn incident_of(path: Result<Path<u64>, PathRejection>) -> Result<u64, Problem> {
    path.map(|Path(id)| id).map_err(|error| Problem::new(error.status(), error.body_text()))
}

fn several_of(text: &str) -> Result<Vec<u64>, Problem> {
    let wrong = || Problem::new(axum::http::StatusCode::NOT_FOUND, "there is no such message");
    numbers_of(text).ok_or_else(wrong)
}

fn query_of(parts: &Parts, name: &str) -> String {
    let query = parts.uri.query().unwrap_or_default();
    let found = url::form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Who sees it: a session or token, or the link.
async fn seen_by(
    web: &Web,
    visit: &Visit,
    parts: &Parts,
    opens: impl Fn(&IncidentLinks, Timestamp) -> bool,
) -> Result<Principal, AccessRefused> {
    match guard::principal(web, visit, &parts.headers).await? {
        Some(who) => guard::checked::<Read>(who),
        None => by_link(web, visit, opens).ok_or_else(|| guard::nobody(&parts.method, &parts.uri)),
    }
}

impl FromRequestParts<Arc<Web>> for OfIncident {
    type Rejection = AccessRefused;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<OfIncident, AccessRefused> {
        let id = incident_of(Path::from_request_parts(parts, web).await)?;
        let visit = Visit::of(web, &parts.uri, &parts.extensions, &parts.headers)?;
        let key = query_of(parts, "key");
        let who = seen_by(web, &visit, parts, |links, now| links.opens(id, &key, now)).await?;
        Ok(OfIncident { id, who, visit, key })
    }
}

impl FromRequestParts<Arc<Web>> for OfSeveral {
    type Rejection = AccessRefused;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Result<OfSeveral, AccessRefused> {
        let (text, key) = (query_of(parts, "n"), query_of(parts, "key"));
        let numbers = several_of(&text)?;
        let visit = Visit::of(web, &parts.uri, &parts.extensions, &parts.headers)?;
        let who = seen_by(web, &visit, parts, |links, now| links.open_several(&text, &key, now)).await?;
        Ok(OfSeveral { numbers, text, who, visit, key })
    }
}

/// Who sends a form: a link, or a session's page.
async fn sent_by(
    web: &Web,
    request: Request,
    opens: impl Fn(&IncidentLinks, &Fields, Timestamp) -> bool,
) -> Result<(Principal, Fields), AccessRefused> {
    let visit = Visit::of(web, request.uri(), request.extensions(), request.headers())?;
    let public_url = web.live.borrow().public_url.clone();
    if guard::is_cross_site(request.headers(), public_url.as_deref()) {
        return Err(guard::cross_site());
    }
    let refused = guard::nobody(request.method(), request.uri());
    let fields = guard::fields(request).await?;
    if let Some(who) = by_link(web, &visit, |links, now| opens(links, &fields, now)) {
        return Ok((who, fields));
    }
    let who = match &visit.browser.session {
        Some(secret) => web.access.session(secret, visit.browser.address).await?,
        None => None,
    };
    let who = who.ok_or(refused)?;
    match &who.by {
        By::Session { form, .. } if guard::is_same(fields.get("form"), form) => {}
        _ => return Err(guard::cross_site()),
    }
    Ok((guard::checked::<Act>(who)?, fields))
}

impl FromRequest<Arc<Web>> for PostedOfIncident {
    type Rejection = AccessRefused;

    async fn from_request(mut request: Request, web: &Arc<Web>) -> Result<PostedOfIncident, AccessRefused> {
        let id = incident_of(request.extract_parts_with_state(web).await)?;
        let opens = |links: &IncidentLinks, fields: &Fields, now| links.opens(id, fields.get("key"), now);
        let (who, fields) = sent_by(web, request, opens).await?;
        Ok(PostedOfIncident { id, who, fields })
    }
}

impl FromRequest<Arc<Web>> for PostedOfSeveral {
    type Rejection = AccessRefused;

    async fn from_request(request: Request, web: &Arc<Web>) -> Result<PostedOfSeveral, AccessRefused> {
        let opens =
            |links: &IncidentLinks, fields: &Fields, now| links.open_several(fields.get("n"), fields.get("key"), now);
        let (who, fields) = sent_by(web, request, opens).await?;
        Ok(PostedOfSeveral { numbers: several_of(fields.get("n"))?, who, fields })
    }
}

//! The page by which devices come to the hub: an administrator makes a join link (with its QR code, shown once), sees which links are open, used or
//! expired and who joined by them, and accepts or rejects devices that wait.
//!
//! Each change has its entry in the audit log before it is made, as the verbs have it. Must not: show the secret of a link a second time; the hub
//! does not know it any more.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use olog_proto::DeviceName;

use crate::{
    access::{self, Principal},
    net::enrol::{EnrolError, LinkRequest, link_base},
    rules::report::page::StateForm,
    store::{
        access::audit::Outcome,
        enrolment::{ListedDevice, ListedLink},
    },
    web::{
        Admin, Granted, Problem, Web,
        guard::{Posted, Visit},
        lines::device_address,
        packages::install_line,
        page::{self, HtmlPage},
    },
};

/// For how long a link may hold, in hours.
const HOURS: [u64; 4] = [1, 24, 168, 720];
const HOUR_MS: i64 = 3_600_000;
/// The most devices of one link.
const USES_MAX: u32 = 10_000;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/enrolment", get(enrolment).post(make))
        .route("/enrolment/revoke", post(revoke))
        .route("/enrolment/accept", post(accept))
        .route("/enrolment/reject", post(reject))
}

struct LinkLine {
    hash: String,
    form: StateForm,
    what: String,
    meta: Vec<String>,
    /// Address and name of each.
    joined: Vec<(String, String)>,
    is_open: bool,
}

struct PendingLine {
    name: String,
    /// By what it is accepted: its key, or of an old client its name.
    who: String,
    meta: Vec<String>,
}

#[derive(Template)]
#[template(path = "web/enrolment.html")]
struct EnrolmentPage {
    page: HtmlPage,
    problem: Option<String>,
    made: Option<MadeLink>,
    hours: Vec<(u64, String)>,
    pending: Vec<PendingLine>,
    links: Vec<LinkLine>,
}

/// A link that was just made.
struct MadeLink {
    link: String,
    picture: String,
    install: Option<String>,
    word: Option<String>,
}

async fn enrolment(State(web): State<Arc<Web>>, visit: Visit, caller: Granted<Admin>) -> Result<Response, Problem> {
    enrolment_page(&web, &visit, &caller.who, None, None).await
}

async fn enrolment_page(
    web: &Web,
    visit: &Visit,
    who: &Principal,
    problem: Option<&EnrolError>,
    made: Option<MadeLink>,
) -> Result<Response, Problem> {
    let page = HtmlPage::new(web, visit, Some(who), "web-enrolment");
    let (pending, links) = (web.enrol.list(true).await?, web.enrol.links().await?);
    let (status, problem) = match problem {
        None => (StatusCode::OK, None),
        Some(EnrolError::BadLink) => (StatusCode::NOT_FOUND, Some(page.t("web-link-gone"))),
        Some(EnrolError::Unknown(_)) => (StatusCode::NOT_FOUND, Some(page.t("web-pending-gone"))),
        Some(EnrolError::NameTaken(_) | EnrolError::RenameTaken(_) | EnrolError::Several(_)) => {
            (StatusCode::CONFLICT, Some(page.t("web-pending-taken")))
        }
        Some(EnrolError::TooLong) => (StatusCode::UNPROCESSABLE_ENTITY, Some(page.t("web-link-unfit"))),
        Some(error) => return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    };
    let hours = HOURS.iter().map(|hours| {
        let span = i64::try_from(*hours).unwrap_or_default().saturating_mul(HOUR_MS);
        (*hours, page.say.duration(span))
    });
    let shown = EnrolmentPage {
        hours: hours.collect(),
        pending: pending.iter().map(|device| pending_line(&page, device)).collect(),
        links: links.iter().map(|link| link_line(&page, link)).collect(),
        problem,
        made,
        page,
    };
    Ok(page::show(status, &shown))
}

fn link_line(page: &HtmlPage, link: &ListedLink) -> LinkLine {
    let say = page.say;
    let is_open = link.expires_at > say.now && link.uses_left > 0;
    let (class, mark, word) = match () {
        () if link.uses_left == 0 => ("dim", "✓", "web-link-used"),
        () if is_open => ("ok", "●", "web-link-open"),
        () => ("dim", "·", "web-link-expired"),
    };
    let made = say.time(link.made_at);
    let mut meta = vec![match &link.made_by {
        Some(by) => format!("{} {made} · {by}", page.t("web-made")),
        None => format!("{} {made}", page.t("web-made")),
    }];
    meta.push(format!("{} {}", page.t("web-expires"), say.time(link.expires_at)));
    meta.push(match link.uses {
        Some(uses) => say.text("web-link-uses", &[("left", link.uses_left.into()), ("all", uses.into())]),
        None => say.text("web-link-left", &[("left", link.uses_left.into())]),
    });
    LinkLine {
        hash: link.hash.clone(),
        form: StateForm { class, mark, word: page.t(word) },
        what: link.device.clone().unwrap_or_else(|| page.t("web-link-any")),
        meta,
        joined: link.joined.iter().map(|name| (device_address(name), name.clone())).collect(),
        is_open,
    }
}

fn pending_line(page: &HtmlPage, device: &ListedDevice) -> PendingLine {
    let say = page.say;
    let mut meta = vec![say.text("web-pending-since", &[("time", say.time(device.made_at).into())])];
    meta.extend(device.peer.clone());
    meta.extend(device.address.clone());
    meta.extend(device.version.clone());
    meta.extend(device.key.as_ref().map(ToString::to_string));
    PendingLine {
        name: device.name.clone(),
        who: device.key.as_ref().map_or_else(|| device.name.clone(), ToString::to_string),
        meta,
    }
}

/// Does something that is written down before and after.
async fn audited<T>(
    web: &Web,
    who: &Principal,
    action: &'static str,
    subject: &str,
    work: impl Future<Output = Result<T, EnrolError>>,
) -> Result<Result<T, EnrolError>, Problem> {
    let id = web.access.begin_entry(who.entry(action, subject)).await?;
    let done = work.await;
    let (outcome, why) = match &done {
        Ok(_) => (Outcome::Done, String::new()),
        Err(error) => (Outcome::Refused, format!(" ({error})")),
    };
    if let Err(error) = web.access.finish_entry(id, outcome, why).await {
        tracing::warn!(%error, id, "the audit log does not say how a change went");
    }
    Ok(done)
}

/// What the form asks for; `None`: a name that is none, or a number out of its bounds.
fn request_of(posted: &Posted<Admin>) -> Option<LinkRequest> {
    let field = |name| posted.fields.get(name).trim();
    let device = match field("device") {
        "" => None,
        name => Some(name.parse::<DeviceName>().ok()?),
    };
    let hours = field("hours").parse().ok().filter(|hours| HOURS.contains(hours))?;
    let uses = field("uses").parse().ok().filter(|uses| (1..=USES_MAX).contains(uses))?;
    Some(LinkRequest { device, expires: hours * 3_600, uses, local: false, install: false })
}

async fn make(State(web): State<Arc<Web>>, posted: Posted<Admin>) -> Result<Response, Problem> {
    let (who, visit) = (&posted.who, &posted.visit);
    let Some(request) = request_of(&posted) else {
        return enrolment_page(&web, visit, who, Some(&EnrolError::TooLong), None).await;
    };
    let public_url = web.live.borrow().public_url.clone();
    let (base, word) = link_base(public_url.as_deref(), web.address, web.tls);
    let subject = request.device.as_ref().map(ToString::to_string).unwrap_or_default();
    let work = web.enrol.link(request, base, web.print, &who.name);
    let link = match audited(&web, who, "join-link", &subject, work).await? {
        Ok(link) => link,
        Err(error) => return enrolment_page(&web, visit, who, Some(&error), None).await,
    };
    let text = link.to_string();
    let picture = access::qr(&text)?;
    let made = MadeLink { install: install_line(&web, &link), link: text, picture, word };
    enrolment_page(&web, visit, who, None, Some(made)).await
}

/// Back to the page, or the page with what was wrong.
async fn back(web: &Web, posted: &Posted<Admin>, done: Result<(), EnrolError>) -> Result<Response, Problem> {
    match done {
        Ok(()) => Ok(Redirect::to("/enrolment").into_response()),
        Err(error) => enrolment_page(web, &posted.visit, &posted.who, Some(&error), None).await,
    }
}

async fn revoke(State(web): State<Arc<Web>>, posted: Posted<Admin>) -> Result<Response, Problem> {
    let hash = posted.fields.get("link");
    let short = hash.get(..12).unwrap_or(hash);
    let done = audited(&web, &posted.who, "join-link.revoke", short, web.enrol.revoke_link(hash)).await?;
    back(&web, &posted, done).await
}

async fn accept(State(web): State<Arc<Web>>, posted: Posted<Admin>) -> Result<Response, Problem> {
    let who = posted.fields.get("who");
    let done = audited(&web, &posted.who, "device.accept", who, web.enrol.accept(who)).await?;
    back(&web, &posted, done).await
}

async fn reject(State(web): State<Arc<Web>>, posted: Posted<Admin>) -> Result<Response, Problem> {
    let who = posted.fields.get("who");
    let done = audited(&web, &posted.who, "device.forget", who, web.enrol.forget(who)).await?;
    web.bells.watchman.ring();
    back(&web, &posted, done).await
}

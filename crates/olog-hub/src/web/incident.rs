//! The page of an incident: its whole story, and what a person does about it. A session opens it, or the link of a notification, which is good for
//! this incident alone. `GET` shows, `POST` does: a messenger that looks at a link for its preview acknowledges nothing.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use olog_push::words::ssh;

use super::{
    Problem, Web,
    lines::{self, IncidentLine, device_address, form_of, task_address},
    page::{self, HtmlPage},
    place::address,
};
use crate::{
    access::{By, Principal},
    apply::{
        explain::{Explained, explain},
        operator::{self, ActionResult, NotAnErrorResult, OperatorAction, SuppressScope},
    },
    rules::{
        access::AccessScope,
        report::page::StateForm,
        silence::{Period, SILENCES_MAX, Scope},
    },
    store::{
        Tx,
        access::audit::{self, Outcome},
        enrolment, fleet,
        incidents::{self, Incident},
        silences::{self, New},
    },
};

pub(super) mod link;
mod several;

use link::{OfIncident, PostedOfIncident};

/// Incidents of the same task that are shown.
const EARLIER: u32 = 10;
/// For how long a person may silence an incident from its page, in hours.
const HOURS: [i64; 4] = [2, 8, 24, 168];
const HOUR_MS: i64 = 3_600_000;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/incidents", get(several::show))
        .route("/incidents/ack", post(several::acknowledge))
        .route("/incidents/{id}", get(show))
        .route("/incidents/{id}/ack", post(acknowledge))
        .route("/incidents/{id}/close", post(close))
        .route("/incidents/{id}/silence", post(silence))
        .route("/incidents/{id}/not-an-error", post(not_an_error))
}

#[derive(Template)]
#[template(path = "web/incident.html")]
struct IncidentPage {
    page: HtmlPage,
    incident: Incident,
    form: StateForm,
    /// Address and name of the device and the task, for who has a session.
    links: Vec<(String, String)>,
    name: String,
    log_in: Option<String>,
    text: String,
    story: Explained,
    earlier: Vec<IncidentLine>,
    hours: Vec<(i64, String)>,
    /// What of a link the forms repeat.
    key: String,
    may_act: bool,
    may_silence: bool,
    is_error: bool,
}

fn unknown(page: &HtmlPage, id: u64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, page.say.text("cli-incident-unknown", &[("n", id.into())]))
}

async fn show(State(web): State<Arc<Web>>, asked: OfIncident) -> Result<Response, Problem> {
    let OfIncident { id, who, visit, key } = asked;
    let has_session = who.by != By::Link;
    let mut page = HtmlPage::new(&web, &visit, has_session.then_some(&who), "web-incident");
    page.is_narrow = false;
    page.updates_by(&web, &visit, &format!("incidents/{id}/stream"), &[("key", if has_session { "" } else { &key })]);
    let (say, rules) = (page.say, web.rules.borrow().clone());
    let read = move |tx: &mut Tx<'_>| {
        let Some((incident, story)) = explain(tx, &rules, say, id)? else { return Ok(None) };
        let task = incidents::task_of(tx, id)?;
        let mut earlier = match task {
            Some(task) if has_session => fleet::of_task(tx, task, EARLIER)?,
            _ => Vec::new(),
        };
        earlier.retain(|earlier| earlier.id != id);
        let device = match &incident.device {
            Some(name) => enrolment::by_joined_name(tx, name)?,
            None => None,
        };
        Ok(Some((incident, story, earlier, device.and_then(|device| device.address))))
    };
    let (incident, story, earlier, log_in) = web.store.read(read).await?.ok_or_else(|| unknown(&page, id))?;
    let name = lines::name_of(&incident);
    let links = match (&incident.device, incident.subject.as_str()) {
        (Some(device), "task" | "lost") => {
            vec![
                (device_address(device), device.clone()),
                (task_address(device, &incident.name), incident.name.clone()),
            ]
        }
        (Some(device), _) => vec![(device_address(device), device.clone())],
        (None, _) => Vec::new(),
    };
    page.title = format!("{name} #{id}");
    let is_open = incident.ended_at.is_none();
    let may_act = is_open && who.scope.allows(AccessScope::Act);
    let hours = HOURS.iter().map(|hours| (*hours, say.duration(hours * HOUR_MS))).collect();
    let shown = IncidentPage {
        form: form_of(&say, &incident),
        links: if has_session { links } else { Vec::new() },
        name,
        log_in: log_in.as_deref().and_then(ssh),
        text: incident.text.clone().unwrap_or_default(),
        earlier: earlier.iter().map(|incident| IncidentLine::new(&say, incident)).collect(),
        hours,
        key: if has_session { String::new() } else { key },
        may_act,
        may_silence: may_act && incident.device.is_some(),
        is_error: may_act && incident.subject == "task",
        story,
        incident,
        page,
    };
    Ok(page::show_live(&shown))
}

/// Back to the page, which shows what it has become.
fn back(posted: &PostedOfIncident) -> Response {
    let path = format!("/incidents/{}", posted.id);
    let place = address(&path, &[("key", posted.fields.get("key"))]);
    Redirect::to(&format!("/{place}")).into_response()
}

/// Does it and writes it down, in one transaction.
pub(super) async fn change(
    web: &Web,
    who: &Principal,
    id: u64,
    name: &'static str,
    action: OperatorAction,
) -> Result<ActionResult, Problem> {
    let (rules, now, entry) = (web.rules.borrow().clone(), web.desk.clock.now(), who.entry(name, id.to_string()));
    let write = move |tx: &mut Tx<'_>| {
        let done = action(tx, &rules, id, now)?;
        if matches!(done, ActionResult::Yes(_)) {
            audit::put(tx, &entry, Outcome::Done, now)?;
        }
        Ok(done)
    };
    let done = web.store.write(write).await?;
    web.bells.outbox.ring();
    web.bells.watchman.ring();
    Ok(done)
}

async fn acknowledge(State(web): State<Arc<Web>>, posted: PostedOfIncident) -> Result<Response, Problem> {
    // What is over already, or was acknowledged by somebody else meanwhile, is shown as it is.
    change(&web, &posted.who, posted.id, "incidents.ack", operator::acknowledge).await?;
    Ok(back(&posted))
}

async fn close(State(web): State<Arc<Web>>, posted: PostedOfIncident) -> Result<Response, Problem> {
    change(&web, &posted.who, posted.id, "incidents.close", operator::close).await?;
    Ok(back(&posted))
}

/// Silences the incident's task, or its device, for some hours.
async fn silence(State(web): State<Arc<Web>>, posted: PostedOfIncident) -> Result<Response, Problem> {
    let (id, now) = (posted.id, web.desk.clock.now());
    let hours = posted.fields.get("hours").parse().ok().filter(|hours| HOURS.contains(hours));
    let hours =
        hours.ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "hours: expected 2, 8, 24 or 168"))?;
    let (entry, made_by) = (posted.who.entry("silence", id.to_string()), posted.who.name.clone());
    let write = move |tx: &mut Tx<'_>| {
        let Some(Incident { device: Some(device), subject, name, .. }) = incidents::get(tx, id)? else {
            return Ok(true);
        };
        if silences::count(tx, now)? >= SILENCES_MAX {
            return Ok(false);
        }
        let task = matches!(subject.as_str(), "task" | "lost").then_some(name);
        let new = New {
            scope: Scope::of(&device, task.as_deref()),
            period: Period { from: now, until: Some(now.plus(hours * HOUR_MS)) },
            every: None,
            comment: format!("#{id}"),
            made_by: made_by.clone(),
        };
        operator::silence(tx, &new, now)?;
        audit::put(tx, &entry, Outcome::Done, now)?;
        Ok(true)
    };
    made(&web, posted, web.store.write(write).await?)
}

async fn not_an_error(State(web): State<Arc<Web>>, posted: PostedOfIncident) -> Result<Response, Problem> {
    let (id, now, rules) = (posted.id, web.desk.clock.now(), web.rules.borrow().clone());
    let (entry, made_by) = (posted.who.entry("incident.not-an-error", id.to_string()), posted.who.name.clone());
    let write = move |tx: &mut Tx<'_>| {
        let found = operator::not_an_error(tx, id, None, SuppressScope::Task, &made_by, now)?;
        let NotAnErrorResult::These(new) = found else { return Ok(true) };
        if silences::count(tx, now)? + new.len() as u64 > SILENCES_MAX {
            return Ok(false);
        }
        for new in &new {
            operator::silence(tx, new, now)?;
        }
        operator::end_as_no_error(tx, &rules, id, now)?;
        audit::put(tx, &entry, Outcome::Done, now)?;
        Ok(true)
    };
    made(&web, posted, web.store.write(write).await?)
}

/// After silences were made, or there was no room for them.
fn made(web: &Web, posted: PostedOfIncident, has_room: bool) -> Result<Response, Problem> {
    web.bells.outbox.ring();
    web.bells.watchman.ring();
    if has_room {
        return Ok(back(&posted));
    }
    Err(Problem::new(StatusCode::CONFLICT, crate::rules::silence::Refused::TooMany.to_string()))
}

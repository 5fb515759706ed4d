//! The page of the incidents of one message: what each is now, and one button that acknowledges all that are open. The link of a merged message opens
//! it; the link is good for exactly these incidents and as long as the message's link says. `GET` shows, `POST` does.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};

use super::link::{OfSeveral, PostedOfSeveral};
use crate::{
    access::By,
    apply::operator::{self, ActionResult},
    rules::access::AccessScope,
    store::{
        Tx,
        access::audit::{self, Outcome},
        incidents,
    },
    web::{
        Problem, Web,
        lines::IncidentLine,
        page::{self, HtmlPage},
        place::address,
    },
};

#[derive(Template)]
#[template(path = "web/several.html")]
struct SeveralPage {
    page: HtmlPage,
    /// Each with the address of its own page.
    incidents: Vec<(String, IncidentLine)>,
    text: String,
    key: String,
    may_act: bool,
}

pub(super) async fn show(State(web): State<Arc<Web>>, asked: OfSeveral) -> Result<Response, Problem> {
    let OfSeveral { numbers, text, who, visit, key } = asked;
    let has_session = who.by != By::Link;
    let mut page = HtmlPage::new(&web, &visit, has_session.then_some(&who), "web-incidents");
    page.is_narrow = false;
    let read = move |tx: &mut Tx<'_>| {
        numbers.iter().filter_map(|id| incidents::get(tx, *id).transpose()).collect::<Result<Vec<_>, _>>()
    };
    let found = web.store.read(read).await?;
    let rules = web.rules.borrow().clone();
    let address_of = |id: u64| {
        // The page of one of them, no longer than this link opens.
        let narrowed = rules.links.as_ref().filter(|_| !has_session).map(|links| links.narrowed(&key, id));
        address(&format!("/incidents/{id}"), &[("key", &narrowed.unwrap_or_default())])
    };
    let is_any_left = found.iter().any(|incident| incident.ended_at.is_none() && incident.acknowledged_at.is_none());
    let shown = SeveralPage {
        incidents: found.iter().map(|found| (address_of(found.id), IncidentLine::new(&page.say, found))).collect(),
        may_act: is_any_left && who.scope.allows(AccessScope::Act),
        text,
        key: if has_session { String::new() } else { key },
        page,
    };
    Ok(page::show(StatusCode::OK, &shown))
}

pub(super) async fn acknowledge(State(web): State<Arc<Web>>, posted: PostedOfSeveral) -> Result<Response, Problem> {
    let (rules, now) = (web.rules.borrow().clone(), web.desk.clock.now());
    let PostedOfSeveral { numbers, who, fields } = posted;
    let write = move |tx: &mut Tx<'_>| {
        for id in &numbers {
            // What is over, or was acknowledged meanwhile, is shown as it is.
            let is_left = incidents::get(tx, *id)?.is_some_and(|incident| incident.acknowledged_at.is_none());
            if is_left && let ActionResult::Yes(_) = operator::acknowledge(tx, &rules, *id, now)? {
                audit::put(tx, &who.entry("incidents.ack", id.to_string()), Outcome::Done, now)?;
            }
        }
        Ok(())
    };
    web.store.write(write).await?;
    web.bells.outbox.ring();
    web.bells.watchman.ring();
    let place = address("/incidents", &[("n", fields.get("n")), ("key", fields.get("key"))]);
    Ok(Redirect::to(&format!("/{place}")).into_response())
}

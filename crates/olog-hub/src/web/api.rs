//! `/api/v1` as JSON, in pages by key: what is there, and what a person does about incidents. The rows are those that the verbs print with
//! `--json` (`rows`).
//!
//! A page has at most `limit` rows. The next one is asked for by the last row's key (`after`, `before`), so rows that come in between are
//! neither skipped nor shown twice.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{
        Path, Query, State,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use utoipa::{
    OpenApi as _,
    openapi::security::{Http, HttpAuthScheme, SecurityScheme},
};

use super::{
    Act, Admin, Granted, Problem, Read, Web,
    administration::channels::change as change_channel,
    described::{Mistake, ProblemBody, Unfit},
    history::{EventQuery, silences as silences_page},
    incident,
    rows::{ChannelRow, MessageRow, ReportRow, TaskListRow, with_sessions},
    stream,
};
use crate::{
    apply::{
        explain::{Explained, explain},
        operator::{self, ActionResult, AddSilence, OperatorAction},
    },
    net::packages::newest,
    store::{
        Tx,
        access::audit::{self, Outcome},
        access::tokens::Token,
        enrolment::{ListedDevice, ListedLink},
        history::{self, EventRow},
        incidents::{self, Incident},
        reports,
        silences::{self, ListedSilence},
    },
};

/// Rows of a page, at most and unless asked for otherwise.
const LIMIT_MAX: u32 = 1_000;
const LIMIT: u32 = 100;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/api/v1/devices", get(devices))
        .route("/api/v1/tasks", get(tasks))
        .route("/api/v1/incidents", get(incidents))
        .route("/api/v1/incidents/{id}", get(one_incident))
        .route("/api/v1/incidents/{id}/ack", post(acknowledge))
        .route("/api/v1/incidents/{id}/close", post(close))
        .route("/api/v1/incidents/{id}/story", get(story))
        .route("/api/v1/events", get(events))
        .route("/api/v1/silences", get(silences).post(add_silence))
        .route("/api/v1/silences/{id}/end", post(end_silence))
        .route("/api/v1/reports", get(reports))
        .route("/api/v1/channels", get(channels))
        .route("/api/v1/channels/{name}/messages", get(messages))
        .route("/api/v1/channels/{name}/test", post(test_channel))
        .route("/api/v1/channels/{name}/rearm", post(rearm_channel))
        .route("/api/v1/links", get(links))
        .route("/api/v1/tokens", get(tokens))
        .route("/api/v1/stream", get(stream::changes))
        .route("/api/openapi.json", get(openapi))
}

/// The description of these addresses in OpenAPI's form, from the handlers and the rows themselves.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Olog", description = "Instants are milliseconds since 1970, UTC. Errors are application/problem+json."),
    paths(
        devices, tasks, incidents, one_incident, acknowledge, close, story, events, silences, add_silence, end_silence, reports, channels, messages,
        test_channel, rearm_channel, links, tokens, stream::changes
    ),
    components(schemas(ProblemBody)),
    security(("token" = [])),
    modifiers(&Bearer)
)]
struct Description;

/// Who asks shows a token, or has a session of the pages.
struct Bearer;

impl utoipa::Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        description.components.get_or_insert_default().add_security_scheme("token", bearer);
    }
}

/// What there is to ask.
async fn openapi(_caller: Granted<Read>) -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

type ApiAnswer<T> = Result<Json<T>, Problem>;

fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(LIMIT) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(Problem::new(StatusCode::BAD_REQUEST, format!("limit: expected 1 to {LIMIT_MAX}"))),
    }
}

type Asked<T> = Result<Query<T>, QueryRejection>;

fn asked<T>(query: Asked<T>) -> Result<T, Problem> {
    query.map(|Query(query)| query).map_err(|error| Problem::new(error.status(), error.body_text()))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct DevicesAsked {
    #[serde(default)]
    pending: bool,
    #[serde(default)]
    after: String,
    limit: Option<u32>,
}

/// Devices that have joined, by name; with `pending` those that wait.
#[utoipa::path(get, path = "/api/v1/devices", params(DevicesAsked), responses((status = 200, body = Vec<ListedDevice>), Mistake))]
async fn devices(
    _caller: Granted<Read>,
    State(web): State<Arc<Web>>,
    query: Asked<DevicesAsked>,
) -> ApiAnswer<Vec<ListedDevice>> {
    let DevicesAsked { pending, after, limit: n } = asked(query)?;
    let n = usize::try_from(limit(n)?).unwrap_or(usize::MAX);
    let mut devices = web.enrol.list(pending).await?;
    devices.retain(|device| device.name > after);
    devices.truncate(n);
    with_sessions(&mut devices, &web.desk.sessions, newest(&web.packages.list()).as_ref());
    Ok(Json(devices))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct TasksAsked {
    #[serde(default)]
    after_device: String,
    #[serde(default)]
    after_task: String,
    limit: Option<u32>,
}

/// Tasks, by device and name.
#[utoipa::path(get, path = "/api/v1/tasks", params(TasksAsked), responses((status = 200, body = Vec<TaskListRow>), Mistake))]
async fn tasks(
    _caller: Granted<Read>,
    State(web): State<Arc<Web>>,
    query: Asked<TasksAsked>,
) -> ApiAnswer<Vec<TaskListRow>> {
    let TasksAsked { after_device, after_task, limit: n } = asked(query)?;
    let (n, rules) = (limit(n)?, web.rules.borrow().clone());
    let read = move |tx: &mut Tx<'_>| TaskListRow::page(tx, &rules, (&after_device, &after_task), n);
    Ok(Json(web.store.read(read).await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct IncidentsAsked {
    #[serde(default)]
    all: bool,
    before: Option<u64>,
    limit: Option<u32>,
}

/// Open incidents, the newest first; with `all` those that are over, too.
#[utoipa::path(get, path = "/api/v1/incidents", params(IncidentsAsked), responses((status = 200, body = Vec<Incident>), Mistake))]
async fn incidents(
    _caller: Granted<Read>,
    State(web): State<Arc<Web>>,
    query: Asked<IncidentsAsked>,
) -> ApiAnswer<Vec<Incident>> {
    let IncidentsAsked { all, before, limit: n } = asked(query)?;
    let n = limit(n)?;
    Ok(Json(web.store.read(move |tx| incidents::list(tx, all, before.unwrap_or(u64::MAX), n)).await?))
}

type Number = Result<Path<u64>, PathRejection>;

fn number(path: Number) -> Result<u64, Problem> {
    path.map(|Path(id)| id).map_err(|error| Problem::new(error.status(), error.body_text()))
}

fn no_incident(id: u64) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("there is no incident #{id}"))
}

/// One incident.
#[utoipa::path(get, path = "/api/v1/incidents/{id}", params(("id" = u64, Path, description = "its number")), responses((status = 200, body = Incident), Mistake))]
async fn one_incident(_caller: Granted<Read>, State(web): State<Arc<Web>>, id: Number) -> ApiAnswer<Incident> {
    let id = number(id)?;
    web.store.read(move |tx| incidents::get(tx, id)).await?.map(Json).ok_or_else(|| no_incident(id))
}

/// What is known of an incident, with every notification and the services' answers.
#[utoipa::path(get, path = "/api/v1/incidents/{id}/story", params(("id" = u64, Path, description = "its number")), responses((status = 200, body = Explained), Mistake))]
async fn story(_caller: Granted<Read>, State(web): State<Arc<Web>>, id: Number) -> ApiAnswer<Explained> {
    let (id, rules) = (number(id)?, web.rules.borrow().clone());
    let say = rules.localizer(web.desk.clock.now());
    let found = web.store.read(move |tx| explain(tx, &rules, say, id)).await?;
    found.map(|(_, story)| Json(story)).ok_or_else(|| no_incident(id))
}

/// Acknowledges an incident: no reminders until its end.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/ack", params(("id" = u64, Path, description = "its number")), responses((status = 200, body = Incident), Mistake))]
async fn acknowledge(caller: Granted<Act>, State(web): State<Arc<Web>>, id: Number) -> ApiAnswer<Incident> {
    change(caller, &web, number(id)?, "incidents.ack", operator::acknowledge).await
}

/// Closes an incident: it is over because a person says so.
#[utoipa::path(post, path = "/api/v1/incidents/{id}/close", params(("id" = u64, Path, description = "its number")), responses((status = 200, body = Incident), Mistake))]
async fn close(caller: Granted<Act>, State(web): State<Arc<Web>>, id: Number) -> ApiAnswer<Incident> {
    change(caller, &web, number(id)?, "incidents.close", operator::close).await
}

/// Changes an incident.
async fn change(
    caller: Granted<Act>,
    web: &Web,
    id: u64,
    name: &'static str,
    action: OperatorAction,
) -> ApiAnswer<Incident> {
    match incident::change(web, &caller.who, id, name, action).await? {
        ActionResult::Yes(incident) => Ok(Json(*incident)),
        ActionResult::Unknown => Err(no_incident(id)),
        ActionResult::Over => Err(Problem::new(StatusCode::CONFLICT, format!("incident #{id} is over already"))),
    }
}

/// Events, the newest first. A page may have fewer rows than asked for, also none, and still a next one: the `Link` header (RFC 8288) says so.
#[utoipa::path(get, path = "/api/v1/events", params(EventQuery), responses((status = 200, body = Vec<EventRow>), Mistake))]
async fn events(
    _caller: Granted<Read>,
    State(web): State<Arc<Web>>,
    query: Asked<EventQuery>,
) -> Result<Response, Problem> {
    let query = asked(query)?;
    let (filter, n) = (query.filter(web.live.borrow().timezone)?, limit(query.limit)?);
    let found = web.store.read(move |tx| history::page(tx, &filter, n)).await?;
    let next = found.next.map(|before| format!("</{}>; rel=\"next\"", query.next("/api/v1/events", &before)));
    let next = next.and_then(|link| HeaderValue::from_str(&link).ok());
    let mut response = Json(found.rows).into_response();
    response.headers_mut().extend(next.map(|next| (header::LINK, next)));
    Ok(response)
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    #[serde(default)]
    all: bool,
    limit: Option<u32>,
}

/// Silences that hold or will hold; with `all` those that are over, too.
#[utoipa::path(get, path = "/api/v1/silences", params(ListQuery), responses((status = 200, body = Vec<ListedSilence>), Mistake))]
async fn silences(
    _caller: Granted<Read>,
    State(web): State<Arc<Web>>,
    query: Asked<ListQuery>,
) -> ApiAnswer<Vec<ListedSilence>> {
    let ListQuery { all, limit: n } = asked(query)?;
    let (n, now) = (limit(n)?, web.desk.clock.now());
    Ok(Json(web.store.read(move |tx| silences::list(tx, all, now, n)).await?))
}

/// Makes a silence: for a time, or in windows that come again.
#[utoipa::path(post, path = "/api/v1/silences", request_body = AddSilence, responses((status = 200, body = ListedSilence), Unfit, Mistake))]
async fn add_silence(
    caller: Granted<Act>,
    State(web): State<Arc<Web>>,
    body: Result<Json<AddSilence>, JsonRejection>,
) -> ApiAnswer<ListedSilence> {
    let Json(request) = body.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let made = silences_page::make(&web, &caller.who, request).await?;
    made.map(Json).map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why.to_string()))
}

/// Ends a silence.
#[utoipa::path(post, path = "/api/v1/silences/{id}/end", params(("id" = u64, Path, description = "its number")), responses((status = 200, body = ListedSilence), Mistake))]
async fn end_silence(caller: Granted<Act>, State(web): State<Arc<Web>>, id: Number) -> ApiAnswer<ListedSilence> {
    let (id, now) = (number(id)?, web.desk.clock.now());
    let entry = caller.who.entry("silence.end", id.to_string());
    let write = move |tx: &mut Tx<'_>| {
        let was_kept = operator::end_silence(tx, id, now)?;
        if was_kept {
            audit::put(tx, &entry, Outcome::Done, now)?;
        }
        Ok((was_kept, silences::get(tx, id, now)?))
    };
    let (was_kept, listed) = web.store.write(write).await?;
    web.bells.watchman.ring();
    match listed {
        Some(listed) if was_kept => Ok(Json(listed)),
        Some(_) => Err(Problem::new(StatusCode::CONFLICT, format!("silence {id} is over already"))),
        None => Err(Problem::new(StatusCode::NOT_FOUND, format!("there is no silence {id}"))),
    }
}

/// Reports, the latest first.
#[utoipa::path(get, path = "/api/v1/reports", params(ListQuery), responses((status = 200, body = Vec<ReportRow>), Mistake))]
async fn reports(
    _caller: Granted<Read>,
    State(web): State<Arc<Web>>,
    query: Asked<ListQuery>,
) -> ApiAnswer<Vec<ReportRow>> {
    let n = limit(asked(query)?.limit)?;
    let made = web.store.read(move |tx| reports::list(tx, n)).await?;
    Ok(Json(made.into_iter().map(ReportRow::from).collect()))
}

/// Channels, with their health and budget.
#[utoipa::path(get, path = "/api/v1/channels", responses((status = 200, body = Vec<ChannelRow>), Mistake))]
async fn channels(_caller: Granted<Read>, State(web): State<Arc<Web>>) -> ApiAnswer<Vec<ChannelRow>> {
    let (live, now) = (web.live.borrow().clone(), web.desk.clock.now());
    Ok(Json(web.store.read(move |tx| ChannelRow::list(tx, &live, now)).await?))
}

type Name = Result<Path<String>, PathRejection>;

fn named(path: Name) -> Result<String, Problem> {
    path.map(|Path(name)| name).map_err(|error| Problem::new(error.status(), error.body_text()))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct MessagesAsked {
    before: Option<i64>,
    limit: Option<u32>,
}

/// What went through a channel, the latest first, with the service's answers.
#[utoipa::path(get, path = "/api/v1/channels/{name}/messages", params(("name" = String, Path, description = "its name"), MessagesAsked), responses((status = 200, body = Vec<MessageRow>), Mistake))]
async fn messages(
    _caller: Granted<Read>,
    State(web): State<Arc<Web>>,
    name: Name,
    query: Asked<MessagesAsked>,
) -> ApiAnswer<Vec<MessageRow>> {
    let MessagesAsked { before, limit: n } = asked(query)?;
    let (name, n) = (named(name)?, limit(n)?);
    Ok(Json(web.store.read(move |tx| MessageRow::latest(tx, &name, before.unwrap_or(i64::MAX), n)).await?))
}

/// Sends a test through a channel. What the service answers is in its messages.
#[utoipa::path(post, path = "/api/v1/channels/{name}/test", params(("name" = String, Path, description = "its name")), responses((status = 204, description = "It waits to be sent."), Mistake))]
async fn test_channel(caller: Granted<Admin>, State(web): State<Arc<Web>>, name: Name) -> Result<StatusCode, Problem> {
    change_channel(&web, &caller.who, &named(name)?, "channel.test", operator::test_channel).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Retries a paused channel and refused receivers now, and resets its daily budget.
#[utoipa::path(post, path = "/api/v1/channels/{name}/rearm", params(("name" = String, Path, description = "its name")), responses((status = 204, description = "It is done."), Mistake))]
async fn rearm_channel(caller: Granted<Admin>, State(web): State<Arc<Web>>, name: Name) -> Result<StatusCode, Problem> {
    change_channel(&web, &caller.who, &named(name)?, "channel.rearm", operator::rearm_channel).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Join links by the hash of their secret, the latest first, with the devices that joined by them.
#[utoipa::path(get, path = "/api/v1/links", responses((status = 200, body = Vec<ListedLink>), Mistake))]
async fn links(_caller: Granted<Admin>, State(web): State<Arc<Web>>) -> ApiAnswer<Vec<ListedLink>> {
    Ok(Json(web.enrol.links().await?))
}

/// Tokens by name and scope; their secrets are stored nowhere.
#[utoipa::path(get, path = "/api/v1/tokens", responses((status = 200, body = Vec<Token>), Mistake))]
async fn tokens(_caller: Granted<Admin>, State(web): State<Arc<Web>>) -> ApiAnswer<Vec<Token>> {
    Ok(Json(web.access.tokens().await?))
}

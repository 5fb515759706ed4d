//! The pages of a device and of a task: state and why, the last days, what is open, and what came last.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use olog_proto::Timestamp;
use olog_push::words::{Localizer, literal, ssh};
use serde::Deserialize;

use super::{
    Problem, Web,
    guard::{Act, Granted, Posted, Read, Visit},
    history::runs::RunsPlot,
    lines::{EventLine, IncidentLine, device_address, task_address},
    page::{self, HtmlPage},
    place::address,
    rows::with_sessions,
};
use crate::{
    apply::{self, LivePolicy, expectation::expectation, operator},
    net::packages::newest,
    rules::{
        access::AccessScope,
        expect::ExpectationStatus,
        report::page::{StateForm, form, picture},
        state::{self, DAYS, DAYS_LONG, State as Word, day_of},
    },
    store::{
        Tx,
        access::audit::{self, Outcome},
        devices::DeviceId,
        enrolment::{self, ListedDevice},
        fleet,
        history::{self, EventFilter},
        reports,
        tasks::{self, ListedTask},
    },
};

/// Tasks of a device, and the incidents and events, that are shown.
const TASKS: u32 = 1_000;
const INCIDENTS: u32 = 20;
const EVENTS: u32 = 20;
/// Runs that are drawn.
const RUNS: u32 = 60;

pub(super) fn routes() -> Router<Arc<Web>> {
    Router::new().route("/device", get(device)).route("/task", get(task)).route("/task/expect", post(expect))
}

/// A task in the list of its device, or on its own page.
struct TaskLine {
    form: StateForm,
    name: String,
    address: String,
    strip: String,
    meta: Vec<String>,
    word: Word,
}

impl TaskLine {
    /// With a strip of so many days.
    fn new<const N: usize>(say: &Localizer, rules: &LivePolicy, listed: &ListedTask) -> TaskLine {
        let (task, facts) = (&listed.task, &listed.task.facts);
        let known = apply::known_of(rules, &listed.device_name, listed.joined_at, task);
        let time = |key: &str, at: Timestamp| say.text(key, &[("time", say.time(at).into())]);
        let (due_at, missed) = match task.expect.standing(&known, &rules.expect) {
            ExpectationStatus::Free | ExpectationStatus::Off => (None, None),
            ExpectationStatus::Waiting(due) | ExpectationStatus::InTime(due) => (Some(due.at), None),
            ExpectationStatus::Lost(missed) => (Some(missed.due_at), Some(missed)),
        };
        let word = state::of_task(facts.state() == Word::Err, missed.is_some());
        let mut meta = Vec::new();
        let due = if missed.is_some() { "report-due" } else { "page-next" };
        meta.extend(due_at.map(|at| time(due, at)));
        meta.extend(task.expect.running_since().map(|at| time("web-running", at)));
        meta.extend(facts.last_good_at().map(|at| time("report-last-good", at)));
        meta.extend(facts.last_error_at().map(|at| time("page-last-error", at)));
        TaskLine {
            form: form(say, word, true),
            name: task.name.to_string(),
            address: task_address(&listed.device_name, task.name.as_str()),
            strip: picture(say, &facts.strip::<N>(missed.map(|missed| missed.due_at), say.now, &rules.policy)),
            meta,
            word,
        }
    }
}

#[derive(Template)]
#[template(path = "web/device.html")]
struct DevicePage {
    page: HtmlPage,
    form: StateForm,
    strip: String,
    log_in: Option<String>,
    facts: Vec<String>,
    tasks: Vec<TaskLine>,
    open: Vec<IncidentLine>,
    events: Vec<EventLine>,
    more: String,
    /// The form that silences it.
    silence: String,
    may_act: bool,
}

#[derive(Debug, Deserialize)]
struct DeviceQuery {
    name: String,
}

fn unknown(page: &HtmlPage) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, page.t("web-unknown-device"))
}

async fn device(
    State(web): State<Arc<Web>>,
    caller: Granted<Read>,
    visit: Visit,
    query: Result<Query<DeviceQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let mut page = HtmlPage::new(&web, &visit, Some(&caller.who), "web-devices");
    let Query(DeviceQuery { name }) = query.map_err(|_| unknown(&page))?;
    page.updates_by(&web, &visit, "api/v1/stream", &[("device", &name)]);
    let asked = name.clone();
    let filter = EventFilter { device: Some(name.clone()), ..EventFilter::default() };
    let read = move |tx: &mut Tx<'_>| {
        let Some(device) = enrolment::by_joined_name(tx, &asked)? else { return Ok(None) };
        let days = reports::days(tx, device.id)?;
        let is_away = fleet::is_away(tx, DeviceId(device.id))?;
        let tasks = tasks::list(tx, Some(&asked), ("", ""), TASKS)?;
        let open = fleet::open_of(tx, &asked, INCIDENTS)?;
        Ok(Some((device, days, is_away, tasks, open, history::page(tx, &filter, EVENTS)?)))
    };
    let (mut row, mut days, is_away, listed, open, events) =
        web.store.read(read).await?.ok_or_else(|| unknown(&page))?;
    let (say, rules) = (page.say, web.rules.borrow().clone());
    let newest = newest(&web.packages.list());
    with_sessions(std::slice::from_mut(&mut row), &web.desk.sessions, newest.as_ref());
    let heard_at = row.heard_at;
    let today = day_of(say.now, rules.policy.zone);
    if let Some(heard) = heard_at {
        days.mark(day_of(heard.min(say.now), rules.policy.zone), Word::Ok);
    }
    let away = if is_away { Word::Lost } else { Word::Ok };
    let mut tasks: Vec<TaskLine> = listed.iter().map(|listed| TaskLine::new::<DAYS>(&say, &rules, listed)).collect();
    tasks.sort_by_key(|task| std::cmp::Reverse(task.word));
    let word = state::of_device(is_away, tasks.iter().map(|task| task.word));
    page.title.clone_from(&row.name);
    let shown = DevicePage {
        form: form(&say, word, false),
        strip: picture(&say, &days.cells::<DAYS_LONG>(today, away, false)),
        log_in: row.address.as_deref().and_then(ssh),
        facts: facts(&say, &row, heard_at),
        tasks,
        open: open.iter().map(|incident| IncidentLine::new(&say, incident)).collect(),
        events: events.rows.iter().map(|event| EventLine::new(&say, event)).collect(),
        more: address("/events", &[("device", &row.name)]),
        silence: address("/silences", &[("device", &literal(&row.name))]),
        may_act: caller.who.scope.allows(AccessScope::Act),
        page,
    };
    Ok(page::show_live(&shown))
}

fn facts(say: &Localizer, row: &ListedDevice, heard_at: Option<Timestamp>) -> Vec<String> {
    let mut facts = Vec::new();
    facts.extend(row.address.clone().filter(|address| ssh(address).is_none()));
    facts.extend(heard_at.map(|at| say.text("page-heard", &[("time", say.time(at).into())])));
    match &row.version {
        _ if row.legacy => facts.push(say.word("page-legacy")),
        Some(version) => facts.push(match &row.newer {
            Some(newer) => say
                .text("web-version-behind", &[("version", version.as_str().into()), ("newer", newer.as_str().into())]),
            None => version.clone(),
        }),
        None => {}
    }
    facts.extend(row.peer.clone());
    facts.extend(row.connected.then(|| say.word("web-connected")));
    facts.extend(row.skew.filter(|skew| skew.abs() <= 5_000).map(|_| say.word("web-clock-good")));
    facts.extend(row.skew.filter(|skew| skew.abs() > 5_000).map(|skew| {
        let key = if skew > 0 { "page-clock-ahead" } else { "page-clock-behind" };
        say.text(key, &[("name", row.name.as_str().into()), ("span", say.duration(skew.saturating_abs()).into())])
    }));
    facts
}

#[derive(Template)]
#[template(path = "web/task.html")]
struct TaskPage {
    page: HtmlPage,
    device: (String, String),
    line: TaskLine,
    expectation: String,
    /// What a person may say of it: expect it, expect nothing.
    may_expect: bool,
    may_decline: bool,
    runs: Option<RunsPlot>,
    incidents: Vec<IncidentLine>,
    events: Vec<EventLine>,
    more: String,
    /// The form that silences it.
    silence: String,
    may_act: bool,
}

#[derive(Debug, Deserialize)]
struct TaskQuery {
    device: String,
    name: String,
}

async fn task(
    State(web): State<Arc<Web>>,
    caller: Granted<Read>,
    visit: Visit,
    query: Result<Query<TaskQuery>, QueryRejection>,
) -> Result<Response, Problem> {
    let mut page = HtmlPage::new(&web, &visit, Some(&caller.who), "page-tasks");
    let unknown = |page: &HtmlPage| Problem::new(StatusCode::NOT_FOUND, page.t("web-unknown-task"));
    let Query(TaskQuery { device, name }) = query.map_err(|_| unknown(&page))?;
    page.updates_by(&web, &visit, "api/v1/stream", &[("device", &device), ("task", &name)]);
    let read = move |tx: &mut Tx<'_>| {
        let Some(listed) = tasks::get(tx, &device, &name)? else { return Ok(None) };
        let incidents = match listed.task.id {
            Some(id) => fleet::of_task(tx, id, INCIDENTS)?,
            None => Vec::new(),
        };
        let filter = EventFilter {
            device: Some(listed.device_name.clone()),
            task: Some(listed.task.name.to_string()),
            ..EventFilter::default()
        };
        let events = history::page(tx, &filter, EVENTS)?;
        let ended = EventFilter { kind: Some("run_ended".to_owned()), ..filter };
        let runs = history::page(tx, &ended, RUNS)?;
        Ok(Some((listed, incidents, events, runs)))
    };
    let (listed, incidents, events, runs) = web.store.read(read).await?.ok_or_else(|| unknown(&page))?;
    let (say, rules) = (page.say, web.rules.borrow().clone());
    let line = TaskLine::new::<DAYS_LONG>(&say, &rules, &listed);
    let expect = &listed.task.expect;
    let known = apply::known_of(&rules, &listed.device_name, listed.joined_at, &listed.task);
    let standing = expect.standing(&known, &rules.expect);
    let is_off = standing == ExpectationStatus::Off;
    let is_proposed = expect.proposal(&known, &rules.expect).is_some();
    let is_found = is_proposed || expect.watched().is_some() || expect.read().is_some();
    let may_say = caller.who.scope.allows(AccessScope::Act) && known.plan.is_none();
    let expectation = expectation(&say, &rules, &listed, standing);
    page.title.clone_from(&line.name);
    let device = listed.device_name;
    let shown = TaskPage {
        incidents: incidents.iter().map(|incident| IncidentLine::new(&say, incident)).collect(),
        events: events.rows.iter().map(|event| EventLine::new(&say, event)).collect(),
        more: address("/events", &[("device", &device), ("task", &line.name)]),
        silence: address("/silences", &[("device", &literal(&device)), ("task", &literal(&line.name))]),
        may_act: caller.who.scope.allows(AccessScope::Act),
        device: (device_address(&device), device),
        expectation,
        may_expect: may_say && (is_off || is_proposed),
        may_decline: may_say && !is_off && is_found,
        runs: RunsPlot::new(&say, &runs.rows),
        line,
        page,
    };
    Ok(page::show_live(&shown))
}

/// A person says whether a task is expected: "yes" accepts what was learnt or read, "no" declines it.
async fn expect(State(web): State<Arc<Web>>, posted: Posted<Act>) -> Result<Response, Problem> {
    let (rules, now) = (web.rules.borrow().clone(), web.desk.clock.now());
    let field = |name| posted.fields.get(name).to_owned();
    let (device, task) = (field("device"), field("name"));
    let is_expected = match posted.fields.get("expected") {
        "on" => true,
        "off" => false,
        _ => return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "expected: on or off")),
    };
    let mut entry = posted.who.entry("task.expect", format!("{device}/{task}"));
    entry.detail = if is_expected { "on" } else { "off" }.to_owned();
    let place = task_address(&device, &task);
    let write = move |tx: &mut Tx<'_>| {
        let is_there = operator::expect(tx, &rules, &device, &task, is_expected, now)?;
        if is_there {
            audit::put(tx, &entry, Outcome::Done, now)?;
        }
        Ok(is_there)
    };
    if !web.store.write(write).await? {
        let page = HtmlPage::new(&web, &posted.visit, Some(&posted.who), "page-tasks");
        return Err(Problem::new(StatusCode::NOT_FOUND, page.t("web-unknown-task")));
    }
    web.bells.outbox.ring();
    web.bells.watchman.ring();
    Ok(Redirect::to(&format!("/{place}")).into_response())
}

//! Reads a report's facts from the store, one page of devices after the other, in one snapshot.
//!
//! Decides nothing about states. A task whose open errors a person has called "not an error" is shown as OK.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use olog_proto::Timestamp;
use olog_proto::fingerprint::{FingerprintText, fingerprints};
use olog_push::notice::{ClosedIncident, ProblemKind};
use olog_push::{Reopened, ResolvedBy, words};

use crate::apply::{self, LivePolicy};
use crate::net::sessions::SessionHandle;
use crate::rules::budget::Budget;
use crate::rules::expect::{ExpectationStatus, Learnt, ProposedSchedule, ReadSchedule};
use crate::rules::quota::{DeviceLimits, Limit};
use crate::rules::report::{
    AffairRow, BeyondLimit, Builder, ChannelHealth, DeviceRow, Disk, Health, NAMES, OpenRow, Proposal, Report, TaskRow,
    Window,
};
use crate::rules::silence::{self, About, Silence};
use crate::rules::state::{self, State, day_of};
use crate::store::devices::{self, DeviceId, LEGACY_VERSION};
use crate::store::reports::{self, Affair, DeviceFacts, FirstMention, TaskOf};
use crate::store::{StoreError, Tx, outbox};

/// Devices that are read at once.
const PAGE: u32 = 200;
/// A daily task is due at least so long after its last run.
const NEARLY_A_DAY: i64 = 20 * 3_600_000;
/// Open affairs, and ends, that are read.
const AFFAIRS: u32 = 200;
/// Disks that are read.
const DISKS: u32 = 20;

/// What the report needs beside the store.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) rules: Arc<LivePolicy>,
    pub(super) seats: HashMap<i64, Arc<SessionHandle>>,
    pub(super) next_at: Option<Timestamp>,
    pub(super) hub: String,
    pub(super) keep_days: u32,
    pub(super) limits: DeviceLimits,
    /// Devices of the configuration.
    pub(super) declared: Vec<String>,
    /// Errors that a person said are none.
    pub(super) no_errors: Vec<Silence>,
}

/// What a report has seen, and what it makes known.
#[derive(Debug, Clone)]
pub(super) struct Gathered {
    /// What it names for the first time, in the order of the devices' rows.
    pub(super) new: Vec<FirstMention>,
    /// Tasks whose habits it proposes.
    pub(super) proposed: Vec<(DeviceId, String)>,
}

/// The report of a window, and what it has seen.
pub(super) fn gather(
    tx: &mut Tx<'_>,
    around: &Around,
    window: Window,
    now: Timestamp,
) -> Result<(Report, Gathered), StoreError> {
    let mut seen = Gathered { new: Vec::new(), proposed: Vec::new() };
    let told_at = reports::last_made(tx)?.unwrap_or(Timestamp(i64::MIN));
    let mut builder = Builder::new(window, now);
    let (mut after, mut proposals_left) = (String::new(), NAMES);
    let mut absent: BTreeSet<&str> = around.declared.iter().map(String::as_str).collect();
    loop {
        let devices = reports::devices(tx, &after, PAGE, told_at)?;
        let is_last = devices.len() < PAGE as usize;
        if let Some(last) = devices.last() {
            after.clone_from(&last.name);
        }
        for device in devices {
            absent.remove(device.name.as_str());
            let id = DeviceId(device.id);
            let new_tasks = device.tasks.iter().filter(|task| !task.is_known).filter_map(|task| task.task.id);
            seen.new.extend((!device.is_known).then_some((id, None)));
            seen.new.extend(new_tasks.map(|task| (id, Some(task))));
            let row = row(around, device, window, now, &mut proposals_left);
            let proposed = row.tasks.iter().filter(|task| task.proposal.is_some()).map(|task| (id, task.name.clone()));
            seen.proposed.extend(proposed);
            builder.device(row);
        }
        if is_last {
            break;
        }
    }
    for name in absent {
        builder.never_joined(name);
    }
    for affair in reports::open_affairs(tx, AFFAIRS)? {
        if let Some(row) = open(affair) {
            builder.affair(row);
        }
    }
    let (ended, n_ended) = reports::ended(tx, window.from, now, AFFAIRS)?;
    ended.into_iter().for_each(|affair| builder.ended(over(affair)));
    builder.n_ended(n_ended);
    let health = health(tx, around, window, now)?;
    seen.new.sort_unstable();
    Ok((builder.finish(health), seen))
}

fn row(around: &Around, device: DeviceFacts, window: Window, now: Timestamp, proposals_left: &mut usize) -> DeviceRow {
    let policy = &around.rules.policy;
    let today = day_of(now, policy.zone);
    let seat = around.seats.get(&device.id);
    let heard_at = seat.map(|seat| seat.heard_at()).max(device.heard_at);
    let mut days = device.days;
    if let Some(heard) = heard_at {
        days.mark(day_of(heard.min(now), policy.zone), State::Ok);
    }
    let state = if device.is_away { State::Lost } else { State::Ok };
    let is_legacy = device.version.as_deref() == Some(LEGACY_VERSION);
    DeviceRow {
        address: device.address,
        version: device.version,
        is_legacy,
        heard_at,
        is_away: device.is_away,
        skew: device.skew,
        // An old client does not say when its machine booted.
        booted_at: device.booted_at.filter(|_| !is_legacy),
        was: device.was.filter(|was| *was != device.name && device.renamed_at.is_some_and(|at| at > window.from)),
        is_new: !device.is_known,
        strip: days.strip(today, state, false),
        tasks: device
            .tasks
            .into_iter()
            .map(|row| {
                let proposal = proposal(around, &device.name, device.joined_at, &row, proposals_left);
                let task = task(around, &device.name, device.joined_at, row, window, now);
                let is_failing = task.state == State::Err;
                if is_failing && is_no_error(around, &device.name, &task.name, task.incident.as_ref(), now) {
                    return TaskRow { proposal, state: State::Ok, incident: None, ..task };
                }
                TaskRow { proposal, ..task }
            })
            .collect(),
        name: device.name,
    }
}

fn task(around: &Around, device: &str, joined_at: Timestamp, row: TaskOf, window: Window, now: Timestamp) -> TaskRow {
    let (task, rules) = (&row.task, &around.rules);
    let facts = &task.facts;
    let known = apply::known_of(rules, device, joined_at, task);
    let (due_at, missed) = match task.expect.standing(&known, &rules.expect) {
        ExpectationStatus::Free | ExpectationStatus::Off => (None, None),
        ExpectationStatus::Waiting(due) | ExpectationStatus::InTime(due) => (Some(due.at), None),
        ExpectationStatus::Lost(missed) => (Some(missed.due_at), Some(missed)),
    };
    let comes_and_goes = facts.comes_and_goes();
    let is_failing = facts.state() == State::Err || comes_and_goes.is_some();
    let state = state::of_task(is_failing, missed.is_some());
    let lost = missed.map(|missed| OpenRow {
        number: missed.number,
        since: missed.due_at,
        n_seen: missed.n_missed,
        acknowledged_at: missed.acknowledged_at,
        ..OpenRow::default()
    });
    let incident = facts.incident().filter(|_| is_failing).map(|incident| OpenRow {
        number: incident.number,
        since: incident.last_began_at(),
        n_seen: incident.n_since_begun(),
        text: reports::whole(&incident.excerpt),
        acknowledged_at: incident.acknowledged_at,
        begun: (incident.n_begun > 1).then_some(Reopened { n_begun: incident.n_begun, first_at: incident.began_at }),
        recovered_at: comes_and_goes.map(|(_, at)| at),
    });
    // It was so before anybody looked; there is no incident, and no text of it.
    let inherited = facts.inherited_at().map(|since| OpenRow { since, n_seen: 1, ..OpenRow::default() });
    TaskRow {
        was: row.was.filter(|was| *was != task.name.as_str() && row.renamed_at.is_some_and(|at| at > window.from)),
        name: task.name.to_string(),
        state,
        is_new: !row.is_known,
        is_expected: known.plan.is_some() || is_daily(due_at, facts.last_run().map(|(_, ended)| ended)),
        last_run: facts.last_run(),
        last_good_at: facts.last_good_at(),
        last_error_at: facts.last_error_at(),
        due_at,
        incident: lost.or(incident).or(inherited),
        strip: facts.strip(missed.map(|missed| missed.due_at), now, &rules.policy),
        is_gone: task.expect.gone_at().is_some_and(|gone| gone > window.from),
        proposal: None,
    }
}

/// Is it due so long after its last run that it runs once a day or less often?
fn is_daily(due_at: Option<Timestamp>, ran_at: Option<Timestamp>) -> bool {
    due_at.zip(ran_at).is_some_and(|(due_at, ran_at)| due_at.since(ran_at) >= NEARLY_A_DAY)
}

/// Has a person said that each error of this text is none, on this task?
fn is_no_error(around: &Around, device: &str, task: &str, open: Option<&OpenRow>, now: Timestamp) -> bool {
    let Some(open) = open.filter(|open| !open.text.is_empty() && !around.no_errors.is_empty()) else { return false };
    let errors: Vec<_> = fingerprints(&open.text).iter().map(FingerprintText::fingerprint).collect();
    let about = About { device: Some(device), task: Some(task), fingerprints: &errors };
    silence::held_by(&around.no_errors, about, now).is_some()
}

/// The schedule of a task in words, if there is one to propose and the report has room for it: what has none is not even looked
/// for.
fn proposal(around: &Around, device: &str, joined_at: Timestamp, row: &TaskOf, left: &mut usize) -> Option<Proposal> {
    if *left == 0 {
        return None;
    }
    let rules = &around.rules;
    let known = apply::known_of(rules, device, joined_at, &row.task);
    let (proposed, task) = (row.task.expect.proposal(&known, &rules.expect)?, row.task.name.as_str());
    *left -= 1;
    let reason = match proposed {
        ProposedSchedule::Learnt(Learnt { cadence, n_runs, span }) => {
            words::proposal(&cadence, n_runs, span, device, task, rules.language)
        }
        ProposedSchedule::Read(ReadSchedule { when, .. }) => {
            words::read_proposal(&when, device, task, rules.language, rules.timezone)
        }
    };
    Some(Proposal { reason })
}

fn trouble(subject: &str) -> Option<ProblemKind> {
    match subject {
        "task" => Some(ProblemKind::TaskErr),
        "lost" => Some(ProblemKind::TaskLost),
        "device" => Some(ProblemKind::DeviceLost),
        "note" => Some(ProblemKind::Note),
        "channel" => Some(ProblemKind::Channel),
        _ => None,
    }
}

fn open(affair: Affair) -> Option<AffairRow> {
    let trouble = trouble(&affair.subject)?;
    let missing: Vec<String> =
        affair.absence.iter().flat_map(|absence| absence.missing()).map(|member| member.name.clone()).collect();
    if trouble == ProblemKind::DeviceLost && missing.is_empty() {
        // All are back, and that is told soon.
        return None;
    }
    let (name, text) = match (trouble, affair.device) {
        (ProblemKind::DeviceLost, _) => (missing.join(", "), String::new()),
        // Of an older hub's notes there is the code only.
        (_, Some(device)) => (device, affair.text.unwrap_or(affair.name)),
        (_, None) => (affair.name, affair.text.unwrap_or_default()),
    };
    let open = OpenRow {
        number: Some(affair.id),
        since: affair.began_at,
        n_seen: affair.n_seen,
        text,
        acknowledged_at: affair.acknowledged_at,
        ..OpenRow::default()
    };
    Some(AffairRow { trouble, name, n_devices: missing.len() as u64, address: affair.address, open })
}

fn over(affair: Affair) -> ClosedIncident {
    let (n_devices, same_site) = affair.absence.as_ref().map_or((0, false), |a| (a.n_gone, a.same_site));
    let name = match (affair.subject.as_str(), affair.device) {
        ("task" | "lost" | "note", Some(device)) => format!("{device}/{}", affair.name),
        _ => affair.name,
    };
    ClosedIncident {
        trouble: trouble(&affair.subject).unwrap_or_default(),
        name,
        n_devices,
        same_site,
        began_at: affair.began_at,
        ended_at: affair.ended_at.unwrap_or(affair.began_at),
        ground: affair.ground.as_deref().and_then(ground),
        n_seen: affair.n_seen,
        incident: affair.id,
    }
}

fn ground(text: &str) -> Option<ResolvedBy> {
    apply::GROUNDS.iter().find(|(_, stored)| *stored == text).map(|(ground, _)| *ground)
}

fn health(tx: &mut Tx<'_>, around: &Around, window: Window, now: Timestamp) -> Result<Health, StoreError> {
    let waiting = outbox::waiting(tx)?;
    let mut channels = Vec::new();
    for channel in &around.rules.channels {
        let facts = outbox::channel(tx, &channel.name)?;
        let (accepted, refused) = reports::answers(tx, &channel.name, window.from, now)?;
        let budget = outbox::budget(tx, channel, &facts, None, now)?;
        let is_failing = facts.failing_at.is_some() || facts.paused_at.is_some();
        channels.push(ChannelHealth {
            name: channel.name.clone(),
            accepted,
            refused,
            waiting: waiting.iter().find(|waiting| waiting.channel == channel.name).map_or(0, |waiting| waiting.n),
            left_today: budget.as_ref().map(Budget::remaining),
            next_slot_at: budget.as_ref().filter(|budget| budget.remaining() == 0).and_then(Budget::next_at),
            failing: is_failing.then(|| facts.why.unwrap_or_default()),
            is_gone: false,
        });
    }
    let disk = |affair: Affair| Disk {
        device: affair.device.unwrap_or_default(),
        since: affair.began_at,
        text: affair.text.unwrap_or_default(),
    };
    let full_disks = reports::full_disks(tx, DISKS)?.into_iter().map(disk).collect();
    let mut beyond = Vec::new();
    for (device, quota) in devices::beyond_limits(tx)? {
        let hides = |limit| matches!(limit, Limit::OpenIncidents | Limit::Tasks);
        let within = quota.exceeded.iter().filter(|(limit, exceeded)| hides(**limit) && exceeded.last_at > window.from);
        beyond.extend(within.map(|(limit, exceeded)| BeyondLimit {
            device: device.clone(),
            limit: *limit,
            max: around.limits.of(*limit),
            n: exceeded.n,
        }));
    }
    let is_gone = |name: &str| around.rules.channels.iter().all(|channel| channel.name != name);
    let gone = waiting.into_iter().filter(|waiting| is_gone(&waiting.channel));
    channels.extend(gone.map(|waiting| ChannelHealth {
        name: waiting.channel,
        waiting: waiting.n,
        is_gone: true,
        ..ChannelHealth::default()
    }));
    Ok(Health {
        full_disks,
        beyond,
        hub: around.hub.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        channels,
        backup_at: None,
        no_link: None,
        next_at: around.next_at,
        keep_days: around.keep_days,
    })
}

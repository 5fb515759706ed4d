//! The one place where a silence holds a notification back, and where held notifications are told when the silence ends.
//!
//! Every notification of the hub goes through [`tell`]. `silence` decides; this module stores the held state ([`SuppressedRow`]) in the same
//! transaction as the notification, so a crash cannot make them differ. A notification about several devices is split: each device is
//! silenced on its own. [`release`] runs when a silence may be over: what is still failing is told, with its facts of that moment.

use olog_proto::{Fingerprint, Timestamp};
use olog_push::{Content, Kind, MISSED_RUNS_MAX, Notice, Reason};

use super::LivePolicy;
use crate::journal::LogEntry;
use crate::rules::silence::{self, About, HoldDecision, Silence, Transition};
use crate::store::silences::{self, HeldKey, SuppressedRow};
use crate::store::{StoreError, Tx, devices, incidents, outbox, tasks};

/// Fingerprints that are stored for one held incident.
const FINGERPRINTS_MAX: usize = 64;
/// Held incidents that are looked at in one transaction.
const PAGE: u32 = 200;

/// Puts a notice into the outbox of every channel that wants it, unless a silence holds it back. `of`: the errors that it
/// tells of, all of them.
pub(super) fn enqueue_or_hold(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    notice: &Notice,
    of: &[Fingerprint],
    now: Timestamp,
) -> Result<(), StoreError> {
    if !silence::may_hold(notice) {
        return put(tx, rules, notice, false, now);
    }
    let silences = silences::kept(tx, now)?;
    if silences.is_empty() && !silences::is_any_held(tx)? {
        return put(tx, rules, notice, false, now);
    }
    if let Content::DevicesLost { devices, .. } | Content::DevicesBack { devices, .. } = &notice.content {
        return tell_of_devices(tx, rules, notice, devices, &silences, now);
    }
    let key = key(tx, notice)?;
    let before = key.map(|key| silences::held(tx, key, now)).transpose()?.flatten();
    let about = About { device: notice.device.as_deref(), task: notice.task.as_deref(), fingerprints: of };
    let by = silence::held_by(&silences, about, now);
    let (verdict, held) = silence::step(before.as_ref().map(|b| b.held), silence::transition(notice), by);
    let unheard = before.clone().filter(|before| !before.held.knew);
    if let Some(key) = key {
        keep(tx, key, before, held, notice, of)?;
    }
    match (verdict, key, unheard) {
        // A reminder of a failure that was never sent: the failure is sent instead.
        (HoldDecision::Tell, Some(key), Some(begin)) if notice.kind == Kind::Remind => {
            release_one(tx, rules, key, begin, now)
        }
        (HoldDecision::Tell, _, unheard) => put(tx, rules, notice, unheard.is_some(), now),
        (HoldDecision::Hold(by), ..) => put_held(tx, rules, notice, by, now),
    }
}

/// `is_new`: the user has not been notified of it before.
fn put(tx: &mut Tx<'_>, rules: &LivePolicy, notice: &Notice, is_new: bool, now: Timestamp) -> Result<(), StoreError> {
    let is_first = match &notice.content {
        Content::Error { why, .. } => {
            matches!(why, Reason::First | Reason::Again | Reason::Reopened | Reason::InARow { .. })
        }
        Content::DevicesLost { .. } | Content::TaskLost { is_reminder: false, .. } => true,
        _ => false,
    };
    outbox::put(tx, &rules.channels_of(notice), notice, is_first || is_new, now)
}

fn put_held(tx: &mut Tx<'_>, rules: &LivePolicy, notice: &Notice, by: u64, now: Timestamp) -> Result<(), StoreError> {
    let line = LogEntry::new("held back by a silence").why(format!("silence {by}"));
    tx.note(match notice.incident {
        Some(number) => line.incident(number),
        None => line,
    });
    outbox::put_held(tx, &rules.channels_of(notice), notice, by, now)
}

/// What it is about; `None`: it only happened, so it cannot be over.
fn key(tx: &mut Tx<'_>, notice: &Notice) -> Result<Option<HeldKey>, StoreError> {
    if silence::transition(notice) == Transition::Happens {
        return Ok(None);
    }
    if let Some(incident) = notice.incident {
        return Ok(Some(HeldKey { incident, about: 0 }));
    }
    let task = task_of(tx, notice)?;
    Ok(task.and_then(|task| task.id).map(|id| HeldKey { incident: 0, about: id.0 }))
}

fn task_of(tx: &mut Tx<'_>, notice: &Notice) -> Result<Option<tasks::Task>, StoreError> {
    let (Some(device), Some(task)) = (&notice.device, &notice.task) else { return Ok(None) };
    match devices::by_name(tx, device)? {
        Some(device) => tasks::find(tx, device.id, task),
        None => Ok(None),
    }
}

/// Writes what is held from now on.
fn keep(
    tx: &mut Tx<'_>,
    key: HeldKey,
    before: Option<SuppressedRow>,
    held: Option<silence::SuppressedState>,
    notice: &Notice,
    of: &[Fingerprint],
) -> Result<(), StoreError> {
    let Some(held) = held else {
        return if before.is_some() { silences::let_go(tx, key) } else { Ok(()) };
    };
    let mut fingerprints = of.to_vec();
    let mut notice = notice.clone();
    if let Some(before) = before {
        let new = |f: &Fingerprint| !of.contains(f);
        fingerprints.extend(before.fingerprints.into_iter().filter(new).take(FINGERPRINTS_MAX));
        if !held.is_over && silence::keeps(&before.notice, &notice) {
            notice = before.notice;
        }
    }
    silences::hold(tx, key, &SuppressedRow { held, notice, fingerprints })
}

/// A notification about several devices is split: each device is silenced on its own.
fn tell_of_devices(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    notice: &Notice,
    names: &[String],
    silences: &[Silence],
    now: Timestamp,
) -> Result<(), StoreError> {
    let (mut told, mut held_names, mut first_by) = (Vec::new(), Vec::new(), None);
    for name in names {
        let Some(device) = devices::by_name(tx, name)? else {
            told.push(name.clone());
            continue;
        };
        let key = HeldKey { incident: notice.incident.unwrap_or(0), about: device.id.0 };
        let before = silences::held(tx, key, now)?;
        let about = About { device: Some(name), task: None, fingerprints: &[] };
        let by = silence::held_by(silences, about, now);
        let (verdict, held) = silence::step(before.as_ref().map(|b| b.held), silence::transition(notice), by);
        if before.is_some() || held.is_some() {
            let own = of_devices(tx, notice, std::slice::from_ref(name))?;
            keep(tx, key, before, held, &own, &[])?;
        }
        match verdict {
            HoldDecision::Tell => told.push(name.clone()),
            HoldDecision::Hold(by) => {
                held_names.push(name.clone());
                first_by.get_or_insert(by);
            }
        }
    }
    let notice = &without_unheard(tx, notice, now)?;
    let Some(by) = first_by else { return put(tx, rules, notice, false, now) };
    let held = of_devices(tx, notice, &held_names)?;
    put_held(tx, rules, &held, by, now)?;
    if told.is_empty() {
        return Ok(());
    }
    let told = of_devices(tx, notice, &told)?;
    put(tx, rules, &told, false, now)
}

/// A device whose loss was not notified is not named as missing.
fn without_unheard(tx: &mut Tx<'_>, notice: &Notice, now: Timestamp) -> Result<Notice, StoreError> {
    let mut notice = notice.clone();
    let Content::DevicesBack { missing, .. } = &mut notice.content else { return Ok(notice) };
    let mut heard = Vec::with_capacity(missing.len());
    for name in missing.drain(..) {
        let about = devices::by_name(tx, &name)?.map_or(0, |device| device.id.0);
        let held = silences::held(tx, HeldKey { incident: notice.incident.unwrap_or(0), about }, now)?;
        if held.is_none_or(|holding| holding.held.knew) {
            heard.push(name);
        }
    }
    *missing = heard;
    Ok(notice)
}

/// The same of these devices alone.
fn of_devices(tx: &mut Tx<'_>, notice: &Notice, names: &[String]) -> Result<Notice, StoreError> {
    let mut own = notice.clone();
    match &mut own.content {
        Content::DevicesLost { devices, n_known, .. } => {
            // Of the others it is not said that they are well.
            *n_known = n_known.saturating_sub((devices.len() - names.len().min(devices.len())) as u64);
            *devices = names.to_vec();
        }
        Content::DevicesBack { devices, missing, n_rebooted, .. } => {
            let n = names.len() as u64;
            *n_rebooted = if *n_rebooted == devices.len() as u64 { n } else { n.min(*n_rebooted) };
            *devices = names.to_vec();
            missing.retain(|name| !names.contains(name));
        }
        _ => {}
    }
    (own.device, own.address) = match names {
        [one] => (Some(one.clone()), devices::by_name(tx, one)?.and_then(|device| device.address)),
        _ => (None, None),
    };
    Ok(own)
}

/// How far [`release`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    all: bool,
    after: HeldKey,
}

/// Is there anything to release? From where to begin.
pub fn to_release(tx: &mut Tx<'_>, now: Timestamp) -> Result<Option<Progress>, StoreError> {
    let after = HeldKey { incident: 0, about: 0 };
    let all = !silences::over(tx, now)?.is_empty();
    let is_any = all || silences::is_any_loose(tx, now)?;
    Ok(is_any.then_some(Progress { all, after }))
}

/// One step: tells what no silence holds any more, and is still wrong or has ended since. Where to go on, if there is more.
pub fn release(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    progress: Progress,
    now: Timestamp,
) -> Result<Option<Progress>, StoreError> {
    let silences = silences::kept(tx, now)?;
    let page = silences::holdings(tx, progress.all, progress.after, now, PAGE)?;
    let mut of_devices: Vec<(HeldKey, SuppressedRow)> = Vec::new();
    for (key, holding) in page.found {
        let SuppressedRow { held, notice, fingerprints } = &holding;
        let about = About { device: notice.device.as_deref(), task: notice.task.as_deref(), fingerprints };
        match silence::held_by(&silences, about, now) {
            Some(by) if by == held.by => {}
            Some(by) => {
                let held = silence::SuppressedState { by, ..*held };
                silences::hold(tx, key, &SuppressedRow { held, ..holding })?;
            }
            None if key.incident != 0 && key.about != 0 => of_devices.push((key, holding)),
            None => release_one(tx, rules, key, holding, now)?,
        }
    }
    let mut rest = of_devices.as_slice();
    while let Some((first, _)) = rest.first() {
        let n = rest.iter().take_while(|(key, _)| key.incident == first.incident).count();
        let (group, others) = rest.split_at(n);
        release_devices(tx, rules, first.incident, group, now)?;
        rest = others;
    }
    if let Some(after) = page.next {
        return Ok(Some(Progress { after, ..progress }));
    }
    for silence in silences::over(tx, now)? {
        let next = silence.every.as_ref().and_then(|every| every.period(now));
        silences::was_released(tx, silence.id, next, now)?;
        if next.is_none() {
            tx.note(LogEntry::new("a silence is over").why(format!("silence {}", silence.id)));
        }
    }
    Ok(None)
}

fn release_one(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    key: HeldKey,
    holding: SuppressedRow,
    now: Timestamp,
) -> Result<(), StoreError> {
    let SuppressedRow { held, notice, .. } = holding;
    let notice = if held.is_over { Some(notice) } else { as_it_is(tx, notice, held.knew)? };
    silences::let_go(tx, key)?;
    match notice {
        Some(notice) => put(tx, rules, &Notice { silence: Some(held.by), ..notice }, !held.knew && !held.is_over, now),
        None => Ok(()),
    }
}

/// A held notification of an incident that has not ended, with its facts of now; `None`: there is nothing to tell any more.
fn as_it_is(tx: &mut Tx<'_>, mut notice: Notice, knew: bool) -> Result<Option<Notice>, StoreError> {
    let Some(number) = notice.incident else {
        let Content::TaskRuns { since, .. } = notice.content else { return Ok(None) };
        let runs = task_of(tx, &notice)?.and_then(|task| task.expect.running_since());
        return Ok((runs == Some(since)).then_some(notice));
    };
    let Some(stand) = incidents::stand(tx, number)? else { return Ok(None) };
    // The end of what comes and goes is told when it has been calm for a day; of all others it would have been held.
    let is_forgotten = stand.ground.as_deref() == Some("forgotten") || stand.subject != "task";
    if stand.ended_at.is_some() && is_forgotten {
        return Ok(None);
    }
    match &mut notice.content {
        Content::Error { n_seen, excerpt, path, .. } => {
            *n_seen = stand.n_seen;
            if let Some(latest) = stand.latest.filter(|(text, _)| !text.is_blank()) {
                (*excerpt, *path) = latest;
            }
        }
        Content::Remind { n_seen, excerpt, last_error_at, .. } => {
            (*n_seen, *last_error_at) = (stand.n_seen, stand.last_at);
            if let Some((text, _)) = stand.latest.filter(|(text, _)| !text.is_blank()) {
                *excerpt = text;
            }
        }
        Content::TaskLost { n_missed, is_reminder, .. } => (*n_missed, *is_reminder) = (stand.n_seen, knew),
        _ => {}
    }
    Ok(Some(notice))
}

/// Devices of one incident: those that are still away are one notification, those that are back another.
fn release_devices(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    incident: u64,
    group: &[(HeldKey, SuppressedRow)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let absence = incidents::open_absence(tx, incident)?;
    let member = |about: i64| absence.as_ref()?.members.iter().find(|member| member.device == about);
    let (mut lost, mut back): (Option<Notice>, Option<Notice>) = (None, None);
    for (key, holding) in group {
        let mut notice = Notice { silence: Some(holding.held.by), ..holding.notice.clone() };
        if holding.held.is_over {
            join(&mut back, notice);
        } else {
            match member(key.about) {
                // Whether it is back for good is not known yet: its return is told, or it will be missing.
                Some(member) if member.returned_at.is_some() => continue,
                Some(member) => {
                    if let Content::DevicesLost { devices, since, .. } = &mut notice.content {
                        (*devices, *since) = (vec![member.name.clone()], member.since);
                    }
                    join(&mut lost, notice);
                }
                None => {}
            }
        }
        silences::let_go(tx, *key)?;
    }
    for notice in [lost, back].into_iter().flatten() {
        put(tx, rules, &notice, notice.kind == Kind::Lost, now)?;
    }
    Ok(())
}

/// Joins two notifications of one incident.
fn join(told: &mut Option<Notice>, one: Notice) {
    let Some(both) = told else {
        *told = Some(one);
        return;
    };
    (both.device, both.address, both.at) = (None, None, both.at.min(one.at));
    match (&mut both.content, one.content) {
        (
            Content::DevicesLost { devices, n_known, since, behind, said_bye, n_times },
            Content::DevicesLost {
                devices: more, n_known: known, since: earlier, behind: other, said_bye: bye, ..
            },
        ) => {
            *n_times = None;
            devices.extend(more);
            (*n_known, *since, *said_bye) = ((*n_known).max(known), (*since).min(earlier), *said_bye && bye);
            if *behind != other {
                *behind = None;
            }
        }
        (
            Content::DevicesBack {
                devices,
                missing,
                since,
                n_rebooted,
                n_boots_unknown,
                said_bye,
                n_times,
                returned,
                missed,
                n_missed,
            },
            Content::DevicesBack {
                devices: more,
                since: earlier,
                n_rebooted: rebooted,
                n_boots_unknown: unknown,
                said_bye: bye,
                returned: other,
                missed: runs,
                n_missed: n_runs,
                ..
            },
        ) => {
            *n_times = None;
            *n_boots_unknown += unknown;
            missed.extend(runs);
            missed.sort_by_key(|run| run.due_at);
            missed.truncate(MISSED_RUNS_MAX);
            *n_missed = n_missed.saturating_add(n_runs);
            *returned = returned.zip(other).map(|((a, b), (x, y))| (a.min(x), b.max(y)));
            missing.retain(|name| !more.contains(name));
            devices.extend(more);
            (*n_rebooted, *since, *said_bye) = (*n_rebooted + rebooted, (*since).min(earlier), *said_bye && bye);
        }
        _ => {}
    }
}

//! The daily report: what happened in a window of time, as one value from which the page and the push are both written.
//!
//! [`Builder`] takes the store's rows one device at a time, in any order, and keeps what a report can show: whole counts, and the
//! worst [`DETAILS`] tasks in detail. So two hundred thousand tasks need no more memory than a few hundred. The state of a
//! task or device is decided in `state`, not here. `page` writes the HTML page, `when` says when a report is due.
//!
//! Pure: rows, window and `now` go in. Must not: know the store, a clock or a file, or hold a sentence (the catalogues do).

pub mod page;
mod strip;
#[cfg(test)]
mod tests;
pub mod when;

use std::collections::BTreeSet;

use olog_proto::Timestamp;
use olog_push::Reopened;
use olog_push::notice::{
    ClosedIncident, CompletedRun, ListedDevice, OpenProblem, ProblemKind, ReportFacts, Sent, StateCounts,
};

use crate::rules::quota::Limit;
use crate::rules::state::{self, DAYS, DayState, State, Strip};

/// Tasks in detail.
pub const DETAILS: usize = 500;
/// Matters, ends and names that are kept; all of them are counted.
const MATTERS: usize = 100;
const ENDS: usize = 100;
pub(crate) const NAMES: usize = 60;
const PROOFS: usize = 12;
/// Devices in a report without a page.
const LISTED: usize = 500;
/// Bytes of an excerpt, of a matter's text.
const TEXT: usize = 2_000;

/// From the last report to this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// After this.
    pub from: Timestamp,
    /// Until this.
    pub to: Timestamp,
}

/// A device, as the store knows it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeviceRow {
    /// Its name.
    pub name: String,
    /// How to reach it.
    pub address: Option<String>,
    /// Of its agent.
    pub version: Option<String>,
    /// It is an old client (olog.py).
    pub is_legacy: bool,
    /// When something was last heard from it.
    pub heard_at: Option<Timestamp>,
    /// It is away.
    pub is_away: bool,
    /// Milliseconds that its clock is ahead.
    pub skew: Option<i64>,
    /// When it booted.
    pub booted_at: Option<Timestamp>,
    /// The name that it had before the window.
    pub was: Option<String>,
    /// No earlier report knew it.
    pub is_new: bool,
    /// How its days went.
    pub strip: Strip,
    /// Its tasks.
    pub tasks: Vec<TaskRow>,
}

/// A task, as its facts say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskRow {
    /// Its name.
    pub name: String,
    /// The name that it had before the window.
    pub was: Option<String>,
    /// Its word.
    pub state: State,
    /// No earlier report knew it.
    pub is_new: bool,
    /// It is not expected any more.
    pub is_gone: bool,
    /// It is declared, or runs once a day or less often: its last run is worth a line as proof.
    pub is_expected: bool,
    /// Its last run that went well: when that began, if it is known, and ended.
    pub last_run: Option<(Option<Timestamp>, Timestamp)>,
    /// When it was last well.
    pub last_good_at: Option<Timestamp>,
    /// When its last error came.
    pub last_error_at: Option<Timestamp>,
    /// When it is expected, or was.
    pub due_at: Option<Timestamp>,
    /// What it is to become: a cadence that was learnt and is not yet watched, in words of the time zone.
    pub proposal: Option<Proposal>,
    /// Its open incident.
    pub incident: Option<OpenRow>,
    /// How its days went.
    pub strip: Strip,
}

/// A cadence that was learnt.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Proposal {
    /// As `expect` explains it.
    pub reason: String,
}

/// What is open, of a task or of anything else.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OpenRow {
    /// Its number, if it has one.
    pub number: Option<u64>,
    /// Its begin.
    pub since: Timestamp,
    /// How often it was seen.
    pub n_seen: u64,
    /// Its latest text.
    pub text: String,
    /// When a person acknowledged it.
    pub acknowledged_at: Option<Timestamp>,
    /// How often it began, and when for the first time, if that was more than once.
    pub begun: Option<Reopened>,
    /// It comes and goes, and is over for now since then.
    pub recovered_at: Option<Timestamp>,
}

/// What is open and no task's: devices that are away, an agent's trouble, a channel's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AffairRow {
    /// What kind.
    pub trouble: ProblemKind,
    /// Who.
    pub name: String,
    /// How many devices.
    pub n_devices: u64,
    /// How to reach it, if it is one device.
    pub address: Option<String>,
    /// The rest.
    pub open: OpenRow,
}

/// How Olog itself is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Health {
    /// This hub.
    pub hub: String,
    /// Its version; older agents are told.
    pub version: String,
    /// Each channel.
    pub channels: Vec<ChannelHealth>,
    /// When the database was last backed up; `None`: no backup is configured.
    pub backup_at: Option<Timestamp>,
    /// Disks of log dirs that are nearly full, the latest first.
    pub full_disks: Vec<Disk>,
    /// Devices whose errors within the window are in no state of this report.
    pub beyond: Vec<BeyondLimit>,
    /// Why there is no link, if there should be one.
    pub no_link: Option<String>,
    /// When the next report comes.
    pub next_at: Option<Timestamp>,
    /// Pages live this many days.
    pub keep_days: u32,
}

/// A device that has more open incidents, or more tasks, than its limit: what came beyond it has no state in this report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeyondLimit {
    /// Which device.
    pub device: String,
    /// `open_incidents` or `tasks`.
    pub limit: Limit,
    /// The limit.
    pub max: u64,
    /// What came beyond it since the device joined.
    pub n: u64,
}

/// A disk that is nearly full.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Disk {
    /// Whose.
    pub device: String,
    /// Since when.
    pub since: Timestamp,
    /// What its agent said of it then.
    pub text: String,
}

/// One channel within the window.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChannelHealth {
    /// Its name.
    pub name: String,
    /// Messages that the service took.
    pub accepted: u64,
    /// Messages that it refused.
    pub refused: u64,
    /// Notifications that wait.
    pub waiting: u64,
    /// Messages left of today's budget, if it has one.
    pub left_today: Option<u64>,
    /// When there is one again, if none is left.
    pub next_slot_at: Option<Timestamp>,
    /// It is not in the configuration any more, and this waits for its return.
    pub is_gone: bool,
    /// It takes nothing now, and these were its words.
    pub failing: Option<String>,
}

/// The whole of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// What a push tells, and the page's first blocks.
    pub facts: ReportFacts,
    /// For each of the last days: devices that were OK, ERR, LOST.
    pub fleet: [StateCounts; DAYS],
    /// Devices that are not OK, worst first, then those that are; as far as [`DETAILS`] goes.
    pub devices: Vec<DeviceDetail>,
    /// Learnt cadences, as `device/task` and their reasons.
    pub proposals: Vec<(String, String)>,
    /// Devices and tasks: their names before, and now.
    pub renamed: Vec<(String, String)>,
    /// Devices that rebooted within the window.
    pub rebooted: Vec<(String, Timestamp)>,
    /// Devices whose clocks are off, by how much.
    pub skews: Vec<(String, i64)>,
    /// Devices with an older agent.
    pub old_versions: Vec<(String, String)>,
    /// Expected tasks whose last run within the window went well; [`ReportFacts::proof`] names some of them.
    pub n_proof: u64,
    /// How Olog is.
    pub health: Health,
}

/// A device with its tasks.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceDetail {
    /// Its word.
    pub state: State,
    /// Its row; of its tasks as many as fit.
    pub row: DeviceRow,
    /// All of its tasks.
    pub tally: StateCounts,
}

/// Makes a [`Report`].
#[derive(Debug)]
pub struct Builder {
    window: Window,
    now: Timestamp,
    report: Report,
    n_details: usize,
    /// Is it expected, how long did it take?
    proofs: Vec<(bool, i64, CompletedRun)>,
}

/// A clock that is off by more than this is worth a line.
const SKEW: i64 = 10_000;

impl Builder {
    /// An empty one.
    pub fn new(window: Window, now: Timestamp) -> Builder {
        let facts = ReportFacts { from: window.from, to: window.to, made_at: now, ..ReportFacts::default() };
        Builder { window, now, report: Report { facts, ..Report::default() }, n_details: 0, proofs: Vec::new() }
    }

    /// The next device.
    pub fn device(&mut self, mut row: DeviceRow) {
        // What has gone is told once and is nobody's state.
        let state = state::of_device(row.is_away, row.tasks.iter().filter(|task| !task.is_gone).map(|task| task.state));
        if row.is_new {
            self.report.facts.n_new += 1;
            keep(&mut self.report.facts.new, row.name.clone(), NAMES);
        }
        let mut tally = StateCounts::default();
        for task in &mut row.tasks {
            self.task(&row.name, row.address.as_deref(), row.is_away, task);
            if !task.is_gone {
                count(&mut tally, task.state);
            }
            if let Some(open) = &mut task.incident {
                truncate(&mut open.text, TEXT);
            }
        }
        let facts = &mut self.report.facts;
        count(&mut facts.devices, state);
        facts.tasks.ok += tally.ok;
        facts.tasks.err += tally.err;
        facts.tasks.lost += tally.lost;
        self.days(&row);
        self.changes(&row);
        row.tasks.sort_by(|a, b| (b.state, a.is_gone).cmp(&(a.state, b.is_gone)).then_with(|| a.name.cmp(&b.name)));
        self.n_details += row.tasks.len() + 1;
        self.report.devices.push(DeviceDetail { state, row, tally });
        if self.n_details > 4 * DETAILS {
            self.drop_details();
        }
    }

    fn task(&mut self, device: &str, address: Option<&str>, is_away: bool, task: &TaskRow) {
        let facts = &mut self.report.facts;
        let name = || format!("{device}/{}", task.name);
        if task.is_new {
            facts.n_new += 1;
            keep(&mut facts.new, name(), NAMES);
        }
        if let Some(was) = task.was.as_ref().filter(|_| !task.is_new) {
            keep(&mut self.report.renamed, (format!("{device}/{was}"), name()), NAMES);
        }
        if task.is_gone {
            facts.n_gone += 1;
            return keep(&mut facts.gone, name(), NAMES);
        }
        if let Some(proposal) = &task.proposal {
            keep(&mut self.report.proposals, (name(), proposal.reason.clone()), NAMES);
        }
        let (from, to) = (self.window.from, self.now);
        if let Some((began_at, ended_at)) = task.last_run.filter(|(_, ended)| *ended > from && *ended <= to)
            && task.state == State::Ok
        {
            self.report.n_proof += u64::from(task.is_expected);
            let span = began_at.map_or(0, |began| ended_at.since(began));
            self.proofs.push((task.is_expected, span, CompletedRun { name: name(), began_at, ended_at }));
            if self.proofs.len() > 4 * PROOFS {
                self.drop_proofs();
            }
        }
        // A device that is away speaks for its tasks.
        if task.state != State::Ok && !is_away {
            let open = task.incident.clone().unwrap_or_default();
            let trouble = if task.state == State::Lost { ProblemKind::TaskLost } else { ProblemKind::TaskErr };
            self.matter(OpenProblem {
                last_good_at: task.last_good_at,
                due_at: task.due_at.filter(|_| trouble == ProblemKind::TaskLost),
                ..matter(trouble, name(), address, &open)
            });
        }
    }

    /// A device that the configuration names and that never joined: told here only.
    pub fn never_joined(&mut self, name: &str) {
        let row = DeviceRow { name: name.to_owned(), is_away: true, ..DeviceRow::default() };
        count(&mut self.report.facts.devices, State::Lost);
        self.report.devices.push(DeviceDetail { state: State::Lost, row, tally: StateCounts::default() });
        let open = OpenRow { since: self.now, ..OpenRow::default() };
        self.matter(matter(ProblemKind::NeverJoined, name.to_owned(), None, &open));
    }

    /// Something open that is no task's.
    pub fn affair(&mut self, row: AffairRow) {
        let open = matter(row.trouble, row.name, row.address.as_deref(), &row.open);
        self.matter(OpenProblem { n_devices: row.n_devices, ..open });
    }

    /// Something that is over since the last report; the latest first.
    pub fn ended(&mut self, ended: ClosedIncident) {
        self.report.facts.n_over += 1;
        keep(&mut self.report.facts.over, ended, ENDS);
    }

    /// How many incidents are over since the last report, where not all of them were given.
    pub fn n_ended(&mut self, n: u64) {
        self.report.facts.n_over = n;
    }

    /// The whole.
    pub fn finish(mut self, health: Health) -> Report {
        self.drop_details();
        self.drop_proofs();
        let report = &mut self.report;
        let facts = &mut report.facts;
        facts.now.sort_by(worse_first);
        facts.now.truncate(MATTERS);
        // What comes and goes is to do, whatever its latest end says.
        let open: BTreeSet<u64> = facts.now.iter().filter_map(|problem| problem.incident).collect();
        let n_kept = facts.over.len();
        facts.over.retain(|ended| !open.contains(&ended.incident));
        facts.n_over = facts.n_over.saturating_sub((n_kept - facts.over.len()) as u64);
        facts.proof = self.proofs.into_iter().map(|(.., proof)| proof).collect();
        facts.listed = report
            .devices
            .iter()
            .take(LISTED)
            .map(|device| ListedDevice {
                name: device.row.name.clone(),
                is_lost: device.state == State::Lost,
                tasks: device.tally,
            })
            .collect();
        let sum = |of: fn(&ChannelHealth) -> u64| health.channels.iter().map(of).fold(0, u64::saturating_add);
        facts.sent = Sent {
            accepted: sum(|channel| channel.accepted),
            refused: sum(|channel| channel.refused),
            waiting: sum(|channel| channel.waiting),
            failing: health.channels.iter().filter(|c| c.failing.is_some()).map(|c| c.name.clone()).collect(),
        };
        report.skews.sort_by_key(|(_, skew)| std::cmp::Reverse(skew.saturating_abs()));
        report.old_versions.retain(|(_, version)| *version != health.version);
        report.health = health;
        self.report
    }

    fn matter(&mut self, matter: OpenProblem) {
        let facts = &mut self.report.facts;
        facts.n_now += 1;
        facts.now.push(matter);
        if facts.now.len() > 4 * MATTERS {
            facts.now.sort_by(worse_first);
            facts.now.truncate(MATTERS);
        }
    }

    /// The fleet's days: each device by the worst of its own and its tasks'.
    fn days(&mut self, row: &DeviceRow) {
        for (day, tally) in self.report.fleet.iter_mut().enumerate() {
            let cell = |strip: &Strip| strip.get(day).copied().unwrap_or_default();
            let tasks = row.tasks.iter().filter(|task| !task.is_gone).map(|task| cell(&task.strip));
            // A task that did not come is trouble on its device; only an absence is the device's own.
            match (cell(&row.strip), tasks.max().unwrap_or_default()) {
                (DayState::Lost, _) => tally.lost += 1,
                (DayState::Err, _) | (_, DayState::Err | DayState::Lost) => tally.err += 1,
                (DayState::Ok, _) | (_, DayState::Ok) => tally.ok += 1,
                (DayState::Nothing, DayState::Nothing) => {}
            }
        }
    }

    fn changes(&mut self, row: &DeviceRow) {
        let report = &mut self.report;
        if let Some(was) = row.was.as_ref().filter(|_| !row.is_new) {
            keep(&mut report.renamed, (was.clone(), row.name.clone()), NAMES);
        }
        if let Some(at) = row.booted_at.filter(|at| *at > self.window.from && *at <= self.now && !row.is_new) {
            keep(&mut report.rebooted, (row.name.clone(), at), NAMES);
        }
        if let Some(skew) = row.skew.filter(|skew| skew.saturating_abs() > SKEW) {
            keep(&mut report.skews, (row.name.clone(), skew), NAMES);
        }
        if let Some(version) = row.version.as_ref().filter(|_| !row.is_legacy) {
            // Which of them are old is known at the end.
            let known = report.old_versions.iter().filter(|(_, v)| v == version).count();
            if known < NAMES {
                report.old_versions.push((row.name.clone(), version.clone()));
            }
        }
    }

    /// Keeps what is expected, then what took longest: a backup says more than a minute's housekeeping.
    fn drop_proofs(&mut self) {
        self.proofs.sort_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)).then_with(|| a.2.name.cmp(&b.2.name)));
        if self.proofs.first().is_some_and(|(is_expected, ..)| *is_expected) {
            self.proofs.retain(|(is_expected, ..)| *is_expected);
        }
        self.proofs.truncate(PROOFS);
    }

    /// Keeps the worst [`DETAILS`] tasks and their devices.
    fn drop_details(&mut self) {
        let devices = &mut self.report.devices;
        devices.sort_by(|a, b| b.state.cmp(&a.state).then_with(|| a.row.name.cmp(&b.row.name)));
        let mut left = DETAILS;
        devices.retain_mut(|device| {
            let has_room = left > 0;
            device.row.tasks.truncate(left);
            left = left.saturating_sub(device.row.tasks.len() + 1);
            has_room
        });
        self.n_details = devices.iter().map(|device| device.row.tasks.len() + 1).sum();
    }
}

fn matter(trouble: ProblemKind, name: String, address: Option<&str>, open: &OpenRow) -> OpenProblem {
    let mut text = open.text.clone();
    truncate(&mut text, TEXT);
    OpenProblem {
        trouble,
        name,
        n_devices: 0,
        incident: open.number,
        since: open.since,
        n_seen: open.n_seen,
        text,
        last_good_at: None,
        due_at: None,
        acknowledged_at: open.acknowledged_at,
        begun: open.begun,
        recovered_at: open.recovered_at,
        address: address.map(str::to_owned),
    }
}

/// What nobody has acknowledged first, then by kind, then the oldest.
fn worse_first(a: &OpenProblem, b: &OpenProblem) -> std::cmp::Ordering {
    let key = |m: &OpenProblem| (m.acknowledged_at.is_some(), m.trouble, m.since);
    key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name))
}

fn count(tally: &mut StateCounts, state: State) {
    match state {
        State::Ok => tally.ok += 1,
        State::Err => tally.err += 1,
        State::Lost => tally.lost += 1,
    }
}

/// Beyond the bound it is only counted, where it is counted.
fn keep<T>(list: &mut Vec<T>, item: T, bound: usize) {
    if list.len() < bound {
        list.push(item);
    }
}

fn truncate(text: &mut String, bytes: usize) {
    text.truncate(text.floor_char_boundary(bytes));
}

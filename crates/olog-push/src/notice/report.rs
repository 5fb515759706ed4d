//! One report, as a push tells it and as its page begins: the same value for both, so that they cannot disagree.

use olog_proto::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Reopened, ResolvedBy};

/// What a report found, worst first and bounded; the counts are whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ReportFacts {
    /// The window, from here …
    pub from: Timestamp,
    /// … to here.
    pub to: Timestamp,
    /// Its number at the hub, once it is stored: `olog-hub report show N`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// When it was made.
    pub made_at: Timestamp,
    /// Devices by their word.
    pub devices: StateCounts,
    /// Tasks by their word.
    pub tasks: StateCounts,
    /// What has to be looked after now.
    pub now: Vec<OpenProblem>,
    /// All of it.
    pub n_now: u64,
    /// What was over by itself within the window.
    pub over: Vec<ClosedIncident>,
    /// All of it.
    pub n_over: u64,
    /// Devices and tasks that no earlier report knew.
    pub new: Vec<String>,
    /// All of them.
    pub n_new: u64,
    /// Tasks that are not expected any more.
    pub gone: Vec<String>,
    /// All of them.
    pub n_gone: u64,
    /// What ran well, and when.
    pub proof: Vec<CompletedRun>,
    /// Devices for a report without a page, worst first.
    pub listed: Vec<ListedDevice>,
    /// What the services took and refused.
    pub sent: Sent,
    /// The page.
    pub link: Option<String>,
}

/// A count by word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StateCounts {
    /// OK.
    pub ok: u64,
    /// ERR.
    pub err: u64,
    /// LOST.
    pub lost: u64,
}

impl StateCounts {
    /// All of them.
    pub fn all(self) -> u64 {
        self.ok.saturating_add(self.err).saturating_add(self.lost)
    }
}

/// What kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// A task did not come.
    TaskLost,
    /// A task has an error.
    #[default]
    TaskErr,
    /// Devices are away.
    DeviceLost,
    /// A declared device never came.
    NeverJoined,
    /// An agent cannot do its work.
    Note,
    /// A channel does not take messages.
    Channel,
}

/// Something that is not over.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenProblem {
    /// What kind.
    pub trouble: ProblemKind,
    /// `device/task`, or the names of devices.
    pub name: String,
    /// How many devices, where it is theirs.
    pub n_devices: u64,
    /// The incident's number.
    pub incident: Option<u64>,
    /// Its begin.
    pub since: Timestamp,
    /// How often it was seen.
    pub n_seen: u64,
    /// Its latest text.
    pub text: String,
    /// When the task was last well.
    pub last_good_at: Option<Timestamp>,
    /// When it should have come.
    pub due_at: Option<Timestamp>,
    /// When a person acknowledged it.
    pub acknowledged_at: Option<Timestamp>,
    /// How often it began, and when for the first time, if that was more than once: `since` and `n_seen` are of the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub begun: Option<Reopened>,
    /// It comes and goes, and is over for now since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered_at: Option<Timestamp>,
    /// How to reach the device.
    pub address: Option<String>,
}

/// Something that was, and is over.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClosedIncident {
    /// What kind.
    pub trouble: ProblemKind,
    /// `device/task`, or the names of devices.
    pub name: String,
    /// How many devices, where it was theirs.
    pub n_devices: u64,
    /// All behind one address.
    pub same_site: bool,
    /// From …
    pub began_at: Timestamp,
    /// … to.
    pub ended_at: Timestamp,
    /// What showed its end.
    pub ground: Option<ResolvedBy>,
    /// How often it was seen.
    pub n_seen: u64,
    /// Its number.
    pub incident: u64,
}

/// A task that ran well.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CompletedRun {
    /// `device/task`.
    pub name: String,
    /// When it began, if that is known.
    pub began_at: Option<Timestamp>,
    /// When it was done.
    pub ended_at: Timestamp,
}

/// A device in a line.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListedDevice {
    /// Its name.
    pub name: String,
    /// It is away.
    pub is_lost: bool,
    /// Its tasks.
    pub tasks: StateCounts,
}

/// What became of messages within the window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sent {
    /// Accepted by a service.
    pub accepted: u64,
    /// Refused by it.
    pub refused: u64,
    /// Still waiting.
    pub waiting: u64,
    /// Channels that take nothing now.
    pub failing: Vec<String>,
}

//! What there is to tell, as facts: no sentence, no language, no channel.
//!
//! A [`Notice`] is stored in the outbox as JSON and put into words only when its channel's turn comes, together with
//! whatever else waits then (`words`). So what is merged is facts, and a late message can say how late it is.

use std::collections::BTreeMap;

use olog_proto::{Author, Excerpt, Fingerprint, Timestamp, job::JobSchedule};
use serde::{Deserialize, Serialize};

mod report;

pub use report::{
    ClosedIncident, CompletedRun, ListedDevice, OpenProblem, ProblemKind, ReportFacts, Sent, StateCounts,
};

/// The kinds that a channel's `only.kinds` chooses from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An error: a first sign, a new fingerprint, a reopened incident.
    Err,
    /// The text of a `.msg`.
    Msg,
    /// A device or a task did not come.
    Lost,
    /// A device is back.
    Back,
    /// An incident is over.
    Over,
    /// An incident is still open.
    Remind,
    /// The daily report.
    Report,
    /// Olog's own affairs.
    System,
}

/// Every kind, in the order in which a configuration lists them.
pub const KINDS: [(&str, Kind); 8] = [
    ("err", Kind::Err),
    ("msg", Kind::Msg),
    ("lost", Kind::Lost),
    ("back", Kind::Back),
    ("over", Kind::Over),
    ("remind", Kind::Remind),
    ("report", Kind::Report),
    ("system", Kind::System),
];

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Its kind.
    pub kind: Kind,
    /// The incident's number (`#17`), if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<u64>,
    /// The device's name, if it is about one device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// How to reach that device: `user@host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The task, if it is about one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// When it happened, in the hub's time.
    pub at: Timestamp,
    /// It was held back until now, by the silence of this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<u64>,
    /// What happened.
    #[serde(rename = "saying")]
    pub content: Content,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// An error text that has to be pushed.
    Error {
        /// Why it is pushed.
        why: Reason,
        /// The text.
        excerpt: Excerpt,
        /// The file, empty for a run by `exec`.
        path: String,
        /// Which error it is: the same over many devices goes together.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<Fingerprint>,
        /// When the task was last well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_good_at: Option<Timestamp>,
        /// When the incident began (for a new fingerprint in an open one).
        began_at: Timestamp,
        /// How often an error was seen in this incident, this one included.
        n_seen: u64,
        /// Further facts.
        #[serde(default, skip_serializing_if = "ErrorFacts::is_empty")]
        facts: Box<ErrorFacts>,
    },
    /// The text of a `.msg`.
    Message {
        /// The text.
        excerpt: Excerpt,
        /// The file.
        path: String,
        /// How often the same text came, this one included.
        n_seen: u64,
    },
    /// A task's incident is over.
    Over {
        /// What shows it.
        ground: ResolvedBy,
        /// When the incident began; when it was reopened, its latest beginning.
        began_at: Timestamp,
        /// How often an error was seen in it.
        n_seen: u64,
        /// When a person acknowledged it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acknowledged_at: Option<Timestamp>,
        /// Set if it began more than once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reopened: Option<Reopened>,
        /// Set if another user of the device reported the end than the error, and that user is not root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        said_by: Option<Box<SaidBy>>,
    },
    /// A task's incident is still open.
    Remind {
        /// When it began.
        began_at: Timestamp,
        /// How often an error was seen in it.
        n_seen: u64,
        /// When one was last seen.
        last_error_at: Timestamp,
        /// The latest text.
        excerpt: Excerpt,
        /// Set if it began more than once.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reopened: Option<Reopened>,
    },
    /// A task did not come when it was expected.
    TaskLost {
        /// When it should have come.
        due_at: Timestamp,
        /// When it last came.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        last_run_at: Option<Timestamp>,
        /// What says that it should.
        expected: Expected,
        /// How often it should have come since.
        n_missed: u64,
        /// It was told before.
        is_reminder: bool,
        /// From when to when its device was offline, if the run was due then: that explains it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device_offline: Option<(Timestamp, Timestamp)>,
    },
    /// A task that did not come has come, or is no longer waited for.
    TaskCame {
        /// When it should have come.
        due_at: Timestamp,
        /// What happened.
        #[serde(rename = "came")]
        recovery: Recovery,
        /// How often it should have come.
        n_missed: u64,
        /// When a person acknowledged it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        acknowledged_at: Option<Timestamp>,
    },
    /// A run that takes far longer than usual. Told once.
    TaskRuns {
        /// When it began.
        since: Timestamp,
        /// How long it usually takes, in ms, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usual: Option<i64>,
    },
    /// One device or several that went together.
    DevicesLost {
        /// Their names.
        devices: Vec<String>,
        /// Of how many.
        n_known: u64,
        /// Nothing was heard since.
        since: Timestamp,
        /// The address that all of them are behind, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        behind: Option<String>,
        /// They had said that they go (shutdown, stop, upgrade).
        said_bye: bool,
        /// How often within a day, of one that comes and goes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        n_times: Option<u32>,
    },
    /// They are back, or some are still missing 5 min after the first one's return.
    DevicesBack {
        /// Who is back.
        devices: Vec<String>,
        /// Who is not.
        missing: Vec<String>,
        /// Since when they were away.
        since: Timestamp,
        /// When the first and the last of them were back: how long each was away is measured to its own return, not to this notice.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        returned: Option<(Timestamp, Timestamp)>,
        /// How many of them rebooted meanwhile.
        n_rebooted: u64,
        /// Of how many of them nobody knows whether they rebooted: old clients do not say.
        #[serde(default, skip_serializing_if = "is_zero")]
        n_boots_unknown: u64,
        /// They had said that they go.
        said_bye: bool,
        /// How often it went within a day, of one that came and went, and has been here for a day now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        n_times: Option<u32>,
        /// Runs that were due meanwhile and have not come: the earliest due first, at most [`MISSED_RUNS_MAX`].
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        missed: Vec<MissedRun>,
        /// How many of them there are.
        #[serde(default)]
        n_missed: u64,
    },
    /// A report.
    Report(Box<ReportFacts>),
    /// Olog's own affairs. The catalogues hold `system-CODE` (the sentence) and `system-CODE-title`.
    System {
        /// Which affair.
        code: SystemCode,
        /// What the sentence speaks of.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        args: BTreeMap<String, String>,
    },
}

/// Further facts about an error. Rows of an older store have none of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorFacts {
    /// The fingerprints of the whole text, at most 20. Only notices whose fingerprints all agree are shown as one error:
    /// two errors may share a first line and differ in the one that matters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<Fingerprint>,
    /// Set if the incident began more than once; `began_at` is then its latest beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reopened: Option<Reopened>,
    /// How the run ended, if a run by `exec` failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<FailedRun>,
    /// When the task recovered while this notification was waiting. Set only for a flapping incident, whose recoveries are not notified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovered_at: Option<Timestamp>,
}

impl ErrorFacts {
    fn is_empty(&self) -> bool {
        *self == ErrorFacts::default()
    }
}

/// Missed runs that a notice names; of more it gives the number.
pub const MISSED_RUNS_MAX: usize = 3;

/// A run that was due while its device was offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedRun {
    /// The device.
    pub device: String,
    /// The task.
    pub task: String,
    /// When it was due.
    pub due_at: Timestamp,
    /// The task is LOST from then on, unless it runs.
    pub late_at: Timestamp,
}

/// An incident that was closed and began again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reopened {
    /// How often it has begun, the first time included.
    pub n_begun: u32,
    /// When it began for the first time.
    pub first_at: Timestamp,
}

/// How a run by `exec` failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRun {
    /// The exit code, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// … or the signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// How long it ran, in ms.
    pub duration: i64,
}

/// Why an error is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The first sign of an incident; this error was never seen on this task.
    First,
    /// The first sign of an incident; this error is known from earlier ones.
    Again,
    /// A fingerprint that this incident has not pushed.
    NewFingerprint,
    /// New fingerprints, held back by the bound of an hour and told together.
    MoreFingerprints {
        /// How many further ones the text holds, a line each.
        n_more: u32,
    },
    /// An incident that was over for less than 24 h began again.
    Reopened,
    /// It has begun again at least three times: told every 6 h from now on.
    ComesAndGoes {
        /// How often it began.
        n_times: u32,
    },
    /// The first of an incident that is told: only so many in a row are worth it (`errors_in_a_row`).
    InARow {
        /// How many there were.
        n_times: u32,
    },
}

/// What shows that an incident is over. (a) and (e) are believed at once, (b), (c) and (d) after `over_wait` without a new error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResolvedBy {
    /// (a) A run by `exec` ended with 0.
    RunEnded,
    /// (b) A new log came after the last error.
    NewLog,
    /// (c) The error file was cleared.
    Cleared,
    /// (d) The log grew, and no error had come for `resolve_after`.
    LogGrew,
    /// (e) A person closed it.
    Closed,
    /// (f) Not seen since; no proof of health.
    Quiet,
    /// (g) Whoever sent the alert says so, or sends it no longer.
    Resolved,
}

/// Two users of a device who speak of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidBy {
    /// Who reported the end.
    pub end: Author,
    /// Who caused the error.
    pub error: Author,
}

/// What says that a task has to come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// A schedule in the configuration.
    Schedule {
        /// As crontab(5) has it.
        text: String,
    },
    /// The configuration, without a schedule: between two reports.
    EachReport,
    /// A schedule that its agent read on the machine.
    Read {
        /// Which.
        when: JobSchedule,
    },
    /// Its habit.
    Learnt {
        /// Which.
        cadence: Cadence,
    },
}

/// A habit of a task, as it was learnt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cadence {
    /// Again and again.
    Every {
        /// After so many ms.
        period: i64,
    },
    /// Every day.
    Daily {
        /// At this minute of the reader's day.
        minute: u32,
        /// More or less so many minutes.
        jitter: u32,
    },
    /// Each week.
    Weekly {
        /// Weekdays (0: Monday) and minutes of the reader's day.
        slots: Vec<(u32, u32)>,
        /// More or less so many minutes.
        jitter: u32,
    },
}

/// Why a task is no longer waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// It ran.
    Ran {
        /// When it was seen.
        at: Timestamp,
        /// It failed: that is told by itself.
        failed: bool,
    },
    /// Nothing is expected of it any more.
    Unexpected,
    /// A person closed it.
    Closed,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Olog's own affairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SystemCode {
    /// The hub started for the first time.
    HubFirstStart,
    /// The hub starts after it did not stop in order. `since`: when it was last alive, in ms.
    HubUnclean,
    /// The hub was away for 10 min or longer. `since`: in ms.
    HubAway,
    /// The hub is down, told by a program that looks after it. `code`: how it ended, `text`: the words or numbers of that.
    HubDown,
    /// Devices joined. `devices`: their names, comma-separated.
    NewDevices,
    /// Devices with a valid proof wait to be accepted. `devices`.
    PendingDevices,
    /// A new configuration was refused. `findings`: the first of them, `n`: how many.
    ConfigRefused,
    /// The changed files of the certificate are not usable; the old certificate is in force. `why`.
    CertificateRefused,
    /// A device had to begin a new epoch. `why`.
    EpochRenewed,
    /// Numbers are missing in a device's stream. `n`: how many.
    Gap,
    /// A device has reached a limit of `[limits]`. `limit`: its key, `n`: its value.
    DeviceLimit,
    /// A device has another name than before. `name`: that one.
    DeviceRenamed,
    /// Two machines use the key of a device. `addresses`.
    TwoMachines,
    /// Something is wrong with an old client (olog.py). `code`: what, `name`: its own, `addresses`, `n`: seconds, `text`.
    LegacyClient,
    /// An event that the store cannot take was recorded as unreadable. `n`: its number.
    Unreadable,
    /// Stored values that this version cannot read were set aside. `n`: how many, `what`: the first, `why`.
    ValuesUnreadable,
    /// Tasks look like names that log rotation made. `n`: how many, `what`: some of them, `command`: what merges the first.
    GhostTasks,
    /// The agent's own trouble. `code`, `path`, `text`.
    AgentNote,
    /// That trouble is over. `code`, `path`, `text`.
    AgentNoteOver,
    /// A channel fails. `channel`, `answer`.
    ChannelFailing,
    /// It works again. `channel`, `since`: since when it did not, in ms.
    ChannelBack,
    /// A receiver was refused for good. `channel`, `receiver`, `answer`.
    ReceiverRefused,
    /// Notifications were given up after 7 days. `channel`, `n`.
    Expired,
    /// The hub's own disk or database gave trouble, and it is over. `text`.
    StoreTrouble,
    /// The store was damaged and kept aside. `path`.
    StoreRecovered,
    /// A report's page has no link that a phone could open. `why`.
    ReportPage,
    /// The folder with the reports shows its files to everybody. `path`: where.
    ReportListing,
    /// Who expects the hub's heartbeat does not take it. `host`, `why`.
    WatchdogFailing,
    /// It takes it again. `host`.
    WatchdogBack,
    /// A duty of the hub has failed for ten minutes. `duty`, `error`.
    DutyFailing,
    /// It works again. `duty`.
    DutyBack,
    /// A device cannot reach its hub; told by itself. `since`: in ms, `why`.
    HubUnreachable,
    /// It can again; told by itself. `since`: when it lost it, in ms.
    HubReachable,
    /// A test by `channel test`. `channel`.
    ChannelTest,
}

impl SystemCode {
    /// Nothing is wrong, or no longer.
    pub fn is_good_news(self) -> bool {
        use SystemCode::{
            AgentNoteOver, ChannelBack, ChannelTest, DutyBack, HubAway, HubFirstStart, HubReachable, NewDevices,
            WatchdogBack,
        };
        matches!(
            self,
            HubFirstStart
                | HubAway
                | HubReachable
                | NewDevices
                | AgentNoteOver
                | ChannelBack
                | ChannelTest
                | WatchdogBack
                | DutyBack
        )
    }
}

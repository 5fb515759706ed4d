//! A unit that failed becomes a failed run of a task of its name, and a good run when it has recovered.
//!
//! systemd starts `olog-unit-failed@UNIT.service` by `OnFailure=` and `olog-unit-succeeded@UNIT.service` by `OnSuccess=`; both run this, which finds out by itself
//! how the unit ended. A third caller is a timer, once a minute while the folder [`STATE`] is not empty: it holds one small file for each unit whose recovery has not been told.
//!
//! | the unit | what is reported |
//! |---|---|
//! | failed | a failed run: result, exit code or signal, the last lines of its journal, without secrets |
//! | failed, and systemd restarts it (`Restart=`) | the same: systemd calls us at the restart, and the journal says how the run ended |
//! | failed again within `TELL_EVERY` of the last report | it is counted; the timer reports the count in one run |
//! | ended well, started by a timer | a good run, so that the hub learns when it runs |
//! | ended well after a failure, or is active for `ACTIVE_FOR` | a good run: recovered |
//! | Olog's own, or one whose command is `olog-agent exec` | nothing: the first would never end, the second reports itself |
//!
//! Must not: start, stop or change a unit, except the timer.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use olog_proto::{
    TaskName, Timestamp,
    event::{end_text, is_good_end},
};
use serde::{Deserialize, Serialize};

use super::{
    is_exec,
    systemd::{LastEnd, Properties, Systemd},
};
use crate::{
    exec::{PastRun, RecordError, Report, record},
    identity::RandomSource,
};

/// Units that failed and whose recovery has not been told; below the root.
pub const STATE: &str = "var/lib/olog-units";
/// One report of a unit that fails again and again in this time.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// A unit that restarts in a loop is active for moments: it has recovered when it stays active for this long.
const ACTIVE_FOR: Duration = Duration::from_secs(30);
/// Units that one look considers.
const UNITS_MAX: usize = 1_000;
/// Exit codes from here on are those of systemd itself: the command was not started.
const NOT_STARTED_FROM: i32 = 200;
const TIMER: &str = "olog-units.timer";
const PROPERTIES: &[&str] = &[
    "Id",
    "LoadState",
    "ActiveState",
    "Result",
    "ExecMainCode",
    "ExecMainStatus",
    "ExecMainStartTimestampMonotonic",
    "ExecMainExitTimestampMonotonic",
    "ActiveEnterTimestampMonotonic",
    "TriggeredBy",
    "ExecStart",
];

/// The name of a unit, with its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitName(String);

impl UnitName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn is_own(&self) -> bool {
        self.0.starts_with("olog-agent.")
            || self.0.starts_with("olog-hub")
            || self.0.starts_with("olog-unit-")
            || self.0.starts_with("olog-units.")
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UnitName {
    type Err = String;

    /// `nginx` is `nginx.service`, as for systemctl.
    fn from_str(text: &str) -> Result<UnitName, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
        if text.is_empty() || text.len() > 240 || text.starts_with(['.', '-']) || !text.chars().all(is_plain) {
            return Err("expected the name of a unit, such as nginx.service".to_owned());
        }
        Ok(UnitName(if text.contains('.') { text.to_owned() } else { format!("{text}.service") }))
    }
}

/// What systemd (since 251) tells the service that it starts by `OnFailure=` or `OnSuccess=`: how the run ended.
pub fn end_of_environment(unit: &UnitName) -> LastEnd {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if var("MONITOR_UNIT").as_deref() != Some(unit.as_str()) {
        return LastEnd::default();
    }
    LastEnd {
        result: var("MONITOR_SERVICE_RESULT"),
        code: var("MONITOR_EXIT_CODE"),
        status: var("MONITOR_EXIT_STATUS"),
    }
}

/// Reports units.
#[derive(Debug)]
pub struct Units<'a> {
    /// The service manager.
    pub systemd: &'a Systemd,
    /// Holds [`STATE`].
    pub root: &'a Path,
    /// Where runs are reported.
    pub report: &'a Report<'a>,
    /// The time since the boot without sleep, as in systemd's monotonic timestamps.
    pub monotonic: Duration,
}

/// What was done about a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// Its failure was reported.
    Failed,
    /// Its failure was counted, and is reported later.
    Counted,
    /// A good run was reported.
    Good,
    /// Nothing: it is Olog's own, reports itself, or has neither failed nor a timer.
    Nothing,
}

/// Why a unit is not reported.
#[derive(Debug, thiserror::Error)]
pub enum UnitError {
    /// systemd does not say what happened.
    #[error(transparent)]
    Systemd(io::Error),
    /// No task can have this name.
    #[error("{unit} cannot be the name of a task: {why}")]
    Name {
        /// The unit.
        unit: String,
        /// Why.
        why: String,
    },
    /// The run is not reported.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// That it failed cannot be remembered, so its recovery will not be told.
    #[error("{}: {source}", path.display())]
    State {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How a unit's run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct UnitEnd {
    /// systemd's word, such as `exit-code`, `signal`, `timeout`, `start-limit-hit`.
    result: String,
    exit: Option<i32>,
    signal: Option<i32>,
    /// Milliseconds.
    duration: u64,
}

/// What is remembered of a unit that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    format: u32,
    told_at: Timestamp,
    /// Failures since then.
    n_untold: u64,
    /// The last one.
    end: UnitEnd,
}

impl Open {
    fn is_told_lately(&self, now: Timestamp) -> bool {
        // A clock that was set back must not silence a unit.
        let since = u64::try_from(now.0.saturating_sub(self.told_at.0)).map(Duration::from_millis);
        since.is_ok_and(|since| since < TELL_EVERY)
    }
}

/// What to do about a unit that failed before, at a look.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Recovered,
    TellCount,
    Forget,
    Wait,
}

impl Units<'_> {
    /// A unit ended, well or not: reports it.
    pub async fn ended(
        &self,
        unit: &UnitName,
        told: LastEnd,
        chance: &mut dyn RandomSource,
    ) -> Result<Done, UnitError> {
        if unit.is_own() {
            return Ok(Done::Nothing);
        }
        let found = self.systemd.show(&[unit.as_str()], PROPERTIES).await.map_err(UnitError::Systemd)?;
        let found = found.into_iter().next().unwrap_or_default();
        let runs_again = ["active", "activating", "reloading"].contains(&property(&found, "ActiveState"));
        let result = told.result.as_deref().unwrap_or_else(|| property(&found, "Result"));
        let told = match result {
            // That may be the run that has just begun.
            "success" if runs_again => self.systemd.last_end(unit.as_str()).await.map_err(UnitError::Systemd)?,
            _ => told,
        };
        let end = unit_end(&found, &told);
        let (open, now) = (self.open(unit), self.report.clock.now());
        let is_reported_by_exec = is_exec(property(&found, "ExecStart"));
        if end.is_good() {
            let by_timer = property(&found, "TriggeredBy").contains(".timer");
            // A unit that runs again must stay active before that counts.
            if runs_again || open.is_none() && (!by_timer || is_reported_by_exec) {
                return Ok(Done::Nothing);
            }
            return self.tell_good(unit, &end, open.is_some(), chance).await;
        }
        if is_reported_by_exec && end.exit.is_some_and(|exit| exit < NOT_STARTED_FROM) {
            return Ok(Done::Nothing);
        }
        let n_untold = match open {
            Some(mut open) if open.is_told_lately(now) => {
                (open.n_untold, open.end) = (open.n_untold.saturating_add(1), end);
                self.remember(unit, &open)?;
                return Ok(Done::Counted);
            }
            open => open.map_or(0, |open| open.n_untold),
        };
        self.tell_failed(unit, &end, n_untold, chance).await?;
        Ok(Done::Failed)
    }

    /// Looks again at every unit that failed: has it recovered, are there failures to tell? The error of one unit stops no other.
    pub async fn look_again(&self, chance: &mut dyn RandomSource) -> Result<(), UnitError> {
        let open = self.all_open()?;
        let names: Vec<&str> = open.iter().map(|(unit, _)| unit.as_str()).collect();
        let found = match names.is_empty() {
            true => Vec::new(),
            false => self.systemd.show(&names, PROPERTIES).await.map_err(UnitError::Systemd)?,
        };
        let mut first_error = None;
        for ((unit, open), found) in open.iter().zip(&found) {
            let told = match next(open, found, self.report.clock.now(), self.monotonic) {
                Next::Wait => Ok(()),
                Next::Forget => self.forget(unit),
                Next::Recovered => {
                    let end = UnitEnd { result: "success".into(), exit: Some(0), signal: None, duration: 0 };
                    self.tell_good(unit, &end, true, chance).await.map(|_| ())
                }
                Next::TellCount => self.tell_failed(unit, &open.end, open.n_untold.saturating_sub(1), chance).await,
            };
            if let Err(error) = told {
                first_error.get_or_insert(error);
            }
        }
        if self.all_open()?.is_empty() {
            self.timer("stop").await;
        }
        first_error.map_or(Ok(()), Err)
    }

    async fn tell_failed(
        &self,
        unit: &UnitName,
        end: &UnitEnd,
        n_before: u64,
        chance: &mut dyn RandomSource,
    ) -> Result<(), UnitError> {
        let journal = match self.systemd.journal(unit.as_str()).await {
            Ok(journal) => journal,
            Err(error) => format!("its journal cannot be read: {error}"),
        };
        let run = self.past_run(unit, end, format!("{}\n{journal}", end.in_words(unit, n_before)))?;
        let told = record(&run, self.report, chance).await;
        let open = Open { format: 1, told_at: self.report.clock.now(), n_untold: 0, end: end.clone() };
        let remembered = self.remember(unit, &open);
        self.timer("start").await;
        told?;
        remembered
    }

    async fn tell_good(
        &self,
        unit: &UnitName,
        end: &UnitEnd,
        recovered: bool,
        chance: &mut dyn RandomSource,
    ) -> Result<Done, UnitError> {
        let output = if recovered { format!("{unit} has recovered") } else { String::new() };
        record(&self.past_run(unit, end, output)?, self.report, chance).await?;
        self.forget(unit)?;
        Ok(Done::Good)
    }

    fn past_run(&self, unit: &UnitName, end: &UnitEnd, output: String) -> Result<PastRun, UnitError> {
        let task: TaskName = unit.as_str().parse().map_err(|error| {
            let why = format!("{error}");
            UnitError::Name { unit: unit.to_string(), why }
        })?;
        let ended_at = u64::try_from(self.report.clock.now().0).map(Duration::from_millis).unwrap_or_default();
        let ended_at = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + ended_at);
        let lines = output.lines().map(|line| self.report.redactor.redact_line(line) + "\n");
        let output = lines.collect::<String>();
        let last_lines =
            vec![format!("{} ({}) at {ended_at}", end.result, end_text(end.exit, end.signal)), format!("unit {unit}")];
        Ok(PastRun { task, exit: end.exit, signal: end.signal, duration: end.duration, output, last_lines })
    }

    fn path(&self, unit: &UnitName) -> PathBuf {
        self.root.join(STATE).join(unit.as_str())
    }

    /// What is remembered of it. A file that makes no sense says that it failed, and nothing more.
    fn open(&self, unit: &UnitName) -> Option<Open> {
        let text = std::fs::read(self.path(unit)).ok()?;
        let nothing = UnitEnd { result: "unknown".into(), exit: Some(1), signal: None, duration: 0 };
        let open = serde_json::from_slice(&text).ok().filter(|open: &Open| open.format == 1);
        Some(open.unwrap_or(Open { format: 1, told_at: Timestamp(0), n_untold: 0, end: nothing }))
    }

    fn all_open(&self) -> Result<Vec<(UnitName, Open)>, UnitError> {
        let path = self.root.join(STATE);
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(UnitError::State { path, source }),
        };
        let units = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Ok(units.filter_map(|unit| self.open(&unit).map(|open| (unit, open))).take(UNITS_MAX).collect())
    }

    fn remember(&self, unit: &UnitName, open: &Open) -> Result<(), UnitError> {
        let path = self.path(unit);
        // A name that no unit has.
        let new = self.root.join(STATE).join(format!(".{unit}"));
        let written = (|| {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(&new, serde_json::to_vec(open)?)?;
            std::fs::rename(&new, &path)
        })();
        written.map_err(|source| UnitError::State { path, source })
    }

    fn forget(&self, unit: &UnitName) -> Result<(), UnitError> {
        let path = self.path(unit);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(UnitError::State { path, source: error }),
            _ => Ok(()),
        }
    }

    async fn timer(&self, verb: &str) {
        if let Err(error) = self.systemd.control(&[verb, "--no-block", TIMER]).await {
            tracing::debug!(%error, verb, "the timer is as it was");
        }
    }
}

impl UnitEnd {
    fn is_good(&self) -> bool {
        is_good_end(self.exit, self.signal)
    }

    fn in_words(&self, unit: &UnitName, n_before: u64) -> String {
        let times = match n_before {
            0 => String::new(),
            n => format!(", and {n} more times since the last report"),
        };
        format!("{unit} failed: {} ({}){times}", self.result, end_text(self.exit, self.signal))
    }
}

fn property<'a>(found: &'a Properties, name: &str) -> &'a str {
    found.get(name).map_or("", String::as_str)
}

fn number(found: &Properties, name: &str) -> Option<u64> {
    property(found, name).parse().ok()
}

/// How the run ended. What was told is of that run; the properties may already be those of the next one.
fn unit_end(found: &Properties, told: &LastEnd) -> UnitEnd {
    let shown = match (property(found, "Result"), property(found, "ActiveState")) {
        ("" | "success", "failed") => "failed",
        ("", _) => "success",
        (result, _) => result,
    };
    let result = told.result.clone().unwrap_or_else(|| shown.to_owned());
    let (code, status) = match &told.result {
        Some(_) => (told.code.as_deref().unwrap_or_default(), told.status.as_deref().unwrap_or_default()),
        None => (property(found, "ExecMainCode"), property(found, "ExecMainStatus")),
    };
    let (exit, signal) = match code {
        // CLD_EXITED; CLD_KILLED and CLD_DUMPED.
        "exited" | "1" => (status.parse().ok(), None),
        "killed" | "dumped" | "2" | "3" => (None, status.parse().ok().or_else(|| signal_number(status))),
        _ => (None, None),
    };
    let (exit, signal) = match (result.as_str(), exit, signal) {
        ("success", ..) => (Some(0), None),
        (_, _, Some(signal)) => (None, Some(signal)),
        // The command ended well, or never ran: what failed is the unit.
        (_, Some(0) | None, None) => (Some(1), None),
        (_, exit, None) => (exit, None),
    };
    let (start, end) =
        (number(found, "ExecMainStartTimestampMonotonic"), number(found, "ExecMainExitTimestampMonotonic"));
    let micros = end.zip(start.filter(|start| *start > 0)).and_then(|(end, start)| end.checked_sub(start));
    UnitEnd { result, exit, signal, duration: micros.unwrap_or(0) / 1_000 }
}

fn signal_number(name: &str) -> Option<i32> {
    const NAMES: [(&str, i32); 15] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("TRAP", 5),
        ("ABRT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
    ];
    NAMES.iter().find(|(of, _)| *of == name).map(|(_, number)| *number)
}

/// What a look does about a unit that failed.
fn next(open: &Open, found: &Properties, now: Timestamp, monotonic: Duration) -> Next {
    let active_since = number(found, "ActiveEnterTimestampMonotonic").map(Duration::from_micros).unwrap_or_default();
    // It was stopped (killed, and that is a success), or exited with 0. `systemctl reset-failed` is no run, and a unit that has not run since
    // the boot has neither code nor status.
    let ended_well = match property(found, "ExecMainCode") {
        "1" => property(found, "ExecMainStatus") == "0",
        code => code == "2",
    };
    match (property(found, "ActiveState"), property(found, "Result")) {
        ("active", _) if monotonic.saturating_sub(active_since) >= ACTIVE_FOR => Next::Recovered,
        ("inactive", "success") if ended_well => Next::Recovered,
        ("inactive", _) if property(found, "LoadState") == "not-found" => Next::Forget,
        _ if open.n_untold > 0 && !open.is_told_lately(now) => Next::TellCount,
        _ => Next::Wait,
    }
}

#[cfg(test)]
mod tests;

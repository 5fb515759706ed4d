//! Reports a run that somebody else has followed to its end, in the way of `exec`: the run file, the output in the log dir, the agent's bell.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use olog_proto::{TaskName, Timestamp, event::is_good_end};

use super::{Report, Rung, tell_end};
use crate::{
    boot,
    identity::RandomSource,
    kept::{self, KeptOutput, KeptRun},
    runs::{self, RunFile, Start},
};

/// A run that is over.
#[derive(Debug, PartialEq, Eq)]
pub struct PastRun {
    /// The task.
    pub task: TaskName,
    /// Its exit code, if it exited.
    pub exit: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// How long it ran, in milliseconds.
    pub duration: u64,
    /// What it wrote, without secrets; at most 16 KiB.
    pub output: String,
    /// The lines at the end of the file that keeps the output.
    pub last_lines: Vec<String>,
}

/// Why a run is not reported.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// No randomness for the run's id.
    #[error("no random bytes")]
    RandomBytes(#[source] io::Error),
    /// Neither run file nor agent nor log dir took it.
    #[error("the run of {task} is not recorded: {told}; and its output is not kept: {kept}")]
    NotRecorded {
        /// The task.
        task: TaskName,
        /// Why the agent does not learn of it.
        told: String,
        /// Why no log dir takes it.
        kept: io::Error,
    },
}

/// Reports it. It ended now.
pub async fn record(run: &PastRun, report: &Report<'_>, chance: &mut dyn RandomSource) -> Result<(), RecordError> {
    let mut id = [0; 8];
    chance.fill(&mut id).map_err(RecordError::RandomBytes)?;
    let stamp = boot::stamp(report.clock.now());
    let start = Start {
        format: runs::FORMAT,
        task: run.task.clone(),
        run: id.iter().map(|b| format!("{b:02x}")).collect(),
        uid: rustix::process::getuid().as_raw(),
        at: Timestamp(stamp.at.0.saturating_sub(i64::try_from(run.duration).unwrap_or(i64::MAX))),
        boot: stamp.boot,
        up: stamp.up.saturating_sub(run.duration),
    };
    let file = RunFile::begin(&report.folders, &start);
    let keep = |is_reported| {
        let output = KeptOutput { head: run.output.as_bytes(), n_left_out: 0, tail: b"" };
        let is_good = is_good_end(run.exit, run.signal);
        let (task, run, last_lines) = (&run.task, start.run.as_str(), run.last_lines.as_slice());
        kept::keep(&report.log_dirs, &KeptRun { task, run, is_reported, is_good, output, last_lines })
    };
    let kept = file.is_ok().then(|| keep(true));
    let output = BASE64.encode(&run.output);
    let ended = runs::RunEnd { exit: run.exit, signal: run.signal, duration: run.duration, output };
    let told = tell_end(&start, ended, file, Ok(Rung::Away), report).await;
    let kept = kept.unwrap_or_else(|| keep(told.is_ok()));
    match (told, kept) {
        (Err(told), Err(kept)) => Err(RecordError::NotRecorded { task: run.task.clone(), told, kept }),
        // The watcher reads the file.
        (Err(error), Ok(path)) => {
            tracing::debug!(error, path = %path.display(), "only this file reports the run");
            Ok(())
        }
        (Ok(()), Err(error)) => {
            tracing::debug!(%error, "the output is not kept");
            Ok(())
        }
        (Ok(()), Ok(_)) => Ok(()),
    }
}

//! Builds the event that a device's agent would send for an action of a scenario.

use std::collections::HashMap;

use olog_proto::{EventContent, Excerpt, File, Growth, LogKind, Timestamp, fingerprint};

use super::scenario::{Log, LogChange, RunEnd};

/// The files of a device: which hold text.
pub(super) type Files = HashMap<String, bool>;

/// The event of a file that is written at that instant, for the `n`th time.
pub(super) fn log(files: &mut Files, log: &Log, at: Timestamp, n: u64, clock: &str) -> EventContent {
    let was_there = files.contains_key(&log.path);
    let is_log = log.suffix == LogKind::Log;
    let sibling = log.path.strip_suffix(".log").map(|stem| format!("{stem}.err"));
    let sibling_err = sibling.is_some_and(|err| files.get(&err).copied().unwrap_or(false));
    let file = |change: Growth, text: &str| File {
        task: log.task.clone(),
        suffix: log.suffix,
        path: log.path.clone(),
        change,
        began_at: (is_log && change != Growth::Grown).then(|| olog_proto::DeviceTime(at.plus(-log.took))),
        closed: !log.is_open,
        sibling_err: is_log && sibling_err,
        history: false,
        fingerprints: if log.suffix.is_error() { fingerprint::fingerprints(text) } else { Vec::new() },
    };
    let text = |text: &str| text.replace("{n}", &n.to_string()).replace("{time}", clock);
    let (what, has_text) = match &log.change {
        LogChange::Text(words) => {
            let words = text(words);
            let change = match (was_there, is_log) {
                (false, _) => Growth::Created,
                (true, true) => Growth::Rewritten,
                (true, false) => Growth::Grown,
            };
            (EventContent::Text { file: file(change, &words), excerpt: Excerpt::of(&words) }, true)
        }
        LogChange::Grows(words) => {
            let words = text(words);
            (EventContent::Text { file: file(Growth::Grown, &words), excerpt: Excerpt::of(&words) }, true)
        }
        LogChange::Same(times) => (EventContent::Seen { file: file(Growth::Rewritten, ""), times: *times }, true),
        change @ (LogChange::Emptied | LogChange::Deleted) => {
            let deleted = *change == LogChange::Deleted;
            let (task, suffix, path) = (log.task.clone(), log.suffix, log.path.clone());
            (EventContent::Cleared { task, suffix, path, deleted }, false)
        }
    };
    files.insert(log.path.clone(), has_text);
    what
}

/// The event of a run by `exec` that starts or ends.
pub(super) fn run(task: &olog_proto::TaskName, end: Option<&RunEnd>, n: u64, clock: &str) -> EventContent {
    let (task, run) = (task.clone(), format!("{n}"));
    let Some(end) = end else { return EventContent::RunStarted { task, run } };
    let text = end.text.replace("{n}", &n.to_string()).replace("{time}", clock);
    EventContent::RunEnded {
        task,
        run,
        exit: end.exit,
        signal: end.signal,
        duration: u64::try_from(end.took).unwrap_or(0),
        excerpt: Excerpt::of(&text),
        fingerprints: fingerprint::fingerprints(&text),
    }
}

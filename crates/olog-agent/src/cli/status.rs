//! What `status` and `join` print, in the language of the terminal.
//!
//! The sentences are in the catalogue of the terminal (`terminal.*.ftl`), which the hub's verbs use too. The agent has no key for a language:
//! a verb is read by whoever typed it, so the shell's `LC_ALL`, `LC_MESSAGES` or `LANG` decides: Chinese if it begins with `zh`,
//! else English.

use olog_daemon::workers::WorkerState;
use olog_proto::Note;
use olog_push::words::{Arg, Language, Localizer};

use crate::{agent::line, fallback, socket::Status};

/// Less than this between the clocks is normal.
const SKEW_SHOWN: u64 = 10_000;

/// For whoever has typed the verb.
pub(super) fn of_terminal(now: olog_proto::Timestamp) -> Localizer {
    Localizer { language: Language::of_terminal(), timezone: fallback::timezone(), now }
}

/// What to type on a device that has no hub yet.
pub(super) fn not_joined(say: &Localizer, hub_is_here: bool) -> String {
    say.word(if hub_is_here { "agent-not-joined-here" } else { "agent-not-joined" })
}

/// How the agent is.
pub(super) fn show(say: &Localizer, status: &Status) -> String {
    let hub = match (&status.hub, status.connected) {
        (None, _) => not_joined(say, line::hub_is_here()),
        (Some(hub), true) => say.text("agent-connected", &[text("hub", hub)]),
        (Some(hub), false) => {
            let why = status.trouble.as_deref().map(|trouble| say.language.phrase(trouble));
            let why = why.unwrap_or_else(|| say.word("agent-trying"));
            say.text("agent-not-connected", &[text("hub", hub), text("why", &why)])
        }
    };
    let mut lines = vec![
        say.text("agent-head", &[text("device", &status.device), text("version", &status.version), text("hub", &hub)]),
        say.text(
            "agent-waiting",
            &[n("events", status.spool), n("bytes", status.spool_bytes), n("acked", status.acked)],
        ),
        say.text("agent-watching", &[n("files", status.watched_files), n("folders", status.watched_folders)]),
    ];
    for run in &status.runs {
        let (task, since) = (run.task.to_string(), say.time(run.since));
        lines.push(say.text("agent-running", &[text("task", &task), text("since", &since), n("uid", run.uid.into())]));
    }
    if let Some(skew) = status.skew.map(i64::unsigned_abs).filter(|skew| *skew > SKEW_SHOWN) {
        let span = say.duration(i64::try_from(skew).unwrap_or(i64::MAX));
        lines.push(say.text("agent-skew", &[text("span", &span)]));
    }
    lines.extend(status.notes.iter().map(|note| problem(say, note)));
    for worker in &status.workers {
        if worker.state == WorkerState::Stuck {
            lines.push(say.text("agent-stuck", &[text("worker", &worker.name)]));
        }
        for duty in worker.duties.iter().filter(|duty| duty.failing_since_at.is_some()) {
            let lasts = duty.failing_for().map_or(0, |span| i64::try_from(span.as_millis()).unwrap_or(i64::MAX));
            let why = duty.error.as_deref().unwrap_or_default();
            let args = [
                text("span", &say.duration(lasts)),
                text("duty", &duty.name),
                text("worker", &worker.name),
                text("why", why),
            ];
            lines.push(say.text("agent-failing", &args));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// In Chinese the problem in words, then the text, which names the cause.
fn problem(say: &Localizer, note: &Note) -> String {
    let path = note.path.as_deref().unwrap_or_default();
    let in_words = say.text("agent-problem", &[text("code", &note.code), text("path", path)]);
    let path = note.path.as_deref().map(|path| format!("{path}: ")).unwrap_or_default();
    say.text("agent-note", &[text("problem", &in_words), text("path", &path), text("text", &note.text)])
}

/// A text as an argument of a sentence.
pub(super) fn text(name: &'static str, value: &str) -> Arg<'static> {
    (name, value.to_owned().into())
}

/// A number as an argument of a sentence.
pub(super) fn n(name: &'static str, value: u64) -> Arg<'static> {
    (name, value.into())
}

#[cfg(test)]
mod tests {
    use olog_proto::{Timestamp, event::Id128};

    use super::*;

    fn status() -> Status {
        Status {
            version: "0.1.0".into(),
            device: "comsrv".into(),
            joined: true,
            hub: Some("https://hub:8765".into()),
            connected: true,
            trouble: None,
            skew: None,
            spool: 0,
            spool_bytes: 0,
            epoch: Id128([0; 16]),
            last: 0,
            acked: 12_345,
            watched_files: 1,
            watched_folders: 2,
            runs: Vec::new(),
            notes: Vec::new(),
            workers: Vec::new(),
        }
    }

    #[track_caller]
    fn check(language: Language, change: impl FnOnce(&mut Status), expected: &str) {
        let mut status = status();
        change(&mut status);
        let say = Localizer { language, timezone: chrono_tz::UTC, now: Timestamp(0) };
        let shown = show(&say, &status);
        assert!(shown.contains(expected), "{shown}");
        // A key that no catalogue has is shown as itself.
        assert!(
            !shown.contains("agent-") || shown.matches("agent-").count() == shown.matches("olog-agent").count(),
            "{shown}"
        );
    }

    #[test]
    fn the_status_is_in_the_language_of_the_terminal() {
        check(
            Language::En,
            |_| {},
            "comsrv (olog-agent 0.1.0): connected to https://hub:8765\nwaiting for the hub: 0 events, 0 bytes; acknowledged through 12345\n\
             watching 1 file in 2 folders\n",
        );
        check(
            Language::ZhCn,
            |_| {},
            "comsrv（olog-agent 0.1.0）：已连接 https://hub:8765\n等待发送：0 个事件，0 字节；服务端已确认到第 12345 号\n\
             正在监视 2 个目录中的 1 个文件\n",
        );
        let away = |s: &mut Status| (s.connected, s.trouble) = (false, Some("DNS: no such host".into()));
        check(Language::En, away, "not connected to https://hub:8765: DNS: no such host\n");
        check(Language::ZhCn, away, "未连接 https://hub:8765：DNS: no such host\n");
        check(Language::ZhCn, |s| s.skew = Some(-120_000), "本设备的时钟与服务端相差 2 分钟\n");
        check(Language::ZhCn, |s| s.hub = None, "尚未加入服务端：");
    }

    #[test]
    fn a_problem_is_told_in_words_and_with_its_text() {
        let note = |s: &mut Status| {
            s.notes = vec![Note {
                code: "log_dir_unreadable".into(),
                path: Some("/srv/x".into()),
                text: "Permission denied".into(),
                over: false,
                once: false,
            }];
        };
        check(Language::En, note, "problem: /srv/x: Permission denied\n");
        check(Language::ZhCn, note, "问题：/srv/x 的日志目录无法读取（/srv/x: Permission denied）\n");
    }
}

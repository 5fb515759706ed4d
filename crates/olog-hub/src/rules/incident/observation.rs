//! Classifies an event of a task: an error, a run, or neither.

use olog_proto::{
    DeviceTime, Event, EventContent, Excerpt, FINGERPRINTS_MAX, File, Fingerprint, FingerprintText, Growth, LogKind,
    Timestamp,
    event::{end_text, is_good_end},
    fingerprint,
};

use olog_push::FailedRun;

/// When something happened, and when the hub heard of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct EventTimes {
    /// By the event, in the hub's time.
    pub(super) at: Timestamp,
    /// The hub's now.
    pub(super) now: Timestamp,
}

/// An error.
#[derive(Debug)]
pub(super) struct ErrorSign<'a> {
    pub(super) moment: EventTimes,
    pub(super) times: u64,
    /// Empty for a run by `exec`.
    pub(super) path: &'a str,
    pub(super) excerpt: Excerpt,
    pub(super) fingerprints: Vec<Fingerprint>,
    /// How the run ended, if it is one by `exec`.
    pub(super) run: Option<FailedRun>,
    /// For the report only.
    pub(super) is_silent: bool,
    /// A channel of the agent's own has accepted it.
    pub(super) is_told: bool,
    /// More of what was there before, …
    pub(super) is_more: bool,
    /// … and more may come: its writer still has the file open.
    pub(super) is_unfinished: bool,
}

/// A run that left a log.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunSign {
    pub(super) moment: EventTimes,
    /// When the log was made or emptied, where that is known.
    pub(super) began_at: Option<Timestamp>,
    /// That was by this run: all of the log is its own.
    pub(super) is_new: bool,
    pub(super) is_closed: bool,
    /// The error file beside the log holds text.
    pub(super) beside_error: bool,
}

impl<'a> ErrorSign<'a> {
    /// New text in an error file, or (`times`) the same again, of which `excerpt` is what it said last.
    pub(super) fn of_file(event: &Event, file: &'a File, moment: EventTimes, times: u64, excerpt: Excerpt) -> Self {
        ErrorSign {
            moment,
            times: times.max(1),
            path: &file.path,
            fingerprints: hashes(&file.fingerprints, &excerpt),
            excerpt,
            run: None,
            is_silent: file.suffix == LogKind::Scanerr,
            is_told: is_told(event),
            is_more: file.change == Growth::Grown,
            is_unfinished: !file.closed,
        }
    }

    /// A run by `exec` that was under way when its machine restarted. The words are the agent's own for this, so that both
    /// are one error.
    pub(super) fn of_vanished_run(moment: EventTimes) -> ErrorSign<'static> {
        let excerpt = Excerpt::of("the machine restarted during this run: how the run ended is unknown");
        ErrorSign {
            moment,
            times: 1,
            path: "",
            fingerprints: hashes(&[], &excerpt),
            excerpt,
            run: None,
            is_silent: false,
            is_told: false,
            is_more: false,
            is_unfinished: false,
        }
    }

    /// A run by `exec` that failed.
    pub(super) fn of_run(
        event: &Event,
        moment: EventTimes,
        texts: &[FingerprintText],
        excerpt: Excerpt,
        run: FailedRun,
    ) -> Self {
        let fingerprints = hashes(texts, &excerpt);
        ErrorSign {
            moment,
            times: 1,
            path: "",
            excerpt,
            fingerprints,
            run: Some(run),
            is_silent: false,
            is_told: is_told(event),
            is_more: false,
            is_unfinished: false,
        }
    }
}

impl RunSign {
    /// A log that was written.
    pub(super) fn of_file(event: &Event, file: &File, moment: EventTimes) -> RunSign {
        // The beginning is by the same clock as the event.
        let began_at = |began: DeviceTime| moment.at.plus(began.since(event.at));
        RunSign {
            moment,
            began_at: file.began_at.map(began_at),
            is_new: file.change != Growth::Grown,
            is_closed: file.closed,
            beside_error: file.sibling_err,
        }
    }
}

/// Can it be a sign of health? Whether it is one, the rule decides.
pub(super) fn may_end(what: &EventContent) -> bool {
    match what {
        EventContent::Text { file, .. } | EventContent::Seen { file, .. } => file.suffix == LogKind::Log,
        EventContent::Cleared { .. } => true,
        EventContent::RunEnded { exit, signal, .. } => is_good_end(*exit, *signal),
        EventContent::RunStarted { .. } | EventContent::Note(_) => false,
    }
}

/// Did a channel of the agent's own accept it?
pub(super) fn is_told(event: &Event) -> bool {
    event.pushed.as_ref().is_some_and(|pushed| pushed.accepted_at.is_some())
}

/// What a shell would say of a run that ended without a word.
pub(super) fn exit_line(exit: Option<i32>, signal: Option<i32>) -> Excerpt {
    Excerpt::of(&end_text(exit, signal))
}

/// A path as the facts remember it. FNV-1a: stored, so it has to be the same in every build; the paths of one task are few.
pub(super) fn hash(path: &str) -> u64 {
    path.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

fn hashes(texts: &[FingerprintText], excerpt: &Excerpt) -> Vec<Fingerprint> {
    if !texts.is_empty() {
        return texts.iter().take(FINGERPRINTS_MAX).map(FingerprintText::fingerprint).collect();
    }
    fingerprint::fingerprints(excerpt.head()).iter().map(FingerprintText::fingerprint).collect()
}

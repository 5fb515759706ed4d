//! The cards of "to do now": one for each problem, and one for an error that several devices or tasks have.
//!
//! Errors are one only if all their fingerprints agree: two errors may share a first line. A card carries what a person does next:
//! the ssh line of its devices, and the command that acknowledges all of its incidents.

use std::collections::HashMap;

use olog_proto::Fingerprint;
use olog_proto::fingerprint::{FingerprintText, fingerprints};
use olog_push::notice::{OpenProblem, ProblemKind};
use olog_push::words::{Localizer, ssh};

use super::cut::{NAME, cut, last_lines};

/// Names of one error that several have, and their ssh lines.
const NAMES: usize = 12;
const LOG_INS: usize = 3;

/// Something to do.
#[derive(Default)]
pub(super) struct Card {
    pub(super) class: &'static str,
    pub(super) mark: &'static str,
    pub(super) word: String,
    pub(super) name: String,
    pub(super) number: String,
    pub(super) meta: Vec<String>,
    pub(super) text: String,
    /// The ssh lines of its devices, as many as are shown.
    pub(super) log_in: Vec<String>,
    /// The command that acknowledges it, unless that is done.
    pub(super) acknowledge: Option<String>,
    /// How many incidents it stands for.
    pub(super) n: u64,
}

/// Problems in their order; errors whose fingerprints all agree, of whichever devices and tasks, are one.
pub(super) fn one_error_each(problems: &[OpenProblem]) -> Vec<Vec<&OpenProblem>> {
    let mut all: Vec<Vec<&OpenProblem>> = Vec::new();
    let mut known: HashMap<Vec<Fingerprint>, usize> = HashMap::new();
    for problem in problems {
        let error: Vec<Fingerprint> = match problem.trouble {
            ProblemKind::TaskErr => fingerprints(&problem.text).iter().map(FingerprintText::fingerprint).collect(),
            _ => Vec::new(),
        };
        let place = *known.entry(error.clone()).or_insert(all.len());
        match all.get_mut(place).filter(|_| !error.is_empty()) {
            Some(same) => same.push(problem),
            None => all.push(vec![problem]),
        }
    }
    all
}

/// One problem, or one error of several devices or tasks.
pub(super) fn card(say: &Localizer, same: &[&OpenProblem]) -> Card {
    let Some(first) = same.first() else { return Card::default() };
    let mut whole = OpenProblem::clone(first);
    whole.since = same.iter().map(|problem| problem.since).min().unwrap_or(first.since);
    whole.n_seen = same.iter().map(|problem| problem.n_seen).fold(0, u64::saturating_add);
    if same.len() > 1 {
        (whole.last_good_at, whole.begun, whole.recovered_at) = (None, None, None);
        whole.acknowledged_at = same.iter().map(|problem| problem.acknowledged_at).min().flatten();
    }
    let mut card = card_of(say, &whole);
    card.n = same.len() as u64;
    if same.len() > 1 {
        let names: Vec<String> = same.iter().take(NAMES).map(|problem| cut(&problem.name, NAME)).collect();
        let left = same.len().saturating_sub(names.len()) as u64;
        let more =
            if left > 0 { format!(" {}", say.text("report-more", &[("n", left.into())])) } else { String::new() };
        card.name = format!("{}: {}{more}", say.text("page-same-error", &[("n", card.n.into())]), say.list(&names));
    }
    let numbers = |open: bool| {
        let mut numbers: Vec<u64> = same
            .iter()
            .filter(|problem| !open || problem.acknowledged_at.is_none())
            .filter_map(|problem| problem.incident)
            .collect();
        numbers.sort_unstable();
        numbers
    };
    card.number = ranges(&numbers(false)).iter().map(|range| format!("#{range}")).collect::<Vec<_>>().join(" ");
    let open = ranges(&numbers(true));
    card.acknowledge = (!open.is_empty()).then(|| format!("olog-hub incident ack {}", open.join(" ")));
    let mut log_in: Vec<String> = Vec::new();
    for line in same.iter().filter_map(|problem| ssh(problem.address.as_deref()?)) {
        if !log_in.contains(&line) && log_in.len() < LOG_INS {
            log_in.push(line);
        }
    }
    card.log_in = log_in;
    card
}

/// `3`, `5-9`: ascending numbers as the verbs take them.
fn ranges(numbers: &[u64]) -> Vec<String> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *number <= last.saturating_add(1) => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    let written = |(from, to): &(u64, u64)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    ranges.iter().map(written).collect()
}

fn card_of(say: &Localizer, matter: &OpenProblem) -> Card {
    let (class, mark) = match matter.trouble {
        ProblemKind::TaskLost | ProblemKind::DeviceLost | ProblemKind::NeverJoined => ("lost", "■"),
        ProblemKind::TaskErr | ProblemKind::Note | ProblemKind::Channel => ("err", "▲"),
    };
    let mut meta = Vec::new();
    let span = say.duration(say.now.since(matter.since));
    let since = [("time", say.time(matter.since).into()), ("span", span.clone().into())];
    match matter.trouble {
        ProblemKind::NeverJoined => meta.push(say.word("report-never-joined")),
        ProblemKind::TaskLost => {
            let due = matter.due_at.unwrap_or(matter.since);
            meta.push(say.text("page-due-since", &[("time", say.time(due).into()), ("span", span.into())]));
            if matter.n_seen > 1 {
                meta.push(say.text("page-missed", &[("n", matter.n_seen.into())]));
            }
        }
        _ => match matter.recovered_at {
            // It is over for now, and not for good.
            Some(at) => {
                meta.push(say.word("report-comes-and-goes"));
                meta.push(say.text("report-recovered", &[("time", say.time(at).into())]));
            }
            None => meta.push(say.text("page-since", &since)),
        },
    }
    meta.extend(matter.begun.map(|begun| {
        say.text("report-begun", &[("n", begun.n_begun.into()), ("time", say.time(begun.first_at).into())])
    }));
    if matter.n_seen > 1 && matter.trouble != ProblemKind::TaskLost {
        meta.push(say.text("page-times", &[("n", matter.n_seen.into())]));
    }
    meta.extend(matter.last_good_at.map(|at| say.text("report-last-good", &[("time", say.time(at).into())])));
    meta.extend(match matter.acknowledged_at {
        Some(at) => Some(say.text("page-acknowledged", &[("time", say.time(at).into())])),
        None => matter.incident.map(|_| say.word("report-not-acknowledged")),
    });
    let name = match matter.n_devices {
        0 | 1 => cut(&matter.name, NAME),
        several => format!("{}: {}", say.text("count-devices", &[("n", several.into())]), cut(&matter.name, 4 * NAME)),
    };
    Card {
        class,
        mark,
        word: say.trouble(matter.trouble),
        name,
        number: matter.incident.map_or_else(String::new, |number| format!("#{number}")),
        meta,
        text: last_lines(&matter.text, 2),
        ..Card::default()
    }
}

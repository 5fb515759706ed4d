//! Wording of the daily report's message: the result in the title, the open problems, and the link to the page. Without a link the
//! message contains the whole report, worst first, as far as the channel's limits allow.
//!
//! The title says "all OK" only if nothing was wrong in the whole window; if problems were resolved in it, the title counts them.

use std::collections::HashMap;

use olog_proto::Excerpt;

use super::catalogue::{Arg, Localizer};
use super::entry::MessageItem;
use super::page::{Page, Part};
use super::{TITLE_MAX, cut};
use crate::Content;
use crate::notice::{ClosedIncident, ListedDevice, OpenProblem, ProblemKind, ReportFacts, StateCounts};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Matters in a push that has a link.
const MATTERS: usize = 5;
/// Characters of a name.
const NAME_MAX: usize = 60;
/// Names in a line.
const NAMES: usize = 15;
/// Characters of a matter's text.
const TEXT_MAX: usize = 160;

/// Title, telling line and page. Without a link `budget` bounds the lines of each list.
pub(super) fn write(say: &Localizer, entry: &MessageItem<'_>, budget: Option<usize>) -> (String, String, Page) {
    let Content::Report(facts) = &entry.notice.content else { return Default::default() };
    let mut page = Page::default();
    let lines = match (&facts.link, budget) {
        (Some(_), _) => MATTERS,
        (None, None) => usize::MAX,
        (None, Some(budget)) => (budget / 5).max(MATTERS),
    };
    let is_good = facts.n_now == 0;
    page.push(Part::Text(say.late(facts.made_at, window(say, facts, is_good))));
    if !is_good {
        page.push(Part::Head(say.text("report-to-do", &[n(facts.n_now)])));
        for (place, matter) in facts.now.iter().take(lines).enumerate() {
            page.push(Part::Text(format!("{} {}", place + 1, matter_line(say, matter))));
        }
        more(say, facts.n_now, facts.now.len().min(lines), &mut page);
    }
    page.push(Part::Text(say.sentences(sums(say, facts))));
    match &facts.link {
        Some(url) => page.push(Part::Link { label: say.word("report-open"), url: url.clone() }),
        None => whole(say, facts, lines, &mut page),
    }
    (title(say, facts), telling(say, facts), page)
}

/// A count as a sentence takes it.
fn n(n: u64) -> Arg<'static> {
    ("n", n.into())
}

fn title(say: &Localizer, facts: &ReportFacts) -> String {
    let state = say.word("state-report");
    let fits = |title: &String| title.chars().count() <= TITLE_MAX;
    if facts.n_now == 0 {
        let args = [("devices", facts.devices.all().into()), ("tasks", facts.tasks.all().into())];
        let key = match (facts.devices.all(), facts.n_over) {
            (0, _) => "report-no-devices",
            (_, 0) => "report-all-ok-of",
            (_, n_over) => {
                return cut::end(&format!("{state} {}", say.text("report-ok-now", &[n(n_over)])), TITLE_MAX);
            }
        };
        let whole = format!("{state} {}", say.text(key, &args));
        return if fits(&whole) { whole } else { format!("{state} {}", say.word("report-all-ok")) };
    }
    let StateCounts { ok, err, lost } = facts.devices;
    if err + lost == 0 {
        return cut::end(&format!("{state} {}", say.text("report-n-to-do", &[n(facts.n_now)])), TITLE_MAX);
    }
    let mut title = state;
    for (key, count) in [("report-n-err", err), ("report-n-lost", lost), ("report-n-ok", ok)] {
        let longer = format!("{title} {}", say.text(key, &[n(count)]));
        if count > 0 && fits(&longer) {
            title = longer;
        }
    }
    title
}

fn telling(say: &Localizer, facts: &ReportFacts) -> String {
    if let Some(worst) = facts.now.first() {
        let name = cut::middle(&worst.name, NAME_MAX);
        let since = worst.last_good_at.filter(|_| worst.trouble == ProblemKind::TaskLost).unwrap_or(worst.since);
        let span = facts.made_at.since(since);
        // Of days the hours say nothing.
        let span = say.duration(if span >= 2 * DAY { span / DAY * DAY } else { span });
        if let Some(begun) = worst.begun.filter(|_| worst.recovered_at.is_some()) {
            return say.text("report-telling-comes-and-goes", &[("name", name.into()), n(begun.n_begun.into())]);
        }
        let args = [("name", name.into()), ("span", span.into()), n(worst.n_devices)];
        return say.text(trouble_telling(worst), &args);
    }
    facts.proof.iter().max_by_key(|proof| proof.ended_at).map_or_else(String::new, |last| {
        let args = [("name", last.name.as_str().into()), ("time", say.time(last.ended_at).into())];
        say.text("report-last-done", &args).trim_end_matches(['.', '。']).to_owned()
    })
}

fn trouble_telling(matter: &OpenProblem) -> &'static str {
    match matter.trouble {
        ProblemKind::TaskLost => "report-telling-task-lost",
        ProblemKind::TaskErr => "report-telling-task-err",
        ProblemKind::DeviceLost if matter.n_devices > 1 => "report-telling-devices-lost",
        ProblemKind::DeviceLost => "report-telling-device-lost",
        ProblemKind::NeverJoined => "report-telling-never-joined",
        ProblemKind::Note => "report-telling-note",
        ProblemKind::Channel => "report-telling-channel",
    }
}

/// `24 h to 23 Nov 11:00: no error, nothing lost.`
fn window(say: &Localizer, facts: &ReportFacts, is_good: bool) -> String {
    let span = facts.to.since(facts.from);
    // A day is "24 h" here: it says that nothing is left out.
    let hours = u64::try_from(span / HOUR).unwrap_or(0);
    let span = if span == DAY { say.text("span-h", &[n(hours)]) } else { say.duration(span) };
    let args = [
        ("from", say.day_time(facts.from).into()),
        ("to", say.day_time(facts.to).into()),
        ("span", span.into()),
        ("devices", facts.devices.all().into()),
        ("tasks", facts.tasks.all().into()),
    ];
    let key = match (is_good, facts.n_over) {
        (true, 0) => "report-window-good",
        (true, _) => "report-window-over",
        (false, _) => "report-window-bad",
    };
    say.text(key, &args)
}

/// What was over, what is new, what was sent.
fn sums(say: &Localizer, facts: &ReportFacts) -> Vec<String> {
    let site = facts.over.iter().filter(|ended| ended.n_devices > 1).max_by_key(|ended| ended.n_devices);
    let mut sums = vec![match site {
        None => say.text("report-over", &[n(facts.n_over)]),
        Some(site) => {
            let span = say.duration(site.ended_at.since(site.began_at));
            say.text("report-over-site", &[n(facts.n_over), ("devices", site.n_devices.into()), ("span", span.into())])
        }
    }];
    if let Some(last) = facts.proof.iter().max_by_key(|proof| proof.ended_at).filter(|_| facts.n_now == 0) {
        sums.push(say.text(
            "report-last-done",
            &[("name", last.name.as_str().into()), ("time", say.time(last.ended_at).into())],
        ));
    }
    if facts.n_new + facts.n_gone > 0 {
        sums.push(say.text("report-changed", &[("new", facts.n_new.into()), ("gone", facts.n_gone.into())]));
    }
    let sent = &facts.sent;
    sums.push(say.text("report-sent", &[("sent", sent.accepted.into()), ("refused", sent.refused.into())]));
    if sent.waiting > 0 {
        sums.push(say.text("report-waiting", &[n(sent.waiting)]));
    }
    if !sent.failing.is_empty() {
        sums.push(say.text("report-channels-failing", &[("channels", say.list(&sent.failing).into())]));
    }
    sums
}

/// Everything else that a page would show.
fn whole(say: &Localizer, facts: &ReportFacts, lines: usize, page: &mut Page) {
    if facts.n_over > 0 {
        page.push(Part::Head(say.word("report-head-over")));
        let ended = ended_alike(say, &facts.over);
        let shown = ended.iter().take(lines);
        let n_shown = shown.clone().map(Vec::len).sum();
        shown.for_each(|alike| page.push(Part::Text(ended_line(say, alike))));
        more(say, facts.n_over, n_shown, page);
    }
    for (head, names, all) in
        [("report-head-new", &facts.new, facts.n_new), ("report-head-gone", &facts.gone, facts.n_gone)]
    {
        if all > 0 {
            let by_device = by_device(say, names);
            let shown = by_device.iter().take(lines.min(NAMES));
            let n_shown = shown.clone().map(|(_, n)| n).sum();
            page.push(Part::Head(say.word(head)));
            page.push(Part::Text(say.list(&shown.map(|(name, _)| name).collect::<Vec<_>>())));
            more(say, all, n_shown, page);
        }
    }
    if facts.devices.all() > 0 {
        page.push(Part::Head(say.word("report-head-devices")));
        let (good, bad): (Vec<&ListedDevice>, Vec<&ListedDevice>) = facts.listed.iter().partition(|d| is_good(d));
        bad.iter().take(lines).for_each(|device| page.push(Part::Text(device_line(say, device))));
        more(say, facts.devices.err + facts.devices.lost, bad.len().min(lines), page);
        if facts.devices.ok > 0 {
            // What is well shares one line.
            let names: Vec<String> = good.iter().take(NAMES).map(|d| cut::middle(&d.name, NAME_MAX)).collect();
            let left = facts.devices.ok.saturating_sub(names.len() as u64);
            let args = [n(facts.devices.ok), ("devices", say.list(&names).into()), ("more", left.into())];
            page.push(Part::Text(say.text("report-devices-ok", &args)));
        }
    }
    let number = facts.number.map_or_else(|| "N".to_owned(), |number| number.to_string());
    page.push(Part::Small(say.text("report-inline", &[("number", number.into())])));
}

fn more(say: &Localizer, all: u64, shown: usize, page: &mut Page) {
    let left = all.saturating_sub(shown as u64);
    if left > 0 {
        page.push(Part::Text(say.text("report-more", &[n(left)])));
    }
}

/// `LOST backupsrv/rsync, due 03:30, last good 21 Nov`
fn matter_line(say: &Localizer, matter: &OpenProblem) -> String {
    let mut parts = vec![format!("{} {}", say.trouble(matter.trouble), cut::middle(&matter.name, NAME_MAX))];
    if let Some(due) = matter.due_at {
        parts.push(say.text("report-due", &[("time", say.time(due).into())]));
    }
    if matter.trouble == ProblemKind::TaskLost {
        parts.extend(matter.last_good_at.map(|at| say.text("report-last-good", &[("time", say.time(at).into())])));
    } else if matter.trouble == ProblemKind::NeverJoined {
        parts.push(say.word("report-never-joined"));
    } else {
        parts.extend(begun(say, matter));
    }
    if matter.trouble == ProblemKind::TaskErr && matter.acknowledged_at.is_none() {
        parts.push(say.word("report-not-acknowledged"));
    }
    let number = matter.incident.map_or_else(String::new, |number| format!(" #{number}"));
    let text = cut::end(&cut::telling_line(&Excerpt::of(&matter.text)), TEXT_MAX);
    let text = if text.is_empty() { text } else { format!(" — {text}") };
    format!("{}{number}{text}", parts.join(&format!("{}{}", say.word("report-comma"), say.word("sentence-space"))))
}

/// Since when, how often it began; of what comes and goes when it recovered for now.
fn begun(say: &Localizer, matter: &OpenProblem) -> Vec<String> {
    let times = matter.begun.map(|begun| {
        let first = ("time", say.time(begun.first_at).into());
        say.text("report-begun", &[n(begun.n_begun.into()), first])
    });
    match (matter.recovered_at, times) {
        (Some(at), times) => {
            let recovered = say.text("report-recovered", &[("time", say.time(at).into())]);
            [Some(say.word("report-comes-and-goes")), times, Some(recovered)].into_iter().flatten().collect()
        }
        (None, times) => [Some(say.duration(say.now.since(matter.since))), times].into_iter().flatten().collect(),
    }
}

/// What ended alike shares a line: the same task of several devices, at the same time and for the same reason.
fn ended_alike<'a>(say: &Localizer, all: &'a [ClosedIncident]) -> Vec<Vec<&'a ClosedIncident>> {
    let mut groups: Vec<Vec<&ClosedIncident>> = Vec::new();
    let mut known: HashMap<(ProblemKind, &str, String, String), usize> = HashMap::new();
    for ended in all {
        let task = ended.name.split_once('/').map(|(_, task)| task).filter(|_| ended.n_devices <= 1);
        let place = match task {
            None => groups.len(),
            Some(task) => {
                let range = say.range(ended.began_at, ended.ended_at);
                *known.entry((ended.trouble, task, range, ended_ground(say, ended))).or_insert(groups.len())
            }
        };
        match groups.get_mut(place) {
            Some(group) => group.push(ended),
            None => groups.push(vec![ended]),
        }
    }
    groups
}

fn ended_ground(say: &Localizer, ended: &ClosedIncident) -> String {
    ended.ground.map_or_else(String::new, |ground| format!(" {}", say.ground(ground, ended.ended_at)))
}

fn ended_line(say: &Localizer, alike: &[&ClosedIncident]) -> String {
    let Some(ended) = alike.first() else { return String::new() };
    let range = say.range(ended.began_at, ended.ended_at);
    let name = match (ended.n_devices, ended.name.split_once('/')) {
        (0 | 1, Some((_, task))) if alike.len() > 1 => {
            let devices = say.text("count-devices", &[n(alike.len() as u64)]);
            format!("{devices}/{}", cut::middle(task, NAME_MAX))
        }
        (0 | 1, _) => cut::middle(&ended.name, NAME_MAX),
        (several, _) => say.text("count-devices", &[n(several)]),
    };
    let numbers = cut::ranges(alike.iter().map(|ended| ended.incident)).replace(' ', " #");
    format!("{range} {} {name} #{numbers}{}", say.trouble(ended.trouble), ended_ground(say, ended))
}

/// Devices with their tasks in brackets, and how many names each stands for; a task of a known device as `device/task`.
fn by_device(say: &Localizer, names: &[String]) -> Vec<(String, usize)> {
    let mut devices: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in names {
        match name.split_once('/') {
            Some((device, task)) if devices.iter().any(|(known, _)| *known == device) => {
                devices.iter_mut().filter(|(known, _)| *known == device).for_each(|(_, tasks)| tasks.push(task));
            }
            _ => devices.push((name, Vec::new())),
        }
    }
    let words = |(device, tasks): (&str, Vec<&str>)| {
        let name = cut::middle(device, NAME_MAX);
        if tasks.is_empty() {
            return (name, 1);
        }
        let mut shown: Vec<String> = tasks.iter().take(NAMES).map(|task| cut::middle(task, NAME_MAX)).collect();
        let left = tasks.len().saturating_sub(shown.len()) as u64;
        if left > 0 {
            shown.push(say.text("report-more", &[n(left)]));
        }
        let args = [("name", name.into()), ("tasks", say.list(&shown).into())];
        (say.text("report-with-tasks", &args), tasks.len() + 1)
    };
    devices.into_iter().map(words).collect()
}

fn is_good(device: &ListedDevice) -> bool {
    !device.is_lost && device.tasks.err + device.tasks.lost == 0
}

fn device_line(say: &Localizer, device: &ListedDevice) -> String {
    let state = match (device.is_lost, device.tasks.err + device.tasks.lost) {
        (true, _) => "state-lost",
        (false, 0) => "state-ok",
        (false, _) => "state-err",
    };
    let counts = [
        ("report-n-err", device.tasks.err),
        ("report-n-task-lost", device.tasks.lost),
        ("report-n-ok", device.tasks.ok),
    ];
    let counts = counts.into_iter().filter(|(_, count)| *count > 0).map(|(key, count)| say.text(key, &[n(count)]));
    format!("{} {} {}", say.word(state), cut::middle(&device.name, NAME_MAX), counts.collect::<Vec<_>>().join(" "))
}

impl Localizer {
    /// The word of a trouble.
    pub fn trouble(&self, trouble: ProblemKind) -> String {
        self.word(trouble_key(trouble))
    }
}

fn trouble_key(trouble: ProblemKind) -> &'static str {
    match trouble {
        ProblemKind::TaskLost => "state-task-lost",
        ProblemKind::TaskErr => "state-err",
        ProblemKind::DeviceLost | ProblemKind::NeverJoined => "state-lost",
        ProblemKind::Note => "state-note",
        ProblemKind::Channel => "state-channel",
    }
}

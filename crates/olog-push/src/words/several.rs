//! Wording of a message with several items: the same error of many devices or tasks is one block, every other item stands by itself
//! with its own name, number and time.
//!
//! Errors form one block only if all their fingerprints agree ([`SameError`]), so that no error is hidden behind the text of another.
//! The recoveries of one block share their reason; their counts are summed, or given once where all are alike.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use olog_proto::Timestamp;

use super::catalogue::Localizer;
use super::entry::{MessageItem, SameError};
use super::one::{self, is_open};
use super::page::{Page, Part};
use super::{Context, DIGEST_AFTER, IncidentUrl, LATE_AFTER, LINKED_MAX, TITLE_MAX, cut, of_the_budget};
use crate::{Content, Notice, ResolvedBy};

/// Characters of a name in a list of names.
const NAME_MAX: usize = 80;
/// Devices that get an ssh line of their own.
const LOG_IN_MAX: usize = 3;

/// Title, telling line and page.
pub(super) fn write(
    say: &Localizer,
    context: &Context<'_>,
    entries: &[MessageItem<'_>],
    rest: &Omitted<'_, '_>,
    budget: Option<usize>,
) -> (String, String, Page) {
    let blocks = blocks(say, entries);
    let n_all = entries.len() + if rest.are_counted { rest.entries.len() } else { 0 };
    // What cannot be late, an end by silence, neither makes a digest nor keeps one from being said.
    let is_late = |entry: &&MessageItem<'_>| say.now.since(entry.late_at(say.now)) > DIGEST_AFTER;
    let mut timed = entries.iter().filter(|entry| entry.can_be_late()).peekable();
    let is_digest = timed.peek().is_some() && timed.all(|entry| is_late(&entry));
    let budget = budget.unwrap_or(match blocks.len() {
        0 | 1 => usize::MAX,
        2 | 3 => 600,
        4..=10 => 300,
        _ => 160,
    });
    let mut page = Page::default();
    let n = ("n", (n_all as u64).into());
    if is_digest {
        let oldest = entries.iter().map(|entry| entry.late_at(say.now)).min().unwrap_or(say.now);
        page.push(Part::Text(say.late(oldest, say.text("merged-digest", std::slice::from_ref(&n)))));
    } else if blocks.len() > 1 {
        page.push(Part::Text(say.text("merged", std::slice::from_ref(&n))));
    }
    for block in &blocks {
        match block.as_slice() {
            [entry] => alone(say, entry, budget, &mut page),
            errors if is_one_incident(errors) => of_one_incident(say, errors, budget, &mut page),
            [first, ..] if is_end(first) => ended(say, block, rest, &mut page),
            same => together(say, same, blocks.len() == 1 && rest.entries.is_empty(), (budget, rest), &mut page),
        }
    }
    if rest.are_counted {
        counted(say, rest, &mut page);
    } else if !rest.entries.is_empty() {
        page.push(Part::Text(say.text("and-more", &[("n", (rest.entries.len() as u64).into())])));
    }
    log_ins(say, entries, &mut page);
    acknowledge(say, context, entries, &mut page);
    let facts = vec![say.text("why", &[("why", say.text("why-merged", &[n]).into())])];
    page.push(Part::Small(say.sentences(facts)));
    let n_notices =
        entries.iter().chain(rest.entries.iter().filter(|_| rest.are_counted)).map(|e| e.places.len()).sum();
    let mut facts = of_the_budget(say, context, n_notices);
    if context.by_device {
        let again = entries.iter().map(MessageItem::by_device).find(|key| *key != "by-device");
        facts.push(say.word(again.unwrap_or("by-device")));
    }
    page.push(Part::Small(say.sentences(facts)));
    let (title, telling) = (title(say, entries, is_digest), telling(say, entries, &blocks));
    (title, telling, page)
}

/// What a message does not tell one by one.
pub(super) struct Omitted<'e, 'a> {
    pub(super) entries: &'e [MessageItem<'a>],
    /// It counts them, and that is all that is told of them; else they go with the next message.
    pub(super) are_counted: bool,
    /// Names in a list.
    pub(super) names_max: usize,
}

/// How many of the rest there are, and where; every one stands in the list of incidents.
fn counted(say: &Localizer, rest: &Omitted<'_, '_>, page: &mut Page) {
    if !rest.entries.is_empty() {
        let mut of_device: BTreeMap<&str, u64> = BTreeMap::new();
        for device in rest.entries.iter().filter_map(|entry| entry.notice.device.as_deref()) {
            *of_device.entry(device).or_default() += 1;
        }
        let mut devices: Vec<(&str, u64)> = of_device.into_iter().collect();
        devices.sort_by_key(|(_, n)| Reverse(*n));
        let mut names: Vec<String> = devices
            .iter()
            .take(rest.names_max)
            .map(|(name, n)| format!("{} {n}", cut::middle(name, NAME_MAX)))
            .collect();
        if devices.len() > names.len() {
            names.push(say.text("counted-devices", &[("n", ((devices.len() - names.len()) as u64).into())]));
        }
        let args = [("n", (rest.entries.len() as u64).into()), ("devices", say.list(&names).into())];
        page.push(Part::Text(say.text("counted", &args)));
    }
    page.push(Part::Text(say.word("counted-where")));
}

/// The order in which a storm is told: worst first, what most devices share before what one has alone. Gives where each block ends.
pub(super) fn by_weight(entries: &mut [MessageItem<'_>]) -> Vec<usize> {
    let mut n_of: HashMap<SameError<'_>, u64> = HashMap::new();
    for error in entries.iter().filter_map(MessageItem::error) {
        *n_of.entry(error).or_default() += 1;
    }
    // Of what nobody shares, devices take turns: one device with many errors does not hide the only one of another.
    let mut n_of_device: HashMap<Option<&str>, u64> = HashMap::new();
    entries.sort_by_cached_key(|entry| {
        let error = entry.error().filter(|error| n_of.get(error).is_some_and(|n| *n > 1));
        let n = error.as_ref().and_then(|error| n_of.get(error)).copied().unwrap_or(1);
        let turn = if n > 1 {
            0
        } else {
            let n = n_of_device.entry(entry.notice.device.as_deref()).or_default();
            *n += 1;
            *n
        };
        (entry.rank(), Reverse(n), turn, error)
    });
    let mut ends = Vec::new();
    let mut last: Option<SameError<'_>> = None;
    for (i, entry) in entries.iter().enumerate() {
        let error = entry.error();
        if i > 0 && (error.is_none() || error != last) {
            ends.push(i);
        }
        last = error;
    }
    ends.push(entries.len());
    ends
}

type Block<'e, 'a> = Vec<&'e MessageItem<'a>>;

/// What makes several items one block.
#[derive(PartialEq, Eq, Hash)]
enum Same<'a> {
    Error(SameError<'a>),
    /// Recoveries with the same state, reason and times.
    End(&'static str, String, String),
}

fn same<'a>(say: &Localizer, entry: &MessageItem<'a>) -> Option<Same<'a>> {
    if let Some(error) = entry.error() {
        return Some(Same::Error(error));
    }
    let Content::Over { ground, began_at, acknowledged_at: None, reopened: None, said_by: None, .. } =
        &entry.notice.content
    else {
        return None;
    };
    let ground = say.ground(*ground, entry.notice.at);
    let is_plain = entry.earlier.is_empty();
    is_plain.then(|| Same::End(entry.state(), ground, say.range(*began_at, entry.notice.at)))
}

fn is_end(entry: &MessageItem<'_>) -> bool {
    matches!(entry.notice.content, Content::Over { .. })
}

/// Errors with one fingerprint together, and ends with one sentence, at the place of the first.
fn blocks<'e, 'a>(say: &Localizer, entries: &'e [MessageItem<'a>]) -> Vec<Block<'e, 'a>> {
    let mut blocks: Vec<Block<'e, 'a>> = Vec::new();
    let mut of: HashMap<Same<'a>, usize> = HashMap::new();
    for entry in entries {
        let same = same(say, entry);
        match same.as_ref().and_then(|same| of.get(same)).and_then(|at| blocks.get_mut(*at)) {
            Some(block) => block.push(entry),
            None => {
                of.extend(same.map(|same| (same, blocks.len())));
                blocks.push(vec![entry]);
            }
        }
    }
    errors_of_one_incident(blocks)
}

/// Different errors of one incident that nothing else shares are one block: an incident has one state in a message.
fn errors_of_one_incident<'e, 'a>(blocks: Vec<Block<'e, 'a>>) -> Vec<Block<'e, 'a>> {
    let mut joined: Vec<Block<'e, 'a>> = Vec::new();
    let mut of: HashMap<Failing<'_>, usize> = HashMap::new();
    for block in blocks {
        let failing = if let [entry] = block.as_slice() { failing(entry) } else { None };
        match failing.and_then(|failing| of.get(&failing)).and_then(|at| joined.get_mut(*at)) {
            Some(known) => known.extend(block),
            None => {
                of.extend(failing.map(|failing| (failing, joined.len())));
                joined.push(block);
            }
        }
    }
    // The newest last: it is the one in the title.
    joined.iter_mut().filter(|block| is_one_incident(block)).for_each(|block| block.sort_by_key(|e| e.notice.at));
    joined
}

fn is_one_incident(block: &[&MessageItem<'_>]) -> bool {
    let [first, _, ..] = block else { return false };
    let incident = failing(first);
    incident.is_some() && block.iter().all(|entry| failing(entry) == incident)
}

/// The incident of an error, and whose it is.
type Failing<'a> = (u64, Option<&'a str>, Option<&'a str>);

fn failing<'a>(entry: &MessageItem<'a>) -> Option<Failing<'a>> {
    let notice = entry.notice;
    let number = notice.incident.filter(|_| matches!(notice.content, Content::Error { .. }))?;
    Some((number, notice.device.as_deref(), notice.task.as_deref()))
}

/// `device/task #17`, each part cut only where it is absurdly long.
fn name(say: &Localizer, notice: &Notice) -> String {
    numbered(place(say, notice), notice)
}

fn place(say: &Localizer, notice: &Notice) -> String {
    match &notice.content {
        Content::DevicesLost { devices, .. } | Content::DevicesBack { devices, .. } => match devices.as_slice() {
            [one] => cut::middle(one, NAME_MAX),
            several => say.text("count-devices", &[("n", (several.len() as u64).into())]),
        },
        _ => {
            let parts = [notice.device.as_deref(), notice.task.as_deref()].into_iter().flatten();
            parts.map(|part| cut::middle(part, NAME_MAX)).collect::<Vec<_>>().join("/")
        }
    }
}

fn numbered(name: String, notice: &Notice) -> String {
    match notice.incident {
        Some(number) if name.is_empty() => format!("#{number}"),
        Some(number) => format!("{name} #{number}"),
        None => name,
    }
}

fn alone(say: &Localizer, entry: &MessageItem<'_>, budget: usize, page: &mut Page) {
    let words = one::rendered(say, entry);
    let head = match &entry.notice.content {
        Content::System { .. } => words.title.clone(),
        _ => format!("{} {}", say.word(entry.state()), name(say, entry.notice)),
    };
    // What tells its time in its sentence needs none in its head.
    let is_late = say.now.since(entry.late_at(say.now)) > LATE_AFTER;
    let time = match &entry.notice.content {
        Content::Error { .. } if is_late => String::new(),
        Content::Message { .. } | Content::System { .. } | Content::Error { .. } => say.time_exact(entry.notice.at),
        _ => String::new(),
    };
    page.push(Part::Head(format!("{head} {time}").trim().to_owned()));
    page.push(Part::Text(words.sentence));
    page.push(Part::Text(words.names));
    page.push(Part::Text(words.then));
    let budget = budget / words.logs.len().max(1);
    for log in words.logs {
        page.push(Part::Log(short_log(say, log, budget)));
    }
}

/// Different errors of one incident: its state once, as the newest says it, and each error with its time.
fn of_one_incident(say: &Localizer, errors: &[&MessageItem<'_>], budget: usize, page: &mut Page) {
    let Some(newest) = errors.last() else { return };
    page.push(Part::Head(format!("{} {}", say.word(newest.state()), name(say, newest.notice))));
    page.push(Part::Text(one::rendered(say, newest).sentence));
    let times: Vec<String> = errors.iter().map(|error| say.time_exact(error.notice.at)).collect();
    let args = [("n", (errors.len() as u64).into()), ("times", say.list(&times).into())];
    page.push(Part::Text(say.text("merged-errors", &args)));
    let logs: Vec<_> = errors.iter().flat_map(|error| error.texts()).collect();
    let budget = budget / logs.len().max(1);
    for log in logs {
        page.push(Part::Log(short_log(say, log, budget)));
    }
}

/// With little room the telling line says more than two ends.
fn short_log(say: &Localizer, log: &olog_proto::Excerpt, budget: usize) -> String {
    if budget >= 200 { cut::excerpt(say, log, budget) } else { cut::end(&cut::telling_line(log), budget) }
}

/// How often an error was seen in its incident.
fn n_seen(entry: &MessageItem<'_>) -> u64 {
    match &entry.notice.content {
        Content::Error { n_seen, .. } | Content::Over { n_seen, .. } => *n_seen,
        _ => 1,
    }
}

/// One error of many: where, when, how often, the text once, and every name.
fn together(
    say: &Localizer,
    entries: &[&MessageItem<'_>],
    is_all: bool,
    (budget, rest): (usize, &Omitted<'_, '_>),
    page: &mut Page,
) {
    let Some(first) = entries.first() else { return };
    let times = || entries.iter().map(|entry| entry.notice.at);
    let range = say.range(times().min().unwrap_or(say.now), times().max().unwrap_or(say.now));
    let total: u64 = entries.iter().map(|entry| n_seen(entry)).fold(0, u64::saturating_add);
    let (devices, tasks) = sets(entries.iter().copied());
    let (n_devices, n_tasks) = (devices.len() as u64, tasks.len() as u64);
    let place = match (n_devices, n_tasks) {
        (_, 0..=1) if n_devices > 1 => say.text("where-devices", &[("n", n_devices.into())]),
        (0..=1, _) => say.text("where-tasks", &[("n", n_tasks.into())]),
        _ => say.text("where-both", &[("devices", n_devices.into()), ("tasks", n_tasks.into())]),
    };
    if !is_all {
        page.push(Part::Head(format!("{} {}", say.word(first.state()), place_name(say, &devices, &tasks))));
    }
    let args = [("where", place.into()), ("range", range.into()), ("n", total.into())];
    let sentence = say.text("merged-same", &args);
    let oldest: Timestamp = times().min().unwrap_or(say.now);
    page.push(Part::Text(if is_all { say.late(oldest, sentence) } else { sentence }));
    // Of many with one text not every one carries it.
    let text = entries.iter().find_map(|entry| match &entry.notice.content {
        Content::Error { excerpt, .. } if !excerpt.is_blank() => Some(excerpt),
        _ => None,
    });
    if let Some(excerpt) = text {
        page.push(Part::Log(short_log(say, excerpt, budget)));
    }
    page.push(names(say, entries, rest));
}

/// Several ends of which the same is said.
fn ended(say: &Localizer, entries: &[&MessageItem<'_>], rest: &Omitted<'_, '_>, page: &mut Page) {
    let Some(first) = entries.first() else { return };
    let (devices, tasks) = sets(entries.iter().copied());
    page.push(Part::Head(format!("{} {}", say.word(first.state()), place_name(say, &devices, &tasks))));
    let counts: Vec<u64> = entries.iter().map(|entry| n_seen(entry)).collect();
    // What is true of each is said of each, else the sum.
    let (how, n) = match counts.first() {
        Some(n) if counts.iter().all(|other| other == n) => ("each", *n),
        _ => ("total", counts.iter().copied().fold(0, u64::saturating_add)),
    };
    let Content::Over { ground, began_at, .. } = &first.notice.content else { return };
    let range = say.range(*began_at, first.notice.at);
    let reason = match ground {
        ResolvedBy::Quiet => say.ground(*ground, first.notice.at),
        ground => say.text("ground", &[("ground", say.ground(*ground, first.notice.at).into())]),
    };
    let was = say.text("over-were", &[("how", how.into()), ("range", range.into()), ("n", n.into())]);
    page.push(Part::Text(say.sentences([reason, was])));
    page.push(names(say, entries, rest));
}

/// Every name; of what is the same for all, the head or the title has spoken.
fn names(say: &Localizer, entries: &[&MessageItem<'_>], rest: &Omitted<'_, '_>) -> Part {
    let (devices, tasks) = sets(entries.iter().copied());
    let (n_devices, n_tasks) = (devices.len(), tasks.len());
    let differing = |entry: &&MessageItem<'_>| match (&entry.notice.device, &entry.notice.task) {
        (_, Some(task)) if n_devices < 2 => numbered(cut::middle(task, NAME_MAX), entry.notice),
        (Some(device), _) if n_tasks < 2 => numbered(cut::middle(device, NAME_MAX), entry.notice),
        _ => name(say, entry.notice),
    };
    let mut names: Vec<String> = entries.iter().take(rest.names_max).map(differing).collect();
    if entries.len() > names.len() {
        names.push(say.text("names-more", &[("n", ((entries.len() - names.len()) as u64).into())]));
    }
    Part::Text(say.list(&names))
}

fn sets<'a>(entries: impl Iterator<Item = &'a MessageItem<'a>>) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
    let (mut devices, mut tasks) = (BTreeSet::new(), BTreeSet::new());
    for entry in entries {
        devices.extend(entry.notice.device.as_deref());
        tasks.extend(entry.notice.task.as_deref());
    }
    (devices, tasks)
}

/// What differs is counted, what is the same is named.
fn place_name(say: &Localizer, devices: &BTreeSet<&str>, tasks: &BTreeSet<&str>) -> String {
    let counted = |key, n: usize| say.text(key, &[("n", (n as u64).into())]);
    let device = match devices.len() {
        0 => None,
        1 => devices.first().map(|name| cut::middle(name, NAME_MAX)),
        n => Some(counted("count-devices", n)),
    };
    let task = match tasks.len() {
        0 => None,
        1 => tasks.first().map(|name| cut::middle(name, NAME_MAX)),
        n => Some(counted("count-tasks", n)),
    };
    [device, task].into_iter().flatten().collect::<Vec<_>>().join("/")
}

fn title(say: &Localizer, entries: &[MessageItem<'_>], is_digest: bool) -> String {
    let mut counts: Vec<(String, u64)> = Vec::new();
    let mut counted: BTreeSet<Failing<'_>> = BTreeSet::new();
    for entry in entries {
        // Of several errors of one incident the incident counts.
        if failing(entry).is_some_and(|incident| !counted.insert(incident)) {
            continue;
        }
        let state = say.word(entry.state());
        match counts.iter_mut().find(|(word, _)| *word == state) {
            Some((_, n)) => *n += 1,
            None => counts.push((state, 1)),
        }
    }
    let late = if is_digest { format!("{} ", say.word("state-late")) } else { String::new() };
    if let [(state, _)] = counts.as_slice() {
        let (devices, tasks) = sets(entries.iter());
        let counted = |key, names: &BTreeSet<&str>| match names.len() {
            0 => None,
            1 => names.first().map(|name| (*name).to_owned()),
            n => Some(say.text(key, &[("n", (n as u64).into())])),
        };
        let device = counted("devices-short", &devices);
        let several = || say.text("count-signs", &[("n", (entries.len() as u64).into())]);
        if entries.iter().all(|entry| matches!(entry.notice.content, Content::System { .. })) {
            return cut::title(&format!("{late}{state}"), None, Some(&several()));
        }
        // What names no task differs in nothing that a title could count.
        let task = counted("count-tasks", &tasks).or_else(|| (devices.len() < 2).then(several));
        return cut::title(&format!("{late}{state}"), device.as_deref(), task.as_deref());
    }
    let mut title = late.trim_end().to_owned();
    for (state, n) in counts {
        let count = say.text("count-state", &[("state", state.into()), ("n", n.into())]);
        let longer = if title.is_empty() { count } else { format!("{title} {count}") };
        if longer.chars().count() > TITLE_MAX {
            break;
        }
        title = longer;
    }
    title
}

/// One error's text, or the names of what comes first.
fn telling(say: &Localizer, entries: &[MessageItem<'_>], blocks: &[Block<'_, '_>]) -> String {
    let is_one = blocks.first().is_some_and(|block| !is_one_incident(block));
    if let ([_], Some(Content::Error { excerpt, .. }), true) =
        (blocks, entries.first().map(|entry| &entry.notice.content), is_one)
    {
        return cut::telling_line(excerpt);
    }
    // Several errors of one incident: its name is in the title already, so the newest error speaks.
    let incident = entries.first().and_then(|entry| entry.notice.incident);
    if incident.is_some() && entries.iter().all(|entry| entry.notice.incident == incident) {
        let errors = entries.iter().filter_map(|entry| match &entry.notice.content {
            Content::Error { excerpt, .. } => Some((entry.notice.at, excerpt)),
            _ => None,
        });
        if let Some((_, excerpt)) = errors.max_by_key(|(at, _)| *at) {
            return cut::telling_line(excerpt);
        }
    }
    let is_system = |entry: &MessageItem<'_>| matches!(entry.notice.content, Content::System { .. });
    if entries.iter().all(is_system) {
        let short = |entry| cut::end(&one::rendered(say, entry).telling, 40);
        return entries.iter().take(4).map(short).collect::<Vec<_>>().join(&say.word("telling-comma"));
    }
    // What comes and goes, or has an error and a message, is named once.
    let mut names: Vec<String> = Vec::new();
    for block in blocks {
        let name = match block.as_slice() {
            [entry] if is_system(entry) => one::rendered(say, entry).title,
            [entry] => place(say, entry.notice),
            several => {
                let (devices, tasks) = sets(several.iter().copied());
                place_name(say, &devices, &tasks)
            }
        };
        if !name.is_empty() && !names.contains(&name) && names.len() < 8 {
            names.push(name);
        }
    }
    say.list(&names)
}

fn log_ins(say: &Localizer, entries: &[MessageItem<'_>], page: &mut Page) {
    let mut seen = BTreeSet::new();
    for entry in entries.iter().filter(|entry| is_open(entry.notice)) {
        let is_new = entry.notice.address.as_deref().is_some_and(|address| seen.insert(address));
        if is_new && seen.len() <= LOG_IN_MAX {
            one::log_in(say, entry.notice, page);
        }
    }
}

fn acknowledge(say: &Localizer, context: &Context<'_>, entries: &[MessageItem<'_>], page: &mut Page) {
    let open = entries.iter().filter(|entry| is_open(entry.notice)).filter_map(|entry| entry.notice.incident);
    let open: BTreeSet<u64> = open.collect();
    let numbers = cut::ranges(open.iter().copied());
    if !numbers.is_empty() && !context.by_device {
        if let Some(IncidentUrl(url_of)) = context.incident_url {
            let linked: Vec<u64> = open.into_iter().take(LINKED_MAX).collect();
            let label = match linked.as_slice() {
                [one] => say.text("details", &[("n", (*one).into())]),
                several => say.text("details-all", &[("n", (several.len() as u64).into())]),
            };
            page.push(Part::Link { label, url: url_of(&linked) });
        }
        page.push(Part::Command {
            label: say.word("acknowledge-all"),
            command: format!("olog-hub incident ack {numbers}"),
            copy: say.word("copy"),
        });
    }
}

//! Wording of a message with a single item: what happened, the error, what to do, why it is sent, the facts.
//!
//! [`rendered`] gives the words of an item, without layout; `several` uses it too. Numbers in a sentence are about what the sentence
//! says: the age of a reopened incident counts from its latest beginning, and the time offline ends with the device's return.

use olog_proto::Timestamp;

use super::catalogue::{Arg, Localizer};
use super::entry::MessageItem;
use super::page::{Page, Part};
use super::rendered::{RenderedItem, event_times, subject, title};
use super::{Context, LATE_AFTER, TITLE_MAX, cut, missed, of_the_budget, safe};
use crate::{Content, FailedRun, Notice, Reason, Reopened, ResolvedBy, SystemCode};

const MINUTE: i64 = 60_000;

/// What the sentences of Olog's own affairs may speak of.
const SYSTEM_ARGS: [&str; 17] = [
    "limit",
    "code",
    "name",
    "devices",
    "findings",
    "why",
    "addresses",
    "path",
    "text",
    "channel",
    "answer",
    "receiver",
    "host",
    "what",
    "command",
    "duty",
    "error",
];

/// Those of them that are lists of names.
const LISTS: [&str; 2] = ["devices", "addresses"];

/// Title, telling line and page.
pub(super) fn write(
    say: &Localizer,
    context: &Context<'_>,
    entry: &MessageItem<'_>,
    budget: Option<usize>,
) -> (String, String, Page) {
    let words = rendered(say, entry);
    let late_at = entry.late_at(say.now);
    let mut page = Page::default();
    // A message's own text is what happened; it needs no sentence before it.
    let sentence = if words.sentence.is_empty() && say.now.since(late_at) <= LATE_AFTER {
        String::new()
    } else {
        match &entry.notice.content {
            // It begins with its reason, which has a colon of its own.
            Content::Over { .. } => say.late_then(late_at, words.sentence.clone()),
            _ => say.late(late_at, words.sentence.clone()),
        }
    };
    page.push(Part::Text(sentence));
    page.push(Part::Text(words.names));
    page.push(Part::Text(words.then));
    let budget = budget.map_or(usize::MAX, |budget| budget / words.logs.len().max(1));
    for log in words.logs {
        page.push(Part::Log(cut::excerpt(say, log, budget)));
    }
    log_in(say, entry.notice, &mut page);
    acknowledge(say, context, entry, &mut page);
    silence(say, context, entry.notice, &mut page);
    missed::stop_expecting(say, entry.notice, &mut page);
    let mut facts = vec![say.text("why", &[("why", words.why.into())])];
    facts.extend(entry.notice.silence.map(|n| say.text("was-silenced", &[("n", n.into())])));
    facts.extend(words.facts);
    page.push(Part::Small(say.sentences(facts)));
    let mut facts = of_the_budget(say, context, entry.places.len());
    if context.by_device {
        facts.push(say.word(entry.by_device()));
    }
    page.push(Part::Small(say.sentences(facts)));
    let telling = if say.now.since(late_at) > LATE_AFTER { say.late(late_at, words.telling) } else { words.telling };
    (words.title, telling, page)
}

/// The ssh line; an address that is no such line is shown as it is.
pub(super) fn log_in(say: &Localizer, notice: &Notice, page: &mut Page) {
    let worth = is_open(notice) || matches!(&notice.content, Content::System { .. } if notice.device.is_some());
    let Some(address) = notice.address.as_deref().filter(|_| worth) else { return };
    page.push(match cut::ssh(address) {
        Some(command) => Part::Command { label: say.word("log-in"), command, copy: say.word("copy") },
        None => Part::Text(say.text("address", &[("address", cut::end(address, 200).into())])),
    });
}

fn acknowledge(say: &Localizer, context: &Context<'_>, entry: &MessageItem<'_>, page: &mut Page) {
    let Some(number) = entry.notice.incident.filter(|_| !context.by_device) else { return };
    if let Some(super::IncidentUrl(url_of)) = context.incident_url {
        let url = url_of(&[number]);
        page.push(Part::Link { label: say.text("details", &[("n", number.into())]), url });
    }
    if is_open(entry.notice) {
        page.push(Part::Command {
            label: say.text("acknowledge", &[("n", number.into())]),
            command: format!("olog-hub incident ack {number}"),
            copy: say.word("copy"),
        });
    } else if context.incident_url.is_none() {
        page.push(Part::Small(format!("#{number}")));
    }
}

/// What is failing now may fail for some time while it is worked on.
fn silence(say: &Localizer, context: &Context<'_>, notice: &Notice, page: &mut Page) {
    let may_go_on = match &notice.content {
        Content::Error { .. } | Content::Remind { .. } => true,
        Content::DevicesLost { n_times, .. } => n_times.is_some(),
        _ => false,
    };
    let Some(device) = notice.device.as_deref().filter(|_| may_go_on && !context.by_device) else { return };
    let option = |name, value: &str| format!(" {}", cut::option(name, &cut::literal(value)));
    let task = notice.task.as_deref().map_or_else(String::new, |task| option("task", task));
    page.push(Part::Command {
        label: say.word("silence"),
        command: format!("olog-hub silence add{}{task} --for 2h", option("device", device)),
        copy: say.word("copy"),
    });
}

/// Something that a person may acknowledge?
pub(super) fn is_open(notice: &Notice) -> bool {
    use Content::{DevicesLost, Error, Remind, TaskLost};
    matches!(notice.content, Error { .. } | Remind { .. } | DevicesLost { .. } | TaskLost { .. })
}

/// The words of an entry; sentences do not say how late they are.
pub(super) fn rendered<'a>(say: &Localizer, entry: &MessageItem<'a>) -> RenderedItem<'a> {
    let notice = entry.notice;
    let now = say.time_exact(say.now);
    match &notice.content {
        Content::Error { .. } => error(say, entry),
        Content::Message { excerpt, path, n_seen } => {
            let again = if *n_seen > 1 { say.text("msg-times", &[("n", (*n_seen).into())]) } else { String::new() };
            RenderedItem {
                title: title(say, entry, notice.device.as_deref(), notice.task.as_deref()),
                telling: cut::telling_line(excerpt),
                logs: vec![excerpt],
                why: say.word("why-msg"),
                facts: vec![again, event_times(say, notice, &now), safe::one_line(path)],
                ..RenderedItem::default()
            }
        }
        Content::Over { .. } => over(say, entry),
        Content::Remind { began_at, n_seen, last_error_at, excerpt, reopened } => {
            let span = say.duration(say.now.since(*began_at));
            let last = [("n", (*n_seen).into()), ("time", say.time(*last_error_at).into())];
            let sentence = [
                say.text("remind", &[("subject", subject(say, notice).into()), ("span", span.clone().into())]),
                began_again(say, *reopened),
                say.text("remind-last", &last),
            ];
            RenderedItem {
                title: title(say, entry, notice.device.as_deref(), notice.task.as_deref()),
                telling: format!(
                    "{} · {}",
                    say.text("remind-summary", &[("span", span.into())]),
                    cut::telling_line(excerpt)
                ),
                sentence: say.sentences(sentence),
                logs: entry.texts(),
                why: say.word("why-remind"),
                facts: vec![event_times(say, notice, &now)],
                ..RenderedItem::default()
            }
        }
        Content::TaskLost { .. } => missed::lost(say, entry),
        Content::TaskCame { .. } => missed::recovery(say, entry),
        Content::TaskRuns { .. } => missed::runs(say, entry),
        Content::DevicesLost { .. } => lost(say, entry),
        Content::DevicesBack { .. } => back(say, entry),
        // It goes alone: `report` writes it.
        Content::Report(_) => RenderedItem::default(),
        Content::System { code, args } => {
            let device = notice.device.clone().unwrap_or_default();
            let mut named: Vec<_> = SYSTEM_ARGS.iter().map(|key| (*key, one_line(args.get(*key)).into())).collect();
            named.extend(LISTS.iter().filter_map(|key| Some((*key, names(say, args.get(*key)?).into()))));
            let number = |key: &str| args.get(key).and_then(|text| text.parse::<i64>().ok());
            named.push(("n", number("n").unwrap_or_default().into()));
            named.push((
                "since",
                number("since").map_or_else(|| "none".to_owned(), |ms| say.time(Timestamp(ms))).into(),
            ));
            let lasted = number("since").map(|ms| say.duration(notice.at.since(Timestamp(ms)))).unwrap_or_default();
            named.push(("span", lasted.into()));
            named.push(("device", device.into()));
            named.push(("time", say.time(notice.at).into()));
            // Where it is, if it is somewhere.
            let path = one_line(args.get("path"));
            named.push(("at", if path.is_empty() { path } else { format!(" ({path})") }.into()));
            let key = system_key(*code);
            named.push(("problem", say.text("agent-problem", &named).into()));
            let sentence = say.text(&key, &named);
            RenderedItem {
                title: cut::title(&say.word(&format!("{key}-title")), notice.device.as_deref(), None),
                telling: system_telling(say, &key, &named, &sentence),
                sentence,
                why: say.word("why-system"),
                facts: vec![event_times(say, notice, &now)],
                ..RenderedItem::default()
            }
        }
    }
}

/// `system-CODE`, as the code is written in a notice.
pub(super) fn system_key(code: SystemCode) -> String {
    let code = serde_json::to_value(code).ok().and_then(|value| value.as_str().map(str::to_owned));
    format!("system-{}", code.unwrap_or_default())
}

/// What goes on after the title: of an agent's problem what is wrong and where, of all else the sentence.
fn system_telling(say: &Localizer, key: &str, named: &[Arg<'_>], sentence: &str) -> String {
    match key {
        "system-agent-note" | "system-agent-note-over" => say.text("agent-problem", named),
        _ => sentence.trim_end_matches(['。', '.']).to_owned(),
    }
}

/// A list that was put together with commas, with those of the language; `+20` are so many more devices.
fn names(say: &Localizer, text: &str) -> String {
    let name = |name: &str| match name.strip_prefix('+').and_then(|n| n.parse::<u64>().ok()) {
        Some(n) => say.text("counted-devices", &[("n", n.into())]),
        None => one_line(Some(&name.to_owned())),
    };
    say.list(&text.split(", ").map(name).collect::<Vec<_>>())
}

fn one_line(text: Option<&String>) -> String {
    let text = text.map_or("", String::as_str);
    cut::end(&text.split_whitespace().collect::<Vec<_>>().join(" "), 600)
}

fn error<'a>(say: &Localizer, entry: &MessageItem<'a>) -> RenderedItem<'a> {
    let notice = entry.notice;
    let Content::Error { why, excerpt, path, last_good_at, began_at, n_seen, facts, .. } = &notice.content else {
        return RenderedItem::default();
    };
    // What was held back to go together is told with its time, though it is not late.
    let is_late = say.now.since(notice.at) > LATE_AFTER || matches!(why, Reason::MoreFingerprints { .. });
    let when = [
        ("when", if is_late { "late" } else { "now" }.into()),
        ("subject", subject(say, notice).into()),
        ("time", say.time_exact(notice.at).into()),
    ];
    // After a recovery the last good run is older than that.
    let good = last_good_at.filter(|_| facts.reopened.is_none()).map_or_else(String::new, |good| {
        let span = say.duration(notice.at.since(good));
        say.text("last-good", &[("time", say.time(good).into()), ("span", span.into())])
    });
    let open = || say.text("open-since", &[("time", say.time(*began_at).into()), ("n", (*n_seen).into())]);
    let (sentence, reason) = match why {
        Reason::First => (vec![say.text("failed", &when), say.word("known-first"), good], "why-first"),
        Reason::Again => (vec![say.text("failed", &when), say.word("known-again"), good], "why-known"),
        Reason::NewFingerprint => {
            (vec![say.text("failed-otherwise", &when), began_again(say, facts.reopened), open(), good], "why-new")
        }
        Reason::MoreFingerprints { n_more } => {
            let more = if *n_more == 0 { String::new() } else { say.text("more-errors", &[("n", (*n_more).into())]) };
            (vec![say.text("failed-otherwise", &when), more, open()], "why-more")
        }
        Reason::Reopened => {
            (vec![say.text("failed-again", &when), began_again(say, facts.reopened), open(), good], "why-reopened")
        }
        Reason::ComesAndGoes { n_times } => {
            let args = [("subject", subject(say, notice).into()), ("n", (*n_times).into())];
            let recovered = facts
                .recovered_at
                .map_or_else(String::new, |at| say.text("recovered-meanwhile", &[("time", say.time(at).into())]));
            let sentences =
                vec![say.text("comes-and-goes", &args), began_again(say, facts.reopened), open(), recovered];
            (sentences, "why-comes-and-goes")
        }
        Reason::InARow { n_times } => {
            let args = [("subject", subject(say, notice).into()), ("n", (*n_times).into())];
            (vec![say.text("in-a-row", &args), good], "why-in-a-row")
        }
    };
    let times = [("at", say.time_exact(notice.at).into()), ("now", say.time_exact(say.now).into())];
    RenderedItem {
        title: cut::title(&say.word("state-err"), notice.device.as_deref(), notice.task.as_deref()),
        telling: cut::telling_line(excerpt),
        sentence: say.sentences(sentence.into_iter().chain([run_end(say, facts.run), history(say, entry)])),
        logs: entry.texts(),
        why: say.word(reason),
        facts: vec![say.text("error-times", &times), safe::one_line(path)],
        ..RenderedItem::default()
    }
}

/// `Exit code 3 after 7 min.`
fn run_end(say: &Localizer, run: Option<FailedRun>) -> String {
    let Some(FailedRun { exit, signal, duration }) = run else { return String::new() };
    let how = match signal {
        Some(_) => "signal",
        // A ping that tells the end of a run whose start nobody told.
        None if duration == 0 => "unmeasured",
        None => "exit",
    };
    let Some(code) = signal.or(exit) else { return String::new() };
    say.text(
        "run-failed",
        &[("how", how.into()), ("code", code.to_string().into()), ("span", say.duration(duration).into())],
    )
}

/// `The 2nd time; the first was at 07:00.`
fn began_again(say: &Localizer, reopened: Option<Reopened>) -> String {
    reopened.map_or_else(String::new, |Reopened { n_begun, first_at }| {
        say.text("began-again", &[("n", n_begun.into()), ("time", say.time(first_at).into())])
    })
}

/// What happened in the incident before its newest notice, where that was still waiting.
fn history(say: &Localizer, entry: &MessageItem<'_>) -> String {
    let over =
        entry.earlier.iter().rev().find(|n| matches!(n.content, Content::Over { .. } | Content::TaskCame { .. }));
    over.map_or_else(String::new, |over| {
        say.text("history", &[("over", say.time(over.at).into()), ("again", say.time(entry.notice.at).into())])
    })
}

fn over<'a>(say: &Localizer, entry: &MessageItem<'a>) -> RenderedItem<'a> {
    let notice = entry.notice;
    let Content::Over { ground, began_at, n_seen, acknowledged_at, reopened, said_by } = &notice.content else {
        return RenderedItem::default();
    };
    let n = ("n", (*n_seen).into());
    let was = say.text("over-was", &[("range", say.range(*began_at, notice.at).into()), n.clone()]);
    let seen =
        acknowledged_at.map_or_else(String::new, |at| say.text("over-acknowledged", &[("time", say.time(at).into())]));
    let said_by = said_by.as_ref().map_or_else(String::new, |by| {
        say.text("over-said-by", &[("end", by.end.to_string().into()), ("error", by.error.to_string().into())])
    });
    let untold = if entry.has_start() { say.word("over-untold") } else { String::new() };
    let (ground, telling) = match ground {
        ResolvedBy::Quiet => {
            let time = ("time", say.time(notice.at).into());
            (say.text("ground-quiet", std::slice::from_ref(&time)), say.text("quiet-summary", &[time]))
        }
        ground => {
            let span = say.duration(notice.at.since(*began_at));
            let telling = say.text("over-summary", &[("span", span.into()), n]);
            (say.text("ground", &[("ground", say.word(ground_key(*ground)).into())]), telling)
        }
    };
    RenderedItem {
        title: title(say, entry, notice.device.as_deref(), notice.task.as_deref()),
        telling,
        sentence: say.sentences([ground, said_by, was, began_again(say, *reopened), seen, untold]),
        logs: entry.texts(),
        why: say.word(if entry.has_start() { "why-over-both" } else { "why-over" }),
        facts: vec![event_times(say, notice, &say.time_exact(say.now))],
        ..RenderedItem::default()
    }
}

impl Localizer {
    /// What showed the end of an incident; a quiet one was last seen `at`.
    pub fn ground(&self, ground: ResolvedBy, at: Timestamp) -> String {
        self.text(ground_key(ground), &[("time", self.time(at).into())])
    }
}

fn ground_key(ground: ResolvedBy) -> &'static str {
    match ground {
        ResolvedBy::RunEnded => "ground-run-ended",
        ResolvedBy::NewLog => "ground-new-log",
        ResolvedBy::Cleared => "ground-cleared",
        ResolvedBy::LogGrew => "ground-log-grew",
        ResolvedBy::Closed => "ground-closed",
        ResolvedBy::Quiet => "ground-quiet",
        ResolvedBy::Resolved => "ground-resolved",
    }
}

fn lost<'a>(say: &Localizer, entry: &MessageItem<'a>) -> RenderedItem<'a> {
    let notice = entry.notice;
    let Content::DevicesLost { devices, n_known, since, behind, said_bye, n_times } = &notice.content else {
        return RenderedItem::default();
    };
    let n = devices.len() as u64;
    let time = ("time", say.time_exact(*since).into());
    let (name, first, telling) = match (devices.as_slice(), behind) {
        ([one], _) => {
            let sentence = say.text("lost-one", &[("devices", one.as_str().into()), time]);
            (one.clone(), sentence, say.text("lost-summary", &[("time", say.time(*since).into())]))
        }
        (_, Some(behind)) => {
            let name = say.text("lost-of-site", &[("n", n.into()), ("all", (*n_known).into())]);
            let args = [("n", n.into()), time, ("behind", behind.as_str().into())];
            (name, say.text("lost-many-site", &args), say.word("lost-summary-site"))
        }
        (_, None) => {
            let name = say.text("lost-of", &[("n", n.into()), ("all", (*n_known).into())]);
            let sentence = say.text("lost-many", &[("n", n.into()), time]);
            (name, sentence, say.text("lost-summary", &[("time", say.time(*since).into())]))
        }
    };
    let others = n_known.saturating_sub(n);
    let others = if others > 0 && n > 1 { say.text("lost-others", &[("n", others.into())]) } else { String::new() };
    let names = if n > 1 { say.list(devices) } else { String::new() };
    let bye = say.word(if *said_bye { "lost-bye" } else { "lost-no-bye" });
    let what = say.sentences([bye, say.text("lost-tasks", &[("n", n.into())])]);
    let again = n_times.map_or_else(String::new, |n| say.text("lost-comes-and-goes", &[("n", n.into())]));
    let head = say.sentences([first, again, others]);
    // One device's name is in the sentence, and what follows goes on behind it.
    let (sentence, then) = if names.is_empty() { (say.sentences([head, what]), String::new()) } else { (head, what) };
    RenderedItem {
        title: title(say, entry, Some(&name), None),
        telling,
        sentence,
        names,
        then,
        why: say.word(if n_times.is_some() { "why-comes-and-goes" } else { "why-lost" }),
        facts: vec![event_times(say, notice, &say.time_exact(say.now))],
        ..RenderedItem::default()
    }
}

fn back<'a>(say: &Localizer, entry: &MessageItem<'a>) -> RenderedItem<'a> {
    let notice = entry.notice;
    let Content::DevicesBack {
        devices,
        missing,
        since,
        returned,
        n_rebooted,
        n_boots_unknown,
        said_bye,
        n_times,
        missed: runs,
        n_missed,
    } = &notice.content
    else {
        return RenderedItem::default();
    };
    let n = devices.len() as u64;
    // Each to its own return; of several the range.
    let (first_back, last_back) = returned.unwrap_or((notice.at, notice.at));
    let (shortest, away) = (first_back.since(*since), last_back.since(*since));
    let span = if shortest / MINUTE == away / MINUTE || n < 2 {
        say.duration(away)
    } else {
        say.text("span-range", &[("from", say.duration(shortest).into()), ("to", say.duration(away).into())])
    };
    let args = [("n", n.into()), ("span", span.into()), ("time", say.time(*since).into())];
    let (name, first) = match (devices.as_slice(), n_times) {
        ([one], Some(n)) => {
            let args = [("devices", one.as_str().into()), ("n", (*n).into())];
            (cut::middle(one, 10), say.text("back-calm", &args))
        }
        ([one], None) => {
            let [_, span, time] = args;
            (cut::middle(one, 10), say.text("back-one", &[("devices", one.as_str().into()), span, time]))
        }
        _ if missing.is_empty() => (say.text("devices-short", &[("n", n.into())]), say.text("back-many", &args)),
        _ => {
            let all = ("all", (n + missing.len() as u64).into());
            (say.text("back-part", &[("n", n.into()), all]), say.text("back-many", &args))
        }
    };
    let how = match *n_rebooted {
        0 if *n_boots_unknown > 0 => "unknown",
        0 => "none",
        1 if n == 1 => "it",
        rebooted if rebooted == n => "all",
        _ => "some",
    };
    let rebooted = match how {
        "unknown" => String::new(),
        how => say.text("back-rebooted", &[("how", how.into()), ("n", (*n_rebooted).into())]),
    };
    let bye = if *said_bye { say.word("back-bye") } else { String::new() };
    let names = if n > 1 { say.list(devices) } else { String::new() };
    let (missed, telling) = if missing.is_empty() {
        let all = if n > 1 { say.word("back-all") } else { String::new() };
        let key = if n > 1 { "back-summary-all" } else { "back-summary-one" };
        (all, say.text(key, &[("how", how.into()), ("n", (*n_rebooted).into())]))
    } else {
        let missing = ("devices", say.list(missing).into());
        (say.text("back-missing", std::slice::from_ref(&missing)), say.text("back-summary-missing", &[missing]))
    };
    let away_name = format!("{name} {}", say.text("away", &[("span", say.short_span(away).into())]));
    let state = say.word(entry.state());
    let fits = n_times.is_none() && state.chars().count() + 1 + away_name.chars().count() <= TITLE_MAX;
    let untold = if entry.has_start() { say.word("over-untold-devices") } else { String::new() };
    let (runs, telling) = match missed::runs_missed(say, runs, *n_missed) {
        Some((sentence, short)) => (sentence, format!("{telling}{}{short}", say.word("telling-comma"))),
        None => (String::new(), telling),
    };
    // Behind a list of names, not run into it.
    let (runs, then) = if n > 1 { (String::new(), runs) } else { (runs, String::new()) };
    RenderedItem {
        title: cut::title(&state, Some(if fits { &away_name } else { &name }), None),
        telling,
        sentence: say.sentences([first, rebooted, bye, missed, untold, runs]),
        names,
        then,
        why: say.word(if entry.has_start() { "why-over-both" } else { "why-back" }),
        facts: vec![event_times(say, notice, &say.time_exact(say.now))],
        ..RenderedItem::default()
    }
}

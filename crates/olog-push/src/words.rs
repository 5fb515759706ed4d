//! Notices in words: what a person reads who was woken up and sees 20 characters first.
//!
//! [`compose`] makes one message of everything that waits for a channel: begins and ends that belong together become one
//! entry, the same error of many devices or tasks one block, and the worst stands first (`entry`). One entry is told whole
//! (`one`), several each with its own name, number and time (`several`). To keep a channel's limits excerpts are cut,
//! never facts; what does not fit even so is left to the next message, and the message says so.
//!
//! Every sentence stands in `locales/*.ftl`; this module and its children hold none.

mod catalogue;
mod cut;
mod entry;
pub mod help;
mod missed;
mod one;
mod page;
pub mod phrases;
mod rendered;
mod report;
pub(crate) mod safe;
mod several;

use std::collections::BTreeSet;

use chrono_tz::Tz;
use olog_proto::{Timestamp, job::JobSchedule};

pub use catalogue::{Arg, LANGUAGES, Language, Localizer};
pub use cut::ssh;
use entry::MessageItem;
use page::Page;
use several::Omitted;

use crate::{Acknowledge, Cadence, Form, Limits, Message, MessageLink, Notice};

/// Characters of a title: what a card shows.
const TITLE_MAX: usize = 20;
/// What is older than this is told as late.
const LATE_AFTER: i64 = 5 * 60 * 1000;
/// What has waited longer than this goes as a digest.
const DIGEST_AFTER: i64 = 10 * 60 * 1000;

/// Matters that one message tells one by one, at most: nobody reads more.
const WHOLE_MAX: usize = 400;
/// So few are never only counted.
const WHOLE_MIN: usize = 10;
/// What waits becomes at most so many messages one after the other; of more, most is only counted.
const MESSAGES_MAX: usize = 3;
/// Characters of its text that each error keeps where several share a message: without words of its own it would not be shown.
const EXCERPT_MIN: usize = 80;
/// Names in a list, and in one of a storm.
const NAMES_MAX: usize = 200;
const STORM_NAMES_MAX: usize = 20;
/// Matters that a program is told of one by one.
const ABOUT_MAX: usize = 1_000;
/// Incidents that one link opens.
pub const LINKED_MAX: usize = 100;
/// When no more messages of the day than this are left, that is said.
const BUDGET_LOW: u64 = 3;

/// For whom, when, and through what.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// The reader's language.
    pub language: Language,
    /// The reader's time zone.
    pub timezone: Tz,
    /// When it is sent.
    pub now: Timestamp,
    /// Where the page of an incident opens, if a phone can open it. Without it a message is complete by itself.
    pub incident_url: Option<IncidentUrl<'a>>,
    /// Sent by the device itself, because its hub is away.
    pub by_device: bool,
    /// The channel's budget of a day, if it has one.
    pub budget: Option<BudgetUse>,
    /// What fits into one message.
    pub limits: Limits,
}

/// The address of the page of one incident, or of several, by their numbers: at least one, at most [`LINKED_MAX`].
#[derive(Clone, Copy)]
pub struct IncidentUrl<'a>(pub &'a (dyn Fn(&[u64]) -> String + Send + Sync));

impl std::fmt::Debug for IncidentUrl<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IncidentUrl(…)")
    }
}

/// What a message has to do with its channel's budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetUse {
    /// The channel.
    pub channel: String,
    /// How many of its notices have waited for it.
    pub n_waited: u64,
    /// Messages of this day, before this one.
    pub used: u64,
    /// Of so many.
    pub per_day: u64,
}

/// A message, and what became of each notice.
///
/// For the caller: once the service has accepted the message, the rows of all `included` notices leave the outbox. But an error
/// counts as notified only if it is in `shown` as well. The fingerprints of a notice that is in `included` and not in `shown`
/// must not stay in the incident's list of pushed fingerprints, so that the same error is notified when it comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// What to send.
    pub message: Message,
    /// Indices of the notices that leave with this message, ascending; the others go with the next one.
    pub included: Vec<usize>,
    /// Those of them whose own text is in the message, ascending: alone, or as one of several with the same fingerprints.
    /// Of the others the message says only how many there are.
    pub shown: Vec<usize>,
}

pub use cut::{literal, shell_word};
pub(crate) use page::markdown;

/// A habit in words, like "daily 02:10 ± 4 min".
pub fn cadence(cadence: &Cadence, language: Language) -> String {
    missed::habit(&Localizer { language, timezone: Tz::UTC, now: Timestamp(0) }, cadence)
}

/// What a report says of a habit that was learnt: what it is, what shows it, and how to refuse.
pub fn proposal(cadence: &Cadence, n_runs: u64, span: i64, device: &str, task: &str, language: Language) -> String {
    missed::proposal(
        &Localizer { language, timezone: Tz::UTC, now: Timestamp(0) },
        cadence,
        (n_runs, span),
        (device, task),
    )
}

/// What a report says of a schedule that the agent read on its machine: what it is, and how to refuse.
pub fn read_proposal(when: &JobSchedule, device: &str, task: &str, language: Language, timezone: Tz) -> String {
    missed::read_proposal(&Localizer { language, timezone, now: Timestamp(0) }, when, (device, task))
}

/// A schedule of a machine in words, like "daily 03:30 (30 3 * * *), Europe/Berlin".
pub fn job_schedule(when: &JobSchedule, language: Language, timezone: Tz) -> String {
    missed::job_schedule(&Localizer { language, timezone, now: Timestamp(0) }, when)
}

/// Why a notice is told, as its message says it. A report is its own reason.
pub fn why(notice: &Notice, language: Language, timezone: Tz) -> String {
    let say = Localizer { language, timezone, now: notice.at };
    entry::merge(std::slice::from_ref(notice)).first().map_or_else(String::new, |entry| one::rendered(&say, entry).why)
}

/// Makes one message of what waits, in the order of its making. Of nothing it makes an empty one.
///
/// What does not fit is left to the next message. But of more than a person reads, or more than `MESSAGES_MAX` messages
/// hold (one, where messages are few), one message is made that tells the worst and what most devices share, and counts the rest.
pub fn compose(notices: &[Notice], context: &Context<'_>) -> Composed {
    let say = Localizer { language: context.language, timezone: context.timezone, now: context.now };
    let mut entries = entry::merge(notices);
    // Worst first, so a report is the last; it goes with a message of its own.
    if entries.len() > 1 {
        entries.retain(|entry| !entry.is_alone());
    }
    let messages_max = if context.budget.is_some() { 1 } else { MESSAGES_MAX };
    let mut rest = Omitted { entries: &[], are_counted: entries.len() > WHOLE_MAX, names_max: NAMES_MAX };
    let size = |page: &Page| context.limits.unit.size(&page.write(context.limits.form));
    let max = context.limits.body;
    if !rest.are_counted {
        let smallest = write(&say, context, &entries, &rest, Some(EXCERPT_MIN)).2;
        rest.are_counted = entries.len() > WHOLE_MIN && size(&smallest) > max.saturating_mul(messages_max);
    }
    // Where the message may end: after each matter, in a storm after each that goes together.
    let ends: Vec<usize> = if rest.are_counted {
        rest.names_max = STORM_NAMES_MAX;
        let mut ends = several::by_weight(&mut entries);
        ends.truncate(WHOLE_MAX);
        ends
    } else {
        (1..=entries.len()).collect()
    };
    let mut n = ends.len();
    loop {
        let end = n.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or(0);
        let (chosen, others) = entries.split_at(end.min(entries.len()));
        let rest = Omitted { entries: others, ..rest };
        let (title, telling, smallest) = write(&say, context, chosen, &rest, Some(EXCERPT_MIN));
        // Escaping makes a text longer, so the measure is the page and not its texts.
        let too_long = size(&smallest);
        if too_long > max && n > 1 {
            n = (n * max / too_long * 9 / 10).clamp(1, n - 1);
            continue;
        }
        let full = [None, Some(500), Some(200), Some(100)];
        let page = full.into_iter().map(|budget| write(&say, context, chosen, &rest, budget).2);
        let mut page = page.into_iter().find(|page| size(page) <= max).unwrap_or(smallest);
        if n <= 1 && size(&page) > max {
            page = write(&say, context, chosen, &rest, Some(0)).2;
        }
        let places = |entries: &[MessageItem<'_>]| {
            let mut places: Vec<usize> = entries.iter().flat_map(|entry| entry.places.iter().copied()).collect();
            places.sort_unstable();
            places
        };
        let included = places(if rest.are_counted { &entries } else { chosen });
        let shown = places(chosen);
        let about = chosen.get(..ABOUT_MAX).unwrap_or(chosen);
        return Composed { message: message(&say, context, title, &telling, &page, about), included, shown };
    }
}

/// Title, telling line, and the page with excerpts of at most `budget` characters.
fn write(
    say: &Localizer,
    context: &Context<'_>,
    entries: &[MessageItem<'_>],
    rest: &Omitted<'_, '_>,
    budget: Option<usize>,
) -> (String, String, Page) {
    match entries {
        [] => (String::new(), String::new(), Page::default()),
        [entry] if entry.is_alone() => report::write(say, entry, budget),
        [entry] if rest.entries.is_empty() => one::write(say, context, entry, budget),
        several => several::write(say, context, several, rest, budget),
    }
}

/// What a message of so many notices says of its channel's budget: what has waited for it, and that little is left.
fn of_the_budget(say: &Localizer, context: &Context<'_>, n_notices: usize) -> Vec<String> {
    let mut facts = Vec::new();
    if let Some(BudgetUse { channel, n_waited, used, per_day }) = &context.budget {
        let (n_waited, used, per_day) = (*n_waited, *used, *per_day);
        let whose = if n_waited >= n_notices as u64 { "all" } else { "some" };
        let args = [("n", n_waited.into()), ("used", used.into()), ("all", per_day.into()), ("whose", whose.into())];
        let left = per_day.saturating_sub(used + 1);
        if n_waited > 0 {
            facts.push(say.text("budget-waited", &args));
        }
        if left <= BUDGET_LOW && left < per_day / 2 {
            facts.push(say.text(
                "budget-low",
                &[("n", left.into()), ("all", per_day.into()), ("channel", channel.as_str().into())],
            ));
        }
    }
    facts
}

/// Where the page of these opens, and the form that acknowledges what is open. What is over has its page, too.
fn link(say: &Localizer, context: &Context<'_>, told: &[MessageItem<'_>]) -> Option<MessageLink> {
    let IncidentUrl(url_of) = context.incident_url.filter(|_| !context.by_device)?;
    let is_open = |entry: &&MessageItem<'_>| one::is_open(entry.notice);
    let open: BTreeSet<u64> = told.iter().filter(is_open).filter_map(|entry| entry.notice.incident).collect();
    let open: Vec<u64> = open.into_iter().take(LINKED_MAX).collect();
    let (label, url) = match (open.as_slice(), told) {
        ([], [over]) => {
            let number = over.notice.incident?;
            (say.text("details", &[("n", number.into())]), url_of(&[number]))
        }
        ([], _) => return None,
        ([one], _) => (say.text("details", &[("n", (*one).into())]), url_of(&open)),
        (several, _) => (say.text("details-all", &[("n", (several.len() as u64).into())]), url_of(&open)),
    };
    // The page's form goes to the address below it, with what opens the page.
    let acknowledge = url.split_once('?').filter(|_| !open.is_empty()).map(|(page, query)| Acknowledge {
        label: say.word("acknowledge-button"),
        url: format!("{page}/ack"),
        form: query.to_owned(),
    });
    Some(MessageLink { label, url, acknowledge })
}

fn message(
    say: &Localizer,
    context: &Context<'_>,
    title: String,
    telling: &str,
    page: &Page,
    told: &[MessageItem<'_>],
) -> Message {
    let title = safe::one_line(&title);
    let telling = safe::one_line(telling);
    let both = || say.text("title-telling", &[("title", title.as_str().into()), ("telling", telling.as_str().into())]);
    let summary = if telling.is_empty() { title.clone() } else { both() };
    let summary = cut::end(&summary, context.limits.summary_chars);
    let Limits { unit, form, body: max, plain, .. } = context.limits;
    let html = if form == Form::HtmlWithCopy { form } else { Form::Html };
    let [html, markdown, text] = [html, Form::Markdown, Form::Text].map(|form| page.write(form));
    let about = told.iter().map(MessageItem::about).collect();
    let message = Message { title, summary, html, markdown, text, about, link: link(say, context, told) };
    let (body, form) = message.body(form);
    // Only a single entry whose facts alone exceed the limit comes here: a part of it is better than nothing.
    match form {
        Form::Text if unit.size(body) > max => Message { text: unit.cut(body, max), ..message },
        _ if form != Form::Text && unit.size(body) > max => {
            let text = unit.cut(&message.text, plain.min(max));
            Message { html: String::new(), markdown: String::new(), text, ..message }
        }
        _ => message,
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! The report's page: one HTML file without scripts and without links to other addresses.
//!
//! This module puts the report into the catalogue's words; the template lays them out, and askama escapes every text. Should an escape
//! ever fail, the page's Content-Security-Policy allows a browser nothing but the page's own style sheet.
//!
//! Blocks in order: verdict, counts, what has to be done (or, on a good day, the proof of health), what is over, what has changed,
//! devices, Olog's own health. Errors whose fingerprints all agree are one card, whichever devices and tasks have them.

mod card;
mod cut;

use std::sync::LazyLock;

use askama::Template as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use olog_proto::clean;
use olog_push::notice::{ClosedIncident, StateCounts};
use olog_push::words::{Arg, Localizer, ssh};
use sha2::{Digest as _, Sha256};

use card::{Card, card, one_error_each};
use cut::{LINE, NAME, cut, six_lines};

use super::{ChannelHealth, DeviceDetail, Report, TaskRow, strip};
use crate::rules::quota::Limit;
use crate::rules::state::{DAYS, DayState, State, Strip};

/// The style sheet.
const STYLE: &str =
    concat!(include_str!("../../../templates/shared.css"), include_str!("../../../templates/report.css"));
/// Matters shown as cards, and lines before a fold.
const SHOWN: usize = 5;
/// Proofs shown.
const PROOFS: usize = 6;

/// What a browser may do with a report: apply its own style sheet.
pub fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        format!("default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'")
    });
    &POLICY
}

/// The page's text.
pub fn html(report: &Report, say: &Localizer) -> String {
    // A template that was compiled fails only where writing into a text does: never.
    // Names and texts are clean where they are decoded; a store of an older version may hold others.
    clean::text(ReportPage::new(report, say).render().unwrap_or_default())
}

#[derive(askama::Template)]
#[template(path = "report.html")]
struct ReportPage<'a> {
    say: &'a Localizer,
    lang: &'static str,
    policy: &'static str,
    style: &'static str,
    is_good: bool,
    verdict: String,
    under: String,
    devices: Vec<Count>,
    tasks: Vec<Count>,
    n_over: u64,
    new_gone: Vec<Count>,
    now: Vec<Card>,
    now_more: Vec<Card>,
    now_left: u64,
    proof: Vec<(String, String)>,
    proof_left: u64,
    fleet: Option<Fleet>,
    over: Vec<OverLine>,
    over_more: Vec<OverLine>,
    over_left: u64,
    changed: Vec<ChangeLine>,
    bad: Vec<DeviceView>,
    good: Vec<DeviceView>,
    n_good: u64,
    n_left: u64,
    is_well: bool,
    sent: String,
    health: Vec<(bool, String)>,
    foot: Vec<String>,
}

/// A number with its word.
struct Count {
    class: &'static str,
    mark: &'static str,
    word: String,
    n: u64,
}

/// What is different since the last report.
struct ChangeLine {
    word: String,
    what: Vec<String>,
    /// Behind a fold.
    more: Vec<String>,
    /// What is behind the fold, and what has no room there.
    n_more: u64,
}

/// Something that was.
struct OverLine {
    time: String,
    word: String,
    name: String,
    number: String,
    rest: String,
}

struct Fleet {
    svg: String,
    first: String,
    words: String,
}

struct DeviceView {
    class: &'static str,
    mark: &'static str,
    word: String,
    name: String,
    is_new: bool,
    counts: String,
    strip: String,
    log_in: Option<String>,
    facts: Vec<String>,
    tasks: Vec<TaskView>,
    left: u64,
}

struct TaskView {
    class: &'static str,
    mark: &'static str,
    word: String,
    name: String,
    is_new: bool,
    strip: String,
    meta: Vec<String>,
    text: String,
}

fn n(n: u64) -> Arg<'static> {
    ("n", n.into())
}

impl<'a> ReportPage<'a> {
    /// A sentence with a count, for the template.
    fn counted(&self, key: &str, count: impl std::borrow::Borrow<u64>) -> String {
        self.say.text(key, &[n(*count.borrow())])
    }

    fn new(report: &'a Report, say: &'a Localizer) -> ReportPage<'a> {
        let facts = &report.facts;
        let is_good = facts.n_now == 0;
        let range = format!("{} – {}", say.day_time(facts.from), say.day_time(facts.to));
        let made = say.text("page-made", &[("time", say.time(facts.made_at).into())]);
        let mut now: Vec<Card> = one_error_each(&facts.now).iter().map(|same| card(say, same)).collect();
        let now_more = now.split_off(now.len().min(SHOWN));
        let mut over: Vec<OverLine> = facts.over.iter().map(|ended| line(say, ended)).collect();
        let over_more = over.split_off(over.len().min(SHOWN));
        let (good, bad): (Vec<_>, Vec<_>) = report.devices.iter().partition(|device| device.state == State::Ok);
        let n_shown = (good.len() + bad.len()) as u64;
        let health = health(say, report);
        let count = |class, mark, word: &str, n| Count { class, mark, word: say.word(word), n };
        ReportPage {
            say,
            lang: say.language.as_str(),
            policy: policy(),
            style: STYLE,
            is_good,
            verdict: match (is_good, facts.devices.all()) {
                (true, 0) => say.word("page-no-devices"),
                (true, _) if facts.n_over > 0 => say.text("page-ok-now", &[n(facts.n_over)]),
                (true, _) => say.word("page-all-ok"),
                (false, _) => say.text("page-to-do", &[n(facts.n_now)]),
            },
            under: [range, made, report.health.hub.clone()].join(" · "),
            devices: vec![
                count("ok", "●", "state-ok", facts.devices.ok),
                count("err", "▲", "state-err", facts.devices.err),
                count("lost", "■", "state-lost", facts.devices.lost),
            ],
            tasks: vec![
                count("ok", "●", "state-ok", facts.tasks.ok),
                count("err", "▲", "state-err", facts.tasks.err),
                count("lost", "■", "state-task-lost", facts.tasks.lost),
            ],
            n_over: facts.n_over,
            new_gone: vec![count("new", "+", "page-new", facts.n_new), count("gone", "−", "page-gone", facts.n_gone)],
            now_left: facts.n_now.saturating_sub(now.iter().chain(&now_more).map(|card| card.n).sum()),
            now,
            now_more,
            proof: facts
                .proof
                .iter()
                .take(PROOFS)
                .map(|p| (p.name.clone(), run(say, p.began_at, p.ended_at)))
                .collect(),
            proof_left: report.n_proof.saturating_sub(facts.proof.len().min(PROOFS) as u64),
            fleet: fleet(say, report),
            over_left: facts.n_over.saturating_sub((over.len() + over_more.len()) as u64),
            over,
            over_more,
            changed: changed(say, report),
            bad: bad.into_iter().map(|detail| device(say, detail)).collect(),
            good: good.into_iter().map(|detail| device(say, detail)).collect(),
            n_good: facts.devices.ok,
            n_left: facts.devices.all().saturating_sub(n_shown),
            is_well: health.iter().all(|(is_well, _)| *is_well),
            sent: sent(say, report),
            health,
            foot: foot(say, report),
        }
    }
}

/// How a state is shown: by colour, shape and word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateForm {
    /// The class of the style sheet.
    pub class: &'static str,
    /// The shape.
    pub mark: &'static str,
    /// The word.
    pub word: String,
}

/// How a state of a device or task is shown.
pub fn form(say: &Localizer, state: State, is_task: bool) -> StateForm {
    let (class, mark, word) = match (state, is_task) {
        (State::Ok, _) => ("ok", "●", "state-ok"),
        (State::Err, _) => ("err", "▲", "state-err"),
        (State::Lost, true) => ("lost", "■", "state-task-lost"),
        (State::Lost, false) => ("lost", "■", "state-lost"),
    };
    StateForm { class, mark, word: say.word(word) }
}

fn line(say: &Localizer, ended: &ClosedIncident) -> OverLine {
    let name = match ended.n_devices {
        0 | 1 => cut(&ended.name, NAME),
        several if ended.same_site => say.text("page-same-site", &[n(several)]),
        several => say.text("count-devices", &[n(several)]),
    };
    let mut rest = Vec::new();
    if ended.n_seen > 1 {
        rest.push(say.text("page-times", &[n(ended.n_seen)]));
    }
    rest.extend(ended.ground.map(|ground| say.ground(ground, ended.ended_at)));
    OverLine {
        time: say.range(ended.began_at, ended.ended_at),
        word: say.trouble(ended.trouble),
        name,
        number: format!("#{}", ended.incident),
        rest: rest.join(" · "),
    }
}

/// `03:30→03:34`, or when it was done.
fn run(say: &Localizer, began_at: Option<olog_proto::Timestamp>, ended_at: olog_proto::Timestamp) -> String {
    match began_at.filter(|began| *began < ended_at) {
        Some(began) => format!("{}→{}", say.time(began), say.time(ended_at)),
        None => say.time(ended_at),
    }
}

fn fleet(say: &Localizer, report: &Report) -> Option<Fleet> {
    let known = || report.fleet.iter().filter(|day| day.all() > 0);
    let n_known = known().count() as u64;
    let n_good = known().filter(|day: &&StateCounts| day.err + day.lost == 0).count() as u64;
    let words = say.text("page-fleet", &[n(n_known), ("good", n_good.into())]);
    let first = report.facts.to.plus(-(DAYS as i64 - 1) * 86_400_000);
    (n_known > 0).then(|| Fleet { svg: strip::fleet(&report.fleet, &words), first: say.day(first), words })
}

fn changed(say: &Localizer, report: &Report) -> Vec<ChangeLine> {
    let facts = &report.facts;
    let mut changed = Vec::new();
    let names = |names: &[String], all: u64| {
        let shown: Vec<String> = names.iter().map(|name| cut(name, NAME)).collect();
        let left = all.saturating_sub(shown.len() as u64);
        let more = if left > 0 { format!(" {}", say.text("report-more", &[n(left)])) } else { String::new() };
        say.list(&shown) + &more
    };
    let line =
        |word: &str, what: String| ChangeLine { word: say.word(word), what: vec![what], more: Vec::new(), n_more: 0 };
    if facts.n_new > 0 {
        let mut what = by_device(say, &facts.new);
        let more = what.split_off(what.len().min(SHOWN));
        let n_unnamed = facts.n_new.saturating_sub(facts.new.len() as u64);
        let n_more = more.len() as u64 + n_unnamed;
        changed.push(ChangeLine { word: say.word("page-new"), what, more, n_more });
    }
    if facts.n_gone > 0 {
        changed.push(line("page-gone", names(&facts.gone, facts.n_gone)));
    }
    changed.extend(report.proposals.iter().map(|(name, reason)| {
        let args = [("name", cut(name, NAME).into()), ("reason", reason.as_str().into())];
        line("page-proposal", say.text("page-proposed", &args))
    }));
    for (was, is) in &report.renamed {
        changed.push(line("page-renamed", format!("{} → {}", cut(was, NAME), cut(is, NAME))));
    }
    if !report.rebooted.is_empty() {
        let list: Vec<String> =
            report.rebooted.iter().map(|(name, at)| format!("{} {}", cut(name, NAME), say.time(*at))).collect();
        changed.push(line("page-rebooted", say.list(&list)));
    }
    changed
}

/// `web: certbot, nginx`, a line a device, in the order in which the devices come.
fn by_device(say: &Localizer, names: &[String]) -> Vec<String> {
    let mut devices: Vec<(&str, Vec<String>)> = Vec::new();
    for name in names {
        let (device, task) = name.split_once('/').map_or((name.as_str(), None), |(device, task)| (device, Some(task)));
        let place = devices.iter().position(|(known, _)| *known == device).unwrap_or(devices.len());
        if place == devices.len() {
            devices.push((device, Vec::new()));
        }
        if let (Some((_, tasks)), Some(task)) = (devices.get_mut(place), task) {
            tasks.push(cut(task, NAME));
        }
    }
    let written = |(device, tasks): &(&str, Vec<String>)| match tasks.as_slice() {
        [] => cut(device, NAME),
        tasks => format!("{}: {}", cut(device, NAME), say.list(tasks)),
    };
    devices.iter().map(written).collect()
}

fn device(say: &Localizer, detail: &DeviceDetail) -> DeviceView {
    let row = &detail.row;
    let StateForm { class, mark, word } = form(say, detail.state, false);
    let counts = [
        ("report-n-err", detail.tally.err),
        ("report-n-task-lost", detail.tally.lost),
        ("report-n-ok", detail.tally.ok),
    ];
    let counts: Vec<String> = counts.iter().filter(|(_, c)| *c > 0).map(|(key, c)| say.text(key, &[n(*c)])).collect();
    let mut facts = Vec::new();
    facts.extend(row.address.as_ref().filter(|address| ssh(address).is_none()).map(|address| cut(address, LINE)));
    facts.extend(row.heard_at.map(|at| say.text("page-heard", &[("time", say.time(at).into())])));
    match &row.version {
        _ if row.is_legacy => facts.push(say.word("page-legacy")),
        Some(version) => facts.push(cut(version, NAME)),
        None => {}
    }
    DeviceView {
        class,
        mark,
        word,
        name: cut(&row.name, NAME),
        is_new: row.is_new,
        counts: counts.join(" "),
        strip: picture(say, &whole(row)),
        log_in: row.address.as_deref().and_then(ssh),
        facts,
        left: detail.tally.all().saturating_sub(row.tasks.iter().filter(|task| !task.is_gone).count() as u64),
        tasks: row.tasks.iter().map(|row| task(say, row)).collect(),
    }
}

/// A device's days: its own, and the worst of its tasks'.
fn whole(row: &super::DeviceRow) -> Strip {
    let mut strip = row.strip;
    for task in row.tasks.iter().filter(|task| !task.is_gone) {
        for (cell, other) in strip.iter_mut().zip(task.strip) {
            // A task that did not come is trouble of its device, which was there.
            *cell = (*cell).max(other.min(DayState::Err));
        }
    }
    strip
}

fn task(say: &Localizer, row: &TaskRow) -> TaskView {
    let gone = || StateForm { class: "gone", mark: "−", word: say.word("page-gone") };
    let StateForm { class, mark, word } = if row.is_gone { gone() } else { form(say, row.state, true) };
    let mut meta = Vec::new();
    if row.state == State::Ok {
        meta.extend(row.last_run.map(|(began, ended)| format!("{} ✓", run(say, began, ended))));
        meta.extend(row.due_at.map(|at| say.text("page-next", &[("time", say.time(at).into())])));
        if row.last_run.is_none() {
            meta.extend(row.last_error_at.map(|at| say.text("page-last-error", &[("time", say.time(at).into())])));
        }
    } else {
        meta.extend(row.due_at.map(|at| say.text("report-due", &[("time", say.time(at).into())])));
        meta.extend(row.incident.as_ref().map(|open| say.duration(say.now.since(open.since))));
        meta.extend(row.last_good_at.map(|at| say.text("report-last-good", &[("time", say.time(at).into())])));
        meta.extend(row.incident.as_ref().and_then(|open| open.number).map(|number| format!("#{number}")));
    }
    let text = row.incident.as_ref().map_or_else(String::new, |open| six_lines(&open.text));
    TaskView {
        class,
        mark,
        word,
        name: cut(&row.name, NAME),
        is_new: row.is_new,
        strip: picture(say, &row.strip),
        meta,
        text,
    }
}

/// The last days as a picture, with a text for who does not see it.
pub fn picture(say: &Localizer, strip: &[DayState]) -> String {
    let count = |kind: DayState| strip.iter().filter(|cell| **cell == kind).count() as u64;
    let args = [
        ("n", (strip.len() as u64).into()),
        ("ok", count(DayState::Ok).into()),
        ("err", count(DayState::Err).into()),
        ("lost", count(DayState::Lost).into()),
    ];
    strip::svg(strip, &say.text("page-strip", &args))
}

/// Lines that say how Olog is; true: as it should be.
fn health(say: &Localizer, report: &Report) -> Vec<(bool, String)> {
    let health = &report.health;
    let mut lines: Vec<(bool, String)> = health.channels.iter().map(|channel| channel_line(say, channel)).collect();
    match health.channels.as_slice() {
        [] => lines.push((false, say.word("page-no-channel"))),
        [_] => lines.push((false, say.word("page-one-channel"))),
        _ => {}
    }
    lines.extend(health.no_link.iter().map(|why| (false, say.text("page-no-link", &[("why", cut(why, LINE).into())]))));
    for disk in health.full_disks.iter().take(10) {
        let (name, text) = (cut(&disk.device, NAME), cut(&disk.text, LINE));
        let args = [("name", name.into()), ("time", say.day_time(disk.since).into()), ("text", text.into())];
        lines.push((false, say.text("page-disk-full", &args)));
    }
    for beyond in health.beyond.iter().take(10) {
        let key = if beyond.limit == Limit::Tasks { "page-beyond-tasks" } else { "page-beyond-incidents" };
        let args = [("name", cut(&beyond.device, NAME).into()), ("max", beyond.max.into()), n(beyond.n)];
        lines.push((false, say.text(key, &args)));
    }
    for (name, skew) in report.skews.iter().take(10) {
        let key = if *skew > 0 { "page-clock-ahead" } else { "page-clock-behind" };
        let args = [("name", cut(name, NAME).into()), ("span", say.duration(skew.saturating_abs()).into())];
        lines.push((false, say.text(key, &args)));
    }
    if !report.old_versions.is_empty() {
        let names: Vec<String> = report
            .old_versions
            .iter()
            .take(10)
            .map(|(name, version)| format!("{} {version}", cut(name, NAME)))
            .collect();
        let n_left = (report.old_versions.len() - names.len()) as u64;
        let more = if n_left > 0 { format!(" {}", say.text("report-more", &[n(n_left)])) } else { String::new() };
        lines.push((false, say.text("page-other-versions", &[("names", (say.list(&names) + &more).into())])));
    }
    lines.extend(health.backup_at.map(|at| (true, say.text("page-backup", &[("time", say.time(at).into())]))));
    lines
}

/// What the services took, all together.
fn sent(say: &Localizer, report: &Report) -> String {
    let sent = &report.facts.sent;
    say.text("page-channel", &[("sent", sent.accepted.into()), ("refused", sent.refused.into())])
}

fn channel_line(say: &Localizer, channel: &ChannelHealth) -> (bool, String) {
    if channel.is_gone {
        return (
            false,
            format!("{}: {}", cut(&channel.name, NAME), say.text("page-channel-gone", &[n(channel.waiting)])),
        );
    }
    let args = [("sent", channel.accepted.into()), ("refused", channel.refused.into())];
    let mut parts = vec![say.text("page-channel", &args)];
    if channel.waiting > 0 {
        parts.push(say.text("page-waiting", &[n(channel.waiting)]));
    }
    parts.extend(channel.left_today.map(|left| say.text("page-left-today", &[n(left)])));
    parts.extend(channel.next_slot_at.map(|at| say.text("page-next-slot", &[("time", say.day_time(at).into())])));
    parts.extend(channel.failing.as_ref().map(|why| say.text("page-failing", &[("why", cut(why, LINE).into())])));
    (channel.failing.is_none(), format!("{}: {}", cut(&channel.name, NAME), say.list(&parts)))
}

fn foot(say: &Localizer, report: &Report) -> Vec<String> {
    let health = &report.health;
    let mut foot = Vec::new();
    foot.extend(health.next_at.map(|at| say.text("page-next-report", &[("time", say.day_time(at).into())])));
    foot.push(say.text("page-lives", &[n(u64::from(health.keep_days))]));
    foot.push(say.word("page-how"));
    foot.push(format!("Olog {}", health.version));
    foot
}

//! The reporter: makes the daily report when it is due, once, and hands it to the outbox.
//!
//! It sleeps until the next time of `[report]`; reads the store in one snapshot (`gather`); lets `rules/report` write the page; puts the
//! page where a link can open it (`place`); marks what the report names for the first time; and commits, in one transaction,
//! the report's row and the outbox rows. The row's key is the end of the window, so two hubs or two wake-ups make one report. A
//! crash before the commit makes the report again, with every `[NEW]` still new. No device is asked for anything.
//!
//! Removing old pages is a duty of its own: a page that cannot be removed is no reason to make no report. The reporter is a worker of
//! its own beside the watchman, because a page that takes seconds must not delay a LOST. Must not: decide what a state is
//! (`rules`), or send anything (it rings the outbox's bell).

mod gather;
mod place;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use olog_daemon::clock::Clock;
use olog_daemon::failure::{Consequence, Failure};
use olog_daemon::workers::{Duty, Worker};
use olog_proto::Timestamp;
use olog_push::words::Localizer;
use olog_push::{Content, Kind, Notice, SystemCode};
use tokio::sync::watch as latest;
use tokio_util::sync::CancellationToken;

use crate::apply::{self, LivePolicy};
use crate::bell::Bell;
use crate::config::{ReloadableConfig, ReportWhen};
use crate::net::sessions::Sessions;
use crate::rules::report::when::{NextReport, next_report};
use crate::rules::report::{Report, Window, page};
use crate::store::devices::{self, DeviceId};
use crate::store::reports::{self, FirstMention, NewReport};
use crate::store::{Store, StoreError, Tx, settings, silences, tasks};
use gather::Gathered;
use olog_proto::schedule::Schedule;
use place::Placed;

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;
/// Where the store keeps when this hub first ran: no report is due before.
const SINCE: &str = "reports_since";
/// Where it keeps why the last report had no link, for `status`.
const NO_LINK: &str = "report_no_link";
/// Where it keeps what was told of the folder.
const TOLD: &str = "report_page_told";
/// Rows that are marked as known in one transaction.
const MARKED: usize = 500;
/// Old pages are looked for this often, and the schedule is looked at again.
const LOOK_EVERY: i64 = 60 * MINUTE;

/// Makes reports; clones share everything.
#[derive(Debug, Clone)]
pub struct Reporter {
    store: Store,
    rules: latest::Receiver<Arc<LivePolicy>>,
    live: latest::Receiver<Arc<ReloadableConfig>>,
    sessions: Arc<Sessions>,
    clock: Clock,
    outbox: Bell,
    status: Worker,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The store.
    #[error("the store did not give or take the report: {0}")]
    Store(#[from] StoreError),
    /// No randomness for a name that nobody guesses.
    #[error("the system gives no randomness")]
    Random,
}

impl Failure for ReportError {
    fn consequence(&self) -> Consequence {
        match self {
            ReportError::Store(error) => error.consequence(),
            ReportError::Random => Consequence::Retry,
        }
    }
}

impl Reporter {
    /// `outbox` is rung when there is something to send.
    pub fn new(
        store: &Store,
        rules: &latest::Receiver<Arc<LivePolicy>>,
        live: &latest::Receiver<Arc<ReloadableConfig>>,
        sessions: &Arc<Sessions>,
        clock: &Clock,
        outbox: &Bell,
    ) -> Reporter {
        Reporter {
            store: store.clone(),
            rules: rules.clone(),
            live: live.clone(),
            sessions: sessions.clone(),
            clock: clock.clone(),
            outbox: outbox.clone(),
            status: Worker::default(),
        }
    }

    /// With the status that its daemon shows.
    pub fn with_status(self, status: &Worker) -> Reporter {
        Reporter { status: status.clone(), ..self }
    }

    /// Makes reports until `stop`.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), StoreError> {
        loop {
            let now = self.clock.now();
            self.status.beat();
            let next = tokio::select! {
                looked = self.run_due(now) => match looked {
                    Ok(next) => next,
                    Err(ReportError::Store(StoreError::Closed)) => return Ok(()),
                    // Randomness that is missing comes back; nothing else is left that is not the store's.
                    Err(ReportError::Store(error)) => return Err(error),
                    Err(ReportError::Random) => now.plus(MINUTE),
                },
                () = stop.cancelled() => return Ok(()),
            };
            self.status.idle();
            tokio::select! {
                () = self.clock.sleep_until(next) => {}
                changed = self.live.changed() => if changed.is_err() { stop.cancelled().await },
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// Makes what is due and removes what is old; returns when to look again. Each on its own: a page that cannot be removed is no
    /// reason to make no report.
    pub async fn run_due(&mut self, now: Timestamp) -> Result<Timestamp, ReportError> {
        let live = self.live.borrow_and_update().clone();
        let (make, clean_up) = (self.status.duty("make the report"), self.status.duty("remove old reports"));
        let made = self.make_what_is_due(&live, now).await;
        let made = again(&make, make.round(made, now)?, now);
        let cleaned = self.clean_up(&live, now).await.map_err(ReportError::Store);
        let cleaned = again(&clean_up, clean_up.round(cleaned.map(|()| now.plus(LOOK_EVERY)), now)?, now);
        Ok(made.min(cleaned))
    }

    /// The report, if it is due; returns when the next one is.
    async fn make_what_is_due(&self, live: &ReloadableConfig, now: Timestamp) -> Result<Timestamp, ReportError> {
        let later = now.plus(LOOK_EVERY);
        let Some(schedule) = schedule(live) else { return Ok(later) };
        let (last, since) = self.store.write(move |tx| Ok((reports::last_window(tx)?, since(tx, now)?))).await?;
        match next_report(&schedule, live.timezone, last, since, now) {
            Some(NextReport::Make(window)) => {
                self.make(window, true, now).await?;
                Ok(now)
            }
            Some(NextReport::Wait(at)) => Ok(at.min(later)),
            None => Ok(later),
        }
    }

    /// The last 24 hours, for a person: no window moves, nothing becomes known.
    pub async fn preview(&self) -> Result<(Report, String), ReportError> {
        let now = self.clock.now();
        let (report, _) = self.gather(Window { from: now.plus(-DAY), to: now }, now).await?;
        let html = page::html(&report, &self.localizer(now));
        Ok((report, html))
    }

    /// The same, kept and pushed.
    pub async fn push_now(&self) -> Result<Option<i64>, ReportError> {
        let now = self.clock.now();
        self.make(Window { from: now.plus(-DAY), to: now }, false, now).await
    }

    /// A report as text, as a push without a link would have it.
    pub fn text(&self, facts: &olog_push::ReportFacts) -> String {
        let rules = self.rules.borrow().clone();
        let facts = olog_push::ReportFacts { link: None, ..facts.clone() };
        let made_at = facts.made_at;
        let message = rules.compose_whole(&notice(facts), made_at);
        format!("{}\n{}\n", message.summary, message.text)
    }

    fn localizer(&self, now: Timestamp) -> Localizer {
        self.rules.borrow().localizer(now)
    }

    async fn gather(&self, window: Window, now: Timestamp) -> Result<(Report, Gathered), ReportError> {
        let (rules, live) = (self.rules.borrow().clone(), self.live.borrow().clone());
        let seats = self.sessions.snapshot().into_iter().map(|seat| (seat.who.device.0, seat)).collect();
        let next_at = schedule(&live).and_then(|schedule| schedule.next_after(now, live.timezone));
        let hub = live.public_url.as_deref().map(host).unwrap_or_default();
        let declared = live.devices.iter().map(|device| device.name.to_string()).collect();
        let (keep_days, limits) = (live.report.keep_days, live.limits);
        let kept = self.store.read(move |tx| silences::kept(tx, now)).await?;
        let no_errors = kept.iter().filter(|silence| silence.scope.fingerprint.is_some()).cloned().collect();
        let around = Arc::new(gather::Around { rules, seats, next_at, hub, keep_days, limits, declared, no_errors });
        Ok(self.store.read(move |tx| gather::gather(tx, &around, window, now)).await?)
    }

    /// What a report names for the first time is marked before the report is there, in steps between which others write: in one
    /// the first report of a large fleet would hold up every event. The marks count with the report's row, whose transaction
    /// comes after them on the disk: a crash before it makes the report again, and all of that is new in it still.
    async fn mark(&self, new: &[FirstMention], now: Timestamp) -> Result<(), StoreError> {
        for step in new.chunks(MARKED) {
            let step = step.to_vec();
            self.store.write_relaxed(move |tx| reports::know(tx, &step, now)).await?;
        }
        Ok(())
    }

    /// One report from rows to outbox; nothing if its window's report is there already.
    async fn make(&self, window: Window, is_daily: bool, now: Timestamp) -> Result<Option<i64>, ReportError> {
        let (mut report, seen) = self.gather(window, now).await?;
        let say = self.localizer(now);
        let (rules, live) = (self.rules.borrow().clone(), self.live.borrow().clone());
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(|_| ReportError::Random)?;
        let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut html = page::html(&report, &say);
        let placed = self.place(&live, &token, &html, now).await?;
        report.facts.link.clone_from(&placed.link);
        if placed.link.is_none() && placed.why.is_some() {
            report.health.no_link.clone_from(&placed.why);
            html = page::html(&report, &say);
        }
        let new = NewReport {
            from_at: window.from,
            to_at: window.to,
            is_daily,
            made_at: now,
            token,
            facts: report.facts,
            page: html,
        };
        if is_daily {
            self.mark(&seen.new, now).await?;
        }
        let commit = move |tx: &mut Tx<'_>| commit(tx, &rules, &new, &seen, &placed, now);
        let made = self.store.write(commit).await?;
        if let Some(report) = made {
            tracing::info!(report, is_daily, "a report was made");
        }
        self.outbox.ring();
        Ok(made)
    }

    /// Pages and files that were kept long enough go; of files only those that were written here.
    async fn clean_up(&self, live: &ReloadableConfig, now: Timestamp) -> Result<(), StoreError> {
        let before = now.plus(-i64::from(live.report.keep_days) * DAY);
        let old = self.store.read(move |tx| reports::old_files(tx, before, 1_000)).await?;
        for path in old {
            match place::remove(path.clone().into()).await {
                Ok(()) => self.store.write(move |tx| reports::forget_file(tx, &path)).await?,
                Err(error) => tracing::warn!(path, %error, "an old report's file is not removed; tried again later"),
            }
        }
        self.store.write(move |tx| reports::drop_pages(tx, before)).await?;
        Ok(())
    }
}

/// When a duty is due next, or is tried again.
fn again(duty: &Duty, next: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let wait = i64::try_from(duty.retry_after().as_millis()).unwrap_or(MINUTE);
    next.unwrap_or_else(|| now.plus(wait))
}

/// One transaction: the row, what is watched from now on, what has to be told.
fn commit(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    new: &NewReport,
    seen: &Gathered,
    placed: &Placed,
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let Some(id) = reports::put(tx, new)? else { return Ok(None) };
    if new.is_daily {
        propose(tx, rules, &seen.proposed, now)?;
    }
    settings::set(tx, NO_LINK, placed.why.as_deref().filter(|_| placed.link.is_none()).unwrap_or_default())?;
    // What is wrong with the folder is told when it becomes so, not every day.
    let told = settings::get(tx, TOLD)?.unwrap_or_default();
    let trouble = placed.trouble.as_ref().map(|trouble| (SystemCode::ReportPage, "why", trouble));
    let trouble = trouble.or(placed.listing.as_ref().map(|path| (SystemCode::ReportListing, "path", path)));
    let is = trouble.map(|(_, key, words)| format!("{key} {words}")).unwrap_or_default();
    if is != told {
        if let Some((code, key, words)) = trouble {
            apply::enqueue_notice(tx, rules, &apply::system_notice(None, code, &[(key, words.clone())], now), now)?;
        }
        settings::set(tx, TOLD, &is)?;
    }
    let facts = olog_push::ReportFacts { number: u64::try_from(id).ok(), ..new.facts.clone() };
    apply::enqueue_notice(tx, rules, &notice(facts), now)?;
    Ok(Some(id))
}

/// What was learnt, or read on the machine, is shown: it is watched from tomorrow, unless somebody refuses.
fn propose(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    proposed: &[(DeviceId, String)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let in_order: BTreeSet<&(DeviceId, String)> = proposed.iter().collect();
    for (device, name) in in_order {
        devices::lock(tx, *device)?;
        let Some(device) = devices::get(tx, *device)? else { continue };
        let Some(mut task) = tasks::find(tx, device.id, name)? else { continue };
        let known = apply::known(rules, &device, &task);
        let outcomes = task.expect.was_proposed(&known, &rules.expect, now);
        apply::expectations(tx, rules, &device, &mut task, outcomes, now)?;
        apply::task(tx, rules, &device, &mut task, now)?;
    }
    Ok(())
}

fn notice(facts: olog_push::ReportFacts) -> Notice {
    Notice {
        kind: Kind::Report,
        incident: None,
        device: None,
        address: None,
        task: None,
        at: facts.made_at,
        silence: None,
        content: Content::Report(Box::new(facts)),
    }
}

fn since(tx: &mut Tx<'_>, now: Timestamp) -> Result<Timestamp, StoreError> {
    let since = settings::get_or_set(tx, SINCE, &now.0.to_string())?;
    Ok(Timestamp(since.parse().unwrap_or(now.0)))
}

/// Why the last report had no link, if it had none and should have.
pub fn no_link(tx: &mut Tx<'_>) -> Result<Option<String>, StoreError> {
    Ok(settings::get(tx, NO_LINK)?.filter(|why| !why.is_empty()))
}

fn schedule(live: &ReloadableConfig) -> Option<Schedule> {
    match &live.report.when {
        ReportWhen::At(times) => Schedule::daily(times),
        ReportWhen::Schedule(schedule) => Some(schedule.clone()),
    }
}

/// What a person calls the hub: its host.
fn host(public_url: &str) -> String {
    let url = url::Url::parse(public_url).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

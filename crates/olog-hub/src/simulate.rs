//! `olog-hub simulate`: which messages a scenario would bring, when, how they are merged, and what is held back and why.
//!
//! A `ScenarioFile` lists what happens; the `Harness` plays it through the hub's own workers as fast as the machine allows; the
//! `Transcript` is the printed text. Each step moves the clock to the next instant at which something happens or is due, runs what is due, and
//! lets every channel send. Nothing sleeps, no service is called, and nothing remains but the printed text.
//!
//! Must not: decide anything that the hub decides (the result would not be what the hub does), or need a running hub.

mod harness;
mod scenario;
mod shipped;
mod transcript;
mod wire;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use olog_daemon::config::{ConfigFiles, Invalid, read_text};
use olog_proto::Timestamp;
use olog_push::words::Language;

use crate::apply::LivePolicy;
use crate::apply::operator;
use crate::config::{Config, ReloadableConfig};
use crate::ingest::IngestError;
use crate::net::enrol::EnrolError;
use crate::store::{StoreError, Tx, incidents};
use crate::timed::reporter::ReportError;
use harness::Harness;
use scenario::{Action, IncidentRef, Person, Scenario, ScenarioFile, TimedAction};
use transcript::Transcript;

pub use scenario::Mistakes;
pub use shipped::{ShippedScenario, list};

/// Instants that are played: beyond it something never rests.
const INSTANTS_MAX: u64 = 5_000_000;

/// Why there is no transcript.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The file.
    #[error("{path}: {why}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what was expected.
        why: String,
    },
    /// No file and no shipped scenario has that name.
    #[error("there is no scenario {name:?}; shipped are {}; a file of your own: olog-hub simulate ./FILE.jsonl", shipped.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// The shipped ones.
        shipped: Vec<String>,
    },
    /// Lines of it.
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
    /// The configuration under which it should be played.
    #[error(transparent)]
    Config(#[from] Invalid),
    /// No folder for the store that is thrown away.
    #[error("no temporary folder (set TMPDIR to one that can be written)")]
    Folder(#[source] std::io::Error),
    /// That store.
    #[error("the simulation's own store failed")]
    Store(#[from] StoreError),
    /// A device did not join.
    #[error("a device did not join")]
    Enrol(#[from] EnrolError),
    /// Events were not taken.
    #[error("events were not taken")]
    Ingest(#[from] IngestError),
    /// A report was not made.
    #[error("a report was not made")]
    Report(#[from] ReportError),
    /// A defect.
    #[error("the simulation does not come to rest: this is a defect, please report it with the scenario")]
    Restless,
}

/// What to play, and how.
#[derive(Debug)]
pub struct SimulationRequest {
    /// A file, or the name of one that is shipped.
    pub scenario: PathBuf,
    /// The configuration that a person named; it counts more than the scenario's.
    pub config: Option<PathBuf>,
    /// Of the messages, whatever the configuration says.
    pub language: Option<Language>,
    /// Now: the day of a scenario that names none.
    pub now: Timestamp,
}

/// Plays a scenario and returns the transcript.
pub async fn run(request: &SimulationRequest) -> Result<String, PlayError> {
    let path = shipped::find(&request.scenario)?;
    let script = read(&path)?;
    let (mut live, from) = live(&script, request)?;
    // Nothing of a report is written anywhere.
    (live.report.html_dir, live.report.html_url) = (None, None);
    let scenario = script.in_zone(live.timezone, request.now)?;
    let transcript = play(scenario, &script, Arc::new(live), &from).await?;
    Ok(transcript.text())
}

fn read(path: &Path) -> Result<ScenarioFile, PlayError> {
    let refused = |why: String| PlayError::File { path: path.to_owned(), why };
    let size = std::fs::metadata(path).map_err(|e| refused(e.to_string()))?.len();
    if size > scenario::FILE_MAX {
        return Err(refused(format!("{size} bytes: expected at most {}", scenario::FILE_MAX)));
    }
    let text = std::fs::read_to_string(path).map_err(|e| refused(e.to_string()))?;
    Ok(ScenarioFile::read(&path.display().to_string(), &text)?)
}

/// The configuration that was named, else the scenario's own, else the machine's, else the defaults; and which.
fn live(script: &ScenarioFile, request: &SimulationRequest) -> Result<(ReloadableConfig, String), PlayError> {
    let own = script.config()?;
    let (config, from) = match (&request.config, own) {
        (None, Some(own)) => {
            let file = format!("{}, config", script.name);
            let config = read_text(&file, &own, |table| Config::parse(table, Path::new("/")))?;
            (config, None)
        }
        (named, _) => {
            let source = ConfigFiles::new("hub", named.clone()).without_secrets();
            let file = Some(source.main()).filter(|file| file.exists());
            let from = file.map_or_else(|| "defaults".to_owned(), |file| file.display().to_string());
            (Config::load(&source)?, Some(from))
        }
    };
    let mut live = ReloadableConfig::clone(&config.live);
    live.language = request.language.unwrap_or(live.language);
    let from = match from {
        None => live.language.sentence("the scenario's own", &[]),
        Some(from) => live.language.sentence(&from, &[]),
    };
    if live.channels.is_empty() {
        let phone = "[[channel]]\nname = \"phone\"\ntype = \"wxpusher\"\ntoken = \"AT_\"\nuids = [\"UID_\"]\n";
        let played = read_text("phone", phone, |table| Config::parse(table, Path::new("/")))?;
        live.channels.clone_from(&played.live.channels);
        let from = live.language.sentence("{1}, with a channel `phone`", &[&from]);
        return Ok((live, from));
    }
    Ok((live, from))
}

async fn play(
    scenario: Scenario,
    script: &ScenarioFile,
    live: Arc<ReloadableConfig>,
    from: &str,
) -> Result<Transcript, PlayError> {
    let mut harness = Harness::set_up(&scenario, live.clone()).await?;
    let mut transcript = Transcript::new(&scenario, script, &live, from);
    // (when, which line, for the how manieth time)
    let mut coming: BinaryHeap<Reverse<(Timestamp, usize, u64)>> =
        scenario.acts.iter().enumerate().map(|(i, act)| Reverse((act.at, i, 1))).collect();
    let mut is_told = false;
    for instant in 0.. {
        if instant > INSTANTS_MAX {
            return Err(PlayError::Restless);
        }
        let act = coming.peek().map(|Reverse((at, ..))| *at);
        let tells = (!is_told).then_some(scenario.tell_from.max(scenario.start));
        let next = [act, tells].into_iter().flatten().fold(harness.next(), Timestamp::min);
        if next > scenario.end {
            break;
        }
        harness.advance_to(next);
        if tells.is_some_and(|at| at <= harness.now()) {
            is_told = true;
            harness.enable_channels();
        }
        // What happened while a call was under way is there together; what happens now, one after the other.
        let now = harness.now();
        let mut is_first = true;
        while let Some(Reverse((at, i, n))) = coming.peek().copied() {
            if at > now || (at == now && !is_first) {
                break;
            }
            (is_first, _) = (false, coming.pop());
            let Some(act) = scenario.acts.get(i) else { continue };
            if is_told && n == 1 {
                transcript.happens(act, at);
            }
            happen(&mut harness, act, at, n, &mut transcript).await?;
            if let Some((span, _)) = act.every.filter(|(_, times)| n < *times) {
                coming.push(Reverse((at.plus(span), i, n + 1)));
            }
        }
        harness.run_due().await?;
        let called = harness.send().await?;
        transcript.hears(&harness, called).await?;
    }
    harness.advance_to(scenario.end);
    transcript.ends(&harness).await?;
    harness.strike().await?;
    Ok(transcript)
}

/// One act, once.
async fn happen(
    harness: &mut Harness,
    act: &TimedAction,
    at: Timestamp,
    n: u64,
    transcript: &mut Transcript,
) -> Result<(), PlayError> {
    let clock = transcript.time_of_day(at);
    match &act.deed {
        Action::Service { channel, state } => harness.services.set(channel.as_deref(), state.clone()),
        Action::Person(person) => by_person(harness, person, transcript).await?,
        Action::Away { says_bye } => {
            for device in &act.devices {
                harness.disconnect(device, *says_bye).await;
            }
        }
        Action::Back { rebooted } => {
            for device in &act.devices {
                if *rebooted {
                    harness.reboot(device);
                }
                harness.connect(device).await?;
            }
        }
        Action::Log(log) => {
            for device in &act.devices {
                harness.happens(device, at, |files| wire::log(files, log, at, n, &clock)).await?;
            }
        }
        Action::Run { task, end } => {
            for device in &act.devices {
                harness.happens(device, at, |_| wire::run(task, end.as_ref(), n, &clock)).await?;
            }
        }
        Action::Wire(what) => {
            for device in &act.devices {
                harness.happens(device, at, |_| what.as_ref().clone()).await?;
            }
        }
    }
    Ok(())
}

type PersonVerb = fn(&mut Tx<'_>, &LivePolicy, u64, Timestamp) -> Result<operator::ActionResult, StoreError>;

async fn by_person(harness: &Harness, person: &Person, transcript: &mut Transcript) -> Result<(), PlayError> {
    let (which, verb): (_, PersonVerb) = match person {
        Person::Ack(which) => (which, operator::acknowledge),
        Person::Close(which) => (which, operator::close),
        Person::Rearm(channel) => {
            let (channel, now) = (channel.clone(), harness.now());
            return Ok(harness.store.write(move |tx| crate::store::outbox::rearm(tx, &channel, now)).await?);
        }
    };
    let which = which.clone();
    let number = match which {
        IncidentRef::Number(number) => Some(number),
        IncidentRef::Of(device, task) => {
            let open = harness.store.read(|tx| incidents::list(tx, false, u64::MAX, 10_000)).await?;
            let is_it = |incident: &&incidents::Incident| match (&task, incident.subject.as_str()) {
                (Some(task), "task" | "lost") => incident.device.as_deref() == Some(&device) && incident.name == *task,
                (None, "device") => incident.name.split(", ").any(|name| name == device),
                _ => false,
            };
            open.iter().find(is_it).map(|incident| incident.id)
        }
    };
    let (rules, now) = (harness.rules.clone(), harness.now());
    let done = match number {
        Some(number) => harness.store.write(move |tx| verb(tx, &rules, number, now)).await?,
        None => operator::ActionResult::Unknown,
    };
    if !matches!(done, operator::ActionResult::Yes(_)) {
        transcript.remarks("nothing is open there: the person does nothing", now);
    }
    Ok(())
}

#[cfg(test)]
mod tests;

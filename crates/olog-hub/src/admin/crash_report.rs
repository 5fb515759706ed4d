//! `olog-hub failed`: sends one notification that says why the hub is down. The service manager starts it when the unit has failed.
//!
//! The cause, in this order: systemd's result if the process was killed (`$MONITOR_…`, systemd.exec(5)); the message that `run`
//! saved (`traces`); the first mistake in the configuration; systemd's exit code. It is pushed through the channels of the last
//! good configuration, else of the present one, once per cause within `SAME_CAUSE`; the answer of each receiver's service is
//! logged. It needs neither the database nor a writable `state_dir`: they may be why the hub is down.
//!
//! Must not: touch the outbox. What waits there is sent when the hub is back, and the hub then reports that it is.

use std::{path::Path, sync::Arc, time::Duration};

use olog_daemon::{
    clock::Clock,
    config::{ConfigFiles, Invalid},
    service::Exit,
};
use olog_proto::Timestamp;
use olog_push::{
    Answer, Channel, Kind, Message, Receiver, SystemCode,
    words::{self, Context},
};

use crate::{
    apply,
    config::{Config, ReloadableConfig},
};

#[cfg(test)]
mod tests;
mod traces;

use traces::{Cause, LastNotified};
pub use traces::{clear, leave};

/// One cause is told once within this time.
const SAME_CAUSE: i64 = 3_600_000;
/// Between tries: the network may be coming up.
const WAITS: [u64; 6] = [2, 4, 8, 15, 30, 30];
/// No further try after this: the unit's `TimeoutStartSec=` is two minutes, and who is cut remembers nothing of what it told.
const TRIES_FOR: Duration = Duration::from_secs(75);
/// Ends of a process that could not say anything.
const KILLED: [&str; 5] = ["watchdog", "signal", "core-dump", "oom-kill", "timeout"];

/// What systemd says of the unit's end.
#[derive(Debug, Default)]
struct UnitExit {
    /// `exit-code`, `signal`, `core-dump`, `watchdog`, `timeout`, `oom-kill`, `start-limit-hit` …
    result: String,
    /// `exited`, `killed`, `dumped`.
    code: String,
    /// The exit code or the signal's name.
    status: String,
}

impl UnitExit {
    fn from_env() -> UnitExit {
        let read = |key: &str| std::env::var(key).unwrap_or_default();
        UnitExit {
            result: read("MONITOR_SERVICE_RESULT"),
            code: read("MONITOR_EXIT_CODE"),
            status: read("MONITOR_EXIT_STATUS"),
        }
    }
}

/// In one line: the first mistake, and how many others there are.
pub fn mistakes(source: &ConfigFiles, invalid: &Invalid) -> String {
    let first = first_mistake(source, invalid);
    match invalid.0.len() {
        0 | 1 => first,
        n => format!("{first} (and {} more)", n - 1),
    }
}

/// The mistake to look at first: a mistyped key if there is one (what is missing is missing because of it), else the first in
/// the files. A phone has no room for the folder that everybody knows.
pub fn first_mistake(source: &ConfigFiles, invalid: &Invalid) -> String {
    let mistyped = invalid.0.iter().find(|finding| finding.nearest.is_some());
    let Some(mut first) = mistyped.or(invalid.0.first()).cloned() else { return String::new() };
    if let Ok(short) = first.file.strip_prefix(source.folder()) {
        first.file = short.to_owned();
    }
    first.to_string()
}

/// Tells why the hub is down. `loaded` is the configuration as it is now.
pub async fn notify(source: &ConfigFiles, loaded: Result<Config, Invalid>, clock: Clock) -> Exit {
    let state_dir = Config::places(source).state_dir;
    if let Ok(config) = &loaded
        && std::os::unix::net::UnixStream::connect(&config.boot.socket).is_ok()
    {
        tracing::info!("the hub runs: there is nothing to tell");
        return Exit::Ok;
    }
    let mistake = loaded.as_ref().err().map(|invalid| mistakes(source, invalid));
    let cause = cause(&UnitExit::from_env(), traces::last_words(&state_dir), mistake);
    tracing::error!(how = cause.how, text = cause.text, "the hub is down");
    let places = [Some(state_dir.clone()), std::env::var_os("RUNTIME_DIRECTORY").map(Into::into)];
    let places: Vec<_> = places.into_iter().flatten().collect();
    let now = clock.now();
    if places.iter().filter_map(|dir| traces::told(dir)).any(|told| is_same(&told, &cause, now)) {
        tracing::info!("this was told less than an hour ago: not told again");
        return Exit::Ok;
    }
    let live = match last_good(&state_dir).or(loaded) {
        Ok(config) => config.live,
        Err(_) => {
            tracing::error!(
                dir = %state_dir.join("last-good").display(),
                "nobody is told: no good configuration was kept there, and the present one has mistakes"
            );
            return Exit::Failed;
        }
    };
    if !push(&live, &cause, &clock).await {
        return Exit::Failed;
    }
    let told = LastNotified { at: clock.now(), cause, is_over: false };
    if !places.iter().any(|dir| traces::set_told(dir, &told)) {
        tracing::warn!("that this was told is not remembered: it may be told again");
    }
    Exit::Ok
}

fn is_same(told: &LastNotified, cause: &Cause, now: Timestamp) -> bool {
    // A clock that was set back does not silence the next hours.
    told.cause == *cause && (0..SAME_CAUSE).contains(&now.since(told.at))
}

fn cause(ended: &UnitExit, words: Option<String>, mistake: Option<String>) -> Cause {
    let of = |how: &str, text: String| Cause { how: how.to_owned(), text };
    if KILLED.contains(&ended.result.as_str()) {
        return of(&ended.result, ended.status.clone());
    }
    if let Some(text) = words.or(mistake) {
        return of("words", text);
    }
    match ended.code.as_str() {
        "exited" => of("exit", ended.status.clone()),
        "killed" => of("signal", ended.status.clone()),
        "dumped" => of("core-dump", ended.status.clone()),
        _ => of("unknown", String::new()),
    }
}

fn last_good(state_dir: &Path) -> Result<Config, Invalid> {
    let kept = ConfigFiles::new("hub", Some(state_dir.join("last-good").join("hub.toml")));
    Config::load(&kept)
        .inspect_err(|invalid| tracing::warn!(%invalid, "the configuration that was last good is no help"))
}

/// True if anybody was reached.
async fn push(live: &ReloadableConfig, cause: &Cause, clock: &Clock) -> bool {
    let channels: Vec<_> = live.channels.iter().filter(|channel| channel.wants(Kind::System, None, None)).collect();
    if channels.is_empty() {
        tracing::error!("nobody is told: there is no channel for it");
        return false;
    }
    let mut left: Vec<(&Arc<Channel>, Vec<Receiver>)> =
        channels.into_iter().map(|channel| (channel, channel.receivers())).collect();
    let mut is_told = false;
    let start = tokio::time::Instant::now();
    for wait in [None].into_iter().chain(WAITS.map(Some)) {
        if let Some(seconds) = wait {
            if start.elapsed() + Duration::from_secs(seconds) > TRIES_FOR {
                break;
            }
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
        for (channel, receivers) in &mut left {
            let (later, reached) = send(channel, std::mem::take(receivers), live, cause, clock.now()).await;
            is_told |= reached;
            *receivers = later;
        }
        left.retain(|(_, receivers)| !receivers.is_empty());
        if left.is_empty() {
            break;
        }
    }
    for (channel, _) in &left {
        tracing::error!(channel = channel.name, "given up");
    }
    is_told
}

/// One message to all of a channel's receivers, in as many calls as it takes: who is to be tried later, and whether anybody
/// was reached.
async fn send(
    channel: &Channel,
    mut to: Vec<Receiver>,
    live: &ReloadableConfig,
    cause: &Cause,
    now: Timestamp,
) -> (Vec<Receiver>, bool) {
    let message = in_words(channel, live, cause, now);
    let (mut later, mut reached) = (Vec::new(), false);
    while !to.is_empty() {
        let answers = channel.send(&message, &to).await;
        if answers.is_empty() {
            break;
        }
        to.retain(|receiver| answers.iter().all(|(answered, _)| answered != receiver));
        for (receiver, answer) in answers {
            match answer {
                Answer::Accepted { words } => {
                    tracing::info!(channel = channel.name, receiver = receiver.id, words, "accepted");
                    reached = true;
                }
                Answer::Later { why, .. } => {
                    tracing::warn!(channel = channel.name, receiver = receiver.id, why, "not accepted: tried again");
                    later.push(receiver);
                }
                Answer::Refused { why, .. } => {
                    tracing::error!(channel = channel.name, receiver = receiver.id, why, "refused");
                }
            }
        }
    }
    (later, reached)
}

fn in_words(channel: &Channel, live: &ReloadableConfig, cause: &Cause, now: Timestamp) -> Message {
    let args = [("code", cause.how.clone()), ("text", cause.text.clone())];
    let notice = apply::system_notice(None, SystemCode::HubDown, &args, now);
    let context = Context {
        language: live.language,
        timezone: live.timezone,
        now,
        incident_url: None,
        by_device: false,
        budget: None,
        limits: channel.limits(),
    };
    words::compose(&[notice], &context).message
}

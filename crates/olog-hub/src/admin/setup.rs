//! The first evening: `olog-hub setup` asks a person in the terminal (or reads lines from a pipe) what the hub cannot know, and
//! sends the first push.
//!
//! It writes one file, `hub.d/10-phone.toml`, and one secret, `secrets/hub/wxpusher.…`; never `hub.toml`. Every question
//! offers what stands there, so that running it again changes only what is answered otherwise. The new configuration is
//! tried on the side before anything is in place; then both files are, or none (`place`). The running hub takes it at once, and
//! the test goes the road that every notification takes (`probe`).
//!
//! Must not: know the store, or say more of the service's answer than the service said.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use chrono_tz::Tz;
use olog_daemon::{
    clock::Clock,
    config::{Draft, Invalid, Source},
    secret::Secret,
    service::Exit,
    socket::{AskError, Client},
};
use olog_push::words::{LANGUAGES, Language};
use tokio::runtime::Runtime;

use crate::{
    admin::channel_test,
    config::{self, Config},
};

mod ask;
mod phone;
mod place;

use ask::{Asker, Stop};
use phone::{Phone, Way};
use place::Place;

/// What may go wrong, for the person.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("{0}")]
    Stop(#[from] Stop),
    #[error("{0}\nolog-hub setup goes on when this is right")]
    Before(Invalid),
    #[error("{0}\nnothing was written")]
    Invalid(Invalid),
    #[error("cannot write {path}: {source}; nothing was changed")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("olog-hub setup writes {0}: run it as root (sudo olog-hub setup)")]
    Rights(String),
    #[error("nothing was changed")]
    Declined,
    #[error("{0}")]
    Ask(#[from] AskError),
}

/// Asks, writes, and tries. `api_url`: of a service that is not at its usual address.
pub fn run(runtime: &Runtime, source: &Source, api_url: Option<String>) -> Exit {
    match set_up(runtime, source, api_url) {
        Ok(exit) => exit,
        Err(error) => {
            say(&format!("olog-hub: {error}"));
            if matches!(error, SetupError::Before(_) | SetupError::Invalid(_)) { Exit::Config } else { Exit::Failed }
        }
    }
}

fn set_up(runtime: &Runtime, source: &Source, api_url: Option<String>) -> Result<Exit, SetupError> {
    let place = Place::of(source);
    place.may_write().map_err(SetupError::Rights)?;
    let old_text = std::fs::read_to_string(place.file()).ok();
    // What holds without the file, and what the file adds.
    let without = Draft::default().file(place.file(), None);
    let below = config::load_draft(source, &without).map_err(SetupError::Before)?;
    let mut phone = Phone::read(old_text.as_deref(), &below);
    if api_url.is_some() {
        phone.api_url = api_url;
    }
    let mut asker = Asker::new();
    say(&format!(
        "This writes {} and a secret beside it. Enter keeps what stands in [brackets].",
        place.file().display()
    ));
    ask_for_place(&mut asker, &mut phone, &below)?;
    ask_for_phone(&mut asker, &mut phone, &place)?;

    let text = phone.text(&below);
    let secret = phone.secret.clone();
    let mut draft = Draft::default().file(place.file(), Some(text.clone()));
    if let Some(secret) = &secret {
        draft = draft.secret(phone.way.file(), secret.clone());
    }
    let config = config::load_draft(source, &draft).map_err(SetupError::Invalid)?;
    if let Some(old) = old_text.filter(|old| *old != text) {
        // What setup wrote itself it may change; what a person wrote is theirs.
        let is_ours = Phone::read(Some(&old), &below).text(&below) == old;
        let what = if is_ours { "is there and says otherwise" } else { "was edited by hand; its comments would go" };
        if !asker.yes(&format!("{} {what}. Replace it", place.file().display()), is_ours)? {
            return Err(SetupError::Declined);
        }
    }
    place.put(&config.boot.state_dir, &text, secret.as_ref().map(|secret| (phone.way.file(), secret)))?;
    report(&format!("Written: {}", place.file().display()));
    if secret.is_some() {
        report(&format!("Written: {}", place.secret(phone.way.file()).display()));
    }
    try_it(runtime, &config, &phone.name)
}

/// Who reads, and where the hub is.
fn ask_for_place(asker: &mut Asker, phone: &mut Phone, below: &Config) -> Result<(), SetupError> {
    let word = LANGUAGES.iter().find(|(_, language)| *language == phone.language).map_or("", |(word, _)| word);
    phone.language = asker.ask("Language of pushes and reports: zh-CN or en", Some(word), |text| {
        let found = LANGUAGES.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, language)| *language).ok_or_else(|| "expected zh-CN or en".to_owned())
    })?;
    let mut zone = phone.timezone;
    if phone.language == Language::ZhCn && config::is_utc(zone) && !phone.zone_is_set {
        say("The time zone is UTC: is that meant? Times in pushes and the hour of the report follow the zone below.");
        zone = Tz::Asia__Shanghai;
    }
    phone.timezone = asker.ask("Time zone", Some(zone.name()), |text| {
        text.parse().map_err(|_| "expected a name like Asia/Shanghai, Europe/Berlin or UTC".to_owned())
    })?;
    say("public_url: the address by which devices and browsers reach this hub, like https://hub.example.com:8765.");
    say("Join links name it, and links in pushes need it; without it pushes carry none. \"-\" for none.");
    let now = phone.public_url.clone().unwrap_or_else(|| "-".to_owned());
    phone.public_url = asker.ask("public_url", Some(&now), |text| match text {
        "-" if below.live.public_url.is_some() => Err("hub.toml has one: change it there".to_owned()),
        "-" => Ok(None),
        url => config::web_url(url).map(Some),
    })?;
    Ok(())
}

/// The phone: where it is read, and by which tokens it is reached.
fn ask_for_phone(asker: &mut Asker, phone: &mut Phone, place: &Place) -> Result<(), SetupError> {
    say(
        "Where are messages read? WxPusher's own app takes as many as come; inside WeChat at most 10 arrive in 24 h, so the",
    );
    say("hub spends them with care.");
    let now = if phone.in_wechat { "2" } else { "1" };
    phone.in_wechat = asker.ask("1: the WxPusher app, 2: inside WeChat", Some(now), |text| match text {
        "1" => Ok(false),
        "2" => Ok(true),
        _ => Err("expected 1 or 2".to_owned()),
    })?;
    say("How does WxPusher know you?");
    say("1: simple push, a token SPT_… for one phone: scan the code for it on https://wxpusher.zjiecode.com/docs/");
    say(
        "2: an application of yours: its token AT_… from https://wxpusher.zjiecode.com/admin/, and the UID_… of everybody who",
    );
    say("   subscribed to it, which the application's page lists");
    let now = if phone.way.is_app() { "2" } else { "1" };
    let is_app = asker.ask("1: SPT, 2: application", Some(now), |text| match text {
        "1" => Ok(false),
        "2" => Ok(true),
        _ => Err("expected 1 or 2".to_owned()),
    })?;
    phone.set_way(is_app);
    let (mark, what) =
        if is_app { ("AT_", "Application token AT_…") } else { ("SPT_", "SPT_… (several with spaces)") };
    let there = place.secret(phone.way.file()).exists();
    phone.secret = asker.secret(what, there, |text| {
        let is_good = text.split_whitespace().all(|token| token.starts_with(mark) && token.len() > mark.len());
        match Secret::new(text).filter(|_| is_good) {
            Some(secret) => Ok(secret),
            None => Err(format!("expected something that begins with {mark}")),
        }
    })?;
    if let Way::App { uids } = &mut phone.way {
        let now = Some(uids.join(" ")).filter(|now| !now.is_empty());
        *uids = asker.ask("UID_… of the receivers, with spaces", now.as_deref(), |text| {
            let list: Vec<String> = text.split([' ', ',']).filter(|uid| !uid.is_empty()).map(str::to_owned).collect();
            if !list.is_empty() && list.iter().all(|uid| uid.starts_with("UID_")) {
                Ok(list)
            } else {
                Err("expected UID_…, one or several".to_owned())
            }
        })?;
    }
    Ok(())
}

/// The running hub takes it, and the first push goes out.
fn try_it(runtime: &Runtime, config: &Config, channel: &str) -> Result<Exit, SetupError> {
    let client = Client::new("olog-hub", config.boot.socket.clone());
    let taken = runtime.block_on(client.post::<()>("/reload", &()));
    let exit = match taken {
        Err(AskError::Away { .. }) => {
            report("The hub does not run, so nothing was sent. Start it: systemctl enable --now olog-hub");
            report(&format!("Then: olog-hub channel test {channel}"));
            Exit::Failed
        }
        Err(error) => return Err(error.into()),
        Ok(()) => {
            say("The hub has taken it. Sending a test …");
            let outcome = runtime.block_on(channel_test::send(&client, channel))?;
            report(outcome.words.trim_end());
            if outcome.is_accepted { Exit::Ok } else { Exit::Failed }
        }
    };
    let zone = config.live.timezone;
    let next = config.live.report.when.schedule().and_then(|schedule| schedule.next_after(Clock::system().now(), zone));
    if let Some(next) = next.and_then(|at| chrono::DateTime::from_timestamp_millis(at.0)) {
        let next = next.with_timezone(&zone).format("%Y-%m-%d %H:%M");
        report(&format!("The next daily report comes on {next} ({}).", zone.name()));
    }
    if let [only] = config.live.channels.as_slice() {
        report(&format!(
            "{} is the only channel: if it fails, nobody is told that it does. A second [[channel]] helps.",
            only.name
        ));
    }
    report(
        "Next, as root, this machine's own logs: install olog-agent, then: olog-hub join-link --local | olog-agent join",
    );
    report("Other machines: install olog-agent there, and join by what this prints here: olog-hub join-link");
    Ok(exit)
}

/// Words of the conversation.
fn say(words: &str) {
    if writeln!(io::stderr(), "{words}").is_err() {
        // There is nobody to tell it to.
    }
}

/// What came of it.
fn report(words: &str) {
    if writeln!(io::stdout(), "{words}").is_err() {
        say(words);
    }
}

/// A path for a person.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

//! Interactive first-time setup: `olog-hub setup` asks in the terminal (or reads lines from a pipe) what the hub cannot know, saves
//! it, and sends a first push.
//!
//! It writes `hub.d/10-phone.toml` and one secret, `secrets/hub/wxpusher.…`; never `hub.toml`. Where an agent shares the
//! machine it also writes `agent.d/10-setup.toml` (`agent`). Every question offers the saved value, so that running it again
//! changes only what is answered otherwise. The new configuration is validated before any file is written; then the
//! configuration and its secret are both written or neither (`place`). The running hub loads it at once, and the test goes the
//! path of every notification (`channel_test`). The first question is the language; from then on setup speaks it.
//!
//! Must not: know the store, or say more of the service's answer than the service said.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use chrono_tz::Tz;
use olog_daemon::{
    clock::Clock,
    config::{ConfigFiles, Draft, Invalid},
    secret::Secret,
    service::Exit,
    socket::{AskError, Client},
};
use olog_push::words::{LANGUAGES, Language, Localizer};
use tokio::runtime::Runtime;

use crate::{
    admin::channel_test,
    config::{self, Config},
};

mod agent;
mod ask;
mod phone;
mod place;

use agent::Agent;
use ask::{Asker, SetupStop};
use phone::{Phone, Way};
use place::SetupFiles;

/// Asks for a secret: unseen in a terminal, as a line from a pipe. `None`: there was none.
pub fn ask_secret(say: Localizer, question: &str) -> io::Result<Option<String>> {
    match Asker::new(say).secret(question, false, |answer| Ok(answer.to_owned())) {
        Ok(answer) => Ok(answer),
        Err(SetupStop::Io(error)) => Err(error),
        Err(SetupStop::Ended(_) | SetupStop::Cancelled | SetupStop::Wrong { .. }) => Ok(None),
    }
}

/// What may go wrong, for the person.
#[derive(Debug)]
enum SetupError {
    Stop(SetupStop),
    Before(Invalid),
    Invalid(Invalid),
    Write { path: PathBuf, source: io::Error },
    Rights(String),
    Declined,
    Ask(AskError),
}

impl From<SetupStop> for SetupError {
    fn from(stop: SetupStop) -> SetupError {
        SetupError::Stop(stop)
    }
}

impl From<AskError> for SetupError {
    fn from(error: AskError) -> SetupError {
        SetupError::Ask(error)
    }
}

impl SetupError {
    fn words(&self, speech: &Localizer) -> String {
        let t = |key: &str, args: &[(&'static str, String)]| {
            let args: Vec<_> = args.iter().map(|(name, value)| (*name, value.as_str().into())).collect();
            speech.text(key, &args)
        };
        match self {
            SetupError::Stop(SetupStop::Ended(question)) => t("setup-ended", &[("question", question.clone())]),
            SetupError::Stop(SetupStop::Wrong { question, problem }) => {
                t("setup-wrong", &[("question", question.clone()), ("problem", problem.clone())])
            }
            SetupError::Stop(SetupStop::Cancelled) => t("setup-cancelled", &[]),
            SetupError::Stop(SetupStop::Io(error)) => t("setup-unreadable", &[("why", error.to_string())]),
            SetupError::Before(invalid) => t("setup-before", &[("findings", invalid.to_string())]),
            SetupError::Invalid(invalid) => t("setup-invalid", &[("findings", invalid.to_string())]),
            SetupError::Write { path, source } => {
                t("setup-not-written", &[("file", shown(path)), ("why", source.to_string())])
            }
            SetupError::Rights(files) => t("setup-rights", &[("files", files.clone())]),
            SetupError::Declined => t("setup-declined", &[]),
            SetupError::Ask(error) => error.to_string(),
        }
    }
}

/// Asks, writes, and tries. `api_url`: of a service that is not at its usual address.
pub fn run(runtime: &Runtime, source: &ConfigFiles, api_url: Option<String>) -> Exit {
    // What is configured so far, else the hub's default language, until the first question is answered.
    let live = Config::load(&source.clone().without_secrets()).map(|config| config.live);
    let (language, timezone) = live.map_or((Language::En, Tz::UTC), |live| (live.language, live.timezone));
    let mut asker = Asker::new(Localizer { language, timezone, now: Clock::system().now() });
    match set_up(runtime, source, api_url, &mut asker) {
        Ok(exit) => exit,
        Err(error) => {
            print_lines(&format!("olog-hub: {}", error.words(&asker.say)));
            if matches!(error, SetupError::Before(_) | SetupError::Invalid(_)) { Exit::Config } else { Exit::Failed }
        }
    }
}

fn set_up(
    runtime: &Runtime,
    source: &ConfigFiles,
    api_url: Option<String>,
    asker: &mut Asker,
) -> Result<Exit, SetupError> {
    let place = SetupFiles::of(source);
    place.may_write().map_err(SetupError::Rights)?;
    let old_text = std::fs::read_to_string(place.file()).ok();
    // What holds without the file, and what the file adds.
    let without = Draft::default().file(place.file(), None);
    let below = config::load_draft(source, &without).map_err(SetupError::Before)?;
    let mut phone = Phone::read(old_text.as_deref(), &below);
    if api_url.is_some() {
        phone.api_url = api_url;
    }
    asker.say.language = phone.language;
    ask_for_language(asker, &mut phone)?;
    print_lines(&asker.t("setup-begin", &[("file", shown(&place.file()).into())]));
    ask_for_place(asker, &mut phone, &below)?;
    ask_for_phone(asker, &mut phone, &place)?;

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
        let key = if is_ours { "setup-replace" } else { "setup-replace-edited" };
        if !asker.yes(&asker.t(key, &[("file", shown(&place.file()).into())]), is_ours)? {
            return Err(SetupError::Declined);
        }
    }
    place.put(&config.boot.state_dir, &text, secret.as_ref().map(|secret| (phone.way.file(), secret)))?;
    let written = |path: &Path, asker: &Asker| report(&asker.t("setup-written", &[("file", shown(path).into())]));
    written(&place.file(), asker);
    if secret.is_some() {
        written(&place.secret(phone.way.file()), asker);
    }
    if let Some(mut agent) = Agent::beside(source) {
        agent.ask(asker)?;
        agent.write(asker)?;
    }
    try_it(runtime, &config, &phone.name, &asker.say)
}

/// In both languages, since nobody has chosen one.
fn ask_for_language(asker: &mut Asker, phone: &mut Phone) -> Result<(), SetupError> {
    let word = LANGUAGES.iter().find(|(_, language)| *language == phone.language).map_or("", |(word, _)| word);
    let expected = asker.t("setup-language-expected", &[]);
    phone.language = asker.ask(&asker.t("setup-language", &[]), Some(word), |text| {
        let found = LANGUAGES.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, language)| *language).ok_or_else(|| expected.clone())
    })?;
    asker.say.language = phone.language;
    Ok(())
}

/// Which time zone, and where the hub is.
fn ask_for_place(asker: &mut Asker, phone: &mut Phone, below: &Config) -> Result<(), SetupError> {
    let mut zone = phone.timezone;
    if phone.language == Language::ZhCn && config::is_utc(zone) && !phone.zone_is_set {
        print_lines(&asker.t("setup-zone-utc", &[]));
        zone = Tz::Asia__Shanghai;
    }
    let expected = asker.t("setup-zone-expected", &[]);
    phone.timezone =
        asker.ask(&asker.t("setup-zone", &[]), Some(zone.name()), |text| text.parse().map_err(|_| expected.clone()))?;
    print_lines(&asker.t("setup-url-about", &[]));
    let now = phone.public_url.clone().unwrap_or_else(|| "-".to_owned());
    let in_hub_toml = asker.t("setup-url-in-hub-toml", &[]);
    phone.public_url = asker.ask(&asker.t("setup-url", &[]), Some(&now), |text| match text {
        "-" if below.live.public_url.is_some() => Err(in_hub_toml.clone()),
        "-" => Ok(None),
        url => config::web_url(url).map(Some),
    })?;
    Ok(())
}

/// One of two ways, by number.
fn ask_for_one_of_two(asker: &mut Asker, about: &str, question: &str, is_second: bool) -> Result<bool, SetupError> {
    print_lines(&asker.t(about, &[]));
    let expected = asker.t("setup-one-or-two", &[]);
    Ok(asker.ask(&asker.t(question, &[]), Some(if is_second { "2" } else { "1" }), |text| match text {
        "1" => Ok(false),
        "2" => Ok(true),
        _ => Err(expected.clone()),
    })?)
}

/// The phone: where it is read, and by which tokens it is reached.
fn ask_for_phone(asker: &mut Asker, phone: &mut Phone, place: &SetupFiles) -> Result<(), SetupError> {
    phone.in_wechat = ask_for_one_of_two(asker, "setup-where", "setup-where-ask", phone.in_wechat)?;
    let is_app = ask_for_one_of_two(asker, "setup-way", "setup-way-ask", phone.way.is_app())?;
    phone.set_way(is_app);
    let (mark, what) = if is_app { ("AT_", "setup-token") } else { ("SPT_", "setup-spt") };
    let there = place.secret(phone.way.file()).exists();
    let expected = asker.t("setup-begins-with", &[("mark", mark.into())]);
    phone.secret = asker.secret(&asker.t(what, &[]), there, |text| {
        let is_good = text.split_whitespace().all(|token| token.starts_with(mark) && token.len() > mark.len());
        match Secret::new(text).filter(|_| is_good) {
            Some(secret) => Ok(secret),
            None => Err(expected.clone()),
        }
    })?;
    if let Way::App { uids } = &mut phone.way {
        let now = Some(uids.join(" ")).filter(|now| !now.is_empty());
        let expected = asker.t("setup-uids-expected", &[]);
        *uids = asker.ask(&asker.t("setup-uids", &[]), now.as_deref(), |text| {
            let list: Vec<String> = text.split([' ', ',']).filter(|uid| !uid.is_empty()).map(str::to_owned).collect();
            if !list.is_empty() && list.iter().all(|uid| uid.starts_with("UID_")) {
                Ok(list)
            } else {
                Err(expected.clone())
            }
        })?;
    }
    Ok(())
}

/// The running hub loads it, and the first push goes out.
fn try_it(runtime: &Runtime, config: &Config, channel: &str, speech: &Localizer) -> Result<Exit, SetupError> {
    let client = Client::new("olog-hub", config.boot.socket.clone());
    let taken = runtime.block_on(client.post::<()>("/reload", &()));
    let exit = match taken {
        Err(AskError::Away { .. }) => {
            report(&speech.word("setup-hub-off"));
            report(&speech.text("setup-hub-off-then", &[("channel", channel.into())]));
            Exit::Failed
        }
        Err(error) => return Err(error.into()),
        Ok(()) => {
            print_lines(&speech.word("setup-loaded"));
            let tested = runtime.block_on(channel_test::send(&client, channel))?;
            report(channel_test::words(speech, channel, &tested).trim_end());
            if channel_test::is_accepted(&tested) { Exit::Ok } else { Exit::Failed }
        }
    };
    let zone = config.live.timezone;
    let next = config.live.report.when.schedule().and_then(|schedule| schedule.next_after(Clock::system().now(), zone));
    if let Some(next) = next.and_then(|at| chrono::DateTime::from_timestamp_millis(at.0)) {
        let next = next.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string();
        report(&speech.text("setup-next-report", &[("time", next.into()), ("zone", zone.name().into())]));
    }
    if let [only] = config.live.channels.as_slice() {
        report(&speech.text("setup-only-channel", &[("name", only.name.as_str().into())]));
    }
    report(&speech.word("setup-next-here"));
    report(&speech.word("setup-next-others"));
    Ok(exit)
}

/// For the person.
fn print_lines(words: &str) {
    if writeln!(io::stderr(), "{words}").is_err() {
        // There is nobody to tell it to.
    }
}

/// Results, which a program may read.
fn report(words: &str) {
    if writeln!(io::stdout(), "{words}").is_err() {
        print_lines(words);
    }
}

/// A path for a person.
fn shown(path: &Path) -> String {
    path.display().to_string()
}

//! The command line: what every verb is called, and where it is done.
//!
//! One definition feeds help, completions and man pages. `run` and `check` work on files; every other verb asks the running hub
//! on its socket, never its database, and needs of its configuration only where that socket is: a mistake in `hub.toml` must
//! not keep anybody from acknowledging an incident. What a program may read goes to stdout, sentences for a person that are
//! no result to stderr. Verbs of the running hub speak its language; help, mistakes and `check` that of the key `language`, or of the
//! terminal where that key is absent or cannot be read. Errors are printed with their causes, here only. Nothing reaches a terminal that `clean::for_terminal` has not seen.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::{Parser, Subcommand};
use olog_daemon::{
    clock::Clock,
    config::{ConfigFiles, Invalid},
    log,
    service::Exit,
    socket::Client,
};
use olog_proto::{DeviceName, clean};
use olog_push::words::{Language, help};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::{
    admin::{crash_report, setup, socket::Status},
    config::Config,
    net::enrol::LinkRequest,
};

mod access;
mod channels;
mod complete;
mod devices;
mod explain;
mod identity;
mod import;
mod incidents;
mod packages;
mod reports;
mod run;
mod show;
mod silences;
mod simulate;
mod status;
mod tasks;
#[cfg(test)]
pub(crate) mod tests;
mod words;

use words::{Context, VerbOutput, VerbResult};

/// The Olog hub: collects events from devices, raises incidents, sends notifications.
#[derive(Debug, Parser)]
#[command(name = "olog-hub", version, propagate_version = true)]
pub struct Cli {
    /// Configuration file [default: /etc/olog/hub.toml]; files in hub.d/*.toml next to it are read too.
    #[arg(long, global = true, value_name = "FILE", env = "OLOG_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon in the foreground.
    Run {
        /// Log to stderr as "text" or "json" (default: journal under systemd, otherwise text).
        #[arg(long, value_name = "FORMAT")]
        log_format: Option<log::Format>,
    },
    /// Check the configuration: print the effective values and all findings.
    Check,
    /// Set up notifications interactively: ask for what is needed to reach your phone, save it, send a first push.
    Setup {
        /// Base URL of a WxPusher server other than the default.
        #[arg(long, value_name = "URL")]
        api_url: Option<String>,
    },
    /// Print a join link (for one device, or several with --uses).
    JoinLink {
        /// Only for the device of this name: a new one, or a replacement for the one that has the name now.
        #[arg(long, value_name = "NAME")]
        device: Option<DeviceName>,
        /// How long the link is valid, e.g. "1h" or "7d".
        #[arg(long, value_name = "D", value_parser = devices::link_span, default_value = "1h")]
        expires: Duration,
        /// How many devices may use it.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        uses: u32,
        /// For the agent on this machine: `olog-hub join-link --local | olog-agent join`.
        #[arg(long)]
        local: bool,
        /// Print a line for the shell of a bare Debian machine instead: it installs the agent from this hub, and joins.
        #[arg(long, conflicts_with = "local")]
        install: bool,
    },
    /// Turn the configuration of the original program (olog.py) into this hub's: print it, or write it with --write.
    Import(import::Import),
    /// Send one notification that says why the hub is down: run by olog-hub-failed.service.
    #[command(hide = true)]
    Failed,
    /// Devices: the machines that belong to this hub.
    #[command(subcommand)]
    Device(devices::DeviceVerb),
    /// Identity: the key by which agents know this hub.
    #[command(subcommand)]
    Identity(identity::IdentityVerb),
    /// Packages: the agent's, which this hub offers to new devices.
    #[command(subcommand)]
    Packages(packages::PackagesVerb),
    /// Tasks: the jobs that devices report on.
    #[command(subcommand)]
    Task(tasks::TaskVerb),
    /// Incidents: what is or was wrong.
    #[command(subcommand)]
    Incident(incidents::IncidentVerb),
    /// Silences: what is not pushed for a time.
    #[command(subcommand)]
    Silence(silences::SilenceVerb),
    /// Reports: the daily ones, or one now.
    #[command(subcommand)]
    Report(reports::ReportVerb),
    /// Channels: where notifications go.
    #[command(subcommand)]
    Channel(channels::ChannelVerb),
    /// Run a scenario and print what would be pushed, when and why, and what would be held back. Needs no running hub.
    Simulate {
        /// A JSON Lines file, or the name of a bundled scenario; without it the bundled ones are listed.
        #[arg(value_name = "EVENTS")]
        scenario: Option<PathBuf>,
        /// The language of the messages: "zh-CN" or "en".
        #[arg(long, value_name = "LANGUAGE")]
        language: Option<String>,
    },
    /// Users: who may sign in to the hub's pages.
    #[command(subcommand)]
    User(access::UserVerb),
    /// API tokens: what programs may do over HTTP.
    #[command(subcommand)]
    Token(access::TokenVerb),
    /// Print the audit log: who changed what, when, from where; the latest first.
    Audit {
        /// How many entries.
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Only entries before the one of this number.
        #[arg(long, value_name = "N")]
        before: Option<u64>,
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Print the status of the running hub: what needs attention, worst first, and what to do.
    Status {
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
}

/// `17` or `#17`.
fn number(text: &str) -> Result<u64, String> {
    text.trim_start_matches('#').parse().map_err(|_| "expected a number like 17".to_owned())
}

/// The whole program.
pub fn main() -> Exit {
    if complete::answered() {
        return Exit::Ok;
    }
    let Cli { config: named, verb } = match help::parse::<Cli>(|| language_of(&ConfigFiles::new("hub", named_config())))
    {
        Ok(cli) => cli,
        Err(answer) => {
            let exit = if answer.is_mistake() { Exit::Usage } else { Exit::Ok };
            return if answer.print() { exit } else { Exit::Failed };
        }
    };
    let source = ConfigFiles::new("hub", named.clone());
    match verb {
        Verb::Simulate { scenario, language } => simulate::simulate(scenario, language.as_deref(), named),
        Verb::Run { log_format } => run::run(source, log_format),
        Verb::Check => with_runtime(|runtime| run::check(runtime, &source)),
        Verb::Import(import) => import.answer(&source),
        Verb::Setup { api_url } => with_runtime(|runtime| setup::run(runtime, &source, api_url)),
        Verb::Failed => {
            log::start(None);
            let loaded = Config::load(&source);
            with_runtime(|runtime| runtime.block_on(crash_report::notify(&source, loaded, Clock::system())))
        }
        verb => with_runtime(|runtime| ask(runtime, verb, source)),
    }
}

/// The configuration that a command line with a mistake names.
fn named_config() -> Option<PathBuf> {
    let mut args = std::env::args_os().skip_while(|arg| !arg.to_string_lossy().starts_with("--config"));
    let named = args.next().and_then(|arg| match arg.to_str()?.strip_prefix("--config=") {
        Some(file) => Some(file.into()),
        None => args.next(),
    });
    named.or_else(|| std::env::var_os("OLOG_CONFIG")).map(PathBuf::from)
}

/// The key `language` of this configuration, even if other keys are wrong; without it the language of the terminal.
fn language_of(source: &ConfigFiles) -> Language {
    Config::places(&source.clone().without_secrets()).language.unwrap_or_else(Language::of_terminal)
}

fn with_runtime(what: impl FnOnce(&Runtime) -> Exit) -> Exit {
    match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => what(&runtime),
        Err(error) => failed(&error, Language::of_terminal()),
    }
}

/// A verb of the running hub.
fn ask(runtime: &Runtime, verb: Verb, source: ConfigFiles) -> Exit {
    let source = source.without_secrets();
    // A file that was named and is not there may be a misspelt name: then the default socket would be another hub's.
    if source.is_missing() {
        return Config::load(&source).err().map_or(Exit::Config, |invalid| refused(&invalid, Language::of_terminal()));
    }
    let places = Config::places(&source);
    let client = Client::new("olog-hub", places.socket);
    match runtime.block_on(answer(&client, verb)) {
        Ok(answer) => {
            answer.remarks.iter().for_each(|remark| complain(remark));
            match print(&answer.out) {
                Exit::Ok => answer.exit(),
                exit => exit,
            }
        }
        Err(error) => failed(&error, places.language.unwrap_or_else(Language::of_terminal)),
    }
}

async fn answer(client: &Client, verb: Verb) -> VerbResult {
    let hub = &Context::of(client).await?;
    match verb {
        // Done before.
        Verb::Run { .. }
        | Verb::Check
        | Verb::Setup { .. }
        | Verb::Import(_)
        | Verb::Simulate { .. }
        | Verb::Failed => Ok(VerbOutput::default()),
        Verb::JoinLink { device, expires, uses, local, install } => {
            let request = LinkRequest { device, expires: expires.as_secs().max(1), uses, local, install };
            devices::join_link(hub, request).await
        }
        Verb::Device(verb) => devices::answer(hub, verb).await,
        Verb::Identity(verb) => identity::answer(hub, verb).await,
        Verb::Packages(verb) => packages::answer(hub, verb).await,
        Verb::Task(verb) => tasks::answer(hub, verb).await,
        Verb::Silence(verb) => silences::answer(hub, verb).await,
        Verb::Incident(verb) => incidents::answer(hub, verb).await,
        Verb::Report(verb) => reports::answer(hub, verb).await,
        Verb::Channel(verb) => channels::answer(hub, verb).await,
        Verb::User(verb) => access::user(hub, verb).await,
        Verb::Token(verb) => access::token(hub, verb).await,
        Verb::Audit { limit, before, json } => {
            let before = before.map(|before| format!("&before={before}")).unwrap_or_default();
            hub.list(&format!("/audit?limit={limit}{before}"), json, show::AUDIT).await
        }
        Verb::Status { json: true } => {
            let status: Value = hub.client.get("/status").await?;
            Ok(show::json(&status).into())
        }
        Verb::Status { json: false } => {
            let status: Status = hub.client.get("/status").await?;
            Ok(status::sentences(hub, &status))
        }
    }
}

fn refused(invalid: &Invalid, language: Language) -> Exit {
    complain(&language.mistakes(invalid));
    Exit::Config
}

fn print(text: &str) -> Exit {
    match io::stdout().lock().write_all(clean::for_terminal(text).as_bytes()) {
        Ok(()) => Exit::Ok,
        // Whoever reads has read enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(error) => failed(&error, Language::of_terminal()),
    }
}

fn complain(words: &str) {
    if writeln!(io::stderr(), "{}", clean::for_terminal(words)).is_err() {
        // There is nobody to tell it to.
    }
}

fn failed(error: &dyn std::error::Error, language: Language) -> Exit {
    complain(&format!("olog-hub: {}", language.chain(error)));
    Exit::Failed
}

//! The command line: what every verb is called, and what it prints.
//!
//! One definition feeds help, completions and manual pages. `run` and `check` work on files; every other verb asks the
//! running hub on its socket, never its database. What a program may read goes to stdout, words to the person to stderr;
//! errors are told with their causes, in this place only.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use clap::{Parser, Subcommand};
use hyper::Method;
use olog_daemon::{
    clock::Clock,
    config::{Invalid, Source, parse_span},
    log, service,
    service::Exit,
    socket::{AskError, Client},
};
use olog_proto::DeviceName;
use serde_json::Value;
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

use crate::{
    admin::{
        channel_test, crash_report, setup,
        socket::{Explained, LinkAnswer, Rename, Shown, Who},
    },
    config::Config,
    hub::{self, Hub},
    net::enrol::{LINK_EXPIRES_MAX, LinkRequest},
};

mod complete;
mod explain;
mod play;
mod show;
mod silence;
mod tasks;

/// The Olog daemon in the middle: gathers devices, raises incidents, pushes.
#[derive(Debug, Parser)]
#[command(name = "olog-hub", version, propagate_version = true)]
pub struct Cli {
    /// The configuration [default: /etc/olog/hub.toml]; more may stand in hub.d/*.toml beside it.
    #[arg(long, global = true, value_name = "FILE", env = "OLOG_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon, in the foreground.
    Run {
        /// Log to stderr as "text" or "json" (default: to the journal when systemd reads it, else text).
        #[arg(long, value_name = "FORMAT")]
        log_format: Option<log::Format>,
    },
    /// Check the configuration: print it as it is understood, and what is found.
    Check,
    /// Ask for what the hub needs to reach your phone, write it down, and send the first push.
    Setup {
        /// Scheme and host of a WxPusher that is not at its usual address.
        #[arg(long, value_name = "URL")]
        api_url: Option<String>,
    },
    /// Print a link with which one device may join.
    JoinLink {
        /// For this device only: a new one, or one that it replaces.
        #[arg(long, value_name = "NAME")]
        device: Option<DeviceName>,
        /// How long it holds, like "1h" or "7d".
        #[arg(long, value_name = "D", value_parser = span, default_value = "1h")]
        expires: std::time::Duration,
        /// How many devices may join by it.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        uses: u32,
        /// For the agent on this machine: `olog-hub join-link --local | olog-agent join`.
        #[arg(long)]
        local: bool,
    },
    /// Tell, once, why the hub is down: what olog-hub-failed.service runs.
    #[command(hide = true)]
    Failed,
    /// Devices: who belongs to the hub.
    #[command(subcommand)]
    Device(DeviceVerb),
    /// Tasks: what the devices told of.
    #[command(subcommand)]
    Task(tasks::TaskVerb),
    /// Incidents: what is or was wrong.
    #[command(subcommand)]
    Incident(IncidentVerb),
    /// Silences: what is not pushed for a while.
    #[command(subcommand)]
    Silence(silence::SilenceVerb),
    /// Reports: made every day, or now.
    #[command(subcommand)]
    Report(ReportVerb),
    /// Channels: where notifications go.
    #[command(subcommand)]
    Channel(ChannelVerb),
    /// Play a scenario and print what would have been pushed when, what was held back, and why. Needs no hub that runs.
    Simulate {
        /// A file of JSON lines, or the name of a scenario that is shipped; without it those are listed.
        #[arg(value_name = "EVENTS")]
        scenario: Option<PathBuf>,
        /// The language of the messages: "zh-CN" or "en".
        #[arg(long, value_name = "LANGUAGE")]
        language: Option<String>,
    },
    /// Print how the running hub is.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Verb {
    /// Does the running daemon do it?
    fn only_asks(&self) -> bool {
        !matches!(self, Verb::Run { .. } | Verb::Check | Verb::Setup { .. } | Verb::Simulate { .. } | Verb::Failed)
    }
}

#[derive(Debug, Subcommand)]
enum DeviceVerb {
    /// Print the devices.
    List {
        /// Those that wait to be accepted.
        #[arg(long)]
        pending: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Accept a device that waits.
    Accept {
        /// Its name, or its key if several have that name.
        #[arg(value_name = "NAME|KEY")]
        who: String,
    },
    /// Forget a device: its key is refused from now on.
    Forget {
        /// Its name.
        name: String,
    },
    /// Give a device another name.
    Rename {
        /// The name it has.
        old: String,
        /// The name it gets.
        new: DeviceName,
    },
}

#[derive(Debug, Subcommand)]
enum IncidentVerb {
    /// Print the open incidents.
    List {
        /// Those that are over too.
        #[arg(long)]
        all: bool,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print one incident: what was told of it and why, what the services answered, and what was held back by what.
    Show {
        /// Its number, as in `#17`.
        #[arg(value_parser = number)]
        n: u64,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Acknowledge an incident: no reminders until its end.
    Ack {
        /// Its number.
        #[arg(value_parser = number)]
        n: u64,
    },
    /// Never push its errors again: silences without an end, as `silence list` shows them and `silence end` undoes them.
    NotAnError(silence::NotAnErrorOf),
    /// Close an incident: it is over because you say so.
    Close {
        /// Its number.
        #[arg(value_parser = number)]
        n: u64,
    },
}

#[derive(Debug, Subcommand)]
enum ReportVerb {
    /// Print a report of the last 24 hours. The next one comes as if nobody had asked.
    Now {
        /// Keep it, and push it to every channel that takes reports.
        #[arg(long)]
        push: bool,
        /// Write its page here ("-": print it).
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// As JSON.
        #[arg(long, conflicts_with = "html")]
        json: bool,
    },
    /// Print which reports were made.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print a report that was made.
    Show {
        /// Its number, as in the list.
        #[arg(value_parser = number)]
        id: u64,
        /// Write its page here ("-": print it), while it is kept.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
        /// As JSON.
        #[arg(long, conflicts_with = "html")]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
enum ChannelVerb {
    /// Print the channels.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Send a test by the road that every notification takes, and print what the service answers.
    Test {
        /// The channel.
        name: String,
    },
    /// Try a paused channel, and receivers that were refused, again now.
    Rearm {
        /// The channel.
        name: String,
    },
}

fn span(text: &str) -> Result<std::time::Duration, String> {
    match parse_span(text)? {
        span if span.is_zero() || span > LINK_EXPIRES_MAX => Err("expected at least 1s and at most 30d".to_owned()),
        span => Ok(span),
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.trim_start_matches('#').parse().map_err(|_| "expected a number like 17".to_owned())
}

/// The whole program.
pub fn main() -> Exit {
    if complete::answered() {
        return Exit::Ok;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" too; clap knows where each goes.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            return if error.print().is_ok() { exit } else { Exit::Failed };
        }
    };
    if let Verb::Simulate { scenario, language } = cli.verb {
        return play::simulate(scenario, language.as_deref(), cli.config);
    }
    let source = Source::new("hub", cli.config);
    let source = if cli.verb.only_asks() { source.without_secrets() } else { source };
    let loaded = Config::load(&source);
    if let Verb::Failed = cli.verb {
        log::start(None);
        return match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(crash_report::tell(&source, loaded, Clock::system())),
            Err(error) => failed(&error),
        };
    }
    if let Verb::Setup { api_url } = cli.verb {
        return match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => setup::run(&runtime, &source, api_url),
            Err(error) => failed(&error),
        };
    }
    let config = match loaded {
        Ok(config) => config,
        Err(invalid) => {
            if let Verb::Run { .. } = cli.verb {
                not_run(&Config::state_dir(&source), &crash_report::mistakes(&source, &invalid));
            }
            return refused(&invalid);
        }
    };
    match cli.verb {
        Verb::Run { log_format } => {
            log::start(log_format);
            run(source, config)
        }
        Verb::Check => check(&source, &config),
        verb => match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => ask(&runtime, verb, &config),
            Err(error) => failed(&error),
        },
    }
}

fn refused(invalid: &Invalid) -> Exit {
    let n = invalid.0.len();
    complain(&format!("{invalid}\n{n} mistake{} in the configuration", if n == 1 { "" } else { "s" }));
    Exit::Config
}

/// `run` ends: said where the service manager and the next push find it.
fn not_run(state_dir: &Path, why: &str) {
    crash_report::leave(state_dir, why);
    service::status(&format!("not running: {why}"));
}

fn run(source: Source, config: Config) -> Exit {
    hub::settle_process();
    let state_dir = config.boot.state_dir.clone();
    let runtime = match Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    for remark in config.remarks() {
        tracing::warn!("{remark}");
    }
    runtime.block_on(async {
        let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        let [Ok(mut term), Ok(mut int), Ok(mut hup)] = signals else {
            tracing::error!("cannot listen for signals");
            return Exit::Failed;
        };
        let mut hub = match Hub::start(config, Some(source), Clock::system()).await {
            Ok(hub) => hub,
            Err(error) => {
                let why = hub::chain(&error);
                tracing::error!("{why}");
                not_run(&state_dir, &why);
                return Exit::Failed;
            }
        };
        service::ready(None);
        let fatal = loop {
            tokio::select! {
                fatal = hub.failed() => break Some(fatal),
                _ = term.recv() => break None,
                _ = int.recv() => break None,
                _ = hup.recv() => hub.reload().ring(),
            }
        };
        service::stopping();
        if let Some(fatal) = fatal {
            // No stop in order: the next start says that there was none.
            let why = hub::chain(&fatal);
            tracing::error!("{why}");
            not_run(&state_dir, &why);
            return Exit::Failed;
        }
        if hub.stop().await { Exit::Ok } else { Exit::Failed }
    })
}

fn check(source: &Source, config: &Config) -> Exit {
    let mut out = String::new();
    let read: Vec<_> = source.files().unwrap_or_default().into_iter().filter(|file| file.exists()).collect();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    if read.is_empty() {
        line(format!("# {} is not there: these are the defaults", source.main().display()));
    }
    read.iter().for_each(|file| line(format!("# from {}", file.display())));
    line(config.effective());
    if let Err(error) = std::fs::read_dir(&config.boot.state_dir) {
        line(format!("# state_dir {}: cannot be read: {error}", config.boot.state_dir.display()));
    }
    config.schedules(Clock::system().now()).into_iter().for_each(|words| line(format!("# {words}")));
    config.remarks().into_iter().for_each(|remark| line(format!("# {remark}")));
    print(&out)
}

fn ask(runtime: &Runtime, verb: Verb, config: &Config) -> Exit {
    let client = Client::new("olog-hub", config.boot.socket.clone());
    if let Verb::Channel(ChannelVerb::Test { name }) = verb {
        return match runtime.block_on(channel_test::send(&client, &name)) {
            Ok(outcome) if outcome.is_accepted => print(&outcome.words),
            Ok(outcome) => {
                complain(outcome.words.trim_end());
                Exit::Failed
            }
            Err(error) => failed(&error),
        };
    }
    match runtime.block_on(answer(&client, verb, config)) {
        Ok(out) => print(&out),
        Err(error) => failed(&error),
    }
}

/// What a verb prints.
async fn answer(client: &Client, verb: Verb, config: &Config) -> Result<String, AskError> {
    let show = show::Show { zone: config.live.timezone };
    let rows = async |target: &str, json: bool, columns: &[show::Column]| {
        let rows: Value = client.get(target).await?;
        Ok(if json { show::json(&rows) } else { show.table(&rows, columns) })
    };
    match verb {
        // Done before.
        Verb::Run { .. }
        | Verb::Check
        | Verb::Setup { .. }
        | Verb::Simulate { .. }
        | Verb::Failed
        | Verb::Channel(ChannelVerb::Test { .. }) => Ok(String::new()),
        Verb::JoinLink { device, expires, uses, local } => {
            let request = LinkRequest { device, expires: expires.as_secs().max(1), uses, local };
            let answer: LinkAnswer = client.post("/join-link", &request).await?;
            answer.word.iter().for_each(|word| complain(word));
            // Into a pipe goes the link alone, and its reader speaks.
            if !local || io::stdout().is_terminal() {
                complain(&link_words(&request));
            }
            Ok(answer.link + "\n")
        }
        Verb::Device(DeviceVerb::List { pending, json }) => {
            rows(&format!("/devices?pending={pending}"), json, if pending { show::PENDING } else { show::DEVICES })
                .await
        }
        Verb::Device(DeviceVerb::Accept { who }) => {
            client.post::<()>("/device/accept", &Who { who }).await.map(|()| String::new())
        }
        Verb::Device(DeviceVerb::Forget { name }) => {
            client.post::<()>("/device/forget", &Who { who: name }).await.map(|()| String::new())
        }
        Verb::Device(DeviceVerb::Rename { old, new }) => {
            client.post::<()>("/device/rename", &Rename { old, new }).await.map(|()| String::new())
        }
        Verb::Task(verb) => tasks::answer(client, verb, show).await,
        Verb::Silence(verb) => silence::silence(client, verb, show).await,
        Verb::Incident(IncidentVerb::NotAnError(of)) => silence::not_an_error(client, of, show).await,
        Verb::Incident(IncidentVerb::List { all, json }) => {
            rows(&format!("/incidents?all={all}"), json, show::INCIDENTS).await
        }
        Verb::Incident(IncidentVerb::Show { n, json }) => {
            let mut incident: Value = client.get(&format!("/incident/{n}")).await?;
            if !json {
                let why: Explained = client.get(&format!("/incident/{n}/why")).await?;
                return Ok(explain::incident(show, &incident, &why));
            }
            for (field, from) in [("sent", "sent"), ("explained", "why")] {
                let value: Value = client.get(&format!("/incident/{n}/{from}")).await?;
                incident.as_object_mut().map(|fields| fields.insert(field.to_owned(), value));
            }
            Ok(show::json(&incident))
        }
        Verb::Incident(IncidentVerb::Ack { n }) => {
            let done: Value = client.json(Method::POST, &format!("/incident/{n}/ack"), None::<&()>).await?;
            Ok(show.fields(&done))
        }
        Verb::Incident(IncidentVerb::Close { n }) => {
            let done: Value = client.json(Method::POST, &format!("/incident/{n}/close"), None::<&()>).await?;
            Ok(show.fields(&done))
        }
        Verb::Report(ReportVerb::List { json }) => rows("/reports", json, show::REPORTS).await,
        Verb::Report(ReportVerb::Now { push, html, json }) => {
            let answer = if push { client.post("/report/push", &()).await? } else { client.get("/report/now").await? };
            report(answer, html, json)
        }
        Verb::Report(ReportVerb::Show { id, html, json }) => {
            report(client.get(&format!("/report/{id}")).await?, html, json)
        }
        Verb::Channel(ChannelVerb::List { json }) => rows("/channels", json, show::CHANNELS).await,
        Verb::Channel(ChannelVerb::Rearm { name }) => {
            client.post::<()>("/channel/rearm", &Who { who: name }).await.map(|()| String::new())
        }
        Verb::Status { json } => {
            let status: Value = client.get("/status").await?;
            Ok(if json { show::json(&status) } else { show.fields(&status) })
        }
    }
}

/// A report as words, as its page, or as facts.
fn report(shown: Shown, html: Option<PathBuf>, json: bool) -> Result<String, AskError> {
    if json {
        let facts = serde_json::to_value(&shown.facts).unwrap_or_default();
        return Ok(show::json(&facts));
    }
    let Some(file) = html else { return Ok(shown.text) };
    let Some(page) = shown.page else {
        complain("its page is kept no more (report.keep_days); this is what it said");
        return Ok(shown.text);
    };
    if file.as_os_str() == "-" {
        return Ok(page);
    }
    match std::fs::write(&file, page) {
        Ok(()) => {
            complain(&format!("written: {}", file.display()));
            Ok(shown.text)
        }
        Err(error) => {
            complain(&format!("{}: {error}; this is what it says", file.display()));
            Ok(shown.text)
        }
    }
}

fn link_words(request: &LinkRequest) -> String {
    let times = if request.uses == 1 { "once".to_owned() } else { format!("{} times", request.uses) };
    let until = olog_daemon::config::show_span(std::time::Duration::from_secs(request.expires));
    let how = if request.local {
        "On this machine: olog-hub join-link --local | olog-agent join"
    } else {
        "On the device: sudo olog-agent join 'LINK'"
    };
    format!("{how}. The link works {times}, for {until}.")
}

fn print(text: &str) -> Exit {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => Exit::Ok,
        // Whoever reads has read enough (`| head`).
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(error) => failed(&error),
    }
}

fn complain(words: &str) {
    if writeln!(io::stderr(), "{words}").is_err() {
        // There is nobody to tell it to.
    }
}

fn failed(error: &dyn std::error::Error) -> Exit {
    complain(&format!("olog-hub: {}", hub::chain(error)));
    Exit::Failed
}

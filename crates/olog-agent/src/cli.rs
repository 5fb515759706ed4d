//! The command line: the verbs of `olog-agent` and what each one does.
//!
//! One definition feeds the parser, help, completions and manual pages. `status`, `identity` and `exec` talk to the running daemon's socket; `run`, `check`,
//! `join`, `scan`, `jobs`, `units` and `unit-failed` need no running daemon. Errors are printed to stderr with their causes, in this module only.

use std::{
    ffi::OsString,
    io,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::CompleteEnv;
use olog_daemon::{
    clock::Clock,
    config::{Invalid, parse_span},
    log,
    service::{self, Exit},
    socket::{AskError, Client},
};
use olog_proto::{Excerpt, JoinLink, LogKind, TaskName, clean};
use tokio::runtime::{Builder, Runtime};

use self::jobs::{ListJobs, list_jobs, show_done, show_switch_error, show_switched};
use olog_push::words::{Language, Localizer, help, shell_word};
use status::{of_terminal, show};

use crate::{
    agent::{self, Handle, line},
    boot,
    config::{self, Config},
    exec::{Exec, Places, Report, end_like, exec, is_in_terminal},
    files, identity,
    jobs::{
        switch,
        systemd::Systemd,
        unit_failed::{UnitName, Units, end_of_environment},
    },
    join::{Joiner, join},
    runs, sandbox,
    socket::Status,
    text::Redactor,
};

mod declare;
mod identity_verb;
mod import;
mod jobs;
mod status;

/// The Olog agent: watches log folders on this device and reports to the hub.
#[derive(Debug, Parser)]
#[command(name = "olog-agent", version, propagate_version = true)]
pub struct Cli {
    /// The configuration file [default: /etc/olog/agent.toml]; files in agent.d/*.toml beside it are read too.
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
    /// Check the configuration: print the effective values, and problems with folders and rights.
    Check,
    /// Join a hub, with the link that `olog-hub join-link` printed.
    Join {
        /// The link; without it, you are asked for it, or it is read from stdin, so that it stays out of the shell's history.
        link: Option<String>,
    },
    /// Identity: the key by which the hub knows this device.
    #[command(subcommand)]
    Identity(identity_verb::IdentityVerb),
    /// Show the state of the running agent: connection, waiting events, running jobs, problems.
    Status {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run a command and report its start and its end as a run of a task: OK with exit code 0, else an error.
    Exec {
        /// The task.
        #[arg(long, value_name = "NAME")]
        task: TaskName,
        /// End the command after this time, e.g. "10m": SIGTERM, 10 s later SIGKILL; exit code 124.
        #[arg(long, value_name = "D", value_parser = parse_span)]
        timeout: Option<Duration>,
        /// Do not start the command while an earlier run of the same task by the same user is still going on; exit code 1.
        #[arg(long)]
        lock: bool,
        /// Show nothing of a command that succeeds; if it fails, show what it wrote, as chronic(1) does.
        #[arg(long)]
        quiet: bool,
        /// The command and its arguments.
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Turn the configuration of the original program (olog.py) into this agent's: print it, or write it with --write.
    Import(import::Import),
    /// Read every log file once and print what would be told of it, by which rule, and why nothing would be told of the others.
    Scan {
        /// Write nothing, send nothing (required: a running agent scans by itself). What was told before is not considered.
        #[arg(long, required = true)]
        dry_run: bool,
        /// Look at these folders instead of log_dirs; rules and redaction are those of the configuration.
        #[arg(value_name = "FOLDER")]
        folders: Vec<PathBuf>,
    },
    /// Report that a systemd unit failed, or that it has recovered; systemd starts this by OnFailure=olog-unit-failed@%n.service.
    UnitFailed {
        /// The unit, such as nginx.service.
        #[arg(value_name = "UNIT", required_unless_present = "again")]
        unit: Option<UnitName>,
        /// Look again at every unit that failed: has it recovered? (olog-units.timer does this every minute.)
        #[arg(long, conflicts_with = "unit")]
        again: bool,
    },
    /// Report every service of this machine when it fails and when it has recovered, or stop doing so. Needs root and systemd.
    Units {
        /// Do the services report?
        #[arg(value_name = "on|off")]
        switch: OnOff,
    },
    /// List the crontabs and systemd timers of this machine, which of them report to Olog, and the line that makes each of the others report.
    Jobs {
        /// As JSON.
        #[arg(long)]
        json: bool,
        /// Propose the schedules of the jobs that report to the hub: it shows them in its next report, and expects them from the day after. Needs
        /// root, and a connected agent; else they are printed as a section for hub.toml.
        #[arg(long, conflicts_with = "json")]
        declare: bool,
        /// With --declare: how late a run may be until it is LOST, e.g. "10m" (default: a quarter of the time between two runs, at least 1 h; of what
        /// runs more often than every hour, two runs more).
        #[arg(long, value_name = "D", value_parser = parse_span, requires = "declare", conflicts_with = "toml")]
        grace: Option<Duration>,
        /// With --declare: send nothing, and print them as a section for hub.toml.
        #[arg(long, requires = "declare")]
        toml: bool,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum OnOff {
    /// Write the drop-in that applies to all services.
    On,
    /// Remove it.
    Off,
}

impl Verb {
    /// Does it push, or check what is needed for that?
    fn needs_secrets(&self) -> bool {
        matches!(self, Verb::Run { .. } | Verb::Check)
    }

    /// Does it go on with what is right in a broken configuration?
    fn goes_on(&self) -> bool {
        use Verb::{Exec, Identity, Jobs, Status, UnitFailed, Units};
        matches!(self, Exec { .. } | Identity(_) | Status { .. } | UnitFailed { .. } | Units { .. } | Jobs { .. })
    }
}

/// The whole program.
pub fn main() -> ExitCode {
    // A shell asks what may follow: an error of that is for nobody.
    let folder = std::env::current_dir().ok();
    let shell = CompleteEnv::with_factory(Cli::command).var("OLOG_COMPLETE");
    if shell.try_complete(std::env::args_os(), folder.as_deref()).unwrap_or(true) {
        return Exit::Ok.into();
    }
    let cli = match help::parse::<Cli>(Language::of_terminal) {
        Ok(cli) => cli,
        Err(answer) => {
            let exit = if answer.is_mistake() { Exit::Usage } else { Exit::Ok };
            return if answer.print() { exit } else { Exit::Failed }.into();
        }
    };
    let source = config::source(cli.config);
    let source = if cli.verb.needs_secrets() { source } else { source.without_secrets() };
    let config = match config::load(&source) {
        Ok(config) => config,
        Err(invalid) => {
            // A job must run even if the agent's configuration is broken, and whoever asks for the status may not be able to read all of it.
            if !cli.verb.goes_on() {
                let exit = refused(&invalid);
                if matches!(cli.verb, Verb::Run { .. }) {
                    let language = Language::of_terminal();
                    let mistakes = language.mistakes(&invalid);
                    let first = mistakes.lines().next().unwrap_or_default();
                    service::status(&language.sentence("not started: {1}", &[first]));
                }
                return exit.into();
            }
            config::as_far_as_right(&source)
        }
    };
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error).into(),
    };
    let exit = match cli.verb {
        Verb::Run { log_format } => {
            log::start(log_format);
            run(&runtime, source, config)
        }
        Verb::Check => check(&source, &config),
        Verb::Import(import) => import.answer(&source, &config),
        Verb::Join { link } => {
            // Before anything runs beside this thread: what is done in `state_dir` is done as its owner.
            let state_dir = &config.fixed.state_dir;
            match identity::make_state_dir(state_dir).and_then(|()| identity::become_owner(state_dir)) {
                Ok(()) => runtime.block_on(join_verb(link, &source, &config)),
                Err(error) => failed(&error),
            }
        }
        Verb::Identity(verb) => runtime.block_on(verb.answer(&config)),
        Verb::Status { json } => runtime.block_on(status(&config, json)),
        Verb::Scan { dry_run: _, folders } => scan(&config, folders),
        Verb::UnitFailed { unit, again: _ } => runtime.block_on(unit_failed(unit, &config)),
        Verb::Units { switch } => runtime.block_on(units(matches!(switch, OnOff::On))),
        Verb::Jobs { json, declare, grace, toml } => {
            runtime.block_on(list_jobs(&config, ListJobs::of(json, declare.then_some(grace), toml)))
        }
        Verb::Exec { task, timeout, lock, quiet, command } => {
            let (in_terminal, language) = (is_in_terminal(), Language::of_terminal());
            let what = Exec { task, timeout, lock, quiet, command, in_terminal, language };
            return runtime.block_on(exec_verb(what, &config));
        }
    };
    exit.into()
}

fn refused(invalid: &Invalid) -> Exit {
    let language = Language::of_terminal();
    complain(&language.mistakes(invalid));
    if is_denied(invalid) {
        complain(&language.phrase("this user cannot read all of it: become root"));
    }
    Exit::Config
}

fn is_denied(invalid: &Invalid) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    !is_root && invalid.0.iter().any(|finding| finding.problem.contains("Permission denied"))
}

async fn unit_failed(unit: Option<UnitName>, config: &Config) -> Exit {
    let folders = runs::folders(&config.fixed.state_dir);
    let (agent, clock, locks) = (client(config), Clock::system(), Places::of_machine(&folders));
    let files = &config.live.files;
    let (log_dirs, redactor) = (files.log_dirs.clone(), Redactor::new(files.redact.clone()));
    let report = Report { folders, log_dirs, redactor, locks, agent: &agent, clock: &clock };
    let (systemd, chance) = (Systemd::default(), &mut identity::SystemRandom);
    let units = Units { systemd: &systemd, root: Path::new("/"), report: &report, monotonic: boot::monotonic() };
    let done = match &unit {
        None => units.look_again(chance).await.map(|()| None),
        Some(unit) => units.ended(unit, end_of_environment(unit), chance).await.map(|done| Some((unit, done))),
    };
    match done {
        Ok(None) => Exit::Ok,
        Ok(Some((unit, done))) => print(&(show_done(&of_terminal(clock.now()), unit, done) + "\n")),
        Err(error) => failed(&error),
    }
}

async fn units(on: bool) -> Exit {
    let say = of_terminal(Clock::system().now());
    let is_root = rustix::process::geteuid().is_root();
    match switch::switch(Path::new("/"), &Systemd::default(), is_root, on).await {
        Ok(switched) => print(&(show_switched(&say, &switched) + "\n")),
        Err(error) => {
            complain(&format!("olog-agent: {}", show_switch_error(&say, &error)));
            Exit::Failed
        }
    }
}

async fn exec_verb(what: Exec, config: &Config) -> ExitCode {
    let folders = runs::folders(&config.fixed.state_dir);
    let (agent, clock, locks) = (client(config), Clock::system(), Places::of_machine(&folders));
    let files = &config.live.files;
    let (log_dirs, redactor) = (files.log_dirs.clone(), Redactor::new(files.redact.clone()));
    let report = Report { folders, log_dirs, redactor, locks, agent: &agent, clock: &clock };
    let (in_terminal, language) = (what.in_terminal, what.language);
    match exec(what, &report, &mut identity::SystemRandom).await {
        Ok(result) => {
            for complaint in result.complaints {
                complain(&format!("olog-agent: {}", language.phrase(&complaint)));
            }
            if in_terminal {
                end_like(result.signal);
            }
            ExitCode::from(result.code)
        }
        Err(error) => failed(&error).into(),
    }
}

fn run(runtime: &Runtime, source: olog_daemon::config::ConfigFiles, config: Config) -> Exit {
    let handle = Handle::default();
    let ended = runtime.block_on(async {
        let running = agent::run(source, config, Clock::system(), handle.clone());
        tokio::pin!(running);
        let signals = match Signals::new() {
            Ok(signals) => signals,
            Err(error) => return Err(error.into()),
        };
        tokio::select! {
            ended = &mut running => ended.map_err(anyhow::Error::from),
            never = signals.hand_on(&handle) => match never {},
        }
    });
    match ended {
        Ok(()) => Exit::Ok,
        Err(error) => {
            tracing::error!("{error:#}");
            let why = format!("{error:#}");
            let language = Language::of_terminal();
            service::status(&language.sentence("not running: {1}", &[&language.phrase(&why)]));
            Exit::Failed
        }
    }
}

struct Signals {
    term: tokio::signal::unix::Signal,
    int: tokio::signal::unix::Signal,
    hup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    async fn hand_on(mut self, handle: &Handle) -> std::convert::Infallible {
        loop {
            tokio::select! {
                _ = self.term.recv() => handle.stop.cancel(),
                _ = self.int.recv() => handle.stop.cancel(),
                _ = self.hup.recv() => handle.reload.notify_one(),
            }
        }
    }
}

fn check(source: &olog_daemon::config::ConfigFiles, config: &Config) -> Exit {
    let mut out = String::new();
    let mut line = |text: String| out += &(text + "\n");
    let language = Language::of_terminal();
    let remark = |words: &str| format!("# {}", language.phrase(words));
    let read: Vec<_> = source.files().unwrap_or_default().into_iter().filter(|file| file.exists()).collect();
    match read.as_slice() {
        [] => line(remark(&format!("{} is not there: these are the defaults", source.main().display()))),
        files => files.iter().for_each(|file| line(remark(&format!("from {}", file.display())))),
    }
    line(config.live.effective.clone());
    for folder in &config.live.files.log_dirs {
        let found = match std::fs::read_dir(folder) {
            Ok(entries) => format!("readable, {} entries", entries.count()),
            Err(e) => format!("cannot be read: {e}"),
        };
        line(remark(&format!("{}: {found}", folder.display())));
    }
    for found in sandbox::findings(&config.live.files.log_dirs, config.live.files.keep.is_some()) {
        line(remark(&found));
    }
    if allows_foreign_links(&std::fs::read_to_string("/proc/sys/fs/protected_hardlinks").unwrap_or_default()) {
        line(remark(
            "fs.protected_hardlinks is 0: any user can link a file of another into a log dir; set it to 1 (sysctl)",
        ));
    }
    let state_dir = &config.fixed.state_dir;
    let joined = match identity::hub(state_dir) {
        Ok(Some(hub)) => format!("joined {}", hub.base),
        Ok(None) => format!("not joined: {}", line::how_to_join(line::hub_is_here())),
        Err(error) => language.chain(&error),
    };
    line(remark(&format!("{}: {joined}", state_dir.display())));
    if config.live.push.channels.is_empty() {
        line(remark("no [[push.channel]]: nobody is notified while the hub cannot be reached"));
    }
    import::still_running().iter().for_each(|sentence| line(format!("# {sentence}")));
    print(&out)
}

/// What the kernel says of hard links: 0, and any user may link any file. Where it says nothing, there is nothing to say.
fn allows_foreign_links(sysctl: &str) -> bool {
    sysctl.trim() == "0"
}

async fn join_verb(link: Option<String>, source: &olog_daemon::config::ConfigFiles, config: &Config) -> Exit {
    let text = match link.map_or_else(ask_for_link, Ok) {
        Ok(text) => text,
        Err(error) => return failed(&error),
    };
    let link = match text.parse::<JoinLink>() {
        Ok(link) => link,
        Err(error) => {
            complain(&Language::of_terminal().chain(&error));
            return Exit::Usage;
        }
    };
    let live = &config.live;
    let who = Joiner { state_dir: &config.fixed.state_dir, name: &live.device, address: live.address.as_deref() };
    let joined = join(&link, &who, &Clock::system(), &mut identity::SystemRandom).await;
    let joined = match joined {
        Ok(hub) => hub,
        Err(error) => return failed(&error),
    };
    let say = of_terminal(Clock::system().now());
    let next = match client(config).post::<()>("/reload", &()).await {
        // Its own session is the proof that it can speak with the hub.
        Ok(()) => match until_connected(&client(config)).await {
            None => say.word("agent-joined-connected"),
            Some(trouble) => say.text("agent-joined-not-connected", &[("why", say.language.phrase(&trouble).into())]),
        },
        Err(AskError::Away { .. }) => how_to_start(&say, Path::new("/"), source.main()),
        Err(_) => say.word("agent-joined-soon"),
    };
    let (device, hub) = (live.device.to_string(), joined.base.to_string());
    let args = [("device", device.into()), ("hub", hub.into()), ("next", next.into())];
    print(&(say.text("agent-joined", &args) + "\n"))
}

/// What starts the agent on this machine: systemd, or, as in a container, the command itself.
fn how_to_start(say: &Localizer, root: &Path, config: &Path) -> String {
    if switch::has_systemd(root) {
        return say.word("agent-joined-start");
    }
    let is_default = config == config::source(None).main();
    let named =
        if is_default { String::new() } else { format!(" --config {}", shell_word(&config.display().to_string())) };
    say.text("agent-joined-run", &[("command", format!("olog-agent{named} run").into())])
}

/// What keeps the running agent from a session, if it has none within some seconds.
async fn until_connected(agent: &Client) -> Option<String> {
    const LOOKS: u32 = 50;
    let mut trouble = None;
    for _ in 0..LOOKS {
        match agent.get::<Status>("/status").await {
            Ok(status) if status.connected => return None,
            Ok(status) => trouble = status.trouble,
            Err(error) => trouble = Some(error.to_string()),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Some(trouble.unwrap_or_else(|| "no answer from the hub".to_owned()))
}

fn ask_for_link() -> io::Result<String> {
    if io::IsTerminal::is_terminal(&io::stdin()) {
        let mut stderr = io::stderr();
        let prompt = Language::of_terminal().phrase("join link (from `olog-hub join-link` on the hub):");
        write!(stderr, "{prompt}{}", if prompt.ends_with(':') { " " } else { "" })?;
        stderr.flush()?;
    }
    let mut line = String::new();
    io::BufRead::read_line(&mut io::Read::take(io::stdin().lock(), 16 * 1024), &mut line)?;
    Ok(line)
}

fn client(config: &Config) -> Client {
    Client::new("olog-agent", config.fixed.socket.clone())
}

async fn status(config: &Config, json: bool) -> Exit {
    match client(config).get::<Status>("/status").await {
        Ok(status) if json => print(&(serde_json::to_string_pretty(&status).unwrap_or_default() + "\n")),
        Ok(status) => print(&show(&of_terminal(Clock::system().now()), &status)),
        Err(error) => failed(&error),
    }
}

fn scan(config: &Config, folders: Vec<PathBuf>) -> Exit {
    let files = match folders.is_empty() {
        true => config.live.files.clone(),
        false => match std::env::current_dir() {
            Ok(current) => files::only(&config.live.files, folders, &current),
            Err(error) => return failed(&error),
        },
    };
    let language = Language::of_terminal();
    let mut stdout = io::BufWriter::new(io::stdout().lock());
    let (mut broken, mut n_told, mut n_silent, mut n_unreadable) = (None, 0_u64, 0_u64, 0_u64);
    let mut tell = |found: files::Finding| {
        match found.news {
            files::News::Told(_) => n_told += 1,
            files::News::Nothing(_) => n_silent += 1,
            files::News::Unreadable(_) => n_unreadable += 1,
        }
        if let Err(error) = stdout.write_all(clean::for_terminal(&show_finding(language, &found)).as_bytes()) {
            broken.get_or_insert(error);
        }
    };
    let notes = files::scan_dry_run(&files, Clock::system().now(), &mut tell);
    let count = |n: u64| format!("{n} file{}", if n == 1 { "" } else { "s" });
    let counts = format!(
        "{} would be told, nothing of {}; what was told before is not considered",
        count(n_told),
        count(n_silent)
    );
    let flushed = writeln!(stdout, "{}", language.phrase(&counts)).and_then(|()| stdout.flush());
    for note in &notes {
        complain(&format!("{}: {}", note.path.as_deref().unwrap_or_default(), language.phrase(&note.text)));
    }
    match broken.map_or(flushed, Err) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => failed(&error),
        _ if notes.is_empty() && n_unreadable == 0 => Exit::Ok,
        _ => Exit::Failed,
    }
}

/// The excerpt, as far as it helps to know the file: not all of its lines.
fn show_excerpt(language: Language, excerpt: &Excerpt) -> String {
    const FIRST: usize = 6;
    const LAST: usize = 4;
    let left_out = match excerpt.left_out() {
        0 => String::new(),
        n => format!("\n{}\n", language.phrase(&format!("… {n} bytes are left out …"))),
    };
    let text = format!("{}{left_out}{}", excerpt.head(), excerpt.tail());
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let n_hidden = lines.len().saturating_sub(FIRST + LAST);
    let mut shown: Vec<String> = lines.iter().map(|line| format!("    | {line}\n")).collect();
    if n_hidden > 1 {
        let hidden = language.phrase(&format!("… {n_hidden} more lines of the excerpt …"));
        shown.splice(FIRST..FIRST + n_hidden, [format!("    {hidden}\n")]);
    }
    shown.concat()
}

/// One file: what it is, what would be told, what acts on it.
fn show_finding(language: Language, found: &files::Finding) -> String {
    let means = match found.suffix {
        LogKind::Err => "error, pushed at once",
        LogKind::Msg => "message, pushed at once",
        LogKind::Scanerr => "error, in the daily report only",
        LogKind::Log => "log of a good run, not pushed",
    };
    let seconds = u64::try_from(found.changed_at.0 / 1000).unwrap_or(0);
    let changed_at = humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + Duration::from_secs(seconds));
    let sentence = |words: &str| format!("  {}\n", language.phrase(words));
    let task = &found.task;
    let mut out = format!("{}\n", found.path);
    match &found.news {
        files::News::Told(excerpt) => {
            out += &sentence(&format!("task {task}, {means}: {} bytes, changed {changed_at}", found.size));
            if excerpt.is_blank() {
                out += &sentence("no text: the run itself is told");
            }
            out += &show_excerpt(language, excerpt);
        }
        files::News::Nothing(why) => out += &sentence(&format!("task {task}, nothing would be told: {why}")),
        files::News::Unreadable(why) => out += &sentence(&format!("task {task}, not read: {why}")),
    }
    found.acting.iter().for_each(|acts| out += &sentence(acts));
    out
}

fn print(text: &str) -> Exit {
    match io::stdout().write_all(clean::for_terminal(text).as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => failed(&error),
        _ => Exit::Ok,
    }
}

fn complain(text: &str) {
    if writeln!(io::stderr(), "{}", clean::for_terminal(text)).is_err() {
        // Nobody can be told any more; the exit code still says it.
        tracing::debug!("stderr is closed");
    }
}

fn failed(error: &dyn std::error::Error) -> Exit {
    complain(&format!("olog-agent: {}", Language::of_terminal().chain(error)));
    Exit::Failed
}

#[cfg(test)]
mod tests;

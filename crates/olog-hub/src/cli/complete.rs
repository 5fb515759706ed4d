//! Completion in a shell: the shell asks `olog-hub` itself what may follow, and gets verbs, options, and names from the running hub.
//!
//! The scripts that the package installs call the program with `OLOG_COMPLETE=SHELL`, the words typed so far, and the number of the word to
//! complete. A hub that does not run, may not be asked, or does not answer within [`ANSWERS_WITHIN`] gives no names: a Tab never prints an
//! error and never hangs.

use std::{path::PathBuf, time::Duration};

use clap::{Command, CommandFactory as _};
use clap_complete::{
    CompleteEnv,
    engine::{ArgValueCandidates, CompletionCandidate},
};
use olog_daemon::{config::ConfigFiles, socket::Client};
use serde_json::Value;
use tokio::runtime::Builder;

use super::Cli;
use crate::config::Config;

const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Answers the shell, if it is the shell that calls. What it could not be told is an error for nobody.
pub(super) fn answered() -> bool {
    let folder = std::env::current_dir().ok();
    CompleteEnv::with_factory(command)
        .var("OLOG_COMPLETE")
        .try_complete(std::env::args_os(), folder.as_deref())
        .unwrap_or(true)
}

/// The command line, with the names that its arguments may have.
fn command() -> Command {
    with_names(Cli::command(), "")
}

fn with_names(command: Command, group: &str) -> Command {
    let name = command.get_name().to_owned();
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| match Names::of(group, &name, arg.get_id().as_str()) {
        Some(names) => arg.add(ArgValueCandidates::new(move || names.candidates())),
        None => arg,
    });
    verbs.into_iter().fold(command, |command, verb| command.mut_subcommand(verb, |verb| with_names(verb, &name)))
}

/// A list of the running hub, and which of its fields is the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    Devices,
    PendingDevices,
    Tasks,
    Incidents,
    Silences,
    Reports,
    Channels,
    Packages,
    Users,
    Tokens,
}

impl Names {
    /// What an argument of `olog-hub GROUP VERB` is called by.
    fn of(group: &str, verb: &str, arg: &str) -> Option<Names> {
        match (group, verb, arg) {
            ("device", "accept", "who") => Some(Names::PendingDevices),
            ("device", _, "name" | "old") | (_, _, "device") => Some(Names::Devices),
            ("task", _, "old") | (_, _, "task") => Some(Names::Tasks),
            ("incident", _, "n" | "numbers") => Some(Names::Incidents),
            ("silence", _, "n" | "numbers") => Some(Names::Silences),
            ("report", _, "id") => Some(Names::Reports),
            ("channel", _, "name") => Some(Names::Channels),
            ("user", _, "user") => Some(Names::Users),
            ("token", _, "token") => Some(Names::Tokens),
            ("packages", _, "architecture") => Some(Names::Packages),
            _ => None,
        }
    }

    /// Where the hub lists them; the field that is typed, and those that explain it.
    fn list(self) -> (&'static str, &'static str, [&'static str; 2]) {
        match self {
            Names::Devices => ("/devices?pending=false", "name", ["address", ""]),
            Names::PendingDevices => ("/devices?pending=true", "name", ["peer", ""]),
            Names::Tasks => ("/tasks", "task", ["", ""]),
            Names::Incidents => ("/incidents?all=false", "id", ["device", "name"]),
            Names::Silences => ("/silences?all=false", "id", ["device", "comment"]),
            Names::Reports => ("/reports", "id", ["kind", ""]),
            Names::Channels => ("/channels", "name", ["type", ""]),
            Names::Users => ("/users", "name", ["scope", ""]),
            Names::Tokens => ("/tokens", "name", ["scope", ""]),
            Names::Packages => ("/packages", "architecture", ["version", ""]),
        }
    }

    fn candidates(self) -> Vec<CompletionCandidate> {
        let (target, name, explained_by) = self.list();
        let rows = asked(target).unwrap_or_default();
        let text = |row: &Value, field: &str| match row.get(field) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        };
        let mut names: Vec<String> = Vec::new();
        let mut candidates = Vec::new();
        for row in &rows {
            let name = text(row, name);
            if name.is_empty() || names.contains(&name) {
                continue;
            }
            let help = explained_by.map(|field| text(row, field)).into_iter().filter(|text| !text.is_empty());
            let help = help.collect::<Vec<_>>().join(" ");
            let help = (!help.is_empty()).then(|| help.into());
            // In the hub's own order: open incidents come worst first.
            candidates.push(CompletionCandidate::new(&name).help(help).display_order(Some(candidates.len())));
            names.push(name);
        }
        candidates
    }
}

/// A list of the running hub; `None` if it cannot be had at once.
fn asked(target: &str) -> Option<Vec<Value>> {
    let source = ConfigFiles::new("hub", config_file()).without_secrets();
    let client = Client::new("olog-hub", Config::places(&source).socket);
    let runtime = Builder::new_current_thread().enable_all().build().ok()?;
    let answer =
        runtime.block_on(async { tokio::time::timeout(ANSWERS_WITHIN, client.get::<Vec<Value>>(target)).await });
    answer.ok()?.ok()
}

/// The configuration that is named on the command line so far.
fn config_file() -> Option<PathBuf> {
    let words: Vec<_> = std::env::args_os().collect();
    let named =
        words.iter().zip(words.iter().skip(1)).find(|(word, _)| *word == "--config").map(|(_, file)| file.into());
    named.or_else(|| std::env::var_os("OLOG_CONFIG").map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The arguments of the command line that are completed from the running hub: `VERB ARGUMENT`.
    fn completed(command: &Command, group: &str, found: &mut Vec<String>) {
        for verb in command.get_subcommands() {
            for arg in verb.get_arguments() {
                if arg.get::<ArgValueCandidates>().is_some() {
                    found.push(format!("{group}{} {}", verb.get_name(), arg.get_id()));
                }
            }
            completed(verb, &format!("{group}{} ", verb.get_name()), found);
        }
    }

    #[test]
    fn what_the_hub_has_a_name_for_is_completed() {
        let mut found = Vec::new();
        completed(&command(), "", &mut found);
        for expected in [
            "join-link device",
            "device forget name",
            "device rename old",
            "device accept who",
            "task show device",
            "task show task",
            "task rename old",
            "incident close numbers",
            "incident not-an-error n",
            "silence add device",
            "silence add task",
            "silence end n",
            "report show id",
            "channel test name",
            "packages remove architecture",
            "user password user",
            "token revoke token",
        ] {
            assert!(found.iter().any(|arg| arg == expected), "{expected} is not among {found:?}");
        }
        assert!(!found.iter().any(|arg| arg == "device rename new"), "a new name is nobody's yet");
    }
}

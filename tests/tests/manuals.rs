//! Manual pages and completions: the packages carry what the programs understand.
//!
//! Both are committed, so that a package can be built without running a program. The scripts for the shells only call the program, which
//! knows its own command line. After a change of a verb:
//! `OLOG_WRITE_MANUALS=1 cargo test -p olog-journeys manuals`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Command, CommandFactory as _};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

const WRITE: &str = "OLOG_WRITE_MANUALS";

/// The parts of a manual page that are not in the definition of the command line.
struct More {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    environment: &'static [(&'static str, &'static str)],
    see: &'static str,
}

const HUB: More = More {
    name: "olog-hub",
    files: &[
        ("/etc/olog/hub.toml, /etc/olog/hub.d/*.toml", "The configuration; later files override, lists add."),
        ("/etc/olog/secrets/hub/", "Tokens that the configuration names; readable by root and the hub only."),
        ("/var/lib/olog-hub/", "The store with everything the hub knows, and its certificate."),
        ("/run/olog-hub/hub.sock", "Where the verbs ask: root, olog-hub and the group olog-admin may."),
    ],
    environment: &[
        ("OLOG_CONFIG", "The configuration, as --config."),
        ("RUST_LOG", "What is logged, as in \"debug\" or \"olog_hub=debug\"."),
    ],
    see: "olog-agent(1), systemctl(1), journalctl(1), /usr/share/doc/olog-hub/operations.md",
};

const AGENT: More = More {
    name: "olog-agent",
    files: &[
        ("/var/log/olog/", "Where jobs drop their files, if log_dirs does not say otherwise."),
        ("/etc/olog/agent.toml, /etc/olog/agent.d/*.toml", "The configuration; later files override, lists add."),
        ("/etc/olog/secrets/agent/", "Tokens that the configuration names; readable by root and the agent only."),
        ("/var/lib/olog-agent/", "The device's key, its hub, and what the hub has not acknowledged."),
        ("/var/lib/olog-exec/", "The runs that exec reports, until the agent has read them."),
        ("/run/olog-agent/agent.sock", "Where the verbs ask: anybody may report a run and read the status."),
    ],
    environment: &[
        ("OLOG_CONFIG", "The configuration, as --config."),
        ("RUST_LOG", "What is logged, as in \"debug\" or \"olog_agent=debug\"."),
    ],
    see: "olog-hub(1), systemctl(1), journalctl(1), /usr/share/doc/olog-agent/operations.md",
};

#[test]
fn manuals_and_completions_of_the_hub_are_those_of_its_command_line() {
    compare("hub", &olog_hub::cli::Cli::command(), &HUB);
}

#[test]
fn manuals_and_completions_of_the_agent_are_those_of_its_command_line() {
    compare("agent", &olog_agent::cli::Cli::command(), &AGENT);
}

#[test]
fn the_packages_history_begins_with_this_version() {
    let history = fs::read_to_string(packaging().join("debian-changelog")).unwrap();
    let first = format!("olog ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(history.starts_with(&first), "packaging/debian-changelog does not begin with {first}");
}

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

fn compare(side: &str, program: &Command, more: &More) {
    let name = more.name;
    let program = &without_hidden(name, program);
    let mut made = vec![(format!("man/{name}.1"), page(program.clone(), more))];
    let shells: [(&dyn EnvCompleter, String); 3] =
        [(&Bash, format!("{name}.bash")), (&Zsh, format!("_{name}")), (&Fish, format!("{name}.fish"))];
    for (shell, file) in shells {
        let mut text = Vec::new();
        shell.write_registration("OLOG_COMPLETE", name, name, name, &mut text).unwrap();
        made.push((format!("completions/{file}"), text));
    }
    for (file, text) in made {
        let path = packaging().join(side).join(&file);
        if std::env::var_os(WRITE).is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert!(
            fs::read(&path).unwrap_or_default() == text,
            "packaging/{side}/{file} is of another command line: {WRITE}=1 cargo test -p olog-journeys manuals"
        );
    }
}

/// Without the hidden verbs, which only a unit calls.
fn without_hidden(name: &'static str, program: &Command) -> Command {
    Command::new(name)
        .about(program.get_about().cloned().unwrap_or_default())
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .subcommand_required(true)
        .args(program.get_arguments().cloned())
        .subcommands(program.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned())
}

/// One page with every verb, so that nobody has to know the names of several pages.
fn page(mut program: Command, more: &More) -> Vec<u8> {
    program.build();
    let man = Man::new(program.clone()).manual("Olog");
    let mut text = Vec::new();
    man.render_title(&mut text).unwrap();
    man.render_name_section(&mut text).unwrap();
    man.render_synopsis_section(&mut text).unwrap();
    man.render_options_section(&mut text).unwrap();
    Roff::new().control("SH", ["VERBS"]).to_writer(&mut text).unwrap();
    verbs(&program, "", &mut text);
    let exits = [
        ("0", "Done."),
        ("1", "It failed; stderr says why."),
        ("2", "The command line was wrong."),
        ("78", "The configuration was wrong; stderr names every mistake."),
    ];
    for (title, rows) in [("EXIT STATUS", &exits[..]), ("ENVIRONMENT", more.environment), ("FILES", more.files)] {
        let mut roff = Roff::new();
        roff.control("SH", [title]);
        for (key, says) in rows {
            roff.control("TP", []).text([bold(*key)]).text([roman(*says)]);
        }
        roff.to_writer(&mut text).unwrap();
    }
    Roff::new().control("SH", ["SEE ALSO"]).text([roman(more.see)]).to_writer(&mut text).unwrap();
    said_once(&String::from_utf8(text).unwrap())
}

/// Each part begins with the same definition of an apostrophe; the page needs it once.
fn said_once(page: &str) -> Vec<u8> {
    let (mut text, mut said) = (String::new(), Vec::new());
    for line in page.lines() {
        if line.starts_with(".ie ") || line.starts_with(".el ") {
            if said.contains(&line) {
                continue;
            }
            said.push(line);
        }
        text += line;
        text.push('\n');
    }
    text.into_bytes()
}

/// Each verb as a section of its own, `device list` after `device`.
fn verbs(of: &Command, before: &str, text: &mut Vec<u8>) {
    for verb in of.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let name = format!("{before}{}", verb.get_name());
        let is_group = verb.get_subcommands().next().is_some();
        if is_group {
            verbs(verb, &format!("{name} "), text);
            continue;
        }
        let verb = verb.clone().mut_args(|arg| {
            let is_everywhere = arg.is_global_set() || ["help", "version"].contains(&arg.get_id().as_str());
            arg.hide(is_everywhere)
        });
        let usage = verb.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").replace("[OPTIONS] ", "").replace(" [OPTIONS]", "");
        let mut roff = Roff::new();
        roff.control("SS", [name.as_str()]).text([bold(usage)]).control("PP", []);
        let about = verb.get_long_about().or_else(|| verb.get_about()).map(ToString::to_string).unwrap_or_default();
        roff.text([roman(about)]);
        roff.to_writer(text).unwrap();
        let mut options = Vec::new();
        Man::new(verb).render_options_section(&mut options).unwrap();
        let options = String::from_utf8(options).unwrap();
        // Under the verb's own heading.
        text.extend(
            options.lines().filter(|line| !line.starts_with(".SH ")).flat_map(|line| [line, "\n"]).flat_map(str::bytes),
        );
    }
}

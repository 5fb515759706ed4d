//! Manual pages and pages of verbs, in English and Chinese, and completions: the packages carry what the programs understand.
//!
//! The Chinese page is the English one, sentence by sentence: `packaging/manual.zh-CN.txt` has the translations. Both are
//! committed, so that a package can be built without running a program. The scripts for the shells only call the program, which
//! knows its own command line. After a change of a verb: `OLOG_WRITE_MANUALS=1 cargo test -p olog-journeys manuals`.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::{
    reference,
    translations::{LANGUAGES, Language, Translations},
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
fn the_reference_of_verbs_is_that_of_the_command_lines() {
    for (program, name) in
        [(olog_hub::cli::Cli::command(), "olog-hub"), (olog_agent::cli::Cli::command(), "olog-agent")]
    {
        for language in LANGUAGES {
            let words = Translations::of_verbs(language);
            let page = chapter(&words, without_hidden(name, &program), name);
            reference::compare(language, &format!("{name}.md"), &page);
        }
    }
}

#[test]
fn the_packages_history_begins_with_this_version() {
    let history = fs::read_to_string(packaging().join("debian-changelog")).unwrap();
    let first = format!("olog ({}-1) ", env!("CARGO_PKG_VERSION"));
    assert!(history.starts_with(&first), "packaging/debian-changelog does not begin with {first}");
}

const EXITS: &[(&str, &str)] = &[
    ("0", "Done."),
    ("1", "It failed; stderr says why."),
    ("2", "The command line was wrong."),
    ("78", "The configuration was wrong; stderr names every mistake."),
];

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging")
}

fn compare(side: &str, program: &Command, more: &More) {
    let name = more.name;
    let program = &without_hidden(name, program);
    let english = page(program.clone(), more);
    let chinese = in_chinese(&String::from_utf8(english.clone()).unwrap(), more);
    let mut made = vec![(format!("man/{name}.1"), english), (format!("man-zh_CN/{name}.1"), chinese.into_bytes())];
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
    for (title, rows) in [("EXIT STATUS", EXITS), ("ENVIRONMENT", more.environment), ("FILES", more.files)] {
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

/// Headings and other words that clap writes.
const HEADINGS: &[(&str, &str)] = &[
    (".SH NAME", ".SH 名称"),
    (".SH SYNOPSIS", ".SH 概要"),
    (".SH OPTIONS", ".SH 选项"),
    (".SH VERBS", ".SH 命令"),
    (".SH \"EXIT STATUS\"", ".SH 退出码"),
    (".SH ENVIRONMENT", ".SH 环境变量"),
    (".SH FILES", ".SH 文件"),
    (".SH \"SEE ALSO\"", ".SH 另见"),
    ("Possible values:", "可选值："),
];

/// The same page, every sentence translated.
fn in_chinese(page: &str, more: &More) -> String {
    let sentences = Translations::of_verbs(Language::Chinese);
    let roff = |text: &str| text.replace('\\', "\\\\").replace('-', "\\-").replace('\'', "\\*(Aq");
    let plain = |text: &str| text.replace("\\*(Aq", "'").replace("\\-", "-").replace("\\\\", "\\");
    let look_up = |text: &str| sentences.find(plain(text).as_str()).map(roff);
    let mut made = String::new();
    for line in page.lines() {
        let heading = HEADINGS.iter().find(|(english, _)| *english == line).map(|(_, chinese)| (*chinese).to_owned());
        let is_name =
            line.is_empty() || [".", "\\fB", "\\fI", "<\\fI", "[\\fI"].iter().any(|start| line.starts_with(start));
        // `olog-hub - The Olog hub: …`, and a possible value with its meaning.
        let after = |between: &str| {
            line.split_once(between).and_then(|(name, text)| Some(format!("{name}{between}{}", look_up(text)?)))
        };
        let words = match heading {
            Some(heading) => heading,
            None if is_name => line.replace("[default: ", "[默认："),
            None if plain(line) == more.see => line.to_owned(),
            None => look_up(line).or_else(|| after(" \\- ")).or_else(|| after(": ")).unwrap_or_else(|| {
                panic!("packaging/manual.zh-CN.txt has no translation of:\n{}", plain(line));
            }),
        };
        made += &words;
        made.push('\n');
        if line.starts_with(".TH ") {
            // No hyphens within English words, and no gaps between the few spaces of a Chinese line.
            made += ".nh\n.ad l\n";
        }
    }
    made
}

#[test]
fn every_translated_sentence_is_one_of_the_pages() {
    let pages: Vec<String> = [("hub", "olog-hub"), ("agent", "olog-agent")]
        .map(|(side, name)| fs::read_to_string(packaging().join(side).join(format!("man/{name}.1"))).unwrap())
        .map(|page| page.replace("\\*(Aq", "'").replace("\\-", "-").replace("\\\\", "\\"))
        .into();
    for english in Translations::of_verbs(Language::Chinese).english() {
        assert!(pages.iter().any(|page| page.contains(english)), "no page has {english:?}");
    }
}

#[test]
fn both_languages_name_the_same_verbs_and_options() {
    for (side, name) in [("hub", "olog-hub"), ("agent", "olog-agent")] {
        let [english, chinese] = ["man", "man-zh_CN"].map(|folder| {
            let page = fs::read_to_string(packaging().join(side).join(folder).join(format!("{name}.1"))).unwrap();
            let names = page.lines().filter(|line| line.starts_with(".SS ") || line.starts_with("\\fB"));
            names.map(|line| line.replace("[默认：", "[default: ")).collect::<Vec<String>>()
        });
        assert!(english.len() > 20, "{english:?}");
        assert_eq!(english, chinese);
    }
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

/// The page of the book with every verb of a program.
fn chapter(words: &Translations, mut program: Command, name: &str) -> String {
    program.build();
    let (title, head, everywhere) = match (words.language(), name) {
        (Language::English, "olog-hub") => (
            "Every verb of olog-hub",
            "All but `run`, `check`, `setup`, `import` and `simulate` ask the running hub, through its Unix socket: root, the user `olog-hub` and the group `olog-admin` may. This page is generated from the command line, as `man olog-hub` is.",
            "Every verb",
        ),
        (Language::English, _) => (
            "Every verb of olog-agent",
            "`status` asks the running agent, through its Unix socket; anybody may. This page is generated from the command line, as `man olog-agent` is.",
            "Every verb",
        ),
        (Language::Chinese, "olog-hub") => (
            "olog-hub 的全部命令",
            "除了 `run`、`check`、`setup`、`import` 和 `simulate`，其余命令都通过 Unix 套接字询问正在运行的服务端：root、用户 `olog-hub` 和用户组 `olog-admin` 可以使用。本页和 `man olog-hub` 一样，由命令行的定义生成。",
            "所有命令共有",
        ),
        (Language::Chinese, _) => (
            "olog-agent 的全部命令",
            "`status` 通过 Unix 套接字询问正在运行的客户端，任何人都可以使用。本页和 `man olog-agent` 一样，由命令行的定义生成。",
            "所有命令共有",
        ),
    };
    let exits = match words.language() {
        Language::English => "| exit code | meaning |",
        Language::Chinese => "| 退出码 | 含义 |",
    };
    let mut page = format!("# {title}\n\n{head}\n\n## {everywhere}\n\n");
    options(words, program.get_arguments(), &mut page);
    write!(page, "\n{exits}\n|---|---|\n").unwrap();
    for (code, says) in EXITS {
        writeln!(page, "| {code} | {} |", words.get(says)).unwrap();
    }
    sections(words, &program, &mut page);
    page
}

/// Each verb as a section of its own, `device list` after `device`.
fn sections(words: &Translations, of: &Command, page: &mut String) {
    for verb in of.get_subcommands().filter(|verb| verb.get_name() != "help") {
        if verb.get_subcommands().next().is_some() {
            sections(words, verb, page);
            continue;
        }
        let verb = verb.clone().mut_args(|arg| {
            let is_everywhere = is_everywhere(&arg);
            arg.hide(is_everywhere)
        });
        let name = verb.get_bin_name().unwrap_or_else(|| verb.get_name()).to_owned();
        let usage = verb.clone().render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").replace("[OPTIONS] ", "").replace(" [OPTIONS]", "");
        let about = verb.get_long_about().or_else(|| verb.get_about()).map(ToString::to_string).unwrap_or_default();
        write!(page, "\n## {name}\n\n").unwrap();
        if usage != name {
            write!(page, "```text\n{usage}\n```\n\n").unwrap();
        }
        for line in about.lines() {
            let line = if line.is_empty() { String::new() } else { words.get(line) };
            writeln!(page, "{}", in_page(&line)).unwrap();
        }
        let mut rows = String::new();
        options(words, verb.get_arguments().filter(|arg| !arg.is_hide_set()), &mut rows);
        if !rows.is_empty() {
            write!(page, "\n{rows}").unwrap();
        }
    }
}

fn is_everywhere(arg: &Arg) -> bool {
    arg.is_global_set() || ["help", "version"].contains(&arg.get_id().as_str())
}

/// A table of options and arguments.
fn options<'a>(words: &Translations, args: impl Iterator<Item = &'a Arg>, page: &mut String) {
    let (head, default, values) = match words.language() {
        Language::English => ("| option | meaning |", "Default: ", "Possible values: "),
        Language::Chinese => ("| 选项 | 含义 |", "默认：", "可选值："),
    };
    let mut rows = String::new();
    for arg in args {
        let mut cell = String::new();
        let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
        let help: Vec<String> = help.lines().filter(|line| !line.is_empty()).map(|line| words.get(line)).collect();
        cell.push_str(&in_page(&help.join(" ")));
        let choices = arg.get_possible_values();
        if !choices.is_empty() && arg.get_num_args().is_some_and(|n| n.takes_values()) {
            let choices = choices.iter().map(|choice| match choice.get_help() {
                Some(help) => format!("`{}` ({})", choice.get_name(), words.get(&help.to_string())),
                None => format!("`{}`", choice.get_name()),
            });
            write!(cell, "<br>{values}{}", choices.collect::<Vec<String>>().join(", ")).unwrap();
        }
        let defaults = arg.get_default_values().iter().filter(|value| !value.is_empty());
        let defaults: Vec<String> = defaults.map(|value| format!("`{}`", value.to_string_lossy())).collect();
        if !defaults.is_empty() && arg.get_num_args().is_some_and(|n| n.takes_values()) {
            write!(cell, "<br>{default}{}", defaults.join(", ")).unwrap();
        }
        let name = arg.to_string();
        let name = match arg.get_short() {
            Some(short) if !arg.is_positional() => format!("-{short}, {name}"),
            _ => name,
        };
        writeln!(rows, "| `{}` | {} |", name.replace('|', "\\|"), cell.replace('|', "\\|")).unwrap();
    }
    if !rows.is_empty() {
        write!(page, "{head}\n|---|---|\n{rows}").unwrap();
    }
}

/// Plain text in Markdown: what looks like a tag or a pattern is neither.
fn in_page(text: &str) -> String {
    let mut made = String::new();
    let mut is_code = false;
    for c in text.chars() {
        is_code ^= c == '`';
        if !is_code && "*_<[".contains(c) {
            made.push('\\');
        }
        made.push(c);
    }
    made
}

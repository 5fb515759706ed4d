//! Reads a command line, and answers `--help` and mistakes of usage in the reader's language.
//!
//! The command line is defined once, in English. In Chinese each sentence of it is looked up in [`super::phrases`] after the fact, so a
//! command line without a mistake costs nothing. Words that clap itself writes (`Usage:`, `[default: …]`) are replaced in what it
//! has rendered.

use std::{ffi::OsString, io::Write as _};

use clap::{Command, Parser, error::ErrorKind};

use super::{Language, phrases};

/// Words of clap within a line of help.
const OF_CLAP: [&str; 8] = [
    "Usage: ",
    "Commands:",
    "Arguments:",
    "Options:",
    "Possible values:",
    "[default: ",
    "[possible values: ",
    "[env: ",
];
/// Words of clap before a sentence.
const LABELS: [&str; 3] = ["error: ", "tip: ", "Usage: "];

/// What is printed in place of running a verb: help, the version, or a mistake of usage.
#[derive(Debug)]
pub struct HelpOrMistake {
    english: clap::Error,
    chinese: Option<String>,
}

impl HelpOrMistake {
    /// Is it a mistake of usage?
    pub fn is_mistake(&self) -> bool {
        self.english.use_stderr()
    }

    /// Prints a mistake to stderr, help and version to stdout. False if nobody could read it.
    pub fn print(&self) -> bool {
        let Some(text) = &self.chinese else { return self.english.print().is_ok() };
        match self.is_mistake() {
            true => std::io::stderr().lock().write_all(text.as_bytes()).is_ok(),
            false => std::io::stdout().lock().write_all(text.as_bytes()).is_ok(),
        }
    }
}

/// The command line of this process; or what to print, in the language that is asked for only then.
pub fn parse<C: Parser>(language: impl FnOnce() -> Language) -> Result<C, HelpOrMistake> {
    C::try_parse().map_err(|english| {
        let is_chinese = language() == Language::ZhCn;
        let chinese = is_chinese.then(|| in_chinese(C::command(), std::env::args_os(), &english));
        HelpOrMistake { english, chinese }
    })
}

fn in_chinese(mut command: Command, args: impl Iterator<Item = OsString>, english: &clap::Error) -> String {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    if !matches!(english.kind(), DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand) {
        let lines: Vec<String> = english.render().to_string().lines().map(mistake_line).collect();
        return lines.join("\n") + "\n";
    }
    command.build();
    let mut values = Vec::new();
    let error = translated(command, &mut values).try_get_matches_from(args).err();
    let mut text = error.as_ref().unwrap_or(english).render().to_string();
    for (english, chinese) in values {
        text = text.replace(&english, &chinese);
    }
    without_words_of_clap(text)
}

fn without_words_of_clap(text: String) -> String {
    OF_CLAP.iter().fold(text, |text, english| text.replace(english, &Language::ZhCn.phrase(english)))
}

/// The same command line with every sentence in Chinese, and the meanings of possible values for later.
fn translated(command: Command, values: &mut Vec<(String, String)>) -> Command {
    let about = command.get_about().map(ToString::to_string).and_then(|about| phrases::exact(&about));
    let long = command.get_long_about().map(ToString::to_string).and_then(|about| phrases::exact(&about));
    let command = match about {
        Some(about) => command.about(about),
        None => command,
    };
    let command = match long {
        Some(long) => command.long_about(long),
        None => command,
    };
    let command = command.mut_args(|arg| {
        let meanings = arg.get_possible_values().into_iter().filter_map(|value| Some(value.get_help()?.to_string()));
        values.extend(meanings.filter_map(|english| Some((english.clone(), phrases::exact(&english)?.to_owned()))));
        let help = arg.get_help().map(ToString::to_string).and_then(|help| phrases::exact(&help));
        let long = arg.get_long_help().map(ToString::to_string).and_then(|help| phrases::exact(&help));
        let arg = if let Some(help) = help { arg.help(help) } else { arg };
        if let Some(long) = long { arg.long_help(long) } else { arg }
    });
    command.mut_subcommands(|verb| translated(verb, values))
}

/// A line of a mistake as clap renders it: `error: …`, `  tip: …`, `Usage: …`, `  --option`.
fn mistake_line(line: &str) -> String {
    let sentence = line.trim_start();
    let indent = line.get(..line.len() - sentence.len()).unwrap_or_default();
    let (label, rest) =
        LABELS.iter().find_map(|label| Some((*label, sentence.strip_prefix(label)?))).unwrap_or(("", sentence));
    let rest = phrases::in_chinese(rest).unwrap_or_else(|| rest.to_owned());
    format!("{indent}{}{}", Language::ZhCn.phrase(label), without_words_of_clap(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(args: &[&str]) -> String {
        let command = || {
            Command::new("olog-hub")
                .about("The Olog hub: collects events from devices, raises incidents, sends notifications")
                .subcommand_required(true)
                .subcommand(
                    Command::new("status")
                        .about("Print the status of the running hub: what needs attention, worst first, and what to do")
                        .arg(clap::Arg::new("json").long("json").action(clap::ArgAction::SetTrue).help("As JSON"))
                        .arg(
                            clap::Arg::new("n")
                                .long("uses")
                                .value_name("N")
                                .default_value("1")
                                .value_parser(clap::value_parser!(u32)),
                        ),
                )
        };
        let args: Vec<OsString> = std::iter::once("olog-hub").chain(args.iter().copied()).map(Into::into).collect();
        let english = command().try_get_matches_from(args.clone()).unwrap_err();
        in_chinese(command(), args.into_iter(), &english)
    }

    #[test]
    fn help_is_in_chinese_with_the_words_of_clap_itself() {
        let text = answer(&["--help"]);
        for words in ["Olog 服务端", "用法：olog-hub", "命令：", "选项：", "打印帮助"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        let text = answer(&["status", "-h"]);
        assert!(text.contains("以 JSON 输出") && text.contains("[默认：1]"), "{text}");
        assert!(answer(&["help", "status"]).contains("以 JSON 输出"));
    }

    #[test]
    fn mistakes_of_usage_are_in_chinese() {
        for (args, words) in [
            (&["status", "--jsn"][..], "错误：未知的参数 '--jsn'"),
            (&["status", "--jsn"], "提示：有相近的参数：'--json'"),
            (&["stauts"], "错误：未知的命令 'stauts'"),
            (&["status", "--uses", "many"], "错误：'--uses <N>' 的值 'many' 无效：不是整数"),
            (&["status", "--uses"], "错误：'--uses <N>' 缺少值"),
            (&["status", "--jsn"], "更多信息请用 '--help'"),
        ] {
            let text = answer(args);
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(answer(&["stauts"]).contains("用法：olog-hub"));
    }
}

//! What a program says in a terminal from its own code: help, findings of `check`, errors; in Chinese, as gettext does it: the English
//! text is the key.
//!
//! The catalogues hold an English line and, indented below it, its Chinese. `{1}` … `{9}` stand for any text, and may stand in another
//! order in Chinese; what they stand for is looked up too. The catalogues are `locales/phrases.zh-CN.txt` and the one of the
//! manual pages, so that a page and the help of a verb never differ. A text without an entry stays in English: an error is
//! shown in any case.

use std::{collections::HashMap, error::Error, fmt::Write as _, sync::LazyLock};

use olog_daemon::config::Invalid;

use super::Language;

const CATALOGUES: [&str; 2] =
    [include_str!("../../locales/phrases.zh-CN.txt"), include_str!("../../../../packaging/manual.zh-CN.txt")];
/// Of [`Language::sentence`], which names its entry. Their forms are too common to look for them in any text: `{1} and {2}`.
const SENTENCES: &str = include_str!("../../locales/sentences.zh-CN.txt");
/// No phrase is longer.
const BYTES_MAX: usize = 8192;
/// An argument within an argument within a phrase.
const DEPTH_MAX: u8 = 3;

/// A pattern with no more bytes of its own is for arguments only.
const OWN_OF_ARGUMENTS: usize = 4;

/// English lines and their Chinese, of a catalogue in the form of this module.
pub fn entries(catalogue: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mut lines = catalogue.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    std::iter::from_fn(move || Some((lines.next()?, lines.next()?.trim_start())))
}

struct Phrases {
    sentences: HashMap<&'static str, &'static str>,
    whole: HashMap<&'static str, &'static str>,
    /// The one with the most text of its own first.
    patterns: Vec<Pattern>,
}

struct Pattern {
    pieces: Vec<Piece>,
    chinese: &'static str,
}

enum Piece {
    Text(&'static str),
    Argument(char),
}

static PHRASES: LazyLock<Phrases> = LazyLock::new(|| {
    let (patterns, whole): (Vec<_>, Vec<_>) =
        CATALOGUES.into_iter().flat_map(entries).partition(|(english, _)| english.contains("{1}"));
    let mut patterns: Vec<_> =
        patterns.into_iter().map(|(english, chinese)| Pattern { pieces: pieces(english), chinese }).collect();
    patterns.sort_by_key(|pattern| std::cmp::Reverse(pattern.n_own()));
    Phrases { sentences: entries(SENTENCES).collect(), whole: whole.into_iter().collect(), patterns }
});

/// `a {1} b` in its parts.
fn pieces(template: &'static str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some((before, number, after)) = next_argument(rest) {
        pieces.extend([Piece::Text(before), Piece::Argument(number)]);
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    pieces
}

/// The text before the first `{n}`, the digit, and the text after it.
fn next_argument(text: &str) -> Option<(&str, char, &str)> {
    text.match_indices('{').find_map(|(at, _)| {
        let (before, rest) = text.split_at_checked(at)?;
        let number = rest.strip_prefix('{')?.chars().next().filter(char::is_ascii_digit)?;
        Some((before, number, rest.strip_prefix('{')?.strip_prefix(number)?.strip_prefix('}')?))
    })
}

impl Pattern {
    /// Bytes that are no argument.
    fn n_own(&self) -> usize {
        self.pieces.iter().map(|piece| if let Piece::Text(text) = piece { text.len() } else { 0 }).sum()
    }

    /// What the arguments stand for, if the text is of this form.
    fn arguments<'t>(&self, text: &'t str) -> Option<Vec<(char, &'t str)>> {
        let mut arguments = Vec::new();
        let mut rest = text;
        let mut open = None;
        let last = self.pieces.len().saturating_sub(1);
        for (i, piece) in self.pieces.iter().enumerate() {
            match (piece, open.take()) {
                (Piece::Argument(number), _) => open = Some(*number),
                (Piece::Text(own), None) => rest = rest.strip_prefix(own)?,
                (Piece::Text(own), Some(number)) => {
                    let at = if i == last { rest.len().checked_sub(own.len())? } else { rest.find(own)? };
                    let (argument, after) = rest.split_at_checked(at)?;
                    rest = after.strip_prefix(own).filter(|_| !argument.is_empty())?;
                    arguments.push((number, argument));
                }
            }
        }
        rest.is_empty().then_some(arguments)
    }
}

/// The Chinese of a sentence without arguments.
pub fn exact(english: &str) -> Option<&'static str> {
    PHRASES.whole.get(english).copied()
}

/// The Chinese of a text that the catalogues have.
pub fn in_chinese(english: &str) -> Option<String> {
    look_up(english, DEPTH_MAX)
}

fn look_up(english: &str, depth: u8) -> Option<String> {
    let phrases = &*PHRASES;
    if let Some(chinese) = phrases.whole.get(english) {
        return Some((*chinese).to_owned());
    }
    if english.len() > BYTES_MAX || depth == 0 {
        return None;
    }
    // `{1} to {2}` is in many sentences.
    let fits = |pattern: &&Pattern| depth < DEPTH_MAX || pattern.n_own() > OWN_OF_ARGUMENTS;
    let mut patterns = phrases.patterns.iter().filter(fits);
    let (pattern, arguments) = patterns.find_map(|pattern| Some((pattern, pattern.arguments(english)?)))?;
    let mut chinese = String::new();
    let mut rest = pattern.chinese;
    while let Some((before, number, after)) = next_argument(rest) {
        chinese.push_str(before);
        if let Some((_, argument)) = arguments.iter().find(|(of, _)| *of == number) {
            chinese.push_str(&look_up(argument, depth - 1).unwrap_or_else(|| (*argument).to_owned()));
        }
        rest = after;
    }
    chinese.push_str(rest);
    Some(chinese)
}

impl Language {
    /// Of whoever typed the command: Chinese if the shell's `LC_ALL`, `LC_MESSAGES` or `LANG`, the first that is set, begins with `zh`.
    pub fn of_terminal() -> Language {
        let keys = ["LC_ALL", "LC_MESSAGES", "LANG"];
        let named = keys.iter().find_map(|key| std::env::var(key).ok().filter(|value| !value.is_empty()));
        if named.is_some_and(|name| name.starts_with("zh")) { Language::ZhCn } else { Language::En }
    }

    /// A text of the program in this language.
    pub fn phrase(self, english: &str) -> String {
        match self {
            Language::En => english.to_owned(),
            Language::ZhCn => in_chinese(english).unwrap_or_else(|| english.to_owned()),
        }
    }

    /// A sentence of the program with its arguments `{1}` … `{9}`, which stay as they are: for what users wrote.
    pub fn sentence(self, english: &str, arguments: &[&str]) -> String {
        let chinese = (self == Language::ZhCn).then(|| PHRASES.sentences.get(english).copied()).flatten();
        let mut rest = chinese.unwrap_or(english);
        let mut text = String::new();
        while let Some((before, number, after)) = next_argument(rest) {
            text.push_str(before);
            let at = number.to_digit(10).and_then(|number| usize::try_from(number).ok()?.checked_sub(1));
            text.push_str(at.and_then(|at| arguments.get(at)).copied().unwrap_or_default());
            rest = after;
        }
        text + rest
    }

    /// A list of two or more parts of a line: `a; b`.
    pub fn parts(self, parts: &[String]) -> String {
        parts.join(if self == Language::ZhCn { "；" } else { "; " })
    }

    /// A label and what it is of: `a: b`.
    pub fn labelled(self, label: &str, text: &str) -> String {
        format!("{label}{}{text}", if self == Language::ZhCn { "：" } else { ": " })
    }

    /// The same for a number: the first sentence is for one, the second, with `{1}`, for every other number.
    pub fn counted(self, n: u64, one: &str, many: &str) -> String {
        if n == 1 { self.sentence(one, &[]) } else { self.sentence(many, &[&n.to_string()]) }
    }

    /// An error and what caused it.
    pub fn chain(self, error: &dyn Error) -> String {
        let english = olog_daemon::failure::chain(error);
        if self == Language::En {
            return english;
        }
        let causes = std::iter::successors(Some(error), |error| (*error).source()).map(ToString::to_string);
        in_chinese(&english).unwrap_or_else(|| causes.map(|text| self.phrase(&text)).collect::<Vec<_>>().join("："))
    }

    /// The mistakes of a configuration, a line each, and how many they are.
    pub fn mistakes(self, invalid: &Invalid) -> String {
        let n = invalid.0.len();
        let count = format!("{n} mistake{} in the configuration", if n == 1 { "" } else { "s" });
        if self == Language::En {
            return format!("{invalid}\n{count}");
        }
        let mut text = String::new();
        for finding in &invalid.0 {
            let place = finding.place.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default();
            // `key: what is wrong with it`
            let key = format!("{}: ", finding.key);
            let (key, problem) = match finding.problem.strip_prefix(&key) {
                Some(problem) if !finding.key.is_empty() => (key.as_str(), problem),
                _ => ("", finding.problem.as_str()),
            };
            let problem = match &finding.nearest {
                Some(nearest) => format!("{problem}, nearest `{nearest}`"),
                None => problem.to_owned(),
            };
            // Writing into a text cannot fail.
            let written = writeln!(text, "{}{place}: {key}{}", finding.file.display(), self.phrase(&problem));
            debug_assert!(written.is_ok());
        }
        text + &self.phrase(&count)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_entry_is_there_once_and_both_sides_have_the_same_arguments() {
        let mut seen = HashSet::new();
        let sentences = entries(SENTENCES).map(|(english, chinese)| (true, english, chinese));
        let phrases = CATALOGUES.into_iter().flat_map(entries).map(|(english, chinese)| (false, english, chinese));
        for (is_sentence, english, chinese) in sentences.chain(phrases) {
            assert!(seen.insert((is_sentence, english)), "twice: {english}");
            let numbers = |text: &'static str| {
                let mut found: Vec<char> = pieces(text)
                    .iter()
                    .filter_map(|piece| if let Piece::Argument(n) = piece { Some(*n) } else { None })
                    .collect();
                found.sort_unstable();
                found
            };
            assert_eq!(numbers(english), numbers(chinese), "{english}");
            assert!(!chinese.is_ascii(), "no Chinese: {english}");
        }
        for catalogue in CATALOGUES.into_iter().chain([SENTENCES]) {
            let lines = catalogue.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            for (i, line) in lines.enumerate() {
                assert_eq!(line.starts_with("    "), i % 2 == 1, "an English line, then its Chinese, indented: {line}");
            }
        }
    }

    #[test]
    fn a_text_is_found_by_its_form_and_its_arguments_are_looked_up_too() {
        assert_eq!(in_chinese("As JSON").unwrap(), "以 JSON 输出");
        assert_eq!(in_chinese("expected a path, found 17").unwrap(), "应为：路径；实为：17");
        assert_eq!(
            in_chinese("expected \"zh-CN\" or \"en\", found \"de\"").unwrap(),
            "应为：\"zh-CN\" 或 \"en\"；实为：\"de\""
        );
        assert_eq!(in_chinese("no such words are anywhere"), None);
        assert_eq!(in_chinese("words that lead to nothing, or nowhere"), None);
        assert_eq!(in_chinese(&"expected a, found ".repeat(10_000)), None);
    }

    #[test]
    fn what_a_user_wrote_is_not_translated_within_a_sentence() {
        let (english, chinese) = (Language::En, Language::ZhCn);
        assert_eq!(english.sentence("{1} and {2}", &["1 file", "{1}"]), "1 file and {1}");
        assert_eq!(chinese.sentence("{1} and {2}", &["1 file", "{1}"]), "1 file、{1}");
        assert_eq!(chinese.sentence("no such words {1}", &["are {1}"]), "no such words are {1}");
        assert_eq!(
            english.counted(1, "1 file", "{1} files") + &english.counted(2, "1 file", "{1} files"),
            "1 file2 files"
        );
        assert_eq!(chinese.counted(0, "1 file", "{1} files"), "0 个文件");
    }

    #[test]
    fn braces_that_are_no_argument_stay() {
        assert!(next_argument("{ \"a\": {} } {x} {").is_none());
        assert_eq!(next_argument("a {} {2} b"), Some(("a {} ", '2', " b")));
    }
}

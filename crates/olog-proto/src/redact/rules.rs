//! The well-known secrets as rules: a literal text that each has, a pattern, and how a match is judged.
//!
//! A pattern is built when its literal text is met for the first time: a small program (`olog-agent exec`) meets few of them or none,
//! and all patterns together cost more memory than the rest of it. One pass finds the literal texts of all rules.
//!
//! A form is searched in the whole text, a place only around its literal text. So a place's pattern, whose beginning is an everyday
//! word, costs a text's length and not its square.

use std::{ops::Range, sync::OnceLock};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use regex::{Regex, RegexBuilder};

use super::judge::{self, Judge};

/// What every secret of a rule has.
#[derive(Debug, Clone)]
pub(super) enum Trigger {
    /// One of these texts.
    Words(Vec<String>),
    /// This look.
    Shape(fn(&str) -> bool),
}

/// One kind of secret.
#[derive(Debug)]
pub(super) struct Rule {
    trigger: Trigger,
    pattern: String,
    pub(super) judge: Judge,
    /// Group 1 stays and group 2 is the secret; else all of the match is.
    is_place: bool,
    regex: OnceLock<Option<Regex>>,
}

const WORD_BEGIN: &str = r"(?-u:\b)";
/// Bytes before a trigger, and in all, that are searched at once for a place.
const BEFORE: usize = 256;
const SEGMENT: usize = 1_024;

/// All rules, and the literal texts by which they are found.
#[derive(Debug)]
pub(super) struct Rules {
    rules: Vec<Rule>,
    /// Of forms: in exactly this case.
    of_forms: Words,
    /// Of places: in any case.
    of_places: Words,
}

/// Literal texts, each with the rules that it belongs to.
#[derive(Debug)]
struct Words {
    search: AhoCorasick,
    rules: Vec<Vec<usize>>,
}

/// A part of a text that is searched, within a line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment {
    range: Range<usize>,
    /// It ends before its line does.
    is_cut: bool,
}

impl Rule {
    /// All of a match is the secret.
    pub(super) fn of_form(trigger: Trigger, pattern: &str, judge: Judge) -> Rule {
        // In the name of a file or a variable it may stand behind `_`.
        let pattern = match pattern.strip_prefix(WORD_BEGIN) {
            Some(rest) => format!("(?:{WORD_BEGIN}|_){rest}"),
            None => pattern.to_owned(),
        };
        Rule { trigger, pattern, judge, is_place: false, regex: OnceLock::new() }
    }

    /// The secret is what stands behind something else.
    pub(super) fn of_place(words: &[&str], judge: Judge, before: &str, value: &str) -> Rule {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let pattern = format!("({before})({value})");
        Rule { trigger: Trigger::Words(words), pattern, judge, is_place: true, regex: OnceLock::new() }
    }

    fn regex(&self) -> Option<&Regex> {
        // A small DFA, since agents run on small machines.
        let build = || RegexBuilder::new(&self.pattern).dfa_size_limit(1 << 19).build().ok();
        self.regex.get_or_init(build).as_ref()
    }

    /// Adds a form's secrets.
    fn find_forms(&self, text: &str, found: &mut Vec<Range<usize>>) {
        let Some(regex) = self.regex() else { return };
        found.extend(regex.find_iter(text).filter(|form| self.judge.is_secret_form(form.as_str())).map(|f| f.range()));
    }

    /// Adds a place's secrets.
    fn find_places(&self, text: &str, segments: &[Segment], found: &mut Vec<Range<usize>>) {
        let Some(regex) = self.regex() else { return };
        for Segment { range, is_cut } in segments {
            let first = found.len();
            judge::find(regex, self.judge, text.get(range.clone()).unwrap_or_default(), found);
            for secret in found.iter_mut().skip(first) {
                (secret.start, secret.end) = (range.start + secret.start, range.start + secret.end);
                // A value that the segment cuts goes on to its end.
                if *is_cut && secret.end == range.end {
                    let more = text.get(range.end..).unwrap_or_default();
                    let rest = more.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(more.len());
                    secret.end += rest;
                }
            }
        }
    }
}

impl Rules {
    /// `None` only if a literal text could not be searched for, which a test excludes.
    pub(super) fn new(rules: Vec<Rule>) -> Option<Rules> {
        let words = |is_place: bool| {
            let mut words: Vec<(&str, Vec<usize>)> = Vec::new();
            for (n, rule) in rules.iter().enumerate().filter(|(_, rule)| rule.is_place == is_place) {
                let Trigger::Words(of_rule) = &rule.trigger else { continue };
                for word in of_rule {
                    match words.iter_mut().find(|(known, _)| known == word) {
                        Some((_, rules)) => rules.push(n),
                        None => words.push((word, vec![n])),
                    }
                }
            }
            let mut search = AhoCorasickBuilder::new();
            // The form that takes the least memory.
            search.kind(Some(AhoCorasickKind::ContiguousNFA)).ascii_case_insensitive(is_place).prefilter(false);
            let search = search.build(words.iter().map(|(word, _)| word)).ok()?;
            Some(Words { search, rules: words.into_iter().map(|(_, rules)| rules).collect() })
        };
        Some(Rules { of_forms: words(false)?, of_places: words(true)?, rules })
    }

    /// Adds all secrets that are known by their own form.
    pub(super) fn find_forms(&self, text: &str, found: &mut Vec<Range<usize>>) {
        let mut is_met = vec![false; self.rules.len()];
        for met in self.of_forms.search.find_overlapping_iter(text) {
            for &rule in self.of_forms.rules.get(met.pattern().as_usize()).into_iter().flatten() {
                is_met.get_mut(rule).into_iter().for_each(|is_met| *is_met = true);
            }
        }
        for (rule, is_met) in self.rules.iter().zip(is_met) {
            if is_met || matches!(rule.trigger, Trigger::Shape(has_shape) if has_shape(text)) {
                rule.find_forms(text, found);
            }
        }
    }

    /// Adds all secrets that are known by what stands before them.
    pub(super) fn find_places(&self, text: &str, found: &mut Vec<Range<usize>>) {
        for (rule, segments) in self.rules.iter().zip(self.segments(text)).filter(|(_, parts)| !parts.is_empty()) {
            rule.find_places(text, &segments, found);
        }
    }

    /// For each rule the parts of a text that are searched.
    fn segments(&self, text: &str) -> Vec<Vec<Segment>> {
        let mut segments: Vec<Vec<Segment>> = vec![Vec::new(); self.rules.len()];
        for met in self.of_places.search.find_overlapping_iter(text) {
            for &rule in self.of_places.rules.get(met.pattern().as_usize()).into_iter().flatten() {
                segments.get_mut(rule).into_iter().for_each(|segments| widen(segments, text, met.range()));
            }
        }
        segments
    }
}

/// Adds what lies around a trigger, unless it is searched already.
fn widen(segments: &mut Vec<Segment>, text: &str, trigger: Range<usize>) {
    let searched = segments.last().map_or(0, |last| if last.is_cut { last.range.end - BEFORE } else { last.range.end });
    if trigger.end <= searched {
        return;
    }
    let at = trigger.start;
    let start = text.ceil_char_boundary(at.saturating_sub(BEFORE));
    let start = text.get(start..at).and_then(|before| before.rfind('\n')).map_or(start, |end| start + end + 1);
    let end = text.floor_char_boundary(at + SEGMENT);
    let line_end = text.get(at..end).and_then(|rest| rest.find('\n')).map(|length| at + length);
    let is_cut = line_end.is_none() && end < text.len();
    segments.push(Segment { range: start..line_end.unwrap_or(end), is_cut });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::{all, known};

    #[test]
    fn every_rule_has_a_pattern_that_can_be_built_and_a_text_by_which_it_is_found() {
        let rules = known().unwrap();
        for rule in &rules.rules {
            assert!(rule.regex().is_some(), "{}", rule.pattern);
            assert!(!matches!(&rule.trigger, Trigger::Words(words) if words.is_empty()), "{}", rule.pattern);
        }
    }

    #[test]
    fn a_text_without_a_secrets_literal_builds_no_pattern() {
        let rules = Rules::new(all()).unwrap();
        let mut found = Vec::new();
        for line in
            ["/usr/local/bin/backup.sh --all", "rsync -a /srv nas:/srv", "borg create --stats /mnt/b::x ~", "磁盘满"]
        {
            rules.find_forms(line, &mut found);
            rules.find_places(line, &mut found);
        }
        let built: Vec<_> =
            rules.rules.iter().filter(|rule| rule.regex.get().is_some()).map(|r| r.pattern.get(..40)).collect();
        assert!(built.is_empty() && found.is_empty(), "{built:?}");
        rules.find_places("curl -u bob:hunter2x https://x", &mut found);
        let n_built = rules.rules.iter().filter(|rule| rule.regex.get().is_some()).count();
        assert!((1..=3).contains(&n_built) && found.len() == 1, "{n_built} {found:?}");
    }

    #[test]
    fn what_is_searched_grows_with_the_length_of_a_line_and_not_with_its_square() {
        let rules = known().unwrap();
        // The longest that one rule searches.
        let searched = |text: &str| {
            let sum = |segments: Vec<Segment>| segments.iter().map(|segment| segment.range.len()).sum::<usize>();
            rules.segments(text).into_iter().map(sum).max().unwrap()
        };
        for piece in ["key", "password=", "https://a:b", "token=1 ", "words and words ", "curl -u ", "密码：", "key\n"]
        {
            let text = |n: usize| piece.repeat(n / piece.len());
            let (once, twice) = (searched(&text(64 * 1024)), searched(&text(128 * 1024)));
            assert!(twice < 3 * once.max(1) && twice <= 2 * 128 * 1024, "{piece:?}: {once} then {twice}");
        }
    }
}

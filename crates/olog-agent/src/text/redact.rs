//! Secrets that programs write into their logs: out, before anything keeps them.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex, RegexBuilder};

/// What stands in a secret's place.
const MASK: &str = "***";

/// Secrets that are known by their own form; taken out whole.
const FORMS: &[&str] = &[
    // AWS access keys: docs.aws.amazon.com/IAM, "unique identifiers".
    "(?-u:\\b)(?:AKIA|ASIA)[A-Z0-9]{16}(?-u:\\b)",
    // GitHub and GitLab token prefixes, as both document them.
    "(?-u:\\b)(?:gh[pousr]_|github_pat_|glpat-|gldt-|glrt-)[A-Za-z0-9_-]{16,255}",
    "(?-u:\\b)xox[abeoprs]-[A-Za-z0-9-]{10,255}",
    "hooks\\.slack\\.com/(?:services|workflows)/[A-Za-z0-9/_-]+",
    // WxPusher: application, user and simple-push tokens.
    "(?-u:\\b)(?:AT|UID|SPT)_[A-Za-z0-9]{8,255}",
    "(?-u:\\b)eyJ[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]{8,}\\.[A-Za-z0-9_-]*",
    "(?-u:\\b)(?:sk-|sk_live_|rk_live_|npm_|pypi-|AIza)[A-Za-z0-9_-]{20,255}",
    // Telegram's bot tokens.
    "(?-u:\\b)[0-9]{8,10}:[A-Za-z0-9_-]{35}(?-u:\\b)",
    "(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\\z)",
];

/// Secrets that are known by what stands before them: group 1 stays, group 2 goes, group 3 stays.
const PLACES: &[&str] = &[
    "((?-u:\\b)[A-Za-z][A-Za-z0-9+.-]*://[^/\\n\\t :@]*:)([^/\\n\\t @]+)(@)",
    "((?i:authorization)[\"']?[ \\t]*[:=][ \\t]*[\"']?(?:(?i:bearer|basic|token|digest|apikey)[ \\t]+)?)([!-~]+)",
    "((?-u:\\b)(?i:bearer)[ \\t]+)([A-Za-z0-9._~+/=-]{8,})",
    "((?i:password|passwd|passphrase|secret|secret_key|api[_-]?key|access[_-]?key|private[_-]?key)[\"']?[ \\t]*[:=][ \\t]*)(\"[^\"\\n]+\"|'[^'\\n]+'|[^\\n\\t \"',;&)]+)",
    "((?i:token|pwd|pass)[\"']?=|(?i:token)[\"'][ \\t]*:[ \\t]*)(\"[^\"\\n]+\"|'[^'\\n]+'|[^\\n\\t \"',;&)]+)",
    "(--(?i:password|passwd|token|secret|api-key)[ \\t]+)([^\\n\\t ]+)",
];

/// The end of a key block whose beginning lies in a part that was not read, or was told before.
const KEY_END: &str = "-----END [A-Z0-9 ]*PRIVATE KEY-----";

struct Known {
    forms: Regex,
    places: Regex,
    key_end: Regex,
}

static KNOWN: LazyLock<Option<Known>> = LazyLock::new(|| {
    // One regex for each kind; a small DFA, since agents run on small machines.
    let build = |pattern: &str| RegexBuilder::new(pattern).dfa_size_limit(1 << 18).build().ok();
    let places: Vec<String> = PLACES.iter().map(|place| format!("(?:{place})")).collect();
    Some(Known { forms: build(&FORMS.join("|"))?, places: build(&places.join("|"))?, key_end: build(KEY_END)? })
});

/// Takes secrets out of text: the well-known ones, and what the operator named.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    patterns: Vec<Regex>,
}

impl Redactor {
    /// With the operator's own patterns.
    pub fn new(patterns: Vec<Regex>) -> Redactor {
        Redactor { patterns }
    }

    /// The text without secrets. `cut_start`: it begins in the middle of a file, perhaps of a secret.
    pub fn redact(&self, text: &str, cut_start: bool) -> String {
        let mut text = Cow::Borrowed(text);
        if let Some(known) = &*KNOWN {
            replace(&mut text, &known.forms, |_| MASK.to_owned());
            replace(&mut text, &known.places, place);
            let end = known.key_end.find(&text).filter(|_| cut_start || !text.contains("-----BEGIN"));
            if let Some(rest) = end.and_then(|end| text.get(end.end()..)) {
                text = Cow::Owned(format!("{MASK}{rest}"));
            }
        }
        for pattern in &self.patterns {
            replace(&mut text, pattern, |_| MASK.to_owned());
        }
        text.into_owned()
    }
}

fn place(found: &Captures<'_>) -> String {
    let whole = found.get(0).map_or("", |m| m.as_str());
    let mut groups = found.iter().skip(1).flatten();
    let (Some(before), Some(value)) = (groups.next(), groups.next()) else { return MASK.to_owned() };
    // "using password: YES" tells something, and no secret.
    let bare = value.as_str().trim_matches(['"', '\'', '(', ')', '[', ']', '*', '.']);
    let harmless = ["", "yes", "no", "true", "false", "null", "none", "nil"];
    if harmless.iter().any(|word| bare.eq_ignore_ascii_case(word)) {
        whole.to_owned()
    } else {
        format!("{}{MASK}{}", before.as_str(), groups.next().map_or("", |after| after.as_str()))
    }
}

fn replace(text: &mut Cow<'_, str>, pattern: &Regex, with: impl Fn(&Captures<'_>) -> String) {
    if let Cow::Owned(replaced) = pattern.replace_all(text, |found: &Captures<'_>| with(found)) {
        *text = Cow::Owned(replaced);
    }
}

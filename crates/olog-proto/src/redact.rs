//! Takes out secrets that programs write into their logs, before anything keeps the text.
//!
//! Four kinds are known: *blocks* (private keys, from their first line to their last), *forms* (tokens that are known by their own
//! look), *places* (values that are known by what stands before them: `password=`, `Authorization:`, `mysql -p`), and the patterns
//! of the operator. All of them are looked for in the same text; what they cover is replaced by `***`, once for each run.
//!
//! A secret may have begun in text that was told before: a key that is appended line by line, a value split between two writes.
//! [`Before`] says what stands in front of the text, and the search covers both.
//!
//! An error line without a secret stays whole: a value that is a common word ("password: incorrect") is no secret. Both sides have a
//! corpus beside this file. What is searched at once is bounded, or ends where it was found, so that no text costs the square of
//! its length.

mod places;

use std::{borrow::Cow, ops::Range, sync::LazyLock};

use regex::{Regex, RegexBuilder};

/// What stands in a secret's place.
const MASK: &str = "***";

/// The longest unfinished line that is looked at together with what follows it, in bytes.
const LINE_MAX: usize = 1_024;

/// Private keys in several lines: how they begin, and how they end.
const BLOCK_BEGIN: &str = "-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[0-9]";
const BLOCK_END: &str = "-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|Private-MAC:[ \\t]*[0-9a-f]*";

/// Secrets that are known by their own form, as the services document them.
const FORMS: &[&str] = &[
    // AWS, Alibaba Cloud, Tencent Cloud: access key ids.
    "(?-u:\\b)(?:AKIA|ASIA)[A-Z0-9]{16}(?-u:\\b)",
    "(?-u:\\b)(?:LTAI|AKID)[A-Za-z0-9]{12,48}",
    // GitHub, GitLab, Docker Hub, npm, PyPI, RubyGems.
    "(?-u:\\b)(?:gh[pousr]_|github_pat_|gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas|ffct|sa)[-_]|dckr_(?:pat|oat)_)[A-Za-z0-9_.-]{16,}",
    "(?-u:\\b)(?:pypi-[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{36}|rubygems_[0-9a-f]{48}|dapi[0-9a-f]{32})",
    // Slack, Discord, Telegram.
    "(?-u:\\b)(?:xox[a-z]|xapp)-[A-Za-z0-9-]{10,}",
    "hooks\\.slack\\.com/(?:services|workflows|triggers)/[A-Za-z0-9/_-]+",
    "(?-u:\\b)[MNO][A-Za-z0-9_-]{23,27}\\.[A-Za-z0-9_-]{6}\\.[A-Za-z0-9_-]{27,45}",
    "(?-u:\\b)(?:bot)?[0-9]{6,12}:[A-Za-z0-9_-]{30,50}",
    // WxPusher, ServerChan, ntfy, and an enrolment link of Olog.
    "(?-u:\\b)(?:AT|UID|SPT)_[A-Za-z0-9]{8,}",
    "(?-u:\\b)(?:SC[TU][0-9]{1,8}[TU]|sctp[0-9]{1,8}t)[A-Za-z0-9]{10,64}",
    "(?-u:\\b)tk_[a-z0-9]{29}(?-u:\\b)",
    // JSON web tokens: once the second part has begun, the rest belongs to it.
    "(?-u:\\b)eyJ[A-Za-z0-9_-]{8,1024}\\.[A-Za-z0-9_-]{8}[A-Za-z0-9_.-]*",
    // Google, OpenAI and others of the same form, Stripe, SendGrid, Twilio, Hugging Face, DigitalOcean, Vault, Shopify, Atlassian.
    "(?-u:\\b)(?:sk-|sk_live_|sk_test_|rk_live_|rk_test_|AIza)[A-Za-z0-9_-]{20,}",
    "(?-u:\\b)(?:GOCSPX-|ya29\\.|hv[sbr]\\.|ATATT3)[A-Za-z0-9_=-]{20,}",
    "(?-u:\\b)whsec_[A-Za-z0-9+/=]{16,}",
    "(?-u:\\b)SG\\.[A-Za-z0-9_-]{16,32}\\.[A-Za-z0-9_-]{16,64}",
    "(?-u:\\b)SK[0-9a-f]{32}(?-u:\\b)",
    "(?-u:\\b)hf_[A-Za-z0-9]{20,64}",
    "(?-u:\\b)do[opr]_v1_[0-9a-f]{32,64}",
    "(?-u:\\b)shp(?:at|ss|ca|pa)_[0-9a-fA-F]{32}",
    "AGE-SECRET-KEY-1[A-Z0-9]{20,80}",
    // Hashed passwords, as in /etc/shadow, htpasswd and LDAP.
    "\\$(?:1|2[abxy]|5|6|7|y|gy|apr1|argon2(?:id|i|d))\\$[A-Za-z0-9./$=,+_-]{8,}",
    "\\{S?SHA(?:256|512)?\\}[A-Za-z0-9+/=]{20,128}",
];

struct SecretPatterns {
    forms: Regex,
    triggers: Regex,
    places: Regex,
    block_begin: Regex,
    block_end: Regex,
}

static KNOWN: LazyLock<Option<SecretPatterns>> = LazyLock::new(|| {
    // One regex for each kind; a small DFA, since agents run on small machines.
    let build = |pattern: &str| RegexBuilder::new(pattern).dfa_size_limit(1 << 19).build().ok();
    Some(SecretPatterns {
        forms: build(&FORMS.join("|"))?,
        triggers: build(&places::triggers())?,
        places: build(&places::pattern())?,
        block_begin: build(BLOCK_BEGIN)?,
        block_end: build(BLOCK_END)?,
    })
});

/// What stands in front of a text, and was told before it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Before {
    /// Nothing, or finished lines.
    #[default]
    Nothing,
    /// Text that was not read.
    Unknown,
    /// The beginning of the text's first line.
    Line(String),
    /// A private key that has not ended.
    Block,
}

impl Before {
    /// What the text before says of the text behind it.
    pub fn of(before: &str) -> Before {
        let Some(known) = &*KNOWN else { return Before::Nothing };
        let begun = known.block_begin.find_iter(before).last();
        if begun.and_then(|begun| before.get(begun.end()..)).is_some_and(|rest| !known.block_end.is_match(rest)) {
            return Before::Block;
        }
        let line = before.rsplit('\n').next().unwrap_or_default();
        let line = line.get(line.ceil_char_boundary(line.len().saturating_sub(LINE_MAX))..).unwrap_or_default();
        if line.is_empty() { Before::Nothing } else { Before::Line(line.to_owned()) }
    }
}

/// A kind of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Secret {
    /// A private key.
    Block,
    /// A token that is known by its own look.
    Form,
    /// A value that is known by what stands before it.
    Place,
    /// What the operator's pattern with this number (from 1) names.
    Pattern(usize),
}

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

    /// A single line without secrets. Where the line plainly holds no well-known one, no pattern is built for these: that costs a short
    /// program more memory and time than all the rest.
    pub fn redact_line(&self, line: &str) -> String {
        if !is_plain(line) {
            return self.redact(line, &Before::Nothing);
        }
        let found = self.patterns.iter().flat_map(|pattern| pattern.find_iter(line).map(|secret| secret.range()));
        masked(line, 0, found.collect())
    }

    /// The text without secrets.
    pub fn redact(&self, text: &str, before: &Before) -> String {
        self.redact_named(text, before).0
    }

    /// The text without secrets, and which kinds there were.
    pub fn redact_named(&self, text: &str, before: &Before) -> (String, Vec<Secret>) {
        let (whole, start) = match before {
            Before::Line(line) => (Cow::Owned(format!("{line}{text}")), line.len()),
            _ => (Cow::Borrowed(text), 0),
        };
        let (mut found, mut kinds) = (Vec::new(), Vec::new());
        let mut name = |found: &[Range<usize>], from: usize, kind: Secret| {
            let new = found.get(from..).unwrap_or_default();
            if new.iter().any(|secret| secret.end > start && secret.end > secret.start) {
                kinds.push(kind);
            }
            found.len()
        };
        let mut n = 0;
        if let Some(known) = &*KNOWN {
            blocks(known, &whole, *before == Before::Block, &mut found);
            n = name(&found, n, Secret::Block);
            found.extend(known.forms.find_iter(&whole).filter(|form| is_form(form.as_str())).map(|form| form.range()));
            n = name(&found, n, Secret::Form);
            places::find(&known.triggers, &known.places, &whole, &mut found);
            n = name(&found, n, Secret::Place);
        }
        for (number, pattern) in (1..).zip(&self.patterns) {
            found.extend(pattern.find_iter(&whole).map(|secret| secret.range()));
            n = name(&found, n, Secret::Pattern(number));
        }
        (masked(&whole, start, found), kinds)
    }
}

/// What every place and block, and the forms with other characters than letters, digits, `-` and `_`, have one of. In lower case.
const SUSPICIOUS: &[&str] = &[
    "pass",
    "pwd",
    "secret",
    "key",
    "psk",
    "token",
    "auth",
    "cookie",
    "bearer",
    "sign",
    "code",
    "credential",
    "identified",
    "login",
    "sudo",
    "://",
    "-----",
    "private-mac",
    "mysql",
    "mariadb",
    "7z",
    "curl",
    "redis-cli",
    "ldap",
    "smbclient",
    "rpcclient",
    "net",
    "discord",
    "feishu",
    "larksuite",
    "day.app",
    "pushplus",
    "/join#",
    "slack",
    "{s",
    "eyj",
    "$",
];

/// Can no pattern find anything in this line? A cheap look that may say no too often, and never yes too often.
fn is_plain(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    let is_token_byte = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    // The shortest form has eleven such characters in a row; one of small letters only has twenty.
    let is_word =
        |run: &[u8]| run.len() < 11 || (run.len() < 20 && run.iter().all(|b| b.is_ascii_lowercase() || *b == b'-'));
    line.is_ascii()
        && !SUSPICIOUS.iter().any(|word| lower.contains(word))
        && line.as_bytes().split(|&b| !is_token_byte(b)).all(is_word)
}

/// Private keys; `inside`: the text begins in one.
fn blocks(known: &SecretPatterns, text: &str, inside: bool, found: &mut Vec<Range<usize>>) {
    let first_begin = known.block_begin.find(text).map_or(text.len(), |begin| begin.start());
    // An end without a begin: the begin lies in what was not read.
    let is_end_only = known.block_end.find(text).is_some_and(|end| end.start() < first_begin);
    let mut begin =
        if inside || is_end_only { Some(0) } else { known.block_begin.find(text).map(|begin| begin.start()) };
    while let Some(start) = begin {
        let end = known.block_end.find_at(text, start).map_or(text.len(), |end| end.end());
        found.push(start..end);
        begin = known.block_begin.find_at(text, end).map(|next| next.start());
    }
}

/// `AT_RECURSIVE` is a constant of C: a token of WxPusher is not all capital letters.
fn is_form(text: &str) -> bool {
    let rest = ["AT_", "UID_", "SPT_"].iter().find_map(|prefix| text.strip_prefix(prefix));
    rest.is_none_or(|rest| rest.bytes().any(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// The text from `start` on, with each run of what was found replaced.
fn masked(text: &str, start: usize, mut found: Vec<Range<usize>>) -> String {
    found.retain(|secret| secret.end > start && secret.end > secret.start);
    found.sort_unstable_by_key(|secret| secret.start);
    let mut out = String::with_capacity(text.len());
    let (mut at, mut last_end) = (start, None);
    for secret in found {
        if last_end != Some(secret.start) && (secret.start > at || last_end.is_none()) {
            out.push_str(text.get(at..secret.start.max(at)).unwrap_or_default());
            out.push_str(MASK);
        }
        at = at.max(secret.end);
        last_end = Some(at);
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests;

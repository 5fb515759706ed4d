//! Tells a secret from what only stands in its place: a common word ("password: incorrect"), a variable, a path, a port.

use std::ops::Range;

use regex::{Captures, Regex};

/// How a value is judged before it is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judge {
    /// It is a secret, whatever it is.
    Always,
    /// It has a digit: no name of a program or a file.
    Digit,
    /// It has a digit and a capital letter.
    Mixed,
    /// `AT_RECURSIVE` is a constant of C: not all of it is capital letters.
    NotAConstant,
    /// Not a common word, a variable or punctuation.
    NotAWord,
    /// Its first word is none of those: it goes on to the end of the line.
    Phrase,
    /// It has the look of a random text too: the name before it is an everyday word (`token: `, `PASS: `).
    Random,
    /// It has at least 16 characters.
    Long,
    /// The password of a URL: not the port and path of one without.
    OfUrl,
}

impl Judge {
    /// Is a match of a form's pattern a secret?
    pub(super) fn is_secret_form(self, form: &str) -> bool {
        let has = |is: fn(&u8) -> bool| form.as_bytes().iter().any(is);
        match self {
            Judge::Digit => has(u8::is_ascii_digit),
            Judge::Mixed => has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase),
            Judge::NotAConstant => {
                let rest = form.split_once('_').map_or(form, |(_, rest)| rest);
                rest.bytes().any(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            }
            _ => true,
        }
    }
}

/// Adds what a place's pattern finds in a part of a text.
pub(super) fn find(pattern: &Regex, judge: Judge, text: &str, found: &mut Vec<Range<usize>>) {
    for captures in pattern.captures_iter(text) {
        let (Some(before), Some(value)) = (captures.get(1), captures.get(2)) else { continue };
        let before = before.as_str();
        if judge == Judge::OfUrl {
            of_url(&captures, found);
        } else if is_secret(judge, before, value.as_str(), text.get(..value.start()).unwrap_or_default()) {
            // The mark behind the user of a URL stays.
            found.push(value.start()..value.end() - usize::from(before.ends_with("://")));
        }
    }
}

/// `scheme://user:password@`: the password, and a user that is a token.
fn of_url(captures: &Captures<'_>, found: &mut Vec<Range<usize>>) {
    let (Some(before), Some(value)) = (captures.get(1), captures.get(2)) else { return };
    let password = value.as_str().trim_end_matches('@');
    let port = password.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_port = port.len() < password.len() && (port.is_empty() || port.starts_with(['/', '?', '#', ',']));
    if !is_port || port.is_empty() {
        found.push(value.start()..value.end() - 1);
    }
    let user = before.as_str().trim_end_matches(':').rsplit('/').next().unwrap_or_default();
    if user.len() >= 20 && looks_random(user) {
        found.push(before.end() - 1 - user.len()..before.end() - 1);
    }
}

fn is_secret(judge: Judge, name: &str, value: &str, before_value: &str) -> bool {
    let bare = value.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '/' | '$' | '~' | '%'));
    let bare = bare.trim_end_matches('\\');
    if bare.is_empty() {
        return false;
    }
    match judge {
        Judge::Always => true,
        Judge::Long => bare.len() >= 16,
        Judge::OfUrl | Judge::Digit | Judge::Mixed | Judge::NotAConstant => false,
        Judge::NotAWord => !is_word(name, bare),
        Judge::Phrase => !is_word(name, bare.split_whitespace().next().unwrap_or_default()),
        Judge::Random => {
            let is_syntax =
                before_value.to_ascii_lowercase().trim_end_matches(['=', ':', ' ', '\t']).ends_with("unexpected token");
            let is_path =
                bare.contains(['/', '.']) && !bare.contains(['+', '=']) && bare.len() < 40 && !name.ends_with("://");
            // A test's verdict: `PASS: test_parse2`.
            let is_verdict = name.trim_start_matches('_').get(..4).is_some_and(|n| n.eq_ignore_ascii_case("pass"))
                && bare.contains(['_', '-']);
            !is_syntax && !is_path && !is_verdict && !is_word(name, bare) && bare.len() >= 6 && looks_random(bare)
        }
    }
}

/// Letters and digits, or so long that no word is.
fn looks_random(text: &str) -> bool {
    let has = |is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
    has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic) || text.len() >= 24
}

/// Words that stand where a secret could: "password: incorrect", "API_KEY: unbound variable", "using password: YES".
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "a", "access", "account", "again", "an", "and", "are", "argument", "at", "auth", "authentication", "authorization",
    "bad", "blank", "by", "can", "can't", "cannot", "change", "changed", "check", "command", "configuration",
    "connection", "contains", "could", "couldn't", "database", "default", "denied", "did", "didn't", "disabled", "do",
    "does", "doesn't", "don't", "eacces", "empty", "enabled", "enoent", "enter", "env", "environment", "eof", "error",
    "errors", "exceeded", "expected", "expired", "expires", "expiring", "fail", "failed", "fails", "failure", "false",
    "field", "file", "filtered", "for", "forbidden", "format", "from", "given", "got", "had", "has", "have", "hidden",
    "host", "illegal", "in", "incorrect", "input", "insufficient", "internal", "invalid", "is", "isn't", "key",
    "length", "line", "lines", "load", "loading", "locked", "login", "malformed", "masked", "maximum", "may", "minimum",
    "mismatch", "missing", "must", "needs", "network", "nil", "no", "none", "not", "null", "of", "off", "omitted", "on",
    "only", "open", "operation", "option", "or", "out", "parameter", "parse", "parsing", "password", "permission",
    "please", "policy", "prompt", "provided", "read", "readonly", "redacted", "refused", "rejected", "removed",
    "request", "require", "required", "requires", "reset", "retry", "revoked", "secret", "server", "set", "should",
    "specified", "string", "strong", "syntax", "takes", "the", "there", "this", "timed", "timeout", "to", "token",
    "too", "true", "try", "unable", "unauthorized", "unbound", "undefined", "unexpected", "unknown", "unrecognized",
    "unset", "unsupported", "update", "updated", "user", "username", "using", "validation", "value", "variable",
    "verification", "verify", "waiting", "was", "weak", "were", "with", "write", "wrong", "yes", "you", "your",
];

fn is_word(name: &str, bare: &str) -> bool {
    // `passwd: Use -help`: a program says something. `f(password=1)`: a flag or a count.
    let is_program = name.to_ascii_lowercase().ends_with("passwd: ") && !looks_random(bare);
    if is_program || bare.len() < 2 {
        return true;
    }
    let is_listed = WORDS.binary_search(&bare.to_ascii_lowercase().as_str()).is_ok();
    // A sentence in Chinese, a variable or a place where one is filled in.
    let is_text = bare.starts_with(|c: char| c.is_alphabetic() && !c.is_ascii());
    let is_variable = bare.starts_with("${")
        || bare.starts_with("$(")
        || bare.starts_with('%')
        || bare.starts_with('$')
            && bare.get(1..).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
    // `PWD=/srv`, as sudo logs the folder in which a command ran; a file that holds the secret.
    let is_pwd = name.to_ascii_lowercase().starts_with("pwd");
    let is_place = ["/run/", "/etc/", "/var/", "/home/", "/usr/", "/opt/", "/root", "/srv/", "/tmp/", "/proc/"]
        .iter()
        .any(|root| bare.starts_with(root));
    // `pass=12 fail=0`: a count.
    let is_count = name.trim_start_matches('_').len() <= 6
        && name.to_ascii_lowercase().contains("pass")
        && bare.bytes().all(|b| b.is_ascii_digit());
    is_listed || is_text || is_variable || is_place || is_pwd && bare.starts_with(['/', '~']) || is_count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_in_order_for_the_search() {
        assert!(WORDS.is_sorted());
    }
}

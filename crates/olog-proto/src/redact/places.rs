//! Secrets that are known by what stands before them.

use std::ops::Range;

use regex::{Captures, Regex};

/// How a value is judged before it is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judge {
    /// It is a secret, whatever it is.
    Always,
    /// Not a common word, a variable or punctuation.
    NotAWord,
    /// It has the look of a random text too: the name before it is an everyday word (`token: `, `PASS: `).
    Random,
    /// It has at least 16 characters.
    Long,
    /// The password of a URL: not the port and path of one without.
    OfUrl,
}

/// Names of a secret, in a configuration, an environment, JSON or a header.
const NAMES: &str = "pass(?:word|wd|phrase|code)|pwd|secret(?:[_-]?(?:access[_-]?)?key)?|api[_-]?key|access[_-]?key|account[_-]?key|auth[_-]?key|\
    private[_-]?key|encryption[_-]?key|signing[_-]?key|send[_-]?key|device[_-]?key|x-[a-z0-9-]+-key|wpa[_-]psk|(?-u:\\b)psk|[a-z0-9]+[_-]token|\
    (?:access|refresh|auth|session|id)token";
const CHINESE_NAMES: &str = "密码|口令|密钥|秘钥|令牌|验证码";
/// What stands between a name and its value: the name may be quoted, in escaped JSON too.
const SEPARATOR: &str = "\\\\*[\"']?[ \\t]*(?:=>|:=|[:=：＝])[ \\t]*";
/// A value in quotes, in escaped quotes, or to the next blank, quote, comma or bracket.
const VALUE: &str = "\\\\+\"[^\"\\\\\\n]*|\"[^\"\\n]*\"?|'[^'\\n]*'?|[^\\s\"',;)，。；）、]+";
/// A value on a command line.
const ARGUMENT: &str = "\"[^\"\\n]*\"?|'[^'\\n]*'?|[^\\s\"'|]+";

/// Group 1 stays, group 2 is the secret. The order decides where two begin at the same place.
fn places() -> Vec<(Judge, String)> {
    let place = |judge, before: &str, value: &str| (judge, format!("({before})({value})"));
    let tool = |names: &str| format!("(?-u:\\b)(?:{names})(?-u:\\b)[ -~&&[^|]]*?[ \\t]");
    vec![
        // postgres://bob:hun/ter2@db, and a token in the place of the user's name.
        place(Judge::OfUrl, "(?-u:\\b)[A-Za-z][A-Za-z0-9+.-]+://[!-~&&[^/:@\"'<>]]*:", "[!-~&&[^\"'<>]]+@"),
        place(Judge::Random, "(?-u:\\b)[A-Za-z][A-Za-z0-9+.-]+://", "[A-Za-z0-9_.~-]{20,}@"),
        // The services that Olog itself calls, and its own enrolment links.
        place(Judge::Always, "discord(?:app)?\\.com/api/(?:v[0-9]{1,2}/)?webhooks/", "[0-9]+/[A-Za-z0-9_-]+"),
        place(Judge::Always, "(?:feishu\\.cn|larksuite\\.com)/open-apis/bot/(?:v[0-9]/)?hook/", "[A-Za-z0-9_-]+"),
        place(Judge::Long, "day\\.app/", "[A-Za-z0-9]+"),
        place(Judge::Long, "pushplus\\.(?:plus|hxtrip\\.com)/send/", "[A-Za-z0-9]+"),
        place(Judge::Long, "/join#", "[A-Za-z0-9._~-]+"),
        // Parameters of a URL.
        place(Judge::Long, "[?&](?i:key|code|auth)=", "[^\\s&\"'<>#]+"),
        place(
            Judge::Always,
            "[?&](?i:token|access_token|auth_token|api_?key|sendkey|sign|sig|signature|secret|password|passwd|pwd|x-[a-z]+-(?:signature|credential|security-token)|q-signature|security-token|ossaccesskeyid|awsaccesskeyid)=",
            "[^\\s&\"'<>#]+",
        ),
        // Headers.
        place(
            Judge::NotAWord,
            "(?i:(?:proxy-)?authorization)[\"']?[ \\t]*[:=][ \\t]*[\"']?(?:(?i:bearer|basic|token|digest|apikey|negotiate)[ \\t]+)?",
            "[!-~]+",
        ),
        place(Judge::Random, "(?-u:\\b)(?i:bearer)[ \\t]+", "[A-Za-z0-9._~+/=-]{8,}"),
        place(Judge::Always, "(?i:(?:set-)?cookie)[\"']?[ \\t]*[:=][ \\t]*[\"']?[A-Za-z0-9_.%-]+=", "[^\\n\"']+"),
        place(Judge::Always, "(?i:signature)=", "[A-Za-z0-9%+/=_-]{20,}"),
        // Command lines.
        place(Judge::NotAWord, "--(?i:password|passwd|passphrase|token|secret|api-key|access-key)[ \\t=]+", ARGUMENT),
        place(
            Judge::Always,
            &format!(
                "{}-p",
                tool("mysql|mysqldump|mysqladmin|mysqlimport|mysqlcheck|mariadb|mariadb-dump|mariadb-admin|7z|7za")
            ),
            "[!-~&&[^:;,-]][!-~]*",
        ),
        place(Judge::Always, "(?-u:\\b)sshpass[ \\t]+-p[ \\t]*", ARGUMENT),
        place(
            Judge::Always,
            &format!("{}(?:-u|-U|--user|--proxy-user)[ \\t=]*[\"']?[!-~&&[^:\"'/]]+:", tool("curl")),
            "[^\\s\"']+",
        ),
        place(Judge::NotAWord, &format!("{}-a[ \\t]+", tool("redis-cli")), ARGUMENT),
        place(
            Judge::Always,
            &format!("{}-w[ \\t]+", tool("ldapsearch|ldapmodify|ldapadd|ldapdelete|ldapwhoami|ldappasswd")),
            ARGUMENT,
        ),
        place(Judge::Always, &format!("{}-U[ \\t]+[!-~&&[^%]]+%", tool("smbclient|rpcclient|net")), "[^\\s\"']+"),
        place(Judge::NotAWord, "[ \\t]-pass(?:in|out)?[ \\t]+(?:pass:)?", ARGUMENT),
        place(Judge::Always, "(?-u:\\b)machine[ \\t]+[!-~]+[ \\t]+login[ \\t]+[!-~]+[ \\t]+password[ \\t]+", "[!-~]+"),
        place(
            Judge::Always,
            "(?-u:\\b)echo[ \\t]+",
            "(?:\"[^\"\\n]+\"|'[^'\\n]+'|[!-~&&[^|]]+)[ \\t]*\\|[ \\t]*sudo[ \\t]+(?:-[A-Za-z]+[ \\t]+)*-S",
        ),
        place(
            Judge::Always,
            "(?-u:\\b)echo[ \\t]+[\"']?[A-Za-z0-9_.-]+:",
            "[!-~&&[^|\"']]+[\"']?[ \\t]*\\|[ \\t]*(?:sudo[ \\t]+)?chpasswd",
        ),
        // SQL and markup.
        place(
            Judge::Always,
            "(?i:identified[ \\t]+(?:with[ \\t]+[!-~]+[ \\t]+)?(?:by|as)(?:[ \\t]+password)?)[ \\t]*",
            "\"[^\"\\n]*\"?|'[^'\\n]*'?",
        ),
        place(Judge::NotAWord, "(?i:password(?:[ \\t]+for[ \\t]+[!-~]+)?)[ \\t=(]+", "\"[^\"\\n]*\"?|'[^'\\n]*'?"),
        place(
            Judge::NotAWord,
            "<(?i:(?:[a-z0-9]+:)?(?:password|passwd|pwd|secret|token|api-?key))(?:[ \\t][^<>\\n]*)?>",
            "[^<\\n]+",
        ),
        place(Judge::Always, "\\\\*\"(?:auth|identitytoken)\\\\*\"[ \\t]*:[ \\t]*\\\\*\"", "[A-Za-z0-9+/=._-]{8,}"),
        // By name.
        place(Judge::NotAWord, &format!("(?i:{NAMES}){SEPARATOR}"), VALUE),
        place(Judge::NotAWord, &format!("(?:{CHINESE_NAMES})[ \\t\"'”]*(?:[:=：＝]|是|为)[ \\t]*"), VALUE),
        place(Judge::NotAWord, "(?i:token|(?-u:\\b)pass|_pass)(?:[\"']?=|\\\\*[\"'][ \\t]*(?::|=>)[ \\t]*)", VALUE),
        place(Judge::Random, "(?i:token|(?-u:\\b)pass|_pass)[ \\t]*(?:=|:)[ \\t]+", VALUE),
    ]
}

/// One pattern of all places; the groups of place `n` are `2n + 1` and `2n + 2`.
pub(super) fn pattern() -> String {
    places().iter().map(|(_, place)| format!("(?:{place})")).collect::<Vec<_>>().join("|")
}

/// Words without which no place is there: only what stands around one of them is searched.
#[rustfmt::skip]
const TRIGGERS: &[&str] = &[
    "pass", "pwd", "secret", "key", "token", "auth", "cookie", "bearer", "sig", "psk", "://", "密码", "口令", "密钥", "秘钥", "令牌",
    "验证码", "mysql", "mariadb", "7z", "curl", "redis-cli", "ldap", "smbclient", "rpcclient", "net ", "sudo", "chpasswd", "identified",
    "machine", "/join#", "day.app", "/hook", "security-", "code=", "sign=",
];
/// Bytes before a trigger, and in all, that are searched at once: so a long line costs its length and not its square.
const BEFORE: usize = 256;
const SEGMENT: usize = 1_024;

/// Finds the triggers.
pub(super) fn triggers() -> String {
    format!("(?i){}", TRIGGERS.iter().map(|word| regex::escape(word)).collect::<Vec<_>>().join("|"))
}

/// Adds what is found in the text.
pub(super) fn find(triggers: &Regex, pattern: &Regex, text: &str, found: &mut Vec<Range<usize>>) {
    for (segment, is_cut) in segments(triggers, text) {
        let (start, end) = (segment.start, segment.end);
        let first = found.len();
        find_in_segment(pattern, text.get(segment).unwrap_or_default(), found);
        for secret in found.iter_mut().skip(first) {
            (secret.start, secret.end) = (start + secret.start, start + secret.end);
            // A value that the segment cuts goes on to its end.
            if is_cut && secret.end == end {
                let more = text.get(end..).unwrap_or_default();
                secret.end += more.find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'')).unwrap_or(more.len());
            }
        }
    }
}

/// The parts of a text that are searched, each within a line; true: it ends before its line does.
fn segments(triggers: &Regex, text: &str) -> Vec<(Range<usize>, bool)> {
    let mut segments: Vec<(Range<usize>, bool)> = Vec::new();
    for trigger in triggers.find_iter(text) {
        let at = trigger.start();
        let searched = segments.last().map_or(0, |(last, is_cut)| if *is_cut { last.end - BEFORE } else { last.end });
        if trigger.end() <= searched {
            continue;
        }
        let start = text.ceil_char_boundary(at.saturating_sub(BEFORE));
        let start = text.get(start..at).and_then(|before| before.rfind('\n')).map_or(start, |end| start + end + 1);
        let end = text.floor_char_boundary(at + SEGMENT);
        let line_end = text.get(at..end).and_then(|rest| rest.find('\n')).map(|length| at + length);
        segments.push((start..line_end.unwrap_or(end), line_end.is_none() && end < text.len()));
    }
    segments
}

fn find_in_segment(pattern: &Regex, text: &str, found: &mut Vec<Range<usize>>) {
    static JUDGES: std::sync::LazyLock<Vec<Judge>> =
        std::sync::LazyLock::new(|| places().into_iter().map(|(judge, _)| judge).collect());
    for captures in pattern.captures_iter(text) {
        let place = JUDGES.iter().enumerate().find_map(|(n, judge)| Some((*judge, n, captures.get(2 * n + 2)?)));
        let Some((judge, n, value)) = place else { continue };
        let before = captures.get(2 * n + 1).map_or("", |before| before.as_str());
        match judge {
            Judge::OfUrl => of_url(&captures, n, found),
            _ if is_secret(judge, before, value.as_str(), text.get(..value.start()).unwrap_or_default()) => {
                // The mark behind the user of a URL stays.
                let end = value.end() - usize::from(before.ends_with("://"));
                found.push(value.start()..end);
            }
            _ => {}
        }
    }
}

/// `scheme://user:password@`: the password, and a user that is a token.
fn of_url(captures: &Captures<'_>, n: usize, found: &mut Vec<Range<usize>>) {
    let (Some(before), Some(value)) = (captures.get(2 * n + 1), captures.get(2 * n + 2)) else { return };
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
        Judge::OfUrl => false,
        Judge::NotAWord => !is_word(name, bare),
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
    fn what_is_searched_grows_with_the_length_of_a_line_and_not_with_its_square() {
        let triggers = Regex::new(&triggers()).unwrap();
        let searched = |text: &str| segments(&triggers, text).iter().map(|(part, _)| part.len()).sum::<usize>();
        for piece in ["key", "password=", "https://a:b", "token=1 ", "words and words ", "curl -u ", "密码：", "key\n"]
        {
            let text = |n: usize| piece.repeat(n / piece.len());
            let (once, twice) = (searched(&text(64 * 1024)), searched(&text(128 * 1024)));
            assert!(twice < 3 * once.max(1) && twice <= 2 * 128 * 1024, "{piece:?}: {once} then {twice}");
        }
    }

    #[test]
    fn the_words_are_in_order_for_the_search() {
        assert!(WORDS.is_sorted());
    }
}

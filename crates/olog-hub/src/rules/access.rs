//! Who may see and do what over HTTP: scopes, how long a session lasts, which passwords are taken, how long a guesser waits.
//!
//! A wrong password costs time and never locks: after [`FREE`] wrong ones the next attempt must wait, each time twice as long, at most
//! [`LONGEST_WAIT_MS`]. Attempts that come earlier are refused unread and do not lengthen the wait. A browser by which the user has signed in
//! before has a count of its own, so strangers who guess do not slow the user down there. Pure.

use std::collections::HashMap;
use std::hash::Hash;

use olog_proto::Timestamp;
use serde::{Deserialize, Serialize};

/// A session ends when it was not used for so long: 7 days.
pub const SESSION_IDLE_MS: i64 = 7 * 86_400_000;
/// A session ends so long after the sign-in, used or not: 30 days.
pub const SESSION_MAX_MS: i64 = 30 * 86_400_000;
/// So long a session may wait for its second factor.
pub const HALF_SESSION_MS: i64 = 5 * 60_000;
/// So many wrong codes end a session that waits for its second factor.
pub const CODES_MAX: i64 = 5;
/// A browser stays known for so long: a year.
pub const BROWSER_KEPT_MS: i64 = 365 * 86_400_000;
/// The link by which the first user is made is good for so long: a day.
pub const SETUP_LINK_MS: i64 = 86_400_000;
/// A password has at least so many characters.
pub const PASSWORD_MIN: usize = 10;
/// A password has at most so many bytes: no more is hashed.
pub const PASSWORD_MAX: usize = 256;
/// Characters of the name of a user or token.
pub const NAME_MAX: usize = 64;
/// Wrong passwords without a wait.
pub const FREE: u32 = 5;
/// The longest wait: 15 minutes.
pub const LONGEST_WAIT_MS: i64 = 15 * 60_000;
/// Wrong passwords are forgotten after so long: a day.
const FORGET_MS: i64 = 86_400_000;
/// Counts that are kept at one time.
const KEPT: usize = 10_000;

/// What somebody may do; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessScope {
    /// See everything but users, tokens and the audit log.
    Read,
    /// Acknowledge, close, silence.
    Act,
    /// Everything: users, tokens, the audit log.
    Admin,
}

/// All scopes, from the smallest on.
pub const SCOPES: [AccessScope; 3] = [AccessScope::Read, AccessScope::Act, AccessScope::Admin];

impl AccessScope {
    /// As it is stored and written.
    pub fn as_str(self) -> &'static str {
        match self {
            AccessScope::Read => "read",
            AccessScope::Act => "act",
            AccessScope::Admin => "admin",
        }
    }

    /// May somebody of this scope do what needs that one?
    pub fn allows(self, needed: AccessScope) -> bool {
        self >= needed
    }
}

impl std::fmt::Display for AccessScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for AccessScope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<AccessScope, Self::Err> {
        SCOPES.into_iter().find(|scope| scope.as_str() == text).ok_or("expected \"read\", \"act\" or \"admin\"")
    }
}

/// Is a session over? One that waits for its second factor does not wait long.
pub fn is_session_over(is_full: bool, made_at: Timestamp, seen_at: Timestamp, now: Timestamp) -> bool {
    if is_full {
        now.since(made_at) >= SESSION_MAX_MS || now.since(seen_at) >= SESSION_IDLE_MS
    } else {
        now.since(made_at) >= HALF_SESSION_MS
    }
}

/// Why a password is not taken: a key of the catalogue.
pub fn password_problem(password: &str, name: &str) -> Option<&'static str> {
    let (plain, name) = (password.to_lowercase(), name.to_lowercase());
    if password.chars().count() < PASSWORD_MIN {
        Some("web-password-short")
    } else if password.len() > PASSWORD_MAX {
        Some("web-password-long")
    } else if !name.is_empty() && (plain == name || plain.trim_end_matches(|c: char| c.is_ascii_digit()) == name)
        || plain.chars().all(|c| plain.starts_with(c))
        || ["1234567890", "0123456789", "password12", "password123", "qwertyuiop", "administrator"].contains(&&*plain)
    {
        Some("web-password-weak")
    } else {
        None
    }
}

/// Is this the name of a user or token? No control or bidirectional characters, no white space at its ends.
pub fn is_name(name: &str) -> bool {
    let is_bidi = |c: char| matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    !name.is_empty()
        && name.trim() == name
        && name.chars().count() <= NAME_MAX
        && !name.chars().any(|c| c.is_control() || is_bidi(c))
}

/// The place of this hub that a sign-in goes on to: a path, and never another site.
pub fn next_place(asked: &str) -> &str {
    let is_path = asked.starts_with('/')
        && !asked.starts_with("//")
        && asked.len() <= 1024
        && asked.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path { asked } else { "/" }
}

/// Wrong attempts, and how long whoever made them waits. Bounded in memory.
#[derive(Debug)]
pub struct Attempts<K> {
    failed: HashMap<K, Failed>,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    n: u32,
    at: Timestamp,
}

impl<K> Default for Attempts<K> {
    fn default() -> Attempts<K> {
        Attempts { failed: HashMap::new() }
    }
}

fn wait_after(n: u32) -> i64 {
    match n.checked_sub(FREE) {
        None => 0,
        Some(over) => {
            1000_i64.checked_shl(over).filter(|_| over < 20).map_or(LONGEST_WAIT_MS, |ms| ms.min(LONGEST_WAIT_MS))
        }
    }
}

impl<K: Eq + Hash> Attempts<K> {
    /// Until then an attempt is refused unread; `None`: it may come now.
    pub fn wait_until(&self, key: &K, now: Timestamp) -> Option<Timestamp> {
        let failed = self.failed.get(key)?;
        let until = failed.at.plus(wait_after(failed.n));
        // A clock that was set back ends the wait.
        (until > now && now >= failed.at).then_some(until)
    }

    /// One more wrong attempt.
    pub fn count(&mut self, key: K, now: Timestamp) {
        if self.failed.len() >= KEPT && !self.failed.contains_key(&key) {
            self.failed.retain(|_, failed| (0..FORGET_MS).contains(&now.since(failed.at)));
            if self.failed.len() >= KEPT {
                return;
            }
        }
        let failed = self.failed.entry(key).or_insert(Failed { n: 0, at: now });
        if !(0..FORGET_MS).contains(&now.since(failed.at)) {
            failed.n = 0;
        }
        *failed = Failed { n: failed.n.saturating_add(1), at: now };
    }

    /// It was right: the wrong ones before it are forgotten.
    pub fn forget(&mut self, key: &K) {
        self.failed.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_780_000_000_000);

    #[test]
    fn a_scope_includes_the_smaller_ones_and_no_larger_one() {
        let table = [
            (AccessScope::Read, [true, false, false]),
            (AccessScope::Act, [true, true, false]),
            (AccessScope::Admin, [true, true, true]),
        ];
        for (has, allowed) in table {
            assert_eq!(SCOPES.map(|needed| has.allows(needed)), allowed, "{has}");
            assert_eq!(has.as_str().parse(), Ok(has));
        }
        assert!("root".parse::<AccessScope>().is_err());
    }

    #[test]
    fn a_session_ends_when_it_is_idle_and_when_it_is_old_and_early_without_the_second_factor() {
        let over = |is_full, made: i64, seen: i64| is_session_over(is_full, NOW.plus(-made), NOW.plus(-seen), NOW);
        assert!(!over(true, SESSION_MAX_MS - 1, 0));
        assert!(over(true, SESSION_MAX_MS, 0), "used every second, and yet over");
        assert!(!over(true, SESSION_IDLE_MS, SESSION_IDLE_MS - 1));
        assert!(over(true, SESSION_IDLE_MS, SESSION_IDLE_MS));
        assert!(!over(false, HALF_SESSION_MS - 1, 0));
        assert!(over(false, HALF_SESSION_MS, 0));
    }

    #[test]
    fn a_guesser_waits_ever_longer_and_is_never_locked_out() {
        let mut attempts = Attempts::default();
        let mut now = NOW;
        let mut waits = Vec::new();
        for _ in 0..40 {
            attempts.count("alice", now);
            let until = attempts.wait_until(&"alice", now).unwrap_or(now);
            waits.push(until.since(now));
            now = until;
            assert_eq!(attempts.wait_until(&"alice", now), None, "the wait ends");
        }
        assert_eq!(waits.get(..8).unwrap(), [0, 0, 0, 0, 1000, 2000, 4000, 8000]);
        assert_eq!(waits.last(), Some(&LONGEST_WAIT_MS));
        assert_eq!(attempts.wait_until(&"bob", now), None, "another one does not wait");
        attempts.count("alice", now);
        assert_eq!(attempts.wait_until(&"alice", now.plus(-1)), None, "a clock that was set back locks nobody out");
        attempts.forget(&"alice");
        assert_eq!(attempts.wait_until(&"alice", now), None);
    }

    #[test]
    fn wrong_attempts_are_forgotten_and_bounded_in_memory() {
        let mut attempts = Attempts::default();
        for _ in 0..20 {
            attempts.count(0, NOW);
        }
        attempts.count(0, NOW.plus(FORGET_MS));
        assert_eq!(attempts.wait_until(&0, NOW.plus(FORGET_MS)), None);
        for n in 0..2 * KEPT {
            attempts.count(n, NOW);
        }
        assert_eq!(attempts.failed.len(), KEPT);
    }

    #[test]
    fn weak_passwords_are_refused_with_a_reason() {
        for (password, problem) in [
            ("short", Some("web-password-short")),
            ("九个字的密码还不够", Some("web-password-short")),
            ("aaaaaaaaaaaa", Some("web-password-weak")),
            ("Password123", Some("web-password-weak")),
            ("administrator", Some("web-password-weak")),
            ("jonathan.smith", Some("web-password-weak")),
            ("jonathan.smith2026", Some("web-password-weak")),
            ("correct horse battery", None),
            ("一句足够长的中文口令也可以", None),
        ] {
            assert_eq!(password_problem(password, "jonathan.smith"), problem, "{password}");
        }
        assert_eq!(password_problem(&"ab".repeat(PASSWORD_MAX), ""), Some("web-password-long"));
    }

    #[test]
    fn a_sign_in_goes_on_to_a_path_of_this_hub_only() {
        for place in ["/", "/account", "/audit?before=7", "/incidents/17"] {
            assert_eq!(next_place(place), place);
        }
        for place in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nset-cookie:x",
            "/ä",
            "account",
        ] {
            assert_eq!(next_place(place), "/", "{place}");
        }
    }

    #[test]
    fn a_name_has_nothing_that_a_terminal_or_page_would_turn_around() {
        for name in ["alice", "小明", "grafana on pi <b>", "a@b.example"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", " a", "a\n", "a\u{202e}b", "a\u{200b}b", "a\u{1b}[31m", &"x".repeat(NAME_MAX + 1)] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}

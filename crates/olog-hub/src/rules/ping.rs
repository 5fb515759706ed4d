//! The pinging API, as healthchecks.io has it: what the address of a ping means, and how often one key may ping.
//!
//! ```text
//! /ping/KEY/SLUG        KEY belongs to a device, SLUG is one of its tasks       …/start  …/fail  …/log  …/EXIT-STATUS
//! /ping/UUID            a task's own address                                    ?rid=UUID  ?create=1
//! ```
//!
//! The path is a secret: nothing here prints it. Pure: knows no store, clock or HTTP.

use std::borrow::Cow;
use std::fmt;

use olog_proto::{BootId, Timestamp, event::Id128};

/// The boot id of events that the hub makes of pings and alerts: they come from no boot of any machine.
pub const NO_BOOT: BootId = Id128(*b"olog hub no boot");
/// The id of a run whose pings have no `rid`.
pub const UNNAMED_RUN: &str = "ping";

/// Characters of a slug, at most.
const SLUG_MAX: usize = 100;
const KEY_MAX: usize = 64;
/// Pings of one key within a minute; more is never a job, and a stolen key must not fill the store.
const PER_MINUTE: u32 = 600;
const MINUTE: i64 = 60_000;

/// Whom a ping is about.
#[derive(Clone, PartialEq, Eq)]
pub enum PingAddress {
    /// A task by its own address.
    Task(String),
    /// A task of a device, by the device's key.
    Slug {
        /// The device's.
        key: String,
        /// The task's.
        slug: String,
    },
}

impl fmt::Debug for PingAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PingAddress(…)")
    }
}

impl PingAddress {
    /// What only the owner knows of it.
    pub fn secret(&self) -> &str {
        match self {
            PingAddress::Task(secret) | PingAddress::Slug { key: secret, .. } => secret,
        }
    }

    /// The slug, in an address that has one.
    pub fn slug(&self) -> Option<&str> {
        match self {
            PingAddress::Task(_) => None,
            PingAddress::Slug { slug, .. } => Some(slug),
        }
    }
}

/// What a ping says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PingKind {
    /// A run was good.
    Success,
    /// A run begins.
    Start,
    /// A run failed.
    Fail,
    /// Text only: the state stays as it is.
    Log,
    /// A run ended with this status.
    Exit(u8),
}

/// A ping, as its address says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// Whom it is about.
    pub address: PingAddress,
    /// What it says.
    pub kind: PingKind,
    /// The run, in lower case.
    pub run: Option<String>,
    /// A task that is not there is made.
    pub may_create: bool,
}

/// Why an address is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PingRefusal {
    /// The exit status is above 255, or the slug is too long or has an upper-case letter.
    Format,
    /// The `rid` is no UUID.
    Run,
    /// It is no address at all.
    NotFound,
}

impl Ping {
    /// Reads what follows `/ping/`, as it was sent, and the query.
    pub fn read(path: &str, query: &str) -> Result<Ping, PingRefusal> {
        let parts: Vec<&str> = path.split('/').take(5).collect();
        let (address, rest) = match parts.as_slice() {
            [uuid, rest @ ..] if is_uuid(uuid, |digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) => {
                (PingAddress::Task((*uuid).to_owned()), if *rest == [""] { &[] } else { rest })
            }
            [key, slug, rest @ ..] if is_key(key) => {
                (PingAddress::Slug { key: (*key).to_owned(), slug: read_slug(slug)? }, rest)
            }
            _ => return Err(PingRefusal::NotFound),
        };
        let kind = match rest {
            [] => PingKind::Success,
            [word] => read_kind(word)?,
            _ => return Err(PingRefusal::NotFound),
        };
        let (mut run, mut may_create) = (None, false);
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "rid" => run = Some(value),
                "create" => may_create = value == "1",
                _ => {}
            }
        }
        let read_run = |run: Cow<'_, str>| {
            let is_one = is_uuid(&run, |digit| digit.is_ascii_hexdigit());
            if is_one { Ok(run.to_ascii_lowercase()) } else { Err(PingRefusal::Run) }
        };
        Ok(Ping { address, kind, run: run.map(read_run).transpose()?, may_create })
    }
}

fn is_key(key: &str) -> bool {
    let is_of_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=KEY_MAX).contains(&key.len()) && key.bytes().all(is_of_key)
}

fn read_slug(slug: &str) -> Result<String, PingRefusal> {
    let is_of_slug = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if slug.is_empty() || !slug.bytes().all(is_of_slug) {
        return Err(PingRefusal::NotFound);
    }
    if slug.len() > SLUG_MAX || slug.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(PingRefusal::Format);
    }
    Ok(slug.to_owned())
}

fn read_kind(word: &str) -> Result<PingKind, PingRefusal> {
    match word {
        "start" => Ok(PingKind::Start),
        "fail" => Ok(PingKind::Fail),
        "log" => Ok(PingKind::Log),
        status if !status.is_empty() && status.bytes().all(|byte| byte.is_ascii_digit()) => {
            let significant = status.trim_start_matches('0');
            let value = if significant.is_empty() { Ok(0) } else { significant.parse() };
            value.map(PingKind::Exit).map_err(|_| PingRefusal::Format)
        }
        _ => Err(PingRefusal::NotFound),
    }
}

/// 8-4-4-4-12 digits.
fn is_uuid(text: &str, is_digit: impl Fn(u8) -> bool) -> bool {
    let is_right = |(i, byte): (usize, u8)| if matches!(i, 8 | 13 | 18 | 23) { byte == b'-' } else { is_digit(byte) };
    text.len() == 36 && text.bytes().enumerate().all(is_right)
}

/// The slug of a task: its name in lower case, spaces and hyphens as one hyphen, and nothing that a slug may not have.
pub fn slug_of(task: &str) -> String {
    let mut slug = String::with_capacity(task.len());
    for c in task.chars().map(|c| c.to_ascii_lowercase()) {
        match c {
            'a'..='z' | '0'..='9' | '_' => slug.push(c),
            c if (c == '-' || c.is_whitespace()) && !slug.ends_with('-') => slug.push('-'),
            _ => {}
        }
    }
    slug.trim_matches(['-', '_']).to_owned()
}

/// How often a key has pinged in the last minute: a window from the first ping on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PingRate {
    since: Timestamp,
    n: u32,
}

impl PingRate {
    /// Counts a ping. The error: it is too many, and the key waits for so many ms.
    pub fn count(&mut self, now: Timestamp) -> Result<(), i64> {
        // A clock that was set back begins a new window, too.
        if !(0..MINUTE).contains(&now.since(self.since)) {
            *self = PingRate { since: now, n: 0 };
        }
        if self.n >= PER_MINUTE {
            return Err(MINUTE - now.since(self.since));
        }
        self.n += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0b1f6a0e-2d3c-4e5f-8a9b-0c1d2e3f4a5b";

    fn read(target: &str) -> Result<(String, PingKind, Option<String>, bool), PingRefusal> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Ping { address, kind, run, may_create } = Ping::read(path, query)?;
        let whom = match &address {
            PingAddress::Task(_) => "task".to_owned(),
            PingAddress::Slug { key, slug } => format!("{key} {slug}"),
        };
        Ok((whom, kind, run, may_create))
    }

    #[test]
    fn an_address_means_what_it_means_to_healthchecks() {
        let plain = |whom: &str, kind| Ok((whom.to_owned(), kind, None, false));
        for (target, expected) in [
            ("key/backup".to_owned(), plain("key backup", PingKind::Success)),
            ("key/backup/start".to_owned(), plain("key backup", PingKind::Start)),
            ("key/backup/fail".to_owned(), plain("key backup", PingKind::Fail)),
            ("key/backup/log".to_owned(), plain("key backup", PingKind::Log)),
            ("key/backup/0".to_owned(), plain("key backup", PingKind::Exit(0))),
            ("key/backup/0255".to_owned(), plain("key backup", PingKind::Exit(255))),
            (UUID.to_owned(), plain("task", PingKind::Success)),
            (format!("{UUID}/"), plain("task", PingKind::Success)),
            (format!("{UUID}/7"), plain("task", PingKind::Exit(7))),
            (
                format!("key/a-b_9?rid={}&create=1", UUID.to_uppercase()),
                Ok(("key a-b_9".to_owned(), PingKind::Success, Some(UUID.to_owned()), true)),
            ),
            (format!("k/a?create=1&rid=x&rid={UUID}&create=true"), {
                Ok(("k a".to_owned(), PingKind::Success, Some(UUID.to_owned()), false))
            }),
        ] {
            assert_eq!(read(&target), expected, "{target}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_by_the_same_status() {
        let long = format!("key/{}", "a".repeat(101));
        for (target, expected) in [
            ("key/backup/256", PingRefusal::Format),
            ("key/backup/99999999999999999999", PingRefusal::Format),
            ("key/Backup", PingRefusal::Format),
            (long.as_str(), PingRefusal::Format),
            ("key/backup?rid=", PingRefusal::Run),
            ("key/backup?rid=0b1f6a0e2d3c4e5f8a9b0c1d2e3f4a5b", PingRefusal::Run),
            ("key/backup?rid=0b1f6a0e-2d3c-4e5f-8a9b-0c1d2e3f4a5b%0A", PingRefusal::Run),
            ("", PingRefusal::NotFound),
            ("key", PingRefusal::NotFound),
            ("key/", PingRefusal::NotFound),
            ("key/backup/", PingRefusal::NotFound),
            ("key/backup/-1", PingRefusal::NotFound),
            ("key/backup/finish", PingRefusal::NotFound),
            ("key/backup/START", PingRefusal::NotFound),
            ("key/backup/start/", PingRefusal::NotFound),
            ("key/back.up", PingRefusal::NotFound),
            ("key/back%20up", PingRefusal::NotFound),
            ("../etc/passwd", PingRefusal::NotFound),
            ("0B1F6A0E-2D3C-4E5F-8A9B-0C1D2E3F4A5B", PingRefusal::NotFound),
            ("0b1f6a0e2d3c4e5f8a9b0c1d2e3f4a5b", PingRefusal::NotFound),
        ] {
            assert_eq!(read(target), Err(expected), "{target}");
        }
    }

    #[test]
    fn a_task_has_the_slug_that_its_name_would_have_there() {
        for (name, slug) in [
            ("backup", "backup"),
            ("Back Up  -- daily", "back-up-daily"),
            ("db.example/备份 2", "dbexample-2"),
            ("_x_", "x"),
            ("备份", ""),
        ] {
            assert_eq!(slug_of(name), slug, "{name}");
        }
    }

    #[test]
    fn a_key_that_pings_too_often_waits_until_its_minute_is_over() {
        let (mut rate, start) = (PingRate::default(), Timestamp(1_800_000_000_000));
        for _ in 0..PER_MINUTE {
            assert_eq!(rate.count(start), Ok(()));
        }
        assert_eq!(rate.count(start.plus(20_000)), Err(40_000));
        assert_eq!(rate.count(start.plus(60_000)), Ok(()));
        assert_eq!(rate.count(start.plus(-5)), Ok(()), "the clock was set back");
    }

    #[test]
    fn nothing_prints_the_secret_of_an_address() {
        let ping = Ping::read("s3cret/backup", "").unwrap();
        assert!(!format!("{ping:?}").contains("s3cret"));
    }
}

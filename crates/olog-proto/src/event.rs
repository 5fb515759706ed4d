//! Events: what an agent saw at one moment, in the form in which both ends store it and the wire carries it.
//!
//! An event never changes, except [`Event::pushed`]. Its number is its position in the stream of its device's [`Epoch`]; the hub never
//! renumbers. Delivery is at least once: a number that the hub knows is a repetition if the digest is the same, and a conflict if it is
//! not (for example, a spool was restored from an older copy).
//!
//! Instants of a device ([`DeviceTime`]) and instants of the hub ([`Timestamp`]) are two types. Every text is bounded and cleaned where it
//! is decoded.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};

use crate::{
    EXCERPT_END, EXCERPT_WHOLE, FINGERPRINTS_MAX, FingerprintText, LogKind, PATH_MAX, TEXT_MAX, TaskName, clean,
};

/// An instant: milliseconds since 1970-01-01 UTC, by the clock of the machine that reads it ([`DeviceTime`]: by a device's).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This instant and a span of milliseconds.
    pub fn plus(self, ms: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant; negative when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// An instant by a device's own clock, which may be minutes or decades off. It is a type of its own, so that it is not compared
/// with the hub's time by mistake: the hub turns it into its own time once, in `ingest`, by the skew that it has measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceTime(pub Timestamp);

impl DeviceTime {
    /// This instant in the hub's time, `skew_ms` being how far the device's clock is ahead of the hub's.
    pub fn in_hub_time(self, skew_ms: i64) -> Timestamp {
        self.0.plus(skew_ms.saturating_neg())
    }

    /// Milliseconds from `earlier` to this instant; both are of one clock.
    pub fn since(self, earlier: DeviceTime) -> i64 {
        self.0.since(earlier.0)
    }
}

/// 128 bits as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id128(pub [u8; 16]);

/// The numbers of one spool: made at random with it.
pub type Epoch = Id128;
/// The kernel's boot id: another one after every reboot (proc(5), /proc/sys/kernel/random/boot_id).
pub type BootId = Id128;

impl Id128 {
    /// The digits. Each event is written with its boot id, three times on its way: no formatter for each byte.
    fn digits(self) -> [u8; 32] {
        let mut digits = [0; 32];
        for (two, byte) in digits.chunks_exact_mut(2).zip(self.0) {
            for (digit, nibble) in two.iter_mut().zip([byte >> 4, byte & 15]) {
                *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
            }
        }
        digits
    }
}

impl fmt::Display for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Id128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Id128 {
    type Err = &'static str;

    /// Hyphens (the kernel writes a boot id with them) are passed over.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "expected 32 hexadecimal digits";
        if text.len() > 36 {
            return Err(WRONG);
        }
        let mut value = 0_u128;
        let mut n_digits = 0;
        for byte in text.bytes().filter(|&byte| byte != b'-') {
            let digit = char::from(byte).to_digit(16).ok_or(WRONG)?;
            value = value << 4 | u128::from(digit);
            n_digits += 1;
        }
        if n_digits == 32 { Ok(Id128(value.to_be_bytes())) } else { Err(WRONG) }
    }
}

impl Serialize for Id128 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.digits()) {
            Ok(digits) => serializer.serialize_str(digits),
            Err(_) => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Id128 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// One thing that the agent saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number in the epoch: 1, 2, 3 …
    pub n: u64,
    /// When it happened: a file's mtime, a run's end.
    pub at: DeviceTime,
    /// The boot during which the agent made it.
    pub boot: BootId,
    /// Milliseconds from that boot to its making: an age that no clock change touches.
    pub up: u64,
    /// What was seen.
    pub what: EventContent,
    /// Who caused it, where the agent knows: the owner of the file, the user of the run. No part of the digest: an older hub ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Author>,
    /// What the agent has pushed itself, while the hub was away. The only part that may change after the making.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<OwnPush>,
}

impl Event {
    /// 64 bits over everything but [`Event::pushed`] and [`Event::by`]: the same number with another digest is another event.
    pub fn digest(&self) -> u64 {
        #[derive(Serialize)]
        struct Immutable<'a>(u64, DeviceTime, BootId, u64, &'a EventContent);
        // Whole, then hashed: JSON is written in pieces of a few bytes, and the hash has a price for each piece.
        let mut text = Vec::with_capacity(1_024);
        let written = serde_json::to_writer(&mut text, &Immutable(self.n, self.at, self.boot, self.up, &self.what));
        debug_assert!(written.is_ok(), "an event is always JSON");
        Sha256::digest(&text).iter().take(8).fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    /// Is every text within its bound? Names and excerpts are bounded by their types; this looks at the rest.
    pub fn is_bounded(&self) -> bool {
        let file = |f: &File| f.path.len() <= PATH_MAX && f.fingerprints.len() <= FINGERPRINTS_MAX;
        match &self.what {
            EventContent::Text { file: f, .. } | EventContent::Seen { file: f, .. } => file(f),
            EventContent::Cleared { path, .. } => path.len() <= PATH_MAX,
            EventContent::RunStarted { run, .. } => run.len() <= TEXT_MAX,
            EventContent::RunEnded { run, fingerprints, .. } => {
                run.len() <= TEXT_MAX && fingerprints.len() <= FINGERPRINTS_MAX
            }
            EventContent::Note(note) => {
                note.code.len() <= TEXT_MAX
                    && note.text.len() <= 4 * TEXT_MAX
                    && note.path.as_ref().is_none_or(|p| p.len() <= PATH_MAX)
            }
        }
    }
}

/// A user of a device.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Author {
    /// Its number.
    pub uid: u32,
    /// Its name, if the device has one for it: at most 32 characters, on one line.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "decode_name")]
    pub name: Option<String>,
}

impl Author {
    /// A user, and its name in the device's list of users.
    pub fn new(uid: u32, name: Option<String>) -> Author {
        Author { uid, name: bounded_name(name) }
    }

    /// May this user speak of what `other` caused? Root may, and so may the same user.
    pub fn speaks_for(&self, other: &Author) -> bool {
        self.uid == 0 || self.uid == other.uid
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} (uid {})", self.uid),
            None => write!(f, "uid {}", self.uid),
        }
    }
}

fn bounded_name(name: Option<String>) -> Option<String> {
    const NAME_MAX: usize = 32;
    let name = name.map(|name| clean::line(name).chars().take(NAME_MAX).collect::<String>());
    name.filter(|name| !name.trim().is_empty())
}

fn decode_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::<String>::deserialize(deserializer).map(bounded_name)
}

/// The kinds of events. Written as `{"text": {…}}`: one key, the kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventContent {
    /// New text in a log file. For a `.log` that was written without any text, the excerpt is empty: it is a sign of a run.
    Text {
        /// Which file, and what happened to it.
        file: File,
        /// The new text.
        excerpt: Excerpt,
    },
    /// The same text written again, at most one a minute a file.
    Seen {
        /// Which file, and what happened to it.
        file: File,
        /// How often it was written since the last event of the file.
        times: u32,
    },
    /// A file that had content was deleted, or closed empty by its writer.
    Cleared {
        /// Its task.
        task: TaskName,
        /// Its suffix.
        suffix: LogKind,
        /// Where it is, or was.
        #[serde(deserialize_with = "clean::decode_line")]
        path: String,
        /// Deleted, not emptied.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        deleted: bool,
    },
    /// `exec` started a run.
    RunStarted {
        /// Its task.
        task: TaskName,
        /// The run's own id.
        #[serde(deserialize_with = "clean::decode_line")]
        run: String,
    },
    /// A run by `exec` ended. With neither exit code nor signal, how it ended is unknown: `exec` was killed, or the machine restarted.
    RunEnded {
        /// Its task.
        task: TaskName,
        /// The run's own id.
        #[serde(deserialize_with = "clean::decode_line")]
        run: String,
        /// Its exit code, if it exited.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit: Option<i32>,
        /// The signal that ended it, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        /// How long it ran, in milliseconds; 0 if its end is unknown.
        duration: u64,
        /// The end of what it wrote.
        excerpt: Excerpt,
        /// Of what it wrote.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        fingerprints: Vec<FingerprintText>,
    },
    /// The agent's own trouble.
    Note(Note),
}

impl EventContent {
    /// The kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            EventContent::Text { .. } => "text",
            EventContent::Seen { .. } => "seen",
            EventContent::Cleared { .. } => "cleared",
            EventContent::RunStarted { .. } => "run_started",
            EventContent::RunEnded { .. } => "run_ended",
            EventContent::Note(_) => "note",
        }
    }

    /// The task it speaks of; a note speaks of the device.
    pub fn task(&self) -> Option<&TaskName> {
        match self {
            EventContent::Text { file, .. } | EventContent::Seen { file, .. } => Some(&file.task),
            EventContent::Cleared { task, .. }
            | EventContent::RunStarted { task, .. }
            | EventContent::RunEnded { task, .. } => Some(task),
            EventContent::Note(_) => None,
        }
    }
}

/// Was a run good? Only one that ended with 0; one whose end is unknown was not.
pub fn is_good_end(exit: Option<i32>, signal: Option<i32>) -> bool {
    exit == Some(0) && signal.is_none()
}

/// How a run ended, as a shell would say it; empty if that is unknown.
pub fn end_text(exit: Option<i32>, signal: Option<i32>) -> String {
    match (exit, signal) {
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(exit), None) => format!("exit status {exit}"),
        (None, None) => String::new(),
    }
}

/// What happened to a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Growth {
    /// Not known before.
    Created,
    /// Written anew from its start.
    Rewritten,
    /// Appended to.
    Grown,
}

/// A log file at the moment of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The task that its name says.
    pub task: TaskName,
    /// What its text means: its suffix, or what a rule (`as = "scanerr"`) makes of it.
    pub suffix: LogKind,
    /// Its path, escaped, at most [`PATH_MAX`] bytes.
    #[serde(deserialize_with = "clean::decode_line")]
    pub path: String,
    /// What happened to it.
    pub change: Growth,
    /// When it was created or last truncated, where the agent knows: the beginning of the run that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<DeviceTime>,
    /// Its writer has closed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
    /// Its sibling `.err` (same name, other suffix) held text at that moment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sibling_err: bool,
    /// Found at the agent's first start ever: counts for states, opens no incident.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub history: bool,
    /// The distinct telling lines of the new text, with what changes from time to time taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<FingerprintText>,
}

/// New text as a person may read it: cleaned, redacted, bounded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "RawExcerpt")]
pub struct Excerpt {
    /// All of it, up to [`EXCERPT_WHOLE`] characters; else its first [`EXCERPT_END`].
    head: String,
    /// Bytes of the file between head and tail that are not here.
    #[serde(default, skip_serializing_if = "is_zero")]
    left_out: u64,
    /// Its last [`EXCERPT_END`] characters, if something is left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    tail: String,
}

#[derive(Deserialize)]
struct RawExcerpt {
    head: String,
    #[serde(default)]
    left_out: u64,
    #[serde(default)]
    tail: String,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

impl TryFrom<RawExcerpt> for Excerpt {
    type Error = &'static str;

    fn try_from(raw: RawExcerpt) -> Result<Self, Self::Error> {
        let bound = if raw.left_out == 0 { EXCERPT_WHOLE } else { EXCERPT_END };
        // A text has at least as many bytes as characters.
        let is_over = |text: &str, bound: usize| text.len() > bound && text.chars().nth(bound).is_some();
        if is_over(&raw.head, bound) || is_over(&raw.tail, EXCERPT_END) {
            return Err("the excerpt is longer than its bound");
        }
        Ok(Excerpt { head: clean::text(raw.head), left_out: raw.left_out, tail: clean::text(raw.tail) })
    }
}

impl Excerpt {
    /// A text that is here as a whole; beyond [`EXCERPT_WHOLE`] characters its middle is left out.
    pub fn of(text: &str) -> Excerpt {
        Excerpt::around(text, 0, "")
    }

    /// The beginning and the end of a text of which `between` bytes were never read (0: `end` goes on right behind `start`).
    /// Whatever the lengths, the bound holds, and no character is cut.
    pub fn around(start: &str, between: u64, end: &str) -> Excerpt {
        if between == 0 && start.chars().count() + end.chars().count() <= EXCERPT_WHOLE {
            return Excerpt { head: format!("{start}{end}"), left_out: 0, tail: String::new() };
        }
        let joined;
        let (start, end) = if between == 0 {
            joined = format!("{start}{end}");
            (joined.as_str(), joined.as_str())
        } else {
            (start, end)
        };
        let head_end = start.char_indices().nth(EXCERPT_END).map_or(start.len(), |(i, _)| i);
        let tail_start = end.char_indices().rev().nth(EXCERPT_END - 1).map_or(0, |(i, _)| i);
        let unread = if between == 0 {
            tail_start.saturating_sub(head_end)
        } else {
            (start.len() - head_end).saturating_add(tail_start)
        };
        Excerpt {
            head: start.get(..head_end).unwrap_or_default().to_owned(),
            left_out: between.saturating_add(unread as u64).max(1),
            tail: end.get(tail_start..).unwrap_or_default().to_owned(),
        }
    }

    /// The beginning, or all of it.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Bytes left out between head and tail; 0 when the head is all.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The end, when something is left out.
    pub fn tail(&self) -> &str {
        &self.tail
    }

    /// Nothing but white space?
    pub fn is_blank(&self) -> bool {
        self.head.trim().is_empty() && self.tail.trim().is_empty()
    }
}

/// The agent's own trouble, or its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What kind of trouble, e.g. `log_dir_missing`; one trouble is one code and path.
    #[serde(deserialize_with = "clean::decode_line")]
    pub code: String,
    /// The path it is about.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "clean::decode_optional_line")]
    pub path: Option<String>,
    /// What a person should know, in English.
    #[serde(deserialize_with = "clean::decode_text")]
    pub text: String,
    /// The trouble is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over: bool,
    /// Something that happened and does not last (`epoch_renewed`, `config_refused`): told, opens nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

/// The agent's own push of an event: *tried* is recorded before the call, *accepted* after it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OwnPush {
    /// When the last call was made.
    pub tried_at: Timestamp,
    /// When a channel accepted it; the hub withholds only what was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_whole_up_to_its_bound() {
        let whole = "错".repeat(EXCERPT_WHOLE);
        assert_eq!(Excerpt::of(&whole).head(), whole);
        let longer = format!("{whole}a");
        let cut = Excerpt::of(&longer);
        assert_eq!((cut.head().chars().count(), cut.tail().chars().count()), (EXCERPT_END, EXCERPT_END));
        assert_eq!(cut.left_out(), 51 * 3);
        assert_eq!(cut.head().len() + cut.tail().len() + cut.left_out() as usize, longer.len());
    }

    #[test]
    fn an_excerpt_of_two_ends_counts_what_was_never_read() {
        let cut = Excerpt::around(&"a".repeat(600), 1000, &"b".repeat(700));
        assert_eq!((cut.head().len(), cut.left_out(), cut.tail().len()), (500, 1000 + 100 + 200, 500));
        assert_eq!(Excerpt::around("x", 10, "y").left_out(), 10);
    }

    #[test]
    fn what_a_hostile_device_says_is_clean_once_it_is_decoded() {
        let what = r#"{"text":{"file":{"task":"x","suffix":"err","path":"/a\u001b[2Jb","change":"created"},
            "excerpt":{"head":"a\u001b]0;t\u0007b\nc\u202ed"}}}"#;
        let Ok(EventContent::Text { file, excerpt }) = serde_json::from_str(what) else { panic!("it decodes") };
        assert_eq!((file.path.as_str(), excerpt.head()), ("/a[2Jb", "a]0;tb\ncd"));
        let note = r#"{"code":"c\u001b","path":"p\u0000","text":"t\u001b[1m\nu"}"#;
        let note: Note = serde_json::from_str(note).unwrap();
        assert_eq!((note.code.as_str(), note.path.as_deref(), note.text.as_str()), ("c", Some("p"), "t[1m\nu"));
    }

    #[test]
    fn a_boot_id_is_read_as_the_kernel_writes_it() {
        let id: BootId = "3f6b0a1c-9d2e-4c55-8a77-0123456789ab".parse().unwrap();
        assert_eq!(id.to_string(), "3f6b0a1c9d2e4c558a770123456789ab");
        assert!("3f".parse::<BootId>().is_err() && "g".repeat(32).parse::<BootId>().is_err());
    }
}

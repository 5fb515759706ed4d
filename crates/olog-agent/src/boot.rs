//! This boot of the device: its id, and the time since it began. Events carry both beside the wall clock, so that the hub can tell
//! a clock that was set from time that passed. And the users of the device, by their names.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use olog_proto::{Author, BootId, Timestamp, event::Id128};

use crate::spool::Stamp;

/// What an event that is made now carries.
pub fn stamp(at: Timestamp) -> Stamp {
    Stamp { at, boot: id(), up: up() }
}

/// The kernel's id of this boot; all zeros where there is no `/proc`.
pub fn id() -> BootId {
    static ID: OnceLock<BootId> = OnceLock::new();
    *ID.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.trim().parse().unwrap_or(Id128([0; 16]))
    })
}

/// Time since it began.
pub fn now() -> Duration {
    Duration::from_millis(up())
}

/// Milliseconds since it began, sleep included.
pub fn up() -> u64 {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let ms = since.tv_sec.saturating_mul(1000).saturating_add(since.tv_nsec / 1_000_000);
    u64::try_from(ms).unwrap_or(0)
}

/// Time since it began, without sleep: what systemd calls monotonic.
pub fn monotonic() -> Duration {
    let since = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::try_from(since).unwrap_or_default()
}

/// A user of this device, with its name by /etc/passwd. Names are kept: they change rarely, and a storm of files must not read the list for each.
pub fn author(uid: u32) -> Author {
    const KNOWN_MAX: usize = 1024;
    static KNOWN: LazyLock<Mutex<HashMap<u32, Author>>> = LazyLock::new(Mutex::default);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
    known.entry(uid).or_insert_with(|| Author::new(uid, user_name(uid))).clone()
}

fn user_name(uid: u32) -> Option<String> {
    const LIST_MAX: u64 = 1 << 20;
    let mut users = Vec::new();
    File::open("/etc/passwd").and_then(|list| list.take(LIST_MAX).read_to_end(&mut users)).ok()?;
    String::from_utf8_lossy(&users).lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

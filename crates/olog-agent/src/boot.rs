//! This boot of the device: its id, and the time since it began. Events carry both beside the wall clock, so that the hub can tell
//! a clock that was set from time that passed.

use std::sync::OnceLock;
use std::time::Duration;

use olog_proto::{BootId, Timestamp, event::Id128};

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

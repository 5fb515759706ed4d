//! The quota of one device: how much of the hub an enrolled device may fill, and what happens beyond it.
//!
//! A device that has joined is known, not trusted: a program that writes without end, or a stolen key, must cost the owner neither the
//! disk nor the other devices' alerts. Each limit is a key of `[limits]`. Nothing beyond a limit is refused, because an agent keeps what
//! is not acknowledged and would send it again for ever. It is acknowledged and counted:
//!
//! | limit | beyond it |
//! |---|---|
//! | `events_per_day`, `bytes_per_day` | events still open and close incidents and count as runs; their texts are not stored |
//! | `tasks` | events of further tasks are counted only |
//! | `open_incidents` | a further error is stored and opens no incident; one incident says that there are too many |
//! | half of the `open_incidents` that the other users leave, for one user of the device | a further error of this user is stored and opens no incident |
//! | `notes_per_hour` | messages and the agent's own notes are stored and not pushed |
//!
//! Reaching a limit is told once in [`TELL_EVERY`]. A day and an hour begin with the first event after the one before has ended.
//! Pure: knows no store, clock or IO.

use std::collections::BTreeMap;

use olog_proto::Timestamp;
use serde::{Deserialize, Serialize};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// How often one limit of a device is told.
pub const TELL_EVERY: i64 = DAY;

/// The table `[limits]`: what one device may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceLimits {
    /// Events that are stored in a day.
    pub events_per_day: u64,
    /// Bytes of events that are stored in a day.
    pub bytes_per_day: u64,
    /// Tasks.
    pub tasks: u64,
    /// Incidents that are open at one time.
    pub open_incidents: u64,
    /// Messages and notes of the agent that are pushed in an hour.
    pub notes_per_hour: u64,
}

impl Default for DeviceLimits {
    fn default() -> DeviceLimits {
        DeviceLimits {
            events_per_day: 500_000,
            bytes_per_day: 1 << 30,
            tasks: 5_000,
            open_incidents: 200,
            notes_per_hour: 120,
        }
    }
}

impl DeviceLimits {
    /// Can the share of one user be used up, of so many open incidents?
    pub fn is_near_a_share(&self, n_open: u64) -> bool {
        n_open.saturating_mul(2) >= self.open_incidents
    }

    /// May one user of the device, who is not root, open one more incident? One user has at most half of what the others leave, so that
    /// something is left for the others, however many of them use up their share.
    pub fn has_share(&self, n_own: u64, n_open: u64) -> bool {
        n_own.saturating_add(n_open) < self.open_incidents
    }

    /// The value of one limit.
    pub fn of(&self, limit: Limit) -> u64 {
        match limit {
            Limit::EventsPerDay => self.events_per_day,
            Limit::BytesPerDay => self.bytes_per_day,
            Limit::Tasks => self.tasks,
            Limit::OpenIncidents | Limit::OpenIncidentsOfUser => self.open_incidents,
            Limit::NotesPerHour => self.notes_per_hour,
        }
    }
}

/// One of the limits; stored and told as its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// `events_per_day`.
    EventsPerDay,
    /// `bytes_per_day`.
    BytesPerDay,
    /// `tasks`.
    Tasks,
    /// `open_incidents`.
    OpenIncidents,
    /// The share of `open_incidents` that one user of the device has.
    OpenIncidentsOfUser,
    /// `notes_per_hour`.
    NotesPerHour,
}

impl Limit {
    /// The name of its key.
    pub fn key(self) -> &'static str {
        match self {
            Limit::EventsPerDay => "events_per_day",
            Limit::BytesPerDay => "bytes_per_day",
            Limit::Tasks => "tasks",
            Limit::OpenIncidents => "open_incidents",
            Limit::OpenIncidentsOfUser => "open_incidents_of_user",
            Limit::NotesPerHour => "notes_per_hour",
        }
    }
}

/// What came beyond one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Exceeded {
    /// How much since the device joined.
    pub n: u64,
    /// Last time.
    pub last_at: Timestamp,
    /// When it was told.
    pub told_at: Timestamp,
}

/// What a device has used; stored as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct QuotaState {
    /// When its day began.
    day_at: Timestamp,
    /// Events of this day.
    pub events: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// When its hour began.
    hour_at: Timestamp,
    /// Messages and notes of this hour.
    pub notes: u64,
    /// An incident says that the device has too many open ones.
    pub has_too_many: bool,
    /// What came beyond a limit, by limit.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exceeded: BTreeMap<Limit, Exceeded>,
}

impl QuotaState {
    /// Begins a new day and a new hour if those before have ended, or lie in the future because a clock was wrong.
    pub fn roll(&mut self, now: Timestamp) {
        let has_ended = |at: Timestamp, span: i64| now.since(at) >= span || at > now;
        if has_ended(self.day_at, DAY) {
            (self.day_at, self.events, self.bytes) = (now, 0, 0);
        }
        if has_ended(self.hour_at, HOUR) {
            (self.hour_at, self.notes) = (now, 0);
        }
    }

    /// Counts one event; the limit that keeps it from being stored.
    pub fn event(&mut self, limits: &DeviceLimits) -> Option<Limit> {
        if self.bytes >= limits.bytes_per_day {
            return Some(Limit::BytesPerDay);
        }
        if self.events >= limits.events_per_day {
            return Some(Limit::EventsPerDay);
        }
        self.events += 1;
        None
    }

    /// Counts a message or a note; the limit that keeps it from being pushed.
    pub fn note(&mut self, limits: &DeviceLimits) -> Option<Limit> {
        if self.notes >= limits.notes_per_hour {
            return Some(Limit::NotesPerHour);
        }
        self.notes += 1;
        None
    }

    /// Counts what came beyond a limit. True: it is to be told.
    pub fn exceed(&mut self, limit: Limit, now: Timestamp) -> bool {
        let exceeded = self.exceeded.entry(limit).or_default();
        exceeded.n += 1;
        exceeded.last_at = now;
        let tells = exceeded.told_at == Timestamp(0) || now.since(exceeded.told_at) >= TELL_EVERY;
        if tells {
            exceeded.told_at = now;
        }
        tells
    }

    /// The limit is told the next time, however short ago it was told.
    pub fn tell_again(&mut self, limit: Limit) {
        self.exceeded.entry(limit).and_modify(|exceeded| exceeded.told_at = Timestamp(0));
    }

    /// Limits that were reached within a day.
    pub fn reached(&self, now: Timestamp) -> impl Iterator<Item = (Limit, Exceeded)> + '_ {
        self.exceeded.iter().filter(move |(_, e)| now.since(e.last_at) < DAY).map(|(limit, e)| (*limit, *e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_780_000_000_000);

    #[test]
    fn a_day_and_an_hour_begin_anew_and_a_limit_is_told_once_a_day() {
        let limits = DeviceLimits { events_per_day: 2, notes_per_hour: 1, ..DeviceLimits::default() };
        let mut quota = QuotaState::default();
        quota.roll(NOW);
        assert_eq!([quota.event(&limits), quota.event(&limits)], [None, None]);
        assert_eq!(quota.event(&limits), Some(Limit::EventsPerDay));
        assert!(quota.exceed(Limit::EventsPerDay, NOW) && !quota.exceed(Limit::EventsPerDay, NOW.plus(HOUR)));
        assert_eq!((quota.note(&limits), quota.note(&limits)), (None, Some(Limit::NotesPerHour)));
        quota.roll(NOW.plus(HOUR));
        assert_eq!((quota.note(&limits), quota.event(&limits)), (None, Some(Limit::EventsPerDay)));
        quota.roll(NOW.plus(DAY));
        assert_eq!(quota.event(&limits), None);
        assert!(quota.exceed(Limit::EventsPerDay, NOW.plus(DAY)), "another day");
        assert_eq!(quota.exceeded[&Limit::EventsPerDay].n, 3);
    }

    #[test]
    fn one_user_has_half_of_what_the_others_leave_and_something_is_always_left() {
        let limits = DeviceLimits { open_incidents: 200, ..DeviceLimits::default() };
        let fill = |n_others: u64| (0..).find(|n| !limits.has_share(*n, n_others + n)).unwrap();
        assert_eq!([fill(0), fill(100), fill(150), fill(175)], [100, 50, 25, 13]);
        assert!(!limits.is_near_a_share(99) && limits.is_near_a_share(100));
        let smallest = DeviceLimits { open_incidents: 1, ..limits };
        assert!(smallest.has_share(0, 0) && !smallest.has_share(1, 1));
    }

    #[test]
    fn what_is_stored_of_another_version_is_read() {
        let read: QuotaState = serde_json::from_str("{\"events\":7,\"later\":1}").unwrap();
        assert_eq!(read.events, 7);
    }
}

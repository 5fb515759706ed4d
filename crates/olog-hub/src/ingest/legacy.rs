//! Old clients (olog.py) as devices: a client is let in by its name, and what is wrong with it is told once.
//!
//! An old client has no key. The hub gives each name one, derived from its own identity, so that an old client is a device like
//! any other: known or forgotten, listed, LOST and BACK. Nobody can prove that key, so no agent can take it over by itself; a join
//! link for the name replaces it, and the old client is refused from then on.

use olog_proto::{DeviceName, TaskName, Timestamp};
use olog_push::SystemCode;

use super::connect::connect_joined;
use super::lasting::note_begins;
use super::{Connected, Ingest, IngestError, busy};
use crate::apply::{self, LivePolicy};
use crate::journal::LogEntry;
use crate::store::devices::{self, DeviceId, SessionStart};
use crate::store::enrolment::{self, Admitted};
use crate::store::incidents::{self, Subject};
use crate::store::{StoreError, Tx, events, tasks};

/// Tasks of which the last signs are read when a client connects.
const TASKS_MAX: u32 = 2_000;
/// The incident of a clock that differs; it ends when the client connects.
const CLOCK: &str = "legacy_clock";

/// Who an old client is to the hub.
#[derive(Debug)]
pub enum LegacyConnected {
    /// It is a device.
    Known {
        /// Its row.
        device: DeviceId,
        /// Its events are committed through this number.
        acked: u64,
        /// What is known of its tasks.
        tasks: Vec<LastSigns>,
    },
    /// A device with a key of its own has the name.
    NameTaken,
    /// A person forgot it: it waits to be accepted.
    Pending,
}

/// When a task was last well, and when it last erred.
#[derive(Debug)]
pub struct LastSigns {
    /// Which task.
    pub task: TaskName,
    /// Last good.
    pub good_at: Option<Timestamp>,
    /// Last error.
    pub error_at: Option<Timestamp>,
}

/// What is wrong with an old client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LegacyTrouble {
    /// It uses the name of a device that has joined.
    NameTaken,
    /// Another one uses the same name.
    Twice,
    /// Its clock differs by so many seconds.
    Clock(i64),
    /// Its report is larger than the hub accepts; in words.
    Report(String),
}

impl LegacyTrouble {
    /// The name of its incident.
    fn incident(&self) -> &'static str {
        match self {
            LegacyTrouble::NameTaken => "legacy_name",
            LegacyTrouble::Twice => "legacy_twice",
            LegacyTrouble::Clock(_) => CLOCK,
            LegacyTrouble::Report(_) => "legacy_report",
        }
    }
}

impl Ingest {
    /// Lets an old client in under the name that it gives, if that is free or its own. Records what it says of itself.
    /// `start.last` does not matter: the hub numbers an old client's events.
    pub async fn connect_legacy(&self, start: SessionStart) -> Result<LegacyConnected, IngestError> {
        let rules = self.rules.borrow().clone();
        let connected = self.store.write(move |tx| connect_legacy(tx, &rules, &start)).await.map_err(busy)?;
        self.bells.outbox.ring();
        self.bells.watchman.ring();
        Ok(connected)
    }

    /// Tells what is wrong with an old client: once, until a person closes the incident. One that is no device yet has no incident:
    /// the caller sees to it that it is told once.
    pub async fn legacy_trouble(&self, name: &DeviceName, address: String, trouble: LegacyTrouble, now: Timestamp) {
        let rules = self.rules.borrow().clone();
        let name = name.clone();
        let written = self.store.write(move |tx| {
            let own = devices::legacy_by_own_name(tx, name.as_str())?;
            let device = own.map_or_else(|| devices::by_name(tx, name.as_str()), |own| Ok(Some(own)))?;
            enqueue_trouble(tx, &rules, (device.as_ref(), &name), &address, &trouble, now)
        });
        if let Err(error) = written.await {
            tracing::warn!(%error, "trouble of an old client was not recorded");
        }
        self.bells.outbox.ring();
    }
}

fn enqueue_trouble(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    (device, name): (Option<&devices::Device>, &DeviceName),
    address: &str,
    trouble: &LegacyTrouble,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (n, text) = match trouble {
        LegacyTrouble::Clock(seconds) => (seconds.saturating_abs(), ""),
        LegacyTrouble::Report(text) => (0, text.as_str()),
        LegacyTrouble::NameTaken | LegacyTrouble::Twice => (0, ""),
    };
    let code = trouble.incident();
    let args = [
        ("code", code.to_owned()),
        ("name", name.to_string()),
        ("addresses", address.to_owned()),
        ("n", n.to_string()),
        ("text", text.to_owned()),
    ];
    match device {
        Some(device) => note_begins(tx, rules, device, code, (SystemCode::LegacyClient, &args), now, now),
        None => {
            apply::enqueue_notice(tx, rules, &apply::system_notice(None, SystemCode::LegacyClient, &args, now), now)
        }
    }
}

fn connect_legacy(tx: &mut Tx<'_>, rules: &LivePolicy, start: &SessionStart) -> Result<LegacyConnected, StoreError> {
    let mut start = start.clone();
    match enrolment::admit_legacy(tx, &start)? {
        Admitted::Yes => {}
        Admitted::NameTaken(holder) => {
            let holder = devices::get(tx, holder)?;
            let address = start.peer.to_string();
            enqueue_trouble(tx, rules, (holder.as_ref(), &start.name), &address, &LegacyTrouble::NameTaken, start.now)?;
            return Ok(LegacyConnected::NameTaken);
        }
        Admitted::Pending { is_new } => {
            if is_new {
                tx.note(LogEntry::new("a device asks to join").device(&start.name).from(start.peer, &start.version));
            }
            return Ok(LegacyConnected::Pending);
        }
    }
    let Some(device) = devices::by_key(tx, &start.key)? else { return Ok(LegacyConnected::Pending) };
    start.last = events::stream(tx, device.id, start.epoch, start.now)?.acked;
    if let Some(number) = incidents::open_of(tx, Subject::Note, Some(device.id), CLOCK)? {
        incidents::end(tx, number, start.now, "over")?;
    }
    match connect_joined(tx, rules, device, &start)? {
        Connected::Known { device, name, acked } => {
            let listed = tasks::list(tx, Some(name.as_str()), ("", ""), TASKS_MAX)?;
            let signs = |listed: tasks::ListedTask| LastSigns {
                good_at: listed.task.facts.last_good_at(),
                error_at: listed.task.facts.last_error_at(),
                task: listed.task.name,
            };
            Ok(LegacyConnected::Known { device, acked, tasks: listed.into_iter().map(signs).collect() })
        }
        Connected::Pending | Connected::TooManyPending | Connected::Revoked | Connected::NewEpoch { .. } => {
            Ok(LegacyConnected::Pending)
        }
    }
}

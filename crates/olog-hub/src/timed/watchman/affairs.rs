//! Notifications about the hub itself that time brings: that it started, and which devices are new.
//!
//! A start is told the first time, after an unclean stop, after ten minutes away, and when somebody was told that the hub is down. A
//! new device is told at once; those that join soon after it are told together, when no other has joined for a while: who sets up
//! several machines on one evening gets two messages. Both are remembered in the store's settings.

use olog_proto::Timestamp;
use olog_push::SystemCode;
use serde::{Deserialize, Serialize};

use super::MINUTE;
use crate::apply::{self, LivePolicy};
use crate::store::{StoreError, Tx, settings, watch};

/// Where the store keeps [`Life`].
const LIFE: &str = "life";
/// Where the store keeps [`Announced`].
const NEW_DEVICES: &str = "new_devices";
/// Where the store keeps what was told of devices that wait to be accepted.
const PENDING_DEVICES: &str = "pending_devices";
/// Devices that wait to be accepted are told at most so often …
const PENDING_DEVICES_EVERY: i64 = 10 * MINUTE;
/// … with so many names, and so many characters of each: the names are a stranger's text.
const PENDING_NAMES_MAX: usize = 5;
const PENDING_NAME_MAX: usize = 20;
/// A stop in order is told at the next start when the hub was away for this long.
const AWAY_TOLD_AFTER: i64 = 10 * MINUTE;
/// New devices that join soon after a message about others are told when no other has joined for this long …
const NEW_DEVICES_AFTER: i64 = 15 * MINUTE;
/// … but the first of them waits no longer than this. A device that joins later than this after the last message is told at once.
const NEW_DEVICES_WAIT_MAX: i64 = 120 * MINUTE;
/// Names in one message.
const NAMES_MAX: usize = 20;

/// When the hub was last alive.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Life {
    at: Timestamp,
    /// It stopped in order then.
    stopped: bool,
}

/// Which devices were told, of those that joined or of those that wait to be accepted.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Announced {
    at: Timestamp,
    /// All that came until then.
    through: Timestamp,
}

/// The hub starts: told the first time, after an unclean stop, after a long absence, and if somebody was told that it is down.
pub(super) fn started(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    was_told_down: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let since = |life: &Life| [("since", life.at.0.to_string())];
    let notice = match read::<Life>(tx, LIFE)? {
        None => Some(apply::system_notice(None, SystemCode::HubFirstStart, &[], now)),
        Some(life) if !life.stopped => Some(apply::system_notice(None, SystemCode::HubUnclean, &since(&life), now)),
        Some(life) if was_told_down || now.since(life.at) >= AWAY_TOLD_AFTER => {
            Some(apply::system_notice(None, SystemCode::HubAway, &since(&life), now))
        }
        Some(_) => None,
    };
    if let Some(notice) = notice {
        apply::enqueue_notice(tx, rules, &notice, now)?;
    }
    write(tx, LIFE, &Life { at: now, stopped: false }, now)
}

/// The hub is alive.
pub(super) fn alive(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    write(tx, LIFE, &Life { at: now, stopped: false }, now)
}

/// The hub stops in order.
pub(super) fn stopped(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    write(tx, LIFE, &Life { at: now, stopped: true }, now)
}

/// When devices that are new, or that wait to be accepted, have to be told, if there are any.
pub(super) fn devices_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, StoreError> {
    Ok([new_devices_due(tx)?, pending_devices_due(tx)?].into_iter().flatten().min())
}

/// Tells those whose time has come; when the next have to be told.
pub(super) fn tell_devices(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    tell_new_devices(tx, rules, now)?;
    tell_pending_devices(tx, rules, now)?;
    devices_due(tx)
}

/// When new devices have to be told, if there are any. They are news to nobody who has just set them up.
fn new_devices_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, StoreError> {
    let told = read::<Announced>(tx, NEW_DEVICES)?.unwrap_or_default();
    let joined = watch::joined_after(tx, told.through)?;
    let Some(((_, first), (_, last))) = joined.first().zip(joined.last()) else { return Ok(None) };
    let is_alone = first.since(told.at) >= NEW_DEVICES_WAIT_MAX;
    Ok(Some(if is_alone { first.plus(1) } else { last.plus(NEW_DEVICES_AFTER).min(first.plus(NEW_DEVICES_WAIT_MAX)) }))
}

/// Tells who joined since it was last told, if it is time.
fn tell_new_devices(tx: &mut Tx<'_>, rules: &LivePolicy, now: Timestamp) -> Result<(), StoreError> {
    if new_devices_due(tx)?.is_none_or(|due| due > now) {
        return Ok(());
    }
    let told = read::<Announced>(tx, NEW_DEVICES)?.unwrap_or_default();
    let joined = before(watch::joined_after(tx, told.through)?, now);
    let through = joined.iter().map(|(_, at)| *at).max().unwrap_or(told.through);
    let names = list(joined.iter().map(|(name, _)| name.as_str()));
    apply::enqueue_notice(
        tx,
        rules,
        &apply::system_notice(None, SystemCode::NewDevices, &[("devices", names)], now),
        now,
    )?;
    write(tx, NEW_DEVICES, &Announced { at: now, through }, now)
}

/// When devices that wait to be accepted have to be told, if there are any. Whoever can reach the port can wait, under any name.
fn pending_devices_due(tx: &mut Tx<'_>) -> Result<Option<Timestamp>, StoreError> {
    let told = read::<Announced>(tx, PENDING_DEVICES)?.unwrap_or_default();
    let waiting = watch::pending_after(tx, told.through)?;
    Ok(waiting.first().map(|(_, first)| told.at.plus(PENDING_DEVICES_EVERY).max(first.plus(1))))
}

/// Tells how many devices wait to be accepted since it was last told, if it is time.
fn tell_pending_devices(tx: &mut Tx<'_>, rules: &LivePolicy, now: Timestamp) -> Result<(), StoreError> {
    if pending_devices_due(tx)?.is_none_or(|due| due > now) {
        return Ok(());
    }
    let told = read::<Announced>(tx, PENDING_DEVICES)?.unwrap_or_default();
    let waiting = before(watch::pending_after(tx, told.through)?, now);
    let through = waiting.last().map_or(told.through, |(_, at)| *at);
    let names = waiting.iter().map(|(name, _)| name.chars().take(PENDING_NAME_MAX).collect::<String>());
    let n = waiting.len();
    let names: Vec<String> = names.take(PENDING_NAMES_MAX).collect();
    let mut text = names.join(", ");
    if n > names.len() {
        text.push_str(&format!(", +{}", n - names.len()));
    }
    let notice = apply::system_notice(None, SystemCode::PendingDevices, &[("devices", text)], now);
    apply::enqueue_notice(tx, rules, &notice, now)?;
    write(tx, PENDING_DEVICES, &Announced { at: now, through }, now)
}

/// All devices that have joined so far are news to nobody.
pub(super) fn devices_are_known(tx: &mut Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    let joined = watch::joined_after(tx, Timestamp(0))?;
    let through = joined.last().map_or(Timestamp(0), |(_, at)| *at);
    write(tx, NEW_DEVICES, &Announced { at: now, through }, now)
}

/// Leaves out devices of the current millisecond: another one may still come in it, and the time of the last told device decides which
/// are told next.
fn before(mut devices: Vec<(String, Timestamp)>, now: Timestamp) -> Vec<(String, Timestamp)> {
    devices.retain(|(_, at)| *at < now);
    devices
}

/// Names with commas; beyond [`NAMES_MAX`] only how many more.
pub(super) fn list<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let n_more = names.len().saturating_sub(NAMES_MAX);
    let mut text = names.take(NAMES_MAX).collect::<Vec<_>>().join(", ");
    if n_more > 0 {
        text.push_str(&format!(", +{n_more}"));
    }
    text
}

fn read<T: for<'de> Deserialize<'de>>(tx: &mut Tx<'_>, key: &str) -> Result<Option<T>, StoreError> {
    settings::get_json(tx, key)
}

fn write<T: Serialize + for<'de> Deserialize<'de>>(
    tx: &mut Tx<'_>,
    key: &str,
    value: &T,
    now: Timestamp,
) -> Result<(), StoreError> {
    settings::set_json(tx, key, value, now)
}

//! Writes down, once a day, how each device's days went: the data of the report's 30-day strips.

use std::collections::BTreeSet;

use olog_proto::Timestamp;

use crate::apply::LivePolicy;
use crate::rules::liveness::DeviceSnapshot;
use crate::rules::state::{State, day_of};
use crate::store::devices::DeviceId;
use crate::store::{Store, StoreError, Tx, reports};

/// Devices in one transaction.
const PAGE: usize = 500;

/// Everybody who is there or away today. To be called once a day; more often changes nothing.
pub(super) async fn note(
    store: &Store,
    rules: &LivePolicy,
    presences: &[DeviceSnapshot],
    away: &BTreeSet<i64>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let zone = rules.policy.zone;
    let today = day_of(now, zone);
    for page in presences.chunks(PAGE) {
        let page: Vec<(i64, Option<i32>, bool)> = page
            .iter()
            .map(|p| (p.device, p.heard_at.map(|heard| day_of(heard.min(now), zone)), away.contains(&p.device)))
            .collect();
        store
            .write(move |tx| {
                for (device, heard, is_away) in &page {
                    let mut days = reports::days(tx, *device)?;
                    let before = days;
                    if let Some(heard) = heard {
                        days.mark(*heard, State::Ok);
                    }
                    days.carry(today, if *is_away { State::Lost } else { State::Ok });
                    if days != before {
                        reports::set_days(tx, *device, &days)?;
                    }
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}

/// These devices are away as of today.
pub(super) fn lost(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    devices: &[DeviceId],
    now: Timestamp,
) -> Result<(), StoreError> {
    let today = day_of(now, rules.policy.zone);
    for device in devices {
        let mut days = reports::days(tx, device.0)?;
        days.mark(today, State::Lost);
        reports::set_days(tx, device.0, &days)?;
    }
    Ok(())
}

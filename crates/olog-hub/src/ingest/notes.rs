//! Notes: troubles that an agent reports of itself. A trouble that lasts is an incident of the device; one that only happened is a
//! notification. Runs in the transaction of the event; decides nothing about tasks.

use olog_proto::{Note, Timestamp};
use olog_push::SystemCode;

use super::lasting::note_begins;
use super::quota::BatchQuota;
use crate::apply::{self, LivePolicy};
use crate::journal::LogEntry;
use crate::store::devices::Device;
use crate::store::incidents::{self, Subject};
use crate::store::{StoreError, Tx};

/// The agent's own trouble, its end, or something that happened.
pub(super) fn take_note(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &Device,
    note: &Note,
    quota: &mut BatchQuota,
    at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let path = note.path.clone().unwrap_or_default();
    let args = [("code", note.code.clone()), ("path", path.clone()), ("text", note.text.clone())];
    if note.once {
        // What the hub itself has told when it refused the epoch is not told again.
        if note.code == "epoch_renewed" {
            return Ok(());
        }
        let limit = quota.note();
        if !quota.is_within(limit, tx, rules, device, now)? {
            return Ok(());
        }
        return apply::enqueue_notice(
            tx,
            rules,
            &apply::system_notice(Some(device), SystemCode::AgentNote, &args, at),
            now,
        );
    }
    let name = if path.is_empty() { note.code.clone() } else { format!("{} {path}", note.code) };
    if !note.over {
        let is_known = incidents::open_of(tx, Subject::Note, Some(device.id), &name)?.is_some();
        if is_known {
            return Ok(());
        }
        let limit = match quota.note() {
            Some(limit) => Some(limit),
            None => quota.incident(tx, device, None)?,
        };
        if !quota.is_within(limit, tx, rules, device, now)? {
            return Ok(());
        }
        quota.opened(false, true, None);
        return note_begins(tx, rules, device, &name, (SystemCode::AgentNote, &args), at, now);
    }
    if let Some(number) = incidents::open_of(tx, Subject::Note, Some(device.id), &name)? {
        incidents::end(tx, number, at, "over")?;
        let line = LogEntry::new("incident over").incident(number).about(Subject::Note.as_str());
        tx.note(line.device(&device.name).why(name));
        let mut notice = apply::system_notice(Some(device), SystemCode::AgentNoteOver, &args, at);
        notice.incident = Some(number);
        apply::enqueue_notice(tx, rules, &notice, now)?;
    }
    Ok(())
}

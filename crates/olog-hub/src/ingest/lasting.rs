//! The beginning of trouble of a device that lasts: an incident, told once. Whoever finds the trouble ends it.

use olog_proto::Timestamp;
use olog_push::SystemCode;

use crate::apply::{self, LivePolicy};
use crate::journal::LogEntry;
use crate::store::devices::Device;
use crate::store::incidents::{self, Begin, Subject};
use crate::store::{StoreError, Tx};

/// Trouble of a device that lasts: told once, counted when it is said again.
pub(super) fn note_begins(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    device: &Device,
    name: &str,
    (code, args): (SystemCode, &[(&str, String)]),
    at: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    if incidents::open_of(tx, Subject::Note, Some(device.id), name)?.is_some() {
        return Ok(());
    }
    let begin = Begin { subject: Subject::Note, device: Some(device.id), task: None, name, at };
    let text = args.iter().find(|(key, _)| *key == "text").map(|(_, text)| text);
    let number = incidents::begin(tx, &begin, &serde_json::json!({ "text": text }))?;
    let line = LogEntry::new("incident begun").incident(number).about(Subject::Note.as_str());
    tx.note(line.device(&device.name).why(name));
    let mut notice = apply::system_notice(Some(device), code, args, at);
    notice.incident = Some(number);
    apply::enqueue_notice(tx, rules, &notice, now)
}

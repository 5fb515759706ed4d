//! Stored values that this version cannot read (`store::set_aside`): the user is told once, and a later version sends what it
//! can read again.
//!
//! All of them are one incident of the hub: opened with the first value, counted with the others, over when nothing is set
//! aside any more. So one damaged table is one message, and a restart tells nothing again.

use olog_proto::Timestamp;
use olog_push::SystemCode;

use super::{LivePolicy, enqueue_notice, system_notice};
use crate::journal::LogEntry;
use crate::store::incidents::{self, Begin, Subject};
use crate::store::set_aside::{self, Released};
use crate::store::{Store, StoreError, Tx};

/// What the incident is about.
const NAME: &str = "unreadable values";

/// Tells what was set aside since the last time, if anything was. True: the outbox has something new.
pub fn tell_set_aside(tx: &mut Tx<'_>, rules: &LivePolicy, now: Timestamp) -> Result<bool, StoreError> {
    let Some((n, first)) = set_aside::take_untold(tx)? else { return Ok(false) };
    if let Some(number) = incidents::open_of(tx, Subject::Hub, None, NAME)? {
        let n = set_aside::count(tx)?;
        incidents::update(tx, number, now, n, 1)?;
        return Ok(false);
    }
    let begin = Begin { subject: Subject::Hub, device: None, task: None, name: NAME, at: now };
    let number = incidents::begin(tx, &begin, &serde_json::json!({ "text": first.why }))?;
    incidents::update(tx, number, now, n, 1)?;
    tx.note(LogEntry::new("incident begun").incident(number).about(Subject::Hub.as_str()).why(NAME));
    let what = format!("{} {}", first.kind, first.name);
    let args = [("n", n.to_string()), ("what", what), ("why", first.why)];
    let mut notice = system_notice(None, SystemCode::ValuesUnreadable, &args, now);
    notice.incident = Some(number);
    enqueue_notice(tx, rules, &notice, now)?;
    Ok(true)
}

/// At the hub's start: puts back into the queue what this version can read. How many notifications that are.
pub async fn release_set_aside(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let (mut n, mut after) = (0, 0);
    loop {
        let Released { n: released, next } = store.write(move |tx| set_aside::release(tx, after, now)).await?;
        n += released;
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    let ended = store.write(move |tx| match incidents::open_of(tx, Subject::Hub, None, NAME)? {
        Some(number) if set_aside::count(tx)? == 0 => {
            tx.note(LogEntry::new("incident over").incident(number).about(Subject::Hub.as_str()).why("readable again"));
            incidents::end(tx, number, now, "readable")
        }
        _ => Ok(()),
    });
    ended.await?;
    if n > 0 {
        tracing::info!(n, "notifications that an older version could not read are sent now");
    }
    Ok(n)
}

//! Writes the plan of a call to the store: the ledger, the rows, the channel, and what of it has to be told. One transaction.

use std::collections::BTreeSet;

use olog_proto::{Fingerprint, Timestamp};
use olog_push::{Answer, Channel, Kind, Notice, SystemCode};

use super::plan::{CallPlan, CallRecord, ChannelState, IncidentChange, RowsPlan, plan};
use crate::apply::{self, LivePolicy};
use crate::journal::LogEntry;
use crate::store::incidents::{self, Begin, Subject};
use crate::store::outbox::{self, DEVICES_MAX, NewMessage, RowEnd, Wait};
use crate::store::{StoreError, Tx, tasks};

/// Errors that a message has only counted were not told: they leave their incidents' lists, so that they are news when they come
/// again. Before the answer is on record and in small transactions, because there may be thousands; done twice it changes nothing.
pub(super) fn not_told(tx: &mut Tx<'_>, errors: &[(u64, Vec<Fingerprint>)]) -> Result<(), StoreError> {
    for (incident, fingerprints) in errors {
        tasks::edit_facts(tx, *incident, |facts| facts.not_told(fingerprints))?;
    }
    Ok(())
}

/// Writes down what the service said; true if something was put into the outbox because of it.
pub(super) fn record(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    channel: &Channel,
    call: &CallRecord,
) -> Result<bool, StoreError> {
    let message = ledger(tx, channel, call)?;
    let facts = outbox::channel(tx, &channel.name)?;
    let incident = incidents::open_of(tx, Subject::Channel, None, &channel.name)?;
    let has_begun = match facts.failing_at.filter(|_| incident.is_none()) {
        Some(since) => incidents::has_begun_since(tx, Subject::Channel, &channel.name, since)?,
        None => incident.is_some(),
    };
    let plan = plan(call, &channel.receivers(), &ChannelState { facts, incident, has_begun });
    outbox::set_channel(tx, &channel.name, &plan.facts)?;
    rows(tx, channel, call, &plan, message)?;
    if let Some(made_at) = plan.reported_at {
        let n = outbox::told_by_report(tx, &channel.name, message, made_at, call.done_at)?;
        if n > 0 {
            tracing::info!(channel = channel.name, n, "the report has told what still waited");
        }
    }
    let mut notices = 0;
    for (receiver, answer) in &plan.set_aside {
        let args = [("channel", channel.name.clone()), ("receiver", receiver.clone()), ("answer", answer.clone())];
        apply::enqueue_notice(
            tx,
            rules,
            &apply::system_notice(None, SystemCode::ReceiverRefused, &args, call.done_at),
            call.done_at,
        )?;
        notices += 1;
    }
    notices += match &plan.incident {
        IncidentChange::Nothing => 0,
        IncidentChange::Begin { answer } => begin(tx, rules, channel, answer, call.done_at)?,
        IncidentChange::End { number, failing_at } => end(tx, rules, channel, *number, *failing_at, call.done_at)?,
    };
    Ok(notices > 0)
}

/// The message, what it carried, and the answer of each receiver.
fn ledger(tx: &mut Tx<'_>, channel: &Channel, call: &CallRecord) -> Result<i64, StoreError> {
    let devices: BTreeSet<&str> = call.rows.iter().map(|row| device_of(&row.notice)).collect();
    // The report is nobody's share.
    let n = if call.is_report() { 0 } else { DEVICES_MAX };
    let devices: Vec<&str> = devices.into_iter().take(n).collect();
    let rows = outbox::ids(&call.rows);
    let new = NewMessage {
        title: &call.title,
        rows: &rows,
        is_report: call.is_report(),
        devices: &devices,
        at: call.sent_at,
    };
    let message = outbox::put_message(tx, &channel.name, &new)?;
    for (receiver, answer) in &call.answers {
        let (outcome, words) = match answer {
            Answer::Accepted { words } => ("accepted", words),
            Answer::Later { why, .. } => ("later", why),
            Answer::Refused { why, .. } => ("refused", why),
        };
        outbox::put_attempt(tx, message, &receiver.id, outcome, words, call.done_at)?;
    }
    Ok(message)
}

/// Whose share of a budget a notice takes; `""`: the hub's.
fn device_of(notice: &Notice) -> &str {
    notice.device.as_deref().unwrap_or_default()
}

fn rows(
    tx: &mut Tx<'_>,
    channel: &Channel,
    call: &CallRecord,
    plan: &CallPlan,
    message: i64,
) -> Result<(), StoreError> {
    let ids = outbox::ids(&call.rows);
    match &plan.rows {
        RowsPlan::Done(outcome) => {
            if *outcome == RowEnd::Refused {
                let (channel, title) = (&channel.name, &call.title);
                tracing::error!(channel, title, "a message was refused for its form, even short and plain");
            }
            outbox::done(tx, &ids, message, *outcome, call.done_at)
        }
        RowsPlan::Wait { left, place, not_before } => {
            let wait = Wait { left: left.as_deref(), place: *place, not_before: *not_before };
            outbox::wait_on(tx, &ids, message, &wait)
        }
    }
}

fn begin(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    channel: &Channel,
    answer: &str,
    at: Timestamp,
) -> Result<usize, StoreError> {
    let begin = Begin { subject: Subject::Channel, device: None, task: None, name: &channel.name, at };
    let number = incidents::begin(tx, &begin, &serde_json::json!({ "answer": answer }))?;
    let begun = LogEntry::new("incident begun").incident(number).about(Subject::Channel.as_str());
    tx.note(begun.channel(&channel.name).why(answer));
    let args = [("channel", channel.name.clone()), ("answer", answer.to_owned())];
    let mut notice = apply::system_notice(None, SystemCode::ChannelFailing, &args, at);
    notice.incident = Some(number);
    // Through itself it would come when it is over: then its end is what has to be told.
    let wants = |other: &&std::sync::Arc<Channel>| other.name != channel.name && other.wants(Kind::System, None, None);
    let others: Vec<String> = rules.channels.iter().filter(wants).map(|other| other.name.clone()).collect();
    outbox::put(tx, &others, &notice, true, at)?;
    Ok(others.len())
}

fn end(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    channel: &Channel,
    number: u64,
    failing_at: Option<Timestamp>,
    at: Timestamp,
) -> Result<usize, StoreError> {
    incidents::end(tx, number, at, "accepted")?;
    let over = LogEntry::new("incident over").incident(number).about(Subject::Channel.as_str());
    tx.note(over.channel(&channel.name).why("accepted"));
    let since = failing_at.map_or_else(|| "none".to_owned(), |at| at.0.to_string());
    let args = [("channel", channel.name.clone()), ("since", since)];
    let mut notice = apply::system_notice(None, SystemCode::ChannelBack, &args, at);
    notice.incident = Some(number);
    apply::enqueue_notice(tx, rules, &notice, at)?;
    Ok(1)
}

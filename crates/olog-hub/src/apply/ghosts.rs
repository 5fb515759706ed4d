//! Proposes once to put tasks together whose names log rotation made (`rules::ghosts`). Looked for when the hub starts.

use std::collections::{BTreeMap, BTreeSet};

use olog_proto::Timestamp;
use olog_push::SystemCode;

use super::{LivePolicy, enqueue_notice, system_notice};
use crate::rules::ghosts;
use crate::store::{StoreError, Tx, settings, tasks};

/// Where the store keeps which were proposed.
const PROPOSED: &str = "ghost_tasks";
/// Pairs that the message names.
const NAMED_MAX: usize = 5;

/// Tells which tasks look like old names of others, those of earlier starts left out. True: the outbox has something new.
pub fn propose(tx: &mut Tx<'_>, rules: &LivePolicy, now: Timestamp) -> Result<bool, StoreError> {
    let mut by_device: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (device, task) in tasks::names(tx)? {
        by_device.entry(device).or_default().push(task);
    }
    let mut pairs = Vec::new();
    for (device, tasks) in &by_device {
        let names: BTreeSet<&str> = tasks.iter().map(String::as_str).collect();
        pairs.extend(tasks.iter().filter_map(|ghost| Some((device, ghost, ghosts::original(ghost, &names)?))));
    }
    let found: BTreeSet<String> = pairs.iter().map(|(device, ghost, _)| format!("{device}/{ghost}")).collect();
    let proposed: BTreeSet<String> = settings::get_json(tx, PROPOSED)?.unwrap_or_default();
    if found == proposed {
        return Ok(false);
    }
    settings::set_json(tx, PROPOSED, &found, now)?;
    pairs.retain(|(device, ghost, _)| !proposed.contains(&format!("{device}/{ghost}")));
    let Some((device, ghost, task)) = pairs.first() else { return Ok(false) };
    let command = format!("olog-hub task merge {} {} {}", quoted(device), quoted(ghost), quoted(task));
    let named = pairs.iter().take(NAMED_MAX).map(|(device, ghost, task)| format!("{device}/{ghost} → {task}"));
    let mut what = named.collect::<Vec<_>>().join(", ");
    if pairs.len() > NAMED_MAX {
        what.push_str(", …");
    }
    let args = [("n", pairs.len().to_string()), ("what", what), ("command", command)];
    enqueue_notice(tx, rules, &system_notice(None, SystemCode::GhostTasks, &args, now), now)?;
    Ok(true)
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if word.chars().all(is_plain) && !word.starts_with('-') {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

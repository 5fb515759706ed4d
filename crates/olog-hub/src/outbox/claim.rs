//! The claim: which of the waiting rows a dispatcher holds for its next message, or when it looks again.

use std::collections::BTreeSet;

use olog_proto::Timestamp;
use olog_push::words::BudgetUse;
use olog_push::{Channel, Content, Notice, Reason};

use super::worth::{BudgetDecision, WaitingGroup, worth_a_message};
use super::{CHUNK, CLAIM_FOR, FIRST_SIGN_WAIT, LOOK_EVERY, plan};
use crate::apply::LivePolicy;
use crate::rules::budget::Budget;
use crate::store::outbox::{self, ChannelFacts, ClaimFilter, Claimed, RetryTier};
use crate::store::{StoreError, Tx, incidents, tasks};

/// How long until a row that somebody's transaction holds is looked at again.
const LOCKED_WAIT: i64 = 1_000;
/// Rows whose devices a budget asks about, of each urgency: the first that a claim would take.
const DEVICES_LOOKED_AT: u32 = 300;

/// What came of it.
pub(super) enum Claim {
    /// Nothing to do before that.
    Nothing(Timestamp),
    Rows(Box<Claims>),
}

/// Rows that are held, and what was known of their channel when they were.
pub(super) struct Claims {
    pub(super) rows: Vec<Claimed>,
    pub(super) facts: ChannelFacts,
    pub(super) budget: Option<Budget>,
    /// By which they were chosen; more of their like come by it.
    pub(super) pick: ClaimFilter,
}

impl Claims {
    /// What a message says of the budget, if there is anything to say: that some of it has waited, or that little is left.
    pub(super) fn spending(&self, channel: &str) -> Option<BudgetUse> {
        let budget = self.budget.as_ref()?;
        let has_waited = |row: &&Claimed| self.facts.held_through.is_some_and(|last| row.id <= last);
        let n_waited = self.rows.iter().filter(has_waited).count() as u64;
        Some(BudgetUse { channel: channel.to_owned(), n_waited, used: budget.used(), per_day: budget.per_day() })
    }
}

/// Claims what may go now. In the transaction of the caller.
pub(super) fn claim(
    tx: &mut Tx<'_>,
    rules: &LivePolicy,
    channel: &Channel,
    me: &str,
    now: Timestamp,
) -> Result<Claim, StoreError> {
    let name = channel.name.as_str();
    let facts = outbox::channel(tx, name)?;
    if let Some(next_at) = facts.next_at.filter(|next| *next > now) {
        let cut = now.plus(FIRST_SIGN_WAIT);
        // Longer than our own back-off: the service has named it, and who asks before is locked out for longer.
        let is_named = next_at > now.plus(plan::back_off(facts.n_failed, 1.0));
        if facts.paused_at.is_some() || is_named || next_at <= cut || !outbox::new_first_waits(tx, name)? {
            return Ok(Claim::Nothing(next_at));
        }
        // A new first sign does not wait out a long back-off.
        outbox::set_channel(tx, name, &ChannelFacts { next_at: Some(cut), ..facts })?;
        return Ok(Claim::Nothing(cut));
    }
    let budget = outbox::budget(tx, channel, &facts, Some(me), now)?;
    let quiet_until = rules.quiet.as_ref().and_then(|quiet| quiet.ends_at(now));
    let mut pick = ClaimFilter { place: None, only: None, limit: CHUNK };
    if budget.is_some() || quiet_until.is_some() {
        let mut waiting = Vec::new();
        for candidate in outbox::candidates(tx, name, now)? {
            let devices = match budget {
                Some(_) => outbox::devices_of(tx, name, candidate, now, DEVICES_LOOKED_AT)?,
                None => BTreeSet::new(),
            };
            waiting.push(WaitingGroup { candidate, devices });
        }
        match worth_a_message(&waiting, budget.as_ref(), quiet_until, now) {
            // Not a look more: what comes between two statements was not asked about.
            BudgetDecision::Nothing => return nothing_free(tx, name, now),
            BudgetDecision::Message(place, only) => (pick.place, pick.only) = (Some(place), only),
            BudgetDecision::Later { at, for_budget } => {
                let held_through = if for_budget { Some(outbox::last(tx)?) } else { facts.held_through };
                if facts.held_through != held_through {
                    outbox::set_channel(tx, name, &ChannelFacts { held_through, ..facts })?;
                }
                return Ok(Claim::Nothing(at.min(now.plus(LOOK_EVERY))));
            }
        }
    }
    let mut rows = outbox::claim(tx, name, me, now, now.plus(CLAIM_FOR), pick)?;
    if rows.is_empty() {
        return nothing_free(tx, name, now);
    }
    for notice in rows.iter_mut().map(|row| &mut row.notice) {
        bring_up_to_date(tx, notice)?;
    }
    // Of a place where rows differ in who is left to accept them, one transaction's are enough.
    pick.place = Some(RetryTier::Fresh);
    if rows.first().is_some_and(|row| row.place != RetryTier::Fresh) {
        pick.limit = 0;
    }
    Ok(Claim::Rows(Box::new(Claims { rows, facts, budget, pick })))
}

/// A reminder, or an error of an incident that comes and goes, may have waited for hours: it says what is true now. Other
/// recoveries are notices of their own and go with the error.
fn bring_up_to_date(tx: &mut Tx<'_>, notice: &mut Notice) -> Result<(), StoreError> {
    let Some(number) = notice.incident else { return Ok(()) };
    match &mut notice.content {
        Content::Remind { .. } => {
            if let Some(incident) = incidents::open_error(tx, number)? {
                notice.content = incident.reminder();
            }
        }
        Content::Error { why: Reason::ComesAndGoes { .. }, facts, .. } => {
            facts.recovered_at = tasks::calm_since(tx, number)?;
        }
        _ => {}
    }
    Ok(())
}

/// Until the first of those that are held is free.
fn nothing_free(tx: &mut Tx<'_>, channel: &str, now: Timestamp) -> Result<Claim, StoreError> {
    Ok(Claim::Nothing(match outbox::waits_until(tx, channel)? {
        Some(until) if until > now => until,
        // It came between two statements, or a transaction holds it at this moment.
        Some(_) => now.plus(LOCKED_WAIT),
        None => now.plus(LOOK_EVERY),
    }))
}

//! What the user does to a channel: a test through the path of every notification, and a new start after the cause of a failure was removed.

use olog_proto::Timestamp;
use olog_push::SystemCode;

use crate::{
    apply,
    store::{StoreError, Tx, outbox},
};

/// Puts a test into the outbox: a row like any other, so that it tests the path of every notification. A pause and a back-off end,
/// because a person waits for the answer. Gives the row.
pub fn test_channel(tx: &mut Tx<'_>, channel: &str, now: Timestamp) -> Result<i64, StoreError> {
    let notice = apply::system_notice(None, SystemCode::ChannelTest, &[("channel", channel.to_owned())], now);
    outbox::try_again(tx, channel)?;
    outbox::put(tx, &[channel.to_owned()], &notice, true, now)?;
    outbox::latest(tx, channel)
}

/// Ends a pause and a back-off, retries receivers that were refused, and makes the budget whole.
pub fn rearm_channel(tx: &mut Tx<'_>, channel: &str, now: Timestamp) -> Result<(), StoreError> {
    outbox::rearm(tx, channel, now)
}

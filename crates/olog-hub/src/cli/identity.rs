//! The verbs of the hub's identity.

use clap::Subcommand;

use super::words::{Context, VerbOutput, VerbResult, text};
use crate::admin::socket::identity::{HubKey, Rotate};

#[derive(Debug, Subcommand)]
pub(super) enum IdentityVerb {
    /// Print the fingerprint of the hub's key, as join links carry it.
    Show,
    /// Make the hub's next key. After a restart the hub announces it to every agent that connects.
    Next,
    /// Make the next key the hub's key, after it was announced for a week. Takes effect at a restart.
    Rotate {
        /// However short the next key was announced: agents that have not connected meanwhile have to join again.
        #[arg(long)]
        now: bool,
    },
}

pub(super) async fn answer(hub: &Context<'_>, verb: IdentityVerb) -> VerbResult {
    let (key, words): (HubKey, _) = match verb {
        IdentityVerb::Show => {
            let key: HubKey = hub.client.get("/identity").await?;
            return Ok(VerbOutput::sentence(key.fingerprint.to_string()));
        }
        IdentityVerb::Next => (hub.client.post("/identity/next", &()).await?, "cli-identity-next"),
        IdentityVerb::Rotate { now } => {
            (hub.client.post("/identity/rotate", &Rotate { now }).await?, "cli-identity-rotated")
        }
    };
    let from = key.from.map_or_else(String::new, |from| hub.time(from));
    Ok(VerbOutput::sentence(hub.t(words, &[text("key", key.fingerprint.to_string()), text("from", from)])))
}

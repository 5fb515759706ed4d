//! The verbs of the device's key. The running agent makes the key and changes to it; nothing is written here.

use std::time::Duration;

use clap::Subcommand;
use olog_daemon::{
    clock::Clock,
    service::Exit,
    socket::{AskError, Client},
};
use olog_proto::identity::KeyPrint;

use super::{client, complain, failed, print, status::of_terminal};
use crate::{config::Config, socket::IdentityStatus};

#[derive(Debug, Clone, Copy, Subcommand)]
pub(super) enum IdentityVerb {
    /// Print the fingerprint of the device's key.
    Show,
    /// Give the device a new key. The hub rejects the old key as soon as the new one is in use. Needs a running agent.
    Rotate,
}

impl IdentityVerb {
    pub(super) async fn answer(self, config: &Config) -> Exit {
        let (agent, say) = (client(config), of_terminal(Clock::system().now()));
        let asked = match self {
            IdentityVerb::Show => None,
            IdentityVerb::Rotate => match agent.post::<KeyPrint>("/identity/rotate", &()).await {
                Ok(key) => Some(key),
                Err(error) => return failed(&error),
            },
        };
        let known = match until_known_by(&agent, asked).await {
            Ok(known) => known,
            Err(error) => return failed(&error),
        };
        let key = known.fingerprint.to_string();
        match (asked, known.next) {
            (None, None) => print(&(key + "\n")),
            (Some(asked), _) if asked == known.fingerprint => {
                print(&(say.text("agent-identity-rotated", &[("key", key.into())]) + "\n"))
            }
            (_, next) => {
                let next = next.or(asked).map(|next| next.to_string()).unwrap_or_default();
                let why = known.trouble.unwrap_or_else(|| say.word("agent-identity-waits"));
                let words = say.text("agent-identity-next", &[("key", next.into()), ("why", why.into())]);
                let printed = if asked.is_none() { print(&(key + "\n")) } else { Exit::Failed };
                complain(&words);
                printed
            }
        }
    }
}

/// By which key the device is known, after some seconds if it is to be another one.
async fn until_known_by(agent: &Client, key: Option<KeyPrint>) -> Result<IdentityStatus, AskError> {
    const LOOKS: u32 = 50;
    for _ in 1..LOOKS {
        if key.is_some() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let known: IdentityStatus = agent.get("/identity").await?;
        if key.is_none_or(|key| known.trouble.is_some() || key == known.fingerprint && known.connected) {
            return Ok(known);
        }
    }
    agent.get("/identity").await
}

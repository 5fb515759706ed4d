//! The verbs of channels.

use clap::Subcommand;

use super::{
    show,
    words::{Context, VerbOutput, VerbResult, text},
};
use crate::admin::{channel_test, socket::Who};

#[derive(Debug, Subcommand)]
pub(super) enum ChannelVerb {
    /// List the channels.
    List {
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Send a test notification through the normal path and print the service's answer.
    Test {
        /// The name of the channel.
        name: String,
    },
    /// Retry a paused channel and refused receivers now, and reset its daily message budget.
    Rearm {
        /// The name of the channel.
        name: String,
    },
}

pub(super) async fn answer(hub: &Context<'_>, verb: ChannelVerb) -> VerbResult {
    match verb {
        ChannelVerb::List { json } => hub.list("/channels", json, show::CHANNELS).await,
        ChannelVerb::Test { name } => {
            let tested = channel_test::send(hub.client, &name).await?;
            let words = channel_test::words(&hub.say, &name, &tested);
            Ok(if channel_test::is_accepted(&tested) {
                words.into()
            } else {
                VerbOutput { remarks: vec![words.trim_end().to_owned()], is_failed: true, ..VerbOutput::default() }
            })
        }
        ChannelVerb::Rearm { name } => {
            hub.client.post::<()>("/channel/rearm", &Who { who: name.clone() }).await?;
            Ok(VerbOutput::sentence(hub.t("cli-channel-rearmed", &[text("name", name)])))
        }
    }
}

//! The verbs of devices, and `join-link`.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use clap::Subcommand;
use olog_daemon::config::parse_span;
use olog_proto::DeviceName;

use super::{
    complain, show,
    words::{Context, VerbOutput, VerbResult, text},
};
use crate::{
    admin::socket::{AskPingKey, LinkAnswer, MadePingKey, RemovePingKey, Rename, Who},
    net::enrol::{LINK_EXPIRES_MAX, LinkRequest},
};

#[derive(Debug, Subcommand)]
pub(super) enum DeviceVerb {
    /// List the devices.
    List {
        /// Only devices waiting to be accepted.
        #[arg(long)]
        pending: bool,
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Accept a device that is waiting.
    Accept {
        /// Its name, or its key if several waiting devices have that name.
        #[arg(value_name = "NAME|KEY")]
        who: String,
    },
    /// Remove a device: its key is rejected from now on.
    Forget {
        /// The name of the device.
        name: String,
    },
    /// Rename a device.
    Rename {
        /// Its current name.
        old: String,
        /// Its new name.
        new: DeviceName,
    },
    /// Create the key by which jobs of a device ping this hub over HTTP, and print it; it is not shown again.
    PingKey {
        /// The name of the device.
        name: String,
        /// Create another one; the present one is rejected from now on.
        #[arg(long, conflicts_with = "remove")]
        new: bool,
        /// Remove the key: it is rejected from now on.
        #[arg(long)]
        remove: bool,
    },
}

pub(super) fn link_span(text: &str) -> Result<Duration, String> {
    match parse_span(text)? {
        span if span.is_zero() || span > LINK_EXPIRES_MAX => Err("expected at least 1s and at most 30d".to_owned()),
        span => Ok(span),
    }
}

pub(super) async fn answer(hub: &Context<'_>, verb: DeviceVerb) -> VerbResult {
    let done = |key: &str, name: &str, old: &str| hub.t(key, &[text("name", name), text("old", old)]);
    let words = match verb {
        DeviceVerb::List { pending, json } => {
            let columns = if pending { show::PENDING } else { show::DEVICES };
            return hub.list_marked(&format!("/devices?pending={pending}"), json, columns, "version").await;
        }
        DeviceVerb::Accept { who } => {
            hub.client.post::<()>("/device/accept", &Who { who: who.clone() }).await?;
            done("cli-device-accepted", &who, "")
        }
        DeviceVerb::Forget { name } => {
            hub.client.post::<()>("/device/forget", &Who { who: name.clone() }).await?;
            done("cli-device-forgotten", &name, "")
        }
        DeviceVerb::Rename { old, new } => {
            hub.client.post::<()>("/device/rename", &Rename { old: old.clone(), new: new.clone() }).await?;
            done("cli-device-renamed", new.as_str(), &old)
        }
        DeviceVerb::PingKey { name, remove: true, .. } => {
            let request = RemovePingKey { device: name.clone(), task: None };
            let was_there: bool = hub.client.post("/ping-key/remove", &request).await?;
            done(if was_there { "cli-ping-key-removed" } else { "cli-ping-key-none" }, &name, "")
        }
        DeviceVerb::PingKey { name, new, .. } => {
            let request = AskPingKey { device: name.clone(), task: None, is_new: new };
            let MadePingKey { key, url } = hub.client.post("/ping-key/make", &request).await?;
            // A script takes the last word.
            hub.t("cli-ping-key", &[text("name", name), text("url", url), text("key", key)])
        }
    };
    Ok(VerbOutput::sentence(words))
}

/// The link, or the line that installs, goes to stdout alone, so that it can be piped into `olog-agent join` or a shell.
pub(super) async fn join_link(hub: &Context<'_>, request: LinkRequest) -> VerbResult {
    let answer: LinkAnswer = hub.client.post("/join-link", &request).await?;
    answer.word.iter().for_each(|word| complain(word));
    if !request.local || io::stdout().is_terminal() {
        let until = hub.say.duration(i64::try_from(request.expires).unwrap_or(i64::MAX).saturating_mul(1000));
        let how = match (request.local, request.install) {
            (true, _) => "cli-link-local",
            (false, true) => "cli-link-install",
            (false, false) => "cli-link",
        };
        let uses = usize::try_from(request.uses).unwrap_or(usize::MAX);
        complain(&hub.t(how, &[text("span", until), super::words::number("uses", uses)]));
    }
    Ok(VerbOutput::sentence(answer.link))
}

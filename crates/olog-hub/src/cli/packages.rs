//! The verbs of packages. The file goes through the socket; the hub writes it.

use std::{fs::File, io::Read as _, path::PathBuf};

use clap::Subcommand;
use hyper::body::Bytes;

use super::{
    show,
    words::{Context, VerbOutput, VerbResult, text},
};
use crate::{
    admin::socket::Removed,
    net::packages::{Offered, PACKAGE_MAX},
};

#[derive(Debug, Subcommand)]
pub(super) enum PackagesVerb {
    /// Offer packages of the agent (olog-agent_*.deb) to new devices; each replaces the one of its architecture.
    Add {
        /// The packages, as `cargo xtask deb` makes them.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// List the packages that are offered.
    List {
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// No longer offer the package of an architecture.
    Remove {
        /// The architecture: "amd64", "arm64" or "armhf".
        architecture: String,
    },
}

pub(super) async fn answer(hub: &Context<'_>, verb: PackagesVerb) -> VerbResult {
    match verb {
        PackagesVerb::List { json } => hub.list("/packages", json, show::PACKAGES).await,
        PackagesVerb::Remove { architecture } => {
            let gone: Offered = hub.client.post("/packages/remove", &Removed { architecture }).await?;
            Ok(VerbOutput::sentence(hub.t("cli-packages-removed", &[text("name", gone.name)])))
        }
        PackagesVerb::Add { files } => {
            let mut answer = VerbOutput::default();
            for file in files {
                let name = file.display().to_string();
                match add(hub, &file).await {
                    Ok(offered) => {
                        let args = [text("name", offered.name), text("sha256", offered.sha256)];
                        answer.out += &(hub.t("cli-packages-added", &args) + "\n");
                    }
                    // The other files are tried all the same.
                    Err(why) => {
                        answer.remarks.push(format!("olog-hub: {name}: {why}"));
                        answer.is_failed = true;
                    }
                }
            }
            Ok(answer)
        }
    }
}

async fn add(hub: &Context<'_>, file: &PathBuf) -> Result<Offered, String> {
    let mut bytes = Vec::new();
    // One byte more than may be, so that the hub sees that it is too large.
    let read = File::open(file).and_then(|file| file.take(PACKAGE_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| error.to_string())?;
    let added = hub.client.send_file("/packages/add", Bytes::from(bytes)).await;
    added.map_err(|error| error.to_string())
}

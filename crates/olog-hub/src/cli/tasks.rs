//! The verbs of tasks.

use clap::Subcommand;
use olog_daemon::socket::{AskError, Client};
use olog_proto::TaskName;
use serde_json::Value;

use super::show::{self, Show, TASKS};
use crate::admin::socket::{ExpectTask, RenameTask, Which};

#[derive(Debug, Subcommand)]
pub(super) enum TaskVerb {
    /// Print the tasks.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print why a task is what it is, since when, and what would change it.
    Show {
        /// Its device.
        device: String,
        /// Its name.
        task: String,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Forget a task: it is gone from lists and reports until it comes again.
    Forget {
        /// Its device.
        device: String,
        /// Its name.
        task: String,
    },
    /// Give a task another name; what comes under the old one goes on to it.
    Rename {
        /// Its device.
        device: String,
        /// The name it has.
        old: String,
        /// The name it gets.
        new: TaskName,
    },
    /// Say whether a task is expected to come: "off" until you say "on".
    Expect {
        /// Its device.
        device: String,
        /// Its name.
        task: String,
        /// Is it expected?
        expected: OnOff,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnOff {
    /// As hub.toml says.
    On,
    /// Nothing is expected.
    Off,
}

/// What they print.
pub(super) async fn answer(client: &Client, verb: TaskVerb, show: Show) -> Result<String, AskError> {
    match verb {
        TaskVerb::List { json } => {
            let rows: Value = client.get("/tasks").await?;
            Ok(if json { show::json(&rows) } else { show.table(&rows, TASKS) })
        }
        TaskVerb::Show { device, task, json } => {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("device", &device)
                .append_pair("task", &task)
                .finish();
            let shown: Value = client.get(&format!("/task?{query}")).await?;
            Ok(if json { show::json(&shown) } else { show.fields(&shown) })
        }
        TaskVerb::Forget { device, task } => {
            client.post::<()>("/task/forget", &Which { device, task }).await.map(|()| String::new())
        }
        TaskVerb::Rename { device, old, new } => {
            client.post::<()>("/task/rename", &RenameTask { device, old, new }).await.map(|()| String::new())
        }
        TaskVerb::Expect { device, task, expected } => {
            let request = ExpectTask { device, task, is_expected: expected == OnOff::On };
            client.post::<()>("/task/expect", &request).await.map(|()| String::new())
        }
    }
}

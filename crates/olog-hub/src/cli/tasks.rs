//! The verbs of tasks.

use clap::Subcommand;
use olog_proto::{TaskName, name::escape};
use serde_json::Value;

use super::{
    show,
    words::{Context, VerbOutput, VerbResult, text},
};
use crate::admin::socket::{AskPingKey, ExpectTask, MadePingKey, MergeTasks, RemovePingKey, RenameTask, TaskRef};

#[derive(Debug, Subcommand)]
pub(super) enum TaskVerb {
    /// List the tasks.
    List {
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Explain a task's state: why, since when, and what would change it.
    Show {
        /// Its device.
        device: String,
        /// Its name.
        task: String,
        /// As JSON; times are milliseconds since 1970.
        #[arg(long)]
        json: bool,
    },
    /// Remove a task from lists and reports until it is seen again.
    Forget {
        /// Its device.
        device: String,
        /// Its name.
        task: String,
    },
    /// Rename a task; events under the old name go to the new one.
    Rename {
        /// Its device.
        device: String,
        /// Its current name.
        old: String,
        /// Its new name.
        new: TaskName,
    },
    /// Put a task into another one, e.g. one that log rotation made; events under the old name go to the new one.
    Merge {
        /// The device of both.
        device: String,
        /// The task that goes.
        old: String,
        /// The task that stays.
        new: String,
    },
    /// Turn the expectation of a task on or off ("on": as hub.toml says, as its machine has it, or as learnt; a proposed schedule counts from now on).
    Expect {
        /// Its device.
        device: String,
        /// Its name.
        task: String,
        /// Is it expected to run?
        expected: OnOff,
    },
    /// Create a URL by which one task is pinged over HTTP, and print it; it is not shown again.
    PingUrl {
        /// Its device.
        device: String,
        /// Its name.
        task: String,
        /// Create another one; the present one is rejected from now on.
        #[arg(long, conflicts_with = "remove")]
        new: bool,
        /// Remove the URL: it is rejected from now on.
        #[arg(long)]
        remove: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum OnOff {
    /// As hub.toml says, as its machine has it, or as learnt.
    On,
    /// Nothing is expected.
    Off,
}

pub(super) async fn answer(hub: &Context<'_>, verb: TaskVerb) -> VerbResult {
    let done = |key: &str, device: &str, task: &str, old: &str| {
        VerbOutput::sentence(
            hub.t(key, &[text("task", format!("{device}/{task}")), text("old", format!("{device}/{old}"))]),
        )
    };
    Ok(match verb {
        TaskVerb::List { json } => hub.list_marked("/tasks", json, show::TASKS, "device").await?,
        TaskVerb::Show { device, task, json } => {
            let query = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("device", &device)
                .append_pair("task", &task)
                .finish();
            let shown: Value = hub.client.get(&format!("/task?{query}")).await?;
            let lines = shown.get("sentences").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let lines = lines.iter().filter_map(Value::as_str).map(|line| escape(line.as_bytes()) + "\n");
            if json { show::json(&shown) } else { lines.collect() }.into()
        }
        TaskVerb::Forget { device, task } => {
            let which = TaskRef { device: device.clone(), task: task.clone() };
            hub.client.post::<()>("/task/forget", &which).await?;
            done("cli-task-forgotten", &device, &task, "")
        }
        TaskVerb::Rename { device, old, new } => {
            let request = RenameTask { device: device.clone(), old: old.clone(), new: new.clone() };
            hub.client.post::<()>("/task/rename", &request).await?;
            done("cli-task-renamed", &device, new.as_str(), &old)
        }
        TaskVerb::Merge { device, old, new } => {
            let request = MergeTasks { device: device.clone(), old: old.clone(), new: new.clone() };
            hub.client.post::<()>("/task/merge", &request).await?;
            done("cli-task-merged", &device, &new, &old)
        }
        TaskVerb::Expect { device, task, expected } => {
            let is_expected = expected == OnOff::On;
            let request = ExpectTask { device: device.clone(), task: task.clone(), is_expected };
            hub.client.post::<()>("/task/expect", &request).await?;
            done(if is_expected { "cli-task-expected" } else { "cli-task-not-expected" }, &device, &task, "")
        }
        TaskVerb::PingUrl { device, task, remove: true, .. } => {
            let request = RemovePingKey { device: device.clone(), task: Some(task.clone()) };
            let was_there: bool = hub.client.post("/ping-key/remove", &request).await?;
            done(if was_there { "cli-ping-url-removed" } else { "cli-ping-url-none" }, &device, &task, "")
        }
        TaskVerb::PingUrl { device, task, new, .. } => {
            let request = AskPingKey { device: device.clone(), task: Some(task.clone()), is_new: new };
            let MadePingKey { url, .. } = hub.client.post("/ping-key/make", &request).await?;
            // A script takes the last word.
            let args = [text("task", format!("{device}/{task}")), text("url", url)];
            VerbOutput::sentence(hub.t("cli-ping-url", &args))
        }
    })
}

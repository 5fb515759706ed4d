//! `olog-hub import OLOG.CFG`: the configuration of the original server as this hub's own, and the names that it knew.
//!
//! [`page`] is pure: it turns the old configuration into TOML with a comment wherever a meaning has changed. [`put`] writes it, and the
//! names into a file of `state_dir`; the running hub takes that file in with its next reload ([`take_in`]), so that no report calls a
//! device new that was watched for years. Must not: overwrite a file, or touch the store of a running hub.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use olog_daemon::{
    config::ConfigFiles,
    original::{self, OldConfig, Page, PutError, TOKEN_FILE, Traces, Words},
    secret::Secret,
    socket,
};
use olog_proto::{DeviceName, TaskName};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

use crate::{config::ReloadableConfig, store::Store, store::known_names};

/// In `state_dir`, until the hub has taken it in.
const NAMES_FILE: &str = "imported-names.json";
/// As long as the longest `olog.cfg`, and its JSON.
const NAMES_MAX: u64 = 16 << 20;
/// Devices a transaction.
const STEP: usize = 100;
const PORT: u16 = 8765;

/// What is imported.
#[derive(Debug)]
pub struct Imported {
    /// The TOML.
    pub text: String,
    /// WxPusher's token, which is the key of the old clients too.
    pub token: Option<Secret>,
    /// What was known: devices and their tasks.
    names: BTreeMap<DeviceName, BTreeSet<TaskName>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct NamesFile {
    format: u32,
    names: BTreeMap<DeviceName, BTreeSet<TaskName>>,
}

/// The TOML of an old configuration that lies in `folder`. With `declare` its devices are declared; else they stand as comments.
pub fn page(
    old: &OldConfig,
    traces: &Traces,
    live: &ReloadableConfig,
    (file, folder): (&Path, &Path),
    declare: bool,
    words: Words<'_>,
) -> Imported {
    let mut page = Page::new(words);
    page.comment("import-head", &[("file", &file.display().to_string())]);
    page.remarks(&old.remarks);
    page.traces(traces);
    if old.device.is_some() || !old.log_dirs.is_empty() {
        page.comment("import-agent-keys", &[("file", &file.display().to_string())]);
    }
    let port = old.svr_port.unwrap_or(PORT);
    if port != PORT {
        page.value("listen", format!("0.0.0.0:{port}"));
    }
    if let Some(host) = old.svr_ip.as_deref().filter(|host| !["localhost", "127.0.0.1", "0.0.0.0"].contains(host)) {
        page.comment("import-public-url", &[]);
        page.line(&format!("#public_url = {}", toml::Value::from(format!("https://{host}:{port}"))));
    }
    report(&mut page, old, folder);
    let token = old.token.clone();
    if token.is_some() {
        page.line("");
        page.comment("import-legacy", &[]);
        page.line("[legacy]");
        page.value("enabled", true);
        page.value("token_file", TOKEN_FILE);
    }
    channel(&mut page, old, live);
    let names = devices(&mut page, old, declare);
    Imported { text: page.finish(), token, names }
}

fn report(page: &mut Page<'_>, old: &OldConfig, folder: &Path) {
    if old.report_time.is_none() && old.html_dir.is_none() && old.html_url.is_none() {
        return;
    }
    page.line("\n[report]");
    if let Some(time) = &old.report_time {
        page.value("at", vec![time.clone()]);
    }
    if let Some(dir) = &old.html_dir {
        page.comment("import-html-dir", &[]);
        page.value("html_dir", folder.join(dir).display().to_string());
    }
    if let Some(url) = &old.html_url {
        // The original put the page's name right behind it.
        let slash = if url.ends_with('/') { "" } else { "/" };
        page.value("html_url", format!("{url}{slash}"));
    }
}

fn channel(page: &mut Page<'_>, old: &OldConfig, live: &ReloadableConfig) {
    page.line("");
    match old.channel() {
        None if old.token.is_none() && old.uids.is_empty() => page.comment("import-no-channel", &[]),
        None => page.comment("import-half-channel", &[]),
        Some(_) if live.channels.is_empty() => {
            page.comment("import-channel", &[]);
            page.wxpusher("[[channel]]", old);
        }
        Some(_) => page.comment("import-channel-there", &[]),
    }
}

fn devices(page: &mut Page<'_>, old: &OldConfig, declare: bool) -> BTreeMap<DeviceName, BTreeSet<TaskName>> {
    let mut known = BTreeMap::new();
    for (name, seen) in &old.device_tasks {
        let Ok(device) = name.parse::<DeviceName>() else {
            page.comment("import-bad-name", &[("name", name)]);
            continue;
        };
        let mut tasks = BTreeSet::new();
        for task in &seen.tasks {
            match task.parse::<TaskName>() {
                Ok(task) => drop(tasks.insert(task)),
                Err(_) => page.comment("import-bad-name", &[("name", &format!("{name} / {task}"))]),
            }
        }
        known.insert(device, tasks);
    }
    if !known.is_empty() {
        page.line("");
        page.comment(if declare { "import-declared" } else { "import-known" }, &[]);
    }
    let mark = if declare { "" } else { "#" };
    for (device, tasks) in &known {
        page.line("");
        if !declare {
            page.comment("import-known-device", &[("device", device.as_str())]);
        }
        let tasks: Vec<toml::Value> = tasks.iter().map(|task| task.as_str().into()).collect();
        page.line(&format!("{mark}[[device]]"));
        page.line(&format!("{mark}name = {}", toml::Value::from(device.as_str())));
        page.line(&format!("{mark}tasks = {}", toml::Value::from(tasks)));
    }
    known
}

/// Writes the configuration, the token and the names, and returns the files.
pub fn put(source: &ConfigFiles, state_dir: &Path, imported: &Imported) -> Result<Vec<PathBuf>, PutError> {
    let file = original::file(source);
    if file.exists() {
        return Err(PutError::Exists(file));
    }
    let owner = socket::owner_of(state_dir).ok();
    let names = state_dir.join(NAMES_FILE);
    if !imported.names.is_empty() {
        let text = serde_json::to_string(&NamesFile { format: 1, names: imported.names.clone() });
        let text = text.map_err(|error| PutError::Write(names.clone(), error.into()))?;
        original::create(&names, &text, 0o600, owner)?;
    }
    let written = original::put(source, "hub", &imported.text, imported.token.as_ref(), owner);
    if written.is_err() && !imported.names.is_empty() {
        drop(fs::remove_file(&names));
    }
    written
}

/// Takes the imported names into the store. A file that cannot be read is renamed, so that it is logged once.
pub async fn take_in(store: &Store, state_dir: &Path) {
    let path = state_dir.join(NAMES_FILE);
    let Ok(found) = fs::metadata(&path) else { return };
    let read = if found.len() > NAMES_MAX {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"))
    } else {
        fs::read_to_string(&path).and_then(|text| Ok(serde_json::from_str::<NamesFile>(&text)?))
    };
    let names = match read {
        Ok(NamesFile { names, .. }) => names,
        Err(error) => {
            let aside = path.with_extension("unreadable");
            let moved = fs::rename(&path, &aside).is_ok();
            tracing::error!(%error, moved, path = %path.display(), "the imported names cannot be read");
            return;
        }
    };
    let n = names.len();
    let names: Vec<_> = names.into_iter().collect();
    for step in names.chunks(STEP) {
        let step = step.to_vec();
        let written = store
            .write(move |tx| {
                step.iter().try_for_each(|(device, tasks)| {
                    known_names::add(tx, device.as_str(), tasks.iter().map(TaskName::as_str))
                })
            })
            .await;
        if let Err(error) = written {
            // The file stays: the next reload or start tries again.
            tracing::warn!(%error, "the imported names are not taken in yet");
            return;
        }
    }
    match fs::remove_file(&path) {
        Ok(()) => tracing::info!(n, "devices of the imported configuration are known"),
        Err(error) => tracing::warn!(%error, path = %path.display(), "the file of imported names cannot be removed"),
    }
}

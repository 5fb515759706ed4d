//! Puts a report's page where a phone can open it: the folder of a web server, else this hub, else nowhere.
//!
//! A file gets a name that nobody can guess, is written beside its place and renamed, and is readable for the web server whatever the
//! umask. Its name is stored before the file is written, so after any crash the file is known as ours and is removed in its
//! time. No other file of the folder is ever touched. At last the link is opened as a phone would open it.

use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use olog_proto::Timestamp;
use olog_push::fetch::{Fetched, fetch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::Reporter;
use crate::config::ReloadableConfig;
use crate::store::StoreError;
use crate::store::reports;

/// A folder that is slower than this (NFS) is as good as missing.
const WRITE_AFTER: Duration = Duration::from_secs(30);

/// Where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Placed {
    /// What a phone opens.
    pub(super) link: Option<String>,
    /// Why there is none.
    pub(super) why: Option<String>,
    /// What is wrong with the folder, told to a person.
    pub(super) trouble: Option<String>,
    /// The folder that lists its files.
    pub(super) listing: Option<String>,
}

impl Reporter {
    pub(super) async fn place(
        &self,
        live: &ReloadableConfig,
        token: &str,
        html: &str,
        now: Timestamp,
    ) -> Result<Placed, StoreError> {
        let mut placed = Placed::default();
        if let Some(dir) = &live.report.html_dir {
            let name = file_name(token);
            let path = dir.join(&name);
            let stored = path.display().to_string();
            self.store.write(move |tx| reports::add_file(tx, &stored, now)).await?;
            match (put(path, html.to_owned()).await, &live.report.html_url) {
                (Err(error), _) => {
                    let why = format!("html_dir {}: {error}", dir.display());
                    tracing::error!(why, "the report's page is not written");
                    placed.trouble = Some(why);
                }
                (Ok(()), Some(base)) => {
                    check(base, &name, token, &mut placed).await;
                    if placed.link.is_some() {
                        return Ok(placed);
                    }
                }
                (Ok(()), None) => {}
            }
        }
        let mut why: Vec<String> = placed.trouble.iter().cloned().collect();
        if let Some(base) = &live.public_url {
            match fetch(&format!("{base}/healthz")).await {
                Fetched::Answer { status: 200, text } if text.trim() == "ok" => {
                    placed.link = Some(format!("{base}/reports/{token}"));
                }
                Fetched::Answer { status, .. } => {
                    why.push(format!("public_url {base} answers {status}, and not as this hub"));
                }
                Fetched::Nothing(words) => why.push(format!("public_url {base}: {words}")),
            }
        }
        if placed.link.is_none() && !why.is_empty() {
            placed.why = Some(why.join("; "));
        }
        Ok(placed)
    }
}

/// Does the link open, and does the folder keep its names to itself?
async fn check(base: &str, name: &str, token: &str, placed: &mut Placed) {
    let url = format!("{base}/{name}");
    // What is told names the folder: the page's own name differs every day, and is nobody's business.
    match fetch(&url).await {
        Fetched::Answer { status: 200, text } if text.contains("content=\"Olog report\"") => placed.link = Some(url),
        Fetched::Answer { status: 200, .. } => {
            placed.trouble = Some(format!("{base}/ opens another page: is html_url the address of html_dir?"));
        }
        Fetched::Answer { status, .. } => {
            placed.trouble = Some(format!(
                "{base}/ answers {status}: is html_url the address of html_dir, and may the web server read it?"
            ));
        }
        // Many networks do not let a machine reach itself by its public name; a certificate is bad for phones too.
        Fetched::Nothing(why) if why.contains("certificate") => placed.trouble = Some(format!("{base}/: {why}")),
        Fetched::Nothing(why) => {
            // The link is the page's secret: the journal gets the folder only.
            let why = why.replace(&url, base);
            tracing::warn!(base, why, "whether the report's link opens cannot be seen from here");
            placed.link = Some(url);
        }
    }
    if placed.link.is_some()
        && let Fetched::Answer { status: 200, text } = fetch(&format!("{base}/")).await
        && text.contains(token)
    {
        placed.listing = Some(format!("{base}/"));
    }
}

fn file_name(token: &str) -> String {
    format!("olog-{token}.html")
}

/// Is this a name that [`file_name`] gives?
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let token = name.strip_prefix("olog-").and_then(|rest| rest.strip_suffix(".html"));
    token.is_some_and(|token| token.len() == 32 && token.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Writes it beside, then under its name.
async fn put(path: PathBuf, html: String) -> io::Result<()> {
    let write = move || {
        let beside = path.with_extension("tmp");
        let written = (|| {
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(html.as_bytes())?;
            // For the web server, whose user is another one.
            file.set_permissions(std::fs::Permissions::from_mode(0o644))?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)
        })();
        if written.is_err() && std::fs::remove_file(&beside).is_err() {
            tracing::debug!(path = %beside.display(), "there is nothing left to remove");
        }
        written
    };
    on_disk(write).await
}

/// Removes a file of ours; one that is gone already is removed.
pub(super) async fn remove(path: PathBuf) -> io::Result<()> {
    on_disk(move || {
        if !is_ours(&path) {
            return Ok(());
        }
        for path in [path.with_extension("tmp"), path] {
            match std::fs::remove_file(&path) {
                Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                    return Err(error);
                }
                _ => {}
            }
        }
        Ok(())
    })
    .await
}

async fn on_disk(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> io::Result<()> {
    match timeout(WRITE_AFTER, spawn_blocking(work)).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => Err(io::Error::other(error)),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer within 30 s")),
    }
}

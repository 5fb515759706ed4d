//! The packages of the agent that this hub offers to machines that are to join.
//!
//! They lie in `packages/` of the state folder, one for each architecture. A new one is written beside, checked (`deb` reads what it is) and
//! renamed, so that a package is complete or absent; a package that is being downloaded stays whole when another replaces it. Names that others ask
//! for are compared with names that the hub knows, never joined to a path.
//!
//! Offering is all: a device that has joined is never told to upgrade, and nothing is sent that was not asked for. Invariant: what the list says of a
//! package (version, size, SHA-256) is of the bytes that were hashed when it came or when the hub started.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

use axum::body::Bytes;
use futures_util::{Stream, StreamExt as _};
use olog_proto::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::AsyncWriteExt as _,
    sync::{Mutex, OwnedSemaphorePermit, Semaphore},
};

mod deb;
pub mod install;

/// The package that is offered.
pub const PACKAGE: &str = "olog-agent";
/// The architectures that the programs are built for.
pub const ARCHITECTURES: [&str; 3] = ["amd64", "arm64", "armhf"];
/// The largest package; one with debug information takes 20 MiB.
pub const PACKAGE_MAX: u64 = 128 << 20;
/// Downloads at the same time.
const DOWNLOADS_MAX: usize = 16;
/// The start of the name of a file that is not complete yet.
const UNFINISHED: &str = ".new-";

/// A package that is offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// Its name for a download, as apt would call the file.
    pub name: String,
    /// For which machines.
    pub architecture: String,
    /// Debian's version.
    pub version: String,
    /// In bytes.
    pub size: u64,
    /// In hex.
    pub sha256: String,
    /// When it was added.
    pub added_at: Timestamp,
}

/// Why a package is not offered.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The file is no package of Debian.
    #[error("it is not a Debian package")]
    NotADeb,
    /// A part of it is missing.
    #[error("it is cut off")]
    CutOff,
    /// What it says of itself cannot be used.
    #[error("{0}")]
    Control(String),
    /// Another package.
    #[error("it is the package {0}, and only {PACKAGE} is offered")]
    Other(String),
    /// For machines that the agent is not built for.
    #[error("it is for the architecture {architecture}: expected one of {known}", known = ARCHITECTURES.join(", "))]
    Architecture {
        /// Its architecture.
        architecture: String,
    },
    /// Over the bound.
    #[error("it is larger than {mib} MiB", mib = PACKAGE_MAX >> 20)]
    TooLarge,
    /// The state folder.
    #[error("cannot write {path}")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The body broke off.
    #[error("the upload broke off: {0}")]
    Upload(String),
}

/// The folder and what is in it.
#[derive(Debug)]
pub struct Packages {
    folder: PathBuf,
    offered: RwLock<Arc<Vec<Offered>>>,
    /// Changes come one after the other.
    changing: Mutex<()>,
    downloads: Arc<Semaphore>,
}

/// A package on its way to a machine.
#[derive(Debug)]
pub struct Download {
    /// What it is.
    pub offered: Offered,
    /// Its bytes.
    pub file: tokio::fs::File,
    /// Its place among the downloads.
    pub place: OwnedSemaphorePermit,
}

/// Why there is no download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoDownload {
    /// No package has this name.
    Unknown,
    /// Too many at the same time.
    Busy,
}

impl Packages {
    /// Reads what is in this state folder, and removes what a crash has left unfinished.
    pub async fn load(state_dir: &Path) -> Packages {
        let folder = state_dir.join("packages");
        let found = in_background({
            let folder = folder.clone();
            move || Ok(scan(&folder))
        });
        let found = found.await.unwrap_or_default();
        Packages {
            folder,
            offered: RwLock::new(Arc::new(found)),
            changing: Mutex::new(()),
            downloads: Arc::new(Semaphore::new(DOWNLOADS_MAX)),
        }
    }

    /// What is offered, by architecture.
    pub fn list(&self) -> Arc<Vec<Offered>> {
        self.offered.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes a package in; it replaces the one of its architecture.
    pub async fn add<E: std::fmt::Display>(
        &self,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Offered, PackageError> {
        let _one = self.changing.lock().await;
        let write = |source| PackageError::Write { path: self.folder.clone(), source };
        let folder = self.folder.clone();
        let beside = in_background(move || {
            fs::create_dir_all(&folder)?;
            tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&folder)
        });
        let beside = beside.await.map_err(write)?;
        let mut file = tokio::fs::File::from_std(beside.reopen().map_err(write)?);
        let mut size = 0;
        while let Some(part) = body.next().await {
            let part = part.map_err(|error| PackageError::Upload(error.to_string()))?;
            size += part.len() as u64;
            if size > PACKAGE_MAX {
                return Err(PackageError::TooLarge);
            }
            file.write_all(&part).await.map_err(write)?;
        }
        file.sync_all().await.map_err(write)?;
        let read = in_background(move || Ok((read(beside.path())?, beside))).await.map_err(write)?;
        let (offered, beside) = (read.0?, read.1);
        let to = self.folder.join(file_name(&offered.architecture));
        let kept = in_background(move || {
            beside.persist(&to).map_err(|error| error.error)?;
            // The rename is on the disk only when its folder is.
            to.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
        });
        kept.await.map_err(write)?;
        self.change(|list| {
            list.retain(|other| other.architecture != offered.architecture);
            list.push(offered.clone());
            list.sort_by(|a, b| a.architecture.cmp(&b.architecture));
        });
        tracing::info!(package = offered.name, sha256 = offered.sha256, "a package is offered to new devices");
        Ok(offered)
    }

    /// Removes the package of an architecture; `None`: there is none.
    pub async fn remove(&self, architecture: &str) -> Result<Option<Offered>, PackageError> {
        let _one = self.changing.lock().await;
        let Some(gone) = self.list().iter().find(|offered| offered.architecture == architecture).cloned() else {
            return Ok(None);
        };
        let path = self.folder.join(file_name(&gone.architecture));
        match tokio::fs::remove_file(&path).await {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(PackageError::Write { path, source });
            }
            _ => {}
        }
        self.change(|list| list.retain(|other| other.architecture != gone.architecture));
        Ok(Some(gone))
    }

    /// Opens the package of this name.
    pub async fn download(&self, name: &str) -> Result<Download, NoDownload> {
        let offered = self.list().iter().find(|offered| offered.name == name).cloned().ok_or(NoDownload::Unknown)?;
        let place = self.downloads.clone().try_acquire_owned().map_err(|_| NoDownload::Busy)?;
        let path = self.folder.join(file_name(&offered.architecture));
        match tokio::fs::File::open(&path).await {
            Ok(file) => Ok(Download { offered, file, place }),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "a package that is offered cannot be read");
                Err(NoDownload::Unknown)
            }
        }
    }

    fn change(&self, how: impl FnOnce(&mut Vec<Offered>)) {
        let mut offered = self.offered.write().unwrap_or_else(PoisonError::into_inner);
        how(Arc::make_mut(&mut offered));
    }
}

/// One file for each architecture, so that a crash never leaves two.
fn file_name(architecture: &str) -> String {
    format!("{PACKAGE}_{architecture}.deb")
}

async fn in_background<T: Send + 'static>(what: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(what).await.map_err(io::Error::other)?
}

/// The packages of a folder. What cannot be offered stays where it is, with a word in the log.
fn scan(folder: &Path) -> Vec<Offered> {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED)
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "cannot remove an unfinished upload");
        }
    }
    let of = |architecture: &&str| {
        let path = folder.join(file_name(architecture));
        if !path.exists() {
            return None;
        }
        let why = match read(&path) {
            Ok(Ok(offered)) if offered.architecture == *architecture => return Some(offered),
            Ok(Ok(offered)) => format!("it is for {}", offered.architecture),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(path = %path.display(), why, "a package is not offered");
        None
    };
    ARCHITECTURES.iter().filter_map(of).collect()
}

/// What a file is. The outer error is of the disk, the inner one of the file.
fn read(path: &Path) -> io::Result<Result<Offered, PackageError>> {
    let metadata = fs::metadata(path)?;
    if metadata.len() > PACKAGE_MAX {
        return Ok(Err(PackageError::TooLarge));
    }
    let control = match deb::control(fs::File::open(path)?) {
        Ok(control) => control,
        Err(deb::DebError::Io(error)) => return Err(error),
        Err(deb::DebError::NotADeb) => return Ok(Err(PackageError::NotADeb)),
        Err(deb::DebError::CutOff) => return Ok(Err(PackageError::CutOff)),
        Err(deb::DebError::Control(why)) => return Ok(Err(PackageError::Control(why))),
    };
    if control.package != PACKAGE {
        return Ok(Err(PackageError::Other(control.package)));
    }
    if !ARCHITECTURES.contains(&control.architecture.as_str()) {
        return Ok(Err(PackageError::Architecture { architecture: control.architecture }));
    }
    let mut hash = Sha256::new();
    io::copy(&mut fs::File::open(path)?, &mut HashWriter(&mut hash))?;
    let sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let added_at = metadata.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let added_at = added_at.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or_default();
    let deb::Control { version, architecture, .. } = control;
    let name = format!("{PACKAGE}_{version}_{architecture}.deb");
    Ok(Ok(Offered { name, architecture, version, size: metadata.len(), sha256, added_at: Timestamp(added_at) }))
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The newest version of the agent that this hub knows: its own, or that of a package, without Debian's revision.
pub fn newest(offered: &[Offered]) -> Option<semver::Version> {
    let own = semver::Version::parse(env!("CARGO_PKG_VERSION")).ok();
    offered.iter().filter_map(|offered| upstream(&offered.version)).chain(own).max()
}

/// `0.2.0~rc1-1` is 0.2.0-rc1.
fn upstream(version: &str) -> Option<semver::Version> {
    let upstream = version.rsplit_once('-').map_or(version, |(upstream, _)| upstream);
    semver::Version::parse(&upstream.replace('~', "-")).ok()
}

/// The newer version, if a device with this one is behind it. A version that cannot be read is behind nothing.
pub fn behind(version: Option<&str>, newest: Option<&semver::Version>) -> Option<String> {
    let version = semver::Version::parse(version?).ok()?;
    newest.filter(|newest| version < **newest).map(ToString::to_string)
}

#[cfg(test)]
pub(crate) mod tests;

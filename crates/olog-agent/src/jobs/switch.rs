//! Turns the reports of failing services on and off: one drop-in for every service of the machine, shipped and off by default.
//!
//! The drop-in is `service.d/50-olog.conf` in `/etc/systemd/system`. Olog's own units are excepted by a file of the same name in
//! `olog-.service.d`, which the package brings: systemd takes the more specific one. Doing it twice changes nothing.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::systemd::Systemd;

/// What the package brings.
const SHIPPED: &str = "usr/share/olog-agent/50-olog.conf";
/// Where it applies to every service.
const DROP_IN: &str = "etc/systemd/system/service.d/50-olog.conf";
/// Looks again at units that failed.
const TIMER: &str = "olog-units.timer";

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switched {
    /// The drop-in was written, or replaced.
    On(PathBuf),
    /// It was there.
    WasOn(PathBuf),
    /// It was removed.
    Off(PathBuf),
    /// It was not there.
    WasOff,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    /// Only root may.
    #[error("not root")]
    NotRoot,
    /// Another init, or a container without one.
    #[error("no systemd")]
    NoSystemd,
    /// The package's file is not there.
    #[error("{} is missing", .0.display())]
    NotShipped(PathBuf),
    /// The drop-in cannot be changed.
    #[error("{}: {source}", path.display())]
    File {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// systemd does not take it.
    #[error(transparent)]
    Systemd(io::Error),
}

/// Does systemd run on this machine? Not in most containers (sd_booted(3)).
pub fn has_systemd(root: &Path) -> bool {
    root.join("run/systemd/system").is_dir()
}

/// Turns it on or off.
pub async fn switch(root: &Path, systemd: &Systemd, is_root: bool, on: bool) -> Result<Switched, SwitchError> {
    if !is_root {
        return Err(SwitchError::NotRoot);
    }
    if !has_systemd(root) {
        return Err(SwitchError::NoSystemd);
    }
    let path = root.join(DROP_IN);
    let switched = if on { turn_on(root, &path)? } else { turn_off(&path)? };
    // Also if the file was there: an earlier try may have ended between the two.
    let timer = if on { ["enable", "--now", "--quiet", TIMER] } else { ["disable", "--now", "--quiet", TIMER] };
    systemd.control(&["daemon-reload"]).await.map_err(SwitchError::Systemd)?;
    systemd.control(&timer).await.map_err(SwitchError::Systemd)?;
    Ok(switched)
}

fn turn_on(root: &Path, path: &Path) -> Result<Switched, SwitchError> {
    let failed = |source| SwitchError::File { path: path.to_owned(), source };
    let shipped = root.join(SHIPPED);
    let text = match std::fs::read(&shipped) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SwitchError::NotShipped(shipped)),
        Err(source) => return Err(SwitchError::File { path: shipped, source }),
    };
    if std::fs::read(path).is_ok_and(|found| found == text) {
        return Ok(Switched::WasOn(path.to_owned()));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let new = path.with_extension("new");
    std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path)).map_err(failed)?;
    Ok(Switched::On(path.to_owned()))
}

fn turn_off(path: &Path) -> Result<Switched, SwitchError> {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Switched::WasOff),
        Err(source) => return Err(SwitchError::File { path: path.to_owned(), source }),
    }
    // Other drop-ins may be in it.
    if let Some(folder) = path.parent()
        && let Err(error) = std::fs::remove_dir(folder)
    {
        tracing::debug!(%error, "the folder of drop-ins stays");
    }
    Ok(Switched::Off(path.to_owned()))
}

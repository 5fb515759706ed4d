//! Putting the configuration and its secret in place: both, or none.
//!
//! Each is written beside its place, flushed, and renamed; the secret first, since the running hub reads both as soon as the
//! configuration is there. When the second rename fails, the first is undone. The configuration may be read by all; the
//! secret belongs to root and is read by the group of its folder. Where only root reads that, or there is none yet, it is
//! the group `olog-hub` if there is one, else the one that owns `state_dir`. Without root, files keep the caller's ownership.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, fchown},
    path::{Path, PathBuf},
};

use olog_daemon::{
    config::ConfigFiles,
    secret::{Secret, Secrets},
    socket,
};
use rustix::{
    fs::{Access, access},
    process::geteuid,
};

use super::{SetupError, shown};

const FILE: &str = "10-phone.toml";
const GROUP: &str = "olog-hub";

/// Where the two files go.
#[derive(Debug)]
pub(super) struct SetupFiles {
    folder: PathBuf,
    secrets: PathBuf,
}

impl SetupFiles {
    pub(super) fn of(source: &ConfigFiles) -> SetupFiles {
        let folder = source.main().with_extension("d");
        SetupFiles { folder, secrets: Secrets::folder(source.folder(), "hub") }
    }

    pub(super) fn file(&self) -> PathBuf {
        self.folder.join(FILE)
    }

    pub(super) fn secret(&self, name: &str) -> PathBuf {
        self.secrets.join(name)
    }

    /// Before anything is asked; the error names what cannot be written.
    pub(super) fn may_write(&self) -> Result<(), String> {
        for dir in [&self.folder, &self.secrets] {
            let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("/"));
            if access(there, Access::WRITE_OK | Access::EXEC_OK).is_err() {
                return Err(format!("{} and {}", shown(&self.file()), shown(&self.secrets)));
            }
        }
        Ok(())
    }

    pub(super) fn put(&self, state_dir: &Path, text: &str, secret: Option<(&str, &Secret)>) -> Result<(), SetupError> {
        let group = geteuid().is_root().then(|| group(&self.secrets, state_dir)).flatten();
        folder(&self.folder, 0o755, None).map_err(wrong(&self.folder))?;
        let file = self.file();
        let new_file = beside(&file);
        write(&new_file, text, 0o644, None).map_err(wrong(&file))?;
        let mut undo = None;
        if let Some((name, secret)) = secret {
            let path = self.secret(name);
            let new = beside(&path);
            let placed = folder(&self.secrets, 0o750, group)
                .and_then(|()| write(&new, &format!("{}\n", secret.reveal()), 0o640, group))
                .and_then(|()| keep(&path))
                .and_then(|kept| fs::rename(&new, &path).map(|()| kept));
            match placed {
                Ok(kept) => undo = Some((path, kept)),
                Err(error) => {
                    drop((fs::remove_file(&new), fs::remove_file(&new_file)));
                    return Err(wrong(&path)(error));
                }
            }
        }
        let placed = keep(&file).and_then(|_| fs::rename(&new_file, &file));
        if let Some((path, kept)) = undo {
            let undone = match (&placed, kept) {
                (Ok(()), Some(kept)) => fs::remove_file(kept),
                (Ok(()), None) => Ok(()),
                (Err(_), Some(kept)) => fs::rename(kept, &path),
                (Err(_), None) => fs::remove_file(&path),
            };
            undone.map_err(wrong(&path))?;
        }
        placed.map_err(wrong(&file))
    }
}

/// One file that everybody may read, flushed and renamed into its place.
pub(super) fn put_alone(file: &Path, text: &str) -> Result<(), SetupError> {
    let new = beside(file);
    let parent = file.parent().unwrap_or(Path::new("."));
    let placed = folder(parent, 0o755, None).and_then(|()| write(&new, text, 0o644, None));
    placed.and_then(|()| fs::rename(&new, file)).map_err(wrong(file))
}

fn wrong(path: &Path) -> impl Fn(io::Error) -> SetupError + use<> {
    let path = path.to_owned();
    move |source| SetupError::Write { path: path.clone(), source }
}

/// A name that no reader of the folder takes for a part of the configuration.
fn beside(path: &Path) -> PathBuf {
    with(path, ".new")
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// The file as it is, under another name; `None` when there is none.
fn keep(path: &Path) -> io::Result<Option<PathBuf>> {
    let kept = with(path, ".old");
    match fs::remove_file(&kept) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::hard_link(path, &kept) {
        Ok(()) => Ok(Some(kept)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn folder(path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    fs::DirBuilder::new().mode(mode).create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    group.map_or(Ok(()), |group| chown(path, None, Some(group)))
}

fn write(path: &Path, text: &str, mode: u32, group: Option<u32>) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Nobody else reads it before it has its owner.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    group.map_or(Ok(()), |group| fchown(&file, None, Some(group)))?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// The group by which the hub reads its secrets.
fn group(secrets: &Path, state_dir: &Path) -> Option<u32> {
    if let Ok((_, group @ 1..)) = socket::owner_of(secrets) {
        return Some(group);
    }
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let named =
        groups.lines().find_map(|line| line.strip_prefix(GROUP)?.strip_prefix(':')?.split(':').nth(1)?.parse().ok());
    named.or_else(|| socket::owner_of(state_dir).ok().map(|(_, group)| group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_setup_writes_goes_through_no_link_that_lies_in_its_place_or_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, file) = (folder.path().join("victim"), folder.path().join("hub.toml"));
        fs::write(&victim, "root's").unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
        for planted in [beside(&file), file.clone()] {
            std::os::unix::fs::symlink(&victim, &planted).unwrap();
            put_alone(&file, "listen = '127.0.0.1:1'").unwrap();
            assert_eq!(fs::read_to_string(&victim).unwrap(), "root's");
            assert_eq!(fs::metadata(&victim).unwrap().permissions().mode() & 0o777, 0o600, "its mode is as it was");
            assert!(fs::symlink_metadata(&file).unwrap().is_file());
            fs::remove_file(&file).unwrap();
        }
    }
}

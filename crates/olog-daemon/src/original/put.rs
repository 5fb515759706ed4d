//! Writes what was imported: a file beside the configuration, and the token in a file that only the daemon's user may read.
//!
//! Never overwrites. The token comes first, because a running daemon reads both as soon as the configuration is there.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, fchown},
    path::{Path, PathBuf},
};

use super::TOKEN_FILE;
use crate::{
    config::ConfigFiles,
    secret::{Secret, Secrets},
};

const FILE: &str = "20-olog-cfg.toml";

/// Why nothing was written, or not all.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// Such a file is there.
    #[error("{}: is there already, and import overwrites nothing: rename or delete it, then import again", .0.display())]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("{}: cannot be written", .0.display())]
    Write(PathBuf, #[source] io::Error),
}

/// The file of the imported configuration.
pub fn file(source: &ConfigFiles) -> PathBuf {
    source.main().with_extension("d").join(FILE)
}

/// Writes both, and returns their paths. The token's file belongs to `owner` (user and group), if this user may give it away.
pub fn put(
    source: &ConfigFiles,
    program: &str,
    text: &str,
    token: Option<&Secret>,
    owner: Option<(u32, u32)>,
) -> Result<Vec<PathBuf>, PutError> {
    let file = file(source);
    if file.exists() {
        return Err(PutError::Exists(file));
    }
    let mut written = Vec::new();
    if let Some(token) = token {
        let folder = Secrets::folder(source.folder(), program);
        let path = folder.join(TOKEN_FILE);
        let is_same = fs::read_to_string(&path).is_ok_and(|known| known.trim() == token.reveal());
        if !is_same {
            create(&path, &format!("{}\n", token.reveal()), 0o600, owner)?;
            written.push(path);
        }
    }
    match create(&file, text, 0o644, None) {
        Ok(()) => written.push(file),
        Err(error) => {
            for path in &written {
                // What was written belongs to a configuration that is not there.
                drop(fs::remove_file(path));
            }
            return Err(error);
        }
    }
    Ok(written)
}

/// Writes a file that is not there yet, with its folder.
pub fn create(path: &Path, text: &str, mode: u32, owner: Option<(u32, u32)>) -> Result<(), PutError> {
    let wrong = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => PutError::Exists(path.to_owned()),
        _ => PutError::Write(path.to_owned(), error),
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(wrong)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(wrong)?;
    let written = match owner.filter(|_| rustix::process::geteuid().is_root()) {
        // By descriptor: whoever owns the folder may have put a link into the file's place by now.
        Some((user, group)) => fchown(&file, Some(user), Some(group)),
        None => Ok(()),
    };
    let written = written.and_then(|()| file.write_all(text.as_bytes())).and_then(|()| file.sync_all());
    written.map_err(|error| {
        drop(fs::remove_file(path));
        PutError::Write(path.to_owned(), error)
    })
}

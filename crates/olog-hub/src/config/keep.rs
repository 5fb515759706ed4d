//! Backup of the last good configuration: copies of its files in `state_dir/last-good`, by which `olog-hub failed` can still
//! notify somebody when the next start finds a broken configuration. It holds secrets, so only the owner may read it.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
};

use olog_daemon::config::ConfigFiles;

/// Copies the files, and the secrets beside them, then puts the copy in the place of the older one.
pub(super) fn keep(source: &ConfigFiles, state_dir: &Path) -> io::Result<()> {
    let (new, kept) = (state_dir.join("last-good.new"), state_dir.join("last-good"));
    clear(&new)?;
    folder(&new)?;
    for file in source.files()? {
        // The default file may be missing; the copy is asked for by its name, so it is there.
        if file == source.main() {
            copy_if_there(&file, &new.join("hub.toml"))?;
            fs::OpenOptions::new().append(true).create(true).mode(0o600).open(new.join("hub.toml"))?;
        } else if let Some(name) = file.file_name() {
            folder(&new.join("hub.d"))?;
            copy_if_there(&file, &new.join("hub.d").join(name))?;
        }
    }
    let secrets =
        std::env::var_os("CREDENTIALS_DIRECTORY").map_or_else(|| source.folder().join("secrets/hub"), Into::into);
    if let Ok(entries) = fs::read_dir(secrets) {
        let to = new.join("secrets/hub");
        folder(&to)?;
        for entry in entries {
            let entry = entry?;
            if entry.metadata()?.is_file() {
                copy_if_there(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
    }
    clear(&kept)?;
    fs::rename(&new, &kept)
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn copy_if_there(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = match fs::File::open(from) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut from, &mut to).map(|_| ())
}

//! Two small files in `state_dir` that survive a hub that is down.
//!
//! `down.words`: why `run` ended; written by a start or a run that failed, removed by the next good start. `down.told`: which
//! cause was last notified, and when, so that one cause is notified once. A file that cannot be written is logged and never an
//! error, because it must not hide the real one. Readable by the owner only; at most [`BYTES_MAX`] of each is read.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use olog_proto::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

const WORDS: &str = "down.words";
const TOLD: &str = "down.told";
/// Of a trace.
const BYTES_MAX: u64 = 4096;
/// Characters of the words that are kept: what a push has room for.
const CHARS_MAX: usize = 600;

/// Why the hub is down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cause {
    /// As the catalogues know it: `words`, `watchdog`, `signal` …
    pub how: String,
    /// The words, or the number or name that belongs to `how`.
    pub text: String,
}

/// What was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastNotified {
    /// When.
    pub at: Timestamp,
    /// What.
    pub cause: Cause,
    /// The hub has run since.
    pub is_over: bool,
}

/// `run` ends, and why.
pub fn leave(state_dir: &Path, words: &str) {
    let words: String = words.chars().take(CHARS_MAX).collect();
    note(write(&state_dir.join(WORDS), &words));
}

/// What the last `run` left.
pub(super) fn last_words(state_dir: &Path) -> Option<String> {
    read(&state_dir.join(WORDS))
}

/// The hub runs. True: somebody was told that it is down, and not yet that it is back.
pub fn clear(state_dir: &Path) -> bool {
    match fs::remove_file(state_dir.join(WORDS)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => note(Err(error)),
        _ => {}
    }
    let Some(told) = told(state_dir).filter(|told| !told.is_over) else { return false };
    set_told(state_dir, &LastNotified { is_over: true, ..told });
    true
}

/// What was last told.
pub(super) fn told(dir: &Path) -> Option<LastNotified> {
    read(&dir.join(TOLD))
}

/// Remembers what was told; true if it will be.
pub(super) fn set_told(dir: &Path, told: &LastNotified) -> bool {
    let written = write(&dir.join(TOLD), told);
    let is_written = written.is_ok();
    note(written);
    is_written
}

fn note(written: io::Result<()>) {
    if let Err(error) = written {
        tracing::debug!(%error, "a trace for the hub's next start or end is not kept");
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// Written beside and renamed: whoever reads finds the old one or the new one.
fn write<T: Serialize + ?Sized>(path: &Path, value: &T) -> io::Result<()> {
    let new = path.with_extension("new");
    // What an earlier end has left, or a link: that itself goes, and not what it leads to.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(&serde_json::to_vec(value)?)?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_not_written_through_a_link_that_lies_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("down.words"));
        fs::write(&victim, "root's").unwrap();
        std::os::unix::fs::symlink(&victim, path.with_extension("new")).unwrap();
        write(&path, "why").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "root's");
        assert_eq!(read::<String>(&path).unwrap(), "why");
    }
}

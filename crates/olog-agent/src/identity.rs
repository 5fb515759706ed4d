//! The device's identity, in `state_dir`: its key (`device.key`), and the hub that it belongs to (`hub.json`).
//!
//! Both files are readable by their owner only, and belong to the owner of the folder, because `join` may run as root while the
//! daemon runs as its own user. So root becomes that user before it touches the folder ([`become_owner`]): whatever the daemon's user
//! has put there, links included, leads no further than that user may go. The files are written by descriptor, under another name that
//! must be free, and moved into place, so a crash leaves the old file or the new one. [`stage_hub`] writes without moving yet: a folder that
//! cannot be written to is found before a join link is used up.
//!
//! The key is made once; of two processes that make it at the same time, both use the first one's. It is replaced only by the next key
//! (`device.next.key`), which is stored before it is announced to the hub and moved into place after the hub has stored it: wherever
//! the process is ended, the device has a key that the hub takes.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use olog_daemon::socket::owner_of;
use olog_proto::{PublicKey, SecretKey, identity::KeyPrint};
use rustix::{
    fs::{Gid, Mode, OFlags, Uid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};
use serde::{Deserialize, Serialize};

/// Where the hub is, and by what it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hub {
    /// Scheme, host, port and path prefix.
    pub base: String,
    /// Its identity, which it proves in every session.
    pub key: PublicKey,
    /// The identity that it has announced as its next one. Whoever proves one of the two is the hub.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PublicKey>,
    /// The public key of its self-signed certificate; without one the system's roots decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<KeyPrint>,
}

/// Why the files in `state_dir` are of no use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The folder or a file in it cannot be read or written.
    #[error("{path}: {what}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What was attempted.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Not by this user.
    #[error(
        "{path}: {what}: permission denied: become root or the daemon's user, or set `state_dir` to a folder of your own in a \
         file that you name with --config",
        path = path.display()
    )]
    Forbidden {
        /// Which.
        path: PathBuf,
        /// What was attempted.
        what: &'static str,
    },
    /// What is in the file is not what was written.
    #[error("{path}: is damaged: {advice}", path = path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What to do.
        advice: &'static str,
    },
}

/// A source of random bytes; tests bring their own.
pub trait RandomSource: Send {
    /// Fills the whole of it.
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()>;
}

/// The system's random bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl RandomSource for SystemRandom {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(|e| io::Error::other(e.to_string()))
    }
}

fn key_path(state_dir: &Path) -> PathBuf {
    state_dir.join("device.key")
}

fn next_key_path(state_dir: &Path) -> PathBuf {
    state_dir.join("device.next.key")
}

fn hub_path(state_dir: &Path) -> PathBuf {
    state_dir.join("hub.json")
}

/// The device's key; made when there is none.
pub fn device_key(state_dir: &Path, chance: &mut dyn RandomSource) -> Result<SecretKey, IdentityError> {
    let path = key_path(state_dir);
    if let Some(text) = read(&path)? {
        return parse_key(&path, &text);
    }
    make_key(&path, chance)
}

/// The key that the device will have next, if one was made and is not in use yet.
pub fn next_key(state_dir: &Path) -> Result<Option<SecretKey>, IdentityError> {
    let path = next_key_path(state_dir);
    read(&path)?.map(|text| parse_key(&path, &text)).transpose()
}

/// The same; made when there is none.
pub fn make_next_key(state_dir: &Path, chance: &mut dyn RandomSource) -> Result<SecretKey, IdentityError> {
    match next_key(state_dir)? {
        Some(key) => Ok(key),
        None => make_key(&next_key_path(state_dir), chance),
    }
}

/// The next key is the device's key from now on, after a crash as well.
pub fn use_next_key(state_dir: &Path) -> Result<(), IdentityError> {
    let path = key_path(state_dir);
    let moved = fs::rename(next_key_path(state_dir), &path).and_then(|()| fs::File::open(state_dir)?.sync_all());
    moved.map_err(|source| io_error(&path, "the device's next key cannot be moved here", source))
}

fn make_key(path: &Path, chance: &mut dyn RandomSource) -> Result<SecretKey, IdentityError> {
    let mut seed = [0; 32];
    chance.fill(&mut seed).map_err(|source| io_error(path, "no random bytes for a key", source))?;
    let text = format!("{}\n", BASE64.encode(seed));
    let link = |from: &Path, to: &Path| match fs::hard_link(from, to) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    };
    let made = Staged::write(path, &text).and_then(|staged| staged.put(link));
    made.map_err(|source| io_error(path, "the device's key cannot be stored", source))?;
    match read(path)? {
        Some(text) => parse_key(path, &text),
        None => Err(io_error(path, "the device's key vanished", io::ErrorKind::NotFound.into())),
    }
}

fn parse_key(path: &Path, text: &str) -> Result<SecretKey, IdentityError> {
    let mut seed = [0; 32];
    match BASE64.decode_slice(text.trim(), &mut seed) {
        Ok(32) => Ok(SecretKey::from_seed(seed)),
        _ => Err(IdentityError::Damaged {
            path: path.to_owned(),
            advice: "restore it from a backup, or remove it and join again (`olog-hub join-link --device NAME` keeps the history)",
        }),
    }
}

/// The hub that this device joined, if it did.
pub fn hub(state_dir: &Path) -> Result<Option<Hub>, IdentityError> {
    let path = hub_path(state_dir);
    let advice = "remove it and join again";
    read(&path)?
        .map(|text| serde_json::from_str(&text).map_err(|_| IdentityError::Damaged { path: path.clone(), advice }))
        .transpose()
}

/// From now on this device belongs to that hub.
pub fn set_hub(state_dir: &Path, hub: &Hub) -> Result<(), IdentityError> {
    stage_hub(state_dir, hub)?.commit()
}

/// Writes down where the hub is, all but the last step: whatever can fail has failed before the hub is asked for anything.
pub fn stage_hub(state_dir: &Path, hub: &Hub) -> Result<Staged, IdentityError> {
    let path = hub_path(state_dir);
    let text = serde_json::to_string_pretty(hub).unwrap_or_default() + "\n";
    Staged::write(&path, &text).map_err(|source| io_error(&path, "cannot be stored", source))
}

/// The folder for all this; what root makes here is the daemon's, if the system knows its user.
pub fn make_state_dir(state_dir: &Path) -> Result<(), IdentityError> {
    if state_dir.is_dir() {
        return Ok(());
    }
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir).and_then(|()| {
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        match user_ids(&users, "olog-agent").filter(|_| rustix::process::geteuid().is_root()) {
            Some((uid, gid)) => std::os::unix::fs::lchown(state_dir, Some(uid), Some(gid)),
            None => Ok(()),
        }
    });
    made.map_err(|source| io_error(state_dir, "the state_dir cannot be made", source))
}

fn user_ids(users: &str, name: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        let mut ids = fields.skip(1).map(str::parse);
        if is_it { Some((ids.next()?.ok()?, ids.next()?.ok()?)) } else { None }
    })
}

/// Root becomes the owner of the `state_dir`, under whom the daemon runs; for good, with the owner's main group only. Without effect for
/// others. Changes the calling thread and those that it starts later: to be called before there are others.
pub fn become_owner(state_dir: &Path) -> Result<(), IdentityError> {
    let change = || -> io::Result<()> {
        let (uid, gid) = owner_of(state_dir)?;
        if !rustix::process::geteuid().is_root() || uid == 0 {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        Ok(())
    };
    change().map_err(|source| io_error(state_dir, "root cannot become its owner", source))
}

fn io_error(path: &Path, what: &'static str, source: io::Error) -> IdentityError {
    if source.kind() == io::ErrorKind::PermissionDenied {
        return IdentityError::Forbidden { path: path.to_owned(), what };
    }
    IdentityError::Io { path: path.to_owned(), what, source }
}

fn read(path: &Path) -> Result<Option<String>, IdentityError> {
    // Both files are short; whatever else was put there is not read into memory.
    const LONGEST: u64 = 16 * 1024;
    let mut text = String::new();
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty()).map(fs::File::from).map_err(io::Error::from);
    match file.and_then(|file| regular(file)?.take(LONGEST).read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error(path, "cannot be read", source)),
    }
}

/// A link or a FIFO is not what was written here.
fn regular(file: fs::File) -> io::Result<fs::File> {
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// A file that is written beside its place, as the folder's owner; it goes again unless it is moved there.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    beside: PathBuf,
}

impl Staged {
    fn write(path: &Path, text: &str) -> io::Result<Staged> {
        let beside = path.with_extension(format!("new-{}", std::process::id()));
        let staged = Staged { path: path.to_owned(), beside };
        // What an earlier process with this number has left is removed, a link itself and not what it leads to; what is written is a new file.
        match fs::remove_file(&staged.beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&staged.beside)?;
        file.write_all(text.as_bytes())?;
        if rustix::process::geteuid().is_root() {
            let (uid, gid) = owner_of(path.parent().unwrap_or(Path::new(".")))?;
            std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
        file.sync_all()?;
        Ok(staged)
    }

    /// Moves it into its place, over whatever is there.
    pub fn commit(self) -> Result<(), IdentityError> {
        self.put(|from, to| fs::rename(from, to)).map_err(|source| io_error(&self.path, "cannot be stored", source))
    }

    fn put(&self, put: impl FnOnce(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
        put(&self.beside, &self.path)?;
        fs::File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        match fs::remove_file(&self.beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(path = %self.beside.display(), %error, "what was written beside stays");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_readable_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let first = device_key(folder.path(), &mut SystemRandom).unwrap();
        let again = device_key(folder.path(), &mut SystemRandom).unwrap();
        assert_eq!(first.public(), again.public());
        let mode = fs::metadata(key_path(folder.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_next_key_is_made_once_stored_beside_the_key_and_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let old = device_key(folder.path(), &mut SystemRandom).unwrap().public();
        assert!(next_key(folder.path()).unwrap().is_none());
        let next = make_next_key(folder.path(), &mut SystemRandom).unwrap().public();
        assert_eq!(make_next_key(folder.path(), &mut SystemRandom).unwrap().public(), next, "a second try is the same");
        assert_eq!(device_key(folder.path(), &mut SystemRandom).unwrap().public(), old, "not in use yet");
        let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(next_key_path(folder.path())), 0o600);
        use_next_key(folder.path()).unwrap();
        assert_eq!(device_key(folder.path(), &mut SystemRandom).unwrap().public(), next);
        assert_eq!(mode(key_path(folder.path())), 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the old key is not kept");
        assert!(use_next_key(folder.path()).is_err(), "there is no next one");
    }

    #[test]
    fn a_damaged_key_is_told_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(key_path(folder.path()), "short").unwrap();
        let error = device_key(folder.path(), &mut SystemRandom).unwrap_err().to_string();
        assert!(error.contains("device.key: is damaged") && error.contains("join again"), "{error}");
        assert_eq!(fs::read_to_string(key_path(folder.path())).unwrap(), "short");
    }

    #[test]
    fn what_root_stores_never_goes_through_a_link_that_lies_in_its_place() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = outside.path().join("shadow");
        fs::write(&victim, "root's").unwrap();
        let made = outside.path().join("made");
        let beside = |file: &str| folder.path().join(format!("{file}.new-{}", std::process::id()));
        std::os::unix::fs::symlink(&victim, beside("hub")).unwrap();
        std::os::unix::fs::symlink(&made, beside("device")).unwrap();
        device_key(folder.path(), &mut SystemRandom).unwrap();
        let joined = Hub { base: "https://h/olog".into(), key: PublicKey([7; 32]), next: None, tls: None };
        set_hub(folder.path(), &joined).unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "root's");
        assert!(!made.exists(), "nothing is made elsewhere");
        assert_eq!(hub(folder.path()).unwrap(), Some(joined));
        for file in [key_path(folder.path()), hub_path(folder.path())] {
            assert!(fs::symlink_metadata(&file).unwrap().is_file());
            fs::remove_file(&file).unwrap();
            std::os::unix::fs::symlink(&victim, &file).unwrap();
        }
        assert!(
            hub(folder.path()).is_err() && device_key(folder.path(), &mut SystemRandom).is_err(),
            "nor is one read"
        );
    }

    #[test]
    fn root_becomes_the_owner_of_the_state_dir_and_reaches_no_more_than_that_user() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not root: nothing to become");
            return;
        }
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = outside.path().join("shadow");
        fs::write(&victim, "root's").unwrap();
        let state_dir = folder.path().join("state");
        fs::create_dir(&state_dir).unwrap();
        fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(&state_dir, Some(64001), Some(64001)).unwrap();
        std::os::unix::fs::symlink(&victim, state_dir.join("spool.db")).unwrap();
        // The user of a thread, not of the process: the other tests stay root.
        let (state, secret) = (state_dir.clone(), victim.clone());
        let thread = std::thread::spawn(move || {
            become_owner(&state).unwrap();
            assert!(fs::read(&secret).is_err(), "no right of root is left");
            device_key(&state, &mut SystemRandom).unwrap();
            crate::spool::Spool::open(&crate::spool::spool_path(&state), olog_proto::event::Id128([1; 16])).is_err()
        });
        assert!(thread.join().unwrap(), "a link in the place of the spool is not followed");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "root's");
        assert_eq!(owner_of(&state_dir).unwrap().0, 64001);
        let key = fs::metadata(key_path(&state_dir)).unwrap();
        assert_eq!(std::os::linux::fs::MetadataExt::st_uid(&key), 64001, "the daemon can read it");
    }

    #[test]
    fn the_hub_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(hub(folder.path()).unwrap(), None);
        let joined =
            Hub { base: "https://h/olog".into(), key: PublicKey([7; 32]), next: None, tls: Some(KeyPrint([1; 16])) };
        set_hub(folder.path(), &joined).unwrap();
        assert_eq!(hub(folder.path()).unwrap(), Some(joined));
        fs::write(hub_path(folder.path()), "{").unwrap();
        assert!(hub(folder.path()).unwrap_err().to_string().contains("join again"));
    }
}

//! Finds out what stands between the agent and a log dir: the service manager's sandbox, a mount, a missing right; and says the cure.
//!
//! Two ways to know it. The daemon reads its own mount table ([`OwnMounts`]), which says what is really so, whatever a unit or a
//! drop-in asked for. `check`, typed in a shell, is not in the sandbox: it reasons from the unit's settings ([`Unit`], as
//! `systemctl show` prints them). Both produce a message with the drop-in lines that fix it.
//!
//! It only looks; nothing is tried out on anybody's files.

mod unit;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::linux::fs::MetadataExt as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD};

pub use unit::Unit;

/// The two folders that a private /tmp hides.
const TEMPORARY: &[&str] = &["/tmp", "/var/tmp"];
/// What `ProtectHome=` means.
const HOMES: &[&str] = &["/home", "/root", "/run/user"];

/// Lines for `systemctl edit`, as a part of a sentence.
fn drop_in(setting: &str) -> String {
    format!(
        "`systemctl edit olog-agent`, write the two lines \"[Service]\" and \"{setting}\", then `systemctl restart olog-agent`"
    )
}

fn hidden_by(dir: &Path, setting: &str, cleans: bool) -> String {
    let dir = dir.display();
    // With the minus a folder that is not there at the next start does not keep the agent from starting.
    let bind = if cleans { "BindPaths" } else { "BindReadOnlyPaths" };
    format!(
        "the agent's sandbox ({setting}) hides {dir}: what is written there is not seen; use another folder, or: {}",
        drop_in(&format!("{bind}=-{dir}"))
    )
}

fn protected_by(dir: &Path, setting: &str) -> String {
    let dir = dir.display();
    format!(
        "the agent's sandbox ({setting}) lets it read {dir} but delete nothing there: {}",
        drop_in(&format!("ReadWritePaths=-{dir}"))
    )
}

fn beneath_any(dir: &Path, folders: &[&str]) -> bool {
    folders.iter().any(|folder| dir.starts_with(folder))
}

/// The mounts that this process sees.
#[derive(Debug, Default)]
pub struct OwnMounts {
    mounts: Vec<Mount>,
}

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// Its number: another one is another mount, be it of the same file system.
    id: u64,
    /// What of the file system is mounted.
    root: PathBuf,
    /// Where.
    point: PathBuf,
    read_only: bool,
    kind: String,
    /// The file system as a whole is.
    all_read_only: bool,
}

impl OwnMounts {
    /// As it is now; nothing is known without `/proc`.
    pub fn read() -> OwnMounts {
        OwnMounts::parse(&std::fs::read("/proc/self/mountinfo").unwrap_or_default())
    }

    /// Lines of proc_pid_mountinfo(5).
    fn parse(text: &[u8]) -> OwnMounts {
        OwnMounts { mounts: text.split(|&b| b == b'\n').filter_map(Mount::parse).collect() }
    }

    /// The mount in which a path lies: of those over the same point the last one.
    fn over(&self, path: &Path) -> Option<&Mount> {
        let over = self.mounts.iter().filter(|mount| path.starts_with(&mount.point));
        over.max_by_key(|mount| mount.point.components().count())
    }

    /// The mounts below a log dir, not the one that it lies in itself; of those over the same point the last one.
    pub fn mounts_below(&self, dir: &Path) -> BTreeMap<PathBuf, u64> {
        let below = self.mounts.iter().filter(|mount| mount.point != dir && mount.point.starts_with(dir));
        below.map(|mount| (mount.point.clone(), mount.id)).collect()
    }

    /// Why a log dir is not the one that others write to, and what helps.
    pub fn hides(&self, dir: &Path, cleans: bool) -> Option<String> {
        let mount = self.over(dir)?;
        let is_point_of = |folders: &[&str]| folders.iter().any(|folder| mount.point == Path::new(folder));
        let root = mount.root.as_os_str().as_bytes();
        if root.windows(16).any(|part| part == b"systemd-private-") && is_point_of(TEMPORARY) {
            return Some(hidden_by(dir, "PrivateTmp", cleans));
        }
        let covered = mount.root.ends_with("inaccessible/dir");
        let emptied = mount.kind == "tmpfs" && mount.read_only && is_point_of(HOMES);
        if covered || emptied {
            let setting = if beneath_any(dir, HOMES) { "ProtectHome" } else { "InaccessiblePaths" };
            return Some(hidden_by(dir, setting, cleans));
        }
        None
    }

    /// Why nothing can be deleted in a log dir, and what helps. `None` also for one that cannot be looked at.
    pub fn keeps(&self, dir: &Path) -> Option<String> {
        let found = std::fs::metadata(dir).ok().filter(std::fs::Metadata::is_dir)?;
        if let Some(mount) = self.over(dir).filter(|mount| mount.read_only || mount.all_read_only) {
            return Some(match mount.all_read_only {
                true => {
                    format!("{} is on a file system that is mounted read-only: nothing can be deleted", dir.display())
                }
                false if is_supervised() => protected_by(dir, setting_over(dir)),
                false => format!("{} is mounted read-only here: nothing can be deleted", dir.display()),
            });
        }
        let me = rustix::process::geteuid();
        let may_write = rustix::fs::accessat(CWD, dir, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok();
        let is_sticky = found.st_mode() & 0o1000 != 0;
        if may_write && (!is_sticky || me.is_root() || found.st_uid() == me.as_raw()) {
            return None;
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let user = name_of(&users, me.as_raw()).unwrap_or_else(|| me.as_raw().to_string());
        Some(lacks_right(dir, &user, is_sticky))
    }
}

/// Was this process started by systemd as a unit of its own? Then the mounts that it sees are the unit's.
fn is_supervised() -> bool {
    std::env::var_os("INVOCATION_ID").is_some()
}

/// Which of the shipped unit's settings makes a folder read-only.
fn setting_over(dir: &Path) -> &'static str {
    if beneath_any(dir, HOMES) { "ProtectHome" } else { "ProtectSystem" }
}

fn lacks_right(dir: &Path, user: &str, is_sticky: bool) -> String {
    let dir = dir.display();
    if is_sticky {
        format!(
            "the folder {dir} is sticky and another user's: {user} may not delete what others put there: `chown {user} {dir}`"
        )
    } else {
        format!("{user} may not delete in {dir}: `setfacl -m u:{user}:rwx {dir}`, or make {user} its owner or group")
    }
}

fn name_of(users: &str, uid: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

impl Mount {
    fn parse(line: &[u8]) -> Option<Mount> {
        let mut fields = line.split(|&b| b == b' ');
        let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let root = path(fields.nth(2)?);
        let point = path(fields.next()?);
        let options = fields.next()?;
        // Optional fields, up to a dash.
        let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
        let kind = String::from_utf8_lossy(rest.next()?).into_owned();
        let of_all = rest.nth(1)?;
        let is_read_only = |options: &[u8]| options.split(|&b| b == b',').any(|option| option == b"ro");
        Some(Mount { id, root, point, read_only: is_read_only(options), kind, all_read_only: is_read_only(of_all) })
    }
}

/// Blanks and backslashes are written as three octal digits.
fn path(text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// What `check` says of the log dirs beyond whether they can be read: one sentence a finding.
pub fn findings(log_dirs: &[PathBuf], cleans: bool) -> Vec<String> {
    let in_unit = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default().contains("olog-agent.service");
    let unit = if in_unit { None } else { Unit::ask() };
    let inside = OwnMounts::read();
    let mut found = Vec::new();
    for dir in log_dirs {
        let hidden = match &unit {
            Some(unit) => unit.hides(dir, cleans),
            None => inside.hides(dir, cleans),
        };
        let kept = || match &unit {
            Some(unit) => unit.keeps(dir),
            None => inside.keeps(dir),
        };
        found.extend(hidden.or_else(|| if cleans { kept() } else { None }));
    }
    found
}

/// A path, or whatever else stands for it, in a list of them.
fn listed(paths: &[PathBuf]) -> String {
    paths.iter().fold(String::new(), |mut list, path| {
        // Writing into a string does not fail.
        let _written = write!(list, "{}{}", if list.is_empty() { "" } else { ", " }, path.display()).is_ok();
        list
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SANDBOX: &str = "\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 254:1 /usr /usr ro,relatime shared:2 - ext4 /dev/vda1 rw
31 22 254:1 /home /home ro,relatime - ext4 /dev/vda1 rw
32 22 254:1 /tmp/systemd-private-1f-olog-agent.service-Xy/tmp /tmp rw,nosuid - ext4 /dev/vda1 rw
33 32 254:1 /tmp/shown\\040here /tmp/shown\\040here rw - ext4 /dev/vda1 rw
34 22 0:31 /systemd/inaccessible/dir /srv/closed ro,nosuid - tmpfs tmpfs rw
35 22 0:40 / /mnt/cd ro,relatime master:3 - iso9660 /dev/sr0 ro
36 22 0:41 / /run/user ro,nosuid - tmpfs tmpfs rw
";

    #[track_caller]
    fn hides(dir: &str, expected: Option<&str>) {
        let said = OwnMounts::parse(SANDBOX.as_bytes()).hides(Path::new(dir), false);
        match expected {
            None => assert_eq!(said, None),
            Some(part) => assert!(said.as_ref().is_some_and(|said| said.contains(part)), "{said:?}"),
        }
    }

    #[test]
    fn what_the_sandbox_hides_is_seen_from_inside() {
        hides("/tmp/jobs", Some("BindReadOnlyPaths=-/tmp/jobs"));
        hides("/tmp", Some("(PrivateTmp) hides /tmp"));
        hides("/tmp/shown here/x", None);
        hides("/srv/closed/logs", Some("InaccessiblePaths"));
        hides("/run/user/1000", Some("ProtectHome"));
        hides("/home/me", None);
        hides("/var/log/olog", None);
    }

    #[test]
    fn a_folder_in_which_nothing_can_be_deleted_is_told_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let text = |options: &str, of_all: &str| {
            format!("1 1 0:1 / / rw - ext4 x rw\n2 1 0:2 / {} {options} - ext4 y {of_all}\n", folder.path().display())
        };
        let keeps = |options, of_all| OwnMounts::parse(text(options, of_all).as_bytes()).keeps(folder.path());
        assert_eq!(keeps("rw", "rw"), None);
        assert!(keeps("ro", "rw").unwrap().contains("read-only"));
        assert!(keeps("ro", "ro").unwrap().contains("file system that is mounted read-only"));
        assert_eq!(OwnMounts::parse(text("ro", "ro").as_bytes()).keeps(Path::new("/no/such/folder")), None);
    }

    #[test]
    fn this_machines_mounts_can_be_read() {
        assert!(OwnMounts::read().over(Path::new("/")).is_some());
    }
}

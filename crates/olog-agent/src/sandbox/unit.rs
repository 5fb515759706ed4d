//! The unit's settings, asked of systemd, for who is not in the sandbox.

use std::os::linux::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{HOMES, TEMPORARY, beneath_any, hidden_by, lacks_right, listed, protected_by};

const PROPERTIES: &str =
    "LoadState,User,PrivateTmp,ProtectHome,ProtectSystem,ReadWritePaths,BindPaths,BindReadOnlyPaths";
/// systemd's own word for the folders that `ProtectSystem=` makes read-only.
const SYSTEM: &[&str] = &["/usr", "/boot", "/efi"];

/// What of the unit decides over a log dir.
#[derive(Debug, PartialEq, Eq)]
pub struct Unit {
    user: String,
    private_tmp: bool,
    protect_home: String,
    protect_system: String,
    writable: Vec<PathBuf>,
    bound: Vec<PathBuf>,
    bound_read_only: Vec<PathBuf>,
}

impl Default for Unit {
    /// As it is shipped.
    fn default() -> Unit {
        Unit {
            user: "olog-agent".into(),
            private_tmp: true,
            protect_home: "read-only".into(),
            protect_system: "full".into(),
            writable: Vec::new(),
            bound: Vec::new(),
            bound_read_only: Vec::new(),
        }
    }
}

impl Unit {
    /// As systemd has it, with its drop-ins; as shipped, when it does not answer; none without systemd, or without the unit.
    pub fn ask() -> Option<Unit> {
        if !Path::new("/run/systemd/system").is_dir() {
            return None;
        }
        let mut ask = Command::new("systemctl");
        ask.args(["show", "olog-agent.service", "--no-pager", "-p", PROPERTIES]).stdin(Stdio::null());
        match ask.output() {
            Ok(answer) if answer.status.success() => Unit::parse(&String::from_utf8_lossy(&answer.stdout)),
            _ => Some(Unit::default()),
        }
    }

    /// Lines of `systemctl show`.
    fn parse(text: &str) -> Option<Unit> {
        let of = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default().to_owned()
        };
        if of("LoadState") != "loaded" {
            return None;
        }
        let paths = |name: &str| {
            let list = of(name);
            // Each may be SOURCE:DESTINATION:OPTIONS, with signs before it.
            let one = |word: &str| {
                let word = word.trim_start_matches(['-', '+']);
                let mut parts = word.split(':');
                let source = parts.next().unwrap_or_default();
                PathBuf::from(parts.next().filter(|part| !part.is_empty()).unwrap_or(source))
            };
            list.split_whitespace().map(one).collect()
        };
        Some(Unit {
            user: of("User"),
            private_tmp: of("PrivateTmp") == "yes",
            protect_home: of("ProtectHome"),
            protect_system: of("ProtectSystem"),
            writable: paths("ReadWritePaths"),
            bound: paths("BindPaths"),
            bound_read_only: paths("BindReadOnlyPaths"),
        })
    }

    /// As [`super::OwnMounts::hides`].
    pub fn hides(&self, dir: &Path, cleans: bool) -> Option<String> {
        let mut bound = self.bound.iter().chain(&self.bound_read_only);
        if bound.any(|place| dir.starts_with(place)) {
            return None;
        }
        if self.private_tmp && beneath_any(dir, TEMPORARY) {
            return Some(hidden_by(dir, "PrivateTmp", cleans));
        }
        let hides_homes = ["yes", "tmpfs"].contains(&self.protect_home.as_str());
        (hides_homes && beneath_any(dir, HOMES)).then(|| hidden_by(dir, "ProtectHome", cleans))
    }

    /// As [`super::OwnMounts::keeps`], by the rights of the unit's user.
    pub fn keeps(&self, dir: &Path) -> Option<String> {
        if self.bound_read_only.iter().any(|place| dir.starts_with(place)) {
            let places = listed(&self.bound_read_only);
            return Some(format!(
                "the agent's sandbox (BindReadOnlyPaths={places}) lets it delete nothing: use BindPaths"
            ));
        }
        let opened = self.writable.iter().chain(&self.bound).any(|place| dir.starts_with(place));
        let is_home = beneath_any(dir, HOMES) && self.protect_home == "read-only";
        let is_system = match self.protect_system.as_str() {
            "yes" => beneath_any(dir, SYSTEM),
            "full" => beneath_any(dir, SYSTEM) || dir.starts_with("/etc"),
            "strict" => true,
            _ => false,
        };
        if (is_home || is_system) && !opened {
            return Some(protected_by(dir, if is_home { "ProtectHome" } else { "ProtectSystem" }));
        }
        self.lacks_right(dir)
    }

    fn lacks_right(&self, dir: &Path) -> Option<String> {
        let found = std::fs::metadata(dir).ok()?;
        let users = std::fs::read_to_string("/etc/passwd").ok()?;
        let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
        let (uid, gids) = ids(&users, &groups, &self.user)?;
        // A list of rights beside the mode is read by the kernel only.
        let mut none = [0_u8; 0];
        let has_list = rustix::fs::getxattr(dir, "system.posix_acl_access", &mut none).is_ok();
        let mode = found.st_mode();
        let bits = match (found.st_uid() == uid, gids.contains(&found.st_gid())) {
            (true, _) => mode >> 6,
            (_, true) => mode >> 3,
            _ => mode,
        };
        let is_sticky = mode & 0o1000 != 0;
        let may = uid == 0 || (bits & 0o3 == 0o3 && (!is_sticky || found.st_uid() == uid));
        let is_known = is_sticky || !has_list;
        (is_known && !may).then(|| lacks_right(dir, &self.user, is_sticky))
    }
}

/// Of a user: its number, and the numbers of its groups.
fn ids(users: &str, groups: &str, name: &str) -> Option<(u32, Vec<u32>)> {
    let (uid, gid) = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_it = fields.next() == Some(name);
        let mut ids = fields.skip(1).map(|field| field.parse::<u32>().ok());
        if is_it { Some((ids.next()??, ids.next()??)) } else { None }
    })?;
    let more = groups.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [_, _, gid, members] = fields.as_slice() else { return None };
        members.split(',').any(|member| member == name).then(|| gid.parse().ok())?
    });
    Some((uid, more.chain([gid]).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = "LoadState=loaded\nUser=olog-agent\nPrivateTmp=yes\nProtectHome=read-only\nProtectSystem=full\n\
                           ReadWritePaths=\nBindPaths=\nBindReadOnlyPaths=\n";

    #[track_caller]
    fn check(more: &str, dir: &str, expected: &str) {
        let unit = Unit::parse(&(more.to_owned() + SHIPPED)).unwrap();
        let said = unit.hides(Path::new(dir), true).or_else(|| unit.keeps(Path::new(dir))).unwrap_or_default();
        assert!(if expected.is_empty() { said.is_empty() } else { said.contains(expected) }, "{said:?}");
    }

    #[test]
    fn the_units_settings_say_what_is_hidden_and_what_cannot_be_cleaned() {
        assert_eq!(Unit::parse(SHIPPED), Some(Unit::default()));
        check("", "/tmp/jobs", "\"BindPaths=-/tmp/jobs\"");
        check("", "/var/tmp", "PrivateTmp");
        check("", "/home/me/logs", "\"ReadWritePaths=-/home/me/logs\"");
        check("", "/etc/x", "ProtectSystem");
        check("", "/no/such/folder", "");
        check("BindPaths=-/tmp/jobs:/tmp/jobs:rbind\n", "/tmp/jobs/a", "");
        check("BindReadOnlyPaths=/tmp/jobs\n", "/tmp/jobs", "use BindPaths");
        check("ReadWritePaths=-/home/me/logs\n", "/home/me/logs", "");
        check("ProtectHome=yes\n", "/root/x", "(ProtectHome) hides /root/x");
        check("PrivateTmp=no\n", "/tmp/no-such-folder", "");
    }

    #[test]
    fn without_the_unit_there_is_no_sandbox() {
        assert_eq!(Unit::parse("LoadState=not-found\nPrivateTmp=no\n"), None);
        assert_eq!(Unit::parse(""), None);
    }

    #[test]
    fn a_users_groups_are_the_own_and_those_that_name_it() {
        let users = "root:x:0:0::/root:/bin/sh\nolog-agent:x:997:996::/:/bin/false\n";
        let groups = "adm:x:4:me,olog-agent\nolog-agent:x:996:\nbad\n";
        assert_eq!(ids(users, groups, "olog-agent"), Some((997, vec![4, 996])));
        assert_eq!(ids(users, groups, "olog"), None);
    }

    #[test]
    fn a_folder_of_another_user_cannot_be_cleaned_by_the_units() {
        let folder = tempfile::tempdir().unwrap();
        let unit = Unit { user: "nobody".into(), protect_system: "no".into(), private_tmp: false, ..Unit::default() };
        let said = unit.keeps(folder.path()).unwrap_or_default();
        assert!(said.contains("nobody may not delete in"), "{said}");
    }
}

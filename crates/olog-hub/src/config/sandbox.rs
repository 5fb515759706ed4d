//! Whether the hub can write a folder, in words that say what to do: file permissions, and the sandbox of the shipped unit.
//!
//! The daemon tries the folder itself. `check` usually runs as root, who may write anywhere, and outside the sandbox: it judges
//! by the owner and mode of the folder for the hub's user, by the path, and asks systemd whether a drop-in opens it. The
//! hub's user is the owner of `state_dir`. Must not change anything.

use std::{
    os::linux::fs::MetadataExt as _,
    path::Path,
    process::{Command, Stdio},
};

use olog_daemon::service;
use rustix::fs::{Access, access};

/// Where Debian's package puts the unit; without it there is no sandbox.
const UNIT: &str = "/usr/lib/systemd/system/olog-hub.service";

/// Folders, the setting of the unit that closes them (systemd.exec(5)), and what opens one again.
const CLOSED: [(&[&str], &str, &[&str]); 3] = [
    (&["/usr", "/boot", "/efi", "/etc"], "ProtectSystem=full", &["ReadWritePaths=-"]),
    (&["/home", "/root", "/run/user"], "ProtectHome=yes", &["ProtectHome=read-only", "ReadWritePaths=-"]),
    (&["/tmp", "/var/tmp"], "PrivateTmp=yes", &["BindPaths="]),
];

/// What to do about a folder for pages that the hub's user may not write. `None` also where it cannot be known.
pub(super) fn not_writable(dir: &Path, state_dir: &Path) -> Option<String> {
    let (uid, gid) = olog_daemon::socket::owner_of(state_dir).ok()?;
    let is_good = if rustix::process::geteuid().as_raw() == uid {
        access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
    } else {
        // Each folder above is entered, the last one is written.
        let may = |dir: &Path, wanted| std::fs::metadata(dir).is_ok_and(|found| allows(&found, uid, gid, wanted));
        may(dir, 0o3) && dir.ancestors().skip(1).all(|above| may(above, 0o1))
    };
    let dir = dir.display();
    (!is_good).then(|| {
        format!(
            "report.html_dir {dir}: the hub's user (uid {uid}) may not write there, so the report comes whole in the message: \
             sudo chown {uid} '{dir}', or give its group {gid} the right to write"
        )
    })
}

/// Does the mode give these rights, as `rwx` of one digit, to the user? Groups other than the main one are not asked.
fn allows(found: &std::fs::Metadata, uid: u32, gid: u32, wanted: u32) -> bool {
    let shift = match (found.st_uid() == uid, found.st_gid() == gid) {
        (true, _) => 6,
        (false, true) => 3,
        (false, false) => 0,
    };
    uid == 0 || found.st_mode() >> shift & wanted == wanted
}

/// What to do about a folder for pages that the hub will not be able to write.
pub(super) fn html_dir(dir: &Path) -> Option<String> {
    let words = words(dir)?;
    let is_open = if service::is_there() {
        access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
    } else {
        !Path::new(UNIT).exists() || is_opened(dir)
    };
    (!is_open).then_some(words)
}

fn words(dir: &Path) -> Option<String> {
    let (_, setting, lines) =
        CLOSED.iter().find(|(folders, ..)| folders.iter().any(|folder| dir.starts_with(folder)))?;
    let dir = dir.display();
    let lines: Vec<String> = lines
        .iter()
        .map(|line| if line.ends_with(['-', '=']) { format!("\"{line}{dir}\"") } else { format!("\"{line}\"") })
        .collect();
    Some(format!(
        "report.html_dir {dir}: the hub's sandbox ({setting}) keeps it from writing there, and the report comes whole in the \
         message instead: `systemctl edit olog-hub`, write the lines \"[Service]\", {}, then `systemctl restart olog-hub`",
        lines.join(", ")
    ))
}

/// Does a drop-in open it? Without an answer: no.
fn is_opened(dir: &Path) -> bool {
    let mut ask = Command::new("systemctl");
    ask.args(["show", "olog-hub.service", "--no-pager", "--value", "-p", "ReadWritePaths,BindPaths"]);
    let answer = ask.stdin(Stdio::null()).stderr(Stdio::null()).output();
    answer.is_ok_and(|answer| opens(&String::from_utf8_lossy(&answer.stdout), dir))
}

/// Each word is a folder, or SOURCE:DESTINATION:OPTIONS, with signs before it.
fn opens(answer: &str, dir: &Path) -> bool {
    answer.split_whitespace().any(|word| {
        let mut parts = word.trim_start_matches(['-', '+']).split(':');
        let source = parts.next().unwrap_or_default();
        dir.starts_with(parts.next().filter(|part| !part.is_empty()).unwrap_or(source))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_the_sandbox_closes_comes_with_the_drop_in_that_opens_it() {
        let of = |dir: &str| words(Path::new(dir));
        assert!(of("/usr/share/nginx/html").unwrap().contains("\"ReadWritePaths=-/usr/share/nginx/html\", then"));
        let home = of("/home/alice/www").unwrap();
        assert!(
            home.contains("(ProtectHome=yes)") && home.contains("\"ProtectHome=read-only\", \"ReadWritePaths=-/home/")
        );
        assert!(of("/tmp/pages").unwrap().contains("\"BindPaths=/tmp/pages\""));
        assert_eq!(of("/srv/www"), None);
        assert_eq!(of("/var/www/html"), None);
        assert_eq!(of("/users/www"), None);
    }

    #[test]
    fn a_folder_of_another_user_is_judged_by_its_mode_for_the_hubs_user() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let found = |mode: u32| {
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            std::fs::metadata(folder.path()).unwrap()
        };
        let (uid, gid) = (found(0o700).st_uid(), found(0o700).st_gid());
        for (mode, uid, gid, expected) in [
            (0o700, uid.max(1), 1, uid != 0),
            (0o755, uid + 1, gid + 1, false),
            (0o775, uid + 1, gid, true),
            (0o777, uid + 1, gid + 1, true),
            (0o757, uid + 1, gid, false),
            (0o500, 0, 0, true),
        ] {
            assert_eq!(allows(&found(mode), uid, gid, 0o3), expected, "{mode:o} {uid} {gid}");
        }
    }

    #[test]
    fn a_folder_that_a_drop_in_opens_is_known_by_systemds_words() {
        let dir = Path::new("/usr/share/nginx/html");
        assert!(opens("-/usr/share/nginx\n\n", dir));
        assert!(opens("\n/srv/pages:/usr/share/nginx/html:rbind\n", dir));
        assert!(!opens("/usr/share/doc\n/usr/share/nginx/html:/srv/pages\n", dir));
        assert!(!opens("", dir));
    }
}

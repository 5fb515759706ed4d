//! The one line that `systemctl status olog-agent` shows, and the same words in the journal's first line.

use std::path::Path;

use crate::socket::Status;

/// Shown of the first trouble, in characters: the line is read in a terminal.
const TROUBLE_MAX: usize = 160;

/// How the agent is, in one line.
pub(super) fn line(status: &Status, local_hub: bool) -> String {
    let hub = match (&status.hub, status.connected, &status.trouble) {
        (None, _, _) => return format!("not joined: {}; {}", how_to_join(local_hub), watching(status)),
        (Some(hub), true, _) => format!("connected to {hub}"),
        (Some(hub), false, Some(trouble)) => format!("no session with {hub}: {}", cut(trouble)),
        (Some(hub), false, None) => format!("connecting to {hub}"),
    };
    format!("{hub}; {}", watching(status))
}

/// What to type on a device that has no hub yet.
pub(crate) fn how_to_join(local_hub: bool) -> &'static str {
    if local_hub {
        "run `olog-agent join` with the line that `olog-hub join-link` prints; for the hub of this machine: \
         `olog-hub join-link --local | olog-agent join`"
    } else {
        "run `olog-agent join` with the line that `olog-hub join-link` prints"
    }
}

/// Does a hub run on this machine?
pub(crate) fn hub_is_here() -> bool {
    Path::new("/run/olog-hub").is_dir()
}

/// How much is watched.
pub(crate) fn watched(status: &Status) -> String {
    let files = counted(status.watched_files, "file", "files");
    format!("watching {files} in {}", counted(status.watched_folders, "folder", "folders"))
}

fn watching(status: &Status) -> String {
    let mut line = watched(status);
    match status.spool {
        0 => {}
        1 => line += "; 1 event waits",
        n => line += &format!("; {n} events wait"),
    }
    if let Some(first) = status.notes.first() {
        let path = first.path.as_deref().filter(|path| !first.text.contains(path));
        let path = path.map(|path| format!("{path}: ")).unwrap_or_default();
        let n = status.notes.len() as u64;
        line += &format!("; {}: {path}{}", counted(n, "trouble", "troubles"), cut(&first.text));
    }
    line
}

fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

fn cut(text: &str) -> String {
    let mut short: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TROUBLE_MAX).collect();
    if short.chars().count() < text.chars().count() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use olog_proto::{Note, event::Id128};

    use super::*;

    fn status() -> Status {
        Status {
            version: String::new(),
            device: "comsrv".into(),
            joined: true,
            hub: Some("https://hub:8765".into()),
            connected: true,
            trouble: None,
            skew: None,
            spool: 0,
            spool_bytes: 0,
            epoch: Id128([0; 16]),
            last: 0,
            acked: 0,
            watched_files: 214,
            watched_folders: 12,
            runs: Vec::new(),
            notes: Vec::new(),
            workers: Vec::new(),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Status), expected: &str) {
        let mut status = status();
        change(&mut status);
        assert_eq!(line(&status, false), expected);
    }

    #[test]
    fn the_line_says_what_an_operator_asks_first() {
        check(|_| {}, "connected to https://hub:8765; watching 214 files in 12 folders");
        check(
            |s| {
                s.spool = 3;
                let text = "cannot read the folder /srv/x: Permission denied".to_owned();
                s.notes = vec![Note {
                    code: "log_dir_unreadable".into(),
                    path: Some("/srv/x".into()),
                    text,
                    over: false,
                    once: false,
                }];
            },
            "connected to https://hub:8765; watching 214 files in 12 folders; 3 events wait; \
             1 trouble: cannot read the folder /srv/x: Permission denied",
        );
        check(
            |s| {
                (s.connected, s.trouble) = (false, Some("TCP: 10.0.0.1:8765: connection refused".into()));
                (s.watched_files, s.watched_folders, s.spool) = (1, 1, 1);
            },
            "no session with https://hub:8765: TCP: 10.0.0.1:8765: connection refused; watching 1 file in 1 folder; 1 event waits",
        );
    }

    #[test]
    fn not_joined_says_how_also_on_the_hubs_own_machine() {
        let status = Status { hub: None, joined: false, connected: false, ..status() };
        assert!(line(&status, false).starts_with("not joined: run `olog-agent join` with the line"));
        assert!(line(&status, true).contains("`olog-hub join-link --local | olog-agent join`"));
    }
}

//! The one line that `systemctl status olog-agent` shows, and the same words in the journal's first line.
//!
//! The line is in the language of the daemon's environment, into which systemd puts the machine's locale. The journal is in English.

use std::path::Path;

use olog_push::words::Language;

use crate::socket::Status;

/// Shown of the first trouble, in characters: the line is read in a terminal.
const TROUBLE_MAX: usize = 160;

/// How the agent is, in one line.
pub(super) fn line(language: Language, status: &Status, local_hub: bool) -> String {
    let hub = match (&status.hub, status.connected, &status.trouble) {
        (None, _, _) => {
            let how = language.phrase(how_to_join(local_hub));
            return language.sentence("not joined: {1}; {2}", &[&how, &watching(language, status)]);
        }
        (Some(hub), true, _) => language.sentence("connected to {1}", &[hub]),
        (Some(hub), false, Some(trouble)) => {
            language.sentence("no session with {1}: {2}", &[hub, &cut(&language.phrase(trouble))])
        }
        (Some(hub), false, None) => language.sentence("connecting to {1}", &[hub]),
    };
    language.parts(&[hub, watching(language, status)])
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
pub(crate) fn watched(language: Language, status: &Status) -> String {
    let files = language.counted(status.watched_files, "1 file", "{1} files");
    let folders = language.counted(status.watched_folders, "1 folder", "{1} folders");
    language.sentence("watching {1} in {2}", &[&files, &folders])
}

fn watching(language: Language, status: &Status) -> String {
    let mut parts = vec![watched(language, status)];
    if status.spool > 0 {
        parts.push(language.counted(status.spool, "1 event waits", "{1} events wait"));
    }
    if let Some(first) = status.notes.first() {
        let path = first.path.as_deref().filter(|path| !first.text.contains(path));
        let path = path.map(|path| format!("{path}: ")).unwrap_or_default();
        let troubles = language.counted(status.notes.len() as u64, "1 trouble", "{1} troubles");
        let text = format!("{path}{}", cut(&language.phrase(&first.text)));
        parts.push(language.labelled(&troubles, &text));
    }
    language.parts(&parts)
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
        assert_eq!(line(Language::En, &status, false), expected);
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
    fn the_line_is_in_the_language_of_the_machine() {
        let chinese = |status: &Status| line(Language::ZhCn, status, false);
        let mut status = Status { spool: 3, ..status() };
        assert_eq!(chinese(&status), "已连接 https://hub:8765；正在监视 12 个文件夹中的 214 个文件；3 个事件待发送");
        (status.connected, status.trouble) = (false, Some("no answer from the hub".into()));
        assert!(chinese(&status).starts_with("与 https://hub:8765 没有会话：服务端没有应答；"), "{}", chinese(&status));
        status.hub = None;
        assert!(chinese(&status).starts_with("尚未加入服务端：请用 `olog-hub join-link`"), "{}", chinese(&status));
    }

    #[test]
    fn not_joined_says_how_also_on_the_hubs_own_machine() {
        let status = Status { hub: None, joined: false, connected: false, ..status() };
        assert!(line(Language::En, &status, false).starts_with("not joined: run `olog-agent join` with the line"));
        assert!(line(Language::En, &status, true).contains("`olog-hub join-link --local | olog-agent join`"));
    }
}

//! Every key of `agent.toml`, one row each: the registry that `config` reads by. The keys of a channel are in the crate `olog-push`.

use std::time::Duration;

use olog_daemon::{config::Key, keys};

/// In the order of the reference.
pub static KEYS: &[Key] = keys! {
    /// The name of this device, unique at the hub. A change renames the device, if the name is free.
    "device", Text, Found("the host's name"), "0.1";
    /// How to reach the device by ssh, shown in alerts: `USER@HOST:PORT`.
    "address", Text, Unset, "0.1";
    /// Folders to watch, with all their sub-folders.
    "log_dirs", Texts, Is("[\"/var/log/olog\"]"), "0.1";
    /// Log files older than this many days are deleted. Absent: nothing is ever deleted.
    "log_keep_days", Int(1, 36_500), Unset, "0.1";
    /// The folder for the agent's key, its spool and its hub's address. A change needs a restart.
    "state_dir", Path, Found("`$STATE_DIRECTORY`, else `/var/lib/olog-agent`"), "0.1";
    /// The Unix socket of the verbs. A change needs a restart.
    "socket", Path, Found("`/run/olog-agent/agent.sock` if that folder exists, else in `state_dir`"), "0.1";
    /// An event is made this long after the last close of a file.
    "settle", Span(Duration::ZERO), Is("\"100ms\""), "0.1";
    /// An event is made at most this long after the first change of a file.
    "settle_max", Span(Duration::ZERO), Is("\"10s\""), "0.1";
    /// All folders are looked at this often, in case the kernel missed something.
    "rescan_every", Span(Duration::from_secs(1)), Is("\"1h\""), "0.1";
    /// Events that the hub has not acknowledged are kept on disk, up to this size.
    "spool_max", Size(1 << 20), Is("\"1GiB\""), "0.1";
    /// The encoding of text that is not UTF-8 and has no byte order mark, like `gb18030`. Absent: detected. `utf-8`: never guess.
    "encoding", Text, Unset, "0.1";
    /// Regular expressions: what they match is masked before anything is stored. Well-known secrets are always masked.
    "redact", Texts, Is("[]"), "0.1";
    /// Rules for single files; the first that fits a file counts.
    "rule", Tables, Unset, "0.1";
    /// The file's name with `*`, `?`, `[a-z]`, `{a,b}`; with a `/`: the end of its path.
    "rule.files", Text, Wrong("expected a string"), "0.1";
    /// Regular expressions: lines that they match are ignored.
    "rule.ignore", Texts, Is("[]"), "0.1";
    /// What the file counts as, instead of its suffix; `ignore`: it is not watched.
    "rule.as", Choice(&["log", "err", "msg", "scanerr", "ignore"]), Unset, "0.1";
    /// As `encoding`, for these files.
    "rule.encoding", Text, Unset, "0.1";
    /// The agent's own push, when the hub cannot be reached.
    "push", Table, Unset, "0.1";
    /// The agent pushes when the hub was away for this long.
    "push.after", Span(Duration::ZERO), Is("\"60s\""), "0.1";
    /// Where it pushes to; [the keys of a channel](#channel) are below.
    "push.channel", Tables, Unset, "0.1";
};

//! The tables. A change here is a change of the house: say in the commit why.

/// A module, and the modules of its crate that it may use (`*`: any).
pub(crate) type Arrow = (&'static str, &'static [&'static str]);

/// Who may know whom within a crate. Wiring and the command line know all and are known by nobody.
pub(crate) const ARROWS: &[(&str, &[Arrow])] = &[
    (
        "olog-agent",
        &[
            ("agent", &["*"]),
            ("cli", &["*"]),
            ("config", &["files", "text"]),
            ("boot", &["spool"]),
            ("dial", &[]),
            ("identity", &[]),
            // `read` is the one module that opens what is in a log dir, folders included.
            ("watch", &["read"]),
            ("sandbox", &[]),
            ("settle", &["spool"]),
            ("read", &["spool", "text"]),
            ("text", &[]),
            ("files", &["boot", "config", "read", "sandbox", "settle", "spool", "sweep", "text", "watch"]),
            ("spool", &["read"]),
            ("sweep", &["config", "read", "spool"]),
            ("uplink", &["boot", "dial", "identity", "spool"]),
            ("join", &["boot", "dial", "identity", "spool", "uplink"]),
            ("fallback", &["config", "identity", "spool", "uplink"]),
            ("exec", &["files", "identity", "socket"]),
            ("socket", &["boot", "config", "files", "spool", "text", "uplink"]),
        ],
    ),
    (
        "olog-hub",
        &[
            ("hub", &["*"]),
            ("cli", &["*"]),
            // Another wiring of the same workers, around a clock and services that are played.
            ("simulate", &["*"]),
            ("bell", &[]),
            // What happened, written after the commit: whoever writes to the store may note a line.
            ("journal", &[]),
            ("pulse", &[]),
            ("rules", &[]),
            ("config", &["rules", "store"]),
            // Of `ingest` only what a device says of itself at a session's start.
            ("store", &["ingest", "journal", "rules"]),
            ("apply", &["journal", "rules", "store"]),
            ("ingest", &["apply", "bell", "journal", "pulse", "rules", "store"]),
            ("outbox", &["apply", "bell", "config", "journal", "pulse", "rules", "store"]),
            ("net", &["apply", "bell", "config", "ingest", "store"]),
            ("timed", &["apply", "bell", "config", "journal", "net", "pulse", "rules", "store"]),
            ("web", &["bell", "config", "ingest", "net", "rules", "store"]),
            ("admin", &["apply", "bell", "config", "ingest", "net", "rules", "store", "timed", "web"]),
        ],
    ),
    (
        "olog-daemon",
        &[
            ("clock", &[]),
            ("config", &["secret"]),
            ("log", &[]),
            ("pulse", &[]),
            ("secret", &[]),
            ("service", &[]),
            ("socket", &[]),
        ],
    ),
];

/// Which of our crates a crate may use. The daemons meet on the wire only.
pub(crate) const CRATES: &[(&str, &[&str])] = &[
    ("olog-proto", &[]),
    ("olog-daemon", &["olog_proto"]),
    ("olog-push", &["olog_proto", "olog_daemon"]),
    ("olog-agent", &["olog_proto", "olog_daemon", "olog_push"]),
    ("olog-hub", &["olog_proto", "olog_daemon", "olog_push"]),
];

/// A crate of ours, and its modules (none: all of them).
type Home = (&'static str, &'static [&'static str]);

/// Where a foreign crate lives. Replacing it is then an edit of one place.
pub(crate) const HOMES: &[(&str, &[Home])] = &[
    ("notify", &[("olog-agent", &["watch"])]),
    ("tokio_tungstenite", &[("olog-agent", &["uplink"])]),
    ("axum", &[("olog-hub", &["admin", "net", "web"])]),
    ("rusqlite", &[("olog-hub", &["store"]), ("olog-agent", &["spool"])]),
    ("tokio_postgres", &[("olog-hub", &["store"])]),
    ("deadpool_postgres", &[("olog-hub", &["store"])]),
    ("refinery", &[("olog-hub", &["store"])]),
    ("reqwest", &[("olog-push", &[])]),
    ("fluent_bundle", &[("olog-push", &["words"])]),
    ("askama", &[("olog-hub", &["rules"])]),
    ("governor", &[("olog-push", &["pace"])]),
    ("ed25519_dalek", &[("olog-proto", &["identity"])]),
    ("encoding_rs", &[("olog-agent", &["spool", "text", "files", "config"])]),
    ("chardetng", &[("olog-agent", &["text"])]),
    ("rcgen", &[("olog-hub", &["net"])]),
    ("croner", &[("olog-hub", &["rules"])]),
];

/// Where SQL may stand; a measurement asks the database beside the daemon.
pub(crate) const SQL_HOMES: &[(&str, &str)] =
    &[("olog-hub", "store"), ("olog-agent", "spool"), ("olog-swarm", "bench"), ("xtask", "tidy")];
/// Does a string hold a statement?
pub(crate) fn is_sql(text: &str) -> bool {
    let text = text.trim_start().to_ascii_lowercase();
    let starts = |start: &str| text.starts_with(start);
    starts("insert into ")
        || starts("insert or ")
        || starts("delete from ")
        || starts("create table ")
        || starts("alter table ")
        || starts("pragma ")
        || (starts("select ") && text.contains(" from "))
        || (starts("update ") && text.contains(" set "))
}

/// Where Chinese may stand in a string outside the catalogues: the words of dates, and those by which a service refuses.
pub(crate) const WORD_HOMES: &[(&str, &str)] = &[("olog-proto", "fingerprint"), ("olog-push", "wxpusher")];

/// Han characters.
pub(crate) fn is_chinese(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}')
}

/// A name that ends like this hides nothing.
pub(crate) const BANNED_NAMES: &[&str] = &[
    "util",
    "utils",
    "common",
    "helper",
    "helpers",
    "manager",
    "misc",
    "base",
    "service",
    "handler",
    "processor",
    "info",
    "data",
    "types",
];

/// Names that end so all the same. systemd's own word for what is started and watched is "service".
pub(crate) const ALLOWED_NAMES: &[&str] = &["service"];

/// A file's bound, tests included.
pub(crate) const FILE_LINES: usize = 600;

/// Where the golden frames are, and their sums.
pub(crate) const GOLDEN: &str = "crates/olog-proto/tests/wire";
pub(crate) const GOLDEN_SUMS: &str = "SHA256SUMS";

pub(crate) const DECISIONS: &str = "docs/decisions";

/// The page that has every key, and the modules that read them.
pub(crate) const KEYS_PAGE: &str = "docs/operations.md";
pub(crate) const KEY_HOMES: &[(&str, &str)] =
    &[("olog-agent", "config"), ("olog-hub", "config"), ("olog-push", "config")];

/// A word between backticks that begins like this is a path.
pub(crate) const TOP_FOLDERS: &[&str] = &["crates/", "docs/", "xtask/", "tests/", "packaging/", "deploy/", ".ci/"];

/// Folders that are not ours to judge.
pub(crate) const NOT_OURS: &[&str] = &["target", ".git"];

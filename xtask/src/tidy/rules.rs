//! The tables. A change here is a change of the house: say in the commit why.

/// A module, and the modules of its crate that it may use (`*`: any).
pub(crate) type Arrow = (&'static str, &'static [&'static str]);

/// Which modules of a crate may use which.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Within {
    /// Lowest first: a module may use what stands on a lower floor.
    Floors(&'static [&'static [&'static str]]),
    /// A module, and the modules that it may use.
    Arrows(&'static [Arrow]),
}

/// The modules of each crate.
pub(crate) const WITHIN: &[(&str, Within)] = &[
    (
        "olog-agent",
        Within::Arrows(&[
            ("agent", &["*"]),
            ("cli", &["*"]),
            ("config", &["files"]),
            ("boot", &["spool"]),
            ("dial", &[]),
            ("identity", &[]),
            // `read` is the one module that opens what is in a log dir, folders included.
            ("watch", &["read"]),
            ("sandbox", &[]),
            ("settle", &["spool"]),
            ("read", &["spool", "text"]),
            ("text", &[]),
            ("files", &["boot", "kept", "read", "sandbox", "settle", "spool", "sweep", "text", "watch"]),
            ("spool", &[]),
            ("sweep", &["read", "spool"]),
            ("uplink", &["boot", "dial", "identity", "spool"]),
            ("join", &["boot", "dial", "identity", "spool", "uplink"]),
            ("fallback", &["config", "identity", "spool", "uplink"]),
            ("runs", &["boot", "config", "spool", "text"]),
            ("exec", &["boot", "identity", "kept", "runs", "socket", "text"]),
            ("kept", &[]),
            ("jobs", &["exec", "identity"]),
            ("socket", &["boot", "config", "files", "runs", "spool", "uplink"]),
        ]),
    ),
    // Rooms, lowest floor first. Rooms of one floor do not know each other.
    (
        "olog-hub",
        Within::Floors(&[
            &["bell", "journal", "rules"],
            &["store"],
            &["access", "apply", "config"],
            &["ingest", "outbox", "stream"],
            &["net"],
            &["fuzz", "timed", "web"],
            &["admin"],
            &["hub"],
            // Another wiring of the same workers, around a clock and services that are played.
            &["simulate"],
            &["cli"],
        ]),
    ),
    (
        "olog-daemon",
        Within::Arrows(&[
            ("clock", &[]),
            ("config", &["secret"]),
            ("failure", &[]),
            ("fuzz", &["config", "original"]),
            ("log", &[]),
            ("original", &["config", "secret"]),
            ("pulse", &[]),
            ("secret", &[]),
            ("service", &[]),
            ("socket", &[]),
            ("workers", &["failure", "pulse"]),
        ]),
    ),
    (
        "olog-push",
        Within::Floors(&[
            &["notice", "keys"],
            &["message"],
            &["http", "rate_limit", "words"],
            &["described", "exec", "fetch", "mail", "wxpusher"],
            &["channel"],
            &["fuzz"],
        ]),
    ),
    (
        "olog-proto",
        Within::Floors(&[
            &["fingerprint", "name"],
            &["clean", "redact"],
            &["event", "identity"],
            &["job", "schedule"],
            &["frame"],
            &["fuzz"],
        ]),
    ),
];

/// A crate, and those of ours that it may use.
pub(crate) type Crate = (&'static str, &'static [&'static str]);

/// Which of our crates a crate may use. The daemons meet on the wire only.
pub(crate) const CRATES: &[Crate] = &[
    ("olog-proto", &[]),
    ("olog-daemon", &["olog_proto"]),
    ("olog-push", &["olog_proto", "olog_daemon"]),
    ("olog-agent", &["olog_proto", "olog_daemon", "olog_push"]),
    ("olog-hub", &["olog_proto", "olog_daemon", "olog_push"]),
];

/// A crate of ours, and its modules ("": all of them).
pub(crate) type Home = (&'static str, &'static [&'static str]);

/// Where a foreign crate lives. Replacing it is then an edit of one place.
pub(crate) const HOMES: &[(&str, &[Home])] = &[
    ("notify", &[("olog-agent", &["watch"])]),
    ("tokio_tungstenite", &[("olog-agent", &["uplink"])]),
    ("axum", &[("olog-hub", &["admin", "net", "web"])]),
    ("rusqlite", &[("olog-hub", &["store"]), ("olog-agent", &["spool"])]),
    ("tokio_postgres", &[("olog-hub", &["store"])]),
    ("deadpool_postgres", &[("olog-hub", &["store"])]),
    ("refinery", &[("olog-hub", &["store"])]),
    ("reqwest", &[("olog-push", &[""])]),
    ("fluent_bundle", &[("olog-push", &["words"])]),
    ("argon2", &[("olog-hub", &["access"])]),
    ("askama", &[("olog-hub", &["rules/report", "web"])]),
    ("qrcode", &[("olog-hub", &["access"])]),
    ("totp_rs", &[("olog-hub", &["access"])]),
    ("governor", &[("olog-push", &["rate_limit"])]),
    ("aho_corasick", &[("olog-proto", &["redact"])]),
    ("ed25519_dalek", &[("olog-proto", &["identity"])]),
    ("encoding_rs", &[("olog-agent", &["spool", "text", "files", "config"]), ("olog-daemon", &["original"])]),
    ("jsonc_parser", &[("olog-daemon", &["original"])]),
    ("chardetng", &[("olog-agent", &["text"])]),
    ("rcgen", &[("olog-hub", &["net/listener"])]),
    ("cron", &[("olog-proto", &["schedule"])]),
    ("tracing_journald", &[("olog-daemon", &["log"])]),
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

/// Where Chinese may stand in a string outside the catalogues: the words of dates, those by which a service refuses, and
/// the names of secrets.
pub(crate) const WORD_HOMES: &[(&str, &str)] =
    &[("olog-proto", "fingerprint"), ("olog-proto", "redact"), ("olog-push", "wxpusher")];

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

/// How many files and folders of code a folder may hold.
pub(crate) const FOLDER_ENTRIES: usize = 24;

/// The page that names modules as paths.
pub(crate) const MAP: &str = "docs/ARCHITECTURE.md";

/// Crates whose modules at the top the map explains, and the one room where it explains each module.
pub(crate) const MAPPED_CRATES: &[&str] = &["olog-proto", "olog-daemon", "olog-push", "olog-agent", "olog-hub"];
pub(crate) const RULES: &str = "crates/olog-hub/src/rules";

/// Pages that a reader of this repository does not have.
pub(crate) const NOT_IN_THE_REPOSITORY: &[&str] = &["DESIGN §", "DESIGN.md", "../shared"];

/// A file's bound, tests included.
pub(crate) const FILE_LINES: usize = 600;

/// Where the golden frames are, and their sums.
pub(crate) const GOLDEN: &str = "crates/olog-proto/tests/wire";
pub(crate) const GOLDEN_SUMS: &str = "SHA256SUMS";

pub(crate) const DECISIONS: &str = "docs/decisions";

/// A word that begins like this is a path.
pub(crate) const TOP_FOLDERS: &[&str] = &["crates/", "docs/", "xtask/", "tests/", "packaging/", "deploy/", ".ci/"];

/// Folders that are not ours to judge.
pub(crate) const NOT_OURS: &[&str] = &["target", ".git"];

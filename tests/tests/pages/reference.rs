//! The reference of configuration keys, `docs/configuration.md`: made from the rows that the programs read by.
//!
//! After a change of a row: `OLOG_WRITE_REFERENCE=1 cargo test -p olog-journeys reference`.

use std::{fmt::Write as _, path::Path};

use olog_daemon::config::{Absent, Key, Kind};

const WRITE: &str = "OLOG_WRITE_REFERENCE";

const HEAD: &str = "# Configuration reference

Every key of both programs. This page is generated from the registry of keys by which the programs read their files; edit the rows, not the page (CONTRIBUTING.md, \"A configuration key\").
How files are found, merged and read again: [operations.md](operations.md#configuration). `olog-hub check` and `olog-agent check` print the values in force.

A *time span* is written as `\"100ms\"`, `\"60s\"`, `\"10m\"`, `\"12h\"` or `\"7d\"`; a *size* as `\"1GiB\"`, `\"500MB\"` or a number of bytes; a relative path is meant from the file's folder. A *secret* is
written as `KEY`, or kept in a separate file that `KEY_file` names (relative: in `$CREDENTIALS_DIRECTORY` if it is there, else in `secrets/hub/` or `secrets/agent/` beside the configuration).
";

#[test]
fn the_reference_of_configuration_keys_is_that_of_the_rows() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let made = page();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap_or_default() == made,
        "docs/configuration.md is of other rows: {WRITE}=1 cargo test -p olog-journeys reference"
    );
}

#[test]
fn a_row_is_shown_with_its_kind_its_default_and_its_words() {
    static KEYS: &[Key] = olog_daemon::keys! {
        /// How long | it takes.
        "push.after", Span(std::time::Duration::from_secs(1)), Is("\"60s\""), "0.1";
        /// Tables.
        "push.channel", Tables, Unset, "0.2";
    };
    let rows = table(KEYS);
    assert!(
        rows.contains("| `push.after` | time span from 1s | `\"60s\"` | 0.1 | How long \\| it takes. |\n"),
        "{rows}"
    );
    assert!(rows.contains("| `[[push.channel]]` | tables | – | 0.2 | Tables. |\n"), "{rows}");
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    section(&mut page, "agent.toml", "", olog_agent::config::KEYS);
    section(&mut page, "hub.toml", "", olog_hub::config::KEYS);
    let of_channels = "`[[channel]]` in `hub.toml`, `[[push.channel]]` in `agent.toml`. What each service needs, its limits, and types of your own: [channels.md](channels.md).\n";
    for (name, rows) in olog_push::channel::registry() {
        match name {
            "" => section(&mut page, "Channel", of_channels, rows),
            "http" => page.push_str(&table(rows)),
            name => section(&mut page, &format!("Channels of type `{name}`"), "", rows),
        }
    }
    page.push_str("\n## Channels of the other built-in types\n\nFrom `crates/olog-push/channels/`.\n\n| type | key | kind | |\n|---|---|---|---|\n");
    for (of, key, kind, is_needed) in olog_push::ChannelCatalog::built_in().described_keys() {
        let needed = if is_needed { "required" } else { "" };
        writeln!(page, "| `{of}` | `{key}` | {kind} | {needed} |").unwrap();
    }
    let own = "The format is explained with an example in [channels.md](channels.md#a-type-of-your-own).\n";
    section(&mut page, "channels.d/NAME.toml", own, olog_push::channel::TYPE_KEYS);
    page
}

fn section(page: &mut String, title: &str, head: &str, rows: &[Key]) {
    write!(page, "\n## {title}\n\n{head}").unwrap();
    if !head.is_empty() {
        page.push('\n');
    }
    page.push_str("| key | kind | default | since | |\n|---|---|---|---|---|\n");
    page.push_str(&table(rows));
}

fn table(rows: &[Key]) -> String {
    let mut text = String::new();
    for row in rows {
        let key = match row.kind {
            Kind::Table => format!("[{}]", row.path),
            Kind::Tables => format!("[[{}]]", row.path),
            _ => row.path.to_owned(),
        };
        let default = match row.default {
            Absent::Unset => "–".to_owned(),
            Absent::Is(value) => format!("`{value}`"),
            Absent::Found(words) => words.to_owned(),
            Absent::Wrong(_) => "required".to_owned(),
        };
        let cells = [row.kind.to_string(), default, row.since.to_owned(), row.doc.trim().to_owned()];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        writeln!(text, "| `{key}` | {} |", cells.join(" | ")).unwrap();
    }
    text
}

//! Rows of the hub as a person reads them in a terminal.

use chrono::{TimeZone as _, Utc};
use chrono_tz::Tz;
use serde_json::Value;

/// A column: the field of the row, its heading, and how it reads.
pub(super) type Column = (&'static str, &'static str);

pub(super) const DEVICES: &[Column] = &[
    ("name", "NAME"),
    ("connected", "CONNECTED"),
    ("heard_at", "HEARD"),
    ("address", "ADDRESS"),
    ("version", "VERSION"),
];
pub(super) const PENDING: &[Column] = &[("name", "NAME"), ("key", "KEY"), ("peer", "FROM"), ("heard_at", "HEARD")];
pub(super) const TASKS: &[Column] = &[
    ("device", "DEVICE"),
    ("task", "TASK"),
    ("state", "STATE"),
    ("incident", "INCIDENT"),
    ("expected", "EXPECTED"),
    ("due_at", "DUE"),
    ("last_good_at", "LAST GOOD"),
    ("last_error_at", "LAST ERROR"),
    ("was", "WAS"),
];
pub(super) const INCIDENTS: &[Column] = &[
    ("id", "#"),
    ("device", "DEVICE"),
    ("name", "WHAT"),
    ("began_at", "BEGAN"),
    ("ended_at", "OVER"),
    ("ground", "GROUND"),
    ("n_seen", "SEEN"),
    ("acknowledged_at", "ACKNOWLEDGED"),
];
pub(super) const SILENCES: &[Column] = &[
    ("id", "#"),
    ("device", "DEVICE"),
    ("task", "TASK"),
    ("fingerprint", "ERROR"),
    ("is_now", "NOW"),
    ("from_at", "FROM"),
    ("until_at", "UNTIL"),
    ("every", "EVERY"),
    ("lasts", "FOR"),
    ("n_held", "HOLDS"),
    ("made_by", "BY"),
    ("comment", "COMMENT"),
];
pub(super) const REPORTS: &[Column] = &[
    ("id", "#"),
    ("to_at", "UNTIL"),
    ("from_at", "FROM"),
    ("kind", "KIND"),
    ("to_do", "TO DO"),
    ("ok", "OK"),
    ("err", "ERR"),
    ("lost", "LOST"),
    ("page", "PAGE"),
    ("link", "LINK"),
];
pub(super) const CHANNELS: &[Column] = &[
    ("name", "NAME"),
    ("type", "TYPE"),
    ("state", "STATE"),
    ("waiting", "WAITING"),
    ("oldest_at", "OLDEST"),
    ("used", "USED"),
    ("left", "LEFT"),
    ("next_slot_at", "NEXT SLOT"),
    ("receivers", "RECEIVERS"),
    ("limits", "LIMITS"),
    ("refused", "REFUSED"),
    ("why", "LAST WORDS"),
];

/// How values read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Show {
    /// Of all times.
    pub(super) zone: Tz,
}

pub(super) fn json(value: &Value) -> String {
    format!("{value:#}\n")
}

impl Show {
    /// Rows under headings, each column as wide as its widest value.
    pub(super) fn table(self, rows: &Value, columns: &[Column]) -> String {
        let rows = rows.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|(_, heading)| (*heading).to_owned()).collect()];
        for row in rows {
            lines.push(
                columns.iter().map(|(field, _)| self.value(field, row.get(field).unwrap_or(&Value::Null))).collect(),
            );
        }
        let widths: Vec<usize> = (0..columns.len())
            .map(|i| lines.iter().filter_map(|line| line.get(i)).map(|cell| width(cell)).max().unwrap_or(0))
            .collect();
        let mut out = String::new();
        for line in &lines {
            let cells: Vec<String> = line
                .iter()
                .zip(&widths)
                .map(|(cell, wide)| format!("{cell}{}", " ".repeat(wide.saturating_sub(width(cell)))))
                .collect();
            out.push_str(cells.join("  ").trim_end());
            out.push('\n');
        }
        out
    }

    /// One row, a line a field.
    pub(super) fn fields(self, row: &Value) -> String {
        let fields = row.as_object().into_iter().flatten();
        fields.map(|(field, value)| format!("{field}: {}\n", self.value(field, value))).collect()
    }

    pub(super) fn value(self, field: &str, value: &Value) -> String {
        match value {
            Value::Null => "-".to_owned(),
            Value::Bool(true) => "yes".to_owned(),
            Value::Bool(false) => "no".to_owned(),
            Value::Number(n) => match n.as_i64().filter(|_| field == "at" || field.ends_with("_at")) {
                Some(ms) => Utc.timestamp_millis_opt(ms).single().map_or_else(
                    || n.to_string(),
                    |at| at.with_timezone(&self.zone).format("%Y-%m-%d %H:%M:%S").to_string(),
                ),
                None => n.to_string(),
            },
            // What devices sent is free of controls by its types; this makes sure of the rest.
            Value::String(text) => olog_proto::name::escape(text.as_bytes()),
            Value::Array(items) => items.iter().map(|item| self.value(field, item)).collect::<Vec<_>>().join(", "),
            Value::Object(_) => value.to_string(),
        }
    }
}

/// Columns that a text takes in a terminal: two for wide characters (those of East Asia begin at U+1100).
fn width(text: &str) -> usize {
    text.chars().map(|c| if c >= '\u{1100}' { 2 } else { 1 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_under_their_headings_whatever_the_script() {
        let rows = serde_json::json!([
            {"id": 17, "device": "备份", "name": "mysql", "began_at": 0, "n_seen": 3},
            {"id": 5, "device": "comsrv", "name": "a\u{1b}b", "began_at": 86_400_000, "n_seen": 1}
        ]);
        let columns =
            &[("id", "#"), ("device", "DEVICE"), ("name", "WHAT"), ("began_at", "BEGAN"), ("ended_at", "OVER")];
        let shown = Show { zone: chrono_tz::Asia::Shanghai }.table(&rows, columns);
        assert_eq!(
            shown,
            "#   DEVICE  WHAT    BEGAN                OVER\n\
             17  备份    mysql   1970-01-01 08:00:00  -\n\
             5   comsrv  a\\x1bb  1970-01-02 08:00:00  -\n"
        );
    }
}
